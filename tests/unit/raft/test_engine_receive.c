/* What no correct member says is refused before libraft sees it, and nothing changes: its own
 * assertions are compiled out, so each of these would be memory corruption or a stuck member. */
#include "tests/support/check_main.h"
#include "tests/support/engine_kit.h"

/* All that a message could move. */
struct sight {
    enum engine_state state;
    uint64_t term;
    uint64_t leader;
    uint64_t commit;
    uint64_t last;
    uint64_t match;
    uint64_t applied;
    size_t sent;
    int fatals;
};

static struct sight look(const struct engine_kit *x)
{
    return (struct sight){.state = engine_state(x->engine),
                          .term = engine_term(x->engine),
                          .leader = engine_leader(x->engine),
                          .commit = engine_commit_index(x->engine),
                          .last = engine_last_index(x->engine),
                          .match = engine_match(x->engine, 2),
                          .applied = x->applied,
                          .sent = x->sent_count,
                          .fatals = x->fatals};
}

static void must_refuse(struct engine_kit *x, uint64_t from, struct message m, const char *what)
{
    engine_kit_run(x);
    struct sight before = look(x);
    engine_kit_receive(x, from, m);
    struct sight after = look(x);
    ck_assert_msg(before.state == after.state && before.term == after.term &&
                      before.leader == after.leader && before.commit == after.commit &&
                      before.last == after.last && before.match == after.match &&
                      before.applied == after.applied && before.sent == after.sent &&
                      before.fatals == after.fatals,
                  "%s changed something", what);
}

/* The same in each state: 0 follower, 1 candidate, 2 leader of term 2. */
static void init(struct engine_kit *x, int state)
{
    engine_kit_init(x, 3, 1);
    engine_kit_open(x);
    engine_kit_run(x);
    if (state == 1) {
        engine_kit_stand(x);
    } else if (state == 2) {
        engine_kit_lead(x);
    }
}

static struct message vote(uint64_t term, uint64_t last_index, uint64_t last_term)
{
    return (struct message){.type = MESSAGE_REQUEST_VOTE,
                            .request_vote = {.term = term,
                                             .last_log_index = last_index,
                                             .last_log_term = last_term,
                                             .disrupt_leader = true}};
}

/* A member that this one does not know yet may lead: that is no stranger. */
START_TEST(nobody_and_echoes_are_refused)
{
    static const uint64_t senders[] = {0, 1};
    struct engine_kit x;
    init(&x, _i);
    for (size_t i = 0; i < sizeof senders / sizeof senders[0]; i++) {
        must_refuse(&x, senders[i], vote(9, 50, 8), "a vote");
        must_refuse(&x, senders[i], engine_kit_append(9, 1, 1, NULL, 0), "an append");
        must_refuse(&x, senders[i], engine_kit_append_result(2, 0, 2), "a result");
        must_refuse(&x, senders[i], engine_kit_vote_result(9, false, true), "a vote's result");
    }
    engine_kit_close(&x);
}
END_TEST

START_TEST(messages_that_are_not_the_core_s_are_refused)
{
    struct engine_kit x;
    init(&x, _i);
    for (int type = 0; type <= UINT8_MAX; type++) {
        bool is_ours = type == MESSAGE_REQUEST_VOTE || type == MESSAGE_REQUEST_VOTE_RESULT ||
                       type == MESSAGE_APPEND_ENTRIES ||
                       type == MESSAGE_APPEND_ENTRIES_RESULT || type == MESSAGE_TIMEOUT_NOW;
        if (!is_ours) {
            must_refuse(&x, 2, (struct message){.type = (uint8_t)type}, "a type");
        }
    }
    engine_kit_close(&x);
}
END_TEST

