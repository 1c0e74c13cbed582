/* Writes in flight: their order, what is sent again and what never, how each one ends. */
#include "raft/pending.h"

#include "base/mem.h"
#include "lease/lease.h"
#include "store/replies.h"
#include "store/store.h"
#include "tests/support/check_main.h"

#define WRITES 8
#define BOOT   77
#define ALL    ((size_t)1 << 20)

struct fixture {
    struct pending p;
    struct node_write writes[WRITES];
    int calls[WRITES];
    enum status rc[WRITES];
    size_t order[WRITES]; /* of completion */
    size_t completed;
    size_t cancels; /* this one is cancelled by the first completion; WRITES = none */
    bool adds;      /* the first completion adds the last write */
    struct buf sent;
};

static void on_done(struct node_write *w, enum status rc, const struct reply *reply);

static struct command command(size_t i, bool repeatable)
{
    static const struct op op = {
        .type = OP_CREATE, .space = SPACE_NODES, .path = {(const uint8_t *)"/a", 2}};
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    if (repeatable) {
        c.request = (struct request_id){.issued_ms = 1, .random = {i + 1, 9}};
    }
    return c;
}

static enum status add(struct fixture *x, size_t i, bool repeatable, uint64_t deadline_ms)
{
    struct command c = command(i, repeatable);
    x->writes[i] = (struct node_write){.done = on_done, .owner = x};
    return pending_add(&x->p, &x->writes[i], &c, BOOT, deadline_ms);
}

static void on_done(struct node_write *w, enum status rc, const struct reply *reply)
{
    struct fixture *x = w->owner;
    size_t i = (size_t)(w - x->writes);
    ck_assert_int_eq(rc == RC_OK, reply != NULL);
    x->calls[i]++;
    x->rc[i] = rc;
    x->order[x->completed++] = i;
    if (x->cancels < WRITES) {
        pending_cancel(&x->p, &x->writes[x->cancels]);
        x->cancels = WRITES;
    }
    if (x->adds) {
        x->adds = false;
        ck_assert_int_eq(add(x, WRITES - 1, true, 9000), RC_OK);
    }
}

/* With `count` writes; those with an odd number cannot be repeated. */
static void init(struct fixture *x, size_t count)
{
    *x = (struct fixture){.cancels = WRITES};
    pending_init(&x->p);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(add(x, i, i % 2 == 0, 1000 + i), RC_OK);
    }
}

static void finish(struct fixture *x)
{
    pending_close(&x->p, RC_STOPPED);
    ck_assert_uint_eq(x->p.count, 0);
    buf_close(&x->sent);
}

/* Counters of what a take hands out now. */
static size_t take(struct fixture *x, uint64_t term, uint64_t counters[WRITES])
{
    buf_clear(&x->sent);
    uint32_t count = pending_take(&x->p, term, ALL, &x->sent);
    struct unpack u = unpack_make(buf_slice(&x->sent));
    struct arena arena = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct command c;
        ck_assert_int_eq(command_decode(&u, &c, &arena), RC_OK);
        ck_assert_uint_eq(c.origin_boot, BOOT);
        counters[i] = c.origin_counter;
    }
    ck_assert_uint_eq(u.rest.size, 0);
    arena_close(&arena);
    return count;
}

static void complete(struct fixture *x, size_t i)
{
    struct reply reply = {.outcome = OUTCOME_OK};
    pending_complete(&x->p, x->writes[i].counter, &reply);
}

/* ---- taking ------------------------------------------------------------------------------- */

START_TEST(writes_are_taken_in_order_and_once)
{
    struct fixture x;
    uint64_t counters[WRITES];
    init(&x, 4);
    ck_assert_uint_eq(take(&x, 3, counters), 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(counters[i], x.writes[i].counter);
        ck_assert(i == 0 || counters[i] > counters[i - 1]);
    }
    ck_assert_uint_eq(take(&x, 3, counters), 0);
    finish(&x);
}
END_TEST

