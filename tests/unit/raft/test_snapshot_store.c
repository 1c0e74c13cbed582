#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "raft/snapshot_internal.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"
#include "tests/support/store_kit.h"

#define DIR   "data/snapshots"
#define OTHER "other/snapshots"
#define TERM  5

struct fixture {
    struct fake_env fake;
    struct kit kit;
    struct snapshot_store *ss;
    struct errmsg err;
    size_t step_bytes;
    /* told by callbacks */
    int taken;
    enum status taken_rc;
    uint64_t taken_index;
    int received;
    enum status received_rc;
    struct store *store;
    int chunks;
    uint64_t file_bytes;
    struct buf chunk;
};

static enum status try_open(struct fixture *x, const char *dir, struct snapshot_store **out)
{
    struct snapshot_store_options options = {.env = &x->fake.env,
                                             .scan_step_bytes = x->step_bytes};
    return snapshot_store_open(dir, &options, out, &x->err);
}

static void open_dir(struct fixture *x)
{
    enum status rc = try_open(x, DIR, &x->ss);
    ck_assert_msg(rc == RC_OK, "%s", x->err.text);
}

static void grow(struct fixture *x, int nodes)
{
    for (int i = 0; i < nodes; i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "/n%" PRIu64, x->kit.index);
        ck_assert_int_eq(kit_create(&x->kit, path, "some data that takes its room"),
                         OUTCOME_OK);
    }
}

static void init(struct fixture *x)
{
    *x = (struct fixture){.step_bytes = 512};
    fake_env_init(&x->fake, 7);
    kit_open(&x->kit);
    grow(x, 40);
    open_dir(x);
}

static void finish(struct fixture *x)
{
    snapshot_store_close(x->ss);
    if (x->store != NULL) {
        store_free(x->store);
    }
    buf_close(&x->chunk);
    kit_close(&x->kit);
    fake_env_close(&x->fake);
}

static void on_taken(void *context, enum status rc, const struct snapshot_meta *meta)
{
    struct fixture *x = context;
    x->taken++;
    x->taken_rc = rc;
    x->taken_index = meta->index;
}

static void on_received(void *context, enum status rc, struct store *store,
                        const struct snapshot_meta *meta)
{
    struct fixture *x = context;
    ck_assert((rc == RC_OK) == (store != NULL));
    ck_assert(rc != RC_OK || meta->term == TERM);
    x->received++;
    x->received_rc = rc;
    x->store = store;
}

static void on_chunk(void *context, uint64_t tag, uint64_t index, uint64_t offset,
                     uint64_t file_bytes, struct slice data)
{
    struct fixture *x = context;
    (void)index;
    (void)offset;
    ck_assert_uint_eq(tag, 9);
    x->chunks++;
    x->file_bytes = file_bytes;
    buf_clear(&x->chunk);
    buf_append_slice(&x->chunk, data);
}

static void begin_take(struct fixture *x)
{
    struct snapshot_meta meta = {.term = TERM, .cluster_id = 3, .configuration_index = 1};
    buf_append_str(&meta.configuration, "members");
    x->taken = 0;
    ck_assert_int_eq(snapshot_store_take(x->ss, x->kit.store, &meta, on_taken, x), RC_OK);
    snapshot_meta_close(&meta);
}

static void run_take(struct fixture *x)
{
    while (x->taken == 0) {
        (void)snapshot_store_advance(x->ss);
        (void)fake_env_step(&x->fake);
    }
    fake_env_run(&x->fake);
}

static void take(struct fixture *x)
{
    begin_take(x);
    run_take(x);
}

static void take_ok(struct fixture *x)
{
    take(x);
    ck_assert_int_eq(x->taken_rc, RC_OK);
    ck_assert_uint_eq(x->taken_index, x->kit.index);
}

static size_t file_count(struct fixture *x)
{
    return fake_env_file_count(&x->fake);
}

