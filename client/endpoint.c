#include "client/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool port_is_valid(const char *port)
{
    char *end;
    long n = strtol(port, &end, 10);
    return end != port && *end == '\0' && n > 0 && n < 65536 && strlen(port) < 8;
}

static bool parse_one(const char *text, size_t size, struct endpoint *e)
{
    char copy[300];
    if (size == 0 || size >= sizeof copy) {
        return false;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    char *host = copy;
    char *rest = copy;
    if (copy[0] == '[') {
        char *close = strchr(copy, ']');
        if (close == NULL) {
            return false;
        }
        host = copy + 1;
        *close = '\0';
        rest = close + 1;
        if (*rest != '\0' && *rest != ':') {
            return false;
        }
    }
    char *colon = strchr(rest, ':');
    const char *port = ENDPOINT_PORT;
    if (colon != NULL) {
        *colon = '\0';
        port = colon + 1;
    }
    if (*host == '\0' || strlen(host) >= sizeof e->host || !port_is_valid(port)) {
        return false;
    }
    snprintf(e->host, sizeof e->host, "%s", host);
    snprintf(e->port, sizeof e->port, "%s", port);
    snprintf(e->name, sizeof e->name, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", e->host,
             e->port);
    return true;
}

size_t endpoints_parse(const char *text, struct endpoint *out, char *why, size_t why_bytes)
{
    size_t count = 0;
    while (true) {
        size_t size = strcspn(text, ",");
        if (count == ENDPOINTS_MAX) {
            snprintf(why, why_bytes, "more than %d endpoints", ENDPOINTS_MAX);
            return 0;
        }
        if (!parse_one(text, size, &out[count])) {
            snprintf(why, why_bytes, "endpoint \"%.*s\" is not HOST:PORT", (int)size, text);
            return 0;
        }
        count++;
        if (text[size] == '\0') {
            return count;
        }
        text += size + 1;
    }
}
