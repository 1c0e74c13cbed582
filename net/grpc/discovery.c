/* coord.v1.Discovery, but for Subscribe and Heartbeat, which have files of their own. To register
 * is a create of the instance's node, to deregister its delete; what instances say is read from
 * their nodes (recipes/instance.h). */
#include "net/grpc/discovery.h"

#include <inttypes.h>

#include "base/mem.h"
#include "net/grpc/answer.h"
#include "net/grpc/wire.h"
#include "store/acl.h"

/* ---- instances and messages --------------------------------------------------------------- */

bool discovery_fill(struct grpc_call *call, struct slice path, struct slice data,
                    const struct node_stat *stat, Coord__V1__ServiceInstance *out,
                    struct service_instance *in)
{
    struct slice service;
    struct slice id;
    struct arena *scratch = &call->connection->shared->scratch;
    if (!instance_path_split(path, &service, &id) || !instance_decode(data, in, scratch)) {
        return false;
    }
    coord__v1__service_instance__init(out);
    out->service = answer_copy(call, service);
    out->id = answer_copy(call, id);
    out->address = answer_copy(call, in->address);
    out->port = in->port;
    out->weight = in->weight;
    out->zone = answer_copy(call, in->zone);
    out->tags = grpc_call_scratch(call, in->tag_count * sizeof *out->tags);
    for (uint32_t i = 0; i < in->tag_count; i++) {
        out->tags[out->n_tags++] = answer_copy(call, in->tags[i]);
    }
    Coord__V1__ServiceMetadata *meta = grpc_call_scratch(call, in->meta_count * sizeof *meta);
    out->metadata = grpc_call_scratch(call, in->meta_count * sizeof *out->metadata);
    for (uint32_t i = 0; i < in->meta_count; i++) {
        coord__v1__service_metadata__init(&meta[i]);
        meta[i].name = answer_copy(call, in->meta[i].name);
        meta[i].value = answer_copy(call, in->meta[i].value);
        out->metadata[out->n_metadata++] = &meta[i];
    }
    if (in->check.type != CHECK_NONE) {
        out->check = grpc_call_scratch(call, sizeof *out->check);
        coord__v1__service_check__init(out->check);
        out->check->type = (Coord__V1__ServiceCheck__Type)(in->check.type - CHECK_TCP);
        out->check->path = answer_copy(call, in->check.path);
        out->check->interval_ms = in->check.every_ms;
        out->check->timeout_ms = in->check.timeout_ms;
        out->check->slow_ms = in->check.slow_ms;
    }
    out->draining = in->draining;
    out->health = (Coord__V1__ServiceHealth)in->health; /* the same numbers */
    out->health_since_ms = in->health_since_ms;
    out->lease = stat->lease;
    out->revision = stat->create_revision;
    out->modify_revision = stat->modify_revision;
    out->path = answer_copy(call, path);
    out->vitals = discovery_vitals(call, path, stat->create_revision);
    return true;
}

static void refuse_field(struct grpc_call *call, const struct errmsg *err)
{
    answer_refuse_early(call, OUTCOME_BAD_ARGUMENTS, err);
}

#define CHECK_MS_DEFAULT      10000
#define CHECK_SLOW_MS_DEFAULT 5000

/* The numbers of the message begin with TCP. */
_Static_assert((int)COORD__V1__SERVICE_CHECK__TYPE__TCP == CHECK_TCP - CHECK_TCP &&
                   (int)COORD__V1__SERVICE_CHECK__TYPE__HTTP == CHECK_HTTP - CHECK_TCP &&
                   (int)COORD__V1__SERVICE_CHECK__TYPE__HEARTBEAT == CHECK_HEARTBEAT - CHECK_TCP,
               "one more than the message says");

static uint32_t timeout_default_ms(const struct instance_check *c)
{
    uint32_t half_ms = c->every_ms / 2 > CHECK_EVERY_MS_MIN ? c->every_ms / 2 : CHECK_EVERY_MS_MIN;
    return c->type == CHECK_HEARTBEAT ? half_ms : CHECK_MS_DEFAULT;
}

