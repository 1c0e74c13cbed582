/* Deadlines: never early, never missed, and final once they have been proposed. */
#include "lease/keeper.h"

#include <string.h>

#include "base/rng.h"
#include "tests/support/check_main.h"

#define LEASES 40
#define MANY   1000000

static bool suspect_all(struct keeper *k, uint64_t now_ms)
{
    return keeper_suspect(k, now_ms, SIZE_MAX);
}

/* Suspects and proposes in one go, as when the round is confirmed at once. */
static size_t expire(struct keeper *k, uint64_t now_ms, struct keeper_due *due, size_t max)
{
    return suspect_all(k, now_ms) ? keeper_propose(k, due, max) : 0;
}

START_TEST(a_lease_is_proposed_when_its_ttl_has_passed_and_not_before)
{
    struct keeper *k = keeper_new();
    struct keeper_due due[2];
    keeper_add(k, 7, 3, 1000, true, 5000);
    ck_assert_uint_eq(keeper_next_ms(k), 6001);
    ck_assert(!suspect_all(k, 6000)); /* 1000 ms have begun, not passed */
    ck_assert(suspect_all(k, 6001));
    ck_assert_uint_eq(keeper_propose(k, due, 2), 1);
    ck_assert_uint_eq(due[0].id, 7);
    ck_assert_uint_eq(due[0].generation, 3);
    ck_assert_uint_eq(expire(k, 99999, due, 2), 0); /* once */
    ck_assert_uint_eq(keeper_next_ms(k), UINT64_MAX);
    keeper_free(k);
}
END_TEST

START_TEST(a_touch_begins_the_ttl_anew)
{
    struct keeper *k = keeper_new();
    uint64_t left = 0;
    keeper_add(k, 7, 1, 1000, true, 0);
    ck_assert(keeper_touch(k, 7, 900));
    ck_assert(keeper_remaining(k, 7, 1000, &left));
    ck_assert_uint_eq(left, 900);
    ck_assert(!suspect_all(k, 1900));
    ck_assert_uint_eq(keeper_next_ms(k), 1901);
    ck_assert(suspect_all(k, 1901));
    ck_assert(keeper_remaining(k, 7, 1901, &left));
    ck_assert_uint_eq(left, 0);
    keeper_free(k);
}
END_TEST

START_TEST(a_touch_never_brings_a_deadline_forward)
{
    struct keeper *k = keeper_new();
    keeper_add(k, 7, 1, 1000, true, 500);
    ck_assert(keeper_touch(k, 7, 100));
    ck_assert(!suspect_all(k, 1500));
    ck_assert(suspect_all(k, 1501));
    keeper_free(k);
}
END_TEST

START_TEST(what_is_unknown_not_renewable_or_proposed_is_not_touched)
{
    struct keeper *k = keeper_new();
    struct keeper_due due;
    keeper_add(k, 1, 1, 1000, false, 0);
    keeper_add(k, 2, 1, 1000, true, 0);
    ck_assert(!keeper_touch(k, 1, 500));
    ck_assert(!keeper_touch(k, 3, 500));
    ck_assert_uint_eq(expire(k, 1001, &due, 1), 1); /* not put off by its touch */
    ck_assert_uint_eq(due.id, 1);
    ck_assert_uint_eq(expire(k, 1001, &due, 1), 1);
    ck_assert_uint_eq(due.id, 2);
    ck_assert(!keeper_touch(k, 2, 1001));
    ck_assert(keeper_is_proposed(k, 2));
    ck_assert(!keeper_is_proposed(k, 3));
    ck_assert_uint_eq(keeper_proposed_count(k), 2);
    keeper_free(k);
}
END_TEST

START_TEST(a_suspect_that_is_touched_before_the_round_ends_lives_on)
{
    struct keeper *k = keeper_new();
    struct keeper_due due[3];
    for (uint64_t id = 1; id <= 3; id++) {
        keeper_add(k, id, 1, 1000, true, 0);
    }
    ck_assert(suspect_all(k, 5000)); /* paused for long */
    ck_assert(keeper_touch(k, 2, 5000));
    ck_assert_uint_eq(keeper_propose(k, due, 3), 2);
    ck_assert_uint_eq(due[0].id, 1);
    ck_assert_uint_eq(due[1].id, 3);
    ck_assert(!suspect_all(k, 6000));
    ck_assert_uint_eq(keeper_next_ms(k), 6001);
    keeper_free(k);
}
END_TEST

