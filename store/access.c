#include "store/access.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mutant.h"
#include "store/config.h"
#include "store/rollouts.h"
#include "store/state.h"

static const struct slice root_path = {(const uint8_t *)"/", 1};

/* ---- the caller --------------------------------------------------------------------------- */

static bool find_identity(struct slice identities, const char *scheme, struct slice *id)
{
    struct unpack u = unpack_make(identities);
    while (u.rest.size > 0 && !u.failed) {
        struct slice found = unpack_bytes(&u);
        *id = unpack_bytes(&u);
        if (!u.failed && slice_is(found, scheme)) {
            return true;
        }
    }
    return false;
}

/* A password or a token was proved against what a member knew then, which may have been cut off:
 * whoever decides now has the last word. Certificates prove themselves, whatever the password. */
static bool is_proof_of(const struct auth_user *user, struct slice identities)
{
    struct slice proof;
    char text[24];
    if (!find_identity(identities, IDENTITY_PROOF, &proof) ||
        MUTANT_IS(MUTANT_OLD_PASSWORD_COUNTS)) {
        return true;
    }
    (void)snprintf(text, sizeof text, "%" PRIu64, user->generation);
    return slice_is(proof, text);
}

void access_begin(struct access *a, const struct store *s, struct slice identities)
{
    struct slice id;
    *a = (struct access){.store = s, .identities = identities, .is_somebody = true};
    if (!s->auth.is_enabled) {
        return;
    }
    if (find_identity(identities, "super", &id)) {
        a->user = slice_str(AUTH_SUPER);
        a->is_unlimited = true;
        return;
    }
    if (!find_identity(identities, "user", &a->user)) {
        a->user = slice_str(AUTH_ANONYMOUS);
        a->anonymous = s->auth.anonymous;
        a->role_count = a->anonymous != NULL;
        a->is_somebody = a->anonymous != NULL;
        a->by_rules = true;
        return;
    }
    const struct auth_user *user = auth_find_user(&s->auth, a->user);
    /* Else it has proved what is no more. */
    bool counts = user != NULL && !user->is_disabled && is_proof_of(user, identities);
    a->is_unlimited = counts && user->is_root;
    a->by_rules = !a->is_unlimited;
    a->is_somebody = counts;
    if (counts) {
        a->roles = user->roles;
        a->role_count = user->role_count;
    }
}

static const struct auth_role *role_at(const struct access *a, uint32_t i)
{
    return a->anonymous != NULL ? a->anonymous : a->roles[i];
}

/* ---- roles -------------------------------------------------------------------------------- */

/* The path one component up; false behind "/". */
static bool step_up(struct slice *path)
{
    if (path->size <= 1) {
        return false;
    }
    size_t size = path->size - 1;
    while (size > 0 && path->data[size] != '/') {
        size--;
    }
    *path = size == 0 ? root_path : slice_make(path->data, size);
    return true;
}

/* From the path upwards: the first level at which a grant names the right decides. */
static bool rules_allow(const struct access *a, uint32_t rights, struct slice path)
{
    uint32_t undecided = rights;
    if (a->role_count == 0) {
        return false;
    }
    do {
        uint32_t allow = 0;
        uint32_t deny = 0;
        for (uint32_t i = 0; i < a->role_count; i++) {
            const struct auth_rule *rule = auth_find_rule(role_at(a, i), path);
            allow |= rule == NULL ? 0 : rule->allow;
            deny |= rule == NULL ? 0 : rule->deny;
        }
        if ((allow & ~deny & undecided) != 0) {
            return true;
        }
        undecided &= ~deny;
    } while (undecided != 0 && step_up(&path));
    return false;
}

