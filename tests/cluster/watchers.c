/* Watchers for the cluster tests, over libcoord.
 *
 *   watchers ENDPOINTS PREFIX WATCHERS BYTES
 *
 * Each watcher is a thread with a client of its own, whose list of endpoints begins with another
 * one, and watches all paths with the prefix from revision 1 on, through whatever happens to the
 * nodes. A line for each event:
 *
 *     NUMBER REVISION SUB TYPE PATH
 *
 * preceded by "bad " if the value is not the one that `writers` gives that path. When a revision
 * arrives on stdin each watcher goes on until it has been handed everything up to it, and says
 * "NUMBER done". Anything unexpected is a line "NUMBER failed why". */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"

#define WATCHERS_MAX    64
#define ENDPOINTS_BYTES 1024
#define LINE_BYTES      1024
#define NEXT_MS         200

struct watcher {
    pthread_t thread;
    char endpoints[ENDPOINTS_BYTES];
    const char *prefix;
    size_t bytes;
    int number;
    const atomic_uint_least64_t *until; /* UINT64_MAX: not known yet */
};

static void say(const char *line)
{
    size_t length = strlen(line);
    if (write(STDOUT_FILENO, line, length) != (ssize_t)length) {
        abort(); /* an event that nobody hears of would not be checked */
    }
}

static void fail(const struct watcher *w, const char *why)
{
    char line[LINE_BYTES];
    (void)snprintf(line, sizeof line, "%d failed %s\n", w->number, why);
    say(line);
}

static bool value_is_right(const struct watcher *w, const struct coord_event *event)
{
    const char *value = event->data;
    size_t length = strlen(event->path);
    if (event->type != COORD_EVENT_CREATED || event->bytes != w->bytes) {
        return false;
    }
    for (size_t i = 0; i < event->bytes; i++) {
        if (value[i] != event->path[i % length]) {
            return false;
        }
    }
    return true;
}

static void tell(const struct watcher *w, const struct coord_event *event)
{
    char line[LINE_BYTES];
    (void)snprintf(line, sizeof line, "%s%d %" PRIu64 " %" PRIu32 " %d %s\n",
                   value_is_right(w, event) ? "" : "bad ", w->number, event->revision,
                   event->sub, event->type, event->path);
    say(line);
}

static void follow(struct watcher *w, struct coord_watch *watch)
{
    struct coord_event event;
    struct coord_error error;
    while (coord_watch_revision(watch) < atomic_load(w->until)) {
        enum coord_code code = coord_watch_next(watch, NEXT_MS, &event, &error);
        if (code == COORD_OK) {
            tell(w, &event);
        } else if (code != COORD_TIMEOUT && code != COORD_UNAVAILABLE) {
            fail(w, error.message);
            return;
        }
    }
    char line[LINE_BYTES];
    (void)snprintf(line, sizeof line, "%d done\n", w->number);
    say(line);
}

static void *watch_main(void *argument)
{
    struct watcher *w = argument;
    struct coord_client *client;
    struct coord_watch *watch;
    struct coord_error error;
    const struct coord_options options = {.endpoints = w->endpoints, .timeout_ms = 8000};
    const struct coord_watch_options watch_options = {
        .scope = COORD_WATCH_PREFIX, .from_revision = 2, .progress_ms = 200};
    if (coord_open(&options, &client, &error) != COORD_OK) {
        fail(w, error.message);
        return NULL;
    }
    if (coord_watch_open(client, w->prefix, &watch_options, &watch, &error) == COORD_OK) {
        follow(w, watch);
        coord_watch_close(watch);
    } else {
        fail(w, error.message);
    }
    coord_close(client);
    return NULL;
}

/* The list with `first` endpoints moved from its front to its end. */
static void rotate(const char *endpoints, int first, char *out, size_t bytes)
{
    const char *at = endpoints;
    size_t count = 1;
    for (const char *p = endpoints; *p != '\0'; p++) {
        count += *p == ',';
    }
    for (size_t i = (size_t)first % count; i > 0; i--) {
        at = strchr(at, ',') + 1;
    }
    size_t front = (size_t)(at - endpoints);
    (void)snprintf(out, bytes, "%s%s%.*s", at, front > 0 ? "," : "",
                   front > 0 ? (int)front - 1 : 0, endpoints);
}

int main(int argc, char **argv)
{
    static struct watcher watchers[WATCHERS_MAX];
    static atomic_uint_least64_t until = UINT64_MAX;
    int count = argc == 5 ? atoi(argv[3]) : 0;
    if (count < 1 || count > WATCHERS_MAX) {
        fprintf(stderr, "usage: see the head of tests/cluster/watchers.c\n");
        return 2;
    }
    for (int i = 0; i < count; i++) {
        struct watcher *w = &watchers[i];
        *w = (struct watcher){.prefix = argv[2],
                              .bytes = strtoul(argv[4], NULL, 10),
                              .number = i,
                              .until = &until};
        rotate(argv[1], i, w->endpoints, sizeof w->endpoints);
        if (pthread_create(&w->thread, NULL, watch_main, w) != 0) {
            return 1;
        }
    }
    char text[64];
    if (fgets(text, sizeof text, stdin) != NULL) {
        atomic_store(&until, strtoull(text, NULL, 10));
    }
    for (int i = 0; i < count; i++) {
        pthread_join(watchers[i].thread, NULL);
    }
    return 0;
}
