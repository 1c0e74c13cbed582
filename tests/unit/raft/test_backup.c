/* Scheduled backups of a real single node, disk and time in memory: names, what stays, when one is
 * due, disks that fail or are full, power cuts. */
#include "raft/backup.h"

#include <stdio.h>

#include "base/mem.h"
#include "raft/backup_file.h"
#include "raft/node.h"
#include "store/snapshot.h"
#include "store/store.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"

#define MINUTE UINT64_C(60000)

struct fixture {
    struct fake_env fake;
    struct node *node;
    struct backup *backup;
    struct backup_options options;
    uint64_t writes;
};

static void on_fatal(void *context, enum status rc, const char *why)
{
    (void)context;
    ck_abort_msg("%s: %s", status_text(rc), why);
}

static void turn(struct fixture *x)
{
    for (int i = 0; i < 12; i++) {
        node_turn(x->node);
        if (x->backup != NULL) {
            backup_turn(x->backup, x->fake.env.now_ms(&x->fake.env));
        }
        fake_env_run(&x->fake);
    }
}

static void advance(struct fixture *x, uint64_t ms)
{
    while (ms > 0) {
        uint64_t step = ms < 500 ? ms : 500;
        fake_env_advance(&x->fake, step);
        turn(x);
        ms -= step;
    }
}

static void open_node(struct fixture *x)
{
    struct errmsg err;
    const struct node_options options = {.env = &x->fake.env,
                                         .data_dir = "data",
                                         .name = "n1",
                                         .wal_segment_bytes = 65536,
                                         .fatal = on_fatal};
    ck_assert_msg(node_open(&options, &x->node, &err) == RC_OK, "%s", err.text);
    for (int i = 0; i < 100 && !node_is_serving(x->node); i++) {
        advance(x, 100);
    }
}

static void init(struct fixture *x, uint64_t seed)
{
    *x = (struct fixture){.writes = 0};
    fake_env_init(&x->fake, seed);
    open_node(x);
    x->options = (struct backup_options){.env = &x->fake.env,
                                         .node = x->node,
                                         .dir = "backups",
                                         .member = "n1",
                                         .interval_ms = MINUTE,
                                         .keep = 3};
}

static void begin(struct fixture *x)
{
    x->options.node = x->node;
    x->backup = backup_new(&x->options);
    turn(x);
}

static void finish(struct fixture *x)
{
    backup_free(x->backup);
    node_close(x->node);
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
    char path[32];
    bool is_done = false;
    struct node_write w = {.done = on_written, .owner = &is_done};
    (void)snprintf(path, sizeof path, "/n%llu", (unsigned long long)++x->writes);
    struct op op = {.type = OP_CREATE, .space = SPACE_NODES, .path = slice_str(path)};
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    ck_assert_int_eq(node_write(x->node, &w, &c, UINT64_MAX), RC_OK);
    for (int i = 0; i < 20 && !is_done; i++) {
        turn(x);
    }
    ck_assert(is_done);
}

/* All that is in the directory of backups. */
struct listing {
    struct backup_file files[64];
    size_t count;
    size_t parts;
};

static void list_one(void *context, const char *name, uint64_t bytes)
{
    struct listing *l = context;
    bool is_part;
    ck_assert_uint_gt(bytes + 1, 0);
    if (!backup_file_parse(name, &l->files[l->count], &is_part)) {
        return;
    }
    l->parts += is_part ? 1 : 0;
    l->count += is_part ? 0 : 1;
}

static struct listing look(struct fixture *x)
{
    struct listing l = {.count = 0};
    (void)x->fake.env.disk->list(&x->fake.env, "backups", list_one, &l);
    return l;
}

static struct node_backup told(struct fixture *x)
{
    struct node_status *status = mem_alloc(sizeof *status);
    node_status(x->node, status);
    struct node_backup b = status->backup;
    mem_free(status);
    return b;
}

/* Every file with a name is whole, and is the state that its name says. */
static void check_files(struct fixture *x)
{
    struct listing l = look(x);
    for (size_t i = 0; i < l.count; i++) {
        char *path = backup_path("backups", &l.files[i], false);
        struct store *store;
        struct errmsg err;
        struct snapshot_meta meta = {.index = 0};
        ck_assert_msg(snapshot_load(&x->fake.env, path, &store, &meta, &err) == RC_OK, "%s",
                      err.text);
        ck_assert_uint_eq(meta.revision, l.files[i].revision);
        ck_assert_uint_eq(meta.index, l.files[i].index);
        ck_assert_uint_eq(meta.cluster_id, node_cluster_id(x->node));
        snapshot_meta_close(&meta);
        store_free(store);
        mem_free(path);
    }
}

/* ---- names --------------------------------------------------------------------------------- */

