/* coord.v1.Config: what reads, and the table of the service. */
#include "net/grpc/config.h"

#include "base/pack.h"
#include "net/grpc/wire.h"
#include "store/access.h"

static const struct store *store_of(const struct grpc_call *call)
{
    return node_store(grpc_call_node(call));
}

/* ---- keys ---------------------------------------------------------------------------------- */

/* What is wrong with a well-formed path as that of a key; NULL: nothing. */
static const char *key_problem(const struct policy *root, struct slice path)
{
    if (root == NULL) {
        return "there is no configuration root at it or above";
    }
    return config_is_reserved(root->path, path) ? "names that begin with a dot are not for keys"
                                                : NULL;
}

static bool path_is_well_formed(struct grpc_call *call, struct slice path)
{
    struct errmsg err;
    enum outcome outcome = path_check(path, false, &err);
    if (outcome != OUTCOME_OK) {
        answer_refuse_early(call, outcome, &err);
    }
    return outcome == OUTCOME_OK;
}

bool config_key_check(struct grpc_call *call, struct slice path, const struct policy **root)
{
    if (!path_is_well_formed(call, path)) {
        return false;
    }
    *root = policies_root(store_policies(store_of(call)), path);
    const char *problem = key_problem(*root, path);
    if (problem != NULL) {
        grpc_call_refuse(call, *root == NULL ? OUTCOME_NO_NODE : OUTCOME_BAD_PATH,
                         store_revision(store_of(call)), "%.*s: %s", (int)path.size,
                         (const char *)path.data, problem);
    }
    return problem == NULL;
}

/* ---- what messages say --------------------------------------------------------------------- */

void config_entry_fill(struct grpc_call *call, struct slice path, const struct node_stat *stat,
                       struct slice value, Coord__V1__ConfigEntry *entry)
{
    coord__v1__config_entry__init(entry);
    entry->path = answer_copy(call, path);
    entry->value = answer_bytes(value);
    entry->version = stat->version;
    entry->create_revision = stat->create_revision;
    entry->modify_revision = stat->modify_revision;
    entry->modify_time_ms = stat->modify_ms;
}

static struct slice user_of(struct slice identities)
{
    struct unpack u = unpack_make(identities);
    while (u.rest.size > 0 && !u.failed) {
        struct slice scheme = unpack_bytes(&u);
        struct slice id = unpack_bytes(&u);
        if (!u.failed && slice_is(scheme, "user")) {
            return id;
        }
    }
    return slice_make(NULL, 0);
}

static struct slice bytes_of(const struct value *v)
{
    return v == NULL ? slice_make(NULL, 0) : slice_make(v->bytes, v->size);
}

/* A node without a value is no key: what gives it one makes the key, what takes it deletes it. */
bool config_change_fill(struct grpc_call *call, const struct change *change, size_t root_bytes,
                        Coord__V1__ConfigChange *message)
{
    const struct value *after = change->type == CHANGE_DELETE ? NULL : change->data;
    const struct value *before = change->old_data;
    struct slice root = slice_make(change->path.data, root_bytes);
    if (change->type == CHANGE_ACL || (before == NULL && after == NULL) ||
        change->path.size < root_bytes || config_is_reserved(root, change->path)) {
        return false;
    }
    coord__v1__config_change__init(message);
    message->type = before == NULL  ? COORD__V1__EVENT_TYPE__CREATE_EVENT
                    : after == NULL ? COORD__V1__EVENT_TYPE__DELETE_EVENT
                                    : COORD__V1__EVENT_TYPE__SET_EVENT;
    message->path = answer_copy(call, change->path);
    message->old_value = answer_bytes(bytes_of(before));
    message->new_value = answer_bytes(bytes_of(after));
    message->version = change->stat.version;
    message->revision = change->revision;
    message->time_ms = change->wall_ms;
    message->user = answer_copy(call, user_of(change->identities));
    message->session = change->session;
    message->note = answer_copy(call, change->note);
    return true;
}

