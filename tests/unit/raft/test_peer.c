/* The transport between members, over a fake network where time passes only on request. */
#include "raft/peer.h"

#include <inttypes.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_net.h"

#define CLUSTER 0xc1u
#define PORT    7401

/* A member under test and what it has seen. */
struct side {
    struct fake_net *net;
    struct env *env;
    struct peers *peers;
    struct log log;
    struct metrics *metrics;
    uint64_t id;
    char lines[16384]; /* of its log */
    int ups, downs;
    bool is_up[10]; /* by id of the other */
    uint64_t last_from;
    uint64_t hello_boot_id;
    uint64_t received; /* messages */
    uint64_t last_term;
    size_t last_bytes;
    uint64_t remove_on_message; /* a member to remove from inside the event, 0 = none */
    uint64_t remove_on_down;
    bool in_order; /* terms of messages rise by 1 */
    uint64_t admits;   /* this one, 0 = nobody */
    uint64_t farewell; /* to this one, 0 = nobody */
    uint64_t removals; /* it was told */
    uint64_t asked;    /* by guests */
};

static struct fake_net *net;
static struct side sides[3];

static void side_log(void *context, enum log_level level, const char *line)
{
    struct side *s = context;
    size_t used = strlen(s->lines);
    (void)snprintf(s->lines + used, sizeof s->lines - used, "%s %s\n", log_level_name(level),
                   line);
}

static int times_logged(const struct side *s, const char *text)
{
    int count = 0;
    for (const char *at = strstr(s->lines, text); at != NULL; at = strstr(at + 1, text)) {
        count++;
    }
    return count;
}

static void side_message(void *context, uint64_t from, const struct message *m)
{
    struct side *s = context;
    s->received++;
    s->last_from = from;
    if (m->type == MESSAGE_TIMEOUT_NOW) {
        s->in_order = s->in_order && m->timeout_now.term == s->last_term + 1;
        s->last_term = m->timeout_now.term;
    } else if (m->type == MESSAGE_SNAPSHOT_CHUNK) {
        s->last_bytes = m->snapshot_chunk.data.size;
        bool is_right = true;
        for (size_t i = 0; i < s->last_bytes; i++) {
            is_right = is_right && m->snapshot_chunk.data.data[i] == (uint8_t)(i * 7);
        }
        ck_assert(is_right);
    }
    s->removals += m->type == MESSAGE_REMOVED;
    if (s->remove_on_message != 0) {
        peers_remove(s->peers, s->remove_on_message);
    }
}

static void side_up(void *context, uint64_t peer, const struct message_hello *hello)
{
    struct side *s = context;
    s->ups++;
    ck_assert_uint_eq(hello->node_id, peer);
    s->hello_boot_id = hello->boot_id;
    ck_assert(!s->is_up[peer]);
    s->is_up[peer] = true;
}

static void side_down(void *context, uint64_t peer)
{
    struct side *s = context;
    s->downs++;
    ck_assert(s->is_up[peer]);
    s->is_up[peer] = false;
    if (s->remove_on_down != 0) {
        peers_remove(s->peers, s->remove_on_down);
    }
}

static bool side_admit(void *context, const struct message_hello *hello,
                       struct message *farewell)
{
    struct side *s = context;
    if (hello->node_id == s->farewell) {
        *farewell = (struct message){.type = MESSAGE_REMOVED, .removed = {hello->node_id}};
    }
    return hello->node_id == s->admits;
}

static void side_guest(void *context, const struct message_member_ask *question,
                       struct message *answer)
{
    struct side *s = context;
    s->asked++;
    *answer = (struct message){
        .type = MESSAGE_MEMBER_TELL,
        .member_tell = {.token = question->token, .verdict = MEMBER_UNDER_WAY}};
}

static const struct peers_events side_events = {.message = side_message,
                                                .up = side_up,
                                                .down = side_down,
                                                .admit = side_admit,
                                                .guest = side_guest};

static const char *const hosts[] = {"alpha", "beta", "gamma"};

static struct peers_options side_options(struct side *s, size_t i, uint64_t id)
{
    return (struct peers_options){.env = s->env,
                                  .log = &s->log,
                                  .metrics = s->metrics,
                                  .cluster_id = CLUSTER,
                                  .node_id = id,
                                  .boot_id = 100 + id,
                                  .name = hosts[i],
                                  .listen_host = hosts[i],
                                  .listen_port = PORT,
                                  .client_address = "client:7400",
                                  .feature_level = 1};
}

static struct side *side_open_with(size_t i, const struct peers_options *options)
{
    struct side *s = &sides[i];
    struct errmsg err = {0};
    s->id = options->node_id;
    ck_assert_int_eq(peers_open(options, &side_events, s, &s->peers, &err), RC_OK);
    return s;
}

