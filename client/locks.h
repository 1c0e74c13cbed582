/* What there is to know about locks besides one's own: why a wait was refused, who waits for whom,
 * which locks there are. Part of libcoord; see client.h for what holds for all of it, and
 * docs/recipes.md. Calls here wait; strings are "" if they are not known, never NULL. */
#ifndef CLIENT_LOCKS_H
#define CLIENT_LOCKS_H

#include "client.h" /* beside this one, in the sources as where it is installed */

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what the shared library shows */
#endif

/* Somebody waits because of somebody else. An owner is a session or lease, and within that an
 * owner id. */
struct coord_lock_wait {
    uint64_t lease; /* who waits */
    const char *owner;
    const char *path; /* for which lock */
    enum coord_lock_mode mode;
    uint64_t blocker_lease; /* because of whom */
    const char *blocker_owner;
    bool blocker_holds; /* else it waits ahead */
    enum coord_lock_mode blocker_mode;
};

/* ---- deadlocks -------------------------------------------------------------------------- */

/* Why a wait was refused: each waits because of the next, and the last because of the first. */
struct coord_deadlock {
    struct coord_lock_wait *waits; /* those that you may read; of a long cycle, the first */
    size_t count;
    uint32_t length; /* of the whole cycle; 0: the server did not say */
    void *memory;    /* private: what they point to */
};
/* Of coord_lock_options.deadlock; one that is zero, or was cleared, is fine. */
void coord_deadlock_clear(struct coord_deadlock *deadlock);

/* ---- who waits for whom ----------------------------------------------------------------- */

struct coord_lock_graph {
    struct coord_lock_wait *waits; /* those for the lock that was asked for first */
    size_t count;
    bool more;    /* there are more than these */
    void *memory; /* private */
};
/* All that the waiters of a lock wait for, and in turn those; at most `limit` waits, 0 = as many as
 * fit into an answer. COORD_NOT_FOUND: there is no such lock. Free with coord_lock_graph_clear. */
enum coord_code coord_lock_explain(struct coord_client *client, const char *path,
                                   uint32_t limit, struct coord_lock_graph *graph,
                                   struct coord_error *error);
void coord_lock_graph_clear(struct coord_lock_graph *graph);

/* ---- which locks there are -------------------------------------------------------------- */

struct coord_lock_summary {
    const char *path;
    uint32_t permits; /* of a semaphore: in all */
    uint32_t held;    /* entries */
    uint32_t waiting;
    bool has_first; /* somebody holds it, and the caller may read who; else `first` is zero */
    struct coord_lock_entry first;
};
struct coord_locks {
    struct coord_lock_summary *locks; /* in order of their paths */
    size_t count;
    void *memory; /* private */
};
/* Those at or below a path, "/" for all, that the caller may read. Pages are asked for one after
 * the other, as coord_list does. Free with coord_locks_clear. */
enum coord_code coord_lock_list(struct coord_client *client, const char *path,
                                struct coord_locks *list, struct coord_error *error);
void coord_locks_clear(struct coord_locks *list);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
