/* The leader's part in changes of the members. What is asked is judged: refused with the reason, or
 * begun, or found done. What goes on by itself is looked after every turn, from what is replicated
 * alone, so that any leader can go on with it:
 *
 *   JOINING --(in sync)--> VOTER        a standby that was not added to stay one
 *   STANDBY --(promote)--> VOTER        a learner, when somebody asks
 *   any --(tombstone)--> LEAVING --(safe)--> REMOVED, for ever
 *
 * A replacement is a standby that names whom it replaces. When it is in sync: if the old one is up,
 * promotion, then removal; if it is down, removal first. Either way no step leaves fewer voters up
 * beyond a majority than there were. A leader that is leaving hands over, and the next one removes
 * it.
 *
 * Which steps the rules allow is for engine_change to say; here is what an operator must not do by
 * mistake: remove a voter when those that stay would have no majority up. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mutant.h"
#include "raft/node_internal.h"
#include "store/auth.h"

#define LOOK_MS          10
#define SILENT_TIMEOUTS  5 /* election timeouts without an answer: a member is down */
#define FRESH_HEARTBEATS 3
#define HAND_OVER_LAG    4096 /* entries: who lacks more has to catch up first */
#define SLOW_LOOK_MS     250

/* ---- who is who -------------------------------------------------------------------------- */

uint32_t node_election_timeout_ms(const struct node *n)
{
    return n->options.election_timeout_ms != 0 ? n->options.election_timeout_ms
                                               : ENGINE_ELECTION_TIMEOUT_MS;
}

/* Not known to be down. */
static bool is_live(const struct node *n, uint64_t id)
{
    return id == n->identity.node_id ||
           (peers_is_up(n->peers, id) &&
            engine_silence_ms(n->engine, id) < SILENT_TIMEOUTS * node_election_timeout_ms(n));
}

/* Known to be up a moment ago: it answers every heartbeat. A step that needs it must not be taken
 * on older news. */
static bool is_answering(const struct node *n, uint64_t id)
{
    uint32_t heartbeat_ms =
        n->options.heartbeat_ms != 0 ? n->options.heartbeat_ms : ENGINE_HEARTBEAT_MS;
    return id == n->identity.node_id ||
           (is_live(n, id) &&
            engine_silence_ms(n->engine, id) < FRESH_HEARTBEATS * (uint64_t)heartbeat_ms);
}

static const char *name_of(const struct engine_member *m, struct node_member *scratch)
{
    return node_parse_member(m->address, scratch) ? scratch->name : "?";
}

/* By name, or by id in 16 digits. While a member is replaced by one of the same name, that name
 * means the new one, except to who asks for the other's removal. */
static const struct engine_member *find_by_name(const struct node *n, const char *name)
{
    const struct engine_configuration *c = engine_configuration(n->engine);
    const struct engine_member *found = NULL;
    struct node_member m;
    for (size_t i = 0; i < c->count; i++) {
        char id[17];
        snprintf(id, sizeof id, "%016" PRIx64, c->members[i].id);
        if (strcmp(id, name) == 0) {
            return &c->members[i];
        }
        if (strcmp(name_of(&c->members[i], &m), name) == 0) {
            found = &c->members[i];
        }
    }
    return found;
}

