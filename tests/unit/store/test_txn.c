/* Transactions: guards, branches, all or nothing. */
#include "store/apply.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

static struct kit k;

static void setup(void)
{
    kit_open(&k);
    kit_create(&k, "/a", "one");
}

static void teardown(void)
{
    store_check(k.store);
    kit_close(&k);
}

/* Everything replicated but the time, which goes on with every command. */
static uint64_t state_sum(void)
{
    return k.store->node_sum + k.store->history.sum + k.store->revision;
}

START_TEST(later_operations_see_earlier_ones_at_one_revision)
{
    struct op ops[] = {
        kit_op(OP_CREATE, "/p", "x"),    kit_op(OP_CREATE, "/p/c", "y"),
        kit_op(OP_SET, "/p/c", "z"),     kit_op(OP_GET, "/p/c", NULL),
        kit_op(OP_LIST, "/p", NULL),     kit_op(OP_DELETE, "/p/c", NULL),
        kit_op(OP_CREATE, "/p/c", "zz"),
    };
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(kit_ops(&k, ops, 7), OUTCOME_OK);
    ck_assert_uint_eq(store_revision(k.store), revision + 1);
    ck_assert(slice_is(k.reply.results[3].data, "z"));
    ck_assert_uint_eq(k.reply.results[4].entry_count, 1);
    ck_assert(slice_is(k.reply.results[4].entries[0].name, "c"));
    ck_assert_uint_eq(k.reply.results[6].stat.version, 0);
    const struct history *h = &k.store->history;
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(history_at(h, h->end - 5 + i)->sub, i);
        ck_assert_uint_eq(history_at(h, h->end - 5 + i)->revision, revision + 1);
    }
}
END_TEST

START_TEST(one_failure_takes_everything_back)
{
    kit_create(&k, "/tree", "");
    kit_create(&k, "/tree/x", "");
    kit_create(&k, "/tree/y", "");
    struct op ops[] = {
        kit_op(OP_SET, "/a", "two"),       kit_op(OP_CREATE, "/n-", "made"),
        kit_op(OP_DELETE, "/tree", NULL),  kit_op(OP_CREATE, "/tree", "again"),
        kit_op(OP_CREATE, "/tree/z", "?"), kit_op(OP_DELETE, "/missing", NULL),
        kit_op(OP_SET, "/a", "three"),
    };
    ops[1].flags |= OP_SEQUENTIAL;
    ops[2].flags |= OP_RECURSIVE;
    uint64_t before = state_sum();
    uint64_t bytes = store_bytes(k.store);
    ck_assert_int_eq(kit_ops(&k, ops, 7), OUTCOME_NO_NODE);
    ck_assert_uint_eq(k.reply.failed_op, 5);
    ck_assert_int_eq(k.reply.results[0].outcome, OUTCOME_OK);
    ck_assert_int_eq(k.reply.results[5].outcome, OUTCOME_NO_NODE);
    ck_assert_int_eq(k.reply.results[6].outcome, OUTCOME_ROLLED_BACK);
    ck_assert_uint_eq(state_sum(), before);
    ck_assert_uint_eq(store_bytes(k.store), bytes);
    ck_assert(kit_exists(&k, "/tree/y"));
    struct op sequential = kit_op(OP_CREATE, "/n-", "");
    sequential.flags = OP_SEQUENTIAL;
    ck_assert_int_eq(kit_ops(&k, &sequential, 1), OUTCOME_OK);
    ck_assert(slice_is(k.reply.results[0].path, "/n-0000000002")); /* no number was used up */
}
END_TEST

START_TEST(an_empty_transaction_succeeds_and_changes_nothing)
{
    uint64_t before = state_sum();
    ck_assert_int_eq(kit_ops(&k, NULL, 0), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.result_count, 0);
    ck_assert_uint_eq(state_sum(), before);
}
END_TEST

