/* bench: how fast the cluster is, measured with cmd/coordctl/load/ from here. */
#include "cmd/coordctl/bench.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cmd/coordctl/signals.h"
#include "cmd/coordctl/values.h"
#include "coord/v1/tree.pb-c.h"
#include "cmd/coordctl/load/load.h"

struct bench {
    struct ctl *ctl;
    struct load_options options;
    struct load_result result;
    struct endpoint endpoints[ENDPOINTS_MAX];
    char path[64];
    struct bench_servers before;
    struct bench_servers after;
    double own_cpu_s[2];
    struct signals signals;
    int signal;
    bool shows_progress;
    bool has_line; /* a progress line stands on the terminal */
    uint64_t last_count;
    double last_seconds;
};

/* ---- what is shown meanwhile --------------------------------------------------------------- */

static const char *format_us(double us, char text[24])
{
    if (us < 1000) {
        snprintf(text, 24, "%.0f us", us);
    } else if (us < 100000) {
        snprintf(text, 24, "%.2f ms", us / 1000);
    } else if (us < 1e6) {
        snprintf(text, 24, "%.0f ms", us / 1000);
    } else {
        snprintf(text, 24, "%.2f s", us / 1e6);
    }
    return text;
}

/* "12,345,678" */
static const char *format_count(double value, char text[32])
{
    char digits[24];
    size_t size = (size_t)snprintf(digits, sizeof digits, "%.0f", value);
    size_t to = 0;
    for (size_t i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) {
            text[to++] = ',';
        }
        text[to++] = digits[i];
    }
    text[to] = '\0';
    return text;
}

static bool on_progress(void *owner, const struct load_progress *p)
{
    struct bench *b = owner;
    char rate[32];
    char p99[24];
    int signal = signals_take(&b->signals);
    b->signal = signal != 0 ? signal : b->signal;
    if (b->shows_progress) {
        bool is_new = p->seconds < b->last_seconds || p->count < b->last_count;
        double seconds = is_new ? p->seconds : p->seconds - b->last_seconds;
        double count = (double)(is_new ? p->count : p->count - b->last_count);
        fprintf(stderr, "\r\033[K%s %5.1f s  %s/s  p99 %s", p->phase, p->seconds,
                format_count(seconds > 0 ? count / seconds : 0, rate),
                format_us((double)latency_percentile(p->latency, 99), p99));
        if (p->refused > 0) {
            fprintf(stderr, "  %" PRIu64 " refused", p->refused);
        }
        b->last_seconds = p->seconds;
        b->last_count = p->count;
        b->has_line = true;
    }
    return signal == 0;
}

static double own_cpu_s(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void on_edge(void *owner, bool is_end)
{
    struct bench *b = owner;
    if (is_end) {
        b->own_cpu_s[1] = own_cpu_s();
    }
    bench_servers_ask(is_end ? &b->after : &b->before, b->ctl);
    if (!is_end) {
        b->own_cpu_s[0] = own_cpu_s();
    }
}

/* ---- results ------------------------------------------------------------------------------ */

static bool knows_servers(const struct bench *b)
{
    return b->before.is_known && b->after.is_known && b->before.count == b->after.count;
}

/* Microseconds of all servers together for each request; NAN if it is not known. */
static double server_cpu_us(const struct bench *b)
{
    double total = 0;
    if (!knows_servers(b) || b->result.acknowledged == 0) {
        return NAN;
    }
    for (size_t i = 0; i < b->after.count; i++) {
        total += b->after.cpu_s[i] - b->before.cpu_s[i];
    }
    return total * 1e6 / (double)b->result.acknowledged;
}

/* What was ended before it began took no time. */
static double rate_of(const struct load_result *r)
{
    return r->seconds > 0 ? (double)r->acknowledged / r->seconds : 0;
}

static double own_cpu_us(const struct bench *b)
{
    return b->result.acknowledged == 0 ? 0
                                       : (b->own_cpu_s[1] - b->own_cpu_s[0]) * 1e6 /
                                             (double)b->result.acknowledged;
}

static json_t *json_us(const struct latency *l)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "p50_us",
                     (json_int_t)latency_percentile(l, 50), "p90_us",
                     (json_int_t)latency_percentile(l, 90), "p99_us",
                     (json_int_t)latency_percentile(l, 99), "p999_us",
                     (json_int_t)latency_percentile(l, 99.9), "max_us", (json_int_t)l->max);
}

