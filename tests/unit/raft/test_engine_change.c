/* Changes of the members: which steps are taken, which are refused and why, and what a follower
 * makes of those that it is sent. */
#include <stdio.h>

#include "tests/support/check_main.h"
#include "tests/support/engine_kit.h"

/* Leader of `members` in term 2; of them 2 and, with five, 3 are up to date. */
static void lead(struct engine_kit *x, size_t members)
{
    engine_kit_init(x, members, 1);
    engine_kit_open(x);
    engine_kit_run(x);
    if (members == 1) {
        return;
    }
    engine_kit_stand(x);
    for (int pre = 1; pre >= 0; pre--) {
        for (uint64_t from = 2; from <= 1 + members / 2; from++) {
            engine_kit_receive(x, from, engine_kit_vote_result(2, true, pre == 1));
        }
    }
    ck_assert_int_eq(engine_state(x->engine), ENGINE_LEADER);
    for (uint64_t from = 2; from <= 1 + members / 2; from++) {
        engine_kit_receive(x, from, engine_kit_append_result(2, 0, 2));
    }
    ck_assert(engine_leads_safely(x->engine));
}

/* Everything so far is acknowledged by this member. */
static void catch_up(struct engine_kit *x, uint64_t member)
{
    engine_kit_run(x);
    engine_kit_receive(x, member,
                       engine_kit_append_result(2, 0, engine_last_index(x->engine)));
}

static struct engine_configuration present(const struct engine_kit *x)
{
    return *engine_configuration(x->engine);
}

static struct engine_configuration with(const struct engine_kit *x, uint64_t id)
{
    struct engine_configuration c = present(x);
    struct engine_member *m = &c.members[c.count++];
    *m = (struct engine_member){.id = id, .role = ENGINE_STANDBY};
    (void)snprintf(m->address, sizeof m->address, "new%d=h:2", (int)id);
    return c;
}

static struct engine_configuration without(const struct engine_kit *x, size_t at)
{
    struct engine_configuration c = present(x);
    c.count--;
    memmove(c.members + at, c.members + at + 1, (c.count - at) * sizeof c.members[0]);
    return c;
}

static struct engine_configuration promoted(const struct engine_kit *x, size_t at)
{
    struct engine_configuration c = present(x);
    c.members[at].role = ENGINE_VOTER;
    return c;
}

static void must_change(struct engine_kit *x, struct engine_configuration next)
{
    struct errmsg err = {0};
    enum status rc = engine_change(x->engine, &next, &err);
    ck_assert_msg(rc == RC_OK, "refused: %s", err.text);
}

static void must_refuse(struct engine_kit *x, struct engine_configuration next, const char *why)
{
    struct errmsg err = {0};
    uint64_t last = engine_last_index(x->engine);
    ck_assert_int_eq(engine_change(x->engine, &next, &err), RC_REFUSED);
    ck_assert_msg(strstr(err.text, why) != NULL, "it says: %s", err.text);
    ck_assert_uint_eq(engine_last_index(x->engine), last);
    ck_assert(!engine_is_changing(x->engine) || strstr(why, "committed") != NULL);
}

START_TEST(a_member_is_added_as_a_standby_and_then_promoted)
{
    struct engine_kit x;
    lead(&x, 3);
    catch_up(&x, 3);
    must_change(&x, with(&x, 4));
    ck_assert(engine_is_changing(x.engine));
    ck_assert_uint_eq(present(&x).count, 4);
    catch_up(&x, 2);
    ck_assert(!engine_is_changing(x.engine));
    catch_up(&x, 3);
    catch_up(&x, 4);
    must_change(&x, promoted(&x, 3));
    catch_up(&x, 2); /* two of four are no majority any more */
    ck_assert(engine_is_changing(x.engine));
    catch_up(&x, 4);
    ck_assert(!engine_is_changing(x.engine));
    ck_assert_int_eq(present(&x).members[3].role, ENGINE_VOTER);
    engine_kit_close(&x);
}
END_TEST

