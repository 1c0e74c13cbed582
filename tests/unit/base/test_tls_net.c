/* Encrypted streams over a fake network: two hosts, of which each may speak TLS or not. */
#include "base/tls_net.h"

#include <stdio.h>

#include "base/buf.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_net.h"
#include "tests/support/tls_kit.h"

#define PORT 7400

/* One end of a connection and what it was told. */
struct end {
    struct env *env;
    struct env_stream *stream; /* NULL: none, or gone */
    struct buf heard;
    int opens;
    int drains;
    int ends;
    enum status rc;
    bool closes_on_data;
    bool closes_on_open;
    bool pauses_on_data;
    size_t pieces; /* data callbacks */
};

struct host {
    struct env *plain;
    struct tls_net *tls; /* NULL: speaks plainly */
    struct end ends[64];
    size_t end_count;
    struct env_listener *listener;
};

static struct tls_kit kit;
static struct fake_net *net;
static struct host client;
static struct host server;
static struct tls_context *client_context;
static struct tls_context *server_context;
static struct log server_log;
static char lines[8192];
static uint64_t tick_us; /* how much each look at the clock costs */
static uint64_t clock_us;

static void take_line(void *context, enum log_level level, const char *line)
{
    (void)context;
    size_t used = strlen(lines);
    (void)snprintf(lines + used, sizeof lines - used, "%s %s\n", log_level_name(level), line);
}

/* ---- ends -------------------------------------------------------------------------------- */

static void end_close(struct end *e, bool flush)
{
    e->env->net->close(e->stream, flush);
    e->stream = NULL;
}

static void end_open(void *owner)
{
    struct end *e = owner;
    e->opens++;
    if (e->closes_on_open) {
        end_close(e, false);
    }
}

static void end_data(void *owner, struct slice bytes)
{
    struct end *e = owner;
    e->pieces++;
    buf_append_slice(&e->heard, bytes);
    if (e->closes_on_data) {
        end_close(e, true);
    } else if (e->pauses_on_data) {
        e->env->net->read_pause(e->stream, true);
    }
}

static void end_drain(void *owner)
{
    ((struct end *)owner)->drains++;
}

static void end_closed(void *owner, enum status rc)
{
    struct end *e = owner;
    e->ends++;
    e->rc = rc;
    e->stream = NULL;
}

static const struct env_stream_events end_events = {
    .open = end_open, .data = end_data, .drain = end_drain, .closed = end_closed};

static struct env *host_env(struct host *h)
{
    return h->tls != NULL ? tls_net_env(h->tls) : h->plain;
}

static struct end *end_new(struct host *h)
{
    struct end *e = &h->ends[h->end_count++];
    e->env = host_env(h);
    return e;
}

static void server_accept(void *owner, struct env_stream *stream)
{
    struct end *e = end_new(owner);
    e->stream = stream;
    e->env->net->attach(stream, &end_events, e);
}

static struct end *dial(void)
{
    struct end *e = end_new(&client);
    e->stream = e->env->net->connect(e->env, "server", PORT, &end_events, e);
    return e;
}

static bool say(struct end *e, const char *text)
{
    return e->env->net->write(e->stream, slice_str(text));
}

/* ---- the world --------------------------------------------------------------------------- */

static uint64_t moving_now_us(struct env *env)
{
    (void)env;
    clock_us += tick_us;
    return clock_us;
}

static struct tls_net *speak_tls(struct host *h, struct tls_context *context, bool takes_plain)
{
    h->plain->now_us = moving_now_us;
    const struct tls_net_options options = {.env = h->plain,
                                            .log = &server_log,
                                            .use = "test",
                                            .context = context,
                                            .takes_plain = takes_plain};
    return h->tls = tls_net_new(&options);
}

