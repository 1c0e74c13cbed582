/* The bytes of a reply.
 *
 *   reply   u8 outcome | u8 bits: 1 took_then, 2 repeated, 4 lease, 8 refusal, 16 recipe
 *           | u64 revision | u64 index | u32 failed_op | bits & 4: lease | bits & 8: refusal
 *           | bits & 16: recipe | u32 results | results
 *   lease   u64 id | u64 ttl_ms | u64 generation | u64 removed | bytes secret
 *   refusal u8 bound | bytes subject | u64 used | u64 wanted | u64 limit
 *   recipe  u32 places | u32 cycle | u32 cycle length | bytes text | u64 number | u64 before
 *           | places | waits of the cycle
 *   place   bytes path | u64 revision | u8 held | u32 count | u64 epoch | u64 position
 *   wait    u64 lease | bytes owner | bytes path | u8 mode | u64 lease | bytes owner | u8 holds
 *           | u8 mode
 *   result  u8 type | u8 outcome | u8 presence: 1 null data, 2 stat, 4 count, 8 entries
 *           | bytes path | bytes data | stat | u64 count | u32 entries | entries
 *   entry   bytes name | u8 has stat | stat
 */
#include "store/reply.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "lease/lease.h"
#include "recipes/lock.h"
#include "store/command.h"
#include "store/stat.h"

#define RESULT_BYTES_MIN ((size_t)11)
#define ENTRY_BYTES_MIN  ((size_t)5)
#define PLACE_BYTES_MIN  ((size_t)33)
#define WAIT_BYTES_MIN   ((size_t)31)

enum reply_bits {
    REPLY_TOOK_THEN = 1,
    REPLY_REPEATED = 2,
    REPLY_LEASE = 4,
    REPLY_REFUSAL = 8,
    REPLY_RECIPE = 16,
    REPLY_ALL = 31,
};

enum result_presence {
    RESULT_NULL_DATA = 1,
    RESULT_STAT = 2,
    RESULT_COUNT = 4,
    RESULT_ENTRIES = 8,
    RESULT_ALL = 15,
};

const char *outcome_text(enum outcome outcome)
{
    static const char *const texts[] = {
#define OUTCOME_TEXT(name, text) text,
        OUTCOME_LIST(OUTCOME_TEXT)
#undef OUTCOME_TEXT
    };
    return (unsigned)outcome < OUTCOME_COUNT ? texts[outcome] : "unknown outcome";
}

/* ---- refusals ----------------------------------------------------------------------------- */

/* So much of a subject is shown, whole characters only. */
#define SUBJECT_SHOWN_BYTES ((size_t)256)

void refusal_text(const struct refusal *r, char *text)
{
    size_t bytes = r->subject.size;
    if (bytes > SUBJECT_SHOWN_BYTES) {
        bytes = SUBJECT_SHOWN_BYTES;
        while (bytes > 0 && (r->subject.data[bytes] & 0xc0) == 0x80) {
            bytes--;
        }
    }
    if (r->bound == BOUND_VERSION) {
        (void)snprintf(text, REFUSAL_TEXT_BYTES_MAX,
                       "%s: it is %" PRIu64 ", %" PRIu64 " was expected",
                       outcome_text(OUTCOME_BAD_VERSION), r->used, r->wanted);
        return;
    }
    bool is_quota = r->bound != BOUND_USER_LEASES;
    const char *unit = r->bound == BOUND_QUOTA_BYTES   ? "bytes"
                       : r->bound == BOUND_QUOTA_NODES ? "nodes"
                                                       : "leases and sessions";
    (void)snprintf(text, REFUSAL_TEXT_BYTES_MAX,
                   "%s%.*s%s leaves no room: %" PRIu64 " of %" PRIu64
                   " %s are used, %" PRIu64 " more %s wanted",
                   is_quota ? "the quota of " : "the limit of user ", (int)bytes,
                   (const char *)r->subject.data, bytes < r->subject.size ? "..." : "", r->used,
                   r->limit, unit, r->wanted, r->wanted == 1 ? "is" : "are");
}

static enum outcome outcome_of_bound(uint8_t bound)
{
    return bound == BOUND_USER_LEASES ? OUTCOME_USER_LIMIT
           : bound == BOUND_VERSION   ? OUTCOME_BAD_VERSION
                                      : OUTCOME_QUOTA;
}

static void refusal_encode(struct buf *b, const struct refusal *r)
{
    pack_u8(b, r->bound);
    pack_bytes(b, r->subject);
    pack_u64(b, r->used);
    pack_u64(b, r->wanted);
    pack_u64(b, r->limit);
}

static void refusal_decode(struct unpack *u, struct refusal *r, uint8_t outcome)
{
    r->bound = unpack_u8(u);
    r->subject = unpack_bytes(u);
    r->used = unpack_u64(u);
    r->wanted = unpack_u64(u);
    r->limit = unpack_u64(u);
    if (r->bound < BOUND_QUOTA_BYTES || r->bound > BOUND_VERSION ||
        outcome != outcome_of_bound(r->bound) || r->subject.size > STORE_PATH_BYTES_MAX) {
        u->failed = true;
    }
}

