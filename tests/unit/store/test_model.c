/* The store against a second, naive implementation: random commands to both must give equal
 * replies, stats, listings, revisions and changes; and a snapshot taken in the midst of them must
 * load to a store that answers the rest of the commands in the same way, down to the digest.
 *
 * COORD_MODEL_SEQUENCES (default 300) and COORD_MODEL_SEED choose how much and which. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/rng.h"
#include "lease/table.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"
#include "tests/support/store_model.h"

#define COMMANDS 200
#define OPS_MAX  5
#define RETRIES  8

/* ---- equality ----------------------------------------------------------------------------- */

/* The id of a list means nothing by itself; check_lists looks at what it stands for. */
static void check_stat(const struct node_stat *real, const struct node_stat *model)
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

static void check_data(const struct record *r, struct slice data, bool null)
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
        check_stat(&result.stat, &r->stat);
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
    check_stat(&real->stat, readable ? &r->stat : &none);
    if (readable) {
        check_data(r, real->data, real->null_data);
    } else {
        ck_assert_uint_eq(real->data.size, 0);
        ck_assert_ptr_null(real->value);
    }
}

/* All records of a space by pages of random size; flat keys and children in order of name. */
static void check_listing(struct store *s, struct model *m, struct rng *rng)
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
            check_stat(&keys.entries[seen].stat, &m->records[i].stat);
            check_data(&m->records[i], keys.entries[seen].data, keys.entries[seen].null_data);
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

static void check_changes(const struct store *s, uint64_t from, const struct expected *e,
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
        check_stat(&real->stat, &want->after.stat);
        check_list(real->acl, want->after.list);
        check_data(&want->before, value_slice(real->old_data), real->old_data == NULL);
        if (want->type != CHANGE_DELETE) {
            check_data(&want->after, value_slice(real->data), real->data == NULL);
        } else {
            ck_assert_ptr_null(real->data);
        }
    }
}

/* ---- one command on both ------------------------------------------------------------------ */

static void check_list_result(struct model *m, const struct op *op, const char *path,
                              const struct op_result *real)
{
    uint32_t seen = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct record *r = &m->records[i];
        char parent[MODEL_PATH_BYTES];
        if (r->space != op->space || (op->limit != 0 && seen == op->limit)) {
            continue;
        }
        bool listed;
        if (r->space == 'Z') {
            model_parent_path(r->path, parent);
            listed = strcmp(parent, path) == 0 && strcmp(r->path, "/") != 0;
        } else {
            listed = strncmp(r->path, path, strlen(path)) == 0;
        }
        if (listed) {
            const char *name = r->space == 'Z' ? strrchr(r->path, '/') + 1 : r->path;
            ck_assert_uint_lt(seen, real->entry_count);
            ck_assert(slice_is(real->entries[seen].name, name));
            if (op->flags & OP_STAT_ONLY) {
                static const struct node_stat none;
                check_stat(&real->entries[seen].stat,
                           model_may(m, r, ACL_READ) ? &r->stat : &none);
            }
            seen++;
        }
    }
    ck_assert_uint_eq(seen, real->entry_count);
}

static enum outcome model_op(struct model *m, struct expected *e, const struct op *op,
                             const struct op_result *real)
{
    char path[MODEL_PATH_BYTES];
    model_slice_text(op->path, path);
    struct record *r = NULL;
    uint64_t count = 0;
    enum outcome outcome = OUTCOME_OK;
    switch (op->type) {
    case OP_CREATE: outcome = model_create(m, e, op, path, &r); break;
    case OP_SET: outcome = model_set(m, e, op, path, &r); break;
    case OP_DELETE: outcome = model_delete(m, e, op, path, &count); break;
    case OP_CHECK: outcome = model_check(m, op, path); break;
    case OP_SET_ACL: outcome = model_set_acl(m, e, op, path, &r); break;
    default:
        r = model_find(m, op->space, path);
        outcome = r == NULL && (op->space == 'Z' || op->type == OP_GET) ? OUTCOME_NO_NODE
                  : !model_may(m, r, ACL_READ)                          ? OUTCOME_NO_AUTH
                                                                        : OUTCOME_OK;
    }
    if (outcome != OUTCOME_OK || real == NULL) {
        return outcome;
    }
    ck_assert_uint_eq(real->count, count);
    if (op->type == OP_CREATE) {
        ck_assert(slice_is(real->path, r->path));
    }
    if (op->type == OP_LIST) {
        check_list_result(m, op, path, real);
    } else if (r != NULL) {
        check_stat(&real->stat, &r->stat);
    }
    if (op->type == OP_GET && (op->flags & OP_STAT_ONLY) == 0) {
        check_data(r, real->data, real->null_data);
    }
    return OUTCOME_OK;
}

