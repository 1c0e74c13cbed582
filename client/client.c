/* The client: its options, its beginning and end, and how it is driven. */
#include "client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "client/auth.h"
#include "client/chroot.h"
#include "client/call.h"
#include "client/client_internal.h"
#include "client/connections.h"
#include "client/members.h"
#include "client/session.h"
#include "client/socket.h"

#define TIMEOUT_MS 5000

/* ---- the client ------------------------------------------------------------------------- */

static enum coord_code apply_tls(struct coord_client *client, const struct coord_tls *tls,
                                 struct coord_error *error)
{
    static const struct coord_tls defaults = {.ca_file = NULL};
    const struct coord_tls *t = tls != NULL ? tls : &defaults;
    const struct tls_options options = {.certificate_file = t->certificate_file,
                                        .key_file = t->key_file,
                                        .ca_file = t->ca_file,
                                        .trusts_system = true,
                                        .verify = t->skip_verify ? TLS_VERIFY_NONE
                                                                 : TLS_VERIFY_REQUIRED,
                                        .protocols = "h2"};
    struct errmsg err = {0};
    enum status rc = tls_context_open(&options, &client->tls_context, &err);
    if (rc != RC_OK) {
        return client_fail(error, rc == RC_NO_MEMORY ? COORD_NO_MEMORY : COORD_INVALID, "%s",
                           err.text);
    }
    client->checks_name = !t->skip_verify;
    client->server_name = t->server_name != NULL ? strdup(t->server_name) : NULL;
    return t->server_name == NULL || client->server_name != NULL
               ? COORD_OK
               : client_fail(error, COORD_NO_MEMORY, "out of memory");
}

const struct wire_tls *client_tls(struct coord_client *client, struct wire_tls *room)
{
    if (client->tls_context == NULL) {
        return NULL;
    }
    /* Half written files do not count: what there was still serves. */
    bool is_fresh = !tls_context_is_outdated(client->tls_context) ||
                    tls_context_reload(client->tls_context, NULL) == RC_OK;
    (void)is_fresh;
    *room = (struct wire_tls){.context = client->tls_context,
                              .server_name = client->server_name,
                              .checks_name = client->checks_name};
    return room;
}

static enum coord_code apply_options(struct coord_client *client,
                                     const struct coord_options *options,
                                     struct coord_error *error)
{
    const char *endpoints =
        options->endpoints != NULL ? options->endpoints : "127.0.0.1:" ENDPOINT_PORT;
    char why[400];
    enum endpoint_scheme scheme = endpoints_scheme(&endpoints);
    client->endpoint_count = endpoints_parse(endpoints, client->endpoints, why, sizeof why);
    if (client->endpoint_count == 0) {
        return client_fail(error, COORD_INVALID, "%s", why);
    }
    if (scheme == ENDPOINT_PLAIN && options->tls != NULL) {
        return client_fail(error, COORD_INVALID, "coord:// is without TLS, coords:// with it");
    }
    if ((unsigned)options->consistency > COORD_LOCAL) {
        return client_fail(error, COORD_INVALID, "consistency %d is none",
                           (int)options->consistency);
    }
    members_init(client);
    client->keeps_endpoints = options->fixed_endpoints;
    client->prefers_leader = options->prefer_leader;
    client->timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : TIMEOUT_MS;
    client->consistency = options->consistency;
    client->bound_ms = options->bound_ms;
    client->note = strdup(options->note != NULL ? options->note : "");
    if (client->note == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory");
    }
    if (options->chroot != NULL && options->chroot[0] != '\0') {
        const char *refusal = chroot_refusal(options->chroot);
        if (refusal != NULL) {
            return client_fail(error, COORD_INVALID, "chroot \"%.200s\" %s", options->chroot,
                               refusal);
        }
        client->chroot = strdup(options->chroot);
        if (client->chroot == NULL) {
            return client_fail(error, COORD_NO_MEMORY, "out of memory");
        }
    }
    enum coord_code code = auth_take(client, options, error);
    if (code != COORD_OK) {
        return code;
    }
    return scheme == ENDPOINT_TLS || options->tls != NULL
               ? apply_tls(client, options->tls, error)
               : COORD_OK;
}

static void init(struct coord_client *client, const struct coord_loop *host)
{
    loop_init(&client->loop, host);
    list_init(&client->connections);
    list_init(&client->calls);
    list_init(&client->queued_calls);
    list_init(&client->snapshots);
    list_init(&client->locks);
    gate_init(&client->auth_gate);
    gate_init(&client->time_gate);
    session_init(client);
    keepalive_init(&client->lease_keepalive, client, CLIENT_KEEP_LEASE);
    if (getrandom(&client->random, sizeof client->random, 0) < 0) {
        client->random = (uint64_t)(uintptr_t)client ^ socket_now_ms();
    }
}

