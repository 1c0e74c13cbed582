/* Members come and go: whole nodes in one process, over a network and disks in memory. */
#include <stdio.h>

#include "base/mem.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_cluster.h"

#define TIMEOUT_MS 200
#define LIMIT_MS   20000

struct asked {
    struct node_change change;
    bool is_done;
    enum status rc;
    uint8_t verdict;
    bool already;
    char text[NODE_TEXT_BYTES_MAX];
};

struct wrote {
    struct node_write write;
    bool is_done;
    enum status rc;
};

static void on_change(struct node_change *change, enum status rc, uint8_t verdict, bool already,
                      const char *text)
{
    struct asked *a = (struct asked *)(void *)change;
    a->is_done = true;
    a->rc = rc;
    a->verdict = verdict;
    a->already = already;
    (void)snprintf(a->text, sizeof a->text, "%s", text);
}

static void begin_ask(struct fake_cluster *c, struct asked *a, size_t through, uint8_t kind,
                      const char *name, uint64_t limit_ms)
{
    *a = (struct asked){.change = {.done = on_change, .kind = kind}};
    (void)snprintf(a->change.name, sizeof a->change.name, "%s", name);
    ck_assert_int_eq(node_change(c->members[through].node, &a->change,
                                 fake_cluster_now(c) + limit_ms),
                     RC_OK);
}

/* Asks member `through`, and waits for the answer. */
static struct asked ask(struct fake_cluster *c, size_t through, uint8_t kind, const char *name)
{
    struct asked a;
    begin_ask(c, &a, through, kind, name, 5000);
    while (!a.is_done) {
        fake_cluster_run(c, 1);
    }
    return a;
}

static void must(const struct asked *a, uint8_t verdict, const char *text)
{
    ck_assert_msg(a->rc == RC_OK && a->verdict == verdict && strstr(a->text, text) != NULL,
                  "rc %d verdict %u: %s", a->rc, a->verdict, a->text);
}

static void on_write(struct node_write *w, enum status rc, const struct reply *reply)
{
    struct wrote *x = (struct wrote *)(void *)w;
    (void)reply;
    x->is_done = true;
    x->rc = rc;
}

static void write_through(struct fake_cluster *c, size_t i, const char *path)
{
    struct wrote x = {.write = {.done = on_write}};
    struct op op = {.type = OP_CREATE, .space = SPACE_NODES, .path = slice_str(path)};
    struct command command = {.type = COMMAND_TXN,
                              .txn = {.then_ops = &op, .then_count = 1}};
    ck_assert_int_eq(node_write(c->members[i].node, &x.write, &command,
                                fake_cluster_now(c) + 5000),
                     RC_OK);
    while (!x.is_done) {
        fake_cluster_run(c, 1);
    }
    ck_assert_int_eq(x.rc, RC_OK);
}

static const struct node_member_status *find(const struct node_status *s, const char *name)
{
    for (size_t i = 0; i < s->member_count; i++) {
        if (strcmp(s->members[i].name, name) == 0) {
            return &s->members[i];
        }
    }
    return NULL;
}

static size_t voters(struct fake_cluster *c, size_t i)
{
    struct node_status s;
    size_t count = 0;
    node_status(c->members[i].node, &s);
    for (size_t k = 0; k < s.member_count; k++) {
        count += s.members[k].role == MEMBER_VOTER;
    }
    return count;
}

static const char *state_of(struct fake_cluster *c, size_t i)
{
    static struct node_status s;
    node_status(c->members[i].node, &s);
    return s.state;
}

static void wait_for_state(struct fake_cluster *c, size_t i, const char *state)
{
    for (uint64_t ms = 0; strcmp(state_of(c, i), state) != 0; ms++) {
        struct node_status s;
        node_status(c->members[i].node, &s);
        ck_assert_msg(ms < LIMIT_MS, "it is %s, not %s: %s", s.state, state, s.state_reason);
        fake_cluster_run(c, 1);
    }
}

