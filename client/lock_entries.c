/* The queues of locks, as anybody sees them: who holds, who waits; and what is done to
 * entries by their names. */
#include <stdlib.h>
#include <string.h>

#include "client/async.h"
#include "client/client_internal.h"
#include "client/convert.h"
#include "client/lock.h"
#include "client/pages.h"
#include "coord/v1/lock.pb-c.h"

/* ---- the queue --------------------------------------------------------------------------- */

/* One listing, over all its pages. */
struct lookup {
    struct paging paging;
    Coord__V1__LockGetRequest request; /* with a path of its own */
    struct coord_lock_info found;
    struct coord_lock_info *to; /* where it goes; NULL: to `done` alone */
    coord_done_fn done;
    void *context;
};

void coord_lock_info_clear(struct coord_lock_info *info)
{
    pages_free(info->memory);
    free(info->entries);
    *info = (struct coord_lock_info){.count = 0};
}

struct coord_lock_entry lock_entry_of(const Coord__V1__LockEntry *from)
{
    struct coord_lock_entry entry = {
        .grant = {.path = "", .epoch = from->epoch, .count = from->count},
        .held = from->held,
        .mode = (enum coord_lock_mode)from->mode, /* counted alike */
        .permits = from->permits,
        .lease = from->lease,
        .owner = from->owner,
        .note = from->note,
        .since_ms = from->since_ms,
        .deadline_ms = from->deadline_ms,
        .group = from->group,
        .asked_by = from->asked_by,
        .asked_why = from->asked_why,
    };
    if (from->grant != NULL) {
        entry.grant.path = from->grant->path;
        entry.grant.revision = from->grant->revision;
    }
    return entry;
}

/* Keeps it, too. */
static bool append_page(struct paging *paging, ProtobufCMessage **m)
{
    struct coord_lock_info *info = &LOOP_OF(paging, struct lookup, paging)->found;
    const Coord__V1__LockGetReply *page = (const Coord__V1__LockGetReply *)*m;
    struct pages *pages = info->memory;
    struct coord_lock_entry *entries =
        realloc(info->entries, (info->count + page->n_entries + 1) * sizeof *info->entries);
    if (entries == NULL) {
        return false;
    }
    info->entries = entries;
    bool was_kept = pages_keep(&pages, m);
    info->memory = pages;
    if (!was_kept) {
        return false;
    }
    info->permits = page->permits;
    for (size_t i = 0; i < page->n_entries; i++) {
        entries[info->count++] = lock_entry_of(page->entries[i]);
    }
    return true;
}

static void on_listed(struct paging *paging, const struct coord_error *error)
{
    struct lookup *l = LOOP_OF(paging, struct lookup, paging);
    const struct coord_result result = {
        .code = error->code, .error = error, .path = "", .data = "", .lock_info = &l->found};
    l->done(l->context, &result);
    if (l->to != NULL && error->code == COORD_OK) {
        *l->to = l->found;
        l->found = (struct coord_lock_info){.count = 0};
    }
    coord_lock_info_clear(&l->found);
    free(l->request.path);
    free(l);
}

static enum coord_code look(struct coord_client *client, const char *path,
                            struct coord_lock_info *to, coord_done_fn done, void *context,
                            struct coord_error *error)
{
    struct lookup *l = calloc(1, sizeof *l);
    char *copy = strdup(path);
    if (l == NULL || copy == NULL) {
        free(l);
        free(copy);
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    *l = (struct lookup){.to = to, .done = done, .context = context};
    coord__v1__lock_get_request__init(&l->request);
    l->request.path = copy;
    l->paging = (struct paging){.client = client,
                                .method = CLIENT_LOCK_GET,
                                .request = &l->request.base,
                                .after = &l->request.after,
                                .take = append_page,
                                .done = on_listed};
    enum coord_code code = paging_start(&l->paging, error);
    if (code != COORD_OK) {
        free(copy);
        free(l);
    }
    return code;
}

enum coord_code coord_lock_get_async(struct coord_client *client, const char *path,
                                     coord_done_fn done, void *context,
                                     struct coord_error *error)
{
    return look(client, path, NULL, done, context, error);
}

enum coord_code coord_lock_get(struct coord_client *client, const char *path,
                               struct coord_lock_info *info, struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = look(client, path, info, async_waited, &w, error);
    }
    return code == COORD_OK ? async_wait(client, &w) : code;
}

