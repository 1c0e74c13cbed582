/* Who may do what: THE place where it is decided, for commands, queries, watches and calls alike.
 *
 * A right to a node takes two things: that the caller's roles allow it on the node's path
 * (store/auth.h; asked only while authentication is enabled), and that the node's own list does
 * (store/acl.h). A caller is looked at once per command, query or event, from its identities alone
 * and the replicated state, so that all members decide alike.
 *
 *   read     get, exists, list, guards, checks of versions, watches, history, paths of a lease
 *   write    set                             create, delete    the node at the path
 *   admin    lists; at "/": users, roles, policies, members, backups, leases of others
 *
 * Roles are asked about the path of the node itself, lists of create and delete are those of its
 * parent, as in ZooKeeper. Keys of SPACE_META take admin at "/". A sequential create is asked for
 * any child of the parent, and then for the path that it gets.
 *
 * Who is "super" passes everything; while authentication is enabled, so does a user with the role
 * root. While it is disabled, roles are not asked. Of a user who has changed his password since he
 * proved to be himself nothing is believed (IDENTITY_PROOF), whichever member was told the old one.
 * Pure; the state must not change while a `struct
 * access` is in use. */
#ifndef STORE_ACCESS_H
#define STORE_ACCESS_H

#include "store/auth.h"

struct change;
struct lease;
struct store;

struct access {
    const struct store *store;
    struct slice identities;
    struct slice user;  /* AUTH_ANONYMOUS: has not proved to be one; empty while disabled */
    bool is_somebody;   /* not just anybody, or the role of those exists; and not disabled */
    bool by_rules;      /* roles are asked */
    bool is_unlimited;  /* by root or super, with authentication enabled: nothing is asked */
    uint32_t role_count;
    const struct auth_role *const *roles;
    const struct auth_role *anonymous; /* what `roles` points to, of those who are no user */
};

/* Looks at the caller. */
void access_begin(struct access *a, const struct store *s, struct slice identities);

/* Whether roles allow one of these rights (enum acl_permission) on a path, which need not exist. */
bool access_rules(const struct access *a, uint32_t rights, uint8_t space, struct slice path);
static inline bool access_path(const struct access *a, uint32_t rights, uint8_t space,
                               struct slice path)
{
    return !a->by_rules || access_rules(a, rights, space, path);
}
/* The same with a node in its slot for a path; `slot` may be TREE_NONE, of which roles say nothing
 * here. */
bool access_rules_of_slot(const struct access *a, uint32_t rights, uint32_t slot);

/* Whether the list with this id allows one of these; 0 is the open one. */
bool access_list_allows(const struct access *a, uint32_t rights, uint32_t acl);
static inline bool access_list(const struct access *a, uint32_t rights, uint32_t acl)
{
    return acl == 0 || access_list_allows(a, rights, acl);
}

/* Whether roles allow one of these on a path of SPACE_NODES, which need not exist, and the list of
 * the node does, or of the nearest one above it. */
bool access_nearest(const struct access *a, uint32_t rights, struct slice path);

/* Whether for all paths below this one roles say what they say for itself. */
bool access_is_uniform(const struct access *a, struct slice path);

/* A sequential create below `parent`, whose name is not known yet. */
bool access_child(const struct access *a, uint32_t rights, struct slice parent);

/* Administration of the cluster: admin at "/". */
bool access_is_admin(const struct access *a);
/* Whether a lease or session is the caller's, to use and to end it. With `has_secret` also one that
 * belongs to no user, to take it over. Always while disabled. */
bool access_lease(const struct access *a, const struct lease *l, bool has_secret);

/* Whether a change of the log may be seen: the list that the node had then allows to read, and, if
 * the node is still there, the one that it has now; and roles do, on its path. */
bool access_change(const struct access *a, const struct change *c);

#endif