/* ---- Roots --------------------------------------------------------------------------------- */

enum { ROOTS_REPLY_ROOTS = 2, ROOTS_REPLY_NEXT = 3 };

static void roots_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    const struct policies *policies = store_policies(store_of(call));
    struct access access;
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__ConfigRootsReply message;
    coord__v1__config_roots_reply__init(&message);
    message.header = &header;
    struct answer_list list = answer_list_begin(call, &message.base);
    bool more = false;
    access_begin(&access, store_of(call), grpc_call_identities(call));
    for (uint32_t i = 0; i < policies->count && !more; i++) {
        const struct policy *p = &policies->items[i];
        if (p->root_revision == 0 || !answer_list_wants(&list, p->path) ||
            !access_nearest(&access, ACL_READ, p->path)) {
            continue;
        }
        Coord__V1__ConfigRoot root;
        coord__v1__config_root__init(&root);
        root.path = answer_copy(call, p->path);
        root.versions = p->versions;
        root.open = p->is_open;
        root.revision = p->root_revision;
        more = !answer_list_add(&list, ROOTS_REPLY_ROOTS, p->path, &root.base);
    }
    answer_list_end(&list, ROOTS_REPLY_NEXT, more);
}

static void roots_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigRootsRequest *request = (const Coord__V1__ConfigRootsRequest *)message;
    answer_list_ask(call, request->header, request->after, request->limit, roots_got);
}

/* ---- Get ----------------------------------------------------------------------------------- */

enum { GET_REPLY_ENTRIES = 2, GET_REPLY_NEXT = 3 };

/* A page that is being written. */
struct page {
    struct grpc_call *call;
    struct buf *out;
    size_t begin;
    uint32_t count;
    uint32_t limit; /* 0 = none */
    struct slice last;
};

static void page_begin(struct page *p, Coord__V1__ReplyHeader *header)
{
    Coord__V1__ConfigGetReply message;
    coord__v1__config_get_reply__init(&message);
    message.header = header;
    p->out = grpc_call_begin_with(p->call, &message.base, &p->begin);
}

/* False: it is full, and goes on behind `last`. */
static bool page_add(struct page *p, struct slice path, const struct node_stat *stat,
                     struct slice value)
{
    Coord__V1__ConfigEntry entry;
    size_t end = p->out->size;
    bool is_full = p->limit != 0 && p->count == p->limit;
    if (!is_full) {
        config_entry_fill(p->call, path, stat, value, &entry);
        wire_append_message(p->out, GET_REPLY_ENTRIES, &entry.base);
        is_full = p->count > 0 && p->out->size - p->begin > QUERY_PAGE_BYTES_MAX;
    }
    if (is_full) {
        p->out->size = end;
        return false;
    }
    p->count++;
    p->last = path;
    return true;
}

static void page_end(struct page *p, bool more)
{
    if (more) {
        wire_append_bytes(p->out, GET_REPLY_NEXT, p->last);
    }
    grpc_call_end(p->call, p->begin);
    grpc_call_finish(p->call);
}

static void get_got(struct grpc_call *call, const struct query_result *result)
{
    const struct query *q = &call->read.query;
    const struct policy *root;
    if (!config_key_check(call, q->path, &root)) {
        return;
    }
    if (result->outcome != OUTCOME_OK) {
        answer_refuse_revision(call, q->path, q->revision, result);
        return;
    }
    if (result->null_data) {
        answer_refuse(call, q->path, OUTCOME_NO_NODE, result->revision);
        return;
    }
    struct page page = {.call = call};
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    page_begin(&page, &header);
    (void)page_add(&page, q->path, &result->stat, result->data);
    page_end(&page, false);
}

