/* coord.v1.Config: the value that is meant for an instance, now (Effective), and from now on
 * (WatchEffective).
 *
 *   ASKED --(as fresh as asked for)--> RUNNING <--(a change, no room; drained)--> DUE
 *                                         |
 *                                         +--(no root, no right any more)--> refused
 *
 * What is meant depends on three things: the key's node, the record of its rollout, and the root
 * with its schemas. A watch of each says when to look; what is told is what there is then, if that
 * is something else than was told last. So what came and went while the client did not read is not
 * told, and a stream that is opened anew begins with what is meant by then. */
#include "base/assert.h"
#include "base/mem.h"
#include "net/grpc/audit.h"
#include "net/grpc/config.h"
#include "net/grpc/watch.h"
#include "store/access.h"
#include "store/rollouts.h"
#include "watch/watch.h"

static const struct store *store_of(const struct grpc_call *call)
{
    return node_store(grpc_call_node(call));
}

static struct arena *scratch_of(const struct grpc_call *call)
{
    return &call->connection->shared->scratch;
}

/* ---- what is meant ------------------------------------------------------------------------ */

/* Points into the store and the scratch memory. */
struct meant {
    struct slice value;
    bool is_there;
    bool is_rollout; /* the value is that of a rollout in progress */
};

static struct meant meant_for(const struct grpc_call *call, const struct policy *root,
                              struct slice key, struct slice id, struct slice labels,
                              const struct query_result *result)
{
    struct rollout r;
    struct meant m = {.is_there = result->outcome == OUTCOME_OK && !result->null_data};
    m.is_rollout = m.is_there &&
                   store_rollout_find(store_of(call), key, &r, NULL, scratch_of(call)) &&
                   r.base_revision == result->stat.modify_revision &&
                   r.schema_revision == root->root_revision && rollout_covers(&r, id, labels);
    m.value = m.is_rollout ? r.value : result->data;
    return m;
}

static void effective_send(struct grpc_call *call, Coord__V1__ReplyHeader header,
                           struct slice key, const struct meant *m,
                           const struct query_result *result, bool is_last)
{
    Coord__V1__ConfigEntry entry;
    Coord__V1__ConfigEffectiveReply message;
    coord__v1__config_effective_reply__init(&message);
    message.header = &header;
    message.rollout = m->is_rollout;
    if (m->is_there) {
        config_entry_fill(call, key, &result->stat, m->value, &entry);
        message.entry = &entry;
    }
    if (is_last) {
        grpc_call_reply(call, &message.base);
    } else {
        grpc_call_send(call, &message.base);
    }
}

/* ---- Effective ---------------------------------------------------------------------------- */

/* Id and labels stand behind the path in call->path, with a zero between them. */
static void effective_got(struct grpc_call *call, const struct query_result *result)
{
    const struct policy *root;
    const struct query *q = &call->read.query;
    if (!config_key_check(call, q->path, &root)) {
        return;
    }
    struct slice id = slice_str((const char *)call->path.data + q->path.size);
    struct slice labels = slice_str((const char *)id.data + id.size + 1);
    struct meant m = meant_for(call, root, q->path, id, labels, result);
    if (!m.is_there) {
        answer_refuse(call, q->path,
                      result->outcome != OUTCOME_OK ? result->outcome : OUTCOME_NO_NODE,
                      result->revision);
        return;
    }
    effective_send(call, answer_header_of_read(call, result), q->path, &m, result, true);
}

void config_effective_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigEffectiveRequest *r =
        (const Coord__V1__ConfigEffectiveRequest *)message;
    struct slice labels;
    if (!config_query_prepare(call, r->header, r->path, "") ||
        !config_list_join(call, r->labels, r->n_labels, &labels)) {
        return;
    }
    size_t path_bytes = call->path.size;
    buf_append(&call->path, r->instance, strlen(r->instance) + 1);
    buf_append_slice(&call->path, labels);
    buf_append(&call->path, "", 1);
    call->read.query.path = slice_make(call->path.data, path_bytes);
    call->read.query.after = slice_make(NULL, 0);
    call->read.query.type = QUERY_GET;
    grpc_call_read(call, effective_got);
}

