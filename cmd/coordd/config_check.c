/* Whether all settings together make sense, and what follows from them for those not given. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/coordd/config_internal.h"

static bool is_loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, a, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, a, sizeof v6);
    return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

/* Three files that belong together. `prefix` is that of the settings: "tls" or "peer-tls". */
static enum status check_files(const struct config_tls *tls, const char *prefix, bool needs_ca,
                               struct errmsg *err)
{
    bool has_certificate = tls->certificate[0] != '\0';
    bool has_key = tls->key[0] != '\0';
    if (has_certificate != has_key) {
        return errmsg_set(err, RC_INVALID, "--%s-%s is given, and --%s-%s is missing", prefix,
                          has_certificate ? "cert" : "key", prefix,
                          has_certificate ? "key" : "cert");
    }
    if (!has_certificate && tls->ca[0] != '\0') {
        return errmsg_set(err, RC_INVALID, "--%s-ca is given, and --%s-cert is missing", prefix,
                          prefix);
    }
    if (has_certificate && needs_ca && tls->ca[0] == '\0') {
        return errmsg_set(err, RC_INVALID,
                          "--%s-ca is missing: it says whose certificates are right", prefix);
    }
    return RC_OK;
}

static enum status check_tls(struct config *c, struct errmsg *err)
{
    bool verifies = c->tls_client_auth != TLS_VERIFY_NONE;
    enum status rc = check_files(&c->tls, "tls", verifies, err);
    if (rc == RC_OK) {
        rc = check_files(&c->peer_tls, "peer-tls", true, err);
    }
    if (rc == RC_OK && verifies && !config_has_tls(&c->tls)) {
        rc = errmsg_set(err, RC_INVALID, "--tls-client-auth is given, and --tls-cert is missing");
    }
    if (rc == RC_OK && !config_has_tls(&c->peer_tls) && c->tls.ca[0] != '\0') {
        c->peer_tls = c->tls;
    }
    return rc;
}

/* Without TLS whoever can reach the port, or what lies between, can read and write everything. */
static enum status check_exposure(const struct config *c, const char *setting,
                                  const struct config_address *a, bool has_tls,
                                  struct errmsg *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(a->host, NULL, &hints, &found);
    if (rc != 0) {
        return errmsg_set(err, RC_INVALID, "--%s: cannot resolve '%.100s': %s", setting,
                          a->host, gai_strerror(rc));
    }
    bool loopback = true;
    for (const struct addrinfo *ai = found; ai != NULL; ai = ai->ai_next) {
        loopback = loopback && is_loopback(ai->ai_addr);
    }
    freeaddrinfo(found);
    if (loopback || has_tls || c->insecure) {
        return RC_OK;
    }
    char text[NODE_ADDRESS_BYTES_MAX];
    if (a == &c->dns_listen) {
        return errmsg_set(err, RC_INVALID,
                          "--%s %.100s is reachable from other machines, and the DNS is not "
                          "encrypted: give --insecure if that is meant",
                          setting, config_address_text(a, text, sizeof text));
    }
    return errmsg_set(err, RC_INVALID,
                      "--%s %.100s is reachable from other machines, and there is no TLS: "
                      "give --%stls-cert, or --insecure if that is meant",
                      setting, config_address_text(a, text, sizeof text),
                      a == &c->peer_listen ? "peer-" : "");
}

static const struct node_member *own_entry(const struct config *c)
{
    for (size_t i = 0; i < c->member_count; i++) {
        if (strcmp(c->members[i].name, c->name) == 0) {
            return &c->members[i];
        }
    }
    return NULL;
}

static enum status check_cluster(struct config *c, struct errmsg *err)
{
    const struct node_member *own = own_entry(c);
    if (c->member_count > 0 && own == NULL) {
        return errmsg_set(err, RC_INVALID,
                          "--name '%s' is not among the members of "
                          "--initial-cluster",
                          c->name);
    }
    if (c->member_count > 1 && c->peer_listen.host[0] == '\0') {
        memcpy(c->peer_listen.host, own->host, sizeof own->host);
        c->peer_listen.port = own->port;
    }
    if (c->peer_listen.host[0] != '\0' && c->peer_listen.port == c->listen.port &&
        strcmp(c->peer_listen.host, c->listen.host) == 0) {
        return errmsg_set(err, RC_INVALID,
                          "clients and peers cannot share port %" PRIu16
                          " (--listen, --peer-listen)",
                          c->listen.port);
    }
    return RC_OK;
}

