/* Callbacks that close what a call on the same thread waits with. */
#include <stdlib.h>

#include "client/barriers.h"
#include "client/client.h"
#include "client/client_internal.h"
#include "client/discovery.h"
#include "client/locks.h"
#include "client/methods.h"
#include "client/shards.h"
#include "client/socket.h"
#include "tests/support/check_main.h"
#include "tests/support/client_kit.h"
#include "tests/support/scripted_reply.h"

#define TIMEOUT_MS 20000
#define SOON_MS    5000 /* long before that, even on a busy machine */

static struct client_kit kit;
static struct coord_watch *watch;
static struct coord_subscription *subscription;
static const unsigned char secret[COORD_SECRET_BYTES] = {1};

static void setup(void)
{
    client_kit_open(&kit);
    kit.cluster.ttl_ms = 60000;
}

static void teardown(void)
{
    coord_watch_close(watch);
    coord_subscription_close(subscription);
    client_kit_close(&kit);
}

static void begin(const struct scripted_step *script)
{
    client_kit_begin(&kit, &script, 1, TIMEOUT_MS);
}

/* ---- what closes ------------------------------------------------------------------------- */

static void close_watches(void)
{
    coord_watch_close(watch);
    watch = NULL;
    coord_subscription_close(subscription);
    subscription = NULL;
}

static void close_all(void *context, const struct coord_result *result)
{
    struct coord_client *client = kit.client;
    (void)context;
    (void)result;
    kit.client = NULL;
    close_watches();
    coord_close(client);
}

static void close_watches_alone(void *context, const struct coord_result *result)
{
    (void)context;
    (void)result;
    close_watches();
}

/* When a call has come to something that takes no step of a script. */
static void close_soon(coord_done_fn done)
{
    ck_assert_int_eq(coord_call_method_async(kit.client, "/coord.v1.Cluster/Status", "", 0,
                                             NULL, done, NULL, NULL, &kit.error),
                     COORD_OK);
}

/* ---- what waits -------------------------------------------------------------------------- */

static enum coord_code wait_get(struct coord_client *client)
{
    void *data = NULL;
    enum coord_code code = coord_get(client, "/a", &data, NULL, NULL, &kit.error);
    free(data);
    return code;
}

static enum coord_code wait_exists(struct coord_client *client)
{
    bool exists;
    return coord_exists(client, "/a", &exists, NULL, &kit.error);
}

static enum coord_code wait_set(struct coord_client *client)
{
    return coord_set(client, "/a", "x", 1, COORD_ANY_VERSION, NULL, &kit.error);
}

static enum coord_code wait_lock_list(struct coord_client *client)
{
    struct coord_locks list;
    enum coord_code code = coord_lock_list(client, "/", &list, &kit.error);
    if (code == COORD_OK) {
        coord_locks_clear(&list);
    }
    return code;
}

static enum coord_code wait_lease_list(struct coord_client *client)
{
    struct coord_leases list;
    enum coord_code code = coord_lease_list(client, &list, &kit.error);
    if (code == COORD_OK) {
        coord_leases_clear(&list);
    }
    return code;
}

static enum coord_code wait_lease_ttl(struct coord_client *client)
{
    struct coord_lease_info info;
    enum coord_code code = coord_lease_ttl(client, SCRIPTED_LEASE, true, &info, &kit.error);
    if (code == COORD_OK) {
        coord_lease_info_clear(&info);
    }
    return code;
}

static enum coord_code wait_lease_keepalive(struct coord_client *client)
{
    return coord_lease_keepalive(client, SCRIPTED_LEASE, NULL, &kit.error);
}

static enum coord_code wait_session_open(struct coord_client *client)
{
    return coord_session_open(client, 0, NULL, &kit.error);
}

static enum coord_code wait_session_attach(struct coord_client *client)
{
    return coord_session_attach(client, SCRIPTED_SESSION, secret, &kit.error);
}

static enum coord_code wait_latch(struct coord_client *client)
{
    return coord_latch_await(client, "/a", 0, &kit.error);
}

static enum coord_code wait_latch_for_some_time(struct coord_client *client)
{
    return coord_latch_await(client, "/a", TIMEOUT_MS, &kit.error);
}

static enum coord_code wait_watch_open(struct coord_client *client)
{
    return coord_watch_open(client, "/a", NULL, &watch, &kit.error);
}

static enum coord_code wait_subscribe(struct coord_client *client)
{
    return coord_subscribe(client, "web", NULL, &subscription, &kit.error);
}

static enum coord_code wait_shards(struct coord_client *client)
{
    struct coord_shards *shards;
    return coord_shards_open(client, "/a", NULL, &shards, &kit.error);
}

static enum coord_code wait_run(struct coord_client *client)
{
    enum coord_code code = COORD_OK;
    while (code == COORD_OK) {
        code = coord_run(client, 1000);
    }
    return code;
}

static enum coord_code (*const waits[])(struct coord_client *client) = {
    wait_get,
    wait_exists,
    wait_set,
    wait_lock_list,
    wait_lease_list,
    wait_lease_ttl,
    wait_lease_keepalive,
    wait_session_open,
    wait_session_attach,
    wait_latch,
    wait_latch_for_some_time,
    wait_watch_open,
    wait_subscribe,
    wait_shards,
    wait_run,
};

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

START_TEST(a_call_that_waits_ends_when_a_callback_closes_the_client)
{
    begin(SCRIPT(STEP(SILENCE), STEP(SILENCE), STEP(SILENCE)));
    close_soon(close_all);
    uint64_t begun = socket_now_ms();
    ck_assert_int_eq(waits[_i](kit.client), COORD_CANCELED);
    ck_assert_ptr_null(kit.client);
    ck_assert_uint_lt(socket_now_ms(), begun + SOON_MS);
}
END_TEST

