/* The change log on its own: what it keeps, and that it has no gap. */
#include "store/history.h"

#include "base/slab.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

static struct history h;
static struct slab_heap *values;

static void setup(void)
{
    history_init(&h, 2);
    values = slab_heap_new();
}

static void teardown(void)
{
    ck_assert_uint_eq(history_sum(&h), h.sum);
    ck_assert_uint_eq(history_cost(&h), h.bytes);
    history_close(&h);
    slab_heap_free(values);
}

static void append(uint64_t revision, uint32_t sub, uint64_t cluster_ms, struct value *v)
{
    struct change c = {.revision = revision,
                       .sub = sub,
                       .type = CHANGE_CREATE,
                       .space = SPACE_NODES,
                       .path = slice_str("/path"),
                       .data = v,
                       .cluster_ms = cluster_ms,
                       .note = slice_str("why")};
    struct change_hashes hashes = change_hashes_make(&c);
    history_append(&h, &c, &hashes);
}

START_TEST(changes_keep_their_bytes_and_share_values)
{
    struct value *v = value_new(values, slice_str("value"));
    append(2, 0, 1, v);
    ck_assert_uint_eq(v->refs, 2);
    const struct change *c = history_at(&h, 0);
    ck_assert(slice_is(c->path, "/path"));
    ck_assert(slice_is(c->note, "why"));
    ck_assert_ptr_eq(c->data, v);
    value_unref(v);
}
END_TEST

START_TEST(what_is_popped_leaves_no_trace)
{
    append(2, 0, 1, NULL);
    uint64_t sum = h.sum;
    uint64_t bytes = h.bytes;
    for (uint32_t i = 0; i < 1000; i++) {
        append(3, i, 1, NULL);
    }
    history_pop(&h, 1);
    ck_assert_uint_eq(h.sum, sum);
    ck_assert_uint_eq(h.bytes, bytes);
    ck_assert(history_is_contiguous(&h, 2));
}
END_TEST

START_TEST(the_last_revisions_are_kept_however_old)
{
    for (uint64_t r = 2; r < 2 + HISTORY_REVISIONS_MIN; r++) {
        append(r, 0, 1, NULL);
    }
    history_trim(&h, HISTORY_REVISIONS_MIN + 1, 10 * HISTORY_AGE_MS_MAX);
    ck_assert_uint_eq(h.floor, 2);
    append(2 + HISTORY_REVISIONS_MIN, 0, 1, NULL);
    history_trim(&h, 2 + HISTORY_REVISIONS_MIN, 1 + HISTORY_AGE_MS_MAX);
    ck_assert_uint_eq(h.floor, 2); /* an hour, and not more */
    history_trim(&h, 2 + HISTORY_REVISIONS_MIN, 2 + HISTORY_AGE_MS_MAX);
    ck_assert_uint_eq(h.floor, 3);
    ck_assert(history_is_contiguous(&h, 2 + HISTORY_REVISIONS_MIN));
}
END_TEST

START_TEST(bytes_bound_the_log_in_two_steps)
{
    static uint8_t large[1 << 20];
    struct value *v = value_new(values, slice_make(large, sizeof large)); /* however many refer */
    uint64_t r = 2;
    for (; r < 600; r++) {
        append(r, 0, 1, v);
        history_trim(&h, r, 1);
        ck_assert_uint_le(h.bytes, HISTORY_BYTES_HARD_MAX);
    }
    ck_assert_uint_gt(h.floor, 2);
    ck_assert_uint_gt(h.bytes, HISTORY_BYTES_HARD_MAX - (2 << 20));
    for (; r < 700 + HISTORY_REVISIONS_MIN; r++) {
        append(r, 0, 1, NULL);
        history_trim(&h, r, 1);
    }
    ck_assert_uint_le(h.bytes, HISTORY_BYTES_MAX);
    ck_assert_uint_lt(h.floor, 600); /* no more went than had to */
    value_unref(v);
}
END_TEST

START_TEST(revisions_leave_whole)
{
    static uint8_t large[1 << 20];
    struct value *v = value_new(values, slice_make(large, sizeof large));
    for (uint32_t i = 0; i < 300; i++) {
        append(2, i, 1, v);
    }
    append(3, 0, 1, NULL);
    for (uint32_t i = 0; i < 300; i++) {
        append(4, i, 1, v);
    }
    history_trim(&h, 4, 1);
    ck_assert_uint_eq(h.floor, 3);
    ck_assert_uint_eq(h.end - h.begin, 301);
    value_unref(v);
}
END_TEST