START_TEST(a_resume_makes_a_proposed_lease_begin_anew)
{
    struct keeper *k = keeper_new();
    struct keeper_due due;
    keeper_add(k, 7, 1, 1000, true, 0);
    ck_assert_uint_eq(expire(k, 1001, &due, 1), 1);
    keeper_add(k, 7, 2, 700, true, 1100);
    ck_assert(!keeper_is_proposed(k, 7));
    ck_assert_uint_eq(keeper_proposed_count(k), 0);
    ck_assert_uint_eq(keeper_count(k), 1);
    ck_assert_uint_eq(keeper_next_ms(k), 1801); /* also a shorter TTL than before */
    ck_assert(keeper_touch(k, 7, 1200));
    ck_assert_uint_eq(expire(k, 1900, &due, 1), 0);
    ck_assert_uint_eq(expire(k, 1901, &due, 1), 1);
    ck_assert_uint_eq(due.generation, 2);
    keeper_free(k);
}
END_TEST

START_TEST(what_does_not_fit_is_proposed_with_the_next_lot)
{
    struct keeper *k = keeper_new();
    struct keeper_due due[10];
    for (uint64_t id = 1; id <= 25; id++) {
        keeper_add(k, id, 1, 1000, true, 0);
    }
    ck_assert(suspect_all(k, 2000));
    ck_assert_uint_eq(keeper_propose(k, due, 10), 10);
    ck_assert_uint_eq(keeper_propose(k, due, 10), 10);
    ck_assert(suspect_all(k, 2000));
    ck_assert_uint_eq(keeper_propose(k, due, 10), 5);
    ck_assert(!suspect_all(k, 9000));
    keeper_free(k);
}
END_TEST

START_TEST(what_is_removed_or_cleared_in_any_state_is_gone)
{
    struct keeper *k = keeper_new();
    struct keeper_due due;
    uint64_t left;
    keeper_add(k, 1, 1, 1000, true, 0);
    ck_assert_uint_eq(expire(k, 1001, &due, 1), 1);
    keeper_add(k, 2, 1, 1000, true, 0);
    ck_assert(suspect_all(k, 1001));
    keeper_add(k, 3, 1, 1000, true, 1001);
    for (uint64_t id = 1; id <= 4; id++) { /* the last one never was */
        keeper_remove(k, id);
        ck_assert(!keeper_remaining(k, id, 0, &left));
    }
    ck_assert_uint_eq(keeper_count(k) + keeper_proposed_count(k), 0);
    ck_assert(!suspect_all(k, UINT64_MAX / 2));

    keeper_add(k, 1, 1, 1000, true, 0);
    keeper_add(k, 2, 1, 1000, true, 0);
    keeper_add(k, 3, 1, 5000, true, 0);
    ck_assert_uint_eq(expire(k, 1001, &due, 1), 1);
    keeper_clear(k);
    ck_assert_uint_eq(keeper_count(k) + keeper_proposed_count(k), 0);
    ck_assert_uint_eq(keeper_next_ms(k), UINT64_MAX);
    ck_assert(!suspect_all(k, UINT64_MAX / 2));
    keeper_free(k);
    keeper_free(NULL);
}
END_TEST

