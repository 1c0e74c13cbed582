/* The writes of coord.v1.Config. What a write comes to depends on the schemas, and on what is there
 * (a set that may create, a rollback). So:
 *
 *   begin --> FRESH --(this node is up to date)--> attempt: look, validate, make a transaction
 *                                                     |  ^
 *                           refused here <------------+  |  its guard on the root's revision does
 *                           written <--- apply <------+  +- not hold, or something came or went
 *
 * Apply compares numbers, and refuses what was looked at before it changed; then it is looked at
 * anew, a few times. Each attempt of a write with a request id has an id of its own, made of that
 * one: repeated elsewhere, it meets the refusals of the first ones, and then the outcome. A write
 * with a sequence number has one attempt.
 *
 * What was executed under one of these ids is not looked at again: what is there now says nothing
 * about it, and may be what it made. Apply answers it from memory. */
#include "base/mem.h"
#include "net/config/schema.h"
#include "net/grpc/config.h"
#include "net/grpc/tree.h"
#include "store/access.h"

#define ATTEMPTS_MAX     8
#define VERSIONS_DEFAULT 100
#define CONFIG_LEVEL     2
#define ATTEMPT_ID_STEP  0x9e3779b97f4a7c15u /* any odd number */

struct config_write {
    config_attempt_fn attempt;
    void (*written)(struct grpc_call *call, const struct reply *reply);
    const ProtobufCMessageDescriptor *type;
    struct buf request;        /* packed */
    ProtobufCMessage *message; /* unpacked, of the attempt under way */
    struct buf told;           /* Rollback: packed, what it does */
    struct buf blind; /* a byte for each operation: whether what it finds is no matter */
    struct schema_checks checks; /* of the attempt under way */
    uint32_t changed;
    unsigned attempts;
    bool is_final; /* cannot be attempted again */
};

static const struct store *store_of(const struct grpc_call *call)
{
    return node_store(grpc_call_node(call));
}

static void message_drop(struct config_write *w)
{
    if (w->message != NULL) {
        protobuf_c_message_free_unpacked(w->message, NULL);
        w->message = NULL;
    }
}

void config_write_closed(struct grpc_call *call)
{
    struct config_write *w = call->data;
    if (w != NULL) {
        message_drop(w);
        buf_close(&w->request);
        buf_close(&w->told);
        buf_close(&w->blind);
        schema_checks_close(&w->checks);
        mem_free(w);
        call->data = NULL;
    }
}

const ProtobufCMessage *config_write_message(const struct config_write *w)
{
    return w->message;
}

/* Of a message that has such a field. */
static const void *field_of(const struct config_write *w, const char *name)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(w->type, name);
    return (const char *)w->message + f->offset;
}

/* What the operation of that number is about. */
static struct slice path_of(const struct config_write *w, uint32_t op)
{
    if (w->type == &coord__v1__config_update_request__descriptor) {
        const Coord__V1__ConfigUpdateRequest *r =
            (const Coord__V1__ConfigUpdateRequest *)w->message;
        uint32_t at = op < r->n_updates ? op : 0;
        return slice_str(r->n_updates > 0 ? r->updates[at]->path : "/");
    }
    return slice_str(*(const char *const *)field_of(w, "path"));
}

/* ---- attempts ------------------------------------------------------------------------------ */

/* False: the call has failed. */
static bool message_unpack(struct grpc_call *call, struct config_write *w)
{
    message_drop(w);
    w->message = protobuf_c_message_unpack(w->type, NULL, w->request.size, w->request.data);
    if (w->message == NULL) {
        grpc_call_fail_status(call, RC_OVERLOADED, false);
    }
    return w->message != NULL;
}

static void attempt(struct grpc_call *call, struct config_write *w)
{
    buf_clear(&w->blind);
    schema_checks_close(&w->checks);
    w->checks = (struct schema_checks){0};
    if (message_unpack(call, w)) {
        w->attempts++;
        w->attempt(call, w);
    }
}