START_TEST(reads_and_checks_alone_use_no_revision)
{
    struct op ops[] = {kit_op(OP_CHECK, "/a", NULL), kit_op(OP_GET, "/a", NULL)};
    uint64_t before = state_sum();
    ck_assert_int_eq(kit_ops(&k, ops, 2), OUTCOME_OK);
    ck_assert_uint_eq(state_sum(), before);
    ops[0].version = 3;
    ck_assert_int_eq(kit_ops(&k, ops, 2), OUTCOME_BAD_VERSION);
}
END_TEST

static enum outcome run_guarded(struct guard guard, bool with_else)
{
    struct op then_op = kit_op(OP_SET, "/a", "then");
    struct op else_op = kit_op(OP_CREATE, "/else", "");
    struct command c = {
        .type = COMMAND_TXN,
        .txn = {.guards = &guard, .guard_count = 1, .then_ops = &then_op, .then_count = 1},
    };
    if (with_else) {
        c.txn.else_ops = &else_op;
        c.txn.else_count = 1;
    }
    return kit_run(&k, &c);
}

static bool holds(uint8_t target, uint8_t relation, const char *path, uint64_t number,
                  const char *value)
{
    struct guard g = {.target = target,
                      .relation = relation,
                      .space = SPACE_NODES,
                      .path = slice_str(path),
                      .number = number,
                      .value = slice_str(value)};
    bool holds = false;
    ck_assert_int_eq(guard_ask(k.store, &g, &holds), OUTCOME_OK);
    return holds;
}

START_TEST(guards_compare_what_they_name)
{
    kit_set(&k, "/a", "two"); /* version 1, created at 2, modified at 3 */
    kit_create(&k, "/a/c", "");
    ck_assert(holds(GUARD_EXISTS, GUARD_EQUAL, "/a", 1, ""));
    ck_assert(!holds(GUARD_EXISTS, GUARD_EQUAL, "/a", 0, ""));
    ck_assert(holds(GUARD_VERSION, GUARD_EQUAL, "/a", 1, ""));
    ck_assert(holds(GUARD_VERSION, GUARD_LESS, "/a", 2, ""));
    ck_assert(!holds(GUARD_VERSION, GUARD_GREATER, "/a", 1, ""));
    ck_assert(holds(GUARD_CHILDREN_VERSION, GUARD_EQUAL, "/a", 1, ""));
    ck_assert(holds(GUARD_CREATE_REVISION, GUARD_EQUAL, "/a", 2, ""));
    ck_assert(holds(GUARD_MODIFY_REVISION, GUARD_GREATER, "/a", 2, ""));
    ck_assert(holds(GUARD_VALUE, GUARD_EQUAL, "/a", 0, "two"));
    ck_assert(holds(GUARD_VALUE, GUARD_LESS, "/a", 0, "two+"));
    ck_assert(!holds(GUARD_VALUE, GUARD_NOT_EQUAL, "/a", 0, "two"));
}
END_TEST

START_TEST(a_missing_node_satisfies_only_absence_and_inequality)
{
    for (uint8_t target = GUARD_VERSION; target <= GUARD_VALUE; target++) {
        ck_assert(!holds(target, GUARD_EQUAL, "/missing", 0, ""));
        ck_assert(!holds(target, GUARD_LESS, "/missing", 1, "x"));
        ck_assert(!holds(target, GUARD_GREATER, "/missing", 0, ""));
        ck_assert(holds(target, GUARD_NOT_EQUAL, "/missing", 0, ""));
    }
    ck_assert(holds(GUARD_EXISTS, GUARD_EQUAL, "/missing", 0, ""));
    ck_assert(holds(GUARD_EXISTS, GUARD_NOT_EQUAL, "/missing", 1, ""));
    ck_assert(!holds(GUARD_EXISTS, GUARD_NOT_EQUAL, "/missing", 0, ""));
}
END_TEST

START_TEST(guards_choose_the_branch)
{
    struct guard g = {.target = GUARD_VALUE,
                      .relation = GUARD_EQUAL,
                      .space = SPACE_NODES,
                      .path = slice_str("/a"),
                      .value = slice_str("one")};
    ck_assert_int_eq(run_guarded(g, true), OUTCOME_OK);
    ck_assert(k.reply.took_then);
    ck_assert_int_eq(run_guarded(g, true), OUTCOME_OK);
    ck_assert(!k.reply.took_then);
    ck_assert(kit_exists(&k, "/else"));
}
END_TEST

