/* What recipes answer to commands. Plain data. */
#ifndef RECIPES_ANSWER_H
#define RECIPES_ANSWER_H

#include "base/slice.h"

#define RECIPE_PLACES_MAX 64
#define RECIPE_CYCLE_MAX ((uint32_t)16)

enum recipe_verdict {
    RECIPE_OK,
    RECIPE_HELD,            /* a try that would have had to wait */
    RECIPE_DEADLOCK,        /* could never be granted: see the cycle */
    RECIPE_GRAPH_TOO_LARGE, /* too much to search whether it could */
    RECIPE_WAITS,           /* the owner waits already */
    RECIPE_MISMATCH,        /* the lock is used in another way */
    RECIPE_NOT_HELD,        /* there is no such entry */
    RECIPE_LIMIT,           /* a bound would be passed */
    RECIPE_FAILED, /* one of the operations lent refused; whoever lent them knows why */
};

/* What became of one target. */
struct recipe_place {
    uint32_t node;
    uint8_t state;
    uint32_t count;
    uint64_t epoch;
    uint64_t position; /* waiting: so many wait ahead of it */
};

/* One step of a cycle in words that outlive the command. */
struct recipe_wait {
    uint64_t lease; /* who waits */
    struct slice owner;
    struct slice path; /* for which lock */
    uint8_t mode;
    uint64_t blocker_lease; /* because of whom: the one who waits in the next step */
    struct slice blocker_owner;
    bool blocker_holds; /* else it waits ahead */
    uint8_t blocker_mode;
};

struct recipe_answer {
    struct recipe_place places[RECIPE_PLACES_MAX];
    uint32_t place_count;
    struct slice text; /* in the arena: why not, with names */
    const struct recipe_wait *cycle;
    uint32_t cycle_count;
    uint32_t cycle_length; /* `cycle` has at most RECIPE_CYCLE_MAX of them */
    uint64_t number;       /* of a counter, a latch or ids: the value, now and before */
    uint64_t before;
};

#endif
