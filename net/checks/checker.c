#include "net/checks/checker.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/heap.h"
#include "base/id_map.h"
#include "base/mem.h"
#include "net/checks/state.h"
#include "net/checks/vitals.h"
#include "raft/node.h"
#include "store/acl.h"
#include "store/store.h"

#define SCAN_EVERY_MS    1000
#define SCAN_PAGE        500  /* nodes looked at in one turn */
#define SCAN_PAGE_MS     10   /* between two such turns: other work comes first */
#define SWEEP_PAGE       2000 /* targets */
#define DUE_MAX          500  /* targets that are handled in one turn */
#define RUNNING_MAX      256 /* checks at a time; others wait */
#define RUNNING_RETRY_MS 50
#define WRITE_MS         10000
#define STATUS_BYTES     12 /* "HTTP/1.1 200" */

/* What is found by its path. */
struct named {
    struct named *same; /* the next with the same hash */
    uint64_t hash;
    struct slice path; /* owned */
};

struct service {
    struct named name;
    size_t targets;
    size_t better; /* of them: is_better */
};

struct target {
    struct named name;
    struct checker *checker;
    struct service *service;
    size_t at; /* in `targets` */
    uint64_t revision;
    uint64_t round; /* the last scan that has seen it */
    bool is_better; /* than SUSPECTED_DOWN, and takes work: others of its service may be DOWN */
    bool draining;
    uint8_t said;   /* as its node says */
    uint8_t saying; /* is_writing: and will say */
    uint8_t type;
    uint16_t port;
    struct check_rules rules;
    char host[INSTANCE_ADDRESS_BYTES_MAX + 1];
    char page[CHECK_PATH_BYTES_MAX + 1];
    struct beat_state state; /* its time: of heartbeats only */
    uint32_t latency_ms;     /* as it said last */
    uint64_t protected_ms; /* since then it would have been DOWN; 0: it would not */
    struct heap_node due;  /* to begin, or to have ended */
    struct env_stream *stream; /* of the check that runs */
    uint64_t began_ms;
    struct buf in;
    struct node_write write;
    bool is_writing;
};

struct checker {
    struct checker_options o;
    uint64_t seed;
    struct target **targets; /* in no order; those without a check too */
    size_t count;
    size_t capacity;
    struct id_map by_path; /* hash: the first target with it */
    struct id_map services;
    size_t running;
    struct heap due;
    struct buf super; /* who may see all */
    /* scanning, a page at a time; then sweeping */
    uint64_t scanned_revision; /* when the last round began */
    uint64_t round;
    uint64_t round_ms; /* when it began */
    uint64_t scan_ms;  /* not before */
    bool is_scanning;
    struct buf scanned; /* the path up to which */
    size_t unswept;     /* targets before this one */
    struct metric *passed;
    struct metric *missed;
    struct metric *protecting;
};

/* ---- paths -------------------------------------------------------------------------------- */

static void *named_find(const struct checker *c, const struct id_map *map, struct slice path)
{
    struct named *n = id_map_get(map, hash_bytes(c->seed, path.data, path.size));
    while (n != NULL && !slice_equal(n->path, path)) {
        n = n->same;
    }
    return n;
}

static void named_add(const struct checker *c, struct id_map *map, struct named *n,
                      struct slice path)
{
    uint8_t *copy = mem_alloc(path.size);
    memcpy(copy, path.data, path.size);
    n->path = slice_make(copy, path.size);
    n->hash = hash_bytes(c->seed, path.data, path.size);
    n->same = id_map_get(map, n->hash);
    id_map_set(map, n->hash, n);
}

static void named_remove(struct id_map *map, struct named *n)
{
    struct named *before = id_map_get(map, n->hash);
    if (before != n) {
        while (before->same != n) {
            before = before->same;
        }
        before->same = n->same;
    } else if (n->same != NULL) {
        id_map_set(map, n->hash, n->same);
    } else {
        (void)id_map_remove(map, n->hash);
    }
    mem_free((void *)(uintptr_t)n->path.data);
}

