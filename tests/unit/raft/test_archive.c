/* Archived log: through crashes, gaps, overlaps and damage, what is read is what was written, or
 * the error says which entries are missing. */
#include "raft/archive.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"

#define DIR     "archive"
#define CLUSTER UINT64_C(0x00c0ffee00c0ffee)

struct fixture {
    struct fake_env fake;
    struct archive_writer *writer;
    struct errmsg err;
};

static void init(struct fixture *x, uint64_t seed)
{
    *x = (struct fixture){0};
    fake_env_init(&x->fake, seed);
}

static enum status open_writer(struct fixture *x, uint64_t seal_bytes)
{
    struct archive_writer_options options = {
        .env = &x->fake.env, .dir = DIR, .cluster_id = CLUSTER, .seal_bytes = seal_bytes};
    x->writer = NULL;
    return archive_writer_open(&options, &x->writer, &x->err);
}

static void begin(struct fixture *x, uint64_t seal_bytes)
{
    enum status rc = open_writer(x, seal_bytes);
    ck_assert_msg(rc == RC_OK, "%s", x->err.text);
}

static void end(struct fixture *x)
{
    archive_writer_close(x->writer);
    x->writer = NULL;
}

/* The entry with this index, the same whenever it is asked for. */
static struct wal_entry entry_of(uint64_t index, char *bytes, size_t capacity)
{
    int size = snprintf(bytes, capacity, "entry %llu%*s", (unsigned long long)index,
                        (int)(index * 7 % 50), "");
    return (struct wal_entry){.index = index,
                              .term = 1 + index / 10,
                              .type = (uint8_t)(1 + index % 3),
                              .payload = slice_make(bytes, (size_t)size)};
}

static enum status append(struct fixture *x, uint64_t first, uint64_t last)
{
    struct wal_entry entries[64];
    char bytes[64][96];
    size_t count = 0;
    for (uint64_t i = first; i <= last; i++) {
        entries[count] = entry_of(i, bytes[count], sizeof bytes[count]);
        count++;
    }
    enum status rc = archive_writer_append(x->writer, entries, count, &x->err);
    return rc == RC_OK ? archive_writer_sync(x->writer, &x->err) : rc;
}

static void archive(struct fixture *x, uint64_t first, uint64_t last)
{
    enum status rc = append(x, first, last);
    ck_assert_msg(rc == RC_OK, "%s", x->err.text);
}

static void seal(struct fixture *x)
{
    ck_assert_int_eq(archive_writer_seal(x->writer, &x->err), RC_OK);
}

/* Reads from `first` on, checks each entry; *next is the one after the last. */
static enum status read_from(struct fixture *x, uint64_t first, uint64_t *next)
{
    struct archive_reader *r;
    struct wal_entry found;
    char bytes[96];
    *next = first;
    enum status rc = archive_reader_open(&x->fake.env, DIR, CLUSTER, first, &r, &x->err);
    if (rc != RC_OK) {
        return rc;
    }
    for (;;) {
        rc = archive_reader_next(r, &found, &x->err);
        if (rc != RC_OK) {
            break;
        }
        struct wal_entry right = entry_of(*next, bytes, sizeof bytes);
        ck_assert_uint_eq(found.index, right.index);
        ck_assert_uint_eq(found.term, right.term);
        ck_assert_uint_eq(found.type, right.type);
        ck_assert(slice_equal(found.payload, right.payload));
        ++*next;
    }
    archive_reader_close(r);
    return rc;
}

static size_t sealed_count(struct fixture *x, uint64_t *last)
{
    struct archive_file *files;
    size_t count;
    size_t sealed = 0;
    ck_assert_int_eq(archive_list(&x->fake.env, DIR, CLUSTER, &files, &count, &x->err), RC_OK);
    for (size_t i = 0; i < count; i++) {
        if (files[i].last_index != 0) {
            sealed++;
            *last = files[i].last_index;
        }
    }
    mem_free(files);
    return sealed;
}

