/* The typed calls that do not wait: a request out of arguments, a coord_result out of the reply;
 * and waiting for one of them, which is what the blocking calls are. */
#ifndef CLIENT_ASYNC_H
#define CLIENT_ASYNC_H

#include "client/acls.h"
#include "client/call.h"
#include "client/counters.h"

struct async;

/* Fills in what is particular to a reply; what it points to lives as long as `m`, or as what `a`
 * holds. It may change `result->code`, with the reason in a->error. */
typedef void (*async_take_fn)(struct async *a, const ProtobufCMessage *m,
                              struct coord_result *result);

/* The same, and it may keep `*m`, by setting it to NULL. */
typedef void (*async_keep_fn)(struct async *a, ProtobufCMessage **m,
                              struct coord_result *result);

struct async_options {
    enum client_method method;
    async_take_fn take; /* NULL: the reply says nothing more */
    async_keep_fn keep; /* likewise */
    coord_done_fn done;
    void *context;
    struct coord_session session; /* resuming: which one */
    uint64_t needed_session;      /* to be kept alive meanwhile; 0: none */
    const char *note;             /* NULL: the client's; borrowed */
    uint64_t number;              /* for `take` */
};

struct async {
    struct coord_result result;
    struct coord_client *client;
    async_take_fn take;
    async_keep_fn keep;
    coord_done_fn done;
    void *context;
    uint64_t begun_ms;
    struct coord_session session;
    uint64_t needed_session; /* 0: none */
    uint64_t number;
    struct coord_error error;
    void *memory;                /* that the result points to; freed afterwards */
    struct coord_txn_result txn; /* likewise */
    struct coord_acl_list acl;   /* likewise, unless it is taken over */
    struct coord_counter counter;
    struct coord_ids ids;
};

enum coord_code async_start(struct coord_client *client, const struct async_options *options,
                            ProtobufCMessage *request, struct coord_call **call,
                            struct coord_error *error);

/* Whose result it is. */
struct async *async_of(const struct coord_result *result);

/* ---- waiting ---- */

struct async_wait {
    bool is_done;
    enum coord_code code;
    uint64_t count;
    uint64_t lease;
    uint64_t ttl_ms;
    struct coord_lock *lock;
    struct coord_error *error; /* may be NULL */
};

/* COORD_INVALID inside a callback. */
enum coord_code async_may_wait(const struct coord_client *client, struct coord_error *error);
/* A coord_done_fn whose context is a struct async_wait. */
void async_waited(void *context, const struct coord_result *result);
enum coord_code async_wait(struct coord_client *client, struct async_wait *w);

#endif
