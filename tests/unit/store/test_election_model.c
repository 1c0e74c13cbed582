/* Random elections, in the store and in a naive model of them: all policies, labels, candidates
 * that come, come again, give up, run out of time, lose their lease or are removed, leaders that
 * resign, hand over and proclaim, elections that are set up anew, and the store replaced by what
 * its snapshot loads to. After each command the candidates must be the same to the last field, and
 * so must outcomes, epochs and positions. */
#include <stdio.h>

#include "base/rng.h"
#include "recipes/index.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

#define LEASES     3
#define NAMES      3
#define ELECTIONS  3
#define STEPS      3000
#define CANDIDATES (LEASES * NAMES * ELECTIONS)

struct candidate {
    int election;
    uint64_t lease;
    int name;
    uint32_t priority;
    uint64_t number;
    int label;
    int value;
    bool leads;
    uint64_t epoch;
    uint64_t deadline_ms;
    uint64_t revision; /* that created it */
    char path[64];
};

struct election {
    uint8_t policy;
    int eligible;
    bool is_kept;
};

struct run {
    struct kit k;
    struct rng rng;
    struct candidate candidates[CANDIDATES]; /* in the order in which they came */
    int count;
    struct election elections[ELECTIONS];
    uint64_t last_epoch[ELECTIONS];
    uint64_t leaders[ELECTIONS]; /* how often each got another one */
    struct candidate past;       /* that led long ago */
    uint32_t waited;
    uint32_t handed_over;
    uint32_t timed_out;
    uint32_t stale;
    uint32_t barred; /* nobody led, though somebody waited */
};

static struct run r;

static const char *election_path(int election)
{
    static const char *const paths[ELECTIONS] = {"/elections/a", "/elections/b", "/deep/er/c"};
    return paths[election];
}

static struct slice name_of(int name)
{
    static const char *const names[NAMES] = {"", "node 1", "100%\n"};
    return slice_str(names[name]);
}

/* 0: none. */
static struct slice label_of(int label)
{
    static const char *const labels[] = {"", "rack 1", "rack 2"};
    return slice_str(labels[label]);
}

static struct slice value_of(int value)
{
    static const char *const values[] = {"", "10.0.0.1:7400", "two\nlines"};
    return slice_str(values[value]);
}

/* ---- the model ---------------------------------------------------------------------------- */

static bool is_eligible(const struct candidate *c)
{
    int eligible = r.elections[c->election].eligible;
    return eligible == 0 || c->label == eligible;
}

static uint64_t rank_of(const struct candidate *c)
{
    uint8_t policy = r.elections[c->election].policy;
    return policy == ELECTION_PRIORITY ? c->priority : policy == ELECTION_NUMBER ? c->number : 0;
}

static int leader_of(int election)
{
    for (int i = 0; i < r.count; i++) {
        if (r.candidates[i].election == election && r.candidates[i].leads) {
            return i;
        }
    }
    return -1;
}

static int next_of(int election)
{
    int best = -1;
    for (int i = 0; i < r.count; i++) {
        const struct candidate *c = &r.candidates[i];
        bool may = c->election == election && !c->leads && is_eligible(c);
        if (may && (best < 0 || rank_of(c) > rank_of(&r.candidates[best]))) {
            best = i;
        }
    }
    return best;
}

static int size_of(int election)
{
    int count = 0;
    for (int i = 0; i < r.count; i++) {
        count += r.candidates[i].election == election;
    }
    return count;
}

static void drop(int index)
{
    memmove(&r.candidates[index], &r.candidates[index + 1],
            (size_t)(r.count - index - 1) * sizeof r.candidates[0]);
    r.count--;
}

static void lead(int index, uint64_t revision)
{
    struct candidate *c = &r.candidates[index];
    c->leads = true;
    c->epoch = revision;
    c->deadline_ms = 0;
}