/* The key at the top of a listing, which has what is below. True: there is no room for more. */
static bool add_top(struct page *page, struct slice path)
{
    struct query_result result;
    struct query q = {
        .type = QUERY_GET,
        .space = SPACE_NODES,
        .path = path,
        .identities = grpc_call_identities(page->call),
    };
    store_query(store_of(page->call), &q, &result, &page->call->connection->shared->scratch);
    bool is_key = result.outcome == OUTCOME_OK && !result.null_data;
    return is_key && !page_add(page, path, &result.stat, result.data);
}

static void list_got(struct grpc_call *call, const struct query_result *result)
{
    const struct query *q = &call->read.query;
    const struct policy *root;
    if (!config_key_check(call, q->path, &root)) {
        return;
    }
    if (result->outcome != OUTCOME_OK) {
        answer_refuse(call, q->path, result->outcome, result->revision);
        return;
    }
    struct page page = {.call = call, .limit = (uint32_t)call->word, .last = q->path};
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    page_begin(&page, &header);
    bool is_full = q->after.size == 0 && add_top(&page, q->path);
    struct slice seen = page.last;
    for (uint32_t i = 0; i < result->entry_count && !is_full; i++) {
        const struct query_entry *e = &result->entries[i];
        bool is_key = !e->unreadable && e->value != NULL &&
                      !config_is_reserved(root->path, e->path);
        is_full = is_key && !page_add(&page, e->path, &e->stat, e->data);
        seen = is_full ? seen : e->path;
    }
    page.last = seen; /* also behind what is no key */
    page_end(&page, is_full || result->more);
}

static void past_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    const struct policy *root;
    struct config_items items;
    const struct query *q = &call->read.query;
    struct config_moments moments = {
        .path = q->path, .recursive = true, .before = q->revision, .after = q->revision};
    if (!config_key_check(call, q->path, &root) || !config_items_find(call, &moments, &items)) {
        return;
    }
    struct page page = {.call = call, .limit = (uint32_t)call->word};
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    bool is_full = false;
    page_begin(&page, &header);
    for (size_t i = 0; i < items.count && !is_full; i++) {
        const struct config_item *item = &items.items[i];
        if (slice_compare(item->path, q->after) > 0) {
            is_full = !page_add(&page, item->path, &item->stat_after, item->after);
        }
    }
    page_end(&page, is_full);
}

bool config_query_prepare(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                          const char *path_text, const char *after_text)
{
    struct slice path = slice_str(path_text);
    struct slice after = slice_str(after_text);
    if (!answer_read_prepare(call, header) || !path_is_well_formed(call, path) ||
        (after.size > 0 && !path_is_well_formed(call, after))) {
        return false;
    }
    buf_clear(&call->path);
    buf_reserve(&call->path, path.size + after.size); /* it does not move below */
    buf_append_slice(&call->path, path);
    buf_append_slice(&call->path, after);
    call->read.query.space = SPACE_NODES;
    call->read.query.path = slice_make(call->path.data, path.size);
    call->read.query.after = slice_make(call->path.data + path.size, after.size);
    return true;
}

static void get_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigGetRequest *request = (const Coord__V1__ConfigGetRequest *)message;
    if (!config_query_prepare(call, request->header, request->path, request->after)) {
        return;
    }
    struct query *q = &call->read.query;
    call->word = request->limit;
    q->revision = request->revision;
    if (!request->recursive) {
        q->type = QUERY_GET;
        grpc_call_read(call, get_got);
    } else if (request->revision == 0) {
        q->type = QUERY_LIST;
        q->recursive = true;
        q->with_data = true;
        grpc_call_read(call, list_got);
    } else {
        call->read.is_barrier = true;
        grpc_call_read(call, past_got);
    }
}

/* ---- History ------------------------------------------------------------------------------- */

enum { HISTORY_REPLY_CHANGES = 2, HISTORY_REPLY_REVISION = 3, HISTORY_REPLY_SUB = 4 };

static size_t change_bytes(const struct change *c)
{
    return 256 + c->path.size + c->note.size + bytes_of(c->data).size +
           bytes_of(c->old_data).size;
}

