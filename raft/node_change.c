/* Changes of the members, asked for on any of them. What the leader says to a question is final, or
 * that it is under way; then it is asked again, whoever leads by then. Answering is the same
 * however often it is asked, so nothing is lost with a message or a leader.
 *
 *   asked --(UNDER_WAY, or nothing)--> asked again
 *     '-----(a final verdict, or the deadline)--> completed
 */
#include <stdio.h>
#include <string.h>

#include "raft/node_internal.h"

#define ASK_AGAIN_MS 25

static struct node_change *of(struct list *link)
{
    return LIST_OF(link, struct node_change, link);
}

void node_change_open(struct node *n)
{
    list_init(&n->membership.changes);
    n->membership.next_token = n->boot_id;
}

static void complete(struct node *n, struct node_change *c, enum status rc, uint8_t verdict,
                     bool already)
{
    list_remove(&c->link);
    n->membership.change_count--;
    c->done(c, rc, verdict, already, c->text);
}

void node_change_fail_all(struct node *n, enum status rc)
{
    while (!list_empty(&n->membership.changes)) {
        complete(n, of(n->membership.changes.next), rc, 0, false);
    }
}

enum status node_change(struct node *n, struct node_change *c, uint64_t deadline_ms)
{
    if (n->phase != NODE_RUNNING && n->phase != NODE_WAITING) {
        return RC_STOPPED;
    }
    if (n->membership.change_count == NODE_CHANGES_MAX) {
        return RC_OVERLOADED;
    }
    c->deadline_ms = deadline_ms;
    c->token = ++n->membership.next_token;
    c->first_asked = 0;
    c->has_begun = false;
    c->text[0] = '\0';
    list_push_back(&n->membership.changes, &c->link);
    n->membership.change_count++;
    n->membership.ask_ms = 0;
    return RC_OK;
}

void node_change_cancel(struct node *n, struct node_change *c)
{
    if (!list_empty(&c->link)) {
        list_remove(&c->link);
        n->membership.change_count--;
    }
}

static void take_answer(struct node *n, struct node_change *c,
                        const struct message_member_tell *tell)
{
    if (tell->verdict == MEMBER_ELSEWHERE || tell->verdict == MEMBER_GONE) {
        return;
    }
    snprintf(c->text, sizeof c->text, "%.*s", (int)tell->text.size,
             (const char *)tell->text.data);
    if (tell->verdict == MEMBER_UNDER_WAY) {
        c->has_begun = true;
        return;
    }
    complete(n, c, RC_OK, tell->verdict, !c->has_begun);
}

static void ask(struct node *n, struct node_change *c, uint64_t leader)
{
    struct message m = {.type = MESSAGE_MEMBER_ASK};
    m.member_ask = (struct message_member_ask){.token = c->token,
                                               .kind = c->kind,
                                               .learner = c->learner,
                                               .name = slice_str(c->name),
                                               .address = slice_str(c->address)};
    if (leader != n->identity.node_id) {
        node_send(n, leader, &m);
    } else if (node_member_may_judge(n)) {
        struct message_member_tell tell = {0};
        node_member_judge(n, &m.member_ask, &tell);
        take_answer(n, c, &tell);
    }
}

/* "To whoever is best" is done once somebody else leads. The next leader must not be asked: it
 * would hand over in its turn. */
static bool has_gone_over(const struct node_change *c, uint64_t leader)
{
    return c->kind == MEMBER_TRANSFER && c->name[0] == '\0' && c->first_asked != 0 &&
           leader != c->first_asked;
}

static void complete_transfer(struct node *n, struct node_change *c, uint64_t leader)
{
    const struct engine_member *m = engine_find_member(engine_configuration(n->engine), leader);
    struct node_member parsed;
    bool has_name = m != NULL && node_parse_member(m->address, &parsed);
    snprintf(c->text, sizeof c->text, "%s leads", has_name ? parsed.name : "another member");
    complete(n, c, RC_OK, MEMBER_DONE, false);
}

