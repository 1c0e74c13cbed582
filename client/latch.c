/* Latches: set, counted down, awaited. */
#include "client/async.h"
#include "client/barriers.h"
#include "client/client_internal.h"
#include "client/convert.h"
#include "client/socket.h"
#include "coord/v1/barrier.pb-c.h"

static void take_count(struct async *a, const ProtobufCMessage *m, struct coord_result *result)
{
    (void)a;
    result->count = ((const Coord__V1__LatchReply *)m)->count;
}

enum coord_code coord_latch_set_async(struct coord_client *client, const char *path,
                                      uint32_t count, coord_done_fn done, void *context,
                                      struct coord_call **call, struct coord_error *error)
{
    Coord__V1__LatchSetRequest request = COORD__V1__LATCH_SET_REQUEST__INIT;
    request.path = convert_text(path);
    request.count = count;
    const struct async_options how = {
        .method = CLIENT_LATCH_SET, .take = take_count, .done = done, .context = context};
    return async_start(client, &how, &request.base, call, error);
}

enum coord_code coord_latch_count_down_async(struct coord_client *client, const char *path,
                                             uint32_t by, coord_done_fn done, void *context,
                                             struct coord_call **call,
                                             struct coord_error *error)
{
    Coord__V1__LatchCountDownRequest request = COORD__V1__LATCH_COUNT_DOWN_REQUEST__INIT;
    if (by == 0) {
        return client_fail(error, COORD_INVALID, "%s: counted down by 0: from 1 on", path);
    }
    request.path = convert_text(path);
    request.by = by;
    const struct async_options how = {.method = CLIENT_LATCH_COUNT_DOWN,
                                      .take = take_count,
                                      .done = done,
                                      .context = context};
    return async_start(client, &how, &request.base, call, error);
}

static enum coord_code look(struct coord_client *client, const char *path, bool no_wait,
                            coord_done_fn done, void *context, struct coord_call **call,
                            struct coord_error *error)
{
    Coord__V1__LatchAwaitRequest request = COORD__V1__LATCH_AWAIT_REQUEST__INIT;
    request.path = convert_text(path);
    request.no_wait = no_wait;
    const struct async_options how = {
        .method = CLIENT_LATCH_AWAIT, .take = take_count, .done = done, .context = context};
    return async_start(client, &how, &request.base, call, error);
}

enum coord_code coord_latch_await_async(struct coord_client *client, const char *path,
                                        coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error)
{
    return look(client, path, false, done, context, call, error);
}

/* ---- waiting ----------------------------------------------------------------------------- */

static enum coord_code wait_for_count(struct coord_client *client, struct async_wait *w,
                                      enum coord_code code, uint32_t *count)
{
    if (code == COORD_OK) {
        code = async_wait(client, w);
    }
    if (code == COORD_OK && count != NULL) {
        *count = (uint32_t)w->count;
    }
    return code;
}

enum coord_code coord_latch_set(struct coord_client *client, const char *path, uint32_t count,
                                struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_latch_set_async(client, path, count, async_waited, &w, NULL, error);
    }
    return wait_for_count(client, &w, code, NULL);
}

enum coord_code coord_latch_count_down(struct coord_client *client, const char *path,
                                       uint32_t by, uint32_t *count, struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code =
            coord_latch_count_down_async(client, path, by, async_waited, &w, NULL, error);
    }
    return wait_for_count(client, &w, code, count);
}

enum coord_code coord_latch_get(struct coord_client *client, const char *path, uint32_t *count,
                                struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = look(client, path, true, async_waited, &w, NULL, error);
    }
    return wait_for_count(client, &w, code, count);
}

enum coord_code coord_latch_await(struct coord_client *client, const char *path,
                                  uint64_t wait_ms, struct coord_error *error)
{
    struct async_wait w = {.error = error};
    struct coord_call *call;
    uint64_t now = socket_now_ms();
    uint64_t until =
        wait_ms > 0 && wait_ms < LOOP_NEVER - now ? now + wait_ms : LOOP_NEVER;
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = look(client, path, false, async_waited, &w, &call, error);
    }
    if (code != COORD_OK) {
        return code;
    }
    (void)client_wait(client, &w.is_done, until, NULL);
    if (!w.is_done) { /* and so the client is there */
        coord_cancel(call);
        return client_fail(error, COORD_WAIT_TIMEOUT, "%s: not open within %llu ms", path,
                           (unsigned long long)wait_ms);
    }
    return w.code;
}
