/* A follower that holds its leader to be gone: how soon it stands, whom it votes for meanwhile, and
 * when it stops believing so. */
#include "tests/support/check_main.h"
#include "tests/support/engine_kit.h"

#define SOON_MS 25 /* the jitter, and the steps of these tests */
#define STEP_MS 5

static void pass(struct engine_kit *x, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += STEP_MS) {
        fake_env_advance(&x->fake, STEP_MS);
        engine_tick(x->engine, x->fake.env.now_ms(&x->fake.env));
        engine_kit_run(x);
    }
}

/* Of three, and follows member 2 in term 2. */
static void follow(struct engine_kit *x)
{
    engine_kit_init(x, 3, 1);
    engine_kit_open(x);
    engine_kit_run(x);
    engine_kit_receive(x, 2, engine_kit_append(2, 1, 1, NULL, 0));
    ck_assert_uint_eq(engine_leader(x->engine), 2);
}

static struct message pre_vote(uint64_t term)
{
    return (struct message){.type = MESSAGE_REQUEST_VOTE,
                            .request_vote = {.term = term,
                                             .last_log_index = 1,
                                             .last_log_term = 1,
                                             .pre_vote = true}};
}

static bool grants(struct engine_kit *x, struct message m)
{
    engine_kit_receive(x, 3, m);
    const struct message *result = engine_kit_last_sent(x, MESSAGE_REQUEST_VOTE_RESULT);
    ck_assert_ptr_nonnull(result);
    return result->request_vote_result.vote_granted;
}

static size_t requests(const struct engine_kit *x)
{
    size_t count = 0;
    for (size_t i = 0; i < x->sent_count; i++) {
        count += x->sent[i].type == MESSAGE_REQUEST_VOTE && x->sent_to[i] == 3;
    }
    return count;
}

START_TEST(who_lost_its_leader_stands_soon)
{
    struct engine_kit x;
    follow(&x);
    engine_suspect_leader(x.engine);
    pass(&x, SOON_MS);
    ck_assert_int_eq(engine_state(x.engine), ENGINE_CANDIDATE);
    ck_assert_uint_eq(engine_term(x.engine), 2); /* and asks before it makes a new term */
    engine_kit_close(&x);
}
END_TEST

/* The core puts an election off while entries are not on disk. */
START_TEST(entries_on_their_way_to_disk_put_it_off_only_until_they_are_there)
{
    struct engine_kit x;
    struct message_entry entry = {.term = 2, .type = ENTRY_COMMAND, .payload = slice_str("c")};
    follow(&x);
    struct message m = engine_kit_append(2, 1, 1, &entry, 1);
    engine_receive(x.engine, 2, &m);
    engine_suspect_leader(x.engine);
    for (int i = 0; i < 6; i++) {
        fake_env_advance(&x.fake, STEP_MS);
        engine_tick(x.engine, x.fake.env.now_ms(&x.fake.env));
        ck_assert_int_eq(engine_state(x.engine), ENGINE_FOLLOWER);
    }
    engine_kit_run(&x);
    pass(&x, 2 * STEP_MS);
    ck_assert_int_eq(engine_state(x.engine), ENGINE_CANDIDATE);
    ck_assert_uint_eq(engine_last_index(x.engine), 2);
    engine_kit_close(&x);
}
END_TEST

START_TEST(a_leader_that_is_gone_is_no_reason_to_refuse_a_vote)
{
    struct engine_kit x;
    follow(&x);
    ck_assert(!grants(&x, pre_vote(3)));
    engine_suspect_leader(x.engine);
    ck_assert(grants(&x, pre_vote(3)));
    engine_kit_close(&x);
}
END_TEST

/* But a log that ends earlier is, as ever. */
START_TEST(who_lost_its_leader_votes_for_no_shorter_log)
{
    struct engine_kit x;
    struct message_entry entry = {.term = 2, .type = ENTRY_COMMAND, .payload = slice_str("c")};
    follow(&x);
    engine_kit_receive(&x, 2, engine_kit_append(2, 1, 1, &entry, 1));
    engine_suspect_leader(x.engine);
    ck_assert(!grants(&x, pre_vote(3)));
    struct message m = pre_vote(3);
    m.request_vote.pre_vote = false;
    ck_assert(!grants(&x, m));
    engine_kit_close(&x);
}
END_TEST

START_TEST(who_was_refused_asks_again_after_a_heartbeat_or_two)
{
    struct engine_kit x;
    follow(&x);
    engine_suspect_leader(x.engine);
    pass(&x, SOON_MS);
    size_t first = requests(&x);
    ck_assert_uint_eq(first, 1);
    engine_kit_receive(&x, 3, engine_kit_vote_result(3, false, true));
    pass(&x, 2 * ENGINE_HEARTBEAT_MS + STEP_MS);
    ck_assert_uint_gt(requests(&x), first);
    ck_assert_uint_eq(engine_term(x.engine), 2);
    engine_kit_close(&x);
}
END_TEST

START_TEST(word_of_the_leader_ends_the_suspicion)
{
    struct engine_kit x;
    follow(&x);
    engine_suspect_leader(x.engine);
    engine_kit_receive(&x, 2, engine_kit_append(2, 1, 1, NULL, 0));
    ck_assert(!grants(&x, pre_vote(3)));
    pass(&x, 2 * SOON_MS);
    ck_assert_int_eq(engine_state(x.engine), ENGINE_FOLLOWER);
    engine_kit_close(&x);
}
END_TEST

/* Who stays alone with its belief falls back to the core's own pace. */
START_TEST(a_suspicion_lasts_no_longer_than_an_election_timeout)
{
    struct engine_kit x;
    follow(&x);
    engine_suspect_leader(x.engine);
    pass(&x, ENGINE_ELECTION_TIMEOUT_MS + 2 * ENGINE_HEARTBEAT_MS);
    size_t before = requests(&x);
    pass(&x, 10 * ENGINE_ELECTION_TIMEOUT_MS);
    ck_assert_uint_le(requests(&x) - before, 11); /* one a timeout at most, as ever */
    engine_kit_close(&x);
}
END_TEST

static Suite *suspect_suite(void)
{
    Suite *suite = suite_create("engine_suspect");
    TCase *tcase = tcase_create("engine_suspect");
    tcase_add_test(tcase, who_lost_its_leader_stands_soon);
    tcase_add_test(tcase, entries_on_their_way_to_disk_put_it_off_only_until_they_are_there);
    tcase_add_test(tcase, a_leader_that_is_gone_is_no_reason_to_refuse_a_vote);
    tcase_add_test(tcase, who_lost_its_leader_votes_for_no_shorter_log);
    tcase_add_test(tcase, who_was_refused_asks_again_after_a_heartbeat_or_two);
    tcase_add_test(tcase, word_of_the_leader_ends_the_suspicion);
    tcase_add_test(tcase, a_suspicion_lasts_no_longer_than_an_election_timeout);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){suspect_suite, NULL});
}
