#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "raft/wal_internal.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"

#define DIR     "log"
#define CLUSTER 0xc1
#define NODE    0xa1

struct fixture {
    struct fake_env fake;
    struct wal *wal;
    struct wal_recovery found;
    struct errmsg err;
    uint64_t durable; /* as told by the callback */
    enum status failed;
    int failures;
    size_t segment_bytes;
    uint64_t cluster_id;
    size_t fetched; /* by the last fetch */
    enum status fetch_rc;
};

static void on_durable(void *context, uint64_t ticket)
{
    struct fixture *x = context;
    ck_assert_uint_gt(ticket, x->durable);
    ck_assert_int_eq(x->failures, 0);
    x->durable = ticket;
}

static void on_failed(void *context, enum status rc)
{
    struct fixture *x = context;
    x->failed = rc;
    x->failures++;
}

static void init(struct fixture *x, uint64_t seed)
{
    *x = (struct fixture){.segment_bytes = 4096, .cluster_id = CLUSTER};
    fake_env_init(&x->fake, seed);
}

static enum status try_open(struct fixture *x)
{
    struct wal_options options = {
        .segment_bytes = x->segment_bytes, .cluster_id = x->cluster_id, .node_id = NODE};
    struct wal_events events = {.durable = on_durable, .failed = on_failed};
    x->durable = 0;
    x->failures = 0;
    x->err = (struct errmsg){0};
    return wal_open(&x->fake.env, DIR, &options, &events, x, &x->wal, &x->found, &x->err);
}

static void open_log(struct fixture *x)
{
    enum status rc = try_open(x);
    ck_assert_msg(rc == RC_OK, "%s: %s", status_text(rc), x->err.text);
}

static void close_log(struct fixture *x)
{
    wal_recovery_close(&x->found);
    wal_close(x->wal);
    x->wal = NULL;
}

static void finish(struct fixture *x)
{
    close_log(x);
    fake_env_close(&x->fake);
}

static void reopen(struct fixture *x)
{
    close_log(x);
    open_log(x);
}

/* Flushes and runs until everything appended is durable. */
static void settle(struct fixture *x)
{
    wal_flush(x->wal);
    fake_env_run(&x->fake);
}

/* The payload of an entry follows from its index and term. */
static void payload_fill(struct buf *b, uint64_t index, uint64_t term, size_t bytes)
{
    struct rng rng;
    rng_init(&rng, index * 1000003 + term);
    buf_clear(b);
    while (b->size < bytes) {
        uint64_t v = rng_next(&rng);
        buf_append(b, &v, bytes - b->size < sizeof v ? bytes - b->size : sizeof v);
    }
}

static uint64_t append_sized(struct fixture *x, uint64_t first, size_t count, uint64_t term,
                             size_t bytes)
{
    struct wal_entry entries[64];
    struct buf payloads[64] = {0};
    ck_assert_uint_le(count, 64);
    for (size_t i = 0; i < count; i++) {
        payload_fill(&payloads[i], first + i, term, bytes);
        entries[i] = (struct wal_entry){
            .index = first + i, .term = term, .type = 1, .payload = buf_slice(&payloads[i])};
    }
    uint64_t ticket = wal_append(x->wal, entries, count);
    for (size_t i = 0; i < count; i++) {
        buf_close(&payloads[i]);
    }
    return ticket;
}

static uint64_t append(struct fixture *x, uint64_t first, size_t count, uint64_t term)
{
    return append_sized(x, first, count, term, 40);
}

static void check_payload(const struct wal_entry *e)
{
    struct buf wanted = {0};
    payload_fill(&wanted, e->index, e->term, e->payload.size);
    ck_assert(slice_equal(buf_slice(&wanted), e->payload));
    buf_close(&wanted);
}

static void check_found(struct fixture *x, uint64_t first, size_t count)
{
    ck_assert_uint_eq(x->found.entry_count, count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(x->found.entries[i].index, first + i);
        check_payload(&x->found.entries[i]);
    }
}

static struct buf *segment_file(struct fixture *x, uint64_t id)
{
    char *path = wal_path(DIR, WAL_NAME_SEGMENT, id);
    struct buf *file = fake_env_find(&x->fake, path);
    mem_free(path);
    return file;
}

static void flip(struct fixture *x, uint64_t id, size_t offset)
{
    struct buf *file = segment_file(x, id);
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_lt(offset, file->size);
    file->data[offset] ^= 0x10;
    fake_env_settle(&x->fake);
}

/* ---- round trips -------------------------------------------------------------------------- */

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

