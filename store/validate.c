#include "store/validate.h"

#include <inttypes.h>

#include "base/utf8.h"
#include "lease/lease.h"
#include "recipes/instance.h"
#include "recipes/record.h"
#include "recipes/rollout.h"
#include "store/acl.h"
#include "store/auth.h"
#include "store/policy.h"
#include "store/quota.h"
#include "store/tree.h"

/* ---- one operation ------------------------------------------------------------------------ */

static enum outcome refuse(struct errmsg *err, const char *what, const char *why)
{
    (void)errmsg_set(err, RC_INVALID, "%s: %s", what, why);
    return OUTCOME_BAD_ARGUMENTS;
}

static enum outcome too_large(struct errmsg *err, const char *what, size_t bytes, size_t limit)
{
    (void)errmsg_set(err, RC_TOO_LARGE, "%s: %zu bytes, the limit is %zu", what, bytes, limit);
    return OUTCOME_TOO_LARGE;
}

static const char *op_name(uint8_t type)
{
    switch (type) {
    case OP_CREATE: return "create";
    case OP_SET: return "set";
    case OP_DELETE: return "delete";
    case OP_CHECK: return "check";
    case OP_GET: return "get";
    case OP_LIST: return "list";
    case OP_SET_ACL: return "set_acl";
    default: return "operation";
    }
}

static uint8_t op_flags_allowed(uint8_t type)
{
    switch (type) {
    case OP_CREATE: return OP_SEQUENTIAL | OP_MAKE_PARENTS | OP_NULL_DATA | OP_CONFIG;
    case OP_SET: return OP_NULL_DATA | OP_CONFIG;
    case OP_DELETE: return OP_RECURSIVE | OP_DRY_RUN | OP_CONFIG;
    case OP_GET:
    case OP_LIST: return OP_STAT_ONLY;
    default: return 0;
    }
}

static enum outcome key_check(const char *what, uint8_t space, struct slice key,
                              struct errmsg *err)
{
    if (key.size > STORE_PATH_BYTES_MAX) {
        return too_large(err, "path", key.size, STORE_PATH_BYTES_MAX);
    }
    if (space == SPACE_ETCD) {
        (void)errmsg_set(err, RC_UNSUPPORTED, "%s: space 'E' is reserved", what);
        return OUTCOME_UNSUPPORTED;
    }
    return OUTCOME_OK;
}

static enum outcome kind_check(const struct op *op, struct errmsg *err)
{
    if ((op->lease != 0) != (op->kind == NODE_EPHEMERAL)) {
        return refuse(err, "lease", "belongs to an ephemeral node, and to no other");
    }
    if (op->kind != NODE_TTL) {
        return op->ttl_ms == 0 ? OUTCOME_OK
                               : refuse(err, "ttl_ms", "belongs to a TTL node, and to no other");
    }
    if (op->ttl_ms == 0 || op->ttl_ms > NODE_TTL_MS_MAX) {
        (void)errmsg_set(err, RC_INVALID, "ttl_ms: %" PRIu64 ", a TTL node takes 1 to %" PRIu64,
                         op->ttl_ms, NODE_TTL_MS_MAX);
        return OUTCOME_BAD_TTL;
    }
    return OUTCOME_OK;
}

static enum outcome flat_op_check(const struct op *op, struct errmsg *err)
{
    if ((op->flags & (OP_SEQUENTIAL | OP_MAKE_PARENTS | OP_RECURSIVE)) != 0 ||
        op->kind != NODE_PERSISTENT || op->acl.size > 0 || op->type == OP_SET_ACL) {
        return refuse(err, op_name(op->type),
                      "flat keys are plain: no tree flags, no kinds, no ACL");
    }
    if (op->path.size == 0 && op->type != OP_LIST) {
        return refuse(err, op_name(op->type), "empty key");
    }
    bool writes = op->type == OP_CREATE || op->type == OP_SET;
    if (op->space == SPACE_META && (writes || op->type == OP_DELETE) && auth_is_key(op->path)) {
        return refuse(err, op_name(op->type), "users and roles have a command of their own");
    }
    if (op->space == SPACE_META && (writes || op->type == OP_DELETE) && quota_is_key(op->path)) {
        return refuse(err, op_name(op->type), "quotas have a command of their own");
    }
    return op->space == SPACE_META && writes ? policy_check(op->path, op->data, err)
                                             : OUTCOME_OK;
}

