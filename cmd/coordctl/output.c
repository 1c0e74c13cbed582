/* Messages, exit codes, JSON, and the reading of DATA. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "client/error.h"
#include "cmd/coordctl/ctl.h"
#include "cmd/coordctl/text/yaml.h"

#define PATH_SHOWN_BYTES 200
#define DATA_BYTES_MAX   ((size_t)4 << 20) /* beyond any request: refused while reading */

/* ---- failures --------------------------------------------------------------------------- */

static int exit_code_of(enum coord_code code)
{
    switch (code) {
    case COORD_OK: return EXIT_DONE;
    case COORD_NOT_FOUND:
    case COORD_SESSION_ENDED: return EXIT_NOT_FOUND;
    case COORD_GUARD_STALE:
    case COORD_BAD_VERSION: return EXIT_VERSION;
    case COORD_HELD:
    case COORD_EXISTS: return EXIT_EXISTS;
    case COORD_DEADLOCK: return EXIT_DEADLOCK;
    case COORD_WAIT_TIMEOUT:
    case COORD_TIMEOUT:
    case COORD_UNKNOWN: return EXIT_TIMEOUT;
    case COORD_UNAVAILABLE: return EXIT_UNREACHABLE;
    case COORD_DENIED:
    case COORD_BAD_SECRET: return EXIT_DENIED;
    default: return EXIT_GENERAL;
    }
}

/* Bounds that somebody has set, told apart from those that always are: of a counter the request
 * itself has. */
static bool is_set_bound(const struct ctl *ctl, const char *outcome)
{
    bool counts = ctl->command != NULL && (ctl->command->run == ctl_counter_add ||
                                           ctl->command->run == ctl_counter_ids);
    return strcmp(outcome, "QUOTA") == 0 || strcmp(outcome, "USER_LIMIT") == 0 ||
           (counts && strcmp(outcome, "LIMIT") == 0);
}

/* Servers begin a message with the path that it is about; it is shown before it already. */
static const char *without_path(const char *message, const char *path)
{
    size_t size = strlen(path);
    bool is_about =
        size > 0 && strncmp(message, path, size) == 0 && strncmp(message + size, ": ", 2) == 0;
    return is_about ? message + size + 2 : message;
}

/* Nobody serves, or not us: what the reason points at. */
static const char *connect_step(const char *message)
{
    if (strstr(message, "TLS: the certificate of") != NULL) {
        return "; --cacert says whose certificates count, --server-name which name they carry";
    }
    if (strstr(message, "perhaps it wants TLS") != NULL) {
        return "; coords:// in front of the endpoints, or --cacert, means TLS";
    }
    return "; --endpoints, COORD_ENDPOINTS or a context says where members are";
}

/* What to do about it, where that is not plain; else "". */
static const char *next_step(const struct ctl *ctl, const char *message, const char *code,
                             const char *outcome)
{
    static const struct {
        const char *outcome;
        const char *option; /* the command's that helps */
        const char *step;
    } steps[] = {{"NOT_EMPTY", "recursive", "; --recursive takes them along"},
                 {"NO_PARENT", "parents", "; --parents creates it"}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (strcmp(steps[i].outcome, outcome) == 0 && ctl->command != NULL &&
            strstr(ctl->command->options, steps[i].option) != NULL) {
            return steps[i].step;
        }
    }
    if (strcmp(outcome, "MISMATCH") == 0 && ctl->command != NULL &&
        command_has_noun(ctl->command, "shard")) {
        return "; coordctl shard status says what the map has";
    }
    if (strcmp(code, coord_code_text(COORD_UNAVAILABLE)) == 0) {
        return connect_step(message);
    }
    bool is_known = strstr(message, "not allowed") != NULL || strstr(message, "required") != NULL;
    if (strcmp(code, coord_code_text(COORD_DENIED)) == 0 && is_known) {
        return "; coordctl auth whoami says who asks";
    }
    return "";
}

static void say(const struct ctl *ctl, const char *message, const char *code,
                const char *outcome)
{
    const char *command = ctl->command != NULL ? ctl->command->name : "";
    const char *path = ctl->word_count > 0 ? ctl->words[0] : "";
    path = ctl->subject != NULL ? ctl->subject : path;
    message = without_path(message, path);
    if (ctl->output == OUTPUT_JSON || ctl->output == OUTPUT_JSONL) {
        json_t *o = json_pack("{s:s, s:o, s:o, s:s, s:s}", "command", command, "path",
                              ctl_json_bytes(path, strlen(path)), "error",
                              ctl_json_bytes(message, strlen(message)), "code", code, "outcome",
                              outcome);
        json_dumpf(o, stderr, 0);
        fputc('\n', stderr);
        json_decref(o);
        return;
    }
    fprintf(stderr, "coordctl: %s%s%.*s%s: %s%s\n", command, path[0] != '\0' ? " " : "",
            PATH_SHOWN_BYTES, path, strlen(path) > PATH_SHOWN_BYTES ? "..." : "", message,
            next_step(ctl, message, code, outcome));
}

