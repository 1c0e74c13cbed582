/* Authentication over gRPC: tokens, names and passwords, what revokes them, and who may call what.
 * Every method as every kind of caller: test_permissions.c. */
#include "coord/v1/auth.pb-c.h"
#include "coord/v1/cluster.pb-c.h"
#include "coord/v1/history.pb-c.h"
#include "coord/v1/lease.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "net/login.h"
#include "net/token.h"
#include "tests/support/auth_kit.h"
#include "tests/support/watch_client.h"

#define AUTH(name) "/coord.v1.Auth/" name
#define TREE(name) "/coord.v1.Tree/" name

#define HEADER_BYTES 700

/* "authorization" of a call. */
struct who {
    char value[HEADER_BYTES];
    const char *extra[3];
};

static const char *const *nobody(void)
{
    static const char *const none[] = {NULL};
    return none;
}

static const char *const *as_token(struct who *w, const char *token)
{
    (void)snprintf(w->value, sizeof w->value, "Bearer %s", token);
    w->extra[0] = "authorization";
    w->extra[1] = w->value;
    w->extra[2] = NULL;
    return w->extra;
}

static const char *const *as_basic(struct who *w, const char *base64)
{
    (void)as_token(w, "");
    (void)snprintf(w->value, sizeof w->value, "Basic %s", base64);
    return w->extra;
}

static struct peer_call *call_as(const char *const *who, const char *path,
                                 const ProtobufCMessage *message)
{
    struct peer_call *call = peer_call_open(peer, path, who);
    peer_call_send(call, message);
    peer_call_end(call);
    for (int i = 0; i < 8 && !call->is_closed; i++) {
        run();
    }
    return call;
}

static int code_as(const char *const *who, const char *path, const ProtobufCMessage *message)
{
    struct peer_call *call = call_as(who, path, message);
    int code = peer_call_code(call);
    peer_call_free(call);
    return code;
}

static int user_add(const char *const *who, const char *name, const char *password)
{
    Coord__V1__UserAddRequest request = COORD__V1__USER_ADD_REQUEST__INIT;
    request.user = text(name);
    request.password = text(password);
    return code_as(who, AUTH("UserAdd"), &request.base);
}

static int user_grant(const char *const *who, const char *user, const char *role)
{
    Coord__V1__UserGrantRoleRequest request = COORD__V1__USER_GRANT_ROLE_REQUEST__INIT;
    request.user = text(user);
    request.role = text(role);
    return code_as(who, AUTH("UserGrantRole"), &request.base);
}

static int enable(const char *const *who)
{
    Coord__V1__AuthEnableRequest request = COORD__V1__AUTH_ENABLE_REQUEST__INIT;
    request.token_ttl_ms = 60000;
    return code_as(who, AUTH("Enable"), &request.base);
}

static int get_as(const char *const *who, const char *path)
{
    Coord__V1__GetRequest request = COORD__V1__GET_REQUEST__INIT;
    request.path = text(path);
    return code_as(who, TREE("Get"), &request.base);
}

static struct peer_call *authenticate(const char *user, const char *password)
{
    Coord__V1__AuthenticateRequest request = COORD__V1__AUTHENTICATE_REQUEST__INIT;
    request.user = text(user);
    request.password = text(password);
    return call_as(nobody(), AUTH("Authenticate"), &request.base);
}

/* The token of a user whose password is right. */
static const char *const *as_user(struct who *w, const char *user, const char *password)
{
    struct peer_call *call = authenticate(user, password);
    ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s", peer_call_text(call));
    Coord__V1__AuthenticateReply *reply =
        peer_call_unpack(call, 0, &coord__v1__authenticate_reply__descriptor);
    (void)as_token(w, reply->token);
    coord__v1__authenticate_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
    return w->extra;
}

/* root "admin", and "u" without roles; enabled. */
static void open_enabled(void)
{
    world_open();
    ck_assert_int_eq(user_add(nobody(), "admin", "secret"), GRPC_OK);
    ck_assert_int_eq(user_grant(nobody(), "admin", "root"), GRPC_OK);
    ck_assert_int_eq(user_add(nobody(), "u", "pass"), GRPC_OK);
    ck_assert_int_eq(enable(nobody()), GRPC_OK);
}

/* ---- tokens ------------------------------------------------------------------------------- */

START_TEST(a_token_is_its_user_until_it_expires)
{
    struct who w;
    const char *const *admin = as_user(&w, "admin", "secret");
    ck_assert_int_eq(get_as(admin, "/"), GRPC_OK);
    ck_assert_int_eq(get_as(nobody(), "/"), GRPC_UNAUTHENTICATED);
    node->cluster_ms += 59999;
    ck_assert_int_eq(get_as(admin, "/"), GRPC_OK);
    node->cluster_ms += 1;
    ck_assert_int_eq(get_as(admin, "/"), GRPC_UNAUTHENTICATED);
}
END_TEST

