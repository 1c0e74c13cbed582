#include "client/connections.h"

#include <string.h>

#include "client/call.h"
#include "client/client_internal.h"
#include "client/connection_internal.h"

/* Calls that wait may fill one, and then there are several for calls. */
static bool has_another(const struct coord_client *client, const struct connection *c)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &client->connections)
    {
        const struct connection *other = LIST_OF(it, struct connection, link);
        if (other != c && other->use == c->use && other->http2 != NULL && !other->is_retired &&
            strcmp(other->endpoint.name, c->endpoint.name) == 0) {
            return true;
        }
    }
    return false;
}

/* Only a connection for calls is kept while nothing goes on, and only to the endpoint in use. */
static void on_idle(void *owner, struct connection *c)
{
    const struct coord_client *client = owner;
    bool is_current = strcmp(c->endpoint.name, client->endpoints[client->current].name) == 0;
    if (c->use != CONNECTION_FOR_CALLS || !is_current || c->http2 == NULL || c->is_retired ||
        !http2_may_request(c->http2) || has_another(client, c)) {
        connection_close(c);
    }
}

struct connection *connections_get(struct coord_client *client, const struct endpoint *endpoint,
                                   enum connection_use use, uint64_t deadline_ms)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &client->connections)
    {
        struct connection *c = LIST_OF(it, struct connection, link);
        if (c->use == (int)use && strcmp(c->endpoint.name, endpoint->name) == 0 &&
            connection_is_usable(c)) {
            return c;
        }
    }
    struct wire_tls tls = {.context = NULL};
    (void)client_tls(client, &tls);
    return connection_open(&(struct connection_options){.loop = &client->loop,
                                                        .list = &client->connections,
                                                        .use = (int)use,
                                                        .endpoint = endpoint,
                                                        .tls = tls,
                                                        .deadline_ms = deadline_ms,
                                                        .idle = on_idle,
                                                        .owner = client});
}

void connections_close(struct coord_client *client)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &client->connections)
    {
        connection_close(LIST_OF(it, struct connection, link));
    }
}
