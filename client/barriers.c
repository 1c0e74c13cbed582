/* Barriers: going in and leaving; and who is there. */
#include "client/barriers.h"

#include <stdlib.h>

#include "client/async.h"
#include "client/claim.h"
#include "client/convert.h"
#include "client/guard_list.h"
#include "client/pages.h"
#include "coord/v1/barrier.pb-c.h"

/* ---- going in ---------------------------------------------------------------------------- */

enum coord_code coord_barrier_enter_async(struct coord_client *client,
                                          const struct coord_party *party, coord_done_fn done,
                                          void *context, struct coord_call **call,
                                          struct coord_error *error)
{
    Coord__V1__BarrierEnterRequest request = COORD__V1__BARRIER_ENTER_REQUEST__INIT;
    struct guard_list guards;
    enum coord_code code = guard_list_fill(&guards, party->guards, party->guard_count, error);
    if (code != COORD_OK) {
        return code;
    }
    request.path = convert_text(party->path);
    request.parties = party->parties;
    request.name = convert_text_or_none(party->name);
    request.lease = party->lease;
    request.no_wait = party->no_wait;
    request.wait_ms = party->wait_ms;
    request.n_guards = party->guard_count;
    request.guards = guards.places;
    const struct claim_options claim = {.use = LOCK_INSIDE,
                                        .lease = party->lease,
                                        .note = party->note,
                                        .done = done,
                                        .context = context};
    return claim_start(client, &claim, &request.base, call, error);
}

enum coord_code coord_barrier_enter(struct coord_client *client,
                                    const struct coord_party *party, struct coord_lock **inside,
                                    struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_barrier_enter_async(client, party, async_waited, &w, NULL, error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w);
    }
    if (code == COORD_OK) {
        *inside = w.lock;
    }
    return code;
}

/* ---- leaving ----------------------------------------------------------------------------- */

enum coord_code coord_barrier_leave_async(struct coord_lock *inside, coord_done_fn done,
                                          void *context, struct coord_call **call,
                                          struct coord_error *error)
{
    Coord__V1__BarrierLeaveRequest request = COORD__V1__BARRIER_LEAVE_REQUEST__INIT;
    Coord__V1__LockGrant entry = COORD__V1__LOCK_GRANT__INIT;
    if (inside->use != LOCK_INSIDE) {
        return client_fail(error, COORD_INVALID, "%s is no party of a barrier",
                           inside->grants[0].path);
    }
    entry.path = convert_text(inside->grants[0].path);
    entry.revision = inside->grants[0].revision;
    request.entry = &entry;
    const struct async_options options = {.method = CLIENT_BARRIER_LEAVE,
                                          .needed_session = inside->session,
                                          .done = done,
                                          .context = context};
    enum coord_code code = async_start(inside->client, &options, &request.base, call, error);
    if (code == COORD_OK) {
        lock_give_up(inside);
    }
    return code;
}

enum coord_code coord_barrier_leave(struct coord_lock *inside, struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(inside->client, error);
    if (code == COORD_OK) {
        code = coord_barrier_leave_async(inside, async_waited, &w, NULL, error);
    }
    return code == COORD_OK ? async_wait(inside->client, &w) : code;
}

/* ---- who is there ------------------------------------------------------------------------ */

static struct coord_barrier_party party_of(const Coord__V1__BarrierParty *from)
{
    struct coord_barrier_party party = {
        .grant = {.path = "", .epoch = from->epoch, .count = from->inside ? 1 : 0},
        .inside = from->inside,
        .leaving = from->leaving,
        .lease = from->lease,
        .name = from->name,
        .note = from->note,
        .since_ms = from->since_ms,
        .deadline_ms = from->deadline_ms,
    };
    if (from->entry != NULL) {
        party.grant.path = from->entry->path;
        party.grant.revision = from->entry->revision;
    }
    return party;
}

enum coord_code coord_barrier_get(struct coord_client *client, const char *path,
                                  struct coord_barrier_info *info, struct coord_error *error)
{
    Coord__V1__BarrierGetRequest request = COORD__V1__BARRIER_GET_REQUEST__INIT;
    struct pages *pages;
    size_t count = 0;
    request.path = convert_text(path);
    enum coord_code code =
        pages_ask(client, CLIENT_BARRIER_GET, &request.base, &request.after, &pages, error);
    if (code != COORD_OK) {
        return code;
    }
    for (size_t i = 0; i < pages->count; i++) {
        count += ((const Coord__V1__BarrierGetReply *)pages->replies[i])->n_entries;
    }
    struct coord_barrier_info found = {.entries = calloc(count + 1, sizeof *found.entries),
                                       .memory = pages};
    if (found.entries == NULL) {
        pages_free(pages);
        return client_fail(error, COORD_NO_MEMORY, "out of memory for %zu parties", count);
    }
    for (size_t i = 0; i < pages->count; i++) {
        const Coord__V1__BarrierGetReply *page =
            (const Coord__V1__BarrierGetReply *)pages->replies[i];
        found.parties = page->parties;
        for (size_t j = 0; j < page->n_entries; j++) {
            found.entries[found.count++] = party_of(page->entries[j]);
        }
    }
    *info = found;
    return COORD_OK;
}

void coord_barrier_info_clear(struct coord_barrier_info *info)
{
    pages_free(info->memory);
    free(info->entries);
    *info = (struct coord_barrier_info){.count = 0};
}

enum coord_code coord_barrier_remove(struct coord_client *client,
                                     const struct coord_grant *entry, struct coord_error *error)
{
    Coord__V1__BarrierLeaveRequest request = COORD__V1__BARRIER_LEAVE_REQUEST__INIT;
    Coord__V1__LockGrant grant = COORD__V1__LOCK_GRANT__INIT;
    grant.path = convert_text(entry->path);
    grant.revision = entry->revision;
    request.entry = &grant;
    return client_do(client, CLIENT_BARRIER_REMOVE, &request.base, error);
}
