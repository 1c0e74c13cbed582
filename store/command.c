/* The bytes of a command. All integers little-endian; bytes = u32 length, then that many.
 *
 *   command  u32 bytes that follow | u8 type | u64 origin boot | u64 origin counter | u8 presence
 *            | presence & 1: u64 session | u64 sequence | u64 answered_to
 *            | presence & 2: u64 issued_ms | u64 random | u64 random
 *            | presence & 4: u64 generation
 *            | bytes identities | bytes note | body
 *   txn      u32 guards | u32 then | u32 else | guards | operations of then | of else
 *   guard    u8 target | u8 relation | u8 space | bytes path | u64 number | bytes value
 *   op       u8 type | u8 flags, and 128: a list | u8 space | u8 kind | bytes path | bytes data
 *            | flags & 128: bytes acl | u32 version | u32 limit | u64 lease | u64 ttl_ms
 *   check    u64 index | u32 count | count times: u64 member | u64 digest
 *   level    u32 level
 *   reap     bytes path | u64 create revision
 *   auth     u8 action | u8 flag | u8 rights | bytes user | bytes role | bytes path | bytes secret
 *            | u64 token_ttl_ms | of user limit: u32 requests_per_second | u32 connections
 *            | u32 watches | u32 leases
 *   quota    bytes path | u64 bytes | u64 nodes | u32 soft percent
 *   recipe   u8 recipe | u8 action | u8 flags | u64 lease | bytes owner | bytes value | bytes label
 *            | u64 number | u64 wait_ms | u64 hold_ms | u32 guards | u32 targets | guards | targets
 *   target   bytes path | u8 mode | u32 permits | u32 limit | u64 revision
 *   grant    u64 id | u64 ttl_ms | u8 kind | u8 renewable | bytes secret | bytes owner
 *   resume   u64 id | u64 ttl_ms | bytes secret
 *   revoke   u64 id | u8 kind | bytes secret
 *   expire   u64 id | u64 generation
 *   others   any bytes: a later build's
 *
 * There is one encoding of each command: what decodes encodes to the same bytes.
 */
#include "store/command.h"

#include "base/assert.h"
#include "lease/lease.h"
#include "recipes/instance.h"
#include "store/tree.h"

#define COMMAND_ORIGIN_OFFSET ((size_t)5) /* behind length and type */
#define BATCH_HEADER_BYTES    ((size_t)24)
#define OP_FLAGS_ALL \
    (OP_SEQUENTIAL | OP_MAKE_PARENTS | OP_RECURSIVE | OP_NULL_DATA | OP_DRY_RUN | \
     OP_STAT_ONLY | OP_CONFIG)

/* Most operations have none, and nothing of it in their bytes. */
#define OP_HAS_ACL 128

enum presence { PRESENCE_SESSION = 1, PRESENCE_REQUEST = 2, PRESENCE_OWNER = 4 };

#define PRESENCE_ALL (PRESENCE_SESSION | PRESENCE_REQUEST | PRESENCE_OWNER)

/* ---- batch -------------------------------------------------------------------------------- */

size_t batch_begin(struct buf *b)
{
    size_t offset = b->size;
    memset(buf_extend(b, BATCH_HEADER_BYTES), 0, BATCH_HEADER_BYTES);
    return offset;
}

void batch_seal(struct buf *b, size_t header_offset, const struct batch_header *header)
{
    PRE(header_offset + BATCH_HEADER_BYTES <= b->size);
    b->data[header_offset] = COMMAND_FORMAT;
    b->data[header_offset + 1] = header->level;
    pack_u32_at(b, header_offset + 4, header->count);
    pack_u64_at(b, header_offset + 8, header->cluster_ms);
    pack_u64_at(b, header_offset + 16, header->wall_ms);
}

enum status batch_open(struct slice payload, struct batch_header *header,
                       struct unpack *commands)
{
    struct unpack u = unpack_make(payload);
    uint8_t format = unpack_u8(&u);
    header->level = unpack_u8(&u);
    uint16_t zero = unpack_u16(&u);
    header->count = unpack_u32(&u);
    header->cluster_ms = unpack_u64(&u);
    header->wall_ms = unpack_u64(&u);
    *commands = u;
    return u.failed || format != COMMAND_FORMAT || zero != 0 ? RC_MALFORMED : RC_OK;
}

/* ---- encode ------------------------------------------------------------------------------- */

