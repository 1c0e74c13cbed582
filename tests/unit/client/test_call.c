/* Repeats, codes and deadlines against servers that misbehave to order. The point of most of
 * these: whatever happens, nothing is executed twice, and nothing is said about a write that is
 * not known. */
#include "client/call.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/call.h"
#include "client/client_internal.h"
#include "client/follower.h"
#include "client/socket.h"
#include "coord/v1/config.pb-c.h"
#include "tests/support/check_main.h"
#include "tests/support/scripted_server.h"

static struct scripted_cluster cluster;
static struct scripted_server *servers[3];
static struct coord_client *client;
static struct coord_error error;

static void setup(void)
{
    memset(&cluster, 0, sizeof cluster);
    ck_assert_int_eq(pthread_mutex_init(&cluster.lock, NULL), 0);
    cluster.cluster_ms = 1000000;
}

static void teardown(void)
{
    coord_close(client);
    client = NULL;
    for (size_t i = 0; i < 3; i++) {
        if (servers[i] != NULL) {
            scripted_server_free(servers[i]);
            servers[i] = NULL;
        }
    }
    pthread_mutex_destroy(&cluster.lock);
}

static void open_client(const char *endpoints, uint32_t timeout_ms)
{
    const struct coord_options options = {.endpoints = endpoints, .timeout_ms = timeout_ms};
    ck_assert_int_eq(coord_open(&options, &client, &error), COORD_OK);
}

static void begin(const struct scripted_step *script, uint32_t timeout_ms)
{
    servers[0] = scripted_server_new(&cluster, script);
    open_client(scripted_server_endpoint(servers[0]), timeout_ms);
}

static void begin_two(const struct scripted_step *first, const struct scripted_step *second,
                      uint32_t timeout_ms)
{
    char endpoints[80];
    servers[0] = scripted_server_new(&cluster, first);
    servers[1] = scripted_server_new(&cluster, second);
    snprintf(endpoints, sizeof endpoints, "%s,%s", scripted_server_endpoint(servers[0]),
             scripted_server_endpoint(servers[1]));
    open_client(endpoints, timeout_ms);
}

static enum coord_code set(void)
{
    return coord_set(client, "/a", "x", 1, COORD_ANY_VERSION, NULL, &error);
}

static enum coord_code get(void)
{
    void *data = NULL;
    enum coord_code code = coord_get(client, "/a", &data, NULL, NULL, &error);
    free(data);
    return code;
}

/* So many writes arrived, all with one id, and so many were executed. */
static void expect_writes(size_t arrived, size_t executed)
{
    pthread_mutex_lock(&cluster.lock);
    ck_assert_uint_eq(cluster.call_count, arrived);
    ck_assert_uint_eq(cluster.executed_count, executed);
    for (size_t i = 0; i < arrived; i++) {
        ck_assert_uint_ne(cluster.ids[i].high | cluster.ids[i].low, 0);
        ck_assert_mem_eq(&cluster.ids[i], &cluster.ids[0], sizeof cluster.ids[0]);
    }
    pthread_mutex_unlock(&cluster.lock);
}

#define SCRIPT(...) ((const struct scripted_step[]){__VA_ARGS__, {.action = SCRIPT_END}})
#define STEP(a)              \
    {                        \
        .action = SCRIPT_##a \
    }
#define ANSWER(status)                                 \
    {                                                  \
        .action = SCRIPT_STATUS, .code = GRPC_##status \
    }
#define REFUSAL(status, text)                                           \
    {                                                                   \
        .action = SCRIPT_STATUS, .code = GRPC_##status, .outcome = text \
    }

/* ---- what is repeated ------------------------------------------------------------------- */

static const struct scripted_step repeated[] = {
    STEP(LOSE),       STEP(DROP),          STEP(UNKNOWN),
    STEP(REFUSE),     STEP(GOAWAY),        STEP(HTTP),
    STEP(NOISE),      ANSWER(UNAVAILABLE), ANSWER(DEADLINE_EXCEEDED),
    ANSWER(CANCELLED)};

