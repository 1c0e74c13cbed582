/* ZooKeeper sessions and requests over the real front end and store: what clients are answered, in
 * which order, and when they are not. Outcomes are those of ZooKeeper 3.8.0 unless
 * docs/protocols/zookeeper.md says why not. */
#include "lease/table.h"
#include "tests/support/check_main.h"
#include "tests/support/memory_sum.h"
#include "tests/support/zk_say.h"

static struct zk_world w;
static struct zk_peer *a;
static struct zk_peer *b;

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

/* ---- sessions ----------------------------------------------------------------------------- */

static struct zk_peer *hello(const struct zk_hello *h, size_t *bytes)
{
    struct zk_peer *p = zk_peer_open(&w, "192.0.2.9:1");
    zk_hello_send(p, h);
    zk_world_run(&w);
    *bytes = 0;
    (void)zk_take_hello(p, bytes);
    return p;
}

START_TEST(the_timeout_is_kept_between_its_bounds)
{
    static const int32_t cases[][2] = {
        {1, 4000}, {10000, 10000}, {1000000, 40000}, {-5, 4000}, {INT32_MIN, 4000}};
    size_t bytes;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct zk_peer *p = hello(&(struct zk_hello){.timeout_ms = cases[i][0]}, &bytes);
        ck_assert_int_eq(p->timeout_ms, cases[i][1]);
    }
}
END_TEST

START_TEST(the_reply_has_the_read_only_byte_if_the_request_had_it)
{
    size_t bytes;
    (void)hello(&(struct zk_hello){.timeout_ms = 5000, .is_short = true}, &bytes);
    ck_assert_uint_eq(bytes, 36);
    (void)hello(&(struct zk_hello){.timeout_ms = 5000}, &bytes);
    ck_assert_uint_eq(bytes, 37);
}
END_TEST

START_TEST(session_ids_and_passwords_are_not_to_be_guessed)
{
    ck_assert_int_ne(a->session, b->session);
    ck_assert(a->session > 0 && b->session > 0);
    ck_assert_mem_ne(a->password, b->password, 16);
}
END_TEST

START_TEST(a_resumed_session_is_the_same_and_its_former_connection_ends)
{
    EXPECT(zk_ask(a, ZK_CREATE, zk_create_body("/e", "", ZK_FLAG_EPHEMERAL)), "ok /e");
    struct zk_peer *p = zk_peer_resume(&w, a);
    size_t bytes;
    ck_assert(zk_take_hello(p, &bytes));
    ck_assert_int_eq(p->session, a->session);
    ck_assert_mem_eq(p->password, a->password, 16);
    ck_assert(a->is_closed);
    EXPECT(zk_ask_path(p, ZK_EXISTS, "/e", false), "ok (v0 c0 a0 n0 0b e)");
}
END_TEST

static void expect_refused(struct zk_peer *p)
{
    static const uint8_t zeros[16];
    size_t bytes;
    ck_assert(zk_take_hello(p, &bytes));
    ck_assert_uint_eq(bytes, 37);
    ck_assert(p->session == 0 && p->timeout_ms == 0);
    ck_assert_mem_eq(p->password, zeros, 16);
    ck_assert(p->is_closed);
}

START_TEST(a_wrong_password_gets_nothing_and_disturbs_nobody)
{
    struct zk_peer thief = *a;
    thief.password[3] ^= 1;
    expect_refused(zk_peer_resume(&w, &thief));
    ck_assert(!a->is_closed);
    EXPECT(zk_ask_create(a, "/a"), "ok /a");
    struct zk_peer *p = zk_peer_open(&w, "192.0.2.9:1");
    zk_hello_send(p, &(struct zk_hello){.session = a->session, .password = slice_str("short")});
    zk_world_run(&w);
    expect_refused(p);
    ck_assert(!a->is_closed);
}
END_TEST

START_TEST(who_asks_for_a_session_that_is_gone_never_gets_a_new_one)
{
    struct zk_peer stranger = *a;
    stranger.session = 4711;
    uint64_t leases = store_lease_count(w.node->store);
    expect_refused(zk_peer_resume(&w, &stranger));
    stranger.session = -4711;
    expect_refused(zk_peer_resume(&w, &stranger));
    EXPECT(zk_ask(a, ZK_CLOSE_SESSION, (struct buf){0}), "ok");
    ck_assert(a->is_closed);
    expect_refused(zk_peer_resume(&w, a));
    ck_assert_uint_eq(store_lease_count(w.node->store), leases - 1);
}
END_TEST

START_TEST(a_client_that_has_seen_more_is_closed_without_a_word)
{
    size_t bytes;
    int64_t revision = (int64_t)store_revision(w.node->store);
    struct zk_peer *p = hello(&(struct zk_hello){.last_zxid_seen = revision + 1}, &bytes);
    ck_assert(p->is_closed && bytes == 0);
    p = hello(&(struct zk_hello){.last_zxid_seen = revision}, &bytes);
    ck_assert(!p->is_closed && bytes == 37);
}
END_TEST

START_TEST(a_node_without_a_leader_takes_no_sessions)
{
    size_t bytes;
    w.node->is_serving = false;
    struct zk_peer *p = hello(&(struct zk_hello){.timeout_ms = 5000}, &bytes);
    ck_assert(p->is_closed && bytes == 0);
}
END_TEST

START_TEST(who_is_about_to_get_a_session_is_sent_away_when_the_leader_is_lost)
{
    size_t bytes;
    w.node->is_held = true;
    struct zk_peer *p = hello(&(struct zk_hello){.timeout_ms = 5000}, &bytes);
    zk_world_advance(&w, 3000);
    ck_assert(!p->is_closed);
    w.node->is_serving = false;
    zk_world_advance(&w, 900);
    ck_assert(!p->is_closed);
    zk_world_advance(&w, 1200);
    ck_assert(p->is_closed && bytes == 0);
}
END_TEST

