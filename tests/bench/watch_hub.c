/* What watches cost inside a node, alone: no log, no network. JSON lines.
 *
 *   watch_hub [WATCHES]     (default 100000)
 *
 * Times are processor time of the hub's calls alone: the store's work is not in them. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/rng.h"
#include "store/history.h"
#include "store/store.h"
#include "watch/watch.h"

#define NODES     10000
#define CHANGES   20000
#define BATCH     1000 /* commands between two looks at the clock */
#define LISTENERS 1000
#define ROUNDS    1000

struct bench {
    struct store *store;
    struct watch_hub *hub;
    uint64_t index;
    struct rng rng;
    struct watch *watches;
    size_t count;
};

static uint64_t delivered;

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static size_t on_deliver(struct watch *w, const struct change *const *changes, size_t count,
                         bool continued, bool more)
{
    (void)w;
    (void)changes;
    (void)continued;
    (void)more;
    delivered += count;
    return count;
}

static void on_compacted(struct watch *w, uint64_t floor)
{
    (void)w;
    fprintf(stderr, "compacted at %" PRIu64 "\n", floor);
    exit(1);
}

static const struct watch_ops ops = {.deliver = on_deliver, .compacted = on_compacted};

static void apply(struct bench *b, uint8_t type, const char *path)
{
    struct op op = {.type = type,
                    .flags = OP_MAKE_PARENTS * (type == OP_CREATE),
                    .space = SPACE_NODES,
                    .path = slice_str(path),
                    .data = slice_str("value"),
                    .version = VERSION_ANY};
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    struct apply_context context = {.index = ++b->index,
                                    .cluster_ms = 1000000 + b->index / 10,
                                    .wall_ms = 1700000000000 + b->index / 10,
                                    .last_of_entry = true};
    struct reply reply;
    store_apply(b->store, &context, &c, &reply);
    if (reply.outcome != OUTCOME_OK) {
        fprintf(stderr, "%s: %s\n", path, outcome_text((enum outcome)reply.outcome));
        exit(1);
    }
}

static void instance_path(char *path, size_t bytes, const char *top, size_t i)
{
    snprintf(path, bytes, "/%s/region-%zu/instances/%08zu", top, i % 10, i);
}

static void start_watches(struct bench *b, size_t count, const char *top, uint64_t from)
{
    b->watches = mem_zalloc(count * sizeof *b->watches);
    b->count = count;
    for (size_t i = 0; i < count; i++) {
        char path[64];
        instance_path(path, sizeof path, top, i);
        struct watch_filter f = {.scope = (uint8_t)(WATCH_NODE + i % 4),
                                 .space = SPACE_NODES,
                                 .path = slice_str(path)};
        if (watch_start(b->hub, &b->watches[i], &f, &ops, from) != OUTCOME_OK) {
            abort();
        }
    }
}

static void stop_watches(struct bench *b)
{
    for (size_t i = 0; i < b->count; i++) {
        watch_stop(b->hub, &b->watches[i]);
    }
    mem_free(b->watches);
}

static void bench_idle(struct bench *b, size_t count)
{
    size_t before = heap_bytes();
    uint64_t begin = cpu_ns();
    start_watches(b, count, "idle", 0);
    uint64_t start_ns = cpu_ns() - begin;
    size_t bytes = heap_bytes() - before;
    uint64_t ns = 0;
    uint64_t before_delivered = delivered;
    for (size_t i = 0; i < CHANGES; i++) {
        char path[64];
        instance_path(path, sizeof path, "busy", rng_below(&b->rng, NODES));
        apply(b, OP_SET, path);
        if (i % BATCH == BATCH - 1) {
            begin = cpu_ns();
            hub_dispatch(b->hub);
            ns += cpu_ns() - begin;
        }
    }
    printf("{\"bench\":\"dispatch beside idle watches\",\"watches\":%zu,\"changes\":%d,"
           "\"ns_per_change\":%" PRIu64 ",\"bytes_per_watch\":%.1f,\"start_ns\":%" PRIu64
           ",\"delivered\":%" PRIu64 "}\n",
           count, CHANGES, ns / CHANGES, count == 0 ? 0.0 : (double)bytes / (double)count,
           count == 0 ? 0 : start_ns / count, delivered - before_delivered);
    stop_watches(b);
}

static void bench_listeners(struct bench *b)
{
    uint64_t ns = 0;
    uint64_t before = delivered;
    char path[64];
    instance_path(path, sizeof path, "busy", 7);
    b->watches = mem_zalloc(LISTENERS * sizeof *b->watches);
    b->count = LISTENERS;
    for (size_t i = 0; i < LISTENERS; i++) {
        struct watch_filter f = {
            .scope = WATCH_NODE, .space = SPACE_NODES, .path = slice_str(path)};
        if (watch_start(b->hub, &b->watches[i], &f, &ops, 0) != OUTCOME_OK) {
            abort();
        }
    }
    for (size_t i = 0; i < ROUNDS; i++) {
        apply(b, OP_SET, path);
        uint64_t begin = cpu_ns();
        hub_dispatch(b->hub);
        ns += cpu_ns() - begin;
    }
    printf("{\"bench\":\"one change to many watches\",\"watches\":%d,\"us_per_change\":%.1f,"
           "\"ns_per_watch\":%.1f,\"delivered\":%" PRIu64 "}\n",
           LISTENERS, (double)ns / ROUNDS / 1000, (double)ns / ROUNDS / LISTENERS,
           delivered - before);
    stop_watches(b);
}

static void bench_catch_up(struct bench *b, size_t count)
{
    uint64_t before = delivered;
    uint64_t turns = 0;
    uint64_t worst = 0;
    bool more = true;
    start_watches(b, count, "busy", store_revision(b->store) - CHANGES / 2);
    uint64_t begin = cpu_ns();
    while (more) {
        uint64_t turn = cpu_ns();
        more = hub_turn(b->hub, 2048);
        turn = cpu_ns() - turn;
        worst = turn > worst ? turn : worst;
        turns++;
    }
    printf("{\"bench\":\"catching up together\",\"watches\":%zu,\"changes\":%d,"
           "\"ms\":%.1f,\"turns\":%" PRIu64 ",\"worst_turn_us\":%" PRIu64
           ",\"delivered\":%" PRIu64 "}\n",
           count, CHANGES / 2, (double)(cpu_ns() - begin) / 1e6, turns, worst / 1000,
           delivered - before);
    stop_watches(b);
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 100000;
    struct bench b = {.store = store_new()};
    b.hub = hub_new(b.store);
    rng_init(&b.rng, 1);
    for (size_t i = 0; i < NODES; i++) {
        char path[64];
        instance_path(path, sizeof path, "busy", i);
        apply(&b, OP_CREATE, path);
    }
    hub_dispatch(b.hub);
    bench_idle(&b, 0);
    bench_idle(&b, 1);
    bench_idle(&b, count);
    bench_listeners(&b);
    bench_catch_up(&b, count);
    hub_free(b.hub);
    store_free(b.store);
    return 0;
}
