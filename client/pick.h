/* Which of several candidates gets the next piece of work. Pure: time is an argument, and who is a
 * candidate is told; client/picker.c brings it together with a subscription.
 *
 *   PICK_ROUND_ROBIN     in turn, each as often as its weight says, evenly mixed
 *   PICK_LEAST_LOADED    fewest pieces of work under way, and queued by its own word, for its
 *                        weight and for the cpu that it says is left; else who waited longest
 *   PICK_RESPONSE_TIME   the least to be expected: its mean latency (or what it says itself, if
 *                        that is more) times what is under way, for its weight; a mean that is
 *                        not fed halves every PICK_HALF_LIFE_MS, so that who was slow is tried
 *                        again
 *   PICK_HASH            by a key: the next of its points on a ring, of which each candidate has as
 *                        many as its weight says. Where a candidate's points are depends on its id
 *                        alone: who comes takes keys from others, who goes leaves his to others,
 *                        and no other key moves. The same in all processes */
#ifndef CLIENT_PICK_H
#define CLIENT_PICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PICK_HALF_LIFE_MS   10000u
#define PICK_FAILURE_MS     5000u /* a failure counts as so slow an answer, if it was not slower */
#define PICK_POINTS_MAX     1000u /* of one candidate; one for each unit of weight */
#define PICK_ID_BYTES_MAX   128u
#define PICK_LOAD_MS        30000u /* what it says of itself is not used any longer */
#define PICK_BUSY_MAX       0.95   /* nobody counts as busier: a twentieth is left */
#define PICK_NONE           SIZE_MAX

enum pick_policy { PICK_ROUND_ROBIN = 1, PICK_LEAST_LOADED, PICK_RESPONSE_TIME, PICK_HASH };

/* What a candidate says of itself. */
struct pick_load {
    double cpu; /* 0 to 1 */
    double latency_ms;
    uint64_t queue_length;
    uint64_t at_ms;
};

struct pick_candidate {
    char id[PICK_ID_BYTES_MAX + 1];
    uint32_t weight; /* > 0 */
    uint32_t under_way;
    int64_t turn;         /* ROUND_ROBIN: what it is owed */
    uint64_t picked_last; /* in picks */
    bool has_latency;
    double latency_ms; /* as of sampled_ms */
    uint64_t sampled_ms;
    bool has_load;
    struct pick_load load;
};

struct pick_point {
    uint64_t hash;
    uint32_t candidate;
};

struct pick {
    enum pick_policy policy;
    struct pick_candidate *candidates; /* in the order of their ids */
    size_t count;
    struct pick_point *points; /* HASH: by hash */
    size_t point_count;
    uint64_t picks;
};

/* Zeroed, with a policy, before the first use. */
void pick_close(struct pick *p);

struct pick_member {
    const char *id;
    uint32_t weight;
};

/* From now on these are the candidates, in the order of their ids, each once, with weights above
 * 0; what is known of those that stay is kept. False: no memory, and all is as it was. */
bool pick_set(struct pick *p, const struct pick_member *members, size_t count);

/* A candidate says so; of one that is none, nothing is kept. */
void pick_report(struct pick *p, const char *id, const struct pick_load *load);

/* The place of the one that is picked, or PICK_NONE if there is none. With the policies that count,
 * a piece of work is under way there until pick_done. */
size_t pick_next(struct pick *p, const void *key, size_t key_bytes, uint64_t now_ms);

/* Work that was picked has ended; of one that is no candidate any more, nothing is kept. */
void pick_done(struct pick *p, const char *id, uint64_t latency_ms, bool failed,
               uint64_t now_ms);

#endif
