/* Watches against a naive oracle: a list of all changes there ever were, walked from the start for
 * every watch. Random commands feed a real store; watches of all scopes and filters come and go,
 * take less than they are given, stop and start each other from inside deliveries and free their
 * memory there; the log is cut; the store is replaced by what a snapshot of it loads to. Every
 * watch must get just the changes that its filter lets through, in order, once, revision by
 * revision, or be told COMPACTED, and only when it lacks something.
 *
 * COORD_MODEL_SEQUENCES (default 200) and COORD_MODEL_SEED choose how much and which. */
#include <fnmatch.h>

#include "base/mem.h"
#include "base/rng.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"
#include "watch/track.h"

#define STEPS      300
#define CLIENTS    40
#define PATH_BYTES 64

/* Check tells its parent process of every assertion, which would take most of the time here. */
#define EXPECT(condition) ((condition) ? (void)0 : ck_abort_msg("%s", #condition))

struct entry {
    uint64_t revision;
    uint32_t sub;
    uint8_t type;
    uint8_t space;
    char path[PATH_BYTES];
};

struct world;

struct client {
    struct watch watch;
    struct world *world;
    size_t slot;
    uint8_t scope;
    uint8_t space;
    uint8_t types;
    uint32_t depth;
    char path[PATH_BYTES];
    char glob[16];
    uint64_t start; /* first revision asked for */
    size_t next;    /* in the oracle's list */
    /* Of the last change taken, whose revision may go on. */
    uint64_t taken_revision;
    uint64_t known; /* watch_delivered, before the hub was called last */
    int caught_up;
};

struct world {
    struct kit kit;
    struct watch_hub *hub;
    struct rng rng;
    struct entry *log;
    size_t count;
    size_t capacity;
    struct client *clients[CLIENTS];
    int depth; /* of calls from inside calls */
    size_t delivered;
    size_t compacted;
    size_t waits;
};

/* ---- the oracle -------------------------------------------------------------------------- */

static uint32_t level_of(const char *path)
{
    uint32_t level = 0;
    for (const char *p = path; *p != '\0' && strcmp(path, "/") != 0; p++) {
        level += *p == '/';
    }
    return level;
}

static bool is_child(const char *parent, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t bytes = slash == path ? 1 : (size_t)(slash - path);
    return slash[1] != '\0' && strlen(parent) == bytes && strncmp(parent, path, bytes) == 0;
}

static bool is_inside(const char *top, const char *path)
{
    size_t bytes = strlen(top);
    return strcmp(top, "/") == 0 || strcmp(top, path) == 0 ||
           (strncmp(top, path, bytes) == 0 && path[bytes] == '/');
}

static bool wants(const struct client *c, const struct entry *e)
{
    const char *name = e->space == 'Z' ? strrchr(e->path, '/') + 1 : e->path;
    if (e->revision < c->start || e->space != c->space ||
        (c->types != 0 && (c->types & 1 << e->type) == 0) ||
        (c->glob[0] != '\0' && fnmatch(c->glob, name, 0) != 0)) {
        return false;
    }
    switch (c->scope) {
    case WATCH_NODE: return strcmp(c->path, e->path) == 0;
    case WATCH_CHILDREN: return is_child(c->path, e->path);
    case WATCH_SUBTREE:
        return is_inside(c->path, e->path) &&
               (c->depth == 0 || level_of(e->path) - level_of(c->path) <= c->depth);
    default: return strncmp(c->path, e->path, strlen(c->path)) == 0;
    }
}

static size_t next_wanted(const struct client *c, size_t at)
{
    while (at < c->world->count && !wants(c, &c->world->log[at])) {
        at++;
    }
    return at;
}

static void remember(struct world *x, uint64_t from)
{
    const struct history *h = store_history(x->kit.store);
    for (uint64_t p = from; p < h->end; p++) {
        const struct change *c = history_at(h, p);
        if (x->count == x->capacity) {
            x->capacity = x->capacity == 0 ? 256 : x->capacity * 2;
            x->log = mem_resize(x->log, x->capacity * sizeof *x->log);
        }
        struct entry *e = &x->log[x->count++];
        *e = (struct entry){
            .revision = c->revision, .sub = c->sub, .type = c->type, .space = c->space};
        EXPECT(c->path.size < PATH_BYTES);
        memcpy(e->path, c->path.data, c->path.size);
    }
}

