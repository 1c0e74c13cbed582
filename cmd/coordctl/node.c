/* Commands about single nodes: create, get, set, rm, stat, sync. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/coordctl/ctl.h"
#include "coord/v1/tree.pb-c.h"

static const struct client_method create_method = {.path = "/coord.v1.Tree/Create",
                                                   .reply = &coord__v1__create_reply__descriptor,
                                                   .is_write = true};
static const struct client_method get_method = {.path = "/coord.v1.Tree/Get",
                                                .reply = &coord__v1__get_reply__descriptor};
static const struct client_method set_method = {
    .path = "/coord.v1.Tree/Set", .reply = &coord__v1__set_reply__descriptor, .is_write = true};
static const struct client_method delete_method = {.path = "/coord.v1.Tree/Delete",
                                                   .reply = &coord__v1__delete_reply__descriptor,
                                                   .is_write = true};
static const struct client_method sync_method = {.path = "/coord.v1.Tree/Sync",
                                                 .reply = &coord__v1__sync_reply__descriptor};

int ctl_create(struct ctl *ctl)
{
    struct buf data = {0};
    if (ctl->word_count > 1 && !ctl_read_data(ctl, ctl->words[1], &data)) {
        return EXIT_GENERAL;
    }
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__CreateRequest request = COORD__V1__CREATE_REQUEST__INIT;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.data = (ProtobufCBinaryData){.data = data.data, .len = data.size};
    request.sequential = ctl->sequential;
    request.make_parents = ctl->parents;
    struct coord_error error;
    ProtobufCMessage *m;
    enum coord_code code =
        client_call(ctl->client, &create_method, &request.base, &header, &m, &error);
    buf_close(&data);
    if (code != COORD_OK) {
        return ctl_failed(ctl, "create", &error);
    }
    const Coord__V1__CreateReply *reply = (const Coord__V1__CreateReply *)m;
    if (ctl->output == OUTPUT_JSON) {
        ctl_print_json(json_pack("{s:s, s:I, s:o}", "path", reply->path, "revision",
                                 (json_int_t)reply->header->revision, "stat",
                                 ctl_json_stat(reply->stat)));
    } else {
        puts(reply->path);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

static enum coord_code get(struct ctl *ctl, ProtobufCMessage **m, struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__GetRequest request = COORD__V1__GET_REQUEST__INIT;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    return client_call(ctl->client, &get_method, &request.base, &header, m, error);
}

int ctl_get(struct ctl *ctl)
{
    struct coord_error error;
    ProtobufCMessage *m;
    if (get(ctl, &m, &error) != COORD_OK) {
        return ctl_failed(ctl, "get", &error);
    }
    const Coord__V1__GetReply *reply = (const Coord__V1__GetReply *)m;
    if (ctl->output == OUTPUT_JSON) {
        ctl_print_json(json_pack("{s:s, s:o, s:I, s:o}", "path", ctl->words[0], "data",
                                 ctl_json_bytes(reply->data.data, reply->data.len), "revision",
                                 (json_int_t)reply->header->revision, "stat",
                                 ctl_json_stat(reply->stat)));
    } else {
        if (reply->data.len > 0) {
            fwrite(reply->data.data, 1, reply->data.len, stdout);
        }
        if (ctl->output == OUTPUT_TABLE && isatty(STDOUT_FILENO)) {
            putchar('\n'); /* for people only: what a program reads is the value's bytes */
        }
    }
    client_reply_free(m);
    return EXIT_DONE;
}

