/* The leader's side of forwarding: what other members hand over is proposed once, whatever they
 * repeat, in entries that fit, and nothing malformed gets into the log. */
#include <stdio.h>

#include "base/mem.h"
#include "raft/node_internal.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"

#define OTHER 1001 /* ids of members that forward */
#define BOOT  5000

struct fixture {
    struct fake_env fake;
    struct node *n;
    struct errmsg err;
    struct buf commands;
    uint32_t count;
    uint64_t refusals; /* that the sender has heard of */
    size_t made;       /* names used so far */
    uint64_t nodes_before;
};

static void run(struct fixture *x)
{
    for (int i = 0; i < 8; i++) {
        node_turn(x->n);
        fake_env_run(&x->fake);
    }
}

static void init(struct fixture *x)
{
    *x = (struct fixture){0};
    fake_env_init(&x->fake, 1);
    struct node_options options = {.env = &x->fake.env, .data_dir = "data", .name = "n1"};
    ck_assert_msg(node_open(&options, &x->n, &x->err) == RC_OK, "%s", x->err.text);
    run(x);
    ck_assert(node_may_propose(x->n));
    x->nodes_before = store_node_count(x->n->store);
}

static void finish(struct fixture *x)
{
    node_close(x->n);
    buf_close(&x->commands);
    fake_env_close(&x->fake);
}

/* Adds a command to the message being made; each would create a node of its own. */
static void add(struct fixture *x, uint64_t boot, uint64_t counter, struct slice data)
{
    char path[32];
    (void)snprintf(path, sizeof path, "/n%zu", x->made++);
    struct op op = {
        .type = OP_CREATE, .space = SPACE_NODES, .path = slice_str(path), .data = data};
    struct command c = {.type = COMMAND_TXN,
                        .origin_boot = boot,
                        .origin_counter = counter,
                        .txn = {.then_ops = &op, .then_count = 1}};
    command_encode(&x->commands, &c);
    x->count++;
}

static void forward(struct fixture *x, uint64_t from, uint64_t term)
{
    struct message_forward m = {
        .term = term,
        .refusals = x->refusals,
        .command_count = x->count,
        .commands = buf_slice(&x->commands),
    };
    node_on_forward(x->n, from, &m);
    buf_clear(&x->commands);
    x->count = 0;
}

static void forward_one(struct fixture *x, uint64_t from, uint64_t boot, uint64_t counter)
{
    add(x, boot, counter, slice_str("d"));
    forward(x, from, engine_term(x->n->engine));
}

/* Nodes created since the start. */
static uint64_t created(struct fixture *x)
{
    run(x);
    return store_node_count(x->n->store) - x->nodes_before;
}

START_TEST(a_counter_is_proposed_once_however_often_it_comes)
{
    struct fixture x;
    init(&x);
    forward_one(&x, OTHER, BOOT, 1);
    forward_one(&x, OTHER, BOOT, 1);
    ck_assert_uint_eq(created(&x), 1);
    forward_one(&x, OTHER, BOOT, 1);
    forward_one(&x, OTHER, BOOT, 2);
    forward_one(&x, OTHER + 1, BOOT + 1, 1); /* another member's */
    ck_assert_uint_eq(created(&x), 3);
    finish(&x);
}
END_TEST

/* A term may last longer than any number of restarts of the others. */
START_TEST(a_member_s_new_process_counts_from_the_start_again_and_again)
{
    struct fixture x;
    init(&x);
    for (uint64_t boot = 1; boot <= 100; boot++) {
        forward_one(&x, OTHER, BOOT + boot, 1);
        forward_one(&x, OTHER + 1, 2 * BOOT + boot, 1);
        ck_assert_uint_eq(created(&x), 2 * boot);
    }
    finish(&x);
}
END_TEST

/* A term may also last longer than any number of members, one in the place of another. */
START_TEST(members_that_have_left_make_room_for_those_that_came)
{
    struct fixture x;
    init(&x);
    for (uint64_t i = 0; i < 3 * NODE_MEMBERS_MAX; i++) {
        forward_one(&x, OTHER + i, BOOT + i, 1);
        forward_one(&x, OTHER + i, BOOT + i, 1);
        ck_assert_uint_eq(created(&x), i + 1);
    }
    finish(&x);
}
END_TEST

