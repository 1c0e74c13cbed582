/* Reads: order, pages, cursors. */
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

static struct kit k;
static struct arena arena;
static struct query_result result;

static void setup(void)
{
    static const char *const paths[] = {"/a",     "/a/b",   "/a/b/c", "/a-b",
                                        "/a/b-c", "/a/b/d", "/b"};
    kit_open(&k);
    for (size_t i = 0; i < 7; i++) {
        kit_create(&k, paths[i], paths[i]);
    }
}

static void teardown(void)
{
    arena_close(&arena);
    kit_close(&k);
}

static enum outcome list(const char *path, bool recursive, const char *after, uint32_t limit)
{
    struct query q = {.type = QUERY_LIST,
                      .space = SPACE_NODES,
                      .path = slice_str(path),
                      .recursive = recursive,
                      .after = slice_str(after),
                      .limit = limit};
    store_query(k.store, &q, &result, &arena);
    return (enum outcome)result.outcome;
}

/* The listed paths, separated by spaces. */
static const char *listed(void)
{
    static char text[1000];
    text[0] = '\0';
    for (uint32_t i = 0; i < result.entry_count; i++) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "%s%.*s", i == 0 ? "" : " ",
                 (int)result.entries[i].path.size, (const char *)result.entries[i].path.data);
    }
    return text;
}

START_TEST(get_and_exists_answer_with_the_stores_position)
{
    struct query q = {.type = QUERY_GET, .space = SPACE_NODES, .path = slice_str("/a/b")};
    store_query(k.store, &q, &result, &arena);
    ck_assert_int_eq(result.outcome, OUTCOME_OK);
    ck_assert(slice_is(result.data, "/a/b"));
    ck_assert_uint_eq(result.stat.child_count, 2);
    ck_assert_uint_eq(result.revision, store_revision(k.store));
    ck_assert_uint_eq(result.applied_index, store_applied_index(k.store));
    ck_assert_uint_eq(result.cluster_ms, store_cluster_ms(k.store));
    q.type = QUERY_EXISTS;
    store_query(k.store, &q, &result, &arena);
    ck_assert_uint_eq(result.data.size, 0);
    q.path = slice_str("not//a/path/");
    store_query(k.store, &q, &result, &arena);
    ck_assert_int_eq(result.outcome, OUTCOME_NO_NODE);
    q.space = 'x';
    store_query(k.store, &q, &result, &arena);
    ck_assert_int_eq(result.outcome, OUTCOME_BAD_ARGUMENTS);
}
END_TEST

START_TEST(children_come_in_order_of_name)
{
    ck_assert_int_eq(list("/", false, "", 0), OUTCOME_OK);
    ck_assert_str_eq(listed(), "/a /a-b /b /zookeeper");
    ck_assert(!result.more);
    ck_assert_int_eq(list("/a/b/c", false, "", 0), OUTCOME_OK);
    ck_assert_uint_eq(result.entry_count, 0);
    ck_assert_int_eq(list("/missing", false, "", 0), OUTCOME_NO_NODE);
}
END_TEST

START_TEST(descendants_come_depth_first)
{
    ck_assert_int_eq(list("/", true, "", 6), OUTCOME_OK);
    ck_assert_str_eq(listed(), "/a /a/b /a/b/c /a/b/d /a/b-c /a-b");
    ck_assert(result.more);
    ck_assert_int_eq(list("/a", true, "", 0), OUTCOME_OK);
    ck_assert_str_eq(listed(), "/a/b /a/b/c /a/b/d /a/b-c");
}
END_TEST

static uint64_t counted(uint8_t space, const char *path, bool recursive, uint32_t depth)
{
    struct query q = {.type = QUERY_LIST,
                      .space = space,
                      .path = slice_str(path),
                      .recursive = recursive,
                      .count_only = true,
                      .limit = 1,
                      .depth = depth};
    store_query(k.store, &q, &result, &arena);
    ck_assert_int_eq(result.outcome, OUTCOME_OK);
    ck_assert_uint_eq(result.entry_count, 0);
    ck_assert(!result.more);
    return result.counted;
}

