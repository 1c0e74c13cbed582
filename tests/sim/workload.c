#include "tests/sim/workload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "store/store.h"

#define RETRY_US (20 * MS)

static void client_next(void *context);
static void client_attempt(void *context);

/* ---- what to do -------------------------------------------------------------------------- */

static const struct {
    enum op_kind kind;
    uint32_t weight;
} mix[] = {
    {DO_CREATE, 10},     {DO_SET, 14},    {DO_DELETE, 6},      {DO_COUNT, 10}, {DO_CAS, 10},
    {DO_SEQUENTIAL, 6},  {DO_PAIR, 8},    {DO_ROLLED_BACK, 3}, {DO_GET, 14},   {DO_LIST, 5},
    {DO_SESSION_GET, 6}, {DO_BARRIER, 4}, {DO_LOCAL_GET, 4},
};

static enum op_kind kind_pick(struct world *w)
{
    uint64_t at = world_random(w, 0, 99);
    for (size_t i = 0; i < sizeof mix / sizeof mix[0]; i++) {
        if (at < mix[i].weight) {
            return mix[i].kind;
        }
        at -= mix[i].weight;
    }
    return DO_GET;
}

static uint32_t key_pick(struct world *w, enum op_kind kind)
{
    switch (kind) {
    case DO_COUNT: return KEY_COUNT + (uint32_t)world_random(w, 0, KEYS_COUNT - 1);
    case DO_CAS: return KEY_CAS + (uint32_t)world_random(w, 0, KEYS_CAS - 1);
    case DO_PAIR:
    case DO_ROLLED_BACK: return KEY_PAIR;
    case DO_CREATE:
    case DO_SET:
    case DO_DELETE: return KEY_PLAIN + (uint32_t)world_random(w, 0, KEYS_PLAIN - 1);
    case DO_SEQUENTIAL: return KEY_END;
    case DO_LIST: return world_chance(w, 500) ? KEY_PLAIN : KEY_PAIR;
    default: return (uint32_t)world_random(w, 0, KEY_END - 1);
    }
}

static struct slice client_path(struct client *k, uint32_t slot, uint32_t key)
{
    key_path(key, k->paths[slot], sizeof k->paths[slot]);
    return slice_str(k->paths[slot]);
}

/* "v17." and padding, of many sizes, so that the log fills at different speeds. */
static struct slice client_value(struct client *k)
{
    struct world *w = &k->workload->cluster->world;
    uint64_t dice = world_random(w, 0, 99);
    size_t padding = (size_t)(dice < 60   ? world_random(w, 0, 40)
                              : dice < 95 ? world_random(w, 40, 400)
                                          : world_random(w, 400, 3000));
    buf_clear(&k->data);
    buf_printf(&k->data, "v%" PRIu64 ".", k->operation);
    if (k->workload->value_bytes > 0) {
        padding = k->workload->value_bytes - k->data.size;
    }
    memset(buf_extend(&k->data, padding), 'x', padding);
    return buf_slice(&k->data);
}

static struct op *client_op(struct client *k, uint32_t slot, enum op_type type, uint32_t key)
{
    k->ops[slot] = (struct op){.type = (uint8_t)type,
                               .space = SPACE_NODES,
                               .path = client_path(k, slot, key),
                               .version = VERSION_ANY};
    return &k->ops[slot];
}

