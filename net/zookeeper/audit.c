/* What the audit log is told of a connection's requests (net/audit/audit.h): of writes when their
 * outcome is known, of what only looks when it is answered, of who connects and who he proves to
 * be. Everything does nothing while it is off. */
#include "net/audit/audit.h"

#include "base/assert.h"
#include "net/zookeeper/connection.h"

static const char *error_name(enum zk_error error)
{
    switch (error) {
    case ZK_OK: return "ok";
    case ZK_SYSTEM_ERROR: return "SYSTEM_ERROR";
    case ZK_RUNTIME_INCONSISTENCY: return "RUNTIME_INCONSISTENCY";
    case ZK_MARSHALLING_ERROR: return "MARSHALLING_ERROR";
    case ZK_UNIMPLEMENTED: return "UNIMPLEMENTED";
    case ZK_OPERATION_TIMEOUT: return "OPERATION_TIMEOUT";
    case ZK_BAD_ARGUMENTS: return "BAD_ARGUMENTS";
    case ZK_NO_NODE: return "NO_NODE";
    case ZK_NO_AUTH: return "NO_AUTH";
    case ZK_BAD_VERSION: return "BAD_VERSION";
    case ZK_NO_CHILDREN_FOR_EPHEMERALS: return "EPHEMERAL_PARENT";
    case ZK_NODE_EXISTS: return "NODE_EXISTS";
    case ZK_NOT_EMPTY: return "NOT_EMPTY";
    case ZK_SESSION_EXPIRED: return "NO_SESSION";
    case ZK_INVALID_ACL: return "INVALID_ACL";
    case ZK_AUTH_FAILED: return "AUTH_FAILED";
    case ZK_NO_WATCHER: return "NO_WATCHER";
    case ZK_QUOTA_EXCEEDED: return "LIMIT";
    }
    return "UNKNOWN_ERROR";
}

static struct audit_event event_of(const struct zk_connection *c, const char *request,
                                   struct slice facts)
{
    return (struct audit_event){.protocol = "zookeeper",
                                .peer = c->env->peer,
                                .tls = c->env->tls,
                                .store = zk_store(c),
                                .identities = buf_slice(&c->identities),
                                .session = c->session,
                                .request = request,
                                .facts = facts};
}

/* ---- writes ------------------------------------------------------------------------------- */

static uint8_t op_type_of(int32_t type)
{
    switch (type) {
    case ZK_DELETE: return OP_DELETE;
    case ZK_SET_DATA: return OP_SET;
    case ZK_SET_ACL: return OP_SET_ACL;
    case ZK_CHECK: return OP_CHECK;
    case ZK_GET_DATA: return OP_GET;
    case ZK_GET_CHILDREN: return OP_LIST;
    default: return OP_CREATE;
    }
}

static uint8_t kind_of(const struct zk_request *r)
{
    switch (r->flags) {
    case ZK_FLAG_EPHEMERAL:
    case ZK_FLAG_EPHEMERAL_SEQUENTIAL: return NODE_EPHEMERAL;
    case ZK_FLAG_CONTAINER: return NODE_CONTAINER;
    case ZK_FLAG_TTL:
    case ZK_FLAG_TTL_SEQUENTIAL: return NODE_TTL;
    default: return r->type == ZK_CREATE_CONTAINER ? NODE_CONTAINER : NODE_PERSISTENT;
    }
}

/* As the client asked for it, right or wrong. */
static void note_op(struct buf *facts, const struct zk_request *r, struct slice acl)
{
    struct op op = {.type = op_type_of(r->type),
                    .space = SPACE_NODES,
                    .path = r->path,
                    .data = r->data,
                    .acl = acl,
                    .version = (uint32_t)r->version};
    bool is_sequential = r->flags == ZK_FLAG_SEQUENTIAL ||
                         r->flags == ZK_FLAG_EPHEMERAL_SEQUENTIAL ||
                         r->flags == ZK_FLAG_TTL_SEQUENTIAL;
    op.flags = op.type == OP_CREATE && is_sequential ? OP_SEQUENTIAL : 0;
    op.kind = op.type == OP_CREATE ? kind_of(r) : NODE_PERSISTENT;
    audit_note_op(facts, AUDIT_THEN, &op);
}

void zk_audit_begin(struct zk_connection *c, struct zk_task *task, const struct zk_request *r)
{
    bool is_multi = r->type == ZK_MULTI;
    buf_clear(&task->facts);
    if (c->env->audit == NULL) {
        return;
    }
    if (r->type == ZK_CLOSE_SESSION) {
        audit_note_number(&task->facts, AUDIT_LEASE, c->session);
    } else if (is_multi) {
        audit_note_count(&task->facts, AUDIT_THEN, (uint32_t)r->op_count);
    }
}

void zk_audit_op(struct zk_connection *c, struct zk_task *task, const struct zk_request *r,
                 struct slice acl)
{
    if (c->env->audit != NULL) {
        note_op(&task->facts, r, acl);
    }
}

static void add_write(struct zk_task *task, const char *outcome, const struct reply *reply,
                      uint64_t revision)
{
    struct zk_connection *c = task->connection;
    struct audit_event e =
        event_of(c, zk_type_name(task->type), buf_slice(&task->facts));
    e.outcome = outcome;
    e.reply = reply;
    e.revision = revision;
    if (reply != NULL) {
        e.is_denied = reply->outcome == OUTCOME_NO_AUTH || reply->outcome == OUTCOME_BAD_SECRET;
        e.failed_op = reply->failed_op < task->bad_op ? reply->failed_op : task->bad_op;
    }
    audit_add(c->env->audit, &e);
}

