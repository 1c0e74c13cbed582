#include "tests/support/lock_model.h"

#include <string.h>

#include "base/assert.h"
#include "recipes/record.h"

static bool conflict(const struct lm_entry *a, const struct lm_entry *b)
{
    return a->owner != b->owner && (a->mode == LOCK_WRITE || b->mode == LOCK_WRITE);
}

static bool entry_can_have(const struct lm *m, const struct lm_entry *e)
{
    uint64_t held = 0;
    for (int i = 0; i < m->count; i++) {
        const struct lm_entry *x = &m->entries[i];
        if (x == e || x->lock != e->lock) {
            continue;
        }
        if (e->mode == LOCK_PERMITS) {
            held += x->held ? x->permits : 0;
            if (!x->held && x->number < e->number) {
                return false;
            }
        } else if (conflict(x, e) && (x->held || x->number < e->number)) {
            return false;
        }
    }
    return e->mode != LOCK_PERMITS || held + e->permits <= m->limits[e->lock];
}

bool lm_is_waiting(const struct lm *m, int owner)
{
    for (int i = 0; i < m->count; i++) {
        if (m->entries[i].owner == owner && !m->entries[i].held) {
            return true;
        }
    }
    return false;
}

static bool owner_can_have(const struct lm *m, int owner)
{
    for (int i = 0; i < m->count; i++) {
        const struct lm_entry *e = &m->entries[i];
        if (e->owner == owner && !e->held && !entry_can_have(m, e)) {
            return false;
        }
    }
    return lm_is_waiting(m, owner);
}

void lm_drop(struct lm *m, int index)
{
    memmove(&m->entries[index], &m->entries[index + 1],
            (size_t)(m->count - index - 1) * sizeof m->entries[0]);
    m->count--;
}

void lm_drop_group(struct lm *m, int index)
{
    struct lm_entry e = m->entries[index];
    if (e.group == 0) {
        lm_drop(m, index);
        return;
    }
    for (int i = m->count - 1; i >= 0; i--) {
        const struct lm_entry *x = &m->entries[i];
        if (x->owner == e.owner && x->group == e.group && x->held == e.held) {
            lm_drop(m, i);
        }
    }
}

static void drop_waits(struct lm *m, int owner)
{
    for (int i = m->count - 1; i >= 0; i--) {
        if (m->entries[i].owner == owner && !m->entries[i].held) {
            lm_drop(m, i);
        }
    }
}

static bool is_late(const struct lm *m, int owner)
{
    for (int i = 0; i < m->count; i++) {
        const struct lm_entry *e = &m->entries[i];
        if (e->owner == owner && !e->held && e->deadline_ms != 0 &&
            e->deadline_ms <= m->now_ms) {
            return true;
        }
    }
    return false;
}

static void grant(struct lm *m, int owner, uint64_t revision)
{
    for (int i = 0; i < m->count; i++) {
        struct lm_entry *e = &m->entries[i];
        if (e->owner == owner && !e->held) {
            e->held = true;
            e->epoch = revision;
            e->deadline_ms = e->hold_ms == 0 ? 0 : m->now_ms + e->hold_ms;
        }
    }
}

void lm_settle(struct lm *m, uint64_t revision)
{
    bool changed = true;
    while (changed) {
        changed = false;
        for (int owner = 0; owner < LM_OWNERS; owner++) {
            if (!owner_can_have(m, owner)) {
                continue;
            }
            if (is_late(m, owner)) {
                drop_waits(m, owner);
            } else {
                grant(m, owner, revision);
            }
            changed = true;
        }
    }
}

int lm_waiting_before(const struct lm *m, int index)
{
    int count = 0;
    const struct lm_entry *e = &m->entries[index];
    for (int i = 0; i < m->count; i++) {
        const struct lm_entry *x = &m->entries[i];
        count += x->lock == e->lock && !x->held && x->number < e->number;
    }
    return count;
}

/* ---- every order of releases -------------------------------------------------------------- */

