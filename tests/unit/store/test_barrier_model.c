/* Random barriers, in the store and in a naive model of them: parties that come, come again, try,
 * run out of time, leave, are withdrawn or removed, lose their lease, or guard a write, and the
 * store replaced by what its snapshot loads to. After each command the parties must be the same to
 * the last field. */
#include <stdio.h>

#include "base/rng.h"
#include "recipes/record.h"
#include "store/digest.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

#define LEASES   3
#define NAMES    3
#define BARRIERS 3
#define STEPS    3000
#define PARTIES  (LEASES * NAMES * BARRIERS)

enum where { WAITS, INSIDE, LEAVES };

struct party {
    int barrier;
    uint64_t lease;
    int name;
    enum where where;
    uint64_t epoch;
    uint64_t deadline_ms;
    uint64_t revision; /* that created it */
    char path[64];
};

struct run {
    struct kit k;
    struct rng rng;
    struct party parties[PARTIES]; /* in the order in which they came */
    int count;
    uint32_t takes[BARRIERS]; /* of the barrier that is there */
    uint32_t rounds;
    uint32_t left_together;
    uint32_t late;
    uint32_t tries_lost;
    uint32_t stale;
};

static struct run r;

static const char *barrier_path(int barrier)
{
    static const char *const paths[BARRIERS] = {"/b/one", "/b/two", "/deep/er/three"};
    return paths[barrier];
}

static struct slice name_of(int name)
{
    static const char *const names[NAMES] = {"", "worker 1", "100%\n"};
    return slice_str(names[name]);
}

/* ---- the model ---------------------------------------------------------------------------- */

static uint32_t count_of(int barrier, enum where where)
{
    uint32_t count = 0;
    for (int i = 0; i < r.count; i++) {
        count += r.parties[i].barrier == barrier && r.parties[i].where == where;
    }
    return count;
}

static uint32_t size_of(int barrier)
{
    return count_of(barrier, WAITS) + count_of(barrier, INSIDE) + count_of(barrier, LEAVES);
}

static bool is_late(const struct party *p)
{
    return p->where == WAITS && p->deadline_ms != 0 && p->deadline_ms <= r.k.store->cluster_ms;
}

static void drop(int index)
{
    memmove(&r.parties[index], &r.parties[index + 1],
            (size_t)(r.count - index - 1) * sizeof r.parties[0]);
    r.count--;
}

static void drop_those(int barrier, bool (*is_it)(const struct party *p))
{
    for (int i = r.count - 1; i >= 0; i--) {
        if (r.parties[i].barrier == barrier && is_it(&r.parties[i])) {
            drop(i);
        }
    }
}

static bool is_leaving(const struct party *p)
{
    return p->where == LEAVES;
}

static void settle(int barrier, uint64_t revision)
{
    uint32_t leaving = count_of(barrier, LEAVES);
    if (leaving > 0 && count_of(barrier, INSIDE) == 0) {
        r.left_together += leaving > 1;
        drop_those(barrier, is_leaving);
    }
    if (count_of(barrier, INSIDE) + count_of(barrier, LEAVES) > 0 ||
        count_of(barrier, WAITS) < r.takes[barrier]) {
        return;
    }
    drop_those(barrier, is_late);
    if (count_of(barrier, WAITS) < r.takes[barrier]) {
        r.late++;
        return;
    }
    uint32_t left = r.takes[barrier];
    for (int i = 0; i < r.count && left > 0; i++) {
        struct party *p = &r.parties[i];
        if (p->barrier == barrier) {
            p->where = INSIDE;
            p->epoch = revision;
            p->deadline_ms = 0;
            left--;
        }
    }
    r.rounds++;
}

static int find(int barrier, uint64_t lease, int name)
{
    for (int i = 0; i < r.count; i++) {
        const struct party *p = &r.parties[i];
        if (p->barrier == barrier && p->lease == lease && p->name == name) {
            return i;
        }
    }
    return -1;
}

