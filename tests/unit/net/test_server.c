/* Connections between streams and fronts, over a fake network: detection, limits, backpressure,
 * timeouts, stop. The fronts are one of our own, which does what each test tells it, and HTTP. */
#include "net/server.h"

#include "base/pack.h"
#include "net/conn.h"
#include "net/http/http.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_net.h"
#include "tests/support/fake_status.h"

#define PORT    7400
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static struct fake_net *net;
static struct env *server_env;
static struct env *client_env;
static struct server *server;
static struct metrics *metrics;
static struct server_options options;
static char lines[16384];
static int stops; /* calls of `stopped` */

static void keep_line(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    size_t used = strlen(lines);
    (void)snprintf(lines + used, sizeof lines - used, "%s\n", line);
}

static struct log test_log = {.level = LOG_DEBUG, .sink = keep_line};

/* ---- a front that does as it is told ---- */

struct toy {
    const struct front_env *env;
    bool is_open;
    size_t fed;
    int feeds, turns, ticks, closes;
    struct buf input;
    uint64_t deadline_ms;
};

static struct {
    ptrdiff_t (*feed)(struct toy *t, struct slice bytes); /* NULL: take all */
    void (*turn)(struct toy *t);
    void (*tick)(struct toy *t);
    void (*stop)(struct toy *t);
    enum status open_rc;
    uint64_t first_deadline_ms; /* 0 = none */
    int opens, closes, turns, shared_frees;
    struct toy *last;
    bool is_inside; /* a front function runs: no other may begin */
} told;

static void enter(void)
{
    ck_assert(!told.is_inside);
    told.is_inside = true;
}

static void leave(void)
{
    told.is_inside = false;
}

static void *toy_shared_new(const struct front_env *env)
{
    ck_assert_ptr_eq(env->env, server_env);
    return &told;
}

static void toy_shared_free(void *shared)
{
    ck_assert_ptr_eq(shared, &told);
    told.shared_frees++;
}

static enum status toy_open(void *state, const struct front_env *env)
{
    struct toy *t = state;
    ck_assert_ptr_eq(env->shared, &told);
    ck_assert_str_ne(env->peer, "");
    if (told.open_rc != RC_OK) {
        return told.open_rc;
    }
    t->env = env;
    t->is_open = true;
    t->deadline_ms = told.first_deadline_ms != 0 ? told.first_deadline_ms : UINT64_MAX;
    told.opens++;
    told.last = t;
    return RC_OK;
}

static ptrdiff_t toy_feed(void *state, struct slice bytes)
{
    struct toy *t = state;
    enter();
    ck_assert(t->is_open);
    t->feeds++;
    ptrdiff_t taken = told.feed != NULL ? told.feed(t, bytes) : (ptrdiff_t)bytes.size;
    if (taken > 0) {
        t->fed += (size_t)taken;
        buf_append(&t->input, bytes.data, (size_t)taken);
    }
    leave();
    return taken;
}

static void toy_turn(void *state)
{
    struct toy *t = state;
    enter();
    ck_assert(t->is_open);
    t->turns++;
    told.turns++;
    if (told.turn != NULL) {
        told.turn(t);
    }
    leave();
}

static void toy_tick(void *state, uint64_t now_ms)
{
    struct toy *t = state;
    enter();
    ck_assert_uint_eq(now_ms, fake_net_now(net));
    ck_assert_uint_ge(now_ms, t->deadline_ms);
    t->ticks++;
    if (told.tick != NULL) {
        told.tick(t);
    }
    leave();
}

static uint64_t toy_deadline(const void *state)
{
    return ((const struct toy *)state)->deadline_ms;
}

static void toy_stop(void *state)
{
    enter();
    if (told.stop != NULL) {
        told.stop(state);
    }
    leave();
}

static void toy_close(void *state)
{
    struct toy *t = state;
    enter();
    ck_assert(t->is_open);
    t->is_open = false;
    told.closes++;
    told.last = NULL;
    buf_close(&t->input);
    leave();
}

static const struct front toy_front = {.name = "toy",
                                       .state_size = sizeof(struct toy),
                                       .rest_bytes_max = 100,
                                       .shared_new = toy_shared_new,
                                       .shared_free = toy_shared_free,
                                       .open = toy_open,
                                       .feed = toy_feed,
                                       .turn = toy_turn,
                                       .tick = toy_tick,
                                       .next_deadline_ms = toy_deadline,
                                       .stop = toy_stop,
                                       .close = toy_close};

