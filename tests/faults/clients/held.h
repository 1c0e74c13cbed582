/* What is done under a grant of the cluster, whatever it is of: the holder of a lock and the leader
 * of an election count on, what they read plus one, guarded by their grant. Now and then one sleeps
 * in the midst of that, longer than its session lives, and then writes as if nothing had happened.
 * A line besides those of calls:
 *
 *     held PATH ENTRY CREATED EPOCH FROM UNTIL
 *         the entry that was created at that revision was granted with that epoch; it took itself
 *         for the holder from then until then, which it did not beyond the trust in its session */
#ifndef FAULTS_HELD_H
#define FAULTS_HELD_H

#include "tests/faults/clients/worker.h"

#define HELD_TTL_MS  1500 /* of the session that holds */
#define HELD_WAIT_MS 1000 /* for a grant */

struct hold {
    const char *path; /* of the lock or election */
    const char *counter;
    int counts; /* at most so often */
    const struct coord_grant *grant;
};

/* Counts for a while, with a line. False: it has no session any more, of which it
 * may have let go in its sleep. */
bool hold_and_count(struct worker *w, const struct hold *h);

#endif
