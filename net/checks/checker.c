#include "net/checks/checker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/heap.h"
#include "base/mem.h"
#include "net/checks/state.h"
#include "net/checks/vitals.h"
#include "raft/node.h"
#include "store/acl.h"
#include "store/store.h"

#define SCAN_EVERY_MS    1000
#define RUNNING_MAX      256 /* checks at a time; others wait */
#define RUNNING_RETRY_MS 50
#define WRITE_MS         10000
#define STATUS_BYTES     12 /* "HTTP/1.1 200" */

struct target {
    struct checker *checker;
    struct slice path; /* owned */
    size_t service_bytes; /* of the path, with the slash behind the service */
    uint64_t revision;
    bool is_there; /* the scan has seen it */
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
    struct target **targets; /* by path; those without a check too */
    size_t count;
    size_t capacity;
    size_t running;
    struct heap due;
    uint64_t scanned_revision;
    uint64_t scan_ms; /* not before */
    struct metric *passed;
    struct metric *missed;
    struct metric *protecting;
};

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

static void target_free(struct target *t)
{
    stream_end(t);
    if (t->is_writing) {
        node_write_cancel(t->checker->o.node, &t->write);
    }
    protect(t, 0);
    heap_remove(&t->checker->due, &t->due);
    buf_close(&t->in);
    mem_free((void *)(uintptr_t)t->path.data);
    mem_free(t);
}

static int target_order(const void *a, const void *b)
{
    return slice_compare((*(struct target *const *)a)->path, (*(struct target *const *)b)->path);
}

static struct target *target_find(const struct checker *c, struct slice path)
{
    struct target key = {.path = path};
    struct target *pointer = &key;
    struct target **found =
        c->count == 0 ? NULL
                      : bsearch(&pointer, c->targets, c->count, sizeof(void *), target_order);
    return found != NULL ? *found : NULL;
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
    uint8_t *copy = mem_alloc(path.size);
    memcpy(copy, path.data, path.size);
    t->checker = c;
    t->path = slice_make(copy, path.size);
    t->service_bytes = path.size - id.size;
    if (c->count == c->capacity) {
        c->capacity = c->capacity == 0 ? 16 : 2 * c->capacity;
        c->targets = mem_resize(c->targets, c->capacity * sizeof(void *));
    }
    c->targets[c->count++] = t;
    return t;
}

/* ---- judging ------------------------------------------------------------------------------ */

static bool has_better_sibling(const struct checker *c, const struct target *t)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct target *o = c->targets[i];
        if (o != t && o->service_bytes == t->service_bytes && !o->draining &&
            memcmp(o->path.data, t->path.data, t->service_bytes) == 0 &&
            o->state.checks.health < HEALTH_SUSPECTED_DOWN) {
            return true;
        }
    }
    return false;
}

/* What is to be said of it. */
static uint8_t health_of(struct target *t, uint64_t now_ms)
{
    uint8_t health = t->state.checks.health;
    if (health != HEALTH_DOWN || t->said == HEALTH_DOWN ||
        has_better_sibling(t->checker, t)) {
        protect(t, 0);
        return health;
    }
    if (t->protected_ms == 0) {
        log_warn(t->checker->o.log, "checks.protected", "path=%.*s", (int)t->path.size,
                 (const char *)t->path.data);
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
                      .path = t->path,
                      .revision = t->revision},
    };
    t->write = (struct node_write){.done = on_written, .owner = t};
    t->saying = health;
    t->is_writing = node_write(node, &t->write, &c, now_ms + WRITE_MS) == RC_OK;
    log_info(t->checker->o.log, "checks.health", "path=%.*s health=%s", (int)t->path.size,
             (const char *)t->path.data, instance_health_name(health));
}

static void say_if_changed(struct target *t, uint64_t now_ms)
{
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
        vitals_passed(t->checker->o.vitals, t->path, t->revision);
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
    struct target *t = target_find(c, path);
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

static void take_entry(struct checker *c, size_t known, const struct query_entry *e,
                       struct arena *arena, uint64_t now_ms)
{
    struct slice service;
    struct slice id;
    struct service_instance in;
    if (e->unreadable || !instance_path_split(e->path, &service, &id) ||
        !instance_decode(e->data, &in, arena)) {
        return;
    }
    size_t count = c->count;
    c->count = known; /* only these are in order yet */
    struct target *t = target_find(c, e->path);
    c->count = count;
    t = t != NULL ? t : target_new(c, e->path, id);
    t->is_there = true;
    target_update(t, &in, e->stat.create_revision, now_ms);
}

static void sweep(struct checker *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (c->targets[i]->is_there) {
            c->targets[kept++] = c->targets[i];
        } else {
            target_free(c->targets[i]);
        }
    }
    c->count = kept;
    if (kept > 0) {
        qsort(c->targets, kept, sizeof(void *), target_order);
    }
}

static void scan(struct checker *c, uint64_t now_ms)
{
    struct arena arena = {0};
    struct query_result page;
    struct slice after = slice_make(NULL, 0);
    size_t known = c->count;
    struct buf who = {0};
    identity_encode(&who, slice_str("super"), slice_make(NULL, 0)); /* sees all of them */
    for (size_t i = 0; i < c->count; i++) {
        c->targets[i]->is_there = false;
    }
    do {
        struct query query = {.type = QUERY_LIST,
                              .space = SPACE_NODES,
                              .path = slice_str(SERVICE_ROOT),
                              .recursive = true,
                              .with_data = true,
                              .with_stat = true,
                              .after = after,
                              .identities = buf_slice(&who)};
        store_query(node_store(c->o.node), &query, &page, &arena);
        for (uint32_t i = 0; page.outcome == OUTCOME_OK && i < page.entry_count; i++) {
            take_entry(c, known, &page.entries[i], &arena, now_ms);
        }
        after = page.outcome == OUTCOME_OK && page.entry_count > 0
                    ? page.entries[page.entry_count - 1].path
                    : slice_make(NULL, 0);
    } while (page.outcome == OUTCOME_OK && page.more);
    sweep(c);
    buf_close(&who);
    arena_close(&arena);
}

static void drop_all(struct checker *c)
{
    for (size_t i = 0; i < c->count; i++) {
        target_free(c->targets[i]);
    }
    c->count = 0;
    c->scanned_revision = 0;
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
    uint64_t revision = store_revision(node_store(c->o.node));
    if (now_ms >= c->scan_ms && revision != c->scanned_revision) {
        c->scan_ms = now_ms + SCAN_EVERY_MS;
        c->scanned_revision = revision;
        scan(c, now_ms);
    }
    struct heap_node *first = heap_peek(&c->due);
    while (first != NULL && first->key <= now_ms) {
        struct target *t = HEAP_OF(first, struct target, due);
        if (t->type == CHECK_HEARTBEAT) {
            beat_missed(t, now_ms);
        } else if (t->stream != NULL) {
            judge(t, false, now_ms);
        } else {
            begin(t, now_ms);
        }
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
    bool must_scan = store_revision(node_store(c->o.node)) != c->scanned_revision;
    return must_scan && c->scan_ms < next_ms ? c->scan_ms : next_ms;
}

struct checker *checker_new(const struct checker_options *options)
{
    struct checker *c = mem_zalloc(sizeof *c);
    c->o = *options;
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
        heap_close(&c->due);
        mem_free(c);
    }
}
