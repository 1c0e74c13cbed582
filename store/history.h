/* The change log: what each revision changed, oldest first, contiguous from one floor on.
 *
 * The one source of watch resume, history and audit. Every change of a revision is here or none is;
 * what is kept depends on the commands applied and on nothing else (struct retention, replicated):
 *
 *   - all of at most so many bytes and so old;
 *   - but at least the last so many revisions, up to HISTORY_BYTES_HARD_MAX, since a promise about
 *     a number of revisions must not take a machine's memory.
 *
 * What is beyond leaves a bounded piece per command, so that neither time that passed at once nor a
 * policy that became much smaller stops the loop.
 *
 * Values are shared with the records, lists with the table of lists: who might see a change is
 * known for as long as the change. Changes are immutable once their command is committed.
 * Positions count changes since the start of the store's life in this process: they are local,
 * dense and never reused, so that a reader of the log can keep one.
 */
#ifndef STORE_HISTORY_H
#define STORE_HISTORY_H

#include "base/slice.h"
#include "store/types.h"
#include "store/value.h"

/* Unless a policy says otherwise (store/policy.h). */
#define HISTORY_BYTES_MAX ((uint64_t)64 << 20)
#define HISTORY_AGE_MS_MAX ((uint64_t)3600 * 1000)
#define HISTORY_REVISIONS_MIN ((uint64_t)10000)

#define HISTORY_BYTES_HARD_MAX ((uint64_t)512 << 20)

/* Changes that leave per command, besides two for each that the command made. A revision leaves
 * whole. */
#define HISTORY_TRIM_MAX ((uint64_t)2048)

/* What a change is said to cost besides its bytes. Replicated behaviour: not sizeof. */
#define CHANGE_COST_BYTES ((uint64_t)256)

/* CHANGE_ACL: the node has another list; its value is the same before and after. */
enum change_type { CHANGE_CREATE = 1, CHANGE_SET = 2, CHANGE_DELETE = 3, CHANGE_ACL = 4 };

/* Why it happened. In rows: append only. */
enum change_reason {
    REASON_REQUEST = 0, /* somebody asked for it */
    REASON_EXPIRED = 1, /* its lease or session expired */
    REASON_REVOKED = 2, /* its lease was revoked */
    REASON_CLOSED = 3,  /* its session was closed */
    REASON_EMPTIED = 4, /* a container whose last child went */
    REASON_AGED = 5,    /* a TTL node past its time */
    REASON_GRANTED = 6, /* of a recipe: what was in its way went */
    REASON_TIMED_OUT = 7, /* of a recipe: its time to wait, or to hold, has run out */
};

/* All of at most `bytes` and `age_ms`, but at least the last `revisions`. */
struct retention {
    uint64_t bytes;
    uint64_t age_ms;
    uint64_t revisions;
};

#define RETENTION_DEFAULT \
    ((struct retention){HISTORY_BYTES_MAX, HISTORY_AGE_MS_MAX, HISTORY_REVISIONS_MIN})

struct acl_list;
struct history_chunk;

struct change {
    uint64_t revision;
    uint32_t sub; /* order within the revision, from 0 */
    uint8_t type; /* enum change_type */
    uint8_t space;
    uint8_t reason; /* enum change_reason */
    uint64_t path_hash; /* tree_hash of space and path */
    struct slice path;
    struct value *data;     /* after; of a delete NULL */
    struct value *old_data; /* before; of a create NULL */
    struct acl_list *acl;   /* that goes with `stat` (store/acl_table.h); NULL: open */
    struct node_stat stat;  /* after; of a delete: as it was */
    /* What the stat before cannot be told from `stat` without; of a create 0, of a delete as in
     * `stat`. The change of this node before this one is thus known by its revision. */
    uint64_t old_modify_revision;
    uint64_t old_modify_ms;
    uint64_t session;
    uint64_t cluster_ms;
    uint64_t wall_ms;
    struct slice identities;
    struct slice note;
    uint64_t hash;               /* private: its part of the digest */
    uint64_t cost;               /* private: its part of `bytes` */
    struct history_chunk *chunk; /* private: where it lives */
};

/* With the hash beside the pointer, a search for one path reads none of the changes it passes. */
struct history_cell {
    uint64_t path_hash;
    struct change *change;
};

/* Told about a change that leaves the log; valid until return. */
typedef void (*history_leave_fn)(void *context, const struct change *c);

/* A window of positions [begin, end), of which [kept, end) are still in memory: while a snapshot
 * scan walks, it holds on to what was trimmed in front of it. */
struct history {
    struct history_cell *ring;
    uint64_t capacity; /* a power of two */
    uint64_t kept;
    uint64_t begin;
    uint64_t end;
    uint64_t hold;  /* nothing from here on leaves the memory; UINT64_MAX: no hold */
    uint64_t floor; /* every change of this revision and later ones is here */
    uint64_t bytes;
    uint64_t sum;     /* of the hashes */
    uint64_t trimmed; /* `end` when history_trim was last called */
    struct retention retention;
    history_leave_fn leave; /* may be NULL */
    void *leave_context;
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
/* Fills in what a change has besides its content: path hash, hash, cost. */
void change_seal(struct change *c, const struct change_hashes *hashes);

/* Appends a copy of `change`: bytes are copied, values and list referenced. */
void history_append(struct history *h, const struct change *change,
                    const struct change_hashes *hashes);
/* Takes back the changes from `end` on: of a command that failed. */
void history_pop(struct history *h, uint64_t end);
/* Drops what the policy no longer keeps. Once per command. */
void history_trim(struct history *h, uint64_t revision, uint64_t cluster_ms);

/* Drops everything; the log goes on with changes of `floor` and later. */
void history_clear(struct history *h, uint64_t floor);

/* The scan's hold moves forward, or ends with UINT64_MAX. */
void history_set_hold(struct history *h, uint64_t position);

/* kept <= position < end. */
const struct change *history_at(const struct history *h, uint64_t position);
/* The position of the first change of `revision` or a later one; `revision` >= floor. O(log n). */
uint64_t history_seek(const struct history *h, uint64_t revision);
/* The first change in [from, to) whose path may be the one with this hash; `to` if there is none.
 * About a nanosecond for each change passed. */
uint64_t history_find(const struct history *h, uint64_t from, uint64_t to, uint64_t path_hash);
/* The position behind the last such change in [from, to); `from` if there is none. */
uint64_t history_find_back(const struct history *h, uint64_t from, uint64_t to,
                           uint64_t path_hash);

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
