/* What users may take of one member: connections, watches and requests, counted at one place. */
#include "net/allowance.h"

#include "tests/support/auth_kit.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"
#include "tests/support/fake_node.h"

static struct node *node;
static struct fake_env fake;
static struct metrics *metrics;
static struct allowances *all;

static void change(struct command_auth what)
{
    struct reply reply;
    struct command c = {.type = COMMAND_AUTH, .auth = what};
    struct buf who = {0};
    c.identities = auth_kit_who(&who, "admin");
    struct apply_context context = {.index = ++node->index, .last_of_entry = true};
    store_apply(node->store, &context, &c, &reply);
    ck_assert_msg(reply.outcome == OUTCOME_OK, "%s", outcome_text(reply.outcome));
    buf_close(&who);
}

static void limit(const char *user, struct auth_limits limits)
{
    change((struct command_auth){
        .action = AUTH_USER_LIMIT, .user = slice_str(user), .limits = limits});
}

static void add_user(const char *user)
{
    change((struct command_auth){
        .action = AUTH_USER_ADD, .user = slice_str(user), .secret = slice_str("h")});
}

static void enable(void)
{
    change((struct command_auth){.action = AUTH_ENABLE,
                                 .secret = slice_str(AUTH_KIT_KEY),
                                 .token_ttl_ms = AUTH_TOKEN_TTL_MS_DEFAULT});
}

/* "admin" is root, "ann" and "bob" are not. */
static void setup_disabled(void)
{
    node = fake_node_new();
    fake_env_init(&fake, 1);
    metrics = metrics_new();
    add_user("admin");
    change((struct command_auth){.action = AUTH_USER_GRANT,
                                 .user = slice_str("admin"),
                                 .role = slice_str(AUTH_ROLE_ROOT)});
    add_user("ann");
    add_user("bob");
    all = allowances_new(&fake.env, node, metrics);
}

static void setup(void)
{
    setup_disabled();
    enable();
}

static void teardown(void)
{
    allowances_free(all);
    metrics_free(metrics);
    fake_env_close(&fake);
    fake_node_free(node);
}

static bool connect_as(struct allowance_hold *h, const char *user)
{
    return allowance_connect(all, h, slice_str(user));
}

static bool watch_as(struct allowance_hold *h, const char *user)
{
    return allowance_watch(all, h, slice_str(user));
}

static uint64_t wait_of(const char *user)
{
    return allowance_wait_ms(all, slice_str(user));
}

static void expect_refusals(const char *kind, unsigned count)
{
    struct buf out = {0};
    char want[96];
    metrics_print(metrics, &out);
    (void)snprintf(want, sizeof want, "coord_user_limit_refusals_total{limit=\"%s\"} %u\n", kind,
                   count);
    buf_append(&out, "", 1);
    ck_assert_msg(strstr((const char *)out.data, want) != NULL, "no %s in %s", want,
                  (const char *)out.data);
    buf_close(&out);
}

/* ---- connections -------------------------------------------------------------------------- */

START_TEST(a_connection_beyond_the_limit_is_nobodys_until_there_is_a_place)
{
    struct allowance_hold h[3] = {0};
    limit("ann", (struct auth_limits){.connections = 2});
    ck_assert(connect_as(&h[0], "ann"));
    ck_assert(connect_as(&h[1], "ann"));
    ck_assert(!connect_as(&h[2], "ann"));
    ck_assert_ptr_null(h[2].of);
    expect_refusals("connections", 1);
    ck_assert(connect_as(&h[1], "ann")); /* the place that it has */
    ck_assert(connect_as(&h[2], "bob"));
    allowance_release(&h[0]);
    ck_assert(connect_as(&h[0], "ann"));
    expect_refusals("connections", 1);
    for (size_t i = 0; i < 3; i++) {
        allowance_release(&h[i]);
    }
}
END_TEST

START_TEST(a_connection_that_becomes_another_users_takes_its_watches_along)
{
    struct allowance_hold h = {0};
    struct allowance_hold other = {0};
    limit("ann", (struct auth_limits){.connections = 1, .watches = 1});
    limit("bob", (struct auth_limits){.watches = 1});
    ck_assert(connect_as(&h, "ann"));
    ck_assert(watch_as(&h, "ann"));
    ck_assert(connect_as(&h, "bob"));
    ck_assert(!watch_as(&other, "bob"));
    ck_assert(connect_as(&other, "ann")); /* his place is free again, and so is his watch */
    ck_assert(watch_as(&other, "ann"));
    allowance_release(&h);
    allowance_release(&other);
}
END_TEST

