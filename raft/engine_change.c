/* Changes of the members, one at a time, and the rules that make them safe.
 *
 * Each step adds or removes at most one voter, so that majorities before and after it overlap
 * (Raft dissertation 4.1). The core takes the next one only when the last one is committed and
 * applied here. Ours to check are:
 *
 *   NOOP    An entry of our own term is committed, so that what the term began with is known to be
 *           the last change that there is.
 *   GATE    The voters change only when every voter that stays has the last change. The core of a
 *           member that does not know of its promotion refuses to vote, and two of them could
 *           leave a cluster without a leader for ever. Standbys come and go without it: they
 *           change no majority, and a voter that is down must not keep its successor out.
 *   VOTERS  At least two of them, or a single member. */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "raft/engine_internal.h"

/* "name" of "name=host:port". */
static int name_length(const struct engine_member *m)
{
    return (int)strcspn(m->address, "=");
}

/* ---- what a step may be ------------------------------------------------------------------ */

/* The same members in the same places, at most one of which changes. */
static bool is_one_edit(const struct engine_configuration *now,
                        const struct engine_configuration *next)
{
    size_t edits = 0;
    for (size_t i = 0; i < now->count; i++) {
        const struct engine_member *a = &now->members[i];
        const struct engine_member *b = &next->members[i];
        if (a->id != b->id || (a->role != b->role && b->role != ENGINE_VOTER)) {
            return false;
        }
        edits += a->role != b->role || strcmp(a->address, b->address) != 0;
    }
    return edits == 1;
}

/* `more` is `fewer` with one member at some place besides, which is returned; else NULL. */
static const struct engine_member *one_more(const struct engine_configuration *fewer,
                                            const struct engine_configuration *more)
{
    size_t at = 0;
    while (at < fewer->count && fewer->members[at].id == more->members[at].id) {
        at++;
    }
    for (size_t i = 0; i < fewer->count; i++) {
        const struct engine_member *a = &fewer->members[i];
        const struct engine_member *b = &more->members[i + (i >= at)];
        if (a->id != b->id || a->role != b->role || strcmp(a->address, b->address) != 0) {
            return NULL;
        }
    }
    return &more->members[at];
}

static enum status check_step(const struct engine *e, const struct engine_configuration *next,
                              struct errmsg *err)
{
    const struct engine_configuration *now = &e->configuration;
    if (next->count == now->count) {
        return is_one_edit(now, next)
                   ? RC_OK
                   : errmsg_set(err, RC_REFUSED, "one member can change at a time");
    }
    if (next->count == now->count + 1) {
        const struct engine_member *added = one_more(now, next);
        bool fits = added == &next->members[now->count] && added->role == ENGINE_STANDBY;
        return fits ? RC_OK
                    : errmsg_set(err, RC_REFUSED, "a member is added alone, as a standby");
    }
    if (next->count + 1 == now->count) {
        const struct engine_member *removed = one_more(next, now);
        if (removed == NULL) {
            return errmsg_set(err, RC_REFUSED, "one member can be removed at a time");
        }
        return removed->id != e->raft.id
                   ? RC_OK
                   : errmsg_set(err, RC_REFUSED, "the leader hands over before it is removed");
    }
    return errmsg_set(err, RC_REFUSED, "one member can change at a time");
}

/* ---- the rules --------------------------------------------------------------------------- */

static enum status check_voters(const struct engine *e, const struct engine_configuration *next,
                                struct errmsg *err)
{
    if (e->configuration.count == 1) {
        return errmsg_set(err, RC_REFUSED, "a single node does not add members to itself");
    }
    if (engine_voter_count(next) < 2) {
        return errmsg_set(err, RC_REFUSED, "at least two voters have to stay");
    }
    return RC_OK;
}

