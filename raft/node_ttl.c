/* How long does a lease have to live? Only the leader's keeper knows. Here the question is answered
 * by the next turn; elsewhere it goes to the leader, and again to whoever leads by then, until an
 * answer comes or the deadline.
 *
 *   FRESH --(the leader is connected)--> ASKED --(LEASE_TELL)--> answered
 *     ^--(no answer, leader lost or changed)--+
 */
#include "raft/node_internal.h"

#define ASK_RETRY_MS 100

static struct node_ttl *of(struct list *link)
{
    return LIST_OF(link, struct node_ttl, link);
}

static void move_all(struct list *to, struct list *from)
{
    struct list *it;
    while ((it = list_pop_front(from)) != NULL) {
        list_push_back(to, it);
    }
}

static void complete(struct node *n, struct node_ttl *t, enum status rc, bool found,
                     uint64_t remaining_ms)
{
    list_remove(&t->link);
    n->ttls.count--;
    t->done(t, rc, found, remaining_ms);
}

void node_ttl_open(struct node *n)
{
    n->ttls = (struct node_ttls){.deadline_ms = UINT64_MAX, .next_token = n->boot_id};
    list_init(&n->ttls.fresh);
    list_init(&n->ttls.asked);
}

void node_ttl_fail_all(struct node *n, enum status rc)
{
    struct list *it;
    move_all(&n->ttls.asked, &n->ttls.fresh);
    while (!list_empty(&n->ttls.asked)) {
        it = n->ttls.asked.next;
        complete(n, of(it), rc, false, 0);
    }
}

enum status node_ttl(struct node *n, struct node_ttl *t, uint64_t deadline_ms)
{
    if (n->phase != NODE_RUNNING && n->phase != NODE_WAITING) {
        return RC_STOPPED;
    }
    if (n->ttls.count == NODE_TTLS_MAX) {
        return RC_OVERLOADED;
    }
    t->deadline_ms = deadline_ms;
    list_push_back(&n->ttls.fresh, &t->link);
    n->ttls.count++;
    if (deadline_ms < n->ttls.deadline_ms) {
        n->ttls.deadline_ms = deadline_ms;
    }
    return RC_OK;
}

void node_ttl_cancel(struct node *n, struct node_ttl *t)
{
    if (!list_empty(&t->link)) { /* else it is completed */
        list_remove(&t->link);
        n->ttls.count--;
    }
}

/* ---- questions --------------------------------------------------------------------------- */

/* Completions may ask for more: that is for the next turn. */
static void answer_here(struct node *n, uint64_t now_ms)
{
    struct list now;
    struct list *it;
    list_init(&now);
    move_all(&now, &n->ttls.fresh);
    while (!list_empty(&now)) {
        it = now.next;
        uint64_t left = 0;
        bool found = keeper_remaining(n->leases.keeper, of(it)->lease, now_ms, &left);
        complete(n, of(it), RC_OK, found, left);
    }
}

static void ask(struct node *n, uint64_t leader, uint64_t now_ms)
{
    struct list *it;
    n->ttls.asked_of = leader;
    n->ttls.asked_ms = now_ms;
    while ((it = list_pop_front(&n->ttls.fresh)) != NULL) {
        struct message m = {.type = MESSAGE_LEASE_ASK};
        of(it)->token = ++n->ttls.next_token;
        m.lease_ask =
            (struct message_lease_ask){.token = of(it)->token, .lease = of(it)->lease};
        list_push_back(&n->ttls.asked, it);
        node_send(n, leader, &m);
    }
}

static void expire(struct node *n, uint64_t leader, uint64_t now_ms)
{
    struct list *lists[] = {&n->ttls.fresh, &n->ttls.asked};
    struct list late;
    struct list *it;
    struct list *tmp;
    list_init(&late);
    n->ttls.deadline_ms = UINT64_MAX;
    for (size_t i = 0; i < 2; i++) {
        LIST_EACH(it, tmp, lists[i])
        {
            if (of(it)->deadline_ms <= now_ms) {
                list_remove(it);
                list_push_back(&late, it);
            } else if (of(it)->deadline_ms < n->ttls.deadline_ms) {
                n->ttls.deadline_ms = of(it)->deadline_ms;
            }
        }
    }
    while (!list_empty(&late)) {
        complete(n, of(late.next), leader == 0 ? RC_NO_LEADER : RC_TIMEOUT, false, 0);
    }
}

void node_ttl_turn(struct node *n, uint64_t now_ms)
{
    uint64_t leader = n->engine != NULL ? engine_leader(n->engine) : 0;
    if (n->ttls.count == 0) {
        return;
    }
    if (leader != n->ttls.asked_of || now_ms >= n->ttls.asked_ms + ASK_RETRY_MS) {
        move_all(&n->ttls.fresh, &n->ttls.asked);
    }
    if (leader != 0 && leader == n->identity.node_id) {
        if (n->leases.is_running) {
            answer_here(n, now_ms);
        }
    } else if (leader != 0 && !list_empty(&n->ttls.fresh) && peers_is_up(n->peers, leader)) {
        ask(n, leader, now_ms);
    }
    if (now_ms >= n->ttls.deadline_ms) {
        expire(n, leader, now_ms);
    }
}

/* `deadline_ms` outlives the question that it was of: the next turn with one puts it right. */
uint64_t node_ttl_deadline_ms(const struct node *n)
{
    if (n->ttls.count == 0) {
        return UINT64_MAX;
    }
    uint64_t retry_ms =
        list_empty(&n->ttls.asked) ? UINT64_MAX : n->ttls.asked_ms + ASK_RETRY_MS;
    return retry_ms < n->ttls.deadline_ms ? retry_ms : n->ttls.deadline_ms;
}

/* ---- messages ---------------------------------------------------------------------------- */

/* Who does not lead, or not yet, says nothing: it is asked again. */
void node_on_lease_ask(struct node *n, uint64_t from, const struct message_lease_ask *m)
{
    if (!n->leases.is_running) {
        return;
    }
    struct message answer = {.type = MESSAGE_LEASE_TELL};
    answer.lease_tell.token = m->token;
    answer.lease_tell.found = keeper_remaining(
        n->leases.keeper, m->lease, n->env->now_ms(n->env), &answer.lease_tell.remaining_ms);
    node_send(n, from, &answer);
}

void node_on_lease_tell(struct node *n, uint64_t from, const struct message_lease_tell *m)
{
    struct list *it;
    struct list *tmp;
    if (from != n->ttls.asked_of) {
        return;
    }
    LIST_EACH(it, tmp, &n->ttls.asked)
    {
        if (of(it)->token == m->token) {
            complete(n, of(it), RC_OK, m->found, m->remaining_ms);
            return;
        }
    }
}

void node_ttl_peer_lost(struct node *n, uint64_t peer)
{
    if (peer == n->ttls.asked_of) {
        move_all(&n->ttls.fresh, &n->ttls.asked);
    }
}
