/* Bytes of commands, replies and rows: what decodes encodes to the same bytes, and no bytes at all
 * make a decoder fail otherwise than by RC_MALFORMED. */
#include "base/mem.h"
#include "base/rng.h"
#include "lease/lease.h"
#include "recipes/instance.h"
#include "recipes/lock.h"
#include "store/history.h"
#include "store/row.h"
#include "store/store.h"
#include "store/validate.h"
#include "tests/support/check_main.h"

#define ROUNDS    3000
#define MUTATIONS 20

/* ---- random, well-formed structs ---------------------------------------------------------- */

static struct slice draw_bytes(struct rng *rng, struct arena *a, uint64_t most)
{
    size_t size = rng_chance(rng, 300) ? 0 : (size_t)rng_below(rng, most);
    uint8_t *bytes = arena_alloc(a, size);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)rng_next(rng);
    }
    return slice_make(bytes, size);
}

static uint64_t draw_u64(struct rng *rng)
{
    return rng_chance(rng, 400) ? rng_below(rng, 3) : rng_next(rng);
}

static uint8_t draw_space(struct rng *rng)
{
    static const uint8_t spaces[] = {SPACE_NODES, SPACE_META, SPACE_ETCD};
    return spaces[rng_below(rng, 3)];
}

static struct node_stat draw_stat(struct rng *rng)
{
    return (struct node_stat){
        .create_revision = 1 + rng_below(rng, 1000),
        .modify_revision = draw_u64(rng),
        .children_revision = draw_u64(rng),
        .create_ms = draw_u64(rng),
        .modify_ms = draw_u64(rng),
        .lease = draw_u64(rng),
        .ttl_ms = draw_u64(rng),
        .sequence_next = draw_u64(rng),
        .version = (uint32_t)draw_u64(rng),
        .acl_version = (uint32_t)draw_u64(rng),
        .data_bytes = (uint32_t)draw_u64(rng),
        .child_count = (uint32_t)draw_u64(rng),
        .acl = (uint32_t)draw_u64(rng),
        .kind = (uint8_t)rng_below(rng, 4),
    };
}

static const struct op *draw_ops(struct rng *rng, struct arena *a, uint32_t *count)
{
    *count = (uint32_t)rng_below(rng, 4);
    struct op *ops = arena_alloc(a, *count * sizeof *ops);
    for (uint32_t i = 0; i < *count; i++) {
        ops[i] = (struct op){
            .type = (uint8_t)rng_range(rng, OP_CREATE, OP_SET_ACL),
            .flags = (uint8_t)rng_below(rng, 64),
            .space = draw_space(rng),
            .kind = (uint8_t)rng_below(rng, 4),
            .path = draw_bytes(rng, a, 50),
            .data = draw_bytes(rng, a, 100),
            .acl = draw_bytes(rng, a, 30),
            .version = (uint32_t)draw_u64(rng),
            .limit = (uint32_t)draw_u64(rng),
            .lease = draw_u64(rng),
            .ttl_ms = draw_u64(rng),
        };
    }
    return ops;
}

/* Only what the type carries: the rest is not encoded. */
static void draw_lease(struct rng *rng, struct arena *a, struct command *c)
{
    struct command_lease *l = &c->lease;
    l->id = draw_u64(rng);
    if (c->type == COMMAND_EXPIRE) {
        l->generation = draw_u64(rng);
        return;
    }
    l->secret = draw_bytes(rng, a, 20);
    if (c->type == COMMAND_GRANT || c->type == COMMAND_RESUME) {
        l->ttl_ms = draw_u64(rng);
    }
    if (c->type == COMMAND_GRANT) {
        l->kind = (uint8_t)rng_range(rng, LEASE_PLAIN, LEASE_SESSION);
        l->renewable = rng_chance(rng, 500);
        l->owner = draw_bytes(rng, a, 20);
    } else if (c->type == COMMAND_REVOKE) {
        l->kind = (uint8_t)rng_range(rng, 0, LEASE_SESSION);
    }
}

