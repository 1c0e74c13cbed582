/* The calls for nodes: arguments into messages, replies into what the caller keeps. */
#include <stdlib.h>
#include <string.h>

#include "client/async.h"
#include "client/client_internal.h"
#include "client/convert.h"

static Coord__V1__CreateRequest create_request(const char *path, const void *data, size_t bytes,
                                               const struct coord_create_options *options)
{
    static const struct coord_create_options defaults = {.kind = COORD_PERSISTENT};
    const struct coord_create_options *o = options != NULL ? options : &defaults;
    Coord__V1__CreateRequest request = COORD__V1__CREATE_REQUEST__INIT;
    request.path = convert_text(path);
    request.data = convert_bytes(data, bytes);
    request.kind = (Coord__V1__Kind)o->kind;
    request.sequential = (o->flags & COORD_SEQUENTIAL) != 0;
    request.make_parents = (o->flags & COORD_MAKE_PARENTS) != 0;
    request.lease = o->lease;
    request.ttl_ms = o->ttl_ms;
    return request;
}

enum coord_code coord_create_with(struct coord_client *client, const char *path,
                                  const void *data, size_t bytes,
                                  const struct coord_create_options *options, char **real_path,
                                  struct coord_stat *stat, struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__CreateRequest request = create_request(path, data, bytes, options);
    ProtobufCMessage *m;
    enum coord_code code =
        client_call(client, CLIENT_CREATE, &request.base, &header, &m, error);
    if (code != COORD_OK) {
        return code;
    }
    const Coord__V1__CreateReply *reply = (const Coord__V1__CreateReply *)m;
    char *copy = real_path != NULL ? strdup(reply->path) : NULL;
    if (real_path != NULL && copy == NULL) {
        code = client_fail(error, COORD_NO_MEMORY, "out of memory; %s was created", path);
    } else {
        if (real_path != NULL) {
            *real_path = copy;
        }
        convert_stat(reply->stat, stat);
    }
    client_reply_free(m);
    return code;
}

enum coord_code coord_create(struct coord_client *client, const char *path, const void *data,
                             size_t bytes, int flags, char **real_path, struct coord_stat *stat,
                             struct coord_error *error)
{
    const struct coord_create_options options = {.flags = flags};
    return coord_create_with(client, path, data, bytes, &options, real_path, stat, error);
}

enum coord_code coord_get_at(struct coord_client *client, const char *path, uint64_t revision,
                             void **data, size_t *bytes, struct coord_stat *stat,
                             struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__GetRequest request = COORD__V1__GET_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.path = convert_text(path);
    request.revision = revision;
    enum coord_code code = client_call(client, CLIENT_GET, &request.base, &header, &m, error);
    if (code != COORD_OK) {
        return code;
    }
    const Coord__V1__GetReply *reply = (const Coord__V1__GetReply *)m;
    char *copy = convert_copy(reply->data.data, reply->data.len);
    if (copy == NULL) {
        code = client_fail(error, COORD_NO_MEMORY, "out of memory for the value");
    } else {
        *data = copy;
        if (bytes != NULL) {
            *bytes = reply->data.len;
        }
        convert_stat(reply->stat, stat);
    }
    client_reply_free(m);
    return code;
}

enum coord_code coord_get(struct coord_client *client, const char *path, void **data,
                          size_t *bytes, struct coord_stat *stat, struct coord_error *error)
{
    return coord_get_at(client, path, 0, data, bytes, stat, error);
}

enum coord_code coord_exists(struct coord_client *client, const char *path, bool *exists,
                             struct coord_stat *stat, struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ExistsRequest request = COORD__V1__EXISTS_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.path = convert_text(path);
    enum coord_code code =
        client_call(client, CLIENT_EXISTS, &request.base, &header, &m, error);
    if (code == COORD_OK) {
        const Coord__V1__ExistsReply *reply = (const Coord__V1__ExistsReply *)m;
        *exists = reply->exists;
        convert_stat(reply->stat, stat);
    }
    client_reply_free(m);
    return code;
}

enum coord_code coord_set(struct coord_client *client, const char *path, const void *data,
                          size_t bytes, int64_t version, struct coord_stat *stat,
                          struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SetRequest request = COORD__V1__SET_REQUEST__INIT;
    Coord__V1__Expect expect;
    ProtobufCMessage *m;
    enum coord_code code = convert_version(version, &expect, &request.expect, error);
    if (code != COORD_OK) {
        return code;
    }
    request.header = &header;
    request.path = convert_text(path);
    request.data = convert_bytes(data, bytes);
    code = client_call(client, CLIENT_SET, &request.base, &header, &m, error);
    if (code == COORD_OK) {
        convert_stat(((const Coord__V1__SetReply *)m)->stat, stat);
    }
    client_reply_free(m);
    return code;
}

enum coord_code coord_delete(struct coord_client *client, const char *path, int64_t version,
                             bool recursive, uint64_t *count, struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__DeleteRequest request = COORD__V1__DELETE_REQUEST__INIT;
    Coord__V1__Expect expect;
    ProtobufCMessage *m;
    enum coord_code code = convert_version(version, &expect, &request.expect, error);
    if (code != COORD_OK) {
        return code;
    }
    request.header = &header;
    request.path = convert_text(path);
    request.recursive = recursive;
    code = client_call(client, CLIENT_DELETE, &request.base, &header, &m, error);
    if (code == COORD_OK && count != NULL) {
        *count = ((const Coord__V1__DeleteReply *)m)->count;
    }
    client_reply_free(m);
    return code;
}