START_TEST(closing_a_session_is_answered_and_takes_its_nodes_along)
{
    EXPECT(zk_ask(a, ZK_CREATE, zk_create_body("/e", "", ZK_FLAG_EPHEMERAL)), "ok /e");
    EXPECT(zk_ask_path(b, ZK_EXISTS, "/e", true), "ok (v0 c0 a0 n0 0b e)");
    EXPECT(zk_ask(a, ZK_CLOSE_SESSION, (struct buf){0}), "ok");
    ck_assert(a->is_closed);
    EXPECT(zk_say_next(b, 0), "event 2 /e");
}
END_TEST

START_TEST(a_broken_connection_leaves_the_session)
{
    EXPECT(zk_ask(a, ZK_CREATE, zk_create_body("/e", "", ZK_FLAG_EPHEMERAL)), "ok /e");
    struct zk_peer gone = *a;
    zk_peer_free(a);
    zk_world_run(&w);
    EXPECT(zk_ask_path(b, ZK_EXISTS, "/e", false), "ok (v0 c0 a0 n0 0b e)");
    struct zk_peer *p = zk_peer_resume(&w, &gone);
    size_t bytes;
    ck_assert(zk_take_hello(p, &bytes));
    ck_assert_int_eq(p->session, gone.session);
}
END_TEST

START_TEST(a_silent_connection_ends_after_its_timeout_and_a_ping_keeps_it)
{
    zk_world_advance(&w, 6000);
    (void)zk_send(a, ZK_PING, NULL);
    zk_world_run(&w);
    EXPECT(zk_say_next(a, ZK_PING), "ok");
    zk_world_advance(&w, 5000);
    ck_assert(b->is_closed);
    ck_assert(!a->is_closed);
    zk_world_advance(&w, 6000);
    ck_assert(a->is_closed);
}
END_TEST

START_TEST(every_packet_keeps_the_session_alive)
{
    size_t before = w.node->touches;
    EXPECT(zk_ask_path(a, ZK_EXISTS, "/none", false), "-101");
    ck_assert_uint_eq(w.node->touches, before + 1);
    ck_assert_uint_eq(w.node->touched, (uint64_t)a->session);
    EXPECT(zk_ask_create(b, "/b"), "ok /b");
    ck_assert_uint_eq(w.node->touched, (uint64_t)b->session);
}
END_TEST

/* On another node this happens: the session gets another owner in the log. */
static void take_over(struct zk_peer *p)
{
    struct command c = {.type = COMMAND_RESUME,
                        .lease = {.id = (uint64_t)p->session,
                                  .secret = slice_make(p->password, LEASE_SECRET_BYTES)}};
    struct apply_context context = {
        .index = ++w.node->index, .cluster_ms = w.node->cluster_ms, .last_of_entry = true};
    struct reply reply;
    store_apply(w.node->store, &context, &c, &reply);
    ck_assert_int_eq(reply.outcome, OUTCOME_OK);
}

START_TEST(who_lost_the_session_to_another_node_writes_nothing_and_is_closed)
{
    take_over(a);
    EXPECT(zk_ask_create(a, "/late"), "closed");
    EXPECT(zk_ask_path(b, ZK_EXISTS, "/late", false), "-101");
    take_over(b);
    zk_world_advance(&w, 600);
    ck_assert(b->is_closed);
}
END_TEST

START_TEST(without_a_leader_nothing_is_answered_and_after_a_while_the_client_is_sent_away)
{
    w.node->is_serving = false;
    (void)zk_send(a, ZK_PING, NULL);
    struct buf body = zk_path_body("/", false);
    (void)zk_send(a, ZK_EXISTS, &body);
    zk_world_advance(&w, 1000);
    EXPECT(zk_say_next(a, ZK_PING), "");
    w.node->is_serving = true;
    zk_world_advance(&w, 100);
    EXPECT(zk_say_next(a, ZK_PING), "ok");
    EXPECT(zk_say_next(a, ZK_EXISTS), "ok (v0 c-1 a0 n1 0b)");
    w.node->is_serving = false;
    zk_world_advance(&w, 3000);
    ck_assert(!a->is_closed);
    zk_world_advance(&w, 3000);
    ck_assert(a->is_closed);
}
END_TEST

/* The reads before a write are answered before it may show: so it waits for them. */
START_TEST(without_a_leader_a_write_does_not_hurry_what_waits_before_it)
{
    w.node->is_serving = false;
    (void)zk_send(a, ZK_PING, NULL);
    struct buf body = zk_create_body("/behind", "1", 0);
    (void)zk_send(a, ZK_CREATE, &body);
    zk_world_advance(&w, 1000);
    EXPECT(zk_say_next(a, ZK_PING), "");
    w.node->is_serving = true;
    zk_world_advance(&w, 100);
    EXPECT(zk_say_next(a, ZK_PING), "ok");
    EXPECT(zk_say_next(a, ZK_CREATE), "ok /behind");
}
END_TEST

START_TEST(what_comes_behind_the_connect_request_waits_for_the_session)
{
    struct zk_peer *p = zk_peer_open(&w, "192.0.2.9:1");
    struct buf auth = {0};
    jute_put_int(&auth, 0);
    zk_put_text(&auth, "digest");
    zk_put_text(&auth, "u:p");
    zk_hello_send(p, &(struct zk_hello){.timeout_ms = 5000});
    (void)zk_send(p, ZK_AUTH, &auth);
    struct buf body = zk_create_body("/pipe", "1", 0);
    (void)zk_send(p, ZK_CREATE, &body);
    body = zk_path_body("/pipe", false);
    (void)zk_send(p, ZK_GET_DATA, &body);
    ck_assert_uint_eq(p->out.size, 0);
    zk_world_run(&w);
    size_t bytes;
    ck_assert(zk_take_hello(p, &bytes));
    EXPECT(zk_say_next(p, ZK_AUTH), "ok");
    EXPECT(zk_say_next(p, ZK_CREATE), "ok /pipe");
    EXPECT(zk_say_next(p, ZK_GET_DATA), "ok 1 (v0 c0 a0 n0 1b)");
}
END_TEST

