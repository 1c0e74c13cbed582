/* What call.c (tries) and call_begin.c (what comes before them) share. */
#ifndef CLIENT_CALL_INTERNAL_H
#define CLIENT_CALL_INTERNAL_H

#include "client/call.h"
#include "client/client_internal.h"
#include "client/exchange.h"

#define CALLS_IN_FLIGHT_MAX 100 /* what a server may be asked at a time before it says so */

#define CALL_ATTEMPT_MS  2000 /* for a try of the first round */
#define CALL_PAUSE_MS    10   /* after the first round */
#define CALL_LAST_TRY_MS 250  /* in less time nothing better comes than what is known */

/* Of a call that waits: how often its server is asked for a sign of life, and after how much
 * silence it is given up; both no more than these parts of the client's timeout. */
#define CALL_LOOK_MS    1000 /* and an eighth */
#define CALL_SILENCE_MS 4000 /* and a half */
#define CALL_QUEUED_MS  12000 /* what was not refused for so long has been queued */

enum call_state {
    CALL_QUEUED = 0,
    CALL_GATED,
    CALL_TRYING,
    CALL_UNSENT, /* a try that did not begin */
    CALL_PAUSING,
    CALL_FAILED, /* before any try */
};

/* One call, over all its tries. */
struct coord_call {
    struct list link; /* the client's calls, or queued_calls */
    struct coord_client *client;
    enum call_state state;
    const struct method *method;
    struct method own;      /* of one that the table does not know */
    char *own_path;         /* likewise; else NULL */
    bool is_once;           /* not repeated once it was perhaps executed */
    struct call_bytes *raw; /* where the reply's bytes are wanted, whole; NULL: nowhere */
    struct call_bytes raw_reply;
    uint8_t *body; /* the request without its header, packed */
    size_t body_bytes;
    call_done_fn done;
    void *context;
    char *note; /* NULL: the client's */
    struct gate_waiter waiter;
    struct loop_timer timer; /* TRYING, PAUSING: until when */
    struct exchange exchange;
    uint64_t deadline_ms;
    uint64_t attempt_ms;
    uint64_t pause_ms;
    size_t tries;
    size_t endpoint;             /* of this try */
    enum exchange_result unsent; /* UNSENT: why */
    uint64_t tried_ms;           /* since when */
    bool is_login;               /* asks for the token that others show */
    bool is_left;                /* nobody is told: what it asked for is given up */
    bool was_alive;              /* the server, while it waited in this try */
    bool is_troubled;            /* its time counts, as a try has ended that waited */
    uint64_t login;              /* number of the one that this try shows */
    bool was_renewed;            /* with another token */
    bool maybe_executed;         /* a write, by an earlier try */
    bool was_answered; /* some endpoint did: more telling than those that cannot be reached */
    /* who asks, as of the beginning */
    uint64_t session_id; /* 0: none */
    uint64_t sequence;   /* 0: none */
    bool has_id;
    bool had_other_id;
    Coord__V1__RequestId id;
    ProtobufCMessage *reply;
    enum coord_code reply_code; /* why there is none */
    struct coord_error error;
};

static inline bool call_is_write(const struct coord_call *call)
{
    return call->method->kind != METHOD_READ;
}

/* Its answer takes as long as it takes. */
static inline bool call_waits(const struct coord_call *call)
{
    return method_waits(call->method) && !call->is_left;
}

/* ---- call.c */
void call_try(struct coord_call *call);
void call_on_timer(struct loop_timer *t);
void call_give_up(struct coord_call *call); /* out of time; `call->error` is the last reason */
void call_finish(struct coord_call *call);  /* `call->error` is the outcome */
/* Ends it for its caller, with `call->error`, as call_finish does; one that waits, and that may
 * have been sent, goes on by itself and gives up what it asked for. */
void call_leave(struct coord_call *call);

/* ---- call_begin.c */
void call_free(struct coord_call *call);
/* Gets what the call must show, then tries. */
void call_prepare(struct coord_call *call);
/* As many as may go. */
void call_start_queued(struct coord_client *client);
/* The request as it is sent now, free(3). NULL: no memory. */
uint8_t *call_pack(const struct coord_call *call, struct slice *message);

#endif