static void wait_for_voters(struct fake_cluster *c, size_t i, size_t count, size_t members)
{
    struct node_status s;
    for (uint64_t ms = 0; ms < LIMIT_MS; ms++) {
        node_status(c->members[i].node, &s);
        if (voters(c, i) == count && s.member_count == members &&
            !engine_is_changing(c->members[i].node->engine)) {
            return;
        }
        fake_cluster_run(c, 1);
    }
    ck_abort_msg("%zu voters of %zu members, not %zu of %zu", voters(c, i), s.member_count,
                 count, members);
}

START_TEST(a_node_joins_catches_up_and_is_promoted_by_itself)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 3, TIMEOUT_MS, 1);
    size_t leader = fake_cluster_leader(&c);
    write_through(&c, leader, "/a");
    size_t n4 = fake_cluster_join(&c, false);
    wait_for_state(&c, n4, "follower");
    wait_for_voters(&c, leader, 4, 4);
    write_through(&c, n4, "/b");
    ck_assert_uint_eq(store_revision(node_store(c.members[n4].node)),
                      store_revision(node_store(c.members[leader].node)));
    /* Its place survives its process. */
    fake_cluster_kill(&c, n4);
    fake_cluster_start(&c, n4);
    wait_for_state(&c, n4, "follower");
    wait_for_voters(&c, n4, 4, 4);
    fake_cluster_close(&c);
}
END_TEST

START_TEST(a_disk_that_fails_at_any_call_promises_nothing_for_one_that_joins)
{
    bool has_struck = true;
    for (uint64_t n = 1; has_struck; n++) {
        struct fake_cluster c;
        fake_cluster_open(&c, 3, TIMEOUT_MS, n);
        size_t leader = fake_cluster_leader(&c);
        write_through(&c, leader, "/a");
        size_t n4 = fake_cluster_join(&c, false);
        fake_env_arm(&c.members[n4].disk, n, FAKE_FAULT_ONCE, RC_IO);
        for (int ms = 0; ms < 1000 && c.members[n4].fatals == 0; ms++) {
            fake_cluster_run(&c, 1);
        }
        has_struck = fake_env_has_struck(&c.members[n4].disk);
        fake_env_disarm(&c.members[n4].disk);
        fake_cluster_run(&c, TIMEOUT_MS); /* who relies on what it said, promotes it */
        fake_cluster_kill(&c, n4);
        fake_cluster_start(&c, n4);
        wait_for_state(&c, n4, "follower");
        wait_for_voters(&c, leader, 4, 4);
        fake_cluster_close(&c);
        ck_assert_uint_lt(n, 200);
    }
}
END_TEST

START_TEST(a_learner_stays_a_standby_serves_and_is_promoted_when_asked)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 3, TIMEOUT_MS, 2);
    size_t leader = fake_cluster_leader(&c);
    size_t n4 = fake_cluster_join(&c, true);
    wait_for_state(&c, n4, "standby");
    fake_cluster_run(&c, 3000);
    ck_assert_uint_eq(voters(&c, leader), 3);
    ck_assert(node_is_serving(c.members[n4].node));
    write_through(&c, n4, "/through-a-standby");
    struct asked a = ask(&c, n4, MEMBER_PROMOTE, "n4");
    must(&a, MEMBER_DONE, "n4 is a voter");
    ck_assert(!a.already);
    wait_for_state(&c, n4, "follower");
    a = ask(&c, n4, MEMBER_PROMOTE, "n4");
    must(&a, MEMBER_DONE, "voter");
    ck_assert(a.already);
    fake_cluster_close(&c);
}
END_TEST

START_TEST(a_standby_that_does_not_follow_is_not_promoted)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 3, TIMEOUT_MS, 14);
    size_t leader = fake_cluster_leader(&c);
    struct node_status s;
    size_t n4 = fake_cluster_join(&c, false);
    do {
        fake_cluster_run(&c, 1);
        node_status(c.members[leader].node, &s);
    } while (s.member_count < 4);
    fake_cluster_pause(&c, n4);
    fake_cluster_run(&c, 3000);
    ck_assert_uint_eq(voters(&c, leader), 3);
    fake_cluster_resume(&c, n4);
    wait_for_voters(&c, leader, 4, 4);
    fake_cluster_close(&c);
}
END_TEST