static void settle(int election, uint64_t revision)
{
    int next;
    while (leader_of(election) < 0 && (next = next_of(election)) >= 0) {
        uint64_t deadline_ms = r.candidates[next].deadline_ms;
        if (deadline_ms != 0 && deadline_ms <= r.k.store->cluster_ms) {
            drop(next);
        } else {
            lead(next, revision);
        }
    }
    r.barred += leader_of(election) < 0 && size_of(election) > 0;
}

static int find(int election, uint64_t lease, int name)
{
    for (int i = 0; i < r.count; i++) {
        const struct candidate *c = &r.candidates[i];
        if (c->election == election && c->lease == lease && c->name == name) {
            return i;
        }
    }
    return -1;
}

static int draw_candidate(void)
{
    return r.count == 0 ? -1 : (int)rng_below(&r.rng, (uint64_t)r.count);
}

static int waiting_before(int index)
{
    const struct candidate *c = &r.candidates[index];
    int before = 0;
    for (int i = 0; i < r.count; i++) {
        const struct candidate *x = &r.candidates[i];
        if (x->election != c->election || x->leads || i == index) {
            continue;
        }
        bool is_ahead = is_eligible(x) != is_eligible(c) ? is_eligible(x)
                        : rank_of(x) != rank_of(c)       ? rank_of(x) > rank_of(c)
                                                         : i < index;
        before += is_ahead;
    }
    return before;
}

/* ---- the store against it ----------------------------------------------------------------- */

/* Before a command, which then has this time. */
static uint64_t prepare(void)
{
    r.k.cluster_ms += 1 + rng_below(&r.rng, 5);
    return store_revision(r.k.store) + 1;
}

static void compare_candidate(const struct node *n, const struct candidate *c,
                              struct arena *arena)
{
    struct recipe_record record;
    ck_assert(recipe_record_decode(value_slice(n->value), &record, arena));
    ck_assert_uint_eq(n->lease, c->lease);
    ck_assert_uint_eq(n->create_revision, c->revision);
    ck_assert_uint_eq(record.mode, MODE_CANDIDATE);
    ck_assert_uint_eq(record.state, c->leads ? ENTRY_HELD : ENTRY_WAITING);
    ck_assert_uint_eq(record.epoch, c->epoch);
    ck_assert_uint_eq(record.deadline_ms, c->deadline_ms);
    ck_assert_uint_eq(record.priority, c->priority);
    ck_assert_uint_eq(record.number, c->number);
    ck_assert(slice_equal(record.owner, name_of(c->name)));
    ck_assert(slice_equal(record.label, label_of(c->label)));
    ck_assert(slice_equal(record.value, value_of(c->value)));
}

static void compare_head(const struct node *n, int election, struct arena *arena)
{
    struct recipe_head head;
    const struct election *e = &r.elections[election];
    ck_assert(recipe_head_decode(value_slice(n->value), &head, arena));
    ck_assert_uint_eq(head.recipe, RECIPE_ELECTION);
    if (e->is_kept || size_of(election) > 0) {
        ck_assert_uint_eq(head.policy, e->policy);
        ck_assert(slice_equal(head.eligible, label_of(e->eligible)));
        ck_assert_uint_eq(head.keep, e->is_kept);
    }
}

static void compare(void)
{
    const struct tree *t = &r.k.store->tree;
    struct arena arena = {0};
    for (int election = 0; election < ELECTIONS; election++) {
        uint32_t slot = tree_find(t, SPACE_NODES, slice_str(election_path(election)));
        ck_assert(slot != TREE_NONE || !r.elections[election].is_kept);
        const struct dir *dir = slot == TREE_NONE ? NULL : node_dir(tree_node(t, slot));
        struct children_position p = {0, 0};
        for (int i = 0; i < r.count; i++) {
            if (r.candidates[i].election == election) {
                ck_assert_ptr_nonnull(dir);
                uint32_t child = children_next(&dir->children, &p);
                ck_assert_uint_ne(child, TREE_NONE);
                compare_candidate(tree_node(t, child), &r.candidates[i], &arena);
            }
        }
        ck_assert(dir == NULL || children_next(&dir->children, &p) == TREE_NONE);
        if (slot != TREE_NONE) {
            compare_head(tree_node(t, slot), election, &arena);
        }
        int leader = leader_of(election);
        if (leader >= 0 && r.candidates[leader].epoch != r.last_epoch[election]) {
            ck_assert_uint_gt(r.candidates[leader].epoch, r.last_epoch[election]);
            r.last_epoch[election] = r.candidates[leader].epoch;
            r.leaders[election]++;
        }
    }
    arena_close(&arena);
}