START_TEST(what_gathers_is_cut_into_entries_that_fit)
{
    struct fixture x;
    struct node_status before;
    struct node_status after;
    uint8_t *large = mem_zalloc(STORE_VALUE_BYTES_MAX);
    init(&x);
    node_status(x.n, &before);
    for (uint64_t counter = 1; counter <= 16; counter++) {
        add(&x, BOOT, counter, slice_make(large, STORE_VALUE_BYTES_MAX - 100));
        forward(&x, OTHER, engine_term(x.n->engine));
    }
    for (int i = 0; i < 10; i++) {
        run(&x);
    }
    ck_assert_uint_eq(created(&x), 16);
    node_status(x.n, &after);
    ck_assert_uint_ge(after.last_index, before.last_index + 8);
    ck_assert(!node_has_forwarded(x.n));
    mem_free(large);
    finish(&x);
}
END_TEST

START_TEST(more_than_the_bound_is_refused_and_taken_later)
{
    struct fixture x;
    uint8_t *large = mem_zalloc(STORE_VALUE_BYTES_MAX);
    init(&x);
    for (uint64_t counter = 1; counter <= 40; counter++) {
        add(&x, BOOT, counter, slice_make(large, STORE_VALUE_BYTES_MAX - 100));
        forward(&x, OTHER, engine_term(x.n->engine));
    }
    ck_assert_uint_le(x.n->forwarded.size, (size_t)20 << 20);
    for (int i = 0; i < 20; i++) {
        run(&x);
    }
    uint64_t accepted = created(&x);
    ck_assert_uint_ge(accepted, 16);
    ck_assert_uint_lt(accepted, 40);
    x.refusals = 1;
    forward_one(&x, OTHER, BOOT, accepted + 1);
    ck_assert_uint_eq(created(&x), accepted + 1);
    mem_free(large);
    finish(&x);
}
END_TEST

/* The later writes of a client were sent before it could know that an earlier one was refused. */
START_TEST(what_is_behind_a_refused_write_is_refused_until_its_sender_knows)
{
    struct fixture x;
    init(&x);
    x.n->options.forwarded_bytes_max = 1;
    add(&x, BOOT, 1, slice_str("d"));
    add(&x, BOOT, 2, slice_str("d")); /* there is no room for it, */
    add(&x, BOOT, 3, slice_str("d"));
    forward(&x, OTHER, engine_term(x.n->engine));
    ck_assert_uint_eq(created(&x), 1);
    forward_one(&x, OTHER, BOOT, 4); /* and now there is for those behind it */
    ck_assert_uint_eq(created(&x), 1);
    forward_one(&x, OTHER + 1, BOOT + 1, 1); /* another member's */
    ck_assert_uint_eq(created(&x), 2);
    x.refusals = 1;
    forward_one(&x, OTHER, BOOT, 5);
    ck_assert_uint_eq(created(&x), 3);
    forward_one(&x, OTHER, BOOT, 5);
    ck_assert_uint_eq(created(&x), 3);
    x.refusals = 0; /* a new process has heard of nothing, and nothing of it was refused */
    forward_one(&x, OTHER, BOOT + 2, 1);
    ck_assert_uint_eq(created(&x), 4);
    finish(&x);
}
END_TEST

/* What it does not take any more is for the next leader, all of it: nothing is refused that the
 * sender would have to tell its clients. */
START_TEST(a_leader_that_stops_refuses_nothing)
{
    struct fixture x;
    init(&x);
    x.n->phase = NODE_STOPPING;
    forward_one(&x, OTHER, BOOT, 1);
    ck_assert_uint_eq(x.n->mark_count, 1);
    ck_assert_uint_eq(x.n->marks[0].refusals, 0);
    forward_one(&x, OTHER, BOOT, 2);
    ck_assert_uint_eq(x.n->marks[0].refusals, 0);
    ck_assert_uint_eq(x.n->forwarded.size, 0);
    x.n->phase = NODE_RUNNING;
    finish(&x);
}
END_TEST

/* The sender may have applied the first entry of the term before its leader has. */
START_TEST(a_leader_that_still_applies_takes_what_comes_and_proposes_it_then)
{
    struct fixture x;
    init(&x);
    uint64_t term = x.n->leading_term;
    x.n->leading_term = 0;
    forward_one(&x, OTHER, BOOT, 1);
    ck_assert_uint_eq(created(&x), 0);
    x.n->leading_term = term;
    forward_one(&x, OTHER, BOOT, 2);
    ck_assert_uint_eq(created(&x), 2);
    forward_one(&x, OTHER, BOOT, 1);
    ck_assert_uint_eq(created(&x), 2);
    finish(&x);
}
END_TEST