static uint32_t client_fill_ops(struct client *k, enum op_kind kind, uint32_t key)
{
    struct slice value = client_value(k);
    struct txn *txn = &k->command.txn;
    switch (kind) {
    case DO_CREATE: client_op(k, 0, OP_CREATE, key)->data = value; return 1;
    case DO_SET:
    case DO_COUNT: client_op(k, 0, OP_SET, key)->data = value; return 1;
    case DO_DELETE: (void)client_op(k, 0, OP_DELETE, key); return 1;
    case DO_CAS:
        client_op(k, 0, OP_SET, key)->data = value;
        if (world_chance(&k->workload->cluster->world, 500)) {
            k->ops[0].version = k->versions[key];
        } else {
            k->guard = (struct guard){.target = GUARD_VERSION,
                                      .relation = GUARD_EQUAL,
                                      .space = SPACE_NODES,
                                      .path = k->ops[0].path,
                                      .number = k->versions[key]};
            txn->guards = &k->guard;
            txn->guard_count = 1;
        }
        return 1;
    case DO_SEQUENTIAL:
        client_op(k, 0, OP_CREATE, KEY_PLAIN)->data = value;
        (void)snprintf(k->paths[0], sizeof k->paths[0], "/q/i-");
        k->ops[0].path = slice_str(k->paths[0]);
        k->ops[0].flags = OP_SEQUENTIAL;
        return 1;
    case DO_PAIR:
        client_op(k, 0, OP_SET, KEY_PAIR)->data = value;
        client_op(k, 1, OP_SET, KEY_PAIR + 1)->data = value;
        return 2;
    case DO_ROLLED_BACK:
        client_op(k, 0, OP_SET, KEY_PAIR)->data = value;
        client_op(k, 1, OP_CHECK, KEY_PAIR + 1)->version = UINT32_MAX - 1;
        return 2;
    default: UNREACHABLE();
    }
}

static void client_fill_command(struct client *k, enum op_kind kind, uint32_t key)
{
    struct world *w = &k->workload->cluster->world;
    struct record *r = journal_record(k->workload->journal, k->operation);
    k->command = (struct command){.type = COMMAND_TXN};
    r->version = kind == DO_CAS ? k->versions[key] : 0;
    k->command.txn.then_ops = k->ops;
    k->command.txn.then_count = client_fill_ops(k, kind, key);
    r->has_id = kind == DO_COUNT || world_chance(w, 700);
    if (r->has_id) {
        k->command.request.random[0] = rng_next(&w->rng);
        k->command.request.random[1] = rng_next(&w->rng);
    }
}

static bool kind_is_write(enum op_kind kind)
{
    return kind < DO_GET;
}

static void client_fill_read(struct client *k, enum op_kind kind, uint32_t key)
{
    static const char *const parents[] = {"/k", "/p"};
    k->read = (struct node_read){.owner = k, .consistency = READ_LINEARIZABLE};
    k->read.query =
        (struct query){.type = QUERY_GET, .space = SPACE_NODES, .path = client_path(k, 0, key)};
    if (kind == DO_LIST) {
        k->read.query.type = QUERY_LIST;
        k->read.query.path = slice_str(parents[key == KEY_PAIR]);
        k->read.query.with_data = true;
    } else if (kind == DO_BARRIER) {
        k->read.is_barrier = true;
    } else if (kind == DO_SESSION_GET) {
        k->read.consistency = READ_SESSION;
        k->read.min_index = k->seen_index;
    } else if (kind == DO_LOCAL_GET) {
        k->read.consistency = READ_LOCAL;
    }
}

/* ---- the end of an operation ------------------------------------------------------------- */

static void client_finish(struct client *k)
{
    struct workload *l = k->workload;
    k->is_idle = true;
    if (!l->is_ending) {
        world_at(&l->cluster->world, &k->event,
                 world_random(&l->cluster->world, 10, l->think_us), client_next, k);
    }
}

static void client_retry(struct client *k)
{
    struct world *w = &k->workload->cluster->world;
    world_at(w, &k->event, world_random(w, MS, RETRY_US), client_attempt, k);
}

static void client_saw(struct client *k, uint64_t index, uint64_t revision)
{
    k->seen_index = index > k->seen_index ? index : k->seen_index;
    k->seen_revision = revision > k->seen_revision ? revision : k->seen_revision;
}

/* An outcome that says something about a key at the reply's revision. */
static void client_see_outcome(struct client *k, const struct record *r)
{
    if (r->outcome == OUTCOME_NODE_EXISTS || r->outcome == OUTCOME_NO_NODE) {
        journal_see(k->workload->journal,
                    &(struct sight){.key = r->key,
                                    .exists = r->outcome == OUTCOME_NODE_EXISTS,
                                    .at_revision = r->revision});
    }
}