bool access_rules(const struct access *a, uint32_t rights, uint8_t space, struct slice path)
{
    if (!a->by_rules) {
        return true;
    }
    uint8_t bytes[STORE_PATH_BYTES_MAX];
    struct slice key;
    if (space != SPACE_NODES) {
        return rules_allow(a, ACL_ADMIN, root_path);
    }
    if ((rights & ACL_READ) == 0 || !rollout_key(path, bytes, &key)) {
        return rules_allow(a, rights, path);
    }
    /* It has values of its key: to read it takes what it takes to read them. */
    return rules_allow(a, rights & ~(uint32_t)ACL_READ, path) ||
           (rules_allow(a, ACL_READ, path) && rules_allow(a, ACL_READ, key));
}

bool access_rules_of_slot(const struct access *a, uint32_t rights, uint32_t slot)
{
    uint8_t path[STORE_PATH_BYTES_MAX];
    if (!a->by_rules || slot == TREE_NONE) {
        return true;
    }
    const struct tree *t = &a->store->tree;
    size_t size = tree_path_bytes(t, slot);
    tree_path_write(t, slot, path);
    return access_rules(a, rights, tree_node(t, slot)->space, slice_make(path, size));
}

bool access_is_uniform(const struct access *a, struct slice path)
{
    static const char rollouts[] = "/" CONFIG_ROLLOUTS_NAME;
    size_t size = sizeof rollouts - 1;
    bool uniform = true;
    if (path.size > size && memcmp(path.data + path.size - size, rollouts, size) == 0) {
        path.size -= size; /* what is below it is also asked about keys */
    }
    for (uint32_t i = 0; a->by_rules && uniform && i < a->role_count; i++) {
        uniform = !auth_has_rules_below(role_at(a, i), path);
    }
    return uniform;
}

/* No grant names a child that has no name: what is said of the parent is said of it. */
bool access_child(const struct access *a, uint32_t rights, struct slice parent)
{
    return access_path(a, rights, SPACE_NODES, parent);
}

bool access_is_admin(const struct access *a)
{
    return access_path(a, ACL_ADMIN, SPACE_NODES, root_path);
}

/* ---- lists -------------------------------------------------------------------------------- */

bool access_list_allows(const struct access *a, uint32_t rights, uint32_t acl)
{
    if (a->is_unlimited) {
        return true;
    }
    const struct acl_list *l = acl_table_find(&a->store->acls, acl);
    return l != NULL && acl_allows(acl_list_slice(l), rights, a->identities);
}

bool access_nearest(const struct access *a, uint32_t rights, struct slice path)
{
    const struct tree *t = &a->store->tree;
    if (!access_path(a, rights, SPACE_NODES, path)) {
        return false;
    }
    uint32_t slot = tree_find(t, SPACE_NODES, path);
    while (slot == TREE_NONE && step_up(&path)) {
        slot = tree_find(t, SPACE_NODES, path);
    }
    return access_node(a, slot, rights);
}

/* ---- leases ------------------------------------------------------------------------------- */

bool access_lease(const struct access *a, const struct lease *l, bool has_secret)
{
    if (!a->by_rules || (a->is_somebody && slice_equal(l->user, a->user))) {
        return true;
    }
    bool is_nobodys = l->user.size == 0 || slice_is(l->user, AUTH_ANONYMOUS);
    return (has_secret && is_nobodys) || access_is_admin(a);
}

/* ---- changes ------------------------------------------------------------------------------ */

bool access_change(const struct access *a, const struct change *c)
{
    const struct store *s = a->store;
    if (!access_path(a, ACL_READ, c->space, c->path)) {
        return false;
    }
    if (a->is_unlimited) {
        return true;
    }
    if (!acl_list_may(c->acl, ACL_READ, a->identities)) {
        return false;
    }
    if (c->revision == s->revision) { /* nothing has happened since its own command */
        return true;
    }
    uint32_t slot = tree_find(&s->tree, c->space, c->path);
    const struct node *n = tree_node(&s->tree, slot);
    return slot == TREE_NONE || n->create_revision != c->stat.create_revision ||
           access_list(a, ACL_READ, n->acl);
}