START_TEST(a_write_is_repeated_with_its_id_and_executed_once)
{
    begin(SCRIPT(repeated[_i]), 5000);
    ck_assert_int_eq(set(), COORD_OK);
    expect_writes(2, 1);
    ck_assert_str_eq(error.message, "");
}
END_TEST

START_TEST(a_write_is_repeated_at_another_endpoint_with_the_same_id)
{
    begin_two(SCRIPT(repeated[_i]), NULL, 5000);
    ck_assert_int_eq(set(), COORD_OK);
    expect_writes(2, 1);
    ck_assert_str_eq(client_endpoint(client), scripted_server_endpoint(servers[1]));
}
END_TEST

START_TEST(a_read_is_repeated)
{
    begin(SCRIPT(repeated[_i]), 5000);
    ck_assert_int_eq(get(), COORD_OK);
    ck_assert_uint_eq(cluster.call_count, 2);
}
END_TEST

START_TEST(a_long_row_of_failures_ends_well)
{
    begin_two(SCRIPT(STEP(LOSE), STEP(UNKNOWN), STEP(GOAWAY), ANSWER(UNAVAILABLE)),
              SCRIPT(STEP(REFUSE), STEP(DROP), STEP(NOISE), STEP(LOSE)), 5000);
    ck_assert_int_eq(set(), COORD_OK);
    expect_writes(9, 1);
}
END_TEST

START_TEST(a_silent_endpoint_does_not_use_up_the_time)
{
    begin_two(SCRIPT(STEP(SILENCE), STEP(SILENCE)), NULL, 2000);
    uint64_t begun = socket_now_ms();
    ck_assert_int_eq(set(), COORD_OK);
    ck_assert_uint_lt(socket_now_ms() - begun, 1900);
    expect_writes(2, 1);
}
END_TEST

START_TEST(two_writes_have_two_ids)
{
    begin(NULL, 5000);
    ck_assert_int_eq(set(), COORD_OK);
    ck_assert_int_eq(set(), COORD_OK);
    ck_assert_uint_eq(cluster.executed_count, 2);
    ck_assert_mem_ne(&cluster.ids[0], &cluster.ids[1], sizeof cluster.ids[0]);
}
END_TEST

/* ---- what is decided -------------------------------------------------------------------- */

static const struct {
    struct scripted_step step;
    enum coord_code code;
} decided[] = {
    {REFUSAL(NOT_FOUND, "NO_NODE"), COORD_NOT_FOUND},
    {REFUSAL(NOT_FOUND, "NO_PARENT"), COORD_NOT_FOUND},
    {REFUSAL(ALREADY_EXISTS, "NODE_EXISTS"), COORD_EXISTS},
    {REFUSAL(ABORTED, "BAD_VERSION"), COORD_BAD_VERSION},
    {REFUSAL(FAILED_PRECONDITION, "NOT_EMPTY"), COORD_NOT_EMPTY},
    {REFUSAL(FAILED_PRECONDITION, "PROTECTED"), COORD_REFUSED},
    {REFUSAL(OUT_OF_RANGE, "COMPACTED"), COORD_COMPACTED},
    {REFUSAL(INVALID_ARGUMENT, "BAD_PATH"), COORD_INVALID},
    {REFUSAL(RESOURCE_EXHAUSTED, "TOO_LARGE"), COORD_LIMITED},
    {ANSWER(RESOURCE_EXHAUSTED), COORD_LIMITED},
    {ANSWER(PERMISSION_DENIED), COORD_DENIED},
    {ANSWER(UNAUTHENTICATED), COORD_DENIED},
    {ANSWER(UNIMPLEMENTED), COORD_UNSUPPORTED},
    {ANSWER(INTERNAL), COORD_INTERNAL},
    {ANSWER(DATA_LOSS), COORD_INTERNAL},
};

START_TEST(a_refusal_decides_at_once_and_is_told_whole)
{
    begin(SCRIPT(decided[_i].step), 5000);
    ck_assert_int_eq(set(), decided[_i].code);
    ck_assert_uint_eq(cluster.call_count, 1);
    ck_assert_int_eq(error.code, decided[_i].code);
    ck_assert_int_eq(error.grpc_status, (int)decided[_i].step.code);
    ck_assert_str_eq(error.message, "as scripted");
    const char *outcome = decided[_i].step.outcome;
    ck_assert_str_eq(error.outcome, outcome != NULL ? outcome : "");
    ck_assert_str_ne(coord_code_text(error.code), "unknown code");
}
END_TEST