static uint64_t position_of(int index)
{
    uint64_t ahead = 0;
    for (int i = 0; i < index && r.parties[index].where == WAITS; i++) {
        ahead += r.parties[i].barrier == r.parties[index].barrier && r.parties[i].where == WAITS;
    }
    return ahead;
}

/* ---- the store against it ----------------------------------------------------------------- */

/* Before a command, which then has this revision. */
static uint64_t prepare(void)
{
    r.k.cluster_ms += 1 + rng_below(&r.rng, 5);
    return store_revision(r.k.store) + 1;
}

static void compare_party(const struct node *n, const struct party *p, struct arena *arena)
{
    struct recipe_record record;
    ck_assert(recipe_record_decode(value_slice(n->value), &record, arena));
    ck_assert_uint_eq(n->lease, p->lease);
    ck_assert_uint_eq(n->create_revision, p->revision);
    ck_assert_uint_eq(record.mode, MODE_PARTY);
    ck_assert_uint_eq(record.state, p->where == WAITS ? ENTRY_WAITING : ENTRY_HELD);
    ck_assert_uint_eq(record.leaving, p->where == LEAVES);
    ck_assert_uint_eq(record.epoch, p->epoch);
    ck_assert_uint_eq(record.deadline_ms, p->deadline_ms);
    ck_assert(slice_equal(record.owner, name_of(p->name)));
}

static void compare(void)
{
    const struct tree *t = &r.k.store->tree;
    struct arena arena = {0};
    for (int barrier = 0; barrier < BARRIERS; barrier++) {
        uint32_t slot = tree_find(t, SPACE_NODES, slice_str(barrier_path(barrier)));
        const struct dir *dir = slot == TREE_NONE ? NULL : node_dir(tree_node(t, slot));
        struct children_position position = {0, 0};
        for (int i = 0; i < r.count; i++) {
            if (r.parties[i].barrier == barrier) {
                ck_assert_ptr_nonnull(dir);
                uint32_t child = children_next(&dir->children, &position);
                ck_assert_uint_ne(child, TREE_NONE);
                compare_party(tree_node(t, child), &r.parties[i], &arena);
            }
        }
        ck_assert(dir == NULL || children_next(&dir->children, &position) == TREE_NONE);
    }
    arena_close(&arena);
}

static void check_place(int index)
{
    struct party *p = &r.parties[index];
    ck_assert_uint_eq(r.k.reply.recipe.place_count, 1);
    const struct recipe_place_result *place = &r.k.reply.recipe.places[0];
    ck_assert(place->held == (p->where != WAITS));
    ck_assert_uint_eq(place->epoch, p->epoch);
    ck_assert_uint_eq(place->position, position_of(index));
    ck_assert_uint_lt(place->path.size, sizeof p->path);
    snprintf(p->path, sizeof p->path, "%.*s", (int)place->path.size,
             (const char *)place->path.data);
    ck_assert(p->revision == 0 || p->revision == place->revision);
    p->revision = place->revision;
}

static struct command command_of(enum recipe_action action, const struct recipe_target *target)
{
    return (struct command){
        .type = COMMAND_RECIPE,
        .recipe = {.recipe = RECIPE_BARRIER,
                   .action = (uint8_t)action,
                   .targets = target,
                   .target_count = 1},
    };
}

/* ---- steps -------------------------------------------------------------------------------- */

/* What an empty barrier said may count, or not: as long as its node is there. */
static bool learn_parties(int barrier, uint32_t asked, enum outcome outcome)
{
    struct recipe_head head;
    const struct tree *t = &r.k.store->tree;
    if (outcome == OUTCOME_MISMATCH || outcome == OUTCOME_HELD) {
        ck_assert(asked == 0 || outcome == OUTCOME_HELD);
        return false;
    }
    ck_assert_int_eq(outcome, OUTCOME_OK);
    uint32_t slot = tree_find(t, SPACE_NODES, slice_str(barrier_path(barrier)));
    ck_assert(
        recipe_head_decode(value_slice(tree_node(t, slot)->value), &head, &r.k.arena));
    ck_assert(asked == 0 || head.parties == asked);
    r.takes[barrier] = head.parties;
    return true;
}