static bool outcome_is_expected(const struct record *r)
{
    switch (r->outcome) {
    case OUTCOME_OK: return r->kind != DO_ROLLED_BACK;
    case OUTCOME_NODE_EXISTS: return r->kind == DO_CREATE;
    case OUTCOME_NO_NODE: return r->kind == DO_SET || r->kind == DO_DELETE;
    case OUTCOME_BAD_VERSION: return r->kind == DO_CAS || r->kind == DO_ROLLED_BACK;
    case OUTCOME_GUARD_REFUSED: return r->kind == DO_CAS;
    default: return false;
    }
}

static void client_replied(struct client *k, const struct reply *reply)
{
    struct journal *h = k->workload->journal;
    struct record *r = journal_record(h, k->operation);
    if (reply->outcome == OUTCOME_REQUEST_FUTURE) {
        world_trace(&k->workload->cluster->world,
                    "client %u #%" PRIu64 ": its id is of %" PRIu64
                    " ms, the cluster's time %" PRIu64,
                    k->number, k->operation, k->command.request.issued_ms,
                    node_cluster_ms(k->workload->cluster->nodes[k->node].node));
        /* The clock that made the id runs ahead: later it will do. Nothing was executed; if no
         * earlier attempt is under way either, the client may as well give up. */
        if (k->maybe_proposed) {
            client_retry(k);
        } else {
            journal_lost(h, k->operation, FATE_NOT_PROPOSED);
            client_finish(k);
        }
        return;
    }
    if (reply->outcome == OUTCOME_REQUEST_EXPIRED) {
        journal_lost(h, k->operation, k->maybe_proposed ? FATE_UNKNOWN : FATE_NOT_PROPOSED);
        client_finish(k);
        return;
    }
    if (r->kind == DO_SEQUENTIAL && reply->result_count == 1 &&
        reply->results[0].path.size > 10) {
        char number[16] = {0};
        struct slice path = reply->results[0].path;
        memcpy(number, path.data + path.size - 10, 10);
        r->sequence = strtoull(number, NULL, 10);
    }
    journal_written(h, k->operation, reply);
    if (!outcome_is_expected(r)) {
        world_fail(&k->workload->cluster->world,
                   "operation #%" PRIu64 " of kind %u: outcome \"%s\"", k->operation, r->kind,
                   outcome_text(reply->outcome));
    }
    client_see_outcome(k, r);
    if (r->kind == DO_CAS && r->had_effect) {
        k->versions[r->key] = reply->results[0].stat.version;
    }
    client_saw(k, reply->index, reply->revision);
    client_finish(k);
}

static void client_write_done(struct node_write *write, enum status rc,
                              const struct reply *reply)
{
    struct client *k = write->owner;
    struct workload *l = k->workload;
    struct record *r = journal_record(l->journal, k->operation);
    k->is_waiting = false;
    k->last_rc = rc;
    /* A node that is down tells nobody anything: what it completes while it is torn down was
     * never heard, and had been proposed for all the client knows. */
    bool was_heard = cluster_is_up(l->cluster, k->node);
    world_trace(&l->cluster->world, "client %u #%" PRIu64 ": n%u %s%s", k->number, k->operation,
                k->node + 1, was_heard ? "" : "died, ", status_text(rc));
    if (was_heard && rc == RC_OK) {
        client_replied(k, reply);
        return;
    }
    k->maybe_proposed |= !was_heard || rc == RC_UNKNOWN || rc == RC_TIMEOUT;
    if (r->has_id) {
        client_retry(k);
        return;
    }
    journal_lost(l->journal, k->operation,
                 k->maybe_proposed ? FATE_UNKNOWN : FATE_NOT_PROPOSED);
    client_finish(k);
}

/* ---- reads ------------------------------------------------------------------------------- */

