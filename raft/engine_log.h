/* The entries that are still needed in memory: to be sent to followers and to be applied.
 *
 * libraft keeps only terms; this cache mirrors its trail exactly (same first and last index)
 * and adds the payloads. Payloads of one batch share one block of memory, counted and released
 * with the last entry that points into it. Part of the engine: nobody else includes it.
 */
#ifndef RAFT_ENGINE_LOG_H
#define RAFT_ENGINE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* A block obtained from raft_malloc that several entries point into. */
struct engine_block;

struct engine_entry {
    uint64_t term;
    uint64_t ticket; /* of the log write that carries this version of the entry (rule ABA) */
    struct slice payload;
    struct engine_block *block;
    uint8_t type; /* enum entry_type */
};

struct engine_log {
    struct engine_entry *ring;
    size_t capacity; /* a power of two, or 0 */
    uint64_t first;  /* index of the oldest entry kept */
    size_t count;
    uint64_t bytes; /* of payloads */
};

void engine_log_init(struct engine_log *l, uint64_t first);
void engine_log_close(struct engine_log *l);

/* Drops everything and goes on at `first`. */
void engine_log_reset(struct engine_log *l, uint64_t first);
void engine_log_truncate(struct engine_log *l, uint64_t from); /* drops `from` and later */
void engine_log_trim(struct engine_log *l, uint64_t before);   /* drops what is below */
uint64_t engine_log_last(const struct engine_log *l);          /* first - 1 if empty */
struct engine_entry *engine_log_find(const struct engine_log *l, uint64_t index); /* or NULL */

/* Takes the memory (free(3) semantics) for entries that point into it. */
struct engine_block *engine_block_new(void *memory);
void engine_block_release(struct engine_block *block); /* the creator's own reference */

/* Appends at last + 1; takes a reference to `block` (which may be NULL for an empty
 * payload). */
struct engine_entry *engine_log_append(struct engine_log *l, uint64_t term, uint8_t type,
                                       struct slice payload, struct engine_block *block);

#endif
