/* Random counters, ids and latches, in the store and in a naive model of them: adds with and
 * without bounds, blocks of ids, requests that come again, latches that are set and counted down,
 * nodes that are deleted or are of another kind, and the store replaced by what its snapshot loads
 * to. */
#include <inttypes.h>
#include <stdio.h>

#include "base/rng.h"
#include "recipes/record.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

#define NODES 6
#define STEPS 8000

struct number {
    uint8_t recipe; /* 0: there is no node */
    int64_t value;
    uint64_t created;
    uint64_t ids_given; /* since then */
};

struct run {
    struct kit k;
    struct rng rng;
    struct number numbers[NODES];
    uint32_t refused;
    uint32_t repeated;
    uint32_t opened;
    uint32_t blocks;
};

static struct run r;

static const char *path_of(int node)
{
    static const char *const paths[NODES] = {"/c/a", "/c/b", "/c/deep/er", "/d", "/e", "/f"};
    return paths[node];
}

static struct command command_of(uint8_t recipe, enum recipe_action action,
                                 const struct recipe_target *target)
{
    struct command c = {
        .type = COMMAND_RECIPE,
        .recipe = {.recipe = recipe,
                   .action = (uint8_t)action,
                   .targets = target,
                   .target_count = 1},
    };
    return c;
}

/* Small ones, and those at the ends of what there is. */
static int64_t draw_number(void)
{
    switch (rng_below(&r.rng, 12)) {
    case 0: return INT64_MIN;
    case 1: return INT64_MAX;
    case 2: return 0;
    default: return (int64_t)rng_below(&r.rng, 41) - 20;
    }
}

/* ---- the model ---------------------------------------------------------------------------- */

/* The compiler's own sum, which knows where numbers end. */
static bool may_add(int64_t value, int64_t delta, int64_t low, int64_t high)
{
    int64_t sum;
    bool is_number = !__builtin_add_overflow(value, delta, &sum);
    return delta == 0 || (is_number && (delta < 0 ? sum >= low : sum <= high));
}

static void compare(void)
{
    const struct tree *t = &r.k.store->tree;
    struct arena arena = {0};
    for (int i = 0; i < NODES; i++) {
        const struct number *n = &r.numbers[i];
        uint32_t slot = tree_find(t, SPACE_NODES, slice_str(path_of(i)));
        ck_assert((slot != TREE_NONE) == (n->recipe != 0));
        if (slot == TREE_NONE) {
            continue;
        }
        struct recipe_head head;
        ck_assert(recipe_head_decode(value_slice(tree_node(t, slot)->value), &head, &arena));
        ck_assert_uint_eq(head.recipe, n->recipe);
        ck_assert_int_eq(head.recipe == RECIPE_LATCH ? (int64_t)head.count : head.value,
                         n->value);
        ck_assert_uint_eq(tree_node(t, slot)->create_revision, n->created);
    }
    arena_close(&arena);
}

/* The outcome that a command about a node has, before its numbers are looked at. */
static enum outcome kind_outcome(const struct number *n, uint8_t recipe)
{
    return n->recipe == 0 || n->recipe == recipe ? OUTCOME_OK : OUTCOME_NO_RECIPE;
}

static void check_answer(struct number *n, uint8_t recipe, int64_t before, int64_t value)
{
    ck_assert(r.k.reply.has_recipe);
    ck_assert_int_eq((int64_t)r.k.reply.recipe.before, before);
    ck_assert_int_eq((int64_t)r.k.reply.recipe.number, value);
    ck_assert_uint_eq(r.k.reply.recipe.place_count, 1);
    n->created = n->recipe == 0 ? r.k.reply.revision : n->created;
    ck_assert_uint_eq(r.k.reply.recipe.places[0].revision, n->created);
    n->recipe = recipe;
    n->value = value;
}

