/* Who may do what: rules of roles against a model that is as simple as their definition, and that
 * commands, queries and the change log ask for them. */
#include "store/access.h"

#include "base/rng.h"
#include "store/state.h"
#include "tests/support/check_main.h"

#include "tests/support/auth_kit.h"

static struct kit k;
static struct buf who; /* the caller of the last call */
static struct arena arena;

static void setup(void)
{
    kit_open(&k);
}

static void teardown(void)
{
    store_check(k.store);
    kit_close(&k);
    buf_close(&who);
    arena_close(&arena);
}

/* A root, authentication enabled. */
static void enable(void)
{
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, "admin", "hash"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_GRANT, "admin", "root"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_enable(&k, NULL), OUTCOME_OK);
}

static enum outcome run_as(const char *user, struct command *c)
{
    c->identities = auth_kit_who(&who, user);
    return kit_run(&k, c);
}

static enum outcome op_as(const char *user, struct op op)
{
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    return run_as(user, &c);
}

static enum outcome do_as(const char *user, enum op_type type, const char *path)
{
    return op_as(user, kit_op(type, path, type == OP_CREATE || type == OP_SET ? "x" : NULL));
}

static struct query_result ask_as(const char *user, struct query q)
{
    struct query_result result;
    q.space = SPACE_NODES;
    q.identities = auth_kit_who(&who, user);
    store_query(k.store, &q, &result, &arena);
    return result;
}

static enum outcome read_as(const char *user, enum query_type type, const char *path)
{
    struct query_result result =
        ask_as(user, (struct query){.type = (uint8_t)type, .path = slice_str(path)});
    return (enum outcome)result.outcome;
}

static void deny(const char *role, const char *path, uint8_t rights)
{
    ck_assert_int_eq(auth_kit_rule(&k, "admin", AUTH_ROLE_GRANT, role, path, rights, true),
                     OUTCOME_OK);
}

/* ---- rules -------------------------------------------------------------------------------- */

static bool allows(const char *user, uint32_t right, const char *path)
{
    struct access access;
    access_begin(&access, k.store, auth_kit_who(&who, user));
    return access_path(&access, right, SPACE_NODES, slice_str(path));
}

START_TEST(a_grant_is_for_its_path_and_whole_components_below)
{
    auth_kit_add(&k, "u", "/a/b", ACL_READ);
    enable();
    ck_assert(allows("u", ACL_READ, "/a/b"));
    ck_assert(allows("u", ACL_READ, "/a/b/c/d"));
    ck_assert(!allows("u", ACL_READ, "/a/bc"));
    ck_assert(!allows("u", ACL_READ, "/a/b-c"));
    ck_assert(!allows("u", ACL_READ, "/a"));
    ck_assert(!allows("u", ACL_READ, "/"));
    ck_assert(!allows("u", ACL_WRITE, "/a/b"));
    ck_assert(!allows("u", ACL_READ, "no path"));
    ck_assert(!allows("u", ACL_READ, ""));
}
END_TEST

START_TEST(the_longest_path_decides_and_a_denial_before_an_allowance_of_the_same)
{
    auth_kit_add(&k, "u", "/a", ACL_READ | ACL_WRITE);
    enable();
    deny("u", "/a/b", ACL_READ);
    ck_assert(!allows("u", ACL_READ, "/a/b/c"));
    ck_assert(allows("u", ACL_WRITE, "/a/b/c"));
    ck_assert_int_eq(
        auth_kit_rule(&k, "admin", AUTH_ROLE_GRANT, "u", "/a/b/c", ACL_READ, false),
        OUTCOME_OK);
    ck_assert(allows("u", ACL_READ, "/a/b/c/d"));
    ck_assert(!allows("u", ACL_READ, "/a/b"));
    deny("u", "/a/b/c", ACL_READ);
    ck_assert(!allows("u", ACL_READ, "/a/b/c/d"));
}
END_TEST

START_TEST(a_denial_of_one_role_wins_over_an_allowance_of_another_on_the_same_path)
{
    auth_kit_add(&k, "u", "/a", ACL_ALL);
    ck_assert_int_eq(auth_kit_role(&k, NULL, AUTH_ROLE_ADD, "other"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_GRANT, "u", "other"), OUTCOME_OK);
    enable();
    ck_assert(allows("u", ACL_DELETE, "/a/x"));
    deny("other", "/a", ACL_DELETE);
    ck_assert(!allows("u", ACL_DELETE, "/a/x"));
    ck_assert(allows("u", ACL_CREATE, "/a/x"));
}
END_TEST

