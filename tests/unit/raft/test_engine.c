/* The engine alone, between a disk that can fail and members that say what the test wants. */
#include "tests/support/check_main.h"
#include "tests/support/engine_kit.h"

/* ---- what is applied ----------------------------------------------------------------------- */

#define MANY 2000

START_TEST(many_committed_entries_are_applied_in_several_turns)
{
    struct engine_kit x;
    static struct message_entry entries[MANY];
    engine_kit_init(&x, 3, 1);
    engine_kit_open(&x);
    for (size_t i = 0; i < MANY; i++) {
        entries[i] = (struct message_entry){
            .term = 2, .type = ENTRY_COMMAND, .payload = slice_str("command")};
    }
    struct message m = engine_kit_append(2, 1, 1, entries, MANY);
    m.append_entries.leader_commit = MANY + 1;
    engine_kit_receive(&x, 2, m);
    int turns = 0;
    while (x.applied < MANY + 1) {
        uint64_t before = x.applied;
        uint64_t now_ms = x.fake.env.now_ms(&x.fake.env);
        ck_assert_uint_eq(engine_applied_index(x.engine), x.applied);
        ck_assert_uint_le(engine_next_deadline_ms(x.engine), now_ms); /* nobody has to wake it */
        engine_tick(x.engine, now_ms);
        ck_assert_uint_gt(x.applied, before);
        ck_assert_uint_lt(x.applied - before, MANY / 2);
        turns++;
    }
    ck_assert_int_ge(turns, 2);
    ck_assert_uint_gt(engine_next_deadline_ms(x.engine), x.fake.env.now_ms(&x.fake.env));
    engine_kit_close(&x);
}
END_TEST

/* ---- what is repeated ---------------------------------------------------------------------- */

/* How many messages with entries went to member 3; counts those without. Forgets them. */
static size_t count_sent(struct engine_kit *x, size_t *heartbeats)
{
    size_t with_entries = 0;
    for (size_t k = 0; k < x->sent_count; k++) {
        bool is_append = x->sent[k].type == MESSAGE_APPEND_ENTRIES && x->sent_to[k] == 3;
        with_entries += is_append && x->sent[k].append_entries.entry_count > 0;
        *heartbeats += is_append && x->sent[k].append_entries.entry_count == 0;
    }
    x->sent_count = 0;
    return with_entries;
}

/* Goes on for `ms` with a member 3 that answers nothing, while member 2 is up to date. */
static size_t repeats(struct engine_kit *x, uint64_t ms, size_t *heartbeats)
{
    size_t with_entries = 0;
    for (uint64_t i = 0; i < ms; i += 5) {
        fake_env_advance(&x->fake, 5);
        engine_tick(x->engine, x->fake.env.now_ms(&x->fake.env));
        engine_kit_receive(x, 2,
                           engine_kit_append_result(2, 0, engine_last_index(x->engine)));
        with_entries += count_sent(x, heartbeats);
    }
    return with_entries;
}

static void submit_bytes(struct engine_kit *x, size_t bytes)
{
    uint64_t index;
    uint64_t term;
    struct buf command = {0};
    memset(buf_extend(&command, bytes), 'x', bytes);
    ck_assert_int_eq(engine_submit(x->engine, buf_slice(&command), &index, &term), RC_OK);
    engine_kit_run(x);
    buf_close(&command);
}

START_TEST(a_silent_member_is_not_sent_the_same_megabytes_with_each_heartbeat)
{
    struct engine_kit x;
    size_t heartbeats = 0;
    engine_kit_init(&x, 3, 1);
    engine_kit_open(&x);
    engine_kit_lead(&x);
    submit_bytes(&x, 300000);
    size_t with_entries = repeats(&x, 10000, &heartbeats);
    ck_assert_uint_ge(with_entries, 3); /* but never given up */
    ck_assert_uint_le(with_entries, 12);
    ck_assert_uint_ge(heartbeats, 10000 / ENGINE_HEARTBEAT_MS / 2);
    /* Whoever lost what was sent, or has no use for it, is not kept waiting. */
    engine_connection_lost(x.engine, 3);
    ck_assert_uint_eq(repeats(&x, 2 * ENGINE_HEARTBEAT_MS, &heartbeats), 1);
    engine_kit_receive(&x, 3, engine_kit_append_result(2, 1, 1));
    with_entries = count_sent(&x, &heartbeats);
    with_entries += repeats(&x, 2 * ENGINE_HEARTBEAT_MS, &heartbeats);
    ck_assert_uint_eq(with_entries, 1);
    engine_kit_close(&x);
}
END_TEST

