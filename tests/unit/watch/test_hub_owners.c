/* Owners without room, logs that were cut, stores that were replaced, owners that do things from
 * inside deliver, and what watches cost. */
#include <malloc.h>

#include "tests/support/watch_kit.h"

#define IDLE_MANY  100000
#define IDLE_BYTES 300
#define WIDE       20000

/* Without Check's own assertions, which tell its parent process each time. */
static void must_start(enum outcome outcome)
{
    if (outcome != OUTCOME_OK) {
        ck_abort_msg("%s", outcome_text(outcome));
    }
}

/* ---- owners without room ----------------------------------------------------------------- */

START_TEST(a_watch_that_took_less_goes_on_there_when_it_is_resumed)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    x->w[0].room = 2;
    create_all(x, (const char *const[]){"/a", "/b", "/c"}, 3);
    hub_dispatch(x->hub);
    ck_assert_int_eq(x->w[0].watch.state, WATCH_WAITING);
    ck_assert_uint_eq(watch_delivered(x->hub, &x->w[0].watch), now(x) - 1);
    create(x, "/d");
    turn(x);
    expect_log(x, 0, "+/a +/b...");
    x->w[0].room = SIZE_MAX;
    watch_resume(x->hub, &x->w[0].watch);
    expect_log(x, 0, "+/a +/b..."); /* nothing from inside watch_resume */
    ck_assert(hub_has_work(x->hub));
    turn(x);
    expect_log(x, 0, "+/a +/b......+/c; +/d; ");
    ck_assert_int_eq(x->w[0].watch.state, WATCH_LIVE);
    close_fixture(x);
}
END_TEST

START_TEST(a_watch_that_took_nothing_gets_the_whole_revision_again)
{
    struct fixture *x = open_fixture();
    create(x, "/z");
    start(x, 0, WATCH_SUBTREE, "/a", 0);
    x->w[0].room = 0;
    create_all(x, (const char *const[]){"/y", "/a", "/a/b"}, 3);
    hub_dispatch(x->hub);
    expect_log(x, 0, "...");
    x->w[0].log[0] = '\0';
    x->w[0].room = SIZE_MAX;
    watch_resume(x->hub, &x->w[0].watch);
    turn(x);
    expect_log(x, 0, "+/a +/a/b; "); /* not marked as continued */
    close_fixture(x);
}
END_TEST

START_TEST(a_waiting_watch_delays_nobody_and_is_seen_in_the_status)
{
    struct fixture *x = open_fixture();
    struct hub_status status;
    start(x, 0, WATCH_SUBTREE, "/", 0);
    start(x, 1, WATCH_SUBTREE, "/", 0);
    x->w[0].room = 0;
    create(x, "/a");
    create(x, "/b");
    create(x, "/c");
    expect_log(x, 1, "+/a; +/b; +/c; ");
    ck_assert_int_eq(x->w[0].calls, 1);
    ck_assert(!hub_has_work(x->hub));
    hub_status(x->hub, &status);
    ck_assert_uint_eq(status.watches, 2);
    ck_assert_uint_eq(status.behind, 1);
    ck_assert_uint_eq(status.lag_revisions, 3);
    watch_resume(x->hub, &x->w[1].watch); /* it does not wait: nothing changes */
    ck_assert_int_eq(x->w[1].watch.state, WATCH_LIVE);
    close_fixture(x);
}
END_TEST

START_TEST(catching_up_is_done_in_pieces_while_changes_go_on)
{
    struct fixture *x = open_fixture();
    char expected[LOG_BYTES] = "";
    for (int i = 0; i < 40; i++) {
        char path[16];
        snprintf(path, sizeof path, "/n%02d", i);
        if (i < 20) {
            create(x, path);
        }
        snprintf(expected + strlen(expected), 16, "+%s; ", path);
    }
    start(x, 0, WATCH_CHILDREN, "/", 1);
    for (int i = 20; i < 40; i++) {
        char path[16];
        int calls = x->w[0].calls;
        ck_assert(hub_turn(x->hub, 1) || x->w[0].watch.state == WATCH_LIVE);
        ck_assert_int_le(x->w[0].calls, calls + 1);
        snprintf(path, sizeof path, "/n%02d", i);
        create(x, path);
    }
    turn(x);
    expect_log(x, 0, expected);
    close_fixture(x);
}
END_TEST

