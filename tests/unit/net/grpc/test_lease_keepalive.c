/* coord.v1.Lease/KeepAlive: its stream, the rounds behind it, and what ends them; and bytes that
 * are no request of Lease or Session. */
#include "net/grpc/call.h"
#include "net/grpc/front.h"
#include "net/grpc/keepalive.h"
#include "tests/support/check_main.h"
#include "tests/support/grpc_lease_kit.h"

/* ---- KeepAlive --------------------------------------------------------------------------- */

static void alive_send(struct peer_call *call, uint64_t id)
{
    Coord__V1__LeaseKeepAliveRequest request;
    coord__v1__lease_keep_alive_request__init(&request);
    request.id = id;
    peer_call_send(call, &request.base);
}

/* Answer number `index`: its id, TTL and outcome; id 0 if there is none yet. */
struct alive {
    uint64_t id;
    uint64_t ttl_ms;
    int outcome;
};

static struct alive alive_get(const struct peer_call *call, size_t index)
{
    struct alive alive = {0};
    Coord__V1__LeaseKeepAliveReply *reply =
        peer_call_unpack(call, index, &coord__v1__lease_keep_alive_reply__descriptor);
    if (reply != NULL) {
        ck_assert_uint_eq(reply->header->applied_index, node->index);
        ck_assert(reply->header->age_known);
        ck_assert_uint_eq(reply->header->age_ms, 0);
        alive = (struct alive){reply->id, reply->ttl_ms, (int)reply->outcome};
        coord__v1__lease_keep_alive_reply__free_unpacked(reply, NULL);
    }
    return alive;
}

static size_t alive_count(const struct peer_call *call)
{
    size_t count = 0;
    struct slice message;
    struct slice rest = buf_slice(&call->data);
    while (grpc_frame_peek(rest, SIZE_MAX, &message) == GRPC_FRAME_WHOLE) {
        size_t bytes = GRPC_PREFIX_BYTES + message.size;
        rest = slice_make(rest.data + bytes, rest.size - bytes);
        count++;
    }
    return count;
}

START_TEST(a_keepalive_is_a_confirmed_touch)
{
    (void)ask_grant(peer, 9, 7000);
    node->is_held = true;
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    alive_send(call, 9);
    peer_run(peer);
    struct node_read *read = LIST_OF(node->reads.next, struct node_read, link);
    ck_assert(read->is_barrier);
    ck_assert_int_eq(read->consistency, READ_LINEARIZABLE);
    ck_assert_uint_eq(read->touch, 9);
    ck_assert_uint_eq(alive_count(call), 0);
    node->is_held = false;
    peer_run(peer);
    struct alive alive = alive_get(call, 0);
    ck_assert_uint_eq(alive.id, 9);
    ck_assert_uint_eq(alive.ttl_ms, 7000);
    ck_assert_int_eq(alive.outcome, COORD__V1__OUTCOME__OK);
    ck_assert_uint_eq(node->confirmed, 1);
    ck_assert(!call->is_closed);
    peer_call_free(call);
}
END_TEST

START_TEST(a_lease_that_is_gone_does_not_end_the_stream)
{
    struct ask_session session = ask_open(peer, 0);
    (void)ask_grant(peer, 9, 7000);
    Coord__V1__LeaseGrantRequest grant;
    coord__v1__lease_grant_request__init(&grant);
    grant.id = 10;
    grant.ttl_ms = 1000;
    grant.not_renewable = true;
    ask_done(peer, GRANT, &grant.base, &coord__v1__lease_grant_reply__descriptor);

    const struct alive expected[] = {
        {8, 0, COORD__V1__OUTCOME__NO_LEASE},
        {session.id, 0, COORD__V1__OUTCOME__NO_LEASE},
        {0, 0, COORD__V1__OUTCOME__NO_LEASE},
        {UINT64_MAX, 0, COORD__V1__OUTCOME__NO_LEASE},
        {10, 0, COORD__V1__OUTCOME__NOT_RENEWABLE},
        {9, 7000, COORD__V1__OUTCOME__OK},
    };
    const size_t count = sizeof expected / sizeof expected[0];
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    for (size_t i = 0; i < count; i++) {
        alive_send(call, expected[i].id);
    }
    peer_run(peer);
    for (size_t i = 0; i < count; i++) {
        struct alive alive = alive_get(call, i);
        ck_assert_uint_eq(alive.id, expected[i].id);
        ck_assert_uint_eq(alive.ttl_ms, expected[i].ttl_ms);
        ck_assert_int_eq(alive.outcome, expected[i].outcome);
    }
    ck_assert(!call->is_closed);
    peer_call_free(call);
}
END_TEST

