/* One loop owns everything. A turn of it: what I/O callbacks and front ends brought goes into the
 * node, the node works and completes, the server writes the answers out.
 *
 *   LOADING -signal-> exit 0 at once: nobody was answered yet
 *   RUNNING -signal-> STOPPING -(server and node have stopped)-> the loop ends, exit 0
 *   RUNNING, STOPPING -(the node had to stop)-> the loop ends, exit 1
 *   STOPPING -signal-> exit 1 at once
 *   SIGHUP: certificates are read again, nothing else
 *
 * To add a protocol: its front in the list of open_server.
 */
#include "cmd/coordd/wire.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/env_uv.h"
#include "base/log_guard.h"
#include "base/metrics.h"
#include "base/version.h"
#include "cmd/coordd/copies.h"
#include "cmd/coordd/disk_space.h"
#include "cmd/coordd/dns.h"
#include "cmd/coordd/loop.h"
#include "cmd/coordd/tls.h"
#include "net/audit/audit.h"
#include "net/checks/checker.h"
#include "net/checks/vitals.h"
#include "net/grpc/front.h"
#include "net/guest.h"
#include "net/http/http.h"
#include "net/server.h"
#include "net/shards/warden.h"
#include "net/zookeeper/front.h"
#include "raft/node.h"

/* Rounds of node and server in one turn before I/O gets its turn again: so many, and none begins
 * after this time. */
#define TURN_ROUNDS_MAX  8
#define TURN_ROUNDS_US   ((uint64_t)2000)
#define LOCK_PATIENCE_MS 1000
/* When nothing is left to be answered, for clients that are slow to read it. */
#define LAST_BYTES_MS 1000
/* Open files that are not for clients. */
#define FILES_KEPT 256

struct daemon {
    const struct config *config;
    struct log log; /* its sink is the guard */
    struct log_guard log_guard;
    struct loop *loop;
    struct env *env;
    struct metrics *metrics;
    struct disk_space *space;
    struct tls_ports tls;
    struct node *node;
    struct copies *copies;
    struct audit *audit; /* NULL: off */
    struct server *server;
    struct dns *dns; /* NULL: there is none */
    struct vitals *vitals;
    struct checker *checker; /* NULL: nothing is checked */
    struct planner *planner; /* of shard maps */
    struct warden *warden;
    struct zk_settings zookeeper;
    bool is_stopping;
    bool server_stopped;
    bool node_stopped;
    bool has_failed;
    bool has_lookups; /* that nobody can stop: the process leaves them behind */
    bool has_sent_away; /* clients, since the node must not serve any more */
};

/* ---- turns ------------------------------------------------------------------------------- */

static bool server_is_due(const struct daemon *d)
{
    uint64_t next = server_next_deadline_ms(d->server);
    return next != UINT64_MAX && next <= d->env->now_ms(d->env);
}

/* Front ends may submit while they write (a client's queue drained, its next requests are read), so
 * the node comes last. What a failed node completes must not reach anybody. */
static void on_turn(void *context)
{
    struct daemon *d = context;
    if (d->has_failed) {
        return;
    }
    uint64_t end_us = d->env->now_us(d->env) + TURN_ROUNDS_US;
    tls_ports_turn(&d->tls);
    vitals_turn(d->vitals, d->env->now_ms(d->env)); /* what it sends goes with the node's turn */
    server_read_on(d->server);
    node_put_off_notices(d->node, server_is_due(d)); /* then a turn follows below */
    node_turn(d->node);
    node_put_off_notices(d->node, false);
    if (!d->has_sent_away && !d->has_failed && node_has_refused(d->node)) {
        d->has_sent_away = true;
        server_send_away(d->server);
    }
    for (int i = 0; i < TURN_ROUNDS_MAX && !d->has_failed && server_is_due(d); i++) {
        server_turn(d->server);
        node_turn(d->node);
        if (d->env->now_us(d->env) >= end_us) {
            break;
        }
    }
    copies_turn(d->copies, d->env->now_ms(d->env));
    audit_turn(d->audit, d->env->now_ms(d->env));
    dns_turn(d->dns, d->env->now_ms(d->env));
    checker_turn(d->checker, d->env->now_ms(d->env));
    warden_turn(d->warden, d->env->now_ms(d->env));
    log_guard_turn(&d->log_guard, 0);
}