/* The same once more, by its request id: answered the same, and not done. */
static void repeat(struct command *c)
{
    uint64_t revision = store_revision(r.k.store);
    uint64_t number = r.k.reply.recipe.number;
    enum outcome outcome = (enum outcome)r.k.reply.outcome;
    ck_assert_int_eq(kit_run(&r.k, c), outcome);
    ck_assert(r.k.reply.repeated);
    ck_assert_uint_eq(r.k.reply.recipe.number, number);
    ck_assert_uint_eq(store_revision(r.k.store), revision);
    r.repeated++;
}

static void identify(struct command *c)
{
    c->request.issued_ms = r.k.cluster_ms;
    c->request.random[0] = rng_next(&r.rng);
    c->request.random[1] = rng_next(&r.rng) | 1;
}

/* ---- steps -------------------------------------------------------------------------------- */

static void do_add(void)
{
    int node = (int)rng_below(&r.rng, NODES);
    struct number *n = &r.numbers[node];
    struct recipe_target target = {.path = slice_str(path_of(node))};
    struct command c = command_of(RECIPE_COUNTER, RECIPE_ADD, &target);
    int64_t delta = draw_number();
    int64_t low = rng_chance(&r.rng, 500) ? INT64_MIN : draw_number();
    int64_t high = rng_chance(&r.rng, 500) ? INT64_MAX : draw_number();
    c.recipe.number = (uint64_t)delta;
    c.recipe.low = (uint64_t)low;
    c.recipe.high = (uint64_t)high;
    identify(&c);
    enum outcome outcome = kit_run(&r.k, &c);
    if (low > high) {
        ck_assert_int_eq(outcome, OUTCOME_BAD_ARGUMENTS);
        return;
    }
    if (kind_outcome(n, RECIPE_COUNTER) != OUTCOME_OK) {
        ck_assert_int_eq(outcome, OUTCOME_NO_RECIPE);
        return;
    }
    int64_t before = n->recipe == 0 ? 0 : n->value;
    if (!may_add(before, delta, low, high)) {
        ck_assert_int_eq(outcome, OUTCOME_LIMIT);
        ck_assert_uint_gt(r.k.reply.recipe.text.size, 0);
        r.refused++;
    } else {
        ck_assert_int_eq(outcome, OUTCOME_OK);
        check_answer(n, RECIPE_COUNTER, before, before + delta);
    }
    if (rng_chance(&r.rng, 200)) {
        repeat(&c);
    }
}

static void do_ids(void)
{
    int node = (int)rng_below(&r.rng, NODES);
    struct number *n = &r.numbers[node];
    struct recipe_target target = {.path = slice_str(path_of(node))};
    struct command c = command_of(RECIPE_IDS, RECIPE_ADD, &target);
    uint64_t count = rng_chance(&r.rng, 30) ? INT64_MAX : rng_below(&r.rng, 1000);
    int64_t last = rng_chance(&r.rng, 500) ? INT64_MAX : (int64_t)rng_below(&r.rng, 20000);
    c.recipe.number = count;
    c.recipe.high = (uint64_t)last;
    identify(&c);
    enum outcome outcome = kit_run(&r.k, &c);
    if (count == 0) {
        ck_assert_int_eq(outcome, OUTCOME_BAD_ARGUMENTS);
        return;
    }
    if (kind_outcome(n, RECIPE_IDS) != OUTCOME_OK) {
        ck_assert_int_eq(outcome, OUTCOME_NO_RECIPE);
        return;
    }
    int64_t before = n->recipe == 0 ? 0 : n->value;
    if (!may_add(before, (int64_t)count, 0, last)) {
        ck_assert_int_eq(outcome, OUTCOME_LIMIT);
        r.refused++;
    } else {
        ck_assert_int_eq(outcome, OUTCOME_OK);
        n->ids_given = n->recipe == 0 ? 0 : n->ids_given;
        ck_assert_uint_eq(r.k.reply.recipe.before, n->ids_given); /* no gap, no overlap */
        n->ids_given += count;
        check_answer(n, RECIPE_IDS, before, before + (int64_t)count);
        r.blocks++;
    }
    if (rng_chance(&r.rng, 200)) {
        repeat(&c);
    }
}

