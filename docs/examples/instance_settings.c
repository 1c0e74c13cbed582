/* A program that follows the value of a setting that is meant for it, also while a new one is being
 * rolled out; besides, every change below the configuration, and whether its member serves.
 *
 *     instance_settings ROOT KEY INSTANCE [LABEL]     (COORD_ENDPOINTS says where)
 *
 * Prints "value X", "value X of a rollout" or "no value"; "change PATH OLD NEW"; "health N". */
#include <coord/client.h>
#include <coord/streams.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t must_end;

static void on_signal(int number)
{
    (void)number;
    must_end = 1;
}

static void complain(const struct coord_error *over)
{
    fprintf(stderr, "instance_settings: %s\n", over->message);
    must_end = 2;
}

static void on_value(void *context, struct coord_stream *stream,
                     const struct coord_config_value *v)
{
    (void)context;
    (void)stream;
    if (v->over != NULL) {
        complain(v->over);
    } else if (!v->exists) {
        printf("no value\n");
    } else {
        printf("value %.*s%s\n", (int)v->bytes, (const char *)v->value,
               v->rollout ? " of a rollout" : "");
    }
    fflush(stdout);
}

static void on_change(void *context, struct coord_stream *stream,
                      const struct coord_config_event *event)
{
    (void)context;
    (void)stream;
    if (event->over != NULL) {
        complain(event->over);
        return;
    }
    const struct coord_config_change *c = event->change;
    printf("change %s %.*s %.*s\n", c->path, (int)c->old_bytes, (const char *)c->old_value,
           (int)c->new_bytes, (const char *)c->new_value);
    fflush(stdout);
}

static void on_health(void *context, struct coord_stream *stream,
                      const struct coord_health_event *event)
{
    (void)context;
    (void)stream;
    if (event->over != NULL) {
        complain(event->over);
        return;
    }
    printf("health %d\n", (int)event->serving);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const struct coord_options options = {.endpoints = getenv("COORD_ENDPOINTS")};
    struct coord_client *client;
    struct coord_stream *streams[3] = {NULL};
    struct coord_error error;
    if (argc < 4) {
        fprintf(stderr, "usage: instance_settings ROOT KEY INSTANCE [LABEL]\n");
        return 2;
    }
    const char *label = argc > 4 ? argv[4] : NULL;
    const struct coord_config_instance me = {
        .id = argv[3], .labels = &label, .label_count = label != NULL};
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    enum coord_code code = coord_open(&options, &client, &error);
    if (code != COORD_OK) {
        fprintf(stderr, "instance_settings: %s\n", error.message);
        return 1;
    }
    code = coord_config_watch_effective(client, argv[2], &me, on_value, NULL, &streams[0], &error);
    if (code == COORD_OK) {
        code = coord_config_watch(client, argv[1], true, 0, on_change, NULL, &streams[1], &error);
    }
    if (code == COORD_OK) {
        code = coord_health_watch(client, "", on_health, NULL, &streams[2], &error);
    }
    while (!must_end && code == COORD_OK) {
        code = coord_run(client, 500);
        code = code == COORD_TIMEOUT ? COORD_OK : code;
    }
    if (code != COORD_OK) {
        fprintf(stderr, "instance_settings: %s\n", error.message);
    }
    for (int i = 0; i < 3; i++) {
        coord_stream_close(streams[i]);
    }
    coord_close(client);
    return code == COORD_OK && must_end == 1 ? 0 : 1;
}
