/* How fast a snapshot file is written and loaded, and how large it is. JSON lines.
 *
 *   snapshot_bench [NODES [FILE]]     (default 1000000 and snapshot_bench.db, removed at the end)
 *
 * Nodes of 256 bytes under 1,000 parents. "cpu_s" is processor time, as a worker thread would
 * spend it; "s" is what a clock on the wall says, with the disk and with whoever else is busy. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/store.h"
#include "tests/support/real_env.h"

#define PARENTS     1000
#define VALUE_BYTES 256
#define STEP_BYTES  ((size_t)256 << 10)

struct watch {
    double wall_s;
    double cpu_s;
};

static double seconds(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void watch_start(struct watch *w)
{
    w->wall_s -= seconds(CLOCK_MONOTONIC);
    w->cpu_s -= seconds(CLOCK_PROCESS_CPUTIME_ID);
}

static void watch_stop(struct watch *w)
{
    w->wall_s += seconds(CLOCK_MONOTONIC);
    w->cpu_s += seconds(CLOCK_PROCESS_CPUTIME_ID);
}

static void report(const char *what, const struct watch *w, uint64_t nodes, uint64_t bytes)
{
    (void)printf("{\"bench\": \"%s\", \"nodes\": %" PRIu64 ", \"file_bytes\": %" PRIu64
                 ", \"s\": %.2f, \"cpu_s\": %.2f}\n",
                 what, nodes, bytes, w->wall_s, w->cpu_s);
}

static void check(enum status rc, const struct errmsg *err)
{
    if (rc != RC_OK) {
        (void)fprintf(stderr, "%s: %s\n", status_text(rc), err->text);
        exit(1);
    }
}

static struct store *make_store(uint64_t nodes)
{
    struct store *s = store_new();
    uint8_t value[VALUE_BYTES];
    memset(value, 7, sizeof value);
    for (uint64_t i = 0; i < nodes; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/bench/%03" PRIu64 "/node-%08" PRIu64, i % PARENTS,
                       i);
        memcpy(value, &i, sizeof i);
        struct op op = {
            .type = OP_CREATE,
            .flags = OP_MAKE_PARENTS,
            .space = SPACE_NODES,
            .path = slice_str(path),
            .data = slice_make(value, sizeof value),
        };
        struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
        struct apply_context context = {
            .index = i + 1,
            .cluster_ms = i / 10,
            .wall_ms = 1700000000000 + i / 10,
            .last_of_entry = true,
        };
        struct reply reply;
        store_apply(s, &context, &c, &reply);
    }
    return s;
}

static void take(struct env *env, struct store *s, const char *file, struct watch *writing,
                 struct watch *syncing)
{
    struct snapshot_meta meta = {.term = 1};
    struct snapshot_writer *w = NULL;
    struct errmsg err = {.rc = RC_OK};
    struct buf rows = {.size = 0};
    watch_start(writing);
    check(snapshot_writer_open(env, file, &w, &err), &err);
    watch_stop(writing);
    struct store_scan *scan = store_scan_begin(s, &meta);
    for (bool more = true; more;) {
        buf_clear(&rows);
        more = store_scan_step(scan, STEP_BYTES, &rows);
        watch_start(writing);
        check(snapshot_writer_rows(w, buf_slice(&rows), &err), &err);
        watch_stop(writing);
    }
    store_scan_end(scan);
    watch_start(syncing);
    check(snapshot_writer_finish(w, &meta, &err), &err);
    watch_stop(syncing);
    buf_close(&rows);
}

int main(int argc, char **argv)
{
    uint64_t nodes = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    const char *file = argc > 2 ? argv[2] : "snapshot_bench.db";
    struct real_env *real = real_env_new();
    struct env *env = real_env_get(real);

    struct store *s = make_store(nodes);
    struct watch writing = {.wall_s = 0};
    struct watch syncing = {.wall_s = 0};
    take(env, s, file, &writing, &syncing);
    uint64_t digest = store_digest(s);
    store_free(s);

    struct watch inspecting = {.wall_s = 0};
    struct watch loading = {.wall_s = 0};
    struct snapshot_meta meta;
    struct errmsg err = {.rc = RC_OK};
    watch_start(&inspecting);
    check(snapshot_inspect(env, file, &meta, &err), &err);
    watch_stop(&inspecting);
    snapshot_meta_close(&meta);
    watch_start(&loading);
    check(snapshot_load(env, file, &s, &meta, &err), &err);
    watch_stop(&loading);
    if (store_digest(s) != digest) {
        (void)fprintf(stderr, "another digest after loading\n");
        return 1;
    }

    struct env_file *opened = NULL;
    uint64_t bytes = 0;
    check(env->disk->open(env, file, ENV_OPEN_READ, &opened), &err);
    check(env->disk->size(opened, &bytes), &err);
    env->disk->close(opened);
    report("snapshot_write", &writing, nodes, bytes);
    report("snapshot_finish_and_sync", &syncing, nodes, bytes);
    report("snapshot_inspect", &inspecting, nodes, bytes);
    report("snapshot_load", &loading, nodes, bytes);

    snapshot_meta_close(&meta);
    store_free(s);
    check(env->disk->unlink(env, file), &err);
    real_env_free(real);
    return 0;
}
