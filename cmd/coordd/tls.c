#include "cmd/coordd/tls.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* Who offers both, a browser or Prometheus, wants pages. Clients of gRPC offer h2 alone. */
#define CLIENT_PROTOCOLS "http/1.1,h2"

/* ---- certificates ------------------------------------------------------------------------ */

static void print_time(int64_t seconds, char *text, size_t bytes)
{
    struct tm utc;
    time_t time = (time_t)seconds;
    if (gmtime_r(&time, &utc) == NULL ||
        strftime(text, bytes, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        (void)snprintf(text, bytes, "unknown");
    }
}

static void log_loaded(const struct tls_ports *t, const struct tls_port *p)
{
    char expires[32];
    char subject[300];
    print_time(tls_context_expiry(p->context), expires, sizeof expires);
    log_info(t->log, "tls.loaded", "use=%s subject=%s expires=%s", p->use,
             log_quote(subject, sizeof subject, tls_context_subject(p->context)), expires);
    metric_set(p->expiry, tls_context_expiry(p->context));
}

/* A certificate that ends soon, or has ended, is told once a day. */
static void warn_of_expiry(const struct tls_ports *t, struct tls_port *p)
{
    int64_t expiry_ms = tls_context_expiry(p->context) * 1000;
    int64_t wall_ms = (int64_t)t->env->wall_ms(t->env);
    uint64_t now_ms = t->env->now_ms(t->env);
    bool is_close = wall_ms + (int64_t)TLS_EXPIRY_WARN_MS > expiry_ms;
    if (!is_close || (p->was_told && now_ms - p->told_ms < TLS_EXPIRY_TOLD_MS)) {
        return;
    }
    char expires[32];
    p->was_told = true;
    p->told_ms = now_ms;
    print_time(expiry_ms / 1000, expires, sizeof expires);
    log_warn(t->log, wall_ms < expiry_ms ? "tls.expires_soon" : "tls.expired",
             "use=%s expires=%s", p->use, expires);
}

static void port_reload(const struct tls_ports *t, struct tls_port *p)
{
    struct errmsg err = {0};
    if (p->context == NULL) {
        return;
    }
    p->has_changed = false;
    if (tls_context_reload(p->context, &err) == RC_OK) {
        metric_add(p->reloads, 1);
        p->was_told = false;
        log_loaded(t, p);
        warn_of_expiry(t, p);
    } else {
        char reason[300];
        metric_add(p->failures, 1);
        log_error(t->log, "tls.reload_failed", "use=%s reason=%s", p->use,
                  log_quote(reason, sizeof reason, err.text));
    }
}

/* Returns when to look again. */
static uint64_t port_look(const struct tls_ports *t, struct tls_port *p)
{
    if (p->context == NULL) {
        return TLS_LOOK_MS;
    }
    warn_of_expiry(t, p);
    if (!tls_context_is_outdated(p->context)) {
        p->has_changed = false;
        return TLS_LOOK_MS;
    }
    if (p->has_changed) {
        port_reload(t, p);
        return TLS_LOOK_MS;
    }
    p->has_changed = true;
    return TLS_SETTLE_MS;
}

void tls_ports_reload(struct tls_ports *t)
{
    port_reload(t, &t->client);
    port_reload(t, &t->peer);
}

/* ---- turns ------------------------------------------------------------------------------- */

static bool has_tls(const struct tls_ports *t)
{
    return t->client.net != NULL || t->peer.net != NULL;
}

void tls_ports_turn(struct tls_ports *t)
{
    if (!has_tls(t)) {
        return;
    }
    uint64_t now_ms = t->env->now_ms(t->env);
    if (t->client.net != NULL) {
        tls_net_turn(t->client.net);
    }
    if (t->peer.net != NULL) {
        tls_net_turn(t->peer.net);
    }
    if (now_ms >= t->look_at_ms) {
        uint64_t client_ms = port_look(t, &t->client);
        uint64_t peer_ms = port_look(t, &t->peer);
        t->look_at_ms = now_ms + (client_ms < peer_ms ? client_ms : peer_ms);
    }
}

uint64_t tls_ports_next_deadline_ms(const struct tls_ports *t)
{
    if (!has_tls(t)) {
        return UINT64_MAX;
    }
    if ((t->client.net != NULL && tls_net_next_deadline_ms(t->client.net) == 0) ||
        (t->peer.net != NULL && tls_net_next_deadline_ms(t->peer.net) == 0)) {
        return 0;
    }
    return t->look_at_ms;
}

/* ---- life -------------------------------------------------------------------------------- */

static void port_register_metrics(struct tls_port *p, struct metrics *m)
{
    static const char *const reloads = "Times that the files of TLS were read again.";
    char labels[64];
    (void)snprintf(labels, sizeof labels, "use=\"%s\"", p->use);
    p->expiry = metrics_gauge(m, "coord_tls_certificate_expiry_seconds", labels,
                              "When the certificate in use, or one it rests on, expires: "
                              "seconds since 1970.");
    (void)snprintf(labels, sizeof labels, "use=\"%s\",result=\"done\"", p->use);
    p->reloads = metrics_counter(m, "coord_tls_reloads_total", labels, reloads);
    (void)snprintf(labels, sizeof labels, "use=\"%s\",result=\"failed\"", p->use);
    p->failures = metrics_counter(m, "coord_tls_reloads_total", labels, reloads);
}

static enum status port_open(struct tls_ports *t, struct tls_port *p, const char *use,
                             const struct tls_options *options, struct metrics *metrics,
                             struct errmsg *err)
{
    p->use = use;
    enum status rc = tls_context_open(options, &p->context, err);
    if (rc != RC_OK) {
        return errmsg_wrap(err, "TLS for %ss", use);
    }
    const struct tls_net_options net = {.env = t->env,
                                        .log = t->log,
                                        .metrics = metrics,
                                        .use = use,
                                        .context = p->context,
                                        .takes_plain = p == &t->client};
    p->net = tls_net_new(&net);
    port_register_metrics(p, metrics);
    log_loaded(t, p);
    warn_of_expiry(t, p);
    return RC_OK;
}

static struct tls_options options_of(const struct config_tls *files, enum tls_verify verify,
                                     const char *protocols)
{
    return (struct tls_options){.certificate_file = files->certificate,
                                .key_file = files->key,
                                .ca_file = files->ca[0] != '\0' ? files->ca : NULL,
                                .verify = verify,
                                .protocols = protocols};
}

enum status tls_ports_open(struct tls_ports *t, const struct config *config, struct env *env,
                           struct log *log, struct metrics *metrics, struct errmsg *err)
{
    *t = (struct tls_ports){.env = env, .log = log};
    t->look_at_ms = env->now_ms(env) + TLS_LOOK_MS;
    enum status rc = RC_OK;
    if (config_has_tls(&config->tls)) {
        struct tls_options options =
            options_of(&config->tls, config->tls_client_auth, CLIENT_PROTOCOLS);
        rc = port_open(t, &t->client, "client", &options, metrics, err);
    }
    if (rc == RC_OK && config_has_tls(&config->peer_tls)) {
        struct tls_options options = options_of(&config->peer_tls, TLS_VERIFY_REQUIRED, NULL);
        rc = port_open(t, &t->peer, "peer", &options, metrics, err);
    }
    return rc;
}

void tls_ports_close(struct tls_ports *t)
{
    struct tls_port *ports[] = {&t->client, &t->peer};
    for (size_t i = 0; i < 2; i++) {
        tls_net_free(ports[i]->net);
        tls_context_free(ports[i]->context);
    }
}

struct env *tls_ports_client_env(const struct tls_ports *t)
{
    return t->client.net != NULL ? tls_net_env(t->client.net) : t->env;
}

struct env *tls_ports_peer_env(const struct tls_ports *t)
{
    return t->peer.net != NULL ? tls_net_env(t->peer.net) : t->env;
}
