/* A client and the scripted servers it talks to, for tests of the client. */
#ifndef TESTS_SUPPORT_CLIENT_KIT_H
#define TESTS_SUPPORT_CLIENT_KIT_H

#include "client/client.h"
#include "tests/support/scripted_server.h"

#define CLIENT_KIT_SERVERS_MAX 3

struct client_kit {
    struct scripted_cluster cluster;
    struct scripted_server *servers[CLIENT_KIT_SERVERS_MAX];
    struct coord_client *client;
    struct coord_error error;
    const struct coord_loop *loop; /* of the client; NULL: none */
    const char *user;              /* likewise */
};

#define SCRIPT(...) ((const struct scripted_step[]){__VA_ARGS__, {.action = SCRIPT_END}})
/* A step of a stream that brings these messages, each a struct scripted_message. */
#define SENDS(how, ...)                                                           \
    {                                                                             \
        .action = SCRIPT_##how, .code = GRPC_UNAVAILABLE,                         \
        .messages = (const struct scripted_message[]){__VA_ARGS__},               \
        .message_count = sizeof((const struct scripted_message[]){__VA_ARGS__}) / \
                         sizeof(struct scripted_message)                          \
    }
#define STEP(a)              \
    {                        \
        .action = SCRIPT_##a \
    }
#define ANSWER(status)                                 \
    {                                                  \
        .action = SCRIPT_STATUS, .code = GRPC_##status \
    }
#define REFUSAL(status, text)                                           \
    {                                                                   \
        .action = SCRIPT_STATUS, .code = GRPC_##status, .outcome = text \
    }

void client_kit_open(struct client_kit *k);
void client_kit_close(struct client_kit *k);
/* Starts a server for each script (NULL = all is well), and a client of all of them. */
void client_kit_begin(struct client_kit *k, const struct scripted_step *const *scripts,
                      size_t count, uint32_t timeout_ms);
/* Ends a server, and every connection to it. */
void client_kit_kill(struct client_kit *k, size_t server);

#endif
