/* Calls that wait for an entry of a queue: until it is held, or gone; and what becomes of it when
 * their clients go away. */
#include "coord/v1/barrier.pb-c.h"
#include "coord/v1/election.pb-c.h"
#include "coord/v1/lock.pb-c.h"
#include "lease/lease.h"
#include "recipes/record.h"
#include "store/auth.h"
#include "tests/support/grpc_ask.h"
#include "tests/support/watch_client.h"

static void open_world(void)
{
    world_open();
    for (uint64_t id = 1; id <= 3; id++) {
        apply(&(struct command){.type = COMMAND_GRANT,
                                .lease = {.id = id,
                                          .ttl_ms = 10000,
                                          .kind = LEASE_PLAIN,
                                          .renewable = true,
                                          .secret = slice_str("0123456789abcdef")}});
    }
}

static struct peer_call *acquire(uint64_t lease, uint64_t wait_ms)
{
    Coord__V1__LockAcquireRequest request;
    Coord__V1__LockTarget target;
    Coord__V1__LockTarget *targets[] = {&target};
    coord__v1__lock_acquire_request__init(&request);
    coord__v1__lock_target__init(&target);
    target.path = text("/l");
    request.targets = targets;
    request.n_targets = 1;
    request.lease = lease;
    request.wait_ms = wait_ms;
    return peer_unary(peer, "/coord.v1.Lock/Acquire", &request.base);
}

static struct peer_call *enter(uint64_t lease, uint32_t parties)
{
    Coord__V1__BarrierEnterRequest request;
    coord__v1__barrier_enter_request__init(&request);
    request.path = text("/b");
    request.lease = lease;
    request.parties = parties;
    return peer_unary(peer, "/coord.v1.Barrier/Enter", &request.base);
}

static struct peer_call *on_party(const char *method, const char *path)
{
    Coord__V1__BarrierLeaveRequest request;
    Coord__V1__LockGrant entry;
    coord__v1__barrier_leave_request__init(&request);
    coord__v1__lock_grant__init(&entry);
    entry.path = text(path);
    request.entry = &entry;
    return peer_unary(peer, method, &request.base);
}

static void release(const char *path)
{
    struct recipe_target target = {.path = slice_str(path)};
    apply(&(struct command){.type = COMMAND_RECIPE,
                            .recipe = {.recipe = RECIPE_LOCK,
                                       .action = RECIPE_RELEASE,
                                       .targets = &target,
                                       .target_count = 1}});
    peer_run(peer);
}

static bool is_waiting(const struct peer_call *call)
{
    return peer_call_code(call) < 0;
}

static void ended(struct peer_call *call, int code)
{
    ck_assert_msg(peer_call_code(call) == code, "%d: %s", peer_call_code(call),
                  peer_call_text(call));
    peer_call_free(call);
}

static bool exists(const char *path)
{
    return ask_exists(peer, path);
}

/* ---- until it is held --------------------------------------------------------------------- */

START_TEST(a_wait_is_answered_when_the_entry_is_held)
{
    open_world();
    ended(acquire(1, 0), GRPC_OK);
    struct peer_call *waits = acquire(2, 0);
    ck_assert(is_waiting(waits));
    release("/l/q-0000000000");
    ended(waits, GRPC_OK);
    ck_assert(exists("/l/q-0000000001"));
    world_close();
}
END_TEST

START_TEST(a_wait_ends_with_its_lease_or_when_somebody_cancels_it)
{
    open_world();
    ended(acquire(1, 0), GRPC_OK);
    struct peer_call *loses = acquire(2, 0);
    struct peer_call *cancelled = acquire(3, 0);
    apply(&(struct command){.type = COMMAND_REVOKE, .lease = {.id = 2}});
    peer_run(peer);
    ended(loses, GRPC_NOT_FOUND);
    struct recipe_target target = {.path = slice_str("/l/q-0000000002")};
    apply(&(struct command){.type = COMMAND_RECIPE,
                            .recipe = {.recipe = RECIPE_LOCK,
                                       .action = RECIPE_CANCEL,
                                       .targets = &target,
                                       .target_count = 1}});
    peer_run(peer);
    ended(cancelled, GRPC_ABORTED);
    world_close();
}
END_TEST

START_TEST(what_a_client_that_goes_away_waited_for_is_given_up)
{
    open_world();
    ended(acquire(1, 0), GRPC_OK);
    struct peer_call *goes = acquire(2, 0);
    ck_assert(exists("/l/q-0000000001"));
    peer_call_free(goes);
    peer_run(peer);
    ck_assert(!exists("/l/q-0000000001"));
    ck_assert(exists("/l/q-0000000000"));
    world_close();
}
END_TEST

