#include <stdio.h>
#include <string.h>

#include "raft/node_internal.h"
#include "store/quota.h"

static const char *state_name(const struct node *n)
{
    if (n->phase == NODE_REFUSED) {
        return n->identity.phase == IDENTITY_REMOVED ? "removed" : "refused";
    }
    if (n->engine == NULL) {
        return n->join.is_active ? "joining" : "waiting";
    }
    switch (engine_state(n->engine)) {
    case ENGINE_LEADER: return "leader";
    case ENGINE_CANDIDATE: return "candidate";
    default: break;
    }
    const struct engine_configuration *c = engine_configuration(n->engine);
    for (size_t i = 0; i < c->count; i++) {
        if (c->members[i].id == n->identity.node_id && c->members[i].role != ENGINE_VOTER) {
            return node_member_notes(c->members[i].address).learner ? "standby" : "joining";
        }
    }
    return c->count == 0 ? "joining" : "follower";
}

static const char *state_reason(const struct node *n)
{
    if (n->phase == NODE_REFUSED) {
        return n->refused_reason;
    }
    if (n->join.is_active) {
        return n->join.text;
    }
    if (n->engine == NULL) {
        return "waiting for every first member to answer that it is new";
    }
    if (engine_leader(n->engine) == 0) {
        return "no leader is known";
    }
    return node_is_caught_up(n) ? "" : "has not caught up with the leader since it started";
}

static void fill_address(const struct node_member *m, char *text, size_t bytes)
{
    bool is_ipv6 = strchr(m->host, ':') != NULL;
    snprintf(text, bytes, is_ipv6 ? "[%s]:%u" : "%s:%u", m->host, (unsigned)m->port);
}

static void fill_member(const struct node *n, uint64_t id, const struct node_member *m,
                        uint8_t role, struct node_member_status *out)
{
    memset(out, 0, sizeof *out);
    out->id = id;
    out->role = role;
    out->is_self = id == n->identity.node_id;
    out->is_leader = n->engine != NULL && engine_leader(n->engine) == id;
    out->is_up = out->is_self || (n->peers != NULL && peers_is_up(n->peers, id));
    out->match_index = n->engine != NULL ? engine_match(n->engine, id) : 0;
    snprintf(out->name, sizeof out->name, "%s", m->name);
    if (m->port != 0) {
        fill_address(m, out->peer_address, sizeof out->peer_address);
    }
    const char *client = out->is_self       ? n->client_address
                         : n->peers != NULL ? peers_client_address(n->peers, id)
                                            : "";
    snprintf(out->client_address, sizeof out->client_address, "%s", client);
}

static void fill_members(const struct node *n, struct node_status *out)
{
    if (n->engine == NULL) {
        for (size_t i = 0; i < n->options.member_count; i++) {
            uint64_t id = identity_of_member(n->identity.cluster_id, n->members[i].name);
            fill_member(n, id, &n->members[i], MEMBER_VOTER,
                        &out->members[out->member_count++]);
        }
        return;
    }
    const struct engine_configuration *c = engine_configuration(n->engine);
    for (size_t i = 0; i < c->count && i < NODE_MEMBERS_MAX; i++) {
        static const uint8_t roles[] = {[ENGINE_STANDBY] = MEMBER_STANDBY,
                                        [ENGINE_VOTER] = MEMBER_VOTER,
                                        [ENGINE_SPARE] = MEMBER_SPARE};
        struct node_member m;
        if (node_parse_member(c->members[i].address, &m)) {
            struct node_member_status *status = &out->members[out->member_count++];
            fill_member(n, c->members[i].id, &m, roles[c->members[i].role], status);
            status->is_learner = node_member_notes(c->members[i].address).learner;
            status->is_leaving = node_has_tombstone(n, status->id);
            snprintf(status->waits_for, sizeof status->waits_for, "%s",
                     node_member_waits_for(n, status->id));
        }
    }
}

static void status_quotas(const struct node *n, struct node_status *out)
{
    const struct quotas *quotas = store_quotas(n->store);
    out->quotas = quotas->count;
    for (uint32_t i = 0; i < quotas->count; i++) {
        enum quota_state state = quota_state(&quotas->items[i]);
        out->quotas_soft += state == QUOTA_SOFT;
        out->quotas_full += state == QUOTA_FULL;
    }
}

