/* Leases and sessions begin, change hands and end.
 *
 * A lease ends with all that is attached to it, in one revision, in path order; the reason is in
 * the change log. Granting and resuming change no data, and so no revision. */
#include "store/apply.h"

#include "base/assert.h"
#include "base/mutant.h"
#include "store/attached.h"
#include "store/queues.h"
#include "store/scan.h"
#include "store/shards.h"
#include "store/state.h"
#include "store/validate.h"

static void result_fill(struct store *s, const struct lease *l, struct reply *reply)
{
    reply->has_lease = true;
    reply->lease = (struct lease_result){
        .id = l->id,
        .ttl_ms = l->ttl_ms,
        .generation = l->generation,
    };
    if (l->kind == LEASE_SESSION) {
        reply->lease.secret = arena_copy(&s->arena, slice_make(l->secret, sizeof l->secret));
    }
}

/* What the caller's limits leave him. */
static enum outcome user_allows(struct store *s, struct reply *reply)
{
    const struct auth_limits *limits = auth_limits_of(&s->auth, s->access.user);
    uint64_t used = limits == NULL || limits->leases == 0
                        ? 0
                        : lease_table_count_of(&s->leases, s->access.user);
    if (limits == NULL || limits->leases == 0 || used < limits->leases) {
        return OUTCOME_OK;
    }
    reply->refusal = (struct refusal){
        .bound = BOUND_USER_LEASES,
        .subject = arena_copy(&s->arena, s->access.user),
        .used = used,
        .wanted = 1,
        .limit = limits->leases,
    };
    return OUTCOME_USER_LIMIT;
}

static enum outcome grant(struct store *s, const struct apply_context *context,
                          const struct command_lease *c, struct reply *reply)
{
    /* A ZooKeeper client proves who it is only once it has a session. For plain leases a front end
     * asks first, but may have done so before it knew that authentication is enabled. */
    if (c->kind == LEASE_PLAIN && !s->access.is_somebody) {
        return OUTCOME_NO_AUTH;
    }
    if (lease_table_find(&s->leases, c->id) != NULL) {
        return OUTCOME_LEASE_EXISTS;
    }
    if (s->leases.count >= LEASE_COUNT_MAX) {
        return OUTCOME_LIMIT;
    }
    enum outcome outcome = user_allows(s, reply);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    struct lease what = {
        .id = c->id,
        .ttl_ms = c->ttl_ms,
        .granted_ms = context->wall_ms,
        .kind = c->kind,
        .renewable = c->renewable,
        .owner = c->owner,
        .user = s->access.user,
    };
    memcpy(what.secret, c->secret.data, sizeof what.secret);
    /* Its client may have had an id before: an EXPIRE of that lease may still be under way. */
    if (c->kind == LEASE_PLAIN && s->level >= 2) { /* older members begin at 0 */
        what.generation = context->index;
    }
    struct lease *l = lease_table_add(&s->leases, &what);
    scan_skip_lease(s, l);
    result_fill(s, l, reply);
    return OUTCOME_OK;
}

/* What belonged to nobody, since it is older than authentication or its client had not proved yet
 * who it is, belongs to who resumes it. */
static void adopt(struct store *s, struct lease *l)
{
    bool is_nobodys = l->user.size == 0 || slice_is(l->user, AUTH_ANONYMOUS);
    if (s->auth.is_enabled && is_nobodys && !slice_equal(l->user, s->access.user)) {
        lease_table_give(&s->leases, l, s->access.user);
    }
}

/* A wrong secret disturbs nothing, and neither does a plain lease's id. */
static enum outcome resume(struct store *s, const struct command_lease *c, struct reply *reply)
{
    struct lease *l = lease_table_find(&s->leases, c->id);
    if (l == NULL || l->kind != LEASE_SESSION) {
        return OUTCOME_NO_SESSION;
    }
    if (!lease_secret_matches(l, c->secret) && !MUTANT_IS(MUTANT_ZK_ANY_PASSWORD)) {
        return OUTCOME_BAD_SECRET;
    }
    if (!access_lease(&s->access, l, true)) {
        return OUTCOME_NO_AUTH;
    }
    scan_before_lease(s, l);
    adopt(s, l);
    lease_table_resume(&s->leases, l, c->ttl_ms != 0 ? c->ttl_ms : l->ttl_ms);
    result_fill(s, l, reply);
    return OUTCOME_OK;
}

