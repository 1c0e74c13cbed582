#include "tests/support/store_model_check.h"

#include "base/mem.h"
#include "lease/table.h"
#include "store/state.h"
#include "tests/support/check_main.h"

/* The id of a list means nothing by itself; check_lists looks at what it stands for. */
void model_check_stat(const struct node_stat *real, const struct node_stat *model)
{
    ck_assert_uint_eq(real->create_revision, model->create_revision);
    ck_assert_uint_eq(real->modify_revision, model->modify_revision);
    ck_assert_uint_eq(real->children_revision, model->children_revision);
    ck_assert_uint_eq(real->create_ms, model->create_ms);
    ck_assert_uint_eq(real->modify_ms, model->modify_ms);
    ck_assert_uint_eq(real->sequence_next, model->sequence_next);
    ck_assert_uint_eq(real->version, model->version);
    ck_assert_uint_eq(real->data_bytes, model->data_bytes);
    ck_assert_uint_eq(real->child_count, model->child_count);
    ck_assert_uint_eq(real->kind, model->kind);
    ck_assert_uint_eq(real->lease, model->lease);
    ck_assert_uint_eq(real->acl_version, model->acl_version);
    ck_assert_uint_eq(real->ttl_ms, 0);
}

void model_check_data(const struct record *r, struct slice data, bool null)
{
    ck_assert(slice_equal(data, slice_make(r->data, r->size)));
    ck_assert_int_eq(null, r->null);
}

static void check_window(struct store *s, const struct model_lease *l)
{
    const struct window *w = store_lease(s, l->id)->window;
    ck_assert_uint_eq(w->floor, l->floor);
    ck_assert_uint_eq(window_count(w), l->reply_count);
    for (size_t i = 0; i < l->reply_count; i++) {
        const struct window_reply *r = window_find(w, l->replies[i].sequence);
        ck_assert_ptr_nonnull(r);
        ck_assert(slice_equal(slice_make(r->bytes, r->size),
                              slice_make(l->replies[i].bytes, l->replies[i].size)));
    }
}

static void check_lease(const struct query_lease *real, const struct model_lease *l)
{
    ck_assert_uint_eq(real->id, l->id);
    ck_assert_uint_eq(real->ttl_ms, l->ttl_ms);
    ck_assert_uint_eq(real->generation, l->generation);
    ck_assert_uint_eq(real->granted_ms, l->granted_ms);
    ck_assert_uint_eq(real->kind, l->kind);
    ck_assert_int_eq(real->renewable, l->renewable);
    ck_assert(slice_is(real->secret, l->secret));
    ck_assert(slice_is(real->owner, l->owner));
}

/* The nodes of a lease, by pages. */
static void check_attached(const struct store *s, struct model *m, uint64_t id, struct rng *rng)
{
    char after[MODEL_PATH_BYTES] = "";
    uint64_t seen = 0;
    bool more = true;
    while (more) {
        struct arena arena = {0};
        struct query_result result;
        struct query query = {.type = QUERY_LEASE,
                              .lease = id,
                              .after = slice_str(after),
                              .limit = (uint32_t)rng_range(rng, 1, 3)};
        store_query(s, &query, &result, &arena);
        ck_assert_int_eq(result.outcome, OUTCOME_OK);
        check_lease(&result.leases[0], model_lease_find(m, id));
        for (uint32_t i = 0; i < result.entry_count; i++, seen++) {
            char path[MODEL_PATH_BYTES];
            model_slice_text(result.entries[i].path, path);
            ck_assert(after[0] == '\0' || model_path_order(after, path) < 0);
            ck_assert_uint_eq(model_find(m, 'Z', path)->stat.lease, id);
            strcpy(after, path);
        }
        more = result.more;
        if (!more) {
            ck_assert_uint_eq(result.leases[0].attached, seen);
        }
        arena_close(&arena);
    }
    uint64_t expected = 0;
    for (size_t i = 0; i < m->count; i++) {
        expected += m->records[i].stat.lease == id;
    }
    ck_assert_uint_eq(seen, expected);
}

