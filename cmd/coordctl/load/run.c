/* One run: its phases, what is asked in each, what the answers are counted as. */
#include "cmd/coordctl/load/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "cmd/coordctl/load/engine.h"

#define DRAIN_US     ((uint64_t)15000000)
#define PROGRESS_US  ((uint64_t)250000)
#define LOAD_NO_LOCK UINT64_MAX
#define PATH_BYTES   64 /* what LOAD_PATH may take, beside the key */
#define PREPARE_US   ((uint64_t)30000000) /* with retry: how long what was lost is repeated */

enum phase_kind {
    PHASE_FILL,  /* creates every key once */
    PHASE_RESET, /* sets every key once: some were there before, with other values */
    PHASE_WORK,  /* the workload, for a time */
    PHASE_EMPTY, /* deletes every key once */
    PHASE_CLOSE, /* closes the sessions that slots have */
    PHASE_ONE,   /* a single request */
};

struct run {
    const struct load_options *options;
    struct load_result *result;
    struct load_engine engine;
    struct rng rng;
    enum phase_kind kind;
    enum load_op one; /* of PHASE_ONE */
    struct slice one_path;
    bool one_ok;
    uint64_t one_revision;
    uint64_t began_us;
    uint64_t until_us;
    uint64_t prepare_us; /* when preparing began */
    uint64_t next_key;
    uint64_t made_keys; /* what there is to be removed: those below */
    uint64_t shown_us;
    const char *phase_name;
    bool is_over;
    bool made_parent;
    /* of the phase */
    uint64_t acknowledged;
    uint64_t writes;
    uint64_t refused;
    uint64_t lost;
    uint64_t last_ack_us;
    uint64_t longest_gap_us;
    struct latency latency;
    char error[160];
    /* watches */
    size_t watches_made;
    uint64_t *seen;          /* by watch: the revision of its last event */
    uint64_t *released_us;   /* by lock or election: when it was asked to be given back last */
    size_t events;           /* watches that were told of this round's change */
    uint64_t round_revision; /* 0: not known yet */
    bool round_is_written;
    uint64_t round_us;
    uint64_t last_event_us;
    bool out_of_order;
};

const char *load_protocol_name(enum load_protocol protocol)
{
    static const char *const names[LOAD_PROTOCOLS] = {
        [LOAD_GRPC] = "grpc", [LOAD_ZOOKEEPER] = "zookeeper", [LOAD_ETCD] = "etcd"};
    return names[protocol];
}

const char *load_work_name(enum load_work work)
{
    static const char *const names[LOAD_WORKS] = {
        [LOAD_WRITE] = "write",   [LOAD_READ] = "read",   [LOAD_MIXED] = "mixed",
        [LOAD_CREATE] = "create", [LOAD_FILL] = "fill",   [LOAD_SESSION] = "session",
        [LOAD_LOCK] = "lock",     [LOAD_ELECT] = "elect", [LOAD_WATCH] = "watch"};
    return names[work];
}

bool load_takes_turns(enum load_work work)
{
    return work == LOAD_LOCK || work == LOAD_ELECT;
}

static bool needs_keys(enum load_work work)
{
    return work == LOAD_WRITE || work == LOAD_READ || work == LOAD_MIXED;
}

const char *load_check(const struct load_options *o)
{
    if (o->connections == 0 || o->connections > LOAD_CONNECTIONS_MAX) {
        return "connections: 1 to 10000";
    }
    if (o->in_flight == 0 || o->in_flight > LOAD_IN_FLIGHT_MAX) {
        return "in flight: 1 to 10000";
    }
    if (o->keys == 0 || o->keys > LOAD_KEYS_MAX) {
        return "keys: 1 to 100000000";
    }
    if (o->value_bytes > LOAD_VALUE_BYTES_MAX) {
        return "value size: at most 1 MiB";
    }
    if (strlen(o->path) > PATH_BYTES || o->path[0] != '/' || o->path[1] == '\0') {
        return "path: absolute, not /, at most 64 bytes";
    }
    if (o->work == LOAD_WATCH &&
        (o->watches < o->connections || o->watches > LOAD_WATCHES_MAX)) {
        return "watches: at least one for each connection, at most 1000000";
    }
    if (o->work == LOAD_WATCH && o->protocol == LOAD_ZOOKEEPER &&
        o->watches != o->connections) {
        return "watches: over ZooKeeper's protocol one for each connection";
    }
    if (load_takes_turns(o->work) && o->protocol != LOAD_GRPC) {
        return "locks and elections are coord's own: only over gRPC";
    }
    if (load_takes_turns(o->work) && o->keys > LOAD_LOCKS_MAX) {
        return "locks, elections: 1 to 1000000";
    }
    if ((o->work == LOAD_WATCH || o->work == LOAD_SESSION) && o->protocol == LOAD_ETCD) {
        return "etcd's protocol: only reads and writes";
    }
    if (o->work == LOAD_SESSION && o->protocol == LOAD_ZOOKEEPER && o->in_flight != 1) {
        return "in flight: a session of ZooKeeper's is a connection, so 1";
    }
    return NULL;
}