START_TEST(a_million_leases_are_kept_and_touched)
{
    struct keeper *k = keeper_new();
    struct keeper_due due[1000];
    struct rng r;
    size_t touched = 0;
    size_t ended = 0;
    size_t early = 0;
    rng_init(&r, 1);
    for (uint64_t id = 1; id <= MANY; id++) {
        keeper_add(k, id, 1, rng_range(&r, 1000, 60000), true, 0);
    }
    for (uint64_t id = 2; id <= MANY; id += 2) {
        touched += keeper_touch(k, id, 1000);
    }
    ck_assert_uint_eq(touched, MANY / 2);
    for (uint64_t now = 0; now <= 61001; now = keeper_next_ms(k)) {
        while (suspect_all(k, now)) {
            size_t count = keeper_propose(k, due, 1000);
            for (size_t i = 0; i < count; i++) {
                early += now <= 1000 || (due[i].id % 2 == 0 && now <= 2000);
            }
            ended += count;
        }
    }
    ck_assert_uint_eq(ended, MANY);
    ck_assert_uint_eq(early, 0);
    keeper_free(k);
}
END_TEST

/* ---- against a model ----------------------------------------------------------------------- */

enum model_state { ABSENT, MODEL_KEPT, MODEL_SUSPECT, MODEL_PROPOSED };

struct model_lease {
    enum model_state state;
    uint64_t generation;
    uint64_t ttl_ms;
    uint64_t deadline_ms;
    bool renewable;
};

struct model {
    struct model_lease leases[LEASES];
    struct keeper *k;
    struct rng rng;
    uint64_t now_ms;
};

static void model_add(struct model *m, size_t id)
{
    struct model_lease *l = &m->leases[id];
    l->generation++;
    l->ttl_ms = rng_range(&m->rng, 500, 3000);
    l->renewable = !rng_chance(&m->rng, 100);
    l->deadline_ms = m->now_ms + l->ttl_ms;
    l->state = MODEL_KEPT;
    keeper_add(m->k, id, l->generation, l->ttl_ms, l->renewable, m->now_ms);
}

static void model_touch(struct model *m, size_t id)
{
    struct model_lease *l = &m->leases[id];
    bool expected = l->renewable && (l->state == MODEL_KEPT || l->state == MODEL_SUSPECT);
    ck_assert_int_eq(keeper_touch(m->k, id, m->now_ms), expected);
    if (expected) {
        l->state = MODEL_KEPT;
        l->deadline_ms = m->now_ms + l->ttl_ms;
    }
}

static void model_remove(struct model *m, size_t id)
{
    m->leases[id].state = ABSENT;
    keeper_remove(m->k, id);
}

static void model_suspect(struct model *m)
{
    bool expected = false;
    for (size_t id = 0; id < LEASES; id++) {
        struct model_lease *l = &m->leases[id];
        if (l->state == MODEL_KEPT && m->now_ms > l->deadline_ms) {
            l->state = MODEL_SUSPECT;
        }
        expected = expected || l->state == MODEL_SUSPECT;
    }
    ck_assert_int_eq(suspect_all(m->k, m->now_ms), expected);
    ck_assert_uint_gt(keeper_next_ms(m->k), m->now_ms);
}

static void model_propose(struct model *m)
{
    struct keeper_due due[LEASES];
    size_t max = (size_t)rng_range(&m->rng, 1, LEASES);
    size_t suspects = 0;
    for (size_t id = 0; id < LEASES; id++) {
        suspects += m->leases[id].state == MODEL_SUSPECT;
    }
    size_t count = keeper_propose(m->k, due, max);
    ck_assert_uint_eq(count, suspects < max ? suspects : max);
    for (size_t i = 0; i < count; i++) {
        struct model_lease *l = &m->leases[due[i].id];
        ck_assert_int_eq(l->state, MODEL_SUSPECT); /* never early, and no twice */
        ck_assert_uint_eq(due[i].generation, l->generation);
        l->state = MODEL_PROPOSED;
    }
}

