/* Which changes a watch gets, in sentences. That it gets them in every combination is
 * test_watch_model's. */
#include "tests/support/watch_kit.h"

/* ---- scopes and filters ------------------------------------------------------------------ */

START_TEST(a_node_is_watched_before_it_exists_and_after_it_has_gone)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_NODE, "/a", 0);
    create(x, "/b");
    create(x, "/a");
    create(x, "/a/b");
    set(x, "/a");
    set(x, "/a/b");
    delete (x, "/a/b");
    delete (x, "/a");
    create(x, "/a");
    expect_log(x, 0, "+/a; =/a; -/a; +/a; ");
    close_fixture(x);
}
END_TEST

START_TEST(children_are_watched_without_the_node_itself_or_what_is_below_them)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_CHILDREN, "/a", 0);
    start(x, 1, WATCH_CHILDREN, "/", 0);
    create(x, "/a");
    create(x, "/a/b");
    create(x, "/a/b/c");
    set(x, "/a/b");
    create(x, "/ab");
    ck_assert_int_eq(kit_remove_tree(&x->kit, "/a"), OUTCOME_OK);
    hub_dispatch(x->hub);
    expect_log(x, 0, "+/a/b; =/a/b; -/a/b; ");
    expect_log(x, 1, "+/a; +/ab; -/a; ");
    close_fixture(x);
}
END_TEST

START_TEST(a_subtree_is_watched_with_its_top_and_down_to_its_depth)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/a", 0);
    struct watch_filter f = make_filter(WATCH_SUBTREE, "/a");
    f.depth = 1;
    ck_assert_int_eq(try_start(x, 1, &f, 0), OUTCOME_OK);
    f.path = slice_str("/");
    f.depth = 2;
    ck_assert_int_eq(try_start(x, 2, &f, 0), OUTCOME_OK);
    create(x, "/a");
    create(x, "/ab");
    create(x, "/a/b");
    create(x, "/a/b/c");
    expect_log(x, 0, "+/a; +/a/b; +/a/b/c; ");
    expect_log(x, 1, "+/a; +/a/b; ");
    expect_log(x, 2, "+/a; +/ab; +/a/b; ");
    close_fixture(x);
}
END_TEST

START_TEST(a_prefix_is_of_bytes_and_not_of_names)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_PREFIX, "/a", 0);
    start(x, 1, WATCH_PREFIX, "/a/", 0);
    start(x, 2, WATCH_PREFIX, "/ab", 0);
    start(x, 3, WATCH_PREFIX, "/", 0);
    create(x, "/a");
    create(x, "/ab");
    create(x, "/a/c");
    create(x, "/b");
    expect_log(x, 0, "+/a; +/ab; +/a/c; ");
    expect_log(x, 1, "+/a/c; ");
    expect_log(x, 2, "+/ab; ");
    expect_log(x, 3, "+/a; +/ab; +/a/c; +/b; ");
    close_fixture(x);
}
END_TEST

START_TEST(keys_of_flat_spaces_are_watched_apart_from_paths)
{
    struct fixture *x = open_fixture();
    struct watch_filter f = {.scope = WATCH_PREFIX, .space = SPACE_META};
    ck_assert_int_eq(try_start(x, 0, &f, 0), OUTCOME_OK);
    f.path = slice_str("/a");
    ck_assert_int_eq(try_start(x, 1, &f, 0), OUTCOME_OK);
    f.scope = WATCH_NODE;
    ck_assert_int_eq(try_start(x, 2, &f, 0), OUTCOME_OK);
    start(x, 3, WATCH_SUBTREE, "/", 0);
    create(x, "/a");
    static const char *const keys[] = {"/a", "/ab", "peer/x"};
    for (size_t i = 0; i < 3; i++) {
        struct op op = kit_op(OP_CREATE, keys[i], "v");
        op.space = SPACE_META;
        ck_assert_int_eq(kit_ops(&x->kit, &op, 1), OUTCOME_OK);
        hub_dispatch(x->hub);
    }
    expect_log(x, 0, "+/a; +/ab; +peer/x; ");
    expect_log(x, 1, "+/a; +/ab; ");
    expect_log(x, 2, "+/a; ");
    expect_log(x, 3, "+/a; ");
    close_fixture(x);
}
END_TEST

START_TEST(types_and_globs_let_through_what_they_name)
{
    struct fixture *x = open_fixture();
    struct watch_filter f = make_filter(WATCH_SUBTREE, "/");
    f.types = 1 << CHANGE_CREATE | 1 << CHANGE_DELETE;
    ck_assert_int_eq(try_start(x, 0, &f, 0), OUTCOME_OK);
    f.types = 1 << CHANGE_SET;
    f.glob = slice_str("lock-*");
    ck_assert_int_eq(try_start(x, 1, &f, 0), OUTCOME_OK);
    create(x, "/lock-1");
    create(x, "/other");
    set(x, "/lock-1");
    set(x, "/other");
    delete (x, "/lock-1");
    expect_log(x, 0, "+/lock-1; +/other; -/lock-1; ");
    expect_log(x, 1, "=/lock-1; ");
    close_fixture(x);
}
END_TEST