/* ---- clients ---- */

struct client {
    struct env_stream *stream;
    struct buf in;
    size_t received;
    bool is_open, is_closed;
};

static void client_open(void *owner)
{
    ((struct client *)owner)->is_open = true;
}

static void client_data(void *owner, struct slice bytes)
{
    struct client *c = owner;
    c->received += bytes.size;
    if (c->in.size < 65536) {
        buf_append_slice(&c->in, bytes);
    }
}

static void client_closed(void *owner, enum status rc)
{
    (void)rc;
    ((struct client *)owner)->is_closed = true;
}

static const struct env_stream_events client_events = {
    .open = client_open, .data = client_data, .closed = client_closed};

static struct client clients[64];
static size_t client_count;

/* Everything that can happen, with a loop turn after each thing. */
static void settle(void)
{
    do {
        server_read_on(server);
        server_turn(server);
    } while (fake_net_step(net) || server_next_deadline_ms(server) == 0);
}

static struct client *client_new(void)
{
    struct client *c = &clients[client_count++];
    c->stream = client_env->net->connect(client_env, "server", PORT, &client_events, c);
    settle();
    ck_assert(c->is_open);
    return c;
}

static void client_send(struct client *c, const char *text)
{
    (void)client_env->net->write(c->stream, slice_str(text));
    settle();
}

static struct client *client_saying(const char *text)
{
    struct client *c = client_new();
    client_send(c, text);
    return c;
}

static void client_leave(struct client *c)
{
    client_env->net->close(c->stream, false);
    c->is_closed = true;
    settle();
}

static void run_for(uint64_t ms)
{
    uint64_t end = fake_net_now(net) + ms;
    for (;;) {
        settle();
        uint64_t now = fake_net_now(net);
        uint64_t next = server_next_deadline_ms(server);
        if (now >= end) {
            return;
        }
        next = next < end ? next : end;
        fake_net_advance(net, next > now ? next - now : 1);
    }
}

static bool was_logged(const char *text)
{
    return strstr(lines, text) != NULL;
}

static void setup(void)
{
    net = fake_net_new(3);
    server_env = fake_net_host(net, "server");
    client_env = fake_net_host(net, "client");
    metrics = metrics_new();
    memset(&told, 0, sizeof told);
    memset(clients, 0, sizeof clients);
    client_count = 0;
    lines[0] = '\0';
    stops = 0;
    fake_status = (struct node_status){
        .name = "n1", .state = "leader", .state_reason = "", .serving = true};
    options = (struct server_options){
        .env = server_env,
        .log = &test_log,
        .metrics = metrics,
        .host = "server",
        .port = PORT,
        .fronts = {[SERVER_HTTP1] = &http_front, [SERVER_HTTP2] = &toy_front}};
}

static void open_server(void)
{
    struct errmsg err = {0};
    ck_assert_int_eq(server_open(&options, &server, &err), RC_OK);
    ck_assert_uint_eq(server_port(server), PORT);
}

static void teardown(void)
{
    server_close(server);
    ck_assert_int_eq(told.opens, told.closes);
    ck_assert_int_eq(told.shared_frees, 1);
    fake_net_settle(net);
    for (size_t i = 0; i < client_count; i++) {
        ck_assert(clients[i].is_closed); /* nobody was forgotten */
        buf_close(&clients[i].in);
    }
    struct buf text = {0};
    metrics_print(metrics, &text);
    pack_u8(&text, 0);
    ck_assert_ptr_nonnull(
        strstr((const char *)text.data, "coord_connections{protocol=\"toy\"} 0\n"));
    ck_assert_ptr_nonnull(
        strstr((const char *)text.data, "coord_connections{protocol=\"unknown\"} 0\n"));
    buf_close(&text);
    metrics_free(metrics);
    fake_net_free(net);
}

static void setup_open(void)
{
    setup();
    open_server();
}

/* ---- detection ---- */

