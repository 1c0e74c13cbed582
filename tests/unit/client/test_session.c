/* Sessions and leases against servers that misbehave to order. */
#include "client/session.h"

#include <string.h>
#include <time.h>

#include "client/client_internal.h"
#include "client/socket.h"
#include "coord/v1/types.pb-c.h"
#include "tests/support/check_main.h"
#include "tests/support/client_kit.h"
#include "tests/support/scripted_reply.h"

static struct client_kit kit;
static const unsigned char secret[COORD_SECRET_BYTES] = {1, 2,  3,  4,  5,  6,  7,  8,
                                                         9, 10, 11, 12, 13, 14, 15, 16};

static void setup(void)
{
    client_kit_open(&kit);
}

static void teardown(void)
{
    client_kit_close(&kit);
}

static void begin(const struct scripted_step *script, uint32_t timeout_ms)
{
    client_kit_begin(&kit, &script, 1, timeout_ms);
}

static void begin_two(const struct scripted_step *first, const struct scripted_step *second,
                      uint32_t timeout_ms)
{
    client_kit_begin(&kit, (const struct scripted_step *const[]){first, second}, 2, timeout_ms);
}

static enum coord_code open_session(void)
{
    return coord_session_open(kit.client, 0, "tests", &kit.error);
}

static enum coord_code keepalive(void)
{
    return coord_session_keepalive(kit.client, &kit.error);
}

static enum coord_code set(void)
{
    return coord_set(kit.client, "/a", "x", 1, COORD_ANY_VERSION, NULL, &kit.error);
}

#define OUTCOME(name)                                \
    {                                                \
        .action = SCRIPT_SERVE, .message_count = 1,  \
        .messages = &(const struct scripted_message) \
        {                                            \
            .outcome = COORD__V1__OUTCOME__##name    \
        }                                            \
    }

/* ---- holding one ------------------------------------------------------------------------ */

START_TEST(an_opened_session_is_known_and_trusted)
{
    struct coord_session info;
    kit.cluster.ttl_ms = 60000;
    begin(NULL, 5000);
    ck_assert(!coord_session_info(kit.client, &info));
    ck_assert_uint_eq(coord_session_trusted_ms(kit.client), 0);
    uint64_t begun = socket_now_ms();
    ck_assert_int_eq(open_session(), COORD_OK);
    ck_assert(coord_session_info(kit.client, &info));
    ck_assert_uint_eq(info.id, SCRIPTED_SESSION);
    ck_assert_uint_eq(info.ttl_ms, 60000);
    ck_assert_mem_eq(info.secret, secret, sizeof secret);
    uint64_t trusted = coord_session_trusted_ms(kit.client);
    ck_assert_uint_le(trusted, 48000);
    ck_assert_uint_ge(trusted + (socket_now_ms() - begun), 48000 - 1);
    ck_assert_uint_le(coord_session_due_ms(kit.client), 20000);
    ck_assert_uint_ge(coord_session_due_ms(kit.client), 10000);
}
END_TEST

START_TEST(trust_counts_from_the_sending_and_not_from_the_answer)
{
    kit.cluster.ttl_ms = 5000;
    begin_two(SCRIPT(STEP(SERVE), STEP(SILENCE)), NULL, 5000);
    ck_assert_int_eq(open_session(), COORD_OK);
    uint64_t begun = socket_now_ms();
    ck_assert_int_eq(keepalive(), COORD_OK); /* the second endpoint, after a try of 625 ms */
    uint64_t ended = socket_now_ms();
    uint64_t until = ended + coord_session_trusted_ms(kit.client);
    ck_assert_uint_ge(until, begun + 4000);
    ck_assert_uint_le(until, ended + 4000);
    ck_assert_uint_eq(kit.cluster.keepalive_count, 2);
}
END_TEST

