/* The settings of coordd.
 *
 * One table in config.c says all there is to know about each: its flag, what it takes, its default
 * and its help. From that follow the COORD_* variable, the key in the config file and the line in
 * --help. Where several of them give a value, the order is flag, environment, file, default.
 */
#ifndef COORDD_CONFIG_H
#define COORDD_CONFIG_H

#include <stdio.h>

#include "base/log.h"
#include "base/status.h"
#include "base/tls.h"
#include "net/audit/audit.h"
#include "net/server.h"
#include "raft/node.h"

#define CONFIG_PATH_BYTES_MAX   2048
#define CONFIG_DIGEST_BYTES_MAX 256

struct config_address {
    char host[256]; /* "" = not given */
    uint16_t port;
};

/* Files; all "" = no TLS. */
struct config_tls {
    char certificate[CONFIG_PATH_BYTES_MAX];
    char key[CONFIG_PATH_BYTES_MAX];
    char ca[CONFIG_PATH_BYTES_MAX];
};

struct config {
    char name[NODE_NAME_BYTES_MAX];
    char data_dir[CONFIG_PATH_BYTES_MAX];
    char file[CONFIG_PATH_BYTES_MAX]; /* "" = none */
    struct config_address listen;
    struct config_address peer_listen;
    struct config_address client_address; /* what other members tell clients */
    struct node_member members[NODE_MEMBERS_MAX];
    size_t member_count; /* 0 = a single node */
    struct node_member join[NODE_MEMBERS_MAX]; /* without names */
    size_t join_count;
    bool learner;
    struct config_address peer_address; /* of the one that joins, as others shall know it */
    enum log_level log_level;
    bool insecure;
    struct config_tls tls;      /* of the client port */
    struct config_tls peer_tls; /* of the peer port; as tls, if not given and that can do it */
    enum tls_verify tls_client_auth;
    enum server_plain tls_plaintext; /* what the client port takes besides TLS */
    uint64_t election_timeout_ms;
    uint64_t heartbeat_ms;
    uint64_t snapshot_log_bytes;
    uint64_t trailing_log_bytes;
    uint64_t wal_segment_bytes;
    uint64_t batch_bytes;
    uint64_t connections_max;
    uint64_t requests_max;
    uint64_t idle_timeout_ms;
    char backup_dir[CONFIG_PATH_BYTES_MAX]; /* "" = none */
    char archive_dir[CONFIG_PATH_BYTES_MAX];
    uint64_t backup_interval_ms;
    uint64_t backup_keep;        /* 0 = any number */
    uint64_t backup_keep_for_ms; /* 0 = for ever */
    enum audit_level audit;
    char audit_file[CONFIG_PATH_BYTES_MAX]; /* "" = below the data dir */
    uint64_t audit_size;
    uint64_t audit_keep;
    bool no_health_checks;
    struct config_address dns_listen; /* host "" = there is none */
    uint64_t dns_ttl_s;
    uint64_t dns_bound_ms;
    char super_digest[CONFIG_DIGEST_BYTES_MAX]; /* "" = nobody */
    bool zookeeper; /* ZooKeeper clients are served */
    bool zookeeper_linearizable;
    uint32_t zookeeper_words; /* net/zookeeper/front.h */
    uint64_t zookeeper_timeout_min_ms;
    uint64_t zookeeper_timeout_max_ms;
    bool help;    /* asked for: nothing else was looked at */
    bool version; /* likewise */
};

/* Reads flags, environment (through `get_env`, shaped like getenv) and the config file, fills in
 * the defaults and checks that the whole makes sense. Resolves the hosts to listen on, which may
 * block. RC_INVALID with one line that names the setting. */
enum status config_load(int argc, char **argv, char *(*get_env)(const char *name),
                        struct config *out, struct errmsg *err) MUST_USE;

static inline bool config_has_tls(const struct config_tls *tls)
{
    return tls->certificate[0] != '\0';
}

void config_print_help(FILE *to);

/* The file of the audit log. Returns `text`. */
const char *config_audit_path(const struct config *c, char *text, size_t bytes);

/* "host:port", with brackets around an IPv6 literal. Returns `text`. */
const char *config_address_text(const struct config_address *a, char *text, size_t bytes);

#endif
