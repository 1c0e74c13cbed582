/* Instances of services: registering them, and what is known of them. */
#include "client/instance.h"

#include <stdlib.h>
#include <string.h>

#include "client/call.h"
#include "client/convert.h"

/* ---- copies ----------------------------------------------------------------------------- */

static struct coord_check check_of(const Coord__V1__ServiceCheck *m)
{
    if (m == NULL) {
        return (struct coord_check){.type = COORD_CHECK_NONE, .path = ""};
    }
    int type = (int)m->type + COORD_CHECK_TCP; /* the numbers of the message begin there */
    return (struct coord_check){.type = (enum coord_check_type)type,
                                .path = m->path,
                                .interval_ms = m->interval_ms,
                                .timeout_ms = m->timeout_ms,
                                .slow_ms = m->slow_ms};
}

struct coord_vitals vitals_of(const Coord__V1__ServiceVitals *m)
{
    struct coord_vitals v = {.is_known = m != NULL};
    if (m != NULL) {
        v.load_age_ms = m->load_age_ms;
        v.silence_ms = m->silence_ms;
        v.phi = m->phi;
        v.has_load = m->load != NULL;
    }
    if (v.has_load) {
        v.load = (struct coord_load){.cpu = m->load->cpu,
                                     .mem = m->load->mem,
                                     .qps = m->load->qps,
                                     .avg_latency_ms = m->load->avg_latency_ms,
                                     .queue_length = m->load->queue_length};
    }
    return v;
}

bool instance_copy_take(struct instance_copy *copy, Coord__V1__ServiceInstance **from)
{
    Coord__V1__ServiceInstance *m = *from;
    struct coord_metadata *metadata = calloc(m->n_metadata + 1, sizeof *metadata);
    if (metadata == NULL) {
        return false;
    }
    for (size_t i = 0; i < m->n_metadata; i++) {
        metadata[i] = (struct coord_metadata){.name = m->metadata[i]->name,
                                              .value = m->metadata[i]->value};
    }
    *from = NULL;
    *copy = (struct instance_copy){
        .instance = {.service = m->service,
                     .id = m->id,
                     .address = m->address,
                     .port = m->port,
                     .weight = m->weight,
                     .zone = m->zone,
                     .tags = (const char *const *)m->tags,
                     .tag_count = m->n_tags,
                     .metadata = metadata,
                     .metadata_count = m->n_metadata,
                     .check = check_of(m->check),
                     .draining = m->draining,
                     .lease = m->lease,
                     .revision = m->revision,
                     .modify_revision = m->modify_revision,
                     .path = m->path,
                     .health = (enum coord_health)m->health,
                     .health_since_ms = m->health_since_ms,
                     .vitals = vitals_of(m->vitals)},
        .message = m,
        .metadata = metadata,
    };
    return true;
}

void instance_copy_free(struct instance_copy *copy)
{
    if (copy->message != NULL) {
        coord__v1__service_instance__free_unpacked(copy->message, NULL);
    }
    free(copy->metadata);
    *copy = (struct instance_copy){.message = NULL};
}

bool filter_copy_make(struct filter_copy *copy,
                      const struct coord_subscription_options *options)
{
    copy->zone = strdup(options->zone != NULL ? options->zone : "");
    copy->tags = calloc(options->tag_count + 1, sizeof *copy->tags);
    bool ok = copy->zone != NULL && copy->tags != NULL;
    for (size_t i = 0; i < options->health_count; i++) {
        copy->healths[copy->health_count++] = (Coord__V1__ServiceHealth)options->healths[i];
    }
    for (size_t i = 0; i < options->tag_count && ok; i++) {
        copy->tags[i] = strdup(options->tags[i]);
        ok = copy->tags[i] != NULL;
        copy->tag_count += ok;
    }
    return ok;
}

void filter_copy_free(struct filter_copy *copy)
{
    for (size_t i = 0; i < copy->tag_count; i++) {
        free(copy->tags[i]);
    }
    free(copy->tags);
    free(copy->zone);
    *copy = (struct filter_copy){.zone = NULL};
}

void filter_fill(const struct filter_copy *copy, Coord__V1__ServiceFilter *filter)
{
    filter->zone = copy->zone;
    filter->tags = copy->tags;
    filter->n_tags = copy->tag_count;
    memcpy(&filter->health, &(const Coord__V1__ServiceHealth *){copy->healths},
           sizeof filter->health); /* which it only reads */
    filter->n_health = copy->health_count;
}

/* ---- registering ------------------------------------------------------------------------ */