static void world_open(bool client_speaks_tls, bool server_takes_plain)
{
    tls_kit_open(&kit);
    tls_kit_make_ca(&kit, "ca");
    tls_kit_issue(&kit,
                  &(struct tls_kit_certificate){.file = "n1", .ca = "ca", .common_name = "n1"});
    tls_kit_issue(&kit,
                  &(struct tls_kit_certificate){.file = "n2", .ca = "ca", .common_name = "n2"});
    server_context = tls_kit_context(&kit, "n1", "ca", TLS_VERIFY_REQUIRED, NULL);
    client_context = tls_kit_context(&kit, "n2", "ca", TLS_VERIFY_REQUIRED, NULL);
    server_log = (struct log){.level = LOG_DEBUG, .sink = take_line};
    net = fake_net_new(7);
    server.plain = fake_net_host(net, "server");
    client.plain = fake_net_host(net, "client");
    (void)speak_tls(&server, server_context, server_takes_plain);
    if (client_speaks_tls) {
        (void)speak_tls(&client, client_context, false);
    }
    struct errmsg err = {0};
    ck_assert_int_eq(host_env(&server)->net->listen(host_env(&server), "server", PORT,
                                                    server_accept, &server, &server.listener,
                                                    &err),
                     RC_OK);
}

static void host_close(struct host *h)
{
    for (size_t i = 0; i < h->end_count; i++) {
        if (h->ends[i].stream != NULL) {
            end_close(&h->ends[i], false);
        }
        buf_close(&h->ends[i].heard);
    }
    if (h->listener != NULL) {
        host_env(h)->net->listener_close(h->listener);
    }
    tls_net_free(h->tls);
}

static void world_close(void)
{
    host_close(&client);
    host_close(&server);
    fake_net_free(net);
    tls_context_free(server_context);
    tls_context_free(client_context);
    tls_kit_close(&kit);
}

static void turn(struct host *h)
{
    if (h->tls != NULL) {
        tls_net_turn(h->tls);
    }
}

/* Everything that can happen has happened. */
static void settle(void)
{
    bool waits;
    do {
        fake_net_settle(net);
        turn(&client);
        turn(&server);
        waits = (client.tls != NULL && tls_net_next_deadline_ms(client.tls) == 0) ||
                tls_net_next_deadline_ms(server.tls) == 0;
    } while (waits || fake_net_step(net));
}

/* ---- tests ------------------------------------------------------------------------------- */

START_TEST(both_sides_hear_each_other_and_know_who_it_is)
{
    world_open(true, false);
    struct end *c = dial();
    settle();
    ck_assert_int_eq(c->opens, 1);
    ck_assert(say(c, "hello"));
    settle();
    struct end *s = &server.ends[0];
    ck_assert(slice_is(buf_slice(&s->heard), "hello"));
    ck_assert(say(s, "good day"));
    settle();
    ck_assert(slice_is(buf_slice(&c->heard), "good day"));
    ck_assert_str_eq(env_stream_tls(s->env, s->stream)->common_name, "n2");
    ck_assert_str_eq(env_stream_tls(c->env, c->stream)->common_name, "n1");
    end_close(c, true);
    settle();
    ck_assert_int_eq(s->ends, 1);
    ck_assert_int_eq(s->rc, RC_CLOSED);
    world_close();
}
END_TEST

START_TEST(pieces_of_every_size_make_the_same_stream)
{
    world_open(true, false);
    fake_net_set_piece(net, 3);
    struct end *c = dial();
    settle();
    char text[8] = "0123456";
    for (int i = 0; i < 300; i++) {
        ck_assert(say(c, text));
    }
    settle();
    ck_assert_uint_eq(server.ends[0].heard.size, 2100);
    world_close();
}
END_TEST

START_TEST(plain_text_is_passed_on_where_it_is_allowed)
{
    world_open(false, true);
    struct end *c = dial();
    settle();
    ck_assert(say(c, "ruok"));
    settle();
    struct end *s = &server.ends[0];
    ck_assert(slice_is(buf_slice(&s->heard), "ruok"));
    ck_assert_ptr_null(env_stream_tls(s->env, s->stream));
    ck_assert(say(s, "imok"));
    s->env->net->read_pause(s->stream, true);
    settle();
    ck_assert(slice_is(buf_slice(&c->heard), "imok"));
    end_close(c, false);
    s->env->net->read_pause(s->stream, false);
    settle();
    ck_assert_int_eq(s->ends, 1);
    world_close();
}
END_TEST

