/* coord.v1.Config: reading schemas, and checking values by them. */
#include "net/config/schema.h"
#include "net/grpc/config.h"
#include "net/grpc/wire.h"
#include "store/access.h"

static const struct store *store_of(const struct grpc_call *call)
{
    return node_store(grpc_call_node(call));
}

/* ---- schemas ------------------------------------------------------------------------------- */

enum { SCHEMAS_REPLY_SCHEMAS = 2 };

static bool may_read(struct grpc_call *call, struct slice path)
{
    struct access access;
    access_begin(&access, store_of(call), grpc_call_identities(call));
    if (access_nearest(&access, ACL_READ, path)) {
        return true;
    }
    answer_refuse(call, path, OUTCOME_NO_AUTH, store_revision(store_of(call)));
    return false;
}

static void get_schema_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    const struct policy *root;
    struct config_place place;
    struct slice path = call->read.query.path;
    if (!may_read(call, path) || !config_key_check(call, path, &root)) {
        return;
    }
    store_config_find(store_of(call), path, &place);
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__ConfigSchema schema;
    Coord__V1__ConfigGetSchemaReply message;
    coord__v1__config_schema__init(&schema);
    coord__v1__config_get_schema_reply__init(&message);
    message.header = &header;
    if (place.schema_revision != 0) {
        schema.path = answer_copy(call, place.schema_at);
        schema.schema = answer_bytes(place.schema);
        schema.revision = place.schema_revision;
        message.schema = &schema;
    }
    grpc_call_reply(call, &message.base);
}

void config_get_schema_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigGetSchemaRequest *request =
        (const Coord__V1__ConfigGetSchemaRequest *)message;
    if (config_query_prepare(call, request->header, request->path, "")) {
        call->read.is_barrier = true;
        grpc_call_read(call, get_schema_got);
    }
}

/* "/a/.schema" stands for "/a"; empty: it is none. */
static struct slice schema_owner(struct slice path)
{
    size_t tail = sizeof CONFIG_SCHEMA_NAME; /* with the slash in place of the end */
    bool is_one = path.size > tail && slice_is(slice_make(path.data + path.size - tail, tail),
                                               "/" CONFIG_SCHEMA_NAME);
    return slice_make(path.data, is_one ? path.size - tail : 0);
}

static void list_schemas_got(struct grpc_call *call, const struct query_result *result)
{
    const struct policy *root;
    if (!config_key_check(call, call->read.query.path, &root)) {
        return;
    }
    if (result->outcome != OUTCOME_OK) {
        answer_refuse(call, call->read.query.path, result->outcome, result->revision);
        return;
    }
    if (result->more) {
        grpc_call_refuse(call, OUTCOME_LIMIT, result->revision,
                         "there is more below than one page has; ask for less of it");
        return;
    }
    size_t begin;
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__ConfigListSchemasReply message;
    coord__v1__config_list_schemas_reply__init(&message);
    message.header = &header;
    struct buf *out = grpc_call_begin_with(call, &message.base, &begin);
    for (uint32_t i = 0; i < result->entry_count; i++) {
        const struct query_entry *e = &result->entries[i];
        struct slice owner = schema_owner(e->path);
        if (owner.size > 0 && !e->unreadable) {
            Coord__V1__ConfigSchema schema;
            coord__v1__config_schema__init(&schema);
            schema.path = answer_copy(call, owner);
            schema.schema = answer_bytes(e->data);
            schema.revision = e->stat.modify_revision;
            wire_append_message(out, SCHEMAS_REPLY_SCHEMAS, &schema.base);
        }
    }
    grpc_call_end(call, begin);
    grpc_call_finish(call);
}

void config_list_schemas_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigListSchemasRequest *request =
        (const Coord__V1__ConfigListSchemasRequest *)message;
    if (config_query_prepare(call, request->header, request->path, "")) {
        call->read.query.type = QUERY_LIST;
        call->read.query.recursive = true;
        call->read.query.with_data = true;
        grpc_call_read(call, list_schemas_got);
    }
}

/* ---- Check --------------------------------------------------------------------------------- */

enum { CHECK_REPLY_PROBLEMS = 2 };
/* And of what their checks cost there is a bound: schema.h. */
#define CHECKED_MAX 1000

/* False: the checks of this call are used up, and it is refused. */
static bool problem_append(struct grpc_call *call, struct schema_checks *checks,
                           struct buf *out, struct slice path, struct slice value)
{
    struct errmsg err;
    struct config_place place;
    store_config_find(store_of(call), path, &place);
    enum status rc = place.schema_revision == 0
                         ? RC_OK
                         : schema_checks_validate(checks, place.schema, value, &err);
    if (rc == RC_OK) {
        return true;
    }
    if (rc == RC_TOO_LARGE) {
        grpc_call_refuse(call, OUTCOME_LIMIT, store_revision(store_of(call)), "%s", err.text);
        return false;
    }
    Coord__V1__ConfigProblem problem;
    coord__v1__config_problem__init(&problem);
    problem.path = answer_copy(call, path);
    problem.text = answer_copy(call, slice_str(err.text));
    wire_append_message(out, CHECK_REPLY_PROBLEMS, &problem.base);
    return true;
}

/* What is wrong with the items, or with one value if there are none. False: it is refused. */
static bool problems_find(struct grpc_call *call, const struct config_items *items,
                          struct buf *out)
{
    struct schema_checks checks = {0};
    struct slice path = call->read.query.path;
    bool ok = true;
    if (call->word == 0) {
        ok = problem_append(
            call, &checks, out, path,
            slice_make(call->path.data + path.size, call->path.size - path.size));
    }
    for (size_t i = 0; ok && call->word != 0 && i < items->count; i++) {
        ok = problem_append(call, &checks, out, items->items[i].path, items->items[i].after);
    }
    schema_checks_close(&checks);
    return ok;
}

/* The value that is to be checked stands behind the path in call->path. */
static void check_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    const struct policy *root;
    struct slice path = call->read.query.path;
    bool is_stored = call->word != 0;
    struct config_items items = {.count = 1};
    struct config_moments moments = {.path = path, .recursive = true};
    if (!may_read(call, path) || !config_key_check(call, path, &root) ||
        (is_stored && !config_items_find(call, &moments, &items))) {
        return;
    }
    if (items.count > CHECKED_MAX) {
        grpc_call_refuse(call, OUTCOME_LIMIT, store_revision(store_of(call)),
                         "%zu values are too many to check in one go, the limit is %d",
                         items.count, CHECKED_MAX);
        return;
    }
    size_t begin;
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__ConfigCheckReply message;
    coord__v1__config_check_reply__init(&message);
    message.header = &header;
    message.checked = (uint32_t)items.count;
    struct buf problems = {0};
    if (problems_find(call, &items, &problems)) {
        struct buf *out = grpc_call_begin_with(call, &message.base, &begin);
        buf_append_slice(out, buf_slice(&problems));
        grpc_call_end(call, begin);
        grpc_call_finish(call);
    }
    buf_close(&problems);
}

void config_check_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigCheckRequest *request =
        (const Coord__V1__ConfigCheckRequest *)message;
    if (!config_query_prepare(call, request->header, request->path, "")) {
        return;
    }
    size_t path_bytes = call->path.size;
    if (request->value.len > 0) {
        buf_append(&call->path, request->value.data, request->value.len);
    }
    call->read.query.path = slice_make(call->path.data, path_bytes);
    call->word = request->stored ? 1 : 0;
    call->read.is_barrier = true;
    grpc_call_read(call, check_got);
}