void node_change_turn(struct node *n, uint64_t now_ms)
{
    uint64_t leader = n->engine != NULL ? engine_leader(n->engine) : 0;
    bool asks = leader != 0 && now_ms >= n->membership.ask_ms;
    struct list *it;
    struct list *tmp;
    if (n->membership.change_count == 0) {
        return;
    }
    if (asks) {
        n->membership.ask_ms = now_ms + ASK_AGAIN_MS;
    }
    LIST_EACH(it, tmp, &n->membership.changes)
    {
        struct node_change *c = of(it);
        if (now_ms >= c->deadline_ms) {
            bool leaderless = leader == 0 && !c->has_begun;
            complete(n, c, leaderless ? RC_NO_LEADER : RC_TIMEOUT, 0, false);
        } else if (leader != 0 && has_gone_over(c, leader)) {
            complete_transfer(n, c, leader);
        } else if (asks) {
            c->first_asked = c->first_asked != 0 ? c->first_asked : leader;
            ask(n, c, leader);
        }
    }
}

uint64_t node_change_deadline_ms(const struct node *n)
{
    uint64_t next = n->membership.ask_ms;
    if (n->membership.change_count == 0) {
        return UINT64_MAX;
    }
    if (n->engine != NULL && engine_leader(n->engine) != 0) {
        return next;
    }
    struct list *head = (struct list *)(uintptr_t)&n->membership.changes;
    next = UINT64_MAX;
    for (struct list *it = head->next; it != head; it = it->next) {
        next = of(it)->deadline_ms < next ? of(it)->deadline_ms : next;
    }
    return next;
}

/* ---- messages ---------------------------------------------------------------------------- */

/* Who does not lead says nothing: another will be asked. */
void node_on_member_ask(struct node *n, uint64_t from, const struct message_member_ask *m)
{
    struct message answer = {.type = MESSAGE_MEMBER_TELL};
    if (node_member_may_judge(n) && m->kind != MEMBER_JOIN) {
        node_member_judge(n, m, &answer.member_tell);
        node_send(n, from, &answer);
    }
}

void node_on_member_tell(struct node *n, uint64_t from, const struct message_member_tell *m)
{
    struct list *it;
    struct list *tmp;
    (void)from;
    LIST_EACH(it, tmp, &n->membership.changes)
    {
        if (of(it)->token == m->token) {
            take_answer(n, of(it), m);
            return;
        }
    }
}

void node_guest(struct node *n, const struct message_member_ask *question,
                struct message *answer)
{
    struct message_member_tell *tell = &answer->member_tell;
    answer->type = MESSAGE_MEMBER_TELL;
    *tell = (struct message_member_tell){.token = question->token, .verdict = MEMBER_UNDER_WAY};
    if (question->kind != MEMBER_JOIN) {
        tell->verdict = MEMBER_REFUSED;
        tell->text = slice_str("a guest can ask to join, and nothing else");
        return;
    }
    if (question->id == 0 || question->id == n->identity.node_id) {
        tell->verdict = MEMBER_REFUSED;
        tell->text = slice_str("it asks under an id that is nobody's, or that of the one it asks");
        return;
    }
    if (n->engine == NULL || n->phase != NODE_RUNNING) {
        tell->verdict = MEMBER_UNKNOWN; /* somebody else may know: it is not to be asked again */
        tell->text = slice_str("the member that was asked does not serve");
        return;
    }
    if (node_member_may_judge(n)) {
        node_member_judge(n, question, tell);
        return;
    }
    if (engine_find_member(&n->membership.applied, question->id) != NULL &&
        !node_has_tombstone(n, question->id)) {
        /* Without it there may be no leader at all: this node has just grown (raft/node_grow.c). */
        node_member_welcome(n, tell);
        node_grow_told(n);
        return;
    }
    const struct engine_member *leader =
        engine_find_member(engine_configuration(n->engine), engine_leader(n->engine));
    struct node_member m;
    tell->verdict = MEMBER_UNKNOWN;
    tell->text = slice_str("no leader is known");
    if (leader != NULL && leader->id != n->identity.node_id &&
        node_parse_member(leader->address, &m)) {
        snprintf(n->membership.address, sizeof n->membership.address, "%s:%u", m.host,
                 (unsigned)m.port);
        tell->verdict = MEMBER_ELSEWHERE;
        tell->address = slice_str(n->membership.address);
        tell->text = slice_str("the leader is asked next");
    }
}

void node_on_guest(void *context, const struct message_member_ask *question,
                   struct message *answer)
{
    node_guest(context, question, answer);
}
