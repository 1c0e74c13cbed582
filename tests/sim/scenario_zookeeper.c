/* Stories about ZooKeeper's clients. What is answered, told and logged is judged by zk_judge.c and
 * zk_watch.c as in random runs; here are the moments. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/scenario.h"

#define WALK_LIMIT 3000 /* bytes: the exchange is shorter */

static bool is_answered(struct cluster *c, void *context)
{
    const struct zk_client *k = context;
    (void)c;
    return k->stage == ZK_DOWN || (k->stage == ZK_UP && k->pending_count == 0);
}

static bool is_down(struct cluster *c, void *context)
{
    (void)c;
    return ((const struct zk_client *)context)->stage == ZK_DOWN;
}

/* Until all that was asked is answered, or the connection has ended. */
static bool story_settle(struct story *s, struct zk_client *k)
{
    bool ok = cluster_run_until(&s->cluster, 3 * SECOND, is_answered, k);
    return story_expect(s, ok, "a zookeeper client waits for an answer");
}

static bool story_connect(struct story *s, struct zk_client *k, uint32_t node)
{
    zk_connect(k, node);
    return story_settle(s, k) && story_expect(s, k->stage == ZK_UP, "no session is given");
}

/* A cluster with so many clients, each on a machine of its own as far as there are. */
static int story_clients(struct story *s, uint32_t count)
{
    int leader = story_begin(s);
    for (uint32_t i = 0; i < count && leader >= 0; i++) {
        (void)zk_clients_add(&s->zookeeper,
                             &s->workload.stations[i % s->workload.station_count]);
    }
    s->zookeeper.is_told = true;
    return leader;
}

static void ask_create(struct zk_client *k, int32_t type, int32_t flags, const char *path)
{
    struct zk_op op = {.type = type, .flags = flags, .value = ++k->all->values};
    (void)snprintf(op.path, sizeof op.path, "%s", path);
    (void)zk_ask_op(k, &op);
}

static void ask_set(struct zk_client *k, const char *path)
{
    struct zk_op op = {.type = ZK_SET_DATA, .version = -1, .value = ++k->all->values};
    (void)snprintf(op.path, sizeof op.path, "%s", path);
    (void)zk_ask_op(k, &op);
}

static void ask_multi(struct zk_client *k)
{
    struct zk_asked a = {.type = ZK_MULTI, .op_count = 2};
    a.ops[0] = (struct zk_op){.type = ZK_SET_DATA, .version = -1, .value = ++k->all->values};
    a.ops[1] = (struct zk_op){.type = ZK_CREATE2, .flags = ZK_FLAG_SEQUENTIAL};
    a.ops[1].value = ++k->all->values;
    (void)snprintf(a.ops[0].path, sizeof a.ops[0].path, "/z/0");
    (void)snprintf(a.ops[1].path, sizeof a.ops[1].path, "/z/q/m-");
    (void)zk_ask(k, &a);
}

static void ask_add_watch(struct zk_client *k, const char *path, int32_t mode)
{
    struct zk_op op = {.type = ZK_ADD_WATCH, .flags = mode};
    (void)snprintf(op.path, sizeof op.path, "%s", path);
    (void)zk_ask_op(k, &op);
}

static void ask_close(struct zk_client *k)
{
    zk_session(k)->is_close_sent = true;
    (void)zk_ask(k, &(struct zk_asked){.type = ZK_CLOSE_SESSION});
}

/* ---- a connection lost at every byte ------------------------------------------------------ */

static void exchange(struct zk_client *k)
{
    (void)zk_ask_simple(k, ZK_GET_DATA, "/z/0", true);
    ask_create(k, ZK_CREATE2, ZK_FLAG_EPHEMERAL_SEQUENTIAL, "/z/q/e-");
    ask_set(k, "/z/0");
    (void)zk_ask_simple(k, ZK_EXISTS, "/z/9", true);
    (void)zk_ask_simple(k, ZK_GET_CHILDREN2, "/z/0", true);
    ask_add_watch(k, "/z/0", 1);
    ask_multi(k);
    (void)zk_ask_simple(k, ZK_SYNC, "/z", false);
    ask_create(k, ZK_CREATE, ZK_FLAG_SEQUENTIAL, "/z/q/i-");
}

/* Something happens while the client is away. */
static bool meanwhile(struct story *s, struct zk_client *other, size_t turn)
{
    if (other->session == ZK_NONE || other->stage == ZK_DOWN) {
        zk_connect(other, 0);
    }
    if (turn % 3 == 0) {
        ask_set(other, "/z/0");
    } else if (turn % 3 == 1) {
        ask_create(other, ZK_CREATE, ZK_FLAG_PERSISTENT, "/z/0/x");
        (void)zk_ask_simple(other, ZK_DELETE, "/z/0/x", false);
    }
    (void)zk_ask(other, &(struct zk_asked){.type = ZK_PING});
    return story_settle(s, other);
}

