#include "client/convert.h"

#include <stdlib.h>
#include <string.h>

#include "client/error.h"

void convert_stat(const Coord__V1__Stat *from, struct coord_stat *to)
{
    if (to == NULL) {
        return;
    }
    *to = (struct coord_stat){.version = 0};
    if (from == NULL) {
        return;
    }
    *to = (struct coord_stat){
        .create_revision = from->create_revision,
        .modify_revision = from->modify_revision,
        .children_revision = from->children_revision,
        .create_time_ms = from->create_time_ms,
        .modify_time_ms = from->modify_time_ms,
        .children_version = from->children_version,
        .sequence_next = from->sequence_next,
        .lease = from->lease,
        .ttl_ms = from->ttl_ms,
        .version = from->version,
        .acl_version = from->acl_version,
        .data_bytes = from->data_bytes,
        .child_count = from->child_count,
        .kind = (int)from->kind,
    };
}

enum coord_code convert_version(int64_t version, Coord__V1__Expect *expect,
                                Coord__V1__Expect **out, struct coord_error *error)
{
    if (version == COORD_ANY_VERSION) {
        return COORD_OK;
    }
    if (version < 0 || version >= UINT32_MAX) {
        return client_fail(error, COORD_INVALID, "version %lld is no node's version",
                           (long long)version);
    }
    coord__v1__expect__init(expect);
    expect->version = (uint32_t)version;
    *out = expect;
    return COORD_OK;
}

char *convert_text(const char *s)
{
    return (char *)(uintptr_t)s;
}

char *convert_text_or_none(const char *s)
{
    return convert_text(s != NULL ? s : "");
}

ProtobufCBinaryData convert_bytes(const void *data, size_t bytes)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data, .len = bytes};
}

char *convert_copy(const void *data, size_t bytes)
{
    char *copy = malloc(bytes + 1);
    if (copy != NULL) {
        if (bytes > 0) {
            memcpy(copy, data, bytes);
        }
        copy[bytes] = '\0';
    }
    return copy;
}

/* Types of changes are counted alike, but for the one that came after those of listings. */
static enum coord_event_type convert_type(Coord__V1__EventType type)
{
    return type == COORD__V1__EVENT_TYPE__ACL_EVENT ? COORD_EVENT_ACL
                                                    : (enum coord_event_type)type;
}

/* Both sides count reasons alike. */
struct coord_event convert_event(const Coord__V1__Event *from)
{
    struct coord_event event = {
        .type = convert_type(from->type),
        .reason = (enum coord_reason)from->reason,
        .path = from->path,
        .data = from->data.data,
        .bytes = from->data.len,
        .previous = from->previous.data,
        .previous_bytes = from->previous.len,
        .revision = from->revision,
        .sub = from->sub,
        .session = from->session,
        .time_ms = from->time_ms,
        .note = from->note,
    };
    convert_stat(from->stat, &event.stat);
    return event;
}

void convert_leader(const Coord__V1__ElectionLeader *from, struct coord_leader *to)
{
    *to = (struct coord_leader){.grant = {.path = from->grant->path,
                                          .revision = from->grant->revision,
                                          .epoch = from->epoch,
                                          .count = 1},
                                .name = from->name,
                                .value = from->value,
                                .note = from->note,
                                .label = from->label,
                                .lease = from->lease,
                                .number = from->number,
                                .since_ms = from->since_ms,
                                .priority = from->priority};
}