enum outcome op_check(const struct op *op, struct errmsg *err)
{
    const char *name = op_name(op->type);
    if (op->type < OP_CREATE || op->type > OP_SET_ACL || !space_is_valid(op->space) ||
        op->kind > NODE_TTL) {
        return refuse(err, name, "unknown type, space or kind");
    }
    if ((op->flags & ~op_flags_allowed(op->type)) != 0) {
        return refuse(err, name, "a flag that this operation does not take");
    }
    bool writes = op->type == OP_CREATE || op->type == OP_SET;
    if (op->data.size > STORE_VALUE_BYTES_MAX) {
        return too_large(err, "data", op->data.size, STORE_VALUE_BYTES_MAX);
    }
    if (op->data.size > 0 && (!writes || (op->flags & OP_NULL_DATA) != 0)) {
        return refuse(err, name, "data where there can be none");
    }
    if (op->acl.size > 0 && op->type != OP_CREATE && op->type != OP_SET_ACL) {
        return refuse(err, name, "an ACL where there can be none");
    }
    enum outcome outcome = key_check(name, op->space, op->path, err);
    if (outcome == OUTCOME_OK && op->type == OP_CREATE) {
        outcome = kind_check(op, err);
    } else if (outcome == OUTCOME_OK && (op->kind | op->lease | op->ttl_ms) != 0) {
        outcome = refuse(err, name, "kind, lease and ttl_ms belong to create");
    }
    if (outcome == OUTCOME_OK && space_is_flat(op->space)) {
        outcome = flat_op_check(op, err);
    }
    return outcome;
}

enum outcome op_acl_check(const struct op *op, struct errmsg *err)
{
    bool has_list = op->type == OP_SET_ACL || (op->type == OP_CREATE && op->acl.size > 0);
    return has_list ? acl_check(op->acl, err) : OUTCOME_OK;
}

enum outcome guard_check(const struct guard *g, struct errmsg *err)
{
    if (g->target < GUARD_EXISTS || g->target > GUARD_GRANT || g->relation < GUARD_EQUAL ||
        g->relation > GUARD_GREATER || !space_is_valid(g->space)) {
        return refuse(err, "guard", "unknown target, relation or space");
    }
    if (g->target == GUARD_EXISTS && (g->number > 1 || g->relation > GUARD_NOT_EQUAL)) {
        return refuse(err, "guard", "existence is 0 or 1, equal or not");
    }
    if (g->target == GUARD_GRANT && (g->number == 0 || g->relation != GUARD_EQUAL)) {
        return refuse(err, "guard", "a grant has an epoch above 0, and is held or is not");
    }
    if (g->value.size > STORE_VALUE_BYTES_MAX) {
        return too_large(err, "guard value", g->value.size, STORE_VALUE_BYTES_MAX);
    }
    return key_check("guard", g->space, g->path, err);
}

/* ---- leases ------------------------------------------------------------------------------- */

static enum outcome ttl_check(uint64_t ttl_ms, struct errmsg *err)
{
    if (ttl_ms >= LEASE_TTL_MS_MIN && ttl_ms <= LEASE_TTL_MS_MAX) {
        return OUTCOME_OK;
    }
    (void)errmsg_set(err, RC_INVALID, "ttl_ms: %" PRIu64 ", a lease takes %" PRIu64 " to %" PRIu64,
                     ttl_ms, LEASE_TTL_MS_MIN, LEASE_TTL_MS_MAX);
    return OUTCOME_BAD_TTL;
}

static enum outcome secret_check(struct slice secret, struct errmsg *err)
{
    if (secret.size == LEASE_SECRET_BYTES) {
        return OUTCOME_OK;
    }
    (void)errmsg_set(err, RC_INVALID, "secret: %zu bytes, it has %zu", secret.size,
                     LEASE_SECRET_BYTES);
    return OUTCOME_BAD_ARGUMENTS;
}

static enum outcome grant_check(const struct command_lease *l, struct errmsg *err)
{
    if (l->kind != LEASE_PLAIN && l->kind != LEASE_SESSION) {
        return refuse(err, "grant", "unknown kind of lease");
    }
    if (l->owner.size > LEASE_OWNER_BYTES_MAX) {
        return too_large(err, "owner", l->owner.size, LEASE_OWNER_BYTES_MAX);
    }
    if (!utf8_is_valid(l->owner)) {
        return refuse(err, "owner", "not valid UTF-8");
    }
    enum outcome outcome = ttl_check(l->ttl_ms, err);
    return outcome == OUTCOME_OK ? secret_check(l->secret, err) : outcome;
}

