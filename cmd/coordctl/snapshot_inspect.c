/* snapshot inspect: what a snapshot file holds, proved. Needs no cluster. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/coordctl/ctl.h"
#include "cmd/coordctl/snapshot_file.h"
#include "cmd/coordctl/values.h"

/* ---- showing ----------------------------------------------------------------------------- */

static json_t *member_json(const struct snapshot_member *m)
{
    return json_pack("{s:s, s:o, s:s, s:s}", "name", m->name, "id", ctl_json_hex(m->id), "role",
                     m->role, "peer_address", m->address);
}

static json_t *facts_json(const char *path, const struct snapshot_facts *f)
{
    char time[40] = "";
    json_t *members = json_array();
    for (size_t i = 0; i < f->member_count; i++) {
        json_array_append_new(members, member_json(&f->members[i]));
    }
    if (f->wall_ms > 0) {
        ctl_format_time(f->wall_ms, time, sizeof time);
    }
    return json_pack(
        "{s:s, s:I, s:I, s:s, s:o, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:b, s:o}",
        "file", path, "bytes", (json_int_t)f->bytes, "format", (json_int_t)f->format, "version",
        f->version, "cluster_id", ctl_json_hex(f->cluster_id), "revision",
        (json_int_t)f->revision, "index", (json_int_t)f->index, "term", (json_int_t)f->term,
        "time", time, "history_floor", (json_int_t)f->history_floor, "nodes",
        (json_int_t)f->nodes, "sessions", (json_int_t)f->sessions, "leases",
        (json_int_t)f->leases, "digest", ctl_json_hex(f->digest), "content_digest",
        ctl_json_hex(f->content_digest), "verified", 1, "members", members);
}

static void print_facts(const char *path, const struct snapshot_facts *f)
{
    char size[16];
    char time[40] = "-";
    if (f->wall_ms > 0) {
        ctl_format_time(f->wall_ms, time, sizeof time);
    }
    printf("file       %s, %s, format %" PRIu64 ", written by coord %s\n", path,
           value_format_size(f->bytes, size), f->format, f->version);
    printf("cluster    %016" PRIx64 "\n", f->cluster_id);
    printf("revision   %" PRIu64 ", index %" PRIu64 ", term %" PRIu64 "\n", f->revision,
           f->index, f->term);
    printf("time       %s, of the last change\n", time);
    printf("history    from revision %" PRIu64 "\n", f->history_floor);
    printf("content    %" PRIu64 " nodes, %" PRIu64 " sessions, %" PRIu64 " leases\n", f->nodes,
           f->sessions, f->leases);
    printf("digest     %016" PRIx64 ", verified; of the content alone %016" PRIx64 "\n", f->digest,
           f->content_digest);
    for (size_t i = 0; i < f->member_count; i++) {
        printf("member     %s at %s, %s\n", f->members[i].name, f->members[i].address,
               f->members[i].role);
    }
}

/* ---- the command ------------------------------------------------------------------------- */

int ctl_snapshot_inspect(struct ctl *ctl)
{
    const char *path = ctl->words[0];
    struct snapshot_facts f;
    struct errmsg err = {.rc = RC_OK};
    enum status rc = snapshot_facts_read(path, &f, &err);
    if (rc != RC_OK) {
        (void)ctl_general(ctl, "%s", err.text);
        return rc == RC_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_GENERAL;
    }
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, facts_json(path, &f));
    } else {
        print_facts(path, &f);
    }
    return EXIT_DONE;
}
