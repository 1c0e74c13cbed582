/* Users, roles, and whether anybody is asked who he is. Replicated as keys of SPACE_META, which
 * COMMAND_AUTH alone writes (store/apply_auth.c):
 *
 *   "auth"         ->  "1 3600000 5f0c..."     enabled or not, how long a token is good in ms, and
 *                                              the key that tokens are signed with, in hexadecimal
 *   "user/" + name ->  "3 enabled HASH A B"    generation, enabled or disabled, the hash of the
 *                                              password or "-", the roles in order of name
 *   "limit/" + name -> "100 20 1000 50"        what a user may take: requests a second,
 *                                              connections, watches, leases; 0 = what he wants
 *   "role/" + name ->  "allow 3 /app\n..."     a line for each grant: kind, rights, path; in order
 *                                              of path, allow before deny
 *
 * So they are in the digest, in snapshots and in the change log. This file has what the present
 * keys mean, read anew when one of them changes. Keys and hashes are secrets: no query answers
 * them, nothing logs them.
 *
 * A grant is for its path and all that is below it, by whole components. Of all grants of a
 * caller's roles that name a right and cover a path, those with the longest path count; if one of
 * these denies, the right is denied, else it is allowed. What no grant covers is denied. The role
 * AUTH_ROLE_ROOT is not stored: it is always there, and may do everything. */
#ifndef STORE_AUTH_H
#define STORE_AUTH_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "store/acl.h"
#include "store/types.h"

struct tree;

#define AUTH_NAME_BYTES_MAX  ((size_t)64)
#define AUTH_HASH_BYTES_MAX  ((size_t)256)
#define AUTH_KEY_BYTES       ((size_t)32)
#define AUTH_USERS_MAX       ((uint32_t)10000)
#define AUTH_ROLES_MAX       ((uint32_t)1000)
#define AUTH_USER_ROLES_MAX  ((uint32_t)32)
#define AUTH_ROLE_GRANTS_MAX ((uint32_t)200)

#define AUTH_TOKEN_TTL_MS_MIN     ((uint64_t)1000)
#define AUTH_TOKEN_TTL_MS_MAX     ((uint64_t)30 * 24 * 3600 * 1000)
#define AUTH_TOKEN_TTL_MS_DEFAULT ((uint64_t)3600 * 1000)

#define AUTH_ROLE_ROOT "root"
/* What callers may do who have proved nothing: the role of this name, if there is one. As a user it
 * stands for all of them. */
#define AUTH_ANONYMOUS "anonymous"
/* As a user: who has the identity "super", which no password of a user gives. */
#define AUTH_SUPER "super"

/* As a user: all who have no limits of their own, but for those with the role root. */
#define AUTH_EVERYBODY "*"

#define AUTH_KEY         "auth"
#define AUTH_USER_PREFIX "user/"
#define AUTH_ROLE_PREFIX "role/"
#define AUTH_LIMIT_PREFIX "limit/"

/* Rights are those of lists: enum acl_permission. */
struct auth_rule {
    struct slice path;
    uint8_t allow;
    uint8_t deny;
};

struct auth_role {
    struct slice name;
    struct auth_rule *rules; /* in order of path, each path once */
    uint32_t rule_count;
};

/* How much a user may take; 0 = as much as wanted. Leases (sessions too) are counted in the state,
 * the others by each member for itself. */
struct auth_limits {
    struct slice name; /* a user, AUTH_ANONYMOUS, or AUTH_EVERYBODY */
    uint32_t requests_per_second;
    uint32_t connections;
    uint32_t watches;
    uint32_t leases;
};

struct auth_user {
    struct slice name;
    uint64_t generation; /* moves when what proves the user changes: older tokens are void */
    bool is_disabled;
    bool is_root;      /* has the role AUTH_ROLE_ROOT */
    struct slice hash; /* of the password, as its verifier wants it; empty: has none */
    struct slice *role_names;
    const struct auth_role **roles; /* root is not among them */
    uint32_t role_name_count;
    uint32_t role_count;
};

struct auth {
    uint64_t version; /* the revision at which it was read: as long as it is the same, so is all */
    bool is_enabled;
    uint64_t token_ttl_ms;
    uint8_t key[AUTH_KEY_BYTES];
    struct auth_user *users; /* in order of name */
    struct auth_role *roles; /* in order of name */
    struct auth_limits *limits; /* in order of name */
    uint32_t limit_count;
    uint32_t user_count;
    uint32_t role_count;
    const struct auth_role *anonymous; /* NULL: there is no such role */
    struct arena arena;                /* of all of it */
};

/* Whether a key of SPACE_META is one of these. */
bool auth_is_key(struct slice key);
/* Names of users and roles: 1 to 64 printable ASCII characters, no blank, ':', '/' or ',', and no
 * '-' in front. `what` names the field. */
enum outcome auth_name_check(const char *what, struct slice name, struct errmsg *err);
/* Whether no user can be called so. */
bool auth_name_is_reserved(struct slice name);
/* Whether text can stand for the hash of a password: printable ASCII, no blank. */
bool auth_hash_is_valid(struct slice hash);

void auth_init(struct auth *a);
void auth_close(struct auth *a);
/* Reads the keys anew. False, and nothing changed: one of them is not valid, or there are too
 * many. */
bool auth_read(struct auth *a, const struct tree *t) MUST_USE;

/* NULL: there is none. Valid until the next change. */
const struct auth_user *auth_find_user(const struct auth *a, struct slice name);
const struct auth_role *auth_find_role(const struct auth *a, struct slice name);
/* Those that were set for exactly this name; NULL: none. */
const struct auth_limits *auth_find_limits(const struct auth *a, struct slice name);
/* Those that hold for a user, his own or everybody's; NULL: none, or not asked for. */
const struct auth_limits *auth_limits_of(const struct auth *a, struct slice user);
/* Enabled users with the role root. */
uint32_t auth_root_count(const struct auth *a);

/* The rule for exactly this path; NULL: there is none. */
const struct auth_rule *auth_find_rule(const struct auth_role *role, struct slice path);
/* Whether there are rules for paths below this one, itself apart. */
bool auth_has_rules_below(const struct auth_role *role, struct slice path);

/* Append the values of keys, for whoever writes them. */
void auth_put_settings(struct buf *out, bool is_enabled, uint64_t token_ttl_ms,
                       const uint8_t key[AUTH_KEY_BYTES]);
void auth_put_user(struct buf *out, const struct auth_user *user);
void auth_put_limits(struct buf *out, const struct auth_limits *limits);
void auth_put_role(struct buf *out, const struct auth_rule *rules, uint32_t count);

#endif