static json_t *servers_json(const struct bench *b)
{
    json_t *array = json_array();
    for (size_t i = 0; knows_servers(b) && i < b->after.count; i++) {
        json_array_append_new(
            array,
            json_pack("{s:s, s:f, s:I, s:I}", "name", b->after.names[i], "cpu_s",
                      b->after.cpu_s[i] - b->before.cpu_s[i], "rss_before_bytes",
                      (json_int_t)b->before.rss_bytes[i], "rss_bytes",
                      (json_int_t)b->after.rss_bytes[i]));
    }
    return array;
}

static const char *consistency_name(enum coord_consistency consistency)
{
    static const char *const names[] = {[COORD_LINEARIZABLE] = "linearizable",
                                        [COORD_SESSION] = "session",
                                        [COORD_BOUNDED] = "bounded",
                                        [COORD_LOCAL] = "local"};
    return names[consistency];
}

static void print_json(const struct bench *b)
{
    const struct load_options *o = &b->options;
    const struct load_result *r = &b->result;
    double cpu = server_cpu_us(b);
    json_t *all = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:f, s:o}", "work",
        load_work_name(o->work), "protocol", load_protocol_name(o->protocol), "consistency",
        o->protocol == LOAD_ZOOKEEPER ? "session" : consistency_name(o->consistency),
        "connections", (json_int_t)o->connections, "in_flight", (json_int_t)o->in_flight, "keys",
        (json_int_t)o->keys, "value_bytes", (json_int_t)o->value_bytes, "seconds", r->seconds,
        "acknowledged", (json_int_t)r->acknowledged, "writes", (json_int_t)r->writes, "refused",
        (json_int_t)r->refused, "lost", (json_int_t)r->lost, "ops_per_s",
        rate_of(r), "latency", json_us(&r->latency));
    json_object_set_new(all, "longest_gap_us", json_integer((json_int_t)r->longest_gap_us));
    json_object_set_new(all, "revision_rise",
                        r->knows_revision ? json_integer((json_int_t)r->revision_rise)
                                          : json_null());
    json_object_set_new(all, "server_cpu_us_per_op", isnan(cpu) ? json_null() : json_real(cpu));
    json_object_set_new(all, "client_cpu_us_per_op", json_real(own_cpu_us(b)));
    json_object_set_new(all, "servers", servers_json(b));
    if (load_takes_turns(o->work)) {
        json_object_set_new(all, "hand_over", json_us(&r->last));
    }
    if (o->work == LOAD_WATCH) {
        json_object_set_new(all, "watches", json_integer((json_int_t)o->watches));
        json_object_set_new(all, "last_event", json_us(&r->last));
    }
    if (r->error[0] != '\0') {
        json_object_set_new(all, "first_refusal", json_string(r->error));
    }
    ctl_print_json(b->ctl, all);
}

static void print_latency(const char *what, const struct latency *l)
{
    char text[5][24];
    printf("  %-9s p50 %s  p90 %s  p99 %s  p99.9 %s  max %s\n", what,
           format_us((double)latency_percentile(l, 50), text[0]),
           format_us((double)latency_percentile(l, 90), text[1]),
           format_us((double)latency_percentile(l, 99), text[2]),
           format_us((double)latency_percentile(l, 99.9), text[3]),
           format_us((double)l->max, text[4]));
}

static void print_title(const struct bench *b)
{
    const struct load_options *o = &b->options;
    char size[16];
    printf("%s, %s", load_work_name(o->work), load_protocol_name(o->protocol));
    if (o->work == LOAD_READ || o->work == LOAD_MIXED) {
        printf(", %s", o->protocol == LOAD_ZOOKEEPER ? "session"
                                                     : consistency_name(o->consistency));
    }
    printf(": %zu connections x %zu in flight", o->connections, o->in_flight);
    if (o->work == LOAD_WATCH) {
        printf(", %zu watches", o->watches);
    } else if (load_takes_turns(o->work)) {
        printf(", %" PRIu64 " %s%s", o->keys, o->work == LOAD_LOCK ? "lock" : "election",
               o->keys == 1 ? "" : "s");
    } else if (o->work != LOAD_SESSION && o->work != LOAD_CREATE) {
        printf(", %" PRIu64 " nodes", o->keys);
    }
    if (o->work != LOAD_SESSION && !load_takes_turns(o->work)) {
        printf(", values of %s", value_format_size(o->value_bytes, size));
    }
    printf("\n");
}