/* ---- clients ----------------------------------------------------------------------------- */

static void act_from_inside(struct world *x);

static void check_delivery(const struct client *c, const struct change *const *changes,
                           size_t count, bool continued, bool more)
{
    const struct world *x = c->world;
    size_t at = c->next;
    EXPECT(count > 0);
    EXPECT(continued == (changes[0]->revision == c->taken_revision));
    if (x->hub->pairs_max == WATCH_PAIRS_MAX) {
        EXPECT(!more); /* only what the owner did not take comes later */
    }
    for (size_t i = 0; i < count; i++) {
        at = next_wanted(c, at);
        EXPECT(at < x->count);
        const struct entry *e = &x->log[at++];
        EXPECT(changes[i]->revision == e->revision);
        EXPECT(changes[i]->sub == e->sub);
        EXPECT(changes[i]->type == e->type);
        EXPECT(changes[i]->space == e->space);
        EXPECT(slice_is(changes[i]->path, e->path));
        EXPECT(changes[i]->revision == changes[0]->revision);
    }
    at = next_wanted(c, at);
    EXPECT(more == (at < x->count && x->log[at].revision == changes[0]->revision));
    EXPECT(changes[0]->revision <= hub_revision(x->hub) + 1);
}

static void forget(struct client *c)
{
    watch_stop(c->world->hub, &c->watch);
    c->world->clients[c->slot] = NULL;
    mem_free(c);
}

static size_t on_deliver(struct watch *w, const struct change *const *changes, size_t count,
                         bool continued, bool more)
{
    struct client *c = LIST_OF(w, struct client, watch);
    struct world *x = c->world;
    EXPECT(w->state == WATCH_LIVE || w->state == WATCH_BEHIND);
    check_delivery(c, changes, count, continued, more);
    size_t taken = rng_chance(&x->rng, 250) ? rng_below(&x->rng, count + 1) : count;
    for (size_t i = 0; i < taken; i++) {
        c->next = next_wanted(c, c->next) + 1;
        c->taken_revision = changes[i]->revision;
    }
    x->delivered += taken;
    x->waits += taken < count;
    size_t slot = c->slot;
    if (x->depth == 0 && rng_chance(&x->rng, 150)) {
        x->depth++;
        act_from_inside(x); /* perhaps stops and frees this very watch, or starts it anew */
        x->depth--;
    }
    return x->clients[slot] == c ? taken
                                 : count + 1000; /* of a stopped one nobody looks at it */
}

static void on_compacted(struct watch *w, uint64_t floor)
{
    struct client *c = LIST_OF(w, struct client, watch);
    struct world *x = c->world;
    EXPECT(w->state == WATCH_STOPPED);
    EXPECT(floor == store_history_floor(x->kit.store));
    EXPECT(c->known + 1 < floor);
    x->compacted++;
    if (rng_chance(&x->rng, 300)) { /* anew, with the filter that it had */
        const struct watch_filter filter = w->filter;
        EXPECT(watch_start(x->hub, w, &filter, w->ops, floor) == OUTCOME_OK);
        c->start = floor;
        c->taken_revision = 0;
        c->known = watch_delivered(x->hub, w);
        return;
    }
    x->clients[c->slot] = NULL;
    mem_free(c);
    if (rng_chance(&x->rng, 500)) {
        act_from_inside(x);
    }
}

static void on_caught_up(struct watch *w)
{
    struct client *c = LIST_OF(w, struct client, watch);
    EXPECT(w->state == WATCH_LIVE);
    EXPECT(watch_delivered(c->world->hub, w) == hub_revision(c->world->hub));
    c->caught_up++;
    if (rng_chance(&c->world->rng, 100)) {
        act_from_inside(c->world);
    }
}

