/* Random traffic on a shard map: nodes come, are lost and come back, moves are planned, reported,
 * held, aborted, shards split and merged, the store replaced by what its snapshot loads to. Nodes
 * write on behalf of shards with what they last read of the map, however long ago that was.
 *
 * After each command a naive look from outside: who leads, has the data, and is there; the epoch
 * moved just when the assignment did; moves keep to their limits; and of all writes that were ever
 * let through, no two by different nodes had the same shard and epoch. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "lease/lease.h"
#include "recipes/shard_record.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

#define NODES_MAX  20
#define SHARDS_MAX 64
#define CONCURRENT 3
#define STEPS      6000
#define EPOCHS_MAX 20000
#define MAP        "/search/docs"

/* Check's own assertions write to a pipe each time; there are millions here. */
#define must(cond)                     \
    do {                               \
        if (!(cond)) {                 \
            ck_abort_msg("%s", #cond); \
        }                              \
    } while (0)

struct seen {
    bool exists;
    uint64_t epoch;
    char leader[8];
    char last[8]; /* who led last; "" = not known, as of a shard that was split off */
    bool led_by_hand;
    char replicas[64];
    bool has_data[NODES_MAX]; /* whose copy is whole */
};

struct belief {
    uint64_t epoch;
    bool leads;
};

struct written {
    uint32_t shard;
    uint64_t epoch;
    int node;
};

static struct kit k;
static struct rng rng;
static struct seen shards[SHARDS_MAX];
static struct belief beliefs[NODES_MAX][SHARDS_MAX];
static struct written writes[EPOCHS_MAX];
static uint32_t write_count;
static uint32_t let_through;
static uint32_t refused;
static uint32_t switched;
static uint32_t widest; /* replicas of a shard */
static uint64_t lease_of[NODES_MAX]; /* 0: away */
static uint64_t last_lease;
static bool is_unclean; /* whoever is back leads */
static bool is_wide;    /* shards have about as many replicas as may be */
static int nodes;

static uint32_t below(uint32_t bound)
{
    return (uint32_t)rng_below(&rng, bound);
}

static int some_node(void)
{
    return (int)below((uint32_t)nodes);
}

static const char *name_of(int node)
{
    static const char *const names[NODES_MAX] = {"na", "nb", "nc", "nd", "ne", "nf", "ng",
                                                 "nh", "ni", "nj", "nk", "nl", "nm", "nn",
                                                 "no", "np", "nq", "nr", "ns", "nt"};
    return names[node];
}

static int node_of(struct slice name)
{
    return name.size == 2 ? name.data[1] - 'a' : -1;
}

static uint32_t find(const char *path)
{
    return tree_find(&k.store->tree, SPACE_NODES, slice_str(path));
}

static struct slice value_at(uint32_t slot)
{
    return value_slice(tree_node(&k.store->tree, slot)->value);
}

static bool read_shard(uint32_t shard, struct shard_record *r)
{
    char path[64];
    snprintf(path, sizeof path, MAP "/shards/s-%010u", shard);
    uint32_t slot = find(path);
    if (slot != TREE_NONE && !shard_record_decode(value_at(slot), r)) {
        ck_abort_msg("a shard says: %.*s", (int)value_at(slot).size,
                     (const char *)value_at(slot).data);
    }
    return slot != TREE_NONE;
}

static bool is_here(struct slice name)
{
    return name.size > 0 && lease_of[node_of(name)] != 0;
}

/* ---- a look from outside ------------------------------------------------------------------ */

static void check_data(const struct shard_record *r, const struct seen *s)
{
    if (r->leader.size > 0) {
        must(names_have(r->replicas, r->leader));
        must(is_here(r->leader));
        must(s->has_data[node_of(r->leader)]); /* who leads has not got the data */
        return;
    }
    struct slice rest = r->replicas;
    struct slice name;
    must(r->awaits.size == 0 || names_have(r->replicas, r->awaits));
    must(!is_here(r->awaits)); /* nobody leads though who led last could */
    while (is_unclean && names_next(&rest, &name)) {
        must(!is_here(name) || r->epoch == 0); /* or though anybody could */
    }
}

static void check_shard(uint32_t shard)
{
    struct seen *s = &shards[shard];
    struct shard_record r;
    if (!read_shard(shard, &r)) {
        s->exists = false;
        return;
    }
    char leader[8];
    char replicas[64];
    snprintf(leader, sizeof leader, "%.*s", (int)r.leader.size, (const char *)r.leader.data);
    snprintf(replicas, sizeof replicas, "%.*s", (int)r.replicas.size,
             (const char *)r.replicas.data);
    if (!s->exists) {
        *s = (struct seen){.exists = true};
        struct slice rest = r.replicas; /* those it was split from have the data */
        struct slice name;
        while (names_next(&rest, &name)) {
            s->has_data[node_of(name)] = true;
        }
    } else if (strcmp(leader, s->leader) != 0 || strcmp(replicas, s->replicas) != 0) {
        must(r.epoch == store_revision(k.store));
        must(r.epoch > s->epoch);
        if (s->replicas[0] == '\0') {
            struct slice rest = r.replicas; /* assigned: there was nothing to copy */
            struct slice name;
            while (names_next(&rest, &name)) {
                s->has_data[node_of(name)] = true;
            }
        }
    } else {
        must(r.epoch == s->epoch || r.epoch == store_revision(k.store));
    }
    /* All were lost: only who led last has all that was written. */
    if (s->leader[0] == '\0' && leader[0] != '\0' && s->last[0] != '\0' && !is_unclean &&
        names_have(r.replicas, slice_str(s->last))) {
        must(strcmp(leader, s->last) == 0 || s->led_by_hand);
    }
    s->led_by_hand = false;
    if (leader[0] != '\0') {
        memcpy(s->last, leader, sizeof leader);
    }
    s->epoch = r.epoch;
    memcpy(s->leader, leader, sizeof leader);
    memcpy(s->replicas, replicas, sizeof replicas);
    widest = names_count(r.replicas) > widest ? names_count(r.replicas) : widest;
    check_data(&r, s);
}

static uint32_t moves_read(uint32_t *numbers, struct shard_move *moves, uint32_t max)
{
    uint32_t dir_slot = find(MAP "/moves");
    const struct dir *dir = node_dir(tree_node(&k.store->tree, dir_slot));
    struct children_position p = {0, 0};
    uint32_t count = 0;
    for (uint32_t slot; dir != NULL && count < max &&
                        (slot = children_next(&dir->children, &p)) != TREE_NONE;) {
        struct slice name = node_name(tree_node(&k.store->tree, slot));
        numbers[count] = (uint32_t)strtoul((const char *)name.data + 2, NULL, 10);
        must(shard_move_decode(value_at(slot), &moves[count]));
        count++;
    }
    return count;
}

static void check_moves(void)
{
    uint32_t numbers[256];
    struct shard_move moves[256];
    uint32_t active = 0;
    uint32_t count = moves_read(numbers, moves, 256);
    for (uint32_t i = 0; i < count; i++) {
        const struct shard_move *m = &moves[i];
        if (m->state == MOVE_QUEUED) {
            continue;
        }
        active++;
        for (uint32_t j = 0; j < i; j++) {
            must(moves[j].state == MOVE_QUEUED || moves[j].shard != m->shard);
        }
        must(is_here(m->state == MOVE_CLEANING_UP ? m->cleans : m->to));
    }
    must(active <= CONCURRENT);
}

static void check(void)
{
    for (uint32_t i = 0; i < SHARDS_MAX; i++) {
        check_shard(i);
    }
    check_moves();
}

/* ---- traffic ------------------------------------------------------------------------------ */

static enum outcome run(struct command_shard what)
{
    struct command c = {.type = COMMAND_SHARD, .shard = what};
    c.shard.path = slice_str(MAP);
    return kit_run(&k, &c);
}

static void create_map(void)
{
    struct shard_step count = {.number = 8};
    static const char clean[] = "strategy=hash\nslots=64\nreplicas=2\npromote=fresh\n"
                                "balance=replicas\nconcurrent=3\n";
    static const char unclean[] = "strategy=hash\nslots=64\nreplicas=2\npromote=fresh\n"
                                  "balance=replicas\nconcurrent=3\nunclean=1\n";
    const char *spec = is_unclean ? unclean : clean;
    ck_assert_int_eq(
        run((struct command_shard){
            .action = SHARD_CREATE, .text = slice_str(spec), .steps = &count, .step_count = 1}),
        OUTCOME_OK);
}

static void grant_lease(void)
{
    struct command grant = {
        .type = COMMAND_GRANT,
        .lease = {.id = ++last_lease,
                  .ttl_ms = 10000,
                  .kind = LEASE_PLAIN,
                  .secret = slice_str("0123456789abcdef")},
    };
    ck_assert_int_eq(kit_run(&k, &grant), OUTCOME_OK);
}

/* Now and then with the lease of another node. */
static void do_join(int node)
{
    uint64_t shared = below(4) == 0 ? lease_of[some_node()] : 0;
    if (lease_of[node] != 0) {
        return;
    }
    if (shared == 0) {
        grant_lease();
    }
    lease_of[node] = shared != 0 ? shared : last_lease;
    ck_assert_int_eq(run((struct command_shard){.action = SHARD_JOIN,
                                                .node = slice_str(name_of(node)),
                                                .text = slice_str("weight=100\n"),
                                                .lease = lease_of[node]}),
                     OUTCOME_OK);
}

/* A copy that was not whole yet is worth nothing when its node comes back. */
static void forget_targets(int node)
{
    uint32_t numbers[256];
    struct shard_move moves[256];
    uint32_t count = moves_read(numbers, moves, 256);
    for (uint32_t i = 0; i < count; i++) {
        const struct shard_move *m = &moves[i];
        bool is_target = node_of(m->to) == node && m->kind != SHARD_LEAD &&
                         m->state >= MOVE_PREPARING && m->state <= MOVE_SWITCHING;
        bool cleans = m->state == MOVE_CLEANING_UP && node_of(m->cleans) == node;
        if (is_target || cleans) {
            shards[m->shard].has_data[node] = false;
        }
    }
}

static void do_lose(int node)
{
    if (lease_of[node] == 0 || (is_wide && below(8) != 0)) {
        return;
    }
    enum outcome outcome;
    if (below(2) == 0) {
        uint64_t lease = lease_of[node];
        for (int i = 0; i < nodes; i++) { /* all that it has */
            if (lease_of[i] == lease) {
                forget_targets(i);
                lease_of[i] = 0;
            }
        }
        outcome = kit_expire(&k, lease);
    } else {
        forget_targets(node);
        lease_of[node] = 0;
        outcome = run(
            (struct command_shard){.action = SHARD_LEAVE, .node = slice_str(name_of(node))});
    }
    must(outcome == (OUTCOME_OK));
}

/* As many as may be of those that are here. */
static const char *wide_replicas(void)
{
    static char names[3 * NODES_MAX];
    uint32_t count = 0;
    names[0] = '\0';
    for (int node = 0; node < nodes && count < SHARD_REPLICAS_MAX; node++) {
        if (lease_of[node] != 0) {
            strcat(names, count++ > 0 ? "," : "");
            strcat(names, name_of(node));
        }
    }
    return names;
}

static const char *first_replicas(void)
{
    return is_wide ? wide_replicas() : below(2) == 0 ? "na,nb" : "nd,nc";
}

/* So that shards get no less wide for long. */
static bool drops_too_much(const struct shard_record *r)
{
    return names_count(r->replicas) < 2 || (is_wide && below(16) != 0);
}

static void do_plan(void)
{
    struct shard_step steps[4];
    uint32_t count = 1 + below(3);
    for (uint32_t i = 0; i < count; i++) {
        struct shard_record r = {0};
        uint32_t shard = below(12);
        bool is_there = read_shard(shard, &r);
        steps[i] = (struct shard_step){
            .number = shard,
            .kind = (uint8_t)(1 + below(4)),
            .from = slice_str(name_of(some_node())),
            .to = slice_str(name_of(some_node())),
            .why = slice_str("because"),
        };
        if (is_there && r.replicas.size == 0) {
            steps[i].kind = SHARD_STEP_ASSIGN;
            steps[i].to = slice_str(first_replicas());
        }
        if (steps[i].kind == SHARD_DROP && drops_too_much(&r)) {
            steps[i].kind = SHARD_ADD;
        }
    }
    uint64_t base = store_revision(k.store) - (below(20) == 0 ? 1 : 0);
    enum outcome outcome = run((struct command_shard){
        .action = SHARD_PLAN, .base = base, .steps = steps, .step_count = count});
    must(outcome == OUTCOME_OK || outcome == OUTCOME_MISMATCH || outcome == OUTCOME_NO_NODE ||
         outcome == OUTCOME_BAD_VERSION);
}

/* What the report means for who has the data, if it is let through. */
static void reported(const struct shard_move *m, uint64_t state, int who)
{
    struct seen *s = &shards[m->shard];
    if (state == MOVE_SWITCHING && m->state == MOVE_CATCHING_UP) {
        s->has_data[who] = true;
        s->led_by_hand = m->kind == SHARD_LEAD;
        switched++;
    }
    if (state == MOVE_DONE && m->state == MOVE_CLEANING_UP) {
        s->has_data[who] = false;
    }
}

static bool somebody_is_here(const struct shard_record *r)
{
    struct slice rest = r->replicas;
    struct slice name;
    while (names_next(&rest, &name)) {
        if (is_here(name)) {
            return true;
        }
    }
    return false;
}

static void do_report(void)
{
    uint32_t numbers[256];
    struct shard_move moves[256];
    uint32_t count = moves_read(numbers, moves, 256);
    if (count == 0) {
        return;
    }
    uint32_t pick = below(count);
    for (uint32_t i = 0; i < count && moves[pick].state == MOVE_QUEUED; i++) {
        pick = (pick + 1) % count;
    }
    const struct shard_move m = moves[pick];
    int who = node_of(m.state == MOVE_CLEANING_UP ? m.cleans : m.to);
    uint64_t state = m.state + 1;
    if (below(10) == 0) {
        state = 1 + below(7);
        who = some_node();
    }
    if (who < 0 || lease_of[who] == 0 || state < MOVE_PREPARING) {
        return;
    }
    struct shard_step step = {.number = numbers[pick], .state = (uint8_t)state, .amount = 500};
    struct seen before = shards[m.shard];
    bool is_fine = m.state != MOVE_QUEUED && m.held == 0 &&
                   who == node_of(m.state == MOVE_CLEANING_UP ? m.cleans : m.to) &&
                   (state == m.state || state == m.state + 1);
    if (state == MOVE_SWITCHING && m.state == MOVE_CATCHING_UP) {
        struct shard_record r;
        must(read_shard((uint32_t)m.shard, &r));
        is_fine = is_fine && (r.leader.size > 0 || (m.kind == SHARD_LEAD && somebody_is_here(&r)));
    }
    if (is_fine) {
        reported(&m, state, who);
    }
    enum outcome outcome = run((struct command_shard){.action = SHARD_REPORT,
                                                      .node = slice_str(name_of(who)),
                                                      .steps = &step,
                                                      .step_count = 1});
    must(outcome == (is_fine ? OUTCOME_OK : OUTCOME_MISMATCH));
    /* Switched: the assignment is another one, and so is the epoch, in this very revision; unless
     * who was to lead had come to lead already, as a follower of who was lost. */
    if (is_fine && state == MOVE_SWITCHING && m.state == MOVE_CATCHING_UP) {
        struct shard_record r;
        must(read_shard((uint32_t)m.shard, &r));
        bool led_already = strcmp(before.leader, name_of(who)) == 0;
        must(led_already ? r.epoch == before.epoch : r.epoch == store_revision(k.store));
        must(led_already || r.epoch > before.epoch);
        must(names_have(r.replicas, slice_str(name_of(who))));
    }
}

static void do_stop(void)
{
    uint32_t numbers[256];
    struct shard_move moves[256];
    uint32_t count = moves_read(numbers, moves, 256);
    if (count == 0) {
        return;
    }
    uint32_t pick = below(count);
    uint8_t action = (uint8_t)(SHARD_ABORT + below(3));
    struct shard_step step = {.number = numbers[pick]};
    bool is_late = action == SHARD_ABORT && moves[pick].state == MOVE_CLEANING_UP;
    enum outcome outcome =
        run((struct command_shard){.action = action, .steps = &step, .step_count = 1});
    must(outcome == (is_late ? OUTCOME_MISMATCH : OUTCOME_OK));
}

static void do_split_or_merge(void)
{
    struct shard_step step = {.number = below(12)};
    struct command_shard what = {.action = SHARD_SPLIT, .steps = &step, .step_count = 1};
    uint32_t made = 0;
    for (uint32_t i = 0; i < SHARDS_MAX; i++) {
        made += shards[i].exists;
    }
    if (made > 20 || below(3) == 0) {
        what.action = SHARD_MERGE;
        what.base = below(12);
    }
    (void)run(what);
}

static void do_stats(void)
{
    int node = some_node();
    char text[128];
    snprintf(text, sizeof text, "0 1 2 3 %u\n3 10 20 30 %u\n", below(100), below(100));
    enum outcome outcome = run((struct command_shard){
        .action = SHARD_STATS, .node = slice_str(name_of(node)), .text = slice_str(text)});
    must(outcome == (lease_of[node] != 0 ? OUTCOME_OK : OUTCOME_NOT_HELD));
}

/* ---- writes of the nodes ------------------------------------------------------------------ */

static void do_read_map(int node)
{
    for (uint32_t i = 0; i < SHARDS_MAX; i++) {
        struct shard_record r;
        bool is_there = read_shard(i, &r);
        beliefs[node][i].leads = is_there && slice_is(r.leader, name_of(node));
        beliefs[node][i].epoch = is_there ? r.epoch : 0;
    }
}

static void remember_write(uint32_t shard, uint64_t epoch, int node)
{
    for (uint32_t i = 0; i < write_count; i++) {
        bool is_same = writes[i].shard == shard && writes[i].epoch == epoch;
        must(!is_same || writes[i].node == node); /* two nodes wrote under one epoch */
        if (is_same) {
            return;
        }
    }
    must(write_count < EPOCHS_MAX);
    writes[write_count++] = (struct written){shard, epoch, node};
}

/* A node that believes to lead writes, with the epoch that it knows as a guard. */
static void do_write(int node)
{
    uint32_t shard = below(12);
    const struct belief *b = &beliefs[node][shard];
    if (!b->leads) {
        return;
    }
    char path[64];
    snprintf(path, sizeof path, MAP "/shards/s-%010u", shard);
    struct guard guard = {
        .target = GUARD_GRANT,
        .relation = GUARD_EQUAL,
        .space = SPACE_NODES,
        .path = slice_str(path),
        .number = b->epoch,
    };
    struct op op = kit_op(OP_SET, "/written", "x");
    struct command c = {
        .type = COMMAND_TXN,
        .txn = {.guards = &guard, .guard_count = 1, .then_ops = &op, .then_count = 1},
    };
    struct shard_record r;
    bool is_current = read_shard(shard, &r) && r.epoch == b->epoch;
    enum outcome outcome = kit_run(&k, &c);
    must(outcome == (is_current ? OUTCOME_OK : OUTCOME_GUARD_STALE));
    if (outcome == OUTCOME_OK) {
        let_through++;
        remember_write(shard, b->epoch, node);
    } else {
        refused++;
    }
}

static void step(void)
{
    uint32_t dice = below(1000);
    int node = some_node();
    if (dice < 60) {
        do_join(node);
    } else if (dice < 85) {
        do_lose(node);
    } else if (dice < 200) {
        do_plan();
    } else if (dice < 520) {
        do_report();
    } else if (dice < 545) {
        do_stop();
    } else if (dice < 560) {
        do_split_or_merge();
    } else if (dice < 600) {
        do_stats();
    } else if (dice < 700) {
        do_read_map(node);
    } else if (dice < 995) {
        do_write(node);
        return; /* the map has not changed */
    } else {
        kit_reload(&k);
    }
    check();
}

static void run_seed(uint64_t seed)
{
    memset(shards, 0, sizeof shards);
    memset(beliefs, 0, sizeof beliefs);
    memset(lease_of, 0, sizeof lease_of);
    write_count = let_through = refused = switched = widest = 0;
    last_lease = 0;
    is_unclean = seed % 2 == 0;
    is_wide = seed % 5 == 0;
    nodes = is_wide ? NODES_MAX : 6;
    rng_init(&rng, seed);
    kit_open(&k);
    ck_assert_int_eq(kit_create(&k, "/written", "-"), OUTCOME_OK);
    create_map();
    check();
    for (int node = 0; node < nodes; node++) {
        do_join(node);
    }
    for (int i = 0; i < (is_wide ? 3 * STEPS : STEPS); i++) {
        step();
        if (i % 500 == 0) {
            store_check(k.store);
        }
    }
    must(let_through > 50);
    must(refused > 20);
    must(switched > 20);
    must(!is_wide || widest == SHARD_REPLICAS_HELD_MAX);
    must(widest <= SHARD_REPLICAS_HELD_MAX);
    kit_close(&k);
}

START_TEST(no_two_nodes_write_for_a_shard_under_one_epoch_whatever_happens_to_moves)
{
    run_seed((uint64_t)_i + 1);
}
END_TEST

static Suite *shard_model_suite(void)
{
    Suite *s = suite_create("shard_model");
    TCase *t = tcase_create("random");
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(
        t, no_two_nodes_write_for_a_shard_under_one_epoch_whatever_happens_to_moves, 0, 20);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){shard_model_suite, NULL});
}
