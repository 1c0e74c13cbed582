/* Random lock traffic, in the store and in a naive model of it (tests/support/lock_model.h): all
 * modes, multi-locks, re-entrance, upgrades, times that run out, leases that end, removals, and the
 * store replaced by what its snapshot loads to. After each command the queues must be the same to
 * the last field, and so must outcomes, epochs and positions; a wait is refused as a deadlock just
 * when no order of releases could ever let it be granted. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "recipes/lock.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/lock_model.h"
#include "tests/support/store_kit.h"

#define LEASES 3
#define STEPS  4000

struct run {
    struct kit k;
    struct lm m;
    struct rng rng;
    uint64_t last_epoch[LM_LOCKS];
    uint64_t grants[LM_LOCKS]; /* how often each was seen to grant */
    struct {
        char path[64];
        uint64_t revision;
    } past; /* a grant of long ago, mostly stale */
    uint32_t deadlocks;
    uint32_t queued;
    uint32_t granted_late;
    uint32_t stale;
};

static struct run r;

static const char *lock_path(int lock)
{
    static const char *const paths[LM_LOCKS] = {"/locks/a", "/locks/b", "/deep/er/c", "/s", "/t"};
    return paths[lock];
}

static uint64_t lease_of(int owner)
{
    return 1 + (uint64_t)owner / 2;
}

static struct slice id_of(int owner)
{
    return owner % 2 == 0 ? slice_make(NULL, 0) : slice_str("worker 100%\n");
}

/* ---- the store's queues against the model's ----------------------------------------------- */

static void compare_entry(const struct node *n, const struct lm_entry *e, struct arena *arena)
{
    struct recipe_record record;
    ck_assert(recipe_record_decode(value_slice(n->value), &record, arena));
    ck_assert_uint_eq(n->lease, lease_of(e->owner));
    ck_assert(slice_equal(record.owner, id_of(e->owner)));
    ck_assert_uint_eq(record.state, e->held ? ENTRY_HELD : ENTRY_WAITING);
    ck_assert_uint_eq(record.mode, e->mode);
    ck_assert_uint_eq(record.permits, e->permits);
    ck_assert_uint_eq(record.count, e->count);
    ck_assert_uint_eq(record.epoch, e->epoch);
    ck_assert_uint_eq(record.group, e->group);
    ck_assert_uint_eq(record.deadline_ms, e->deadline_ms);
    ck_assert_uint_eq(n->create_revision, e->revision);
}

static void compare(void)
{
    const struct tree *t = &r.k.store->tree;
    struct arena arena = {0};
    for (int lock = 0; lock < LM_LOCKS; lock++) {
        uint32_t slot = tree_find(t, SPACE_NODES, slice_str(lock_path(lock)));
        const struct dir *dir = slot == TREE_NONE ? NULL : node_dir(tree_node(t, slot));
        struct children_position p = {0, 0};
        for (int i = 0; i < r.m.count; i++) {
            const struct lm_entry *e = &r.m.entries[i];
            if (e->lock != lock) {
                continue;
            }
            ck_assert_ptr_nonnull(dir);
            uint32_t child = children_next(&dir->children, &p);
            ck_assert_uint_ne(child, TREE_NONE);
            compare_entry(tree_node(t, child), e, &arena);
        }
        ck_assert(dir == NULL || children_next(&dir->children, &p) == TREE_NONE);
    }
    arena_close(&arena);
}

/* Grants that came with the last command have its revision for their epoch, above all before. */
static void check_epochs(uint64_t before)
{
    uint64_t revision = store_revision(r.k.store);
    for (int i = 0; i < r.m.count; i++) {
        const struct lm_entry *e = &r.m.entries[i];
        if (e->held && e->epoch > r.last_epoch[e->lock]) {
            ck_assert_uint_gt(e->epoch, before);
            ck_assert_uint_eq(e->epoch, revision);
        }
    }
    for (int i = 0; i < r.m.count; i++) {
        const struct lm_entry *e = &r.m.entries[i];
        if (e->held && e->epoch > r.last_epoch[e->lock]) {
            r.last_epoch[e->lock] = e->epoch;
            r.grants[e->lock]++;
        }
    }
}

