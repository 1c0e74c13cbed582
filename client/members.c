/* Asking. First soon after something has answered, so that what makes one call and ends asks for
 * nothing; then once a minute, and soon after an endpoint has failed. An answer replaces what was
 * learned before; the endpoints that were given stay, in front, whatever it says. */
#include "client/members.h"

#include <stdio.h>
#include <string.h>

#include "client/call.h"
#include "client/client_internal.h"
#include "client/socket.h"
#include "coord/v1/cluster.pb-c.h"

#define FIRST_MS   1000
#define REFRESH_MS 60000

static bool is_known(const struct coord_client *client, const char *name)
{
    for (size_t i = 0; i < client->endpoint_count; i++) {
        if (strcmp(client->endpoints[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Where a member listens everywhere, it has not said where it can be reached. */
static bool is_wildcard(const struct endpoint *e)
{
    return strcmp(e->host, "0.0.0.0") == 0 || strcmp(e->host, "::") == 0;
}

static void add(struct coord_client *client, const char *address)
{
    struct endpoint e[ENDPOINTS_MAX];
    char why[400];
    bool is_one = strchr(address, ',') == NULL && address[0] != '\0' &&
                  endpoints_parse(address, e, why, sizeof why) == 1;
    if (is_one && !is_wildcard(&e[0]) && !is_known(client, e[0].name) &&
        client->endpoint_count < ENDPOINTS_MAX) {
        client->endpoints[client->endpoint_count++] = e[0];
    }
}

/* The endpoint in use stays in use. */
static void use(struct coord_client *client, const char *name)
{
    client->current = 0;
    for (size_t i = 0; i < client->endpoint_count; i++) {
        if (strcmp(client->endpoints[i].name, name) == 0) {
            client->current = i;
        }
    }
}

static void learn(struct coord_client *client, const Coord__V1__MembersReply *reply)
{
    char current[sizeof client->endpoints[0].name];
    snprintf(current, sizeof current, "%s", client->endpoints[client->current].name);
    client->endpoint_count = client->given_count;
    for (size_t i = 0; i < reply->n_members; i++) {
        add(client, reply->members[i]->client_address);
    }
    for (size_t i = 0; client->prefers_leader && i < reply->n_members; i++) {
        const Coord__V1__Member *m = reply->members[i];
        if (strcmp(m->role, "leader") == 0 && is_known(client, m->client_address)) {
            snprintf(current, sizeof current, "%s", m->client_address);
        }
    }
    use(client, current);
}

static void on_done(void *context, enum coord_code code, ProtobufCMessage **reply,
                    const struct coord_error *error)
{
    struct coord_client *client = context;
    (void)error;
    client->is_asking_members = false;
    if (code == COORD_OK) {
        learn(client, (const Coord__V1__MembersReply *)*reply);
    }
    if (code != COORD_CANCELED) {
        loop_timer_set(&client->loop, &client->members_timer,
                       socket_now_ms() + client_jitter(client, REFRESH_MS));
    }
}

static void on_timer(struct loop_timer *t)
{
    struct coord_client *client = LOOP_OF(t, struct coord_client, members_timer);
    Coord__V1__MembersRequest request = COORD__V1__MEMBERS_REQUEST__INIT;
    client->is_asking_members = true;
    if (client_start(client, CLIENT_MEMBERS, &request.base, on_done, client, NULL, NULL) !=
        COORD_OK) {
        client->is_asking_members = false;
        loop_timer_set(&client->loop, t, socket_now_ms() + client_jitter(client, REFRESH_MS));
    }
}

static void ask_in(struct coord_client *client, uint64_t ms)
{
    uint64_t due_ms = socket_now_ms() + ms;
    const struct loop_timer *t = &client->members_timer;
    bool is_sooner = !t->runs || due_ms < t->due_ms;
    if (!client->keeps_endpoints && !client->is_asking_members && is_sooner) {
        loop_timer_set(&client->loop, &client->members_timer, due_ms);
    }
}

void members_init(struct coord_client *client)
{
    client->given_count = client->endpoint_count;
    client->members_timer.fire = on_timer;
}

void members_reached(struct coord_client *client)
{
    if (!client->members_timer.runs) {
        ask_in(client, client_jitter(client, FIRST_MS));
    }
}

void members_doubted(struct coord_client *client)
{
    if (client->members_timer.runs) { /* someone has answered before */
        ask_in(client, client_jitter(client, FIRST_MS));
    }
}
