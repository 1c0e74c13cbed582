/* What stories ask of clients: one operation at a time, through a given node, waited for;
 * and the set-up that every run begins with. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
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

static void setup_ended(struct remote_call *call, const struct remote_answer *answer)
{
    struct setup *s = call->owner;
    Coord__V1__TxnReply *m = remote_call_reply(call, &coord__v1__txn_reply__descriptor);
    /* "Exists already": an attempt that seemed lost was not. */
    s->is_ok =
        answer->end == REMOTE_ANSWERED && m != NULL &&
        (m->outcome == COORD__V1__OUTCOME__OK || m->outcome == COORD__V1__OUTCOME__NODE_EXISTS);
    if (m != NULL) {
        coord__v1__txn_reply__free_unpacked(m, NULL);
    }
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

/* One transaction that creates the parents and the keys that are never deleted. */
static bool setup_try(struct workload *l, struct setup *s)
{
    static const char *const parents[] = {"/k", "/c", "/v", "/p", "/q", "/e", "/b", "/t"};
    enum { PARENTS = sizeof parents / sizeof parents[0] };
    Coord__V1__Operation ops[PARENTS + KEY_END];
    Coord__V1__CreateOp creates[PARENTS + KEY_END];
    Coord__V1__Operation *all[PARENTS + KEY_END];
    char paths[PARENTS + KEY_END][16];
    struct cluster *c = l->cluster;
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
    struct remote *r = &l->stations[0].remotes[cluster_leader(c)];
    return remote_call(r, &s->call, rpc_path(RPC_TXN), &m.base, false, 2 * SECOND) &&
           cluster_run_until(c, 5 * SECOND, setup_is_done, s) && s->is_ok;
}

bool workload_set_up(struct workload *l)
{
    struct cluster *c = l->cluster;
    struct setup s = {.call = {.ended = setup_ended}};
    bool is_ok = false;
    s.call.owner = &s;
    for (int attempt = 0; attempt < 20 && !is_ok && !c->world.failed; attempt++) {
        is_ok = cluster_run_until(c, 5 * SECOND, has_leader, NULL) && setup_try(l, &s);
    }
    if (remote_call_is_open(&s.call)) {
        remote_close(s.call.remote);
    }
    remote_call_release(&s.call);
    if (!is_ok) {
        world_fail(&c->world, "a healthy new cluster takes no write");
    }
    return is_ok;
}
