#include "net/grpc/route.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

const struct grpc_service *const grpc_services[] = {
    &grpc_tree_service,
    &grpc_lease_service,
    &grpc_lock_service,
    &grpc_discovery_service,
    &grpc_election_service,
    &grpc_barrier_service,
    &grpc_counter_service,
    &grpc_shard_map_service,
    &grpc_session_service,
    &grpc_watch_service,
    &grpc_history_service,
    &grpc_cluster_service,
    &grpc_auth_service,
    &grpc_maintenance_service,
    &grpc_quota_service,
    &grpc_config_service,
    &grpc_health_service,
    &grpc_reflection_service,
    &grpc_reflection_v1alpha_service,
    NULL,
};

struct grpc_routes {
    struct metrics *metrics;
    size_t count;
    struct grpc_route *routes;
    struct grpc_route unknown; /* counts calls of paths that nobody serves */
};

static void route_init(struct grpc_route *route, const struct grpc_service *service,
                       const struct grpc_method *method)
{
    int bytes =
        snprintf(route->path, sizeof route->path, "/%s/%s", service->name, method->name);
    PRE(bytes > 0 && (size_t)bytes < sizeof route->path);
    route->path_bytes = (size_t)bytes;
    route->method = method;
    route->service = service;
}

struct grpc_routes *grpc_routes_new(struct metrics *metrics)
{
    struct grpc_routes *routes = mem_zalloc(sizeof *routes);
    routes->metrics = metrics;
    for (size_t i = 0; grpc_services[i] != NULL; i++) {
        routes->count += grpc_services[i]->method_count;
    }
    routes->routes = mem_zalloc(routes->count * sizeof routes->routes[0]);
    size_t at = 0;
    for (size_t i = 0; grpc_services[i] != NULL; i++) {
        for (size_t k = 0; k < grpc_services[i]->method_count; k++) {
            route_init(&routes->routes[at++], grpc_services[i], &grpc_services[i]->methods[k]);
        }
    }
    (void)snprintf(routes->unknown.path, sizeof routes->unknown.path, "/unknown");
    return routes;
}

void grpc_routes_free(struct grpc_routes *routes)
{
    if (routes != NULL) {
        mem_free(routes->routes);
        mem_free(routes);
    }
}

struct grpc_route *grpc_routes_find(struct grpc_routes *routes, struct slice path)
{
    for (size_t i = 0; i < routes->count; i++) {
        struct grpc_route *route = &routes->routes[i];
        if (slice_equal(path, slice_make(route->path, route->path_bytes))) {
            return route;
        }
    }
    return NULL;
}

/* Both texts are clipped to what errmsg holds; the path was the client's own. */
void grpc_routes_explain(struct slice path, struct errmsg *err)
{
    const uint8_t *slash = path.size > 1 ? memchr(path.data + 1, '/', path.size - 1) : NULL;
    if (path.size == 0 || path.data[0] != '/' || slash == NULL) {
        (void)errmsg_set(err, RC_NOT_FOUND, "malformed method name");
        return;
    }
    struct slice name = slice_make(path.data + 1, (size_t)(slash - path.data) - 1);
    for (size_t i = 0; grpc_services[i] != NULL; i++) {
        if (slice_is(name, grpc_services[i]->name)) {
            (void)errmsg_set(err, RC_NOT_FOUND, "unknown method %.*s for service %s",
                             (int)(path.size - name.size - 2), (const char *)slash + 1,
                             grpc_services[i]->name);
            return;
        }
    }
    (void)errmsg_set(err, RC_NOT_FOUND, "unknown service %.*s", (int)name.size,
                     (const char *)name.data);
}

/* Metrics of a method are there once it was called: few of the methods are, on most members. */
static void route_register(struct grpc_route *route, struct metrics *metrics)
{
    char labels[128];
    route->is_registered = true;
    /* How long a stream stays open says nothing about how fast it is served. */
    if (metrics != NULL && route->method != NULL && !route->method->is_long) {
        (void)snprintf(labels, sizeof labels, "method=\"%s\"", route->path + 1);
        route->latency = metrics_histogram(metrics, "coord_grpc_request_seconds", labels,
                                           "Time from a call's headers to its status.");
    }
}

void grpc_routes_count(struct grpc_routes *routes, struct grpc_route *route,
                       enum grpc_code code, uint64_t took_us)
{
    if (route == NULL) {
        route = &routes->unknown;
    }
    if (!route->is_registered) {
        route_register(route, routes->metrics);
    }
    histogram_observe_us(route->latency, took_us);
    if (route->by_code[code] == NULL && routes->metrics != NULL) {
        char labels[160];
        (void)snprintf(labels, sizeof labels, "method=\"%s\",code=\"%s\"", route->path + 1,
                       grpc_code_name(code));
        route->by_code[code] = metrics_counter(routes->metrics, "coord_grpc_requests_total",
                                               labels, "Finished calls by method and status.");
    }
    metric_add(route->by_code[code], 1);
}