/* ---- targets ------------------------------------------------------------------------------ */

static void stream_end(struct target *t)
{
    if (t->stream != NULL) {
        t->checker->o.env->net->close(t->stream, false);
        t->stream = NULL;
        t->checker->running--;
    }
    buf_clear(&t->in);
}

static void protect(struct target *t, uint64_t since_ms)
{
    metric_add(t->checker->protecting, (since_ms != 0) - (t->protected_ms != 0));
    t->protected_ms = since_ms;
}

/* To be asked for after each change of its health, or of `draining`. */
static void count_better(struct target *t)
{
    bool is_better = !t->draining && t->state.checks.health < HEALTH_SUSPECTED_DOWN;
    t->service->better += is_better;
    t->service->better -= t->is_better;
    t->is_better = is_better;
}

static struct service *service_join(struct checker *c, struct slice path)
{
    struct service *s = named_find(c, &c->services, path);
    if (s == NULL) {
        s = mem_zalloc(sizeof *s);
        named_add(c, &c->services, &s->name, path);
    }
    s->targets++;
    return s;
}

static void service_leave(struct target *t)
{
    struct service *s = t->service;
    s->better -= t->is_better;
    if (--s->targets == 0) {
        named_remove(&t->checker->services, &s->name);
        mem_free(s);
    }
}

static void target_free(struct target *t)
{
    struct checker *c = t->checker;
    stream_end(t);
    if (t->is_writing) {
        node_write_cancel(c->o.node, &t->write);
    }
    protect(t, 0);
    heap_remove(&c->due, &t->due);
    buf_close(&t->in);
    service_leave(t);
    c->targets[t->at] = c->targets[--c->count];
    c->targets[t->at]->at = t->at;
    named_remove(&c->by_path, &t->name);
    mem_free(t);
}

/* What its node says now; of another registration, or another check, it begins anew. */
static void target_update(struct target *t, const struct service_instance *in,
                          uint64_t revision, uint64_t now_ms)
{
    bool is_same = t->revision == revision && t->type == in->check.type &&
                   t->port == in->port && t->rules.every_ms == in->check.every_ms &&
                   slice_is(in->address, t->host) && slice_is(in->check.path, t->page);
    t->draining = in->draining;
    t->said = in->health;
    t->rules.timeout_ms = in->check.timeout_ms;
    t->rules.slow_ms = in->check.slow_ms;
    if (is_same) {
        return;
    }
    stream_end(t);
    protect(t, 0);
    t->revision = revision;
    t->type = in->check.type;
    t->port = in->port;
    t->rules.every_ms = in->check.every_ms;
    memcpy(t->host, in->address.data, in->address.size);
    t->host[in->address.size] = '\0';
    if (in->check.path.size > 0) {
        memcpy(t->page, in->check.path.data, in->check.path.size);
    }
    t->page[in->check.path.size] = '\0';
    t->latency_ms = 0;
    beat_begin(&t->state, &t->rules, in->health, now_ms);
    if (t->type == CHECK_NONE) {
        heap_remove(&t->checker->due, &t->due);
    } else if (t->type == CHECK_HEARTBEAT) {
        heap_update(&t->checker->due, &t->due, t->state.until_ms + 1);
    } else { /* spread, so that a new leader does not begin with all at once */
        uint64_t first_ms = env_random_u64(t->checker->o.env) % t->rules.every_ms;
        heap_update(&t->checker->due, &t->due, now_ms + (first_ms < 1000 ? first_ms : 1000));
    }
}

static struct target *target_new(struct checker *c, struct slice path, struct slice id)
{
    struct target *t = mem_zalloc(sizeof *t);
    t->checker = c;
    named_add(c, &c->by_path, &t->name, path);
    t->service = service_join(c, slice_make(path.data, path.size - id.size));
    if (c->count == c->capacity) {
        c->capacity = c->capacity == 0 ? 16 : 2 * c->capacity;
        c->targets = mem_resize(c->targets, c->capacity * sizeof(void *));
    }
    t->at = c->count;
    c->targets[c->count++] = t;
    return t;
}

