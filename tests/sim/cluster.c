#include "tests/sim/cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/grpc/front.h"
#include "net/http/http.h"
#include "raft/engine_internal.h"
#include "raft/node_internal.h"
#include "store/store.h"

#define PEER_PORT 7001
#define TERM_MAX  100000
#define INDEX_MAX 10000000
/* As in cmd/coordd/wire.c. */
#define TURN_ROUNDS_MAX 8
/* A client that hangs must not hold up a stop for the rest of the run. */
#define SERVER_STOP_LIMIT_MS 1000

enum note { NOTE_APPLIED = 0x30, NOTE_STATE, NOTE_START, NOTE_CRASH };

static void node_turn_cb(void *context);

/* ---- set-up ------------------------------------------------------------------------------ */

void cluster_link_init(struct cluster *c, uint32_t from, uint32_t to)
{
    struct world *w = &c->world;
    struct sim_link *l = &c->net.links[from][to];
    /* From a rack to a continent away, but never near an election timeout. */
    l->latency_us = world_random(w, 20, world_chance(w, 800) ? 400 : 5000);
    l->jitter_us = world_random(w, 10, 1 + l->latency_us);
}

/* One line per change of state: that is when the costly node_status is asked. */
static void node_log_sink(void *context, enum log_level level, const char *line)
{
    struct cluster_node *n = context;
    (void)level;
    n->has_changed |= strncmp(line, "raft.state", strlen("raft.state")) == 0 ||
                      strncmp(line, "node.refused", strlen("node.refused")) == 0;
    world_trace(&n->cluster->world, "%s: %s", n->name, line);
}

/* A file made for writing tells when a snapshot is being taken or received: its name has the
 * index. */
static void disk_created_cb(void *context, const char *path)
{
    struct cluster_node *n = context;
    struct cluster *c = n->cluster;
    const char *name = strstr(path, "snapshot-");
    if (name == NULL || strstr(path, ".part") == NULL || n->node == NULL ||
        node_store(n->node) == NULL) {
        return;
    }
    uint64_t index = strtoull(name + strlen("snapshot-"), NULL, 10);
    bool is_install = index > store_applied_index(node_store(n->node));
    c->installs += is_install;
    c->takes += !is_install;
    world_trace(&c->world, "%s begins to %s snapshot %" PRIu64, n->name,
                is_install ? "receive" : "take", index);
    if (c->moment != NULL) {
        c->moment(c->context, is_install ? MOMENT_INSTALL : MOMENT_TAKE, n->host.number);
    }
}

void cluster_init(struct cluster *c, const struct cluster_options *options)
{
    *c = (struct cluster){.options = *options, .zookeeper = zk_settings_default};
    c->options.first = options->first != 0 ? options->first : options->nodes;
    c->zookeeper.timeout_ms_min = ZOOKEEPER_TIMEOUT_MS_MIN;
    c->zookeeper.timeout_ms_max = ZOOKEEPER_TIMEOUT_MS_MAX;
    c->zookeeper.linearizable_reads = options->linearizable_reads;
    world_init(&c->world, options->seed, options->trace);
    sim_net_init(&c->net, &c->world);
    for (uint32_t i = 0; i < options->nodes; i++) {
        struct cluster_node *n = &c->nodes[i];
        n->cluster = c;
        n->is_out = i >= c->options.first;
        sim_host_init(&n->host, &c->world, &c->net, i);
        n->host.disk.created = disk_created_cb;
        n->host.disk.context = n;
        sim_net_add(&c->net, &n->host);
        (void)snprintf(n->name, sizeof n->name, "n%u", i + 1);
        (void)snprintf(n->data_dir, sizeof n->data_dir, "data");
        n->log = (struct log){.level = options->trace ? LOG_DEBUG : LOG_INFO,
                              .sink = node_log_sink,
                              .context = n};
        (void)snprintf(c->members[i].name, sizeof c->members[i].name, "n%u", i + 1);
        (void)snprintf(c->members[i].host, sizeof c->members[i].host, "n%u", i + 1);
        c->members[i].port = PEER_PORT;
        for (uint32_t j = 0; j < options->nodes; j++) {
            cluster_link_init(c, i, j);
        }
    }
}

