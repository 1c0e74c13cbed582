/* The table of leases against the simplest thing that could be meant, and the set of attached slots
 * of one lease. */
#include "lease/table.h"

#include "base/rng.h"
#include "tests/support/check_main.h"

static struct lease_table table;

static void setup(void)
{
    lease_table_init(&table);
}

static void teardown(void)
{
    lease_table_check(&table);
    lease_table_free(&table);
}

static struct lease *add(uint64_t id, enum lease_kind kind)
{
    struct lease what = {
        .id = id,
        .ttl_ms = 1000 + id % 7,
        .granted_ms = 5,
        .kind = (uint8_t)kind,
        .renewable = id % 2 == 0,
        .secret = "0123456789abcde",
        .owner = slice_str("owner"),
    };
    return lease_table_add(&table, &what);
}

START_TEST(a_lease_is_kept_as_it_was_added)
{
    char owner[] = "somebody";
    struct lease what = {
        .id = LEASE_ID_MAX,
        .ttl_ms = 700,
        .generation = 3,
        .granted_ms = 12,
        .kind = LEASE_SESSION,
        .renewable = true,
        .secret = "0123456789abcde",
        .owner = slice_str(owner),
    };
    struct lease *l = lease_table_add(&table, &what);
    owner[0] = '?'; /* a copy was taken */
    ck_assert_ptr_eq(lease_table_find(&table, LEASE_ID_MAX), l);
    ck_assert_uint_eq(l->ttl_ms, 700);
    ck_assert_uint_eq(l->generation, 3);
    ck_assert_uint_eq(l->granted_ms, 12);
    ck_assert(l->renewable);
    ck_assert(slice_is(l->owner, "somebody"));
    ck_assert_ptr_nonnull(l->window);
    ck_assert_uint_eq(table.count, 1);
    ck_assert_ptr_null(lease_table_next(&table, LEASE_ID_MAX));
    ck_assert_ptr_null(lease_table_next(&table, UINT64_MAX));
}
END_TEST

START_TEST(only_a_session_has_a_window)
{
    ck_assert_ptr_null(add(1, LEASE_PLAIN)->window);
    ck_assert_ptr_nonnull(add(2, LEASE_SESSION)->window);
}
END_TEST

START_TEST(resuming_moves_the_generation_and_the_digest)
{
    struct lease *l = add(7, LEASE_SESSION);
    uint64_t sum = table.sum;
    lease_table_resume(&table, l, 2500);
    ck_assert_uint_eq(l->generation, 1);
    ck_assert_uint_eq(l->ttl_ms, 2500);
    ck_assert_uint_ne(table.sum, sum);
    lease_table_check(&table);
    lease_table_resume(&table, l, 2500);
    ck_assert_uint_eq(l->generation, 2);
}
END_TEST

START_TEST(the_digest_depends_on_what_is_there_and_not_on_the_order)
{
    add(3, LEASE_PLAIN);
    add(9, LEASE_SESSION);
    lease_table_remove(&table, add(5, LEASE_SESSION));
    uint64_t sum = table.sum;
    uint64_t windows_sum = table.windows.sum;
    lease_table_free(&table);
    lease_table_init(&table);
    add(9, LEASE_SESSION);
    add(3, LEASE_PLAIN);
    ck_assert_uint_eq(table.sum, sum);
    ck_assert_uint_eq(table.windows.sum, windows_sum);
}
END_TEST

START_TEST(every_field_counts_in_the_digest)
{
    struct lease base = {
        .id = 7, .ttl_ms = 1, .kind = LEASE_PLAIN, .owner = slice_str("a"), .granted_ms = 2};
    struct lease variants[7];
    for (size_t i = 0; i < 7; i++) {
        variants[i] = base;
    }
    variants[1].ttl_ms = 2;
    variants[2].generation = 1;
    variants[3].granted_ms = 3;
    variants[4].renewable = true;
    variants[5].secret[15] = 1;
    variants[6].owner = slice_str("b");
    uint64_t sums[7];
    for (size_t i = 0; i < 7; i++) {
        struct lease *l = lease_table_add(&table, &variants[i]);
        sums[i] = table.sum;
        for (size_t j = 0; j < i; j++) {
            ck_assert_uint_ne(sums[j], sums[i]);
        }
        lease_table_remove(&table, l);
        ck_assert_uint_eq(table.sum, 0);
    }
}
END_TEST

/* Present or not, by a small id: the whole of the naive table. */
#define IDS 3000

static void check_walk(const bool *present)
{
    uint64_t after = 0;
    uint64_t count = 0;
    for (uint64_t id = 1; id <= IDS; id++) {
        const struct lease *l = lease_table_find(&table, id);
        ck_assert_int_eq(l != NULL, present[id]);
        if (present[id]) {
            const struct lease *next = lease_table_next(&table, after);
            ck_assert_ptr_eq(next, l);
            ck_assert_uint_eq(l->ttl_ms, 1000 + id % 7);
            after = id;
            count++;
        }
    }
    ck_assert_ptr_null(lease_table_next(&table, after));
    ck_assert_uint_eq(table.count, count);
}

START_TEST(random_leases_come_and_go_and_are_walked_in_order)
{
    static bool present[IDS + 1];
    struct rng rng;
    rng_init(&rng, (uint64_t)_i + 1);
    memset(present, 0, sizeof present);
    for (int phase = 0; phase < 6; phase++) {
        unsigned adding = phase % 2 == 0 ? 900 : 100; /* it fills, then empties */
        for (int i = 0; i < 4000; i++) {
            uint64_t id = rng_range(&rng, 1, IDS);
            if (present[id] && !rng_chance(&rng, adding)) {
                lease_table_remove(&table, lease_table_find(&table, id));
                present[id] = false;
            } else if (!present[id] && rng_chance(&rng, adding)) {
                add(id, rng_chance(&rng, 500) ? LEASE_PLAIN : LEASE_SESSION);
                present[id] = true;
            }
        }
        check_walk(present);
        lease_table_check(&table);
    }
}
END_TEST