static void check_leases(struct store *s, struct model *m, struct rng *rng)
{
    const struct model_lease *l = model_lease_next(m, 0);
    uint64_t after = 0;
    bool more = true;
    while (more) {
        struct arena arena = {0};
        struct query_result result;
        struct query query = {
            .type = QUERY_LEASES, .lease = after, .limit = (uint32_t)rng_range(rng, 1, 4)};
        store_query(s, &query, &result, &arena);
        for (uint32_t i = 0; i < result.lease_count; i++, l = model_lease_next(m, l->id)) {
            ck_assert_ptr_nonnull(l);
            check_lease(&result.leases[i], l);
            check_attached(s, m, l->id, rng);
            if (l->kind == LEASE_SESSION) {
                check_window(s, l);
            }
            after = l->id;
        }
        more = result.more;
        arena_close(&arena);
    }
    ck_assert_ptr_null(l);
    ck_assert_uint_eq(store_lease_count(s), m->lease_count);
}

/* Every node's list, as one sees it who may see all. */
static void check_lists(const struct store *s, const struct model *m)
{
    struct buf super = {0};
    model_caller_encode(MODEL_SUPER, &super);
    for (size_t i = 0; i < m->count; i++) {
        const struct record *r = &m->records[i];
        struct arena arena = {0};
        struct buf list = {0};
        struct query_result result;
        struct query query = {.type = QUERY_ACL,
                              .space = r->space,
                              .path = slice_str(r->path),
                              .identities = buf_slice(&super)};
        store_query(s, &query, &result, &arena);
        model_list_encode(r->list, &list);
        ck_assert_int_eq(result.outcome, OUTCOME_OK);
        ck_assert(result.may_admin);
        ck_assert(slice_equal(result.acl, buf_slice(&list)));
        model_check_stat(&result.stat, &r->stat);
        ck_assert_int_eq(result.stat.acl == 0, r->list == 0);
        buf_close(&list);
        arena_close(&arena);
    }
    buf_close(&super);
}

/* Whether the caller may read everything above. */
static bool is_reachable(struct model *m, const struct record *r)
{
    char path[MODEL_PATH_BYTES];
    char parent[MODEL_PATH_BYTES];
    strcpy(path, r->path);
    while (strcmp(path, "/") != 0) {
        model_parent_path(path, parent);
        if (!model_may(m, model_find(m, 'Z', parent), ACL_READ)) {
            return false;
        }
        strcpy(path, parent);
    }
    return true;
}

static void check_entry(const struct query_entry *real, const struct record *r, bool readable)
{
    static const struct node_stat none;
    ck_assert_int_eq(real->unreadable, !readable);
    model_check_stat(&real->stat, readable ? &r->stat : &none);
    if (readable) {
        model_check_data(r, real->data, real->null_data);
    } else {
        ck_assert_uint_eq(real->data.size, 0);
        ck_assert_ptr_null(real->value);
    }
}