START_TEST(a_client_has_one_session_at_a_time)
{
    begin(NULL, 5000);
    ck_assert_int_eq(open_session(), COORD_OK);
    ck_assert_int_eq(open_session(), COORD_INVALID);
    ck_assert_int_eq(coord_session_resume(kit.client, 1, secret, 0, &kit.error), COORD_INVALID);
    ck_assert_int_eq(coord_session_attach(kit.client, 1, secret, NULL), COORD_INVALID);
    coord_session_detach(kit.client);
    ck_assert_int_eq(open_session(), COORD_OK);
    uint64_t removed = 9;
    ck_assert_int_eq(coord_session_close(kit.client, &removed, &kit.error), COORD_OK);
    ck_assert_uint_eq(removed, 0);
    ck_assert_uint_eq(coord_session_trusted_ms(kit.client), 0);
    ck_assert_int_eq(coord_session_close(kit.client, NULL, NULL), COORD_INVALID);
    ck_assert_int_eq(keepalive(), COORD_INVALID);
}
END_TEST

START_TEST(a_lost_opening_is_repeated_with_its_id)
{
    begin(SCRIPT(STEP(LOSE)), 5000);
    ck_assert_int_eq(open_session(), COORD_OK);
    ck_assert_uint_eq(kit.cluster.call_count, 2);
    ck_assert_uint_eq(kit.cluster.executed_count, 1);
    ck_assert_mem_eq(&kit.cluster.ids[0], &kit.cluster.ids[1], sizeof kit.cluster.ids[0]);
}
END_TEST

/* ---- writes ----------------------------------------------------------------------------- */

static void expect_number(size_t call, uint64_t sequence, uint64_t answered_to)
{
    ck_assert_uint_eq(kit.cluster.ids[call].low, SCRIPTED_SESSION);
    ck_assert_uint_eq(kit.cluster.ids[call].high, sequence);
    ck_assert_uint_eq(kit.cluster.ids[call].issued_ms, 0);
    ck_assert_uint_eq(kit.cluster.answered_to[call], answered_to);
}

START_TEST(writes_of_a_session_are_numbered)
{
    begin(NULL, 5000);
    ck_assert_int_eq(open_session(), COORD_OK);
    ck_assert_int_eq(set(), COORD_OK);
    ck_assert_int_eq(set(), COORD_OK);
    expect_number(1, 1, 0);
    expect_number(2, 2, 1);
    coord_session_detach(kit.client);
    ck_assert_int_eq(set(), COORD_OK);
    ck_assert_uint_ne(kit.cluster.ids[3].issued_ms, 0);
}
END_TEST

static const struct scripted_step repeated[] = {
    STEP(LOSE),       STEP(DROP),  STEP(UNKNOWN),       STEP(REFUSE),
    STEP(GOAWAY),     STEP(NOISE), ANSWER(UNAVAILABLE), ANSWER(DEADLINE_EXCEEDED),
    ANSWER(CANCELLED)};

START_TEST(a_repeated_write_keeps_its_number_at_any_endpoint)
{
    begin_two(SCRIPT(STEP(SERVE), repeated[_i]), NULL, 5000);
    ck_assert_int_eq(open_session(), COORD_OK);
    ck_assert_int_eq(set(), COORD_OK);
    ck_assert_int_eq(set(), COORD_OK);
    ck_assert_uint_eq(kit.cluster.executed_count, 3);
    expect_number(1, 1, 0);
    expect_number(2, 1, 0);
    expect_number(3, 2, 1);
}
END_TEST

START_TEST(whoever_resumes_counts_on_above_all_before)
{
    begin(NULL, 5000);
    ck_assert_int_eq(coord_session_resume(kit.client, SCRIPTED_SESSION, secret, 0, &kit.error),
                     COORD_OK);
    ck_assert_int_eq(set(), COORD_OK);
    expect_number(1, (SCRIPTED_GENERATION << 40) + 1, SCRIPTED_GENERATION << 40);
}
END_TEST