START_TEST(a_stopping_server_finishes_what_it_has)
{
    w.node->is_held = true;
    struct buf body = zk_create_body("/last", "1", 0);
    (void)zk_send(a, ZK_CREATE, &body);
    zookeeper_front.stop(a->state);
    zookeeper_front.stop(b->state);
    zk_world_run(&w);
    ck_assert(b->is_closed && !a->is_closed);
    w.node->is_held = false;
    zk_world_run(&w);
    EXPECT(zk_say_next(a, ZK_CREATE), "ok /last");
    ck_assert(a->is_closed);
}
END_TEST

/* ---- order -------------------------------------------------------------------------------- */

static void send_set(struct zk_peer *p, const char *data)
{
    struct buf body = zk_set_body("/a", data, -1);
    (void)zk_send(p, ZK_SET_DATA, &body);
}

static void send_get(struct zk_peer *p)
{
    struct buf body = zk_path_body("/a", false);
    (void)zk_send(p, ZK_GET_DATA, &body);
}

START_TEST(reads_see_the_writes_before_them_and_none_behind)
{
    EXPECT(zk_ask_create(a, "/a"), "ok /a");
    for (char n = '1'; n <= '9'; n++) {
        send_set(a, (char[]){n, '\0'});
        send_get(a);
    }
    ck_assert_uint_eq(w.node->pending, 9); /* all writes are on their way */
    zk_world_run(&w);
    for (int n = 1; n <= 9; n++) {
        char set[64];
        char get[64];
        (void)snprintf(set, sizeof set, "ok (v%d c0 a0 n0 1b)", n);
        (void)snprintf(get, sizeof get, "ok %d (v%d c0 a0 n0 1b)", n, n);
        EXPECT(zk_say_next(a, ZK_SET_DATA), set);
        EXPECT(zk_say_next(a, ZK_GET_DATA), get);
    }
}
END_TEST

START_TEST(very_many_reads_hold_back_the_write_behind_them)
{
    EXPECT(zk_ask_create(a, "/a"), "ok /a");
    send_set(a, "1");
    for (int i = 0; i < 40; i++) {
        send_get(a);
    }
    send_set(a, "2");
    send_get(a);
    ck_assert_uint_eq(w.node->pending, 1);
    zk_world_run(&w);
    EXPECT(zk_say_next(a, ZK_SET_DATA), "ok (v1 c0 a0 n0 1b)");
    for (int i = 0; i < 40; i++) {
        EXPECT(zk_say_next(a, ZK_GET_DATA), "ok 1 (v1 c0 a0 n0 1b)");
    }
    EXPECT(zk_say_next(a, ZK_SET_DATA), "ok (v2 c0 a0 n0 1b)");
    EXPECT(zk_say_next(a, ZK_GET_DATA), "ok 2 (v2 c0 a0 n0 1b)");
}
END_TEST

START_TEST(a_write_behind_a_sync_waits_for_it)
{
    EXPECT(zk_ask_create(a, "/a"), "ok /a");
    struct buf path = {0};
    zk_put_text(&path, "/anything");
    (void)zk_send(a, ZK_SYNC, &path);
    send_get(a);
    send_set(a, "2");
    ck_assert_uint_eq(w.node->pending, 1);
    zk_world_run(&w);
    EXPECT(zk_say_next(a, ZK_SYNC), "ok /anything");
    EXPECT(zk_say_next(a, ZK_GET_DATA), "ok x (v0 c0 a0 n0 1b)");
    EXPECT(zk_say_next(a, ZK_SET_DATA), "ok (v1 c0 a0 n0 1b)");
}
END_TEST

START_TEST(a_thousand_requests_may_be_open_and_more_are_not_read)
{
    w.node->is_held = true;
    EXPECT(zk_ask_create(b, "/b"), "");
    for (int i = 0; i < 1500; i++) {
        struct buf body = zk_create_body("/s-", "", ZK_FLAG_SEQUENTIAL);
        (void)zk_send(a, ZK_CREATE, &body);
    }
    ck_assert(a->is_paused);
    ck_assert_uint_eq(w.node->pending, 1001);
    w.node->is_held = false;
    zk_world_run(&w);
    for (int i = 0; i < 1500; i++) {
        char wanted[64];
        (void)snprintf(wanted, sizeof wanted, "ok /s-%010d", i + 1); /* behind /b */
        EXPECT(zk_say_next(a, ZK_CREATE), wanted);
    }
    ck_assert(!a->is_paused);
}
END_TEST

START_TEST(what_requests_and_replies_hold_is_noted_and_let_go)
{
    sum_begin(&a->env, &zookeeper_front, a->state);
    w.node->is_held = true;
    char data[1000];
    memset(data, 'x', sizeof data - 1);
    data[sizeof data - 1] = '\0';
    EXPECT(zk_ask_create(a, "/a"), "");
    struct buf body = zk_create_body("/b", data, 0);
    (void)zk_send(a, ZK_CREATE, &body);
    ck_assert_uint_gt(sum.hold.parts[MEMORY_REQUESTS], sizeof data);
    w.node->is_held = false;
    zk_world_run(&w);
    EXPECT(zk_say_next(a, ZK_CREATE), "ok /a");
    EXPECT(zk_say_next(a, ZK_CREATE), "ok /b");
    ck_assert_uint_eq(sum.hold.bytes, 0);
    /* When it is evicted it answers nothing more. */
    sum_overflow();
    size_t before = a->out.size;
    send_get(a);
    zk_world_run(&w);
    ck_assert(sum.is_evicted);
    ck_assert_uint_eq(a->out.size, before);
    ck_assert_uint_eq(sum.memory.bytes, 1);
    a->env.memory = NULL;
}
END_TEST