/* ---- WatchEffective ----------------------------------------------------------------------- */

enum { OF_KEY, OF_RECORD, OF_ROOTS, PARTS };

struct part {
    struct watch watch; /* first */
    struct effective_watch *whole;
};

struct effective_watch {
    struct grpc_call *call;
    struct part parts[PARTS];
    struct buf key;
    struct buf id;
    struct buf labels;
    struct buf record; /* where the record is, or would be; empty: nowhere */
    bool is_due;       /* to be looked at when there is room */
    /* told last */
    bool has_told;
    bool was_there;
    bool was_rollout;
    uint64_t revision; /* of the key's node */
    struct buf value;  /* was_rollout */
};

static void look(struct effective_watch *w);

static void look_and_clear(struct effective_watch *w)
{
    struct arena *scratch = scratch_of(w->call);
    look(w);
    arena_clear(scratch);
}

static size_t on_deliver(struct watch *base, const struct change *const *changes, size_t count,
                         bool continued, bool more)
{
    (void)changes;
    (void)continued;
    if (!more) {
        look_and_clear(((struct part *)base)->whole);
    }
    return count;
}

static void on_compacted(struct watch *base, uint64_t floor);

static const struct watch_ops ops = {.deliver = on_deliver, .compacted = on_compacted};

/* From what is applied next on. */
static void watch_from_now(struct effective_watch *w, size_t which)
{
    static const char roots[] = POLICY_CONFIG_PREFIX;
    const struct watch_filter filters[PARTS] = {
        [OF_KEY] = {.scope = WATCH_NODE, .space = SPACE_NODES, .path = buf_slice(&w->key)},
        [OF_RECORD] = {.scope = WATCH_NODE,
                       .space = SPACE_NODES,
                       .path = buf_slice(&w->record)},
        [OF_ROOTS] = {.scope = WATCH_PREFIX, .space = SPACE_META, .path = slice_str(roots)},
    };
    struct watch_hub *hub = node_watches(grpc_call_node(w->call));
    w->parts[which].whole = w;
    watch_stop(hub, &w->parts[which].watch);
    if (filters[which].path.size > 0) {
        enum outcome outcome = watch_start(hub, &w->parts[which].watch, &filters[which], &ops,
                                           store_revision(store_of(w->call)) + 1);
        POST(outcome == OUTCOME_OK); /* what is yet to come is never compacted */
    }
}

/* What was missed does not matter: what there is now is told. */
static void on_compacted(struct watch *base, uint64_t floor)
{
    struct part *part = (struct part *)base;
    (void)floor;
    watch_from_now(part->whole, (size_t)(part - part->whole->parts));
    look_and_clear(part->whole);
}

/* The record's place follows the root that counts. */
static void record_follow(struct effective_watch *w)
{
    uint8_t bytes[ROLLOUT_PATH_BYTES_MAX];
    struct slice path = rollout_path(store_of(w->call), buf_slice(&w->key), bytes);
    if (!slice_equal(path, buf_slice(&w->record))) {
        buf_clear(&w->record);
        buf_append_slice(&w->record, path);
        watch_from_now(w, OF_RECORD);
    }
}

static bool is_told(const struct effective_watch *w, const struct meant *m, uint64_t revision)
{
    return w->has_told && w->was_there == m->is_there && w->was_rollout == m->is_rollout &&
           (!m->is_there || w->revision == revision) &&
           (!m->is_rollout || slice_equal(buf_slice(&w->value), m->value));
}