START_TEST(nobody_keeps_a_session_alive_as_a_lease)
{
    struct ask_session session = ask_open(peer, 0);
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    alive_send(call, session.id);
    peer_run(peer);
    ck_assert_int_eq(alive_get(call, 0).outcome, COORD__V1__OUTCOME__NO_LEASE);
    ck_assert_uint_eq(node->confirmed, 0);
    peer_call_free(call);
}
END_TEST

START_TEST(a_lease_that_ends_meanwhile_is_gone_in_the_answer)
{
    (void)ask_grant(peer, 9, 7000);
    node->is_held = true;
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    alive_send(call, 9);
    peer_run(peer);
    Coord__V1__LeaseRevokeRequest request;
    coord__v1__lease_revoke_request__init(&request);
    request.id = 9;
    struct peer_call *revoke = peer_unary(peer, REVOKE, &request.base);
    node->is_held = false;
    peer_run(peer); /* writes complete first */
    ck_assert_int_eq(peer_call_code(revoke), GRPC_OK);
    ck_assert_int_eq(alive_get(call, 0).outcome, COORD__V1__OUTCOME__NO_LEASE);
    ck_assert_uint_eq(alive_get(call, 0).ttl_ms, 0);
    peer_call_free(revoke);
    peer_call_free(call);
}
END_TEST

START_TEST(answers_come_in_the_order_of_the_requests)
{
    for (uint64_t id = 1; id <= 5; id++) {
        (void)ask_grant(peer, id, 1000 * id);
    }
    node->is_held = true;
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    for (uint64_t id = 1; id <= 5; id++) {
        alive_send(call, id);
    }
    peer_run(peer);
    /* The rounds are confirmed from the last to the first. */
    while (!list_empty(&node->reads)) {
        ck_assert_uint_eq(alive_count(call), 0);
        fake_node_answer(node, LIST_OF(node->reads.prev, struct node_read, link));
        peer_run_front(peer);
    }
    ck_assert_uint_eq(alive_count(call), 5);
    for (uint64_t id = 1; id <= 5; id++) {
        ck_assert_uint_eq(alive_get(call, id - 1).id, id);
        ck_assert_uint_eq(alive_get(call, id - 1).ttl_ms, 1000 * id);
    }
    peer_call_free(call);
}
END_TEST

START_TEST(a_stream_takes_so_many_at_a_time_and_all_in_the_end)
{
    const size_t count = 4 * KEEPALIVE_STREAM_MAX + 7;
    (void)ask_grant(peer, 9, 7000);
    node->is_held = true;
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    for (size_t i = 0; i < count; i++) {
        alive_send(call, 9);
    }
    peer_call_end(call);
    peer_run(peer);
    ck_assert_uint_eq(node->pending, KEEPALIVE_STREAM_MAX);

    /* One answer is not enough to go on, half of them are. */
    fake_node_answer(node, LIST_OF(node->reads.next, struct node_read, link));
    peer_run_front(peer);
    ck_assert_uint_eq(node->pending, KEEPALIVE_STREAM_MAX - 1);
    while (node->pending > KEEPALIVE_STREAM_MAX / 2) {
        fake_node_answer(node, LIST_OF(node->reads.next, struct node_read, link));
    }
    peer_run_front(peer);
    ck_assert_uint_eq(node->pending, KEEPALIVE_STREAM_MAX);

    node->is_held = false;
    for (size_t turns = 0; !call->is_closed; turns++) {
        ck_assert_uint_lt(turns, count);
        peer_run(peer);
    }
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    ck_assert_uint_eq(alive_count(call), count);
    peer_call_free(call);
}
END_TEST

START_TEST(a_client_that_ends_its_half_gets_what_is_under_way)
{
    (void)ask_grant(peer, 9, 7000);
    node->is_held = true;
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    alive_send(call, 9);
    alive_send(call, 9);
    peer_call_end(call);
    peer_run(peer);
    ck_assert(!call->is_closed);
    node->is_held = false;
    peer_run(peer);
    ck_assert_uint_eq(alive_count(call), 2);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    ck_assert(call->is_closed);
    peer_call_free(call);

    call = peer_call_open(peer, KEEPALIVE, NULL);
    peer_call_end(call);
    peer_run(peer);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    ck_assert_uint_eq(alive_count(call), 0);
    peer_call_free(call);
}
END_TEST

START_TEST(a_cancelled_stream_takes_its_rounds_along)
{
    node->is_held = true;
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    for (uint64_t id = 1; id <= 10; id++) {
        alive_send(call, id);
    }
    peer_run(peer);
    ck_assert_uint_eq(node->pending, 10);
    fake_node_answer(node, LIST_OF(node->reads.prev, struct node_read, link));
    peer_call_free(call);
    ck_assert_uint_eq(node->pending, 0);
    ck_assert_uint_eq(node->cancelled, 9);
    const struct grpc_connection *c = peer->state;
    ck_assert_uint_eq(c->shared->keepalives, 0);
}
END_TEST

