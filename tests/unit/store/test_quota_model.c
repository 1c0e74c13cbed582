/* Random commands under random quotas, against a list of paths and sizes that is written anew from
 * the store before each command and counted from end to end: what is used is what there is, a write
 * is refused exactly when it would not fit, and a refusal leaves no trace.
 *
 * COORD_MODEL_SEQUENCES (default 40) and COORD_MODEL_SEED choose how much and which. */
#include <stdlib.h>

#include "base/rng.h"
#include "store/quota.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

#define STEPS      200
#define ENTRIES    4096
#define PATH_BYTES 128
#define LEASES     3
#define OPS_MAX    5
#define QUOTAS     6

static const char *const names[] = {"a", "b", "abc"};

struct entry {
    char path[PATH_BYTES];
    uint64_t bytes; /* of the value */
};

struct naive {
    struct entry entries[ENTRIES];
    uint32_t count;
};

struct naive_quota {
    char path[PATH_BYTES];
    uint64_t bytes;
    uint64_t nodes;
};

static struct kit k;
static struct rng rng;
static struct naive now;
static struct naive_quota quotas[QUOTAS];
static uint32_t refused;
static uint32_t accepted;

/* ---- the naive side ----------------------------------------------------------------------- */

static void text_of(struct slice s, char text[PATH_BYTES])
{
    ck_assert_uint_lt(s.size, PATH_BYTES);
    memcpy(text, s.data, s.size);
    text[s.size] = '\0';
}

static void naive_read(struct naive *n)
{
    struct arena arena = {0};
    struct query_result result;
    const struct query q = {.type = QUERY_LIST,
                            .space = SPACE_NODES,
                            .path = slice_str("/"),
                            .recursive = true,
                            .with_data = true};
    store_query(k.store, &q, &result, &arena);
    ck_assert_int_eq(result.outcome, OUTCOME_OK);
    ck_assert(!result.more && result.entry_count < ENTRIES - OPS_MAX * 8);
    n->entries[0] = (struct entry){.path = "/", .bytes = result.stat.data_bytes};
    n->count = 1;
    for (uint32_t i = 0; i < result.entry_count; i++) {
        struct entry *e = &n->entries[n->count++];
        text_of(result.entries[i].path, e->path);
        e->bytes = result.entries[i].data.size;
    }
    arena_close(&arena);
}

static bool covers(const char *top, const char *path)
{
    size_t size = strlen(top);
    return strcmp(top, "/") == 0 || strcmp(top, path) == 0 ||
           (strncmp(top, path, size) == 0 && path[size] == '/');
}

static struct quota_amount naive_used(const struct naive *n, const char *top)
{
    struct quota_amount sum = {0};
    for (uint32_t i = 0; i < n->count; i++) {
        if (covers(top, n->entries[i].path)) {
            sum.bytes += strlen(n->entries[i].path) + n->entries[i].bytes;
            sum.nodes++;
        }
    }
    return sum;
}

static struct entry *naive_find(struct naive *n, const char *path)
{
    for (uint32_t i = 0; i < n->count; i++) {
        if (strcmp(n->entries[i].path, path) == 0) {
            return &n->entries[i];
        }
    }
    return NULL;
}

static void naive_add(struct naive *n, const char *path, uint64_t bytes)
{
    ck_assert_uint_lt(n->count, ENTRIES);
    struct entry *e = &n->entries[n->count++];
    snprintf(e->path, sizeof e->path, "%s", path);
    e->bytes = bytes;
}

static void naive_create(struct naive *n, const char *path, uint64_t bytes)
{
    char above[PATH_BYTES];
    for (size_t i = 1; path[i] != '\0'; i++) {
        if (path[i] == '/') {
            snprintf(above, sizeof above, "%.*s", (int)i, path);
            if (naive_find(n, above) == NULL) {
                naive_add(n, above, 0);
            }
        }
    }
    naive_add(n, path, bytes);
}

static void naive_delete(struct naive *n, const char *path)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < n->count; i++) {
        if (!covers(path, n->entries[i].path)) {
            n->entries[left++] = n->entries[i];
        }
    }
    n->count = left;
}