START_TEST(a_write_that_the_node_has_no_room_for_is_tried_again)
{
    w.node->submit_rc = RC_OVERLOADED;
    EXPECT(zk_ask_create(a, "/a"), "");
    send_get(a);
    w.node->submit_rc = RC_OK;
    zk_world_advance(&w, 100);
    EXPECT(zk_say_next(a, ZK_CREATE), "ok /a");
    EXPECT(zk_say_next(a, ZK_GET_DATA), "ok x (v0 c0 a0 n0 1b)");
}
END_TEST

START_TEST(a_write_of_unknown_outcome_ends_the_connection)
{
    w.node->is_held = true;
    send_set(a, "1");
    send_get(a);
    send_set(a, "2");
    w.node->is_held = false;
    w.node->finish_rc = RC_UNKNOWN;
    zk_world_run(&w);
    EXPECT(zk_say_next(a, ZK_SET_DATA), "closed");
    ck_assert_uint_eq(w.node->pending, 0);
}
END_TEST

START_TEST(replies_carry_the_revision_and_never_a_lower_one)
{
    int64_t last = 0;
    struct buf keep = {0};
    struct zk_seen seen;
    for (int i = 0; i < 20; i++) {
        struct buf body = {0};
        if (i % 3 == 0) { /* answered before the writes in front of it are */
            zk_put_multi_end(&body);
            (void)zk_send(a, ZK_MULTI, &body);
        } else {
            body = zk_create_body("/s-", "", ZK_FLAG_SEQUENTIAL);
            (void)zk_send(a, ZK_CREATE, &body);
        }
    }
    zk_world_run(&w);
    for (int i = 0; i < 20; i++) {
        ck_assert(zk_take(a, &seen, &keep));
        ck_assert_int_ge(seen.zxid, last);
        last = seen.zxid;
    }
    ck_assert_int_eq(last, (int64_t)store_revision(w.node->store));
    buf_close(&keep);
}
END_TEST

/* ---- operations --------------------------------------------------------------------------- */

START_TEST(creates_fail_in_zookeepers_order)
{
    static const struct {
        const char *path;
        int32_t flags;
        const char *reply;
    } cases[] = {
        {"/a", 0, "ok /a"},
        {"/a", 0, "-110"},
        {"/", 0, "-110"},
        {"", 0, "-8"},
        {"a", 0, "-8"},
        {"a/b", 0, "-101"},
        {"//a", 0, "-8"},
        {"/./a", 0, "-101"},
        {"/a//b", 0, "-101"},
        {"/no//a", 0, "-101"},
        {"/a/.", 0, "-8"},
        {"/a/", 0, "-8"},
        {"/no/b", 0, "-101"},
        {"/a/\xc3\xa9", 0, "ok /a/\xc3\xa9"},
        {"/a/\xf0\x9f\x98\x80", 0, "-8"},
        {"/a/\x01", 0, "-8"},
        {"/a/\xee\x80\x80", 0, "-8"},
        {"/a/\xef\xbf\xb0", 0, "-8"},
        {"/a/\xff", 0, "-8"},
        {"/no/b", 7, "-8"},
        {"/no/b", -1, "-8"},
        {"/a/t", 5, "-8"},
        {"/a/e", 1, "ok /a/e"},
        {"/a/e/x", 0, "-108"},
        {"/a/s-", 2, "ok /a/s-0000000002"},
        {"/a/", 2, "ok /a/0000000003"},
        {"/a/c", 4, "ok /a/c"},
        {"/a/e/.", 0, "-8"}, /* the name counts more than what the parent is */
        {"/a/s-", 2, "ok /a/s-0000000005"}, /* and names that were wrong took no number */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *reply =
            zk_ask(a, ZK_CREATE, zk_create_body(cases[i].path, "x", cases[i].flags));
        ck_assert_msg(strcmp(reply, cases[i].reply) == 0, "create %s %d: %s", cases[i].path,
                      (int)cases[i].flags, reply);
    }
}
END_TEST

static struct buf ttl_body(const char *path, int32_t flags, int64_t ttl_ms)
{
    struct buf body = zk_create_body(path, "x", flags);
    jute_put_long(&body, ttl_ms);
    return body;
}

START_TEST(the_other_creates_answer_with_a_stat)
{
    EXPECT(zk_ask(a, ZK_CREATE2, zk_create_body("/a", "x", 0)), "ok /a (v0 c0 a0 n0 1b)");
    EXPECT(zk_ask(a, ZK_CREATE_CONTAINER, zk_create_body("/c", "x", 4)),
           "ok /c (v0 c0 a0 n0 1b)");
    EXPECT(zk_ask(a, ZK_CREATE_TTL, ttl_body("/t", 5, 1000)), "ok /t (v0 c0 a0 n0 1b)");
    EXPECT(zk_ask(a, ZK_CREATE_TTL, ttl_body("/t-", 6, 1000)),
           "ok /t-0000000003 (v0 c0 a0 n0 1b)");
    EXPECT(zk_ask(a, ZK_CREATE_TTL, ttl_body("/x", 5, 0)), "-8");
    EXPECT(zk_ask(a, ZK_CREATE_TTL, ttl_body("/x", 5, INT64_C(1) << 40)), "-8");
    EXPECT(zk_ask(a, ZK_CREATE_TTL, ttl_body("/x", 0, 1000)), "-8");
    EXPECT(zk_ask(a, ZK_CREATE2, zk_create_body("/x", "x", 5)), "-8");
}
END_TEST

