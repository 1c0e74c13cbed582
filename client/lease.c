/* Leases: what ephemeral nodes may be attached to without a session. */
#include <stdlib.h>
#include <string.h>

#include "client/async.h"
#include "client/client_internal.h"
#include "client/convert.h"
#include "client/socket.h"
#include "coord/v1/lease.pb-c.h"

/* Leases may be short, and which is how long is not known here. */
#define ATTEMPT_MS   500
#define PAUSE_MS     20
#define PAUSE_MS_MAX 200

/* ---- granting, keeping alive, revoking --------------------------------------------------- */

static void take_granted(struct async *a, const ProtobufCMessage *m,
                         struct coord_result *result)
{
    (void)a;
    result->lease = ((const Coord__V1__LeaseGrantReply *)m)->id;
    result->ttl_ms = ((const Coord__V1__LeaseGrantReply *)m)->ttl_ms;
}

enum coord_code coord_lease_grant_async(struct coord_client *client, uint64_t ttl_ms,
                                        const char *owner, coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error)
{
    Coord__V1__LeaseGrantRequest request = COORD__V1__LEASE_GRANT_REQUEST__INIT;
    request.ttl_ms = ttl_ms;
    request.owner = convert_text_or_none(owner);
    const struct async_options options = {
        .method = CLIENT_LEASE_GRANT, .take = take_granted, .done = done, .context = context};
    return async_start(client, &options, &request.base, call, error);
}

static void take_revoked(struct async *a, const ProtobufCMessage *m,
                         struct coord_result *result)
{
    (void)a;
    result->count = ((const Coord__V1__LeaseRevokeReply *)m)->removed;
}

enum coord_code coord_lease_revoke_async(struct coord_client *client, uint64_t id,
                                         coord_done_fn done, void *context,
                                         struct coord_call **call, struct coord_error *error)
{
    Coord__V1__LeaseRevokeRequest request = COORD__V1__LEASE_REVOKE_REQUEST__INIT;
    request.id = id;
    const struct async_options options = {
        .method = CLIENT_LEASE_REVOKE, .take = take_revoked, .done = done, .context = context};
    return async_start(client, &options, &request.base, call, error);
}

struct renewal {
    struct keepalive_question question;
    coord_done_fn done;
    void *context;
};

static void on_renewed(struct keepalive_question *q, const ProtobufCMessage *m,
                       uint64_t sent_ms, const struct coord_error *failure)
{
    struct renewal *r = LOOP_OF(q, struct renewal, question);
    const Coord__V1__LeaseKeepAliveReply *reply = (const Coord__V1__LeaseKeepAliveReply *)m;
    struct coord_error error = *failure;
    struct coord_result result = {.error = &error, .path = "", .data = "", .lease = q->id};
    (void)sent_ms;
    if (reply == NULL) {
        result.code = error.code;
    } else if (reply->outcome != COORD__V1__OUTCOME__OK) {
        result.code = client_fail_outcome(
            &error, (int)reply->outcome,
            reply->outcome == COORD__V1__OUTCOME__NO_LEASE ? "lease does not exist or has ended"
            : reply->outcome == COORD__V1__OUTCOME__NOT_RENEWABLE ? "lease is not renewable"
                                                                  : "");
    } else if (reply->ttl_ms == 0) {
        result.code = client_fail(&error, COORD_NOT_FOUND, "the lease has ended");
    } else {
        result.ttl_ms = reply->ttl_ms;
    }
    r->done(r->context, &result);
    free(r);
}

enum coord_code coord_lease_keepalive_async(struct coord_client *client, uint64_t id,
                                            coord_done_fn done, void *context,
                                            struct coord_error *error)
{
    enum coord_code code = client_may_begin(client, error);
    if (code != COORD_OK) {
        return code;
    }
    struct renewal *r = malloc(sizeof *r);
    if (r == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    *r = (struct renewal){.question = {.id = id,
                                       .attempt_ms = ATTEMPT_MS,
                                       .pause_ms = PAUSE_MS,
                                       .pause_ms_max = PAUSE_MS_MAX,
                                       .deadline_ms = socket_now_ms() + client->timeout_ms,
                                       .answered = on_renewed},
                          .done = done,
                          .context = context};
    client_enter(client);
    keepalive_ask(&client->lease_keepalive, &r->question);
    client_leave(client);
    return client_fail(error, COORD_OK, "%s", "");
}

/* ---- waiting for them -------------------------------------------------------------------- */

enum coord_code coord_lease_grant(struct coord_client *client, uint64_t ttl_ms,
                                  const char *owner, uint64_t *id, struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_lease_grant_async(client, ttl_ms, owner, async_waited, &w, NULL, error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w);
    }
    if (code == COORD_OK) {
        *id = w.lease;
    }
    return code;
}

enum coord_code coord_lease_keepalive(struct coord_client *client, uint64_t id,
                                      uint64_t *ttl_ms, struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_lease_keepalive_async(client, id, async_waited, &w, error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w);
    }
    if (code == COORD_OK && ttl_ms != NULL) {
        *ttl_ms = w.ttl_ms;
    }
    return code;
}