static void do_latch(void)
{
    int node = (int)rng_below(&r.rng, NODES);
    struct number *n = &r.numbers[node];
    struct recipe_target target = {.path = slice_str(path_of(node))};
    bool is_set = rng_chance(&r.rng, 300);
    struct command c =
        command_of(RECIPE_LATCH, is_set ? RECIPE_CONFIGURE : RECIPE_COUNT_DOWN, &target);
    uint64_t number = rng_below(&r.rng, 5);
    c.recipe.number = number;
    enum outcome outcome = kit_run(&r.k, &c);
    if (!is_set && number == 0) {
        ck_assert_int_eq(outcome, OUTCOME_BAD_ARGUMENTS);
        return;
    }
    if (kind_outcome(n, RECIPE_LATCH) != OUTCOME_OK) {
        ck_assert_int_eq(outcome, OUTCOME_NO_RECIPE);
        return;
    }
    if (n->recipe == 0 && !is_set) {
        ck_assert_int_eq(outcome, OUTCOME_NO_NODE);
        return;
    }
    int64_t before = n->recipe == 0 ? 0 : n->value;
    int64_t left = before > (int64_t)number ? before - (int64_t)number : 0;
    ck_assert_int_eq(outcome, OUTCOME_OK);
    r.opened += !is_set && before > 0 && left == 0;
    check_answer(n, RECIPE_LATCH, before, is_set ? (int64_t)number : left);
}

/* Plain commands may delete one, and nothing else. */
static void do_plain(void)
{
    int node = (int)rng_below(&r.rng, NODES);
    struct number *n = &r.numbers[node];
    char child[64];
    bool is_there = n->recipe != 0;
    snprintf(child, sizeof child, "%s/x", path_of(node));
    if (is_there) {
        ck_assert_int_eq(kit_create(&r.k, child, ""), OUTCOME_PROTECTED);
        ck_assert_int_eq(kit_set(&r.k, path_of(node), "1"), OUTCOME_PROTECTED);
    }
    ck_assert_int_eq(kit_delete(&r.k, path_of(node)), is_there ? OUTCOME_OK : OUTCOME_NO_NODE);
    *n = (struct number){0};
}

static void reload(void)
{
    struct store_due due[8];
    ck_assert_uint_eq(store_reap_due(r.k.store, UINT64_MAX, due, 8), 0); /* it stays */
    kit_reload(&r.k);
}

static void step(void)
{
    uint64_t dice = rng_below(&r.rng, 1000);
    r.k.cluster_ms++;
    if (dice < 350) {
        do_add();
    } else if (dice < 650) {
        do_ids();
    } else if (dice < 900) {
        do_latch();
    } else if (dice < 980) {
        do_plain();
    } else {
        reload();
    }
    compare();
}

START_TEST(random_counters_ids_and_latches_are_as_in_the_model)
{
    memset(&r, 0, sizeof r);
    rng_init(&r.rng, (uint64_t)_i + 1);
    kit_open(&r.k);
    for (int i = 0; i < STEPS; i++) {
        step();
        if (i % 50 == 0) {
            store_check(r.k.store);
        }
    }
    ck_assert_uint_gt(r.refused, 50);
    ck_assert_uint_gt(r.repeated, 50);
    ck_assert_uint_gt(r.opened, 10);
    ck_assert_uint_gt(r.blocks, 100);
    kit_close(&r.k);
}
END_TEST

static Suite *counter_model_suite(void)
{
    Suite *suite = suite_create("counter_model");
    TCase *tcase = tcase_create("counter_model");
    tcase_add_loop_test(tcase, random_counters_ids_and_latches_are_as_in_the_model, 0, 8);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){counter_model_suite, NULL});
}
