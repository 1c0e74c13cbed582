/* Commands about single nodes: create, get, set, rm, stat, sync. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/coordctl/guards.h"
#include "cmd/coordctl/session.h"
#include "cmd/coordctl/values.h"
#include "coord/v1/tree.pb-c.h"

/* The version of the command line, or NULL for any. */
static Coord__V1__Expect *expect_version(const struct ctl *ctl, Coord__V1__Expect *expect)
{
    if (ctl->version == COORD_ANY_VERSION) {
        return NULL;
    }
    coord__v1__expect__init(expect);
    expect->version = (uint32_t)ctl->version;
    return expect;
}

/* What `create` and `set` print as JSON. */
static void print_written(const struct ctl *ctl, const char *path,
                          const Coord__V1__ReplyHeader *header, const Coord__V1__Stat *stat)
{
    ctl_print_json(ctl, json_pack("{s:s, s:I, s:o}", "path", path, "revision",
                                  (json_int_t)header->revision, "stat", ctl_json_stat(stat)));
}

/* ---- create ----------------------------------------------------------------------------- */

/* One kind at most, and to each kind what belongs to it. */
static int check_kind(const struct ctl *ctl)
{
    if (ctl->ephemeral + ctl->container + (ctl->ttl_ms != 0) > 1) {
        return ctl_usage("create: --ephemeral, --container and --ttl exclude each other");
    }
    if (!ctl->ephemeral && (ctl->lease != 0 || ctl->session_ttl_ms != 0)) {
        return ctl_usage("create: --%s goes with --ephemeral",
                         ctl->lease != 0 ? "lease" : "session-ttl");
    }
    if (ctl->session_ttl_ms != 0 && (ctl->lease != 0 || ctl->has_session)) {
        return ctl_usage(
            "create: --session-ttl is of a session that is opened; it goes without "
            "--session and --lease");
    }
    return EXIT_DONE;
}

static Coord__V1__Kind kind_of(const struct ctl *ctl)
{
    return ctl->ephemeral     ? COORD__V1__KIND__EPHEMERAL
           : ctl->container   ? COORD__V1__KIND__CONTAINER
           : ctl->ttl_ms != 0 ? COORD__V1__KIND__TTL
                              : COORD__V1__KIND__PERSISTENT;
}

