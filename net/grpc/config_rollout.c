/* coord.v1.Config: rollouts (recipes/rollout.h). */
#include "net/config/schema.h"
#include "net/grpc/config.h"
#include "net/grpc/tree.h"
#include "net/grpc/wire.h"
#include "store/access.h"
#include "store/rollouts.h"

enum { LIST_REPLY_ROLLOUTS = 2 };

static const struct store *store_of(const struct grpc_call *call)
{
    return node_store(grpc_call_node(call));
}

static struct arena *scratch_of(const struct grpc_call *call)
{
    return &call->connection->shared->scratch;
}

static bool is_readable(struct grpc_call *call, struct slice path)
{
    struct access access;
    access_begin(&access, store_of(call), grpc_call_identities(call));
    return access_nearest(&access, ACL_READ, path);
}

static bool may_read(struct grpc_call *call, struct slice path)
{
    if (is_readable(call, path)) {
        return true;
    }
    answer_refuse(call, path, OUTCOME_NO_AUTH, store_revision(store_of(call)));
    return false;
}

/* ---- messages ----------------------------------------------------------------------------- */

/* The parts of "a,b,c". */
static size_t parts_fill(struct grpc_call *call, struct slice list, char ***out)
{
    size_t count = list.size > 0;
    for (size_t i = 0; i < list.size; i++) {
        count += list.data[i] == ',';
    }
    *out = grpc_call_scratch(call, count * sizeof **out);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *comma = memchr(list.data, ',', list.size);
        size_t size = comma == NULL ? list.size : (size_t)(comma - list.data);
        (*out)[i] = answer_copy(call, slice_make(list.data, size));
        size_t taken = size + (comma != NULL);
        list = slice_make(list.data + taken, list.size - taken);
    }
    return count;
}

static void percents_fill(struct grpc_call *call, const struct rollout *r,
                          Coord__V1__ConfigRollout *message)
{
    char **parts;
    size_t count = parts_fill(call, r->percents, &parts);
    message->percents = grpc_call_scratch(call, count * sizeof *message->percents);
    message->n_percents = count;
    for (size_t i = 0; i < count; i++) {
        uint64_t percent = 0;
        (void)slice_number(slice_str(parts[i]), &percent);
        message->percents[i] = (uint32_t)percent;
    }
}

static void rollout_fill(struct grpc_call *call, const struct rollout *r, uint64_t revision,
                         bool with_values, Coord__V1__ConfigRollout *message)
{
    uint64_t now_ms = store_cluster_ms(store_of(call));
    coord__v1__config_rollout__init(message);
    message->path = answer_copy(call, r->key);
    message->strategy = (Coord__V1__RolloutStrategy)r->strategy; /* the same numbers */
    message->state = (Coord__V1__RolloutState)r->state;
    message->step = (uint32_t)r->step;
    message->percent = rollout_percent(r);
    message->paused = r->is_paused != 0;
    message->step_ms = r->step_ms;
    message->left_ms = r->next_ms > now_ms ? r->next_ms - now_ms : 0;
    message->n_labels = parts_fill(call, r->labels, &message->labels);
    message->n_ids = parts_fill(call, r->ids, &message->ids);
    message->gate = answer_copy(call, r->gate);
    message->gate_service = answer_copy(call, r->gate_service);
    message->gate_tag = answer_copy(call, r->gate_tag);
    message->gate_percent = (uint32_t)r->gate_percent;
    message->why = answer_copy(call, r->why);
    message->revision = revision;
    percents_fill(call, r, message);
    if (with_values) {
        message->gate_value = answer_bytes(r->gate_value);
        message->old_value = answer_bytes(r->base);
        message->value = answer_bytes(r->value);
    }
}

static void rollout_reply(struct grpc_call *call, Coord__V1__ReplyHeader *header)
{
    struct rollout r;
    uint64_t revision;
    Coord__V1__ConfigRollout rollout;
    Coord__V1__ConfigRolloutReply message;
    struct slice path = buf_slice(&call->path);
    if (!store_rollout_find(store_of(call), path, &r, &revision, scratch_of(call))) {
        grpc_call_refuse(call, OUTCOME_NO_NODE, store_revision(store_of(call)),
                         "%.*s: there is no rollout of this key", (int)path.size,
                         (const char *)path.data);
        return;
    }
    /* Who may only write has not asked for values. */
    rollout_fill(call, &r, revision, is_readable(call, path), &rollout);
    coord__v1__config_rollout_reply__init(&message);
    message.header = header;
    message.rollout = &rollout;
    grpc_call_reply(call, &message.base);
}

/* ---- StartRollout, ChangeRollout ---------------------------------------------------------- */

