/* Lines of the audit log: valid JSON whatever comes in, bounded, without secrets, and with the
 * reason of a denial. */
#include "net/audit/line.h"

#include <jansson.h>

#include "base/tls.h"
#include "tests/support/auth_kit.h"
#include "tests/support/check_main.h"

#define WALL_MS UINT64_C(1764547200123) /* 2025-12-01T00:00:00.123Z */

static struct buf facts;
static struct buf line;

static struct audit_event event(void)
{
    return (struct audit_event){.protocol = "grpc",
                                .peer = "192.0.2.7:51434",
                                .request = "coord.v1.Tree/Txn",
                                .facts = buf_slice(&facts),
                                .outcome = "ok"};
}

/* The line as JSON; the caller gives it back. */
static json_t *told(const struct audit_event *e)
{
    struct audit_clock clock = {0};
    json_error_t error;
    buf_clear(&line);
    audit_line_append(&line, &clock, WALL_MS, "n1", e);
    ck_assert_uint_le(line.size, AUDIT_LINE_BYTES_MAX);
    ck_assert_ptr_eq(memchr(line.data, '\n', line.size), line.data + line.size - 1);
    json_t *json = json_loadb((const char *)line.data, line.size,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    ck_assert_msg(json != NULL, "%s: %.*s", error.text, (int)line.size, (const char *)line.data);
    return json;
}

static const char *text_at(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    ck_assert_msg(text != NULL, "%s in %s", key, (const char *)line.data);
    return text;
}

static json_t *op_at(const json_t *json, const char *branch, size_t number)
{
    json_t *op = json_array_get(json_object_get(json, branch), number);
    ck_assert_ptr_nonnull(op);
    return op;
}

static bool line_has(const char *text)
{
    buf_append(&line, "", 1);
    bool has = strstr((const char *)line.data, text) != NULL;
    line.size--;
    return has;
}

static void note_txn(const struct guard *guards, uint32_t guard_count, const struct op *then_ops,
                     uint32_t then_count)
{
    const struct command c = {.type = COMMAND_TXN,
                              .note = slice_str("because"),
                              .txn = {.guards = guards,
                                      .guard_count = guard_count,
                                      .then_ops = then_ops,
                                      .then_count = then_count}};
    buf_clear(&facts);
    audit_note_command(&facts, &c);
}

static void teardown(void)
{
    buf_close(&facts);
    buf_close(&line);
}

/* ---- what is told ------------------------------------------------------------------------- */

START_TEST(a_write_tells_who_from_where_what_and_with_which_outcome)
{
    struct op op = kit_op(OP_SET, "/app/a", "0123456789");
    struct buf identities = {0};
    struct tls_peer tls = {.subject = "CN=ann,O=ops"};
    op.version = 3;
    note_txn(NULL, 0, &op, 1);
    identity_encode(&identities, slice_str("ip"), slice_str("192.0.2.7"));
    identity_encode(&identities, slice_str("digest"), slice_str("ann:aGFzaA=="));
    struct audit_event e = event();
    e.tls = &tls;
    e.identities = buf_slice(&identities);
    e.session = 0x12ab;
    e.revision = 77;
    json_t *json = told(&e);
    ck_assert_str_eq(text_at(json, "time"), "2025-12-01T00:00:00.123Z");
    ck_assert_str_eq(text_at(json, "node"), "n1");
    ck_assert_str_eq(text_at(json, "protocol"), "grpc");
    ck_assert_str_eq(text_at(json, "peer"), "192.0.2.7:51434");
    ck_assert_str_eq(text_at(json, "certificate"), "CN=ann,O=ops");
    ck_assert_str_eq(text_at(json, "session"), "00000000000012ab");
    ck_assert_str_eq(text_at(json, "request"), "coord.v1.Tree/Txn");
    ck_assert_str_eq(text_at(json, "note"), "because");
    ck_assert_str_eq(text_at(json, "outcome"), "ok");
    ck_assert_int_eq(json_integer_value(json_object_get(json, "revision")), 77);
    const json_t *set = op_at(json, "ops", 0);
    ck_assert_str_eq(text_at(set, "op"), "set");
    ck_assert_str_eq(text_at(set, "path"), "/app/a");
    ck_assert_int_eq(json_integer_value(json_object_get(set, "bytes")), 10);
    ck_assert_int_eq(json_integer_value(json_object_get(set, "version")), 3);
    const json_t *all = json_object_get(json, "identities");
    ck_assert_uint_eq(json_array_size(all), 1);
    ck_assert_str_eq(json_string_value(json_array_get(all, 0)), "digest:ann");
    json_decref(json);
    buf_close(&identities);
}
END_TEST

START_TEST(values_passwords_and_secrets_are_not_told)
{
    struct op ops[2] = {kit_op(OP_CREATE, "/a", "top-secret-value"), kit_op(OP_SET_ACL, "/a", "")};
    const struct acl_entry entry = {ACL_READ | ACL_ADMIN, slice_str("digest"),
                                    slice_str("ann:c2VjcmV0")};
    const struct guard guard = {.target = GUARD_VALUE,
                                .relation = GUARD_EQUAL,
                                .space = SPACE_NODES,
                                .path = slice_str("/a"),
                                .value = slice_str("guessed-value")};
    struct buf acl = {0};
    acl_encode(&acl, &entry, 1);
    ops[1].acl = buf_slice(&acl);
    note_txn(&guard, 1, ops, 2);
    struct audit_event e = event();
    json_t *json = told(&e);
    ck_assert(!line_has("top-secret-value") && !line_has("guessed-value") && !line_has("c2Vj"));
    ck_assert_str_eq(json_string_value(json_array_get(
                         json_object_get(op_at(json, "ops", 1), "acl"), 0)),
                     "digest:ann:ra");
    json_decref(json);

    const struct command commands[] = {
        {.type = COMMAND_AUTH,
         .auth = {.action = AUTH_USER_ADD,
                  .user = slice_str("bob"),
                  .secret = slice_str("scrypt:the-hash")}},
        {.type = COMMAND_AUTH,
         .auth = {.action = AUTH_ENABLE, .secret = slice_str("scrypt:the-hash")}},
        {.type = COMMAND_GRANT,
         .lease = {.id = 5, .ttl_ms = 1000, .secret = slice_str("scrypt:the-hash")}},
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        buf_clear(&facts);
        audit_note_command(&facts, &commands[i]);
        e = event();
        json_decref(told(&e));
        ck_assert_msg(!line_has("the-hash"), "command %zu", i);
    }
    buf_close(&acl);
}
END_TEST

START_TEST(changes_of_users_and_roles_say_what_was_changed)
{
    const struct command c = {.type = COMMAND_AUTH,
                              .auth = {.action = AUTH_ROLE_GRANT,
                                       .role = slice_str("app"),
                                       .path = slice_str("/app"),
                                       .rights = ACL_READ | ACL_DELETE,
                                       .flag = true}};
    buf_clear(&facts);
    audit_note_command(&facts, &c);
    struct audit_event e = event();
    json_t *json = told(&e);
    ck_assert_str_eq(text_at(json, "action"), "role_grant");
    ck_assert_str_eq(text_at(json, "role"), "app");
    ck_assert_str_eq(text_at(json, "path"), "/app");
    ck_assert_str_eq(text_at(json, "rights"), "rd");
    ck_assert(json_is_true(json_object_get(json, "deny")));
    json_decref(json);
}
END_TEST

START_TEST(quotas_are_told_and_whose_was_used_up)
{
    const struct command c = {
        .type = COMMAND_QUOTA,
        .quota = {.path = slice_str("/app"), .bytes = 4096}};
    const struct reply reply = {
        .outcome = OUTCOME_QUOTA,
        .refusal = {.bound = BOUND_QUOTA_BYTES, .subject = slice_str("/app")}};
    buf_clear(&facts);
    audit_note_command(&facts, &c);
    struct audit_event e = event();
    e.reply = &reply;
    json_t *json = told(&e);
    ck_assert_str_eq(text_at(json, "quota"), "/app");
    ck_assert_int_eq(json_integer_value(json_object_get(json, "quota_bytes")), 4096);
    ck_assert_str_eq(text_at(json, "limited_by"), "/app");
    json_decref(json);
}
END_TEST

START_TEST(a_recipe_tells_its_targets_and_what_was_denied_of_them)
{
    const struct recipe_target targets[2] = {{.path = slice_str("/locks/a")},
                                             {.path = slice_str("/locks/b")}};
    const struct command c = {.type = COMMAND_RECIPE,
                              .recipe = {.action = RECIPE_ACQUIRE,
                                         .lease = 0x77,
                                         .value = slice_str("hidden-value"),
                                         .targets = targets,
                                         .target_count = 2}};
    const struct reply reply = {.outcome = OUTCOME_NO_AUTH};
    buf_clear(&facts);
    audit_note_command(&facts, &c);
    struct audit_event e = event();
    e.reply = &reply;
    e.is_denied = true;
    e.failed_op = 1;
    json_t *json = told(&e);
    ck_assert_str_eq(text_at(op_at(json, "ops", 0), "op"), "acquire");
    ck_assert_str_eq(text_at(op_at(json, "ops", 0), "path"), "/locks/a");
    ck_assert_str_eq(text_at(json, "lease"), "0000000000000077");
    ck_assert_str_eq(text_at(json_object_get(json, "denied"), "right"), "create");
    ck_assert_str_eq(text_at(json_object_get(json, "denied"), "path"), "/locks/b");
    ck_assert(!line_has("hidden-value"));
    json_decref(json);
}
END_TEST

static json_t *denied_of(const struct command *c, const char *op, const char *path)
{
    const struct reply reply = {.outcome = OUTCOME_NO_AUTH};
    buf_clear(&facts);
    audit_note_command(&facts, c);
    struct audit_event e = event();
    e.reply = &reply;
    e.is_denied = true;
    json_t *json = told(&e);
    ck_assert_str_eq(text_at(op_at(json, "ops", 0), "op"), op);
    ck_assert_str_eq(text_at(op_at(json, "ops", 0), "path"), path);
    ck_assert_str_eq(text_at(json_object_get(json, "denied"), "path"), path);
    return json;
}

START_TEST(shard_maps_and_instances_tell_their_paths_and_what_was_denied)
{
    static const struct {
        enum shard_action action;
        const char *op;
        const char *right;
    } cases[] = {
        {SHARD_CREATE, "create_map", "create"}, {SHARD_DROP_MAP, "drop_map", "delete"},
        {SHARD_PLAN, "apply_plan", "write"},    {SHARD_LEAVE, "leave", "own"},
        {SHARD_REMOVE_KEY, "remove_key", "write"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct command c = {.type = COMMAND_SHARD,
                                  .shard = {.action = (uint8_t)cases[i].action,
                                            .path = slice_str("/map"),
                                            .node = slice_str("n7")}};
        json_t *json = denied_of(&c, cases[i].op, "/map");
        ck_assert_str_eq(text_at(json, "member"), "n7");
        ck_assert_str_eq(text_at(json_object_get(json, "denied"), "right"), cases[i].right);
        json_decref(json);
    }
    const struct command drain = {.type = COMMAND_DISCOVERY,
                                  .discovery = {.path = slice_str("/services/web/a")}};
    json_t *json = denied_of(&drain, "drain", "/services/web/a");
    ck_assert_str_eq(text_at(json_object_get(json, "denied"), "right"), "write");
    json_decref(json);
}
END_TEST

START_TEST(a_rollout_is_denied_on_its_key)
{
    const struct command c = {.type = COMMAND_ROLLOUT,
                              .rollout = {.key = slice_str("/config/a")}};
    const struct reply reply = {.outcome = OUTCOME_NO_AUTH};
    buf_clear(&facts);
    audit_note_command(&facts, &c);
    struct audit_event e = event();
    e.reply = &reply;
    e.is_denied = true;
    json_t *json = told(&e);
    ck_assert_str_eq(text_at(json_object_get(json, "denied"), "right"), "write");
    ck_assert_str_eq(text_at(json_object_get(json, "denied"), "path"), "/config/a");
    json_decref(json);
}
END_TEST

static bool guards_held(enum outcome outcome)
{
    const struct guard guard = {
        .target = GUARD_GRANT, .space = SPACE_NODES, .path = slice_str("/leader")};
    const struct recipe_target target = {.path = slice_str("/locks/a")};
    const struct command c = {.type = COMMAND_RECIPE,
                              .recipe = {.action = RECIPE_RELEASE,
                                         .targets = &target,
                                         .target_count = 1,
                                         .guards = &guard,
                                         .guard_count = 1}};
    const struct reply reply = {.outcome = (uint8_t)outcome};
    buf_clear(&facts);
    audit_note_command(&facts, &c);
    struct audit_event e = event();
    e.reply = &reply;
    json_t *json = told(&e);
    const json_t *held = json_object_get(json, "guards_held");
    ck_assert(json_is_boolean(held));
    bool is_true = json_is_true(held);
    json_decref(json);
    return is_true;
}

START_TEST(what_a_recipe_did_under_a_guard_was_done_as_the_guard_held)
{
    ck_assert(guards_held(OUTCOME_OK));
    ck_assert(!guards_held(OUTCOME_GUARD_STALE));
}
END_TEST

START_TEST(the_path_that_a_sequential_node_got_is_told)
{
    struct op op = kit_op(OP_CREATE, "/q/n-", "");
    op.flags = OP_SEQUENTIAL;
    const struct op_result result = {.type = OP_CREATE, .path = slice_str("/q/n-0000000007")};
    const struct reply reply = {.took_then = true, .results = &result, .result_count = 1,
                                .repeated = true};
    note_txn(NULL, 0, &op, 1);
    struct audit_event e = event();
    e.reply = &reply;
    json_t *json = told(&e);
    ck_assert_str_eq(text_at(op_at(json, "ops", 0), "path"), "/q/n-");
    ck_assert_str_eq(text_at(op_at(json, "ops", 0), "made"), "/q/n-0000000007");
    ck_assert(json_is_true(json_object_get(json, "repeated")));
    json_decref(json);
}
END_TEST

/* ---- any bytes, any size ------------------------------------------------------------------ */

START_TEST(names_and_paths_of_any_bytes_stay_within_one_line)
{
    uint8_t all[256];
    for (size_t i = 0; i < sizeof all; i++) {
        all[i] = (uint8_t)i;
    }
    struct op op = {.type = OP_DELETE, .space = SPACE_NODES, .version = VERSION_ANY,
                    .path = slice_make(all, sizeof all)};
    note_txn(NULL, 0, &op, 1);
    audit_note_text(&facts, AUDIT_LOGIN, slice_make(all, sizeof all));
    struct audit_event e = event();
    json_t *json = told(&e);
    const char *path = text_at(op_at(json, "ops", 0), "path");
    ck_assert_uint_gt(json_string_length(json_object_get(op_at(json, "ops", 0), "path")), 255);
    ck_assert_uint_eq((uint8_t)path[1], 1);
    json_decref(json);

    op.path = slice_str("/\xe4\xb8\xad\xe6\x96\x87/\xf0\x9f\x98\x80\"\\\x7f\xc3");
    note_txn(NULL, 0, &op, 1);
    e = event();
    json = told(&e);
    ck_assert_str_eq(text_at(op_at(json, "ops", 0), "path"),
                     "/\xe4\xb8\xad\xe6\x96\x87/\xf0\x9f\x98\x80\"\\\x7f\xef\xbf\xbd");
    json_decref(json);
}
END_TEST

START_TEST(of_many_operations_the_first_are_told_and_how_many_there_were)
{
    enum { COUNT = 1000 };
    static char paths[COUNT][16];
    static struct op ops[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "/n%zu", i);
        ops[i] = kit_op(OP_CREATE, paths[i], "x");
    }
    note_txn(NULL, 0, ops, COUNT);
    ck_assert_uint_le(facts.size, AUDIT_FACTS_BYTES_MAX);
    struct audit_event e = event();
    json_t *json = told(&e);
    ck_assert_uint_eq(json_array_size(json_object_get(json, "ops")), AUDIT_OPS_SHOWN_MAX);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "op_count")), COUNT);
    json_decref(json);
}
END_TEST