static void side_prepare(size_t i)
{
    struct side *s = &sides[i];
    *s = (struct side){.net = net, .env = fake_net_host(net, hosts[i]), .in_order = true};
    s->log = (struct log){.level = LOG_DEBUG, .sink = side_log, .context = s};
    s->metrics = metrics_new();
}

static struct side *side_open(size_t i, uint64_t id)
{
    side_prepare(i);
    struct peers_options options = side_options(&sides[i], i, id);
    options.name = hosts[id < 3 ? id - 1 : i]; /* whoever has id 1 is called alpha */
    return side_open_with(i, &options);
}

static void side_knows(struct side *s, size_t i)
{
    peers_add(s->peers, sides[i].id, hosts[i], hosts[i], PORT);
}

static void tick_all(void)
{
    for (size_t i = 0; i < 3; i++) {
        if (sides[i].peers != NULL) {
            peers_tick(sides[i].peers, fake_net_now(net));
            peers_flush(sides[i].peers);
        }
    }
}

/* Lets time pass as the loop would: from deadline to deadline. */
static void run_for(uint64_t ms)
{
    uint64_t end = fake_net_now(net) + ms;
    for (;;) {
        tick_all();
        fake_net_settle(net);
        uint64_t next = end;
        for (size_t i = 0; i < 3; i++) {
            if (sides[i].peers != NULL) {
                uint64_t due = peers_next_deadline_ms(sides[i].peers);
                next = due < next ? due : next;
            }
        }
        uint64_t now = fake_net_now(net);
        if (now >= end) {
            return;
        }
        fake_net_advance(net, next > now ? next - now : 1);
    }
}

static void setup(void)
{
    net = fake_net_new(1);
    memset(sides, 0, sizeof sides);
}

static void teardown(void)
{
    for (size_t i = 0; i < 3; i++) {
        if (sides[i].peers != NULL) {
            peers_close(sides[i].peers);
        }
        metrics_free(sides[i].metrics);
    }
    ck_assert_uint_eq(fake_net_open_streams(net), 0);
    fake_net_free(net);
}

/* Two members that know each other and are connected. */
static void open_pair(void)
{
    side_open(0, 1);
    side_open(1, 2);
    side_knows(&sides[0], 1);
    side_knows(&sides[1], 0);
    run_for(1);
    ck_assert(peers_is_up(sides[0].peers, 2));
    ck_assert(peers_is_up(sides[1].peers, 1));
}

static bool send_term(struct side *s, uint64_t to, uint64_t term)
{
    return peers_send(
        s->peers, to,
        &(struct message){.type = MESSAGE_TIMEOUT_NOW, .timeout_now = {.term = term}});
}

static bool send_chunk(struct side *s, uint64_t to, size_t bytes)
{
    uint8_t *data = mem_alloc(bytes);
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (uint8_t)(i * 7);
    }
    bool sent = peers_send(
        s->peers, to,
        &(struct message){
            .type = MESSAGE_SNAPSHOT_CHUNK,
            .snapshot_chunk = {.index = 1, .file_bytes = bytes, .data = {data, bytes}}});
    mem_free(data);
    return sent;
}

/* ---- coming about ---- */

START_TEST(two_members_make_one_connection_whoever_starts_first)
{
    open_pair();
    ck_assert_uint_eq(fake_net_open_streams(net), 2); /* its two ends */
    ck_assert_int_eq(sides[0].ups, 1);
    ck_assert_int_eq(sides[1].ups, 1);
    ck_assert_uint_eq(sides[0].hello_boot_id, 102);
    ck_assert_uint_eq(sides[1].hello_boot_id, 101);
    ck_assert_str_eq(peers_client_address(sides[0].peers, 2), "client:7400");
    ck_assert_uint_eq(peers_feature_level(sides[1].peers, 1), 1);
    ck_assert_uint_eq(peers_port(sides[1].peers), PORT);
    run_for(60000);
    ck_assert_int_eq(sides[0].ups, 1);
    ck_assert_uint_eq(fake_net_open_streams(net), 2);
}
END_TEST

START_TEST(messages_arrive_in_order_however_the_bytes_are_cut)
{
    fake_net_set_piece(net, 23);
    open_pair();
    for (uint64_t term = 1; term <= 200; term++) {
        ck_assert(send_term(&sides[0], 2, term));
        if (term % 7 == 0) {
            peers_flush(sides[0].peers);
            fake_net_step(net);
        }
    }
    peers_flush(sides[0].peers);
    fake_net_settle(net);
    ck_assert_uint_eq(sides[1].received, 200);
    ck_assert_uint_eq(sides[1].last_from, 1);
    ck_assert(sides[1].in_order);
}
END_TEST

