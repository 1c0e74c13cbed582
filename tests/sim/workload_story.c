/* What stories ask of clients: one operation at a time, through a given node, waited for;
 * and the set-up that every run begins with. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "coord/v1/history.pb-c.h"
#include "store/policy.h"
#include "tests/sim/workload.h"

/* ---- one at a time ----------------------------------------------------------------------- */

void workload_stay_near(struct workload *l)
{
    struct sim_net *n = &l->cluster->net;
    for (uint32_t i = 0; i < l->station_count; i++) {
        for (uint32_t node = 0; node < l->cluster->options.nodes; node++) {
            struct sim_link near = {.latency_us = 20, .jitter_us = 5};
            n->links[l->stations[i].host.number][node] = near;
            n->links[node][l->stations[i].host.number] = near;
        }
    }
}

static bool client_is_done(struct cluster *c, void *context)
{
    const struct client *k = context;
    (void)c;
    return !remote_call_is_open(&k->call);
}

/* Without a request id: the caller of a story decides about repeating. */
static bool client_submit(struct client *k, uint32_t node, enum op_kind kind, uint32_t key,
                          uint64_t limit_us)
{
    struct workload *l = k->workload;
    l->is_ending = true;
    PRE(k->is_idle);
    if (k->booted[node] != l->cluster->nodes[node].boots) {
        /* Whoever tells a story knows that the node has been down. */
        k->booted[node] = l->cluster->nodes[node].boots;
        station_drop(k->station, node);
    }
    k->may_repeat = false;
    client_begin(k, kind, key);
    k->may_repeat = true;
    k->node = node;
    if (!client_ask(k, limit_us)) {
        k->answer = (struct remote_answer){.end = REMOTE_REFUSED};
        journal_lost(l->journal, k->operation, FATE_NOT_PROPOSED);
        k->is_idle = true;
        return false;
    }
    return true;
}

/* How an attempt ended, in the words of raft/node.h. */
static enum status answer_status(const struct remote_answer *a)
{
    if (a->end != REMOTE_ANSWERED) {
        return a->end == REMOTE_REFUSED ? RC_STOPPED : RC_UNKNOWN;
    }
    const char *no_space = status_text(RC_NO_SPACE);
    switch (a->code) {
    case GRPC_DEADLINE_EXCEEDED: return RC_TIMEOUT;
    case GRPC_UNAVAILABLE: return RC_NO_LEADER;
    case GRPC_UNKNOWN: return RC_UNKNOWN;
    case GRPC_RESOURCE_EXHAUSTED:
        return strncmp(a->text, no_space, strlen(no_space)) == 0 ? RC_NO_SPACE : RC_OVERLOADED;
    default: return RC_OK; /* decided: the journal knows how */
    }
}

static enum status client_do(struct client *k, uint32_t node, enum op_kind kind, uint32_t key,
                             uint64_t limit_us)
{
    struct workload *l = k->workload;
    if (client_submit(k, node, kind, key, limit_us)) {
        (void)cluster_run_until(l->cluster, limit_us * 2, client_is_done, k);
        client_drop(k);
    }
    return answer_status(&k->answer);
}

bool workload_submit(struct workload *l, uint32_t client, uint32_t node, enum op_kind kind,
                     uint32_t key)
{
    return client_submit(&l->clients[client], node, kind, key, 10 * SECOND);
}

void workload_give_up(struct workload *l, uint32_t client)
{
    client_drop(&l->clients[client]);
}

enum fate workload_fate(const struct workload *l, uint32_t client)
{
    return (enum fate)journal_record(l->journal, l->clients[client].operation)->fate;
}

enum status workload_write(struct workload *l, uint32_t node, enum op_kind kind, uint32_t key,
                           uint64_t limit_us)
{
    return client_do(&l->clients[0], node, kind, key, limit_us);
}

enum status workload_read(struct workload *l, uint32_t node, uint32_t key, uint64_t limit_us)
{
    return client_do(&l->clients[0], node, DO_GET, key, limit_us);
}

/* ---- set-up ------------------------------------------------------------------------------ */

struct setup {
    struct remote_call call;
    bool is_ok;
};

/* A transaction that finds its nodes there: an attempt that seemed lost was not. */
static bool txn_is_done(const struct remote_call *call)
{
    Coord__V1__TxnReply *m = remote_call_reply(call, &coord__v1__txn_reply__descriptor);
    bool is_done = m != NULL && (m->outcome == COORD__V1__OUTCOME__OK ||
                                 m->outcome == COORD__V1__OUTCOME__NODE_EXISTS);
    if (m != NULL) {
        coord__v1__txn_reply__free_unpacked(m, NULL);
    }
    return is_done;
}