START_TEST(held_changes_stay_readable_though_they_left)
{
    for (uint64_t r = 2; r < 20000; r++) {
        append(r, 0, 1, NULL);
    }
    history_set_hold(&h, 5);
    history_trim(&h, 19999, 2 + HISTORY_AGE_MS_MAX);
    ck_assert_uint_eq(h.floor, 20000 - HISTORY_REVISIONS_MIN);
    ck_assert_uint_eq(h.kept, 5);
    ck_assert_uint_eq(history_at(&h, 5)->revision, 7);
    for (uint64_t r = 20000; r < 40000; r++) { /* the ring grows around them */
        append(r, 0, 1, NULL);
    }
    ck_assert_uint_eq(history_at(&h, 5)->revision, 7);
    history_set_hold(&h, UINT64_MAX);
    ck_assert_uint_eq(h.kept, h.begin);
}
END_TEST

START_TEST(seek_finds_the_first_change_of_a_revision)
{
    for (uint64_t r = 2; r < 50; r++) {
        for (uint32_t sub = 0; sub < r % 3 + 1; sub++) {
            append(r, sub, 1, NULL);
        }
    }
    for (uint64_t r = 2; r < 50; r++) {
        const struct change *c = history_at(&h, history_seek(&h, r));
        ck_assert_uint_eq(c->revision, r);
        ck_assert_uint_eq(c->sub, 0);
    }
    ck_assert_uint_eq(history_seek(&h, 50), h.end);
}
END_TEST

START_TEST(sorting_finds_duplicates_and_contiguity_finds_gaps)
{
    append(4, 0, 1, NULL);
    append(2, 0, 1, NULL);
    append(3, 1, 1, NULL);
    append(3, 0, 1, NULL);
    ck_assert(history_sort(&h));
    ck_assert(history_is_contiguous(&h, 4));
    ck_assert(!history_is_contiguous(&h, 5));
    append(6, 0, 1, NULL);
    ck_assert(!history_is_contiguous(&h, 6));
    history_pop(&h, 4);
    append(4, 0, 1, NULL);
    ck_assert(!history_sort(&h));
}
END_TEST

START_TEST(equal_values_of_a_key_are_shared_again)
{
    for (uint64_t r = 2; r < 10; r++) {
        char before[8];
        char after[8];
        snprintf(before, sizeof before, "v%u", (unsigned)r - 1);
        snprintf(after, sizeof after, "v%u", (unsigned)r);
        struct change c = {.revision = r,
                           .type = CHANGE_SET,
                           .space = SPACE_NODES,
                           .path = slice_str("/a"),
                           .data = value_new(values, slice_str(after)),
                           .old_data = value_new(values, slice_str(before))};
        struct change_hashes hashes = change_hashes_make(&c);
        history_append(&h, &c, &hashes);
        value_unref(c.data);
        value_unref(c.old_data);
    }
    history_share(&h);
    for (uint64_t p = 1; p < h.end; p++) {
        ck_assert_ptr_eq(history_at(&h, p)->old_data, history_at(&h, p - 1)->data);
    }
}
END_TEST

START_TEST(the_floor_of_the_store_rises_with_its_log)
{
    struct kit k;
    kit_open(&k);
    ck_assert_uint_eq(store_history_floor(k.store), 2);
    kit_create(&k, "/a", "x");
    k.cluster_ms += 2 * HISTORY_AGE_MS_MAX;
    kit_set(&k, "/a", "y");
    ck_assert_uint_eq(store_history_floor(k.store), 2);
    ck_assert_uint_gt(store_history_bytes(k.store), 0);
    for (uint64_t i = 0; i < HISTORY_REVISIONS_MIN; i++) {
        kit_set(&k, "/a", "z");
    }
    ck_assert_uint_eq(store_history_floor(k.store), 3);
    store_check(k.store);
    kit_close(&k);
}
END_TEST

static Suite *history_suite(void)
{
    Suite *suite = suite_create("history");
    TCase *tcase = tcase_create("history");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, changes_keep_their_bytes_and_share_values);
    tcase_add_test(tcase, what_is_popped_leaves_no_trace);
    tcase_add_test(tcase, the_last_revisions_are_kept_however_old);
    tcase_add_test(tcase, bytes_bound_the_log_in_two_steps);
    tcase_add_test(tcase, revisions_leave_whole);
    tcase_add_test(tcase, held_changes_stay_readable_though_they_left);
    tcase_add_test(tcase, seek_finds_the_first_change_of_a_revision);
    tcase_add_test(tcase, sorting_finds_duplicates_and_contiguity_finds_gaps);
    tcase_add_test(tcase, equal_values_of_a_key_are_shared_again);
    tcase_add_test(tcase, the_floor_of_the_store_rises_with_its_log);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){history_suite, NULL});
}
