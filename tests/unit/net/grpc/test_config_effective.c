/* coord.v1.Config/WatchEffective through the bytes of a real HTTP/2 client, and what is told of the
 * rollouts that it is about. */
#include "tests/support/config_kit.h"

/* ---- the configuration ------------------------------------------------------------------- */

static void drop(const char *path)
{
    Coord__V1__ConfigDeleteRootRequest request;
    coord__v1__config_delete_root_request__init(&request);
    request.path = text(path);
    done(CONFIG_CALL("DeleteRoot", request));
}

static void roll_out(const char *path, const char *value, char *label)
{
    uint32_t all[] = {100};
    Coord__V1__ConfigStartRolloutRequest request;
    coord__v1__config_start_rollout_request__init(&request);
    request.path = text(path);
    request.value = bytes(value);
    request.strategy = COORD__V1__ROLLOUT_STRATEGY__ROLLOUT_CANARY;
    request.percents = all;
    request.n_percents = 1;
    request.labels = &label;
    request.n_labels = label != NULL;
    done(CONFIG_CALL("StartRollout", request));
}

static void step(const char *path, Coord__V1__RolloutAction action)
{
    Coord__V1__ConfigChangeRolloutRequest request;
    coord__v1__config_change_rollout_request__init(&request);
    request.path = text(path);
    request.action = action;
    done(CONFIG_CALL("ChangeRollout", request));
}

/* ---- the stream -------------------------------------------------------------------------- */

static struct peer_call *watched(const char *path, char *label)
{
    Coord__V1__ConfigEffectiveRequest request;
    coord__v1__config_effective_request__init(&request);
    request.path = text(path);
    request.instance = text("web-1");
    request.labels = &label;
    request.n_labels = label != NULL;
    struct peer_call *call = peer_call_open(peer, "/coord.v1.Config/WatchEffective", NULL);
    peer_call_send(call, &request.base);
    peer_call_end(call);
    run();
    return call;
}

static void none_but(struct peer_call *call, size_t count)
{
    struct slice message;
    ck_assert_msg(!peer_call_message(call, count, &message), "more than %zu were told", count);
}

/* The message of that number, from 0 on, is the last, and says this; NULL: there is no key. */
static void told(struct peer_call *call, size_t number, const char *value, bool rollout)
{
    Coord__V1__ConfigEffectiveReply *reply =
        peer_call_unpack(call, number, &coord__v1__config_effective_reply__descriptor);
    ck_assert_msg(reply != NULL, "number %zu was not told: %s", number, peer_call_text(call));
    ck_assert_uint_eq(reply->header->revision, store_revision(node->store));
    ck_assert_int_eq(reply->rollout, rollout);
    if (value == NULL) {
        ck_assert_ptr_null(reply->entry);
    } else {
        ck_assert(slice_is(slice_make(reply->entry->value.data, reply->entry->value.len), value));
        ck_assert_str_eq(reply->entry->path, "/c/a");
    }
    coord__v1__config_effective_reply__free_unpacked(reply, NULL);
    none_but(call, number + 1);
}

START_TEST(what_is_meant_is_told_at_once_and_whenever_it_is_something_else)
{
    root("/c");
    struct peer_call *call = watched("/c/a", NULL);
    told(call, 0, NULL, false);
    put("/c/a", "one");
    told(call, 1, "one", false);
    put("/c/b", "other");
    none_but(call, 2);
    del("/c/a");
    run();
    told(call, 2, NULL, false);
    peer_call_free(call);
}
END_TEST

START_TEST(a_root_that_is_made_again_as_it_is_ends_no_rollout)
{
    root("/c");
    put("/c/a", "old");
    roll_out("/c/a", "new", NULL);
    struct peer_call *call = watched("/c/a", NULL);
    told(call, 0, "new", true);
    uint64_t revision = store_revision(node->store);
    root("/c");
    ck_assert_uint_eq(store_revision(node->store), revision);
    none_but(call, 1);
    peer_call_free(call);
}
END_TEST