static uint64_t next_revision(void)
{
    return store_revision(r.k.store) + 1;
}

/* What the next command finds as its time. */
static void sync_time(void)
{
    r.m.now_ms = r.k.cluster_ms;
}

/* ---- commands ----------------------------------------------------------------------------- */

static void draw_target(struct lm_target *t, int lock)
{
    bool counts = lock >= 3 ? rng_chance(&r.rng, 980) : rng_chance(&r.rng, 20);
    *t = (struct lm_target){.lock = lock};
    if (counts) {
        t->mode = LOCK_PERMITS;
        t->limit = lock == 3 ? 2 : rng_chance(&r.rng, 950) ? 4 : 3;
        t->permits = (uint32_t)rng_range(&r.rng, 1, t->limit);
    } else {
        t->mode = rng_chance(&r.rng, 500) ? LOCK_READ : LOCK_WRITE;
    }
}

static void draw_ask(struct lm_ask *ask)
{
    *ask = (struct lm_ask){.owner = (int)rng_below(&r.rng, LM_OWNERS)};
    for (int i = 0; i < 4 && lm_is_waiting(&r.m, ask->owner); i++) {
        ask->owner = (int)rng_below(&r.rng, LM_OWNERS);
    }
    ask->target_count = rng_chance(&r.rng, 700) ? 1 : (int)rng_range(&r.rng, 2, 3);
    int first = (int)rng_below(&r.rng, LM_LOCKS);
    for (int i = 0; i < ask->target_count; i++) {
        draw_target(&ask->targets[i], (first + i * 2) % LM_LOCKS);
    }
    ask->is_try = rng_chance(&r.rng, 150);
    ask->wait_ms = !ask->is_try && rng_chance(&r.rng, 300) ? rng_range(&r.rng, 1, 60) : 0;
    ask->hold_ms = rng_chance(&r.rng, 200) ? rng_range(&r.rng, 1, 90) : 0;
}

/* The cycle leads from the asker to itself, along owners that the model knows in these roles. */
static void check_cycle(const struct lm_ask *ask)
{
    const struct recipe_result *result = &r.k.reply.recipe;
    ck_assert_uint_gt(result->cycle_count, 0);
    ck_assert_uint_eq(result->cycle_count, result->cycle_length);
    ck_assert_uint_gt(result->text.size, 0);
    for (uint32_t i = 0; i < result->cycle_count; i++) {
        const struct recipe_wait *w = &result->cycle[i];
        const struct recipe_wait *next = &result->cycle[(i + 1) % result->cycle_count];
        ck_assert_uint_eq(w->blocker_lease, next->lease);
        ck_assert(slice_equal(w->blocker_owner, next->owner));
        bool known = false;
        for (int j = 0; j < r.m.count; j++) {
            const struct lm_entry *e = &r.m.entries[j];
            known = known || (lease_of(e->owner) == w->blocker_lease &&
                              slice_equal(id_of(e->owner), w->blocker_owner) &&
                              slice_is(w->path, lock_path(e->lock)) &&
                              e->held == w->blocker_holds && e->mode == w->blocker_mode);
        }
        ck_assert(known);
    }
    ck_assert_uint_eq(result->cycle[0].lease, lease_of(ask->owner));
    ck_assert(slice_equal(result->cycle[0].owner, id_of(ask->owner)));
}