START_TEST(a_repeat_that_the_store_refuses_is_decided)
{
    begin(SCRIPT(STEP(DROP), REFUSAL(ALREADY_EXISTS, "NODE_EXISTS")), 5000);
    ck_assert_int_eq(set(), COORD_EXISTS);
}
END_TEST

START_TEST(a_repeat_that_a_node_refuses_says_nothing_about_the_first_try)
{
    begin(SCRIPT(STEP(LOSE), ANSWER(RESOURCE_EXHAUSTED), ANSWER(INTERNAL)), 5000);
    ck_assert_int_eq(set(), COORD_OK);
    expect_writes(4, 1);
}
END_TEST

START_TEST(an_unsent_try_leaves_no_doubt)
{
    begin(SCRIPT(STEP(GOAWAY), STEP(REFUSE), ANSWER(UNAVAILABLE), ANSWER(RESOURCE_EXHAUSTED)),
          5000);
    ck_assert_int_eq(set(), COORD_LIMITED);
    expect_writes(4, 0);
}
END_TEST

/* ---- request ids and time --------------------------------------------------------------- */

START_TEST(the_first_write_asks_for_the_time_once)
{
    begin(NULL, 5000);
    ck_assert_int_eq(set(), COORD_OK);
    ck_assert_int_eq(set(), COORD_OK);
    ck_assert_uint_eq(cluster.status_count, 1);
    ck_assert_uint_eq(cluster.connection_count, 1);
    ck_assert_uint_ge(cluster.ids[0].issued_ms, 1000000);
    ck_assert_uint_lt(cluster.ids[0].issued_ms, 1000000 + 60000);
}
END_TEST

START_TEST(a_read_tells_the_time_as_well)
{
    begin(NULL, 5000);
    ck_assert_int_eq(get(), COORD_OK);
    ck_assert_int_eq(set(), COORD_OK);
    ck_assert_uint_eq(cluster.status_count, 0);
    ck_assert_uint_ge(cluster.ids[1].issued_ms, 1000000);
}
END_TEST

START_TEST(an_id_refused_for_its_time_is_made_anew)
{
    const char *outcome = _i == 0 ? "REQUEST_EXPIRED" : "REQUEST_FUTURE";
    begin(SCRIPT(REFUSAL(FAILED_PRECONDITION, outcome)), 5000);
    ck_assert_int_eq(set(), COORD_OK);
    ck_assert_uint_eq(cluster.status_count, 2);
    ck_assert_uint_eq(cluster.call_count, 2);
    ck_assert_uint_eq(cluster.executed_count, 1);
    ck_assert_mem_ne(&cluster.ids[0], &cluster.ids[1], sizeof cluster.ids[0]);
}
END_TEST

START_TEST(an_id_refused_twice_is_an_error)
{
    begin(SCRIPT(REFUSAL(FAILED_PRECONDITION, "REQUEST_EXPIRED"),
                 REFUSAL(FAILED_PRECONDITION, "REQUEST_EXPIRED")),
          5000);
    ck_assert_int_eq(set(), COORD_REFUSED);
    ck_assert_uint_eq(cluster.executed_count, 0);
}
END_TEST

START_TEST(an_id_that_expired_after_a_lost_try_is_an_unknown_outcome)
{
    begin(SCRIPT(STEP(LOSE), REFUSAL(FAILED_PRECONDITION, "REQUEST_EXPIRED")), 5000);
    ck_assert_int_eq(set(), COORD_UNKNOWN);
    ck_assert_int_eq(error.code, COORD_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(error.message, "may have been executed"));
    expect_writes(2, 1);
}
END_TEST

/* ---- the end of the time ---------------------------------------------------------------- */

#define SOON_MS 250

static uint64_t timed(enum coord_code (*fn)(void), enum coord_code expected)
{
    uint64_t begun = socket_now_ms();
    enum coord_code code = fn();
    ck_assert_msg(code == expected, "%s: %s", coord_code_text(code), error.message);
    return socket_now_ms() - begun;
}

