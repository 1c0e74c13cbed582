/* The past against a naive model: a list of all changes there ever were. What the store still knows
 * must be what the list says, and it must know all that the policies promise; after every piece of
 * the way, over snapshots and restores in the midst of changes, down to the digest.
 *
 * COORD_MODEL_SEQUENCES (default 150) and COORD_MODEL_SEED choose how much and which. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/rng.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

#define COMMANDS 400
#define OPS_MAX  4
#define DATA_MAX 24
#define TTL_MAX  400
#define OF_META  0 /* type of a change of another space, which only takes its place */

/* "/" is not among them. Parents come before their children. */
static const char *const paths[] = {
    "/c", "/c/a", "/c/a/x", "/c/a/y", "/c/b", "/c/b/x", "/d", "/d/a", "/d/ab", "/d/a/z",
};
#define PATHS (sizeof paths / sizeof paths[0])

struct text {
    size_t size;
    char bytes[DATA_MAX];
};

struct past { /* one change */
    uint64_t revision;
    uint32_t sub;
    uint8_t type;
    uint8_t reason;
    size_t path;
    struct text data; /* after; of a delete before */
    struct text old;
    struct node_stat stat; /* after; of a delete before */
    uint64_t cluster_ms;
    bool in_log;
    bool in_chain;
};

struct alive {
    bool is;
    bool had_child;
    struct text data;
    struct node_stat stat; /* without counts of children */
    uint64_t touched_ms;
};

struct naive {
    struct past *all;
    size_t count;
    struct alive nodes[PATHS];
    uint32_t keep[PATHS + 1]; /* policies, the last one at "/"; 0: none */
    struct retention retention;
    uint64_t revision;
    uint64_t floor;
    uint64_t cluster_ms;
    uint64_t wall_ms;
    uint32_t sub;
};

struct entry {
    struct buf command;
    uint64_t cluster_ms;
    uint64_t wall_ms;
};

struct run {
    struct rng rng;
    struct kit kit;
    struct naive naive;
    struct buf lists[OPS_MAX];
    struct store_scan *scan;
    struct buf rows;
    struct snapshot_meta meta;
    struct entry *entries;
    size_t entry_count;
    uint64_t reaped;
    uint64_t compacted;
    uint64_t from_chains;
};

/* ---- the naive tree ----------------------------------------------------------------------- */

static size_t parent_of(size_t path) /* PATHS: "/" */
{
    char parent[40];
    strcpy(parent, paths[path]);
    *strrchr(parent, '/') = '\0';
    for (size_t i = 0; i < PATHS; i++) {
        if (strcmp(paths[i], parent) == 0) {
            return i;
        }
    }
    return PATHS;
}

static bool is_below(size_t path, size_t top)
{
    size_t n = top == PATHS ? 0 : strlen(paths[top]);
    return (top == PATHS || strncmp(paths[path], paths[top], n) == 0) && paths[path][n] == '/';
}

static bool has_children(const struct naive *m, size_t path)
{
    for (size_t i = 0; i < PATHS; i++) {
        if (m->nodes[i].is && parent_of(i) == path) {
            return true;
        }
    }
    return false;
}

static struct past *past_add(struct naive *m, uint8_t type, size_t path)
{
    m->all = mem_resize(m->all, (m->count + 1) * sizeof *m->all);
    struct past *p = &m->all[m->count++];
    *p = (struct past){.revision = m->revision + 1,
                       .sub = m->sub++,
                       .type = type,
                       .path = path,
                       .cluster_ms = m->cluster_ms,
                       .in_log = true};
    return p;
}

