#include "cmd/coordctl/event.h"

#include <inttypes.h>
#include <string.h>

#include "cmd/coordctl/text/value_diff.h"

const char *event_type_name(enum coord_event_type type)
{
    static const char *const names[] = {
        [COORD_EVENT_CREATED] = "created", [COORD_EVENT_SET] = "set",
        [COORD_EVENT_DELETED] = "deleted", [COORD_EVENT_LISTING] = "listing",
        [COORD_EVENT_ENTRY] = "entry",     [COORD_EVENT_LISTED] = "listed",
        [COORD_EVENT_END] = "end",         [COORD_EVENT_ACL] = "acl"};
    return type >= COORD_EVENT_CREATED && type <= COORD_EVENT_ACL ? names[type] : "unknown";
}

const char *event_reason_name(enum coord_reason reason)
{
    static const char *const names[] = {
        [COORD_REASON_REQUESTED] = "requested",       [COORD_REASON_LEASE_EXPIRED] = "expired",
        [COORD_REASON_LEASE_REVOKED] = "revoked",     [COORD_REASON_SESSION_CLOSED] = "closed",
        [COORD_REASON_CONTAINER_EMPTIED] = "emptied", [COORD_REASON_TTL_PASSED] = "ttl",
        [COORD_REASON_GRANTED] = "granted",           [COORD_REASON_TIMED_OUT] = "timed out"};
    return (unsigned)reason <= COORD_REASON_TIMED_OUT ? names[reason] : "unknown";
}

static json_t *stat_json(const struct coord_stat *s)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:I}", "kind", ctl_kind_name(s->kind),
                     "version", (json_int_t)s->version, "data_bytes", (json_int_t)s->data_bytes,
                     "child_count", (json_int_t)s->child_count, "create_revision",
                     (json_int_t)s->create_revision, "modify_revision",
                     (json_int_t)s->modify_revision, "lease", ctl_json_hex(s->lease), "ttl_ms",
                     (json_int_t)s->ttl_ms);
}

json_t *event_json(const struct ctl *ctl, const struct coord_event *e)
{
    json_t *o = json_pack("{s:s, s:o, s:I}", "type", event_type_name(e->type), "path",
                          ctl_json_bytes(e->path, strlen(e->path)), "revision",
                          (json_int_t)e->revision);
    bool is_change = e->type <= COORD_EVENT_DELETED || e->type == COORD_EVENT_ACL;
    if (!is_change && e->type != COORD_EVENT_ENTRY) {
        return o;
    }
    if (!ctl->keys_only && e->type != COORD_EVENT_DELETED) {
        json_object_set_new(o, "data", ctl_json_bytes(e->data, e->bytes));
    }
    json_object_set_new(o, "stat", stat_json(&e->stat));
    if (!is_change) {
        return o;
    }
    if (ctl->prev && e->type != COORD_EVENT_CREATED) {
        json_object_set_new(o, "previous", ctl_json_bytes(e->previous, e->previous_bytes));
    }
    json_object_set_new(o, "sub", json_integer((json_int_t)e->sub));
    json_object_set_new(o, "reason", json_string(event_reason_name(e->reason)));
    json_object_set_new(o, "session", ctl_json_hex(e->session));
    json_object_set_new(o, "note", ctl_json_bytes(e->note, strlen(e->note)));
    json_object_set_new(o, "time_ms", json_integer((json_int_t)e->time_ms));
    return o;
}

bool event_is_text(const void *data, size_t bytes)
{
    return value_is_text(slice_make(data, bytes));
}

void event_append_value(struct buf *out, const void *data, size_t bytes)
{
    value_show(out, slice_make(data, bytes));
}

void event_append_circumstances(struct buf *line, const struct coord_event *e)
{
    const char *before = "  (";
    if (e->reason != COORD_REASON_REQUESTED) {
        buf_printf(line, "%s%s", before, event_reason_name(e->reason));
        before = ", ";
    }
    if (e->session != 0) {
        buf_printf(line, "%ssession %016" PRIx64, before, e->session);
        before = ", ";
    }
    if (e->note[0] != '\0') {
        buf_printf(line, "%snote: ", before);
        event_append_value(line, e->note, strlen(e->note));
        before = ", ";
    }
    if (before[0] == ',') {
        buf_append_str(line, ")");
    }
}
