/* A single node becomes a cluster of three: whole nodes in one process, over a network and disks in
 * memory, and each of them loses its power at each of its disk calls, or is cut off at each
 * millisecond. Whatever happens, what was acknowledged is there in the end, and the others never
 * have an engine while the single node decides alone. */
#include <stdio.h>

#include "tests/support/check_main.h"
#include "tests/support/fake_cluster.h"

#define TIMEOUT_MS 200
#define LIMIT_MS   60000
#define WRITES     5

struct asked {
    struct node_change change;
    bool is_done;
    enum status rc;
    uint8_t verdict;
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
    (void)already;
    a->is_done = true;
    a->rc = rc;
    a->verdict = verdict;
    (void)snprintf(a->text, sizeof a->text, "%s", text);
}

static void on_write(struct node_write *w, enum status rc, const struct reply *reply)
{
    struct wrote *x = (struct wrote *)(void *)w;
    (void)reply;
    x->is_done = true;
    x->rc = rc;
}

static void begin_grow(struct fake_cluster *c, struct asked *a, size_t through,
                       const char *names, uint64_t limit_ms)
{
    *a = (struct asked){.change = {.done = on_change, .kind = MEMBER_GROW}};
    (void)snprintf(a->change.address, sizeof a->change.address, "%s", names);
    ck_assert_int_eq(node_change(c->members[through].node, &a->change,
                                 fake_cluster_now(c) + limit_ms),
                     RC_OK);
}

static void begin_write(struct fake_cluster *c, struct wrote *x, size_t i, const char *path,
                        uint64_t limit_ms)
{
    *x = (struct wrote){.write = {.done = on_write}};
    struct op op = {.type = OP_CREATE, .space = SPACE_NODES, .path = slice_str(path)};
    struct command command = {.type = COMMAND_TXN,
                              .txn = {.then_ops = &op, .then_count = 1}};
    ck_assert_int_eq(node_write(c->members[i].node, &x->write, &command,
                                fake_cluster_now(c) + limit_ms),
                     RC_OK);
}

static void write_through(struct fake_cluster *c, size_t i, const char *path)
{
    struct wrote x;
    begin_write(c, &x, i, path, 5000);
    for (int ms = 0; !x.is_done; ms++) {
        ck_assert(ms < LIMIT_MS);
        fake_cluster_run(c, 1);
    }
    ck_assert_int_eq(x.rc, RC_OK);
}

static bool has(struct fake_cluster *c, size_t i, const char *path)
{
    struct arena arena = {0};
    struct query_result result;
    const struct query q = {.type = QUERY_GET, .space = SPACE_NODES, .path = slice_str(path)};
    store_query(c->members[i].node->store, &q, &result, &arena);
    bool is_there = result.outcome == OUTCOME_OK;
    arena_close(&arena);
    return is_there;
}

/* The rule of rules: nobody else has an engine while the first one may decide alone. */
static void check_alone(struct fake_cluster *c)
{
    const struct node *s = c->members[0].node;
    if (s == NULL || s->engine == NULL || !engine_is_single_voter(s->engine)) {
        return;
    }
    for (size_t i = 1; i < c->count; i++) {
        ck_assert_msg(c->members[i].node == NULL || c->members[i].node->engine == NULL,
                      "n%zu has an engine beside a single node", i + 1);
    }
}

static void step(struct fake_cluster *c)
{
    fake_cluster_run(c, 1);
    check_alone(c);
}

static void wait_until_asked(struct fake_cluster *c, struct asked *a)
{
    for (int ms = 0; !a->is_done; ms++) {
        ck_assert_msg(ms < LIMIT_MS, "no answer: %s", a->change.text);
        step(c);
    }
}

static void open_one_and_two_that_wait(struct fake_cluster *c, uint64_t seed)
{
    fake_cluster_open(c, 1, TIMEOUT_MS, seed);
    (void)fake_cluster_leader(c);
    for (int i = 0; i < WRITES; i++) {
        char path[16];
        (void)snprintf(path, sizeof path, "/w%d", i);
        write_through(c, 0, path);
    }
    (void)fake_cluster_join(c, false);
    (void)fake_cluster_join(c, false);
    fake_cluster_run(c, 500);
}

