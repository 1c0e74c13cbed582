/* What ZooKeeper clients ask for. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/zk_client.h"

#define AT_ONCE_MAX 6 /* requests in one go */

static const char *const nodes[] = {"/z/0", "/z/1",   "/z/2",   "/z/3",
                                    "/z/4", "/z/0/a", "/z/0/b", "/z/1/a"};
/* Looked at and watched only. /k and /p are other clients'. */
static const char *const others[] = {"/z", "/z/q", "/k", "/k/0", "/k/3", "/p/0"};

static const char *node_pick(struct world *w)
{
    return nodes[world_random(w, 0, sizeof nodes / sizeof nodes[0] - 1)];
}

static const char *any_pick(struct world *w)
{
    return world_chance(w, 700)
               ? node_pick(w)
               : others[world_random(w, 0, sizeof others / sizeof others[0] - 1)];
}

static void path_set(struct zk_op *op, const char *path)
{
    (void)snprintf(op->path, sizeof op->path, "%s", path);
}

/* What it may be at some time, mostly. */
static int32_t version_pick(struct zk_client *k, const char *path)
{
    struct world *w = zk_world(k);
    if (world_chance(w, 500)) {
        return -1;
    }
    struct zk_state s = zk_tree_at(&k->all->tree, path, k->all->oracle->revision);
    return (int32_t)s.version + (world_chance(w, 200) ? 1 : 0);
}

static void create_pick(struct zk_client *k, struct zk_op *op)
{
    static const struct {
        int32_t type;
        int32_t flags;
        const char *path; /* NULL: any */
    } kinds[] = {
        {ZK_CREATE, ZK_FLAG_PERSISTENT, NULL},
        {ZK_CREATE2, ZK_FLAG_PERSISTENT, NULL},
        {ZK_CREATE, ZK_FLAG_EPHEMERAL, NULL},
        {ZK_CREATE2, ZK_FLAG_EPHEMERAL, NULL},
        {ZK_CREATE, ZK_FLAG_SEQUENTIAL, "/z/q/i-"},
        {ZK_CREATE2, ZK_FLAG_EPHEMERAL_SEQUENTIAL, "/z/q/e-"},
        {ZK_CREATE, ZK_FLAG_SEQUENTIAL, "/z/0/s"},
        {ZK_CREATE_CONTAINER, ZK_FLAG_CONTAINER, NULL},
        {ZK_CREATE, ZK_FLAG_CONTAINER, NULL},
        {ZK_CREATE_TTL, ZK_FLAG_TTL, NULL},
        {ZK_CREATE_TTL, ZK_FLAG_TTL_SEQUENTIAL, "/z/q/t-"},
    };
    size_t i = (size_t)world_random(zk_world(k), 0, sizeof kinds / sizeof kinds[0] - 1);
    op->type = kinds[i].type;
    op->flags = kinds[i].flags;
    op->value = ++k->all->values;
    path_set(op, kinds[i].path != NULL ? kinds[i].path : node_pick(zk_world(k)));
}

static void write_pick(struct zk_client *k, struct zk_op *op)
{
    uint64_t dice = world_random(zk_world(k), 0, 99);
    *op = (struct zk_op){0};
    if (dice < 45) {
        create_pick(k, op);
        return;
    }
    path_set(op, node_pick(zk_world(k)));
    op->version = version_pick(k, op->path);
    op->type = dice < 75 ? ZK_SET_DATA : ZK_DELETE;
    op->value = op->type == ZK_SET_DATA ? ++k->all->values : 0;
}

static void ask_multi(struct zk_client *k)
{
    struct zk_asked a = {.type = ZK_MULTI};
    size_t count = (size_t)world_random(zk_world(k), 0, ZK_OPS_MAX);
    for (; a.op_count < count; a.op_count++) {
        struct zk_op *op = &a.ops[a.op_count];
        write_pick(k, op);
        if (world_chance(zk_world(k), 200)) {
            path_set(op, node_pick(zk_world(k)));
            op->type = ZK_CHECK;
            op->version = version_pick(k, op->path);
        }
    }
    (void)zk_ask(k, &a);
}

