/* Sessions, by which a process says that it is alive, and leases. Part of libcoord; see client.h,
 * which includes it, for what holds for all of it. */
#ifndef CLIENT_SESSIONS_H
#define CLIENT_SESSIONS_H

#include "core.h" /* beside this one, in the sources as where it is installed */

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what the shared library shows */
#endif

/* ---- sessions --------------------------------------------------------------------------- */

/* A session is how a process says that it is alive: as long as it is kept alive, its ephemeral
 * nodes exist; when it ends they go, all in one revision. A client has one session at most.
 * From then on its writes are made in the session's name, each once, by sequence numbers.
 *
 * Whoever acts on what the session protects must stop when coord_session_trusted_ms has come
 * down to 0: by then the cluster may have given the session up. */

#define COORD_SECRET_BYTES 16

struct coord_session {
    uint64_t id;
    unsigned char secret[COORD_SECRET_BYTES]; /* whoever has it can take the session over */
    uint64_t ttl_ms;
};

/* SAFE: nobody else can have taken the place of this process. UNSAFE: nothing was confirmed for 0.8
 * of the TTL, so that the cluster may give the session up from now on; it may become SAFE again.
 * LOST: the cluster says that it is over, or somebody else's; nothing follows. */
enum coord_session_state {
    COORD_SESSION_SAFE = 1,
    COORD_SESSION_UNSAFE = 2,
    COORD_SESSION_LOST = 3,
};
typedef void (*coord_session_fn)(void *context, enum coord_session_state state,
                                 const struct coord_error *why);

/* Begins a session and makes it the client's. `ttl_ms` is brought into 500 to 86400000, 0 =
 * 10000; `owner` (may be NULL) says who it is for, to people. COORD_INVALID if the client has
 * one already that has not ended. */
enum coord_code coord_session_open(struct coord_client *client, uint64_t ttl_ms,
                                   const char *owner, struct coord_error *error);
/* Takes a session over, with its full TTL: after a restart, or from another process, whose
 * writes are then refused. `ttl_ms` 0 = as before. COORD_SESSION_ENDED, COORD_BAD_SECRET. */
enum coord_code coord_session_resume(struct coord_client *client, uint64_t id,
                                     const void *secret, uint64_t ttl_ms,
                                     struct coord_error *error);
/* Uses a session that somebody else holds and keeps alive, and goes on to hold: writes are made
 * in its name, but by request ids. Checks the credentials by a keepalive. */
enum coord_code coord_session_attach(struct coord_client *client, uint64_t id,
                                     const void *secret, struct coord_error *error);

/* From now on the session keeps itself alive, at any member, and `changed` is told what becomes of
 * it, beginning from SAFE: as long as the client is driven, by an event loop, coord_run, or the
 * calls that wait. NULL: no longer. COORD_INVALID: the client has no session. */
enum coord_code coord_session_follow(struct coord_client *client, coord_session_fn changed,
                                     void *context, struct coord_error *error);

/* Without coord_session_follow, keeps it alive: call it every third of the TTL
 * (coord_session_due_ms), from the thread that uses the client. COORD_OK: the cluster has
 * confirmed it. Goes on to other endpoints when one fails. COORD_TIMEOUT or COORD_UNAVAILABLE: not
 * confirmed within the client's timeout, or before trust ended if that was sooner; try again.
 * COORD_SESSION_ENDED: it is over. */
enum coord_code coord_session_keepalive(struct coord_client *client, struct coord_error *error);
/* How long from now the session certainly lives: 0.8 of the TTL, which covers clocks that run
 * 10 % apart, counted from the sending of what was last confirmed; time in which the machine is
 * suspended counts too, as far as its kernel knows of it. 0: no session, or it may have ended. */
uint64_t coord_session_trusted_ms(const struct coord_client *client);
/* How long from now until the next keepalive should be sent; 0 = now. */
uint64_t coord_session_due_ms(const struct coord_client *client);
/* False: the client has no session. */
bool coord_session_info(const struct coord_client *client, struct coord_session *info);

/* Ends it, and with it its ephemeral nodes; `removed` (may be NULL) gets their number. Whatever
 * this returns, the client has no session any more. */
enum coord_code coord_session_close(struct coord_client *client, uint64_t *removed,
                                    struct coord_error *error);
/* As above. The client has no session any more when coord_session_close_async has returned. */
enum coord_code coord_session_open_async(struct coord_client *client, uint64_t ttl_ms,
                                         const char *owner, coord_done_fn done, void *context,
                                         struct coord_call **call, struct coord_error *error);
enum coord_code coord_session_resume_async(struct coord_client *client, uint64_t id,
                                           const void *secret, uint64_t ttl_ms,
                                           coord_done_fn done, void *context,
                                           struct coord_call **call, struct coord_error *error);
enum coord_code coord_session_close_async(struct coord_client *client, coord_done_fn done,
                                          void *context, struct coord_call **call,
                                          struct coord_error *error);
/* Forgets it; it lives on, until it expires or another process resumes it. */
void coord_session_detach(struct coord_client *client);

/* ---- leases ----------------------------------------------------------------------------- */

/* What ephemeral nodes can be attached to besides a session: no credentials, no sequence. */
struct coord_lease {
    uint64_t id;
    uint64_t ttl_ms;
    uint64_t attached;   /* nodes */
    uint64_t granted_ms; /* wall clock, since 1970 */
    uint64_t generation; /* times it was resumed */
    bool is_session;
    bool is_renewable;
    const char *owner;
};

/* `ttl_ms`: 500 to 86400000, else COORD_INVALID. */
enum coord_code coord_lease_grant(struct coord_client *client, uint64_t ttl_ms,
                                  const char *owner, uint64_t *id, struct coord_error *error);
/* `ttl_ms` (may be NULL) gets what it lives for from the sending of this call; trust 0.8 of it.
 * COORD_NOT_FOUND: it has ended. */
enum coord_code coord_lease_keepalive(struct coord_client *client, uint64_t id,
                                      uint64_t *ttl_ms, struct coord_error *error);
enum coord_code coord_lease_revoke(struct coord_client *client, uint64_t id, uint64_t *removed,
                                   struct coord_error *error);

enum coord_code coord_lease_grant_async(struct coord_client *client, uint64_t ttl_ms,
                                        const char *owner, coord_done_fn done, void *context,
                                        struct coord_call **call, struct coord_error *error);
enum coord_code coord_lease_keepalive_async(struct coord_client *client, uint64_t id,
                                            coord_done_fn done, void *context,
                                            struct coord_error *error);
enum coord_code coord_lease_revoke_async(struct coord_client *client, uint64_t id,
                                         coord_done_fn done, void *context,
                                         struct coord_call **call, struct coord_error *error);

struct coord_lease_info {
    struct coord_lease lease;
    uint64_t remaining_ms; /* by the leader's clock */
    char **paths;          /* of the attached nodes, in order; all of them */
    size_t path_count;
};
/* Of a lease or session. Free with coord_lease_info_clear. */
enum coord_code coord_lease_ttl(struct coord_client *client, uint64_t id, bool with_paths,
                                struct coord_lease_info *info, struct coord_error *error);
void coord_lease_info_clear(struct coord_lease_info *info);

struct coord_leases {
    struct coord_lease *leases; /* in order of id */
    size_t count;
};
/* All leases, and sessions. Free with coord_leases_clear. */
enum coord_code coord_lease_list(struct coord_client *client, struct coord_leases *list,
                                 struct coord_error *error);
void coord_leases_clear(struct coord_leases *list);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