START_TEST(a_revision_is_not_torn_by_the_end_of_a_turn)
{
    struct fixture *x = open_fixture();
    create_all(x, (const char *const[]){"/a", "/b", "/c", "/d"}, 4);
    hub_dispatch(x->hub);
    start(x, 0, WATCH_SUBTREE, "/", 1);
    ck_assert(hub_turn(x->hub, 1));
    ck_assert(hub_turn(x->hub, 1));
    ck_assert_int_eq(x->w[0].calls, 0);
    ck_assert_uint_eq(watch_delivered(x->hub, &x->w[0].watch), now(x) - 1);
    turn(x);
    expect_log(x, 0, "+/a +/b +/c +/d; ");
    close_fixture(x);
}
END_TEST

START_TEST(all_that_are_behind_share_one_scan)
{
    enum { CHANGES = 200, MANY = 1000 };
    struct fixture *x = open_fixture();
    struct watcher *many = mem_zalloc(MANY * sizeof *many);
    create(x, "/a");
    for (int i = 0; i < CHANGES; i++) {
        set(x, "/a");
    }
    for (size_t i = 0; i < MANY; i++) {
        char path[16];
        snprintf(path, sizeof path, "/b%zu", i);
        struct watch_filter f = make_filter(WATCH_NODE, path);
        must_start(watch_start(x->hub, &many[i].watch, &f, &ops, 2));
    }
    ck_assert(!hub_turn(x->hub, CHANGES + 1 + MANY)); /* each of both once */
    for (size_t i = 0; i < MANY; i++) {
        ck_assert_int_eq(many[i].watch.state, WATCH_LIVE);
        watch_stop(x->hub, &many[i].watch);
    }
    mem_free(many);
    close_fixture(x);
}
END_TEST

/* ---- history gone ------------------------------------------------------------------------ */

START_TEST(a_watch_that_the_log_has_left_behind_is_stopped_and_told_the_floor)
{
    struct fixture *x = open_fixture();
    for (int i = 0; i < 5; i++) {
        char path[16];
        snprintf(path, sizeof path, "/n%d", i);
        create(x, path);
    }
    start(x, 0, WATCH_SUBTREE, "/", 3);
    start(x, 1, WATCH_SUBTREE, "/", 5);
    start(x, 2, WATCH_SUBTREE, "/", 0);
    cut_log(x, 5);
    turn(x);
    ck_assert_uint_eq(x->w[0].floor, 5);
    ck_assert_int_eq(x->w[0].watch.state, WATCH_STOPPED);
    expect_log(x, 0, "");
    expect_log(x, 1, "+/n3; +/n4; ");
    ck_assert_uint_eq(x->w[1].floor + x->w[2].floor, 0);
    close_fixture(x);
}
END_TEST

START_TEST(a_waiting_watch_hears_of_compaction_when_it_is_resumed)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    start(x, 1, WATCH_SUBTREE, "/", 0);
    x->w[0].room = 0;
    x->w[1].room = 1;
    create_all(x, (const char *const[]){"/a", "/b"}, 2);
    hub_dispatch(x->hub);
    create(x, "/c");
    cut_log(x, now(x));
    turn(x);
    ck_assert_uint_eq(x->w[0].floor, 0);
    watch_resume(x->hub, &x->w[0].watch);
    watch_resume(x->hub, &x->w[1].watch);
    turn(x);
    ck_assert_uint_eq(x->w[0].floor, now(x));
    ck_assert_uint_eq(x->w[1].floor, now(x));
    close_fixture(x);
}
END_TEST

START_TEST(a_command_that_outgrows_the_log_compacts_the_live_ones)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    start(x, 1, WATCH_NODE, "/later", now(x) + 2);
    ck_assert_int_eq(kit_create(&x->kit, "/a", "v"), OUTCOME_OK);
    cut_log(x, now(x) + 1); /* what was just applied is not in the log any more */
    hub_dispatch(x->hub);
    ck_assert_uint_eq(x->w[0].floor, now(x) + 1);
    expect_log(x, 0, "");
    ck_assert_int_eq(x->w[1].watch.state, WATCH_LIVE); /* it lacks nothing */
    create(x, "/later");
    expect_log(x, 1, "+/later; ");
    close_fixture(x);
}
END_TEST

/* ---- a store replaced by a snapshot ------------------------------------------------------ */