START_TEST(a_connection_that_goes_takes_its_rounds_along)
{
    node->is_held = true;
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    alive_send(call, 1);
    peer_run(peer);
    ck_assert_uint_eq(node->pending, 1);
    grpc_front.close(peer->state);
    peer->is_closed = true;
    ck_assert_uint_eq(node->pending, 0);
    peer_call_free(call);
}
END_TEST

static const struct {
    enum status rc;
    const char *text;
} failures[] = {
    {RC_NO_LEADER, "lease 0000000000000002: keepalive not confirmed: no leader is known"},
    {RC_TIMEOUT, "lease 0000000000000002: keepalive not confirmed: deadline exceeded"},
    {RC_STOPPED, "lease 0000000000000002: keepalive not confirmed: shutting down"},
};

START_TEST(a_round_that_fails_ends_the_stream_after_the_answers_before_it)
{
    (void)ask_grant(peer, 1, 1000);
    node->is_held = true;
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    alive_send(call, 1);
    alive_send(call, 2);
    alive_send(call, 3);
    peer_run(peer);
    struct node_read *first = LIST_OF(node->reads.next, struct node_read, link);
    struct node_read *second = LIST_OF(first->link.next, struct node_read, link);
    fake_node_fail_read(node, second, failures[_i].rc);
    peer_run_front(peer);
    ck_assert(!call->is_closed);
    fake_node_answer(node, first);
    peer_run_front(peer);
    ck_assert(call->is_closed);
    ck_assert_uint_eq(alive_count(call), 1);
    ck_assert_int_eq(peer_call_code(call), GRPC_UNAVAILABLE);
    ck_assert_str_eq(peer_call_text(call), failures[_i].text);
    ck_assert_uint_eq(node->pending, 0);
    peer_call_free(call);
}
END_TEST

START_TEST(a_round_has_a_deadline_of_its_own)
{
    node->is_held = true;
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    peer_run(peer);
    advance(3600 * 1000);
    alive_send(call, 1);
    peer_run(peer);
    advance(KEEPALIVE_TIMEOUT_MS - 1);
    ck_assert(!call->is_closed);
    advance(1);
    ck_assert_int_eq(peer_call_code(call), GRPC_UNAVAILABLE);
    peer_call_free(call);
}
END_TEST

START_TEST(a_node_that_takes_no_rounds_ends_the_stream)
{
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    node->submit_rc = RC_STOPPED;
    alive_send(call, 1);
    alive_send(call, 2);
    peer_run(peer);
    ck_assert_int_eq(peer_call_code(call), GRPC_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(peer_call_text(call), "0000000000000001"));
    peer_call_free(call);
}
END_TEST

START_TEST(rounds_of_all_streams_are_bounded_together)
{
    node->is_held = true;
    struct grpc_connection *c = peer->state;
    c->shared->keepalives += KEEPALIVE_SHARED_MAX - 1;
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    alive_send(call, 1);
    peer_run(peer);
    ck_assert(!call->is_closed);
    alive_send(call, 2);
    peer_run(peer);
    ck_assert(!call->is_closed); /* in order: the first one is not answered yet */
    node->is_held = false;
    peer_run(peer);
    ck_assert_int_eq(peer_call_code(call), GRPC_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(peer_call_text(call), "too many requests in flight"));
    ck_assert_uint_eq(alive_count(call), 1);
    peer_call_free(call);
    c->shared->keepalives -= KEEPALIVE_SHARED_MAX - 1;
    ck_assert_uint_eq(c->shared->keepalives, 0);
}
END_TEST

START_TEST(the_deadline_of_the_client_ends_a_stream_with_rounds_under_way)
{
    const char *headers[] = {"grpc-timeout", "100m", NULL};
    node->is_held = true;
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, headers);
    alive_send(call, 1);
    peer_run(peer);
    advance(100);
    ck_assert_int_eq(peer_call_code(call), GRPC_DEADLINE_EXCEEDED);
    peer_call_free(call);
    ck_assert_uint_eq(node->pending, 0);
}
END_TEST

START_TEST(a_stop_ends_streams_with_rounds_under_way)
{
    node->is_held = true;
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    alive_send(call, 1);
    peer_run(peer);
    grpc_front.stop(peer->state);
    peer_run(peer);
    ck_assert_int_eq(peer_call_code(call), GRPC_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(peer_call_text(call), "shutting down"));
    peer_call_free(call);
    ck_assert_uint_eq(node->pending, 0);
}
END_TEST

