#include "net/audit/denial.h"

#include "store/access.h"
#include "store/store.h"

static const char *right_name(uint8_t right)
{
    switch ((enum acl_permission)right) {
    case ACL_READ: return "read";
    case ACL_WRITE: return "write";
    case ACL_CREATE: return "create";
    case ACL_DELETE: return "delete";
    case ACL_ADMIN: return "admin";
    case ACL_ALL: break;
    }
    return NULL;
}

static uint8_t right_of_op(uint8_t type)
{
    switch ((enum op_type)type) {
    case OP_CREATE: return ACL_CREATE;
    case OP_SET: return ACL_WRITE;
    case OP_DELETE: return ACL_DELETE;
    case OP_SET_ACL: return ACL_ADMIN;
    case OP_CHECK:
    case OP_GET:
    case OP_LIST: break;
    }
    return ACL_READ;
}

static struct slice parent_of(struct slice path)
{
    size_t size = path.size;
    while (size > 1 && path.data[size - 1] != '/') {
        size--;
    }
    return slice_make(path.data, size > 1 ? size - 1 : size);
}

/* Roles are asked about the path, the list of the parent about what is created or deleted below. */
static struct audit_denial explain_op(const struct access *access, const struct audit_op *op,
                                      bool is_guard)
{
    uint8_t right = is_guard ? ACL_READ : right_of_op(op->type);
    struct audit_denial d = {.right = right_name(right), .path = op->path, .by = "roles"};
    if (op->space != SPACE_NODES) { /* policies and the like */
        return (struct audit_denial){.right = "admin", .path = slice_str("/"), .by = "roles"};
    }
    bool makes_parents =
        !is_guard && op->type == OP_CREATE && (op->flags & OP_MAKE_PARENTS) != 0;
    for (struct slice at = op->path; access != NULL; at = parent_of(at)) {
        if (!access_path(access, right, SPACE_NODES, at)) {
            d.path = at;
            return d;
        }
        if (!makes_parents || at.size <= 1) {
            break;
        }
    }
    const struct lease *lease =
        access != NULL && op->lease != 0 ? store_lease(access->store, op->lease) : NULL;
    if (lease != NULL && !access_lease(access, lease, false)) {
        return (struct audit_denial){.right = "own", .lease = op->lease};
    }
    d.by = "acl";
    if (right == ACL_CREATE || right == ACL_DELETE) {
        d.path = parent_of(op->path);
    }
    return d;
}

/* The operation with this number, of those that were noted. */
static bool find_op(struct slice facts, enum audit_branch branch, uint32_t number,
                    struct audit_op *out)
{
    struct unpack u = unpack_make(facts);
    struct audit_fact fact;
    uint32_t at = 0;
    while (audit_facts_next(&u, &fact)) {
        if (fact.type == AUDIT_FACT_OP && fact.op.branch == branch && at++ == number) {
            *out = fact.op;
            return true;
        }
    }
    return false;
}

static bool find_text(struct slice facts, enum audit_key key, struct slice *out)
{
    struct unpack u = unpack_make(facts);
    struct audit_fact fact;
    while (audit_facts_next(&u, &fact)) {
        if (fact.type == AUDIT_FACT_TEXT && fact.key == key) {
            *out = fact.text;
            return true;
        }
    }
    return false;
}

static bool session_is_own(const struct audit_event *e, const struct access *access)
{
    const struct lease *lease =
        access != NULL && e->session != 0 ? store_lease(access->store, e->session) : NULL;
    return lease == NULL || access_lease(access, lease, false);
}

/* What a command without operations takes: users and roles take an administrator, a lease its
 * owner. */
static bool explain_facts(struct slice facts, struct audit_denial *d)
{
    struct unpack u = unpack_make(facts);
    struct audit_fact fact;
    while (audit_facts_next(&u, &fact)) {
        if (fact.type == AUDIT_FACT_DENIED) {
            *d = (struct audit_denial){.right = right_name(fact.key), .path = fact.text};
            return true;
        }
        if (fact.type == AUDIT_FACT_NUMBER && fact.key == AUDIT_LEASE) {
            *d = (struct audit_denial){.right = "own", .lease = fact.number};
            return true;
        }
    }
    return false;
}