START_TEST(sets_and_deletes_fail_in_zookeepers_order)
{
    EXPECT(zk_ask_create(a, "/a"), "ok /a");
    EXPECT(zk_ask_create(a, "/a/b"), "ok /a/b");
    EXPECT(zk_ask(a, ZK_SET_DATA, zk_set_body("/a", "yy", 0)), "ok (v1 c1 a0 n1 2b)");
    EXPECT(zk_ask(a, ZK_SET_DATA, zk_set_body("/a", "z", 0)), "-103");
    EXPECT(zk_ask(a, ZK_SET_DATA, zk_set_body("/no", "z", 0)), "-101");
    EXPECT(zk_ask(a, ZK_SET_DATA, zk_set_body("/no/", "z", 0)), "-8");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/a", 9)), "-103");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/a", -1)), "-111");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/no/x", -1)), "-101");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/a//b", -1)), "-101");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("a", -1)), "-8");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/", -1)), "-8");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/zookeeper/config", -1)), "-8");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/a/b", 0)), "ok");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/a", 1)), "ok");
}
END_TEST

START_TEST(null_data_stays_null)
{
    struct buf body = {0};
    zk_put_text(&body, "/n");
    jute_put_null(&body);
    zk_put_open_acl(&body);
    jute_put_int(&body, 0);
    EXPECT(zk_ask(a, ZK_CREATE, body), "ok /n");
    EXPECT(zk_ask_path(a, ZK_GET_DATA, "/n", false), "ok null (v0 c0 a0 n0 0b)");
    EXPECT(zk_ask_set(a, "/n", ""), "ok (v1 c0 a0 n0 0b)");
    EXPECT(zk_ask_path(a, ZK_GET_DATA, "/n", false), "ok  (v1 c0 a0 n0 0b)");
}
END_TEST

START_TEST(reads_answer_from_the_tree_and_bad_paths_are_missing_nodes)
{
    EXPECT(zk_ask_create(a, "/a"), "ok /a");
    EXPECT(zk_ask_create(a, "/a/x"), "ok /a/x");
    EXPECT(zk_ask(a, ZK_CREATE, zk_create_body("/a/y", "", ZK_FLAG_EPHEMERAL)), "ok /a/y");
    struct buf body;
    EXPECT(zk_ask_path(a, ZK_GET_CHILDREN, "/a", false), "ok [ x y ]");
    EXPECT(zk_ask_path(a, ZK_GET_CHILDREN2, "/a", false), "ok [ x y ] (v0 c2 a0 n2 1b)");
    EXPECT(zk_ask_path(a, ZK_GET_CHILDREN, "/a/x", false), "ok [ ]");
    EXPECT(zk_ask_path(a, ZK_GET_CHILDREN, "/zookeeper", false), "ok [ config quota ]");
    EXPECT(zk_ask_path(a, ZK_GET_DATA, "a//", false), "-101");
    EXPECT(zk_ask_path(a, ZK_GET_CHILDREN, "x", false), "-101");
    body = (struct buf){0};
    jute_put_buffer(&body, slice_make((const uint8_t *)"/a\0b", 4));
    jute_put_bool(&body, true);
    EXPECT(zk_ask(a, ZK_EXISTS, body), "-8"); /* only exists looks for it */
    body = (struct buf){0};
    zk_put_text(&body, "/a");
    EXPECT(zk_ask(a, ZK_GET_ALL_CHILDREN_NUMBER, body), "ok 2");
    static const char *const prefixes[][2] = {
        {"/", "ok [ /a/y ]"}, {"", "ok [ /a/y ]"}, {"/a/", "ok [ /a/y ]"}, {"/b", "ok [ ]"}};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        body = (struct buf){0};
        zk_put_text(&body, prefixes[i][0]);
        EXPECT(zk_ask(a, ZK_GET_EPHEMERALS, body), prefixes[i][1]);
    }
    body = (struct buf){0};
    jute_put_null(&body);
    EXPECT(zk_ask(b, ZK_GET_EPHEMERALS, body), "ok [ ]");
}
END_TEST

START_TEST(a_listing_longer_than_a_page_is_whole)
{
    EXPECT(zk_ask_create(a, "/big"), "ok /big");
    for (int i = 0; i < 3000; i++) {
        char path[1200];
        (void)snprintf(path, sizeof path, "/big/%04d%01000d", i, 0);
        struct buf body = zk_create_body(path, "", 0);
        (void)zk_send(a, ZK_CREATE, &body);
        zk_world_run(&w);
        (void)zk_say_next(a, ZK_CREATE);
    }
    struct buf body = zk_path_body("/big", false);
    (void)zk_send(b, ZK_GET_CHILDREN, &body);
    zk_world_run(&w);
    struct zk_seen seen;
    struct buf keep = {0};
    ck_assert(zk_take(b, &seen, &keep));
    ck_assert_int_eq(jute_int(&seen.body), 3000);
    ck_assert_uint_eq(seen.body.rest.size, 3000 * 1008);
    buf_close(&keep);
}
END_TEST

START_TEST(what_no_client_may_ask_for_is_refused_and_ends_the_connection)
{
    static const int32_t types[] = {0, 10, 13, 20, 23, 99, -10};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct zk_peer *p = zk_peer_connect(&w, "192.0.2.9:1");
        EXPECT(zk_ask(p, types[i], zk_version_body("/zookeeper", 1)), "-6");
        ck_assert(p->is_closed);
    }
    EXPECT(zk_ask(a, ZK_SASL, zk_version_body("", 0)), "-115");
    EXPECT(zk_ask(a, ZK_GET_DATA, (struct buf){0}), "-5");
    EXPECT(zk_ask_path(a, ZK_GET_DATA, "/no", false), "-101");
}
END_TEST