static void client_see_get(struct client *k, uint32_t key, const struct query_result *q)
{
    bool exists = q->outcome == OUTCOME_OK;
    journal_see(k->workload->journal, &(struct sight){
                                          .key = key,
                                          .exists = exists,
                                          .at_revision = q->revision,
                                          .modify_revision = q->stat.modify_revision,
                                          .value = value_number(q->data),
                                      });
    if (exists) {
        k->versions[key] = q->stat.version;
    }
}

static void client_see_list(struct client *k, uint32_t first, const struct query_result *q)
{
    uint32_t count = first == KEY_PAIR ? KEYS_PAIR : KEYS_PLAIN;
    uint64_t pair[KEYS_PAIR] = {0};
    for (uint32_t key = first; key < first + count; key++) {
        struct sight s = {.key = key, .at_revision = q->revision};
        for (uint32_t i = 0; i < q->entry_count; i++) {
            const struct query_entry *e = &q->entries[i];
            if (key_of(e->path) == key) {
                s.exists = true;
                s.modify_revision = e->stat.modify_revision;
                s.value = value_number(e->data);
            }
        }
        if (first == KEY_PAIR) {
            pair[key - first] = s.value;
        }
        journal_see(k->workload->journal, &s);
    }
    if (pair[0] != pair[1]) {
        world_fail(&k->workload->cluster->world,
                   "half a transaction is visible: #%" PRIu64 " and #%" PRIu64, pair[0],
                   pair[1]);
    }
}

static void client_read_done(struct node_read *read, enum status rc,
                             const struct query_result *result)
{
    struct client *k = read->owner;
    struct cluster *c = k->workload->cluster;
    struct record *r = journal_record(k->workload->journal, k->operation);
    struct arena arena = {0};
    struct query_result local;
    k->is_waiting = false;
    k->last_rc = rc;
    if (!cluster_is_up(c, k->node) || rc != RC_OK) {
        client_retry(k);
        return;
    }
    if (r->kind == DO_BARRIER) {
        /* After a sync even a local read is linearizable. */
        store_query(node_store(c->nodes[k->node].node), &k->read.query, &local, &arena);
        result = &local;
    }
    bool is_linearizable = r->kind != DO_SESSION_GET && r->kind != DO_LOCAL_GET;
    journal_read(k->workload->journal, k->operation, result->applied_index, result->revision,
                 is_linearizable);
    if (r->kind == DO_SESSION_GET &&
        (result->applied_index < k->read.min_index || result->revision < k->seen_revision)) {
        world_fail(&c->world,
                   "session read #%" PRIu64 " of client %u went back to revision %" PRIu64
                   " from %" PRIu64,
                   k->operation, k->number, result->revision, k->seen_revision);
    }
    if (r->kind == DO_LIST) {
        client_see_list(k, r->key, result);
    } else {
        client_see_get(k, r->key, result);
    }
    if (r->kind != DO_LOCAL_GET) {
        client_saw(k, result->applied_index, result->revision);
    }
    arena_close(&arena);
    client_finish(k);
}

/* ---- attempts ---------------------------------------------------------------------------- */

static bool node_pick(struct cluster *c, uint32_t *node)
{
    uint32_t start = (uint32_t)world_random(&c->world, 0, c->options.nodes - 1);
    int leader = cluster_leader(c);
    if (leader >= 0 && world_chance(&c->world, 400)) {
        start = (uint32_t)leader;
    }
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        *node = (start + i) % c->options.nodes;
        if (cluster_is_up(c, *node) && !c->nodes[*node].is_stopping) {
            return true;
        }
    }
    return false;
}

/* The attempt's client goes away without waiting for the answer. */
static void client_cancel(void *context)
{
    struct client *k = context;
    struct cluster *c = k->workload->cluster;
    if (k->is_waiting && cluster_is_up(c, k->node)) {
        if (k->is_writing) {
            node_write_cancel(c->nodes[k->node].node, &k->write);
            client_write_done(&k->write, RC_UNKNOWN, NULL);
        } else {
            node_read_cancel(c->nodes[k->node].node, &k->read);
            client_read_done(&k->read, RC_TIMEOUT, NULL);
        }
    }
}

