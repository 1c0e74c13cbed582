/* What watches get, in sentences. That they get it in every combination is test_watch_model's. */
#include <malloc.h>

#include "base/mem.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"
#include "watch/track.h"

#define LOG_BYTES  4096
#define WATCHERS   16
#define IDLE_MANY  100000
#define IDLE_BYTES 300
#define WIDE       20000

/* Writes down what it gets: "+/a =/a -/a; " for a revision, "..." where a piece goes on. */
struct watcher {
    struct watch watch;
    struct fixture *x;
    char log[LOG_BYTES];
    size_t room; /* changes it takes; SIZE_MAX: all */
    size_t taken;
    int calls;
    int caught_up;
    uint64_t floor;                     /* COMPACTED was told with this one */
    void (*then)(struct watcher *self); /* from inside deliver */
};

struct fixture {
    struct kit kit;
    struct watch_hub *hub;
    struct watcher w[WATCHERS];
    char order[LOG_BYTES]; /* of deliveries: a letter for each, by place in w */
};

static void note(char *log, const char *text)
{
    ck_assert_uint_lt(strlen(log) + strlen(text), LOG_BYTES);
    strcat(log, text);
}

static size_t on_deliver(struct watch *watch, const struct change *const *changes, size_t count,
                         bool continued, bool more)
{
    static const char marks[] = {'?', '+', '=', '-'};
    struct watcher *w = LIST_OF(watch, struct watcher, watch);
    struct fixture *x = w->x;
    size_t take = count < w->room ? count : w->room;
    w->calls++;
    note(w->log, continued ? "..." : "");
    for (size_t i = 0; i < take; i++) {
        char text[128];
        ck_assert_uint_eq(changes[i]->revision, changes[0]->revision);
        snprintf(text, sizeof text, "%s%c%.*s", i == 0 ? "" : " ", marks[changes[i]->type],
                 (int)changes[i]->path.size, (const char *)changes[i]->path.data);
        note(w->log, text);
    }
    note(w->log, take < count || more ? "..." : "; ");
    w->room -= w->room == SIZE_MAX ? 0 : take;
    w->taken += take;
    char letter[2] = {(char)('a' + (w - x->w)), '\0'};
    note(x->order, letter);
    if (w->then != NULL) {
        w->then(w);
    }
    return take;
}

static void on_compacted(struct watch *watch, uint64_t floor)
{
    struct watcher *w = LIST_OF(watch, struct watcher, watch);
    ck_assert_int_eq(watch->state, WATCH_STOPPED);
    ck_assert_uint_eq(w->floor, 0);
    w->floor = floor;
}

static void on_caught_up(struct watch *watch)
{
    LIST_OF(watch, struct watcher, watch)->caught_up++;
}

static const struct watch_ops ops = {
    .deliver = on_deliver, .compacted = on_compacted, .caught_up = on_caught_up};

static struct fixture *open_fixture(void)
{
    struct fixture *x = mem_zalloc(sizeof *x);
    kit_open(&x->kit);
    x->hub = hub_new(x->kit.store);
    for (size_t i = 0; i < WATCHERS; i++) {
        x->w[i].x = x;
        x->w[i].room = SIZE_MAX;
    }
    return x;
}

static void close_fixture(struct fixture *x)
{
    for (size_t i = 0; i < WATCHERS; i++) {
        watch_stop(x->hub, &x->w[i].watch);
        watch_stop(x->hub, &x->w[i].watch); /* harmless */
    }
    hub_free(x->hub);
    kit_close(&x->kit);
    mem_free(x);
}

static struct watch_filter make_filter(enum watch_scope scope, const char *path)
{
    return (struct watch_filter){
        .scope = (uint8_t)scope, .space = SPACE_NODES, .path = slice_str(path)};
}

static enum outcome try_start(struct fixture *x, size_t i, const struct watch_filter *f,
                              uint64_t from)
{
    ck_assert_int_eq(watch_filter_check(f, NULL), OUTCOME_OK);
    return watch_start(x->hub, &x->w[i].watch, f, &ops, from);
}

static void start(struct fixture *x, size_t i, enum watch_scope scope, const char *path,
                  uint64_t from)
{
    struct watch_filter f = make_filter(scope, path);
    ck_assert_int_eq(try_start(x, i, &f, from), OUTCOME_OK);
}

static void create(struct fixture *x, const char *path)
{
    ck_assert_int_eq(kit_create(&x->kit, path, "v"), OUTCOME_OK);
    hub_dispatch(x->hub);
}

static void set(struct fixture *x, const char *path)
{
    ck_assert_int_eq(kit_set(&x->kit, path, "w"), OUTCOME_OK);
    hub_dispatch(x->hub);
}

static void delete (struct fixture *x, const char *path)
{
    ck_assert_int_eq(kit_delete(&x->kit, path), OUTCOME_OK);
    hub_dispatch(x->hub);
}