static void do_acquire(void)
{
    struct lm_ask ask;
    struct recipe_target targets[3] = {0};
    int places[3];
    draw_ask(&ask);
    for (int i = 0; i < ask.target_count; i++) {
        targets[i] = (struct recipe_target){
            .path = slice_str(lock_path(ask.targets[i].lock)),
            .mode = ask.targets[i].mode,
            .permits = ask.targets[i].permits,
            .limit = ask.targets[i].limit,
        };
    }
    struct command c = {
        .type = COMMAND_RECIPE,
        .note = slice_str("because"),
        .recipe = {.recipe = RECIPE_LOCK,
                   .action = RECIPE_ACQUIRE,
                   .flags = ask.is_try ? RECIPE_TRY : 0,
                   .lease = lease_of(ask.owner),
                   .owner = id_of(ask.owner),
                   .wait_ms = ask.wait_ms,
                   .hold_ms = ask.hold_ms,
                   .targets = targets,
                   .target_count = (uint32_t)ask.target_count},
    };
    static const enum outcome outcomes[] = {
        [LM_HELD_NOW] = OUTCOME_OK,   [LM_QUEUED] = OUTCOME_OK, [LM_REFUSED] = OUTCOME_HELD,
        [LM_DEADLOCK] = OUTCOME_DEADLOCK, [LM_WAITS] = OUTCOME_WAITS,
        [LM_MISMATCH] = OUTCOME_MISMATCH,
    };
    sync_time();
    enum lm_outcome expected = lm_acquire(&r.m, &ask, next_revision(), places);
    ck_assert_int_eq(kit_run(&r.k, &c), outcomes[expected]);
    ck_assert(r.k.reply.has_recipe);
    r.deadlocks += expected == LM_DEADLOCK;
    r.queued += expected == LM_QUEUED;
    if (expected == LM_DEADLOCK) {
        check_cycle(&ask);
    }
    const struct recipe_result *result = &r.k.reply.recipe;
    if (expected > LM_QUEUED) {
        ck_assert_uint_eq(result->place_count, 0);
        return;
    }
    ck_assert_uint_eq(result->place_count, (uint32_t)ask.target_count);
    for (int i = 0; i < ask.target_count; i++) {
        struct lm_entry *e = &r.m.entries[places[i]];
        const struct recipe_place_result *p = &result->places[i];
        ck_assert(p->held == e->held);
        ck_assert_uint_eq(p->count, e->count);
        ck_assert_uint_eq(p->epoch, e->epoch);
        ck_assert_uint_eq(p->position,
                          e->held ? 0 : (uint64_t)lm_waiting_before(&r.m, places[i]));
        ck_assert_uint_lt(p->path.size, sizeof e->path);
        snprintf(e->path, sizeof e->path, "%.*s", (int)p->path.size, (const char *)p->path.data);
        e->revision = p->revision;
    }
}

static int draw_entry(void)
{
    return r.m.count == 0 ? -1 : (int)rng_below(&r.rng, (uint64_t)r.m.count);
}

static void release_once(int index, bool all)
{
    if (r.m.entries[index].count > 1 && !all) {
        r.m.entries[index].count--;
    } else {
        lm_drop(&r.m, index);
    }
}

static void model_release(int index, uint8_t flags)
{
    struct lm_entry e = r.m.entries[index];
    for (int i = r.m.count - 1; i >= 0; i--) {
        const struct lm_entry *x = &r.m.entries[i];
        bool is_part = (flags & RECIPE_GROUP) != 0 && e.group != 0 && x->owner == e.owner &&
                       x->group == e.group && x->held;
        if (i == index || is_part) {
            release_once(i, (flags & RECIPE_ALL) != 0);
        }
    }
}

/* The entry that its owner and lock mean. */
static int by_lock(int lock, int owner, bool waits_first)
{
    int found = -1;
    for (int i = 0; i < r.m.count; i++) {
        const struct lm_entry *e = &r.m.entries[i];
        if (e->lock == lock && e->owner == owner && e->held) {
            found = i;
        }
    }
    for (int i = 0; i < r.m.count && waits_first; i++) {
        const struct lm_entry *e = &r.m.entries[i];
        if (e->lock == lock && e->owner == owner && !e->held) {
            found = i;
        }
    }
    return found;
}