/* One assertion for all leases: each costs a write to the runner. */
static void model_compare(const struct model *m)
{
    bool same = true;
    size_t count = 0;
    size_t proposed = 0;
    uint64_t first_ms = UINT64_MAX;
    for (size_t id = 0; id < LEASES; id++) {
        const struct model_lease *l = &m->leases[id];
        uint64_t left = 0;
        uint64_t left_expected =
            l->state != ABSENT && l->deadline_ms > m->now_ms ? l->deadline_ms - m->now_ms : 0;
        same = same && keeper_remaining(m->k, id, m->now_ms, &left) == (l->state != ABSENT) &&
               left == left_expected &&
               keeper_is_proposed(m->k, id) == (l->state == MODEL_PROPOSED);
        count += l->state != ABSENT;
        proposed += l->state == MODEL_PROPOSED;
        if (l->state == MODEL_KEPT && l->deadline_ms + 1 < first_ms) {
            first_ms = l->deadline_ms + 1;
        }
    }
    ck_assert(same);
    ck_assert_uint_eq(keeper_count(m->k), count);
    ck_assert_uint_eq(keeper_proposed_count(m->k), proposed);
    ck_assert_uint_le(keeper_next_ms(m->k), first_ms); /* never missed */
}

static void model_step(struct model *m)
{
    size_t id = (size_t)rng_below(&m->rng, LEASES);
    uint64_t dice = rng_below(&m->rng, 1000);
    if (dice < 250) {
        m->now_ms += rng_below(&m->rng, 60);
    } else if (dice < 255) { /* stopped for a while, or slept */
        m->now_ms += rng_below(&m->rng, 10000);
    } else if (dice < 300) {
        model_add(m, id); /* a grant, or a resume whatever its state */
    } else if (dice < 320) {
        model_remove(m, id);
    } else if (dice < 321) {
        keeper_clear(m->k);
        for (size_t i = 0; i < LEASES; i++) {
            m->leases[i].state = ABSENT;
        }
    } else if (dice < 800) {
        model_touch(m, id);
    } else if (dice < 950) {
        model_suspect(m);
    } else {
        model_propose(m);
    }
}

START_TEST(a_call_looks_at_no_more_leases_than_it_may)
{
    enum { DUE = 10000, AT_ONCE = 1000 };
    struct keeper *k = keeper_new();
    static struct keeper_due due[DUE];
    for (uint64_t id = 1; id <= DUE; id++) {
        keeper_add(k, id, 1, 1000, true, 0);
        if (id > DUE / 2) {
            (void)keeper_touch(k, id, 500); /* looked at for nothing */
        }
    }
    size_t proposed = 0;
    size_t calls = 0;
    while (keeper_next_ms(k) <= 1001) {
        (void)keeper_suspect(k, 1001, AT_ONCE);
        size_t count = keeper_propose(k, due, DUE);
        ck_assert_uint_le(count, AT_ONCE);
        proposed += count;
        calls++;
    }
    ck_assert_uint_eq(proposed, DUE / 2);
    ck_assert_uint_eq(calls, DUE / AT_ONCE);
    keeper_free(k);
}
END_TEST

START_TEST(any_sequence_of_calls_agrees_with_a_table_of_deadlines)
{
    struct model m = {.k = keeper_new(), .now_ms = 1000};
    rng_init(&m.rng, (uint64_t)_i);
    for (int step = 0; step < 5000; step++) {
        model_step(&m);
        model_compare(&m);
    }
    keeper_free(m.k);
}
END_TEST

static Suite *keeper_suite(void)
{
    Suite *suite = suite_create("keeper");
    TCase *tcase = tcase_create("keeper");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_lease_is_proposed_when_its_ttl_has_passed_and_not_before);
    tcase_add_test(tcase, a_touch_begins_the_ttl_anew);
    tcase_add_test(tcase, a_touch_never_brings_a_deadline_forward);
    tcase_add_test(tcase, what_is_unknown_not_renewable_or_proposed_is_not_touched);
    tcase_add_test(tcase, a_suspect_that_is_touched_before_the_round_ends_lives_on);
    tcase_add_test(tcase, a_resume_makes_a_proposed_lease_begin_anew);
    tcase_add_test(tcase, what_does_not_fit_is_proposed_with_the_next_lot);
    tcase_add_test(tcase, what_is_removed_or_cleared_in_any_state_is_gone);
    tcase_add_test(tcase, a_million_leases_are_kept_and_touched);
    tcase_add_test(tcase, a_call_looks_at_no_more_leases_than_it_may);
    tcase_add_loop_test(tcase, any_sequence_of_calls_agrees_with_a_table_of_deadlines, 1, 33);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){keeper_suite, NULL});
}
