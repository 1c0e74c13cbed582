/* libcoord: the C client of coord.
 *
 * One client talks to one cluster through a list of endpoints: it stays with one that works, goes on
 * to the next when it does not, and repeats calls as far as that is safe. Writes carry a request id,
 * so that repeating them, on any member, returns the first outcome and never executes them twice.
 *
 * Blocking; a client is for one thread at a time, several clients are independent. The library
 * starts no thread, installs no signal handler, prints nothing. Installed as <coord/client.h>.
 *
 * Ownership: strings and bytes passed in are borrowed until return; what a call fills in is the
 * caller's and is freed with the function named there.
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

/* What a call came to. Outcomes of an operation and failures of the way there, told apart. */
enum coord_code {
    COORD_OK = 0,
    COORD_NOT_FOUND,    /* node or parent does not exist */
    COORD_EXISTS,       /* node exists already */
    COORD_BAD_VERSION,  /* expected version does not match */
    COORD_NOT_EMPTY,    /* node has children */
    COORD_REFUSED,      /* guard, protected node, precondition */
    COORD_INVALID,      /* path or arguments not valid, too large */
    COORD_LIMITED,      /* a limit, a full disk, overload: nothing was executed */
    COORD_DENIED,       /* not allowed */
    COORD_TIMEOUT,      /* no answer in time; a write may or may not have been executed */
    COORD_UNAVAILABLE,  /* no endpoint reachable, or no quorum; nothing was executed */
    COORD_UNKNOWN,      /* a write whose outcome could not be learned */
    COORD_UNSUPPORTED,  /* the server does not know this call */
    COORD_NO_MEMORY,
    COORD_INTERNAL,
};

const char *coord_code_text(enum coord_code code);

struct coord_error {
    enum coord_code code;
    int grpc_status;   /* as received, or -1 */
    char outcome[32];  /* such as "NO_NODE"; "" if the call was not decided */
    char message[512]; /* for people: names what was wrong, and the limit */
};

enum coord_consistency {
    COORD_LINEARIZABLE = 0,
    COORD_SESSION = 1, /* at least as new as all this client has seen */
    COORD_BOUNDED = 2, /* at most bound_ms old */
    COORD_LOCAL = 3,
};

struct coord_options {
    const char *endpoints; /* "host:port,host:port,[::1]:7400"; NULL = 127.0.0.1:7400 */
    uint32_t timeout_ms;   /* of a call with all its repeats; 0 = 5000 */
    enum coord_consistency consistency; /* of reads */
    uint64_t bound_ms;
    const char *note; /* why, kept in the history with each write; may be NULL */
};

/* Checks the options and remembers them; connects with the first call. COORD_INVALID names the
 * endpoint that cannot be parsed. Free with coord_close. */
enum coord_code coord_open(const struct coord_options *options, struct coord_client **out,
                           struct coord_error *error);
void coord_close(struct coord_client *client); /* NULL is fine */

struct coord_stat {
    uint64_t create_revision;
    uint64_t modify_revision;
    uint64_t children_revision;
    uint64_t create_time_ms;
    uint64_t modify_time_ms;
    uint64_t children_version;
    uint64_t sequence_next;
    uint64_t lease;
    uint64_t ttl_ms;
    uint32_t version;
    uint32_t acl_version;
    uint32_t data_bytes;
    uint32_t child_count;
    int kind; /* 0 persistent, 1 ephemeral, 2 container, 3 ttl */
};

#define COORD_ANY_VERSION (-1)

enum coord_create_flags { COORD_SEQUENTIAL = 1, COORD_MAKE_PARENTS = 2 };

/* `real_path` (may be NULL) gets the path with its sequence number; free(3) it. */
enum coord_code coord_create(struct coord_client *client, const char *path, const void *data,
                             size_t bytes, int flags, char **real_path, struct coord_stat *stat,
                             struct coord_error *error);

/* `data` gets a zero-terminated copy of the value; free(3) it. */
enum coord_code coord_get(struct coord_client *client, const char *path, void **data,
                          size_t *bytes, struct coord_stat *stat, struct coord_error *error);

enum coord_code coord_exists(struct coord_client *client, const char *path, bool *exists,
                             struct coord_stat *stat, struct coord_error *error);

enum coord_code coord_set(struct coord_client *client, const char *path, const void *data,
                          size_t bytes, int64_t version, struct coord_stat *stat,
                          struct coord_error *error);

/* `count` (may be NULL) gets the number of nodes deleted. */
enum coord_code coord_delete(struct coord_client *client, const char *path, int64_t version,
                             bool recursive, uint64_t *count, struct coord_error *error);

struct coord_list {
    char **names; /* children, in order */
    size_t count;
};
/* All children, however many pages that takes. */
enum coord_code coord_list(struct coord_client *client, const char *path, struct coord_list *list,
                           struct coord_error *error);
void coord_list_clear(struct coord_list *list);

/* Returns when the member spoken to has all that was committed when the call began. */
enum coord_code coord_sync(struct coord_client *client, struct coord_error *error);

/* Revision and applied index of the newest reply, 0 before the first. */
uint64_t coord_revision(const struct coord_client *client);

#ifdef __cplusplus
}
#endif

#endif
