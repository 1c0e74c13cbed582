/* The transport over real sockets: two members, noise on their port, a third that takes nothing. */
#include "raft/peer.h"

#include <stdio.h>
#include <uv.h>

#include "base/env_uv.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/check_main.h"

#define CLUSTER 0xc1u

static uv_loop_t loop;
static struct env *env;
static char lines[16384];

struct side {
    struct peers *peers;
    int ups, downs;
    uint64_t received, last_term;
};

static struct side low, high; /* ids 1 and 2 */

static void keep_line(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    size_t used = strlen(lines);
    (void)snprintf(lines + used, sizeof lines - used, "%s\n", line);
}

static struct log test_log = {.level = LOG_INFO, .sink = keep_line};

static void side_message(void *context, uint64_t from, const struct message *m)
{
    struct side *s = context;
    (void)from;
    s->received++;
    s->last_term = m->timeout_now.term;
}

static void side_up(void *context, uint64_t peer, const struct message_hello *hello)
{
    (void)peer;
    (void)hello;
    ((struct side *)context)->ups++;
}

static void side_down(void *context, uint64_t peer)
{
    (void)peer;
    ((struct side *)context)->downs++;
}

static const struct peers_events side_events = {
    .message = side_message, .up = side_up, .down = side_down};

static void turn(void *context)
{
    (void)context;
    struct side *sides[] = {&low, &high};
    for (size_t i = 0; i < 2; i++) {
        if (sides[i]->peers != NULL) {
            peers_tick(sides[i]->peers, env->now_ms(env));
            peers_flush(sides[i]->peers);
        }
    }
}

static uint64_t next_deadline_ms(void *context)
{
    (void)context;
    uint64_t next = UINT64_MAX;
    struct side *sides[] = {&low, &high};
    for (size_t i = 0; i < 2; i++) {
        uint64_t due = sides[i]->peers != NULL ? peers_next_deadline_ms(sides[i]->peers) : next;
        next = due < next ? due : next;
    }
    return next;
}

/* Check's own limit ends a test whose condition never comes. */
#define WAIT_FOR(condition)         \
    while (!(condition)) {          \
        uv_run(&loop, UV_RUN_ONCE); \
    }

static void side_open(struct side *s, uint64_t id)
{
    struct peers_options options = {.env = env,
                                    .log = &test_log,
                                    .cluster_id = CLUSTER,
                                    .node_id = id,
                                    .boot_id = 100 + id,
                                    .name = id == 1 ? "low" : "high",
                                    .listen_host = "127.0.0.1",
                                    .client_address = ""};
    struct errmsg err = {0};
    *s = (struct side){0};
    ck_assert_int_eq(peers_open(&options, &side_events, s, &s->peers, &err), RC_OK);
}

static void setup(void)
{
    lines[0] = '\0';
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    env = env_uv_new(&loop, &test_log);
    env_uv_on_turn(env, turn, next_deadline_ms, NULL);
    side_open(&low, 1);
    side_open(&high, 2);
    peers_add(low.peers, 2, "high", "127.0.0.1", peers_port(high.peers));
    peers_add(high.peers, 1, "low", "127.0.0.1", peers_port(low.peers));
    WAIT_FOR(peers_is_up(low.peers, 2) && peers_is_up(high.peers, 1));
}

static void teardown(void)
{
    peers_close(low.peers);
    if (high.peers != NULL) {
        peers_close(high.peers);
    }
    env_uv_free(env);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void send_term(struct side *s, uint64_t to, uint64_t term)
{
    ck_assert(peers_send(
        s->peers, to,
        &(struct message){.type = MESSAGE_TIMEOUT_NOW, .timeout_now = {.term = term}}));
}

START_TEST(messages_go_both_ways)
{
    for (uint64_t term = 1; term <= 1000; term++) {
        send_term(&low, 2, term);
        send_term(&high, 1, term);
    }
    WAIT_FOR(low.received == 1000 && high.received == 1000);
    ck_assert_uint_eq(low.last_term, 1000);
    ck_assert_uint_eq(high.last_term, 1000);
}
END_TEST

/* ---- noise ---- */

struct noise {
    struct env_stream *stream;
    struct rng rng;
    bool is_closed;
};

static void noise_open(void *owner)
{
    struct noise *n = owner;
    uint8_t bytes[3000];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)rng_next(&n->rng);
    }
    (void)env->net->write(n->stream, slice_make(bytes, sizeof bytes));
}

static void noise_data(void *owner, struct slice bytes)
{
    (void)owner;
    (void)bytes;
    ck_abort_msg("nothing is said to noise");
}

static void noise_closed(void *owner, enum status rc)
{
    (void)rc;
    ((struct noise *)owner)->is_closed = true;
}

static const struct env_stream_events noise_events = {
    .open = noise_open, .data = noise_data, .closed = noise_closed};

