/* svc: deregister, drain, list, get, watch. */
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

static const char *health_name(enum coord_health health)
{
    static const char *const names[] = {"passing", "slow", "unstable", "suspected_down", "down"};
    return (unsigned)health <= COORD_HEALTH_DOWN ? names[health] : "unknown";
}

json_t *svc_instance_json(const struct coord_instance *in)
{
    json_t *tags = json_array();
    json_t *metadata = json_object();
    for (size_t i = 0; i < in->tag_count; i++) {
        json_array_append_new(tags, json_string(in->tags[i]));
    }
    for (size_t i = 0; i < in->metadata_count; i++) {
        json_object_set_new(metadata, in->metadata[i].name, json_string(in->metadata[i].value));
    }
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:o, s:o, s:b, s:s, s:o, s:I, s:I, s:s}",
                     "service", in->service, "id", in->id, "address", in->address, "port",
                     (int)in->port, "weight", (int)in->weight, "zone", in->zone, "tags", tags,
                     "metadata", metadata, "draining", (int)in->draining, "health",
                     health_name(in->health), "lease",
                     ctl_json_hex(in->lease), "revision", (json_int_t)in->revision,
                     "modify_revision", (json_int_t)in->modify_revision, "path", in->path);
}

void svc_append_instance(struct buf *line, const struct coord_instance *in)
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
        buf_printf(line, "  %s", health_name(in->health));
    }
    buf_append_str(line, in->draining ? "  draining" : "");
}

static void print_instance(const char *before, const struct coord_instance *in)
{
    struct buf line = {0};
    buf_append_str(&line, before);
    svc_append_instance(&line, in);
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

/* ---- list --------------------------------------------------------------------------------- */

static void show_service(const Coord__V1__ServiceSummary *s, json_t *array)
{
    if (array != NULL) {
        json_array_append_new(array, json_pack("{s:s, s:I}", "service", s->name, "instances",
                                               (json_int_t)s->instances));
    } else {
        printf("%s  %" PRIu32 "\n", s->name, s->instances);
    }
}

int ctl_svc_list(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__DiscoveryServicesRequest request = COORD__V1__DISCOVERY_SERVICES_REQUEST__INIT;
    ProtobufCMessage *page = NULL;
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    bool is_last = false;
    request.header = &header;
    while (!is_last) {
        ProtobufCMessage *next;
        int exit_code = ctl_call(ctl, CLIENT_SVC_LIST, &request.base, &header, &next);
        client_reply_free(page);
        page = next;
        if (exit_code != EXIT_DONE) {
            json_decref(array);
            return exit_code;
        }
        const Coord__V1__DiscoveryServicesReply *reply =
            (const Coord__V1__DiscoveryServicesReply *)page;
        for (size_t i = 0; i < reply->n_services; i++) {
            show_service(reply->services[i], array);
        }
        request.after = reply->next;
        is_last = reply->next[0] == '\0';
    }
    if (array != NULL) {
        ctl_print_json(ctl, array);
    }
    client_reply_free(page);
    return EXIT_DONE;
}

/* ---- get ---------------------------------------------------------------------------------- */

static bool show_instances(Coord__V1__DiscoveryDiscoverReply *reply, json_t *array)
{
    for (size_t i = 0; i < reply->n_instances; i++) {
        struct instance_copy copy;
        if (!instance_copy_take(&copy, &reply->instances[i])) {
            return false;
        }
        if (array != NULL) {
            json_array_append_new(array, svc_instance_json(&copy.instance));
        } else {
            print_instance("", &copy.instance);
        }
        reply->instances[i] = copy.message; /* which goes with the reply */
        copy.message = NULL;
        instance_copy_free(&copy);
    }
    return true;
}

static char **ctl_texts(const char **texts)
{
    char **out;
    memcpy(&out, &texts, sizeof out); /* protobuf-c only reads them */
    return out;
}

int ctl_svc_get(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__DiscoveryDiscoverRequest request = COORD__V1__DISCOVERY_DISCOVER_REQUEST__INIT;
    Coord__V1__ServiceFilter filter = COORD__V1__SERVICE_FILTER__INIT;
    ProtobufCMessage *page = NULL;
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    int exit_code = EXIT_DONE;
    bool is_last = false;
    filter.zone = ctl_text(ctl->zone != NULL ? ctl->zone : "");
    filter.tags = ctl_texts(ctl->tags);
    filter.n_tags = ctl->tag_count;
    request.header = &header;
    request.service = ctl_text(ctl->words[0]);
    request.filter = &filter;
    request.all = ctl->all;
    while (!is_last && exit_code == EXIT_DONE) {
        ProtobufCMessage *next;
        exit_code = ctl_call(ctl, CLIENT_SVC_DISCOVER, &request.base, &header, &next);
        client_reply_free(page);
        page = next;
        if (exit_code == EXIT_DONE) {
            Coord__V1__DiscoveryDiscoverReply *reply =
                (Coord__V1__DiscoveryDiscoverReply *)page;
            exit_code = show_instances(reply, array) ? EXIT_DONE
                                                     : ctl_general(ctl, "out of memory");
            request.after = reply->next;
            is_last = reply->next[0] == '\0';
        }
    }
    client_reply_free(page);
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

static void print_event(const struct ctl *ctl, const struct coord_service_event *e)
{
    bool is_put = e->type == COORD_SERVICE_PUT;
    if (ctl_is_json(ctl)) {
        json_t *o = e->type == COORD_SERVICE_SYNCED
                        ? json_pack("{s:s, s:I}", "type", "synced", "revision",
                                    (json_int_t)e->revision)
                        : json_pack("{s:s, s:o}", "type", is_put ? "put" : "removed",
                                    "instance", svc_instance_json(e->instance));
        ctl_print_one(ctl, o);
    } else if (e->type == COORD_SERVICE_SYNCED) {
        printf("synced %" PRIu64 "\n", e->revision);
    } else {
        print_instance(is_put ? "put " : "removed ", e->instance);
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
        .zone = ctl->zone, .tags = ctl->tags, .tag_count = ctl->tag_count};
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
