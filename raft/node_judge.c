/* The leader's answers to what is asked of the members: refused with the reason, or begun, or found
 * done. Answering begins what is missing, and is the same however often the question comes; what
 * was begun goes on by itself (raft/node_member.c). */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raft/node_member.h"
#include "store/auth.h"

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

/* ---- who is meant -------------------------------------------------------------------------- */

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
        if (strcmp(member_name(&c->members[i], &m), name) == 0) {
            found = &c->members[i];
        }
    }
    return found;
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
            member_name(other, &scratch));
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
        say(j, MEMBER_DONE,
            "now start it, with an empty data dir: coordd --name %s --peer-listen HOST:PORT "
            "--join ...",
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
            say(j, MEMBER_DONE, "%s is a %s", member_name(j->member, &scratch),
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
    if (engine_find_member(engine_configuration(j->node->engine), replaces) != NULL) {
        if (!member_is_live(j->node, j->member->id)) {
            say(j, MEMBER_REFUSED,
                "its replacement is down; to give that one up, remove %016" PRIx64,
                j->member->id);
            return;
        }
        say(j, MEMBER_DONE, "its replacement is here: %s, %s", member_name(j->member, &scratch),
            j->member->role == ENGINE_VOTER ? "a voter" : "catching up");
        return;
    }
    if (node_has_tombstone(j->node, j->member->id)) {
        say(j, MEMBER_REFUSED, "%s is leaving: add another", j->name);
        return;
    }
    if (!member_is_live(j->node, j->member->id) &&
        member_check_removal(j->node, j->member, &err) != RC_OK) {
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
        engine_find_member(engine_configuration(j->node->engine), replaces) != NULL) {
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
    if (member_check_removal(j->node, j->member, &err) != RC_OK) {
        say(j, MEMBER_REFUSED, "%s", err.text);
        return;
    }
    const struct engine_configuration *c = engine_configuration(j->node->engine);
    for (size_t i = 0; i < c->count; i++) {
        struct node_member other;
        if (node_has_tombstone(j->node, c->members[i].id)) {
            say(j, MEMBER_UNDER_WAY, "one at a time: %s is leaving",
                member_name(&c->members[i], &other));
            return;
        }
    }
    struct node_member scratch;
    char silent[128];
    if (j->member->role == ENGINE_VOTER &&
        !member_majority_is(j->node, member_is_answering, j->member->id, 0, silent,
                            sizeof silent)) {
        say(j, MEMBER_UNDER_WAY, "no fresh answer from %s", silent);
        return;
    }
    node_put_tombstone(j->node, j->member->id, member_name(j->member, &scratch));
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
    } else if (!member_is_live(j->node, j->member->id)) {
        say(j, MEMBER_REFUSED, "%s is down", j->name);
    } else if (!member_is_in_sync(j->node, j->member->id)) {
        say(j, MEMBER_UNDER_WAY, "%s is %" PRIu64 " entries behind", j->name,
            engine_last_index(j->node->engine) - engine_match(j->node->engine, j->member->id));
    } else if (member_step_promote(j->node, j->member->id, &err) == RC_OK) {
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
    const struct engine_member *m = engine_find_member(engine_configuration(n->engine), target);
    if (m == NULL) {
        say(j, MEMBER_REFUSED, "no other voter is up");
    } else if (m->role != ENGINE_VOTER) {
        say(j, MEMBER_REFUSED, "%s is a standby and cannot lead", member_name(m, &scratch));
    } else if (!member_can_take_over(n, target, &err)) {
        say(j, MEMBER_REFUSED, "%s cannot lead now: %s", member_name(m, &scratch), err.text);
    } else {
        node_hand_over_begin(n, target, j->member == NULL);
        say(j, MEMBER_UNDER_WAY, "leadership goes to %s", member_name(m, &scratch));
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
    if (engine_find_member(engine_configuration(n->engine), j->id) != NULL) {
        if (engine_find_member(&n->membership.applied, j->id) != NULL) {
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
            "authentication is enabled, so nobody joins without being expected: an "
            "administrator "
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
            engine_voter_count(engine_configuration(j->node->engine)));
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
