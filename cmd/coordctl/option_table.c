/* What options there are, and what their values may be. */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "cmd/coordctl/guards.h"
#include "cmd/coordctl/options.h"
#include "cmd/coordctl/values.h"
#include "cmd/coordctl/load/load.h"

static bool find_name(const char *text, const char *const *names, size_t count, int *out)
{
    for (size_t i = 0; i < count; i++) {
        if (names[i] != NULL && strcmp(names[i], text) == 0) {
            *out = (int)i;
            return true;
        }
    }
    return false;
}

static bool take_endpoints(struct ctl *ctl, const char *value)
{
    ctl->options.endpoints = value;
    return true; /* coord_open looks at it */
}

static bool take_cacert(struct ctl *ctl, const char *value)
{
    ctl->tls.ca_file = value;
    return value[0] != '\0';
}

static bool take_cert(struct ctl *ctl, const char *value)
{
    ctl->tls.certificate_file = value;
    return value[0] != '\0';
}

static bool take_key(struct ctl *ctl, const char *value)
{
    ctl->tls.key_file = value;
    return value[0] != '\0';
}

static bool take_server_name(struct ctl *ctl, const char *value)
{
    ctl->tls.server_name = value;
    return value[0] != '\0';
}

static bool take_timeout(struct ctl *ctl, const char *value)
{
    uint64_t ms = 0;
    bool ok = value_parse_duration(value, DAY_MS, &ms);
    ctl->options.timeout_ms = (uint32_t)ms;
    return ok;
}

static bool take_consistency(struct ctl *ctl, const char *value)
{
    static const char *const names[] = {[COORD_LINEARIZABLE] = "linearizable",
                                        [COORD_SESSION] = "session",
                                        [COORD_LOCAL] = "local"};
    static const char bounded[] = "bounded=";
    int number = COORD_BOUNDED;
    if (strncmp(value, bounded, sizeof bounded - 1) == 0) {
        if (!value_parse_duration(value + sizeof bounded - 1, DAY_MS, &ctl->options.bound_ms)) {
            return false;
        }
    } else if (!find_name(value, names, sizeof names / sizeof names[0], &number)) {
        return false;
    }
    ctl->options.consistency = (enum coord_consistency)number;
    return true;
}

static bool take_output(struct ctl *ctl, const char *value)
{
    static const char *const names[] = {[OUTPUT_TABLE] = "table",
                                        [OUTPUT_WIDE] = "wide",
                                        [OUTPUT_JSON] = "json",
                                        [OUTPUT_JSONL] = "jsonl",
                                        [OUTPUT_YAML] = "yaml",
                                        [OUTPUT_RAW] = "raw",
                                        [OUTPUT_NAME] = "name",
                                        [OUTPUT_DOT] = "dot"};
    int number = 0;
    bool ok = find_name(value, names, sizeof names / sizeof names[0], &number);
    ctl->output = (enum ctl_output)number;
    return ok;
}

static bool take_context(struct ctl *ctl, const char *value)
{
    ctl->context = value;
    return true; /* "" is none */
}

static bool take_user(struct ctl *ctl, const char *value)
{
    ctl->user = value;
    return true; /* the server knows who there is */
}

static bool take_token_file(struct ctl *ctl, const char *value)
{
    ctl->token_file = value;
    return value[0] != '\0';
}

static bool take_note(struct ctl *ctl, const char *value)
{
    ctl->options.note = value;
    return true;
}

static bool take_version(struct ctl *ctl, const char *value)
{
    size_t size = strlen(value);
    if (strcmp(value, "-1") == 0) {
        ctl->version = COORD_ANY_VERSION;
        return true;
    }
    if (size == 0 || size > 10 || strspn(value, "0123456789") != size) {
        return false;
    }
    ctl->version = strtoll(value, NULL, 10);
    return ctl->version < UINT32_MAX;
}

static bool take_file(struct ctl *ctl, const char *value)
{
    ctl->file = value;
    return value[0] != '\0';
}

static bool take_session(struct ctl *ctl, const char *value)
{
    ctl->has_session = true;
    return value_parse_session(value, &ctl->session);
}

