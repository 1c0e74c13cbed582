/* The watches of ZooKeeper clients: who is told what, how often, and in which order. */
#include "net/zookeeper/connection.h"
#include "tests/support/check_main.h"
#include "tests/support/memory_sum.h"
#include "tests/support/zk_say.h"

static struct zk_world w;
static struct zk_peer *a; /* watches */
static struct zk_peer *b; /* changes */

static void setup(void)
{
    zk_world_open(&w, NULL);
    a = zk_peer_connect(&w, "192.0.2.7:51434");
    b = zk_peer_connect(&w, "192.0.2.8:4711");
}

static void teardown(void)
{
    zk_world_close(&w);
}

#define EXPECT(got, wanted) ck_assert_str_eq((got), (wanted))

static void expect_ok(const char *reply)
{
    ck_assert_msg(strncmp(reply, "ok", 2) == 0, "%s", reply);
}

static void create(const char *path)
{
    expect_ok(zk_ask_create(b, path));
}

static void set(const char *path)
{
    expect_ok(zk_ask_set(b, path, "new"));
}

static void erase(const char *path)
{
    expect_ok(zk_ask_delete(b, path));
}

/* The packets that came, as "event 1 /a, event 4 /". */
static const char *events_of(struct zk_peer *p)
{
    static char text[2000];
    size_t used = 0;
    text[0] = '\0';
    for (const char *next = zk_say_next(p, 0); next[0] == 'e'; next = zk_say_next(p, 0)) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used > 0 ? ", " : "",
                                 next + strlen("event "));
    }
    return text;
}

#define EXPECT_EVENTS(wanted) EXPECT(events_of(a), wanted)

static struct buf path_number(const char *path, int32_t number)
{
    return zk_version_body(path, number);
}

/* ---- one-shot ----------------------------------------------------------------------------- */

START_TEST(a_watch_is_told_once)
{
    EXPECT(zk_ask_path(a, ZK_EXISTS, "/a", true), "-101");
    create("/a");
    EXPECT_EVENTS("1 /a");
    set("/a");
    EXPECT_EVENTS("");
    expect_ok(zk_ask_path(a, ZK_GET_DATA, "/a", true));
    set("/a");
    set("/a");
    EXPECT_EVENTS("3 /a");
    expect_ok(zk_ask_path(a, ZK_EXISTS, "/a", true));
    erase("/a");
    EXPECT_EVENTS("2 /a");
}
END_TEST

START_TEST(reads_of_missing_nodes_leave_no_watch)
{
    EXPECT(zk_ask_path(a, ZK_GET_DATA, "/a", true), "-101");
    EXPECT(zk_ask_path(a, ZK_GET_CHILDREN, "/a", true), "-101");
    create("/a");
    create("/a/b");
    EXPECT_EVENTS("");
}
END_TEST

START_TEST(child_watches_hear_of_children_and_of_their_nodes_end)
{
    create("/a");
    expect_ok(zk_ask_path(a, ZK_GET_CHILDREN, "/a", true));
    set("/a");
    EXPECT_EVENTS("");
    create("/a/b");
    EXPECT_EVENTS("4 /a");
    expect_ok(zk_ask_path(a, ZK_GET_CHILDREN2, "/a", true));
    set("/a/b");
    create("/a/b/c");
    erase("/a/b/c");
    EXPECT_EVENTS("");
    erase("/a/b");
    EXPECT_EVENTS("4 /a");
    expect_ok(zk_ask_path(a, ZK_GET_CHILDREN, "/a", true));
    erase("/a");
    EXPECT_EVENTS("2 /a");
}
END_TEST

START_TEST(a_delete_is_told_once_however_many_watches_there_are)
{
    create("/a");
    expect_ok(zk_ask_path(a, ZK_GET_DATA, "/a", true));
    expect_ok(zk_ask_path(a, ZK_EXISTS, "/a", true));
    expect_ok(zk_ask_path(a, ZK_GET_CHILDREN, "/a", true));
    expect_ok(zk_ask_path(a, ZK_GET_CHILDREN, "/", true));
    erase("/a");
    EXPECT_EVENTS("2 /a, 4 /");
    create("/a");
    EXPECT_EVENTS("");
}
END_TEST

