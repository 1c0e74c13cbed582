#include "net/grpc/answer.h"

#include <inttypes.h>

#include "net/grpc/audit.h"
#include "net/grpc/wire.h"
#include "recipes/record.h"
#include "store/access.h"
#include "store/store.h"

/* Of a path in an error text, which has to fit into the headers that clients accept. */
#define PATH_SHOWN_BYTES 256

char *answer_text(const char *text)
{
    union {
        const char *from;
        char *to;
    } cast = {.from = text};
    return cast.to;
}

ProtobufCBinaryData answer_bytes(struct slice bytes)
{
    union {
        const uint8_t *from;
        uint8_t *to;
    } cast = {.from = bytes.data};
    return (ProtobufCBinaryData){.len = bytes.size, .data = cast.to};
}

char *answer_copy(struct grpc_call *call, struct slice text)
{
    char *copy = grpc_call_scratch(call, text.size + 1);
    if (text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    copy[text.size] = '\0';
    return copy;
}

/* ---- headers of replies ------------------------------------------------------------------ */

static Coord__V1__ReplyHeader header_make(const struct grpc_call *call, uint64_t revision,
                                          uint64_t applied_index, uint64_t cluster_ms)
{
    const struct node *node = grpc_call_node(call);
    Coord__V1__ReplyHeader header;
    coord__v1__reply_header__init(&header);
    header.cluster_id = node_cluster_id(node);
    header.node_id = node_id(node);
    header.node = answer_text(node_name(node));
    header.revision = revision;
    header.applied_index = applied_index;
    header.term = node_term(node);
    header.cluster_ms = cluster_ms;
    return header;
}

Coord__V1__ReplyHeader answer_header(const struct grpc_call *call, uint64_t revision,
                                     uint64_t applied_index)
{
    return header_make(call, revision, applied_index, node_cluster_ms(grpc_call_node(call)));
}

Coord__V1__ReplyHeader answer_header_of_write(const struct grpc_call *call,
                                              const struct reply *reply)
{
    Coord__V1__ReplyHeader header = answer_header(call, reply->revision, reply->index);
    header.repeated = reply->repeated;
    return header;
}

/* How old what was read may be: a linearizable read is as new as its request. */
static void header_set_age(const struct grpc_call *call, Coord__V1__ReplyHeader *header)
{
    uint64_t age_ms = call->read.consistency == READ_LINEARIZABLE
                          ? 0
                          : node_age_ms(grpc_call_node(call));
    header->age_known = age_ms != UINT64_MAX;
    header->age_ms = header->age_known ? age_ms : 0;
}

Coord__V1__ReplyHeader answer_header_of_read(const struct grpc_call *call,
                                             const struct query_result *result)
{
    Coord__V1__ReplyHeader header =
        answer_header(call, result->revision, result->applied_index);
    header_set_age(call, &header);
    return header;
}

static Coord__V1__ReplyHeader header_of_now(const struct grpc_call *call)
{
    const struct store *store = node_store(grpc_call_node(call));
    return answer_header(call, store_revision(store), store_applied_index(store));
}

Coord__V1__ReplyHeader answer_header_of_barrier(const struct grpc_call *call)
{
    Coord__V1__ReplyHeader header = header_of_now(call);
    header_set_age(call, &header);
    return header;
}

Coord__V1__ReplyHeader answer_header_of_now(const struct grpc_call *call)
{
    Coord__V1__ReplyHeader header = header_of_now(call);
    header.age_known = true;
    return header;
}

Coord__V1__Stat answer_stat(const struct node_stat *stat)
{
    Coord__V1__Stat out;
    coord__v1__stat__init(&out);
    out.create_revision = stat->create_revision;
    out.modify_revision = stat->modify_revision;
    out.children_revision = stat->children_revision;
    out.create_time_ms = stat->create_ms;
    out.modify_time_ms = stat->modify_ms;
    out.version = stat->version;
    out.children_version = stat_children_version(stat);
    out.acl_version = stat->acl_version;
    out.data_bytes = stat->data_bytes;
    out.child_count = stat->child_count;
    out.sequence_next = stat->sequence_next;
    out.lease = stat->lease;
    out.kind = (Coord__V1__Kind)stat->kind;
    out.ttl_ms = stat->ttl_ms;
    return out;
}

/* ---- headers of requests ----------------------------------------------------------------- */

/* False: `err` says what is wrong with it. */
static bool session_check(const Coord__V1__SessionRef *session, struct errmsg *err)
{
    if (session->id > LEASE_ID_MAX) {
        (void)errmsg_set(err, RC_INVALID,
                         "header.session.id: %" PRIu64 ", at most %" PRIu64, session->id,
                         (uint64_t)LEASE_ID_MAX);
        return false;
    }
    if (session->id == 0 && (session->sequence | session->answered_to) != 0) {
        (void)errmsg_set(err, RC_INVALID,
                         "header.session.sequence: %" PRIu64 " without a session id",
                         session->sequence);
        return false;
    }
    if (session->answered_to != 0 && session->answered_to >= session->sequence) {
        (void)errmsg_set(err, RC_INVALID,
                         "header.session.answered_to: %" PRIu64
                         ", must be below the sequence, %" PRIu64,
                         session->answered_to, session->sequence);
        return false;
    }
    return true;
}

void answer_touch(const struct grpc_call *call, uint64_t session)
{
    const struct store *store = node_store(grpc_call_node(call));
    const struct lease *lease = store_lease(store, session);
    struct access access;
    access_begin(&access, store, grpc_call_identities(call));
    if (lease == NULL || access_lease(&access, lease, false)) {
        node_touch(grpc_call_node(call), session);
    }
}

bool answer_session(struct grpc_call *call, const Coord__V1__RequestHeader *header)
{
    struct errmsg err;
    if (header == NULL || header->session == NULL) {
        return true;
    }
    if (!session_check(header->session, &err)) {
        answer_refuse_early(call, OUTCOME_BAD_ARGUMENTS, &err);
        return false;
    }
    bool is_new = call->session != header->session->id; /* a call may ask the node again */
    call->session = header->session->id;
    if (is_new) {
        answer_touch(call, call->session);
    }
    return true;
}

bool answer_read_prepare(struct grpc_call *call, const Coord__V1__RequestHeader *header)
{
    call->read = (struct node_read){.consistency = READ_LINEARIZABLE};
    if (!answer_session(call, header)) {
        return false;
    }
    if (header == NULL) {
        return true;
    }
    switch ((int)header->consistency) {
    case COORD__V1__CONSISTENCY__LINEARIZABLE: break;
    case COORD__V1__CONSISTENCY__SESSION:
        call->read.consistency = READ_SESSION;
        call->read.min_index = header->min_index;
        break;
    case COORD__V1__CONSISTENCY__BOUNDED:
        call->read.consistency = READ_BOUNDED;
        call->read.bound_ms = header->bound_ms;
        break;
    case COORD__V1__CONSISTENCY__LOCAL: call->read.consistency = READ_LOCAL; break;
    default:
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "header.consistency: %d is none",
                       (int)header->consistency);
        return false;
    }
    return true;
}

