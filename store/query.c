/* Reads, on a store that does not change meanwhile. Paths are not validated: a malformed one is one
 * that no node has (as in ZooKeeper). */
#include "store/query.h"

#include "store/query_history.h"
#include "store/query_lease.h"
#include "store/query_recipe.h"
#include "store/query_walk.h"
#include "store/stat.h"
#include "store/state.h"

/* What an entry costs of a page besides its bytes. */
#define ENTRY_COST_BYTES ((size_t)24)

/* ---- a page ------------------------------------------------------------------------------- */

struct page {
    const struct query *query;
    struct arena *arena;
    struct query_entry *entries;
    uint32_t count;
    uint32_t capacity;
    uint32_t limit;
    size_t bytes;
};

static void page_grow(struct page *p)
{
    uint32_t capacity = p->capacity == 0 ? 16 : p->capacity * 2;
    struct query_entry *entries = arena_alloc(p->arena, capacity * sizeof *entries);
    if (p->count > 0) {
        memcpy(entries, p->entries, p->count * sizeof *entries);
    }
    p->entries = entries;
    p->capacity = capacity;
}

/* False: the page is full. The first entry always fits. */
static bool page_add(struct page *p, const struct query_walk *w, uint32_t slot)
{
    const struct query *q = p->query;
    const struct tree *t = w->tree;
    const struct node *n = tree_node(t, slot);
    bool readable = query_may_read(w, slot);
    bool with_data = q->with_data && readable;
    size_t path_bytes = tree_path_bytes(t, slot);
    size_t bytes = path_bytes + ENTRY_COST_BYTES + (q->with_stat ? STAT_PACKED_BYTES : 0) +
                   (with_data ? value_slice(n->value).size : 0);
    if (p->count == p->limit || (p->count > 0 && p->bytes + bytes > QUERY_PAGE_BYTES_MAX)) {
        return false;
    }
    if (p->count == p->capacity) {
        page_grow(p);
    }
    query_walk_entry(w, slot, q->with_data, p->arena, &p->entries[p->count++]);
    p->bytes += bytes;
    return true;
}

static bool name_has_prefix(const struct tree *t, uint32_t slot, struct slice prefix)
{
    return slice_begins(node_name(tree_node(t, slot)), prefix);
}

/* A flat space: the keys that begin with `path`, in order. */
static enum outcome seek_keys(struct query_walk *w, const struct query *q)
{
    struct slice from = q->after.size > 0 ? q->after : q->path;
    if (!slice_begins(from, q->path)) {
        return OUTCOME_BAD_CURSOR;
    }
    w->position = children_seek(query_children(w->tree, w->top), w->tree, from, q->after.size > 0);
    return OUTCOME_OK;
}

static enum outcome seek_nodes(struct query_walk *w, const struct query *q)
{
    bool is_below = q->after.size == 0 || query_walk_seek(w, q->path, q->after);
    return is_below ? OUTCOME_OK : OUTCOME_BAD_CURSOR;
}

/* All that a walk comes to. No paths are made: that is most of what a page costs. */
static uint64_t count_entries(struct query_walk *w, const struct query *q, bool flat)
{
    uint64_t count = 0;
    for (;;) {
        uint32_t slot = query_walk_next(w);
        if (slot == TREE_NONE || (flat && !name_has_prefix(w->tree, slot, q->path))) {
            return count;
        }
        count++;
    }
}

static void query_list(const struct access *access, uint32_t top, const struct query *q,
                       struct query_result *result, struct arena *arena)
{
    bool flat = space_is_flat(q->space);
    const struct tree *t = &access->store->tree;
    struct query_walk w = {.tree = t,
                     .access = access,
                     .asks_roles = !flat && !access_is_uniform(access, q->path),
                     .top = top,
                     .parent = top,
                     .recursive = q->recursive && !flat,
                     .depth = q->depth};
    result->outcome = (uint8_t)(flat ? seek_keys(&w, q) : seek_nodes(&w, q));
    if (result->outcome != OUTCOME_OK) {
        return;
    }
    if (q->count_only) {
        result->counted = count_entries(&w, q, flat);
        return;
    }
    struct page page = {.query = q, .arena = arena, .limit = QUERY_PAGE_ENTRIES_MAX};
    if (q->limit > 0 && q->limit < page.limit) {
        page.limit = q->limit;
    }
    for (;;) {
        uint32_t slot = query_walk_next(&w);
        if (slot == TREE_NONE || (flat && !name_has_prefix(t, slot, q->path))) {
            break;
        }
        if (!page_add(&page, &w, slot)) {
            result->more = true;
            break;
        }
    }
    result->entries = page.entries;
    result->entry_count = page.count;
}

/* False: the page is full. */
static bool page_add_entries(struct page *p, const struct query_walk *w, const struct list *head,
                             struct list *from)
{
    for (struct list *at = from; at != head; at = at->next) {
        if (!page_add(p, w, ENTRY_IN_QUEUE(at)->node)) {
            return false;
        }
    }
    return true;
}

