/* Numbered writes of sessions: each is executed once, whatever is repeated, out of order, late, or
 * answered by a store that was loaded from a snapshot. */
#include "base/mem.h"
#include "lease/table.h"
#include "store/history.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

#define SECRET "0123456789abcdef"

static struct kit k;

static enum outcome grant(uint64_t id, enum lease_kind kind)
{
    struct command c = {.type = COMMAND_GRANT,
                        .lease = {.id = id,
                                  .ttl_ms = 1000,
                                  .kind = (uint8_t)kind,
                                  .renewable = true,
                                  .secret = slice_str(SECRET)}};
    return kit_run(&k, &c);
}

static void setup(void)
{
    kit_open(&k);
    kit_create(&k, "/zero", ""); /* the sequential nodes of tests are numbered from 1 */
    ck_assert_int_eq(grant(5, LEASE_SESSION), OUTCOME_OK);
}

static void teardown(void)
{
    store_check(k.store);
    kit_close(&k);
}

static enum outcome run_numbered(struct op op, uint64_t session, uint64_t sequence,
                                 uint64_t answered_to)
{
    struct command c = {.type = COMMAND_TXN,
                        .session = session,
                        .sequence = sequence,
                        .answered_to = answered_to,
                        .txn = {.then_ops = &op, .then_count = 1}};
    return kit_run(&k, &c);
}

/* A sequential node, so that a second execution shows. */
static enum outcome add(uint64_t sequence, uint64_t answered_to)
{
    struct op op = kit_op(OP_CREATE, "/n-", "x");
    op.flags = OP_SEQUENTIAL;
    return run_numbered(op, 5, sequence, answered_to);
}

static bool answered(const char *path)
{
    return k.reply.result_count == 1 && slice_is(k.reply.results[0].path, path);
}

/* ---- who may ------------------------------------------------------------------------------ */

START_TEST(only_a_session_that_lives_may_be_named)
{
    struct op op = kit_op(OP_CREATE, "/a", "");
    grant(6, LEASE_PLAIN);
    ck_assert_int_eq(run_numbered(op, 4, 1, 0), OUTCOME_NO_SESSION);
    ck_assert_int_eq(run_numbered(op, 6, 1, 0), OUTCOME_NO_SESSION);
    ck_assert_int_eq(run_numbered(op, 4, 0, 0), OUTCOME_NO_SESSION);
    ck_assert_int_eq(run_numbered(op, 0, 1, 0), OUTCOME_NO_SESSION);
    struct command c = {.type = COMMAND_EXPIRE, .lease = {.id = 5}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert_int_eq(run_numbered(op, 5, 1, 0), OUTCOME_NO_SESSION);
    ck_assert(!kit_exists(&k, "/a"));
}
END_TEST

START_TEST(a_dead_session_stops_commands_of_every_type)
{
    uint64_t digest = 0;
    struct op op = kit_op(OP_CREATE, "/a", "");
    struct command commands[] = {
        {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}},
        {.type = COMMAND_CHECK, .check = {.index = 1, .count = 2, .members = {{8, 1}, {9, 2}}}},
        {.type = COMMAND_LEVEL, .level = 9},
        {.type = COMMAND_GRANT,
         .lease = {.id = 9, .ttl_ms = 1000, .kind = LEASE_PLAIN, .secret = slice_str(SECRET)}},
        {.type = COMMAND_RESUME, .lease = {.id = 5, .secret = slice_str(SECRET)}},
        {.type = COMMAND_REVOKE, .lease = {.id = 5, .secret = slice_str(SECRET)}},
        {.type = COMMAND_EXPIRE, .lease = {.id = 5}},
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        commands[i].session = 4;
        k.cluster_ms = 2000; /* which is in the digest */
        ck_assert_int_eq(kit_run(&k, &commands[i]), OUTCOME_NO_SESSION);
        ck_assert(i == 0 || store_digest(k.store) == digest);
        digest = store_digest(k.store);
    }
}
END_TEST

