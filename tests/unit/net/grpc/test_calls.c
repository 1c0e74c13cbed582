/* What a call goes through besides its method: framing, headers, deadlines, cancellation, flow
 * control, limits, and the end of a connection. Much of it is input that no proper client
 * sends. */
#include "coord/v1/tree.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "net/grpc/call.h"
#include "net/grpc/memory.h"
#include "net/grpc/front.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_node.h"
#include "tests/support/grpc_peer.h"
#include "tests/support/memory_sum.h"

#define GET "/coord.v1.Tree/Get"
#define CREATE "/coord.v1.Tree/Create"
#define LIST "/coord.v1.Tree/List"
#define REFLECT "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

#define REQUEST(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name

static struct node *node;
static struct peer *peer;

static void setup(void)
{
    node = fake_node_new();
    peer = peer_new(node);
    node->now_ms = peer->env.now_ms;
    peer_run(peer);
}

static void setup_raw(void)
{
    node = fake_node_new();
    peer = peer_new_raw(node);
}

static void teardown(void)
{
    peer_free(peer);
    fake_node_free(node);
}

static void advance(uint64_t ms)
{
    node->now_ms += ms;
    peer_advance(peer, ms);
}

/* A framed GetRequest of "/". */
static const uint8_t get_root[] = {0, 0, 0, 0, 3, 0x12, 1, '/'};

static struct peer_call *call_with(const char *path, const char *const *headers,
                                   const void *body, size_t bytes)
{
    struct peer_call *call = peer_call_open(peer, path, headers);
    peer_call_send_bytes(call, body, bytes);
    peer_call_end(call);
    peer_run(peer);
    return call;
}

static int code_with(const char *path, const char *const *headers, const void *body,
                     size_t bytes)
{
    struct peer_call *call = call_with(path, headers, body, bytes);
    int code = peer_call_code(call);
    ck_assert(call->is_closed);
    peer_call_free(call);
    return code;
}

static int get_root_code(void)
{
    return code_with(GET, NULL, get_root, sizeof get_root);
}

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

static Suite *calls_suite(void)
{
    Suite *suite = suite_create("grpc calls");
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
    tcase_add_test(calls, a_client_without_window_gets_the_rest_when_it_reads);
    tcase_add_test(calls, replies_that_nobody_reads_are_bounded);
    tcase_add_test(calls, what_requests_and_replies_hold_is_noted_and_let_go);
    tcase_add_test(calls, a_stream_whose_answers_are_not_read_takes_no_more_messages);
    tcase_add_test(calls, a_sink_that_is_full_is_left_alone);
    tcase_add_test(calls, output_stops_when_the_queue_is_full);
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
    return check_main((check_suite_fn[]){calls_suite, NULL});
}
