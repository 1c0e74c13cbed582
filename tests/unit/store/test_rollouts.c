/* Rollouts by the store's commands: what they do not write over, who may start and read them, and
 * that what they and shard maps keep must fit quotas. */
#include "store/rollouts.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "lease/lease.h"
#include "recipes/lock.h"
#include "store/access.h"
#include "store/acl.h"
#include "store/config.h"
#include "store/digest.h"
#include "store/policy.h"
#include "store/state.h"
#include "tests/support/auth_kit.h"
#include "tests/support/check_main.h"

static struct kit k;

static void setup(void)
{
    kit_open(&k);
}

static void teardown(void)
{
    store_check(k.store);
    kit_close(&k);
}

static void make_root(const char *path)
{
    uint8_t key[POLICY_KEY_BYTES_MAX];
    struct op op = kit_op(OP_CREATE, "", "10 open");
    op.space = SPACE_META;
    op.path = policy_root_key(slice_str(path), key);
    op.flags = 0;
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
}

static uint32_t slot_of(const char *path)
{
    uint32_t slot = tree_find(&k.store->tree, SPACE_NODES, slice_str(path));
    ck_assert_uint_ne(slot, TREE_NONE);
    return slot;
}

static struct slice value_of(const char *path)
{
    return value_slice(tree_node(&k.store->tree, slot_of(path))->value);
}

static void lock(const char *path)
{
    struct recipe_target target = {.path = slice_str(path), .mode = LOCK_WRITE};
    struct command c = {.type = COMMAND_RECIPE,
                        .recipe = {.recipe = RECIPE_LOCK,
                                   .action = RECIPE_ACQUIRE,
                                   .lease = 5,
                                   .targets = &target,
                                   .target_count = 1}};
    kit_grant(&k, 5);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
}

/* What a client would ask for that has just read the key. */
static struct rollout rollout_of(const char *key, const char *value)
{
    return (struct rollout){
        .strategy = ROLLOUT_PROGRESSIVE,
        .state = ROLLOUT_PLANNING,
        .base_revision = tree_node(&k.store->tree, slot_of(key))->modify_revision,
        .schema_revision = policies_root(&k.store->policies, slice_str(key))->root_revision,
        .key = slice_str(key),
        .percents = slice_str("10,100"),
        .base = value_of(key),
        .value = slice_str(value),
    };
}

static enum outcome start(const char *as, const struct rollout *r)
{
    struct buf who = {0};
    struct buf record = {0};
    rollout_encode(&record, r);
    struct command c = {.type = COMMAND_ROLLOUT,
                        .rollout = {.key = r->key, .record = buf_slice(&record)}};
    c.identities = auth_kit_who(&who, as);
    enum outcome outcome = kit_run(&k, &c);
    buf_close(&record);
    buf_close(&who);
    return outcome;
}

static enum outcome change(const char *key, enum rollout_event event)
{
    struct command c = {.type = COMMAND_ROLLOUT,
                        .rollout = {.key = slice_str(key), .event = (uint8_t)event}};
    return kit_run(&k, &c);
}

/* ---- what they do not write over ---------------------------------------------------------- */

static void assert_protected(const char *key)
{
    struct rollout r = rollout_of(key, "new");
    uint64_t digest = k.store->node_sum;
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(start(NULL, &r), OUTCOME_PROTECTED);
    ck_assert_uint_eq(k.store->node_sum, digest);
    ck_assert_uint_eq(store_revision(k.store), revision);
}

START_TEST(a_lock_and_its_entries_are_rolled_out_by_nobody)
{
    lock("/a/lock");
    make_root("/a");
    assert_protected("/a/lock");
    assert_protected("/a/lock/q-0000000000");
    kit_reload(&k); /* the lock is read back from its nodes */
}
END_TEST

START_TEST(an_entry_at_the_place_of_the_record_is_not_written_over)
{
    lock("/a/.rollouts");
    make_root("/a");
    ck_assert_int_eq(kit_create(&k, "/a/q-0000000000", "old"), OUTCOME_OK);
    assert_protected("/a/q-0000000000");
    ck_assert_int_eq(kit_create(&k, "/a/other", "old"), OUTCOME_OK);
    assert_protected("/a/other"); /* nor is there a record made among entries */
    kit_reload(&k);
}
END_TEST

/* ---- who may ------------------------------------------------------------------------------ */

/* "u" may do everything at and below /a. */
static void add_user(void)
{
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, "admin", "hash"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_GRANT, "admin", AUTH_ROLE_ROOT),
                     OUTCOME_OK);
    auth_kit_add(&k, "u", "/a", ACL_READ | ACL_WRITE | ACL_CREATE | ACL_DELETE);
}

