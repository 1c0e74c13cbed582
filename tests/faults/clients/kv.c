/* Reads and writes on a few hot keys. Keys are used for a while only (struct setup), so that a
 * history of one key stays short enough to be searched. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/faults/clients/worker.h"

#define THINK_MS 6
#define READ_MS  10

static void pick_path(struct worker *w, char path[WORKER_PATH_BYTES])
{
    uint64_t now = worker_now_us();
    uint64_t since = now > w->setup->begin_us ? now - w->setup->begin_us : 0;
    snprintf(path, WORKER_PATH_BYTES, "/kv/s%u.%" PRIu64, worker_random(w, w->setup->slots),
             since / w->setup->rotate_us);
}

/* Compare and set: what it reads decides what it expects. */
static void swap(struct worker *w, const char *path)
{
    char value[WORKER_VALUE_BYTES];
    struct result seen = worker_get(w, path);
    if (seen.code == COORD_OK) {
        worker_value(w, value);
        worker_set(w, path, value, seen.stat.version);
    }
}

void worker_run_kv(struct worker *w)
{
    while (!worker_should_stop(w)) {
        char path[WORKER_PATH_BYTES];
        char value[WORKER_VALUE_BYTES];
        pick_path(w, path);
        unsigned dice = worker_random(w, 100);
        if (dice < 25) {
            worker_get(w, path);
        } else if (dice < 35) {
            worker_get_session(w, path);
        } else if (dice < 60) {
            worker_value(w, value);
            worker_set(w, path, value, COORD_ANY_VERSION);
        } else if (dice < 75) {
            swap(w, path);
        } else if (dice < 93) {
            worker_value(w, value);
            worker_create(w, path, value);
        } else {
            worker_delete(w, path, COORD_ANY_VERSION);
        }
        worker_think(w, THINK_MS);
    }
}

/* Stays with a member that was paused or cut off, and must not be told what is no longer true. */
void worker_run_read(struct worker *w)
{
    while (!worker_should_stop(w)) {
        char path[WORKER_PATH_BYTES];
        pick_path(w, path);
        worker_get(w, path);
        worker_think(w, READ_MS);
    }
}
