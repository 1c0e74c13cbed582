#include "net/grpc/audit.h"

#include "net/audit/audit.h"
#include "raft/message.h"
#include "store/store.h"

static struct audit *audit_of(const struct grpc_call *call)
{
    return call->connection->env->audit;
}

/* ---- what it is about --------------------------------------------------------------------- */

void grpc_audit_command(struct grpc_call *call, const struct command *c)
{
    if (audit_of(call) != NULL) {
        buf_clear(&call->facts);
        audit_note_command(&call->facts, c);
    }
}

void grpc_audit_path(struct grpc_call *call, struct slice path)
{
    if (audit_wants(audit_of(call), AUDIT_READ)) {
        audit_note_text(&call->facts, AUDIT_PATH, path);
    }
}

void grpc_audit_change(struct grpc_call *call, const struct node_change *change)
{
    if (audit_of(call) == NULL) {
        return;
    }
    audit_note_text(&call->facts, AUDIT_MEMBER, slice_str(change->name));
    audit_note_text(&call->facts, AUDIT_ADDRESS, slice_str(change->address));
    if (change->learner) {
        audit_note_number(&call->facts, AUDIT_LEARNER, 1);
    }
}

void grpc_audit_login(struct grpc_call *call, struct slice user)
{
    if (audit_of(call) != NULL) {
        audit_note_text(&call->facts, AUDIT_LOGIN, user);
    }
}

void grpc_audit_denied(struct grpc_call *call, uint8_t right, struct slice path)
{
    if (audit_of(call) != NULL) {
        audit_note_denied(&call->facts, right, path);
    }
}

/* ---- what became of it -------------------------------------------------------------------- */

static struct audit_event event_of(const struct grpc_call *call)
{
    const struct front_env *env = call->connection->env;
    return (struct audit_event){.protocol = "grpc",
                                .peer = env->peer,
                                .tls = env->tls,
                                .store = node_store(env->node),
                                .identities = grpc_call_identities(call),
                                .session = call->session,
                                .request = call->route->path + 1,
                                .facts = buf_slice(&call->facts),
                                .class = (enum audit_class)call->route->method->audit};
}

static bool is_denial(enum outcome outcome)
{
    return outcome == OUTCOME_NO_AUTH || outcome == OUTCOME_BAD_SECRET;
}

void grpc_audit_watch(struct grpc_call *call, struct slice path, enum outcome outcome)
{
    struct audit *audit = audit_of(call);
    if (audit == NULL || !(is_denial(outcome) || audit_wants(audit, AUDIT_READ))) {
        return;
    }
    struct buf facts = {0};
    struct audit_event e = event_of(call);
    audit_note_text(&facts, AUDIT_PATH, path);
    if (is_denial(outcome)) {
        audit_note_denied(&facts, ACL_READ, path);
    }
    e.facts = buf_slice(&facts);
    e.class = AUDIT_READ;
    e.is_denied = is_denial(outcome);
    e.outcome = audit_outcome_name(outcome);
    e.revision = store_revision(e.store);
    audit_add(audit, &e);
    buf_close(&facts);
}

/* What the call was refused with counts before what the command came to: a reply that does not fit
 * the request is another request's. */
static const char *outcome_of(const struct grpc_call *call, enum grpc_code code, bool is_lost)
{
    bool is_unknown = call->is_unknown || (is_lost && call->state == GRPC_CALL_WRITING);
    if (is_unknown) {
        return "unknown";
    }
    if (call->outcome != OUTCOME_OK) {
        return audit_outcome_name((enum outcome)call->outcome);
    }
    if (call->reply != NULL && call->reply->outcome != OUTCOME_OK) {
        return audit_outcome_name((enum outcome)call->reply->outcome);
    }
    return code == GRPC_OK ? "ok" : grpc_code_name(code);
}

void grpc_audit_answer(struct grpc_call *call, enum grpc_code code, bool is_lost)
{
    struct audit *audit = audit_of(call);
    const struct reply *reply = call->reply;
    if (audit == NULL || call->route == NULL) {
        return;
    }
    bool is_denied = call->is_denied || code == GRPC_PERMISSION_DENIED ||
                     code == GRPC_UNAUTHENTICATED || is_denial((enum outcome)call->outcome) ||
                     (reply != NULL && is_denial((enum outcome)reply->outcome));
    if (!is_denied && !audit_wants(audit, (enum audit_class)call->route->method->audit)) {
        return;
    }
    struct audit_event e = event_of(call);
    e.is_denied = is_denied;
    e.outcome = outcome_of(call, code, is_lost);
    e.reply = reply;
    e.failed_op = reply != NULL ? reply->failed_op : 0;
    if (reply != NULL) {
        e.revision = reply->revision;
    } else if (call->outcome != OUTCOME_OK) {
        e.revision = call->outcome_revision;
    } else if (code == GRPC_OK) {
        e.revision = store_revision(e.store);
    }
    audit_add(audit, &e);
}
