/* From words to values. What is wrong with a word is said so that it can follow the word itself:
 * "'x' is not a number". */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/coordd/config_internal.h"
#include "net/identity.h"

static bool parse_port(const char *text, uint16_t *out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0') {
        return false;
    }
    unsigned long port = strtoul(text, NULL, 10);
    *out = (uint16_t)port;
    return port >= 1 && port <= UINT16_MAX;
}

const char *config_parse_address(const char *text, char *host, size_t host_bytes,
                                 uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || strchr(colon, ']') != NULL) {
        return "is not HOST:PORT: the port is missing";
    }
    if (!parse_port(colon + 1, port)) {
        return "is not HOST:PORT: the port must be 1 to 65535";
    }
    const char *begin = text;
    size_t length = (size_t)(colon - text);
    if (length >= 2 && text[0] == '[' && colon[-1] == ']') {
        begin++;
        length -= 2;
    } else if (memchr(text, ':', length) != NULL) {
        return "is not HOST:PORT: an IPv6 address goes in brackets, as in [::1]:7400";
    }
    if (length == 0) {
        return "is not HOST:PORT: the host is missing (0.0.0.0 or [::] means all)";
    }
    if (length >= host_bytes) {
        return "is not HOST:PORT: the host is too long";
    }
    for (size_t i = 0; i < length; i++) {
        if (!isgraph((unsigned char)begin[i]) || strchr("/,=[]", begin[i]) != NULL) {
            return "is not HOST:PORT: that is no host";
        }
    }
    memcpy(host, begin, length);
    host[length] = '\0';
    return NULL;
}

const char *config_parse_name(const char *text, char *out)
{
    size_t length = strlen(text);
    if (length == 0 || length >= NODE_NAME_BYTES_MAX) {
        return "is not a name of 1 to 63 characters";
    }
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)text[i]) && strchr("-_.", text[i]) == NULL) {
            return "is not a name: letters, digits, '-', '_' and '.' only";
        }
    }
    memcpy(out, text, length + 1);
    return NULL;
}

bool config_parse_number(const char *text, uint64_t *out)
{
    char *end;
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    unsigned shift = 0;
    if (*end != '\0') {
        const char *units = "kmg";
        const char *unit = strchr(units, tolower((unsigned char)*end));
        if (unit == NULL || end[1] != '\0') {
            return false;
        }
        shift = 10 * (unsigned)(unit - units + 1);
    }
    *out = (uint64_t)value << shift;
    return errno == 0 && *out >> shift == value;
}

const char *config_parse_switch(const char *text, bool *out)
{
    static const char *const words[] = {"false", "true", "0", "1", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i % 2 == 1;
            return NULL;
        }
    }
    return "is neither true nor false";
}

const char *config_parse_reads(const char *text, bool *linearizable)
{
    *linearizable = strcmp(text, "linearizable") == 0;
    return *linearizable || strcmp(text, "session") == 0
               ? NULL
               : "is neither session nor linearizable";
}

const char *config_parse_time(const char *text, uint64_t *out_ms)
{
    static const struct {
        char unit;
        uint64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    char *end;
    errno = 0;
    unsigned long long value = isdigit((unsigned char)text[0]) ? strtoull(text, &end, 10) : 0;
    if (value > 0 && errno == 0 && value <= 3650 * UINT64_C(86400)) {
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            bool is_it = end[0] == units[i].unit && end[1] == '\0';
            if (is_it && value * units[i].ms <= 3650 * UINT64_C(86400000)) {
                *out_ms = value * units[i].ms;
                return NULL;
            }
        }
    }
    return "is not a time from 1s to 3650d, such as 60s, 15m, 1h or 7d";
}

const char *config_parse_client_auth(const char *text, enum tls_verify *out)
{
    static const char *const words[] = {[TLS_VERIFY_NONE] = "none",
                                        [TLS_VERIFY_OPTIONAL] = "optional",
                                        [TLS_VERIFY_REQUIRED] = "required"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = (enum tls_verify)i;
            return NULL;
        }
    }
    return "is not none, optional or required";
}

const char *config_parse_plaintext(const char *text, enum server_plain *out)
{
    static const char *const words[] = {[SERVER_PLAIN_NONE] = "none",
                                        [SERVER_PLAIN_LOOPBACK] = "loopback",
                                        [SERVER_PLAIN_ALL] = "all"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = (enum server_plain)i;
            return NULL;
        }
    }
    return "is not none, loopback or all";
}

const char *config_parse_audit(const char *text, enum audit_level *out)
{
    static const char *const words[] = {[AUDIT_OFF] = "off",
                                        [AUDIT_DENIALS] = "denials",
                                        [AUDIT_WRITES] = "writes",
                                        [AUDIT_ALL] = "all"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = (enum audit_level)i;
            return NULL;
        }
    }
    return "is not off, denials, writes or all";
}

const char *config_parse_digest(const char *text, char *out, size_t out_bytes)
{
    if (!identity_digest_is_valid(slice_str(text))) {
        return "is not NAME:HASH, with exactly one colon";
    }
    if (strlen(text) >= out_bytes) {
        return "is too long";
    }
    memcpy(out, text, strlen(text) + 1);
    return NULL;
}
