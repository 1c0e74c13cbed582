/* The leader's part in changes of the members: what goes on by itself. It is looked after every
 * turn, from what is replicated alone, so that any leader can go on with it; what is asked begins
 * it (raft/node_judge.c):
 *
 *   JOINING --(in sync)--> VOTER        a standby that was not added to stay one
 *   STANDBY --(promote)--> VOTER        a learner, when somebody asks
 *   any --(tombstone)--> LEAVING --(safe)--> REMOVED, for ever
 *
 * A replacement is a standby that names whom it replaces. When it is in sync: if the old one is up,
 * promotion, then removal; if it is down, removal first. Either way no step leaves fewer voters up
 * beyond a majority than there were. A leader that is leaving hands over, and the next one removes
 * it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mutant.h"
#include "raft/node_member.h"

#define LOOK_MS      10
#define SLOW_LOOK_MS 250

/* ---- how far each one is ------------------------------------------------------------------ */

static struct member_round *round_of(struct node *n, uint64_t id)
{
    struct member_round *free = NULL;
    for (size_t i = 0; i < NODE_MEMBERS_MAX; i++) {
        struct member_round *r = &n->membership.rounds[i];
        if (r->id == id) {
            return r;
        }
        bool is_free =
            r->id == 0 || engine_find_member(engine_configuration(n->engine), r->id) == NULL;
        free = is_free ? r : free;
    }
    *free = (struct member_round){.id = id};
    return free;
}