static void op_encode(struct buf *b, const struct op *op)
{
    pack_u8(b, op->type);
    pack_u8(b, (uint8_t)(op->flags | (op->acl.size > 0 ? OP_HAS_ACL : 0)));
    pack_u8(b, op->space);
    pack_u8(b, op->kind);
    pack_bytes(b, op->path);
    pack_bytes(b, op->data);
    if (op->acl.size > 0) {
        pack_bytes(b, op->acl);
    }
    pack_u32(b, op->version);
    pack_u32(b, op->limit);
    pack_u64(b, op->lease);
    pack_u64(b, op->ttl_ms);
}

static void guard_encode(struct buf *b, const struct guard *g)
{
    pack_u8(b, g->target);
    pack_u8(b, g->relation);
    pack_u8(b, g->space);
    pack_bytes(b, g->path);
    pack_u64(b, g->number);
    pack_bytes(b, g->value);
}

static void txn_encode(struct buf *b, const struct txn *t)
{
    pack_u32(b, t->guard_count);
    pack_u32(b, t->then_count);
    pack_u32(b, t->else_count);
    for (uint32_t i = 0; i < t->guard_count; i++) {
        guard_encode(b, &t->guards[i]);
    }
    for (uint32_t i = 0; i < t->then_count; i++) {
        op_encode(b, &t->then_ops[i]);
    }
    for (uint32_t i = 0; i < t->else_count; i++) {
        op_encode(b, &t->else_ops[i]);
    }
}

static void check_encode(struct buf *b, const struct command_check *check)
{
    PRE(check->count <= COMMAND_CHECK_MEMBERS_MAX);
    pack_u64(b, check->index);
    pack_u32(b, check->count);
    for (uint32_t i = 0; i < check->count; i++) {
        pack_u64(b, check->members[i].member);
        pack_u64(b, check->members[i].digest);
    }
}

static void lease_encode(struct buf *b, uint8_t type, const struct command_lease *l)
{
    pack_u64(b, l->id);
    if (type == COMMAND_EXPIRE) {
        pack_u64(b, l->generation);
        return;
    }
    if (type == COMMAND_GRANT || type == COMMAND_RESUME) {
        pack_u64(b, l->ttl_ms);
    }
    if (type == COMMAND_GRANT || type == COMMAND_REVOKE) {
        pack_u8(b, l->kind);
    }
    if (type == COMMAND_GRANT) {
        pack_u8(b, l->renewable);
    }
    pack_bytes(b, l->secret);
    if (type == COMMAND_GRANT) {
        pack_bytes(b, l->owner);
    }
}

static void auth_encode(struct buf *b, const struct command_auth *a)
{
    pack_u8(b, a->action);
    pack_u8(b, a->flag);
    pack_u8(b, a->rights);
    pack_bytes(b, a->user);
    pack_bytes(b, a->role);
    pack_bytes(b, a->path);
    pack_bytes(b, a->secret);
    pack_u64(b, a->token_ttl_ms);
    if (a->action == AUTH_USER_LIMIT) {
        pack_u32(b, a->limits.requests_per_second);
        pack_u32(b, a->limits.connections);
        pack_u32(b, a->limits.watches);
        pack_u32(b, a->limits.leases);
    }
}

static void quota_encode(struct buf *b, const struct command_quota *q)
{
    pack_bytes(b, q->path);
    pack_u64(b, q->bytes);
    pack_u64(b, q->nodes);
    pack_u32(b, q->soft_percent);
}

static void recipe_encode(struct buf *b, const struct command_recipe *r)
{
    pack_u8(b, r->recipe);
    pack_u8(b, r->action);
    pack_u8(b, r->flags);
    pack_u8(b, r->policy);
    pack_u64(b, r->lease);
    pack_bytes(b, r->owner);
    pack_bytes(b, r->value);
    pack_bytes(b, r->label);
    pack_u32(b, r->priority);
    pack_u64(b, r->number);
    pack_u64(b, r->low);
    pack_u64(b, r->high);
    pack_u64(b, r->wait_ms);
    pack_u64(b, r->hold_ms);
    pack_u32(b, r->guard_count);
    pack_u32(b, r->target_count);
    for (uint32_t i = 0; i < r->guard_count; i++) {
        guard_encode(b, &r->guards[i]);
    }
    for (uint32_t i = 0; i < r->target_count; i++) {
        pack_bytes(b, r->targets[i].path);
        pack_u8(b, r->targets[i].mode);
        pack_u32(b, r->targets[i].permits);
        pack_u32(b, r->targets[i].limit);
        pack_u64(b, r->targets[i].revision);
    }
}