START_TEST(packets_that_are_none_end_the_connection)
{
    static const char *const packets[] = {"\0\0\0\3abc", "\0\0\0\0", "\xff\xff\xff\xff",
                                          "\0\x10\0\0"};
    static const size_t sizes[] = {7, 4, 4, 4};
    for (size_t i = 0; i < 4; i++) {
        struct zk_peer *p = zk_peer_connect(&w, "192.0.2.9:1");
        zk_peer_feed(p, slice_make((const uint8_t *)packets[i], sizes[i]));
        zk_world_run(&w);
        EXPECT(zk_say_next(p, 0), "closed");
    }
}
END_TEST

/* ---- multi -------------------------------------------------------------------------------- */

struct multi {
    struct buf body;
};

static void multi_add(struct multi *m, int32_t type, struct buf body)
{
    zk_put_multi_head(&m->body, type, (enum zk_error) - 1);
    buf_append_slice(&m->body, buf_slice(&body));
    buf_close(&body);
}

static const char *multi_ask(struct multi *m, int32_t type)
{
    zk_put_multi_end(&m->body);
    struct buf body = m->body;
    m->body = (struct buf){0};
    return zk_ask(a, type, body);
}

START_TEST(a_multi_does_all_in_order_and_answers_each)
{
    struct multi m = {0};
    EXPECT(multi_ask(&m, ZK_MULTI), "ok");
    multi_add(&m, ZK_CREATE, zk_create_body("/k", "x", 0));
    multi_add(&m, ZK_CREATE2, zk_create_body("/k/a", "x", 0));
    multi_add(&m, ZK_CREATE, zk_create_body("/k/c", "x", ZK_FLAG_CONTAINER));
    multi_add(&m, ZK_CREATE_TTL, ttl_body("/k/t", 5, 1000));
    multi_add(&m, ZK_SET_DATA, zk_set_body("/k", "yy", 0));
    multi_add(&m, ZK_CHECK, zk_version_body("/k", 1));
    multi_add(&m, ZK_DELETE, zk_version_body("/k/a", 0));
    multi_add(&m, ZK_CREATE, zk_create_body("/k/s-", "x", ZK_FLAG_SEQUENTIAL));
    uint64_t revision = store_revision(w.node->store);
    EXPECT(multi_ask(&m, ZK_MULTI),
           "ok | 1 /k | 15 /k/a (v0 c0 a0 n0 1b) | 15 /k/c (v0 c0 a0 n0 1b) "
           "| 15 /k/t (v0 c0 a0 n0 1b) | 5 (v1 c3 a0 n3 2b) | 13 | 2 | 1 /k/s-0000000003");
    ck_assert_uint_eq(store_revision(w.node->store), revision + 1);
}
END_TEST

START_TEST(a_failed_multi_says_who_failed_and_does_nothing)
{
    struct multi m = {0};
    EXPECT(zk_ask_create(a, "/k"), "ok /k");
    uint64_t revision = store_revision(w.node->store);
    multi_add(&m, ZK_CREATE, zk_create_body("/k/s-", "x", ZK_FLAG_SEQUENTIAL));
    multi_add(&m, ZK_CHECK, zk_version_body("/k", 7));
    multi_add(&m, ZK_DELETE, zk_version_body("/k", -1));
    EXPECT(multi_ask(&m, ZK_MULTI), "ok | 0 | -103 | -2");
    ck_assert_uint_eq(store_revision(w.node->store), revision);
    EXPECT(zk_ask(a, ZK_CREATE, zk_create_body("/k/s-", "x", ZK_FLAG_SEQUENTIAL)),
           "ok /k/s-0000000000");
}
END_TEST

START_TEST(an_operation_that_cannot_be_fails_in_its_turn)
{
    struct multi m = {0};
    multi_add(&m, ZK_CREATE, zk_create_body("/ok", "x", 0));
    multi_add(&m, ZK_CREATE, zk_create_body("/zookeeper/.", "x", 0));
    multi_add(&m, ZK_CREATE, zk_create_body("/other", "x", 0));
    EXPECT(multi_ask(&m, ZK_MULTI), "ok | 0 | -8 | -2");
    multi_add(&m, ZK_DELETE, zk_version_body("/none", -1));
    multi_add(&m, ZK_CREATE, zk_create_body("bad", "x", 0));
    EXPECT(multi_ask(&m, ZK_MULTI), "ok | -101 | -2");
    multi_add(&m, ZK_CREATE_TTL, ttl_body("/t", 5, 0));
    EXPECT(multi_ask(&m, ZK_MULTI), "ok | -8");
    multi_add(&m, ZK_SET_DATA, zk_set_body("bad", "x", -1));
    EXPECT(multi_ask(&m, ZK_MULTI), "ok | -8");
    EXPECT(zk_ask_path(a, ZK_EXISTS, "/ok", false), "-101");
}
END_TEST

START_TEST(wrong_flags_and_reads_fail_a_multi_as_a_whole)
{
    struct multi m = {0};
    multi_add(&m, ZK_CREATE, zk_create_body("/a", "x", 0));
    multi_add(&m, ZK_CREATE, zk_create_body("/b", "x", 9));
    EXPECT(multi_ask(&m, ZK_MULTI), "-5");
    multi_add(&m, ZK_GET_DATA, zk_path_body("/", false));
    EXPECT(multi_ask(&m, ZK_MULTI), "-5");
    EXPECT(zk_ask_path(a, ZK_EXISTS, "/a", false), "-101");
}
END_TEST

