/* The transport between members over TLS: who is let in, and that nothing else changes. */
#include <stdio.h>

#include "base/mem.h"
#include "base/tls_net.h"
#include "raft/peer.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_net.h"
#include "tests/support/tls_kit.h"

#define CLUSTER 0xc1u
#define PORT    7401

struct side {
    struct env *plain;
    struct tls_context *context; /* NULL: speaks plainly */
    struct tls_net *tls;
    struct peers *peers;
    struct log log;
    uint64_t id;
    const char *name;
    char lines[16384];
    int ups, downs;
    uint64_t received;
    uint64_t last_term;
    size_t last_bytes;
    bool in_order;
};

static struct tls_kit kit;
static struct fake_net *net;
static struct side sides[2];
static const char *const hosts[] = {"alpha", "beta"};

static void side_log(void *context, enum log_level level, const char *line)
{
    struct side *s = context;
    size_t used = strlen(s->lines);
    (void)snprintf(s->lines + used, sizeof s->lines - used, "%s %s\n", log_level_name(level),
                   line);
}

static void side_message(void *context, uint64_t from, const struct message *m)
{
    struct side *s = context;
    (void)from;
    s->received++;
    if (m->type == MESSAGE_TIMEOUT_NOW) {
        s->in_order = s->in_order && m->timeout_now.term == s->last_term + 1;
        s->last_term = m->timeout_now.term;
    } else if (m->type == MESSAGE_SNAPSHOT_CHUNK) {
        s->last_bytes = m->snapshot_chunk.data.size;
    }
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

static bool logged(const struct side *s, const char *text)
{
    return strstr(s->lines, text) != NULL;
}

/* `file` is the certificate it has; NULL: it speaks plainly. */
static void side_open(size_t i, const char *file)
{
    struct side *s = &sides[i];
    s->id = i + 1;
    s->name = hosts[i];
    s->in_order = true;
    s->plain = fake_net_host(net, hosts[i]);
    s->log = (struct log){.level = LOG_DEBUG, .sink = side_log, .context = s};
    if (file != NULL) {
        s->context = tls_kit_context(&kit, file, "ca", TLS_VERIFY_REQUIRED, NULL);
        s->tls = tls_net_new(&(struct tls_net_options){
            .env = s->plain, .log = &s->log, .use = "peer", .context = s->context});
    }
    const struct peers_options options = {.env =
                                              s->tls != NULL ? tls_net_env(s->tls) : s->plain,
                                          .log = &s->log,
                                          .cluster_id = CLUSTER,
                                          .node_id = s->id,
                                          .boot_id = 100 + s->id,
                                          .name = s->name,
                                          .listen_host = hosts[i],
                                          .listen_port = PORT,
                                          .client_address = "client:7400",
                                          .feature_level = 1};
    struct errmsg err = {0};
    ck_assert_int_eq(peers_open(&options, &side_events, s, &s->peers, &err), RC_OK);
}

static void setup(const char *first, const char *second)
{
    tls_kit_open(&kit);
    tls_kit_make_ca(&kit, "ca");
    tls_kit_make_ca(&kit, "other");
    for (size_t i = 0; i < 2; i++) {
        tls_kit_issue(&kit, &(struct tls_kit_certificate){
                                .file = hosts[i], .ca = "ca", .common_name = hosts[i]});
    }
    tls_kit_issue(&kit, &(struct tls_kit_certificate){.file = "named",
                                                      .ca = "ca",
                                                      .common_name = "machine-17",
                                                      .names = "DNS:m17.test,DNS:beta"});
    tls_kit_issue(&kit, &(struct tls_kit_certificate){
                            .file = "gamma", .ca = "ca", .common_name = "gamma"});
    tls_kit_issue(&kit, &(struct tls_kit_certificate){
                            .file = "foreign", .ca = "other", .common_name = "beta"});
    net = fake_net_new(11);
    side_open(0, first);
    side_open(1, second);
    peers_add(sides[0].peers, 2, hosts[1], hosts[1], PORT);
    peers_add(sides[1].peers, 1, hosts[0], hosts[0], PORT);
}

static void teardown(void)
{
    for (size_t i = 0; i < 2; i++) {
        peers_close(sides[i].peers);
        tls_net_free(sides[i].tls);
        tls_context_free(sides[i].context);
    }
    fake_net_free(net);
    tls_kit_close(&kit);
}

static void turn_all(void)
{
    for (size_t i = 0; i < 2; i++) {
        if (sides[i].tls != NULL) {
            tls_net_turn(sides[i].tls);
        }
        peers_tick(sides[i].peers, fake_net_now(net));
        peers_flush(sides[i].peers);
    }
}

static void run_for(uint64_t ms)
{
    for (uint64_t end = fake_net_now(net) + ms; fake_net_now(net) < end;) {
        do {
            turn_all();
        } while (fake_net_step(net));
        fake_net_advance(net, 10);
    }
}

static bool both_up(void)
{
    return peers_is_up(sides[0].peers, 2) && peers_is_up(sides[1].peers, 1);
}

/* ---- tests ------------------------------------------------------------------------------- */

START_TEST(members_with_their_own_certificates_talk)
{
    setup("alpha", "beta");
    run_for(100);
    ck_assert(both_up());
    for (uint64_t term = 1; term <= 500; term++) {
        const struct message m = {.type = MESSAGE_TIMEOUT_NOW, .timeout_now = {.term = term}};
        ck_assert(peers_send(sides[0].peers, 2, &m));
    }
    run_for(20);
    ck_assert_uint_eq(sides[1].received, 500);
    ck_assert(sides[1].in_order);
    teardown();
}
END_TEST

START_TEST(large_messages_pass_in_both_directions_at_once)
{
    setup("alpha", "beta");
    fake_net_set_piece(net, 30000);
    run_for(200);
    ck_assert(both_up());
    struct buf data = {0};
    memset(buf_extend(&data, MESSAGE_CHUNK_BYTES_MAX), 'd', MESSAGE_CHUNK_BYTES_MAX);
    const struct message m = {.type = MESSAGE_SNAPSHOT_CHUNK,
                              .snapshot_chunk = {.data = buf_slice(&data)}};
    for (int i = 0; i < 8; i++) {
        ck_assert(peers_send(sides[0].peers, 2, &m));
        ck_assert(peers_send(sides[1].peers, 1, &m));
    }
    run_for(200);
    ck_assert_uint_eq(sides[0].received, 8);
    ck_assert_uint_eq(sides[1].received, 8);
    ck_assert_uint_eq(sides[1].last_bytes, MESSAGE_CHUNK_BYTES_MAX);
    buf_close(&data);
    teardown();
}
END_TEST

START_TEST(the_name_may_be_an_alternative_one)
{
    setup("alpha", "named");
    run_for(100);
    ck_assert(both_up());
    teardown();
}
END_TEST

START_TEST(a_member_with_the_certificate_of_another_is_kept_out_on_both_sides)
{
    /* The one that is connected to, and the one that connects. */
    setup("alpha", "gamma");
    run_for(2000);
    ck_assert(!both_up());
    /* Beta lets alpha in, which then hangs up: nothing is said to beta, nor heard from it. */
    ck_assert_int_eq(sides[0].ups, 0);
    ck_assert_uint_eq(sides[0].received + sides[1].received, 0);
    ck_assert(logged(&sides[0], "warn peer.refused address=beta:7401 reason=\"it calls itself "
                                "'beta', its certificate says 'CN=gamma'\""));
    teardown();

    memset(sides, 0, sizeof sides);
    setup("gamma", "beta");
    run_for(2000);
    ck_assert_int_eq(sides[1].ups, 0);
    ck_assert(logged(&sides[1], "it calls itself 'alpha', its certificate says 'CN=gamma'"));
    ck_assert_uint_eq(sides[0].received + sides[1].received, 0);
    teardown();
}
END_TEST

START_TEST(a_certificate_of_another_ca_is_refused)
{
    setup("alpha", "foreign");
    run_for(2000);
    ck_assert_int_eq(sides[0].ups + sides[1].ups, 0);
    ck_assert(logged(&sides[0], "warn tls.refused use=peer address=beta:7401 reason=\"the "
                                "certificate of 'CN=beta' is not accepted: unable to get local "
                                "issuer certificate\""));
    teardown();
}
END_TEST

START_TEST(who_speaks_plainly_is_kept_out_with_one_line)
{
    setup(NULL, "beta");
    run_for(3000);
    ck_assert_int_eq(sides[0].ups + sides[1].ups, 0);
    const char *line = strstr(sides[1].lines, "tls.refused use=peer address=alpha:");
    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_nonnull(strstr(line, "reason=\"it does not speak TLS\""));
    ck_assert_ptr_null(strstr(line + 12, "tls.refused"));
    teardown();

    memset(sides, 0, sizeof sides);
    setup("alpha", NULL);
    run_for(3000);
    ck_assert_int_eq(sides[0].ups + sides[1].ups, 0);
    ck_assert(logged(&sides[1], "peer.refused"));
    teardown();
}
END_TEST

START_TEST(a_connection_lasts_over_a_reload_and_the_next_one_has_the_new_certificate)
{
    setup("alpha", "beta");
    run_for(100);
    ck_assert(both_up());
    tls_kit_issue(&kit, &(struct tls_kit_certificate){
                            .file = "beta", .ca = "other", .common_name = "beta"});
    struct errmsg err = {0};
    ck_assert_int_eq(tls_context_reload(sides[1].context, &err), RC_OK);
    run_for(1000);
    ck_assert(both_up());
    fake_net_break(net, sides[0].plain, sides[1].plain);
    run_for(1000);
    ck_assert(!both_up()); /* its CA is not known */
    tls_kit_issue(
        &kit, &(struct tls_kit_certificate){.file = "beta", .ca = "ca", .common_name = "beta"});
    ck_assert_int_eq(tls_context_reload(sides[1].context, &err), RC_OK);
    run_for(1000);
    ck_assert(both_up());
    teardown();
}
END_TEST

static Suite *peer_tls_suite(void)
{
    Suite *s = suite_create("peer_tls");
    TCase *t = tcase_create("all");
    tcase_add_test(t, members_with_their_own_certificates_talk);
    tcase_add_test(t, large_messages_pass_in_both_directions_at_once);
    tcase_add_test(t, the_name_may_be_an_alternative_one);
    tcase_add_test(t, a_member_with_the_certificate_of_another_is_kept_out_on_both_sides);
    tcase_add_test(t, a_certificate_of_another_ca_is_refused);
    tcase_add_test(t, who_speaks_plainly_is_kept_out_with_one_line);
    tcase_add_test(t,
                   a_connection_lasts_over_a_reload_and_the_next_one_has_the_new_certificate);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){peer_tls_suite, NULL});
}
