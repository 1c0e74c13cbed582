/* A log whose files were torn, changed, lost or written by somebody else: what is cut, and what is
 * refused as corruption. */
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "tests/support/wal_kit.h"

/* Three durable batches, the last one without a watermark behind it. Returns where each begins. */
static void three_batches(struct fixture *x, size_t begin[4])
{
    open_log(x);
    for (uint64_t i = 0; i < 3; i++) {
        begin[i] = (size_t)wal_bytes(x->wal);
        append(x, i * 2 + 1, 2, 1);
        settle(x);
    }
    begin[3] = (size_t)wal_bytes(x->wal);
    close_log(x);
    fake_env_settle(&x->fake);
}

START_TEST(a_tail_torn_at_any_byte_is_cut)
{
    struct fixture x;
    size_t begin[4];
    init(&x, 1);
    three_batches(&x, begin);
    struct buf whole = {0};
    buf_append_slice(&whole, buf_slice(segment_file(&x, 1)));
    for (size_t at = begin[2]; at < begin[3]; at++) {
        struct buf *file = segment_file(&x, 1);
        memcpy(file->data, whole.data, whole.size);
        memset(file->data + at, 0, begin[3] - at);
        fake_env_settle(&x.fake);
        open_log(&x);
        /* Zeros at the end that were zeros before are no damage. */
        bool is_same = memcmp(whole.data + at, file->data + at, begin[3] - at) == 0;
        check_found(&x, 1, is_same ? 6 : 4);
        /* And what is written then is found, with nothing of the old tail behind it. */
        append(&x, is_same ? 7 : 5, 1, 2);
        settle(&x);
        reopen(&x);
        check_found(&x, 1, is_same ? 7 : 5);
        close_log(&x);
        fake_env_settle(&x.fake);
    }
    buf_close(&whole);
    fake_env_close(&x.fake);
}
END_TEST

START_TEST(a_flipped_bit_in_the_last_batch_is_cut)
{
    struct fixture x;
    size_t begin[4];
    init(&x, 1);
    three_batches(&x, begin);
    for (size_t at = begin[2]; at < begin[3]; at++) {
        struct buf whole = {0};
        buf_append_slice(&whole, buf_slice(segment_file(&x, 1)));
        flip(&x, 1, at);
        open_log(&x);
        check_found(&x, 1, 4);
        close_log(&x);
        memcpy(segment_file(&x, 1)->data, whole.data, whole.size);
        fake_env_settle(&x.fake);
        buf_close(&whole);
    }
    fake_env_close(&x.fake);
}
END_TEST

START_TEST(a_flipped_bit_below_the_watermark_is_corruption)
{
    struct fixture x;
    size_t begin[4];
    init(&x, 1);
    three_batches(&x, begin);
    for (size_t at = 0; at < begin[2]; at++) {
        char where[32];
        flip(&x, 1, at);
        ck_assert_int_eq(try_open(&x), RC_CORRUPT);
        ck_assert_ptr_null(x.wal);
        ck_assert_ptr_nonnull(strstr(x.err.text, "wal-0000000000000001.seg"));
        size_t record = at < begin[0] ? 0 : at < begin[1] ? begin[0] : begin[1];
        (void)snprintf(where, sizeof where, "offset %zu", record);
        ck_assert_msg(strstr(x.err.text, where) != NULL, "%s", x.err.text);
        flip(&x, 1, at);
    }
    fake_env_close(&x.fake);
}
END_TEST

START_TEST(what_lies_behind_a_cut_never_comes_back)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    size_t begin = (size_t)wal_bytes(x.wal);
    append(&x, 1, 1, 1);
    append(&x, 2, 1, 1);
    append(&x, 3, 1, 1);
    settle(&x);
    size_t record = ((size_t)wal_bytes(x.wal) - begin) / 3;
    close_log(&x);
    flip(&x, 1, begin + record + 60); /* in the second one; the third stays whole */
    open_log(&x);
    check_found(&x, 1, 1);
    ck_assert_uint_eq(x.found.cut_bytes, 2 * record);
    append(&x, 2, 1, 2); /* as long as the one cut */
    settle(&x);
    reopen(&x);
    check_found(&x, 1, 2);
    finish(&x);
}
END_TEST

START_TEST(an_idle_watermark_protects_the_last_batch)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    size_t begin = (size_t)wal_bytes(x.wal);
    append(&x, 1, 1, 1);
    settle(&x);
    fake_env_advance(&x.fake, WAL_WATERMARK_MS);
    wal_tick(x.wal, x.fake.now_us / 1000);
    fake_env_run(&x.fake);
    close_log(&x);
    flip(&x, 1, begin + 50);
    ck_assert_int_eq(try_open(&x), RC_CORRUPT);
    fake_env_close(&x.fake);
}
END_TEST