static bool naive_create(struct naive *m, size_t path, const struct op *op)
{
    struct alive *n = &m->nodes[path];
    size_t parent = parent_of(path);
    if (n->is || (parent != PATHS && !m->nodes[parent].is)) {
        return false;
    }
    *n = (struct alive){.is = true, .touched_ms = m->cluster_ms};
    n->data.size = op->data.size;
    memcpy(n->data.bytes, op->data.data, op->data.size);
    n->stat = (struct node_stat){.create_revision = m->revision + 1,
                                 .modify_revision = m->revision + 1,
                                 .create_ms = m->wall_ms,
                                 .modify_ms = m->wall_ms,
                                 .data_bytes = (uint32_t)op->data.size,
                                 .kind = op->kind,
                                 .ttl_ms = op->ttl_ms};
    if (parent != PATHS) {
        m->nodes[parent].had_child = true;
    }
    struct past *p = past_add(m, CHANGE_CREATE, path);
    p->data = n->data;
    p->stat = n->stat;
    return true;
}

static bool naive_set(struct naive *m, size_t path, const struct op *op)
{
    struct alive *n = &m->nodes[path];
    if (!n->is) {
        return false;
    }
    struct past *p = past_add(m, CHANGE_SET, path);
    p->old = n->data;
    n->data.size = op->data.size;
    memcpy(n->data.bytes, op->data.data, op->data.size);
    n->stat.version++;
    n->stat.modify_revision = m->revision + 1;
    n->stat.modify_ms = m->wall_ms;
    n->stat.data_bytes = (uint32_t)op->data.size;
    n->touched_ms = m->cluster_ms;
    p->data = n->data;
    p->stat = n->stat;
    return true;
}

static bool naive_set_acl(struct naive *m, size_t path)
{
    struct alive *n = &m->nodes[path];
    if (!n->is) {
        return false;
    }
    n->stat.acl_version++;
    struct past *p = past_add(m, CHANGE_ACL, path);
    p->old = n->data;
    p->data = n->data;
    p->stat = n->stat;
    return true;
}

static void naive_remove(struct naive *m, size_t path, uint8_t reason)
{
    struct past *p = past_add(m, CHANGE_DELETE, path);
    p->old = m->nodes[path].data;
    p->data = p->old;
    p->stat = m->nodes[path].stat;
    p->reason = reason;
    m->nodes[path].is = false;
}

static bool naive_delete(struct naive *m, size_t path, const struct op *op)
{
    bool recursive = (op->flags & OP_RECURSIVE) != 0;
    if (!m->nodes[path].is || (!recursive && has_children(m, path))) {
        return false;
    }
    /* Children in order of name, each behind its own descendants. */
    for (size_t i = 0; i < PATHS; i++) {
        if (!m->nodes[i].is || !is_below(i, path)) {
            continue;
        }
        for (size_t j = 0; j < PATHS; j++) {
            if (m->nodes[j].is && is_below(j, i)) {
                naive_remove(m, j, REASON_REQUEST);
            }
        }
        naive_remove(m, i, REASON_REQUEST);
    }
    naive_remove(m, path, REASON_REQUEST);
    return true;
}

/* Why it may be removed now; REASON_REQUEST: it may not. */
static uint8_t naive_due(const struct naive *m, size_t path, uint64_t cluster_ms)
{
    const struct alive *n = &m->nodes[path];
    if (!n->is || has_children(m, path)) {
        return REASON_REQUEST;
    }
    if (n->stat.kind == NODE_CONTAINER && n->had_child) {
        return REASON_EMPTIED;
    }
    bool aged = n->stat.kind == NODE_TTL && n->touched_ms + n->stat.ttl_ms <= cluster_ms;
    return aged ? REASON_AGED : REASON_REQUEST;
}

/* ---- what is kept ------------------------------------------------------------------------- */

static uint32_t naive_keep(const struct naive *m, size_t path)
{
    for (; path != PATHS; path = parent_of(path)) {
        if (m->keep[path] != 0) {
            return m->keep[path];
        }
    }
    return m->keep[PATHS];
}

