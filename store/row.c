/* The bytes of a row. Fields in the order of the structs; booleans and null marks are bits.
 *
 *   meta    bytes name | bytes value
 *   node    u8 space | u8 bits: 1 null data | bytes path | bytes data | stat
 *           | u64 touched_ms
 *   change  u64 revision | u32 sub | u8 type | u8 space | u8 reason | u8 bits: 1 null data,
 *           2 null old data | bytes path | bytes data | bytes old data | stat
 *           | u64 old modify revision | u64 old modify_ms | bytes acl | u64 session
 *           | u64 cluster_ms | u64 wall_ms | bytes identities | bytes note
 *   reply   u64 issued_ms | u64 random | u64 random | u64 session | u64 sequence | u64 serial
 *           | u64 index | bytes reply
 *   lease   u64 id | u8 kind | u8 bits: 1 renewable | u64 ttl_ms | u64 generation | u64 granted_ms
 *           | u64 window floor | bytes secret | bytes owner | bytes user
 *   version as change
 *   acl     u32 id | bytes list
 */
#include "store/row.h"

#include "base/assert.h"
#include "lease/lease.h"
#include "store/history.h"
#include "store/stat.h"
#include "store/tree.h"

enum { ROW_NULL_DATA = 1, ROW_NULL_OLD_DATA = 2 };
enum { ROW_RENEWABLE = 1 };

static void node_encode(struct buf *b, const struct row_node *n)
{
    pack_u8(b, n->space);
    pack_u8(b, n->null_data ? ROW_NULL_DATA : 0);
    pack_bytes(b, n->path);
    pack_bytes(b, n->data);
    stat_pack(b, &n->stat);
    pack_u64(b, n->touched_ms);
}

static void change_encode(struct buf *b, const struct row_change *c)
{
    pack_u64(b, c->revision);
    pack_u32(b, c->sub);
    pack_u8(b, c->type);
    pack_u8(b, c->space);
    pack_u8(b, c->reason);
    pack_u8(b, (uint8_t)((c->null_data ? ROW_NULL_DATA : 0) |
                         (c->null_old_data ? ROW_NULL_OLD_DATA : 0)));
    pack_bytes(b, c->path);
    pack_bytes(b, c->data);
    pack_bytes(b, c->old_data);
    stat_pack(b, &c->stat);
    pack_u64(b, c->old_modify_revision);
    pack_u64(b, c->old_modify_ms);
    pack_bytes(b, c->acl);
    pack_u64(b, c->session);
    pack_u64(b, c->cluster_ms);
    pack_u64(b, c->wall_ms);
    pack_bytes(b, c->identities);
    pack_bytes(b, c->note);
}

static void row_reply_encode(struct buf *b, const struct row_reply *r)
{
    pack_u64(b, r->request.issued_ms);
    pack_u64(b, r->request.random[0]);
    pack_u64(b, r->request.random[1]);
    pack_u64(b, r->session);
    pack_u64(b, r->sequence);
    pack_u64(b, r->serial);
    pack_u64(b, r->index);
    pack_bytes(b, r->reply);
}

static void row_lease_encode(struct buf *b, const struct row_lease *l)
{
    pack_u64(b, l->id);
    pack_u8(b, l->kind);
    pack_u8(b, l->renewable ? ROW_RENEWABLE : 0);
    pack_u64(b, l->ttl_ms);
    pack_u64(b, l->generation);
    pack_u64(b, l->granted_ms);
    pack_u64(b, l->window_floor);
    pack_bytes(b, l->secret);
    pack_bytes(b, l->owner);
    pack_bytes(b, l->user);
}

void row_encode(struct buf *b, const struct row *row)
{
    size_t begin = b->size;
    pack_u32(b, 0);
    pack_u8(b, row->table);
    switch (row->table) {
    case ROW_META:
        pack_bytes(b, row->meta.name);
        pack_bytes(b, row->meta.value);
        break;
    case ROW_NODE: node_encode(b, &row->node); break;
    case ROW_CHANGE:
    case ROW_VERSION: change_encode(b, &row->change); break;
    case ROW_REPLY: row_reply_encode(b, &row->reply); break;
    case ROW_LEASE: row_lease_encode(b, &row->lease); break;
    case ROW_ACL:
        pack_u32(b, row->acl.id);
        pack_bytes(b, row->acl.list);
        break;
    default: UNREACHABLE();
    }
    pack_u32_at(b, begin, (uint32_t)(b->size - begin - sizeof(uint32_t)));
}