static enum coord_code send_register(struct coord_client *client,
                                     const struct coord_instance *from,
                                     Coord__V1__DiscoveryRegisterRequest *request,
                                     Coord__V1__ServiceMetadata *meta,
                                     Coord__V1__ServiceMetadata **metas, uint64_t *revision,
                                     struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ServiceInstance instance = COORD__V1__SERVICE_INSTANCE__INIT;
    Coord__V1__ServiceCheck check = COORD__V1__SERVICE_CHECK__INIT;
    ProtobufCMessage *m;
    for (size_t i = 0; i < from->metadata_count; i++) {
        coord__v1__service_metadata__init(&meta[i]);
        meta[i].name = convert_text(from->metadata[i].name);
        meta[i].value = convert_text(from->metadata[i].value);
        metas[i] = &meta[i];
    }
    instance.service = convert_text(from->service);
    instance.id = convert_text(from->id);
    instance.address = convert_text(from->address);
    instance.port = from->port;
    instance.weight = from->weight;
    instance.zone = convert_text_or_none(from->zone);
    memcpy(&instance.tags, &from->tags, sizeof instance.tags); /* which it only reads */
    instance.n_tags = from->tag_count;
    instance.metadata = metas;
    instance.n_metadata = from->metadata_count;
    instance.draining = from->draining;
    if (from->check.type != COORD_CHECK_NONE) {
        check.type = (Coord__V1__ServiceCheck__Type)(from->check.type - COORD_CHECK_TCP);
        check.path = convert_text_or_none(from->check.path);
        check.interval_ms = from->check.interval_ms;
        check.timeout_ms = from->check.timeout_ms;
        check.slow_ms = from->check.slow_ms;
        instance.check = &check;
    }
    request->header = &header;
    request->instance = &instance;
    enum coord_code code =
        client_call(client, CLIENT_SVC_REGISTER, &request->base, &header, &m, error);
    if (code == COORD_OK && revision != NULL) {
        *revision = ((const Coord__V1__DiscoveryRegisterReply *)m)->revision;
    }
    client_reply_free(m);
    return code;
}

enum coord_code coord_register(struct coord_client *client,
                               const struct coord_instance *instance, uint64_t lease,
                               bool only_new, uint64_t *revision, struct coord_error *error)
{
    Coord__V1__DiscoveryRegisterRequest request = COORD__V1__DISCOVERY_REGISTER_REQUEST__INIT;
    Coord__V1__ServiceMetadata *meta = calloc(instance->metadata_count + 1, sizeof *meta);
    Coord__V1__ServiceMetadata **metas = calloc(instance->metadata_count + 1, sizeof *metas);
    enum coord_code code;
    request.lease = lease;
    request.only_new = only_new;
    if (meta == NULL || metas == NULL) {
        code = client_fail(error, COORD_NO_MEMORY, "out of memory for an instance");
    } else {
        code = send_register(client, instance, &request, meta, metas, revision, error);
    }
    free(meta);
    free(metas);
    return code;
}

enum coord_code coord_deregister(struct coord_client *client, const char *service,
                                 const char *id, struct coord_error *error)
{
    Coord__V1__DiscoveryDeregisterRequest request =
        COORD__V1__DISCOVERY_DEREGISTER_REQUEST__INIT;
    request.service = convert_text(service);
    request.id = convert_text(id);
    return client_do(client, CLIENT_SVC_DEREGISTER, &request.base, error);
}

enum coord_code coord_drain(struct coord_client *client, const char *service, const char *id,
                            bool drains, struct coord_error *error)
{
    Coord__V1__DiscoveryDrainRequest request = COORD__V1__DISCOVERY_DRAIN_REQUEST__INIT;
    request.service = convert_text(service);
    request.id = convert_text(id);
    request.undo = !drains;
    return client_do(client, CLIENT_SVC_DRAIN, &request.base, error);
}

/* ---- heartbeats ------------------------------------------------------------------------- */

enum coord_code coord_heartbeat(struct coord_client *client, const char *service,
                                const char *id, uint64_t revision,
                                const struct coord_load *load, enum coord_health *health,
                                struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__DiscoveryHeartbeatRequest request = COORD__V1__DISCOVERY_HEARTBEAT_REQUEST__INIT;
    Coord__V1__ServiceLoad said = COORD__V1__SERVICE_LOAD__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.service = convert_text(service);
    request.id = convert_text(id);
    request.revision = revision;
    if (load != NULL) {
        said.cpu = load->cpu;
        said.mem = load->mem;
        said.qps = load->qps;
        said.avg_latency_ms = load->avg_latency_ms;
        said.queue_length = load->queue_length;
        request.load = &said;
    }
    enum coord_code code =
        client_call(client, CLIENT_SVC_HEARTBEAT, &request.base, &header, &m, error);
    if (code == COORD_OK && health != NULL) {
        *health = (enum coord_health)((const Coord__V1__DiscoveryHeartbeatReply *)m)->health;
    }
    client_reply_free(m);
    return code;
}
