/* store_apply: prologue (time, exactly-once), the command, epilogue (reply cache, memory bounds,
 * applied index).
 *
 * The command and its context are the only inputs. Checks come before changes; an outcome is data
 * in the reply, and there is no third way out. */
#include "store/apply.h"

#include "base/assert.h"
#include "base/mutant.h"
#include "store/state.h"

/* What a request id alone decides, if it is not remembered. True: the reply is there, nothing is
 * executed. */
static bool answer_request(struct store *s, const struct command *c, struct reply *reply)
{
    if (!request_id_is_set(&c->request)) {
        return false;
    }
    if (request_id_compare(&c->request, &s->replies.floor) <= 0) {
        reply->outcome = OUTCOME_REQUEST_EXPIRED;
        return true;
    }
    if (c->request.issued_ms > s->cluster_ms &&
        c->request.issued_ms - s->cluster_ms > REPLIES_AHEAD_MS_MAX) {
        reply->outcome = OUTCOME_REQUEST_FUTURE;
        return true;
    }
    return false;
}

static struct lease *session_find(const struct store *s, uint64_t id)
{
    struct lease *l = lease_table_find(&s->leases, id);
    return l != NULL && l->kind == LEASE_SESSION ? l : NULL;
}

/* What the session decides. True: the reply is there, nothing is executed. */
static bool answer_session(struct store *s, const struct command *c, struct reply *reply)
{
    struct lease *session = session_find(s, c->session);
    if (session == NULL) {
        reply->outcome = OUTCOME_NO_SESSION;
        return true;
    }
    if (c->by_owner && c->generation != session->generation) {
        reply->outcome = OUTCOME_GENERATION_MOVED;
        return true;
    }
    if (!c->by_owner && !access_lease(&s->access, session, false)) {
        reply->outcome = OUTCOME_NO_AUTH;
        return true;
    }
    window_raise(&s->leases.windows, session->window, c->answered_to);
    if (c->sequence == 0) {
        return answer_request(s, c, reply);
    }
    if (store_remembered(s, c->session, c->sequence, &c->request, reply)) {
        return true;
    }
    if (c->sequence <= session->window->floor && !MUTANT_IS(MUTANT_SPENT_NUMBER_RUNS)) {
        reply->outcome = OUTCOME_SEQUENCE_EXPIRED;
        return true;
    }
    return false;
}

/* A remembered request was executed, whatever has become of its session since. */
static bool answer_early(struct store *s, const struct command *c, struct reply *reply)
{
    if (c->sequence == 0 && request_id_is_set(&c->request) &&
        store_remembered(s, 0, 0, &c->request, reply)) {
        return true;
    }
    bool in_session = c->by_owner || (c->session | c->sequence | c->answered_to) != 0;
    return in_session ? answer_session(s, c, reply) : answer_request(s, c, reply);
}

static void command_apply(struct store *s, const struct apply_context *context,
                          const struct command *c, struct reply *reply)
{
    if (command_level(c->type) > s->level) { /* older members come to the same */
        reply->outcome = OUTCOME_UNSUPPORTED;
        return;
    }
    switch (c->type) {
    case COMMAND_TXN: apply_txn(s, context, c, reply); break;
    case COMMAND_CHECK: apply_digests(s, &c->check); break;
    case COMMAND_LEVEL: apply_level(s, c->level); break;
    case COMMAND_REAP: apply_reap(s, context, c, reply); break;
    case COMMAND_AUTH: apply_auth(s, context, c, reply); break;
    case COMMAND_QUOTA: apply_quota(s, context, c, reply); break;
    case COMMAND_RECIPE: apply_recipe(s, context, c, reply); break;
    case COMMAND_ROLLOUT: apply_rollout(s, context, c, reply); break;
    case COMMAND_DISCOVERY: apply_discovery(s, context, c, reply); break;
    case COMMAND_SHARD: apply_shard(s, context, c, reply); break;
    case COMMAND_GRANT:
    case COMMAND_RESUME:
    case COMMAND_REVOKE:
    case COMMAND_EXPIRE: apply_lease(s, context, c, reply); break;
    default: UNREACHABLE();
    }
}

/* Which quota was in the way, or which version, whatever the command. The reply outlives what is
 * set of it. */
static void refusal_copy(struct store *s, struct reply *reply)
{
    if (reply->outcome == OUTCOME_QUOTA || reply->outcome == OUTCOME_BAD_VERSION) {
        reply->refusal = s->refusal;
        reply->refusal.subject = arena_copy(&s->arena, s->refusal.subject);
    }
}

static void reply_remember(struct store *s, const struct command *c, const struct reply *reply)
{
    buf_clear(&s->scratch);
    if (c->sequence != 0) {
        struct lease *session = session_find(s, c->session);
        bool is_spent = MUTANT_IS(MUTANT_SPENT_NUMBER_RUNS) && session != NULL &&
                        c->sequence <= session->window->floor;
        if (session != NULL && !is_spent) { /* it has not ended itself */
            reply_encode(&s->scratch, reply);
            window_add(&s->leases.windows, session->window, c->sequence, reply->index,
                       buf_slice(&s->scratch));
        }
    } else if (request_id_is_set(&c->request)) {
        reply_encode(&s->scratch, reply);
        replies_add(&s->replies, &c->request, reply->index, buf_slice(&s->scratch));
        replies_trim(&s->replies, s->cluster_ms);
    }
}

void store_apply(struct store *s, const struct apply_context *context, const struct command *c,
                 struct reply *reply)
{
    PRE(s->load == NULL);
    INVARIANT(14, context->index > s->applied_index);
    arena_clear(&s->arena);
    access_begin(&s->access, s, c->identities);
    s->refusal = (struct refusal){.bound = BOUND_NONE};
    *reply = (struct reply){.outcome = OUTCOME_OK};
    if (context->cluster_ms > s->cluster_ms) { /* never back, whoever leads */
        s->cluster_ms = context->cluster_ms;
    }
    replies_trim(&s->replies, s->cluster_ms);

    if (!answer_early(s, c, reply)) {
        command_apply(s, context, c, reply);
        refusal_copy(s, reply);
        reply->revision = s->revision;
        reply->index = context->index;
        reply_remember(s, c, reply);
    } else if (!reply->repeated) {
        reply->revision = s->revision;
        reply->index = context->index;
    }
    history_trim(&s->history, s->revision, s->cluster_ms);
    versions_sweep(&s->versions, &s->policies);
    if (context->last_of_entry) {
        s->applied_index = context->index;
    }
}
