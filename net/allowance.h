/* What a user may take of this member, for all protocols alike: requests a second, connections,
 * watches (store/auth.h has the limits, which are replicated; leases are counted in the state). THE
 * place where it is counted and decided; front ends only ask, and refuse or wait.
 *
 * A connection holds a place of the user that it last proved to be; watches are held by the
 * connection or the stream that they belong to. All of it is counted for everybody, so that a limit
 * that is set later finds what there is: then nothing is taken away, but nothing more is given.
 *
 * Requests are a bucket of tokens, of one second's worth. While authentication is disabled nobody
 * has proved anything, and nothing is counted or limited. Loop thread. */
#ifndef NET_ALLOWANCE_H
#define NET_ALLOWANCE_H

#include "base/env.h"
#include "base/metrics.h"
#include "store/auth.h"

struct node;
struct allowances;
struct allowance; /* of one user */

enum allowance_kind { ALLOWANCE_REQUESTS, ALLOWANCE_CONNECTIONS, ALLOWANCE_WATCHES };

/* Of one connection or stream; zeroed at first. */
struct allowance_hold {
    struct allowance *of; /* NULL: nothing is held */
    bool is_connection;
    uint32_t watches;
};

/* One for all connections of a node. `metrics` may be NULL. All functions take NULL for it: then
 * nothing is limited. */
struct allowances *allowances_new(struct env *env, const struct node *node,
                                  struct metrics *metrics);
void allowances_free(struct allowances *a); /* every hold has been released */

/* The connection is this user's from now on, with the watches that it holds. False: he has as many
 * as he may; it is nobody's then. */
bool allowance_connect(struct allowances *a, struct allowance_hold *h, struct slice user);
/* One more watch, of this user unless the hold is somebody's already. False: he has as many as he
 * may. */
bool allowance_watch(struct allowances *a, struct allowance_hold *h, struct slice user);
void allowance_unwatch(struct allowance_hold *h);
/* Gives back all of it. */
void allowance_release(struct allowance_hold *h);

/* Takes a token for a request: 0. Else so many ms until there is one, and nothing is taken; whether
 * it waits or is refused, which counts, the caller decides. */
uint64_t allowance_wait_ms(struct allowances *a, struct slice user);
void allowance_count_refusal(struct allowances *a, enum allowance_kind kind);

#define ALLOWANCE_TEXT_BYTES_MAX ((size_t)192)
/* "user web: 100 requests a second at each member are the limit". */
void allowance_text(const struct allowances *a, struct slice user, enum allowance_kind kind,
                    char text[ALLOWANCE_TEXT_BYTES_MAX]);

#endif