static void replace_store(struct fixture *x, const char *const *creates, uint32_t count,
                          uint64_t floor)
{
    struct snapshot_meta meta = {0};
    struct buf rows = {0};
    enum status rc;
    struct store *old = x->kit.store;
    kit_rows(old, &meta, &rows);
    x->kit.store = kit_load(buf_slice(&rows), &meta, &rc);
    ck_assert_int_eq(rc, RC_OK);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(kit_create(&x->kit, creates[i], "v"), OUTCOME_OK);
    }
    if (floor != 0) {
        cut_log(x, floor);
    }
    hub_rebind(x->hub, x->kit.store);
    store_free(old);
    buf_close(&rows);
    snapshot_meta_close(&meta);
}

START_TEST(an_installed_snapshot_brings_its_changes_without_gap_or_repeat)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    create(x, "/a");
    start(x, 1, WATCH_SUBTREE, "/", 2);
    start(x, 2, WATCH_SUBTREE, "/", 0);
    x->w[2].room = 0;
    create(x, "/b");
    replace_store(x, (const char *const[]){"/c", "/d"}, 2, 0);
    expect_log(x, 0, "+/a; +/b; +/c; +/d; ");
    create(x, "/e");
    x->w[2].room = SIZE_MAX;
    x->w[2].log[0] = '\0';
    watch_resume(x->hub, &x->w[2].watch);
    turn(x);
    expect_log(x, 0, "+/a; +/b; +/c; +/d; +/e; ");
    expect_log(x, 1, "+/a; +/b; +/c; +/d; +/e; ");
    expect_log(x, 2, "+/b; +/c; +/d; +/e; ");
    close_fixture(x);
}
END_TEST

START_TEST(an_installed_snapshot_whose_log_begins_later_compacts)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    create(x, "/a");
    uint64_t here = now(x);
    replace_store(x, (const char *const[]){"/b", "/c"}, 2, here + 2);
    expect_log(x, 0, "+/a; ");
    ck_assert_uint_eq(x->w[0].floor, here + 2);
    ck_assert_uint_eq(hub_revision(x->hub), here + 2);
    close_fixture(x);
}
END_TEST

START_TEST(an_installed_snapshot_whose_log_begins_just_there_does_not)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    create(x, "/a");
    replace_store(x, (const char *const[]){"/b", "/c"}, 2, now(x) + 1);
    expect_log(x, 0, "+/a; +/b; +/c; ");
    close_fixture(x);
}
END_TEST

/* ---- owners that do things from inside --------------------------------------------------- */

static void stop_self(struct watcher *w)
{
    watch_stop(w->x->hub, &w->watch);
    memset(&w->watch, 0xa5, sizeof w->watch); /* its memory is its own again */
}

START_TEST(a_one_shot_watch_stops_itself)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_NODE, "/a", 0);
    start(x, 1, WATCH_NODE, "/a", 0);
    start(x, 2, WATCH_NODE, "/a", 0);
    x->w[1].then = stop_self;
    create(x, "/a");
    set(x, "/a");
    expect_log(x, 0, "+/a; =/a; ");
    expect_log(x, 1, "+/a; ");
    expect_log(x, 2, "+/a; =/a; ");
    x->w[1].watch = (struct watch){0};
    close_fixture(x);
}
END_TEST

static void stop_all(struct watcher *w)
{
    for (size_t i = 0; i < WATCHERS; i++) {
        watch_stop(w->x->hub, &w->x->w[i].watch);
    }
}

START_TEST(who_is_stopped_from_inside_gets_nothing_more)
{
    struct fixture *x = open_fixture();
    for (size_t i = 0; i < 5; i++) {
        start(x, i, WATCH_SUBTREE, "/", 0);
        x->w[i].then = stop_all;
    }
    create(x, "/a");
    ck_assert_uint_eq(strlen(x->order), 1); /* whoever was first stopped the others */
    create(x, "/b");
    ck_assert_uint_eq(strlen(x->order), 1);
    close_fixture(x);
}
END_TEST

static void start_anew(struct watcher *w)
{
    w->then = NULL;
    watch_stop(w->x->hub, &w->watch);
    start(w->x, (size_t)(w - w->x->w), WATCH_SUBTREE, "/", 0);
}

START_TEST(who_starts_anew_from_inside_gets_what_comes_later)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    x->w[0].then = start_anew;
    create_all(x, (const char *const[]){"/a", "/b"}, 2);
    hub_dispatch(x->hub);
    create(x, "/c");
    expect_log(x, 0, "+/a +/b; +/c; ");
    close_fixture(x);
}
END_TEST