enum outcome lease_check(const struct command *c, struct errmsg *err)
{
    const struct command_lease *l = &c->lease;
    enum outcome outcome = OUTCOME_OK;
    if (l->id == 0 || l->id > LEASE_ID_MAX) {
        (void)errmsg_set(err, RC_INVALID, "id: %" PRIu64 ", must be 1 to %" PRIu64, l->id,
                         (uint64_t)LEASE_ID_MAX);
        return OUTCOME_BAD_ARGUMENTS;
    }
    switch (c->type) {
    case COMMAND_GRANT: return grant_check(l, err);
    case COMMAND_RESUME:
        outcome = l->ttl_ms == 0 ? OUTCOME_OK : ttl_check(l->ttl_ms, err);
        return outcome == OUTCOME_OK ? secret_check(l->secret, err) : outcome;
    case COMMAND_REVOKE:
        if (l->kind > LEASE_SESSION) {
            return refuse(err, "revoke", "unknown kind of lease");
        }
        return l->secret.size == 0 ? OUTCOME_OK : secret_check(l->secret, err);
    default: return OUTCOME_OK;
    }
}

/* ---- users and roles ---------------------------------------------------------------------- */

static enum outcome auth_settings_check(const struct command_auth *a, struct errmsg *err)
{
    if (a->secret.size != AUTH_KEY_BYTES) {
        (void)errmsg_set(err, RC_INVALID, "key: %zu bytes, it has %zu", a->secret.size,
                         AUTH_KEY_BYTES);
        return OUTCOME_BAD_ARGUMENTS;
    }
    if (a->token_ttl_ms < AUTH_TOKEN_TTL_MS_MIN || a->token_ttl_ms > AUTH_TOKEN_TTL_MS_MAX) {
        (void)errmsg_set(err, RC_INVALID,
                         "token_ttl_ms: %" PRIu64 ", from %" PRIu64 " to %" PRIu64
                         " is possible",
                         a->token_ttl_ms, AUTH_TOKEN_TTL_MS_MIN, AUTH_TOKEN_TTL_MS_MAX);
        return OUTCOME_BAD_TTL;
    }
    return OUTCOME_OK;
}

static enum outcome auth_user_check(const struct command_auth *a, struct errmsg *err)
{
    enum outcome outcome = auth_name_check("user", a->user, err);
    if (outcome == OUTCOME_OK && auth_name_is_reserved(a->user)) {
        return refuse(err, "user", "this name stands for those who are no user");
    }
    if (outcome == OUTCOME_OK && a->secret.size > 0 && !auth_hash_is_valid(a->secret)) {
        return refuse(err, "password", "not the hash of one");
    }
    bool has_role = a->action == AUTH_USER_GRANT || a->action == AUTH_USER_REVOKE;
    return outcome == OUTCOME_OK && has_role ? auth_name_check("role", a->role, err) : outcome;
}

static enum outcome auth_role_check(const struct command_auth *a, struct errmsg *err)
{
    enum outcome outcome = auth_name_check("role", a->role, err);
    if (outcome != OUTCOME_OK || a->action < AUTH_ROLE_GRANT) {
        return outcome;
    }
    if (a->rights == 0 || a->rights > ACL_ALL) {
        (void)errmsg_set(err, RC_INVALID, "rights: %u, from 1 to %u is possible", a->rights,
                         (unsigned)ACL_ALL);
        return OUTCOME_BAD_ARGUMENTS;
    }
    return path_check(a->path, false, err);
}

enum outcome auth_check(const struct command_auth *a, struct errmsg *err)
{
    if (a->action < AUTH_ENABLE || a->action > AUTH_USER_LIMIT) {
        return refuse(err, "auth", "unknown action");
    }
    if (a->action == AUTH_USER_LIMIT) {
        return slice_is(a->user, AUTH_SUPER)
                   ? refuse(err, "user", "who is super cannot be limited")
                   : auth_name_check("user", a->user, err);
    }
    if (a->action == AUTH_DISABLE) {
        return OUTCOME_OK;
    }
    if (a->action == AUTH_ENABLE) {
        return auth_settings_check(a, err);
    }
    return a->action >= AUTH_ROLE_ADD ? auth_role_check(a, err) : auth_user_check(a, err);
}

