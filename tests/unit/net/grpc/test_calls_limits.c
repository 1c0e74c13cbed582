/* What calls and connections may hold and how they end: flow control, limits, and bytes that are no
 * HTTP/2. */
#include "coord/v1/barrier.pb-c.h"
#include "coord/v1/config.pb-c.h"
#include "coord/v1/discovery.pb-c.h"
#include "coord/v1/election.pb-c.h"
#include "tests/support/grpc_calls_kit.h"
#include "tests/support/memory_sum.h"

/* ---- flow control ------------------------------------------------------------------------ */

/* A tree whose listing with data takes several pages of 2 MiB. */
static void large_tree_make(void)
{
    uint8_t *value = mem_zalloc(600000);
    for (int i = 0; i < 4; i++) {
        Coord__V1__CreateRequest request;
        coord__v1__create_request__init(&request);
        char path[] = "/n0";
        path[2] = (char)('0' + i);
        request.path = path;
        request.data = (ProtobufCBinaryData){.len = 600000, .data = value};
        struct peer_call *call = peer_unary(peer, CREATE, &request.base);
        ck_assert_int_eq(peer_call_code(call), GRPC_OK);
        peer_call_free(call);
    }
    mem_free(value);
}

static struct peer_call *list_root(void)
{
    Coord__V1__ListRequest request;
    coord__v1__list_request__init(&request);
    char path[] = "/";
    request.path = path;
    request.with_data = true;
    return peer_unary(peer, LIST, &request.base);
}

START_TEST(a_client_without_window_gets_the_rest_when_it_reads)
{
    large_tree_make();
    peer->client_hoards = true;
    struct peer_call *call = list_root();
    ck_assert_uint_eq(call->data.size, (size_t)HTTP2_STREAM_WINDOW_BYTES);
    ck_assert(!call->is_closed);
    ck_assert_int_eq(get_root_code(), GRPC_OK); /* others are not held up */
    while (!call->is_closed) {
        size_t before = call->data.size;
        peer_call_consume(call);
        peer_run(peer);
        ck_assert(call->is_closed || call->data.size > before);
    }
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    peer_call_free(call);
}
END_TEST

START_TEST(replies_that_nobody_reads_are_bounded)
{
    large_tree_make();
    peer->client_hoards = true;
    struct peer_call *calls[60];
    int refused = 0;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        calls[i] = list_root();
        const struct grpc_connection *c = peer->state;
        ck_assert_uint_le(http2_queued(c->http2), GRPC_OUT_BYTES_MAX + QUERY_PAGE_BYTES_MAX);
        refused += peer_call_code(calls[i]) == GRPC_RESOURCE_EXHAUSTED;
    }
    ck_assert_int_gt(refused, 10);
    /* Those are given up in the end. */
    advance(GRPC_LINGER_MS);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        ck_assert(calls[i]->is_closed);
        peer_call_free(calls[i]);
    }
    const struct grpc_connection *c = peer->state;
    ck_assert_uint_eq(http2_queued(c->http2), 0);
}
END_TEST

START_TEST(what_requests_and_replies_hold_is_noted_and_let_go)
{
    large_tree_make();
    sum_begin(&peer->front_env, &grpc_front, peer->state);
    const uint8_t announced[1000] = {0, 0, 0x40, 0, 0};
    struct peer_call *half = peer_call_open(peer, GET, NULL);
    peer_call_send_bytes(half, announced, sizeof announced);
    peer_run(peer);
    ck_assert_uint_eq(sum.hold.parts[MEMORY_REQUESTS], sizeof announced);
    peer->client_hoards = true;
    struct peer_call *list = list_root();
    const struct grpc_connection *c = peer->state;
    ck_assert_uint_gt(http2_queued(c->http2), 0);
    ck_assert_uint_eq(sum.hold.parts[MEMORY_REPLIES], http2_queued(c->http2));
    /* When it is evicted all of that is free at once, and it is answered nothing more. */
    sum_overflow();
    struct peer_call *late = list_root();
    ck_assert(sum.is_evicted);
    ck_assert_int_eq(peer_call_code(late), GRPC_RESOURCE_EXHAUSTED);
    ck_assert_uint_eq(c->in_bytes, 0);
    ck_assert_uint_eq(http2_queued(c->http2), 0);
    ck_assert_uint_eq(sum.memory.bytes, 1);
    peer->front_env.memory = NULL;
    peer_call_free(half);
    peer_call_free(list);
    peer_call_free(late);
}
END_TEST

