/* Whole stores through snapshot files; test_snapshot.c has the files themselves. */
#include "store/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "lease/lease.h"
#include "store/store.h"
#include "tests/support/check_main.h"
#include "tests/support/fault_env.h"
#include "tests/support/mem_env.h"

#define PATH "dir/snapshot.db"

static void apply(struct store *s, const struct command *c, uint64_t index)
{
    struct apply_context context = {
        .index = index,
        .cluster_ms = 1000 + index,
        .wall_ms = 1700000000000 + index,
        .last_of_entry = true,
    };
    struct reply reply;
    store_apply(s, &context, c, &reply);
}

/* A few sessions, each with a node and two remembered replies. */
static void run_sessions(struct store *s, uint64_t index)
{
    char path[32];
    for (uint64_t id = 1; id <= 20; id++) {
        struct command grant = {.type = COMMAND_GRANT,
                                .lease = {.id = id << 40,
                                          .ttl_ms = 1000 * id,
                                          .kind = LEASE_SESSION,
                                          .renewable = true,
                                          .secret = slice_str("\xff 23456789abcdef"),
                                          .owner = slice_str("s\xc3\xa4gewerk")}};
        (void)snprintf(path, sizeof path, "/session-%u", (unsigned)id);
        struct op op = {.type = OP_CREATE,
                        .space = SPACE_NODES,
                        .kind = NODE_EPHEMERAL,
                        .path = slice_str(path),
                        .lease = id << 40};
        struct command create = {.type = COMMAND_TXN,
                                 .session = id << 40,
                                 .answered_to = 2,
                                 .txn = {.then_ops = &op, .then_count = 1}};
        apply(s, &grant, index++);
        for (create.sequence = 5; create.sequence >= 4; create.sequence--) {
            apply(s, &create, index++);
        }
    }
}

/* One operation as a command of its own. */
static void apply_op(struct store *s, const struct op *op, uint64_t index, bool remember)
{
    struct command c = {
        .type = COMMAND_TXN,
        .note = slice_str("because"),
        .txn = {.then_ops = op, .then_count = 1},
    };
    if (remember) {
        c.request = (struct request_id){.issued_ms = 1000 + index, .random = {index, 1}};
    }
    apply(s, &c, index);
}

/* Creates, sets and deletes of all kinds there are. */
static void run_ops(struct store *s, uint64_t seed, uint64_t index, int count,
                    size_t value_bytes)
{
    struct rng rng;
    uint8_t *value = mem_zalloc(value_bytes);
    char path[64];
    rng_init(&rng, seed);
    for (int i = 0; i < count; i++) {
        uint64_t kind = rng_below(&rng, 10);
        int number = (int)rng_below(&rng, 200);
        (void)snprintf(path, sizeof path, "/app/%d/\xc3\xa4-%d", number % 7, number);
        value[0] = (uint8_t)i;
        struct op op = {
            .type = kind < 5   ? OP_CREATE
                    : kind < 8 ? OP_SET
                               : OP_DELETE,
            .flags = kind < 5 ? OP_MAKE_PARENTS : 0,
            .space = SPACE_NODES,
            .path = slice_str(path),
            .data = slice_make(value, (size_t)rng_below(&rng, value_bytes + 1)),
            .version = VERSION_ANY,
        };
        if (kind == 0) {
            op.flags |= OP_SEQUENTIAL;
        } else if (kind == 1) {
            op.space = SPACE_META;
            op.flags = 0;
        } else if (kind == 5) {
            op.flags |= OP_NULL_DATA;
            op.data.size = 0;
        }
        apply_op(s, &op, index + (uint64_t)i, rng_chance(&rng, 300));
    }
    mem_free(value);
}

