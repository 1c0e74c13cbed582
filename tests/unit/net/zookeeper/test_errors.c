/* Which error of ZooKeeper's stands for which outcome of the store. */
#include "net/zookeeper/connection.h"
#include "tests/support/check_main.h"

/* KeeperException.Code, as all clients since 3.4 know it: kazoo never answers a call whose reply
 * has another. */
static bool is_known(int code)
{
    static const int codes[] = {0,    -1,   -2,   -3,   -4,   -5,   -6,   -7,   -8,  -101,
                                -102, -103, -108, -110, -111, -112, -113, -114, -115};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i] == code) {
            return true;
        }
    }
    return false;
}

START_TEST(every_outcome_has_a_code_that_clients_know_and_only_ok_is_ok)
{
    for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
        enum zk_error error = zk_error_of((enum outcome)outcome);
        if (outcome == OUTCOME_QUOTA) { /* of those who use quotas */
            ck_assert_int_eq(error, ZK_QUOTA_EXCEEDED);
            continue;
        }
        ck_assert_msg(is_known((int)error), "%s: %d", outcome_text((enum outcome)outcome),
                      (int)error);
        ck_assert((error == ZK_OK) == (outcome == OUTCOME_OK));
    }
}
END_TEST

START_TEST(outcomes_of_locks_and_quotas_have_codes_of_their_kind)
{
    ck_assert_int_eq(zk_error_of(OUTCOME_HELD), ZK_NODE_EXISTS);
    ck_assert_int_eq(zk_error_of(OUTCOME_NOT_HELD), ZK_NO_NODE);
    ck_assert_int_eq(zk_error_of(OUTCOME_GUARD_STALE), ZK_BAD_VERSION);
    ck_assert_int_eq(zk_error_of(OUTCOME_GUARD_REFUSED), ZK_BAD_VERSION);
    ck_assert_int_eq(zk_error_of(OUTCOME_WAIT_ENDED), ZK_BAD_VERSION);
    ck_assert_int_eq(zk_error_of(OUTCOME_WAIT_TIMEOUT), ZK_OPERATION_TIMEOUT);
    ck_assert_int_eq(zk_error_of(OUTCOME_DEADLOCK), ZK_RUNTIME_INCONSISTENCY);
    ck_assert_int_eq(zk_error_of(OUTCOME_GRAPH_TOO_LARGE), ZK_SYSTEM_ERROR);
    ck_assert_int_eq(zk_error_of(OUTCOME_USER_LIMIT), ZK_SYSTEM_ERROR);
    ck_assert_int_eq(zk_error_of(OUTCOME_LIMIT), ZK_SYSTEM_ERROR);
    ck_assert_int_eq(zk_error_of(OUTCOME_WAITS), ZK_BAD_ARGUMENTS);
    ck_assert_int_eq(zk_error_of(OUTCOME_MISMATCH), ZK_BAD_ARGUMENTS);
    ck_assert_int_eq(zk_error_of(OUTCOME_NO_RECIPE), ZK_BAD_ARGUMENTS);
    ck_assert_int_eq(zk_error_of(OUTCOME_PROTECTED), ZK_BAD_ARGUMENTS);
}
END_TEST

static Suite *errors_suite(void)
{
    Suite *suite = suite_create("zookeeper_errors");
    TCase *tcase = tcase_create("zookeeper_errors");
    tcase_add_test(tcase, every_outcome_has_a_code_that_clients_know_and_only_ok_is_ok);
    tcase_add_test(tcase, outcomes_of_locks_and_quotas_have_codes_of_their_kind);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){errors_suite, NULL});
}