static uint32_t in_time(int barrier)
{
    uint32_t count = 0;
    for (int i = 0; i < r.count; i++) {
        const struct party *p = &r.parties[i];
        count += p->barrier == barrier && p->where == WAITS && !is_late(p);
    }
    return count;
}

static void do_enter(void)
{
    int barrier = (int)rng_below(&r.rng, BARRIERS);
    struct party p = {
        .barrier = barrier,
        .lease = rng_range(&r.rng, 1, LEASES),
        .name = (int)rng_below(&r.rng, NAMES),
    };
    struct recipe_target target = {.path = slice_str(barrier_path(barrier))};
    struct command c = command_of(RECIPE_ACQUIRE, &target);
    bool is_try = rng_chance(&r.rng, 150);
    uint32_t asked = rng_chance(&r.rng, 500) ? 0 : (uint32_t)rng_range(&r.rng, 1, 4);
    uint64_t wait_ms = is_try || rng_chance(&r.rng, 600) ? 0 : rng_range(&r.rng, 1, 100);
    asked = size_of(barrier) > 0 && rng_chance(&r.rng, 800) ? r.takes[barrier] : asked;
    c.recipe.lease = p.lease;
    c.recipe.owner = name_of(p.name);
    c.recipe.flags = is_try ? RECIPE_TRY : 0;
    c.recipe.number = asked;
    c.recipe.wait_ms = wait_ms;
    uint64_t revision = prepare();
    enum outcome outcome = kit_run(&r.k, &c);
    uint64_t deadline_ms = wait_ms == 0 ? 0 : r.k.store->cluster_ms + wait_ms;
    if (size_of(barrier) > 0 && asked != 0 && asked != r.takes[barrier]) {
        ck_assert_int_eq(outcome, OUTCOME_MISMATCH);
        return;
    }
    if (size_of(barrier) == 0 && !learn_parties(barrier, asked, outcome)) {
        ck_assert(outcome == OUTCOME_MISMATCH || is_try);
        return;
    }
    int index = find(barrier, p.lease, p.name);
    if (index >= 0 && r.parties[index].where == LEAVES) {
        ck_assert_int_eq(outcome, OUTCOME_WAITS);
        return;
    }
    bool is_empty = count_of(barrier, INSIDE) + count_of(barrier, LEAVES) == 0;
    bool goes_in = index >= 0 ? r.parties[index].where == INSIDE
                              : is_empty && in_time(barrier) + 1 >= r.takes[barrier];
    if (is_try && !goes_in) {
        ck_assert_int_eq(outcome, OUTCOME_HELD);
        r.tries_lost++;
        return;
    }
    ck_assert_int_eq(outcome, OUTCOME_OK);
    if (index >= 0) {
        r.parties[index].deadline_ms = r.parties[index].where == WAITS ? deadline_ms : 0;
    } else {
        p.deadline_ms = deadline_ms;
        r.parties[r.count++] = p;
        settle(barrier, revision);
        index = find(barrier, p.lease, p.name);
    }
    check_place(index);
}

static void do_end(enum recipe_action action)
{
    if (r.count == 0) {
        return;
    }
    int index = (int)rng_below(&r.rng, (uint64_t)r.count);
    struct party *p = &r.parties[index];
    int barrier = p->barrier;
    bool is_wrong = rng_chance(&r.rng, 50);
    struct recipe_target target = {.path = slice_str(p->path),
                                   .revision = p->revision + is_wrong};
    struct command c = command_of(action, &target);
    bool is_fine = !is_wrong && (action != RECIPE_LEAVE || p->where != WAITS);
    uint64_t revision = prepare();
    ck_assert_int_eq(kit_run(&r.k, &c), is_fine ? OUTCOME_OK : OUTCOME_NOT_HELD);
    if (!is_fine) {
        return;
    }
    if (action == RECIPE_LEAVE) {
        p->where = LEAVES;
        check_place(index);
    } else {
        drop(index);
    }
    settle(barrier, revision);
}

