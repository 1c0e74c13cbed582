/* Access control lists, and RPCs by their names, against servers that answer to order. */
#include "client/methods.h"

#include <stdlib.h>
#include <string.h>

#include "client/acls.h"
#include "client/method.h"
#include "client/socket.h"
#include "coord/v1/auth.pb-c.h"
#include "coord/v1/barrier.pb-c.h"
#include "coord/v1/cluster.pb-c.h"
#include "coord/v1/config.pb-c.h"
#include "coord/v1/counter.pb-c.h"
#include "coord/v1/discovery.pb-c.h"
#include "coord/v1/election.pb-c.h"
#include "coord/v1/history.pb-c.h"
#include "coord/v1/lease.pb-c.h"
#include "coord/v1/lock.pb-c.h"
#include "coord/v1/maintenance.pb-c.h"
#include "coord/v1/quota.pb-c.h"
#include "coord/v1/session.pb-c.h"
#include "coord/v1/shard_map.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "coord/v1/watch.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "tests/support/check_main.h"
#include "tests/support/client_kit.h"
#include "tests/support/scripted_reply.h"

static struct client_kit kit;

static void setup(void)
{
    client_kit_open(&kit);
    kit.cluster.ttl_ms = 60000;
}

static void teardown(void)
{
    client_kit_close(&kit);
}

static void begin(const struct scripted_step *script, uint32_t timeout_ms)
{
    client_kit_begin(&kit, &script, 1, timeout_ms);
}

static void begin_below(const char *chroot)
{
    const struct scripted_step *none = NULL;
    client_kit_begin(&kit, &none, 1, 5000);
    coord_close(kit.client);
    const struct coord_options options = {.endpoints = scripted_server_endpoint(kit.servers[0]),
                                          .chroot = chroot};
    kit.client = NULL;
    ck_assert_int_eq(coord_open(&options, &kit.client, &kit.error), COORD_OK);
}

static void drive_until(const bool *is_done)
{
    uint64_t until = socket_now_ms() + 30000;
    while (!*is_done && socket_now_ms() < until) {
        ck_assert_int_eq(coord_run(kit.client, 20), COORD_OK);
    }
    ck_assert(*is_done);
}

/* So many calls arrived, so many were executed: reads each time, writes once for each id. */
static void expect_calls(size_t arrived, size_t executed)
{
    pthread_mutex_lock(&kit.cluster.lock);
    ck_assert_uint_eq(kit.cluster.call_count, arrived);
    ck_assert_uint_eq(kit.cluster.executed_count, executed);
    pthread_mutex_unlock(&kit.cluster.lock);
}

static bool was_told;
static enum coord_code told_code;

/* ---- access control lists ---------------------------------------------------------------- */

static const struct coord_acl two[] = {{COORD_ACL_READ | COORD_ACL_WRITE, "auth", ""},
                                       {COORD_ACL_ALL, "ip", "10.0.0.0/8"}};

static void expect_list(const struct coord_acl_list *list)
{
    ck_assert_uint_eq(list->version, 3);
    ck_assert_uint_eq(list->count, 2);
    ck_assert_uint_eq(list->entries[0].permissions, COORD_ACL_ALL);
    ck_assert_str_eq(list->entries[0].scheme, "digest");
    ck_assert_str_eq(list->entries[0].id, "anna:x");
    ck_assert_uint_eq(list->entries[1].permissions, COORD_ACL_READ);
    ck_assert_str_eq(list->entries[1].id, "anyone");
}

START_TEST(a_list_is_read_with_its_version)
{
    struct coord_acl_list list;
    struct coord_stat stat;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_acl_get(kit.client, "/a", &list, &stat, &kit.error), COORD_OK);
    expect_list(&list);
    ck_assert_uint_eq(stat.version, 9);
    coord_acl_clear(&list);
    ck_assert_uint_eq(list.count, 0);
    coord_acl_clear(&list);
}
END_TEST

/* ---- digests ----------------------------------------------------------------------------- */

static void expect_digests(const char *shown)
{
    pthread_mutex_lock(&kit.cluster.lock);
    ck_assert_str_eq(kit.cluster.digests, shown);
    pthread_mutex_unlock(&kit.cluster.lock);
}

