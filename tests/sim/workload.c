#include "tests/sim/workload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define RETRY_US (20 * MS)
/* At most, between two operations of a client; and once others are waited for. */
#define THINK_US      (10 * MS)
#define THINK_SLOW_US (100 * MS)
/* What a node knows of its age it knows by a clock that may be 10 % slow. */
#define SLOWEST_PPM 900000

static void client_next(void *context);
static void client_attempt(void *context);

/* ---- what to do -------------------------------------------------------------------------- */

static const struct {
    enum op_kind kind;
    uint32_t weight;
} mix[] = {
    {DO_CREATE, 10},   {DO_SET, 14},        {DO_DELETE, 6},      {DO_COUNT, 10},
    {DO_CAS, 10},      {DO_SEQUENTIAL, 6},  {DO_PAIR, 8},        {DO_ROLLED_BACK, 3},
    {DO_GET, 11},      {DO_LIST, 5},        {DO_SESSION_GET, 6}, {DO_BARRIER, 4},
    {DO_LOCAL_GET, 4}, {DO_BOUNDED_GET, 3},
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

/* "v17." and padding, of many sizes, so that the log fills at different speeds. */
static void client_value(struct client *k)
{
    struct buf *data = &k->request.data;
    struct world *w = &k->workload->cluster->world;
    uint64_t dice = world_random(w, 0, 99);
    size_t padding = (size_t)(dice < 60   ? world_random(w, 0, 40)
                              : dice < 95 ? world_random(w, 40, 400)
                                          : world_random(w, 400, 3000));
    buf_clear(data);
    buf_printf(data, "v%" PRIu64 ".", k->operation);
    if (k->workload->value_bytes > 0) {
        padding = k->workload->value_bytes - data->size;
    }
    memset(buf_extend(data, padding), 'x', padding);
}

static bool kind_is_write(enum op_kind kind)
{
    return kind < DO_GET;
}

/* The request's bytes stay the same over all attempts: so do its ids. */
static void client_fill(struct client *k, enum op_kind kind, uint32_t key)
{
    struct world *w = &k->workload->cluster->world;
    struct record *record = journal_record(k->workload->journal, k->operation);
    struct request *r = &k->request;
    r->kind = kind;
    r->key = key;
    r->version = kind == DO_CAS ? k->versions[key] : 0;
    r->by_guard = kind == DO_CAS && world_chance(w, 500);
    r->id[0] = r->session = r->sequence = r->answered_to = 0;
    r->consistency = COORD__V1__CONSISTENCY__LINEARIZABLE;
    if (kind_is_write(kind)) {
        client_value(k);
        record->version = r->version;
        record->has_id = k->may_repeat && (kind == DO_COUNT || world_chance(w, 700)) &&
                         station_cluster_ms(k->station) > 0;
        bool is_numbered =
            record->has_id && k->holder != NULL && world_chance(w, 500) &&
            holder_sequence_take(k->holder, &r->session, &r->sequence, &r->answered_to);
        if (record->has_id && !is_numbered) {
            r->id[0] = station_cluster_ms(k->station);
            r->id[1] = rng_next(&w->rng);
            r->id[2] = rng_next(&w->rng);
        }
    } else if (k->holder != NULL && world_chance(w, 200)) {
        r->session = holder_session(k->holder); /* which it keeps alive */
    }
    if (kind == DO_SESSION_GET) {
        r->consistency = COORD__V1__CONSISTENCY__SESSION;
        r->min_index = k->seen_index;
    } else if (kind == DO_LOCAL_GET) {
        r->consistency = COORD__V1__CONSISTENCY__LOCAL;
    } else if (kind == DO_BOUNDED_GET) {
        r->consistency = COORD__V1__CONSISTENCY__BOUNDED;
        r->bound_ms = world_random(w, 1, 2000);
    }
    request_pack(r, w);
}

/* ---- the end of an operation ------------------------------------------------------------- */

static void client_finish(struct client *k)
{
    struct workload *l = k->workload;
    if (k->request.sequence != 0) {
        holder_sequence_done(k->holder, k->request.session, k->request.sequence);
        k->request.sequence = 0;
    }
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

/* The id is of no use: too old, from a clock that runs ahead, or of a session that is gone.
 * Nothing was executed now. */
static bool client_id_refused(struct client *k, enum outcome outcome)
{
    struct journal *h = k->workload->journal;
    if (outcome == OUTCOME_NO_SESSION && k->request.session != 0) {
        holders_told_gone(k->holder->all, k->request.session);
        journal_lost(h, k->operation, k->maybe_proposed ? FATE_UNKNOWN : FATE_NOT_PROPOSED);
        client_finish(k);
        return true;
    }
    if (outcome == OUTCOME_REQUEST_FUTURE && k->maybe_proposed) {
        client_retry(k); /* later it will do; an earlier attempt may be under way */
        return true;
    }
    if (outcome == OUTCOME_REQUEST_FUTURE || outcome == OUTCOME_REQUEST_EXPIRED) {
        journal_lost(h, k->operation, k->maybe_proposed ? FATE_UNKNOWN : FATE_NOT_PROPOSED);
        client_finish(k);
        return true;
    }
    return false;
}

static void client_wrote(struct client *k, const struct response *response)
{
    struct journal *h = k->workload->journal;
    struct record *r = journal_record(h, k->operation);
    const struct told *told = &response->told;
    if (client_id_refused(k, (enum outcome)told->outcome)) {
        return;
    }
    r->sequence = r->kind == DO_SEQUENTIAL ? response->sequence : 0;
    journal_written(h, k->operation, told);
    if (!outcome_is_expected(r)) {
        world_fail(&k->workload->cluster->world,
                   "operation #%" PRIu64 " of kind %u: outcome \"%s\"", k->operation, r->kind,
                   outcome_text((enum outcome)told->outcome));
    }
    client_see_outcome(k, r);
    if (r->kind == DO_CAS && r->had_effect) {
        k->versions[r->key] = response->version;
    }
    if (told->index != 0) {
        client_saw(k, told->index, told->revision);
    }
    client_finish(k);
}

/* No reply: what may have become of the write? */
static void client_write_failed(struct client *k, const struct remote_answer *a)
{
    struct workload *l = k->workload;
    struct record *r = journal_record(l->journal, k->operation);
    bool was_told = a->end == REMOTE_ANSWERED;
    if (was_told && a->code != GRPC_UNKNOWN && a->code != GRPC_DEADLINE_EXCEEDED &&
        a->code != GRPC_UNAVAILABLE && a->code != GRPC_RESOURCE_EXHAUSTED) {
        world_fail(&l->cluster->world, "operation #%" PRIu64 " ended with %s: %s", k->operation,
                   grpc_code_name(a->code), a->text);
    }
    k->maybe_proposed |=
        a->end == REMOTE_LOST ||
        (was_told && (a->code == GRPC_UNKNOWN || a->code == GRPC_DEADLINE_EXCEEDED));
    if (r->has_id) {
        client_retry(k);
        return;
    }
    journal_lost(l->journal, k->operation,
                 k->maybe_proposed ? FATE_UNKNOWN : FATE_NOT_PROPOSED);
    client_finish(k);
}

/* ---- reads ------------------------------------------------------------------------------- */

static void client_see_get(struct client *k, uint32_t key, const struct response *q)
{
    bool exists = q->told.outcome == OUTCOME_OK;
    journal_see(k->workload->journal, &(struct sight){
                                          .key = key,
                                          .exists = exists,
                                          .at_revision = q->told.revision,
                                          .modify_revision = exists ? q->modify_revision : 0,
                                          .value = q->value,
                                      });
    if (exists) {
        k->versions[key] = q->version;
    }
}

static void client_see_list(struct client *k, uint32_t first, const struct response *q)
{
    uint32_t count = first == KEY_PAIR ? KEYS_PAIR : KEYS_PLAIN;
    size_t entries = q->list != NULL ? q->list->n_entries : 0; /* the parent may be lost */
    uint64_t pair[KEYS_PAIR] = {0};
    for (uint32_t key = first; key < first + count; key++) {
        struct sight s = {.key = key, .at_revision = q->told.revision};
        for (size_t i = 0; i < entries; i++) {
            const Coord__V1__ListEntry *e = q->list->entries[i];
            if (key_of(slice_str(e->path)) == key) {
                s.exists = true;
                s.modify_revision = e->stat->modify_revision;
                s.value = value_number(slice_make(e->data.data, e->data.len));
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

/* A read that may be old says how old: everything that had been confirmed to anybody before
 * is in it. */
static void check_age(struct client *k, const struct record *r, const struct response *q)
{
    struct world *w = &k->workload->cluster->world;
    if (r->kind == DO_BOUNDED_GET && q->told.index != 0 &&
        (!q->age_known || q->age_ms > k->request.bound_ms)) {
        world_fail(
            w, "read #%" PRIu64 " is bounded by %" PRIu64 " ms, but its age is %s%" PRIu64,
            k->operation, k->request.bound_ms, q->age_known ? "" : "not known, ", q->age_ms);
    }
    uint64_t age_us = (q->age_ms + 1) * MS * 1000000 / SLOWEST_PPM;
    if (!q->age_known || q->told.index == 0 || age_us >= k->asked_us) {
        return;
    }
    uint64_t confirmed = journal_confirmed_at(k->workload->journal, k->asked_us - age_us);
    if (q->told.index < confirmed) {
        world_fail(w,
                   "read #%" PRIu64 " is of index %" PRIu64 " and says that it is %" PRIu64
                   " ms old, but %" PRIu64 " was confirmed before",
                   k->operation, q->told.index, q->age_ms, confirmed);
    }
}

/* Session reads never go back, whichever nodes serve them. */
static void check_session(struct client *k, const struct record *r, const struct response *q)
{
    bool is_back = q->told.revision < k->asked_revision ||
                   (q->told.index != 0 && q->told.index < k->request.min_index);
    if (r->kind == DO_SESSION_GET && is_back) {
        world_fail(&k->workload->cluster->world,
                   "session read #%" PRIu64 " of client %u went back to revision %" PRIu64
                   " from %" PRIu64,
                   k->operation, k->number, q->told.revision, k->asked_revision);
    }
}

static void client_got(struct client *k, const struct response *q)
{
    struct record *r = journal_record(k->workload->journal, k->operation);
    bool is_linearizable =
        r->kind != DO_SESSION_GET && r->kind != DO_LOCAL_GET && r->kind != DO_BOUNDED_GET;
    if (q->told.outcome != OUTCOME_OK && q->told.outcome != OUTCOME_NO_NODE) {
        world_fail(&k->workload->cluster->world, "read #%" PRIu64 ": outcome \"%s\"",
                   k->operation, outcome_text((enum outcome)q->told.outcome));
        return;
    }
    journal_read(k->workload->journal, k->operation, q->told.index, q->told.revision,
                 is_linearizable);
    check_session(k, r, q);
    check_age(k, r, q);
    if (r->kind == DO_LIST) {
        client_see_list(k, r->key, q);
    } else {
        client_see_get(k, r->key, q);
    }
    if (r->kind != DO_LOCAL_GET && r->kind != DO_BOUNDED_GET && q->told.index != 0) {
        client_saw(k, q->told.index, q->told.revision);
    }
    client_finish(k);
}

/* ---- the end of an attempt --------------------------------------------------------------- */

static void client_ended(struct remote_call *call, const struct remote_answer *answer)
{
    struct client *k = call->owner;
    struct workload *l = k->workload;
    struct response q;
    uint64_t call_connection = k->station->remotes[k->node].connected;
    bool is_reply = response_read(&k->request, k->station, k->node, call, answer, &q);
    k->answer = *answer;
    world_trace(&l->cluster->world, "client %u #%" PRIu64 ": n%u %s %s", k->number,
                k->operation, k->node + 1,
                answer->end == REMOTE_ANSWERED  ? grpc_code_name(answer->code)
                : answer->end == REMOTE_REFUSED ? "not processed"
                                                : "lost",
                answer->text);
    if (is_reply && k->is_writing) {
        client_wrote(k, &q);
    } else if (is_reply && k->request.rpc == RPC_SYNC) {
        k->is_syncing = true; /* the read follows from an event of its own */
        k->sync_connection = call_connection;
        world_at(&l->cluster->world, &k->event, 1, client_attempt, k);
    } else if (is_reply) {
        client_got(k, &q);
    } else if (k->is_writing) {
        client_write_failed(k, answer);
    } else if (k->request.kind == DO_BOUNDED_GET && answer->end == REMOTE_ANSWERED) {
        /* The node cannot prove that it is so fresh. */
        journal_lost(l->journal, k->operation, FATE_NOT_PROPOSED);
        client_finish(k);
    } else {
        client_retry(k);
    }
    response_close(&q);
}

/* ---- attempts ---------------------------------------------------------------------------- */

/* The client goes away without waiting for the answer. */
static void client_cancel(void *context)
{
    remote_call_give_up(&((struct client *)context)->call);
}

/* Nothing of the client is under way any more: for stories that go on without it. */
void client_drop(struct client *k)
{
    struct remote *r = k->call.remote;
    if (r != NULL) {
        remote_close(r);
    }
    world_cancel(&k->workload->cluster->world, &k->event); /* no retry: the story decides */
    k->is_idle = true;
}

bool client_ask(struct client *k, uint64_t limit_us)
{
    struct cluster *c = k->workload->cluster;
    struct remote *r = &k->station->remotes[k->node];
    k->asked_us = c->world.now_us;
    k->asked_revision = k->seen_revision;
    return remote_call_packed(r, &k->call, rpc_path(k->request.rpc),
                              buf_slice(&k->request.packed), limit_us);
}

/* The moment comes when the request does, about. */
static void moment_cb(void *context)
{
    struct client *k = context;
    struct cluster *c = k->workload->cluster;
    if (c->moment != NULL && c->nodes[k->moment_node].state == 'l') {
        c->moment(c->context, MOMENT_SUBMIT, k->moment_node);
    }
}

/* First the sync. After it the node has what was committed before, and so has any later read of
 * it, unless it has been restarted: so that read goes over the same connection. */
static void client_prepare_barrier(struct client *k)
{
    const struct remote *r = &k->station->remotes[k->node];
    struct request *request = &k->request;
    if (k->is_syncing && r->http2 != NULL && r->connected == k->sync_connection) {
        request->consistency = COORD__V1__CONSISTENCY__LOCAL;
        request_pack_read(request, RPC_GET);
        return;
    }
    k->is_syncing = false;
    request->consistency = COORD__V1__CONSISTENCY__LINEARIZABLE;
    request_pack_read(request, RPC_SYNC);
}

static void client_attempt(void *context)
{
    struct client *k = context;
    struct cluster *c = k->workload->cluster;
    struct world *w = &c->world;
    uint64_t pause = sim_host_pause_left(&k->station->host);
    if (pause > 0) {
        world_at(w, &k->event, pause, client_attempt, k);
        return;
    }
    if (k->request.kind == DO_BARRIER) {
        client_prepare_barrier(k);
    }
    if (!k->is_syncing) {
        k->node = station_pick(k->station);
    }
    k->is_syncing = false;
    if (!client_ask(k, world_random(w, 50 * MS, 1500 * MS))) {
        client_retry(k); /* nothing was sent */
        return;
    }
    if (k->is_writing && c->nodes[k->node].state == 'l') {
        k->moment_node = k->node;
        world_at(w, &k->moment, c->net.links[k->station->host.number][k->node].latency_us,
                 moment_cb, k);
    }
    if (world_chance(w, 8)) {
        world_at(w, &k->event, world_random(w, 1, 5 * MS), client_cancel, k);
    }
}

void client_begin(struct client *k, enum op_kind kind, uint32_t key)
{
    struct workload *l = k->workload;
    k->operation = journal_begin(l->journal, kind, k->number, key);
    k->is_writing = kind_is_write(kind);
    k->is_idle = false;
    k->maybe_proposed = false;
    k->is_syncing = false;
    client_fill(k, kind, key);
}

static void client_next(void *context)
{
    struct client *k = context;
    struct world *w = &k->workload->cluster->world;
    enum op_kind kind = kind_pick(w);
    if (station_cluster_ms(k->station) == 0) {
        kind = DO_GET; /* request ids are made of what the cluster says */
    }
    client_begin(k, kind, key_pick(w, kind));
    client_attempt(k);
}

/* ---- all of them ------------------------------------------------------------------------- */

void workload_init(struct workload *l, struct cluster *c, struct journal *h, uint32_t clients)
{
    *l = (struct workload){
        .cluster = c, .journal = h, .client_count = clients, .think_us = THINK_US};
    l->station_count = (uint32_t)world_random(&c->world, 2, STATIONS_MAX);
    for (uint32_t i = 0; i < l->station_count; i++) {
        station_init(&l->stations[i], c);
    }
    for (uint32_t i = 0; i < l->client_count; i++) {
        struct client *k = &l->clients[i];
        *k = (struct client){.workload = l, .number = i, .is_idle = true, .may_repeat = true};
        k->station = &l->stations[i % l->station_count];
        k->call = (struct remote_call){.owner = k, .ended = client_ended};
    }
}

void workload_start(struct workload *l)
{
    l->is_ending = false;
    for (uint32_t i = 0; i < l->client_count; i++) {
        client_finish(&l->clients[i]);
    }
}

void workload_slow_down(struct workload *l)
{
    l->think_us = THINK_SLOW_US;
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

void workload_close(struct workload *l)
{
    l->is_ending = true;
    for (uint32_t i = 0; i < l->station_count; i++) {
        station_close(&l->stations[i]);
    }
    for (uint32_t i = 0; i < l->client_count; i++) {
        struct client *k = &l->clients[i];
        world_cancel(&l->cluster->world, &k->event);
        world_cancel(&l->cluster->world, &k->moment);
        remote_call_release(&k->call);
        request_close(&k->request);
    }
}