static bool give_back_all(struct lm *m, int owner)
{
    bool any = false;
    for (int i = m->count - 1; i >= 0; i--) {
        if (m->entries[i].owner == owner) {
            lm_drop(m, i);
            any = true;
        }
    }
    return any;
}

static bool search(const struct lm *m, int owner)
{
    if (!lm_is_waiting(m, owner)) {
        return true;
    }
    for (int i = 0; i < LM_OWNERS; i++) {
        struct lm next = *m;
        if (lm_is_waiting(m, i) || !give_back_all(&next, i)) {
            continue;
        }
        lm_settle(&next, 1);
        if (search(&next, owner)) {
            return true;
        }
    }
    return false;
}

bool lm_can_be_granted(const struct lm *m, int owner)
{
    struct lm timeless = *m;
    for (int i = 0; i < timeless.count; i++) {
        timeless.entries[i].deadline_ms = 0;
    }
    return search(&timeless, owner);
}

/* ---- acquire ------------------------------------------------------------------------------ */

static int find_cover(const struct lm *m, int owner, const struct lm_target *t)
{
    for (int i = 0; i < m->count; i++) { /* by number, since they are added in that order */
        const struct lm_entry *e = &m->entries[i];
        bool covers =
            t->mode != LOCK_PERMITS && (e->mode == LOCK_WRITE || e->mode == t->mode);
        if (e->owner == owner && e->held && e->lock == t->lock && covers) {
            return i;
        }
    }
    return -1;
}

static bool has_entries(const struct lm *m, int lock)
{
    for (int i = 0; i < m->count; i++) {
        if (m->entries[i].lock == lock) {
            return true;
        }
    }
    return false;
}

static bool fits(const struct lm *m, const struct lm_target *t)
{
    bool counts = t->mode == LOCK_PERMITS;
    uint32_t limit = t->limit;
    if (has_entries(m, t->lock)) {
        limit = m->limits[t->lock];
        if (counts != (limit > 0) || (counts && t->limit != 0 && t->limit != limit)) {
            return false;
        }
    }
    return !counts || t->permits <= limit;
}

enum lm_outcome lm_acquire(struct lm *m, const struct lm_ask *ask, uint64_t revision,
                           int places[3])
{
    if (lm_is_waiting(m, ask->owner)) {
        return LM_WAITS;
    }
    for (int i = 0; i < ask->target_count; i++) {
        if (!fits(m, &ask->targets[i])) {
            return LM_MISMATCH;
        }
        int cover = find_cover(m, ask->owner, &ask->targets[i]);
        if (cover >= 0 && ask->target_count > 1) {
            return LM_MISMATCH;
        }
        if (cover >= 0) {
            m->entries[cover].count++;
            places[0] = cover;
            return LM_HELD_NOW;
        }
    }
    struct lm before = *m;
    for (int i = 0; i < ask->target_count; i++) {
        const struct lm_target *t = &ask->targets[i];
        PRE(m->count < LM_ENTRIES);
        if (!has_entries(m, t->lock)) {
            m->limits[t->lock] = t->limit;
        }
        places[i] = m->count;
        m->entries[m->count++] = (struct lm_entry){
            .lock = t->lock,
            .owner = ask->owner,
            .mode = t->mode,
            .permits = t->permits,
            .count = 1,
            .group = ask->target_count > 1 ? revision : 0,
            .deadline_ms = ask->wait_ms == 0 ? 0 : m->now_ms + ask->wait_ms,
            .hold_ms = ask->hold_ms,
            .number = ++m->next_number,
        };
    }
    if (owner_can_have(m, ask->owner)) {
        grant(m, ask->owner, revision);
        return LM_HELD_NOW;
    }
    enum lm_outcome outcome = ask->is_try                              ? LM_REFUSED
                              : !lm_can_be_granted(m, ask->owner) ? LM_DEADLOCK
                                                                       : LM_QUEUED;
    if (outcome != LM_QUEUED) {
        *m = before;
    }
    return outcome;
}