static struct instance_check take_check(const Coord__V1__ServiceCheck *from)
{
    struct instance_check c = {.type = CHECK_NONE};
    if (from == NULL) {
        return c;
    }
    int type = (int)from->type;
    bool is_one = type >= 0 && type <= CHECK_HEARTBEAT - CHECK_TCP;
    c.type = is_one ? (uint8_t)(type + CHECK_TCP) : UINT8_MAX; /* which is refused */
    c.path = slice_str(from->path);
    if (c.type == CHECK_HTTP && c.path.size == 0) {
        c.path = slice_str("/");
    }
    c.every_ms = from->interval_ms != 0 ? from->interval_ms : CHECK_MS_DEFAULT;
    c.timeout_ms = from->timeout_ms != 0 ? from->timeout_ms : timeout_default_ms(&c);
    c.slow_ms = from->slow_ms != 0 ? from->slow_ms : CHECK_SLOW_MS_DEFAULT;
    return c;
}

/* What a request says; slices point into it, arrays into the scratch. */
static bool take_instance(struct grpc_call *call, const Coord__V1__ServiceInstance *from,
                          struct service_instance *to)
{
    struct errmsg err;
    if (from->port > UINT16_MAX || from->n_tags > INSTANCE_TAGS_MAX ||
        from->n_metadata > INSTANCE_META_MAX) {
        bool is_port = from->port > UINT16_MAX;
        bool is_tags = !is_port && from->n_tags > INSTANCE_TAGS_MAX;
        (void)errmsg_set(&err, RC_INVALID, "instance.%s: %zu, at most %d",
                         is_port   ? "port"
                         : is_tags ? "tags"
                                   : "metadata",
                         is_port   ? from->port
                         : is_tags ? from->n_tags
                                   : from->n_metadata,
                         is_port   ? UINT16_MAX
                         : is_tags ? INSTANCE_TAGS_MAX
                                   : INSTANCE_META_MAX);
        refuse_field(call, &err);
        return false;
    }
    struct slice *tags = grpc_call_scratch(call, from->n_tags * sizeof *tags);
    for (size_t i = 0; i < from->n_tags; i++) {
        tags[i] = slice_str(from->tags[i]);
    }
    struct instance_meta *meta = grpc_call_scratch(call, from->n_metadata * sizeof *meta);
    for (size_t i = 0; i < from->n_metadata; i++) {
        meta[i] = (struct instance_meta){.name = slice_str(from->metadata[i]->name),
                                         .value = slice_str(from->metadata[i]->value)};
    }
    instance_sort_tags(tags, from->n_tags);
    instance_sort_meta(meta, from->n_metadata);
    *to = (struct service_instance){
        .address = slice_str(from->address),
        .port = (uint16_t)from->port,
        .weight = from->weight == 0 ? INSTANCE_WEIGHT_DEFAULT : from->weight,
        .zone = slice_str(from->zone),
        .tags = tags,
        .tag_count = (uint32_t)from->n_tags,
        .meta = meta,
        .meta_count = (uint32_t)from->n_metadata,
        .check = take_check(from->check),
        .draining = from->draining,
    };
    if (instance_validate(to, &err) != RC_OK) {
        (void)errmsg_wrap(&err, "instance");
        refuse_field(call, &err);
        return false;
    }
    return true;
}

bool discovery_take_service(struct grpc_call *call, const char *service)
{
    char path[INSTANCE_PATH_BYTES_MAX];
    struct errmsg err;
    if (service_name_check(slice_str(service), &err) != RC_OK) {
        refuse_field(call, &err);
        return false;
    }
    buf_clear(&call->path);
    buf_append_slice(&call->path, instance_path(slice_str(service), slice_make(NULL, 0), path));
    return true;
}

bool discovery_take_path(struct grpc_call *call, const char *service, const char *id)
{
    char path[INSTANCE_PATH_BYTES_MAX];
    struct errmsg err;
    if (!discovery_take_service(call, service)) {
        return false;
    }
    if (instance_id_check(slice_str(id), &err) != RC_OK) {
        refuse_field(call, &err);
        return false;
    }
    buf_clear(&call->path);
    buf_append_slice(&call->path, instance_path(slice_str(service), slice_str(id), path));
    return true;
}

/* ---- filters ------------------------------------------------------------------------------ */

/* Subscriptions keep them. Longer ones are no instance's. */
static bool filter_word_fits(struct grpc_call *call, const char *field, const char *word)
{
    struct errmsg err;
    size_t bytes = strlen(word);
    if (bytes <= INSTANCE_WORD_BYTES_MAX) {
        return true;
    }
    (void)errmsg_set(&err, RC_INVALID, "filter.%s: %zu bytes, at most %zu", field, bytes,
                     INSTANCE_WORD_BYTES_MAX);
    refuse_field(call, &err);
    return false;
}