/* All records of a space by pages of random size; flat keys and children in order of name. */
void model_check_store(struct store *s, struct model *m, struct rng *rng)
{
    struct record *sorted = mem_dup(m->records, m->count * sizeof *sorted);
    struct buf caller = {0};
    size_t count = 0;
    m->caller = (uint8_t)(rng_chance(rng, 300) ? MODEL_SUPER : rng_below(rng, MODEL_CALLERS));
    model_caller_encode(m->caller, &caller);
    for (size_t i = 0; i < m->count; i++) { /* by insertion, in component order, without "/" */
        if (m->records[i].space == 'Z' && strcmp(m->records[i].path, "/") != 0 &&
            is_reachable(m, &m->records[i])) {
            size_t at = count++;
            while (at > 0 && model_path_order(m->records[i].path, sorted[at - 1].path) < 0) {
                sorted[at] = sorted[at - 1];
                at--;
            }
            sorted[at] = m->records[i];
        }
    }
    char after[MODEL_PATH_BYTES] = "";
    size_t seen = 0;
    bool more = true;
    while (more) {
        struct arena arena = {0};
        struct query_result result;
        struct query query = {.type = QUERY_LIST,
                              .space = 'Z',
                              .path = slice_str("/"),
                              .recursive = true,
                              .with_data = true,
                              .with_stat = true,
                              .identities = buf_slice(&caller),
                              .after = slice_str(after),
                              .limit = (uint32_t)rng_range(rng, 1, 9)};
        store_query(s, &query, &result, &arena);
        ck_assert_int_eq(result.outcome, model_may(m, model_find(m, 'Z', "/"), ACL_READ)
                                             ? OUTCOME_OK
                                             : OUTCOME_NO_AUTH);
        for (uint32_t i = 0; i < result.entry_count; i++, seen++) {
            ck_assert_uint_lt(seen, count);
            model_slice_text(result.entries[i].path, after);
            ck_assert_str_eq(after, sorted[seen].path);
            check_entry(&result.entries[i], &sorted[seen],
                        model_may(m, &sorted[seen], ACL_READ));
        }
        more = result.more;
        ck_assert(!more || result.entry_count == query.limit);
        arena_close(&arena);
    }
    ck_assert_uint_eq(seen, count);
    mem_free(sorted);
    buf_close(&caller);

    struct arena arena = {0};
    struct query_result keys;
    struct query query = {.type = QUERY_LIST, .space = 'M', .with_data = true};
    store_query(s, &query, &keys, &arena);
    seen = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (m->records[i].space == 'M') {
            ck_assert_uint_lt(seen, keys.entry_count);
            ck_assert(slice_is(keys.entries[seen].path, m->records[i].path));
            model_check_stat(&keys.entries[seen].stat, &m->records[i].stat);
            model_check_data(&m->records[i], keys.entries[seen].data,
                             keys.entries[seen].null_data);
            seen++;
        }
    }
    ck_assert_uint_eq(seen, keys.entry_count);
    arena_close(&arena);
    check_leases(s, m, rng);
    check_lists(s, m);
    ck_assert_uint_eq(store_node_count(s), m->count);
    ck_assert_uint_eq(store_revision(s), m->revision);
}

static void check_list(const struct acl_list *real, uint8_t list)
{
    struct buf bytes = {0};
    model_list_encode(list, &bytes);
    ck_assert(list == 0 ? real == NULL : slice_equal(acl_list_slice(real), buf_slice(&bytes)));
    buf_close(&bytes);
}

void model_check_changes(const struct store *s, uint64_t from, const struct expected *e,
                         uint64_t revision)
{
    const struct history *h = &s->history;
    ck_assert_uint_eq(h->end - from, e->count);
    for (uint32_t i = 0; i < e->count; i++) {
        const struct change *real = history_at(h, from + i);
        const struct expected_change *want = &e->changes[i];
        ck_assert_uint_eq(real->revision, revision);
        ck_assert_uint_eq(real->sub, i);
        ck_assert_uint_eq(real->type, want->type);
        ck_assert_uint_eq(real->reason, want->reason);
        ck_assert_uint_eq(real->session, want->session);
        ck_assert_uint_eq(real->space, want->after.space);
        ck_assert(slice_is(real->path, want->after.path));
        model_check_stat(&real->stat, &want->after.stat);
        check_list(real->acl, want->after.list);
        model_check_data(&want->before, value_slice(real->old_data), real->old_data == NULL);
        if (want->type != CHANGE_DELETE) {
            model_check_data(&want->after, value_slice(real->data), real->data == NULL);
        } else {
            ck_assert_ptr_null(real->data);
        }
    }
}
