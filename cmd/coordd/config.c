#include "cmd/coordd/config.h"

#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "cmd/coordd/config_internal.h"
#include "lease/lease.h"
#include "net/audit/file.h"
#include "net/dns/answer.h"
#include "net/zookeeper/front.h"
#include "raft/engine.h"
#include "raft/wal.h"

/* ---- the table --------------------------------------------------------------------------- */

enum kind {
    KIND_TEXT,
    KIND_NAME,
    KIND_ADDRESS,
    KIND_MEMBERS,
    KIND_JOIN,
    KIND_LEVEL,
    KIND_SWITCH,
    KIND_NUMBER,
    KIND_WORDS,
    KIND_READS,
    KIND_DIGEST,
    KIND_TIME,
    KIND_CLIENT_AUTH,
    KIND_PLAINTEXT,
    KIND_AUDIT
};

struct option {
    const char *name; /* of the flag and in the file; COORD_* in capitals with underscores */
    const char *takes;
    enum kind kind;
    size_t offset; /* of the field in struct config */
    size_t size;   /* of a text */
    uint64_t min;  /* of a number */
    uint64_t max;
    uint64_t number;  /* default of a number */
    const char *text; /* default of anything else, as it would be given; NULL = none */
    const char *help;
};

#define FIELD(f) offsetof(struct config, f), sizeof((struct config *)0)->f
#define WORD(name, takes, kind, field, text, help)           \
    {                                                        \
        name, takes, kind, FIELD(field), 0, 0, 0, text, help \
    }
#define NUMBER(name, field, min, max, number, help)                        \
    {                                                                      \
        name, "N", KIND_NUMBER, FIELD(field), min, max, number, NULL, help \
    }
#define SWITCH(name, field, help)                                  \
    {                                                              \
        name, NULL, KIND_SWITCH, FIELD(field), 0, 0, 0, NULL, help \
    }