static void changed(struct grpc_call *call, const struct reply *reply)
{
    struct slice path = buf_slice(&call->path);
    if (reply->outcome == OUTCOME_NOT_DUE) {
        grpc_call_refuse(call, OUTCOME_NOT_DUE, reply->revision, "%.*s: the rollout has ended",
                         (int)path.size, (const char *)path.data);
    } else if (reply->outcome == OUTCOME_GUARD_REFUSED) {
        grpc_call_refuse(call, OUTCOME_BAD_VERSION, reply->revision,
                         "%.*s: the configuration changed meanwhile, ask again",
                         (int)path.size, (const char *)path.data);
    } else if (reply->outcome == OUTCOME_NODE_EXISTS) {
        grpc_call_refuse(call, OUTCOME_NODE_EXISTS, reply->revision,
                         "%.*s: a rollout of this key has not ended", (int)path.size,
                         (const char *)path.data);
    } else if (reply->outcome != OUTCOME_OK) {
        answer_refuse_reply(call, path, reply);
    } else if (answer_fits(call, reply, !reply->has_lease && reply->result_count == 0)) {
        Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
        rollout_reply(call, &header);
    }
}

bool config_list_join(struct grpc_call *call, char *const *parts, size_t count,
                      struct slice *out)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += strlen(parts[i]) + 1;
        if (parts[i][0] == '\0' || strchr(parts[i], ',') != NULL) {
            grpc_call_fail(call, GRPC_INVALID_ARGUMENT,
                           "labels, ids: \"%s\" is empty or has a comma", parts[i]);
            return false;
        }
    }
    char *text = grpc_call_scratch(call, size + 1);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        size_t bytes = strlen(parts[i]);
        memcpy(text + at, parts[i], bytes);
        at += bytes;
        text[at++] = ',';
    }
    *out = slice_make(text, at > 0 ? at - 1 : 0);
    return true;
}

static struct slice percents_join(struct grpc_call *call,
                                  const Coord__V1__ConfigStartRolloutRequest *r)
{
    if (r->strategy == COORD__V1__ROLLOUT_STRATEGY__ROLLOUT_BLUE_GREEN && r->n_percents == 0) {
        return slice_str("100");
    }
    struct buf text = {0};
    for (size_t i = 0; i < r->n_percents && i <= ROLLOUT_STEPS_MAX; i++) {
        buf_printf(&text, "%s%u", i > 0 ? "," : "", r->percents[i]);
    }
    struct slice copy = arena_copy(scratch_of(call), buf_slice(&text));
    buf_close(&text);
    return copy;
}

/* False: the call is refused. */
static bool record_fill(struct grpc_call *call, const Coord__V1__ConfigStartRolloutRequest *r,
                        struct rollout *record)
{
    struct query_result result;
    struct query q = {.type = QUERY_GET, .space = SPACE_NODES, .path = slice_str(r->path)};
    q.identities = grpc_call_identities(call);
    store_query(store_of(call), &q, &result, scratch_of(call));
    if (result.outcome != OUTCOME_OK) {
        answer_refuse(call, q.path, result.outcome, result.revision);
        return false;
    }
    const struct policy *root = policies_root(store_policies(store_of(call)), q.path);
    *record = (struct rollout){
        .strategy = (uint64_t)r->strategy,
        .state = ROLLOUT_PLANNING,
        .step_ms = r->step_ms,
        .key = q.path,
        .percents = percents_join(call, r),
        .gate = slice_str(r->gate),
        .gate_value = tree_bytes(r->gate_value),
        .gate_service = slice_str(r->gate_service),
        .gate_tag = slice_str(r->gate_tag),
        .gate_percent = r->gate_percent,
        .base = result.data,
        .base_revision = result.stat.modify_revision,
        .schema_revision = root->root_revision,
        .value = tree_bytes(r->value),
    };
    if (!config_list_join(call, r->labels, r->n_labels, &record->labels) ||
        !config_list_join(call, r->ids, r->n_ids, &record->ids)) {
        return false;
    }
    const char *wrong = rollout_check(record);
    if (wrong != NULL) {
        grpc_call_refuse(call, OUTCOME_BAD_ARGUMENTS, result.revision, "%s: %s", r->path, wrong);
    }
    return wrong == NULL;
}