static void do_end_lease(void)
{
    uint64_t id = rng_range(&r.rng, 1, LEASES);
    struct command c = {.type = COMMAND_REVOKE, .lease = {.id = id}};
    uint64_t revision = prepare();
    ck_assert_int_eq(kit_run(&r.k, &c), OUTCOME_OK);
    for (int i = r.count - 1; i >= 0; i--) {
        if (r.parties[i].lease == id) {
            drop(i);
        }
    }
    for (int barrier = 0; barrier < BARRIERS; barrier++) {
        settle(barrier, revision);
    }
    compare();
    kit_grant(&r.k, id);
}

static void do_reap(void)
{
    struct store_due due[8];
    struct arena arena = {0};
    r.k.cluster_ms += rng_below(&r.rng, 40);
    size_t count = store_reap_due(r.k.store, r.k.cluster_ms, due, 8);
    for (size_t i = 0; i < count; i++) {
        due[i].path = arena_copy(&arena, due[i].path);
    }
    for (size_t i = 0; i < count; i++) {
        struct command c = {
            .type = COMMAND_REAP,
            .reap = {.path = due[i].path, .revision = due[i].revision},
        };
        uint64_t revision = prepare();
        enum outcome outcome = kit_run(&r.k, &c);
        for (int j = 0; j < r.count; j++) {
            if (slice_is(due[i].path, r.parties[j].path) && is_late(&r.parties[j])) {
                int barrier = r.parties[j].barrier;
                ck_assert_int_eq(outcome, OUTCOME_OK);
                drop(j);
                settle(barrier, revision);
                break;
            }
        }
        compare();
    }
    arena_close(&arena);
}

/* Who is inside may write; who waits may not. */
static void do_guard(void)
{
    if (r.count == 0) {
        return;
    }
    const struct party *p = &r.parties[rng_below(&r.rng, (uint64_t)r.count)];
    struct op op = kit_op(OP_SET, "/data", "x");
    struct guard g = {.target = GUARD_GRANT,
                      .relation = GUARD_EQUAL,
                      .space = SPACE_NODES,
                      .path = slice_str(p->path),
                      .number = p->revision};
    struct command c = {
        .type = COMMAND_TXN,
        .txn = {.guards = &g, .guard_count = 1, .then_ops = &op, .then_count = 1},
    };
    (void)prepare();
    ck_assert_int_eq(kit_run(&r.k, &c),
                     p->where == WAITS ? OUTCOME_GUARD_STALE : OUTCOME_OK);
    r.stale += p->where == WAITS;
}

static void step(void)
{
    uint64_t dice = rng_below(&r.rng, 1000);
    if (dice < 450) {
        do_enter();
    } else if (dice < 750) {
        do_end(RECIPE_LEAVE);
    } else if (dice < 800) {
        do_end(RECIPE_CANCEL);
    } else if (dice < 820) {
        do_end(RECIPE_REMOVE);
    } else if (dice < 850) {
        do_end_lease();
    } else if (dice < 900) {
        do_reap();
    } else if (dice < 970) {
        do_guard();
    } else {
        kit_reload(&r.k);
    }
    compare();
}