/* After every command: what leaves the log joins the chains, and these are cut to their length. */
static void naive_trim(struct naive *m)
{
    for (size_t i = 0; i < m->count; i++) {
        struct past *p = &m->all[i];
        if (!p->in_log) {
            continue;
        }
        if (m->revision - p->revision < m->retention.revisions ||
            m->cluster_ms - p->cluster_ms <= m->retention.age_ms) {
            break;
        }
        p->in_log = false;
        p->in_chain = p->type != OF_META && naive_keep(m, p->path) > 0;
        m->floor = p->revision + 1;
    }
    uint32_t kept[PATHS] = {0};
    for (size_t i = m->count; i-- > 0;) {
        struct past *p = &m->all[i];
        if (p->in_chain && ++kept[p->path] > naive_keep(m, p->path)) {
            p->in_chain = false;
        }
    }
}

/* ---- commands ----------------------------------------------------------------------------- */

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

static enum outcome run_command(struct run *r, const struct command *c)
{
    struct kit *k = &r->kit;
    r->naive.cluster_ms = k->cluster_ms;
    r->naive.wall_ms = k->wall_ms;
    r->naive.sub = 0;
    buf_clear(&k->bytes);
    command_encode(&k->bytes, c);
    remember_entry(r);
    return kit_run_encoded(k, buf_slice(&k->bytes));
}

static void finish_command(struct run *r)
{
    struct naive *m = &r->naive;
    m->revision += m->sub > 0;
    naive_trim(m);
    ck_assert_uint_eq(store_revision(r->kit.store), m->revision);
    ck_assert_uint_eq(store_history_floor(r->kit.store), m->floor);
}

/* One of a few lists, which all let everybody do everything: what they forbid is not this test's
 * matter. */
static void draw_list(struct rng *rng, struct buf *list)
{
    static const char *const ids[] = {"alice:x", "bob:x"};
    const struct acl_entry entries[] = {
        {ACL_ALL, slice_str("world"), slice_str("anyone")},
        {ACL_READ, slice_str("digest"), slice_str(ids[rng_below(rng, 2)])},
    };
    buf_clear(list);
    acl_encode(list, entries, rng_range(rng, 1, 2));
}

static struct op draw_op(struct rng *rng, char *data, struct buf *list, size_t *path)
{
    static const uint8_t types[] = {OP_CREATE, OP_CREATE, OP_SET,    OP_SET,
                                    OP_SET,    OP_DELETE, OP_SET_ACL};
    *path = rng_below(rng, PATHS);
    struct op op = kit_op((enum op_type)types[rng_below(rng, sizeof types)], paths[*path], "");
    if (op.type == OP_DELETE) {
        op.flags = rng_chance(rng, 300) ? OP_RECURSIVE : 0;
        return op;
    }
    if (op.type == OP_SET_ACL || rng_chance(rng, 100)) {
        draw_list(rng, list);
        op.acl = op.type == OP_SET ? slice_make(NULL, 0) : buf_slice(list);
    }
    if (op.type == OP_SET_ACL) {
        return op;
    }
    op.data = slice_make(data, rng_below(rng, DATA_MAX));
    for (size_t i = 0; i < op.data.size; i++) {
        data[i] = (char)('a' + rng_below(rng, 26));
    }
    if (op.type == OP_CREATE) {
        static const uint8_t kinds[] = {NODE_PERSISTENT, NODE_CONTAINER, NODE_TTL};
        op.kind = kinds[rng_below(rng, 3)];
        op.ttl_ms = op.kind == NODE_TTL ? rng_range(rng, 1, TTL_MAX) : 0;
    }
    return op;
}