START_TEST(root_and_super_may_everything_and_who_is_not_or_no_more_nothing)
{
    auth_kit_add(&k, "u", "/", ACL_ALL);
    enable();
    ck_assert(allows("admin", ACL_ADMIN, "/any"));
    ck_assert(allows("u", ACL_WRITE, "/any"));
    ck_assert(!allows("never", ACL_READ, "/any"));
    ck_assert(!allows(NULL, ACL_READ, "/any"));
    ck_assert_int_eq(auth_kit_disable_user(&k, "admin", "u", true), OUTCOME_OK);
    ck_assert(!allows("u", ACL_WRITE, "/any"));
    ck_assert_int_eq(auth_kit_disable_user(&k, "admin", "u", false), OUTCOME_OK);
    ck_assert(allows("u", ACL_WRITE, "/any"));
    struct access access;
    buf_clear(&who);
    identity_encode(&who, slice_str("super"), slice_str(""));
    access_begin(&access, k.store, buf_slice(&who));
    ck_assert(access.is_unlimited);
}
END_TEST

START_TEST(who_is_nobody_may_what_the_role_anonymous_may_if_there_is_one)
{
    enable();
    ck_assert(!allows(NULL, ACL_READ, "/public"));
    ck_assert_int_eq(auth_kit_role(&k, "admin", AUTH_ROLE_ADD, AUTH_ANONYMOUS), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_rule(&k, "admin", AUTH_ROLE_GRANT, AUTH_ANONYMOUS, "/public",
                                   ACL_READ, false),
                     OUTCOME_OK);
    ck_assert(allows(NULL, ACL_READ, "/public/a"));
    ck_assert(!allows(NULL, ACL_WRITE, "/public/a"));
    ck_assert(!allows("never", ACL_READ, "/public/a")); /* has proved to be somebody unknown */
}
END_TEST

/* ---- a model ------------------------------------------------------------------------------ */

#define MODEL_ROLES  3
#define MODEL_GRANTS 12

struct model_grant {
    const char *path;
    uint8_t rights;
    bool is_denial;
};

static const char *const paths[] = {"/",      "/a",     "/a/b",   "/a/b/c", "/a/b-",
                                    "/a/bb",  "/ab",    "/ab/c",  "/a/c",   "/a/c/d",
                                    "/b",     "/b/a/c", "/a/b/d", "/c",     "/c/d/e/f"};
#define PATHS (sizeof paths / sizeof paths[0])

static bool covers(const char *grant, const char *path)
{
    size_t size = strlen(grant);
    return strcmp(grant, "/") == 0 ||
           (strncmp(grant, path, size) == 0 && (path[size] == '\0' || path[size] == '/'));
}

/* As docs/security.md says it. */
static bool model_allows(const struct model_grant *grants, size_t count, uint8_t right,
                         const char *path)
{
    size_t longest = 0;
    bool allowed = false;
    bool denied = false;
    for (size_t i = 0; i < count; i++) {
        const struct model_grant *g = &grants[i];
        size_t size = strlen(g->path);
        if ((g->rights & right) == 0 || !covers(g->path, path) || size < longest) {
            continue;
        }
        if (size > longest) {
            longest = size;
            allowed = denied = false;
        }
        *(g->is_denial ? &denied : &allowed) = true;
    }
    return allowed && !denied;
}

START_TEST(rules_are_those_of_a_naive_model_over_all_grants)
{
    struct rng rng;
    struct model_grant grants[MODEL_GRANTS];
    static const char *const names[MODEL_ROLES] = {"r0", "r1", "r2"};
    rng_init(&rng, (uint64_t)_i + 1);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, "u", NULL), OUTCOME_OK);
    for (size_t i = 0; i < MODEL_ROLES; i++) {
        ck_assert_int_eq(auth_kit_role(&k, NULL, AUTH_ROLE_ADD, names[i]), OUTCOME_OK);
        ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_GRANT, "u", names[i]), OUTCOME_OK);
    }
    enable();
    size_t count = rng_below(&rng, MODEL_GRANTS) + 1;
    for (size_t i = 0; i < count; i++) {
        grants[i] = (struct model_grant){.path = paths[rng_below(&rng, PATHS)],
                                         .rights = (uint8_t)rng_range(&rng, 1, ACL_ALL),
                                         .is_denial = rng_chance(&rng, 400)};
        ck_assert_int_eq(auth_kit_rule(&k, "admin", AUTH_ROLE_GRANT,
                                       names[rng_below(&rng, MODEL_ROLES)], grants[i].path,
                                       grants[i].rights, grants[i].is_denial),
                         OUTCOME_OK);
    }
    struct access access;
    access_begin(&access, k.store, auth_kit_who(&who, "u"));
    for (size_t p = 0; p < PATHS; p++) {
        bool uniform = access_is_uniform(&access, slice_str(paths[p]));
        for (uint32_t right = 1; right <= ACL_ADMIN; right *= 2) {
            bool may = access_path(&access, right, SPACE_NODES, slice_str(paths[p]));
            ck_assert_msg(may == model_allows(grants, count, (uint8_t)right, paths[p]),
                          "right %u on %s, seed %d", right, paths[p], _i + 1);
            for (size_t q = 0; q < PATHS && uniform; q++) {
                ck_assert(!covers(paths[p], paths[q]) ||
                          access_path(&access, right, SPACE_NODES, slice_str(paths[q])) == may);
            }
        }
    }
}
END_TEST

