/* Requests that become commands of the store, and what they answer.
 *
 * No rule of the tree is decided here. What is wrong with an operation in itself (flags, a path
 * that no node can have, a list of access rights) cannot be proposed, but must fail in its turn: an
 * earlier operation of the same multi may fail first, or a missing parent count more. So in its
 * place a check is proposed that cannot hold, and what it fails with is said instead of "bad
 * version". Before it, a create whose name is wrong asks for a child of that parent, which the
 * check undoes: where there is no parent, or none that the client may create below, counts more. */
#include "base/assert.h"
#include "base/mutant.h"
#include "base/utf8.h"
#include "net/zookeeper/connection.h"

/* That no node gets to: it would take four billion sets. */
#define VERSION_NEVER (VERSION_ANY - 1)

bool zk_is_write(int32_t type)
{
    switch (type) {
    case ZK_CREATE:
    case ZK_CREATE2:
    case ZK_CREATE_CONTAINER:
    case ZK_CREATE_TTL:
    case ZK_DELETE:
    case ZK_SET_DATA:
    case ZK_SET_ACL:
    case ZK_MULTI:
    case ZK_CLOSE_SESSION: return true;
    default: return false;
    }
}

/* Outcomes that none of ZooKeeper's requests has are here too, so that a new one is thought of. */
enum zk_error zk_error_of(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_OK: return ZK_OK;
    case OUTCOME_NO_NODE:
    case OUTCOME_NO_PARENT:
    case OUTCOME_NO_USER:
    case OUTCOME_NO_ROLE:
    case OUTCOME_NOT_GRANTED:
    case OUTCOME_NO_QUOTA:
    case OUTCOME_NOT_HELD: return ZK_NO_NODE;
    case OUTCOME_NODE_EXISTS:
    case OUTCOME_LEASE_EXISTS:
    case OUTCOME_USER_EXISTS:
    case OUTCOME_ROLE_EXISTS:
    case OUTCOME_HELD: return ZK_NODE_EXISTS;
    case OUTCOME_BAD_VERSION:
    case OUTCOME_GUARD_REFUSED:
    case OUTCOME_GUARD_STALE:
    case OUTCOME_WAIT_ENDED: return ZK_BAD_VERSION;
    case OUTCOME_NOT_EMPTY: return ZK_NOT_EMPTY;
    case OUTCOME_EPHEMERAL_PARENT: return ZK_NO_CHILDREN_FOR_EPHEMERALS;
    case OUTCOME_ROLLED_BACK:
    case OUTCOME_DEADLOCK: return ZK_RUNTIME_INCONSISTENCY;
    case OUTCOME_NO_SESSION:
    case OUTCOME_NO_LEASE: return ZK_SESSION_EXPIRED;
    case OUTCOME_QUOTA: return ZK_QUOTA_EXCEEDED;
    case OUTCOME_LIMIT:
    case OUTCOME_USER_LIMIT:
    case OUTCOME_GRAPH_TOO_LARGE: return ZK_SYSTEM_ERROR;
    case OUTCOME_NO_AUTH: return ZK_NO_AUTH;
    case OUTCOME_INVALID_ACL: return ZK_INVALID_ACL;
    case OUTCOME_UNSUPPORTED: return ZK_UNIMPLEMENTED;
    case OUTCOME_WAIT_TIMEOUT: return ZK_OPERATION_TIMEOUT;
    case OUTCOME_BAD_PATH:
    case OUTCOME_TOO_LARGE:
    case OUTCOME_BAD_ARGUMENTS:
    case OUTCOME_PROTECTED:
    case OUTCOME_REQUEST_EXPIRED:
    case OUTCOME_REQUEST_FUTURE:
    case OUTCOME_COMPACTED:
    case OUTCOME_FUTURE_REVISION:
    case OUTCOME_BAD_CURSOR:
    case OUTCOME_BAD_SECRET:
    case OUTCOME_NOT_RENEWABLE:
    case OUTCOME_BAD_TTL:
    case OUTCOME_SEQUENCE_EXPIRED:
    case OUTCOME_GENERATION_MOVED:
    case OUTCOME_NOT_DUE:
    case OUTCOME_BAD_PATTERN:
    case OUTCOME_NO_ROOT:
    case OUTCOME_WAITS:
    case OUTCOME_MISMATCH:
    case OUTCOME_NO_RECIPE:
    case OUTCOME_COUNT: break;
    }
    return ZK_BAD_ARGUMENTS;
}

/* ---- one operation ------------------------------------------------------------------------ */