/* It is lost and comes back more than once: no life has the id of another. */
START_TEST(an_id_is_never_used_twice)
{
    struct fake_cluster c;
    uint64_t ids[3];
    fake_cluster_open(&c, 3, TIMEOUT_MS, 15);
    (void)fake_cluster_leader(&c);
    size_t n4 = fake_cluster_join(&c, false);
    for (size_t i = 0; i < 3; i++) {
        wait_for_state(&c, n4, "follower");
        ids[i] = node_id(c.members[n4].node);
        for (size_t k = 0; k < i; k++) {
            ck_assert_uint_ne(ids[i], ids[k]);
        }
        struct asked a = ask(&c, 0, MEMBER_REMOVE, "n4");
        must(&a, MEMBER_DONE, "is removed");
        wait_for_state(&c, n4, "removed");
        fake_cluster_kill(&c, n4);
        fake_cluster_lose_disk(&c, n4);
        fake_cluster_start(&c, n4);
    }
    fake_cluster_close(&c);
}
END_TEST

START_TEST(a_removed_member_stops_and_says_so_also_after_a_restart)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 3, TIMEOUT_MS, 3);
    size_t leader = fake_cluster_leader(&c);
    size_t gone = (leader + 1) % 3;
    size_t other = (leader + 2) % 3;
    struct asked a = ask(&c, other, MEMBER_REMOVE, c.names[gone].name);
    must(&a, MEMBER_DONE, "is removed");
    ck_assert(!a.already);
    wait_for_state(&c, gone, "removed");
    struct node_status s;
    node_status(c.members[gone].node, &s);
    ck_assert_ptr_nonnull(strstr(s.state_reason, "was removed from the cluster"));
    ck_assert(!s.serving);
    a = ask(&c, leader, MEMBER_REMOVE, c.names[gone].name);
    must(&a, MEMBER_DONE, "is removed");
    ck_assert(a.already);
    fake_cluster_kill(&c, gone);
    fake_cluster_start(&c, gone);
    fake_cluster_run(&c, 2000);
    ck_assert_str_eq(state_of(&c, gone), "removed");
    a = ask(&c, leader, MEMBER_REMOVE, c.names[other].name);
    must(&a, MEMBER_REFUSED, "single voter");
    fake_cluster_close(&c);
}
END_TEST

/* It was away when it was removed: whoever it meets tells it. */
START_TEST(a_member_that_was_away_is_told_that_it_was_removed)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct fake_cluster c;
        fake_cluster_open(&c, 3, TIMEOUT_MS, 10 + seed);
        size_t leader = fake_cluster_leader(&c);
        size_t gone = (leader + 1 + seed % 2) % 3;
        fake_cluster_kill(&c, gone);
        struct asked a = ask(&c, leader, MEMBER_REMOVE, c.names[gone].name);
        must(&a, MEMBER_DONE, "is removed");
        fake_cluster_run(&c, 5000);
        fake_cluster_start(&c, gone);
        wait_for_state(&c, gone, "removed");
        ck_assert_uint_eq(fake_cluster_leader(&c), leader);
        fake_cluster_close(&c);
    }
}
END_TEST

START_TEST(the_leader_hands_over_before_it_is_removed)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 3, TIMEOUT_MS, 4);
    size_t leader = fake_cluster_leader(&c);
    size_t other = (leader + 1) % 3;
    struct asked a = ask(&c, other, MEMBER_REMOVE, c.names[leader].name);
    must(&a, MEMBER_DONE, "is removed");
    wait_for_state(&c, leader, "removed");
    wait_for_voters(&c, other, 2, 2);
    write_through(&c, other, "/after");
    fake_cluster_close(&c);
}
END_TEST