int ctl_set(struct ctl *ctl)
{
    struct buf data = {0};
    if (!ctl_read_data(ctl, ctl->words[1], &data)) {
        return EXIT_GENERAL;
    }
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__Expect expect = COORD__V1__EXPECT__INIT;
    Coord__V1__SetRequest request = COORD__V1__SET_REQUEST__INIT;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.data = (ProtobufCBinaryData){.data = data.data, .len = data.size};
    expect.version = (uint32_t)ctl->version;
    request.expect = ctl->version == COORD_ANY_VERSION ? NULL : &expect;
    struct coord_error error;
    ProtobufCMessage *m;
    enum coord_code code = client_call(ctl->client, &set_method, &request.base, &header, &m, &error);
    buf_close(&data);
    if (code != COORD_OK) {
        return ctl_failed(ctl, "set", &error);
    }
    const Coord__V1__SetReply *reply = (const Coord__V1__SetReply *)m;
    if (ctl->output == OUTPUT_JSON) {
        ctl_print_json(json_pack("{s:s, s:I, s:o}", "path", ctl->words[0], "revision",
                                 (json_int_t)reply->header->revision, "stat",
                                 ctl_json_stat(reply->stat)));
    }
    client_reply_free(m);
    return EXIT_DONE;
}

int ctl_rm(struct ctl *ctl)
{
    if (ctl->dry_run && !ctl->recursive) {
        return ctl_usage(ctl, "--dry-run counts what --recursive would delete; give both");
    }
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__Expect expect = COORD__V1__EXPECT__INIT;
    Coord__V1__DeleteRequest request = COORD__V1__DELETE_REQUEST__INIT;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.recursive = ctl->recursive;
    request.dry_run = ctl->dry_run;
    expect.version = (uint32_t)ctl->version;
    request.expect = ctl->version == COORD_ANY_VERSION ? NULL : &expect;
    struct coord_error error;
    ProtobufCMessage *m;
    if (client_call(ctl->client, &delete_method, &request.base, &header, &m, &error) != COORD_OK) {
        return ctl_failed(ctl, "rm", &error);
    }
    const Coord__V1__DeleteReply *reply = (const Coord__V1__DeleteReply *)m;
    if (ctl->output == OUTPUT_JSON) {
        ctl_print_json(json_pack("{s:s, s:I, s:I}", "path", ctl->words[0], "count",
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
           "children_version   %" PRIu64 "\n"
           "children_revision  %" PRIu64 "\n"
           "sequence_next      %" PRIu64 "\n"
           "acl_version        %" PRIu32 "\n",
           ctl_kind_name((int)s->kind), s->version, s->data_bytes, s->child_count, created,
           s->create_revision, modified, s->modify_revision, s->children_version,
           s->children_revision, s->sequence_next, s->acl_version);
    if (s->lease != 0) {
        printf("lease              %016" PRIx64 "\n", s->lease);
    }
    if (s->ttl_ms != 0) {
        printf("ttl_ms             %" PRIu64 "\n", s->ttl_ms);
    }
}

int ctl_stat(struct ctl *ctl)
{
    struct coord_error error;
    ProtobufCMessage *m;
    if (get(ctl, &m, &error) != COORD_OK) {
        return ctl_failed(ctl, "stat", &error);
    }
    const Coord__V1__GetReply *reply = (const Coord__V1__GetReply *)m;
    if (ctl->output == OUTPUT_JSON) {
        ctl_print_json(ctl_json_stat(reply->stat));
    } else {
        print_stat(reply->stat);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

int ctl_sync(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SyncRequest request = COORD__V1__SYNC_REQUEST__INIT;
    request.header = &header;
    struct coord_error error;
    ProtobufCMessage *m;
    if (client_call(ctl->client, &sync_method, &request.base, &header, &m, &error) != COORD_OK) {
        return ctl_failed(ctl, "sync", &error);
    }
    const Coord__V1__SyncReply *reply = (const Coord__V1__SyncReply *)m;
    if (ctl->output == OUTPUT_JSON) {
        ctl_print_json(json_pack("{s:s, s:I, s:I}", "node", reply->header->node, "revision",
                                 (json_int_t)reply->header->revision, "applied_index",
                                 (json_int_t)reply->header->applied_index));
    } else {
        printf("%s is at revision %" PRIu64 "\n", reply->header->node, reply->header->revision);
    }
    client_reply_free(m);
    return EXIT_DONE;
}
