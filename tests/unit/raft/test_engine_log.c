/* Entries in memory against a plain array: indexes, bytes, and payloads in chunks that are freed
 * with their last one (which the address sanitizer watches). */
#include "raft/engine_log.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/check_main.h"

#define STEPS   20000
#define ENTRIES 4096

/* Appends `count` entries of so many bytes each, each with its index inside. */
static void append_bytes(struct engine_log *l, uint64_t term, size_t count, size_t bytes)
{
    uint8_t *payload = mem_alloc(bytes);
    for (size_t i = 0; i < count; i++) {
        uint64_t index = engine_log_last(l) + 1;
        memset(payload, (int)(index % 251), bytes);
        struct engine_entry *entry = engine_log_append(l, term, 1, slice_make(payload, bytes));
        ck_assert_uint_eq(entry->term, term);
    }
    mem_free(payload);
}

static void append(struct engine_log *l, uint64_t term, size_t count)
{
    append_bytes(l, term, count, 5);
}

static void check_entry(const struct engine_log *l, uint64_t index, uint64_t term)
{
    const struct engine_entry *entry = engine_log_find(l, index);
    ck_assert_ptr_nonnull(entry);
    ck_assert_uint_eq(entry->term, term);
    ck_assert_uint_eq(entry->payload.size, 5);
    ck_assert_uint_eq(entry->payload.data[4], index % 251);
}

START_TEST(an_empty_log_ends_before_its_first_entry)
{
    struct engine_log l;
    engine_log_init(&l, 7);
    ck_assert_uint_eq(engine_log_last(&l), 6);
    ck_assert_ptr_null(engine_log_find(&l, 6));
    ck_assert_ptr_null(engine_log_find(&l, 7));
    ck_assert_ptr_null(engine_log_find(&l, UINT64_MAX));
    engine_log_truncate(&l, 1);
    engine_log_trim(&l, 100);
    ck_assert_uint_eq(engine_log_last(&l), 6);
    engine_log_close(&l);
}
END_TEST

START_TEST(a_payload_lives_as_long_as_its_entry)
{
    struct engine_log l;
    engine_log_init(&l, 1);
    append(&l, 1, 3);
    engine_log_trim(&l, 2);
    engine_log_truncate(&l, 3);
    ck_assert_uint_eq(l.bytes, 5);
    check_entry(&l, 2, 1);
    engine_log_truncate(&l, 2);
    ck_assert_uint_eq(l.bytes, 0);
    engine_log_close(&l);
}
END_TEST

START_TEST(an_entry_without_payload_needs_no_memory)
{
    struct engine_log l;
    engine_log_init(&l, 1);
    engine_log_append(&l, 1, 2, slice_make(NULL, 0));
    ck_assert_uint_eq(engine_log_last(&l), 1);
    ck_assert_uint_eq(l.bytes, 0);
    engine_log_close(&l);
}
END_TEST

START_TEST(a_reset_forgets_everything_and_goes_on_elsewhere)
{
    struct engine_log l;
    engine_log_init(&l, 1);
    append(&l, 1, 10);
    engine_log_reset(&l, 50);
    ck_assert_uint_eq(engine_log_last(&l), 49);
    ck_assert_uint_eq(l.bytes, 0);
    append(&l, 2, 2);
    check_entry(&l, 51, 2);
    ck_assert_ptr_null(engine_log_find(&l, 10));
    engine_log_close(&l);
}
END_TEST

