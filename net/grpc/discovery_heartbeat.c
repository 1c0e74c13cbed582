/* coord.v1.Discovery/Heartbeat, and what is known of instances besides the log
 * (net/checks/vitals.h) as messages. */
#include "base/mem.h"
#include "net/checks/vitals.h"
#include "net/grpc/answer.h"
#include "net/grpc/discovery.h"
#include "store/access.h"
#include "store/acl.h"
#include "store/store.h"

/* ---- messages ----------------------------------------------------------------------------- */

static struct service_load load_of(const Coord__V1__ServiceLoad *from)
{
    return (struct service_load){.cpu = from->cpu,
                                 .mem = from->mem,
                                 .qps = from->qps,
                                 .avg_latency_ms = from->avg_latency_ms,
                                 .queue_length = from->queue_length};
}

static Coord__V1__ServiceLoad *load_message(struct grpc_call *call,
                                            const struct service_load *load)
{
    Coord__V1__ServiceLoad *m = grpc_call_scratch(call, sizeof *m);
    coord__v1__service_load__init(m);
    m->cpu = load->cpu;
    m->mem = load->mem;
    m->qps = load->qps;
    m->avg_latency_ms = load->avg_latency_ms;
    m->queue_length = load->queue_length;
    return m;
}

Coord__V1__ServiceVitals *discovery_vitals(struct grpc_call *call, struct slice path,
                                           uint64_t revision)
{
    struct vital_view view;
    if (!vitals_find(call->connection->env->vitals, path, revision, &view)) {
        return NULL;
    }
    Coord__V1__ServiceVitals *m = grpc_call_scratch(call, sizeof *m);
    coord__v1__service_vitals__init(m);
    m->load = view.has_load ? load_message(call, &view.load) : NULL;
    m->load_age_ms = view.load_age_ms;
    m->silence_ms = view.silence_ms;
    m->phi = view.phi;
    return m;
}

/* ---- Heartbeat ---------------------------------------------------------------------------- */

struct heartbeat {
    uint64_t revision; /* 0: whichever is there */
    bool has_load;
    struct service_load load;
};

void heartbeat_ended(struct grpc_call *call)
{
    mem_free(call->data);
    call->data = NULL;
}

/* The instance as it is here now; its revision, or 0: the call is refused. */
static uint64_t look(struct grpc_call *call, uint64_t revision, uint8_t *health)
{
    const struct store *store = node_store(grpc_call_node(call));
    struct arena *scratch = &call->connection->shared->scratch;
    struct slice path = buf_slice(&call->path);
    struct query_result result;
    struct service_instance in;
    struct access access;
    struct buf super = {0};
    access_begin(&access, store, grpc_call_identities(call));
    if (!access_nearest(&access, ACL_WRITE, path)) {
        answer_refuse(call, path, OUTCOME_NO_AUTH, store_revision(store));
        return 0;
    }
    identity_encode(&super, slice_str("super"), slice_make(NULL, 0)); /* who writes need not read */
    const struct query query = {.type = QUERY_GET,
                                .space = SPACE_NODES,
                                .path = path,
                                .identities = buf_slice(&super)};
    store_query(store, &query, &result, scratch);
    enum outcome outcome = result.outcome;
    uint64_t found = result.stat.create_revision;
    if (outcome == OUTCOME_OK && revision != 0 && revision != found) {
        outcome = OUTCOME_NO_NODE;
    }
    if (outcome == OUTCOME_OK && !instance_decode(result.data, &in, scratch)) {
        outcome = OUTCOME_NO_RECIPE;
    }
    buf_close(&super);
    if (outcome != OUTCOME_OK) {
        answer_refuse(call, path, outcome, store_revision(store));
        return 0;
    }
    *health = in.health;
    return found;
}

static void heartbeat_ready(struct grpc_call *call, const struct query_result *result)
{
    const struct heartbeat *h = call->data;
    struct vitals *vitals = call->connection->env->vitals;
    struct slice path = buf_slice(&call->path);
    uint8_t health = HEALTH_PASSING;
    (void)result; /* a barrier has none */
    uint64_t revision = look(call, h->revision, &health);
    if (revision == 0) {
        return;
    }
    if (vitals == NULL) {
        grpc_call_fail(call, GRPC_UNIMPLEMENTED, "this member takes no heartbeats");
        return;
    }
    enum status rc = vitals_beat(vitals, path, revision, h->has_load ? &h->load : NULL);
    if (rc != RC_OK) {
        grpc_call_fail_status(call, rc, false);
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__DiscoveryHeartbeatReply message;
    coord__v1__discovery_heartbeat_reply__init(&message);
    message.header = &header;
    message.health = (Coord__V1__ServiceHealth)health; /* the same numbers */
    message.vitals = discovery_vitals(call, path, revision);
    grpc_call_reply(call, &message.base);
}

void heartbeat_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__DiscoveryHeartbeatRequest *request =
        (const Coord__V1__DiscoveryHeartbeatRequest *)message;
    struct heartbeat h = {.revision = request->revision};
    struct errmsg err;
    if (!answer_read_prepare(call, request->header) ||
        !discovery_take_path(call, request->service, request->id)) {
        return;
    }
    if (request->load != NULL) {
        h.has_load = true;
        h.load = load_of(request->load);
        if (service_load_check(&h.load, &err) != RC_OK) {
            answer_refuse_early(call, OUTCOME_BAD_ARGUMENTS, &err);
            return;
        }
    }
    struct heartbeat *kept = mem_alloc(sizeof *kept);
    *kept = h;
    call->data = kept;
    call->read.is_barrier = true;
    call->read.query.path = buf_slice(&call->path);
    grpc_call_read(call, heartbeat_ready);
}