START_TEST(whoever_is_attached_uses_request_ids)
{
    begin(NULL, 5000);
    ck_assert_int_eq(coord_session_attach(kit.client, SCRIPTED_SESSION, secret, &kit.error),
                     COORD_OK);
    ck_assert_uint_gt(coord_session_trusted_ms(kit.client), 0);
    ck_assert_int_eq(set(), COORD_OK);
    ck_assert_uint_ne(kit.cluster.ids[0].issued_ms, 0);
    ck_assert_uint_eq(kit.cluster.executed_count, 1);
}
END_TEST

START_TEST(a_write_in_an_ended_session_says_so_and_ends_trust)
{
    begin(SCRIPT(STEP(SERVE), REFUSAL(NOT_FOUND, "NO_SESSION")), 5000);
    ck_assert_int_eq(open_session(), COORD_OK);
    ck_assert_int_eq(set(), COORD_SESSION_ENDED);
    ck_assert_uint_eq(coord_session_trusted_ms(kit.client), 0);
    ck_assert_int_eq(keepalive(), COORD_SESSION_ENDED);
    ck_assert_uint_eq(kit.cluster.keepalive_count, 0);
    ck_assert_int_eq(open_session(), COORD_OK);
}
END_TEST

START_TEST(a_lost_write_of_a_session_that_has_ended_is_unknown)
{
    begin(SCRIPT(STEP(SERVE), STEP(LOSE),
                 REFUSAL(NOT_FOUND, _i == 0 ? "NO_SESSION" : "SEQUENCE_EXPIRED")),
          5000);
    ck_assert_int_eq(open_session(), COORD_OK);
    ck_assert_int_eq(set(), COORD_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(kit.error.message, "may have been executed"));
    ck_assert_int_eq(coord_session_trusted_ms(kit.client) == 0, _i == 0);
}
END_TEST

/* ---- keepalives ------------------------------------------------------------------------- */

START_TEST(keepalives_share_a_stream)
{
    begin(NULL, 5000);
    ck_assert_int_eq(open_session(), COORD_OK);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(keepalive(), COORD_OK);
    }
    ck_assert_uint_eq(kit.cluster.keepalive_count, 10);
    ck_assert_uint_eq(kit.cluster.connection_count, 2); /* calls, and the stream */
}
END_TEST

static const struct scripted_step failing[] = {STEP(LOSE),
                                               STEP(DROP),
                                               STEP(REFUSE),
                                               STEP(GOAWAY),
                                               STEP(HTTP),
                                               STEP(NOISE),
                                               STEP(GARBAGE),
                                               STEP(BAD_FRAME),
                                               STEP(SILENCE),
                                               ANSWER(UNAVAILABLE),
                                               ANSWER(UNKNOWN),
                                               ANSWER(INTERNAL),
                                               ANSWER(DEADLINE_EXCEEDED)};

START_TEST(a_keepalive_goes_on_to_another_endpoint)
{
    kit.cluster.ttl_ms = 800;
    begin_two(SCRIPT(STEP(SERVE), failing[_i]), NULL, 5000);
    ck_assert_int_eq(open_session(), COORD_OK);
    ck_assert_int_eq(keepalive(), COORD_OK);
    ck_assert_uint_eq(kit.cluster.keepalive_count, 2);
    ck_assert_uint_gt(coord_session_trusted_ms(kit.client), 0);
    ck_assert_int_eq(keepalive(), COORD_OK);
    ck_assert_uint_eq(kit.cluster.keepalive_count, 3); /* it stays there */
}
END_TEST

START_TEST(a_keepalive_is_repeated_at_the_only_endpoint)
{
    kit.cluster.ttl_ms = 800;
    begin(SCRIPT(STEP(SERVE), failing[_i], failing[_i]), 5000);
    ck_assert_int_eq(open_session(), COORD_OK);
    ck_assert_int_eq(keepalive(), COORD_OK);
    ck_assert_uint_eq(kit.cluster.keepalive_count, 3);
}
END_TEST