START_TEST(what_a_gate_looks_at_must_be_readable)
{
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    make_root("/a");
    ck_assert_int_eq(kit_create(&k, "/a/k", "old"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/secret", "guess"), OUTCOME_OK);
    add_user();
    ck_assert_int_eq(auth_kit_enable(&k, NULL), OUTCOME_OK);
    struct rollout r = rollout_of("/a/k", "new");
    r.gate = slice_str("/secret");
    r.gate_value = slice_str("guess");
    ck_assert_int_eq(start("u", &r), OUTCOME_NO_AUTH);
    r.gate = slice_str("/a/k");
    r.gate_value = slice_str("old");
    r.gate_service = slice_str("web");
    r.gate_percent = 50;
    ck_assert_int_eq(start("u", &r), OUTCOME_NO_AUTH);
    ck_assert_int_eq(start("admin", &r), OUTCOME_OK);
}
END_TEST

static bool may_read(const char *as, const char *path)
{
    struct buf who = {0};
    struct access access;
    access_begin(&access, k.store, auth_kit_who(&who, as));
    bool may = access_nearest(&access, ACL_READ, slice_str(path));
    buf_close(&who);
    return may;
}

START_TEST(a_record_is_read_by_those_who_may_read_its_key)
{
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    make_root("/a");
    ck_assert_int_eq(kit_create(&k, "/a/k", "open"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/k/100%", "secret"), OUTCOME_OK);
    add_user();
    ck_assert_int_eq(auth_kit_rule(&k, NULL, AUTH_ROLE_GRANT, "u", "/a/k/100%", ACL_READ, true),
                     OUTCOME_OK);
    ck_assert_int_eq(auth_kit_enable(&k, NULL), OUTCOME_OK);
    struct rollout r = rollout_of("/a/k/100%", "secret too");
    ck_assert_int_eq(start("admin", &r), OUTCOME_OK);
    r = rollout_of("/a/k", "new");
    ck_assert_int_eq(start("admin", &r), OUTCOME_OK);
    r = rollout_of("/a", "of the root");
    ck_assert_int_eq(start("admin", &r), OUTCOME_OK);
    slot_of("/a/.rollouts/k%2F100%25");
    ck_assert(!may_read("u", "/a/.rollouts/k%2F100%25"));
    ck_assert(may_read("admin", "/a/.rollouts/k%2F100%25"));
    ck_assert(may_read("u", "/a/.rollouts/k"));
    ck_assert(may_read("u", "/a/.rollouts/%2F"));
    struct buf who = {0};
    struct access access;
    access_begin(&access, k.store, auth_kit_who(&who, "u"));
    ck_assert(!access_is_uniform(&access, slice_str("/a/.rollouts")));
    buf_close(&who);
}
END_TEST

static void give_list(const char *path, const char *ip)
{
    struct buf list = {0};
    struct acl_entry e = {ACL_READ | ACL_WRITE | ACL_ADMIN, slice_str("ip"), slice_str(ip)};
    struct op op = kit_op(OP_SET_ACL, path, NULL);
    acl_encode(&list, &e, 1);
    op.acl = buf_slice(&list);
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    struct buf who = {0};
    identity_encode(&who, slice_str("super"), slice_str(""));
    c.identities = buf_slice(&who);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    buf_close(&who);
    buf_close(&list);
}

static uint32_t list_of(const char *path)
{
    return tree_node(&k.store->tree, slot_of(path))->acl;
}

START_TEST(a_record_has_the_list_of_its_key)
{
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    make_root("/a");
    ck_assert_int_eq(kit_create(&k, "/a/k", "old"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/l", "old"), OUTCOME_OK);
    struct rollout r = rollout_of("/a/k", "new");
    ck_assert_int_eq(start(NULL, &r), OUTCOME_OK);
    ck_assert_uint_eq(list_of("/a/.rollouts/k"), 0);
    give_list("/a/k", "10.1.1.1");
    ck_assert_uint_ne(list_of("/a/k"), 0);
    ck_assert_uint_eq(list_of("/a/.rollouts/k"), list_of("/a/k"));
    give_list("/a/l", "10.1.1.2");
    ck_assert_uint_eq(list_of("/a/.rollouts/k"), list_of("/a/k"));
    kit_reload(&k);
}
END_TEST

/* ---- how many are kept -------------------------------------------------------------------- */

static const char *key_of(uint32_t i)
{
    static char path[32];
    snprintf(path, sizeof path, "/a/k%04" PRIu32, i);
    return path;
}

static enum outcome start_one(uint32_t i)
{
    struct rollout r = rollout_of(key_of(i), "new");
    return start(NULL, &r);
}

/* One of each key, and one key more. */
static void start_as_many_as_may_be(void)
{
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    for (uint32_t i = 0; i <= ROLLOUTS_MAX; i++) {
        ck_assert_int_eq(kit_create(&k, key_of(i), "old"), OUTCOME_OK);
    }
    make_root("/a");
    for (uint32_t i = 0; i < ROLLOUTS_MAX; i++) {
        ck_assert_int_eq(start_one(i), OUTCOME_OK);
    }
}

START_TEST(the_one_that_ended_first_makes_room_for_another)
{
    start_as_many_as_may_be();
    ck_assert_int_eq(start_one(ROLLOUTS_MAX), OUTCOME_LIMIT);
    ck_assert_int_eq(change(key_of(7), ROLLOUT_FINISH), OUTCOME_OK);
    ck_assert_int_eq(change(key_of(3), ROLLOUT_ROLL_BACK), OUTCOME_OK);
    ck_assert_int_eq(start_one(ROLLOUTS_MAX), OUTCOME_OK);
    ck_assert(!kit_exists(&k, "/a/.rollouts/k0007"));
    ck_assert(slice_is(value_of("/a/k0007"), "new"));
    ck_assert_int_eq(change(key_of(7), ROLLOUT_ROLL_BACK), OUTCOME_NO_NODE);
    kit_reload(&k);
    ck_assert_int_eq(start_one(7), OUTCOME_OK);
    ck_assert(!kit_exists(&k, "/a/.rollouts/k0003"));
    ck_assert_int_eq(start_one(3), OUTCOME_LIMIT);
    ck_assert_int_eq(start_one(4), OUTCOME_NODE_EXISTS);
}
END_TEST

/* ---- what looking at them costs ----------------------------------------------------------- */

static size_t count_due(uint64_t cluster_ms, struct arena *arena)
{
    struct rollout_due due[4];
    return store_rollouts_due(k.store, cluster_ms, due, 4, arena);
}

static void register_instances(uint32_t count, const char *text)
{
    struct op op = kit_op(OP_CREATE, "", text);
    op.flags |= OP_MAKE_PARENTS;
    for (uint32_t i = 0; i < count; i++) {
        char path[64];
        snprintf(path, sizeof path, "/services/web/web-%" PRIu32, i);
        op.path = slice_str(path);
        ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    }
}

START_TEST(what_is_not_due_is_not_kept)
{
    struct arena arena = {0};
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    make_root("/a");
    ck_assert_int_eq(kit_create(&k, "/a/ended", "of\nlines"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/open", "of\nlines"), OUTCOME_OK);
    register_instances(100, "address=10.0.0.1\nport=80\nweight=100\n");
    struct rollout r = rollout_of("/a/ended", "other\nlines");
    ck_assert_int_eq(start(NULL, &r), OUTCOME_OK);
    ck_assert_int_eq(change("/a/ended", ROLLOUT_FINISH), OUTCOME_OK);
    r = rollout_of("/a/open", "other\nlines");
    r.gate_service = slice_str("web");
    r.gate_percent = 90;
    r.step_ms = 1000;
    ck_assert_int_eq(start(NULL, &r), OUTCOME_OK);
    ck_assert_uint_eq(count_due(store_cluster_ms(k.store), &arena), 0);
    ck_assert_ptr_null(arena.blocks);
    ck_assert_uint_eq(count_due(store_cluster_ms(k.store) + 2000, &arena), 1);
    ck_assert_ptr_nonnull(arena.blocks);
    arena_close(&arena);
}
END_TEST

static uint64_t cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

START_TEST(a_gate_that_many_have_is_looked_at_once)
{
    struct arena arena = {0};
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    make_root("/a");
    register_instances(5000, "address=10.0.0.1\nport=80\nweight=100\n");
    for (uint32_t i = 0; i < 300; i++) {
        ck_assert_int_eq(kit_create(&k, key_of(i), "old"), OUTCOME_OK);
        struct rollout r = rollout_of(key_of(i), "new");
        r.gate_service = slice_str("web");
        r.gate_percent = 90;
        ck_assert_int_eq(start(NULL, &r), OUTCOME_OK);
    }
    uint64_t begin = cpu_ms();
    ck_assert_uint_eq(count_due(store_cluster_ms(k.store), &arena), 0);
    uint64_t ms = cpu_ms() - begin;
    printf("300 rollouts of one gate of 5000 instances were looked at in %" PRIu64 " ms\n", ms);
    ck_assert_uint_lt(ms, 150);
}
END_TEST

/* ---- gates -------------------------------------------------------------------------------- */

START_TEST(a_service_that_does_badly_lets_no_rollout_begin)
{
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    make_root("/a");
    ck_assert_int_eq(kit_create(&k, "/a/k", "old"), OUTCOME_OK);
    register_instances(2, "address=10.0.0.1\nport=80\nweight=100\nhealth=down\n"
                          "health_since_ms=1\n");
    struct rollout r = rollout_of("/a/k", "new");
    struct rollout kept;
    r.gate_service = slice_str("web");
    r.gate_percent = 50;
    ck_assert_int_eq(start(NULL, &r), OUTCOME_OK);
    ck_assert(store_rollout_find(k.store, slice_str("/a/k"), &kept, NULL, &k.arena));
    ck_assert_uint_eq(kept.state, ROLLOUT_ROLLED_BACK);
    ck_assert(slice_is(kept.why, "too few instances pass"));
    ck_assert(slice_is(value_of("/a/k"), "old"));
}
END_TEST

/* ---- quotas ------------------------------------------------------------------------------- */

static enum outcome quota(const char *path, uint64_t bytes, uint64_t nodes)
{
    struct command c = {.type = COMMAND_QUOTA,
                        .quota = {.path = slice_str(path), .bytes = bytes, .nodes = nodes}};
    return kit_run(&k, &c);
}

START_TEST(a_start_must_fit_quotas)
{
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    make_root("/a");
    ck_assert_int_eq(kit_create(&k, "/a/k", "old"), OUTCOME_OK);
    ck_assert_int_eq(quota("/a", 100, 0), OUTCOME_OK);
    struct rollout r = rollout_of("/a/k", "new");
    uint64_t digest = k.store->node_sum;
    ck_assert_int_eq(start(NULL, &r), OUTCOME_QUOTA);
    ck_assert(slice_is(k.reply.refusal.subject, "/a"));
    ck_assert_uint_eq(k.store->node_sum, digest);
    ck_assert_int_eq(quota("/a", 1000, 0), OUTCOME_OK);
    ck_assert_int_eq(start(NULL, &r), OUTCOME_OK);
}
END_TEST

static enum outcome map_key(const char *hex)
{
    struct shard_step step = {.number = 0, .from = slice_str(hex)};
    struct command c = {.type = COMMAND_SHARD,
                        .shard = {.action = SHARD_SET_KEY,
                                  .path = slice_str("/m"),
                                  .steps = &step,
                                  .step_count = 1}};
    return kit_run(&k, &c);
}

START_TEST(keys_of_a_shard_map_must_fit_quotas)
{
    static const char spec[] = "strategy=directory\nreplicas=2\npromote=fresh\n"
                               "balance=replicas\nconcurrent=3\n";
    struct shard_step count = {.number = 1};
    struct command c = {.type = COMMAND_SHARD,
                        .shard = {.action = SHARD_CREATE,
                                  .path = slice_str("/m"),
                                  .text = slice_str(spec),
                                  .steps = &count,
                                  .step_count = 1}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert_int_eq(quota("/m", 0, 8), OUTCOME_OK); /* 7 are there */
    ck_assert_int_eq(map_key("a"), OUTCOME_OK);
    ck_assert_int_eq(map_key("b"), OUTCOME_QUOTA);
    ck_assert_int_eq(map_key("a"), OUTCOME_OK); /* it is there */
}
END_TEST

static Suite *rollouts_suite(void)
{
    Suite *suite = suite_create("store_rollouts");
    TCase *tcase = tcase_create("store_rollouts");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_lock_and_its_entries_are_rolled_out_by_nobody);
    tcase_add_test(tcase, an_entry_at_the_place_of_the_record_is_not_written_over);
    tcase_add_test(tcase, what_a_gate_looks_at_must_be_readable);
    tcase_add_test(tcase, a_record_is_read_by_those_who_may_read_its_key);
    tcase_add_test(tcase, a_record_has_the_list_of_its_key);
    tcase_add_test(tcase, the_one_that_ended_first_makes_room_for_another);
    tcase_add_test(tcase, what_is_not_due_is_not_kept);
    tcase_add_test(tcase, a_gate_that_many_have_is_looked_at_once);
    tcase_add_test(tcase, a_service_that_does_badly_lets_no_rollout_begin);
    tcase_add_test(tcase, a_start_must_fit_quotas);
    tcase_add_test(tcase, keys_of_a_shard_map_must_fit_quotas);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){rollouts_suite, NULL});
}