static bool voters_differ(const struct engine_configuration *now,
                          const struct engine_configuration *next)
{
    if (engine_voter_count(now) != engine_voter_count(next)) {
        return true;
    }
    for (size_t i = 0; i < now->count; i++) {
        const struct engine_member *m = engine_find_member(next, now->members[i].id);
        if ((now->members[i].role == ENGINE_VOTER) != (m != NULL && m->role == ENGINE_VOTER)) {
            return true;
        }
    }
    return false;
}

static enum status check_gate(const struct engine *e, const struct engine_configuration *next,
                              struct errmsg *err)
{
    const struct engine_configuration *now = &e->configuration;
    if (!voters_differ(now, next) || MUTANT_IS(MUTANT_NO_GATE)) {
        return RC_OK;
    }
    if (now->index == 1) {
        return RC_OK; /* it was written to each first member's disk before that member could vote */
    }
    for (size_t i = 0; i < now->count; i++) {
        const struct engine_member *m = &now->members[i];
        const struct engine_member *then = engine_find_member(next, m->id);
        bool stays = m->role == ENGINE_VOTER && then != NULL && then->role == ENGINE_VOTER;
        if (stays && engine_match(e, m->id) < now->index) {
            return errmsg_set(err, RC_REFUSED,
                              "%.*s has not got the last change of the members yet (entry "
                              "%" PRIu64 "); if it is gone, remove or replace it first",
                              name_length(m), m->address, now->index);
        }
    }
    return RC_OK;
}

enum status engine_change(struct engine *e, const struct engine_configuration *next,
                          struct errmsg *err)
{
    enum status rc = engine_may_submit(e);
    if (rc != RC_OK) {
        return errmsg_set(err, rc, "%s", status_text(rc));
    }
    if (!engine_leads_safely(e)) {
        return errmsg_set(err, RC_REFUSED, "no entry of this term is committed yet");
    }
    if (engine_is_changing(e)) {
        return errmsg_set(err, RC_REFUSED, "the last change of the members is not committed yet");
    }
    rc = check_step(e, next, err);
    rc = rc == RC_OK ? check_voters(e, next, err) : rc;
    rc = rc == RC_OK ? check_gate(e, next, err) : rc;
    if (rc != RC_OK) {
        return rc;
    }
    struct buf bytes = {0};
    engine_configuration_encode(&bytes, next);
    void *batch = raft_malloc(bytes.size);
    PRE(batch != NULL);
    memcpy(batch, bytes.data, bytes.size);
    struct raft_entry entry = {.term = e->raft.current_term,
                               .type = RAFT_CHANGE,
                               .buf = {.base = batch, .len = bytes.size},
                               .batch = batch};
    buf_close(&bytes);
    struct raft_event event = {.type = RAFT_SUBMIT};
    event.submit.entries = &entry;
    event.submit.n = 1;
    if (engine_step(e, &event) != 0) {
        raft_free(batch);
        return errmsg_set(err, RC_REFUSED, "the core does not take the change");
    }
    return RC_OK;
}

/* ---- who answers ------------------------------------------------------------------------- */

void engine_note_heard(struct engine *e, uint64_t member)
{
    size_t at = 0;
    if (e->raft.state != RAFT_LEADER || engine_find_member(&e->configuration, member) == NULL) {
        return;
    }
    for (size_t i = 0; i < ENGINE_MEMBERS_MAX; i++) {
        if (e->heard[i].id == member) {
            at = i;
            break;
        }
        if (e->heard[i].id == 0 || engine_find_member(&e->configuration, e->heard[i].id) == NULL) {
            at = i;
        }
    }
    e->heard[at].id = member;
    e->heard[at].ms = e->env->now_ms(e->env);
}

uint64_t engine_silence_ms(const struct engine *e, uint64_t member)
{
    uint64_t now = e->env->now_ms(e->env);
    for (size_t i = 0; i < ENGINE_MEMBERS_MAX && e->raft.state == RAFT_LEADER; i++) {
        if (e->heard[i].id == member) {
            return now - e->heard[i].ms;
        }
    }
    return UINT64_MAX;
}
