/* The reply cache of requests that carry an id of their own: what makes their retry safe.
 *
 * Replies are remembered in issue order (issued_ms, then the random words) and leave in that order:
 * above REPLIES_COUNT_MAX or REPLIES_BYTES_MAX the smallest id goes, and all that were issued more
 * than REPLIES_AGE_MS_MAX ago. The floor is the greatest id that may have left; an id at or below
 * it is refused, because nobody can tell any more whether it was executed. The floor is replicated
 * and only grows, so an id above it that is not here was never executed.
 *
 * Sessions have windows of their own, by sequence number (lease/window.h).
 */
#ifndef STORE_REPLIES_H
#define STORE_REPLIES_H

#include "base/slice.h"
#include "store/types.h"

#define REPLIES_COUNT_MAX ((size_t)65536)
#define REPLIES_BYTES_MAX ((uint64_t)32 << 20)
#define REPLIES_AGE_MS_MAX ((uint64_t)600 * 1000)
#define REPLIES_AHEAD_MS_MAX ((uint64_t)60 * 1000)

/* What a reply is said to cost besides its bytes. Replicated behaviour: not sizeof. */
#define REPLY_COST_BYTES ((uint64_t)96)

struct remembered {
    struct request_id id;
    uint64_t index;  /* log index it was applied at */
    uint64_t serial; /* local: counts what came, for the snapshot scan */
    uint64_t hash;   /* its part of the digest */
    uint32_t size;
    uint8_t reply[]; /* reply_encode */
};

/* issued_ms beside the pointer: a search touches no entry before it is close. */
struct replies_cell {
    uint64_t issued_ms;
    struct remembered *entry;
};

/* Told about an entry that is about to leave. */
typedef void (*replies_evict_fn)(void *context, const struct remembered *entry);

struct replies {
    struct replies_cell *cells; /* sorted by id: [begin, end) */
    size_t begin;
    size_t end;
    size_t capacity;
    uint64_t bytes;
    uint64_t sum; /* of the hashes */
    uint64_t serial_next;
    struct request_id floor;
    replies_evict_fn evict; /* may be NULL */
    void *evict_context;
};

int request_id_compare(const struct request_id *a, const struct request_id *b);

void replies_close(struct replies *r);

const struct remembered *replies_find(const struct replies *r, const struct request_id *id);
/* Above the floor and not there yet. Keeps a copy. */
void replies_add(struct replies *r, const struct request_id *id, uint64_t index,
                 struct slice reply);
/* Applies the bounds. */
void replies_trim(struct replies *r, uint64_t cluster_ms);

/* Forgets everything; ids up to `floor`, which is not below any of them, are refused from now
 * on. */
void replies_forget(struct replies *r, const struct request_id *floor);

/* The first entry whose id is greater than `after`; NULL at the end. */
const struct remembered *replies_next(const struct replies *r, const struct request_id *after);

static inline size_t replies_count(const struct replies *r)
{
    return r->end - r->begin;
}

/* Order, floor, bytes and hashes. */
void replies_check(const struct replies *r);

#endif
