/* The log while all is well: what is appended is found again, superseded, read back, compacted. */
#include "tests/support/wal_kit.h"

START_TEST(a_new_log_is_empty)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    ck_assert(x.found.is_new);
    ck_assert_uint_eq(x.found.entry_count, 0);
    ck_assert_uint_eq(x.found.term, 0);
    ck_assert(!wal_is_short(x.wal));
    reopen(&x);
    ck_assert(x.found.is_new); /* nothing has been written to it */
    wal_set_term(x.wal, 1, 0);
    settle(&x);
    reopen(&x);
    ck_assert(!x.found.is_new);
    ck_assert_uint_eq(x.found.entry_count, 0);
    finish(&x);
}
END_TEST

START_TEST(what_is_durable_is_found_again)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    uint64_t voted = wal_set_term(x.wal, 7, 3);
    uint64_t appended = append(&x, 1, 20, 7);
    ck_assert_uint_lt(voted, appended);
    ck_assert_uint_eq(x.durable, 0); /* never from inside a call */
    settle(&x);
    ck_assert_uint_eq(x.durable, appended);
    ck_assert_uint_eq(wal_durable(x.wal), appended);
    close_log(&x);
    fake_env_power_cut(&x.fake);
    open_log(&x);
    ck_assert_uint_eq(x.found.term, 7);
    ck_assert_uint_eq(x.found.vote, 3);
    check_found(&x, 1, 20);
    ck_assert_uint_eq(x.found.cut_bytes, 0);
    finish(&x);
}
END_TEST

START_TEST(one_sync_carries_all_that_waited)
{
    struct fixture x;
    init(&x, 1);
    x.segment_bytes = 1 << 20;
    open_log(&x);
    fake_env_run(&x.fake);
    uint64_t syncs = x.fake.syncs;
    append(&x, 1, 1, 1);
    wal_flush(x.wal);
    for (uint64_t i = 2; i <= 50; i++) {
        append(&x, i, 1, 1);
        wal_flush(x.wal);
    }
    fake_env_run(&x.fake);
    ck_assert_uint_eq(x.durable, 50);
    ck_assert_uint_eq(x.fake.syncs - syncs, 2);
    finish(&x);
}
END_TEST

START_TEST(an_append_at_a_lower_index_supersedes)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    append(&x, 1, 30, 1);
    settle(&x);
    append(&x, 11, 5, 2);
    settle(&x);
    reopen(&x);
    check_found(&x, 1, 15);
    ck_assert_uint_eq(x.found.entries[9].term, 1);
    ck_assert_uint_eq(x.found.entries[10].term, 2);
    finish(&x);
}
END_TEST

START_TEST(a_batch_larger_than_a_segment_is_split)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    for (uint64_t i = 0; i < 40; i++) {
        append_sized(&x, i * 10 + 1, 10, 1, 300);
    }
    settle(&x);
    ck_assert_uint_eq(x.durable, 40);
    ck_assert_uint_gt(wal_bytes(x.wal), 40 * 10 * 300);
    close_log(&x);
    fake_env_power_cut(&x.fake);
    open_log(&x);
    check_found(&x, 1, 400);
    finish(&x);
}
END_TEST

static void on_fetched(void *context, enum status rc, const struct wal_entry *entries,
                       size_t count)
{
    struct fixture *x = context;
    x->fetch_rc = rc;
    x->fetched = count;
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(entries[i].index, entries[0].index + i);
        check_payload(&entries[i]);
    }
}

/* Asks for entries of one term; how many come. */
static size_t fetch(struct fixture *x, uint64_t first, size_t count, uint64_t term)
{
    uint64_t terms[64];
    for (size_t i = 0; i < count; i++) {
        terms[i] = term;
    }
    wal_fetch(x->wal, first, terms, count, on_fetched);
    ck_assert(wal_is_fetching(x->wal));
    fake_env_run(&x->fake);
    ck_assert(!wal_is_fetching(x->wal));
    ck_assert_int_eq(x->fetch_rc, x->fetched > 0 ? RC_OK : RC_NOT_FOUND);
    return x->fetched;
}