START_TEST(a_name_says_what_is_in_it)
{
    struct backup_file f = {.cluster_id = 0xabc,
                            .wall_ms =
                                UINT64_C(1772236799000), /* the last second of a February */
                            .revision = 42,
                            .index = 57,
                            .member = "east-1.db"};
    struct backup_file got;
    bool is_part;
    backup_file_name(&f);
    ck_assert_str_eq(f.name, "backup-0000000000000abc-20260227T235959Z-r42-i57-east-1.db.db");
    ck_assert(backup_file_parse(f.name, &got, &is_part) && !is_part);
    ck_assert_uint_eq(got.wall_ms, f.wall_ms);
    ck_assert_uint_eq(got.revision, 42);
    ck_assert_uint_eq(got.index, 57);
    ck_assert_uint_eq(got.cluster_id, 0xabc);
    ck_assert_str_eq(got.member, "east-1.db");
    for (uint64_t s = 0; s < UINT64_C(90) * 365 * 86400; s += 86400 * 13 + 7919) {
        f.wall_ms = s * 1000;
        backup_file_name(&f);
        ck_assert(backup_file_parse(f.name, &got, &is_part));
        ck_assert_uint_eq(got.wall_ms, f.wall_ms);
    }
}
END_TEST

START_TEST(other_names_are_not_ours)
{
    const char *const names[] = {
        "",
        "backup-",
        "snapshot-1-1.db",
        "backup-0000000000000abc-20260227T235959Z-r42-i57-n1",
        "backup-0000000000000abc-20260230T235959Z-r42-i57-n1.db",
        "backup-0000000000000abc-20260227T245959Z-r42-i57-n1.db",
        "backup-0000000000000abc-20260227T235959Z-r042-i57-n1.db",
        "backup-0000000000000ABC-20260227T235959Z-r42-i57-n1.db",
        "backup-0000000000000abc-20260227T235959Z-r42-i57-.db",
        "backup-0000000000000abc-20260227T235959Z-r99999999999999999999-i57-n1.db",
        "xbackup-0000000000000abc-20260227T235959Z-r42-i57-n1.db"};
    struct backup_file f;
    bool is_part;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_msg(!backup_file_parse(names[i], &f, &is_part), "%s", names[i]);
    }
    ck_assert(backup_file_parse("backup-0000000000000abc-20260227T235959Z-r42-i57-n1.db.part",
                                &f, &is_part));
    ck_assert(is_part);
}
END_TEST

/* ---- the schedule -------------------------------------------------------------------------- */

START_TEST(the_first_is_taken_at_once_and_then_one_each_interval)
{
    struct fixture x;
    init(&x, 1);
    begin(&x);
    ck_assert_uint_eq(look(&x).count, 1);
    for (size_t i = 2; i <= 3; i++) {
        write_one(&x);
        advance(&x, MINUTE - 2000);
        ck_assert_uint_eq(look(&x).count, i - 1);
        advance(&x, 3000);
        ck_assert_uint_eq(look(&x).count, i);
    }
    check_files(&x);
    ck_assert_uint_eq(told(&x).failures, 0);
    ck_assert_uint_eq(told(&x).revision, store_revision(node_store(x.node)));
    finish(&x);
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
    x.options.dir = "above/backups/";
    begin(&x);
    ck_assert_uint_eq(told(&x).failures, 0);
    ck_assert_uint_ge(above_synced, 1);
    write_one(&x);
    advance(&x, MINUTE);
    unsigned synced = above_synced;
    write_one(&x);
    advance(&x, MINUTE);
    ck_assert_uint_eq(above_synced, synced); /* it was not new any more */
    finish(&x);
}
END_TEST

START_TEST(as_many_stay_as_are_wanted_and_the_newest_of_them)
{
    struct fixture x;
    init(&x, 2);
    begin(&x);
    uint64_t indexes[8];
    for (size_t i = 0; i < 8; i++) {
        write_one(&x);
        advance(&x, MINUTE + 1000);
        indexes[i] = store_applied_index(node_store(x.node));
    }
    struct listing l = look(&x);
    ck_assert_uint_eq(l.count, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_ge(l.files[i].index, indexes[5] - 1);
    }
    ck_assert_uint_ge(backup_oldest_index(x.backup), indexes[5] - 1);
    finish(&x);
}
END_TEST

static uint64_t wall_of_next_year_ms(struct env *env)
{
    return env->now_ms(env) + UINT64_C(365) * 24 * 60 * MINUTE;
}