/* ---- commands ----------------------------------------------------------------------------- */

START_TEST(each_operation_takes_its_own_right_on_its_own_path)
{
    static const struct {
        enum op_type type;
        uint8_t right;
        const char *path;
    } cases[] = {
        {OP_CREATE, ACL_CREATE, "/d/new"}, {OP_SET, ACL_WRITE, "/d/old"},
        {OP_DELETE, ACL_DELETE, "/d/old"}, {OP_CHECK, ACL_READ, "/d/old"},
        {OP_GET, ACL_READ, "/d/old"},      {OP_LIST, ACL_READ, "/d/old"},
    };
    ck_assert_int_eq(kit_create(&k, "/d", NULL), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/d/old", NULL), OUTCOME_OK);
    auth_kit_add(&k, "right", cases[_i].path, cases[_i].right);
    auth_kit_add(&k, "wrong", cases[_i].path, (uint8_t)(ACL_ALL & ~cases[_i].right));
    auth_kit_add(&k, "aside", "/elsewhere", ACL_ALL);
    enable();
    ck_assert_int_eq(do_as("wrong", cases[_i].type, cases[_i].path), OUTCOME_NO_AUTH);
    ck_assert_int_eq(do_as("aside", cases[_i].type, cases[_i].path), OUTCOME_NO_AUTH);
    ck_assert_int_eq(do_as(NULL, cases[_i].type, cases[_i].path), OUTCOME_NO_AUTH);
    ck_assert_int_eq(do_as("right", cases[_i].type, cases[_i].path), OUTCOME_OK);
}
END_TEST

START_TEST(who_may_not_learns_not_even_whether_the_node_is_there)
{
    ck_assert_int_eq(kit_create(&k, "/there", NULL), OUTCOME_OK);
    auth_kit_add(&k, "u", "/mine", ACL_ALL);
    enable();
    for (enum op_type type = OP_CREATE; type <= OP_LIST; type++) {
        ck_assert_int_eq(do_as("u", type, "/there"), OUTCOME_NO_AUTH);
        ck_assert_int_eq(do_as("u", type, "/not"), OUTCOME_NO_AUTH);
    }
    for (enum query_type type = QUERY_GET; type <= QUERY_ACL; type++) {
        if (type != QUERY_LEASE && type != QUERY_LEASES) {
            ck_assert_int_eq(read_as("u", type, "/there"), OUTCOME_NO_AUTH);
            ck_assert_int_eq(read_as("u", type, "/not"), OUTCOME_NO_AUTH);
        }
    }
}
END_TEST

START_TEST(an_operation_that_is_denied_takes_its_whole_transaction_back)
{
    ck_assert_int_eq(kit_create(&k, "/d", NULL), OUTCOME_OK);
    auth_kit_add(&k, "u", "/d", ACL_ALL);
    enable();
    struct op ops[] = {kit_op(OP_CREATE, "/d/a", "1"), kit_op(OP_SET, "/", "2")};
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = ops, .then_count = 2}};
    ck_assert_int_eq(run_as("u", &c), OUTCOME_NO_AUTH);
    ck_assert_uint_eq(k.reply.failed_op, 1);
    ck_assert_int_eq(read_as("admin", QUERY_EXISTS, "/d/a"), OUTCOME_NO_NODE);
}
END_TEST

START_TEST(a_guard_takes_the_right_to_read_whichever_way_it_would_have_gone)
{
    auth_kit_add(&k, "u", "/mine", ACL_ALL);
    enable();
    ck_assert_int_eq(do_as("u", OP_CREATE, "/mine"), OUTCOME_OK);
    for (uint64_t exists = 0; exists <= 1; exists++) {
        struct guard guard = {.target = GUARD_EXISTS,
                              .relation = GUARD_EQUAL,
                              .space = SPACE_NODES,
                              .path = slice_str("/other"),
                              .number = exists};
        struct op op = kit_op(OP_SET, "/mine", "1");
        struct command c = {.type = COMMAND_TXN,
                            .txn = {.guards = &guard,
                                    .guard_count = 1,
                                    .then_ops = &op,
                                    .then_count = 1,
                                    .else_ops = &op,
                                    .else_count = 1}};
        ck_assert_int_eq(run_as("u", &c), OUTCOME_NO_AUTH);
    }
}
END_TEST