/* All in one revision. */
static void create_all(struct fixture *x, const char *const *paths, uint32_t count)
{
    struct op list[8];
    for (uint32_t i = 0; i < count; i++) {
        list[i] = kit_op(OP_CREATE, paths[i], "v");
    }
    ck_assert_int_eq(kit_ops(&x->kit, list, count), OUTCOME_OK);
}

static void turn(struct fixture *x)
{
    while (hub_turn(x->hub, 1000)) {
    }
}

static void cut_log(struct fixture *x, uint64_t floor)
{
    history_trim(&x->kit.store->history, floor - 1 + HISTORY_REVISIONS_MIN, UINT64_MAX);
    ck_assert_uint_eq(store_history_floor(x->kit.store), floor);
}

static void expect_log(const struct fixture *x, size_t i, const char *log)
{
    ck_assert_str_eq(x->w[i].log, log);
}

static uint64_t now(const struct fixture *x)
{
    return store_revision(x->kit.store);
}

/* ---- scopes and filters ------------------------------------------------------------------ */

START_TEST(a_node_is_watched_before_it_exists_and_after_it_has_gone)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_NODE, "/a", 0);
    create(x, "/b");
    create(x, "/a");
    create(x, "/a/b");
    set(x, "/a");
    set(x, "/a/b");
    delete (x, "/a/b");
    delete (x, "/a");
    create(x, "/a");
    expect_log(x, 0, "+/a; =/a; -/a; +/a; ");
    close_fixture(x);
}
END_TEST

START_TEST(children_are_watched_without_the_node_itself_or_what_is_below_them)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_CHILDREN, "/a", 0);
    start(x, 1, WATCH_CHILDREN, "/", 0);
    create(x, "/a");
    create(x, "/a/b");
    create(x, "/a/b/c");
    set(x, "/a/b");
    create(x, "/ab");
    ck_assert_int_eq(kit_remove_tree(&x->kit, "/a"), OUTCOME_OK);
    hub_dispatch(x->hub);
    expect_log(x, 0, "+/a/b; =/a/b; -/a/b; ");
    expect_log(x, 1, "+/a; +/ab; -/a; ");
    close_fixture(x);
}
END_TEST

START_TEST(a_subtree_is_watched_with_its_top_and_down_to_its_depth)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/a", 0);
    struct watch_filter f = make_filter(WATCH_SUBTREE, "/a");
    f.depth = 1;
    ck_assert_int_eq(try_start(x, 1, &f, 0), OUTCOME_OK);
    f.path = slice_str("/");
    f.depth = 2;
    ck_assert_int_eq(try_start(x, 2, &f, 0), OUTCOME_OK);
    create(x, "/a");
    create(x, "/ab");
    create(x, "/a/b");
    create(x, "/a/b/c");
    expect_log(x, 0, "+/a; +/a/b; +/a/b/c; ");
    expect_log(x, 1, "+/a; +/a/b; ");
    expect_log(x, 2, "+/a; +/ab; +/a/b; ");
    close_fixture(x);
}
END_TEST

START_TEST(a_prefix_is_of_bytes_and_not_of_names)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_PREFIX, "/a", 0);
    start(x, 1, WATCH_PREFIX, "/a/", 0);
    start(x, 2, WATCH_PREFIX, "/ab", 0);
    start(x, 3, WATCH_PREFIX, "/", 0);
    create(x, "/a");
    create(x, "/ab");
    create(x, "/a/c");
    create(x, "/b");
    expect_log(x, 0, "+/a; +/ab; +/a/c; ");
    expect_log(x, 1, "+/a/c; ");
    expect_log(x, 2, "+/ab; ");
    expect_log(x, 3, "+/a; +/ab; +/a/c; +/b; ");
    close_fixture(x);
}
END_TEST

START_TEST(keys_of_flat_spaces_are_watched_apart_from_paths)
{
    struct fixture *x = open_fixture();
    struct watch_filter f = {.scope = WATCH_PREFIX, .space = SPACE_META};
    ck_assert_int_eq(try_start(x, 0, &f, 0), OUTCOME_OK);
    f.path = slice_str("/a");
    ck_assert_int_eq(try_start(x, 1, &f, 0), OUTCOME_OK);
    f.scope = WATCH_NODE;
    ck_assert_int_eq(try_start(x, 2, &f, 0), OUTCOME_OK);
    start(x, 3, WATCH_SUBTREE, "/", 0);
    create(x, "/a");
    static const char *const keys[] = {"/a", "/ab", "user/x"};
    for (size_t i = 0; i < 3; i++) {
        struct op op = kit_op(OP_CREATE, keys[i], "v");
        op.space = SPACE_META;
        ck_assert_int_eq(kit_ops(&x->kit, &op, 1), OUTCOME_OK);
        hub_dispatch(x->hub);
    }
    expect_log(x, 0, "+/a; +/ab; +user/x; ");
    expect_log(x, 1, "+/a; +/ab; ");
    expect_log(x, 2, "+/a; ");
    expect_log(x, 3, "+/a; ");
    close_fixture(x);
}
END_TEST