void cluster_close(struct cluster *c)
{
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        if (c->nodes[i].node != NULL) {
            cluster_crash(c, i, DEATH_KILL);
        }
        world_cancel(&c->world, &c->nodes[i].restart);
        world_cancel(&c->world, &c->nodes[i].event);
    }
    sim_net_close(&c->net);
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        sim_host_close(&c->nodes[i].host);
    }
    world_close(&c->world);
    mem_free(c->leaders);
    mem_free(c->digests);
    mem_free(c->reigns);
}

/* ---- checks after every turn ------------------------------------------------------------- */

static void check_leader(struct cluster *c, struct cluster_node *n, uint64_t term)
{
    if (term >= TERM_MAX) {
        world_fail(&c->world, "%s leads in term %" PRIu64 ": terms run away", n->name, term);
        return;
    }
    if (term >= c->leader_count) {
        size_t count = (size_t)term + 64;
        c->leaders = mem_resize(c->leaders, count * sizeof *c->leaders);
        memset(c->leaders + c->leader_count, 0, (count - c->leader_count) * sizeof *c->leaders);
        c->leader_count = count;
    }
    uint32_t *leader = &c->leaders[term];
    if (*leader != 0 && *leader != 1 + n->host.number) {
        world_fail(&c->world, "two leaders in term %" PRIu64 ": n%u and %s", term, *leader,
                   n->name);
    }
    *leader = 1 + n->host.number;
}

/* Of an entry that it may have let go of: then 0. */
static uint64_t term_of(const struct node *n, uint64_t index)
{
    const struct engine_entry *e =
        n->engine != NULL ? engine_log_find(&n->engine->entries, index) : NULL;
    return e != NULL ? e->term : 0;
}

static void check_applied(struct cluster *c, struct cluster_node *n)
{
    const struct store *s = node_store(n->node);
    if (s == NULL) {
        return; /* it waits for the others before it bootstraps */
    }
    uint64_t index = store_applied_index(s);
    uint64_t revision = store_revision(s);
    uint64_t digest = store_digest(s);
    if (index == n->applied_index) {
        return;
    }
    if (index < n->applied_index || revision < n->revision) {
        world_fail(&c->world,
                   "%s went back from index %" PRIu64 " revision %" PRIu64 " to %" PRIu64
                   ", %" PRIu64,
                   n->name, n->applied_index, n->revision, index, revision);
    }
    n->applied_index = index;
    n->revision = revision;
    PRE(index >= c->digest_base && index - c->digest_base < INDEX_MAX);
    size_t place = (size_t)(index - c->digest_base);
    if (place >= c->digest_count) {
        size_t count = place + 1024;
        c->digests = mem_resize(c->digests, count * sizeof *c->digests);
        memset(c->digests + c->digest_count, 0, (count - c->digest_count) * sizeof *c->digests);
        c->digest_count = count;
    }
    struct cluster_digest *known = &c->digests[place];
    if (known->is_known && (known->digest != digest || known->revision != revision)) {
        world_fail(&c->world,
                   "%s differs at applied index %" PRIu64 ": digest %016" PRIx64
                   " revision %" PRIu64 ", before %016" PRIx64 " revision %" PRIu64,
                   n->name, index, digest, revision, known->digest, known->revision);
    }
    uint64_t term = known->term != 0 ? known->term : term_of(n->node, index);
    *known = (struct cluster_digest){
        .digest = digest, .revision = revision, .term = term, .is_known = true};
    world_note(&c->world, NOTE_APPLIED, index << 8 | n->host.number, digest);
    if (c->applied != NULL) {
        c->applied(c->applied_context, n->host.number);
    }
}

static void reign_end(struct cluster *c, const struct cluster_node *n)
{
    for (size_t i = 0; i < c->reign_count; i++) {
        struct reign *r = &c->reigns[i];
        if (r->node == n->host.number && r->lost_us == UINT64_MAX) {
            r->lost_us = sim_host_age_us(&n->host);
        }
    }
}

static void reign_begin(struct cluster *c, const struct cluster_node *n)
{
    c->reigns = mem_resize(c->reigns, (c->reign_count + 1) * sizeof *c->reigns);
    c->reigns[c->reign_count++] = (struct reign){
        .node = n->host.number, .won_us = sim_host_age_us(&n->host), .lost_us = UINT64_MAX};
}

