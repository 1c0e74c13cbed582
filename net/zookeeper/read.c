/* Requests that are answered from this node's state, in the turn of their request: what the client
 * wrote before through this connection is in it. */
#include "base/assert.h"
#include "net/zookeeper/connection.h"
#include "store/access.h"
#include "store/attached.h"

/* The empty path means the root, to what only looks. */
static struct slice node_path(struct slice path)
{
    return path.size == 0 ? slice_str("/") : path;
}

static enum zk_error query(struct zk_connection *c, uint8_t type, struct slice path,
                           struct query_result *result)
{
    struct query q = {.type = type, .space = SPACE_NODES, .path = node_path(path)};
    q.identities = buf_slice(&c->identities);
    store_query(zk_store(c), &q, result, &c->shared->scratch);
    return zk_error_of(result->outcome);
}

/* ---- nodes -------------------------------------------------------------------------------- */

/* Arms the watch of a read that is answered with `error`. */
static enum zk_error watch_data(struct zk_connection *c, const struct zk_request *r,
                                enum zk_error error)
{
    return !r->watch || zk_watch_add(c, r->path, ZK_WATCH_DATA) ? error : ZK_SYSTEM_ERROR;
}

static void answer_exists(struct zk_connection *c, const struct zk_request *r)
{
    struct query_result result;
    if (r->path.size > 0 && memchr(r->path.data, 0, r->path.size) != NULL) {
        zk_answer(c, r->xid, ZK_BAD_ARGUMENTS); /* the one read that looks at its path */
        return;
    }
    enum zk_error error = query(c, QUERY_EXISTS, r->path, &result);
    if (error == ZK_OK || error == ZK_NO_NODE) {
        error = watch_data(c, r, error);
    }
    size_t begin = zk_answer_begin(c, r->xid, error);
    if (error == ZK_OK) {
        zk_put_stat(&c->out, &result.stat);
    }
    zk_answer_end(c, begin);
}

static void put_data(struct buf *out, const struct query_result *result)
{
    if (result->null_data) {
        jute_put_null(out);
    } else {
        jute_put_buffer(out, result->data);
    }
    zk_put_stat(out, &result->stat);
}

static void answer_data(struct zk_connection *c, const struct zk_request *r)
{
    struct query_result result;
    enum zk_error error = query(c, QUERY_GET, r->path, &result);
    if (error == ZK_OK) {
        error = watch_data(c, r, error);
    }
    size_t begin = zk_answer_begin(c, r->xid, error);
    if (error == ZK_OK) {
        put_data(&c->out, &result);
    }
    zk_answer_end(c, begin);
}

/* A listing of the store, page by page, whose memory is only that of a page. */
struct pages {
    struct zk_connection *connection;
    struct query query;
    struct query_result result; /* the page */
    bool begun;
    uint8_t after[STORE_PATH_BYTES_MAX];
};

/* The next page. False: there is none, or `result.outcome` says why not. */
static bool pages_next(struct pages *p)
{
    struct zk_connection *c = p->connection;
    if (p->begun && !p->result.more) {
        return false;
    }
    if (p->begun) {
        struct slice last = p->result.entries[p->result.entry_count - 1].path;
        memcpy(p->after, last.data, last.size);
        p->query.after = slice_make(p->after, last.size);
    }
    p->begun = true;
    arena_clear(&c->shared->pages);
    store_query(zk_store(c), &p->query, &p->result, &c->shared->pages);
    return p->result.outcome == OUTCOME_OK;
}

static void pages_begin(struct pages *p, struct zk_connection *c, struct slice path)
{
    p->connection = c;
    p->query = (struct query){.type = QUERY_LIST, .space = SPACE_NODES, .path = path};
    p->begun = false;
    p->query.identities = buf_slice(&c->identities);
}

static bool is_too_large(const struct zk_connection *c, size_t begin)
{
    return c->out.size - begin > ZK_REPLY_BYTES_MAX;
}

/* Instead of the reply that begins at `begin`. */
static void answer_too_large(struct zk_connection *c, const struct zk_request *r, size_t begin)
{
    c->out.size = begin;
    zk_answer(c, r->xid, ZK_SYSTEM_ERROR);
}

/* The names of all children, in the reply that begins at `begin`. On failure what it put is to be
 * taken back. */
static enum zk_error put_children(struct zk_connection *c, size_t begin, struct slice path,
                                  struct node_stat *stat)
{
    struct pages p;
    size_t count_at = c->out.size;
    int32_t count = 0;
    size_t parent_bytes = path.size <= 1 ? 1 : path.size + 1;
    jute_put_int(&c->out, 0);
    pages_begin(&p, c, node_path(path));
    while (pages_next(&p)) {
        for (uint32_t i = 0; i < p.result.entry_count; i++) {
            struct slice child = p.result.entries[i].path;
            jute_put_buffer(&c->out,
                            slice_make(child.data + parent_bytes, child.size - parent_bytes));
        }
        count += (int32_t)p.result.entry_count;
        if (is_too_large(c, begin)) {
            return ZK_SYSTEM_ERROR;
        }
    }
    jute_put_int_at(&c->out, count_at, count);
    *stat = p.result.stat;
    return zk_error_of(p.result.outcome);
}

