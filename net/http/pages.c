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

static int print_ready(const struct page_context *context, struct buf *out)
{
    if (node_is_serving(context->node)) {
        buf_append_str(out, "ready\n");
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

/* Gauges that show the node's status of the moment at which they are asked for. */
enum status_gauge {
    GAUGE_TERM,
    GAUGE_COMMIT,
    GAUGE_APPLIED,
    GAUGE_LAST,
    GAUGE_IS_LEADER,
    GAUGE_SERVING,
    GAUGE_REVISION,
    GAUGE_NODES,
    GAUGE_STATE_BYTES,
    GAUGE_LOG_BYTES,
    GAUGE_SNAPSHOT_INDEX,
    GAUGE_SNAPSHOT_BYTES,
    GAUGE_DISK_SHORT,
    GAUGE_MEMBERS,
    GAUGE_MEMBERS_UP,
    GAUGES,
};

static const struct {
    const char *name;
    const char *help;
} gauges[GAUGES] = {
    [GAUGE_TERM] = {"coord_raft_term", "Current term."},
    [GAUGE_COMMIT] = {"coord_raft_commit_index", "Highest log index known to be committed."},
    [GAUGE_APPLIED] = {"coord_raft_applied_index", "Highest log index applied to the state."},
    [GAUGE_LAST] = {"coord_raft_last_index", "Highest log index on this node."},
    [GAUGE_IS_LEADER] = {"coord_raft_is_leader", "1 while this node leads."},
    [GAUGE_SERVING] = {"coord_serving", "1 while this node answers linearizable requests."},
    [GAUGE_REVISION] = {"coord_store_revision", "Revision of the state."},
    [GAUGE_NODES] = {"coord_store_nodes", "Nodes in the tree."},
    [GAUGE_STATE_BYTES] = {"coord_store_bytes", "Bytes of state in memory."},
    [GAUGE_LOG_BYTES] = {"coord_raft_log_bytes", "Bytes of log on disk."},
    [GAUGE_SNAPSHOT_INDEX] = {"coord_snapshot_index", "Log index of the latest snapshot."},
    [GAUGE_SNAPSHOT_BYTES] = {"coord_snapshot_bytes", "Size of the latest snapshot."},
    [GAUGE_DISK_SHORT] = {"coord_disk_short",
                          "1 while writes are refused for lack of disk space."},
    [GAUGE_MEMBERS] = {"coord_members", "Members of the cluster."},
    [GAUGE_MEMBERS_UP] = {"coord_members_up",
                          "Members connected to this node, itself included."},
};

struct pages {
    struct metric *gauges[GAUGES];
};

struct pages *pages_new(struct metrics *metrics)
{
    struct pages *p = mem_zalloc(sizeof *p);
    for (int i = 0; metrics != NULL && i < GAUGES; i++) {
        p->gauges[i] = metrics_gauge(metrics, gauges[i].name, NULL, gauges[i].help);
    }
    return p;
}

void pages_free(struct pages *p)
{
    mem_free(p);
}

static void gauges_refresh(const struct pages *p, const struct node *node)
{
    struct node_status s;
    node_status(node, &s);
    uint64_t up = 0;
    for (size_t i = 0; i < s.member_count; i++) {
        up += s.members[i].is_up ? 1 : 0;
    }
    const uint64_t values[GAUGES] = {
        [GAUGE_TERM] = s.term,
        [GAUGE_COMMIT] = s.commit_index,
        [GAUGE_APPLIED] = s.applied_index,
        [GAUGE_LAST] = s.last_index,
        [GAUGE_IS_LEADER] = s.leader_id != 0 && s.leader_id == s.node_id,
        [GAUGE_SERVING] = s.serving,
        [GAUGE_REVISION] = s.revision,
        [GAUGE_NODES] = s.node_count,
        [GAUGE_STATE_BYTES] = s.state_bytes,
        [GAUGE_LOG_BYTES] = s.log_bytes,
        [GAUGE_SNAPSHOT_INDEX] = s.snapshot_index,
        [GAUGE_SNAPSHOT_BYTES] = s.snapshot_bytes,
        [GAUGE_DISK_SHORT] = s.disk_is_short,
        [GAUGE_MEMBERS] = s.member_count,
        [GAUGE_MEMBERS_UP] = up,
    };
    for (int i = 0; i < GAUGES; i++) {
        metric_set(p->gauges[i], (int64_t)values[i]);
    }
}

static int print_metrics(const struct page_context *context, struct buf *out)
{
    if (context->metrics != NULL) {
        gauges_refresh(context->pages, context->node);
        metrics_print(context->metrics, out);
    }
    return 200;
}

/* ---- status ------------------------------------------------------------------------------ */

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
    object_set(o, "name", json_string(m->name));
    object_set(o, "role", json_string(role_text(m)));
    object_set(o, "peer_address", json_string(m->peer_address));
    object_set(o, "client_address", json_string(m->client_address));
    object_set(o, "self", json_boolean(m->is_self));
    object_set(o, "up", json_boolean(m->is_up));
    object_set(o, "match_index", json_u64(m->match_index));
    return o;
}

static json_t *json_status(const struct node_status *s)
{
    json_t *o = json_object();
    json_t *members = json_array();
    for (size_t i = 0; i < s->member_count; i++) {
        PRE(json_array_append_new(members, json_member(&s->members[i])) == 0);
    }
    object_set(o, "name", json_string(s->name));
    object_set(o, "role", json_string(s->state));
    object_set(o, "reason", json_string(s->state_reason != NULL ? s->state_reason : ""));
    object_set(o, "serving", json_boolean(s->serving));
    object_set(o, "version", json_string(version_text()));
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