START_TEST(types_and_globs_let_through_what_they_name)
{
    struct fixture *x = open_fixture();
    struct watch_filter f = make_filter(WATCH_SUBTREE, "/");
    f.types = 1 << CHANGE_CREATE | 1 << CHANGE_DELETE;
    ck_assert_int_eq(try_start(x, 0, &f, 0), OUTCOME_OK);
    f.types = 1 << CHANGE_SET;
    f.glob = slice_str("lock-*");
    ck_assert_int_eq(try_start(x, 1, &f, 0), OUTCOME_OK);
    create(x, "/lock-1");
    create(x, "/other");
    set(x, "/lock-1");
    set(x, "/other");
    delete (x, "/lock-1");
    expect_log(x, 0, "+/lock-1; +/other; -/lock-1; ");
    expect_log(x, 1, "=/lock-1; ");
    close_fixture(x);
}
END_TEST

START_TEST(all_changes_of_a_transaction_arrive_together_and_in_order)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/a", 0);
    create_all(x, (const char *const[]){"/a", "/b", "/a/x", "/a/y"}, 4);
    hub_dispatch(x->hub);
    ck_assert_int_eq(kit_remove_tree(&x->kit, "/a"), OUTCOME_OK);
    hub_dispatch(x->hub);
    expect_log(x, 0, "+/a +/a/x +/a/y; -/a/x -/a/y -/a; ");
    ck_assert_int_eq(x->w[0].calls, 2);
    close_fixture(x);
}
END_TEST

START_TEST(a_failed_transaction_is_heard_of_by_nobody)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    const struct op list[2] = {kit_op(OP_CREATE, "/a", "v"), kit_op(OP_DELETE, "/none", NULL)};
    ck_assert_int_ne(kit_ops(&x->kit, list, 2), OUTCOME_OK);
    hub_dispatch(x->hub);
    expect_log(x, 0, "");
    ck_assert_uint_eq(watch_delivered(x->hub, &x->w[0].watch), now(x));
    close_fixture(x);
}
END_TEST

START_TEST(who_watches_the_node_hears_before_who_watches_its_parent)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/a", 0);
    start(x, 1, WATCH_CHILDREN, "/a", 0);
    start(x, 2, WATCH_NODE, "/a/b", 0);
    create(x, "/a");
    x->order[0] = '\0';
    create(x, "/a/b");
    ck_assert_str_eq(x->order, "cba");
    close_fixture(x);
}
END_TEST

/* ---- where a watch begins ---------------------------------------------------------------- */

START_TEST(from_a_past_revision_the_log_comes_first_and_then_what_happens)
{
    struct fixture *x = open_fixture();
    create(x, "/a");
    uint64_t from = now(x) + 1;
    create(x, "/b");
    create(x, "/c");
    start(x, 0, WATCH_SUBTREE, "/", from);
    ck_assert_int_eq(x->w[0].watch.state, WATCH_BEHIND);
    ck_assert_uint_eq(watch_delivered(x->hub, &x->w[0].watch), from - 1);
    expect_log(x, 0, ""); /* nothing from inside watch_start */
    create(x, "/d");      /* applied before it has caught up */
    turn(x);
    ck_assert_int_eq(x->w[0].watch.state, WATCH_LIVE);
    ck_assert_int_eq(x->w[0].caught_up, 1);
    create(x, "/e");
    expect_log(x, 0, "+/b; +/c; +/d; +/e; ");
    close_fixture(x);
}
END_TEST

START_TEST(from_now_nothing_is_replayed)
{
    struct fixture *x = open_fixture();
    create(x, "/a");
    start(x, 0, WATCH_SUBTREE, "/", 0);
    start(x, 1, WATCH_SUBTREE, "/", now(x) + 1);
    ck_assert_int_eq(x->w[0].watch.state, WATCH_LIVE);
    ck_assert_int_eq(x->w[1].watch.state, WATCH_LIVE);
    ck_assert(!hub_has_work(x->hub));
    create(x, "/b");
    expect_log(x, 0, "+/b; ");
    expect_log(x, 1, "+/b; ");
    ck_assert_int_eq(x->w[0].caught_up, 0); /* it never was behind */
    close_fixture(x);
}
END_TEST

START_TEST(from_a_revision_ahead_it_waits_for_that_revision)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", now(x) + 3);
    create(x, "/a");
    create(x, "/b");
    expect_log(x, 0, "");
    create(x, "/c");
    create(x, "/d");
    expect_log(x, 0, "+/c; +/d; ");
    close_fixture(x);
}
END_TEST