static void answer_children(struct zk_connection *c, const struct zk_request *r)
{
    struct node_stat stat;
    size_t begin = zk_answer_begin(c, r->xid, ZK_OK);
    enum zk_error error = put_children(c, begin, r->path, &stat);
    if (error == ZK_OK && r->watch && !zk_watch_add(c, r->path, ZK_WATCH_CHILDREN)) {
        error = ZK_SYSTEM_ERROR;
    }
    if (error != ZK_OK) {
        c->out.size = begin;
        zk_answer(c, r->xid, error);
        return;
    }
    if (r->type == ZK_GET_CHILDREN2) {
        zk_put_stat(&c->out, &stat);
    }
    zk_answer_end(c, begin);
}

static void answer_acl(struct zk_connection *c, const struct zk_request *r)
{
    struct query_result result;
    enum zk_error error = query(c, QUERY_ACL, r->path, &result);
    size_t begin = zk_answer_begin(c, r->xid, error);
    if (error == ZK_OK) {
        zk_acl_put(c, &c->out, &result);
        zk_put_stat(&c->out, &result.stat);
    }
    zk_answer_end(c, begin);
}

/* ---- many nodes --------------------------------------------------------------------------- */

/* Who may read the node is told how many are below, those included that hide what they have; while
 * authentication is enabled, those apart that his roles hide. */
static void answer_descendants(struct zk_connection *c, const struct zk_request *r)
{
    struct query_result result;
    struct buf everybody = {0};
    struct query q = {.type = QUERY_LIST,
                      .space = SPACE_NODES,
                      .path = node_path(r->path),
                      .identities = buf_slice(&c->identities),
                      .recursive = true,
                      .count_only = true};
    enum zk_error error = query(c, QUERY_EXISTS, r->path, &result);
    identity_encode(&everybody, slice_str("super"), slice_str(""));
    if (!store_auth(zk_store(c))->is_enabled) {
        q.identities = buf_slice(&everybody);
    }
    if (error == ZK_OK) {
        store_query(zk_store(c), &q, &result, &c->shared->scratch);
    }
    buf_close(&everybody);
    size_t begin = zk_answer_begin(c, r->xid, error);
    if (error == ZK_OK) {
        jute_put_int(&c->out, result.counted > INT32_MAX ? INT32_MAX : (int32_t)result.counted);
    }
    zk_answer_end(c, begin);
}

/* Of this session, by plain prefix of the path. All of them are brought in order once: to go
 * through pages would be to do it for each. */
static void answer_ephemerals(struct zk_connection *c, const struct zk_request *r)
{
    struct access access;
    struct attached *attached;
    size_t begin = zk_answer_begin(c, r->xid, ZK_OK);
    size_t count_at = c->out.size;
    int32_t count = 0;
    jute_put_int(&c->out, 0);
    access_begin(&access, zk_store(c), buf_slice(&c->identities));
    arena_clear(&c->shared->pages);
    uint32_t most = store_attached(zk_store(c), c->session, &c->shared->pages, &attached);
    for (uint32_t i = 0; i < most; i++) {
        struct slice path = attached[i].path;
        if (!slice_begins(path, r->path) || !access_path(&access, ACL_READ, SPACE_NODES, path)) {
            continue; /* what roles do not allow to read is not there */
        }
        jute_put_buffer(&c->out, path);
        count++;
        if (is_too_large(c, begin)) {
            answer_too_large(c, r, begin);
            return;
        }
    }
    jute_put_int_at(&c->out, count_at, count);
    zk_answer_end(c, begin);
}

/* Reads for an operation, and puts what it is answered with if nothing fails. */
static enum zk_error put_read(struct zk_connection *c, size_t begin, const struct zk_request *op)
{
    struct query_result result;
    struct node_stat stat;
    zk_put_multi_head(&c->out, op->type, ZK_OK);
    if (op->type != ZK_GET_DATA) {
        return put_children(c, begin, op->path, &stat);
    }
    enum zk_error error = query(c, QUERY_GET, op->path, &result);
    if (error == ZK_OK) {
        put_data(&c->out, &result);
    }
    return error;
}

/* Each operation for itself: what fails says so, the others are answered. But once the reply is too
 * large no other is looked at: what was put and taken back has cost its time all the same. */
static void answer_multi_read(struct zk_connection *c, const struct zk_request *r)
{
    size_t begin = zk_answer_begin(c, r->xid, ZK_OK);
    enum zk_error denied = ZK_OK;
    for (size_t i = 0; i < r->op_count; i++) {
        const struct zk_request *op = &r->ops[i];
        size_t head = c->out.size;
        enum zk_error error = put_read(c, begin, op);
        if (is_too_large(c, begin)) {
            answer_too_large(c, r, begin);
            return;
        }
        if (error != ZK_OK) {
            c->out.size = head;
            zk_put_multi_head(&c->out, ZK_ERROR, error);
            jute_put_int(&c->out, error);
            c->answered_op = error == ZK_NO_AUTH && denied == ZK_OK ? (uint32_t)i : c->answered_op;
            denied = error == ZK_NO_AUTH ? error : denied;
        }
    }
    zk_put_multi_end(&c->out);
    zk_answer_end(c, begin);
    c->answered = denied;
}

