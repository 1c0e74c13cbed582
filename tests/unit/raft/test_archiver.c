/* The archive of a real single node, disk and time in memory: all that is applied, once, in order;
 * restarts, gaps, disks that fail. */
#include "raft/archiver.h"

#include <stdio.h>

#include "base/mem.h"
#include "raft/archive.h"
#include "raft/node.h"
#include "store/store.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"

struct fixture {
    struct fake_env fake;
    struct metrics *metrics;
    struct node *node;
    struct archiver *archiver;
    uint64_t writes;
    size_t value_bytes;
    int gaps;
};

static void on_fatal(void *context, enum status rc, const char *why)
{
    (void)context;
    ck_abort_msg("%s: %s", status_text(rc), why);
}

static void on_gap(void *context)
{
    struct fixture *x = context;
    x->gaps++;
}

static void turn(struct fixture *x)
{
    for (int i = 0; i < 8; i++) {
        node_turn(x->node);
        if (x->archiver != NULL) {
            archiver_turn(x->archiver, x->fake.env.now_ms(&x->fake.env));
        }
        fake_env_run(&x->fake);
    }
}

static void advance(struct fixture *x, uint64_t ms)
{
    for (uint64_t at = 0; at < ms; at += 100) {
        fake_env_advance(&x->fake, 100);
        turn(x);
    }
}

static void open_node(struct fixture *x)
{
    struct errmsg err;
    const struct node_options options = {.env = &x->fake.env,
                                         .data_dir = "data",
                                         .name = "n1",
                                         .wal_segment_bytes = 65536,
                                         .snapshot_log_bytes = 16384,
                                         .trailing_log_bytes = 4096,
                                         .fatal = on_fatal};
    ck_assert_msg(node_open(&options, &x->node, &err) == RC_OK, "%s", err.text);
    for (int i = 0; i < 100 && !node_is_serving(x->node); i++) {
        advance(x, 100);
    }
}

static void begin(struct fixture *x)
{
    x->archiver = archiver_new(&(struct archiver_options){.env = &x->fake.env,
                                                          .metrics = x->metrics,
                                                          .node = x->node,
                                                          .dir = "archive",
                                                          .seal_ms = 10000,
                                                          .gap = on_gap,
                                                          .context = x});
    turn(x);
}

static void init(struct fixture *x, uint64_t seed)
{
    *x = (struct fixture){.value_bytes = 10};
    fake_env_init(&x->fake, seed);
    x->metrics = metrics_new();
    open_node(x);
    begin(x);
}

static void finish(struct fixture *x)
{
    archiver_free(x->archiver);
    node_close(x->node);
    metrics_free(x->metrics);
    ck_assert_uint_eq(x->fake.open_files, 0);
    fake_env_close(&x->fake);
}

static void on_written(struct node_write *w, enum status rc, const struct reply *reply)
{
    (void)reply;
    ck_assert_int_eq(rc, RC_OK);
    *(bool *)w->owner = true;
}

static void write_one(struct fixture *x)
{
    static const uint8_t value[4096];
    char path[32];
    bool is_done = false;
    struct node_write w = {.done = on_written, .owner = &is_done};
    (void)snprintf(path, sizeof path, "/n%llu", (unsigned long long)++x->writes);
    struct op op = {.type = OP_CREATE,
                    .space = SPACE_NODES,
                    .path = slice_str(path),
                    .data = slice_make(value, x->value_bytes)};
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    ck_assert_int_eq(node_write(x->node, &w, &c, UINT64_MAX), RC_OK);
    for (int i = 0; i < 20 && !is_done; i++) {
        turn(x);
    }
    ck_assert(is_done);
}

static int64_t metric_of(struct fixture *x, const char *name)
{
    return metric_value(metrics_counter(x->metrics, name, NULL, ""));
}

/* The entries from `first` on lie in the archive without a gap, up to what is applied; those that
 * the node still has are the same. */
static void check_archive(struct fixture *x, uint64_t first)
{
    struct archive_reader *reader;
    struct wal_entry entry;
    struct wal_entry own;
    struct errmsg err;
    uint64_t applied = store_applied_index(node_store(x->node));
    ck_assert_int_eq(archive_reader_open(&x->fake.env, "archive", node_cluster_id(x->node),
                                         first, &reader, &err),
                     RC_OK);
    for (uint64_t index = first; index <= applied; index++) {
        enum status rc = archive_reader_next(reader, &entry, &err);
        ck_assert_msg(rc == RC_OK, "%llu: %s", (unsigned long long)index, err.text);
        ck_assert_uint_eq(entry.index, index);
        if (node_entry(x->node, index, &own) == RC_OK) {
            ck_assert_uint_eq(entry.term, own.term);
            ck_assert_uint_eq(entry.type, own.type);
            ck_assert(slice_equal(entry.payload, own.payload));
        }
    }
    ck_assert_int_eq(archive_reader_next(reader, &entry, &err), RC_NOT_FOUND);
    archive_reader_close(reader);
}

static size_t sealed_files(struct fixture *x)
{
    struct archive_file *files;
    struct errmsg err;
    size_t count;
    size_t sealed = 0;
    ck_assert_int_eq(archive_list(&x->fake.env, "archive", 0, &files, &count, &err), RC_OK);
    for (size_t i = 0; i < count; i++) {
        sealed += files[i].last_index > 0;
    }
    mem_free(files);
    return sealed;
}

