/* Commands about authentication, users and roles. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/coordctl/credentials.h"
#include "cmd/coordctl/rights.h"
#include "cmd/coordctl/values.h"
#include "coord/v1/auth.pb-c.h"

/* ---- auth --------------------------------------------------------------------------------- */

int ctl_auth_enable(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__AuthEnableRequest request = COORD__V1__AUTH_ENABLE_REQUEST__INIT;
    request.header = &header;
    request.token_ttl_ms = ctl->ttl_ms;
    return ctl_change(ctl, CLIENT_AUTH_ENABLE, &request.base, &header);
}

int ctl_auth_disable(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__AuthDisableRequest request = COORD__V1__AUTH_DISABLE_REQUEST__INIT;
    request.header = &header;
    return ctl_change(ctl, CLIENT_AUTH_DISABLE, &request.base, &header);
}

int ctl_auth_status(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__AuthStatusRequest request = COORD__V1__AUTH_STATUS_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    int exit_code = ctl_call(ctl, CLIENT_AUTH_STATUS, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__AuthStatusReply *reply = (const Coord__V1__AuthStatusReply *)m;
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, json_pack("{s:b, s:I, s:I, s:I}", "enabled", reply->enabled,
                                      "token_ttl_ms", (json_int_t)reply->token_ttl_ms, "users",
                                      (json_int_t)reply->users, "roles",
                                      (json_int_t)reply->roles));
    } else {
        char ttl[24];
        value_format_duration(reply->token_ttl_ms, ttl, sizeof ttl);
        printf("%s, %" PRIu32 " user%s, %" PRIu32 " role%s, tokens are good for %s\n",
               reply->enabled ? "enabled" : "disabled", reply->users,
               reply->users == 1 ? "" : "s", reply->roles, reply->roles == 1 ? "" : "s", ttl);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

/* Prints a token, for --token-file. */
int ctl_auth_login(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__AuthenticateRequest request = COORD__V1__AUTHENTICATE_REQUEST__INIT;
    ProtobufCMessage *m;
    if (ctl->options.user == NULL) {
        return ctl_usage("auth login: who? give --user NAME, or COORD_USER");
    }
    request.header = &header;
    request.user = ctl_text(ctl->options.user);
    request.password = ctl_text(ctl->options.password);
    int exit_code = ctl_call(ctl, CLIENT_AUTHENTICATE, &request.base, &header, &m);
    if (exit_code == EXIT_DONE) {
        puts(((const Coord__V1__AuthenticateReply *)m)->token);
        client_reply_free(m);
    }
    return exit_code;
}

static json_t *names_json(char *const *names, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(array, json_string(names[i]));
    }
    return array;
}

static void names_print(const char *what, char *const *names, size_t count)
{
    printf("%s", what);
    for (size_t i = 0; i < count; i++) {
        printf("%s%s", i == 0 ? "" : ",", names[i]);
    }
    puts(count == 0 ? "-" : "");
}

int ctl_auth_whoami(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__WhoAmIRequest request = COORD__V1__WHO_AM_IREQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    int exit_code = ctl_call(ctl, CLIENT_WHO_AM_I, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__WhoAmIReply *reply = (const Coord__V1__WhoAmIReply *)m;
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, json_pack("{s:b, s:s, s:b, s:o}", "enabled", reply->enabled, "user",
                                      reply->user, "admin", reply->admin, "roles",
                                      names_json(reply->roles, reply->n_roles)));
    } else if (!reply->enabled) {
        puts("authentication is disabled: everybody may do everything");
    } else {
        printf("user   %s%s\n", reply->user, reply->admin ? ", administrates the cluster" : "");
        names_print("roles  ", reply->roles, reply->n_roles);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

/* ---- users -------------------------------------------------------------------------------- */

static int set_password(struct ctl *ctl, bool is_new)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    char password[CREDENTIALS_BYTES_MAX];
    int exit_code = credentials_new_password(
        ctl, ctl->word_count > 1 ? ctl->words[1] : NULL, password, sizeof password);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    if (is_new) {
        Coord__V1__UserAddRequest request = COORD__V1__USER_ADD_REQUEST__INIT;
        request.header = &header;
        request.user = ctl_text(ctl->words[0]);
        request.password = password;
        return ctl_change(ctl, CLIENT_USER_ADD, &request.base, &header);
    }
    Coord__V1__UserChangePasswordRequest request =
        COORD__V1__USER_CHANGE_PASSWORD_REQUEST__INIT;
    request.header = &header;
    request.user = ctl_text(ctl->words[0]);
    request.password = password;
    return ctl_change(ctl, CLIENT_USER_PASSWORD, &request.base, &header);
}

int ctl_user_add(struct ctl *ctl)
{
    return set_password(ctl, true);
}

int ctl_user_passwd(struct ctl *ctl)
{
    return set_password(ctl, false);
}

int ctl_user_delete(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__UserDeleteRequest request = COORD__V1__USER_DELETE_REQUEST__INIT;
    request.header = &header;
    request.user = ctl_text(ctl->words[0]);
    return ctl_change(ctl, CLIENT_USER_DELETE, &request.base, &header);
}

