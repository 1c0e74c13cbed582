/* The audit log over a disk in memory: batches, rotation, restarts, and disks that are full or
 * broken, which cost lines at most, and say how many. */
#include "net/audit/audit.h"

#include <stdio.h>

#include "net/audit/file.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"

#define PATH "data/audit/audit.jsonl"

struct fixture {
    struct fake_env fake;
    struct metrics *metrics;
    struct audit *audit;
    uint64_t file_bytes_max;
    uint64_t kept;
    enum audit_level level;
    unsigned written; /* events so far: each bears its number */
};

static void open_audit(struct fixture *x)
{
    x->audit = audit_new(&(struct audit_options){.env = &x->fake.env,
                                                 .metrics = x->metrics,
                                                 .node = "n1",
                                                 .path = PATH,
                                                 .level = x->level,
                                                 .file_bytes_max = x->file_bytes_max,
                                                 .files_kept = x->kept});
}

static void init(struct fixture *x, uint64_t seed)
{
    *x = (struct fixture){.level = AUDIT_WRITES};
    fake_env_init(&x->fake, seed);
    x->metrics = metrics_new();
    open_audit(x);
}

static void finish(struct fixture *x)
{
    audit_free(x->audit);
    metrics_free(x->metrics);
    ck_assert_uint_eq(x->fake.open_files, 0);
    fake_env_close(&x->fake);
}

static void turn(struct fixture *x)
{
    audit_turn(x->audit, x->fake.env.now_ms(&x->fake.env));
    fake_env_run(&x->fake);
}

static void advance(struct fixture *x, uint64_t ms)
{
    for (uint64_t at = 0; at < ms; at += 100) {
        fake_env_advance(&x->fake, 100);
        turn(x);
    }
}

static void add_of(struct fixture *x, enum audit_class class, bool is_denied)
{
    char request[32];
    (void)snprintf(request, sizeof request, "request-%u", ++x->written);
    const struct audit_event e = {.protocol = "grpc",
                                  .peer = "192.0.2.7:1",
                                  .request = request,
                                  .class = class,
                                  .is_denied = is_denied,
                                  .outcome = is_denied ? "NO_AUTH" : "ok"};
    audit_add(x->audit, &e);
}

static void add(struct fixture *x, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        add_of(x, AUDIT_WRITE, false);
    }
}

static int64_t counter(const struct fixture *x, const char *name)
{
    return metric_value(metrics_counter(x->metrics, name, NULL, ""));
}

/* ---- what the files hold ------------------------------------------------------------------ */

/* Appends a file's content; false if there is none. Whole lines only. */
static bool take_file(struct fixture *x, const char *path, struct buf *to)
{
    const struct buf *content = fake_env_find(&x->fake, path);
    if (content == NULL) {
        return false;
    }
    ck_assert(content->size == 0 || content->data[content->size - 1] == '\n');
    buf_append_slice(to, buf_slice(content));
    return true;
}

/* All files, the oldest first. */
static void take_all(struct fixture *x, struct buf *to)
{
    for (unsigned number = 20; number > 0; number--) {
        char path[64];
        (void)snprintf(path, sizeof path, PATH ".%u", number);
        (void)take_file(x, path, to);
    }
    (void)take_file(x, PATH, to);
    buf_append(to, "", 1);
}

static unsigned number_of(const char *line)
{
    const char *at = strstr(line, "\"request\":\"request-");
    return at == NULL ? 0 : (unsigned)strtoul(at + strlen("\"request\":\"request-"), NULL, 10);
}

/* Lines in their order: `first`, `first` + 1, ...; how many there are. Lines that tell of missing
 * ones skip these. */