static struct request_id attempt_id(struct request_id request, unsigned attempt)
{
    request.random[1] += (attempt - 1) * ATTEMPT_ID_STEP;
    return request;
}

/* Whether an attempt of it was executed, or nobody can tell any more; `c` then has its id. */
static bool is_decided(const struct grpc_call *call, struct command *c)
{
    const struct store *s = store_of(call);
    const struct request_id request = c->request;
    enum outcome outcome;
    bool has_id = request_id_is_set(&request);
    unsigned attempts = c->sequence != 0 ? 1 : has_id ? ATTEMPTS_MAX : 0;
    for (unsigned i = 1; i <= attempts; i++) {
        c->request = has_id ? attempt_id(request, i) : request;
        if (!store_remembered_outcome(s, c->session, c->sequence, &c->request, &outcome)) {
            return store_is_forgotten(s, c->session, c->sequence, &c->request);
        }
        if (outcome == OUTCOME_OK) {
            return true;
        }
    }
    return false;
}

/* Apply looks at the id before it looks at the operations: it executes none. */
static void ask_again(struct grpc_call *call, struct config_write *w, struct command *c)
{
    const struct op none = {.type = OP_CHECK,
                            .space = SPACE_NODES,
                            .path = path_of(w, 0),
                            .version = VERSION_ANY};
    c->txn = (struct txn){.then_ops = &none, .then_count = 1};
    w->is_final = true;
    answer_propose(call, c, w->written);
}

static void fresh_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    struct config_write *w = call->data;
    struct command c = {.type = COMMAND_TXN};
    if (store_level(store_of(call)) < CONFIG_LEVEL) {
        grpc_call_refuse(call, OUTCOME_UNSUPPORTED, store_revision(store_of(call)),
                         "configurations come with feature level %d: finish the upgrade",
                         CONFIG_LEVEL);
        return;
    }
    if (!message_unpack(call, w) ||
        !answer_write_prepare(call, *(Coord__V1__RequestHeader *const *)field_of(w, "header"),
                              &c)) {
        return;
    }
    if (is_decided(call, &c)) {
        ask_again(call, w, &c);
    } else {
        attempt(call, w);
    }
}

void config_write_begin(struct grpc_call *call, const ProtobufCMessage *message,
                        const Coord__V1__RequestHeader *header, config_attempt_fn how,
                        void (*written)(struct grpc_call *call, const struct reply *reply))
{
    if (!answer_session(call, header)) {
        return;
    }
    struct config_write *w = mem_zalloc(sizeof *w);
    size_t bytes = protobuf_c_message_get_packed_size(message);
    w->attempt = how;
    w->written = written;
    w->type = message->descriptor;
    (void)protobuf_c_message_pack(message, buf_extend(&w->request, bytes));
    call->data = w;
    call->read = (struct node_read){.consistency = READ_LINEARIZABLE, .is_barrier = true};
    grpc_call_read(call, fresh_got);
}

static void written(struct grpc_call *call, const struct reply *reply);

static void begin(struct grpc_call *call, const ProtobufCMessage *message,
                  const Coord__V1__RequestHeader *header, config_attempt_fn how)
{
    config_write_begin(call, message, header, how, written);
}

/* A transaction that is being put together, in scratch memory. */
struct draft {
    struct op *ops;
    uint32_t count;
    struct slice key; /* of the root */
    struct guard guard;
};

static void draft_begin(struct grpc_call *call, struct draft *d, size_t ops, struct slice root)
{
    uint8_t *key = grpc_call_scratch(call, POLICY_KEY_BYTES_MAX);
    *d = (struct draft){.ops = grpc_call_scratch(call, ops * sizeof *d->ops)};
    d->key = policy_root_key(root, key);
    d->guard = (struct guard){.relation = GUARD_EQUAL, .space = SPACE_META, .path = d->key};
}

/* Holds as long as neither the root nor a schema of it changes. */
static void draft_guard(struct draft *d, const struct policy *root)
{
    d->guard.target = GUARD_MODIFY_REVISION;
    d->guard.number = root->root_revision;
}