static void node_decode(struct unpack *u, struct row_node *n)
{
    n->space = unpack_u8(u);
    uint8_t bits = unpack_u8(u);
    n->null_data = (bits & ROW_NULL_DATA) != 0;
    n->path = unpack_bytes(u);
    n->data = unpack_bytes(u);
    stat_unpack(u, &n->stat);
    n->touched_ms = unpack_u64(u);
    if (bits > ROW_NULL_DATA || !space_is_valid(n->space) ||
        (n->null_data && n->data.size > 0)) {
        u->failed = true;
    }
}

static void change_decode(struct unpack *u, struct row_change *c)
{
    c->revision = unpack_u64(u);
    c->sub = unpack_u32(u);
    c->type = unpack_u8(u);
    c->space = unpack_u8(u);
    c->reason = unpack_u8(u);
    uint8_t bits = unpack_u8(u);
    c->null_data = (bits & ROW_NULL_DATA) != 0;
    c->null_old_data = (bits & ROW_NULL_OLD_DATA) != 0;
    c->path = unpack_bytes(u);
    c->data = unpack_bytes(u);
    c->old_data = unpack_bytes(u);
    stat_unpack(u, &c->stat);
    c->old_modify_revision = unpack_u64(u);
    c->old_modify_ms = unpack_u64(u);
    c->acl = unpack_bytes(u);
    c->session = unpack_u64(u);
    c->cluster_ms = unpack_u64(u);
    c->wall_ms = unpack_u64(u);
    c->identities = unpack_bytes(u);
    c->note = unpack_bytes(u);
    if (bits > (ROW_NULL_DATA | ROW_NULL_OLD_DATA) || c->type < CHANGE_CREATE ||
        c->type > CHANGE_ACL || c->reason > REASON_TIMED_OUT || !space_is_valid(c->space) ||
        (c->null_data && c->data.size > 0) || (c->null_old_data && c->old_data.size > 0)) {
        u->failed = true;
    }
}

static void row_reply_decode(struct unpack *u, struct row_reply *r)
{
    r->request.issued_ms = unpack_u64(u);
    r->request.random[0] = unpack_u64(u);
    r->request.random[1] = unpack_u64(u);
    r->session = unpack_u64(u);
    r->sequence = unpack_u64(u);
    r->serial = unpack_u64(u);
    r->index = unpack_u64(u);
    r->reply = unpack_bytes(u);
}

static void row_lease_decode(struct unpack *u, struct row_lease *l)
{
    l->id = unpack_u64(u);
    l->kind = unpack_u8(u);
    uint8_t bits = unpack_u8(u);
    l->renewable = (bits & ROW_RENEWABLE) != 0;
    l->ttl_ms = unpack_u64(u);
    l->generation = unpack_u64(u);
    l->granted_ms = unpack_u64(u);
    l->window_floor = unpack_u64(u);
    l->secret = unpack_bytes(u);
    l->owner = unpack_bytes(u);
    l->user = unpack_bytes(u);
    if (bits > ROW_RENEWABLE || l->kind < LEASE_PLAIN || l->kind > LEASE_SESSION ||
        l->secret.size != LEASE_SECRET_BYTES) {
        u->failed = true;
    }
}

enum status row_decode(struct unpack *rows, struct row *out)
{
    struct unpack u = unpack_make(unpack_bytes(rows));
    *out = (struct row){.table = unpack_u8(&u)};
    switch (out->table) {
    case ROW_META:
        out->meta.name = unpack_bytes(&u);
        out->meta.value = unpack_bytes(&u);
        break;
    case ROW_NODE: node_decode(&u, &out->node); break;
    case ROW_CHANGE:
    case ROW_VERSION: change_decode(&u, &out->change); break;
    case ROW_REPLY: row_reply_decode(&u, &out->reply); break;
    case ROW_LEASE: row_lease_decode(&u, &out->lease); break;
    case ROW_ACL:
        out->acl.id = unpack_u32(&u);
        out->acl.list = unpack_bytes(&u);
        break;
    default: u.failed = true; break;
    }
    return rows->failed || !unpack_done(&u) ? RC_MALFORMED : RC_OK;
}