static void check_place(int index)
{
    struct candidate *c = &r.candidates[index];
    ck_assert_uint_eq(r.k.reply.recipe.place_count, 1);
    const struct recipe_place_result *p = &r.k.reply.recipe.places[0];
    ck_assert(p->held == c->leads);
    ck_assert_uint_eq(p->epoch, c->epoch);
    ck_assert_uint_eq(p->position, c->leads ? 0 : (uint64_t)waiting_before(index));
    ck_assert_uint_lt(p->path.size, sizeof c->path);
    snprintf(c->path, sizeof c->path, "%.*s", (int)p->path.size, (const char *)p->path.data);
    ck_assert(c->revision == 0 || c->revision == p->revision);
    c->revision = p->revision;
}

static struct command command_of(enum recipe_action action, const struct recipe_target *targets,
                                 uint32_t count)
{
    return (struct command){
        .type = COMMAND_RECIPE,
        .recipe = {.recipe = RECIPE_ELECTION,
                   .action = (uint8_t)action,
                   .targets = targets,
                   .target_count = count},
    };
}

/* ---- steps -------------------------------------------------------------------------------- */

static void say(struct candidate *c, struct command *command)
{
    c->priority = (uint32_t)rng_below(&r.rng, 4);
    c->number = rng_below(&r.rng, 4);
    c->label = (int)rng_below(&r.rng, 3);
    c->value = (int)rng_below(&r.rng, 3);
    command->recipe.priority = c->priority;
    command->recipe.number = c->number;
    command->recipe.label = label_of(c->label);
    command->recipe.value = value_of(c->value);
}

static void do_campaign(void)
{
    int election = (int)rng_below(&r.rng, ELECTIONS);
    struct election *e = &r.elections[election];
    struct candidate c = {
        .election = election,
        .lease = rng_range(&r.rng, 1, LEASES),
        .name = (int)rng_below(&r.rng, NAMES),
    };
    struct recipe_target target = {.path = slice_str(election_path(election))};
    struct command command = command_of(RECIPE_ACQUIRE, &target, 1);
    say(&c, &command);
    bool is_try = rng_chance(&r.rng, 150);
    uint8_t policy = rng_chance(&r.rng, 800) ? 0 : (uint8_t)rng_range(&r.rng, 1, 3);
    uint64_t wait_ms = is_try || rng_chance(&r.rng, 500) ? 0 : rng_range(&r.rng, 1, 100);
    command.recipe.lease = c.lease;
    command.recipe.owner = name_of(c.name);
    command.recipe.flags = is_try ? RECIPE_TRY : 0;
    command.recipe.policy = policy;
    command.recipe.wait_ms = wait_ms;
    uint64_t revision = prepare();
    enum outcome outcome = kit_run(&r.k, &command);
    uint64_t deadline_ms = wait_ms == 0 ? 0 : r.k.store->cluster_ms + wait_ms;
    bool is_fixed = e->is_kept || size_of(election) > 0;
    if (is_fixed && policy != 0 && policy != e->policy) {
        ck_assert_int_eq(outcome, OUTCOME_MISMATCH);
        return;
    }
    int index = find(election, c.lease, c.name);
    if (!is_fixed && outcome == OUTCOME_OK) { /* what an empty one said may count, or not */
        uint32_t slot =
            tree_find(&r.k.store->tree, SPACE_NODES, slice_str(election_path(election)));
        struct recipe_head head;
        ck_assert(recipe_head_decode(value_slice(tree_node(&r.k.store->tree, slot)->value),
                                     &head, &r.k.arena));
        ck_assert(policy == 0 || head.policy == policy);
        *e = (struct election){.policy = head.policy};
    }
    bool may_lead = leader_of(election) < 0 && is_eligible(&c);
    if (index >= 0 && (r.candidates[index].leads || !is_try)) {
        struct candidate *has = &r.candidates[index];
        has->priority = c.priority;
        has->number = c.number;
        has->label = c.label;
        has->value = c.value;
        has->deadline_ms = has->leads ? 0 : deadline_ms;
        settle(election, revision);
        index = find(election, c.lease, c.name); /* others may have run out of time */
    } else if (is_try && (index >= 0 || !may_lead)) {
        ck_assert_int_eq(outcome, OUTCOME_HELD);
        return;
    } else {
        index = r.count++;
        r.candidates[index] = c;
        r.candidates[index].deadline_ms = deadline_ms;
        if (may_lead) {
            lead(index, revision);
        }
        r.waited += !may_lead;
    }
    ck_assert_int_eq(outcome, OUTCOME_OK);
    check_place(index);
}