START_TEST(a_flipped_bit_in_a_full_segment_is_corruption)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    for (uint64_t i = 0; i < 20; i++) {
        append_sized(&x, i * 10 + 1, 10, 1, 100);
        settle(&x);
    }
    size_t ends[3];
    for (size_t i = 0; i < 3; i++) {
        ends[i] = (size_t)x.wal->live.items[i].end;
    }
    close_log(&x);
    for (uint64_t id = 1; id <= 3; id++) {
        for (size_t at = 0; at < ends[id - 1]; at += 7) {
            char name[WAL_NAME_BYTES];
            flip(&x, id, at);
            ck_assert_int_eq(try_open(&x), RC_CORRUPT);
            wal_name_print(name, WAL_NAME_SEGMENT, id);
            ck_assert_msg(strstr(x.err.text, name) != NULL, "%s", x.err.text);
            flip(&x, id, at);
        }
    }
    open_log(&x);
    check_found(&x, 1, 200);
    finish(&x);
}
END_TEST

START_TEST(a_missing_segment_is_corruption)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    for (uint64_t i = 0; i < 20; i++) {
        append_sized(&x, i * 10 + 1, 10, 1, 100);
        settle(&x);
    }
    close_log(&x);
    ck_assert_int_eq(x.fake.env.disk->unlink(&x.fake.env, DIR "/wal-0000000000000003.seg"),
                     RC_OK);
    ck_assert_int_eq(try_open(&x), RC_CORRUPT);
    ck_assert_ptr_nonnull(strstr(x.err.text, "wal-0000000000000003.seg"));
    fake_env_close(&x.fake);
}
END_TEST

START_TEST(old_records_of_a_recycled_segment_are_not_found)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    /* Records of equal size, so that old ones lie exactly behind the new ones. */
    uint64_t next = 1;
    for (int i = 0; i < 400; i++) {
        append_sized(&x, next, 1, 1, 100);
        next++;
        settle(&x);
        wal_compact(x.wal, next - 1);
        fake_env_run(&x.fake);
        if (i % 7 == 0) {
            close_log(&x);
            fake_env_power_cut(&x.fake);
            open_log(&x);
            ck_assert_uint_eq(x.found.entries[x.found.entry_count - 1].index, next - 1);
            fake_env_run(&x.fake);
        }
    }
    finish(&x);
}
END_TEST

/* ---- whose log ---------------------------------------------------------------------------- */

START_TEST(another_clusters_log_is_refused)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    close_log(&x);
    x.cluster_id = 0xc2;
    ck_assert_int_eq(try_open(&x), RC_INVALID);
    ck_assert_ptr_nonnull(strstr(x.err.text, "00000000000000c1"));
    ck_assert_ptr_nonnull(strstr(x.err.text, "00000000000000c2"));
    fake_env_close(&x.fake);
}
END_TEST

/* Header and first record are gone, as with a block that went bad: what is left says that there was
 * a log. It must not be taken for a new one, nor the segment for one that waits to be used. */
START_TEST(a_lost_beginning_of_a_segment_is_corruption)
{
    for (uint64_t id = 1; id <= 2; id++) {
        struct fixture x;
        init(&x, 1);
        open_log(&x);
        for (uint64_t i = 0; i < id * 3 - 1; i++) { /* three fit into one segment */
            append_sized(&x, 1 + i, 1, 7, 1000);
            settle(&x);
        }
        close_log(&x);
        struct buf *file = segment_file(&x, id);
        memset(file->data, 0, WAL_HEADER_BYTES + 1000);
        fake_env_settle(&x.fake);
        ck_assert_int_eq(try_open(&x), RC_CORRUPT);
        ck_assert_ptr_nonnull(strstr(x.err.text, "damaged header"));
        fake_env_close(&x.fake);
    }
}
END_TEST

START_TEST(a_newer_format_is_unsupported)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    close_log(&x);
    struct buf *file = segment_file(&x, 1);
    pack_u32_at(file, 8, WAL_FORMAT + 1);
    pack_u32_at(file, WAL_HEADER_BYTES - 4, crc32c(0, file->data, WAL_HEADER_BYTES - 4));
    fake_env_settle(&x.fake);
    ck_assert_int_eq(try_open(&x), RC_UNSUPPORTED);
    fake_env_close(&x.fake);
}
END_TEST

static Suite *wal_damage_suite(void)
{
    Suite *suite = suite_create("wal_damage");
    TCase *damage = tcase_create("damage");
    tcase_set_timeout(damage, 60);
    tcase_add_test(damage, a_tail_torn_at_any_byte_is_cut);
    tcase_add_test(damage, a_flipped_bit_in_the_last_batch_is_cut);
    tcase_add_test(damage, a_flipped_bit_below_the_watermark_is_corruption);
    tcase_add_test(damage, what_lies_behind_a_cut_never_comes_back);
    tcase_add_test(damage, an_idle_watermark_protects_the_last_batch);
    tcase_add_test(damage, a_flipped_bit_in_a_full_segment_is_corruption);
    tcase_add_test(damage, a_missing_segment_is_corruption);
    tcase_add_test(damage, old_records_of_a_recycled_segment_are_not_found);
    tcase_add_test(damage, another_clusters_log_is_refused);
    tcase_add_test(damage, a_lost_beginning_of_a_segment_is_corruption);
    tcase_add_test(damage, a_newer_format_is_unsupported);
    suite_add_tcase(suite, damage);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){wal_damage_suite, NULL});
}
