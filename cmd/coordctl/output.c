#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/coordctl/ctl.h"
#include "coord/v1/types.pb-c.h"

static int exit_code_of(enum coord_code code)
{
    switch (code) {
    case COORD_OK: return EXIT_DONE;
    case COORD_NOT_FOUND: return EXIT_NOT_FOUND;
    case COORD_BAD_VERSION: return EXIT_VERSION;
    case COORD_EXISTS: return EXIT_EXISTS;
    case COORD_TIMEOUT: return EXIT_TIMEOUT;
    case COORD_UNAVAILABLE: return EXIT_UNREACHABLE;
    default: return EXIT_GENERAL;
    }
}

int ctl_failed(const struct ctl *ctl, const char *what, const struct coord_error *error)
{
    if (ctl->output == OUTPUT_JSON) {
        json_t *o = json_pack("{s:s, s:s, s:s}", "error", error->message, "code",
                              coord_code_text(error->code), "outcome", error->outcome);
        json_dumpf(o, stderr, 0);
        fputc('\n', stderr);
        json_decref(o);
    } else {
        fprintf(stderr, "%s: %s: %s\n", ctl->program, what,
                error->message[0] != '\0' ? error->message : coord_code_text(error->code));
    }
    return exit_code_of(error->code);
}

int ctl_usage(const struct ctl *ctl, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "%s: ", ctl->program);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return EXIT_USAGE;
}

static bool read_file(FILE *f, struct buf *out)
{
    char bytes[65536];
    size_t got;
    while ((got = fread(bytes, 1, sizeof bytes, f)) > 0) {
        buf_append(out, bytes, got);
    }
    return ferror(f) == 0;
}

bool ctl_read_data(const struct ctl *ctl, const char *word, struct buf *out)
{
    if (strcmp(word, "-") == 0) {
        return read_file(stdin, out);
    }
    if (word[0] != '@') {
        buf_append_str(out, word);
        return true;
    }
    FILE *f = fopen(word + 1, "rb");
    bool ok = f != NULL && read_file(f, out);
    if (!ok) {
        fprintf(stderr, "%s: %s: %s\n", ctl->program, word + 1, strerror(errno));
    }
    if (f != NULL) {
        fclose(f);
    }
    return ok;
}

void ctl_print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(value);
}

static char *base64(const uint8_t *data, size_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc((bytes + 2) / 3 * 4 + 1);
    char *at = text;
    if (text == NULL) {
        abort();
    }
    for (size_t i = 0; i < bytes; i += 3) {
        uint32_t v = (uint32_t)data[i] << 16;
        v |= i + 1 < bytes ? (uint32_t)data[i + 1] << 8 : 0;
        v |= i + 2 < bytes ? data[i + 2] : 0;
        *at++ = digits[v >> 18];
        *at++ = digits[(v >> 12) & 63];
        *at++ = i + 1 < bytes ? digits[(v >> 6) & 63] : '=';
        *at++ = i + 2 < bytes ? digits[v & 63] : '=';
    }
    *at = '\0';
    return text;
}

json_t *ctl_json_bytes(const void *data, size_t bytes)
{
    json_t *text = json_stringn(bytes > 0 ? data : "", bytes); /* NULL unless UTF-8 */
    if (text != NULL) {
        return text;
    }
    char *encoded = base64(data, bytes);
    json_t *o = json_pack("{s:s}", "base64", encoded);
    free(encoded);
    return o;
}

const char *ctl_kind_name(int kind)
{
    static const char *const names[] = {"persistent", "ephemeral", "container", "ttl"};
    return kind >= 0 && kind < 4 ? names[kind] : "unknown";
}

json_t *ctl_json_stat(const Coord__V1__Stat *s)
{
    if (s == NULL) {
        return json_null();
    }
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I}",
        "create_revision", (json_int_t)s->create_revision, "modify_revision",
        (json_int_t)s->modify_revision, "children_revision", (json_int_t)s->children_revision,
        "create_time_ms", (json_int_t)s->create_time_ms, "modify_time_ms",
        (json_int_t)s->modify_time_ms, "version", (json_int_t)s->version, "children_version",
        (json_int_t)s->children_version, "acl_version", (json_int_t)s->acl_version, "data_bytes",
        (json_int_t)s->data_bytes, "child_count", (json_int_t)s->child_count, "sequence_next",
        (json_int_t)s->sequence_next, "lease", (json_int_t)s->lease, "kind",
        ctl_kind_name((int)s->kind), "ttl_ms", (json_int_t)s->ttl_ms);
}

void ctl_format_time(uint64_t ms, char *text, size_t bytes)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    if (gmtime_r(&seconds, &utc) == NULL || strftime(text, bytes, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        snprintf(text, bytes, "-");
    }
}

char *ctl_text(const char *s)
{
    return (char *)(uintptr_t)s;
}
