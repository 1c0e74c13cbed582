/* coord.v1.Config/Watch through the bytes of a real HTTP/2 client. */
#include "tests/support/config_kit.h"

#define PROGRESS_MS 5000

static struct peer_call *watch(uint64_t from_revision, uint32_t progress_ms)
{
    Coord__V1__ConfigWatchRequest request;
    coord__v1__config_watch_request__init(&request);
    request.path = text("/c");
    request.recursive = true;
    request.from_revision = from_revision;
    request.progress_ms = progress_ms;
    struct peer_call *call = peer_call_open(peer, "/coord.v1.Config/Watch", NULL);
    peer_call_send(call, &request.base);
    peer_call_end(call);
    run();
    return call;
}

static void none_but(struct peer_call *call, size_t count)
{
    struct slice message;
    ck_assert_msg(!peer_call_message(call, count, &message), "more than %zu were told", count);
}

/* The message of that number, from 0 on; freed by the caller. */
static Coord__V1__ConfigWatchReply *message(struct peer_call *call, size_t number)
{
    Coord__V1__ConfigWatchReply *reply =
        peer_call_unpack(call, number, &coord__v1__config_watch_reply__descriptor);
    ck_assert_msg(reply != NULL, "number %zu was not told: %s", number, peer_call_text(call));
    return reply;
}

static void told(struct peer_call *call, size_t number, uint64_t revision, size_t changes,
                 bool more)
{
    Coord__V1__ConfigWatchReply *reply = message(call, number);
    ck_assert_uint_eq(reply->revision, revision);
    ck_assert_uint_eq(reply->n_changes, changes);
    ck_assert_int_eq(reply->more, more);
    for (size_t i = 0; i < changes; i++) {
        ck_assert_uint_eq(reply->changes[i]->revision, revision);
    }
    coord__v1__config_watch_reply__free_unpacked(reply, NULL);
}

static uint64_t now(void)
{
    return store_revision(node->store);
}

static void wait_quietly(void)
{
    for (int i = 0; i < PROGRESS_MS / 1000; i++) {
        advance(1000);
    }
}

/* ---- how far it is ------------------------------------------------------------------------ */

START_TEST(a_watch_says_where_it_begins_and_how_far_it_is)
{
    root("/c");
    struct peer_call *call = watch(0, 0);
    told(call, 0, now(), 0, false);
    put("/c/a", "one");
    uint64_t first = now();
    told(call, 1, first, 1, false);
    none_but(call, 2);
    peer_call_free(call);
    call = watch(first, 0);
    told(call, 0, first - 1, 0, false); /* what is to come is not told yet */
    told(call, 1, first, 1, false);
    none_but(call, 2);
    peer_call_free(call);
}
END_TEST

START_TEST(a_quiet_watch_is_told_its_progress_in_time)
{
    root("/c");
    struct peer_call *call = watch(0, 0);
    uint64_t other = create("/other", "");
    run();
    none_but(call, 1);
    wait_quietly();
    told(call, 1, other, 0, false);
    none_but(call, 2);
    wait_quietly();
    told(call, 2, other, 0, false);
    advance(4000);
    put("/c/a", "one");
    told(call, 3, now(), 1, false);
    advance(4000);
    none_but(call, 4);
    advance(1000);
    told(call, 4, now(), 0, false);
    peer_call_free(call);
}
END_TEST

START_TEST(a_client_says_how_long_it_may_be_quiet)
{
    root("/c");
    struct peer_call *call = watch(0, 200);
    advance(199);
    none_but(call, 1);
    advance(1);
    told(call, 1, now(), 0, false);
    peer_call_free(call);
    call = watch(0, 99);
    ck_assert_int_eq(peer_call_code(call), GRPC_INVALID_ARGUMENT);
    ck_assert_str_eq(peer_call_text(call), "progress_ms: 99, at least 100");
    peer_call_free(call);
}
END_TEST

/* While nobody changes the configuration, the change log goes on without it. */
START_TEST(a_quiet_watch_is_resumed_from_its_progress_when_its_last_change_is_forgotten)
{
    root("/c");
    struct peer_call *call = watch(0, 0);
    put("/c/a", "one");
    uint64_t changed = now();
    compact();
    run();
    wait_quietly();
    Coord__V1__ConfigWatchReply *reply = message(call, 2);
    uint64_t revision = reply->revision;
    coord__v1__config_watch_reply__free_unpacked(reply, NULL);
    ck_assert_uint_eq(revision, now());
    peer_call_free(call);
    call = watch(changed + 1, 0);
    ck_assert_int_eq(peer_call_code(call), GRPC_OUT_OF_RANGE);
    peer_call_free(call);
    call = watch(revision + 1, 0);
    told(call, 0, revision, 0, false);
    put("/c/a", "two");
    told(call, 1, revision + 1, 1, false);
    peer_call_free(call);
}
END_TEST

