/* How fast and how large the state machine is, alone: no log, no network. JSON lines.
 *
 *   store_bench [NODES]     (default 1000000)
 *
 * Times of operations are processor time, so that a busy machine does not count; those of the scan
 * are real, since it is the loop that waits for them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "store/policy.h"
#include "store/row.h"
#include "store/store.h"

#define TREE_NODES 100000
#define WRITES     500000
#define PATH_BYTES 40

struct bench {
    struct store *store;
    uint64_t index;
    uint64_t cluster_ms;
    bool with_request;
    struct rng rng;
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static uint64_t rss_bytes(void)
{
    unsigned long size = 0;
    unsigned long resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%lu %lu", &size, &resident) != 2) {
        abort();
    }
    fclose(f);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A tenth of a millisecond of cluster time per command: 10,000 a second. */
static void apply(struct bench *b, const struct op *op)
{
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = op, .then_count = 1}};
    struct apply_context context = {.index = ++b->index,
                                    .cluster_ms = b->cluster_ms + b->index / 10,
                                    .wall_ms = 1700000000000 + b->index / 10,
                                    .last_of_entry = true};
    if (b->with_request) {
        c.request = (struct request_id){context.cluster_ms - rng_below(&b->rng, 3),
                                        {rng_next(&b->rng), rng_next(&b->rng)}};
    }
    struct reply reply;
    store_apply(b->store, &context, &c, &reply);
    if (reply.outcome != OUTCOME_OK) {
        fprintf(stderr, "%.*s: %s\n", (int)op->path.size, (const char *)op->path.data,
                outcome_text((enum outcome)reply.outcome));
        exit(1);
    }
}

static struct op make_op(uint8_t type, const char *path, struct slice data)
{
    return (struct op){.type = type,
                       .space = SPACE_NODES,
                       .path = slice_str(path),
                       .data = data,
                       .version = VERSION_ANY};
}

/* 24 bytes of path, a thousand children per node. */
static void node_path(char *path, size_t bytes, uint32_t number)
{
    snprintf(path, bytes, "/bench/%06u/node-%05u", number / 1000, number % 1000);
}

static void fill(struct bench *b, uint32_t nodes, struct slice data)
{
    char path[64];
    struct op op = make_op(OP_CREATE, "/bench", slice_make(NULL, 0));
    apply(b, &op);
    for (uint32_t i = 0; i < nodes; i++) {
        if (i % 1000 == 0) {
            snprintf(path, sizeof path, "/bench/%06u", i / 1000);
            op = make_op(OP_CREATE, path, slice_make(NULL, 0));
            apply(b, &op);
        }
        node_path(path, sizeof path, i);
        op = make_op(OP_CREATE, path, data);
        apply(b, &op);
    }
}

static void report(const char *what, uint64_t operations, uint64_t ns)
{
    printf("{\"bench\":\"%s\",\"operations\":%" PRIu64 ",\"ns_per_op\":%" PRIu64
           ",\"ops_per_s\":%" PRIu64 "}\n",
           what, operations, ns / operations, operations * 1000000000 / ns);
    fflush(stdout);
}

/* Runs prepared operations, so that making them up is not measured. */
static void bench_ops(struct bench *b, const char *what, const struct op *ops, uint32_t count)
{
    char name[64];
    uint64_t begin = cpu_ns();
    for (uint32_t i = 0; i < count; i++) {
        apply(b, &ops[i]);
    }
    snprintf(name, sizeof name, "%s%s", what, b->with_request ? ", request ids" : "");
    report(name, count, cpu_ns() - begin);
}

/* Sets, creates and deletes in a tree of 100,000 nodes. */
static void bench_writes(bool with_request)
{
    struct bench b = {
        .store = store_new(), .cluster_ms = 1000000, .with_request = with_request};
    static char paths[WRITES][PATH_BYTES];
    static struct op ops[WRITES];
    uint8_t bytes[100] = {1};
    struct slice data = slice_make(bytes, sizeof bytes);
    rng_init(&b.rng, 1);
    fill(&b, TREE_NODES, data);

    for (uint32_t i = 0; i < WRITES; i++) {
        node_path(paths[i], PATH_BYTES, (uint32_t)rng_below(&b.rng, TREE_NODES));
        ops[i] = make_op(OP_SET, paths[i], data);
    }
    bench_ops(&b, "set", ops, WRITES);
    for (uint32_t i = 0; i < WRITES; i++) { /* the tree keeps its size */
        if (i % 2 == 0) {
            snprintf(paths[i], PATH_BYTES, "/bench/%06u/new-%05u",
                     (unsigned)rng_below(&b.rng, TREE_NODES / 1000), (unsigned)i);
            ops[i] = make_op(OP_CREATE, paths[i], data);
        } else {
            ops[i] = make_op(OP_DELETE, paths[i - 1], slice_make(NULL, 0));
        }
    }
    bench_ops(&b, "create and delete", ops, WRITES);
    store_free(b.store);

    b = (struct bench){
        .store = store_new(), .cluster_ms = 1000000, .with_request = with_request};
    rng_init(&b.rng, 2);
    for (uint32_t i = 0; i < TREE_NODES; i++) { /* all below "/", in random order */
        snprintf(paths[i], PATH_BYTES, "/%08x-%u", (unsigned)rng_below(&b.rng, UINT32_MAX), i);
        ops[i] = make_op(OP_CREATE, paths[i], data);
    }
    bench_ops(&b, "create below one node", ops, TREE_NODES);
    store_free(b.store);
}

