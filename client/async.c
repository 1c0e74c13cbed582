#include "client/async.h"

#include <stdlib.h>

#include "client/client_internal.h"
#include "client/socket.h"

struct async *async_of(const struct coord_result *result)
{
    return (struct async *)(uintptr_t)result; /* it is the first member */
}

static void on_done(void *context, enum coord_code code, ProtobufCMessage **reply,
                    const struct coord_error *error)
{
    struct async *a = context;
    a->error = *error;
    a->result = (struct coord_result){.code = code, .error = &a->error, .path = "", .data = ""};
    if (code == COORD_OK && a->take != NULL) {
        a->take(a, *reply, &a->result);
    }
    if (code == COORD_OK && a->keep != NULL) {
        a->keep(a, reply, &a->result);
    }
    session_need_not(a->client, a->needed_session);
    if (a->done != NULL) {
        a->done(a->context, &a->result);
    }
    coord_txn_clear(&a->txn);
    coord_acl_clear(&a->acl);
    free(a->memory);
    free(a);
}

enum coord_code async_start(struct coord_client *client, const struct async_options *options,
                            ProtobufCMessage *request, struct coord_call **call,
                            struct coord_error *error)
{
    struct async *a = malloc(sizeof *a);
    if (a == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the request");
    }
    *a = (struct async){.client = client,
                        .take = options->take,
                        .keep = options->keep,
                        .done = options->done,
                        .context = options->context,
                        .begun_ms = socket_now_ms(),
                        .session = options->session,
                        .needed_session = options->needed_session,
                        .number = options->number};
    client_enter(client);
    session_need(client, a->needed_session);
    enum coord_code code = client_start_noted(client, options->method, request, options->note,
                                              on_done, a, call, error);
    if (code != COORD_OK) {
        session_need_not(client, a->needed_session);
        free(a);
    }
    client_leave(client);
    return code;
}

enum coord_code async_may_wait(const struct coord_client *client, struct coord_error *error)
{
    return client->depth == 0
               ? COORD_OK
               : client_fail(error, COORD_INVALID, "no call inside a callback may wait");
}

void async_waited(void *context, const struct coord_result *result)
{
    struct async_wait *w = context;
    w->is_done = true;
    w->code = result->code;
    w->count = result->count;
    w->lease = result->lease;
    w->ttl_ms = result->ttl_ms;
    w->lock = result->lock;
    if (w->error != NULL) {
        *w->error = *result->error;
    }
}

enum coord_code async_wait(struct coord_client *client, struct async_wait *w)
{
    (void)client_wait(client, &w->is_done, LOOP_NEVER, NULL); /* it ends by itself */
    return w->code;
}
