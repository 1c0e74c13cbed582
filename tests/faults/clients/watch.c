/* Watchers, and the lines of one:
 *
 *     watch N SCOPE PATH FROM BEGIN END   the N-th of this worker, since END nothing is missed
 *     event N TYPE PATH REVISION SUB VALUE MODIFIED VERSION REASON
 *     seen N REVISION                     it was closed, having got everything up to there
 *     lost N WORD                         it ended by itself, told so
 *
 * One that watches from the first revision on goes on until the node /end is created. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/faults/clients/worker.h"

#define NEXT_MS      100
#define LIFE_US_MAX  3000000u
#define BACK_MAX     150u
#define LAST_WAIT_US 30000000u

struct view {
    enum coord_scope scope;
    const char *word;
    const char *path;
};

static const struct view views[] = {
    {COORD_WATCH_SUBTREE, "subtree", "/"},     {COORD_WATCH_CHILDREN, "children", "/kv"},
    {COORD_WATCH_PREFIX, "prefix", "/kv/s1"},  {COORD_WATCH_NODE, "node", "/bank/a0"},
    {COORD_WATCH_SUBTREE, "subtree", "/lock"},
    {COORD_WATCH_SUBTREE, "subtree", "/held"},
};

static const char *type_word(enum coord_event_type type)
{
    switch (type) {
    case COORD_EVENT_CREATED: return "create";
    case COORD_EVENT_SET: return "set";
    case COORD_EVENT_DELETED: return "delete";
    default: return "other";
    }
}

static void write_event(struct worker *w, uint64_t number, const struct coord_event *e)
{
    fprintf(w->history,
            "event %" PRIu64 " %s %s %" PRIu64 " %" PRIu32 " ", number, type_word(e->type), e->path,
            e->revision, e->sub);
    worker_put_value(w->history, e->data, e->bytes);
    fprintf(w->history, " %" PRIu64 " %" PRIu32 " %d\n", e->stat.modify_revision,
            e->stat.version, (int)e->reason);
}

/* NULL: it could not be opened, which happens while nobody answers. */
static struct coord_watch *open_watch(struct worker *w, uint64_t number,
                                      const struct view *view, uint64_t from_revision)
{
    const struct coord_watch_options options = {
        .scope = view->scope, .from_revision = from_revision, .progress_ms = 200};
    struct coord_watch *watch;
    struct coord_error error;
    uint64_t begin_us = worker_now_us();
    if (coord_watch_open(w->client, view->path, &options, &watch, &error) != COORD_OK) {
        return NULL;
    }
    fprintf(w->history, "watch %" PRIu64 " %s %s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", number,
            view->word, view->path, from_revision, begin_us, worker_now_us());
    return watch;
}

/* Hands out what comes; false: that was the end of the watch. */
static bool follow(struct worker *w, uint64_t number, struct coord_watch *watch, bool *saw_end)
{
    struct coord_event event;
    struct coord_error error;
    enum coord_code code = coord_watch_next(watch, NEXT_MS, &event, &error);
    if (code == COORD_OK) {
        write_event(w, number, &event);
        *saw_end = strcmp(event.path, "/end") == 0;
        return true;
    }
    if (code == COORD_TIMEOUT || code == COORD_UNAVAILABLE) {
        return true;
    }
    fprintf(w->history, "lost %" PRIu64 " %s\n# %s\n", number, result_word(code),
            error.message);
    return false;
}

static void close_watch(struct worker *w, uint64_t number, struct coord_watch *watch)
{
    fprintf(w->history, "seen %" PRIu64 " %" PRIu64 "\n", number, coord_watch_revision(watch));
    coord_watch_close(watch);
}

void worker_run_watch(struct worker *w)
{
    struct coord_watch *watch = NULL;
    bool saw_end = false;
    bool lives = true;
    uint64_t stopped_us = 0;
    while (watch == NULL && !worker_should_stop(w)) {
        watch = open_watch(w, 1, &views[0], 1);
    }
    while (watch != NULL && lives && !saw_end) {
        lives = follow(w, 1, watch, &saw_end);
        if (worker_should_stop(w)) {
            uint64_t now_us = worker_now_us();
            stopped_us = stopped_us == 0 ? now_us : stopped_us;
            if (now_us > stopped_us + LAST_WAIT_US) {
                break; /* the checker sees that it did not get all */
            }
        }
    }
    if (watch != NULL) {
        close_watch(w, 1, watch);
    }
}

void worker_run_late_watch(struct worker *w)
{
    uint64_t number = 0;
    uint64_t revision = 0; /* about where the log is */
    while (!worker_should_stop(w)) {
        const struct view *view = &views[worker_random(w, sizeof views / sizeof views[0])];
        uint64_t back = worker_random(w, BACK_MAX);
        bool from_now = revision <= back || worker_random(w, 2) == 0;
        struct coord_watch *watch =
            open_watch(w, ++number, view, from_now ? 0 : revision - back);
        uint64_t end_us = worker_now_us() + worker_random(w, LIFE_US_MAX);
        bool saw_end = false;
        while (watch != NULL && worker_now_us() < end_us &&
               follow(w, number, watch, &saw_end)) {
        }
        if (watch != NULL) {
            revision = coord_watch_revision(watch);
            close_watch(w, number, watch);
        }
    }
}