START_TEST(one_turn_is_one_write_per_peer)
{
    open_pair();
    size_t before = fake_net_writes(sides[0].env);
    for (uint64_t term = 1; term <= 50; term++) {
        ck_assert(send_term(&sides[0], 2, term));
    }
    ck_assert_uint_eq(fake_net_writes(sides[0].env), before);
    peers_flush(sides[0].peers);
    ck_assert_uint_eq(fake_net_writes(sides[0].env), before + 1);
    peers_flush(sides[0].peers);
    ck_assert_uint_eq(fake_net_writes(sides[0].env), before + 1);
}
END_TEST

START_TEST(large_messages_arrive_whole)
{
    fake_net_set_piece(net, 60000);
    open_pair();
    for (int i = 0; i < 20; i++) {
        ck_assert(send_chunk(&sides[1], 1, MESSAGE_CHUNK_BYTES_MAX - (size_t)i));
    }
    peers_flush(sides[1].peers);
    fake_net_settle(net);
    ck_assert_uint_eq(sides[0].received, 20);
    ck_assert_uint_eq(sides[0].last_bytes, MESSAGE_CHUNK_BYTES_MAX - 19);
}
END_TEST

/* ---- losing and finding each other ---- */

START_TEST(a_lost_connection_is_back_within_50_ms)
{
    open_pair();
    fake_net_break(net, sides[0].env, sides[1].env);
    fake_net_settle(net);
    ck_assert_int_eq(sides[0].downs, 1);
    ck_assert_int_eq(sides[1].downs, 1);
    ck_assert(!peers_is_up(sides[0].peers, 2));
    run_for(50);
    ck_assert(peers_is_up(sides[0].peers, 2));
    ck_assert(peers_is_up(sides[1].peers, 1));
    ck_assert_int_eq(sides[0].ups, 2);
}
END_TEST

START_TEST(attempts_back_off_and_are_logged_once)
{
    side_prepare(1);
    sides[1].id = 2;
    side_open(0, 1);
    side_knows(&sides[0], 1);
    run_for(10000); /* nobody listens there */
    ck_assert_int_eq(times_logged(&sides[0], "peer.unreachable"), 1);
    /* 20 + 40 + ... + 320, then every 500 ms. */
    uint64_t first = peers_next_deadline_ms(sides[0].peers);
    ck_assert_uint_le(first - fake_net_now(net), PEER_RECONNECT_MS_MAX);
    struct peers_options options = side_options(&sides[1], 1, 2);
    side_open_with(1, &options);
    side_knows(&sides[1], 0);
    run_for(PEER_RECONNECT_MS_MAX);
    ck_assert(peers_is_up(sides[0].peers, 2));
    /* Success starts the back-off anew. */
    fake_net_break(net, sides[0].env, sides[1].env);
    run_for(50);
    ck_assert_int_eq(sides[0].ups, 2);
}
END_TEST

START_TEST(what_was_queued_before_a_loss_never_arrives_after_it)
{
    fake_net_set_piece(net, 100);
    open_pair();
    for (uint64_t term = 1; term <= 100; term++) {
        ck_assert(send_term(&sides[0], 2, term));
    }
    peers_flush(sides[0].peers);
    for (int i = 0; i < 5; i++) {
        fake_net_step(net); /* some of it arrives, the last frame only in part */
    }
    uint64_t before = sides[1].received;
    ck_assert_uint_lt(before, 100);
    for (uint64_t term = 101; term <= 110; term++) {
        ck_assert(send_term(&sides[0], 2, term)); /* not flushed */
    }
    fake_net_break(net, sides[0].env, sides[1].env);
    fake_net_settle(net);
    ck_assert(!send_term(&sides[0], 2, 111));
    run_for(50);
    ck_assert(peers_is_up(sides[0].peers, 2));
    ck_assert_uint_eq(sides[1].received, before);
    sides[1].last_term = 999;
    ck_assert(send_term(&sides[0], 2, 1000));
    run_for(1);
    ck_assert_uint_eq(sides[1].received, before + 1);
    ck_assert_uint_eq(sides[1].last_term, 1000);
}
END_TEST