static bool take_owner(struct ctl *ctl, const char *value)
{
    ctl->owner = value;
    return true; /* the server knows how long it may be */
}

static bool take_glob(struct ctl *ctl, const char *value)
{
    ctl->glob = value;
    return value[0] != '\0';
}

static bool take_types(struct ctl *ctl, const char *value)
{
    static const char *const names[] = {"created", "set", "deleted"};
    ctl->types = 0;
    for (const char *at = value; *at != '\0';) {
        size_t size = strcspn(at, ",");
        size_t i = 0;
        while (i < 3 && (strlen(names[i]) != size || memcmp(names[i], at, size) != 0)) {
            i++;
        }
        if (i == 3) {
            return false;
        }
        ctl->types |= 1u << i;
        at += size + (at[size] == ',');
    }
    return ctl->types != 0;
}

static bool take_limit(struct ctl *ctl, const char *value)
{
    return value_parse_number(value, UINT32_MAX, &ctl->limit) && ctl->limit > 0;
}

static bool take_depth(struct ctl *ctl, const char *value)
{
    return value_parse_number(value, UINT32_MAX, &ctl->depth) && ctl->depth > 0;
}

static bool take_from_revision(struct ctl *ctl, const char *value)
{
    return value_parse_number(value, INT64_MAX, &ctl->from_revision) && ctl->from_revision > 0;
}

static bool take_rev(struct ctl *ctl, const char *value)
{
    return value_parse_number(value, INT64_MAX, &ctl->revision) && ctl->revision > 0;
}

static bool take_lease(struct ctl *ctl, const char *value)
{
    return value_parse_id(value, &ctl->lease);
}

static bool take_ttl(struct ctl *ctl, const char *value)
{
    return value_parse_duration(value, DAY_MS, &ctl->ttl_ms);
}

static bool take_session_ttl(struct ctl *ctl, const char *value)
{
    return value_parse_duration(value, DAY_MS, &ctl->session_ttl_ms);
}

static bool take_bytes(struct ctl *ctl, const char *value)
{
    return value_parse_size(value, &ctl->bytes);
}

static bool take_age(struct ctl *ctl, const char *value)
{
    return value_parse_duration(value, 30 * DAY_MS, &ctl->age_ms);
}

static bool take_revisions(struct ctl *ctl, const char *value)
{
    return value_parse_number(value, INT64_MAX, &ctl->revisions) && ctl->revisions > 0;
}

static bool take_nodes(struct ctl *ctl, const char *value)
{
    return value_parse_number(value, INT64_MAX, &ctl->nodes) && ctl->nodes > 0;
}

static bool take_soft(struct ctl *ctl, const char *value)
{
    uint64_t percent = 0;
    bool ok = value_parse_number(value, 100, &percent) && percent > 0;
    ctl->soft = (uint32_t)percent;
    return ok;
}

/* Of user limit, where 0 means something; of bench, which looks at the range itself. */
static bool take_user_limit(struct ctl *ctl, const char *value, int which, uint64_t *out)
{
    bool ok = value_parse_number(value, UINT32_MAX, out);
    ctl->user_limits[which] = *out + 1;
    return ok;
}

static bool take_requests(struct ctl *ctl, const char *value)
{
    uint64_t number = 0;
    return take_user_limit(ctl, value, 0, &number);
}

static bool take_leases(struct ctl *ctl, const char *value)
{
    uint64_t number = 0;
    return take_user_limit(ctl, value, 3, &number);
}

static bool take_labels(struct ctl *ctl, const char *value)
{
    ctl->labels = value;
    return value[0] != '\0';
}

static bool take_ids(struct ctl *ctl, const char *value)
{
    ctl->ids = value;
    return value[0] != '\0';
}

static bool take_gate(struct ctl *ctl, const char *value)
{
    ctl->gate = value;
    return value[0] != '\0';
}

static bool take_percents(struct ctl *ctl, const char *value)
{
    ctl->percents = value;
    return value[0] != '\0' && value[strspn(value, "0123456789,")] == '\0';
}

static bool take_step(struct ctl *ctl, const char *value)
{
    return value_parse_duration(value, 30 * DAY_MS, &ctl->step_ms);
}