START_TEST(a_changed_password_a_disabling_and_a_deletion_revoke_tokens)
{
    struct who w;
    struct who other;
    const char *const *admin = as_user(&w, "admin", "secret");
    const char *const *u = as_user(&other, "u", "pass");
    ck_assert_int_eq(get_as(u, "/"), GRPC_PERMISSION_DENIED);
    Coord__V1__UserChangePasswordRequest change = COORD__V1__USER_CHANGE_PASSWORD_REQUEST__INIT;
    change.user = text("u");
    change.password = text("new");
    ck_assert_int_eq(code_as(u, AUTH("UserChangePassword"), &change.base), GRPC_OK);
    ck_assert_int_eq(get_as(u, "/"), GRPC_UNAUTHENTICATED);
    struct peer_call *old = authenticate("u", "pass");
    ck_assert_int_eq(peer_call_code(old), GRPC_UNAUTHENTICATED);
    peer_call_free(old);
    u = as_user(&other, "u", "new");
    ck_assert_int_eq(get_as(u, "/"), GRPC_PERMISSION_DENIED);
    Coord__V1__UserDisableRequest disable = COORD__V1__USER_DISABLE_REQUEST__INIT;
    disable.user = text("u");
    ck_assert_int_eq(code_as(admin, AUTH("UserDisable"), &disable.base), GRPC_OK);
    ck_assert_int_eq(get_as(u, "/"), GRPC_UNAUTHENTICATED);
    disable.enable = true;
    ck_assert_int_eq(code_as(admin, AUTH("UserDisable"), &disable.base), GRPC_OK);
    ck_assert_int_eq(get_as(u, "/"), GRPC_UNAUTHENTICATED);
    u = as_user(&other, "u", "new");
    Coord__V1__UserDeleteRequest delete = COORD__V1__USER_DELETE_REQUEST__INIT;
    delete.user = text("u");
    ck_assert_int_eq(code_as(admin, AUTH("UserDelete"), &delete.base), GRPC_OK);
    ck_assert_int_eq(get_as(u, "/"), GRPC_UNAUTHENTICATED);
}
END_TEST

/* With the id of a session in its header. */
static void watch_in_session(const char *const *who, uint64_t id)
{
    Coord__V1__SessionRef session = COORD__V1__SESSION_REF__INIT;
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__WatchCreate request = subtree(1, "/");
    struct stream s = {.call = peer_call_open(peer, "/coord.v1.Watch/Watch", who)};
    session.id = id;
    header.session = &session;
    request.header = &header;
    ask_create(&s, &request);
    run();
    stream_close(&s);
    run();
}

START_TEST(a_watch_that_names_anothers_session_does_not_keep_it)
{
    struct who w;
    struct who other;
    struct buf identities = {0};
    const char *const *admin = as_user(&w, "admin", "secret");
    const char *const *u = as_user(&other, "u", "pass");
    struct command c = {.type = COMMAND_GRANT,
                        .lease = {.id = 77,
                                  .ttl_ms = 10000,
                                  .kind = 1,
                                  .renewable = true,
                                  .secret = slice_str("0123456789abcdef")}};
    c.identities = auth_kit_who(&identities, "admin");
    (void)apply(&c);
    buf_close(&identities);
    node->touched = 0;
    watch_in_session(u, 77);
    ck_assert_uint_eq(node->touched, 0);
    watch_in_session(admin, 77);
    ck_assert_uint_eq(node->touched, 77);
}
END_TEST

/* As others do it, elsewhere. */
static void change_in_the_log(struct command_auth what)
{
    struct reply reply;
    struct buf who = {0};
    struct command c = {.type = COMMAND_AUTH, .auth = what};
    c.identities = auth_kit_who(&who, "admin");
    struct apply_context context = {
        .index = ++node->index, .cluster_ms = node->cluster_ms, .last_of_entry = true};
    store_apply(node->store, &context, &c, &reply);
    ck_assert_int_eq(reply.outcome, OUTCOME_OK);
    buf_close(&who);
}

/* As on a member that is behind: the log has another password before the write. */
static void change_password_in_the_log(const char *user)
{
    change_in_the_log((struct command_auth){
        .action = AUTH_USER_PASSWORD, .user = slice_str(user), .secret = slice_str("hash")});
}

START_TEST(a_write_that_an_older_password_proved_is_refused_where_it_is_applied)
{
    struct who w;
    struct who other;
    const char *const *proofs[] = {as_user(&w, "admin", "secret"),
                                   as_basic(&other, "YWRtaW46c2VjcmV0")};
    Coord__V1__CreateRequest request = COORD__V1__CREATE_REQUEST__INIT;
    request.path = text("/late");
    node->is_held = true;
    struct peer_call *calls[2];
    for (int i = 0; i < 2; i++) {
        calls[i] = peer_call_open(peer, TREE("Create"), proofs[i]);
        peer_call_send(calls[i], &request.base);
        peer_call_end(calls[i]);
        run();
        run();
        ck_assert_uint_eq(node->pending, (size_t)i + 1);
    }
    change_password_in_the_log("admin");
    node->is_held = false;
    for (int i = 0; i < 2; i++) {
        for (int turn = 0; turn < 8 && !calls[i]->is_closed; turn++) {
            run();
        }
        int code = peer_call_code(calls[i]);
        ck_assert_msg(code == GRPC_PERMISSION_DENIED || code == GRPC_UNAUTHENTICATED, "%d", code);
        peer_call_free(calls[i]);
    }
    const struct query q = {.type = QUERY_EXISTS, .space = SPACE_NODES, .path = slice_str("/late")};
    struct query_result result;
    struct buf who = {0};
    struct query as_admin = q;
    as_admin.identities = auth_kit_who(&who, "admin");
    store_query(node->store, &as_admin, &result, &node->arena);
    ck_assert_int_eq(result.outcome, OUTCOME_NO_NODE);
    buf_close(&who);
}
END_TEST