bool zk_ask_op(struct zk_client *k, const struct zk_op *op)
{
    struct zk_asked a = {.type = op->type, .op_count = 1};
    a.ops[0] = *op;
    return zk_ask(k, &a);
}

bool zk_ask_simple(struct zk_client *k, int32_t type, const char *path, bool watch)
{
    struct zk_op op = {.type = type, .version = -1, .watch = watch};
    path_set(&op, path);
    return zk_ask_op(k, &op);
}

/* Room for the watch that each request without an answer may arm. */
static bool may_watch(const struct zk_client *k)
{
    return k->armed_count + k->pending_count + 1 < ZK_ARMED_MAX;
}

static void ask_watches(struct zk_client *k)
{
    static const int32_t types[] = {1, 2, 3, 4, 5};
    struct zk_op op = {.type = ZK_ADD_WATCH};
    path_set(&op, any_pick(zk_world(k)));
    if (may_watch(k) && world_chance(zk_world(k), 600)) {
        op.flags = (int32_t)world_random(zk_world(k), 0, 1);
    } else {
        op.type = ZK_REMOVE_WATCHES;
        op.flags = types[world_random(zk_world(k), 0, 4)];
        if (k->armed_count > 0 && world_chance(zk_world(k), 600)) {
            path_set(&op, k->armed[world_random(zk_world(k), 0, k->armed_count - 1)].path);
        }
    }
    (void)zk_ask_op(k, &op);
}

static void ask_one(struct zk_client *k)
{
    static const int32_t reads[] = {ZK_EXISTS, ZK_GET_DATA, ZK_GET_CHILDREN, ZK_GET_CHILDREN2};
    struct world *w = zk_world(k);
    uint64_t dice = world_random(w, 0, 99);
    struct zk_op op;
    if (dice < 30) {
        write_pick(k, &op);
        (void)zk_ask_op(k, &op);
    } else if (dice < 40) {
        ask_multi(k);
    } else if (dice < 78) {
        int32_t type = reads[world_random(w, 0, sizeof reads / sizeof reads[0] - 1)];
        (void)zk_ask_simple(k, type, any_pick(w), may_watch(k) && world_chance(w, 400));
    } else if (dice < 84) {
        (void)zk_ask_simple(k, ZK_SYNC, node_pick(w), false);
    } else if (dice < 87) {
        (void)zk_ask(k, &(struct zk_asked){.type = ZK_PING});
    } else if (dice < 90) {
        (void)zk_ask_simple(k, ZK_GET_EPHEMERALS, world_chance(w, 500) ? "/z/q" : "/", false);
    } else if (dice < 92) {
        (void)zk_ask_simple(k, ZK_GET_ALL_CHILDREN_NUMBER, "/z", false);
    } else {
        ask_watches(k);
    }
}

void zk_work(struct zk_client *k)
{
    uint64_t count = world_random(zk_world(k), 1, AT_ONCE_MAX);
    zk_tree_follow(&k->all->tree);
    if (k->stage == ZK_UP && world_chance(zk_world(k), 4)) {
        zk_session(k)->is_close_sent = true;
        (void)zk_ask(k, &(struct zk_asked){.type = ZK_CLOSE_SESSION});
        return;
    }
    for (uint64_t i = 0; i < count && k->stage != ZK_DOWN; i++) {
        ask_one(k);
    }
}

void zk_work_restore(struct zk_client *k)
{
    struct zk_asked a = {.type = ZK_SET_WATCHES};
    if (k->armed_count == 0 || k->session == ZK_NONE) {
        k->armed_count = 0;
        return;
    }
    a.relative = zk_session(k)->zxid;
    for (size_t i = 0; i < k->armed_count; i++) {
        if ((k->armed[i].wanted & (ZK_PERSISTENT | ZK_RECURSIVE)) != 0) {
            a.type = ZK_SET_WATCHES2;
        }
    }
    (void)zk_ask(k, &a);
}

void zk_work_begin(struct zk_client *k)
{
    struct world *w = zk_world(k);
    if (world_chance(w, 200)) {
        k->armed_count = 0; /* its watches are not wanted any more */
    }
    zk_work_restore(k);
    if (!k->all->is_calm && world_chance(w, 500)) {
        zk_work(k); /* behind the connect request */
    }
}