START_TEST(a_multiRead_answers_each_for_itself)
{
    struct multi m = {0};
    EXPECT(zk_ask_create(a, "/a"), "ok /a");
    EXPECT(zk_ask_create(a, "/a/x"), "ok /a/x");
    multi_add(&m, ZK_GET_DATA, zk_path_body("/a", true));
    multi_add(&m, ZK_GET_CHILDREN, zk_path_body("/no", false));
    multi_add(&m, ZK_GET_CHILDREN, zk_path_body("/a", false));
    EXPECT(multi_ask(&m, ZK_MULTI_READ), "ok | 4 x (v0 c1 a0 n1 1b) | -101 | 8 [ x ]");
    EXPECT(zk_ask_set(b, "/a", "y"), "ok (v1 c1 a0 n1 1b)");
    EXPECT(zk_say_next(a, 0), ""); /* its watch byte means nothing */
}
END_TEST

/* ---- access ------------------------------------------------------------------------------- */

static struct buf auth_body(const char *scheme, const char *data)
{
    struct buf body = {0};
    jute_put_int(&body, 0);
    zk_put_text(&body, scheme);
    zk_put_text(&body, data);
    return body;
}

static struct buf acl_create_body(const char *path, int32_t permissions, const char *scheme,
                                  const char *id)
{
    const struct zk_acl acl = {permissions, slice_str(scheme), slice_str(id)};
    struct buf body = {0};
    zk_put_text(&body, path);
    zk_put_text(&body, "x");
    zk_put_acl(&body, &acl, 1);
    jute_put_int(&body, 0);
    return body;
}

START_TEST(schemes_that_do_not_exist_are_refused_and_end_the_connection)
{
    EXPECT(zk_ask(a, ZK_AUTH, auth_body("digest", "u:p")), "ok");
    EXPECT(zk_ask(a, ZK_AUTH, auth_body("ip", "")), "ok");
    EXPECT(zk_ask(a, ZK_WHO_AM_I, (struct buf){0}), "ok ip 192.0.2.7 digest u");
    EXPECT(zk_ask(b, ZK_AUTH, auth_body("kerberos", "u")), "-115");
    ck_assert(b->is_closed);
}
END_TEST

START_TEST(lists_that_no_node_may_have_are_refused_before_the_parent_is_looked_for)
{
    EXPECT(zk_ask(a, ZK_CREATE, acl_create_body("/no/a", 31, "world", "somebody")), "-114");
    EXPECT(zk_ask(a, ZK_CREATE, acl_create_body("/no/a", 31, "auth", "")), "-114");
    EXPECT(zk_ask(a, ZK_CREATE, acl_create_body("/no/a", 31, "digest", "x")), "-114");
    EXPECT(zk_ask(a, ZK_CREATE, acl_create_body("a", 31, "digest", "x")), "-8");
    struct buf body = {0};
    zk_put_text(&body, "/a");
    zk_put_text(&body, "");
    jute_put_int(&body, 0);
    jute_put_int(&body, 0);
    EXPECT(zk_ask(a, ZK_CREATE, body), "-114");
}
END_TEST

START_TEST(who_is_not_in_the_list_is_kept_out_and_digests_are_not_shown)
{
    EXPECT(zk_ask(a, ZK_AUTH, auth_body("digest", "al:pw")), "ok");
    EXPECT(zk_ask(a, ZK_CREATE, acl_create_body("/mine", 31, "auth", "")), "ok /mine");
    EXPECT(zk_ask_path(a, ZK_GET_DATA, "/mine", false), "ok x (v0 c0 a0 n0 1b)");
    EXPECT(zk_ask_path(b, ZK_GET_DATA, "/mine", false), "-102");
    EXPECT(zk_ask_path(b, ZK_EXISTS, "/mine", true), "-102");
    EXPECT(zk_ask_path(b, ZK_GET_CHILDREN, "/mine", false), "-102");
    EXPECT(zk_ask_set(b, "/mine", "y"), "-102");
    EXPECT(zk_ask_create(b, "/mine/x"), "-102");
    EXPECT(zk_ask_create(b, "/mine/."), "-102"); /* before the name is looked at */
    EXPECT(zk_ask_create(a, "/mine/."), "-8");
    struct buf path = {0};
    zk_put_text(&path, "/mine");
    EXPECT(zk_ask(a, ZK_GET_ACL, path),
           "ok 31 digest al:E2WgW72KiEUG4R7vIVBkt6SPXyA= (v0 c0 a0 n0 1b)");
    const struct zk_acl acl = {ZK_PERM_READ, slice_str("auth"), slice_str("")};
    struct buf body = {0};
    zk_put_text(&body, "/mine");
    zk_put_acl(&body, &acl, 1);
    jute_put_int(&body, 0);
    EXPECT(zk_ask(a, ZK_SET_ACL, body), "ok (v0 c0 a1 n0 1b)");
    path = (struct buf){0};
    zk_put_text(&path, "/mine");
    EXPECT(zk_ask(a, ZK_GET_ACL, path), "ok 1 digest al:x (v0 c0 a1 n0 1b)");
}
END_TEST

START_TEST(an_auth_packet_holds_for_the_requests_behind_it)
{
    w.node->is_held = true;
    struct buf body = zk_create_body("/first", "", 0);
    (void)zk_send(a, ZK_CREATE, &body);
    body = auth_body("digest", "al:pw");
    (void)zk_send(a, ZK_AUTH, &body);
    body = acl_create_body("/mine", 31, "auth", "");
    (void)zk_send(a, ZK_CREATE, &body);
    w.node->is_held = false;
    zk_world_run(&w);
    EXPECT(zk_say_next(a, ZK_CREATE), "ok /first");
    EXPECT(zk_say_next(a, ZK_AUTH), "ok");
    EXPECT(zk_say_next(a, ZK_CREATE), "ok /mine");
}
END_TEST