START_TEST(entries_are_read_back_by_index_and_term)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    for (uint64_t first = 1; first <= 400; first += 20) { /* 400 entries in many segments */
        append_sized(&x, first, 20, 3, 200);
        settle(&x);
    }
    append_sized(&x, 390, 20, 5, 700); /* 390 to 400 are superseded */
    settle(&x);
    ck_assert_uint_eq(fetch(&x, 1, 1, 3), 1);
    ck_assert_uint_eq(fetch(&x, 2, 50, 3), 50);   /* goes on in the same record */
    ck_assert_uint_eq(fetch(&x, 52, 50, 3), 50);  /* and behind it */
    ck_assert_uint_eq(fetch(&x, 200, 60, 3), 60); /* elsewhere */
    ck_assert_uint_eq(fetch(&x, 10, 5, 3), 5);    /* and back */
    ck_assert_uint_eq(fetch(&x, 10, 5, 4), 0);
    ck_assert_uint_eq(fetch(&x, 380, 10, 3), 10);
    ck_assert_uint_eq(fetch(&x, 390, 20, 5), 20);
    ck_assert_uint_eq(fetch(&x, 405, 20, 5), 5); /* there are no more */
    ck_assert_uint_eq(fetch(&x, 410, 1, 5), 0);
    finish(&x);
}
END_TEST

START_TEST(what_was_compacted_is_not_read_back)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    for (uint64_t first = 1; first <= 400; first += 20) {
        append_sized(&x, first, 20, 3, 200);
        settle(&x);
    }
    uint64_t terms[1] = {3};
    wal_fetch(x.wal, 1, terms, 1, on_fetched);
    wal_compact(x.wal, 300); /* while it is read, or before */
    fake_env_run(&x.fake);
    ck_assert_int_eq(x.fetch_rc, x.fetched == 1 ? RC_OK : RC_NOT_FOUND);
    for (uint64_t first = 401; first <= 800; first += 20) { /* recycles */
        append_sized(&x, first, 20, 3, 200);
        settle(&x);
    }
    ck_assert_uint_eq(fetch(&x, 1, 10, 3), 0);
    ck_assert_uint_eq(fetch(&x, 300, 10, 3), 10);
    wal_fetch(x.wal, 300, terms, 1, on_fetched); /* is under way when the log is closed */
    finish(&x);
}
END_TEST

START_TEST(a_damaged_entry_is_not_read_back)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    append(&x, 1, 10, 3);
    settle(&x);
    append(&x, 11, 10, 3);
    settle(&x);
    ck_assert_uint_eq(fetch(&x, 1, 20, 3), 20);
    flip(&x, 1, x.wal->fetch.ended.offset + WAL_RECORD_HEADER_BYTES + 20);
    ck_assert_uint_eq(fetch(&x, 1, 20, 3), 10);
    ck_assert_uint_eq(fetch(&x, 11, 1, 3), 0);
    ck_assert_int_eq(x.failures, 0);
    finish(&x);
}
END_TEST

START_TEST(a_record_larger_than_a_segment_gets_a_larger_one)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    append_sized(&x, 1, 1, 1, 100);
    append_sized(&x, 2, 1, 1, 20000);
    append_sized(&x, 3, 3, 1, 100);
    settle(&x);
    ck_assert_uint_eq(x.durable, 3);
    reopen(&x);
    check_found(&x, 1, 5);
    finish(&x);
}
END_TEST