START_TEST(a_take_keeps_to_its_bytes_but_takes_at_least_one)
{
    struct fixture x;
    struct buf out = {0};
    init(&x, 4);
    size_t bytes = x.writes[0].command.size + x.writes[1].command.size;
    ck_assert_uint_eq(pending_take(&x.p, 3, bytes, &out), 2);
    ck_assert_uint_eq(out.size, bytes);
    ck_assert_uint_eq(pending_take(&x.p, 3, 1, &out), 1);
    buf_close(&out);
    finish(&x);
}
END_TEST

START_TEST(a_completed_write_is_answered_once)
{
    struct fixture x;
    uint64_t counters[WRITES];
    init(&x, 2);
    take(&x, 3, counters);
    uint64_t counter = x.writes[0].counter;
    complete(&x, 0);
    struct reply reply = {0};
    pending_complete(&x.p, counter, &reply);
    pending_complete(&x.p, 0, &reply);
    pending_complete(&x.p, UINT64_MAX, &reply);
    ck_assert_int_eq(x.calls[0], 1);
    ck_assert_int_eq(x.calls[1], 0);
    finish(&x);
}
END_TEST

START_TEST(no_more_writes_are_accepted_than_the_limit_of_bytes)
{
    struct fixture x;
    init(&x, 1);
    x.p.bytes += NODE_WRITES_BYTES_MAX;
    ck_assert_int_eq(add(&x, 1, true, 5), RC_OVERLOADED);
    x.p.bytes -= NODE_WRITES_BYTES_MAX;
    ck_assert_int_eq(add(&x, 1, true, 5), RC_OK);
    finish(&x);
}
END_TEST

START_TEST(no_more_counters_are_open_than_the_ring_has_places)
{
    struct fixture x;
    init(&x, 1);
    struct command c = command(1, true);
    size_t accepted = 1;
    struct node_write *many = mem_zalloc(NODE_WRITES_MAX * sizeof *many);
    while (pending_add(&x.p, &many[accepted], &c, BOOT, 5) == RC_OK) {
        pending_cancel(&x.p, &many[accepted]);
        accepted++;
        ck_assert_uint_le(accepted, NODE_WRITES_MAX);
    }
    ck_assert_uint_eq(accepted, NODE_WRITES_MAX);
    pending_cancel(&x.p, &x.writes[0]); /* the oldest one held them all */
    ck_assert_int_eq(add(&x, 1, true, 5), RC_OK);
    mem_free(many);
    finish(&x);
}
END_TEST

/* ---- sending again ------------------------------------------------------------------------ */

START_TEST(a_later_term_sends_open_writes_again_before_new_ones)
{
    struct fixture x;
    uint64_t counters[WRITES];
    init(&x, 3);
    take(&x, 3, counters);
    complete(&x, 1);
    ck_assert_int_eq(add(&x, 3, true, 5000), RC_OK);
    pending_term_applied(&x.p, 3);
    ck_assert_uint_eq(take(&x, 3, counters), 1); /* only the new one: term 3 has the others */
    pending_term_applied(&x.p, 4);
    ck_assert_uint_eq(take(&x, 4, counters), 3);
    ck_assert_uint_eq(counters[0], x.writes[0].counter);
    ck_assert_uint_eq(counters[1], x.writes[2].counter);
    ck_assert_uint_eq(counters[2], x.writes[3].counter);
    finish(&x);
}
END_TEST

START_TEST(a_lost_connection_sends_again_in_order_and_the_fate_stays_open)
{
    struct fixture x;
    uint64_t counters[WRITES];
    init(&x, 2);
    take(&x, 3, counters);
    pending_resend(&x.p);
    ck_assert_int_eq(add(&x, 2, true, 1002), RC_OK);
    pending_expire(&x.p, 1000); /* queued again, but it may be in the log */
    ck_assert_int_eq(x.rc[0], RC_TIMEOUT);
    ck_assert_uint_eq(take(&x, 3, counters), 2);
    ck_assert_uint_eq(counters[0], x.writes[1].counter);
    ck_assert_uint_eq(counters[1], x.writes[2].counter);
    finish(&x);
}
END_TEST

