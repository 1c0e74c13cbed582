/* status: how the members fare, as the first endpoint that answers sees it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/coordctl/ctl.h"
#include "cmd/coordctl/member.h"
#include "cmd/coordctl/values.h"
#include "coord/v1/cluster.pb-c.h"

static json_t *member_json(const Coord__V1__Member *m)
{
    return json_pack("{s:s, s:s, s:o, s:s, s:s, s:b, s:I}", "name", m->name, "role", m->role,
                     "id", ctl_json_hex(m->id), "peer_address", m->peer_address,
                     "client_address", m->client_address, "is_up", m->is_up, "match_index",
                     (json_int_t)m->match_index);
}

static json_t *backup_json(const Coord__V1__BackupStatus *b)
{
    return b == NULL ? json_null()
                     : json_pack("{s:I, s:I, s:I, s:s}", "last_success_ms",
                                 (json_int_t)b->last_success_ms, "revision",
                                 (json_int_t)b->revision, "failures", (json_int_t)b->failures,
                                 "problem", b->problem);
}

static json_t *status_json(const Coord__V1__StatusReply *s, const char *endpoint)
{
    json_t *members = json_array();
    for (size_t i = 0; i < s->n_members; i++) {
        json_array_append_new(members, member_json(s->members[i]));
    }
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, "
        "s:I, s:b, s:s, s:o, s:o, s:o}",
        "endpoint", endpoint, "name", s->name, "role", s->role, "reason", s->reason, "serving",
        s->serving, "leader", s->leader, "term", (json_int_t)s->term, "commit_index",
        (json_int_t)s->commit_index, "applied_index", (json_int_t)s->applied_index,
        "last_index", (json_int_t)s->last_index, "revision", (json_int_t)s->header->revision,
        "digest", ctl_json_hex(s->digest), "node_count", (json_int_t)s->node_count,
        "state_bytes", (json_int_t)s->state_bytes, "log_bytes", (json_int_t)s->log_bytes,
        "snapshot_index", (json_int_t)s->snapshot_index, "snapshot_bytes",
        (json_int_t)s->snapshot_bytes, "feature_level", (json_int_t)s->feature_level,
        "disk_is_short", s->disk_is_short, "version", s->version, "cluster_id",
        ctl_json_hex(s->header->cluster_id), "members", members, "backup", backup_json(s->backup));
}

static void print_backup(const Coord__V1__BackupStatus *b)
{
    char time[40] = "never";
    if (b == NULL) {
        return;
    }
    if (b->last_success_ms > 0) {
        ctl_format_time(b->last_success_ms, time, sizeof time);
    }
    printf("last backup %s, revision %" PRIu64 "%s%s\n", time, b->revision,
           b->problem[0] != '\0' ? ", BACKUP FAILED: " : "", b->problem);
}

/* How many log entries a member is behind what the leader has, as far as that is known. */
static void print_lag(const Coord__V1__StatusReply *s, const Coord__V1__Member *m)
{
    bool is_self = strcmp(m->name, s->name) == 0;
    uint64_t index = is_self ? s->last_index : m->match_index;
    if (index == 0) {
        printf("%-8s ", "-");
    } else {
        printf("%-8" PRIu64 " ", s->last_index > index ? s->last_index - index : 0);
    }
}

static void print_wide(const Coord__V1__StatusReply *s)
{
    printf("%-16s %-16s %-8s %-10s %-4s %-8s %-24s %s\n", "NAME", "ID", "STATE", "ROLE", "UP",
           "LAG", "CLIENTS", "PEERS");
    for (size_t i = 0; i < s->n_members; i++) {
        const Coord__V1__Member *m = s->members[i];
        printf("%-16s %016" PRIx64 " %-8s %-10s %-4s ", m->name, m->id, m->state, m->role,
               m->is_up || strcmp(m->name, s->name) == 0 ? "yes" : "no");
        print_lag(s, m);
        printf("%-24s %s\n", m->client_address[0] != '\0' ? m->client_address : "-",
               m->peer_address[0] != '\0' ? m->peer_address : "-");
    }
}

static void print_table(const struct ctl *ctl, const Coord__V1__StatusReply *s,
                        const char *endpoint)
{
    char state[16];
    char log[16];
    char snapshot[16];
    printf("%s: %s is %s%s%s, term %" PRIu64 ", revision %" PRIu64 ", applied %" PRIu64
           ", digest %016" PRIx64 "\n",
           endpoint, s->name, s->role, s->reason[0] != '\0' ? ", " : "", s->reason, s->term,
           s->header->revision, s->applied_index, (uint64_t)s->digest);
    printf("%" PRIu64 " nodes in %s, log %s, snapshot ", s->node_count,
           value_format_size(s->state_bytes, state), value_format_size(s->log_bytes, log));
    if (s->snapshot_index > 0) {
        printf("at %" PRIu64 " of %s", s->snapshot_index,
               value_format_size(s->snapshot_bytes, snapshot));
    } else {
        printf("none yet");
    }
    printf("%s, version %s\n", s->disk_is_short ? ", DISK FULL" : "", s->version);
    print_backup(s->backup);
    printf("\n");
    if (ctl->output == OUTPUT_WIDE) {
        print_wide(s);
        return;
    }
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
    ProtobufCMessage *m;
    int exit_code = ctl_call(ctl, CLIENT_STATUS, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__StatusReply *reply = (const Coord__V1__StatusReply *)m;
    members_sort(reply->members, reply->n_members);
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, status_json(reply, client_endpoint(ctl->client)));
    } else {
        print_table(ctl, reply, client_endpoint(ctl->client));
    }
    client_reply_free(m);
    return EXIT_DONE;
}