/* ---- judging ------------------------------------------------------------------------------ */

/* What is to be said of it. */
static uint8_t health_of(struct target *t, uint64_t now_ms)
{
    uint8_t health = t->state.checks.health;
    if (health != HEALTH_DOWN || t->said == HEALTH_DOWN || t->service->better > 0) {
        protect(t, 0);
        return health;
    }
    if (t->protected_ms == 0) {
        log_warn(t->checker->o.log, "checks.protected", "path=%.*s", (int)t->name.path.size,
                 (const char *)t->name.path.data);
        protect(t, now_ms);
    }
    if (now_ms >= t->protected_ms + CHECKER_PROTECTED_MS) {
        return HEALTH_DOWN; /* and then it is said, and no longer protected */
    }
    return HEALTH_SUSPECTED_DOWN;
}

static void on_written(struct node_write *write, enum status rc, const struct reply *reply)
{
    struct target *t = write->owner;
    t->is_writing = false;
    if (rc == RC_OK && reply->outcome == OUTCOME_OK) { /* else the next check says so again */
        t->said = t->saying;
    }
}

static void say(struct target *t, uint8_t health, uint64_t now_ms)
{
    struct node *node = t->checker->o.node;
    const struct command c = {
        .type = COMMAND_DISCOVERY,
        .discovery = {.action = DISCOVERY_HEALTH,
                      .health = health,
                      .path = t->name.path,
                      .revision = t->revision},
    };
    t->write = (struct node_write){.done = on_written, .owner = t};
    t->saying = health;
    t->is_writing = node_write(node, &t->write, &c, now_ms + WRITE_MS) == RC_OK;
    log_info(t->checker->o.log, "checks.health", "path=%.*s health=%s", (int)t->name.path.size,
             (const char *)t->name.path.data, instance_health_name(health));
}

static void say_if_changed(struct target *t, uint64_t now_ms)
{
    count_better(t);
    uint8_t health = health_of(t, now_ms);
    if (health != t->said && !t->is_writing) {
        say(t, health, now_ms);
    }
}

static void judge(struct target *t, bool passed, uint64_t now_ms)
{
    uint64_t took_ms = now_ms - t->began_ms;
    stream_end(t);
    metric_add(passed ? t->checker->passed : t->checker->missed, 1);
    if (passed) {
        vitals_passed(t->checker->o.vitals, t->name.path, t->revision);
    }
    (void)check_judge(&t->state.checks, passed, (uint32_t)took_ms, t->rules.slow_ms);
    heap_update(&t->checker->due, &t->due, now_ms + t->rules.every_ms);
    say_if_changed(t, now_ms);
}

/* ---- heartbeats --------------------------------------------------------------------------- */

static void on_beat(void *context, struct slice path, uint64_t revision,
                    const struct service_load *load, uint64_t now_ms)
{
    struct checker *c = context;
    struct target *t = named_find(c, &c->by_path, path);
    if (t == NULL || t->type != CHECK_HEARTBEAT || t->revision != revision) {
        return; /* a new one is seen by the next scan, and given its whole time then */
    }
    if (load != NULL) {
        t->latency_ms = (uint32_t)load->avg_latency_ms;
    }
    metric_add(c->passed, 1);
    beat_come(&t->state, &t->rules, t->latency_ms, now_ms);
    heap_update(&c->due, &t->due, t->state.until_ms + 1);
    say_if_changed(t, now_ms);
}

static void beat_missed(struct target *t, uint64_t now_ms)
{
    metric_add(t->checker->missed, beat_pass_time(&t->state, &t->rules, now_ms));
    heap_update(&t->checker->due, &t->due, t->state.until_ms + 1);
    say_if_changed(t, now_ms);
}

/* ---- one check ---------------------------------------------------------------------------- */