/* The newest file on disk holds exactly the state at hand. */
static void check_latest_is_current(struct fixture *x)
{
    struct store *loaded;
    struct snapshot_meta meta;
    enum status rc = snapshot_store_load(x->ss, &loaded, &meta, &x->err);
    ck_assert_msg(rc == RC_OK, "%s", x->err.text);
    ck_assert_uint_eq(meta.index, x->kit.index);
    ck_assert_uint_eq(meta.term, TERM);
    ck_assert_uint_eq(store_digest(loaded), store_digest(x->kit.store));
    snapshot_meta_close(&meta);
    store_free(loaded);
}

/* ---- take --------------------------------------------------------------------------------- */

START_TEST(a_snapshot_survives_a_power_cut_as_soon_as_it_is_told)
{
    struct fixture x;
    init(&x);
    ck_assert_ptr_null(snapshot_store_latest(x.ss));
    take_ok(&x);
    ck_assert(!snapshot_store_is_taking(x.ss));
    ck_assert_uint_eq(snapshot_store_latest(x.ss)->index, x.kit.index);
    ck_assert_uint_gt(snapshot_store_latest(x.ss)->bytes, 1000);
    snapshot_store_close(x.ss);
    fake_env_power_cut(&x.fake);
    open_dir(&x);
    ck_assert_uint_eq(snapshot_store_latest(x.ss)->term, TERM);
    check_latest_is_current(&x);
    finish(&x);
}
END_TEST

START_TEST(writes_during_a_take_are_not_in_it)
{
    struct fixture x;
    init(&x);
    uint64_t index = x.kit.index;
    uint64_t digest = store_digest(x.kit.store);
    begin_take(&x);
    while (x.taken == 0) {
        (void)snapshot_store_advance(x.ss);
        grow(&x, 1);
        (void)kit_delete(&x.kit, "/n3");
        (void)fake_env_step(&x.fake);
    }
    struct store *loaded;
    struct snapshot_meta meta;
    ck_assert_int_eq(snapshot_store_load(x.ss, &loaded, &meta, NULL), RC_OK);
    ck_assert_uint_eq(meta.index, index);
    ck_assert_uint_eq(store_digest(loaded), digest);
    snapshot_meta_close(&meta);
    store_free(loaded);
    finish(&x);
}
END_TEST

START_TEST(a_slow_writer_holds_the_scan_back)
{
    struct fixture x;
    init(&x);
    begin_take(&x);
    ck_assert(snapshot_store_advance(x.ss));
    ck_assert(!snapshot_store_advance(x.ss)); /* both buffers are on their way */
    ck_assert(!snapshot_store_advance(x.ss));
    run_take(&x);
    ck_assert_int_eq(x.taken_rc, RC_OK);
    finish(&x);
}
END_TEST

START_TEST(one_take_at_a_time)
{
    struct fixture x;
    init(&x);
    begin_take(&x);
    struct snapshot_meta meta = {.term = TERM};
    ck_assert_int_eq(snapshot_store_take(x.ss, x.kit.store, &meta, on_taken, &x),
                     RC_OVERLOADED);
    run_take(&x);
    take_ok(&x); /* and the same index again replaces the file */
    ck_assert_uint_eq(file_count(&x), 1);
    check_latest_is_current(&x);
    finish(&x);
}
END_TEST

START_TEST(two_are_kept_and_more_while_they_are_sent)
{
    struct fixture x;
    init(&x);
    take_ok(&x);
    uint64_t first = x.kit.index;
    snapshot_store_read(x.ss, first, 0, 100, 9, on_chunk, &x);
    fake_env_run(&x.fake);
    ck_assert_int_eq(x.chunks, 1);
    for (int i = 0; i < 3; i++) {
        grow(&x, 1);
        take_ok(&x);
    }
    ck_assert_uint_eq(file_count(&x), 3); /* the newest two, and the one being sent */
    ck_assert_ptr_nonnull(snapshot_find(x.ss, first));
    fake_env_advance(&x.fake, SNAPSHOT_SEND_HOLD_MS + 1);
    snapshot_store_tick(x.ss, x.fake.now_us / 1000);
    fake_env_run(&x.fake);
    ck_assert_uint_eq(file_count(&x), 2);
    ck_assert_ptr_null(snapshot_find(x.ss, first));
    ck_assert_uint_eq(x.fake.open_files, 0);
    check_latest_is_current(&x);
    finish(&x);
}
END_TEST

