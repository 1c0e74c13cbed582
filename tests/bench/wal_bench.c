/* What the log costs beyond the disk: the rate of plain writes with fdatasync into a zeroed file,
 * then of the log on the production env with 1, 64 and 1024 appends in flight, then in bytes. JSON
 * lines, latencies in microseconds.
 *
 *   wal_bench [DIR [SECONDS]]     (default wal_bench.tmp, removed at the end, and 2 s per line) */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/env_uv.h"
#include "base/mem.h"
#include "raft/wal.h"
#include "cmd/coordctl/load/latency.h"

#define ENTRY_BYTES 128
#define FILE_BYTES  ((size_t)16 << 20)
#define DEPTH_MAX   1024
#define LARGE_BYTES ((size_t)1 << 20)

struct bench {
    uv_loop_t loop;
    struct env *env;
    struct wal *wal;
    char dir[256];
    uint64_t end_us;
    uint64_t depth;
    size_t entry_bytes;
    uint64_t next_index;
    uint64_t durable;
    uint64_t sent_us[DEPTH_MAX];
    struct latency latency;
    uint8_t payload[LARGE_BYTES];
};

static void check(enum status rc, const char *what)
{
    if (rc != RC_OK) {
        (void)fprintf(stderr, "%s: %s\n", what, status_text(rc));
        exit(1);
    }
}

static void report(struct bench *b, const char *what, uint64_t count, uint64_t took_us,
                   size_t bytes)
{
    double seconds = (double)took_us / 1e6;
    (void)printf("{\"bench\": \"%s\", \"depth\": %" PRIu64 ", \"entry_bytes\": %zu, "
                 "\"per_s\": %.0f, \"mib_per_s\": %.1f, \"p50_us\": %" PRIu64
                 ", \"p99_us\": %" PRIu64 ", \"max_us\": %" PRIu64 "}\n",
                 what, b->depth, bytes, (double)count / seconds,
                 (double)count * (double)bytes / seconds / 1048576,
                 latency_percentile(&b->latency, 50), latency_percentile(&b->latency, 99),
                 b->latency.max);
}

/* The floor: one write and one fdatasync after the other. */
static void bench_disk(struct bench *b, uint64_t duration_us)
{
    const struct env_disk *disk = b->env->disk;
    struct env_file *file;
    char path[300];
    (void)snprintf(path, sizeof path, "%s/plain", b->dir);
    check(disk->open(b->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file),
          "open");
    for (size_t at = 0; at < FILE_BYTES; at += LARGE_BYTES) {
        check(disk->write(file, at, b->payload, LARGE_BYTES), "write");
    }
    check(disk->sync(file), "sync");
    b->depth = 1;
    b->latency = (struct latency){0};
    uint64_t start_us = b->env->now_us(b->env);
    uint64_t now_us = start_us;
    while (now_us < start_us + duration_us) {
        uint64_t offset = b->latency.total * ENTRY_BYTES % (FILE_BYTES - ENTRY_BYTES);
        check(disk->write(file, offset, b->payload + 1, ENTRY_BYTES), "write");
        check(disk->sync(file), "sync");
        uint64_t done_us = b->env->now_us(b->env);
        latency_add(&b->latency, done_us - now_us);
        now_us = done_us;
    }
    report(b, "disk_fdatasync", b->latency.total, now_us - start_us, ENTRY_BYTES);
    disk->close(file);
    check(disk->unlink(b->env, path), "unlink");
}

static void send_one(struct bench *b)
{
    struct wal_entry entry = {.index = b->next_index++,
                              .term = 1,
                              .type = 1,
                              .payload = slice_make(b->payload, b->entry_bytes)};
    uint64_t ticket = wal_append(b->wal, &entry, 1);
    b->sent_us[ticket % b->depth] = b->env->now_us(b->env);
}

static void on_durable(void *context, uint64_t ticket)
{
    struct bench *b = context;
    uint64_t now_us = b->env->now_us(b->env);
    uint64_t count = ticket - b->durable;
    while (b->durable < ticket) {
        b->durable++;
        latency_add(&b->latency, now_us - b->sent_us[b->durable % b->depth]);
    }
    wal_compact(b->wal, b->next_index - count);
    for (uint64_t i = 0; i < count && now_us < b->end_us; i++) {
        send_one(b);
    }
    wal_flush(b->wal);
}

static void on_failed(void *context, enum status rc)
{
    (void)context;
    check(rc, "log");
}

static void bench_log(struct bench *b, uint64_t depth, size_t entry_bytes, uint64_t duration_us)
{
    b->depth = depth;
    b->entry_bytes = entry_bytes;
    b->latency = (struct latency){0};
    uint64_t first = b->durable;
    uint64_t start_us = b->env->now_us(b->env);
    b->end_us = start_us + duration_us;
    for (uint64_t i = 0; i < depth; i++) {
        send_one(b);
    }
    wal_flush(b->wal);
    while (b->durable - first < b->next_index - 1 - first) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    report(b, "wal_append", b->durable - first, b->env->now_us(b->env) - start_us, entry_bytes);
}

static void remove_file(void *context, const char *name, uint64_t bytes)
{
    const struct bench *b = context;
    char path[600];
    (void)bytes;
    (void)snprintf(path, sizeof path, "%s/%s", b->dir, name);
    (void)unlink(path);
}

static void open_log(struct bench *b)
{
    struct wal_options options = {.cluster_id = 1, .node_id = 1};
    struct wal_events events = {.durable = on_durable, .failed = on_failed};
    struct wal_recovery found;
    struct errmsg err = {0};
    uint64_t start_us = b->env->now_us(b->env);
    check(wal_open(b->env, b->dir, &options, &events, b, &b->wal, &found, &err), "open log");
    (void)printf("{\"bench\": \"wal_open_new\", \"us\": %" PRIu64 "}\n",
                 b->env->now_us(b->env) - start_us);
    wal_recovery_close(&found);
    b->next_index = 1;
}

int main(int argc, char **argv)
{
    struct bench *b = mem_zalloc(sizeof *b);
    struct log log = {.level = LOG_ERROR, .sink = log_stderr_sink};
    uint64_t duration_us = (argc > 2 ? strtoull(argv[2], NULL, 10) : 2) * 1000000;
    (void)snprintf(b->dir, sizeof b->dir, "%s", argc > 1 ? argv[1] : "wal_bench.tmp");
    if (mkdir(b->dir, 0700) != 0) {
        perror(b->dir);
        return 1;
    }
    (void)uv_loop_init(&b->loop);
    b->env = env_uv_new(&b->loop, &log);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);

    bench_disk(b, duration_us);
    open_log(b);
    bench_log(b, 1, ENTRY_BYTES, duration_us);
    bench_log(b, 64, ENTRY_BYTES, duration_us);
    bench_log(b, DEPTH_MAX, ENTRY_BYTES, duration_us);
    bench_log(b, 16, LARGE_BYTES, duration_us);

    wal_close(b->wal);
    (void)b->env->disk->list(b->env, b->dir, remove_file, b);
    env_uv_free(b->env);
    (void)uv_loop_close(&b->loop);
    (void)rmdir(b->dir);
    mem_free(b);
    return 0;
}
