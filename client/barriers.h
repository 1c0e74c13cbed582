/* Barriers, at which so many go in together and leave together; latches, which open once they have
 * been counted down. Part of libcoord; see client.h for what holds for all of it, and
 * docs/recipes.md for what is guaranteed. */
#ifndef CLIENT_BARRIERS_H
#define CLIENT_BARRIERS_H

#include "client.h" /* beside this one, in the sources as where it is installed */

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what the shared library shows */
#endif

/* ---- barriers --------------------------------------------------------------------------- */

/* Zero everywhere, but for the path, is the default. */
struct coord_party {
    const char *path; /* of the barrier */
    uint32_t parties; /* so many go in together: the first to come says it, others it or 0 */
    const char *name; /* within its session or lease; NULL = "" */
    uint64_t lease;   /* whose it is; 0 = the client's session */
    const char *note; /* for others to see; NULL = the client's */
    bool no_wait;     /* COORD_HELD rather than wait */
    uint64_t wait_ms; /* COORD_WAIT_TIMEOUT after so long; 0 = as long as it takes */
    const struct coord_guard *guards; /* of coord_guard_held: grants that must be held */
    size_t guard_count;
};

/* Returns when so many as it takes have come, and all went in, in one revision: the epoch, the same
 * for all of them. Who is inside has a struct coord_lock, with a guard, trust and
 * coord_lock_follow. Waits and is repeated as coord_lock_acquire is, and comes to the same.
 * COORD_REFUSED: it takes another number, or the party is about to leave. */
enum coord_code coord_barrier_enter(struct coord_client *client,
                                    const struct coord_party *party, struct coord_lock **inside,
                                    struct coord_error *error);
/* coord_cancel gives up its place, also if it went in meanwhile. */
enum coord_code coord_barrier_enter_async(struct coord_client *client,
                                          const struct coord_party *party, coord_done_fn done,
                                          void *context, struct coord_call **call,
                                          struct coord_error *error);
/* Returns when all who are inside leave, or have gone. It is LOST from the call on, and still to be
 * freed; its guard holds until it has gone. A call that ends before, by coord_cancel or the
 * client's timeout while no member can be reached, goes on leaving. COORD_NOT_FOUND: it was not
 * inside any more. To go without waiting: coord_lock_release. */
enum coord_code coord_barrier_leave(struct coord_lock *inside, struct coord_error *error);
enum coord_code coord_barrier_leave_async(struct coord_lock *inside, coord_done_fn done,
                                          void *context, struct coord_call **call,
                                          struct coord_error *error);

struct coord_barrier_party {
    struct coord_grant grant; /* its epoch is 0 while it waits */
    bool inside;              /* else it waits */
    bool leaving;             /* inside, and waits for the others to leave */
    uint64_t lease;
    const char *name;
    const char *note;
    uint64_t since_ms;    /* wall clock: is inside, or waits, since then */
    uint64_t deadline_ms; /* cluster time at which its wait ends; 0 = none */
};
struct coord_barrier_info {
    uint32_t parties;                    /* so many go in together */
    struct coord_barrier_party *entries; /* in the order in which they came */
    size_t count;
    void *memory; /* private: what the entries point to */
};
/* COORD_NOT_FOUND: nobody is there. Waits. Free with coord_barrier_info_clear. */
enum coord_code coord_barrier_get(struct coord_client *client, const char *path,
                                  struct coord_barrier_info *info, struct coord_error *error);
void coord_barrier_info_clear(struct coord_barrier_info *info);
/* A party of somebody else goes, inside or not: takes the right admin. Waits. */
enum coord_code coord_barrier_remove(struct coord_client *client,
                                     const struct coord_grant *entry,
                                     struct coord_error *error);

/* ---- latches ---------------------------------------------------------------------------- */

/* A latch is a node with a count; it takes neither a session nor a lease, and stays until it is
 * deleted, by coord_delete. To 1 it is a gate that is shut, to 0 one that is open. */
enum coord_code coord_latch_set(struct coord_client *client, const char *path, uint32_t count,
                                struct coord_error *error);
/* By `by`, down to 0. `count` (may be NULL) gets what is left. COORD_NOT_FOUND: there is none. */
enum coord_code coord_latch_count_down(struct coord_client *client, const char *path,
                                       uint32_t by, uint32_t *count, struct coord_error *error);
enum coord_code coord_latch_get(struct coord_client *client, const char *path, uint32_t *count,
                                struct coord_error *error);
/* Returns when the count is 0, or was 0 meanwhile; COORD_WAIT_TIMEOUT after `wait_ms`, 0 = as long
 * as it takes. COORD_WAIT_ENDED: it was deleted. */
enum coord_code coord_latch_await(struct coord_client *client, const char *path,
                                  uint64_t wait_ms, struct coord_error *error);
enum coord_code coord_latch_set_async(struct coord_client *client, const char *path,
                                      uint32_t count, coord_done_fn done, void *context,
                                      struct coord_call **call, struct coord_error *error);
enum coord_code coord_latch_count_down_async(struct coord_client *client, const char *path,
                                             uint32_t by, coord_done_fn done, void *context,
                                             struct coord_call **call,
                                             struct coord_error *error);
/* As long as it takes, or until coord_cancel. */
enum coord_code coord_latch_await_async(struct coord_client *client, const char *path,
                                        coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
