/* A lock as clients make it, of plain nodes: everybody queues with an ephemeral sequential node,
 * the first one holds it. Who holds it counts on: what it reads plus one, guarded by its grant.
 * Lines besides:
 *
 *     grant LOCK NODE CREATED FROM UNTIL     it took itself for the holder from then until then,
 *                                            which it did not beyond the trust in its session */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/faults/clients/txn.h"

#define TTL_MS     1500
#define LOCKS      2
#define POLL_MS    20
#define COUNTS_MAX 6

struct place {
    char lock[WORKER_PATH_BYTES];
    char counter[WORKER_PATH_BYTES];
    char *node; /* NULL: not in the queue */
    uint64_t created;
};

static bool enter(struct worker *w, struct place *p)
{
    char prefix[WORKER_PATH_BYTES + 4];
    char value[WORKER_VALUE_BYTES];
    const struct coord_create_options options = {.kind = COORD_EPHEMERAL,
                                                 .flags = COORD_SEQUENTIAL};
    struct result r;
    memset(&r, 0, sizeof r);
    snprintf(prefix, sizeof prefix, "%s/q-", p->lock);
    worker_value(w, value);
    r.begin_us = worker_now_us();
    r.code = coord_create_with(w->client, prefix, value, strlen(value), &options, &p->node,
                               &r.stat, &r.error);
    r.end_us = worker_now_us();
    r.revision = coord_revision(w->client);
    worker_write_op(w, "create", r.code == COORD_OK ? p->node : prefix, value, -1, &r);
    if (r.code != COORD_OK) {
        p->node = NULL;
        /* It may be in the queue all the same; with the session it goes. */
        coord_session_close(w->client, NULL, NULL);
        return false;
    }
    p->created = r.stat.create_revision;
    return true;
}

enum turn { TURN_WAIT, TURN_MINE, TURN_LOST };

static enum turn look(struct worker *w, const struct place *p)
{
    struct coord_names names;
    if (coord_list(w->client, p->lock, &names, NULL) != COORD_OK) {
        return TURN_WAIT;
    }
    const char *own = strrchr(p->node, '/') + 1;
    enum turn turn = TURN_LOST;
    for (size_t i = 0; i < names.count && turn == TURN_LOST; i++) {
        if (strcmp(names.names[i], own) == 0) {
            turn = i == 0 ? TURN_MINE : TURN_WAIT;
        }
    }
    coord_names_clear(&names);
    return turn;
}

/* False: this holder must not go on. */
static bool count_on(struct worker *w, const struct place *p)
{
    char value[WORKER_VALUE_BYTES];
    struct result seen = worker_get(w, p->counter);
    if (seen.code != COORD_OK || !worker_is_trusted(w)) {
        return false;
    }
    snprintf(value, sizeof value, "%ld:%s.%" PRIu64, strtol(seen.data, NULL, 10) + 1, w->name,
             ++w->written);
    const struct txn_set set = {p->counter, COORD_ANY_VERSION, value};
    return txn_write(w, &set, 1, p->node, p->created).code == COORD_OK;
}

static void hold(struct worker *w, const struct place *p)
{
    uint64_t from_us = worker_now_us();
    uint64_t until_us = from_us;
    for (int i = 0; i < COUNTS_MAX && !worker_should_stop(w) && worker_stay_alive(w, TTL_MS); i++) {
        if (!count_on(w, p)) {
            break;
        }
        if (worker_is_trusted(w)) {
            until_us = worker_now_us();
        }
    }
    fprintf(w->history, "grant %s %s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", p->lock, p->node,
            p->created, from_us, until_us);
}

static void leave(struct worker *w, struct place *p)
{
    struct result r = worker_delete(w, p->node, COORD_ANY_VERSION);
    if (r.code != COORD_OK && r.code != COORD_NOT_FOUND) {
        coord_session_close(w->client, NULL, NULL);
    }
    free(p->node);
    p->node = NULL;
}

static void compete(struct worker *w, struct place *p)
{
    while (!worker_should_stop(w) && worker_stay_alive(w, TTL_MS)) {
        enum turn turn = look(w, p);
        if (turn == TURN_MINE && worker_is_trusted(w)) {
            hold(w, p);
            return;
        }
        if (turn == TURN_LOST) {
            return;
        }
        worker_think(w, POLL_MS);
    }
}

void worker_run_lock(struct worker *w)
{
    struct place p;
    memset(&p, 0, sizeof p);
    while (!worker_should_stop(w)) {
        unsigned lock = worker_random(w, LOCKS);
        snprintf(p.lock, sizeof p.lock, "/lock/l%u", lock);
        snprintf(p.counter, sizeof p.counter, "/count/l%u", lock);
        if (worker_stay_alive(w, TTL_MS) && enter(w, &p)) {
            compete(w, &p);
            leave(w, &p);
        }
        worker_think(w, POLL_MS);
    }
    coord_session_close(w->client, NULL, NULL);
}
