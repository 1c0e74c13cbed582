#include "tests/support/store_model_draw.h"

#include <stdio.h>

#include "lease/table.h"

static const char *draw_path(struct rng *rng, char *out)
{
    static const char *const odd[] = {
        "",       "/",     "a",    "/a/",        "/a//b",
        "/./a",   "/a/..", "/a/.", "/zookeeper", "/zookeeper/quota",
        "/a\x01", "//"};
    static const char *const names[] = {"a", "b", "a-b", "a.b",
                                        "long-name-that-is-not-kept-inline"};
    if (rng_chance(rng, 60)) {
        return strcpy(out, odd[rng_below(rng, sizeof odd / sizeof odd[0])]);
    }
    out[0] = '\0';
    for (uint64_t depth = rng_range(rng, 1, 4); depth > 0; depth--) {
        strcat(out, "/");
        strcat(out, names[rng_below(rng, 5)]);
    }
    return out;
}

static struct slice draw_data(struct rng *rng, char *out)
{
    size_t size = rng_below(rng, 40);
    for (size_t i = 0; i < size; i++) {
        out[i] = (char)rng_below(rng, 3);
    }
    return slice_make(out, size);
}

static void draw_key(struct rng *rng, struct draft *d, uint8_t *space, struct slice *path)
{
    char *text = d->paths[d->used++];
    *space = rng_chance(rng, 120) ? 'M' : 'Z';
    if (*space == 'M') {
        sprintf(text, "key%u", (unsigned)rng_below(rng, 12));
    } else {
        draw_path(rng, text);
    }
    *path = slice_str(text);
}

/* Mostly one that is there; else one of few, that was, or comes again. */
static uint64_t draw_lease_id(struct rng *rng, const struct model *m)
{
    if (m->lease_count > 0 && rng_chance(rng, 800)) {
        return m->leases[rng_below(rng, m->lease_count)].id;
    }
    return rng_range(rng, 1, 12) * 1000;
}

static struct slice draw_secret(struct rng *rng)
{
    static const char *const secrets[] = {"0123456789abcdef",
                                          "0123456789abcdef",
                                          "0123456789abcdef",
                                          "0123456789abcdeF",
                                          "",
                                          "short"};
    return slice_str(secrets[rng_below(rng, rng_chance(rng, 900) ? 3 : 6)]);
}

static uint64_t draw_ttl(struct rng *rng)
{
    static const uint64_t odd[] = {0, 499, 500, 86400000, 86400001, UINT64_MAX};
    return rng_chance(rng, 100) ? odd[rng_below(rng, 6)] : rng_range(rng, 500, 30000);
}

/* One of the four; right more often than wrong. */
static void draw_lease(struct rng *rng, const struct model *m, struct command *c)
{
    static const uint8_t types[] = {COMMAND_GRANT,  COMMAND_GRANT,  COMMAND_GRANT,
                                    COMMAND_GRANT,  COMMAND_GRANT,  COMMAND_RESUME,
                                    COMMAND_RESUME, COMMAND_REVOKE, COMMAND_EXPIRE};
    c->type = types[rng_below(rng, sizeof types)];
    uint64_t id =
        c->type == COMMAND_GRANT ? rng_range(rng, 1, 12) * 1000 : draw_lease_id(rng, m);
    c->lease = (struct command_lease){.id = rng_chance(rng, 20) ? 0 : id};
    if (c->type == COMMAND_EXPIRE) {
        const struct model_lease *l = model_lease_find(m, c->lease.id);
        c->lease.generation = l == NULL ? 0 : l->generation;
        c->lease.generation += rng_chance(rng, 300) ? rng_below(rng, 3) - 1 : 0;
        return;
    }
    c->lease.secret = draw_secret(rng);
    if (c->type != COMMAND_REVOKE) {
        c->lease.ttl_ms = draw_ttl(rng);
    }
    if (c->type == COMMAND_GRANT) {
        c->lease.kind = (uint8_t)rng_range(rng, LEASE_PLAIN, LEASE_SESSION);
        c->lease.renewable = rng_chance(rng, 500);
        c->lease.owner = slice_str(rng_chance(rng, 500) ? "somebody" : "");
    } else if (c->type == COMMAND_REVOKE) {
        c->lease.kind = (uint8_t)rng_range(rng, 0, LEASE_SESSION);
    }
}

/* A session, with a number that is new, repeated, late, or far ahead; or none. */
static void draw_session(struct rng *rng, const struct model *m, struct command *c)
{
    const struct model_lease *l = NULL;
    for (int i = 0; i < 4 && (l == NULL || l->kind != LEASE_SESSION); i++) {
        c->session = draw_lease_id(rng, m);
        l = model_lease_find(m, c->session);
    }
    uint64_t floor = l == NULL ? 0 : l->floor;
    switch (rng_below(rng, 10)) {
    case 0: return;
    case 1: c->sequence = floor + rng_range(rng, 1020, 1028); break;
    case 2: c->sequence = 1 + rng_below(rng, floor + 1); break;
    default:
        c->sequence = floor + rng_range(rng, 1, 20);
        if (l != NULL && l->reply_count > 0 && rng_chance(rng, 300)) {
            c->sequence = l->replies[rng_below(rng, l->reply_count)].sequence;
        }
    }
    if (rng_chance(rng, 200)) {
        c->answered_to = floor + rng_below(rng, 8);
    }
    if (l != NULL && rng_chance(rng, 200)) {
        c->by_owner = true;
        c->generation = l->generation + rng_below(rng, 2);
    }
}