START_TEST(a_reset_empties_the_log_and_frees_segments)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    wal_set_term(x.wal, 4, 2);
    for (uint64_t i = 0; i < 20; i++) {
        append_sized(&x, i * 10 + 1, 10, 1, 100);
        settle(&x);
    }
    uint64_t before = wal_bytes(x.wal);
    wal_reset(x.wal, 1000, 3);
    append(&x, 1001, 2, 4);
    settle(&x);
    ck_assert_uint_lt(wal_bytes(x.wal), before / 2);
    close_log(&x);
    fake_env_power_cut(&x.fake);
    open_log(&x);
    check_found(&x, 1001, 2);
    ck_assert_uint_eq(x.found.reset_index, 1000);
    ck_assert_uint_eq(x.found.reset_term, 3);
    ck_assert_uint_eq(x.found.term, 4);
    ck_assert_uint_eq(x.found.vote, 2);
    finish(&x);
}
END_TEST

START_TEST(compaction_recycles_and_bounds_the_disk)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    wal_set_term(x.wal, 9, 1);
    for (uint64_t i = 0; i < 300; i++) {
        append_sized(&x, i * 10 + 1, 10, 9, 100);
        settle(&x);
        wal_compact(x.wal, i * 10 + 1);
        fake_env_run(&x.fake);
        ck_assert_uint_le(fake_env_file_count(&x.fake),
                          2 + WAL_RESERVE_SEGMENTS + WAL_SPARES_MAX);
    }
    close_log(&x);
    fake_env_power_cut(&x.fake);
    open_log(&x);
    ck_assert_uint_eq(x.found.term, 9); /* its record went with the first segment */
    ck_assert_uint_eq(x.found.vote, 1);
    ck_assert_uint_le(x.found.entries[0].index, 2991);
    ck_assert_uint_eq(x.found.entries[x.found.entry_count - 1].index, 3000);
    finish(&x);
}
END_TEST

START_TEST(an_idle_log_writes_one_watermark)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    fake_env_run(&x.fake);
    append(&x, 1, 1, 1);
    settle(&x);
    uint64_t syncs = x.fake.syncs;
    uint64_t bytes = wal_bytes(x.wal);
    ck_assert_uint_eq(wal_next_deadline_ms(x.wal), x.fake.now_us / 1000 + WAL_WATERMARK_MS);
    fake_env_advance(&x.fake, WAL_WATERMARK_MS);
    wal_tick(x.wal, x.fake.now_us / 1000);
    fake_env_run(&x.fake);
    ck_assert_uint_eq(wal_bytes(x.wal), bytes + WAL_RECORD_HEADER_BYTES);
    ck_assert_uint_eq(x.fake.syncs, syncs);
    ck_assert_uint_eq(wal_next_deadline_ms(x.wal), UINT64_MAX);
    fake_env_advance(&x.fake, 10 * WAL_WATERMARK_MS);
    wal_tick(x.wal, x.fake.now_us / 1000);
    fake_env_run(&x.fake);
    ck_assert_uint_eq(wal_bytes(x.wal), bytes + WAL_RECORD_HEADER_BYTES);
    finish(&x);
}
END_TEST

static Suite *wal_suite(void)
{
    Suite *suite = suite_create("wal");
    TCase *basics = tcase_create("basics");
    tcase_add_test(basics, a_new_log_is_empty);
    tcase_add_test(basics, what_is_durable_is_found_again);
    tcase_add_test(basics, one_sync_carries_all_that_waited);
    tcase_add_test(basics, an_append_at_a_lower_index_supersedes);
    tcase_add_test(basics, a_batch_larger_than_a_segment_is_split);
    tcase_add_test(basics, entries_are_read_back_by_index_and_term);
    tcase_add_test(basics, what_was_compacted_is_not_read_back);
    tcase_add_test(basics, a_damaged_entry_is_not_read_back);
    tcase_add_test(basics, a_record_larger_than_a_segment_gets_a_larger_one);
    tcase_add_test(basics, a_reset_empties_the_log_and_frees_segments);
    tcase_add_test(basics, compaction_recycles_and_bounds_the_disk);
    tcase_add_test(basics, an_idle_log_writes_one_watermark);
    suite_add_tcase(suite, basics);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){wal_suite, NULL});
}
