/* The client port over real sockets: a thousand idle connections, noise, and HTTP beside them.
 * /health is all that is asked for, so there is no node. */
#include "net/server.h"

#include <stdio.h>
#include <sys/resource.h>
#include <uv.h>

#include "base/buf.h"
#include "base/env_uv.h"
#include "base/mem.h"
#include "base/rng.h"
#include "net/http/http.h"
#include "tests/support/check_main.h"

static uv_loop_t loop;
static struct env *env;
static struct server *server;

static void turn(void *context)
{
    (void)context;
    if (server != NULL) {
        server_read_on(server);
        server_turn(server);
    }
}

static uint64_t next_deadline_ms(void *context)
{
    (void)context;
    return server != NULL ? server_next_deadline_ms(server) : UINT64_MAX;
}

#define WAIT_FOR(condition)         \
    while (!(condition)) {          \
        uv_run(&loop, UV_RUN_ONCE); \
    }

static void setup(void)
{
    struct errmsg err = {0};
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    env = env_uv_new(&loop, NULL);
    env_uv_on_turn(env, turn, next_deadline_ms, NULL);
    struct server_options options = {
        .env = env, .host = "127.0.0.1", .fronts = {[SERVER_HTTP1] = &http_front}};
    ck_assert_int_eq(server_open(&options, &server, &err), RC_OK);
}

static void teardown(void)
{
    server_close(server);
    server = NULL;
    env_uv_free(env);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

struct client {
    struct env_stream *stream;
    struct buf in;
    bool is_open, is_closed;
};

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

static void client_connect(struct client *c)
{
    *c = (struct client){0};
    c->stream = env->net->connect(env, "127.0.0.1", server_port(server), &client_events, c);
}

static void client_close(struct client *c)
{
    if (!c->is_closed) {
        env->net->close(c->stream, false);
    }
    buf_close(&c->in);
}

static void expect_health(void)
{
    struct client c;
    client_connect(&c);
    WAIT_FOR(c.is_open);
    (void)env->net->write(c.stream, slice_str("GET /health HTTP/1.1\r\nHost: x\r\n"
                                              "Connection: close\r\n\r\n"));
    WAIT_FOR(c.is_closed);
    ck_assert_uint_gt(c.in.size, 17);
    ck_assert_int_eq(memcmp(c.in.data, "HTTP/1.1 200 OK\r\n", 17), 0);
    client_close(&c);
}

START_TEST(http_is_served)
{
    expect_health();
    WAIT_FOR(server_connections(server) == 0);
}
END_TEST

START_TEST(a_thousand_idle_connections_are_in_nobodys_way)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 2100) { /* both ends are in this process */
        limit.rlim_cur = limit.rlim_max < 2100 ? limit.rlim_max : 2100;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    size_t count = limit.rlim_cur >= 2100 ? 1000 : (limit.rlim_cur - 100) / 2;
    struct client *idle = mem_zalloc(count * sizeof *idle);
    for (size_t i = 0; i < count; i++) {
        client_connect(&idle[i]);
        WAIT_FOR(idle[i].is_open);
    }
    WAIT_FOR(server_connections(server) == count);
    for (int i = 0; i < 100; i++) {
        expect_health();
    }
    for (size_t i = 0; i < count; i++) {
        ck_assert(!idle[i].is_closed);
        client_close(&idle[i]);
    }
    WAIT_FOR(server_connections(server) == 0);
    mem_free(idle);
}
END_TEST

START_TEST(noise_is_closed)
{
    struct rng r;
    rng_init(&r, 1);
    for (int i = 0; i < 100; i++) {
        uint8_t bytes[64];
        struct client c;
        for (size_t b = 0; b < sizeof bytes; b++) {
            bytes[b] = (uint8_t)rng_next(&r);
        }
        client_connect(&c);
        WAIT_FOR(c.is_open);
        (void)env->net->write(c.stream, slice_make(bytes, sizeof bytes));
        WAIT_FOR(c.is_closed);
        client_close(&c);
    }
    expect_health();
}
END_TEST

static void set_flag(void *context)
{
    *(bool *)context = true;
}

START_TEST(a_stop_ends_and_reports)
{
    struct client idle;
    bool is_stopped = false;
    client_connect(&idle);
    WAIT_FOR(server_connections(server) == 1);
    server_stop(server, set_flag, &is_stopped);
    WAIT_FOR(is_stopped && idle.is_closed);
    client_close(&idle);
}
END_TEST

static Suite *server_suite(void)
{
    Suite *s = suite_create("server over sockets");
    TCase *t = tcase_create("sockets");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, http_is_served);
    tcase_add_test(t, a_thousand_idle_connections_are_in_nobodys_way);
    tcase_add_test(t, noise_is_closed);
    tcase_add_test(t, a_stop_ends_and_reports);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){server_suite, NULL});
}
