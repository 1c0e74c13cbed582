/* When doctor finds a member's memory worth a word. */
#include <math.h>
#include <string.h>

#include "cmd/coordctl/text/memory_verdict.h"
#include "tests/support/check_main.h"

#define MIB 1048576.0

static char why[256];
static struct memory_use all[3];

static void setup(void)
{
    static const char *const names[] = {"n1", "n2", "n3"};
    for (size_t i = 0; i < 3; i++) {
        all[i] = (struct memory_use){.name = names[i],
                                     .resident = 1000 * MIB,
                                     .limit = 4000 * MIB,
                                     .machine = 8000 * MIB,
                                     .available = 5000 * MIB};
    }
    why[0] = '\0';
}

static enum memory_verdict judge(size_t i)
{
    return memory_judge(all, 3, i, why, sizeof why);
}

START_TEST(equal_members_with_room_are_fine)
{
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(judge(i), MEMORY_FINE);
    }
}
END_TEST

START_TEST(a_member_near_its_limit_is_told_and_one_at_it_fails)
{
    for (size_t i = 0; i < 3; i++) {
        all[i].resident = 2400 * MIB;
    }
    ck_assert_int_eq(judge(1), MEMORY_FINE);
    all[1].resident = 2401 * MIB;
    ck_assert_int_eq(judge(1), MEMORY_SHORT);
    ck_assert_str_eq(why, "n2 uses 2401 of 4000 MiB that it may have: a snapshot from the leader "
                          "may not fit beside it");
    all[1].resident = 3601 * MIB;
    ck_assert_int_eq(judge(1), MEMORY_GONE);
    ck_assert_str_eq(why, "n2 uses 3601 of 4000 MiB that it may have: it will be killed soon");
    ck_assert_int_eq(judge(0), MEMORY_FINE);
}
END_TEST

START_TEST(a_full_machine_is_told_whoever_fills_it)
{
    all[2].available = 800 * MIB;
    ck_assert_int_eq(judge(2), MEMORY_FINE);
    all[2].available = 799 * MIB;
    ck_assert_int_eq(judge(2), MEMORY_SHORT);
    ck_assert_str_eq(
        why, "799 of 8000 MiB are left on the machine of n3, which uses 1000 itself");
}
END_TEST

START_TEST(a_member_that_uses_far_more_than_another_is_told)
{
    all[0].resident = 2001 * MIB;
    ck_assert_int_eq(judge(0), MEMORY_SHORT);
    ck_assert_ptr_nonnull(strstr(why, "n1 uses 2001 MiB, n2 1000 with the same data"));
    ck_assert_int_eq(judge(1), MEMORY_FINE);
    for (size_t i = 0; i < 3; i++) {
        all[i].resident = 20 * MIB;
    }
    all[0].resident = 270 * MIB; /* small ones differ by chance */
    ck_assert_int_eq(judge(0), MEMORY_FINE);
}
END_TEST

START_TEST(who_says_nothing_is_compared_with_nobody)
{
    all[1] = (struct memory_use){
        .name = "n2", .resident = NAN, .limit = NAN, .machine = NAN, .available = NAN};
    all[2] = all[1];
    ck_assert_int_eq(judge(0), MEMORY_FINE);
    ck_assert_int_eq(judge(1), MEMORY_FINE);
    all[0].limit = all[0].machine = 0; /* an older member knows its use only */
    all[0].available = 0;
    ck_assert_int_eq(judge(0), MEMORY_FINE);
}
END_TEST

static Suite *verdict_suite(void)
{
    Suite *suite = suite_create("memory verdict");
    TCase *tcase = tcase_create("verdict");
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, equal_members_with_room_are_fine);
    tcase_add_test(tcase, a_member_near_its_limit_is_told_and_one_at_it_fails);
    tcase_add_test(tcase, a_full_machine_is_told_whoever_fills_it);
    tcase_add_test(tcase, a_member_that_uses_far_more_than_another_is_told);
    tcase_add_test(tcase, who_says_nothing_is_compared_with_nobody);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){verdict_suite, NULL});
}