static void print_servers(const struct bench *b)
{
    char size[16];
    if (!knows_servers(b)) {
        return;
    }
    double cpu = server_cpu_us(b);
    printf("  %-9s %.1f us CPU for each, all together; RSS", "servers", isnan(cpu) ? 0 : cpu);
    for (size_t i = 0; i < b->after.count; i++) {
        printf(" %s %s", b->after.names[i], value_format_size(b->after.rss_bytes[i], size));
    }
    printf("\n");
}

static void print_table(const struct bench *b)
{
    const struct load_result *r = &b->result;
    char rate[32];
    char count[32];
    print_title(b);
    printf("  %s/s, %s %s in %.1f s", format_count(rate_of(r), rate),
           format_count((double)r->acknowledged, count),
           b->options.work == LOAD_WATCH   ? "events"
           : b->options.work == LOAD_LOCK  ? "pairs of acquire and release"
           : b->options.work == LOAD_ELECT ? "pairs of campaign and resign"
                                           : "acknowledged",
           r->seconds);
    if (r->refused + r->lost > 0) {
        printf(", %" PRIu64 " refused, %" PRIu64 " lost", r->refused, r->lost);
    }
    printf("\n");
    print_latency("latency", &r->latency);
    if (b->options.work == LOAD_WATCH) {
        print_latency("last one", &r->last);
    } else if (load_takes_turns(b->options.work) && r->last.total > 0) {
        print_latency("hand-over", &r->last);
    }
    print_servers(b);
    printf("  %-9s %.1f us CPU for each\n", "client", own_cpu_us(b));
    if (r->knows_revision) {
        printf("  %-9s rose by %s, %s writes were acknowledged\n", "revision",
               format_count((double)r->revision_rise, rate),
               format_count((double)r->writes, count));
    }
}

/* ---- the command -------------------------------------------------------------------------- */

static enum load_work work_of(const struct command *command)
{
    const char *verb = strchr(command->name, ' ') + 1;
    for (int i = 0; i < LOAD_WORKS; i++) {
        if (strcmp(load_work_name((enum load_work)i), verb) == 0) {
            return (enum load_work)i;
        }
    }
    return LOAD_WRITE;
}