bool discovery_filter_take(struct grpc_call *call, const Coord__V1__ServiceFilter *from,
                           struct discovery_filter *to)
{
    struct errmsg err;
    *to = (struct discovery_filter){.tag_count = 0};
    if (from == NULL) {
        return true;
    }
    if (from->n_tags > INSTANCE_TAGS_MAX) {
        (void)errmsg_set(&err, RC_INVALID, "filter.tags: %zu, at most %d", from->n_tags,
                         INSTANCE_TAGS_MAX);
        refuse_field(call, &err);
        return false;
    }
    for (size_t i = 0; i < from->n_health; i++) {
        int health = (int)from->health[i];
        if (health < 0 || health > HEALTH_DOWN) {
            (void)errmsg_set(&err, RC_INVALID, "filter.health: %d, from 0 to %d", health,
                             HEALTH_DOWN);
            refuse_field(call, &err);
            return false;
        }
        to->healths |= UINT32_C(1) << health;
    }
    if (!filter_word_fits(call, "zone", from->zone)) {
        return false;
    }
    for (size_t i = 0; i < from->n_tags; i++) {
        if (!filter_word_fits(call, "tags", from->tags[i])) {
            return false;
        }
    }
    to->tag_count = from->n_tags;
    buf_append(&to->words, from->zone, strlen(from->zone) + 1);
    for (size_t i = 0; i < from->n_tags; i++) {
        buf_append(&to->words, from->tags[i], strlen(from->tags[i]) + 1);
    }
    return true;
}

bool discovery_filter_passes(const struct discovery_filter *f,
                             const struct service_instance *in)
{
    const char *word = (const char *)f->words.data;
    if (f->healths != 0 && (f->healths >> in->health & 1) == 0) {
        return false;
    }
    if (f->words.size == 0) {
        return true;
    }
    bool passes = word[0] == '\0' || slice_is(in->zone, word);
    for (size_t i = 0; i < f->tag_count && passes; i++) {
        word += strlen(word) + 1;
        passes = instance_has_tag(in, slice_str(word));
    }
    return passes;
}

/* ---- Register ----------------------------------------------------------------------------- */

static void registered(struct grpc_call *call, const struct reply *reply)
{
    if (reply->outcome == OUTCOME_NO_LEASE) {
        answer_refuse_lease(call, LEASE_PLAIN, call->word, OUTCOME_NO_LEASE, reply->revision);
        return;
    }
    if (reply->outcome != OUTCOME_OK) {
        answer_refuse_reply(call, buf_slice(&call->path), reply);
        return;
    }
    const struct op_result *last =
        reply->result_count == 0 ? NULL : &reply->results[reply->result_count - 1];
    if (!answer_fits(call, reply, last != NULL && last->type == OP_CREATE)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__DiscoveryRegisterReply message;
    coord__v1__discovery_register_reply__init(&message);
    message.header = &header;
    message.path = answer_copy(call, last->path);
    message.revision = last->stat.create_revision;
    grpc_call_reply(call, &message.base);
}

/* One that is there makes room first. */
static void register_propose(struct grpc_call *call, struct command *c, bool only_new,
                             const struct op *create)
{
    struct slice path = create->path;
    const struct guard absent = {.target = GUARD_EXISTS,
                                 .relation = GUARD_EQUAL,
                                 .space = SPACE_NODES,
                                 .path = path,
                                 .number = 0};
    const struct op replace[] = {
        {.type = OP_DELETE, .space = SPACE_NODES, .path = path, .version = VERSION_ANY},
        *create,
    };
    c->txn = (struct txn){.then_ops = create, .then_count = 1};
    if (!only_new) {
        c->txn.guards = &absent;
        c->txn.guard_count = 1;
        c->txn.else_ops = replace;
        c->txn.else_count = 2;
    }
    answer_propose(call, c, registered);
}

static void register_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__DiscoveryRegisterRequest *request =
        (const Coord__V1__DiscoveryRegisterRequest *)message;
    const Coord__V1__ServiceInstance *from = request->instance;
    struct command c = {.type = COMMAND_TXN};
    struct service_instance in;
    struct buf text = {0};
    if (!answer_write_prepare(call, request->header, &c)) {
        return;
    }
    if (from == NULL) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "instance: is missing");
        return;
    }
    if (!discovery_take_path(call, from->service, from->id) || !take_instance(call, from, &in)) {
        return;
    }
    call->word = request->lease != 0 ? request->lease : call->session;
    if (call->word == 0) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT,
                       "lease: an instance needs a lease, or a session in the header");
        return;
    }
    instance_encode(&text, &in);
    const struct op create = {
        .type = OP_CREATE,
        .flags = OP_MAKE_PARENTS,
        .space = SPACE_NODES,
        .kind = NODE_EPHEMERAL,
        .path = buf_slice(&call->path),
        .data = buf_slice(&text),
        .version = VERSION_ANY,
        .lease = call->word,
    };
    register_propose(call, &c, request->only_new, &create);
    buf_close(&text);
}

