#include "client/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "coord/v1/types.pb-c.h"

const char *coord_code_text(enum coord_code code)
{
    static const char *const texts[] = {
        [COORD_OK] = "ok",
        [COORD_NOT_FOUND] = "not found",
        [COORD_EXISTS] = "exists already",
        [COORD_BAD_VERSION] = "version does not match",
        [COORD_NOT_EMPTY] = "has children",
        [COORD_REFUSED] = "refused",
        [COORD_INVALID] = "not valid",
        [COORD_LIMITED] = "over a limit",
        [COORD_DENIED] = "not allowed",
        [COORD_TIMEOUT] = "no answer in time",
        [COORD_UNAVAILABLE] = "no endpoint can serve",
        [COORD_UNKNOWN] = "outcome unknown",
        [COORD_UNSUPPORTED] = "not supported by the server",
        [COORD_NO_MEMORY] = "out of memory",
        [COORD_INTERNAL] = "internal error",
        [COORD_SESSION_ENDED] = "session has ended",
        [COORD_BAD_SECRET] = "wrong credentials",
        [COORD_COMPACTED] = "revision is no longer retained",
        [COORD_CANCELED] = "canceled",
        [COORD_GUARD_STALE] = "grant is not held any more",
        [COORD_HELD] = "held by another owner",
        [COORD_DEADLOCK] = "deadlock",
        [COORD_WAIT_TIMEOUT] = "waited too long",
        [COORD_WAIT_ENDED] = "wait was ended",
    };
    return (unsigned)code < sizeof texts / sizeof texts[0] ? texts[code] : "unknown code";
}

enum coord_code client_fail(struct coord_error *error, enum coord_code code, const char *format,
                            ...)
{
    if (error != NULL) {
        va_list args;
        va_start(args, format);
        *error = (struct coord_error){.code = code, .grpc_status = -1};
        vsnprintf(error->message, sizeof error->message, format, args);
        va_end(args);
    }
    return code;
}

/* Outcomes that are told apart further than their gRPC status does, or that have none. */
static const struct {
    const char *name;
    enum coord_code code;
} outcomes[] = {
    {"OK", COORD_OK},
    {"NO_NODE", COORD_NOT_FOUND},
    {"NO_PARENT", COORD_NOT_FOUND},
    {"NO_LEASE", COORD_NOT_FOUND},
    {"NODE_EXISTS", COORD_EXISTS},
    {"LEASE_EXISTS", COORD_EXISTS},
    {"BAD_VERSION", COORD_BAD_VERSION},
    {"NOT_EMPTY", COORD_NOT_EMPTY},
    {"BAD_PATH", COORD_INVALID},
    {"BAD_ARGUMENTS", COORD_INVALID},
    {"BAD_CURSOR", COORD_INVALID},
    {"BAD_PATTERN", COORD_INVALID},
    {"BAD_TTL", COORD_INVALID},
    {"INVALID_ACL", COORD_INVALID},
    {"NO_AUTH", COORD_DENIED},
    {"NO_USER", COORD_NOT_FOUND},
    {"NO_ROLE", COORD_NOT_FOUND},
    {"NOT_GRANTED", COORD_NOT_FOUND},
    {"USER_EXISTS", COORD_EXISTS},
    {"ROLE_EXISTS", COORD_EXISTS},
    {"NO_ROOT", COORD_REFUSED},
    {"NOT_HELD", COORD_NOT_FOUND},
    {"TOO_LARGE", COORD_LIMITED},
    {"LIMIT", COORD_LIMITED},
    {"QUOTA", COORD_LIMITED},
    {"USER_LIMIT", COORD_LIMITED},
    {"NO_QUOTA", COORD_NOT_FOUND},
    {"NO_SESSION", COORD_SESSION_ENDED},
    {"BAD_SECRET", COORD_BAD_SECRET},
    {"COMPACTED", COORD_COMPACTED},
    {"UNSUPPORTED", COORD_UNSUPPORTED},
    {"GUARD_STALE", COORD_GUARD_STALE},
    {"HELD", COORD_HELD},
    {"DEADLOCK", COORD_DEADLOCK},
    {"GRAPH_TOO_LARGE", COORD_LIMITED},
    {"WAIT_TIMEOUT", COORD_WAIT_TIMEOUT},
    {"WAIT_ENDED", COORD_WAIT_ENDED},
};

static enum coord_code code_of_outcome(const char *outcome, enum coord_code otherwise)
{
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        if (strcmp(outcomes[i].name, outcome) == 0) {
            return outcomes[i].code;
        }
    }
    return otherwise;
}

enum coord_code client_code(enum grpc_code code, const char *outcome)
{
    switch (code) {
    case GRPC_OK: return COORD_OK;
    case GRPC_NOT_FOUND: return code_of_outcome(outcome, COORD_NOT_FOUND);
    case GRPC_ALREADY_EXISTS: return code_of_outcome(outcome, COORD_EXISTS);
    case GRPC_ABORTED: return code_of_outcome(outcome, COORD_BAD_VERSION);
    case GRPC_FAILED_PRECONDITION:
    case GRPC_OUT_OF_RANGE: return code_of_outcome(outcome, COORD_REFUSED);
    case GRPC_INVALID_ARGUMENT: return COORD_INVALID;
    case GRPC_RESOURCE_EXHAUSTED: return COORD_LIMITED;
    case GRPC_PERMISSION_DENIED: return code_of_outcome(outcome, COORD_DENIED);
    case GRPC_UNAUTHENTICATED: return COORD_DENIED;
    case GRPC_DEADLINE_EXCEEDED: return code_of_outcome(outcome, COORD_TIMEOUT);
    case GRPC_UNAVAILABLE: return COORD_UNAVAILABLE;
    case GRPC_UNKNOWN:
    case GRPC_CANCELLED: return COORD_UNKNOWN;
    case GRPC_UNIMPLEMENTED: return COORD_UNSUPPORTED;
    default: return COORD_INTERNAL;
    }
}

enum coord_code client_fail_outcome(struct coord_error *error, int outcome, const char *text)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&coord__v1__outcome__descriptor, outcome);
    const char *name = value != NULL ? value->name : "";
    enum coord_code code = code_of_outcome(name, COORD_REFUSED);
    (void)client_fail(error, code, "%s", text[0] != '\0' ? text : coord_code_text(code));
    if (error != NULL) {
        snprintf(error->outcome, sizeof error->outcome, "%s", name);
    }
    return code;
}