START_TEST(silence_is_unknown_for_a_write_and_a_timeout_for_a_read)
{
    begin(SCRIPT(STEP(SILENCE), STEP(SILENCE)), SOON_MS);
    uint64_t ms = timed(_i == 0 ? set : get, _i == 0 ? COORD_UNKNOWN : COORD_TIMEOUT);
    ck_assert_uint_ge(ms, SOON_MS);
    ck_assert_uint_lt(ms, SOON_MS + 2000);
}
END_TEST

START_TEST(no_listener_is_unavailable)
{
    begin(NULL, SOON_MS);
    scripted_server_free(servers[0]);
    servers[0] = NULL;
    ck_assert_uint_ge(timed(_i == 0 ? set : get, COORD_UNAVAILABLE), SOON_MS);
    ck_assert_ptr_nonnull(strstr(error.message, "Connection refused"));
    ck_assert_ptr_nonnull(strstr(error.message, client_endpoint(client)));
}
END_TEST

START_TEST(a_refusing_endpoint_is_told_rather_than_an_unreachable_one)
{
    static struct scripted_step refuse[SCRIPTED_CALLS_MAX - 1];
    for (size_t i = 0; i < sizeof refuse / sizeof refuse[0] - 1; i++) {
        refuse[i] = (struct scripted_step)ANSWER(UNAVAILABLE);
    }
    begin_two(refuse, NULL, SOON_MS);
    scripted_server_free(servers[1]);
    servers[1] = NULL;
    (void)timed(get, COORD_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(error.message, "as scripted"));
    ck_assert_ptr_nonnull(strstr(error.message, scripted_server_endpoint(servers[0])));
}
END_TEST

START_TEST(a_name_that_does_not_resolve_is_unavailable)
{
    open_client("no-such-host.invalid:7400", SOON_MS);
    (void)timed(get, COORD_UNAVAILABLE);
}
END_TEST

/* ---- connections ------------------------------------------------------------------------ */

START_TEST(an_idle_connection_that_was_closed_is_noticed)
{
    begin(SCRIPT(STEP(SERVE_AND_DROP)), 5000);
    ck_assert_int_eq(set(), COORD_OK);
    ck_assert_int_eq(set(), COORD_OK);
    ck_assert_uint_eq(cluster.executed_count, 2);
    ck_assert_uint_eq(cluster.connection_count, 2);
}
END_TEST

START_TEST(a_good_connection_is_kept)
{
    begin(NULL, 5000);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(get(), COORD_OK);
    }
    ck_assert_uint_eq(cluster.connection_count, 1);
}
END_TEST

START_TEST(large_values_go_through_the_windows)
{
    size_t bytes = (size_t)3 << 20;
    char *value = calloc(1, bytes);
    begin(NULL, 5000);
    ck_assert_int_eq(coord_set(client, "/a", value, bytes, 3, NULL, &error), COORD_OK);
    ck_assert_int_eq(coord_set(client, "/a", value, bytes, 3, NULL, &error), COORD_OK);
    ck_assert_uint_eq(cluster.executed_count, 2);
    free(value);
}
END_TEST

/* ---- the typed calls -------------------------------------------------------------------- */

START_TEST(arguments_are_checked_before_anything_is_sent)
{
    const struct coord_options bad_endpoint = {.endpoints = "a:b"};
    const struct coord_options bad_consistency = {.consistency = (enum coord_consistency)9};
    ck_assert_int_eq(coord_open(&bad_endpoint, &client, &error), COORD_INVALID);
    ck_assert_str_eq(error.message, "endpoint \"a:b\" is not HOST:PORT");
    ck_assert_int_eq(coord_open(&bad_consistency, &client, NULL), COORD_INVALID);
    ck_assert_int_eq(coord_open(NULL, &client, NULL), COORD_OK);
    coord_close(client);

    begin(NULL, 5000);
    ck_assert_int_eq(coord_set(client, "/a", "", 0, -2, NULL, &error), COORD_INVALID);
    ck_assert_int_eq(coord_set(client, "/a", "", 0, (int64_t)1 << 32, NULL, NULL),
                     COORD_INVALID);
    ck_assert_int_eq(coord_delete(client, "/a", UINT32_MAX, false, NULL, &error),
                     COORD_INVALID);
    ck_assert_uint_eq(cluster.connection_count, 0);
}
END_TEST

