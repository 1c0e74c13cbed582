/* The client port with TLS, over a fake network: what is inside is told apart as ever, who may
 * speak plainly, what a front learns of its client. */
#include <stdio.h>

#include "base/tls_net.h"
#include "net/conn.h"
#include "net/http/http.h"
#include "net/server.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_net.h"
#include "tests/support/fake_status.h"
#include "tests/support/tls_kit.h"

#define PORT    7400
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define GET     "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"

static struct tls_kit kit;
static struct fake_net *net;
static struct tls_context *server_context;
static struct tls_context *client_context;
static struct tls_net *server_tls;
static struct tls_net *client_tls;
static struct env *plain_client;
static struct server *server;
static struct server_options options;
static char lines[8192];

static void keep_line(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    size_t used = strlen(lines);
    (void)snprintf(lines + used, sizeof lines - used, "%s\n", line);
}

static struct log test_log = {.level = LOG_DEBUG, .sink = keep_line};

/* ---- a front that notes who its client is ------------------------------------------------ */

static struct {
    int opens;
    bool has_tls;
    char common_name[64];
    char protocol[16];
} noted;

static enum status note_open(void *state, const struct front_env *env)
{
    (void)state;
    noted.opens++;
    noted.has_tls = env->tls != NULL;
    if (env->tls != NULL) {
        (void)snprintf(noted.common_name, sizeof noted.common_name, "%s",
                       env->tls->common_name);
        (void)snprintf(noted.protocol, sizeof noted.protocol, "%s", env->tls->protocol);
    }
    return RC_OK;
}

static ptrdiff_t note_feed(void *state, struct slice bytes)
{
    (void)state;
    return (ptrdiff_t)bytes.size;
}

static void note_nothing(void *state)
{
    (void)state;
}

static void note_tick(void *state, uint64_t now_ms)
{
    (void)state;
    (void)now_ms;
}

static uint64_t note_deadline(const void *state)
{
    (void)state;
    return UINT64_MAX;
}

static const struct front note_front = {.name = "note",
                                        .state_size = 1,
                                        .open = note_open,
                                        .feed = note_feed,
                                        .turn = note_nothing,
                                        .tick = note_tick,
                                        .next_deadline_ms = note_deadline,
                                        .stop = note_nothing,
                                        .close = note_nothing};

/* ---- clients ----------------------------------------------------------------------------- */

struct client {
    struct env *env;
    struct env_stream *stream;
    struct buf in;
    bool is_open;
    bool is_closed;
};

static struct client clients[8];
static size_t client_count;

static void client_open(void *owner)
{
    ((struct client *)owner)->is_open = true;
}

static void client_data(void *owner, struct slice bytes)
{
    buf_append_slice(&((struct client *)owner)->in, bytes);
}

static void client_closed(void *owner, enum status rc)
{
    (void)rc;
    ((struct client *)owner)->is_closed = true;
}

static const struct env_stream_events client_events = {
    .open = client_open, .data = client_data, .closed = client_closed};

static void settle(void)
{
    do {
        tls_net_turn(server_tls);
        tls_net_turn(client_tls);
        server_read_on(server);
        server_turn(server);
    } while (fake_net_step(net) || server_next_deadline_ms(server) == 0);
}

static struct client *client_saying(struct env *env, const char *text)
{
    struct client *c = &clients[client_count++];
    c->env = env;
    c->stream = env->net->connect(env, "server", PORT, &client_events, c);
    settle();
    ck_assert(c->is_open);
    (void)env->net->write(c->stream, slice_str(text));
    settle();
    return c;
}

static bool client_read(const struct client *c, const char *text)
{
    char all[1024];
    (void)snprintf(all, sizeof all, "%.*s", (int)c->in.size, (const char *)c->in.data);
    return strstr(all, text) != NULL;
}