/* Whether no quota is passed by what has grown. */
static bool naive_fits(const struct naive *before, const struct naive *after)
{
    for (int i = 0; i < QUOTAS; i++) {
        if (quotas[i].path[0] == '\0') {
            continue;
        }
        struct quota_amount was = naive_used(before, quotas[i].path);
        struct quota_amount is = naive_used(after, quotas[i].path);
        if ((quotas[i].bytes > 0 && is.bytes > was.bytes && is.bytes > quotas[i].bytes) ||
            (quotas[i].nodes > 0 && is.nodes > was.nodes && is.nodes > quotas[i].nodes)) {
            return false;
        }
    }
    return true;
}

/* What the operation would do if nothing but quotas were in its way. */
static void naive_op(struct naive *n, const struct op *op)
{
    static uint32_t next;
    char path[PATH_BYTES];
    text_of(op->path, path);
    if (op->type == OP_CREATE) {
        if (op->flags & OP_SEQUENTIAL) { /* any number has ten digits */
            size_t size = strlen(path);
            snprintf(path + size, sizeof path - size, "%010u", 4000000000U + next++);
        }
        naive_create(n, path, op->data.size);
    } else if (op->type == OP_SET) {
        naive_find(n, path)->bytes = op->data.size;
    } else {
        naive_delete(n, path);
    }
}

/* ---- what is drawn ------------------------------------------------------------------------ */

/* At most four levels; "/" now and then. */
static void draw_path(char path[PATH_BYTES], bool with_root)
{
    size_t levels = rng_range(&rng, with_root ? 0 : 1, 4);
    size_t size = 0;
    for (size_t i = 0; i < levels; i++) {
        size += (size_t)snprintf(path + size, PATH_BYTES - size, "/%s",
                                 names[rng_below(&rng, 3)]);
    }
    if (levels == 0) {
        snprintf(path, PATH_BYTES, "/");
    }
}

static const char *draw_value(void)
{
    static const char bytes[] = "................................................";
    return bytes + rng_below(&rng, sizeof bytes);
}

static struct op draw_op(char path[PATH_BYTES])
{
    uint64_t what = rng_below(&rng, 100);
    draw_path(path, what >= 45 && what < 75);
    if (what < 45) {
        struct op op = kit_op(OP_CREATE, path, draw_value());
        op.flags |= rng_chance(&rng, 500) ? OP_MAKE_PARENTS : 0;
        op.flags |= rng_chance(&rng, 150) ? OP_SEQUENTIAL : 0;
        op.kind = rng_chance(&rng, 300) ? (uint8_t)rng_range(&rng, NODE_EPHEMERAL, NODE_TTL)
                                        : NODE_PERSISTENT;
        op.lease = op.kind == NODE_EPHEMERAL ? rng_range(&rng, 1, LEASES) : 0;
        op.ttl_ms = op.kind == NODE_TTL ? rng_range(&rng, 1, 5000) : 0;
        return op;
    }
    if (what < 75) {
        return kit_op(OP_SET, path, draw_value());
    }
    struct op op = kit_op(OP_DELETE, path, NULL);
    op.flags = rng_chance(&rng, 500) ? OP_RECURSIVE : 0;
    return op;
}

/* ---- one step ----------------------------------------------------------------------------- */

static void step_ops(void)
{
    char paths[OPS_MAX][PATH_BYTES];
    struct op ops[OPS_MAX];
    static struct naive before;
    static struct naive after;
    uint32_t count = rng_chance(&rng, 600) ? 1 : (uint32_t)rng_range(&rng, 2, OPS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        ops[i] = draw_op(paths[i]);
    }
    uint64_t revision = store_revision(k.store);
    enum outcome outcome = kit_ops(&k, ops, count);
    uint32_t ran = outcome == OUTCOME_OK ? count : k.reply.failed_op;
    after = now;
    for (uint32_t i = 0; i < ran; i++) { /* each of these had room */
        before = after;
        naive_op(&after, &ops[i]);
        ck_assert_msg(naive_fits(&before, &after), "operation %u did not fit", i);
    }
    if (outcome == OUTCOME_QUOTA) { /* and this one had none */
        before = after;
        naive_op(&after, &ops[ran]);
        ck_assert(!naive_fits(&before, &after));
        ck_assert_uint_gt(k.reply.refusal.used + k.reply.refusal.wanted,
                          k.reply.refusal.limit);
        refused++;
    } else {
        ck_assert_uint_eq(k.reply.refusal.bound, BOUND_NONE);
        accepted += outcome == OUTCOME_OK;
    }
    if (outcome != OUTCOME_OK) {
        ck_assert_uint_eq(store_revision(k.store), revision);
    }
}