static const struct guard *draw_guards(struct rng *rng, struct arena *a, uint32_t *count)
{
    struct guard *guards = arena_alloc(a, 3 * sizeof *guards);
    *count = (uint32_t)rng_below(rng, 4);
    for (uint32_t i = 0; i < *count; i++) {
        guards[i] = (struct guard){
            .target = (uint8_t)rng_range(rng, GUARD_EXISTS, GUARD_GRANT),
            .relation = (uint8_t)rng_range(rng, GUARD_EQUAL, GUARD_GREATER),
            .space = draw_space(rng),
            .path = draw_bytes(rng, a, 50),
            .number = draw_u64(rng),
            .value = draw_bytes(rng, a, 50),
        };
    }
    return guards;
}

static void draw_recipe(struct rng *rng, struct arena *a, struct command_recipe *r)
{
    struct recipe_target *targets = arena_alloc(a, 3 * sizeof *targets);
    *r = (struct command_recipe){
        .recipe = (uint8_t)rng_below(rng, 256),
        .action = (uint8_t)rng_below(rng, 256),
        .flags = (uint8_t)rng_below(rng, 256),
        .policy = (uint8_t)rng_below(rng, 256),
        .lease = draw_u64(rng),
        .owner = draw_bytes(rng, a, 20),
        .value = draw_bytes(rng, a, 20),
        .label = draw_bytes(rng, a, 20),
        .priority = (uint32_t)rng_next(rng),
        .number = draw_u64(rng),
        .low = draw_u64(rng),
        .high = draw_u64(rng),
        .wait_ms = draw_u64(rng),
        .hold_ms = draw_u64(rng),
        .targets = targets,
        .target_count = (uint32_t)rng_below(rng, 4),
    };
    for (uint32_t i = 0; i < r->target_count; i++) {
        targets[i] = (struct recipe_target){
            .path = draw_bytes(rng, a, 40),
            .mode = (uint8_t)rng_below(rng, 256),
            .permits = (uint32_t)rng_next(rng),
            .limit = (uint32_t)rng_next(rng),
            .revision = draw_u64(rng),
        };
    }
    r->guards = draw_guards(rng, a, &r->guard_count);
}

static void draw_command(struct rng *rng, struct arena *a, struct command *c)
{
    static const uint8_t types[] = {COMMAND_TXN,    COMMAND_CHECK,  COMMAND_LEVEL,
                                    COMMAND_GRANT,  COMMAND_RESUME, COMMAND_REVOKE,
                                    COMMAND_EXPIRE, COMMAND_REAP,   COMMAND_AUTH,
                                    COMMAND_QUOTA,  COMMAND_RECIPE, COMMAND_DISCOVERY};
    *c = (struct command){.type = types[rng_below(rng, sizeof types)],
                          .origin_boot = rng_next(rng),
                          .origin_counter = rng_next(rng)};
    if (rng_chance(rng, 500)) {
        c->session = draw_u64(rng);
        c->sequence = draw_u64(rng);
        c->answered_to = draw_u64(rng);
        c->by_owner = rng_chance(rng, 500);
        c->generation = c->by_owner ? draw_u64(rng) : 0;
    }
    if (rng_chance(rng, 500)) {
        c->request = (struct request_id){draw_u64(rng), {draw_u64(rng), draw_u64(rng)}};
    }
    c->identities = draw_bytes(rng, a, 20);
    c->note = draw_bytes(rng, a, 20);
    if (c->type == COMMAND_LEVEL) {
        c->level = (uint32_t)rng_next(rng);
    } else if (c->type >= COMMAND_GRANT && c->type <= COMMAND_EXPIRE) {
        draw_lease(rng, a, c);
    } else if (c->type == COMMAND_QUOTA) {
        c->quota = (struct command_quota){
            .path = draw_bytes(rng, a, 50),
            .bytes = draw_u64(rng),
            .nodes = draw_u64(rng),
            .soft_percent = (uint32_t)rng_next(rng),
        };
    } else if (c->type == COMMAND_AUTH) {
        c->auth = (struct command_auth){
            .action = (uint8_t)rng_range(rng, AUTH_ENABLE, AUTH_USER_LIMIT),
            .flag = rng_chance(rng, 500),
            .rights = (uint8_t)rng_below(rng, 256),
            .user = draw_bytes(rng, a, 20),
            .role = draw_bytes(rng, a, 20),
            .path = draw_bytes(rng, a, 50),
            .secret = draw_bytes(rng, a, 40),
            .token_ttl_ms = draw_u64(rng),
        };
        if (c->auth.action == AUTH_USER_LIMIT) {
            c->auth.limits = (struct auth_limits){
                .requests_per_second = (uint32_t)rng_next(rng),
                .connections = (uint32_t)rng_next(rng),
                .watches = (uint32_t)rng_next(rng),
                .leases = (uint32_t)rng_next(rng),
            };
        }
    } else if (c->type == COMMAND_DISCOVERY) {
        c->discovery = (struct command_discovery){
            .action = (uint8_t)rng_range(rng, DISCOVERY_DRAIN, DISCOVERY_HEALTH),
            .flag = rng_chance(rng, 500),
            .health = (uint8_t)rng_below(rng, HEALTH_DOWN + 1),
            .path = draw_bytes(rng, a, 50),
            .revision = draw_u64(rng),
        };
    } else if (c->type == COMMAND_RECIPE) {
        draw_recipe(rng, a, &c->recipe);
    } else if (c->type == COMMAND_REAP) {
        c->reap = (struct command_reap){draw_bytes(rng, a, 50), draw_u64(rng)};
    } else if (c->type == COMMAND_CHECK) {
        c->check.index = rng_next(rng);
        c->check.count = (uint32_t)rng_below(rng, COMMAND_CHECK_MEMBERS_MAX + 1);
        for (uint32_t i = 0; i < c->check.count; i++) {
            c->check.members[i].member = rng_next(rng);
            c->check.members[i].digest = rng_next(rng);
        }
    } else {
        c->txn.guards = draw_guards(rng, a, &c->txn.guard_count);
        c->txn.then_ops = draw_ops(rng, a, &c->txn.then_count);
        c->txn.else_ops = draw_ops(rng, a, &c->txn.else_count);
    }
}

