#include "tests/sim/members.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "raft/node_internal.h"

static void tick(void *context);

static void tick_in(struct members *m, uint64_t low_us, uint64_t high_us)
{
    struct world *w = &m->cluster->world;
    world_at(w, &m->tick, world_random(w, low_us, high_us), tick, m);
}

/* ---- asking ------------------------------------------------------------------------------ */

static void changed_cb(struct node_change *change, enum status rc, uint8_t verdict, bool already,
                       const char *text)
{
    struct members *m = change->owner;
    static const enum member_count counts[] = {[MEMBER_REMOVE] = MEMBER_COUNT_REMOVED,
                                               [MEMBER_PROMOTE] = MEMBER_COUNT_PROMOTED,
                                               [MEMBER_TRANSFER] = MEMBER_COUNT_TRANSFERRED,
                                               [MEMBER_GROW] = MEMBER_COUNT_GROWN};
    m->is_open = false;
    bool is_done = rc == RC_OK && verdict == MEMBER_DONE && !already;
    if (is_done && change->kind != MEMBER_REPLACE && change->kind != MEMBER_GROW) {
        m->counts[counts[change->kind]]++;
    }
    m->counts[MEMBER_COUNT_REFUSED] += rc == RC_OK && verdict == MEMBER_REFUSED;
    world_trace(&m->cluster->world, "members: request %u for %s ends with %s, verdict %u: %s",
                change->kind, change->name, status_text(rc), verdict, text);
}

/* One that is still asking to join can only say that it knows no leader: seldom chosen. */
static uint32_t any_up(struct members *m)
{
    struct cluster *c = m->cluster;
    uint32_t from = (uint32_t)world_random(&c->world, 0, c->options.nodes - 1);
    bool may_join = world_random(&c->world, 0, 7) == 0;
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        uint32_t node = (from + i) % c->options.nodes;
        if (cluster_is_up(c, node) && !c->nodes[node].is_out && !c->nodes[node].is_stopping &&
            !c->nodes[node].has_fatal &&
            (may_join || c->nodes[node].node->phase != NODE_WAITING)) {
            return node;
        }
    }
    return c->options.nodes;
}

static bool ask(struct members *m, uint8_t kind, uint32_t target)
{
    struct cluster *c = m->cluster;
    uint32_t through = any_up(m);
    if (through == c->options.nodes || m->is_open) {
        return false;
    }
    m->change = (struct node_change){.done = changed_cb, .owner = m, .kind = kind};
    (void)snprintf(m->change.name, sizeof m->change.name, "%s",
                   kind == MEMBER_GROW ? "" : c->nodes[target].name);
    struct env *env = &c->nodes[through].process->env;
    uint64_t deadline = env->now_ms(env) + world_random(&c->world, 200, 4000);
    m->is_open = node_change(c->nodes[through].node, &m->change, deadline) == RC_OK;
    m->target = target;
    if (m->is_open) {
        world_trace(&c->world, "members: request %u for %s through %s", kind,
                    c->nodes[target].name, c->nodes[through].name);
        cluster_wake(c, through);
    }
    return m->is_open;
}

/* ---- what there is ----------------------------------------------------------------------- */

static bool look(const struct members *m, struct node_status *s)
{
    int leader = cluster_leader(m->cluster);
    if (leader < 0 || m->cluster->nodes[leader].has_fatal) {
        return false;
    }
    node_status(m->cluster->nodes[leader].node, s);
    return s->member_count > 0 && strcmp(s->state, "leader") == 0;
}

static size_t in_count(const struct cluster *c)
{
    size_t count = 0;
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        count += !c->nodes[i].is_out;
    }
    return count;
}

/* All are voters, nothing is on its way, and all of them are up. */
static bool is_calm(const struct members *m, const struct node_status *s)
{
    for (size_t i = 0; i < s->member_count; i++) {
        if (s->members[i].role != MEMBER_VOTER || s->members[i].is_leaving) {
            return false;
        }
    }
    for (uint32_t i = 0; i < m->cluster->options.nodes; i++) {
        if (!m->cluster->nodes[i].is_out && !cluster_is_up(m->cluster, i)) {
            return false;
        }
    }
    return s->member_count == in_count(m->cluster);
}