static enum status client_ask(struct client *k, uint64_t limit_us)
{
    struct cluster *c = k->workload->cluster;
    struct cluster_node *n = &c->nodes[k->node];
    uint64_t deadline_ms = (sim_host_now_us(&n->host) + limit_us) / MS + 1;
    struct record *r = journal_record(k->workload->journal, k->operation);
    enum status rc;
    if (k->is_writing) {
        if (r->has_id && k->command.request.issued_ms == 0) {
            uint64_t now_ms = node_cluster_ms(n->node);
            k->command.request.issued_ms = now_ms == 0 ? 1 : now_ms;
        }
        k->write = (struct node_write){.done = client_write_done, .owner = k};
        rc = node_write(n->node, &k->write, &k->command, deadline_ms);
    } else {
        k->read.done = client_read_done;
        rc = node_read(n->node, &k->read, deadline_ms);
    }
    k->is_waiting = rc == RC_OK;
    cluster_wake(c, k->node);
    return rc;
}

static void client_attempt(void *context)
{
    struct client *k = context;
    struct workload *l = k->workload;
    struct cluster *c = l->cluster;
    k->attempts++;
    if (!node_pick(c, &k->node)) {
        client_retry(k);
        return;
    }
    enum status rc = client_ask(k, world_random(&c->world, 50 * MS, 1500 * MS));
    if (rc != RC_OK) {
        client_retry(k); /* nothing was proposed */
        return;
    }
    if (k->is_writing && c->moment != NULL && c->nodes[k->node].state == 'l') {
        c->moment(c->context, MOMENT_SUBMIT, k->node);
    }
    if (world_chance(&c->world, 8)) {
        world_at(&c->world, &k->event, world_random(&c->world, 1, 5 * MS), client_cancel, k);
    }
}

static void client_begin(struct client *k, enum op_kind kind, uint32_t key)
{
    struct workload *l = k->workload;
    k->operation = journal_begin(l->journal, kind, k->number, key);
    k->is_writing = kind_is_write(kind);
    k->is_idle = false;
    k->maybe_proposed = false;
    k->attempts = 0;
    if (k->is_writing) {
        client_fill_command(k, kind, key);
    } else {
        client_fill_read(k, kind, key);
    }
}

static void client_next(void *context)
{
    struct client *k = context;
    struct world *w = &k->workload->cluster->world;
    enum op_kind kind = kind_pick(w);
    client_begin(k, kind, key_pick(w, kind));
    client_attempt(k);
}

/* ---- all of them ------------------------------------------------------------------------- */

void workload_init(struct workload *l, struct cluster *c, struct journal *h, uint32_t clients)
{
    *l = (struct workload){
        .cluster = c, .journal = h, .client_count = clients, .think_us = 10 * MS};
    for (uint32_t i = 0; i < clients; i++) {
        l->clients[i].workload = l;
        l->clients[i].number = i;
        l->clients[i].is_idle = true;
    }
}

void workload_start(struct workload *l)
{
    l->is_ending = false;
    for (uint32_t i = 0; i < l->client_count; i++) {
        client_finish(&l->clients[i]);
    }
}

void workload_end(struct workload *l)
{
    l->is_ending = true;
    for (uint32_t i = 0; i < l->client_count; i++) {
        if (l->clients[i].is_idle) {
            world_cancel(&l->cluster->world, &l->clients[i].event);
        }
    }
}

bool workload_is_idle(const struct workload *l)
{
    for (uint32_t i = 0; i < l->client_count; i++) {
        if (!l->clients[i].is_idle) {
            return false;
        }
    }
    return true;
}

/* Called when no node is up any more: nothing refers to the clients. */
void workload_close(struct workload *l)
{
    for (uint32_t i = 0; i < l->client_count; i++) {
        world_cancel(&l->cluster->world, &l->clients[i].event);
        buf_close(&l->clients[i].data);
    }
}

/* ---- one at a time ----------------------------------------------------------------------- */

static bool client_is_done(struct cluster *c, void *context)
{
    const struct client *k = context;
    (void)c;
    return k->is_idle || !k->is_waiting;
}