#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* To add a setting: a field in struct config and a line here. */
static const struct option options[] = {
    WORD("name", "NAME", KIND_NAME, name, "coord", "this node's name"),
    WORD("data-dir", "DIR", KIND_TEXT, data_dir, "./coord.data",
         "where log and snapshots are kept"),
    WORD("listen", "HOST:PORT", KIND_ADDRESS, listen, "127.0.0.1:7400",
         "for clients: gRPC, HTTP and ZooKeeper's protocol"),
    WORD("client-address", "HOST:PORT", KIND_ADDRESS, client_address, NULL,
         "where clients reach this node, told to the others (default: from --listen)"),
    WORD("peer-listen", "HOST:PORT", KIND_ADDRESS, peer_listen, NULL,
         "for the other members (default: the own entry of --initial-cluster)"),
    WORD("initial-cluster", "NAME=HOST:PORT,...", KIND_MEMBERS, members, NULL,
         "all first members and their peer addresses, this one included; none: a single node"),
    WORD("join", "HOST:PORT,...", KIND_JOIN, join, NULL,
         "members of a running cluster (client or peer addresses): ask one to be added"),
    SWITCH("learner", learner, "with --join: stay a standby, which serves and does not vote"),
    WORD("peer-address", "HOST:PORT", KIND_ADDRESS, peer_address, NULL,
         "with --join: where members reach this one (default: from --peer-listen)"),
    WORD("config", "FILE", KIND_TEXT, file, NULL, "JSON object with these names as keys"),
    WORD("log-level", "LEVEL", KIND_LEVEL, log_level, "info", "error, warn, info or debug"),
    SWITCH("insecure", insecure, "allow listening beyond loopback without TLS"),
    WORD("tls-cert", "FILE", KIND_TEXT, tls.certificate, NULL,
         "speak TLS to clients: this node's certificate and what is between it and the CA, PEM"),
    WORD("tls-key", "FILE", KIND_TEXT, tls.key, NULL, "its key, PEM, not encrypted"),
    WORD("tls-ca", "FILE", KIND_TEXT, tls.ca, NULL,
         "CAs that sign the certificates of clients, PEM"),
    WORD("tls-client-auth", "WORD", KIND_CLIENT_AUTH, tls_client_auth, "none",
         "certificates of clients: none, optional or required"),
    WORD("tls-plaintext", "WORD", KIND_PLAINTEXT, tls_plaintext, "none",
         "clients that may go without TLS: none, loopback or all"),
    WORD("peer-tls-cert", "FILE", KIND_TEXT, peer_tls.certificate, NULL,
         "speak TLS to members, with this certificate (default: all three --tls files)"),
    WORD("peer-tls-key", "FILE", KIND_TEXT, peer_tls.key, NULL, "its key"),
    WORD("peer-tls-ca", "FILE", KIND_TEXT, peer_tls.ca, NULL,
         "CAs that sign the certificates of members"),
    NUMBER("election-timeout-ms", election_timeout_ms, 20, 60000, ENGINE_ELECTION_TIMEOUT_MS,
           "without a leader for so long (up to twice that): elect"),
    NUMBER("heartbeat-ms", heartbeat_ms, 5, 20000, ENGINE_HEARTBEAT_MS,
           "an idle leader is heard this often"),
    NUMBER("snapshot-log-bytes", snapshot_log_bytes, 16 * KIB, 64 * GIB, 16 * MIB,
           "take a snapshot after so much log"),
    NUMBER("trailing-log-bytes", trailing_log_bytes, 4 * KIB, 64 * GIB, ENGINE_TRAILING_BYTES,
           "log kept behind a snapshot for members that lag"),
    NUMBER("wal-segment-bytes", wal_segment_bytes, 64 * KIB, GIB, WAL_SEGMENT_BYTES,
           "size of a log file"),
    NUMBER("batch-bytes", batch_bytes, 4 * KIB, 4 * MIB, MIB,
           "commands gathered into one log entry"),
    WORD("backup-dir", "DIR", KIND_TEXT, backup_dir, NULL,
         "this node's backups go there by themselves; none: they do not"),
    WORD("backup-interval", "TIME", KIND_TIME, backup_interval_ms, "1h",
         "from one backup to the next: 1s to 30d"),
    NUMBER("backup-keep", backup_keep, 0, 1000000, 24, "so many backups are kept; 0: any number"),
    WORD("backup-keep-for", "TIME", KIND_TIME, backup_keep_for_ms, NULL,
         "older ones go, but for the newest: 1s to 3650d (default: never)"),
    WORD("archive-dir", "DIR", KIND_TEXT, archive_dir, NULL,
         "the log since the oldest backup goes there, for restores to a point in time"),
    WORD("audit", "WORD", KIND_AUDIT, audit, "writes",
         "what the audit log has: off, denials, writes (and denials) or all"),
    WORD("audit-file", "FILE", KIND_TEXT, audit_file, NULL,
         "where it is written (default: audit/audit.jsonl in the data dir)"),
    NUMBER("audit-size", audit_size, 64 * KIB, 64 * GIB, AUDIT_FILE_BYTES_MAX,
           "a file of it is at most so large"),
    NUMBER("audit-keep", audit_keep, 1, AUDIT_FILES_KEPT_MAX, AUDIT_FILES_KEPT,
           "so many older files of it are kept: FILE.1 is the last"),
    NUMBER("connections-max", connections_max, 1, 1000000, 10000,
           "client connections; more are closed"),
    NUMBER("requests-max", requests_max, 1, 65536, 1024,
           "requests in flight on one client connection"),
    NUMBER("idle-timeout-ms", idle_timeout_ms, 0, UINT32_MAX, 0,
           "close client connections that are silent for so long; 0: never"),
    SWITCH("no-health-checks", no_health_checks,
           "while it leads, connect to no instances of services to see whether they are well"),
    WORD("dns-listen", "HOST:PORT", KIND_ADDRESS, dns_listen, NULL,
         "answer the DNS about services, by UDP and TCP; none: do not"),
    NUMBER("dns-ttl", dns_ttl_s, 0, DNS_TTL_S_MAX, 1, "seconds that its answers may be kept"),
    NUMBER("dns-bound-ms", dns_bound_ms, 100, 60000, 5000,
           "its answers are at most so old; a member that cannot prove it fails them"),
    WORD("super-digest", "NAME:HASH", KIND_DIGEST, super_digest, NULL,
         "who may do everything: NAME:base64(sha1(NAME:PASSWORD)), as in ZooKeeper"),
    WORD("zookeeper", "BOOL", KIND_SWITCH, zookeeper, "true",
         "serve ZooKeeper clients on the client port (--zookeeper=false: do not)"),
    WORD("zookeeper-reads", "WORD", KIND_READS, zookeeper_linearizable, "session",
         "session: as ZooKeeper; linearizable: each confirmed with a majority"),
    NUMBER("zookeeper-timeout-min-ms", zookeeper_timeout_min_ms, LEASE_TTL_MS_MIN, 3600000,
           ZK_TIMEOUT_MS_MIN, "session timeouts are at least this"),
    NUMBER("zookeeper-timeout-max-ms", zookeeper_timeout_max_ms, LEASE_TTL_MS_MIN, 3600000,
           ZK_TIMEOUT_MS_MAX, "and at most this"),
    WORD("zookeeper-words", "WORD,...", KIND_WORDS, zookeeper_words,
         "ruok,isro,srvr,stat,mntr,conf,cons,envi,dirs",
         "four-letter words that are answered; *: all, none: none"),
    SWITCH("help", help, "this text"),
    SWITCH("version", version, "the version"),
};