START_TEST(one_change_waits_for_the_other_to_be_committed)
{
    struct engine_kit x;
    lead(&x, 3);
    must_change(&x, with(&x, 4));
    must_refuse(&x, with(&x, 5), "not committed");
    catch_up(&x, 2);
    must_change(&x, with(&x, 5));
    engine_kit_close(&x);
}
END_TEST

START_TEST(voters_change_only_when_each_that_stays_has_the_last_change)
{
    struct engine_kit x;
    lead(&x, 3);
    must_change(&x, with(&x, 4)); /* number 3 never answered: standbys may come all the same */
    catch_up(&x, 2);
    catch_up(&x, 4);
    must_refuse(&x, promoted(&x, 3), "n2 has not got the last change");
    must_refuse(&x, without(&x, 1), "n2 has not got the last change");
    must_change(&x, without(&x, 2)); /* it may go itself, since it does not stay */
    catch_up(&x, 2);
    must_change(&x, promoted(&x, 2));
    engine_kit_close(&x);
}
END_TEST

START_TEST(two_voters_stay_and_a_single_node_adds_nobody)
{
    struct engine_kit x;
    lead(&x, 2);
    must_refuse(&x, without(&x, 1), "two voters");
    must_change(&x, with(&x, 4));
    catch_up(&x, 2);
    must_refuse(&x, without(&x, 1), "two voters");
    engine_kit_close(&x);
    lead(&x, 1);
    must_refuse(&x, with(&x, 4), "single node");
    engine_kit_close(&x);
}
END_TEST

START_TEST(what_is_more_than_one_step_is_refused)
{
    struct engine_kit x;
    lead(&x, 5);
    for (uint64_t member = 2; member <= 5; member++) {
        catch_up(&x, member);
    }
    struct engine_configuration c = present(&x);
    must_refuse(&x, c, "one member");
    c = with(&x, 6);
    c.members[5].role = ENGINE_VOTER;
    must_refuse(&x, c, "as a standby");
    c = with(&x, 6);
    struct engine_member last = c.members[5];
    c.members[5] = c.members[0];
    c.members[0] = last;
    must_refuse(&x, c, "as a standby");
    c = without(&x, 3);
    c.count--;
    must_refuse(&x, c, "one member");
    c = without(&x, 3);
    c.members[1].role = ENGINE_STANDBY;
    must_refuse(&x, c, "one member");
    c = present(&x);
    c.members[1].role = ENGINE_STANDBY;
    must_refuse(&x, c, "one member");
    c = present(&x);
    c.members[1].id = 77;
    must_refuse(&x, c, "one member");
    c = without(&x, 0);
    must_refuse(&x, c, "hands over");
    engine_kit_close(&x);
}
END_TEST

START_TEST(only_a_leader_with_an_entry_of_its_term_committed_changes_members)
{
    struct engine_kit x;
    struct errmsg err = {0};
    engine_kit_init(&x, 3, 1);
    engine_kit_open(&x);
    engine_kit_run(&x);
    struct engine_configuration c = with(&x, 4);
    ck_assert_int_eq(engine_change(x.engine, &c, &err), RC_NOT_LEADER);
    engine_kit_stand(&x);
    engine_kit_receive(&x, 2, engine_kit_vote_result(2, true, true));
    engine_kit_receive(&x, 2, engine_kit_vote_result(2, true, false));
    ck_assert_int_eq(engine_state(x.engine), ENGINE_LEADER);
    must_refuse(&x, c, "no entry of this term");
    engine_kit_close(&x);
}
END_TEST

START_TEST(who_answers_is_known_for_the_time_of_a_leadership)
{
    struct engine_kit x;
    lead(&x, 3);
    ck_assert_uint_eq(engine_silence_ms(x.engine, 3), UINT64_MAX);
    catch_up(&x, 2);
    fake_env_advance(&x.fake, 30);
    ck_assert_uint_eq(engine_silence_ms(x.engine, 2), 30);
    ck_assert_uint_eq(engine_silence_ms(x.engine, 9), UINT64_MAX);
    engine_kit_receive(&x, 3, engine_kit_append(5, 1, 1, NULL, 0));
    ck_assert_uint_eq(engine_silence_ms(x.engine, 2), UINT64_MAX);
    engine_kit_close(&x);
}
END_TEST