static void step_txn(struct run *r)
{
    struct naive *m = &r->naive;
    char data[OPS_MAX][DATA_MAX];
    struct op ops[OPS_MAX];
    size_t on[OPS_MAX];
    uint32_t count = rng_chance(&r->rng, 600) ? 1 : (uint32_t)rng_range(&r->rng, 2, OPS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        ops[i] = draw_op(&r->rng, data[i], &r->lists[i], &on[i]);
    }
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = ops, .then_count = count}};
    enum outcome outcome = run_command(r, &c);
    struct alive before[PATHS];
    memcpy(before, m->nodes, sizeof before);
    size_t before_count = m->count;
    bool ok = true;
    for (uint32_t i = 0; i < count && ok; i++) {
        ok = ops[i].type == OP_CREATE    ? naive_create(m, on[i], &ops[i])
             : ops[i].type == OP_SET     ? naive_set(m, on[i], &ops[i])
             : ops[i].type == OP_SET_ACL ? naive_set_acl(m, on[i])
                                         : naive_delete(m, on[i], &ops[i]);
    }
    ck_assert_int_eq(outcome == OUTCOME_OK, ok);
    if (!ok) {
        memcpy(m->nodes, before, sizeof before);
        m->count = before_count;
        m->sub = 0;
    }
    finish_command(r);
}

static void step_reap(struct run *r)
{
    struct naive *m = &r->naive;
    struct store_due due[PATHS];
    size_t count = store_reap_due(r->kit.store, r->kit.cluster_ms, due, PATHS);
    for (size_t i = 0; i < PATHS; i++) {
        bool told = false;
        for (size_t j = 0; j < count; j++) {
            told = told || slice_is(due[j].path, paths[i]);
        }
        ck_assert_int_eq(told, naive_due(m, i, r->kit.cluster_ms) != REASON_REQUEST);
    }
    size_t path = rng_below(&r->rng, PATHS);
    uint64_t revision = m->nodes[path].stat.create_revision + rng_chance(&r->rng, 100);
    struct command c = {.type = COMMAND_REAP, .reap = {slice_str(paths[path]), revision}};
    enum outcome outcome = run_command(r, &c);
    uint8_t reason = revision == m->nodes[path].stat.create_revision
                         ? naive_due(m, path, m->cluster_ms)
                         : REASON_REQUEST;
    ck_assert_int_eq(outcome, reason == REASON_REQUEST ? OUTCOME_NOT_DUE : OUTCOME_OK);
    if (reason != REASON_REQUEST) {
        naive_remove(m, path, reason);
        r->reaped++;
    }
    finish_command(r);
}

/* Sets or ends a history policy, or how much the log keeps. */
static void step_policy(struct run *r)
{
    struct naive *m = &r->naive;
    uint8_t key[POLICY_KEY_BYTES_MAX];
    uint8_t value[POLICY_VALUE_BYTES_MAX];
    struct op op = {.type = OP_SET, .space = SPACE_META, .version = VERSION_ANY};
    bool changes = true;
    if (rng_chance(&r->rng, 300)) {
        m->retention = (struct retention){RETENTION_BYTES_MIN, rng_range(&r->rng, 1000, 1100),
                                          rng_below(&r->rng, 60)};
        op.path = slice_str(POLICY_RETENTION_KEY);
        op.data = retention_value(&m->retention, value);
    } else {
        size_t path = rng_below(&r->rng, PATHS + 1);
        uint32_t keep = (uint32_t)rng_below(&r->rng, 6);
        op.path = policy_key(slice_str(path == PATHS ? "/" : paths[path]), key);
        if (keep == 0) {
            op.type = OP_DELETE;
            changes = m->keep[path] != 0;
        } else {
            op.data = policy_value(keep, value);
        }
        m->keep[path] = keep;
    }
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    ck_assert_int_eq(run_command(r, &c), changes ? OUTCOME_OK : OUTCOME_NO_NODE);
    if (changes) { /* a change of another space: it has its revision, and a place in the log */
        (void)past_add(m, OF_META, 0);
    }
    finish_command(r);
}

/* ---- what the store knows ----------------------------------------------------------------- */

static void check_text(const struct text *want, struct slice have)
{
    ck_assert(slice_equal(have, slice_make(want->bytes, want->size)));
}

