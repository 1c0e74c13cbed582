/* Exactly once by request id: the cache, its bounds and its floor. */
#include "base/rng.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

static struct kit k;

static void setup(void)
{
    kit_open(&k);
}

static void teardown(void)
{
    store_check(k.store);
    kit_close(&k);
}

static enum outcome create_once(const char *path, uint64_t issued_ms, uint64_t random)
{
    struct op op = kit_op(OP_CREATE, path, "x");
    op.flags = OP_SEQUENTIAL;
    struct command c = {.type = COMMAND_TXN,
                        .request = {.issued_ms = issued_ms, .random = {random, 1}},
                        .txn = {.then_ops = &op, .then_count = 1}};
    return kit_run(&k, &c);
}

START_TEST(a_repeated_request_gets_the_first_reply_and_does_nothing)
{
    ck_assert_int_eq(create_once("/n-", 1000, 7), OUTCOME_OK);
    uint64_t index = k.reply.index;
    kit_create(&k, "/other", "");
    ck_assert_int_eq(create_once("/n-", 1000, 7), OUTCOME_OK);
    ck_assert(k.reply.repeated);
    ck_assert_uint_eq(k.reply.revision, 2);
    ck_assert_uint_eq(k.reply.index, index);
    ck_assert(slice_is(k.reply.results[0].path, "/n-0000000000"));
    ck_assert_uint_eq(store_revision(k.store), 3);
    ck_assert_int_eq(create_once("/n-", 1000, 8), OUTCOME_OK);
    ck_assert(!k.reply.repeated);
    ck_assert(slice_is(k.reply.results[0].path, "/n-0000000002"));
}
END_TEST

START_TEST(failures_are_remembered_as_well)
{
    ck_assert_int_eq(create_once("/p/n-", 1000, 7), OUTCOME_NO_PARENT);
    kit_create(&k, "/p", "");
    ck_assert_int_eq(create_once("/p/n-", 1000, 7), OUTCOME_NO_PARENT);
    ck_assert(k.reply.repeated);
}
END_TEST

START_TEST(remembered_replies_can_be_asked_for)
{
    struct reply reply;
    struct request_id id = {.issued_ms = 1000, .random = {7, 1}};
    ck_assert(!store_remembered(k.store, 0, 0, &id, &reply));
    create_once("/n-", 1000, 7);
    ck_assert(store_remembered(k.store, 0, 0, &id, &reply));
    ck_assert_uint_eq(reply.revision, 2);
    ck_assert(reply.repeated);
    ck_assert(!store_remembered(k.store, 3, 1, &id, &reply));
}
END_TEST

START_TEST(a_request_from_too_far_ahead_is_refused)
{
    uint64_t now = k.cluster_ms;
    ck_assert_int_eq(create_once("/n-", now + REPLIES_AHEAD_MS_MAX + 1, 7),
                     OUTCOME_REQUEST_FUTURE);
    now = k.cluster_ms;
    ck_assert_int_eq(create_once("/n-", now + REPLIES_AHEAD_MS_MAX, 7), OUTCOME_OK);
    ck_assert_uint_eq(store_revision(k.store), 2);
}
END_TEST

START_TEST(a_request_older_than_the_window_is_refused_whether_or_not_it_ran)
{
    create_once("/n-", 1000, 7);
    k.cluster_ms = 1000 + REPLIES_AGE_MS_MAX;
    ck_assert_int_eq(create_once("/n-", 1000, 7), OUTCOME_OK);
    ck_assert(k.reply.repeated);
    k.cluster_ms = 1000 + REPLIES_AGE_MS_MAX + 1;
    ck_assert_int_eq(create_once("/n-", 1000, 7), OUTCOME_REQUEST_EXPIRED);
    ck_assert_int_eq(create_once("/n-", 1000, 8), OUTCOME_REQUEST_EXPIRED);
    ck_assert_int_eq(create_once("/n-", 1001, 8), OUTCOME_REQUEST_EXPIRED); /* time went on */
    ck_assert_uint_eq(store_revision(k.store), 2);
    ck_assert_uint_eq(replies_count(&k.store->replies), 0);
}
END_TEST