/* On the members after `node`: one that is behind what the client has seen turns it away, so that
 * it goes to the next, and at last to that which showed it. */
static bool resume_elsewhere(struct story *s, struct zk_client *k, uint32_t node)
{
    bool ok = true;
    for (uint32_t i = 1; i <= 3 && ok && (i == 1 || k->stage == ZK_DOWN); i++) {
        zk_connect(k, (node + i) % 3);
        zk_work_restore(k);
        exchange(k);
        ok = story_settle(s, k);
    }
    return ok;
}

/* One exchange that is cut off, and what follows on another member. False: it was not. */
static bool lose_at(struct story *s, size_t at, bool outward)
{
    struct zk_client *k = &s->zookeeper.items[0];
    uint32_t node = (uint32_t)(at % 3);
    zk_connect(k, node);
    k->cut_out = outward ? at : SIZE_MAX;
    k->cut_in = outward ? SIZE_MAX : at;
    exchange(k);
    bool ok = story_settle(s, k);
    bool was_lost = k->stage == ZK_DOWN;
    ok = ok && meanwhile(s, &s->zookeeper.items[1], at);
    if (ok && was_lost && k->session != ZK_NONE) {
        ok = resume_elsewhere(s, k, node);
        (void)story_expect(s, !ok || k->stage == ZK_UP, "a lost connection cannot be resumed");
    }
    if (ok && k->stage == ZK_UP) {
        k->cut_in = k->cut_out = SIZE_MAX;
        ask_close(k);
        ok = cluster_run_until(&s->cluster, 3 * SECOND, is_down, k);
        (void)story_expect(s, ok && k->session == ZK_NONE, "a session is not closed");
    }
    k->armed_count = 0;
    return was_lost;
}

void scenario_zk_every_byte(struct story *s)
{
    if (story_clients(s, 2) < 0 || !story_connect(s, &s->zookeeper.items[1], 0)) {
        return;
    }
    ask_create(&s->zookeeper.items[1], ZK_CREATE, ZK_FLAG_PERSISTENT, "/z/0");
    (void)story_settle(s, &s->zookeeper.items[1]);
    for (int outward = 0; outward < 2; outward++) {
        size_t at = 1;
        while (at < WALK_LIMIT && !s->cluster.world.failed && lose_at(s, at, outward == 1)) {
            at++;
        }
        (void)story_expect(s, at > 300 && at < WALK_LIMIT, "the walk does not come to its end");
    }
    story_end(s);
}

/* ---- a member that is cut off -------------------------------------------------------------- */

void scenario_zk_cut_off(struct story *s)
{
    s->cluster.zookeeper.timeout_ms_max = 6000;
    int leader = story_clients(s, 1);
    struct zk_client *k = &s->zookeeper.items[0];
    if (leader < 0 || !story_connect(s, k, story_third((uint32_t)leader, 0 == leader))) {
        return;
    }
    (void)zk_ask_simple(k, ZK_SYNC, "/z", false);
    (void)story_settle(s, k);
    cluster_isolate(&s->cluster, k->node, true);
    cluster_run(&s->cluster, 600 * MS); /* it finds out */
    uint64_t replies = s->zookeeper.replies;
    (void)zk_ask(k, &(struct zk_asked){.type = ZK_PING});
    (void)zk_ask_simple(k, ZK_GET_DATA, "/z", false);
    ask_create(k, ZK_CREATE, ZK_FLAG_SEQUENTIAL, "/z/q/i-");
    bool ended = cluster_run_until(&s->cluster, 3800 * MS, is_down, k);
    (void)story_expect(s, s->zookeeper.replies == replies,
                       "a member that is cut off answers a ping");
    (void)story_expect(s, ended, "the client of a member that is cut off is not sent away");
    (void)story_connect(s, k, (uint32_t)cluster_leader(&s->cluster));
    (void)story_expect(s, s->zookeeper.resumed == 1 && s->zookeeper.expired == 0,
                       "who was sent away comes too late");
    zk_drop(k);
    story_end(s);
}

/* ---- somebody guesses ---------------------------------------------------------------------- */

