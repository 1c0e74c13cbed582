/* The way of an empty data dir into a running cluster. It draws an id, which is written down before
 * anybody hears of it, and asks any member, as a guest (raft/peer.h), to be added under it: again
 * and again, and the leader when it is told who that is.
 *
 *   JOINING, no cluster --(a single node grows with it)--> JOINING, of that cluster: it fetches the
 *                          state (raft/node_pending.c), and asks again
 *   JOINING, no cluster --(the cluster has added it)--> JOINING, of that cluster: the engine starts
 *   with an empty log --(the first entry or a snapshot is durable)--> MEMBER
 *
 * The id makes asking again harmless. What it is refused for is said in its status and its log, and
 * it goes on asking: an operator may remove the reason. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "raft/node_internal.h"

#define ASK_AGAIN_MS     200
#define REFUSED_AGAIN_MS 2000
#define ANSWER_MS        2000
#define AWAITED_AGAIN_MS 25

static void disconnect(struct node *n)
{
    struct node_join *j = &n->join;
    if (j->stream != NULL) {
        node_peer_env(n)->net->close(j->stream, false);
        j->stream = NULL;
    }
    if (!j->is_reading) {
        frame_reader_close(&j->reader);
    }
}

void node_join_close(struct node *n)
{
    n->join.is_active = false;
    disconnect(n);
}

static void ask_again_in(struct node *n, uint64_t ms)
{
    n->boot_ask_ms = n->env->now_ms(n->env) + ms;
}

static void note(struct node *n, const char *text, size_t size)
{
    struct node_join *j = &n->join;
    char fresh[NODE_TEXT_BYTES_MAX];
    snprintf(fresh, sizeof fresh, "%s:%u says: %.*s", j->at.host, (unsigned)j->at.port, (int)size,
             text);
    if (strcmp(fresh, j->text) != 0) {
        char quoted[NODE_TEXT_BYTES_MAX + 32];
        memcpy(j->text, fresh, sizeof fresh);
        log_info(n->log, "node.joining", "answer=%s",
                 log_quote(quoted, sizeof quoted, j->text));
    }
}

/* ---- answers ----------------------------------------------------------------------------- */