START_TEST(a_stream_whose_server_died_is_opened_anew_elsewhere)
{
    begin_two(NULL, NULL, 5000);
    ck_assert_int_eq(open_session(), COORD_OK);
    ck_assert_int_eq(keepalive(), COORD_OK);
    client_kit_kill(&kit, 0);
    ck_assert_int_eq(keepalive(), COORD_OK);
    ck_assert_int_eq(keepalive(), COORD_OK);
    ck_assert_uint_eq(kit.cluster.keepalive_count, 3);
}
END_TEST

START_TEST(an_unconfirmed_keepalive_leaves_trust_as_it_was)
{
    kit.cluster.ttl_ms = 60000;
    begin(NULL, 150);
    ck_assert_int_eq(open_session(), COORD_OK);
    uint64_t before = socket_now_ms() + coord_session_trusted_ms(kit.client);
    client_kit_kill(&kit, 0);
    uint64_t begun = socket_now_ms();
    ck_assert_int_eq(keepalive(), COORD_UNAVAILABLE);
    ck_assert_uint_ge(socket_now_ms() - begun, 150);
    ck_assert_uint_le(socket_now_ms() + coord_session_trusted_ms(kit.client), before + 1);
    ck_assert_uint_gt(coord_session_trusted_ms(kit.client), 0);
}
END_TEST

START_TEST(silence_is_a_timeout_that_names_the_endpoint)
{
    begin(SCRIPT(STEP(SERVE), STEP(SILENCE), STEP(SILENCE), STEP(SILENCE), STEP(SILENCE)), 200);
    ck_assert_int_eq(open_session(), COORD_OK);
    ck_assert_int_eq(keepalive(), COORD_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(kit.error.message, scripted_server_endpoint(kit.servers[0])));
}
END_TEST

START_TEST(an_ended_session_and_wrong_credentials_are_told_apart)
{
    begin(SCRIPT(STEP(SERVE), OUTCOME(BAD_SECRET), OUTCOME(NO_SESSION)), 5000);
    ck_assert_int_eq(open_session(), COORD_OK);
    ck_assert_int_eq(keepalive(), COORD_BAD_SECRET);
    ck_assert_str_eq(kit.error.outcome, "BAD_SECRET");
    ck_assert_uint_gt(coord_session_trusted_ms(kit.client), 0);
    ck_assert_int_eq(keepalive(), COORD_SESSION_ENDED);
    ck_assert_str_eq(kit.error.outcome, "NO_SESSION");
    ck_assert_uint_eq(coord_session_trusted_ms(kit.client), 0);
}
END_TEST

START_TEST(attaching_and_resuming_check_the_credentials)
{
    struct coord_session info;
    begin(SCRIPT(OUTCOME(BAD_SECRET), REFUSAL(PERMISSION_DENIED, "BAD_SECRET"),
                 REFUSAL(NOT_FOUND, "NO_SESSION")),
          5000);
    ck_assert_int_eq(coord_session_attach(kit.client, SCRIPTED_SESSION, secret, &kit.error),
                     COORD_BAD_SECRET);
    ck_assert_int_eq(coord_session_resume(kit.client, SCRIPTED_SESSION, secret, 0, &kit.error),
                     COORD_BAD_SECRET);
    ck_assert_int_eq(coord_session_resume(kit.client, SCRIPTED_SESSION, secret, 0, &kit.error),
                     COORD_SESSION_ENDED);
    ck_assert(!coord_session_info(kit.client, &info));
}
END_TEST

/* ---- leases ----------------------------------------------------------------------------- */

