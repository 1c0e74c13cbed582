/* What the rest of the client must know about its session (client/client.h has the API). */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include "client/keepalive.h"

struct client_session {
    uint64_t id; /* 0: none */
    uint8_t secret[COORD_SECRET_BYTES];
    uint64_t ttl_ms;
    bool has_sequence;     /* opened or resumed here: nobody else counts */
    bool has_ended;        /* as the cluster said */
    uint64_t sequence;     /* of the last write */
    uint64_t confirmed_ms; /* when that was sent which was confirmed last */
    struct keepalive keepalive;
    /* it keeps itself alive, and tells its owner */
    coord_session_fn changed; /* NULL: it does not, but for `needs` */
    size_t needs;             /* locks that are followed, or waited for */
    void *context;
    enum coord_session_state told;
    bool is_asking;
    struct keepalive_question question;
    struct loop_timer timer;
    unsigned failures;          /* keepalives since the last one that was confirmed */
    struct coord_error trouble; /* why the last keepalive was not confirmed */
};

void session_init(struct coord_client *client);
/* Forgets the session and closes its stream. */
void session_forget(struct coord_client *client);
/* As long as somebody needs it, it keeps itself alive. Nothing if it is not the client's. */
void session_need(struct coord_client *client, uint64_t id);
void session_need_not(struct coord_client *client, uint64_t id);
/* The cluster says so, of this one. True: that is new, and to be told. */
bool session_mark_ended(struct coord_client *client, uint64_t id);
/* Calls its owner, who may cancel calls and open another session; nothing if he has done so. */
void session_tell_ended(struct coord_client *client, uint64_t id,
                        const struct coord_error *error);

#endif
