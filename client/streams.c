/* Streams of Config and Health (client/follower.h).
 *
 * Changes of a configuration are taken up again behind the revision up to which all was told,
 * without what was told of the next: the changes of a revision come in one order on every member.
 * What is meant for an instance, and health, begin anew with how it is; a value that was told last
 * is not told again. */
#include "client/streams.h"

#include <stdlib.h>
#include <string.h>

#include "client/client_internal.h"
#include "client/convert.h"
#include "client/follower.h"
#include "coord/v1/config.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"

struct coord_stream {
    struct follower follower;
    char *subject; /* path, or service */
    void *context;
    bool is_telling;
    bool is_closed; /* from inside the callback */
    /* changes */
    coord_config_fn config;
    bool is_recursive;
    uint64_t
        from_revision; /* the next wanted; 0: none was told, and none is known to come next */
    size_t told;       /* of that revision so many were told, and more may come */
    size_t skip;       /* of these so many are yet to come again */
    /* the value that is meant */
    coord_value_fn value;
    char *instance;
    char **labels;
    size_t label_count;
    bool has_told;
    bool did_exist;
    bool was_rollout;
    uint64_t modify_revision;
    char *last; /* the value; NULL: none */
    size_t last_bytes;
    /* health */
    coord_health_fn health;
};

static struct coord_stream *of(struct follower *f)
{
    return LOOP_OF(f, struct coord_stream, follower);
}

static void forget(struct coord_stream *s)
{
    for (size_t i = 0; i < s->label_count; i++) {
        free(s->labels[i]);
    }
    free(s->labels);
    free(s->instance);
    free(s->last);
    free(s->subject);
    free(s);
}

static void destroy(struct coord_stream *s)
{
    follower_stop(&s->follower);
    forget(s);
}

/* Both around what is told; false: the stream has gone. */
static void telling(struct coord_stream *s)
{
    s->is_telling = true;
}

static bool told(struct coord_stream *s)
{
    s->is_telling = false;
    if (s->is_closed) {
        destroy(s);
        return false;
    }
    return true;
}

static void learn(struct coord_stream *s, const Coord__V1__ReplyHeader *header)
{
    if (header != NULL) {
        client_learn(s->follower.client, header);
    }
}

/* ---- changes of a configuration ---------------------------------------------------------- */

static void config_ask(struct follower *f)
{
    struct coord_stream *s = of(f);
    Coord__V1__ConfigWatchRequest request = COORD__V1__CONFIG_WATCH_REQUEST__INIT;
    Coord__V1__RequestHeader header;
    follower_header(f, &header);
    request.header = &header;
    request.path = s->subject;
    request.recursive = s->is_recursive;
    request.from_revision = s->from_revision;
    s->skip = s->told;
    follower_ask(f, &request.base);
}

static bool config_tell(struct coord_stream *s, const Coord__V1__ConfigChange *c)
{
    const struct coord_config_change change = {
        .type = (enum coord_event_type)c->type, /* counted alike */
        .path = c->path,
        .old_value = c->old_value.data,
        .old_bytes = c->old_value.len,
        .new_value = c->new_value.data,
        .new_bytes = c->new_value.len,
        .version = c->version,
        .revision = c->revision,
        .time_ms = c->time_ms,
        .user = c->user,
        .session = c->session,
        .note = c->note,
    };
    telling(s);
    s->config(s->context, s, &(struct coord_config_event){.change = &change});
    return told(s);
}

/* All up to there is known, also where nothing was told for long. */
static void config_reached(struct coord_stream *s, uint64_t revision)
{
    if (revision >= s->from_revision) {
        s->from_revision = revision + 1;
        s->told = 0;
        s->skip = 0;
    }
}