/* Asks until it is done, as an operator would; then all three have all that was acknowledged. */
static void grow_in_the_end(struct fake_cluster *c)
{
    struct asked a;
    uint64_t until = fake_cluster_now(c) + LIMIT_MS;
    do {
        ck_assert_msg(fake_cluster_now(c) < until, "it does not grow: %s", a.text);
        begin_grow(c, &a, 0, "", 20000);
        wait_until_asked(c, &a);
    } while (a.rc != RC_OK || a.verdict != MEMBER_DONE);
    (void)fake_cluster_leader(c);
    write_through(c, 0, "/last");
    for (int ms = 0; ms < LIMIT_MS && !(has(c, 1, "/last") && has(c, 2, "/last")); ms++) {
        step(c);
    }
    uint64_t digest = store_digest(c->members[0].node->store);
    for (size_t i = 0; i < 3; i++) {
        for (int k = 0; k < WRITES; k++) {
            char path[16];
            (void)snprintf(path, sizeof path, "/w%d", k);
            ck_assert(has(c, i, path));
        }
        ck_assert(has(c, i, "/last"));
        ck_assert_uint_eq(store_digest(c->members[i].node->store), digest);
        ck_assert_uint_eq(engine_configuration(c->members[i].node->engine)->count, 3);
        ck_assert_int_eq(c->members[i].node->identity.phase, IDENTITY_MEMBER);
    }
}

START_TEST(a_single_node_becomes_three_and_keeps_revision_data_and_cluster)
{
    struct fake_cluster c;
    struct asked a;
    struct wrote w;
    uint64_t longest = 0;
    open_one_and_two_that_wait(&c, 1);
    uint64_t cluster = c.members[0].node->identity.cluster_id;
    uint64_t revision = store_revision(c.members[0].node->store);
    begin_grow(&c, &a, 0, "", 20000);
    for (int i = 0; !a.is_done || i < 20; i++) { /* somebody writes all the time */
        char path[16];
        uint64_t began = fake_cluster_now(&c);
        (void)snprintf(path, sizeof path, "/x%d", i);
        begin_write(&c, &w, 0, path, 5000);
        while (!w.is_done) {
            step(&c);
        }
        ck_assert_int_eq(w.rc, RC_OK);
        uint64_t took = fake_cluster_now(&c) - began;
        longest = took > longest ? took : longest;
    }
    ck_assert_msg(a.rc == RC_OK && a.verdict == MEMBER_DONE, "%d %s", (int)a.rc, a.text);
    ck_assert_msg(longest < 5 * TIMEOUT_MS, "writes waited for %d ms", (int)longest);
    ck_assert_uint_gt(store_revision(c.members[0].node->store), revision);
    ck_assert_uint_lt(store_revision(c.members[0].node->store), revision + 10000);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(c.members[i].node->identity.cluster_id, cluster);
    }
    grow_in_the_end(&c);
    /* One of three may go, and any two know all. */
    for (size_t i = 0; i < 3; i++) {
        char path[16];
        (void)snprintf(path, sizeof path, "/y%zu", i);
        fake_cluster_kill(&c, i);
        write_through(&c, fake_cluster_leader(&c), path);
        fake_cluster_start(&c, i);
        fake_cluster_run(&c, 1000);
        ck_assert(has(&c, i, path));
    }
    fake_cluster_close(&c);
}
END_TEST

START_TEST(who_is_missing_is_named_and_nothing_is_paused)
{
    struct fake_cluster c;
    struct asked a;
    fake_cluster_open(&c, 1, TIMEOUT_MS, 2);
    (void)fake_cluster_leader(&c);
    begin_grow(&c, &a, 0, "", 1000);
    wait_until_asked(&c, &a);
    ck_assert_int_eq(a.rc, RC_TIMEOUT);
    ck_assert_msg(strstr(a.text, "nobody has asked to join") != NULL, "%s", a.text);
    (void)fake_cluster_join(&c, false);
    fake_cluster_run(&c, 4000);
    begin_grow(&c, &a, 0, "", 1000);
    wait_until_asked(&c, &a);
    ck_assert_msg(strstr(a.text, "only n2 asked to join") != NULL, "%s", a.text);
    fake_cluster_run(&c, 4000);
    begin_grow(&c, &a, 0, "n2,n3", 1000);
    wait_until_asked(&c, &a);
    ck_assert_msg(strstr(a.text, "n3 has not asked to join") != NULL, "%s", a.text);
    fake_cluster_run(&c, 4000);
    begin_grow(&c, &a, 0, "n2,n1", 1000);
    wait_until_asked(&c, &a);
    ck_assert_int_eq(a.verdict, MEMBER_REFUSED);
    write_through(&c, 0, "/a");
    fake_cluster_close(&c);
}
END_TEST