START_TEST(what_would_endanger_the_quorum_is_refused_and_names_who_is_down)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 5, TIMEOUT_MS, 5);
    size_t leader = fake_cluster_leader(&c);
    size_t down[] = {(leader + 1) % 5, (leader + 2) % 5};
    fake_cluster_kill(&c, down[0]);
    fake_cluster_kill(&c, down[1]);
    fake_cluster_run(&c, 2000);
    /* Three of five are up: without one of them it were two of four. */
    struct asked a = ask(&c, leader, MEMBER_REMOVE, c.names[(leader + 3) % 5].name);
    must(&a, MEMBER_REFUSED, c.names[down[0]].name);
    must(&a, MEMBER_REFUSED, c.names[down[1]].name);
    must(&a, MEMBER_REFUSED, "are down");
    ck_assert_uint_eq(voters(&c, leader), 5);
    /* Who is down may go. */
    a = ask(&c, leader, MEMBER_REMOVE, c.names[down[0]].name);
    must(&a, MEMBER_DONE, "is removed");
    a = ask(&c, leader, MEMBER_REMOVE, c.names[down[1]].name);
    must(&a, MEMBER_DONE, "is removed");
    wait_for_voters(&c, leader, 3, 3);
    fake_cluster_close(&c);
}
END_TEST

START_TEST(names_that_nobody_has_and_joins_that_cannot_be_are_refused)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 3, TIMEOUT_MS, 6);
    size_t leader = fake_cluster_leader(&c);
    struct asked a = ask(&c, leader, MEMBER_REMOVE, "nobody");
    must(&a, MEMBER_UNKNOWN, "no member is called nobody");
    a = ask(&c, leader, MEMBER_PROMOTE, "nobody");
    must(&a, MEMBER_UNKNOWN, "nobody");
    a = ask(&c, leader, MEMBER_ADD, "not a name");
    must(&a, MEMBER_REFUSED, "name");
    a = ask(&c, leader, MEMBER_ADD, "n2");
    must(&a, MEMBER_DONE, "n2 is a voter");
    /* A lost disk does not simply come back under its name. */
    size_t lost = (leader + 1) % 3;
    fake_cluster_kill(&c, lost);
    fake_cluster_lose_disk(&c, lost);
    fake_cluster_start(&c, lost);
    fake_cluster_run(&c, 3000);
    struct node_status s;
    node_status(c.members[lost].node, &s);
    ck_assert_str_eq(s.state, "joining");
    ck_assert_ptr_nonnull(strstr(s.state_reason, "coordctl member replace"));
    fake_cluster_close(&c);
}
END_TEST

START_TEST(who_asks_under_no_id_or_that_of_the_asked_is_no_member)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 3, TIMEOUT_MS, 6);
    size_t leader = fake_cluster_leader(&c);
    struct message answer = {0};
    struct message_member_ask ask_of_nobody = {.kind = MEMBER_JOIN,
                                               .name = slice_str("n9"),
                                               .address = slice_str("n9:7000")};
    node_guest(c.members[leader].node, &ask_of_nobody, &answer);
    ck_assert_uint_eq(answer.member_tell.verdict, MEMBER_REFUSED);
    ask_of_nobody.id = node_id(c.members[leader].node);
    node_guest(c.members[leader].node, &ask_of_nobody, &answer);
    ck_assert_uint_eq(answer.member_tell.verdict, MEMBER_REFUSED);
    fake_cluster_run(&c, 100);
    wait_for_voters(&c, leader, 3, 3);
    fake_cluster_close(&c);
}
END_TEST