START_TEST(every_revision_around_the_floor_is_there_or_compacted)
{
    struct fixture *x = open_fixture();
    for (int i = 0; i < 10; i++) {
        char path[16];
        snprintf(path, sizeof path, "/n%d", i);
        create(x, path);
    }
    uint64_t floor = now(x) - 4;
    cut_log(x, floor);
    for (uint64_t from = 1; from <= now(x) + 3; from++) {
        struct watch_filter f = make_filter(WATCH_SUBTREE, "/");
        x->w[0].calls = 0;
        x->w[0].log[0] = '\0';
        if (from < floor) {
            ck_assert_int_eq(try_start(x, 0, &f, from), OUTCOME_COMPACTED);
            ck_assert_int_eq(x->w[0].watch.state, WATCH_STOPPED);
        } else {
            ck_assert_int_eq(try_start(x, 0, &f, from), OUTCOME_OK);
            turn(x);
            uint64_t missed = from <= now(x) ? now(x) - from + 1 : 0;
            ck_assert_int_eq(x->w[0].calls, (int)missed);
        }
        watch_stop(x->hub, &x->w[0].watch);
    }
    close_fixture(x);
}
END_TEST

START_TEST(the_log_of_a_new_store_reaches_back_to_its_beginning)
{
    struct fixture *x = open_fixture();
    create(x, "/a");
    start(x, 0, WATCH_SUBTREE, "/", 1); /* which made no change */
    turn(x);
    expect_log(x, 0, "+/a; ");
    close_fixture(x);
}
END_TEST

/* ---- owners without room ----------------------------------------------------------------- */

START_TEST(a_watch_that_took_less_goes_on_there_when_it_is_resumed)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    x->w[0].room = 2;
    create_all(x, (const char *const[]){"/a", "/b", "/c"}, 3);
    hub_dispatch(x->hub);
    ck_assert_int_eq(x->w[0].watch.state, WATCH_WAITING);
    ck_assert_uint_eq(watch_delivered(x->hub, &x->w[0].watch), now(x) - 1);
    create(x, "/d");
    turn(x);
    expect_log(x, 0, "+/a +/b...");
    x->w[0].room = SIZE_MAX;
    watch_resume(x->hub, &x->w[0].watch);
    expect_log(x, 0, "+/a +/b..."); /* nothing from inside watch_resume */
    ck_assert(hub_has_work(x->hub));
    turn(x);
    expect_log(x, 0, "+/a +/b......+/c; +/d; ");
    ck_assert_int_eq(x->w[0].watch.state, WATCH_LIVE);
    close_fixture(x);
}
END_TEST

START_TEST(a_watch_that_took_nothing_gets_the_whole_revision_again)
{
    struct fixture *x = open_fixture();
    create(x, "/z");
    start(x, 0, WATCH_SUBTREE, "/a", 0);
    x->w[0].room = 0;
    create_all(x, (const char *const[]){"/y", "/a", "/a/b"}, 3);
    hub_dispatch(x->hub);
    expect_log(x, 0, "...");
    x->w[0].log[0] = '\0';
    x->w[0].room = SIZE_MAX;
    watch_resume(x->hub, &x->w[0].watch);
    turn(x);
    expect_log(x, 0, "+/a +/a/b; "); /* not marked as continued */
    close_fixture(x);
}
END_TEST

START_TEST(a_waiting_watch_delays_nobody_and_is_seen_in_the_status)
{
    struct fixture *x = open_fixture();
    struct hub_status status;
    start(x, 0, WATCH_SUBTREE, "/", 0);
    start(x, 1, WATCH_SUBTREE, "/", 0);
    x->w[0].room = 0;
    create(x, "/a");
    create(x, "/b");
    create(x, "/c");
    expect_log(x, 1, "+/a; +/b; +/c; ");
    ck_assert_int_eq(x->w[0].calls, 1);
    ck_assert(!hub_has_work(x->hub));
    hub_status(x->hub, &status);
    ck_assert_uint_eq(status.watches, 2);
    ck_assert_uint_eq(status.behind, 1);
    ck_assert_uint_eq(status.lag_revisions, 3);
    watch_resume(x->hub, &x->w[1].watch); /* it does not wait: nothing changes */
    ck_assert_int_eq(x->w[1].watch.state, WATCH_LIVE);
    close_fixture(x);
}
END_TEST

START_TEST(catching_up_is_done_in_pieces_while_changes_go_on)
{
    struct fixture *x = open_fixture();
    char expected[LOG_BYTES] = "";
    for (int i = 0; i < 40; i++) {
        char path[16];
        snprintf(path, sizeof path, "/n%02d", i);
        if (i < 20) {
            create(x, path);
        }
        snprintf(expected + strlen(expected), 16, "+%s; ", path);
    }
    start(x, 0, WATCH_CHILDREN, "/", 1);
    for (int i = 20; i < 40; i++) {
        char path[16];
        int calls = x->w[0].calls;
        ck_assert(hub_turn(x->hub, 1) || x->w[0].watch.state == WATCH_LIVE);
        ck_assert_int_le(x->w[0].calls, calls + 1);
        snprintf(path, sizeof path, "/n%02d", i);
        create(x, path);
    }
    turn(x);
    expect_log(x, 0, expected);
    close_fixture(x);
}
END_TEST