START_TEST(a_watch_does_not_begin_with_what_cannot_be_known)
{
    root("/c");
    struct peer_call *call = watch(now() + 1, 0);
    told(call, 0, now(), 0, false);
    peer_call_free(call);
    call = watch(now() + 2, 0);
    ck_assert_int_eq(peer_call_code(call), GRPC_OUT_OF_RANGE);
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), "FUTURE_REVISION");
    ck_assert_ptr_nonnull(strstr(peer_call_text(call), "is in the future, the last is"));
    peer_call_free(call);
}
END_TEST

/* ---- large revisions, slow clients -------------------------------------------------------- */

/* Three keys in one revision, of so many bytes each. */
static uint64_t create_three(size_t size)
{
    uint8_t *value = mem_zalloc(size);
    struct op ops[3] = {
        op_make(OP_CREATE, "/c/0", slice_make(value, size)),
        op_make(OP_CREATE, "/c/1", slice_make(value, size)),
        op_make(OP_CREATE, "/c/2", slice_make(value, size)),
    };
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = ops, .then_count = 3}};
    uint64_t revision = apply(&c);
    mem_free(value);
    return revision;
}

START_TEST(a_revision_in_several_messages_is_marked)
{
    root("/c");
    struct peer_call *call = watch(0, 0);
    uint64_t revision = create_three((size_t)400 << 10);
    run();
    told(call, 1, revision, 2, true);
    told(call, 2, revision, 1, false);
    none_but(call, 3);
    peer_call_free(call);
}
END_TEST

START_TEST(nothing_comes_between_the_messages_of_a_revision)
{
    root("/c");
    struct peer_call *call = watch(0, 0);
    peer->client_hoards = true;
    uint64_t revision = create_three((size_t)1 << 20);
    uint64_t later = create("/c/later", "");
    run();
    for (int i = 0; i < 4; i++) {
        wait_quietly();
    }
    peer->client_hoards = false;
    peer_call_consume(call);
    run();
    for (size_t i = 0; i < 3; i++) {
        told(call, 1 + i, revision, 1, i < 2);
    }
    told(call, 4, later, 1, false);
    none_but(call, 5);
    peer_call_free(call);
}
END_TEST

/* ---- members that are cut off ------------------------------------------------------------- */

START_TEST(a_node_that_is_cut_off_says_how_old_its_progress_may_be)
{
    root("/c");
    struct peer_call *call = watch(0, 0);
    node->is_serving = false;
    node->age_ms = 1234;
    wait_quietly();
    Coord__V1__ConfigWatchReply *reply = message(call, 1);
    ck_assert_uint_eq(reply->revision, now());
    ck_assert_uint_eq(reply->header->revision, now());
    ck_assert(reply->header->age_known);
    ck_assert_uint_eq(reply->header->age_ms, 1234);
    coord__v1__config_watch_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
}
END_TEST

START_TEST(a_node_that_serves_nobody_lets_go_of_its_watches)
{
    root("/c");
    struct peer_call *call = watch(0, 0);
    node->is_serving = false;
    node->submit_rc = RC_STOPPED;
    advance(1000);
    ck_assert_int_eq(peer_call_code(call), GRPC_UNAVAILABLE);
    node->submit_rc = RC_OK;
    peer_call_free(call);
}
END_TEST

static Suite *config_watch_suite(void)
{
    Suite *s = suite_create("config_watch");
    TCase *t = tcase_create("watch");
    tcase_add_checked_fixture(t, world_open, world_close);
    tcase_add_test(t, a_watch_says_where_it_begins_and_how_far_it_is);
    tcase_add_test(t, a_quiet_watch_is_told_its_progress_in_time);
    tcase_add_test(t, a_client_says_how_long_it_may_be_quiet);
    tcase_add_test(
        t, a_quiet_watch_is_resumed_from_its_progress_when_its_last_change_is_forgotten);
    tcase_add_test(t, a_watch_does_not_begin_with_what_cannot_be_known);
    tcase_add_test(t, a_revision_in_several_messages_is_marked);
    tcase_add_test(t, nothing_comes_between_the_messages_of_a_revision);
    tcase_add_test(t, a_node_that_is_cut_off_says_how_old_its_progress_may_be);
    tcase_add_test(t, a_node_that_serves_nobody_lets_go_of_its_watches);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){config_watch_suite, NULL});
}