/* Runs the branch on the model and compares with what the store answered. */
static void model_txn(struct model *m, const struct txn *txn, const struct reply *real,
                      struct expected *e)
{
    bool took_then = true;
    uint32_t refused = 0;
    for (uint32_t i = 0; i < txn->guard_count && took_then; i++) {
        enum outcome outcome = model_guard(m, &txn->guards[i], &took_then);
        refused = i;
        if (outcome != OUTCOME_OK) {
            ck_assert_int_eq(real->outcome, outcome);
            ck_assert_uint_eq(real->failed_op, i);
            ck_assert_uint_eq(real->result_count, 0);
            return;
        }
    }
    ck_assert_int_eq(real->took_then, took_then);
    const struct op *ops = took_then ? txn->then_ops : txn->else_ops;
    uint32_t count = took_then ? txn->then_count : txn->else_count;
    if (!took_then && count == 0) {
        ck_assert_int_eq(real->outcome, OUTCOME_GUARD_REFUSED);
        ck_assert_uint_eq(real->failed_op, refused);
        ck_assert_uint_eq(real->result_count, 0);
        return;
    }
    ck_assert_uint_eq(real->result_count, count);
    struct record *before = mem_dup(m->records, m->count * sizeof *before);
    size_t before_count = m->count;
    for (uint32_t i = 0; i < count; i++) {
        bool kept = real->outcome == OUTCOME_OK;
        enum outcome outcome = model_op(m, e, &ops[i], kept ? &real->results[i] : NULL);
        if (outcome == OUTCOME_OK) {
            ck_assert_int_eq(real->results[i].outcome, OUTCOME_OK);
            continue;
        }
        ck_assert_int_eq(real->outcome, outcome);
        ck_assert_uint_eq(real->failed_op, i);
        ck_assert_int_eq(real->results[i].outcome, outcome);
        for (uint32_t j = i + 1; j < count; j++) {
            ck_assert_int_eq(real->results[j].outcome, OUTCOME_ROLLED_BACK);
        }
        mem_free(m->records);
        m->records = before;
        m->count = before_count;
        m->capacity = before_count;
        e->count = 0;
        return;
    }
    ck_assert_int_eq(real->outcome, OUTCOME_OK);
    m->revision += e->count > 0;
    mem_free(before);
}

static void model_lease_step(struct model *m, const struct command *c, const struct reply *real,
                             struct expected *e)
{
    struct lease_result expected;
    ck_assert_int_eq(real->outcome, model_lease_command(m, e, c, &expected));
    ck_assert_int_eq(real->has_lease, real->outcome == OUTCOME_OK);
    if (real->has_lease) {
        ck_assert_uint_eq(real->lease.id, expected.id);
        ck_assert_uint_eq(real->lease.ttl_ms, expected.ttl_ms);
        ck_assert_uint_eq(real->lease.generation, expected.generation);
        ck_assert_uint_eq(real->lease.removed, expected.removed);
        ck_assert(slice_equal(real->lease.secret, expected.secret));
    }
}

/* ---- random commands ---------------------------------------------------------------------- */

struct draft { /* the memory of a random command */
    char paths[3 * OPS_MAX][MODEL_PATH_BYTES];
    char data[3 * OPS_MAX][MODEL_DATA_BYTES];
    struct buf lists[MODEL_LISTS + 1];
    struct buf callers[MODEL_CALLERS];
    uint8_t caller;
    uint32_t used;
    struct op then_ops[OPS_MAX];
    struct op else_ops[OPS_MAX];
    struct guard guards[OPS_MAX];
};