START_TEST(noise_on_the_port_is_closed_and_disturbs_nobody)
{
    static struct noise noises[50];
    size_t count = sizeof noises / sizeof noises[0];
    for (size_t i = 0; i < count; i++) {
        noises[i] = (struct noise){0};
        rng_init(&noises[i].rng, i);
        noises[i].stream = env->net->connect(env, "127.0.0.1", peers_port(high.peers),
                                             &noise_events, &noises[i]);
    }
    for (size_t i = 0; i < count; i++) {
        WAIT_FOR(noises[i].is_closed);
    }
    ck_assert_ptr_nonnull(strstr(lines, "peer.refused address=127.0.0.1:"));
    send_term(&low, 2, 7);
    WAIT_FOR(high.received == 1);
    ck_assert_int_eq(low.downs + high.downs, 0);
}
END_TEST

/* ---- a member that says HELLO and then takes nothing ---- */

static struct env_stream *stalled;
static bool stalled_closed;

static void stalled_data(void *owner, struct slice bytes)
{
    (void)owner;
    (void)bytes; /* their HELLO */
    struct buf out = {0};
    message_encode(&out, &(struct message){.type = MESSAGE_HELLO,
                                           .hello = {.format = MESSAGE_FORMAT,
                                                     .cluster_id = CLUSTER,
                                                     .node_id = 3,
                                                     .target_id = 1,
                                                     .boot_id = 9}});
    (void)env->net->write(stalled, buf_slice(&out));
    env->net->read_pause(stalled, true);
    buf_close(&out);
}

static void stalled_end(void *owner, enum status rc)
{
    (void)owner;
    (void)rc;
    stalled_closed = true;
}

static void stalled_accept(void *owner, struct env_stream *stream)
{
    static const struct env_stream_events events = {.data = stalled_data,
                                                    .closed = stalled_end};
    (void)owner;
    stalled = stream;
    env->net->attach(stream, &events, NULL);
}

START_TEST(a_stalled_member_costs_its_bound_only)
{
    struct env_listener *listener;
    struct errmsg err = {0};
    stalled_closed = false;
    ck_assert_int_eq(
        env->net->listen(env, "127.0.0.1", 0, stalled_accept, NULL, &listener, &err), RC_OK);
    peers_add(low.peers, 3, "", "127.0.0.1", env->net->listener_port(listener));
    WAIT_FOR(peers_is_up(low.peers, 3));

    static uint8_t data[200000];
    const struct message chunk = {.type = MESSAGE_SNAPSHOT_CHUNK,
                                  .snapshot_chunk = {.index = 1, .data = {data, sizeof data}}};
    uint64_t dropped = 0;
    for (uint64_t i = 1; i <= 500; i++) { /* 100 MB */
        dropped += peers_send(low.peers, 3, &chunk) ? 0 : 1;
        send_term(&low, 2, i);
        uv_run(&loop, UV_RUN_NOWAIT);
        ck_assert_uint_le(peers_queued(low.peers, 3), PEER_QUEUE_BYTES_MAX);
    }
    ck_assert_uint_gt(dropped, 200);
    ck_assert_uint_gt(peers_queued(low.peers, 3), PEER_QUEUE_BYTES_MAX - sizeof data - 1000);
    WAIT_FOR(high.received == 500);
    ck_assert_int_eq(low.downs, 0);
    ck_assert(!stalled_closed);
    env->net->close(stalled, false);
    env->net->listener_close(listener);
    WAIT_FOR(low.downs == 1);
    ck_assert_uint_eq(peers_queued(low.peers, 3), 0);
}
END_TEST

START_TEST(a_member_that_comes_back_is_met_again_soon)
{
    uint16_t port = peers_port(high.peers);
    peers_close(high.peers);
    high.peers = NULL;
    WAIT_FOR(low.downs == 1);
    struct peers_options options = {.env = env,
                                    .cluster_id = CLUSTER,
                                    .node_id = 2,
                                    .boot_id = 202,
                                    .name = "high",
                                    .listen_host = "127.0.0.1",
                                    .listen_port = port,
                                    .client_address = ""};
    struct errmsg err = {0};
    uint64_t begin = env->now_ms(env);
    ck_assert_int_eq(peers_open(&options, &side_events, &high, &high.peers, &err), RC_OK);
    peers_add(high.peers, 1, "low", "127.0.0.1", peers_port(low.peers));
    WAIT_FOR(low.ups == 2 && high.ups == 2);
    ck_assert_uint_le(env->now_ms(env) - begin, PEER_RECONNECT_MS_MAX);
}
END_TEST

static Suite *peer_suite(void)
{
    Suite *s = suite_create("peer over sockets");
    TCase *c = tcase_create("sockets");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 30);
    tcase_add_test(c, messages_go_both_ways);
    tcase_add_test(c, noise_on_the_port_is_closed_and_disturbs_nobody);
    tcase_add_test(c, a_stalled_member_costs_its_bound_only);
    tcase_add_test(c, a_member_that_comes_back_is_met_again_soon);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){peer_suite, NULL});
}