START_TEST(digests_are_shown_with_every_call_and_stream)
{
    struct coord_watch *watch;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_sync(kit.client, &kit.error), COORD_OK);
    expect_digests("");
    ck_assert_int_eq(coord_add_digest(kit.client, "ann", "se:cret", &kit.error), COORD_OK);
    ck_assert_int_eq(coord_add_digest(kit.client, "bob", "", &kit.error), COORD_OK);
    ck_assert_int_eq(coord_add_digest(kit.client, "ann", "se:cret", &kit.error), COORD_OK);
    ck_assert_int_eq(coord_sync(kit.client, &kit.error), COORD_OK);
    expect_digests("ann:se:cret;bob:;");
    ck_assert_int_eq(coord_add_digest(kit.client, "eve", "x", &kit.error), COORD_OK);
    ck_assert_int_eq(coord_watch_open(kit.client, "/a", NULL, &watch, &kit.error), COORD_OK);
    expect_digests("ann:se:cret;bob:;eve:x;");
    coord_watch_close(watch);
}
END_TEST

static const struct {
    const char *name;
    const char *password;
    const char *says;
} no_digests[] = {
    {"", "x", "digest: the name must not be empty, nor have a colon"},
    {"a:b", "x", "digest: the name must not be empty, nor have a colon"},
    {"ann", "a\nb", "digest: control characters are not possible"},
    {"a\tb", "x", "digest: control characters are not possible"},
    {" ann", "x", "digest: a space at the beginning or the end is not possible"},
    {"ann", "x ", "digest: a space at the beginning or the end is not possible"},
};

START_TEST(what_is_no_digest_is_refused)
{
    begin(NULL, 5000);
    ck_assert_int_eq(coord_add_digest(kit.client, no_digests[_i].name, no_digests[_i].password,
                                      &kit.error),
                     COORD_INVALID);
    ck_assert_str_eq(kit.error.message, no_digests[_i].says);
    ck_assert_int_eq(coord_sync(kit.client, &kit.error), COORD_OK);
    expect_digests("");
}
END_TEST

START_TEST(a_digest_has_at_most_1024_bytes_and_a_client_8_of_them)
{
    char password[1024];
    char name[] = "a";
    begin(NULL, 5000);
    memset(password, 'x', sizeof password);
    password[1023] = '\0';
    ck_assert_int_eq(coord_add_digest(kit.client, "a", password, &kit.error), COORD_INVALID);
    ck_assert_str_eq(kit.error.message, "digest: name and password have more than 1024 bytes");
    password[1022] = '\0';
    ck_assert_int_eq(coord_add_digest(kit.client, "a", password, &kit.error), COORD_OK);
    for (size_t i = 1; i < 8; i++) {
        name[0]++;
        ck_assert_int_eq(coord_add_digest(kit.client, name, "x", &kit.error), COORD_OK);
    }
    ck_assert_int_eq(coord_add_digest(kit.client, name, "x", &kit.error), COORD_OK);
    ck_assert_int_eq(coord_add_digest(kit.client, "more", "x", &kit.error), COORD_LIMITED);
    ck_assert_str_eq(kit.error.message, "digest: a client shows 8 at most");
}
END_TEST

/* ---- lists that do not wait -------------------------------------------------------------- */

static void on_list(void *context, const struct coord_result *result)
{
    struct coord_acl_list list;
    (void)context;
    ck_assert_int_eq(result->code, COORD_OK);
    expect_list(result->acl);
    ck_assert_uint_eq(result->stat.version, 9);
    ck_assert_int_eq(coord_acl_get(kit.client, "/a", &list, NULL, NULL), COORD_INVALID);
    ck_assert_int_eq(coord_acl_set(kit.client, "/a", two, 2, 0, NULL, NULL, NULL),
                     COORD_INVALID);
    was_told = true;
}

static void on_set(void *context, const struct coord_result *result)
{
    (void)context;
    ck_assert_int_eq(result->code, COORD_OK);
    ck_assert_ptr_null(result->acl);
    ck_assert_uint_eq(result->stat.acl_version, 4);
    was_told = true;
}

START_TEST(calls_for_lists_that_do_not_wait_are_told)
{
    begin(NULL, 5000);
    was_told = false;
    ck_assert_int_eq(coord_acl_get_async(kit.client, "/a", on_list, NULL, NULL, &kit.error),
                     COORD_OK);
    drive_until(&was_told);
    was_told = false;
    ck_assert_int_eq(
        coord_acl_set_async(kit.client, "/a", two, 2, 3, NULL, on_set, NULL, NULL, &kit.error),
        COORD_OK);
    drive_until(&was_told);
}
END_TEST

