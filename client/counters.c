/* Counters, and ids in blocks. */
#include "client/counters.h"

#include "client/async.h"
#include "client/convert.h"
#include "client/guard_list.h"
#include "coord/v1/counter.pb-c.h"

static const struct coord_counter_options defaults = {.has_low = false};

/* ---- waiting ----------------------------------------------------------------------------- */

struct waited {
    struct async_wait wait;
    struct coord_counter counter;
    struct coord_ids ids;
};

static void on_waited(void *context, const struct coord_result *result)
{
    struct waited *w = context;
    async_waited(&w->wait, result);
    if (result->counter != NULL) {
        w->counter = *result->counter;
    }
    if (result->ids != NULL) {
        w->ids = *result->ids;
    }
}

/* ---- counters ---------------------------------------------------------------------------- */

static void take_add(struct async *a, const ProtobufCMessage *m, struct coord_result *result)
{
    const Coord__V1__CounterAddReply *reply = (const Coord__V1__CounterAddReply *)m;
    a->counter = (struct coord_counter){.value = reply->value, .before = reply->before};
    result->counter = &a->counter;
}

enum coord_code coord_counter_add_async(struct coord_client *client, const char *path,
                                        int64_t delta,
                                        const struct coord_counter_options *options,
                                        coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error)
{
    const struct coord_counter_options *o = options != NULL ? options : &defaults;
    Coord__V1__CounterAddRequest request = COORD__V1__COUNTER_ADD_REQUEST__INIT;
    Coord__V1__CounterBound low = COORD__V1__COUNTER_BOUND__INIT;
    Coord__V1__CounterBound high = COORD__V1__COUNTER_BOUND__INIT;
    struct guard_list guards;
    enum coord_code code = guard_list_fill(&guards, o->guards, o->guard_count, error);
    if (code != COORD_OK) {
        return code;
    }
    low.value = o->low;
    high.value = o->high;
    request.path = convert_text(path);
    request.delta = delta;
    request.low = o->has_low ? &low : NULL;
    request.high = o->has_high ? &high : NULL;
    request.n_guards = o->guard_count;
    request.guards = guards.places;
    const struct async_options how = {
        .method = CLIENT_COUNTER_ADD, .take = take_add, .done = done, .context = context};
    return async_start(client, &how, &request.base, call, error);
}

enum coord_code coord_counter_add(struct coord_client *client, const char *path, int64_t delta,
                                  const struct coord_counter_options *options,
                                  struct coord_counter *counter, struct coord_error *error)
{
    struct waited w = {.wait.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_counter_add_async(client, path, delta, options, on_waited, &w, NULL,
                                       error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w.wait);
    }
    if (code == COORD_OK && counter != NULL) {
        *counter = w.counter;
    }
    return code;
}

static void take_get(struct async *a, const ProtobufCMessage *m, struct coord_result *result)
{
    const Coord__V1__CounterGetReply *reply = (const Coord__V1__CounterGetReply *)m;
    a->counter = (struct coord_counter){
        .value = reply->value, .is_ids = reply->is_ids, .created = reply->created};
    result->counter = &a->counter;
}

enum coord_code coord_counter_get_async(struct coord_client *client, const char *path,
                                        coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error)
{
    Coord__V1__CounterGetRequest request = COORD__V1__COUNTER_GET_REQUEST__INIT;
    request.path = convert_text(path);
    const struct async_options how = {
        .method = CLIENT_COUNTER_GET, .take = take_get, .done = done, .context = context};
    return async_start(client, &how, &request.base, call, error);
}

enum coord_code coord_counter_get(struct coord_client *client, const char *path,
                                  struct coord_counter *counter, struct coord_error *error)
{
    struct waited w = {.wait.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_counter_get_async(client, path, on_waited, &w, NULL, error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w.wait);
    }
    if (code == COORD_OK) {
        *counter = w.counter;
    }
    return code;
}

/* ---- ids --------------------------------------------------------------------------------- */

static void take_ids(struct async *a, const ProtobufCMessage *m, struct coord_result *result)
{
    const Coord__V1__CounterAllocateIdsReply *reply =
        (const Coord__V1__CounterAllocateIdsReply *)m;
    a->ids = (struct coord_ids){
        .first = reply->first, .count = reply->count, .created = reply->created};
    result->ids = &a->ids;
}

enum coord_code coord_ids_allocate_async(struct coord_client *client, const char *path,
                                         uint64_t count,
                                         const struct coord_counter_options *options,
                                         coord_done_fn done, void *context,
                                         struct coord_call **call, struct coord_error *error)
{
    const struct coord_counter_options *o = options != NULL ? options : &defaults;
    Coord__V1__CounterAllocateIdsRequest request =
        COORD__V1__COUNTER_ALLOCATE_IDS_REQUEST__INIT;
    struct guard_list guards;
    enum coord_code code = guard_list_fill(&guards, o->guards, o->guard_count, error);
    if (code != COORD_OK) {
        return code;
    }
    if (o->has_low || (o->has_high && o->high < 1)) {
        return client_fail(error, COORD_INVALID,
                           "ids begin with 1: they have no lower bound, and an upper one above");
    }
    request.path = convert_text(path);
    request.count = count;
    request.last = o->has_high ? (uint64_t)o->high : 0;
    request.n_guards = o->guard_count;
    request.guards = guards.places;
    const struct async_options how = {
        .method = CLIENT_COUNTER_IDS, .take = take_ids, .done = done, .context = context};
    return async_start(client, &how, &request.base, call, error);
}

enum coord_code coord_ids_allocate(struct coord_client *client, const char *path,
                                   uint64_t count, const struct coord_counter_options *options,
                                   struct coord_ids *ids, struct coord_error *error)
{
    struct waited w = {.wait.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_ids_allocate_async(client, path, count, options, on_waited, &w, NULL,
                                        error);
    }
    if (code == COORD_OK) {
        code = async_wait(client, &w.wait);
    }
    if (code == COORD_OK) {
        *ids = w.ids;
    }
    return code;
}