START_TEST(the_first_bytes_tell_the_protocol)
{
    static const struct {
        const char *bytes;
        bool is_known;
        enum server_protocol protocol;
    } cases[] = {
        {"", false, 0},
        {"G", false, 0},
        {"P", false, 0},
        {"PRI * HTTP/2.0\r", false, 0},
        {"PRI * HTTP/2.0\r\n", true, SERVER_HTTP2},
        {PREFACE, true, SERVER_HTTP2},
        {"PRI * HTTP/1.1\r\n", true, SERVER_PROTOCOLS},
        {"GET /", true, SERVER_HTTP1},
        {"PUT /", true, SERVER_HTTP1},
        {"POST /x", true, SERVER_HTTP1},
        {"PATCH ", true, SERVER_HTTP1},
        {"get /", true, SERVER_PROTOCOLS},
        {"\x16\x03\x01", true, SERVER_PROTOCOLS},
        {"r", false, 0},
        {"ruo", false, 0},
        {"ruok", true, SERVER_ZOOKEEPER},
        {"wchp\n", true, SERVER_ZOOKEEPER},
        {"rook", true, SERVER_PROTOCOLS},
        {"SSH-2.0-x", true, SERVER_PROTOCOLS},
    };
    setup_open();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum server_protocol protocol;
        const char *why = NULL;
        bool is_known = server_detect(slice_str(cases[i].bytes), &protocol, &why);
        ck_assert_int_eq(is_known, cases[i].is_known);
        if (is_known) {
            ck_assert_int_eq(protocol, cases[i].protocol);
        }
    }
    enum server_protocol first;
    const char *none = NULL;
    ck_assert(server_detect(slice_make("", 1), &first, &none)); /* of a length below 2^24 */
    ck_assert_int_eq(first, SERVER_ZOOKEEPER);
    /* All prefixes of a preface are undecided or right. */
    for (size_t n = 0; n <= strlen(PREFACE); n++) {
        enum server_protocol protocol;
        const char *why = NULL;
        if (server_detect(slice_make(PREFACE, n), &protocol, &why)) {
            ck_assert_int_eq(protocol, SERVER_HTTP2);
        }
    }
}
END_TEST

