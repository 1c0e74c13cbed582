/* A database on a shard map: nodes that join it with their sessions, take part in moves, and write
 * for the shards that they lead, guarded by the epoch; and an operator who has plans made, begins
 * them, and stops and resumes moves.
 *
 * What a node knows of the map it last read at any member, of whatever age. Now and then it is
 * paused or falls silent, often for longer than its session lives, leaves, or crashes and comes
 * back with nothing; and when it wakes it writes once more for all that it led.
 *
 * Each has a machine of its own. What it is told is judged by tests/sim/shard_judge.h, and here: a
 * write begun when its epoch had passed is refused, always; no call is refused for a reason that
 * it did not give; in a map that only repairs, a plan moves nothing that was not lost.
 *
 *   NONE -> OPENING -> JOINING -> SERVING -> ASLEEP -> WAKING -> SERVING or NONE
 *                         ^          |
 *                         +- LEAVING +-> NONE (crashed: its session is left to expire)
 */
#ifndef TESTS_SIM_SHARDER_H
#define TESTS_SIM_SHARDER_H

#include "coord/v1/shard_map.pb-c.h"
#include "tests/sim/shard_judge.h"
#include "tests/sim/station.h"

#define SHARDER_SECRET_BYTES 16
#define SHARDER_MOVES_MAX    8

struct sharders;

enum sharder_state {
    SHARDER_NONE,
    SHARDER_OPENING,
    SHARDER_JOINING,
    SHARDER_SERVING,
    SHARDER_ASLEEP,
    SHARDER_WAKING, /* writes for what it led, then looks */
    SHARDER_LEAVING,
};

/* A move that it is to go on with, as it read it. */
struct sharder_move {
    uint64_t number;
    uint32_t state; /* as of struct shard_move_seen */
};

/* A guarded write that has no answer yet. */
struct sharder_write {
    uint64_t number; /* of the judge; 0: there is none */
    bool is_after;   /* its epoch had passed when it began */
};

struct sharder {
    struct sharders *all;
    uint32_t number;
    struct station station;
    uint8_t state; /* enum sharder_state */
    uint64_t session;
    uint8_t secret[SHARDER_SECRET_BYTES];
    uint64_t ttl_ms;
    uint64_t looked_us; /* by its clock */
    uint64_t asleep_until_us;
    uint32_t asked_node;          /* by `main` */
    uint64_t epochs[SHARD_COUNT]; /* under which it leads, as it knows; 0: it does not */
    struct sharder_move moves[SHARDER_MOVES_MAX];
    uint32_t move_count;
    uint32_t writes_left; /* while WAKING */
    bool is_unsure;       /* an answer was lost: it may have joined, or left */
    struct sharder_write write;
    uint64_t cycles; /* how often it was answered */
    struct remote_call main;
    struct remote_call work;
    struct remote_call look;
    struct world_event tick;
};

struct shard_operator {
    struct sharders *all;
    struct station station;
    struct remote_call call;
    bool has_plan; /* kept by `call`, to be begun with the next look */
    struct world_event tick;
};

struct slab_heap;

struct sharders {
    struct cluster *cluster;
    struct oracle *oracle;
    struct shard_judge judge;
    struct sharder items[SHARD_NODES_MAX];
    uint32_t count; /* 0: there is no map in this run */
    struct shard_operator operator;
    Coord__V1__ShardGoal goal; /* of plans, by hand and by themselves */
    struct slab_heap *values;  /* that are looked at */
    bool is_calm;              /* nobody sleeps, leaves or crashes; moves go on */
    bool is_ending;
    uint64_t joined;
    uint64_t left;
    uint64_t written; /* guarded writes acknowledged */
    uint64_t stale;   /* refused, since their epochs had passed */
    uint64_t fenced;  /* of these begun when that was so already */
    uint64_t planned; /* steps in plans */
    uint64_t applied; /* plans begun by hand */
};

void sharders_init(struct sharders *all, struct cluster *c, struct oracle *o);
/* Adds a node, with its machine. The operator comes with the first. */
struct sharder *sharders_add(struct sharders *all);
void sharders_start(struct sharders *all);
/* Everybody wakes up and stays. */
void sharders_calm(struct sharders *all);
bool sharders_are_calm(const struct sharders *all);
/* Everybody falls silent: sessions are left to expire. */
void sharders_end(struct sharders *all);
bool sharders_are_idle(const struct sharders *all);
void sharders_close(struct sharders *all);

/* The map, as it is to be made: `words` is filled and points to static memory. */
struct shard_words {
    Coord__V1__ShardMapCreateRequest request;
    Coord__V1__ShardPolicy policy;
};
void sharders_map(const struct sharders *all, struct shard_words *words);

/* ---- sharder_calls.c and shard_operator.c, for sharder.c ---------------------------------- */

void sharder_tick_in(struct sharder *s, uint64_t us);
void sharder_open(struct sharder *s);
void sharder_join(struct sharder *s);
void sharder_leave(struct sharder *s);
/* Goes on with one of the moves that it knows; false: there is none. */
bool sharder_report(struct sharder *s);
/* What it has, at random. */
void sharder_tell(struct sharder *s);
/* Reads the map in the name of its session, which keeps it alive. */
void sharder_look(struct sharder *s);
/* For a shard that it leads, as it knows; false: there is none. */
bool sharder_write(struct sharder *s);
void sharder_main_ended(struct remote_call *call, const struct remote_answer *a);
void sharder_work_ended(struct remote_call *call, const struct remote_answer *a);
void sharder_look_ended(struct remote_call *call, const struct remote_answer *a);
bool sharder_session_is_gone(const struct sharder *s);
/* With all answers that say nothing about what was asked; with any other the world fails. */
void sharder_check_failure(struct world *w, const struct remote_answer *a, const char *path);

void shard_operator_tick(void *context);
void shard_operator_ended(struct remote_call *call, const struct remote_answer *a);

static inline struct world *sharder_world(const struct sharder *s)
{
    return &s->all->cluster->world;
}

/* Generated structs hold strings without const, although they only read them. */
static inline char *shard_text(const char *borrowed)
{
    return (char *)(uintptr_t)borrowed;
}

#endif
