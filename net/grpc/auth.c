/* coord.v1.Auth: users and roles, tokens, and who is asking. Changes are commands (COMMAND_AUTH),
 * and apply decides who may make them; passwords are hashed first, off the loop (net/login.h). */
#include "coord/v1/auth.pb-c.h"
#include "net/grpc/answer.h"
#include "net/grpc/audit.h"
#include "net/identity.h"
#include "net/token.h"
#include "store/access.h"
#include "store/store.h"

static const struct auth *auth_of(const struct grpc_call *call)
{
    return store_auth(node_store(grpc_call_node(call)));
}

/* ---- changes ------------------------------------------------------------------------------ */

static void change_written(struct grpc_call *call, const struct reply *reply)
{
    if (reply->outcome != OUTCOME_OK) {
        answer_refuse(call, buf_slice(&call->path), reply->outcome, reply->revision);
        return;
    }
    if (!answer_fits(call, reply, !reply->has_lease && reply->result_count == 0)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__AuthChangeReply message;
    coord__v1__auth_change_reply__init(&message);
    message.header = &header;
    grpc_call_reply(call, &message.base);
}

static void change_propose(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                           struct command_auth what)
{
    struct command c = {.type = COMMAND_AUTH, .auth = what};
    bool is_role = what.action >= AUTH_ROLE_ADD && what.action <= AUTH_ROLE_REVOKE;
    struct slice name = is_role ? what.role : what.user;
    if (!answer_write_prepare(call, header, &c)) {
        return;
    }
    buf_clear(&call->path);
    buf_append_str(&call->path, is_role              ? "role "
                                : what.user.size > 0 ? "user "
                                                     : "authentication");
    buf_append_slice(&call->path, name);
    answer_propose(call, &c, change_written);
}

static void enable_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__AuthEnableRequest *request = (const Coord__V1__AuthEnableRequest *)message;
    struct env *env = call->connection->env->env;
    uint8_t key[AUTH_KEY_BYTES];
    env->random(env, key, sizeof key);
    change_propose(call, request->header,
                   (struct command_auth){.action = AUTH_ENABLE,
                                         .secret = slice_make(key, sizeof key),
                                         .token_ttl_ms = request->token_ttl_ms != 0
                                                             ? request->token_ttl_ms
                                                             : AUTH_TOKEN_TTL_MS_DEFAULT});
    password_wipe(key, sizeof key);
}

static void disable_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__AuthDisableRequest *request =
        (const Coord__V1__AuthDisableRequest *)message;
    change_propose(call, request->header, (struct command_auth){.action = AUTH_DISABLE});
}

static void user_delete_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__UserDeleteRequest *request = (const Coord__V1__UserDeleteRequest *)message;
    change_propose(
        call, request->header,
        (struct command_auth){.action = AUTH_USER_DELETE, .user = slice_str(request->user)});
}

static void user_disable_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__UserDisableRequest *request =
        (const Coord__V1__UserDisableRequest *)message;
    change_propose(call, request->header,
                   (struct command_auth){.action = AUTH_USER_DISABLE,
                                         .user = slice_str(request->user),
                                         .flag = !request->enable});
}

static void user_limit_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__UserLimitRequest *request = (const Coord__V1__UserLimitRequest *)message;
    struct command_auth what = {.action = AUTH_USER_LIMIT, .user = slice_str(request->user)};
    if (request->limits != NULL) {
        what.limits = (struct auth_limits){
            .requests_per_second = request->limits->requests_per_second,
            .connections = request->limits->connections,
            .watches = request->limits->watches,
            .leases = request->limits->leases,
        };
    }
    change_propose(call, request->header, what);
}

static void user_grant_role_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__UserGrantRoleRequest *request =
        (const Coord__V1__UserGrantRoleRequest *)message;
    change_propose(call, request->header,
                   (struct command_auth){.action = AUTH_USER_GRANT,
                                         .user = slice_str(request->user),
                                         .role = slice_str(request->role)});
}

static void user_revoke_role_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__UserRevokeRoleRequest *request =
        (const Coord__V1__UserRevokeRoleRequest *)message;
    change_propose(call, request->header,
                   (struct command_auth){.action = AUTH_USER_REVOKE,
                                         .user = slice_str(request->user),
                                         .role = slice_str(request->role)});
}

static void role_add_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__RoleAddRequest *request = (const Coord__V1__RoleAddRequest *)message;
    change_propose(
        call, request->header,
        (struct command_auth){.action = AUTH_ROLE_ADD, .role = slice_str(request->role)});
}