/* ---- Deregister and Drain ----------------------------------------------------------------- */

static void changed(struct grpc_call *call, const struct reply *reply)
{
    if (reply->outcome != OUTCOME_OK) {
        answer_refuse_reply(call, buf_slice(&call->path), reply);
        return;
    }
    if (!answer_fits(call, reply, !reply->has_lease && !reply->has_recipe)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__DiscoveryReply message;
    coord__v1__discovery_reply__init(&message);
    message.header = &header;
    grpc_call_reply(call, &message.base);
}

static void deregister_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__DiscoveryDeregisterRequest *request =
        (const Coord__V1__DiscoveryDeregisterRequest *)message;
    struct command c = {.type = COMMAND_TXN};
    if (!answer_write_prepare(call, request->header, &c) ||
        !discovery_take_path(call, request->service, request->id)) {
        return;
    }
    const struct op op = {.type = OP_DELETE,
                          .space = SPACE_NODES,
                          .path = buf_slice(&call->path),
                          .version = VERSION_ANY};
    c.txn = (struct txn){.then_ops = &op, .then_count = 1};
    answer_propose(call, &c, changed);
}

static void drain_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__DiscoveryDrainRequest *request =
        (const Coord__V1__DiscoveryDrainRequest *)message;
    struct command c = {.type = COMMAND_DISCOVERY};
    if (!answer_write_prepare(call, request->header, &c) ||
        !discovery_take_path(call, request->service, request->id)) {
        return;
    }
    c.discovery = (struct command_discovery){
        .action = DISCOVERY_DRAIN,
        .flag = !request->undo,
        .path = buf_slice(&call->path),
        .revision = request->revision,
    };
    answer_propose(call, &c, changed);
}

/* ---- Discover ----------------------------------------------------------------------------- */

/* Field numbers of the two replies that are written piece by piece. */
enum { DISCOVER_REPLY_INSTANCES = 2, DISCOVER_REPLY_NEXT = 3 };
enum { SERVICES_REPLY_SERVICES = 2, SERVICES_REPLY_NEXT = 3 };

/* What a call of Discover remembers. */
struct discover {
    struct discovery_filter filter;
    bool all;
};

static void discover_ended(struct grpc_call *call)
{
    struct discover *d = call->data;
    if (d != NULL) {
        buf_close(&d->filter.words);
        mem_free(d);
        call->data = NULL;
    }
}

static void discover_append(struct grpc_call *call, struct buf *out,
                            const struct query_entry *e, const void *context)
{
    (void)context;
    const struct discover *d = call->data;
    Coord__V1__ServiceInstance instance;
    struct service_instance in;
    bool is_one = !e->unreadable &&
                  discovery_fill(call, e->path, e->data, &e->stat, &instance, &in);
    bool is_up = is_one && (in.health != HEALTH_DOWN || d->filter.healths != 0);
    bool is_wanted = is_one && (d->all || (!in.draining && is_up));
    if (is_wanted && discovery_filter_passes(&d->filter, &in)) {
        wire_append_message(out, DISCOVER_REPLY_INSTANCES, &instance.base);
    }
}

static void services_append(struct grpc_call *call, struct buf *out,
                            const struct query_entry *e, const void *context)
{
    (void)context;
    const size_t root = sizeof SERVICE_ROOT;
    struct slice name = slice_make(e->path.data + root, e->path.size - root);
    Coord__V1__ServiceSummary summary;
    if (service_name_check(name, NULL) != RC_OK) {
        return;
    }
    coord__v1__service_summary__init(&summary);
    summary.name = answer_copy(call, name);
    summary.instances = e->unreadable ? 0 : e->stat.child_count;
    wire_append_message(out, SERVICES_REPLY_SERVICES, &summary.base);
}

