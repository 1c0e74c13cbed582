#include "client/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/call.h"
#include "client/client_internal.h"
#include "client/convert.h"
#include "client/exchange.h"
#include "client/socket.h"
#include "coord/v1/auth.pb-c.h"

/* Of a token's time: the rest is for calls under way. */
#define TRUST_SHARE 4

#define DIGEST_BYTES_MAX 1024

static void forget(char **text)
{
    if (*text != NULL) { /* not to be found in memory later */
        volatile char *at = *text;
        for (size_t i = strlen(*text); i > 0; i--) {
            *at++ = '\0';
        }
        free(*text);
        *text = NULL;
    }
}

static bool keep_token(struct coord_client *client, const char *token)
{
    static const char scheme[] = "Bearer ";
    size_t size = sizeof scheme + strlen(token);
    char *text = malloc(size);
    if (text != NULL) {
        snprintf(text, size, "%s%s", scheme, token);
        forget(&client->authorization);
        client->authorization = text;
    }
    return text != NULL;
}

enum coord_code auth_take(struct coord_client *client, const struct coord_options *options,
                          struct coord_error *error)
{
    bool has_user = options->user != NULL && options->user[0] != '\0';
    if (has_user && options->token != NULL) {
        return client_fail(error, COORD_INVALID, "a user and a token exclude each other");
    }
    bool kept = true;
    if (has_user) {
        client->user = strdup(options->user);
        client->password = strdup(options->password != NULL ? options->password : "");
        kept = client->user != NULL && client->password != NULL;
    } else if (options->token != NULL) {
        kept = keep_token(client, options->token);
    }
    return kept ? COORD_OK : client_fail(error, COORD_NO_MEMORY, "out of memory");
}

void auth_drop(struct coord_client *client)
{
    forget(&client->user);
    forget(&client->password);
    forget(&client->authorization);
    while (client->digest_count > 0) {
        forget(&client->digests[--client->digest_count]);
    }
}

bool auth_is_ready(const struct coord_client *client)
{
    bool is_good =
        client->authorization != NULL && socket_now_ms() < client->authorized_until_ms;
    return client->user == NULL || client->is_open_cluster || is_good;
}

void auth_show(const struct coord_client *client, bool is_login,
               struct exchange_request *request)
{
    request->authorization = is_login ? NULL : client->authorization;
    request->digests = (const char *const *)client->digests;
    request->digest_count = is_login ? 0 : client->digest_count;
}

/* What is wrong with the value of a header; NULL: nothing. */
static const char *digest_problem(const char *name, const char *password)
{
    size_t bytes = strlen(name) + 1 + strlen(password);
    if (name[0] == '\0' || strchr(name, ':') != NULL) {
        return "the name must not be empty, nor have a colon";
    }
    if (bytes > DIGEST_BYTES_MAX) {
        return "name and password have more than 1024 bytes";
    }
    const char *texts[] = {name, password};
    for (size_t i = 0; i < 2; i++) {
        for (const char *at = texts[i]; *at != '\0'; at++) {
            if ((unsigned char)*at < 0x20 || *at == 0x7f) {
                return "control characters are not possible";
            }
        }
    }
    bool has_edge =
        name[0] == ' ' || (password[0] != '\0' && password[strlen(password) - 1] == ' ');
    return has_edge ? "a space at the beginning or the end is not possible" : NULL;
}

enum coord_code coord_add_digest(struct coord_client *client, const char *name,
                                 const char *password, struct coord_error *error)
{
    const char *problem = digest_problem(name, password);
    if (problem != NULL) {
        return client_fail(error, COORD_INVALID, "digest: %s", problem);
    }
    size_t size = strlen(name) + 1 + strlen(password) + 1;
    char *text = malloc(size);
    if (text == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for a digest");
    }
    (void)snprintf(text, size, "%s:%s", name, password);
    enum coord_code code = COORD_OK;
    bool is_new = true;
    for (size_t i = 0; i < client->digest_count; i++) {
        is_new = is_new && strcmp(client->digests[i], text) != 0;
    }
    if (is_new && client->digest_count == EXCHANGE_DIGESTS_MAX) {
        code = client_fail(error, COORD_LIMITED, "digest: a client shows %d at most",
                           EXCHANGE_DIGESTS_MAX);
    } else if (is_new) {
        client->digests[client->digest_count++] = text;
        text = NULL;
    }
    forget(&text);
    return code;
}

static void on_login(void *context, enum coord_code code, ProtobufCMessage **reply,
                     const struct coord_error *error)
{
    struct coord_client *client = context;
    struct coord_error outcome = *error;
    client->auth_gate.call = NULL;
    const Coord__V1__AuthenticateReply *r = (const Coord__V1__AuthenticateReply *)*reply;
    if (code == COORD_OK && r->ttl_ms == 0) { /* to be asked for again at once, and for ever */
        (void)client_fail(&outcome, COORD_INTERNAL, "the login's token is good for 0 ms");
    } else if (code == COORD_OK) {
        client->authorized_until_ms = socket_now_ms() + r->ttl_ms - r->ttl_ms / TRUST_SHARE;
        if (!keep_token(client, r->token)) {
            (void)client_fail(&outcome, COORD_NO_MEMORY, "out of memory");
        }
    } else if (code == COORD_REFUSED && error->grpc_status == (int)GRPC_FAILED_PRECONDITION) {
        client->is_open_cluster = true; /* authentication is not enabled */
        forget(&client->authorization);
        (void)client_fail(&outcome, COORD_OK, "%s", "");
    }
    client->login_number += outcome.code == COORD_OK;
    gate_resume(&client->auth_gate, &outcome);
}

enum coord_code auth_wait(struct coord_client *client, struct gate_waiter *waiter,
                          struct coord_error *error)
{
    enum coord_code code = COORD_OK;
    if (client->auth_gate.call == NULL) {
        Coord__V1__AuthenticateRequest request = COORD__V1__AUTHENTICATE_REQUEST__INIT;
        request.user = client->user;
        request.password = client->password;
        code = client_start(client, CLIENT_AUTHENTICATE, &request.base, on_login, client,
                            &client->auth_gate.call, error);
    }
    if (code == COORD_OK) {
        gate_wait(&client->auth_gate, waiter);
    }
    return code;
}

bool auth_renew(struct coord_client *client, uint64_t login)
{
    if (client->user == NULL) {
        return false;
    }
    if (login == client->login_number) { /* else there is a newer one, which is not to blame */
        client->is_open_cluster = false;
        forget(&client->authorization);
    }
    return true;
}