START_TEST(a_front_gets_all_bytes_however_they_are_cut)
{
    setup_open();
    fake_net_set_piece(net, 3);
    client_saying(PREFACE "and more");
    ck_assert_int_eq(told.opens, 1);
    ck_assert(slice_is(buf_slice(&told.last->input), PREFACE "and more"));
    struct client *http = client_saying("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert_int_eq(memcmp(http->in.data, "HTTP/1.1 200 OK\r\n", 17), 0);
    ck_assert_uint_eq(server_connections(server), 2);
}
END_TEST

START_TEST(tls_and_the_unknown_are_closed_with_a_reason)
{
    setup_open();
    struct client *tls = client_saying("\x16\x03\x01\x02");
    ck_assert(tls->is_closed);
    ck_assert(was_logged("a TLS handshake, and TLS is not switched on here"));
    struct client *words = client_saying("ruok");
    ck_assert(words->is_closed);
    ck_assert(was_logged("client.refused peer=client:"));
    ck_assert_uint_eq(server_connections(server), 0);
}
END_TEST

START_TEST(a_protocol_without_front_is_closed)
{
    setup();
    options.fronts[SERVER_HTTP1] = NULL;
    open_server();
    ck_assert(client_saying("GET / HTTP/1.1\r\n\r\n")->is_closed);
}
END_TEST

START_TEST(a_front_that_does_not_open_closes_the_connection)
{
    setup_open();
    told.open_rc = RC_NO_MEMORY;
    ck_assert(client_saying(PREFACE)->is_closed);
    ck_assert_int_eq(told.opens, 0);
}
END_TEST

/* ---- limits ---- */

START_TEST(who_says_nothing_is_closed_in_time)
{
    setup_open();
    struct client *silent = client_new();
    run_for(SERVER_HANDSHAKE_MS / 2);
    struct client *half = client_saying("PRI * HT");
    struct client *good = client_saying(PREFACE);
    run_for(SERVER_HANDSHAKE_MS / 2 - 1);
    ck_assert(!silent->is_closed);
    run_for(1);
    ck_assert(silent->is_closed);
    ck_assert(!half->is_closed);
    run_for(SERVER_HANDSHAKE_MS / 2);
    ck_assert(half->is_closed);
    run_for(10 * SERVER_HANDSHAKE_MS);
    ck_assert(!good->is_closed); /* its front has not asked for a deadline */
    ck_assert_uint_eq(server_next_deadline_ms(server), UINT64_MAX);
}
END_TEST

START_TEST(one_connection_too_many_is_closed_and_room_is_used_again)
{
    setup();
    options.connections_max = 3;
    open_server();
    struct client *first = client_saying(PREFACE);
    client_new();
    client_new();
    struct client *fourth = client_new();
    ck_assert(fourth->is_closed);
    ck_assert(was_logged("all 3 connections are used"));
    client_leave(first);
    ck_assert_uint_eq(server_connections(server), 2);
    ck_assert(!client_saying(PREFACE)->is_closed);
}
END_TEST

START_TEST(idle_connections_cost_no_work_and_little_memory)
{
    setup_open();
    for (int i = 0; i < 50; i++) {
        client_saying(PREFACE);
    }
    int turns = told.turns;
    struct client *busy = client_saying("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert_uint_gt(busy->received, 0);
    for (int i = 0; i < 100; i++) {
        server_turn(server);
    }
    ck_assert_int_eq(told.turns, turns);
    ck_assert_uint_le(sizeof(struct conn), 512);
    ck_assert_uint_le(http_front.state_size, 128);
}
END_TEST

/* ---- bytes in ---- */

static ptrdiff_t take_lines(struct toy *t, struct slice bytes)
{
    (void)t;
    for (size_t i = bytes.size; i > 0; i--) {
        if (bytes.data[i - 1] == '\n') {
            return (ptrdiff_t)i;
        }
    }
    return 0;
}

START_TEST(what_a_front_leaves_over_is_offered_again)
{
    setup_open();
    told.feed = take_lines;
    struct client *c = client_saying(PREFACE);
    size_t before = told.last->fed;
    client_send(c, "half a ");
    client_send(c, "line");
    ck_assert_uint_eq(told.last->fed, before);
    client_send(c, " and its end\nand");
    ck_assert(slice_is(buf_slice(&told.last->input), PREFACE "half a line and its end\n"));
    client_send(c, " more\n");
    ck_assert(
        slice_is(buf_slice(&told.last->input), PREFACE "half a line and its end\nand more\n"));
}
END_TEST

START_TEST(leaving_over_more_than_agreed_ends_the_connection)
{
    setup_open();
    told.feed = take_lines;
    struct client *c = client_saying(PREFACE);
    char text[102];
    memset(text, 'x', 101);
    text[100] = '\0';
    client_send(c, text);
    ck_assert(!c->is_closed);
    client_send(c, "y");
    ck_assert(c->is_closed);
    ck_assert_int_eq(told.closes, 1);
}
END_TEST

static ptrdiff_t fail_after_answering(struct toy *t, struct slice bytes)
{
    (void)bytes;
    t->env->sink.write(t->env->sink.conn, slice_str("sorry"));
    return -(ptrdiff_t)RC_MALFORMED;
}

START_TEST(an_error_of_the_front_ends_the_connection_after_its_answer)
{
    setup_open();
    told.feed = fail_after_answering;
    struct client *c = client_saying(PREFACE);
    ck_assert(c->is_closed);
    ck_assert(slice_is(buf_slice(&c->in), "sorry"));
    ck_assert_int_eq(told.closes, 1);
}
END_TEST

static ptrdiff_t pause_at_each_line(struct toy *t, struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.data[i] == '\n') {
            t->env->sink.pause(t->env->sink.conn, true);
            return (ptrdiff_t)i + 1;
        }
    }
    return 0;
}

START_TEST(a_paused_connection_reads_nothing_until_it_is_resumed)
{
    setup_open();
    struct client *c = client_saying(PREFACE);
    told.feed = pause_at_each_line;
    size_t before = told.last->fed;
    client_send(c, "a\nb\nc\n");
    ck_assert_uint_eq(told.last->fed, before + 2);
    client_send(c, "d\n"); /* stays with the network */
    ck_assert_uint_eq(told.last->fed, before + 2);
    for (size_t i = 2; i <= 4; i++) {
        const struct front_sink *sink = &told.last->env->sink;
        sink->pause(sink->conn, false);
        settle();
        ck_assert_uint_eq(told.last->fed, before + 2 * i);
    }
}
END_TEST