struct laps {
    uint64_t total;
    uint64_t worst;
    uint64_t steps;
};

static void lap(struct laps *l, uint64_t ns)
{
    l->total += ns;
    l->steps++;
    l->worst = ns > l->worst ? ns : l->worst;
}

/* A scan of everything in steps of 256 KiB, with sets in between, loaded back. */
static void bench_scan(struct bench *b, uint32_t nodes)
{
    struct snapshot_meta meta = {0};
    struct laps laps = {0};
    struct buf rows = {0};
    struct store *loaded = store_new_empty();
    uint64_t load_ns = 0;
    bool more = true;
    uint64_t begin = now_ns();
    struct store_scan *scan = store_scan_begin(b->store, &meta);
    uint64_t begin_ns = now_ns() - begin;
    while (more) {
        buf_clear(&rows);
        begin = now_ns();
        more = store_scan_step(scan, (size_t)256 << 10, &rows);
        lap(&laps, now_ns() - begin);
        begin = now_ns();
        struct unpack u = unpack_make(buf_slice(&rows));
        while (u.rest.size > 0) {
            struct row row;
            if (row_decode(&u, &row) != RC_OK || store_load_row(loaded, &row) != RC_OK) {
                abort();
            }
        }
        load_ns += now_ns() - begin;
        for (int i = 0; i < 20; i++) {
            char path[64];
            node_path(path, sizeof path, (uint32_t)rng_below(&b->rng, nodes));
            struct op op = make_op(OP_SET, path, slice_str("changed"));
            apply(b, &op);
        }
    }
    store_scan_end(scan);
    begin = now_ns();
    struct errmsg err = {0};
    if (store_load_seal(loaded, &meta, &err) != RC_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    load_ns += now_ns() - begin;
    printf("{\"bench\":\"scan\",\"nodes\":%" PRIu64 ",\"begin_us\":%" PRIu64
           ",\"total_ms\":%" PRIu64 ",\"steps\":%" PRIu64 ",\"worst_step_us\":%" PRIu64
           ",\"load_ms\":%" PRIu64 "}\n",
           store_node_count(b->store), begin_ns / 1000, laps.total / 1000000, laps.steps,
           laps.worst / 1000, load_ns / 1000000);
    store_free(loaded);
    buf_close(&rows);
}

/* How long the loop stands still for one thing, in real time. */
static void report_stop(const char *what, uint64_t size, uint64_t ns)
{
    printf("{\"bench\":\"%s\",\"size\":%" PRIu64 ",\"us\":%" PRIu64 "}\n", what, size, ns / 1000);
    fflush(stdout);
}

/* Everything below "/bench" in one command. */
static void bench_delete_tree(struct bench *b)
{
    uint64_t nodes = store_node_count(b->store);
    struct op op = make_op(OP_DELETE, "/bench", slice_make(NULL, 0));
    op.flags = OP_RECURSIVE | OP_DRY_RUN;
    uint64_t begin = now_ns();
    apply(b, &op);
    report_stop("count of a tree", nodes, now_ns() - begin);
    op.flags = OP_RECURSIVE;
    begin = now_ns();
    apply(b, &op);
    report_stop("delete of a tree", nodes, now_ns() - begin);
    begin = now_ns();
    op = make_op(OP_CREATE, "/after", slice_make(NULL, 0));
    apply(b, &op);
    report_stop("the command after it", nodes, now_ns() - begin);
}

/* One transaction of as many operations as fit. */
static void bench_transaction(const char *what, uint8_t type)
{
    enum { OPS = 100000 };
    struct bench b = {.store = store_new(), .cluster_ms = 1000000};
    static char paths[OPS][PATH_BYTES];
    static struct op ops[OPS];
    for (uint32_t i = 0; i < OPS; i++) {
        snprintf(paths[i], PATH_BYTES, "/%x", i);
        ops[i] = make_op(type, type == OP_SET ? "/" : paths[i], slice_make(NULL, 0));
    }
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = ops, .then_count = OPS}};
    struct apply_context context = {.index = 1, .cluster_ms = 1000000, .last_of_entry = true};
    struct reply reply;
    uint64_t begin = now_ns();
    store_apply(b.store, &context, &c, &reply);
    report_stop(what, OPS, now_ns() - begin);
    if (reply.outcome != OUTCOME_OK) {
        fprintf(stderr, "%s: %s\n", what, outcome_text((enum outcome)reply.outcome));
        exit(1);
    }
    store_free(b.store);
}