static void setup(enum server_plain plain, uint64_t handshake_ms)
{
    tls_kit_open(&kit);
    tls_kit_make_ca(&kit, "ca");
    tls_kit_issue(&kit,
                  &(struct tls_kit_certificate){.file = "n1", .ca = "ca", .common_name = "n1"});
    tls_kit_issue(
        &kit, &(struct tls_kit_certificate){.file = "ann", .ca = "ca", .common_name = "ann"});
    server_context = tls_kit_context(&kit, "n1", "ca", TLS_VERIFY_OPTIONAL, "h2,http/1.1");
    client_context = tls_kit_context(&kit, "ann", "ca", TLS_VERIFY_REQUIRED, "h2");
    net = fake_net_new(3);
    plain_client = NULL;
    struct env *host = fake_net_host(net, "server");
    plain_client = fake_net_host(net, "client");
    server_tls = tls_net_new(&(struct tls_net_options){.env = host,
                                                       .log = &test_log,
                                                       .use = "client",
                                                       .context = server_context,
                                                       .takes_plain = true});
    client_tls = tls_net_new(&(struct tls_net_options){
        .env = plain_client, .log = &test_log, .use = "test", .context = client_context});
    fake_status = (struct node_status){
        .name = "n1", .state = "leader", .state_reason = "", .serving = true};
    options = (struct server_options){.env = tls_net_env(server_tls),
                                      .log = &test_log,
                                      .host = "server",
                                      .port = PORT,
                                      .speaks_tls = true,
                                      .plain = plain,
                                      .handshake_ms = handshake_ms,
                                      .fronts = {[SERVER_HTTP1] = &http_front,
                                                 [SERVER_HTTP2] = &note_front,
                                                 [SERVER_ZOOKEEPER] = &note_front}};
    struct errmsg err = {0};
    ck_assert_int_eq(server_open(&options, &server, &err), RC_OK);
}

static void teardown(void)
{
    for (size_t i = 0; i < client_count; i++) {
        if (!clients[i].is_closed) {
            clients[i].env->net->close(clients[i].stream, false);
        }
        buf_close(&clients[i].in);
    }
    server_close(server);
    tls_net_free(client_tls);
    tls_net_free(server_tls);
    tls_context_free(client_context);
    tls_context_free(server_context);
    fake_net_free(net);
    tls_kit_close(&kit);
}

/* ---- tests ------------------------------------------------------------------------------- */

START_TEST(inside_of_tls_every_protocol_is_known_by_its_first_bytes)
{
    setup(SERVER_PLAIN_NONE, 0);
    struct env *tls = tls_net_env(client_tls);
    ck_assert(client_read(client_saying(tls, GET), "HTTP/1.1 200 OK\r\n"));
    ck_assert_int_eq(noted.opens, 0);
    (void)client_saying(tls, PREFACE);
    ck_assert_int_eq(noted.opens, 1);
    ck_assert(noted.has_tls);
    ck_assert_str_eq(noted.common_name, "ann");
    ck_assert_str_eq(noted.protocol, "h2");
    (void)client_saying(tls, "ruok");
    ck_assert_int_eq(noted.opens, 2);
    ck_assert(client_saying(tls, "\x7f\x7f\x7f")->is_closed);
    teardown();
}
END_TEST

START_TEST(plain_text_is_refused_in_words_that_its_protocol_has)
{
    setup(SERVER_PLAIN_NONE, 0);
    struct client *http = client_saying(plain_client, GET);
    ck_assert(client_read(http, "HTTP/1.1 400 Bad Request\r\n"));
    ck_assert(client_read(http, "\r\n\r\nthis port speaks TLS only\n"));
    ck_assert(http->is_closed);
    struct client *http2 = client_saying(plain_client, PREFACE);
    ck_assert(client_read(http2, "HTTP/1.1 400 "));
    ck_assert(http2->is_closed);
    struct client *word = client_saying(plain_client, "ruok");
    ck_assert(slice_is(buf_slice(&word->in), "this port speaks TLS only\n"));
    ck_assert(word->is_closed);
    static const char packet[] = {0, 0, 0, 44};
    struct client *zookeeper = client_saying(plain_client, "");
    (void)plain_client->net->write(zookeeper->stream, slice_make(packet, sizeof packet));
    settle();
    ck_assert_uint_eq(zookeeper->in.size, 0);
    ck_assert(zookeeper->is_closed);
    ck_assert_int_eq(noted.opens, 0);
    const char *line = strstr(lines, "plain text, and this port speaks TLS only");
    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_null(strstr(line + 1, "plain text")); /* once, for four */
    ck_assert_uint_eq(server_connections(server), 0);
    teardown();
}
END_TEST

