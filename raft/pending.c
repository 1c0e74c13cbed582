#include "raft/pending.h"

#include "base/assert.h"
#include "base/mem.h"
#include "store/store.h"

_Static_assert((NODE_WRITES_MAX & (NODE_WRITES_MAX - 1)) == 0, "the ring is indexed by mask");

static struct node_write *of(struct list *link)
{
    return LIST_OF(link, struct node_write, link);
}

static struct node_write **slot(struct pending *p, uint64_t counter)
{
    return &p->ring[counter & (NODE_WRITES_MAX - 1)];
}

void pending_init(struct pending *p)
{
    *p = (struct pending){.oldest_counter = 1, .next_counter = 1, .deadline_ms = UINT64_MAX};
    list_init(&p->queued);
    list_init(&p->sent);
    p->ring = mem_zalloc(NODE_WRITES_MAX * sizeof(struct node_write *));
}

/* Forgets a write and returns its memory to the caller's hands. */
static void detach(struct pending *p, struct node_write *w)
{
    list_remove(&w->link);
    *slot(p, w->counter) = NULL;
    p->count--;
    p->bytes -= w->command.size;
    mem_free((void *)(uintptr_t)w->command.data);
    w->command = (struct slice){0};
    while (p->oldest_counter < p->next_counter && *slot(p, p->oldest_counter) == NULL) {
        p->oldest_counter++;
    }
}

static void finish(struct pending *p, struct node_write *w, enum status rc,
                   const struct reply *reply)
{
    detach(p, w);
    w->done(w, rc, reply);
}

void pending_fail_all(struct pending *p, enum status rc)
{
    while (p->count > 0) {
        struct list *list = list_empty(&p->sent) ? &p->queued : &p->sent;
        struct node_write *w = of(list->next);
        finish(p, w, w->state == PENDING_SENT || w->may_be_sent ? RC_UNKNOWN : rc, NULL);
    }
}

void pending_close(struct pending *p, enum status rc)
{
    pending_fail_all(p, rc);
    mem_free(p->ring);
    buf_close(&p->scratch);
}

enum status pending_add(struct pending *p, struct node_write *w, const struct command *c,
                        uint64_t boot_id, uint64_t deadline_ms)
{
    if (p->next_counter - p->oldest_counter >= NODE_WRITES_MAX ||
        p->bytes >= NODE_WRITES_BYTES_MAX) {
        return RC_OVERLOADED;
    }
    buf_clear(&p->scratch);
    command_encode(&p->scratch, c);
    w->counter = p->next_counter++;
    command_set_origin(p->scratch.data, boot_id, w->counter);
    w->command = slice_make(mem_dup(p->scratch.data, p->scratch.size), p->scratch.size);
    if (p->scratch.capacity > 65536) {
        buf_close(&p->scratch);
    }
    w->repeatable = c->sequence != 0 || request_id_is_set(&c->request);
    w->may_be_sent = false;
    w->state = PENDING_QUEUED;
    w->deadline_ms = deadline_ms;
    p->deadline_ms = deadline_ms < p->deadline_ms ? deadline_ms : p->deadline_ms;
    *slot(p, w->counter) = w;
    p->count++;
    p->bytes += w->command.size;
    list_push_back(&p->queued, &w->link);
    return RC_OK;
}

void pending_cancel(struct pending *p, struct node_write *w)
{
    if (w->command.data != NULL) {
        detach(p, w);
    }
}

uint32_t pending_take(struct pending *p, uint64_t term, size_t bytes_max, struct buf *out)
{
    uint32_t count = 0;
    size_t bytes = 0;
    INVARIANT(13, list_empty(&p->sent) || p->sent_term == term);
    p->sent_term = term;
    while (!list_empty(&p->queued)) {
        struct node_write *w = of(p->queued.next);
        if (count > 0 && bytes + w->command.size > bytes_max) {
            break;
        }
        buf_append_slice(out, w->command);
        bytes += w->command.size;
        count++;
        w->state = PENDING_SENT;
        list_remove(&w->link);
        list_push_back(&p->sent, &w->link);
    }
    return count;
}

/* All that is SENT has lower counters than what is QUEUED, so it goes to the front as it is. */
void pending_resend(struct pending *p)
{
    while (!list_empty(&p->sent)) {
        struct node_write *w = of(p->sent.prev);
        INVARIANT(13, list_empty(&p->queued) || of(p->queued.next)->counter > w->counter);
        list_remove(&w->link);
        list_push_back(p->queued.next, &w->link); /* before the first */
        w->state = PENDING_QUEUED;
        w->may_be_sent = true;
    }
}

void pending_term_applied(struct pending *p, uint64_t term)
{
    if (term <= p->sent_term) {
        return;
    }
    pending_resend(p);
    for (struct list *it = p->queued.next; it != &p->queued && of(it)->may_be_sent;
         it = it->next) {
        of(it)->may_be_sent = false;
    }
    p->sent_term = term;
}

void pending_complete(struct pending *p, uint64_t counter, const struct reply *reply)
{
    if (counter < p->oldest_counter || counter >= p->next_counter) {
        return;
    }
    struct node_write *w = *slot(p, counter);
    if (w != NULL) {
        finish(p, w, RC_OK, reply);
    }
}

