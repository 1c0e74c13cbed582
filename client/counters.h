/* Counters that many add to, and ids in blocks that nobody else is given. Part of libcoord; see
 * client.h for what holds for all of it, and docs/recipes.md for what is guaranteed.
 *
 * A counter is a node that holds a number: made by the first request, it stays until it is deleted,
 * by coord_delete. It takes neither a session nor a lease. What gives out ids is no counter.
 * COORD_REFUSED: something else is there.
 *
 * Each call is repeated as any write, and executed once. */
#ifndef CLIENT_COUNTERS_H
#define CLIENT_COUNTERS_H

#include "client.h" /* beside this one, in the sources as where it is installed */

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what the shared library shows */
#endif

/* Zero everywhere is the default. */
struct coord_counter_options {
    bool has_low;
    int64_t low; /* what is taken away leaves at least this */
    bool has_high;
    int64_t high; /* what is added reaches at most this; of ids: the last that may be given out */
    const struct coord_guard *guards; /* of coord_guard_held: grants that must be held */
    size_t guard_count;
};

struct coord_counter {
    int64_t value;    /* of ids: the last one given out */
    int64_t before;   /* add: what it was */
    bool is_ids;      /* get */
    uint64_t created; /* get: the revision that created it */
};

/* Adds `delta`, or takes away if it is negative: one that is not there yet was 0. COORD_LIMITED: a
 * bound would be passed, and nothing was changed. `options` and `counter` may be NULL. */
enum coord_code coord_counter_add(struct coord_client *client, const char *path, int64_t delta,
                                  const struct coord_counter_options *options,
                                  struct coord_counter *counter, struct coord_error *error);
enum coord_code coord_counter_add_async(struct coord_client *client, const char *path,
                                        int64_t delta,
                                        const struct coord_counter_options *options,
                                        coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error);
/* COORD_NOT_FOUND: there is none yet. */
enum coord_code coord_counter_get(struct coord_client *client, const char *path,
                                  struct coord_counter *counter, struct coord_error *error);
enum coord_code coord_counter_get_async(struct coord_client *client, const char *path,
                                        coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error);

struct coord_ids {
    uint64_t first;
    uint64_t count; /* as many as were asked for, without gaps */
    /* The revision that created the node. If that is deleted, ids begin with 1 anew: together with
     * this number they are unique even so. */
    uint64_t created;
};

/* `count` ids, from 1 on. COORD_LIMITED: there are not so many left below `options->high`. */
enum coord_code coord_ids_allocate(struct coord_client *client, const char *path,
                                   uint64_t count, const struct coord_counter_options *options,
                                   struct coord_ids *ids, struct coord_error *error);
enum coord_code coord_ids_allocate_async(struct coord_client *client, const char *path,
                                         uint64_t count,
                                         const struct coord_counter_options *options,
                                         coord_done_fn done, void *context,
                                         struct coord_call **call, struct coord_error *error);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