/* ---- results ------------------------------------------------------------------------------ */

/* A stat that says something: no node was created at revision 0. */
static bool stat_is_set(const struct node_stat *s)
{
    return s->create_revision != 0;
}

static void result_encode(struct buf *b, const struct op_result *r)
{
    uint8_t presence = (uint8_t)((r->null_data ? RESULT_NULL_DATA : 0) |
                                 (stat_is_set(&r->stat) ? RESULT_STAT : 0) |
                                 (r->count != 0 ? RESULT_COUNT : 0) |
                                 (r->entry_count != 0 ? RESULT_ENTRIES : 0));
    pack_u8(b, r->type);
    pack_u8(b, r->outcome);
    pack_u8(b, presence);
    pack_bytes(b, r->path);
    pack_bytes(b, r->data);
    if (presence & RESULT_STAT) {
        stat_pack(b, &r->stat);
    }
    if (presence & RESULT_COUNT) {
        pack_u64(b, r->count);
    }
    if (presence & RESULT_ENTRIES) {
        pack_u32(b, r->entry_count);
    }
    for (uint32_t i = 0; i < r->entry_count; i++) {
        bool has_stat = stat_is_set(&r->entries[i].stat);
        pack_bytes(b, r->entries[i].name);
        pack_u8(b, has_stat);
        if (has_stat) {
            stat_pack(b, &r->entries[i].stat);
        }
    }
}

static void lease_result_encode(struct buf *b, const struct lease_result *l)
{
    pack_u64(b, l->id);
    pack_u64(b, l->ttl_ms);
    pack_u64(b, l->generation);
    pack_u64(b, l->removed);
    pack_bytes(b, l->secret);
}

static void recipe_result_encode(struct buf *b, const struct recipe_result *r)
{
    pack_u32(b, r->place_count);
    pack_u32(b, r->cycle_count);
    pack_u32(b, r->cycle_length);
    pack_bytes(b, r->text);
    pack_u64(b, r->number);
    pack_u64(b, r->before);
    for (uint32_t i = 0; i < r->place_count; i++) {
        const struct recipe_place_result *p = &r->places[i];
        pack_bytes(b, p->path);
        pack_u64(b, p->revision);
        pack_u8(b, p->held);
        pack_u32(b, p->count);
        pack_u64(b, p->epoch);
        pack_u64(b, p->position);
    }
    for (uint32_t i = 0; i < r->cycle_count; i++) {
        const struct recipe_wait *w = &r->cycle[i];
        pack_u64(b, w->lease);
        pack_bytes(b, w->owner);
        pack_bytes(b, w->path);
        pack_u8(b, w->mode);
        pack_u64(b, w->blocker_lease);
        pack_bytes(b, w->blocker_owner);
        pack_u8(b, w->blocker_holds);
        pack_u8(b, w->blocker_mode);
    }
}

void reply_encode(struct buf *b, const struct reply *r)
{
    uint8_t bits =
        (uint8_t)((r->took_then ? REPLY_TOOK_THEN : 0) | (r->repeated ? REPLY_REPEATED : 0) |
                  (r->has_lease ? REPLY_LEASE : 0) |
                  (r->refusal.bound != BOUND_NONE ? REPLY_REFUSAL : 0) |
                  (r->has_recipe ? REPLY_RECIPE : 0));
    pack_u8(b, r->outcome);
    pack_u8(b, bits);
    pack_u64(b, r->revision);
    pack_u64(b, r->index);
    pack_u32(b, r->failed_op);
    if (r->has_lease) {
        lease_result_encode(b, &r->lease);
    }
    if (r->refusal.bound != BOUND_NONE) {
        refusal_encode(b, &r->refusal);
    }
    if (r->has_recipe) {
        recipe_result_encode(b, &r->recipe);
    }
    pack_u32(b, r->result_count);
    for (uint32_t i = 0; i < r->result_count; i++) {
        result_encode(b, &r->results[i]);
    }
}

static void set_stat_decode(struct unpack *u, struct node_stat *s)
{
    stat_unpack(u, s);
    if (!stat_is_set(s)) {
        u->failed = true;
    }
}

static void entries_decode(struct unpack *u, struct op_result *r, struct arena *arena)
{
    r->entry_count = unpack_u32(u);
    if (u->failed || r->entry_count == 0 ||
        (uint64_t)r->entry_count * ENTRY_BYTES_MIN > u->rest.size) {
        u->failed = true;
        return;
    }
    struct op_list_entry *entries = arena_alloc(arena, r->entry_count * sizeof *entries);
    for (uint32_t i = 0; i < r->entry_count && !u->failed; i++) {
        entries[i] = (struct op_list_entry){.name = unpack_bytes(u)};
        uint8_t has_stat = unpack_u8(u);
        if (has_stat > 1) {
            u->failed = true;
        } else if (has_stat == 1) {
            set_stat_decode(u, &entries[i].stat);
        }
    }
    r->entries = entries;
}