START_TEST(a_change_says_in_whose_name_it_was_made)
{
    add(1, 0);
    const struct history *h = &k.store->history;
    ck_assert_uint_eq(history_at(h, h->end - 1)->session, 5);
    kit_create(&k, "/a", "");
    ck_assert_uint_eq(history_at(h, h->end - 1)->session, 0);
}
END_TEST

START_TEST(what_cannot_be_meant_is_refused_by_name)
{
    static const struct {
        uint64_t session, sequence, answered_to, issued_ms;
        bool by_owner;
        const char *text;
    } cases[] = {
        {0, 1, 0, 0, false, "session: a sequence number without one"},
        {0, 0, 1, 0, false, "session: a sequence number without one"},
        {0, 0, 0, 0, true, "session: an owner without one"},
        {5, 3, 3, 0, false, "answered_to: 3, must be below the sequence number 3"},
        {5, 3, 2, 900, false, "request id: a write with a sequence number takes none"},
    };
    struct op op = kit_op(OP_CREATE, "/a", "");
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct errmsg err = {.text = ""};
        c.session = cases[i].session;
        c.sequence = cases[i].sequence;
        c.answered_to = cases[i].answered_to;
        c.request.issued_ms = cases[i].issued_ms;
        c.by_owner = cases[i].by_owner;
        ck_assert_int_eq(command_check(&c, &err), OUTCOME_BAD_ARGUMENTS);
        ck_assert_str_eq(err.text, cases[i].text);
    }
}
END_TEST

START_TEST(who_has_lost_the_session_writes_nothing_any_more)
{
    struct op op = kit_op(OP_CREATE, "/n-", "x");
    op.flags = OP_SEQUENTIAL;
    struct command c = {.type = COMMAND_TXN,
                        .session = 5,
                        .by_owner = true,
                        .generation = store_lease(k.store, 5)->generation,
                        .txn = {.then_ops = &op, .then_count = 1}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    struct command resume = {
        .type = COMMAND_RESUME,
        .lease = {.id = 5, .ttl_ms = 1000, .secret = slice_str("0123456789abcdef")}};
    ck_assert_int_eq(kit_run(&k, &resume), OUTCOME_OK);
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_GENERATION_MOVED);
    ck_assert_uint_eq(store_revision(k.store), revision);
    c.generation = store_lease(k.store, 5)->generation;
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
}
END_TEST

/* ---- once --------------------------------------------------------------------------------- */

START_TEST(a_repeated_number_answers_the_first_outcome)
{
    ck_assert_int_eq(add(1, 0), OUTCOME_OK);
    ck_assert(!k.reply.repeated && answered("/n-0000000001"));
    uint64_t revision = k.reply.revision;
    uint64_t index = k.reply.index;
    ck_assert_int_eq(add(2, 0), OUTCOME_OK);
    ck_assert(answered("/n-0000000002"));
    ck_assert_int_eq(add(1, 0), OUTCOME_OK);
    ck_assert(k.reply.repeated && answered("/n-0000000001"));
    ck_assert_uint_eq(k.reply.revision, revision);
    ck_assert_uint_eq(k.reply.index, index);
    ck_assert_uint_eq(store_revision(k.store), revision + 1);
}
END_TEST

START_TEST(a_failure_is_remembered_as_well)
{
    struct op op = kit_op(OP_CREATE, "/p/n", "");
    ck_assert_int_eq(run_numbered(op, 5, 1, 0), OUTCOME_NO_PARENT);
    kit_create(&k, "/p", "");
    ck_assert_int_eq(run_numbered(op, 5, 1, 0), OUTCOME_NO_PARENT);
    ck_assert(k.reply.repeated);
    ck_assert_int_eq(run_numbered(op, 5, 2, 0), OUTCOME_OK);
}
END_TEST