enum coord_code coord_sync(struct coord_client *client, struct coord_error *error)
{
    Coord__V1__SyncRequest request = COORD__V1__SYNC_REQUEST__INIT;
    return client_do(client, CLIENT_SYNC, &request.base, error);
}

/* ---- without waiting --------------------------------------------------------------------- */

static void take_created(struct async *a, const ProtobufCMessage *m,
                         struct coord_result *result)
{
    const Coord__V1__CreateReply *reply = (const Coord__V1__CreateReply *)m;
    (void)a;
    result->path = reply->path;
    convert_stat(reply->stat, &result->stat);
}

enum coord_code coord_create_async(struct coord_client *client, const char *path,
                                   const void *data, size_t bytes,
                                   const struct coord_create_options *options,
                                   coord_done_fn done, void *context, struct coord_call **call,
                                   struct coord_error *error)
{
    Coord__V1__CreateRequest request = create_request(path, data, bytes, options);
    const struct async_options o = {
        .method = CLIENT_CREATE, .take = take_created, .done = done, .context = context};
    return async_start(client, &o, &request.base, call, error);
}

/* Whoever takes a value for text finds its end: behind it, in a buffer of its own. */
static void take_got(struct async *a, const ProtobufCMessage *m, struct coord_result *result)
{
    const Coord__V1__GetReply *reply = (const Coord__V1__GetReply *)m;
    a->memory = convert_copy(reply->data.data, reply->data.len);
    if (a->memory == NULL) {
        result->code = client_fail(&a->error, COORD_NO_MEMORY, "out of memory for the value");
        return;
    }
    result->data = a->memory;
    result->bytes = reply->data.len;
    convert_stat(reply->stat, &result->stat);
}

enum coord_code coord_get_async(struct coord_client *client, const char *path,
                                coord_done_fn done, void *context, struct coord_call **call,
                                struct coord_error *error)
{
    Coord__V1__GetRequest request = COORD__V1__GET_REQUEST__INIT;
    request.path = convert_text(path);
    const struct async_options o = {
        .method = CLIENT_GET, .take = take_got, .done = done, .context = context};
    return async_start(client, &o, &request.base, call, error);
}

static void take_exists(struct async *a, const ProtobufCMessage *m, struct coord_result *result)
{
    const Coord__V1__ExistsReply *reply = (const Coord__V1__ExistsReply *)m;
    (void)a;
    result->exists = reply->exists;
    convert_stat(reply->stat, &result->stat);
}

enum coord_code coord_exists_async(struct coord_client *client, const char *path,
                                   coord_done_fn done, void *context, struct coord_call **call,
                                   struct coord_error *error)
{
    Coord__V1__ExistsRequest request = COORD__V1__EXISTS_REQUEST__INIT;
    request.path = convert_text(path);
    const struct async_options o = {
        .method = CLIENT_EXISTS, .take = take_exists, .done = done, .context = context};
    return async_start(client, &o, &request.base, call, error);
}

static void take_set(struct async *a, const ProtobufCMessage *m, struct coord_result *result)
{
    (void)a;
    convert_stat(((const Coord__V1__SetReply *)m)->stat, &result->stat);
}

enum coord_code coord_set_async(struct coord_client *client, const char *path, const void *data,
                                size_t bytes, int64_t version, coord_done_fn done,
                                void *context, struct coord_call **call,
                                struct coord_error *error)
{
    Coord__V1__SetRequest request = COORD__V1__SET_REQUEST__INIT;
    Coord__V1__Expect expect;
    enum coord_code code = convert_version(version, &expect, &request.expect, error);
    if (code != COORD_OK) {
        return code;
    }
    request.path = convert_text(path);
    request.data = convert_bytes(data, bytes);
    const struct async_options o = {
        .method = CLIENT_SET, .take = take_set, .done = done, .context = context};
    return async_start(client, &o, &request.base, call, error);
}

static void take_deleted(struct async *a, const ProtobufCMessage *m,
                         struct coord_result *result)
{
    (void)a;
    result->count = ((const Coord__V1__DeleteReply *)m)->count;
}

enum coord_code coord_delete_async(struct coord_client *client, const char *path,
                                   int64_t version, bool recursive, coord_done_fn done,
                                   void *context, struct coord_call **call,
                                   struct coord_error *error)
{
    Coord__V1__DeleteRequest request = COORD__V1__DELETE_REQUEST__INIT;
    Coord__V1__Expect expect;
    enum coord_code code = convert_version(version, &expect, &request.expect, error);
    if (code != COORD_OK) {
        return code;
    }
    request.path = convert_text(path);
    request.recursive = recursive;
    const struct async_options o = {
        .method = CLIENT_DELETE, .take = take_deleted, .done = done, .context = context};
    return async_start(client, &o, &request.base, call, error);
}

enum coord_code coord_sync_async(struct coord_client *client, coord_done_fn done, void *context,
                                 struct coord_call **call, struct coord_error *error)
{
    Coord__V1__SyncRequest request = COORD__V1__SYNC_REQUEST__INIT;
    const struct async_options o = {
        .method = CLIENT_SYNC, .take = NULL, .done = done, .context = context};
    return async_start(client, &o, &request.base, call, error);
}
