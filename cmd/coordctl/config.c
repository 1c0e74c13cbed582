/* config: init, drop, list, get, history, diff, watch. Writes are in config_change.c, schemas in
 * config_schema.c. */
#include "cmd/coordctl/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/coordctl/event.h"
#include "cmd/coordctl/values.h"

/* ---- changes ---------------------------------------------------------------------------- */

/* "created", "set", "deleted". */
static const char *change_name(Coord__V1__EventType type)
{
    switch ((int)type) {
    case COORD__V1__EVENT_TYPE__CREATE_EVENT: return "created";
    case COORD__V1__EVENT_TYPE__SET_EVENT: return "set";
    case COORD__V1__EVENT_TYPE__DELETE_EVENT: return "deleted";
    default: return "unknown";
    }
}

static json_t *bytes_json(const ProtobufCBinaryData *data, bool is_there)
{
    return is_there ? ctl_json_bytes(data->data, data->len) : json_null();
}

static json_t *change_json(const Coord__V1__ConfigChange *c)
{
    bool was = c->type != COORD__V1__EVENT_TYPE__CREATE_EVENT;
    bool is = c->type != COORD__V1__EVENT_TYPE__DELETE_EVENT;
    return json_pack("{s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:s, s:s}", "key", c->path, "type",
                     change_name(c->type), "old", bytes_json(&c->old_value, was), "new",
                     bytes_json(&c->new_value, is), "version", (json_int_t)c->version,
                     "revision", (json_int_t)c->revision, "time_ms", (json_int_t)c->time_ms,
                     "user", c->user, "note", c->note);
}

static void append_value(struct buf *line, const char *before, const ProtobufCBinaryData *data)
{
    buf_append_str(line, before);
    event_append_value(line, data->data, data->len);
}

static void print_change(const Coord__V1__ConfigChange *c, bool as_history)
{
    struct buf line = {0};
    if (as_history) {
        char time[32];
        ctl_format_time(c->time_ms, time, sizeof time);
        buf_printf(&line, "%" PRIu64 " %s ", c->revision, time);
    }
    buf_printf(&line, "%s %s", change_name(c->type), c->path);
    if (c->type != COORD__V1__EVENT_TYPE__DELETE_EVENT) {
        append_value(&line, " ", &c->new_value);
    }
    if (c->type != COORD__V1__EVENT_TYPE__CREATE_EVENT) {
        append_value(&line, " (was ", &c->old_value);
        buf_append_str(&line, ")");
    }
    if (as_history && c->user[0] != '\0') {
        buf_append_str(&line, " by ");
        ctl_append_plain(&line, c->user);
    }
    if (as_history && c->note[0] != '\0') {
        buf_append_str(&line, ": ");
        ctl_append_plain(&line, c->note);
    }
    buf_append_str(&line, "\n");
    fwrite(line.data, 1, line.size, stdout);
    buf_close(&line);
}

void config_print_changes(const struct ctl *ctl, Coord__V1__ConfigChange *const *changes,
                          size_t count, bool as_history)
{
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    for (size_t i = 0; i < count; i++) {
        if (array != NULL) {
            json_array_append_new(array, change_json(changes[i]));
        } else {
            print_change(changes[i], as_history);
        }
    }
    if (array != NULL) {
        ctl_print_json(ctl, array);
    }
}

uint64_t config_revision(const struct ctl *ctl, size_t index)
{
    uint64_t revision = 0;
    if (!value_parse_number(ctl->words[index], INT64_MAX, &revision) || revision == 0) {
        ctl_usage("%s: \"%s\" is not a revision: a number from 1", ctl->command->name,
                  ctl->words[index]);
        return 0;
    }
    return revision;
}

/* ---- roots ------------------------------------------------------------------------------ */

int ctl_config_init(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigCreateRootRequest request = COORD__V1__CONFIG_CREATE_ROOT_REQUEST__INIT;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.versions = (uint32_t)ctl->versions;
    request.open = ctl->open;
    return ctl_change(ctl, CLIENT_CONFIG_CREATE_ROOT, &request.base, &header);
}

int ctl_config_drop(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigDeleteRootRequest request = COORD__V1__CONFIG_DELETE_ROOT_REQUEST__INIT;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    return ctl_change(ctl, CLIENT_CONFIG_DELETE_ROOT, &request.base, &header);
}

static int roots_page(struct ctl *ctl, char after[CTL_PATH_BYTES], json_t *array)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigRootsRequest request = COORD__V1__CONFIG_ROOTS_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.after = after;
    int exit_code = ctl_call(ctl, CLIENT_CONFIG_ROOTS, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__ConfigRootsReply *reply = (const Coord__V1__ConfigRootsReply *)m;
    for (size_t i = 0; i < reply->n_roots; i++) {
        const Coord__V1__ConfigRoot *root = reply->roots[i];
        if (array != NULL) {
            json_array_append_new(array, json_pack("{s:s, s:I, s:b, s:I}", "path", root->path,
                                                   "versions", (json_int_t)root->versions,
                                                   "open", root->open != 0, "revision",
                                                   (json_int_t)root->revision));
        } else {
            printf("%s  versions %" PRIu32 "%s\n", root->path, root->versions,
                   root->open ? "  open" : "");
        }
    }
    snprintf(after, CTL_PATH_BYTES, "%s", reply->next);
    client_reply_free(m);
    return EXIT_DONE;
}

int ctl_config_list(struct ctl *ctl)
{
    return ctl_list_pages(ctl, roots_page);
}

/* ---- get -------------------------------------------------------------------------------- */