static void start_attempt(struct grpc_call *call, struct config_write *w)
{
    const Coord__V1__ConfigStartRolloutRequest *r =
        (const Coord__V1__ConfigStartRolloutRequest *)config_write_message(w);
    const struct policy *root;
    struct config_place place;
    struct rollout record;
    struct errmsg err;
    struct buf text = {0};
    struct command c = {.type = COMMAND_ROLLOUT};
    if (!answer_write_prepare(call, r->header, &c) ||
        !config_key_check(call, slice_str(r->path), &root) || !record_fill(call, r, &record)) {
        return;
    }
    store_config_find(store_of(call), record.key, &place);
    if (place.schema_revision != 0 &&
        schema_validate(place.schema, record.value, &err) != RC_OK) {
        grpc_call_refuse(call, OUTCOME_BAD_ARGUMENTS, store_revision(store_of(call)),
                         "%s: %s (the schema of %.*s)", r->path, err.text,
                         (int)place.schema_at.size, (const char *)place.schema_at.data);
        return;
    }
    rollout_encode(&text, &record);
    c.rollout = (struct command_rollout){
        .stays_planned = r->plan != 0,
        .key = record.key,
        .record = buf_slice(&text),
    };
    answer_propose(call, &c, changed);
    buf_close(&text);
}

/* Behind a round with the leader: what was set elsewhere a moment ago is rolled out from. */
void config_start_rollout_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigStartRolloutRequest *r =
        (const Coord__V1__ConfigStartRolloutRequest *)message;
    buf_clear(&call->path);
    buf_append_str(&call->path, r->path);
    config_write_begin(call, message, r->header, start_attempt, changed);
}

void config_change_rollout_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigChangeRolloutRequest *r =
        (const Coord__V1__ConfigChangeRolloutRequest *)message;
    struct command c = {.type = COMMAND_ROLLOUT};
    int action = (int)r->action;
    buf_clear(&call->path);
    buf_append_str(&call->path, r->path);
    if (!answer_write_prepare(call, r->header, &c)) {
        return;
    }
    if (action < ROLLOUT_PROMOTE || action > ROLLOUT_RESUME) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "action: %d is none", action);
        return;
    }
    c.rollout = (struct command_rollout){.event = (uint8_t)action, .key = buf_slice(&call->path)};
    answer_propose(call, &c, changed);
}

/* ---- GetRollout, ListRollouts ------------------------------------------------------------- */

static void get_got(struct grpc_call *call, const struct query_result *result)
{
    const struct policy *root;
    (void)result; /* a barrier has none */
    if (may_read(call, call->read.query.path) &&
        config_key_check(call, call->read.query.path, &root)) {
        Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
        rollout_reply(call, &header);
    }
}

void config_get_rollout_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigGetRolloutRequest *r =
        (const Coord__V1__ConfigGetRolloutRequest *)message;
    if (config_query_prepare(call, r->header, r->path, "")) {
        call->read.is_barrier = true;
        grpc_call_read(call, get_got);
    }
}

static void list_append(struct grpc_call *call, struct buf *out, const struct query_entry *e)
{
    struct rollout r;
    Coord__V1__ConfigRollout message;
    struct access access;
    access_begin(&access, store_of(call), grpc_call_identities(call));
    if (!e->unreadable && rollout_decode(e->data, &r, scratch_of(call)) &&
        access_nearest(&access, ACL_READ, r.key)) {
        rollout_fill(call, &r, e->stat.modify_revision, false, &message);
        wire_append_message(out, LIST_REPLY_ROLLOUTS, &message.base);
    }
}

static void list_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    const struct policy *root;
    struct slice path = call->read.query.path;
    struct query_result page = {.more = true};
    size_t begin;
    if (!may_read(call, path) || !config_key_check(call, path, &root)) {
        return;
    }
    struct buf all = {0};
    buf_append_slice(&all, root->path);
    buf_append_str(&all, "/" CONFIG_ROLLOUTS_NAME);
    struct query q = {.type = QUERY_LIST, .space = SPACE_NODES, .with_data = true};
    q.path = arena_copy(scratch_of(call), buf_slice(&all));
    q.identities = grpc_call_identities(call);
    buf_close(&all);
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__ConfigListRolloutsReply message;
    coord__v1__config_list_rollouts_reply__init(&message);
    message.header = &header;
    struct buf *out = grpc_call_begin_with(call, &message.base, &begin);
    while (page.more) { /* at most ROLLOUTS_MAX in all */
        store_query(store_of(call), &q, &page, scratch_of(call));
        for (uint32_t i = 0; page.outcome == OUTCOME_OK && i < page.entry_count; i++) {
            list_append(call, out, &page.entries[i]);
            q.after = page.entries[i].path;
        }
        page.more = page.more && page.outcome == OUTCOME_OK;
    }
    grpc_call_end(call, begin);
    grpc_call_finish(call);
}

void config_list_rollouts_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigListRolloutsRequest *r =
        (const Coord__V1__ConfigListRolloutsRequest *)message;
    if (config_query_prepare(call, r->header, r->path, "")) {
        call->read.is_barrier = true;
        grpc_call_read(call, list_got);
    }
}
