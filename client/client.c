#include "client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/call.h"
#include "client/client_internal.h"
#include "coord/v1/tree.pb-c.h"

#define TIMEOUT_MS 5000

enum coord_code coord_open(const struct coord_options *options, struct coord_client **out,
                           struct coord_error *error)
{
    struct coord_error scratch;
    error = error != NULL ? error : &scratch;
    memset(error, 0, sizeof *error);
    error->grpc_status = -1;
    struct coord_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return error->code = COORD_NO_MEMORY;
    }
    const char *endpoints =
        options->endpoints != NULL ? options->endpoints : "127.0.0.1:" ENDPOINT_PORT;
    client->endpoint_count = endpoints_parse(endpoints, client->endpoints, error->message,
                                             sizeof error->message);
    client->timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : TIMEOUT_MS;
    client->consistency = options->consistency;
    client->bound_ms = options->bound_ms;
    client->note = strdup(options->note != NULL ? options->note : "");
    if (client->endpoint_count == 0 || client->note == NULL) {
        error->code = client->note == NULL ? COORD_NO_MEMORY : COORD_INVALID;
        coord_close(client);
        return error->code;
    }
    *out = client;
    return COORD_OK;
}

void coord_close(struct coord_client *client)
{
    if (client != NULL) {
        connection_close(client->connection);
        free(client->note);
        free(client);
    }
}

uint64_t coord_revision(const struct coord_client *client)
{
    return client->revision;
}

static void copy_stat(const Coord__V1__Stat *from, struct coord_stat *to)
{
    if (to == NULL) {
        return;
    }
    memset(to, 0, sizeof *to);
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

/* protobuf-c has no const: what is only read on the way out is passed as if it were not. */
static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

static ProtobufCBinaryData bytes_of(const void *data, size_t bytes)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data, .len = bytes};
}

enum coord_code coord_create(struct coord_client *client, const char *path, const void *data,
                             size_t bytes, int flags, char **real_path, struct coord_stat *stat,
                             struct coord_error *error)
{
    static const struct client_method method = {.path = "/coord.v1.Tree/Create",
                                                .reply = &coord__v1__create_reply__descriptor,
                                                .is_write = true};
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__CreateRequest request = COORD__V1__CREATE_REQUEST__INIT;
    request.header = &header;
    request.path = text(path);
    request.data = bytes_of(data, bytes);
    request.sequential = (flags & COORD_SEQUENTIAL) != 0;
    request.make_parents = (flags & COORD_MAKE_PARENTS) != 0;
    ProtobufCMessage *m;
    enum coord_code code = client_call(client, &method, &request.base, &header, &m, error);
    if (code == COORD_OK) {
        const Coord__V1__CreateReply *reply = (const Coord__V1__CreateReply *)m;
        copy_stat(reply->stat, stat);
        if (real_path != NULL) {
            *real_path = strdup(reply->path);
            code = *real_path == NULL ? COORD_NO_MEMORY : COORD_OK;
        }
    }
    client_reply_free(m);
    return code;
}

enum coord_code coord_get(struct coord_client *client, const char *path, void **data,
                          size_t *bytes, struct coord_stat *stat, struct coord_error *error)
{
    static const struct client_method method = {.path = "/coord.v1.Tree/Get",
                                                .reply = &coord__v1__get_reply__descriptor};
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__GetRequest request = COORD__V1__GET_REQUEST__INIT;
    request.header = &header;
    request.path = text(path);
    ProtobufCMessage *m;
    enum coord_code code = client_call(client, &method, &request.base, &header, &m, error);
    if (code == COORD_OK) {
        const Coord__V1__GetReply *reply = (const Coord__V1__GetReply *)m;
        char *copy = malloc(reply->data.len + 1);
        if (copy == NULL) {
            code = COORD_NO_MEMORY;
        } else {
            if (reply->data.len > 0) {
                memcpy(copy, reply->data.data, reply->data.len);
            }
            copy[reply->data.len] = '\0';
            *data = copy;
            *bytes = reply->data.len;
            copy_stat(reply->stat, stat);
        }
    }
    client_reply_free(m);
    return code;
}

enum coord_code coord_exists(struct coord_client *client, const char *path, bool *exists,
                             struct coord_stat *stat, struct coord_error *error)
{
    static const struct client_method method = {.path = "/coord.v1.Tree/Exists",
                                                .reply = &coord__v1__exists_reply__descriptor};
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ExistsRequest request = COORD__V1__EXISTS_REQUEST__INIT;
    request.header = &header;
    request.path = text(path);
    ProtobufCMessage *m;
    enum coord_code code = client_call(client, &method, &request.base, &header, &m, error);
    if (code == COORD_OK) {
        const Coord__V1__ExistsReply *reply = (const Coord__V1__ExistsReply *)m;
        *exists = reply->exists;
        copy_stat(reply->stat, stat);
    }
    client_reply_free(m);
    return code;
}

