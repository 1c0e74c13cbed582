#include "net/grpc/keepalive.h"

#include <inttypes.h>

#include "base/mem.h"
#include "base/mutant.h"
#include "coord/v1/lease.pb-c.h"
#include "lease/table.h"
#include "net/grpc/answer.h"
#include "store/access.h"
#include "store/store.h"

struct keepalive {
    struct list link; /* in order of arrival */
    struct grpc_call *call;
    struct node_read read;
    uint64_t id;
    bool is_done;
    uint8_t rc; /* is_done: enum status */
    uint8_t secret_bytes;
    uint8_t secret[LEASE_SECRET_BYTES];
};

/* What hangs on a call. */
struct keepalives {
    struct list waiting;
    uint32_t count;
    uint8_t kind;   /* enum lease_kind */
    bool has_ended; /* the client sends nothing more */
};

/* By the state that this node has now. */
static enum outcome keepalive_outcome(const struct keepalive *k, const struct lease *lease,
                                      uint8_t kind)
{
    bool is_session = kind == LEASE_SESSION;
    if (lease == NULL || lease->kind != kind) {
        return is_session ? OUTCOME_NO_SESSION : OUTCOME_NO_LEASE;
    }
    if (is_session && !lease_secret_matches(lease, slice_make(k->secret, k->secret_bytes))) {
        return OUTCOME_BAD_SECRET;
    }
    struct access access;
    access_begin(&access, node_store(grpc_call_node(k->call)), grpc_call_identities(k->call));
    if (!access_lease(&access, lease, is_session)) {
        return OUTCOME_NO_AUTH;
    }
    return lease->renewable ? OUTCOME_OK : OUTCOME_NOT_RENEWABLE;
}

static void keepalive_free(struct keepalive *k)
{
    struct keepalives *all = k->call->data;
    list_remove(&k->link);
    all->count--;
    k->call->connection->shared->keepalives--;
    mem_free(k);
}

/* In both services the answers are the same on the wire. */
static void keepalive_answer(struct keepalive *k)
{
    struct grpc_call *call = k->call;
    const struct keepalives *all = call->data;
    const struct lease *lease = store_lease(node_store(grpc_call_node(call)), k->id);
    enum outcome outcome = keepalive_outcome(k, lease, all->kind);
    Coord__V1__ReplyHeader header = answer_header_of_now(call);
    Coord__V1__LeaseKeepAliveReply message;
    coord__v1__lease_keep_alive_reply__init(&message);
    message.header = &header;
    message.id = k->id;
    message.ttl_ms = outcome == OUTCOME_OK ? lease->ttl_ms : 0;
    message.outcome = (Coord__V1__Outcome)outcome;
    grpc_call_send(call, &message.base);
}

/* Ends the call, and so frees it with all the others, at once or when the call closes. */
static void keepalive_fail(struct keepalive *k)
{
    const struct keepalives *all = k->call->data;
    grpc_call_fail(k->call, GRPC_UNAVAILABLE, "%s %016" PRIx64 ": keepalive not confirmed: %s",
                   all->kind == LEASE_SESSION ? "session" : "lease", k->id, status_text(k->rc));
}

/* Answers what is at the front of the queue and done. */
static void keepalives_flush(struct grpc_call *call)
{
    struct keepalives *all = call->data;
    while (all->count > 0) {
        struct keepalive *k = LIST_OF(all->waiting.next, struct keepalive, link);
        if (!k->is_done) {
            break;
        }
        if (k->rc != RC_OK) {
            keepalive_fail(k);
            return;
        }
        keepalive_answer(k);
        keepalive_free(k);
    }
    if (all->has_ended && all->count == 0) {
        grpc_call_finish(call);
    } else if (call->is_held && all->count <= KEEPALIVE_STREAM_MAX / 2) {
        grpc_call_resume(call);
    }
}

static void keepalive_confirmed_cb(struct node_read *r, enum status rc,
                                   const struct query_result *result)
{
    struct keepalive *k = r->owner;
    (void)result; /* a barrier has none */
    k->is_done = true;
    k->rc = (uint8_t)rc;
    if (k->call->state != GRPC_CALL_FINISHED) {
        keepalives_flush(k->call);
    }
}

static struct keepalives *keepalives_of(struct grpc_call *call)
{
    if (call->data == NULL) {
        struct keepalives *all = mem_zalloc(sizeof *all);
        list_init(&all->waiting);
        call->data = all;
    }
    return call->data;
}

/* Begins the round. Nobody keeps a lease alive of which it is known already that it is not his:
 * neither kind nor credentials of an id ever change, and who is not its user does not become it by
 * a keepalive. */
static enum status keepalive_begin(struct keepalive *k, uint8_t kind)
{
    struct grpc_connection *c = k->call->connection;
    struct node *node = c->env->node;
    struct env *env = c->env->env;
    if (c->shared->keepalives > KEEPALIVE_SHARED_MAX) /* this one counted */ {
        return RC_OVERLOADED;
    }
    const struct lease *lease = store_lease(node_store(node), k->id);
    bool is_strange = lease != NULL && keepalive_outcome(k, lease, kind) != OUTCOME_OK;
    k->read = (struct node_read){
        .done = keepalive_confirmed_cb,
        .owner = k,
        .consistency = MUTANT_IS(MUTANT_KEEPALIVE_UNCONFIRMED) ? READ_LOCAL : READ_LINEARIZABLE,
        .is_barrier = true,
        .touch = is_strange ? 0 : k->id,
    };
    if (MUTANT_IS(MUTANT_KEEPALIVE_UNCONFIRMED)) {
        node_touch(node, k->id);
        k->read.touch = 0;
    }
    return node_read(node, &k->read, env->now_ms(env) + KEEPALIVE_TIMEOUT_MS);
}

void keepalive_add(struct grpc_call *call, enum lease_kind kind, uint64_t id,
                   struct slice secret)
{
    struct keepalives *all = keepalives_of(call);
    struct keepalive *k = mem_zalloc(sizeof *k);
    all->kind = (uint8_t)kind;
    k->call = call;
    k->id = id;
    if (secret.size == LEASE_SECRET_BYTES) { /* else it matches nothing */
        memcpy(k->secret, secret.data, secret.size);
        k->secret_bytes = (uint8_t)secret.size;
    }
    list_push_back(&all->waiting, &k->link);
    all->count++;
    call->connection->shared->keepalives++;
    if (all->count >= KEEPALIVE_STREAM_MAX) {
        grpc_call_hold(call);
    }
    enum status rc = keepalive_begin(k, all->kind);
    if (rc != RC_OK) {
        k->is_done = true;
        k->rc = (uint8_t)rc;
        keepalives_flush(call);
    }
}

void keepalive_half_closed(struct grpc_call *call)
{
    keepalives_of(call)->has_ended = true;
    keepalives_flush(call);
}

void keepalive_closed(struct grpc_call *call)
{
    struct keepalives *all = call->data;
    if (all == NULL) {
        return;
    }
    while (!list_empty(&all->waiting)) {
        struct keepalive *k = LIST_OF(all->waiting.next, struct keepalive, link);
        if (!k->is_done) {
            node_read_cancel(grpc_call_node(call), &k->read);
        }
        keepalive_free(k);
    }
    call->data = NULL;
    mem_free(all);
}
