#include "tests/sim/oracle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "lease/table.h"
#include "store/store.h"

static const char *const reason_names[] = {"requested", "expired", "revoked", "closed",
                                           "emptied",   "aged",    "granted", "timed out"};

static void *grow(void *array, size_t count, size_t size)
{
    return (count & (count - 1)) == 0 ? mem_resize(array, (count == 0 ? 1 : 2 * count) * size)
                                      : array;
}

struct oracle_value oracle_value_of(struct slice bytes)
{
    return (struct oracle_value){
        .hash = bytes.size == 0 ? 0 : hash_bytes(0, bytes.data, bytes.size),
        .bytes = bytes.size};
}

/* ---- the tree ---------------------------------------------------------------------------- */

/* A tree that is being replayed: nodes in no order. */
struct replay {
    struct oracle_node *nodes;
    size_t count;
};

static struct oracle_node *node_find(const struct replay *t, struct slice path)
{
    uint64_t hash = hash_bytes(0, path.data, path.size);
    for (size_t i = 0; i < t->count; i++) {
        if (t->nodes[i].path_hash == hash && slice_equal(t->nodes[i].path, path)) {
            return &t->nodes[i];
        }
    }
    return NULL;
}

static struct slice parent_of(struct slice path)
{
    size_t at = path.size;
    while (at > 0 && path.data[at - 1] != '/') {
        at--;
    }
    return slice_make(path.data, at > 1 ? at - 1 : at);
}

static void replay_create(struct replay *t, const struct oracle_change *c)
{
    struct oracle_node *parent = node_find(t, parent_of(c->path));
    if (parent != NULL) {
        parent->children++;
        parent->had_child = true;
    }
    t->nodes = grow(t->nodes, t->count, sizeof *t->nodes);
    t->nodes[t->count++] = (struct oracle_node){
        .path = c->path,
        .path_hash = hash_bytes(0, c->path.data, c->path.size),
        .lease = c->lease,
        .ttl_ms = c->ttl_ms,
        .kind = c->kind,
    };
}

/* False: the change does not fit the tree. */
static bool replay_change(struct replay *t, const struct oracle_change *c)
{
    struct oracle_node *n = node_find(t, c->path);
    if ((c->type == CHANGE_CREATE) == (n != NULL)) {
        return false;
    }
    if (c->type == CHANGE_DELETE) {
        struct oracle_node *parent = node_find(t, parent_of(c->path));
        if (n->children > 0) {
            return false;
        }
        if (parent != NULL) {
            parent->children--;
        }
        *n = t->nodes[--t->count];
        return true;
    }
    if (n == NULL) {
        replay_create(t, c);
        n = &t->nodes[t->count - 1];
    }
    n->data = c->data;
    n->modified_ms = c->cluster_ms;
    n->modify_revision = c->modify_revision;
    return true;
}

static int node_order(const void *a, const void *b)
{
    const struct oracle_node *x = a;
    const struct oracle_node *y = b;
    /* Path order is that of a walk, depth first: '/' sorts before everything else. */
    size_t size = x->path.size < y->path.size ? x->path.size : y->path.size;
    for (size_t i = 0; i < size; i++) {
        int p = x->path.data[i] == '/' ? 0 : x->path.data[i] + 1;
        int q = y->path.data[i] == '/' ? 0 : y->path.data[i] + 1;
        if (p != q) {
            return p - q;
        }
    }
    return x->path.size < y->path.size ? -1 : x->path.size > y->path.size;
}

struct oracle_node *oracle_tree_at(const struct oracle *o, uint64_t revision, size_t *count)
{
    struct replay t = {0};
    for (size_t i = 0; i < o->change_count && o->changes[i].revision <= revision; i++) {
        if (o->changes[i].space == SPACE_NODES) {
            (void)replay_change(&t, &o->changes[i]);
        }
    }
    if (t.count > 0) {
        qsort(t.nodes, t.count, sizeof *t.nodes, node_order);
    }
    *count = t.count;
    return t.nodes;
}

/* ---- leases ------------------------------------------------------------------------------ */

static struct oracle_lease *lease_find(const struct oracle *o, uint64_t id)
{
    for (size_t i = o->lease_count; i > 0; i--) {
        if (o->leases[i - 1].id == id) {
            return &o->leases[i - 1];
        }
    }
    return NULL;
}

const struct oracle_lease *oracle_lease(const struct oracle *o, uint64_t id)
{
    return lease_find(o, id);
}