START_TEST(a_token_that_was_touched_or_made_up_is_none)
{
    struct who w;
    (void)as_user(&w, "admin", "secret");
    for (size_t i = strlen("Bearer "); i < strlen(w.value); i += 7) {
        char was = w.value[i];
        w.value[i] = was == '0' ? '1' : '0';
        ck_assert_int_eq(get_as(w.extra, "/"), GRPC_UNAUTHENTICATED);
        w.value[i] = was;
    }
    ck_assert_int_eq(get_as(w.extra, "/"), GRPC_OK);
    static const char *const made_up[] = {"coord1.", "coord1.00.00", "x", "coord1..",
                                          "coord1.zz"};
    for (size_t i = 0; i < sizeof made_up / sizeof made_up[0]; i++) {
        struct who other;
        ck_assert_int_eq(get_as(as_token(&other, made_up[i]), "/"), GRPC_UNAUTHENTICATED);
    }
}
END_TEST

/* ---- names and passwords ------------------------------------------------------------------ */

START_TEST(a_name_and_a_password_with_the_call_do_as_well)
{
    struct who w;
    ck_assert_int_eq(get_as(as_basic(&w, "YWRtaW46c2VjcmV0"), "/"), GRPC_OK); /* admin:secret */
    ck_assert_int_eq(get_as(as_basic(&w, "YWRtaW46d3Jvbmc="), "/"), GRPC_UNAUTHENTICATED);
    ck_assert_int_eq(get_as(as_basic(&w, "bmVpdGhlcg=="), "/"), GRPC_UNAUTHENTICATED);
    ck_assert_int_eq(get_as(as_basic(&w, "?"), "/"), GRPC_UNAUTHENTICATED);
    (void)as_token(&w, "x");
    (void)snprintf(w.value, sizeof w.value, "Digest x");
    ck_assert_int_eq(get_as(w.extra, "/"), GRPC_UNAUTHENTICATED);
}
END_TEST

START_TEST(a_stream_waits_until_its_caller_is_known)
{
    struct who w;
    struct peer_call *call = peer_call_open(peer, "/coord.v1.Watch/Watch",
                                            as_basic(&w, "YWRtaW46c2VjcmV0"));
    Coord__V1__WatchCreate create = COORD__V1__WATCH_CREATE__INIT;
    Coord__V1__WatchRequest request = COORD__V1__WATCH_REQUEST__INIT;
    create.path = text("/");
    request.request_case = COORD__V1__WATCH_REQUEST__REQUEST_CREATE;
    request.create = &create;
    peer_call_send(call, &request.base);
    run();
    run();
    struct slice message;
    ck_assert(peer_call_message(call, 0, &message));
    ck_assert_int_eq(peer_call_code(call), -1);
    peer_call_free(call);
}
END_TEST

START_TEST(a_call_that_goes_while_its_password_is_looked_at_harms_nobody)
{
    struct who w;
    struct peer_call *call =
        peer_call_open(peer, TREE("Get"), as_basic(&w, "YWRtaW46c2VjcmV0"));
    peer_run_front(peer);
    peer_call_free(call);
    run();
    ck_assert_int_eq(get_as(as_basic(&w, "YWRtaW46c2VjcmV0"), "/"), GRPC_OK);
}
END_TEST

START_TEST(who_guesses_is_made_to_wait_and_who_was_right_before_is_not)
{
    struct who w;
    (void)as_user(&w, "admin", "secret");
    for (int i = 0; i < LOGIN_FAILURES_MAX; i++) {
        char guess[16];
        (void)snprintf(guess, sizeof guess, "guess%d", i);
        struct peer_call *call = authenticate("u", guess);
        ck_assert_int_eq(peer_call_code(call), GRPC_UNAUTHENTICATED);
        peer_call_free(call);
    }
    struct peer_call *call = authenticate("u", "pass");
    ck_assert_int_eq(peer_call_code(call), GRPC_RESOURCE_EXHAUSTED);
    peer_call_free(call);
    (void)as_user(&w, "admin", "secret");
    peer->env.now_ms += LOGIN_WINDOW_MS;
    node->now_ms = peer->env.now_ms;
    (void)as_user(&w, "u", "pass");
}
END_TEST

START_TEST(who_guesses_fills_no_more_than_half_of_the_queue)
{
    static struct login logins[LOGIN_PENDING_MAX];
    struct logins *l = logins_new(&peer->env.env, node, NULL, NULL);
    size_t taken = 0;
    size_t others = 0;
    for (size_t i = 0; i < LOGIN_PENDING_MAX; i++) {
        char from[32];
        (void)snprintf(from, sizeof from, "192.0.2.1:%zu", 1000 + i);
        taken += login_begin(l, &logins[i], slice_str("u"), slice_str("guess"), from) ==
                 LOGIN_PENDING;
    }
    ck_assert_uint_eq(taken, LOGIN_PENDING_OF_ONE_MAX);
    for (size_t i = taken; i < LOGIN_PENDING_MAX; i++) {
        others += login_begin(l, &logins[i], slice_str("u"), slice_str("pass"),
                              "192.0.2.2:1") == LOGIN_PENDING;
    }
    ck_assert_uint_eq(others, LOGIN_PENDING_MAX - taken);
    ck_assert_int_eq(login_begin(l, &logins[0], slice_str("u"), slice_str("pass"),
                                 "192.0.2.3:1"),
                     LOGIN_BUSY);
    logins_free(l);
}
END_TEST