void node_status(const struct node *n, struct node_status *out)
{
    memset(out, 0, sizeof *out);
    out->cluster_id = n->identity.cluster_id;
    out->node_id = n->identity.node_id;
    out->name = n->name;
    out->state = state_name(n);
    out->state_reason = state_reason(n);
    out->serving = node_is_serving(n);
    if (n->engine != NULL) {
        out->term = engine_term(n->engine);
        out->leader_id = engine_leader(n->engine);
        out->commit_index = engine_commit_index(n->engine);
        out->last_index = engine_last_index(n->engine);
        out->log_bytes = engine_log_bytes(n->engine);
        out->cached_bytes = engine_memory_bytes(n->engine);
        out->disk_is_short = engine_disk_is_short(n->engine);
    }
    out->applied_index = store_applied_index(n->store);
    out->history_bytes = store_history_bytes(n->store);
    out->revision = store_revision(n->store);
    out->digest = store_digest(n->store);
    out->node_count = store_node_count(n->store);
    out->state_bytes = store_bytes(n->store);
    status_quotas(n, out);
    out->feature_level = store_level(n->store);
    out->feature_level_known = FEATURE_LEVEL;
    if (n->leading_term != 0) {
        out->leading_ms = n->env->now_ms(n->env) - n->leading_since_ms;
    }
    out->proposal_bytes = n->proposal_bytes.last;
    out->proposal_bytes_min = n->proposal_bytes.min;
    out->proposal_bytes_max = n->proposal_bytes.max;
    out->cluster_ms = node_cluster_ms(n);
    const struct snapshot_file *snapshot =
        n->snapshots != NULL ? snapshot_store_latest(n->snapshots) : NULL;
    if (snapshot != NULL) {
        out->snapshot_index = snapshot->index;
        out->snapshot_bytes = snapshot->bytes;
    }
    out->backup = n->backup;
    fill_members(n, out);
}

void node_set_backup(struct node *n, const struct node_backup *backup)
{
    n->backup = *backup;
}

struct node_entries node_entries(const struct node *n)
{
    struct node_entries e = {.first = 1, .last = 0};
    if (n->engine != NULL) {
        e.first = engine_first_index(n->engine);
        e.last = store_applied_index(n->store);
    }
    return e.last + 1 < e.first ? (struct node_entries){e.first, e.first - 1} : e;
}

void node_retain_entries(struct node *n, uint64_t from)
{
    if (n->engine != NULL) {
        engine_retain(n->engine, from);
    }
}

enum status node_entry(const struct node *n, uint64_t index, struct wal_entry *out)
{
    struct node_entries e = node_entries(n);
    if (index < e.first || index > e.last) {
        return RC_NOT_FOUND;
    }
    return engine_entry(n->engine, index, out);
}

uint64_t node_id(const struct node *n)
{
    return n->identity.node_id;
}

uint64_t node_cluster_id(const struct node *n)
{
    return n->identity.cluster_id;
}

uint64_t node_term(const struct node *n)
{
    return n->engine != NULL ? engine_term(n->engine) : 0;
}

const char *node_name(const struct node *n)
{
    return n->name;
}

bool node_has_refused(const struct node *n)
{
    return n->phase == NODE_REFUSED;
}

bool node_is_caught_up(const struct node *n)
{
    return read_index_is_proved(&n->reads);
}

bool node_is_leading(const struct node *n)
{
    return n->phase == NODE_RUNNING && n->leading_term != 0;
}

bool node_is_serving(const struct node *n)
{
    return n->phase == NODE_RUNNING && n->engine != NULL && engine_leader(n->engine) != 0 &&
           (engine_leader(n->engine) != n->identity.node_id || n->leading_term != 0) &&
           node_is_caught_up(n);
}

uint64_t node_cluster_ms(const struct node *n)
{
    return node_cluster_ms_at(n, n->env->now_ms(n->env));
}

const struct store *node_store(const struct node *n)
{
    return n->store;
}