static void rollout_body_encode(struct buf *b, const struct command_rollout *r)
{
    pack_u8(b, r->event);
    pack_u8(b, r->stays_planned);
    pack_bytes(b, r->key);
    pack_bytes(b, r->record);
    pack_u64(b, r->revision);
}

static void discovery_encode(struct buf *b, const struct command_discovery *d)
{
    pack_u8(b, d->action);
    pack_u8(b, d->flag);
    pack_u8(b, d->health);
    pack_bytes(b, d->path);
    pack_u64(b, d->revision);
}

static void shard_encode(struct buf *b, const struct command_shard *s)
{
    pack_u8(b, s->action);
    pack_bytes(b, s->path);
    pack_bytes(b, s->node);
    pack_bytes(b, s->text);
    pack_u64(b, s->lease);
    pack_u64(b, s->base);
    pack_u32(b, s->guard_count);
    pack_u32(b, s->step_count);
    for (uint32_t i = 0; i < s->guard_count; i++) {
        guard_encode(b, &s->guards[i]);
    }
    for (uint32_t i = 0; i < s->step_count; i++) {
        pack_u64(b, s->steps[i].number);
        pack_u8(b, s->steps[i].kind);
        pack_u8(b, s->steps[i].state);
        pack_u64(b, s->steps[i].amount);
        pack_bytes(b, s->steps[i].from);
        pack_bytes(b, s->steps[i].to);
        pack_bytes(b, s->steps[i].why);
    }
}

static bool command_has_session(const struct command *c)
{
    return (c->session | c->sequence | c->answered_to) != 0;
}

uint32_t command_level(uint8_t type)
{
    switch (type) {
    case COMMAND_TXN:
    case COMMAND_CHECK:
    case COMMAND_LEVEL:
    case COMMAND_GRANT:
    case COMMAND_RESUME:
    case COMMAND_REVOKE:
    case COMMAND_EXPIRE:
    case COMMAND_REAP: return 1;
    case COMMAND_QUOTA:
    case COMMAND_AUTH:
    case COMMAND_RECIPE:
    case COMMAND_ROLLOUT:
    case COMMAND_DISCOVERY:
    case COMMAND_SHARD: return FEATURE_LEVEL >= 2 ? 2 : UINT32_MAX;
    default: return UINT32_MAX;
    }
}

void command_encode(struct buf *b, const struct command *c)
{
    size_t begin = b->size;
    bool session = command_has_session(c);
    bool request = request_id_is_set(&c->request);
    pack_u32(b, 0);
    pack_u8(b, c->type);
    pack_u64(b, c->origin_boot);
    pack_u64(b, c->origin_counter);
    pack_u8(b, (uint8_t)((session ? PRESENCE_SESSION : 0) | (request ? PRESENCE_REQUEST : 0) |
                         (c->by_owner ? PRESENCE_OWNER : 0)));
    if (session) {
        pack_u64(b, c->session);
        pack_u64(b, c->sequence);
        pack_u64(b, c->answered_to);
    }
    if (request) {
        pack_u64(b, c->request.issued_ms);
        pack_u64(b, c->request.random[0]);
        pack_u64(b, c->request.random[1]);
    }
    if (c->by_owner) {
        pack_u64(b, c->generation);
    }
    pack_bytes(b, c->identities);
    pack_bytes(b, c->note);
    if (command_level(c->type) == UINT32_MAX) {
        buf_append_slice(b, c->unknown);
        pack_u32_at(b, begin, (uint32_t)(b->size - begin - sizeof(uint32_t)));
        return;
    }
    switch (c->type) {
    case COMMAND_TXN: txn_encode(b, &c->txn); break;
    case COMMAND_CHECK: check_encode(b, &c->check); break;
    case COMMAND_LEVEL: pack_u32(b, c->level); break;
    case COMMAND_REAP:
        pack_bytes(b, c->reap.path);
        pack_u64(b, c->reap.revision);
        break;
    case COMMAND_AUTH: auth_encode(b, &c->auth); break;
    case COMMAND_QUOTA: quota_encode(b, &c->quota); break;
    case COMMAND_RECIPE: recipe_encode(b, &c->recipe); break;
    case COMMAND_ROLLOUT: rollout_body_encode(b, &c->rollout); break;
    case COMMAND_DISCOVERY: discovery_encode(b, &c->discovery); break;
    case COMMAND_SHARD: shard_encode(b, &c->shard); break;
    case COMMAND_GRANT:
    case COMMAND_RESUME:
    case COMMAND_REVOKE:
    case COMMAND_EXPIRE: lease_encode(b, c->type, &c->lease); break;
    default: UNREACHABLE();
    }
    pack_u32_at(b, begin, (uint32_t)(b->size - begin - sizeof(uint32_t)));
}