START_TEST(missing_parents_and_all_that_is_deleted_below_take_the_right_too)
{
    auth_kit_add(&k, "u", "/a/b", ACL_ALL);
    enable();
    struct op make = kit_op(OP_CREATE, "/a/b/c", "x");
    make.flags = OP_MAKE_PARENTS;
    ck_assert_int_eq(op_as("u", make), OUTCOME_NO_AUTH); /* "/a" is not theirs to make */
    ck_assert_int_eq(do_as("admin", OP_CREATE, "/a"), OUTCOME_OK);
    ck_assert_int_eq(op_as("u", make), OUTCOME_OK);
    ck_assert_int_eq(do_as("u", OP_CREATE, "/a/b/c/kept"), OUTCOME_OK);
    deny("u", "/a/b/c/kept", ACL_DELETE);
    struct op drop = kit_op(OP_DELETE, "/a/b", NULL);
    drop.flags = OP_RECURSIVE;
    ck_assert_int_eq(op_as("u", drop), OUTCOME_NO_AUTH);
    drop.flags = OP_RECURSIVE | OP_DRY_RUN;
    ck_assert_int_eq(op_as("u", drop), OUTCOME_NO_AUTH);
    drop.flags = OP_RECURSIVE;
    ck_assert_int_eq(op_as("admin", drop), OUTCOME_OK);
}
END_TEST

START_TEST(a_sequential_create_is_asked_for_the_parent_and_for_the_path_it_gets)
{
    ck_assert_int_eq(kit_create(&k, "/q", NULL), OUTCOME_OK);
    auth_kit_add(&k, "u", "/q", ACL_CREATE);
    auth_kit_add(&k, "v", "/other", ACL_CREATE);
    enable();
    deny("u", "/q/j0000000001", ACL_CREATE);
    struct op op = kit_op(OP_CREATE, "/q/j", "x");
    op.flags = OP_SEQUENTIAL;
    ck_assert_int_eq(op_as("v", op), OUTCOME_NO_AUTH);
    ck_assert_int_eq(op_as("u", op), OUTCOME_OK);
    ck_assert_int_eq(op_as("u", op), OUTCOME_NO_AUTH);
}
END_TEST

START_TEST(keys_of_the_metadata_take_admin_at_the_top)
{
    auth_kit_add(&k, "u", "/", ACL_ALL & ~ACL_ADMIN);
    auth_kit_add(&k, "v", "/", ACL_ADMIN);
    enable();
    struct op op = kit_op(OP_SET, "history/a", "5");
    op.space = SPACE_META;
    ck_assert_int_eq(op_as("u", op), OUTCOME_NO_AUTH);
    ck_assert_int_eq(op_as(NULL, op), OUTCOME_NO_AUTH);
    ck_assert_int_eq(op_as("v", op), OUTCOME_OK);
    op.type = OP_GET;
    op.data = slice_make(NULL, 0);
    ck_assert_int_eq(op_as("u", op), OUTCOME_NO_AUTH);
    ck_assert_int_eq(op_as("v", op), OUTCOME_OK);
}
END_TEST

START_TEST(a_node_s_own_list_counts_next_to_roles_but_not_for_root)
{
    struct buf list = {0};
    const struct acl_entry only = {ACL_ALL, slice_str("user"), slice_str("v")};
    acl_encode(&list, &only, 1);
    auth_kit_add(&k, "u", "/", ACL_ALL);
    auth_kit_add(&k, "v", "/a", ACL_READ);
    enable();
    struct op op = kit_op(OP_CREATE, "/a", "x");
    op.acl = buf_slice(&list);
    ck_assert_int_eq(op_as("u", op), OUTCOME_OK);
    ck_assert_int_eq(read_as("u", QUERY_GET, "/a"), OUTCOME_NO_AUTH);
    ck_assert_int_eq(read_as("v", QUERY_GET, "/a"), OUTCOME_OK);
    ck_assert_int_eq(do_as("v", OP_SET, "/a"), OUTCOME_NO_AUTH); /* its role does not */
    ck_assert_int_eq(read_as("admin", QUERY_GET, "/a"), OUTCOME_OK);
    ck_assert_int_eq(do_as("admin", OP_SET, "/a"), OUTCOME_OK);
    buf_close(&list);
}
END_TEST