static void query_queue(const struct access *access, uint32_t top, const struct query *q,
                        struct query_result *result, struct arena *arena)
{
    const struct store *s = access->store;
    const struct recipe_queue *queue = recipe_queue_find(&s->recipes, top);
    const struct recipe_entry *after = NULL;
    if (node_kind_of(tree_node(&s->tree, top)) != NODE_RECIPE) {
        result->outcome = OUTCOME_NO_RECIPE;
        return;
    }
    if (q->after.size > 0) {
        uint32_t slot = tree_find(&s->tree, SPACE_NODES, q->after);
        after = slot == TREE_NONE ? NULL : recipe_entry_find(&s->recipes, slot);
        if (after == NULL || after->queue != queue) {
            result->outcome = OUTCOME_BAD_CURSOR;
            return;
        }
    }
    if (queue == NULL) {
        return;
    }
    struct query_walk w = {.tree = &s->tree,
                     .access = access,
                     .asks_roles = !access_is_uniform(access, q->path)};
    struct page page = {.query = q, .arena = arena, .limit = QUERY_PAGE_ENTRIES_MAX};
    page.limit = q->limit > 0 && q->limit < page.limit ? q->limit : page.limit;
    bool is_held = after == NULL || after->state == ENTRY_HELD;
    struct list *held = after == NULL ? queue->held.next : after->in_queue.next;
    struct list *waiting = is_held ? queue->waiting.next : after->in_queue.next;
    result->more = !((!is_held || page_add_entries(&page, &w, &queue->held, held)) &&
                     page_add_entries(&page, &w, &queue->waiting, waiting));
    result->entries = page.entries;
    result->entry_count = page.count;
}

static void query_acl(const struct access *access, uint32_t slot, const struct query *q,
                      struct query_result *result, struct arena *arena)
{
    const struct store *s = access->store;
    const struct acl_list *l = acl_table_find(&s->acls, tree_node(&s->tree, slot)->acl);
    result->may_admin = access_node(access, slot, ACL_ADMIN) &&
                        access_path(access, ACL_ADMIN, q->space, q->path);
    if (l != NULL) {
        result->acl = arena_copy(arena, acl_list_slice(l));
        return;
    }
    struct buf open = {0};
    acl_encode_open(&open);
    result->acl = arena_copy(arena, buf_slice(&open));
    buf_close(&open);
}

static uint32_t query_rights(const struct query *q)
{
    return q->type == QUERY_ACL ? ACL_READ | ACL_ADMIN : ACL_READ;
}

/* What asks about one node that is there, on a path that roles allow. */
static void query_node(const struct access *access, uint32_t slot, const struct query *q,
                       struct query_result *result, struct arena *arena)
{
    const struct store *s = access->store;
    if (!access_node(access, slot, query_rights(q))) {
        result->outcome = OUTCOME_NO_AUTH;
        return;
    }
    tree_stat(&s->tree, slot, &result->stat);
    if (q->type == QUERY_QUEUE) {
        query_queue(access, slot, q, result, arena);
    }
    if (q->type == QUERY_GET || q->type == QUERY_QUEUE) {
        struct value *v = tree_node(&s->tree, slot)->value;
        result->value = v;
        result->data = value_slice(v);
        result->null_data = v == NULL;
    } else if (q->type == QUERY_LIST) {
        query_list(access, slot, q, result, arena);
    } else if (q->type == QUERY_ACL) {
        query_acl(access, slot, q, result, arena);
    } else if (q->type == QUERY_LOCKS) {
        query_locks(access, slot, q, result, arena);
    } else if (q->type == QUERY_WAITS) {
        query_waits(access, slot, q, result, arena);
    }
}

static bool query_is_of_node(uint8_t type)
{
    return (type >= QUERY_GET && type <= QUERY_LIST) ||
           (type >= QUERY_ACL && type <= QUERY_WAITS);
}

/* What is asked of the present only. */
static bool query_is_of_now(uint8_t type)
{
    return type == QUERY_LIST || (type >= QUERY_QUEUE && type <= QUERY_WAITS);
}

void store_query(const struct store *s, const struct query *q, struct query_result *result,
                 struct arena *arena)
{
    const struct tree *t = &s->tree;
    *result = (struct query_result){
        .outcome = OUTCOME_OK,
        .revision = s->revision,
        .applied_index = s->applied_index,
        .cluster_ms = s->cluster_ms,
    };
    struct access access;
    access_begin(&access, s, q->identities);
    if (q->type == QUERY_LEASE || q->type == QUERY_LEASES) {
        query_leases(&access, q, result, arena);
        return;
    }
    if (space_is_valid(q->space) && !access_path(&access, query_rights(q), q->space, q->path)) {
        result->outcome = OUTCOME_NO_AUTH; /* whether or not there is such a node */
        return;
    }
    if (q->type == QUERY_HISTORY && space_is_valid(q->space)) {
        query_history(&access, q, result, arena);
        return;
    }
    bool is_flat_lock = q->type >= QUERY_LOCKS && q->space != SPACE_NODES;
    if (!space_is_valid(q->space) || !query_is_of_node(q->type) || is_flat_lock) {
        result->outcome = OUTCOME_BAD_ARGUMENTS;
        return;
    }
    if (q->revision != 0) {
        if (query_is_of_now(q->type)) {
            result->outcome = OUTCOME_BAD_ARGUMENTS;
        } else {
            query_get_at(&access, q, result);
        }
        return;
    }
    if (q->type == QUERY_LIST && space_is_flat(q->space)) {
        query_list(&access, tree_root(t, q->space), q, result, arena);
        return;
    }
    uint32_t slot = tree_find(t, q->space, q->path);
    if (slot == TREE_NONE) {
        result->outcome = q->type == QUERY_LOCKS ? OUTCOME_OK : OUTCOME_NO_NODE;
        return;
    }
    query_node(&access, slot, q, result, arena);
}