/* ---- torn or corrupt ---------------------------------------------------------------------- */

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

/* ---- faults ------------------------------------------------------------------------------- */

/* A life of a log with everything in it. False as soon as the log has failed. */
static bool live_a_life(struct fixture *x)
{
    for (uint64_t i = 0; i < 12 && x->failures == 0; i++) {
        wal_set_term(x->wal, i + 1, 1);
        append_sized(x, i * 10 + 1, 10, i + 1, 100);
        settle(x);
        wal_compact(x->wal, i * 5);
        fake_env_run(&x->fake);
        if (i == 6) {
            wal_reset(x->wal, 70, 7);
            settle(x);
        }
    }
    return x->failures == 0;
}

START_TEST(any_failing_disk_call_ends_the_log_and_loses_nothing)
{
    for (uint64_t n = 1;; n++) {
        struct fixture x;
        init(&x, n);
        fake_env_arm(&x.fake, n, FAKE_FAULT_LASTING, RC_IO);
        enum status rc = try_open(&x);
        bool is_fine = rc == RC_OK && live_a_life(&x);
        bool has_struck = fake_env_has_struck(&x.fake);
        if (has_struck && rc == RC_OK) {
            ck_assert_int_eq(x.failures, 1);
            ck_assert_int_eq(x.failed, RC_IO);
        }
        ck_assert(is_fine != has_struck);
        uint64_t durable = rc == RC_OK ? x.durable : 0;
        if (rc == RC_OK) {
            append_sized(&x, x.wal->appended.next_index, 1, 100, 10);
            settle(&x);
            ck_assert(is_fine || x.durable == durable);
            close_log(&x);
        }
        ck_assert_uint_eq(x.fake.open_files, 0);
        fake_env_power_cut(&x.fake);
        open_log(&x);
        ck_assert_uint_ge(x.found.term, durable / 2 > 6 ? 6 : durable / 2);
        finish(&x);
        if (!has_struck) {
            break;
        }
    }
}
END_TEST

START_TEST(a_full_disk_makes_it_short_until_there_is_space)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    fake_env_run(&x.fake);
    ck_assert(!wal_is_short(x.wal));
    x.fake.space_left = 0;
    uint64_t next = 1;
    uint64_t ticket = 0;
    while (!wal_is_short(x.wal)) {
        ticket = append(&x, next++, 1, 1);
        settle(&x);
        ck_assert_int_eq(x.failures, 0);
        ck_assert_uint_eq(x.durable, ticket);
    }
    /* Entries wait when only the last ready segment is left. */
    while (x.durable == ticket) {
        ticket = append(&x, next++, 1, 1);
        settle(&x);
        ck_assert_int_eq(x.failures, 0);
        ck_assert_uint_lt(next, 1000);
    }
    ck_assert_uint_eq(x.wal->ready.count, 1);
    uint64_t retry = wal_next_deadline_ms(x.wal);
    ck_assert_uint_le(retry, x.fake.now_us / 1000 + WAL_RETRY_MS);
    fake_env_advance(&x.fake, WAL_RETRY_MS);
    wal_tick(x.wal, x.fake.now_us / 1000);
    fake_env_run(&x.fake);
    ck_assert(wal_is_short(x.wal));
    x.fake.space_left = 1 << 20;
    fake_env_advance(&x.fake, WAL_RETRY_MS);
    wal_tick(x.wal, x.fake.now_us / 1000);
    fake_env_run(&x.fake);
    ck_assert(!wal_is_short(x.wal));
    ck_assert_uint_eq(x.durable, ticket);
    reopen(&x);
    check_found(&x, 1, next - 1);
    finish(&x);
}
END_TEST

START_TEST(terms_may_use_the_last_segment_and_then_the_log_fails)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    fake_env_run(&x.fake);
    x.fake.space_left = 0;
    append(&x, 1, 1, 1); /* pins the first segment, so that none is recycled */
    uint64_t term = 0;
    while (x.failures == 0) {
        wal_set_term(x.wal, ++term, 1);
        settle(&x);
        ck_assert_uint_lt(term, 1000);
    }
    ck_assert_int_eq(x.failed, RC_NO_SPACE);
    ck_assert_uint_eq(x.wal->ready.count, 0);
    ck_assert_uint_gt(term, 3 * (4096 - WAL_HEADER_BYTES) / 56 - 4);
    uint64_t durable = x.durable - 1; /* of which the first was the entry's */
    reopen(&x);
    ck_assert_uint_eq(x.found.term, durable);
    finish(&x);
}
END_TEST