static struct op *draft_op(struct config_write *w, struct draft *d, enum op_type type,
                           struct slice path, bool is_blind)
{
    uint8_t blind = is_blind;
    struct op *op = &d->ops[d->count++];
    *op = (struct op){
        .type = (uint8_t)type,
        .flags = OP_CONFIG,
        .space = SPACE_NODES,
        .path = path,
        .version = VERSION_ANY,
    };
    if (type == OP_CREATE) {
        op->flags |= OP_MAKE_PARENTS;
    }
    buf_append(&w->blind, &blind, 1);
    return op;
}

/* Rewrites the root's key, with its value, or deletes it without one. */
static void draft_root(struct config_write *w, struct draft *d, enum op_type type,
                       struct slice value)
{
    struct op *op = draft_op(w, d, type, d->key, true);
    op->space = SPACE_META;
    op->flags = 0;
    op->data = value;
}

static void propose(struct grpc_call *call, struct config_write *w,
                    const Coord__V1__RequestHeader *header, const struct draft *d)
{
    struct command c = {.type = COMMAND_TXN};
    if (!answer_write_prepare(call, header, &c)) {
        return;
    }
    if (request_id_is_set(&c.request)) {
        c.request = attempt_id(c.request, w->attempts);
    }
    w->is_final = c.sequence != 0 || w->attempts == ATTEMPTS_MAX;
    c.txn = (struct txn){
        .guards = &d->guard,
        .guard_count = 1,
        .then_ops = d->ops,
        .then_count = d->count,
    };
    answer_propose(call, &c, written);
}

/* Whether what was looked at had changed by the time that it was applied. */
static bool was_overtaken(const struct config_write *w, const struct reply *reply)
{
    bool is_of_op =
        reply->outcome == OUTCOME_NODE_EXISTS || reply->outcome == OUTCOME_NO_NODE ||
        reply->outcome == OUTCOME_BAD_VERSION || reply->outcome == OUTCOME_NOT_EMPTY;
    return reply->outcome == OUTCOME_GUARD_REFUSED ||
           (is_of_op && reply->failed_op < w->blind.size && w->blind.data[reply->failed_op]);
}

/* ---- the reply ----------------------------------------------------------------------------- */

static void entries_fill(struct grpc_call *call, const struct config_write *w,
                         const struct reply *reply, Coord__V1__ConfigChangeReply *message)
{
    const Coord__V1__ConfigUpdateRequest *r =
        (const Coord__V1__ConfigUpdateRequest *)w->message;
    bool is_update = w->type == &coord__v1__config_update_request__descriptor;
    size_t count = is_update ? r->n_updates : 0; /* `fits` has seen to it */
    Coord__V1__ConfigEntry *entries = grpc_call_scratch(call, count * sizeof *entries);
    message->entries = grpc_call_scratch(call, count * sizeof(void *));
    message->n_entries = count;
    for (size_t i = 0; i < count; i++) {
        config_entry_fill(call, slice_str(r->updates[i]->path), &reply->results[i].stat,
                          slice_make(NULL, 0), &entries[i]);
        message->entries[i] = &entries[i];
    }
}

static void answer(struct grpc_call *call, struct config_write *w,
                   Coord__V1__ReplyHeader *header, const struct reply *reply)
{
    Coord__V1__ConfigChangeReply *told = NULL;
    Coord__V1__ConfigChangeReply message;
    coord__v1__config_change_reply__init(&message);
    if (w->told.size > 0) {
        told = coord__v1__config_change_reply__unpack(NULL, w->told.size, w->told.data);
    }
    if (told != NULL) {
        message.changes = told->changes;
        message.n_changes = told->n_changes;
    }
    if (reply != NULL) {
        entries_fill(call, w, reply, &message);
    }
    message.header = header;
    message.changed = w->changed;
    grpc_call_reply(call, &message.base);
    if (told != NULL) {
        coord__v1__config_change_reply__free_unpacked(told, NULL);
    }
}

