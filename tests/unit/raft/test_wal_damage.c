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

/* A value full of headers of records, each right for the place where it will lie in one of the
 * segments to come, each saying that everything is synced. It is the only entry of its segment. */
static void append_forged(struct fixture *x, uint64_t index)
{
    enum { IN_RECORD = 12 + 13 }; /* what stands in an entry's record before its payload */
    uint8_t payload[3000] = {0};
    const struct wal_segment *last = &x->wal->live.items[x->wal->live.count - 1];
    size_t at = WAL_HEADER_BYTES + WAL_RECORD_HEADER_BYTES + IN_RECORD;
    size_t first = (at + 7) & ~(size_t)7;
    uint64_t ahead = 0;

    for (size_t to = first; to + WAL_RECORD_HEADER_BYTES <= at + sizeof payload;
         to += WAL_RECORD_HEADER_BYTES) {
        struct buf b = {0};
        struct wal_position place = {last->id + 1 + ahead++ % 16, to};
        wal_record_end(&b, wal_record_begin(&b, WAL_WATERMARK), 0);
        wal_record_seal(&b, 0, place, 0, (struct wal_position){place.segment, UINT32_MAX});
        memcpy(payload + to - at, b.data, b.size);
        buf_close(&b);
    }
    struct wal_entry e = {
        .index = index, .term = 1, .type = 1, .payload = slice_make(payload, sizeof payload)};
    (void)wal_append(x->wal, &e, 1);
}

START_TEST(records_that_a_client_wrote_are_not_the_logs)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    for (uint64_t index = 1; index <= 60; index++) {
        append_forged(&x, index);
        settle(&x);
        wal_compact(x.wal, index);
        fake_env_run(&x.fake);
        ck_assert_uint_lt(x.wal->live.count, 4); /* they are used again */
        if (index % 5 == 0) {
            reopen(&x);
            ck_assert_uint_eq(x.found.entries[x.found.entry_count - 1].index, index);
            fake_env_run(&x.fake);
        }
    }
    /* A small record at the begin of a segment that was used before: what lies behind it is not
     * the log's either. */
    append_sized(&x, 61, 1, 1, 1500);
    settle(&x);
    reopen(&x);
    ck_assert_uint_eq(x.found.entries[x.found.entry_count - 1].index, 61);
    ck_assert_uint_eq(x.found.cut_bytes, 0);
    finish(&x);
}
END_TEST

/* ---- what the header of a segment says ---------------------------------------------------- */

static struct wal_header header_of(struct fixture *x, uint64_t id)
{
    struct wal_header h = {0};
    ck_assert_int_eq(wal_header_decode(buf_slice(segment_file(x, id)), &h), RC_OK);
    return h;
}

START_TEST(each_segment_has_a_salt_of_its_own)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    for (uint64_t i = 1; i <= 20; i++) {
        append_sized(&x, i, 1, 1, 1000);
        settle(&x);
    }
    for (uint64_t id = 2; id <= 5; id++) {
        struct wal_header before = header_of(&x, id - 1);
        struct wal_header h = header_of(&x, id);
        ck_assert_uint_eq(h.salt, before.next_salt);
        ck_assert_uint_ne(h.salt, 0);
        ck_assert_uint_ne(h.salt, before.salt);
    }
    reopen(&x);
    check_found(&x, 1, 20);
    finish(&x);
}
END_TEST

/* One segment, as the program wrote it that knew no salts. */
static void put_log_of_format_1(struct fixture *x)
{
    uint8_t header[WAL_HEADER_BYTES];
    struct buf b = {0};
    struct buf payload = {0};
    wal_header_encode(header, &(struct wal_header){.segment = 1,
                                                   .cluster_id = CLUSTER,
                                                   .node_id = NODE,
                                                   .state = {.next_index = 1}});
    buf_append(&b, header, sizeof header);
    pack_u32_at(&b, 8, 1);
    pack_u32_at(&b, WAL_HEADER_BYTES - 4, crc32c(0, b.data, WAL_HEADER_BYTES - 4));
    for (uint64_t index = 1; index <= 2; index++) {
        size_t at = wal_record_begin(&b, WAL_ENTRIES);
        payload_fill(&payload, index, 1, 40);
        pack_u64(&b, index);
        pack_u32(&b, 1);
        pack_u64(&b, 1);
        pack_u8(&b, 1);
        pack_bytes(&b, buf_slice(&payload));
        wal_record_end(&b, at, 0);
        wal_record_seal(&b, at, (struct wal_position){1, at}, 0, (struct wal_position){1, at});
    }
    memset(buf_extend(&b, x->segment_bytes - b.size), 0, x->segment_bytes - b.size);
    fake_env_put(&x->fake, DIR "/wal-0000000000000001.seg", buf_slice(&b));
    buf_close(&payload);
    buf_close(&b);
}

START_TEST(a_log_of_format_1_goes_on_in_format_2)
{
    struct fixture x;
    init(&x, 1);
    put_log_of_format_1(&x);
    open_log(&x);
    check_found(&x, 1, 2);
    for (uint64_t i = 3; i <= 20; i++) {
        append_sized(&x, i, 1, 1, 1000);
        settle(&x);
        reopen(&x);
        check_found(&x, 1, i);
    }
    ck_assert_uint_eq(segment_file(&x, 1)->data[8], 1);
    ck_assert_uint_eq(segment_file(&x, 2)->data[8], WAL_FORMAT);
    ck_assert_uint_eq(header_of(&x, 2).salt, 0); /* the header before it names none */
    ck_assert_uint_ne(header_of(&x, 3).salt, 0);
    finish(&x);
}
END_TEST

START_TEST(a_lost_header_behind_format_1_is_corruption)
{
    struct fixture x;
    init(&x, 1);
    put_log_of_format_1(&x);
    open_log(&x);
    for (uint64_t i = 3; i <= 7; i++) { /* three fit into one segment */
        append_sized(&x, i, 1, 1, 1000);
        settle(&x);
    }
    close_log(&x);
    memset(segment_file(&x, 2)->data, 0, WAL_HEADER_BYTES + 1000);
    fake_env_settle(&x.fake);
    ck_assert_int_eq(try_open(&x), RC_CORRUPT);
    ck_assert_ptr_nonnull(strstr(x.err.text, "damaged header"));
    fake_env_close(&x.fake);
}
END_TEST

/* Only the header that was under way when the power went can be torn. */
START_TEST(a_torn_header_behind_an_unused_segment_is_corruption)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    settle(&x);
    close_log(&x);
    ck_assert_ptr_nonnull(segment_file(&x, 3));
    flip(&x, 2, 20);
    open_log(&x);
    close_log(&x);
    flip(&x, 3, 20);
    ck_assert_int_eq(try_open(&x), RC_CORRUPT);
    ck_assert_ptr_nonnull(strstr(x.err.text, "wal-0000000000000003.seg: damaged header"));
    fake_env_close(&x.fake);
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
    tcase_add_test(damage, records_that_a_client_wrote_are_not_the_logs);
    tcase_add_test(damage, each_segment_has_a_salt_of_its_own);
    tcase_add_test(damage, a_log_of_format_1_goes_on_in_format_2);
    tcase_add_test(damage, a_lost_header_behind_format_1_is_corruption);
    tcase_add_test(damage, a_torn_header_behind_an_unused_segment_is_corruption);
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