START_TEST(a_stream_whose_answers_are_not_read_takes_no_more_messages)
{
    Grpc__Reflection__V1__ServerReflectionRequest request;
    grpc__reflection__v1__server_reflection_request__init(&request);
    request.message_request_case = REQUEST(FILE_CONTAINING_SYMBOL);
    char symbol[] = "coord.v1.Tree";
    request.file_containing_symbol = symbol;
    const size_t count = 2000;
    peer->client_hoards = true;
    struct peer_call *call = peer_call_open(peer, REFLECT, NULL);
    for (size_t i = 0; i < count; i++) {
        peer_call_send(call, &request.base);
    }
    peer_call_end(call);
    peer_run(peer);
    const struct grpc_connection *c = peer->state;
    ck_assert_uint_le(http2_queued(c->http2), 2 * GRPC_STREAM_OUT_BYTES_MAX);
    ck_assert(!call->is_closed);
    peer->client_hoards = false;
    while (!call->is_closed) {
        size_t before = call->data.size;
        peer_call_consume(call);
        peer_run(peer);
        ck_assert(call->is_closed || call->data.size > before);
    }
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    struct slice message;
    ck_assert(peer_call_message(call, count - 1, &message));
    ck_assert(!peer_call_message(call, count, &message));
    peer_call_free(call);
}
END_TEST

START_TEST(a_sink_that_is_full_is_left_alone)
{
    peer->is_blocked = true;
    struct peer_call *call = call_with(GET, NULL, get_root, sizeof get_root);
    ck_assert(!call->is_closed);
    peer->is_blocked = false;
    peer->is_awake = true;
    peer_run(peer);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    peer_call_free(call);
}
END_TEST

START_TEST(output_stops_when_the_queue_is_full)
{
    large_tree_make();
    peer->client_sleeps = true;
    struct peer_call *calls[20];
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        calls[i] = list_root();
        ck_assert_uint_le(peer->to_client.size, ENV_STREAM_QUEUE_MAX + ((size_t)512 << 10));
    }
    peer->client_sleeps = false;
    for (int round = 0; round < 200; round++) {
        peer_run(peer);
        for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
            peer_call_consume(calls[i]);
        }
    }
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        ck_assert(calls[i]->is_closed);
        peer_call_free(calls[i]);
    }
}
END_TEST

/* ---- deadlines ---------------------------------------------------------------------------- */

/* One message of each call that goes on for long and begins with a read. */
static struct peer_call *long_call(int number, const char *const *headers)
{
    Coord__V1__ConfigWatchRequest watch;
    Coord__V1__ConfigEffectiveRequest effective;
    Coord__V1__DiscoverySubscribeRequest subscribe;
    Coord__V1__ElectionObserveRequest observe;
    Coord__V1__LatchAwaitRequest await;
    char path[] = "/c";
    char service[] = "web";
    coord__v1__config_watch_request__init(&watch);
    coord__v1__config_effective_request__init(&effective);
    coord__v1__discovery_subscribe_request__init(&subscribe);
    coord__v1__election_observe_request__init(&observe);
    coord__v1__latch_await_request__init(&await);
    watch.path = effective.path = observe.path = await.path = path;
    effective.instance = subscribe.service = service;
    const struct {
        const char *method;
        const ProtobufCMessage *message;
    } calls[] = {
        {"/coord.v1.Config/Watch", &watch.base},
        {"/coord.v1.Config/WatchEffective", &effective.base},
        {"/coord.v1.Discovery/Subscribe", &subscribe.base},
        {"/coord.v1.Election/Observe", &observe.base},
        {"/coord.v1.Barrier/AwaitLatch", &await.base},
    };
    struct peer_call *call = peer_call_open(peer, calls[number].method, headers);
    peer_call_send(call, calls[number].message);
    peer_call_end(call);
    peer_run(peer);
    return call;
}

#define LONG_CALLS 5

START_TEST(a_long_call_waits_for_a_leader_only_so_long)
{
    node->is_held = true;
    struct peer_call *call = long_call(_i, NULL);
    advance(GRPC_TIMEOUT_DEFAULT_MS - 1);
    ck_assert_int_eq(peer_call_code(call), -1);
    advance(1);
    ck_assert_int_eq(peer_call_code(call), GRPC_UNAVAILABLE);
    ck_assert_str_eq(peer_call_text(call),
                     "not as fresh as asked for within 10000 ms, try another node");
    peer_call_free(call);
}
END_TEST