START_TEST(what_was_archived_is_read_from_any_index_on)
{
    struct fixture x;
    uint64_t next;
    uint64_t last = 0;
    init(&x, 1);
    begin(&x, 600);
    ck_assert_uint_eq(archive_writer_next_index(x.writer), 0);
    ck_assert_uint_eq(archive_writer_begun_ms(x.writer), 0);
    for (uint64_t i = 5; i < 105; i += 20) {
        archive(&x, i, i + 19);
    }
    ck_assert_uint_eq(archive_writer_next_index(x.writer), 105);
    ck_assert_uint_ge(sealed_count(&x, &last), 5);
    for (uint64_t first = 5; first <= 105; first++) {
        ck_assert_int_eq(read_from(&x, first, &next), RC_NOT_FOUND);
        ck_assert_uint_eq(next, 105);
    }
    end(&x);
    fake_env_close(&x.fake);
}
END_TEST

START_TEST(a_file_that_is_not_sealed_is_read_and_written_on)
{
    struct fixture x;
    uint64_t next;
    uint64_t last = 0;
    init(&x, 1);
    begin(&x, 0);
    archive(&x, 1, 3);
    ck_assert_uint_ne(archive_writer_begun_ms(x.writer), 0);
    end(&x);
    ck_assert_int_eq(read_from(&x, 1, &next), RC_NOT_FOUND);
    ck_assert_uint_eq(next, 4);
    begin(&x, 0);
    ck_assert_uint_eq(archive_writer_next_index(x.writer), 4);
    archive(&x, 2, 6); /* two of these are there already */
    seal(&x);
    ck_assert_uint_eq(archive_writer_begun_ms(x.writer), 0);
    seal(&x); /* once more is nothing */
    end(&x);
    ck_assert_uint_eq(sealed_count(&x, &last), 1);
    ck_assert_uint_eq(last, 6);
    ck_assert_int_eq(read_from(&x, 1, &next), RC_NOT_FOUND);
    ck_assert_uint_eq(next, 7);
    begin(&x, 0);
    ck_assert_uint_eq(archive_writer_next_index(x.writer), 7);
    end(&x);
    fake_env_close(&x.fake);
}
END_TEST

/* The disk of a fake env, which says when "above" was synced. */
static const struct env_disk *disk_below;
static struct env_disk disk_spied_on;
static unsigned above_synced;

static enum status spy_sync_dir(struct env *env, const char *path)
{
    above_synced += strcmp(path, "above") == 0;
    return disk_below->sync_dir(env, path);
}

static void spy_on(struct fake_env *f)
{
    disk_below = f->env.disk;
    disk_spied_on = *disk_below;
    disk_spied_on.sync_dir = spy_sync_dir;
    f->env.disk = &disk_spied_on;
}

START_TEST(a_new_directory_is_there_after_a_power_cut)
{
    struct fixture x;
    init(&x, 1);
    spy_on(&x.fake);
    struct archive_writer_options options = {
        .env = &x.fake.env, .dir = "above/archive", .cluster_id = CLUSTER};
    ck_assert_int_eq(archive_writer_open(&options, &x.writer, &x.err), RC_OK);
    ck_assert_uint_eq(above_synced, 1);
    end(&x);
    fake_env_close(&x.fake);
}
END_TEST