START_TEST(the_event_comes_before_the_reply_of_ones_own_write)
{
    EXPECT(zk_ask_path(a, ZK_EXISTS, "/a", true), "-101");
    expect_ok(zk_ask_path(a, ZK_GET_CHILDREN, "/", true));
    struct buf body = zk_create_body("/a", "x", 0);
    (void)zk_send(a, ZK_CREATE, &body);
    zk_world_run(&w);
    EXPECT(zk_say_next(a, 0), "event 1 /a");
    EXPECT(zk_say_next(a, 0), "event 4 /");
    EXPECT(zk_say_next(a, ZK_CREATE), "ok /a");
}
END_TEST

START_TEST(the_event_comes_before_data_that_show_the_change)
{
    create("/a");
    expect_ok(zk_ask_path(a, ZK_GET_DATA, "/a", true));
    struct buf body = zk_set_body("/a", "new", -1);
    (void)zk_send(b, ZK_SET_DATA, &body);
    node_turn(w.node); /* applied, and a has not had its turn yet */
    body = zk_path_body("/a", false);
    (void)zk_send(a, ZK_GET_DATA, &body);
    zk_world_run(&w);
    EXPECT(zk_say_next(a, 0), "event 3 /a");
    EXPECT(zk_say_next(a, ZK_GET_DATA), "ok new (v1 c0 a0 n0 3b)");
}
END_TEST

START_TEST(a_transaction_fires_in_its_order_and_one_shot_watches_once)
{
    struct buf body = {0};
    create("/a");
    expect_ok(zk_ask_path(a, ZK_GET_CHILDREN, "/a", true));
    zk_put_multi_head(&body, ZK_CREATE, ZK_OK);
    struct buf op = zk_create_body("/a/x", "", 0);
    buf_append_slice(&body, buf_slice(&op));
    buf_close(&op);
    static const char *const deleted[] = {"/a/x", "/a"};
    for (size_t i = 0; i < 2; i++) {
        zk_put_multi_head(&body, ZK_DELETE, ZK_OK);
        op = zk_version_body(deleted[i], -1);
        buf_append_slice(&body, buf_slice(&op));
        buf_close(&op);
    }
    zk_put_multi_end(&body);
    EXPECT(zk_ask(b, ZK_MULTI, body), "ok | 1 /a/x | 2 | 2");
    EXPECT_EVENTS("4 /a"); /* it is used up when the node goes */
}
END_TEST

START_TEST(events_carry_the_revision_of_their_change)
{
    struct zk_seen seen;
    struct buf keep = {0};
    expect_ok(zk_ask_path(a, ZK_GET_CHILDREN, "/", true));
    create("/a");
    ck_assert(zk_take(a, &seen, &keep));
    ck_assert_int_eq(seen.xid, ZK_XID_EVENT);
    ck_assert_int_eq(seen.zxid, (int64_t)store_revision(w.node->store));
    buf_close(&keep);
}
END_TEST

START_TEST(watches_go_with_their_connection)
{
    create("/a");
    expect_ok(zk_ask_path(a, ZK_GET_DATA, "/a", true));
    struct zk_peer *p = zk_peer_resume(&w, a);
    size_t bytes;
    ck_assert(zk_take_hello(p, &bytes));
    set("/a");
    EXPECT(zk_say_next(p, 0), "");
    struct hub_status status;
    hub_status(w.node->watches, &status);
    ck_assert_uint_eq(status.watches, 0);
}
END_TEST

/* ---- persistent ones ---------------------------------------------------------------------- */

static const char *change_all(void)
{
    create("/p");
    set("/p");
    create("/p/c");
    set("/p/c");
    create("/p/c/d");
    erase("/p/c/d");
    erase("/p/c");
    erase("/p");
    return events_of(a);
}

START_TEST(a_persistent_watch_stays)
{
    EXPECT(zk_ask(a, ZK_ADD_WATCH, path_number("/p", 0)), "ok 0");
    EXPECT(change_all(), "1 /p, 3 /p, 4 /p, 4 /p, 2 /p");
    EXPECT(change_all(), "1 /p, 3 /p, 4 /p, 4 /p, 2 /p");
}
END_TEST