static void check_stat(const struct node_stat *want, const struct node_stat *have)
{
    ck_assert_uint_eq(have->create_revision, want->create_revision);
    ck_assert_uint_eq(have->modify_revision, want->modify_revision);
    ck_assert_uint_eq(have->create_ms, want->create_ms);
    ck_assert_uint_eq(have->modify_ms, want->modify_ms);
    ck_assert_uint_eq(have->version, want->version);
    ck_assert_uint_eq(have->data_bytes, want->data_bytes);
    ck_assert_uint_eq(have->kind, want->kind);
    ck_assert_uint_eq(have->ttl_ms, want->ttl_ms);
}

/* What was, by the list of all changes; and whether what is kept of it is enough to know. */
static void check_get(struct run *r)
{
    const struct naive *m = &r->naive;
    size_t path = rng_below(&r->rng, PATHS);
    struct query q = {.type = rng_chance(&r->rng, 900) ? QUERY_GET : QUERY_EXISTS,
                      .space = SPACE_NODES,
                      .path = slice_str(paths[path]),
                      .revision = rng_range(&r->rng, 1, m->revision + 2)};
    const struct past *last = NULL; /* up to the revision */
    const struct past *next = NULL; /* the first behind it that is not about a list */
    for (size_t i = 0; i < m->count && next == NULL; i++) {
        const struct past *p = &m->all[i];
        if (p->type != OF_META && p->path == path) {
            if (p->revision <= q.revision) {
                last = p;
            } else if (p->type != CHANGE_ACL) {
                next = p;
            }
        }
    }
    bool last_kept = last != NULL && (last->in_log || last->in_chain);
    bool next_kept = next != NULL && (next->in_log || next->in_chain);
    bool was = last != NULL && last->type != CHANGE_DELETE;
    bool known = q.revision + 1 >= m->floor || (was ? next == NULL || next_kept
                                                    : last_kept && (next == NULL || next_kept));
    struct arena arena = {0};
    struct query_result result;
    store_query(r->kit.store, &q, &result, &arena);
    ck_assert_uint_eq(result.revision, m->revision);
    if (q.revision > m->revision) {
        ck_assert_int_eq(result.outcome, OUTCOME_FUTURE_REVISION);
    } else if (!known) {
        ck_assert_int_eq(result.outcome, OUTCOME_COMPACTED);
        r->compacted++;
    } else if (!was) {
        ck_assert_int_eq(result.outcome, OUTCOME_NO_NODE);
    } else {
        ck_assert_int_eq(result.outcome, OUTCOME_OK);
        check_text(&last->data, result.data);
        check_stat(&last->stat, &result.stat);
        ck_assert_uint_eq(result.stat.child_count + result.stat.sequence_next +
                              result.stat.children_revision + result.stat.acl_version +
                              result.stat.acl,
                          0);
        r->from_chains += q.revision + 1 < m->floor && next != NULL;
    }
    arena_close(&arena);
}

struct asked { /* changes of which path, and which of them */
    struct query query;
    size_t path;
};

static struct asked draw_history(struct run *r)
{
    const struct naive *m = &r->naive;
    struct asked a = {.path = rng_below(&r->rng, PATHS + 1)};
    a.query = (struct query){.type = QUERY_HISTORY,
                             .space = SPACE_NODES,
                             .path = slice_str(a.path == PATHS ? "/" : paths[a.path]),
                             .recursive = rng_chance(&r->rng, 500),
                             .newest_first = rng_chance(&r->rng, 500),
                             .limit = (uint32_t)rng_below(&r->rng, 12)};
    if (rng_chance(&r->rng, 500)) {
        a.query.from_revision = rng_range(&r->rng, 0, m->revision + 1);
    }
    if (rng_chance(&r->rng, 500)) {
        a.query.to_revision = rng_range(&r->rng, 1, m->revision + 1);
    }
    return a;
}