static int set_disabled(struct ctl *ctl, bool enable)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__UserDisableRequest request = COORD__V1__USER_DISABLE_REQUEST__INIT;
    request.header = &header;
    request.user = ctl_text(ctl->words[0]);
    request.enable = enable;
    return ctl_change(ctl, CLIENT_USER_DISABLE, &request.base, &header);
}

int ctl_user_disable(struct ctl *ctl)
{
    return set_disabled(ctl, false);
}

int ctl_user_enable(struct ctl *ctl)
{
    return set_disabled(ctl, true);
}

int ctl_user_grant_role(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__UserGrantRoleRequest request = COORD__V1__USER_GRANT_ROLE_REQUEST__INIT;
    request.header = &header;
    request.user = ctl_text(ctl->words[0]);
    request.role = ctl_text(ctl->words[1]);
    return ctl_change(ctl, CLIENT_USER_GRANT, &request.base, &header);
}

int ctl_user_revoke_role(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__UserRevokeRoleRequest request = COORD__V1__USER_REVOKE_ROLE_REQUEST__INIT;
    request.header = &header;
    request.user = ctl_text(ctl->words[0]);
    request.role = ctl_text(ctl->words[1]);
    return ctl_change(ctl, CLIENT_USER_REVOKE, &request.base, &header);
}

static json_t *limits_json(const Coord__V1__UserLimits *l)
{
    return l == NULL ? json_null()
                     : json_pack("{s:I, s:I, s:I, s:I}", "requests_per_second",
                                 (json_int_t)l->requests_per_second, "connections",
                                 (json_int_t)l->connections, "watches", (json_int_t)l->watches,
                                 "leases", (json_int_t)l->leases);
}

static json_t *user_json(const Coord__V1__User *u)
{
    return json_pack("{s:s, s:b, s:b, s:o, s:o}", "name", u->name, "disabled", u->disabled,
                     "has_password", u->has_password, "roles",
                     names_json(u->roles, u->n_roles), "limits", limits_json(u->limits));
}

static void limit_print(const char *what, uint32_t limit)
{
    if (limit > 0) {
        printf("  at most %" PRIu32 " %s\n", limit, what);
    }
}

static void user_print(const Coord__V1__User *u)
{
    printf("%s  %s%s  ", u->name, u->disabled ? "disabled" : "enabled",
           u->has_password ? "" : ", no password");
    names_print("roles ", u->roles, u->n_roles);
}

/* A page; `after` moves on, empty: it was the last. */
static int user_page(struct ctl *ctl, char after[CTL_PATH_BYTES], json_t *array)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__UserListRequest request = COORD__V1__USER_LIST_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.after = after;
    int exit_code = ctl_call(ctl, CLIENT_USER_LIST, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__UserListReply *reply = (const Coord__V1__UserListReply *)m;
    for (size_t i = 0; i < reply->n_users; i++) {
        if (array != NULL) {
            json_array_append_new(array, user_json(reply->users[i]));
        } else {
            user_print(reply->users[i]);
        }
    }
    snprintf(after, CTL_PATH_BYTES, "%s", reply->next);
    client_reply_free(m);
    return EXIT_DONE;
}

int ctl_user_list(struct ctl *ctl)
{
    return ctl_list_pages(ctl, user_page);
}

int ctl_user_get(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__UserGetRequest request = COORD__V1__USER_GET_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.user = ctl_text(ctl->words[0]);
    int exit_code = ctl_call(ctl, CLIENT_USER_GET, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__User *user = ((const Coord__V1__UserGetReply *)m)->user;
    if (user == NULL) {
        exit_code = ctl_general(ctl, "the reply tells of no user");
    } else if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, user_json(user));
    } else {
        user_print(user);
        if (user->limits != NULL) {
            limit_print("requests a second at each member", user->limits->requests_per_second);
            limit_print("connections to each member", user->limits->connections);
            limit_print("watches at each member", user->limits->watches);
            limit_print("leases and sessions", user->limits->leases);
        }
    }
    client_reply_free(m);
    return exit_code;
}

static enum coord_code get_limits(struct ctl *ctl, Coord__V1__UserLimits *out,
                                  struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__UserGetRequest request = COORD__V1__USER_GET_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.user = ctl_text(ctl->words[0]);
    enum coord_code code =
        client_call(ctl->client, CLIENT_USER_GET, &request.base, &header, &m, error);
    if (code == COORD_OK) {
        const Coord__V1__User *user = ((const Coord__V1__UserGetReply *)m)->user;
        if (user != NULL && user->limits != NULL) {
            out->requests_per_second = user->limits->requests_per_second;
            out->connections = user->limits->connections;
            out->watches = user->limits->watches;
            out->leases = user->limits->leases;
        }
        client_reply_free(m);
    }
    return code;
}

