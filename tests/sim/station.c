#include "tests/sim/station.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"

static void nothing(void *context)
{
    (void)context;
}

static void process_start(struct station *s)
{
    s->process = sim_env_new(&s->host, nothing, nothing, s);
    for (uint32_t i = 0; i < s->cluster->options.nodes; i++) {
        remote_init(&s->remotes[i], s->process, i);
    }
}

void station_init(struct station *s, struct cluster *c)
{
    *s = (struct station){.cluster = c};
    sim_host_init(&s->host, &c->world, &c->net, (uint32_t)c->net.host_count);
    sim_net_add(&c->net, &s->host);
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        cluster_link_init(c, s->host.number, i);
        cluster_link_init(c, i, s->host.number);
    }
    process_start(s);
}

/* With `how` DEATH_KILL the nodes are told; either way every call has ended afterwards. */
static void process_end(struct station *s, enum death how)
{
    sim_env_kill(s->process, how == DEATH_POWER);
    for (uint32_t i = 0; i < s->cluster->options.nodes; i++) {
        remote_close(&s->remotes[i]);
    }
    if (s->died != NULL) {
        s->died(s->died_context);
    }
    uint32_t held = sim_env_free(s->process);
    s->process = NULL;
    if (held > 0) {
        world_fail(&s->cluster->world, "a client's process left %u handles", held);
    }
}

void station_close(struct station *s)
{
    if (s->process != NULL) {
        process_end(s, DEATH_KILL);
    }
    sim_host_close(&s->host);
}

void station_crash(struct station *s, enum death how)
{
    world_trace(&s->cluster->world, "station %u %s", s->host.number,
                how == DEATH_POWER ? "loses power" : "is killed");
    s->crashes++;
    process_end(s, how);
    process_start(s);
}

void station_drop(struct station *s, uint32_t node)
{
    remote_close(&s->remotes[node]);
}

bool station_is_paused(const struct station *s)
{
    return sim_host_pause_left(&s->host) > 0;
}

/* A client knows from experience who is up, mostly. */
uint32_t station_pick(struct station *s)
{
    struct cluster *c = s->cluster;
    uint32_t node = (uint32_t)world_random(&c->world, 0, c->options.nodes - 1);
    int leader = cluster_leader(c);
    if (leader >= 0 && world_chance(&c->world, 400)) {
        node = (uint32_t)leader;
    }
    if (world_chance(&c->world, 50)) {
        return node;
    }
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        uint32_t other = (node + i) % c->options.nodes;
        if (cluster_is_up(c, other) && !c->nodes[other].is_stopping) {
            return other;
        }
    }
    return node;
}

void station_hear(struct station *s, uint32_t node, const Coord__V1__ReplyHeader *header)
{
    struct cluster *c = s->cluster;
    if (header != NULL && header->cluster_id == 0 && c->nodes[node].joins) {
        return; /* it belongs to no cluster yet */
    }
    if (header == NULL || strcmp(header->node, c->nodes[node].name) != 0 ||
        header->cluster_id == 0 ||
        (c->cluster_id != 0 && header->cluster_id != c->cluster_id)) {
        world_fail(&c->world, "n%u answers with a header that is not its own", node + 1);
        return;
    }
    c->cluster_id = header->cluster_id;
    if (header->cluster_id != s->cluster_id || header->cluster_ms > s->cluster_ms) {
        s->cluster_id = header->cluster_id;
        s->cluster_ms = header->cluster_ms;
        s->heard_us = station_now_us(s);
    }
}

uint64_t station_now_us(const struct station *s)
{
    return sim_host_now_us(&s->host);
}

uint64_t station_cluster_ms(const struct station *s)
{
    return s->cluster_ms == 0 ? 0 : s->cluster_ms + (station_now_us(s) - s->heard_us) / MS;
}
