/* config schema: set, get, list, check. */
#include <stdio.h>
#include <string.h>

#include "cmd/coordctl/config.h"

static int wrong_count(const char *usage)
{
    return ctl_usage("config schema: usage: coordctl config schema %s", usage);
}

static int send_schema(struct ctl *ctl, const struct buf *schema)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigSetSchemaRequest request = COORD__V1__CONFIG_SET_SCHEMA_REQUEST__INIT;
    request.header = &header;
    request.path = ctl_text(ctl->words[1]);
    request.schema = (ProtobufCBinaryData){.data = schema->data, .len = schema->size};
    return ctl_change(ctl, CLIENT_CONFIG_SET_SCHEMA, &request.base, &header);
}

static int schema_set(struct ctl *ctl)
{
    struct buf schema = {0};
    if (ctl->word_count != 3) {
        return wrong_count("set PATH SCHEMA");
    }
    int exit_code = ctl_read_data(ctl, ctl->words[2], &schema);
    if (exit_code == EXIT_DONE && schema.size == 0) {
        exit_code = ctl_usage("config schema set: the schema is empty");
    } else if (exit_code == EXIT_DONE) {
        exit_code = send_schema(ctl, &schema);
    }
    buf_close(&schema);
    return exit_code;
}

static int schema_remove(struct ctl *ctl)
{
    struct buf none = {0};
    return ctl->word_count == 2 ? send_schema(ctl, &none) : wrong_count("remove PATH");
}

static int schema_get(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigGetSchemaRequest request = COORD__V1__CONFIG_GET_SCHEMA_REQUEST__INIT;
    ProtobufCMessage *m;
    if (ctl->word_count != 2) {
        return wrong_count("get KEY");
    }
    request.header = &header;
    request.path = ctl_text(ctl->words[1]);
    int exit_code = ctl_call(ctl, CLIENT_CONFIG_GET_SCHEMA, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__ConfigSchema *schema = ((const Coord__V1__ConfigGetSchemaReply *)m)->schema;
    if (schema == NULL) {
        (void)ctl_general(ctl, "no schema counts for this key");
        exit_code = EXIT_NOT_FOUND;
    } else if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, json_pack("{s:s, s:o, s:I}", "path", schema->path, "schema",
                                      ctl_json_bytes(schema->schema.data, schema->schema.len),
                                      "revision", (json_int_t)schema->revision));
    } else {
        fwrite(schema->schema.data, 1, schema->schema.len, stdout);
        putchar('\n');
    }
    client_reply_free(m);
    return exit_code;
}

static int schema_list(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigListSchemasRequest request = COORD__V1__CONFIG_LIST_SCHEMAS_REQUEST__INIT;
    ProtobufCMessage *m;
    if (ctl->word_count != 2) {
        return wrong_count("list PATH");
    }
    request.header = &header;
    request.path = ctl_text(ctl->words[1]);
    int exit_code = ctl_call(ctl, CLIENT_CONFIG_LIST_SCHEMAS, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__ConfigListSchemasReply *reply = (const Coord__V1__ConfigListSchemasReply *)m;
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    for (size_t i = 0; i < reply->n_schemas; i++) {
        const Coord__V1__ConfigSchema *s = reply->schemas[i];
        if (array != NULL) {
            json_array_append_new(array, json_pack("{s:s, s:o, s:I}", "path", s->path, "schema",
                                                   ctl_json_bytes(s->schema.data, s->schema.len),
                                                   "revision", (json_int_t)s->revision));
        } else {
            puts(s->path);
        }
    }
    if (array != NULL) {
        ctl_print_json(ctl, array);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

/* One value, or all that is stored. Exit code 1 if one of them would not be let in. */
static int schema_check_values(struct ctl *ctl)
{
    struct buf value = {0};
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigCheckRequest request = COORD__V1__CONFIG_CHECK_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    if (ctl->word_count < 2) {
        return wrong_count("check KEY [VALUE]");
    }
    int exit_code = ctl->word_count > 2 ? ctl_read_data(ctl, ctl->words[2], &value) : EXIT_DONE;
    if (exit_code == EXIT_DONE) {
        request.header = &header;
        request.path = ctl_text(ctl->words[1]);
        request.stored = ctl->word_count == 2;
        request.value = (ProtobufCBinaryData){.data = value.data, .len = value.size};
        exit_code = ctl_call(ctl, CLIENT_CONFIG_CHECK, &request.base, &header, &m);
    }
    buf_close(&value);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__ConfigCheckReply *reply = (const Coord__V1__ConfigCheckReply *)m;
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    for (size_t i = 0; i < reply->n_problems; i++) {
        const Coord__V1__ConfigProblem *p = reply->problems[i];
        if (array != NULL) {
            json_array_append_new(array,
                                  json_pack("{s:s, s:s}", "key", p->path, "problem", p->text));
        } else {
            printf("%s: %s\n", p->path, p->text);
        }
    }
    if (array != NULL) {
        ctl_print_json(ctl, array);
    }
    exit_code = reply->n_problems > 0 ? EXIT_GENERAL : EXIT_DONE;
    client_reply_free(m);
    return exit_code;
}

static const struct {
    const char *name;
    int (*run)(struct ctl *ctl);
} verbs[] = {
    {"set", schema_set},   {"get", schema_get},   {"check", schema_check_values},
    {"list", schema_list}, {"remove", schema_remove},
};

int ctl_config_schema(struct ctl *ctl)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, ctl->words[0]) == 0) {
            ctl->subject = ctl->word_count > 1 ? ctl->words[1] : ctl->words[0];
            return verbs[i].run(ctl);
        }
    }
    return ctl_usage("config schema: \"%s\" is not set, get, check, list or remove", ctl->words[0]);
}