START_TEST(all_changes_of_a_transaction_arrive_together_and_in_order)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/a", 0);
    create_all(x, (const char *const[]){"/a", "/b", "/a/x", "/a/y"}, 4);
    hub_dispatch(x->hub);
    ck_assert_int_eq(kit_remove_tree(&x->kit, "/a"), OUTCOME_OK);
    hub_dispatch(x->hub);
    expect_log(x, 0, "+/a +/a/x +/a/y; -/a/x -/a/y -/a; ");
    ck_assert_int_eq(x->w[0].calls, 2);
    close_fixture(x);
}
END_TEST

START_TEST(a_failed_transaction_is_heard_of_by_nobody)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    const struct op list[2] = {kit_op(OP_CREATE, "/a", "v"), kit_op(OP_DELETE, "/none", NULL)};
    ck_assert_int_ne(kit_ops(&x->kit, list, 2), OUTCOME_OK);
    hub_dispatch(x->hub);
    expect_log(x, 0, "");
    ck_assert_uint_eq(watch_delivered(x->hub, &x->w[0].watch), now(x));
    close_fixture(x);
}
END_TEST

START_TEST(who_watches_the_node_hears_before_who_watches_its_parent)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/a", 0);
    start(x, 1, WATCH_CHILDREN, "/a", 0);
    start(x, 2, WATCH_NODE, "/a/b", 0);
    create(x, "/a");
    x->order[0] = '\0';
    create(x, "/a/b");
    ck_assert_str_eq(x->order, "cba");
    close_fixture(x);
}
END_TEST

/* ---- where a watch begins ---------------------------------------------------------------- */

START_TEST(from_a_past_revision_the_log_comes_first_and_then_what_happens)
{
    struct fixture *x = open_fixture();
    create(x, "/a");
    uint64_t from = now(x) + 1;
    create(x, "/b");
    create(x, "/c");
    start(x, 0, WATCH_SUBTREE, "/", from);
    ck_assert_int_eq(x->w[0].watch.state, WATCH_BEHIND);
    ck_assert_uint_eq(watch_delivered(x->hub, &x->w[0].watch), from - 1);
    expect_log(x, 0, ""); /* nothing from inside watch_start */
    create(x, "/d");      /* applied before it has caught up */
    turn(x);
    ck_assert_int_eq(x->w[0].watch.state, WATCH_LIVE);
    ck_assert_int_eq(x->w[0].caught_up, 1);
    create(x, "/e");
    expect_log(x, 0, "+/b; +/c; +/d; +/e; ");
    close_fixture(x);
}
END_TEST

START_TEST(from_now_nothing_is_replayed)
{
    struct fixture *x = open_fixture();
    create(x, "/a");
    start(x, 0, WATCH_SUBTREE, "/", 0);
    start(x, 1, WATCH_SUBTREE, "/", now(x) + 1);
    ck_assert_int_eq(x->w[0].watch.state, WATCH_LIVE);
    ck_assert_int_eq(x->w[1].watch.state, WATCH_LIVE);
    ck_assert(!hub_has_work(x->hub));
    create(x, "/b");
    expect_log(x, 0, "+/b; ");
    expect_log(x, 1, "+/b; ");
    ck_assert_int_eq(x->w[0].caught_up, 0); /* it never was behind */
    close_fixture(x);
}
END_TEST

START_TEST(from_a_revision_ahead_it_waits_for_that_revision)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", now(x) + 3);
    create(x, "/a");
    create(x, "/b");
    expect_log(x, 0, "");
    create(x, "/c");
    create(x, "/d");
    expect_log(x, 0, "+/c; +/d; ");
    close_fixture(x);
}
END_TEST

START_TEST(every_revision_around_the_floor_is_there_or_compacted)
{
    struct fixture *x = open_fixture();
    for (int i = 0; i < 10; i++) {
        char path[16];
        snprintf(path, sizeof path, "/n%d", i);
        create(x, path);
    }
    uint64_t floor = now(x) - 4;
    cut_log(x, floor);
    for (uint64_t from = 1; from <= now(x) + 3; from++) {
        struct watch_filter f = make_filter(WATCH_SUBTREE, "/");
        x->w[0].calls = 0;
        x->w[0].log[0] = '\0';
        if (from < floor) {
            ck_assert_int_eq(try_start(x, 0, &f, from), OUTCOME_COMPACTED);
            ck_assert_int_eq(x->w[0].watch.state, WATCH_STOPPED);
        } else {
            ck_assert_int_eq(try_start(x, 0, &f, from), OUTCOME_OK);
            turn(x);
            uint64_t missed = from <= now(x) ? now(x) - from + 1 : 0;
            ck_assert_int_eq(x->w[0].calls, (int)missed);
        }
        watch_stop(x->hub, &x->w[0].watch);
    }
    close_fixture(x);
}
END_TEST