static void draw_result(struct rng *rng, struct arena *a, struct op_result *r)
{
    *r = (struct op_result){
        .type = (uint8_t)rng_range(rng, OP_CREATE, OP_SET_ACL),
        .outcome = (uint8_t)rng_below(rng, OUTCOME_COUNT),
        .null_data = rng_chance(rng, 500),
        .path = draw_bytes(rng, a, 40),
        .data = draw_bytes(rng, a, 40),
        .count = rng_below(rng, 3),
        .entry_count = (uint32_t)rng_below(rng, 4),
    };
    if (rng_chance(rng, 500)) {
        r->stat = draw_stat(rng);
    }
    struct op_list_entry *entries = arena_alloc(a, r->entry_count * sizeof *entries);
    for (uint32_t i = 0; i < r->entry_count; i++) {
        entries[i] = (struct op_list_entry){.name = draw_bytes(rng, a, 20)};
        if (rng_chance(rng, 500)) {
            entries[i].stat = draw_stat(rng);
        }
    }
    r->entries = entries;
}

static void draw_recipe_result(struct rng *rng, struct arena *a, struct recipe_result *r)
{
    struct recipe_place_result *places = arena_alloc(a, 3 * sizeof *places);
    struct recipe_wait *cycle = arena_alloc(a, 3 * sizeof *cycle);
    *r = (struct recipe_result){
        .places = places,
        .place_count = (uint32_t)rng_below(rng, 4),
        .text = draw_bytes(rng, a, 40),
        .cycle = cycle,
        .cycle_count = (uint32_t)rng_below(rng, 4),
        .cycle_length = (uint32_t)rng_next(rng),
    };
    for (uint32_t i = 0; i < 3; i++) {
        places[i] = (struct recipe_place_result){
            .path = draw_bytes(rng, a, 40),
            .revision = draw_u64(rng),
            .held = rng_chance(rng, 500),
            .count = (uint32_t)rng_next(rng),
            .epoch = draw_u64(rng),
            .position = draw_u64(rng),
        };
        cycle[i] = (struct recipe_wait){
            .lease = draw_u64(rng),
            .owner = draw_bytes(rng, a, 20),
            .path = draw_bytes(rng, a, 20),
            .mode = (uint8_t)rng_range(rng, LOCK_WRITE, LOCK_PERMITS),
            .blocker_lease = draw_u64(rng),
            .blocker_owner = draw_bytes(rng, a, 20),
            .blocker_holds = rng_chance(rng, 500),
            .blocker_mode = (uint8_t)rng_range(rng, LOCK_WRITE, LOCK_PERMITS),
        };
    }
}