static void discover_got(struct grpc_call *call, const struct query_result *result)
{
    if (result->outcome != OUTCOME_OK) {
        answer_refuse(call, call->read.query.path, result->outcome, result->revision);
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__DiscoveryDiscoverReply message;
    coord__v1__discovery_discover_reply__init(&message);
    message.header = &header;
    answer_page(call, result, &message.base, DISCOVER_REPLY_NEXT, discover_append, NULL);
}

/* There are none before the first has been registered. */
static void services_got(struct grpc_call *call, const struct query_result *result)
{
    if (result->outcome != OUTCOME_OK && result->outcome != OUTCOME_NO_NODE) {
        answer_refuse(call, call->read.query.path, result->outcome, result->revision);
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__DiscoveryServicesReply message;
    coord__v1__discovery_services_reply__init(&message);
    message.header = &header;
    answer_page(call, result, &message.base, SERVICES_REPLY_NEXT, services_append, NULL);
}

/* call->path is what is listed; `after` may be empty. */
static void list_ask(struct grpc_call *call, struct slice after, bool with_data, uint32_t limit,
                     void (*got)(struct grpc_call *call, const struct query_result *result))
{
    struct errmsg err;
    size_t bytes = call->path.size;
    if (after.size > 0 && path_check(after, false, &err) != OUTCOME_OK) {
        (void)errmsg_wrap(&err, "after");
        answer_refuse_early(call, OUTCOME_BAD_CURSOR, &err);
        return;
    }
    buf_append_slice(&call->path, after);
    const uint8_t *kept = call->path.data; /* it does not move any more */
    call->read.query = (struct query){
        .type = QUERY_LIST,
        .space = SPACE_NODES,
        .path = slice_make(kept, bytes),
        .after = slice_make(kept + bytes, after.size),
        .with_data = with_data,
        .with_stat = true,
        .limit = limit,
    };
    grpc_call_read(call, got);
}

static void discover_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__DiscoveryDiscoverRequest *request =
        (const Coord__V1__DiscoveryDiscoverRequest *)message;
    struct discovery_filter filter;
    if (!answer_read_prepare(call, request->header) ||
        !discovery_take_service(call, request->service) ||
        !discovery_filter_take(call, request->filter, &filter)) {
        return;
    }
    struct discover *d = mem_zalloc(sizeof *d);
    d->filter = filter;
    d->all = request->all;
    call->data = d;
    list_ask(call, slice_str(request->after), true, request->limit, discover_got);
}

static void services_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__DiscoveryServicesRequest *request =
        (const Coord__V1__DiscoveryServicesRequest *)message;
    if (!answer_read_prepare(call, request->header)) {
        return;
    }
    buf_clear(&call->path);
    buf_append_str(&call->path, SERVICE_ROOT);
    list_ask(call, slice_str(request->after), false, request->limit, services_got);
}

/* ---- the service -------------------------------------------------------------------------- */

static const struct grpc_method methods[] = {
    {.name = "Register",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_CREATE,
     .request = &coord__v1__discovery_register_request__descriptor,
     .message = register_call},
    {.name = "Deregister",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_DELETE,
     .request = &coord__v1__discovery_deregister_request__descriptor,
     .message = deregister_call},
    {.name = "Drain",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_WRITE,
     .request = &coord__v1__discovery_drain_request__descriptor,
     .message = drain_call},
    {.name = "Discover",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__discovery_discover_request__descriptor,
     .message = discover_call,
     .ended = discover_ended},
    {.name = "Services",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__discovery_services_request__descriptor,
     .message = services_call},
    {.name = "Heartbeat",
     .audit = AUDIT_NEVER,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_WRITE,
     .request = &coord__v1__discovery_heartbeat_request__descriptor,
     .message = heartbeat_call,
     .ended = heartbeat_ended},
    {.name = "Subscribe",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__discovery_subscribe_request__descriptor,
     .is_long = true,
     .message = subscribe_call,
     .drained = subscribe_drained,
     .woken = subscribe_woken,
     .ended = subscribe_ended},
};

const struct grpc_service grpc_discovery_service = {
    .name = "coord.v1.Discovery",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