/* What is not given stays as it is. */
int ctl_user_limit(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__UserLimitRequest request = COORD__V1__USER_LIMIT_REQUEST__INIT;
    Coord__V1__UserLimits limits = COORD__V1__USER_LIMITS__INIT;
    uint32_t *const fields[] = {&limits.requests_per_second, &limits.connections,
                                &limits.watches, &limits.leases};
    struct coord_error error;
    uint64_t given = 0;
    for (size_t i = 0; i < 4; i++) {
        given |= ctl->user_limits[i];
    }
    if (given == 0) {
        return ctl_usage("user limit: give --requests-per-second, --connections, --watches or "
                         "--leases");
    }
    enum coord_code code = get_limits(ctl, &limits, &error);
    if (code != COORD_OK && code != COORD_NOT_FOUND) { /* anonymous and * have none at first */
        return ctl_failed(ctl, &error);
    }
    for (size_t i = 0; i < 4; i++) {
        *fields[i] = ctl->user_limits[i] > 0 ? (uint32_t)(ctl->user_limits[i] - 1) : *fields[i];
    }
    request.header = &header;
    request.user = ctl_text(ctl->words[0]);
    request.limits = &limits;
    return ctl_change(ctl, CLIENT_USER_LIMIT, &request.base, &header);
}

/* ---- roles -------------------------------------------------------------------------------- */

int ctl_role_add(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__RoleAddRequest request = COORD__V1__ROLE_ADD_REQUEST__INIT;
    request.header = &header;
    request.role = ctl_text(ctl->words[0]);
    return ctl_change(ctl, CLIENT_ROLE_ADD, &request.base, &header);
}

int ctl_role_delete(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__RoleDeleteRequest request = COORD__V1__ROLE_DELETE_REQUEST__INIT;
    request.header = &header;
    request.role = ctl_text(ctl->words[0]);
    return ctl_change(ctl, CLIENT_ROLE_DELETE, &request.base, &header);
}

/* Both requests are the same on the wire. */
static int set_grant(struct ctl *ctl, enum client_method method)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__RoleGrantRequest request = COORD__V1__ROLE_GRANT_REQUEST__INIT;
    Coord__V1__Grant grant = COORD__V1__GRANT__INIT;
    if (!rights_parse(ctl->words[2], &grant.rights)) {
        return ctl_usage("role: \"%s\" is not a list of read, write, create, delete, admin, all",
                         ctl->words[2]);
    }
    request.header = &header;
    request.role = ctl_text(ctl->words[0]);
    request.grant = &grant;
    grant.path = ctl_text(ctl->words[1]);
    grant.deny = ctl->deny;
    return ctl_change(ctl, method, &request.base, &header);
}

int ctl_role_grant(struct ctl *ctl)
{
    return set_grant(ctl, CLIENT_ROLE_GRANT);
}

int ctl_role_revoke(struct ctl *ctl)
{
    return set_grant(ctl, CLIENT_ROLE_REVOKE);
}

static json_t *role_json(const Coord__V1__Role *r)
{
    json_t *grants = json_array();
    for (size_t i = 0; i < r->n_grants; i++) {
        char text[RIGHTS_TEXT_BYTES];
        rights_print(r->grants[i]->rights, text);
        json_array_append_new(grants, json_pack("{s:s, s:s, s:b}", "path", r->grants[i]->path,
                                                "rights", text, "deny", r->grants[i]->deny));
    }
    return json_pack("{s:s, s:o}", "name", r->name, "grants", grants);
}

static void role_print(const Coord__V1__Role *r)
{
    puts(r->name);
    for (size_t i = 0; i < r->n_grants; i++) {
        char text[RIGHTS_TEXT_BYTES];
        rights_print(r->grants[i]->rights, text);
        printf("  %s %s on %s\n", r->grants[i]->deny ? "deny " : "allow", text,
               r->grants[i]->path);
    }
}

/* A page; `after` moves on, empty: it was the last. */
static int role_page(struct ctl *ctl, char after[CTL_PATH_BYTES], json_t *array)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__RoleListRequest request = COORD__V1__ROLE_LIST_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.after = after;
    int exit_code = ctl_call(ctl, CLIENT_ROLE_LIST, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__RoleListReply *reply = (const Coord__V1__RoleListReply *)m;
    for (size_t i = 0; i < reply->n_roles; i++) {
        if (array != NULL) {
            json_array_append_new(array, role_json(reply->roles[i]));
        } else {
            role_print(reply->roles[i]);
        }
    }
    snprintf(after, CTL_PATH_BYTES, "%s", reply->next);
    client_reply_free(m);
    return EXIT_DONE;
}

int ctl_role_list(struct ctl *ctl)
{
    return ctl_list_pages(ctl, role_page);
}

int ctl_role_get(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__RoleGetRequest request = COORD__V1__ROLE_GET_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.role = ctl_text(ctl->words[0]);
    int exit_code = ctl_call(ctl, CLIENT_ROLE_GET, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__Role *role = ((const Coord__V1__RoleGetReply *)m)->role;
    if (role == NULL) {
        exit_code = ctl_general(ctl, "the reply tells of no role");
    } else if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, role_json(role));
    } else {
        role_print(role);
    }
    client_reply_free(m);
    return exit_code;
}