bool answer_write_prepare(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                          struct command *c)
{
    if (!answer_session(call, header)) {
        return false;
    }
    c->identities = grpc_call_identities(call);
    if (header == NULL) {
        return true;
    }
    if (call->session != 0) {
        c->session = call->session;
        c->sequence = header->session->sequence;
        c->answered_to = header->session->answered_to;
    }
    c->note = slice_str(header->note);
    if (header->request_id != NULL) {
        c->request = (struct request_id){
            .issued_ms = header->request_id->issued_ms,
            .random = {header->request_id->high, header->request_id->low},
        };
    }
    return true;
}

const struct guard *answer_guards(struct grpc_call *call, Coord__V1__LockGrant *const *grants,
                                  size_t count)
{
    struct guard *guards = grpc_call_scratch(call, count * sizeof *guards);
    for (size_t i = 0; i < count; i++) {
        guards[i] = (struct guard){
            .target = GUARD_GRANT,
            .relation = GUARD_EQUAL,
            .space = SPACE_NODES,
            .path = slice_str(grants[i]->path),
            .number = grants[i]->revision,
        };
    }
    return guards;
}

void answer_propose(struct grpc_call *call, const struct command *c,
                    void (*written)(struct grpc_call *call, const struct reply *reply))
{
    struct errmsg err;
    grpc_audit_command(call, c);
    enum outcome outcome = command_check(c, &err);
    if (outcome != OUTCOME_OK) {
        answer_refuse_early(call, outcome, &err);
        return;
    }
    grpc_call_write(call, c, written);
}

/* ---- refusals ---------------------------------------------------------------------------- */

/* The bytes of `path` that an error text shows, whole characters only. */
static int path_shown_bytes(struct slice path)
{
    size_t bytes = path.size < PATH_SHOWN_BYTES ? path.size : PATH_SHOWN_BYTES;
    while (bytes > 0 && bytes < path.size && (path.data[bytes] & 0xc0) == 0x80) {
        bytes--;
    }
    return (int)bytes;
}