static void start_others(struct watcher *w)
{
    w->then = NULL;
    start(w->x, 1, WATCH_SUBTREE, "/", 0);
    start(w->x, 2, WATCH_SUBTREE, "/", now(w->x));
    start(w->x, 3, WATCH_SUBTREE, "/", now(w->x) + 1);
}

START_TEST(who_is_started_from_inside_begins_where_it_was_asked_to)
{
    struct fixture *x = open_fixture();
    for (size_t pairs = 1; pairs < 3; pairs++) { /* amid a revision, and after it */
        x->hub->pairs_max = pairs == 1 ? 1 : WATCH_PAIRS_MAX;
        start(x, 0, WATCH_SUBTREE, "/", 0);
        x->w[0].then = start_others;
        create_all(x, (const char *const[]){"/a", "/b", "/c", "/d"}, 4);
        hub_dispatch(x->hub);
        create(x, "/e");
        turn(x);
        expect_log(x, 1, "+/e; ");
        expect_log(x, 2, pairs == 1 ? "+/a +/b......+/c +/d; +/e; " : "+/a +/b +/c +/d; +/e; ");
        expect_log(x, 3, "+/e; ");
        stop_all(&x->w[0]);
        for (size_t i = 0; i < 4; i++) {
            x->w[i].log[0] = '\0';
        }
        ck_assert_int_eq(kit_remove_tree(&x->kit, "/a"), OUTCOME_OK);
        for (const char *const *path = (const char *const[]){"/b", "/c", "/d", "/e", NULL};
             *path != NULL; path++) {
            delete (x, *path);
        }
    }
    close_fixture(x);
}
END_TEST

/* ---- size -------------------------------------------------------------------------------- */

START_TEST(a_revision_in_pieces_is_marked_and_whole)
{
    struct fixture *x = open_fixture();
    x->hub->pairs_max = 3;
    start(x, 0, WATCH_SUBTREE, "/", 0);
    start(x, 1, WATCH_NODE, "/a", 0);
    create_all(x, (const char *const[]){"/a", "/b", "/c", "/d", "/e", "/f"}, 6);
    hub_dispatch(x->hub);
    expect_log(x, 1, "+/a; "); /* held back until it was known that nothing follows */
    ck_assert_int_eq(x->w[1].calls, 1);
    ck_assert_int_gt(x->w[0].calls, 1);
    ck_assert_uint_eq(x->w[0].taken, 6);
    ck_assert_uint_eq(strlen(x->w[0].log), strlen("+/a+/b+/c+/d+/e+/f; ") +
                                               6 * (size_t)(x->w[0].calls - 1) +
                                               (6 - (size_t)x->w[0].calls));
    close_fixture(x);
}
END_TEST

static size_t count_only(struct watch *watch, const struct change *const *changes, size_t count,
                         bool continued, bool more)
{
    (void)changes;
    (void)continued;
    (void)more;
    LIST_OF(watch, struct watcher, watch)->taken += count;
    return count;
}

static const struct watch_ops counting_ops = {.deliver = count_only, .compacted = on_compacted};

/* Were it quadratic, this would be 400 million looks for each kind of watch. */
START_TEST(a_revision_of_many_changes_costs_as_much_as_it_has_changes_and_listeners)
{
    struct fixture *x = open_fixture();
    struct watcher *many = mem_zalloc(WIDE * sizeof *many);
    struct op *list = mem_zalloc(WIDE * sizeof *list);
    char(*paths)[16] = mem_zalloc(WIDE * sizeof *paths);
    x->hub->pairs_max = 1000;
    for (size_t i = 0; i < WIDE; i++) {
        snprintf(paths[i], sizeof paths[i], "/n%zu", i);
        list[i] = kit_op(OP_CREATE, paths[i], "v");
        struct watch_filter f = make_filter(i % 2 == 0 ? WATCH_NODE : WATCH_PREFIX, paths[i]);
        must_start(watch_start(x->hub, &many[i].watch, &f, &counting_ops, 0));
    }
    struct watch_filter all = make_filter(WATCH_SUBTREE, "/");
    for (size_t i = 0; i < WATCHERS; i++) {
        ck_assert_int_eq(watch_start(x->hub, &x->w[i].watch, &all, &counting_ops, 0),
                         OUTCOME_OK);
    }
    ck_assert_int_eq(kit_ops(&x->kit, list, WIDE), OUTCOME_OK);
    hub_dispatch(x->hub);
    for (size_t i = 0; i < WATCHERS; i++) {
        ck_assert_uint_eq(x->w[i].taken, WIDE);
    }
    struct hub_status status;
    hub_status(x->hub, &status);
    ck_assert_uint_lt(status.bytes, WIDE * IDLE_BYTES); /* what gathering took is given back */
    for (size_t i = 0; i < WIDE; i++) {
        if (many[i].taken == 0) {
            ck_abort_msg("%s has been changed, and nobody was told", paths[i]);
        }
        watch_stop(x->hub, &many[i].watch);
    }
    mem_free(list);
    mem_free(paths);
    mem_free(many);
    close_fixture(x);
}
END_TEST

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