static void role_delete_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__RoleDeleteRequest *request = (const Coord__V1__RoleDeleteRequest *)message;
    change_propose(
        call, request->header,
        (struct command_auth){.action = AUTH_ROLE_DELETE, .role = slice_str(request->role)});
}

/* Rights that do not fit a byte are none. */
static void grant_propose(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                          enum auth_action action, const char *role,
                          const Coord__V1__Grant *grant)
{
    static const Coord__V1__Grant none = COORD__V1__GRANT__INIT;
    const Coord__V1__Grant *g = grant != NULL ? grant : &none;
    change_propose(call, header,
                   (struct command_auth){
                       .action = (uint8_t)action,
                       .role = slice_str(role),
                       .path = slice_str(g->path),
                       .rights = g->rights <= ACL_ALL ? (uint8_t)g->rights : UINT8_MAX,
                       .flag = g->deny});
}

static void role_grant_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__RoleGrantRequest *request = (const Coord__V1__RoleGrantRequest *)message;
    grant_propose(call, request->header, AUTH_ROLE_GRANT, request->role, request->grant);
}

static void role_revoke_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__RoleRevokeRequest *request = (const Coord__V1__RoleRevokeRequest *)message;
    grant_propose(call, request->header, AUTH_ROLE_REVOKE, request->role, request->grant);
}

/* ---- passwords ---------------------------------------------------------------------------- */

/* The request waits, without its password, for the hash of that. UserAddRequest and
 * UserChangePasswordRequest are the same on the wire. */
static void password_hashed(struct login *l, enum login_result result)
{
    struct grpc_call *call = l->owner;
    if (result != LOGIN_OK) {
        grpc_call_refuse_login(call, result);
        return;
    }
    Coord__V1__UserAddRequest *request =
        coord__v1__user_add_request__unpack(NULL, call->path.size, call->path.data);
    change_propose(call, request->header,
                   (struct command_auth){.action = (uint8_t)call->word,
                                         .user = slice_str(request->user),
                                         .secret = buf_slice(&l->hash)});
    buf_close(&l->hash);
    coord__v1__user_add_request__free_unpacked(request, NULL);
}

static void password_set(struct grpc_call *call, enum auth_action action,
                         const Coord__V1__UserAddRequest *request)
{
    struct slice password = slice_str(request->password);
    struct slice user = slice_str(request->user);
    struct errmsg err;
    if (password.size == 0) {
        change_propose(call, request->header,
                       (struct command_auth){.action = (uint8_t)action, .user = user});
        return;
    }
    if (auth_name_check("user", user, &err) != OUTCOME_OK) {
        answer_refuse_early(call, OUTCOME_BAD_ARGUMENTS, &err);
        return;
    }
    if (password.size > PASSWORD_BYTES_MAX) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT,
                       "password: %zu bytes, the limit is %zu", password.size,
                       PASSWORD_BYTES_MAX);
        return;
    }
    Coord__V1__UserAddRequest kept = *request;
    kept.password = answer_text("");
    buf_clear(&call->path);
    size_t bytes = coord__v1__user_add_request__get_packed_size(&kept);
    (void)coord__v1__user_add_request__pack(&kept, buf_extend(&call->path, bytes));
    call->word = action;
    call->login.done = password_hashed;
    call->login.owner = call;
    enum login_result result =
        login_hash(call->connection->env->logins, &call->login, password);
    if (result != LOGIN_PENDING) {
        grpc_call_refuse_login(call, result);
    }
}

static void user_add_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    password_set(call, AUTH_USER_ADD, (const Coord__V1__UserAddRequest *)message);
}

/* Who may not, is told before a worker is bothered; what counts is what apply says. */
static void user_change_password_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__UserChangePasswordRequest *request =
        (const Coord__V1__UserChangePasswordRequest *)message;
    struct access access;
    access_begin(&access, node_store(grpc_call_node(call)), grpc_call_identities(call));
    if (!access_is_admin(&access) && !slice_is(access.user, request->user)) {
        grpc_call_refuse_admin(call);
        return;
    }
    Coord__V1__UserAddRequest same = COORD__V1__USER_ADD_REQUEST__INIT;
    same.header = request->header;
    same.user = request->user;
    same.password = request->password;
    password_set(call, AUTH_USER_PASSWORD, &same);
}

/* ---- tokens ------------------------------------------------------------------------------- */

