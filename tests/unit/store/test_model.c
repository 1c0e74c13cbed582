/* The store against a second, naive implementation: random commands to both must give equal
 * replies, stats, listings, revisions and changes; and a snapshot taken in the midst of them must
 * load to a store that answers the rest of the commands in the same way, down to the digest.
 *
 * COORD_MODEL_SEQUENCES (default 300) and COORD_MODEL_SEED choose how much and which. */
#include "base/assert.h"
#include "base/mem.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_model_check.h"
#include "tests/support/store_model_draw.h"

#define COMMANDS 200
#define RETRIES  8

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
                model_check_stat(&real->entries[seen].stat,
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
        model_check_stat(&real->stat, &r->stat);
    }
    if (op->type == OP_GET && (op->flags & OP_STAT_ONLY) == 0) {
        model_check_data(r, real->data, real->null_data);
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
    struct command c = draft_command(&r->rng, &r->draft, k, &r->model);
    enum outcome outcome;
    const struct model_reply *first;
    r->model.wall_ms = k->wall_ms;
    r->model.index = k->index + 1;
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
    model_check_changes(k->store, end, &r->expected, r->model.revision);
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
    model_check_store(twin.store, &r->at_scan, &r->rng);
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
            model_check_store(r->kit.store, &r->model, &r->rng);
        }
    }
    if (r->scan != NULL) {
        store_scan_end(r->scan);
        r->scan = NULL;
    }
    store_check(r->kit.store);
    model_check_store(r->kit.store, &r->model, &r->rng);
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