START_TEST(random_barriers_are_as_in_the_model)
{
    memset(&r, 0, sizeof r);
    rng_init(&r.rng, (uint64_t)_i + 1);
    kit_open(&r.k);
    ck_assert_int_eq(kit_create(&r.k, "/data", ""), OUTCOME_OK);
    for (uint64_t id = 1; id <= LEASES; id++) {
        kit_grant(&r.k, id);
    }
    for (int i = 0; i < STEPS; i++) {
        step();
        if (i % 50 == 0) {
            store_check(r.k.store);
        }
    }
    ck_assert_uint_gt(r.rounds, 100);
    ck_assert_uint_gt(r.left_together, 20);
    ck_assert_uint_gt(r.late, 1);
    ck_assert_uint_gt(r.tries_lost, 10);
    ck_assert_uint_gt(r.stale, 20);
    kit_close(&r.k);
}
END_TEST

/* A snapshot in which one node says something else, with a digest that fits. */
static enum status load_with(const char *path, const char *value)
{
    uint32_t slot = tree_find(&r.k.store->tree, SPACE_NODES, slice_str(path));
    struct value *was = value_ref(tree_node(&r.k.store->tree, slot)->value);
    struct snapshot_meta meta;
    struct buf rows = {0};
    enum status rc;
    tree_set_value(&r.k.store->tree, slot, value_new(r.k.store->values, slice_str(value)));
    r.k.store->node_sum = digest_items(r.k.store);
    kit_rows(r.k.store, &meta, &rows);
    store_free(kit_load(buf_slice(&rows), &meta, &rc));
    buf_close(&rows);
    tree_set_value(&r.k.store->tree, slot, was);
    r.k.store->node_sum = digest_items(r.k.store);
    return rc;
}

START_TEST(barriers_that_cannot_be_are_not_loaded)
{
    static const char second[] = "/b/q-0000000001";
    static const char inside[] = "state=held\nmode=party\nepoch=1\n";
    struct recipe_target target = {.path = slice_str("/b")};
    kit_open(&r.k);
    for (uint64_t lease = 1; lease <= 2; lease++) {
        struct command c = command_of(RECIPE_ACQUIRE, &target);
        kit_grant(&r.k, lease);
        c.recipe.lease = lease;
        c.recipe.number = 3;
        ck_assert_int_eq(kit_run(&r.k, &c), OUTCOME_OK);
    }
    ck_assert_int_eq(load_with(second, "state=waiting\nmode=party\n"), RC_OK);
    ck_assert_int_eq(load_with(second, "state=waiting\nmode=write\n"), RC_CORRUPT);
    ck_assert_int_eq(load_with(second, "state=waiting\nmode=candidate\n"), RC_CORRUPT);
    ck_assert_int_eq(load_with(second, "state=waiting\nmode=party\nleaving=1\n"), RC_CORRUPT);
    ck_assert_int_eq(load_with(second, inside), RC_OK); /* the other one came later */
    ck_assert_int_eq(load_with(second, "state=held\nmode=party\nepoch=1\nleaving=1\n"),
                     RC_CORRUPT); /* alone: it would have gone */
    ck_assert_int_eq(load_with(second, "state=held\nmode=party\nepoch=1\nleaving=2\n"),
                     RC_CORRUPT);
    ck_assert_int_eq(load_with("/b", "recipe=barrier\nparties=2\n"), RC_CORRUPT);
    ck_assert_int_eq(load_with("/b", "recipe=barrier\n"), RC_CORRUPT);
    ck_assert_int_eq(load_with("/b", "recipe=latch\ncount=3\n"), RC_CORRUPT);
    ck_assert_int_eq(load_with("/b", "recipe=counter\nvalue=3\n"), RC_CORRUPT);
    ck_assert_int_eq(load_with("/b", "recipe=barrier\nparties=4\n"), RC_OK);
    kit_close(&r.k);
}
END_TEST

static Suite *barrier_model_suite(void)
{
    Suite *suite = suite_create("barrier_model");
    TCase *tcase = tcase_create("barrier_model");
    tcase_add_loop_test(tcase, random_barriers_are_as_in_the_model, 0, 8);
    tcase_add_test(tcase, barriers_that_cannot_be_are_not_loaded);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){barrier_model_suite, NULL});
}