START_TEST(a_line_is_bounded_whatever_a_request_holds)
{
    enum { COUNT = 64 };
    static uint8_t awful[70000];
    static char subject[5000];
    static struct op ops[COUNT];
    static struct guard guards[COUNT];
    memset(awful, 1, sizeof awful);
    struct buf identities = {0};
    struct tls_peer tls = {.subject = subject};
    memset(subject, '"', sizeof subject - 1);
    for (int i = 0; i < 10; i++) {
        identity_encode(&identities, slice_make(awful, 2000), slice_make(awful, 3000));
    }
    for (size_t i = 0; i < COUNT; i++) {
        ops[i] = (struct op){.type = OP_SET, .space = SPACE_NODES,
                             .path = slice_make(awful, 3000), .acl = slice_make(awful, 60)};
        guards[i] = (struct guard){.target = GUARD_EXISTS, .space = SPACE_NODES,
                                   .path = slice_make(awful, 300)};
    }
    note_txn(guards, COUNT, ops, COUNT);
    buf_clear(&line);
    for (int key = 0; key < AUDIT_KEYS; key++) {
        if (audit_keys[key].kind == AUDIT_IS_TEXT) {
            audit_note_text(&facts, (enum audit_key)key, slice_make(awful, sizeof awful));
        }
    }
    audit_note_denied(&facts, ACL_READ, slice_make(awful, sizeof awful));
    ck_assert_uint_le(facts.size, AUDIT_FACTS_BYTES_MAX);
    struct audit_event e = event();
    e.tls = &tls;
    e.identities = buf_slice(&identities);
    e.is_denied = true;
    e.outcome = "NO_AUTH";
    json_t *json = told(&e);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "op_count")), COUNT);
    json_decref(json);
    buf_close(&identities);
}
END_TEST