/* Of what was done long ago nobody knows more than how much it was. */
static void tell_less(struct config_write *w, const struct reply *reply)
{
    bool is_counted = w->type == &coord__v1__config_update_request__descriptor ||
                      w->type == &coord__v1__config_rollback_request__descriptor;
    w->changed = is_counted ? reply->result_count : 0;
    buf_clear(&w->told);
}

/* Whether it can be the answer to this request, and not to another with its id. */
static bool fits(const struct config_write *w, const struct reply *reply)
{
    const Coord__V1__ConfigUpdateRequest *r =
        (const Coord__V1__ConfigUpdateRequest *)w->message;
    bool is_update = w->type == &coord__v1__config_update_request__descriptor;
    return !reply->has_lease && !reply->has_recipe &&
           (!is_update || reply->result_count == r->n_updates);
}

static void written(struct grpc_call *call, const struct reply *reply)
{
    struct config_write *w = call->data;
    struct slice path = path_of(w, reply->failed_op);
    bool is_overtaken = was_overtaken(w, reply);
    if (is_overtaken && !w->is_final) {
        call->reply = NULL;
        attempt(call, w);
    } else if (is_overtaken) {
        grpc_call_refuse(call, OUTCOME_BAD_VERSION, reply->revision,
                         "%.*s: the configuration changed meanwhile, ask again", (int)path.size,
                         (const char *)path.data);
    } else if (reply->outcome != OUTCOME_OK) {
        answer_refuse_reply(call, path, reply);
    } else if (answer_fits(call, reply, fits(w, reply))) {
        Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
        if (reply->repeated) {
            tell_less(w, reply);
        }
        answer(call, w, &header, reply);
    }
}

/* ---- Set, AtomicUpdate --------------------------------------------------------------------- */

/* False: the value is not what the schema of its place asks for, and the call is refused. */
static bool validate(struct grpc_call *call, struct config_write *w, struct slice path,
                     struct slice value, struct config_place *place)
{
    struct errmsg err;
    store_config_find(store_of(call), path, place);
    if (place->schema_revision == 0 ||
        schema_checks_validate(&w->checks, place->schema, value, &err) == RC_OK) {
        return true;
    }
    grpc_call_refuse(call, err.rc == RC_TOO_LARGE ? OUTCOME_LIMIT : OUTCOME_BAD_ARGUMENTS,
                     store_revision(store_of(call)), "%.*s: %s (the schema of %.*s)",
                     (int)path.size, (const char *)path.data, err.text,
                     (int)place->schema_at.size, (const char *)place->schema_at.data);
    return false;
}

/* False: the call is refused. */
static bool update_add(struct grpc_call *call, struct config_write *w, struct draft *d,
                       const Coord__V1__ConfigUpdate *u)
{
    struct config_place place;
    uint32_t version;
    struct slice path = slice_str(u->path);
    struct slice value = tree_bytes(u->value);
    if (!tree_expect(u->expect, &version) || (u->absent && (u->expect != NULL || u->delete_)) ||
        (u->delete_ && value.size > 0)) {
        grpc_call_refuse(call, OUTCOME_BAD_ARGUMENTS, store_revision(store_of(call)),
                         "%s: expect, absent, delete and value do not go together like this",
                         u->path);
        return false;
    }
    if (u->delete_) {
        draft_op(w, d, OP_DELETE, path, false)->version = version;
        return true;
    }
    if (!validate(call, w, path, value, &place)) {
        return false;
    }
    bool creates = u->absent || (u->expect == NULL && !place.exists);
    struct op *op =
        draft_op(w, d, creates ? OP_CREATE : OP_SET, path, !u->absent && u->expect == NULL);
    op->data = value;
    op->version = creates ? VERSION_ANY : version;
    return true;
}