/* ---- instances of services ---------------------------------------------------------------- */

enum outcome discovery_check(const struct command_discovery *d, struct errmsg *err)
{
    struct slice service;
    struct slice id;
    if (!instance_path_split(d->path, &service, &id)) {
        (void)errmsg_set(err, RC_INVALID, "path: %.*s is no instance's",
                         (int)(d->path.size < 128 ? d->path.size : 128),
                         (const char *)d->path.data);
        return OUTCOME_BAD_PATH;
    }
    return OUTCOME_OK;
}

/* ---- the command -------------------------------------------------------------------------- */

/* Counted as encoded: many tiny operations must not grow into an entry that no log record holds. */
static size_t ops_bytes(const struct op *ops, uint32_t count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += COMMAND_OP_BYTES_MIN + ops[i].path.size + ops[i].data.size;
        bytes += ops[i].acl.size == 0 ? 0 : sizeof(uint32_t) + ops[i].acl.size;
    }
    return bytes;
}

static size_t guards_bytes(const struct guard *guards, uint32_t count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += COMMAND_GUARD_BYTES_MIN + guards[i].path.size + guards[i].value.size;
    }
    return bytes;
}

enum outcome rollout_command_check(const struct command_rollout *r, struct errmsg *err)
{
    struct rollout decoded;
    struct arena arena = {0};
    if (r->event > ROLLOUT_TICK) {
        return refuse(err, "rollout", "unknown event");
    }
    enum outcome outcome = path_check(r->key, false, err);
    if (outcome != OUTCOME_OK || r->event != 0) {
        return outcome == OUTCOME_OK && r->record.size > 0
                   ? refuse(err, "record", "belongs to the start")
                   : outcome;
    }
    if (r->record.size > STORE_VALUE_BYTES_MAX) {
        return too_large(err, "record", r->record.size, STORE_VALUE_BYTES_MAX);
    }
    bool ok = rollout_decode(r->record, &decoded, &arena);
    arena_close(&arena);
    return ok ? OUTCOME_OK : refuse(err, "record", "not one of a rollout");
}

enum outcome command_check_bytes(const struct command *c, struct errmsg *err)
{
    if (c->identities.size > COMMAND_IDENTITIES_BYTES_MAX) {
        return too_large(err, "identities", c->identities.size, COMMAND_IDENTITIES_BYTES_MAX);
    }
    if (c->note.size > COMMAND_NOTE_BYTES_MAX) {
        return too_large(err, "note", c->note.size, COMMAND_NOTE_BYTES_MAX);
    }
    enum outcome outcome = identities_check(c->identities, err);
    size_t bytes = 0;
    if (outcome == OUTCOME_OK && c->type == COMMAND_TXN) {
        bytes = ops_bytes(c->txn.then_ops, c->txn.then_count) +
                ops_bytes(c->txn.else_ops, c->txn.else_count) +
                guards_bytes(c->txn.guards, c->txn.guard_count);
    } else if (outcome == OUTCOME_OK && c->type == COMMAND_RECIPE) {
        bytes = guards_bytes(c->recipe.guards, c->recipe.guard_count);
    } else if (outcome == OUTCOME_OK && c->type == COMMAND_SHARD) {
        bytes = guards_bytes(c->shard.guards, c->shard.guard_count) + c->shard.text.size +
                shard_steps_bytes(c->shard.steps, c->shard.step_count);
    }
    if (bytes > STORE_REQUEST_BYTES_MAX) {
        return too_large(err, "request", bytes, STORE_REQUEST_BYTES_MAX);
    }
    return outcome;
}

static enum outcome znode_path_check(uint8_t space, struct slice path, bool sequential,
                                     struct errmsg *err)
{
    return space_is_flat(space) ? OUTCOME_OK : path_check(path, sequential, err);
}