static uint64_t or_else(uint64_t value, uint64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static void take_options(struct bench *b)
{
    struct ctl *ctl = b->ctl;
    struct load_options *o = &b->options;
    o->work = work_of(ctl->command);
    o->protocol = (enum load_protocol)ctl->protocol;
    o->endpoints = b->endpoints;
    /* Shared with `user limit`, for which 0 is a number as well; load_check refuses it here. */
    o->connections = ctl->user_limits[1] != 0 ? ctl->connections : 16;
    bool one = o->work == LOAD_WATCH ||
               (o->work == LOAD_SESSION && o->protocol == LOAD_ZOOKEEPER);
    o->in_flight = or_else(ctl->in_flight, one ? 1 : 16);
    o->keys = or_else(ctl->keys, load_takes_turns(o->work) ? 1000 : 10000);
    o->value_bytes = ctl->has_value_bytes ? ctl->value_bytes : 100;
    o->write_percent = (unsigned)or_else(ctl->write_percent, 10);
    o->watches = ctl->user_limits[2] != 0 ? ctl->watches : o->connections;
    o->duration_ms = or_else(ctl->duration_ms, 5000);
    o->warm_up_ms = ctl->has_warm_up ? ctl->warm_up_ms : 1000;
    o->session_ttl_ms = or_else(ctl->ttl_ms, 30000);
    o->consistency = ctl->options.consistency;
    o->bound_ms = ctl->options.bound_ms;
    o->keep = ctl->keep || (o->protocol == LOAD_ETCD && ctl->path != NULL);
    o->retry = ctl->retry;
    o->timeout_ms = ctl->options.timeout_ms > 0 ? ctl->options.timeout_ms : 5000;
    snprintf(b->path, sizeof b->path, "/bench-%lx", (unsigned long)getpid());
    o->path = ctl->path != NULL ? ctl->path : b->path;
    o->hooks = (struct load_hooks){.progress = on_progress, .edge = on_edge, .owner = b};
}

/* Endpoints, and who we are. A token for gRPC is got by a first call. */
static int take_access(struct bench *b, struct wire_tls *tls)
{
    struct ctl *ctl = b->ctl;
    char why[128];
    const char *text = ctl->options.endpoints != NULL ? ctl->options.endpoints : "127.0.0.1";
    (void)endpoints_scheme(&text);
    b->options.endpoint_count = endpoints_parse(text, b->endpoints, why, sizeof why);
    if (b->options.endpoint_count == 0) {
        return ctl_usage("%s", why);
    }
    b->options.tls = client_tls(ctl->client, tls);
    /* Without a user there is no token, and one call that a slow server does not answer in time is
     * no reason to give up what is to go on whatever happens. */
    bool wants_token = !ctl->retry || ctl->options.user != NULL;
    if (b->options.protocol == LOAD_GRPC && wants_token) {
        Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
        Coord__V1__SyncRequest request = COORD__V1__SYNC_REQUEST__INIT;
        ProtobufCMessage *reply;
        request.header = &header;
        int exit_code = ctl_call(ctl, CLIENT_SYNC, &request.base, &header, &reply);
        if (exit_code != EXIT_DONE) {
            return exit_code;
        }
        client_reply_free(reply);
        b->options.authorization = client_authorization(ctl->client);
    } else if (b->options.protocol == LOAD_ZOOKEEPER && ctl->options.user != NULL) {
        static char digest[2 * CREDENTIALS_BYTES_MAX];
        snprintf(digest, sizeof digest, "%s:%s", ctl->options.user,
                 ctl->options.password != NULL ? ctl->options.password : "");
        b->options.digest = digest;
    }
    return EXIT_DONE;
}

static int judge(const struct bench *b)
{
    const struct load_result *r = &b->result;
    if (r->refused + r->lost > 0 && !b->options.retry) {
        return ctl_general(b->ctl, "%" PRIu64 " requests were refused, the first one: %s",
                           r->refused + r->lost, r->error);
    }
    if (r->knows_revision && r->revision_rise < r->writes) {
        return ctl_general(b->ctl,
                           "%" PRIu64 " writes were acknowledged, but the revision rose by "
                           "%" PRIu64,
                           r->writes, r->revision_rise);
    }
    return b->signal != 0 ? ctl_signal_exit(b->signal) : EXIT_DONE;
}

static int run(struct bench *b)
{
    char why[300];
    bool fine = load_run(&b->options, &b->result, why, sizeof why);
    if (b->has_line) {
        fputs("\r\033[K", stderr);
    }
    if (b->result.has_left_nodes) {
        fprintf(stderr, "coordctl: %s: what was made below %s is still there\n",
                b->ctl->command->name, b->options.path);
    }
    if (!fine) {
        return ctl_general(b->ctl, "%s", why);
    }
    if (ctl_is_json(b->ctl)) {
        print_json(b);
    } else {
        print_table(b);
    }
    return judge(b);
}

int ctl_bench(struct ctl *ctl)
{
    struct wire_tls tls;
    struct bench *b = calloc(1, sizeof *b);
    if (b == NULL) {
        return ctl_general(ctl, "no memory");
    }
    b->ctl = ctl;
    b->shows_progress = isatty(STDERR_FILENO) != 0;
    take_options(b);
    const char *wrong = ctl->options.chroot == NULL || ctl->options.chroot[0] == '\0'
                            ? load_check(&b->options)
                            : "it takes no --chroot: --path says where it works";
    int exit_code = EXIT_USAGE;
    if (wrong != NULL) {
        (void)ctl_usage("%s: %s", ctl->command->name, wrong);
    } else {
        exit_code = take_access(b, &tls);
    }
    if (exit_code == EXIT_DONE && !signals_open(&b->signals)) {
        exit_code = ctl_general(ctl, "signals cannot be taken");
    } else if (exit_code == EXIT_DONE) {
        exit_code = run(b);
        signals_close(&b->signals);
    }
    free(b);
    return exit_code;
}