static bool config_take(struct follower *f, const ProtobufCMessage *m)
{
    const Coord__V1__ConfigWatchReply *reply = (const Coord__V1__ConfigWatchReply *)m;
    struct coord_stream *s = of(f);
    learn(s, reply->header);
    if (reply->n_changes == 0 && s->from_revision == 0 && reply->header != NULL) {
        s->from_revision = reply->header->revision + 1;
    }
    for (size_t i = 0; i < reply->n_changes; i++) {
        const Coord__V1__ConfigChange *c = reply->changes[i];
        if (c->revision < s->from_revision) { /* nobody has asked for it */
            continue;
        }
        if (c->revision == s->from_revision && s->skip > 0) {
            s->skip--;
            continue;
        }
        if (c->revision != s->from_revision) {
            s->from_revision = c->revision;
            s->told = 0;
        }
        s->skip = 0;
        s->told++;
        if (!config_tell(s, c)) {
            return false;
        }
    }
    if (reply->revision > 0 && !reply->more) { /* older servers do not say */
        config_reached(s, reply->revision);
    }
    return true;
}

static bool config_refused(struct follower *f, const struct coord_error *error)
{
    struct coord_stream *s = of(f);
    telling(s);
    s->config(s->context, s, &(struct coord_config_event){.over = error});
    (void)told(s);
    return false;
}

static const struct follower_ops config_ops = {.method = CLIENT_CONFIG_WATCH,
                                               .begins_at_once = true,
                                               .ask = config_ask,
                                               .take = config_take,
                                               .refused = config_refused};

/* ---- the value that is meant for an instance --------------------------------------------- */

static void value_ask(struct follower *f)
{
    struct coord_stream *s = of(f);
    Coord__V1__ConfigEffectiveRequest request = COORD__V1__CONFIG_EFFECTIVE_REQUEST__INIT;
    Coord__V1__RequestHeader header;
    follower_header(f, &header);
    request.header = &header;
    request.path = s->subject;
    request.instance = s->instance;
    request.labels = s->labels;
    request.n_labels = s->label_count;
    follower_ask(f, &request.base);
}

static bool is_last(const struct coord_stream *s, const struct coord_config_value *v)
{
    bool is_alike = s->has_told && s->did_exist == v->exists && s->was_rollout == v->rollout &&
                    s->modify_revision == v->modify_revision;
    return is_alike && s->last != NULL && s->last_bytes == v->bytes &&
           (v->bytes == 0 || memcmp(s->last, v->value, v->bytes) == 0);
}

/* Without memory for the value it may be told once more, which does no harm. */
static void keep_last(struct coord_stream *s, const struct coord_config_value *v)
{
    free(s->last);
    s->last = convert_copy(v->value, v->bytes);
    s->last_bytes = v->bytes;
    s->has_told = true;
    s->did_exist = v->exists;
    s->was_rollout = v->rollout;
    s->modify_revision = v->modify_revision;
}

static bool value_take(struct follower *f, const ProtobufCMessage *m)
{
    const Coord__V1__ConfigEffectiveReply *reply = (const Coord__V1__ConfigEffectiveReply *)m;
    const Coord__V1__ConfigEntry *entry = reply->entry;
    struct coord_stream *s = of(f);
    struct coord_config_value v = {.path = "", .value = ""};
    learn(s, reply->header);
    if (entry != NULL) {
        v = (struct coord_config_value){.exists = true,
                                        .rollout = reply->rollout,
                                        .path = entry->path,
                                        .value = entry->value.data,
                                        .bytes = entry->value.len,
                                        .version = entry->version,
                                        .create_revision = entry->create_revision,
                                        .modify_revision = entry->modify_revision,
                                        .modify_time_ms = entry->modify_time_ms};
    }
    if (is_last(s, &v)) {
        return true;
    }
    keep_last(s, &v);
    telling(s);
    s->value(s->context, s, &v);
    return told(s);
}

static bool value_refused(struct follower *f, const struct coord_error *error)
{
    struct coord_stream *s = of(f);
    telling(s);
    s->value(s->context, s,
             &(struct coord_config_value){.path = "", .value = "", .over = error});
    (void)told(s);
    return false;
}

static const struct follower_ops value_ops = {.method = CLIENT_CONFIG_WATCH_EFFECTIVE,
                                              .begins_at_once = true,
                                              .ask = value_ask,
                                              .take = value_take,
                                              .refused = value_refused};

/* ---- health ------------------------------------------------------------------------------ */

static void health_ask(struct follower *f)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = of(f)->subject;
    follower_ask(f, &request.base);
}

