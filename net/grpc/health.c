/* grpc.health.v1.Health: whether calls to this node make sense. Load balancers and probes ask
 * it.
 *
 * A service is serving as long as the node may answer linearizable reads; all services are
 * alike in that. */
#include "base/slice.h"
#include "grpc/health/v1/health.pb-c.h"
#include "net/grpc/call.h"

/* A watcher learns of a change at most this much later. */
#define HEALTH_CHECK_MS 100

static bool service_is_known(const char *name)
{
    if (name[0] == '\0') {
        return true; /* the server as a whole */
    }
    for (size_t i = 0; grpc_services[i] != NULL; i++) {
        if (strcmp(name, grpc_services[i]->name) == 0) {
            return true;
        }
    }
    return false;
}

static Grpc__Health__V1__HealthCheckResponse__ServingStatus status_now(
    const struct grpc_call *call)
{
    bool is_serving =
        call->connection->stage == GRPC_SERVING && node_is_serving(grpc_call_node(call));
    return is_serving ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                      : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
}

static void check_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Grpc__Health__V1__HealthCheckRequest *request =
        (const Grpc__Health__V1__HealthCheckRequest *)message;
    if (!service_is_known(request->service)) {
        grpc_call_fail(call, GRPC_NOT_FOUND, "unknown service %s", request->service);
        return;
    }
    Grpc__Health__V1__HealthCheckResponse response;
    grpc__health__v1__health_check_response__init(&response);
    response.status = status_now(call);
    grpc_call_reply(call, &response.base);
}

/* call->word holds what the watcher was told last. */
static void watch_tell(struct grpc_call *call,
                       Grpc__Health__V1__HealthCheckResponse__ServingStatus status)
{
    Grpc__Health__V1__HealthCheckResponse response;
    grpc__health__v1__health_check_response__init(&response);
    response.status = status;
    call->word = (uint64_t)status;
    grpc_call_send(call, &response.base);
}

static void watch_woken(struct grpc_call *call)
{
    Grpc__Health__V1__HealthCheckResponse__ServingStatus status = status_now(call);
    /* One that does not read is told the latest state once it does. */
    if ((uint64_t)status != call->word && !grpc_call_is_full(call)) {
        watch_tell(call, status);
    }
    grpc_call_wake_at(call, call->connection->now_ms + HEALTH_CHECK_MS);
}

static void watch_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Grpc__Health__V1__HealthCheckRequest *request =
        (const Grpc__Health__V1__HealthCheckRequest *)message;
    if (!service_is_known(request->service)) {
        /* The specification: it may appear later, so the stream stays open. Ours do not. */
        watch_tell(call,
                   GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN);
        return;
    }
    watch_tell(call, status_now(call));
    grpc_call_wake_at(call, call->connection->now_ms + HEALTH_CHECK_MS);
}

static const struct grpc_method methods[] = {
    {.name = "Check",
     .audit = AUDIT_NEVER,
     .needs = GRPC_NEEDS_NOBODY,
     .state = GRPC_STATE_ANY,
     .request = &grpc__health__v1__health_check_request__descriptor,
     .message = check_call},
    {.name = "Watch",
     .audit = AUDIT_NEVER,
     .needs = GRPC_NEEDS_NOBODY,
     .state = GRPC_STATE_ANY,
     .request = &grpc__health__v1__health_check_request__descriptor,
     .is_long = true,
     .message = watch_call,
     .woken = watch_woken},
};

const struct grpc_service grpc_health_service = {
    .name = "grpc.health.v1.Health",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