START_TEST(plain_text_is_refused_with_one_line_where_it_is_not)
{
    world_open(false, false);
    for (int i = 0; i < 3; i++) {
        struct end *c = dial();
        settle();
        ck_assert(say(c, "ruok"));
        settle();
        ck_assert_int_eq(server.ends[i].ends, 1);
        ck_assert_int_eq(server.ends[i].rc, RC_REFUSED);
        ck_assert_uint_eq(server.ends[i].heard.size, 0);
        ck_assert_int_eq(c->ends, 1);
    }
    const char *line = strstr(lines, "warn tls.refused use=test address=client:");
    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_nonnull(strstr(line, "reason=\"it does not speak TLS\""));
    ck_assert_ptr_null(strstr(line + 16, "tls.refused"));
    world_close();
}
END_TEST

START_TEST(a_certificate_of_another_ca_is_refused_on_either_side)
{
    world_open(true, false);
    tls_kit_make_ca(&kit, "other");
    tls_kit_issue(
        &kit, &(struct tls_kit_certificate){.file = "n2", .ca = "other", .common_name = "n2"});
    struct errmsg err = {0};
    ck_assert_int_eq(tls_context_reload(client_context, &err), RC_OK);
    struct end *c = dial();
    settle();
    ck_assert_int_eq(server.ends[0].rc, RC_REFUSED);
    ck_assert_ptr_nonnull(strstr(lines, "the certificate of 'CN=n2' is not accepted"));
    /* The client believed to be through, and hears of it. */
    ck_assert_int_eq(c->ends, 1);
    ck_assert_ptr_nonnull(strstr(lines, "the other side refuses: unknown ca"));
    world_close();
}
END_TEST

START_TEST(an_owner_may_close_in_every_callback)
{
    world_open(true, false);
    struct end *c = dial();
    c->closes_on_open = true;
    settle();
    ck_assert_int_eq(c->opens, 1);
    ck_assert_ptr_null(c->stream);
    ck_assert_int_eq(server.ends[0].ends, 1);

    c = dial();
    settle();
    server.ends[1].closes_on_data = true;
    ck_assert(say(c, "x"));
    settle();
    ck_assert_int_eq(server.ends[1].ends, 0);
    ck_assert_int_eq(c->ends, 1);
    ck_assert_uint_eq(fake_net_open_streams(net), 0);
    world_close();
}
END_TEST

START_TEST(a_reader_that_pauses_gets_the_rest_later_and_in_order)
{
    world_open(true, false);
    struct end *c = dial();
    settle();
    ck_assert(say(c, "first"));
    settle();
    struct end *s = &server.ends[0];
    s->pauses_on_data = true;
    struct buf big = {0};
    for (size_t i = 0; i < (size_t)900000; i++) {
        *buf_extend(&big, 1) = (uint8_t)(i * 11 + (i >> 9));
    }
    (void)c->env->net->write(c->stream, buf_slice(&big));
    buf_clear(&s->heard);
    size_t before = 0;
    settle();
    while (s->heard.size > before) {
        before = s->heard.size;
        ck_assert_uint_le(before, s->pieces << 16); /* no more than one piece for each resume */
        s->env->net->read_pause(s->stream, false);
        settle();
    }
    ck_assert(slice_equal(buf_slice(&s->heard), buf_slice(&big)));
    buf_close(&big);
    world_close();
}
END_TEST

START_TEST(a_writer_is_told_to_wait_and_when_to_go_on)
{
    world_open(true, false);
    struct end *c = dial();
    settle();
    fake_net_stall(server.plain, true);
    static char block[100001];
    memset(block, 'b', sizeof block - 1);
    size_t written = 0;
    bool goes_on = true;
    while (goes_on) {
        goes_on = say(c, block);
        written += sizeof block - 1;
    }
    ck_assert_uint_gt(c->env->net->queued(c->stream), ENV_STREAM_QUEUE_MAX);
    ck_assert_uint_lt(written, ENV_STREAM_QUEUE_MAX + 200000);
    ck_assert_int_eq(c->drains, 0);
    fake_net_stall(server.plain, false);
    settle();
    ck_assert_int_eq(c->drains, 1);
    ck_assert_uint_eq(server.ends[0].heard.size, written);
    world_close();
}
END_TEST