/* ---- the connection ----------------------------------------------------------------------- */

static void answer_watches(struct zk_connection *c, const struct zk_request *r)
{
    if (r->flags < ZK_WATCHER_CHILDREN || r->flags > ZK_WATCHER_RECURSIVE) {
        zk_answer(c, r->xid, ZK_MARSHALLING_ERROR);
        return;
    }
    bool found =
        zk_watch_find(c, r->path, (enum zk_watcher_type)r->flags, r->type == ZK_REMOVE_WATCHES);
    zk_answer(c, r->xid, found ? ZK_OK : ZK_NO_WATCHER);
}

static void answer_set_watches(struct zk_connection *c, const struct zk_request *r)
{
    if (zk_watch_restore(c, r)) {
        zk_answer(c, r->xid, ZK_OK);
    } else {
        c->answered = ZK_SYSTEM_ERROR; /* as the audit log has it */
    }
}

static void answer_add_watch(struct zk_connection *c, const struct zk_request *r)
{
    if (r->flags != 0 && r->flags != 1) {
        zk_answer(c, r->xid, ZK_MARSHALLING_ERROR);
        return;
    }
    struct access access;
    access_begin(&access, zk_store(c), buf_slice(&c->identities));
    if (!access_path(&access, ACL_READ, SPACE_NODES, r->path)) {
        zk_answer(c, r->xid, ZK_NO_AUTH);
        return;
    }
    bool added =
        zk_watch_add(c, r->path, r->flags == 0 ? ZK_WATCH_PERSISTENT : ZK_WATCH_RECURSIVE);
    if (!added) {
        zk_answer(c, r->xid, ZK_SYSTEM_ERROR);
        return;
    }
    size_t begin = zk_answer_begin(c, r->xid, ZK_OK); /* this reply has a body: an error of 0 */
    jute_put_int(&c->out, 0);
    zk_answer_end(c, begin);
}

/* No mechanism is offered. Java reads the token whatever the error is, and only takes a null one
 * for a refusal: without it, it would connect again for ever. kazoo takes the error. */
static void answer_sasl(struct zk_connection *c, const struct zk_request *r)
{
    zk_out_begin(c);
    size_t begin = zk_reply_begin(&c->out, r->xid, 0, ZK_AUTH_FAILED);
    jute_put_null(&c->out);
    zk_answer_end(c, begin);
    c->answered = ZK_AUTH_FAILED;
}

static void answer_who_am_i(struct zk_connection *c, const struct zk_request *r)
{
    size_t begin = zk_answer_begin(c, r->xid, ZK_OK);
    zk_identities_put(&c->out, c);
    zk_answer_end(c, begin);
}

bool zk_reads_tree(int32_t type)
{
    switch (type) {
    case ZK_EXISTS:
    case ZK_GET_DATA:
    case ZK_GET_CHILDREN:
    case ZK_GET_CHILDREN2:
    case ZK_GET_ACL:
    case ZK_GET_EPHEMERALS:
    case ZK_GET_ALL_CHILDREN_NUMBER:
    case ZK_MULTI_READ: return true;
    default: return false;
    }
}

void zk_read(struct zk_connection *c, const struct zk_request *request)
{
    switch (request->type) {
    case ZK_EXISTS: answer_exists(c, request); break;
    case ZK_GET_DATA: answer_data(c, request); break;
    case ZK_GET_CHILDREN:
    case ZK_GET_CHILDREN2: answer_children(c, request); break;
    case ZK_GET_ACL: answer_acl(c, request); break;
    case ZK_GET_EPHEMERALS: answer_ephemerals(c, request); break;
    case ZK_GET_ALL_CHILDREN_NUMBER: answer_descendants(c, request); break;
    case ZK_MULTI_READ: answer_multi_read(c, request); break;
    case ZK_CHECK_WATCHES:
    case ZK_REMOVE_WATCHES: answer_watches(c, request); break;
    case ZK_SET_WATCHES:
    case ZK_SET_WATCHES2: answer_set_watches(c, request); break;
    case ZK_ADD_WATCH: answer_add_watch(c, request); break;
    case ZK_SASL: answer_sasl(c, request); break;
    case ZK_WHO_AM_I: answer_who_am_i(c, request); break;
    case ZK_PING: zk_answer(c, ZK_XID_PING, ZK_OK); break; /* whatever it was asked with */
    case ZK_RECONFIG: /* "disabled", -123, many clients do not know: kazoo waits for ever */
    default: zk_answer(c, request->xid, ZK_UNIMPLEMENTED); break;
    }
}