START_TEST(a_revision_is_not_torn_by_the_end_of_a_turn)
{
    struct fixture *x = open_fixture();
    create_all(x, (const char *const[]){"/a", "/b", "/c", "/d"}, 4);
    hub_dispatch(x->hub);
    start(x, 0, WATCH_SUBTREE, "/", 1);
    ck_assert(hub_turn(x->hub, 1));
    ck_assert(hub_turn(x->hub, 1));
    ck_assert_int_eq(x->w[0].calls, 0);
    ck_assert_uint_eq(watch_delivered(x->hub, &x->w[0].watch), now(x) - 1);
    turn(x);
    expect_log(x, 0, "+/a +/b +/c +/d; ");
    close_fixture(x);
}
END_TEST

START_TEST(all_that_are_behind_share_one_scan)
{
    enum { CHANGES = 200, MANY = 1000 };
    struct fixture *x = open_fixture();
    struct watcher *many = mem_zalloc(MANY * sizeof *many);
    create(x, "/a");
    for (int i = 0; i < CHANGES; i++) {
        set(x, "/a");
    }
    for (size_t i = 0; i < MANY; i++) {
        char path[16];
        snprintf(path, sizeof path, "/b%zu", i);
        struct watch_filter f = make_filter(WATCH_NODE, path);
        ck_assert_int_eq(watch_start(x->hub, &many[i].watch, &f, &ops, 2), OUTCOME_OK);
    }
    ck_assert(!hub_turn(x->hub, CHANGES + 1 + MANY)); /* each of both once */
    for (size_t i = 0; i < MANY; i++) {
        ck_assert_int_eq(many[i].watch.state, WATCH_LIVE);
        watch_stop(x->hub, &many[i].watch);
    }
    mem_free(many);
    close_fixture(x);
}
END_TEST

/* ---- history gone ------------------------------------------------------------------------ */

START_TEST(a_watch_that_the_log_has_left_behind_is_stopped_and_told_the_floor)
{
    struct fixture *x = open_fixture();
    for (int i = 0; i < 5; i++) {
        char path[16];
        snprintf(path, sizeof path, "/n%d", i);
        create(x, path);
    }
    start(x, 0, WATCH_SUBTREE, "/", 3);
    start(x, 1, WATCH_SUBTREE, "/", 5);
    start(x, 2, WATCH_SUBTREE, "/", 0);
    cut_log(x, 5);
    turn(x);
    ck_assert_uint_eq(x->w[0].floor, 5);
    ck_assert_int_eq(x->w[0].watch.state, WATCH_STOPPED);
    expect_log(x, 0, "");
    expect_log(x, 1, "+/n3; +/n4; ");
    ck_assert_uint_eq(x->w[1].floor + x->w[2].floor, 0);
    close_fixture(x);
}
END_TEST

START_TEST(a_waiting_watch_hears_of_compaction_when_it_is_resumed)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    start(x, 1, WATCH_SUBTREE, "/", 0);
    x->w[0].room = 0;
    x->w[1].room = 1;
    create_all(x, (const char *const[]){"/a", "/b"}, 2);
    hub_dispatch(x->hub);
    create(x, "/c");
    cut_log(x, now(x));
    turn(x);
    ck_assert_uint_eq(x->w[0].floor, 0);
    watch_resume(x->hub, &x->w[0].watch);
    watch_resume(x->hub, &x->w[1].watch);
    turn(x);
    ck_assert_uint_eq(x->w[0].floor, now(x));
    ck_assert_uint_eq(x->w[1].floor, now(x));
    close_fixture(x);
}
END_TEST

START_TEST(a_command_that_outgrows_the_log_compacts_the_live_ones)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    start(x, 1, WATCH_NODE, "/later", now(x) + 2);
    ck_assert_int_eq(kit_create(&x->kit, "/a", "v"), OUTCOME_OK);
    cut_log(x, now(x) + 1); /* what was just applied is not in the log any more */
    hub_dispatch(x->hub);
    ck_assert_uint_eq(x->w[0].floor, now(x) + 1);
    expect_log(x, 0, "");
    ck_assert_int_eq(x->w[1].watch.state, WATCH_LIVE); /* it lacks nothing */
    create(x, "/later");
    expect_log(x, 1, "+/later; ");
    close_fixture(x);
}
END_TEST

/* ---- a store replaced by a snapshot ------------------------------------------------------ */

