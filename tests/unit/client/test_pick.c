/* Which candidate gets the next piece of work. */
#include "client/pick.h"

#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "tests/support/check_main.h"

#define MEMBERS_MAX 40
#define KEYS        2000

static char ids[MEMBERS_MAX][16];

static void setup(void)
{
    for (int i = 0; i < MEMBERS_MAX; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "i%02d", i);
    }
}

static struct pick make(enum pick_policy policy, const uint32_t *weights, size_t count)
{
    struct pick p = {.policy = policy};
    struct pick_member members[MEMBERS_MAX];
    for (size_t i = 0; i < count; i++) {
        members[i] = (struct pick_member){.id = ids[i], .weight = weights[i]};
    }
    ck_assert(pick_set(&p, members, count));
    return p;
}

START_TEST(in_turn_each_is_picked_as_often_as_its_weight_says)
{
    const uint32_t weights[] = {5, 1, 1};
    struct pick p = make(PICK_ROUND_ROBIN, weights, 3);
    char order[8] = "";
    size_t counts[3] = {0};
    for (int i = 0; i < 7; i++) {
        order[i] = (char)('a' + (int)pick_next(&p, NULL, 0, 0));
    }
    ck_assert_str_eq(order, "aabacaa"); /* mixed, not five in a row */
    for (int i = 0; i < 7000; i++) {
        counts[pick_next(&p, NULL, 0, 0)]++;
    }
    ck_assert_uint_eq(counts[0], 5000);
    ck_assert_uint_eq(counts[1], 1000);
    ck_assert_uint_eq(counts[2], 1000);
    pick_close(&p);
}
END_TEST

START_TEST(with_random_weights_no_window_is_off_by_more_than_one)
{
    struct rng rng;
    rng_init(&rng, 1);
    for (int round = 0; round < 200; round++) {
        uint32_t weights[10];
        uint64_t counts[10] = {0};
        uint64_t total = 0;
        size_t count = rng_range(&rng, 1, 10);
        for (size_t i = 0; i < count; i++) {
            weights[i] = (uint32_t)rng_range(&rng, 1, 50);
            total += weights[i];
        }
        struct pick p = make(PICK_ROUND_ROBIN, weights, count);
        for (uint64_t n = 0; n < 3 * total; n++) {
            counts[pick_next(&p, NULL, 0, 0)]++;
        }
        for (size_t i = 0; i < count; i++) {
            ck_assert_uint_eq(counts[i], 3 * weights[i]);
        }
        pick_close(&p);
    }
}
END_TEST

START_TEST(the_least_loaded_has_the_fewest_under_way_for_its_weight)
{
    const uint32_t weights[] = {100, 200, 100};
    struct pick p = make(PICK_LEAST_LOADED, weights, 3);
    size_t counts[3] = {0};
    for (int i = 0; i < 400; i++) { /* nothing ends */
        counts[pick_next(&p, NULL, 0, 0)]++;
    }
    ck_assert_uint_eq(counts[0], 100);
    ck_assert_uint_eq(counts[1], 200);
    for (int i = 0; i < 50; i++) {
        pick_done(&p, ids[2], 1, false, 0);
    }
    for (int i = 0; i < 50; i++) {
        ck_assert_uint_eq(pick_next(&p, NULL, 0, 0), 2);
    }
    pick_done(&p, "unknown", 1, false, 0);
    pick_close(&p);
}
END_TEST

START_TEST(without_load_the_least_loaded_go_in_turn)
{
    const uint32_t weights[] = {1, 1, 1};
    struct pick p = make(PICK_LEAST_LOADED, weights, 3);
    for (size_t i = 0; i < 30; i++) {
        size_t at = pick_next(&p, NULL, 0, 0);
        ck_assert_uint_eq(at, i % 3);
        pick_done(&p, ids[at], 1, false, 0);
    }
    pick_close(&p);
}
END_TEST

/* Share of the work of each, with answers that take so long. */
static void serve(struct pick *p, const uint64_t *latency_ms, size_t count, int rounds,
                  uint64_t *now_ms, size_t *shares)
{
    memset(shares, 0, count * sizeof *shares);
    for (int i = 0; i < rounds; i++) {
        size_t at = pick_next(p, NULL, 0, *now_ms);
        shares[at]++;
        pick_done(p, ids[at], latency_ms[at], false, *now_ms);
        *now_ms += 1;
    }
}

