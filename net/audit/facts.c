#include "net/audit/facts.h"

#include "base/assert.h"

/* Longer paths no node has; of those that are too long the beginning is told. */
#define PATH_NOTED_BYTES_MAX (STORE_PATH_BYTES_MAX + 1)
#define TEXT_NOTED_BYTES_MAX ((size_t)4096)

const struct audit_key_info audit_keys[AUDIT_KEYS] = {
    [AUDIT_ACTION] = {"action", AUDIT_IS_TEXT},
    [AUDIT_PATH] = {"path", AUDIT_IS_TEXT},
    [AUDIT_TARGET_USER] = {"target_user", AUDIT_IS_TEXT},
    [AUDIT_ROLE] = {"role", AUDIT_IS_TEXT},
    [AUDIT_RIGHTS] = {"rights", AUDIT_IS_TEXT},
    [AUDIT_DENY] = {"deny", AUDIT_IS_FLAG},
    [AUDIT_DISABLE] = {"disable", AUDIT_IS_FLAG},
    [AUDIT_LEASE] = {"lease", AUDIT_IS_HEX},
    [AUDIT_TTL_MS] = {"ttl_ms", AUDIT_IS_NUMBER},
    [AUDIT_FEATURE_LEVEL] = {"feature_level", AUDIT_IS_NUMBER},
    [AUDIT_QUOTA] = {"quota", AUDIT_IS_TEXT},
    [AUDIT_QUOTA_BYTES] = {"quota_bytes", AUDIT_IS_NUMBER},
    [AUDIT_QUOTA_NODES] = {"quota_nodes", AUDIT_IS_NUMBER},
    [AUDIT_MEMBER] = {"member", AUDIT_IS_TEXT},
    [AUDIT_ADDRESS] = {"address", AUDIT_IS_TEXT},
    [AUDIT_LEARNER] = {"learner", AUDIT_IS_FLAG},
    [AUDIT_LOGIN] = {"login", AUDIT_IS_TEXT},
    [AUDIT_DATA_DIR] = {"data_dir", AUDIT_IS_TEXT},
    [AUDIT_FROM] = {"from", AUDIT_IS_TEXT},
    [AUDIT_CLUSTER_ID] = {"cluster_id", AUDIT_IS_HEX},
    [AUDIT_NOTE] = {"note", AUDIT_IS_TEXT},
};

static struct slice clip(struct slice text, size_t bytes)
{
    return text.size <= bytes ? text : slice_make(text.data, bytes);
}

static bool has_room(const struct buf *facts, size_t bytes)
{
    return facts->size + bytes <= AUDIT_FACTS_BYTES_MAX;
}

/* ---- noting ------------------------------------------------------------------------------- */

void audit_note_text(struct buf *facts, enum audit_key key, struct slice text)
{
    struct slice kept = clip(text, TEXT_NOTED_BYTES_MAX + 1);
    if (kept.size == 0 || !has_room(facts, kept.size + 8)) {
        return;
    }
    PRE(audit_keys[key].kind == AUDIT_IS_TEXT);
    pack_u8(facts, AUDIT_FACT_TEXT);
    pack_u8(facts, (uint8_t)key);
    pack_bytes(facts, kept);
}

void audit_note_number(struct buf *facts, enum audit_key key, uint64_t number)
{
    PRE(audit_keys[key].kind != AUDIT_IS_TEXT);
    if (has_room(facts, 16)) {
        pack_u8(facts, AUDIT_FACT_NUMBER);
        pack_u8(facts, (uint8_t)key);
        pack_u64(facts, number);
    }
}

void audit_note_count(struct buf *facts, enum audit_branch branch, uint32_t count)
{
    if (has_room(facts, 16)) {
        pack_u8(facts, AUDIT_FACT_COUNT);
        pack_u8(facts, (uint8_t)branch);
        pack_u64(facts, count);
    }
}

void audit_note_denied(struct buf *facts, uint8_t right, struct slice path)
{
    struct slice kept = clip(path, PATH_NOTED_BYTES_MAX);
    if (has_room(facts, kept.size + 8)) {
        pack_u8(facts, AUDIT_FACT_DENIED);
        pack_u8(facts, right);
        pack_bytes(facts, kept);
    }
}

/* What of an operation is of fixed size, as it is kept: the notes never leave the process. */
struct op_head {
    uint8_t branch;
    uint8_t type;
    uint8_t flags;
    uint8_t kind;
    uint8_t space;
    uint32_t version;
    uint32_t data_bytes;
    uint32_t path_bytes;
    uint32_t acl_bytes;
    uint64_t lease;
};

static void put_raw(uint8_t **to, const void *bytes, size_t size)
{
    if (size > 0) {
        memcpy(*to, bytes, size);
        *to += size;
    }
}