START_TEST(a_restarted_peer_replaces_its_old_connection)
{
    open_pair();
    /* The old process is gone without a word, and the new one is at another address. */
    fake_net_cut(net, sides[0].env, sides[1].env, true);
    ck_assert(send_term(&sides[0], 2, 1));
    peers_flush(sides[0].peers);
    side_open(2, 1);
    side_knows(&sides[2], 1);
    run_for(1);
    ck_assert(peers_is_up(sides[2].peers, 2));
    ck_assert(peers_is_up(sides[1].peers, 1));
    ck_assert_int_eq(sides[1].ups, 2);
    ck_assert_int_eq(sides[1].downs, 1);
    ck_assert_int_eq(times_logged(&sides[1], "replaced by a newer connection"), 1);
    /* What was under way on the old one does not arrive, and its end is no loss. */
    peers_close(sides[0].peers);
    sides[0].peers = NULL;
    fake_net_cut(net, sides[0].env, sides[1].env, false);
    run_for(1);
    ck_assert_uint_eq(sides[1].received, 0);
    ck_assert_int_eq(sides[1].downs, 1);
    ck_assert(peers_is_up(sides[1].peers, 1));
}
END_TEST

START_TEST(idle_connections_live_and_silent_ones_end)
{
    open_pair();
    run_for(5 * PEER_SILENCE_MS);
    ck_assert_int_eq(sides[0].downs, 0); /* pinged */
    ck_assert_uint_eq(sides[0].received + sides[1].received, 0);
    fake_net_cut(net, sides[0].env, sides[1].env, true);
    run_for(PEER_SILENCE_MS - PEER_PING_MS - 1);
    ck_assert_int_eq(sides[0].downs + sides[1].downs, 0);
    run_for(PEER_PING_MS + 1);
    ck_assert_int_eq(sides[0].downs, 1);
    ck_assert_int_eq(sides[1].downs, 1);
    run_for(20000); /* attempts that lead nowhere time out */
    fake_net_cut(net, sides[0].env, sides[1].env, false);
    run_for(PEER_CONNECT_MS + PEER_RECONNECT_MS_MAX);
    ck_assert(peers_is_up(sides[0].peers, 2));
    ck_assert(peers_is_up(sides[1].peers, 1));
}
END_TEST

START_TEST(a_stalled_peer_costs_its_bound_and_drops_whole_messages)
{
    side_open(0, 1);
    side_open(1, 2);
    side_open(2, 3);
    side_knows(&sides[0], 1);
    side_knows(&sides[0], 2);
    side_knows(&sides[1], 0);
    side_knows(&sides[2], 0);
    run_for(1);
    fake_net_stall(sides[1].env, true);
    uint64_t sent = 0;
    uint64_t dropped = 0;
    for (int i = 0; i < 1000; i++) {
        if (send_chunk(&sides[0], 2, 100000)) {
            sent++;
        } else {
            dropped++;
        }
        peers_flush(sides[0].peers);
        ck_assert_uint_le(peers_queued(sides[0].peers, 2), PEER_QUEUE_BYTES_MAX);
        ck_assert(send_term(&sides[0], 3, (uint64_t)i + 1));
        peers_flush(sides[0].peers);
        fake_net_settle(net);
    }
    ck_assert_uint_gt(dropped, 600);
    ck_assert_uint_gt(sent, 300);
    ck_assert_uint_eq(sides[2].received, 1000); /* the other one never noticed */
    ck_assert(sides[2].in_order);
    fake_net_stall(sides[1].env, false);
    fake_net_settle(net);
    ck_assert_uint_eq(sides[1].received, sent);
    ck_assert_uint_eq(sides[1].last_bytes, 100000);
    ck_assert_uint_eq(peers_queued(sides[0].peers, 2), 0);
    ck_assert(send_term(&sides[0], 2, 1));
    run_for(1);
    ck_assert_uint_eq(sides[1].received, sent + 1);
}
END_TEST

/* ---- being refused ---- */

/* Opens sides 0 (id 1) and 1 with `options` for the latter changed by the caller before. */
static void expect_refusal(const struct peers_options *changed, const char *reason)
{
    side_open(0, 1);
    side_open_with(1, changed);
    peers_add(sides[0].peers, 2, hosts[1], hosts[1], PORT);
    side_knows(&sides[1], 0);
    run_for(PEER_IMPATIENT_MS - 1);
    ck_assert_int_eq(sides[0].ups, 0);
    ck_assert(!peers_is_up(sides[1].peers, 1));
    ck_assert_int_eq(times_logged(&sides[1], reason) + times_logged(&sides[0], reason), 1);
    ck_assert_int_eq(times_logged(&sides[0], "peer.unreachable") +
                         times_logged(&sides[0], "peer.refused"),
                     1);
}

START_TEST(another_cluster_is_refused)
{
    side_prepare(1);
    struct peers_options options = side_options(&sides[1], 1, 2);
    options.cluster_id = CLUSTER + 1;
    expect_refusal(&options, "it belongs to cluster 00000000000000c1, this node to "
                             "00000000000000c2");
}
END_TEST