static uint64_t next_deadline_ms(void *context)
{
    struct daemon *d = context;
    uint64_t node = node_next_deadline_ms(d->node);
    uint64_t server = server_next_deadline_ms(d->server);
    uint64_t copies = copies_next_deadline_ms(d->copies);
    uint64_t tls = tls_ports_next_deadline_ms(&d->tls);
    uint64_t audit = audit_next_deadline_ms(d->audit);
    uint64_t first = node < server ? node : server;
    uint64_t second = copies < tls ? copies : tls;
    second = audit < second ? audit : second;
    uint64_t dns = dns_next_deadline_ms(d->dns);
    second = dns < second ? dns : second;
    uint64_t checker = checker_next_deadline_ms(d->checker);
    second = checker < second ? checker : second;
    uint64_t vitals = vitals_next_deadline_ms(d->vitals);
    second = vitals < second ? vitals : second;
    uint64_t warden = warden_next_deadline_ms(d->warden);
    second = warden < second ? warden : second;
    return first < second ? first : second;
}

/* ---- the end ----------------------------------------------------------------------------- */

static void end_if_stopped(struct daemon *d)
{
    if (d->server_stopped && d->node_stopped) {
        loop_end(d->loop);
    }
}

static void on_server_stopped(void *context)
{
    struct daemon *d = context;
    d->server_stopped = true;
    end_if_stopped(d);
}

static void on_node_stopped(void *context)
{
    struct daemon *d = context;
    d->node_stopped = true;
    server_stop_within(d->server, LAST_BYTES_MS);
    end_if_stopped(d);
}

static void on_fatal(void *context, enum status rc, const char *why)
{
    struct daemon *d = context;
    log_error(&d->log, "daemon.failed", "status=\"%s\" reason=\"%s\"", status_text(rc), why);
    d->has_failed = true;
    loop_end(d->loop);
}

static void on_signal(void *context, int number)
{
    struct daemon *d = context;
    if (number == SIGHUP) {
        log_info(&d->log, "daemon.reload", "signal=%d", number);
        tls_ports_reload(&d->tls);
        return;
    }
    if (d->is_stopping || d->has_failed) {
        log_warn(&d->log, "daemon.killed", "signal=%d", number);
        _exit(1);
    }
    d->is_stopping = true;
    log_info(&d->log, "daemon.stopping", "signal=%d connections=%zu", number,
             server_connections(d->server));
    server_stop(d->server, on_server_stopped, d);
    node_stop(d->node, on_node_stopped, d);
}

/* ---- the start --------------------------------------------------------------------------- */

/* A process that was just killed may hold the data dir for another moment; whoever restarts it at
 * once should not have to know. */
static enum status open_node_patiently(struct daemon *d, const struct node_options *options,
                                       struct errmsg *err)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    uint64_t give_up_ms = d->env->now_ms(d->env) + LOCK_PATIENCE_MS;
    enum status rc = node_open(options, &d->node, err);
    while (rc == RC_LOCKED && d->env->now_ms(d->env) < give_up_ms) {
        nanosleep(&pause, NULL);
        rc = node_open(options, &d->node, err);
    }
    return rc;
}

static enum status open_node(struct daemon *d, struct errmsg *err)
{
    const struct config *c = d->config;
    char client_address[NODE_ADDRESS_BYTES_MAX];
    const struct node_options options = {
        .env = d->env,
        .peer_env = tls_ports_peer_env(&d->tls),
        .log = &d->log,
        .metrics = d->metrics,
        .data_dir = c->data_dir,
        .name = c->name,
        .peer_host = c->peer_listen.host[0] != '\0' ? c->peer_listen.host : NULL,
        .peer_port = c->peer_listen.port,
        .client_address =
            config_address_text(&c->client_address, client_address, sizeof client_address),
        .members = c->members,
        .member_count = c->member_count,
        .join = c->join,
        .join_count = c->join_count,
        .learner = c->learner,
        .peer_address_host = c->peer_address.host[0] != '\0' ? c->peer_address.host : NULL,
        .peer_address_port = c->peer_address.port,
        .election_timeout_ms = (uint32_t)c->election_timeout_ms,
        .heartbeat_ms = (uint32_t)c->heartbeat_ms,
        .wal_segment_bytes = c->wal_segment_bytes,
        .snapshot_log_bytes = c->snapshot_log_bytes,
        .trailing_log_bytes = c->trailing_log_bytes,
        .batch_bytes = c->batch_bytes,
        .fatal = on_fatal,
        .context = d,
    };
    return open_node_patiently(d, &options, err);
}

static void set_zookeeper(struct zk_settings *s, const struct config *c)
{
    *s = (struct zk_settings){.timeout_ms_min = (uint32_t)c->zookeeper_timeout_min_ms,
                              .timeout_ms_max = (uint32_t)c->zookeeper_timeout_max_ms,
                              .words = c->zookeeper_words,
                              .linearizable_reads = c->zookeeper_linearizable,
                              .client_port = c->listen.port};
    snprintf(s->data_dir, sizeof s->data_dir, "%s", c->data_dir);
}

