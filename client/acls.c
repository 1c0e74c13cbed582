/* Access control lists. */
#include "client/acls.h"

#include <stdlib.h>

#include "client/async.h"
#include "client/convert.h"
#include "client/guard_list.h"
#include "coord/v1/tree.pb-c.h"

static const struct coord_acl_options defaults = {.guards = NULL};

/* ---- waiting ----------------------------------------------------------------------------- */

struct waited {
    struct async_wait wait;
    struct coord_acl_list list;
    struct coord_stat stat;
};

static void on_waited(void *context, const struct coord_result *result)
{
    struct waited *w = context;
    async_waited(&w->wait, result);
    w->stat = result->stat;
    if (result->acl != NULL) { /* taken over with what it points to */
        struct async *a = async_of(result);
        w->list = a->acl;
        a->acl = (struct coord_acl_list){.count = 0};
    }
}

/* ---- reading ----------------------------------------------------------------------------- */

/* What a list points to. */
struct memory {
    ProtobufCMessage *reply;
    struct coord_acl entries[];
};

void coord_acl_clear(struct coord_acl_list *list)
{
    struct memory *memory = list->memory;
    if (memory != NULL) {
        client_reply_free(memory->reply);
        free(memory);
    }
    *list = (struct coord_acl_list){.count = 0};
}

static void keep_get(struct async *a, ProtobufCMessage **m, struct coord_result *result)
{
    const Coord__V1__GetAclReply *reply = (const Coord__V1__GetAclReply *)*m;
    struct memory *memory = malloc(sizeof *memory + reply->n_acl * sizeof memory->entries[0]);
    if (memory == NULL) {
        result->code = client_fail(&a->error, COORD_NO_MEMORY, "out of memory for the list");
        return;
    }
    for (size_t i = 0; i < reply->n_acl; i++) {
        memory->entries[i] = (struct coord_acl){.permissions = reply->acl[i]->permissions,
                                                .scheme = reply->acl[i]->scheme,
                                                .id = reply->acl[i]->id};
    }
    convert_stat(reply->stat, &result->stat);
    a->acl = (struct coord_acl_list){.entries = memory->entries,
                                     .count = reply->n_acl,
                                     .version = result->stat.acl_version,
                                     .memory = memory};
    result->acl = &a->acl;
    memory->reply = *m;
    *m = NULL;
}

enum coord_code coord_acl_get_async(struct coord_client *client, const char *path,
                                    coord_done_fn done, void *context, struct coord_call **call,
                                    struct coord_error *error)
{
    Coord__V1__GetAclRequest request = COORD__V1__GET_ACL_REQUEST__INIT;
    request.path = convert_text(path);
    const struct async_options how = {
        .method = CLIENT_GET_ACL, .keep = keep_get, .done = done, .context = context};
    return async_start(client, &how, &request.base, call, error);
}

enum coord_code coord_acl_get(struct coord_client *client, const char *path,
                              struct coord_acl_list *list, struct coord_stat *stat,
                              struct coord_error *error)
{
    struct waited w = {.wait.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_acl_get_async(client, path, on_waited, &w, NULL, error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w.wait);
    }
    if (code == COORD_OK) {
        *list = w.list;
        if (stat != NULL) {
            *stat = w.stat;
        }
    }
    return code;
}

/* ---- replacing --------------------------------------------------------------------------- */

static void take_set(struct async *a, const ProtobufCMessage *m, struct coord_result *result)
{
    (void)a;
    convert_stat(((const Coord__V1__SetAclReply *)m)->stat, &result->stat);
}

/* The entries as a request carries them, borrowing their texts: one block, free(3). NULL: no
 * memory. */
static Coord__V1__Acl **entries_of(const struct coord_acl *entries, size_t count)
{
    Coord__V1__Acl **places = malloc((count + 1) * (sizeof(Coord__V1__Acl) + sizeof *places));
    Coord__V1__Acl *to = (Coord__V1__Acl *)(void *)(places + count + 1);
    for (size_t i = 0; places != NULL && i < count; i++) {
        coord__v1__acl__init(&to[i]);
        to[i].permissions = entries[i].permissions;
        to[i].scheme = convert_text(entries[i].scheme);
        to[i].id = convert_text(entries[i].id);
        places[i] = &to[i];
    }
    return places;
}

enum coord_code coord_acl_set_async(struct coord_client *client, const char *path,
                                    const struct coord_acl *entries, size_t count,
                                    int64_t version, const struct coord_acl_options *options,
                                    coord_done_fn done, void *context, struct coord_call **call,
                                    struct coord_error *error)
{
    const struct coord_acl_options *o = options != NULL ? options : &defaults;
    Coord__V1__SetAclRequest request = COORD__V1__SET_ACL_REQUEST__INIT;
    Coord__V1__Expect expect;
    struct guard_list guards;
    enum coord_code code = guard_list_fill(&guards, o->guards, o->guard_count, error);
    if (code == COORD_OK) {
        code = convert_version(version, &expect, &request.expect, error);
    }
    if (code != COORD_OK) {
        return code;
    }
    request.path = convert_text(path);
    request.n_guards = o->guard_count;
    request.guards = guards.places;
    request.n_acl = count;
    request.acl = entries_of(entries, count);
    if (request.acl == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    const struct async_options how = {.method = CLIENT_SET_ACL,
                                      .take = take_set,
                                      .done = done,
                                      .context = context,
                                      .note = o->note};
    code = async_start(client, &how, &request.base, call, error);
    free(request.acl);
    return code;
}

enum coord_code coord_acl_set(struct coord_client *client, const char *path,
                              const struct coord_acl *entries, size_t count, int64_t version,
                              const struct coord_acl_options *options, struct coord_stat *stat,
                              struct coord_error *error)
{
    struct waited w = {.wait.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_acl_set_async(client, path, entries, count, version, options, on_waited,
                                   &w, NULL, error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w.wait);
    }
    if (code == COORD_OK && stat != NULL) {
        *stat = w.stat;
    }
    return code;
}
