/* What there is to ask about locks: which there are, and who waits because of whom. */
#include <stdio.h>

#include "lease/lease.h"
#include "recipes/answer.h"
#include "recipes/record.h"
#include "store/query.h"
#include "store/state.h"
#include "tests/support/auth_kit.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

static struct kit k;
static struct arena arena;
static struct query_result result;
static struct buf who;
static const char *user; /* who asks; NULL: nobody */

static void setup(void)
{
    user = NULL;
    kit_open(&k);
    for (uint64_t id = 1; id <= 6; id++) {
        struct command c = {
            .type = COMMAND_GRANT,
            .lease = {.id = id,
                      .ttl_ms = 10000,
                      .kind = LEASE_PLAIN,
                      .secret = slice_str("0123456789abcdef")},
        };
        ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    }
}

static void teardown(void)
{
    store_check(k.store);
    buf_close(&who);
    arena_close(&arena);
    arena = (struct arena){0};
    kit_close(&k);
}

static void acquire_all(uint64_t lease, const struct recipe_target *targets, uint32_t count)
{
    struct command c = {
        .type = COMMAND_RECIPE,
        .recipe = {.recipe = RECIPE_LOCK,
                   .action = RECIPE_ACQUIRE,
                   .lease = lease,
                   .targets = targets,
                   .target_count = count},
    };
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
}

static void acquire(uint64_t lease, const char *path, enum lock_mode mode)
{
    struct recipe_target t = {.path = slice_str(path), .mode = (uint8_t)mode};
    acquire_all(lease, &t, 1);
}

static void acquire_permits(uint64_t lease, const char *path, uint32_t permits)
{
    struct recipe_target t = {
        .path = slice_str(path), .mode = LOCK_PERMITS, .permits = permits, .limit = 3};
    acquire_all(lease, &t, 1);
}

static enum outcome ask(struct query q)
{
    q.space = SPACE_NODES;
    q.identities = auth_kit_who(&who, user);
    store_query(k.store, &q, &result, &arena);
    return (enum outcome)result.outcome;
}

/* All locks at or below a path, by pages of `limit`, as one text. */
static const char *locks_of(const char *path, uint32_t limit)
{
    static char text[1024];
    struct slice after = slice_make(NULL, 0);
    size_t used = 0;
    text[0] = '\0';
    do {
        struct query q = {
            .type = QUERY_LOCKS, .path = slice_str(path), .after = after, .limit = limit};
        ck_assert_int_eq(ask(q), OUTCOME_OK);
        ck_assert(limit == 0 || result.lock_count <= limit);
        for (uint32_t i = 0; i < result.lock_count; i++) {
            const struct query_lock *l = &result.locks[i];
            int size = snprintf(text + used, sizeof text - used, "%.*s %u+%u ",
                                (int)l->path.size, (const char *)l->path.data, l->held,
                                l->waiting);
            used += (size_t)size;
            ck_assert_uint_lt(used, sizeof text);
        }
        after = result.next;
    } while (result.more);
    return text;
}

/* The graph from a lock on, by leases: `2>1` waits for what it holds, `3-2` waits behind it. */
static const char *waits_of(const char *path, uint32_t limit)
{
    static char text[1024];
    size_t used = 0;
    struct query q = {.type = QUERY_WAITS, .path = slice_str(path), .limit = limit};
    ck_assert_int_eq(ask(q), OUTCOME_OK);
    text[0] = '\0';
    for (uint32_t i = 0; i < result.wait_count; i++) {
        const struct recipe_wait *w = &result.waits[i];
        int size = snprintf(text + used, sizeof text - used, "%.*s:%u%c%u ", (int)w->path.size,
                            (const char *)w->path.data, (unsigned)w->lease,
                            w->blocker_holds ? '>' : '-', (unsigned)w->blocker_lease);
        used += (size_t)size;
        ck_assert_uint_lt(used, sizeof text);
    }
    return text;
}

/* ---- which locks there are ---------------------------------------------------------------- */

START_TEST(locks_are_listed_in_path_order_whatever_the_pages)
{
    static const char all[] = "/a/l 1+0 /a/x/l 2+1 /b 1+0 /z 1+1 ";
    acquire(1, "/z", LOCK_WRITE);
    acquire(2, "/z", LOCK_WRITE);
    acquire(1, "/b", LOCK_WRITE);
    acquire(1, "/a/x/l", LOCK_READ);
    acquire(4, "/a/x/l", LOCK_READ);
    acquire(3, "/a/x/l", LOCK_WRITE);
    acquire(1, "/a/l", LOCK_WRITE);
    kit_create(&k, "/a/m", "no lock");
    for (uint32_t limit = 0; limit < 6; limit++) {
        ck_assert_str_eq(locks_of("/", limit), all);
        ck_assert_str_eq(locks_of("/a", limit), "/a/l 1+0 /a/x/l 2+1 ");
    }
    ck_assert_str_eq(locks_of("/a/x/l", 1), "/a/x/l 2+1 ");
    ck_assert_str_eq(locks_of("/a/m", 0), "");
    ck_assert_str_eq(locks_of("/nowhere", 0), "");
}
END_TEST

