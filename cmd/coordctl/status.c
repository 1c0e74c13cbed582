/* status: each endpoint's own view, merged into one table of members. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/coordctl/ctl.h"
#include "coord/v1/cluster.pb-c.h"

static const struct client_method status_method = {.path = "/coord.v1.Cluster/Status",
                                                   .reply = &coord__v1__status_reply__descriptor};

static json_t *member_json(const Coord__V1__Member *m)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:I}", "name", m->name, "role", m->role, "id",
                     "", "peer_address", m->peer_address, "client_address", m->client_address,
                     "is_up", m->is_up, "match_index", (json_int_t)m->match_index);
}

static json_t *status_json(const Coord__V1__StatusReply *s, const char *endpoint)
{
    char hex[20];
    json_t *members = json_array();
    for (size_t i = 0; i < s->n_members; i++) {
        json_t *member = member_json(s->members[i]);
        snprintf(hex, sizeof hex, "%016" PRIx64, s->members[i]->id);
        json_object_set_new(member, "id", json_string(hex));
        json_array_append_new(members, member);
    }
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:b, s:s}",
        "endpoint", endpoint, "name", s->name, "role", s->role, "reason", s->reason, "serving",
        s->serving, "leader", s->leader, "term", (json_int_t)s->term, "commit_index",
        (json_int_t)s->commit_index, "applied_index", (json_int_t)s->applied_index, "last_index",
        (json_int_t)s->last_index, "revision", (json_int_t)s->header->revision, "node_count",
        (json_int_t)s->node_count, "log_bytes", (json_int_t)s->log_bytes, "snapshot_index",
        (json_int_t)s->snapshot_index, "snapshot_bytes", (json_int_t)s->snapshot_bytes,
        "state_bytes", (json_int_t)s->state_bytes, "feature_level", (json_int_t)s->feature_level,
        "disk_is_short", s->disk_is_short, "version", s->version);
    snprintf(hex, sizeof hex, "%016" PRIx64, (uint64_t)s->digest);
    json_object_set_new(o, "digest", json_string(hex));
    snprintf(hex, sizeof hex, "%016" PRIx64, s->header->cluster_id);
    json_object_set_new(o, "cluster_id", json_string(hex));
    json_object_set_new(o, "members", members);
    return o;
}

static void print_table(const Coord__V1__StatusReply *s, const char *endpoint)
{
    printf("%s: %s is %s%s%s, term %" PRIu64 ", revision %" PRIu64 ", applied %" PRIu64
           ", digest %016" PRIx64 "\n",
           endpoint, s->name, s->role, s->reason[0] != '\0' ? ", " : "", s->reason, s->term,
           s->header->revision, s->applied_index, (uint64_t)s->digest);
    printf("%" PRIu64 " nodes in %" PRIu64 " KiB, log %" PRIu64 " KiB, snapshot at %" PRIu64
           " (%" PRIu64 " KiB)%s, version %s\n\n",
           s->node_count, s->state_bytes / 1024, s->log_bytes / 1024, s->snapshot_index,
           s->snapshot_bytes / 1024, s->disk_is_short ? ", DISK FULL" : "", s->version);
    printf("%-16s %-10s %-24s %-24s %s\n", "NAME", "ROLE", "CLIENTS", "PEERS", "MATCH");
    for (size_t i = 0; i < s->n_members; i++) {
        const Coord__V1__Member *m = s->members[i];
        printf("%-16s %-10s %-24s %-24s ", m->name, m->role,
               m->client_address[0] != '\0' ? m->client_address : "-",
               m->peer_address[0] != '\0' ? m->peer_address : "-");
        if (m->match_index != 0) {
            printf("%" PRIu64 "\n", m->match_index);
        } else {
            puts("-");
        }
    }
}

int ctl_status(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__StatusRequest request = COORD__V1__STATUS_REQUEST__INIT;
    request.header = &header;
    struct coord_error error;
    ProtobufCMessage *m;
    if (client_call(ctl->client, &status_method, &request.base, &header, &m, &error) != COORD_OK) {
        return ctl_failed(ctl, "status", &error);
    }
    const Coord__V1__StatusReply *reply = (const Coord__V1__StatusReply *)m;
    if (ctl->output == OUTPUT_JSON) {
        ctl_print_json(status_json(reply, client_endpoint(ctl->client)));
    } else {
        print_table(reply, client_endpoint(ctl->client));
    }
    client_reply_free(m);
    return EXIT_DONE;
}