/* ---- shares of the loop's time ---- */

#define COSTLY_BYTES ((size_t)100 * 1024)

static uint8_t costly[COSTLY_BYTES];

/* Whatever says something but "light" takes a millisecond for each piece, however small. */
static ptrdiff_t take_with_effort(struct toy *t, struct slice bytes)
{
    (void)t;
    if (!slice_is(bytes, "light")) {
        fake_net_advance(net, CONN_SHARE_US / 1000);
    }
    return (ptrdiff_t)bytes.size;
}

/* What arrives, arrives: no turn meanwhile. */
static void send_without_turns(struct client *c, struct slice bytes)
{
    (void)client_env->net->write(c->stream, bytes);
    fake_net_settle(net);
}

START_TEST(a_costly_client_is_read_in_pieces_and_loses_no_byte)
{
    setup_open();
    told.feed = take_with_effort;
    for (size_t i = 0; i < COSTLY_BYTES; i++) {
        costly[i] = (uint8_t)(i * 7 + i / 251);
    }
    struct client *c = client_saying(PREFACE);
    struct toy *t = told.last;
    size_t before = t->fed;
    send_without_turns(c, slice_make(costly, COSTLY_BYTES));
    ck_assert_uint_lt(t->fed - before, COSTLY_BYTES); /* the rest is held */
    int feeds = t->feeds;
    uint64_t began_ms = fake_net_now(net);
    server_read_on(server);
    ck_assert_int_eq(t->feeds, feeds + 1); /* one piece uses up its share */
    ck_assert_uint_eq((fake_net_now(net) - began_ms) * 1000, CONN_SHARE_US);
    ck_assert_uint_eq(server_next_deadline_ms(server), 0);
    settle();
    ck_assert_uint_eq(t->fed - before, COSTLY_BYTES);
    ck_assert(memcmp(t->input.data + before, costly, COSTLY_BYTES) == 0);
    ck_assert_uint_ne(server_next_deadline_ms(server), 0);
}
END_TEST

START_TEST(costly_clients_share_and_the_others_do_not_wait_for_them)
{
    setup_open();
    told.feed = take_with_effort;
    struct client *heavy[8];
    struct toy *toys[8];
    for (size_t i = 0; i < 8; i++) {
        heavy[i] = client_saying(PREFACE);
        toys[i] = told.last;
        client_send(heavy[i], "costs much");
    }
    struct client *light = client_new();
    told.feed = NULL;
    client_send(light, PREFACE);
    struct toy *toy = told.last;
    told.feed = take_with_effort;
    for (size_t i = 0; i < 8; i++) {
        send_without_turns(heavy[i], slice_make(costly, COSTLY_BYTES));
    }
    size_t before = toy->fed;
    send_without_turns(light, slice_str("light"));
    ck_assert_uint_eq(toy->fed, before + 5); /* although the time of the heavy ones is used up */
    size_t fed[8];
    for (size_t i = 0; i < 8; i++) {
        fed[i] = toys[i]->fed;
    }
    /* All of them have been served once, before any is served twice: a piece uses up a turn. */
    for (size_t i = 0; i < 8; i++) {
        server_read_on(server);
    }
    for (size_t i = 0; i < 8; i++) {
        ck_assert_uint_eq(toys[i]->fed, fed[i] + CONN_HEAVY_PIECE_BYTES);
    }
    settle();
}
END_TEST

START_TEST(a_costly_client_may_leave_while_it_stands_in_line)
{
    setup_open();
    told.feed = take_with_effort;
    struct client *c = client_saying(PREFACE);
    send_without_turns(c, slice_make(costly, COSTLY_BYTES));
    fake_net_break(net, server_env, client_env);
    settle();
    ck_assert(c->is_closed);
    ck_assert_int_eq(told.closes, 1);
    ck_assert_uint_eq(server_connections(server), 0);
}
END_TEST

START_TEST(a_costly_client_that_is_paused_goes_on_where_it_was)
{
    setup_open();
    told.feed = take_with_effort;
    struct client *c = client_saying(PREFACE);
    struct toy *t = told.last;
    const struct front_sink *sink = &t->env->sink;
    send_without_turns(c, slice_make(costly, COSTLY_BYTES));
    sink->pause(sink->conn, true);
    settle();
    size_t fed = t->fed;
    settle();
    ck_assert_uint_eq(t->fed, fed);
    sink->pause(sink->conn, false);
    settle();
    ck_assert_uint_eq(t->fed, sizeof PREFACE - 1 + COSTLY_BYTES);
}
END_TEST

