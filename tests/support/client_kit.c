#include "tests/support/client_kit.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

void client_kit_open(struct client_kit *k)
{
    memset(k, 0, sizeof *k);
    int rc = pthread_mutex_init(&k->cluster.lock, NULL);
    PRE(rc == 0);
    k->cluster.cluster_ms = 1000000;
}

void client_kit_kill(struct client_kit *k, size_t server)
{
    if (k->servers[server] != NULL) {
        scripted_server_free(k->servers[server]);
        k->servers[server] = NULL;
    }
}

void client_kit_close(struct client_kit *k)
{
    coord_close(k->client);
    for (size_t i = 0; i < CLIENT_KIT_SERVERS_MAX; i++) {
        client_kit_kill(k, i);
    }
    (void)pthread_mutex_destroy(&k->cluster.lock);
}

void client_kit_begin(struct client_kit *k, const struct scripted_step *const *scripts,
                      size_t count, uint32_t timeout_ms)
{
    char endpoints[40 * CLIENT_KIT_SERVERS_MAX] = "";
    size_t size = 0;
    PRE(count <= CLIENT_KIT_SERVERS_MAX);
    for (size_t i = 0; i < count; i++) {
        k->servers[i] = scripted_server_new(&k->cluster, scripts[i]);
        size += (size_t)snprintf(endpoints + size, sizeof endpoints - size, "%s%s",
                                 i > 0 ? "," : "", scripted_server_endpoint(k->servers[i]));
    }
    const struct coord_options options = {.endpoints = endpoints,
                                          .timeout_ms = timeout_ms,
                                          .loop = k->loop,
                                          .user = k->user};
    enum coord_code code = coord_open(&options, &k->client, &k->error);
    PRE(code == COORD_OK);
}