static void check_state(struct cluster *c, struct cluster_node *n)
{
    struct node_status status;
    if (!n->has_changed && node_term(n->node) == n->term) {
        return;
    }
    n->has_changed = false;
    node_status(n->node, &status);
    if (status.term < n->term) {
        world_fail(&c->world, "%s went back from term %" PRIu64 " to %" PRIu64, n->name,
                   n->term, status.term);
    }
    char state = status.state[0];
    if (strcmp(status.state, "removed") == 0) {
        if (!n->may_be_removed) {
            world_fail(&c->world, "%s was removed, and nobody asked for it", n->name);
        }
        n->is_out = true; /* ends in cluster_step */
    }
    bool is_new = status.term != n->term || state != n->state;
    n->term = status.term;
    n->state = state;
    if (state == 'l') {
        check_leader(c, n, status.term);
    }
    if (!is_new) {
        return;
    }
    reign_end(c, n);
    if (state == 'l') {
        reign_begin(c, n);
    }
    world_note(&c->world, NOTE_STATE, (uint64_t)n->host.number << 8 | (uint8_t)state,
               status.term);
    world_trace(&c->world, "%s is %s in term %" PRIu64, n->name, status.state, status.term);
    c->elections += state == 'l';
    if (c->moment != NULL && (state == 'l' || state == 'c')) {
        c->moment(c->context, state == 'l' ? MOMENT_LEADING : MOMENT_CANDIDATE, n->host.number);
    }
}

/* ---- turns ------------------------------------------------------------------------------- */

static void node_deadline_cb(void *context)
{
    struct cluster_node *n = context;
    cluster_wake(n->cluster, n->host.number);
}

static bool server_is_due(const struct cluster_node *n)
{
    uint64_t next = server_next_deadline_ms(n->server);
    return next != UINT64_MAX && next <= sim_host_now_us(&n->host) / MS;
}

/* What a node that had to stop completes reaches nobody. */
static void node_and_server_turn(struct cluster_node *n)
{
    server_read_on(n->server);
    node_turn(n->node);
    if (!n->has_fatal) {
        warden_turn(n->warden, n->process->env.now_ms(&n->process->env));
    }
    for (int i = 0; i < TURN_ROUNDS_MAX && !n->has_fatal && server_is_due(n); i++) {
        server_turn(n->server);
        node_turn(n->node);
    }
}

static uint64_t next_deadline_ms(const struct cluster_node *n)
{
    uint64_t node = node_next_deadline_ms(n->node);
    uint64_t server = server_next_deadline_ms(n->server);
    uint64_t warden = warden_next_deadline_ms(n->warden);
    uint64_t first = node < server ? node : server;
    return first < warden ? first : warden;
}

static void node_turn_cb(void *context)
{
    struct cluster_node *n = context;
    struct cluster *c = n->cluster;
    uint64_t pause = sim_host_pause_left(&n->host);
    if (pause > 0) {
        world_at(&c->world, &n->turn, pause, node_turn_cb, n);
        return;
    }
    node_and_server_turn(n);
    if (n->has_fatal) {
        return; /* ends in cluster_step */
    }
    check_applied(c, n);
    check_state(c, n);
    uint64_t deadline_ms = next_deadline_ms(n);
    uint64_t delay = deadline_ms >= UINT64_MAX / MS
                         ? SECOND
                         : sim_host_delay_until(&n->host, deadline_ms * MS);
    world_at(&c->world, &n->deadline, delay < 20 ? 20 : delay, node_deadline_cb, n);
}

void cluster_wake(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = &c->nodes[node];
    if (n->node != NULL && !world_is_due(&n->turn)) {
        /* A loop that is busy collects more before its turn than one that waits. */
        uint64_t delay = world_chance(&c->world, 900) ? world_random(&c->world, 1, 20)
                                                      : world_random(&c->world, 20, 500);
        world_at(&c->world, &n->turn, delay, node_turn_cb, n);
    }
}

static void process_wake(void *context)
{
    struct cluster_node *n = context;
    cluster_wake(n->cluster, n->host.number);
}

static void process_died(void *context)
{
    ((struct cluster_node *)context)->disk_died = true;
}

static void node_fatal_cb(void *context, enum status rc, const char *why)
{
    struct cluster_node *n = context;
    n->has_fatal = true;
    n->fatal_rc = rc;
    (void)snprintf(n->fatal_why, sizeof n->fatal_why, "%s", why);
    world_trace(&n->cluster->world, "%s stops: %s", n->name, why);
}

static void node_stopped(void *context)
{
    ((struct cluster_node *)context)->node_stopped = true;
}

static void server_stopped(void *context)
{
    ((struct cluster_node *)context)->server_stopped = true;
}

/* ---- start and end ----------------------------------------------------------------------- */