/* ---- followers ----------------------------------------------------------------------------- */

static struct message_entry change_entry(struct buf *bytes, uint64_t term,
                                         const struct engine_configuration *c)
{
    engine_configuration_encode(bytes, c);
    return (struct message_entry){
        .term = term, .type = ENTRY_CHANGE, .payload = buf_slice(bytes)};
}

START_TEST(a_change_that_is_undone_leaves_the_committed_one_before_it)
{
    struct engine_kit x;
    struct buf bytes[2] = {{0}};
    engine_kit_init(&x, 3, 1);
    engine_kit_open(&x);
    engine_kit_run(&x);
    /* Both in one message: the first is committed, the second will never be. */
    struct engine_configuration four = with(&x, 4);
    struct engine_configuration five = four;
    five.members[five.count++] = (struct engine_member){.id = 5, .address = "new5=h:5"};
    struct message_entry entries[] = {change_entry(&bytes[0], 2, &four),
                                      {.term = 2, .type = ENTRY_BARRIER},
                                      change_entry(&bytes[1], 2, &five)};
    struct message m = engine_kit_append(2, 1, 1, entries, 3);
    m.append_entries.leader_commit = 2;
    engine_kit_receive(&x, 2, m);
    ck_assert_uint_eq(present(&x).count, 5);
    struct message_entry other = {.term = 3, .type = ENTRY_BARRIER};
    m = engine_kit_append(3, 3, 2, &other, 1);
    engine_kit_receive(&x, 3, m);
    ck_assert_uint_eq(engine_last_index(x.engine), 4);
    ck_assert_uint_eq(present(&x).count, 4);
    ck_assert_uint_eq(present(&x).index, 2);
    ck_assert_int_eq(x.fatals, 0);
    buf_close(&bytes[0]);
    buf_close(&bytes[1]);
    engine_kit_close(&x);
}
END_TEST

START_TEST(one_that_joins_takes_its_log_from_whoever_leads)
{
    struct engine_kit x;
    struct buf bytes = {0};
    engine_kit_init(&x, 3, 1);
    struct engine_configuration first = x.first;
    first.members[0].id = 11; /* the engine under test, number 1, is not among them */
    x.joins = true;
    ck_assert_int_eq(engine_kit_open_with(&x, NULL), RC_OK);
    ck_assert_uint_eq(engine_configuration(x.engine)->count, 0);
    ck_assert_uint_eq(engine_stored_index(x.engine), 0);
    for (int i = 0; i < 200; i++) { /* however long it hears nothing, it asks for no vote */
        fake_env_advance(&x.fake, 5);
        engine_tick(x.engine, x.fake.env.now_ms(&x.fake.env));
        engine_kit_run(&x);
    }
    ck_assert_int_eq(engine_state(x.engine), ENGINE_FOLLOWER);
    struct message_entry entries[] = {change_entry(&bytes, 1, &first),
                                      {.term = 4, .type = ENTRY_BARRIER}};
    struct message m = engine_kit_append(4, 0, 0, entries, 2);
    m.append_entries.leader_commit = 2;
    engine_kit_receive(&x, 77, m); /* no member by that configuration */
    ck_assert_uint_eq(engine_leader(x.engine), 77);
    ck_assert_uint_eq(x.applied, 2);
    ck_assert_uint_eq(engine_stored_index(x.engine), 2);
    ck_assert_uint_eq(engine_configuration(x.engine)->count, 3);
    /* It gives its vote to nobody, since it is no voter. */
    engine_kit_receive(&x, 2,
                       (struct message){.type = MESSAGE_REQUEST_VOTE,
                                        .request_vote = {.term = 9,
                                                         .last_log_index = 50,
                                                         .last_log_term = 8,
                                                         .disrupt_leader = true}});
    const struct message *vote = engine_kit_last_sent(&x, MESSAGE_REQUEST_VOTE_RESULT);
    ck_assert_ptr_nonnull(vote);
    ck_assert(!vote->request_vote_result.vote_granted);
    buf_close(&bytes);
    /* And what it has taken is there after a restart, also if that was nothing yet. */
    engine_close(x.engine);
    ck_assert_int_eq(engine_kit_open_with(&x, NULL), RC_OK);
    ck_assert_uint_eq(engine_last_index(x.engine), 2);
    engine_kit_close(&x);
}
END_TEST