START_TEST(requests_that_contradict_themselves_are_refused)
{
    struct engine_kit x;
    init(&x, _i);
    must_refuse(&x, 2, engine_kit_append(0, 0, 0, NULL, 0), "term 0");
    must_refuse(&x, 2, engine_kit_append(3, 0, 1, NULL, 0), "index 0 with a term");
    must_refuse(&x, 2, engine_kit_append(3, 1, 0, NULL, 0), "an index without a term");
    must_refuse(&x, 2, engine_kit_append(3, 1, 4, NULL, 0), "a previous term above its own");
    must_refuse(&x, 2, engine_kit_append(UINT64_MAX, 1, 1, NULL, 0), "the last term");
    must_refuse(&x, 2, engine_kit_append(3, UINT64_MAX, 1, NULL, 0), "the last index");
    struct message m = engine_kit_append(3, 1, 1, NULL, 0);
    m.append_entries.leader_commit = UINT64_MAX;
    must_refuse(&x, 2, m, "the last commit index");
    must_refuse(&x, 2, vote(0, 1, 1), "a vote in term 0");
    must_refuse(&x, 2, vote(9, 0, 1), "a vote with a term of nothing");
    must_refuse(&x, 2, vote(9, 1, 0), "a vote with an entry of no term");
    must_refuse(&x, 2, vote(9, 1, 10), "a vote with an entry of a later term");
    must_refuse(&x, 2, vote(UINT64_MAX, 9, 9), "a vote in the last term");
    must_refuse(&x, 2, vote(9, UINT64_MAX, 9), "a vote with the last index");
    m = (struct message){.type = MESSAGE_TIMEOUT_NOW, .timeout_now = {UINT64_MAX, 1, 1}};
    must_refuse(&x, 2, m, "a hand-over in the last term");
    engine_kit_close(&x);
}
END_TEST