static struct op draw_op(struct rng *rng, struct draft *d, const struct model *m)
{
    static const uint8_t types[] = {OP_CREATE, OP_CREATE, OP_CREATE, OP_CREATE,
                                    OP_SET,    OP_SET,    OP_DELETE, OP_DELETE,
                                    OP_CHECK,  OP_GET,    OP_LIST,   OP_SET_ACL};
    struct op op = {.type = types[rng_below(rng, sizeof types)], .version = VERSION_ANY};
    char *data = d->data[d->used];
    draw_key(rng, d, &op.space, &op.path);
    bool tree = op.space == 'Z';
    if (op.type == OP_CREATE || op.type == OP_SET) {
        op.data = draw_data(rng, data);
        if (rng_chance(rng, 100)) {
            op.flags = OP_NULL_DATA;
            op.data = slice_make(NULL, 0);
        }
    }
    if (op.type == OP_CREATE && tree && rng_chance(rng, 300)) {
        op.kind = NODE_EPHEMERAL;
        op.lease = draw_lease_id(rng, m);
        op.flags |= (uint8_t)(rng_chance(rng, 400) ? OP_SEQUENTIAL : 0);
        op.flags |= (uint8_t)(rng_chance(rng, 600) ? OP_MAKE_PARENTS : 0);
    }
    bool with_list = op.type == OP_SET_ACL || (op.type == OP_CREATE && rng_chance(rng, 200));
    if (tree && with_list) {
        /* Most are such that the others can go on. */
        uint8_t list = (uint8_t)(rng_chance(rng, 400) ? 0 : rng_below(rng, MODEL_LISTS));
        list = rng_chance(rng, 50) ? MODEL_LISTS : list;
        op.acl = buf_slice(&d->lists[list]);
    }
    if (op.type == OP_CREATE && tree) {
        op.flags |= (uint8_t)(rng_chance(rng, 250) ? OP_SEQUENTIAL : 0);
        op.flags |= (uint8_t)(rng_chance(rng, 250) ? OP_MAKE_PARENTS : 0);
    } else if (op.type == OP_DELETE) {
        op.flags |= (uint8_t)(tree && rng_chance(rng, 300) ? OP_RECURSIVE : 0);
        op.flags |= (uint8_t)(rng_chance(rng, 100) ? OP_DRY_RUN : 0);
        op.limit = rng_chance(rng, 200) ? (uint32_t)rng_range(rng, 1, 5) : 0;
    } else if (op.type == OP_GET || op.type == OP_LIST) {
        op.flags |= (uint8_t)(rng_chance(rng, 500) ? OP_STAT_ONLY : 0);
        op.limit = rng_chance(rng, 300) ? (uint32_t)rng_range(rng, 1, 4) : 0;
    }
    if (op.type != OP_CREATE && rng_chance(rng, 250)) {
        op.version = (uint32_t)rng_below(rng, 3);
    }
    return op;
}

static struct guard draw_guard(struct rng *rng, struct draft *d, uint64_t revision)
{
    struct guard g = {.target = (uint8_t)rng_range(rng, GUARD_EXISTS, GUARD_VALUE),
                      .relation = (uint8_t)rng_range(rng, GUARD_EQUAL, GUARD_GREATER)};
    char *data = d->data[d->used];
    draw_key(rng, d, &g.space, &g.path);
    if (g.target == GUARD_EXISTS) {
        g.relation = (uint8_t)rng_range(rng, GUARD_EQUAL, GUARD_NOT_EQUAL);
        g.number = rng_below(rng, 2);
    } else if (g.target == GUARD_VALUE) {
        g.value = draw_data(rng, data);
    } else {
        g.number = rng_chance(rng, 500) ? rng_below(rng, 4) : rng_below(rng, revision + 2);
    }
    return g;
}

struct command draft_command(struct rng *rng, struct draft *d, const struct kit *k,
                             const struct model *m)
{
    d->used = 0;
    struct command c = {.type = COMMAND_TXN};
    uint32_t then_count =
        rng_chance(rng, 700) ? 1 : (uint32_t)rng_below(rng, DRAFT_OPS_MAX + 1);
    for (uint32_t i = 0; i < then_count; i++) {
        d->then_ops[i] = draw_op(rng, d, m);
    }
    c.txn = (struct txn){.then_ops = d->then_ops, .then_count = then_count};
    if (rng_chance(rng, 150)) {
        c.txn.guard_count = (uint32_t)rng_range(rng, 1, 2);
        c.txn.else_count = (uint32_t)rng_below(rng, 3);
        for (uint32_t i = 0; i < c.txn.guard_count; i++) {
            d->guards[i] = draw_guard(rng, d, store_revision(k->store));
        }
        for (uint32_t i = 0; i < c.txn.else_count; i++) {
            d->else_ops[i] = draw_op(rng, d, m);
        }
        c.txn.guards = d->guards;
        c.txn.else_ops = d->else_ops;
    }
    if (rng_chance(rng, 200)) {
        draw_lease(rng, m, &c);
    }
    if (rng_chance(rng, 300)) {
        draw_session(rng, m, &c);
    } else if (rng_chance(rng, 300)) {
        c.request = (struct request_id){.issued_ms = k->cluster_ms - rng_below(rng, 50),
                                        .random = {rng_next(rng), rng_below(rng, 2)}};
    }
    c.note = slice_str(rng_chance(rng, 200) ? "why" : "");
    d->caller = (uint8_t)(rng_chance(rng, 300) ? MODEL_SUPER : rng_below(rng, MODEL_CALLERS));
    c.identities = buf_slice(&d->callers[d->caller]);
    return c;
}
