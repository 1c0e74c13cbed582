/* The bytes of all commands but transactions: of each the two halves, one behind the other.
 *
 *   check      u64 index | u32 count | count times: u64 member | u64 digest
 *   grant      u64 id | u64 ttl_ms | u8 kind | u8 renewable | bytes secret | bytes owner
 *   resume     u64 id | u64 ttl_ms | bytes secret
 *   revoke     u64 id | u8 kind | bytes secret
 *   expire     u64 id | u64 generation
 *   auth       u8 action | u8 flag | u8 rights | bytes user | bytes role | bytes path
 *              | bytes secret | u64 token_ttl_ms
 *              | of user limit: u32 requests_per_second | u32 connections | u32 watches
 *                | u32 leases
 *   quota      bytes path | u64 bytes | u64 nodes | u32 soft percent
 *   recipe     u8 recipe | u8 action | u8 flags | u8 policy | u64 lease | bytes owner
 *              | bytes value | bytes label | u32 priority | u64 number | u64 low | u64 high
 *              | u64 wait_ms | u64 hold_ms | u32 guards | u32 targets | guards | targets
 *   target     bytes path | u8 mode | u32 permits | u32 limit | u64 revision
 *   rollout    u8 event | u8 stays planned | bytes key | bytes record | u64 revision
 *   discovery  u8 action | u8 flag | u8 health | bytes path | u64 revision
 *   shard      u8 action | bytes path | bytes node | bytes text | u64 lease | u64 base
 *              | u32 guards | u32 steps | guards | steps
 *   step       u64 number | u8 kind | u8 state | u64 amount | bytes from | bytes to | bytes why
 */
#include "base/assert.h"
#include "lease/lease.h"
#include "recipes/instance.h"
#include "store/command_internal.h"

void command_check_encode(struct buf *b, const struct command_check *check)
{
    PRE(check->count <= COMMAND_CHECK_MEMBERS_MAX);
    pack_u64(b, check->index);
    pack_u32(b, check->count);
    for (uint32_t i = 0; i < check->count; i++) {
        pack_u64(b, check->members[i].member);
        pack_u64(b, check->members[i].digest);
    }
}

void command_check_decode(struct unpack *u, struct command_check *check)
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

void command_lease_encode(struct buf *b, uint8_t type, const struct command_lease *l)
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

void command_lease_decode(struct unpack *u, uint8_t type, struct command_lease *l)
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

void command_auth_encode(struct buf *b, const struct command_auth *a)
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

void command_auth_decode(struct unpack *u, struct command_auth *a)
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

void command_quota_encode(struct buf *b, const struct command_quota *q)
{
    pack_bytes(b, q->path);
    pack_u64(b, q->bytes);
    pack_u64(b, q->nodes);
    pack_u32(b, q->soft_percent);
}

void command_quota_decode(struct unpack *u, struct command_quota *q)
{
    q->path = unpack_bytes(u);
    q->bytes = unpack_u64(u);
    q->nodes = unpack_u64(u);
    q->soft_percent = unpack_u32(u);
}

void command_recipe_encode(struct buf *b, const struct command_recipe *r)
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
        command_guard_encode(b, &r->guards[i]);
    }
    for (uint32_t i = 0; i < r->target_count; i++) {
        pack_bytes(b, r->targets[i].path);
        pack_u8(b, r->targets[i].mode);
        pack_u32(b, r->targets[i].permits);
        pack_u32(b, r->targets[i].limit);
        pack_u64(b, r->targets[i].revision);
    }
}

void command_recipe_decode(struct unpack *u, struct command_recipe *r, struct arena *arena)
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
    r->guards = command_guards_decode(u, r->guard_count, arena);
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

void command_rollout_encode(struct buf *b, const struct command_rollout *r)
{
    pack_u8(b, r->event);
    pack_u8(b, r->stays_planned);
    pack_bytes(b, r->key);
    pack_bytes(b, r->record);
    pack_u64(b, r->revision);
}

void command_rollout_decode(struct unpack *u, struct command_rollout *r)
{
    r->event = unpack_u8(u);
    uint8_t flag = unpack_u8(u);
    r->stays_planned = flag == 1;
    u->failed = u->failed || flag > 1;
    r->key = unpack_bytes(u);
    r->record = unpack_bytes(u);
    r->revision = unpack_u64(u);
}

void command_discovery_encode(struct buf *b, const struct command_discovery *d)
{
    pack_u8(b, d->action);
    pack_u8(b, d->flag);
    pack_u8(b, d->health);
    pack_bytes(b, d->path);
    pack_u64(b, d->revision);
}

void command_discovery_decode(struct unpack *u, struct command_discovery *d)
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

void command_shard_encode(struct buf *b, const struct command_shard *s)
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
        command_guard_encode(b, &s->guards[i]);
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

void command_shard_decode(struct unpack *u, struct command_shard *s, struct arena *arena)
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
    s->guards = command_guards_decode(u, s->guard_count, arena);
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