START_TEST(a_list_is_replaced_as_a_whole_below_the_chroot)
{
    struct coord_stat stat;
    const struct coord_guard guard = coord_guard_held("/l/q", 5);
    const struct coord_acl_options options = {
        .guards = &guard, .guard_count = 1, .note = "because"};
    begin_below("/team");
    ck_assert_int_eq(coord_acl_set(kit.client, "/a", two, 2, 3, &options, &stat, &kit.error),
                     COORD_OK);
    ck_assert_uint_eq(stat.acl_version, 4);
    Coord__V1__SetAclRequest *sent = coord__v1__set_acl_request__unpack(
        NULL, kit.cluster.request_bytes, kit.cluster.request);
    ck_assert_ptr_nonnull(sent);
    ck_assert_str_eq(sent->path, "/team/a");
    ck_assert_uint_eq(sent->n_acl, 2);
    ck_assert_uint_eq(sent->acl[0]->permissions, 3);
    ck_assert_str_eq(sent->acl[0]->scheme, "auth");
    ck_assert_str_eq(sent->acl[1]->id, "10.0.0.0/8");
    ck_assert_uint_eq(sent->expect->version, 3);
    ck_assert_uint_eq(sent->n_guards, 1);
    ck_assert_str_eq(sent->guards[0]->path, "/team/l/q");
    ck_assert_str_eq(sent->header->note, "because");
    coord__v1__set_acl_request__free_unpacked(sent, NULL);
}
END_TEST

static const struct {
    struct scripted_step step;
    enum coord_code code;
} acl_refusals[] = {
    {REFUSAL(ABORTED, "BAD_VERSION"), COORD_BAD_VERSION},
    {REFUSAL(INVALID_ARGUMENT, "INVALID_ACL"), COORD_INVALID},
    {REFUSAL(NOT_FOUND, "NO_NODE"), COORD_NOT_FOUND},
    {REFUSAL(PERMISSION_DENIED, "NO_AUTH"), COORD_DENIED},
    {REFUSAL(FAILED_PRECONDITION, "GUARD_STALE"), COORD_GUARD_STALE},
};

START_TEST(refusals_of_lists_are_told_apart)
{
    struct coord_acl_list list = {.count = 7};
    begin(SCRIPT(acl_refusals[_i].step, acl_refusals[_i].step), 5000);
    ck_assert_int_eq(
        coord_acl_set(kit.client, "/a", two, 2, COORD_ANY_VERSION, NULL, NULL, &kit.error),
        acl_refusals[_i].code);
    ck_assert_int_eq(coord_acl_get(kit.client, "/a", &list, NULL, &kit.error),
                     acl_refusals[_i].code);
    ck_assert_uint_eq(list.count, 7); /* written on COORD_OK only */
}
END_TEST

START_TEST(what_a_list_takes_is_checked_before_anything_is_sent)
{
    const struct coord_guard guard = coord_guard_exists("/a", true);
    const struct coord_acl_options guarded = {.guards = &guard, .guard_count = 1};
    begin(NULL, 5000);
    ck_assert_int_eq(coord_acl_set(kit.client, "/a", two, 2, -2, NULL, NULL, &kit.error),
                     COORD_INVALID);
    ck_assert_int_eq(coord_acl_set(kit.client, "/a", two, 2, 0, &guarded, NULL, &kit.error),
                     COORD_INVALID);
    expect_calls(0, 0);
}
END_TEST

START_TEST(a_lost_list_is_set_once)
{
    begin(SCRIPT(STEP(LOSE)), 5000);
    ck_assert_int_eq(coord_acl_set(kit.client, "/a", two, 2, 3, NULL, NULL, &kit.error),
                     COORD_OK);
    expect_calls(2, 1);
}
END_TEST

/* ---- methods: what is sent, what comes back ---------------------------------------------- */

#define UNKNOWN_METHOD "/coord.v1.Newer/Thing"

static const ProtobufCServiceDescriptor *const services[] = {
    &coord__v1__auth__descriptor,          &coord__v1__barrier__descriptor,
    &coord__v1__cluster__descriptor,       &coord__v1__config__descriptor,
    &coord__v1__counter__descriptor,       &coord__v1__discovery__descriptor,
    &coord__v1__election__descriptor,      &coord__v1__history__descriptor,
    &coord__v1__lease__descriptor,         &coord__v1__lock__descriptor,
    &coord__v1__maintenance__descriptor,   &coord__v1__quota__descriptor,
    &coord__v1__session__descriptor,       &coord__v1__shard_map__descriptor,
    &coord__v1__tree__descriptor,          &coord__v1__watch__descriptor,
    &grpc__health__v1__health__descriptor,
};