#define OPTION_COUNT (sizeof options / sizeof options[0])

/* Where a value came from decides which one holds and how it is called in a complaint. */
enum source { SOURCE_NONE, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

struct loader {
    struct config *config;
    struct errmsg *err;
    enum source from[OPTION_COUNT];
};

static const struct option *option_find(const char *name, size_t length)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (strlen(options[i].name) == length && memcmp(options[i].name, name, length) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

static void variable_name(const struct option *o, char *text, size_t bytes)
{
    int used = snprintf(text, bytes, "COORD_%s", o->name);
    for (int i = 0; i < used; i++) {
        text[i] = text[i] == '-' ? '_' : (char)toupper((unsigned char)text[i]);
    }
}

/* The setting as its user wrote it: `--listen`, `COORD_LISTEN`, `"listen" in FILE`. */
static const char *given_as(const struct loader *l, const struct option *o, char *text,
                            size_t bytes)
{
    switch (l->from[o - options]) {
    case SOURCE_FILE:
        snprintf(text, bytes, "\"%s\" in %.120s", o->name, l->config->file);
        return text;
    case SOURCE_ENVIRONMENT: variable_name(o, text, bytes); return text;
    default: snprintf(text, bytes, "--%s", o->name); return text;
    }
}

static enum status refuse(const struct loader *l, const struct option *o, const char *value,
                          const char *why)
{
    char setting[192];
    return errmsg_set(l->err, RC_INVALID, "%s: '%.60s' %s",
                      given_as(l, o, setting, sizeof setting), value, why);
}

/* ---- values ------------------------------------------------------------------------------ */

static enum status parse_member(const struct loader *l, const struct option *o, char *text)
{
    struct config *c = l->config;
    char *equals = strchr(text, '=');
    if (equals == NULL) {
        return refuse(l, o, text, "is not NAME=HOST:PORT");
    }
    if (c->member_count == NODE_MEMBERS_MAX) {
        return refuse(l, o, text, "is one member too many, there may be 16");
    }
    struct node_member *m = &c->members[c->member_count];
    *equals = '\0';
    const char *why = config_parse_name(text, m->name);
    if (why != NULL) {
        return refuse(l, o, text, why);
    }
    why = config_parse_address(equals + 1, m->host, sizeof m->host, &m->port);
    if (why != NULL) {
        return refuse(l, o, equals + 1, why);
    }
    for (size_t i = 0; i < c->member_count; i++) {
        if (strcmp(c->members[i].name, m->name) == 0) {
            return refuse(l, o, m->name, "is there twice");
        }
        if (c->members[i].port == m->port && strcmp(c->members[i].host, m->host) == 0) {
            return refuse(l, o, equals + 1, "is the address of two members");
        }
    }
    c->member_count++;
    return RC_OK;
}

static enum status parse_members(const struct loader *l, const struct option *o,
                                 const char *value)
{
    char text[NODE_MEMBERS_MAX * (NODE_NAME_BYTES_MAX + NODE_ADDRESS_BYTES_MAX)];
    if (strlen(value) >= sizeof text) {
        return refuse(l, o, value, "... is too long");
    }
    memcpy(text, value, strlen(value) + 1);
    l->config->member_count = 0;
    for (char *at = text; at != NULL;) {
        char *comma = strchr(at, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        enum status rc = parse_member(l, o, at);
        if (rc != RC_OK) {
            return rc;
        }
        at = comma != NULL ? comma + 1 : NULL;
    }
    return RC_OK;
}

static enum status parse_join(const struct loader *l, const struct option *o, const char *value)
{
    struct config *c = l->config;
    c->join_count = 0;
    for (const char *at = value; at != NULL;) {
        char text[NODE_ADDRESS_BYTES_MAX];
        size_t size = strcspn(at, ",");
        if (size >= sizeof text || c->join_count == NODE_MEMBERS_MAX) {
            return refuse(l, o, at, size >= sizeof text ? "... is too long" : "is one too many");
        }
        memcpy(text, at, size);
        text[size] = '\0';
        struct node_member *m = &c->join[c->join_count++];
        const char *why = config_parse_address(text, m->host, sizeof m->host, &m->port);
        if (why != NULL) {
            return refuse(l, o, text, why);
        }
        at = at[size] == ',' ? at + size + 1 : NULL;
    }
    return RC_OK;
}

static enum status set_number(const struct loader *l, const struct option *o, const char *value,
                              uint64_t *field)
{
    if (!config_parse_number(value, field) || *field < o->min || *field > o->max) {
        char why[96];
        snprintf(why, sizeof why, "is not a number from %" PRIu64 " to %" PRIu64, o->min,
                 o->max);
        return refuse(l, o, value, why);
    }
    return RC_OK;
}

static enum status set_value(const struct loader *l, const struct option *o, const char *value)
{
    void *field = (char *)l->config + o->offset;
    const char *why = NULL;
    switch (o->kind) {
    case KIND_TEXT:
        if (value[0] == '\0' || strlen(value) >= o->size) {
            why = value[0] == '\0' ? "is empty" : "... is too long";
            break;
        }
        memcpy(field, value, strlen(value) + 1);
        break;
    case KIND_NAME: why = config_parse_name(value, field); break;
    case KIND_ADDRESS: {
        struct config_address *a = field;
        why = config_parse_address(value, a->host, sizeof a->host, &a->port);
        break;
    }
    case KIND_MEMBERS: return parse_members(l, o, value);
    case KIND_JOIN: return parse_join(l, o, value);
    case KIND_LEVEL:
        why = log_level_parse(value, field) ? NULL : "is not error, warn, info or debug";
        break;
    case KIND_SWITCH: why = config_parse_switch(value, field); break;
    case KIND_WORDS: why = zk_words_parse(value, field); break;
    case KIND_READS: why = config_parse_reads(value, field); break;
    case KIND_TIME: why = config_parse_time(value, field); break;
    case KIND_DIGEST: why = config_parse_digest(value, field, o->size); break;
    case KIND_CLIENT_AUTH: why = config_parse_client_auth(value, field); break;
    case KIND_AUDIT: why = config_parse_audit(value, field); break;
    case KIND_PLAINTEXT: why = config_parse_plaintext(value, field); break;
    case KIND_NUMBER: return set_number(l, o, value, field);
    }
    return why == NULL ? RC_OK : refuse(l, o, value, why);
}

/* Takes the value unless a stronger source gave one; weaker ones come later. */
static enum status offer(struct loader *l, const struct option *o, enum source from,
                         const char *value)
{
    if (l->from[o - options] > from) {
        return RC_OK;
    }
    l->from[o - options] = from;
    return set_value(l, o, value);
}

/* ---- sources ----------------------------------------------------------------------------- */

static enum status load_flags(struct loader *l, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (strcmp(argument, "-h") == 0) {
            argument = "--help";
        }
        if (strncmp(argument, "--", 2) != 0 || argument[2] == '\0') {
            return errmsg_set(l->err, RC_INVALID, "'%.80s' is not a flag, try --help",
                              argument);
        }
        const char *equals = strchr(argument, '=');
        size_t length = equals != NULL ? (size_t)(equals - argument - 2) : strlen(argument + 2);
        const struct option *o = option_find(argument + 2, length);
        if (o == NULL) {
            return errmsg_set(l->err, RC_INVALID, "unknown flag '%.80s', try --help", argument);
        }
        if (l->from[o - options] == SOURCE_FLAG) {
            return errmsg_set(l->err, RC_INVALID, "--%s is given twice", o->name);
        }
        const char *value = equals != NULL ? equals + 1 : NULL;
        if (value == NULL && o->kind == KIND_SWITCH) {
            value = "true";
        } else if (value == NULL && i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0) {
            value = argv[++i];
        }
        if (value == NULL) {
            return errmsg_set(l->err, RC_INVALID, "--%s needs a value: %s", o->name, o->takes);
        }
        enum status rc = offer(l, o, SOURCE_FLAG, value);
        if (rc != RC_OK) {
            return rc;
        }
    }
    return RC_OK;
}

/* An empty variable is one that is not set, as container tools like to leave them. */
static enum status load_environment(struct loader *l, char *(*get_env)(const char *name))
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char name[64];
        variable_name(&options[i], name, sizeof name);
        const char *value = get_env(name);
        bool asks = options[i].offset == offsetof(struct config, help) ||
                    options[i].offset == offsetof(struct config, version);
        if (value == NULL || value[0] == '\0' || asks) {
            continue;
        }
        enum status rc = offer(l, &options[i], SOURCE_ENVIRONMENT, value);
        if (rc != RC_OK) {
            return rc;
        }
    }
    return RC_OK;
}