START_TEST(a_cancelled_take_leaves_nothing_and_says_nothing)
{
    /* Cancelled after each possible number of steps, the last ones while it is finishing. */
    for (int steps = 0; steps < 60; steps++) {
        struct fixture x;
        init(&x);
        begin_take(&x);
        for (int i = 0; i < steps && x.taken == 0; i++) {
            (void)snapshot_store_advance(x.ss);
            (void)fake_env_step(&x.fake);
        }
        bool was_taken = x.taken != 0;
        snapshot_store_cancel_take(x.ss);
        ck_assert(!snapshot_store_is_taking(x.ss));
        fake_env_run(&x.fake);
        ck_assert(was_taken || x.taken == 0);
        ck_assert_uint_eq(file_count(&x), was_taken ? 1 : 0);
        take_ok(&x);
        check_latest_is_current(&x);
        finish(&x);
    }
}
END_TEST

START_TEST(closing_in_the_middle_of_a_take_is_clean)
{
    for (int steps = 0; steps < 60; steps++) {
        struct fixture x;
        init(&x);
        begin_take(&x);
        for (int i = 0; i < steps && x.taken == 0; i++) {
            (void)snapshot_store_advance(x.ss);
            (void)fake_env_step(&x.fake);
        }
        finish(&x); /* which checks that no file is open */
    }
}
END_TEST

START_TEST(a_full_disk_fails_the_take_and_not_the_next_one)
{
    struct fixture x;
    init(&x);
    take_ok(&x);
    grow(&x, 40);
    x.fake.space_left = 3000;
    take(&x);
    ck_assert_int_eq(x.taken_rc, RC_NO_SPACE);
    ck_assert_uint_eq(file_count(&x), 1);
    ck_assert_uint_eq(x.fake.space_left, 3000);
    x.fake.space_left = UINT64_MAX;
    take_ok(&x);
    check_latest_is_current(&x);
    finish(&x);
}
END_TEST

START_TEST(a_take_in_which_any_disk_call_fails_can_be_repeated)
{
    for (uint64_t n = 1;; n++) {
        struct fixture x;
        init(&x);
        fake_env_arm(&x.fake, n, FAKE_FAULT_ONCE, RC_IO);
        take(&x);
        bool has_struck = fake_env_has_struck(&x.fake);
        fake_env_disarm(&x.fake);
        ck_assert_msg(has_struck == (x.taken_rc != RC_OK), "call %" PRIu64, n);
        ck_assert_uint_eq(file_count(&x), has_struck ? 0 : 1);
        take_ok(&x);
        check_latest_is_current(&x);
        finish(&x);
        if (!has_struck) {
            ck_assert_uint_gt(n, 10);
            break;
        }
    }
}
END_TEST

START_TEST(a_power_cut_anywhere_in_a_take_leaves_whole_files)
{
    for (uint64_t n = 1;; n++) {
        struct fixture x;
        init(&x);
        take_ok(&x);
        uint64_t first = x.kit.index;
        grow(&x, 3);
        fake_env_arm(&x.fake, n, FAKE_FAULT_POWER, RC_IO);
        take(&x);
        bool has_struck = fake_env_has_struck(&x.fake);
        bool was_taken = x.taken_rc == RC_OK;
        snapshot_store_close(x.ss);
        fake_env_power_cut(&x.fake);
        open_dir(&x);
        uint64_t found = snapshot_store_latest(x.ss)->index;
        ck_assert(found == x.kit.index || (found == first && !was_taken));
        struct store *loaded;
        struct snapshot_meta meta;
        enum status rc = snapshot_store_load(x.ss, &loaded, &meta, &x.err);
        ck_assert_msg(rc == RC_OK, "call %" PRIu64 ": %s", n, x.err.text);
        snapshot_meta_close(&meta);
        store_free(loaded);
        ck_assert_uint_le(file_count(&x), 2);
        finish(&x);
        if (!has_struck) {
            break;
        }
    }
}
END_TEST

