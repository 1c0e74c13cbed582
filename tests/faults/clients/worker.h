/* One client of the fault tests: a thread with a libcoord client of its own, that does one thing
 * at a time and writes a line for each call into a file of its own.
 *
 * A line is made of words:
 *
 *     op KIND PATH ARG EXPECT BEGIN END RESULT REVISION DATA MODIFIED VERSION
 *
 * ARG is the value that was to be written, EXPECT the version that was asked for (-1: any), BEGIN
 * and END are CLOCK_MONOTONIC in microseconds, RESULT is a word of result_word(), REVISION that of
 * the reply (0: it told none), then what was read: the value, and its modify revision and version.
 * What does not apply is "-" or 0. A value is written once and never again, so it names its call.
 * Lines of other kinds are explained where they are written. */
#ifndef FAULTS_WORKER_H
#define FAULTS_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/client.h"

#define WORKER_PATH_BYTES  128
#define WORKER_VALUE_BYTES 64

/* What all workers are told. */
struct setup {
    const char *dir;    /* histories go there */
    uint64_t begin_us;  /* when keys begin to rotate */
    uint64_t rotate_us; /* each key is used for so long */
    unsigned slots;     /* so many keys at a time */
    uint64_t seed;      /* of what workers choose */
    atomic_bool *stop;  /* no new calls */
};

struct worker {
    pthread_t thread;
    const struct setup *setup;
    void (*run)(struct worker *w);
    char name[32];
    struct coord_client *client;
    FILE *history;
    uint64_t rng;
    uint64_t written; /* values so far */
};

/* What one call came to; `data` and the rest as far as the call has them. */
struct result {
    enum coord_code code;
    uint64_t begin_us, end_us;
    uint64_t revision;
    char data[WORKER_VALUE_BYTES];
    struct coord_stat stat;
    struct coord_error error;
};

uint64_t worker_now_us(void);
/* 0 to below - 1. */
unsigned worker_random(struct worker *w, unsigned below);
/* A value that nobody else writes. */
void worker_value(struct worker *w, char value[WORKER_VALUE_BYTES]);
bool worker_should_stop(const struct worker *w);
/* Lets up to so many milliseconds pass, since clients think. */
void worker_think(struct worker *w, unsigned ms);

/* "ok", "not_found", ... or, for what is decided to have done nothing, "failed", and "unknown". */
const char *result_word(enum coord_code code);
void worker_write_op(struct worker *w, const char *kind, const char *path, const char *arg,
                     int64_t expect, const struct result *r);

/* The calls, each with its line. */
struct result worker_get(struct worker *w, const char *path);
/* As the client has seen it, without a round: kind "sget". */
struct result worker_get_session(struct worker *w, const char *path);
struct result worker_set(struct worker *w, const char *path, const char *value, int64_t expect);
struct result worker_create(struct worker *w, const char *path, const char *value);
struct result worker_delete(struct worker *w, const char *path, int64_t expect);

/* Keeps its session alive, or opens one. True: it is good for a while. */
bool worker_stay_alive(struct worker *w, uint64_t ttl_ms);
/* Now, with a margin. */
bool worker_is_trusted(const struct worker *w);
/* A value as one word: what would end that is told as a comma. "-": there is none. */
void worker_put_value(FILE *file, const void *data, size_t bytes);

/* What there is to do; each returns when it should stop. */
void worker_run_kv(struct worker *w);
void worker_run_read(struct worker *w);
void worker_run_bank(struct worker *w);
void worker_run_lock(struct worker *w);
void worker_run_held(struct worker *w);
void worker_run_elect(struct worker *w);
void worker_run_session(struct worker *w);
void worker_run_watch(struct worker *w);
void worker_run_late_watch(struct worker *w);

#endif