struct lease_end {
    const struct apply_context *context;
    const struct command *command;
    enum change_reason reason;
};

static void end(struct store *s, struct lease *l, const struct lease_end *how,
                struct reply *reply)
{
    struct attached *attached;
    struct shards_lost *lost = NULL;
    uint32_t count = attached_in_order(&s->tree, l, slice_make(NULL, 0), &s->arena, &attached);
    edit_begin(s, how->context, how->command);
    s->edit.reason = (uint8_t)how->reason;
    if (MUTANT_IS(MUTANT_REASON_LOST)) {
        s->edit.reason = REASON_REQUEST;
    }
    for (uint32_t i = 0; i < count && MUTANT_IS(MUTANT_LOCK_GRANTED_EARLY); i++) {
        queues_forget(s, attached[i].slot);
    }
    if (MUTANT_IS(MUTANT_LOCK_GRANTED_EARLY)) {
        queues_settle(s);
        edit_commit(s);
        edit_begin(s, how->context, how->command);
        s->edit.reason = (uint8_t)how->reason;
    }
    for (uint32_t i = 0; i < count; i++) {
        queues_forget(s, attached[i].slot);
        shards_forget(s, attached[i].slot, &lost);
        edit_delete(s, attached[i].slot);
        if (MUTANT_IS(MUTANT_LEASE_IN_PIECES)) {
            edit_commit(s);
            edit_begin(s, how->context, how->command);
            s->edit.reason = (uint8_t)how->reason;
        }
    }
    shards_lose(s, lost);
    if (!MUTANT_IS(MUTANT_LOCK_EXPIRY_UNSETTLED)) {
        queues_settle(s);
    }
    edit_commit(s);
    reply->has_lease = true;
    reply->lease = (struct lease_result){
        .id = l->id,
        .ttl_ms = l->ttl_ms,
        .generation = l->generation,
        .removed = count,
    };
    scan_before_lease(s, l);
    POST(l->attached_count == 0);
    lease_table_remove(&s->leases, l);
}

static enum outcome revoke(struct store *s, const struct apply_context *context,
                           const struct command *c, struct reply *reply)
{
    const struct command_lease *asked = &c->lease;
    struct lease *l = lease_table_find(&s->leases, asked->id);
    if (l == NULL || (asked->kind != 0 && asked->kind != l->kind)) {
        return asked->kind == LEASE_SESSION ? OUTCOME_NO_SESSION : OUTCOME_NO_LEASE;
    }
    bool is_session = l->kind == LEASE_SESSION;
    if (is_session && !lease_secret_matches(l, asked->secret)) {
        return OUTCOME_BAD_SECRET;
    }
    bool is_proved = is_session && c->by_owner && c->session == l->id;
    if (!is_proved && !access_lease(&s->access, l, is_session)) {
        return OUTCOME_NO_AUTH;
    }
    struct lease_end how = {
        .context = context,
        .command = c,
        .reason = is_session ? REASON_CLOSED : REASON_REVOKED,
    };
    end(s, l, &how, reply);
    return OUTCOME_OK;
}

static enum outcome expire(struct store *s, const struct apply_context *context,
                           const struct command *c, struct reply *reply)
{
    struct lease *l = lease_table_find(&s->leases, c->lease.id);
    if (l == NULL) {
        return OUTCOME_NO_LEASE;
    }
    if (l->generation != c->lease.generation && !MUTANT_IS(MUTANT_ANY_GENERATION)) {
        return OUTCOME_GENERATION_MOVED;
    }
    struct lease_end how = {.context = context, .command = c, .reason = REASON_EXPIRED};
    end(s, l, &how, reply);
    return OUTCOME_OK;
}

void apply_lease(struct store *s, const struct apply_context *context, const struct command *c,
                 struct reply *reply)
{
    enum outcome outcome = command_check_bytes(c, NULL);
    if (outcome == OUTCOME_OK) {
        outcome = lease_check(c, NULL);
    }
    if (outcome == OUTCOME_OK) {
        switch (c->type) {
        case COMMAND_GRANT: outcome = grant(s, context, &c->lease, reply); break;
        case COMMAND_RESUME: outcome = resume(s, &c->lease, reply); break;
        case COMMAND_REVOKE: outcome = revoke(s, context, c, reply); break;
        default: outcome = expire(s, context, c, reply); break;
        }
    }
    reply->outcome = (uint8_t)outcome;
}