/* ---- requests ----------------------------------------------------------------------------- */

static void choose(struct run *r, struct load_slot *s, enum load_op op, uint64_t key)
{
    int size =
        snprintf(s->path_text, sizeof s->path_text, "%s/k%08" PRIu64, r->options->path, key);
    s->op = op;
    s->path = slice_make(s->path_text, (size_t)size);
}

static void choose_node(struct run *r, struct load_slot *s, enum load_op op)
{
    s->op = op;
    s->path = slice_str(r->options->path);
}

static bool is_writer(const struct run *r, const struct load_slot *s)
{
    const struct load_engine *e = &r->engine;
    return s->connection == &e->connections[r->options->connections] && s->number == 0;
}

/* Locks, or elections, go around among the slots, so that none has the same one twice at once as
 * long as there are as many of them as slots. */
static bool next_turn(struct run *r, struct load_slot *s)
{
    bool is_lock = r->options->work == LOAD_LOCK;
    if (s->session == 0) {
        s->op = LOAD_OP_OPEN;
        return !r->is_over;
    }
    if (s->grant != 0) {
        s->op = is_lock ? LOAD_OP_RELEASE : LOAD_OP_RESIGN;
        r->released_us[s->lock] = load_now_us();
        return true;
    }
    const struct load_options *o = r->options;
    size_t slots = o->connections * o->in_flight;
    size_t own = (size_t)(s->connection - r->engine.connections) * o->in_flight + s->number;
    uint64_t step = slots < o->keys ? slots : 0;
    bool is_first = s->lock == LOAD_NO_LOCK || s->lock + step >= o->keys;
    if (!r->is_over) {
        s->lock = is_first ? own % o->keys : s->lock + step;
        choose(r, s, is_lock ? LOAD_OP_ACQUIRE : LOAD_OP_CAMPAIGN, s->lock);
    }
    return !r->is_over;
}

/* A slot that has made something removes it first, also when the time is over. */
static bool next_of_work(struct run *r, struct load_slot *s)
{
    const struct load_options *o = r->options;
    switch (o->work) {
    case LOAD_WRITE:
    case LOAD_READ:
    case LOAD_MIXED: {
        bool sets = o->work == LOAD_WRITE ||
                    (o->work == LOAD_MIXED && rng_below(&r->rng, 100) < o->write_percent);
        choose(r, s, sets ? LOAD_OP_SET : LOAD_OP_GET, rng_below(&r->rng, o->keys));
        return !r->is_over;
    }
    case LOAD_CREATE:
        if (s->session == 0 && r->is_over) {
            return false;
        }
        if (s->session == 0) {
            s->session = ++r->next_key;
            choose(r, s, LOAD_OP_CREATE, s->session);
        } else {
            choose(r, s, LOAD_OP_DELETE, s->session);
            s->session = 0;
        }
        return true;
    case LOAD_SESSION:
        s->op = s->session == 0 ? LOAD_OP_OPEN : LOAD_OP_CLOSE;
        return s->session != 0 || !r->is_over;
    case LOAD_LOCK:
    case LOAD_ELECT: return next_turn(r, s);
    case LOAD_WATCH:
        if (!is_writer(r, s) || r->round_is_written || r->is_over) {
            return false;
        }
        choose_node(r, s, LOAD_OP_SET);
        r->round_is_written = true;
        r->events = 0;
        r->round_revision = 0;
        r->round_us = load_now_us();
        return true;
    case LOAD_FILL:
    case LOAD_WORKS: break;
    }
    return false;
}

static uint64_t keys_of(const struct run *r)
{
    return r->kind == PHASE_EMPTY ? r->made_keys : r->options->keys;
}