static struct oracle_lease *lease_get(struct oracle *o, uint64_t id)
{
    struct oracle_lease *l = lease_find(o, id);
    if (l == NULL) {
        o->leases = grow(o->leases, o->lease_count, sizeof *o->leases);
        l = &o->leases[o->lease_count++];
        *l = (struct oracle_lease){.id = id};
    }
    return l;
}

static bool reason_is_of_lease(uint8_t reason)
{
    return reason == REASON_EXPIRED || reason == REASON_REVOKED || reason == REASON_CLOSED;
}

/* All that is attached goes in one revision, with one reason. */
static void check_lease_end(struct oracle *o, struct oracle_lease *l,
                            const struct oracle_change *c)
{
    struct world *w = &o->cluster->world;
    if (l->end_revision == 0) {
        l->end_revision = c->revision;
        l->end_reason = c->reason;
    }
    if (l->end_revision != c->revision || l->end_reason != c->reason) {
        world_fail(w,
                   "the nodes of lease %" PRIx64 " go in revision %" PRIu64 " (%s) and %" PRIu64
                   " (%s)",
                   l->id, l->end_revision, reason_names[l->end_reason], c->revision,
                   reason_names[c->reason]);
    }
}

/* Where ZooKeeper's clients are: they delete each other's nodes. */
static bool is_shared(struct slice path)
{
    return path.size > 3 && memcmp(path.data, "/z/", 3) == 0;
}

static void lease_change(struct oracle *o, const struct oracle_change *c)
{
    struct world *w = &o->cluster->world;
    if (c->kind != NODE_EPHEMERAL || c->type == CHANGE_SET) {
        return;
    }
    struct oracle_lease *l = lease_get(o, c->lease);
    if (c->type == CHANGE_CREATE) {
        l->attached++;
        if (l->gone_index != 0 || l->end_revision != 0) {
            world_fail(w, "%.*s is created for lease %" PRIx64 ", which has ended",
                       (int)c->path.size, (const char *)c->path.data, c->lease);
        }
        return;
    }
    l->attached--;
    if (reason_is_of_lease(c->reason)) {
        check_lease_end(o, l, c);
    } else if (c->reason == REASON_GRANTED || c->reason == REASON_TIMED_OUT) {
        if (l->end_revision != 0) {
            world_fail(w, "an entry of lease %" PRIx64 " outlived it", l->id);
        }
    } else if (l->kind == LEASE_SESSION && c->session != l->id && !is_shared(c->path)) {
        world_fail(w, "a node of session %" PRIx64 " went, but nobody asked for it", l->id);
    } else if (l->end_revision != 0) {
        world_fail(w, "a node of lease %" PRIx64 " outlived it", l->id);
    }
}

static void lease_gone(struct oracle *o, struct oracle_lease *l, uint64_t index)
{
    struct world *w = &o->cluster->world;
    l->gone_index = index;
    l->gone_us = w->now_us;
    o->expired += l->end_reason == REASON_EXPIRED;
    world_trace(w, "lease %" PRIx64 " is gone at index %" PRIu64, l->id, index);
    if (l->attached > 0) {
        world_fail(w, "lease %" PRIx64 " is gone at index %" PRIu64 ", but has %u nodes", l->id,
                   index, l->attached);
    }
    for (size_t i = 0; i < o->listener_count && !o->is_past; i++) {
        o->listeners[i].gone(o->listeners[i].context, l);
    }
}

/* The leases that a node has at `index`, the newest that anybody has reached. */
static void check_leases(struct oracle *o, const struct store *s, uint64_t index)
{
    struct world *w = &o->cluster->world;
    for (const struct lease *l = store_lease_next(s, 0); l != NULL;
         l = store_lease_next(s, l->id)) {
        struct oracle_lease *known = lease_get(o, l->id);
        if (known->gone_index != 0) {
            world_fail(w, "lease %" PRIx64 " has come back at index %" PRIu64, l->id, index);
        }
        if (known->end_revision != 0) {
            world_fail(w,
                       "the nodes of lease %" PRIx64 " are gone, but it is there at %" PRIu64,
                       l->id, index);
        }
        if (known->attached != l->attached_count) {
            world_fail(w, "lease %" PRIx64 " has %u nodes at index %" PRIu64 ", not %u", l->id,
                       l->attached_count, index, known->attached);
        }
        known->ttl_ms = l->ttl_ms;
        known->generation = l->generation;
        known->kind = l->kind;
    }
    for (size_t i = 0; i < o->lease_count; i++) {
        struct oracle_lease *l = &o->leases[i];
        if (l->gone_index == 0 && store_lease(s, l->id) == NULL) {
            lease_gone(o, l, index);
        }
    }
}

