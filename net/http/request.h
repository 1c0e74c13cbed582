/* The head of an HTTP/1.1 request: bytes to struct, strictly (RFC 9112). No I/O, no allocation,
 * fuzzed.
 *
 * What leaves room for two readings (bare line feeds, folded lines, blanks before a colon, two
 * lengths, a length beside a transfer coding) is refused: a proxy in front may have read the other
 * one. */
#ifndef NET_HTTP_REQUEST_H
#define NET_HTTP_REQUEST_H

#include <stdbool.h>

#include "base/slice.h"

#define HTTP_HEAD_BYTES_MAX ((size_t)8192)
#define HTTP_HEADERS_MAX    100

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_OPTIONS,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_PATCH,
    HTTP_TRACE,
    HTTP_CONNECT,
};

struct http_request {
    enum http_method method;
    struct slice
        path; /* without query, origin and fragment; "*" and CONNECT's target as they are */
    struct slice query; /* behind the `?`, else empty */
    bool is_1_0;
    bool keep_alive; /* as version and Connection say */
    bool expects_continue;
    uint64_t content_bytes; /* of the body that follows */
};

/* Looks for the empty line that ends a head at the front of `bytes`, from offset `seen` on, up to
 * which an earlier call found none. Returns the size of the head with it, 0 if it is not there. */
size_t http_head_bytes(struct slice bytes, size_t seen);

/* Parses one whole head of that size. Returns 0, or the status code to refuse it with: 400, 417,
 * 431, 501, 505. Slices of `out` point into `head`. */
int http_request_parse(struct slice head, struct http_request *out);

/* "Not Found" for 404. Static memory; "" for a code that this server does not send. */
const char *http_reason(int code);

#endif