static bool history_wants(const struct asked *a, const struct past *p)
{
    const struct query *q = &a->query;
    bool kept = p->in_log || p->in_chain;
    bool on_path = p->path == a->path || (q->recursive && is_below(p->path, a->path));
    return p->type != OF_META && kept && on_path && p->revision >= q->from_revision &&
           (q->to_revision == 0 || p->revision <= q->to_revision);
}

static bool is_covered(const struct naive *m, const struct asked *a)
{
    bool covered = naive_keep(m, a->path) > 0;
    for (size_t i = 0; i < PATHS; i++) {
        covered = covered || (a->query.recursive && is_below(i, a->path) && m->keep[i] != 0);
    }
    return covered;
}

static void check_change(const struct past *want, const struct change *have)
{
    ck_assert_uint_eq(have->revision, want->revision);
    ck_assert_uint_eq(have->sub, want->sub);
    ck_assert_uint_eq(have->type, want->type);
    ck_assert_uint_eq(have->reason, want->reason);
    ck_assert(slice_is(have->path, paths[want->path]));
    check_stat(&want->stat, &have->stat);
    ck_assert_uint_eq(have->stat.acl_version, want->stat.acl_version);
    ck_assert_uint_eq(have->cluster_ms, want->cluster_ms);
    if (want->type != CHANGE_DELETE) {
        check_text(&want->data, value_slice(have->data));
    }
    check_text(&want->old, value_slice(have->old_data));
}

/* All pages of a history, against the list filtered. */
static void check_history(struct run *r)
{
    const struct naive *m = &r->naive;
    struct asked a = draw_history(r);
    struct query *q = &a.query;
    enum outcome want = OUTCOME_OK;
    if (q->from_revision > m->revision || q->to_revision > m->revision) {
        want = OUTCOME_FUTURE_REVISION;
    } else if (q->to_revision != 0 && q->from_revision > q->to_revision) {
        want = OUTCOME_BAD_ARGUMENTS;
    } else if (q->to_revision != 0 && q->to_revision < m->floor && !is_covered(m, &a)) {
        want = OUTCOME_COMPACTED;
    }
    size_t seen = 0;
    for (bool more = true; more;) {
        struct arena arena = {0};
        struct query_result result;
        store_query(r->kit.store, q, &result, &arena);
        ck_assert_int_eq(result.outcome, want);
        ck_assert_uint_eq(result.floor, m->floor);
        for (uint32_t i = 0; i < result.change_count; i++) {
            const struct past *p;
            do {
                ck_assert_uint_lt(seen, m->count);
                p = &m->all[q->newest_first ? m->count - 1 - seen : seen];
                seen++;
            } while (!history_wants(&a, p));
            check_change(p, result.changes[i]);
        }
        more = want == OUTCOME_OK && result.more;
        ck_assert(!more || result.change_count == q->limit);
        ck_assert_int_eq(more, result.next_revision != 0);
        q->after_revision = result.next_revision;
        q->after_sub = result.next_sub;
        arena_close(&arena);
    }
    for (; want == OUTCOME_OK && seen < m->count; seen++) {
        ck_assert(!history_wants(&a, &m->all[q->newest_first ? m->count - 1 - seen : seen]));
    }
}

/* ---- snapshots ---------------------------------------------------------------------------- */

static void run_forget_scan(struct run *r)
{
    for (size_t i = 0; i < r->entry_count; i++) {
        buf_close(&r->entries[i].command);
    }
    mem_free(r->entries);
    r->entries = NULL;
    r->entry_count = 0;
    buf_clear(&r->rows);
}

/* A scan goes on; at its end the run goes on with what the rows load to, and the commands that were
 * applied meanwhile lead to. */