static uint64_t now_of(const struct target *t)
{
    return t->checker->o.env->now_ms(t->checker->o.env);
}

static void on_open(void *owner)
{
    struct target *t = owner;
    struct buf text = {0};
    if (t->type == CHECK_TCP) {
        judge(t, true, now_of(t));
        return;
    }
    bool is_v6 = strchr(t->host, ':') != NULL;
    buf_printf(&text,
               "GET %s HTTP/1.1\r\nHost: %s%s%s:%" PRIu16 "\r\nUser-Agent: coord\r\n"
               "Connection: close\r\n\r\n",
               t->page, is_v6 ? "[" : "", t->host, is_v6 ? "]" : "", t->port);
    (void)t->checker->o.env->net->write(t->stream, buf_slice(&text));
    buf_close(&text);
}

/* The first line says it all. */
static void on_data(void *owner, struct slice bytes)
{
    struct target *t = owner;
    size_t wanted = STATUS_BYTES - t->in.size;
    buf_append(&t->in, bytes.data, bytes.size < wanted ? bytes.size : wanted);
    if (t->in.size == STATUS_BYTES) {
        const char *line = (const char *)t->in.data;
        bool is_http = memcmp(line, "HTTP/1.", 7) == 0 && line[8] == ' ';
        judge(t, is_http && line[9] >= '2' && line[9] <= '3', now_of(t));
    }
}

static void on_closed(void *owner, enum status rc)
{
    struct target *t = owner;
    (void)rc;
    t->stream = NULL; /* gone already */
    t->checker->running--;
    judge(t, false, now_of(t));
}

static const struct env_stream_events check_events = {
    .open = on_open, .data = on_data, .closed = on_closed};

static void begin(struct target *t, uint64_t now_ms)
{
    struct checker *c = t->checker;
    if (c->running == RUNNING_MAX) {
        heap_update(&c->due, &t->due, now_ms + RUNNING_RETRY_MS);
        return;
    }
    t->began_ms = now_ms;
    c->running++;
    heap_update(&c->due, &t->due, now_ms + t->rules.timeout_ms);
    t->stream = c->o.env->net->connect(c->o.env, t->host, t->port, &check_events, t);
}

/* ---- all of them -------------------------------------------------------------------------- */

static void take_entry(struct checker *c, const struct query_entry *e, struct arena *arena,
                       uint64_t now_ms)
{
    struct slice service;
    struct slice id;
    struct service_instance in;
    if (e->unreadable || !instance_path_split(e->path, &service, &id) ||
        !instance_decode(e->data, &in, arena)) {
        return;
    }
    struct target *t = named_find(c, &c->by_path, e->path);
    t = t != NULL ? t : target_new(c, e->path, id);
    t->round = c->round;
    target_update(t, &in, e->stat.create_revision, now_ms);
    count_better(t);
}

/* What changes behind the page that is read is seen by the next round. */
static void scan_page(struct checker *c, uint64_t now_ms)
{
    struct arena arena = {0};
    struct query_result page;
    const struct query query = {.type = QUERY_LIST,
                                .space = SPACE_NODES,
                                .path = slice_str(SERVICE_ROOT),
                                .recursive = true,
                                .depth = 2, /* services, and their instances */
                                .with_data = true,
                                .with_stat = true,
                                .after = buf_slice(&c->scanned),
                                .limit = SCAN_PAGE,
                                .identities = buf_slice(&c->super)};
    store_query(node_store(c->o.node), &query, &page, &arena);
    uint32_t count = page.outcome == OUTCOME_OK ? page.entry_count : 0;
    for (uint32_t i = 0; i < count; i++) {
        take_entry(c, &page.entries[i], &arena, now_ms);
    }
    c->is_scanning = count > 0 && page.more;
    buf_clear(&c->scanned);
    if (c->is_scanning) {
        buf_append_slice(&c->scanned, page.entries[count - 1].path);
    } else {
        c->unswept = c->count;
    }
    arena_close(&arena);
}