START_TEST(a_clock_that_was_ahead_does_not_make_old_backups_the_newest)
{
    struct fixture x;
    init(&x, 11);
    uint64_t (*right)(struct env *env) = x.fake.env.wall_ms;
    x.fake.env.wall_ms = wall_of_next_year_ms;
    begin(&x);
    for (size_t i = 0; i < 4; i++) {
        write_one(&x);
        advance(&x, MINUTE + 1000);
    }
    ck_assert_uint_eq(look(&x).count, 3);
    x.fake.env.wall_ms = right;
    for (size_t i = 0; i < 2; i++) {
        write_one(&x);
        uint64_t index = store_applied_index(node_store(x.node));
        advance(&x, MINUTE + 1000);
        struct listing l = look(&x);
        bool is_there = false;
        for (size_t j = 0; j < l.count; j++) {
            is_there = is_there || l.files[j].index >= index;
        }
        ck_assert(is_there);
        ck_assert_uint_eq(l.count, 3);
    }
    ck_assert_uint_eq(told(&x).failures, 0);
    finish(&x);
}
END_TEST

START_TEST(old_ones_go_and_the_newest_never)
{
    struct fixture x;
    init(&x, 3);
    x.options.keep = 0;
    x.options.keep_for_ms = 5 * MINUTE;
    begin(&x);
    for (size_t i = 0; i < 12; i++) {
        write_one(&x);
        advance(&x, MINUTE + 1000);
    }
    size_t count = look(&x).count;
    ck_assert(count >= 4 && count <= 6);
    advance(&x, 60 * MINUTE); /* nothing is written meanwhile */
    ck_assert_uint_eq(look(&x).count, 1);
    check_files(&x);
    ck_assert_uint_eq(told(&x).failures, 0);
    finish(&x);
}
END_TEST

START_TEST(an_idle_node_needs_no_new_file_and_its_backup_stays_fresh)
{
    struct fixture x;
    init(&x, 4);
    begin(&x);
    uint64_t first = told(&x).wall_ms;
    advance(&x, 10 * MINUTE);
    ck_assert_uint_eq(look(&x).count, 1);
    ck_assert_uint_ge(told(&x).wall_ms, first + 9 * MINUTE);
    finish(&x);
}
END_TEST

START_TEST(a_restart_goes_on_with_the_schedule)
{
    struct fixture x;
    init(&x, 5);
    begin(&x);
    write_one(&x);
    advance(&x, 20000);
    backup_free(x.backup);
    begin(&x);
    ck_assert_uint_eq(look(&x).count, 1);
    ck_assert_uint_gt(told(&x).wall_ms, 0); /* known from the file */
    advance(&x, 30000);
    ck_assert_uint_eq(look(&x).count, 1);
    advance(&x, 15000);
    ck_assert_uint_eq(look(&x).count, 2);
    finish(&x);
}
END_TEST

START_TEST(files_of_others_are_not_touched)
{
    struct fixture x;
    init(&x, 6);
    static const char *const others[] = {
        "backups/backup-0000000000000abc-20200101T000000Z-r1-i1-n1.db", /* another cluster */
        "backups/notes.txt",
        "backups/backup-0000000000000abc-20200101T000000Z-r1-i1-n1.db.part"};
    char neighbour[BACKUP_NAME_BYTES + 16];
    struct backup_file f = {.cluster_id = node_cluster_id(x.node),
                            .wall_ms = UINT64_C(1500000000000),
                            .revision = 1,
                            .index = 1,
                            .member = "n2"};
    backup_file_name(&f);
    (void)snprintf(neighbour, sizeof neighbour, "backups/%s", f.name);
    ck_assert_int_eq(x.fake.env.disk->mkdir(&x.fake.env, "backups"), RC_OK);
    for (size_t i = 0; i < 3; i++) {
        fake_env_put(&x.fake, others[i], slice_str("x"));
    }
    fake_env_put(&x.fake, neighbour, slice_str("x"));
    x.options.keep = 1;
    begin(&x);
    for (int i = 0; i < 3; i++) {
        write_one(&x);
        advance(&x, MINUTE + 1000);
    }
    for (size_t i = 0; i < 3; i++) {
        ck_assert_ptr_nonnull(fake_env_find(&x.fake, others[i]));
    }
    ck_assert_ptr_nonnull(fake_env_find(&x.fake, neighbour));
    ck_assert_uint_eq(look(&x).count, 3); /* ours, and two of others */
    finish(&x);
}
END_TEST

/* ---- what goes wrong ----------------------------------------------------------------------- */