static bool next_request(void *owner, struct load_slot *s)
{
    static const enum load_op once_ops[] = {[PHASE_FILL] = LOAD_OP_CREATE,
                                            [PHASE_RESET] = LOAD_OP_SET,
                                            [PHASE_EMPTY] = LOAD_OP_DELETE};
    struct run *r = owner;
    switch (r->kind) {
    case PHASE_FILL:
    case PHASE_RESET:
    case PHASE_EMPTY:
        if (r->next_key >= keys_of(r) || r->is_over) {
            return false;
        }
        choose(r, s, once_ops[r->kind], r->next_key++);
        return true;
    case PHASE_WORK: return next_of_work(r, s);
    case PHASE_CLOSE: s->op = LOAD_OP_CLOSE; return s->session != 0;
    case PHASE_ONE:
        if (r->is_over || (r->options->work == LOAD_WATCH && !is_writer(r, s))) {
            return false;
        }
        s->op = r->one;
        s->path = r->one_path;
        r->is_over = true;
        return true;
    }
    return false;
}

/* ---- answers ------------------------------------------------------------------------------ */

static bool gives_back(enum load_op op)
{
    return op == LOAD_OP_RELEASE || op == LOAD_OP_RESIGN;
}

static bool raises_revision(enum load_op op)
{
    return op == LOAD_OP_SET || op == LOAD_OP_CREATE || op == LOAD_OP_DELETE ||
           op == LOAD_OP_ACQUIRE || op == LOAD_OP_CAMPAIGN || gives_back(op);
}

static void count_gap(struct run *r, uint64_t now)
{
    uint64_t gap = now - r->last_ack_us;
    r->longest_gap_us = gap > r->longest_gap_us ? gap : r->longest_gap_us;
    r->last_ack_us = now;
}

static bool measures(const struct run *r)
{
    return r->phase_name[0] == 'm';
}

/* A pair is counted when it is complete; its latency is that of its first half. */
static void turn_answered(struct run *r, const struct load_slot *s, uint64_t now)
{
    if (s->op == LOAD_OP_ACQUIRE || s->op == LOAD_OP_CAMPAIGN) {
        uint64_t released_us = r->released_us[s->lock];
        latency_add(&r->latency, now - s->began_us);
        if (measures(r) && released_us > s->began_us) {
            latency_add(&r->result->last, now - released_us);
        }
    }
    r->acknowledged += gives_back(s->op);
}

/* Events may come before the answer. Others may, too: of what was written before the first round,
 * to watches of a member that was behind. */
static void watch_write_answered(struct run *r, uint64_t revision)
{
    r->round_revision = revision;
    for (size_t i = 0; i < r->options->watches && r->options->protocol == LOAD_GRPC; i++) {
        r->events += r->seen[i] >= revision;
    }
}

static void on_answered(void *owner, struct load_slot *s, bool ok, bool lost)
{
    struct run *r = owner;
    uint64_t now = r->engine.now_us;
    if (r->kind == PHASE_ONE) {
        r->one_ok = ok;
        r->one_revision = s->revision;
        snprintf(r->error, sizeof r->error, "%s", lost ? "the connection was lost" : s->text);
        return;
    }
    if (!ok) {
        r->lost += lost;
        r->refused += !lost;
        if (r->error[0] == '\0' && !lost) {
            snprintf(r->error, sizeof r->error, "%s", s->text);
        }
        if (r->options->work == LOAD_WATCH && r->kind == PHASE_WORK && !r->engine.failed) {
            r->engine.failed = true; /* nobody knows which events still come */
            snprintf(r->engine.why, sizeof r->engine.why, "a write failed: %s",
                     lost ? "the connection was lost" : s->text);
        }
        if (s->op == LOAD_OP_OPEN || s->op == LOAD_OP_CREATE) {
            s->session = 0;
        }
        if (gives_back(s->op)) {
            s->grant = 0;
        }
        return;
    }
    count_gap(r, now);
    r->writes += raises_revision(s->op);
    if (s->op == LOAD_OP_CLOSE) {
        s->session = 0;
    } else if (gives_back(s->op)) {
        s->grant = 0;
    }
    if (load_takes_turns(r->options->work)) {
        turn_answered(r, s, now);
        return;
    }
    if (r->options->work == LOAD_WATCH && r->kind == PHASE_WORK) {
        watch_write_answered(r, s->revision);
    } else {
        r->acknowledged++;
        latency_add(&r->latency, now - s->began_us);
    }
}

