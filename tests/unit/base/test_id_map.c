#include "base/id_map.h"

#include "base/hash.h"
#include "base/rng.h"
#include "tests/support/check_main.h"

#define IDS 512

START_TEST(an_empty_map_has_nothing_and_loses_nothing)
{
    struct id_map m = {0};
    ck_assert_ptr_null(id_map_get(&m, 7));
    ck_assert_ptr_null(id_map_remove(&m, 7));
    id_map_close(&m);
}
END_TEST

START_TEST(an_id_is_found_until_it_is_removed_and_replaced_when_set_again)
{
    struct id_map m = {0};
    int a;
    int b;
    id_map_set(&m, 0, &a);
    id_map_set(&m, UINT64_MAX, &b);
    ck_assert_ptr_eq(id_map_get(&m, 0), &a);
    ck_assert_ptr_eq(id_map_get(&m, UINT64_MAX), &b);
    id_map_set(&m, 0, &b);
    ck_assert_uint_eq(m.count, 2);
    ck_assert_ptr_eq(id_map_remove(&m, 0), &b);
    ck_assert_ptr_null(id_map_get(&m, 0));
    ck_assert_ptr_eq(id_map_get(&m, UINT64_MAX), &b);
    id_map_close(&m);
}
END_TEST

/* Few ids, set and removed again and again: long runs of slots, and holes in them. */
START_TEST(any_sequence_of_calls_leaves_what_an_array_would_hold)
{
    struct id_map m = {0};
    struct rng r;
    void *model[IDS] = {0};
    char values[IDS];
    size_t count = 0;
    rng_init(&r, (uint64_t)_i);
    for (int step = 0; step < 8000; step++) {
        size_t id = (size_t)rng_below(&r, IDS);
        if (rng_chance(&r, step / 2000 % 2 == 0 ? 700 : 300)) {
            count += model[id] == NULL;
            model[id] = &values[rng_below(&r, IDS)];
            id_map_set(&m, id, model[id]);
        } else {
            count -= model[id] != NULL;
            ck_assert_ptr_eq(id_map_remove(&m, id), model[id]);
            model[id] = NULL;
        }
        size_t other = (size_t)rng_below(&r, IDS);
        ck_assert_ptr_eq(id_map_get(&m, other), model[other]);
        ck_assert_uint_eq(m.count, count);
    }
    for (size_t id = 0; id < IDS; id++) {
        ck_assert_ptr_eq(id_map_get(&m, id), model[id]);
    }
    id_map_close(&m);
}
END_TEST

/* Ids that met in a thousandth of the slots while where they went was known. */
START_TEST(ids_chosen_for_a_known_hash_do_not_meet)
{
    enum { CHOSEN = 20000 };
    struct id_map m = {0};
    for (uint64_t id = 1; m.count < CHOSEN; id++) {
        if ((hash_mix(id, UINT64_C(0x9e3779b97f4a7c15)) & 0xfffff) < 1000) {
            id_map_set(&m, id, &m);
        }
    }
    size_t run = 0;
    size_t longest = 0;
    for (size_t i = 0; i < m.capacity; i++) {
        run = m.slots[i].value != NULL ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    ck_assert_uint_lt(longest, CHOSEN / 20);
    id_map_close(&m);
}
END_TEST

static Suite *id_map_suite(void)
{
    Suite *suite = suite_create("id_map");
    TCase *tcase = tcase_create("id_map");
    tcase_add_test(tcase, an_empty_map_has_nothing_and_loses_nothing);
    tcase_add_test(tcase, an_id_is_found_until_it_is_removed_and_replaced_when_set_again);
    tcase_add_test(tcase, ids_chosen_for_a_known_hash_do_not_meet);
    tcase_add_loop_test(tcase, any_sequence_of_calls_leaves_what_an_array_would_hold, 1, 9);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){id_map_suite, NULL});
}