/* ---- changes ----------------------------------------------------------------------------- */

/* Nothing goes by itself before its time. */
static void check_reaped(struct oracle *o, const struct oracle_change *c)
{
    const struct replay t = {.nodes = o->nodes, .count = o->node_count};
    const struct oracle_node *n = node_find(&t, c->path);
    struct world *w = &o->cluster->world;
    bool is_due = true;
    if (c->type != CHANGE_DELETE || n == NULL) {
        return;
    }
    if (c->reason == REASON_EMPTIED) {
        is_due = (n->kind == NODE_CONTAINER || n->kind == NODE_RECIPE) && n->had_child &&
                 n->children == 0;
        o->reaped++;
    } else if (c->reason == REASON_AGED) {
        is_due = n->kind == NODE_TTL && n->children == 0 &&
                 c->cluster_ms >= n->modified_ms + n->ttl_ms;
        o->reaped++;
    } else if (reason_is_of_lease(c->reason)) {
        /* Moves of a shard map may be over with the session of who took part in them. */
        is_due = (n->kind == NODE_EPHEMERAL && n->lease == c->lease) ||
                 (n->kind == NODE_MAP && n->children == 0);
    }
    if (!is_due) {
        world_fail(
            w,
            "%.*s of kind %u went (%s) in revision %" PRIu64 " with %u children at %" PRIu64
            " ms, modified at %" PRIu64 " ms, ttl %" PRIu64 " ms",
            (int)c->path.size, (const char *)c->path.data, n->kind, reason_names[c->reason],
            c->revision, n->children, c->cluster_ms, n->modified_ms, n->ttl_ms);
    }
}

static struct slice value_bytes(const struct value *v)
{
    return v == NULL ? slice_make(NULL, 0) : slice_make(v->bytes, v->size);
}

static void take_change(struct oracle *o, const struct change *from)
{
    o->changes = grow(o->changes, o->change_count, sizeof *o->changes);
    struct oracle_change *c = &o->changes[o->change_count++];
    *c = (struct oracle_change){
        .revision = from->revision,
        .sub = from->sub,
        .type = from->type,
        .reason = from->reason,
        .space = from->space,
        .kind = from->stat.kind,
        .session = from->session,
        .lease = from->stat.lease,
        .ttl_ms = from->stat.ttl_ms,
        .cluster_ms = from->cluster_ms,
        .modify_revision = from->stat.modify_revision,
        .path = arena_copy(&o->arena, from->path),
        .data = oracle_value_of(value_bytes(from->data)),
        .old = oracle_value_of(value_bytes(from->old_data)),
    };
    if (c->space != SPACE_NODES) {
        return;
    }
    check_reaped(o, c);
    lease_change(o, c);
    for (size_t i = 0; i < o->follower_count && !o->is_past; i++) {
        o->followers[i].changed(o->followers[i].context, from);
    }
    struct replay t = {.nodes = o->nodes, .count = o->node_count};
    if (!replay_change(&t, c)) {
        world_fail(&o->cluster->world, "change %" PRIu64 ".%u does not fit the tree before it",
                   c->revision, c->sub);
    }
    o->nodes = t.nodes;
    o->node_count = t.count;
}

static void take_changes(struct oracle *o, const struct store *s)
{
    const struct history *h = store_history(s);
    if (h->floor > o->revision + 1) {
        world_fail(&o->cluster->world,
                   "revision %" PRIu64 " was trimmed before anybody could see it",
                   o->revision + 1);
        return;
    }
    for (uint64_t at = history_seek(h, o->revision + 1); at < h->end; at++) {
        take_change(o, history_at(h, at));
    }
    o->revision = store_revision(s);
}

static void take(struct oracle *o, const struct store *s)
{
    uint64_t index = store_applied_index(s);
    if (index <= o->index) {
        return;
    }
    o->index = index;
    if (store_revision(s) > o->revision) {
        take_changes(o, s);
    }
    if (store_history_floor(s) > o->floor) {
        o->compacted++;
        o->floor = store_history_floor(s);
    }
    check_leases(o, s, index);
}

static void applied_cb(void *context, uint32_t node)
{
    struct oracle *o = context;
    take(o, node_store(o->cluster->nodes[node].node));
}

void oracle_take(struct oracle *o, const struct store *s)
{
    o->is_past = true;
    take(o, s);
    o->is_past = false;
}