START_TEST(what_a_later_term_has_voided_was_never_proposed)
{
    struct fixture x;
    uint64_t counters[WRITES];
    init(&x, 1);
    take(&x, 3, counters);
    pending_term_applied(&x.p, 4);
    pending_expire(&x.p, 1000);
    ck_assert_int_eq(x.rc[0], RC_NO_LEADER);
    finish(&x);
}
END_TEST

/* ---- refusals ----------------------------------------------------------------------------- */

START_TEST(a_refusal_ends_only_what_was_sent_and_bears_any_count)
{
    struct fixture x;
    uint64_t counters[WRITES];
    init(&x, 2);
    take(&x, 3, counters);
    ck_assert_int_eq(add(&x, 2, true, 1002), RC_OK);
    pending_refuse(&x.p, x.writes[1].counter, UINT32_MAX, RC_NO_SPACE);
    pending_refuse(&x.p, UINT64_MAX, UINT32_MAX, RC_NO_SPACE);
    ck_assert_int_eq(x.calls[0], 0);
    ck_assert_int_eq(x.rc[1], RC_NO_SPACE);
    ck_assert_int_eq(x.calls[2], 0);
    finish(&x);
}
END_TEST

START_TEST(queued_writes_are_refused_once_even_if_that_brings_new_ones)
{
    struct fixture x;
    init(&x, 3);
    x.adds = true;
    pending_refuse_queued(&x.p, RC_NO_SPACE);
    ck_assert_uint_eq(x.completed, 3);
    ck_assert_uint_eq(x.p.count, 1);
    finish(&x);
}
END_TEST

START_TEST(what_may_have_been_sent_is_not_refused_as_never_proposed)
{
    struct fixture x;
    uint64_t counters[WRITES];
    init(&x, 1);
    take(&x, 3, counters);
    pending_resend(&x.p);
    ck_assert_int_eq(add(&x, 1, false, 1001), RC_OK);
    pending_refuse_queued(&x.p, RC_NO_SPACE);
    ck_assert_int_eq(x.calls[0], 0);
    ck_assert_int_eq(x.rc[1], RC_NO_SPACE);
    finish(&x);
}
END_TEST

/* ---- a state that skipped entries --------------------------------------------------------- */

/* Applies write `i` to the store, as if its entry were among the skipped ones. */
static void execute(struct fixture *x, struct store *s, size_t i)
{
    struct unpack u = unpack_make(x->writes[i].command);
    struct arena arena = {0};
    struct command c;
    struct reply reply;
    ck_assert_int_eq(command_decode(&u, &c, &arena), RC_OK);
    struct apply_context context = {
        .index = i + 2, .cluster_ms = 10, .wall_ms = 10, .last_of_entry = true};
    store_apply(s, &context, &c, &reply);
    arena_close(&arena);
}

/* 0 executed and repeatable, 1 not repeatable, 2 repeatable and not executed, 3 never sent. */
static void skip_entries(struct fixture *x, uint64_t term)
{
    struct store *s = store_new();
    execute(x, s, 0);
    pending_state_replaced(&x->p, s, term);
    ck_assert_int_eq(x->rc[0], RC_OK);
    ck_assert_int_eq(x->calls[0], 1);
    ck_assert_int_eq(x->rc[1], RC_UNKNOWN);
    ck_assert_int_eq(x->calls[1], 1);
    ck_assert_int_eq(x->calls[2], 0);
    ck_assert_int_eq(x->calls[3], 0);
    store_free(s);
}

START_TEST(a_skipped_write_is_answered_from_memory_or_is_unknown_or_sent_again)
{
    struct fixture x;
    uint64_t counters[WRITES];
    init(&x, 3);
    take(&x, 3, counters);
    ck_assert_int_eq(add(&x, 3, false, 1003), RC_OK);
    skip_entries(&x, 5);
    ck_assert_uint_eq(take(&x, 5, counters), 2);
    ck_assert_uint_eq(counters[0], x.writes[2].counter);
    ck_assert_uint_eq(counters[1], x.writes[3].counter);
    finish(&x);
}
END_TEST