START_TEST(what_would_be_listed_can_be_counted_alone)
{
    ck_assert_uint_eq(counted(SPACE_NODES, "/", false, 0), 4);
    ck_assert_uint_eq(counted(SPACE_NODES, "/", true, 0), 10);
    ck_assert_uint_eq(counted(SPACE_NODES, "/", true, 2), 8);
    ck_assert_uint_eq(counted(SPACE_NODES, "/a", true, 0), 4);
    ck_assert_uint_eq(counted(SPACE_NODES, "/b", true, 0), 0);
    ck_assert_uint_eq(counted(SPACE_META, "nothing", false, 0), 0);
    ck_assert_int_eq(list("/a", true, "", 0), OUTCOME_OK);
    ck_assert_uint_eq(result.counted, 0);
}
END_TEST

START_TEST(a_list_goes_so_deep_and_no_deeper_page_by_page_too)
{
    static const char *const wanted[] = {
        "/a /a-b /b /zookeeper",
        "/a /a/b /a/b-c /a-b /b /zookeeper /zookeeper/config /zookeeper/quota",
        "/a /a/b /a/b/c /a/b/d /a/b-c /a-b /b /zookeeper /zookeeper/config /zookeeper/quota",
    };
    for (uint32_t depth = 1; depth <= 3; depth++) {
        struct query q = {.type = QUERY_LIST,
                          .space = SPACE_NODES,
                          .path = slice_str("/"),
                          .recursive = true,
                          .with_data = true,
                          .depth = depth};
        store_query(k.store, &q, &result, &arena);
        ck_assert_str_eq(listed(), wanted[depth - 1]);
        ck_assert(slice_equal(value_slice(result.entries[0].value), result.entries[0].data));
        char joined[1000] = "";
        q.limit = 1;
        do {
            store_query(k.store, &q, &result, &arena);
            size_t at = strlen(joined);
            snprintf(joined + at, sizeof joined - at, "%s%s", at == 0 ? "" : " ", listed());
            q.after = result.entries[0].path;
        } while (result.more);
        ck_assert_str_eq(joined, wanted[depth - 1]);
    }
}
END_TEST

START_TEST(a_page_goes_on_behind_any_path_of_the_last_whether_or_not_it_still_exists)
{
    list("/", true, "/a/b", 0);
    ck_assert_str_eq(listed(), "/a/b/c /a/b/d /a/b-c /a-b /b /zookeeper /zookeeper/config "
                               "/zookeeper/quota");
    list("/", true, "/a/b/c", 2);
    ck_assert_str_eq(listed(), "/a/b/d /a/b-c");
    list("/", true, "/a/b/cc", 1);
    ck_assert_str_eq(listed(), "/a/b/d");
    list("/a", true, "/a/b/d/gone/deeper", 0);
    ck_assert_str_eq(listed(), "/a/b-c");
    list("/a", true, "/a/b-c", 0);
    ck_assert_str_eq(listed(), "");
    list("/", false, "/a", 2);
    ck_assert_str_eq(listed(), "/a-b /b");
    kit_delete(&k, "/a-b");
    list("/", false, "/a-b", 1);
    ck_assert_str_eq(listed(), "/b");
}
END_TEST

START_TEST(a_cursor_outside_the_listing_is_refused)
{
    ck_assert_int_eq(list("/a", true, "/b", 0), OUTCOME_BAD_CURSOR);
    ck_assert_int_eq(list("/a", true, "/a", 0), OUTCOME_BAD_CURSOR);
    ck_assert_int_eq(list("/a", true, "/a/", 0), OUTCOME_BAD_CURSOR);
    ck_assert_int_eq(list("/a", true, "/a-b", 0), OUTCOME_BAD_CURSOR);
    ck_assert_int_eq(list("/a", false, "/a/b/c", 0), OUTCOME_BAD_CURSOR);
    ck_assert_int_eq(list("/", false, "b", 0), OUTCOME_BAD_CURSOR);
}
END_TEST