static void expect_version(const char *user, struct op op, bool is_told, uint64_t version)
{
    char text[REFUSAL_TEXT_BYTES_MAX];
    char expected[REFUSAL_TEXT_BYTES_MAX];
    op.version = 9;
    ck_assert_int_eq(op_as(user, op), OUTCOME_BAD_VERSION);
    ck_assert_int_eq(k.reply.refusal.bound, is_told ? BOUND_VERSION : BOUND_NONE);
    if (is_told) {
        refusal_text(&k.reply.refusal, text);
        (void)snprintf(expected, sizeof expected,
                       "version does not match: it is %llu, 9 was expected",
                       (unsigned long long)version);
        ck_assert_str_eq(text, expected);
    }
}

START_TEST(which_version_it_is_is_told_to_who_may_read)
{
    struct buf list = {0};
    const struct acl_entry only = {ACL_ALL & ~ACL_READ, slice_str("user"), slice_str("u")};
    auth_kit_add(&k, "u", "/", ACL_ALL);
    auth_kit_add(&k, "v", "/", ACL_ALL & ~ACL_READ);
    enable();
    ck_assert_int_eq(do_as("u", OP_CREATE, "/a"), OUTCOME_OK);
    ck_assert_int_eq(do_as("u", OP_SET, "/a"), OUTCOME_OK);
    acl_encode(&list, &only, 1);
    struct op give = kit_op(OP_SET_ACL, "/a", NULL);
    give.acl = buf_slice(&list);
    expect_version("u", kit_op(OP_SET, "/a", "x"), true, 1);
    expect_version("u", kit_op(OP_DELETE, "/a", NULL), true, 1);
    expect_version("u", kit_op(OP_CHECK, "/a", NULL), true, 1);
    expect_version("u", give, true, 0);
    expect_version("v", kit_op(OP_SET, "/a", "x"), false, 0);
    expect_version("v", kit_op(OP_DELETE, "/a", NULL), false, 0);
    ck_assert_int_eq(op_as("u", give), OUTCOME_OK);
    expect_version("u", kit_op(OP_SET, "/a", "x"), false, 0);
    ck_assert_int_eq(do_as("u", OP_CREATE, "/a"), OUTCOME_NODE_EXISTS);
    ck_assert_int_eq(k.reply.refusal.bound, BOUND_NONE);
    buf_close(&list);
}
END_TEST

/* `u` as a member took him that knew this generation of him. */
static enum outcome set_proved(uint64_t generation, const char *path)
{
    char text[24];
    struct op op = kit_op(OP_SET, path, "x");
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    (void)auth_kit_who(&who, "u");
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)generation);
    identity_encode(&who, slice_str(IDENTITY_PROOF), slice_str(text));
    c.identities = buf_slice(&who);
    return kit_run(&k, &c);
}

static uint64_t generation_of_u(void)
{
    return auth_find_user(store_auth(k.store), slice_str("u"))->generation;
}

START_TEST(what_proved_a_user_does_so_until_his_password_is_another)
{
    ck_assert_int_eq(kit_create(&k, "/a", NULL), OUTCOME_OK);
    auth_kit_add(&k, "u", "/", ACL_READ | ACL_WRITE);
    enable();
    uint64_t first = generation_of_u();
    ck_assert_int_eq(set_proved(first, "/a"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, "admin", AUTH_USER_PASSWORD, "u", "other"), OUTCOME_OK);
    ck_assert_uint_ne(generation_of_u(), first);
    ck_assert_int_eq(set_proved(first, "/a"), OUTCOME_NO_AUTH);
    ck_assert_int_eq(set_proved(generation_of_u(), "/a"), OUTCOME_OK);
    ck_assert_int_eq(set_proved(generation_of_u() + 1, "/a"), OUTCOME_NO_AUTH);
    ck_assert_int_eq(auth_kit_user(&k, "admin", AUTH_USER_GRANT, "u", "root"), OUTCOME_OK);
    ck_assert_int_eq(set_proved(generation_of_u(), "/a"), OUTCOME_OK); /* roles prove nothing */
    ck_assert_int_eq(set_proved(first, "/a"), OUTCOME_NO_AUTH);
    ck_assert_int_eq(do_as("u", OP_SET, "/a"), OUTCOME_OK); /* by a certificate */
}
END_TEST