START_TEST(all_that_is_applied_is_archived_within_seconds)
{
    struct fixture x;
    init(&x, 1);
    for (int i = 0; i < 30; i++) {
        write_one(&x);
    }
    advance(&x, 2500);
    ck_assert_uint_eq(archiver_index(x.archiver), store_applied_index(node_store(x.node)));
    check_archive(&x, 1);
    ck_assert_int_eq(x.gaps, 1); /* nothing was archived before: a full backup is wanted */
    ck_assert_int_eq(metric_of(&x, "coord_archive_gaps_total"), 0);
    finish(&x);
}
END_TEST

START_TEST(files_are_sealed_in_time_and_go_with_the_backups_before_them)
{
    struct fixture x;
    init(&x, 2);
    for (int i = 0; i < 4; i++) {
        write_one(&x);
        advance(&x, 12000);
    }
    ck_assert_uint_eq(sealed_files(&x), 4);
    uint64_t applied = store_applied_index(node_store(x.node));
    archiver_retain(x.archiver, applied - 2);
    advance(&x, 1000);
    ck_assert_uint_eq(sealed_files(&x), 2);
    check_archive(&x, applied - 1);
    finish(&x);
}
END_TEST

START_TEST(a_restart_goes_on_behind_what_is_archived)
{
    struct fixture x;
    init(&x, 3);
    for (int i = 0; i < 5; i++) {
        write_one(&x);
    }
    advance(&x, 2000);
    archiver_free(x.archiver);
    x.archiver = NULL;
    node_close(x.node);
    open_node(&x);
    write_one(&x);
    begin(&x);
    for (int i = 0; i < 5; i++) {
        write_one(&x);
    }
    advance(&x, 2000);
    check_archive(&x, 1);
    ck_assert_int_eq(x.gaps, 1);
    finish(&x);
}
END_TEST

START_TEST(what_the_log_no_longer_has_is_a_gap_that_is_told)
{
    struct fixture x;
    init(&x, 4);
    write_one(&x);
    advance(&x, 2000);
    uint64_t archived = archiver_index(x.archiver);
    archiver_free(x.archiver);
    x.archiver = NULL;
    x.value_bytes = 4000;
    for (int i = 0; i < 40; i++) { /* several snapshots later */
        write_one(&x);
        advance(&x, 100);
    }
    struct node_entries have = node_entries(x.node);
    ck_assert_uint_gt(have.first, archived + 1);
    begin(&x);
    advance(&x, 3000);
    ck_assert_int_eq(metric_of(&x, "coord_archive_gaps_total"), 1);
    ck_assert_int_eq(x.gaps, 2);
    check_archive(&x, have.first);
    finish(&x);
}
END_TEST

START_TEST(an_archive_that_fails_is_opened_anew_and_lacks_nothing)
{
    for (uint64_t n = 1; n < 40; n++) {
        struct fixture x;
        init(&x, 5);
        write_one(&x);
        advance(&x, 2000); /* the log is idle */
        write_one(&x);
        fake_env_arm(&x.fake, n, FAKE_FAULT_ONCE, RC_NO_SPACE);
        for (int i = 0; i < 130; i++) {
            fake_env_advance(&x.fake, 100);
            archiver_turn(x.archiver, x.fake.env.now_ms(&x.fake.env));
            fake_env_run(&x.fake);
        }
        bool has_struck = fake_env_has_struck(&x.fake);
        fake_env_disarm(&x.fake);
        write_one(&x);
        advance(&x, 8000);
        check_archive(&x, 1);
        finish(&x);
        if (!has_struck) {
            ck_assert_uint_gt(n, 3);
            return;
        }
    }
    ck_abort_msg("the faults never ended");
}
END_TEST

START_TEST(a_disk_that_hangs_holds_no_write_up)
{
    struct fixture x;
    init(&x, 6);
    write_one(&x);
    fake_env_advance(&x.fake, 300);
    archiver_turn(x.archiver,
                  x.fake.env.now_ms(&x.fake.env)); /* a piece is under way from here */
    struct archiver *hanging = x.archiver;
    x.archiver = NULL;
    for (int i = 0; i < 10; i++) {
        write_one(&x);
        archiver_turn(hanging, x.fake.env.now_ms(&x.fake.env));
    }
    x.archiver = hanging;
    advance(&x, 3000);
    check_archive(&x, 1);
    finish(&x);
}
END_TEST

static Suite *archiver_suite(void)
{
    Suite *s = suite_create("archiver");
    TCase *tc = tcase_create("archiver");
    tcase_add_test(tc, all_that_is_applied_is_archived_within_seconds);
    tcase_add_test(tc, files_are_sealed_in_time_and_go_with_the_backups_before_them);
    tcase_add_test(tc, a_restart_goes_on_behind_what_is_archived);
    tcase_add_test(tc, what_the_log_no_longer_has_is_a_gap_that_is_told);
    tcase_add_test(tc, an_archive_that_fails_is_opened_anew_and_lacks_nothing);
    tcase_add_test(tc, a_disk_that_hangs_holds_no_write_up);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){archiver_suite, NULL});
}