START_TEST(leases_are_granted_kept_listed_and_revoked)
{
    uint64_t id;
    uint64_t ttl_ms;
    struct coord_lease_info info;
    struct coord_leases list;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_lease_grant(kit.client, 1000, "me", &id, &kit.error), COORD_OK);
    ck_assert_uint_eq(id, SCRIPTED_LEASE);
    ck_assert_int_eq(coord_lease_keepalive(kit.client, id, &ttl_ms, &kit.error), COORD_OK);
    ck_assert_uint_eq(ttl_ms, 1000);
    ck_assert_int_eq(coord_lease_keepalive(kit.client, id, NULL, NULL), COORD_OK);
    ck_assert_int_eq(coord_lease_ttl(kit.client, id, true, &info, &kit.error), COORD_OK);
    ck_assert_uint_eq(info.remaining_ms, 500);
    ck_assert_uint_eq(info.path_count, 2);
    ck_assert_str_eq(info.paths[1], "/parent/child");
    ck_assert_str_eq(info.lease.owner, "somebody");
    coord_lease_info_clear(&info);
    ck_assert_int_eq(coord_lease_list(kit.client, &list, &kit.error), COORD_OK);
    ck_assert_uint_eq(list.count, 2);
    ck_assert(!list.leases[1].is_session && list.leases[1].is_renewable);
    coord_leases_clear(&list);
    ck_assert_int_eq(coord_lease_revoke(kit.client, id, NULL, &kit.error), COORD_OK);
    ck_assert_uint_eq(kit.cluster.call_count, 4);
    ck_assert_uint_eq(kit.cluster.keepalive_count, 2);
}
END_TEST

START_TEST(a_lease_that_has_ended_is_not_found)
{
    begin(SCRIPT(OUTCOME(NO_LEASE), OUTCOME(NOT_RENEWABLE)), 5000);
    ck_assert_int_eq(coord_lease_keepalive(kit.client, 5, NULL, &kit.error), COORD_NOT_FOUND);
    ck_assert_str_eq(kit.error.message, "lease does not exist or has ended");
    ck_assert_int_eq(coord_lease_keepalive(kit.client, 5, NULL, &kit.error), COORD_REFUSED);
    ck_assert_str_eq(kit.error.message, "lease is not renewable");
    ck_assert_str_eq(kit.error.outcome, "NOT_RENEWABLE");
}
END_TEST

START_TEST(a_page_of_history_is_told_whole)
{
    struct coord_change_list changes;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_changes(kit.client, "/parent", NULL, &changes, &kit.error),
                     COORD_OK);
    ck_assert_uint_eq(changes.count, 1);
    ck_assert_int_eq(changes.events[0].type, COORD_EVENT_SET);
    ck_assert_str_eq(changes.events[0].path, "/parent/child");
    ck_assert_uint_eq(changes.events[0].bytes, 1);
    ck_assert_uint_eq(changes.next_revision, 6);
    ck_assert_uint_eq(changes.floor, 2);
    coord_changes_clear(&changes);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

#define RENEWALS 10

static size_t late_count;

static void on_renewed(struct keepalive_question *q, const ProtobufCMessage *reply,
                       uint64_t sent_ms, const struct coord_error *failure)
{
    (void)q;
    (void)sent_ms;
    ck_assert_ptr_null(reply);
    ck_assert_int_eq(failure->code, COORD_TIMEOUT);
    late_count++;
}

START_TEST(keepalives_whose_time_passes_behind_others_are_not_sent)
{
    struct keepalive_question questions[RENEWALS];
    begin(SCRIPT(STEP(SILENCE)), 5000);
    uint64_t until_ms = socket_now_ms() + 300;
    late_count = 0;
    for (size_t i = 0; i < RENEWALS; i++) {
        questions[i] = (struct keepalive_question){.id = i + 1,
                                                   .attempt_ms = 500,
                                                   .deadline_ms = until_ms,
                                                   .answered = on_renewed};
        keepalive_ask(&kit.client->lease_keepalive, &questions[i]);
    }
    while (late_count < RENEWALS) {
        ck_assert_int_eq(coord_run(kit.client, 5000), COORD_OK);
    }
    ck_assert_int_eq(coord_lease_keepalive(kit.client, 1, NULL, &kit.error), COORD_OK);
    ck_assert_uint_le(kit.cluster.keepalive_count, 2); /* the first one, and this */
}
END_TEST