static bool health_take(struct follower *f, const ProtobufCMessage *m)
{
    struct coord_stream *s = of(f);
    unsigned status = (unsigned)((const Grpc__Health__V1__HealthCheckResponse *)m)->status;
    const struct coord_health_event event = {
        .serving = status <= COORD_NO_SERVICE ? (enum coord_serving)status /* counted alike */
                                              : COORD_SERVING_UNKNOWN};
    telling(s);
    s->health(s->context, s, &event);
    return told(s);
}

static bool health_refused(struct follower *f, const struct coord_error *error)
{
    struct coord_stream *s = of(f);
    telling(s);
    s->health(s->context, s, &(struct coord_health_event){.over = error});
    (void)told(s);
    return false;
}

static const struct follower_ops health_ops = {.method = CLIENT_HEALTH_WATCH,
                                               .begins_at_once = true,
                                               .ask = health_ask,
                                               .take = health_take,
                                               .refused = health_refused};

/* ---- the beginning and the end ----------------------------------------------------------- */

/* NULL: no memory. */
static struct coord_stream *stream_new(const char *subject, void *context)
{
    struct coord_stream *s = calloc(1, sizeof *s);
    char *copy = strdup(subject);
    if (s == NULL || copy == NULL) {
        free(s);
        free(copy);
        return NULL;
    }
    s->subject = copy;
    s->context = context;
    return s;
}

static enum coord_code begin(struct coord_client *client, struct coord_stream *s,
                             const struct follower_ops *ops, struct coord_stream **out,
                             struct coord_error *error)
{
    if (s == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for a stream");
    }
    enum coord_code code = client_may_begin(client, error);
    if (code != COORD_OK) {
        forget(s);
        return code;
    }
    client_enter(client);
    follower_start(&s->follower, client, ops);
    client_leave(client);
    *out = s;
    return client_fail(error, COORD_OK, "%s", "");
}

enum coord_code coord_config_watch(struct coord_client *client, const char *path,
                                   bool recursive, uint64_t from_revision,
                                   coord_config_fn changed, void *context,
                                   struct coord_stream **stream, struct coord_error *error)
{
    struct coord_stream *s = stream_new(path, context);
    if (s != NULL) {
        s->config = changed;
        s->is_recursive = recursive;
        s->from_revision = from_revision;
    }
    return begin(client, s, &config_ops, stream, error);
}

uint64_t coord_config_watch_revision(const struct coord_stream *s)
{
    return s->from_revision > 0 ? s->from_revision - 1 : 0;
}

/* False: no memory. */
static bool take_instance(struct coord_stream *s, const struct coord_config_instance *from)
{
    s->instance = strdup(from->id);
    s->labels = calloc(from->label_count + 1, sizeof *s->labels);
    bool ok = s->instance != NULL && s->labels != NULL;
    for (size_t i = 0; ok && i < from->label_count; i++) {
        s->labels[i] = strdup(from->labels[i]);
        ok = s->labels[i] != NULL;
        s->label_count += ok;
    }
    return ok;
}

enum coord_code coord_config_watch_effective(struct coord_client *client, const char *path,
                                             const struct coord_config_instance *instance,
                                             coord_value_fn changed, void *context,
                                             struct coord_stream **stream,
                                             struct coord_error *error)
{
    struct coord_stream *s = stream_new(path, context);
    if (s != NULL) {
        s->value = changed;
    }
    if (s != NULL && !take_instance(s, instance)) {
        forget(s);
        s = NULL;
    }
    return begin(client, s, &value_ops, stream, error);
}

enum coord_code coord_health_watch(struct coord_client *client, const char *service,
                                   coord_health_fn changed, void *context,
                                   struct coord_stream **stream, struct coord_error *error)
{
    struct coord_stream *s = stream_new(service, context);
    if (s != NULL) {
        s->health = changed;
    }
    return begin(client, s, &health_ops, stream, error);
}

void coord_stream_close(struct coord_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    if (stream->is_telling) {
        stream->is_closed = true;
        return;
    }
    struct coord_client *client = stream->follower.client;
    client_enter(client);
    destroy(stream);
    client_leave(client);
}