START_TEST(pages_are_bounded_in_bytes)
{
    static char large[300001];
    memset(large, 'x', sizeof large - 1);
    for (char name[] = "/big/0"; name[5] < '9'; name[5]++) {
        if (name[5] == '0') {
            kit_create(&k, "/big", "");
        }
        ck_assert_int_eq(kit_create(&k, name, large), OUTCOME_OK);
    }
    struct query q = {
        .type = QUERY_LIST, .space = SPACE_NODES, .path = slice_str("/big"), .with_data = true};
    store_query(k.store, &q, &result, &arena);
    ck_assert_uint_eq(result.entry_count, 6);
    ck_assert(result.more);
    q.after = slice_str("/big/5");
    store_query(k.store, &q, &result, &arena);
    ck_assert_uint_eq(result.entry_count, 3);
    ck_assert(!result.more);
    q.with_data = false;
    q.after = slice_make(NULL, 0);
    store_query(k.store, &q, &result, &arena);
    ck_assert_uint_eq(result.entry_count, 9);
    ck_assert_uint_eq(result.entries[0].data.size, 0);
    ck_assert_uint_eq(result.entries[0].stat.data_bytes, 300000);
}
END_TEST

START_TEST(flat_keys_are_listed_by_prefix)
{
    static const char *const keys[] = {"peer/b", "peer/a", "member/1", "peer", "peers"};
    for (size_t i = 0; i < 5; i++) {
        struct op op = {.type = OP_SET,
                        .space = SPACE_META,
                        .path = slice_str(keys[i]),
                        .version = VERSION_ANY};
        ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    }
    struct query q = {.type = QUERY_LIST, .space = SPACE_META, .path = slice_str("peer/")};
    store_query(k.store, &q, &result, &arena);
    ck_assert_str_eq(listed(), "peer/a peer/b");
    q.path = slice_make(NULL, 0);
    q.limit = 2;
    store_query(k.store, &q, &result, &arena);
    ck_assert_str_eq(listed(), "member/1 peer");
    ck_assert(result.more);
    q.after = slice_str("peer");
    q.limit = 0;
    store_query(k.store, &q, &result, &arena);
    ck_assert_str_eq(listed(), "peer/a peer/b peers");
    q.path = slice_str("peer/");
    store_query(k.store, &q, &result, &arena);
    ck_assert_int_eq(result.outcome, OUTCOME_BAD_CURSOR);
}
END_TEST

START_TEST(deep_trees_are_walked_without_recursion)
{
    char path[STORE_PATH_BYTES_MAX + 1] = "";
    size_t depth = 0;
    for (; 2 * depth + 2 <= STORE_PATH_BYTES_MAX; depth++) {
        strcpy(path + 2 * depth, "/d");
        ck_assert_int_eq(kit_create(&k, path, ""), OUTCOME_OK);
    }
    ck_assert_int_eq(list("/d", true, "", 0), OUTCOME_OK);
    uint32_t first_page = result.entry_count;
    ck_assert_uint_gt(first_page, 500); /* 2 MiB of paths of up to 4 KiB */
    ck_assert(result.more);
    ck_assert_int_eq(kit_remove_tree(&k, "/d"), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.results[0].count, depth);
    store_check(k.store);
}
END_TEST

static Suite *query_suite(void)
{
    Suite *suite = suite_create("query");
    TCase *tcase = tcase_create("query");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, get_and_exists_answer_with_the_stores_position);
    tcase_add_test(tcase, children_come_in_order_of_name);
    tcase_add_test(tcase, descendants_come_depth_first);
    tcase_add_test(tcase, what_would_be_listed_can_be_counted_alone);
    tcase_add_test(tcase, a_list_goes_so_deep_and_no_deeper_page_by_page_too);
    tcase_add_test(tcase,
                   a_page_goes_on_behind_any_path_of_the_last_whether_or_not_it_still_exists);
    tcase_add_test(tcase, a_cursor_outside_the_listing_is_refused);
    tcase_add_test(tcase, pages_are_bounded_in_bytes);
    tcase_add_test(tcase, flat_keys_are_listed_by_prefix);
    tcase_add_test(tcase, deep_trees_are_walked_without_recursion);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){query_suite, NULL});
}