static enum status load_key(struct loader *l, const char *key, const json_t *value)
{
    const char *file = l->config->file;
    const struct option *o = option_find(key, strlen(key));
    if (o == NULL || o->offset == offsetof(struct config, file) ||
        o->offset == offsetof(struct config, help) ||
        o->offset == offsetof(struct config, version)) {
        char quoted[80];
        return errmsg_set(l->err, RC_INVALID, "%.120s: unknown key %s", file,
                          log_quote(quoted, sizeof quoted, key));
    }
    char number[32];
    const char *text = NULL;
    if (json_is_string(value)) {
        text = json_string_value(value);
    } else if (json_is_boolean(value) && o->kind == KIND_SWITCH) {
        text = json_is_true(value) ? "true" : "false";
    } else if (json_is_integer(value) && o->kind == KIND_NUMBER) {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        text = number;
    }
    if (text == NULL) {
        return errmsg_set(l->err, RC_INVALID, "%.120s: \"%s\" must be a %s", file, key,
                          o->kind == KIND_SWITCH   ? "boolean"
                          : o->kind == KIND_NUMBER ? "number"
                                                   : "string");
    }
    return offer(l, o, SOURCE_FILE, text);
}

static enum status load_file(struct loader *l)
{
    const char *file = l->config->file;
    json_error_t error;
    struct stat about;
    if (stat(file, &about) == 0 && S_ISDIR(about.st_mode)) {
        return errmsg_set(l->err, RC_INVALID, "--config: %.200s is a directory", file);
    }
    json_t *root = json_load_file(file, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        return error.line > 0 ? errmsg_set(l->err, RC_INVALID, "%.120s: line %d: %.100s", file,
                                           error.line, error.text)
                              : errmsg_set(l->err, RC_INVALID, "--config: %.200s", error.text);
    }
    enum status rc = RC_OK;
    if (!json_is_object(root)) {
        rc = errmsg_set(l->err, RC_INVALID, "%.120s: not a JSON object", file);
    }
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        rc = load_key(l, key, value);
        if (rc != RC_OK) {
            break;
        }
    }
    json_decref(root);
    return rc;
}