START_TEST(the_fastest_get_the_work_and_who_was_slow_is_tried_again)
{
    const uint32_t weights[] = {1, 1, 1};
    struct pick p = make(PICK_RESPONSE_TIME, weights, 3);
    uint64_t now_ms = 1000;
    size_t shares[3];
    const uint64_t one_is_slow[] = {10, 500, 10};
    serve(&p, one_is_slow, 3, 1000, &now_ms, shares);
    ck_assert_uint_le(shares[1], 20);
    const uint64_t all_are_fast[] = {10, 10, 10};
    serve(&p, all_are_fast, 3, 200000, &now_ms, shares);
    ck_assert_uint_ge(shares[1], 40000); /* nearly a third */
    pick_done(&p, ids[0], 0, true, now_ms); /* a failure is as bad as slowness */
    serve(&p, all_are_fast, 3, 300, &now_ms, shares);
    ck_assert_uint_le(shares[0], 5);
    pick_close(&p);
}
END_TEST

/* ---- the ring ----------------------------------------------------------------------------- */

static size_t owner_of(struct pick *p, int key)
{
    char text[16];
    int bytes = snprintf(text, sizeof text, "key-%d", key);
    size_t at = pick_next(p, text, (size_t)bytes, 0);
    return at;
}

/* How often each is picked, with each piece of work done at once. */
static void pick_many(struct pick *p, uint64_t now_ms, size_t *counts, size_t count, size_t picks)
{
    memset(counts, 0, count * sizeof *counts);
    for (size_t i = 0; i < picks; i++) {
        size_t at = pick_next(p, NULL, 0, now_ms);
        counts[at]++;
        pick_done(p, ids[at], 10, false, now_ms);
    }
}

START_TEST(what_candidates_say_is_queued_counts_as_their_load_while_it_is_new)
{
    const uint32_t weights[] = {100, 100, 100};
    struct pick p = make(PICK_LEAST_LOADED, weights, 3);
    size_t counts[3];
    pick_report(&p, ids[0], &(struct pick_load){.queue_length = 5, .at_ms = 1000});
    pick_report(&p, ids[2], &(struct pick_load){.queue_length = 9, .at_ms = 1000});
    pick_report(&p, "nobody", &(struct pick_load){.queue_length = 9, .at_ms = 1000});
    pick_many(&p, 2000, counts, 3, 30);
    ck_assert(counts[0] == 0 && counts[1] == 30 && counts[2] == 0);
    for (int i = 0; i < 5; i++) { /* work of this client's own counts too */
        ck_assert_uint_eq(pick_next(&p, NULL, 0, 2000), 1);
    }
    size_t first = pick_next(&p, NULL, 0, 2000);
    size_t second = pick_next(&p, NULL, 0, 2000);
    ck_assert(first + second == 1); /* five and five: in turn */
    for (int i = 0; i < 6; i++) {
        pick_done(&p, ids[1], 10, false, 2000);
    }
    pick_done(&p, ids[0], 10, false, 2000);
    pick_many(&p, 1000 + PICK_LOAD_MS, counts, 3, 30);
    ck_assert(counts[0] == 10 && counts[1] == 10 && counts[2] == 10);
    pick_close(&p);
}
END_TEST

START_TEST(who_has_little_cpu_left_gets_little)
{
    const uint32_t weights[] = {100, 100};
    struct pick p = make(PICK_LEAST_LOADED, weights, 2);
    size_t counts[2] = {0};
    pick_report(&p, ids[0], &(struct pick_load){.cpu = 0.75, .at_ms = 1000});
    for (int i = 0; i < 50; i++) { /* and nothing is done */
        counts[pick_next(&p, NULL, 0, 1000)]++;
    }
    ck_assert(counts[0] == 10 && counts[1] == 40);
    pick_report(&p, ids[0], &(struct pick_load){.cpu = 1, .at_ms = 1000});
    for (int i = 0; i < 30; i++) {
        counts[pick_next(&p, NULL, 0, 1000)]++;
    }
    ck_assert(counts[0] == 10 && counts[1] == 70);
    pick_close(&p);
}
END_TEST

START_TEST(who_says_that_it_is_slow_is_taken_at_its_word_before_it_is_tried)
{
    const uint32_t weights[] = {100, 100};
    struct pick p = make(PICK_RESPONSE_TIME, weights, 2);
    size_t counts[2];
    pick_report(&p, ids[0], &(struct pick_load){.latency_ms = 500, .at_ms = 1000});
    pick_many(&p, 1000, counts, 2, 20);
    ck_assert(counts[0] == 0 && counts[1] == 20);
    pick_report(&p, ids[0], &(struct pick_load){.latency_ms = 1, .at_ms = 1000});
    pick_many(&p, 1000, counts, 2, 20);
    ck_assert_uint_gt(counts[0], 0);
    pick_close(&p);
}
END_TEST