static void replace_store(struct fixture *x, const char *const *creates, uint32_t count,
                          uint64_t floor)
{
    struct snapshot_meta meta = {0};
    struct buf rows = {0};
    enum status rc;
    struct store *old = x->kit.store;
    kit_rows(old, &meta, &rows);
    x->kit.store = kit_load(buf_slice(&rows), &meta, &rc);
    ck_assert_int_eq(rc, RC_OK);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(kit_create(&x->kit, creates[i], "v"), OUTCOME_OK);
    }
    if (floor != 0) {
        cut_log(x, floor);
    }
    hub_rebind(x->hub, x->kit.store);
    store_free(old);
    buf_close(&rows);
    snapshot_meta_close(&meta);
}

START_TEST(an_installed_snapshot_brings_its_changes_without_gap_or_repeat)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    create(x, "/a");
    start(x, 1, WATCH_SUBTREE, "/", 2);
    start(x, 2, WATCH_SUBTREE, "/", 0);
    x->w[2].room = 0;
    create(x, "/b");
    replace_store(x, (const char *const[]){"/c", "/d"}, 2, 0);
    expect_log(x, 0, "+/a; +/b; +/c; +/d; ");
    create(x, "/e");
    x->w[2].room = SIZE_MAX;
    x->w[2].log[0] = '\0';
    watch_resume(x->hub, &x->w[2].watch);
    turn(x);
    expect_log(x, 0, "+/a; +/b; +/c; +/d; +/e; ");
    expect_log(x, 1, "+/a; +/b; +/c; +/d; +/e; ");
    expect_log(x, 2, "+/b; +/c; +/d; +/e; ");
    close_fixture(x);
}
END_TEST

START_TEST(an_installed_snapshot_whose_log_begins_later_compacts)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    create(x, "/a");
    uint64_t here = now(x);
    replace_store(x, (const char *const[]){"/b", "/c"}, 2, here + 2);
    expect_log(x, 0, "+/a; ");
    ck_assert_uint_eq(x->w[0].floor, here + 2);
    ck_assert_uint_eq(hub_revision(x->hub), here + 2);
    close_fixture(x);
}
END_TEST

START_TEST(an_installed_snapshot_whose_log_begins_just_there_does_not)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    create(x, "/a");
    replace_store(x, (const char *const[]){"/b", "/c"}, 2, now(x) + 1);
    expect_log(x, 0, "+/a; +/b; +/c; ");
    close_fixture(x);
}
END_TEST

/* ---- owners that do things from inside --------------------------------------------------- */

static void stop_self(struct watcher *w)
{
    watch_stop(w->x->hub, &w->watch);
    memset(&w->watch, 0xa5, sizeof w->watch); /* its memory is its own again */
}

START_TEST(a_one_shot_watch_stops_itself)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_NODE, "/a", 0);
    start(x, 1, WATCH_NODE, "/a", 0);
    start(x, 2, WATCH_NODE, "/a", 0);
    x->w[1].then = stop_self;
    create(x, "/a");
    set(x, "/a");
    expect_log(x, 0, "+/a; =/a; ");
    expect_log(x, 1, "+/a; ");
    expect_log(x, 2, "+/a; =/a; ");
    x->w[1].watch = (struct watch){0};
    close_fixture(x);
}
END_TEST

static void stop_all(struct watcher *w)
{
    for (size_t i = 0; i < WATCHERS; i++) {
        watch_stop(w->x->hub, &w->x->w[i].watch);
    }
}

START_TEST(who_is_stopped_from_inside_gets_nothing_more)
{
    struct fixture *x = open_fixture();
    for (size_t i = 0; i < 5; i++) {
        start(x, i, WATCH_SUBTREE, "/", 0);
        x->w[i].then = stop_all;
    }
    create(x, "/a");
    ck_assert_uint_eq(strlen(x->order), 1); /* whoever was first stopped the others */
    create(x, "/b");
    ck_assert_uint_eq(strlen(x->order), 1);
    close_fixture(x);
}
END_TEST

static void start_anew(struct watcher *w)
{
    w->then = NULL;
    watch_stop(w->x->hub, &w->watch);
    start(w->x, (size_t)(w - w->x->w), WATCH_SUBTREE, "/", 0);
}

START_TEST(who_starts_anew_from_inside_gets_what_comes_later)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    x->w[0].then = start_anew;
    create_all(x, (const char *const[]){"/a", "/b"}, 2);
    hub_dispatch(x->hub);
    create(x, "/c");
    expect_log(x, 0, "+/a +/b; +/c; ");
    close_fixture(x);
}
END_TEST

static void start_others(struct watcher *w)
{
    w->then = NULL;
    start(w->x, 1, WATCH_SUBTREE, "/", 0);
    start(w->x, 2, WATCH_SUBTREE, "/", now(w->x));
    start(w->x, 3, WATCH_SUBTREE, "/", now(w->x) + 1);
}