static const char *draw_path(struct rng *rng, char *out)
{
    static const char *const odd[] = {
        "",       "/",     "a",    "/a/",        "/a//b",
        "/./a",   "/a/..", "/a/.", "/zookeeper", "/zookeeper/quota",
        "/a\x01", "//"};
    static const char *const names[] = {"a", "b", "a-b", "a.b",
                                        "long-name-that-is-not-kept-inline"};
    if (rng_chance(rng, 60)) {
        return strcpy(out, odd[rng_below(rng, sizeof odd / sizeof odd[0])]);
    }
    out[0] = '\0';
    for (uint64_t depth = rng_range(rng, 1, 4); depth > 0; depth--) {
        strcat(out, "/");
        strcat(out, names[rng_below(rng, 5)]);
    }
    return out;
}

static struct slice draw_data(struct rng *rng, char *out)
{
    size_t size = rng_below(rng, 40);
    for (size_t i = 0; i < size; i++) {
        out[i] = (char)rng_below(rng, 3);
    }
    return slice_make(out, size);
}

static void draw_key(struct rng *rng, struct draft *d, uint8_t *space, struct slice *path)
{
    char *text = d->paths[d->used++];
    *space = rng_chance(rng, 120) ? 'M' : 'Z';
    if (*space == 'M') {
        sprintf(text, "key%u", (unsigned)rng_below(rng, 12));
    } else {
        draw_path(rng, text);
    }
    *path = slice_str(text);
}

/* Mostly one that is there; else one of few, that was, or comes again. */
static uint64_t draw_lease_id(struct rng *rng, const struct model *m)
{
    if (m->lease_count > 0 && rng_chance(rng, 800)) {
        return m->leases[rng_below(rng, m->lease_count)].id;
    }
    return rng_range(rng, 1, 12) * 1000;
}

static struct slice draw_secret(struct rng *rng)
{
    static const char *const secrets[] = {"0123456789abcdef",
                                          "0123456789abcdef",
                                          "0123456789abcdef",
                                          "0123456789abcdeF",
                                          "",
                                          "short"};
    return slice_str(secrets[rng_below(rng, rng_chance(rng, 900) ? 3 : 6)]);
}

static uint64_t draw_ttl(struct rng *rng)
{
    static const uint64_t odd[] = {0, 499, 500, 86400000, 86400001, UINT64_MAX};
    return rng_chance(rng, 100) ? odd[rng_below(rng, 6)] : rng_range(rng, 500, 30000);
}

/* One of the four; right more often than wrong. */
static void draw_lease(struct rng *rng, const struct model *m, struct command *c)
{
    static const uint8_t types[] = {COMMAND_GRANT,  COMMAND_GRANT,  COMMAND_GRANT,
                                    COMMAND_GRANT,  COMMAND_GRANT,  COMMAND_RESUME,
                                    COMMAND_RESUME, COMMAND_REVOKE, COMMAND_EXPIRE};
    c->type = types[rng_below(rng, sizeof types)];
    uint64_t id =
        c->type == COMMAND_GRANT ? rng_range(rng, 1, 12) * 1000 : draw_lease_id(rng, m);
    c->lease = (struct command_lease){.id = rng_chance(rng, 20) ? 0 : id};
    if (c->type == COMMAND_EXPIRE) {
        const struct model_lease *l = model_lease_find(m, c->lease.id);
        c->lease.generation = l == NULL ? 0 : l->generation;
        c->lease.generation += rng_chance(rng, 300) ? rng_below(rng, 3) - 1 : 0;
        return;
    }
    c->lease.secret = draw_secret(rng);
    if (c->type != COMMAND_REVOKE) {
        c->lease.ttl_ms = draw_ttl(rng);
    }
    if (c->type == COMMAND_GRANT) {
        c->lease.kind = (uint8_t)rng_range(rng, LEASE_PLAIN, LEASE_SESSION);
        c->lease.renewable = rng_chance(rng, 500);
        c->lease.owner = slice_str(rng_chance(rng, 500) ? "somebody" : "");
    } else if (c->type == COMMAND_REVOKE) {
        c->lease.kind = (uint8_t)rng_range(rng, 0, LEASE_SESSION);
    }
}