static void history_got(struct grpc_call *call, const struct query_result *result)
{
    const struct policy *root;
    const struct query *q = &call->read.query;
    if (!config_key_check(call, q->path, &root)) {
        return;
    }
    if (result->outcome != OUTCOME_OK) {
        bool is_from = q->from_revision > result->revision; /* else it is the other bound */
        answer_refuse_revision(call, q->path, is_from ? q->from_revision : q->to_revision,
                               result);
        return;
    }
    size_t begin;
    size_t total = 0;
    uint32_t i = 0;
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__ConfigHistoryReply message;
    coord__v1__config_history_reply__init(&message);
    message.header = &header;
    struct buf *out = grpc_call_begin_with(call, &message.base, &begin);
    for (; i < result->change_count; i++) {
        Coord__V1__ConfigChange change;
        total += change_bytes(result->changes[i]);
        if (i > 0 && total > QUERY_PAGE_BYTES_MAX) {
            break;
        }
        if (config_change_fill(call, result->changes[i], root->path.size, &change)) {
            wire_append_message(out, HISTORY_REPLY_CHANGES, &change.base);
        }
    }
    if (i < result->change_count) {
        wire_append_number(out, HISTORY_REPLY_REVISION, result->changes[i - 1]->revision);
        wire_append_number(out, HISTORY_REPLY_SUB, result->changes[i - 1]->sub);
    } else if (result->more) {
        wire_append_number(out, HISTORY_REPLY_REVISION, result->next_revision);
        wire_append_number(out, HISTORY_REPLY_SUB, result->next_sub);
    }
    grpc_call_end(call, begin);
    grpc_call_finish(call);
}

static void history_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigHistoryRequest *request =
        (const Coord__V1__ConfigHistoryRequest *)message;
    if (!config_query_prepare(call, request->header, request->path, "")) {
        return;
    }
    if (request->to_revision != 0 && request->from_revision > request->to_revision) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "from_revision is beyond to_revision");
        return;
    }
    struct query *q = &call->read.query;
    q->type = QUERY_HISTORY;
    q->recursive = request->recursive;
    q->with_data = true;
    q->limit = request->limit;
    q->from_revision = request->from_revision;
    q->to_revision = request->to_revision;
    q->after_revision = request->after_revision;
    q->after_sub = request->after_sub;
    q->newest_first = request->newest_first;
    grpc_call_read(call, history_got);
}

/* ---- Diff ---------------------------------------------------------------------------------- */

enum { DIFF_REPLY_CHANGES = 2 };

/* Clients accept 4 MiB. */
#define DIFF_BYTES_MAX ((size_t)3 << 20)

static size_t diff_bytes(const struct config_items *items)
{
    size_t total = 0;
    for (size_t i = 0; i < items->count; i++) {
        const struct config_item *item = &items->items[i];
        bool differs = config_item_differs(item);
        total += differs ? 64 + item->path.size + item->before.size + item->after.size : 0;
    }
    return total;
}

static void diff_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    const struct policy *root;
    struct config_items items;
    const struct query *q = &call->read.query;
    struct config_moments moments = {
        .path = q->path, .recursive = true, .before = q->from_revision, .after = q->to_revision};
    if (!config_key_check(call, q->path, &root) || !config_items_find(call, &moments, &items)) {
        return;
    }
    if (diff_bytes(&items) > DIFF_BYTES_MAX) {
        grpc_call_refuse(call, OUTCOME_TOO_LARGE, store_revision(store_of(call)),
                         "%.*s: what differs is more than one reply takes; ask for less of it",
                         (int)q->path.size, (const char *)q->path.data);
        return;
    }
    size_t begin;
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__ConfigDiffReply message;
    coord__v1__config_diff_reply__init(&message);
    message.header = &header;
    struct buf *out = grpc_call_begin_with(call, &message.base, &begin);
    for (size_t i = 0; i < items.count; i++) {
        Coord__V1__ConfigChange change;
        if (config_item_differs(&items.items[i])) {
            config_item_fill(call, &items.items[i], &change);
            wire_append_message(out, DIFF_REPLY_CHANGES, &change.base);
        }
    }
    grpc_call_end(call, begin);
    grpc_call_finish(call);
}

