/* To add a page: a print function and a line in the table. */
#include "net/http/pages.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/version.h"

/* ---- plain ------------------------------------------------------------------------------- */

static int print_health(const struct page_context *context, struct buf *out)
{
    (void)context;
    buf_append_str(out, "ok\n");
    return 200;
}

/* What needs somebody's attention although the node serves. */
static void print_trouble(const struct node *node, struct buf *out)
{
    struct node_status status;
    node_status(node, &status);
    if (status.backup.problem[0] != '\0') {
        buf_printf(out, "the last backup failed: %s\n", status.backup.problem);
    }
}

static int print_ready(const struct page_context *context, struct buf *out)
{
    if (node_is_serving(context->node)) {
        buf_append_str(out, "ready\n");
        print_trouble(context->node, out);
        return 200;
    }
    struct node_status status;
    node_status(context->node, &status);
    const char *why = status.state_reason != NULL && status.state_reason[0] != '\0'
                          ? status.state_reason
                          : "no leader is known";
    buf_printf(out, "not ready: %s\n", why);
    return 503;
}

static int print_version(const struct page_context *context, struct buf *out)
{
    (void)context;
    buf_printf(out, "%s\n", version_text());
    return 200;
}

/* ---- metrics ----------------------------------------------------------------------------- */

static int print_metrics(const struct page_context *context, struct buf *out)
{
    buf_append_slice(out, figures_text(context->figures, context->node, context->now_ms));
    return 200;
}

/* ---- status ------------------------------------------------------------------------------ */

/* Addresses, paths and reasons come from elsewhere: what is no UTF-8 is shown as ASCII, with '?'
 * for all that is none. */
static json_t *json_text(const char *text)
{
    struct buf ascii = {0};
    json_t *value = json_string(text);
    if (value == NULL) {
        buf_append_str(&ascii, text);
        for (size_t i = 0; i < ascii.size; i++) {
            ascii.data[i] = ascii.data[i] < 0x80 ? ascii.data[i] : '?';
        }
        value = json_stringn((const char *)ascii.data, ascii.size);
        buf_close(&ascii);
    }
    return value;
}

/* 64-bit ids and digests as text: a JSON number cannot hold them in every reader. */
static json_t *json_hex(uint64_t v)
{
    char text[17];
    (void)snprintf(text, sizeof text, "%016" PRIx64, v);
    return json_string(text);
}

static json_t *json_u64(uint64_t v)
{
    return json_integer((json_int_t)v);
}

static const char *role_text(const struct node_member_status *m)
{
    if (m->is_leader) {
        return "leader";
    }
    switch ((enum member_role)m->role) {
    case MEMBER_VOTER: return "follower";
    case MEMBER_STANDBY: return "standby";
    case MEMBER_SPARE: return "spare";
    }
    return "unknown";
}

static void object_set(json_t *object, const char *key, json_t *value)
{
    PRE(json_object_set_new(object, key, value) == 0);
}

static json_t *json_member(const struct node_member_status *m)
{
    json_t *o = json_object();
    object_set(o, "id", json_hex(m->id));
    object_set(o, "name", json_text(m->name));
    object_set(o, "role", json_text(role_text(m)));
    object_set(o, "peer_address", json_text(m->peer_address));
    object_set(o, "client_address", json_text(m->client_address));
    object_set(o, "self", json_boolean(m->is_self));
    object_set(o, "up", json_boolean(m->is_up));
    object_set(o, "match_index", json_u64(m->match_index));
    return o;
}

static json_t *json_backup(const struct node_backup *b)
{
    json_t *o = json_object();
    object_set(o, "last_success_ms", json_u64(b->wall_ms));
    object_set(o, "revision", json_u64(b->revision));
    object_set(o, "failures", json_u64(b->failures));
    object_set(o, "problem", json_text(b->problem));
    return o;
}

static json_t *json_status(const struct node_status *s)
{
    json_t *o = json_object();
    json_t *members = json_array();
    for (size_t i = 0; i < s->member_count; i++) {
        PRE(json_array_append_new(members, json_member(&s->members[i])) == 0);
    }
    object_set(o, "name", json_text(s->name));
    object_set(o, "role", json_text(s->state));
    object_set(o, "reason", json_text(s->state_reason != NULL ? s->state_reason : ""));
    object_set(o, "serving", json_boolean(s->serving));
    object_set(o, "version", json_text(version_text()));
    object_set(o, "feature_level", json_u64(s->feature_level));
    object_set(o, "cluster_id", json_hex(s->cluster_id));
    object_set(o, "node_id", json_hex(s->node_id));
    object_set(o, "leader_id", json_hex(s->leader_id));
    object_set(o, "term", json_u64(s->term));
    object_set(o, "commit_index", json_u64(s->commit_index));
    object_set(o, "applied_index", json_u64(s->applied_index));
    object_set(o, "last_index", json_u64(s->last_index));
    object_set(o, "revision", json_u64(s->revision));
    object_set(o, "digest", json_hex(s->digest));
    object_set(o, "nodes", json_u64(s->node_count));
    object_set(o, "cluster_ms", json_u64(s->cluster_ms));
    object_set(o, "state_bytes", json_u64(s->state_bytes));
    object_set(o, "log_bytes", json_u64(s->log_bytes));
    object_set(o, "snapshot_index", json_u64(s->snapshot_index));
    object_set(o, "snapshot_bytes", json_u64(s->snapshot_bytes));
    object_set(o, "disk_is_short", json_boolean(s->disk_is_short));
    if (s->backup.is_on) {
        object_set(o, "backup", json_backup(&s->backup));
    }
    object_set(o, "members", members);
    return o;
}

static int append_json(const char *data, size_t bytes, void *out)
{
    buf_append(out, data, bytes);
    return 0;
}

static int print_status(const struct page_context *context, struct buf *out)
{
    struct node_status status;
    node_status(context->node, &status);
    json_t *o = json_status(&status);
    PRE(json_dump_callback(o, append_json, out, JSON_INDENT(2)) == 0);
    json_decref(o);
    buf_append_str(out, "\n");
    return 200;
}

/* ---- the table --------------------------------------------------------------------------- */

#define TYPE_TEXT "text/plain; charset=utf-8"
static const struct page pages[] = {
    {"/health", TYPE_TEXT, print_health},
    {"/ready", TYPE_TEXT, print_ready},
    {"/version", TYPE_TEXT, print_version},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", print_metrics},
    {"/status", "application/json", print_status},
};

const struct page *page_find(struct slice path)
{
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        if (slice_is(path, pages[i].path)) {
            return &pages[i];
        }
    }
    return NULL;
}