void oracle_reborn(struct oracle *o, const struct store *s, uint64_t revision)
{
    o->revision = revision;
    oracle_take(o, s);
}

void oracle_rewind(struct oracle *o, uint64_t index, uint64_t revision)
{
    o->change_count = oracle_seek(o, revision + 1);
    mem_free(o->nodes);
    o->nodes = oracle_tree_at(o, revision, &o->node_count);
    o->index = index;
    o->revision = revision;
    for (size_t i = 0; i < o->lease_count; i++) {
        struct oracle_lease *l = &o->leases[i];
        l->attached = 0;
        l->gone_index = l->gone_index > index ? 0 : l->gone_index;
        if (l->end_revision > revision) {
            l->end_revision = 0;
            l->end_reason = 0;
        }
    }
    for (size_t i = 0; i < o->node_count; i++) {
        if (o->nodes[i].kind == NODE_EPHEMERAL) {
            lease_get(o, o->nodes[i].lease)->attached++;
        }
    }
}

size_t oracle_seek(const struct oracle *o, uint64_t revision)
{
    size_t low = 0;
    size_t high = o->change_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (o->changes[middle].revision < revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool oracle_was_created(const struct oracle *o, const char *path, uint64_t lease)
{
    for (size_t i = o->change_count; i > 0; i--) {
        const struct oracle_change *c = &o->changes[i - 1];
        if (c->type == CHANGE_CREATE && slice_is(c->path, path)) {
            return c->lease == lease;
        }
    }
    return false;
}

/* ---- life and the end -------------------------------------------------------------------- */

void oracle_init(struct oracle *o, struct cluster *c)
{
    *o = (struct oracle){.cluster = c, .revision = 1};
    c->applied = applied_cb;
    c->applied_context = o;
}

void oracle_listen(struct oracle *o,
                   void (*gone)(void *context, const struct oracle_lease *lease), void *context)
{
    PRE(o->listener_count < ORACLE_LISTENERS_MAX);
    o->listeners[o->listener_count].gone = gone;
    o->listeners[o->listener_count++].context = context;
}

void oracle_follow(struct oracle *o,
                   void (*changed)(void *context, const struct change *change), void *context)
{
    PRE(o->follower_count < ORACLE_LISTENERS_MAX);
    o->followers[o->follower_count].changed = changed;
    o->followers[o->follower_count++].context = context;
}

void oracle_close(struct oracle *o)
{
    o->cluster->applied = NULL;
    arena_close(&o->arena);
    mem_free(o->changes);
    mem_free(o->leases);
    mem_free(o->nodes);
}

size_t oracle_due_count(const struct oracle *o)
{
    size_t count = 0;
    for (size_t i = 0; i < o->node_count; i++) {
        const struct oracle_node *n = &o->nodes[i];
        bool is_container =
            (n->kind == NODE_CONTAINER || n->kind == NODE_RECIPE) && n->had_child;
        count += n->children == 0 && (is_container || n->kind == NODE_TTL);
    }
    return count;
}

size_t oracle_lease_count(const struct oracle *o)
{
    size_t count = 0;
    for (size_t i = 0; i < o->lease_count; i++) {
        count += o->leases[i].gone_index == 0;
    }
    return count;
}

uint64_t oracle_ttl_max_ms(const struct oracle *o)
{
    uint64_t max = 0;
    for (size_t i = 0; i < o->lease_count; i++) {
        const struct oracle_lease *l = &o->leases[i];
        max = l->gone_index == 0 && l->ttl_ms > max ? l->ttl_ms : max;
    }
    return max;
}

void oracle_check_node(struct oracle *o, uint32_t node)
{
    const struct store *s = node_store(o->cluster->nodes[node].node);
    struct arena arena = {0};
    for (size_t i = 0; i < o->node_count; i++) {
        const struct oracle_node *n = &o->nodes[i];
        struct query q = {.type = QUERY_GET, .space = SPACE_NODES, .path = n->path};
        struct query_result result;
        store_query(s, &q, &result, &arena);
        if (result.outcome != OUTCOME_OK || !oracle_value_is(&n->data, result.data) ||
            result.stat.modify_revision != n->modify_revision ||
            result.stat.lease != n->lease || result.stat.child_count != n->children) {
            world_fail(&o->cluster->world, "n%u: %.*s is not what its changes made it",
                       node + 1, (int)n->path.size, (const char *)n->path.data);
        }
        arena_clear(&arena);
    }
    arena_close(&arena);
}
