/* Calls of coord.v1.Config that are to be done, over tests/support/watch_client.h. */
#ifndef TESTS_SUPPORT_CONFIG_KIT_H
#define TESTS_SUPPORT_CONFIG_KIT_H

#include "coord/v1/config.pb-c.h"
#include "tests/support/watch_client.h"

#define CONFIG_CALL(path, request) \
    peer_unary(peer, "/coord.v1.Config/" path, &(request).base)

/* Until the call has ended: writes read first. */
static inline void await(struct peer_call *call)
{
    for (int i = 0; i < 16 && peer_call_code(call) < 0; i++) {
        run();
    }
    ck_assert_int_ge(peer_call_code(call), 0);
}

static inline void done(struct peer_call *call)
{
    await(call);
    ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s", peer_call_text(call));
    peer_call_free(call);
    run();
}

static inline ProtobufCBinaryData bytes(const char *value)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)text(value), .len = strlen(value)};
}

static inline void root(const char *path)
{
    Coord__V1__ConfigCreateRootRequest request;
    coord__v1__config_create_root_request__init(&request);
    request.open = true; /* for writes as by others */
    request.path = text(path);
    done(CONFIG_CALL("CreateRoot", request));
}

static inline void put(const char *path, const char *value)
{
    Coord__V1__ConfigSetRequest request;
    coord__v1__config_set_request__init(&request);
    request.path = text(path);
    request.value = bytes(value);
    done(CONFIG_CALL("Set", request));
}

static inline void set_schema(const char *path, const char *schema)
{
    Coord__V1__ConfigSetSchemaRequest request;
    coord__v1__config_set_schema_request__init(&request);
    request.path = text(path);
    request.schema = bytes(schema);
    done(CONFIG_CALL("SetSchema", request));
}

#endif