/* What ZooKeeper's PathUtils refuses besides what no node of this store may have: UTF-16 surrogates
 * (of all beyond U+FFFF), private use, U+FFF0 to U+FFFF. */
static bool path_is_right(struct slice path, bool sequential)
{
    if (path_check(path, sequential, NULL) != OUTCOME_OK) {
        return false;
    }
    for (size_t i = 0; i < path.size;) {
        const uint8_t *p = path.data + i;
        size_t length = utf8_length(p, path.size - i);
        uint32_t point =
            length == 3 ? (uint32_t)((p[0] & 15) << 12 | (p[1] & 63) << 6 | (p[2] & 63)) : 0;
        if (length == 4 || (point >= 0xd800 && point <= 0xf8ff) || point >= 0xfff0) {
            return false;
        }
        i += length;
    }
    return true;
}

/* What ZooKeeper looks at before anything else: a slash, and no NUL. */
static bool path_is_hopeless(struct slice path)
{
    return path.size == 0 || memchr(path.data, '/', path.size) == NULL ||
           memchr(path.data, 0, path.size) != NULL;
}

/* A path that is null has no slash that could be looked for. */
static enum zk_error hopeless_error(struct slice path)
{
    return path.data == NULL ? ZK_MARSHALLING_ERROR : ZK_BAD_ARGUMENTS;
}

static bool flags_are_right(const struct zk_request *r)
{
    return r->flags >= ZK_FLAG_PERSISTENT && r->flags <= ZK_FLAG_TTL_SEQUENTIAL;
}

static bool is_create(const struct zk_request *r)
{
    return r->type == ZK_CREATE || r->type == ZK_CREATE2 || r->type == ZK_CREATE_CONTAINER ||
           r->type == ZK_CREATE_TTL;
}

/* An operation, or what stands for one that is wrong. */
struct draft {
    struct op op;
    bool is_probe;       /* a check that cannot hold follows it */
    enum zk_error error; /* of a wrong one, if it is that check that fails */
};

static struct op op_never(void)
{
    return (struct op){.type = OP_CHECK,
                       .space = SPACE_NODES,
                       .path = slice_str("/"),
                       .version = VERSION_NEVER};
}

static void draft_fails(struct draft *d, enum zk_error error)
{
    d->op = op_never();
    d->error = error;
}

static bool draft_kind(struct draft *d, const struct zk_request *r)
{
    static const uint8_t kinds[] = {
        [ZK_FLAG_PERSISTENT] = NODE_PERSISTENT, [ZK_FLAG_EPHEMERAL] = NODE_EPHEMERAL,
        [ZK_FLAG_SEQUENTIAL] = NODE_PERSISTENT, [ZK_FLAG_EPHEMERAL_SEQUENTIAL] = NODE_EPHEMERAL,
        [ZK_FLAG_CONTAINER] = NODE_CONTAINER,   [ZK_FLAG_TTL] = NODE_TTL,
        [ZK_FLAG_TTL_SEQUENTIAL] = NODE_TTL};
    if (!flags_are_right(r)) {
        return false;
    }
    bool is_sequential = r->flags == ZK_FLAG_SEQUENTIAL ||
                         r->flags == ZK_FLAG_EPHEMERAL_SEQUENTIAL ||
                         r->flags == ZK_FLAG_TTL_SEQUENTIAL;
    d->op.kind = r->type == ZK_CREATE_CONTAINER && r->flags < ZK_FLAG_TTL ? NODE_CONTAINER
                                                                          : kinds[r->flags];
    d->op.flags |= is_sequential ? OP_SEQUENTIAL : 0;
    d->op.ttl_ms = d->op.kind == NODE_TTL ? (uint64_t)r->ttl_ms : 0;
    if ((d->op.kind == NODE_TTL) != (r->type == ZK_CREATE_TTL)) {
        return false;
    }
    return d->op.kind != NODE_TTL || (r->ttl_ms >= 1 && r->ttl_ms < INT64_C(1) << 40);
}

/* What the names of this one's siblings follow: "/a/" of "/a/b", "/" of "/b". False if no node can
 * be the parent. */
static bool children_of(struct slice path, struct slice *children)
{
    size_t size = path.size;
    while (size > 0 && path.data[size - 1] != '/') {
        size--;
    }
    struct slice parent = size <= 1 ? slice_str("/") : slice_make(path.data, size - 1);
    *children = slice_is(parent, "/") ? parent : slice_make(path.data, size); /* also of "//b" */
    return path_check(parent, false, NULL) == OUTCOME_OK;
}

