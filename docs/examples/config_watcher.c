/* A program that follows its settings: everything below a path, as it is and as it changes, over
 * restarts and failures of any member.
 *
 *     config_watcher [PATH]        (COORD_ENDPOINTS says where; PATH is /config unless given)
 *
 * Prints a line for each setting, "=" when it was found, "+" and "-" when it came or went, and
 * "ready" when all there is has been told. */
#include <coord/client.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t must_end;

static void on_signal(int number)
{
    (void)number;
    must_end = 1;
}

static void apply(const struct coord_event *event)
{
    switch (event->type) {
    case COORD_EVENT_LISTING: break; /* forget what you have: all of it follows */
    case COORD_EVENT_ENTRY:
        printf("= %s %.*s\n", event->path, (int)event->bytes, (const char *)event->data);
        break;
    case COORD_EVENT_LISTED: printf("ready\n"); break;
    case COORD_EVENT_CREATED:
    case COORD_EVENT_SET:
        printf("+ %s %.*s\n", event->path, (int)event->bytes, (const char *)event->data);
        break;
    case COORD_EVENT_DELETED: printf("- %s\n", event->path); break;
    default: break;
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const struct coord_options options = {.endpoints = getenv("COORD_ENDPOINTS")};
    const struct coord_watch_options everything = {
        .scope = COORD_WATCH_SUBTREE,
        .list = true, /* what there is, and then what changes, without a gap */
        .relist =
            true, /* the same again if this program was away for longer than history lasts */
    };
    struct coord_client *client;
    struct coord_watch *watch = NULL;
    struct coord_error error;
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    if (coord_open(&options, &client, &error) != COORD_OK) {
        fprintf(stderr, "config_watcher: %s\n", error.message);
        return 1;
    }
    enum coord_code code =
        coord_watch_open(client, argc > 1 ? argv[1] : "/config", &everything, &watch, &error);
    while (!must_end && code == COORD_OK) {
        struct coord_event event;
        code = coord_watch_next(watch, 500, &event, &error);
        if (code == COORD_OK) {
            apply(&event);
        } else if (code == COORD_TIMEOUT || code == COORD_UNAVAILABLE) {
            code = COORD_OK; /* nothing new, or nobody there: the settings at hand still hold */
        }
    }
    if (code != COORD_OK) {
        fprintf(stderr, "config_watcher: %s\n", error.message);
    }
    coord_watch_close(watch);
    coord_close(client);
    return code == COORD_OK ? 0 : 1;
}
