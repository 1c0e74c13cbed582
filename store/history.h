/* The change log: what each revision changed, oldest first, contiguous from one floor on.
 *
 * The one source of watch resume, history and audit. Every change of a revision is here or none is;
 * what is kept depends on the commands applied and on nothing else:
 *
 *   - all of at most HISTORY_BYTES_MAX and HISTORY_AGE_MS_MAX;
 *   - but at least the last HISTORY_REVISIONS_MIN revisions, up to HISTORY_BYTES_HARD_MAX, since a
 *     promise about a number of revisions must not take a machine's memory.
 *
 * Values are shared with the records. Changes are immutable once their command is committed.
 * Positions count changes since the start of the store's life in this process: they are local,
 * dense and never reused, so that a reader of the log can keep one.
 */
#ifndef STORE_HISTORY_H
#define STORE_HISTORY_H

#include "base/slice.h"
#include "store/types.h"
#include "store/value.h"

#define HISTORY_BYTES_MAX ((uint64_t)64 << 20)
#define HISTORY_BYTES_HARD_MAX ((uint64_t)512 << 20)
#define HISTORY_AGE_MS_MAX ((uint64_t)3600 * 1000)
#define HISTORY_REVISIONS_MIN ((uint64_t)10000)

/* What a change is said to cost besides its bytes. Replicated behaviour: not sizeof. */
#define CHANGE_COST_BYTES ((uint64_t)256)

enum change_type { CHANGE_CREATE = 1, CHANGE_SET = 2, CHANGE_DELETE = 3 };

/* Why it happened. In rows: append only. */
enum change_reason {
    REASON_REQUEST = 0, /* somebody asked for it */
    REASON_EXPIRED = 1, /* its lease or session expired */
    REASON_REVOKED = 2, /* its lease was revoked */
    REASON_CLOSED = 3,  /* its session was closed */
    REASON_EMPTIED = 4, /* a container whose last child went */
    REASON_AGED = 5,    /* a TTL node past its time */
};

struct history_chunk;

struct change {
    uint64_t revision;
    uint32_t sub; /* order within the revision, from 0 */
    uint8_t type; /* enum change_type */
    uint8_t space;
    uint8_t reason; /* enum change_reason */
    struct slice path;
    struct value *data;     /* after; of a delete NULL */
    struct value *old_data; /* before; of a create NULL */
    struct node_stat stat;       /* after; of a delete: as it was */
    uint64_t session;
    uint64_t cluster_ms;
    uint64_t wall_ms;
    struct slice identities;
    struct slice note;
    uint64_t hash;               /* private: its part of the digest */
    uint64_t cost;               /* private: its part of `bytes` */
    struct history_chunk *chunk; /* private: where it lives */
};

/* A window of positions [begin, end), of which [kept, end) are still in memory: while a snapshot
 * scan walks, it holds on to what was trimmed in front of it. */
struct history {
    struct change **ring;
    uint64_t capacity; /* a power of two */
    uint64_t kept;
    uint64_t begin;
    uint64_t end;
    uint64_t hold;  /* nothing from here on leaves the memory; UINT64_MAX: no hold */
    uint64_t floor; /* every change of this revision and later ones is here */
    uint64_t bytes;
    uint64_t sum; /* of the hashes */
    struct history_chunk *chunk;
};

void history_init(struct history *h, uint64_t floor);
void history_close(struct history *h);

/* What a change has that is worth hashing once only: whoever applies it has these at hand. */
struct change_hashes {
    uint64_t path; /* tree_hash */
    uint64_t data; /* value_hash */
    uint64_t old_data;
    uint64_t stat; /* stat_hash */
};

struct change_hashes change_hashes_make(const struct change *change);

/* Appends a copy of `change`: bytes are copied, values referenced. */
void history_append(struct history *h, const struct change *change,
                    const struct change_hashes *hashes);
/* Takes back the changes from `end` on: of a command that failed. */
void history_pop(struct history *h, uint64_t end);
/* Drops what the policy no longer keeps. */
void history_trim(struct history *h, uint64_t revision, uint64_t cluster_ms);

/* The scan's hold moves forward, or ends with UINT64_MAX. */
void history_set_hold(struct history *h, uint64_t position);

/* kept <= position < end. */
const struct change *history_at(const struct history *h, uint64_t position);
/* The position of the first change of `revision` or a later one; `revision` >= floor. O(log n). */
uint64_t history_seek(const struct history *h, uint64_t revision);

/* Loading: puts changes that came in any order into theirs. False if two are the same. */
bool history_sort(struct history *h);
/* Whether the changes run without gap from the floor to `revision`. */
bool history_is_contiguous(const struct history *h, uint64_t revision);

/* Makes changes share equal values: what one change made is what the next of that node replaced.
 * After loading, where every row brought its own copy. */
void history_share(struct history *h);

uint64_t history_sum(const struct history *h); /* anew, for store_check */
uint64_t history_cost(const struct history *h);

#endif