START_TEST(a_client_that_does_not_read_stops_its_own_stream_only)
{
    (void)ask_grant(peer, 9, 7000);
    peer->client_hoards = true;
    struct peer_call *call = peer_call_open(peer, KEEPALIVE, NULL);
    size_t sent = 0;
    size_t rounds;
    do {
        rounds = node->confirmed;
        for (int i = 0; i < KEEPALIVE_STREAM_MAX; i++, sent++) {
            alive_send(call, 9);
        }
        peer_run(peer);
    } while (node->confirmed > rounds);
    const struct grpc_connection *c = peer->state;
    ck_assert_uint_le(http2_queued(c->http2), 2 * GRPC_STREAM_OUT_BYTES_MAX);
    ck_assert_uint_lt(node->confirmed, sent);
    ck_assert(ask_exists(peer, "/"));

    peer->client_hoards = false;
    peer_call_end(call);
    for (size_t turns = 0; !call->is_closed; turns++) {
        ck_assert_uint_lt(turns, sent);
        peer_call_consume(call);
        peer_run(peer);
    }
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    ck_assert_uint_eq(alive_count(call), sent);
    peer_call_free(call);
}
END_TEST

/* ---- garbage ----------------------------------------------------------------------------- */

static const char *const paths[] = {
    GRANT, REVOKE, TTL, LIST, KEEPALIVE, "/coord.v1.Session/Open", "/coord.v1.Session/Resume",
    "/coord.v1.Session/Close", "/coord.v1.Session/KeepAlive",
};

/* Bytes that look like fields more often than random ones. */
static size_t garbage_make(struct rng *rng, uint8_t *to, size_t max)
{
    size_t size = rng_below(rng, max);
    for (size_t i = 0; i < size; i++) {
        uint64_t draw = rng_next(rng);
        to[i] = (draw & 3) == 0 ? (uint8_t)(draw >> 8)
                                : (uint8_t)((draw >> 8 & 7) << 3 | (draw >> 16 & 2));
    }
    return size;
}

START_TEST(whatever_bytes_come_every_call_is_answered)
{
    struct rng rng;
    rng_init(&rng, (uint64_t)_i + 1);
    for (int i = 0; i < 2000; i++) {
        uint8_t bytes[128] = {0};
        size_t size = garbage_make(&rng, bytes + GRPC_PREFIX_BYTES,
                                   sizeof bytes - GRPC_PREFIX_BYTES);
        bytes[GRPC_PREFIX_BYTES - 1] = (uint8_t)size;
        struct peer_call *call = peer_call_open(peer, paths[_i], NULL);
        peer_call_send_bytes(call, bytes, GRPC_PREFIX_BYTES + size);
        peer_call_end(call);
        peer_run(peer);
        ck_assert(call->is_closed);
        ck_assert_int_ge(peer_call_code(call), GRPC_OK);
        peer_call_free(call);
    }
    ck_assert_uint_eq(node->pending, 0);
    store_check(node->store);
}
END_TEST

static Suite *grpc_lease_keepalive_suite(void)
{
    Suite *suite = suite_create("grpc_lease_keepalive");
    TCase *tcase = tcase_create("keepalive");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_keepalive_is_a_confirmed_touch);
    tcase_add_test(tcase, a_lease_that_is_gone_does_not_end_the_stream);
    tcase_add_test(tcase, nobody_keeps_a_session_alive_as_a_lease);
    tcase_add_test(tcase, a_lease_that_ends_meanwhile_is_gone_in_the_answer);
    tcase_add_test(tcase, answers_come_in_the_order_of_the_requests);
    tcase_add_test(tcase, a_stream_takes_so_many_at_a_time_and_all_in_the_end);
    tcase_add_test(tcase, a_client_that_ends_its_half_gets_what_is_under_way);
    tcase_add_test(tcase, a_cancelled_stream_takes_its_rounds_along);
    tcase_add_test(tcase, a_connection_that_goes_takes_its_rounds_along);
    tcase_add_loop_test(tcase, a_round_that_fails_ends_the_stream_after_the_answers_before_it,
                        0, (int)(sizeof failures / sizeof failures[0]));
    tcase_add_test(tcase, a_round_has_a_deadline_of_its_own);
    tcase_add_test(tcase, a_node_that_takes_no_rounds_ends_the_stream);
    tcase_add_test(tcase, rounds_of_all_streams_are_bounded_together);
    tcase_add_test(tcase, the_deadline_of_the_client_ends_a_stream_with_rounds_under_way);
    tcase_add_test(tcase, a_stop_ends_streams_with_rounds_under_way);
    tcase_add_test(tcase, a_client_that_does_not_read_stops_its_own_stream_only);
    tcase_add_loop_test(tcase, whatever_bytes_come_every_call_is_answered, 0,
                        (int)(sizeof paths / sizeof paths[0]));
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){grpc_lease_keepalive_suite, NULL});
}