static unsigned check_lines(struct fixture *x, unsigned first)
{
    struct buf all = {0};
    unsigned next = first;
    take_all(x, &all);
    for (char *at = (char *)all.data; *at != '\0';) {
        char *end = strchr(at, '\n');
        ck_assert_ptr_nonnull(end);
        *end = '\0';
        const char *dropped = strstr(at, "\"dropped\":");
        if (dropped != NULL) {
            next += (unsigned)strtoul(dropped + strlen("\"dropped\":"), NULL, 10);
        } else {
            ck_assert_msg(number_of(at) == next, "%u, not %u: %s", number_of(at), next, at);
            next++;
        }
        at = end + 1;
    }
    buf_close(&all);
    return next - first;
}

static bool is_told(struct fixture *x, unsigned number)
{
    char text[48];
    struct buf all = {0};
    (void)snprintf(text, sizeof text, "\"request\":\"request-%u\"", number);
    take_all(x, &all);
    size_t length = strlen(text);
    bool found = false;
    for (size_t at = 0; !found && at + length <= all.size; at++) { /* a crash may leave zeros */
        found = memcmp(all.data + at, text, length) == 0;
    }
    buf_close(&all);
    return found;
}

/* ---- writing ------------------------------------------------------------------------------ */

START_TEST(lines_are_written_together_and_soon)
{
    struct fixture x;
    init(&x, 1);
    turn(&x); /* opens the file */
    uint64_t calls = x.fake.calls;
    add(&x, 50);
    turn(&x);
    ck_assert_uint_eq(x.fake.calls, calls);
    ck_assert_uint_le(audit_next_deadline_ms(x.audit),
                      x.fake.env.now_ms(&x.fake.env) + 100);
    advance(&x, 100);
    ck_assert_uint_eq(x.fake.calls, calls + 1); /* one write for all */
    ck_assert_uint_eq(check_lines(&x, 1), 50);
    ck_assert_uint_eq(audit_next_deadline_ms(x.audit), UINT64_MAX);
    ck_assert_int_eq(counter(&x, "coord_audit_lines_total"), 50);
    finish(&x);
}
END_TEST