static const struct watch_ops client_ops = {
    .deliver = on_deliver, .compacted = on_compacted, .caught_up = on_caught_up};

static void random_path(struct rng *rng, uint8_t space, char *path)
{
    size_t bytes = 0;
    uint64_t levels = rng_range(rng, 1, 4);
    for (uint64_t i = 0; i < levels; i++) {
        if (space == 'Z') {
            path[bytes++] = '/';
        }
        path[bytes++] = (char)('a' + rng_below(rng, 3));
        if (rng_chance(rng, 200)) {
            path[bytes++] = (char)('a' + rng_below(rng, 2));
        }
    }
    path[bytes] = '\0';
}

static void random_filter(struct client *c, struct rng *rng)
{
    static const char *const globs[] = {"*", "?", "a*", "[!b]", "[a-b]*", "*a", "\\a?"};
    c->space = rng_chance(rng, 150) ? 'M' : 'Z';
    c->scope = (uint8_t)rng_range(rng, WATCH_NODE, WATCH_PREFIX);
    if (c->space == 'M' && c->scope != WATCH_NODE) {
        c->scope = WATCH_PREFIX;
    }
    random_path(rng, c->space, c->path);
    if (rng_chance(rng, 250)) {
        snprintf(c->path, sizeof c->path, "%s", c->space == 'Z' ? "/" : "a");
    } else if (c->scope == WATCH_PREFIX) {
        c->path[rng_range(rng, c->space == 'Z' ? 1 : 0, strlen(c->path))] = '\0';
    } else if (c->space == 'Z' && rng_chance(rng, 600)) {
        c->path[2] = '\0';
    }
    c->types = rng_chance(rng, 300) ? (uint8_t)(rng_range(rng, 1, 7) << 1) : 0;
    c->depth = c->scope == WATCH_SUBTREE ? (uint32_t)rng_below(rng, 4) : 0;
    if (rng_chance(rng, 300)) {
        snprintf(c->glob, sizeof c->glob, "%s", globs[rng_below(rng, 7)]);
    }
}

static uint64_t random_start(struct world *x)
{
    uint64_t now = store_revision(x->kit.store);
    uint64_t floor = store_history_floor(x->kit.store);
    switch (rng_below(&x->rng, 4)) {
    case 0: return 0;
    case 1: return now + rng_below(&x->rng, 4);
    case 2: return rng_range(&x->rng, floor > 2 ? floor - 2 : 1, now);
    default: return rng_range(&x->rng, 1, now + 1);
    }
}

static void start_client(struct world *x, size_t slot)
{
    struct client *c = mem_zalloc(sizeof *c);
    uint64_t floor = store_history_floor(x->kit.store);
    uint64_t from = random_start(x);
    c->world = x;
    c->slot = slot;
    random_filter(c, &x->rng);
    char path[PATH_BYTES];
    memcpy(path, c->path, sizeof path);
    struct watch_filter filter = {
        .scope = c->scope,
        .space = c->space,
        .types = c->types,
        .depth = c->depth,
        .path = slice_str(path),
        .glob = slice_str(c->glob),
    };
    struct errmsg err = {0};
    ck_assert_msg(watch_filter_check(&filter, &err) == OUTCOME_OK, "%s", err.text);
    enum outcome outcome = watch_start(x->hub, &c->watch, &filter, &client_ops, from);
    memset(path, 0, sizeof path); /* it has been copied */
    if (from != 0 && from < floor && floor > 2) {
        EXPECT(outcome == OUTCOME_COMPACTED);
        EXPECT(c->watch.state == WATCH_STOPPED);
        mem_free(c);
        return;
    }
    EXPECT(outcome == OUTCOME_OK);
    c->start = from != 0 ? from : store_revision(x->kit.store) + 1;
    c->known = watch_delivered(x->hub, &c->watch);
    x->clients[slot] = c;
}

static void act_on_client(struct world *x, size_t slot)
{
    struct client *c = x->clients[slot];
    if (c == NULL) {
        start_client(x, slot);
    } else if (rng_chance(&x->rng, 400)) {
        forget(c);
        if (rng_chance(&x->rng, 500)) {
            start_client(x, slot);
        }
    } else {
        watch_resume(x->hub, &c->watch);
    }
}