static enum status server_start(struct cluster_node *n, struct errmsg *err)
{
    n->planner =
        planner_new(&(struct planner_options){.env = &n->process->env, .node = n->node});
    n->warden = warden_new(&(struct warden_options){
        .env = &n->process->env, .node = n->node, .planner = n->planner, .log = &n->log});
    const struct server_options options = {
        .env = &n->process->env,
        .node = n->node,
        .log = &n->log,
        .planner = n->planner,
        .host = n->name,
        .port = CLUSTER_CLIENT_PORT,
        .fronts = {[SERVER_HTTP1] = &http_front,
                   [SERVER_HTTP2] = &grpc_front,
                   [SERVER_ZOOKEEPER] = &zookeeper_front},
        .settings = {[SERVER_ZOOKEEPER] = &n->cluster->zookeeper},
        .stop_ms = SERVER_STOP_LIMIT_MS,
    };
    return server_open(&options, &n->server, err);
}

enum status cluster_try_start(struct cluster *c, uint32_t node, struct errmsg *err)
{
    struct cluster_node *n = &c->nodes[node];
    PRE(n->node == NULL);
    sim_host_boot_clock(&n->host);
    n->host.paused_until_us = 0;
    n->process = sim_env_new(&n->host, process_wake, process_died, n);
    n->has_fatal = n->is_stopping = n->disk_died = false;
    n->node_stopped = n->server_stopped = false;
    n->is_expected_fatal = false;
    n->host.disk.failed_at_us = 0;
    n->applied_index = n->revision = n->term = 0;
    n->state = 0;
    n->has_changed = true;
    struct node_member others[CLUSTER_NODES_MAX];
    size_t other_count = 0;
    bool is_first = !n->joins && !n->is_alone;
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        if (i != node) {
            others[other_count++] = c->members[i];
        }
    }
    struct node_options o = {
        .env = &n->process->env,
        .log = &n->log,
        .data_dir = n->data_dir,
        .name = n->name,
        .peer_host = c->options.nodes > 1 ? n->name : NULL,
        .peer_port = PEER_PORT,
        .client_address = n->name,
        .members = is_first ? c->members : NULL,
        .member_count = c->options.nodes > 1 && is_first ? c->options.first : 0,
        .join = n->joins ? others : NULL,
        .join_count = n->joins ? other_count : 0,
        .learner = n->is_learner,
        .election_timeout_ms = c->options.election_timeout_ms,
        .heartbeat_ms = c->options.heartbeat_ms,
        .wal_segment_bytes = c->options.wal_segment_bytes,
        .snapshot_log_bytes =
            n->snapshot_log_bytes > 0 ? n->snapshot_log_bytes : c->options.snapshot_log_bytes,
        .trailing_log_bytes = c->options.trailing_log_bytes,
        .batch_bytes = c->options.batch_bytes,
        .forwarded_bytes_max = c->options.forwarded_bytes_max,
        .seed = (uint32_t)world_random(&c->world, 1, UINT32_MAX),
        .fatal = node_fatal_cb,
        .context = n,
    };
    world_note(&c->world, NOTE_START, node, n->boots);
    world_trace(&c->world, "%s starts", n->name);
    n->boots++;
    c->boots++;
    enum status rc = node_open(&o, &n->node, err);
    if (rc != RC_OK) {
        n->node = NULL;
        bool disk_died = n->host.disk.is_dead;
        c->deaths_in_open += disk_died;
        sim_env_kill(n->process, disk_died);
        uint32_t held = sim_env_free(n->process);
        n->process = NULL;
        if (held > 0) {
            world_fail(&c->world, "%s failed to open and left %u handles", n->name, held);
        }
        return rc;
    }
    n->disk_died = n->host.disk.is_dead;
    rc = server_start(n, err);
    if (rc != RC_OK) {
        world_fail(&c->world, "%s does not listen: %s", n->name, err->text);
    }
    if (node_is_leading(n->node)) {
        reign_begin(c, n); /* a member alone: its clock may jump before its first turn */
    }
    cluster_wake(c, node);
    return RC_OK;
}

