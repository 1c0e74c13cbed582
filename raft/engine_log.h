/* The entries that are still needed: to be sent to followers and to be applied.
 *
 * libraft keeps only terms; this cache mirrors its trail exactly (same first and last index)
 * and adds the payloads. Payloads come and go at the two ends, so they are cut from chunks that
 * follow each other: nothing of theirs lies between what stays in memory for long, and a chunk goes
 * back to the system with its last payload. The oldest payloads can be forgotten before their
 * entries are, since the disk has them too. Part of the engine: nobody else includes it.
 */
#ifndef RAFT_ENGINE_LOG_H
#define RAFT_ENGINE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct engine_chunk;

struct engine_entry {
    uint64_t term;
    uint64_t ticket; /* of the log write that carries this version of the entry (rule ABA) */
    struct slice payload; /* of a forgotten one: no data, but the size */
    struct engine_chunk *chunk; /* where the payload lies; NULL: it is empty, or forgotten */
    uint8_t type; /* enum entry_type */
};

struct engine_log {
    struct engine_entry *ring;
    size_t capacity; /* a power of two, or 0 */
    uint64_t first;  /* index of the oldest entry kept */
    uint64_t held;   /* first <= held <= last + 1: payloads from here on are in memory */
    size_t count;
    uint64_t bytes;          /* of payloads from `held` on */
    uint64_t restored_bytes; /* of those before that came back */
    struct engine_chunk *chunk;    /* that is being filled; NULL: none */
    struct engine_chunk *restored; /* likewise, of payloads that came back */
};

void engine_log_init(struct engine_log *l, uint64_t first);
void engine_log_close(struct engine_log *l);

/* Drops everything and goes on at `first`. */
void engine_log_reset(struct engine_log *l, uint64_t first);
void engine_log_truncate(struct engine_log *l, uint64_t from); /* drops `from` and later */
void engine_log_trim(struct engine_log *l, uint64_t before);   /* drops what is below */
/* Forgets payloads, oldest first and below `before` only, while `bytes` is above `keep_bytes`. */
void engine_log_forget(struct engine_log *l, uint64_t before, uint64_t keep_bytes);
/* A forgotten payload comes back (a copy), until it is released or its entry goes. False: that
 * entry is not there, not forgotten, or has another term or size. */
bool engine_log_restore(struct engine_log *l, uint64_t index, uint64_t term,
                        struct slice payload);
void engine_log_release(struct engine_log *l, uint64_t from, uint64_t until);
uint64_t engine_log_last(const struct engine_log *l); /* first - 1 if empty */
struct engine_entry *engine_log_find(const struct engine_log *l, uint64_t index); /* or NULL */

/* Appends at last + 1; copies the payload. */
struct engine_entry *engine_log_append(struct engine_log *l, uint64_t term, uint8_t type,
                                       struct slice payload);

#endif