START_TEST(the_level_decides_what_is_written)
{
    static const struct {
        enum audit_level level;
        bool writes;
        bool reads;
    } cases[] = {{AUDIT_DENIALS, false, false},
                 {AUDIT_WRITES, true, false},
                 {AUDIT_ALL, true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture x;
        init(&x, 1);
        audit_free(x.audit);
        x.level = cases[i].level;
        open_audit(&x);
        add_of(&x, AUDIT_WRITE, false);
        add_of(&x, AUDIT_READ, false);
        add_of(&x, AUDIT_NEVER, false);
        add_of(&x, AUDIT_READ, true);
        add_of(&x, AUDIT_NEVER, true);
        advance(&x, 300);
        ck_assert_int_eq(is_told(&x, 1), cases[i].writes);
        ck_assert_int_eq(is_told(&x, 2), cases[i].reads);
        ck_assert(!is_told(&x, 3) && is_told(&x, 4) && is_told(&x, 5));
        finish(&x);
    }
    ck_assert_ptr_null(audit_new(&(struct audit_options){.level = AUDIT_OFF}));
    audit_add(NULL, &(struct audit_event){.is_denied = true});
    ck_assert_uint_eq(audit_next_deadline_ms(NULL), UINT64_MAX);
}
END_TEST

START_TEST(an_orderly_end_writes_the_rest_and_syncs_it)
{
    struct fixture x;
    init(&x, 1);
    turn(&x);
    add(&x, 3);
    audit_free(x.audit);
    x.audit = NULL;
    ck_assert_uint_eq(x.fake.open_files, 0);
    fake_env_power_cut(&x.fake);
    struct buf all = {0};
    take_all(&x, &all); /* its content is durable, if its name is */
    ck_assert(all.size <= 1 || number_of((const char *)all.data) == 1);
    buf_close(&all);
    finish(&x);
}
END_TEST

START_TEST(an_end_in_the_midst_of_a_batch_loses_and_repeats_nothing)
{
    struct fixture x;
    init(&x, 1);
    turn(&x);
    add(&x, 10);
    fake_env_advance(&x.fake, 100);
    audit_turn(x.audit, x.fake.env.now_ms(&x.fake.env)); /* the worker has it */
    add(&x, 10);
    audit_free(x.audit);
    x.audit = NULL;
    ck_assert_uint_eq(check_lines(&x, 1), 20);
    finish(&x);
}
END_TEST

START_TEST(a_restart_goes_on_behind_a_line_that_a_crash_has_torn)
{
    static const char torn[] = "{\"request\":\"request-1\"}\n{\"time\":\"2025-12";
    struct fixture x;
    init(&x, 1);
    fake_env_put(&x.fake, PATH, slice_str(torn));
    add(&x, 1);
    advance(&x, 200);
    const struct buf *content = fake_env_find(&x.fake, PATH);
    ck_assert_uint_gt(content->size, strlen(torn));
    ck_assert_int_eq(memcmp(content->data, torn, strlen(torn)), 0);
    ck_assert_int_eq(content->data[strlen(torn)], '\n');
    ck_assert_int_eq(content->data[strlen(torn) + 1], '{');
    finish(&x);
}
END_TEST

/* ---- rotation ----------------------------------------------------------------------------- */

START_TEST(rotation_keeps_whole_lines_and_so_many_files)
{
    struct fixture x;
    init(&x, 1);
    audit_free(x.audit);
    x.file_bytes_max = 1000;
    x.kept = 3;
    open_audit(&x);
    for (int i = 0; i < 40; i++) {
        add(&x, 7); /* a batch larger than a file */
        advance(&x, 100);
    }
    advance(&x, 200);
    unsigned count = 0;
    for (unsigned number = 0; number < 10; number++) {
        char path[64];
        (void)snprintf(path, sizeof path, number == 0 ? PATH : PATH ".%u", number);
        const struct buf *content = fake_env_find(&x.fake, path);
        ck_assert_msg((content != NULL) == (number <= 3), "%s", path);
        ck_assert(content == NULL || content->size <= 1000);
        for (size_t at = 0; content != NULL && at < content->size; at++) {
            count += content->data[at] == '\n';
        }
    }
    ck_assert_uint_eq(check_lines(&x, x.written - count + 1), count);
    ck_assert_uint_gt(count, 20);
    finish(&x);
}
END_TEST

START_TEST(files_beyond_a_lower_number_go_with_the_next_rotation)
{
    struct fixture x;
    init(&x, 1);
    audit_free(x.audit);
    x.file_bytes_max = 500;
    x.kept = 2;
    fake_env_put(&x.fake, PATH ".2", slice_str("old\n"));
    fake_env_put(&x.fake, PATH ".7", slice_str("older\n"));
    fake_env_put(&x.fake, PATH ".7z", slice_str("another's\n"));
    open_audit(&x);
    add(&x, 8);
    advance(&x, 300);
    ck_assert_ptr_null(fake_env_find(&x.fake, PATH ".7"));
    ck_assert_ptr_nonnull(fake_env_find(&x.fake, PATH ".7z"));
    ck_assert_ptr_nonnull(fake_env_find(&x.fake, PATH ".1"));
    finish(&x);
}
END_TEST

START_TEST(where_a_file_cannot_be_renamed_it_goes_on_to_grow)
{
    struct fixture x;
    init(&x, 1);
    audit_free(x.audit);
    x.file_bytes_max = 1000;
    open_audit(&x);
    add(&x, 5);
    advance(&x, 200);
    for (uint64_t n = 1; n <= 4; n++) { /* sync, list, rename, sync_dir */
        add(&x, 10);
        fake_env_arm(&x.fake, n, FAKE_FAULT_ONCE, RC_IO);
        advance(&x, 200);
        fake_env_disarm(&x.fake);
    }
    advance(&x, 6000);
    ck_assert_uint_eq(check_lines(&x, 1), 45);
    ck_assert_int_ge(counter(&x, "coord_audit_failures_total"), 1);
    ck_assert_int_eq(counter(&x, "coord_audit_dropped_total"), 0);
    finish(&x);
}
END_TEST

START_TEST(a_file_that_is_gone_is_made_anew_with_the_next_rotation)
{
    struct fixture x;
    init(&x, 1);
    audit_free(x.audit);
    x.file_bytes_max = 1000;
    open_audit(&x);
    add(&x, 5);
    advance(&x, 200);
    ck_assert_int_eq(x.fake.env.disk->unlink(&x.fake.env, PATH), RC_OK);
    add(&x, 8); /* some of them to the file that nobody finds */
    advance(&x, 200);
    ck_assert_ptr_nonnull(fake_env_find(&x.fake, PATH));
    ck_assert_int_eq(counter(&x, "coord_audit_failures_total"), 0);
    unsigned before = x.written;
    add(&x, 3);
    advance(&x, 200);
    struct buf all = {0};
    take_all(&x, &all);
    ck_assert_ptr_nonnull(strstr((char *)all.data, "\"request\":\"request-16\""));
    ck_assert_uint_eq(before + 3, 16);
    buf_close(&all);
    finish(&x);
}
END_TEST

START_TEST(a_renamed_file_gets_no_more_lines_even_if_the_folder_was_not_synced)
{
    struct fixture x;
    init(&x, 1);
    audit_free(x.audit);
    x.file_bytes_max = 1000;
    open_audit(&x);
    add(&x, 5);
    advance(&x, 200);
    add(&x, 10);
    fake_env_arm(&x.fake, 5, FAKE_FAULT_ONCE, RC_IO); /* write, sync, list, rename, sync_dir */
    advance(&x, 200);
    fake_env_disarm(&x.fake);
    for (unsigned number = 1; number <= 4; number++) {
        char path[64];
        (void)snprintf(path, sizeof path, PATH ".%u", number);
        const struct buf *content = fake_env_find(&x.fake, path);
        ck_assert(content == NULL || content->size <= 1000);
    }
    ck_assert_uint_eq(check_lines(&x, 1), 15);
    ck_assert_int_eq(counter(&x, "coord_audit_failures_total"), 1);
    finish(&x);
}
END_TEST

/* ---- disks that do not work --------------------------------------------------------------- */

START_TEST(what_a_disk_refuses_for_a_while_is_written_when_it_goes_again)
{
    for (uint64_t n = 1; n <= 12; n++) {
        struct fixture x;
        init(&x, n);
        fake_env_arm(&x.fake, n, FAKE_FAULT_LASTING, RC_IO);
        for (int i = 0; i < 30; i++) {
            add(&x, 3);
            advance(&x, 200);
        }
        fake_env_disarm(&x.fake);
        advance(&x, 10100);
        ck_assert_uint_eq(check_lines(&x, 1), 90);
        ck_assert_int_ge(counter(&x, "coord_audit_failures_total"), 1);
        finish(&x);
    }
}
END_TEST

START_TEST(on_a_full_disk_lines_are_dropped_counted_and_told_when_there_is_space)
{
    struct fixture x;
    init(&x, 1);
    add(&x, 10);
    advance(&x, 200);
    x.fake.space_left = 0;
    const unsigned many = 60000; /* far more than AUDIT_PENDING_BYTES_MAX holds */
    for (unsigned i = 0; i < many / 100; i++) {
        add(&x, 100);
        advance(&x, 100);
    }
    int64_t dropped = counter(&x, "coord_audit_dropped_total");
    ck_assert_int_gt(dropped, 1000);
    ck_assert_int_lt(dropped, (int64_t)many);
    ck_assert_int_eq(counter(&x, "coord_audit_lines_total") + dropped, (int64_t)x.written);
    ck_assert_int_le(metric_value(metrics_gauge(x.metrics, "coord_audit_pending_bytes", NULL, "")),
                     (int64_t)AUDIT_PENDING_BYTES_MAX + 65536);
    x.fake.space_left = UINT64_MAX;
    advance(&x, 10000);
    add(&x, 1);
    advance(&x, 300);
    ck_assert_uint_eq(check_lines(&x, 1), x.written);
    ck_assert_int_eq(metric_value(metrics_gauge(x.metrics, "coord_audit_failing", NULL, "")), 0);
    finish(&x);
}
END_TEST

START_TEST(what_was_dropped_is_told_even_if_nothing_follows)
{
    struct fixture x;
    init(&x, 1);
    x.fake.space_left = 0;
    for (int i = 0; i < 400; i++) {
        add(&x, 100);
        advance(&x, 100);
    }
    ck_assert_int_gt(counter(&x, "coord_audit_dropped_total"), 0);
    x.fake.space_left = UINT64_MAX;
    advance(&x, 10000);
    ck_assert_uint_eq(check_lines(&x, 1), x.written);
    finish(&x);
}
END_TEST

START_TEST(the_end_on_a_broken_disk_is_an_end)
{
    struct fixture x;
    init(&x, 1);
    turn(&x);
    add(&x, 5);
    fake_env_arm(&x.fake, 1, FAKE_FAULT_LASTING, RC_IO);
    finish(&x);
}
END_TEST

START_TEST(a_crash_at_any_time_leaves_lines_and_one_torn_at_most)
{
    for (uint64_t n = 1; n <= 30; n++) {
        struct fixture x;
        init(&x, n);
        audit_free(x.audit);
        x.file_bytes_max = 700;
        open_audit(&x);
        fake_env_arm(&x.fake, n, FAKE_FAULT_POWER, RC_IO);
        for (int i = 0; i < 10; i++) {
            add(&x, 2);
            advance(&x, 100);
        }
        audit_free(x.audit);
        fake_env_power_cut(&x.fake);
        fake_env_disarm(&x.fake);
        open_audit(&x);
        unsigned first_after = x.written + 1;
        add(&x, 3);
        advance(&x, 300);
        for (unsigned i = 0; i < 3; i++) {
            ck_assert_msg(is_told(&x, first_after + i), "power cut at call %d", (int)n);
        }
        finish(&x);
    }
}
END_TEST

static Suite *audit_suite(void)
{
    Suite *suite = suite_create("audit");
    TCase *tc = tcase_create("audit");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, lines_are_written_together_and_soon);
    tcase_add_test(tc, the_level_decides_what_is_written);
    tcase_add_test(tc, an_orderly_end_writes_the_rest_and_syncs_it);
    tcase_add_test(tc, an_end_in_the_midst_of_a_batch_loses_and_repeats_nothing);
    tcase_add_test(tc, a_restart_goes_on_behind_a_line_that_a_crash_has_torn);
    tcase_add_test(tc, rotation_keeps_whole_lines_and_so_many_files);
    tcase_add_test(tc, files_beyond_a_lower_number_go_with_the_next_rotation);
    tcase_add_test(tc, a_file_that_is_gone_is_made_anew_with_the_next_rotation);
    tcase_add_test(tc, a_renamed_file_gets_no_more_lines_even_if_the_folder_was_not_synced);
    tcase_add_test(tc, where_a_file_cannot_be_renamed_it_goes_on_to_grow);
    tcase_add_test(tc, what_a_disk_refuses_for_a_while_is_written_when_it_goes_again);
    tcase_add_test(tc, on_a_full_disk_lines_are_dropped_counted_and_told_when_there_is_space);
    tcase_add_test(tc, what_was_dropped_is_told_even_if_nothing_follows);
    tcase_add_test(tc, the_end_on_a_broken_disk_is_an_end);
    tcase_add_test(tc, a_crash_at_any_time_leaves_lines_and_one_torn_at_most);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){audit_suite, NULL});
}