START_TEST(a_lower_limit_takes_nothing_away_and_gives_nothing_more)
{
    struct allowance_hold h[3] = {0};
    ck_assert(connect_as(&h[0], "ann"));
    ck_assert(connect_as(&h[1], "ann"));
    limit("ann", (struct auth_limits){.connections = 1});
    ck_assert(connect_as(&h[0], "ann"));
    ck_assert(!connect_as(&h[2], "ann"));
    allowance_release(&h[0]);
    ck_assert(!connect_as(&h[2], "ann"));
    allowance_release(&h[1]);
    ck_assert(connect_as(&h[2], "ann"));
    allowance_release(&h[2]);
}
END_TEST

/* ---- watches ------------------------------------------------------------------------------ */

START_TEST(a_watch_beyond_the_limit_is_refused_over_all_that_hold_any)
{
    struct allowance_hold stream = {0};
    struct allowance_hold connection = {0};
    limit("ann", (struct auth_limits){.watches = 2});
    ck_assert(connect_as(&connection, "ann"));
    ck_assert(watch_as(&stream, "ann"));
    ck_assert(watch_as(&connection, "ann"));
    ck_assert(!watch_as(&stream, "ann"));
    ck_assert(!watch_as(&connection, "ann"));
    expect_refusals("watches", 2);
    allowance_unwatch(&connection);
    ck_assert(watch_as(&stream, "ann"));
    allowance_release(&stream);
    allowance_release(&connection);
}
END_TEST

START_TEST(watches_that_began_uncounted_end_uncounted)
{
    struct allowance_hold h = {0};
    ck_assert(allowance_watch(NULL, &h, slice_str("ann")));
    ck_assert(watch_as(&h, ""));
    allowance_unwatch(&h);
    ck_assert_ptr_null(h.of);
    ck_assert_uint_eq(h.watches, 0);
    ck_assert(connect_as(&h, "ann"));
    allowance_unwatch(&h);
    ck_assert_uint_eq(h.watches, 0);
    allowance_release(&h);
}
END_TEST

/* A hold whose last watch has gone must not point to a user who is forgotten. */
START_TEST(users_who_hold_nothing_are_forgotten_and_may_come_again)
{
    struct allowance_hold stream = {0};
    struct allowance_hold held = {0};
    limit("bob", (struct auth_limits){.watches = 1});
    ck_assert(watch_as(&stream, "ann"));
    allowance_unwatch(&stream);
    ck_assert(watch_as(&held, "bob"));
    for (unsigned i = 0; i < 3 * AUTH_USERS_MAX; i++) {
        char name[32];
        struct allowance_hold passing = {0};
        (void)snprintf(name, sizeof name, "user-%u", i);
        ck_assert(connect_as(&passing, name));
        allowance_release(&passing);
    }
    ck_assert(watch_as(&stream, "ann"));
    allowance_unwatch(&stream);
    ck_assert(!watch_as(&stream, "bob")); /* who holds something is not forgotten */
    allowance_release(&stream);
    allowance_release(&held);
}
END_TEST

/* ---- requests ----------------------------------------------------------------------------- */

START_TEST(a_burst_of_one_second_passes_and_then_so_many_a_second)
{
    limit("ann", (struct auth_limits){.requests_per_second = 10});
    for (int i = 0; i < 10; i++) {
        ck_assert_uint_eq(wait_of("ann"), 0);
    }
    ck_assert_uint_eq(wait_of("ann"), 100);
    ck_assert_uint_eq(wait_of("bob"), 0);
    fake_env_advance(&fake, 99);
    ck_assert_uint_eq(wait_of("ann"), 1);
    fake_env_advance(&fake, 1);
    ck_assert_uint_eq(wait_of("ann"), 0);
    ck_assert_uint_eq(wait_of("ann"), 100);
    fake_env_advance(&fake, 3600 * 1000); /* an hour saves up no more than a second does */
    for (int i = 0; i < 10; i++) {
        ck_assert_uint_eq(wait_of("ann"), 0);
    }
    ck_assert_uint_eq(wait_of("ann"), 100);
}
END_TEST

