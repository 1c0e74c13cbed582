/* What there is to know about locks: cycles, who waits for whom, which there are. */
#include "client/locks.h"

#include <stdlib.h>

#include "client/call.h"
#include "client/convert.h"
#include "client/lock.h"
#include "client/pages.h"
#include "coord/v1/lock.pb-c.h"

/* ---- waits ------------------------------------------------------------------------------- */

/* Points into `from`. NULL: no memory. */
static struct coord_lock_wait *waits_of(Coord__V1__LockWait *const *from, size_t count)
{
    struct coord_lock_wait *waits = calloc(count + 1, sizeof *waits);
    for (size_t i = 0; waits != NULL && i < count; i++) {
        waits[i] = (struct coord_lock_wait){
            .lease = from[i]->lease,
            .owner = from[i]->owner,
            .path = from[i]->path,
            .mode = (enum coord_lock_mode)from[i]->mode, /* counted alike */
            .blocker_lease = from[i]->blocker_lease,
            .blocker_owner = from[i]->blocker_owner,
            .blocker_holds = from[i]->blocker_holds,
            .blocker_mode = (enum coord_lock_mode)from[i]->blocker_mode,
        };
    }
    return waits;
}

bool deadlock_take(ProtobufCMessage **m, struct coord_deadlock *deadlock)
{
    const Coord__V1__LockDeadlock *from = (const Coord__V1__LockDeadlock *)*m;
    struct coord_lock_wait *waits = waits_of(from->cycle, from->n_cycle);
    if (waits == NULL) {
        return false;
    }
    *deadlock = (struct coord_deadlock){
        .waits = waits, .count = from->n_cycle, .length = from->length, .memory = *m};
    *m = NULL;
    return true;
}

void coord_deadlock_clear(struct coord_deadlock *deadlock)
{
    client_reply_free(deadlock->memory);
    free(deadlock->waits);
    *deadlock = (struct coord_deadlock){.count = 0};
}

enum coord_code coord_lock_explain(struct coord_client *client, const char *path,
                                   uint32_t limit, struct coord_lock_graph *graph,
                                   struct coord_error *error)
{
    Coord__V1__LockExplainRequest request = COORD__V1__LOCK_EXPLAIN_REQUEST__INIT;
    ProtobufCMessage *m;
    request.path = convert_text(path);
    request.limit = limit;
    enum coord_code code =
        client_call(client, CLIENT_LOCK_EXPLAIN, &request.base, NULL, &m, error);
    if (code != COORD_OK) {
        return code;
    }
    const Coord__V1__LockExplainReply *reply = (const Coord__V1__LockExplainReply *)m;
    struct coord_lock_wait *waits = waits_of(reply->waits, reply->n_waits);
    if (waits == NULL) {
        client_reply_free(m);
        return client_fail(error, COORD_NO_MEMORY, "out of memory for %zu waits",
                           reply->n_waits);
    }
    *graph = (struct coord_lock_graph){
        .waits = waits, .count = reply->n_waits, .more = reply->more, .memory = m};
    return COORD_OK;
}

void coord_lock_graph_clear(struct coord_lock_graph *graph)
{
    client_reply_free(graph->memory);
    free(graph->waits);
    *graph = (struct coord_lock_graph){.count = 0};
}

/* ---- lists ------------------------------------------------------------------------------- */

static void append_page(struct coord_locks *list, const Coord__V1__LockListReply *page)
{
    for (size_t i = 0; i < page->n_locks; i++) {
        const Coord__V1__LockSummary *from = page->locks[i];
        struct coord_lock_summary *to = &list->locks[list->count++];
        *to = (struct coord_lock_summary){.path = from->path,
                                          .permits = from->permits,
                                          .held = from->held,
                                          .waiting = from->waiting,
                                          .has_first = from->first != NULL};
        if (to->has_first) {
            to->first = lock_entry_of(from->first);
        }
    }
}

enum coord_code coord_lock_list(struct coord_client *client, const char *path,
                                struct coord_locks *list, struct coord_error *error)
{
    Coord__V1__LockListRequest request = COORD__V1__LOCK_LIST_REQUEST__INIT;
    struct pages *pages;
    size_t count = 0;
    request.path = convert_text(path);
    enum coord_code code = pages_ask(client, CLIENT_LOCK_LIST, &request.base, &request.after,
                                     &pages, error);
    if (code != COORD_OK) {
        return code;
    }
    for (size_t i = 0; i < pages->count; i++) {
        count += ((const Coord__V1__LockListReply *)pages->replies[i])->n_locks;
    }
    struct coord_locks found = {.locks = calloc(count + 1, sizeof *found.locks),
                                    .memory = pages};
    if (found.locks == NULL) {
        pages_free(pages);
        return client_fail(error, COORD_NO_MEMORY, "out of memory for %zu locks", count);
    }
    for (size_t i = 0; i < pages->count; i++) {
        append_page(&found, (const Coord__V1__LockListReply *)pages->replies[i]);
    }
    *list = found;
    return COORD_OK;
}

void coord_locks_clear(struct coord_locks *list)
{
    pages_free(list->memory);
    free(list->locks);
    *list = (struct coord_locks){.count = 0};
}