START_TEST(a_forgotten_payload_can_come_back)
{
    struct engine_log l;
    engine_log_init(&l, 1);
    append_bytes(&l, 1, 10, 100000); /* some chunks */
    engine_log_forget(&l, 9, 350000);
    ck_assert_uint_eq(l.bytes, 300000);
    ck_assert_uint_eq(l.held, 8);
    engine_log_forget(&l, 9, 0);
    ck_assert_uint_eq(l.held, 9);
    ck_assert_ptr_null(engine_log_find(&l, 3)->payload.data);
    ck_assert_uint_eq(engine_log_find(&l, 3)->payload.size, 100000);

    uint8_t *payload = mem_alloc(100000);
    memset(payload, 3, 100000);
    ck_assert(!engine_log_restore(&l, 3, 2, slice_make(payload, 100000))); /* another term */
    ck_assert(!engine_log_restore(&l, 3, 1, slice_make(payload, 99999)));
    ck_assert(!engine_log_restore(&l, 9, 1, slice_make(payload, 100000))); /* not forgotten */
    ck_assert(!engine_log_restore(&l, 11, 1, slice_make(payload, 100000)));
    ck_assert(engine_log_restore(&l, 3, 1, slice_make(payload, 100000)));
    ck_assert(!engine_log_restore(&l, 3, 1, slice_make(payload, 100000)));
    ck_assert(engine_log_restore(&l, 4, 1, slice_make(payload, 100000)));
    ck_assert(engine_log_restore(&l, 5, 1, slice_make(payload, 100000)));
    mem_free(payload);
    ck_assert_uint_eq(engine_log_find(&l, 3)->payload.data[99999], 3);
    ck_assert_uint_eq(l.bytes, 200000);
    ck_assert_uint_eq(l.restored_bytes, 300000);
    engine_log_trim(&l, 4);
    engine_log_release(&l, 3, 5);
    ck_assert_uint_eq(l.restored_bytes, 100000);
    ck_assert_ptr_null(engine_log_find(&l, 4)->payload.data);
    ck_assert_ptr_nonnull(engine_log_find(&l, 5)->payload.data);
    engine_log_truncate(&l, 6);
    ck_assert_uint_eq(l.held, 6);
    append(&l, 2, 1);
    check_entry(&l, 6, 2);
    engine_log_close(&l);
}
END_TEST

START_TEST(any_run_of_operations_matches_an_array)
{
    struct rng rng;
    struct engine_log l;
    uint64_t *terms = mem_zalloc((ENTRIES + 1) * sizeof *terms);
    uint64_t first = 1;
    uint64_t last = 0;
    uint64_t term = 1;
    rng_init(&rng, (uint64_t)_i + 1);
    engine_log_init(&l, 1);
    for (int step = 0; step < STEPS && last + 64 < ENTRIES; step++) {
        term += rng_chance(&rng, 50);
        if (rng_chance(&rng, 400)) {
            size_t count = 1 + (size_t)rng_below(&rng, 5);
            append(&l, term, count);
            while (count-- > 0) {
                terms[++last] = term;
            }
        } else if (rng_chance(&rng, 500) && last >= first) {
            uint64_t from = first + rng_below(&rng, last - first + 1);
            from = last - from > 4 ? last - 3 : from; /* else it would never grow */
            engine_log_truncate(&l, from);
            last = from - 1;
        } else if (last >= first) {
            first += rng_below(&rng, (last - first) / 8 + 1);
            engine_log_trim(&l, first);
        }
        ck_assert_uint_eq(engine_log_last(&l), last);
        ck_assert_uint_eq(l.bytes, 5 * (last + 1 - first));
        ck_assert_ptr_null(engine_log_find(&l, first - 1));
        ck_assert_ptr_null(engine_log_find(&l, last + 1));
        if (last >= first) {
            uint64_t any = first + rng_below(&rng, last - first + 1);
            check_entry(&l, any, terms[any]);
        }
    }
    ck_assert_uint_gt(last, 100);
    engine_log_close(&l);
    mem_free(terms);
}
END_TEST

static Suite *engine_log_suite(void)
{
    Suite *suite = suite_create("engine_log");
    TCase *tcase = tcase_create("engine_log");
    tcase_add_test(tcase, an_empty_log_ends_before_its_first_entry);
    tcase_add_test(tcase, a_payload_lives_as_long_as_its_entry);
    tcase_add_test(tcase, an_entry_without_payload_needs_no_memory);
    tcase_add_test(tcase, a_reset_forgets_everything_and_goes_on_elsewhere);
    tcase_add_test(tcase, a_forgotten_payload_can_come_back);
    tcase_add_loop_test(tcase, any_run_of_operations_matches_an_array, 0, 5);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){engine_log_suite, NULL});
}