/* ---- entries by name --------------------------------------------------------------------- */

/* Cancel and Remove have the same request. */
static enum coord_code end_entries(struct coord_client *client, enum client_method method,
                                   const struct coord_grant *entries, size_t count,
                                   coord_done_fn done, void *context, struct coord_call **call,
                                   struct coord_error *error)
{
    Coord__V1__LockCancelRequest request = COORD__V1__LOCK_CANCEL_REQUEST__INIT;
    Coord__V1__LockGrant *grants = calloc(count + 1, sizeof *grants);
    Coord__V1__LockGrant **places = calloc(count + 1, sizeof *places);
    enum coord_code code = COORD_OK;
    if (grants == NULL || places == NULL) {
        code = client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    for (size_t i = 0; i < count && code == COORD_OK; i++) {
        coord__v1__lock_grant__init(&grants[i]);
        grants[i].path = convert_text(entries[i].path);
        grants[i].revision = entries[i].revision;
        places[i] = &grants[i];
    }
    if (code == COORD_OK) {
        request.n_entries = count;
        request.entries = places;
        const struct async_options options = {
            .method = method, .done = done, .context = context};
        code = async_start(client, &options, &request.base, call, error);
    }
    free(grants);
    free(places);
    return code;
}

enum coord_code coord_lock_cancel_async(struct coord_client *client,
                                        const struct coord_grant *entries, size_t count,
                                        coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error)
{
    return end_entries(client, CLIENT_LOCK_CANCEL, entries, count, done, context, call, error);
}

enum coord_code coord_lock_remove_async(struct coord_client *client,
                                        const struct coord_grant *entries, size_t count,
                                        coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error)
{
    return end_entries(client, CLIENT_LOCK_REMOVE, entries, count, done, context, call, error);
}

static enum coord_code end_and_wait(struct coord_client *client, enum client_method method,
                                    const struct coord_grant *entries, size_t count,
                                    struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = end_entries(client, method, entries, count, async_waited, &w, NULL, error);
    }
    return code == COORD_OK ? async_wait(client, &w) : code;
}

enum coord_code coord_lock_cancel(struct coord_client *client,
                                  const struct coord_grant *entries, size_t count,
                                  struct coord_error *error)
{
    return end_and_wait(client, CLIENT_LOCK_CANCEL, entries, count, error);
}

enum coord_code coord_lock_remove(struct coord_client *client,
                                  const struct coord_grant *entries, size_t count,
                                  struct coord_error *error)
{
    return end_and_wait(client, CLIENT_LOCK_REMOVE, entries, count, error);
}

enum coord_code coord_lock_ask_release_async(struct coord_client *client, const char *path,
                                             const char *who, const char *note,
                                             coord_done_fn done, void *context,
                                             struct coord_call **call,
                                             struct coord_error *error)
{
    Coord__V1__LockAskReleaseRequest request = COORD__V1__LOCK_ASK_RELEASE_REQUEST__INIT;
    request.path = convert_text(path);
    request.who = convert_text_or_none(who);
    const struct async_options options = {
        .method = CLIENT_LOCK_ASK_RELEASE, .note = note, .done = done, .context = context};
    return async_start(client, &options, &request.base, call, error);
}

enum coord_code coord_lock_ask_release(struct coord_client *client, const char *path,
                                       const char *who, const char *note,
                                       struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_lock_ask_release_async(client, path, who, note, async_waited, &w, NULL,
                                            error);
    }
    return code == COORD_OK ? async_wait(client, &w) : code;
}