static bool updates_are_one_root(struct grpc_call *call,
                                 const Coord__V1__ConfigUpdateRequest *r,
                                 const struct policy **root)
{
    const struct policy *found;
    *root = NULL;
    if (r->n_updates == 0 || r->n_updates > CONFIG_UPDATES_MAX) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "updates: %zu, from 1 to %d are possible",
                       r->n_updates, CONFIG_UPDATES_MAX);
        return false;
    }
    for (size_t i = 0; i < r->n_updates; i++) {
        if (!config_key_check(call, slice_str(r->updates[i]->path), &found)) {
            return false;
        }
        bool is_twice = false;
        for (size_t k = 0; k < i && !is_twice; k++) {
            is_twice = strcmp(r->updates[k]->path, r->updates[i]->path) == 0;
        }
        if (is_twice || (*root != NULL && found != *root)) {
            grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "updates[%zu]: %s: %s", i,
                           r->updates[i]->path,
                           is_twice ? "named twice" : "is of another configuration root");
            return false;
        }
        *root = found;
    }
    return true;
}

static void update_attempt(struct grpc_call *call, struct config_write *w)
{
    const Coord__V1__ConfigUpdateRequest *r =
        (const Coord__V1__ConfigUpdateRequest *)w->message;
    const struct policy *root;
    struct draft d;
    if (!updates_are_one_root(call, r, &root)) {
        return;
    }
    draft_begin(call, &d, r->n_updates, root->path);
    draft_guard(&d, root);
    for (size_t i = 0; i < r->n_updates; i++) {
        if (!update_add(call, w, &d, r->updates[i])) {
            return;
        }
    }
    w->changed = d.count;
    propose(call, w, r->header, &d);
}

void config_update_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigUpdateRequest *r = (const Coord__V1__ConfigUpdateRequest *)message;
    begin(call, message, r->header, update_attempt);
}

/* An update of one key. */
void config_set_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigSetRequest *request = (const Coord__V1__ConfigSetRequest *)message;
    Coord__V1__ConfigUpdateRequest update;
    Coord__V1__ConfigUpdate one;
    Coord__V1__ConfigUpdate *all[] = {&one};
    coord__v1__config_update_request__init(&update);
    coord__v1__config_update__init(&one);
    one.path = request->path;
    one.value = request->value;
    one.expect = request->expect;
    one.absent = request->absent;
    update.header = request->header;
    update.updates = all;
    update.n_updates = 1;
    begin(call, &update.base, request->header, update_attempt);
}

/* ---- Rollback ------------------------------------------------------------------------------ */

static void rollback_delete(struct config_write *w, struct draft *d,
                            const struct config_item *item)
{
    bool stays = item->children_now > 0; /* the node, without its value */
    struct op *op = draft_op(w, d, stays ? OP_SET : OP_DELETE, item->path, true);
    op->flags |= stays ? OP_NULL_DATA : 0;
    op->version = item->stat_before.version;
}

/* False: the call is refused. */
static bool rollback_set(struct grpc_call *call, struct config_write *w, struct draft *d,
                         const struct config_item *item)
{
    struct config_place place;
    if (!validate(call, w, item->path, item->after, &place)) {
        return false;
    }
    struct op *op = draft_op(w, d, place.exists ? OP_SET : OP_CREATE, item->path, true);
    op->data = item->after;
    op->version = item->was_there ? item->stat_before.version : VERSION_ANY;
    return true;
}

/* What is done, for the reply; and how much it is. */
static void rollback_tell(struct grpc_call *call, struct config_write *w,
                          const struct config_items *items)
{
    Coord__V1__ConfigChangeReply told;
    Coord__V1__ConfigChange *changes = grpc_call_scratch(call, items->count * sizeof *changes);
    coord__v1__config_change_reply__init(&told);
    told.changes = grpc_call_scratch(call, items->count * sizeof(void *));
    for (size_t i = 0; i < items->count; i++) {
        if (config_item_differs(&items->items[i])) {
            config_item_fill(call, &items->items[i], &changes[told.n_changes]);
            told.changes[told.n_changes] = &changes[told.n_changes];
            told.n_changes++;
        }
    }
    buf_clear(&w->told);
    size_t bytes = protobuf_c_message_get_packed_size(&told.base);
    (void)protobuf_c_message_pack(&told.base, buf_extend(&w->told, bytes));
    w->changed = (uint32_t)told.n_changes;
}