START_TEST(what_was_granted_to_a_client_that_has_gone_is_given_back)
{
    open_world();
    node->is_held = true;
    struct peer_call *goes = acquire(1, 0);
    peer_call_free(goes);
    peer_run(peer);
    node->is_held = false;
    peer_run(peer);
    ck_assert(!exists("/l/q-0000000000"));
    ended(acquire(2, 0), GRPC_OK);
    world_close();
}
END_TEST

/* ---- until it is gone --------------------------------------------------------------------- */

START_TEST(all_are_told_that_they_are_inside_and_then_that_all_have_left)
{
    open_world();
    struct peer_call *first = enter(1, 2);
    ck_assert(is_waiting(first));
    ended(enter(2, 2), GRPC_OK);
    ended(first, GRPC_OK);
    struct peer_call *leaves = on_party("/coord.v1.Barrier/Leave", "/b/q-0000000000");
    ck_assert(is_waiting(leaves));
    ended(on_party("/coord.v1.Barrier/Leave", "/b/q-0000000001"), GRPC_OK);
    ended(leaves, GRPC_OK);
    ck_assert(!exists("/b/q-0000000000"));
    world_close();
}
END_TEST

START_TEST(who_goes_away_while_leaving_leaves_even_so)
{
    open_world();
    struct peer_call *first = enter(1, 2);
    ended(enter(2, 2), GRPC_OK);
    ended(first, GRPC_OK);
    struct peer_call *goes = on_party("/coord.v1.Barrier/Leave", "/b/q-0000000000");
    peer_call_free(goes);
    peer_run(peer);
    ck_assert(exists("/b/q-0000000000"));
    ended(on_party("/coord.v1.Barrier/Leave", "/b/q-0000000001"), GRPC_OK);
    ck_assert(!exists("/b/q-0000000000"));
    world_close();
}
END_TEST

START_TEST(who_loses_its_lease_while_leaving_is_told_so)
{
    open_world();
    struct peer_call *first = enter(1, 2);
    ended(enter(2, 2), GRPC_OK);
    ended(first, GRPC_OK);
    struct peer_call *leaves = on_party("/coord.v1.Barrier/Leave", "/b/q-0000000000");
    apply(&(struct command){.type = COMMAND_REVOKE, .lease = {.id = 1}});
    peer_run(peer);
    ended(leaves, GRPC_NOT_FOUND);
    ended(on_party("/coord.v1.Barrier/Withdraw", "/b/q-0000000001"), GRPC_OK);
    ended(on_party("/coord.v1.Barrier/Leave", "/b/q-0000000001"), GRPC_NOT_FOUND);
    world_close();
}
END_TEST

/* ---- who may not read --------------------------------------------------------------------- */

static void change_auth(struct command_auth what)
{
    apply(&(struct command){.type = COMMAND_AUTH, .auth = what});
}

/* From now on whoever says no name may queue, with leases of others too, and read nothing. */
static void forbid_reading(void)
{
    struct slice admin = slice_str("admin");
    struct slice anonymous = slice_str(AUTH_ANONYMOUS);
    change_auth((struct command_auth){
        .action = AUTH_USER_ADD, .user = admin, .secret = slice_str("hash")});
    change_auth((struct command_auth){
        .action = AUTH_USER_GRANT, .user = admin, .role = slice_str(AUTH_ROLE_ROOT)});
    change_auth((struct command_auth){.action = AUTH_ROLE_ADD, .role = anonymous});
    change_auth((struct command_auth){.action = AUTH_ROLE_GRANT,
                                      .role = anonymous,
                                      .path = slice_str("/"),
                                      .rights = ACL_CREATE | ACL_ADMIN});
    change_auth((struct command_auth){.action = AUTH_ENABLE,
                                      .secret = slice_str("0123456789abcdef0123456789abcdef"),
                                      .token_ttl_ms = AUTH_TOKEN_TTL_MS_DEFAULT});
}

static struct peer_call *leave_as(const char *path, Coord__V1__RequestId *id)
{
    Coord__V1__BarrierLeaveRequest request;
    Coord__V1__RequestHeader header;
    Coord__V1__LockGrant entry;
    coord__v1__barrier_leave_request__init(&request);
    coord__v1__request_header__init(&header);
    coord__v1__lock_grant__init(&entry);
    header.request_id = id;
    entry.path = text(path);
    request.header = &header;
    request.entry = &entry;
    return peer_unary(peer, "/coord.v1.Barrier/Leave", &request.base);
}