void pending_refuse(struct pending *p, uint64_t first_counter, uint32_t count, enum status rc)
{
    uint64_t end =
        first_counter + count < p->next_counter ? first_counter + count : p->next_counter;
    uint64_t counter = first_counter > p->oldest_counter ? first_counter : p->oldest_counter;
    for (; counter < end; counter++) { /* the count is a peer's word: the bounds are ours */
        struct node_write *w = *slot(p, counter);
        if (w != NULL && w->counter == counter && w->state == PENDING_SENT) {
            finish(p, w, rc, NULL);
        }
    }
}

/* Moves the writes of `from` that `choose` names to `to`: completions may cancel any other
 * write, so nothing may walk a live list while they run. */
static void choose_into(struct list *to, struct list *from,
                        bool (*choose)(struct node_write *w, void *context), void *context)
{
    struct list *it;
    struct list *tmp;
    list_init(to);
    LIST_EACH(it, tmp, from)
    {
        if (choose(of(it), context)) {
            list_remove(it);
            list_push_back(to, it);
        }
    }
}

static bool is_from(struct node_write *w, void *context)
{
    return w->counter >= *(const uint64_t *)context;
}

void pending_refuse_from(struct pending *p, uint64_t first_counter, enum status rc)
{
    struct list refused;
    choose_into(&refused, &p->sent, is_from, &first_counter);
    while (!list_empty(&refused)) {
        finish(p, of(refused.next), rc, NULL);
    }
}

enum fate { FATE_REMEMBERED, FATE_NOT_EXECUTED, FATE_UNKNOWN };

static enum fate fate_of(struct store *s, const struct node_write *w, struct reply *reply)
{
    struct arena arena = {0};
    struct command c;
    struct unpack u = unpack_make(w->command);
    enum fate fate = FATE_UNKNOWN;
    if (w->repeatable && command_decode(&u, &c, &arena) == RC_OK) {
        if (store_remembered(s, c.session, c.sequence, &c.request, reply)) {
            fate = FATE_REMEMBERED;
        } else if (!store_is_forgotten(s, c.session, c.sequence, &c.request)) {
            fate = FATE_NOT_EXECUTED;
        }
    }
    arena_close(&arena);
    return fate;
}

static bool may_be_in_the_log(struct node_write *w, void *context)
{
    (void)context;
    return w->may_be_sent;
}

/* Of a write that was sent, the entry may have been among the skipped ones, also when the
 * connection broke since and it waits to be sent again. A remembered reply tells; so does its
 * absence for a repeatable write: then it was not executed. Of any other write nobody can tell,
 * nor of one whose session has ended or has its floor above it, nor of a request id below the
 * floor: sent again it would be refused as too old, as if it had never been executed. */
void pending_state_replaced(struct pending *p, struct store *s, uint64_t term)
{
    struct list open;
    struct list kept;
    pending_resend(p);
    choose_into(&open, &p->queued, may_be_in_the_log, NULL);
    list_init(&kept);
    while (!list_empty(&open)) {
        struct node_write *w = of(open.next);
        struct reply reply;
        enum fate fate = fate_of(s, w, &reply);
        if (fate == FATE_REMEMBERED) {
            finish(p, w, RC_OK, &reply);
        } else if (fate == FATE_UNKNOWN) {
            finish(p, w, RC_UNKNOWN, NULL);
        } else {
            list_remove(&w->link);
            list_push_back(&kept, &w->link);
        }
    }
    while (!list_empty(&kept)) {
        struct list *last = kept.prev;
        list_remove(last);
        list_push_back(p->queued.next, last); /* before the first, as they were */
    }
    pending_term_applied(p, term);
}

static bool was_never_sent(struct node_write *w, void *context)
{
    (void)context;
    return !w->may_be_sent;
}

void pending_refuse_queued(struct pending *p, enum status rc)
{
    struct list refused;
    choose_into(&refused, &p->queued, was_never_sent, NULL);
    while (!list_empty(&refused)) {
        finish(p, of(refused.next), rc, NULL);
    }
}

struct expiry {
    struct pending *pending;
    uint64_t now_ms;
};

static bool is_expired(struct node_write *w, void *context)
{
    struct expiry *x = context;
    if (w->deadline_ms <= x->now_ms) {
        return true;
    }
    if (w->deadline_ms < x->pending->deadline_ms) {
        x->pending->deadline_ms = w->deadline_ms;
    }
    return false;
}

static void expire_list(struct pending *p, struct list *list, uint64_t now_ms)
{
    struct list expired;
    choose_into(&expired, list, is_expired, &(struct expiry){.pending = p, .now_ms = now_ms});
    while (!list_empty(&expired)) {
        struct node_write *w = of(expired.next);
        bool unknown = w->state == PENDING_SENT || w->may_be_sent;
        finish(p, w, unknown ? RC_TIMEOUT : RC_NO_LEADER, NULL);
    }
}

void pending_expire(struct pending *p, uint64_t now_ms)
{
    if (now_ms < p->deadline_ms) {
        return;
    }
    p->deadline_ms = UINT64_MAX;
    expire_list(p, &p->queued, now_ms);
    expire_list(p, &p->sent, now_ms);
}