static const char *right_name(uint8_t right)
{
    switch (right) {
    case ACL_READ: return "read is ";
    case ACL_WRITE: return "write is ";
    case ACL_CREATE: return "create is ";
    case ACL_DELETE: return "delete is ";
    case ACL_ADMIN: return "admin is ";
    default: return "";
    }
}

/* "/a: write is not allowed to user alice". */
static void answer_refuse_right(struct grpc_call *call, struct slice path, int bytes,
                                const char *dots, uint64_t revision)
{
    struct access access;
    access_begin(&access, node_store(grpc_call_node(call)), grpc_call_identities(call));
    if (call->reply == NULL) {
        grpc_audit_denied(call, call->route->method->right, path);
    }
    grpc_call_refuse(call, OUTCOME_NO_AUTH, revision, "%.*s%s: %snot allowed%s%.*s", bytes,
                     (const char *)path.data, dots, right_name(call->route->method->right),
                     access.user.size > 0 ? " to user " : "", (int)access.user.size,
                     (const char *)access.user.data);
}

void answer_refuse(struct grpc_call *call, struct slice path, enum outcome outcome,
                   uint64_t revision)
{
    bool is_of_session = outcome == OUTCOME_NO_SESSION || outcome == OUTCOME_SEQUENCE_EXPIRED;
    if (is_of_session && call->session != 0) {
        answer_refuse_lease(call, LEASE_SESSION, call->session, outcome, revision);
        return;
    }
    int bytes = path_shown_bytes(path);
    const char *dots = (size_t)bytes < path.size ? "..." : "";
    if (outcome == OUTCOME_NO_AUTH) {
        answer_refuse_right(call, path, bytes, dots, revision);
        return;
    }
    grpc_call_refuse(call, outcome, revision, "%.*s%s: %s", bytes, (const char *)path.data,
                     dots, outcome_text(outcome));
}

void answer_refuse_reply(struct grpc_call *call, struct slice path, const struct reply *reply)
{
    if (reply->refusal.bound == BOUND_NONE) {
        answer_refuse(call, path, reply->outcome, reply->revision);
        return;
    }
    char why[REFUSAL_TEXT_BYTES_MAX];
    int bytes = path_shown_bytes(path);
    refusal_text(&reply->refusal, why);
    grpc_call_refuse(call, reply->outcome, reply->revision, "%.*s%s: %s", bytes,
                     (const char *)path.data, (size_t)bytes < path.size ? "..." : "", why);
}

void answer_refuse_recipe(struct grpc_call *call, const struct reply *reply)
{
    struct slice text = reply->has_recipe ? reply->recipe.text : slice_make(NULL, 0);
    if (text.size == 0) {
        answer_refuse_reply(call, buf_slice(&call->path), reply);
    } else {
        grpc_call_refuse(call, reply->outcome, reply->revision, "%s: %.*s",
                         outcome_text(reply->outcome), (int)text.size, (const char *)text.data);
    }
}

void answer_refuse_revision(struct grpc_call *call, struct slice path, uint64_t revision,
                            const struct query_result *result)
{
    bool is_compacted = result->outcome == OUTCOME_COMPACTED;
    if (!is_compacted && result->outcome != OUTCOME_FUTURE_REVISION) {
        answer_refuse(call, path, result->outcome, result->revision);
        return;
    }
    int bytes = path_shown_bytes(path);
    grpc_call_refuse(call, result->outcome, result->revision,
                     "%.*s%s: revision %" PRIu64 " is %s %" PRIu64, bytes,
                     (const char *)path.data, (size_t)bytes < path.size ? "..." : "", revision,
                     is_compacted ? "no longer retained, the change log begins with"
                                  : "in the future, the last is",
                     is_compacted ? store_history_floor(node_store(grpc_call_node(call)))
                                  : result->revision);
}

/* People see ids as sixteen digits in base 16, as coordctl shows them. */
void answer_refuse_lease(struct grpc_call *call, enum lease_kind kind, uint64_t id,
                         enum outcome outcome, uint64_t revision)
{
    grpc_call_refuse(call, outcome, revision, "%s %016" PRIx64 ": %s",
                     kind == LEASE_SESSION ? "session" : "lease", id, outcome_text(outcome));
}

void answer_refuse_early(struct grpc_call *call, enum outcome outcome,
                         const struct errmsg *err)
{
    grpc_call_refuse(call, outcome, store_revision(node_store(grpc_call_node(call))), "%s",
                     err->text);
}

bool answer_fits(struct grpc_call *call, const struct reply *reply, bool fits)
{
    if (!fits) {
        grpc_call_refuse(call, OUTCOME_BAD_ARGUMENTS, reply->revision,
                         "header: this number or request id was that of another write");
    }
    return fits;
}