START_TEST(a_standby_votes_once_its_leader_is_silent)
{
    struct engine_kit x;
    struct buf bytes = {0};
    engine_kit_init(&x, 3, 1);
    struct engine_configuration first = x.first;
    first.members[0].role = ENGINE_STANDBY; /* the engine under test: its promotion is on its way */
    x.joins = true;
    ck_assert_int_eq(engine_kit_open_with(&x, NULL), RC_OK);
    struct message_entry entries[] = {change_entry(&bytes, 1, &first),
                                      {.term = 4, .type = ENTRY_BARRIER}};
    struct message m = engine_kit_append(4, 0, 0, entries, 2);
    m.append_entries.leader_commit = 2;
    engine_kit_receive(&x, 3, m);
    ck_assert_uint_eq(x.applied, 2);
    const struct message ask = {
        .type = MESSAGE_REQUEST_VOTE,
        .request_vote = {.term = 5, .last_log_index = 3, .last_log_term = 4}};
    engine_kit_receive(&x, 2, ask);
    ck_assert(!engine_kit_last_sent(&x, MESSAGE_REQUEST_VOTE_RESULT)
                   ->request_vote_result.vote_granted);
    for (int i = 0; i < 200; i++) {
        fake_env_advance(&x.fake, 5);
        engine_tick(x.engine, x.fake.env.now_ms(&x.fake.env));
        engine_kit_run(&x);
    }
    engine_kit_receive(&x, 2, ask);
    ck_assert(engine_kit_last_sent(&x, MESSAGE_REQUEST_VOTE_RESULT)
                  ->request_vote_result.vote_granted);
    ck_assert_uint_eq(engine_term(x.engine), 5);
    ck_assert_int_eq(engine_configuration(x.engine)->members[0].role, ENGINE_STANDBY);
    engine_kit_receive(&x, 3, ask); /* one vote a term */
    ck_assert(!engine_kit_last_sent(&x, MESSAGE_REQUEST_VOTE_RESULT)
                   ->request_vote_result.vote_granted);
    for (int i = 0; i < 200; i++) { /* and it asks for none itself */
        fake_env_advance(&x.fake, 5);
        engine_tick(x.engine, x.fake.env.now_ms(&x.fake.env));
        engine_kit_run(&x);
    }
    ck_assert_int_eq(engine_state(x.engine), ENGINE_FOLLOWER);
    buf_close(&bytes);
    engine_kit_close(&x);
}
END_TEST

static Suite *change_suite(void)
{
    Suite *suite = suite_create("engine_change");
    TCase *tcase = tcase_create("engine_change");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_member_is_added_as_a_standby_and_then_promoted);
    tcase_add_test(tcase, one_change_waits_for_the_other_to_be_committed);
    tcase_add_test(tcase, voters_change_only_when_each_that_stays_has_the_last_change);
    tcase_add_test(tcase, two_voters_stay_and_a_single_node_adds_nobody);
    tcase_add_test(tcase, what_is_more_than_one_step_is_refused);
    tcase_add_test(tcase, only_a_leader_with_an_entry_of_its_term_committed_changes_members);
    tcase_add_test(tcase, who_answers_is_known_for_the_time_of_a_leadership);
    tcase_add_test(tcase, a_change_that_is_undone_leaves_the_committed_one_before_it);
    tcase_add_test(tcase, one_that_joins_takes_its_log_from_whoever_leads);
    tcase_add_test(tcase, a_standby_votes_once_its_leader_is_silent);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){change_suite, NULL});
}