static enum status become_joined(struct node *n, const struct message_member_tell *m,
                                 const struct engine_configuration *c, struct errmsg *err)
{
    if (n->identity.cluster_id != 0 && n->identity.cluster_id != m->cluster_id) {
        return errmsg_set(err, RC_INVALID,
                          "%s belongs to cluster %016" PRIx64 ", asked was one of %016" PRIx64,
                          n->data_dir, n->identity.cluster_id, m->cluster_id);
    }
    n->identity.cluster_id = m->cluster_id;
    n->identity.initial = m->cluster_id;
    const struct engine_member *self = engine_find_member(c, n->identity.node_id);
    enum status rc = node_pending_settle(n, self->role == ENGINE_VOTER, err);
    if (rc == RC_OK) {
        rc = identity_save(n->env, n->data_dir, &n->identity, err);
    }
    if (rc == RC_OK) {
        rc = node_open_joined(n, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    node_on_configuration(n, c);
    return RC_OK;
}

static void take_in(struct node *n, const struct message_member_tell *m)
{
    struct engine_configuration c;
    struct errmsg err = {0};
    if (m->cluster_id == 0 || engine_configuration_decode(m->configuration, &c) != RC_OK ||
        engine_find_member(&c, n->identity.node_id) == NULL) {
        ask_again_in(n, REFUSED_AGAIN_MS);
        return;
    }
    n->join.is_active = false;
    enum status rc = become_joined(n, m, &c, &err);
    if (rc != RC_OK) {
        node_fatal(n, rc, err.text);
        return;
    }
    log_info(n->log, "node.joined", "cluster=%016" PRIx64 " node=%016" PRIx64 " members=%zu",
             n->identity.cluster_id, n->identity.node_id, c.count);
}

static void take_hint(struct node *n, struct slice address)
{
    struct node_member *hint = &n->join.hint;
    char text[NODE_ADDRESS_BYTES_MAX + 8];
    snprintf(text, sizeof text, "leader=%.*s", (int)address.size, (const char *)address.data);
    if (!node_parse_member(text, hint)) {
        *hint = (struct node_member){.port = 0};
    }
}

static void take_answer(struct node *n, const struct message_member_tell *m)
{
    note(n, (const char *)m->text.data, m->text.size);
    n->join.hint.port = 0;
    switch ((enum member_verdict)m->verdict) {
    case MEMBER_DONE: take_in(n, m); return;
    case MEMBER_ELSEWHERE:
        take_hint(n, m->address);
        ask_again_in(n, 0);
        return;
    case MEMBER_UNDER_WAY:
        n->join.hint = n->join.at;
        ask_again_in(n, ASK_AGAIN_MS);
        return;
    case MEMBER_AWAITED:
        ask_again_in(n, node_pending_take(n, m) ? AWAITED_AGAIN_MS : REFUSED_AGAIN_MS);
        n->join.hint = n->join.at;
        return;
    case MEMBER_GONE:
        n->join.is_active = false;
        n->identity.phase = IDENTITY_REMOVED;
        struct errmsg err = {0};
        if (identity_save(n->env, n->data_dir, &n->identity, &err) != RC_OK) {
            log_warn(n->log, "member.removal_not_saved", "reason=\"%s\"", err.text);
        }
        node_refuse(n, node_removed_reason);
        return;
    case MEMBER_REFUSED: ask_again_in(n, REFUSED_AGAIN_MS); return;
    case MEMBER_UNKNOWN: ask_again_in(n, ASK_AGAIN_MS); return; /* the next one */
    }
}

/* ---- the connection ---------------------------------------------------------------------- */

static void send_message(struct node *n, const struct message *m)
{
    struct buf out = {0};
    message_encode(&out, m);
    (void)node_peer_env(n)->net->write(n->join.stream, buf_slice(&out));
    buf_close(&out);
}

static void say_hello(struct node *n)
{
    const struct message m = {.type = MESSAGE_HELLO,
                              .hello = {.format = MESSAGE_FORMAT,
                                        .feature_level = FEATURE_LEVEL,
                                        .node_id = n->identity.node_id,
                                        .boot_id = n->boot_id,
                                        .name = slice_str(n->name)}};
    send_message(n, &m);
}

static void ask(struct node *n)
{
    char address[NODE_ADDRESS_BYTES_MAX];
    snprintf(address, sizeof address, "%s:%u", n->peer_address.host,
             (unsigned)n->peer_address.port);
    const struct message m = {.type = MESSAGE_MEMBER_ASK,
                              .member_ask = {.id = n->identity.node_id,
                                             .kind = MEMBER_JOIN,
                                             .learner = n->options.learner,
                                             .name = slice_str(n->name),
                                             .address = slice_str(address),
                                             .held_index = n->join.held.index,
                                             .held_term = n->join.held.term}};
    send_message(n, &m);
}

static bool on_frame(void *context, struct slice frame)
{
    struct node *n = context;
    struct arena arena = {0};
    struct message m;
    bool is_fine = message_decode(frame, &m, &arena, NULL) == RC_OK;
    if (is_fine && m.type == MESSAGE_HELLO && !n->join.is_greeted) {
        n->join.is_greeted = true;
        ask(n);
    } else if (is_fine && m.type == MESSAGE_MEMBER_TELL && n->join.is_greeted) {
        disconnect(n);
        take_answer(n, &m.member_tell);
    } else {
        disconnect(n);
        ask_again_in(n, ASK_AGAIN_MS);
    }
    arena_close(&arena);
    return n->join.stream != NULL;
}

static void on_open(void *owner)
{
    say_hello(owner);
}

static void on_data(void *owner, struct slice bytes)
{
    struct node *n = owner;
    struct errmsg err = {0};
    n->join.is_reading = true;
    enum status rc = frame_reader_feed(&n->join.reader, bytes, on_frame, n, &err);
    n->join.is_reading = false;
    if (rc != RC_OK && n->join.stream != NULL) {
        note(n, "what does not belong to the peer protocol; is that its peer address?",
             sizeof "what does not belong to the peer protocol; is that its peer address?" - 1);
        disconnect(n);
        ask_again_in(n, ASK_AGAIN_MS);
    }
    if (n->join.stream == NULL) {
        frame_reader_close(&n->join.reader);
    }
}

static void on_closed(void *owner, enum status rc)
{
    struct node *n = owner;
    n->join.stream = NULL;
    const char *why = status_text(rc);
    note(n, why, strlen(why));
    n->join.hint.port = 0;
    disconnect(n);
    ask_again_in(n, ASK_AGAIN_MS);
}

static const struct env_stream_events stream_events = {
    .open = on_open, .data = on_data, .closed = on_closed};

static void connect_next(struct node *n, uint64_t now_ms)
{
    struct node_join *j = &n->join;
    if (j->hint.port != 0) {
        j->at = j->hint;
    } else {
        j->at = n->joins[j->next++ % n->options.join_count];
    }
    j->hint.port = 0;
    j->is_greeted = false;
    j->reader.frame_bytes_max = MESSAGE_HEADER_BYTES + MESSAGE_BODY_BYTES_MAX;
    j->give_up_ms = now_ms + ANSWER_MS;
    n->boot_ask_ms = j->give_up_ms;
    struct env *env = node_peer_env(n);
    j->stream = env->net->connect(env, j->at.host, j->at.port, &stream_events, n);
}

void node_join_begin(struct node *n)
{
    struct errmsg err = {0};
    n->phase = NODE_WAITING;
    n->join.is_active = true;
    if (n->identity.phase == IDENTITY_NONE) {
        n->identity.phase = IDENTITY_JOINING;
        enum status rc = identity_save(n->env, n->data_dir, &n->identity, &err);
        if (rc != RC_OK) {
            n->join.is_active = false;
            node_fatal(n, rc, err.text);
            return;
        }
    }
    snprintf(n->join.text, sizeof n->join.text, "asks to be added");
    log_info(n->log, "node.joining", "node=%016" PRIx64 " peer_address=%s:%u",
             n->identity.node_id, n->peer_address.host, (unsigned)n->peer_address.port);
}

void node_join_turn(struct node *n, uint64_t now_ms)
{
    struct node_join *j = &n->join;
    if (now_ms < n->boot_ask_ms) {
        return;
    }
    if (j->stream != NULL) { /* no answer */
        disconnect(n);
    }
    connect_next(n, now_ms);
}
