#include "recipes/shard_move.h"

#include "base/mutant.h"

static const struct slice nobody;

static bool is_here(const struct shard_world *w, struct slice node)
{
    return node.size > 0 && w->is_here(w->context, node);
}

/* The best of the replicas that are here, by the policy; the first of equals. Empty: none. */
static struct slice shard_candidate(const struct shard_world *w, const struct shard_record *r,
                                    struct slice but)
{
    struct slice best = nobody;
    uint64_t best_score = 0;
    struct slice rest = r->replicas;
    struct slice node;
    while (names_next(&rest, &node)) {
        if (slice_equal(node, but) || !is_here(w, node)) {
            continue;
        }
        uint64_t score = w->score(w->context, w->shard, node);
        if (best.size == 0 || score > best_score) {
            best = node;
            best_score = score;
        }
    }
    return best;
}

void shard_assign(const struct shard_world *w, struct shard_record *r, struct slice leader,
                  struct slice replicas)
{
    struct slice last = r->leader.size > 0 ? r->leader : r->awaits;
    r->awaits = leader.size == 0 && names_have(replicas, last) ? last : nobody;
    r->leader = leader;
    r->replicas = replicas;
    if (!MUTANT_IS(MUTANT_SHARD_EPOCH_STAYS) || r->epoch == 0) {
        r->epoch = w->revision;
    }
}

static void enter(const struct shard_world *w, struct shard_move *m, uint64_t state)
{
    m->state = state;
    m->since_ms = w->wall_ms;
    if (state > MOVE_COPYING) {
        m->progress = 0;
    }
}

/* Somebody removes what it has, or there is nobody to. */
static void clean_up(const struct shard_world *w, struct shard_move *m, struct slice who)
{
    if (is_here(w, who)) {
        m->cleans = who;
        enter(w, m, MOVE_CLEANING_UP);
    } else {
        enter(w, m, MOVE_DONE);
    }
}

/* The replica goes; if it led, somebody else does, `instead` if it can be. False: it stays, for it
 * led last and nobody who is here may follow it. Those who are away may lack what it has: they
 * were lost before it, or nobody knows. */
static bool take_out(const struct shard_world *w, struct shard_record *r, struct slice node,
                     struct slice instead)
{
    struct slice leader = r->leader;
    bool leads = slice_equal(leader, node);
    bool is_awaited = leader.size == 0 && slice_equal(r->awaits, node);
    bool can_be = names_have(r->replicas, instead) && !slice_equal(instead, node) &&
                  is_here(w, instead);
    if (leads || is_awaited) {
        leader = can_be ? instead : leads ? shard_candidate(w, r, node) : nobody;
        if (leader.size == 0) {
            return false;
        }
    }
    shard_assign(w, r, leader, names_without(r->replicas, node, w->arena));
    return true;
}

/* ---- forward ------------------------------------------------------------------------------ */

/* Whether there is still something to be done. */
static bool is_possible(const struct shard_record *r, const struct shard_move *m)
{
    switch (m->kind) {
    case SHARD_MOVE:
        return names_have(r->replicas, m->from) && !names_have(r->replicas, m->to) &&
               names_count(r->replicas) < SHARD_REPLICAS_HELD_MAX;
    case SHARD_ADD:
        return !names_have(r->replicas, m->to) && names_count(r->replicas) < SHARD_REPLICAS_MAX;
    case SHARD_DROP: return names_have(r->replicas, m->from);
    default: return names_have(r->replicas, m->to) && !slice_equal(r->leader, m->to);
    }
}

/* All who had it were lost: what others have may be old, and is copied nowhere. */
static bool waits_for_leader(const struct shard_record *r, const struct shard_move *m)
{
    return r->leader.size == 0 && r->replicas.size > 0 && m->kind != SHARD_LEAD;
}

bool shard_move_begin(const struct shard_world *w, struct shard_record *r, struct shard_move *m)
{
    if (!is_possible(r, m)) {
        enter(w, m, MOVE_DONE);
        return true;
    }
    if ((m->kind != SHARD_DROP && !is_here(w, m->to)) || waits_for_leader(r, m)) {
        return false;
    }
    if (m->kind == SHARD_DROP && !take_out(w, r, m->from, nobody)) {
        return false;
    }
    m->begun_ms = w->cluster_ms;
    m->rate = w->spec->bandwidth / w->spec->concurrent;
    if (m->kind == SHARD_DROP) {
        clean_up(w, m, m->from);
    } else {
        enter(w, m, m->kind == SHARD_LEAD ? MOVE_CATCHING_UP : MOVE_PREPARING);
    }
    return true;
}

