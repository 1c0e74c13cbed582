#include "cmd/coordd/config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "raft/engine.h"
#include "raft/wal.h"

/* ---- the table --------------------------------------------------------------------------- */

enum kind { KIND_TEXT, KIND_NAME, KIND_ADDRESS, KIND_MEMBERS, KIND_LEVEL, KIND_SWITCH, KIND_NUMBER };

struct option {
    const char *name; /* of the flag and in the file; COORD_* in capitals with underscores */
    const char *takes;
    enum kind kind;
    size_t offset; /* of the field in struct config */
    size_t size;   /* of a text */
    uint64_t min;  /* of a number */
    uint64_t max;
    uint64_t number; /* default of a number */
    const char *text; /* default of anything else, as it would be given; NULL = none */
    const char *help;
};

#define FIELD(f) offsetof(struct config, f), sizeof((struct config *)0)->f
#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* To add a setting: a field in struct config and a line here. */
static const struct option options[] = {
    {"name", "NAME", KIND_NAME, FIELD(name), 0, 0, 0, "coord", "this node's name"},
    {"data-dir", "DIR", KIND_TEXT, FIELD(data_dir), 0, 0, 0, "./coord.data",
     "where log and snapshots are kept"},
    {"listen", "HOST:PORT", KIND_ADDRESS, FIELD(listen), 0, 0, 0, "127.0.0.1:7400",
     "for clients: gRPC and HTTP"},
    {"client-address", "HOST:PORT", KIND_ADDRESS, FIELD(client_address), 0, 0, 0, NULL,
     "where clients reach this node, told to the others (default: from --listen)"},
    {"peer-listen", "HOST:PORT", KIND_ADDRESS, FIELD(peer_listen), 0, 0, 0, NULL,
     "for the other members (default: the own entry of --initial-cluster)"},
    {"initial-cluster", "NAME=HOST:PORT,...", KIND_MEMBERS, FIELD(members), 0, 0, 0, NULL,
     "all first members and their peer addresses, this one included; none: a single node"},
    {"config", "FILE", KIND_TEXT, FIELD(file), 0, 0, 0, NULL,
     "JSON object with these names as keys"},
    {"log-level", "LEVEL", KIND_LEVEL, FIELD(log_level), 0, 0, 0, "info",
     "error, warn, info or debug"},
    {"insecure", NULL, KIND_SWITCH, FIELD(insecure), 0, 0, 0, NULL,
     "allow listening beyond loopback without TLS"},
    {"election-timeout-ms", "N", KIND_NUMBER, FIELD(election_timeout_ms), 20, 60000,
     ENGINE_ELECTION_TIMEOUT_MS, NULL, "without a leader for so long (up to twice that): elect"},
    {"heartbeat-ms", "N", KIND_NUMBER, FIELD(heartbeat_ms), 5, 20000, ENGINE_HEARTBEAT_MS, NULL,
     "an idle leader is heard this often"},
    {"snapshot-log-bytes", "N", KIND_NUMBER, FIELD(snapshot_log_bytes), 16 * KIB, 64 * GIB,
     32 * MIB, NULL, "take a snapshot after so much log"},
    {"trailing-log-bytes", "N", KIND_NUMBER, FIELD(trailing_log_bytes), 4 * KIB, 64 * GIB,
     ENGINE_TRAILING_BYTES, NULL, "log kept behind a snapshot for members that lag"},
    {"wal-segment-bytes", "N", KIND_NUMBER, FIELD(wal_segment_bytes), 64 * KIB, GIB,
     WAL_SEGMENT_BYTES, NULL, "size of a log file"},
    {"batch-bytes", "N", KIND_NUMBER, FIELD(batch_bytes), 4 * KIB, 4 * MIB, MIB, NULL,
     "commands gathered into one log entry"},
    {"connections-max", "N", KIND_NUMBER, FIELD(connections_max), 1, 1000000, 10000, NULL,
     "client connections; more are closed"},
    {"requests-max", "N", KIND_NUMBER, FIELD(requests_max), 1, 65536, 1024, NULL,
     "requests in flight on one client connection"},
    {"idle-timeout-ms", "N", KIND_NUMBER, FIELD(idle_timeout_ms), 0, UINT32_MAX, 0, NULL,
     "close client connections that are silent for so long; 0: never"},
    {"help", NULL, KIND_SWITCH, FIELD(help), 0, 0, 0, NULL, "this text"},
    {"version", NULL, KIND_SWITCH, FIELD(version), 0, 0, 0, NULL, "the version"},
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
static const char *given_as(const struct loader *l, const struct option *o, char *text, size_t bytes)
{
    switch (l->from[o - options]) {
    case SOURCE_FILE:
        snprintf(text, bytes, "\"%s\" in %.120s", o->name, l->config->file);
        return text;
    case SOURCE_ENVIRONMENT:
        variable_name(o, text, bytes);
        return text;
    default:
        snprintf(text, bytes, "--%s", o->name);
        return text;
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

static bool parse_port(const char *text, uint16_t *out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0') {
        return false;
    }
    unsigned long port = strtoul(text, NULL, 10);
    *out = (uint16_t)port;
    return port >= 1 && port <= UINT16_MAX;
}

/* NULL if it is an address, else what is wrong with it. Names are not resolved here. */
static const char *parse_address(const char *text, char *host, size_t host_bytes, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || strchr(colon, ']') != NULL) {
        return "is not HOST:PORT: the port is missing";
    }
    if (!parse_port(colon + 1, port)) {
        return "is not HOST:PORT: the port must be 1 to 65535";
    }
    const char *begin = text;
    size_t length = (size_t)(colon - text);
    if (length >= 2 && text[0] == '[' && colon[-1] == ']') {
        begin++;
        length -= 2;
    } else if (memchr(text, ':', length) != NULL) {
        return "is not HOST:PORT: an IPv6 address goes in brackets, as in [::1]:7400";
    }
    if (length == 0) {
        return "is not HOST:PORT: the host is missing (0.0.0.0 or [::] means all)";
    }
    if (length >= host_bytes) {
        return "is not HOST:PORT: the host is too long";
    }
    for (size_t i = 0; i < length; i++) {
        if (!isgraph((unsigned char)begin[i]) || strchr("/,=[]", begin[i]) != NULL) {
            return "is not HOST:PORT: that is no host";
        }
    }
    memcpy(host, begin, length);
    host[length] = '\0';
    return NULL;
}

static const char *parse_name(const char *text, char *out)
{
    size_t length = strlen(text);
    if (length == 0 || length >= NODE_NAME_BYTES_MAX) {
        return "is not a name of 1 to 63 characters";
    }
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)text[i]) && strchr("-_.", text[i]) == NULL) {
            return "is not a name: letters, digits, '-', '_' and '.' only";
        }
    }
    memcpy(out, text, length + 1);
    return NULL;
}