/* ---- denials ------------------------------------------------------------------------------ */

struct expected {
    const char *right;
    const char *path;
    const char *by;
};

/* Runs the transaction as web, and compares what the line says about its denial. */
static void expect_denied(struct kit *k, const struct guard *guards, uint32_t guard_count,
                          const struct op *ops, uint32_t count, struct expected want)
{
    struct buf who = {0};
    struct command c = {.type = COMMAND_TXN,
                        .txn = {.guards = guards,
                                .guard_count = guard_count,
                                .then_ops = ops,
                                .then_count = count}};
    c.identities = auth_kit_who(&who, "web");
    ck_assert_int_eq(kit_run(k, &c), OUTCOME_NO_AUTH);
    buf_clear(&facts);
    audit_note_command(&facts, &c);
    struct audit_event e = event();
    e.store = k->store;
    e.identities = c.identities;
    e.is_denied = true;
    e.outcome = audit_outcome_name(OUTCOME_NO_AUTH);
    e.reply = &k->reply;
    e.failed_op = k->reply.failed_op;
    json_t *json = told(&e);
    const json_t *denied = json_object_get(json, "denied");
    ck_assert_str_eq(text_at(json, "outcome"), "NO_AUTH");
    ck_assert_str_eq(text_at(json, "user"), "web");
    ck_assert_ptr_nonnull(denied);
    ck_assert_str_eq(text_at(denied, "right"), want.right);
    ck_assert_str_eq(text_at(denied, "path"), want.path);
    ck_assert_str_eq(text_at(denied, "by"), want.by);
    json_decref(json);
    buf_close(&who);
}

