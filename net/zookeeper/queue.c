/* Requests of one connection, in order (connection.h says which order).
 *
 *   WAITING --may begin--> WRITING, SYNCING --completed--> DONE, SYNCED --foremost--> answered
 *   LOCAL --foremost--> answered
 *
 * Writes begin at once unless something between them and the reads before them could let such a
 * read see them: a barrier that is under way, or so many reads that answering all of them in one
 * completion would take too much memory. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "net/memory.h"
#include "net/zookeeper/connection.h"

#define POOL_MAX         4096
#define POOL_KEEPS_BYTES ((size_t)4096)

/* ---- tasks -------------------------------------------------------------------------------- */

static struct zk_task *task_of(struct list *link)
{
    return LIST_OF(link, struct zk_task, link);
}

static struct zk_task *task_new(struct zk_connection *c, const struct zk_request *request,
                                size_t bytes)
{
    struct list *node = list_pop_front(&c->shared->pool);
    struct zk_task *task;
    if (node != NULL) {
        task = task_of(node);
        c->shared->pool_count--;
    } else {
        task = mem_zalloc(sizeof *task);
        list_init(&task->link);
    }
    task->connection = c;
    task->state = ZK_TASK_WAITING;
    task->closes = false;
    task->is_counted = false;
    task->xid = request->xid;
    task->type = request->type;
    task->bytes = (uint32_t)bytes;
    task->bad_op = UINT32_MAX;
    task->began_ms = zk_now_ms(c);
    list_push_back(&c->tasks, &task->link);
    c->task_count++;
    c->task_bytes += bytes;
    memory_note(c->env->memory, MEMORY_REQUESTS, c->task_bytes);
    c->shared->outstanding++;
    return task;
}

static void buf_shrink(struct buf *b)
{
    if (b->capacity > POOL_KEEPS_BYTES) {
        buf_close(b);
    } else {
        buf_clear(b);
    }
}

static void task_destroy(struct zk_task *task)
{
    buf_close(&task->packet);
    buf_close(&task->reply);
    buf_close(&task->facts);
    mem_free(task);
}

static void task_free(struct zk_connection *c, struct zk_task *task)
{
    list_remove(&task->link);
    c->task_count--;
    c->task_bytes -= task->bytes;
    memory_note(c->env->memory, MEMORY_REQUESTS, c->task_bytes);
    c->shared->outstanding--;
    buf_shrink(&task->packet);
    buf_shrink(&task->reply);
    buf_shrink(&task->facts);
    if (c->shared->pool_count >= POOL_MAX) {
        task_destroy(task);
        return;
    }
    list_push_back(&c->shared->pool, &task->link);
    c->shared->pool_count++;
}

void zk_pool_free(struct list *pool)
{
    struct list *node;
    while ((node = list_pop_front(pool)) != NULL) {
        task_destroy(task_of(node));
    }
}

void zk_queue_cancel(struct zk_connection *c)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &c->tasks)
    {
        struct zk_task *task = task_of(it);
        if (task->state == ZK_TASK_WRITING) {
            zk_audit_lost(task, RC_CLOSED);
            node_write_cancel(zk_node(c), &task->write);
        } else if (task->state == ZK_TASK_SYNCING) {
            node_read_cancel(zk_node(c), &task->read);
        }
        task_free(c, task);
    }
    login_cancel(&c->login);
    c->proving = NULL;
    c->waiting = NULL;
    c->locals = 0;
    c->syncing = 0;
    c->writing = 0;
    c->retry_ms = 0;
}

/* ---- answering ---------------------------------------------------------------------------- */

/* The scratch arena holds what the request consists of until the next is decoded. */
static bool decode(struct zk_connection *c, struct slice packet, struct zk_request *request,
                   enum zk_error *error)
{
    arena_clear(&c->shared->scratch);
    return zk_request_decode(packet, request, error, &c->shared->scratch) == RC_OK;
}

/* What is wrong with a packet is answered in its turn, as a read would be. To finish is the last
 * thing: that frees the tasks, and with them the packet that the request points into. */
