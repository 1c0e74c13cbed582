#include "watch/glob.h"

#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "base/utf8.h"
#include "tests/support/check_main.h"

static bool match(const char *pattern, const char *name)
{
    struct errmsg err = {0};
    ck_assert_msg(glob_check(slice_str(pattern), &err), "%s: %s", pattern, err.text);
    return glob_match(slice_str(pattern), slice_str(name));
}

static const char *why_not(const char *pattern)
{
    static struct errmsg err;
    err = (struct errmsg){0};
    ck_assert_msg(!glob_check(slice_str(pattern), &err), "%s", pattern);
    ck_assert(!glob_check(slice_str(pattern), NULL));
    return err.text;
}

START_TEST(plain_characters_match_themselves_and_the_whole_name)
{
    ck_assert(match("leader", "leader"));
    ck_assert(!match("leader", "leaders"));
    ck_assert(!match("leader", "leade"));
    ck_assert(!match("leader", ""));
    ck_assert(match("", ""));
    ck_assert(!match("", "a"));
}
END_TEST

START_TEST(a_star_matches_any_characters_also_none)
{
    ck_assert(match("*", ""));
    ck_assert(match("*", ".hidden"));
    ck_assert(match("lock-*", "lock-"));
    ck_assert(match("lock-*", "lock-0000000001"));
    ck_assert(!match("lock-*", "lock"));
    ck_assert(match("*-*", "a-b"));
    ck_assert(!match("*-*", "ab"));
    ck_assert(match("a*b*c", "abbbcbc"));
    ck_assert(!match("a*b*c", "abbbcb"));
    ck_assert(match("a**b", "ab"));
}
END_TEST

START_TEST(a_question_mark_matches_one_character_however_many_bytes_it_has)
{
    ck_assert(match("n?de", "node"));
    ck_assert(!match("n?de", "nde"));
    ck_assert(match("?", "\xc3\xa9"));
    ck_assert(match("?", "\xf0\x9f\x94\x92"));
    ck_assert(!match("?", "\xc3\xa9x"));
    ck_assert(match("??", "\xe2\x82\xac"
                          "1"));
}
END_TEST

START_TEST(a_class_matches_one_of_its_characters)
{
    ck_assert(match("[abc]", "b"));
    ck_assert(!match("[abc]", "d"));
    ck_assert(!match("[abc]", ""));
    ck_assert(match("r[0-9][0-9]", "r42"));
    ck_assert(!match("r[0-9]", "rx"));
    ck_assert(match("[a-cx-z]", "y"));
    ck_assert(match("[!0-9]*", "a1"));
    ck_assert(!match("[!0-9]*", "1a"));
    ck_assert(match("[\xce\xb1-\xcf\x89]", "\xce\xbb")); /* alpha to omega */
    ck_assert(!match("[\xce\xb1-\xcf\x89]", "l"));
    ck_assert(match("[!a]", "\xf0\x9f\x94\x92"));
}
END_TEST

START_TEST(a_dash_at_the_edge_of_a_class_is_a_dash)
{
    ck_assert(match("[-a]", "-"));
    ck_assert(match("[a-]", "-"));
    ck_assert(match("[!-]", "a"));
    ck_assert(!match("[!-]", "-"));
    ck_assert(!match("[a-]", "b"));
}
END_TEST

START_TEST(a_backslash_takes_its_meaning_from_the_next_character)
{
    ck_assert(match("\\*", "*"));
    ck_assert(!match("\\*", "a"));
    ck_assert(match("\\?", "?"));
    ck_assert(match("a\\[b]", "a[b]"));
    ck_assert(match("[\\]]", "]"));
    ck_assert(match("[a\\-z]", "-"));
    ck_assert(!match("[a\\-z]", "m"));
    ck_assert(match("[\\!a]", "!"));
    ck_assert(match("\\\\", "\\"));
    ck_assert(match("*\\\xc3\xa9", "caf\xc3\xa9"));
}
END_TEST

START_TEST(bytes_that_are_no_text_count_as_one_character_each)
{
    ck_assert(match("?", "\xff"));
    ck_assert(match("a?b", "a\x80"
                           "b"));
    ck_assert(match("[!a]*", "\xfe\xff"));
    ck_assert(!match("[\xc2\x80-\xf4\x8f\xbf\xbf]", "\xff")); /* it is no code point */
}
END_TEST