START_TEST(who_is_started_from_inside_begins_where_it_was_asked_to)
{
    struct fixture *x = open_fixture();
    for (size_t pairs = 1; pairs < 3; pairs++) { /* amid a revision, and after it */
        x->hub->pairs_max = pairs == 1 ? 1 : WATCH_PAIRS_MAX;
        start(x, 0, WATCH_SUBTREE, "/", 0);
        x->w[0].then = start_others;
        create_all(x, (const char *const[]){"/a", "/b", "/c", "/d"}, 4);
        hub_dispatch(x->hub);
        create(x, "/e");
        turn(x);
        expect_log(x, 1, "+/e; ");
        expect_log(x, 2, pairs == 1 ? "+/a +/b......+/c +/d; +/e; " : "+/a +/b +/c +/d; +/e; ");
        expect_log(x, 3, "+/e; ");
        stop_all(&x->w[0]);
        for (size_t i = 0; i < 4; i++) {
            x->w[i].log[0] = '\0';
        }
        ck_assert_int_eq(kit_remove_tree(&x->kit, "/a"), OUTCOME_OK);
        for (const char *const *path = (const char *const[]){"/b", "/c", "/d", "/e", NULL};
             *path != NULL; path++) {
            delete (x, *path);
        }
    }
    close_fixture(x);
}
END_TEST

/* ---- size -------------------------------------------------------------------------------- */

START_TEST(a_revision_in_pieces_is_marked_and_whole)
{
    struct fixture *x = open_fixture();
    x->hub->pairs_max = 3;
    start(x, 0, WATCH_SUBTREE, "/", 0);
    start(x, 1, WATCH_NODE, "/a", 0);
    create_all(x, (const char *const[]){"/a", "/b", "/c", "/d", "/e", "/f"}, 6);
    hub_dispatch(x->hub);
    expect_log(x, 1, "+/a; "); /* held back until it was known that nothing follows */
    ck_assert_int_eq(x->w[1].calls, 1);
    ck_assert_int_gt(x->w[0].calls, 1);
    ck_assert_uint_eq(x->w[0].taken, 6);
    ck_assert_uint_eq(strlen(x->w[0].log), strlen("+/a+/b+/c+/d+/e+/f; ") +
                                               6 * (size_t)(x->w[0].calls - 1) +
                                               (6 - (size_t)x->w[0].calls));
    close_fixture(x);
}
END_TEST

static size_t count_only(struct watch *watch, const struct change *const *changes, size_t count,
                         bool continued, bool more)
{
    (void)changes;
    (void)continued;
    (void)more;
    LIST_OF(watch, struct watcher, watch)->taken += count;
    return count;
}

static const struct watch_ops counting_ops = {.deliver = count_only, .compacted = on_compacted};

/* Were it quadratic, this would be 400 million looks for each kind of watch. */
START_TEST(a_revision_of_many_changes_costs_as_much_as_it_has_changes_and_listeners)
{
    struct fixture *x = open_fixture();
    struct watcher *many = mem_zalloc(WIDE * sizeof *many);
    struct op *list = mem_zalloc(WIDE * sizeof *list);
    char(*paths)[16] = mem_zalloc(WIDE * sizeof *paths);
    x->hub->pairs_max = 1000;
    for (size_t i = 0; i < WIDE; i++) {
        snprintf(paths[i], sizeof paths[i], "/n%zu", i);
        list[i] = kit_op(OP_CREATE, paths[i], "v");
        struct watch_filter f = make_filter(i % 2 == 0 ? WATCH_NODE : WATCH_PREFIX, paths[i]);
        ck_assert_int_eq(watch_start(x->hub, &many[i].watch, &f, &counting_ops, 0), OUTCOME_OK);
    }
    struct watch_filter all = make_filter(WATCH_SUBTREE, "/");
    for (size_t i = 0; i < WATCHERS; i++) {
        ck_assert_int_eq(watch_start(x->hub, &x->w[i].watch, &all, &counting_ops, 0),
                         OUTCOME_OK);
    }
    ck_assert_int_eq(kit_ops(&x->kit, list, WIDE), OUTCOME_OK);
    hub_dispatch(x->hub);
    for (size_t i = 0; i < WATCHERS; i++) {
        ck_assert_uint_eq(x->w[i].taken, WIDE);
    }
    struct hub_status status;
    hub_status(x->hub, &status);
    ck_assert_uint_lt(status.bytes, WIDE * IDLE_BYTES); /* what gathering took is given back */
    for (size_t i = 0; i < WIDE; i++) {
        ck_assert_uint_ge(many[i].taken, 1);
        watch_stop(x->hub, &many[i].watch);
    }
    mem_free(list);
    mem_free(paths);
    mem_free(many);
    close_fixture(x);
}
END_TEST

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