static enum status load_defaults(struct loader *l)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &options[i];
        enum status rc = RC_OK;
        if (o->kind == KIND_NUMBER) {
            memcpy((char *)l->config + o->offset, &o->number, sizeof o->number);
        } else if (o->text != NULL) {
            rc = set_value(l, o, o->text);
        }
        if (rc != RC_OK) {
            return rc;
        }
    }
    return RC_OK;
}

static enum status load(int argc, char **argv, char *(*get_env)(const char *name),
                        struct config *out, struct errmsg *err)
{
    struct loader l = {.config = out, .err = err};
    memset(out, 0, sizeof *out);
    enum status rc = load_defaults(&l);
    if (rc == RC_OK) {
        rc = load_flags(&l, argc, argv);
    }
    if (rc != RC_OK || out->help || out->version) {
        return rc;
    }
    rc = load_environment(&l, get_env);
    if (rc == RC_OK && out->file[0] != '\0') {
        rc = load_file(&l);
    }
    return rc == RC_OK ? config_check(out, err) : rc;
}

/* What is refused is quoted, and may hold anything: what is said of it stays one line. */
static void make_one_line(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            *text = ' ';
        }
    }
}

enum status config_load(int argc, char **argv, char *(*get_env)(const char *name),
                        struct config *out, struct errmsg *err)
{
    enum status rc = load(argc, argv, get_env, out, err);
    if (rc != RC_OK) {
        make_one_line(err->text);
    }
    return rc;
}