int ctl_failed(const struct ctl *ctl, const struct coord_error *error)
{
    const char *code = coord_code_text(error->code);
    say(ctl, error->message[0] != '\0' ? error->message : code, code, error->outcome);
    return is_set_bound(ctl, error->outcome) ? EXIT_LIMITED : exit_code_of(error->code);
}

int ctl_outcome_exit(const struct ctl *ctl, Coord__V1__Outcome outcome)
{
    struct coord_error error;
    enum coord_code code = client_fail_outcome(&error, (int)outcome, "");
    return outcome == COORD__V1__OUTCOME__GUARD_REFUSED ? EXIT_VERSION
           : is_set_bound(ctl, error.outcome)           ? EXIT_LIMITED
                                                        : exit_code_of(code);
}

int ctl_general(const struct ctl *ctl, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    say(ctl, message, "failed", "");
    return EXIT_GENERAL;
}

int ctl_usage(const char *format, ...)
{
    va_list args;
    fputs("coordctl: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return EXIT_USAGE;
}

int ctl_signal_exit(int number)
{
    return EXIT_SIGNAL + number;
}

/* ---- calls ------------------------------------------------------------------------------ */

int ctl_call(const struct ctl *ctl, enum client_method method, ProtobufCMessage *request,
             Coord__V1__RequestHeader *header, ProtobufCMessage **reply)
{
    struct coord_error error;
    enum coord_code code = client_call(ctl->client, method, request, header, reply, &error);
    return code == COORD_OK ? EXIT_DONE : ctl_failed(ctl, &error);
}

int ctl_change(const struct ctl *ctl, enum client_method method, ProtobufCMessage *request,
               Coord__V1__RequestHeader *header)
{
    ProtobufCMessage *reply;
    int exit_code = ctl_call(ctl, method, request, header, &reply);
    if (exit_code == EXIT_DONE) {
        client_reply_free(reply);
    }
    return exit_code;
}

int ctl_check(const struct ctl *ctl, enum coord_code code, const struct coord_error *error)
{
    return code == COORD_OK ? EXIT_DONE : ctl_failed(ctl, error);
}

/* ---- DATA ------------------------------------------------------------------------------- */

static int read_all(const struct ctl *ctl, FILE *f, const char *name, struct buf *out)
{
    char bytes[65536];
    size_t got;
    while ((got = fread(bytes, 1, sizeof bytes, f)) > 0) {
        buf_append(out, bytes, got);
        if (out->size > DATA_BYTES_MAX) {
            return ctl_general(ctl, "%s: more than %zu MiB; a value has at most 1 MiB", name,
                               DATA_BYTES_MAX >> 20);
        }
    }
    return ferror(f) == 0 ? EXIT_DONE : ctl_general(ctl, "%s: %s", name, strerror(errno));
}

int ctl_read_data(const struct ctl *ctl, const char *word, struct buf *out)
{
    if (strcmp(word, "-") == 0) {
        return read_all(ctl, stdin, "standard input", out);
    }
    if (word[0] != '@') {
        buf_append_str(out, word);
        return EXIT_DONE;
    }
    FILE *f = fopen(word + 1, "rb");
    if (f == NULL) {
        return ctl_general(ctl, "file %s: %s", word + 1, strerror(errno));
    }
    int exit_code = read_all(ctl, f, word + 1, out);
    fclose(f);
    return exit_code;
}

/* ---- output ----------------------------------------------------------------------------- */

bool ctl_is_json(const struct ctl *ctl)
{
    return ctl->output == OUTPUT_JSON || ctl->output == OUTPUT_JSONL ||
           ctl->output == OUTPUT_YAML || ctl->output == OUTPUT_NAME;
}

bool ctl_is_table(const struct ctl *ctl)
{
    return ctl->output == OUTPUT_TABLE || ctl->output == OUTPUT_WIDE;
}

/* Numbers with a fraction as they were said, not with the last bit of their doubles. */
#define DIGITS JSON_REAL_PRECISION(12)

static void print_line(const json_t *value)
{
    json_dumpf(value, stdout, JSON_ENCODE_ANY | DIGITS);
    putchar('\n');
}

/* What one would call it in another command. */
static void print_name(const json_t *value)
{
    static const char *const keys[] = {"path", "name", "user", "role", "session", "id", "check"};
    const char *name = json_string_value(value);
    for (size_t i = 0; name == NULL && i < sizeof keys / sizeof keys[0]; i++) {
        name = json_string_value(json_object_get(value, keys[i]));
    }
    if (name != NULL) {
        puts(name);
    } else {
        print_line(value);
    }
}

static void print_yaml(const json_t *value)
{
    struct buf text = {0};
    yaml_append(&text, value);
    fwrite(text.data, 1, text.size, stdout);
    buf_close(&text);
}

void ctl_print_json(const struct ctl *ctl, json_t *value)
{
    size_t i;
    json_t *element;
    if (ctl->output == OUTPUT_JSON) {
        json_dumpf(value, stdout, JSON_INDENT(2) | DIGITS);
        putchar('\n');
    } else if (ctl->output == OUTPUT_YAML) {
        print_yaml(value);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, element)
        {
            (ctl->output == OUTPUT_NAME ? print_name : print_line)(element);
        }
    } else {
        (ctl->output == OUTPUT_NAME ? print_name : print_line)(value);
    }
    json_decref(value);
}