void answer_page(struct grpc_call *call, const struct query_result *result,
                 const ProtobufCMessage *head, uint32_t next_field,
                 void (*append)(struct grpc_call *call, struct buf *out,
                                const struct query_entry *e, const void *context),
                 const void *context)
{
    size_t begin;
    uint32_t count = 0;
    struct buf *out = grpc_call_begin_with(call, head, &begin);
    for (; count < result->entry_count; count++) {
        size_t page_end = out->size;
        append(call, out, &result->entries[count], context);
        if (count > 0 && out->size - begin > QUERY_PAGE_BYTES_MAX) {
            out->size = page_end;
            break;
        }
    }
    if (count > 0 && (count < result->entry_count || result->more)) {
        wire_append_bytes(out, next_field, result->entries[count - 1].path);
    }
    grpc_call_end(call, begin);
    grpc_call_finish(call);
}

void answer_list_ask(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                     const char *after, uint32_t limit,
                     void (*got)(struct grpc_call *call, const struct query_result *result))
{
    if (answer_read_prepare(call, header)) {
        buf_clear(&call->path);
        buf_append_str(&call->path, after);
        call->word = limit;
        call->read.is_barrier = true;
        grpc_call_read(call, got);
    }
}

struct answer_list answer_list_begin(struct grpc_call *call, const ProtobufCMessage *head)
{
    struct answer_list l = {.call = call};
    l.out = grpc_call_begin_with(call, head, &l.begin);
    return l;
}

bool answer_list_wants(const struct answer_list *l, struct slice name)
{
    return slice_compare(name, buf_slice(&l->call->path)) > 0;
}

bool answer_list_add(struct answer_list *l, uint32_t field, struct slice name,
                     const ProtobufCMessage *item)
{
    size_t end = l->out->size;
    if (l->call->word != 0 && l->count == l->call->word) {
        return false;
    }
    wire_append_message(l->out, field, item);
    if (l->count > 0 && l->out->size - l->begin > QUERY_PAGE_BYTES_MAX) {
        l->out->size = end;
        return false;
    }
    l->count++;
    l->last = name;
    return true;
}

void answer_list_end(struct answer_list *l, uint32_t next_field, bool more)
{
    if (more) {
        wire_append_bytes(l->out, next_field, l->last);
    }
    grpc_call_end(l->call, l->begin);
    grpc_call_finish(l->call);
}

bool answer_ask(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                const struct query *query,
                void (*got)(struct grpc_call *call, const struct query_result *result))
{
    struct slice path = query->path;
    struct slice after = query->after;
    struct errmsg err;
    if (!answer_read_prepare(call, header)) {
        return false;
    }
    enum outcome outcome = path_check(path, false, &err);
    if (outcome == OUTCOME_OK && after.size > 0 &&
        path_check(after, false, &err) != OUTCOME_OK) {
        outcome = OUTCOME_BAD_CURSOR;
    }
    if (outcome != OUTCOME_OK) {
        answer_refuse_early(call, outcome, &err);
        return false;
    }
    buf_clear(&call->path);
    buf_reserve(&call->path, path.size + after.size); /* it does not move below */
    buf_append_slice(&call->path, path);
    buf_append_slice(&call->path, after);
    struct slice kept = slice_make(call->path.data + path.size, after.size);
    call->path.size = path.size;
    call->read.query = *query;
    call->read.query.space = SPACE_NODES;
    call->read.query.path = buf_slice(&call->path);
    call->read.query.after = kept;
    grpc_call_read(call, got);
    return true;
}

bool answer_recipe(struct grpc_call *call, const struct query_result *result, uint32_t kinds,
                   struct recipe_head *head)
{
    enum outcome outcome = result->outcome;
    if (outcome == OUTCOME_OK &&
        (result->stat.kind != NODE_RECIPE ||
         !recipe_head_decode(result->data, head, &call->connection->shared->scratch) ||
         (kinds & RECIPE_KIND(head->recipe)) == 0)) {
        outcome = OUTCOME_NO_RECIPE;
    }
    if (outcome != OUTCOME_OK) {
        answer_refuse(call, buf_slice(&call->path), outcome, result->revision);
    }
    return outcome == OUTCOME_OK;
}

void answer_look(struct grpc_call *call, struct query_result *result)
{
    const struct query query = {
        .type = QUERY_GET,
        .space = SPACE_NODES,
        .path = buf_slice(&call->path),
        .identities = grpc_call_identities(call),
    };
    store_query(node_store(grpc_call_node(call)), &query, result,
                &call->connection->shared->scratch);
}
