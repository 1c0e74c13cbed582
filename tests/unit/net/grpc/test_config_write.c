/* coord.v1.Config: writes that are repeated, or made on a member that lags, and the list of roots,
 * through the bytes of a real HTTP/2 client. */
#include "lease/lease.h"
#include "tests/support/config_kit.h"

#define CLUSTER_MS 1000

static Coord__V1__RequestId id;
static Coord__V1__RequestHeader header;

static void world_with_ids_open(void)
{
    world_open();
    node->cluster_ms = CLUSTER_MS;
    coord__v1__request_id__init(&id);
    coord__v1__request_header__init(&header);
    id.issued_ms = CLUSTER_MS;
    id.high = 1;
    id.low = 2;
    header.request_id = &id;
}

/* Ended with OK; its reply. */
static Coord__V1__ConfigChangeReply *replied(struct peer_call *call)
{
    await(call);
    ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s", peer_call_text(call));
    Coord__V1__ConfigChangeReply *reply =
        peer_call_unpack(call, 0, &coord__v1__config_change_reply__descriptor);
    ck_assert_ptr_nonnull(reply);
    peer_call_free(call);
    return reply;
}

static void told(struct peer_call *call, bool repeated, uint32_t changed)
{
    Coord__V1__ConfigChangeReply *reply = replied(call);
    ck_assert_int_eq(reply->header->repeated, repeated);
    ck_assert_uint_eq(reply->changed, changed);
    coord__v1__config_change_reply__free_unpacked(reply, NULL);
}

static void refused(struct peer_call *call, enum grpc_code code, const char *outcome)
{
    await(call);
    ck_assert_msg(peer_call_code(call) == (int)code, "%s", peer_call_text(call));
    ck_assert_str_eq(peer_call_header(call, "coord-outcome"), outcome);
    peer_call_free(call);
}

static struct peer_call *drop(const char *path)
{
    Coord__V1__ConfigDeleteRootRequest request;
    coord__v1__config_delete_root_request__init(&request);
    request.header = &header;
    request.path = text(path);
    return CONFIG_CALL("DeleteRoot", request);
}

static struct peer_call *set_once(const char *path, const char *value)
{
    Coord__V1__ConfigSetRequest request;
    coord__v1__config_set_request__init(&request);
    request.header = &header;
    request.path = text(path);
    request.value = bytes(value);
    return CONFIG_CALL("Set", request);
}

static struct peer_call *roll_back(const char *path, uint64_t revision)
{
    Coord__V1__ConfigRollbackRequest request;
    coord__v1__config_rollback_request__init(&request);
    request.header = &header;
    request.path = text(path);
    request.revision = revision;
    return CONFIG_CALL("Rollback", request);
}

static struct peer_call *roll_out(const char *path, const char *value)
{
    uint32_t all[] = {100};
    Coord__V1__ConfigStartRolloutRequest request;
    coord__v1__config_start_rollout_request__init(&request);
    request.header = &header;
    request.path = text(path);
    request.value = bytes(value);
    request.strategy = COORD__V1__ROLLOUT_STRATEGY__ROLLOUT_CANARY;
    request.percents = all;
    request.n_percents = 1;
    return CONFIG_CALL("StartRollout", request);
}

/* ---- repeated ----------------------------------------------------------------------------- */

START_TEST(a_root_that_was_deleted_is_not_missed_by_who_deleted_it)
{
    root("/c");
    told(drop("/c"), false, 0);
    told(drop("/c"), true, 0);
    id.low = 3; /* somebody else's */
    refused(drop("/c"), GRPC_NOT_FOUND, "NO_NODE");
}
END_TEST

START_TEST(a_value_that_was_set_is_not_judged_by_what_came_after)
{
    root("/c");
    told(set_once("/c/a", "text"), false, 1);
    set_schema("/c", "{\"type\":\"integer\"}");
    Coord__V1__ConfigChangeReply *reply = replied(set_once("/c/a", "text"));
    ck_assert(reply->header->repeated);
    ck_assert_uint_eq(reply->changed, 1);
    ck_assert_uint_eq(reply->n_entries, 1);
    ck_assert_str_eq(reply->entries[0]->path, "/c/a");
    ck_assert_uint_eq(reply->entries[0]->modify_revision, reply->header->revision);
    coord__v1__config_change_reply__free_unpacked(reply, NULL);
    id.low = 3;
    refused(set_once("/c/a", "text"), GRPC_INVALID_ARGUMENT, "BAD_ARGUMENTS");
    id.low = 4;
    told(drop("/c"), false, 0);
    id.low = 2;
    told(set_once("/c/a", "text"), true, 1);
}
END_TEST

START_TEST(a_rollback_that_was_done_is_told_as_done)
{
    root("/c");
    put("/c/a", "one");
    uint64_t revision = store_revision(node->store);
    put("/c/a", "two");
    Coord__V1__ConfigChangeReply *reply = replied(roll_back("/c/a", revision));
    ck_assert_uint_eq(reply->changed, 1);
    ck_assert_uint_eq(reply->n_changes, 1);
    coord__v1__config_change_reply__free_unpacked(reply, NULL);
    reply = replied(roll_back("/c/a", revision));
    ck_assert(reply->header->repeated);
    ck_assert_uint_eq(reply->changed, 1);
    ck_assert_uint_eq(reply->n_changes, 0);
    coord__v1__config_change_reply__free_unpacked(reply, NULL);
    id.low = 3; /* there is nothing to do any more */
    told(roll_back("/c/a", revision), false, 0);
}
END_TEST