static void sweep_some(struct checker *c)
{
    size_t some = c->unswept < SWEEP_PAGE ? c->unswept : SWEEP_PAGE;
    for (; some > 0; some--) {
        struct target *t = c->targets[--c->unswept];
        if (t->round != c->round) {
            target_free(t); /* what takes its place has been swept */
        }
    }
}

static bool must_scan(const struct checker *c)
{
    return c->is_scanning || c->unswept > 0 ||
           store_revision(node_store(c->o.node)) != c->scanned_revision;
}

static void scan(struct checker *c, uint64_t now_ms)
{
    if (c->unswept > 0) {
        sweep_some(c);
    } else {
        if (!c->is_scanning) { /* a round begins */
            c->is_scanning = true;
            c->round++;
            c->round_ms = now_ms;
            c->scanned_revision = store_revision(node_store(c->o.node));
        }
        scan_page(c, now_ms);
    }
    bool is_done = !c->is_scanning && c->unswept == 0;
    c->scan_ms = is_done ? c->round_ms + SCAN_EVERY_MS : now_ms + SCAN_PAGE_MS;
}

static void drop_all(struct checker *c)
{
    while (c->count > 0) {
        target_free(c->targets[c->count - 1]);
    }
    c->scanned_revision = 0;
    c->is_scanning = false;
    c->unswept = 0;
    buf_clear(&c->scanned);
}

static void handle_due(struct target *t, uint64_t now_ms)
{
    if (t->type == CHECK_HEARTBEAT) {
        beat_missed(t, now_ms);
    } else if (t->stream != NULL) {
        judge(t, false, now_ms);
    } else {
        begin(t, now_ms);
    }
}

void checker_turn(struct checker *c, uint64_t now_ms)
{
    if (c == NULL) {
        return;
    }
    if (!node_is_leading(c->o.node)) {
        drop_all(c);
        return;
    }
    if (now_ms >= c->scan_ms && must_scan(c)) {
        scan(c, now_ms);
    }
    struct heap_node *first = heap_peek(&c->due);
    for (int i = 0; i < DUE_MAX && first != NULL && first->key <= now_ms; i++) {
        handle_due(HEAP_OF(first, struct target, due), now_ms);
        first = heap_peek(&c->due);
    }
}

uint64_t checker_next_deadline_ms(const struct checker *c)
{
    if (c == NULL || !node_is_leading(c->o.node)) {
        return UINT64_MAX;
    }
    const struct heap_node *first = heap_peek(&c->due);
    uint64_t next_ms = first != NULL ? first->key : UINT64_MAX;
    return must_scan(c) && c->scan_ms < next_ms ? c->scan_ms : next_ms;
}

struct checker *checker_new(const struct checker_options *options)
{
    struct checker *c = mem_zalloc(sizeof *c);
    c->o = *options;
    c->seed = env_random_u64(options->env);
    identity_encode(&c->super, slice_str("super"), slice_make(NULL, 0));
    if (options->metrics != NULL) {
        c->passed = metrics_counter(options->metrics, "coord_checks_total", "result=\"passed\"",
                                    "Checks of instances, and heartbeats awaited, while leading.");
        c->missed = metrics_counter(options->metrics, "coord_checks_total", "result=\"missed\"",
                                    "Checks of instances, and heartbeats awaited, while leading.");
        c->protecting = metrics_gauge(options->metrics, "coord_checks_protected", NULL,
                                      "Instances not called down, as nobody else is left.");
    }
    vitals_listen(c->o.vitals, on_beat, c);
    return c;
}

void checker_free(struct checker *c)
{
    if (c != NULL) {
        vitals_listen(c->o.vitals, NULL, NULL);
        drop_all(c);
        mem_free(c->targets);
        id_map_close(&c->by_path);
        id_map_close(&c->services);
        heap_close(&c->due);
        buf_close(&c->super);
        buf_close(&c->scanned);
        mem_free(c);
    }
}