static enum outcome ops_check(const struct op *ops, uint32_t count, struct errmsg *err)
{
    for (uint32_t i = 0; i < count; i++) {
        enum outcome outcome = op_check(&ops[i], err);
        if (outcome == OUTCOME_OK) {
            outcome = znode_path_check(ops[i].space, ops[i].path,
                                       (ops[i].flags & OP_SEQUENTIAL) != 0, err);
        }
        if (outcome == OUTCOME_OK) {
            outcome = op_acl_check(&ops[i], err);
        }
        if (outcome != OUTCOME_OK) {
            if (count > 1 && err != NULL) {
                (void)errmsg_wrap(err, "operation %" PRIu32, i);
            }
            return outcome;
        }
    }
    return OUTCOME_OK;
}

/* Who repeats what: by session and sequence number, or by request id. */
static enum outcome repeat_check(const struct command *c, struct errmsg *err)
{
    if (c->session == 0 && (c->sequence | c->answered_to) != 0) {
        return refuse(err, "session", "a sequence number without one");
    }
    if (c->session == 0 && c->by_owner) {
        return refuse(err, "session", "an owner without one");
    }
    if (c->sequence != 0 && c->answered_to >= c->sequence) {
        (void)errmsg_set(err, RC_INVALID,
                         "answered_to: %" PRIu64 ", must be below the sequence number %" PRIu64,
                         c->answered_to, c->sequence);
        return OUTCOME_BAD_ARGUMENTS;
    }
    if (c->sequence != 0 && request_id_is_set(&c->request)) {
        return refuse(err, "request id", "a write with a sequence number takes none");
    }
    return OUTCOME_OK;
}

static enum outcome guards_check(const struct guard *guards, uint32_t count,
                                 struct errmsg *err)
{
    enum outcome outcome = OUTCOME_OK;
    for (uint32_t i = 0; i < count && outcome == OUTCOME_OK; i++) {
        outcome = guard_check(&guards[i], err);
        if (outcome == OUTCOME_OK) {
            outcome = znode_path_check(guards[i].space, guards[i].path, false, err);
        }
        if (outcome != OUTCOME_OK && count > 1 && err != NULL) {
            (void)errmsg_wrap(err, "guard %" PRIu32, i);
        }
    }
    return outcome;
}

static bool command_is_about_lease(const struct command *c)
{
    return c->type >= COMMAND_GRANT && c->type <= COMMAND_EXPIRE;
}

enum outcome command_check(const struct command *c, struct errmsg *err)
{
    enum outcome outcome = command_check_bytes(c, err);
    if (outcome == OUTCOME_OK) {
        outcome = repeat_check(c, err);
    }
    if (outcome == OUTCOME_OK && command_level(c->type) == UINT32_MAX) {
        return OUTCOME_OK; /* a later version's, which apply answers */
    }
    if (outcome == OUTCOME_OK && c->type == COMMAND_REAP) {
        return path_check(c->reap.path, false, err);
    }
    if (outcome == OUTCOME_OK && command_is_about_lease(c)) {
        return lease_check(c, err);
    }
    if (outcome == OUTCOME_OK && c->type == COMMAND_AUTH) {
        return auth_check(&c->auth, err);
    }
    if (outcome == OUTCOME_OK && c->type == COMMAND_QUOTA) {
        return quota_check(&c->quota, err);
    }
    if (outcome == OUTCOME_OK && c->type == COMMAND_ROLLOUT) {
        return rollout_command_check(&c->rollout, err);
    }
    if (outcome == OUTCOME_OK && c->type == COMMAND_DISCOVERY) {
        return discovery_check(&c->discovery, err);
    }
    if (outcome == OUTCOME_OK && c->type == COMMAND_SHARD) {
        outcome = shard_check(&c->shard, err);
        return outcome == OUTCOME_OK
                   ? guards_check(c->shard.guards, c->shard.guard_count, err)
                   : outcome;
    }
    if (outcome == OUTCOME_OK && c->type == COMMAND_RECIPE) {
        outcome = recipe_check(&c->recipe, err);
        return outcome == OUTCOME_OK
                   ? guards_check(c->recipe.guards, c->recipe.guard_count, err)
                   : outcome;
    }
    if (outcome != OUTCOME_OK || c->type != COMMAND_TXN) {
        return outcome;
    }
    outcome = guards_check(c->txn.guards, c->txn.guard_count, err);
    if (outcome == OUTCOME_OK) {
        outcome = ops_check(c->txn.then_ops, c->txn.then_count, err);
    }
    if (outcome == OUTCOME_OK) {
        outcome = ops_check(c->txn.else_ops, c->txn.else_count, err);
    }
    return outcome;
}