static bool is_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static enum status check_join(const struct config *c, struct errmsg *err)
{
    if (c->join_count == 0) {
        return c->learner ? errmsg_set(err, RC_INVALID, "--learner makes sense only with --join")
                          : RC_OK;
    }
    if (c->member_count > 0) {
        return errmsg_set(err, RC_INVALID,
                          "--join and --initial-cluster exclude each other: a node joins a "
                          "running cluster, or is one of the first members of a new one");
    }
    if (c->peer_listen.host[0] == '\0') {
        return errmsg_set(err, RC_INVALID, "--join needs --peer-listen");
    }
    if (c->peer_address.host[0] == '\0' &&
        (is_wildcard(c->peer_listen.host) || c->peer_listen.port == 0)) {
        return errmsg_set(err, RC_INVALID,
                          "--join needs --peer-address, as members cannot reach this one at "
                          "--peer-listen");
    }
    return RC_OK;
}

static enum status check_times(const struct config *c, struct errmsg *err)
{
    if (c->heartbeat_ms * 2 > c->election_timeout_ms) {
        return errmsg_set(err, RC_INVALID,
                          "--heartbeat-ms %" PRIu64 " must be at most half of "
                          "--election-timeout-ms %" PRIu64,
                          c->heartbeat_ms, c->election_timeout_ms);
    }
    if (c->zookeeper_timeout_min_ms > c->zookeeper_timeout_max_ms) {
        return errmsg_set(err, RC_INVALID,
                          "--zookeeper-timeout-min-ms %" PRIu64 " is above "
                          "--zookeeper-timeout-max-ms %" PRIu64,
                          c->zookeeper_timeout_min_ms, c->zookeeper_timeout_max_ms);
    }
    return RC_OK;
}

static enum status check_backup(const struct config *c, struct errmsg *err)
{
    if (c->archive_dir[0] != '\0' && c->backup_dir[0] == '\0') {
        return errmsg_set(err, RC_INVALID,
                          "--archive-dir needs --backup-dir: a log is only of use behind a backup");
    }
    if (c->backup_interval_ms > UINT64_C(30) * 86400000) {
        return errmsg_set(err, RC_INVALID, "--backup-interval is more than 30d");
    }
    return RC_OK;
}

/* Nobody reaches a node at "all addresses": then its host in --initial-cluster, which the others
 * use too, is the best guess, and after that the machine's name. */
static void choose_client_address(struct config *c)
{
    const struct node_member *own = own_entry(c);
    if (c->client_address.host[0] != '\0') {
        return;
    }
    c->client_address = c->listen;
    if (!is_wildcard(c->listen.host)) {
        return;
    }
    if (own != NULL && !is_wildcard(own->host)) {
        memcpy(c->client_address.host, own->host, sizeof own->host);
        return;
    }
    char host[sizeof c->client_address.host];
    if (gethostname(host, sizeof host - 1) == 0) {
        host[sizeof host - 1] = '\0';
        memcpy(c->client_address.host, host, sizeof host);
    }
}

enum status config_check(struct config *c, struct errmsg *err)
{
    enum status rc = check_cluster(c, err);
    if (rc == RC_OK) {
        rc = check_join(c, err);
    }
    if (rc == RC_OK) {
        rc = check_times(c, err);
    }
    if (rc == RC_OK) {
        rc = check_backup(c, err);
    }
    if (rc == RC_OK) {
        rc = check_tls(c, err);
    }
    if (rc == RC_OK) {
        rc = check_exposure(c, "listen", &c->listen, config_has_tls(&c->tls), err);
    }
    if (rc == RC_OK && c->peer_listen.host[0] != '\0') {
        rc = check_exposure(c, "peer-listen", &c->peer_listen, config_has_tls(&c->peer_tls),
                            err);
    }
    if (rc == RC_OK && c->dns_listen.host[0] != '\0') {
        rc = check_exposure(c, "dns-listen", &c->dns_listen, false, err);
    }
    choose_client_address(c);
    return rc;
}