START_TEST(a_lock_tells_its_permits_and_its_first_holder)
{
    acquire_permits(2, "/s", 2);
    acquire_permits(1, "/s", 1);
    ck_assert_str_eq(locks_of("/", 0), "/s 2+0 ");
    const struct query_lock *l = &result.locks[0];
    ck_assert_uint_eq(l->permits, 3);
    ck_assert_uint_eq(l->first->stat.lease, 2);
    ck_assert(slice_is(l->first->path, "/s/q-0000000000"));
}
END_TEST

START_TEST(a_page_looks_at_so_many_nodes_and_the_next_goes_on_behind_them)
{
    char path[64];
    acquire(1, "/locks/z", LOCK_WRITE);
    kit_create(&k, "/data", NULL);
    for (uint32_t i = 0; i < QUERY_PAGE_NODES_MAX; i++) {
        snprintf(path, sizeof path, "/data/%u", i);
        ck_assert_int_eq(kit_create(&k, path, NULL), OUTCOME_OK);
    }
    struct query q = {.type = QUERY_LOCKS, .path = slice_str("/")};
    ck_assert_int_eq(ask(q), OUTCOME_OK);
    ck_assert(result.more);
    ck_assert_uint_eq(result.lock_count, 0);
    ck_assert_str_eq(locks_of("/", 0), "/locks/z 1+0 ");
}
END_TEST

START_TEST(a_cursor_that_is_not_below_is_refused)
{
    acquire(1, "/a/l", LOCK_WRITE);
    struct query q = {
        .type = QUERY_LOCKS, .path = slice_str("/a"), .after = slice_str("/b/l")};
    ck_assert_int_eq(ask(q), OUTCOME_BAD_CURSOR);
    q.after = slice_str("/a/gone"); /* what has gone meanwhile is no harm */
    ck_assert_int_eq(ask(q), OUTCOME_OK);
    q.type = QUERY_WAITS;
    q.revision = 1;
    ck_assert_int_eq(ask(q), OUTCOME_BAD_ARGUMENTS);
}
END_TEST

/* ---- who waits because of whom ------------------------------------------------------------ */

START_TEST(waits_for_a_write_name_who_holds_and_who_is_directly_ahead)
{
    acquire(1, "/l", LOCK_WRITE);
    acquire(2, "/l", LOCK_WRITE);
    acquire(3, "/l", LOCK_READ);
    acquire(4, "/l", LOCK_READ);
    acquire(5, "/l", LOCK_WRITE);
    ck_assert_str_eq(waits_of("/l", 0), "/l:2>1 /l:3-2 /l:4-2 /l:5-4 /l:5-3 /l:5-2 ");
    ck_assert(!result.more);
    ck_assert_str_eq(waits_of("/l", 2), "/l:2>1 /l:3-2 ");
    ck_assert(result.more);
}
END_TEST

START_TEST(waits_behind_readers_name_each_of_them)
{
    acquire(1, "/l", LOCK_READ);
    acquire(2, "/l", LOCK_READ);
    acquire(3, "/l", LOCK_WRITE);
    ck_assert_str_eq(waits_of("/l", 0), "/l:3>1 /l:3>2 ");
}
END_TEST

START_TEST(waits_for_permits_name_who_holds_them_or_the_one_ahead)
{
    acquire_permits(1, "/s", 2);
    acquire_permits(2, "/s", 2);
    acquire_permits(3, "/s", 1);
    ck_assert_str_eq(waits_of("/s", 0), "/s:2>1 /s:3-2 ");
}
END_TEST

START_TEST(the_graph_goes_on_through_all_that_is_waited_for)
{
    struct recipe_target both[] = {{.path = slice_str("/b"), .mode = LOCK_WRITE},
                                   {.path = slice_str("/c"), .mode = LOCK_WRITE}};
    acquire(1, "/a", LOCK_WRITE);
    acquire(2, "/b", LOCK_WRITE);
    acquire(3, "/c", LOCK_WRITE);
    acquire(4, "/d", LOCK_WRITE);
    acquire_all(1, both, 2);
    acquire(3, "/d", LOCK_WRITE);
    acquire(5, "/a", LOCK_WRITE);
    ck_assert_str_eq(waits_of("/a", 0), "/a:5>1 /b:1>2 /c:1>3 /d:3>4 ");
    ck_assert_str_eq(waits_of("/d", 0), "/d:3>4 ");
    uint64_t digest = store_digest(k.store);
    (void)waits_of("/a", 0);
    ck_assert_uint_eq(store_digest(k.store), digest);
}
END_TEST