static void setup_ended(struct remote_call *call, const struct remote_answer *answer)
{
    struct setup *s = call->owner;
    bool is_txn = strcmp(call->path, rpc_path(RPC_TXN)) == 0;
    s->is_ok = answer->end == REMOTE_ANSWERED &&
               (answer->code == GRPC_OK ? !is_txn || txn_is_done(call)
                                        : answer->outcome == OUTCOME_NODE_EXISTS);
}

static bool setup_is_done(struct cluster *c, void *context)
{
    (void)c;
    return !remote_call_is_open(&((struct setup *)context)->call);
}

static bool has_leader(struct cluster *c, void *context)
{
    (void)context;
    return cluster_leader(c) >= 0;
}

/* Asks the leader, whichever that is, until it has done so. */
static bool setup_ask(struct workload *l, const char *path, const ProtobufCMessage *message)
{
    struct cluster *c = l->cluster;
    struct setup s = {.call = {.ended = setup_ended}};
    s.call.owner = &s;
    for (int attempt = 0; attempt < 20 && !s.is_ok && !c->world.failed; attempt++) {
        if (!cluster_run_until(c, 5 * SECOND, has_leader, NULL)) {
            continue;
        }
        struct remote *r = &l->stations[0].remotes[cluster_leader(c)];
        if (!remote_call_is_open(&s.call) &&
            !remote_call(r, &s.call, path, message, false, 2 * SECOND)) {
            station_drop(&l->stations[0], r->node);
        }
        (void)cluster_run_until(c, 5 * SECOND, setup_is_done, &s);
    }
    if (remote_call_is_open(&s.call)) {
        remote_close(s.call.remote);
    }
    remote_call_release(&s.call);
    if (!s.is_ok) {
        world_fail(&c->world, "a healthy new cluster does not do %s", path);
    }
    return s.is_ok;
}

bool workload_set_up(struct workload *l)
{
    static const char *const parents[] = {"/k", "/c", "/v", "/p", "/q",
                                          "/e", "/b", "/t", "/z", "/z/q",
                                          "/l", "/g", "/g/0", "/g/1", "/g/s", "/g/e",
                                          "/h", "/h/0", "/h/1", "/h/2", "/h/3"};
    enum { PARENTS = sizeof parents / sizeof parents[0] };
    Coord__V1__Operation ops[PARENTS + KEY_END];
    Coord__V1__CreateOp creates[PARENTS + KEY_END];
    Coord__V1__Operation *all[PARENTS + KEY_END];
    char paths[PARENTS + KEY_END][16];
    Coord__V1__TxnRequest m;
    coord__v1__txn_request__init(&m);
    m.then_ops = all;
    for (uint32_t i = 0; i < PARENTS + KEY_END - KEY_COUNT; i++) {
        if (i < PARENTS) {
            (void)snprintf(paths[i], sizeof paths[i], "%s", parents[i]);
        } else {
            key_path(KEY_COUNT + i - PARENTS, paths[i], sizeof paths[i]);
        }
        coord__v1__operation__init(&ops[i]);
        coord__v1__create_op__init(&creates[i]);
        creates[i].path = paths[i];
        ops[i].op_case = COORD__V1__OPERATION__OP_CREATE;
        ops[i].create = &creates[i];
        all[m.n_then_ops++] = &ops[i];
    }
    return setup_ask(l, rpc_path(RPC_TXN), &m.base);
}

bool workload_make_map(struct workload *l, const ProtobufCMessage *request)
{
    return setup_ask(l, "/coord.v1.ShardMap/Create", request);
}

bool workload_keep_little(struct workload *l, uint64_t revisions, uint32_t versions)
{
    char path[] = "/k";
    Coord__V1__Retention retention;
    Coord__V1__SetRetentionRequest m;
    Coord__V1__HistoryPolicy policy;
    Coord__V1__SetPolicyRequest p;
    coord__v1__retention__init(&retention);
    coord__v1__set_retention_request__init(&m);
    coord__v1__history_policy__init(&policy);
    coord__v1__set_policy_request__init(&p);
    retention.bytes = RETENTION_BYTES_MIN;
    retention.age_ms = RETENTION_AGE_MS_MIN;
    retention.revisions = revisions;
    m.retention = &retention;
    policy.path = path;
    policy.versions = versions;
    p.policy = &policy;
    return setup_ask(l, "/coord.v1.History/SetRetention", &m.base) &&
           setup_ask(l, "/coord.v1.History/SetPolicy", &p.base);
}