START_TEST(a_repeated_wait_of_one_who_may_not_read_waits_on)
{
    Coord__V1__RequestId id;
    coord__v1__request_id__init(&id);
    id.issued_ms = 1;
    id.high = 5;
    open_world();
    forbid_reading();
    struct peer_call *first = enter(1, 2);
    ended(enter(2, 2), GRPC_OK);
    ended(first, GRPC_OK);
    struct peer_call *leaves = leave_as("/b/q-0000000000", &id);
    ck_assert(is_waiting(leaves));
    struct peer_call *again = leave_as("/b/q-0000000000", &id);
    ck_assert(is_waiting(again));
    ended(on_party("/coord.v1.Barrier/Leave", "/b/q-0000000001"), GRPC_OK);
    ended(leaves, GRPC_OK);
    ended(again, GRPC_OK);
    world_close();
}
END_TEST

/* ---- memory ------------------------------------------------------------------------------- */

static void expect_scratch_is_clear(void)
{
    const struct grpc_shared *shared = peer->front_env.shared;
    ck_assert_uint_eq(shared->scratch.used, 0);
}

/* Else it grows for as long as no request comes. */
START_TEST(what_a_change_was_judged_by_is_forgotten)
{
    open_world();
    Coord__V1__LatchSetRequest set;
    Coord__V1__LatchAwaitRequest latch;
    Coord__V1__ElectionCampaignRequest campaign;
    Coord__V1__ElectionObserveRequest observe;
    coord__v1__latch_set_request__init(&set);
    coord__v1__latch_await_request__init(&latch);
    coord__v1__election_campaign_request__init(&campaign);
    coord__v1__election_observe_request__init(&observe);
    set.path = latch.path = text("/latch");
    set.count = 2;
    ended(peer_unary(peer, "/coord.v1.Barrier/SetLatch", &set.base), GRPC_OK);
    struct peer_call *awaits = peer_unary(peer, "/coord.v1.Barrier/AwaitLatch", &latch.base);
    struct recipe_target target = {.path = slice_str("/latch")};
    apply(&(struct command){.type = COMMAND_RECIPE,
                            .recipe = {.recipe = RECIPE_LATCH,
                                       .action = RECIPE_COUNT_DOWN,
                                       .number = 1,
                                       .targets = &target,
                                       .target_count = 1}});
    expect_scratch_is_clear();
    campaign.path = observe.path = text("/e");
    campaign.lease = 3;
    ended(peer_unary(peer, "/coord.v1.Election/Campaign", &campaign.base), GRPC_OK);
    struct peer_call *observes = peer_unary(peer, "/coord.v1.Election/Observe", &observe.base);
    size_t told = observes->data.size;
    apply(&(struct command){.type = COMMAND_REVOKE, .lease = {.id = 3}});
    expect_scratch_is_clear();
    run();
    ck_assert_uint_gt(observes->data.size, told);
    ended(acquire(1, 0), GRPC_OK);
    struct peer_call *waits = acquire(2, 0);
    ck_assert(is_waiting(waits));
    release("/l/q-0000000000");
    expect_scratch_is_clear();
    ended(waits, GRPC_OK);
    ck_assert(is_waiting(awaits));
    peer_call_free(awaits);
    peer_call_free(observes);
    world_close();
}
END_TEST

static Suite *entry_wait_suite(void)
{
    Suite *suite = suite_create("entry_wait");
    TCase *tcase = tcase_create("entry_wait");
    tcase_add_test(tcase, a_wait_is_answered_when_the_entry_is_held);
    tcase_add_test(tcase, a_wait_ends_with_its_lease_or_when_somebody_cancels_it);
    tcase_add_test(tcase, what_a_client_that_goes_away_waited_for_is_given_up);
    tcase_add_test(tcase, what_was_granted_to_a_client_that_has_gone_is_given_back);
    tcase_add_test(tcase, all_are_told_that_they_are_inside_and_then_that_all_have_left);
    tcase_add_test(tcase, who_goes_away_while_leaving_leaves_even_so);
    tcase_add_test(tcase, who_loses_its_lease_while_leaving_is_told_so);
    tcase_add_test(tcase, a_repeated_wait_of_one_who_may_not_read_waits_on);
    tcase_add_test(tcase, what_a_change_was_judged_by_is_forgotten);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){entry_wait_suite, NULL});
}