START_TEST(every_call_works_without_the_optional_arguments)
{
    struct coord_names list;
    struct coord_stat stat;
    bool exists = true;
    void *data;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_create(client, "/a", NULL, 0, 0, NULL, NULL, NULL), COORD_OK);
    ck_assert_int_eq(coord_exists(client, "/a", &exists, NULL, NULL), COORD_OK);
    ck_assert(!exists); /* as the scripted server has it */
    ck_assert_int_eq(coord_set(client, "/a", NULL, 0, COORD_ANY_VERSION, &stat, NULL),
                     COORD_OK);
    ck_assert_uint_eq(stat.version, 0);
    ck_assert_int_eq(coord_get(client, "/a", &data, NULL, NULL, NULL), COORD_OK);
    ck_assert_str_eq(data, "v");
    free(data);
    ck_assert_int_eq(coord_list(client, "/parent", &list, NULL), COORD_OK);
    ck_assert_uint_eq(list.count, 2);
    ck_assert_str_eq(list.names[1], "child");
    coord_names_clear(&list);
    ck_assert_int_eq(coord_delete(client, "/a", 5, true, NULL, NULL), COORD_OK);
    ck_assert_int_eq(coord_sync(client, NULL), COORD_OK);
    ck_assert_uint_eq(coord_revision(client), 7);
}
END_TEST

