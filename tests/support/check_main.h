/* The main() of a Check program: runs its suites and ends with the line tests/run.sh adds up.
 *
 *     int main(void)
 *     {
 *         return check_main((check_suite_fn[]){tree_suite, limits_suite, NULL});
 *     }
 *
 * Every test runs in a process of its own (CK_FORK=no to debug); CK_RUN_SUITE and CK_RUN_CASE
 * pick some of them. A test that crashes or times out is a failed test: after CK_DEFAULT_TIMEOUT
 * seconds, 60 if nothing is said, as the machine may be busy.
 */
#ifndef TESTS_SUPPORT_CHECK_MAIN_H
#define TESTS_SUPPORT_CHECK_MAIN_H

#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

typedef Suite *(*check_suite_fn)(void);

/* Runs the NULL-terminated `suites`, prints each failure and then "N passed, M failed".
 * Returns what main() should: EXIT_FAILURE when a test failed or there was none to run. */
static inline int check_main(const check_suite_fn *suites)
{
    SRunner *runner = srunner_create(NULL);
    int run;
    int failed;

    (void)setenv("CK_DEFAULT_TIMEOUT", "60", 0);
    for (size_t i = 0; suites[i] != NULL; i++) {
        srunner_add_suite(runner, suites[i]());
    }
    srunner_run_all(runner, CK_MINIMAL);
    run = srunner_ntests_run(runner);
    failed = srunner_ntests_failed(runner);
    if (failed > 0) {
        srunner_print(runner, CK_NORMAL);
    }
    srunner_free(runner);
    (void)printf("%d passed, %d failed\n", run - failed, failed);
    return run > 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
