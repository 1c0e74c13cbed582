/* Locks of coord.v1.Lock: the cluster decides who holds one. Lines: held.h. */
#include "tests/faults/clients/held.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/faults/clients/txn.h"

#define LOCKS      2
#define THINK_MS   20
#define COUNTS_MAX 6
#define SLEEP_MS   (2 * HELD_TTL_MS)
#define SLEEPS_OF  8 /* one of so many holders */

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

bool hold_and_count(struct worker *w, const struct hold *h)
{
    struct coord_session info;
    uint64_t from_us = worker_now_us();
    uint64_t until_us = from_us;
    bool sleeps = worker_random(w, SLEEPS_OF) == 0;
    for (int i = 0; i < h->counts && !worker_should_stop(w); i++) {
        if (!worker_stay_alive(w, HELD_TTL_MS) || !count_on(w, h, sleeps && i == 1)) {
            break;
        }
        if (worker_is_trusted(w)) {
            until_us = worker_now_us();
        }
    }
    fprintf(w->history, "held %s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", h->path,
            h->grant->path, h->grant->revision, h->grant->epoch, from_us, until_us);
    return coord_session_info(w->client, &info);
}

static void compete(struct worker *w)
{
    char path[WORKER_PATH_BYTES];
    char counter[WORKER_PATH_BYTES];
    struct hold h = {.path = path, .counter = counter, .counts = COUNTS_MAX};
    struct coord_lock *lock = NULL;
    struct coord_error error;
    size_t count;
    unsigned number = worker_random(w, LOCKS);
    (void)snprintf(path, sizeof path, "/held/g%u", number);
    (void)snprintf(counter, sizeof counter, "/count/g%u", number);
    const struct coord_lock_target target = {.path = path};
    const struct coord_lock_options options = {.wait_ms = HELD_WAIT_MS};
    enum coord_code code = coord_lock_acquire(w->client, &target, 1, &options, &lock, &error);
    if (code == COORD_WAIT_TIMEOUT) {
        return;
    }
    if (code == COORD_OK) {
        h.grant = coord_lock_grants(lock, &count);
        if (worker_is_trusted(w)) {
            (void)hold_and_count(w, &h);
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
        if (worker_stay_alive(w, HELD_TTL_MS)) {
            compete(w);
        }
        worker_think(w, THINK_MS);
    }
    coord_session_close(w->client, NULL, NULL);
}
