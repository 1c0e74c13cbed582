/* What the nodes of a recipe say: readable text, one `name=value` line for each field that is set,
 * in a fixed order. `coordctl get` shows it, and it is the only truth: the index (recipes/index.h)
 * is made of it.
 *
 *   head    of the recipe's own node       recipe=lock, permits=3 (a semaphore)
 *                                          recipe=election, policy=priority
 *                                          recipe=counter, value=-17
 *   record  of an entry, one of its children, which are its queue
 *
 * There is one text for each content: what decodes encodes to the same bytes. Control characters
 * and '%' stand as %XX. To add a field: a member, a line in the table of record.c, a line in
 * docs/formats.md; readers of older builds refuse what they do not know, so a new field comes with
 * a new feature level once one has been released. Pure. */
#ifndef RECIPES_RECORD_H
#define RECIPES_RECORD_H

#include "base/arena.h"
#include "base/buf.h"

#define RECIPE_OWNER_BYTES_MAX ((size_t)256)
#define RECIPE_NOTE_BYTES_MAX  ((size_t)4096)
#define RECIPE_VALUE_BYTES_MAX ((size_t)4096)
#define RECIPE_LABEL_BYTES_MAX ((size_t)256)

enum recipe_type {
    RECIPE_LOCK = 1,
    RECIPE_ELECTION = 2,
    RECIPE_COUNTER = 3, /* these three have no queue */
    RECIPE_IDS = 4,
    RECIPE_LATCH = 5,
    RECIPE_BARRIER = 6,
};

enum entry_state { ENTRY_WAITING = 1, ENTRY_HELD = 2 };

enum lock_mode {
    LOCK_WRITE = 1,   /* nobody else */
    LOCK_READ = 2,    /* nobody who writes */
    LOCK_PERMITS = 3, /* so many of the lock's permits: a semaphore */
    MODE_CANDIDATE = 4, /* of an election, and no lock */
    MODE_PARTY = 5,     /* of a barrier */
};

/* Who is next: of those alike the one that came first. */
enum election_policy {
    ELECTION_FIRST = 1,    /* all are alike */
    ELECTION_PRIORITY = 2, /* the highest priority */
    ELECTION_NUMBER = 3,   /* the highest number: the most up to date */
};

/* "write", "read", "permits"; NULL for what is none. Static memory. */
const char *lock_mode_name(uint8_t mode);
/* "first", "priority", "number"; NULL for what is none. Static memory. */
const char *election_policy_name(uint8_t policy);

struct recipe_head {
    uint8_t recipe;   /* enum recipe_type */
    uint32_t permits; /* of a semaphore in all; 0: modes write and read */
    uint8_t policy;   /* of an election: enum election_policy, else 0 */
    uint32_t keep;    /* 1: stays when its queue is empty, as it was set up on purpose */
    struct slice eligible; /* of an election: who has this label may lead; empty: all */
    uint32_t parties;      /* of a barrier: so many go in at once, else 0 */
    uint32_t count;        /* of a latch: how often it is still to be counted down */
    int64_t value;         /* of a counter; of ids the last one given out */
};

struct recipe_record {
    uint8_t state;        /* enum entry_state */
    uint8_t mode;         /* enum lock_mode */
    uint32_t priority;    /* of a candidate: these four */
    uint64_t number;
    struct slice value;
    struct slice label;
    uint32_t permits;     /* LOCK_PERMITS: how many, else 0 */
    uint32_t count;       /* held: how often its owner has it, from 1 on; waiting: 1 */
    uint64_t epoch;       /* held: the revision that granted it, else 0 */
    uint64_t group;       /* of a multi-lock: the revision that made its entries, else 0 */
    uint32_t part;        /* of a multi-lock: its place in the request, from 1 on, else 0 */
    uint64_t since_ms;    /* wall clock: waits, or holds, since then; for display */
    uint64_t deadline_ms; /* cluster_ms: when the wait, or the hold, ends; 0 = never */
    uint64_t hold_ms;     /* how long a hold may last; 0 = as long as the lease */
    struct slice owner;   /* the line of execution within its lease; may be empty */
    struct slice note;    /* why */
    struct slice asked_by;  /* held: somebody asked to release it: who, why */
    struct slice asked_why;
    uint32_t leaving; /* of a party, held: 1, it waits for the others to leave */
};

void recipe_head_encode(struct buf *b, const struct recipe_head *h);
/* False unless it is the text of a head. Slices as below. */
bool recipe_head_decode(struct slice text, struct recipe_head *h, struct arena *arena);
/* Whether the text of a head says `keep`. */
bool recipe_head_keeps(struct slice text);

void recipe_record_encode(struct buf *b, const struct recipe_record *r);
/* False unless it is the text of a record. Slices point into `text`, or into `arena` where
 * something was escaped. */
bool recipe_record_decode(struct slice text, struct recipe_record *r, struct arena *arena);

#endif