static void open_audit(struct daemon *d)
{
    const struct config *c = d->config;
    char path[CONFIG_PATH_BYTES_MAX + 32];
    d->audit = audit_new(&(struct audit_options){.env = d->env,
                                                 .log = &d->log,
                                                 .metrics = d->metrics,
                                                 .node = c->name,
                                                 .path = config_audit_path(c, path, sizeof path),
                                                 .level = c->audit,
                                                 .file_bytes_max = c->audit_size,
                                                 .files_kept = c->audit_keep});
}

/* Log, snapshots and peers need files too: a member that cannot open one at the wrong moment stops
 * itself, which clients must not bring about. */
static uint32_t connections_max(struct daemon *d)
{
    uint64_t wanted = d->config->connections_max;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) {
        return (uint32_t)wanted;
    }
    uint64_t kept = files.rlim_cur > 2 * FILES_KEPT ? FILES_KEPT : files.rlim_cur / 2;
    uint64_t most = files.rlim_cur - kept;
    if (wanted <= most) {
        return (uint32_t)wanted;
    }
    log_warn(&d->log, "daemon.connections_bounded",
             "connections_max=%" PRIu64 " instead_of=%" PRIu64 " open_files=%" PRIu64, most, wanted,
             (uint64_t)files.rlim_cur);
    return (uint32_t)most;
}

static enum status open_server(struct daemon *d, struct errmsg *err)
{
    const struct config *c = d->config;
    set_zookeeper(&d->zookeeper, c);
    const struct server_options options = {
        .env = tls_ports_client_env(&d->tls),
        .speaks_tls = config_has_tls(&c->tls),
        .plain = c->tls_plaintext,
        .node = d->node,
        .log = &d->log,
        .metrics = d->metrics,
        .host = c->listen.host,
        .port = c->listen.port,
        .super_digest = c->super_digest,
        .audit = d->audit,
        .vitals = d->vitals,
        .planner = d->planner,
        .fronts = {[SERVER_HTTP1] = &http_front,
                   [SERVER_HTTP2] = &grpc_front,
                   [SERVER_GUEST] = &guest_front,
                   [SERVER_ZOOKEEPER] = c->zookeeper ? &zookeeper_front : NULL},
        .settings = {[SERVER_ZOOKEEPER] = &d->zookeeper},
        .connections_max = connections_max(d),
        .limits = {.requests_max = (uint32_t)c->requests_max,
                   .idle_timeout_ms = c->idle_timeout_ms},
    };
    enum status rc = server_open(&options, &d->server, err);
    return rc == RC_OK ? RC_OK : errmsg_wrap(err, "listen to clients");
}

static enum status open_dns(struct daemon *d, struct errmsg *err)
{
    const struct config *c = d->config;
    return dns_open(&(struct dns_options){.loop = loop_uv(d->loop),
                                          .env = d->env,
                                          .node = d->node,
                                          .log = &d->log,
                                          .metrics = d->metrics,
                                          .host = c->dns_listen.host,
                                          .port = c->dns_listen.port,
                                          .ttl_s = (uint32_t)c->dns_ttl_s,
                                          .bound_ms = c->dns_bound_ms},
                    &d->dns, err);
}

/* coordctl lies beside coordd: `build/coordd` is answered with `build/coordctl`. */
static void print_greeting(const struct daemon *d, const char *program)
{
    const struct config *c = d->config;
    const char *slash = strrchr(program, '/');
    int folder = slash != NULL ? (int)(slash - program + 1) : 0;
    struct config_address reached = c->listen;
    if (strcmp(reached.host, "0.0.0.0") == 0 || strcmp(reached.host, "::") == 0) {
        reached = c->client_address;
    }
    char address[NODE_ADDRESS_BYTES_MAX];
    config_address_text(&reached, address, sizeof address);
    bool has_tls = config_has_tls(&c->tls);
    char flag[NODE_ADDRESS_BYTES_MAX + 48] = "";
    if (has_tls) {
        snprintf(flag, sizeof flag, " --endpoints coords://%s --cacert CA.pem", address);
    } else if (strcmp(address, "127.0.0.1:7400") != 0) {
        snprintf(flag, sizeof flag, " --endpoints %s", address);
    }
    printf("coordd %s: %s, %s, data in %s, clients at %s\n", version_text(), c->name,
           c->join_count > 0 || c->member_count > 1 ? "one of a cluster" : "a single node",
           c->data_dir, address);
    printf("  %.*scoordctl%s status\n", folder, program, flag);
    printf("  %.*scoordctl%s create /a hello\n", folder, program, flag);
    printf("  %.*scoordctl%s get /a\n", folder, program, flag);
    printf("  curl %s%s/metrics\n", has_tls ? "--cacert CA.pem https://" : "http://",
           address);
    printf("Ctrl-C stops it.\n");
    (void)fflush(stdout);
}