START_TEST(while_it_is_disabled_nobody_is_asked)
{
    auth_kit_add(&k, "u", "/nothing", ACL_READ);
    ck_assert_int_eq(do_as("u", OP_CREATE, "/a"), OUTCOME_OK);
    ck_assert_int_eq(do_as(NULL, OP_SET, "/a"), OUTCOME_OK);
    enable();
    ck_assert_int_eq(do_as(NULL, OP_SET, "/a"), OUTCOME_NO_AUTH);
    ck_assert_int_eq(
        auth_kit_run(&k, "admin", (struct command_auth){.action = AUTH_DISABLE}), OUTCOME_OK);
    ck_assert_int_eq(do_as(NULL, OP_SET, "/a"), OUTCOME_OK);
}
END_TEST

/* ---- queries and the past ----------------------------------------------------------------- */

START_TEST(a_listing_shows_of_what_roles_deny_the_name_alone)
{
    ck_assert_int_eq(kit_create(&k, "/d", NULL), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/d/a", "1"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/d/secret", "2"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/d/secret/below", "3"), OUTCOME_OK);
    auth_kit_add(&k, "u", "/d", ACL_READ);
    enable();
    deny("u", "/d/secret", ACL_READ);
    struct query q = {.type = QUERY_LIST,
                      .path = slice_str("/d"),
                      .recursive = true,
                      .with_data = true,
                      .with_stat = true};
    struct query_result r = ask_as("u", q);
    ck_assert_int_eq(r.outcome, OUTCOME_OK);
    ck_assert_uint_eq(r.entry_count, 2);
    ck_assert(!r.entries[0].unreadable && slice_is(r.entries[0].data, "1"));
    ck_assert(r.entries[1].unreadable && slice_is(r.entries[1].path, "/d/secret"));
    ck_assert_uint_eq(r.entries[1].data.size, 0);
    r = ask_as("admin", q);
    ck_assert_uint_eq(r.entry_count, 3);
}
END_TEST

START_TEST(the_past_and_the_change_log_are_for_those_who_may_read_the_path)
{
    ck_assert_int_eq(kit_create(&k, "/d", "1"), OUTCOME_OK);
    uint64_t then = store_revision(k.store);
    ck_assert_int_eq(kit_create(&k, "/d/secret", "2"), OUTCOME_OK);
    ck_assert_int_eq(kit_set(&k, "/d", "3"), OUTCOME_OK);
    auth_kit_add(&k, "u", "/d", ACL_READ);
    enable();
    deny("u", "/d/secret", ACL_READ);
    struct query q = {.type = QUERY_HISTORY, .path = slice_str("/d"), .recursive = true};
    ck_assert_uint_eq(ask_as("u", q).change_count, 2);
    ck_assert_uint_eq(ask_as("admin", q).change_count, 3);
    ck_assert_int_eq(ask_as(NULL, q).outcome, OUTCOME_NO_AUTH);
    q = (struct query){.type = QUERY_GET, .path = slice_str("/d"), .revision = then};
    ck_assert_int_eq(ask_as("u", q).outcome, OUTCOME_OK);
    ck_assert_int_eq(ask_as(NULL, q).outcome, OUTCOME_NO_AUTH);
    const struct history *h = store_history(k.store);
    size_t seen = 0;
    for (uint64_t p = h->begin; p < h->end; p++) {
        seen += store_may_see(k.store, history_at(h, p), auth_kit_who(&who, "u"));
    }
    ck_assert_uint_eq(seen, 2); /* and nothing of users and roles */
}
END_TEST

/* ---- leases ------------------------------------------------------------------------------- */

#define SECRET "0123456789abcdef"

static enum outcome lease_as(const char *user, enum command_type type, uint64_t id,
                             enum lease_kind kind)
{
    struct command c = {.type = (uint8_t)type,
                        .lease = {.id = id,
                                  .ttl_ms = type == COMMAND_REVOKE ? 0 : 10000,
                                  .kind = type == COMMAND_RESUME ? 0 : (uint8_t)kind,
                                  .renewable = type == COMMAND_GRANT,
                                  .secret = slice_str(SECRET)}};
    if (kind == LEASE_PLAIN && type == COMMAND_REVOKE) {
        c.lease.secret = slice_make(NULL, 0);
    }
    return run_as(user, &c);
}

static enum outcome ephemeral_as(const char *user, const char *path, uint64_t lease)
{
    struct op op = kit_op(OP_CREATE, path, "x");
    op.kind = NODE_EPHEMERAL;
    op.lease = lease;
    return op_as(user, op);
}

START_TEST(a_session_is_its_user_s_alone)
{
    auth_kit_add(&k, "u", "/", ACL_ALL & ~ACL_ADMIN);
    auth_kit_add(&k, "v", "/", ACL_ALL & ~ACL_ADMIN);
    enable();
    ck_assert_int_eq(lease_as("u", COMMAND_GRANT, 7, LEASE_SESSION), OUTCOME_OK);
    struct op op = kit_op(OP_CREATE, "/a", "x");
    struct command c = {.type = COMMAND_TXN,
                        .session = 7,
                        .sequence = 1,
                        .txn = {.then_ops = &op, .then_count = 1}};
    ck_assert_int_eq(run_as("v", &c), OUTCOME_NO_AUTH);
    ck_assert_int_eq(run_as("u", &c), OUTCOME_OK);
    ck_assert_int_eq(run_as("v", &c), OUTCOME_NO_AUTH); /* nor is the reply told to others */
    ck_assert_int_eq(ephemeral_as("v", "/e", 7), OUTCOME_NO_AUTH);
    ck_assert_int_eq(ephemeral_as("u", "/e", 7), OUTCOME_OK);
    ck_assert_int_eq(lease_as("v", COMMAND_RESUME, 7, LEASE_SESSION), OUTCOME_NO_AUTH);
    ck_assert_int_eq(lease_as("v", COMMAND_REVOKE, 7, LEASE_SESSION), OUTCOME_NO_AUTH);
    ck_assert_int_eq(ask_as("v", (struct query){.type = QUERY_LEASE, .lease = 7}).outcome,
                     OUTCOME_NO_AUTH);
    ck_assert_uint_eq(ask_as("v", (struct query){.type = QUERY_LEASES}).lease_count, 0);
    ck_assert_uint_eq(ask_as("u", (struct query){.type = QUERY_LEASES}).lease_count, 1);
    ck_assert_uint_eq(ask_as("admin", (struct query){.type = QUERY_LEASES}).lease_count, 1);
    ck_assert_int_eq(lease_as("u", COMMAND_RESUME, 7, LEASE_SESSION), OUTCOME_OK);
    ck_assert_int_eq(lease_as("u", COMMAND_REVOKE, 7, LEASE_SESSION), OUTCOME_OK);
}
END_TEST

START_TEST(a_lease_is_its_user_s_and_administrators_may_end_it)
{
    auth_kit_add(&k, "u", "/", ACL_ALL & ~ACL_ADMIN);
    auth_kit_add(&k, "v", "/", ACL_ALL & ~ACL_ADMIN);
    enable();
    ck_assert_int_eq(lease_as("u", COMMAND_GRANT, 7, LEASE_PLAIN), OUTCOME_OK);
    ck_assert_int_eq(ephemeral_as("u", "/e", 7), OUTCOME_OK);
    deny("u", "/e", ACL_READ);
    struct query_result r = ask_as("u", (struct query){.type = QUERY_LEASE, .lease = 7});
    ck_assert_int_eq(r.outcome, OUTCOME_OK);
    ck_assert_uint_eq(r.leases[0].attached, 1);
    ck_assert_uint_eq(r.entry_count, 0); /* it may not be read */
    ck_assert_int_eq(lease_as("v", COMMAND_REVOKE, 7, LEASE_PLAIN), OUTCOME_NO_AUTH);
    ck_assert_int_eq(lease_as("admin", COMMAND_REVOKE, 7, LEASE_PLAIN), OUTCOME_OK);
}
END_TEST

/* A front end may have let it pass before it knew that authentication is enabled. */
START_TEST(a_lease_is_granted_to_somebody_and_a_session_to_anybody)
{
    enable();
    ck_assert_int_eq(lease_as(NULL, COMMAND_GRANT, 7, LEASE_PLAIN), OUTCOME_NO_AUTH);
    ck_assert_int_eq(lease_as("gone", COMMAND_GRANT, 7, LEASE_PLAIN), OUTCOME_NO_AUTH);
    ck_assert_int_eq(lease_as(NULL, COMMAND_GRANT, 8, LEASE_SESSION), OUTCOME_OK);
    ck_assert_uint_eq(store_lease_count(k.store), 1);
    ck_assert_int_eq(auth_kit_role(&k, "admin", AUTH_ROLE_ADD, AUTH_ANONYMOUS), OUTCOME_OK);
    ck_assert_int_eq(lease_as(NULL, COMMAND_GRANT, 7, LEASE_PLAIN), OUTCOME_OK);
}
END_TEST

START_TEST(a_session_older_than_authentication_is_whose_who_resumes_it_by_its_secret)
{
    auth_kit_add(&k, "u", "/", ACL_ALL & ~ACL_ADMIN);
    auth_kit_add(&k, "v", "/", ACL_ALL & ~ACL_ADMIN);
    ck_assert_int_eq(lease_as(NULL, COMMAND_GRANT, 7, LEASE_SESSION), OUTCOME_OK);
    enable();
    ck_assert_int_eq(ephemeral_as("u", "/e", 7), OUTCOME_NO_AUTH);
    ck_assert_int_eq(lease_as("u", COMMAND_RESUME, 7, LEASE_SESSION), OUTCOME_OK);
    ck_assert_int_eq(ephemeral_as("u", "/e", 7), OUTCOME_OK);
    ck_assert_int_eq(lease_as("v", COMMAND_RESUME, 7, LEASE_SESSION), OUTCOME_NO_AUTH);
}
END_TEST

/* A ZooKeeper client opens its session before it says who it is. */
START_TEST(who_holds_a_session_by_its_generation_need_not_be_its_user)
{
    auth_kit_add(&k, "u", "/", ACL_ALL & ~ACL_ADMIN);
    enable();
    ck_assert_int_eq(lease_as(NULL, COMMAND_GRANT, 7, LEASE_SESSION), OUTCOME_OK);
    struct op op = kit_op(OP_CREATE, "/e", "x");
    op.kind = NODE_EPHEMERAL;
    op.lease = 7;
    struct command c = {.type = COMMAND_TXN,
                        .session = 7,
                        .txn = {.then_ops = &op, .then_count = 1}};
    ck_assert_int_eq(run_as("u", &c), OUTCOME_NO_AUTH);
    c.by_owner = true;
    ck_assert_int_eq(run_as("u", &c), OUTCOME_OK);
}
END_TEST

static Suite *access_suite(void)
{
    Suite *suite = suite_create("access");
    TCase *rules = tcase_create("rules");
    tcase_add_checked_fixture(rules, setup, teardown);
    tcase_add_test(rules, a_grant_is_for_its_path_and_whole_components_below);
    tcase_add_test(rules,
                   the_longest_path_decides_and_a_denial_before_an_allowance_of_the_same);
    tcase_add_test(rules,
                   a_denial_of_one_role_wins_over_an_allowance_of_another_on_the_same_path);
    tcase_add_test(rules, root_and_super_may_everything_and_who_is_not_or_no_more_nothing);
    tcase_add_test(rules, who_is_nobody_may_what_the_role_anonymous_may_if_there_is_one);
    tcase_add_loop_test(rules, rules_are_those_of_a_naive_model_over_all_grants, 0, 100);
    suite_add_tcase(suite, rules);
    TCase *commands = tcase_create("commands");
    tcase_add_checked_fixture(commands, setup, teardown);
    tcase_add_loop_test(commands, each_operation_takes_its_own_right_on_its_own_path, 0, 6);
    tcase_add_test(commands, who_may_not_learns_not_even_whether_the_node_is_there);
    tcase_add_test(commands, an_operation_that_is_denied_takes_its_whole_transaction_back);
    tcase_add_test(commands, a_guard_takes_the_right_to_read_whichever_way_it_would_have_gone);
    tcase_add_test(commands, missing_parents_and_all_that_is_deleted_below_take_the_right_too);
    tcase_add_test(commands, a_sequential_create_is_asked_for_the_parent_and_for_the_path_it_gets);
    tcase_add_test(commands, keys_of_the_metadata_take_admin_at_the_top);
    tcase_add_test(commands, a_node_s_own_list_counts_next_to_roles_but_not_for_root);
    tcase_add_test(commands, which_version_it_is_is_told_to_who_may_read);
    tcase_add_test(commands, what_proved_a_user_does_so_until_his_password_is_another);
    tcase_add_test(commands, while_it_is_disabled_nobody_is_asked);
    suite_add_tcase(suite, commands);
    TCase *queries = tcase_create("queries");
    tcase_add_checked_fixture(queries, setup, teardown);
    tcase_add_test(queries, a_listing_shows_of_what_roles_deny_the_name_alone);
    tcase_add_test(queries, the_past_and_the_change_log_are_for_those_who_may_read_the_path);
    suite_add_tcase(suite, queries);
    TCase *leases = tcase_create("leases");
    tcase_add_checked_fixture(leases, setup, teardown);
    tcase_add_test(leases, a_session_is_its_user_s_alone);
    tcase_add_test(leases, a_lease_is_its_user_s_and_administrators_may_end_it);
    tcase_add_test(leases, a_lease_is_granted_to_somebody_and_a_session_to_anybody);
    tcase_add_test(leases,
                   a_session_older_than_authentication_is_whose_who_resumes_it_by_its_secret);
    tcase_add_test(leases, who_holds_a_session_by_its_generation_need_not_be_its_user);
    suite_add_tcase(suite, leases);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){access_suite, NULL});
}