static void add_loop(TCase *t, const TTest *test, size_t count)
{
    tcase_add_loop_test(t, test, 0, (int)count);
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static int mute_listener(char *endpoint, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 64), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    snprintf(endpoint, size, "coords://127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

/* Each try has more time for TLS than the one before: there would be nine of a second. */
START_TEST(who_is_slow_to_connect_gets_more_time_with_each_try)
{
    static const struct coord_tls tls = {.skip_verify = true};
    char endpoint[64];
    int listener = mute_listener(endpoint, sizeof endpoint);
    const struct coord_options options = {
        .endpoints = endpoint, .timeout_ms = 9000, .tls = &tls};
    struct coord_watch *watch;
    ck_assert_int_eq(coord_open(&options, &client, &error), COORD_OK);
    ck_assert_int_eq(_i == 0 ? get() : coord_watch_open(client, "/a", NULL, &watch, &error),
                     COORD_UNAVAILABLE);
    int count = 0;
    for (int fd = accept(listener, NULL, NULL); fd >= 0; fd = accept(listener, NULL, NULL)) {
        count++;
        close(fd);
    }
    close(listener);
    ck_assert_int_ge(count, 1);
    ck_assert_int_le(count, 6);
}
END_TEST

static void ask_late(struct follower *f)
{
    Coord__V1__ConfigWatchRequest request = COORD__V1__CONFIG_WATCH_REQUEST__INIT;
    f->retry.failures = 3; /* eight seconds */
    follower_ask(f, &request.base);
}

static bool is_not_refused(struct follower *f, const struct coord_error *why)
{
    (void)f;
    ck_abort_msg("refused: %s", why->message);
}

START_TEST(a_stream_that_is_followed_is_not_silent_while_it_connects)
{
    static const struct coord_tls tls = {.skip_verify = true};
    static const struct follower_ops ops = {
        .method = CLIENT_CONFIG_WATCH, .ask = ask_late, .refused = is_not_refused};
    struct follower follower;
    char endpoint[64];
    int listener = mute_listener(endpoint, sizeof endpoint);
    const struct coord_options options = {.endpoints = endpoint, .tls = &tls};
    ck_assert_int_eq(coord_open(&options, &client, &error), COORD_OK);
    follower_start(&follower, client, &ops);
    follower.opened_ms -= 5000; /* so much has passed */
    loop_timer_set(&client->loop, &follower.timer, 1);
    while (follower.timer.due_ms == 1) {
        loop_wait(&client->loop, socket_now_ms());
    }
    ck_assert(stream_is_open(&follower.stream));
    follower_stop(&follower);
    close(listener);
}
END_TEST

/* A call that found one that was still connecting, for longer than it had itself. */
START_TEST(a_write_behind_the_connecting_of_another_call_was_not_sent)
{
    static const struct coord_tls tls = {.skip_verify = true};
    char endpoint[64];
    int listener = mute_listener(endpoint, sizeof endpoint);
    const struct coord_options options = {
        .endpoints = endpoint, .timeout_ms = 500, .tls = &tls};
    ck_assert_int_eq(coord_open(&options, &client, &error), COORD_OK);
    client->knows_time = true; /* nothing else is asked for before */
    ck_assert_ptr_nonnull(connections_get(client, &client->endpoints[0], CONNECTION_FOR_CALLS,
                                          socket_now_ms() + 600000));
    ck_assert_int_eq(set(), COORD_UNAVAILABLE);
    ck_assert_ptr_null(strstr(error.message, "executed"));
    close(listener);
}
END_TEST

START_TEST(a_token_that_is_good_for_no_time_is_an_error)
{
    void *data;
    begin(NULL, 500);
    client->user = strdup("me");
    client->password = strdup("p");
    cluster.keeps_no_ids = true;
    ck_assert_int_eq(coord_get(client, "/a", &data, NULL, NULL, &error),
                     COORD_INTERNAL);
    ck_assert_str_eq(error.message, "the login's token is good for 0 ms");
    ck_assert_uint_eq(cluster.call_count, 1);
}
END_TEST

static Suite *call_suite(void)
{
    Suite *s = suite_create("call");
    TCase *t = tcase_create("repeats, codes, deadlines");
    tcase_add_checked_fixture(t, setup, teardown);
    add_loop(t, a_write_is_repeated_with_its_id_and_executed_once, COUNT(repeated));
    add_loop(t, who_is_slow_to_connect_gets_more_time_with_each_try, 2);
    add_loop(t, a_write_is_repeated_at_another_endpoint_with_the_same_id, COUNT(repeated));
    add_loop(t, a_read_is_repeated, COUNT(repeated));
    tcase_add_test(t, a_long_row_of_failures_ends_well);
    tcase_add_test(t, a_silent_endpoint_does_not_use_up_the_time);
    tcase_add_test(t, two_writes_have_two_ids);
    add_loop(t, a_refusal_decides_at_once_and_is_told_whole, COUNT(decided));
    tcase_add_test(t, a_repeat_that_the_store_refuses_is_decided);
    tcase_add_test(t, a_repeat_that_a_node_refuses_says_nothing_about_the_first_try);
    tcase_add_test(t, an_unsent_try_leaves_no_doubt);
    tcase_add_test(t, a_stream_that_is_followed_is_not_silent_while_it_connects);
    tcase_add_test(t, a_write_behind_the_connecting_of_another_call_was_not_sent);
    tcase_add_test(t, the_first_write_asks_for_the_time_once);
    tcase_add_test(t, a_read_tells_the_time_as_well);
    add_loop(t, an_id_refused_for_its_time_is_made_anew, 2);
    tcase_add_test(t, an_id_refused_twice_is_an_error);
    tcase_add_test(t, an_id_that_expired_after_a_lost_try_is_an_unknown_outcome);
    add_loop(t, silence_is_unknown_for_a_write_and_a_timeout_for_a_read, 2);
    add_loop(t, no_listener_is_unavailable, 2);
    tcase_add_test(t, a_refusing_endpoint_is_told_rather_than_an_unreachable_one);
    tcase_add_test(t, a_name_that_does_not_resolve_is_unavailable);
    tcase_add_test(t, an_idle_connection_that_was_closed_is_noticed);
    tcase_add_test(t, a_good_connection_is_kept);
    tcase_add_test(t, large_values_go_through_the_windows);
    tcase_add_test(t, arguments_are_checked_before_anything_is_sent);
    tcase_add_test(t, every_call_works_without_the_optional_arguments);
    tcase_add_test(t, a_token_that_is_good_for_no_time_is_an_error);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){call_suite, NULL});
}
