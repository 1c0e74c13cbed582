/* The structure itself: many children, slots, and the syntax of paths. */
#include "base/rng.h"
#include "store/tree.h"

#include "store/command.h"
#include "tests/support/check_main.h"

static uint32_t add(struct tree *t, uint32_t parent, const char *path)
{
    struct tree_key key = {.space = SPACE_NODES,
                           .parent = parent,
                           .path = slice_str(path),
                           .hash = tree_hash(SPACE_NODES, slice_str(path))};
    return tree_add(t, &key);
}

static void drop(struct tree *t, uint32_t slot)
{
    tree_unlink(t, slot);
    tree_release(t, slot);
}

/* Names in three orders: rising, falling, scattered. */
static void name_of(char *out, size_t bytes, uint32_t i, uint32_t count, int order)
{
    uint32_t number = order == 0 ? i : order == 1 ? count - i : i * 2654435761u;
    snprintf(out, bytes, "/n%010u", number);
}

START_TEST(many_children_come_and_go_in_any_order)
{
    enum { COUNT = 20000 };
    struct rng rng;
    rng_init(&rng, 4);
    for (int order = 0; order < 3; order++) {
        struct tree t;
        tree_init(&t);
        uint32_t root = add(&t, TREE_NONE, "/");
        char path[32];
        for (uint32_t i = 0; i < COUNT; i++) {
            name_of(path, sizeof path, i, COUNT, order);
            add(&t, root, path);
        }
        tree_check(&t);
        for (uint32_t i = 0; i < COUNT; i++) {
            name_of(path, sizeof path, i, COUNT, order);
            uint32_t slot = tree_find(&t, SPACE_NODES, slice_str(path));
            ck_assert_uint_ne(slot, TREE_NONE);
            if (rng_chance(&rng, 950)) {
                drop(&t, slot);
            }
        }
        tree_check(&t);
        ck_assert_uint_lt(t.node_count, COUNT / 10);
        for (uint32_t i = 0; i < COUNT; i++) {
            name_of(path, sizeof path, i, COUNT, order);
            if (tree_find(&t, SPACE_NODES, slice_str(path)) == TREE_NONE) {
                add(&t, root, path);
            }
        }
        tree_check(&t);
        ck_assert_uint_eq(t.node_count, COUNT + 1);
        ck_assert_uint_le(t.slot_end, COUNT + 4); /* slots were used again */
        tree_close(&t);
    }
}
END_TEST

START_TEST(removing_in_random_order_leaves_no_row_of_empty_chunks)
{
    enum { COUNT = 20000 };
    struct tree t;
    struct rng rng;
    char path[32];
    tree_init(&t);
    rng_init(&rng, 5);
    uint32_t root = add(&t, TREE_NONE, "/");
    for (uint32_t i = 0; i < COUNT; i++) {
        name_of(path, sizeof path, i, COUNT, 0);
        add(&t, root, path);
    }
    for (uint32_t left = COUNT; left > 100;) {
        name_of(path, sizeof path, (uint32_t)rng_below(&rng, COUNT), COUNT, 0);
        uint32_t slot = tree_find(&t, SPACE_NODES, slice_str(path));
        if (slot != TREE_NONE) {
            drop(&t, slot);
            left--;
        }
    }
    tree_check(&t);
    ck_assert_uint_le(tree_dir(&t, root)->children.chunk_count, 3);
    tree_close(&t);
}
END_TEST

START_TEST(seek_finds_the_first_child_at_or_behind_a_name)
{
    struct tree t;
    char path[32];
    tree_init(&t);
    uint32_t root = add(&t, TREE_NONE, "/");
    for (uint32_t i = 0; i < 1000; i++) {
        name_of(path, sizeof path, 2 * i, 1000, 0);
        add(&t, root, path);
    }
    const struct children *c = &tree_dir(&t, root)->children;
    for (uint32_t i = 0; i < 2000; i++) {
        name_of(path, sizeof path, i, 1000, 0);
        for (int behind = 0; behind < 2; behind++) {
            struct children_position p = children_seek(c, &t, slice_str(path + 1), behind == 1);
            uint32_t want = behind == 1 ? i / 2 + 1 : (i + 1) / 2;
            uint32_t slot = children_next(c, &p);
            char name[32];
            name_of(name, sizeof name, 2 * want, 1000, 0);
            ck_assert(want == 1000 ? slot == TREE_NONE
                                   : slice_is(node_name(tree_node(&t, slot)), name + 1));
        }
    }
    tree_close(&t);
}
END_TEST

START_TEST(paths_have_a_parent_and_a_last_component)
{
    ck_assert(slice_is(path_parent(SPACE_NODES, slice_str("/a/b")), "/a"));
    ck_assert(slice_is(path_parent(SPACE_NODES, slice_str("/a")), "/"));
    ck_assert_uint_eq(path_parent(SPACE_NODES, slice_str("/")).size, 0);
    ck_assert(slice_is(path_last(SPACE_NODES, slice_str("/a/b")), "b"));
    ck_assert(slice_is(path_last(SPACE_META, slice_str("/a/b")), "/a/b"));
}
END_TEST