START_TEST(another_node_at_the_address_is_refused)
{
    side_prepare(1);
    struct peers_options options = side_options(&sides[1], 1, 3);
    expect_refusal(&options,
                   "it wants to reach node 0000000000000002, this is 0000000000000003");
}
END_TEST

START_TEST(another_name_is_refused)
{
    side_prepare(1);
    struct peers_options options = side_options(&sides[1], 1, 2);
    options.name = "mallory";
    expect_refusal(&options, "node 0000000000000002 calls itself 'mallory', not 'beta'");
}
END_TEST

START_TEST(a_stranger_is_refused_until_it_is_a_member)
{
    side_open(0, 1);
    side_open(1, 2);
    side_knows(&sides[0], 1);
    run_for(3000);
    ck_assert_int_eq(sides[0].ups, 0);
    ck_assert_int_eq(times_logged(&sides[1], "node 0000000000000001 is not a member"), 1);
    side_knows(&sides[1], 0);
    run_for(PEER_RECONNECT_MS_MAX);
    ck_assert(peers_is_up(sides[0].peers, 2));
    /* And again once it is none any more. */
    peers_remove(sides[1].peers, 1);
    ck_assert_int_eq(sides[1].downs, 0);
    run_for(3000);
    ck_assert_int_eq(sides[0].downs, 1);
    ck_assert(!peers_is_up(sides[0].peers, 2));
    ck_assert(!send_term(&sides[1], 1, 1));
}
END_TEST

START_TEST(a_node_with_the_same_id_and_a_node_itself_are_refused)
{
    side_open(0, 1);
    side_open(1, 2);
    peers_add(sides[0].peers, 9, "", hosts[0], PORT); /* its own address */
    run_for(1000);
    ck_assert_int_eq(times_logged(&sides[0], "this node is connected to itself"), 1);
    ck_assert_int_eq(sides[0].ups, 0);

    side_prepare(2);
    struct peers_options options = side_options(&sides[2], 2, 2);
    options.boot_id = 5; /* not the same process as side 1 */
    side_open_with(2, &options);
    peers_add(sides[2].peers, 3, "", hosts[1], PORT);
    run_for(1000);
    ck_assert_int_eq(times_logged(&sides[1], "it has the node id of this node"), 1);
}
END_TEST

/* A raw connection to side 0. */
struct raw {
    struct env_stream *stream;
    struct buf in;
    bool is_open, is_closed;
};

static void raw_open(void *owner)
{
    ((struct raw *)owner)->is_open = true;
}

static void raw_data(void *owner, struct slice bytes)
{
    buf_append_slice(&((struct raw *)owner)->in, bytes);
}

static void raw_closed(void *owner, enum status rc)
{
    (void)rc;
    ((struct raw *)owner)->is_closed = true;
}

static const struct env_stream_events raw_events = {
    .open = raw_open, .data = raw_data, .closed = raw_closed};

static void raw_connect(struct raw *r, struct env *from)
{
    *r = (struct raw){0};
    r->stream = from->net->connect(from, hosts[0], PORT, &raw_events, r);
    fake_net_settle(net);
    ck_assert(r->is_open && !r->is_closed);
}

static void raw_close(struct raw *r, struct env *from)
{
    if (!r->is_closed) {
        from->net->close(r->stream, false);
    }
    buf_close(&r->in);
}

static void hello_bytes(struct buf *out, uint32_t format, uint64_t from)
{
    message_encode(out, &(struct message){.type = MESSAGE_HELLO,
                                          .hello = {.format = format,
                                                    .cluster_id = CLUSTER,
                                                    .node_id = from,
                                                    .target_id = 5,
                                                    .boot_id = 3,
                                                    .name = slice_str("beta")}});
}

/* Sends `bytes` to a node with id 5 that knows member 2, and expects to be thrown out. */
static void expect_thrown_out(struct slice bytes, const char *reason)
{
    struct env *from = fake_net_host(net, "raw");
    struct raw r;
    side_open(0, 5);
    peers_add(sides[0].peers, 2, "beta", "beta", PORT);
    raw_connect(&r, from);
    (void)from->net->write(r.stream, bytes);
    fake_net_settle(net);
    ck_assert(r.is_closed);
    ck_assert_int_eq(times_logged(&sides[0], reason), 1);
    ck_assert_int_eq(sides[0].ups, sides[0].downs);
    ck_assert_uint_eq(sides[0].received, 0);
    raw_close(&r, from);
}

START_TEST(another_protocol_is_thrown_out)
{
    expect_thrown_out(slice_str("GET / HTTP/1.1\r\n\r\n"), "is announced, the limit is 4096");
}
END_TEST