START_TEST(a_recursive_watch_names_the_changed_node)
{
    EXPECT(zk_ask(a, ZK_ADD_WATCH, path_number("/p", 1)), "ok 0");
    EXPECT(change_all(), "1 /p, 3 /p, 1 /p/c, 3 /p/c, 1 /p/c/d, 2 /p/c/d, 2 /p/c, 2 /p");
    create("/px");
    EXPECT_EVENTS("");
    EXPECT(zk_ask(a, ZK_ADD_WATCH, path_number("/", 1)), "ok 0");
    create("/py");
    EXPECT_EVENTS("1 /py");
}
END_TEST

START_TEST(what_several_watches_say_alike_is_said_once)
{
    EXPECT(zk_ask(a, ZK_ADD_WATCH, path_number("/p", 0)), "ok 0");
    EXPECT(zk_ask(a, ZK_ADD_WATCH, path_number("/p", 1)), "ok 0");
    EXPECT(zk_ask_path(a, ZK_EXISTS, "/p", true), "-101");
    create("/p");
    EXPECT_EVENTS("1 /p");
    create("/p/c");
    EXPECT_EVENTS("1 /p/c, 4 /p");
    EXPECT(zk_ask(a, ZK_CHECK_WATCHES, path_number("/p", 2)), "-121"); /* it is used up */
}
END_TEST

START_TEST(a_mode_that_does_not_exist_is_refused)
{
    EXPECT(zk_ask(a, ZK_ADD_WATCH, path_number("/p", 2)), "-5");
    EXPECT(zk_ask(a, ZK_ADD_WATCH, path_number("/p", -1)), "-5");
}
END_TEST

/* ---- removing ----------------------------------------------------------------------------- */

START_TEST(watches_are_checked_and_removed_by_kind)
{
    create("/a");
    expect_ok(zk_ask_path(a, ZK_GET_DATA, "/a", true));
    expect_ok(zk_ask_path(a, ZK_GET_CHILDREN, "/a", true));
    EXPECT(zk_ask(a, ZK_CHECK_WATCHES, path_number("/a", 1)), "ok");
    EXPECT(zk_ask(a, ZK_CHECK_WATCHES, path_number("/a", 2)), "ok");
    EXPECT(zk_ask(a, ZK_CHECK_WATCHES, path_number("/a", 3)), "ok");
    EXPECT(zk_ask(a, ZK_CHECK_WATCHES, path_number("/a", 4)), "-121");
    EXPECT(zk_ask(a, ZK_CHECK_WATCHES, path_number("/a", 9)), "-5");
    EXPECT(zk_ask(a, ZK_CHECK_WATCHES, path_number("/b", 3)), "-121");
    EXPECT(zk_ask(a, ZK_REMOVE_WATCHES, path_number("/a", 2)), "ok");
    EXPECT(zk_ask(a, ZK_REMOVE_WATCHES, path_number("/a", 2)), "-121");
    set("/a");
    EXPECT_EVENTS("");
    create("/a/x");
    EXPECT_EVENTS("4 /a");
}
END_TEST

START_TEST(removing_any_kind_removes_all)
{
    create("/a");
    expect_ok(zk_ask_path(a, ZK_GET_DATA, "/a", true));
    expect_ok(zk_ask_path(a, ZK_GET_CHILDREN, "/a", true));
    EXPECT(zk_ask(a, ZK_ADD_WATCH, path_number("/a", 0)), "ok 0");
    EXPECT(zk_ask(a, ZK_ADD_WATCH, path_number("/a", 1)), "ok 0");
    EXPECT(zk_ask(a, ZK_REMOVE_WATCHES, path_number("/a", 3)), "ok");
    EXPECT(zk_ask(a, ZK_REMOVE_WATCHES, path_number("/a", 3)), "-121");
    create("/a/x");
    erase("/a/x");
    erase("/a");
    EXPECT_EVENTS("");
    struct hub_status status;
    hub_status(w.node->watches, &status);
    ck_assert_uint_eq(status.watches, 0);
}
END_TEST

/* ---- setWatches --------------------------------------------------------------------------- */

static void put_paths(struct buf *body, const char *const *paths)
{
    int32_t count = 0;
    while (paths[count] != NULL) {
        count++;
    }
    jute_put_int(body, count);
    for (int32_t i = 0; i < count; i++) {
        zk_put_text(body, paths[i]);
    }
}