START_TEST(ten_thousand_readers_behind_one_write_are_told_in_as_many_steps)
{
    struct recipe_target t = {.path = slice_str("/l"), .mode = LOCK_READ};
    acquire(1, "/l", LOCK_WRITE);
    acquire(2, "/l", LOCK_WRITE);
    for (int i = 0; i < 10000; i++) {
        char owner[16];
        snprintf(owner, sizeof owner, "%d", i);
        struct command c = {
            .type = COMMAND_RECIPE,
            .recipe = {.recipe = RECIPE_LOCK,
                       .action = RECIPE_ACQUIRE,
                       .lease = 3,
                       .owner = slice_str(owner),
                       .targets = &t,
                       .target_count = 1},
        };
        ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    }
    struct query q = {.type = QUERY_WAITS, .path = slice_str("/l")};
    ck_assert_int_eq(ask(q), OUTCOME_OK);
    ck_assert(!result.more);
    ck_assert_uint_eq(result.wait_count, 10001);
    for (uint32_t i = 1; i < result.wait_count; i++) {
        ck_assert_uint_eq(result.waits[i].blocker_lease, 2);
    }
}
END_TEST

START_TEST(only_a_lock_is_explained)
{
    struct query q = {.type = QUERY_WAITS, .path = slice_str("/data")};
    ck_assert_int_eq(ask(q), OUTCOME_NO_NODE);
    kit_create(&k, "/data", "");
    ck_assert_int_eq(ask(q), OUTCOME_NO_RECIPE);
}
END_TEST

/* ---- who may ------------------------------------------------------------------------------ */

START_TEST(who_may_not_read_a_lock_is_told_nothing_of_it)
{
    struct recipe_target both[] = {{.path = slice_str("/open/l"), .mode = LOCK_WRITE},
                                   {.path = slice_str("/open/shut/l"), .mode = LOCK_WRITE}};
    acquire(1, "/open/l", LOCK_WRITE);
    acquire(2, "/open/shut/l", LOCK_WRITE);
    acquire_all(3, both, 2);
    ck_assert_str_eq(waits_of("/open/l", 0), "/open/l:3>1 /open/shut/l:3>2 ");
    auth_kit_user(&k, NULL, AUTH_USER_ADD, "admin", "hash");
    auth_kit_user(&k, NULL, AUTH_USER_GRANT, "admin", "root");
    auth_kit_add(&k, "alice", "/open", ACL_READ);
    auth_kit_rule(&k, NULL, AUTH_ROLE_GRANT, "alice", "/open/shut", ACL_READ, true);
    ck_assert_int_eq(auth_kit_enable(&k, NULL), OUTCOME_OK);
    user = "alice";
    ck_assert_str_eq(waits_of("/open/l", 0), "/open/l:3>1 ");
    ck_assert_str_eq(locks_of("/open", 0), "/open/l 1+1 ");
    struct query q = {.type = QUERY_WAITS, .path = slice_str("/open/shut/l")};
    ck_assert_int_eq(ask(q), OUTCOME_NO_AUTH);
    q = (struct query){.type = QUERY_LOCKS, .path = slice_str("/")};
    ck_assert_int_eq(ask(q), OUTCOME_NO_AUTH);
    user = "admin";
    ck_assert_str_eq(locks_of("/", 0), "/open/l 1+1 /open/shut/l 1+1 ");
}
END_TEST

static Suite *lock_query_suite(void)
{
    Suite *suite = suite_create("lock_query");
    TCase *tcase = tcase_create("lock_query");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, locks_are_listed_in_path_order_whatever_the_pages);
    tcase_add_test(tcase, a_lock_tells_its_permits_and_its_first_holder);
    tcase_add_test(tcase, a_page_looks_at_so_many_nodes_and_the_next_goes_on_behind_them);
    tcase_add_test(tcase, a_cursor_that_is_not_below_is_refused);
    tcase_add_test(tcase, waits_for_a_write_name_who_holds_and_who_is_directly_ahead);
    tcase_add_test(tcase, waits_behind_readers_name_each_of_them);
    tcase_add_test(tcase, waits_for_permits_name_who_holds_them_or_the_one_ahead);
    tcase_add_test(tcase, the_graph_goes_on_through_all_that_is_waited_for);
    tcase_add_test(tcase, ten_thousand_readers_behind_one_write_are_told_in_as_many_steps);
    tcase_add_test(tcase, only_a_lock_is_explained);
    tcase_add_test(tcase, who_may_not_read_a_lock_is_told_nothing_of_it);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){lock_query_suite, NULL});
}
