#include <string.h>

#include "tests/support/check_main.h"
#include "watch/watch.h"

static char long_path[STORE_PATH_BYTES_MAX + 2];

static struct watch_filter node_filter(const char *path)
{
    return (struct watch_filter){
        .scope = WATCH_NODE, .space = SPACE_NODES, .path = slice_str(path)};
}

static void expect(const struct watch_filter *f, enum outcome outcome, const char *text)
{
    struct errmsg err = {0};
    ck_assert_int_eq(watch_filter_check(f, &err), outcome);
    ck_assert_str_eq(err.text, text);
    ck_assert_int_eq(watch_filter_check(f, NULL), outcome);
}

START_TEST(ordinary_filters_are_fine)
{
    struct watch_filter f = node_filter("/a/b");
    for (f.scope = WATCH_NODE; f.scope <= WATCH_PREFIX; f.scope++) {
        expect(&f, OUTCOME_OK, "");
    }
    f = node_filter("/");
    f.scope = WATCH_SUBTREE;
    f.depth = 3;
    f.types = 1 << CHANGE_CREATE | 1 << CHANGE_SET | 1 << CHANGE_DELETE;
    f.glob = slice_str("lock-*");
    expect(&f, OUTCOME_OK, "");
}
END_TEST

START_TEST(scopes_and_spaces_must_exist)
{
    struct watch_filter f = node_filter("/a");
    f.scope = 0;
    expect(&f, OUTCOME_BAD_ARGUMENTS, "scope: 0, must be from 1 to 4");
    f.scope = 5;
    expect(&f, OUTCOME_BAD_ARGUMENTS, "scope: 5, must be from 1 to 4");
    f = node_filter("/a");
    f.space = 'x';
    expect(&f, OUTCOME_BAD_ARGUMENTS, "space: 0x78 is none");
}
END_TEST

START_TEST(flat_keys_have_no_children)
{
    struct watch_filter f = {.scope = WATCH_NODE, .space = SPACE_META, .path = slice_str("k")};
    expect(&f, OUTCOME_OK, "");
    f.scope = WATCH_PREFIX;
    expect(&f, OUTCOME_OK, "");
    f.scope = WATCH_CHILDREN;
    expect(&f, OUTCOME_BAD_ARGUMENTS,
           "scope: keys of space 'M' have no children; use a node or a prefix");
    f.scope = WATCH_SUBTREE;
    expect(&f, OUTCOME_BAD_ARGUMENTS,
           "scope: keys of space 'M' have no children; use a node or a prefix");
}
END_TEST

START_TEST(types_are_those_of_changes)
{
    struct watch_filter f = node_filter("/a");
    f.types = 1;
    expect(&f, OUTCOME_BAD_ARGUMENTS, "types: 0x01 has bits beyond 0x1e");
    f.types = 0x3e;
    expect(&f, OUTCOME_BAD_ARGUMENTS, "types: 0x3e has bits beyond 0x1e");
    f.types = 1 << CHANGE_ACL;
    expect(&f, OUTCOME_OK, "");
}
END_TEST

START_TEST(only_a_subtree_has_a_depth)
{
    struct watch_filter f = node_filter("/a");
    f.depth = 2;
    for (f.scope = WATCH_NODE; f.scope <= WATCH_PREFIX; f.scope++) {
        if (f.scope != WATCH_SUBTREE) {
            expect(&f, OUTCOME_BAD_ARGUMENTS, "depth: 2, only a subtree has one");
        }
    }
}
END_TEST

START_TEST(paths_have_the_syntax_of_paths)
{
    struct watch_filter f = node_filter("a");
    expect(&f, OUTCOME_BAD_PATH, "path: no leading '/' at byte 0");
    f = node_filter("/a/");
    expect(&f, OUTCOME_BAD_PATH, "path: trailing '/' at byte 2");
    f = node_filter("");
    expect(&f, OUTCOME_BAD_PATH, "path: no leading '/' at byte 0");
    f = node_filter(long_path);
    expect(&f, OUTCOME_TOO_LARGE, "path: 4097 bytes, the limit is 4096");
}
END_TEST

START_TEST(a_prefix_is_any_bytes_that_begin_with_a_slash)
{
    struct watch_filter f = node_filter("/a/");
    f.scope = WATCH_PREFIX;
    expect(&f, OUTCOME_OK, "");
    f.path = slice_str("/a/\xc3"); /* half a character */
    expect(&f, OUTCOME_OK, "");
    f.path = slice_str("a");
    expect(&f, OUTCOME_BAD_PATH, "path: no leading '/' at byte 0");
    f.path = slice_str("");
    expect(&f, OUTCOME_BAD_PATH, "path: no leading '/' at byte 0");
    f.path = slice_str(long_path);
    expect(&f, OUTCOME_TOO_LARGE, "path: 4097 bytes, the limit is 4096");
}
END_TEST

START_TEST(a_flat_prefix_may_be_empty_but_a_flat_key_is_not)
{
    struct watch_filter f = {.scope = WATCH_PREFIX, .space = SPACE_META};
    expect(&f, OUTCOME_OK, "");
    f.scope = WATCH_NODE;
    expect(&f, OUTCOME_BAD_PATH, "path: empty key");
    f.path = slice_str(long_path);
    expect(&f, OUTCOME_TOO_LARGE, "path: 4097 bytes, the limit is 4096");
}
END_TEST

START_TEST(a_bad_glob_is_named_with_its_place)
{
    struct watch_filter f = node_filter("/a");
    f.glob = slice_str("a[b");
    expect(&f, OUTCOME_BAD_PATTERN, "glob: class is not closed at byte 1");
    f.glob = slice_str("a/*");
    expect(&f, OUTCOME_BAD_PATTERN, "glob: no name has the '/' at byte 1");
    f = (struct watch_filter){
        .scope = WATCH_PREFIX, .space = SPACE_META, .glob = slice_str("a/*")};
    expect(&f, OUTCOME_OK, ""); /* keys of flat spaces may have one */
}
END_TEST

static Suite *filter_suite(void)
{
    Suite *suite = suite_create("watch filter");
    TCase *tcase = tcase_create("filter");
    tcase_add_test(tcase, ordinary_filters_are_fine);
    tcase_add_test(tcase, scopes_and_spaces_must_exist);
    tcase_add_test(tcase, flat_keys_have_no_children);
    tcase_add_test(tcase, types_are_those_of_changes);
    tcase_add_test(tcase, only_a_subtree_has_a_depth);
    tcase_add_test(tcase, paths_have_the_syntax_of_paths);
    tcase_add_test(tcase, a_prefix_is_any_bytes_that_begin_with_a_slash);
    tcase_add_test(tcase, a_flat_prefix_may_be_empty_but_a_flat_key_is_not);
    tcase_add_test(tcase, a_bad_glob_is_named_with_its_place);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    memset(long_path, 'a', sizeof long_path - 1);
    long_path[0] = '/';
    return check_main((check_suite_fn[]){filter_suite, NULL});
}
