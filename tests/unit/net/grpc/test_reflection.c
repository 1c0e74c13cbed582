/* Reflection: services, files and symbols, on both versions of it. */
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "net/grpc/call.h"
#include "tests/support/check_main.h"
#include "tests/support/grpc_ask.h"
#include "tests/support/grpc_kit.h"

#define REQUEST(name)  GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define RESPONSE(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

static const char *const reflections[] = {
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
};

static Grpc__Reflection__V1__ServerReflectionResponse *reflect(
    struct peer_call *call, size_t index,
    Grpc__Reflection__V1__ServerReflectionRequest *request)
{
    peer_call_send(call, &request->base);
    peer_run(peer);
    Grpc__Reflection__V1__ServerReflectionResponse *reply = peer_call_unpack(
        call, index, &grpc__reflection__v1__server_reflection_response__descriptor);
    ck_assert_ptr_nonnull(reply);
    return reply;
}

START_TEST(reflection_lists_services_and_serves_files_on_one_stream)
{
    struct peer_call *call = peer_call_open(peer, reflections[_i], NULL);
    Grpc__Reflection__V1__ServerReflectionRequest request;
    grpc__reflection__v1__server_reflection_request__init(&request);
    request.message_request_case = REQUEST(LIST_SERVICES);
    request.list_services = ask_text("");
    Grpc__Reflection__V1__ServerReflectionResponse *reply = reflect(call, 0, &request);
    size_t count = 0;
    while (grpc_services[count] != NULL) {
        count++;
    }
    ck_assert_uint_eq(reply->list_services_response->n_service, count);
    ck_assert_str_eq(reply->list_services_response->service[0]->name, "coord.v1.Tree");
    ck_assert_ptr_nonnull(reply->original_request);
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);

    request.message_request_case = REQUEST(FILE_BY_FILENAME);
    request.file_by_filename = ask_text("coord/v1/tree.proto");
    reply = reflect(call, 1, &request);
    ck_assert_uint_eq(reply->file_descriptor_response->n_file_descriptor_proto, 2);
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);

    request.file_by_filename = ask_text("coord/v1/none.proto");
    reply = reflect(call, 2, &request);
    ck_assert_int_eq(reply->error_response->error_code, GRPC_NOT_FOUND);
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);

    peer_call_end(call);
    peer_run(peer);
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    ck_assert(call->is_closed);
    peer_call_free(call);
}
END_TEST

static const struct {
    const char *symbol;
    bool is_found;
} symbols[] = {
    {"coord.v1.Tree", true},
    {"coord.v1.Tree.Create", true},
    {"coord.v1.GetRequest", true},
    {"coord.v1.GetRequest.path", true},
    {"coord.v1.Guard.Relation", true},
    {"coord.v1.Guard.target", true},
    {"coord.v1.Kind", true},
    {"coord.v1.NO_NODE", true}, /* beside their enums, as protobuf has it */
    {"coord.v1.Guard.NOT_EQUAL", true},
    {"coord.v1.Outcome.NO_NODE", true}, /* as many ask for it */
    {"coord.v1.Guard.NO_NODE", false},
    {"coord.v1.NOT_EQUAL", false},
    {"grpc.health.v1.Health", true},
    {"grpc.health.v1.HealthCheckResponse.ServingStatus", true},
    {"grpc.reflection.v1alpha.ServerReflection", true},
    {"coord.v1.Nothing", false},
    {"coord.v1.Tree.Nothing", false},
    {"coord.v1.Tre", false},
    {"coord.v1", false},
    {"coord.v1.", false},
    {"", false},
};

START_TEST(reflection_finds_symbols)
{
    struct peer_call *call = peer_call_open(peer, reflections[0], NULL);
    Grpc__Reflection__V1__ServerReflectionRequest request;
    grpc__reflection__v1__server_reflection_request__init(&request);
    request.message_request_case = REQUEST(FILE_CONTAINING_SYMBOL);
    request.file_containing_symbol = ask_text(symbols[_i].symbol);
    Grpc__Reflection__V1__ServerReflectionResponse *reply = reflect(call, 0, &request);
    bool is_found = reply->message_response_case == RESPONSE(FILE_DESCRIPTOR_RESPONSE);
    ck_assert_msg(is_found == symbols[_i].is_found, "%s", symbols[_i].symbol);
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);
    peer_call_free(call);
}
END_TEST

START_TEST(reflection_answers_extension_questions)
{
    struct peer_call *call = peer_call_open(peer, reflections[0], NULL);
    Grpc__Reflection__V1__ServerReflectionRequest request;
    Grpc__Reflection__V1__ExtensionRequest extension;
    grpc__reflection__v1__server_reflection_request__init(&request);
    grpc__reflection__v1__extension_request__init(&extension);
    request.message_request_case = REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE);
    request.all_extension_numbers_of_type = ask_text("coord.v1.GetRequest");
    Grpc__Reflection__V1__ServerReflectionResponse *reply = reflect(call, 0, &request);
    ck_assert_str_eq(reply->all_extension_numbers_response->base_type_name,
                     "coord.v1.GetRequest");
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);

    request.all_extension_numbers_of_type = ask_text("coord.v1.Tree");
    reply = reflect(call, 1, &request);
    ck_assert_int_eq(reply->error_response->error_code, GRPC_NOT_FOUND);
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);

    request.message_request_case = REQUEST(FILE_CONTAINING_EXTENSION);
    request.file_containing_extension = &extension;
    reply = reflect(call, 2, &request);
    ck_assert_int_eq(reply->error_response->error_code, GRPC_NOT_FOUND);
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);

    request.message_request_case = REQUEST(_NOT_SET);
    reply = reflect(call, 3, &request);
    ck_assert_int_eq(reply->error_response->error_code, GRPC_INVALID_ARGUMENT);
    grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);
    peer_call_free(call);
}
END_TEST

static Suite *reflection_suite(void)
{
    Suite *suite = suite_create("grpc reflection");
    TCase *tcase = tcase_create("reflection");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, reflection_lists_services_and_serves_files_on_one_stream, 0, 2);
    tcase_add_loop_test(tcase, reflection_finds_symbols, 0,
                        (int)(sizeof symbols / sizeof symbols[0]));
    tcase_add_test(tcase, reflection_answers_extension_questions);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){reflection_suite, NULL});
}
