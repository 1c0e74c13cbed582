/* What somebody has to look after in a shard map as time passes, since apply has no clock: moves
 * that take too long, moves that wait for a node that stays away, a queue that may begin again as
 * the hours of the map have come, and for how long nodes are away. Pure: time is an argument. */
#ifndef NET_SHARDS_UPKEEP_H
#define NET_SHARDS_UPKEEP_H

#include "base/arena.h"
#include "store/maps.h"

/* The nodes that have replicas of a map, or are to get some, and are away; since when, as seen by
 * who looks. Begins zeroed. */
struct absence {
    char node[65];
    uint64_t since_ms;
    bool is_seen;
};

struct absences {
    struct absence *at; /* in order of name */
    size_t count;
    size_t capacity;
};

void absences_close(struct absences *a);

struct upkeep_time {
    uint64_t now_ms;
    uint64_t cluster_ms;
    uint64_t wall_ms;
};

struct upkeep {
    uint64_t *aborts; /* moves that are to be given up */
    uint32_t abort_count;
    bool is_due;        /* a move of the queue could begin, and nothing will make it */
    bool has_queue;     /* other than what is to be given up */
    struct slice *keep; /* nodes that are away, and not yet given up */
    size_t keep_count;
    uint64_t lost_ms; /* when the next of these is given up; UINT64_MAX: none */
};

/* In the arena. False: the map cannot be read. */
bool upkeep_look(const struct map_copy *map, struct absences *absences,
                 const struct upkeep_time *time, struct arena *arena, struct upkeep *out);

#endif
