/* What can be asked about leases, page by page. */
#include "lease/lease.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

static struct kit k;
static struct arena arena;
static struct query_result result;

static void setup(void)
{
    kit_open(&k);
}

static void teardown(void)
{
    arena_close(&arena);
    kit_close(&k);
}

static void grant(uint64_t id, enum lease_kind kind, const char *owner)
{
    struct command c = {.type = COMMAND_GRANT,
                        .lease = {.id = id,
                                  .ttl_ms = 1000 + id % 1000,
                                  .kind = (uint8_t)kind,
                                  .renewable = true,
                                  .secret = slice_str("0123456789abcdef"),
                                  .owner = slice_str(owner)}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
}

static void attach(const char *path, uint64_t lease)
{
    struct op op = kit_op(OP_CREATE, path, "data");
    op.kind = NODE_EPHEMERAL;
    op.lease = lease;
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
}

static enum outcome ask(struct query q)
{
    arena_clear(&arena);
    store_query(k.store, &q, &result, &arena);
    return (enum outcome)result.outcome;
}

static bool entry_is(uint32_t i, const char *path)
{
    return i < result.entry_count && slice_is(result.entries[i].path, path);
}

START_TEST(one_lease_is_described_with_its_nodes)
{
    grant(7, LEASE_SESSION, "somebody");
    kit_create(&k, "/d", "");
    attach("/d/z", 7);
    attach("/d-e", 7);
    attach("/a", 7);
    ck_assert_int_eq(ask((struct query){.type = QUERY_LEASE, .lease = 7}), OUTCOME_OK);
    ck_assert_uint_eq(result.applied_index, store_applied_index(k.store));
    ck_assert_uint_eq(result.lease_count, 1);
    const struct query_lease *l = &result.leases[0];
    ck_assert_uint_eq(l->id, 7);
    ck_assert_uint_eq(l->ttl_ms, 1007);
    ck_assert_uint_eq(l->generation, 0);
    ck_assert_uint_eq(l->attached, 3);
    ck_assert_int_eq(l->kind, LEASE_SESSION);
    ck_assert(l->renewable);
    ck_assert(slice_is(l->secret, "0123456789abcdef"));
    ck_assert(slice_is(l->owner, "somebody"));
    ck_assert_uint_eq(result.entry_count, 3);
    ck_assert(entry_is(0, "/a") && entry_is(1, "/d/z") && entry_is(2, "/d-e"));
    ck_assert_uint_eq(result.entries[1].stat.lease, 7);
    ck_assert(!result.more);
}
END_TEST

START_TEST(a_lease_that_is_not_there_is_said_to_be_missing)
{
    grant(7, LEASE_PLAIN, "");
    ck_assert_int_eq(ask((struct query){.type = QUERY_LEASE, .lease = 8}), OUTCOME_NO_LEASE);
    ck_assert_int_eq(ask((struct query){.type = QUERY_LEASE}), OUTCOME_NO_LEASE);
    ck_assert_uint_eq(result.lease_count, 0);
}
END_TEST

START_TEST(the_nodes_of_a_lease_can_be_left_out)
{
    grant(7, LEASE_PLAIN, "");
    attach("/a", 7);
    struct query q = {.type = QUERY_LEASE, .lease = 7, .lease_only = true};
    ck_assert_int_eq(ask(q), OUTCOME_OK);
    ck_assert_uint_eq(result.leases[0].attached, 1);
    ck_assert_uint_eq(result.entry_count, 0);
    ck_assert(!result.more);
}
END_TEST

START_TEST(the_nodes_of_a_lease_come_in_pages)
{
    grant(7, LEASE_PLAIN, "");
    attach("/c", 7);
    attach("/a", 7);
    attach("/b", 7);
    struct query q = {.type = QUERY_LEASE, .lease = 7, .limit = 2};
    ck_assert_int_eq(ask(q), OUTCOME_OK);
    ck_assert(entry_is(0, "/a") && entry_is(1, "/b") && result.more);
    q.after = slice_str("/b");
    ck_assert_int_eq(ask(q), OUTCOME_OK);
    ck_assert(entry_is(0, "/c") && result.entry_count == 1 && !result.more);
    q.after = slice_str("/aa"); /* a node that has gone meanwhile */
    ck_assert_int_eq(ask(q), OUTCOME_OK);
    ck_assert(entry_is(0, "/b") && entry_is(1, "/c") && !result.more);
    q.after = slice_str("/c");
    ck_assert_int_eq(ask(q), OUTCOME_OK);
    ck_assert_uint_eq(result.entry_count, 0);
}
END_TEST

START_TEST(a_page_of_nodes_is_bounded_in_bytes)
{
    char path[2100];
    char after[2100] = "";
    memset(path, 'n', sizeof path);
    path[0] = '/';
    grant(7, LEASE_PLAIN, "");
    for (int i = 0; i < 2000; i++) {
        snprintf(path + 1990, sizeof path - 1990, "%04d", i * 7 % 2000);
        attach(path, 7);
    }
    uint32_t seen = 0;
    uint32_t pages = 0;
    do {
        struct query q = {.type = QUERY_LEASE, .lease = 7, .after = slice_str(after)};
        ck_assert_int_eq(ask(q), OUTCOME_OK);
        size_t bytes = 0;
        for (uint32_t i = 0; i < result.entry_count; i++, seen++) {
            bytes += result.entries[i].path.size;
            snprintf(path + 1990, sizeof path - 1990, "%04u", (unsigned)seen);
            ck_assert(entry_is(i, path));
        }
        ck_assert_uint_gt(result.entry_count, 0);
        ck_assert_uint_le(bytes, QUERY_PAGE_BYTES_MAX);
        memcpy(after, path, strlen(path) + 1);
        pages++;
    } while (result.more);
    ck_assert_uint_eq(seen, 2000);
    ck_assert_uint_eq(pages, 3);
}
END_TEST

START_TEST(leases_are_listed_by_id_and_kind)
{
    grant(30, LEASE_PLAIN, "");
    grant(10, LEASE_SESSION, "");
    grant(20, LEASE_PLAIN, "");
    grant(LEASE_ID_MAX, LEASE_SESSION, "");
    struct query q = {.type = QUERY_LEASES};
    ck_assert_int_eq(ask(q), OUTCOME_OK);
    ck_assert_uint_eq(result.lease_count, 4);
    ck_assert_uint_eq(result.leases[0].id, 10);
    ck_assert_uint_eq(result.leases[3].id, LEASE_ID_MAX);
    ck_assert(!result.more);
    q.lease_kind = LEASE_PLAIN;
    q.limit = 1;
    ck_assert_int_eq(ask(q), OUTCOME_OK);
    ck_assert_uint_eq(result.lease_count, 1);
    ck_assert_uint_eq(result.leases[0].id, 20);
    ck_assert(result.more);
    q.lease = 20;
    ck_assert_int_eq(ask(q), OUTCOME_OK);
    ck_assert_uint_eq(result.leases[0].id, 30);
    ck_assert(!result.more); /* what follows is of another kind */
    q.lease = LEASE_ID_MAX;
    ck_assert_int_eq(ask(q), OUTCOME_OK);
    ck_assert_uint_eq(result.lease_count, 0);
    q.lease_kind = LEASE_SESSION + 1;
    ck_assert_int_eq(ask(q), OUTCOME_BAD_ARGUMENTS);
}
END_TEST

START_TEST(a_page_of_leases_is_bounded_in_bytes)
{
    char owner[LEASE_OWNER_BYTES_MAX + 1];
    memset(owner, 'o', LEASE_OWNER_BYTES_MAX);
    owner[LEASE_OWNER_BYTES_MAX] = '\0';
    for (uint64_t id = 1; id <= 10000; id++) {
        grant(id, LEASE_PLAIN, owner);
    }
    uint64_t seen = 0;
    unsigned pages = 0;
    do {
        ck_assert_int_eq(ask((struct query){.type = QUERY_LEASES, .lease = seen}), OUTCOME_OK);
        ck_assert_uint_le(result.lease_count * LEASE_OWNER_BYTES_MAX, QUERY_PAGE_BYTES_MAX);
        for (uint32_t i = 0; i < result.lease_count; i++) {
            ck_assert_uint_eq(result.leases[i].id, ++seen);
        }
        pages++;
    } while (result.more);
    ck_assert_uint_eq(seen, 10000);
    ck_assert_uint_eq(pages, 2);
}
END_TEST

static Suite *query_suite(void)
{
    Suite *suite = suite_create("queries about leases");
    TCase *tcase = tcase_create("query");
    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, one_lease_is_described_with_its_nodes);
    tcase_add_test(tcase, a_lease_that_is_not_there_is_said_to_be_missing);
    tcase_add_test(tcase, the_nodes_of_a_lease_can_be_left_out);
    tcase_add_test(tcase, the_nodes_of_a_lease_come_in_pages);
    tcase_add_test(tcase, a_page_of_nodes_is_bounded_in_bytes);
    tcase_add_test(tcase, leases_are_listed_by_id_and_kind);
    tcase_add_test(tcase, a_page_of_leases_is_bounded_in_bytes);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){query_suite, NULL});
}