static void act_from_inside(struct world *x)
{
    uint64_t times = rng_range(&x->rng, 1, 3);
    for (uint64_t i = 0; i < times; i++) {
        act_on_client(x, rng_below(&x->rng, CLIENTS));
    }
}

/* ---- the store --------------------------------------------------------------------------- */

static void random_command(struct world *x)
{
    struct op ops[8];
    char paths[8][PATH_BYTES];
    uint32_t count = rng_chance(&x->rng, 600) ? 1 : (uint32_t)rng_range(&x->rng, 2, 8);
    static const uint8_t types[] = {OP_CREATE, OP_CREATE, OP_CREATE, OP_SET, OP_DELETE};
    for (uint32_t i = 0; i < count; i++) {
        uint8_t space = rng_chance(&x->rng, 150) ? 'M' : 'Z';
        random_path(&x->rng, space, paths[i]);
        if (rng_chance(&x->rng, 700) && space == 'Z') {
            paths[i][2] = '\0';
        }
        ops[i] = kit_op(types[rng_below(&x->rng, 5)], paths[i], "v");
        ops[i].space = space;
        if (ops[i].type == OP_DELETE && rng_chance(&x->rng, 700)) {
            ops[i].flags |= OP_RECURSIVE;
        }
        if (ops[i].type == OP_CREATE && space == 'Z') {
            ops[i].flags |= OP_MAKE_PARENTS;
        }
    }
    uint64_t end = store_history(x->kit.store)->end;
    (void)kit_ops(&x->kit, ops, count);
    remember(x, end);
}

/* As the policy would, when so much time has passed, but at a floor of our choice. */
static void cut_log(struct world *x)
{
    uint64_t now = store_revision(x->kit.store);
    uint64_t floor = store_history_floor(x->kit.store);
    uint64_t wanted = rng_range(&x->rng, floor, now + 1);
    if (rng_chance(&x->rng, 700) && now > 20) {
        wanted = wanted < now - 20 ? wanted : now - 20;
    }
    if (wanted > floor) {
        history_trim(&x->kit.store->history, wanted - 1 + HISTORY_REVISIONS_MIN, UINT64_MAX);
        EXPECT(store_history_floor(x->kit.store) == wanted);
    }
}

/* Another member's state, perhaps further on, takes the place of ours. */
static void replace_store(struct world *x)
{
    struct snapshot_meta meta = {0};
    struct buf rows = {0};
    enum status rc;
    struct store *old = x->kit.store;
    kit_rows(old, &meta, &rows);
    x->kit.store = kit_load(buf_slice(&rows), &meta, &rc);
    EXPECT(rc == RC_OK);
    for (uint64_t i = rng_below(&x->rng, 20); i > 0; i--) {
        random_command(x);
    }
    if (rng_chance(&x->rng, 300)) {
        cut_log(x);
    }
    hub_rebind(x->hub, x->kit.store);
    store_free(old);
    buf_close(&rows);
    snapshot_meta_close(&meta);
}

/* ---- checks ------------------------------------------------------------------------------ */

static void note_known(struct world *x)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        if (x->clients[i] != NULL) {
            x->clients[i]->known = watch_delivered(x->hub, &x->clients[i]->watch);
        }
    }
}

static void check_world(struct world *x)
{
    size_t watches = 0;
    size_t behind = 0;
    bool has_work = false;
    uint64_t lag = 0;
    uint64_t revision = hub_revision(x->hub);
    for (size_t i = 0; i < CLIENTS; i++) {
        const struct client *c = x->clients[i];
        if (c == NULL) {
            continue;
        }
        uint64_t delivered = watch_delivered(x->hub, &c->watch);
        uint8_t state = c->watch.state;
        EXPECT(delivered <= revision);
        EXPECT(state != WATCH_LIVE || delivered == revision);
        size_t next = next_wanted(c, c->next);
        EXPECT(next == x->count || x->log[next].revision > delivered);
        EXPECT(c->taken_revision <= delivered + 1);
        watches++;
        behind += state != WATCH_LIVE;
        has_work = has_work || state == WATCH_BEHIND;
        lag = revision - delivered > lag ? revision - delivered : lag;
    }
    struct hub_status status;
    hub_status(x->hub, &status);
    EXPECT(status.watches == watches);
    EXPECT(status.behind == behind);
    EXPECT(status.lag_revisions == lag);
    EXPECT(hub_has_work(x->hub) == has_work);
}

