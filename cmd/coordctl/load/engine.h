/* Connections with slots for requests, turned by one epoll loop; and what a protocol has to do for
 * it. Nothing here knows of workloads: `struct load_user` chooses requests and takes answers.
 *
 *   connection   CLOSED -> [CONNECTING ->] GREETING -> OPEN -> (lost, or opened again) CLOSED
 *   slot         free -> next() chose a request -> busy -> answered -> free
 *
 * No memory is allocated for a request: slots and buffers are kept. */
#ifndef CMD_COORDCTL_LOAD_ENGINE_H
#define CMD_COORDCTL_LOAD_ENGINE_H

#include "base/buf.h"
#include "cmd/coordctl/load/load.h"

enum load_op {
    LOAD_OP_SET,
    LOAD_OP_GET,
    LOAD_OP_CREATE,
    LOAD_OP_DELETE,
    LOAD_OP_OPEN,     /* a session */
    LOAD_OP_CLOSE,
    LOAD_OP_ACQUIRE,  /* a lock, in the slot's session */
    LOAD_OP_RELEASE,
    LOAD_OP_CAMPAIGN, /* in an election, likewise */
    LOAD_OP_RESIGN,
    LOAD_OP_REVISION, /* asks for the server's revision */
    LOAD_OP_WATCH,    /* never answered: events come */
    LOAD_OPS,
};

struct load_engine;
struct load_connection;

struct load_slot {
    struct load_connection *connection;
    size_t number; /* within the connection */
    bool is_busy;
    uint64_t began_us;
    /* the request */
    enum load_op op;
    struct slice path; /* of the node; borrowed from path_text or the user */
    char path_text[96];
    size_t watches; /* LOAD_OP_WATCH */
    /* a session, between LOAD_OP_OPEN and LOAD_OP_CLOSE */
    uint64_t session;
    uint8_t secret[COORD_SECRET_BYTES];
    /* a lock, from LOAD_OP_ACQUIRE on, or an election, from LOAD_OP_CAMPAIGN on */
    uint64_t lock;      /* its number */
    uint64_t grant;     /* the revision that created the entry at `path`; 0: it is not held */
    /* the dialect's */
    uint32_t stream;
    int32_t code;
    bool has_status;
    char text[96];   /* why it was refused */
    int64_t window;
    struct buf body; /* what could not be sent at once */
    size_t sent;
    struct buf reply;
    size_t received;
    uint64_t revision;
};

enum load_state {
    LOAD_CLOSED,
    LOAD_CONNECTING, /* of one that was lost: the others are not to wait for it */
    LOAD_GREETING,
    LOAD_OPEN
};

struct load_connection {
    struct load_engine *engine;
    const struct endpoint *endpoint;
    enum load_state state;
    struct wire wire;
    struct buf in;
    struct buf out;
    bool waits_to_write;
    uint64_t retry_us;   /* of a closed one: when it is opened again; CONNECTING: looked at */
    struct load_slot *slots;
    struct load_slot **free;
    size_t free_count;
    uint64_t applied_index; /* as the last reply told */
    void *state_of_dialect;
};

struct load_dialect {
    const char *name;
    bool sessions_are_connections;
    void *(*open)(struct load_connection *c);
    void (*close)(void *state);
    /* Puts the first bytes of a connection into `out`. */
    void (*greet)(struct load_connection *c);
    /* Takes what arrived; returns how much of it. Calls load_greeted, load_answered, load_event,
     * load_failed. */
    size_t (*feed)(struct load_connection *c, struct slice bytes);
    /* Puts the request of a slot. */
    void (*put)(struct load_connection *c, struct load_slot *s);
    /* Once a second: what keeps an idle connection. May be NULL. */
    void (*tick)(struct load_connection *c);
    /* Puts what ends an open connection well; load_ended follows when it has. May be NULL. */
    void (*bye)(struct load_connection *c);
};

extern const struct load_dialect load_grpc;
extern const struct load_dialect load_etcd;
extern const struct load_dialect load_zookeeper;

struct load_user {
    /* Chooses the request of a free slot. False: nothing (more) to do for it. */
    bool (*next)(void *owner, struct load_slot *s);
    /* `ok`: acknowledged. Else it was refused (s->text), or lost with its connection. */
    void (*answered)(void *owner, struct load_slot *s, bool ok, bool lost);
    void (*event)(void *owner, struct load_connection *c, uint64_t watch, uint64_t revision);
    /* More than twenty times a second. */
    void (*turn)(void *owner);
    void *owner;
};

struct load_engine {
    const struct load_options *options;
    const struct load_dialect *dialect;
    struct load_user user;
    int epoll;
    struct load_connection *connections;
    size_t connection_count;
    size_t slots_each;
    size_t open_count;
    size_t busy;
    uint64_t now_us; /* as of the last look */
    uint64_t ticked_us;
    uint64_t searched_us;
    struct slice value;
    bool owns_sessions; /* the work is sessions, and those are connections */
    bool failed;
    char why[256];
};

uint64_t load_now_us(void);

/* Connects all; the last `extra` have one slot and belong to nobody's share of the load. False:
 * e->why says why not. To be closed either way. */
bool load_engine_open(struct load_engine *e, const struct load_options *options, size_t extra);
void load_engine_close(struct load_engine *e);
/* Before that, where the server would else keep sessions and miss their clients later. */
void load_engine_say_bye(struct load_engine *e);

/* Begins what `next` offers for free slots. */
void load_engine_fill(struct load_engine *e);
/* Waits for something to happen, at most 50 ms, and does what is to be done then. */
void load_engine_turn(struct load_engine *e);

/* ---- for dialects ------------------------------------------------------------------------ */

void load_greeted(struct load_connection *c);
/* Frees the slot; `next` is asked when all that has arrived was taken. */
void load_answered(struct load_slot *s, bool ok);
void load_event(struct load_connection *c, uint64_t watch, uint64_t revision);
/* The connection is over as it should be: its session was closed. */
void load_ended(struct load_connection *c);
/* The connection cannot be used any more. */
void load_failed(struct load_connection *c, const char *why);

#endif