static void draw_reply(struct rng *rng, struct arena *a, struct reply *r)
{
    *r = (struct reply){
        .outcome = (uint8_t)rng_below(rng, OUTCOME_COUNT),
        .took_then = rng_chance(rng, 500),
        .repeated = rng_chance(rng, 500),
        .revision = rng_next(rng),
        .index = rng_next(rng),
        .failed_op = (uint32_t)rng_next(rng),
        .result_count = (uint32_t)rng_below(rng, 4),
    };
    struct op_result *results = arena_alloc(a, r->result_count * sizeof *results);
    for (uint32_t i = 0; i < r->result_count; i++) {
        draw_result(rng, a, &results[i]);
    }
    r->results = results;
    if (r->outcome == OUTCOME_QUOTA || r->outcome == OUTCOME_USER_LIMIT) {
        bool is_quota = r->outcome == OUTCOME_QUOTA;
        r->refusal = (struct refusal){
            .bound = (uint8_t)(is_quota ? rng_range(rng, BOUND_QUOTA_BYTES, BOUND_QUOTA_NODES)
                                        : BOUND_USER_LEASES),
            .subject = draw_bytes(rng, a, 30),
            .used = draw_u64(rng),
            .wanted = draw_u64(rng),
            .limit = draw_u64(rng),
        };
    }
    if (r->outcome == OUTCOME_BAD_VERSION && rng_chance(rng, 500)) {
        r->refusal = (struct refusal){
            .bound = BOUND_VERSION, .used = draw_u64(rng), .wanted = draw_u64(rng)};
    }
    r->has_recipe = rng_chance(rng, 300);
    if (r->has_recipe) {
        draw_recipe_result(rng, a, &r->recipe);
    }
    r->has_lease = rng_chance(rng, 300);
    if (r->has_lease) {
        uint8_t *secret = arena_alloc(a, LEASE_SECRET_BYTES);
        memset(secret, (int)rng_below(rng, 256), LEASE_SECRET_BYTES);
        r->lease = (struct lease_result){
            .id = draw_u64(rng),
            .ttl_ms = draw_u64(rng),
            .generation = draw_u64(rng),
            .removed = draw_u64(rng),
            .secret = slice_make(secret, rng_chance(rng, 500) ? LEASE_SECRET_BYTES : 0),
        };
    }
}