static void rollback_attempt(struct grpc_call *call, struct config_write *w)
{
    const Coord__V1__ConfigRollbackRequest *r =
        (const Coord__V1__ConfigRollbackRequest *)w->message;
    const struct policy *root;
    struct config_items items;
    struct config_moments moments = {
        .path = slice_str(r->path), .recursive = r->recursive, .after = r->revision};
    struct draft d;
    bool ok = config_key_check(call, moments.path, &root);
    if (ok && r->revision == 0) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "revision: must be given");
        return;
    }
    if (!ok || !config_items_find(call, &moments, &items)) {
        return;
    }
    draft_begin(call, &d, items.count, root->path);
    draft_guard(&d, root);
    for (size_t i = items.count; i-- > 0;) { /* what is below goes first */
        if (config_item_differs(&items.items[i]) && !items.items[i].is_there) {
            rollback_delete(w, &d, &items.items[i]);
        }
    }
    for (size_t i = 0; i < items.count; i++) {
        if (config_item_differs(&items.items[i]) && items.items[i].is_there &&
            !rollback_set(call, w, &d, &items.items[i])) {
            return;
        }
    }
    rollback_tell(call, w, &items);
    if (r->dry_run || d.count == 0) {
        Coord__V1__ReplyHeader header = answer_header_of_now(call);
        answer(call, w, &header, NULL);
    } else {
        propose(call, w, r->header, &d);
    }
}

void config_rollback_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigRollbackRequest *r =
        (const Coord__V1__ConfigRollbackRequest *)message;
    begin(call, message, r->header, rollback_attempt);
}

/* ---- roots and schemas --------------------------------------------------------------------- */

static struct slice root_value(struct grpc_call *call, uint32_t versions, bool is_open)
{
    return policy_root_value(versions, is_open,
                             grpc_call_scratch(call, POLICY_VALUE_BYTES_MAX));
}

/* Whether the root says that already: to set it again would end its rollouts. Only for who may set
 * it; others are refused in apply. */
static bool root_says(struct grpc_call *call, const struct policy *root, uint32_t versions,
                      bool is_open)
{
    struct access access;
    access_begin(&access, store_of(call), grpc_call_identities(call));
    return root->root_versions == versions && root->is_open == is_open &&
           access_nearest(&access, ACL_ADMIN, root->path);
}

/* The node if it is missing, and the root's key unless it says that already. */
static void create_root_draft(struct grpc_call *call, struct config_write *w,
                              const struct policy *root, struct draft *d)
{
    const Coord__V1__ConfigCreateRootRequest *r =
        (const Coord__V1__ConfigCreateRootRequest *)w->message;
    struct slice path = slice_str(r->path);
    uint32_t versions = r->versions == 0 ? VERSIONS_DEFAULT : r->versions;
    struct query_result result;
    struct query q = {.type = QUERY_EXISTS, .space = SPACE_NODES, .path = path};
    draft_begin(call, d, 2, path);
    d->guard.target = GUARD_EXISTS;
    d->guard.number = root != NULL;
    q.identities = grpc_call_identities(call);
    store_query(store_of(call), &q, &result, &call->connection->shared->scratch);
    if (result.outcome == OUTCOME_NO_NODE) {
        draft_op(w, d, OP_CREATE, path, true)->flags |= OP_NULL_DATA;
    }
    if (root == NULL || !root_says(call, root, versions, r->open)) {
        draft_root(w, d, root != NULL ? OP_SET : OP_CREATE,
                   root_value(call, versions, r->open));
    }
}