START_TEST(noise_is_thrown_out)
{
    expect_thrown_out(slice_make("\x10\0\0\0aaaabbbbcccccccccccccccccccc", 32),
                      "the header of a frame is damaged");
}
END_TEST

START_TEST(another_format_is_thrown_out_though_nothing_else_of_it_can_be_read)
{
    struct buf out = {0};
    struct buf body = {0};
    hello_bytes(&out, MESSAGE_FORMAT + 1, 2);
    expect_thrown_out(buf_slice(&out), "it speaks format 3 of the peer protocol, this node 2");
    buf_close(&out);
    buf_close(&body);
}
END_TEST

START_TEST(anything_before_hello_is_thrown_out)
{
    struct buf out = {0};
    message_encode(&out, &(struct message){.type = MESSAGE_REQUEST_VOTE});
    expect_thrown_out(buf_slice(&out), "it does not begin with HELLO but with type 2");
    buf_close(&out);
}
END_TEST

START_TEST(hello_twice_is_thrown_out)
{
    struct buf out = {0};
    hello_bytes(&out, MESSAGE_FORMAT, 2);
    hello_bytes(&out, MESSAGE_FORMAT, 2);
    expect_thrown_out(buf_slice(&out), "it says HELLO twice");
    ck_assert_int_eq(sides[0].ups, 1);
    buf_close(&out);
}
END_TEST

/* 5 connects to 8. What 8 begins itself counts only while 5 does not try. */
START_TEST(the_other_side_connecting_is_thrown_out_while_this_one_tries)
{
    struct buf out = {0};
    struct env *from = fake_net_host(net, "raw");
    struct raw r;
    side_open(0, 5);
    side_open(1, 8);
    fake_net_stall(sides[1].env, true);
    peers_add(sides[0].peers, 8, "", hosts[1], PORT);
    run_for(1);
    raw_connect(&r, from);
    hello_bytes(&out, MESSAGE_FORMAT, 8);
    (void)from->net->write(r.stream, buf_slice(&out));
    fake_net_settle(net);
    ck_assert(r.is_closed);
    ck_assert_int_eq(times_logged(&sides[0], "has to wait to be connected to"), 1);
    buf_close(&out);
    raw_close(&r, from);
}
END_TEST

START_TEST(the_higher_id_connects_when_the_lower_one_does_not)
{
    side_open(0, 1);
    side_open(1, 2);
    peers_add(sides[0].peers, 2, hosts[1], "", 0); /* it does not know where 2 is */
    side_knows(&sides[1], 0);
    run_for(PEER_IMPATIENT_MS - 1);
    ck_assert(!peers_is_up(sides[0].peers, 2));
    run_for(PEER_RECONNECT_MS + 1);
    ck_assert(peers_is_up(sides[0].peers, 2));
    ck_assert(peers_is_up(sides[1].peers, 1));
    fake_net_break(net, sides[0].env, sides[1].env);
    run_for(PEER_IMPATIENT_MS + 2 * PEER_RECONNECT_MS);
    ck_assert(peers_is_up(sides[0].peers, 2));
}
END_TEST

START_TEST(who_is_not_known_is_let_in_if_it_is_admitted)
{
    side_open(0, 1);
    side_open(1, 2);
    side_knows(&sides[1], 0);
    run_for(2 * PEER_IMPATIENT_MS);
    ck_assert_int_eq(sides[0].ups, 0);
    ck_assert_int_ge(times_logged(&sides[0], "is not a member of this cluster"), 1);
    sides[0].admits = 2;
    run_for(PEER_IMPATIENT_MS + PEER_RECONNECT_MS_MAX + 1);
    ck_assert(peers_is_up(sides[0].peers, 2));
    ck_assert(peers_is_up(sides[1].peers, 1));
    ck_assert(send_term(&sides[0], 2, 1));
    run_for(1);
    ck_assert_uint_eq(sides[1].received, 1);
}
END_TEST

START_TEST(who_is_not_admitted_is_told_why)
{
    side_open(0, 1);
    side_open(1, 2);
    side_knows(&sides[1], 0);
    sides[0].farewell = 2;
    run_for(2 * PEER_IMPATIENT_MS);
    ck_assert_int_eq(sides[0].ups, 0);
    ck_assert_uint_ge(sides[1].removals, 1);
    run_for(2 * PEER_HELLO_MS); /* and the connection does not stay for ever */
    ck_assert_int_ge(sides[1].downs, 1);
}
END_TEST