START_TEST(few_bytes_are_repeated_with_each_heartbeat)
{
    struct engine_kit x;
    size_t heartbeats = 0;
    engine_kit_init(&x, 3, 1);
    engine_kit_open(&x);
    engine_kit_lead(&x);
    submit_bytes(&x, 3000);
    ck_assert_uint_ge(repeats(&x, 10000, &heartbeats), 10000 / ENGINE_HEARTBEAT_MS / 2);
    engine_kit_close(&x);
}
END_TEST

/* ---- a single voter ------------------------------------------------------------------------ */

START_TEST(a_single_voter_leads_at_once_and_commits_what_is_durable)
{
    struct engine_kit x;
    engine_kit_init(&x, 1, 1);
    engine_kit_open(&x);
    ck_assert_int_eq(engine_state(x.engine), ENGINE_LEADER);
    ck_assert(!engine_is_settled(x.engine)); /* its first entry is on the way to the disk */
    ck_assert_int_eq(engine_kit_submit(&x), RC_OK);
    ck_assert_uint_eq(x.applied_commands, 0);
    engine_kit_run(&x);
    ck_assert(engine_is_settled(x.engine));
    ck_assert_uint_eq(x.applied_commands, 1);
    engine_kit_close(&x);
}
END_TEST

START_TEST(a_restart_finds_everything_again)
{
    struct engine_kit x;
    engine_kit_init(&x, 1, 1);
    engine_kit_open(&x);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(engine_kit_submit(&x), RC_OK);
        engine_kit_run(&x);
    }
    uint64_t last = engine_last_index(x.engine);
    engine_close(x.engine);
    ck_assert_int_eq(engine_kit_open_with(&x, NULL), RC_OK);
    engine_kit_run(&x);
    ck_assert_uint_ge(x.applied, last);
    ck_assert_uint_eq(x.applied_commands, 20);
    engine_kit_close(&x);
}
END_TEST

START_TEST(a_member_whose_log_is_gone_does_not_start)
{
    struct engine_kit x;
    engine_kit_init(&x, 1, 1);
    ck_assert_int_eq(engine_kit_open_with(&x, NULL), RC_CORRUPT);
    ck_assert(strstr(x.err.text, "replace") != NULL);
    fake_env_close(&x.fake);
}
END_TEST

/* The snapshot has neither the vote nor what was acknowledged since. */
START_TEST(a_member_that_has_only_a_snapshot_left_does_not_start)
{
    struct engine_kit x;
    engine_kit_init(&x, 1, 1);
    struct buf bytes = {0};
    engine_configuration_encode(&bytes, &x.first);
    x.snapshot = (struct engine_snapshot){
        .index = 30, .term = 2, .configuration_index = 1, .configuration = buf_slice(&bytes)};
    for (int i = 0; i < 2; i++) { /* nor when it is tried again */
        ck_assert_int_eq(engine_kit_open_with(&x, NULL), RC_CORRUPT);
        ck_assert(strstr(x.err.text, "replace") != NULL);
    }
    buf_close(&bytes);
    fake_env_close(&x.fake);
}
END_TEST

START_TEST(a_log_that_begins_behind_a_missing_snapshot_does_not_start)
{
    struct engine_kit x;
    engine_kit_init(&x, 1, 1);
    struct buf bytes = {0};
    engine_configuration_encode(&bytes, &x.first);
    x.snapshot = (struct engine_snapshot){
        .index = 30, .term = 2, .configuration_index = 1, .configuration = buf_slice(&bytes)};
    x.joins = true;
    ck_assert_int_eq(engine_kit_open_with(&x, NULL), RC_OK);
    engine_kit_run(&x);
    ck_assert_uint_ge(engine_last_index(x.engine), 30);
    engine_close(x.engine);
    x.joins = false; /* it has become a member, and starts with its log */
    ck_assert_int_eq(engine_kit_open_with(&x, NULL), RC_OK);
    engine_kit_run(&x);
    engine_close(x.engine);
    x.snapshot = (struct engine_snapshot){0};
    ck_assert_int_eq(engine_kit_open_with(&x, NULL), RC_CORRUPT);
    buf_close(&bytes);
    fake_env_close(&x.fake);
}
END_TEST

/* Bootstraps and writes until the power fails; true if the cut came before the end. */
static bool write_until_power_cut(struct engine_kit *x, uint64_t at, uint64_t *acknowledged)
{
    fake_env_arm(&x->fake, at, FAKE_FAULT_POWER, RC_IO);
    enum status rc = engine_kit_open_with(x, &x->first);
    for (int i = 0; rc == RC_OK && i < 5 && !fake_env_has_struck(&x->fake); i++) {
        (void)engine_kit_submit(x);
        engine_kit_run(x);
    }
    *acknowledged = x->applied_commands;
    if (x->engine != NULL) {
        engine_close(x->engine);
    }
    return fake_env_has_struck(&x->fake);
}

