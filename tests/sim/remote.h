/* One gRPC connection of a simulated client's process to one node, and the calls on it.
 *
 * Asynchronous, and as real as the server's side: HTTP/2 by net/http2.h, frames by
 * net/grpc/frame.h, bytes over the simulated network. A connection is made when a call needs
 * one. When it breaks, every call on it ends, and how says what its sender may think:
 *
 *   REMOTE_ANSWERED  a status came
 *   REMOTE_REFUSED   for certain nothing was processed: no connection, or the server said so
 *   REMOTE_LOST      anything may have happened
 *
 * A call is its owner's memory, pinned from remote_call until `ended`, which comes exactly
 * once and never from inside a function called here (but remote_close). In `ended` an owner
 * notes and schedules: its process may be about to end, so that it calls nobody. `message` may
 * come before, once per message. */
#ifndef TESTS_SIM_REMOTE_H
#define TESTS_SIM_REMOTE_H

#include <protobuf-c/protobuf-c.h>

#include "base/list.h"
#include "net/grpc/frame.h"
#include "net/http2.h"
#include "store/types.h"
#include "tests/sim/sim_net.h"

enum remote_end { REMOTE_ANSWERED, REMOTE_REFUSED, REMOTE_LOST };

struct remote {
    struct sim_env *process; /* NULL: dead, nothing can be called */
    uint32_t node;
    struct env_stream *stream; /* NULL: neither connected nor connecting */
    struct http2 *http2;
    struct buf out;
    struct list ended; /* calls whose owners have not been told yet */
    bool is_up;        /* connected at some time: bytes may have gone out */
    bool is_full;      /* the stream takes no more for now */
    bool is_busy;      /* inside http2.h */
    bool is_to_close;  /* once it is not busy any more */
    struct world_event settle;
    uint64_t connected; /* how often, for the trace */
};

struct remote_answer {
    enum remote_end end;
    enum grpc_code code;  /* REMOTE_ANSWERED */
    enum outcome outcome; /* by the trailer coord-outcome, OUTCOME_COUNT = none came */
    uint64_t revision;    /* by coord-revision, 0 = none */
    char text[120];       /* by grpc-message */
};

#define REMOTE_PATH_BYTES 64

struct remote_call {
    struct http2_stream stream; /* first */
    struct remote *remote;      /* NULL: not under way */
    struct list link;
    struct buf in;
    bool hoards;     /* a slow reader: gives no room back until remote_call_read */
    bool has_code;   /* grpc-status has come */
    bool has_status; /* and all the trailers with it */
    bool is_given_up;
    struct remote_answer answer;
    struct world_event limit;
    char path[REMOTE_PATH_BYTES];
    char timeout[GRPC_TIMEOUT_TEXT_BYTES];
    void *owner;
    /* Each message as it comes, borrowed; NULL: the last one is kept for remote_call_reply. */
    void (*message)(struct remote_call *call, struct slice message);
    void (*ended)(struct remote_call *call, const struct remote_answer *answer);
};

void remote_init(struct remote *r, struct sim_env *process, uint32_t node);
/* Ends every call as lost or refused, at once, their owners being told from inside. */
void remote_close(struct remote *r);

/* Begins a call: "/coord.v1.Tree/Get". With `message` NULL nothing is sent yet. A stream
 * stays open for remote_call_send. After `limit_us` by the host's clock the server ends it,
 * and soon after the client; 0 = never. False: no new calls on this connection, which is
 * going away. */
bool remote_call(struct remote *r, struct remote_call *call, const char *path,
                 const ProtobufCMessage *message, bool is_stream, uint64_t limit_us);
/* The same with a message that is packed already. */
bool remote_call_packed(struct remote *r, struct remote_call *call, const char *path,
                        struct slice message, uint64_t limit_us);
void remote_call_send(struct remote_call *call, const ProtobufCMessage *message);
/* The client sends nothing more. */
void remote_call_half_close(struct remote_call *call);
/* The client goes away without waiting: `ended` follows soon. Nothing if it is not under
 * way. */
void remote_call_give_up(struct remote_call *call);
/* A slow reader has read all that came. */
void remote_call_read(struct remote_call *call);
static inline bool remote_call_is_open(const struct remote_call *call)
{
    return call->remote != NULL;
}
/* The one message of a unary reply, unpacked; NULL if there is none. */
void *remote_call_reply(const struct remote_call *call, const ProtobufCMessageDescriptor *type);
/* Frees what a call that is not under way has kept. */
void remote_call_release(struct remote_call *call);

#endif