/* Plain, or in units of 1024: 64k, 32m, 1g. */
static bool parse_number(const char *text, uint64_t *out)
{
    char *end;
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    unsigned shift = 0;
    if (*end != '\0') {
        const char *units = "kmg";
        const char *unit = strchr(units, tolower((unsigned char)*end));
        if (unit == NULL || end[1] != '\0') {
            return false;
        }
        shift = 10 * (unsigned)(unit - units + 1);
    }
    *out = (uint64_t)value << shift;
    return errno == 0 && *out >> shift == value;
}

static const char *parse_switch(const char *text, bool *out)
{
    static const char *const words[] = {"false", "true", "0", "1", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i % 2 == 1;
            return NULL;
        }
    }
    return "is neither true nor false";
}

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
    const char *why = parse_name(text, m->name);
    if (why != NULL) {
        return refuse(l, o, text, why);
    }
    why = parse_address(equals + 1, m->host, sizeof m->host, &m->port);
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

static enum status parse_members(const struct loader *l, const struct option *o, const char *value)
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

static enum status set_number(const struct loader *l, const struct option *o, const char *value,
                              uint64_t *field)
{
    if (!parse_number(value, field) || *field < o->min || *field > o->max) {
        char why[96];
        snprintf(why, sizeof why, "is not a number from %" PRIu64 " to %" PRIu64, o->min, o->max);
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
    case KIND_NAME:
        why = parse_name(value, field);
        break;
    case KIND_ADDRESS: {
        struct config_address *a = field;
        why = parse_address(value, a->host, sizeof a->host, &a->port);
        break;
    }
    case KIND_MEMBERS:
        return parse_members(l, o, value);
    case KIND_LEVEL:
        why = log_level_parse(value, field) ? NULL : "is not error, warn, info or debug";
        break;
    case KIND_SWITCH:
        why = parse_switch(value, field);
        break;
    case KIND_NUMBER:
        return set_number(l, o, value, field);
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
            return errmsg_set(l->err, RC_INVALID, "'%.80s' is not a flag, try --help", argument);
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
        return errmsg_set(l->err, RC_INVALID, "%.120s: unknown key \"%.60s\"", file, key);
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
    json_object_foreach(root, key, value) {
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

/* ---- does the whole make sense? ---------------------------------------------------------- */

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

/* There is no TLS yet, so whoever can reach the port can read and write everything. */
static enum status check_exposure(const struct loader *l, const char *setting,
                                  const struct config_address *a)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(a->host, NULL, &hints, &found);
    if (rc != 0) {
        return errmsg_set(l->err, RC_INVALID, "--%s: cannot resolve '%.100s': %s", setting, a->host,
                          gai_strerror(rc));
    }
    bool loopback = true;
    for (const struct addrinfo *ai = found; ai != NULL; ai = ai->ai_next) {
        loopback = loopback && is_loopback(ai->ai_addr);
    }
    freeaddrinfo(found);
    if (loopback || l->config->insecure) {
        return RC_OK;
    }
    char text[NODE_ADDRESS_BYTES_MAX];
    return errmsg_set(l->err, RC_INVALID,
                      "--%s %.120s is reachable from other machines, and there is no TLS: "
                      "give --insecure if that is meant",
                      setting, config_address_text(a, text, sizeof text));
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

static enum status check_cluster(const struct loader *l)
{
    struct config *c = l->config;
    const struct node_member *own = own_entry(c);
    if (c->member_count > 0 && own == NULL) {
        return errmsg_set(l->err, RC_INVALID, "--name '%s' is not among the members of "
                          "--initial-cluster", c->name);
    }
    if (c->member_count > 1 && c->peer_listen.host[0] == '\0') {
        memcpy(c->peer_listen.host, own->host, sizeof own->host);
        c->peer_listen.port = own->port;
    }
    if (c->peer_listen.host[0] != '\0' && c->peer_listen.port == c->listen.port &&
        strcmp(c->peer_listen.host, c->listen.host) == 0) {
        return errmsg_set(l->err, RC_INVALID,
                          "clients and peers cannot share port %" PRIu16 " (--listen, --peer-listen)",
                          c->listen.port);
    }
    return RC_OK;
}

static enum status check_times(const struct loader *l)
{
    const struct config *c = l->config;
    if (c->heartbeat_ms * 2 > c->election_timeout_ms) {
        return errmsg_set(l->err, RC_INVALID,
                          "--heartbeat-ms %" PRIu64 " must be at most half of "
                          "--election-timeout-ms %" PRIu64,
                          c->heartbeat_ms, c->election_timeout_ms);
    }
    return RC_OK;
}

static bool is_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
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

static enum status check(const struct loader *l)
{
    struct config *c = l->config;
    enum status rc = check_cluster(l);
    if (rc == RC_OK) {
        rc = check_times(l);
    }
    if (rc == RC_OK) {
        rc = check_exposure(l, "listen", &c->listen);
    }
    if (rc == RC_OK && c->peer_listen.host[0] != '\0') {
        rc = check_exposure(l, "peer-listen", &c->peer_listen);
    }
    choose_client_address(c);
    return rc;
}

enum status config_load(int argc, char **argv, char *(*get_env)(const char *name),
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
    return rc == RC_OK ? check(&l) : rc;
}

/* ---- words ------------------------------------------------------------------------------- */

const char *config_address_text(const struct config_address *a, char *text, size_t bytes)
{
    bool is_v6 = strchr(a->host, ':') != NULL;
    snprintf(text, bytes, "%s%s%s:%" PRIu16, is_v6 ? "[" : "", a->host, is_v6 ? "]" : "", a->port);
    return text;
}

void config_print_help(FILE *to)
{
    fputs("coordd: one node of a coordination service\n\n"
          "usage: coordd [--FLAG VALUE | --FLAG=VALUE]...\n\n"
          "Without flags: a working single node. Each flag can also be given as a variable\n"
          "(--data-dir: COORD_DATA_DIR) or as a key of the config file (\"data-dir\"); a flag wins\n"
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
