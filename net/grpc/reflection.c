/* grpc.reflection: tells generic clients which services there are and what they look like. The
 * two versions differ in the package's name only, so that the messages of one serve both. */
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "net/grpc/answer.h"
#include "net/grpc/descriptor.h"
#include "proto/descriptors.h"

/* The cases of the two unions, by names that fit a line. */
#define REQUEST(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define RESPONSE(name) \
    GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

static void respond_error(struct grpc_call *call,
                          Grpc__Reflection__V1__ServerReflectionResponse *response,
                          enum grpc_code code, const char *what)
{
    Grpc__Reflection__V1__ErrorResponse error;
    grpc__reflection__v1__error_response__init(&error);
    error.error_code = (int32_t)code;
    error.error_message = answer_text(what);
    response->message_response_case = RESPONSE(ERROR_RESPONSE);
    response->error_response = &error;
    grpc_call_send(call, &response->base);
}

static void respond_services(struct grpc_call *call,
                             Grpc__Reflection__V1__ServerReflectionResponse *response)
{
    size_t count = 0;
    while (grpc_services[count] != NULL) {
        count++;
    }
    Grpc__Reflection__V1__ServiceResponse **list =
        grpc_call_scratch(call, count * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        list[i] = grpc_call_scratch(call, sizeof *list[i]);
        grpc__reflection__v1__service_response__init(list[i]);
        list[i]->name = answer_text(grpc_services[i]->name);
    }
    Grpc__Reflection__V1__ListServiceResponse services;
    grpc__reflection__v1__list_service_response__init(&services);
    services.service = list;
    services.n_service = count;
    response->message_response_case = RESPONSE(LIST_SERVICES_RESPONSE);
    response->list_services_response = &services;
    grpc_call_send(call, &response->base);
}

/* Sends file number `index` and, after it, what it imports, so that one answer is enough. */
static void respond_files(struct grpc_call *call,
                          Grpc__Reflection__V1__ServerReflectionResponse *response,
                          const struct slice *files, size_t count, size_t index)
{
    bool is_needed[DESCRIPTOR_FILES_MAX] = {false};
    ProtobufCBinaryData list[DESCRIPTOR_FILES_MAX];
    size_t used = 0;
    descriptor_closure(files, count, index, is_needed);
    for (size_t k = 0; k < count; k++) {
        size_t i = (index + k) % count;
        if (is_needed[i]) {
            union {
                const uint8_t *from;
                uint8_t *to;
            } cast = {.from = files[i].data};
            list[used++] = (ProtobufCBinaryData){.len = files[i].size, .data = cast.to};
        }
    }
    Grpc__Reflection__V1__FileDescriptorResponse found;
    grpc__reflection__v1__file_descriptor_response__init(&found);
    found.file_descriptor_proto = list;
    found.n_file_descriptor_proto = used;
    response->message_response_case = RESPONSE(FILE_DESCRIPTOR_RESPONSE);
    response->file_descriptor_response = &found;
    grpc_call_send(call, &response->base);
}

static void respond_file_by(struct grpc_call *call,
                            Grpc__Reflection__V1__ServerReflectionResponse *response,
                            const struct slice *files, size_t count, const char *name,
                            bool is_symbol)
{
    struct slice wanted = slice_str(name);
    for (size_t i = 0; i < count; i++) {
        bool is_found = is_symbol ? descriptor_file_has(files[i], wanted)
                                  : slice_equal(descriptor_file_name(files[i]), wanted);
        if (is_found) {
            respond_files(call, response, files, count, i);
            return;
        }
    }
    respond_error(call, response, GRPC_NOT_FOUND,
                  is_symbol ? "symbol not found" : "file not found");
}

/* Our messages have no extensions; proto3 has none. */
static void respond_extensions(struct grpc_call *call,
                               Grpc__Reflection__V1__ServerReflectionResponse *response,
                               const struct slice *files, size_t count, const char *type)
{
    for (size_t i = 0; i < count; i++) {
        if (descriptor_file_has_message(files[i], slice_str(type))) {
            Grpc__Reflection__V1__ExtensionNumberResponse numbers;
            grpc__reflection__v1__extension_number_response__init(&numbers);
            numbers.base_type_name = answer_text(type);
            response->message_response_case = RESPONSE(ALL_EXTENSION_NUMBERS_RESPONSE);
            response->all_extension_numbers_response = &numbers;
            grpc_call_send(call, &response->base);
            return;
        }
    }
    respond_error(call, response, GRPC_NOT_FOUND, "type not found");
}

static void info_message(struct grpc_call *call, const ProtobufCMessage *message)
{
    union {
        const ProtobufCMessage *from;
        Grpc__Reflection__V1__ServerReflectionRequest *to;
    } cast = {.from = message};
    Grpc__Reflection__V1__ServerReflectionRequest *request = cast.to;
    Grpc__Reflection__V1__ServerReflectionResponse response;
    grpc__reflection__v1__server_reflection_response__init(&response);
    response.valid_host = request->host;
    response.original_request = request;

    struct slice files[DESCRIPTOR_FILES_MAX];
    size_t count =
        descriptor_files(slice_make(coord_descriptors, coord_descriptors_size), files);
    switch (request->message_request_case) {
    case REQUEST(LIST_SERVICES):
        respond_services(call, &response);
        break;
    case REQUEST(FILE_BY_FILENAME):
        respond_file_by(call, &response, files, count, request->file_by_filename, false);
        break;
    case REQUEST(FILE_CONTAINING_SYMBOL):
        respond_file_by(call, &response, files, count, request->file_containing_symbol, true);
        break;
    case REQUEST(FILE_CONTAINING_EXTENSION):
        respond_error(call, &response, GRPC_NOT_FOUND, "extension not found");
        break;
    case REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE):
        respond_extensions(call, &response, files, count,
                           request->all_extension_numbers_of_type);
        break;
    default:
        respond_error(call, &response, GRPC_INVALID_ARGUMENT, "no request is set");
        break;
    }
}

static void info_half_closed(struct grpc_call *call)
{
    grpc_call_finish(call);
}

static const struct grpc_method methods[] = {
    {.name = "ServerReflectionInfo",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .state = GRPC_STATE_ANY,
     .request = &grpc__reflection__v1__server_reflection_request__descriptor,
     .takes_stream = true,
     .is_long = true,
     .message = info_message,
     .half_closed = info_half_closed},
};

const struct grpc_service grpc_reflection_service = {
    .name = "grpc.reflection.v1.ServerReflection",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};

const struct grpc_service grpc_reflection_v1alpha_service = {
    .name = "grpc.reflection.v1alpha.ServerReflection",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