enum coord_code coord_open(const struct coord_options *options, struct coord_client **out,
                           struct coord_error *error)
{
    static const struct coord_options defaults = {.endpoints = NULL};
    struct coord_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory");
    }
    options = options != NULL ? options : &defaults;
    init(client, options->loop);
    enum coord_code code = apply_options(client, options, error);
    if (code != COORD_OK) {
        coord_close(client);
        return code;
    }
    *out = client;
    return client_fail(error, COORD_OK, "%s", "");
}

/* Whatever is under way is told of the end. */
static void cancel_all(struct coord_client *client)
{
    client->is_closing = true;
    client->depth++; /* callbacks that are told of the end must not wait */
    call_close_all(client);
    snapshot_close_all(client);
    session_forget(client);
    keepalive_close(&client->lease_keepalive);
    client->depth--;
}

static void destroy(struct coord_client *client)
{
    connections_close(client);
    auth_drop(client);
    tls_context_free(client->tls_context);
    loop_close(&client->loop);
    free(client->server_name);
    free(client->note);
    free(client->chroot);
    free(client);
}

/* Calls that wait end now, while what they wait with is still on the stack; the client itself goes
 * when the last one that holds it has let go. */
static void end(struct coord_client *client)
{
    cancel_all(client);
    if (client->holds == 0) {
        destroy(client);
    }
}

void coord_close(struct coord_client *client)
{
    if (client == NULL) {
        return;
    }
    if (client->depth > 0) {
        client->is_closing = true;
        return;
    }
    end(client);
}

/* Whoever is told of the end and begins anew would keep it from coming. */
enum coord_code client_may_begin(const struct coord_client *client, struct coord_error *error)
{
    return client->is_closing
               ? client_fail(error, COORD_CANCELED, "the client was closed")
               : COORD_OK;
}

/* ---- being driven ------------------------------------------------------------------------ */

void client_enter(struct coord_client *client)
{
    client->depth++;
}

void client_leave(struct coord_client *client)
{
    client->depth--;
    if (client->depth > 0) {
        return;
    }
    if (client->is_closing) {
        end(client);
    } else {
        loop_tell(&client->loop);
    }
}

void client_hold(struct coord_client *client)
{
    client->holds++;
}

void client_let_go(struct coord_client *client)
{
    client->holds--;
    if (client->is_closing && client->holds == 0 && client->depth == 0) {
        end(client);
    }
}

enum coord_code client_wait(struct coord_client *client, const bool *is_done,
                            uint64_t deadline_ms, struct coord_error *error)
{
    if (client->depth > 0) {
        return client_fail(error, COORD_INVALID, "no call inside a callback may wait");
    }
    client_enter(client);
    while (!*is_done && !client->is_closing && socket_now_ms() < deadline_ms) {
        loop_wait(&client->loop, deadline_ms);
    }
    client_leave(client);
    return COORD_OK;
}

uint64_t client_jitter(struct coord_client *client, uint64_t ms)
{
    client->random = client->random * 6364136223846793005u + 1442695040888963407u;
    return ms / 2 + (client->random >> 33) % (ms + 1);
}

void coord_ready(struct coord_client *client, int fd)
{
    client_enter(client);
    loop_ready(&client->loop, fd);
    client_leave(client);
}

void coord_due(struct coord_client *client)
{
    client_enter(client);
    client->loop.told_ms = LOOP_NEVER;
    loop_fire(&client->loop);
    client_leave(client);
}

size_t coord_wants(const struct coord_client *client, struct coord_want *wants, size_t room)
{
    const struct loop *l = &client->loop;
    for (size_t i = 0; i < l->count && i < room; i++) {
        wants[i] = (struct coord_want){.fd = l->fds[i]->fd, .events = l->fds[i]->events};
    }
    return l->count;
}

uint64_t coord_wait_ms(const struct coord_client *client)
{
    uint64_t due_ms = loop_due_ms(&client->loop);
    uint64_t now = socket_now_ms();
    return due_ms == LOOP_NEVER ? COORD_FOREVER : due_ms > now ? due_ms - now : 0;
}

enum coord_code coord_run(struct coord_client *client, uint32_t timeout_ms)
{
    if (client->depth > 0) {
        return COORD_INVALID;
    }
    client_enter(client);
    loop_wait(&client->loop, socket_now_ms() + timeout_ms);
    enum coord_code code = client_may_begin(client, NULL);
    client_leave(client);
    return code;
}

uint64_t coord_revision(const struct coord_client *client)
{
    return client->revision;
}