START_TEST(other_terms_are_dropped)
{
    struct fixture x;
    init(&x);
    uint64_t term = engine_term(x.n->engine);
    add(&x, BOOT, 1, slice_str("d"));
    forward(&x, OTHER, term + 1);
    add(&x, BOOT, 2, slice_str("d"));
    forward(&x, OTHER, term - 1);
    ck_assert_uint_eq(created(&x), 0);
    finish(&x);
}
END_TEST

START_TEST(nothing_malformed_gets_into_the_log)
{
    struct fixture x;
    init(&x);
    uint64_t term = engine_term(x.n->engine);
    uint64_t last = engine_last_index(x.n->engine);
    add(&x, BOOT, 1, slice_str("d"));
    for (size_t size = 0; size < x.commands.size; size++) {
        struct buf part = {0};
        buf_append(&part, x.commands.data, size);
        struct message_forward m = {
            .term = term, .command_count = 1, .commands = buf_slice(&part)};
        node_on_forward(x.n, OTHER, &m);
        buf_close(&part);
    }
    struct message_forward more = {
        .term = term, .command_count = UINT32_MAX, .commands = {x.commands.data, 0}};
    node_on_forward(x.n, OTHER, &more);
    buf_clear(&x.commands);
    x.count = 0;
    forward_one(&x, OTHER, x.n->boot_id, 1); /* our own clients wait for these */
    forward_one(&x, OTHER, 0, 1);
    struct op op = {.type = OP_CREATE, .space = SPACE_NODES, .path = slice_str("no/slash")};
    struct command c = {.type = COMMAND_TXN,
                        .origin_boot = BOOT,
                        .origin_counter = 1,
                        .txn = {.then_ops = &op, .then_count = 1}};
    command_encode(&x.commands, &c);
    x.count = 1;
    forward(&x, OTHER, term);
    ck_assert_uint_eq(created(&x), 0);
    ck_assert_uint_eq(engine_last_index(x.n->engine), last);
    finish(&x);
}
END_TEST

static void on_done(struct node_write *w, enum status rc, const struct reply *reply)
{
    (void)reply;
    *(enum status *)w->owner = rc;
}

START_TEST(only_who_took_a_write_may_refuse_it)
{
    struct fixture x;
    init(&x);
    enum status rc = RC_CORRUPT;
    struct op op = {.type = OP_GET, .space = SPACE_NODES, .path = slice_str("/")};
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    struct node_write w = {.done = on_done, .owner = &rc};
    ck_assert_int_eq(node_write(x.n, &w, &c, UINT64_MAX), RC_OK);
    node_turn(x.n); /* it is in our own log */
    struct message_forward_result m = {
        .boot_id = x.n->boot_id, .first_counter = w.counter, .count = 1, .status = RC_NO_SPACE};
    node_on_forward_result(x.n, OTHER, &m);
    node_on_forward_result(x.n, x.n->identity.node_id, &m);
    ck_assert_int_eq(rc, RC_CORRUPT);
    node_on_sent_to_lost(x.n, OTHER); /* nor is it sent again because another one is gone */
    run(&x);
    ck_assert_int_eq(rc, RC_OK);
    finish(&x);
}
END_TEST

/* The leader refuses what comes behind a refused write, until it is told that this is known. */
START_TEST(what_was_sent_behind_a_refused_write_is_refused_with_it)
{
    struct fixture x;
    init(&x);
    enum status rc[4] = {RC_CORRUPT, RC_CORRUPT, RC_CORRUPT, RC_CORRUPT};
    struct node_write w[4];
    struct op op = {.type = OP_GET, .space = SPACE_NODES, .path = slice_str("/")};
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    struct buf sent = {0};
    for (int i = 0; i < 4; i++) {
        w[i] = (struct node_write){.done = on_done, .owner = &rc[i]};
        ck_assert_int_eq(node_write(x.n, &w[i], &c, UINT64_MAX), RC_OK);
        if (i == 2) { /* the last one is not sent */
            ck_assert_uint_eq(pending_take(&x.n->pending, 1, 1 << 20, &sent), 3);
        }
    }
    x.n->sent_to = OTHER;
    struct message_forward_result m = {.boot_id = x.n->boot_id,
                                       .first_counter = w[1].counter,
                                       .refusals = 1,
                                       .count = 1,
                                       .status = RC_OVERLOADED};
    node_on_forward_result(x.n, OTHER, &m);
    ck_assert_int_eq(rc[0], RC_CORRUPT);
    ck_assert_int_eq(rc[1], RC_OVERLOADED);
    ck_assert_int_eq(rc[2], RC_OVERLOADED);
    ck_assert_int_eq(rc[3], RC_CORRUPT);
    ck_assert_uint_eq(x.n->refusals, 1);
    m.first_counter = w[2].counter; /* its own refusal comes, too */
    node_on_forward_result(x.n, OTHER, &m);
    ck_assert_int_eq(rc[0], RC_CORRUPT);
    ck_assert_int_eq(rc[3], RC_CORRUPT);
    buf_close(&sent);
    finish(&x);
}
END_TEST