#define PATHS(...) ((const char *const[]){__VA_ARGS__, NULL})

START_TEST(what_was_missed_is_told_before_the_reply)
{
    create("/changed");
    create("/same");
    create("/parent");
    int64_t since = (int64_t)store_revision(w.node->store);
    set("/changed");
    create("/new");
    create("/parent/x");
    struct buf body = {0};
    jute_put_long(&body, since);
    put_paths(&body, PATHS("/changed", "/same", "/gone"));
    put_paths(&body, PATHS("/new", "/later"));
    put_paths(&body, PATHS("/parent", "/same", "/gone2"));
    (void)zk_send(a, ZK_SET_WATCHES, &body);
    zk_world_run(&w);
    struct zk_seen seen;
    struct buf keep = {0};
    static const int32_t types[] = {3, 2, 1, 4, 2};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        ck_assert(zk_take(a, &seen, &keep));
        ck_assert(seen.xid == ZK_XID_EVENT && seen.zxid == -1);
        ck_assert_int_eq(jute_int(&seen.body), types[i]);
    }
    buf_close(&keep);
    EXPECT(zk_say_next(a, ZK_SET_WATCHES), "ok");
    set("/changed"); /* told, and not armed again */
    set("/same");
    create("/later");
    create("/same/x");
    EXPECT_EVENTS("3 /same, 1 /later, 4 /same");
}
END_TEST

START_TEST(persistent_watches_are_armed_again_without_catching_up)
{
    create("/p");
    struct buf body = {0};
    jute_put_long(&body, 0);
    for (int i = 0; i < 3; i++) {
        jute_put_int(&body, -1); /* null is none */
    }
    put_paths(&body, PATHS("/p"));
    put_paths(&body, PATHS("/q"));
    EXPECT(zk_ask(a, ZK_SET_WATCHES2, body), "ok");
    create("/p/x");
    create("/q");
    create("/q/y");
    EXPECT_EVENTS("4 /p, 1 /q, 1 /q/y");
}
END_TEST

/* ---- bounds ------------------------------------------------------------------------------- */

START_TEST(a_client_that_does_not_read_its_events_is_closed)
{
    EXPECT(zk_ask(a, ZK_ADD_WATCH, path_number("/", 1)), "ok 0");
    char path[4000];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    a->does_not_read = true;
    for (int i = 0; i < 6000; i++) {
        expect_ok(i % 2 == 0 ? zk_ask_create(b, path) : zk_ask_delete(b, path));
    }
    ck_assert(!a->is_closed);
    zk_world_advance(&w, 1000);
    ck_assert(a->is_closed);
    ck_assert(!b->is_closed);
}
END_TEST

START_TEST(a_large_reply_on_its_way_is_no_sign_of_events_that_are_not_read)
{
    expect_ok(zk_ask_path(a, ZK_GET_CHILDREN, "/", true));
    struct buf body = zk_create_body("/a", "x", 0);
    w.node->is_held = true;
    (void)zk_send(a, ZK_CREATE, &body);
    zk_world_run(&w);
    memset(buf_extend(&a->out, ZK_EVENTS_BYTES_MAX + 1), 0, ZK_EVENTS_BYTES_MAX + 1);
    a->is_full = true; /* the listing before it */
    w.node->is_held = false;
    zk_world_run(&w);
    ck_assert(!a->is_closed);
    buf_clear(&a->out);
    a->is_full = false;
    zk_world_run(&w);
    EXPECT(zk_say_next(a, 0), "event 4 /");
    EXPECT(zk_say_next(a, ZK_CREATE), "ok /a");
}
END_TEST

/* In one transaction, and not through the client that a reply would cost. */
static void set_often(uint32_t count)
{
    struct kit kit = {.store = w.node->store, .index = w.node->index};
    struct op *ops = mem_alloc(count * sizeof ops[0]);
    for (uint32_t i = 0; i < count; i++) {
        ops[i] = kit_op(OP_SET, "/a", "");
    }
    ck_assert_int_eq(kit_ops(&kit, ops, count), OUTCOME_OK);
    w.node->index = kit.index;
    hub_dispatch(w.node->watches);
    mem_free(ops);
    arena_close(&kit.arena);
    buf_close(&kit.bytes);
}