START_TEST(what_is_no_pattern_is_told_with_its_place)
{
    ck_assert_str_eq(why_not("ab[c"), "glob: class is not closed at byte 2");
    ck_assert_str_eq(why_not("["), "glob: class is not closed at byte 0");
    ck_assert_str_eq(why_not("[a-"), "glob: class is not closed at byte 0");
    ck_assert_str_eq(why_not("x[a\\"), "glob: class is not closed at byte 1");
    ck_assert_str_eq(why_not("x[a-\\"), "glob: class is not closed at byte 1");
    ck_assert_str_eq(why_not("a[]b]"), "glob: empty class at byte 1");
    ck_assert_str_eq(why_not("[!]"), "glob: empty class at byte 0");
    ck_assert_str_eq(why_not("[az-b]"), "glob: range runs backwards at byte 2");
    ck_assert_str_eq(why_not("ab\\"), "glob: nothing is escaped at byte 2");
    ck_assert_str_eq(why_not("a\xff"), "glob: not valid UTF-8 at byte 1");
}
END_TEST

START_TEST(a_pattern_has_256_bytes_at_most)
{
    char pattern[WATCH_GLOB_BYTES_MAX + 2];
    memset(pattern, 'a', sizeof pattern);
    pattern[WATCH_GLOB_BYTES_MAX + 1] = '\0';
    ck_assert_str_eq(why_not(pattern), "glob: 257 bytes, the limit is 256");
    pattern[WATCH_GLOB_BYTES_MAX] = '\0';
    ck_assert(match(pattern, pattern));
}
END_TEST

START_TEST(many_stars_do_not_make_it_slow)
{
    static char name[4097];
    char pattern[257];
    memset(name, 'a', 4096);
    for (size_t i = 0; i < 256; i += 2) {
        pattern[i] = '*';
        pattern[i + 1] = i == 254 ? 'b' : 'a';
    }
    pattern[256] = '\0';
    for (int i = 0; i < 50; i++) {
        ck_assert(!match(pattern, name));
    }
}
END_TEST

/* Each of these fits nearly everywhere in a long name of 'a's. At pattern x name steps it would be
 * some 10 s of the processor. */
START_TEST(a_long_segment_that_nearly_fits_everywhere_does_not_make_it_slow)
{
    static char name[4001];
    char behind[257];
    char between[257];
    char mixed[257];
    memset(name, 'a', 4000);
    memset(behind, 'a', 256);
    behind[0] = '*';
    behind[255] = 'b';
    behind[256] = '\0';
    memcpy(between, behind, sizeof between);
    between[254] = 'b';
    between[255] = '*';
    memcpy(mixed, between, sizeof mixed);
    mixed[100] = '?';
    memcpy(mixed + 200, "[!x]", 4);
    clock_t begun = clock();
    for (int i = 0; i < 400; i++) {
        ck_assert(!match(behind, name));
        ck_assert(!match(between, name));
        ck_assert(!match(mixed, name));
    }
    ck_assert_int_lt(clock() - begun, 3 * CLOCKS_PER_SEC);
    name[3990] = 'b';
    ck_assert(!match(behind, name));
    ck_assert(match(between, name));
    ck_assert(match(mixed, name));
}
END_TEST

START_TEST(a_segment_is_found_across_the_words_of_its_search)
{
    char pattern[257];
    char name[600];
    for (size_t items = 1; items <= 254; items++) {
        pattern[0] = '*';
        memset(pattern + 1, 'a', items);
        pattern[items] = 'b';
        memcpy(pattern + items + 1, "*", 2);
        memset(name, 'a', 300);
        memcpy(name + 300, "bc", 3);
        ck_assert(match(pattern, name));
        ck_assert(match(pattern, name + 301 - items));
        ck_assert(!match(pattern, name + 302 - items));
    }
}
END_TEST

