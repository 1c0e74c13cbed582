/* Members that do nothing but keep connections, over a fake network where time passes only on
 * request, and what each has seen. */
#ifndef TESTS_SUPPORT_PEER_KIT_H
#define TESTS_SUPPORT_PEER_KIT_H

#include <inttypes.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/rng.h"
#include "raft/peer.h"
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

static inline void side_log(void *context, enum log_level level, const char *line)
{
    struct side *s = context;
    size_t used = strlen(s->lines);
    (void)snprintf(s->lines + used, sizeof s->lines - used, "%s %s\n", log_level_name(level),
                   line);
}

static inline int times_logged(const struct side *s, const char *text)
{
    int count = 0;
    for (const char *at = strstr(s->lines, text); at != NULL; at = strstr(at + 1, text)) {
        count++;
    }
    return count;
}

static inline void side_message(void *context, uint64_t from, const struct message *m)
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

static inline void side_up(void *context, uint64_t peer, const struct message_hello *hello)
{
    struct side *s = context;
    s->ups++;
    ck_assert_uint_eq(hello->node_id, peer);
    s->hello_boot_id = hello->boot_id;
    ck_assert(!s->is_up[peer]);
    s->is_up[peer] = true;
}

static inline void side_down(void *context, uint64_t peer)
{
    struct side *s = context;
    s->downs++;
    ck_assert(s->is_up[peer]);
    s->is_up[peer] = false;
    if (s->remove_on_down != 0) {
        peers_remove(s->peers, s->remove_on_down);
    }
}

static inline bool side_admit(void *context, const struct message_hello *hello,
                              struct message *farewell)
{
    struct side *s = context;
    if (hello->node_id == s->farewell) {
        *farewell = (struct message){.type = MESSAGE_REMOVED, .removed = {hello->node_id}};
    }
    return hello->node_id == s->admits;
}

static inline void side_guest(void *context, const struct message_member_ask *question,
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

static inline struct peers_options side_options(struct side *s, size_t i, uint64_t id)
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

static inline struct side *side_open_with(size_t i, const struct peers_options *options)
{
    struct side *s = &sides[i];
    struct errmsg err = {0};
    s->id = options->node_id;
    ck_assert_int_eq(peers_open(options, &side_events, s, &s->peers, &err), RC_OK);
    return s;
}

static inline void side_prepare(size_t i)
{
    struct side *s = &sides[i];
    *s = (struct side){.net = net, .env = fake_net_host(net, hosts[i]), .in_order = true};
    s->log = (struct log){.level = LOG_DEBUG, .sink = side_log, .context = s};
    s->metrics = metrics_new();
}

static inline struct side *side_open(size_t i, uint64_t id)
{
    side_prepare(i);
    struct peers_options options = side_options(&sides[i], i, id);
    options.name = hosts[id < 3 ? id - 1 : i]; /* whoever has id 1 is called alpha */
    return side_open_with(i, &options);
}

static inline void side_knows(struct side *s, size_t i)
{
    peers_add(s->peers, sides[i].id, hosts[i], hosts[i], PORT);
}

static inline void tick_all(void)
{
    for (size_t i = 0; i < 3; i++) {
        if (sides[i].peers != NULL) {
            peers_tick(sides[i].peers, fake_net_now(net));
            peers_flush(sides[i].peers);
        }
    }
}

/* Lets time pass as the loop would: from deadline to deadline. */
static inline void run_for(uint64_t ms)
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

static inline void setup(void)
{
    net = fake_net_new(1);
    memset(sides, 0, sizeof sides);
}

static inline void teardown(void)
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
static inline void open_pair(void)
{
    side_open(0, 1);
    side_open(1, 2);
    side_knows(&sides[0], 1);
    side_knows(&sides[1], 0);
    run_for(1);
    ck_assert(peers_is_up(sides[0].peers, 2));
    ck_assert(peers_is_up(sides[1].peers, 1));
}

static inline bool send_term(struct side *s, uint64_t to, uint64_t term)
{
    return peers_send(
        s->peers, to,
        &(struct message){.type = MESSAGE_TIMEOUT_NOW, .timeout_now = {.term = term}});
}

static inline bool send_chunk(struct side *s, uint64_t to, size_t bytes)
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

#endif