/* Of session 5: 0 executed, 1 not executed, 2 below the floor, 3 without a number, 4 of a session
 * that has ended. */
START_TEST(a_skipped_write_of_a_session_is_answered_from_its_window)
{
    static const struct {
        uint64_t session, sequence, answered_to;
        enum status rc;
        int calls;
    } writes[] = {
        {5, 9, 2, RC_OK, 1},      {5, 8, 2, RC_OK, 0},      {5, 2, 0, RC_UNKNOWN, 1},
        {5, 0, 0, RC_UNKNOWN, 1}, {6, 1, 0, RC_UNKNOWN, 1},
    };
    struct fixture x;
    struct store *s = store_new();
    uint64_t counters[WRITES];
    struct reply reply;
    struct command grant = {
        .type = COMMAND_GRANT,
        .lease = {.id = 5,
                  .ttl_ms = 1000,
                  .kind = LEASE_SESSION,
                  .secret = slice_str("0123456789abcdef")},
    };
    store_apply(s, &(struct apply_context){.index = 1, .last_of_entry = true}, &grant, &reply);
    init(&x, 0);
    for (size_t i = 0; i < 5; i++) {
        struct command c = command(i, false);
        c.session = writes[i].session;
        c.sequence = writes[i].sequence;
        c.answered_to = writes[i].answered_to;
        x.writes[i] = (struct node_write){.done = on_done, .owner = &x};
        ck_assert_int_eq(pending_add(&x.p, &x.writes[i], &c, BOOT, 1000), RC_OK);
    }
    take(&x, 3, counters);
    execute(&x, s, 0);
    pending_state_replaced(&x.p, s, 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(x.calls[i], writes[i].calls);
        ck_assert_int_eq(x.rc[i], writes[i].rc);
    }
    ck_assert_uint_eq(take(&x, 5, counters), 1);
    ck_assert_uint_eq(counters[0], x.writes[1].counter);
    store_free(s);
    finish(&x);
}
END_TEST

/* Sent again it would be refused as too old, as if it had never been executed. */
START_TEST(a_skipped_write_that_the_state_has_forgotten_is_unknown)
{
    struct fixture x;
    struct store *s = store_new();
    uint64_t counters[WRITES];
    struct reply reply;
    struct command later = {.type = COMMAND_LEVEL, .level = 1};
    init(&x, 1);
    take(&x, 3, counters);
    execute(&x, s, 0);
    store_apply(s,
                &(struct apply_context){
                    .index = 9, .cluster_ms = REPLIES_AGE_MS_MAX + 10, .last_of_entry = true},
                &later, &reply);
    pending_state_replaced(&x.p, s, 5);
    ck_assert_int_eq(x.calls[0], 1);
    ck_assert_int_eq(x.rc[0], RC_UNKNOWN);
    store_free(s);
    finish(&x);
}
END_TEST

/* A write that waits to be sent again may be among the skipped ones as well; sent again in a later
 * term it would be executed twice. */
START_TEST(a_write_that_waits_to_be_sent_again_may_have_been_skipped_too)
{
    struct fixture x;
    uint64_t counters[WRITES];
    init(&x, 3);
    take(&x, 3, counters);
    pending_resend(&x.p);
    ck_assert_int_eq(add(&x, 3, false, 1003), RC_OK);
    skip_entries(&x, 4 + (uint64_t)_i);
    ck_assert_uint_eq(take(&x, 5, counters), 2);
    finish(&x);
}
END_TEST

/* ---- ends --------------------------------------------------------------------------------- */

START_TEST(deadlines_end_writes_and_the_next_one_is_known)
{
    struct fixture x;
    uint64_t counters[WRITES];
    init(&x, 1);
    take(&x, 3, counters);
    ck_assert_int_eq(add(&x, 1, true, 1001), RC_OK);
    ck_assert_int_eq(add(&x, 2, true, 4000), RC_OK);
    pending_expire(&x.p, 999);
    ck_assert_uint_eq(x.completed, 0);
    pending_expire(&x.p, 1001);
    ck_assert_int_eq(x.rc[0], RC_TIMEOUT);   /* was sent */
    ck_assert_int_eq(x.rc[1], RC_NO_LEADER); /* never was */
    ck_assert_uint_eq(x.p.deadline_ms, 4000);
    finish(&x);
}
END_TEST