START_TEST(who_does_not_exist_is_told_the_same_as_whose_password_is_wrong)
{
    struct peer_call *wrong = authenticate("u", "wrong");
    struct peer_call *none = authenticate("nobody", "wrong");
    ck_assert_int_eq(peer_call_code(none), GRPC_UNAUTHENTICATED);
    ck_assert_str_eq(peer_call_text(none), peer_call_text(wrong));
    peer_call_free(wrong);
    peer_call_free(none);
}
END_TEST

START_TEST(while_it_is_disabled_there_are_no_tokens_and_nobody_is_asked)
{
    struct who w;
    const char *const *admin = as_user(&w, "admin", "secret");
    Coord__V1__AuthDisableRequest request = COORD__V1__AUTH_DISABLE_REQUEST__INIT;
    ck_assert_int_eq(code_as(nobody(), AUTH("Disable"), &request.base), GRPC_UNAUTHENTICATED);
    ck_assert_int_eq(code_as(admin, AUTH("Disable"), &request.base), GRPC_OK);
    ck_assert_int_eq(get_as(nobody(), "/"), GRPC_OK);
    ck_assert_int_eq(get_as(admin, "/"), GRPC_OK);
    struct peer_call *call = authenticate("admin", "secret");
    ck_assert_int_eq(peer_call_code(call), GRPC_FAILED_PRECONDITION);
    peer_call_free(call);
    ck_assert_int_eq(enable(nobody()), GRPC_OK);
    ck_assert_int_eq(get_as(admin, "/"), GRPC_UNAUTHENTICATED); /* another key */
}
END_TEST

/* ---- refusals and answers ----------------------------------------------------------------- */

START_TEST(a_refusal_names_path_right_and_user)
{
    struct who w;
    const char *const *u = as_user(&w, "u", "pass");
    Coord__V1__SetRequest request = COORD__V1__SET_REQUEST__INIT;
    request.path = text("/a");
    struct peer_call *call = call_as(u, TREE("Set"), &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_PERMISSION_DENIED);
    ck_assert_str_eq(peer_call_text(call), "/a: write is not allowed to user u");
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), "NO_AUTH");
    peer_call_free(call);
}
END_TEST

START_TEST(nobody_locks_himself_out)
{
    struct who w;
    const char *const *admin = as_user(&w, "admin", "secret");
    Coord__V1__UserDeleteRequest request = COORD__V1__USER_DELETE_REQUEST__INIT;
    request.user = text("admin");
    struct peer_call *call = call_as(admin, AUTH("UserDelete"), &request.base);
    ck_assert_int_eq(peer_call_code(call), GRPC_FAILED_PRECONDITION);
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), "NO_ROOT");
    peer_call_free(call);
}
END_TEST

START_TEST(who_am_i_tells_everybody_who_he_is)
{
    struct who w;
    Coord__V1__WhoAmIRequest request = COORD__V1__WHO_AM_IREQUEST__INIT;
    struct peer_call *call =
        call_as(as_user(&w, "admin", "secret"), AUTH("WhoAmI"), &request.base);
    Coord__V1__WhoAmIReply *reply =
        peer_call_unpack(call, 0, &coord__v1__who_am_ireply__descriptor);
    ck_assert_str_eq(reply->user, "admin");
    ck_assert(reply->admin && reply->enabled);
    ck_assert_uint_eq(reply->n_roles, 1);
    ck_assert_str_eq(reply->roles[0], "root");
    ck_assert_uint_eq(reply->n_identities, 2); /* the address, too */
    coord__v1__who_am_ireply__free_unpacked(reply, NULL);
    peer_call_free(call);
    call = call_as(nobody(), AUTH("WhoAmI"), &request.base);
    reply = peer_call_unpack(call, 0, &coord__v1__who_am_ireply__descriptor);
    ck_assert_str_eq(reply->user, "anonymous");
    ck_assert(!reply->admin);
    coord__v1__who_am_ireply__free_unpacked(reply, NULL);
    peer_call_free(call);
}
END_TEST

START_TEST(no_answer_shows_a_hash_or_the_key)
{
    struct who w;
    const char *const *admin = as_user(&w, "admin", "secret");
    Coord__V1__UserListRequest request = COORD__V1__USER_LIST_REQUEST__INIT;
    struct peer_call *call = call_as(admin, AUTH("UserList"), &request.base);
    Coord__V1__UserListReply *reply =
        peer_call_unpack(call, 0, &coord__v1__user_list_reply__descriptor);
    ck_assert_uint_eq(reply->n_users, 2);
    ck_assert(reply->users[0]->has_password);
    coord__v1__user_list_reply__free_unpacked(reply, NULL);
    buf_append(&call->data, "", 1);
    for (size_t i = 0; i + 6 < call->data.size; i++) {
        ck_assert(memcmp(call->data.data + i, "scrypt", 6) != 0);
    }
    peer_call_free(call);
    Coord__V1__ChangesRequest changes = COORD__V1__CHANGES_REQUEST__INIT;
    changes.path = text("/");
    changes.recursive = true;
    call = call_as(admin, "/coord.v1.History/Changes", &changes.base);
    Coord__V1__ChangesReply *history =
        peer_call_unpack(call, 0, &coord__v1__changes_reply__descriptor);
    ck_assert_uint_eq(history->n_changes, 0); /* users and roles are no nodes */
    coord__v1__changes_reply__free_unpacked(history, NULL);
    peer_call_free(call);
}
END_TEST

