/* "coords://host:port,host:port,..." taken apart. Host names, IPv4, [IPv6]; the port may be left
 * out. */
#ifndef CLIENT_ENDPOINT_H
#define CLIENT_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

#define ENDPOINTS_MAX 64
#define ENDPOINT_PORT "7400"

struct endpoint {
    char name[300]; /* "host:port" as it is shown and sent as :authority */
    char host[256];
    char port[8];
};

enum endpoint_scheme {
    ENDPOINT_NONE,  /* none was said */
    ENDPOINT_PLAIN, /* coord:// */
    ENDPOINT_TLS,   /* coords:// */
};

/* Takes the scheme, which is that of all endpoints, from the front of the text. */
enum endpoint_scheme endpoints_scheme(const char **text);

/* Fills at most ENDPOINTS_MAX; 0 and a reason if the text is not valid. */
size_t endpoints_parse(const char *text, struct endpoint *out, char *why, size_t why_bytes);

#endif