static void do_end(enum recipe_action action)
{
    int index = draw_candidate();
    if (index < 0) {
        return;
    }
    struct candidate c = r.candidates[index];
    bool is_wrong = rng_chance(&r.rng, 50);
    struct recipe_target target = {.path = slice_str(c.path), .revision = c.revision + is_wrong};
    struct command command = command_of(action, &target, 1);
    uint64_t revision = prepare();
    enum outcome outcome = kit_run(&r.k, &command);
    ck_assert_int_eq(outcome, is_wrong ? OUTCOME_NOT_HELD : OUTCOME_OK);
    if (!is_wrong) {
        drop(index);
        settle(c.election, revision);
        r.past = c.leads && rng_chance(&r.rng, 300) ? c : r.past;
    }
}

static void do_proclaim(void)
{
    int index = draw_candidate();
    if (index < 0) {
        return;
    }
    struct candidate *c = &r.candidates[index];
    struct recipe_target target = {.path = slice_str(c->path), .revision = c->revision};
    struct command command = command_of(RECIPE_PROCLAIM, &target, 1);
    int value = (int)rng_below(&r.rng, 3);
    command.recipe.value = value_of(value);
    (void)prepare();
    ck_assert_int_eq(kit_run(&r.k, &command), c->leads ? OUTCOME_OK : OUTCOME_NOT_HELD);
    c->value = c->leads ? value : c->value;
}

/* Of those with the name the one that would be next, or the leader. */
static int find_name(int election, int name)
{
    int best = -1;
    for (int i = 0; i < r.count; i++) {
        const struct candidate *c = &r.candidates[i];
        bool fits = c->election == election && c->name == name && !c->leads;
        if (fits && (best < 0 || waiting_before(i) < waiting_before(best))) {
            best = i;
        }
    }
    int leader = leader_of(election);
    return best < 0 && leader >= 0 && r.candidates[leader].name == name ? leader : best;
}