START_TEST(keys_are_shared_out_by_weight)
{
    const uint32_t weights[] = {100, 200, 100, 100, 500};
    size_t counts[5] = {0};
    struct pick p = make(PICK_HASH, weights, 5);
    for (int key = 0; key < 20000; key++) {
        counts[owner_of(&p, key)]++;
    }
    for (size_t i = 0; i < 5; i++) { /* of 20 keys for each unit of weight, within a third */
        ck_assert_msg(counts[i] > weights[i] * 13 && counts[i] < weights[i] * 27,
                      "%zu keys for weight %u", counts[i], weights[i]);
    }
    pick_close(&p);
}
END_TEST

static void owners_take(struct pick *p, char owners[KEYS][16])
{
    for (int key = 0; key < KEYS; key++) {
        size_t at = owner_of(p, key);
        (void)snprintf(owners[key], sizeof owners[key], "%s", p->candidates[at].id);
    }
}

/* Members come, go and change their weight at random; each time only keys of those that have
 * changed move: away from who went or weighs less, to who came or weighs more. */
START_TEST(only_keys_of_those_that_come_or_go_move)
{
    static char before[KEYS][16];
    static char after[KEYS][16];
    struct rng rng;
    rng_init(&rng, 7);
    uint32_t weights[MEMBERS_MAX] = {0}; /* 0: not there */
    weights[0] = 100;
    struct pick p = {.policy = PICK_HASH};
    for (int round = 0; round < 150; round++) {
        struct pick_member members[MEMBERS_MAX];
        size_t count = 0;
        size_t changed = round == 0 ? 0 : rng_range(&rng, 1, MEMBERS_MAX - 1);
        uint32_t old = weights[changed];
        if (round > 0) {
            weights[changed] = rng_chance(&rng, 400) ? 0 : (uint32_t)rng_range(&rng, 1, 200);
        }
        for (size_t i = 0; i < MEMBERS_MAX; i++) {
            if (weights[i] > 0) {
                members[count++] = (struct pick_member){.id = ids[i], .weight = weights[i]};
            }
        }
        ck_assert(pick_set(&p, members, count));
        owners_take(&p, after);
        for (int key = 0; round > 0 && key < KEYS; key++) {
            if (strcmp(before[key], after[key]) == 0) {
                continue;
            }
            bool left = strcmp(before[key], ids[changed]) == 0 && weights[changed] < old;
            bool came = strcmp(after[key], ids[changed]) == 0 && weights[changed] > old;
            ck_assert_msg(left || came, "key %d: from %s to %s when %s changed", key,
                          before[key], after[key], ids[changed]);
        }
        memcpy(before, after, sizeof before);
    }
    pick_close(&p);
}
END_TEST

START_TEST(what_is_known_of_those_that_stay_is_kept)
{
    const uint32_t weights[] = {1, 1, 1};
    struct pick p = make(PICK_LEAST_LOADED, weights, 3);
    for (int i = 0; i < 9; i++) {
        (void)pick_next(&p, NULL, 0, 0);
    }
    const struct pick_member some[] = {{ids[1], 1}, {ids[5], 1}};
    ck_assert(pick_set(&p, some, 2));
    ck_assert_uint_eq(p.candidates[0].under_way, 3);
    ck_assert_uint_eq(p.candidates[1].under_way, 0);
    ck_assert_uint_eq(pick_next(&p, NULL, 0, 0), 1);
    ck_assert(pick_set(&p, NULL, 0));
    ck_assert_uint_eq(pick_next(&p, NULL, 0, 0), PICK_NONE);
    pick_close(&p);
}
END_TEST

static Suite *pick_suite(void)
{
    Suite *suite = suite_create("pick");
    TCase *tcase = tcase_create("pick");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, in_turn_each_is_picked_as_often_as_its_weight_says);
    tcase_add_test(tcase, with_random_weights_no_window_is_off_by_more_than_one);
    tcase_add_test(tcase, the_least_loaded_has_the_fewest_under_way_for_its_weight);
    tcase_add_test(tcase, without_load_the_least_loaded_go_in_turn);
    tcase_add_test(tcase, the_fastest_get_the_work_and_who_was_slow_is_tried_again);
    tcase_add_test(tcase,
                   what_candidates_say_is_queued_counts_as_their_load_while_it_is_new);
    tcase_add_test(tcase, who_has_little_cpu_left_gets_little);
    tcase_add_test(tcase, who_says_that_it_is_slow_is_taken_at_its_word_before_it_is_tried);
    tcase_add_test(tcase, keys_are_shared_out_by_weight);
    tcase_add_test(tcase, only_keys_of_those_that_come_or_go_move);
    tcase_add_test(tcase, what_is_known_of_those_that_stay_is_kept);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){pick_suite, NULL});
}