static void draw_row(struct rng *rng, struct arena *a, struct row *row)
{
    *row = (struct row){.table = (uint8_t)rng_range(rng, ROW_META, ROW_ACL)};
    if (row->table == ROW_META) {
        row->meta.name = draw_bytes(rng, a, 20);
        row->meta.value = draw_bytes(rng, a, 20);
    } else if (row->table == ROW_NODE) {
        row->node = (struct row_node){.space = draw_space(rng),
                                      .path = draw_bytes(rng, a, 40),
                                      .data = draw_bytes(rng, a, 40),
                                      .stat = draw_stat(rng),
                                      .touched_ms = draw_u64(rng)};
        row->node.null_data = row->node.data.size == 0 && rng_chance(rng, 500);
    } else if (row->table == ROW_CHANGE || row->table == ROW_VERSION) {
        row->change = (struct row_change){
            .revision = rng_next(rng),
            .sub = (uint32_t)rng_next(rng),
            .type = (uint8_t)rng_range(rng, CHANGE_CREATE, CHANGE_ACL),
            .space = draw_space(rng),
            .reason = (uint8_t)rng_range(rng, REASON_REQUEST, REASON_TIMED_OUT),
            .path = draw_bytes(rng, a, 40),
            .data = draw_bytes(rng, a, 40),
            .old_data = draw_bytes(rng, a, 40),
            .stat = draw_stat(rng),
            .old_modify_revision = draw_u64(rng),
            .old_modify_ms = draw_u64(rng),
            .acl = draw_bytes(rng, a, 30),
            .session = rng_next(rng),
            .cluster_ms = rng_next(rng),
            .wall_ms = rng_next(rng),
            .identities = draw_bytes(rng, a, 10),
            .note = draw_bytes(rng, a, 10),
        };
        row->change.null_data = row->change.data.size == 0 && rng_chance(rng, 500);
        row->change.null_old_data = row->change.old_data.size == 0 && rng_chance(rng, 500);
    } else if (row->table == ROW_LEASE) {
        uint8_t *secret = arena_alloc(a, LEASE_SECRET_BYTES);
        memset(secret, (int)rng_below(rng, 256), LEASE_SECRET_BYTES);
        row->lease = (struct row_lease){
            .id = draw_u64(rng),
            .kind = (uint8_t)rng_range(rng, LEASE_PLAIN, LEASE_SESSION),
            .renewable = rng_chance(rng, 500),
            .ttl_ms = draw_u64(rng),
            .generation = draw_u64(rng),
            .granted_ms = draw_u64(rng),
            .window_floor = draw_u64(rng),
            .secret = slice_make(secret, LEASE_SECRET_BYTES),
            .owner = draw_bytes(rng, a, 20),
        };
    } else if (row->table == ROW_ACL) {
        row->acl = (struct row_acl){.id = (uint32_t)rng_next(rng), .list = draw_bytes(rng, a, 30)};
    } else {
        row->reply = (struct row_reply){.request = {rng_next(rng), {rng_next(rng), 1}},
                                        .session = draw_u64(rng),
                                        .sequence = draw_u64(rng),
                                        .serial = draw_u64(rng),
                                        .index = rng_next(rng),
                                        .reply = draw_bytes(rng, a, 40)};
    }
}

/* ---- the three codecs as one kind of thing ------------------------------------------------ */

struct codec {
    void (*draw)(struct rng *rng, struct arena *a, struct buf *out);
    /* Decodes all of `bytes`; if they are well-formed, encodes the result again into `again`. */
    bool (*turn)(struct slice bytes, struct buf *again);
};

static void command_draw(struct rng *rng, struct arena *a, struct buf *out)
{
    struct command c;
    draw_command(rng, a, &c);
    command_encode(out, &c);
}

static bool command_turn(struct slice bytes, struct buf *again)
{
    struct arena arena = {0};
    struct command c;
    struct unpack u = unpack_make(bytes);
    bool ok = command_decode(&u, &c, &arena) == RC_OK && u.rest.size == 0;
    if (ok) {
        struct errmsg err = {.text = ""};
        ck_assert_int_lt(command_check(&c, &err), OUTCOME_COUNT); /* takes whatever decodes */
        command_encode(again, &c);
    }
    arena_close(&arena);
    return ok;
}

static void reply_draw(struct rng *rng, struct arena *a, struct buf *out)
{
    struct reply r;
    draw_reply(rng, a, &r);
    reply_encode(out, &r);
}

static bool reply_turn(struct slice bytes, struct buf *again)
{
    struct arena arena = {0};
    struct reply r;
    bool ok = reply_decode(bytes, &r, &arena) == RC_OK;
    if (ok) {
        reply_encode(again, &r);
    }
    arena_close(&arena);
    return ok;
}

static void row_draw(struct rng *rng, struct arena *a, struct buf *out)
{
    struct row row;
    draw_row(rng, a, &row);
    row_encode(out, &row);
}

static bool row_turn(struct slice bytes, struct buf *again)
{
    struct row row;
    struct unpack u = unpack_make(bytes);
    bool ok = row_decode(&u, &row) == RC_OK && u.rest.size == 0;
    if (ok) {
        row_encode(again, &row);
    }
    return ok;
}

static const struct codec codecs[] = {
    {command_draw, command_turn},
    {reply_draw, reply_turn},
    {row_draw, row_turn},
};

/* Malformed, or exactly what it encodes to again. An own copy of the bytes, so that a sanitizer
 * sees a read behind their end. */