START_TEST(a_member_whose_disk_is_lost_is_replaced_under_its_name)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 3, TIMEOUT_MS, 7);
    size_t leader = fake_cluster_leader(&c);
    size_t lost = (leader + 1) % 3;
    size_t other = (leader + 2) % 3;
    uint64_t id = node_id(c.members[lost].node);
    fake_cluster_kill(&c, lost);
    write_through(&c, leader, "/while-it-is-down");
    fake_cluster_run(&c, 2000);
    struct asked a = ask(&c, other, MEMBER_REPLACE, c.names[lost].name);
    must(&a, MEMBER_DONE, "--join");
    a = ask(&c, other, MEMBER_REPLACE, c.names[lost].name);
    must(&a, MEMBER_DONE, "--join");
    ck_assert(a.already);
    fake_cluster_lose_disk(&c, lost);
    fake_cluster_start(&c, lost);
    wait_for_state(&c, lost, "follower");
    wait_for_voters(&c, leader, 3, 3);
    ck_assert_uint_ne(node_id(c.members[lost].node), id);
    ck_assert(node_was_removed(c.members[leader].node, id));
    struct node_status s;
    node_status(c.members[leader].node, &s);
    ck_assert_uint_eq(find(&s, c.names[lost].name)->id, node_id(c.members[lost].node));
    write_through(&c, lost, "/and-it-is-back");
    fake_cluster_run(&c, 500); /* the invitation is used up */
    ck_assert(!node_invitation(c.members[leader].node, c.names[lost].name).is_there);
    fake_cluster_close(&c);
}
END_TEST

START_TEST(leadership_goes_to_whom_it_is_given)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 3, TIMEOUT_MS, 8);
    for (int i = 0; i < 6; i++) {
        size_t leader = fake_cluster_leader(&c);
        size_t target = (leader + 1 + (size_t)i % 2) % 3;
        struct asked a = ask(&c, (size_t)i % 3, MEMBER_TRANSFER, c.names[target].name);
        must(&a, MEMBER_DONE, "leads");
        ck_assert_uint_eq(fake_cluster_leader(&c), target);
    }
    struct asked a = ask(&c, 0, MEMBER_TRANSFER, "nobody");
    must(&a, MEMBER_UNKNOWN, "nobody");
    fake_cluster_close(&c);
}
END_TEST

/* One write after the other through each member, and the longest that one took. */
struct writers {
    struct fake_cluster *cluster;
    struct wrote wrote[3];
    uint64_t began_ms[3];
    uint64_t longest_ms;
    size_t done;
};

static void writers_turn(struct writers *w)
{
    struct op op = {.type = OP_SET,
                    .space = SPACE_NODES,
                    .path = slice_str("/key"),
                    .version = VERSION_ANY};
    struct command command = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    uint64_t now_ms = fake_cluster_now(w->cluster);
    for (size_t i = 0; i < 3; i++) {
        if (w->began_ms[i] != 0 && !w->wrote[i].is_done) {
            continue;
        }
        if (w->began_ms[i] != 0) {
            uint64_t took_ms = now_ms - w->began_ms[i];
            ck_assert_int_eq(w->wrote[i].rc, RC_OK);
            w->longest_ms = took_ms > w->longest_ms ? took_ms : w->longest_ms;
            w->done++;
        }
        w->wrote[i] = (struct wrote){.write = {.done = on_write}};
        w->began_ms[i] = now_ms;
        ck_assert_int_eq(node_write(w->cluster->members[i].node, &w->wrote[i].write, &command,
                                    now_ms + 5000),
                         RC_OK);
    }
    fake_cluster_run(w->cluster, 1);
}

/* Neither messages nor disks take time here: what a write takes beyond the turns that it needs,
 * which are three in a millisecond, somebody has waited for a timer. */
START_TEST(no_write_waits_for_a_timer_while_leadership_goes_over)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 3, TIMEOUT_MS, 14);
    (void)fake_cluster_leader(&c);
    write_through(&c, 0, "/key");
    struct writers w = {.cluster = &c};
    for (size_t i = 0; i < 12; i++) {
        size_t leader = fake_cluster_leader(&c);
        size_t to = (leader + 1 + i % 2) % 3;
        struct asked a;
        begin_ask(&c, &a, i % 3, MEMBER_TRANSFER, i < 6 ? c.names[to].name : "", 5000);
        while (!a.is_done) {
            writers_turn(&w);
        }
        must(&a, MEMBER_DONE, "leads");
        ck_assert_uint_ne(fake_cluster_leader(&c), leader);
        size_t done = w.done;
        while (w.done < done + 30) {
            writers_turn(&w);
        }
    }
    ck_assert_uint_le(w.longest_ms, 10);
    while (!w.wrote[0].is_done || !w.wrote[1].is_done || !w.wrote[2].is_done) {
        fake_cluster_run(&c, 1);
    }
    fake_cluster_close(&c);
}
END_TEST