START_TEST(a_guest_asks_and_is_answered)
{
    struct buf out = {0};
    struct env *from = fake_net_host(net, "raw");
    struct raw r;
    side_open(0, 1);
    raw_connect(&r, from);
    struct message m = {.type = MESSAGE_HELLO,
                        .hello = {.format = MESSAGE_FORMAT, .node_id = 77}};
    message_encode(&out, &m);
    m = (struct message){.type = MESSAGE_MEMBER_ASK,
                         .member_ask = {.token = 5, .id = 77, .kind = MEMBER_JOIN}};
    message_encode(&out, &m);
    (void)from->net->write(r.stream, buf_slice(&out));
    fake_net_settle(net);
    ck_assert(!r.is_closed);
    ck_assert_uint_eq(sides[0].asked, 1);
    ck_assert_uint_gt(r.in.size, 2 * MESSAGE_HEADER_BYTES); /* its HELLO, and the answer */
    ck_assert_int_eq(sides[0].ups, 0);
    buf_clear(&out);
    message_encode(&out, &(struct message){.type = MESSAGE_REQUEST_VOTE});
    (void)from->net->write(r.stream, buf_slice(&out));
    fake_net_settle(net);
    ck_assert(r.is_closed);
    ck_assert_int_eq(times_logged(&sides[0], "a guest says something of type 2"), 1);
    buf_close(&out);
    raw_close(&r, from);
}
END_TEST

START_TEST(connections_without_hello_are_few_and_short)
{
    struct env *from = fake_net_host(net, "raw");
    static struct raw raws[PEER_STRANGERS_MAX + 10];
    size_t count = sizeof raws / sizeof raws[0];
    open_pair();
    uint64_t begin = fake_net_now(net);
    for (size_t i = 0; i < count; i++) {
        raw_connect(&raws[i], from);
        fake_net_advance(net, 1);
    }
    /* The oldest had to go; the newest may stay for their time. */
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(raws[i].is_closed, i < 10);
    }
    /* A member gets through all the same. */
    fake_net_break(net, sides[0].env, sides[1].env);
    run_for(50);
    ck_assert(peers_is_up(sides[0].peers, 2));
    run_for(begin + PEER_HELLO_MS + count + 1 - fake_net_now(net));
    for (size_t i = 0; i < count; i++) {
        ck_assert(raws[i].is_closed);
        raw_close(&raws[i], from);
    }
    ck_assert(peers_is_up(sides[0].peers, 2));
}
END_TEST

/* ---- changing members ---- */

START_TEST(a_member_may_be_removed_by_what_it_says)
{
    open_pair();
    for (uint64_t term = 1; term <= 5; term++) {
        ck_assert(send_term(&sides[0], 2, term));
    }
    sides[1].remove_on_message = 1;
    peers_flush(sides[0].peers);
    fake_net_settle(net);
    ck_assert_uint_eq(sides[1].received, 1);
    ck_assert_int_eq(sides[1].downs, 0);
    ck_assert(!peers_is_up(sides[1].peers, 1));
}
END_TEST

START_TEST(a_member_may_be_removed_by_its_loss)
{
    open_pair();
    sides[0].remove_on_down = 2;
    sides[1].remove_on_down = 1;
    fake_net_break(net, sides[0].env, sides[1].env);
    run_for(1000);
    ck_assert_int_eq(sides[0].ups, 1);
    ck_assert_uint_eq(peers_next_deadline_ms(sides[0].peers), UINT64_MAX);
}
END_TEST

START_TEST(a_new_address_is_used_at_once)
{
    side_open(0, 1);
    side_open(1, 2);
    peers_add(sides[1].peers, 1, hosts[0], "", 0);
    peers_add(sides[0].peers, 2, hosts[1], "nowhere", PORT);
    run_for(5000);
    ck_assert_int_eq(sides[0].ups, 0);
    side_knows(&sides[0], 1);
    run_for(1);
    ck_assert(peers_is_up(sides[0].peers, 2));
    peers_add(sides[0].peers, 2, hosts[1], "elsewhere", PORT); /* the connection works: kept */
    run_for(1000);
    ck_assert_int_eq(sides[0].downs, 0);
}
END_TEST

START_TEST(metrics_count_bytes_connections_and_drops)
{
    struct buf text = {0};
    open_pair();
    ck_assert(send_term(&sides[0], 2, 1));
    run_for(1);
    fake_net_break(net, sides[0].env, sides[1].env);
    fake_net_settle(net);
    ck_assert(!send_term(&sides[0], 2, 2));
    run_for(50);
    metrics_print(sides[0].metrics, &text);
    pack_u8(&text, 0);
    const char *all = (const char *)text.data;
    ck_assert_ptr_nonnull(strstr(all, "coord_peer_connects_total{peer=\"beta\"} 2"));
    ck_assert_ptr_nonnull(strstr(all, "coord_peer_dropped_messages_total{peer=\"beta\"} 1"));
    ck_assert_ptr_nonnull(strstr(all, "coord_peer_up{peer=\"beta\"} 1"));
    ck_assert_ptr_nonnull(strstr(all, "coord_peer_sent_bytes_total{peer=\"beta\"} 36"));
    buf_close(&text);
}
END_TEST