/* ---- open --------------------------------------------------------------------------------- */

START_TEST(leftovers_are_removed_and_strangers_left_alone)
{
    struct fixture x;
    init(&x);
    take_ok(&x);
    snapshot_store_close(x.ss);
    fake_env_put(&x.fake, DIR "/snapshot-00000000000000000009-00000000000000000001.db.part",
                 slice_str("half"));
    fake_env_put(&x.fake,
                 DIR "/snapshot-00000000000000000009-00000000000000000001.db.received.part",
                 slice_str("half"));
    fake_env_put(&x.fake, DIR "/snapshot-9-1.db", slice_str("no name of ours"));
    fake_env_put(&x.fake, DIR "/notes", slice_str("of the operator"));
    open_dir(&x);
    ck_assert_uint_eq(file_count(&x), 3);
    ck_assert_ptr_nonnull(fake_env_find(&x.fake, DIR "/notes"));
    check_latest_is_current(&x);
    finish(&x);
}
END_TEST

START_TEST(the_newest_is_found_and_old_ones_are_pruned)
{
    struct fixture x;
    init(&x);
    take_ok(&x);
    snapshot_store_close(x.ss);
    fake_env_put(&x.fake, DIR "/snapshot-00000000000000000002-00000000000000000001.db",
                 slice_str("older"));
    fake_env_put(&x.fake, DIR "/snapshot-00000000000000000001-00000000000000000001.db",
                 slice_str("oldest"));
    open_dir(&x);
    fake_env_run(&x.fake);
    ck_assert_uint_eq(file_count(&x), 2);
    ck_assert_ptr_null(snapshot_find(x.ss, 1));
    check_latest_is_current(&x);
    finish(&x);
}
END_TEST

/* A byte of a value: pages have room in which damage would mean nothing. */
static uint8_t *byte_of_value(const struct buf *file)
{
    static const char text[] = "some data that takes its room";
    for (size_t at = file->size - sizeof text;; at--) {
        if (memcmp(file->data + at, text, sizeof text - 1) == 0) {
            return file->data + at;
        }
        ck_assert_uint_gt(at, 0);
    }
}

START_TEST(a_damaged_file_is_refused_by_name)
{
    struct fixture x;
    init(&x);
    take_ok(&x);
    char *path = snapshot_path(DIR, x.kit.index, TERM, SNAPSHOT_NAME_FINAL);
    struct buf *file = fake_env_find(&x.fake, path);
    *byte_of_value(file) ^= 1;
    struct store *store;
    struct snapshot_meta meta;
    ck_assert_int_eq(snapshot_store_load(x.ss, &store, &meta, &x.err), RC_CORRUPT);
    ck_assert_ptr_nonnull(strstr(x.err.text, path));
    mem_free(path);
    finish(&x);
}
END_TEST

/* ---- send and receive --------------------------------------------------------------------- */

/* Pulls the newest snapshot into `to`, one chunk at a time, until the receive has ended. */
static void transfer(struct fixture *x, struct snapshot_store *to, size_t chunk_bytes)
{
    uint64_t index;
    uint64_t offset;
    while (x->received == 0) {
        if (!snapshot_store_receive_wants(to, &index, &offset)) {
            ck_assert(fake_env_step(&x->fake));
            continue;
        }
        x->chunks = 0;
        snapshot_store_read(x->ss, index, offset, (uint32_t)chunk_bytes, 9, on_chunk, x);
        ck_assert_int_eq(x->chunks, 0); /* never from inside the call */
        while (x->chunks == 0) {
            ck_assert(fake_env_step(&x->fake));
        }
        if (x->file_bytes == 0) {
            return; /* the sender could not read it */
        }
        snapshot_store_receive_chunk(to, index, offset, buf_slice(&x->chunk));
    }
}