/* ZooKeeper's events do not tell their revision: there the number of a round's events must do. */
static void on_event(void *owner, struct load_connection *c, uint64_t watch, uint64_t revision)
{
    struct run *r = owner;
    if (revision == 0) {
        r->watches_made++;
        return;
    }
    size_t number = (size_t)(c - r->engine.connections);
    size_t index = number + (size_t)(watch - 1) * r->options->connections;
    if (index >= r->options->watches ||
        (r->options->protocol == LOAD_GRPC && revision <= r->seen[index])) {
        r->out_of_order = true;
        return;
    }
    bool is_known = r->round_revision != 0 && r->options->protocol == LOAD_GRPC;
    bool is_told =
        is_known && r->seen[index] < r->round_revision && revision >= r->round_revision;
    r->events += r->options->protocol != LOAD_GRPC || is_told;
    r->seen[index] = revision;
    r->acknowledged++;
    uint64_t now = r->engine.now_us;
    r->last_event_us = now;
    latency_add(&r->latency, now - r->round_us);
}

static void end_round(struct run *r)
{
    if (r->kind == PHASE_WORK && r->options->work == LOAD_WATCH && r->round_is_written &&
        r->engine.busy == 0 && r->events == r->options->watches) {
        r->round_is_written = false;
        if (measures(r)) {
            latency_add(&r->result->last, r->last_event_us - r->round_us);
        }
        load_engine_fill(&r->engine);
    }
}

static void on_turn(void *owner)
{
    struct run *r = owner;
    uint64_t now = r->engine.now_us;
    r->is_over = r->is_over || now >= r->until_us;
    end_round(r);
    const struct load_hooks *hooks = &r->options->hooks;
    if (hooks->progress != NULL && now - r->shown_us >= PROGRESS_US && r->kind != PHASE_ONE) {
        r->shown_us = now;
        const struct load_progress p = {.phase = r->phase_name,
                                        .seconds = (double)(now - r->began_us) / 1e6,
                                        .count = r->acknowledged,
                                        .refused = r->refused + r->lost,
                                        .latency = &r->latency};
        if (!hooks->progress(hooks->owner, &p)) {
            r->is_over = true;
            r->result->was_ended = true;
        }
    }
}

/* ---- phases ------------------------------------------------------------------------------- */

static bool has_rest(const struct run *r)
{
    bool of_watch = r->kind == PHASE_WORK && r->options->work == LOAD_WATCH;
    bool of_list = r->kind != PHASE_WORK && r->kind != PHASE_ONE && r->kind != PHASE_CLOSE &&
                   r->next_key < keys_of(r);
    return r->engine.busy > 0 || (of_watch && r->round_is_written) ||
           (!r->is_over && (r->kind == PHASE_WORK || r->kind == PHASE_ONE || of_list));
}

/* What is not to begin any more when the run was ended early; what tidies up is. */
static bool prepares_or_works(enum phase_kind kind)
{
    return kind == PHASE_FILL || kind == PHASE_RESET || kind == PHASE_WORK;
}

/* Until all that belongs to the phase is answered. What is not 15 s after its end is lost. */
static void run_phase(struct run *r, enum phase_kind kind, const char *name, uint64_t ms)
{
    r->kind = kind;
    r->phase_name = name;
    r->is_over = r->result->was_ended && prepares_or_works(kind);
    r->acknowledged = r->writes = r->refused = r->lost = 0;
    r->longest_gap_us = 0;
    r->error[0] = '\0';
    memset(&r->latency, 0, sizeof r->latency);
    r->began_us = load_now_us();
    r->last_ack_us = r->began_us;
    r->until_us = r->began_us + ms * 1000;
    load_engine_fill(&r->engine);
    while (has_rest(r) && !r->engine.failed && !r->out_of_order) {
        load_engine_turn(&r->engine);
        if (r->engine.now_us > r->until_us + DRAIN_US) {
            bool lacks_events = r->engine.busy == 0 && r->round_is_written;
            r->engine.failed = true;
            snprintf(r->engine.why, sizeof r->engine.why,
                     lacks_events ? "%zu of %zu watches were told of a change"
                                  : "%zu requests are not answered",
                     lacks_events ? r->events : r->engine.busy, r->options->watches);
        }
    }
}

