/* Version chains in such numbers that a sweep takes several commands: what happens meanwhile must
 * be the same on a member that has just loaded a snapshot, and leave no chain with a gap. */
#include <stdio.h>

#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

#define SETS_PER_COMMAND 500

static struct kit k;

static void setup(void)
{
    kit_open(&k);
    ck_assert_int_eq(kit_create(&k, "/kept", NULL), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/brief", NULL), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/late", NULL), OUTCOME_OK);
}

static void teardown(void)
{
    store_check(k.store);
    kit_close(&k);
}

static void set_meta(struct kit *kit, struct slice key, struct slice value)
{
    struct op op = {.type = value.size > 0 ? OP_SET : OP_DELETE,
                    .space = SPACE_META,
                    .path = key,
                    .data = value,
                    .version = VERSION_ANY};
    ck_assert_int_eq(kit_ops(kit, &op, 1), OUTCOME_OK);
}

/* `versions` 0 takes the policy away. */
static void set_policy(struct kit *kit, const char *path, uint32_t versions)
{
    uint8_t key[POLICY_KEY_BYTES_MAX];
    uint8_t value[POLICY_VALUE_BYTES_MAX];
    set_meta(kit, policy_key(slice_str(path), key),
             versions > 0 ? policy_value(versions, value) : slice_make(NULL, 0));
}

static void keep_a_short_log(void)
{
    uint8_t value[POLICY_VALUE_BYTES_MAX];
    struct retention least = {RETENTION_BYTES_MIN, RETENTION_AGE_MS_MIN, 0};
    set_meta(&k, slice_str(POLICY_RETENTION_KEY), retention_value(&least, value));
}

static void set_often(const char *path, uint32_t times)
{
    struct op ops[SETS_PER_COMMAND];
    for (uint32_t done = 0; done < times; done += SETS_PER_COMMAND) {
        for (size_t i = 0; i < SETS_PER_COMMAND; i++) {
            ops[i] = kit_op(OP_SET, path, NULL);
        }
        ck_assert_int_eq(kit_ops(&k, ops, SETS_PER_COMMAND), OUTCOME_OK);
    }
}

/* Until every change so far is in its chain, or gone. */
static void let_the_log_go(void)
{
    uint64_t until = store_revision(k.store);
    k.cluster_ms += RETENTION_AGE_MS_MIN + 1;
    while (store_history_floor(k.store) <= until) {
        ck_assert_int_eq(kit_set(&k, "/", NULL), OUTCOME_OK);
    }
}

static bool is_sweeping(const struct kit *kit)
{
    return kit->store->versions.sweep.revision != VERSIONS_SWEPT;
}

/* Another member, which has what a snapshot brings and applies the same from here on. */
static void kit_clone(const struct kit *from, struct kit *to)
{
    struct snapshot_meta meta = {0};
    struct buf rows = {0};
    enum status rc;
    kit_rows(from->store, &meta, &rows);
    *to = (struct kit){
        .index = from->index, .cluster_ms = from->cluster_ms, .wall_ms = from->wall_ms};
    to->store = kit_load(buf_slice(&rows), &meta, &rc);
    ck_assert_msg(to->store != NULL, "%s", status_text(rc));
    buf_close(&rows);
    snapshot_meta_close(&meta);
}

/* What leaves a chain from the middle of all entries leaves a hole, which a loaded store has not:
 * it must not count. */
START_TEST(a_sweep_is_as_far_on_a_member_that_loaded_a_snapshot)
{
    keep_a_short_log();
    set_policy(&k, "/kept", 10000);
    set_policy(&k, "/brief", 1);
    set_often("/kept", 1000);
    set_often("/brief", 1000);
    set_often("/kept", 8000);
    let_the_log_go();
    ck_assert_uint_gt(k.store->versions.holes, 0);
    struct kit other;
    kit_clone(&k, &other);
    ck_assert_uint_eq(other.store->versions.holes, 0);
    set_policy(&k, "/kept", 9999);
    set_policy(&other, "/kept", 9999);
    ck_assert(is_sweeping(&k));
    while (is_sweeping(&k) || is_sweeping(&other)) {
        ck_assert_uint_eq(store_digest(k.store), store_digest(other.store));
        kit_set(&k, "/", NULL);
        kit_set(&other, "/", NULL);
    }
    ck_assert_uint_eq(store_digest(k.store), store_digest(other.store));
    kit_close(&other);
}
END_TEST

/* The policy goes, a change leaves the log, the policy is back, all before the sweep has come to
 * the chain. */
START_TEST(a_policy_that_is_taken_away_and_given_back_leaves_no_gap)
{
    keep_a_short_log();
    set_policy(&k, "/", 100000);
    set_often("/kept", 20000);
    set_often("/late", 500);
    let_the_log_go();
    set_policy(&k, "/", 0);
    ck_assert_int_eq(kit_set(&k, "/late", "unseen"), OUTCOME_OK);
    k.cluster_ms += RETENTION_AGE_MS_MIN + 1;
    ck_assert_int_eq(kit_set(&k, "/", NULL), OUTCOME_OK);
    ck_assert(is_sweeping(&k));
    set_policy(&k, "/", 100000);
    ck_assert_int_eq(kit_set(&k, "/late", "seen"), OUTCOME_OK);
    let_the_log_go();
    store_check(k.store);
    struct kit other;
    kit_clone(&k, &other); /* no member could load a chain with a gap */
    kit_close(&other);
}
END_TEST

/* Without its policy a chain may go on until the sweep has come by, and then it is gone. */
START_TEST(no_chain_outlives_its_policy_for_long)
{
    keep_a_short_log();
    set_policy(&k, "/", 10000);
    set_often("/kept", 9000);
    set_often("/late", 500);
    let_the_log_go();
    set_policy(&k, "/", 0);
    ck_assert(is_sweeping(&k));
    ck_assert_int_eq(kit_set(&k, "/late", "late"), OUTCOME_OK);
    let_the_log_go();
    ck_assert_int_eq(kit_set(&k, "/late", "later"), OUTCOME_OK);
    let_the_log_go();
    while (is_sweeping(&k)) {
        ck_assert_int_eq(kit_set(&k, "/", NULL), OUTCOME_OK);
    }
    let_the_log_go();
    ck_assert_uint_eq(k.store->versions.chain_count, 0);
    ck_assert_uint_eq(store_versions_bytes(k.store), 0);
}
END_TEST

static Suite *sweep_suite(void)
{
    Suite *suite = suite_create("sweep");
    TCase *tcase = tcase_create("sweep");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_sweep_is_as_far_on_a_member_that_loaded_a_snapshot);
    tcase_add_test(tcase, a_policy_that_is_taken_away_and_given_back_leaves_no_gap);
    tcase_add_test(tcase, no_chain_outlives_its_policy_for_long);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){sweep_suite, NULL});
}