/* Trust goes by it, and must not last over a suspension. */
START_TEST(the_clock_goes_on_while_the_machine_is_suspended)
{
#ifdef CLOCK_BOOTTIME
    struct timespec before;
    struct timespec after;
    ck_assert_int_eq(clock_gettime(CLOCK_BOOTTIME, &before), 0);
    uint64_t now_ms = socket_now_ms();
    ck_assert_int_eq(clock_gettime(CLOCK_BOOTTIME, &after), 0);
    ck_assert_uint_ge(now_ms,
                      (uint64_t)before.tv_sec * 1000 + (uint64_t)before.tv_nsec / 1000000);
    ck_assert_uint_le(now_ms,
                      (uint64_t)after.tv_sec * 1000 + (uint64_t)after.tv_nsec / 1000000);
#endif
}
END_TEST

/* ---- what it shows ----------------------------------------------------------------------- */

START_TEST(a_keepalive_shows_another_token_when_its_own_is_void)
{
    static const struct scripted_message confirmed[] = {{.outcome = 0}};
    /* while it is asked, or behind its answer */
    const struct scripted_step script[] = {
        ANSWER(FAILED_PRECONDITION), /* a login: nobody is asked who he is */
        STEP(SERVE),                 /* the session */
        {.action = _i == 0 ? SCRIPT_STATUS : SCRIPT_SERVE_AND_END,
         .code = GRPC_UNAUTHENTICATED,
         .messages = confirmed,
         .message_count = 1},
        {.action = SCRIPT_END}};
    kit.user = "me";
    kit.cluster.token_ms = 3600000;
    begin(script, 5000);
    ck_assert_int_eq(open_session(), COORD_OK);
    ck_assert_int_eq(keepalive(), COORD_OK);
    ck_assert_int_eq(keepalive(), COORD_OK);
    ck_assert_int_eq(keepalive(), COORD_OK);
    ck_assert_uint_eq(kit.cluster.login_count, 2);
}
END_TEST

static Suite *session_suite(void)
{
    Suite *s = suite_create("session");
    TCase *t = tcase_create("sessions, leases");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, an_opened_session_is_known_and_trusted);
    tcase_add_test(t, trust_counts_from_the_sending_and_not_from_the_answer);
    tcase_add_test(t, a_client_has_one_session_at_a_time);
    tcase_add_test(t, a_lost_opening_is_repeated_with_its_id);
    tcase_add_test(t, writes_of_a_session_are_numbered);
    tcase_add_loop_test(t, a_repeated_write_keeps_its_number_at_any_endpoint, 0,
                        COUNT(repeated));
    tcase_add_test(t, whoever_resumes_counts_on_above_all_before);
    tcase_add_test(t, whoever_is_attached_uses_request_ids);
    tcase_add_test(t, a_write_in_an_ended_session_says_so_and_ends_trust);
    tcase_add_loop_test(t, a_lost_write_of_a_session_that_has_ended_is_unknown, 0, 2);
    tcase_add_test(t, keepalives_share_a_stream);
    tcase_add_loop_test(t, a_keepalive_goes_on_to_another_endpoint, 0, COUNT(failing));
    tcase_add_loop_test(t, a_keepalive_is_repeated_at_the_only_endpoint, 0, COUNT(failing));
    tcase_add_test(t, a_stream_whose_server_died_is_opened_anew_elsewhere);
    tcase_add_test(t, an_unconfirmed_keepalive_leaves_trust_as_it_was);
    tcase_add_test(t, silence_is_a_timeout_that_names_the_endpoint);
    tcase_add_test(t, an_ended_session_and_wrong_credentials_are_told_apart);
    tcase_add_test(t, attaching_and_resuming_check_the_credentials);
    tcase_add_test(t, leases_are_granted_kept_listed_and_revoked);
    tcase_add_test(t, a_lease_that_has_ended_is_not_found);
    tcase_add_test(t, a_page_of_history_is_told_whole);
    tcase_add_test(t, keepalives_whose_time_passes_behind_others_are_not_sent);
    tcase_add_test(t, the_clock_goes_on_while_the_machine_is_suspended);
    tcase_add_loop_test(t, a_keepalive_shows_another_token_when_its_own_is_void, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){session_suite, NULL});
}