static void note_wait(struct node *n, uint64_t id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void note_wait(struct node *n, uint64_t id, const char *format, ...)
{
    struct member_round *r = round_of(n, id);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(r->waits_for, sizeof r->waits_for, format, args);
    va_end(args);
}

const char *node_member_waits_for(const struct node *n, uint64_t id)
{
    for (size_t i = 0; i < NODE_MEMBERS_MAX; i++) {
        if (n->membership.rounds[i].id == id && n->leading_term != 0) {
            return n->membership.rounds[i].waits_for;
        }
    }
    return "";
}

/* The last of the members is as far as this one was, an election timeout ago at most. */
bool member_is_in_sync(struct node *n, uint64_t id)
{
    return (round_of(n, id)->is_in_sync && member_is_live(n, id)) ||
           MUTANT_IS(MUTANT_PROMOTED_BEHIND);
}

static void follow(struct node *n, uint64_t id, uint64_t now_ms)
{
    struct member_round *r = round_of(n, id);
    uint64_t match = engine_match(n->engine, id);
    uint64_t last = engine_last_index(n->engine);
    if (r->target == 0) {
        r->target = last;
        r->began_ms = now_ms;
    }
    if (now_ms - r->began_ms > node_election_timeout_ms(n)) {
        r->is_in_sync = false;
        snprintf(r->waits_for, sizeof r->waits_for, "%" PRIu64 " entries behind",
                 last > match ? last - match : 0);
    }
    if (match >= r->target) {
        r->is_in_sync = now_ms - r->began_ms <= node_election_timeout_ms(n);
        r->waits_for[0] = '\0';
        r->target = last;
        r->began_ms = now_ms;
    }
}

/* ---- steps ------------------------------------------------------------------------------- */

static enum status step_remove(struct node *n, uint64_t id, struct errmsg *err)
{
    struct engine_configuration next = *engine_configuration(n->engine);
    size_t at = 0;
    while (at < next.count && next.members[at].id != id) {
        at++;
    }
    if (at == next.count) {
        return RC_OK;
    }
    char silent[128];
    bool is_voter = next.members[at].role == ENGINE_VOTER;
    enum status rc = member_check_removal(n, &next.members[at], err);
    if (rc != RC_OK) {
        return rc;
    }
    if (is_voter && !member_majority_is(n, member_is_answering, id, 0, silent, sizeof silent)) {
        return errmsg_set(err, RC_REFUSED, "no fresh answer from %s", silent);
    }
    next.count--;
    memmove(next.members + at, next.members + at + 1,
            (next.count - at) * sizeof next.members[0]);
    return engine_change(n->engine, &next, err);
}

enum status member_step_promote(struct node *n, uint64_t id, struct errmsg *err)
{
    struct engine_configuration next = *engine_configuration(n->engine);
    char down[128];
    for (size_t i = 0; i < next.count; i++) {
        struct engine_member *m = &next.members[i];
        struct node_member parsed;
        if (m->id != id || !node_parse_member(m->address, &parsed)) {
            continue;
        }
        if (!member_majority_is(n, member_is_answering, 0, id, down, sizeof down)) {
            return errmsg_set(err, RC_REFUSED, "no fresh answer from %s", down);
        }
        struct member_notes notes = node_member_notes(m->address);
        notes.learner = false;
        m->role = ENGINE_VOTER;
        node_format_member(&parsed, &notes, m->address, sizeof m->address);
    }
    return engine_change(n->engine, &next, err);
}

/* ---- what goes on by itself -------------------------------------------------------------- */

/* True if a step was taken. */
static bool look_after_leaving(struct node *n, const struct engine_member *m)
{
    struct errmsg err = {0};
    enum status rc;
    if (m->id == n->identity.node_id) {
        uint64_t target = node_successor(n);
        if (target != 0 && member_can_take_over(n, target, &err)) {
            node_hand_over_begin(n, target, true);
        }
        return true;
    }
    if (m->role == ENGINE_VOTER && engine_voter_count(engine_configuration(n->engine)) <= 2) {
        /* Two removals were promised at once. This one can never come to be. */
        log_warn(n->log, "member.stays", "id=%016" PRIx64 " reason=\"two voters stay\"", m->id);
        node_drop_tombstone(n, m->id);
        return false;
    }
    rc = step_remove(n, m->id, &err);
    if (rc != RC_OK) {
        note_wait(n, m->id, "%s", err.text);
    }
    return rc == RC_OK;
}

/* The old one goes by a tombstone, once its replacement is in sync and, if the old one is up, a
 * voter. */
static void look_after_replaced(struct node *n, const struct engine_member *successor,
                                const struct engine_member *old)
{
    struct node_member scratch;
    struct errmsg err = {0};
    bool is_ready = successor->role == ENGINE_VOTER || old->role != ENGINE_VOTER ||
                    !member_is_live(n, old->id);
    if (!is_ready || !member_is_in_sync(n, successor->id)) {
        return;
    }
    if (member_check_removal(n, old, &err) != RC_OK) {
        note_wait(n, old->id, "%s", err.text);
        return;
    }
    node_put_tombstone(n, old->id, member_name(old, &scratch));
}

static bool look_after_standby(struct node *n, const struct engine_member *m)
{
    const struct engine_configuration *c = engine_configuration(n->engine);
    struct member_notes notes = node_member_notes(m->address);
    const struct engine_member *old = engine_find_member(c, notes.replaces);
    struct errmsg err = {0};
    if (notes.learner || !member_is_in_sync(n, m->id) ||
        (old != NULL && old->role == ENGINE_VOTER && !member_is_live(n, old->id))) {
        return false;
    }
    enum status rc = member_step_promote(n, m->id, &err);
    if (rc != RC_OK) {
        note_wait(n, m->id, "%s", err.text);
    }
    return rc == RC_OK;
}

static void look_after_invitation(struct node *n, const struct engine_member *m)
{
    struct node_member parsed;
    if (node_parse_member(m->address, &parsed)) {
        struct member_invitation i = node_invitation(n, parsed.name);
        if (i.is_there && i.replaces == node_member_notes(m->address).replaces) {
            node_drop_invitation(n, parsed.name);
        }
    }
}

/* Its state is not the last one. */
static bool is_moving(const struct node *n, const struct engine_configuration *c,
                      const struct engine_member *m)
{
    struct member_notes notes = node_member_notes(m->address);
    return (m->role != ENGINE_VOTER && !notes.learner) ||
           engine_find_member(c, notes.replaces) != NULL || node_has_tombstone(n, m->id);
}

static bool has_work(const struct node *n)
{
    const struct engine_configuration *c = engine_configuration(n->engine);
    for (size_t i = 0; i < c->count; i++) {
        if (is_moving(n, c, &c->members[i])) {
            return true;
        }
    }
    return n->membership.change_count > 0;
}

static void look_after_all(struct node *n, uint64_t now_ms)
{
    /* A step moves the members: each is looked at by a copy. */
    const struct engine_configuration c = *engine_configuration(n->engine);
    for (size_t i = 0; i < c.count; i++) {
        if (c.members[i].role != ENGINE_VOTER || is_moving(n, &c, &c.members[i])) {
            follow(n, c.members[i].id, now_ms);
        }
    }
    if (engine_is_changing(n->engine)) {
        return;
    }
    for (size_t i = 0; i < c.count; i++) {
        if (node_has_tombstone(n, c.members[i].id) && look_after_leaving(n, &c.members[i])) {
            return;
        }
    }
    for (size_t i = 0; i < c.count; i++) {
        uint64_t replaces = node_member_notes(c.members[i].address).replaces;
        const struct engine_member *old = engine_find_member(&c, replaces);
        if (old != NULL && !node_has_tombstone(n, old->id)) {
            look_after_replaced(n, &c.members[i], old);
        }
    }
    for (size_t i = 0; i < c.count; i++) {
        if (c.members[i].role == ENGINE_STANDBY && !node_has_tombstone(n, c.members[i].id) &&
            look_after_standby(n, &c.members[i])) {
            return;
        }
    }
    for (size_t i = 0; i < c.count; i++) {
        look_after_invitation(n, &c.members[i]);
    }
}

bool node_member_may_judge(const struct node *n)
{
    return n->engine != NULL && n->phase == NODE_RUNNING && n->leading_term != 0 &&
           node_may_propose(n);
}

void node_member_turn(struct node *n, uint64_t now_ms)
{
    if (!node_member_may_judge(n) || engine_is_single_voter(n->engine)) {
        return;
    }
    if (n->membership.hand_over.target == 0 && now_ms >= n->membership.look_ms) {
        n->membership.look_ms = now_ms + (has_work(n) ? LOOK_MS : SLOW_LOOK_MS);
        look_after_all(n, now_ms);
    }
}

uint64_t node_member_deadline_ms(const struct node *n)
{
    if (!node_member_may_judge(n) || engine_is_single_voter(n->engine)) {
        return UINT64_MAX;
    }
    return n->membership.hand_over.target != 0 ? UINT64_MAX : n->membership.look_ms;
}