START_TEST(a_path_is_found_only_as_it_is_written)
{
    struct tree t;
    tree_init(&t);
    uint32_t root = add(&t, TREE_NONE, "/");
    uint32_t a = add(&t, root, "/a");
    uint32_t b = add(&t, a, "/a/b");
    static const char *const others[] = {"",    "//", "/a/",   "/a//b",
                                         "a/b", "/b", "/a/bb", "/aa/b"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct slice path = slice_str(others[i]);
        ck_assert_uint_eq(tree_find(&t, SPACE_NODES, path), TREE_NONE);
    }
    ck_assert_uint_eq(tree_find(&t, SPACE_NODES, slice_str("/a/b")), b);
    ck_assert_uint_eq(tree_find(&t, SPACE_META, slice_str("/a/b")), TREE_NONE);
    tree_close(&t);
}
END_TEST

static uint32_t longest_chain(const struct tree *t)
{
    uint32_t longest = 0;
    for (uint32_t i = 0; i < t->bucket_count; i++) {
        uint32_t length = 0;
        for (uint32_t slot = t->buckets[i]; slot != TREE_NONE; length++) {
            slot = tree_node(t, slot)->chain;
        }
        longest = length > longest ? length : longest;
    }
    return longest;
}

/* The next name behind `*number` of those that share their hash. Two words of it are hashed at a
 * time, and the first one of the second pair can be chosen so that the first pair is forgotten: the
 * constants and the step are those of base/hash.c. */
static void next_of_one_hash(uint32_t *number, char path[34])
{
    const uint64_t k0 = UINT64_C(0x6a09e667f3bcc909);
    const uint64_t k1 = UINT64_C(0xbb67ae8584caa73b);
    bool is_a_name = false;
    while (!is_a_name) {
        uint64_t words[2];
        (void)snprintf(path, 34, "/%015u", (*number)++);
        memcpy(words, path, sizeof words);
        uint64_t first = words[0] ^ SPACE_NODES;
        __extension__ unsigned __int128 product = first ^ k0;
        product *= words[1] ^ k1;
        uint64_t h = ((uint64_t)product ^ (uint64_t)(product >> 64)) +
                     (first ^ (words[1] << 29 | words[1] >> 35));
        uint64_t chosen = h ^ k0;
        memcpy(path + 16, &chosen, sizeof chosen);
        memcpy(path + 24, "AAAAAAAAB", 10);
        is_a_name = true;
        for (int i = 16; i < 24; i++) {
            is_a_name = is_a_name && path[i] > ' ' && path[i] < 0x7f && path[i] != '/';
        }
    }
}

START_TEST(names_chosen_for_their_hashes_do_not_meet_in_one_bucket)
{
    enum { CHOSEN = 200 };
    struct tree t;
    tree_init(&t);
    uint32_t root = add(&t, TREE_NONE, "/");
    uint64_t hash = 0;
    for (uint32_t number = 0; t.node_count < CHOSEN;) {
        char path[34];
        next_of_one_hash(&number, path);
        hash = t.node_count == 1 ? tree_hash(SPACE_NODES, slice_str(path)) : hash;
        ck_assert_uint_eq(tree_hash(SPACE_NODES, slice_str(path)), hash);
        add(&t, root, path);
    }
    ck_assert_uint_lt(longest_chain(&t), 12);
    tree_close(&t);
}
END_TEST

static enum outcome check_path(const char *path, bool sequential)
{
    struct errmsg err = {.text = ""};
    enum outcome outcome = path_check(slice_str(path), sequential, &err);
    ck_assert_int_eq(outcome == OUTCOME_OK, err.text[0] == '\0');
    return outcome;
}

START_TEST(path_syntax_is_checked_by_component)
{
    static const char *const good[] = {"/",  "/a", "/a/b", "/...", "/.a",      "/a.",
                                       "/ü", "/😀", "/ ",   "/a b", "/\xc2\xa0"};
    static const char *const bad[] = {"",
                                      "a",
                                      "/a/",
                                      "//",
                                      "/a//b",
                                      "/.",
                                      "/..",
                                      "/a/./b",
                                      "/a/../b",
                                      "/a\n",
                                      "/\x7f",
                                      "/\xc2\x80",
                                      "/\xff",
                                      "/\xc3",
                                      "/\xed\xa0\x80",
                                      "/\xc0\xaf",
                                      "/\xf4\x90\x80\x80"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_msg(check_path(good[i], false) == OUTCOME_OK, "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(check_path(bad[i], false) == OUTCOME_BAD_PATH, "%s", bad[i]);
    }
    ck_assert_int_eq(check_path("/a/", true), OUTCOME_OK);
    ck_assert_int_eq(check_path("/a/.", true), OUTCOME_OK);
    ck_assert_int_eq(check_path("/a//", true), OUTCOME_BAD_PATH);
    ck_assert_int_eq(path_check(slice_make("/a\0b", 4), false, NULL), OUTCOME_BAD_PATH);
}
END_TEST

static Suite *tree_suite(void)
{
    Suite *suite = suite_create("tree");
    TCase *tcase = tcase_create("tree");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, many_children_come_and_go_in_any_order);
    tcase_add_test(tcase, removing_in_random_order_leaves_no_row_of_empty_chunks);
    tcase_add_test(tcase, seek_finds_the_first_child_at_or_behind_a_name);
    tcase_add_test(tcase, paths_have_a_parent_and_a_last_component);
    tcase_add_test(tcase, a_path_is_found_only_as_it_is_written);
    tcase_add_test(tcase, names_chosen_for_their_hashes_do_not_meet_in_one_bucket);
    tcase_add_test(tcase, path_syntax_is_checked_by_component);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){tree_suite, NULL});
}
