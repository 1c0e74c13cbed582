/* Watches on a single node: when they hear of a write, and what keeps the loop turning for them.
 * What the hub does is tests/unit/watch's. */
#include <stdio.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "raft/node.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"
#include "watch/watch.h"

#define FAR  ((uint64_t)1 << 40)
#define MANY 200
#define DEEP 20000 /* changes to catch up with: several turns */

struct fixture;

struct write {
    struct node_write write;
    struct fixture *x;
    size_t number;
};

struct fixture {
    struct fake_env fake;
    struct metrics *metrics;
    struct node *node;
    struct watch watch;
    struct write writes[MANY];
    size_t answered;
    size_t heard;  /* changes that the watch was given */
    uint64_t last; /* revision of the last one */
    size_t caught_up;
    bool has_room;
};

static size_t on_deliver(struct watch *w, const struct change *const *changes, size_t count,
                         bool continued, bool more)
{
    struct fixture *x = LIST_OF(w, struct fixture, watch);
    (void)continued;
    (void)more;
    if (!x->has_room) {
        return 0;
    }
    ck_assert_uint_gt(changes[0]->revision, x->last);
    x->last = changes[0]->revision;
    x->heard += count;
    return count;
}

static void on_compacted(struct watch *w, uint64_t floor)
{
    (void)w;
    ck_abort_msg("compacted at %d", (int)floor);
}

static void on_caught_up(struct watch *w)
{
    LIST_OF(w, struct fixture, watch)->caught_up++;
}

static const struct watch_ops ops = {
    .deliver = on_deliver, .compacted = on_compacted, .caught_up = on_caught_up};

static void open_node(struct fixture *x)
{
    struct errmsg err = {0};
    const struct node_options options = {
        .env = &x->fake.env, .data_dir = "data", .name = "n1", .metrics = x->metrics};
    ck_assert_msg(node_open(&options, &x->node, &err) == RC_OK, "%s", err.text);
}

static void run(struct fixture *x)
{
    for (int i = 0; i < 6; i++) {
        node_turn(x->node);
        fake_env_run(&x->fake);
    }
}

static struct fixture *init(void)
{
    struct fixture *x = mem_zalloc(sizeof *x);
    fake_env_init(&x->fake, 1);
    x->metrics = metrics_new();
    x->has_room = true;
    open_node(x);
    run(x);
    return x;
}

static void finish(struct fixture *x)
{
    watch_stop(node_watches(x->node), &x->watch);
    node_close(x->node);
    metrics_free(x->metrics);
    fake_env_close(&x->fake);
    mem_free(x);
}

/* A write is known by its revision: the watch has heard of it before anybody hears its outcome. */
static void on_written(struct node_write *w, enum status rc, const struct reply *reply)
{
    struct fixture *x = ((struct write *)w->owner)->x;
    ck_assert_int_eq(rc, RC_OK);
    ck_assert_int_eq(reply->outcome, OUTCOME_OK);
    if (x->watch.state == WATCH_LIVE) {
        ck_assert_uint_eq(x->last, reply->revision);
    }
    x->answered++;
}

static void submit(struct fixture *x, size_t i, const struct op *list, uint32_t count)
{
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = list, .then_count = count}};
    x->writes[i] = (struct write){.x = x, .number = i};
    x->writes[i].write = (struct node_write){.done = on_written, .owner = &x->writes[i]};
    ck_assert_int_eq(node_write(x->node, &x->writes[i].write, &c, FAR), RC_OK);
}

static void submit_creates(struct fixture *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char path[32];
        snprintf(path, sizeof path, "/n%zu", i);
        struct op op = {.type = OP_CREATE, .space = SPACE_NODES, .path = slice_str(path)};
        submit(x, i, &op, 1);
    }
}

static void start(struct fixture *x, uint64_t from)
{
    struct watch_filter f = {
        .scope = WATCH_SUBTREE, .space = SPACE_NODES, .path = slice_str("/")};
    ck_assert_int_eq(watch_start(node_watches(x->node), &x->watch, &f, &ops, from), OUTCOME_OK);
}

static bool is_due(struct fixture *x)
{
    return node_next_deadline_ms(x->node) <= x->fake.env.now_ms(&x->fake.env);
}