/* ---- the model ---------------------------------------------------------------------------- */

/* What was asked of the log, in the smallest steps that recovery may end between. */
struct step {
    enum { STEP_TERM, STEP_ENTRY, STEP_RESET } kind;
    uint64_t ticket;
    uint64_t index; /* or term */
    uint64_t term;  /* or vote */
};

struct model {
    uint64_t term, vote, reset_index, reset_term;
    uint64_t needed; /* nothing below it has to be there */
    uint64_t last;
    uint64_t terms[4096]; /* of the entries reset_index + 1 .. last, by index */
    struct step steps[4096];
    size_t step_count;
};

static void model_apply(struct model *m, const struct step *s)
{
    switch (s->kind) {
    case STEP_TERM:
        m->term = s->index;
        m->vote = s->term;
        break;
    case STEP_ENTRY:
        m->terms[s->index] = s->term;
        m->last = s->index;
        break;
    case STEP_RESET:
        m->reset_index = s->index;
        m->reset_term = s->term;
        m->last = s->index;
        break;
    }
}

static bool model_equals(const struct model *m, const struct wal_recovery *r)
{
    if (r->term != m->term || r->vote != m->vote || r->reset_index != m->reset_index ||
        r->reset_term != m->reset_term) {
        return false;
    }
    uint64_t first = m->reset_index + 1 > m->needed ? m->reset_index + 1 : m->needed;
    if (r->entry_count == 0) {
        return m->last < first;
    }
    if (r->entries[0].index > first || r->entries[0].index <= m->reset_index ||
        r->entries[r->entry_count - 1].index != m->last) {
        return false;
    }
    for (size_t i = 0; i < r->entry_count; i++) {
        if (r->entries[i].term != m->terms[r->entries[0].index + i]) {
            return false;
        }
    }
    return true;
}

/* The log found must be what some number of steps made, and of at least all the durable ones. */
static void model_check(struct model *m, struct fixture *x, uint64_t durable, uint64_t seed)
{
    size_t done = 0;
    while (done < m->step_count && m->steps[done].ticket <= durable) {
        model_apply(m, &m->steps[done++]);
    }
    while (!model_equals(m, &x->found)) {
        ck_assert_msg(done < m->step_count,
                      "seed %" PRIu64 ": log found is none that was written: durable %" PRIu64
                      " entries %zu last %" PRIu64 " term %" PRIu64 " reset %" PRIu64,
                      seed, durable, x->found.entry_count, m->last, x->found.term,
                      x->found.reset_index);
        model_apply(m, &m->steps[done++]);
    }
    for (size_t i = 0; i < x->found.entry_count; i++) {
        check_payload(&x->found.entries[i]);
    }
    m->step_count = 0;
}

static void model_step(struct model *m, struct step s)
{
    ck_assert_uint_lt(m->step_count, 4096);
    m->steps[m->step_count++] = s;
}

static void act_append(struct model *m, struct fixture *x, struct rng *rng)
{
    const struct wal_state *s = &x->wal->appended;
    uint64_t first = s->next_index;
    uint64_t low = s->reset_index + 1 > m->needed ? s->reset_index + 1 : m->needed;
    if (rng_chance(rng, 100) && low < first) {
        first = rng_range(rng, low, first);
    }
    size_t count = (size_t)rng_range(rng, 1, 5);
    size_t bytes =
        rng_chance(rng, 30) ? (size_t)rng_below(rng, 9000) : (size_t)rng_below(rng, 300);
    uint64_t term = s->term + rng_below(rng, 2);
    uint64_t ticket = append_sized(x, first, count, term, bytes);
    for (size_t i = 0; i < count; i++) {
        model_step(m, (struct step){STEP_ENTRY, ticket, first + i, term});
    }
}

static void act(struct model *m, struct fixture *x, struct rng *rng)
{
    const struct wal_state *s = &x->wal->appended;
    uint64_t pick = rng_below(rng, 100);
    if (pick < 40) {
        act_append(m, x, rng);
    } else if (pick < 48) {
        uint64_t term = s->term + rng_below(rng, 3);
        uint64_t vote = rng_below(rng, 4);
        model_step(m, (struct step){STEP_TERM, wal_set_term(x->wal, term, vote), term, vote});
    } else if (pick < 49) {
        uint64_t index = s->next_index + rng_below(rng, 5);
        uint64_t ticket = wal_reset(x->wal, index, s->term);
        model_step(m, (struct step){STEP_RESET, ticket, index, s->term});
    } else if (pick < 53) {
        m->needed = rng_range(rng, m->needed, s->next_index);
        wal_compact(x->wal, m->needed);
    } else if (pick < 60) {
        fake_env_advance(&x->fake, rng_below(rng, 400));
        wal_tick(x->wal, x->fake.now_us / 1000);
    } else if (pick < 75) {
        wal_flush(x->wal);
    } else {
        (void)fake_env_step(&x->fake);
    }
}