bool cluster_start(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = &c->nodes[node];
    struct errmsg err = {0};
    bool was_armed = n->host.disk.die_after > 0;
    bool was_failing = n->host.disk.fail_after > 0 || n->host.disk.is_full;
    enum status rc = cluster_try_start(c, node, &err);
    if (rc == RC_OK) {
        return true;
    }
    world_trace(&c->world, "%s does not start: %s", n->name, err.text);
    if ((was_armed || was_failing) && rc != RC_CORRUPT) {
        n->host.disk.fail_after = 0;
        cluster_restart_in(c, node, world_random(&c->world, 20 * MS, 500 * MS));
    } else {
        world_fail(&c->world, "%s does not start: %s", n->name, err.text);
    }
    return false;
}

void cluster_start_all(struct cluster *c)
{
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        if (c->nodes[i].node == NULL && !c->nodes[i].is_refused && !c->nodes[i].is_out) {
            (void)cluster_start(c, i);
        }
    }
}

/* Lets go of a node whose process has been killed, or that has stopped. */
static void node_release(struct cluster *c, struct cluster_node *n)
{
    world_cancel(&c->world, &n->turn);
    world_cancel(&c->world, &n->deadline);
    reign_end(c, n);
    if (c->closing != NULL) {
        c->closing(c->closing_context, n->host.number);
    }
    server_close(n->server);
    warden_free(n->warden);
    planner_free(n->planner);
    node_close(n->node);
    n->warden = NULL;
    n->planner = NULL;
    n->server = NULL;
    n->node = NULL;
    uint32_t held = sim_env_free(n->process);
    n->process = NULL;
    if (held > 0) {
        world_fail(&c->world, "%s left %u files, queues, streams or listeners open", n->name,
                   held);
    }
}

void cluster_crash(struct cluster *c, uint32_t node, enum death how)
{
    struct cluster_node *n = &c->nodes[node];
    PRE(n->node != NULL);
    world_note(&c->world, NOTE_CRASH, node, how);
    world_trace(&c->world, "%s %s", n->name, how == DEATH_POWER ? "loses power" : "is killed");
    sim_env_kill(n->process, how == DEATH_POWER);
    node_release(c, n);
}

static void node_restart_cb(void *context)
{
    struct cluster_node *n = context;
    if (n->node == NULL && !n->is_out) {
        (void)cluster_start(n->cluster, n->host.number);
    }
}

void cluster_lose_disk(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = &c->nodes[node];
    PRE(n->node == NULL);
    sim_disk_wipe(&n->host.disk);
    n->joins = true;
    n->is_alone = false;
    n->may_be_removed = false;
}

void cluster_reborn(struct cluster *c, uint64_t cluster_id, uint64_t index,
                    const struct cluster_digest *state)
{
    c->cluster_id = cluster_id;
    c->leader_count = 0;
    mem_free(c->leaders);
    c->leaders = NULL;
    mem_free(c->digests);
    c->digest_base = index;
    c->digest_count = 1;
    c->digests = mem_zalloc(sizeof *c->digests);
    c->digests[0] = *state;
}

void cluster_restart_in(struct cluster *c, uint32_t node, uint64_t delay_us)
{
    world_at(&c->world, &c->nodes[node].restart, delay_us, node_restart_cb, &c->nodes[node]);
}

void cluster_stop(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = &c->nodes[node];
    PRE(n->node != NULL && !n->is_stopping);
    world_trace(&c->world, "%s is asked to stop", n->name);
    n->is_stopping = true;
    server_stop(n->server, server_stopped, n);
    node_stop(n->node, node_stopped, n);
    cluster_wake(c, node);
}

/* ---- faults of the network and of time --------------------------------------------------- */

bool cluster_is_up(const struct cluster *c, uint32_t node)
{
    return c->nodes[node].node != NULL;
}

int cluster_leader(const struct cluster *c)
{
    int leader = -1;
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        const struct cluster_node *n = &c->nodes[i];
        if (n->node != NULL && n->state == 'l' &&
            (leader < 0 || n->term > c->nodes[leader].term)) {
            leader = (int)i;
        }
    }
    return leader;
}

bool cluster_is_equal(const struct cluster *c)
{
    uint64_t first = 0;
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        struct node_status s;
        if (c->nodes[i].is_out) {
            continue;
        }
        if (c->nodes[i].node == NULL) {
            return false;
        }
        node_status(c->nodes[i].node, &s);
        first = first == 0 ? s.applied_index : first;
        if (s.applied_index == 0 || s.applied_index != first || s.last_index != first) {
            return false;
        }
    }
    return true;
}

void cluster_cut(struct cluster *c, uint32_t from, uint32_t to, bool cut)
{
    c->net.links[from][to].is_cut = cut;
}