START_TEST(a_completion_may_cancel_a_write_that_ends_with_it)
{
    struct fixture x;
    init(&x, 3);
    x.cancels = 1;
    pending_expire(&x.p, 5000);
    ck_assert_int_eq(x.calls[0], 1);
    ck_assert_int_eq(x.calls[1], 0);
    ck_assert_int_eq(x.calls[2], 1);
    ck_assert_uint_eq(x.p.count, 0);
    finish(&x);
}
END_TEST

START_TEST(a_cancelled_write_is_never_answered)
{
    struct fixture x;
    uint64_t counters[WRITES];
    init(&x, 2);
    take(&x, 3, counters);
    uint64_t counter = x.writes[0].counter;
    pending_cancel(&x.p, &x.writes[0]);
    pending_cancel(&x.p, &x.writes[0]);
    struct reply reply = {0};
    pending_complete(&x.p, counter, &reply);
    ck_assert_int_eq(x.calls[0], 0);
    ck_assert_uint_eq(x.p.count, 1);
    finish(&x);
}
END_TEST

START_TEST(the_end_tells_what_may_have_been_proposed)
{
    struct fixture x;
    uint64_t counters[WRITES];
    init(&x, 1);
    take(&x, 3, counters);
    ck_assert_int_eq(add(&x, 1, true, 1001), RC_OK);
    pending_close(&x.p, RC_STOPPED);
    ck_assert_int_eq(x.rc[0], RC_UNKNOWN);
    ck_assert_int_eq(x.rc[1], RC_STOPPED);
    ck_assert_uint_eq(x.order[0], 0);
    buf_close(&x.sent);
}
END_TEST

static Suite *pending_suite(void)
{
    Suite *suite = suite_create("pending");
    TCase *tcase = tcase_create("pending");
    tcase_add_test(tcase, writes_are_taken_in_order_and_once);
    tcase_add_test(tcase, a_take_keeps_to_its_bytes_but_takes_at_least_one);
    tcase_add_test(tcase, a_completed_write_is_answered_once);
    tcase_add_test(tcase, no_more_writes_are_accepted_than_the_limit_of_bytes);
    tcase_add_test(tcase, no_more_counters_are_open_than_the_ring_has_places);
    tcase_add_test(tcase, a_later_term_sends_open_writes_again_before_new_ones);
    tcase_add_test(tcase, a_lost_connection_sends_again_in_order_and_the_fate_stays_open);
    tcase_add_test(tcase, what_a_later_term_has_voided_was_never_proposed);
    tcase_add_test(tcase, a_refusal_ends_only_what_was_sent_and_bears_any_count);
    tcase_add_test(tcase, queued_writes_are_refused_once_even_if_that_brings_new_ones);
    tcase_add_test(tcase, what_may_have_been_sent_is_not_refused_as_never_proposed);
    tcase_add_test(tcase, a_skipped_write_is_answered_from_memory_or_is_unknown_or_sent_again);
    tcase_add_test(tcase, a_skipped_write_of_a_session_is_answered_from_its_window);
    tcase_add_test(tcase, a_skipped_write_that_the_state_has_forgotten_is_unknown);
    tcase_add_loop_test(tcase, a_write_that_waits_to_be_sent_again_may_have_been_skipped_too, 0,
                        2);
    tcase_add_test(tcase, deadlines_end_writes_and_the_next_one_is_known);
    tcase_add_test(tcase, a_completion_may_cancel_a_write_that_ends_with_it);
    tcase_add_test(tcase, a_cancelled_write_is_never_answered);
    tcase_add_test(tcase, the_end_tells_what_may_have_been_proposed);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){pending_suite, NULL});
}