static uint64_t ask(struct bench *b, const struct query *q)
{
    struct arena arena = {0};
    struct query_result result;
    uint64_t begin = now_ns();
    store_query(b->store, q, &result, &arena);
    uint64_t ns = now_ns() - begin;
    if (result.outcome != OUTCOME_OK) {
        fprintf(stderr, "query: %s\n", outcome_text((enum outcome)result.outcome));
        exit(1);
    }
    arena_close(&arena);
    return ns;
}

/* Questions that go through the whole of a full log, of small changes. */
static void bench_past(void)
{
    struct bench b = {.store = store_new(), .cluster_ms = 1000000};
    struct op op = make_op(OP_CREATE, "/seldom", slice_str("x"));
    apply(&b, &op);
    fill(&b, 250000, slice_make(NULL, 0));
    uint64_t changes = store_revision(b.store) - store_history_floor(b.store);
    struct query get = {.type = QUERY_GET,
                        .space = SPACE_NODES,
                        .path = slice_str("/seldom"),
                        .revision = store_history_floor(b.store)};
    report_stop("get at the oldest revision", changes, ask(&b, &get));
    struct query history = {
        .type = QUERY_HISTORY, .space = SPACE_NODES, .path = slice_str("/seldom")};
    report_stop("history of a node", changes, ask(&b, &history));
    history.newest_first = true;
    report_stop("history of a node, newest first", changes, ask(&b, &history));
    history.recursive = true;
    report_stop("history of a subtree, a page", changes, ask(&b, &history));
    history.newest_first = false;
    history.path = slice_str("/");
    report_stop("history of all, a page", changes, ask(&b, &history));
    store_free(b.store);
}

/* 256 MiB of chains that all go, since their policy ends. */
static void bench_versions(void)
{
    struct bench b = {.store = store_new(), .cluster_ms = 1000000};
    uint8_t key[POLICY_KEY_BYTES_MAX];
    uint8_t value[POLICY_VALUE_BYTES_MAX];
    struct retention least = {RETENTION_BYTES_MIN, RETENTION_AGE_MS_MIN, 0};
    struct op op = {.type = OP_SET,
                    .space = SPACE_META,
                    .path = slice_str(POLICY_RETENTION_KEY),
                    .data = retention_value(&least, value),
                    .version = VERSION_ANY};
    apply(&b, &op);
    op.path = policy_key(slice_str("/"), key);
    op.data = policy_value(10, value);
    apply(&b, &op);
    uint64_t begin = cpu_ns();
    fill(&b, 900000, slice_make(NULL, 0));
    report("create, into version chains", 900000, cpu_ns() - begin);
    printf("{\"bench\":\"memory of chains\",\"versions_bytes\":%" PRIu64
           ",\"rss_bytes\":%" PRIu64 "}\n",
           store_versions_bytes(b.store), rss_bytes());
    struct query history = {.type = QUERY_HISTORY,
                            .space = SPACE_NODES,
                            .path = slice_str("/seldom"),
                            .recursive = true};
    report_stop("history in chains, a page", store_versions_bytes(b.store), ask(&b, &history));
    uint64_t worst = 0;
    uint64_t commands = 0;
    op.type = OP_DELETE;
    op.data = slice_make(NULL, 0);
    for (; commands == 0 || store_versions_bytes(b.store) > 0; commands++) {
        begin = now_ns();
        apply(&b, &op);
        worst = now_ns() - begin > worst ? now_ns() - begin : worst;
        op = make_op(OP_SET, "/", slice_make(NULL, 0));
    }
    report_stop("a piece of a sweep, the worst", commands, worst);
    store_free(b.store);
}

static void bench_memory(uint32_t nodes)
{
    struct bench b = {.store = store_new(), .cluster_ms = 1000000};
    uint8_t data[256] = {1};
    rng_init(&b.rng, 3);
    uint64_t begin = cpu_ns();
    fill(&b, nodes, slice_make(data, sizeof data));
    report("create, 256 bytes", nodes, cpu_ns() - begin);
    /* What the change log holds is told apart by its own account. */
    printf("{\"bench\":\"memory\",\"nodes\":%" PRIu64 ",\"rss_bytes\":%" PRIu64
           ",\"history_bytes\":%" PRIu64 ",\"store_bytes\":%" PRIu64 "}\n",
           store_node_count(b.store), rss_bytes(), store_history_bytes(b.store),
           store_bytes(b.store));
    fflush(stdout);
    bench_scan(&b, nodes);
    bench_delete_tree(&b);
    store_free(b.store);
}

int main(int argc, char **argv)
{
    uint32_t nodes = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    bench_memory(nodes);
    bench_past();
    bench_versions();
    bench_transaction("transaction of creates", OP_CREATE);
    bench_transaction("transaction of sets", OP_SET);
    bench_writes(false);
    bench_writes(true);
    return 0;
}