enum coord_code coord_set(struct coord_client *client, const char *path, const void *data,
                          size_t bytes, int64_t version, struct coord_stat *stat,
                          struct coord_error *error)
{
    static const struct client_method method = {
        .path = "/coord.v1.Tree/Set", .reply = &coord__v1__set_reply__descriptor, .is_write = true};
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__Expect expect = COORD__V1__EXPECT__INIT;
    Coord__V1__SetRequest request = COORD__V1__SET_REQUEST__INIT;
    request.header = &header;
    request.path = text(path);
    request.data = bytes_of(data, bytes);
    expect.version = (uint32_t)version;
    request.expect = version == COORD_ANY_VERSION ? NULL : &expect;
    ProtobufCMessage *m;
    enum coord_code code = client_call(client, &method, &request.base, &header, &m, error);
    if (code == COORD_OK) {
        copy_stat(((const Coord__V1__SetReply *)m)->stat, stat);
    }
    client_reply_free(m);
    return code;
}

enum coord_code coord_delete(struct coord_client *client, const char *path, int64_t version,
                             bool recursive, uint64_t *count, struct coord_error *error)
{
    static const struct client_method method = {.path = "/coord.v1.Tree/Delete",
                                                .reply = &coord__v1__delete_reply__descriptor,
                                                .is_write = true};
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__Expect expect = COORD__V1__EXPECT__INIT;
    Coord__V1__DeleteRequest request = COORD__V1__DELETE_REQUEST__INIT;
    request.header = &header;
    request.path = text(path);
    request.recursive = recursive;
    expect.version = (uint32_t)version;
    request.expect = version == COORD_ANY_VERSION ? NULL : &expect;
    ProtobufCMessage *m;
    enum coord_code code = client_call(client, &method, &request.base, &header, &m, error);
    if (code == COORD_OK && count != NULL) {
        *count = ((const Coord__V1__DeleteReply *)m)->count;
    }
    client_reply_free(m);
    return code;
}

/* Appends one page; the component behind the last '/' is the child's name. */
static bool append_names(struct coord_list *list, const Coord__V1__ListReply *page)
{
    char **names = realloc(list->names, (list->count + page->n_entries + 1) * sizeof *names);
    if (names == NULL) {
        return false;
    }
    list->names = names;
    for (size_t i = 0; i < page->n_entries; i++) {
        const char *slash = strrchr(page->entries[i]->path, '/');
        char *name = strdup(slash != NULL ? slash + 1 : page->entries[i]->path);
        if (name == NULL) {
            return false;
        }
        list->names[list->count++] = name;
    }
    return true;
}

enum coord_code coord_list(struct coord_client *client, const char *path, struct coord_list *list,
                           struct coord_error *error)
{
    static const struct client_method method = {.path = "/coord.v1.Tree/List",
                                                .reply = &coord__v1__list_reply__descriptor};
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ListRequest request = COORD__V1__LIST_REQUEST__INIT;
    request.header = &header;
    request.path = text(path);
    ProtobufCMessage *page = NULL;
    enum coord_code code;
    memset(list, 0, sizeof *list);
    do {
        ProtobufCMessage *next;
        code = client_call(client, &method, &request.base, &header, &next, error);
        client_reply_free(page); /* request.after pointed into it */
        page = next;
        if (code == COORD_OK && !append_names(list, (const Coord__V1__ListReply *)page)) {
            code = COORD_NO_MEMORY;
        }
        if (code == COORD_OK) {
            request.after = ((Coord__V1__ListReply *)page)->next;
        }
    } while (code == COORD_OK && request.after[0] != '\0');
    client_reply_free(page);
    if (code != COORD_OK) {
        coord_list_clear(list);
    }
    return code;
}

void coord_list_clear(struct coord_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->names[i]);
    }
    free(list->names);
    memset(list, 0, sizeof *list);
}

enum coord_code coord_sync(struct coord_client *client, struct coord_error *error)
{
    static const struct client_method method = {.path = "/coord.v1.Tree/Sync",
                                                .reply = &coord__v1__sync_reply__descriptor};
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SyncRequest request = COORD__V1__SYNC_REQUEST__INIT;
    request.header = &header;
    ProtobufCMessage *m;
    enum coord_code code = client_call(client, &method, &request.base, &header, &m, error);
    client_reply_free(m);
    return code;
}