START_TEST(what_is_behind_the_last_star_is_told_from_the_end)
{
    ck_assert(match("*?\xc3\xa9", "\xe2\x82\xac\xc3\xa9"));
    ck_assert(!match("\xe2\x82\xac*?\xc3\xa9", "\xe2\x82\xac\xc3\xa9"));
    ck_assert(match("*??", "\xe2\x82")); /* a cut character is two stray bytes */
    ck_assert(!match("*???", "\xe2\x82"));
    ck_assert(match("*?", "\xff\xa9"));
    ck_assert(!match("a*a", "a"));
    ck_assert(!match("a*b*b", "ab"));
    ck_assert(match("*[*]\\*", "x**"));
}
END_TEST

/* ---- a naive second implementation ------------------------------------------------------- */

static size_t character(const char *p)
{
    return utf8_length((const uint8_t *)p, strlen(p));
}

/* One member of a class, escaped or not. */
static const char *member(const char *p, const char **at)
{
    p += *p == '\\';
    *at = p;
    return p + character(p);
}

/* UTF-8 keeps the order of code points, so characters compare as bytes. */
static int order(const char *a, const char *b)
{
    size_t x = character(a);
    size_t y = character(b);
    int bytes = strncmp(a, b, x < y ? x : y);
    return bytes != 0 ? bytes : (int)x - (int)y;
}

static bool naive(const char *p, const char *n)
{
    if (*p == '\0') {
        return *n == '\0';
    }
    if (*p == '*') {
        return naive(p + 1, n) || (*n != '\0' && naive(p, n + character(n)));
    }
    if (*n == '\0') {
        return false;
    }
    if (*p == '?') {
        return naive(p + 1, n + character(n));
    }
    if (*p == '[') {
        bool negated = p[1] == '!';
        bool has = false;
        p += negated ? 2 : 1;
        while (*p != ']') {
            const char *low;
            const char *high;
            p = member(p, &low);
            high = low;
            if (p[0] == '-' && p[1] != ']') {
                p = member(p + 1, &high);
            }
            has = has || (order(n, low) >= 0 && order(n, high) <= 0);
        }
        return has != negated && naive(p + 1, n + character(n));
    }
    const char *plain;
    const char *next = member(p, &plain);
    return order(plain, n) == 0 && naive(next, n + character(n));
}

static void random_text(struct rng *rng, char *text, size_t pieces_max, bool is_pattern)
{
    static const char *const names[] = {"a", "b", "c", "-", "]", "!", "\xc3\xa9", "*", "\\"};
    static const char *const marks[] = {"*",  "*",   "?",    "[ab]",  "[!b]", "[a-c]",
                                        "[-", "\\*", "\\\\", "[\\]-", "]",    "[!a\xc3\xa9-"};
    *text = '\0';
    for (uint64_t i = rng_below(rng, pieces_max + 1); i > 0; i--) {
        bool mark = is_pattern && rng_chance(rng, 600);
        strcat(text, mark ? marks[rng_below(rng, 12)] : names[rng_below(rng, 9)]);
    }
}

START_TEST(matches_as_a_naive_recursive_matcher_does)
{
    struct rng rng;
    rng_init(&rng, 7);
    int matches = 0;
    int patterns = 0;
    for (int i = 0; i < 200000; i++) {
        char pattern[128];
        char name[64];
        random_text(&rng, pattern, 7, true);
        random_text(&rng, name, 6, false);
        if (!glob_check(slice_str(pattern), NULL)) {
            continue;
        }
        patterns++;
        bool expected = naive(pattern, name);
        matches += expected;
        if (glob_match(slice_str(pattern), slice_str(name)) != expected) {
            ck_abort_msg("\"%s\" on \"%s\" should be %d", pattern, name, expected);
        }
    }
    ck_assert_int_gt(patterns, 50000);
    ck_assert_int_gt(matches, 5000);
}
END_TEST

/* A name that the pattern, without classes, may well match. */
static void near_name(struct rng *rng, const char *pattern, char *name, size_t room)
{
    size_t size = 0;
    for (const char *p = pattern; *p != '\0' && size + 12 < room; p += character(p)) {
        size_t repeats = *p == '*' ? rng_below(rng, 12) : 1;
        for (; repeats > 0; repeats--) {
            bool is_other = *p == '*' || *p == '?' || rng_chance(rng, 4);
            name[size++] = is_other ? (char)('a' + rng_below(rng, 2)) : *p;
        }
    }
    name[size] = '\0';
}