static void begin_receive(struct fixture *x, struct snapshot_store *to)
{
    const struct snapshot_file *file = snapshot_store_latest(x->ss);
    x->received = 0;
    ck_assert_int_eq(
        snapshot_store_receive(to, file->index, file->term, file->bytes, on_received, x),
        RC_OK);
}

static void check_received(struct fixture *x)
{
    ck_assert_int_eq(x->received, 1);
    ck_assert_msg(x->received_rc == RC_OK, "%s", status_text(x->received_rc));
    ck_assert_uint_eq(store_digest(x->store), store_digest(x->kit.store));
    store_free(x->store);
    x->store = NULL;
}

START_TEST(what_is_sent_is_received_verified_and_durable)
{
    struct fixture x;
    struct snapshot_store *to;
    init(&x);
    take_ok(&x);
    ck_assert_int_eq(try_open(&x, OTHER, &to), RC_OK);
    begin_receive(&x, to);
    transfer(&x, to, 1000);
    check_received(&x);
    ck_assert_uint_eq(snapshot_store_latest(to)->index, x.kit.index);
    snapshot_store_close(to);
    snapshot_store_close(x.ss);
    fake_env_power_cut(&x.fake);
    ck_assert_int_eq(try_open(&x, OTHER, &x.ss), RC_OK);
    check_latest_is_current(&x);
    finish(&x);
}
END_TEST

START_TEST(only_the_next_chunk_counts)
{
    struct fixture x;
    struct snapshot_store *to;
    init(&x);
    take_ok(&x);
    ck_assert_int_eq(try_open(&x, OTHER, &to), RC_OK);
    begin_receive(&x, to);
    uint64_t index = x.kit.index;
    uint64_t offset;
    snapshot_store_receive_chunk(to, index, 512, slice_str("ahead"));
    snapshot_store_receive_chunk(to, index + 1, 0, slice_str("of another"));
    snapshot_store_receive_chunk(to, index, 0, slice_make(NULL, 0));
    ck_assert(snapshot_store_receive_wants(to, &index, &offset));
    ck_assert_uint_eq(offset, 0);
    transfer(&x, to, 700);
    check_received(&x);
    snapshot_store_close(to);
    finish(&x);
}
END_TEST

START_TEST(a_read_of_what_is_not_there_says_so)
{
    struct fixture x;
    init(&x);
    snapshot_store_read(x.ss, 77, 0, 10, 9, on_chunk, &x);
    x.file_bytes = 1;
    fake_env_run(&x.fake);
    ck_assert_int_eq(x.chunks, 1);
    ck_assert_uint_eq(x.file_bytes, 0);
    finish(&x);
}
END_TEST

START_TEST(a_bit_flipped_on_the_way_is_found)
{
    struct fixture x;
    struct snapshot_store *to;
    init(&x);
    take_ok(&x);
    ck_assert_int_eq(try_open(&x, OTHER, &to), RC_OK);
    char *path = snapshot_path(DIR, x.kit.index, TERM, SNAPSHOT_NAME_FINAL);
    struct buf *file = fake_env_find(&x.fake, path);
    mem_free(path);
    uint8_t *byte = byte_of_value(file);
    *byte ^= 4;
    begin_receive(&x, to);
    transfer(&x, to, 4096);
    ck_assert_int_eq(x.received_rc, RC_CORRUPT);
    ck_assert_ptr_null(snapshot_store_latest(to));
    ck_assert_uint_eq(file_count(&x), 1);
    *byte ^= 4;
    begin_receive(&x, to);
    transfer(&x, to, 4096);
    check_received(&x);
    snapshot_store_close(to);
    finish(&x);
}
END_TEST

