/* The health service: it follows the node. */
#include "grpc/health/v1/health.pb-c.h"
#include "net/grpc/call.h"
#include "tests/support/check_main.h"
#include "tests/support/grpc_ask.h"
#include "tests/support/grpc_kit.h"

static int health_check(const char *service, int *status)
{
    Grpc__Health__V1__HealthCheckRequest request;
    grpc__health__v1__health_check_request__init(&request);
    request.service = ask_text(service);
    struct peer_call *call = peer_unary(peer, "/grpc.health.v1.Health/Check", &request.base);
    int code = peer_call_code(call);
    if (code == GRPC_OK) {
        Grpc__Health__V1__HealthCheckResponse *reply =
            peer_call_unpack(call, 0, &grpc__health__v1__health_check_response__descriptor);
        *status = (int)reply->status;
        grpc__health__v1__health_check_response__free_unpacked(reply, NULL);
    }
    peer_call_free(call);
    return code;
}

START_TEST(health_follows_the_node)
{
    int status;
    ck_assert_int_eq(health_check("", &status), GRPC_OK);
    ck_assert_int_eq(status, 1);
    for (size_t i = 0; grpc_services[i] != NULL; i++) {
        ck_assert_int_eq(health_check(grpc_services[i]->name, &status), GRPC_OK);
        ck_assert_int_eq(status, 1);
    }
    node->is_serving = false;
    ck_assert_int_eq(health_check("coord.v1.Tree", &status), GRPC_OK);
    ck_assert_int_eq(status, 2);
    ck_assert_int_eq(health_check("no.such.Service", &status), GRPC_NOT_FOUND);
}
END_TEST

static int watched_status(const struct peer_call *call, size_t index)
{
    Grpc__Health__V1__HealthCheckResponse *reply =
        peer_call_unpack(call, index, &grpc__health__v1__health_check_response__descriptor);
    if (reply == NULL) {
        return -1;
    }
    int status = (int)reply->status;
    grpc__health__v1__health_check_response__free_unpacked(reply, NULL);
    return status;
}

START_TEST(health_watch_pushes_changes)
{
    Grpc__Health__V1__HealthCheckRequest request;
    grpc__health__v1__health_check_request__init(&request);
    struct peer_call *call = peer_unary(peer, "/grpc.health.v1.Health/Watch", &request.base);
    ck_assert_int_eq(watched_status(call, 0), 1);
    ck_assert(!call->is_closed);
    peer_advance(peer, 200);
    ck_assert_int_eq(watched_status(call, 1), -1);
    node->is_serving = false;
    peer_advance(peer, 200);
    ck_assert_int_eq(watched_status(call, 1), 2);
    node->is_serving = true;
    peer_advance(peer, 200);
    ck_assert_int_eq(watched_status(call, 2), 1);
    ck_assert(!call->is_closed);
    peer_call_free(call);
}
END_TEST

START_TEST(health_watch_of_an_unknown_service_stays_open)
{
    Grpc__Health__V1__HealthCheckRequest request;
    grpc__health__v1__health_check_request__init(&request);
    request.service = ask_text("no.such.Service");
    struct peer_call *call = peer_unary(peer, "/grpc.health.v1.Health/Watch", &request.base);
    ck_assert_int_eq(watched_status(call, 0), 3);
    peer_advance(peer, 3600 * 1000);
    ck_assert(!call->is_closed);
    ck_assert_int_eq(watched_status(call, 1), -1);
    peer_call_free(call);
}
END_TEST

static Suite *health_suite(void)
{
    Suite *suite = suite_create("grpc health");
    TCase *tcase = tcase_create("health");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, health_follows_the_node);
    tcase_add_test(tcase, health_watch_pushes_changes);
    tcase_add_test(tcase, health_watch_of_an_unknown_service_stays_open);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){health_suite, NULL});
}