void command_set_origin(uint8_t *command, uint64_t boot, uint64_t counter)
{
    for (size_t i = 0; i < 8; i++) {
        command[COMMAND_ORIGIN_OFFSET + i] = (uint8_t)(boot >> (8 * i));
        command[COMMAND_ORIGIN_OFFSET + 8 + i] = (uint8_t)(counter >> (8 * i));
    }
}

/* ---- decode ------------------------------------------------------------------------------- */

static void op_decode(struct unpack *u, struct op *op)
{
    op->type = unpack_u8(u);
    uint8_t flags = unpack_u8(u);
    op->space = unpack_u8(u);
    op->kind = unpack_u8(u);
    op->path = unpack_bytes(u);
    op->data = unpack_bytes(u);
    op->acl = slice_make(NULL, 0);
    if (flags & OP_HAS_ACL) {
        op->acl = unpack_bytes(u);
        u->failed = u->failed || op->acl.size == 0;
    }
    op->flags = (uint8_t)(flags & ~OP_HAS_ACL);
    op->version = unpack_u32(u);
    op->limit = unpack_u32(u);
    op->lease = unpack_u64(u);
    op->ttl_ms = unpack_u64(u);
    if (op->type < OP_CREATE || op->type > OP_SET_ACL || (op->flags & ~OP_FLAGS_ALL) != 0 ||
        !space_is_valid(op->space) || op->kind > NODE_TTL) {
        u->failed = true;
    }
}

static void guard_decode(struct unpack *u, struct guard *g)
{
    g->target = unpack_u8(u);
    g->relation = unpack_u8(u);
    g->space = unpack_u8(u);
    g->path = unpack_bytes(u);
    g->number = unpack_u64(u);
    g->value = unpack_bytes(u);
    if (g->target < GUARD_EXISTS || g->target > GUARD_GRANT || g->relation < GUARD_EQUAL ||
        g->relation > GUARD_GREATER || !space_is_valid(g->space)) {
        u->failed = true;
    }
}

static const struct op *ops_decode(struct unpack *u, uint32_t count, struct arena *arena)
{
    struct op *ops = arena_alloc(arena, count * sizeof *ops);
    for (uint32_t i = 0; i < count && !u->failed; i++) {
        op_decode(u, &ops[i]);
    }
    return ops;
}

static const struct guard *guards_decode(struct unpack *u, uint32_t count, struct arena *arena)
{
    struct guard *guards = arena_alloc(arena, count * sizeof *guards);
    for (uint32_t i = 0; i < count && !u->failed; i++) {
        guard_decode(u, &guards[i]);
    }
    return guards;
}

static void txn_decode(struct unpack *u, struct txn *t, struct arena *arena)
{
    t->guard_count = unpack_u32(u);
    t->then_count = unpack_u32(u);
    t->else_count = unpack_u32(u);
    /* A count is believed only as far as the bytes behind it can hold that many. */
    uint64_t needed = (uint64_t)t->guard_count * COMMAND_GUARD_BYTES_MIN +
                      ((uint64_t)t->then_count + t->else_count) * COMMAND_OP_BYTES_MIN;
    if (u->failed || needed > u->rest.size) {
        u->failed = true;
        return;
    }
    t->guards = guards_decode(u, t->guard_count, arena);
    t->then_ops = ops_decode(u, t->then_count, arena);
    t->else_ops = ops_decode(u, t->else_count, arena);
}

static void check_decode(struct unpack *u, struct command_check *check)
{
    check->index = unpack_u64(u);
    check->count = unpack_u32(u);
    if (check->count > COMMAND_CHECK_MEMBERS_MAX) {
        u->failed = true;
        return;
    }
    for (uint32_t i = 0; i < check->count; i++) {
        check->members[i].member = unpack_u64(u);
        check->members[i].digest = unpack_u64(u);
    }
}