START_TEST(of_more_than_two_that_wait_the_named_ones_become_members_and_others_standbys)
{
    struct fake_cluster c;
    struct asked a;
    open_one_and_two_that_wait(&c, 3);
    size_t n4 = fake_cluster_join(&c, false);
    fake_cluster_run(&c, 500);
    begin_grow(&c, &a, 0, "", 1000);
    wait_until_asked(&c, &a);
    ck_assert_int_eq(a.verdict, MEMBER_REFUSED);
    ck_assert_msg(strstr(a.text, "more than two") != NULL, "%s", a.text);
    begin_grow(&c, &a, 0, "n4,n2", 5000);
    wait_until_asked(&c, &a);
    ck_assert_msg(a.rc == RC_OK && a.verdict == MEMBER_DONE, "%s", a.text);
    /* The third joins as anybody does who comes later. */
    for (int ms = 0; ms < LIMIT_MS && (c.members[2].node->engine == NULL ||
                                       engine_configuration(c.members[n4].node->engine)->count < 4);
         ms++) {
        fake_cluster_run(&c, 1);
    }
    write_through(&c, n4, "/a");
    fake_cluster_run(&c, 2000);
    for (size_t i = 0; i < 4; i++) {
        ck_assert(has(&c, i, "/a"));
    }
    fake_cluster_close(&c);
}
END_TEST

/* The disk of member `who` loses its power with its `n`-th call after growing began. False if
 * it had fewer. */
static bool lose_power(size_t who, uint64_t n)
{
    struct fake_cluster c;
    struct asked a;
    open_one_and_two_that_wait(&c, 100 + n);
    begin_grow(&c, &a, 0, "", 3000);
    fake_env_arm(&c.members[who].disk, n, FAKE_FAULT_POWER, RC_IO);
    while (!a.is_done && !fake_env_has_struck(&c.members[who].disk)) {
        step(&c);
    }
    for (int ms = 0; ms < 1000 && !fake_env_has_struck(&c.members[who].disk); ms++) {
        step(&c);
    }
    bool has_struck = fake_env_has_struck(&c.members[who].disk);
    fake_cluster_kill(&c, who);
    if (has_struck) {
        fake_env_power_cut(&c.members[who].disk);
    }
    for (int ms = 0; ms < (int)(n % 3) * 200; ms++) { /* the others go on for a while */
        step(&c);
    }
    fake_env_disarm(&c.members[who].disk);
    fake_cluster_start(&c, who);
    grow_in_the_end(&c);
    fake_cluster_close(&c);
    return has_struck;
}

START_TEST(the_single_node_may_lose_its_power_at_any_disk_call)
{
    uint64_t n = 1;
    while (lose_power(0, n)) {
        n++;
    }
    ck_assert_msg(n > 20, "only %d disk calls were reached", (int)n);
}
END_TEST

START_TEST(a_node_that_joins_it_may_lose_its_power_at_any_disk_call)
{
    uint64_t n = 1;
    while (lose_power(1, n)) {
        n++;
    }
    ck_assert_msg(n > 5, "only %d disk calls were reached", (int)n);
}
END_TEST

static void cut_off(size_t who, uint64_t at_ms, uint64_t for_ms)
{
    struct fake_cluster c;
    struct asked a;
    struct wrote w;
    open_one_and_two_that_wait(&c, 500 + at_ms);
    begin_grow(&c, &a, 0, "", 2000);
    for (uint64_t ms = 0; ms < at_ms; ms++) {
        step(&c);
    }
    fake_cluster_cut(&c, who, true);
    begin_write(&c, &w, 0, "/during", 40000);
    for (uint64_t ms = 0; ms < for_ms; ms++) {
        step(&c);
    }
    if (for_ms > 16000 && engine_is_single_voter(c.members[0].node->engine)) {
        ck_assert(w.is_done && w.rc == RC_OK); /* it went on alone */
    }
    fake_cluster_cut(&c, who, false);
    while (!a.is_done || !w.is_done) {
        step(&c);
    }
    ck_assert_int_eq(w.rc, RC_OK);
    grow_in_the_end(&c);
    ck_assert(has(&c, 1, "/during") && has(&c, 2, "/during"));
    fake_cluster_close(&c);
}

START_TEST(each_of_them_may_be_cut_off_at_any_time)
{
    for (size_t who = 0; who < 3; who++) {
        for (uint64_t at_ms = 1; at_ms < 100; at_ms += 9) {
            cut_off(who, at_ms, at_ms == 28 ? 17000 : 700);
        }
    }
}
END_TEST

static Suite *grow_suite(void)
{
    Suite *suite = suite_create("node_grow");
    TCase *tcase = tcase_create("node_grow");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, a_single_node_becomes_three_and_keeps_revision_data_and_cluster);
    tcase_add_test(tcase, who_is_missing_is_named_and_nothing_is_paused);
    tcase_add_test(tcase,
                   of_more_than_two_that_wait_the_named_ones_become_members_and_others_standbys);
    tcase_add_test(tcase, the_single_node_may_lose_its_power_at_any_disk_call);
    tcase_add_test(tcase, a_node_that_joins_it_may_lose_its_power_at_any_disk_call);
    tcase_add_test(tcase, each_of_them_may_be_cut_off_at_any_time);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){grow_suite, NULL});
}