/* ---- bytes out ---- */

static uint8_t block[256 * 1024];

static void write_until_full(struct toy *t)
{
    const struct front_sink *sink = &t->env->sink;
    while (sink->write(sink->conn, slice_make(block, sizeof block))) {
    }
    ck_assert_uint_gt(sink->queued(sink->conn), ENV_STREAM_QUEUE_MAX);
    ck_assert_uint_le(sink->queued(sink->conn), ENV_STREAM_QUEUE_MAX + sizeof block);
}

START_TEST(a_client_that_takes_nothing_stops_only_itself)
{
    setup_open();
    told.turn = write_until_full;
    fake_net_stall(client_env, true);
    struct env *other_env = fake_net_host(net, "other");
    struct client *c = &clients[client_count++];
    c->stream = client_env->net->connect(client_env, "server", PORT, &client_events, c);
    settle();
    client_send(c, PREFACE);
    int turns = told.turns;
    ck_assert_int_eq(turns, 1);
    size_t fed = told.last->fed;
    client_send(c, "more input");
    ck_assert_uint_eq(told.last->fed, fed); /* not read any more */
    told.last->env->sink.wake(told.last->env->sink.conn);
    settle();
    ck_assert_int_eq(told.turns, turns);
    /* Somebody else is served meanwhile. */
    struct client *other = &clients[client_count++];
    other->stream = other_env->net->connect(other_env, "server", PORT, &client_events, other);
    settle();
    (void)other_env->net->write(other->stream,
                                slice_str("GET /health HTTP/1.1\r\nHost: x\r\n\r\n"));
    settle();
    ck_assert_uint_gt(other->received, 0);
    /* When it takes bytes again, everything goes on. */
    told.turn = NULL;
    fake_net_stall(client_env, false);
    settle();
    ck_assert_uint_eq(c->received, 5 * sizeof block);
    ck_assert_uint_eq(told.last->fed, fed + strlen("more input"));
    ck_assert_int_gt(told.turns, turns);
}
END_TEST

START_TEST(a_client_that_takes_nothing_is_closed_after_a_while)
{
    setup_open();
    told.turn = write_until_full;
    fake_net_stall(client_env, true);
    struct client *c = &clients[client_count++];
    c->stream = client_env->net->connect(client_env, "server", PORT, &client_events, c);
    settle();
    client_send(c, PREFACE);
    ck_assert_int_eq(told.turns, 1);
    /* What it takes in time counts, however long it took nothing before. */
    run_for(SERVER_WRITE_MS - 1);
    told.turn = NULL;
    fake_net_stall(client_env, false);
    settle();
    ck_assert_uint_eq(c->received, 5 * sizeof block);
    told.turn = write_until_full;
    fake_net_stall(client_env, true);
    told.last->env->sink.wake(told.last->env->sink.conn);
    settle();
    run_for(SERVER_WRITE_MS - 1);
    ck_assert_uint_eq(server_connections(server), 1);
    run_for(1);
    ck_assert_uint_eq(server_connections(server), 0);
    ck_assert(was_logged("client.unread peer=client:"));
    told.turn = NULL;
    fake_net_stall(client_env, false);
    settle();
}
END_TEST

static void wake_self(struct toy *t)
{
    t->env->sink.wake(t->env->sink.conn);
}

START_TEST(a_wake_inside_a_turn_asks_for_the_next_one)
{
    setup_open();
    client_saying(PREFACE);
    told.turn = wake_self;
    const struct front_sink *sink = &told.last->env->sink;
    sink->wake(sink->conn);
    sink->wake(sink->conn);
    int turns = told.turns;
    for (int i = 1; i <= 5; i++) {
        ck_assert_uint_eq(server_next_deadline_ms(server), 0);
        server_turn(server);
        ck_assert_int_eq(told.turns, turns + i);
    }
    told.turn = NULL;
    settle();
    ck_assert_int_eq(told.turns, turns + 6);
}
END_TEST

/* ---- ends ---- */