static json_t *entry_json(const Coord__V1__ConfigEntry *e)
{
    return json_pack("{s:s, s:o, s:I, s:I, s:I}", "key", e->path, "value",
                     ctl_json_bytes(e->value.data, e->value.len), "version",
                     (json_int_t)e->version, "revision", (json_int_t)e->modify_revision,
                     "time_ms", (json_int_t)e->modify_time_ms);
}

static void print_value(const struct ctl *ctl, const Coord__V1__ConfigEntry *e)
{
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, entry_json(e));
        return;
    }
    if (e->value.len > 0) {
        fwrite(e->value.data, 1, e->value.len, stdout);
    }
    if (ctl->output != OUTPUT_RAW && isatty(STDOUT_FILENO) != 0) {
        putchar('\n');
    }
}

static void print_entry(const Coord__V1__ConfigEntry *e)
{
    struct buf line = {0};
    buf_printf(&line, "%s ", e->path);
    event_append_value(&line, e->value.data, e->value.len);
    buf_printf(&line, " (version %" PRIu32 ", revision %" PRIu64 ")\n", e->version,
               e->modify_revision);
    fwrite(line.data, 1, line.size, stdout);
    buf_close(&line);
}

/* One page; EXIT_DONE and `after` empty: it was the last one. */
static int get_page(struct ctl *ctl, struct buf *after, json_t *array)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigGetRequest request = COORD__V1__CONFIG_GET_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.recursive = ctl->recursive;
    request.revision = ctl->revision;
    if (after->size > 0) {
        request.after = (char *)after->data;
    }
    int exit_code = ctl_call(ctl, CLIENT_CONFIG_GET, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__ConfigGetReply *reply = (const Coord__V1__ConfigGetReply *)m;
    for (size_t i = 0; i < reply->n_entries; i++) {
        if (!ctl->recursive) {
            print_value(ctl, reply->entries[i]);
        } else if (array != NULL) {
            json_array_append_new(array, entry_json(reply->entries[i]));
        } else {
            print_entry(reply->entries[i]);
        }
    }
    buf_clear(after);
    if (reply->next[0] != '\0') {
        buf_append(after, reply->next, strlen(reply->next) + 1);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

int ctl_config_get(struct ctl *ctl)
{
    struct buf after = {0};
    json_t *array = ctl_is_json(ctl) && ctl->recursive ? json_array() : NULL;
    int exit_code;
    do {
        exit_code = get_page(ctl, &after, array);
    } while (exit_code == EXIT_DONE && after.size > 0);
    buf_close(&after);
    if (array != NULL && exit_code == EXIT_DONE) {
        ctl_print_json(ctl, array);
    } else {
        json_decref(array);
    }
    return exit_code;
}

/* ---- history, diff ---------------------------------------------------------------------- */

/* A page; `*revision` and `*sub` move on, 0: it was the last. */
static int history_page(struct ctl *ctl, uint64_t *revision, uint32_t *sub, uint64_t *left,
                        json_t *array)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigHistoryRequest request = COORD__V1__CONFIG_HISTORY_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.recursive = ctl->recursive;
    request.from_revision = ctl->from_revision;
    request.newest_first = ctl->reverse;
    request.after_revision = *revision;
    request.after_sub = *sub;
    int exit_code = ctl_call(ctl, CLIENT_CONFIG_HISTORY, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__ConfigHistoryReply *reply = (const Coord__V1__ConfigHistoryReply *)m;
    for (size_t i = 0; i < reply->n_changes && *left > 0; i++, --*left) {
        if (array != NULL) {
            json_array_append_new(array, change_json(reply->changes[i]));
        } else {
            print_change(reply->changes[i], true);
        }
    }
    *revision = *left > 0 ? reply->next_revision : 0;
    *sub = reply->next_sub;
    client_reply_free(m);
    return EXIT_DONE;
}

int ctl_config_history(struct ctl *ctl)
{
    uint64_t revision = 0;
    uint32_t sub = 0;
    uint64_t left = ctl->limit == 0 ? UINT64_MAX : ctl->limit;
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    int exit_code;
    do {
        exit_code = history_page(ctl, &revision, &sub, &left, array);
    } while (exit_code == EXIT_DONE && revision != 0);
    if (array != NULL && exit_code == EXIT_DONE) {
        ctl_print_json(ctl, array);
    } else {
        json_decref(array);
    }
    return exit_code;
}

int ctl_config_diff(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigDiffRequest request = COORD__V1__CONFIG_DIFF_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.from_revision = config_revision(ctl, 1);
    request.to_revision = ctl->word_count > 2 ? config_revision(ctl, 2) : 0;
    if (request.from_revision == 0 || (ctl->word_count > 2 && request.to_revision == 0)) {
        return EXIT_USAGE;
    }
    int exit_code = ctl_call(ctl, CLIENT_CONFIG_DIFF, &request.base, &header, &m);
    if (exit_code == EXIT_DONE) {
        const Coord__V1__ConfigDiffReply *reply = (const Coord__V1__ConfigDiffReply *)m;
        config_print_changes(ctl, reply->changes, reply->n_changes, false);
        client_reply_free(m);
    }
    return exit_code;
}

/* ---- watch ------------------------------------------------------------------------------ */

/* The watch that goes on at another endpoint, with what was before. */
int ctl_config_watch(struct ctl *ctl)
{
    if (ctl->effective != NULL) {
        return config_watch_effective(ctl);
    }
    ctl->prev = true;
    ctl->glob = "[!.]*";
    return ctl_watch(ctl);
}