START_TEST(leadership_goes_over_once_when_nobody_is_named)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 3, TIMEOUT_MS, 12);
    for (size_t through = 0; through < 3; through++) {
        size_t leader = fake_cluster_leader(&c);
        uint64_t term = engine_term(c.members[leader].node->engine);
        struct asked a = ask(&c, through, MEMBER_TRANSFER, "");
        must(&a, MEMBER_DONE, "leads");
        fake_cluster_run(&c, 1000);
        size_t next = fake_cluster_leader(&c);
        ck_assert_uint_ne(next, leader);
        ck_assert_ptr_nonnull(strstr(a.text, c.names[next].name));
        ck_assert_uint_eq(engine_term(c.members[next].node->engine), term + 1);
    }
    fake_cluster_close(&c);
}
END_TEST

static void count_stop(void *context)
{
    (*(int *)context)++;
}

START_TEST(a_leader_that_stops_hands_over_first_and_its_writes_go_through_the_next_one)
{
    enum { WRITES = 40 };
    static struct wrote writes[WRITES + 1];
    struct fake_cluster c;
    fake_cluster_open(&c, 3, TIMEOUT_MS, 13);
    size_t leader = fake_cluster_leader(&c);
    size_t other = (leader + 1) % 3;
    uint64_t term = engine_term(c.members[leader].node->engine);
    int stops = 0;
    for (size_t i = 0; i <= WRITES; i++) {
        char path[16];
        (void)snprintf(path, sizeof path, "/w%zu", i);
        struct op op = {.type = OP_CREATE, .space = SPACE_NODES, .path = slice_str(path)};
        struct command command = {.type = COMMAND_TXN,
                                  .txn = {.then_ops = &op, .then_count = 1}};
        writes[i] = (struct wrote){.write = {.done = on_write}};
        ck_assert_int_eq(node_write(c.members[i < WRITES ? leader : other].node,
                                    &writes[i].write, &command, fake_cluster_now(&c) + 5000),
                         RC_OK);
    }
    node_stop(c.members[leader].node, count_stop, &stops);
    uint64_t begin = fake_cluster_now(&c);
    while (stops == 0) {
        fake_cluster_run(&c, 1);
    }
    /* Less than any election by timeout takes. */
    ck_assert_uint_lt(fake_cluster_now(&c) - begin, TIMEOUT_MS / 2);
    for (size_t i = 0; i < WRITES; i++) {
        ck_assert(writes[i].is_done);
        ck_assert_int_eq(writes[i].rc, RC_OK);
    }
    fake_cluster_run(&c, 20);
    ck_assert(writes[WRITES].is_done);
    ck_assert_int_eq(writes[WRITES].rc, RC_OK);
    ck_assert_uint_eq(engine_term(c.members[other].node->engine), term + 1);
    ck_assert_uint_ne(engine_leader(c.members[other].node->engine),
                      node_id(c.members[leader].node));
    ck_assert_int_eq(stops, 1);
    fake_cluster_close(&c);
}
END_TEST

