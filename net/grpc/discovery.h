/* coord.v1.Discovery: what its files share. */
#ifndef NET_GRPC_DISCOVERY_H
#define NET_GRPC_DISCOVERY_H

#include "coord/v1/discovery.pb-c.h"
#include "net/checks/load.h"
#include "net/grpc/call.h"
#include "recipes/instance.h"

/* discovery.c: an instance as a message, as one node says. Strings are gone when the handler or
 * completion returns, arrays too. False: the node is no instance, and nothing is filled in. */
bool discovery_fill(struct grpc_call *call, struct slice path, struct slice data,
                    const struct node_stat *stat, Coord__V1__ServiceInstance *out,
                    struct service_instance *in);

/* What is known of an instance as a message, which is gone when the handler or completion returns;
 * NULL if nothing is. */
Coord__V1__ServiceVitals *discovery_vitals(struct grpc_call *call, struct slice path,
                                           uint64_t revision);

/* What is asked for, checked. */
struct discovery_filter {
    struct buf words; /* zone, then tags, a zero behind each */
    size_t tag_count;
    uint32_t healths; /* a bit for each; 0: whichever */
};
/* False: the call is refused. */
bool discovery_filter_take(struct grpc_call *call, const Coord__V1__ServiceFilter *from,
                           struct discovery_filter *to);
bool discovery_filter_passes(const struct discovery_filter *f,
                             const struct service_instance *in);

/* The service of a request, checked, as a path in call->path. False: the call is refused. */
bool discovery_take_service(struct grpc_call *call, const char *service);

/* discovery_heartbeat.c */
void heartbeat_call(struct grpc_call *call, const ProtobufCMessage *message);
void heartbeat_ended(struct grpc_call *call);

/* Service and id of a request, checked, as a path in call->path. False: the call is refused. */
bool discovery_take_path(struct grpc_call *call, const char *service, const char *id);

/* discovery_subscribe.c */
void subscribe_call(struct grpc_call *call, const ProtobufCMessage *message);
void subscribe_drained(struct grpc_call *call);
void subscribe_woken(struct grpc_call *call);
void subscribe_ended(struct grpc_call *call);

#endif
