/* svc: deregister, drain, get, watch. */
#include "cmd/coordctl/svc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/instance.h"
#include "cmd/coordctl/signals.h"
#include "cmd/coordctl/values.h"
#include "coord/v1/discovery.pb-c.h"

/* ---- how an instance is shown ------------------------------------------------------------- */

bool svc_parse_address(const char *text, char host[256], unsigned *port)
{
    uint64_t number = 0;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !value_parse_number(colon + 1, UINT16_MAX, &number) || number == 0) {
        return false;
    }
    size_t size = (size_t)(colon - text);
    bool has_brackets = size > 2 && text[0] == '[' && text[size - 1] == ']';
    text += has_brackets;
    size -= has_brackets ? 2 : 0;
    if (size == 0 || size > 255 || (!has_brackets && memchr(text, ':', size) != NULL)) {
        return false;
    }
    memcpy(host, text, size);
    host[size] = '\0';
    *port = (unsigned)number;
    return true;
}

const char *svc_health_name(enum coord_health health)
{
    static const char *const names[] = {"passing", "slow", "unstable", "suspected_down", "down"};
    return (unsigned)health <= COORD_HEALTH_DOWN ? names[health] : "unknown";
}

static json_t *vitals_json(const struct coord_vitals *v)
{
    json_t *load = json_null();
    if (!v->is_known) {
        return json_null();
    }
    if (v->has_load) {
        load = json_pack("{s:f, s:f, s:f, s:f, s:I, s:I}", "cpu", v->load.cpu, "mem",
                         v->load.mem, "qps", v->load.qps, "avg_latency_ms",
                         v->load.avg_latency_ms, "queue_length",
                         (json_int_t)v->load.queue_length, "age_ms",
                         (json_int_t)v->load_age_ms);
    }
    return json_pack("{s:o, s:I, s:f}", "load", load, "silence_ms", (json_int_t)v->silence_ms,
                     "phi", v->phi);
}

static json_t *instance_json(const struct coord_instance *in)
{
    json_t *tags = json_array();
    json_t *metadata = json_object();
    for (size_t i = 0; i < in->tag_count; i++) {
        json_array_append_new(tags, json_string(in->tags[i]));
    }
    for (size_t i = 0; i < in->metadata_count; i++) {
        json_object_set_new(metadata, in->metadata[i].name, json_string(in->metadata[i].value));
    }
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:o, s:o, s:b, s:s, s:o, s:o, s:I, s:I, s:s}",
                     "service", in->service, "id", in->id, "address", in->address, "port",
                     (int)in->port, "weight", (int)in->weight, "zone", in->zone, "tags", tags,
                     "metadata", metadata, "draining", (int)in->draining, "health",
                     svc_health_name(in->health), "vitals", vitals_json(&in->vitals), "lease",
                     ctl_json_hex(in->lease), "revision", (json_int_t)in->revision,
                     "modify_revision", (json_int_t)in->modify_revision, "path", in->path);
}

static void append_vitals(struct buf *line, const struct coord_vitals *v)
{
    char age[32];
    if (v->has_load) {
        buf_printf(line, "  cpu %.2f  mem %.2f  qps %.6g  latency %.6gms  queue %" PRIu64,
                   v->load.cpu, v->load.mem, v->load.qps, v->load.avg_latency_ms,
                   v->load.queue_length);
    }
    if (v->is_known) {
        value_format_duration(v->silence_ms, age, sizeof age);
        buf_printf(line, "  phi %.1f  heard %s ago", v->phi, age);
    }
}

/* "ID  ADDRESS:PORT  weight 100  zone a  tags x,y", without a newline. */
static void append_instance(struct buf *line, const struct coord_instance *in)
{
    bool is_v6 = strchr(in->address, ':') != NULL;
    buf_printf(line, "%s  %s%s%s:%u  weight %u", in->id, is_v6 ? "[" : "", in->address,
               is_v6 ? "]" : "", in->port, in->weight);
    if (in->zone[0] != '\0') {
        buf_printf(line, "  zone %s", in->zone);
    }
    for (size_t i = 0; i < in->tag_count; i++) {
        buf_printf(line, "%s%s", i == 0 ? "  tags " : ",", in->tags[i]);
    }
    if (in->health != COORD_HEALTH_PASSING) {
        buf_printf(line, "  %s", svc_health_name(in->health));
    }
    buf_append_str(line, in->draining ? "  draining" : "");
    append_vitals(line, &in->vitals);
}

static void print_instance(const char *before, const struct coord_instance *in)
{
    struct buf line = {0};
    buf_append_str(&line, before);
    append_instance(&line, in);
    buf_append_str(&line, "\n");
    fwrite(line.data, 1, line.size, stdout);
    buf_close(&line);
}

/* ---- deregister, drain -------------------------------------------------------------------- */

int ctl_svc_deregister(struct ctl *ctl)
{
    struct coord_error error;
    return ctl_check(
        ctl, coord_deregister(ctl->client, ctl->words[0], ctl->words[1], &error), &error);
}

int ctl_svc_drain(struct ctl *ctl)
{
    struct coord_error error;
    return ctl_check(
        ctl, coord_drain(ctl->client, ctl->words[0], ctl->words[1], !ctl->undo, &error), &error);
}

/* ---- get ---------------------------------------------------------------------------------- */

static char **ctl_texts(const char **texts)
{
    char **out;
    memcpy(&out, &texts, sizeof out); /* protobuf-c only reads them */
    return out;
}