/* Both are answered at the same time, or in either order. */
START_TEST(a_client_may_be_closed_as_the_answer_comes)
{
    begin(NULL);
    close_soon(close_all);
    enum coord_code code = waits[_i](kit.client);
    ck_assert(kit.client != NULL || code == COORD_OK || code == COORD_CANCELED ||
              code == COORD_INVALID); /* the latter: what came is no shard map */
    while (kit.client != NULL) {
        (void)coord_run(kit.client, 1000);
    }
}
END_TEST

START_TEST(a_keepalive_that_waits_ends_with_the_client)
{
    begin(SCRIPT(STEP(SERVE), STEP(SILENCE)));
    ck_assert_int_eq(coord_session_open(kit.client, 0, NULL, &kit.error), COORD_OK);
    close_soon(close_all);
    ck_assert_int_eq(coord_session_keepalive(kit.client, &kit.error), COORD_CANCELED);
    ck_assert_ptr_null(kit.client);
}
END_TEST

/* ---- watches ----------------------------------------------------------------------------- */

static coord_done_fn const closers[] = {close_all, close_watches_alone};

START_TEST(a_watch_that_is_waited_for_may_be_closed)
{
    struct coord_event event;
    begin(NULL);
    ck_assert_int_eq(coord_watch_open(kit.client, "/a", NULL, &watch, &kit.error), COORD_OK);
    close_soon(closers[_i]);
    uint64_t begun = socket_now_ms();
    ck_assert_int_eq(coord_watch_next(watch, TIMEOUT_MS, &event, &kit.error), COORD_CANCELED);
    ck_assert_uint_lt(socket_now_ms(), begun + SOON_MS);
    ck_assert_ptr_null(watch);
    ck_assert(_i == 0 ? kit.client == NULL : wait_get(kit.client) == COORD_OK);
}
END_TEST

START_TEST(a_subscription_that_is_waited_for_may_be_closed)
{
    struct coord_service_event event;
    begin(SCRIPT(STEP(SILENCE)));
    ck_assert_int_eq(
        coord_subscribe_start(kit.client, "web", NULL, &subscription, &kit.error), COORD_OK);
    close_soon(closers[_i]);
    uint64_t begun = socket_now_ms();
    ck_assert_int_eq(coord_subscription_next(subscription, TIMEOUT_MS, &event, &kit.error),
                     COORD_CANCELED);
    ck_assert_uint_lt(socket_now_ms(), begun + SOON_MS);
    ck_assert_ptr_null(subscription);
}
END_TEST

START_TEST(a_subscription_may_be_closed_while_it_takes_in_what_has_arrived)
{
    begin(SCRIPT(STEP(SILENCE)));
    ck_assert_int_eq(
        coord_subscribe_start(kit.client, "web", NULL, &subscription, &kit.error), COORD_OK);
    close_soon(closers[_i]);
    while (subscription != NULL) {
        ck_assert(!coord_subscription_update(subscription));
    }
    ck_assert(_i == 0 ? kit.client == NULL : kit.client != NULL);
}
END_TEST

static size_t readies;

static void on_ready(void *context, struct coord_watch *which)
{
    (void)context;
    readies++;
    ck_assert_ptr_eq(which, watch); /* whose owner knows it by now */
}

static const struct coord_watch_options ready = {.ready = on_ready};
static const struct scripted_message event_at_once[] = {
    {.type = 0, .revision = 5}, {.type = 2, .revision = 6, .count = 1}};

START_TEST(a_watch_says_that_there_is_something_once_its_owner_has_it)
{
    struct coord_event event;
    begin(SCRIPT({.action = SCRIPT_SERVE, .messages = event_at_once, .message_count = 2}));
    ck_assert_int_eq(coord_watch_open(kit.client, "/a", &ready, &watch, &kit.error), COORD_OK);
    ck_assert_uint_eq(readies, 0);
    uint64_t begun = socket_now_ms();
    while (readies == 0 && socket_now_ms() < begun + SOON_MS) {
        ck_assert_int_eq(coord_run(kit.client, 100), COORD_OK);
    }
    ck_assert_uint_eq(readies, 1);
    ck_assert_int_eq(coord_watch_next(watch, 0, &event, &kit.error), COORD_OK);
}
END_TEST

START_TEST(a_watch_that_cannot_be_opened_says_nothing_besides)
{
    begin(SCRIPT(REFUSAL(INVALID_ARGUMENT, "BAD_PATH")));
    ck_assert_int_eq(coord_watch_open(kit.client, "/a", &ready, &watch, &kit.error),
                     COORD_INVALID);
    ck_assert_uint_eq(readies, 0);
}
END_TEST

static Suite *close_suite(void)
{
    Suite *s = suite_create("close");
    TCase *t = tcase_create("from inside a callback");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, a_call_that_waits_ends_when_a_callback_closes_the_client, 0,
                        COUNT(waits));
    tcase_add_loop_test(t, a_client_may_be_closed_as_the_answer_comes, 0, COUNT(waits));
    tcase_add_test(t, a_keepalive_that_waits_ends_with_the_client);
    tcase_add_loop_test(t, a_watch_that_is_waited_for_may_be_closed, 0, COUNT(closers));
    tcase_add_loop_test(t, a_subscription_that_is_waited_for_may_be_closed, 0, COUNT(closers));
    tcase_add_loop_test(t, a_subscription_may_be_closed_while_it_takes_in_what_has_arrived, 0,
                        COUNT(closers));
    tcase_add_test(t, a_watch_says_that_there_is_something_once_its_owner_has_it);
    tcase_add_test(t, a_watch_that_cannot_be_opened_says_nothing_besides);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){close_suite, NULL});
}