START_TEST(a_crowd_of_handshakes_is_spread_over_turns)
{
    world_open(true, false);
    enum { CROWD = 20 };
    for (int i = 0; i < CROWD; i++) {
        (void)dial();
    }
    tick_us = TLS_NET_TURN_US; /* each step is as long as a turn may be */
    fake_net_settle(net);      /* without turns */
    int turns = 0;
    while (tls_net_next_deadline_ms(server.tls) == 0) {
        tls_net_turn(server.tls);
        turns++;
    }
    /* One step had begun before the first turn. */
    ck_assert_int_ge(turns, CROWD - 1);
    tick_us = 0;
    settle();
    for (int i = 0; i < CROWD; i++) {
        ck_assert_int_eq(client.ends[i].opens, 1);
        ck_assert(say(&client.ends[i], "x"));
    }
    settle();
    for (int i = 0; i < CROWD; i++) {
        ck_assert_uint_eq(server.ends[i].heard.size, 1);
    }
    world_close();
}
END_TEST

START_TEST(a_connection_that_breaks_amid_the_handshake_is_told_once)
{
    for (int steps = 0; steps < 8; steps++) {
        client = (struct host){0};
        server = (struct host){0};
        world_open(true, false);
        struct end *c = dial();
        for (int i = 0; i < steps; i++) {
            (void)fake_net_step(net);
        }
        fake_net_break(net, client.plain, server.plain);
        settle();
        ck_assert_uint_eq(fake_net_open_streams(net), 0);
        ck_assert(c->ends == 1 && (server.end_count == 0 || server.ends[0].ends == 1));
        world_close();
    }
}
END_TEST

START_TEST(an_owner_that_is_tired_of_waiting_closes_amid_the_handshake)
{
    world_open(true, false);
    struct end *c = dial();
    (void)fake_net_step(net); /* accepted */
    ck_assert_uint_eq(server.end_count, 1);
    end_close(&server.ends[0], false);
    settle();
    ck_assert_int_eq(c->ends, 1);
    ck_assert_int_eq(c->opens, 0);
    /* And while its handshake waits for its turn. */
    (void)dial();
    tick_us = 2 * TLS_NET_TURN_US;
    (void)dial();
    fake_net_settle(net);
    ck_assert_int_eq(tls_net_next_deadline_ms(server.tls) == 0, 1);
    for (size_t i = 1; i < server.end_count; i++) {
        end_close(&server.ends[i], true);
    }
    ck_assert(tls_net_next_deadline_ms(server.tls) == UINT64_MAX);
    settle();
    world_close();
}
END_TEST

START_TEST(garbage_after_the_handshake_ends_the_stream)
{
    world_open(false, true);
    struct end *c = dial();
    settle();
    ck_assert(c->env->net->write(c->stream, slice_make("\x16\x03\x01\x00\x05hello", 10)));
    settle();
    ck_assert_int_eq(server.ends[0].ends, 1);
    ck_assert_int_eq(server.ends[0].rc, RC_REFUSED);
    ck_assert_int_eq(c->ends, 1);
    ck_assert_uint_gt(c->heard.size, 0); /* the alert */
    ck_assert_int_eq(c->heard.data[0], 0x15);
    world_close();
}
END_TEST

static Suite *tls_net_suite(void)
{
    Suite *s = suite_create("tls_net");
    TCase *t = tcase_create("streams");
    tcase_add_test(t, both_sides_hear_each_other_and_know_who_it_is);
    tcase_add_test(t, pieces_of_every_size_make_the_same_stream);
    tcase_add_test(t, plain_text_is_passed_on_where_it_is_allowed);
    tcase_add_test(t, plain_text_is_refused_with_one_line_where_it_is_not);
    tcase_add_test(t, a_certificate_of_another_ca_is_refused_on_either_side);
    tcase_add_test(t, an_owner_may_close_in_every_callback);
    tcase_add_test(t, a_reader_that_pauses_gets_the_rest_later_and_in_order);
    tcase_add_test(t, a_writer_is_told_to_wait_and_when_to_go_on);
    tcase_add_test(t, a_crowd_of_handshakes_is_spread_over_turns);
    tcase_add_test(t, a_connection_that_breaks_amid_the_handshake_is_told_once);
    tcase_add_test(t, an_owner_that_is_tired_of_waiting_closes_amid_the_handshake);
    tcase_add_test(t, garbage_after_the_handshake_ends_the_stream);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){tls_net_suite, NULL});
}