static void diff_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ConfigDiffRequest *request = (const Coord__V1__ConfigDiffRequest *)message;
    if (!config_query_prepare(call, request->header, request->path, "")) {
        return;
    }
    if (request->from_revision == 0) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "from_revision: must be given");
        return;
    }
    call->read.query.from_revision = request->from_revision;
    call->read.query.to_revision = request->to_revision;
    call->read.is_barrier = true;
    grpc_call_read(call, diff_got);
}

/* ---- the service --------------------------------------------------------------------------- */

static const struct grpc_method methods[] = {
    {.name = "CreateRoot",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_ADMIN,
     .request = &coord__v1__config_create_root_request__descriptor,
     .message = config_create_root_call,
     .closed = config_write_closed},
    {.name = "DeleteRoot",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_ADMIN,
     .request = &coord__v1__config_delete_root_request__descriptor,
     .message = config_delete_root_call,
     .closed = config_write_closed},
    {.name = "Roots",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__config_roots_request__descriptor,
     .message = roots_call},
    {.name = "Get",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__config_get_request__descriptor,
     .message = get_call},
    {.name = "Set",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_WRITE,
     .request = &coord__v1__config_set_request__descriptor,
     .message = config_set_call,
     .closed = config_write_closed},
    {.name = "AtomicUpdate",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_WRITE,
     .request = &coord__v1__config_update_request__descriptor,
     .message = config_update_call,
     .closed = config_write_closed},
    {.name = "Watch",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__config_watch_request__descriptor,
     .is_long = true,
     .message = config_watch_call,
     .drained = config_watch_drained,
     .woken = config_watch_woken,
     .ended = config_watch_ended},
    {.name = "History",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__config_history_request__descriptor,
     .message = history_call},
    {.name = "Diff",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__config_diff_request__descriptor,
     .message = diff_call},
    {.name = "Rollback",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_WRITE,
     .request = &coord__v1__config_rollback_request__descriptor,
     .message = config_rollback_call,
     .closed = config_write_closed},
    {.name = "SetSchema",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_ADMIN,
     .request = &coord__v1__config_set_schema_request__descriptor,
     .message = config_set_schema_call,
     .closed = config_write_closed},
    {.name = "GetSchema",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__config_get_schema_request__descriptor,
     .message = config_get_schema_call},
    {.name = "ListSchemas",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__config_list_schemas_request__descriptor,
     .message = config_list_schemas_call},
    {.name = "Check",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__config_check_request__descriptor,
     .message = config_check_call},
    {.name = "StartRollout",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_WRITE,
     .request = &coord__v1__config_start_rollout_request__descriptor,
     .message = config_start_rollout_call,
     .closed = config_write_closed},
    {.name = "ChangeRollout",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_WRITE,
     .request = &coord__v1__config_change_rollout_request__descriptor,
     .message = config_change_rollout_call},
    {.name = "GetRollout",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__config_get_rollout_request__descriptor,
     .message = config_get_rollout_call},
    {.name = "ListRollouts",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__config_list_rollouts_request__descriptor,
     .message = config_list_rollouts_call},
    {.name = "Effective",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__config_effective_request__descriptor,
     .message = config_effective_call},
    {.name = "WatchEffective",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__config_effective_request__descriptor,
     .is_long = true,
     .message = config_watch_effective_call,
     .drained = config_watch_effective_drained,
     .woken = config_watch_effective_woken,
     .ended = config_watch_effective_ended},
};

const struct grpc_service grpc_config_service = {
    .name = "coord.v1.Config",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