void cluster_isolate(struct cluster *c, uint32_t node, bool cut)
{
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        if (i != node) {
            cluster_cut(c, node, i, cut);
            cluster_cut(c, i, node, cut);
        }
    }
}

void cluster_heal_net(struct cluster *c)
{
    for (uint32_t i = 0; i < c->net.host_count; i++) {
        for (uint32_t j = 0; j < c->net.host_count; j++) {
            c->net.links[i][j].is_cut = false;
            c->net.links[i][j].extra_us = 0;
            c->net.links[i][j].corrupt = 0;
            c->net.links[i][j].break_after = 0;
        }
    }
}

void cluster_pause(struct cluster *c, uint32_t node, uint64_t us)
{
    c->nodes[node].host.paused_until_us = c->world.now_us + us;
}

/* ---- the loop ---------------------------------------------------------------------------- */

/* A node that had to stop is restarted on a disk that works again. */
static void node_ended(struct cluster *c, struct cluster_node *n)
{
    if (n->disk_died) {
        n->disk_died = false;
        c->deaths_in_job++;
        cluster_crash(c, n->host.number, DEATH_POWER);
    } else if (n->has_fatal) {
        /* As at every start, a log cannot be begun on a full disk: neither by one that joins, nor
         * by a single node at its switch to one of several. */
        bool begins = n->joins || node_grow_is_paused(n->node);
        bool is_full = begins && n->fatal_rc == RC_NO_SPACE;
        if (!n->is_expected_fatal && !is_full) {
            world_fail(&c->world, "%s stopped itself: %s", n->name, n->fatal_why);
        }
        bool power = world_chance(&c->world, 500);
        cluster_crash(c, n->host.number, power ? DEATH_POWER : DEATH_KILL);
    } else {
        world_trace(&c->world, "%s has stopped", n->name);
        node_release(c, n);
    }
    cluster_restart_in(c, n->host.number, world_random(&c->world, 20 * MS, 300 * MS));
}

/* A node may stop itself only after an injected failure of its disk; it must when that struck
 * the log, before it says anything more. */
static void check_failed_disk(struct cluster *c, struct cluster_node *n)
{
    struct sim_disk *d = &n->host.disk;
    if (d->failed_at_us == 0) {
        return;
    }
    uint64_t since =
        d->failed_at_us > n->host.paused_until_us ? d->failed_at_us : n->host.paused_until_us;
    c->disk_failures += !n->is_expected_fatal;
    n->is_expected_fatal = true;
    if (n->node == NULL || n->has_fatal || n->disk_died) {
        d->failed_at_us = 0;
    } else if (c->world.now_us > since + 200 * MS + 2 * d->slow_us) {
        d->failed_at_us = 0;
        n->is_expected_fatal = false;
        if (d->failed_in_log) {
            world_fail(&c->world, "%s goes on after a failed write of its log", n->name);
        }
    }
}

bool cluster_step(struct cluster *c)
{
    if (c->world.failed || !world_step(&c->world)) {
        return false;
    }
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        struct cluster_node *n = &c->nodes[i];
        check_failed_disk(c, n);
        /* Who joins opens its log when it is told to, not only when it starts. */
        n->disk_died = n->disk_died || (n->node != NULL && n->host.disk.is_dead);
        bool has_ended = n->has_fatal || n->disk_died || (n->node_stopped && n->server_stopped);
        if (n->node != NULL && has_ended) {
            node_ended(c, n);
        } else if (n->node != NULL && n->is_out) {
            cluster_crash(c, i, DEATH_KILL); /* it has said that it is no member any more */
        }
    }
    sim_net_reap(&c->net);
    return !c->world.failed;
}

void cluster_run(struct cluster *c, uint64_t us)
{
    uint64_t end = c->world.now_us + us;
    while (c->world.now_us < end && !c->world.failed) {
        const struct heap_node *next = heap_peek(&c->world.events);
        if (next == NULL || next->key > end) {
            c->world.now_us = end;
            break;
        }
        (void)cluster_step(c);
    }
}

bool cluster_run_until(struct cluster *c, uint64_t limit_us,
                       bool (*is_true)(struct cluster *c, void *context), void *context)
{
    uint64_t end = c->world.now_us + limit_us;
    while (!c->world.failed) {
        if (is_true(c, context)) {
            return true;
        }
        if (c->world.now_us >= end || !cluster_step(c)) {
            break;
        }
    }
    return false;
}