START_TEST(a_rollout_that_was_begun_is_not_begun_again)
{
    root("/c");
    put("/c/a", "1");
    done(roll_out("/c/a", "2"));
    set_schema("/c", "{\"type\":\"string\"}");
    uint64_t revision = store_revision(node->store);
    done(roll_out("/c/a", "2"));
    ck_assert_uint_eq(store_revision(node->store), revision);
    id.low = 3;
    refused(roll_out("/c/a", "2"), GRPC_INVALID_ARGUMENT, "BAD_ARGUMENTS");
}
END_TEST

START_TEST(a_write_with_a_number_of_a_session_is_answered_from_memory)
{
    Coord__V1__SessionRef session;
    coord__v1__session_ref__init(&session);
    apply(&(struct command){.type = COMMAND_GRANT,
                            .lease = {.id = 7,
                                      .ttl_ms = 10000,
                                      .kind = LEASE_SESSION,
                                      .renewable = true,
                                      .secret = slice_str("0123456789abcdef")}});
    session.id = 7;
    session.sequence = 1;
    header.request_id = NULL;
    root("/c");
    header.session = &session;
    told(drop("/c"), false, 0);
    told(drop("/c"), true, 0);
    session.sequence = 3;
    session.answered_to = 2;
    refused(drop("/c"), GRPC_NOT_FOUND, "NO_NODE");
    root("/c");
    told(drop("/c"), false, 0);
    session.sequence = 1; /* which nobody remembers */
    session.answered_to = 0;
    refused(drop("/c"), GRPC_FAILED_PRECONDITION, "SEQUENCE_EXPIRED");
}
END_TEST

START_TEST(an_update_of_nothing_is_refused_also_with_an_id_that_is_known)
{
    Coord__V1__ConfigUpdateRequest request;
    coord__v1__config_update_request__init(&request);
    request.header = &header;
    root("/c");
    struct peer_call *call = CONFIG_CALL("AtomicUpdate", request);
    await(call);
    ck_assert_int_eq(peer_call_code(call), GRPC_INVALID_ARGUMENT);
    ck_assert_str_eq(peer_call_text(call), "updates: 0, from 1 to 1000 are possible");
    peer_call_free(call);
    told(drop("/c"), false, 0);
    call = CONFIG_CALL("AtomicUpdate", request);
    await(call);
    ck_assert_int_eq(peer_call_code(call), GRPC_INVALID_ARGUMENT);
    ck_assert_str_eq(peer_call_text(call),
                     "header: this number or request id was that of another write");
    peer_call_free(call);
}
END_TEST

/* ---- listed ------------------------------------------------------------------------------- */

static void expect_roots(const char *after, uint32_t limit, size_t count, const char *next)
{
    Coord__V1__ConfigRootsRequest request;
    coord__v1__config_roots_request__init(&request);
    request.after = text(after);
    request.limit = limit;
    struct peer_call *call = CONFIG_CALL("Roots", request);
    await(call);
    Coord__V1__ConfigRootsReply *reply =
        peer_call_unpack(call, 0, &coord__v1__config_roots_reply__descriptor);
    ck_assert_ptr_nonnull(reply);
    ck_assert_uint_eq(reply->n_roots, count);
    ck_assert_str_eq(reply->next, next);
    coord__v1__config_roots_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
}

START_TEST(roots_are_listed_page_by_page)
{
    root("/b");
    root("/c");
    root("/a");
    expect_roots("", 0, 3, "");
    expect_roots("", 2, 2, "/b");
    expect_roots("/b", 2, 1, "");
    expect_roots("", 3, 3, "");
}
END_TEST

/* ---- on a member that lags ---------------------------------------------------------------- */

START_TEST(a_rollout_begins_with_what_was_set_elsewhere_a_moment_ago)
{
    root("/c");
    node->is_held = true;
    struct peer_call *call = roll_out("/c/a", "new");
    run();
    ck_assert_int_eq(peer_call_code(call), -1);
    create("/c/a", "old"); /* as the entry that this member has not applied yet */
    node->is_held = false;
    done(call);
}
END_TEST

START_TEST(a_member_that_is_cut_off_refuses_no_rollout_by_what_it_knows)
{
    root("/c");
    node->finish_rc = RC_NO_LEADER;
    struct peer_call *call = roll_out("/c/a", "new");
    await(call);
    ck_assert_int_eq(peer_call_code(call), GRPC_UNAVAILABLE);
    peer_call_free(call);
}
END_TEST

static Suite *config_write_suite(void)
{
    Suite *s = suite_create("config_write");
    TCase *t = tcase_create("repeated");
    tcase_add_checked_fixture(t, world_with_ids_open, world_close);
    tcase_add_test(t, a_root_that_was_deleted_is_not_missed_by_who_deleted_it);
    tcase_add_test(t, a_value_that_was_set_is_not_judged_by_what_came_after);
    tcase_add_test(t, a_rollback_that_was_done_is_told_as_done);
    tcase_add_test(t, a_rollout_that_was_begun_is_not_begun_again);
    tcase_add_test(t, a_write_with_a_number_of_a_session_is_answered_from_memory);
    tcase_add_test(t, an_update_of_nothing_is_refused_also_with_an_id_that_is_known);
    tcase_add_test(t, roots_are_listed_page_by_page);
    suite_add_tcase(s, t);
    TCase *lags = tcase_create("on a member that lags");
    tcase_add_checked_fixture(lags, world_with_ids_open, world_close);
    tcase_add_test(lags, a_rollout_begins_with_what_was_set_elsewhere_a_moment_ago);
    tcase_add_test(lags, a_member_that_is_cut_off_refuses_no_rollout_by_what_it_knows);
    suite_add_tcase(s, lags);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){config_write_suite, NULL});
}
