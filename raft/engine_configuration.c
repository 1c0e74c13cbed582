/* Membership between our words and libraft's. The encoded form is libraft's own, since it
 * lives in RAFT_CHANGE entries that the core decodes itself; its decoder trusts its input,
 * so everything is checked here first (reference: configuration.c of libraft,
 * configurationDecode). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/pack.h"
#include "raft/engine_internal.h"

#define CONFIGURATION_FORMAT 1

_Static_assert((int)ENGINE_STANDBY == (int)RAFT_STANDBY, "role numbers are libraft's");
_Static_assert((int)ENGINE_VOTER == (int)RAFT_VOTER, "role numbers are libraft's");
_Static_assert((int)ENGINE_SPARE == (int)RAFT_SPARE, "role numbers are libraft's");

const struct engine_member *engine_find_member(const struct engine_configuration *c, uint64_t id)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->members[i].id == id) {
            return &c->members[i];
        }
    }
    return NULL;
}

size_t engine_voter_count(const struct engine_configuration *c)
{
    size_t count = 0;
    for (size_t i = 0; i < c->count; i++) {
        count += c->members[i].role == ENGINE_VOTER;
    }
    return count;
}

void engine_configuration_encode(struct buf *out, const struct engine_configuration *c)
{
    PRE(c->count > 0 && c->count <= ENGINE_MEMBERS_MAX);
    struct raft_configuration rc;
    engine_configuration_to_raft(c, &rc);
    struct raft_buffer bytes;
    if (raft_configuration_encode(&rc, &bytes) != 0) {
        UNREACHABLE(); /* only for lack of memory */
    }
    buf_append(out, bytes.base, bytes.len);
    raft_free(bytes.base);
    raft_configuration_close(&rc);
}

/* One member: u64 id, address with its NUL, u8 role. */
static bool decode_member(struct unpack *u, struct engine_member *m)
{
    m->id = unpack_u64(u);
    const uint8_t *end = u->rest.size == 0 ? NULL : memchr(u->rest.data, 0, u->rest.size);
    if (end == NULL) {
        return false;
    }
    size_t length = (size_t)(end - u->rest.data);
    struct slice address = unpack_raw(u, length + 1);
    m->role = unpack_u8(u);
    if (u->failed || length == 0 || length >= sizeof m->address) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (address.data[i] <= ' ' || address.data[i] >= 0x7f) {
            return false;
        }
    }
    memcpy(m->address, address.data, length + 1);
    return m->id != 0 && m->role <= ENGINE_SPARE;
}

static bool id_is_new(const struct engine_configuration *c, uint64_t id)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->members[i].id == id) {
            return false;
        }
    }
    return true;
}

enum status engine_configuration_decode(struct slice bytes, struct engine_configuration *out)
{
    struct unpack u = unpack_make(bytes);
    uint8_t format = unpack_u8(&u);
    uint64_t count = unpack_u64(&u);
    *out = (struct engine_configuration){0};
    if (u.failed || format != CONFIGURATION_FORMAT || count == 0 ||
        count > ENGINE_MEMBERS_MAX) {
        return RC_MALFORMED;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct engine_member member;
        if (!decode_member(&u, &member) || !id_is_new(out, member.id)) {
            return RC_MALFORMED;
        }
        out->members[out->count++] = member;
    }
    /* Padded with zeros to a multiple of eight. */
    if (u.rest.size >= 8) {
        return RC_MALFORMED;
    }
    while (u.rest.size > 0) {
        if (unpack_u8(&u) != 0) {
            return RC_MALFORMED;
        }
    }
    return RC_OK;
}

void engine_configuration_from_raft(const struct raft_configuration *from, uint64_t index,
                                    struct engine_configuration *to)
{
    *to = (struct engine_configuration){.index = index};
    for (unsigned i = 0; i < from->n && i < ENGINE_MEMBERS_MAX; i++) {
        struct engine_member *m = &to->members[to->count++];
        m->id = from->servers[i].id;
        m->role = (uint8_t)from->servers[i].role;
        snprintf(m->address, sizeof m->address, "%s", from->servers[i].address);
    }
}

void engine_configuration_to_raft(const struct engine_configuration *from,
                                  struct raft_configuration *to)
{
    raft_configuration_init(to);
    for (size_t i = 0; i < from->count; i++) {
        const struct engine_member *m = &from->members[i];
        if (raft_configuration_add(to, m->id, m->address, m->role) != 0) {
            UNREACHABLE(); /* duplicates were excluded by the caller */
        }
    }
}
