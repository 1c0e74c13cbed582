/* One gRPC call on a connection, unary or a stream of messages: a request's headers, messages each
 * way, and how it ended. */
#ifndef CLIENT_EXCHANGE_H
#define CLIENT_EXCHANGE_H

#include "client/connection.h"
#include "net/grpc/frame.h"
#include "net/http2.h"

#define EXCHANGE_MESSAGE_BYTES_MAX ((size_t)64 << 20)
#define EXCHANGE_DIGESTS_MAX       8

/* What exchange_take finds. From EXCHANGE_ANSWERED on it is the exchange's end, and how far it got
 * decides whether it may be repeated. */
enum exchange_result {
    EXCHANGE_QUIET,       /* nothing, for now */
    EXCHANGE_MESSAGE,     /* the next message */
    EXCHANGE_ANSWERED,    /* there is a grpc-status */
    EXCHANGE_UNREACHABLE, /* there was no connection: certainly not processed */
    EXCHANGE_NOT_SENT,    /* certainly not processed */
    EXCHANGE_LOST,        /* sent, no answer: it may have been processed */
    EXCHANGE_NO_MEMORY, /* for the request: not sent; for the reply: it may have been processed */
    EXCHANGE_TOO_LARGE, /* a message is above EXCHANGE_MESSAGE_BYTES_MAX */
};

struct exchange_answer {
    enum grpc_code code; /* EXCHANGE_ANSWERED */
    char outcome[32];    /* trailer coord-outcome */
    char text[512];      /* grpc-message, or why there was no answer */
    bool was_sent;       /* EXCHANGE_NO_MEMORY */
};

/* Zeroed before its first use, exchange_release after the last; pinned while it is under way. */
struct exchange {
    struct connection *connection; /* read only; NULL: it is not under way */
    struct exchange_answer answer; /* once it has ended */
    uint64_t heard_ms;             /* read only: when anything came for it last, or it began */
    uint64_t begun_ms;             /* read only */
    /* private */
    void (*changed)(struct exchange *x);
    struct http2_stream stream;
    struct list link; /* the connection's */
    struct list news; /* likewise: something is to be told */
    struct buf in;
    size_t in_taken; /* of `in`: messages handed out before */
    struct buf text;
    struct buf detail; /* trailer coord-deadlock-bin: what it says, decoded */
    long http_status;
    bool has_code;   /* a grpc-status has come */
    bool has_status; /* and the whole list that it was in */
    bool has_ended;  /* the server's half */
    bool was_refused;
    bool is_too_large;
    bool has_no_memory;
};

/* Once it has ended: the bytes of the trailer that says more of a refusal; none: it has not come,
 * or there was no memory for it. Valid until the exchange is released, or begun anew. */
static inline struct slice exchange_detail(const struct exchange *x)
{
    return buf_slice(&x->detail);
}

struct exchange_request {
    const char *path;          /* borrowed, as all of this */
    const char *authorization; /* the header's value; NULL: none */
    const char *const *digests; /* values of as many headers coord-digest */
    size_t digest_count;        /* at most EXCHANGE_DIGESTS_MAX */
    uint64_t timeout_ms;       /* that the server is told; 0: none */
    /* Called from the loop, never from inside exchange_begin, when exchange_take may have
     * something. */
    void (*changed)(struct exchange *x);
};

/* Begins it. Not EXCHANGE_QUIET: it did not begin, see x->answer.text. */
enum exchange_result exchange_begin(struct connection *c, struct exchange *x,
                                    const struct exchange_request *r);
/* Hands a message over. False: no memory; the exchange must be canceled. What else may be wrong,
 * exchange_take tells. */
bool exchange_send(struct exchange *x, struct slice message);
/* Nothing more will be sent. */
void exchange_finish(struct exchange *x);
/* The message is borrowed until the next call for this exchange. */
enum exchange_result exchange_take(struct exchange *x, struct slice *message);
/* Gives it up; nothing more is told of it. Nothing if it is not under way. */
void exchange_cancel(struct exchange *x);
/* The same, for nothing came of it in time: if nothing else came on its connection either, that
 * one is not used again. */
void exchange_give_up(struct exchange *x);
/* Cancels, and frees what it holds. */
void exchange_release(struct exchange *x);

#endif
