#include "base/log.h"

#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "tests/support/check_main.h"

static char line[4096];
static int lines;

static void keep(void *context, enum log_level level, const char *text)
{
    *(enum log_level *)context = level;
    snprintf(line, sizeof line, "%s", text);
    lines++;
}

static enum log_level seen;
static struct log test_log = {.level = LOG_INFO, .sink = keep, .context = &seen};

START_TEST(line_is_the_event_and_its_values)
{
    log_warn(&test_log, "raft.leader", "term=%d name=%s", 3, "n1");
    ck_assert_str_eq(line, "raft.leader term=3 name=n1");
    ck_assert_int_eq(seen, LOG_WARN);
    log_info(&test_log, "daemon.stopped", "%s", "");
    ck_assert_str_eq(line, "daemon.stopped");
}
END_TEST

START_TEST(lines_above_the_level_and_lines_without_a_log_are_dropped)
{
    log_debug(&test_log, "a", "b=%d", 1);
    log_error(NULL, "a", "b=%d", 1);
    ck_assert_int_eq(lines, 0);
    log_info(&test_log, "a", "b=%d", 1);
    ck_assert_int_eq(lines, 1);
}
END_TEST

START_TEST(value_from_outside_cannot_begin_a_line_of_its_own)
{
    log_info(&test_log, "client", "name=%s", "x\n2026 error forged\r\033[2J\x7f");
    ck_assert_str_eq(line, "client name=x 2026 error forged  [2J ");
}
END_TEST

START_TEST(value_from_outside_drives_no_terminal_and_leaves_the_line_utf8)
{
    log_info(&test_log, "client", "name=%s", "a\xc2\x9b" "2Jb\xc2\xa0\xff\xc3");
    ck_assert_str_eq(line, "client name=a  2Jb\xc2\xa0??");
}
END_TEST

START_TEST(quote_marks_and_escapes_only_what_needs_it)
{
    char out[64];
    static const char *const pairs[][2] = {
        {"plain-1.2:3/x", "plain-1.2:3/x"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"line\nbreak", "\"line\\nbreak\""},
        {"bell\a", "\"bell\\x07\""},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xc2\x9b" "2J", "\"\\xc2\\x9b2J\""},
        {"\xe2\x82\xac\xe2\x82", "\"\xe2\x82\xac\\xe2\\x82\""},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        ck_assert_str_eq(log_quote(out, sizeof out, pairs[i][0]), pairs[i][1]);
    }
}
END_TEST

START_TEST(quote_never_writes_beyond_its_room_and_shows_the_cut)
{
    for (size_t room = LOG_QUOTE_BYTES_MIN; room < 40; room++) {
        char out[64];
        memset(out, 'Z', sizeof out);
        log_quote(out, room, "some words\n\x01 and more of them");
        size_t length = strlen(out);
        ck_assert_uint_lt(length, room);
        for (size_t i = length + 1; i < sizeof out; i++) {
            ck_assert_int_eq(out[i], 'Z');
        }
        if (room < 30) {
            ck_assert_str_eq(out + length - 4, "...\"");
        }
        ck_assert_int_eq(out[0], '"');
    }
}
END_TEST

START_TEST(overlong_line_is_cut_and_says_so)
{
    char value[5000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    log_info(&test_log, "event", "value=%s", value);
    size_t length = strlen(line);
    ck_assert_uint_lt(length, 2048);
    ck_assert_str_eq(line + length - 3, "...");
}
END_TEST

START_TEST(a_cut_leaves_whole_characters)
{
    char value[5000];
    for (size_t shift = 0; shift < 3; shift++) {
        memset(value, 'v', sizeof value - 1);
        value[sizeof value - 1] = '\0';
        for (size_t i = shift; i + 3 < sizeof value; i += 3) {
            memcpy(value + i, "\xe2\x82\xac", 3);
        }
        log_info(&test_log, "event", "value=%s", value);
        ck_assert(utf8_is_valid(slice_str(line)));
        ck_assert_ptr_null(strchr(line, '?'));
        ck_assert_str_eq(line + strlen(line) - 3, "...");
        char out[32];
        for (size_t room = LOG_QUOTE_BYTES_MIN; room < sizeof out; room++) {
            ck_assert(utf8_is_valid(slice_str(log_quote(out, room, value))));
        }
    }
}
END_TEST

START_TEST(level_names_round_trip)
{
    enum log_level level;
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
        ck_assert(log_level_parse(log_level_name((enum log_level)i), &level));
        ck_assert_int_eq((int)level, i);
    }
    ck_assert(!log_level_parse("verbose", &level));
    ck_assert(!log_level_parse("", &level));
}
END_TEST

START_TEST(stderr_sink_stamps_the_line_and_writes_it_whole)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    int saved = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
    log_stderr_sink(NULL, LOG_WARN, "some.event a=1");
    ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
    char text[128];
    ssize_t n = read(ends[0], text, sizeof text - 1);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    int year;
    int ms;
    ck_assert_msg(sscanf(text, "%d-%*2d-%*2dT%*2d:%*2d:%*2d.%dZ", &year, &ms) == 2, "%s", text);
    ck_assert_str_eq(strchr(text, 'Z'), "Z warn some.event a=1\n");
}
END_TEST

static Suite *log_suite(void)
{
    Suite *suite = suite_create("log");
    TCase *tc = tcase_create("log");
    tcase_add_test(tc, line_is_the_event_and_its_values);
    tcase_add_test(tc, lines_above_the_level_and_lines_without_a_log_are_dropped);
    tcase_add_test(tc, value_from_outside_cannot_begin_a_line_of_its_own);
    tcase_add_test(tc, value_from_outside_drives_no_terminal_and_leaves_the_line_utf8);
    tcase_add_test(tc, quote_marks_and_escapes_only_what_needs_it);
    tcase_add_test(tc, quote_never_writes_beyond_its_room_and_shows_the_cut);
    tcase_add_test(tc, overlong_line_is_cut_and_says_so);
    tcase_add_test(tc, a_cut_leaves_whole_characters);
    tcase_add_test(tc, level_names_round_trip);
    tcase_add_test(tc, stderr_sink_stamps_the_line_and_writes_it_whole);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){log_suite, NULL});
}
