/* What a call goes through besides its method: framing, headers, deadlines, cancellation. Much of
 * it is input that no proper client sends. */
#include "tests/support/grpc_calls_kit.h"

/* ---- headers ----------------------------------------------------------------------------- */

static const struct {
    const char *value;
    const char *status;
    int code;
} contents[] = {
    {"application/grpc", "200", GRPC_OK},
    {"application/grpc+proto", "200", GRPC_OK},
    {"application/grpc;charset=utf-8", "200", GRPC_OK},
    {"application/grpc+proto;x=y", "200", GRPC_OK},
    {"application/grpc+json", "200", GRPC_UNIMPLEMENTED},
    {"application/grpc+protobuf", "200", GRPC_UNIMPLEMENTED},
    {"application/grpcx", "415", -1},
    {"application/json", "415", -1},
    {"", "415", -1},
};

START_TEST(only_content_types_of_grpc_are_served)
{
    const char *headers[] = {"content-type", contents[_i].value, NULL};
    struct peer_call *call = call_with(GET, headers, get_root, sizeof get_root);
    ck_assert_str_eq(peer_call_header(call, ":status"), contents[_i].status);
    ck_assert_int_eq(peer_call_code(call), contents[_i].code);
    peer_call_free(call);
}
END_TEST

START_TEST(only_post_is_served)
{
    const char *headers[] = {":method", "GET", NULL};
    struct peer_call *call = call_with(GET, headers, get_root, sizeof get_root);
    ck_assert_str_eq(peer_call_header(call, ":status"), "405");
    ck_assert_int_eq(peer_call_code(call), -1);
    peer_call_free(call);
}
END_TEST