/* Takes a snapshot in small steps; `between` runs after the first of them. */
static enum status take(struct store *s, struct env *env, void (*between)(struct store *s),
                        struct snapshot_meta *meta, struct errmsg *err)
{
    struct snapshot_writer *w = NULL;
    struct buf rows = {.size = 0};
    *meta = (struct snapshot_meta){.term = 9, .configuration_index = 3, .cluster_id = 12};
    buf_append_str(&meta->configuration, "members");
    enum status rc = snapshot_writer_open(env, PATH, &w, err);
    if (rc != RC_OK) {
        return rc;
    }
    struct store_scan *scan = store_scan_begin(s, meta);
    for (bool more = true; rc == RC_OK && more;) {
        buf_clear(&rows);
        more = store_scan_step(scan, 2000, &rows);
        rc = snapshot_writer_rows(w, buf_slice(&rows), err);
        if (between != NULL) {
            between(s);
            between = NULL;
        }
    }
    store_scan_end(scan);
    buf_close(&rows);
    if (rc != RC_OK) {
        snapshot_writer_abort(w);
        return rc;
    }
    return snapshot_writer_finish(w, meta, err);
}

static void run_more(struct store *s)
{
    run_sessions(s, 4000); /* the ids are taken, the numbers repeated */
    run_ops(s, 99, 5000, 300, 100);
}

START_TEST(a_store_comes_back_as_it_was_when_the_scan_began)
{
    struct mem_env m;
    struct store *s = store_new();
    struct store *loaded = NULL;
    struct snapshot_meta taken;
    struct snapshot_meta meta;
    struct errmsg err = {.rc = RC_OK};
    mem_env_init(&m);
    run_sessions(s, 1);
    run_ops(s, 1, 101, 700, 300);
    uint64_t digest = store_digest(s);
    uint64_t nodes = store_node_count(s);
    ck_assert_int_eq(take(s, &m.env, run_more, &taken, &err), RC_OK);
    ck_assert_uint_ne(store_digest(s), digest);

    enum status rc = snapshot_load(&m.env, PATH, &loaded, &meta, &err);
    ck_assert_msg(rc == RC_OK, "%s", err.text);
    store_check(loaded);
    ck_assert_uint_eq(store_digest(loaded), digest);
    ck_assert_uint_eq(store_node_count(loaded), nodes);
    ck_assert_uint_eq(store_lease_count(loaded), 20);
    ck_assert_uint_eq(store_applied_index(loaded), 800);
    ck_assert_uint_eq(store_revision(loaded), taken.revision);
    ck_assert_uint_eq(meta.index, 800);
    ck_assert_uint_eq(meta.term, 9);
    ck_assert_uint_eq(meta.digest, digest);
    ck_assert(slice_is(buf_slice(&meta.configuration), "members"));
    /* It goes on as the first one did. */
    run_more(loaded);
    ck_assert_uint_eq(store_digest(loaded), store_digest(s));
    ck_assert_uint_eq(store_history_floor(loaded), store_history_floor(s));

    snapshot_meta_close(&taken);
    snapshot_meta_close(&meta);
    store_free(loaded);
    store_free(s);
    mem_env_close(&m);
}
END_TEST

START_TEST(no_flipped_byte_loads_another_store_or_crashes)
{
    struct mem_env m;
    struct store *s = store_new();
    struct snapshot_meta meta;
    size_t flips = 0;
    size_t found = 0;
    mem_env_init(&m);
    run_sessions(s, 1);
    run_ops(s, 2, 101, 150, 40);
    ck_assert_int_eq(take(s, &m.env, NULL, &meta, NULL), RC_OK);
    snapshot_meta_close(&meta);
    struct buf *file = mem_env_find(&m, PATH);
    for (size_t at = 0; at < file->size; at += 113) {
        static const uint8_t masks[] = {0x01, 0x40, 0xff};
        for (size_t i = 0; i < sizeof masks; i++, flips++) {
            struct store *loaded = NULL;
            struct errmsg err = {.rc = RC_OK};
            file->data[at] ^= masks[i];
            enum status rc = snapshot_load(&m.env, PATH, &loaded, &meta, &err);
            file->data[at] ^= masks[i];
            if (rc != RC_OK) {
                ck_assert_msg(rc == RC_CORRUPT && strstr(err.text, PATH) != NULL,
                              "byte %zu ^ %02x: %d %s", at, masks[i], (int)rc, err.text);
                found++;
                continue;
            }
            ck_assert_uint_eq(store_digest(loaded), store_digest(s));
            ck_assert_uint_eq(meta.index, 250);
            snapshot_meta_close(&meta);
            store_free(loaded);
        }
    }
    ck_assert_uint_gt(found, flips / 4);
    store_free(s);
    mem_env_close(&m);
}
END_TEST

