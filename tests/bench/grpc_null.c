/* The gRPC front end alone under load: the production server and libuv env over a node that
 * applies at once, without log, disk or peers. What h2load measures here is the cost of
 * connections, HTTP/2, protobuf and apply; the difference to coordd is the cost of replication.
 *
 *     build/release/tests/bench/grpc_null 7490 &
 *     h2load -n 300000 -c 16 -m 64 -H 'content-type: application/grpc' -H 'te: trailers' \
 *         -d request.bin http://127.0.0.1:7490/coord.v1.Tree/Set
 */
#include <stdlib.h>

#include "base/env_uv.h"
#include "net/grpc/front.h"
#include "net/server.h"
#include "tests/support/fake_node.h"
#include "tests/support/test_loop.h"

struct null_server {
    struct env *env;
    struct node *node;
    struct server *server;
};

static bool is_due(const struct null_server *s)
{
    uint64_t next = server_next_deadline_ms(s->server);
    return next != UINT64_MAX && next <= s->env->now_ms(s->env);
}

static void on_turn(void *context)
{
    struct null_server *s = context;
    s->node->now_ms = s->env->now_ms(s->env);
    server_read_on(s->server);
    node_turn(s->node);
    for (int i = 0; i < 8 && is_due(s); i++) {
        server_turn(s->server);
        node_turn(s->node);
    }
}

static uint64_t next_deadline_ms(void *context)
{
    const struct null_server *s = context;
    return server_next_deadline_ms(s->server);
}

int main(int argc, char **argv)
{
    struct null_server s = {0};
    struct log log = {.level = LOG_INFO, .sink = log_stderr_sink};
    struct errmsg err;
    struct metrics *metrics = metrics_new();
    struct test_loop *loop = test_loop_new();
    if (loop == NULL) {
        return EXIT_FAILURE;
    }
    s.env = env_uv_new(test_loop_handle(loop), &log);
    s.node = fake_node_new();
    const struct server_options options = {
        .env = s.env,
        .node = s.node,
        .log = &log,
        .metrics = metrics,
        .host = "127.0.0.1",
        .port = argc > 1 ? (uint16_t)strtoul(argv[1], NULL, 10) : 0,
        .fronts = {[SERVER_HTTP2] = &grpc_front},
    };
    if (server_open(&options, &s.server, &err) != RC_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return EXIT_FAILURE;
    }
    (void)printf("port=%u\n", (unsigned)server_port(s.server));
    (void)fflush(stdout);
    env_uv_on_turn(s.env, on_turn, next_deadline_ms, &s);
    test_loop_run(loop);

    server_close(s.server);
    fake_node_free(s.node);
    env_uv_free(s.env);
    metrics_free(metrics);
    return test_loop_free(loop) ? EXIT_SUCCESS : EXIT_FAILURE;
}