static void open_secured(struct kit *k)
{
    const struct acl_entry nobody = {ACL_READ, slice_str("user"), slice_str("other")};
    struct buf acl = {0};
    kit_open(k);
    ck_assert_int_eq(kit_create(k, "/app", ""), OUTCOME_OK);
    ck_assert_int_eq(kit_create(k, "/app/a", ""), OUTCOME_OK);
    acl_encode(&acl, &nobody, 1);
    struct op hidden = kit_op(OP_CREATE, "/app/hidden", "");
    hidden.acl = buf_slice(&acl);
    ck_assert_int_eq(kit_ops(k, &hidden, 1), OUTCOME_OK);
    buf_close(&acl);
    auth_kit_add(k, "web", "/app", ACL_ALL);
    ck_assert_int_eq(auth_kit_user(k, NULL, AUTH_USER_ADD, "admin", "hash"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(k, NULL, AUTH_USER_GRANT, "admin", "root"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_enable(k, NULL), OUTCOME_OK);
}

START_TEST(a_denial_says_which_right_was_missing_where)
{
    struct kit k;
    open_secured(&k);
    struct op elsewhere = kit_op(OP_SET, "/other", "x");
    struct op two[2] = {kit_op(OP_SET, "/app/a", "x"), kit_op(OP_DELETE, "/other", NULL)};
    struct op by_list = kit_op(OP_CREATE, "/app/hidden/b", "x");
    struct op list = kit_op(OP_SET_ACL, "/app/hidden", NULL);
    const struct acl_entry open = {ACL_ALL, slice_str("world"), slice_str("anyone")};
    struct buf acl = {0};
    acl_encode(&acl, &open, 1);
    list.acl = buf_slice(&acl);
    const struct guard guards[2] = {
        {.target = GUARD_EXISTS, .relation = GUARD_EQUAL, .space = SPACE_NODES, .number = 1,
         .path = slice_str("/app/a")},
        {.target = GUARD_EXISTS, .relation = GUARD_EQUAL, .space = SPACE_NODES, .number = 1,
         .path = slice_str("/other")}};
    expect_denied(&k, NULL, 0, &elsewhere, 1, (struct expected){"write", "/other", "roles"});
    expect_denied(&k, NULL, 0, two, 2, (struct expected){"delete", "/other", "roles"});
    expect_denied(&k, NULL, 0, &by_list, 1, (struct expected){"create", "/app/hidden", "acl"});
    expect_denied(&k, NULL, 0, &list, 1, (struct expected){"admin", "/app/hidden", "acl"});
    expect_denied(&k, guards, 2, two, 1, (struct expected){"read", "/other", "roles"});
    buf_close(&acl);
    kit_close(&k);
}
END_TEST

START_TEST(what_was_denied_before_it_was_tried_is_told_as_well)
{
    buf_clear(&facts);
    audit_note_denied(&facts, ACL_ADMIN, slice_str("/"));
    struct audit_event e = event();
    e.is_denied = true;
    json_t *json = told(&e);
    const json_t *denied = json_object_get(json, "denied");
    ck_assert_str_eq(text_at(denied, "right"), "admin");
    ck_assert_str_eq(text_at(denied, "path"), "/");
    json_decref(json);
}
END_TEST

static Suite *line_suite(void)
{
    Suite *suite = suite_create("audit line");
    TCase *tc = tcase_create("line");
    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, a_write_tells_who_from_where_what_and_with_which_outcome);
    tcase_add_test(tc, values_passwords_and_secrets_are_not_told);
    tcase_add_test(tc, changes_of_users_and_roles_say_what_was_changed);
    tcase_add_test(tc, quotas_are_told_and_whose_was_used_up);
    tcase_add_test(tc, a_recipe_tells_its_targets_and_what_was_denied_of_them);
    tcase_add_test(tc, shard_maps_and_instances_tell_their_paths_and_what_was_denied);
    tcase_add_test(tc, a_rollout_is_denied_on_its_key);
    tcase_add_test(tc, what_a_recipe_did_under_a_guard_was_done_as_the_guard_held);
    tcase_add_test(tc, the_path_that_a_sequential_node_got_is_told);
    tcase_add_test(tc, names_and_paths_of_any_bytes_stay_within_one_line);
    tcase_add_test(tc, of_many_operations_the_first_are_told_and_how_many_there_were);
    tcase_add_test(tc, a_line_is_bounded_whatever_a_request_holds);
    tcase_add_test(tc, a_denial_says_which_right_was_missing_where);
    tcase_add_test(tc, what_was_denied_before_it_was_tried_is_told_as_well);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){line_suite, NULL});
}