enum coord_code coord_lease_revoke(struct coord_client *client, uint64_t id, uint64_t *removed,
                                   struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_lease_revoke_async(client, id, async_waited, &w, NULL, error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w);
    }
    if (code == COORD_OK && removed != NULL) {
        *removed = w.count;
    }
    return code;
}

/* ---- what there is ---------------------------------------------------------------------- */

/* False: no memory for the owner's copy. */
static bool copy_lease(const Coord__V1__LeaseInfo *from, struct coord_lease *to)
{
    *to = (struct coord_lease){
        .id = from->id,
        .ttl_ms = from->ttl_ms,
        .attached = from->attached,
        .granted_ms = from->granted_ms,
        .generation = from->generation,
        .is_session = from->kind == COORD__V1__LEASE_KIND__SESSION_LEASE,
        .is_renewable = from->renewable,
        .owner = strdup(from->owner),
    };
    return to->owner != NULL;
}

static void free_owner(struct coord_lease *lease)
{
    free(convert_text(lease->owner));
}

static bool append_paths(struct coord_lease_info *info,
                         const Coord__V1__LeaseTimeToLiveReply *page)
{
    char **paths = realloc(info->paths, (info->path_count + page->n_paths + 1) * sizeof *paths);
    if (paths == NULL) {
        return false;
    }
    info->paths = paths;
    for (size_t i = 0; i < page->n_paths; i++) {
        char *path = strdup(page->paths[i]);
        if (path == NULL) {
            return false;
        }
        info->paths[info->path_count++] = path;
    }
    return true;
}

/* The first page tells of the lease, every page of its nodes. */
static enum coord_code take_info(struct coord_lease_info *info,
                                 const Coord__V1__LeaseTimeToLiveReply *page,
                                 struct coord_error *error)
{
    if (page->lease == NULL) {
        return client_fail(error, COORD_INTERNAL, "the reply tells of no lease");
    }
    bool is_first = info->lease.owner == NULL;
    if (is_first) {
        info->remaining_ms = page->remaining_ms;
    }
    if ((is_first && !copy_lease(page->lease, &info->lease)) || !append_paths(info, page)) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the lease");
    }
    return COORD_OK;
}

enum coord_code coord_lease_ttl(struct coord_client *client, uint64_t id, bool with_paths,
                                struct coord_lease_info *info, struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__LeaseTimeToLiveRequest request = COORD__V1__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    struct coord_lease_info found = {.path_count = 0};
    ProtobufCMessage *page = NULL;
    enum coord_code code;
    request.header = &header;
    request.id = id;
    request.with_paths = with_paths;
    client_hold(client);
    do {
        ProtobufCMessage *next;
        code = client_call(client, CLIENT_LEASE_TTL, &request.base, &header, &next, error);
        client_reply_free(page); /* request.after pointed into it */
        page = next;
        if (code == COORD_OK) {
            const Coord__V1__LeaseTimeToLiveReply *reply =
                (const Coord__V1__LeaseTimeToLiveReply *)page;
            request.after = reply->next;
            code = take_info(&found, reply, error);
        }
    } while (code == COORD_OK && request.after[0] != '\0');
    client_let_go(client);
    client_reply_free(page);
    if (code == COORD_OK) {
        *info = found;
    } else {
        coord_lease_info_clear(&found);
    }
    return code;
}

void coord_lease_info_clear(struct coord_lease_info *info)
{
    for (size_t i = 0; i < info->path_count; i++) {
        free(info->paths[i]);
    }
    free(info->paths);
    free_owner(&info->lease);
    *info = (struct coord_lease_info){.path_count = 0};
}

static bool append_leases(struct coord_leases *list, const Coord__V1__LeaseListReply *page)
{
    struct coord_lease *leases =
        realloc(list->leases, (list->count + page->n_leases + 1) * sizeof *leases);
    if (leases == NULL) {
        return false;
    }
    list->leases = leases;
    for (size_t i = 0; i < page->n_leases; i++) {
        if (!copy_lease(page->leases[i], &list->leases[list->count])) {
            return false;
        }
        list->count++;
    }
    return true;
}

enum coord_code coord_lease_list(struct coord_client *client, struct coord_leases *list,
                                 struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__LeaseListRequest request = COORD__V1__LEASE_LIST_REQUEST__INIT;
    struct coord_leases found = {.count = 0};
    enum coord_code code;
    request.header = &header;
    client_hold(client);
    do {
        ProtobufCMessage *page;
        code = client_call(client, CLIENT_LEASE_LIST, &request.base, &header, &page, error);
        if (code == COORD_OK) {
            const Coord__V1__LeaseListReply *reply = (const Coord__V1__LeaseListReply *)page;
            request.after = reply->next;
            if (!append_leases(&found, reply)) {
                code = client_fail(error, COORD_NO_MEMORY, "out of memory for the list");
            }
        }
        client_reply_free(page);
    } while (code == COORD_OK && request.after != 0);
    client_let_go(client);
    if (code == COORD_OK) {
        *list = found;
    } else {
        coord_leases_clear(&found);
    }
    return code;
}

void coord_leases_clear(struct coord_leases *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free_owner(&list->leases[i]);
    }
    free(list->leases);
    *list = (struct coord_leases){.count = 0};
}