static void result_decode(struct unpack *u, struct op_result *r, struct arena *arena)
{
    *r = (struct op_result){.type = unpack_u8(u), .outcome = unpack_u8(u)};
    uint8_t presence = unpack_u8(u);
    if (r->type < OP_CREATE || r->type > OP_SET_ACL || r->outcome >= OUTCOME_COUNT ||
        presence > RESULT_ALL) {
        u->failed = true;
        return;
    }
    r->null_data = (presence & RESULT_NULL_DATA) != 0;
    r->path = unpack_bytes(u);
    r->data = unpack_bytes(u);
    if (presence & RESULT_STAT) {
        set_stat_decode(u, &r->stat);
    }
    if (presence & RESULT_COUNT) {
        r->count = unpack_u64(u);
        u->failed = u->failed || r->count == 0;
    }
    if (presence & RESULT_ENTRIES) {
        entries_decode(u, r, arena);
    }
}

static void lease_result_decode(struct unpack *u, struct lease_result *l)
{
    l->id = unpack_u64(u);
    l->ttl_ms = unpack_u64(u);
    l->generation = unpack_u64(u);
    l->removed = unpack_u64(u);
    l->secret = unpack_bytes(u);
    if (l->secret.size != 0 && l->secret.size != LEASE_SECRET_BYTES) {
        u->failed = true;
    }
}

static bool unpack_flag(struct unpack *u)
{
    uint8_t flag = unpack_u8(u);
    u->failed = u->failed || flag > 1;
    return flag == 1;
}

static uint8_t unpack_mode(struct unpack *u)
{
    uint8_t mode = unpack_u8(u);
    u->failed = u->failed || lock_mode_name(mode) == NULL;
    return mode;
}

static void recipe_result_decode(struct unpack *u, struct recipe_result *r, struct arena *arena)
{
    r->place_count = unpack_u32(u);
    r->cycle_count = unpack_u32(u);
    r->cycle_length = unpack_u32(u);
    r->text = unpack_bytes(u);
    r->number = unpack_u64(u);
    r->before = unpack_u64(u);
    uint64_t needed = (uint64_t)r->place_count * PLACE_BYTES_MIN +
                      (uint64_t)r->cycle_count * WAIT_BYTES_MIN;
    if (u->failed || needed > u->rest.size) {
        u->failed = true;
        return;
    }
    struct recipe_place_result *places = arena_alloc(arena, r->place_count * sizeof *places);
    for (uint32_t i = 0; i < r->place_count && !u->failed; i++) {
        places[i].path = unpack_bytes(u);
        places[i].revision = unpack_u64(u);
        places[i].held = unpack_flag(u);
        places[i].count = unpack_u32(u);
        places[i].epoch = unpack_u64(u);
        places[i].position = unpack_u64(u);
    }
    struct recipe_wait *cycle = arena_alloc(arena, r->cycle_count * sizeof *cycle);
    for (uint32_t i = 0; i < r->cycle_count && !u->failed; i++) {
        cycle[i].lease = unpack_u64(u);
        cycle[i].owner = unpack_bytes(u);
        cycle[i].path = unpack_bytes(u);
        cycle[i].mode = unpack_mode(u);
        cycle[i].blocker_lease = unpack_u64(u);
        cycle[i].blocker_owner = unpack_bytes(u);
        cycle[i].blocker_holds = unpack_flag(u);
        cycle[i].blocker_mode = unpack_mode(u);
    }
    r->places = places;
    r->cycle = cycle;
}

enum status reply_decode(struct slice bytes, struct reply *r, struct arena *arena)
{
    struct unpack u = unpack_make(bytes);
    *r = (struct reply){.outcome = unpack_u8(&u)};
    uint8_t bits = unpack_u8(&u);
    r->took_then = (bits & REPLY_TOOK_THEN) != 0;
    r->repeated = (bits & REPLY_REPEATED) != 0;
    r->revision = unpack_u64(&u);
    r->index = unpack_u64(&u);
    r->failed_op = unpack_u32(&u);
    r->has_lease = (bits & REPLY_LEASE) != 0;
    if (r->has_lease) {
        lease_result_decode(&u, &r->lease);
    }
    if (bits & REPLY_REFUSAL) {
        refusal_decode(&u, &r->refusal, r->outcome);
    }
    r->has_recipe = (bits & REPLY_RECIPE) != 0;
    if (r->has_recipe) {
        recipe_result_decode(&u, &r->recipe, arena);
    }
    r->result_count = unpack_u32(&u);
    if (u.failed || r->outcome >= OUTCOME_COUNT || bits > REPLY_ALL ||
        (uint64_t)r->result_count * RESULT_BYTES_MIN > u.rest.size) {
        return RC_MALFORMED;
    }
    struct op_result *results = arena_alloc(arena, r->result_count * sizeof *results);
    for (uint32_t i = 0; i < r->result_count && !u.failed; i++) {
        result_decode(&u, &results[i], arena);
    }
    r->results = results;
    return unpack_done(&u) ? RC_OK : RC_MALFORMED;
}

enum outcome reply_outcome(struct slice bytes)
{
    struct unpack u = unpack_make(bytes);
    enum outcome outcome = (enum outcome)unpack_u8(&u);
    PRE(!u.failed);
    return outcome;
}
