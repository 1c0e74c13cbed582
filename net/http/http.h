/* The HTTP/1.1 front end: health, readiness, version, metrics and status of a node.
 *
 * Keep-alive and pipelining, in order: one request of a connection in a loop turn, and of all
 * together as many as RATION_SPENT_US in RATION_MS allow (net/http/ration.h). Bodies of requests
 * are of no use to any page: short ones are skipped, others refused. A request has HTTP_REQUEST_MS
 * from its first byte to its last. */
#ifndef NET_HTTP_HTTP_H
#define NET_HTTP_HTTP_H

#include "net/front.h"

#define HTTP_REQUEST_MS     10000
#define HTTP_BODY_BYTES_MAX ((uint64_t)64 << 10) /* that is skipped */

extern const struct front http_front;

#endif