static void expect_users(uint32_t limit, const char *names, size_t pages)
{
    struct who w;
    char found[128] = "";
    char after[AUTH_NAME_BYTES_MAX + 1] = "";
    do {
        Coord__V1__UserListRequest request = COORD__V1__USER_LIST_REQUEST__INIT;
        request.after = after;
        request.limit = limit;
        struct peer_call *call =
            call_as(as_user(&w, "admin", "secret"), AUTH("UserList"), &request.base);
        Coord__V1__UserListReply *reply =
            peer_call_unpack(call, 0, &coord__v1__user_list_reply__descriptor);
        ck_assert_msg(reply != NULL, "%s", peer_call_text(call));
        for (size_t i = 0; i < reply->n_users; i++) {
            size_t size = strlen(found);
            (void)snprintf(found + size, sizeof found - size, "%s ", reply->users[i]->name);
        }
        (void)snprintf(after, sizeof after, "%s", reply->next);
        coord__v1__user_list_reply__free_unpacked(reply, NULL);
        peer_call_free(call);
        pages--;
    } while (after[0] != '\0' && pages > 0);
    ck_assert_uint_eq(pages, 0);
    ck_assert_str_eq(after, "");
    ck_assert_str_eq(found, names);
}

START_TEST(users_are_listed_page_by_page)
{
    expect_users(0, "admin u ", 1);
    expect_users(1, "admin u ", 2);
    expect_users(2, "admin u ", 1);
}
END_TEST

/* Many clients of gRPC take no message of more than 4 MiB. */
START_TEST(roles_are_listed_as_many_as_fit)
{
    enum { ROLES = 3, GRANTS = 190, PATH_BYTES = 4000 };
    struct who w;
    char name[] = "z0";
    char path[PATH_BYTES + 1];
    char after[AUTH_NAME_BYTES_MAX + 1] = "";
    size_t found = 0;
    size_t pages = 0;
    memset(path, 'p', PATH_BYTES);
    path[0] = '/';
    path[PATH_BYTES] = '\0';
    for (int i = 0; i < ROLES; i++) {
        name[1] = (char)('0' + i);
        change_in_the_log(
            (struct command_auth){.action = AUTH_ROLE_ADD, .role = slice_str(name)});
        for (int k = 0; k < GRANTS; k++) {
            (void)snprintf(path + PATH_BYTES - 3, 4, "%03d", k);
            change_in_the_log((struct command_auth){.action = AUTH_ROLE_GRANT,
                                                    .role = slice_str(name),
                                                    .path = slice_str(path),
                                                    .rights = ACL_READ});
        }
    }
    do {
        Coord__V1__RoleListRequest request = COORD__V1__ROLE_LIST_REQUEST__INIT;
        request.after = after;
        struct peer_call *call =
            call_as(as_user(&w, "admin", "secret"), AUTH("RoleList"), &request.base);
        Coord__V1__RoleListReply *reply =
            peer_call_unpack(call, 0, &coord__v1__role_list_reply__descriptor);
        ck_assert_msg(reply != NULL, "%s", peer_call_text(call));
        ck_assert_uint_le(call->data.size, QUERY_PAGE_BYTES_MAX + 1024);
        for (size_t i = 0; i < reply->n_roles; i++) {
            name[1] = (char)('0' + found);
            bool is_ours = strcmp(reply->roles[i]->name, name) == 0;
            ck_assert(!is_ours || reply->roles[i]->n_grants == GRANTS);
            found += is_ours;
        }
        (void)snprintf(after, sizeof after, "%s", reply->next);
        coord__v1__role_list_reply__free_unpacked(reply, NULL);
        peer_call_free(call);
        pages++;
    } while (after[0] != '\0');
    ck_assert_uint_eq(found, ROLES);
    ck_assert_uint_eq(pages, 2);
}
END_TEST

/* ---- streams ------------------------------------------------------------------------------ */

START_TEST(a_watch_takes_the_right_to_read_its_path)
{
    struct who w;
    struct peer_call *call =
        peer_call_open(peer, "/coord.v1.Watch/Watch", as_user(&w, "u", "pass"));
    Coord__V1__WatchCreate create = COORD__V1__WATCH_CREATE__INIT;
    Coord__V1__WatchRequest request = COORD__V1__WATCH_REQUEST__INIT;
    create.path = text("/a");
    request.request_case = COORD__V1__WATCH_REQUEST__REQUEST_CREATE;
    request.create = &create;
    peer_call_send(call, &request.base);
    run();
    Coord__V1__WatchReply *reply =
        peer_call_unpack(call, 0, &coord__v1__watch_reply__descriptor);
    ck_assert_int_eq(reply->type, COORD__V1__WATCH_REPLY__TYPE__CANCELED);
    ck_assert_int_eq(reply->outcome, COORD__V1__OUTCOME__NO_AUTH);
    ck_assert_str_eq(reply->text, "/a: read is not allowed to user u");
    coord__v1__watch_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
}
END_TEST

static struct peer_call *watch_as(const char *const *who, const char *path)
{
    struct peer_call *call = peer_call_open(peer, "/coord.v1.Watch/Watch", who);
    Coord__V1__WatchCreate create = COORD__V1__WATCH_CREATE__INIT;
    Coord__V1__WatchRequest request = COORD__V1__WATCH_REQUEST__INIT;
    create.path = text(path);
    request.request_case = COORD__V1__WATCH_REQUEST__REQUEST_CREATE;
    request.create = &create;
    peer_call_send(call, &request.base);
    run();
    run();
    ck_assert_int_eq(peer_call_code(call), -1);
    return call;
}