/* After a restart there is much to apply, and a follower may be faster than its leader. */
START_TEST(a_leader_that_still_applies_loses_no_write_of_a_follower)
{
    struct fake_cluster c;
    size_t leader = 3;
    uint8_t *large = mem_zalloc(STORE_VALUE_BYTES_MAX);
    fake_cluster_open(&c, 3, TIMEOUT_MS, 13);
    for (int i = 0; i < 20; i++) {
        struct wrote x = {.write = {.done = on_write}};
        char path[16];
        (void)snprintf(path, sizeof path, "/l%d", i);
        struct op op = {.type = OP_CREATE,
                        .space = SPACE_NODES,
                        .path = slice_str(path),
                        .data = slice_make(large, STORE_VALUE_BYTES_MAX)};
        struct command command = {.type = COMMAND_TXN,
                                  .txn = {.then_ops = &op, .then_count = 1}};
        ck_assert_int_eq(node_write(c.members[fake_cluster_leader(&c)].node, &x.write, &command,
                                    fake_cluster_now(&c) + 5000),
                         RC_OK);
        while (!x.is_done) {
            fake_cluster_run(&c, 1);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        fake_cluster_kill(&c, i);
    }
    for (size_t i = 0; i < 3; i++) {
        fake_cluster_start(&c, i);
    }
    for (int ms = 0; leader == 3 && ms < 5000; ms++) {
        fake_cluster_run(&c, 1);
        for (size_t i = 0; i < 3; i++) {
            const struct engine *e = c.members[i].node->engine;
            leader = e != NULL && engine_leads_safely(e) &&
                             engine_applied_index(e) < engine_commit_index(e)
                         ? i
                         : leader;
        }
    }
    ck_assert_uint_lt(leader, 3);
    struct node *other = c.members[(leader + 1) % 3].node;
    fake_cluster_run(&c, 1); /* it says what is committed */
    fake_cluster_pause(&c, leader);
    fake_cluster_run(&c, TIMEOUT_MS / 4);
    ck_assert_uint_eq(other->applied_term, engine_term(other->engine));
    struct op op = {.type = OP_CREATE, .space = SPACE_NODES, .path = slice_str("/w")};
    struct command command = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    struct wrote x = {.write = {.done = on_write}};
    ck_assert_int_eq(node_write(other, &x.write, &command, fake_cluster_now(&c) + 5000), RC_OK);
    fake_cluster_run(&c, 5);
    fake_cluster_resume(&c, leader);
    fake_cluster_run(&c, TIMEOUT_MS);
    ck_assert_uint_eq(engine_leader(other->engine), node_id(c.members[leader].node));
    ck_assert(x.is_done);
    ck_assert_int_eq(x.rc, RC_OK);
    mem_free(large);
    fake_cluster_close(&c);
}
END_TEST

START_TEST(a_leader_that_stops_passes_over_a_member_that_hangs)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 3, TIMEOUT_MS, 14);
    size_t leader = fake_cluster_leader(&c);
    for (size_t hangs = 0; hangs < 3; hangs++) {
        if (hangs != leader) {
            fake_cluster_pause(&c, hangs);
            fake_cluster_run(&c, 2 * TIMEOUT_MS);
            ck_assert_uint_eq(node_successor(c.members[leader].node),
                              node_id(c.members[3 - leader - hangs].node));
            fake_cluster_resume(&c, hangs);
            fake_cluster_run(&c, TIMEOUT_MS);
        }
    }
    fake_cluster_close(&c);
}
END_TEST

START_TEST(a_single_node_names_the_command_that_makes_it_a_cluster)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 1, TIMEOUT_MS, 9);
    (void)fake_cluster_leader(&c);
    struct asked a = ask(&c, 0, MEMBER_ADD, "n2");
    must(&a, MEMBER_REFUSED, "coordctl member grow");
    a = ask(&c, 0, MEMBER_REMOVE, "n1");
    must(&a, MEMBER_REFUSED, "single node");
    fake_cluster_close(&c);
}
END_TEST

START_TEST(all_members_can_be_exchanged_and_one_that_was_away_finds_its_way)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 3, TIMEOUT_MS, 11);
    (void)fake_cluster_leader(&c);
    size_t away = fake_cluster_join(&c, true);
    wait_for_state(&c, away, "standby");
    fake_cluster_kill(&c, away);
    for (int i = 0; i < 3; i++) {
        size_t joined = fake_cluster_join(&c, false);
        wait_for_state(&c, joined, "follower");
    }
    for (size_t i = 0; i < 3; i++) {
        struct asked a = ask(&c, away + 1, MEMBER_REMOVE, c.names[i].name);
        must(&a, MEMBER_DONE, "is removed");
        wait_for_state(&c, i, "removed");
        fake_cluster_kill(&c, i);
    }
    wait_for_voters(&c, away + 1, 3, 4);
    write_through(&c, away + 1, "/new");
    /* All that it knows are gone: those that it does not know connect to it. */
    fake_cluster_start(&c, away);
    wait_for_state(&c, away, "standby");
    wait_for_voters(&c, away, 3, 4);
    write_through(&c, away, "/newer");
    fake_cluster_close(&c);
}
END_TEST

