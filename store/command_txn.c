/* The bytes of transactions, and of the guards that other commands have too.
 *
 *   txn      u32 guards | u32 then | u32 else | guards | operations of then | of else
 *   guard    u8 target | u8 relation | u8 space | bytes path | u64 number | bytes value
 *   op       u8 type | u8 flags, and 128: a list | u8 space | u8 kind | bytes path | bytes data
 *            | flags & 128: bytes acl | u32 version | u32 limit | u64 lease | u64 ttl_ms
 */
#include "store/command_internal.h"
#include "store/tree.h"

#define OP_FLAGS_ALL                                                              \
    (OP_SEQUENTIAL | OP_MAKE_PARENTS | OP_RECURSIVE | OP_NULL_DATA | OP_DRY_RUN | \
     OP_STAT_ONLY | OP_CONFIG)

/* Most operations have none, and nothing of it in their bytes. */
#define OP_HAS_ACL 128

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

void command_guard_encode(struct buf *b, const struct guard *g)
{
    pack_u8(b, g->target);
    pack_u8(b, g->relation);
    pack_u8(b, g->space);
    pack_bytes(b, g->path);
    pack_u64(b, g->number);
    pack_bytes(b, g->value);
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

void command_txn_encode(struct buf *b, const struct txn *t)
{
    pack_u32(b, t->guard_count);
    pack_u32(b, t->then_count);
    pack_u32(b, t->else_count);
    for (uint32_t i = 0; i < t->guard_count; i++) {
        command_guard_encode(b, &t->guards[i]);
    }
    for (uint32_t i = 0; i < t->then_count; i++) {
        op_encode(b, &t->then_ops[i]);
    }
    for (uint32_t i = 0; i < t->else_count; i++) {
        op_encode(b, &t->else_ops[i]);
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

const struct guard *command_guards_decode(struct unpack *u, uint32_t count, struct arena *arena)
{
    struct guard *guards = arena_alloc(arena, count * sizeof *guards);
    for (uint32_t i = 0; i < count && !u->failed; i++) {
        guard_decode(u, &guards[i]);
    }
    return guards;
}

void command_txn_decode(struct unpack *u, struct txn *t, struct arena *arena)
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
    t->guards = command_guards_decode(u, t->guard_count, arena);
    t->then_ops = ops_decode(u, t->then_count, arena);
    t->else_ops = ops_decode(u, t->else_count, arena);
}
