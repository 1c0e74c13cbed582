/* Shard maps whose watches fail, and those that callbacks look at. */
#include "client/shards.h"

#include <string.h>

#include "client/socket.h"
#include "tests/support/check_main.h"
#include "tests/support/client_kit.h"

#define TIMEOUT_MS 20000

static struct client_kit kit;
static struct coord_shards *shards;
static bool has_changed;

/* Every watch lists a directory that is empty. */
static const struct scripted_message listing[] = {{.type = 0, .revision = 5},
                                                  {.type = 1, .revision = 8}};

static void setup(void)
{
    client_kit_open(&kit);
    kit.cluster.data = "strategy=range\n";
    kit.cluster.watch_messages = listing;
    kit.cluster.watch_message_count = 2;
    has_changed = false;
}

static void teardown(void)
{
    coord_shards_close(shards);
    shards = NULL;
    client_kit_close(&kit);
}

static void begin(const struct scripted_step *script,
                  const struct coord_shards_options *options)
{
    client_kit_begin(&kit, (const struct scripted_step *const[]){NULL, script}, 2, TIMEOUT_MS);
    ck_assert_msg(coord_shards_open(kit.client, "/m", options, &shards, &kit.error) == COORD_OK,
                  "%s", kit.error.message);
}

static void on_ready(void *context, struct coord_shards *map)
{
    (void)context;
    has_changed = coord_shards_update(map, 100 * TIMEOUT_MS) || has_changed;
}

/* ---- watches that are refused ------------------------------------------------------------ */

/* In a loop of its own, and in one that is driven from elsewhere. */
START_TEST(a_map_whose_watches_were_refused_is_followed_again)
{
    const struct coord_shards_options options = {.ready = _i == 1 ? on_ready : NULL};
    uint64_t until_ms = socket_now_ms() + TIMEOUT_MS;
    begin(SCRIPT(ANSWER(PERMISSION_DENIED), ANSWER(PERMISSION_DENIED)), &options);
    (void)coord_shards_update(shards, 0);
    has_changed = false;
    client_kit_kill(&kit, 0); /* the other one refuses two watches */
    while (!has_changed && socket_now_ms() < until_ms) {
        if (_i == 1) {
            ck_assert_int_eq(coord_run(kit.client, 100), COORD_OK);
        } else {
            has_changed = coord_shards_update(shards, 100);
        }
    }
    ck_assert(has_changed);
    ck_assert_uint_ge(kit.cluster.watch_count, 5);
    ck_assert(kit.cluster.watches[4].list);
}
END_TEST

/* ---- in a callback ----------------------------------------------------------------------- */

static void look(void *context, const struct coord_result *result)
{
    bool *was_told = context;
    ck_assert_int_eq(result->code, COORD_OK);
    ck_assert_int_eq(coord_shards_await(shards, 1, 1, 100 * TIMEOUT_MS, &kit.error),
                     COORD_INVALID);
    ck_assert_int_eq(coord_shards_await(shards, 1, 1, 0, &kit.error), COORD_NOT_FOUND);
    ck_assert(!coord_shards_update(shards, 100 * TIMEOUT_MS));
    *was_told = true;
}

START_TEST(a_callback_looks_at_a_map_and_does_not_wait)
{
    bool was_told = false;
    begin(NULL, NULL);
    while (coord_shards_update(shards, 0)) {
        /* what has come with the opening */
    }
    ck_assert_int_eq(
        coord_get_async(kit.client, "/a", look, &was_told, NULL, &kit.error), COORD_OK);
    while (!was_told) {
        ck_assert_int_eq(coord_run(kit.client, TIMEOUT_MS), COORD_OK);
    }
}
END_TEST

/* What it waits for may have arrived. */
static void await_what_has_come(void *context, struct coord_shards *map)
{
    bool *was_told = context;
    (void)coord_shards_await(map, 77, 1, 100 * TIMEOUT_MS, &kit.error);
    ck_assert_int_eq(kit.error.code, COORD_INVALID);
    ck_assert(!coord_shards_update(map, 0)); /* it has taken in all that there is */
    *was_told = coord_shards_count(map) > 0;
}

START_TEST(a_callback_finds_what_has_come)
{
    static const struct scripted_message later[] = {{.type = 0, .revision = 5},
                                                    {.type = 2, .revision = 9, .count = 2}};
    const struct scripted_step step = {
        .action = SCRIPT_SERVE, .messages = later, .message_count = 2};
    bool was_told = false;
    const struct coord_shards_options options = {.ready = await_what_has_come,
                                                 .context = &was_told};
    begin(SCRIPT(step, step), &options);
    client_kit_kill(&kit, 0); /* the other one tells each watch of changes */
    while (!was_told) {
        ck_assert_int_eq(coord_run(kit.client, TIMEOUT_MS), COORD_OK);
    }
}
END_TEST

static Suite *shards_suite(void)
{
    Suite *s = suite_create("shards");
    TCase *t = tcase_create("maps that are followed");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, a_map_whose_watches_were_refused_is_followed_again, 0, 2);
    tcase_add_test(t, a_callback_looks_at_a_map_and_does_not_wait);
    tcase_add_test(t, a_callback_finds_what_has_come);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){shards_suite, NULL});
}
