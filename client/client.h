/* libcoord: the C client of coord.
 *
 * One client talks to one cluster through a list of endpoints: it stays with one that works,
 * goes on to the next when it does not, and repeats calls as far as that is safe, until they
 * are decided or their time is over. Writes carry a request id, so that repeating them, on any
 * member, returns the first outcome and never executes them twice.
 *
 * Blocking. A client is for one thread at a time and not to be used on both sides of a fork;
 * several clients are independent. The library keeps no global state, starts no thread,
 * installs no signal handler, prints nothing. When there is no memory a call returns
 * COORD_NO_MEMORY; the program is not ended.
 *
 * Ownership: strings and bytes passed in are borrowed until return, and paths are never NULL.
 * What a call fills in is the caller's and is freed as said there; results are only written on
 * COORD_OK. `error` may be NULL everywhere.
 *
 * Installed as <coord/client.h>; docs/libcoord.md has a guide and an example.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct coord_client;

/* What a call came to: outcomes of an operation, and failures on the way there. Only
 * COORD_UNKNOWN, COORD_NO_MEMORY and COORD_INTERNAL leave open whether a write was executed;
 * with all others it was not. Values are stable. */
enum coord_code {
    COORD_OK = 0,
    COORD_NOT_FOUND = 1,    /* node or parent does not exist */
    COORD_EXISTS = 2,       /* node exists already */
    COORD_BAD_VERSION = 3,  /* expected version does not match */
    COORD_NOT_EMPTY = 4,    /* node has children */
    COORD_REFUSED = 5,      /* precondition: a guard, a protected node, freshness */
    COORD_INVALID = 6,      /* path or arguments are not valid */
    COORD_LIMITED = 7,      /* a limit (size, overload) or a full disk */
    COORD_DENIED = 8,       /* not allowed */
    COORD_TIMEOUT = 9,      /* no answer in time */
    COORD_UNAVAILABLE = 10, /* no endpoint reachable, or no quorum */
    COORD_UNKNOWN = 11,     /* a write was sent, and what became of it could not be learned */
    COORD_UNSUPPORTED = 12, /* the server does not know this call */
    COORD_NO_MEMORY = 13,
    COORD_INTERNAL = 14,
};

const char *coord_code_text(enum coord_code code); /* "version does not match"; static */

struct coord_error {
    enum coord_code code;
    int grpc_status;   /* as received, or -1 */
    char outcome[32];  /* what the store decided, such as "NO_NODE"; else "" */
    char message[512]; /* for people: what was wrong with what, and the limit */
};

enum coord_consistency {
    COORD_LINEARIZABLE = 0, /* confirmed with a majority */
    COORD_SESSION = 1,      /* at least as new as all this client has seen */
    COORD_BOUNDED = 2,      /* at most bound_ms old, else COORD_REFUSED */
    COORD_LOCAL = 3,        /* whatever the member at hand has */
};

/* Zero everywhere is the default. */
struct coord_options {
    /* "host:port,host:port,[::1]:7400", at most 64; the port may be left out.
     * NULL = 127.0.0.1:7400. */
    const char *endpoints;
    /* Of a call with all its repeats; 0 = 5000. Not counted: resolving a host name, which takes
     * as long as the system's resolver lets it. */
    uint32_t timeout_ms;
    enum coord_consistency consistency; /* of reads */
    uint64_t bound_ms;                  /* of COORD_BOUNDED */
    const char *note; /* why, kept in the history with each write; at most 1 KiB; may be NULL */
};

/* Checks the options (NULL = defaults) and keeps a copy; the first call connects. COORD_INVALID
 * names what is not valid. Free with coord_close. */
enum coord_code coord_open(const struct coord_options *options, struct coord_client **out,
                           struct coord_error *error);
void coord_close(struct coord_client *client); /* NULL is fine */

struct coord_stat {
    uint64_t create_revision;
    uint64_t modify_revision;
    uint64_t children_revision;
    uint64_t create_time_ms; /* wall clock, since 1970 */
    uint64_t modify_time_ms;
    uint64_t children_version; /* creates plus deletes of children */
    uint64_t sequence_next;    /* of the next sequential child */
    uint64_t lease;
    uint64_t ttl_ms;
    uint32_t version; /* sets since the create */
    uint32_t acl_version;
    uint32_t data_bytes;
    uint32_t child_count;
    int kind; /* 0 persistent, 1 ephemeral, 2 container, 3 ttl */
};

#define COORD_ANY_VERSION (-1)

enum coord_create_flags {
    COORD_SEQUENTIAL = 1,   /* appends the parent's counter to the path, ten digits at least */
    COORD_MAKE_PARENTS = 2, /* creates missing ancestors, empty */
};

/* `real_path` (may be NULL) gets the path with its sequence number; free(3) it. `stat` may be
 * NULL here and everywhere. */
enum coord_code coord_create(struct coord_client *client, const char *path, const void *data,
                             size_t bytes, int flags, char **real_path, struct coord_stat *stat,
                             struct coord_error *error);

/* `data` gets a zero-terminated copy of the value; free(3) it. `bytes` may be NULL. */
enum coord_code coord_get(struct coord_client *client, const char *path, void **data,
                          size_t *bytes, struct coord_stat *stat, struct coord_error *error);

/* A node that does not exist is COORD_OK with `exists` false. */
enum coord_code coord_exists(struct coord_client *client, const char *path, bool *exists,
                             struct coord_stat *stat, struct coord_error *error);

/* `version` is the one the node must have (coord_stat.version), or COORD_ANY_VERSION. */
enum coord_code coord_set(struct coord_client *client, const char *path, const void *data,
                          size_t bytes, int64_t version, struct coord_stat *stat,
                          struct coord_error *error);

/* `recursive` takes all descendants with it, atomically; else they are COORD_NOT_EMPTY. `count`
 * (may be NULL) gets the number of nodes deleted. */
enum coord_code coord_delete(struct coord_client *client, const char *path, int64_t version,
                             bool recursive, uint64_t *count, struct coord_error *error);

struct coord_names {
    char **names; /* of the children, without their parent's path, in order */
    size_t count;
};
/* All children, however many pages that takes. Each page is as fresh as asked; children that
 * come or go between two pages may be in the list or not. Free with coord_names_clear. */
enum coord_code coord_list(struct coord_client *client, const char *path,
                           struct coord_names *list, struct coord_error *error);
void coord_names_clear(struct coord_names *list);

/* Returns when the member spoken to has all that was committed when the call began. */
enum coord_code coord_sync(struct coord_client *client, struct coord_error *error);

/* The highest revision that any reply to this client carried; 0 before the first. */
uint64_t coord_revision(const struct coord_client *client);

#ifdef __cplusplus
}
#endif

#endif
