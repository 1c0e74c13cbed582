/* The text of a recipe's nodes. */
#include "recipes/record.h"

#include "base/rng.h"
#include "tests/support/check_main.h"

static struct arena arena;

static void setup(void)
{
    arena = (struct arena){0};
}

static void teardown(void)
{
    arena_close(&arena);
}

static void expect_text(const struct recipe_record *record, const char *text)
{
    struct buf b = {0};
    struct recipe_record again;
    recipe_record_encode(&b, record);
    ck_assert_int_eq((int)b.size, (int)strlen(text));
    ck_assert(slice_is(buf_slice(&b), text));
    ck_assert(recipe_record_decode(buf_slice(&b), &again, &arena));
    struct buf twice = {0};
    recipe_record_encode(&twice, &again);
    ck_assert(slice_equal(buf_slice(&b), buf_slice(&twice)));
    buf_close(&twice);
    buf_close(&b);
}

START_TEST(an_entry_is_readable_text)
{
    struct recipe_record held = {
        .state = ENTRY_HELD,
        .mode = LOCK_PERMITS,
        .permits = 2,
        .count = 3,
        .epoch = 17,
        .since_ms = 1700000000000,
        .deadline_ms = 5000,
        .hold_ms = 4000,
        .owner = slice_str("worker 1"),
        .note = slice_str("50% of\nall"),
        .asked_by = slice_str("alice"),
        .asked_why = slice_str("maintenance"),
    };
    expect_text(&held, "state=held\nmode=permits\npermits=2\ncount=3\nepoch=17\n"
                       "since_ms=1700000000000\ndeadline_ms=5000\nhold_ms=4000\n"
                       "owner=worker 1\nnote=50%25 of%0Aall\nasked_by=alice\n"
                       "asked_why=maintenance\n");
    struct recipe_record waits = {
        .state = ENTRY_WAITING, .mode = LOCK_READ, .count = 1, .group = 9, .part = 2};
    expect_text(&waits, "state=waiting\nmode=read\ngroup=9\npart=2\n");
}
END_TEST

static const char *const bad_records[] = {
    "",
    "state=held\nmode=write\n",                           /* no epoch */
    "state=waiting\nmode=write\nepoch=1\n",               /* nothing was granted */
    "state=waiting\nmode=permits\n",                      /* how many? */
    "state=waiting\nmode=write\npermits=1\n",
    "state=waiting\nmode=write\ncount=2\n",
    "state=held\nmode=write\ncount=1\nepoch=1\n",         /* once is not said */
    "mode=write\nstate=waiting\n",                        /* another order */
    "state=waiting\nmode=write\nmode=write\n",
    "state=waiting\nmode=write",                          /* no end of line */
    "state=waiting\nmode=write\n\n",
    "state=waiting\nmode=write\ngroup=1\n",               /* which part? */
    "state=waiting\nmode=write\nsince_ms=01\n",
    "state=waiting\nmode=write\nsince_ms=0\n",
    "state=waiting\nmode=write\nsince_ms=-1\n",
    "state=waiting\nmode=write\npart=4294967296\ngroup=1\n",
    "state=waiting\nmode=write\nowner=\n",
    "state=waiting\nmode=write\nowner=%\n",
    "state=waiting\nmode=write\nowner=%4\n",
    "state=waiting\nmode=write\nowner=%41\n",             /* needs no escape */
    "state=waiting\nmode=write\nowner=%0a\n",             /* one spelling only */
    "state=waiting\nmode=write\nowner=a\rb\n",
    "state=waiting\nmode=write\nasked_by=me\n",           /* there is nothing to release */
    "state=waiting\nmode=write\ncolour=red\n",
    "state=gone\nmode=write\n",
};

START_TEST(what_is_no_text_of_an_entry_is_refused)
{
    struct recipe_record record;
    ck_assert(!recipe_record_decode(slice_str(bad_records[_i]), &record, &arena));
}
END_TEST

START_TEST(heads_have_one_text_each)
{
    struct recipe_head head;
    struct buf b = {0};
    recipe_head_encode(&b, &(struct recipe_head){.recipe = RECIPE_LOCK, .permits = 3});
    ck_assert(slice_is(buf_slice(&b), "recipe=lock\npermits=3\n"));
    ck_assert(recipe_head_decode(buf_slice(&b), &head, &arena));
    ck_assert_uint_eq(head.recipe, RECIPE_LOCK);
    ck_assert_uint_eq(head.permits, 3);
    buf_close(&b);
    ck_assert(recipe_head_decode(slice_str("recipe=lock\n"), &head, &arena));
    ck_assert_uint_eq(head.permits, 0);
    static const char *const bads[] = {"",
                                       "permits=3\n",
                                       "recipe=lock",
                                       "recipe=padlock\n",
                                       "recipe=lock\npermits=0\n",
                                       "recipe=lock\npermits=3\npermits=3\n",
                                       "recipe=lock\nowner=me\n"};
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        ck_assert(!recipe_head_decode(slice_str(bads[i]), &head, &arena));
    }
}
END_TEST

START_TEST(damaged_text_is_refused_or_is_another_text)
{
    static const char text[] = "state=held\nmode=permits\npermits=2\ncount=3\nepoch=17\n"
                               "owner=w%0A\nnote=n\nasked_by=a\n";
    struct rng rng;
    rng_init(&rng, 7);
    uint32_t valid = 0;
    for (int i = 0; i < 20000; i++) {
        char damaged[sizeof text];
        memcpy(damaged, text, sizeof text);
        damaged[rng_below(&rng, sizeof text - 1)] = (char)rng_below(&rng, 256);
        struct slice bytes = slice_make(damaged, sizeof text - 1);
        struct recipe_record record;
        if (recipe_record_decode(bytes, &record, &arena)) {
            struct buf again = {0};
            recipe_record_encode(&again, &record);
            ck_assert(slice_equal(buf_slice(&again), bytes));
            buf_close(&again);
            valid++;
        }
    }
    ck_assert_uint_gt(valid, 100);
    ck_assert_uint_lt(valid, 15000);
}
END_TEST

static Suite *record_suite(void)
{
    Suite *suite = suite_create("record");
    TCase *tcase = tcase_create("record");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, an_entry_is_readable_text);
    tcase_add_loop_test(tcase, what_is_no_text_of_an_entry_is_refused, 0,
                        (int)(sizeof bad_records / sizeof bad_records[0]));
    tcase_add_test(tcase, heads_have_one_text_each);
    tcase_add_test(tcase, damaged_text_is_refused_or_is_another_text);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){record_suite, NULL});
}