static ptrdiff_t close_in_feed(struct toy *t, struct slice bytes)
{
    t->env->sink.write(t->env->sink.conn, slice_str("bye"));
    t->env->sink.close(t->env->sink.conn, true);
    ck_assert(t->is_open); /* not from inside the call */
    return (ptrdiff_t)bytes.size;
}

static void close_in_turn(struct toy *t)
{
    t->env->sink.write(t->env->sink.conn, slice_str("bye"));
    t->env->sink.close(t->env->sink.conn, true);
    ck_assert(t->env->sink.write(t->env->sink.conn, slice_str("nobody sees this")));
    ck_assert(t->is_open);
}

START_TEST(a_front_may_close_in_any_of_its_functions)
{
    setup_open();
    told.feed = close_in_feed;
    struct client *c = client_saying(PREFACE);
    ck_assert(c->is_closed);
    ck_assert(slice_is(buf_slice(&c->in), "bye"));
    told.feed = NULL;
    told.turn = close_in_turn;
    c = client_saying(PREFACE);
    ck_assert(c->is_closed);
    ck_assert(slice_is(buf_slice(&c->in), "bye"));
    told.turn = NULL;
    told.first_deadline_ms = fake_net_now(net) + 70;
    c = client_saying(PREFACE);
    told.tick = close_in_turn;
    run_for(69);
    ck_assert(!c->is_closed);
    run_for(1);
    ck_assert(c->is_closed);
    ck_assert(slice_is(buf_slice(&c->in), "bye"));
    ck_assert_int_eq(told.closes, 3);
}
END_TEST

START_TEST(a_client_that_leaves_closes_its_front_once)
{
    setup_open();
    struct client *c = client_saying(PREFACE);
    struct client *undecided = client_saying("PR");
    client_leave(undecided);
    client_leave(c);
    ck_assert_int_eq(told.closes, 1);
    ck_assert_uint_eq(server_connections(server), 0);
}
END_TEST

static void tick_again(struct toy *t)
{
    t->deadline_ms = t->ticks < 3 ? fake_net_now(net) + 100 : UINT64_MAX;
}

START_TEST(deadlines_of_fronts_are_kept_and_asked_for_again)
{
    setup_open();
    told.tick = tick_again;
    told.first_deadline_ms = fake_net_now(net) + 50;
    client_saying(PREFACE);
    run_for(49);
    ck_assert_int_eq(told.last->ticks, 0);
    run_for(1);
    ck_assert_int_eq(told.last->ticks, 1);
    run_for(99);
    ck_assert_int_eq(told.last->ticks, 1);
    run_for(1000);
    ck_assert_int_eq(told.last->ticks, 3);
    ck_assert_uint_eq(server_next_deadline_ms(server), UINT64_MAX);
}
END_TEST

static void count_stop(void *context)
{
    ck_assert_ptr_eq(context, &stops);
    stops++;
}

static void stop_with_goodbye(struct toy *t)
{
    t->env->sink.write(t->env->sink.conn, slice_str("goodbye"));
    t->env->sink.close(t->env->sink.conn, true);
}