static bool check_turn(const struct codec *codec, struct slice bytes)
{
    uint8_t *copy = mem_dup(bytes.data, bytes.size);
    struct buf again = {0};
    bool ok = codec->turn(slice_make(copy, bytes.size), &again);
    ck_assert(!ok || slice_equal(buf_slice(&again), bytes));
    buf_close(&again);
    mem_free(copy);
    return ok;
}

static void mutate(struct rng *rng, struct buf *b)
{
    size_t at = (size_t)rng_below(rng, b->size);
    switch (rng_below(rng, 4)) {
    case 0: b->data[at] = (uint8_t)rng_next(rng); break;
    case 1: b->data[at] ^= (uint8_t)(1 << rng_below(rng, 8)); break;
    case 2: memset(b->data + at, 0xff, b->size - at < 4 ? b->size - at : 4); break;
    default: b->size = at == 0 ? 1 : at; break; /* cut */
    }
}

START_TEST(what_is_encoded_decodes_and_encodes_to_the_same_bytes)
{
    struct arena arena = {0};
    struct buf bytes = {0};
    struct rng rng;
    rng_init(&rng, (uint64_t)_i + 1);
    for (int i = 0; i < ROUNDS; i++) {
        arena_clear(&arena);
        buf_clear(&bytes);
        codecs[_i].draw(&rng, &arena, &bytes);
        ck_assert(check_turn(&codecs[_i], buf_slice(&bytes)));
    }
    buf_close(&bytes);
    arena_close(&arena);
}
END_TEST

START_TEST(damaged_bytes_are_malformed_or_another_valid_encoding)
{
    struct arena arena = {0};
    struct buf bytes = {0};
    struct rng rng;
    int refused = 0;
    rng_init(&rng, (uint64_t)_i + 100);
    for (int i = 0; i < ROUNDS; i++) {
        arena_clear(&arena);
        buf_clear(&bytes);
        codecs[_i].draw(&rng, &arena, &bytes);
        for (int m = 0; m < MUTATIONS; m++) {
            mutate(&rng, &bytes);
            refused += !check_turn(&codecs[_i], buf_slice(&bytes));
        }
    }
    ck_assert_int_gt(refused, ROUNDS);
    buf_close(&bytes);
    arena_close(&arena);
}
END_TEST

START_TEST(every_proper_prefix_is_malformed)
{
    struct arena arena = {0};
    struct buf bytes = {0};
    struct rng rng;
    rng_init(&rng, (uint64_t)_i + 200);
    for (int i = 0; i < 50; i++) {
        arena_clear(&arena);
        buf_clear(&bytes);
        codecs[_i].draw(&rng, &arena, &bytes);
        for (size_t size = 0; size < bytes.size; size++) {
            ck_assert(!check_turn(&codecs[_i], slice_make(bytes.data, size)));
        }
    }
    buf_close(&bytes);
    arena_close(&arena);
}
END_TEST

START_TEST(random_bytes_never_crash)
{
    struct arena arena = {0};
    struct rng rng;
    rng_init(&rng, (uint64_t)_i + 300);
    for (int i = 0; i < 20 * ROUNDS; i++) {
        arena_clear(&arena);
        (void)check_turn(&codecs[_i], draw_bytes(&rng, &arena, 100));
    }
    arena_close(&arena);
}
END_TEST

START_TEST(a_count_is_not_believed_beyond_the_bytes_behind_it)
{
    struct op op = {.type = OP_GET, .space = SPACE_NODES, .path = slice_str("/a")};
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    struct buf bytes = {0};
    command_encode(&bytes, &c);
    size_t counts = bytes.size - 12 - (COMMAND_OP_BYTES_MIN + 2);
    for (size_t i = 0; i < 3; i++) {
        struct arena arena = {0};
        struct command decoded;
        struct buf damaged = {0};
        buf_append_slice(&damaged, buf_slice(&bytes));
        pack_u32_at(&damaged, counts + 4 * i, UINT32_MAX);
        struct unpack u = unpack_make(buf_slice(&damaged));
        ck_assert_int_eq(command_decode(&u, &decoded, &arena), RC_MALFORMED);
        ck_assert_ptr_null(arena.blocks); /* nothing was allocated for it */
        buf_close(&damaged);
        arena_close(&arena);
    }
    buf_close(&bytes);
}
END_TEST