/* Of a path that cannot be: is there at least a parent, and may this client create below it? */
static void draft_bad_path(struct draft *d, struct slice path)
{
    struct slice children;
    if (!children_of(path, &children)) {
        draft_fails(d, ZK_NO_NODE);
    } else if (path_check(children, true, NULL) != OUTCOME_OK) {
        draft_fails(d, ZK_BAD_ARGUMENTS); /* no child fits below so long a path */
    } else {
        d->op = (struct op){.type = OP_CREATE,
                            .space = SPACE_NODES,
                            .kind = NODE_PERSISTENT,
                            .flags = OP_SEQUENTIAL | OP_NULL_DATA,
                            .path = children};
        d->is_probe = true;
        d->error = ZK_BAD_ARGUMENTS;
    }
}

/* There is no node with such a path; but who may not delete below its parent is told that first.
 * So any child stands for it, which is deleted at a version that none has. */
static void draft_bad_delete(struct draft *d, struct zk_connection *c, struct slice path)
{
    struct slice children;
    if (!children_of(path, &children) || children.size >= STORE_PATH_BYTES_MAX) {
        draft_fails(d, ZK_NO_NODE);
        return;
    }
    uint8_t *child = arena_alloc(&c->shared->scratch, children.size + 1);
    memcpy(child, children.data, children.size);
    child[children.size] = 'x';
    d->op.path = slice_make(child, children.size + 1);
    d->op.version = VERSION_NEVER;
    d->is_probe = true;
    d->error = ZK_NO_NODE;
}

/* In ZooKeeper's order: what to do and whether it may be, path, access rights. */
static void draft_create(struct draft *d, struct zk_connection *c, const struct zk_request *r)
{
    struct slice acl;
    enum zk_error bad_acl;
    d->op.type = OP_CREATE;
    d->op.version = 0;
    d->op.data = r->data;
    d->op.flags = r->data_is_null ? OP_NULL_DATA : 0;
    if (!draft_kind(d, r)) {
        draft_fails(d, ZK_BAD_ARGUMENTS);
    } else if (path_is_hopeless(r->path)) {
        draft_fails(d, hopeless_error(r->path));
    } else if ((bad_acl = zk_acl_encode(c, r, &acl)) != ZK_OK) {
        draft_fails(d, bad_acl);
    } else if (!path_is_right(r->path, (d->op.flags & OP_SEQUENTIAL) != 0)) {
        draft_bad_path(d, r->path);
    } else {
        d->op.lease = d->op.kind == NODE_EPHEMERAL ? c->session : 0;
        d->op.acl = acl;
    }
}

static void draft_set_acl(struct draft *d, struct zk_connection *c, const struct zk_request *r)
{
    struct slice acl;
    enum zk_error bad_acl;
    if (!path_is_right(r->path, false)) {
        draft_fails(d, ZK_BAD_ARGUMENTS);
    } else if ((bad_acl = zk_acl_encode(c, r, &acl)) != ZK_OK) {
        draft_fails(d, bad_acl);
    } else {
        d->op.type = OP_SET_ACL;
        d->op.acl = acl;
    }
}

static void draft_make(struct draft *d, struct zk_connection *c, const struct zk_request *r)
{
    *d = (struct draft){
        .op = {.space = SPACE_NODES, .path = r->path, .version = (uint32_t)r->version}};
    switch (r->type) {
    case ZK_DELETE:
        d->op.type = OP_DELETE;
        if (path_is_hopeless(r->path)) {
            draft_fails(d, hopeless_error(r->path));
        } else if (path_check(r->path, false, NULL) != OUTCOME_OK) {
            draft_bad_delete(d, c, r->path);
        }
        break;
    case ZK_CHECK:
    case ZK_SET_DATA:
        d->op.type = r->type == ZK_CHECK ? OP_CHECK : OP_SET;
        d->op.data = r->data;
        d->op.flags = r->type == ZK_SET_DATA && r->data_is_null ? OP_NULL_DATA : 0;
        if (!path_is_right(r->path, false)) {
            draft_fails(d, ZK_BAD_ARGUMENTS);
        }
        break;
    case ZK_SET_ACL: draft_set_acl(d, c, r); break;
    default: draft_create(d, c, r); break;
    }
}

/* ---- the answer --------------------------------------------------------------------------- */

/* A multi answers every create that has a Stat as create2, and containers made by create too. */
static uint8_t result_type(const struct zk_request *op)
{
    bool with_stat = is_create(op) && (op->type != ZK_CREATE || op->flags == ZK_FLAG_CONTAINER);
    return (uint8_t)(with_stat ? ZK_CREATE2 : op->type);
}