static void switch_over(const struct shard_world *w, struct shard_record *r,
                        struct shard_move *m)
{
    bool leads = m->kind == SHARD_LEAD ||
                 (m->kind == SHARD_MOVE && slice_equal(r->leader, m->from));
    if (m->kind == SHARD_LEAD) {
        m->from = r->leader;
    }
    struct slice replicas = m->kind == SHARD_LEAD ? r->replicas
                                                  : names_with(r->replicas, m->to, w->arena);
    m->led = leads;
    /* He may lead already, since who did was lost meanwhile: then nothing changes. */
    if (m->kind != SHARD_LEAD || !slice_equal(r->leader, m->to)) {
        shard_assign(w, r, leads ? m->to : r->leader, replicas);
    }
    enter(w, m, MOVE_SWITCHING);
}

static void verified(const struct shard_world *w, struct shard_record *r, struct shard_move *m)
{
    if (m->kind != SHARD_MOVE) {
        enter(w, m, MOVE_DONE);
        return;
    }
    if (!names_have(r->replicas, m->from) || take_out(w, r, m->from, m->to)) {
        clean_up(w, m, m->from);
    } else {
        enter(w, m, MOVE_DONE);
    }
}

static void advance(const struct shard_world *w, struct shard_record *r, struct shard_move *m)
{
    switch (m->state) {
    case MOVE_PREPARING: enter(w, m, MOVE_COPYING); break;
    case MOVE_COPYING: enter(w, m, MOVE_CATCHING_UP); break;
    case MOVE_CATCHING_UP: switch_over(w, r, m); break;
    case MOVE_SWITCHING: verified(w, r, m); break;
    default: enter(w, m, MOVE_DONE); break;
    }
}

bool shard_move_report(const struct shard_world *w, struct shard_record *r,
                       struct shard_move *m, struct slice who, uint64_t state,
                       uint64_t progress)
{
    struct slice whose = m->state == MOVE_CLEANING_UP ? m->cleans : m->to;
    if (m->state == MOVE_QUEUED || m->held != 0 || !slice_equal(who, whose) ||
        (state != m->state && state != m->state + 1)) {
        return false;
    }
    if (state == MOVE_SWITCHING && m->state != state &&
        (waits_for_leader(r, m) || shard_candidate(w, r, nobody).size == 0)) {
        return false; /* nobody is there who could have been copied from */
    }
    if (state != m->state) {
        advance(w, r, m);
    } else if (state == MOVE_COPYING && progress > m->progress) {
        m->progress = progress;
    }
    return true;
}

/* ---- back --------------------------------------------------------------------------------- */

/* What the switch did. The target has not said that it has everything, so it leads no more, if
 * there is somebody who can. False: it remains a replica. */
static bool switch_back(const struct shard_world *w, struct shard_record *r,
                        const struct shard_move *m)
{
    if (m->kind != SHARD_LEAD) {
        return take_out(w, r, m->to, m->from);
    }
    if (slice_equal(r->leader, m->to)) {
        bool can_be = is_here(w, m->from) && names_have(r->replicas, m->from);
        struct slice leader = can_be ? m->from : shard_candidate(w, r, nobody);
        if (!slice_equal(leader, m->to)) {
            shard_assign(w, r, leader, r->replicas);
        }
    }
    return true;
}

bool shard_move_abort(const struct shard_world *w, struct shard_record *r, struct shard_move *m)
{
    if (m->state == MOVE_CLEANING_UP) {
        return false;
    }
    bool has_begun = m->state != MOVE_QUEUED;
    bool is_out = m->state != MOVE_SWITCHING || switch_back(w, r, m);
    m->aborted = 1;
    if (has_begun && is_out && m->kind != SHARD_LEAD) {
        clean_up(w, m, m->to);
    } else {
        enter(w, m, MOVE_DONE);
    }
    return true;
}

void shard_move_lost(const struct shard_world *w, struct shard_record *r, struct shard_move *m,
                     struct slice node)
{
    if (m->state == MOVE_CLEANING_UP) {
        if (slice_equal(m->cleans, node)) {
            enter(w, m, MOVE_DONE);
        }
        return;
    }
    if (m->state == MOVE_QUEUED || !slice_equal(m->to, node) ||
        MUTANT_IS(MUTANT_SHARD_MOVE_UNLOST)) {
        return;
    }
    bool is_out = m->state != MOVE_SWITCHING || switch_back(w, r, m);
    if (m->kind == SHARD_LEAD || !is_out) {
        enter(w, m, MOVE_DONE);
        return;
    }
    m->progress = 0;
    m->begun_ms = 0;
    m->rate = 0;
    m->led = 0;
    enter(w, m, MOVE_QUEUED);
}

bool shard_lost(const struct shard_world *w, struct shard_record *r, struct slice node)
{
    if (!slice_equal(r->leader, node)) {
        return false;
    }
    shard_assign(w, r, shard_candidate(w, r, node), r->replicas);
    return true;
}

bool shard_back(const struct shard_world *w, struct shard_record *r)
{
    bool is_whole = is_here(w, r->awaits);
    struct slice leader = is_whole                ? r->awaits
                          : w->spec->unclean != 0 ? shard_candidate(w, r, nobody)
                                                  : nobody;
    if (r->leader.size > 0 || leader.size == 0) {
        return false;
    }
    shard_assign(w, r, leader, r->replicas);
    return true;
}