static bool take_strategy(struct ctl *ctl, const char *value)
{
    static const char *const names[] = {"canary", "blue-green", "progressive"};
    int number;
    ctl->strategy = value;
    return find_name(value, names, sizeof names / sizeof names[0], &number);
}

static bool take_versions(struct ctl *ctl, const char *value)
{
    return value_parse_number(value, UINT32_MAX, &ctl->versions) && ctl->versions > 0;
}

static bool take_number(const char *value, uint64_t max, uint64_t *out)
{
    return value_parse_number(value, max, out) && *out > 0;
}

static bool take_connections(struct ctl *ctl, const char *value)
{
    return take_user_limit(ctl, value, 1, &ctl->connections);
}

static bool take_in_flight(struct ctl *ctl, const char *value)
{
    return take_number(value, LOAD_IN_FLIGHT_MAX, &ctl->in_flight);
}

static bool take_keys(struct ctl *ctl, const char *value)
{
    return take_number(value, LOAD_KEYS_MAX, &ctl->keys);
}

static bool take_watches(struct ctl *ctl, const char *value)
{
    return take_user_limit(ctl, value, 2, &ctl->watches);
}

static bool take_value_bytes(struct ctl *ctl, const char *value)
{
    ctl->has_value_bytes = true;
    return value_parse_size(value, &ctl->value_bytes) &&
           ctl->value_bytes <= LOAD_VALUE_BYTES_MAX;
}

static bool take_write_percent(struct ctl *ctl, const char *value)
{
    return take_number(value, 100, &ctl->write_percent);
}

static bool take_duration(struct ctl *ctl, const char *value)
{
    return value_parse_duration(value, DAY_MS, &ctl->duration_ms);
}

static bool take_warm_up(struct ctl *ctl, const char *value)
{
    ctl->has_warm_up = true;
    return strcmp(value, "0") == 0 || value_parse_duration(value, DAY_MS, &ctl->warm_up_ms);
}

static bool take_protocol(struct ctl *ctl, const char *value)
{
    for (int i = 0; i < LOAD_PROTOCOLS; i++) {
        if (strcmp(load_protocol_name((enum load_protocol)i), value) == 0) {
            ctl->protocol = i;
            return true;
        }
    }
    return false;
}

static bool take_path(struct ctl *ctl, const char *value)
{
    ctl->path = value;
    return value[0] == '/' && value[1] != '\0';
}

static bool take_processes(struct ctl *ctl, const char *value)
{
    ctl->processes = value;
    return value[0] != '\0' && value[strspn(value, "0123456789,")] == '\0';
}

static bool take_interval(struct ctl *ctl, const char *value)
{
    return value_parse_duration(value, DAY_MS, &ctl->interval_ms) && ctl->interval_ms >= 100;
}

static bool take_exec(struct ctl *ctl, const char *value)
{
    ctl->exec = value;
    return value[0] != '\0';
}

static bool take_conflict(struct ctl *ctl, const char *value)
{
    static const char *const names[] = {[CONFLICT_FAIL] = "fail",
                                        [CONFLICT_KEEP] = "keep",
                                        [CONFLICT_REPLACE] = "replace"};
    int number = 0;
    bool ok = find_name(value, names, sizeof names / sizeof names[0], &number);
    ctl->conflict = (enum ctl_conflict)number;
    return ok;
}

static bool take_id(struct ctl *ctl, const char *value)
{
    ctl->id = value;
    return value[0] != '\0'; /* the server knows what else is wanted of it */
}

static bool take_zone(struct ctl *ctl, const char *value)
{
    ctl->zone = value;
    return value[0] != '\0';
}

static bool take_tag(struct ctl *ctl, const char *value)
{
    if (value[0] == '\0' || ctl->tag_count == CTL_TAGS_MAX) {
        return false;
    }
    ctl->tags[ctl->tag_count++] = value;
    return true;
}

static bool take_meta(struct ctl *ctl, const char *value)
{
    if (strchr(value, '=') == NULL || value[0] == '=' || ctl->meta_count == CTL_META_MAX) {
        return false;
    }
    ctl->meta[ctl->meta_count++] = value;
    return true;
}