static void step_quota(void)
{
    struct naive_quota *q = &quotas[rng_below(&rng, QUOTAS)];
    struct command c = {.type = COMMAND_QUOTA};
    if (q->path[0] != '\0' && rng_chance(&rng, 300)) {
        c.quota.path = slice_str(q->path);
        ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
        *q = (struct naive_quota){.path = ""};
        return;
    }
    char path[PATH_BYTES];
    draw_path(path, true);
    for (int i = 0; i < QUOTAS; i++) {
        q = strcmp(quotas[i].path, path) == 0 ? &quotas[i] : q;
    }
    if (q->path[0] != '\0' && strcmp(q->path, path) != 0) {
        snprintf(path, sizeof path, "%s", q->path); /* this one changes */
    }
    snprintf(q->path, sizeof q->path, "%s", path);
    q->bytes = rng_chance(&rng, 600) ? rng_range(&rng, 1, 800) : 0;
    q->nodes = q->bytes == 0 || rng_chance(&rng, 600) ? rng_range(&rng, 1, 25) : 0;
    c.quota = (struct command_quota){
        .path = slice_str(q->path), .bytes = q->bytes, .nodes = q->nodes};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
}

static void step_lease(void)
{
    uint64_t id = rng_range(&rng, 1, LEASES);
    if (store_lease(k.store, id) != NULL) {
        ck_assert_int_eq(kit_expire(&k, id), OUTCOME_OK);
    } else {
        kit_grant(&k, id);
    }
}

static void step_reap(void)
{
    struct store_due due[2];
    char path[PATH_BYTES];
    k.cluster_ms += rng_below(&rng, 3000);
    if (store_reap_due(k.store, k.cluster_ms, due, 2) > 0) {
        text_of(due[0].path, path);
        struct command c = {.type = COMMAND_REAP,
                            .reap = {.path = slice_str(path), .revision = due[0].revision}};
        ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    }
}

static void check_counts(void)
{
    uint32_t count = 0;
    naive_read(&now);
    for (int i = 0; i < QUOTAS; i++) {
        if (quotas[i].path[0] == '\0') {
            continue;
        }
        const struct quota *q =
            quotas_find(store_quotas(k.store), slice_str(quotas[i].path));
        struct quota_amount used = naive_used(&now, quotas[i].path);
        ck_assert_ptr_nonnull(q);
        ck_assert_uint_eq(q->used.bytes, used.bytes);
        ck_assert_uint_eq(q->used.nodes, used.nodes);
        ck_assert_uint_eq(q->limit.bytes, quotas[i].bytes);
        ck_assert_uint_eq(q->limit.nodes, quotas[i].nodes);
        count++;
    }
    ck_assert_uint_eq(store_quotas(k.store)->count, count);
}

static void play(uint64_t seed)
{
    rng_init(&rng, seed);
    kit_open(&k);
    memset(quotas, 0, sizeof quotas);
    check_counts();
    for (int i = 0; i < STEPS; i++) {
        uint64_t what = rng_below(&rng, 100);
        if (what < 75) {
            step_ops();
        } else if (what < 84) {
            step_quota();
        } else if (what < 91) {
            step_lease();
        } else if (what < 98) {
            step_reap();
        } else {
            kit_reload(&k);
        }
        check_counts();
    }
    store_check(k.store);
    kit_close(&k);
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

START_TEST(what_is_used_is_what_there_is_and_a_write_is_refused_exactly_when_it_does_not_fit)
{
    uint64_t sequences = env_number("COORD_MODEL_SEQUENCES", 40);
    uint64_t first = env_number("COORD_MODEL_SEED", 1);
    for (uint64_t seed = first; seed < first + sequences; seed++) {
        ck_assert_int_ge(fprintf(stderr, "\rCOORD_MODEL_SEED=%llu ", (unsigned long long)seed),
                         0);
        play(seed);
    }
    ck_assert_uint_gt(refused, sequences);
    ck_assert_uint_gt(accepted, sequences * 10);
}
END_TEST

static Suite *quota_model_suite(void)
{
    Suite *suite = suite_create("quota_model");
    TCase *tcase = tcase_create("quota_model");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(
        tcase,
        what_is_used_is_what_there_is_and_a_write_is_refused_exactly_when_it_does_not_fit);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){quota_model_suite, NULL});
}