static void step_scan(struct run *r)
{
    struct kit *k = &r->kit;
    if (r->scan == NULL) {
        r->scan = store_scan_begin(k->store, &r->meta);
        return;
    }
    if (store_scan_step(r->scan, rng_range(&r->rng, 1, 4000), &r->rows)) {
        return;
    }
    store_scan_end(r->scan);
    r->scan = NULL;
    enum status rc;
    struct kit twin = {.index = r->meta.index};
    twin.store = kit_load(buf_slice(&r->rows), &r->meta, &rc);
    ck_assert_int_eq(rc, RC_OK);
    store_check(twin.store);
    for (size_t i = 0; i < r->entry_count; i++) {
        twin.cluster_ms = r->entries[i].cluster_ms;
        twin.wall_ms = r->entries[i].wall_ms;
        kit_run_encoded(&twin, buf_slice(&r->entries[i].command));
    }
    ck_assert_uint_eq(store_digest(twin.store), store_digest(k->store));
    ck_assert_uint_eq(store_versions_bytes(twin.store), store_versions_bytes(k->store));
    ck_assert_uint_eq(store_reap_next_ms(twin.store), store_reap_next_ms(k->store));
    struct store *other = k->store;
    k->store = twin.store;
    twin.store = other;
    kit_close(&twin);
    run_forget_scan(r);
}

/* ---- one sequence ------------------------------------------------------------------------- */

static void run_sequence(struct run *r, uint64_t seed)
{
    rng_init(&r->rng, seed);
    kit_open(&r->kit);
    r->naive = (struct naive){.retention = RETENTION_DEFAULT, .revision = 1, .floor = 2};
    for (int i = 0; i < COMMANDS; i++) {
        if (rng_chance(&r->rng, 30)) {
            step_policy(r);
        } else if (rng_chance(&r->rng, 150)) {
            step_reap(r);
        } else {
            step_txn(r);
        }
        if (rng_chance(&r->rng, 30)) {
            r->kit.cluster_ms += rng_below(&r->rng, 600);
        }
        if (rng_chance(&r->rng, r->scan == NULL ? 20 : 300)) {
            step_scan(r);
        }
        check_get(r);
        check_get(r);
        check_history(r);
        if (rng_chance(&r->rng, 20)) {
            store_check(r->kit.store);
        }
    }
    if (r->scan != NULL) {
        store_scan_end(r->scan);
        r->scan = NULL;
    }
    store_check(r->kit.store);
    run_forget_scan(r);
    kit_close(&r->kit);
    mem_free(r->naive.all);
    for (size_t i = 0; i < OPS_MAX; i++) {
        buf_close(&r->lists[i]);
    }
    buf_close(&r->rows);
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

START_TEST(the_past_agrees_with_a_list_of_all_changes)
{
    uint64_t sequences = env_number("COORD_MODEL_SEQUENCES", 150);
    uint64_t first = env_number("COORD_MODEL_SEED", 1);
    struct run *r = mem_zalloc(sizeof *r);
    uint64_t reaped = 0;
    uint64_t compacted = 0;
    uint64_t from_chains = 0;
    for (uint64_t seed = first; seed < first + sequences; seed++) {
        /* Overwritten by the next; what remains after a failure is the seed to repeat it with. */
        ck_assert_int_ge(fprintf(stderr, "\rCOORD_MODEL_SEED=%llu ", (unsigned long long)seed),
                         0);
        memset(r, 0, sizeof *r);
        run_sequence(r, seed);
        reaped += r->reaped;
        compacted += r->compacted;
        from_chains += r->from_chains;
    }
    fprintf(stderr, "\n");
    if (sequences >= 100) { /* so many have met everything */
        ck_assert_uint_gt(reaped, sequences);
        ck_assert_uint_gt(compacted, sequences);
        ck_assert_uint_gt(from_chains, sequences);
    }
    mem_free(r);
}
END_TEST

static Suite *history_model_suite(void)
{
    Suite *suite = suite_create("history model");
    TCase *tcase = tcase_create("history model");
    tcase_set_timeout(tcase, 3600);
    tcase_add_test(tcase, the_past_agrees_with_a_list_of_all_changes);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){history_model_suite, NULL});
}
