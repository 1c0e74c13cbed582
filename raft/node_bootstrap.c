/* The first start of a cluster.
 *
 * A lost disk is a lost identity. A member with an empty data dir may have voted and
 * acknowledged before it lost it, so it may take part under its name only if nobody can
 * remember it: when every first member has said, in this start, that it is new as well.
 * Otherwise it is REFUSED and says how to be replaced.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "raft/node_internal.h"

#define BOOT_ASK_MS 100

static const char *const lost_reason =
    "this data dir is empty, but the cluster has history with this member: its data was lost. "
    "It must not vote again under its id: give its place to a new one by 'coordctl member "
    "replace', and start it with --join";

static struct boot_answer *answer_of(struct node *n, uint64_t id)
{
    for (size_t i = 0; i < n->boot_count; i++) {
        if (n->boot[i].id == id) {
            return &n->boot[i];
        }
    }
    return NULL;
}

void node_on_peer_up(struct node *n, uint64_t from, const struct message_hello *hello)
{
    struct boot_answer *answer = answer_of(n, from);
    if (answer != NULL) {
        answer->present_boot_id = hello->boot_id;
    }
    n->boot_ask_ms = 0;
}

/* "Are you past the bootstrap entry?" The process that told us itself that it is new, in the
 * round in which this cluster began, is still in that same beginning. */
void node_on_boot_query(struct node *n, uint64_t from)
{
    const struct boot_answer *answer = answer_of(n, from);
    bool began_with_us =
        answer != NULL && answer->boot_id != 0 && answer->boot_id == answer->present_boot_id;
    struct message m = {.type = MESSAGE_BOOT_RESULT};
    m.boot.last_index = n->engine != NULL ? engine_last_index(n->engine) : 0;
    m.boot.has_state = m.boot.last_index > 1 && !began_with_us;
    node_send(n, from, &m);
}

/* A single node is known to nobody else: its id is random, its peer address not used yet. */
static struct engine_configuration configuration_of_one(const struct node *n)
{
    struct engine_configuration c = {.index = 1, .count = 1};
    struct node_member self = {.port = 0};
    memcpy(self.name, n->name, sizeof self.name);
    snprintf(self.host, sizeof self.host, "localhost");
    c.members[0] = (struct engine_member){.id = n->identity.node_id, .role = ENGINE_VOTER};
    node_format_member(&self, NULL, c.members[0].address, sizeof c.members[0].address);
    return c;
}

static struct engine_configuration first_configuration(const struct node *n)
{
    if (n->identity.initial == 0) {
        return configuration_of_one(n);
    }
    struct engine_configuration c = {.index = 1};
    for (size_t i = 0; i < n->options.member_count; i++) {
        struct engine_member *m = &c.members[c.count++];
        m->id = identity_of_member(n->identity.cluster_id, n->members[i].name);
        m->role = ENGINE_VOTER;
        node_format_member(&n->members[i], NULL, m->address, sizeof m->address);
    }
    /* The entry must be the same bytes everywhere, however the flag was ordered. */
    for (size_t i = 1; i < c.count; i++) {
        for (size_t j = i; j > 0 && c.members[j].id < c.members[j - 1].id; j--) {
            struct engine_member swap = c.members[j];
            c.members[j] = c.members[j - 1];
            c.members[j - 1] = swap;
        }
    }
    return c;
}

enum status node_become_member(struct node *n, struct errmsg *err)
{
    n->identity.phase = IDENTITY_PENDING;
    enum status rc = identity_save(n->env, n->data_dir, &n->identity, err);
    if (rc != RC_OK) {
        return rc;
    }
    struct engine_configuration first = first_configuration(n);
    return node_start_engine(n, &first, err);
}

static void finish_bootstrap(struct node *n)
{
    struct errmsg err = {0};
    enum status rc = node_become_member(n, &err);
    if (rc != RC_OK) {
        node_fatal(n, rc, err.text);
        return;
    }
    log_info(n->log, "node.bootstrapped", "cluster=%016" PRIx64 " members=%zu",
             n->identity.cluster_id, n->options.member_count);
}

void node_on_boot_result(struct node *n, uint64_t from, const struct message_boot *m)
{
    struct boot_answer *answer = answer_of(n, from);
    if (n->phase != NODE_WAITING || answer == NULL) {
        return;
    }
    if (m->has_state) {
        node_refuse(n, lost_reason);
        return;
    }
    answer->boot_id = answer->present_boot_id;
}

void node_bootstrap_turn(struct node *n, uint64_t now_ms)
{
    if (n->join.is_active) {
        node_pending_turn(n, now_ms);
        node_join_turn(n, now_ms);
        return;
    }
    size_t answers = 0;
    for (size_t i = 0; i < n->boot_count; i++) {
        answers += n->boot[i].boot_id != 0;
    }
    if (answers == n->boot_count) {
        finish_bootstrap(n);
        return;
    }
    if (now_ms < n->boot_ask_ms) {
        return;
    }
    n->boot_ask_ms = now_ms + BOOT_ASK_MS;
    for (size_t i = 0; i < n->boot_count; i++) {
        if (n->boot[i].boot_id == 0) {
            struct message m = {.type = MESSAGE_BOOT_QUERY};
            node_send(n, n->boot[i].id, &m);
        }
    }
}

void node_bootstrap_begin(struct node *n)
{
    n->phase = NODE_WAITING;
    for (size_t i = 0; i < n->options.member_count; i++) {
        const struct node_member *m = &n->members[i];
        uint64_t id = identity_of_member(n->identity.cluster_id, m->name);
        if (id != n->identity.node_id) {
            n->boot[n->boot_count++] = (struct boot_answer){.id = id};
            peers_add(n->peers, id, m->name, m->host, m->port);
        }
    }
    log_info(n->log, "node.waiting",
             "reason=\"every first member must answer that it is new\"");
}