static bool shows(struct fixture *x, const char *line)
{
    struct buf text = {0};
    metrics_print(x->metrics, &text);
    buf_append(&text, "", 1);
    bool found = strstr((const char *)buf_slice(&text).data, line) != NULL;
    buf_close(&text);
    return found;
}

START_TEST(a_change_is_heard_of_before_the_outcome_of_its_write)
{
    struct fixture *x = init();
    start(x, 0);
    submit_creates(x, MANY); /* many in one entry, each with its own revision */
    run(x);
    ck_assert_uint_eq(x->answered, MANY);
    ck_assert_uint_eq(x->heard, MANY);
    finish(x);
}
END_TEST

START_TEST(a_watch_of_the_past_keeps_the_loop_turning_until_it_has_caught_up)
{
    struct fixture *x = init();
    struct op *list = mem_zalloc(DEEP * sizeof *list);
    char(*paths)[16] = mem_zalloc(DEEP * sizeof *paths);
    for (size_t i = 0; i < DEEP; i++) {
        snprintf(paths[i], sizeof paths[i], "/n%zu", i);
        list[i] =
            (struct op){.type = OP_CREATE, .space = SPACE_NODES, .path = slice_str(paths[i])};
    }
    submit(x, 0, list, DEEP);
    run(x);
    ck_assert(!is_due(x));
    start(x, 2);
    size_t turns = 0;
    while (is_due(x)) {
        ck_assert_uint_eq(x->caught_up, 0);
        ck_assert_uint_lt(turns++, 1000);
        node_turn(x->node);
    }
    ck_assert_uint_gt(turns, 1);
    ck_assert_uint_eq(x->caught_up, 1);
    ck_assert_uint_eq(x->heard, DEEP);
    mem_free(list);
    mem_free(paths);
    finish(x);
}
END_TEST

START_TEST(watches_and_their_lag_are_in_the_metrics)
{
    struct fixture *x = init();
    start(x, 0);
    x->has_room = false;
    submit_creates(x, 5);
    run(x);
    fake_env_advance(&x->fake, 1000);
    node_turn(x->node);
    ck_assert(!is_due(x)); /* one that waits for its owner is no work */
    ck_assert(shows(x, "coord_watches 1\n"));
    ck_assert(shows(x, "coord_watches_behind 1\n"));
    ck_assert(shows(x, "coord_watch_lag_revisions 5\n"));
    x->has_room = true;
    watch_resume(node_watches(x->node), &x->watch);
    ck_assert(is_due(x));
    fake_env_advance(&x->fake, 1000);
    node_turn(x->node);
    ck_assert(shows(x, "coord_watches_behind 0\n"));
    ck_assert(shows(x, "coord_watch_lag_revisions 0\n"));
    ck_assert_uint_eq(x->heard, 5);
    finish(x);
}
END_TEST

START_TEST(a_watch_resumes_after_the_restart_of_its_node)
{
    struct fixture *x = init();
    start(x, 0);
    submit_creates(x, 5);
    run(x);
    x->has_room = false;
    ck_assert_uint_eq(x->heard, 5);
    uint64_t seen = watch_delivered(node_watches(x->node), &x->watch);
    watch_stop(node_watches(x->node), &x->watch);
    node_close(x->node);
    open_node(x);
    run(x);
    x->has_room = true;
    x->last = 0;
    start(x, seen - 1); /* two of the five again */
    run(x);
    ck_assert_uint_eq(x->heard, 7);
    ck_assert_uint_eq(watch_delivered(node_watches(x->node), &x->watch), seen);
    finish(x);
}
END_TEST

static Suite *node_watch_suite(void)
{
    Suite *suite = suite_create("node watches");
    TCase *tcase = tcase_create("node watches");
    tcase_add_test(tcase, a_change_is_heard_of_before_the_outcome_of_its_write);
    tcase_add_test(tcase, a_watch_of_the_past_keeps_the_loop_turning_until_it_has_caught_up);
    tcase_add_test(tcase, watches_and_their_lag_are_in_the_metrics);
    tcase_add_test(tcase, a_watch_resumes_after_the_restart_of_its_node);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){node_watch_suite, NULL});
}