START_TEST(a_power_cut_at_any_call_loses_nothing_that_was_applied)
{
    bool strikes = true;
    for (uint64_t n = 1; strikes; n++) {
        struct engine_kit x;
        uint64_t acknowledged;
        engine_kit_init(&x, 1, n + 1000 * (uint64_t)_i);
        strikes = write_until_power_cut(&x, n, &acknowledged);
        fake_env_power_cut(&x.fake);
        ck_assert_msg(engine_kit_open_with(&x, &x.first) == RC_OK, "call %d: %s", (int)n,
                      x.err.text);
        engine_kit_run(&x);
        ck_assert_uint_ge(x.applied_commands, acknowledged);
        ck_assert_int_eq(engine_kit_submit(&x), RC_OK);
        engine_kit_run(&x);
        ck_assert_uint_gt(x.applied_commands, acknowledged);
        engine_kit_close(&x);
    }
}
END_TEST

START_TEST(a_failed_write_is_fatal_once_and_nothing_is_applied_after_it)
{
    struct engine_kit x;
    engine_kit_init(&x, 1, 1);
    engine_kit_open(&x);
    engine_kit_run(&x);
    fake_env_arm(&x.fake, 1, FAKE_FAULT_LASTING, RC_IO);
    ck_assert_int_eq(engine_kit_submit(&x), RC_OK);
    engine_kit_run(&x);
    ck_assert_int_eq(x.fatals, 1);
    ck_assert_uint_eq(x.applied_commands, 0);
    ck_assert_int_ne(engine_kit_submit(&x), RC_OK);
    engine_kit_run(&x);
    ck_assert_int_eq(x.fatals, 1);
    engine_kit_close(&x);
}
END_TEST

/* ---- three voters -------------------------------------------------------------------------- */

START_TEST(a_vote_leaves_only_after_it_is_durable)
{
    struct engine_kit x;
    engine_kit_init(&x, 3, 1);
    engine_kit_open(&x);
    engine_kit_run(&x);
    struct message m = {.type = MESSAGE_REQUEST_VOTE,
                        .request_vote = {.term = 7, .last_log_index = 1, .last_log_term = 1}};
    engine_receive(x.engine, 2, &m);
    engine_turn(x.engine);
    ck_assert_ptr_null(engine_kit_last_sent(&x, MESSAGE_REQUEST_VOTE_RESULT));
    engine_kit_run(&x);
    const struct message *result = engine_kit_last_sent(&x, MESSAGE_REQUEST_VOTE_RESULT);
    ck_assert_ptr_nonnull(result);
    ck_assert(result->request_vote_result.vote_granted);
    engine_close(x.engine);
    ck_assert_int_eq(engine_kit_open_with(&x, NULL),
                     RC_OK); /* and it is remembered: no second vote */
    ck_assert_uint_eq(engine_term(x.engine), 7);
    engine_kit_receive(&x, 3, m);
    ck_assert(!engine_kit_last_sent(&x, MESSAGE_REQUEST_VOTE_RESULT)
                   ->request_vote_result.vote_granted);
    engine_kit_close(&x);
}
END_TEST

START_TEST(entries_are_acknowledged_only_after_they_are_durable)
{
    struct engine_kit x;
    struct message_entry entry = {.term = 2, .type = ENTRY_COMMAND, .payload = slice_str("c")};
    engine_kit_init(&x, 3, 1);
    engine_kit_open(&x);
    engine_kit_run(&x);
    struct message m = engine_kit_append(2, 1, 1, &entry, 1);
    engine_receive(x.engine, 2, &m);
    engine_turn(x.engine);
    ck_assert_ptr_null(engine_kit_last_sent(&x, MESSAGE_APPEND_ENTRIES_RESULT));
    engine_kit_run(&x);
    const struct message *result = engine_kit_last_sent(&x, MESSAGE_APPEND_ENTRIES_RESULT);
    ck_assert_ptr_nonnull(result);
    ck_assert_uint_eq(result->append_entries_result.last_log_index, 2);
    ck_assert_uint_eq(x.applied, 1);
    m = engine_kit_append(2, 2, 2, NULL, 0);
    m.append_entries.leader_commit = 2;
    engine_kit_receive(&x, 2, m);
    ck_assert_uint_eq(x.applied_commands, 1);
    engine_kit_close(&x);
}
END_TEST