START_TEST(long_segments_match_as_a_naive_matcher_says)
{
    struct rng rng;
    rng_init(&rng, 9);
    int matches = 0;
    for (int i = 0; i < 20000; i++) {
        char pattern[257];
        char name[400];
        size_t stars = 1 + rng_below(&rng, 3);
        size_t size = 20 + rng_below(&rng, 230);
        for (size_t k = 0; k < size; k++) {
            pattern[k] = "aaaaaaab?"[rng_below(&rng, 9)];
        }
        for (; stars > 0; stars--) {
            pattern[rng_below(&rng, size)] = '*';
        }
        pattern[size] = '\0';
        near_name(&rng, pattern, name, sizeof name);
        bool expected = naive(pattern, name);
        matches += expected;
        if (match(pattern, name) != expected) {
            ck_abort_msg("\"%s\" on \"%s\" should be %d", pattern, name, expected);
        }
    }
    ck_assert_int_gt(matches, 5000);
    ck_assert_int_lt(matches, 18000);
}
END_TEST

START_TEST(any_bytes_are_a_pattern_or_refused_and_any_pattern_takes_any_bytes)
{
    struct rng rng;
    rng_init(&rng, 8);
    static const char liked[] = "*?[]!\\-ab";
    int patterns = 0;
    for (int i = 0; i < 200000; i++) {
        /* Of the exact size, so that a sanitizer sees a byte too many. */
        size_t sizes[2] = {rng_below(&rng, 9), rng_below(&rng, 12)};
        uint8_t *bytes[2] = {malloc(sizes[0] + 1), malloc(sizes[1] + 1)};
        for (int k = 0; k < 2; k++) {
            for (size_t j = 0; j < sizes[k]; j++) {
                bool nice = rng_chance(&rng, 850);
                bytes[k][j] =
                    nice ? (uint8_t)liked[rng_below(&rng, 9)] : (uint8_t)rng_below(&rng, 256);
            }
            bytes[k] = realloc(bytes[k], sizes[k] == 0 ? 1 : sizes[k]);
        }
        if (glob_check(slice_make(bytes[0], sizes[0]), NULL)) {
            patterns++;
            (void)glob_match(slice_make(bytes[0], sizes[0]), slice_make(bytes[1], sizes[1]));
        }
        free(bytes[0]);
        free(bytes[1]);
    }
    ck_assert_int_gt(patterns, 10000);
}
END_TEST

static Suite *glob_suite(void)
{
    Suite *suite = suite_create("watch glob");
    TCase *tcase = tcase_create("glob");
    tcase_add_test(tcase, plain_characters_match_themselves_and_the_whole_name);
    tcase_add_test(tcase, a_star_matches_any_characters_also_none);
    tcase_add_test(tcase, a_question_mark_matches_one_character_however_many_bytes_it_has);
    tcase_add_test(tcase, a_class_matches_one_of_its_characters);
    tcase_add_test(tcase, a_dash_at_the_edge_of_a_class_is_a_dash);
    tcase_add_test(tcase, a_backslash_takes_its_meaning_from_the_next_character);
    tcase_add_test(tcase, bytes_that_are_no_text_count_as_one_character_each);
    tcase_add_test(tcase, what_is_no_pattern_is_told_with_its_place);
    tcase_add_test(tcase, a_pattern_has_256_bytes_at_most);
    tcase_add_test(tcase, many_stars_do_not_make_it_slow);
    tcase_add_test(tcase, a_long_segment_that_nearly_fits_everywhere_does_not_make_it_slow);
    tcase_add_test(tcase, a_segment_is_found_across_the_words_of_its_search);
    tcase_add_test(tcase, what_is_behind_the_last_star_is_told_from_the_end);
    tcase_add_test(tcase, matches_as_a_naive_recursive_matcher_does);
    tcase_add_test(tcase, long_segments_match_as_a_naive_matcher_says);
    tcase_add_test(tcase, any_bytes_are_a_pattern_or_refused_and_any_pattern_takes_any_bytes);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){glob_suite, NULL});
}