static void lease_decode(struct unpack *u, uint8_t type, struct command_lease *l)
{
    l->id = unpack_u64(u);
    if (type == COMMAND_EXPIRE) {
        l->generation = unpack_u64(u);
        return;
    }
    if (type == COMMAND_GRANT || type == COMMAND_RESUME) {
        l->ttl_ms = unpack_u64(u);
    }
    if (type == COMMAND_GRANT || type == COMMAND_REVOKE) {
        l->kind = unpack_u8(u);
    }
    if (type == COMMAND_GRANT) {
        uint8_t renewable = unpack_u8(u);
        l->renewable = renewable == 1;
        u->failed = u->failed || renewable > 1 || l->kind == 0;
    }
    l->secret = unpack_bytes(u);
    if (type == COMMAND_GRANT) {
        l->owner = unpack_bytes(u);
    }
    u->failed = u->failed || l->kind > LEASE_SESSION;
}

static void auth_decode(struct unpack *u, struct command_auth *a)
{
    a->action = unpack_u8(u);
    uint8_t flag = unpack_u8(u);
    a->flag = flag == 1;
    a->rights = unpack_u8(u);
    a->user = unpack_bytes(u);
    a->role = unpack_bytes(u);
    a->path = unpack_bytes(u);
    a->secret = unpack_bytes(u);
    a->token_ttl_ms = unpack_u64(u);
    if (a->action == AUTH_USER_LIMIT) {
        a->limits.requests_per_second = unpack_u32(u);
        a->limits.connections = unpack_u32(u);
        a->limits.watches = unpack_u32(u);
        a->limits.leases = unpack_u32(u);
    }
    if (a->action < AUTH_ENABLE || a->action > AUTH_USER_LIMIT || flag > 1) {
        u->failed = true;
    }
}

static void quota_decode(struct unpack *u, struct command_quota *q)
{
    q->path = unpack_bytes(u);
    q->bytes = unpack_u64(u);
    q->nodes = unpack_u64(u);
    q->soft_percent = unpack_u32(u);
}

static void recipe_decode(struct unpack *u, struct command_recipe *r, struct arena *arena)
{
    r->recipe = unpack_u8(u);
    r->action = unpack_u8(u);
    r->flags = unpack_u8(u);
    r->policy = unpack_u8(u);
    r->lease = unpack_u64(u);
    r->owner = unpack_bytes(u);
    r->value = unpack_bytes(u);
    r->label = unpack_bytes(u);
    r->priority = unpack_u32(u);
    r->number = unpack_u64(u);
    r->low = unpack_u64(u);
    r->high = unpack_u64(u);
    r->wait_ms = unpack_u64(u);
    r->hold_ms = unpack_u64(u);
    r->guard_count = unpack_u32(u);
    r->target_count = unpack_u32(u);
    uint64_t needed = (uint64_t)r->guard_count * COMMAND_GUARD_BYTES_MIN +
                      (uint64_t)r->target_count * COMMAND_TARGET_BYTES_MIN;
    if (u->failed || needed > u->rest.size) {
        u->failed = true;
        return;
    }
    r->guards = guards_decode(u, r->guard_count, arena);
    struct recipe_target *targets = arena_alloc(arena, r->target_count * sizeof *targets);
    for (uint32_t i = 0; i < r->target_count && !u->failed; i++) {
        targets[i].path = unpack_bytes(u);
        targets[i].mode = unpack_u8(u);
        targets[i].permits = unpack_u32(u);
        targets[i].limit = unpack_u32(u);
        targets[i].revision = unpack_u64(u);
    }
    r->targets = targets;
}

static void rollout_body_decode(struct unpack *u, struct command_rollout *r)
{
    r->event = unpack_u8(u);
    uint8_t flag = unpack_u8(u);
    r->stays_planned = flag == 1;
    u->failed = u->failed || flag > 1;
    r->key = unpack_bytes(u);
    r->record = unpack_bytes(u);
    r->revision = unpack_u64(u);
}