/* A session, with a number that is new, repeated, late, or far ahead; or none. */
static void draw_session(struct rng *rng, const struct model *m, struct command *c)
{
    const struct model_lease *l = NULL;
    for (int i = 0; i < 4 && (l == NULL || l->kind != LEASE_SESSION); i++) {
        c->session = draw_lease_id(rng, m);
        l = model_lease_find(m, c->session);
    }
    uint64_t floor = l == NULL ? 0 : l->floor;
    switch (rng_below(rng, 10)) {
    case 0: return;
    case 1: c->sequence = floor + rng_range(rng, 1020, 1028); break;
    case 2: c->sequence = 1 + rng_below(rng, floor + 1); break;
    default:
        c->sequence = floor + rng_range(rng, 1, 20);
        if (l != NULL && l->reply_count > 0 && rng_chance(rng, 300)) {
            c->sequence = l->replies[rng_below(rng, l->reply_count)].sequence;
        }
    }
    if (rng_chance(rng, 200)) {
        c->answered_to = floor + rng_below(rng, 8);
    }
    if (l != NULL && rng_chance(rng, 200)) {
        c->by_owner = true;
        c->generation = l->generation + rng_below(rng, 2);
    }
}

static struct op draw_op(struct rng *rng, struct draft *d, const struct model *m)
{
    static const uint8_t types[] = {OP_CREATE, OP_CREATE, OP_CREATE, OP_CREATE, OP_SET, OP_SET,
                                    OP_DELETE, OP_DELETE, OP_CHECK,  OP_GET,    OP_LIST,
                                    OP_SET_ACL};
    struct op op = {.type = types[rng_below(rng, sizeof types)], .version = VERSION_ANY};
    char *data = d->data[d->used];
    draw_key(rng, d, &op.space, &op.path);
    bool tree = op.space == 'Z';
    if (op.type == OP_CREATE || op.type == OP_SET) {
        op.data = draw_data(rng, data);
        if (rng_chance(rng, 100)) {
            op.flags = OP_NULL_DATA;
            op.data = slice_make(NULL, 0);
        }
    }
    if (op.type == OP_CREATE && tree && rng_chance(rng, 300)) {
        op.kind = NODE_EPHEMERAL;
        op.lease = draw_lease_id(rng, m);
        op.flags |= (uint8_t)(rng_chance(rng, 400) ? OP_SEQUENTIAL : 0);
        op.flags |= (uint8_t)(rng_chance(rng, 600) ? OP_MAKE_PARENTS : 0);
    }
    bool with_list = op.type == OP_SET_ACL || (op.type == OP_CREATE && rng_chance(rng, 200));
    if (tree && with_list) {
        /* Most are such that the others can go on. */
        uint8_t list = (uint8_t)(rng_chance(rng, 400) ? 0 : rng_below(rng, MODEL_LISTS));
        list = rng_chance(rng, 50) ? MODEL_LISTS : list;
        op.acl = buf_slice(&d->lists[list]);
    }
    if (op.type == OP_CREATE && tree) {
        op.flags |= (uint8_t)(rng_chance(rng, 250) ? OP_SEQUENTIAL : 0);
        op.flags |= (uint8_t)(rng_chance(rng, 250) ? OP_MAKE_PARENTS : 0);
    } else if (op.type == OP_DELETE) {
        op.flags |= (uint8_t)(tree && rng_chance(rng, 300) ? OP_RECURSIVE : 0);
        op.flags |= (uint8_t)(rng_chance(rng, 100) ? OP_DRY_RUN : 0);
        op.limit = rng_chance(rng, 200) ? (uint32_t)rng_range(rng, 1, 5) : 0;
    } else if (op.type == OP_GET || op.type == OP_LIST) {
        op.flags |= (uint8_t)(rng_chance(rng, 500) ? OP_STAT_ONLY : 0);
        op.limit = rng_chance(rng, 300) ? (uint32_t)rng_range(rng, 1, 4) : 0;
    }
    if (op.type != OP_CREATE && rng_chance(rng, 250)) {
        op.version = (uint32_t)rng_below(rng, 3);
    }
    return op;
}

static struct guard draw_guard(struct rng *rng, struct draft *d, uint64_t revision)
{
    struct guard g = {.target = (uint8_t)rng_range(rng, GUARD_EXISTS, GUARD_VALUE),
                      .relation = (uint8_t)rng_range(rng, GUARD_EQUAL, GUARD_GREATER)};
    char *data = d->data[d->used];
    draw_key(rng, d, &g.space, &g.path);
    if (g.target == GUARD_EXISTS) {
        g.relation = (uint8_t)rng_range(rng, GUARD_EQUAL, GUARD_NOT_EQUAL);
        g.number = rng_below(rng, 2);
    } else if (g.target == GUARD_VALUE) {
        g.value = draw_data(rng, data);
    } else {
        g.number = rng_chance(rng, 500) ? rng_below(rng, 4) : rng_below(rng, revision + 2);
    }
    return g;
}