static void step(struct world *x)
{
    uint64_t dice = rng_below(&x->rng, 1000);
    note_known(x);
    if (dice < 500) {
        for (uint64_t i = rng_chance(&x->rng, 100) ? 4 : 1; i > 0; i--) {
            random_command(x);
        }
        if (rng_chance(&x->rng, 20)) {
            cut_log(x);
        }
        hub_dispatch(x->hub);
        EXPECT(hub_revision(x->hub) == store_revision(x->kit.store));
    } else if (dice < 700) {
        (void)hub_turn(x->hub, rng_range(&x->rng, 1, rng_chance(&x->rng, 500) ? 3 : 200));
    } else if (dice < 970) {
        act_on_client(x, rng_below(&x->rng, CLIENTS));
    } else if (dice < 985) {
        cut_log(x);
    } else {
        replace_store(x);
    }
    check_world(x);
}

/* With all the room there is, everybody gets to the end. */
static void settle(struct world *x)
{
    for (int round = 0;; round++) {
        bool waits = false;
        for (size_t i = 0; i < CLIENTS; i++) {
            if (x->clients[i] != NULL && x->clients[i]->watch.state == WATCH_WAITING) {
                watch_resume(x->hub, &x->clients[i]->watch);
            }
        }
        note_known(x);
        (void)hub_turn(x->hub, 1000);
        check_world(x);
        for (size_t i = 0; i < CLIENTS; i++) {
            waits =
                waits || (x->clients[i] != NULL && x->clients[i]->watch.state != WATCH_LIVE);
        }
        if (!waits) {
            return;
        }
        EXPECT(round < 10000);
    }
}

static void run_sequence(uint64_t seed, struct world *totals)
{
    struct world x = {0};
    rng_init(&x.rng, seed);
    kit_open(&x.kit);
    x.hub = hub_new(x.kit.store);
    if (seed % 2 == 0) { /* revisions in pieces */
        x.hub->pairs_max = rng_range(&x.rng, 1, 12);
    }
    for (int i = 0; i < STEPS; i++) {
        step(&x);
    }
    settle(&x);
    for (size_t i = 0; i < CLIENTS; i++) {
        if (x.clients[i] != NULL) {
            forget(x.clients[i]);
        }
    }
    struct hub_status status;
    hub_status(x.hub, &status);
    ck_assert_uint_eq(status.watches, 0);
    store_check(x.kit.store);
    hub_free(x.hub);
    kit_close(&x.kit);
    mem_free(x.log);
    totals->delivered += x.delivered;
    totals->compacted += x.compacted;
    totals->waits += x.waits;
}

static uint64_t setting(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text == NULL ? fallback : strtoull(text, NULL, 10);
}

START_TEST(every_watch_gets_what_its_filter_lets_through_in_order_and_once)
{
    uint64_t sequences = setting("COORD_MODEL_SEQUENCES", 200);
    uint64_t seed = setting("COORD_MODEL_SEED", 1);
    struct world totals = {0};
    for (uint64_t i = 0; i < sequences; i++) {
        run_sequence(seed + i, &totals);
    }
    /* It has been tried indeed. */
    ck_assert_uint_gt(totals.delivered, sequences * 100);
    ck_assert_uint_gt(totals.compacted, sequences / 2);
    ck_assert_uint_gt(totals.waits, sequences);
}
END_TEST

static Suite *model_suite(void)
{
    Suite *suite = suite_create("watch model");
    TCase *tcase = tcase_create("model");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, every_watch_gets_what_its_filter_lets_through_in_order_and_once);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){model_suite, NULL});
}
