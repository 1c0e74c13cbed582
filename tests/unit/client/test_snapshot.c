/* coord_snapshot_save against servers that misbehave: only what is whole and proved is COORD_OK,
 * and whatever goes wrong half way is tried at the next endpoint. */
#include <string.h>

#include "tests/support/check_main.h"
#include "tests/support/client_kit.h"

#define BEGIN_OF(bytes)              \
    {                                \
        .type = 0, .revision = bytes \
    }
#define DATA_OF(bytes)                 \
    {                                  \
        .type = 1, .data_bytes = bytes \
    }
#define END_OF(bytes)                  \
    {                                  \
        .type = 2, .data_bytes = bytes \
    }
#define SENDING(step, ...)                                                                   \
    {                                                                                        \
        .action = SCRIPT_##step, .messages = (const struct scripted_message[]){__VA_ARGS__}, \
        .message_count = sizeof((const struct scripted_message[]){__VA_ARGS__}) /            \
                         sizeof(struct scripted_message)                                     \
    }
#define WHOLE SENDING(SERVE, BEGIN_OF(70000), DATA_OF(60000), DATA_OF(10000), END_OF(70000))

static struct client_kit kit;

struct sink {
    size_t begun;
    size_t came; /* since it began */
    size_t idle;
    size_t gives_up_at; /* bytes; 0: never */
    bool gives_up_idle;
};

static bool on_begin(void *context, const struct coord_snapshot_file *file)
{
    struct sink *s = context;
    ck_assert_uint_eq(file->revision, 42);
    ck_assert_str_eq(file->sha256, "");
    s->begun++;
    s->came = 0;
    return true;
}

static bool on_data(void *context, const void *data, size_t bytes)
{
    struct sink *s = context;
    ck_assert(data != NULL || bytes == 0);
    s->came += bytes;
    return s->gives_up_at == 0 || s->came < s->gives_up_at;
}

static bool on_idle(void *context)
{
    struct sink *s = context;
    s->idle++;
    return !s->gives_up_idle;
}

static void setup(void)
{
    client_kit_open(&kit);
}

static void teardown(void)
{
    client_kit_close(&kit);
}

static enum coord_code save(struct sink *s, struct coord_snapshot_file *file)
{
    const struct coord_snapshot_sink sink = {
        .begin = on_begin, .data = on_data, .idle = on_idle, .context = s};
    return coord_snapshot_save(kit.client, &sink, file, &kit.error);
}

START_TEST(a_whole_file_comes_with_its_sum)
{
    struct sink s = {.begun = 0};
    struct coord_snapshot_file file;
    const struct scripted_step *script = SCRIPT(WHOLE);
    client_kit_begin(&kit, &script, 1, 5000);
    ck_assert_msg(save(&s, &file) == COORD_OK, "%s", kit.error.message);
    ck_assert_uint_eq(s.begun, 1);
    ck_assert_uint_eq(s.came, 70000);
    ck_assert_uint_eq(file.bytes, 70000);
    ck_assert_uint_eq(file.cluster_id, 99);
    ck_assert_str_eq(file.member, "n1");
    ck_assert_uint_eq(strlen(file.sha256), 64);
}
END_TEST

/* Whatever the first one does, the second one's file is taken, from its beginning. */
START_TEST(what_goes_wrong_half_way_begins_anew_at_the_next_endpoint)
{
    static const struct scripted_message wrong_sum[] = {
        BEGIN_OF(10), DATA_OF(10), {.type = 2, .data_bytes = 10, .outcome = 1}};
    const struct scripted_step *const firsts[] = {
        SCRIPT(STEP(DROP)),
        SCRIPT(STEP(GARBAGE)),
        SCRIPT(STEP(BAD_FRAME)),
        SCRIPT(STEP(HTTP)),
        SCRIPT(STEP(NOISE)),
        SCRIPT(ANSWER(RESOURCE_EXHAUSTED)),
        SCRIPT(ANSWER(UNAVAILABLE)),
        SCRIPT(SENDING(SERVE_AND_DROP, BEGIN_OF(70000), DATA_OF(60000))),
        SCRIPT(SENDING(SERVE_AND_END, BEGIN_OF(70000), DATA_OF(60000))),
        SCRIPT(SENDING(SERVE, BEGIN_OF(70000), DATA_OF(60000), END_OF(60000))), /* too little */
        SCRIPT(SENDING(SERVE, BEGIN_OF(50000), DATA_OF(60000), END_OF(60000))), /* too much */
        SCRIPT(SENDING(SERVE, DATA_OF(60000), END_OF(60000))), /* no beginning */
        SCRIPT(SENDING(SERVE, END_OF(0))),
        SCRIPT(SENDING(SERVE, BEGIN_OF(10), BEGIN_OF(10))),
        SCRIPT(SENDING(SERVE, {.type = 9})),
        SCRIPT({.action = SCRIPT_SERVE, .messages = wrong_sum, .message_count = 3}),
    };
    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        struct sink s = {.begun = 0};
        const struct scripted_step *scripts[] = {firsts[i], SCRIPT(WHOLE)};
        struct coord_snapshot_file file = {.bytes = 0};
        client_kit_begin(&kit, scripts, 2, 5000);
        ck_assert_msg(save(&s, &file) == COORD_OK, "%zu: %s", i, kit.error.message);
        ck_assert_uint_eq(s.came, 70000);
        ck_assert_uint_eq(file.bytes, 70000);
        client_kit_close(&kit);
        client_kit_open(&kit);
    }
}
END_TEST