START_TEST(both_sides_get_their_share_of_entries)
{
    struct fixture x;
    enum status rc = RC_CORRUPT;
    uint8_t *large = mem_zalloc(STORE_VALUE_BYTES_MAX);
    init(&x);
    for (uint64_t counter = 1; counter <= 12; counter++) {
        add(&x, BOOT, counter, slice_make(large, STORE_VALUE_BYTES_MAX / 2));
        forward(&x, OTHER, engine_term(x.n->engine));
    }
    struct op op = {.type = OP_GET, .space = SPACE_NODES, .path = slice_str("/")};
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    struct node_write w = {.done = on_done, .owner = &rc};
    ck_assert_int_eq(node_write(x.n, &w, &c, UINT64_MAX), RC_OK);
    node_turn(x.n);
    ck_assert(node_has_forwarded(x.n));
    ck_assert(list_empty(&x.n->pending.queued)); /* ours did not wait behind all of them */
    run(&x);
    ck_assert_int_eq(rc, RC_OK);
    ck_assert_uint_eq(created(&x), 12);
    mem_free(large);
    finish(&x);
}
END_TEST

/* A command larger than an entry shall be is proposed nevertheless, and has it for itself. */
START_TEST(commands_that_fill_an_entry_leave_the_next_to_the_other_side)
{
    struct fixture x;
    enum status rc[2] = {RC_CORRUPT, RC_CORRUPT};
    struct node_write w[2];
    init(&x);
    x.n->options.batch_bytes = 64;
    for (uint64_t counter = 1; counter <= 12; counter++) {
        uint8_t large[100] = {0};
        add(&x, BOOT, counter, slice_make(large, sizeof large));
    }
    forward(&x, OTHER, engine_term(x.n->engine));
    uint8_t large[100] = {0};
    struct op op = {.type = OP_SET,
                    .space = SPACE_NODES,
                    .path = slice_str("/none"),
                    .data = slice_make(large, sizeof large)};
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    for (int i = 0; i < 2; i++) {
        w[i] = (struct node_write){.done = on_done, .owner = &rc[i]};
        ck_assert_int_eq(node_write(x.n, &w[i], &c, UINT64_MAX), RC_OK);
    }
    size_t bytes = x.n->forwarded.size;
    node_turn(x.n); /* two entries */
    ck_assert_int_eq(w[0].state, PENDING_SENT);
    ck_assert_int_eq(w[1].state, PENDING_QUEUED);
    ck_assert_uint_eq(x.n->forwarded_taken, bytes / 12);
    run(&x);
    ck_assert_int_eq(rc[0], RC_OK);
    ck_assert_int_eq(rc[1], RC_OK);
    ck_assert_uint_eq(created(&x), 12);
    finish(&x);
}
END_TEST

static Suite *forward_suite(void)
{
    Suite *suite = suite_create("node_forward");
    TCase *tcase = tcase_create("node_forward");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_counter_is_proposed_once_however_often_it_comes);
    tcase_add_test(tcase, a_member_s_new_process_counts_from_the_start_again_and_again);
    tcase_add_test(tcase, members_that_have_left_make_room_for_those_that_came);
    tcase_add_test(tcase, what_gathers_is_cut_into_entries_that_fit);
    tcase_add_test(tcase, more_than_the_bound_is_refused_and_taken_later);
    tcase_add_test(tcase, what_is_behind_a_refused_write_is_refused_until_its_sender_knows);
    tcase_add_test(tcase, a_leader_that_stops_refuses_nothing);
    tcase_add_test(tcase, a_leader_that_still_applies_takes_what_comes_and_proposes_it_then);
    tcase_add_test(tcase, other_terms_are_dropped);
    tcase_add_test(tcase, nothing_malformed_gets_into_the_log);
    tcase_add_test(tcase, only_who_took_a_write_may_refuse_it);
    tcase_add_test(tcase, what_was_sent_behind_a_refused_write_is_refused_with_it);
    tcase_add_test(tcase, both_sides_get_their_share_of_entries);
    tcase_add_test(tcase, commands_that_fill_an_entry_leave_the_next_to_the_other_side);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){forward_suite, NULL});
}