static void authenticated(struct login *l, enum login_result result)
{
    struct grpc_call *call = l->owner;
    const struct auth *auth = auth_of(call);
    const struct auth_user *user = auth_find_user(auth, slice_make(l->user, l->user_bytes));
    if (result == LOGIN_OK && (user == NULL || !auth->is_enabled)) {
        result = LOGIN_WRONG; /* it has gone meanwhile */
    }
    if (result != LOGIN_OK) {
        grpc_call_refuse_login(call, result);
        return;
    }
    struct buf token = {0};
    token_make(&token, auth, user,
               node_cluster_ms(grpc_call_node(call)) + auth->token_ttl_ms);
    Coord__V1__ReplyHeader header = answer_header_of_now(call);
    Coord__V1__AuthenticateReply message;
    coord__v1__authenticate_reply__init(&message);
    message.header = &header;
    message.token = answer_copy(call, buf_slice(&token));
    message.ttl_ms = auth->token_ttl_ms;
    grpc_call_reply(call, &message.base);
    password_wipe(token.data, token.size);
    buf_close(&token);
}

static void authenticate_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__AuthenticateRequest *request =
        (const Coord__V1__AuthenticateRequest *)message;
    if (!answer_session(call, request->header)) {
        return;
    }
    if (!auth_of(call)->is_enabled) {
        grpc_call_fail(call, GRPC_FAILED_PRECONDITION, "authentication is not enabled");
        return;
    }
    grpc_audit_login(call, slice_str(request->user));
    call->login.done = authenticated;
    call->login.owner = call;
    enum login_result result =
        login_begin(call->connection->env->logins, &call->login, slice_str(request->user),
                    slice_str(request->password), call->connection->env->peer);
    if (result != LOGIN_PENDING) {
        authenticated(&call->login, result);
    }
}

/* ---- asking ------------------------------------------------------------------------------- */

static void status_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    const struct auth *auth = auth_of(call);
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__AuthStatusReply message;
    coord__v1__auth_status_reply__init(&message);
    message.header = &header;
    message.enabled = auth->is_enabled;
    message.token_ttl_ms = auth->token_ttl_ms;
    message.users = auth->user_count;
    message.roles = auth->role_count;
    grpc_call_reply(call, &message.base);
}

static void barrier_read(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                         const char *name,
                         void (*got)(struct grpc_call *, const struct query_result *))
{
    if (answer_read_prepare(call, header)) {
        buf_clear(&call->path);
        buf_append_str(&call->path, name);
        call->read.is_barrier = true;
        grpc_call_read(call, got);
    }
}

static void status_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    barrier_read(call, ((const Coord__V1__AuthStatusRequest *)message)->header, "", status_got);
}

static char **names_fill(struct grpc_call *call, const struct slice *names, size_t count)
{
    char **list = grpc_call_scratch(call, count * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        list[i] = answer_copy(call, names[i]);
    }
    return list;
}

static void who_am_i_identities(struct grpc_call *call, Coord__V1__WhoAmIReply *message)
{
    struct unpack u = unpack_make(grpc_call_identities(call));
    message->identities = grpc_call_scratch(call, IDENTITIES_MAX * sizeof(Coord__V1__Identity *));
    while (u.rest.size > 0 && !u.failed) {
        struct acl_entry entry = {.scheme = unpack_bytes(&u)};
        entry.id = unpack_bytes(&u);
        if (!identity_is_shown(entry.scheme)) {
            continue;
        }
        Coord__V1__Identity *to = grpc_call_scratch(call, sizeof *to);
        coord__v1__identity__init(to);
        to->scheme = answer_copy(call, entry.scheme);
        to->id = answer_copy(call, identity_shown(&entry, &call->connection->shared->scratch));
        message->identities[message->n_identities++] = to;
    }
}

static void who_am_i_call(struct grpc_call *call, const ProtobufCMessage *request)
{
    if (!answer_session(call, ((const Coord__V1__WhoAmIRequest *)request)->header)) {
        return;
    }
    const struct auth *auth = auth_of(call);
    struct access access;
    access_begin(&access, node_store(grpc_call_node(call)), grpc_call_identities(call));
    const struct auth_user *user = auth_find_user(auth, access.user);
    Coord__V1__ReplyHeader header =
        answer_header(call, store_revision(access.store), store_applied_index(access.store));
    Coord__V1__WhoAmIReply message;
    coord__v1__who_am_ireply__init(&message);
    message.header = &header;
    message.enabled = auth->is_enabled;
    message.user = answer_copy(call, access.user);
    if (user != NULL) {
        message.roles = names_fill(call, user->role_names, user->role_name_count);
        message.n_roles = user->role_name_count;
    }
    message.admin = access_is_admin(&access);
    who_am_i_identities(call, &message);
    grpc_call_reply(call, &message.base);
}