static void close_all(struct daemon *d)
{
    dns_free(d->dns);
    checker_free(d->checker);
    if (d->server != NULL) {
        server_close(d->server);
    }
    vitals_free(d->vitals);
    warden_free(d->warden);
    planner_free(d->planner);
    audit_free(d->audit);
    copies_free(d->copies);
    if (d->node != NULL) {
        node_close(d->node);
    }
    if (d->space != NULL) {
        disk_space_free(d->space);
    }
    tls_ports_close(&d->tls);
    d->has_lookups = env_uv_close(d->env) > 0;
    if (!d->has_lookups) {
        env_uv_free(d->env);
        loop_free(d->loop);
    }
    log_guard_turn(&d->log_guard, 1);
    d->log_guard.left_out = NULL;
    metrics_free(d->metrics);
}

/* The guard lives longer than the env. */
static uint64_t guard_now_ms(void *context)
{
    (void)context;
    return uv_hrtime() / 1000000;
}

int wire_run(const struct config *config, const char *program)
{
    struct daemon d = {
        .config = config,
        .log_guard = {.behind = {.level = config->log_level, .sink = log_stderr_sink},
                      .now_ms = guard_now_ms,
                      .mutex = PTHREAD_MUTEX_INITIALIZER},
    };
    struct errmsg err = {0};
    d.log = (struct log){
        .level = config->log_level, .sink = log_guard_sink, .context = &d.log_guard};
    d.loop = loop_new(on_signal, &d);
    d.env = env_uv_new(loop_uv(d.loop), &d.log);
    d.metrics = metrics_new();
    d.log_guard.left_out =
        metrics_counter(d.metrics, "coord_log_left_out_total", NULL,
                        "Log lines left out, as there were too many of the same event.");
    enum status opened = tls_ports_open(&d.tls, config, d.env, &d.log, d.metrics, &err);
    if (opened == RC_OK) {
        opened = open_node(&d, &err);
    }
    loop_is_ready(d.loop);
    if (opened == RC_OK) {
        open_audit(&d);
        d.vitals = vitals_new(&(struct vitals_options){
            .env = d.env, .node = d.node, .metrics = d.metrics});
        d.planner = planner_new(&(struct planner_options){
            .env = d.env, .node = d.node, .metrics = d.metrics});
        d.warden = warden_new(&(struct warden_options){.env = d.env,
                                                       .node = d.node,
                                                       .planner = d.planner,
                                                       .log = &d.log,
                                                       .metrics = d.metrics});
        opened = open_server(&d, &err);
    }
    if (opened == RC_OK && config->dns_listen.host[0] != '\0') {
        opened = open_dns(&d, &err);
    }
    if (opened == RC_OK) {
        d.space = disk_space_new(loop_uv(d.loop), config->data_dir, d.metrics);
        d.copies = copies_new(&(struct copies_options){.env = d.env,
                                                       .log = &d.log,
                                                       .metrics = d.metrics,
                                                       .node = d.node,
                                                       .config = config});
        if (!config->no_health_checks) {
            d.checker = checker_new(&(struct checker_options){
                .env = d.env,
                .node = d.node,
                .log = &d.log,
                .metrics = d.metrics,
                .vitals = d.vitals});
        }
        env_uv_on_turn(d.env, on_turn, next_deadline_ms, &d);
        env_uv_measure_turns(d.env, d.metrics);
        log_info(&d.log, "daemon.start", "version=%s name=%s pid=%d listen=%s:%" PRIu16,
                 version_text(), config->name, (int)getpid(), config->listen.host,
                 config->listen.port);
        print_greeting(&d, program);
        loop_run(d.loop);
    } else {
        fprintf(stderr, "coordd: %s\n", err.text);
        d.has_failed = true;
    }
    close_all(&d);
    if (!d.has_failed) {
        log_info(&d.log, "daemon.stopped", "name=%s", config->name);
    }
    if (d.has_lookups) {
        (void)fflush(NULL);
        _exit(d.has_failed ? 1 : 0);
    }
    return d.has_failed ? 1 : 0;
}