/* At most ten seconds. */
static bool ask_one(struct run *r, enum load_op op, struct slice path)
{
    r->one = op;
    r->one_path = path;
    r->one_ok = false;
    run_phase(r, PHASE_ONE, "asking", 10000);
    return r->one_ok && !r->engine.failed;
}

#define HOURS_MS ((uint64_t)24 * 3600 * 1000)

/* Whether what is prepared in vain, by a server that was slow or has just lost its leader, is asked
 * once more. */
static bool may_repeat(const struct run *r)
{
    return r->options->retry && !r->engine.failed &&
           load_now_us() < r->prepare_us + PREPARE_US;
}

/* The parent, and those above it where the protocol does not make them. */
static bool make_parent(struct run *r, char *why, size_t why_bytes)
{
    const char *path = r->options->path;
    size_t whole = strlen(path);
    if (r->options->protocol == LOAD_ETCD) { /* there are no parents */
        r->made_parent = true;
        return true;
    }
    for (size_t end = 1; end <= whole; end++) {
        if ((path[end] == '/' && r->options->protocol == LOAD_ZOOKEEPER) || end == whole) {
            bool made = false;
            bool exists = false;
            do {
                made = ask_one(r, LOAD_OP_CREATE, slice_make(path, end));
                exists = strstr(r->error, "exist") != NULL;
            } while (!made && !exists && may_repeat(r));
            if (!made && !exists) {
                snprintf(why, why_bytes, "%.*s cannot be made: %s", (int)end, path, r->error);
                return false;
            }
            r->made_parent = made;
        }
    }
    return true;
}

static bool has_failures(const struct run *r)
{
    return r->engine.failed || r->lost > 0 || r->refused > 0;
}

static bool fill_keys(struct run *r, char *why, size_t why_bytes)
{
    do {
        r->next_key = 0;
        run_phase(r, PHASE_FILL, "preparing", HOURS_MS);
        r->made_keys = r->next_key > r->made_keys ? r->next_key : r->made_keys;
        if (r->refused > 0 && strstr(r->error, "exist") != NULL) {
            r->next_key = 0;
            run_phase(r, PHASE_RESET, "preparing", HOURS_MS);
        }
    } while (has_failures(r) && may_repeat(r));
    if (has_failures(r)) {
        snprintf(why, why_bytes, "the nodes cannot be made: %s",
                 r->engine.failed       ? r->engine.why
                 : r->error[0] != '\0' ? r->error
                                        : "a connection was lost");
        return false;
    }
    return true;
}

static bool make_watches(struct run *r, char *why, size_t why_bytes)
{
    const struct load_options *o = r->options;
    r->seen = mem_zalloc(o->watches * sizeof r->seen[0]);
    r->kind = PHASE_ONE;
    r->is_over = true;
    r->phase_name = "preparing";
    for (size_t i = 0; i < o->connections; i++) {
        struct load_connection *c = &r->engine.connections[i];
        struct load_slot *s = c->free[--c->free_count];
        choose_node(r, s, LOAD_OP_WATCH);
        s->watches = o->watches / o->connections + (i < o->watches % o->connections);
        s->is_busy = true;
        s->began_us = load_now_us();
        r->engine.busy++;
        r->engine.dialect->put(c, s);
    }
    load_engine_fill(&r->engine); /* nothing new: sends what was put */
    uint64_t until = load_now_us() + DRAIN_US * 4;
    while (r->watches_made < o->watches && !r->engine.failed && load_now_us() < until) {
        load_engine_turn(&r->engine);
    }
    if (r->watches_made < o->watches) {
        snprintf(why, why_bytes, "%zu of %zu watches were made%s%s", r->watches_made,
                 o->watches, r->engine.failed ? ": " : "", r->engine.why);
        return false;
    }
    r->engine.busy = 0; /* streams are never answered */
    return true;
}

static void prepare_turns(struct run *r)
{
    r->released_us = mem_zalloc(r->options->keys * sizeof r->released_us[0]);
    for (size_t i = 0; i < r->engine.connection_count; i++) {
        for (size_t k = 0; k < r->engine.slots_each; k++) {
            r->engine.connections[i].slots[k].lock = LOAD_NO_LOCK;
        }
    }
}

