/* What happened to a node: pages of the change log. */
#include <stdlib.h>
#include <string.h>

#include "client/call.h"
#include "client/convert.h"
#include "coord/v1/history.pb-c.h"

/* `m` is kept: the events point into it. */
static enum coord_code take_changes(ProtobufCMessage *m, struct coord_change_list *changes,
                                    struct coord_error *error)
{
    const Coord__V1__ChangesReply *reply = (const Coord__V1__ChangesReply *)m;
    struct coord_event *events = calloc(reply->n_changes + 1, sizeof *events);
    if (events == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the changes");
    }
    for (size_t i = 0; i < reply->n_changes; i++) {
        events[i] = convert_event(reply->changes[i]);
    }
    *changes = (struct coord_change_list){
        .events = events,
        .count = reply->n_changes,
        .next_revision = reply->next_revision,
        .next_sub = reply->next_sub,
        .floor = reply->floor,
        .memory = m,
    };
    return COORD_OK;
}

enum coord_code coord_changes(struct coord_client *client, const char *path,
                              const struct coord_change_options *options,
                              struct coord_change_list *changes, struct coord_error *error)
{
    static const struct coord_change_options defaults = {.recursive = false};
    const struct coord_change_options *o = options != NULL ? options : &defaults;
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ChangesRequest request = COORD__V1__CHANGES_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.path = convert_text(path);
    request.recursive = o->recursive;
    request.newest_first = o->newest_first;
    request.keys_only = o->keys_only;
    request.from_revision = o->from_revision;
    request.to_revision = o->to_revision;
    request.limit = o->limit;
    request.after_revision = o->after_revision;
    request.after_sub = o->after_sub;
    enum coord_code code =
        client_call(client, CLIENT_CHANGES, &request.base, &header, &m, error);
    if (code == COORD_OK) {
        code = take_changes(m, changes, error);
        if (code != COORD_OK) {
            client_reply_free(m);
        }
    }
    return code;
}

void coord_changes_clear(struct coord_change_list *changes)
{
    free(changes->events);
    client_reply_free(changes->memory);
    *changes = (struct coord_change_list){.count = 0};
}