static void note_op(struct buf *facts, const struct audit_op *op)
{
    struct slice path = clip(op->path, PATH_NOTED_BYTES_MAX);
    struct slice acl = op->acl.size <= TEXT_NOTED_BYTES_MAX ? op->acl : slice_make(NULL, 0);
    const struct op_head head = {.branch = op->branch,
                                 .type = op->type,
                                 .flags = op->flags,
                                 .kind = op->kind,
                                 .space = op->space,
                                 .version = op->version,
                                 .data_bytes = op->data_bytes,
                                 .path_bytes = (uint32_t)path.size,
                                 .acl_bytes = (uint32_t)acl.size,
                                 .lease = op->lease};
    const uint8_t type = AUDIT_FACT_OP;
    size_t size = sizeof type + sizeof head + path.size + acl.size;
    if (!has_room(facts, size)) {
        return;
    }
    uint8_t *to = buf_extend(facts, size);
    put_raw(&to, &type, sizeof type);
    put_raw(&to, &head, sizeof head);
    put_raw(&to, path.data, path.size);
    put_raw(&to, acl.data, acl.size);
}

void audit_note_op(struct buf *facts, enum audit_branch branch, const struct op *op)
{
    const struct audit_op noted = {.branch = (uint8_t)branch,
                                   .type = op->type,
                                   .flags = op->flags,
                                   .kind = op->kind,
                                   .space = op->space,
                                   .version = op->version,
                                   .data_bytes = (uint32_t)op->data.size,
                                   .lease = op->lease,
                                   .path = op->path,
                                   .acl = op->acl};
    note_op(facts, &noted);
}