/* Tells what is meant now, unless that was told last. The call may be over behind it. */
static void look(struct effective_watch *w)
{
    struct grpc_call *call = w->call;
    struct slice key = buf_slice(&w->key);
    const struct query query = {.type = QUERY_GET,
                                .space = SPACE_NODES,
                                .path = key,
                                .identities = grpc_call_identities(call)};
    const struct policy *root;
    struct query_result result;
    if (grpc_call_is_full(call)) {
        w->is_due = true;
        grpc_call_await_room(call);
        return;
    }
    w->is_due = false;
    if (!config_key_check(call, key, &root)) {
        return;
    }
    store_query(store_of(call), &query, &result, scratch_of(call));
    if (result.outcome != OUTCOME_OK && result.outcome != OUTCOME_NO_NODE) {
        answer_refuse(call, key, result.outcome, result.revision);
        return;
    }
    record_follow(w);
    struct meant m =
        meant_for(call, root, key, buf_slice(&w->id), buf_slice(&w->labels), &result);
    if (is_told(w, &m, result.stat.modify_revision)) {
        return;
    }
    w->has_told = true;
    w->was_there = m.is_there;
    w->was_rollout = m.is_rollout;
    w->revision = result.stat.modify_revision;
    buf_clear(&w->value);
    if (m.is_rollout) {
        buf_append_slice(&w->value, m.value);
    }
    effective_send(call, answer_header(call, result.revision, result.applied_index), key, &m,
                   &result, false);
}

static void watch_got(struct grpc_call *call, const struct query_result *result)
{
    struct effective_watch *w = call->data;
    struct access access;
    (void)result; /* a barrier has none */
    access_begin(&access, store_of(call), grpc_call_identities(call));
    bool may = access_path(&access, ACL_READ, SPACE_NODES, buf_slice(&w->key));
    grpc_audit_watch(call, buf_slice(&w->key), may ? OUTCOME_OK : OUTCOME_NO_AUTH);
    if (!may) {
        answer_refuse(call, buf_slice(&w->key), OUTCOME_NO_AUTH,
                      store_revision(store_of(call)));
        return;
    }
    watch_from_now(w, OF_KEY);
    watch_from_now(w, OF_ROOTS);
    grpc_call_wake_at(call, call->connection->now_ms + GRPC_SERVING_CHECK_MS);
    look(w);
}

void config_watch_effective_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigEffectiveRequest *r =
        (const Coord__V1__ConfigEffectiveRequest *)message;
    struct slice labels;
    if (!config_query_prepare(call, r->header, r->path, "") ||
        !config_list_join(call, r->labels, r->n_labels, &labels)) {
        return;
    }
    struct effective_watch *w = mem_zalloc(sizeof *w);
    w->call = call;
    buf_append_str(&w->key, r->path);
    buf_append_str(&w->id, r->instance);
    buf_append_slice(&w->labels, labels);
    call->data = w; /* config_watch_effective_ended frees it */
    call->read.is_barrier = true;
    grpc_call_read(call, watch_got);
}

void config_watch_effective_drained(struct grpc_call *call)
{
    struct effective_watch *w = call->data;
    if (w != NULL && w->is_due) {
        look_and_clear(w);
    }
}

void config_watch_effective_woken(struct grpc_call *call)
{
    struct node *node = grpc_call_node(call);
    if (!node_is_serving(node) && !grpc_node_takes_reads(node)) {
        grpc_call_fail(call, GRPC_UNAVAILABLE, "this node does not serve: watch elsewhere");
        return;
    }
    grpc_call_wake_at(call, call->connection->now_ms + GRPC_SERVING_CHECK_MS);
}

void config_watch_effective_ended(struct grpc_call *call)
{
    struct effective_watch *w = call->data;
    if (w == NULL) {
        return;
    }
    call->data = NULL;
    for (size_t i = 0; i < PARTS; i++) {
        watch_stop(node_watches(grpc_call_node(call)), &w->parts[i].watch);
    }
    buf_close(&w->key);
    buf_close(&w->id);
    buf_close(&w->labels);
    buf_close(&w->record);
    buf_close(&w->value);
    mem_free(w);
}