static void do_entry(enum recipe_action action)
{
    int index = draw_entry();
    if (index < 0) {
        return;
    }
    struct lm_entry e = r.m.entries[index];
    struct recipe_target target = {.path = slice_str(e.path), .revision = e.revision};
    struct command c = {
        .type = COMMAND_RECIPE,
        .recipe = {.recipe = RECIPE_LOCK,
                   .action = (uint8_t)action,
                   .targets = &target,
                   .target_count = 1},
    };
    if (rng_chance(&r.rng, 300)) {
        int owner = rng_chance(&r.rng, 700) ? e.owner : (int)rng_below(&r.rng, LM_OWNERS);
        index = by_lock(e.lock, owner, action == RECIPE_CANCEL);
        target = (struct recipe_target){.path = slice_str(lock_path(e.lock))};
        c.recipe.lease = lease_of(owner);
        c.recipe.owner = id_of(owner);
    } else if (rng_chance(&r.rng, 50)) {
        target.revision++;
        index = -1;
    }
    if (action == RECIPE_RELEASE) {
        c.recipe.flags = (uint8_t)((rng_chance(&r.rng, 300) ? RECIPE_ALL : 0) |
                                   (rng_chance(&r.rng, 500) ? RECIPE_GROUP : 0));
    }
    c.recipe.hold_ms = action == RECIPE_EXTEND ? rng_range(&r.rng, 0, 90) : 0;
    bool takes_waits = action == RECIPE_CANCEL || action == RECIPE_REMOVE;
    bool can = index >= 0 && (takes_waits || r.m.entries[index].held);
    sync_time();
    uint64_t revision = next_revision();
    ck_assert_int_eq(kit_run(&r.k, &c), can ? OUTCOME_OK : OUTCOME_NOT_HELD);
    if (!can) {
        return;
    }
    if (action == RECIPE_RELEASE) {
        model_release(index, c.recipe.flags);
    } else if (action == RECIPE_EXTEND) {
        struct lm_entry *held = &r.m.entries[index];
        held->hold_ms = c.recipe.hold_ms;
        held->deadline_ms = c.recipe.hold_ms == 0 ? 0 : r.m.now_ms + c.recipe.hold_ms;
    } else {
        lm_drop_group(&r.m, index);
    }
    lm_settle(&r.m, revision);
}

static void do_ask(void)
{
    int lock = (int)rng_below(&r.rng, LM_LOCKS);
    struct recipe_target target = {.path = slice_str(lock_path(lock))};
    struct command c = {
        .type = COMMAND_RECIPE,
        .note = slice_str("please"),
        .recipe = {.recipe = RECIPE_LOCK,
                   .action = RECIPE_ASK_RELEASE,
                   .value = slice_str("somebody"),
                   .targets = &target,
                   .target_count = 1},
    };
    bool held = false;
    for (int i = 0; i < r.m.count; i++) {
        held = held || (r.m.entries[i].lock == lock && r.m.entries[i].held);
    }
    sync_time();
    ck_assert_int_eq(kit_run(&r.k, &c), held ? OUTCOME_OK : OUTCOME_NOT_HELD);
}

static void do_end_lease(void)
{
    uint64_t id = rng_range(&r.rng, 1, LEASES);
    struct command c = {
        .type = rng_chance(&r.rng, 500) ? COMMAND_EXPIRE : COMMAND_REVOKE,
        .lease = {.id = id},
    };
    c.lease.generation = c.type == COMMAND_EXPIRE ? store_lease(r.k.store, id)->generation : 0;
    sync_time();
    uint64_t revision = next_revision();
    ck_assert_int_eq(kit_run(&r.k, &c), OUTCOME_OK);
    for (int i = r.m.count - 1; i >= 0; i--) {
        if (lease_of(r.m.entries[i].owner) == id) {
            lm_drop(&r.m, i);
        }
    }
    lm_settle(&r.m, revision);
    compare();
    kit_grant(&r.k, id);
}

static int find_path(struct slice path)
{
    for (int i = 0; i < r.m.count; i++) {
        if (slice_is(path, r.m.entries[i].path)) {
            return i;
        }
    }
    return -1;
}

/* What the leader would propose; some of it more than once, or too early. */
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
        int index = find_path(due[i].path);
        sync_time();
        uint64_t revision = next_revision();
        bool is_entry = index >= 0 && r.m.entries[index].revision == due[i].revision;
        bool is_due = is_entry && r.m.entries[index].deadline_ms != 0 &&
                      r.m.entries[index].deadline_ms <= r.m.now_ms;
        enum outcome outcome = kit_run(&r.k, &c);
        if (is_due) {
            ck_assert_int_eq(outcome, OUTCOME_OK);
            if (r.m.entries[index].held) {
                lm_drop(&r.m, index);
            } else {
                lm_drop_group(&r.m, index);
            }
            lm_settle(&r.m, revision);
            r.granted_late++;
        } else if (is_entry) {
            ck_assert_int_eq(outcome, OUTCOME_NOT_DUE);
        }
        compare();
        check_epochs(revision - 1);
    }
    arena_close(&arena);
}