START_TEST(a_file_of_another_index_is_refused)
{
    struct fixture x;
    struct snapshot_store *to;
    init(&x);
    take_ok(&x);
    ck_assert_int_eq(try_open(&x, OTHER, &to), RC_OK);
    const struct snapshot_file *file = snapshot_store_latest(x.ss);
    char *path = snapshot_path(DIR, file->index, file->term, SNAPSHOT_NAME_FINAL);
    struct buf bytes = {0};
    buf_append_slice(&bytes, buf_slice(fake_env_find(&x.fake, path)));
    mem_free(path);
    ck_assert_int_eq(
        snapshot_store_receive(to, file->index + 1, TERM, file->bytes, on_received, &x), RC_OK);
    snapshot_store_receive_chunk(to, file->index + 1, 0, buf_slice(&bytes));
    fake_env_run(&x.fake);
    ck_assert_int_eq(x.received_rc, RC_CORRUPT);
    ck_assert_uint_eq(file_count(&x), 1);
    ck_assert_int_eq(snapshot_store_receive(to, 0, TERM, 10, on_received, &x), RC_INVALID);
    ck_assert_int_eq(snapshot_store_receive(to, 1, TERM, 0, on_received, &x), RC_INVALID);
    buf_close(&bytes);
    snapshot_store_close(to);
    finish(&x);
}
END_TEST

START_TEST(a_cancelled_receive_leaves_nothing_and_says_nothing)
{
    struct fixture x;
    init(&x);
    take_ok(&x);
    char *path = snapshot_path(DIR, x.kit.index, TERM, SNAPSHOT_NAME_FINAL);
    struct buf bytes = {0};
    buf_append_slice(&bytes, buf_slice(fake_env_find(&x.fake, path)));
    mem_free(path);
    for (int steps = 0; steps < 12; steps++) {
        struct snapshot_store *to;
        uint64_t index;
        uint64_t offset;
        ck_assert_int_eq(try_open(&x, OTHER, &to), RC_OK);
        begin_receive(&x, to);
        for (int i = 0; i < steps; i++) {
            if (snapshot_store_receive_wants(to, &index, &offset)) {
                size_t rest = bytes.size - (size_t)offset;
                size_t piece = rest < bytes.size / 3 ? rest : bytes.size / 3;
                snapshot_store_receive_chunk(to, index, offset,
                                             slice_make(bytes.data + offset, piece));
            }
            (void)fake_env_step(&x.fake);
        }
        bool was_received = x.received != 0;
        if (steps % 2 == 0) {
            snapshot_store_receive_cancel(to);
            fake_env_run(&x.fake);
            ck_assert_uint_eq(file_count(&x), was_received ? 2 : 1);
        }
        snapshot_store_close(to); /* or closed in the middle */
        ck_assert_int_eq(x.received, was_received ? 1 : 0);
        if (x.store != NULL) {
            store_free(x.store);
            x.store = NULL;
        }
        char *other = snapshot_path(OTHER, x.kit.index, TERM, SNAPSHOT_NAME_FINAL);
        (void)x.fake.env.disk->unlink(&x.fake.env, other);
        mem_free(other);
    }
    buf_close(&bytes);
    finish(&x);
}
END_TEST

START_TEST(a_new_receive_replaces_the_one_that_is_going_on)
{
    struct fixture x;
    struct snapshot_store *to;
    init(&x);
    take_ok(&x);
    ck_assert_int_eq(try_open(&x, OTHER, &to), RC_OK);
    begin_receive(&x, to);
    snapshot_store_receive_chunk(to, x.kit.index, 0, slice_str("the begin of something"));
    begin_receive(&x, to);
    transfer(&x, to, 5000);
    check_received(&x);
    ck_assert_uint_eq(file_count(&x), 2);
    snapshot_store_close(to);
    finish(&x);
}
END_TEST

START_TEST(a_transfer_in_which_any_disk_call_fails_can_be_repeated)
{
    for (uint64_t n = 1;; n++) {
        struct fixture x;
        struct snapshot_store *to;
        init(&x);
        take_ok(&x);
        ck_assert_int_eq(try_open(&x, OTHER, &to), RC_OK);
        begin_receive(&x, to);
        fake_env_arm(&x.fake, n, FAKE_FAULT_ONCE, RC_IO);
        transfer(&x, to, 4000);
        bool has_struck = fake_env_has_struck(&x.fake);
        if (x.received == 0) {
            ck_assert(has_struck); /* the sender's read: ask again */
            transfer(&x, to, 4000);
            ck_assert_int_eq(x.received_rc, RC_OK);
        }
        ck_assert(x.received_rc == RC_OK || has_struck);
        if (x.received_rc != RC_OK) {
            ck_assert_uint_eq(file_count(&x), 1);
            begin_receive(&x, to);
            transfer(&x, to, 4000);
        }
        check_received(&x);
        snapshot_store_close(to);
        finish(&x);
        if (!has_struck) {
            ck_assert_uint_gt(n, 10);
            break;
        }
    }
}
END_TEST