/* Rows that are sound one by one, with a right checksum, but are no whole store. */
START_TEST(the_digest_has_the_last_word)
{
    struct mem_env m;
    struct store *s = store_new();
    struct store *loaded = NULL;
    struct snapshot_meta meta;
    struct errmsg err = {.rc = RC_OK};
    struct snapshot_writer *w = NULL;
    struct buf rows = {.size = 0};
    mem_env_init(&m);
    run_ops(s, 3, 1, 50, 40);
    struct store_scan *scan = store_scan_begin(s, &meta);
    while (store_scan_step(scan, 1 << 20, &rows)) {
    }
    store_scan_end(scan);
    meta = (struct snapshot_meta){
        .index = store_applied_index(s),
        .revision = store_revision(s),
        .cluster_ms = store_cluster_ms(s),
        .digest = store_digest(s) + 1,
    };
    ck_assert_int_eq(snapshot_writer_open(&m.env, PATH, &w, NULL), RC_OK);
    ck_assert_int_eq(snapshot_writer_rows(w, buf_slice(&rows), NULL), RC_OK);
    ck_assert_int_eq(snapshot_writer_finish(w, &meta, NULL), RC_OK);
    ck_assert_int_eq(snapshot_load(&m.env, PATH, &loaded, &meta, &err), RC_CORRUPT);
    ck_assert_msg(strstr(err.text, PATH) != NULL && strstr(err.text, "digest") != NULL, "%s",
                  err.text);

    meta.digest = store_digest(s);
    ck_assert_int_eq(snapshot_writer_open(&m.env, PATH, &w, NULL), RC_OK);
    ck_assert_int_eq(snapshot_writer_rows(w, buf_slice(&rows), NULL), RC_OK);
    ck_assert_int_eq(snapshot_writer_finish(w, &meta, NULL), RC_OK);
    ck_assert_int_eq(snapshot_load(&m.env, PATH, &loaded, &meta, &err), RC_OK);
    store_free(loaded);
    snapshot_meta_close(&meta);
    buf_close(&rows);
    store_free(s);
    mem_env_close(&m);
}
END_TEST

START_TEST(a_failing_disk_call_fails_the_load_and_leaks_nothing)
{
    struct mem_env m;
    struct store *s = store_new();
    struct snapshot_meta meta;
    uint64_t n = 0;
    mem_env_init(&m);
    run_ops(s, 4, 1, 800, 300);
    ck_assert_int_eq(take(s, &m.env, NULL, &meta, NULL), RC_OK);
    snapshot_meta_close(&meta);
    for (bool has_struck = true; has_struck;) {
        struct fault_env f;
        struct store *loaded = NULL;
        struct errmsg err = {.rc = RC_OK};
        fault_env_init(&f, &m.env);
        fault_env_arm(&f, ++n, RC_IO, false);
        enum status rc = snapshot_load(&f.env, PATH, &loaded, &meta, &err);
        has_struck = fault_env_has_struck(&f);
        ck_assert_msg(rc == (has_struck ? RC_IO : RC_OK), "call %" PRIu64 ": %s", n, err.text);
        ck_assert_uint_eq(m.open_files, 0);
        if (rc == RC_OK) {
            snapshot_meta_close(&meta);
            store_free(loaded);
        }
    }
    ck_assert_uint_gt(n, 10);
    store_free(s);
    mem_env_close(&m);
}
END_TEST

static Suite *load_suite(void)
{
    Suite *suite = suite_create("snapshot of a store");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_store_comes_back_as_it_was_when_the_scan_began);
    tcase_add_test(tests, no_flipped_byte_loads_another_store_or_crashes);
    tcase_add_test(tests, the_digest_has_the_last_word);
    tcase_add_test(tests, a_failing_disk_call_fails_the_load_and_leaks_nothing);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){load_suite, NULL});
}
