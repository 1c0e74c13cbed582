#include "client/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool port_is_valid(const char *port)
{
    size_t size = strlen(port);
    if (size == 0 || size > 5 || strspn(port, "0123456789") != size) {
        return false;
    }
    long number = strtol(port, NULL, 10);
    return number > 0 && number < 65536;
}

/* Blanks and slashes say that something else than a host name was meant. */
static bool host_is_valid(const char *host, size_t room)
{
    size_t size = strlen(host);
    return size > 0 && size < room && host[strcspn(host, " \t\r\n/@[]")] == '\0';
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
        if (close == NULL || (close[1] != '\0' && close[1] != ':')) {
            return false;
        }
        host = copy + 1;
        *close = '\0';
        rest = close + 1;
    }
    char *colon = strchr(rest, ':');
    const char *port = ENDPOINT_PORT;
    if (colon != NULL) {
        *colon = '\0';
        port = colon + 1;
    }
    if (!host_is_valid(host, sizeof e->host) || !port_is_valid(port)) {
        return false;
    }
    snprintf(e->host, sizeof e->host, "%s", host);
    snprintf(e->port, sizeof e->port, "%s", port);
    snprintf(e->name, sizeof e->name, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", e->host,
             e->port);
    return true;
}

enum endpoint_scheme endpoints_scheme(const char **text)
{
    static const struct {
        const char *text;
        enum endpoint_scheme scheme;
    } schemes[] = {{"coord://", ENDPOINT_PLAIN}, {"coords://", ENDPOINT_TLS}};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t size = strlen(schemes[i].text);
        if (strncmp(*text, schemes[i].text, size) == 0) {
            *text += size;
            return schemes[i].scheme;
        }
    }
    return ENDPOINT_NONE;
}

size_t endpoints_parse(const char *text, struct endpoint *out, char *why, size_t why_bytes)
{
    for (size_t count = 0; count < ENDPOINTS_MAX;) {
        size_t size = strcspn(text, ",");
        if (!parse_one(text, size, &out[count])) {
            bool has_scheme = strstr(text, "://") != NULL;
            snprintf(why, why_bytes, "endpoint \"%.*s\" is not HOST:PORT%s",
                     size < 300 ? (int)size : 300, text,
                     has_scheme ? "; the whole list may begin with coord:// or, for TLS, coords://"
                                : "");
            return 0;
        }
        count++;
        if (text[size] == '\0') {
            return count;
        }
        text += size + 1;
    }
    snprintf(why, why_bytes, "more than %d endpoints", ENDPOINTS_MAX);
    return 0;
}