START_TEST(a_refused_guard_without_an_else_branch_is_an_outcome)
{
    struct guard g = {.target = GUARD_CREATE_REVISION,
                      .relation = GUARD_EQUAL,
                      .space = SPACE_NODES,
                      .path = slice_str("/a"),
                      .number = 1};
    ck_assert_int_eq(run_guarded(g, false), OUTCOME_GUARD_REFUSED);
    ck_assert(!k.reply.took_then);
    ck_assert_uint_eq(k.reply.result_count, 0);
    g.target = GUARD_EXISTS;
    g.number = 2;
    ck_assert_int_eq(run_guarded(g, false), OUTCOME_BAD_ARGUMENTS);
}
END_TEST

START_TEST(what_the_reads_of_a_transaction_return_is_bounded)
{
    static char large[STORE_VALUE_BYTES_MAX];
    memset(large, 'x', sizeof large - 1);
    kit_create(&k, "/large", large);
    struct op gets[3];
    for (size_t i = 0; i < 3; i++) {
        gets[i] = kit_op(OP_GET, "/large", NULL);
    }
    ck_assert_int_eq(kit_ops(&k, gets, 2), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.results[1].data.size, sizeof large - 1);
    ck_assert_int_eq(kit_ops(&k, gets, 3), OUTCOME_TOO_LARGE);
    ck_assert_uint_eq(k.reply.failed_op, 2);
}
END_TEST

START_TEST(data_read_in_a_transaction_outlives_its_deletion)
{
    struct op ops[] = {kit_op(OP_GET, "/a", NULL), kit_op(OP_DELETE, "/a", NULL)};
    ck_assert_int_eq(kit_ops(&k, ops, 2), OUTCOME_OK);
    ck_assert(slice_is(k.reply.results[0].data, "one"));
}
END_TEST

START_TEST(of_several_guards_the_one_that_cannot_be_is_named)
{
    struct guard guards[] = {
        {.target = GUARD_EXISTS, .relation = GUARD_EQUAL, .space = SPACE_NODES,
         .path = slice_str("/a"), .number = 1},
        {.target = GUARD_GRANT, .relation = GUARD_EQUAL, .space = SPACE_NODES,
         .path = slice_str("/a")},
    };
    struct command c = {.type = COMMAND_TXN, .txn = {.guards = guards, .guard_count = 2}};
    struct errmsg err;
    ck_assert_int_eq(command_check(&c, &err), OUTCOME_BAD_ARGUMENTS);
    ck_assert_ptr_nonnull(strstr(err.text, "guard 1: "));
    ck_assert_ptr_nonnull(strstr(err.text, "a grant has an epoch above 0"));
}
END_TEST

static Suite *txn_suite(void)
{
    Suite *suite = suite_create("txn");
    TCase *tcase = tcase_create("txn");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, later_operations_see_earlier_ones_at_one_revision);
    tcase_add_test(tcase, one_failure_takes_everything_back);
    tcase_add_test(tcase, an_empty_transaction_succeeds_and_changes_nothing);
    tcase_add_test(tcase, reads_and_checks_alone_use_no_revision);
    tcase_add_test(tcase, guards_compare_what_they_name);
    tcase_add_test(tcase, a_missing_node_satisfies_only_absence_and_inequality);
    tcase_add_test(tcase, guards_choose_the_branch);
    tcase_add_test(tcase, a_refused_guard_without_an_else_branch_is_an_outcome);
    tcase_add_test(tcase, of_several_guards_the_one_that_cannot_be_is_named);
    tcase_add_test(tcase, what_the_reads_of_a_transaction_return_is_bounded);
    tcase_add_test(tcase, data_read_in_a_transaction_outlives_its_deletion);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){txn_suite, NULL});
}
