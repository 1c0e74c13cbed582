/* Signs of life and load of instances: what is known of them besides the log.
 *
 *   client --(Heartbeat)--> any member --(BEAT)--> leader   the table that counts
 *                           any member <--(ASK, TELL)-- leader   a copy, at most about 1 s old
 *
 * Every member has a table. The leader's is fed by heartbeats, which other members pass on to it,
 * and by checks that passed. The others ask it once a second for what has changed, as long as there
 * are services. So all of them can hand out what is known, and one that becomes the leader goes on
 * from its copy. Nothing of it is logged or survives the end of all members; a note that is lost is
 * made good by the next heartbeat.
 *
 * Each change of a table has a number, and entries are in the order of their last change: who knows
 * all up to a number is told the rest. Numbers are of an era, a random number that the table gets
 * anew whenever its member becomes the leader; who asks with another era is told all.
 *
 * Bounded: at most VITALS_MAX entries, only for instances that are there; those that are gone are
 * swept out. Phi (net/checks/suspicion.h) is as of now on the leader, and on another member as of
 * the leader's last word: whoever is cut off from the leader suspects nobody. On the loop. */
#ifndef NET_CHECKS_VITALS_H
#define NET_CHECKS_VITALS_H

#include "base/env.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/slice.h"
#include "net/checks/load.h"

#define VITALS_MAX      ((size_t)100000)
#define VITALS_ASK_MS   1000u /* from one question to the next */
#define VITALS_SWEEP_MS 1000u
#define VITALS_SWEEP    ((size_t)500) /* entries looked at in one turn */

struct vitals;
struct node;

struct vitals_options {
    struct env *env;
    struct node *node;
    struct metrics *metrics; /* may be NULL */
};

/* Takes the node's notes (node_on_notes) until vitals_free; NULL is fine there and in vitals_turn,
 * vitals_next_deadline_ms, vitals_find. */
struct vitals *vitals_new(const struct vitals_options *options);
void vitals_free(struct vitals *v);
void vitals_turn(struct vitals *v, uint64_t now_ms);
uint64_t vitals_next_deadline_ms(const struct vitals *v);

/* An instance says that it lives; `load` may be NULL: it says no more. `revision` is that of its
 * registration. RC_OVERLOADED: the table is full. RC_NO_LEADER: there is none, or none that can be
 * reached now. */
enum status vitals_beat(struct vitals *v, struct slice path, uint64_t revision,
                        const struct service_load *load) MUST_USE;
/* It passed a check of this member, which leads. */
void vitals_passed(struct vitals *v, struct slice path, uint64_t revision);

/* While this member leads, told of every heartbeat; one listener. */
typedef void (*vitals_beat_fn)(void *context, struct slice path, uint64_t revision,
                               const struct service_load *load, uint64_t now_ms);
void vitals_listen(struct vitals *v, vitals_beat_fn beat, void *context);

/* False: nothing is known of this registration. */
bool vitals_find(const struct vitals *v, struct slice path, uint64_t revision,
                 struct vital_view *out);

/* The number of the last change. */
uint64_t vitals_change(const struct vitals *v);
/* Calls `each` for the entries below `prefix` that have changed since that number, in the order of
 * their changes, until it returns false. It must not change the table. */
typedef bool (*vitals_each_fn)(void *context, struct slice path, uint64_t change);
void vitals_changed(const struct vitals *v, struct slice prefix, uint64_t since,
                    vitals_each_fn each, void *context);
size_t vitals_count(const struct vitals *v);

#endif