void scenario_zk_guess(struct story *s)
{
    if (story_clients(s, 2) < 0 || !story_connect(s, &s->zookeeper.items[0], 0)) {
        return;
    }
    struct zk_client *k = &s->zookeeper.items[0];
    struct zk_client *thief = &s->zookeeper.items[1];
    for (uint32_t node = 0; node < 3 && !s->cluster.world.failed; node++) {
        zk_guess(thief, node, k);
        (void)cluster_run_until(&s->cluster, SECOND, is_down, thief);
        (void)story_expect(s, s->zookeeper.refused == node + 1, "a guess is not refused");
        (void)zk_ask(k, &(struct zk_asked){.type = ZK_PING});
        (void)story_settle(s, k);
        (void)story_expect(s, k->stage == ZK_UP && k->connection == 1,
                           "a wrong password has cut off who holds the session");
    }
    zk_drop(k);
    story_end(s);
}

/* ---- a former connection ------------------------------------------------------------------- */

/* A write is on its way to the leader when its client goes on through another member. */
void scenario_zk_former_owner(struct story *s)
{
    int leader = story_clients(s, 1);
    struct zk_client *k = &s->zookeeper.items[0];
    uint32_t here = (uint32_t)(leader + 1) % 3;
    if (leader < 0 || !story_connect(s, k, here)) {
        return;
    }
    cluster_cut(&s->cluster, here, (uint32_t)leader, true);
    ask_create(k, ZK_CREATE, ZK_FLAG_SEQUENTIAL, "/z/q/i-");
    cluster_run(&s->cluster, 20 * MS);
    if (story_connect(s, k, (uint32_t)(leader + 2) % 3)) {
        ask_create(k, ZK_CREATE, ZK_FLAG_SEQUENTIAL, "/z/q/i-");
        (void)story_settle(s, k);
        (void)story_expect(s, s->zookeeper.acked == 1, "who came back cannot write");
    }
    cluster_cut(&s->cluster, here, (uint32_t)leader, false);
    cluster_run(&s->cluster, 200 * MS);
    zk_drop(k);
    story_end(s);
}

/* ---- a write that is refused --------------------------------------------------------------- */

static void slow_disks(struct story *s, uint64_t us)
{
    for (uint32_t i = 0; i < s->cluster.options.nodes; i++) {
        s->cluster.nodes[i].host.disk.slow_us = us;
    }
}

/* The leader has no room for the first of two writes, but has for the second, which the member
 * sends before it has heard of that. */
static void refuse_first(struct story *s, uint32_t leader, uint64_t first_us)
{
    struct zk_client *k = &s->zookeeper.items[0];
    struct zk_client *others[] = {&s->zookeeper.items[1], &s->zookeeper.items[2]};
    uint32_t node = story_third(leader, leader == 0);
    struct sim_link *back = &s->cluster.net.links[leader][node];
    for (int i = 0; i < 3; i++) {
        for (int tries = 0; tries < 20 && s->zookeeper.items[i].stage != ZK_UP; tries++) {
            zk_connect(&s->zookeeper.items[i], node); /* may be refused too */
            (void)story_settle(s, &s->zookeeper.items[i]);
        }
    }
    slow_disks(s, 100 * MS);
    for (int i = 0; i < 4; i++) { /* two are being written, the others wait */
        ask_create(others[i % 2], ZK_CREATE, ZK_FLAG_SEQUENTIAL, "/z/q/i-");
        cluster_run(&s->cluster, 3 * MS);
    }
    cluster_run(&s->cluster, first_us);
    back->extra_us = 60 * MS;
    ask_create(k, ZK_CREATE, ZK_FLAG_SEQUENTIAL, "/z/q/i-");
    for (int i = 0; i < 5 && k->stage == ZK_UP; i++) {
        cluster_run(&s->cluster, 15 * MS);
        if (k->stage == ZK_UP) {
            ask_create(k, ZK_CREATE, ZK_FLAG_SEQUENTIAL, "/z/q/i-");
        }
    }
    cluster_run(&s->cluster, 80 * MS);
    back->extra_us = 0;
    slow_disks(s, 0);
    (void)story_settle(s, k);
    s->zookeeper.cuts += k->stage == ZK_DOWN; /* by the server */
    for (int i = 0; i < 3; i++) {
        zk_drop(&s->zookeeper.items[i]);
        s->zookeeper.items[i].session = ZK_NONE;
    }
}

void scenario_zk_refused_write(struct story *s)
{
    s->cluster.options.forwarded_bytes_max = 1;
    int leader = story_clients(s, 3);
    if (leader < 0) {
        return;
    }
    for (uint64_t us = 0; us < 120 * MS && !s->cluster.world.failed; us += 12 * MS) {
        refuse_first(s, (uint32_t)leader, us);
    }
    (void)story_expect(s, s->zookeeper.cuts > 0, "no write is refused");
    story_end(s);
}