/* Without a request id: the caller of a story decides about repeating. */
static enum status client_submit(struct client *k, uint32_t node, enum op_kind kind,
                                 uint32_t key, uint64_t limit_us)
{
    struct workload *l = k->workload;
    l->is_ending = true;
    PRE(k->is_idle);
    client_begin(k, kind, key);
    journal_record(l->journal, k->operation)->has_id = false;
    k->command.request = (struct request_id){0};
    k->node = node;
    k->last_rc = cluster_is_up(l->cluster, node) ? client_ask(k, limit_us) : RC_STOPPED;
    if (k->last_rc != RC_OK) {
        journal_lost(l->journal, k->operation, FATE_NOT_PROPOSED);
        k->is_idle = true;
    }
    return k->last_rc;
}

static enum status client_do(struct client *k, uint32_t node, enum op_kind kind, uint32_t key,
                             uint64_t limit_us)
{
    struct workload *l = k->workload;
    enum status rc = client_submit(k, node, kind, key, limit_us);
    if (rc != RC_OK) {
        return rc;
    }
    (void)cluster_run_until(l->cluster, limit_us * 2, client_is_done, k);
    if (k->is_waiting) {
        client_cancel(k);
    }
    world_cancel(&l->cluster->world, &k->event); /* no retry: the caller decides */
    k->is_idle = true;
    return k->last_rc;
}

enum status workload_submit(struct workload *l, uint32_t client, uint32_t node,
                            enum op_kind kind, uint32_t key)
{
    return client_submit(&l->clients[client], node, kind, key, 10 * SECOND);
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

struct setup {
    struct node_write write;
    bool is_done;
    bool is_ok;
};

static void setup_done(struct node_write *write, enum status rc, const struct reply *reply)
{
    struct setup *s = write->owner;
    s->is_done = true;
    s->is_ok = rc == RC_OK && reply->outcome == OUTCOME_OK;
}

static bool setup_is_done(struct cluster *c, void *context)
{
    (void)c;
    return ((struct setup *)context)->is_done;
}

static bool has_leader(struct cluster *c, void *context)
{
    (void)context;
    return cluster_leader(c) >= 0;
}

bool workload_set_up(struct workload *l)
{
    static const char *const parents[] = {"/k", "/c", "/v", "/p", "/q"};
    struct cluster *c = l->cluster;
    struct op ops[5 + KEY_END];
    char paths[KEY_END][16];
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof parents / sizeof parents[0]; i++) {
        ops[count++] = (struct op){.type = OP_CREATE,
                                   .space = SPACE_NODES,
                                   .path = slice_str(parents[i]),
                                   .version = VERSION_ANY};
    }
    for (uint32_t key = KEY_COUNT; key < KEY_END; key++) {
        key_path(key, paths[key], sizeof paths[key]);
        ops[count++] = (struct op){.type = OP_CREATE,
                                   .space = SPACE_NODES,
                                   .path = slice_str(paths[key]),
                                   .version = VERSION_ANY};
    }
    struct command command = {.type = COMMAND_TXN,
                              .txn = {.then_ops = ops, .then_count = count}};
    for (int attempt = 0; attempt < 20 && !c->world.failed; attempt++) {
        if (!cluster_run_until(c, 5 * SECOND, has_leader, NULL)) {
            continue;
        }
        struct setup s = {.write = {.done = setup_done}};
        uint32_t leader = (uint32_t)cluster_leader(c);
        uint64_t deadline_ms = sim_host_now_us(&c->nodes[leader].host) / MS + 2000;
        s.write.owner = &s;
        if (node_write(c->nodes[leader].node, &s.write, &command, deadline_ms) != RC_OK) {
            continue;
        }
        cluster_wake(c, leader);
        if (!cluster_run_until(c, 5 * SECOND, setup_is_done, &s)) {
            node_write_cancel(c->nodes[leader].node, &s.write);
        } else if (s.is_ok) {
            return true;
        }
    }
    world_fail(&c->world, "a healthy new cluster takes no write");
    return false;
}
