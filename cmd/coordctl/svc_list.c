/* svc list: the services, and with --long how their instances are. */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/coordctl/svc.h"
#include "coord/v1/discovery.pb-c.h"

/* What the instances of a service come to. */
struct sum {
    size_t healths[COORD_HEALTH_DOWN + 1];
    size_t draining;
    size_t loads; /* instances that have said something */
    double cpu;
    double qps;
    uint64_t queue;
    double phi; /* the highest */
};

static void add(void *context, const struct coord_instance *in)
{
    struct sum *s = context;
    if ((unsigned)in->health <= COORD_HEALTH_DOWN) {
        s->healths[in->health]++;
    }
    s->draining += in->draining;
    s->phi = in->vitals.phi > s->phi ? in->vitals.phi : s->phi;
    if (in->vitals.has_load) {
        s->loads++;
        s->cpu += in->vitals.load.cpu;
        s->qps += in->vitals.load.qps;
        s->queue += in->vitals.load.queue_length;
    }
}

static void append_sum(struct buf *line, const struct sum *s)
{
    for (int i = 0; i <= COORD_HEALTH_DOWN; i++) {
        if (s->healths[i] > 0) {
            buf_printf(line, "  %s %zu", svc_health_name((enum coord_health)i), s->healths[i]);
        }
    }
    if (s->draining > 0) {
        buf_printf(line, "  draining %zu", s->draining);
    }
    if (s->loads > 0) {
        buf_printf(line, "  cpu %.2f  qps %.6g  queue %" PRIu64, s->cpu / (double)s->loads, s->qps,
                   s->queue);
    }
    if (s->loads > 0 || s->phi > 0) {
        buf_printf(line, "  phi %.1f", s->phi);
    }
}

static json_t *sum_json(const struct sum *s)
{
    json_t *health = json_object();
    json_t *load = json_null();
    for (int i = 0; i <= COORD_HEALTH_DOWN; i++) {
        json_object_set_new(health, svc_health_name((enum coord_health)i),
                            json_integer((json_int_t)s->healths[i]));
    }
    if (s->loads > 0) {
        load = json_pack("{s:f, s:f, s:I}", "cpu", s->cpu / (double)s->loads, "qps", s->qps,
                         "queue_length", (json_int_t)s->queue);
    }
    return json_pack("{s:o, s:I, s:o, s:f}", "health", health, "draining",
                     (json_int_t)s->draining, "load", load, "phi", s->phi);
}

static int show_service(struct ctl *ctl, const Coord__V1__ServiceSummary *s, json_t *array)
{
    struct sum sum = {.loads = 0};
    struct buf line = {0};
    if (ctl->long_format) {
        int exit_code = svc_each(ctl, s->name, true, add, &sum);
        if (exit_code != EXIT_DONE) {
            return exit_code;
        }
    }
    if (array != NULL) {
        json_t *o = json_pack("{s:s, s:I}", "service", s->name, "instances",
                              (json_int_t)s->instances);
        if (ctl->long_format) {
            json_object_update_new(o, sum_json(&sum));
        }
        json_array_append_new(array, o);
        return EXIT_DONE;
    }
    buf_printf(&line, "%s  %" PRIu32, s->name, s->instances);
    if (ctl->long_format) {
        append_sum(&line, &sum);
    }
    printf("%.*s\n", (int)line.size, (const char *)line.data);
    buf_close(&line);
    return EXIT_DONE;
}

int ctl_svc_list(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__DiscoveryServicesRequest request = COORD__V1__DISCOVERY_SERVICES_REQUEST__INIT;
    ProtobufCMessage *page = NULL;
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    bool is_last = false;
    ctl->long_format = ctl->long_format || ctl->output == OUTPUT_WIDE;
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
        for (size_t i = 0; i < reply->n_services && exit_code == EXIT_DONE; i++) {
            exit_code = show_service(ctl, reply->services[i], array);
        }
        if (exit_code != EXIT_DONE) {
            client_reply_free(page);
            json_decref(array);
            return exit_code;
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
