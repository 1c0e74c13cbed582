/* Sessions with ephemeral nodes. Lines besides those of calls:
 *
 *     session ID BEGIN END         opened
 *     trust ID SENT UNTIL          a keepalive, sent then, was confirmed: it lives until then
 *     close ID BEGIN END RESULT    asked to end; "failed" may have been done all the same
 *     ended ID WHEN                the cluster said that it is over */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/faults/clients/worker.h"

#define TTL_MS   2000
#define NODES    3
#define THINK_MS 20

struct holding {
    uint64_t id;
    unsigned count;
    char path[NODES][WORKER_PATH_BYTES];
};

static void open_session(struct worker *w, struct holding *h)
{
    struct coord_error error;
    struct coord_session info;
    uint64_t begin_us = worker_now_us();
    memset(h, 0, sizeof *h);
    if (coord_session_open(w->client, TTL_MS, w->name, &error) == COORD_OK &&
        coord_session_info(w->client, &info)) {
        h->id = info.id;
        fprintf(w->history, "session %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", h->id, begin_us,
                worker_now_us());
    }
}

static void forget(struct worker *w, struct holding *h)
{
    coord_session_detach(w->client);
    h->id = 0;
}

static void keep(struct worker *w, struct holding *h)
{
    struct coord_error error;
    uint64_t begin_us = worker_now_us();
    enum coord_code code = coord_session_keepalive(w->client, &error);
    uint64_t now_us = worker_now_us();
    if (code == COORD_OK) {
        uint64_t until_us = now_us + coord_session_trusted_ms(w->client) * 1000;
        fprintf(w->history, "trust %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", h->id, begin_us,
                until_us);
    } else if (code == COORD_SESSION_ENDED) {
        fprintf(w->history, "ended %" PRIu64 " %" PRIu64 "\n", h->id, now_us);
        forget(w, h);
    }
}

static void make_node(struct worker *w, struct holding *h)
{
    char value[WORKER_VALUE_BYTES];
    char path[WORKER_PATH_BYTES];
    const struct coord_create_options options = {.kind = COORD_EPHEMERAL};
    struct result r;
    memset(&r, 0, sizeof r);
    worker_value(w, value);
    snprintf(path, sizeof path, "/eph/%s", value);
    r.begin_us = worker_now_us();
    r.code = coord_create_with(w->client, path, value, strlen(value), &options, NULL, &r.stat,
                               &r.error);
    r.end_us = worker_now_us();
    r.revision = coord_revision(w->client);
    worker_write_op(w, "create", path, value, -1, &r);
    if (r.code == COORD_OK) {
        memcpy(h->path[h->count++], path, sizeof path);
    } else if (r.code == COORD_SESSION_ENDED) {
        fprintf(w->history, "ended %" PRIu64 " %" PRIu64 "\n", h->id, r.end_us);
        forget(w, h);
    }
}

static void end_session(struct worker *w, struct holding *h)
{
    struct coord_error error;
    uint64_t begin_us = worker_now_us();
    enum coord_code code = coord_session_close(w->client, NULL, &error);
    fprintf(w->history, "close %" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n", h->id, begin_us,
            worker_now_us(), result_word(code));
    h->id = 0;
}

static void do_one(struct worker *w, struct holding *h)
{
    unsigned dice = worker_random(w, 100);
    if (coord_session_due_ms(w->client) == 0 || dice < 10) {
        keep(w, h);
    } else if (h->count < NODES) {
        make_node(w, h);
    } else if (dice < 95) {
        worker_get(w, h->path[worker_random(w, h->count)]);
    } else if (dice < 98) {
        end_session(w, h);
    } else {
        forget(w, h); /* it dies without a word */
    }
}

void worker_run_session(struct worker *w)
{
    struct holding h;
    memset(&h, 0, sizeof h);
    while (!worker_should_stop(w)) {
        if (h.id == 0) {
            open_session(w, &h);
        } else {
            do_one(w, &h);
        }
        worker_think(w, THINK_MS);
    }
    if (h.id != 0) {
        end_session(w, &h);
    }
}
