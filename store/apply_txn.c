/* Transactions: guards, then one of two branches, all or nothing.
 *
 * Results are ZooKeeper's: if operation k fails, those before it say OUTCOME_OK although they were
 * taken back, k says why, and those behind it say OUTCOME_ROLLED_BACK. Guards that do not hold
 * choose the else branch; where there is none, the outcome is OUTCOME_GUARD_REFUSED, of a grant
 * OUTCOME_GUARD_STALE, with the number of the guard in failed_op and no results. */
#include "store/apply.h"
#include "store/state.h"
#include "store/validate.h"

/* What the reads of one transaction may return in all. */
#define TXN_READ_BYTES_MAX QUERY_PAGE_BYTES_MAX

static enum outcome op_apply(struct store *s, const struct op *op, struct op_result *result,
                             size_t *room)
{
    enum outcome outcome = op_check(op, NULL);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    switch ((enum op_type)op->type) {
    case OP_CREATE: return apply_create(s, op, result);
    case OP_SET: return apply_set(s, op, result);
    case OP_DELETE: return apply_delete(s, op, result);
    case OP_CHECK: return apply_check_version(s, op);
    case OP_GET: return apply_get(s, op, result, room);
    case OP_LIST: return apply_list(s, op, result, room);
    case OP_SET_ACL: return apply_set_acl(s, op, result);
    }
    return OUTCOME_BAD_ARGUMENTS;
}

static void results_fail(struct op_result *results, const struct op *ops, uint32_t count,
                         uint32_t failed, enum outcome outcome)
{
    for (uint32_t i = 0; i < count; i++) {
        enum outcome own = i < failed    ? OUTCOME_OK
                           : i == failed ? outcome
                                         : OUTCOME_ROLLED_BACK;
        results[i] = (struct op_result){.type = ops[i].type, .outcome = (uint8_t)own};
    }
}

static void branch_apply(struct store *s, const struct op *ops, uint32_t count,
                         struct reply *reply)
{
    size_t room = TXN_READ_BYTES_MAX;
    struct op_result *results = arena_alloc(&s->arena, count * sizeof *results);
    reply->results = results;
    reply->result_count = count;
    for (uint32_t i = 0; i < count; i++) {
        results[i] = (struct op_result){.type = ops[i].type};
        enum outcome outcome = op_apply(s, &ops[i], &results[i], &room);
        if (outcome != OUTCOME_OK) {
            edit_rollback(s);
            reply->outcome = (uint8_t)outcome;
            reply->failed_op = i;
            results_fail(results, ops, count, i, outcome);
            return;
        }
    }
    edit_commit(s);
}

void apply_txn(struct store *s, const struct apply_context *context, const struct command *c,
               struct reply *reply)
{
    const struct txn *txn = &c->txn;
    reply->outcome = (uint8_t)command_check_bytes(c, NULL);
    if (reply->outcome != OUTCOME_OK) {
        return;
    }
    enum outcome outcome = OUTCOME_OK;
    reply->took_then =
        guards_hold(s, txn->guards, txn->guard_count, &reply->failed_op, &outcome);
    reply->outcome = (uint8_t)outcome;
    if (outcome != OUTCOME_OK) {
        return;
    }
    if (!reply->took_then && txn->else_count == 0) {
        reply->outcome = (uint8_t)guard_refusal(s, &txn->guards[reply->failed_op]);
        return;
    }
    reply->failed_op = 0;
    edit_begin(s, context, c);
    if (reply->took_then) {
        branch_apply(s, txn->then_ops, txn->then_count, reply);
    } else {
        branch_apply(s, txn->else_ops, txn->else_count, reply);
    }
}