static bool take_weight(struct ctl *ctl, const char *value)
{
    return take_number(value, 10000, &ctl->weight);
}

static bool take_permits(struct ctl *ctl, const char *value)
{
    return take_number(value, UINT32_MAX, &ctl->permits);
}

static bool take_name(struct ctl *ctl, const char *value)
{
    ctl->name = value;
    return value[0] != '\0';
}

static bool take_priority(struct ctl *ctl, const char *value)
{
    return take_number(value, UINT32_MAX, &ctl->priority);
}

static bool take_low(struct ctl *ctl, const char *value)
{
    ctl->has_low = value_parse_signed(value, &ctl->low);
    return ctl->has_low;
}

static bool take_high(struct ctl *ctl, const char *value)
{
    ctl->has_high = value_parse_signed(value, &ctl->high);
    return ctl->has_high;
}

static bool take_wait(struct ctl *ctl, const char *value)
{
    return value_parse_duration(value, 365 * DAY_MS, &ctl->wait_ms);
}

static bool take_guard(struct ctl *ctl, const char *value)
{
    struct guards guards;
    bool ok = guards_parse(&guards, value);
    guards_clear(&guards);
    ctl->guard = value;
    return ok;
}

static bool take_check(struct ctl *ctl, const char *value)
{
    ctl->check = value;
    return strcmp(value, "tcp") == 0 || strcmp(value, "heartbeat") == 0 || value[0] == '/';
}

/* A decimal number, not negative. */
static bool take_decimal(struct ctl *ctl, const char *value, double max, double *out)
{
    char *end;
    bool has_digits = value[strspn(value, "0123456789.")] == '\0' && value[0] != '\0';
    double number = strtod(value, &end);
    *out = number;
    ctl->has_load = true;
    return has_digits && *end == '\0' && number <= max;
}

static bool take_cpu(struct ctl *ctl, const char *value)
{
    return take_decimal(ctl, value, 1, &ctl->load.cpu);
}

static bool take_mem(struct ctl *ctl, const char *value)
{
    return take_decimal(ctl, value, 1, &ctl->load.mem);
}

static bool take_qps(struct ctl *ctl, const char *value)
{
    return take_decimal(ctl, value, 1e12, &ctl->load.qps);
}

static bool take_latency(struct ctl *ctl, const char *value)
{
    uint64_t ms = 0;
    bool ok = value_parse_duration(value, 3600000, &ms);
    ctl->load.avg_latency_ms = (double)ms;
    ctl->has_load = true;
    return ok;
}

static bool take_queue(struct ctl *ctl, const char *value)
{
    ctl->has_load = true;
    return value_parse_number(value, UINT64_MAX, &ctl->load.queue_length);
}

static bool take_health(struct ctl *ctl, const char *value)
{
    static const char *const names[] = {"passing", "slow", "unstable", "suspected_down", "down"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i]) == 0 && ctl->health_count < CTL_HEALTHS_MAX) {
            ctl->healths[ctl->health_count++] = (enum coord_health)i;
            return true;
        }
    }
    return false;
}

static bool take_check_interval(struct ctl *ctl, const char *value)
{
    return value_parse_duration(value, 3600000, &ctl->check_interval_ms);
}

#define FLAG(field) .flag = offsetof(struct ctl, field)