static void do_hand_over(void)
{
    int election = (int)rng_below(&r.rng, ELECTIONS);
    int index = draw_candidate();
    struct recipe_target targets[2] = {{.path = slice_str(election_path(election))}};
    struct command command = command_of(RECIPE_HAND_OVER, targets, 1);
    if (index < 0 || rng_chance(&r.rng, 500)) {
        int name = (int)rng_below(&r.rng, NAMES);
        index = find_name(election, name);
        command.recipe.owner = name_of(name);
    } else {
        targets[1].path = slice_str(r.candidates[index].path);
        targets[1].revision = rng_chance(&r.rng, 500) ? r.candidates[index].revision : 0;
        command.recipe.target_count = 2;
        index = r.candidates[index].election == election ? index : -1;
    }
    uint64_t revision = prepare();
    enum outcome outcome = kit_run(&r.k, &command);
    if (index < 0) {
        ck_assert_int_eq(outcome, OUTCOME_NOT_HELD);
        return;
    }
    struct candidate to = r.candidates[index];
    bool is_late = to.deadline_ms != 0 && to.deadline_ms <= r.k.store->cluster_ms;
    if (!to.leads && (!is_eligible(&to) || is_late)) {
        ck_assert_int_eq(outcome, is_eligible(&to) ? OUTCOME_NOT_HELD : OUTCOME_MISMATCH);
        return;
    }
    ck_assert_int_eq(outcome, OUTCOME_OK);
    if (!to.leads) {
        int leader = leader_of(election);
        lead(index, revision);
        if (leader >= 0) {
            drop(leader);
        }
        r.handed_over++;
    }
    check_place(find(election, to.lease, to.name));
}

static void do_configure(void)
{
    int election = (int)rng_below(&r.rng, ELECTIONS);
    struct election *e = &r.elections[election];
    struct recipe_target target = {.path = slice_str(election_path(election))};
    struct command command = command_of(RECIPE_CONFIGURE, &target, 1);
    int label = rng_chance(&r.rng, 500) ? 0 : (int)rng_below(&r.rng, 3);
    command.recipe.policy = (uint8_t)rng_range(&r.rng, 1, 3);
    command.recipe.label = label_of(label);
    uint64_t revision = prepare();
    ck_assert_int_eq(kit_run(&r.k, &command), OUTCOME_OK);
    *e = (struct election){command.recipe.policy, label, true};
    settle(election, revision);
}

/* Plain commands may delete it once nobody is there. */
static void do_delete(void)
{
    int election = (int)rng_below(&r.rng, ELECTIONS);
    const char *path = election_path(election);
    bool is_there = kit_exists(&r.k, path);
    ck_assert_int_eq(kit_delete(&r.k, path), !is_there             ? OUTCOME_NO_NODE
                                             : size_of(election) > 0 ? OUTCOME_PROTECTED
                                                                     : OUTCOME_OK);
    if (size_of(election) == 0) {
        r.elections[election] = (struct election){.policy = ELECTION_FIRST};
    }
}

static void do_end_lease(void)
{
    uint64_t id = rng_range(&r.rng, 1, LEASES);
    struct command c = {.type = COMMAND_REVOKE, .lease = {.id = id}};
    uint64_t revision = prepare();
    ck_assert_int_eq(kit_run(&r.k, &c), OUTCOME_OK);
    for (int i = r.count - 1; i >= 0; i--) {
        if (r.candidates[i].lease == id) {
            drop(i);
        }
    }
    for (int election = 0; election < ELECTIONS; election++) {
        settle(election, revision);
    }
    compare();
    kit_grant(&r.k, id);
}

static int find_path(struct slice path)
{
    for (int i = 0; i < r.count; i++) {
        if (slice_is(path, r.candidates[i].path)) {
            return i;
        }
    }
    return -1;
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
        for (int election = 0; election < ELECTIONS; election++) { /* what stays does not go */
            ck_assert(!r.elections[election].is_kept ||
                      !slice_is(due[i].path, election_path(election)));
        }
        int index = find_path(due[i].path);
        uint64_t revision = prepare();
        enum outcome outcome = kit_run(&r.k, &c);
        if (index >= 0 && r.candidates[index].revision == due[i].revision &&
            r.candidates[index].deadline_ms != 0) {
            int election = r.candidates[index].election;
            ck_assert_int_eq(outcome, OUTCOME_OK);
            drop(index);
            settle(election, revision);
            r.timed_out++;
        }
        compare();
    }
    arena_close(&arena);
}