static int host_of(const struct cluster *c, const char *name)
{
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        if (strcmp(c->nodes[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

bool members_are_settled(struct members *m)
{
    struct node_status s;
    if (m->is_open || m->lost >= 0 || !look(m, &s) || s.member_count != in_count(m->cluster)) {
        return false;
    }
    for (size_t i = 0; i < s.member_count; i++) {
        const struct node_member_status *member = &s.members[i];
        int host = host_of(m->cluster, member->name);
        bool is_last = member->role == MEMBER_VOTER || member->is_learner;
        if (!is_last || member->is_leaving || host < 0 || m->cluster->nodes[host].is_out ||
            !cluster_is_up(m->cluster, (uint32_t)host) ||
            node_id(m->cluster->nodes[host].node) != member->id) {
            return false;
        }
    }
    return true;
}

/* ---- what is done ------------------------------------------------------------------------ */

static void join(struct members *m)
{
    struct cluster *c = m->cluster;
    uint32_t from = (uint32_t)world_random(&c->world, 0, c->options.nodes - 1);
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        struct cluster_node *n = &c->nodes[(from + i) % c->options.nodes];
        if (n->is_out && n->node == NULL) {
            cluster_lose_disk(c, n->host.number);
            n->is_out = false;
            n->is_learner = world_chance(&c->world, 250);
            m->counts[MEMBER_COUNT_JOINED]++;
            world_trace(&c->world, "members: %s joins%s", n->name,
                        n->is_learner ? " as a learner" : "");
            (void)cluster_start(c, n->host.number);
            return;
        }
    }
}

static void remove_one(struct members *m)
{
    struct cluster *c = m->cluster;
    uint32_t target = (uint32_t)world_random(&c->world, 0, c->options.nodes - 1);
    if (!c->nodes[target].is_out && in_count(c) > 2 && ask(m, MEMBER_REMOVE, target)) {
        c->nodes[target].may_be_removed = true;
    }
}

/* Only when it is the one thing that is wrong: of two lost disks nothing is promised. */
static void lose(struct members *m, const struct node_status *s)
{
    struct cluster *c = m->cluster;
    uint32_t target = (uint32_t)world_random(&c->world, 0, c->options.nodes - 1);
    if (c->nodes[target].is_out || s->member_count < 3 || !is_calm(m, s)) {
        return;
    }
    world_trace(&c->world, "members: %s loses its disk", c->nodes[target].name);
    m->lost = (int)target;
    m->lost_id = node_id(c->nodes[target].node);
    cluster_crash(c, target, DEATH_POWER);
    cluster_lose_disk(c, target);
    c->nodes[target].is_learner = false;
    cluster_restart_in(c, target, world_random(&c->world, 20 * MS, 800 * MS));
}

/* Until its successor is a voter and it is gone itself. */
static void replace(struct members *m)
{
    struct cluster *c = m->cluster;
    struct node_status s;
    bool has_successor = false;
    bool is_there = false;
    if (!look(m, &s)) {
        return;
    }
    for (size_t i = 0; i < s.member_count; i++) {
        bool is_same = strcmp(s.members[i].name, c->nodes[m->lost].name) == 0;
        is_there = is_there || s.members[i].id == m->lost_id;
        has_successor = has_successor || (is_same && s.members[i].id != m->lost_id &&
                                          s.members[i].role == MEMBER_VOTER);
    }
    if (has_successor && !is_there) {
        m->counts[MEMBER_COUNT_REPLACED]++;
        m->lost = -1;
    } else {
        (void)ask(m, MEMBER_REPLACE, (uint32_t)m->lost);
    }
}

static void promote_learner(struct members *m, const struct node_status *s)
{
    for (size_t i = 0; i < s->member_count; i++) {
        int host = host_of(m->cluster, s->members[i].name);
        if (s->members[i].is_learner && s->members[i].role == MEMBER_STANDBY && host >= 0) {
            (void)ask(m, MEMBER_PROMOTE, (uint32_t)host);
            return;
        }
    }
}

/* Until there are three, both others being started at some time. Whatever ends an attempt, the next
 * one begins anew. */
static void grow(struct members *m)
{
    struct cluster *c = m->cluster;
    struct node_status s;
    for (uint32_t i = 0; i < c->options.nodes && in_count(c) < m->goal; i++) {
        struct cluster_node *n = &c->nodes[i];
        if (n->is_out && n->node == NULL) {
            cluster_lose_disk(c, i);
            n->is_out = false;
            world_trace(&c->world, "members: %s waits for the single node to grow", n->name);
            (void)cluster_start(c, i);
            return;
        }
    }
    if (look(m, &s) && s.member_count == m->goal) {
        m->is_single = false;
        m->counts[MEMBER_COUNT_GROWN]++;
    } else {
        (void)ask(m, MEMBER_GROW, 0);
    }
}

static void tick(void *context)
{
    struct members *m = context;
    struct world *w = &m->cluster->world;
    struct node_status s;
    tick_in(m, 20 * MS, 250 * MS);
    if (m->is_open) {
        return;
    }
    if (m->lost >= 0) {
        replace(m);
        return;
    }
    if (m->is_single) {
        grow(m);
        return;
    }
    if (m->is_ending || !look(m, &s)) {
        return;
    }
    switch (world_random(w, 0, 9)) {
    case 0:
    case 1:
    case 2: join(m); return;
    case 3:
    case 4: remove_one(m); return;
    case 5:
    case 6: lose(m, &s); return;
    case 7: promote_learner(m, &s); return;
    default: {
        uint32_t target = any_up(m);
        if (target < m->cluster->options.nodes) {
            (void)ask(m, MEMBER_TRANSFER, target);
        }
        return;
    }
    }
}

/* ---- the run ----------------------------------------------------------------------------- */

void members_init(struct members *m, struct cluster *c)
{
    *m = (struct members){.cluster = c, .lost = -1};
}

void members_start(struct members *m)
{
    if (m->cluster->options.nodes > m->cluster->options.first) {
        m->is_running = true;
        m->is_single = m->cluster->options.first == 1;
        m->goal = 3;
        tick_in(m, MS, 300 * MS);
    }
}

void members_end(struct members *m)
{
    m->is_ending = true;
}

void members_close(struct members *m)
{
    world_cancel(&m->cluster->world, &m->tick);
}
