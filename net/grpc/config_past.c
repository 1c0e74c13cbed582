#include <inttypes.h>
#include <stdlib.h>

#include "net/grpc/config.h"

struct finder {
    struct grpc_call *call;
    const struct config_moments *moments;
    size_t root_bytes;
    struct slice *paths;
    size_t count;
    size_t capacity;
};

static struct arena *scratch_of(const struct grpc_call *call)
{
    return &call->connection->shared->scratch;
}

/* ---- which paths --------------------------------------------------------------------------- */

static void path_add(struct finder *f, struct slice path)
{
    struct slice root = slice_make(path.data, f->root_bytes);
    if (path.size < f->root_bytes || config_is_reserved(root, path)) {
        return;
    }
    if (f->count == f->capacity) {
        size_t capacity = f->capacity == 0 ? 64 : 2 * f->capacity;
        struct slice *more = arena_alloc(scratch_of(f->call), capacity * sizeof *more);
        if (f->count > 0) {
            memcpy(more, f->paths, f->count * sizeof *more);
        }
        f->paths = more;
        f->capacity = capacity;
    }
    f->paths[f->count++] = path;
}

static bool too_many(struct finder *f, const char *what, int limit)
{
    struct slice path = f->moments->path;
    grpc_call_refuse(f->call, OUTCOME_LIMIT,
                     store_revision(node_store(grpc_call_node(f->call))),
                     "%.*s: more than %d %s are not looked at in one go",
                     (int)path.size, (const char *)path.data, limit, what);
    return false;
}

static bool paths_of_now(struct finder *f)
{
    struct query_result result = {.more = true};
    struct query q = {
        .type = QUERY_LIST,
        .space = SPACE_NODES,
        .path = f->moments->path,
        .identities = grpc_call_identities(f->call),
        .recursive = true,
    };
    size_t seen = 0;
    while (result.more) {
        store_query(node_store(grpc_call_node(f->call)), &q, &result, scratch_of(f->call));
        if (result.outcome == OUTCOME_NO_NODE) {
            return true; /* there may have been one */
        }
        if (result.outcome != OUTCOME_OK) {
            answer_refuse(f->call, q.path, result.outcome, result.revision);
            return false;
        }
        for (uint32_t i = 0; i < result.entry_count; i++) {
            path_add(f, result.entries[i].path);
        }
        seen += result.entry_count;
        if (seen > CONFIG_NODES_MAX) {
            return too_many(f, "nodes", CONFIG_NODES_MAX);
        }
        if (result.more) {
            q.after = result.entries[result.entry_count - 1].path;
        }
    }
    return true;
}

/* What has changed since may be gone by now. */
static bool paths_since(struct finder *f, uint64_t revision)
{
    struct query_result result = {.more = true};
    struct query q = {
        .type = QUERY_HISTORY,
        .space = SPACE_NODES,
        .path = f->moments->path,
        .identities = grpc_call_identities(f->call),
        .recursive = true,
        .from_revision = revision + 1,
    };
    size_t seen = 0;
    if (revision >= store_revision(node_store(grpc_call_node(f->call)))) {
        return true;
    }
    while (result.more) {
        store_query(node_store(grpc_call_node(f->call)), &q, &result, scratch_of(f->call));
        if (result.outcome != OUTCOME_OK) {
            answer_refuse_revision(f->call, q.path, revision, &result);
            return false;
        }
        for (uint32_t i = 0; i < result.change_count; i++) {
            path_add(f, arena_copy(scratch_of(f->call), result.changes[i]->path));
        }
        seen += result.change_count;
        if (seen > CONFIG_CHANGES_MAX) {
            return too_many(f, "changes", CONFIG_CHANGES_MAX);
        }
        q.after_revision = result.next_revision;
        q.after_sub = result.next_sub;
    }
    return true;
}