static void answer_local(struct zk_connection *c, const struct zk_request *request,
                         enum zk_error error)
{
    if (error == ZK_OK) {
        zk_read(c, request);
        zk_audit_read(c, request);
        if (request->type == ZK_SASL) {
            zk_finish(c, "it wants to prove itself in a way that is not offered");
        }
        return;
    }
    zk_answer(c, request->xid, error);
    if (error == ZK_UNIMPLEMENTED) {
        zk_finish(c, "an operation that clients do not have");
    }
}

static void answer_task(struct zk_connection *c, struct zk_task *task)
{
    struct zk_request request;
    enum zk_error error;
    bool fine = decode(c, buf_slice(&task->packet), &request, &error);
    POST(fine); /* it was, when it came */
    if (request.type == ZK_SYNC && error == ZK_OK) {
        size_t begin = zk_answer_begin(c, task->xid, ZK_OK);
        if (request.path.data == NULL) {
            jute_put_null(&c->out);
        } else {
            jute_put_buffer(&c->out, request.path);
        }
        zk_answer_end(c, begin);
        return;
    }
    answer_local(c, &request, error);
}

/* A reply that waited for those before it must not go behind them with a lower zxid. */
static void answer_done(struct zk_connection *c, const struct zk_task *task)
{
    size_t begin = c->out.size;
    zk_out_begin(c);
    buf_append_slice(&c->out, buf_slice(&task->reply));
    c->zxid_sent = zk_reply_raise_zxid(&c->out, begin, c->zxid_sent);
    zk_out_end(c);
}

/* Whether the node's state may be shown now: this node is not cut off, and there is room and time.
 * Before writes that are on their way there is no choice: later it would show their effects. */
static bool may_show(struct zk_connection *c)
{
    if (c->writing > 0) {
        return true;
    }
    if (!node_is_serving(zk_node(c))) {
        return false;
    }
    c->is_cut = c->out.size > ZK_OUT_BYTES_MAX || zk_share_is_used(c);
    return !c->is_cut;
}

/* Answers the foremost task if it can be. */
static bool answer_first(struct zk_connection *c, struct zk_task *task)
{
    bool shows = task->state == ZK_TASK_LOCAL || task->state == ZK_TASK_SYNCED;
    if (!(task->state == ZK_TASK_DONE || (shows && may_show(c)))) {
        return false;
    }
    if (!memory_admits(c->env->memory)) {
        return false; /* and about to be closed */
    }
    if (!MUTANT_IS(MUTANT_ZK_EVENT_LATE)) {
        zk_watches_flush(c);
    }
    if (c->stage != ZK_STAGE_SERVING) {
        return false;
    }
    if (task->state == ZK_TASK_DONE) {
        answer_done(c, task);
    } else {
        answer_task(c, task);
    }
    return true;
}

static void answer_ready(struct zk_connection *c)
{
    while (c->stage == ZK_STAGE_SERVING && !list_empty(&c->tasks)) {
        struct zk_task *task = task_of(c->tasks.next);
        if (!answer_first(c, task)) {
            return;
        }
        if (c->stage != ZK_STAGE_SERVING) {
            return; /* the tasks are gone */
        }
        zk_latency_note(c, zk_is_write(task->type), zk_now_ms(c) - task->began_ms);
        c->locals -= task->is_counted;
        c->syncing -= task->state == ZK_TASK_SYNCED;
        bool closes = task->closes;
        task_free(c, task);
        if (closes) {
            zk_finish(c, "the client was given its last reply");
        }
    }
}

/* ---- completions -------------------------------------------------------------------------- */

/* Nothing behind this write is applied yet: what waited for it is answered from this very state. */
void zk_task_done(struct zk_task *task)
{
    struct zk_connection *c = task->connection;
    PRE(task->state == ZK_TASK_DONE);
    c->env->sink.wake(c->env->sink.conn);
    zk_share_begin(c);
    if (c->tasks.next == &task->link && !MUTANT_IS(MUTANT_ZK_READ_LATE)) {
        answer_ready(c);
    }
}