static bool prepare(struct run *r, char *why, size_t why_bytes)
{
    if (r->options->work == LOAD_SESSION) {
        return true;
    }
    r->prepare_us = load_now_us();
    if (load_takes_turns(r->options->work)) {
        r->made_keys = r->options->keys;
        prepare_turns(r);
    }
    if (!make_parent(r, why, why_bytes)) {
        return false;
    }
    if (needs_keys(r->options->work) && !fill_keys(r, why, why_bytes)) {
        return false;
    }
    return r->options->work != LOAD_WATCH || make_watches(r, why, why_bytes);
}

/* ZooKeeper counts sessions too, so that nothing can be compared there. */
static bool compares(const struct run *r)
{
    return r->options->work != LOAD_SESSION;
}

static void measure(struct run *r)
{
    const struct load_options *o = r->options;
    struct load_result *result = r->result;
    if (o->warm_up_ms > 0 && o->work != LOAD_FILL) {
        run_phase(r, PHASE_WORK, "warming up", o->warm_up_ms);
    }
    bool knows =
        compares(r) && !r->engine.failed && ask_one(r, LOAD_OP_REVISION, slice_str("/"));
    uint64_t before = r->one_revision;
    if (o->hooks.edge != NULL) {
        o->hooks.edge(o->hooks.owner, false);
    }
    r->next_key = o->work == LOAD_FILL ? 0 : r->next_key;
    if (!r->engine.failed && o->work == LOAD_FILL) {
        run_phase(r, PHASE_FILL, "measuring", HOURS_MS);
    } else if (!r->engine.failed) {
        run_phase(r, PHASE_WORK, "measuring", o->duration_ms);
    }
    result->seconds = (double)(load_now_us() - r->began_us) / 1e6;
    if (o->retry) {
        count_gap(r, load_now_us()); /* a pause may last until the end */
    }
    if (o->hooks.edge != NULL) {
        o->hooks.edge(o->hooks.owner, true);
    }
    result->acknowledged = r->acknowledged;
    result->writes = r->writes;
    result->refused = r->refused;
    result->lost = r->lost;
    result->longest_gap_us = r->longest_gap_us;
    result->latency = r->latency;
    snprintf(result->error, sizeof result->error, "%s", r->error);
    result->knows_revision =
        knows && !r->engine.failed && ask_one(r, LOAD_OP_REVISION, slice_str("/"));
    result->revision_rise = r->one_revision - before;
}

static void tidy_up(struct run *r)
{
    if (load_takes_turns(r->options->work) && !r->engine.failed) {
        run_phase(r, PHASE_CLOSE, "tidying up", 10000);
    }
    if (!r->made_parent || r->options->keep || r->options->work == LOAD_FILL) {
        return;
    }
    r->result->has_left_nodes = r->engine.failed;
    if (r->engine.failed) {
        return;
    }
    if (needs_keys(r->options->work) || load_takes_turns(r->options->work)) {
        r->next_key = 0; /* emptied ones may have gone by themselves */
        run_phase(r, PHASE_EMPTY, "tidying up", HOURS_MS);
    }
    r->result->has_left_nodes = !ask_one(r, LOAD_OP_DELETE, slice_str(r->options->path));
}

bool load_run(const struct load_options *options, struct load_result *result, char *why,
              size_t why_bytes)
{
    struct run *r = mem_zalloc(sizeof *r);
    memset(result, 0, sizeof *result);
    r->options = options;
    r->result = result;
    r->phase_name = "connecting";
    rng_init(&r->rng, 1);
    bool fine = load_engine_open(&r->engine, options, options->work == LOAD_WATCH ? 1 : 0);
    if (!fine) {
        snprintf(why, why_bytes, "%s", r->engine.why);
    } else {
        r->engine.user = (struct load_user){.next = next_request,
                                            .answered = on_answered,
                                            .event = on_event,
                                            .turn = on_turn,
                                            .owner = r};
        fine = prepare(r, why, why_bytes);
    }
    if (fine) {
        measure(r);
        fine = !r->engine.failed && !r->out_of_order;
        snprintf(why, why_bytes, "%s",
                 r->out_of_order ? "events came out of order, or twice" : r->engine.why);
        tidy_up(r);
        load_engine_say_bye(&r->engine);
    }
    load_engine_close(&r->engine);
    mem_free(r->seen);
    mem_free(r->released_us);
    mem_free(r);
    return fine;
}