static void discovery_decode(struct unpack *u, struct command_discovery *d)
{
    d->action = unpack_u8(u);
    uint8_t flag = unpack_u8(u);
    d->flag = flag == 1;
    d->health = unpack_u8(u);
    d->path = unpack_bytes(u);
    d->revision = unpack_u64(u);
    if (d->action < DISCOVERY_DRAIN || d->action > DISCOVERY_HEALTH || flag > 1 ||
        d->health > HEALTH_DOWN) {
        u->failed = true;
    }
}

static void shard_decode(struct unpack *u, struct command_shard *s, struct arena *arena)
{
    s->action = unpack_u8(u);
    s->path = unpack_bytes(u);
    s->node = unpack_bytes(u);
    s->text = unpack_bytes(u);
    s->lease = unpack_u64(u);
    s->base = unpack_u64(u);
    s->guard_count = unpack_u32(u);
    s->step_count = unpack_u32(u);
    uint64_t needed = (uint64_t)s->guard_count * COMMAND_GUARD_BYTES_MIN +
                      (uint64_t)s->step_count * COMMAND_STEP_BYTES_MIN;
    if (u->failed || needed > u->rest.size) {
        u->failed = true;
        return;
    }
    s->guards = guards_decode(u, s->guard_count, arena);
    struct shard_step *steps = arena_alloc(arena, s->step_count * sizeof *steps);
    for (uint32_t i = 0; i < s->step_count && !u->failed; i++) {
        steps[i].number = unpack_u64(u);
        steps[i].kind = unpack_u8(u);
        steps[i].state = unpack_u8(u);
        steps[i].amount = unpack_u64(u);
        steps[i].from = unpack_bytes(u);
        steps[i].to = unpack_bytes(u);
        steps[i].why = unpack_bytes(u);
    }
    s->steps = steps;
}

static void head_decode(struct unpack *u, struct command *c)
{
    c->origin_boot = unpack_u64(u);
    c->origin_counter = unpack_u64(u);
    uint8_t presence = unpack_u8(u);
    if (presence & PRESENCE_SESSION) {
        c->session = unpack_u64(u);
        c->sequence = unpack_u64(u);
        c->answered_to = unpack_u64(u);
    }
    if (presence & PRESENCE_REQUEST) {
        c->request.issued_ms = unpack_u64(u);
        c->request.random[0] = unpack_u64(u);
        c->request.random[1] = unpack_u64(u);
    }
    if (presence & PRESENCE_OWNER) {
        c->by_owner = true;
        c->generation = unpack_u64(u);
    }
    if ((presence & ~PRESENCE_ALL) != 0 ||
        ((presence & PRESENCE_SESSION) != 0) != command_has_session(c) ||
        ((presence & PRESENCE_REQUEST) != 0) != request_id_is_set(&c->request)) {
        u->failed = true;
    }
    c->identities = unpack_bytes(u);
    c->note = unpack_bytes(u);
}

enum status command_decode(struct unpack *commands, struct command *out, struct arena *arena)
{
    struct unpack u = unpack_make(unpack_bytes(commands));
    *out = (struct command){.type = unpack_u8(&u)};
    head_decode(&u, out);
    if (command_level(out->type) == UINT32_MAX && out->type != 0) {
        out->unknown = u.rest;
        return commands->failed || u.failed ? RC_MALFORMED : RC_OK;
    }
    switch (out->type) {
    case COMMAND_TXN: txn_decode(&u, &out->txn, arena); break;
    case COMMAND_CHECK: check_decode(&u, &out->check); break;
    case COMMAND_LEVEL: out->level = unpack_u32(&u); break;
    case COMMAND_REAP:
        out->reap.path = unpack_bytes(&u);
        out->reap.revision = unpack_u64(&u);
        break;
    case COMMAND_AUTH: auth_decode(&u, &out->auth); break;
    case COMMAND_QUOTA: quota_decode(&u, &out->quota); break;
    case COMMAND_RECIPE: recipe_decode(&u, &out->recipe, arena); break;
    case COMMAND_ROLLOUT: rollout_body_decode(&u, &out->rollout); break;
    case COMMAND_DISCOVERY: discovery_decode(&u, &out->discovery); break;
    case COMMAND_SHARD: shard_decode(&u, &out->shard, arena); break;
    case COMMAND_GRANT:
    case COMMAND_RESUME:
    case COMMAND_REVOKE:
    case COMMAND_EXPIRE: lease_decode(&u, out->type, &out->lease); break;
    default: u.failed = true; break;
    }
    return commands->failed || !unpack_done(&u) ? RC_MALFORMED : RC_OK;
}