static struct member_round *round_of(struct node *n, uint64_t id)
{
    struct member_round *free = NULL;
    for (size_t i = 0; i < NODE_MEMBERS_MAX; i++) {
        struct member_round *r = &n->membership.rounds[i];
        if (r->id == id) {
            return r;
        }
        bool is_free =
            r->id == 0 || node_find_member(engine_configuration(n->engine), r->id) == NULL;
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

/* ---- what is safe ------------------------------------------------------------------------ */

/* Of the voters without `leaves` (0 = all), and with `comes` (0 = none), is a majority up? If not,
 * `down` names who is not. */
static bool majority_is(const struct node *n,
                        bool (*is_up)(const struct node *n, uint64_t id), uint64_t leaves,
                        uint64_t comes, char *down, size_t bytes)
{
    const struct engine_configuration *c = engine_configuration(n->engine);
    size_t voters = 0;
    size_t live = 0;
    size_t used = 0;
    down[0] = '\0';
    for (size_t i = 0; i < c->count; i++) {
        const struct engine_member *m = &c->members[i];
        struct node_member scratch;
        if (m->id == leaves || (m->role != ENGINE_VOTER && m->id != comes)) {
            continue;
        }
        voters++;
        if (is_up(n, m->id)) {
            live++;
        } else if (used < bytes) {
            int size = snprintf(down + used, bytes - used, "%s%s", used > 0 ? ", " : "",
                                name_of(m, &scratch));
            used += size > 0 ? (size_t)size : 0;
        }
    }
    return 2 * live > voters;
}

static size_t voter_count(const struct engine_configuration *c)
{
    size_t count = 0;
    for (size_t i = 0; i < c->count; i++) {
        count += c->members[i].role == ENGINE_VOTER;
    }
    return count;
}

static enum status check_removal(const struct node *n, const struct engine_member *m,
                                 struct errmsg *err)
{
    const struct engine_configuration *c = engine_configuration(n->engine);
    struct node_member scratch;
    char down[128];
    if (m->role != ENGINE_VOTER) {
        return RC_OK;
    }
    if (voter_count(c) <= 2) {
        return errmsg_set(err, RC_REFUSED,
                          "removing %s would leave a single voter, and a cluster keeps at least "
                          "two; add a member first",
                          name_of(m, &scratch));
    }
    if (!majority_is(n, is_live, m->id, 0, down, sizeof down)) {
        return errmsg_set(err, RC_REFUSED,
                          "without %s no majority of the voters that stay is up: %s %s down",
                          name_of(m, &scratch), down, strchr(down, ',') != NULL ? "are" : "is");
    }
    return RC_OK;
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
    enum status rc = check_removal(n, &next.members[at], err);
    if (rc != RC_OK) {
        return rc;
    }
    if (is_voter && !majority_is(n, is_answering, id, 0, silent, sizeof silent)) {
        return errmsg_set(err, RC_REFUSED, "no fresh answer from %s", silent);
    }
    next.count--;
    memmove(next.members + at, next.members + at + 1,
            (next.count - at) * sizeof next.members[0]);
    return engine_change(n->engine, &next, err);
}

static enum status step_promote(struct node *n, uint64_t id, struct errmsg *err)
{
    struct engine_configuration next = *engine_configuration(n->engine);
    char down[128];
    for (size_t i = 0; i < next.count; i++) {
        struct engine_member *m = &next.members[i];
        struct node_member parsed;
        if (m->id != id || !node_parse_member(m->address, &parsed)) {
            continue;
        }
        if (!majority_is(n, is_answering, 0, id, down, sizeof down)) {
            return errmsg_set(err, RC_REFUSED, "no fresh answer from %s", down);
        }
        struct member_notes notes = node_member_notes(m->address);
        notes.learner = false;
        m->role = ENGINE_VOTER;
        node_format_member(&parsed, &notes, m->address, sizeof m->address);
    }
    return engine_change(n->engine, &next, err);
}

/* The last of the members is as far as this one was, an election timeout ago at most. */
static bool is_in_sync(struct node *n, uint64_t id)
{
    return (round_of(n, id)->is_in_sync && is_live(n, id)) || MUTANT_IS(MUTANT_PROMOTED_BEHIND);
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

/* ---- handing over ------------------------------------------------------------------------ */

/* Who is up and nearly as far as this node; why not, otherwise. */
static bool can_take_over(const struct node *n, uint64_t id, struct errmsg *err)
{
    uint64_t match = engine_match(n->engine, id);
    uint64_t last = engine_last_index(n->engine);
    if (!is_live(n, id)) {
        (void)errmsg_set(err, RC_REFUSED, "it is down");
        return false;
    }
    if (match + HAND_OVER_LAG < last) {
        (void)errmsg_set(err, RC_REFUSED, "it is %" PRIu64 " entries behind", last - match);
        return false;
    }
    return true;
}

/* ---- what goes on by itself -------------------------------------------------------------- */

/* True if a step was taken. */
static bool look_after_leaving(struct node *n, const struct engine_member *m)
{
    struct errmsg err = {0};
    enum status rc;
    if (m->id == n->identity.node_id) {
        uint64_t target = node_successor(n);
        if (target != 0 && can_take_over(n, target, &err)) {
            node_hand_over_begin(n, target);
        }
        return true;
    }
    if (m->role == ENGINE_VOTER && voter_count(engine_configuration(n->engine)) <= 2) {
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
                    !is_live(n, old->id);
    if (!is_ready || !is_in_sync(n, successor->id)) {
        return;
    }
    if (check_removal(n, old, &err) != RC_OK) {
        note_wait(n, old->id, "%s", err.text);
        return;
    }
    node_put_tombstone(n, old->id, name_of(old, &scratch));
}

static bool look_after_standby(struct node *n, const struct engine_member *m)
{
    const struct engine_configuration *c = engine_configuration(n->engine);
    struct member_notes notes = node_member_notes(m->address);
    const struct engine_member *old = node_find_member(c, notes.replaces);
    struct errmsg err = {0};
    if (notes.learner || !is_in_sync(n, m->id) ||
        (old != NULL && old->role == ENGINE_VOTER && !is_live(n, old->id))) {
        return false;
    }
    enum status rc = step_promote(n, m->id, &err);
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
           node_find_member(c, notes.replaces) != NULL || node_has_tombstone(n, m->id);
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
        const struct engine_member *old = node_find_member(&c, replaces);
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

/* ---- answers ----------------------------------------------------------------------------- */

struct judge {
    struct node *node;
    struct message_member_tell *tell;
    char name[NODE_NAME_BYTES_MAX];
    const struct engine_member *member; /* of that name, or NULL */
    bool learner;
    char address[NODE_ADDRESS_BYTES_MAX];
    uint64_t id;
};

static void say(struct judge *j, enum member_verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct judge *j, enum member_verdict verdict, const char *format, ...)
{
    char *text = j->node->membership.text;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, NODE_TEXT_BYTES_MAX, format, args);
    va_end(args);
    j->tell->verdict = (uint8_t)verdict;
    j->tell->text = slice_str(text);
}

static const char *address_of(const struct engine_member *m, char *text, size_t bytes)
{
    struct node_member parsed;
    text[0] = '\0';
    if (node_parse_member(m->address, &parsed)) {
        snprintf(text, bytes, "%s:%u", parsed.host, (unsigned)parsed.port);
    }
    return text;
}

/* Who has this peer address, except the one that is replaced; NULL: nobody. */
static const struct engine_member *find_by_address(const struct node *n, const char *address,
                                                   uint64_t except)
{
    const struct engine_configuration *c = engine_configuration(n->engine);
    for (size_t i = 0; i < c->count; i++) {
        char text[NODE_ADDRESS_BYTES_MAX];
        if (c->members[i].id != except &&
            strcmp(address_of(&c->members[i], text, sizeof text), address) == 0) {
            return &c->members[i];
        }
    }
    return NULL;
}

/* There is room for one more, and its address is nobody's. */
static bool can_add(struct judge *j, uint64_t replaces)
{
    const struct engine_configuration *c = engine_configuration(j->node->engine);
    struct node_member scratch;
    if (c->count >= NODE_MEMBERS_MAX) {
        say(j, MEMBER_REFUSED, "there are %zu members already, at most %d", c->count,
            NODE_MEMBERS_MAX);
        return false;
    }
    const struct engine_member *other =
        j->address[0] != '\0' ? find_by_address(j->node, j->address, replaces) : NULL;
    if (other != NULL) {
        say(j, MEMBER_REFUSED, "the peer address %s is that of %s", j->address,
            name_of(other, &scratch));
        return false;
    }
    return true;
}

static void invite(struct judge *j, uint64_t replaces)
{
    struct member_invitation wanted = {
        .is_there = true, .learner = j->learner, .replaces = replaces};
    memcpy(wanted.address, j->address, sizeof wanted.address);
    struct member_invitation found = node_invitation(j->node, j->name);
    if (found.is_there && found.learner == wanted.learner && found.replaces == replaces &&
        strcmp(found.address, wanted.address) == 0) {
        say(j, MEMBER_DONE, "now start it, with an empty data dir: coordd --name %s --join ...",
            j->name);
        return;
    }
    node_put_invitation(j->node, j->name, &wanted);
    say(j, MEMBER_UNDER_WAY, "the invitation is not committed yet");
}

static void judge_add(struct judge *j)
{
    struct node_member scratch;
    if (j->member != NULL) {
        if (node_has_tombstone(j->node, j->member->id)) {
            say(j, MEMBER_REFUSED, "%s is leaving: add it when it has left", j->name);
        } else {
            say(j, MEMBER_DONE, "%s is a %s", name_of(j->member, &scratch),
                j->member->role == ENGINE_VOTER ? "voter" : "standby");
        }
        return;
    }
    if (can_add(j, 0)) {
        invite(j, 0);
    }
}

static void judge_replace(struct judge *j)
{
    struct node_member scratch;
    struct errmsg err = {0};
    if (j->member == NULL) {
        say(j, MEMBER_UNKNOWN, "no member is called %s", j->name);
        return;
    }
    uint64_t replaces = node_member_notes(j->member->address).replaces;
    if (node_find_member(engine_configuration(j->node->engine), replaces) != NULL) {
        if (!is_live(j->node, j->member->id)) {
            say(j, MEMBER_REFUSED,
                "its replacement is down; to give that one up, remove %016" PRIx64,
                j->member->id);
            return;
        }
        say(j, MEMBER_DONE, "its replacement is here: %s, %s", name_of(j->member, &scratch),
            j->member->role == ENGINE_VOTER ? "a voter" : "catching up");
        return;
    }
    if (node_has_tombstone(j->node, j->member->id)) {
        say(j, MEMBER_REFUSED, "%s is leaving: add another", j->name);
        return;
    }
    if (!is_live(j->node, j->member->id) && check_removal(j->node, j->member, &err) != RC_OK) {
        say(j, MEMBER_REFUSED, "%s", err.text);
        return;
    }
    j->learner = j->learner || node_member_notes(j->member->address).learner;
    if (can_add(j, j->member->id)) {
        invite(j, j->member->id);
    }
}

static void judge_remove(struct judge *j)
{
    struct errmsg err = {0};
    if (j->member == NULL) {
        if (node_invitation(j->node, j->name).is_there) {
            node_drop_invitation(j->node, j->name);
            say(j, MEMBER_UNDER_WAY, "its invitation is taken back");
        } else if (node_name_was_removed(j->node, j->name) ||
                   (strlen(j->name) == 16 &&
                    node_was_removed(j->node, strtoull(j->name, NULL, 16)))) {
            say(j, MEMBER_DONE, "%s is removed", j->name);
        } else {
            say(j, MEMBER_UNKNOWN, "no member is called %s", j->name);
        }
        return;
    }
    uint64_t replaces = node_member_notes(j->member->address).replaces;
    if (strlen(j->name) != 16 &&
        node_find_member(engine_configuration(j->node->engine), replaces) != NULL) {
        say(j, MEMBER_REFUSED,
            "%s is being replaced, and the old one goes by itself; to give the new one up, "
            "remove %016" PRIx64,
            j->name, j->member->id);
        return;
    }
    if (node_has_tombstone(j->node, j->member->id)) {
        const char *why = node_member_waits_for(j->node, j->member->id);
        say(j, MEMBER_UNDER_WAY, "%s is leaving%s%s", j->name, why[0] != '\0' ? ": " : "", why);
        return;
    }
    if (check_removal(j->node, j->member, &err) != RC_OK) {
        say(j, MEMBER_REFUSED, "%s", err.text);
        return;
    }
    const struct engine_configuration *c = engine_configuration(j->node->engine);
    for (size_t i = 0; i < c->count; i++) {
        struct node_member other;
        if (node_has_tombstone(j->node, c->members[i].id)) {
            say(j, MEMBER_UNDER_WAY, "one at a time: %s is leaving",
                name_of(&c->members[i], &other));
            return;
        }
    }
    struct node_member scratch;
    char silent[128];
    if (j->member->role == ENGINE_VOTER &&
        !majority_is(j->node, is_answering, j->member->id, 0, silent, sizeof silent)) {
        say(j, MEMBER_UNDER_WAY, "no fresh answer from %s", silent);
        return;
    }
    node_put_tombstone(j->node, j->member->id, name_of(j->member, &scratch));
    say(j, MEMBER_UNDER_WAY, "%s is leaving", j->name);
}

static void judge_promote(struct judge *j)
{
    struct errmsg err = {0};
    if (j->member == NULL) {
        say(j, MEMBER_UNKNOWN, "no member is called %s", j->name);
    } else if (j->member->role == ENGINE_VOTER) {
        bool is_committed = !engine_is_changing(j->node->engine);
        say(j, is_committed ? MEMBER_DONE : MEMBER_UNDER_WAY, "%s is a voter%s", j->name,
            is_committed ? "" : ", once that is committed");
    } else if (node_has_tombstone(j->node, j->member->id)) {
        say(j, MEMBER_REFUSED, "%s is leaving", j->name);
    } else if (!is_live(j->node, j->member->id)) {
        say(j, MEMBER_REFUSED, "%s is down", j->name);
    } else if (!is_in_sync(j->node, j->member->id)) {
        say(j, MEMBER_UNDER_WAY, "%s is %" PRIu64 " entries behind", j->name,
            engine_last_index(j->node->engine) - engine_match(j->node->engine, j->member->id));
    } else if (step_promote(j->node, j->member->id, &err) == RC_OK) {
        say(j, MEMBER_UNDER_WAY, "%s is being promoted", j->name);
    } else {
        say(j, MEMBER_UNDER_WAY, "%s", err.text);
    }
}

static void judge_transfer(struct judge *j)
{
    struct node *n = j->node;
    struct errmsg err = {0};
    struct node_member scratch;
    if (j->member == NULL && j->name[0] != '\0') {
        say(j, MEMBER_UNKNOWN, "no member is called %s", j->name);
        return;
    }
    if (j->member != NULL && j->member->id == n->identity.node_id) {
        say(j, MEMBER_DONE, "%s leads", n->name);
        return;
    }
    uint64_t target = j->member != NULL ? j->member->id : node_successor(n);
    const struct engine_member *m = node_find_member(engine_configuration(n->engine), target);
    if (m == NULL) {
        say(j, MEMBER_REFUSED, "no other voter is up");
    } else if (m->role != ENGINE_VOTER) {
        say(j, MEMBER_REFUSED, "%s is a standby and cannot lead", name_of(m, &scratch));
    } else if (!can_take_over(n, target, &err)) {
        say(j, MEMBER_REFUSED, "%s cannot lead now: %s", name_of(m, &scratch), err.text);
    } else {
        node_hand_over_begin(n, target);
        say(j, MEMBER_UNDER_WAY, "leadership goes to %s", name_of(m, &scratch));
    }
}

/* The one that asks, as others shall know it; false: refused. */
static bool parse_self(struct judge *j, struct node_member *out)
{
    const char *colon = strrchr(j->address, ':');
    if (colon == NULL || (size_t)(colon - j->address) >= sizeof out->host) {
        say(j, MEMBER_REFUSED, "its peer address is not HOST:PORT: %s", j->address);
        return false;
    }
    *out = (struct node_member){.port = (uint16_t)strtoul(colon + 1, NULL, 10)};
    memcpy(out->name, j->name, sizeof out->name);
    memcpy(out->host, j->address, (size_t)(colon - j->address));
    return true;
}

static void take_in(struct judge *j, uint64_t replaces)
{
    struct node *n = j->node;
    struct errmsg err = {0};
    struct engine_configuration next = *engine_configuration(n->engine);
    struct engine_member *m = &next.members[next.count];
    struct node_member parsed;
    if (!parse_self(j, &parsed)) {
        return;
    }
    *m = (struct engine_member){.id = j->id, .role = ENGINE_STANDBY};
    const struct member_notes notes = {.learner = j->learner, .replaces = replaces};
    node_format_member(&parsed, &notes, m->address, sizeof m->address);
    next.count++;
    if (engine_change(n->engine, &next, &err) == RC_OK) {
        say(j, MEMBER_UNDER_WAY, "%s is being added", j->name);
    } else {
        say(j, MEMBER_UNDER_WAY, "%s", err.text);
    }
}

void node_member_welcome(struct node *n, struct message_member_tell *tell)
{
    buf_clear(&n->membership.encoded);
    engine_configuration_encode(&n->membership.encoded, engine_configuration(n->engine));
    tell->verdict = MEMBER_DONE;
    tell->text = slice_str("it is a member");
    tell->cluster_id = n->identity.cluster_id;
    tell->configuration = buf_slice(&n->membership.encoded);
}

/* One that has drawn an id of its own, and keeps it however often it has to ask. */
static void judge_join(struct judge *j)
{
    struct node *n = j->node;
    if (node_has_tombstone(n, j->id)) {
        say(j, MEMBER_GONE, "%s", node_removed_reason);
        return;
    }
    if (node_find_member(engine_configuration(n->engine), j->id) != NULL) {
        if (node_find_member(&n->membership.applied, j->id) != NULL) {
            node_member_welcome(n, j->tell);
        } else {
            say(j, MEMBER_UNDER_WAY, "its addition is not committed yet");
        }
        return;
    }
    struct member_invitation i = node_invitation(n, j->name);
    if (i.is_there && i.address[0] != '\0' && strcmp(i.address, j->address) != 0) {
        say(j, MEMBER_REFUSED, "%s was invited with the peer address %s, not %s", j->name,
            i.address, j->address);
        return;
    }
    if (!i.is_there && store_auth(n->store)->is_enabled) {
        say(j, MEMBER_REFUSED,
            "authentication is enabled, so nobody joins without being expected: an administrator "
            "says coordctl member add %s first",
            j->name);
        return;
    }
    uint64_t replaces = i.is_there ? i.replaces : 0;
    if (j->member != NULL && (replaces == 0 || j->member->id != replaces)) {
        say(j, MEMBER_REFUSED,
            "a member is called %s already; if its data was lost: coordctl member replace %s",
            j->name, j->name);
        return;
    }
    j->learner = j->learner || (i.is_there && i.learner);
    if (can_add(j, replaces)) {
        take_in(j, replaces);
    }
}

static void copy_text(char *to, size_t bytes, struct slice from)
{
    snprintf(to, bytes, "%.*s", (int)from.size, (const char *)from.data);
}

/* It becomes part of a key and of the configuration. */
static bool name_is_fine(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789-_.");
    return length > 0 && name[length] == '\0';
}

static bool address_is_fine(const char *address)
{
    const char *colon = strrchr(address, ':');
    if (address[0] == '\0') {
        return true;
    }
    unsigned long port = colon != NULL ? strtoul(colon + 1, NULL, 10) : 0;
    for (const char *at = address; *at != '\0'; at++) {
        if (*at <= ' ' || *at >= 0x7f || *at == ';' || *at == '=') {
            return false;
        }
    }
    return colon != NULL && colon > address && port > 0 && port <= UINT16_MAX;
}

static void judge_grow(struct judge *j)
{
    if (engine_is_single_voter(j->node->engine)) {
        node_grow_judge(j->node, j->address, j->tell);
    } else {
        say(j, MEMBER_DONE, "it is a cluster, with %zu voters",
            voter_count(engine_configuration(j->node->engine)));
    }
}

static void refuse_single(struct judge *j)
{
    say(j, MEMBER_REFUSED,
        "this is a single node, which does not change its members by itself: make it a cluster "
        "with 'coordctl member grow'");
}

void node_member_judge(struct node *n, const struct message_member_ask *ask,
                       struct message_member_tell *tell)
{
    struct judge j = {.node = n, .tell = tell, .learner = ask->learner, .id = ask->id};
    *tell = (struct message_member_tell){.token = ask->token};
    copy_text(j.name, sizeof j.name, ask->name);
    copy_text(j.address, sizeof j.address, ask->address);
    if (ask->kind == MEMBER_GROW) {
        judge_grow(&j);
        return;
    }
    bool may_be_nobody = ask->kind == MEMBER_TRANSFER && j.name[0] == '\0';
    if ((!may_be_nobody && !name_is_fine(j.name)) || ask->name.size >= sizeof j.name) {
        say(&j, MEMBER_REFUSED,
            "a name has 1 to %d letters, digits, '-', '_' and '.', and no others",
            NODE_NAME_BYTES_MAX - 1);
        return;
    }
    if (!address_is_fine(j.address) || ask->address.size >= sizeof j.address) {
        say(&j, MEMBER_REFUSED, "the peer address is not HOST:PORT");
        return;
    }
    if (engine_is_single_voter(n->engine)) {
        struct node_member asks;
        if (ask->kind == MEMBER_JOIN && parse_self(&j, &asks)) {
            node_grow_judge_join(n, ask, &asks, tell);
        } else if (ask->kind != MEMBER_JOIN) {
            refuse_single(&j);
        }
        return;
    }
    j.member = may_be_nobody ? NULL : find_by_name(n, j.name);
    n->membership.look_ms = 0; /* whatever follows from it, at once */
    switch ((enum member_request)ask->kind) {
    case MEMBER_ADD: judge_add(&j); return;
    case MEMBER_REMOVE: judge_remove(&j); return;
    case MEMBER_REPLACE: judge_replace(&j); return;
    case MEMBER_PROMOTE: judge_promote(&j); return;
    case MEMBER_TRANSFER: judge_transfer(&j); return;
    case MEMBER_JOIN: judge_join(&j); return;
    case MEMBER_GROW: return; /* judged above */
    }
}
