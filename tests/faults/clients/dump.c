#include "tests/faults/clients/dump.h"

#include <inttypes.h>
#include <stdio.h>

#include "client/client.h"
#include "tests/faults/clients/worker.h"

#define TIMEOUT_MS 20000

static const char *type_word(enum coord_event_type type)
{
    switch (type) {
    case COORD_EVENT_CREATED: return "create";
    case COORD_EVENT_SET: return "set";
    case COORD_EVENT_DELETED: return "delete";
    default: return "other";
    }
}

static void print_change(const struct coord_event *e)
{
    printf("change %" PRIu64 " %" PRIu32 " %s %s ", e->revision, e->sub, type_word(e->type),
           e->path);
    worker_put_value(stdout, e->data, e->bytes);
    printf(" %" PRIu64 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %d %" PRIu64 " %s\n",
           e->stat.modify_revision, e->stat.version, e->stat.create_revision,
           e->stat.lease, (int)e->reason, e->session, e->note[0] != '\0' ? e->note : "-");
}

int dump_changes(const char *endpoint)
{
    const struct coord_options options = {
        .endpoints = endpoint, .timeout_ms = TIMEOUT_MS, .consistency = COORD_LOCAL};
    struct coord_change_options page = {.recursive = true};
    struct coord_change_list changes;
    struct coord_client *client;
    struct coord_error error;
    bool is_first = true;
    if (coord_open(&options, &client, &error) != COORD_OK) {
        fprintf(stderr, "dump: %s\n", error.message);
        return 1;
    }
    enum coord_code code;
    do {
        code = coord_changes(client, "/", &page, &changes, &error);
        if (code != COORD_OK) {
            fprintf(stderr, "dump: %s\n", error.message);
            break;
        }
        if (is_first) {
            printf("floor %" PRIu64 "\n", changes.floor);
            is_first = false;
        }
        for (size_t i = 0; i < changes.count; i++) {
            print_change(&changes.events[i]);
        }
        page.after_revision = changes.next_revision;
        page.after_sub = changes.next_sub;
        coord_changes_clear(&changes);
    } while (page.after_revision != 0);
    coord_close(client);
    return code == COORD_OK && fflush(stdout) == 0 ? 0 : 1;
}