/* Nothing of a change is lost with the leader that began it. */
START_TEST(a_change_goes_on_under_the_next_leader)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 5, TIMEOUT_MS, 12);
    size_t leader = fake_cluster_leader(&c);
    size_t gone = (leader + 1) % 5;
    size_t other = (leader + 2) % 5;
    struct asked a;
    begin_ask(&c, &a, other, MEMBER_REMOVE, c.names[gone].name, 8000);
    while (!node_has_tombstone(c.members[leader].node, node_id(c.members[gone].node))) {
        fake_cluster_settle(&c);
        fake_cluster_run(&c, 1);
    }
    fake_cluster_kill(&c, leader);
    while (!a.is_done) {
        fake_cluster_run(&c, 1);
    }
    must(&a, MEMBER_DONE, "is removed");
    wait_for_state(&c, gone, "removed");
    fake_cluster_close(&c);
}
END_TEST

START_TEST(without_a_leader_a_change_ends_at_its_deadline)
{
    struct fake_cluster c;
    fake_cluster_open(&c, 3, TIMEOUT_MS, 13);
    size_t leader = fake_cluster_leader(&c);
    fake_cluster_kill(&c, (leader + 1) % 3);
    fake_cluster_kill(&c, (leader + 2) % 3);
    fake_cluster_run(&c, 2000);
    struct asked a;
    begin_ask(&c, &a, leader, MEMBER_REMOVE, "n1", 500);
    fake_cluster_run(&c, 600);
    ck_assert(a.is_done);
    ck_assert_int_eq(a.rc, RC_NO_LEADER);
    fake_cluster_close(&c);
}
END_TEST

static Suite *member_suite(void)
{
    Suite *suite = suite_create("node_member");
    TCase *tcase = tcase_create("node_member");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_node_joins_catches_up_and_is_promoted_by_itself);
    tcase_add_test(tcase, a_disk_that_fails_at_any_call_promises_nothing_for_one_that_joins);
    tcase_add_test(tcase, a_learner_stays_a_standby_serves_and_is_promoted_when_asked);
    tcase_add_test(tcase, a_standby_that_does_not_follow_is_not_promoted);
    tcase_add_test(tcase, an_id_is_never_used_twice);
    tcase_add_test(tcase, a_removed_member_stops_and_says_so_also_after_a_restart);
    tcase_add_test(tcase, a_member_that_was_away_is_told_that_it_was_removed);
    tcase_add_test(tcase, the_leader_hands_over_before_it_is_removed);
    tcase_add_test(tcase, what_would_endanger_the_quorum_is_refused_and_names_who_is_down);
    tcase_add_test(tcase, names_that_nobody_has_and_joins_that_cannot_be_are_refused);
    tcase_add_test(tcase, who_asks_under_no_id_or_that_of_the_asked_is_no_member);
    tcase_add_test(tcase, a_member_whose_disk_is_lost_is_replaced_under_its_name);
    tcase_add_test(tcase, leadership_goes_to_whom_it_is_given);
    tcase_add_test(tcase, no_write_waits_for_a_timer_while_leadership_goes_over);
    tcase_add_test(tcase, leadership_goes_over_once_when_nobody_is_named);
    tcase_add_test(tcase,
                   a_leader_that_stops_hands_over_first_and_its_writes_go_through_the_next_one);
    tcase_add_test(tcase, a_leader_that_stops_passes_over_a_member_that_hangs);
    tcase_add_test(tcase, a_leader_that_still_applies_loses_no_write_of_a_follower);
    tcase_add_test(tcase, a_single_node_names_the_command_that_makes_it_a_cluster);
    tcase_add_test(tcase, all_members_can_be_exchanged_and_one_that_was_away_finds_its_way);
    tcase_add_test(tcase, a_change_goes_on_under_the_next_leader);
    tcase_add_test(tcase, without_a_leader_a_change_ends_at_its_deadline);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){member_suite, NULL});
}