START_TEST(a_batch_carries_its_header_and_commands)
{
    struct op op = {.type = OP_SET,
                    .space = SPACE_NODES,
                    .path = slice_str("/a"),
                    .data = slice_str("x"),
                    .version = 3};
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    struct batch_header in = {.level = 1, .count = 2, .cluster_ms = 77, .wall_ms = 99};
    struct buf b = {0};
    struct arena arena = {0};
    buf_append_str(&b, "prefix");
    size_t header = batch_begin(&b);
    command_encode(&b, &c);
    size_t second = b.size;
    command_encode(&b, &c);
    command_set_origin(b.data + second, 0x1122334455667788, 5);
    batch_seal(&b, header, &in);

    struct batch_header out;
    struct unpack commands;
    struct slice payload = slice_make(b.data + header, b.size - header);
    ck_assert_int_eq(batch_open(payload, &out, &commands), RC_OK);
    ck_assert_uint_eq(out.level, 1);
    ck_assert_uint_eq(out.count, 2);
    ck_assert_uint_eq(out.cluster_ms, 77);
    ck_assert_uint_eq(out.wall_ms, 99);
    struct command decoded;
    ck_assert_int_eq(command_decode(&commands, &decoded, &arena), RC_OK);
    ck_assert_uint_eq(decoded.origin_counter, 0);
    ck_assert_int_eq(command_decode(&commands, &decoded, &arena), RC_OK);
    ck_assert_uint_eq(decoded.origin_boot, 0x1122334455667788);
    ck_assert_uint_eq(decoded.origin_counter, 5);
    ck_assert_uint_eq(decoded.txn.then_ops[0].version, 3);
    ck_assert(unpack_done(&commands));
    ck_assert_int_eq(command_decode(&commands, &decoded, &arena), RC_MALFORMED);
    b.data[header] = 2;
    ck_assert_int_eq(batch_open(payload, &out, &commands), RC_MALFORMED);
    ck_assert_int_eq(batch_open(slice_make(payload.data, 20), &out, &commands), RC_MALFORMED);
    arena_close(&arena);
    buf_close(&b);
}
END_TEST

static enum outcome check_op(const struct op *op, const char *mention)
{
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = op, .then_count = 1}};
    struct errmsg err = {.text = ""};
    enum outcome outcome = command_check(&c, &err);
    if (mention != NULL) {
        ck_assert_msg(strstr(err.text, mention) != NULL, "%s", err.text);
    }
    return outcome;
}

