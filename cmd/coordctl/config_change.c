/* config: set, update, rollback. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/coordctl/config.h"
#include "cmd/coordctl/text/json_text.h"

static Coord__V1__Expect *expect_of(const struct ctl *ctl, Coord__V1__Expect *expect)
{
    coord__v1__expect__init(expect);
    expect->version = (uint32_t)ctl->version;
    return ctl->version == COORD_ANY_VERSION ? NULL : expect;
}

static void print_entries(const struct ctl *ctl, const Coord__V1__ConfigChangeReply *reply)
{
    json_t *array = json_array();
    for (size_t i = 0; i < reply->n_entries; i++) {
        json_array_append_new(
            array, json_pack("{s:s, s:I}", "key", reply->entries[i]->path, "version",
                             (json_int_t)reply->entries[i]->version));
    }
    ctl_print_json(ctl, json_pack("{s:I, s:I, s:o}", "revision",
                                  (json_int_t)reply->header->revision, "changed",
                                  (json_int_t)reply->changed, "keys", array));
}

/* Sends what makes a change, and tells of it with -o json. */
static int change(struct ctl *ctl, enum client_method method, ProtobufCMessage *request,
                  Coord__V1__RequestHeader *header)
{
    ProtobufCMessage *m;
    int exit_code = ctl_call(ctl, method, request, header, &m);
    if (exit_code == EXIT_DONE) {
        if (ctl_is_json(ctl)) {
            print_entries(ctl, (const Coord__V1__ConfigChangeReply *)m);
        }
        client_reply_free(m);
    }
    return exit_code;
}

int ctl_config_set(struct ctl *ctl)
{
    struct buf data = {0};
    Coord__V1__Expect expect;
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigSetRequest request = COORD__V1__CONFIG_SET_REQUEST__INIT;
    int exit_code = ctl_read_data(ctl, ctl->words[1], &data);
    if (exit_code == EXIT_DONE) {
        request.header = &header;
        request.path = ctl_text(ctl->words[0]);
        request.value = (ProtobufCBinaryData){.data = data.data, .len = data.size};
        request.expect = expect_of(ctl, &expect);
        exit_code = change(ctl, CLIENT_CONFIG_SET, &request.base, &header);
    }
    buf_close(&data);
    return exit_code;
}

/* ---- update ----------------------------------------------------------------------------- */

struct update {
    Coord__V1__ConfigUpdate message;
    Coord__V1__Expect expect;
    char *json; /* what `value` says, owned */
};

/* Whether it is a member of that name, and of its type. A condition that were not understood and
 * left out would let through the very change that it is to hold up. */
static bool member_is_known(const char *name, const json_t *value)
{
    if (strcmp(name, "key") == 0 || strcmp(name, "text") == 0) {
        return json_is_string(value);
    }
    if (strcmp(name, "absent") == 0 || strcmp(name, "delete") == 0) {
        return json_is_boolean(value);
    }
    if (strcmp(name, "version") == 0) {
        return json_is_integer(value) && json_integer_value(value) >= 0 &&
               json_integer_value(value) < UINT32_MAX;
    }
    return strcmp(name, "value") == 0;
}

/* EXIT_DONE, or explains what of number `number` is wrong. */
static int update_check(size_t number, const json_t *from)
{
    const char *name;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)from, name, value)
    {
        if (!member_is_known(name, value)) {
            return ctl_usage("config update: number %zu: \"%s\" is not \"key\" or \"text\" with "
                             "a text, \"value\", \"delete\" or \"absent\" with true or false, "
                             "or \"version\" with a number from 0 to %" PRIu32,
                             number, name, UINT32_MAX - 1);
        }
    }
    int sources = (json_object_get(from, "text") != NULL) +
                  (json_object_get(from, "value") != NULL) +
                  json_is_true(json_object_get(from, "delete"));
    return json_object_get(from, "key") != NULL && sources == 1
               ? EXIT_DONE
               : ctl_usage("config update: number %zu: takes \"key\" and one of \"value\", "
                           "\"text\" and \"delete\"",
                           number);
}