int ctl_list_pages(struct ctl *ctl, int (*page)(struct ctl *ctl, char after[CTL_PATH_BYTES],
                                                json_t *array))
{
    char after[CTL_PATH_BYTES] = "";
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    int exit_code;
    do {
        exit_code = page(ctl, after, array);
    } while (exit_code == EXIT_DONE && after[0] != '\0');
    if (array != NULL && exit_code == EXIT_DONE) {
        ctl_print_json(ctl, array);
    } else {
        json_decref(array);
    }
    return exit_code;
}

void ctl_print_one(const struct ctl *ctl, json_t *value)
{
    if (ctl->output == OUTPUT_YAML) {
        puts("---");
        print_yaml(value);
    } else if (ctl->output == OUTPUT_NAME) {
        print_name(value);
    } else {
        print_line(value);
    }
    json_decref(value);
}

/* U+0000-001F and U+007F-009F; `text` is UTF-8. */
static size_t control_bytes(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    bool is_wide = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
    return is_wide ? 2 : p[0] < ' ' || p[0] == 0x7f ? 1 : 0;
}

void ctl_append_plain(struct buf *out, const char *text)
{
    while (*text != '\0') {
        size_t control = control_bytes(text);
        buf_append(out, control > 0 ? " " : text, 1);
        text += control > 0 ? control : 1;
    }
}

void ctl_print_plain(const char *text)
{
    struct buf plain = {0};
    ctl_append_plain(&plain, text);
    if (plain.size > 0) {
        fwrite(plain.data, 1, plain.size, stdout);
    }
    buf_close(&plain);
}

json_t *ctl_json_bytes(const void *data, size_t bytes)
{
    json_t *text = json_stringn(bytes > 0 ? data : "", bytes); /* NULL unless UTF-8 */
    if (text != NULL) {
        return text;
    }
    struct buf encoded = {0};
    base64_encode(&encoded, slice_make(data, bytes));
    json_t *o = json_pack("{s:s#}", "base64", (const char *)encoded.data, (int)encoded.size);
    buf_close(&encoded);
    return o;
}

json_t *ctl_json_hex(uint64_t value)
{
    char text[20];
    snprintf(text, sizeof text, "%016" PRIx64, value);
    return json_string(text);
}

const char *ctl_kind_name(int kind)
{
    static const char *const names[] = {"persistent", "ephemeral", "container",
                                        "ttl",        "recipe",    "map"};
    return kind >= 0 && kind < 6 ? names[kind] : "unknown";
}

json_t *ctl_json_stat(const Coord__V1__Stat *s)
{
    if (s == NULL) {
        return json_null();
    }
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I}", "kind",
        ctl_kind_name((int)s->kind), "version", (json_int_t)s->version, "data_bytes",
        (json_int_t)s->data_bytes, "child_count", (json_int_t)s->child_count, "create_revision",
        (json_int_t)s->create_revision, "modify_revision", (json_int_t)s->modify_revision,
        "children_revision", (json_int_t)s->children_revision, "create_time_ms",
        (json_int_t)s->create_time_ms, "modify_time_ms", (json_int_t)s->modify_time_ms,
        "children_version", (json_int_t)s->children_version, "sequence_next",
        (json_int_t)s->sequence_next, "acl_version", (json_int_t)s->acl_version, "lease",
        ctl_json_hex(s->lease), "ttl_ms", (json_int_t)s->ttl_ms);
}

void ctl_format_time(uint64_t ms, char *text, size_t bytes)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    if (gmtime_r(&seconds, &utc) == NULL ||
        strftime(text, bytes, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        snprintf(text, bytes, "-");
    }
}

char *ctl_text(const char *s)
{
    return (char *)(uintptr_t)s;
}