/* ---- words ------------------------------------------------------------------------------- */

const char *config_address_text(const struct config_address *a, char *text, size_t bytes)
{
    bool is_v6 = strchr(a->host, ':') != NULL;
    snprintf(text, bytes, "%s%s%s:%" PRIu16, is_v6 ? "[" : "", a->host, is_v6 ? "]" : "",
             a->port);
    return text;
}

const char *config_audit_path(const struct config *c, char *text, size_t bytes)
{
    if (c->audit_file[0] != '\0') {
        snprintf(text, bytes, "%s", c->audit_file);
    } else {
        snprintf(text, bytes, "%s/audit/audit.jsonl", c->data_dir);
    }
    return text;
}

void config_print_help(FILE *to)
{
    fputs("coordd: one node of a coordination service\n\n"
          "usage: coordd [--FLAG VALUE | --FLAG=VALUE]...\n"
          "       coordd restore --help   a data dir out of a backup\n"
          "       coordd recover --help   a new cluster out of one that lost its quorum\n\n"
          "Without flags: a working single node. Each flag can also be given as a variable\n"
          "(--data-dir: COORD_DATA_DIR) or as a key of the config file (\"data-dir\"); a flag "
          "wins\n"
          "over the environment, that over the file. Byte counts take k, m and g.\n\n",
          to);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &options[i];
        char left[64];
        snprintf(left, sizeof left, "--%s %s", o->name, o->takes != NULL ? o->takes : "");
        fprintf(to, "  %-40s %s", left, o->help);
        if (o->kind == KIND_NUMBER) {
            fprintf(to, " (default %" PRIu64 ")", o->number);
        } else if (o->text != NULL) {
            fprintf(to, " (default %s)", o->text);
        }
        fputc('\n', to);
    }
}