START_TEST(a_table_emptied_from_either_end_is_empty)
{
    for (uint64_t id = 1; id <= 2000; id++) {
        add(_i == 0 ? id : 2001 - id, LEASE_PLAIN);
    }
    lease_table_check(&table);
    while (table.count > 0) {
        lease_table_remove(&table, lease_table_next(&table, 0));
    }
    ck_assert_uint_eq(table.sum, 0);
    ck_assert_ptr_null(lease_table_next(&table, 0));
    add(5, LEASE_PLAIN);
    ck_assert_uint_eq(lease_table_next(&table, 0)->id, 5);
}
END_TEST

/* ---- attached ----------------------------------------------------------------------------- */

#define SLOTS 5000

static void check_attached(const struct lease *l, const bool *present)
{
    static bool seen[SLOTS + 1];
    uint32_t cell = 0;
    uint32_t count = 0;
    memset(seen, 0, sizeof seen);
    for (uint32_t slot; (slot = lease_next_attached(l, &cell)) != 0; count++) {
        ck_assert_uint_le(slot, SLOTS);
        ck_assert(present[slot] && !seen[slot]);
        seen[slot] = true;
    }
    ck_assert_uint_eq(count, l->attached_count);
    for (uint32_t slot = 1; slot <= SLOTS; slot++) {
        ck_assert_int_eq(present[slot], seen[slot]);
        ck_assert_int_eq(present[slot], lease_has_attached(l, slot));
    }
}

START_TEST(attached_slots_are_a_set)
{
    static bool present[SLOTS + 1];
    struct lease *l = add(1, LEASE_PLAIN);
    struct rng rng;
    rng_init(&rng, (uint64_t)_i + 1);
    memset(present, 0, sizeof present);
    check_attached(l, present);
    for (int phase = 0; phase < 6; phase++) {
        unsigned adding = phase % 2 == 0 ? 900 : 50;
        for (int i = 0; i < 8000; i++) {
            uint32_t slot = (uint32_t)rng_range(&rng, 1, SLOTS);
            if (present[slot] && !rng_chance(&rng, adding)) {
                lease_detach(l, slot);
                present[slot] = false;
            } else if (!present[slot] && rng_chance(&rng, adding)) {
                lease_attach(l, slot);
                present[slot] = true;
            }
        }
        check_attached(l, present);
        lease_table_check(&table);
    }
    for (uint32_t slot = 1; slot <= SLOTS; slot++) {
        if (present[slot]) {
            lease_detach(l, slot);
            present[slot] = false;
        }
    }
    check_attached(l, present);
    ck_assert_uint_le(l->attached_capacity, 16); /* memory was given back */
}
END_TEST

START_TEST(a_hundred_thousand_slots_are_attached_and_detached)
{
    struct lease *l = add(1, LEASE_PLAIN);
    for (uint32_t i = 1; i <= 100000; i++) {
        lease_attach(l, i * 3);
    }
    ck_assert_uint_eq(l->attached_count, 100000);
    for (uint32_t i = 100000; i >= 1; i--) {
        lease_detach(l, i * 3);
    }
    ck_assert_uint_eq(l->attached_count, 0);
}
END_TEST

START_TEST(a_secret_matches_as_a_whole_only)
{
    struct lease *l = add(1, LEASE_SESSION);
    uint8_t secret[LEASE_SECRET_BYTES + 1];
    memcpy(secret, l->secret, LEASE_SECRET_BYTES);
    ck_assert(lease_secret_matches(l, slice_make(secret, LEASE_SECRET_BYTES)));
    ck_assert(!lease_secret_matches(l, slice_make(secret, LEASE_SECRET_BYTES - 1)));
    ck_assert(!lease_secret_matches(l, slice_make(secret, LEASE_SECRET_BYTES + 1)));
    ck_assert(!lease_secret_matches(l, slice_make(NULL, 0)));
    for (size_t i = 0; i < LEASE_SECRET_BYTES; i++) {
        secret[i] ^= 0x80;
        ck_assert(!lease_secret_matches(l, slice_make(secret, LEASE_SECRET_BYTES)));
        secret[i] ^= 0x80;
    }
}
END_TEST

static Suite *table_suite(void)
{
    Suite *suite = suite_create("lease table");
    TCase *tcase = tcase_create("table");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_lease_is_kept_as_it_was_added);
    tcase_add_test(tcase, only_a_session_has_a_window);
    tcase_add_test(tcase, resuming_moves_the_generation_and_the_digest);
    tcase_add_test(tcase, the_digest_depends_on_what_is_there_and_not_on_the_order);
    tcase_add_test(tcase, every_field_counts_in_the_digest);
    tcase_add_loop_test(tcase, random_leases_come_and_go_and_are_walked_in_order, 0, 4);
    tcase_add_loop_test(tcase, a_table_emptied_from_either_end_is_empty, 0, 2);
    tcase_add_loop_test(tcase, attached_slots_are_a_set, 0, 4);
    tcase_add_test(tcase, a_hundred_thousand_slots_are_attached_and_detached);
    tcase_add_test(tcase, a_secret_matches_as_a_whole_only);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){table_suite, NULL});
}