static void create_root_attempt(struct grpc_call *call, struct config_write *w)
{
    const Coord__V1__ConfigCreateRootRequest *r =
        (const Coord__V1__ConfigCreateRootRequest *)w->message;
    const struct policies *policies = store_policies(store_of(call));
    struct slice path = slice_str(r->path);
    struct errmsg err;
    struct draft d;
    enum outcome outcome = path_check(path, false, &err);
    if (outcome != OUTCOME_OK) {
        answer_refuse_early(call, outcome, &err);
        return;
    }
    const struct policy *root = policies_root(policies, path);
    bool is_same = root != NULL && slice_equal(root->path, path);
    if (!is_same && (root != NULL || policies_has_root_below(policies, path))) {
        grpc_call_refuse(call, OUTCOME_NODE_EXISTS, store_revision(store_of(call)),
                         "%s: there is a configuration root above or below it", r->path);
        return;
    }
    create_root_draft(call, w, root, &d);
    if (d.count > 0) {
        propose(call, w, r->header, &d);
    } else {
        Coord__V1__ReplyHeader header = answer_header_of_now(call);
        answer(call, w, &header, NULL);
    }
}

void config_create_root_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigCreateRootRequest *r =
        (const Coord__V1__ConfigCreateRootRequest *)message;
    begin(call, message, r->header, create_root_attempt);
}

static void delete_root_attempt(struct grpc_call *call, struct config_write *w)
{
    const Coord__V1__ConfigDeleteRootRequest *r =
        (const Coord__V1__ConfigDeleteRootRequest *)w->message;
    struct slice path = slice_str(r->path);
    const struct policy *root;
    struct draft d;
    if (!config_key_check(call, path, &root)) {
        return;
    }
    if (!slice_equal(root->path, path)) {
        grpc_call_refuse(call, OUTCOME_NO_NODE, store_revision(store_of(call)),
                         "%s: the configuration root is %.*s", r->path, (int)root->path.size,
                         (const char *)root->path.data);
        return;
    }
    draft_begin(call, &d, 1, path);
    draft_guard(&d, root);
    draft_root(w, &d, OP_DELETE, slice_make(NULL, 0));
    propose(call, w, r->header, &d);
}

void config_delete_root_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigDeleteRootRequest *r =
        (const Coord__V1__ConfigDeleteRootRequest *)message;
    begin(call, message, r->header, delete_root_attempt);
}

static void set_schema_attempt(struct grpc_call *call, struct config_write *w)
{
    const Coord__V1__ConfigSetSchemaRequest *r =
        (const Coord__V1__ConfigSetSchemaRequest *)w->message;
    struct slice path = slice_str(r->path);
    struct slice schema = tree_bytes(r->schema);
    const struct policy *root;
    struct config_place place;
    struct errmsg err;
    struct draft d;
    if (!config_key_check(call, path, &root)) {
        return;
    }
    if (schema.size > 0 && schema_check(schema, &err) != RC_OK) {
        enum outcome outcome =
            err.rc == RC_TOO_LARGE ? OUTCOME_TOO_LARGE : OUTCOME_BAD_ARGUMENTS;
        answer_refuse_early(call, outcome, &err);
        return;
    }
    store_config_find(store_of(call), path, &place);
    bool exists = place.schema_revision != 0 && slice_equal(place.schema_at, path);
    struct buf whole = {0};
    buf_append_slice(&whole, path);
    buf_append_str(&whole, "/" CONFIG_SCHEMA_NAME);
    draft_begin(call, &d, 2, root->path);
    draft_guard(&d, root);
    enum op_type type = schema.size == 0 ? OP_DELETE : exists ? OP_SET : OP_CREATE;
    draft_op(w, &d, type, buf_slice(&whole), type != OP_DELETE)->data = schema;
    draft_root(w, &d, OP_SET, root_value(call, root->root_versions, root->is_open));
    propose(call, w, r->header, &d);
    buf_close(&whole);
}

void config_set_schema_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigSetSchemaRequest *r =
        (const Coord__V1__ConfigSetSchemaRequest *)message;
    begin(call, message, r->header, set_schema_attempt);
}