START_TEST(events_with_short_paths_count_as_well)
{
    create("/a");
    EXPECT(zk_ask(a, ZK_ADD_WATCH, path_number("/a", 0)), "ok 0");
    sum_begin(&a->env, &zookeeper_front, a->state);
    a->is_full = true; /* it does not read */
    set_often(100000);
    size_t held = sum.hold.parts[MEMORY_REPLIES];
    ck_assert_uint_gt(held, 100000 * 16);
    for (int i = 0; i < 6; i++) {
        set_often(100000);
        zk_world_run(&w);
        ck_assert_uint_lt(sum.hold.parts[MEMORY_REPLIES], (size_t)17 << 20);
    }
    ck_assert_uint_eq(sum.hold.parts[MEMORY_REPLIES], 0); /* they were too many */
    a->is_full = false;
    zk_world_run(&w);
    ck_assert(a->is_closed);
    ck_assert(!b->is_closed);
}
END_TEST

START_TEST(events_that_are_not_read_are_in_the_sum_of_all)
{
    create("/a");
    EXPECT(zk_ask(a, ZK_ADD_WATCH, path_number("/a", 0)), "ok 0");
    sum_begin(&a->env, &zookeeper_front, a->state);
    a->is_full = true;
    set_often(1000);
    sum_overflow();
    zk_world_advance(&w, 1000);
    ck_assert(sum.is_evicted);
    struct hub_status status;
    hub_status(w.node->watches, &status);
    ck_assert_uint_eq(status.watches, 0);
}
END_TEST

START_TEST(a_node_holds_no_more_watches_than_its_limit)
{
    struct zk_shared *shared = w.shared;
    const uint64_t others = ZK_NODE_WATCHES_MAX - 2; /* of connections that are not there */
    shared->watch_count = others;
    EXPECT(zk_ask_path(a, ZK_EXISTS, "/a", true), "-101");
    EXPECT(zk_ask_path(b, ZK_EXISTS, "/b", true), "-101");
    EXPECT(zk_ask(b, ZK_ADD_WATCH, path_number("/", 1)), "-1");
    EXPECT(zk_ask_path(a, ZK_GET_CHILDREN, "/", true), "-1");
    create("/a"); /* one less */
    EXPECT_EVENTS("1 /a");
    EXPECT(zk_ask(b, ZK_ADD_WATCH, path_number("/", 1)), "ok 0");
    ck_assert_uint_eq(shared->watch_count, ZK_NODE_WATCHES_MAX);
    shared->watch_count -= others;
}
END_TEST

/* Clients do not look at the reply's error. */
START_TEST(who_comes_back_with_more_watches_than_fit_is_sent_to_another_member)
{
    struct zk_shared *shared = w.shared;
    const uint64_t others = ZK_NODE_WATCHES_MAX - 1;
    create("/there");
    shared->watch_count = others;
    struct buf body = {0};
    jute_put_long(&body, 0);
    put_paths(&body, PATHS("/gone"));
    put_paths(&body, PATHS("/later", "/never"));
    put_paths(&body, PATHS(NULL));
    struct buf get = zk_path_body("/there", false);
    (void)zk_send(a, ZK_SET_WATCHES, &body);
    (void)zk_send(a, ZK_EXISTS, &get);
    zk_world_run(&w);
    EXPECT(zk_say_next(a, 0), "event 2 /gone");
    EXPECT(zk_say_next(a, ZK_SET_WATCHES), "closed");
    ck_assert_uint_eq(shared->watch_count, others); /* it left none behind */
    shared->watch_count = 0;
}
END_TEST

START_TEST(paths_that_no_node_can_have_are_watched_in_vain)
{
    EXPECT(zk_ask_path(a, ZK_EXISTS, "//", true), "-101");
    EXPECT(zk_ask_path(a, ZK_EXISTS, "", true), "ok (v0 c-1 a0 n1 0b)");
    EXPECT(zk_ask(a, ZK_ADD_WATCH, path_number("relative", 1)), "ok 0");
    create("/a");
    EXPECT_EVENTS("");
}
END_TEST

