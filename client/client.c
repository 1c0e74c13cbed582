/* The typed calls: arguments into messages, replies into what the caller keeps. */
#include "client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/auth.h"
#include "client/call.h"
#include "client/client_internal.h"
#include "client/convert.h"
#include "client/session.h"

#define TIMEOUT_MS 5000

/* ---- the client ------------------------------------------------------------------------- */

static enum coord_code apply_tls(struct coord_client *client, const struct coord_tls *tls,
                                 struct coord_error *error)
{
    static const struct coord_tls defaults = {.ca_file = NULL};
    const struct coord_tls *t = tls != NULL ? tls : &defaults;
    const struct tls_options options = {.certificate_file = t->certificate_file,
                                        .key_file = t->key_file,
                                        .ca_file = t->ca_file,
                                        .trusts_system = true,
                                        .verify = t->skip_verify ? TLS_VERIFY_NONE
                                                                 : TLS_VERIFY_REQUIRED,
                                        .protocols = "h2"};
    struct errmsg err = {0};
    enum status rc = tls_context_open(&options, &client->tls_context, &err);
    if (rc != RC_OK) {
        return client_fail(error, rc == RC_NO_MEMORY ? COORD_NO_MEMORY : COORD_INVALID, "%s",
                           err.text);
    }
    client->checks_name = !t->skip_verify;
    client->server_name = t->server_name != NULL ? strdup(t->server_name) : NULL;
    return t->server_name == NULL || client->server_name != NULL
               ? COORD_OK
               : client_fail(error, COORD_NO_MEMORY, "out of memory");
}

const struct wire_tls *client_tls(struct coord_client *client, struct wire_tls *room)
{
    if (client->tls_context == NULL) {
        return NULL;
    }
    /* Half written files do not count: what there was still serves. */
    bool is_fresh = !tls_context_is_outdated(client->tls_context) ||
                    tls_context_reload(client->tls_context, NULL) == RC_OK;
    (void)is_fresh;
    *room = (struct wire_tls){.context = client->tls_context,
                              .server_name = client->server_name,
                              .checks_name = client->checks_name};
    return room;
}

static enum coord_code apply_options(struct coord_client *client,
                                     const struct coord_options *options,
                                     struct coord_error *error)
{
    const char *endpoints =
        options->endpoints != NULL ? options->endpoints : "127.0.0.1:" ENDPOINT_PORT;
    char why[400];
    enum endpoint_scheme scheme = endpoints_scheme(&endpoints);
    client->endpoint_count = endpoints_parse(endpoints, client->endpoints, why, sizeof why);
    if (client->endpoint_count == 0) {
        return client_fail(error, COORD_INVALID, "%s", why);
    }
    if (scheme == ENDPOINT_PLAIN && options->tls != NULL) {
        return client_fail(error, COORD_INVALID, "coord:// is without TLS, coords:// with it");
    }
    if ((unsigned)options->consistency > COORD_LOCAL) {
        return client_fail(error, COORD_INVALID, "consistency %d is none",
                           (int)options->consistency);
    }
    client->timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : TIMEOUT_MS;
    client->consistency = options->consistency;
    client->bound_ms = options->bound_ms;
    client->note = strdup(options->note != NULL ? options->note : "");
    if (client->note == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory");
    }
    enum coord_code code = auth_take(client, options, error);
    if (code != COORD_OK) {
        return code;
    }
    return scheme == ENDPOINT_TLS || options->tls != NULL
               ? apply_tls(client, options->tls, error)
               : COORD_OK;
}

enum coord_code coord_open(const struct coord_options *options, struct coord_client **out,
                           struct coord_error *error)
{
    static const struct coord_options defaults = {.endpoints = NULL};
    struct coord_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory");
    }
    enum coord_code code = apply_options(client, options != NULL ? options : &defaults, error);
    if (code != COORD_OK) {
        coord_close(client);
        return code;
    }
    *out = client;
    return client_fail(error, COORD_OK, "%s", "");
}

void coord_close(struct coord_client *client)
{
    if (client != NULL) {
        session_forget(&client->session);
        auth_drop(client);
        keepalive_close(&client->lease_keepalive);
        connection_close(client->connection);
        tls_context_free(client->tls_context);
        free(client->server_name);
        free(client->note);
        free(client);
    }
}

uint64_t coord_revision(const struct coord_client *client)
{
    return client->revision;
}

/* Fills `expect` and points `out` to it, unless any version will do. */
static enum coord_code expect_version(int64_t version, Coord__V1__Expect *expect,
                                      Coord__V1__Expect **out, struct coord_error *error)
{
    if (version == COORD_ANY_VERSION) {
        return COORD_OK;
    }
    if (version < 0 || version >= UINT32_MAX) {
        return client_fail(error, COORD_INVALID, "version %lld is no node's version",
                           (long long)version);
    }
    coord__v1__expect__init(expect);
    expect->version = (uint32_t)version;
    *out = expect;
    return COORD_OK;
}

/* ---- calls ------------------------------------------------------------------------------ */

enum coord_code coord_create_with(struct coord_client *client, const char *path,
                                  const void *data, size_t bytes,
                                  const struct coord_create_options *options, char **real_path,
                                  struct coord_stat *stat, struct coord_error *error)
{
    static const struct coord_create_options defaults = {.kind = COORD_PERSISTENT};
    const struct coord_create_options *o = options != NULL ? options : &defaults;
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__CreateRequest request = COORD__V1__CREATE_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.path = convert_text(path);
    request.data = convert_bytes(data, bytes);
    request.kind = (Coord__V1__Kind)o->kind;
    request.sequential = (o->flags & COORD_SEQUENTIAL) != 0;
    request.make_parents = (o->flags & COORD_MAKE_PARENTS) != 0;
    request.lease = o->lease;
    request.ttl_ms = o->ttl_ms;
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
    enum coord_code code = expect_version(version, &expect, &request.expect, error);
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
    enum coord_code code = expect_version(version, &expect, &request.expect, error);
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

/* Appends one page; the component behind the last '/' is the child's name. */
static bool append_names(struct coord_names *list, const Coord__V1__ListReply *page)
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

enum coord_code coord_list(struct coord_client *client, const char *path,
                           struct coord_names *list, struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ListRequest request = COORD__V1__LIST_REQUEST__INIT;
    ProtobufCMessage *page = NULL;
    struct coord_names found = {.count = 0};
    enum coord_code code;
    request.header = &header;
    request.path = convert_text(path);
    do {
        ProtobufCMessage *next;
        code = client_call(client, CLIENT_LIST, &request.base, &header, &next, error);
        client_reply_free(page); /* request.after pointed into it */
        page = next;
        if (code == COORD_OK && !append_names(&found, (const Coord__V1__ListReply *)page)) {
            code = client_fail(error, COORD_NO_MEMORY, "out of memory for the list");
        }
        if (code == COORD_OK) {
            request.after = ((Coord__V1__ListReply *)page)->next;
        }
    } while (code == COORD_OK && request.after[0] != '\0');
    client_reply_free(page);
    if (code == COORD_OK) {
        *list = found;
    } else {
        coord_names_clear(&found);
    }
    return code;
}

void coord_names_clear(struct coord_names *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->names[i]);
    }
    free(list->names);
    *list = (struct coord_names){.count = 0};
}

enum coord_code coord_sync(struct coord_client *client, struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SyncRequest request = COORD__V1__SYNC_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    enum coord_code code = client_call(client, CLIENT_SYNC, &request.base, &header, &m, error);
    client_reply_free(m);
    return code;
}