START_TEST(unknown_methods_are_unimplemented_and_named)
{
    const char *const cases[][2] = {
        {"/coord.v1.Tree/Nothing", "unknown method Nothing for service coord.v1.Tree"},
        {"/coord.v1.Forest/Get", "unknown service coord.v1.Forest"},
        {"/coord.v1.Tree", "malformed method name"},
        {"/", "malformed method name"},
        {"/coord.v1.Tree/Get/", "unknown method Get/ for service coord.v1.Tree"},
        {"/coord.v1.Tree/Ge", "unknown method Ge for service coord.v1.Tree"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peer_call *call = call_with(cases[i][0], NULL, get_root, sizeof get_root);
        ck_assert_int_eq(peer_call_code(call), GRPC_UNIMPLEMENTED);
        ck_assert_str_eq(peer_call_text(call), cases[i][1]);
        ck_assert_str_eq(peer_call_header(call, "content-type"), "application/grpc");
        peer_call_free(call);
    }
}
END_TEST

START_TEST(compression_is_refused_with_what_is_accepted)
{
    const char *headers[] = {"grpc-encoding", "gzip", NULL};
    struct peer_call *call = call_with(GET, headers, get_root, sizeof get_root);
    ck_assert_int_eq(peer_call_code(call), GRPC_UNIMPLEMENTED);
    ck_assert_str_eq(peer_call_header(call, "grpc-accept-encoding"), "identity");
    peer_call_free(call);

    uint8_t flagged[sizeof get_root];
    memcpy(flagged, get_root, sizeof flagged);
    flagged[0] = 1;
    call = call_with(GET, NULL, flagged, sizeof flagged);
    ck_assert_int_eq(peer_call_code(call), GRPC_UNIMPLEMENTED);
    ck_assert_str_eq(peer_call_header(call, "grpc-accept-encoding"), "identity");
    peer_call_free(call);

    headers[1] = "identity";
    ck_assert_int_eq(code_with(GET, headers, get_root, sizeof get_root), GRPC_OK);
}
END_TEST

START_TEST(giant_headers_are_refused)
{
    char *giant = mem_zalloc(40001);
    memset(giant, 'x', 40000);
    const char *headers[] = {"x-giant", giant, NULL};
    struct peer_call *call = call_with(GET, headers, get_root, sizeof get_root);
    ck_assert_int_eq(peer_call_code(call), GRPC_RESOURCE_EXHAUSTED);
    ck_assert_ptr_nonnull(strstr(peer_call_text(call), "32768"));
    peer_call_free(call);
    giant[8 << 10] = '\0'; /* a large token is fine */
    ck_assert_int_eq(code_with(GET, headers, get_root, sizeof get_root), GRPC_OK);
    mem_free(giant);
}
END_TEST

/* ---- messages ---------------------------------------------------------------------------- */

START_TEST(a_unary_call_takes_exactly_one_whole_message)
{
    uint8_t two[2 * sizeof get_root];
    memcpy(two, get_root, sizeof get_root);
    memcpy(two + sizeof get_root, get_root, sizeof get_root);
    ck_assert_int_eq(code_with(GET, NULL, get_root, 0), GRPC_INTERNAL);
    ck_assert_int_eq(code_with(GET, NULL, get_root, 3), GRPC_INTERNAL);
    ck_assert_int_eq(code_with(GET, NULL, get_root, sizeof get_root - 1), GRPC_INTERNAL);
    ck_assert_int_eq(code_with(GET, NULL, two, sizeof two), GRPC_UNIMPLEMENTED);
    ck_assert_int_eq(code_with(GET, NULL, two, sizeof get_root + 1), GRPC_UNIMPLEMENTED);
    ck_assert_int_eq(get_root_code(), GRPC_OK);
}
END_TEST

START_TEST(a_flag_that_is_none_is_malformed)
{
    uint8_t frame[sizeof get_root];
    memcpy(frame, get_root, sizeof frame);
    frame[0] = 2;
    ck_assert_int_eq(code_with(GET, NULL, frame, sizeof frame), GRPC_INTERNAL);
}
END_TEST

START_TEST(a_message_may_come_in_pieces)
{
    struct peer_call *call = peer_call_open(peer, GET, NULL);
    for (size_t i = 0; i < sizeof get_root; i++) {
        peer_call_send_bytes(call, &get_root[i], 1);
        peer_run(peer);
        ck_assert(!call->is_closed);
    }
    peer_call_end(call);
    peer_run(peer);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    peer_call_free(call);
}
END_TEST

START_TEST(what_is_no_protobuf_is_refused)
{
    const struct {
        size_t size;
        const char *bytes;
    } bodies[] = {
        {1, "\x12"},                                             /* no length */
        {2, "\x12\x05"},                                         /* beyond the end */
        {2, "\x13\x14"},                                         /* a group */
        {2, "\x00\x00"},                                         /* field number 0 */
        {2, "\x17\x00"},                                         /* no wire type */
        {11, "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},    /* a length near 2^64 */
        {12, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"}, /* an endless varint */
        {2, "\x10\x05"},                                         /* path as a number */
        {3, "\x0a\x01\x08"},                                     /* a broken header inside */
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        uint8_t frame[32] = {0, 0, 0, 0, (uint8_t)bodies[i].size};
        memcpy(frame + 5, bodies[i].bytes, bodies[i].size);
        int code = code_with(GET, NULL, frame, 5 + bodies[i].size);
        ck_assert_msg(code == GRPC_INTERNAL, "body %zu: %d", i, code);
    }
}
END_TEST

START_TEST(unknown_fields_are_ignored)
{
    const uint8_t frame[] = {0,    0,    0, 0,    16,   0x12, 1, '/', 0x98, 0x06, 5,
                             0xa2, 0x06, 2, 0xff, 0xff, 0xad, 6, 1,   2,    3};
    uint8_t body[sizeof frame + 1];
    memcpy(body, frame, sizeof frame);
    body[sizeof frame] = 4;
    body[4] = sizeof body - 5;
    ck_assert_int_eq(code_with(GET, NULL, body, sizeof body), GRPC_OK);
}
END_TEST

/* A message in a message, `depth` times, each as field 3 (TxnRequest.then_ops). */
START_TEST(messages_nested_thousands_deep_are_refused)
{
    struct buf inner = {0};
    struct buf outer = {0};
    for (int depth = 0; depth < 6000; depth++) {
        buf_clear(&outer);
        buf_append(&outer, "\x0a", 1);
        size_t size = inner.size;
        do {
            uint8_t byte = (uint8_t)((size & 0x7f) | (size > 0x7f ? 0x80 : 0));
            buf_append(&outer, &byte, 1);
            size >>= 7;
        } while (size > 0);
        buf_append_slice(&outer, buf_slice(&inner));
        struct buf swap = inner;
        inner = outer;
        outer = swap;
    }
    buf_clear(&outer);
    size_t begin = grpc_frame_begin(&outer);
    buf_append_slice(&outer, buf_slice(&inner));
    (void)grpc_frame_end(&outer, begin);
    const char *paths[] = {"/coord.v1.Tree/Txn", GET, "/coord.v1.Cluster/Status"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        int code = code_with(paths[i], NULL, outer.data, outer.size);
        ck_assert_int_gt(code, GRPC_OK);
    }
    buf_close(&inner);
    buf_close(&outer);
    ck_assert_int_eq(get_root_code(), GRPC_OK);
}
END_TEST

START_TEST(a_message_above_the_limit_is_refused_at_its_announcement)
{
    const uint8_t announced[] = {0, 0, 0x40, 0, 1};
    struct peer_call *call = peer_call_open(peer, GET, NULL);
    peer_call_send_bytes(call, announced, sizeof announced);
    peer_run(peer);
    ck_assert_int_eq(peer_call_code(call), GRPC_RESOURCE_EXHAUSTED);
    ck_assert_str_eq(peer_call_text(call),
                     "received message larger than max (4194305 vs. 4194304)");
    /* The client had more to send: it is told to stop, after the trailers, without an error. */
    ck_assert(call->is_closed);
    ck_assert_uint_eq(call->error, HTTP2_NO_ERROR);
    peer_call_free(call);
}
END_TEST

START_TEST(a_message_at_the_limit_is_taken)
{
    struct buf body = {0};
    size_t begin = grpc_frame_begin(&body);
    buf_append(&body, "\x12\x01/\x9a\x06\xf4\xff\xff\x01", 9); /* unknown bytes fill it up */
    memset(buf_extend(&body, 0x3ffff4), 'x', 0x3ffff4);
    size_t bytes = grpc_frame_end(&body, begin);
    ck_assert_uint_le(bytes - GRPC_PREFIX_BYTES, GRPC_MESSAGE_BYTES_MAX);
    ck_assert_uint_ge(bytes - GRPC_PREFIX_BYTES, GRPC_MESSAGE_BYTES_MAX - 16);
    ck_assert_int_eq(code_with(GET, NULL, body.data, body.size), GRPC_OK);
    buf_close(&body);
}
END_TEST

START_TEST(incomplete_requests_are_bounded_together)
{
    const uint8_t announced[] = {0, 0, 0x40, 0, 0};
    struct peer_call *calls[24];
    uint8_t *bytes = mem_zalloc((size_t)4 << 20);
    int refused = 0;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        calls[i] = peer_call_open(peer, GET, NULL);
        peer_call_send_bytes(calls[i], announced, sizeof announced);
        peer_call_send_bytes(calls[i], bytes, ((size_t)4 << 20) - 1);
        peer_run(peer);
        const struct grpc_connection *c = peer->state;
        ck_assert_uint_le(c->in_bytes, GRPC_IN_BYTES_MAX);
        refused += peer_call_code(calls[i]) == GRPC_RESOURCE_EXHAUSTED;
    }
    ck_assert_int_ge(refused, 8);
    ck_assert_int_le(refused, 9);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        peer_call_free(calls[i]);
    }
    mem_free(bytes);
    const struct grpc_connection *c = peer->state;
    ck_assert_uint_eq(c->in_bytes, 0);
    ck_assert_int_eq(get_root_code(), GRPC_OK);
}
END_TEST

/* ---- deadlines --------------------------------------------------------------------------- */

/* The deadline, from now, that the node is given with this grpc-timeout. */
static uint64_t node_deadline_ms(const char *timeout)
{
    const char *headers[] = {"grpc-timeout", timeout, NULL};
    node->is_held = true;
    struct peer_call *call =
        call_with(GET, timeout == NULL ? NULL : headers, get_root, sizeof get_root);
    struct node_read *read = LIST_OF(node->reads.next, struct node_read, link);
    ck_assert(!call->is_closed);
    uint64_t deadline_ms = read->deadline_ms - peer->env.now_ms;
    peer_call_free(call);
    node->is_held = false;
    return deadline_ms;
}

START_TEST(the_node_gets_the_clients_deadline_within_limits)
{
    ck_assert_uint_eq(node_deadline_ms(NULL), 10000);
    ck_assert_uint_eq(node_deadline_ms("1500m"), 1500);
    ck_assert_uint_eq(node_deadline_ms("4995815u"), 4996);
    ck_assert_uint_eq(node_deadline_ms("1n"), 1);
    ck_assert_uint_eq(node_deadline_ms("30S"), 30000);
    ck_assert_uint_eq(node_deadline_ms("99999999H"), 60000);
}
END_TEST

START_TEST(a_timeout_that_is_none_is_refused)
{
    const char *values[] = {"", "S", "5", "5x", "-5S", "123456789S", "5 S", "1e3S"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        const char *headers[] = {"grpc-timeout", values[i], NULL};
        ck_assert_int_eq(code_with(GET, headers, get_root, sizeof get_root), GRPC_INTERNAL);
    }
}
END_TEST

START_TEST(a_deadline_ends_a_call_that_the_node_holds)
{
    const char *headers[] = {"grpc-timeout", "100m", NULL};
    const uint8_t create[] = {0, 0, 0, 0, 4, 0x12, 2, '/', 'a'};
    node->is_held = true;
    struct peer_call *call = call_with(CREATE, headers, create, sizeof create);
    advance(99);
    ck_assert(!call->is_closed);
    advance(1);
    ck_assert_int_eq(peer_call_code(call), GRPC_DEADLINE_EXCEEDED);
    ck_assert_ptr_nonnull(strstr(peer_call_text(call), "outcome of the write is unknown"));
    peer_call_free(call);
}
END_TEST

START_TEST(a_deadline_ends_a_call_that_never_gets_complete)
{
    const char *headers[] = {"grpc-timeout", "100m", NULL};
    struct peer_call *call = peer_call_open(peer, GET, headers);
    peer_call_send_bytes(call, get_root, 4);
    peer_run(peer);
    advance(100);
    ck_assert_int_eq(peer_call_code(call), GRPC_DEADLINE_EXCEEDED);
    ck_assert(call->is_closed);
    peer_call_free(call);

    call = peer_call_open(peer, GET, NULL);
    peer_run(peer);
    advance(GRPC_TIMEOUT_DEFAULT_MS);
    ck_assert_int_eq(peer_call_code(call), GRPC_DEADLINE_EXCEEDED);
    peer_call_free(call);
}
END_TEST

START_TEST(a_deadline_of_nothing_has_passed)
{
    const char *headers[] = {"grpc-timeout", "0m", NULL};
    ck_assert_int_eq(code_with(GET, headers, get_root, sizeof get_root),
                     GRPC_DEADLINE_EXCEEDED);
    ck_assert_uint_eq(node->pending, 0);
}
END_TEST

START_TEST(a_long_call_has_the_deadline_that_the_client_sets)
{
    const char *headers[] = {"grpc-timeout", "100m", NULL};
    const uint8_t empty[5] = {0};
    struct peer_call *call =
        call_with("/grpc.health.v1.Health/Watch", headers, empty, sizeof empty);
    ck_assert(!call->is_closed);
    advance(100);
    ck_assert_int_eq(peer_call_code(call), GRPC_DEADLINE_EXCEEDED);
    ck_assert(call->is_closed);
    peer_call_free(call);
}
END_TEST

/* ---- cancellation ------------------------------------------------------------------------ */

START_TEST(a_call_that_is_cancelled_is_forgotten_by_the_node)
{
    const uint8_t create[] = {0, 0, 0, 0, 4, 0x12, 2, '/', 'a'};
    node->is_held = true;
    struct peer_call *write = call_with(CREATE, NULL, create, sizeof create);
    struct peer_call *read = call_with(GET, NULL, get_root, sizeof get_root);
    struct peer_call *kept = call_with(GET, NULL, get_root, sizeof get_root);
    ck_assert_uint_eq(node->pending, 3);
    peer_call_free(write);
    peer_call_free(read);
    ck_assert_uint_eq(node->cancelled, 2);
    ck_assert_uint_eq(node->pending, 1);
    node->is_held = false;
    peer_run(peer);
    ck_assert_int_eq(peer_call_code(kept), GRPC_OK);
    peer_call_free(kept);
}
END_TEST

START_TEST(a_connection_that_goes_takes_its_requests_along)
{
    node->is_held = true;
    struct peer_call *call = call_with(GET, NULL, get_root, sizeof get_root);
    ck_assert_uint_eq(node->pending, 1);
    peer_free(peer);
    ck_assert_uint_eq(node->pending, 0);
    ck_assert_uint_eq(node->cancelled, 1);
    ck_assert(call->is_closed);
    peer_call_free(call);
    peer = peer_new(node);
}
END_TEST

START_TEST(thousands_of_cancelled_calls_do_not_end_the_connection)
{
    node->is_held = true;
    for (int i = 0; i < 5000; i++) {
        struct peer_call *call = call_with(GET, NULL, get_root, sizeof get_root);
        peer_call_free(call);
    }
    ck_assert_uint_eq(peer->goaways, 0);
    node->is_held = false;
    ck_assert_int_eq(get_root_code(), GRPC_OK);
}
END_TEST

START_TEST(who_breaks_off_too_many_calls_is_read_later_and_loses_nothing)
{
    int broken_off = 0;
    node->is_held = true;
    while (!peer->is_unread) {
        ck_assert_int_lt(broken_off, RESETS_OWN_BURST + RESETS_BURST + 1);
        struct peer_call *call = call_with(GET, NULL, get_root, sizeof get_root);
        peer_call_free(call);
        broken_off++;
    }
    ck_assert_int_ge(broken_off, RESETS_OWN_BURST + RESETS_BURST);
    node->is_held = false;
    struct peer_call *waits = call_with(GET, NULL, get_root, sizeof get_root);
    ck_assert(!waits->is_closed);
    peer_advance(peer, RESETS_WAIT_MS_MAX);
    ck_assert(!peer->is_unread);
    ck_assert_int_eq(peer_call_code(waits), GRPC_OK);
    ck_assert_uint_eq(peer->goaways, 0);
    peer_call_free(waits);
}
END_TEST

static Suite *grpc_calls_suite(void)
{
    Suite *suite = suite_create("grpc_calls");
    TCase *calls = tcase_create("calls");
    tcase_add_checked_fixture(calls, setup, teardown);
    tcase_add_loop_test(calls, only_content_types_of_grpc_are_served, 0,
                        (int)(sizeof contents / sizeof contents[0]));
    tcase_add_test(calls, only_post_is_served);
    tcase_add_test(calls, unknown_methods_are_unimplemented_and_named);
    tcase_add_test(calls, compression_is_refused_with_what_is_accepted);
    tcase_add_test(calls, giant_headers_are_refused);
    tcase_add_test(calls, a_unary_call_takes_exactly_one_whole_message);
    tcase_add_test(calls, a_flag_that_is_none_is_malformed);
    tcase_add_test(calls, a_message_may_come_in_pieces);
    tcase_add_test(calls, what_is_no_protobuf_is_refused);
    tcase_add_test(calls, unknown_fields_are_ignored);
    tcase_add_test(calls, messages_nested_thousands_deep_are_refused);
    tcase_add_test(calls, a_message_above_the_limit_is_refused_at_its_announcement);
    tcase_add_test(calls, a_message_at_the_limit_is_taken);
    tcase_add_test(calls, incomplete_requests_are_bounded_together);
    tcase_add_test(calls, the_node_gets_the_clients_deadline_within_limits);
    tcase_add_test(calls, a_timeout_that_is_none_is_refused);
    tcase_add_test(calls, a_deadline_ends_a_call_that_the_node_holds);
    tcase_add_test(calls, a_deadline_ends_a_call_that_never_gets_complete);
    tcase_add_test(calls, a_deadline_of_nothing_has_passed);
    tcase_add_test(calls, a_long_call_has_the_deadline_that_the_client_sets);
    tcase_add_test(calls, a_call_that_is_cancelled_is_forgotten_by_the_node);
    tcase_add_test(calls, a_connection_that_goes_takes_its_requests_along);
    tcase_add_test(calls, thousands_of_cancelled_calls_do_not_end_the_connection);
    tcase_add_test(calls, who_breaks_off_too_many_calls_is_read_later_and_loses_nothing);
    suite_add_tcase(suite, calls);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){grpc_calls_suite, NULL});
}
