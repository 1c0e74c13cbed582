/* What there is to know about elections besides one's own leadership: who leads, and every change
 * of it; the candidates; how it is decided. Part of libcoord; see client.h for what holds for all
 * of it, and docs/recipes.md. Strings are "" if they are not known, never NULL. */
#ifndef CLIENT_ELECTIONS_H
#define CLIENT_ELECTIONS_H

#include "client.h" /* beside this one, in the sources as where it is installed */

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what the shared library shows */
#endif

/* ---- observing -------------------------------------------------------------------------- */

struct coord_observer;

struct coord_election_event {
    uint64_t revision;                 /* at which it became so */
    const struct coord_leader *leader; /* NULL: nobody leads */
    /* Changes before this one were missed: it was cut off for longer than history reaches back. */
    bool missed;
    /* Not NULL: the end, nothing more is told, and the rest is zero. It is not allowed, or what is
     * there is no election. */
    const struct coord_error *over;
};
/* May close the observer. What it is given is valid until it returns. */
typedef void (*coord_election_fn)(void *context, struct coord_observer *observer,
                                  const struct coord_election_event *event);

/* From now on `changed` is told who leads, beginning with who leads now, and then of every change,
 * each once and in order, whichever members die meanwhile: for as long as the client is driven.
 * Does not wait: whatever is wrong is told. Free with coord_observer_close, before the client is
 * closed. */
enum coord_code coord_election_observe(struct coord_client *client, const char *path,
                                       coord_election_fn changed, void *context,
                                       struct coord_observer **observer,
                                       struct coord_error *error);
void coord_observer_close(struct coord_observer *observer); /* NULL is fine */

/* ---- candidates ------------------------------------------------------------------------- */

struct coord_candidate_info {
    struct coord_grant grant; /* its epoch is 0 unless it leads */
    bool leads;
    bool eligible; /* its label may lead */
    const char *name;
    const char *value;
    const char *note;
    const char *label;
    uint64_t lease;
    uint64_t number;
    uint64_t since_ms;    /* wall clock: leads, or waits, since then */
    uint64_t deadline_ms; /* cluster time at which it goes; 0 = none */
    uint32_t priority;
};
struct coord_election_info {
    enum coord_election_policy policy;
    const char *eligible; /* only candidates with this label may lead; "" = all */
    struct coord_candidate_info *candidates; /* the leader, then as they would follow */
    size_t count;
    void *memory; /* private: what all of it points to */
};
/* COORD_NOT_FOUND: there is no such election. Waits. Free with coord_election_info_clear. */
enum coord_code coord_election_get(struct coord_client *client, const char *path,
                                   struct coord_election_info *info, struct coord_error *error);
void coord_election_info_clear(struct coord_election_info *info);
/* A candidate of somebody else goes, whether it leads or not: takes the right admin. Waits. */
enum coord_code coord_election_remove(struct coord_client *client,
                                      const struct coord_grant *candidate,
                                      struct coord_error *error);
/* How it is decided from now on, and who may lead (`eligible`: a label; NULL = all). Who leads goes
 * on. An election that is configured stays when its last candidate has gone. Waits. */
enum coord_code coord_election_configure(struct coord_client *client, const char *path,
                                         enum coord_election_policy policy,
                                         const char *eligible, struct coord_error *error);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