static bool show_page(Coord__V1__DiscoveryDiscoverReply *reply, svc_show_fn show, void *context)
{
    for (size_t i = 0; i < reply->n_instances; i++) {
        struct instance_copy copy;
        if (!instance_copy_take(&copy, &reply->instances[i])) {
            return false;
        }
        show(context, &copy.instance);
        reply->instances[i] = copy.message; /* which goes with the reply */
        copy.message = NULL;
        instance_copy_free(&copy);
    }
    return true;
}

int svc_each(struct ctl *ctl, const char *service, bool all, svc_show_fn show, void *context)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__DiscoveryDiscoverRequest request = COORD__V1__DISCOVERY_DISCOVER_REQUEST__INIT;
    Coord__V1__ServiceFilter filter = COORD__V1__SERVICE_FILTER__INIT;
    Coord__V1__ServiceHealth healths[CTL_HEALTHS_MAX];
    ProtobufCMessage *page = NULL;
    int exit_code = EXIT_DONE;
    bool is_last = false;
    for (size_t i = 0; i < ctl->health_count; i++) {
        healths[i] = (Coord__V1__ServiceHealth)ctl->healths[i];
    }
    filter.zone = ctl_text(ctl->zone != NULL ? ctl->zone : "");
    filter.tags = ctl_texts(ctl->tags);
    filter.n_tags = ctl->tag_count;
    filter.health = healths;
    filter.n_health = ctl->health_count;
    request.header = &header;
    request.service = ctl_text(service);
    request.filter = &filter;
    request.all = all;
    while (!is_last && exit_code == EXIT_DONE) {
        ProtobufCMessage *next;
        exit_code = ctl_call(ctl, CLIENT_SVC_DISCOVER, &request.base, &header, &next);
        client_reply_free(page);
        page = next;
        if (exit_code == EXIT_DONE) {
            Coord__V1__DiscoveryDiscoverReply *reply =
                (Coord__V1__DiscoveryDiscoverReply *)page;
            exit_code = show_page(reply, show, context) ? EXIT_DONE
                                                        : ctl_general(ctl, "out of memory");
            request.after = reply->next;
            is_last = reply->next[0] == '\0';
        }
    }
    client_reply_free(page);
    return exit_code;
}

/* `context`: an array, or NULL for lines of text. */
static void show_instance(void *context, const struct coord_instance *in)
{
    if (context != NULL) {
        json_array_append_new(context, instance_json(in));
    } else {
        print_instance("", in);
    }
}

int ctl_svc_get(struct ctl *ctl)
{
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    int exit_code = svc_each(ctl, ctl->words[0], ctl->all, show_instance, array);
    if (array != NULL && exit_code == EXIT_DONE) {
        ctl_print_json(ctl, array);
    } else {
        json_decref(array);
    }
    return exit_code;
}

/* ---- watch -------------------------------------------------------------------------------- */

#define WAIT_MS  1000
#define RETRY_MS 100
#define REPORT_MS 1000

static void print_event(const struct ctl *ctl, const struct coord_service_event *e)
{
    const char *type = e->type == COORD_SERVICE_PUT      ? "put"
                       : e->type == COORD_SERVICE_REPORT ? "report"
                                                         : "removed";
    if (ctl_is_json(ctl)) {
        json_t *o = e->type == COORD_SERVICE_SYNCED
                        ? json_pack("{s:s, s:I}", "type", "synced", "revision",
                                    (json_int_t)e->revision)
                        : json_pack("{s:s, s:o}", "type", type, "instance",
                                     instance_json(e->instance));
        ctl_print_one(ctl, o);
    } else if (e->type == COORD_SERVICE_SYNCED) {
        printf("synced %" PRIu64 "\n", e->revision);
    } else {
        printf("%s ", type);
        print_instance("", e->instance);
    }
    (void)fflush(stdout);
}

static int follow(struct ctl *ctl, struct coord_subscription *s, struct signals *signals)
{
    int number = signals_take(signals);
    while (number == 0) {
        struct coord_service_event event;
        struct coord_error error;
        enum coord_code code = coord_subscription_next(s, 0, &event, &error);
        if (code == COORD_OK) {
            print_event(ctl, &event);
            if (ferror(stdout) != 0) {
                return ctl_general(ctl, "standard output cannot be written");
            }
            if (ctl->once && event.type == COORD_SERVICE_SYNCED) {
                return EXIT_DONE;
            }
            number = signals_take(signals);
        } else if (code == COORD_TIMEOUT || code == COORD_UNAVAILABLE) {
            number = signals_wait(signals, coord_subscription_fd(s),
                                  code == COORD_TIMEOUT ? WAIT_MS : RETRY_MS);
        } else {
            return ctl_failed(ctl, &error);
        }
    }
    return ctl_signal_exit(number);
}

int ctl_svc_watch(struct ctl *ctl)
{
    struct coord_subscription *s;
    struct coord_error error;
    struct signals signals;
    const struct coord_subscription_options options = {
        .zone = ctl->zone,
        .tags = ctl->tags,
        .tag_count = ctl->tag_count,
        .healths = ctl->healths,
        .health_count = ctl->health_count,
        .report_ms = ctl->reports ? REPORT_MS : 0};
    enum coord_code code =
        coord_subscribe(ctl->client, ctl->words[0], &options, &s, &error);
    if (code != COORD_OK) {
        return ctl_failed(ctl, &error);
    }
    int exit_code;
    if (signals_open(&signals)) {
        exit_code = follow(ctl, s, &signals);
        signals_close(&signals);
    } else {
        exit_code = ctl_general(ctl, "signals cannot be waited for");
    }
    coord_subscription_close(s);
    return exit_code;
}