static int path_order(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static void paths_settle(struct finder *f)
{
    size_t kept = 0;
    if (f->count > 0) {
        qsort(f->paths, f->count, sizeof f->paths[0], path_order);
    }
    for (size_t i = 0; i < f->count; i++) {
        if (kept == 0 || !slice_equal(f->paths[kept - 1], f->paths[i])) {
            f->paths[kept++] = f->paths[i];
        }
    }
    f->count = kept;
}

/* ---- what they were ------------------------------------------------------------------------ */

struct state {
    bool exists;
    struct slice value;
    struct node_stat stat;
};

/* False: the call is refused. */
static bool state_at(struct finder *f, struct slice path, uint64_t revision, struct state *out)
{
    struct query_result result;
    struct query q = {
        .type = QUERY_GET,
        .space = SPACE_NODES,
        .path = path,
        .identities = grpc_call_identities(f->call),
        .revision = revision,
    };
    store_query(node_store(grpc_call_node(f->call)), &q, &result, scratch_of(f->call));
    if (result.outcome != OUTCOME_OK && result.outcome != OUTCOME_NO_NODE) {
        answer_refuse_revision(f->call, path, revision, &result);
        return false;
    }
    *out = (struct state){.stat = result.stat};
    out->exists = result.outcome == OUTCOME_OK && !result.null_data;
    if (out->exists) {
        out->value = result.data;
    }
    return true;
}

static uint32_t children_of(struct finder *f, struct slice path)
{
    struct query_result result;
    struct query q = {
        .type = QUERY_EXISTS,
        .space = SPACE_NODES,
        .path = path,
        .identities = grpc_call_identities(f->call),
    };
    store_query(node_store(grpc_call_node(f->call)), &q, &result, scratch_of(f->call));
    return result.outcome == OUTCOME_OK ? result.stat.child_count : 0;
}

static bool items_fill(struct finder *f, struct config_items *out)
{
    out->items = arena_alloc(scratch_of(f->call), f->count * sizeof *out->items);
    out->count = 0;
    for (size_t i = 0; i < f->count; i++) {
        struct state before;
        struct state after;
        if (!state_at(f, f->paths[i], f->moments->before, &before) ||
            !state_at(f, f->paths[i], f->moments->after, &after)) {
            return false;
        }
        if (!before.exists && !after.exists) {
            continue;
        }
        out->items[out->count++] = (struct config_item){
            .path = f->paths[i],
            .before = before.value,
            .after = after.value,
            .was_there = before.exists,
            .is_there = after.exists,
            .children_now = children_of(f, f->paths[i]),
            .stat_before = before.stat,
            .stat_after = after.stat,
        };
    }
    return true;
}

/* Beyond the change log only what happened since the root was made is known of all keys. */
static bool is_known(struct finder *f, uint64_t revision, const struct policy *root)
{
    const struct store *store = node_store(grpc_call_node(f->call));
    struct query_result result = {.revision = store_revision(store)};
    if (revision == 0) {
        return true;
    }
    if (revision > result.revision) {
        result.outcome = OUTCOME_FUTURE_REVISION;
    } else if (revision + 1 < store_history_floor(store) && revision < root->root_created) {
        result.outcome = OUTCOME_COMPACTED;
    } else {
        return true;
    }
    answer_refuse_revision(f->call, f->moments->path, revision, &result);
    return false;
}

bool config_items_find(struct grpc_call *call, const struct config_moments *m,
                       struct config_items *out)
{
    const struct policy *root =
        policies_root(store_policies(node_store(grpc_call_node(call))), m->path);
    struct finder f = {.call = call, .moments = m};
    if (root == NULL) {
        answer_refuse(call, m->path, OUTCOME_NO_NODE,
                      store_revision(node_store(grpc_call_node(call))));
        return false;
    }
    f.root_bytes = root->path.size;
    if (!is_known(&f, m->before, root) || !is_known(&f, m->after, root)) {
        return false;
    }
    bool has_past = m->before != 0 || m->after != 0;
    uint64_t first = m->before == 0 || (m->after != 0 && m->after < m->before) ? m->after
                                                                               : m->before;
    path_add(&f, m->path);
    if (m->recursive && (!paths_of_now(&f) || (has_past && !paths_since(&f, first)))) {
        return false;
    }
    paths_settle(&f);
    return items_fill(&f, out);
}

/* ---- telling ------------------------------------------------------------------------------- */

bool config_item_differs(const struct config_item *item)
{
    return item->was_there != item->is_there || !slice_equal(item->before, item->after);
}

void config_item_fill(struct grpc_call *call, const struct config_item *item,
                      Coord__V1__ConfigChange *message)
{
    const struct node_stat *stat = item->is_there ? &item->stat_after : &item->stat_before;
    coord__v1__config_change__init(message);
    message->type = !item->was_there  ? COORD__V1__EVENT_TYPE__CREATE_EVENT
                    : !item->is_there ? COORD__V1__EVENT_TYPE__DELETE_EVENT
                                      : COORD__V1__EVENT_TYPE__SET_EVENT;
    message->path = answer_copy(call, item->path);
    message->old_value = answer_bytes(item->before);
    message->new_value = answer_bytes(item->after);
    message->version = stat->version;
    message->revision = item->is_there ? stat->modify_revision : 0;
    message->time_ms = item->is_there ? stat->modify_ms : 0;
}