START_TEST(entries_that_cannot_be_are_refused)
{
    struct engine_kit x;
    struct buf configuration = {0};
    init(&x, _i);
    engine_configuration_encode(&configuration, &x.first);
    struct slice cut = slice_make(configuration.data, configuration.size - 9);
    const struct {
        const char *what;
        struct message_entry entries[2];
    } bad[] = {
        {"term 0", {{.term = 0, .type = ENTRY_COMMAND}, {.term = 3, .type = ENTRY_COMMAND}}},
        {"a term below the previous entry's",
         {{.term = 1, .type = ENTRY_COMMAND}, {.term = 3, .type = ENTRY_COMMAND}}},
        {"falling terms",
         {{.term = 3, .type = ENTRY_COMMAND}, {.term = 2, .type = ENTRY_COMMAND}}},
        {"a term above the message's",
         {{.term = 3, .type = ENTRY_COMMAND}, {.term = 4, .type = ENTRY_COMMAND}}},
        {"type 0", {{.term = 3, .type = 0}, {.term = 3, .type = ENTRY_COMMAND}}},
        {"an unknown type", {{.term = 3, .type = ENTRY_COMMAND}, {.term = 3, .type = 4}}},
        {"an empty configuration",
         {{.term = 3, .type = ENTRY_CHANGE}, {.term = 3, .type = ENTRY_COMMAND}}},
        {"a cut configuration",
         {{.term = 3, .type = ENTRY_COMMAND},
          {.term = 3, .type = ENTRY_CHANGE, .payload = cut}}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        must_refuse(&x, 2, engine_kit_append(3, 1, 2, bad[i].entries, 2), bad[i].what);
    }
    buf_close(&configuration);
    engine_kit_close(&x);
}
END_TEST

START_TEST(a_granted_pre_vote_is_for_the_next_term)
{
    struct engine_kit x;
    init(&x, _i);
    uint64_t term = engine_term(x.engine);
    must_refuse(&x, 2, engine_kit_vote_result(term + 2, true, true), "a later term's pre-vote");
    must_refuse(&x, 2, engine_kit_vote_result(UINT64_MAX, false, false), "the last term");
    engine_kit_close(&x);
}
END_TEST

START_TEST(a_leader_hears_of_no_other_in_its_term)
{
    struct engine_kit x;
    struct message_entry entry = {.term = 2, .type = ENTRY_COMMAND, .payload = slice_str("c")};
    init(&x, 2);
    must_refuse(&x, 3, engine_kit_append(2, 1, 1, &entry, 1), "entries of a second leader");
    must_refuse(&x, 3, engine_kit_append(2, 1, 1, NULL, 0), "a second leader's heartbeat");
    engine_kit_close(&x);
}
END_TEST

START_TEST(results_about_entries_that_are_not_there_are_refused)
{
    struct engine_kit x;
    init(&x, 2);
    must_refuse(&x, 2, engine_kit_append_result(2, 0, 3), "an entry never sent");
    must_refuse(&x, 2, engine_kit_append_result(2, 0, UINT64_MAX), "the last index");
    must_refuse(&x, 2, engine_kit_append_result(2, UINT64_MAX, 1), "the last index rejected");
    must_refuse(&x, 2, engine_kit_append_result(UINT64_MAX, 0, 1), "the last term");
    engine_kit_close(&x);
}
END_TEST

/* Else the core's next index falls below the match index, and no entry is ever sent again. */
START_TEST(a_late_rejection_of_what_was_acknowledged_does_not_stop_replication)
{
    struct engine_kit x;
    init(&x, 2);
    must_refuse(&x, 2, engine_kit_append_result(2, 2, 1), "an acknowledged entry");
    must_refuse(&x, 2, engine_kit_append_result(2, 1, 0), "an older one");
    must_refuse(&x, 2, engine_kit_append_result(2, 3, 1), "a log shorter than acknowledged");
    ck_assert_int_eq(engine_kit_submit(&x), RC_OK);
    engine_kit_run(&x);
    const struct message *m = engine_kit_last_sent(&x, MESSAGE_APPEND_ENTRIES);
    ck_assert_uint_eq(m->append_entries.prev_log_index, 2);
    ck_assert_uint_eq(m->append_entries.entry_count, 1);
    engine_kit_receive(&x, 2, engine_kit_append_result(2, 0, 3));
    ck_assert_uint_eq(x.applied_commands, 1);
    engine_kit_close(&x);
}
END_TEST

START_TEST(what_correct_members_say_is_taken)
{
    struct engine_kit x;
    struct message_entry entry = {.term = 3, .type = ENTRY_COMMAND, .payload = slice_str("c")};
    init(&x, 2);
    engine_kit_receive(&x, 3, engine_kit_append(3, 2, 2, &entry, 1));
    ck_assert_int_eq(engine_state(x.engine), ENGINE_FOLLOWER);
    ck_assert_uint_eq(engine_leader(x.engine), 3);
    ck_assert_uint_eq(engine_term(x.engine), 3);
    ck_assert_uint_eq(engine_last_index(x.engine), 3);
    engine_kit_close(&x);
}
END_TEST

/* A configuration is filed under the first index of its message, so it is stepped alone. */
START_TEST(a_configuration_inside_a_message_gets_its_own_index)
{
    struct engine_kit x;
    struct buf bytes = {0};
    init(&x, 0);
    struct engine_configuration more = x.first;
    more.members[2].role = ENGINE_STANDBY;
    engine_configuration_encode(&bytes, &more);
    struct message_entry entries[4] = {
        {.term = 2, .type = ENTRY_COMMAND, .payload = slice_str("a")},
        {.term = 2, .type = ENTRY_COMMAND, .payload = slice_str("b")},
        {.term = 2, .type = ENTRY_CHANGE, .payload = buf_slice(&bytes)},
        {.term = 2, .type = ENTRY_COMMAND, .payload = slice_str("c")},
    };
    struct message m = engine_kit_append(2, 1, 1, entries, 4);
    m.append_entries.leader_commit = 5;
    engine_kit_receive(&x, 2, m);
    ck_assert_uint_eq(engine_last_index(x.engine), 5);
    ck_assert_uint_eq(engine_configuration(x.engine)->index, 4);
    ck_assert_int_eq(engine_configuration(x.engine)->members[2].role, ENGINE_STANDBY);
    ck_assert_uint_eq(x.applied_commands, 3);
    uint64_t index;
    (void)engine_applied_configuration(x.engine, &index);
    ck_assert_uint_eq(index, 4);
    buf_close(&bytes);
    engine_kit_close(&x);
}
END_TEST

static Suite *receive_suite(void)
{
    Suite *suite = suite_create("engine_receive");
    TCase *tcase = tcase_create("engine_receive");
    tcase_add_loop_test(tcase, nobody_and_echoes_are_refused, 0, 3);
    tcase_add_loop_test(tcase, messages_that_are_not_the_core_s_are_refused, 0, 3);
    tcase_add_loop_test(tcase, requests_that_contradict_themselves_are_refused, 0, 3);
    tcase_add_loop_test(tcase, entries_that_cannot_be_are_refused, 0, 3);
    tcase_add_loop_test(tcase, a_granted_pre_vote_is_for_the_next_term, 0, 3);
    tcase_add_test(tcase, a_leader_hears_of_no_other_in_its_term);
    tcase_add_test(tcase, results_about_entries_that_are_not_there_are_refused);
    tcase_add_test(tcase, a_late_rejection_of_what_was_acknowledged_does_not_stop_replication);
    tcase_add_test(tcase, what_correct_members_say_is_taken);
    tcase_add_test(tcase, a_configuration_inside_a_message_gets_its_own_index);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){receive_suite, NULL});
}
