/* The bytes of a batch, and of a command up to its body. All integers little-endian; bytes = u32
 * length, then that many.
 *
 *   command  u32 bytes that follow | u8 type | u64 origin boot | u64 origin counter | u8 presence
 *            | presence & 1: u64 session | u64 sequence | u64 answered_to
 *            | presence & 2: u64 issued_ms | u64 random | u64 random
 *            | presence & 4: u64 generation
 *            | bytes identities | bytes note | body (command_txn.c, command_body.c)
 *   level    u32 level
 *   reap     bytes path | u64 create revision
 *   others   any bytes: a later build's
 *
 * There is one encoding of each command: what decodes encodes to the same bytes.
 */
#include "store/command.h"

#include "base/assert.h"
#include "store/command_internal.h"

#define COMMAND_ORIGIN_OFFSET ((size_t)5) /* behind length and type */
#define BATCH_HEADER_BYTES    ((size_t)24)

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
    case COMMAND_TXN: command_txn_encode(b, &c->txn); break;
    case COMMAND_CHECK: command_check_encode(b, &c->check); break;
    case COMMAND_LEVEL: pack_u32(b, c->level); break;
    case COMMAND_REAP:
        pack_bytes(b, c->reap.path);
        pack_u64(b, c->reap.revision);
        break;
    case COMMAND_AUTH: command_auth_encode(b, &c->auth); break;
    case COMMAND_QUOTA: command_quota_encode(b, &c->quota); break;
    case COMMAND_RECIPE: command_recipe_encode(b, &c->recipe); break;
    case COMMAND_ROLLOUT: command_rollout_encode(b, &c->rollout); break;
    case COMMAND_DISCOVERY: command_discovery_encode(b, &c->discovery); break;
    case COMMAND_SHARD: command_shard_encode(b, &c->shard); break;
    case COMMAND_GRANT:
    case COMMAND_RESUME:
    case COMMAND_REVOKE:
    case COMMAND_EXPIRE: command_lease_encode(b, c->type, &c->lease); break;
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
    case COMMAND_TXN: command_txn_decode(&u, &out->txn, arena); break;
    case COMMAND_CHECK: command_check_decode(&u, &out->check); break;
    case COMMAND_LEVEL: out->level = unpack_u32(&u); break;
    case COMMAND_REAP:
        out->reap.path = unpack_bytes(&u);
        out->reap.revision = unpack_u64(&u);
        break;
    case COMMAND_AUTH: command_auth_decode(&u, &out->auth); break;
    case COMMAND_QUOTA: command_quota_decode(&u, &out->quota); break;
    case COMMAND_RECIPE: command_recipe_decode(&u, &out->recipe, arena); break;
    case COMMAND_ROLLOUT: command_rollout_decode(&u, &out->rollout); break;
    case COMMAND_DISCOVERY: command_discovery_decode(&u, &out->discovery); break;
    case COMMAND_SHARD: command_shard_decode(&u, &out->shard, arena); break;
    case COMMAND_GRANT:
    case COMMAND_RESUME:
    case COMMAND_REVOKE:
    case COMMAND_EXPIRE: command_lease_decode(&u, out->type, &out->lease); break;
    default: u.failed = true; break;
    }
    return commands->failed || !unpack_done(&u) ? RC_MALFORMED : RC_OK;
}