START_TEST(what_may_not_be_proposed_is_refused_by_name)
{
    static uint8_t large[STORE_VALUE_BYTES_MAX + 1];
    struct op op = {.type = OP_CREATE, .space = SPACE_NODES, .path = slice_str("/a")};
    ck_assert_int_eq(check_op(&op, NULL), OUTCOME_OK);
    op.data = slice_make(large, sizeof large);
    ck_assert_int_eq(check_op(&op, "1048576"), OUTCOME_TOO_LARGE);
    op.data = slice_make(NULL, 0);
    op.path = slice_make(large, STORE_PATH_BYTES_MAX + 1);
    ck_assert_int_eq(check_op(&op, "4096"), OUTCOME_TOO_LARGE);
    op.path = slice_str("/a/../b");
    ck_assert_int_eq(check_op(&op, "relative"), OUTCOME_BAD_PATH);
    op.path = slice_str("/a");
    op.flags = OP_RECURSIVE;
    ck_assert_int_eq(check_op(&op, "create"), OUTCOME_BAD_ARGUMENTS);
    op.flags = 0;
    op.kind = NODE_CONTAINER;
    ck_assert_int_eq(check_op(&op, NULL), OUTCOME_OK);
    op.ttl_ms = 1000;
    ck_assert_int_eq(check_op(&op, "ttl_ms"), OUTCOME_BAD_ARGUMENTS);
    op.kind = NODE_TTL;
    ck_assert_int_eq(check_op(&op, NULL), OUTCOME_OK);
    op.ttl_ms = NODE_TTL_MS_MAX;
    ck_assert_int_eq(check_op(&op, NULL), OUTCOME_OK);
    op.ttl_ms = NODE_TTL_MS_MAX + 1;
    ck_assert_int_eq(check_op(&op, "1 to 1099511627775"), OUTCOME_BAD_TTL);
    op.ttl_ms = 0;
    ck_assert_int_eq(check_op(&op, "1 to 1099511627775"), OUTCOME_BAD_TTL);
    op.kind = NODE_EPHEMERAL;
    op.lease = 5;
    ck_assert_int_eq(check_op(&op, NULL), OUTCOME_OK);
    op = (struct op){.type = OP_GET, .space = SPACE_ETCD, .path = slice_str("k")};
    ck_assert_int_eq(check_op(&op, "reserved"), OUTCOME_UNSUPPORTED);
    op = (struct op){
        .type = OP_GET, .space = SPACE_NODES, .path = slice_str("/a"), .data = slice_str("x")};
    ck_assert_int_eq(check_op(&op, "data"), OUTCOME_BAD_ARGUMENTS);
    struct command c = {.type = COMMAND_TXN, .note = slice_make(large, 5000)};
    struct errmsg err;
    ck_assert_int_eq(command_check(&c, &err), OUTCOME_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(err.text, "note"));
    c = (struct command){.type = COMMAND_REAP, .reap = {slice_str("/a/./b"), 5}};
    ck_assert_int_eq(command_check(&c, &err), OUTCOME_BAD_PATH);
    c.reap.path = slice_str("/a");
    ck_assert_int_eq(command_check(&c, &err), OUTCOME_OK);
}
END_TEST

/* So many short operations, within the limit by their paths alone, once became a log entry
 * larger than any record may be. */
START_TEST(the_request_limit_counts_the_encoded_bytes)
{
    uint32_t count = (uint32_t)(STORE_REQUEST_BYTES_MAX / COMMAND_OP_BYTES_MIN);
    struct op *ops = mem_zalloc(count * sizeof *ops);
    for (uint32_t i = 0; i < count; i++) {
        ops[i] = (struct op){.type = OP_GET, .space = SPACE_NODES, .path = slice_str("/")};
    }
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = ops, .then_count = count}};
    struct errmsg err;
    ck_assert_int_ne(command_check(&c, &err), OUTCOME_OK);

    c.txn.then_count = (uint32_t)(STORE_REQUEST_BYTES_MAX / (COMMAND_OP_BYTES_MIN + 1));
    ck_assert_int_eq(command_check(&c, &err), OUTCOME_OK);
    struct buf b = {0};
    command_encode(&b, &c);
    ck_assert_uint_le(b.size, COMMAND_BYTES_MAX);
    buf_close(&b);
    mem_free(ops);
}
END_TEST

START_TEST(every_outcome_has_a_text_of_its_own)
{
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        for (int j = 0; j < i; j++) {
            ck_assert_str_ne(outcome_text((enum outcome)i), outcome_text((enum outcome)j));
        }
    }
    ck_assert_str_eq(outcome_text(OUTCOME_COUNT), "unknown outcome");
}
END_TEST

static Suite *codec_suite(void)
{
    Suite *suite = suite_create("codec");
    TCase *tcase = tcase_create("codec");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, what_is_encoded_decodes_and_encodes_to_the_same_bytes, 0, 3);
    tcase_add_loop_test(tcase, damaged_bytes_are_malformed_or_another_valid_encoding, 0, 3);
    tcase_add_loop_test(tcase, every_proper_prefix_is_malformed, 0, 3);
    tcase_add_loop_test(tcase, random_bytes_never_crash, 0, 3);
    tcase_add_test(tcase, a_count_is_not_believed_beyond_the_bytes_behind_it);
    tcase_add_test(tcase, a_batch_carries_its_header_and_commands);
    tcase_add_test(tcase, what_may_not_be_proposed_is_refused_by_name);
    tcase_add_test(tcase, the_request_limit_counts_the_encoded_bytes);
    tcase_add_test(tcase, every_outcome_has_a_text_of_its_own);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){codec_suite, NULL});
}