START_TEST(sessions_number_on_their_own)
{
    struct op op = kit_op(OP_CREATE, "/n-", "x");
    op.flags = OP_SEQUENTIAL;
    grant(6, LEASE_SESSION);
    add(1, 0);
    ck_assert_int_eq(run_numbered(op, 6, 1, 0), OUTCOME_OK);
    ck_assert(!k.reply.repeated && answered("/n-0000000002"));
}
END_TEST

START_TEST(without_a_number_a_write_is_executed_each_time)
{
    add(0, 0);
    ck_assert_int_eq(add(0, 0), OUTCOME_OK);
    ck_assert(!k.reply.repeated && answered("/n-0000000002"));
}
END_TEST

START_TEST(without_a_number_a_session_may_use_a_request_id)
{
    struct op op = kit_op(OP_CREATE, "/n-", "x");
    op.flags = OP_SEQUENTIAL;
    struct command c = {.type = COMMAND_TXN,
                        .session = 5,
                        .request = {.issued_ms = 900, .random = {1, 1}},
                        .txn = {.then_ops = &op, .then_count = 1}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert(k.reply.repeated && answered("/n-0000000001"));
}
END_TEST

/* Else a retry of what was executed would be told that it was refused. */
START_TEST(a_remembered_request_is_answered_after_its_session_has_ended)
{
    struct op op = kit_op(OP_CREATE, "/n-", "x");
    op.flags = OP_SEQUENTIAL;
    struct command create = {.type = COMMAND_TXN,
                             .session = 5,
                             .request = {.issued_ms = 900, .random = {1, 1}},
                             .txn = {.then_ops = &op, .then_count = 1}};
    struct command close = {.type = COMMAND_REVOKE,
                            .session = 5,
                            .request = {.issued_ms = 900, .random = {1, 2}},
                            .lease = {.id = 5, .secret = slice_str(SECRET)}};
    ck_assert_int_eq(kit_run(&k, &create), OUTCOME_OK);
    ck_assert_int_eq(kit_run(&k, &close), OUTCOME_OK);
    ck_assert_int_eq(kit_run(&k, &create), OUTCOME_OK);
    ck_assert(k.reply.repeated && answered("/n-0000000001"));
    ck_assert_int_eq(kit_run(&k, &close), OUTCOME_OK);
    ck_assert(k.reply.repeated);
    create.request.random[1] = 3;
    ck_assert_int_eq(kit_run(&k, &create), OUTCOME_NO_SESSION);
}
END_TEST

START_TEST(numbers_may_come_in_any_order)
{
    ck_assert_int_eq(add(900, 0), OUTCOME_OK);
    ck_assert_int_eq(add(3, 0), OUTCOME_OK);
    ck_assert_int_eq(add(500, 0), OUTCOME_OK);
    ck_assert_int_eq(add(900, 0), OUTCOME_OK);
    ck_assert(k.reply.repeated && answered("/n-0000000001"));
    ck_assert_int_eq(add(3, 0), OUTCOME_OK);
    ck_assert(k.reply.repeated && answered("/n-0000000002"));
}
END_TEST

START_TEST(an_answered_number_is_never_executed_again)
{
    add(1, 0);
    add(2, 0);
    add(3, 2);
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(add(1, 0), OUTCOME_SEQUENCE_EXPIRED);
    ck_assert(!k.reply.repeated);
    ck_assert_int_eq(add(2, 0), OUTCOME_SEQUENCE_EXPIRED);
    ck_assert_int_eq(add(3, 2), OUTCOME_OK);
    ck_assert(k.reply.repeated);
    ck_assert_uint_eq(store_revision(k.store), revision);
}
END_TEST

START_TEST(the_window_slides_before_the_highest_number)
{
    add(1, 0);
    add(2, 0);
    add(WINDOW_SEQUENCES + 1, 0);
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(add(1, 0), OUTCOME_SEQUENCE_EXPIRED);
    ck_assert_int_eq(add(2, 0), OUTCOME_OK);
    ck_assert(k.reply.repeated);
    ck_assert_uint_eq(store_revision(k.store), revision);
    ck_assert_int_eq(add(3, 0), OUTCOME_OK); /* never executed: it may be */
    ck_assert(!k.reply.repeated);
}
END_TEST

START_TEST(what_does_not_fit_the_window_is_never_executed_again)
{
    struct op set = kit_op(OP_SET, "/", NULL);
    struct op get = kit_op(OP_GET, "/", NULL);
    uint8_t *value = mem_zalloc(STORE_VALUE_BYTES_MAX);
    set.flags = 0;
    set.data = slice_make(value, STORE_VALUE_BYTES_MAX);
    ck_assert_int_eq(kit_ops(&k, &set, 1), OUTCOME_OK);
    mem_free(value);
    ck_assert_int_eq(run_numbered(get, 5, 1, 0), OUTCOME_OK); /* more than a window by itself */
    ck_assert_int_eq(run_numbered(get, 5, 1, 0), OUTCOME_OK);
    ck_assert(k.reply.repeated);
    ck_assert_uint_eq(k.reply.results[0].data.size, STORE_VALUE_BYTES_MAX);
    add(2, 0);
    ck_assert_int_eq(run_numbered(get, 5, 1, 0), OUTCOME_SEQUENCE_EXPIRED);
}
END_TEST

START_TEST(a_session_that_closes_itself_is_gone)
{
    struct command c = {.type = COMMAND_REVOKE,
                        .session = 5,
                        .sequence = 1,
                        .lease = {.id = 5, .secret = slice_str(SECRET)}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_NO_SESSION);
    grant(5, LEASE_SESSION); /* the id again, by chance: its numbers begin anew */
    ck_assert_int_eq(add(1, 0), OUTCOME_OK);
    ck_assert(!k.reply.repeated);
}
END_TEST

START_TEST(a_resumed_session_remembers)
{
    struct command c = {.type = COMMAND_RESUME,
                        .lease = {.id = 5, .secret = slice_str(SECRET)}};
    add(1, 0);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert_int_eq(add(1, 0), OUTCOME_OK);
    ck_assert(k.reply.repeated && answered("/n-0000000001"));
}
END_TEST

START_TEST(remembered_replies_can_be_asked_for)
{
    struct reply reply;
    struct request_id none = {0};
    ck_assert(!store_remembered(k.store, 5, 1, &none, &reply));
    add(1, 0);
    ck_assert(store_remembered(k.store, 5, 1, &none, &reply));
    ck_assert(reply.repeated);
    ck_assert(slice_is(reply.results[0].path, "/n-0000000001"));
    ck_assert(!store_remembered(k.store, 5, 2, &none, &reply));
    ck_assert(!store_remembered(k.store, 6, 1, &none, &reply));
    ck_assert(!store_remembered(k.store, 5, 0, &none, &reply));
    grant(6, LEASE_PLAIN);
    ck_assert(!store_remembered(k.store, 6, 1, &none, &reply));
}
END_TEST

/* ---- over a snapshot ---------------------------------------------------------------------- */

START_TEST(a_loaded_store_remembers_and_refuses_the_same)
{
    add(1, 0);
    add(2, 1);
    add(WINDOW_SEQUENCES + 1, 0);
    kit_reload(&k);
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(add(1, 0), OUTCOME_SEQUENCE_EXPIRED);
    ck_assert_int_eq(add(2, 0), OUTCOME_OK);
    ck_assert(k.reply.repeated && answered("/n-0000000002"));
    ck_assert_int_eq(add(WINDOW_SEQUENCES + 1, 0), OUTCOME_OK);
    ck_assert(k.reply.repeated && answered("/n-0000000003"));
    ck_assert_uint_eq(store_revision(k.store), revision);
    ck_assert_int_eq(add(WINDOW_SEQUENCES + 2, 0), OUTCOME_OK);
    ck_assert(!k.reply.repeated);
}
END_TEST

#define MANY 90

/* Each reply about a MiB: not all of them fit. */
START_TEST(a_loaded_store_forgets_the_same_replies_of_other_sessions)
{
    struct op set = kit_op(OP_SET, "/", NULL);
    struct op get = kit_op(OP_GET, "/", NULL);
    uint8_t *value = mem_zalloc(STORE_VALUE_BYTES_MAX);
    set.flags = 0;
    set.data = slice_make(value, STORE_VALUE_BYTES_MAX);
    ck_assert_int_eq(kit_ops(&k, &set, 1), OUTCOME_OK);
    mem_free(value);
    for (uint64_t i = 0; i < MANY; i++) {
        ck_assert_int_eq(grant(1000 - i, LEASE_SESSION), OUTCOME_OK);
        ck_assert_int_eq(run_numbered(get, 1000 - i, 1, 0), OUTCOME_OK);
    }
    struct snapshot_meta meta = {0};
    struct buf rows = {0};
    enum status rc;
    kit_rows(k.store, &meta, &rows);
    struct kit twin = {.index = k.index, .cluster_ms = k.cluster_ms, .wall_ms = k.wall_ms};
    twin.store = kit_load(buf_slice(&rows), &meta, &rc);
    ck_assert_int_eq(rc, RC_OK);
    buf_close(&rows);
    unsigned forgotten = 0;
    for (uint64_t i = 0; i < MANY; i++) { /* of the repeats, those forgotten are refused */
        enum outcome outcome = run_numbered(get, 1000 - i, 1 + i % 2, 0);
        forgotten += outcome == OUTCOME_SEQUENCE_EXPIRED;
        ck_assert_int_eq(kit_run_encoded(&twin, buf_slice(&k.bytes)), outcome);
        ck_assert_int_eq(twin.reply.repeated, k.reply.repeated);
        ck_assert_uint_eq(store_digest(twin.store), store_digest(k.store));
    }
    ck_assert_uint_gt(forgotten, 10);
    ck_assert_uint_lt(forgotten, MANY);
    store_check(twin.store);
    kit_close(&twin);
}
END_TEST

static Suite *session_suite(void)
{
    Suite *suite = suite_create("session");
    TCase *tcase = tcase_create("session");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, only_a_session_that_lives_may_be_named);
    tcase_add_test(tcase, a_dead_session_stops_commands_of_every_type);
    tcase_add_test(tcase, a_change_says_in_whose_name_it_was_made);
    tcase_add_test(tcase, what_cannot_be_meant_is_refused_by_name);
    tcase_add_test(tcase, who_has_lost_the_session_writes_nothing_any_more);
    tcase_add_test(tcase, a_repeated_number_answers_the_first_outcome);
    tcase_add_test(tcase, a_failure_is_remembered_as_well);
    tcase_add_test(tcase, sessions_number_on_their_own);
    tcase_add_test(tcase, without_a_number_a_write_is_executed_each_time);
    tcase_add_test(tcase, without_a_number_a_session_may_use_a_request_id);
    tcase_add_test(tcase, a_remembered_request_is_answered_after_its_session_has_ended);
    tcase_add_test(tcase, numbers_may_come_in_any_order);
    tcase_add_test(tcase, an_answered_number_is_never_executed_again);
    tcase_add_test(tcase, the_window_slides_before_the_highest_number);
    tcase_add_test(tcase, what_does_not_fit_the_window_is_never_executed_again);
    tcase_add_test(tcase, a_session_that_closes_itself_is_gone);
    tcase_add_test(tcase, a_resumed_session_remembers);
    tcase_add_test(tcase, remembered_replies_can_be_asked_for);
    tcase_add_test(tcase, a_loaded_store_remembers_and_refuses_the_same);
    tcase_add_test(tcase, a_loaded_store_forgets_the_same_replies_of_other_sessions);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){session_suite, NULL});
}