static void put_result(struct buf *out, int32_t type, const struct op_result *result)
{
    switch (type) {
    case ZK_CREATE: jute_put_buffer(out, result->path); break;
    case ZK_CREATE2:
    case ZK_CREATE_CONTAINER:
    case ZK_CREATE_TTL:
        jute_put_buffer(out, result->path);
        zk_put_stat(out, &result->stat);
        break;
    case ZK_SET_DATA:
    case ZK_SET_ACL: zk_put_stat(out, &result->stat); break;
    default: break;
    }
}

static void put_failures(struct buf *out, size_t count, size_t failed, enum zk_error error)
{
    for (size_t i = 0; i < count; i++) {
        enum zk_error e = i < failed ? ZK_OK : i > failed ? ZK_RUNTIME_INCONSISTENCY : error;
        zk_put_multi_head(out, ZK_ERROR, e);
        jute_put_int(out, e);
    }
    zk_put_multi_end(out);
}

/* `types` of a multi: those of its results. `failed` is the operation with that error. */
static void put_multi(struct buf *out, struct slice types, const struct reply *reply,
                      size_t failed, enum zk_error error)
{
    if (error != ZK_OK) {
        put_failures(out, types.size, failed, error);
        return;
    }
    for (size_t i = 0; i < types.size; i++) {
        zk_put_multi_head(out, types.data[i], ZK_OK);
        put_result(out, types.data[i], &reply->results[i]);
    }
    zk_put_multi_end(out);
}

/* What an operation that is wrong in itself stood for is known here only. */
static enum zk_error error_of(const struct zk_task *task, const struct reply *reply)
{
    if (task->bad_op == UINT32_MAX) {
        return zk_error_of(reply->outcome);
    }
    bool check_failed =
        reply->failed_op == task->bad_check &&
        (reply->outcome == OUTCOME_BAD_VERSION || reply->outcome == OUTCOME_NO_AUTH);
    bool probe_failed = reply->failed_op == task->bad_op && task->bad_check != task->bad_op &&
                        (reply->outcome == OUTCOME_EPHEMERAL_PARENT || /* after names */
                         reply->outcome == OUTCOME_BAD_VERSION);       /* of a stand-in */
    return check_failed || probe_failed ? (enum zk_error)task->bad_error
                                        : zk_error_of(reply->outcome);
}

/* A multi says what failed in its body, the others in the header. A session that is gone, and what
 * cannot be read, fail the whole. */
static void put_reply(struct zk_task *task, const struct reply *reply)
{
    enum zk_error error = error_of(task, reply);
    bool in_body = task->type == ZK_MULTI && reply->outcome != OUTCOME_NO_SESSION &&
                   error != ZK_MARSHALLING_ERROR;
    size_t begin = zk_reply_begin(&task->reply, task->xid, (int64_t)reply->revision,
                                  in_body ? ZK_OK : error);
    if (in_body) {
        size_t failed = reply->failed_op > task->bad_op ? task->bad_op : reply->failed_op;
        put_multi(&task->reply, buf_slice(&task->packet), reply, failed, error);
    } else if (error == ZK_OK && reply->result_count > 0) {
        put_result(&task->reply, task->type, &reply->results[0]);
    }
    zk_reply_end(&task->reply, begin);
}

/* Answered without the log: what asks for nothing, or for too much. */
static void answer_here(struct zk_connection *c, struct zk_task *task, enum zk_error error)
{
    zk_audit_refused(task, error);
    size_t begin = zk_reply_begin(&task->reply, task->xid, zk_zxid(c), error);
    if (error == ZK_OK) {
        zk_put_multi_end(&task->reply);
    }
    zk_reply_end(&task->reply, begin);
    task->state = ZK_TASK_DONE;
}

static void written(struct node_write *write, enum status rc, const struct reply *reply)
{
    struct zk_task *task = write->owner;
    struct zk_connection *c = task->connection;
    task->state = ZK_TASK_DONE;
    c->writing--;
    if (rc != RC_OK && MUTANT_IS(MUTANT_ZK_UNKNOWN_PASSED)) {
        answer_here(c, task, ZK_SYSTEM_ERROR);
        zk_task_done(task);
    } else if (rc != RC_OK) { /* perhaps executed: nothing later may be seen to follow it */
        zk_audit_lost(task, rc);
        zk_finish(c, status_text(rc));
    } else if (reply->outcome == OUTCOME_GENERATION_MOVED) {
        zk_audit_written(task, reply, zk_error_of((enum outcome)reply->outcome));
        zk_finish(c, "the session was taken over");
    } else {
        if (c->shared->write_seconds != NULL) {
            histogram_observe_us(c->shared->write_seconds,
                                 (zk_now_ms(c) - task->began_ms) * 1000);
        }
        task->closes = task->type == ZK_CLOSE_SESSION || reply->outcome == OUTCOME_NO_SESSION;
        zk_audit_written(task, reply, error_of(task, reply));
        put_reply(task, reply);
        zk_task_done(task);
    }
}