static int create_node(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__CreateRequest request = COORD__V1__CREATE_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    struct guards guards;
    int exit_code = guards_take(ctl, &guards);
    if (exit_code == EXIT_DONE) {
        request.header = &header;
        request.path = ctl_text(ctl->words[0]);
        request.data = (ProtobufCBinaryData){.data = ctl->data->data, .len = ctl->data->size};
        request.kind = kind_of(ctl);
        request.sequential = ctl->sequential;
        request.make_parents = ctl->parents;
        request.lease = ctl->lease;
        request.ttl_ms = ctl->ttl_ms;
        request.n_guards = guards.count;
        request.guards = guards.list;
        exit_code = ctl_call(ctl, CLIENT_CREATE, &request.base, &header, &m);
    }
    guards_clear(&guards);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__CreateReply *reply = (const Coord__V1__CreateReply *)m;
    if (ctl_is_json(ctl)) {
        print_written(ctl, reply->path, reply->header, reply->stat);
    } else {
        puts(reply->path);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

static int create(struct ctl *ctl)
{
    if (ctl->ephemeral && ctl->lease == 0 && !ctl->has_session) {
        return session_foreground(ctl, create_node);
    }
    int exit_code = session_attach(ctl);
    return exit_code == EXIT_DONE ? create_node(ctl) : exit_code;
}

/* DATA may be long in coming: it is read before there is a session that ends meanwhile, and while
 * signals end us. */
int ctl_create(struct ctl *ctl)
{
    struct buf data = {0};
    int exit_code = check_kind(ctl);
    if (exit_code == EXIT_DONE && ctl->word_count > 1) {
        exit_code = ctl_read_data(ctl, ctl->words[1], &data);
    }
    if (exit_code == EXIT_DONE) {
        ctl->data = &data;
        exit_code = create(ctl);
        ctl->data = NULL;
    }
    buf_close(&data);
    return exit_code;
}

/* ---- get, set, rm, stat, sync ----------------------------------------------------------- */

int ctl_get(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__GetRequest request = COORD__V1__GET_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.revision = ctl->revision;
    int exit_code = ctl_call(ctl, CLIENT_GET, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__GetReply *reply = (const Coord__V1__GetReply *)m;
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, json_pack("{s:s, s:o, s:I, s:o}", "path", ctl->words[0], "data",
                                      ctl_json_bytes(reply->data.data, reply->data.len),
                                      "revision", (json_int_t)reply->header->revision, "stat",
                                      ctl_json_stat(reply->stat)));
    } else {
        if (reply->data.len > 0) {
            fwrite(reply->data.data, 1, reply->data.len, stdout);
        }
        if (ctl_is_table(ctl) && isatty(STDOUT_FILENO)) {
            putchar('\n'); /* for people only: what a program reads is the value's bytes */
        }
    }
    client_reply_free(m);
    return EXIT_DONE;
}

int ctl_set(struct ctl *ctl)
{
    struct buf data = {0};
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SetRequest request = COORD__V1__SET_REQUEST__INIT;
    Coord__V1__Expect expect;
    ProtobufCMessage *m = NULL;
    struct guards guards;
    int exit_code = guards_take(ctl, &guards);
    if (exit_code == EXIT_DONE) {
        exit_code = session_attach(ctl);
    }
    if (exit_code == EXIT_DONE) {
        exit_code = ctl_read_data(ctl, ctl->words[1], &data);
    }
    if (exit_code == EXIT_DONE) {
        request.header = &header;
        request.path = ctl_text(ctl->words[0]);
        request.data = (ProtobufCBinaryData){.data = data.data, .len = data.size};
        request.expect = expect_version(ctl, &expect);
        request.n_guards = guards.count;
        request.guards = guards.list;
        exit_code = ctl_call(ctl, CLIENT_SET, &request.base, &header, &m);
    }
    guards_clear(&guards);
    buf_close(&data);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__SetReply *reply = (const Coord__V1__SetReply *)m;
    if (ctl_is_json(ctl)) {
        print_written(ctl, ctl->words[0], reply->header, reply->stat);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

int ctl_rm(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__DeleteRequest request = COORD__V1__DELETE_REQUEST__INIT;
    Coord__V1__Expect expect;
    ProtobufCMessage *m;
    if (ctl->dry_run && !ctl->recursive) {
        return ctl_usage("rm: --dry-run counts what --recursive would delete; give both");
    }
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.recursive = ctl->recursive;
    request.dry_run = ctl->dry_run;
    request.expect = expect_version(ctl, &expect);
    struct guards guards;
    int exit_code = guards_take(ctl, &guards);
    if (exit_code == EXIT_DONE) {
        request.n_guards = guards.count;
        request.guards = guards.list;
        exit_code = session_attach(ctl);
    }
    if (exit_code == EXIT_DONE) {
        exit_code = ctl_call(ctl, CLIENT_DELETE, &request.base, &header, &m);
    }
    guards_clear(&guards);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__DeleteReply *reply = (const Coord__V1__DeleteReply *)m;
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, json_pack("{s:s, s:I, s:I}", "path", ctl->words[0], "count",
                                      (json_int_t)reply->count, "revision",
                                      (json_int_t)reply->header->revision));
    } else if (ctl->recursive) {
        printf("%" PRIu64 " node%s %s\n", reply->count, reply->count == 1 ? "" : "s",
               ctl->dry_run ? "would be deleted" : "deleted");
    }
    client_reply_free(m);
    return EXIT_DONE;
}

static void print_stat(const Coord__V1__Stat *s)
{
    char created[32];
    char modified[32];
    ctl_format_time(s->create_time_ms, created, sizeof created);
    ctl_format_time(s->modify_time_ms, modified, sizeof modified);
    printf("kind               %s\n"
           "version            %" PRIu32 "\n"
           "data_bytes         %" PRIu32 "\n"
           "child_count        %" PRIu32 "\n"
           "created            %s at revision %" PRIu64 "\n"
           "modified           %s at revision %" PRIu64 "\n"
           "children_version   %" PRId64 "\n"
           "children_revision  %" PRIu64 "\n"
           "sequence_next      %" PRIu64 "\n"
           "acl_version        %" PRIu32 "\n",
           ctl_kind_name((int)s->kind), s->version, s->data_bytes, s->child_count, created,
           s->create_revision, modified, s->modify_revision, (int64_t)s->children_version,
           s->children_revision, s->sequence_next, s->acl_version);
    if (s->lease != 0) {
        printf("lease              %016" PRIx64 "\n", s->lease);
    }
    if (s->ttl_ms != 0) {
        char ttl[24];
        value_format_duration(s->ttl_ms, ttl, sizeof ttl);
        printf("ttl                %s\n", ttl);
    }
}

/* Asks whether the node exists, as that answer carries the stat without the value. */
int ctl_stat(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ExistsRequest request = COORD__V1__EXISTS_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    int exit_code = ctl_call(ctl, CLIENT_EXISTS, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__ExistsReply *reply = (const Coord__V1__ExistsReply *)m;
    if (!reply->exists || reply->stat == NULL) {
        static const struct coord_error error = {
            .code = COORD_NOT_FOUND, .outcome = "NO_NODE", .message = "node does not exist"};
        exit_code = ctl_failed(ctl, &error);
    } else if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, ctl_json_stat(reply->stat));
    } else {
        print_stat(reply->stat);
    }
    client_reply_free(m);
    return exit_code;
}

int ctl_sync(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SyncRequest request = COORD__V1__SYNC_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    int exit_code = ctl_call(ctl, CLIENT_SYNC, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__SyncReply *reply = (const Coord__V1__SyncReply *)m;
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl,
                       json_pack("{s:s, s:I, s:I}", "node", reply->header->node, "revision",
                                 (json_int_t)reply->header->revision, "applied_index",
                                 (json_int_t)reply->header->applied_index));
    } else {
        printf("%s is at revision %" PRIu64 "\n", reply->header->node, reply->header->revision);
    }
    client_reply_free(m);
    return EXIT_DONE;
}