START_TEST(a_long_call_that_waits_for_a_leader_keeps_the_deadline_of_its_client)
{
    static const char *const hurried[] = {"grpc-timeout", "1S", NULL};
    node->is_held = true;
    struct peer_call *call = long_call(_i, hurried);
    advance(1000);
    ck_assert_int_eq(peer_call_code(call), GRPC_DEADLINE_EXCEEDED);
    peer_call_free(call);
}
END_TEST

START_TEST(a_long_call_keeps_the_deadline_of_its_client_once_it_goes_on)
{
    static const char *const headers[] = {"grpc-timeout", "30S", NULL};
    Coord__V1__ConfigCreateRootRequest root;
    char path[] = "/c";
    coord__v1__config_create_root_request__init(&root);
    root.path = path;
    struct peer_call *made = peer_unary(peer, "/coord.v1.Config/CreateRoot", &root.base);
    for (int i = 0; i < 3; i++) {
        peer_run(peer); /* it reads, and then writes */
    }
    ck_assert_int_eq(peer_call_code(made), GRPC_OK);
    peer_call_free(made);
    struct peer_call *call = long_call(0, headers);
    ck_assert_uint_gt(call->data.size, 0); /* it has begun */
    for (int i = 0; i < 29; i++) {
        advance(1000);
    }
    ck_assert_int_eq(peer_call_code(call), -1);
    advance(1000);
    ck_assert_int_eq(peer_call_code(call), GRPC_DEADLINE_EXCEEDED);
    peer_call_free(call);
}
END_TEST

/* ---- limits and the end of a connection -------------------------------------------------- */

START_TEST(streams_beyond_the_limit_are_refused_as_not_processed)
{
    peer->limits.requests_max = 2; /* below what the settings announced */
    node->is_held = true;
    struct peer_call *calls[3];
    for (int i = 0; i < 3; i++) {
        calls[i] = call_with(GET, NULL, get_root, sizeof get_root);
    }
    ck_assert(!calls[0]->is_closed);
    ck_assert(!calls[1]->is_closed);
    ck_assert(calls[2]->is_closed);
    ck_assert_uint_eq(calls[2]->error, HTTP2_REFUSED_STREAM);
    for (int i = 0; i < 3; i++) {
        peer_call_free(calls[i]);
    }
    node->is_held = false;
    ck_assert_int_eq(get_root_code(), GRPC_OK);
}
END_TEST

START_TEST(a_graceful_stop_finishes_what_is_in_flight)
{
    const uint8_t empty[5] = {0};
    node->is_held = true;
    struct peer_call *call = call_with(GET, NULL, get_root, sizeof get_root);
    struct peer_call *watch =
        call_with("/grpc.health.v1.Health/Watch", NULL, empty, sizeof empty);
    grpc_front.stop(peer->state);
    peer_run(peer);
    ck_assert_uint_eq(peer->goaways, 2);
    ck_assert_int_eq(peer->goaway_last_id, watch->stream.id);
    ck_assert(!peer->is_closed);
    ck_assert_int_eq(peer_call_code(watch), GRPC_UNAVAILABLE);
    ck_assert(!call->is_closed);
    node->is_held = false;
    peer_run(peer);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    ck_assert(peer->is_closed);
    peer_call_free(call);
    peer_call_free(watch);
}
END_TEST

START_TEST(a_graceful_stop_does_not_wait_for_a_client_that_sleeps)
{
    peer->client_sleeps = true;
    grpc_front.stop(peer->state);
    peer_run(peer);
    ck_assert(!peer->is_closing);
    advance(1000);
    peer_run(peer);
    ck_assert(peer->is_closing);
}
END_TEST

START_TEST(an_idle_connection_is_closed_if_so_limited)
{
    ck_assert_uint_gt(grpc_front.next_deadline_ms(peer->state), peer->env.now_ms + 3600000);
    peer->limits.idle_timeout_ms = 5000;
    ck_assert_uint_eq(grpc_front.next_deadline_ms(peer->state), peer->env.now_ms + 5000);
    advance(5000);
    ck_assert(peer->is_closed);
    ck_assert_uint_ge(peer->goaways, 1); /* the client may not look at the second any more */
}
END_TEST

START_TEST(a_connection_in_use_is_not_idle)
{
    peer->limits.idle_timeout_ms = 5000;
    node->is_held = true;
    const char *headers[] = {"grpc-timeout", "30S", NULL};
    struct peer_call *call = call_with(GET, headers, get_root, sizeof get_root);
    advance(6000);
    ck_assert(!peer->is_closed);
    node->is_held = false;
    peer_run(peer);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    peer_call_free(call);
}
END_TEST

