#include "cmd/coordctl/text/words.h"

#include "tests/support/check_main.h"

static void expect_words(const char *line, const char *const *wanted)
{
    struct arena arena = {0};
    struct words words;
    ck_assert_int_eq(words_split(&arena, line, false, &words), WORDS_OK);
    int i = 0;
    for (; wanted[i] != NULL; i++) {
        ck_assert_int_lt(i, words.count);
        ck_assert_str_eq(words.at[i], wanted[i]);
    }
    ck_assert_int_eq(words.count, i);
    ck_assert_ptr_null(words.at[i]);
    arena_close(&arena);
}

#define EXPECT(line, ...) expect_words(line, (const char *const[]){__VA_ARGS__, NULL})

START_TEST(blanks_divide_and_quotes_keep_together)
{
    EXPECT("get /a", "get", "/a");
    EXPECT("  set\t/a  'two words' ", "set", "/a", "two words");
    EXPECT("set /a \"it's\"", "set", "/a", "it's");
    EXPECT("set /a 'say \"x\"'", "set", "/a", "say \"x\"");
    EXPECT("set /a ''", "set", "/a", "");
    EXPECT("set /a x'y z'\"w\"", "set", "/a", "xy zw");
}
END_TEST

START_TEST(a_backslash_takes_what_follows)
{
    EXPECT("get /a\\ b", "get", "/a b");
    EXPECT("set /a \"q\\\"\\\\ \\n\"", "set", "/a", "q\"\\ \\n");
    EXPECT("set /a 'a\\b'", "set", "/a", "a\\b");
    EXPECT("set /a \\", "set", "/a", "\\");
}
END_TEST

START_TEST(a_hash_begins_a_comment_only_as_a_word)
{
    EXPECT("ls # what is there", "ls");
    EXPECT("get /a#b", "get", "/a#b");
    expect_words("# nothing", (const char *const[]){NULL});
    expect_words("", (const char *const[]){NULL});
}
END_TEST

START_TEST(what_follows_a_pipe_or_an_arrow_is_not_ours)
{
    struct arena arena = {0};
    struct words words;
    ck_assert_int_eq(words_split(&arena, "ls /a|grep 'x' >y", false, &words), WORDS_OK);
    ck_assert_int_eq(words.count, 2);
    ck_assert_str_eq(words.tail, "|grep 'x' >y");
    ck_assert_int_eq(words_split(&arena, "set /a '|' \\>", false, &words), WORDS_OK);
    ck_assert_int_eq(words.count, 4);
    ck_assert_ptr_null(words.tail);
    arena_close(&arena);
}
END_TEST

START_TEST(an_open_quote_and_too_many_words_are_told)
{
    struct arena arena = {0};
    struct words words;
    char line[2 * WORDS_MAX + 3];
    ck_assert_int_eq(words_split(&arena, "set /a 'x", false, &words), WORDS_OPEN_QUOTE);
    for (size_t i = 0; i < sizeof line - 1; i++) {
        line[i] = i % 2 == 0 ? 'x' : ' ';
    }
    line[sizeof line - 1] = '\0';
    ck_assert_int_eq(words_split(&arena, line, false, &words), WORDS_TOO_MANY);
    arena_close(&arena);
}
END_TEST

START_TEST(the_last_word_is_there_to_be_completed)
{
    struct arena arena = {0};
    struct words words;
    ck_assert_int_eq(words_split(&arena, "get ", true, &words), WORDS_OK);
    ck_assert_int_eq(words.count, 2);
    ck_assert_str_eq(words.at[1], "");
    ck_assert_uint_eq(words.last_begin, 4);
    ck_assert_int_eq(words_split(&arena, "get /a", true, &words), WORDS_OK);
    ck_assert_int_eq(words.count, 2);
    ck_assert_uint_eq(words.last_begin, 4);
    ck_assert_int_eq(words_split(&arena, "get '/a b", true, &words), WORDS_OPEN_QUOTE);
    ck_assert_str_eq(words.at[1], "/a b");
    ck_assert_int_eq(words.open_quote, '\'');
    ck_assert_int_eq(words_split(&arena, "", true, &words), WORDS_OK);
    ck_assert_int_eq(words.count, 1);
    arena_close(&arena);
}
END_TEST

START_TEST(what_is_quoted_is_read_back)
{
    static const char *const texts[] = {"plain", "two words", "it's", "a\"b\\c", "x|y>z#", "'"};
    static const char quotes[] = {0, '\'', '"'};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (size_t q = 0; q < sizeof quotes; q++) {
            struct arena arena = {0};
            struct words words;
            struct buf line = {0};
            buf_append(&line, &quotes[q], quotes[q] != 0);
            words_quote(&line, texts[i], quotes[q]);
            buf_append(&line, &quotes[q], quotes[q] != 0);
            buf_append(&line, "", 1);
            ck_assert_int_eq(words_split(&arena, (const char *)line.data, false, &words),
                             WORDS_OK);
            ck_assert_int_eq(words.count, 1);
            ck_assert_str_eq(words.at[0], texts[i]);
            buf_close(&line);
            arena_close(&arena);
        }
    }
}
END_TEST

static Suite *words_suite(void)
{
    Suite *suite = suite_create("words");
    TCase *tests = tcase_create("words");
    tcase_add_test(tests, blanks_divide_and_quotes_keep_together);
    tcase_add_test(tests, a_backslash_takes_what_follows);
    tcase_add_test(tests, a_hash_begins_a_comment_only_as_a_word);
    tcase_add_test(tests, what_follows_a_pipe_or_an_arrow_is_not_ours);
    tcase_add_test(tests, an_open_quote_and_too_many_words_are_told);
    tcase_add_test(tests, the_last_word_is_there_to_be_completed);
    tcase_add_test(tests, what_is_quoted_is_read_back);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){words_suite, NULL});
}