START_TEST(who_waits_as_long_as_he_is_told_gets_the_rate_that_was_set)
{
    static const uint32_t rates[] = {1, 3, 7, 999, 1000, 1001, 4000000000};
    uint64_t begin_ms;
    uint64_t passed = 0;
    limit("ann", (struct auth_limits){.requests_per_second = rates[_i]});
    uint64_t first = rates[_i] < 2000 ? rates[_i] : 2000;
    for (uint64_t i = 0; i < first; i++) {
        ck_assert_uint_eq(wait_of("ann"), 0);
    }
    if (first < rates[_i]) {
        return; /* the burst alone is more than a test has time for */
    }
    begin_ms = fake.env.now_ms(&fake.env);
    while (fake.env.now_ms(&fake.env) < begin_ms + 10000) {
        uint64_t wait_ms = wait_of("ann");
        passed += wait_ms == 0;
        fake_env_advance(&fake, wait_ms);
    }
    uint64_t of_one_ms = 1 + rates[_i] / 1000; /* what the ends of the time may cost or give */
    ck_assert_uint_ge(passed + of_one_ms, (uint64_t)10 * rates[_i]);
    ck_assert_uint_le(passed, (uint64_t)10 * rates[_i] + of_one_ms);
}
END_TEST

START_TEST(everybodys_limit_holds_for_each_of_them_but_not_for_root)
{
    limit("*", (struct auth_limits){.requests_per_second = 1});
    ck_assert_uint_eq(wait_of("ann"), 0);
    ck_assert_uint_gt(wait_of("ann"), 0);
    ck_assert_uint_eq(wait_of("bob"), 0);
    ck_assert_uint_gt(wait_of("bob"), 0);
    ck_assert_uint_eq(wait_of("anonymous"), 0);
    ck_assert_uint_gt(wait_of("anonymous"), 0);
    for (int i = 0; i < 5; i++) {
        ck_assert_uint_eq(wait_of("admin"), 0);
    }
    expect_refusals("requests", 0); /* whether one that waits is refused is its caller's to say */
    allowance_count_refusal(all, ALLOWANCE_REQUESTS);
    expect_refusals("requests", 1);
}
END_TEST

START_TEST(nothing_is_limited_while_authentication_is_disabled)
{
    struct allowance_hold h[2] = {0};
    limit("ann", (struct auth_limits){.requests_per_second = 1, .connections = 1, .watches = 1});
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(wait_of("ann"), 0);
        ck_assert(connect_as(&h[i], "ann"));
        ck_assert(watch_as(&h[i], "ann"));
    }
    enable();
    ck_assert(!watch_as(&h[0], "ann"));
    for (size_t i = 0; i < 2; i++) {
        allowance_release(&h[i]);
    }
}
END_TEST

START_TEST(a_refusal_names_the_user_the_kind_and_the_limit)
{
    char text[ALLOWANCE_TEXT_BYTES_MAX];
    limit("ann", (struct auth_limits){.requests_per_second = 7, .connections = 8, .watches = 9});
    allowance_text(all, slice_str("ann"), ALLOWANCE_REQUESTS, text);
    ck_assert_str_eq(text, "user ann: 7 requests a second at each member are the limit");
    allowance_text(all, slice_str("ann"), ALLOWANCE_CONNECTIONS, text);
    ck_assert_str_eq(text, "user ann: 8 connections at each member are the limit");
    allowance_text(all, slice_str("ann"), ALLOWANCE_WATCHES, text);
    ck_assert_str_eq(text, "user ann: 9 watches at each member are the limit");
}
END_TEST

static Suite *allowance_suite(void)
{
    Suite *s = suite_create("allowance");
    TCase *limits = tcase_create("limits");
    TCase *disabled = tcase_create("disabled");
    tcase_add_checked_fixture(limits, setup, teardown);
    tcase_add_test(limits, a_connection_beyond_the_limit_is_nobodys_until_there_is_a_place);
    tcase_add_test(limits, a_connection_that_becomes_another_users_takes_its_watches_along);
    tcase_add_test(limits, a_lower_limit_takes_nothing_away_and_gives_nothing_more);
    tcase_add_test(limits, a_watch_beyond_the_limit_is_refused_over_all_that_hold_any);
    tcase_add_test(limits, watches_that_began_uncounted_end_uncounted);
    tcase_add_test(limits, users_who_hold_nothing_are_forgotten_and_may_come_again);
    tcase_add_test(limits, a_burst_of_one_second_passes_and_then_so_many_a_second);
    tcase_add_loop_test(limits, who_waits_as_long_as_he_is_told_gets_the_rate_that_was_set, 0, 7);
    tcase_add_test(limits, everybodys_limit_holds_for_each_of_them_but_not_for_root);
    tcase_add_test(limits, a_refusal_names_the_user_the_kind_and_the_limit);
    tcase_add_checked_fixture(disabled, setup_disabled, teardown);
    tcase_add_test(disabled, nothing_is_limited_while_authentication_is_disabled);
    suite_add_tcase(s, limits);
    suite_add_tcase(s, disabled);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){allowance_suite, NULL});
}