START_TEST(every_method_of_the_contract_is_known)
{
    char path[128];
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        for (unsigned j = 0; j < services[i]->n_methods; j++) {
            const ProtobufCMethodDescriptor *method = &services[i]->methods[j];
            snprintf(path, sizeof path, "/%s/%s", services[i]->name, method->name);
            const struct method *found = method_find(path);
            ck_assert_msg(found != NULL, "%s is not known", path);
            ck_assert_ptr_eq(found->reply, method->output);
            const ProtobufCFieldDescriptor *header =
                protobuf_c_message_descriptor_get_field_by_name(method->input, "header");
            ck_assert_msg(found->kind == METHOD_STREAM || found->has_no_header ||
                              (header != NULL && header->id == 1),
                          "the header of %s is its first field", path);
        }
    }
}
END_TEST

/* A request for the list at "/a", that names a consistency of its own. */
static size_t pack_request(uint8_t *to)
{
    static char path[] = "/a";
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__GetAclRequest request = COORD__V1__GET_ACL_REQUEST__INIT;
    header.consistency = COORD__V1__CONSISTENCY__LOCAL;
    request.header = &header;
    request.path = path;
    return coord__v1__get_acl_request__pack(&request, to);
}

START_TEST(a_request_goes_out_and_its_reply_comes_back_in_bytes)
{
    uint8_t request[64];
    uint8_t *reply = NULL;
    size_t bytes = 0;
    begin_below("/team");
    ck_assert_int_eq(coord_call_method(kit.client, "/coord.v1.Tree/GetAcl", request,
                                       pack_request(request), NULL, (void **)&reply, &bytes,
                                       &kit.error),
                     COORD_OK);
    ck_assert_uint_eq(reply[bytes], 0);
    Coord__V1__GetAclReply *got = coord__v1__get_acl_reply__unpack(NULL, bytes, reply);
    ck_assert_ptr_nonnull(got);
    ck_assert_uint_eq(got->n_acl, 2);
    ck_assert_uint_eq(got->header->revision, 7);
    ck_assert_uint_eq(coord_revision(kit.client), 7); /* learned, as of every reply */
    coord__v1__get_acl_reply__free_unpacked(got, NULL);
    free(reply);
    Coord__V1__GetAclRequest *sent = coord__v1__get_acl_request__unpack(
        NULL, kit.cluster.request_bytes, kit.cluster.request);
    ck_assert_ptr_nonnull(sent);
    ck_assert_str_eq(sent->path, "/a"); /* without the chroot */
    ck_assert_int_eq(sent->header->consistency, COORD__V1__CONSISTENCY__LINEARIZABLE);
    coord__v1__get_acl_request__free_unpacked(sent, NULL);
}
END_TEST

START_TEST(health_is_asked_for_without_a_header)
{
    uint8_t *reply = NULL;
    size_t reply_bytes = 0;
    begin(NULL, 5000);
    ck_assert_int_eq(coord_call_method(kit.client, "/grpc.health.v1.Health/Check", NULL, 0,
                                       NULL, (void **)&reply, &reply_bytes, &kit.error),
                     COORD_OK);
    ck_assert_uint_eq(reply_bytes, 2);
    ck_assert_mem_eq(reply, "\x08\x01", 2);
    free(reply);
    ck_assert_uint_eq(kit.cluster.request_bytes, 0);
}
END_TEST

static const struct {
    const char *method;
    const char *why;
} no_methods[] = {
    {"", "no method"},
    {"coord.v1.Tree/Get", "no method"},
    {"/coord.v1.Tree", "no method"},
    {"/coord.v1.Tree/", "no method"},
    {"//Get", "no method"},
    {"/coord.v1.Tree/Get/All", "no method"},
    {"/coord.v1.Tree/Get\r\nx", "no method"},
    {"/other.v1.Tree/Get", "of the contract"},
    {"/coord.v1.Watch/Watch", "stream"},
    {"/coord.v1.Config/Watch", "stream"},
    {"/coord.v1.Lock/Acquire", "waits"},
    {"/coord.v1.Barrier/Leave", "waits"},
};

START_TEST(what_is_no_method_to_be_called_is_refused)
{
    begin(NULL, 5000);
    ck_assert_int_eq(coord_call_method(kit.client, no_methods[_i].method, NULL, 0, NULL, NULL,
                                       NULL, &kit.error),
                     COORD_INVALID);
    ck_assert_ptr_nonnull(strstr(kit.error.message, no_methods[_i].why));
    expect_calls(0, 0);
}
END_TEST