START_TEST(the_super_user_of_the_settings_may_everything)
{
    EXPECT(zk_ask(a, ZK_CREATE, acl_create_body("/none", 0, "world", "anyone")), "ok /none");
    EXPECT(zk_ask_path(b, ZK_GET_DATA, "/none", false), "-102");
    b->env.super_digest = "al:E2WgW72KiEUG4R7vIVBkt6SPXyA=";
    EXPECT(zk_ask(b, ZK_AUTH, auth_body("digest", "al:pw")), "ok");
    EXPECT(zk_ask_path(b, ZK_GET_DATA, "/none", false), "ok x (v0 c0 a0 n0 1b)");
}
END_TEST

/* ---- settings ----------------------------------------------------------------------------- */

START_TEST(linearizable_reads_ask_the_majority_first)
{
    w.settings.linearizable_reads = true;
    EXPECT(zk_ask_create(a, "/a"), "ok /a");
    w.node->is_held = true;
    EXPECT(zk_ask_path(a, ZK_GET_DATA, "/a", false), "");
    ck_assert_uint_eq(w.node->pending, 1);
    send_set(a, "2");
    ck_assert_uint_eq(w.node->pending, 1);
    w.node->is_held = false;
    zk_world_run(&w);
    EXPECT(zk_say_next(a, ZK_GET_DATA), "ok x (v0 c0 a0 n0 1b)");
    EXPECT(zk_say_next(a, ZK_SET_DATA), "ok (v1 c0 a0 n0 1b)");
}
END_TEST

static Suite *front_suite(void)
{
    Suite *suite = suite_create("zookeeper front");
    TCase *tcase = tcase_create("front");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, the_timeout_is_kept_between_its_bounds);
    tcase_add_test(tcase, the_reply_has_the_read_only_byte_if_the_request_had_it);
    tcase_add_test(tcase, session_ids_and_passwords_are_not_to_be_guessed);
    tcase_add_test(tcase, a_resumed_session_is_the_same_and_its_former_connection_ends);
    tcase_add_test(tcase, a_wrong_password_gets_nothing_and_disturbs_nobody);
    tcase_add_test(tcase, who_asks_for_a_session_that_is_gone_never_gets_a_new_one);
    tcase_add_test(tcase, a_client_that_has_seen_more_is_closed_without_a_word);
    tcase_add_test(tcase, a_node_without_a_leader_takes_no_sessions);
    tcase_add_test(tcase, who_is_about_to_get_a_session_is_sent_away_when_the_leader_is_lost);
    tcase_add_test(tcase, closing_a_session_is_answered_and_takes_its_nodes_along);
    tcase_add_test(tcase, a_broken_connection_leaves_the_session);
    tcase_add_test(tcase, a_silent_connection_ends_after_its_timeout_and_a_ping_keeps_it);
    tcase_add_test(tcase, every_packet_keeps_the_session_alive);
    tcase_add_test(tcase, who_lost_the_session_to_another_node_writes_nothing_and_is_closed);
    tcase_add_test(
        tcase, without_a_leader_nothing_is_answered_and_after_a_while_the_client_is_sent_away);
    tcase_add_test(tcase, without_a_leader_a_write_does_not_hurry_what_waits_before_it);
    tcase_add_test(tcase, what_comes_behind_the_connect_request_waits_for_the_session);
    tcase_add_test(tcase, a_stopping_server_finishes_what_it_has);
    tcase_add_test(tcase, reads_see_the_writes_before_them_and_none_behind);
    tcase_add_test(tcase, very_many_reads_hold_back_the_write_behind_them);
    tcase_add_test(tcase, a_write_behind_a_sync_waits_for_it);
    tcase_add_test(tcase, a_thousand_requests_may_be_open_and_more_are_not_read);
    tcase_add_test(tcase, what_requests_and_replies_hold_is_noted_and_let_go);
    tcase_add_test(tcase, a_write_that_the_node_has_no_room_for_is_tried_again);
    tcase_add_test(tcase, a_write_of_unknown_outcome_ends_the_connection);
    tcase_add_test(tcase, replies_carry_the_revision_and_never_a_lower_one);
    tcase_add_test(tcase, creates_fail_in_zookeepers_order);
    tcase_add_test(tcase, the_other_creates_answer_with_a_stat);
    tcase_add_test(tcase, sets_and_deletes_fail_in_zookeepers_order);
    tcase_add_test(tcase, null_data_stays_null);
    tcase_add_test(tcase, reads_answer_from_the_tree_and_bad_paths_are_missing_nodes);
    tcase_add_test(tcase, a_listing_longer_than_a_page_is_whole);
    tcase_add_test(tcase, what_no_client_may_ask_for_is_refused_and_ends_the_connection);
    tcase_add_test(tcase, packets_that_are_none_end_the_connection);
    tcase_add_test(tcase, a_multi_does_all_in_order_and_answers_each);
    tcase_add_test(tcase, a_failed_multi_says_who_failed_and_does_nothing);
    tcase_add_test(tcase, an_operation_that_cannot_be_fails_in_its_turn);
    tcase_add_test(tcase, wrong_flags_and_reads_fail_a_multi_as_a_whole);
    tcase_add_test(tcase, a_multiRead_answers_each_for_itself);
    tcase_add_test(tcase, schemes_that_do_not_exist_are_refused_and_end_the_connection);
    tcase_add_test(tcase,
                   lists_that_no_node_may_have_are_refused_before_the_parent_is_looked_for);
    tcase_add_test(tcase, who_is_not_in_the_list_is_kept_out_and_digests_are_not_shown);
    tcase_add_test(tcase, an_auth_packet_holds_for_the_requests_behind_it);
    tcase_add_test(tcase, the_super_user_of_the_settings_may_everything);
    tcase_add_test(tcase, linearizable_reads_ask_the_majority_first);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){front_suite, NULL});
}
