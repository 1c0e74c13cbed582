#include "cmd/coordctl/option_values.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/coordctl/guards.h"
#include "cmd/coordctl/load/load.h"
#include "cmd/coordctl/values.h"

bool option_take(struct ctl *ctl, const struct option *o, const char *value)
{
    void *field = (char *)ctl + o->field;
    switch (o->form) {
    case OPTION_FLAG: *(bool *)field = true; return true;
    case OPTION_TEXT: *(const char **)field = value; return value[0] != '\0';
    case OPTION_ANY_TEXT: *(const char **)field = value; return true;
    case OPTION_NUMBER:
        return value_parse_number(value, o->max, field) && *(const uint64_t *)field > 0;
    case OPTION_TIME: return value_parse_duration(value, o->max, field);
    case OPTION_OTHER: break;
    }
    return o->take(ctl, value);
}

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

bool option_take_timeout(struct ctl *ctl, const char *value)
{
    uint64_t ms = 0;
    bool ok = value_parse_duration(value, DAY_MS, &ms);
    ctl->options.timeout_ms = (uint32_t)ms;
    return ok;
}

bool option_take_consistency(struct ctl *ctl, const char *value)
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

bool option_take_output(struct ctl *ctl, const char *value)
{
    static const char *const names[] = {
        [OUTPUT_TABLE] = "table", [OUTPUT_WIDE] = "wide", [OUTPUT_JSON] = "json",
        [OUTPUT_JSONL] = "jsonl", [OUTPUT_YAML] = "yaml", [OUTPUT_RAW] = "raw",
        [OUTPUT_NAME] = "name",   [OUTPUT_DOT] = "dot"};
    int number = 0;
    bool ok = find_name(value, names, sizeof names / sizeof names[0], &number);
    ctl->output = (enum ctl_output)number;
    return ok;
}

bool option_take_version(struct ctl *ctl, const char *value)
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

bool option_take_session(struct ctl *ctl, const char *value)
{
    ctl->has_session = true;
    return value_parse_session(value, &ctl->session);
}

bool option_take_types(struct ctl *ctl, const char *value)
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

bool option_take_lease(struct ctl *ctl, const char *value)
{
    return value_parse_id(value, &ctl->lease);
}

bool option_take_bytes(struct ctl *ctl, const char *value)
{
    return value_parse_size(value, &ctl->bytes) && ctl->bytes > 0;
}

bool option_take_soft(struct ctl *ctl, const char *value)
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

bool option_take_requests(struct ctl *ctl, const char *value)
{
    uint64_t number = 0;
    return take_user_limit(ctl, value, 0, &number);
}

bool option_take_leases(struct ctl *ctl, const char *value)
{
    uint64_t number = 0;
    return take_user_limit(ctl, value, 3, &number);
}

bool option_take_percents(struct ctl *ctl, const char *value)
{
    ctl->percents = value;
    return value[0] != '\0' && value[strspn(value, "0123456789,")] == '\0';
}

bool option_take_strategy(struct ctl *ctl, const char *value)
{
    static const char *const names[] = {"canary", "blue-green", "progressive"};
    int number;
    ctl->strategy = value;
    return find_name(value, names, sizeof names / sizeof names[0], &number);
}

bool option_take_connections(struct ctl *ctl, const char *value)
{
    return take_user_limit(ctl, value, 1, &ctl->connections);
}

bool option_take_watches(struct ctl *ctl, const char *value)
{
    return take_user_limit(ctl, value, 2, &ctl->watches);
}

bool option_take_value_bytes(struct ctl *ctl, const char *value)
{
    ctl->has_value_bytes = true;
    return value_parse_size(value, &ctl->value_bytes) &&
           ctl->value_bytes <= LOAD_VALUE_BYTES_MAX;
}

bool option_take_warm_up(struct ctl *ctl, const char *value)
{
    ctl->has_warm_up = true;
    return strcmp(value, "0") == 0 || value_parse_duration(value, DAY_MS, &ctl->warm_up_ms);
}

bool option_take_protocol(struct ctl *ctl, const char *value)
{
    for (int i = 0; i < LOAD_PROTOCOLS; i++) {
        if (strcmp(load_protocol_name((enum load_protocol)i), value) == 0) {
            ctl->protocol = i;
            return true;
        }
    }
    return false;
}

bool option_take_path(struct ctl *ctl, const char *value)
{
    ctl->path = value;
    return value[0] == '/' && value[1] != '\0';
}

bool option_take_processes(struct ctl *ctl, const char *value)
{
    ctl->processes = value;
    return value[0] != '\0' && value[strspn(value, "0123456789,")] == '\0';
}

bool option_take_interval(struct ctl *ctl, const char *value)
{
    return value_parse_duration(value, DAY_MS, &ctl->interval_ms) && ctl->interval_ms >= 100;
}

bool option_take_conflict(struct ctl *ctl, const char *value)
{
    static const char *const names[] = {
        [CONFLICT_FAIL] = "fail", [CONFLICT_KEEP] = "keep", [CONFLICT_REPLACE] = "replace"};
    int number = 0;
    bool ok = find_name(value, names, sizeof names / sizeof names[0], &number);
    ctl->conflict = (enum ctl_conflict)number;
    return ok;
}

bool option_take_tag(struct ctl *ctl, const char *value)
{
    if (value[0] == '\0' || ctl->tag_count == CTL_TAGS_MAX) {
        return false;
    }
    ctl->tags[ctl->tag_count++] = value;
    return true;
}

bool option_take_meta(struct ctl *ctl, const char *value)
{
    if (strchr(value, '=') == NULL || value[0] == '=' || ctl->meta_count == CTL_META_MAX) {
        return false;
    }
    ctl->meta[ctl->meta_count++] = value;
    return true;
}

bool option_take_low(struct ctl *ctl, const char *value)
{
    ctl->has_low = value_parse_signed(value, &ctl->low);
    return ctl->has_low;
}

bool option_take_high(struct ctl *ctl, const char *value)
{
    ctl->has_high = value_parse_signed(value, &ctl->high);
    return ctl->has_high;
}

bool option_take_guard(struct ctl *ctl, const char *value)
{
    struct guards guards;
    bool ok = guards_parse(&guards, value);
    guards_clear(&guards);
    ctl->guard = value;
    return ok;
}

bool option_take_check(struct ctl *ctl, const char *value)
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

bool option_take_cpu(struct ctl *ctl, const char *value)
{
    return take_decimal(ctl, value, 1, &ctl->load.cpu);
}

bool option_take_mem(struct ctl *ctl, const char *value)
{
    return take_decimal(ctl, value, 1, &ctl->load.mem);
}

bool option_take_qps(struct ctl *ctl, const char *value)
{
    return take_decimal(ctl, value, 1e12, &ctl->load.qps);
}

bool option_take_latency(struct ctl *ctl, const char *value)
{
    uint64_t ms = 0;
    bool ok = value_parse_duration(value, 3600000, &ms);
    ctl->load.avg_latency_ms = (double)ms;
    ctl->has_load = true;
    return ok;
}

bool option_take_queue(struct ctl *ctl, const char *value)
{
    ctl->has_load = true;
    return value_parse_number(value, UINT64_MAX, &ctl->load.queue_length);
}

bool option_take_health(struct ctl *ctl, const char *value)
{
    static const char *const names[] = {"passing", "slow", "unstable", "suspected_down",
                                        "down"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i]) == 0 && ctl->health_count < CTL_HEALTHS_MAX) {
            ctl->healths[ctl->health_count++] = (enum coord_health)i;
            return true;
        }
    }
    return false;
}