static struct command draw_command(struct rng *rng, struct draft *d, const struct kit *k,
                                   const struct model *m)
{
    d->used = 0;
    struct command c = {.type = COMMAND_TXN};
    uint32_t then_count = rng_chance(rng, 700) ? 1 : (uint32_t)rng_below(rng, OPS_MAX + 1);
    for (uint32_t i = 0; i < then_count; i++) {
        d->then_ops[i] = draw_op(rng, d, m);
    }
    c.txn = (struct txn){.then_ops = d->then_ops, .then_count = then_count};
    if (rng_chance(rng, 150)) {
        c.txn.guard_count = (uint32_t)rng_range(rng, 1, 2);
        c.txn.else_count = (uint32_t)rng_below(rng, 3);
        for (uint32_t i = 0; i < c.txn.guard_count; i++) {
            d->guards[i] = draw_guard(rng, d, store_revision(k->store));
        }
        for (uint32_t i = 0; i < c.txn.else_count; i++) {
            d->else_ops[i] = draw_op(rng, d, m);
        }
        c.txn.guards = d->guards;
        c.txn.else_ops = d->else_ops;
    }
    if (rng_chance(rng, 200)) {
        draw_lease(rng, m, &c);
    }
    if (rng_chance(rng, 300)) {
        draw_session(rng, m, &c);
    } else if (rng_chance(rng, 300)) {
        c.request = (struct request_id){.issued_ms = k->cluster_ms - rng_below(rng, 50),
                                        .random = {rng_next(rng), rng_below(rng, 2)}};
    }
    c.note = slice_str(rng_chance(rng, 200) ? "why" : "");
    d->caller = (uint8_t)(rng_chance(rng, 300) ? MODEL_SUPER : rng_below(rng, MODEL_CALLERS));
    c.identities = buf_slice(&d->callers[d->caller]);
    return c;
}

/* ---- one sequence --------------------------------------------------------------------------- */

struct retry {
    struct request_id id;
    struct buf command;
    struct buf reply;
};

struct entry { /* a command applied while a scan was under way */
    struct buf command;
    uint64_t digest; /* after it */
    uint64_t cluster_ms;
    uint64_t wall_ms;
};

struct run {
    struct rng rng;
    struct kit kit;
    struct model model;
    struct draft draft;
    struct expected expected;
    struct retry retries[RETRIES];
    struct store_scan *scan;
    struct buf rows;
    struct snapshot_meta meta;
    struct model at_scan;
    struct entry *entries;
    size_t entry_count;
};

static void remember_entry(struct run *r)
{
    if (r->scan == NULL) {
        return;
    }
    r->entries = mem_resize(r->entries, (r->entry_count + 1) * sizeof *r->entries);
    struct entry *e = &r->entries[r->entry_count++];
    *e = (struct entry){.cluster_ms = r->kit.cluster_ms, .wall_ms = r->kit.wall_ms};
    buf_append_slice(&e->command, buf_slice(&r->kit.bytes));
}

/* Applies what is in k->bytes. */
static void run_entry(struct run *r)
{
    remember_entry(r);
    kit_run_encoded(&r->kit, buf_slice(&r->kit.bytes));
    if (r->scan != NULL) {
        r->entries[r->entry_count - 1].digest = store_digest(r->kit.store);
    }
}

/* The first reply again, or a refusal: nothing was executed. */
static void check_early(struct run *r, enum outcome outcome, const struct model_reply *first)
{
    struct reply *reply = &r->kit.reply;
    ck_assert_int_eq(reply->repeated, first != NULL);
    if (first == NULL) {
        ck_assert_int_eq(reply->outcome, outcome);
        ck_assert_uint_eq(reply->result_count, 0);
        return;
    }
    struct buf again = {0};
    reply->repeated = false;
    reply_encode(&again, reply);
    ck_assert(slice_equal(buf_slice(&again), slice_make(first->bytes, first->size)));
    buf_close(&again);
}