START_TEST(a_rollout_is_told_when_it_covers_the_instance_and_when_it_ends)
{
    static char labelled[] = "zone=a";
    root("/c");
    put("/c/a", "old");
    struct peer_call *inside = watched("/c/a", labelled);
    struct peer_call *outside = watched("/c/a", NULL);
    told(inside, 0, "old", false);
    told(outside, 0, "old", false);
    roll_out("/c/a", "new", labelled);
    told(inside, 1, "new", true);
    none_but(outside, 1);
    step("/c/a", COORD__V1__ROLLOUT_ACTION__ROLLOUT_PAUSE);
    none_but(inside, 2);
    step("/c/a", COORD__V1__ROLLOUT_ACTION__ROLLOUT_FINISH);
    told(inside, 2, "new", false);
    told(outside, 1, "new", false);
    step("/c/a", COORD__V1__ROLLOUT_ACTION__ROLLOUT_ROLL_BACK);
    told(inside, 3, "old", false);
    told(outside, 2, "old", false);
    peer_call_free(inside);
    peer_call_free(outside);
}
END_TEST

START_TEST(a_rollout_that_is_rolled_back_gives_the_value_of_the_key_again)
{
    root("/c");
    put("/c/a", "old");
    roll_out("/c/a", "new", NULL);
    struct peer_call *call = watched("/c/a", NULL);
    told(call, 0, "new", true);
    step("/c/a", COORD__V1__ROLLOUT_ACTION__ROLLOUT_ROLL_BACK);
    told(call, 1, "old", false);
    roll_out("/c/a", "newer", NULL);
    told(call, 2, "newer", true);
    put("/c/a", "by hand");
    told(call, 3, "by hand", false);
    peer_call_free(call);
}
END_TEST

START_TEST(a_change_of_schemas_takes_the_rollout_back_at_once)
{
    root("/c");
    put("/c/a", "1");
    roll_out("/c/a", "2", NULL);
    struct peer_call *call = watched("/c/a", NULL);
    told(call, 0, "2", true);
    set_schema("/c", "{\"type\":\"integer\"}");
    told(call, 1, "1", false);
    peer_call_free(call);
}
END_TEST

START_TEST(what_is_no_key_is_refused_and_a_root_that_is_dropped_ends_the_stream)
{
    struct peer_call *call = watched("/c/a", NULL);
    ck_assert_int_eq(peer_call_code(call), GRPC_NOT_FOUND);
    peer_call_free(call);
    root("/c");
    put("/c/a", "one");
    call = watched("/c/a", NULL);
    told(call, 0, "one", false);
    drop("/c");
    ck_assert_int_eq(peer_call_code(call), GRPC_NOT_FOUND);
    ck_assert_str_eq(peer_call_text(call),
                     "/c/a: there is no configuration root at it or above");
    peer_call_free(call);
    static char comma[] = "a,b";
    call = watched("/c/a", comma);
    ck_assert_int_eq(peer_call_code(call), GRPC_INVALID_ARGUMENT);
    peer_call_free(call);
}
END_TEST

START_TEST(changes_that_were_compacted_away_do_not_end_it)
{
    root("/c");
    put("/c/a", "one");
    struct peer_call *call = watched("/c/a", NULL);
    told(call, 0, "one", false);
    compact();
    put("/c/a", "two");
    told(call, 1, "two", false);
    peer_call_free(call);
}
END_TEST

START_TEST(a_client_that_does_not_read_finds_what_is_meant_by_then)
{
    enum { LARGE = 512 << 10, SETS = 40 };
    root("/c");
    put("/c/a", "one");
    struct peer_call *call = watched("/c/a", NULL);
    told(call, 0, "one", false);
    for (int i = 0; i < SETS; i++) {
        (void)set_large("/c/a", (char)('a' + i % 26), LARGE);
    }
    put("/c/a", "last");
    run();
    size_t count = 0;
    struct slice message;
    while (peer_call_message(call, count, &message)) {
        count++;
    }
    ck_assert_uint_gt(count, 1);
    told(call, count - 1, "last", false);
    peer_call_free(call);
}
END_TEST