/* A leadership guards writes as long as it lasts. */
static void do_guard(void)
{
    int index = draw_candidate();
    bool is_past = index < 0 || rng_chance(&r.rng, 300);
    const struct candidate *c = is_past ? &r.past : &r.candidates[index];
    struct op op = kit_op(OP_SET, "/data", "x");
    struct guard g = {.target = GUARD_GRANT,
                      .relation = GUARD_EQUAL,
                      .space = SPACE_NODES,
                      .path = slice_str(c->path),
                      .number = c->revision};
    if (c->revision == 0) {
        return;
    }
    struct command command = {
        .type = COMMAND_TXN,
        .txn = {.guards = &g, .guard_count = 1, .then_ops = &op, .then_count = 1},
    };
    bool leads = !is_past && c->leads;
    (void)prepare();
    ck_assert_int_eq(kit_run(&r.k, &command), leads ? OUTCOME_OK : OUTCOME_GUARD_STALE);
    r.stale += !leads;
}

/* A lock's commands do not touch a candidate, and a lock is not made of an election. */
static void do_lock(void)
{
    int index = draw_candidate();
    if (index < 0) {
        return;
    }
    struct recipe_target entry = {.path = slice_str(r.candidates[index].path)};
    struct recipe_target lock = {
        .path = slice_str(election_path(r.candidates[index].election)),
        .mode = LOCK_WRITE,
    };
    struct command c = command_of(RECIPE_RELEASE, &entry, 1);
    c.recipe.recipe = RECIPE_LOCK;
    ck_assert_int_eq(kit_run(&r.k, &c), OUTCOME_NOT_HELD);
    c = command_of(RECIPE_ACQUIRE, &lock, 1);
    c.recipe.recipe = RECIPE_LOCK;
    c.recipe.lease = 1;
    ck_assert_int_eq(kit_run(&r.k, &c), OUTCOME_NO_RECIPE);
    ck_assert_int_eq(kit_set(&r.k, r.candidates[index].path, "mine"), OUTCOME_PROTECTED);
}

static void step(void)
{
    uint64_t dice = rng_below(&r.rng, 1000);
    if (dice < 450) {
        do_campaign();
    } else if (dice < 570) {
        do_end(RECIPE_CANCEL);
    } else if (dice < 600) {
        do_end(RECIPE_REMOVE);
    } else if (dice < 650) {
        do_proclaim();
    } else if (dice < 730) {
        do_hand_over();
    } else if (dice < 760) {
        do_configure();
    } else if (dice < 775) {
        do_delete();
    } else if (dice < 800) {
        do_end_lease();
    } else if (dice < 870) {
        do_reap();
    } else if (dice < 960) {
        do_guard();
    } else if (dice < 975) {
        do_lock();
    } else {
        kit_reload(&r.k);
    }
    compare();
}

START_TEST(random_elections_are_as_in_the_model)
{
    memset(&r, 0, sizeof r);
    rng_init(&r.rng, (uint64_t)_i + 1);
    kit_open(&r.k);
    ck_assert_int_eq(kit_create(&r.k, "/data", ""), OUTCOME_OK);
    for (uint64_t id = 1; id <= LEASES; id++) {
        kit_grant(&r.k, id);
    }
    for (int i = 0; i < ELECTIONS; i++) {
        r.elections[i].policy = ELECTION_FIRST;
    }
    for (int i = 0; i < STEPS; i++) {
        step();
        if (i % 50 == 0) {
            store_check(r.k.store);
        }
    }
    ck_assert_uint_gt(r.waited, 100);
    ck_assert_uint_gt(r.handed_over, 20);
    ck_assert_uint_gt(r.timed_out, 10);
    ck_assert_uint_gt(r.stale, 20);
    ck_assert_uint_gt(r.barred, 10);
    for (int election = 0; election < ELECTIONS; election++) {
        ck_assert_uint_gt(r.leaders[election], 50);
    }
    kit_close(&r.k);
}
END_TEST

static Suite *election_model_suite(void)
{
    Suite *suite = suite_create("election_model");
    TCase *tcase = tcase_create("election_model");
    tcase_add_loop_test(tcase, random_elections_are_as_in_the_model, 0, 8);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){election_model_suite, NULL});
}
