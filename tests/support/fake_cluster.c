#include "tests/support/fake_cluster.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

#define PORT    7000
#define GIVE_UP 30000
#define HALVES  3 /* turns within a millisecond: a request, its answer, what follows from it */

static struct fake_member *member_of(struct env *env)
{
    return (struct fake_member *)(void *)env;
}

/* ---- the env: calls that take one are passed on to the right half --------------------------- */

static struct env *disk_of(struct env *env)
{
    return &member_of(env)->disk.env;
}

static enum status both_open(struct env *env, const char *path, int flags,
                             struct env_file **out)
{
    return disk_of(env)->disk->open(disk_of(env), path, flags, out);
}

static enum status both_rename(struct env *env, const char *from, const char *to)
{
    return disk_of(env)->disk->rename(disk_of(env), from, to);
}

static enum status both_unlink(struct env *env, const char *path)
{
    return disk_of(env)->disk->unlink(disk_of(env), path);
}

static enum status both_mkdir(struct env *env, const char *path)
{
    return disk_of(env)->disk->mkdir(disk_of(env), path);
}

static enum status both_list(struct env *env, const char *path, env_list_fn fn, void *context)
{
    return disk_of(env)->disk->list(disk_of(env), path, fn, context);
}

static enum status both_sync_dir(struct env *env, const char *path)
{
    return disk_of(env)->disk->sync_dir(disk_of(env), path);
}

static enum status both_lock(struct env *env, const char *path)
{
    return disk_of(env)->disk->lock(disk_of(env), path);
}

static struct env_queue *both_queue_open(struct env *env, const char *name)
{
    return disk_of(env)->queue_open(disk_of(env), name);
}

static enum status both_listen(struct env *env, const char *host, uint16_t port,
                               env_accept_fn accept, void *owner, struct env_listener **out,
                               struct errmsg *err)
{
    struct env *half = member_of(env)->host;
    return half->net->listen(half, host, port, accept, owner, out, err);
}

static struct env_stream *both_connect(struct env *env, const char *host, uint16_t port,
                                       const struct env_stream_events *events, void *owner)
{
    struct env *half = member_of(env)->host;
    return half->net->connect(half, host, port, events, owner);
}

static uint64_t both_now_ms(struct env *env)
{
    return member_of(env)->host->now_ms(member_of(env)->host);
}

static uint64_t both_now_us(struct env *env)
{
    return member_of(env)->host->now_us(member_of(env)->host);
}

static uint64_t both_wall_ms(struct env *env)
{
    const struct fake_member *m = member_of(env);
    return UINT64_C(1700000000000) + both_now_ms(env) + (uint64_t)m->wall_offset_ms;
}

static void both_random(struct env *env, void *to, size_t bytes)
{
    member_of(env)->host->random(member_of(env)->host, to, bytes);
}

static void member_init(struct fake_cluster *c, size_t i, uint64_t seed)
{
    struct fake_member *m = &c->members[i];
    (void)snprintf(c->names[i].name, sizeof c->names[i].name, "n%zu", i + 1);
    (void)snprintf(c->names[i].host, sizeof c->names[i].host, "host%zu", i + 1);
    c->names[i].port = PORT;
    fake_env_init(&m->disk, seed);
    m->cluster = c;
    m->host = fake_net_host(c->net, c->names[i].host);
    m->disk_table = *m->disk.env.disk;
    m->disk_table.open = both_open;
    m->disk_table.rename = both_rename;
    m->disk_table.unlink = both_unlink;
    m->disk_table.mkdir = both_mkdir;
    m->disk_table.list = both_list;
    m->disk_table.sync_dir = both_sync_dir;
    m->disk_table.lock = both_lock;
    m->net_table = *m->host->net;
    m->net_table.listen = both_listen;
    m->net_table.connect = both_connect;
    m->env = (struct env){.disk = &m->disk_table,
                          .net = &m->net_table,
                          .now_ms = both_now_ms,
                          .now_us = both_now_us,
                          .wall_ms = both_wall_ms,
                          .random = both_random,
                          .queue_open = both_queue_open,
                          .queue_submit = m->disk.env.queue_submit,
                          .queue_close = m->disk.env.queue_close};
}

/* ---- members ------------------------------------------------------------------------------- */

static void on_fatal(void *context, enum status rc, const char *why)
{
    struct fake_member *m = context;
    (void)rc;
    (void)fprintf(stderr, "fatal: %s\n", why);
    m->fatals++;
}