START_TEST(the_log_of_a_new_store_reaches_back_to_its_beginning)
{
    struct fixture *x = open_fixture();
    create(x, "/a");
    start(x, 0, WATCH_SUBTREE, "/", 1); /* which made no change */
    turn(x);
    expect_log(x, 0, "+/a; ");
    close_fixture(x);
}
END_TEST

static void set_acl(struct fixture *x, const char *path)
{
    const struct acl_entry readers = {ACL_READ, slice_str("world"), slice_str("anyone")};
    struct op op = kit_op(OP_SET_ACL, path, NULL);
    struct buf list = {0};
    acl_encode(&list, &readers, 1);
    op.acl = buf_slice(&list);
    ck_assert_int_eq(kit_ops(&x->kit, &op, 1), OUTCOME_OK);
    hub_dispatch(x->hub);
    buf_close(&list);
}

START_TEST(of_a_new_list_hears_only_who_asks_for_it)
{
    struct fixture *x = open_fixture();
    start(x, 0, WATCH_SUBTREE, "/", 0);
    struct watch_filter f = make_filter(WATCH_SUBTREE, "/");
    f.types = 1 << CHANGE_ACL | 1 << CHANGE_CREATE;
    ck_assert_int_eq(try_start(x, 1, &f, 0), OUTCOME_OK);
    create(x, "/a");
    set_acl(x, "/a");
    create(x, "/b");
    expect_log(x, 0, "+/a; +/b; ");
    expect_log(x, 1, "+/a; !/a; +/b; ");
    ck_assert_uint_eq(watch_delivered(x->hub, &x->w[0].watch), now(x));
    close_fixture(x);
}
END_TEST

/* Not "/secret" and what is below it. */
static bool sees_no_secret(struct watch *w, const struct change *change)
{
    (void)w;
    struct slice secret = slice_str("/secret");
    return change->path.size < secret.size ||
           memcmp(change->path.data, secret.data, secret.size) != 0;
}

static const struct watch_ops blind_ops = {
    .deliver = on_deliver, .compacted = on_compacted, .may_see = sees_no_secret};

START_TEST(what_its_owner_may_not_see_is_passed_over_live_and_behind)
{
    struct fixture *x = open_fixture();
    uint64_t before = now(x);
    struct watch_filter f = make_filter(WATCH_SUBTREE, "/");
    ck_assert_int_eq(watch_start(x->hub, &x->w[0].watch, &f, &blind_ops, 0), OUTCOME_OK);
    create(x, "/a");
    create(x, "/secret");
    create_all(x, (const char *const[]){"/secret/x", "/b", "/secret/y", "/c"}, 4);
    hub_dispatch(x->hub);
    ck_assert_int_eq(watch_start(x->hub, &x->w[1].watch, &f, &blind_ops, before + 1),
                     OUTCOME_OK);
    turn(x);
    expect_log(x, 0, "+/a; +/b +/c; ");
    expect_log(x, 1, "+/a; +/b +/c; ");
    ck_assert_uint_eq(watch_delivered(x->hub, &x->w[1].watch), now(x));
    close_fixture(x);
}
END_TEST

static Suite *hub_suite(void)
{
    Suite *suite = suite_create("watch hub");
    TCase *tcase = tcase_create("hub");
    tcase_add_test(tcase, a_node_is_watched_before_it_exists_and_after_it_has_gone);
    tcase_add_test(tcase, children_are_watched_without_the_node_itself_or_what_is_below_them);
    tcase_add_test(tcase, a_subtree_is_watched_with_its_top_and_down_to_its_depth);
    tcase_add_test(tcase, a_prefix_is_of_bytes_and_not_of_names);
    tcase_add_test(tcase, keys_of_flat_spaces_are_watched_apart_from_paths);
    tcase_add_test(tcase, types_and_globs_let_through_what_they_name);
    tcase_add_test(tcase, of_a_new_list_hears_only_who_asks_for_it);
    tcase_add_test(tcase, what_its_owner_may_not_see_is_passed_over_live_and_behind);
    tcase_add_test(tcase, all_changes_of_a_transaction_arrive_together_and_in_order);
    tcase_add_test(tcase, a_failed_transaction_is_heard_of_by_nobody);
    tcase_add_test(tcase, who_watches_the_node_hears_before_who_watches_its_parent);
    tcase_add_test(tcase, from_a_past_revision_the_log_comes_first_and_then_what_happens);
    tcase_add_test(tcase, from_now_nothing_is_replayed);
    tcase_add_test(tcase, from_a_revision_ahead_it_waits_for_that_revision);
    tcase_add_test(tcase, every_revision_around_the_floor_is_there_or_compacted);
    tcase_add_test(tcase, the_log_of_a_new_store_reaches_back_to_its_beginning);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){hub_suite, NULL});
}