static void role_give(const char *const *admin, const char *user, const char *role)
{
    Coord__V1__RoleAddRequest add = COORD__V1__ROLE_ADD_REQUEST__INIT;
    add.role = text(role);
    ck_assert_int_eq(code_as(admin, AUTH("RoleAdd"), &add.base), GRPC_OK);
    ck_assert_int_eq(user_grant(admin, user, role), GRPC_OK);
}

/* Of each kind that changes a user there is one stream that it ends; those of others go on. */
START_TEST(a_stream_ends_when_what_proved_its_user_does_so_no_more)
{
    struct who w;
    struct who other;
    const char *const *admin = as_user(&w, "admin", "secret");
    struct peer_call *stays = watch_as(admin, "/");
    for (int kind = 0; kind < 3; kind++) {
        struct peer_call *ends = watch_as(as_user(&other, "u", "pass"), "/a");
        role_give(admin, "u", kind == 0 ? "r0" : kind == 1 ? "r1" : "r2");
        run();
        ck_assert_int_eq(peer_call_code(ends), -1); /* other roles are no other proof */
        Coord__V1__UserChangePasswordRequest change =
            COORD__V1__USER_CHANGE_PASSWORD_REQUEST__INIT;
        Coord__V1__UserDisableRequest disable = COORD__V1__USER_DISABLE_REQUEST__INIT;
        Coord__V1__UserDeleteRequest delete = COORD__V1__USER_DELETE_REQUEST__INIT;
        change.user = disable.user = delete.user = text("u");
        change.password = text("pass");
        int code = kind == 0   ? code_as(admin, AUTH("UserChangePassword"), &change.base)
                   : kind == 1 ? code_as(admin, AUTH("UserDisable"), &disable.base)
                               : code_as(admin, AUTH("UserDelete"), &delete.base);
        ck_assert_int_eq(code, GRPC_OK);
        run();
        ck_assert_int_eq(peer_call_code(ends), GRPC_UNAUTHENTICATED);
        ck_assert_int_eq(peer_call_code(stays), -1);
        peer_call_free(ends);
        disable.enable = true;
        ck_assert(kind != 1 ||
                  code_as(admin, AUTH("UserDisable"), &disable.base) == GRPC_OK);
    }
    peer_call_free(stays);
}
END_TEST

START_TEST(a_stream_of_nobody_ends_when_everybody_is_asked)
{
    struct who w;
    const char *const *admin = as_user(&w, "admin", "secret");
    Coord__V1__AuthDisableRequest disable = COORD__V1__AUTH_DISABLE_REQUEST__INIT;
    ck_assert_int_eq(code_as(admin, AUTH("Disable"), &disable.base), GRPC_OK);
    struct peer_call *call = watch_as(nobody(), "/");
    ck_assert_int_eq(enable(nobody()), GRPC_OK);
    run();
    ck_assert_int_eq(peer_call_code(call), GRPC_UNAUTHENTICATED);
    peer_call_free(call);
}
END_TEST

/* Between headers and message a client may wait; nobody asks later who changed the members. */
START_TEST(a_call_that_began_before_its_user_lost_the_right_ends_with_its_message)
{
    struct who w;
    struct who other;
    Coord__V1__MemberRemoveRequest request = COORD__V1__MEMBER_REMOVE_REQUEST__INIT;
    Coord__V1__UserRevokeRoleRequest revoke = COORD__V1__USER_REVOKE_ROLE_REQUEST__INIT;
    const char *const *admin = as_user(&w, "admin", "secret");
    ck_assert_int_eq(user_grant(admin, "u", "root"), GRPC_OK);
    struct peer_call *call =
        peer_call_open(peer, "/coord.v1.Cluster/MemberRemove", as_user(&other, "u", "pass"));
    run();
    revoke.user = text("u");
    revoke.role = text("root");
    ck_assert_int_eq(code_as(admin, AUTH("UserRevokeRole"), &revoke.base), GRPC_OK);
    request.name = text("n2");
    peer_call_send(call, &request.base);
    peer_call_end(call);
    run();
    ck_assert_int_eq(peer_call_code(call), GRPC_PERMISSION_DENIED);
    ck_assert_ptr_null(node->change);
    peer_call_free(call);
}
END_TEST

START_TEST(a_call_of_nobody_that_began_before_everybody_is_asked_ends_with_its_message)
{
    struct who w;
    Coord__V1__MemberRemoveRequest request = COORD__V1__MEMBER_REMOVE_REQUEST__INIT;
    Coord__V1__AuthDisableRequest disable = COORD__V1__AUTH_DISABLE_REQUEST__INIT;
    const char *const *admin = as_user(&w, "admin", "secret");
    ck_assert_int_eq(code_as(admin, AUTH("Disable"), &disable.base), GRPC_OK);
    struct peer_call *call =
        peer_call_open(peer, "/coord.v1.Cluster/MemberRemove", nobody());
    run();
    ck_assert_int_eq(enable(nobody()), GRPC_OK);
    request.name = text("n2");
    peer_call_send(call, &request.base);
    peer_call_end(call);
    run();
    ck_assert_int_eq(peer_call_code(call), GRPC_UNAUTHENTICATED);
    ck_assert_ptr_null(node->change);
    peer_call_free(call);
}
END_TEST