static void synced(struct node_read *read, enum status rc, const struct query_result *result)
{
    struct zk_task *task = read->owner;
    struct zk_connection *c = task->connection;
    (void)result;
    task->state = ZK_TASK_SYNCED;
    c->env->sink.wake(c->env->sink.conn);
    if (rc != RC_OK) {
        zk_finish(c, status_text(rc));
    }
}

/* ---- beginning ---------------------------------------------------------------------------- */

/* A point in the log's order that lies behind everything committed when the request came. */
static enum status begin_sync(struct zk_connection *c, struct zk_task *task)
{
    task->read = (struct node_read){
        .done = synced,
        .owner = task,
        .consistency = MUTANT_IS(MUTANT_ZK_SYNC_LOCAL) ? READ_LOCAL : READ_LINEARIZABLE,
        .is_barrier = true,
        .touch = c->session};
    enum status rc = node_read(zk_node(c), &task->read, zk_now_ms(c) + ZK_WRITE_MS);
    if (rc == RC_OK) {
        task->state = ZK_TASK_SYNCING;
        c->syncing++;
    }
    return rc;
}

/* RC_OVERLOADED: later. Any other failure has ended the connection. */
static enum status begin(struct zk_connection *c, struct zk_task *task,
                         const struct zk_request *request)
{
    bool writes = zk_is_write(request->type);
    enum status rc = writes ? zk_write(c, task, request) : begin_sync(c, task);
    if (rc == RC_OK && task->state == ZK_TASK_WRITING) {
        c->writing++;
    } else if (rc == RC_OVERLOADED) {
        c->retry_ms = zk_now_ms(c) + ZK_RETRY_MS;
    } else if (rc != RC_OK) {
        zk_finish(c, status_text(rc));
    }
    return rc;
}

/* Whether a task may begin before those that wait in front of it are answered. On a node that is
 * cut off a write waits for the reads before it: they would have to be answered now. */
static bool may_begin(const struct zk_connection *c, int32_t type)
{
    return !zk_is_write(type) ||
           (c->syncing == 0 && c->locals <= ZK_READS_OVERTAKEN_MAX &&
            (c->locals == 0 || node_is_serving(zk_node(c))));
}

/* The next that waits behind `task`; the reads between them are passed over. */
static void waiting_move(struct zk_connection *c, struct zk_task *task)
{
    struct list *it = task->link.next;
    for (; it != &c->tasks && task_of(it)->state != ZK_TASK_WAITING; it = it->next) {
        if (task_of(it)->state == ZK_TASK_LOCAL) {
            task_of(it)->is_counted = true;
            c->locals++;
        }
    }
    c->waiting = it == &c->tasks ? NULL : task_of(it);
}

static void begin_waiting(struct zk_connection *c)
{
    while (c->waiting != NULL && may_begin(c, c->waiting->type)) {
        struct zk_task *task = c->waiting;
        struct zk_request request;
        enum zk_error error;
        bool fine = decode(c, buf_slice(&task->packet), &request, &error);
        POST(fine && error == ZK_OK); /* it was, when it came */
        if (begin(c, task, &request) != RC_OK) {
            return;
        }
        waiting_move(c, task);
    }
}

void zk_queue_turn(struct zk_connection *c)
{
    bool shows = c->stage == ZK_STAGE_SERVING;
    if (shows && c->retry_ms != 0 && zk_now_ms(c) < c->retry_ms) {
        answer_ready(c);
        return;
    }
    c->retry_ms = 0;
    while (c->stage == ZK_STAGE_SERVING) {
        struct zk_task *before = c->waiting;
        size_t count = c->task_count;
        answer_ready(c);
        if (c->stage == ZK_STAGE_SERVING && c->retry_ms == 0) {
            begin_waiting(c);
        }
        if (c->waiting == before && c->task_count == count) {
            break;
        }
    }
    if (c->stage == ZK_STAGE_SERVING && !list_empty(&c->tasks) &&
        !node_is_serving(zk_node(c))) {
        c->retry_ms = zk_now_ms(c) + ZK_RETRY_MS;
    }
}

/* ---- requests ----------------------------------------------------------------------------- */

static bool is_local(const struct zk_connection *c, const struct zk_request *r)
{
    if (zk_is_write(r->type) || r->type == ZK_SYNC) {
        return false;
    }
    return !(c->shared->settings->linearizable_reads && zk_reads_tree(r->type));
}

