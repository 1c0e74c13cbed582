/* Access control lists of nodes: who may do what with a node. Part of libcoord; see client.h for
 * what holds for all of it, and docs/security.md for what is enforced.
 *
 * A node has its own list, nothing is inherited, and a list has its own version, which sets of the
 * node's value leave alone. Paths are those of the client's tree, as everywhere.
 *
 * COORD_DENIED: to read it takes READ or ADMIN on the node, to replace it ADMIN. */
#ifndef CLIENT_ACLS_H
#define CLIENT_ACLS_H

#include "client.h" /* beside this one, in the sources as where it is installed */

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what the shared library shows */
#endif

/* Added up in coord_acl.permissions. */
#define COORD_ACL_READ   1u  /* get, exists, list, watch, guards */
#define COORD_ACL_WRITE  2u  /* set */
#define COORD_ACL_CREATE 4u  /* of children */
#define COORD_ACL_DELETE 8u  /* likewise */
#define COORD_ACL_ADMIN  16u /* the list itself */
#define COORD_ACL_ALL    31u

/* Who, and what they may do. */
struct coord_acl {
    uint32_t permissions;
    /* "world" with "anyone", "digest" with "name:base64(sha1(name:password))", "ip" with an
     * address or address/bits, "x509", "sasl"; to be set also "auth": whatever the call has
     * proved to be. */
    const char *scheme;
    const char *id;
};

struct coord_acl_list {
    const struct coord_acl *entries; /* in the order in which they were set */
    size_t count;
    uint32_t version; /* of the list: coord_stat.acl_version */
    void *memory;     /* private: what the entries point to */
};

/* Of who may not ADMIN, digests are "name:x". `stat` (may be NULL) is the node's. COORD_NOT_FOUND:
 * there is no such node. Free with coord_acl_clear. */
enum coord_code coord_acl_get(struct coord_client *client, const char *path,
                              struct coord_acl_list *list, struct coord_stat *stat,
                              struct coord_error *error);
void coord_acl_clear(struct coord_acl_list *list);
enum coord_code coord_acl_get_async(struct coord_client *client, const char *path,
                                    coord_done_fn done, void *context, struct coord_call **call,
                                    struct coord_error *error);

/* Zero everywhere is the default. */
struct coord_acl_options {
    const struct coord_guard *guards; /* of coord_guard_held: grants that must be held */
    size_t guard_count;
    const char *note; /* why, kept in the history; NULL = the client's */
};

/* Replaces the whole list by these entries, which are borrowed. `version` is the one that the
 * list must have (coord_acl_list.version), or COORD_ANY_VERSION. `options` may be NULL, and so may
 * `stat`, which gets the node's with the list's new version. Repeated as any write, and executed
 * once.
 *
 * COORD_BAD_VERSION: somebody has replaced it since. COORD_INVALID: there is no entry, or one is
 * not valid. COORD_GUARD_STALE: a grant is not held any more. */
enum coord_code coord_acl_set(struct coord_client *client, const char *path,
                              const struct coord_acl *entries, size_t count, int64_t version,
                              const struct coord_acl_options *options, struct coord_stat *stat,
                              struct coord_error *error);
enum coord_code coord_acl_set_async(struct coord_client *client, const char *path,
                                    const struct coord_acl *entries, size_t count,
                                    int64_t version, const struct coord_acl_options *options,
                                    coord_done_fn done, void *context, struct coord_call **call,
                                    struct coord_error *error);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