START_TEST(a_gap_is_named_unless_another_archive_fills_it)
{
    struct fixture x;
    uint64_t next;
    init(&x, 1);
    begin(&x, 0);
    archive(&x, 1, 9);
    archive(&x, 15, 20); /* a snapshot was installed in between */
    seal(&x);
    end(&x);
    ck_assert_int_eq(read_from(&x, 1, &next), RC_CORRUPT);
    ck_assert_uint_eq(next, 10);
    ck_assert_str_eq(x.err.text, "archive " DIR ": entries 10 to 14 are missing");
    ck_assert_int_eq(read_from(&x, 15, &next), RC_NOT_FOUND);
    ck_assert_uint_eq(next, 21);

    /* As if put there by another member: from the middle of one file to that of the next. */
    struct archive_writer_options options = {
        .env = &x.fake.env, .dir = "other", .cluster_id = CLUSTER};
    ck_assert_int_eq(archive_writer_open(&options, &x.writer, &x.err), RC_OK);
    archive(&x, 7, 17);
    seal(&x);
    end(&x);
    struct archive_file other = {.cluster_id = CLUSTER, .first_index = 7, .last_index = 17};
    char *from = archive_path("other", &other);
    char *to = archive_path(DIR, &other);
    ck_assert_int_eq(x.fake.env.disk->rename(&x.fake.env, from, to), RC_OK);
    mem_free(from);
    mem_free(to);
    ck_assert_int_eq(read_from(&x, 1, &next), RC_NOT_FOUND);
    ck_assert_uint_eq(next, 21);
    fake_env_close(&x.fake);
}
END_TEST

START_TEST(any_damaged_byte_of_a_sealed_file_is_noticed)
{
    struct fixture x;
    uint64_t next;
    init(&x, 1);
    begin(&x, 0);
    archive(&x, 1, 4);
    seal(&x);
    end(&x);
    struct archive_file file = {.cluster_id = CLUSTER, .first_index = 1, .last_index = 4};
    char *path = archive_path(DIR, &file);
    struct buf *content = fake_env_find(&x.fake, path);
    for (size_t i = 0; i < content->size; i++) {
        content->data[i] ^= 0x20;
        enum status rc = read_from(&x, 1, &next);
        ck_assert_msg(rc == RC_CORRUPT, "byte %zu: %s", i, x.err.text);
        content->data[i] ^= 0x20;
    }
    content->size--;
    ck_assert_int_eq(read_from(&x, 1, &next), RC_CORRUPT);
    content->size++;
    ck_assert_int_eq(read_from(&x, 1, &next), RC_NOT_FOUND);
    mem_free(path);
    fake_env_close(&x.fake);
}
END_TEST

/* What was synced stays, what is read is right, and writing goes on without a gap. */
START_TEST(a_power_cut_at_any_call_loses_nothing_that_was_synced)
{
    uint64_t calls = 1;
    for (bool has_struck = true; has_struck; calls++) {
        struct fixture x;
        uint64_t next;
        uint64_t synced = 0;
        init(&x, (uint64_t)_i * 1000 + calls);
        fake_env_arm(&x.fake, calls, FAKE_FAULT_POWER, RC_IO);
        enum status rc = open_writer(&x, 400);
        for (uint64_t i = 1; rc == RC_OK && i < 40; i += 4) {
            rc = append(&x, i, i + 3);
            synced = rc == RC_OK ? i + 3 : synced;
        }
        if (x.writer != NULL) {
            end(&x);
        }
        has_struck = fake_env_has_struck(&x.fake);
        fake_env_power_cut(&x.fake);
        begin(&x, 400);
        uint64_t from = archive_writer_next_index(x.writer);
        ck_assert_uint_gt(from == 0 ? 1 : from, synced);
        archive(&x, from == 0 ? 1 : from, 45);
        end(&x);
        ck_assert_int_eq(read_from(&x, 1, &next), RC_NOT_FOUND);
        ck_assert_uint_eq(next, 46);
        fake_env_close(&x.fake);
    }
    ck_assert_uint_gt(calls, 20);
}
END_TEST