static void arm_some_fault(struct fixture *x, struct rng *rng)
{
    uint64_t pick = rng_below(rng, 10);
    uint64_t n = rng_range(rng, 1, 80);
    fake_env_disarm(&x->fake);
    x->fake.space_left = UINT64_MAX;
    if (pick < 5) {
        fake_env_arm(&x->fake, n, FAKE_FAULT_POWER, RC_IO);
    } else if (pick < 7) {
        fake_env_arm(&x->fake, n, FAKE_FAULT_ONCE, RC_IO);
    } else if (pick < 8) {
        x->fake.space_left = rng_below(rng, 20000);
    }
}

/* Whatever goes wrong on the way: opens in the end. */
static void open_in_the_end(struct fixture *x, struct rng *rng)
{
    for (;;) {
        arm_some_fault(x, rng);
        enum status rc = try_open(x);
        if (rc == RC_OK) {
            return;
        }
        ck_assert_msg(fake_env_has_struck(&x->fake) || rc == RC_NO_SPACE, "%s", x->err.text);
        ck_assert_uint_eq(x->fake.open_files, 0);
        fake_env_disarm(&x->fake);
        if (rng_chance(rng, 700)) {
            fake_env_power_cut(&x->fake);
        }
    }
}

static void run_model(uint64_t seed)
{
    struct fixture x;
    struct model *m = mem_zalloc(sizeof *m);
    struct rng rng;
    init(&x, seed);
    rng_init(&rng, seed ^ 0x5eed);
    m->needed = 1;
    for (int life = 0; life < 15; life++) {
        open_in_the_end(&x, &rng);
        model_check(m, &x, 0, seed);
        if (x.wal->appended.next_index < m->needed) {
            /* The snapshot that allowed to compact reaches beyond what the log has. */
            uint64_t ticket = wal_reset(x.wal, m->needed - 1, x.found.term);
            model_step(m, (struct step){STEP_RESET, ticket, m->needed - 1, x.found.term});
        }
        int acts = rng_chance(&rng, 300) ? (int)rng_below(&rng, 5) : 120;
        for (int i = 0; i < acts && x.failures == 0 && x.wal->appended.next_index < 4000; i++) {
            act(m, &x, &rng);
        }
        uint64_t durable = x.durable;
        if (rng_chance(&rng, 300) && !fake_env_has_struck(&x.fake)) {
            fake_env_disarm(&x.fake);
            x.fake.space_left = UINT64_MAX;
            settle(&x);
            fake_env_advance(&x.fake, WAL_RETRY_MS);
            wal_tick(x.wal, x.fake.now_us / 1000);
            settle(&x);
            ck_assert(x.failures > 0 || x.durable == x.wal->ticket || x.wal->ticket == 0);
            durable = x.durable;
        }
        close_log(&x);
        ck_assert_uint_eq(x.fake.open_files, 0);
        fake_env_disarm(&x.fake);
        if (rng_chance(&rng, 700)) {
            fake_env_power_cut(&x.fake);
        }
        /* All durable steps are applied before the log is looked at again. */
        size_t done = 0;
        while (done < m->step_count && m->steps[done].ticket <= durable) {
            model_apply(m, &m->steps[done++]);
        }
        memmove(m->steps, m->steps + done, (m->step_count - done) * sizeof m->steps[0]);
        m->step_count -= done;
    }
    fake_env_close(&x.fake);
    mem_free(m);
}

START_TEST(random_lives_agree_with_the_model)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        run_model(seed);
    }
}
END_TEST

static Suite *wal_suite(void)
{
    Suite *s = suite_create("wal");
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
    suite_add_tcase(s, basics);

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
    suite_add_tcase(s, damage);

    TCase *faults = tcase_create("faults");
    tcase_set_timeout(faults, 120);
    tcase_add_test(faults, any_failing_disk_call_ends_the_log_and_loses_nothing);
    tcase_add_test(faults, a_full_disk_makes_it_short_until_there_is_space);
    tcase_add_test(faults, terms_may_use_the_last_segment_and_then_the_log_fails);
    tcase_add_test(faults, random_lives_agree_with_the_model);
    suite_add_tcase(s, faults);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){wal_suite, NULL});
}