START_TEST(an_idle_watch_takes_300_bytes_at_most_all_included)
{
    struct fixture *x = open_fixture();
    struct hub_status status;
    struct watch **idle = mem_zalloc(IDLE_MANY * sizeof(struct watch *));
    size_t before = heap_bytes();
    for (size_t i = 0; i < IDLE_MANY; i++) {
        char path[64];
        snprintf(path, sizeof path, "/services/region-%zu/instances/%08zu", i % 10, i);
        ck_assert_uint_ge(strlen(path), 35);
        struct watch_filter f = make_filter((enum watch_scope)(1 + i % 4), path);
        idle[i] = mem_zalloc(sizeof(struct watch));
        ck_assert_int_eq(watch_start(x->hub, idle[i], &f, &ops, 0), OUTCOME_OK);
    }
    size_t taken = heap_bytes() - before; /* 0 under a sanitizer's allocator */
    hub_status(x->hub, &status);
    ck_assert_uint_eq(status.watches, IDLE_MANY);
    ck_assert_uint_le(sizeof(struct watch) + status.bytes / IDLE_MANY, IDLE_BYTES);
    ck_assert_uint_le(taken / IDLE_MANY, IDLE_BYTES);
    for (size_t i = 0; i < IDLE_MANY; i++) {
        watch_stop(x->hub, idle[i]);
        mem_free(idle[i]);
    }
    hub_status(x->hub, &status);
    ck_assert_uint_eq(status.watches, 0);
    mem_free(idle);
    close_fixture(x);
}
END_TEST

static void add_what_they_get(TCase *tcase)
{
    tcase_add_test(tcase, a_node_is_watched_before_it_exists_and_after_it_has_gone);
    tcase_add_test(tcase, children_are_watched_without_the_node_itself_or_what_is_below_them);
    tcase_add_test(tcase, a_subtree_is_watched_with_its_top_and_down_to_its_depth);
    tcase_add_test(tcase, a_prefix_is_of_bytes_and_not_of_names);
    tcase_add_test(tcase, keys_of_flat_spaces_are_watched_apart_from_paths);
    tcase_add_test(tcase, types_and_globs_let_through_what_they_name);
    tcase_add_test(tcase, all_changes_of_a_transaction_arrive_together_and_in_order);
    tcase_add_test(tcase, a_failed_transaction_is_heard_of_by_nobody);
    tcase_add_test(tcase, who_watches_the_node_hears_before_who_watches_its_parent);
    tcase_add_test(tcase, from_a_past_revision_the_log_comes_first_and_then_what_happens);
    tcase_add_test(tcase, from_now_nothing_is_replayed);
    tcase_add_test(tcase, from_a_revision_ahead_it_waits_for_that_revision);
    tcase_add_test(tcase, every_revision_around_the_floor_is_there_or_compacted);
    tcase_add_test(tcase, the_log_of_a_new_store_reaches_back_to_its_beginning);
}

static void add_how_they_get_it(TCase *tcase)
{
    tcase_add_test(tcase, a_watch_that_took_less_goes_on_there_when_it_is_resumed);
    tcase_add_test(tcase, a_watch_that_took_nothing_gets_the_whole_revision_again);
    tcase_add_test(tcase, a_waiting_watch_delays_nobody_and_is_seen_in_the_status);
    tcase_add_test(tcase, catching_up_is_done_in_pieces_while_changes_go_on);
    tcase_add_test(tcase, a_revision_is_not_torn_by_the_end_of_a_turn);
    tcase_add_test(tcase, all_that_are_behind_share_one_scan);
    tcase_add_test(tcase, a_watch_that_the_log_has_left_behind_is_stopped_and_told_the_floor);
    tcase_add_test(tcase, a_waiting_watch_hears_of_compaction_when_it_is_resumed);
    tcase_add_test(tcase, a_command_that_outgrows_the_log_compacts_the_live_ones);
    tcase_add_test(tcase, an_installed_snapshot_brings_its_changes_without_gap_or_repeat);
    tcase_add_test(tcase, an_installed_snapshot_whose_log_begins_later_compacts);
    tcase_add_test(tcase, an_installed_snapshot_whose_log_begins_just_there_does_not);
    tcase_add_test(tcase, a_one_shot_watch_stops_itself);
    tcase_add_test(tcase, who_is_stopped_from_inside_gets_nothing_more);
    tcase_add_test(tcase, who_starts_anew_from_inside_gets_what_comes_later);
    tcase_add_test(tcase, who_is_started_from_inside_begins_where_it_was_asked_to);
    tcase_add_test(tcase, a_revision_in_pieces_is_marked_and_whole);
    tcase_add_test(tcase,
                   a_revision_of_many_changes_costs_as_much_as_it_has_changes_and_listeners);
    tcase_add_test(tcase, an_idle_watch_takes_300_bytes_at_most_all_included);
}

static Suite *hub_suite(void)
{
    Suite *suite = suite_create("watch hub");
    TCase *tcase = tcase_create("hub");
    add_what_they_get(tcase);
    add_how_they_get_it(tcase);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){hub_suite, NULL});
}