/* ---- proposing ---------------------------------------------------------------------------- */

/* In the session's name, as long as it is this connection's. */
static enum status propose(struct zk_connection *c, struct zk_task *task,
                           struct command *command)
{
    command->session = c->session;
    command->by_owner = !MUTANT_IS(MUTANT_ZK_FORMER_OWNER);
    command->generation = c->generation;
    command->identities = buf_slice(&c->identities);
    task->write.done = written;
    task->write.owner = task;
    enum status rc = node_write(zk_node(c), &task->write, command, zk_now_ms(c) + ZK_WRITE_MS);
    if (rc == RC_OK) {
        task->state = ZK_TASK_WRITING;
    }
    return rc;
}

static enum status close_session(struct zk_connection *c, struct zk_task *task)
{
    struct command command = {
        .type = COMMAND_REVOKE,
        .lease = {.id = c->session,
                  .kind = LEASE_SESSION,
                  .secret = slice_make(c->secret, sizeof c->secret)},
    };
    return propose(c, task, &command);
}

/* Fills the operations up to the first that is wrong in itself; returns how many: one more than
 * `count` at most. */
static uint32_t draft_all(struct zk_connection *c, struct zk_task *task,
                          const struct zk_request *ops, size_t count, struct op *out)
{
    task->bad_op = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        struct draft d;
        draft_make(&d, c, &ops[i]);
        zk_audit_op(c, task, &ops[i], d.op.acl);
        out[i] = d.op;
        if (d.error != ZK_OK) {
            task->bad_op = i;
            task->bad_check = d.is_probe ? i + 1 : i;
            task->bad_error = d.error;
            out[task->bad_check] = op_never();
            return task->bad_check + 1;
        }
    }
    return (uint32_t)count;
}

static enum status propose_txn(struct zk_connection *c, struct zk_task *task,
                               const struct zk_request *r)
{
    bool is_multi = r->type == ZK_MULTI;
    const struct zk_request *requests = is_multi ? r->ops : r;
    size_t count = is_multi ? r->op_count : 1;
    struct op *ops = arena_alloc(&c->shared->scratch, (count + 1) * sizeof *ops);
    struct command command = {.type = COMMAND_TXN};
    command.txn.then_ops = ops;
    command.txn.then_count = draft_all(c, task, requests, count, ops);
    struct errmsg err;
    enum outcome outcome = command_check(&command, &err);
    if (outcome != OUTCOME_OK) { /* larger than the limits of a command */
        answer_here(c, task, zk_error_of(outcome));
        return RC_OK;
    }
    enum status rc = propose(c, task, &command);
    if (rc == RC_OK && is_multi) {
        buf_clear(&task->packet);
        for (size_t i = 0; i < count; i++) {
            *buf_extend(&task->packet, 1) = result_type(&requests[i]);
        }
    }
    return rc;
}

/* Flags that no node can have fail a multi as a whole (since ZooKeeper 3.8.4). */
static bool has_wrong_flags(const struct zk_request *multi)
{
    for (size_t i = 0; i < multi->op_count; i++) {
        const struct zk_request *op = &multi->ops[i];
        bool has_ttl = op->flags >= ZK_FLAG_TTL;
        if (is_create(op) && (!flags_are_right(op) || (has_ttl && op->type != ZK_CREATE_TTL))) {
            return true;
        }
    }
    return false;
}

enum status zk_write(struct zk_connection *c, struct zk_task *task,
                     const struct zk_request *request)
{
    zk_audit_begin(c, task, request);
    if (request->type == ZK_CLOSE_SESSION) {
        return close_session(c, task);
    }
    if (request->type == ZK_MULTI && has_wrong_flags(request)) {
        answer_here(c, task, ZK_MARSHALLING_ERROR);
        return RC_OK;
    }
    if (request->type == ZK_MULTI && request->op_count == 0) {
        answer_here(c, task, ZK_OK);
        return RC_OK;
    }
    return propose_txn(c, task, request);
}