START_TEST(a_client_that_is_silent_for_hours_is_asked_and_then_closed)
{
    advance((uint64_t)2 * 3600 * 1000);
    ck_assert(!peer->is_closed); /* it answered */
    peer->client_sleeps = true;
    advance((uint64_t)2 * 3600 * 1000);
    ck_assert(!peer->is_closing);
    advance(20000);
    ck_assert(peer->is_closing);
}
END_TEST

/* ---- bytes that are no HTTP/2 ------------------------------------------------------------ */

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

START_TEST(settings_are_sent_before_anything_is_read)
{
    peer_run(peer);
    ck_assert_uint_ge(peer->to_client.size, 9);
    ck_assert_uint_eq(peer->to_client.data[3], 4); /* SETTINGS */
    ck_assert_uint_eq(peer->to_client.data[4], 0); /* not an acknowledgement */
}
END_TEST

START_TEST(a_ping_is_answered)
{
    const uint8_t frames[] = {0, 0, 0, 4, 0, 0, 0, 0, 0,                         /* SETTINGS */
                              0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}; /* PING */
    peer_send_raw(peer, preface, sizeof preface - 1);
    peer_send_raw(peer, frames, sizeof frames);
    peer_run(peer);
    const uint8_t answer[] = {0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    bool is_found = false;
    for (size_t i = 0; i + sizeof answer <= peer->to_client.size; i++) {
        is_found = is_found || memcmp(peer->to_client.data + i, answer, sizeof answer) == 0;
    }
    ck_assert(is_found);
}
END_TEST

static const struct {
    size_t size;
    const char *bytes;
} garbage[] = {
    {9, "\0\0\0\x01\x05\0\0\0\0"},              /* HEADERS on stream 0 */
    {9, "\0\0\0\0\0\0\0\0\1"},                  /* DATA on an idle stream */
    {9, "\xff\xff\xff\0\0\0\0\0\1"},            /* a frame of 16 MiB */
    {13, "\0\0\4\x03\0\0\0\0\x05\0\0\0\0"},     /* RST_STREAM of an idle stream */
    {13, "\0\0\4\x08\0\0\0\0\0\0\0\0\0"},       /* WINDOW_UPDATE by 0 */
    {14, "\0\0\5\x01\x05\0\0\0\1\xff\xff\xff\xff\xff"}, /* broken HPACK */
    {13, "\0\0\4\x06\0\0\0\0\0abcd"},           /* a PING that is too short */
    {15, "\0\0\6\x04\0\0\0\0\0\0\5\0\0\0\1"},   /* SETTINGS: a frame size of 1 */
    {9, "\0\0\0\x09\x04\0\0\0\1"},              /* CONTINUATION of nothing */
    {21, "GET / HTTP/1.1\r\n\r\nabc"},
};

START_TEST(frames_that_make_no_sense_end_the_connection)
{
    const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    peer_send_raw(peer, preface, sizeof preface - 1);
    peer_send_raw(peer, settings, sizeof settings);
    peer_send_raw(peer, garbage[_i].bytes, garbage[_i].size);
    peer_run(peer);
    peer_send_raw(peer, settings, sizeof settings); /* and whatever may still come */
    peer_run(peer);
    bool has_ended = peer->is_closing || peer->is_closed;
    /* A frame that is merely long is waited for, up to its first forbidden byte. */
    ck_assert(has_ended);
}
END_TEST

START_TEST(a_preface_that_is_none_ends_the_connection)
{
    peer_send_raw(peer, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 24);
    peer_run(peer);
    ck_assert(peer->is_closing);
}
END_TEST

START_TEST(any_prefix_of_a_connection_may_be_all_there_is)
{
    uint8_t bytes[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                      "\0\0\0\4\0\0\0\0\0\0\0\5\1\5\0\0\0\1\x83";
    for (size_t size = 0; size < sizeof bytes; size++) {
        peer_free(peer);
        peer = peer_new_raw(node);
        peer_send_raw(peer, bytes, size);
        peer_run(peer);
    }
}
END_TEST

/* What each byte of a block of headers is, and what it makes of it. */
static const struct {
    const char *first; /* of the block */
    size_t first_bytes;
    char filling;
    uint8_t frames; /* of 16,000 bytes: at most so many are looked at */
} blocks[] = {
    {"", 0, '\0', 2},                          /* fields without a name, three bytes each */
    {"\x40\x01x\x7f\x81\x1e", 6, '\xbe', 2}, /* one of 4,000 bytes, then pointers to it */
    {"\x83", 1, '\x83', 5},                    /* :method, again and again */
};

START_TEST(headers_that_unfold_without_end_end_the_connection_early)
{
    const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    struct buf block = {0};
    buf_append(&block, blocks[_i].first, blocks[_i].first_bytes);
    if (blocks[_i].first_bytes == 6) {
        memset(buf_extend(&block, 4000), 'x', 4000);
    }
    size_t rest = 16000 - block.size;
    memset(buf_extend(&block, rest), blocks[_i].filling, rest);
    peer_send_raw(peer, preface, sizeof preface - 1);
    peer_send_raw(peer, settings, sizeof settings);
    for (uint8_t i = 0; i < blocks[_i].frames && !peer->is_closing; i++) {
        const uint8_t head[] = {0, 16000 >> 8, 16000 & 255, i == 0 ? 1 : 9, 0, 0, 0, 0, 1};
        peer_send_raw(peer, head, sizeof head);
        peer_send_raw(peer, block.data, block.size);
        peer_run(peer);
    }
    ck_assert(peer->is_closing || peer->is_closed);
    buf_close(&block);
}
END_TEST

START_TEST(headers_without_an_end_are_given_up)
{
    /* HEADERS without END_HEADERS, and then nothing. */
    const uint8_t frames[] = {0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0x83};
    peer_send_raw(peer, preface, sizeof preface - 1);
    peer_send_raw(peer, frames, sizeof frames);
    peer_run(peer);
    const struct grpc_connection *c = peer->state;
    ck_assert_uint_eq(http2_stream_count(c->http2), 1);
    advance(GRPC_TIMEOUT_DEFAULT_MS);
    ck_assert_uint_eq(http2_stream_count(c->http2), 0);
}
END_TEST

static Suite *grpc_calls_limits_suite(void)
{
    Suite *suite = suite_create("grpc_calls_limits");
    TCase *calls = tcase_create("calls");
    tcase_add_checked_fixture(calls, setup, teardown);
    tcase_add_test(calls, a_client_without_window_gets_the_rest_when_it_reads);
    tcase_add_test(calls, replies_that_nobody_reads_are_bounded);
    tcase_add_test(calls, what_requests_and_replies_hold_is_noted_and_let_go);
    tcase_add_test(calls, a_stream_whose_answers_are_not_read_takes_no_more_messages);
    tcase_add_test(calls, a_sink_that_is_full_is_left_alone);
    tcase_add_test(calls, output_stops_when_the_queue_is_full);
    tcase_add_loop_test(calls, a_long_call_waits_for_a_leader_only_so_long, 0, LONG_CALLS);
    tcase_add_loop_test(calls, a_long_call_that_waits_for_a_leader_keeps_the_deadline_of_its_client,
                        0, LONG_CALLS);
    tcase_add_test(calls, a_long_call_keeps_the_deadline_of_its_client_once_it_goes_on);
    tcase_add_test(calls, streams_beyond_the_limit_are_refused_as_not_processed);
    tcase_add_test(calls, a_graceful_stop_finishes_what_is_in_flight);
    tcase_add_test(calls, a_graceful_stop_does_not_wait_for_a_client_that_sleeps);
    tcase_add_test(calls, an_idle_connection_is_closed_if_so_limited);
    tcase_add_test(calls, a_connection_in_use_is_not_idle);
    tcase_add_test(calls, a_client_that_is_silent_for_hours_is_asked_and_then_closed);
    suite_add_tcase(suite, calls);
    TCase *raw = tcase_create("raw bytes");
    tcase_add_checked_fixture(raw, setup_raw, teardown);
    tcase_add_test(raw, settings_are_sent_before_anything_is_read);
    tcase_add_test(raw, a_ping_is_answered);
    tcase_add_loop_test(raw, frames_that_make_no_sense_end_the_connection, 0,
                        (int)(sizeof garbage / sizeof garbage[0]));
    tcase_add_test(raw, a_preface_that_is_none_ends_the_connection);
    tcase_add_test(raw, any_prefix_of_a_connection_may_be_all_there_is);
    tcase_add_loop_test(raw, headers_that_unfold_without_end_end_the_connection_early, 0,
                        (int)(sizeof blocks / sizeof blocks[0]));
    tcase_add_test(raw, headers_without_an_end_are_given_up);
    suite_add_tcase(suite, raw);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){grpc_calls_limits_suite, NULL});
}