/* What was executed on the store is executed on the model. */
static void check_executed(struct run *r, const struct command *c)
{
    struct kit *k = &r->kit;
    ck_assert(!k->reply.repeated);
    if (c->type == COMMAND_TXN) {
        model_txn(&r->model, &c->txn, &k->reply, &r->expected);
    } else {
        model_lease_step(&r->model, c, &k->reply, &r->expected);
    }
    ck_assert_uint_eq(k->reply.revision, r->model.revision);
    struct buf reply = {0};
    reply_encode(&reply, &k->reply);
    model_remember(&r->model, c, buf_slice(&reply));
    buf_close(&reply);
}

static void step_command(struct run *r)
{
    struct kit *k = &r->kit;
    struct command c = draw_command(&r->rng, &r->draft, k, &r->model);
    enum outcome outcome;
    const struct model_reply *first;
    r->model.wall_ms = k->wall_ms;
    r->model.caller = r->draft.caller;
    r->expected.count = 0;
    r->expected.session = c.session;
    uint64_t end = k->store->history.end;
    buf_clear(&k->bytes);
    command_encode(&k->bytes, &c);
    run_entry(r);
    if (model_begin(&r->model, &c, &outcome, &first)) {
        check_executed(r, &c);
    } else {
        check_early(r, outcome, first);
    }
    ck_assert_uint_eq(store_revision(k->store), r->model.revision);
    check_changes(k->store, end, &r->expected, r->model.revision);
    if (request_id_is_set(&c.request)) {
        struct retry *retry = &r->retries[rng_below(&r->rng, RETRIES)];
        retry->id = c.request;
        buf_clear(&retry->command);
        buf_clear(&retry->reply);
        buf_append_slice(&retry->command, buf_slice(&k->bytes));
        reply_encode(&retry->reply, &k->reply);
    }
}

/* The same request again: the first answer, and nothing done; too late: refused. */
static void step_retry(struct run *r)
{
    struct kit *k = &r->kit;
    struct retry *retry = &r->retries[rng_below(&r->rng, RETRIES)];
    if (retry->command.size == 0) {
        return;
    }
    uint64_t end = k->store->history.end;
    bool expired = retry->id.issued_ms + REPLIES_AGE_MS_MAX < k->cluster_ms;
    buf_clear(&k->bytes);
    buf_append_slice(&k->bytes, buf_slice(&retry->command));
    run_entry(r);
    ck_assert_uint_eq(k->store->history.end, end);
    if (expired) {
        ck_assert_int_eq(k->reply.outcome, OUTCOME_REQUEST_EXPIRED);
        return;
    }
    ck_assert(k->reply.repeated);
    k->reply.repeated = false;
    struct buf again = {0};
    reply_encode(&again, &k->reply);
    ck_assert(slice_equal(buf_slice(&again), buf_slice(&retry->reply)));
    buf_close(&again);
}

static void run_forget_scan(struct run *r)
{
    for (size_t i = 0; i < r->entry_count; i++) {
        buf_close(&r->entries[i].command);
    }
    mem_free(r->entries);
    r->entries = NULL;
    r->entry_count = 0;
    buf_clear(&r->rows);
    model_free(&r->at_scan);
}

/* Rows in another order: each must find its place on its own. */
static void shuffle_rows(struct rng *rng, struct buf *rows)
{
    struct slice cut[4096];
    size_t count = 0;
    struct unpack u = unpack_make(buf_slice(rows));
    while (u.rest.size > 0 && count < 4096) {
        const uint8_t *begin = u.rest.data;
        struct slice row = unpack_bytes(&u);
        cut[count++] = slice_make(begin, row.size + 4);
    }
    if (u.rest.size > 0) {
        return;
    }
    struct buf shuffled = {0};
    for (size_t left = count; left > 0; left--) {
        size_t at = rng_below(rng, left);
        buf_append_slice(&shuffled, cut[at]);
        cut[at] = cut[left - 1];
    }
    buf_close(rows);
    *rows = shuffled;
}