static const struct {
    const char *bytes;
    size_t size;
} no_messages[] = {
    {"\x12", 1},              /* a text without its size */
    {"\x12\x02/", 3},         /* and one that is cut */
    {"\x12\x01/\x00\x01", 5}, /* field 0 */
    {"\x13\x00", 2},          /* a group */
    {"\x11\x00\x00", 3},      /* eight bytes, of which there are two */
    {"\x15\x00", 2},          /* four */
    {"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12},
    {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* a size that would run over */
};

START_TEST(what_is_no_message_is_refused)
{
    begin(NULL, 5000);
    ck_assert_int_eq(coord_call_method(kit.client, "/coord.v1.Tree/GetAcl",
                                       no_messages[_i].bytes, no_messages[_i].size, NULL, NULL,
                                       NULL, &kit.error),
                     COORD_INVALID);
    ck_assert_ptr_nonnull(strstr(kit.error.message, "no protobuf message"));
    expect_calls(0, 0);
}
END_TEST

/* ---- methods: repeats -------------------------------------------------------------------- */

static enum coord_code call(const char *method, const struct coord_method_options *options)
{
    return coord_call_method(kit.client, method, NULL, 0, options, NULL, NULL, &kit.error);
}

START_TEST(reads_are_repeated_and_writes_too_with_their_id)
{
    begin(SCRIPT(STEP(LOSE), STEP(SERVE), STEP(LOSE), STEP(UNKNOWN)), 5000);
    ck_assert_int_eq(call("/coord.v1.Quota/List", NULL), COORD_OK);
    expect_calls(2, 2);
    ck_assert_int_eq(call("/coord.v1.Quota/Set", NULL), COORD_OK);
    expect_calls(5, 3);
    ck_assert_uint_ne(kit.cluster.ids[2].high, 0);
    ck_assert_mem_eq(&kit.cluster.ids[2], &kit.cluster.ids[4], sizeof kit.cluster.ids[2]);
}
END_TEST

START_TEST(writes_of_a_session_carry_its_numbers)
{
    begin(NULL, 5000);
    ck_assert_int_eq(coord_session_open(kit.client, 0, "tests", &kit.error), COORD_OK);
    ck_assert_int_eq(call("/coord.v1.Quota/Set", NULL), COORD_OK);
    ck_assert_uint_eq(kit.cluster.ids[1].high, 1);
    ck_assert_uint_eq(kit.cluster.ids[1].low, SCRIPTED_SESSION);
}
END_TEST

static const struct scripted_step lost[] = {STEP(LOSE), STEP(DROP), STEP(UNKNOWN),
                                            ANSWER(CANCELLED)};

START_TEST(what_is_not_known_is_not_repeated_when_it_was_perhaps_executed)
{
    const struct coord_method_options twice = {.is_idempotent = true};
    begin(SCRIPT(lost[_i], lost[_i]), 5000);
    ck_assert_int_eq(call(UNKNOWN_METHOD, NULL), COORD_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(kit.error.message, "may have been executed"));
    ck_assert_uint_eq(kit.cluster.call_count, 1);
    ck_assert_int_eq(call(UNKNOWN_METHOD, &twice), COORD_OK);
    ck_assert_uint_eq(kit.cluster.call_count, 3);
}
END_TEST

static const struct scripted_step refused[] = {STEP(REFUSE), STEP(GOAWAY), ANSWER(UNAVAILABLE)};

START_TEST(what_is_not_known_is_repeated_when_it_was_not_executed)
{
    begin(SCRIPT(refused[_i]), 5000);
    ck_assert_msg(call(UNKNOWN_METHOD, NULL) == COORD_OK, "%s", kit.error.message);
    expect_calls(2, 1);
}
END_TEST

START_TEST(refusals_of_methods_have_their_codes)
{
    begin(SCRIPT(ANSWER(UNIMPLEMENTED), REFUSAL(NOT_FOUND, "NO_QUOTA"),
                 REFUSAL(PERMISSION_DENIED, "NO_AUTH")),
          5000);
    ck_assert_int_eq(call(UNKNOWN_METHOD, NULL), COORD_UNSUPPORTED);
    ck_assert_int_eq(call("/coord.v1.Quota/Get", NULL), COORD_NOT_FOUND);
    ck_assert_str_eq(kit.error.outcome, "NO_QUOTA");
    ck_assert_int_eq(call("/coord.v1.Quota/Set", NULL), COORD_DENIED);
    expect_calls(3, 0);
}
END_TEST

START_TEST(a_method_has_its_own_time)
{
    const struct coord_method_options hasty = {.timeout_ms = 100};
    begin(SCRIPT(STEP(SILENCE), STEP(SILENCE)), 600000);
    ck_assert_int_eq(call("/coord.v1.Quota/List", &hasty), COORD_TIMEOUT);
}
END_TEST

static void on_reply(void *context, const struct coord_result *result)
{
    Coord__V1__SyncReply *reply =
        coord__v1__sync_reply__unpack(NULL, result->bytes, (const uint8_t *)result->data);
    ck_assert_ptr_eq(context, &kit);
    ck_assert_int_eq(result->code, COORD_OK);
    ck_assert_ptr_nonnull(reply);
    ck_assert_uint_eq(reply->header->applied_index, 9);
    coord__v1__sync_reply__free_unpacked(reply, NULL);
    ck_assert_int_eq(call("/coord.v1.Quota/List", NULL), COORD_INVALID); /* it would wait */
    was_told = true;
}

static void on_end(void *context, const struct coord_result *result)
{
    (void)context;
    ck_assert_uint_eq(result->bytes, 0);
    told_code = result->code;
}

START_TEST(a_method_that_does_not_wait_is_told_or_canceled)
{
    struct coord_call *canceled;
    begin(NULL, 5000);
    was_told = false;
    ck_assert_int_eq(coord_call_method_async(kit.client, UNKNOWN_METHOD, NULL, 0, NULL,
                                             on_reply, &kit, NULL, &kit.error),
                     COORD_OK);
    drive_until(&was_told);
    told_code = COORD_OK;
    ck_assert_int_eq(coord_call_method_async(kit.client, "/coord.v1.Quota/List", NULL, 0, NULL,
                                             on_end, NULL, &canceled, &kit.error),
                     COORD_OK);
    coord_cancel(canceled);
    ck_assert_int_eq(told_code, COORD_CANCELED);
}
END_TEST

static Suite *methods_suite(void)
{
    Suite *s = suite_create("methods");
    TCase *t = tcase_create("methods");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_list_is_read_with_its_version);
    tcase_add_test(t, digests_are_shown_with_every_call_and_stream);
    tcase_add_loop_test(t, what_is_no_digest_is_refused, 0,
                        (int)(sizeof no_digests / sizeof no_digests[0]));
    tcase_add_test(t, a_digest_has_at_most_1024_bytes_and_a_client_8_of_them);
    tcase_add_test(t, calls_for_lists_that_do_not_wait_are_told);
    tcase_add_test(t, a_list_is_replaced_as_a_whole_below_the_chroot);
    tcase_add_loop_test(t, refusals_of_lists_are_told_apart, 0,
                        (int)(sizeof acl_refusals / sizeof acl_refusals[0]));
    tcase_add_test(t, what_a_list_takes_is_checked_before_anything_is_sent);
    tcase_add_test(t, a_lost_list_is_set_once);
    tcase_add_test(t, every_method_of_the_contract_is_known);
    tcase_add_test(t, a_request_goes_out_and_its_reply_comes_back_in_bytes);
    tcase_add_test(t, health_is_asked_for_without_a_header);
    tcase_add_loop_test(t, what_is_no_method_to_be_called_is_refused, 0,
                        (int)(sizeof no_methods / sizeof no_methods[0]));
    tcase_add_loop_test(t, what_is_no_message_is_refused, 0,
                        (int)(sizeof no_messages / sizeof no_messages[0]));
    tcase_add_test(t, reads_are_repeated_and_writes_too_with_their_id);
    tcase_add_test(t, writes_of_a_session_carry_its_numbers);
    tcase_add_loop_test(t, what_is_not_known_is_not_repeated_when_it_was_perhaps_executed, 0,
                        (int)(sizeof lost / sizeof lost[0]));
    tcase_add_loop_test(t, what_is_not_known_is_repeated_when_it_was_not_executed, 0,
                        (int)(sizeof refused / sizeof refused[0]));
    tcase_add_test(t, refusals_of_methods_have_their_codes);
    tcase_add_test(t, a_method_has_its_own_time);
    tcase_add_test(t, a_method_that_does_not_wait_is_told_or_canceled);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){methods_suite, NULL});
}