/* Random faults: whatever happens, what arrives is in order and never twice, and in the end all is
 * well again. */
START_TEST(random_faults_never_reorder_or_repeat)
{
    struct rng r;
    rng_init(&r, (uint64_t)_i);
    fake_net_free(net);
    net = fake_net_new((uint64_t)_i);
    fake_net_set_piece(net, 50);
    open_pair();
    uint64_t term = 0;
    uint64_t highest = 0;
    for (int i = 0; i < 3000; i++) {
        switch (rng_below(&r, 12)) {
        case 0: fake_net_advance(net, rng_below(&r, 400)); break;
        case 1:
            if (rng_chance(&r, 100)) {
                fake_net_break(net, sides[0].env, sides[1].env);
            }
            break;
        case 2: fake_net_cut(net, sides[0].env, sides[1].env, rng_chance(&r, 300)); break;
        case 3: fake_net_stall(sides[1].env, rng_chance(&r, 300)); break;
        case 4: tick_all(); break;
        case 5:
        case 6: (void)send_term(&sides[0], 2, ++term); break;
        default: fake_net_step(net); break;
        }
        ck_assert_uint_ge(sides[1].last_term, highest);
        highest = sides[1].last_term;
    }
    ck_assert_uint_le(sides[1].received, term);
    fake_net_cut(net, sides[0].env, sides[1].env, false);
    fake_net_stall(sides[1].env, false);
    run_for(PEER_CONNECT_MS + PEER_SILENCE_MS + 1000);
    ck_assert(peers_is_up(sides[0].peers, 2));
    ck_assert(peers_is_up(sides[1].peers, 1));
    ck_assert_uint_gt(sides[1].received, 0);
    ck_assert(send_term(&sides[0], 2, term + 1));
    run_for(1);
    ck_assert_uint_eq(sides[1].last_term, term + 1);
}
END_TEST

static Suite *peer_suite(void)
{
    Suite *s = suite_create("peer");
    TCase *c = tcase_create("transport");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, two_members_make_one_connection_whoever_starts_first);
    tcase_add_test(c, messages_arrive_in_order_however_the_bytes_are_cut);
    tcase_add_test(c, one_turn_is_one_write_per_peer);
    tcase_add_test(c, large_messages_arrive_whole);
    tcase_add_test(c, a_lost_connection_is_back_within_50_ms);
    tcase_add_test(c, attempts_back_off_and_are_logged_once);
    tcase_add_test(c, what_was_queued_before_a_loss_never_arrives_after_it);
    tcase_add_test(c, a_restarted_peer_replaces_its_old_connection);
    tcase_add_test(c, idle_connections_live_and_silent_ones_end);
    tcase_add_test(c, a_stalled_peer_costs_its_bound_and_drops_whole_messages);
    tcase_add_test(c, another_cluster_is_refused);
    tcase_add_test(c, another_node_at_the_address_is_refused);
    tcase_add_test(c, another_name_is_refused);
    tcase_add_test(c, a_stranger_is_refused_until_it_is_a_member);
    tcase_add_test(c, a_node_with_the_same_id_and_a_node_itself_are_refused);
    tcase_add_test(c, another_protocol_is_thrown_out);
    tcase_add_test(c, noise_is_thrown_out);
    tcase_add_test(c, another_format_is_thrown_out_though_nothing_else_of_it_can_be_read);
    tcase_add_test(c, anything_before_hello_is_thrown_out);
    tcase_add_test(c, hello_twice_is_thrown_out);
    tcase_add_test(c, the_other_side_connecting_is_thrown_out_while_this_one_tries);
    tcase_add_test(c, the_higher_id_connects_when_the_lower_one_does_not);
    tcase_add_test(c, who_is_not_known_is_let_in_if_it_is_admitted);
    tcase_add_test(c, who_is_not_admitted_is_told_why);
    tcase_add_test(c, a_guest_asks_and_is_answered);
    tcase_add_test(c, connections_without_hello_are_few_and_short);
    tcase_add_test(c, a_member_may_be_removed_by_what_it_says);
    tcase_add_test(c, a_member_may_be_removed_by_its_loss);
    tcase_add_test(c, a_new_address_is_used_at_once);
    tcase_add_test(c, metrics_count_bytes_connections_and_drops);
    tcase_add_loop_test(c, random_faults_never_reorder_or_repeat, 1, 21);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){peer_suite, NULL});
}
