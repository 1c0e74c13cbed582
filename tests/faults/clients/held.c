/* Locks of coord.v1.Lock: the cluster decides who holds one. Who does counts on: what it reads plus
 * one, guarded by its grant. Now and then it sleeps in the midst of that, longer than its session
 * lives, and then writes as if nothing had happened. Lines besides:
 *
 *     held LOCK ENTRY CREATED EPOCH FROM UNTIL
 *         the entry that was created at that revision was granted with that epoch; it took itself
 *         for the holder from then until then, which it did not beyond the trust in its session */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/faults/clients/txn.h"

#define TTL_MS     1500
#define LOCKS      2
#define WAIT_MS    1000
#define THINK_MS   20
#define COUNTS_MAX 6
#define SLEEP_MS   (2 * TTL_MS)
#define SLEEPS_OF  8 /* one of so many holders */

struct hold {
    char lock[WORKER_PATH_BYTES];
    char counter[WORKER_PATH_BYTES];
    const struct coord_grant *grant;
};

/* `sleeps`: between what it reads and what it writes. False: this holder must not go on. */
static bool count_on(struct worker *w, const struct hold *h, bool sleeps)
{
    char value[WORKER_VALUE_BYTES];
    struct result seen = worker_get(w, h->counter);
    if (seen.code != COORD_OK || !worker_is_trusted(w)) {
        return false;
    }
    if (sleeps) {
        worker_think(w, SLEEP_MS);
        coord_session_detach(w->client); /* so that its guard alone says whether it may */
    }
    (void)snprintf(value, sizeof value, "%ld:%s.%" PRIu64, strtol(seen.data, NULL, 10) + 1,
                   w->name, ++w->written);
    const struct txn_set set = {h->counter, COORD_ANY_VERSION, value};
    struct result done = txn_write(w, &set, 1, h->grant->path, h->grant->revision);
    return done.code == COORD_OK && !sleeps; /* what it may rely on went with its session */
}

static void hold(struct worker *w, const struct hold *h)
{
    uint64_t from_us = worker_now_us();
    uint64_t until_us = from_us;
    bool sleeps = worker_random(w, SLEEPS_OF) == 0;
    for (int i = 0; i < COUNTS_MAX && !worker_should_stop(w); i++) {
        if (!worker_stay_alive(w, TTL_MS) || !count_on(w, h, sleeps && i == 1)) {
            break;
        }
        if (worker_is_trusted(w)) {
            until_us = worker_now_us();
        }
    }
    fprintf(w->history, "held %s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", h->lock,
            h->grant->path, h->grant->revision, h->grant->epoch, from_us, until_us);
}

static void compete(struct worker *w)
{
    struct hold h = {.grant = NULL};
    struct coord_lock *lock = NULL;
    struct coord_error error;
    size_t count;
    unsigned number = worker_random(w, LOCKS);
    (void)snprintf(h.lock, sizeof h.lock, "/held/g%u", number);
    (void)snprintf(h.counter, sizeof h.counter, "/count/g%u", number);
    const struct coord_lock_target target = {.path = h.lock};
    const struct coord_lock_options options = {.wait_ms = WAIT_MS};
    enum coord_code code = coord_lock_acquire(w->client, &target, 1, &options, &lock, &error);
    if (code == COORD_WAIT_TIMEOUT) {
        return;
    }
    if (code == COORD_OK) {
        h.grant = coord_lock_grants(lock, &count);
        if (worker_is_trusted(w)) {
            hold(w, &h);
        }
        code = coord_lock_release(lock, &error);
        coord_lock_free(lock);
    }
    if (code != COORD_OK) {
        fprintf(w->history, "# %s\n", error.message);
        coord_session_close(w->client, NULL, NULL); /* with whatever may be left */
    }
}

void worker_run_held(struct worker *w)
{
    while (!worker_should_stop(w)) {
        if (worker_stay_alive(w, TTL_MS)) {
            compete(w);
        }
        worker_think(w, THINK_MS);
    }
    coord_session_close(w->client, NULL, NULL);
}