void fake_cluster_start(struct fake_cluster *c, size_t i)
{
    struct fake_member *m = &c->members[i];
    struct errmsg err = {0};
    struct node_options options = {.env = &m->env,
                                   .data_dir = "data",
                                   .name = c->names[i].name,
                                   .peer_host = c->names[i].host,
                                   .peer_port = PORT,
                                   .learner = m->is_learner,
                                   .election_timeout_ms = c->election_timeout_ms,
                                   .heartbeat_ms = c->election_timeout_ms / 5,
                                   .wal_segment_bytes = 65536,
                                   .fatal = on_fatal,
                                   .context = m};
    PRE(m->node == NULL);
    if (m->joins) {
        options.join = c->names; /* whichever answers */
        options.join_count = c->first_count;
    } else if (c->first_count > 1) {
        options.members = c->names;
        options.member_count = c->first_count;
    }
    enum status rc = node_open(&options, &m->node, &err);
    if (rc != RC_OK) {
        (void)fprintf(stderr, "start %s: %s\n", c->names[i].name, err.text);
        abort();
    }
}

void fake_cluster_kill(struct fake_cluster *c, size_t i)
{
    struct fake_member *m = &c->members[i];
    fake_cluster_resume(c, i);
    node_close(m->node);
    m->node = NULL;
}

size_t fake_cluster_join(struct fake_cluster *c, bool is_learner)
{
    size_t i = c->count++;
    PRE(i < FAKE_CLUSTER_MEMBERS_MAX);
    member_init(c, i, 1000 + i);
    c->members[i].joins = true;
    c->members[i].is_learner = is_learner;
    fake_cluster_start(c, i);
    return i;
}

void fake_cluster_lose_disk(struct fake_cluster *c, size_t i)
{
    struct fake_member *m = &c->members[i];
    PRE(m->node == NULL);
    fake_env_close(&m->disk);
    fake_env_init(&m->disk, 2000 + i);
    m->joins = true;
}

void fake_cluster_pause(struct fake_cluster *c, size_t i)
{
    c->members[i].is_paused = true;
    fake_net_stall(c->members[i].host, true);
}

void fake_cluster_resume(struct fake_cluster *c, size_t i)
{
    c->members[i].is_paused = false;
    fake_net_stall(c->members[i].host, false);
}

void fake_cluster_cut(struct fake_cluster *c, size_t i, bool is_cut)
{
    for (size_t j = 0; j < c->count; j++) {
        if (j != i) {
            fake_net_cut(c->net, c->members[i].host, c->members[j].host, is_cut);
        }
    }
}

/* ---- the cluster --------------------------------------------------------------------------- */

void fake_cluster_open(struct fake_cluster *c, size_t count, uint32_t election_timeout_ms,
                       uint64_t seed)
{
    PRE(count <= FAKE_CLUSTER_MEMBERS_MAX);
    *c = (struct fake_cluster){
        .net = fake_net_new(seed),
        .count = count,
        .first_count = count,
        .election_timeout_ms = election_timeout_ms};
    for (size_t i = 0; i < count; i++) {
        member_init(c, i, seed + i);
    }
    for (size_t i = 0; i < count; i++) {
        fake_cluster_start(c, i);
    }
}

void fake_cluster_close(struct fake_cluster *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->members[i].node != NULL) {
            node_close(c->members[i].node);
        }
        fake_env_close(&c->members[i].disk);
    }
    fake_net_free(c->net);
}

uint64_t fake_cluster_now(const struct fake_cluster *c)
{
    return fake_net_now(c->net);
}

void fake_cluster_settle(struct fake_cluster *c)
{
    for (int half = 0; half < HALVES; half++) {
        for (size_t i = 0; i < c->count; i++) {
            if (c->members[i].node != NULL && !c->members[i].is_paused) {
                node_turn(c->members[i].node);
                fake_env_run(&c->members[i].disk);
            }
        }
        fake_net_settle(c->net);
    }
}

void fake_cluster_run(struct fake_cluster *c, uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i++) {
        fake_net_advance(c->net, 1);
        fake_cluster_settle(c);
    }
}

size_t fake_cluster_leader(struct fake_cluster *c)
{
    for (int ms = 0; ms < GIVE_UP; ms++) {
        size_t leader = c->count;
        uint64_t term = 0;
        for (size_t i = 0; i < c->count; i++) {
            const struct fake_member *m = &c->members[i];
            if (m->node != NULL && !m->is_paused && m->node->leases.is_running &&
                node_term(m->node) > term) {
                leader = i;
                term = node_term(m->node);
            }
        }
        if (leader < c->count) {
            return leader;
        }
        fake_cluster_run(c, 1);
    }
    (void)fprintf(stderr, "no member comes to lead\n");
    abort();
}

size_t fake_cluster_follower(struct fake_cluster *c)
{
    size_t leader = fake_cluster_leader(c);
    for (size_t i = 0; i < c->count; i++) {
        if (i != leader && c->members[i].node != NULL && !c->members[i].is_paused) {
            return i;
        }
    }
    abort();
}