START_TEST(signs_of_life_before_the_file_are_passed_over)
{
    struct sink s = {.begun = 0};
    const struct scripted_step *script = SCRIPT(
        SENDING(SERVE, {.type = 3}, {.type = 3}, BEGIN_OF(10), DATA_OF(10), END_OF(10)));
    client_kit_begin(&kit, &script, 1, 5000);
    ck_assert_msg(save(&s, NULL) == COORD_OK, "%s", kit.error.message);
    ck_assert_uint_eq(s.came, 10);
}
END_TEST

START_TEST(with_no_endpoint_left_it_says_why)
{
    struct sink s = {.begun = 0};
    const struct scripted_step *scripts[] = {SCRIPT(ANSWER(UNAVAILABLE)),
                                             SCRIPT(ANSWER(RESOURCE_EXHAUSTED))};
    client_kit_begin(&kit, scripts, 2, 5000);
    ck_assert_int_eq(save(&s, NULL), COORD_LIMITED);
    ck_assert_uint_eq(s.begun, 0);
    ck_assert_str_ne(kit.error.message, "");
}
END_TEST

START_TEST(a_refusal_is_not_tried_elsewhere)
{
    struct sink s = {.begun = 0};
    const struct scripted_step *scripts[] = {SCRIPT(ANSWER(PERMISSION_DENIED)), SCRIPT(WHOLE)};
    client_kit_begin(&kit, scripts, 2, 5000);
    ck_assert_int_eq(save(&s, NULL), COORD_DENIED);
    ck_assert_uint_eq(s.begun, 0);
}
END_TEST

START_TEST(a_sink_that_gives_up_ends_it)
{
    struct sink s = {.gives_up_at = 60000};
    const struct scripted_step *scripts[] = {SCRIPT(WHOLE), SCRIPT(WHOLE)};
    client_kit_begin(&kit, scripts, 2, 5000);
    ck_assert_int_eq(save(&s, NULL), COORD_INVALID);
    ck_assert_uint_eq(s.begun, 1);
}
END_TEST

START_TEST(nothing_that_comes_is_told_so_that_one_can_give_up)
{
    struct sink s = {.gives_up_idle = true};
    const struct scripted_step *script = SCRIPT(STEP(SILENCE));
    client_kit_begin(&kit, &script, 1, 5000);
    ck_assert_int_eq(save(&s, NULL), COORD_INVALID);
    ck_assert_uint_eq(s.idle, 1);
}
END_TEST

static Suite *snapshot_suite(void)
{
    Suite *s = suite_create("client snapshot");
    TCase *tc = tcase_create("save");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_whole_file_comes_with_its_sum);
    tcase_add_test(tc, what_goes_wrong_half_way_begins_anew_at_the_next_endpoint);
    tcase_add_test(tc, signs_of_life_before_the_file_are_passed_over);
    tcase_add_test(tc, with_no_endpoint_left_it_says_why);
    tcase_add_test(tc, a_refusal_is_not_tried_elsewhere);
    tcase_add_test(tc, a_sink_that_gives_up_ends_it);
    tcase_add_test(tc, nothing_that_comes_is_told_so_that_one_can_give_up);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){snapshot_suite, NULL});
}