START_TEST(a_full_disk_fails_the_backup_leaves_no_part_and_writes_go_on)
{
    struct fixture x;
    init(&x, 7);
    x.fake.space_left = 400000; /* the snapshot fits, its copy does not */
    begin(&x);
    for (int i = 0; i < 40 && told(&x).failures == 0; i++) {
        write_one(&x);
        advance(&x, MINUTE);
    }
    ck_assert_uint_gt(told(&x).failures, 0);
    ck_assert_msg(strstr(told(&x).problem, "space") != NULL, "%s", told(&x).problem);
    ck_assert_uint_eq(look(&x).parts, 0);
    write_one(&x);
    check_files(&x);
    x.fake.space_left = UINT64_MAX;
    advance(&x, MINUTE);
    ck_assert_str_eq(told(&x).problem, "");
    check_files(&x);
    finish(&x);
}
END_TEST

/* Whatever call fails once: it is told, nothing half is left with a name, the next one succeeds. */
START_TEST(every_failing_disk_call_is_told_and_made_good)
{
    for (uint64_t n = 1; n < 400; n++) {
        struct fixture x;
        init(&x, 8);
        x.options.keep = 1;
        begin(&x);
        write_one(&x);
        advance(&x, 5000); /* the log is idle: what fails is the snapshot's or the backup's */
        uint64_t failures = told(&x).failures;
        fake_env_arm(&x.fake, n, FAKE_FAULT_ONCE, RC_NO_SPACE);
        advance(&x, MINUTE + 1000);
        bool has_struck = fake_env_has_struck(&x.fake);
        fake_env_disarm(&x.fake);
        write_one(&x);
        advance(&x, 2 * MINUTE);
        ck_assert_str_eq(told(&x).problem, "");
        ck_assert_uint_eq(look(&x).parts, 0);
        ck_assert_uint_eq(look(&x).count, 1);
        ck_assert_uint_eq(told(&x).revision, store_revision(node_store(x.node)));
        check_files(&x);
        ck_assert_uint_ge(told(&x).failures, failures);
        finish(&x);
        if (!has_struck) {
            ck_assert_uint_gt(n, 10);
            return;
        }
    }
    ck_abort_msg("the faults never ended");
}
END_TEST

START_TEST(after_a_power_cut_whatever_has_a_name_is_whole)
{
    for (uint64_t n = 1; n < 60; n++) {
        struct fixture x;
        init(&x, 100 + n);
        begin(&x);
        write_one(&x);
        fake_env_arm(&x.fake, n, FAKE_FAULT_POWER, RC_IO);
        fake_env_advance(&x.fake, MINUTE + 1000);
        for (int i = 0; i < 30 && !fake_env_has_struck(&x.fake); i++) {
            backup_turn(x.backup, x.fake.env.now_ms(&x.fake.env));
            fake_env_run(&x.fake);
        }
        backup_free(x.backup);
        x.backup = NULL;
        node_close(x.node);
        fake_env_power_cut(&x.fake);
        fake_env_disarm(&x.fake);
        open_node(&x);
        check_files(&x);
        begin(&x);
        ck_assert_uint_eq(look(&x).parts, 0);
        finish(&x);
    }
}
END_TEST

START_TEST(a_backup_that_is_wanted_at_once_does_not_wait)
{
    struct fixture x;
    init(&x, 9);
    begin(&x);
    write_one(&x);
    advance(&x, 5000);
    ck_assert_uint_eq(look(&x).count, 1);
    backup_hurry(x.backup);
    advance(&x, 1000);
    ck_assert_uint_eq(look(&x).count, 2);
    advance(&x, 5000);
    ck_assert_uint_eq(look(&x).count, 2);
    finish(&x);
}
END_TEST

static Suite *backup_suite(void)
{
    Suite *s = suite_create("backup");
    TCase *tc = tcase_create("backup");
    tcase_add_test(tc, a_name_says_what_is_in_it);
    tcase_add_test(tc, other_names_are_not_ours);
    tcase_add_test(tc, the_first_is_taken_at_once_and_then_one_each_interval);
    tcase_add_test(tc, a_new_directory_is_there_after_a_power_cut);
    tcase_add_test(tc, as_many_stay_as_are_wanted_and_the_newest_of_them);
    tcase_add_test(tc, a_clock_that_was_ahead_does_not_make_old_backups_the_newest);
    tcase_add_test(tc, old_ones_go_and_the_newest_never);
    tcase_add_test(tc, an_idle_node_needs_no_new_file_and_its_backup_stays_fresh);
    tcase_add_test(tc, a_restart_goes_on_with_the_schedule);
    tcase_add_test(tc, files_of_others_are_not_touched);
    tcase_add_test(tc, a_full_disk_fails_the_backup_leaves_no_part_and_writes_go_on);
    tcase_add_test(tc, every_failing_disk_call_is_told_and_made_good);
    tcase_add_test(tc, after_a_power_cut_whatever_has_a_name_is_whole);
    tcase_add_test(tc, a_backup_that_is_wanted_at_once_does_not_wait);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){backup_suite, NULL});
}