static void step_scan(struct run *r)
{
    struct kit *k = &r->kit;
    if (r->scan == NULL) {
        r->scan = store_scan_begin(k->store, &r->meta);
        r->at_scan = model_copy(&r->model);
        return;
    }
    if (rng_chance(&r->rng, 50)) { /* given up */
        store_scan_end(r->scan);
        r->scan = NULL;
        run_forget_scan(r);
        return;
    }
    if (store_scan_step(r->scan, rng_range(&r->rng, 1, 2000), &r->rows)) {
        return;
    }
    store_scan_end(r->scan);
    r->scan = NULL;
    if (rng_chance(&r->rng, 500)) {
        shuffle_rows(&r->rng, &r->rows);
    }
    enum status rc;
    struct kit twin = {.index = r->meta.index};
    twin.store = kit_load(buf_slice(&r->rows), &r->meta, &rc);
    ck_assert_int_eq(rc, RC_OK);
    store_check(twin.store);
    ck_assert_uint_eq(store_digest(twin.store), r->meta.digest);
    check_listing(twin.store, &r->at_scan, &r->rng);
    for (size_t i = 0; i < r->entry_count; i++) {
        twin.cluster_ms = r->entries[i].cluster_ms;
        twin.wall_ms = r->entries[i].wall_ms;
        kit_run_encoded(&twin, buf_slice(&r->entries[i].command));
        ck_assert_uint_eq(store_digest(twin.store), r->entries[i].digest);
    }
    ck_assert_uint_eq(store_digest(twin.store), store_digest(k->store));
    ck_assert_uint_eq(store_history_floor(twin.store), store_history_floor(k->store));
    struct store *other = k->store;
    k->store = twin.store; /* the sequence goes on with the loaded one */
    twin.store = other;
    kit_close(&twin);
    run_forget_scan(r);
}

static void run_sequence(struct run *r, uint64_t seed)
{
    rng_init(&r->rng, seed);
    for (uint8_t i = 0; i <= MODEL_LISTS; i++) {
        model_list_encode(i, &r->draft.lists[i]);
    }
    for (uint8_t i = 0; i < MODEL_CALLERS; i++) {
        model_caller_encode(i, &r->draft.callers[i]);
    }
    kit_open(&r->kit);
    model_init(&r->model);
    for (int i = 0; i < COMMANDS; i++) {
        step_command(r);
        if (rng_chance(&r->rng, 100)) {
            step_retry(r);
        }
        if (rng_chance(&r->rng, r->scan == NULL ? 50 : 300)) {
            step_scan(r);
        }
        if (rng_chance(&r->rng, 5)) {
            r->kit.cluster_ms += rng_below(&r->rng, 900 * 1000);
        }
        if (rng_chance(&r->rng, 40)) {
            store_check(r->kit.store);
            check_listing(r->kit.store, &r->model, &r->rng);
        }
    }
    if (r->scan != NULL) {
        store_scan_end(r->scan);
        r->scan = NULL;
    }
    store_check(r->kit.store);
    check_listing(r->kit.store, &r->model, &r->rng);
    run_forget_scan(r);
    for (size_t i = 0; i < RETRIES; i++) {
        buf_close(&r->retries[i].command);
        buf_close(&r->retries[i].reply);
    }
    for (uint8_t i = 0; i <= MODEL_LISTS; i++) {
        buf_close(&r->draft.lists[i]);
    }
    for (uint8_t i = 0; i < MODEL_CALLERS; i++) {
        buf_close(&r->draft.callers[i]);
    }
    kit_close(&r->kit);
    model_free(&r->model);
    buf_close(&r->rows);
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

START_TEST(the_store_agrees_with_the_model)
{
    uint64_t sequences = env_number("COORD_MODEL_SEQUENCES", 300);
    uint64_t first = env_number("COORD_MODEL_SEED", 1);
    struct run *r = mem_zalloc(sizeof *r);
    for (uint64_t seed = first; seed < first + sequences; seed++) {
        /* Overwritten by the next; what remains after a failure is the seed to repeat it with. */
        ck_assert_int_ge(fprintf(stderr, "\rCOORD_MODEL_SEED=%llu ", (unsigned long long)seed),
                         0);
        memset(r, 0, sizeof *r);
        run_sequence(r, seed);
    }
    fprintf(stderr, "\n");
    mem_free(r);
}
END_TEST

static Suite *model_suite(void)
{
    Suite *suite = suite_create("model");
    TCase *tcase = tcase_create("model");
    tcase_set_timeout(tcase, 3600);
    tcase_add_test(tcase, the_store_agrees_with_the_model);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){model_suite, NULL});
}