static Coord__V1__UserLimits *limits_fill(struct grpc_call *call,
                                          const struct auth_limits *limits)
{
    if (limits == NULL) {
        return NULL;
    }
    Coord__V1__UserLimits *to = grpc_call_scratch(call, sizeof *to);
    coord__v1__user_limits__init(to);
    to->requests_per_second = limits->requests_per_second;
    to->connections = limits->connections;
    to->watches = limits->watches;
    to->leases = limits->leases;
    return to;
}

static Coord__V1__User *user_fill(struct grpc_call *call, const struct auth_user *user)
{
    Coord__V1__User *to = grpc_call_scratch(call, sizeof *to);
    coord__v1__user__init(to);
    to->name = answer_copy(call, user->name);
    to->disabled = user->is_disabled;
    to->has_password = user->hash.size > 0;
    to->roles = names_fill(call, user->role_names, user->role_name_count);
    to->n_roles = user->role_name_count;
    to->limits = limits_fill(call, auth_find_limits(auth_of(call), user->name));
    return to;
}

/* What is asked about a user or a role that is his own needs no administrator. */
static bool may_ask(struct grpc_call *call, bool is_role)
{
    struct access access;
    access_begin(&access, node_store(grpc_call_node(call)), grpc_call_identities(call));
    const struct auth_user *user = auth_find_user(auth_of(call), access.user);
    struct slice name = buf_slice(&call->path);
    bool is_own = !is_role && slice_equal(access.user, name);
    for (uint32_t i = 0; is_role && user != NULL && i < user->role_name_count; i++) {
        is_own = is_own || slice_equal(user->role_names[i], name);
    }
    if ((access.is_somebody && is_own) || access_is_admin(&access)) {
        return true;
    }
    grpc_call_refuse_admin(call);
    return false;
}

static void user_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result;
    const struct auth_user *user = auth_find_user(auth_of(call), buf_slice(&call->path));
    const struct auth_user limited = {.name = buf_slice(&call->path)}; /* that is no user */
    if (!may_ask(call, false)) {
        return;
    }
    if (user == NULL && auth_find_limits(auth_of(call), limited.name) != NULL) {
        user = &limited;
    }
    if (user == NULL) {
        answer_refuse(call, buf_slice(&call->path), OUTCOME_NO_USER,
                      store_revision(node_store(grpc_call_node(call))));
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__UserGetReply message;
    coord__v1__user_get_reply__init(&message);
    message.header = &header;
    message.user = user_fill(call, user);
    grpc_call_reply(call, &message.base);
}

static void user_get_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__UserGetRequest *request = (const Coord__V1__UserGetRequest *)message;
    barrier_read(call, request->header, request->user, user_got);
}

enum { LIST_REPLY_ITEMS = 2, LIST_REPLY_NEXT = 3 };

static void users_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result;
    const struct auth *auth = auth_of(call);
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__UserListReply message;
    coord__v1__user_list_reply__init(&message);
    message.header = &header;
    struct answer_list list = answer_list_begin(call, &message.base);
    bool more = false;
    for (uint32_t i = 0; i < auth->user_count && !more; i++) {
        struct slice name = auth->users[i].name;
        more = answer_list_wants(&list, name) &&
               !answer_list_add(&list, LIST_REPLY_ITEMS, name,
                                &user_fill(call, &auth->users[i])->base);
    }
    answer_list_end(&list, LIST_REPLY_NEXT, more);
}

static void user_list_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__UserListRequest *request = (const Coord__V1__UserListRequest *)message;
    answer_list_ask(call, request->header, request->after, request->limit, users_got);
}

static Coord__V1__Role *role_fill(struct grpc_call *call, const struct auth_role *role)
{
    Coord__V1__Role *to = grpc_call_scratch(call, sizeof *to);
    coord__v1__role__init(to);
    to->name = answer_copy(call, role->name);
    to->grants = grpc_call_scratch(call, 2 * role->rule_count * sizeof(Coord__V1__Grant *));
    for (uint32_t i = 0; i < 2 * role->rule_count; i++) {
        const struct auth_rule *rule = &role->rules[i / 2];
        bool is_denial = i % 2 == 1;
        uint32_t rights = is_denial ? rule->deny : rule->allow;
        if (rights != 0) {
            Coord__V1__Grant *grant = grpc_call_scratch(call, sizeof *grant);
            coord__v1__grant__init(grant);
            grant->path = answer_copy(call, rule->path);
            grant->rights = rights;
            grant->deny = is_denial;
            to->grants[to->n_grants++] = grant;
        }
    }
    return to;
}