static void note_ops(struct buf *facts, enum audit_branch branch, const struct op *ops,
                     uint32_t count)
{
    if (count > 1) { /* of one nobody asks how many there are */
        audit_note_count(facts, branch, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        audit_note_op(facts, branch, &ops[i]);
    }
}

static void note_guards(struct buf *facts, const struct guard *guards, uint32_t count)
{
    if (count > 1) {
        audit_note_count(facts, AUDIT_GUARD, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct audit_op guard = {.branch = AUDIT_GUARD,
                                       .type = guards[i].target,
                                       .space = guards[i].space,
                                       .version = VERSION_ANY,
                                       .path = guards[i].path};
        note_op(facts, &guard);
    }
}

static void note_txn(struct buf *facts, const struct txn *txn)
{
    note_guards(facts, txn->guards, txn->guard_count);
    note_ops(facts, AUDIT_THEN, txn->then_ops, txn->then_count);
    note_ops(facts, AUDIT_ELSE, txn->else_ops, txn->else_count);
}

static void note_lease(struct buf *facts, const struct command_lease *lease)
{
    audit_note_number(facts, AUDIT_LEASE, lease->id);
    if (lease->ttl_ms != 0) {
        audit_note_number(facts, AUDIT_TTL_MS, lease->ttl_ms);
    }
}

static void note_auth(struct buf *facts, const struct command_auth *auth)
{
    static const char *const actions[] = {
        [AUTH_ENABLE] = "enable",
        [AUTH_DISABLE] = "disable",
        [AUTH_USER_ADD] = "user_add",
        [AUTH_USER_DELETE] = "user_delete",
        [AUTH_USER_PASSWORD] = "user_password",
        [AUTH_USER_DISABLE] = "user_disable",
        [AUTH_USER_GRANT] = "user_grant",
        [AUTH_USER_REVOKE] = "user_revoke",
        [AUTH_ROLE_ADD] = "role_add",
        [AUTH_ROLE_DELETE] = "role_delete",
        [AUTH_ROLE_GRANT] = "role_grant",
        [AUTH_ROLE_REVOKE] = "role_revoke",
    };
    static const char letters[] = "rwcda"; /* as acl_permission counts */
    char rights[sizeof letters];
    size_t count = 0;
    for (size_t i = 0; i < sizeof letters - 1; i++) {
        if ((auth->rights >> i & 1) != 0) {
            rights[count++] = letters[i];
        }
    }
    bool is_known = auth->action < sizeof actions / sizeof actions[0] &&
                    actions[auth->action] != NULL;
    audit_note_text(facts, AUDIT_ACTION, slice_str(is_known ? actions[auth->action] : "unknown"));
    audit_note_text(facts, AUDIT_TARGET_USER, auth->user);
    audit_note_text(facts, AUDIT_ROLE, auth->role);
    audit_note_text(facts, AUDIT_PATH, auth->path);
    audit_note_text(facts, AUDIT_RIGHTS, slice_make(rights, count));
    if (auth->action == AUTH_USER_DISABLE) {
        audit_note_number(facts, AUDIT_DISABLE, auth->flag);
    } else if (auth->flag) {
        audit_note_number(facts, AUDIT_DENY, 1);
    }
}

static void note_recipe(struct buf *facts, const struct command_recipe *recipe)
{
    note_guards(facts, recipe->guards, recipe->guard_count);
    for (uint32_t i = 0; i < recipe->target_count; i++) {
        const struct audit_op op = {.branch = AUDIT_THEN,
                                    .type = (uint8_t)(AUDIT_OP_RECIPE + recipe->action),
                                    .space = SPACE_NODES,
                                    .version = VERSION_ANY,
                                    .path = recipe->targets[i].path};
        note_op(facts, &op);
    }
    if (recipe->lease != 0) {
        audit_note_number(facts, AUDIT_LEASE, recipe->lease);
    }
}

static void note_shard(struct buf *facts, const struct command_shard *shard)
{
    const struct audit_op op = {.branch = AUDIT_THEN,
                                .type = (uint8_t)(AUDIT_OP_SHARD + shard->action),
                                .space = SPACE_NODES,
                                .version = VERSION_ANY,
                                .lease = shard->lease,
                                .path = shard->path};
    note_guards(facts, shard->guards, shard->guard_count);
    note_op(facts, &op);
    audit_note_text(facts, AUDIT_MEMBER, shard->node);
}

static void note_discovery(struct buf *facts, const struct command_discovery *discovery)
{
    const struct audit_op op = {.branch = AUDIT_THEN,
                                .type = AUDIT_OP_DRAIN,
                                .space = SPACE_NODES,
                                .version = VERSION_ANY,
                                .path = discovery->path};
    note_op(facts, &op);
}

static void note_quota(struct buf *facts, const struct command_quota *quota)
{
    audit_note_text(facts, AUDIT_QUOTA, quota->path);
    if (quota->bytes != 0) {
        audit_note_number(facts, AUDIT_QUOTA_BYTES, quota->bytes);
    }
    if (quota->nodes != 0) {
        audit_note_number(facts, AUDIT_QUOTA_NODES, quota->nodes);
    }
}

static void note_rollout(struct buf *facts, const struct command_rollout *r)
{
    static const char *const events[] = {"start",     "promote", "finish",
                                         "roll_back", "pause",   "resume"};
    bool is_known = r->event < sizeof events / sizeof events[0];
    audit_note_text(facts, AUDIT_ACTION, slice_str(is_known ? events[r->event] : "tick"));
    audit_note_text(facts, AUDIT_PATH, r->key);
}

void audit_note_command(struct buf *facts, const struct command *c)
{
    audit_note_text(facts, AUDIT_NOTE, c->note);
    switch (c->type) {
    case COMMAND_TXN: note_txn(facts, &c->txn); break;
    case COMMAND_GRANT:
    case COMMAND_RESUME:
    case COMMAND_REVOKE: note_lease(facts, &c->lease); break;
    case COMMAND_AUTH: note_auth(facts, &c->auth); break;
    case COMMAND_ROLLOUT: note_rollout(facts, &c->rollout); break;
    case COMMAND_QUOTA: note_quota(facts, &c->quota); break;
    case COMMAND_RECIPE: note_recipe(facts, &c->recipe); break;
    case COMMAND_SHARD: note_shard(facts, &c->shard); break;
    case COMMAND_DISCOVERY: note_discovery(facts, &c->discovery); break;
    case COMMAND_LEVEL: audit_note_number(facts, AUDIT_FEATURE_LEVEL, c->level); break;
    default: break;
    }
}

/* ---- telling ------------------------------------------------------------------------------ */

static void take_op(struct unpack *facts, struct audit_op *op)
{
    struct op_head head;
    struct slice raw = unpack_raw(facts, sizeof head);
    PRE(raw.size == sizeof head);
    memcpy(&head, raw.data, sizeof head);
    *op = (struct audit_op){.branch = head.branch,
                            .type = head.type,
                            .flags = head.flags,
                            .kind = head.kind,
                            .space = head.space,
                            .version = head.version,
                            .data_bytes = head.data_bytes,
                            .lease = head.lease,
                            .path = unpack_raw(facts, head.path_bytes),
                            .acl = unpack_raw(facts, head.acl_bytes)};
}

bool audit_facts_next(struct unpack *facts, struct audit_fact *out)
{
    if (facts->rest.size == 0) {
        return false;
    }
    out->type = unpack_u8(facts);
    switch ((enum audit_fact_type)out->type) {
    case AUDIT_FACT_OP: take_op(facts, &out->op); break;
    case AUDIT_FACT_TEXT:
    case AUDIT_FACT_DENIED:
        out->key = unpack_u8(facts);
        out->text = unpack_bytes(facts);
        break;
    case AUDIT_FACT_NUMBER:
    case AUDIT_FACT_COUNT:
        out->key = unpack_u8(facts);
        out->number = unpack_u64(facts);
        break;
    }
    POST(!facts->failed); /* nobody else writes them */
    return true;
}