START_TEST(plain_text_may_be_allowed_from_this_machine_or_from_everywhere)
{
    setup(SERVER_PLAIN_LOOPBACK, 0);
    ck_assert(server_takes_plain(server, "127.0.0.1:40000"));
    ck_assert(server_takes_plain(server, "127.8.9.1:40000"));
    ck_assert(server_takes_plain(server, "[::1]:40000"));
    ck_assert(!server_takes_plain(server, "10.0.0.1:40000"));
    ck_assert(!server_takes_plain(server, "[::2]:40000"));
    ck_assert(!server_takes_plain(server, "[::1234]:40000"));
    ck_assert(!server_takes_plain(server, "unknown"));
    ck_assert(client_saying(plain_client, GET)->is_closed); /* "client:40000" */
    teardown();

    client_count = 0;
    memset(clients, 0, sizeof clients);
    setup(SERVER_PLAIN_ALL, 0);
    ck_assert(client_read(client_saying(plain_client, GET), "HTTP/1.1 200 OK\r\n"));
    (void)client_saying(plain_client, PREFACE);
    ck_assert_int_eq(noted.opens, 1);
    ck_assert(!noted.has_tls);
    ck_assert(client_read(client_saying(tls_net_env(client_tls), GET), "HTTP/1.1 200 OK\r\n"));
    teardown();
}
END_TEST

START_TEST(a_handshake_that_takes_too_long_is_ended)
{
    setup(SERVER_PLAIN_NONE, 500);
    struct client *slow = client_saying(plain_client, "\x16\x03\x01");
    ck_assert_uint_eq(server_connections(server), 1);
    fake_net_advance(net, 499);
    settle();
    ck_assert(!slow->is_closed);
    (void)plain_client->net->write(slow->stream, slice_str("\x02")); /* wins no time */
    fake_net_advance(net, 1);
    settle();
    ck_assert(slow->is_closed);
    ck_assert_uint_eq(server_connections(server), 0);

    /* Nor does a handshake that is done and followed by nothing. */
    struct client *mute = client_saying(tls_net_env(client_tls), "");
    ck_assert_uint_eq(server_connections(server), 1);
    fake_net_advance(net, 500);
    settle();
    ck_assert(mute->is_closed);
    teardown();
}
END_TEST

START_TEST(a_stop_says_good_bye_to_clients_over_tls)
{
    setup(SERVER_PLAIN_NONE, 0);
    struct client *idle = client_saying(tls_net_env(client_tls), GET);
    struct client *shaking = client_saying(plain_client, "\x16\x03\x01");
    server_stop(server, NULL, NULL);
    settle();
    ck_assert(idle->is_closed);
    ck_assert(shaking->is_closed);
    teardown();
}
END_TEST

static Suite *server_tls_suite(void)
{
    Suite *s = suite_create("server_tls");
    TCase *t = tcase_create("all");
    tcase_add_test(t, inside_of_tls_every_protocol_is_known_by_its_first_bytes);
    tcase_add_test(t, plain_text_is_refused_in_words_that_its_protocol_has);
    tcase_add_test(t, plain_text_may_be_allowed_from_this_machine_or_from_everywhere);
    tcase_add_test(t, a_handshake_that_takes_too_long_is_ended);
    tcase_add_test(t, a_stop_says_good_bye_to_clients_over_tls);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){server_tls_suite, NULL});
}