/* ---- a state that is too old to tell ------------------------------------------------------ */

/* Of a member that starts: the log goes on, in what it has not applied yet, by enabling. */
static void open_behind(void)
{
    world_open();
    ck_assert_int_eq(user_add(nobody(), "admin", "secret"), GRPC_OK);
    ck_assert_int_eq(user_grant(nobody(), "admin", "root"), GRPC_OK);
    node->is_caught_up = false;
    node->is_held = true;
}

static void catch_up(void)
{
    struct reply reply;
    struct apply_context context = {.index = ++node->index, .last_of_entry = true};
    struct command c = {.type = COMMAND_AUTH,
                        .auth = {.action = AUTH_ENABLE,
                                 .secret = slice_str(AUTH_KIT_KEY),
                                 .token_ttl_ms = 60000}};
    store_apply(node->store, &context, &c, &reply);
    ck_assert_int_eq(reply.outcome, OUTCOME_OK);
    node->is_held = false;
    run();
}

static struct peer_call *begin_as(const char *const *who, const char *path,
                                  const ProtobufCMessage *message)
{
    struct peer_call *call = peer_call_open(peer, path, who);
    peer_call_send(call, message);
    peer_call_end(call);
    run();
    return call;
}

START_TEST(nobody_is_judged_by_a_state_that_has_not_caught_up)
{
    struct who w;
    struct peer_call *calls[5];
    Coord__V1__LeaseGrantRequest grant = COORD__V1__LEASE_GRANT_REQUEST__INIT;
    Coord__V1__GetRequest get = COORD__V1__GET_REQUEST__INIT;
    Coord__V1__RequestHeader local = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__AuthStatusRequest status = COORD__V1__AUTH_STATUS_REQUEST__INIT;
    grant.ttl_ms = 10000;
    local.consistency = COORD__V1__CONSISTENCY__LOCAL;
    get.path = text("/");
    get.header = &local;
    const char *const *admin = as_basic(&w, "YWRtaW46c2VjcmV0"); /* admin:secret */
    calls[0] = begin_as(nobody(), "/coord.v1.Lease/Grant", &grant.base);
    calls[1] = begin_as(nobody(), TREE("Get"), &get.base);
    calls[2] = watch_as(nobody(), "/");
    calls[3] = begin_as(nobody(), AUTH("Status"), &status.base);
    calls[4] = begin_as(admin, TREE("Get"), &get.base);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(peer_call_code(calls[i]), -1);
        ck_assert_uint_eq(calls[i]->data.size, 0);
    }
    catch_up();
    for (int i = 0; i < 8 && !calls[4]->is_closed; i++) { /* a worker looks at the password */
        run();
    }
    ck_assert_int_eq(peer_call_code(calls[0]), GRPC_UNAUTHENTICATED);
    ck_assert_int_eq(peer_call_code(calls[1]), GRPC_UNAUTHENTICATED);
    ck_assert_int_eq(peer_call_code(calls[2]), GRPC_UNAUTHENTICATED);
    ck_assert_int_eq(peer_call_code(calls[3]), GRPC_OK);
    ck_assert_int_eq(peer_call_code(calls[4]), GRPC_OK);
    ck_assert_uint_eq(store_lease_count(node->store), 0);
    Coord__V1__AuthStatusReply *reply =
        peer_call_unpack(calls[3], 0, &coord__v1__auth_status_reply__descriptor);
    ck_assert(reply->enabled);
    coord__v1__auth_status_reply__free_unpacked(reply, NULL);
    for (size_t i = 0; i < 5; i++) {
        peer_call_free(calls[i]);
    }
    ck_assert_uint_eq(node->pending, 0);
}
END_TEST

START_TEST(what_a_member_is_it_tells_before_its_state_has_caught_up)
{
    Coord__V1__StatusRequest status = COORD__V1__STATUS_REQUEST__INIT;
    Grpc__Health__V1__HealthCheckRequest health = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    node->is_held = false;
    node->finish_rc = RC_NO_LEADER;
    ck_assert_int_eq(code_as(nobody(), "/coord.v1.Cluster/Status", &status.base), GRPC_OK);
    ck_assert_int_eq(code_as(nobody(), "/grpc.health.v1.Health/Check", &health.base), GRPC_OK);
    ck_assert_int_eq(get_as(nobody(), "/"), GRPC_UNAVAILABLE);
    node->submit_rc = RC_STOPPED;
    ck_assert_int_eq(get_as(nobody(), "/"), GRPC_UNAVAILABLE);
    ck_assert_uint_eq(node->pending, 0);
}
END_TEST

START_TEST(calls_that_go_or_are_late_while_the_state_catches_up_harm_nobody)
{
    Coord__V1__GetRequest get = COORD__V1__GET_REQUEST__INIT;
    static const char *const hurried[] = {"grpc-timeout", "100m", NULL};
    get.path = text("/");
    struct peer_call *gone = begin_as(nobody(), TREE("Get"), &get.base);
    struct peer_call *late = begin_as(hurried, TREE("Get"), &get.base);
    struct peer_call *stream = watch_as(nobody(), "/");
    ck_assert_uint_eq(node->pending, 3);
    http2_stream_reset(&gone->stream, HTTP2_CANCEL);
    run();
    ck_assert_uint_eq(node->pending, 2);
    ck_assert_uint_eq(node->cancelled, 1);
    node->now_ms = peer->env.now_ms + 100;
    peer_advance(peer, 100);
    ck_assert_int_eq(peer_call_code(late), GRPC_DEADLINE_EXCEEDED);
    ck_assert_int_eq(peer_call_code(stream), -1);
    catch_up();
    ck_assert_int_eq(peer_call_code(stream), GRPC_UNAUTHENTICATED);
    peer_call_free(gone);
    peer_call_free(late);
    peer_call_free(stream);
    ck_assert_uint_eq(node->pending, 0);
}
END_TEST