START_TEST(only_a_leader_that_hands_nothing_over_accepts_commands)
{
    struct engine_kit x;
    engine_kit_init(&x, 3, 1);
    engine_kit_open(&x);
    ck_assert_int_eq(engine_may_submit(x.engine), RC_NOT_LEADER);
    ck_assert_int_eq(engine_kit_submit(&x), RC_NOT_LEADER);
    engine_kit_lead(&x);
    ck_assert_int_eq(engine_may_submit(x.engine), RC_OK);
    ck_assert_int_eq(engine_transfer(x.engine, 3), RC_NOT_LEADER); /* it lacks entries */
    ck_assert_int_eq(engine_transfer(x.engine, 2), RC_OK);
    ck_assert_ptr_nonnull(engine_kit_last_sent(&x, MESSAGE_TIMEOUT_NOW));
    ck_assert_int_eq(engine_may_submit(x.engine), RC_NOT_LEADER);
    ck_assert_int_eq(engine_kit_submit(&x), RC_NOT_LEADER);
    engine_kit_close(&x);
}
END_TEST

START_TEST(an_installed_snapshot_replaces_the_log_once_that_is_durable)
{
    struct engine_kit x;
    struct buf bytes = {0};
    engine_kit_init(&x, 3, 1);
    engine_kit_open(&x);
    engine_kit_run(&x);
    struct message_install_snapshot offer = engine_kit_offer(&bytes, &x.first);
    ck_assert(engine_offer_is_useful(x.engine, &offer));
    ck_assert(engine_install(x.engine, 2, &offer));
    ck_assert_uint_eq(x.installed, 0);
    ck_assert(!engine_offer_is_useful(x.engine, &offer)); /* one at a time */
    engine_kit_run(&x);
    ck_assert_uint_eq(x.installed, 40);
    ck_assert_uint_eq(engine_last_index(x.engine), 40);
    const struct message *result = engine_kit_last_sent(&x, MESSAGE_APPEND_ENTRIES_RESULT);
    ck_assert_uint_eq(result->append_entries_result.last_log_index, 40);
    ck_assert(!engine_offer_is_useful(x.engine, &offer)); /* nothing new in it */
    buf_close(&bytes);
    engine_kit_close(&x);
}
END_TEST

START_TEST(offers_that_cannot_be_are_of_no_use)
{
    struct engine_kit x;
    struct buf bytes = {0};
    engine_kit_init(&x, 3, 1);
    engine_kit_open(&x);
    engine_kit_lead(&x);
    struct message_install_snapshot good = engine_kit_offer(&bytes, &x.first);
    ck_assert(engine_offer_is_useful(x.engine, &good));
    for (int i = 0; i < 11; i++) {
        struct message_install_snapshot bad = good;
        switch (i) {
        case 0: bad.term = 2; break; /* we lead it */
        case 1: bad.term = 1; break;
        case 2: bad.last_index = 0; break;
        case 3: bad.last_index = 2; break; /* applied already */
        case 4: bad.last_term = 0; break;
        case 5: bad.last_term = 4; break;
        case 6: bad.configuration_index = 0; break;
        case 7: bad.configuration_index = 41; break;
        case 8: bad.configuration.size--; break;
        case 9: bad.term = UINT64_MAX; break;
        default: bad.last_index = UINT64_MAX; break;
        }
        bad.configuration.size -= i == 8 ? 8 : 0; /* more than its padding */
        ck_assert_msg(!engine_offer_is_useful(x.engine, &bad), "offer %d", i);
        ck_assert(!engine_install(x.engine, 2, &bad));
    }
    ck_assert_int_eq(engine_state(x.engine), ENGINE_LEADER);
    buf_close(&bytes);
    engine_kit_close(&x);
}
END_TEST

static Suite *engine_suite(void)
{
    Suite *suite = suite_create("engine");
    TCase *tcase = tcase_create("engine");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, many_committed_entries_are_applied_in_several_turns);
    tcase_add_test(tcase, a_silent_member_is_not_sent_the_same_megabytes_with_each_heartbeat);
    tcase_add_test(tcase, few_bytes_are_repeated_with_each_heartbeat);
    tcase_add_test(tcase, a_single_voter_leads_at_once_and_commits_what_is_durable);
    tcase_add_test(tcase, a_restart_finds_everything_again);
    tcase_add_test(tcase, a_member_whose_log_is_gone_does_not_start);
    tcase_add_test(tcase, a_member_that_has_only_a_snapshot_left_does_not_start);
    tcase_add_test(tcase, a_log_that_begins_behind_a_missing_snapshot_does_not_start);
    tcase_add_loop_test(tcase, a_power_cut_at_any_call_loses_nothing_that_was_applied, 0, 3);
    tcase_add_test(tcase, a_failed_write_is_fatal_once_and_nothing_is_applied_after_it);
    tcase_add_test(tcase, a_vote_leaves_only_after_it_is_durable);
    tcase_add_test(tcase, entries_are_acknowledged_only_after_they_are_durable);
    tcase_add_test(tcase, only_a_leader_that_hands_nothing_over_accepts_commands);
    tcase_add_test(tcase, an_installed_snapshot_replaces_the_log_once_that_is_durable);
    tcase_add_test(tcase, offers_that_cannot_be_are_of_no_use);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){engine_suite, NULL});
}