const struct option options[] = {
    {.name = "endpoints",
     .value = "HOST:PORT,...",
     .environment = "COORD_ENDPOINTS",
     .help = "members to talk to, default 127.0.0.1:7400; coords://... over TLS",
     .take = take_endpoints,
     .is_common = true},
    {.name = "cacert",
     .value = "FILE",
     .environment = "COORD_CACERT",
     .help = "speak TLS with members whose certificates these CAs have signed, PEM",
     .expected = "a file",
     .take = take_cacert,
     .is_common = true},
    {.name = "cert",
     .value = "FILE",
     .environment = "COORD_CERT",
     .help = "speak TLS and show this certificate, PEM",
     .expected = "a file",
     .take = take_cert,
     .is_common = true},
    {.name = "key",
     .value = "FILE",
     .environment = "COORD_KEY",
     .help = "the key of --cert, PEM",
     .expected = "a file",
     .take = take_key,
     .is_common = true},
    {.name = "server-name",
     .value = "NAME",
     .environment = "COORD_SERVER_NAME",
     .help = "what the members' certificates must carry, default the endpoint's host",
     .expected = "a name",
     .take = take_server_name,
     .is_common = true},
    {.name = "insecure-skip-verify",
     .environment = "COORD_INSECURE_SKIP_VERIFY",
     .help = "speak TLS with whoever answers",
     .is_common = true,
     FLAG(tls.skip_verify)},
    {.name = "timeout",
     .value = "TIME",
     .environment = "COORD_TIMEOUT",
     .help = "of the whole call, default 5s; 500ms, 2s, 1m, 1h are fine",
     .expected = "a time such as 500ms, 2s or 1m",
     .take = take_timeout,
     .is_common = true},
    {.name = "consistency",
     .value = "HOW",
     .environment = "COORD_CONSISTENCY",
     .help = "of reads: linearizable (default), session, bounded=TIME, local",
     .expected = "linearizable, session, bounded=TIME or local",
     .choices = "linearizable session bounded= local",
     .take = take_consistency,
     .is_common = true},
    {.name = "output",
     .letter = 'o',
     .value = "FORMAT",
     .environment = "COORD_OUTPUT",
     .help = "table (default), wide, json, jsonl, yaml, raw, name; lock explain: dot",
     .expected = "table, wide, json, jsonl, yaml, raw or name",
     .choices = "table wide json jsonl yaml raw name",
     .take = take_output,
     .is_common = true},
    {.name = "context",
     .value = "CONTEXT",
     .help = "options kept under this name, see coordctl context",
     .expected = "a name",
     .take = take_context,
     .is_common = true},
    {.name = "user",
     .value = "NAME[:PASSWORD]",
     .environment = "COORD_USER",
     .help = "who asks; password from COORD_PASSWORD, or asked for",
     .take = take_user,
     .is_common = true},
    {.name = "token-file",
     .value = "FILE",
     .environment = "COORD_TOKEN_FILE",
     .help = "a token in place of these, as auth login prints it",
     .expected = "a file",
     .take = take_token_file,
     .is_common = true},
    {.name = "note",
     .value = "TEXT",
     .help = "why; kept in the history of what is written",
     .take = take_note,
     .is_common = true},
    {.name = "help",
     .letter = 'h',
     .help = "explain coordctl, or the command",
     .is_common = true,
     FLAG(wants_help)},
    {.name = "sequential", .help = "append the parent's counter to the path", FLAG(sequential)},
    {.name = "parents",
     .letter = 'p',
     .help = "create missing ancestors, empty",
     FLAG(parents)},
    {.name = "recursive", .letter = 'r', .help = "with all that is below", FLAG(recursive)},
    {.name = "dry-run", .letter = 'n', .help = "only count", FLAG(dry_run)},
    {.name = "long",
     .letter = 'l',
     .help = "with more about each: kind, version, size, children; or health and load",
     FLAG(long_format)},
    {.name = "version",
     .value = "N",
     .environment = "COORD_EXPECT_VERSION",
     .help = "only if the node has this version; -1 for any",
     .expected = "a version: a number from 0, or -1 for any",
     .take = take_version},
    {.name = "file",
     .letter = 'f',
     .value = "FILE",
     .help = "what to do; - for standard input",
     .expected = "a file",
     .choices = "file",
     .take = take_file},
    {.name = "ephemeral",
     .letter = 'e',
     .help = "goes with its session or lease",
     FLAG(ephemeral)},
    {.name = "deny", .help = "rights that are denied", FLAG(deny)},
    {.name = "container", .help = "goes when its last child has gone", FLAG(container)},
    {.name = "children", .help = "the children of PATH, not itself", FLAG(children)},
    {.name = "prefix", .help = "every path that begins like PATH", FLAG(prefix)},
    {.name = "prev", .help = "with the value before", FLAG(prev)},
    {.name = "once", .help = "end after the first", FLAG(once)},
    {.name = "list", .help = "first what there is, then what changes", FLAG(list)},
    {.name = "keys-only", .help = "without values", FLAG(keys_only)},
    {.name = "reverse", .help = "the newest first", FLAG(reverse)},
    {.name = "force", .help = "replace a file that is there", FLAG(force)},
    {.name = "paths", .help = "with the nodes attached to it", FLAG(paths)},
    {.name = "not-renewable", .help = "lives for its TTL and not longer", FLAG(not_renewable)},
    {.name = "learner", .help = "it stays a standby: serves, and does not vote", FLAG(learner)},
    {.name = "limit",
     .value = "N",
     .help = "at most so many",
     .expected = "a number from 1",
     .take = take_limit},
    {.name = "depth",
     .value = "N",
     .help = "levels below PATH, with --recursive",
     .expected = "a number from 1",
     .take = take_depth},
    {.name = "from-revision",
     .value = "N",
     .help = "from this revision on",
     .expected = "a revision: a number from 1",
     .take = take_from_revision},
    {.name = "rev",
     .value = "N",
     .help = "as it was at this revision",
     .expected = "a revision: a number from 1",
     .take = take_rev},
    {.name = "lease",
     .value = "ID",
     .help = "the lease that it belongs to",
     .expected = "a lease's id: hexadecimal digits",
     .take = take_lease},
    {.name = "ttl",
     .value = "TIME",
     .help = "how long it lives",
     .expected = "a time such as 500ms, 10s, 2m or 1h",
     .take = take_ttl},
    {.name = "session-ttl",
     .value = "TIME",
     .help = "of the session that is opened, default 10s",
     .expected = "a time such as 500ms, 10s, 2m or 1h",
     .take = take_session_ttl},
    {.name = "bytes",
     .value = "SIZE",
     .help = "at most so much: 64M",
     .expected = "a size such as 1048576, 64M or 1G",
     .take = take_bytes},
    {.name = "age",
     .value = "TIME",
     .help = "keep what is at most so old: 1h",
     .expected = "a time such as 10m or 24h",
     .take = take_age},
    {.name = "revisions",
     .value = "N",
     .help = "but at least so many revisions",
     .expected = "a number from 1",
     .take = take_revisions},
    {.name = "nodes",
     .value = "N",
     .help = "at most so many nodes",
     .expected = "a number from 1",
     .take = take_nodes},
    {.name = "soft",
     .value = "PERCENT",
     .help = "warn from so much of either on",
     .expected = "a percentage from 1 to 100",
     .take = take_soft},
    {.name = "requests-per-second",
     .value = "N",
     .help = "at each member; 0: as many as wanted",
     .expected = "a number from 0",
     .take = take_requests},
    {.name = "leases",
     .value = "N",
     .help = "with sessions, in the cluster; 0: as many as wanted",
     .expected = "a number from 0",
     .take = take_leases},
    {.name = "versions",
     .value = "N",
     .help = "of each key that are kept, default 100",
     .expected = "a number from 1",
     .take = take_versions},
    {.name = "plan", .help = "begin when it is promoted, not at once", FLAG(plan)},
    {.name = "strategy",
     .value = "NAME",
     .help = "canary, blue-green or progressive (default)",
     .expected = "canary, blue-green or progressive",
     .choices = "canary blue-green progressive",
     .take = take_strategy},
    {.name = "percents",
     .value = "N,...",
     .help = "of instances that see the value, step by step: 10,50,100",
     .expected = "percentages, separated by commas",
     .take = take_percents},
    {.name = "step",
     .value = "TIME",
     .help = "from one step to the next; without it by hand",
     .expected = "a time such as 30s, 10m or 1h",
     .take = take_step},
    {.name = "labels",
     .value = "NAME=VALUE,...",
     .help = "of instances",
     .expected = "labels, separated by commas",
     .take = take_labels},
    {.name = "ids",
     .value = "ID,...",
     .help = "instances that are there from the first step on",
     .expected = "ids of instances, separated by commas",
     .take = take_ids},
    {.name = "gate",
     .value = "PATH=VALUE",
     .help = "roll back when this node has another value",
     .expected = "a path and a value: /health/shop=ok",
     .take = take_gate},
    {.name = "open", .help = "let plain writes in, unvalidated", FLAG(open)},
    {.name = "session",
     .value = "ID:SECRET",
     .environment = "COORD_SESSION",
     .help = "an open session, as session open prints it",
     .expected = "a session as session open prints it: ID:SECRET",
     .take = take_session},
    {.name = "guard",
     .value = "PATH@REVISION",
     .environment = "COORD_GUARD",
     .help = "only while this grant is held, as lock prints it; several with commas",
     .expected = "a grant as lock prints it: PATH@REVISION",
     .take = take_guard},
    {.name = "try", .help = "only if it can be had at once", FLAG(try_only)},
    {.name = "wait",
     .value = "TIME",
     .help = "so long at most; without it as long as it takes",
     .expected = "a time such as 500ms, 10s, 2m or 1h",
     .take = take_wait},
    {.name = "name",
     .value = "NAME",
     .help = "of the candidate, by which others hand over to it",
     .expected = "a name",
     .take = take_name},
    {.name = "priority",
     .value = "N",
     .help = "of the candidate, in an election of the highest priority",
     .expected = "a number from 1",
     .take = take_priority},
    {.name = "read", .help = "together with others that read", FLAG(read_only)},
    {.name = "write", .help = "alone; so it is if nothing is said", FLAG(write_only)},
    {.name = "permits",
     .value = "N",
     .help = "so many of the permits of a semaphore; --limit says of how many",
     .expected = "a number from 1",
     .take = take_permits},
    {.name = "min",
     .value = "N",
     .help = "of what is left of a counter at least",
     .expected = "a number, such as 0 or -5",
     .take = take_low},
    {.name = "max",
     .value = "N",
     .help = "of a counter, or of ids the last one, at most",
     .expected = "a number, such as 100 or -5",
     .take = take_high},
    {.name = "owner", .value = "TEXT", .help = "who it is for, for people", .take = take_owner},
    {.name = "glob",
     .value = "PATTERN",
     .help = "only names that match: * ? [a-z] [!a-z]",
     .expected = "a pattern",
     .take = take_glob},
    {.name = "types",
     .value = "TYPE,...",
     .help = "only these: created, set, deleted",
     .expected = "a list of created, set, deleted",
     .choices = "created set deleted",
     .take = take_types},
    {.name = "protocol",
     .value = "NAME",
     .help = "grpc (default), zookeeper, or etcd for a server of etcd's",
     .expected = "grpc, zookeeper or etcd",
     .choices = "grpc zookeeper etcd",
     .take = take_protocol},
    {.name = "connections",
     .letter = 'c',
     .value = "N",
     .help = "bench: over the endpoints, default 16; user: to each member, 0 for any",
     .expected = "a number from 0",
     .take = take_connections},
    {.name = "in-flight",
     .value = "N",
     .help = "requests under way on each connection, default 16",
     .expected = "a number from 1 to 10000",
     .take = take_in_flight},
    {.name = "keys",
     .value = "N",
     .help = "nodes that are worked on, default 10000",
     .expected = "a number from 1 to 100000000",
     .take = take_keys},
    {.name = "locks",
     .value = "N",
     .help = "that are worked on, default 1000",
     .expected = "a number from 1 to 1000000",
     .take = take_keys},
    {.name = "value-size",
     .value = "SIZE",
     .help = "of each node, default 100",
     .expected = "a size of at most 1M",
     .take = take_value_bytes},
    {.name = "write-percent",
     .value = "N",
     .help = "of 100 requests so many are writes, default 10",
     .expected = "a number from 1 to 100",
     .take = take_write_percent},
    {.name = "watches",
     .value = "N",
     .help = "bench: in all, default one a connection; user: at each member, 0 for any",
     .expected = "a number from 0",
     .take = take_watches},
    {.name = "duration",
     .letter = 'd',
     .value = "TIME",
     .help = "how long is measured, default 5s",
     .expected = "a time such as 500ms, 10s or 2m",
     .take = take_duration},
    {.name = "warm-up",
     .value = "TIME",
     .help = "how long nothing is measured before, default 1s; 0 for none",
     .expected = "a time such as 500ms or 10s, or 0",
     .take = take_warm_up},
    {.name = "path",
     .value = "PATH",
     .environment = "COORD_BENCH_PATH",
     .help = "parent of the nodes that are made, default a new one below /",
     .expected = "a path below /",
     .take = take_path},
    {.name = "keep", .help = "leave the nodes there", FLAG(keep)},
    {.name = "retry",
     .help = "go on when connections break and requests are refused",
     FLAG(retry)},
    {.name = "id",
     .value = "ID",
     .help = "of the instance, default ADDRESS:PORT",
     .expected = "an id",
     .take = take_id},
    {.name = "tag",
     .value = "TAG",
     .help = "one that it has; may be given up to 32 times",
     .expected = "a tag, of which there are at most 32",
     .take = take_tag},
    {.name = "zone",
     .value = "ZONE",
     .help = "where it is",
     .expected = "a zone",
     .take = take_zone},
    {.name = "weight",
     .value = "N",
     .help = "its share of the work, default 100",
     .expected = "a number from 1 to 10000",
     .take = take_weight},
    {.name = "meta",
     .value = "NAME=VALUE",
     .help = "what else is to be known of it; may be given up to 32 times",
     .expected = "NAME=VALUE, of which there are at most 32",
     .take = take_meta},
    {.name = "check",
     .value = "WHAT",
     .help = "how it is known whether it is well: tcp, the path of an HTTP page, or heartbeat",
     .expected = "tcp, heartbeat, or a path that begins with /",
     .choices = "tcp heartbeat",
     .take = take_check},
    {.name = "check-interval",
     .value = "TIME",
     .help = "from one check, or heartbeat, to the next, default 10s",
     .expected = "a time such as 500ms, 10s or 1m",
     .take = take_check_interval},
    {.name = "cpu",
     .value = "PART",
     .help = "of its processors is busy",
     .expected = "a number from 0 to 1",
     .take = take_cpu},
    {.name = "mem",
     .value = "PART",
     .help = "of its memory is taken",
     .expected = "a number from 0 to 1",
     .take = take_mem},
    {.name = "qps",
     .value = "N",
     .help = "pieces of work that it does in a second",
     .expected = "a number from 0 to 1e12",
     .take = take_qps},
    {.name = "latency",
     .value = "TIME",
     .help = "that one takes on average",
     .expected = "a time such as 12ms or 1.5s",
     .take = take_latency},
    {.name = "queue",
     .value = "N",
     .help = "pieces of work that wait or are under way",
     .expected = "a number from 0",
     .take = take_queue},
    {.name = "health",
     .value = "STATE",
     .help = "only those that are so; may be given more than once",
     .expected = "passing, slow, unstable, suspected_down or down",
     .choices = "passing slow unstable suspected_down down",
     .take = take_health},
    {.name = "reports", .help = "new load and suspicion too, at most once a second", FLAG(reports)},
    {.name = "only-new", .help = "not if there is one with this id", FLAG(only_new)},
    {.name = "undo", .help = "it shall get work again", FLAG(undo)},
    {.name = "all", .help = "those too that shall get no work", FLAG(all)},
    {.name = "processes",
     .value = "PID,...",
     .help = "of servers on this machine, whose CPU time is read from /proc",
     .expected = "process ids, separated by commas",
     .take = take_processes},
    {.name = "acl", .help = "with access control lists", FLAG(with_acl)},
    {.name = "conflict",
     .value = "HOW",
     .help = "with nodes that are there: fail (default), keep or replace their values",
     .expected = "fail, keep or replace",
     .choices = "fail keep replace",
     .take = take_conflict},
    {.name = "diff", .help = "how each value became what it is", FLAG(diff)},
    {.name = "exec",
     .value = "COMMAND",
     .help = "run it in a shell for each change, with the change in its environment",
     .expected = "a command",
     .take = take_exec},
    {.name = "interval",
     .value = "TIME",
     .help = "between two rounds; of top 1s if it is not given",
     .expected = "a time from 100ms on, such as 500ms or 5s",
     .take = take_interval},
};
const size_t option_count = sizeof options / sizeof options[0];
static_assert(sizeof options / sizeof options[0] <= OPTIONS_MAX, "options of one command line");