/* Who the client is holds for what comes behind this packet, although its reply waits its turn.
 * That carries no zxid. */
static void take_auth(struct zk_connection *c, const struct zk_request *r, size_t bytes)
{
    c->proving = task_new(c, r, bytes);
    c->proving->state = ZK_TASK_PROVING;
    zk_audit_claim(c, c->proving, r);
    enum zk_proof proof = zk_identities_add(c, r->scheme, r->data);
    if (proof != ZK_PROVING) {
        zk_proved(c, proof);
    }
}

/* Clients take -115 for the end of their session and do not come back: it is only for what was
 * found to be wrong. Whose connection is closed comes back, here or to another member. */
void zk_proved(struct zk_connection *c, enum zk_proof proof)
{
    struct zk_task *task = c->proving;
    bool known = proof == ZK_PROVED;
    zk_audit_proved(task, proof);
    if (proof == ZK_LATER) {
        zk_finish(c, "too many passwords are being looked at, or were wrong");
        return;
    }
    if (known && !zk_user_connect(c)) {
        return;
    }
    size_t begin = zk_reply_begin(&task->reply, task->xid, 0, known ? ZK_OK : ZK_AUTH_FAILED);
    zk_reply_end(&task->reply, begin);
    task->state = ZK_TASK_DONE;
    task->closes = !known;
    c->is_refused = !known;
    c->proving = NULL;
    c->shared->auth_failed += !known;
    c->env->sink.wake(c->env->sink.conn); /* what was left over is read */
    answer_ready(c);
}

static void queue(struct zk_connection *c, const struct zk_request *r, struct slice packet,
                  bool local)
{
    struct zk_task *task = task_new(c, r, packet.size);
    if (local) {
        task->state = ZK_TASK_LOCAL;
        task->is_counted = c->waiting == NULL;
        c->locals += task->is_counted;
        buf_append_slice(&task->packet, packet);
        return;
    }
    if (!zk_is_write(r->type)) {
        buf_append_slice(&task->packet, packet);
    }
    if (c->waiting == NULL && c->retry_ms == 0 && may_begin(c, r->type)) {
        enum status rc = begin(c, task, r);
        if (rc != RC_OVERLOADED) {
            return;
        }
    }
    if (task->packet.size == 0) {
        buf_append_slice(&task->packet, packet);
    }
    c->waiting = c->waiting == NULL ? task : c->waiting;
}

void zk_request(struct zk_connection *c, struct slice packet)
{
    struct zk_request r;
    enum zk_error error;
    if (!decode(c, packet, &r, &error)) {
        zk_finish(c, "a packet without a header");
        return;
    }
    c->last_xid = r.xid;
    c->last_type = r.type;
    if (!MUTANT_IS(MUTANT_ZK_NO_TOUCH)) {
        node_touch(zk_node(c), c->session);
    }
    if (r.type == ZK_AUTH && error != ZK_OK) {
        zk_finish(c, "an auth packet that is none");
        return;
    }
    if (r.type == ZK_AUTH) {
        take_auth(c, &r, packet.size);
        return;
    }
    bool is_counted = c->hold.is_connection || !store_auth(zk_store(c))->is_enabled;
    if (!is_counted && !zk_user_connect(c)) { /* nobody yet, or the one of the certificate */
        return;
    }
    bool local = error != ZK_OK || is_local(c, &r);
    bool serves =
        node_is_serving(zk_node(c)) || (MUTANT_IS(MUTANT_ZK_PING_ALONE) && r.type == ZK_PING);
    if (local && (list_empty(&c->tasks) || MUTANT_IS(MUTANT_ZK_READ_EARLY)) && serves) {
        zk_watches_flush(c);
        if (c->stage == ZK_STAGE_SERVING && memory_admits(c->env->memory)) {
            answer_local(c, &r, error);
            zk_latency_note(c, false, 0);
        }
        return;
    }
    queue(c, &r, packet, local);
    if (c->stage == ZK_STAGE_SERVING) {
        answer_ready(c); /* what could not be proposed is answered at once */
    }
}