/* ---- what is told of a rollout ------------------------------------------------------------ */

/* As it is told to somebody who moves it. */
static Coord__V1__ConfigRolloutReply *moved(const char *path, Coord__V1__RolloutAction action)
{
    Coord__V1__ConfigChangeRolloutRequest request;
    coord__v1__config_change_rollout_request__init(&request);
    request.path = text(path);
    request.action = action;
    struct peer_call *call = CONFIG_CALL("ChangeRollout", request);
    ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s", peer_call_text(call));
    Coord__V1__ConfigRolloutReply *reply =
        peer_call_unpack(call, 0, &coord__v1__config_rollout_reply__descriptor);
    peer_call_free(call);
    return reply;
}

START_TEST(who_moves_a_rollout_without_reading_its_key_is_told_no_values)
{
    struct buf list = {0};
    const struct acl_entry only = {ACL_WRITE, slice_str("world"), slice_str("anyone")};
    root("/c");
    put("/c/a", "old");
    roll_out("/c/a", "new", NULL);
    Coord__V1__ConfigRolloutReply *reply =
        moved("/c/a", COORD__V1__ROLLOUT_ACTION__ROLLOUT_PAUSE);
    ck_assert_uint_eq(reply->rollout->value.len, 3);
    ck_assert_uint_eq(reply->rollout->old_value.len, 3);
    coord__v1__config_rollout_reply__free_unpacked(reply, NULL);
    acl_encode(&list, &only, 1);
    struct op op = op_make(OP_SET_ACL, "/c/a", slice_make(NULL, 0));
    op.acl = buf_slice(&list);
    const struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    (void)apply(&c);
    reply = moved("/c/a", COORD__V1__ROLLOUT_ACTION__ROLLOUT_RESUME);
    ck_assert(!reply->rollout->paused);
    ck_assert_str_eq(reply->rollout->path, "/c/a");
    ck_assert_uint_eq(reply->rollout->value.len, 0);
    ck_assert_uint_eq(reply->rollout->old_value.len, 0);
    ck_assert_uint_eq(reply->rollout->gate_value.len, 0);
    coord__v1__config_rollout_reply__free_unpacked(reply, NULL);
    buf_close(&list);
}
END_TEST

static Suite *config_effective_suite(void)
{
    Suite *s = suite_create("config_effective");
    TCase *t = tcase_create("watch");
    tcase_add_checked_fixture(t, world_open, world_close);
    tcase_add_test(t, what_is_meant_is_told_at_once_and_whenever_it_is_something_else);
    tcase_add_test(t, a_root_that_is_made_again_as_it_is_ends_no_rollout);
    tcase_add_test(t, a_rollout_is_told_when_it_covers_the_instance_and_when_it_ends);
    tcase_add_test(t, a_rollout_that_is_rolled_back_gives_the_value_of_the_key_again);
    tcase_add_test(t, a_change_of_schemas_takes_the_rollout_back_at_once);
    tcase_add_test(t, what_is_no_key_is_refused_and_a_root_that_is_dropped_ends_the_stream);
    tcase_add_test(t, changes_that_were_compacted_away_do_not_end_it);
    tcase_add_test(t, a_client_that_does_not_read_finds_what_is_meant_by_then);
    suite_add_tcase(s, t);
    TCase *told_of = tcase_create("rollouts");
    tcase_add_checked_fixture(told_of, world_open, world_close);
    tcase_add_test(told_of, who_moves_a_rollout_without_reading_its_key_is_told_no_values);
    suite_add_tcase(s, told_of);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){config_effective_suite, NULL});
}