START_TEST(a_stop_says_goodbye_to_all_and_then_reports)
{
    setup_open();
    told.stop = stop_with_goodbye;
    struct client *toy = client_saying(PREFACE);
    struct client *http = client_saying("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    struct client *silent = client_new();
    server_stop(server, count_stop, &stops);
    ck_assert_int_eq(stops, 0);
    settle();
    ck_assert_int_eq(stops, 1);
    ck_assert(toy->is_closed && http->is_closed && silent->is_closed);
    ck_assert(slice_is(buf_slice(&toy->in), "goodbye"));
    run_for(10 * SERVER_STOP_MS);
    ck_assert_int_eq(stops, 1);
    struct client *late = &clients[client_count++];
    late->stream = client_env->net->connect(client_env, "server", PORT, &client_events, late);
    settle();
    ck_assert(!late->is_open && late->is_closed);
}
END_TEST

START_TEST(clients_that_are_sent_away_may_come_back)
{
    setup_open();
    told.stop = stop_with_goodbye;
    struct client *toy = client_saying(PREFACE);
    server_send_away(server);
    settle();
    ck_assert(toy->is_closed);
    ck_assert(slice_is(buf_slice(&toy->in), "goodbye"));
    struct client *late = client_saying(PREFACE);
    settle();
    ck_assert(late->is_open && !late->is_closed);
}
END_TEST

START_TEST(a_stop_does_not_wait_for_ever)
{
    setup_open();
    struct client *stubborn = client_saying(PREFACE); /* its front ignores the stop */
    server_stop(server, count_stop, &stops);
    run_for(SERVER_STOP_MS - 1);
    ck_assert_int_eq(stops, 0);
    ck_assert(!stubborn->is_closed);
    run_for(1);
    ck_assert_int_eq(stops, 1);
    ck_assert(stubborn->is_closed);
    ck_assert(was_logged("cut_off=1"));
}
END_TEST

START_TEST(a_stop_can_be_hurried_and_never_delayed)
{
    setup_open();
    struct client *stubborn = client_saying(PREFACE); /* its front ignores the stop */
    server_stop_within(server, 1); /* nothing stops yet */
    run_for(2 * SERVER_STOP_MS);
    ck_assert(!stubborn->is_closed);
    server_stop(server, count_stop, &stops);
    run_for(50);
    server_stop_within(server, 100);
    server_stop_within(server, SERVER_STOP_MS);
    run_for(99);
    ck_assert_int_eq(stops, 0);
    run_for(1);
    ck_assert_int_eq(stops, 1);
    ck_assert(stubborn->is_closed);
    server_stop_within(server, 0); /* over already */
    settle();
    ck_assert_int_eq(stops, 1);
}
END_TEST

START_TEST(a_port_in_use_is_told)
{
    setup_open();
    struct server *second = NULL;
    struct errmsg err = {0};
    ck_assert_int_eq(server_open(&options, &second, &err), RC_EXISTS);
    ck_assert_str_eq(err.text, "listen on server:7400: address in use");
    ck_assert_int_eq(told.shared_frees, 1);
    told.shared_frees = 0;
}
END_TEST

static Suite *server_suite(void)
{
    Suite *s = suite_create("server");
    TCase *t = tcase_create("connections");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, the_first_bytes_tell_the_protocol);
    tcase_add_test(t, a_front_gets_all_bytes_however_they_are_cut);
    tcase_add_test(t, tls_and_the_unknown_are_closed_with_a_reason);
    tcase_add_test(t, a_protocol_without_front_is_closed);
    tcase_add_test(t, a_front_that_does_not_open_closes_the_connection);
    tcase_add_test(t, who_says_nothing_is_closed_in_time);
    tcase_add_test(t, one_connection_too_many_is_closed_and_room_is_used_again);
    tcase_add_test(t, idle_connections_cost_no_work_and_little_memory);
    tcase_add_test(t, what_a_front_leaves_over_is_offered_again);
    tcase_add_test(t, leaving_over_more_than_agreed_ends_the_connection);
    tcase_add_test(t, an_error_of_the_front_ends_the_connection_after_its_answer);
    tcase_add_test(t, a_paused_connection_reads_nothing_until_it_is_resumed);
    tcase_add_test(t, a_costly_client_is_read_in_pieces_and_loses_no_byte);
    tcase_add_test(t, costly_clients_share_and_the_others_do_not_wait_for_them);
    tcase_add_test(t, a_costly_client_may_leave_while_it_stands_in_line);
    tcase_add_test(t, a_costly_client_that_is_paused_goes_on_where_it_was);
    tcase_add_test(t, a_client_that_takes_nothing_stops_only_itself);
    tcase_add_test(t, a_client_that_takes_nothing_is_closed_after_a_while);
    tcase_add_test(t, a_wake_inside_a_turn_asks_for_the_next_one);
    tcase_add_test(t, a_front_may_close_in_any_of_its_functions);
    tcase_add_test(t, a_client_that_leaves_closes_its_front_once);
    tcase_add_test(t, deadlines_of_fronts_are_kept_and_asked_for_again);
    tcase_add_test(t, a_stop_says_goodbye_to_all_and_then_reports);
    tcase_add_test(t, clients_that_are_sent_away_may_come_back);
    tcase_add_test(t, a_stop_does_not_wait_for_ever);
    tcase_add_test(t, a_stop_can_be_hurried_and_never_delayed);
    tcase_add_test(t, a_port_in_use_is_told);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){server_suite, NULL});
}
