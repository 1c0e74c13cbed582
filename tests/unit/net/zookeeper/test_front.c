/* ZooKeeper sessions over the real front end and store, and the order of requests and replies: what
 * clients are answered, and when they are not. Outcomes are those of ZooKeeper 3.8.0 unless
 * docs/protocols/zookeeper.md says why not. */
#include "tests/support/memory_sum.h"
#include "tests/support/zk_front_kit.h"

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

static Suite *zookeeper_front_suite(void)
{
    Suite *suite = suite_create("zookeeper_front");
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
    tcase_add_test(tcase, linearizable_reads_ask_the_majority_first);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){zookeeper_front_suite, NULL});
}