START_TEST(a_failed_call_is_repeated_until_the_writer_is_opened_anew)
{
    for (uint64_t n = 1; n < 12; n++) {
        struct fixture x;
        uint64_t next;
        init(&x, n);
        begin(&x, 300);
        fake_env_arm(&x.fake, n, FAKE_FAULT_ONCE, RC_NO_SPACE);
        uint64_t i = 1;
        while (append(&x, i, i + 3) == RC_OK) {
            i += 4;
        }
        ck_assert_int_eq(x.err.rc, RC_NO_SPACE);
        ck_assert_int_eq(append(&x, i, i + 3), RC_NO_SPACE);
        ck_assert_int_eq(archive_writer_seal(x.writer, &x.err), RC_NO_SPACE);
        end(&x);
        begin(&x, 300);
        uint64_t from = archive_writer_next_index(x.writer);
        archive(&x, from == 0 ? 1 : from, 50);
        end(&x);
        fake_env_power_cut(&x.fake);
        ck_assert_int_eq(read_from(&x, 1, &next), RC_NOT_FOUND);
        ck_assert_uint_eq(next, 51);
        fake_env_close(&x.fake);
    }
}
END_TEST

START_TEST(files_that_no_restore_needs_are_removed)
{
    struct fixture x;
    uint64_t next;
    uint64_t removed;
    uint64_t last = 0;
    init(&x, 1);
    begin(&x, 0);
    for (uint64_t i = 1; i <= 41; i += 10) {
        archive(&x, i, i + 9);
        if (i < 41) {
            seal(&x);
        }
    }
    ck_assert_int_eq(archive_writer_retain(x.writer, 20, &removed, &x.err), RC_OK);
    ck_assert_uint_eq(removed, 1);
    ck_assert_int_eq(archive_writer_retain(x.writer, 21, &removed, &x.err), RC_OK);
    ck_assert_uint_eq(removed, 1);
    ck_assert_int_eq(archive_writer_retain(x.writer, 1000, &removed, &x.err), RC_OK);
    ck_assert_uint_eq(removed, 2);
    ck_assert_uint_eq(sealed_count(&x, &last), 0);
    ck_assert_int_eq(read_from(&x, 41, &next), RC_NOT_FOUND);
    ck_assert_uint_eq(next, 51);
    end(&x);
    fake_env_close(&x.fake);
}
END_TEST

START_TEST(archives_of_other_clusters_in_the_same_directory_do_not_meet)
{
    struct fixture x;
    uint64_t next;
    struct archive_reader *r;
    struct wal_entry entry;
    init(&x, 1);
    begin(&x, 0);
    archive(&x, 1, 9);
    end(&x);
    struct archive_writer_options options = {
        .env = &x.fake.env, .dir = DIR, .cluster_id = CLUSTER + 1};
    ck_assert_int_eq(archive_writer_open(&options, &x.writer, &x.err), RC_OK);
    ck_assert_uint_eq(archive_writer_next_index(x.writer), 0);
    archive(&x, 4, 20);
    end(&x);
    ck_assert_int_eq(read_from(&x, 1, &next), RC_NOT_FOUND);
    ck_assert_uint_eq(next, 10);
    ck_assert_int_eq(archive_reader_open(&x.fake.env, DIR, 7, 1, &r, &x.err), RC_OK);
    ck_assert_int_eq(archive_reader_next(r, &entry, &x.err), RC_NOT_FOUND);
    archive_reader_close(r);
    fake_env_close(&x.fake);
}
END_TEST

static Suite *archive_suite(void)
{
    Suite *suite = suite_create("archive");
    TCase *tcase = tcase_create("archive");
    tcase_add_test(tcase, what_was_archived_is_read_from_any_index_on);
    tcase_add_test(tcase, a_file_that_is_not_sealed_is_read_and_written_on);
    tcase_add_test(tcase, a_new_directory_is_there_after_a_power_cut);
    tcase_add_test(tcase, a_gap_is_named_unless_another_archive_fills_it);
    tcase_add_test(tcase, any_damaged_byte_of_a_sealed_file_is_noticed);
    tcase_add_loop_test(tcase, a_power_cut_at_any_call_loses_nothing_that_was_synced, 0, 10);
    tcase_add_test(tcase, a_failed_call_is_repeated_until_the_writer_is_opened_anew);
    tcase_add_test(tcase, files_that_no_restore_needs_are_removed);
    tcase_add_test(tcase, archives_of_other_clusters_in_the_same_directory_do_not_meet);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){archive_suite, NULL});
}
