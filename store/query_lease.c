#include "store/query_lease.h"

#include "store/attached.h"
#include "store/stat.h"
#include "store/state.h"

/* What a lease, or a node of it, costs of a page besides its owner, or path. */
#define LEASE_COST_BYTES ((size_t)96)
#define ENTRY_COST_BYTES ((size_t)24 + STAT_PACKED_BYTES)

#define LEASES_FIRST ((uint32_t)16)

static uint32_t query_limit(const struct query *q)
{
    bool own = q->limit > 0 && q->limit < QUERY_PAGE_ENTRIES_MAX;
    return own ? q->limit : QUERY_PAGE_ENTRIES_MAX;
}

static struct query_lease lease_describe(const struct lease *l)
{
    return (struct query_lease){
        .id = l->id,
        .ttl_ms = l->ttl_ms,
        .generation = l->generation,
        .attached = l->attached_count,
        .granted_ms = l->granted_ms,
        .kind = l->kind,
        .renewable = l->renewable,
        .secret = slice_make(l->secret, sizeof l->secret),
        .owner = l->owner,
        .user = l->user,
    };
}

/* The nodes behind `after`, as many as fit. The first always does. */
static void list_attached(const struct access *access, const struct lease *l,
                          const struct query *q, struct query_result *result,
                          struct arena *arena)
{
    const struct store *s = access->store;
    struct attached *attached;
    uint32_t count = attached_in_order(&s->tree, l, q->after, arena, &attached);
    uint32_t most = count < query_limit(q) ? count : query_limit(q);
    struct query_entry *entries = arena_alloc(arena, most * sizeof *entries);
    size_t bytes = 0;
    uint32_t taken = 0;
    uint32_t at = 0;
    for (; at < count; at++) {
        if (!access_path(access, ACL_READ, SPACE_NODES, attached[at].path)) {
            continue; /* what roles do not allow to read is not there */
        }
        bytes += attached[at].path.size + ENTRY_COST_BYTES;
        if (taken == most || (taken > 0 && bytes > QUERY_PAGE_BYTES_MAX)) {
            break;
        }
        entries[taken] = (struct query_entry){.path = attached[at].path};
        tree_stat(&s->tree, attached[at].slot, &entries[taken].stat);
        taken++;
    }
    result->entries = entries;
    result->entry_count = taken;
    result->more = at < count;
}

static void query_one(const struct access *access, const struct query *q,
                      struct query_result *result, struct arena *arena)
{
    const struct lease *l = lease_table_find(&access->store->leases, q->lease);
    if (l == NULL) {
        result->outcome = OUTCOME_NO_LEASE;
        return;
    }
    if (!access_lease(access, l, false)) {
        result->outcome = OUTCOME_NO_AUTH;
        return;
    }
    struct query_lease *one = arena_alloc(arena, sizeof *one);
    *one = lease_describe(l);
    result->leases = one;
    result->lease_count = 1;
    if (!q->lease_only) {
        list_attached(access, l, q, result, arena);
    }
}

/* The next that is to be listed: of the kind, and the caller's own unless he administers. */
static const struct lease *next_listed(const struct access *access, const struct query *q,
                                       bool lists_all, uint64_t after)
{
    const struct lease_table *leases = &access->store->leases;
    const struct lease *l = lease_table_next(leases, after);
    while (l != NULL && ((q->lease_kind != 0 && l->kind != q->lease_kind) ||
                         !(lists_all || access_lease(access, l, false)))) {
        l = lease_table_next(leases, l->id);
    }
    return l;
}

static void query_many(const struct access *access, const struct query *q,
                       struct query_result *result, struct arena *arena)
{
    bool lists_all = access_is_admin(access);
    struct query_lease *leases = NULL;
    uint32_t capacity = 0;
    uint32_t count = 0;
    size_t bytes = 0;
    const struct lease *l = next_listed(access, q, lists_all, q->lease);
    for (; l != NULL && count < query_limit(q); l = next_listed(access, q, lists_all, l->id)) {
        bytes += LEASE_COST_BYTES + l->owner.size;
        if (count > 0 && bytes > QUERY_PAGE_BYTES_MAX) {
            break;
        }
        if (count == capacity) {
            capacity = capacity == 0 ? LEASES_FIRST : capacity * 2;
            struct query_lease *more = arena_alloc(arena, capacity * sizeof *more);
            if (count > 0) {
                memcpy(more, leases, count * sizeof *more);
            }
            leases = more;
        }
        leases[count++] = lease_describe(l);
    }
    result->leases = leases;
    result->lease_count = count;
    result->more = l != NULL;
}

void query_leases(const struct access *access, const struct query *q,
                  struct query_result *result, struct arena *arena)
{
    if (q->lease_kind > LEASE_SESSION) {
        result->outcome = OUTCOME_BAD_ARGUMENTS;
    } else if (q->type == QUERY_LEASE) {
        query_one(access, q, result, arena);
    } else {
        query_many(access, q, result, arena);
    }
}
