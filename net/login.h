/* Names and passwords, for all protocols alike: checked and hashed on a worker, a bounded
 * number at a time, and not for those who guess.
 *
 *   login_begin --known to be right, refused--> at once
 *               --else--> LOGIN_PENDING --> done, on the loop
 *
 * A password that was right is remembered by a keyed hash until its user changes, so that
 * clients which send it with each request cost a worker only once; one that was wrong too, for
 * the source (net/source.h) that sent it. A source from which too many wrong ones came is
 * refused for a while, and has no more than half of the places in the queue; one and the same,
 * sent again and again by a program that does not know better, is no guess and counts once.
 * Names that do not exist take as long as those that do. */
#ifndef NET_LOGIN_H
#define NET_LOGIN_H

#include "base/env.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/password.h"
#include "store/auth.h"

struct login;
struct login_job;
struct logins;
struct node;

#define LOGIN_PENDING_MAX        ((size_t)64)
#define LOGIN_PENDING_OF_ONE_MAX ((size_t)32) /* from one source (net/source.h) */
#define LOGIN_FAILURES_MAX 10    /* of one source, in */
#define LOGIN_WINDOW_MS    60000 /* this time */

enum login_result {
    LOGIN_OK,
    LOGIN_WRONG,   /* no such user, not his password, or disabled: which, is not told */
    LOGIN_LIMITED, /* too many wrong ones came from this address */
    /* LOGIN_PENDING_MAX are under way, or LOGIN_PENDING_OF_ONE_MAX of this source; or there was no
     * memory to look */
    LOGIN_BUSY,
    LOGIN_PENDING,
};

/* The caller's memory, pinned until `done`. */
struct login {
    void (*done)(struct login *l, enum login_result result);
    void *owner;
    uint8_t user[AUTH_NAME_BYTES_MAX]; /* login_begin: LOGIN_OK: who it is */
    size_t user_bytes;
    uint64_t generation;
    struct buf hash; /* login_hash: LOGIN_OK: the caller's to close */
    /* private */
    struct login_job *job; /* NULL: nothing is under way */
};

/* One for all connections of a node. `log` and `metrics` may be NULL. */
struct logins *logins_new(struct env *env, const struct node *node, struct log *log,
                          struct metrics *metrics);
/* Nothing that was begun completes any more. */
void logins_free(struct logins *s); /* NULL is fine */

/* `peer` is the client's address, as front_env has it. */
enum login_result login_begin(struct logins *s, struct login *l, struct slice user,
                              struct slice password, const char *peer);
/* Hashes a new password. LOGIN_PENDING or LOGIN_BUSY; then LOGIN_OK, or LOGIN_BUSY: there was
 * no memory for it. */
enum login_result login_hash(struct logins *s, struct login *l, struct slice password);
/* No completion follows. Nothing happens if nothing is under way. */
void login_cancel(struct login *l);

#endif
