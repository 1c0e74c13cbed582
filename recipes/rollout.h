/* Rollouts: a new value of a configuration key that instances are given step by step.
 *
 *   PLANNING --promote--> IN_PROGRESS(step 0) --promote--> ... --promote, finish--> COMPLETED
 *      |                     |  ^   each step shows the value to more instances        |
 *      |                     +--+ pause, resume                                        |
 *      +-----roll back-------+-----------------------roll back-------------------------+
 *                            |  by hand; the gate says no; key, root or schema changed |
 *                            +------------------------> ROLLED_BACK <------------------+
 *
 * The key keeps its value until COMPLETED, when it is set to the new one; rolled back from there it
 * is set back, unless somebody has set it since. What an instance sees in between is a function of
 * the record, its id and its labels (rollout_covers): nothing is kept of instances, and who has
 * been given the value keeps it when the percentage grows.
 *
 * A record is readable text, one `name=value` line for each field that is set, in a fixed order;
 * control characters and '%' stand as %XX. What decodes encodes to the same bytes. Pure: time and
 * what is in the tree come as facts. */
#ifndef RECIPES_ROLLOUT_H
#define RECIPES_ROLLOUT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

#define ROLLOUT_STEPS_MAX       16
#define ROLLOUT_VALUE_BYTES_MAX ((size_t)64 << 10)
#define ROLLOUT_TEXT_BYTES_MAX  ((size_t)4096)
#define ROLLOUT_STEP_MS_MAX     ((uint64_t)30 * 24 * 3600 * 1000)

enum rollout_strategy { ROLLOUT_CANARY = 1, ROLLOUT_BLUE_GREEN = 2, ROLLOUT_PROGRESSIVE = 3 };

enum rollout_state {
    ROLLOUT_PLANNING = 1,
    ROLLOUT_IN_PROGRESS = 2,
    ROLLOUT_COMPLETED = 3,
    ROLLOUT_ROLLED_BACK = 4,
};

struct rollout {
    uint64_t strategy; /* enum rollout_strategy */
    uint64_t state;    /* enum rollout_state */
    uint64_t is_paused;
    uint64_t step;          /* IN_PROGRESS: from 0 on */
    uint64_t step_ms;       /* from one step to the next; 0: by hand alone */
    uint64_t next_ms;       /* cluster_ms of the next step; 0: none is due by itself */
    uint64_t base_revision; /* of the key when it began */
    uint64_t done_revision; /* COMPLETED: of the key then */
    uint64_t schema_revision; /* of the configuration, by whose schemas the value was validated */
    struct slice key;
    struct slice percents; /* of the steps: "10,50,100" */
    struct slice labels;   /* targets: instances that have all of these, "a=b,c=d" */
    struct slice ids;      /* targets from the first step on: "web-1,web-2" */
    struct slice gate;     /* a node's path: */
    struct slice gate_value; /* anything else there rolls back */
    struct slice gate_service; /* a service of discovery: */
    struct slice gate_tag;     /* of its instances those that have it; empty: all */
    uint64_t gate_percent;     /* so many of them pass their checks, or it rolls back */
    struct slice why;        /* it was rolled back */
    struct slice base;
    struct slice value;
};

void rollout_encode(struct buf *b, const struct rollout *r);
/* False unless it is the text of a record that rollout_check lets through. Slices point into `text`
 * or `arena`. */
bool rollout_decode(struct slice text, struct rollout *r, struct arena *arena);
/* Whether that is the text of a rollout that has ended, by its first lines alone. */
bool rollout_text_has_ended(struct slice text);
/* What is wrong with it, in static memory; NULL: nothing. */
const char *rollout_check(const struct rollout *r);

/* The percentage of instances that see the value: 0 to 100. */
uint32_t rollout_percent(const struct rollout *r);
static inline bool rollout_is_open(const struct rollout *r)
{
    return r->state == ROLLOUT_PLANNING || r->state == ROLLOUT_IN_PROGRESS;
}

enum rollout_event {
    ROLLOUT_PROMOTE = 1, /* to the next step, or the end */
    ROLLOUT_FINISH = 2,  /* to the end */
    ROLLOUT_ROLL_BACK = 3,
    ROLLOUT_PAUSE = 4,
    ROLLOUT_RESUME = 5,
    ROLLOUT_TICK = 6, /* what is due by time, by the gate, or since the key was changed */
};

enum rollout_gate { GATE_NONE, GATE_GOOD, GATE_BAD, GATE_MISSING };

/* What `passing` of `total` instances say. Without any nobody says anything. */
enum rollout_gate rollout_health(const struct rollout *r, uint64_t passing, uint64_t total);

struct rollout_facts {
    uint64_t cluster_ms;
    uint64_t key_revision; /* modify revision of the key; 0: it is gone */
    uint64_t schema_revision; /* of the configuration now */
    uint8_t gate;          /* enum rollout_gate: the node */
    uint8_t health;        /* likewise: the service */
};

enum rollout_effect {
    ROLLOUT_REFUSED,   /* not in this state: nothing has changed */
    ROLLOUT_UNCHANGED, /* it is so already */
    ROLLOUT_CHANGED,   /* the record */
    ROLLOUT_SET_VALUE, /* the record, and the key is to be set to the value; done_revision then is
                        * the caller's to fill in */
    ROLLOUT_SET_BASE,  /* the record, and the key is to be set to what it was */
};

/* Whether the event asks what the gates say: `gate` and `health` of its facts. */
bool rollout_heeds_gates(const struct rollout *r, enum rollout_event event);

/* The one place where a rollout moves. Changes `r` unless it is REFUSED or UNCHANGED. */
enum rollout_effect rollout_step(struct rollout *r, enum rollout_event event,
                                 const struct rollout_facts *facts);

/* Whether an instance is to see the value of a rollout in progress in place of the key's. */
bool rollout_covers(const struct rollout *r, struct slice id, struct slice labels);

#endif
