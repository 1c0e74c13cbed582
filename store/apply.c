/* store_apply: prologue (time, exactly-once), the command, epilogue (reply cache, memory bounds,
 * applied index).
 *
 * The command and its context are the only inputs. Checks come before changes; an outcome is data
 * in the reply, and there is no third way out. */
#include "store/apply.h"

#include "base/assert.h"
#include "store/state.h"

/* What a request id alone decides. True: the reply is there, nothing is executed. */
static bool answer_early(struct store *s, const struct command *c, struct reply *reply)
{
    if (c->session != 0) { /* a session is a lease, and none exists at this feature level */
        reply->outcome = OUTCOME_NO_LEASE;
        return true;
    }
    if (!request_id_is_set(&c->request)) {
        return false;
    }
    if (store_remembered(s, 0, 0, &c->request, reply)) {
        return true;
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

static void command_apply(struct store *s, const struct apply_context *context,
                          const struct command *c, struct reply *reply)
{
    switch (c->type) {
    case COMMAND_TXN: apply_txn(s, context, c, reply); break;
    case COMMAND_CHECK: apply_digests(s, &c->check); break;
    case COMMAND_LEVEL: apply_level(s, c->level); break;
    case COMMAND_REAP: apply_reap(s, context, c, reply); break;
    default: UNREACHABLE(); /* command_decode refuses unknown types */
    }
}

static void reply_remember(struct store *s, const struct command *c, const struct reply *reply)
{
    buf_clear(&s->scratch);
    reply_encode(&s->scratch, reply);
    replies_add(&s->replies, &c->request, reply->index, buf_slice(&s->scratch));
}

void store_apply(struct store *s, const struct apply_context *context, const struct command *c,
                 struct reply *reply)
{
    PRE(s->load == NULL);
    INVARIANT(14, context->index > s->applied_index);
    arena_clear(&s->arena);
    *reply = (struct reply){.outcome = OUTCOME_OK};
    if (context->cluster_ms > s->cluster_ms) { /* never back, whoever leads */
        s->cluster_ms = context->cluster_ms;
    }
    replies_trim(&s->replies, s->cluster_ms);

    if (!answer_early(s, c, reply)) {
        command_apply(s, context, c, reply);
        reply->revision = s->revision;
        reply->index = context->index;
        if (request_id_is_set(&c->request)) {
            reply_remember(s, c, reply);
            replies_trim(&s->replies, s->cluster_ms);
        }
    } else if (!reply->repeated) {
        reply->revision = s->revision;
        reply->index = context->index;
    }
    history_trim(&s->history, s->revision, s->cluster_ms);
    if (context->last_of_entry) {
        s->applied_index = context->index;
    }
}
