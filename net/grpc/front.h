/* The gRPC front end: connects HTTP/2 events (net/http2.h) to calls (net/grpc/call.h). */
#ifndef NET_GRPC_FRONT_H
#define NET_GRPC_FRONT_H

#include "net/front.h"

extern const struct front grpc_front;

#endif