START_TEST(an_idle_watch_takes_300_bytes_at_most_all_included)
{
    struct fixture *x = open_fixture();
    struct hub_status status;
    struct watch **idle = mem_zalloc(IDLE_MANY * sizeof(struct watch *));
    size_t before = heap_bytes();
    for (size_t i = 0; i < IDLE_MANY; i++) {
        char path[64];
        snprintf(path, sizeof path, "/services/region-%zu/instances/%08zu", i % 10, i);
        if (strlen(path) < 35) {
            ck_abort_msg("too short to tell");
        }
        struct watch_filter f = make_filter((enum watch_scope)(1 + i % 4), path);
        idle[i] = mem_zalloc(sizeof(struct watch));
        must_start(watch_start(x->hub, idle[i], &f, &ops, 0));
    }
    size_t taken = heap_bytes() - before; /* 0 under a sanitizer's allocator */
    hub_status(x->hub, &status);
    ck_assert_uint_eq(status.watches, IDLE_MANY);
    ck_assert_uint_le(sizeof(struct watch) + status.bytes / IDLE_MANY, IDLE_BYTES);
    ck_assert_uint_le(taken / IDLE_MANY, IDLE_BYTES);
    for (size_t i = 0; i < IDLE_MANY; i++) {
        watch_stop(x->hub, idle[i]);
        mem_free(idle[i]);
    }
    hub_status(x->hub, &status);
    ck_assert_uint_eq(status.watches, 0);
    mem_free(idle);
    close_fixture(x);
}
END_TEST

static Suite *owners_suite(void)
{
    Suite *suite = suite_create("watch owners");
    TCase *tcase = tcase_create("hub");
    tcase_add_test(tcase, a_watch_that_took_less_goes_on_there_when_it_is_resumed);
    tcase_add_test(tcase, a_watch_that_took_nothing_gets_the_whole_revision_again);
    tcase_add_test(tcase, a_waiting_watch_delays_nobody_and_is_seen_in_the_status);
    tcase_add_test(tcase, catching_up_is_done_in_pieces_while_changes_go_on);
    tcase_add_test(tcase, a_revision_is_not_torn_by_the_end_of_a_turn);
    tcase_add_test(tcase, all_that_are_behind_share_one_scan);
    tcase_add_test(tcase, a_watch_that_the_log_has_left_behind_is_stopped_and_told_the_floor);
    tcase_add_test(tcase, a_waiting_watch_hears_of_compaction_when_it_is_resumed);
    tcase_add_test(tcase, a_command_that_outgrows_the_log_compacts_the_live_ones);
    tcase_add_test(tcase, an_installed_snapshot_brings_its_changes_without_gap_or_repeat);
    tcase_add_test(tcase, an_installed_snapshot_whose_log_begins_later_compacts);
    tcase_add_test(tcase, an_installed_snapshot_whose_log_begins_just_there_does_not);
    tcase_add_test(tcase, a_one_shot_watch_stops_itself);
    tcase_add_test(tcase, who_is_stopped_from_inside_gets_nothing_more);
    tcase_add_test(tcase, who_starts_anew_from_inside_gets_what_comes_later);
    tcase_add_test(tcase, who_is_started_from_inside_begins_where_it_was_asked_to);
    tcase_add_test(tcase, a_revision_in_pieces_is_marked_and_whole);
    tcase_add_test(tcase,
                   a_revision_of_many_changes_costs_as_much_as_it_has_changes_and_listeners);
    tcase_add_test(tcase, an_idle_watch_takes_300_bytes_at_most_all_included);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){owners_suite, NULL});
}
