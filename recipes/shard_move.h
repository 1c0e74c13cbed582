/* How the assignment of a shard changes: a move from one node to another, a replica more, a replica
 * less, another leader; and what becomes of all that when a node is lost.
 *
 *    QUEUED -> PREPARING -> COPYING -> CATCHING_UP => SWITCHING -> CLEANING_UP -> gone
 *      ^    (begins)   (to: ready)  (to: copied)  (to: even)  (to: verified)  (from: cleaned)
 *      |           |          |             |           |
 *      +-----------+----------+-------------+-----------+  `to` is lost: from the begin again,
 *                                                          once it is back
 *    abort: undone, and `to` cleans up; in CLEANING_UP it is too late
 *    hold: goes no further until it is resumed, in any state
 *
 * In parentheses who says so; at the double arrow the assignment changes: `to` becomes a replica,
 * and the leader if `from` was it. The source stays a replica until the target has said that it
 * verified what it has; it is then that it goes. A new leader by hand (LEAD) begins with
 * CATCHING_UP and ends with SWITCHING; a replica less (DROP) begins with CLEANING_UP; a replica
 * more (ADD) ends with SWITCHING.
 *
 * Invariants, for each shard:
 *   - the epoch is the revision of the last change of its leader or its replicas: no two leaders
 *     ever had the same one, and it only grows. Writes that carry it as a guard are refused in the
 *     revision in which it moves;
 *   - the leader is one of its replicas, and its node was not lost: at the end of the session of
 *     its node another one leads in the same revision, or nobody does;
 *   - when all were lost nobody leads until who led last is back, unless somebody says so: the map
 *     (`unclean`), or a LEAD;
 *   - a replica that was not switched to leads nothing; one move at a time is not queued;
 *   - nothing is switched to while nobody leads: there was nothing to be copied from.
 *
 * Pure: decides over copies of what nodes say; store/shards.c reads and writes them. */
#ifndef RECIPES_SHARD_MOVE_H
#define RECIPES_SHARD_MOVE_H

#include "recipes/shard_record.h"

/* What a procedure may ask for, lent by apply. */
struct shard_world {
    void *context;
    struct arena *arena;
    const struct shard_spec *spec;
    uint64_t shard; /* the number of the one it is about */
    uint64_t revision;
    uint64_t cluster_ms;
    uint64_t wall_ms;
    bool (*is_here)(void *context, struct slice node); /* its session has not ended */
    /* How much speaks for it as the leader of the shard, by the map's policy. */
    uint64_t (*score)(void *context, uint64_t shard, struct slice node);
};

/* From the queue on. False, and nothing has changed: it has to wait for `to`. A move that has
 * become pointless is done. */
bool shard_move_begin(const struct shard_world *w, struct shard_record *r,
                      struct shard_move *m);

/* `who` says that the move has come to `state`, which is the one it has or the next. False: it has
 * not, is held, or it is not for him to say. */
bool shard_move_report(const struct shard_world *w, struct shard_record *r,
                       struct shard_move *m, struct slice who, uint64_t state,
                       uint64_t progress);

/* False: too late. */
bool shard_move_abort(const struct shard_world *w, struct shard_record *r,
                      struct shard_move *m);

/* A node is lost: what a move that is not queued does about it, */
void shard_move_lost(const struct shard_world *w, struct shard_record *r, struct shard_move *m,
                     struct slice node);
/* and then its shard. True: the record has changed. */
bool shard_lost(const struct shard_world *w, struct shard_record *r, struct slice node);
/* Of one that nobody leads, since all who have it were away: who led it last leads again if he is
 * here; anybody else, who may lack what was written since he went, only if the map says so
 * (`unclean`). True: the record has changed. */
bool shard_back(const struct shard_world *w, struct shard_record *r);

/* Sets leader and replicas, under a new epoch. */
void shard_assign(const struct shard_world *w, struct shard_record *r, struct slice leader,
                  struct slice replicas);

#endif