/* {"key": "/app/a", "value": JSON | "text": "...", "version": N, "absent": true, "delete": true} */
static int update_read(struct update *u, size_t number, const json_t *from)
{
    int exit_code = update_check(number, from);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const char *text = json_string_value(json_object_get(from, "text"));
    const json_t *value = json_object_get(from, "value");
    const json_t *version = json_object_get(from, "version");
    coord__v1__config_update__init(&u->message);
    coord__v1__expect__init(&u->expect);
    u->message.delete_ = json_is_true(json_object_get(from, "delete"));
    u->message.absent = json_is_true(json_object_get(from, "absent"));
    if (value != NULL) {
        u->json = json_text(value, JSON_COMPACT);
        text = u->json;
    }
    u->message.path = ctl_text(json_string_value(json_object_get(from, "key")));
    if (text != NULL) {
        u->message.value.data = (uint8_t *)ctl_text(text);
        u->message.value.len = strlen(text);
    }
    if (version != NULL) {
        u->expect.version = (uint32_t)json_integer_value(version);
        u->message.expect = &u->expect;
    }
    return EXIT_DONE;
}

static int updates_send(struct ctl *ctl, const json_t *list)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigUpdateRequest request = COORD__V1__CONFIG_UPDATE_REQUEST__INIT;
    size_t count = json_array_size(list);
    struct update *updates = calloc(count + 1, sizeof *updates);
    Coord__V1__ConfigUpdate **all = calloc(count + 1, sizeof *all);
    int exit_code = updates == NULL || all == NULL ? ctl_general(ctl, "no memory") : EXIT_DONE;
    for (size_t i = 0; exit_code == EXIT_DONE && i < count; i++) {
        all[i] = &updates[i].message;
        exit_code = update_read(&updates[i], i + 1, json_array_get(list, i));
    }
    if (exit_code == EXIT_DONE) {
        request.header = &header;
        request.updates = all;
        request.n_updates = count;
        exit_code = change(ctl, CLIENT_CONFIG_UPDATE, &request.base, &header);
    }
    for (size_t i = 0; updates != NULL && i < count; i++) {
        free(updates[i].json);
    }
    free(updates);
    free(all);
    return exit_code;
}

int ctl_config_update(struct ctl *ctl)
{
    json_error_t error;
    if (ctl->file == NULL) {
        return ctl_usage("config update: give --file");
    }
    bool is_input = strcmp(ctl->file, "-") == 0;
    struct stat about;
    if (!is_input && stat(ctl->file, &about) == 0 && S_ISDIR(about.st_mode)) {
        return ctl_usage("config update: %s is a directory", ctl->file);
    }
    json_t *list = is_input ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &error)
                            : json_load_file(ctl->file, JSON_REJECT_DUPLICATES, &error);
    if (list == NULL) {
        return ctl_usage("config update: %s: line %d: %s", ctl->file, error.line, error.text);
    }
    int exit_code = json_is_array(list)
                        ? updates_send(ctl, list)
                        : ctl_usage("config update: %s: not a list of updates", ctl->file);
    json_decref(list);
    return exit_code;
}

/* ---- rollback --------------------------------------------------------------------------- */

int ctl_config_rollback(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigRollbackRequest request = COORD__V1__CONFIG_ROLLBACK_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.revision = config_revision(ctl, 1);
    request.recursive = ctl->recursive;
    request.dry_run = ctl->dry_run;
    if (request.revision == 0) {
        return EXIT_USAGE;
    }
    int exit_code = ctl_call(ctl, CLIENT_CONFIG_ROLLBACK, &request.base, &header, &m);
    if (exit_code == EXIT_DONE) {
        const Coord__V1__ConfigChangeReply *reply = (const Coord__V1__ConfigChangeReply *)m;
        config_print_changes(ctl, reply->changes, reply->n_changes, false);
        client_reply_free(m);
    }
    return exit_code;
}