void zk_audit_written(struct zk_task *task, const struct reply *reply, enum zk_error error)
{
    if (task->connection->env->audit != NULL) {
        /* What a stand-in for a wrong operation fails with is nothing that the client asked. */
        bool is_own = error == zk_error_of((enum outcome)reply->outcome);
        add_write(task,
                  is_own ? audit_outcome_name((enum outcome)reply->outcome)
                         : error_name(error),
                  reply, reply->revision);
    }
}

void zk_audit_refused(struct zk_task *task, enum zk_error error)
{
    struct zk_connection *c = task->connection;
    if (c->env->audit != NULL) {
        add_write(task, error_name(error), NULL, store_revision(zk_store(c)));
    }
}

void zk_audit_lost(struct zk_task *task, enum status rc)
{
    static const char *const names[] = {
#define STATUS_NAME(name, text) #name,
        STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
    };
    const size_t prefix = sizeof "RC_" - 1;
    bool is_unknown = rc == RC_UNKNOWN || rc == RC_TIMEOUT || rc == RC_CLOSED;
    PRE((size_t)rc < sizeof names / sizeof names[0]);
    if (task->connection->env->audit != NULL) {
        add_write(task, is_unknown ? "unknown" : names[rc] + prefix, NULL, 0);
    }
}

/* ---- what only looks ---------------------------------------------------------------------- */

static enum audit_class class_of(int32_t type)
{
    switch (type) {
    case ZK_PING: return AUDIT_NEVER;
    case ZK_RECONFIG: return AUDIT_WRITE; /* refused, but who tried it? */
    default: return AUDIT_READ;
    }
}

static void note_read(struct buf *facts, const struct zk_request *r)
{
    if (r->type == ZK_MULTI_READ) {
        audit_note_count(facts, AUDIT_THEN, (uint32_t)r->op_count);
        for (size_t i = 0; i < r->op_count; i++) {
            struct zk_request op = r->ops[i];
            op.version = -1;
            note_op(facts, &op, slice_make(NULL, 0));
        }
    } else {
        audit_note_text(facts, AUDIT_PATH, r->path);
    }
}

void zk_audit_read(struct zk_connection *c, const struct zk_request *r)
{
    struct audit *audit = c->env->audit;
    bool is_denied = c->answered == ZK_NO_AUTH;
    if (audit == NULL || !(is_denied || audit_wants(audit, class_of(r->type)))) {
        return;
    }
    struct buf facts = {0};
    note_read(&facts, r);
    if (is_denied) {
        audit_note_denied(&facts, ACL_READ,
                          r->type == ZK_MULTI_READ ? r->ops[c->answered_op].path : r->path);
    }
    struct audit_event e = event_of(c, zk_type_name(r->type), buf_slice(&facts));
    e.class = class_of(r->type);
    e.is_denied = is_denied;
    e.outcome = error_name((enum zk_error)c->answered);
    e.revision = store_revision(zk_store(c));
    audit_add(audit, &e);
    buf_close(&facts);
}

/* ---- who ---------------------------------------------------------------------------------- */

void zk_audit_connect(struct zk_connection *c, const struct reply *reply, const char *outcome,
                      bool is_denied)
{
    if (c->env->audit == NULL) {
        return;
    }
    struct buf facts = {0};
    bool resumes = c->connect.session != 0;
    audit_note_text(&facts, AUDIT_ACTION, slice_str(resumes ? "resume" : "open"));
    if (resumes) {
        audit_note_number(&facts, AUDIT_LEASE, (uint64_t)c->connect.session);
    } else if (reply != NULL && reply->has_lease) {
        audit_note_number(&facts, AUDIT_LEASE, reply->lease.id);
    }
    struct audit_event e = event_of(c, "connect", buf_slice(&facts));
    e.is_denied = is_denied;
    e.outcome = outcome != NULL ? outcome : audit_outcome_name((enum outcome)reply->outcome);
    e.reply = reply;
    e.revision = reply != NULL ? reply->revision : 0;
    audit_add(c->env->audit, &e);
    buf_close(&facts);
}

/* Of a digest the name that somebody claims to have. */
void zk_audit_claim(struct zk_connection *c, struct zk_task *task, const struct zk_request *r)
{
    buf_clear(&task->facts);
    if (c->env->audit == NULL) {
        return;
    }
    const uint8_t *colon = r->data.size == 0 ? NULL : memchr(r->data.data, ':', r->data.size);
    audit_note_text(&task->facts, AUDIT_ACTION, r->scheme);
    if (slice_is(r->scheme, "digest") && colon != NULL) {
        audit_note_text(&task->facts, AUDIT_LOGIN,
                        slice_make(r->data.data, (size_t)(colon - r->data.data)));
    }
}

/* A name that is no user's proves nothing to anybody but lists: that is only a way of looking. */
void zk_audit_proved(struct zk_task *task, enum zk_proof proof)
{
    struct zk_connection *c = task->connection;
    if (c->env->audit == NULL) {
        return;
    }
    struct audit_event e = event_of(c, "auth", buf_slice(&task->facts));
    e.class = c->user_bytes > 0 ? AUDIT_WRITE : AUDIT_READ;
    e.is_denied = proof != ZK_PROVED;
    e.outcome = proof == ZK_LATER ? "RESOURCE_EXHAUSTED"
                                  : error_name(proof == ZK_PROVED ? ZK_OK : ZK_AUTH_FAILED);
    e.revision = store_revision(zk_store(c));
    audit_add(c->env->audit, &e);
}