START_TEST(a_power_cut_anywhere_in_a_receive_leaves_a_whole_file_or_none)
{
    for (uint64_t n = 1;; n++) {
        struct fixture x;
        struct snapshot_store *to;
        init(&x);
        take_ok(&x);
        ck_assert_int_eq(try_open(&x, OTHER, &to), RC_OK);
        begin_receive(&x, to);
        fake_env_arm(&x.fake, n, FAKE_FAULT_POWER, RC_IO);
        transfer(&x, to, 4000);
        bool has_struck = fake_env_has_struck(&x.fake);
        bool was_received = x.received != 0 && x.received_rc == RC_OK;
        snapshot_store_close(to);
        snapshot_store_close(x.ss);
        fake_env_power_cut(&x.fake);
        ck_assert_int_eq(try_open(&x, OTHER, &x.ss), RC_OK);
        ck_assert(!was_received || snapshot_store_latest(x.ss) != NULL);
        if (snapshot_store_latest(x.ss) != NULL) {
            check_latest_is_current(&x);
        }
        finish(&x);
        if (!has_struck) {
            ck_assert(was_received);
            break;
        }
    }
}
END_TEST

static Suite *snapshot_store_suite(void)
{
    Suite *s = suite_create("snapshot_store");
    TCase *taking = tcase_create("take");
    tcase_set_timeout(taking, 60);
    tcase_add_test(taking, a_snapshot_survives_a_power_cut_as_soon_as_it_is_told);
    tcase_add_test(taking, writes_during_a_take_are_not_in_it);
    tcase_add_test(taking, a_slow_writer_holds_the_scan_back);
    tcase_add_test(taking, one_take_at_a_time);
    tcase_add_test(taking, two_are_kept_and_more_while_they_are_sent);
    tcase_add_test(taking, a_cancelled_take_leaves_nothing_and_says_nothing);
    tcase_add_test(taking, closing_in_the_middle_of_a_take_is_clean);
    tcase_add_test(taking, a_full_disk_fails_the_take_and_not_the_next_one);
    tcase_add_test(taking, a_take_in_which_any_disk_call_fails_can_be_repeated);
    tcase_add_test(taking, a_power_cut_anywhere_in_a_take_leaves_whole_files);
    suite_add_tcase(s, taking);

    TCase *opening = tcase_create("open");
    tcase_add_test(opening, leftovers_are_removed_and_strangers_left_alone);
    tcase_add_test(opening, the_newest_is_found_and_old_ones_are_pruned);
    tcase_add_test(opening, a_damaged_file_is_refused_by_name);
    suite_add_tcase(s, opening);

    TCase *transfers = tcase_create("transfer");
    tcase_set_timeout(transfers, 60);
    tcase_add_test(transfers, what_is_sent_is_received_verified_and_durable);
    tcase_add_test(transfers, only_the_next_chunk_counts);
    tcase_add_test(transfers, a_read_of_what_is_not_there_says_so);
    tcase_add_test(transfers, a_bit_flipped_on_the_way_is_found);
    tcase_add_test(transfers, a_file_of_another_index_is_refused);
    tcase_add_test(transfers, a_cancelled_receive_leaves_nothing_and_says_nothing);
    tcase_add_test(transfers, a_new_receive_replaces_the_one_that_is_going_on);
    tcase_add_test(transfers, a_transfer_in_which_any_disk_call_fails_can_be_repeated);
    tcase_add_test(transfers, a_power_cut_anywhere_in_a_receive_leaves_a_whole_file_or_none);
    suite_add_tcase(s, transfers);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){snapshot_store_suite, NULL});
}