START_TEST(who_may_not_read_a_node_hears_nothing_of_it)
{
    const struct zk_acl acl = {ZK_PERM_ALL, slice_str("ip"), slice_str("192.0.2.8")};
    struct buf body = {0};
    EXPECT(zk_ask(a, ZK_ADD_WATCH, path_number("/", 1)), "ok 0");
    zk_put_text(&body, "/hidden");
    zk_put_text(&body, "");
    zk_put_acl(&body, &acl, 1);
    jute_put_int(&body, 0);
    EXPECT(zk_ask(b, ZK_CREATE, body), "ok /hidden");
    set("/hidden");
    erase("/hidden");
    create("/open");
    EXPECT_EVENTS("1 /open");
}
END_TEST

START_TEST(what_was_missed_is_not_told_to_who_may_not_read_it)
{
    const struct zk_acl acl = {ZK_PERM_ALL, slice_str("ip"), slice_str("192.0.2.8")};
    struct buf body = {0};
    zk_put_text(&body, "/hidden");
    zk_put_text(&body, "");
    zk_put_acl(&body, &acl, 1);
    jute_put_int(&body, 0);
    EXPECT(zk_ask(b, ZK_CREATE, body), "ok /hidden");
    body = (struct buf){0};
    jute_put_long(&body, 0);
    put_paths(&body, PATHS("/hidden"));
    put_paths(&body, PATHS("/hidden", "/later"));
    put_paths(&body, PATHS("/hidden"));
    EXPECT(zk_ask(a, ZK_SET_WATCHES, body), "ok");
    EXPECT(zk_ask(a, ZK_CHECK_WATCHES, path_number("/hidden", 2)), "ok");
    EXPECT(zk_ask(a, ZK_CHECK_WATCHES, path_number("/hidden", 1)), "ok");
    create("/later");
    EXPECT_EVENTS("1 /later");
}
END_TEST

static Suite *watches_suite(void)
{
    Suite *suite = suite_create("zookeeper watches");
    TCase *tcase = tcase_create("watches");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_watch_is_told_once);
    tcase_add_test(tcase, reads_of_missing_nodes_leave_no_watch);
    tcase_add_test(tcase, child_watches_hear_of_children_and_of_their_nodes_end);
    tcase_add_test(tcase, a_delete_is_told_once_however_many_watches_there_are);
    tcase_add_test(tcase, the_event_comes_before_the_reply_of_ones_own_write);
    tcase_add_test(tcase, the_event_comes_before_data_that_show_the_change);
    tcase_add_test(tcase, a_transaction_fires_in_its_order_and_one_shot_watches_once);
    tcase_add_test(tcase, events_carry_the_revision_of_their_change);
    tcase_add_test(tcase, watches_go_with_their_connection);
    tcase_add_test(tcase, a_persistent_watch_stays);
    tcase_add_test(tcase, a_recursive_watch_names_the_changed_node);
    tcase_add_test(tcase, what_several_watches_say_alike_is_said_once);
    tcase_add_test(tcase, a_mode_that_does_not_exist_is_refused);
    tcase_add_test(tcase, watches_are_checked_and_removed_by_kind);
    tcase_add_test(tcase, removing_any_kind_removes_all);
    tcase_add_test(tcase, what_was_missed_is_told_before_the_reply);
    tcase_add_test(tcase, persistent_watches_are_armed_again_without_catching_up);
    tcase_add_test(tcase, a_client_that_does_not_read_its_events_is_closed);
    tcase_add_test(tcase, a_large_reply_on_its_way_is_no_sign_of_events_that_are_not_read);
    tcase_add_test(tcase, events_with_short_paths_count_as_well);
    tcase_add_test(tcase, events_that_are_not_read_are_in_the_sum_of_all);
    tcase_add_test(tcase, a_node_holds_no_more_watches_than_its_limit);
    tcase_add_test(tcase, who_comes_back_with_more_watches_than_fit_is_sent_to_another_member);
    tcase_add_test(tcase, paths_that_no_node_can_have_are_watched_in_vain);
    tcase_add_test(tcase, who_may_not_read_a_node_hears_nothing_of_it);
    tcase_add_test(tcase, what_was_missed_is_not_told_to_who_may_not_read_it);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){watches_suite, NULL});
}