static uint8_t right_of_recipe(uint8_t action)
{
    switch ((enum recipe_action)action) {
    case RECIPE_ACQUIRE: return ACL_CREATE;
    case RECIPE_ASK_RELEASE:
    case RECIPE_CONFIGURE:
    case RECIPE_ADD:
    case RECIPE_COUNT_DOWN: return ACL_WRITE;
    case RECIPE_REMOVE: return ACL_ADMIN;
    default: return 0;
    }
}

static uint8_t right_of_shard(uint8_t action)
{
    switch ((enum shard_action)action) {
    case SHARD_CREATE:
    case SHARD_JOIN: return ACL_CREATE;
    case SHARD_DROP_MAP: return ACL_DELETE;
    case SHARD_LEAVE:
    case SHARD_STATS:
    case SHARD_REPORT: return 0;
    default: return ACL_WRITE;
    }
}

/* Of the actions of recipes and shard maps some take a right on the path; the others, that the
 * entry or the member is one's own. */
static bool explain_action(const struct audit_event *e, const struct access *access,
                           struct audit_denial *d)
{
    struct audit_op op;
    if (!find_op(e->facts, AUDIT_THEN, e->failed_op, &op) || op.type < AUDIT_OP_RECIPE) {
        return false;
    }
    const struct lease *lease =
        access != NULL && op.lease != 0 ? store_lease(access->store, op.lease) : NULL;
    if (lease != NULL && !access_lease(access, lease, false)) {
        *d = (struct audit_denial){.right = "own", .lease = op.lease};
        return true;
    }
    uint8_t right = op.type == AUDIT_OP_DRAIN  ? ACL_WRITE
                    : op.type < AUDIT_OP_SHARD ? right_of_recipe(op.type - AUDIT_OP_RECIPE)
                                               : right_of_shard(op.type - AUDIT_OP_SHARD);
    *d =
        (struct audit_denial){.right = right != 0 ? right_name(right) : "own", .path = op.path};
    return true;
}

/* What takes an administrator: COMMAND_AUTH, and quotas. A rollout takes write on its key. */
static void explain_rest(struct slice facts, struct audit_denial *d)
{
    struct slice role;
    *d = (struct audit_denial){.right = "admin", .path = slice_str("/")};
    if (find_text(facts, AUDIT_PATH, &d->path)) {
        bool is_role = find_text(facts, AUDIT_ROLE, &role);
        d->right = is_role ? "admin" : "write";
        d->path = is_role ? slice_str("/") : d->path;
    }
    (void)find_text(facts, AUDIT_QUOTA, &d->path);
}

bool audit_denial_explain(const struct audit_event *e, const struct access *access,
                          struct audit_denial *d)
{
    struct audit_op op;
    const struct reply *reply = e->reply;
    if (reply == NULL || reply->outcome != OUTCOME_NO_AUTH) {
        return explain_facts(e->facts, d);
    }
    if (reply->result_count > 0) {
        enum audit_branch branch = reply->took_then ? AUDIT_THEN : AUDIT_ELSE;
        bool found = find_op(e->facts, branch, e->failed_op, &op);
        if (found) {
            *d = explain_op(access, &op, false);
        }
        return found;
    }
    if (!session_is_own(e, access)) {
        *d = (struct audit_denial){.right = "own", .lease = e->session};
        return true;
    }
    if (find_op(e->facts, AUDIT_GUARD, reply->failed_op, &op)) {
        *d = explain_op(access, &op, true);
        return true;
    }
    if (!explain_action(e, access, d) && !explain_facts(e->facts, d)) {
        explain_rest(e->facts, d);
    }
    return true;
}