static void role_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result;
    static const struct auth_rule everything = {{(const uint8_t *)"/", 1}, ACL_ALL, 0};
    struct auth_rule rules[1] = {everything};
    const struct auth_role root = {slice_str(AUTH_ROLE_ROOT), rules, 1};
    const struct auth_role *role = slice_is(buf_slice(&call->path), AUTH_ROLE_ROOT)
                                       ? &root
                                       : auth_find_role(auth_of(call), buf_slice(&call->path));
    if (!may_ask(call, true)) {
        return;
    }
    if (role == NULL) {
        answer_refuse(call, buf_slice(&call->path), OUTCOME_NO_ROLE,
                      store_revision(node_store(grpc_call_node(call))));
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__RoleGetReply message;
    coord__v1__role_get_reply__init(&message);
    message.header = &header;
    message.role = role_fill(call, role);
    grpc_call_reply(call, &message.base);
}

static void role_get_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__RoleGetRequest *request = (const Coord__V1__RoleGetRequest *)message;
    barrier_read(call, request->header, request->role, role_got);
}

static void roles_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result;
    const struct auth *auth = auth_of(call);
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__RoleListReply message;
    coord__v1__role_list_reply__init(&message);
    message.header = &header;
    struct answer_list list = answer_list_begin(call, &message.base);
    bool more = false;
    for (uint32_t i = 0; i < auth->role_count && !more; i++) {
        struct slice name = auth->roles[i].name;
        more = answer_list_wants(&list, name) &&
               !answer_list_add(&list, LIST_REPLY_ITEMS, name,
                                &role_fill(call, &auth->roles[i])->base);
    }
    answer_list_end(&list, LIST_REPLY_NEXT, more);
}

static void role_list_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__RoleListRequest *request = (const Coord__V1__RoleListRequest *)message;
    answer_list_ask(call, request->header, request->after, request->limit, roles_got);
}

/* ---- the service -------------------------------------------------------------------------- */

#define METHOD_OF(rpc, type, function, class)                                       \
    {                                                                               \
        .name = rpc, .request = &coord__v1__##type##__descriptor, .audit = (class), \
        .message = function                                                         \
    }
#define METHOD(rpc, type, function) METHOD_OF(rpc, type, function, AUDIT_WRITE)
#define LISTING(rpc, type, function) METHOD_OF(rpc, type, function, AUDIT_READ)

static const struct grpc_method methods[] = {
    METHOD("Enable", auth_enable_request, enable_call),
    METHOD("Disable", auth_disable_request, disable_call),
    {.name = "Status",
     .audit = AUDIT_READ,
     .request = &coord__v1__auth_status_request__descriptor,
     .needs = GRPC_NEEDS_NOBODY,
     .message = status_call},
    {.name = "Authenticate",
     .request = &coord__v1__authenticate_request__descriptor,
     .needs = GRPC_NEEDS_NOBODY,
     .message = authenticate_call},
    {.name = "WhoAmI",
     .audit = AUDIT_READ,
     .request = &coord__v1__who_am_irequest__descriptor,
     .needs = GRPC_NEEDS_NOBODY,
     .message = who_am_i_call},
    METHOD("UserAdd", user_add_request, user_add_call),
    METHOD("UserDelete", user_delete_request, user_delete_call),
    {.name = "UserGet",
     .audit = AUDIT_READ,
     .request = &coord__v1__user_get_request__descriptor,
     .needs = GRPC_NEEDS_USER,
     .message = user_get_call},
    LISTING("UserList", user_list_request, user_list_call),
    {.name = "UserChangePassword",
     .request = &coord__v1__user_change_password_request__descriptor,
     .needs = GRPC_NEEDS_USER,
     .message = user_change_password_call},
    METHOD("UserDisable", user_disable_request, user_disable_call),
    METHOD("UserGrantRole", user_grant_role_request, user_grant_role_call),
    METHOD("UserRevokeRole", user_revoke_role_request, user_revoke_role_call),
    METHOD("UserLimit", user_limit_request, user_limit_call),
    METHOD("RoleAdd", role_add_request, role_add_call),
    METHOD("RoleDelete", role_delete_request, role_delete_call),
    {.name = "RoleGet",
     .audit = AUDIT_READ,
     .request = &coord__v1__role_get_request__descriptor,
     .needs = GRPC_NEEDS_USER,
     .message = role_get_call},
    LISTING("RoleList", role_list_request, role_list_call),
    METHOD("RoleGrant", role_grant_request, role_grant_call),
    METHOD("RoleRevoke", role_revoke_request, role_revoke_call),
};

const struct grpc_service grpc_auth_service = {
    .name = "coord.v1.Auth",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