/* Through the cache alone: the store would take longer to fill it. */
START_TEST(the_smallest_ids_leave_first_and_raise_the_floor)
{
    struct replies r = {0};
    struct rng rng;
    rng_init(&rng, 3);
    for (uint64_t i = 0; i < REPLIES_COUNT_MAX + 1000; i++) {
        struct request_id id = {.issued_ms = 1000 + (i ^ 63) / 2,
                                .random = {rng_next(&rng), i}};
        if (request_id_compare(&id, &r.floor) > 0) {
            replies_add(&r, &id, i, slice_str("reply"));
        }
        replies_trim(&r, 0);
        if (i % 16384 == 0) {
            replies_check(&r);
        }
    }
    replies_check(&r);
    ck_assert_uint_eq(replies_count(&r), REPLIES_COUNT_MAX);
    ck_assert_uint_ge(r.floor.issued_ms, 1000 + 900 / 2);
    ck_assert_uint_le(r.floor.issued_ms, 1000 + 1100 / 2);
    const struct remembered *first = replies_next(&r, &(struct request_id){0});
    ck_assert_int_gt(request_id_compare(&first->id, &r.floor), 0);
    replies_close(&r);
}
END_TEST

START_TEST(large_replies_are_bounded_in_bytes)
{
    static uint8_t large[1 << 20];
    struct replies r = {0};
    for (uint64_t i = 1; i <= 100; i++) {
        struct request_id id = {.issued_ms = i};
        replies_add(&r, &id, i, slice_make(large, sizeof large));
        replies_trim(&r, 0);
        ck_assert_uint_le(r.bytes, REPLIES_BYTES_MAX);
    }
    ck_assert_uint_eq(replies_count(&r), 31);
    ck_assert_uint_eq(r.floor.issued_ms, 69);
    replies_check(&r);
    replies_close(&r);
}
END_TEST

START_TEST(ids_are_ordered_by_time_then_random_words)
{
    struct replies r = {0};
    static const struct request_id ids[] = {
        {5, {1, 1}}, {4, {9, 9}}, {5, {0, 7}}, {5, {1, 0}}, {4, {9, 8}},
    };
    for (size_t i = 0; i < 5; i++) {
        replies_add(&r, &ids[i], i, slice_str(""));
    }
    static const size_t order[] = {4, 1, 2, 3, 0};
    struct request_id at = {0};
    for (size_t i = 0; i < 5; i++) {
        const struct remembered *e = replies_next(&r, &at);
        ck_assert_uint_eq(e->index, order[i]);
        ck_assert_ptr_eq(replies_find(&r, &e->id), e);
        at = e->id;
    }
    ck_assert_ptr_null(replies_next(&r, &at));
    ck_assert_ptr_null(replies_find(&r, &(struct request_id){5, {1, 2}}));
    replies_close(&r);
}
END_TEST

static Suite *replies_suite(void)
{
    Suite *suite = suite_create("replies");
    TCase *tcase = tcase_create("replies");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_repeated_request_gets_the_first_reply_and_does_nothing);
    tcase_add_test(tcase, failures_are_remembered_as_well);
    tcase_add_test(tcase, remembered_replies_can_be_asked_for);
    tcase_add_test(tcase, a_request_from_too_far_ahead_is_refused);
    tcase_add_test(tcase, a_request_older_than_the_window_is_refused_whether_or_not_it_ran);
    tcase_add_test(tcase, the_smallest_ids_leave_first_and_raise_the_floor);
    tcase_add_test(tcase, large_replies_are_bounded_in_bytes);
    tcase_add_test(tcase, ids_are_ordered_by_time_then_random_words);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){replies_suite, NULL});
}