/* Guards hold for what is held, and for nothing else. */
static void do_guard(void)
{
    int index = draw_entry();
    struct op op = kit_op(OP_SET, "/data", "x");
    struct guard g = {.target = GUARD_GRANT, .relation = GUARD_EQUAL, .space = SPACE_NODES};
    bool is_past = index < 0 || rng_chance(&r.rng, 500);
    if (is_past && r.past.revision == 0) {
        return;
    }
    g.path = slice_str(is_past ? r.past.path : r.m.entries[index].path);
    g.number = is_past ? r.past.revision : r.m.entries[index].revision;
    struct command c = {
        .type = COMMAND_TXN,
        .txn = {.guards = &g, .guard_count = 1, .then_ops = &op, .then_count = 1},
    };
    int found = find_path(g.path);
    bool held = found >= 0 && r.m.entries[found].held && r.m.entries[found].revision == g.number;
    sync_time();
    ck_assert_int_eq(kit_run(&r.k, &c), held ? OUTCOME_OK : OUTCOME_GUARD_STALE);
    r.stale += !held;
    if (index >= 0 && rng_chance(&r.rng, 100)) {
        memcpy(r.past.path, r.m.entries[index].path, sizeof r.past.path);
        r.past.revision = r.m.entries[index].revision;
    }
}

/* What is not a recipe's command changes nothing of it. */
static void do_plain_write(void)
{
    int index = draw_entry();
    if (index < 0) {
        return;
    }
    const char *entry = r.m.entries[index].path;
    const char *lock = lock_path(r.m.entries[index].lock);
    char child[80];
    snprintf(child, sizeof child, "%s/x", lock);
    ck_assert_int_eq(kit_set(&r.k, entry, "mine"), OUTCOME_PROTECTED);
    ck_assert_int_eq(kit_set(&r.k, lock, "mine"), OUTCOME_PROTECTED);
    ck_assert_int_eq(kit_delete(&r.k, entry), OUTCOME_PROTECTED);
    ck_assert_int_eq(kit_delete(&r.k, lock), OUTCOME_PROTECTED);
    ck_assert_int_eq(kit_remove_tree(&r.k, lock), OUTCOME_PROTECTED);
    ck_assert_int_eq(kit_create(&r.k, child, ""), OUTCOME_PROTECTED);
}

static void step(void)
{
    uint64_t before = store_revision(r.k.store);
    uint64_t dice = rng_below(&r.rng, 1000);
    if (dice < 450) {
        do_acquire();
    } else if (dice < 650) {
        do_entry(RECIPE_RELEASE);
    } else if (dice < 720) {
        do_entry(RECIPE_CANCEL);
    } else if (dice < 760) {
        do_entry(RECIPE_EXTEND);
    } else if (dice < 780) {
        do_entry(RECIPE_REMOVE);
    } else if (dice < 800) {
        do_ask();
    } else if (dice < 815) {
        do_end_lease();
    } else if (dice < 880) {
        do_reap();
    } else if (dice < 970) {
        do_guard();
    } else if (dice < 980) {
        do_plain_write();
    } else {
        kit_reload(&r.k);
    }
    compare();
    check_epochs(before);
}

START_TEST(random_lock_traffic_is_as_in_the_model)
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
            for (int owner = 0; owner < LM_OWNERS; owner++) {
                ck_assert(lm_can_be_granted(&r.m, owner)); /* no wait is stuck, ever */
            }
        }
    }
    ck_assert_uint_gt(r.deadlocks, 20);
    ck_assert_uint_gt(r.queued, 100);
    ck_assert_uint_gt(r.granted_late, 10);
    ck_assert_uint_gt(r.stale, 20);
    for (int lock = 0; lock < LM_LOCKS; lock++) {
        ck_assert_uint_gt(r.grants[lock], 50);
    }
    kit_close(&r.k);
}
END_TEST

static Suite *lock_model_suite(void)
{
    Suite *suite = suite_create("lock_model");
    TCase *tcase = tcase_create("lock_model");
    tcase_add_loop_test(tcase, random_lock_traffic_is_as_in_the_model, 0, 8);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){lock_model_suite, NULL});
}