/* The leader takes this member's word for who asks, so that word is never an old one. */
START_TEST(changes_of_members_wait_until_the_state_is_confirmed)
{
    Coord__V1__MemberRemoveRequest request = COORD__V1__MEMBER_REMOVE_REQUEST__INIT;
    request.name = text("n2");
    node->is_caught_up = true; /* since long, but cut off when authentication was enabled */
    struct peer_call *call =
        begin_as(nobody(), "/coord.v1.Cluster/MemberRemove", &request.base);
    ck_assert_int_eq(peer_call_code(call), -1);
    ck_assert_ptr_null(node->change);
    catch_up();
    ck_assert_int_eq(peer_call_code(call), GRPC_UNAUTHENTICATED);
    ck_assert_ptr_null(node->change);
    peer_call_free(call);
}
END_TEST

/* Every password here costs what a guess is to cost, a dozen of them in one test; the machine may
 * be busy with something else. Their waits are of the tests' own clock. */
#define TEST_LIMIT_S 600

static Suite *auth_suite(void)
{
    Suite *suite = suite_create("auth");
    TCase *tokens = tcase_create("tokens");
    tcase_set_timeout(tokens, TEST_LIMIT_S);
    tcase_add_checked_fixture(tokens, open_enabled, world_close);
    tcase_add_test(tokens, a_token_is_its_user_until_it_expires);
    tcase_add_test(tokens, a_changed_password_a_disabling_and_a_deletion_revoke_tokens);
    tcase_add_test(tokens, a_token_that_was_touched_or_made_up_is_none);
    tcase_add_test(tokens, a_write_that_an_older_password_proved_is_refused_where_it_is_applied);
    TCase *watches = tcase_create("watches");
    tcase_add_checked_fixture(watches, open_enabled, world_close);
    tcase_add_test(watches, a_watch_that_names_anothers_session_does_not_keep_it);
    suite_add_tcase(suite, watches);
    suite_add_tcase(suite, tokens);
    TCase *passwords = tcase_create("passwords");
    tcase_set_timeout(passwords, TEST_LIMIT_S);
    tcase_add_checked_fixture(passwords, open_enabled, world_close);
    tcase_add_test(passwords, a_name_and_a_password_with_the_call_do_as_well);
    tcase_add_test(passwords, a_stream_waits_until_its_caller_is_known);
    tcase_add_test(passwords, a_call_that_goes_while_its_password_is_looked_at_harms_nobody);
    tcase_add_test(passwords, who_guesses_is_made_to_wait_and_who_was_right_before_is_not);
    tcase_add_test(passwords, who_guesses_fills_no_more_than_half_of_the_queue);
    tcase_add_test(passwords, who_does_not_exist_is_told_the_same_as_whose_password_is_wrong);
    tcase_add_test(passwords, while_it_is_disabled_there_are_no_tokens_and_nobody_is_asked);
    suite_add_tcase(suite, passwords);
    TCase *answers = tcase_create("answers");
    tcase_set_timeout(answers, TEST_LIMIT_S);
    tcase_add_checked_fixture(answers, open_enabled, world_close);
    tcase_add_test(answers, a_refusal_names_path_right_and_user);
    tcase_add_test(answers, nobody_locks_himself_out);
    tcase_add_test(answers, who_am_i_tells_everybody_who_he_is);
    tcase_add_test(answers, users_are_listed_page_by_page);
    tcase_add_test(answers, roles_are_listed_as_many_as_fit);
    tcase_add_test(answers, no_answer_shows_a_hash_or_the_key);
    tcase_add_test(answers, a_watch_takes_the_right_to_read_its_path);
    suite_add_tcase(suite, answers);
    TCase *streams = tcase_create("streams");
    tcase_set_timeout(streams, TEST_LIMIT_S);
    tcase_add_checked_fixture(streams, open_enabled, world_close);
    tcase_add_test(streams, a_stream_ends_when_what_proved_its_user_does_so_no_more);
    tcase_add_test(streams, a_stream_of_nobody_ends_when_everybody_is_asked);
    tcase_add_test(streams,
                   a_call_that_began_before_its_user_lost_the_right_ends_with_its_message);
    tcase_add_test(streams,
                   a_call_of_nobody_that_began_before_everybody_is_asked_ends_with_its_message);
    suite_add_tcase(suite, streams);
    TCase *behind = tcase_create("behind");
    tcase_set_timeout(behind, TEST_LIMIT_S);
    tcase_add_checked_fixture(behind, open_behind, world_close);
    tcase_add_test(behind, nobody_is_judged_by_a_state_that_has_not_caught_up);
    tcase_add_test(behind, what_a_member_is_it_tells_before_its_state_has_caught_up);
    tcase_add_test(behind, calls_that_go_or_are_late_while_the_state_catches_up_harm_nobody);
    tcase_add_test(behind, changes_of_members_wait_until_the_state_is_confirmed);
    suite_add_tcase(suite, behind);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){auth_suite, NULL});
}
