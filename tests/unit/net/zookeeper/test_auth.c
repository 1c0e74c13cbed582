/* Users of the cluster over ZooKeeper's protocol: an auth packet that names one must have his
 * password, and what comes behind it waits. */
#include "net/zookeeper/packet.h"
#include "net/zookeeper/words.h"
#include "tests/support/auth_kit.h"
#include "tests/support/check_main.h"
#include "tests/support/zk_say.h"

/* Of "pw", as cheap as can be. */
#define PW_HASH                                        \
    "scrypt:1:1:1:00000000000000000000000000000000:"   \
    "78ffea4b314db3c8aad4c56068473572fb2d481e887c75915cde7957caa65067"

#define EXPECT(got, expected) ck_assert_str_eq(got, expected)

static struct zk_world w;

static void apply_auth_command(struct command_auth what)
{
    struct reply reply;
    struct command c = {.type = COMMAND_AUTH, .auth = what};
    struct buf who = {0};
    c.identities = auth_kit_who(&who, store_auth(w.node->store)->is_enabled ? "admin" : NULL);
    struct apply_context context = {
        .index = ++w.node->index, .cluster_ms = w.node->cluster_ms, .last_of_entry = true};
    store_apply(w.node->store, &context, &c, &reply);
    ck_assert_int_eq(reply.outcome, OUTCOME_OK);
    buf_close(&who);
}

static void user_make(const char *name, const char *role)
{
    apply_auth_command((struct command_auth){
        .action = AUTH_USER_ADD, .user = slice_str(name), .secret = slice_str(PW_HASH)});
    apply_auth_command((struct command_auth){
        .action = AUTH_USER_GRANT, .user = slice_str(name), .role = slice_str(role)});
}

/* "admin" is root, "u" may read and create below "/u"; enabled. */
static void setup(void)
{
    zk_world_open(&w, NULL);
    user_make("admin", "root");
    apply_auth_command((struct command_auth){.action = AUTH_ROLE_ADD, .role = slice_str("r")});
    apply_auth_command((struct command_auth){.action = AUTH_ROLE_GRANT,
                                             .role = slice_str("r"),
                                             .path = slice_str("/u"),
                                             .rights = ACL_READ | ACL_CREATE});
    user_make("u", "r");
    apply_auth_command((struct command_auth){.action = AUTH_ENABLE,
                                             .secret = slice_str(AUTH_KIT_KEY),
                                             .token_ttl_ms = 60000});
}

static void teardown(void)
{
    zk_world_close(&w);
}

static struct buf auth_packet(const char *name_and_password)
{
    struct buf b = {0};
    jute_put_int(&b, 0);
    zk_put_text(&b, "digest");
    zk_put_text(&b, name_and_password);
    return b;
}

START_TEST(who_proves_to_be_a_user_may_what_his_roles_allow)
{
    struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:1");
    EXPECT(zk_ask_create(p, "/u"), "-102");
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("u:pw")), "ok");
    EXPECT(zk_ask_create(p, "/u"), "ok /u");
    EXPECT(zk_ask_create(p, "/other"), "-102");
    EXPECT(zk_ask_set(p, "/u", "x"), "-102");
    EXPECT(zk_ask_path(p, ZK_EXISTS, "/u", true), "ok (v0 c0 a0 n0 1b)");
    EXPECT(zk_ask_path(p, ZK_EXISTS, "/other", true), "-102");
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("admin:pw")), "ok");
    EXPECT(zk_ask_create(p, "/other"), "ok /other");
}
END_TEST

START_TEST(a_wrong_password_is_auth_failed_and_ends_the_connection)
{
    struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:1");
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("u:wrong")), "-115");
    EXPECT(zk_say_next(p, ZK_PING), "closed");
}
END_TEST

/* After -115 clients never come back; after an end without a reply they do. */
START_TEST(a_password_that_nobody_had_time_to_look_at_is_not_said_to_be_wrong)
{
    struct zk_peer *peers[LOGIN_PENDING_OF_ONE_MAX + 1];
    size_t count = sizeof peers / sizeof peers[0];
    size_t closed = 0;
    for (size_t i = 0; i < count; i++) {
        peers[i] = zk_peer_connect(&w, "10.0.0.1:1");
    }
    for (size_t i = 0; i < count; i++) {
        struct buf body = auth_packet("u:pw");
        (void)zk_send(peers[i], ZK_AUTH, &body);
    }
    zk_world_run(&w);
    for (size_t i = 0; i < count; i++) {
        const char *said = zk_say_next(peers[i], ZK_AUTH);
        bool is_closed = strcmp(said, "closed") == 0;
        closed += is_closed;
        EXPECT(said, is_closed ? "closed" : "ok");
    }
    ck_assert_uint_eq(closed, 1);
    struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:1");
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("u:pw")), "ok");
}
END_TEST

START_TEST(who_guessed_makes_others_of_his_address_wait_but_does_not_end_them)
{
    for (int i = 0; i < LOGIN_FAILURES_MAX; i++) {
        char guess[16];
        (void)snprintf(guess, sizeof guess, "u:guess%d", i);
        struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:1");
        EXPECT(zk_ask(p, ZK_AUTH, auth_packet(guess)), "-115");
    }
    struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:2");
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("u:pw")), "closed");
    zk_world_advance(&w, LOGIN_WINDOW_MS);
    p = zk_peer_connect(&w, "10.0.0.1:2");
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("u:pw")), "ok");
}
END_TEST

/* A program whose password was changed sends the old one each time that it is started. */
START_TEST(one_wrong_password_sent_often_is_no_guessing)
{
    for (int i = 0; i < 2 * LOGIN_FAILURES_MAX; i++) {
        struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:1");
        EXPECT(zk_ask(p, ZK_AUTH, auth_packet("u:old")), "-115");
    }
    struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:2");
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("u:pw")), "ok");
}
END_TEST

START_TEST(a_wrong_password_is_right_once_it_was_made_the_user_s)
{
    struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:1");
    apply_auth_command((struct command_auth){
        .action = AUTH_USER_PASSWORD, .user = slice_str("u"), .secret = slice_str("other")});
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("u:pw")), "-115");
    apply_auth_command((struct command_auth){
        .action = AUTH_USER_PASSWORD, .user = slice_str("u"), .secret = slice_str(PW_HASH)});
    p = zk_peer_connect(&w, "10.0.0.1:1");
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("u:pw")), "ok");
}
END_TEST

/* Although its answer waits for those before it. */
START_TEST(nothing_behind_a_wrong_password_is_done)
{
    struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:1");
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("admin:pw")), "ok");
    struct buf before = zk_create_body("/a", "x", 0);
    struct buf auth = auth_packet("u:wrong");
    struct buf behind = zk_create_body("/b", "x", 0);
    w.node->is_held = true;
    (void)zk_send(p, ZK_CREATE, &before);
    (void)zk_send(p, ZK_AUTH, &auth);
    (void)zk_send(p, ZK_CREATE, &behind);
    zk_world_run(&w);
    ck_assert_uint_eq(w.node->pending, 1);
    w.node->is_held = false;
    zk_world_run(&w);
    EXPECT(zk_say_next(p, ZK_CREATE), "ok /a");
    EXPECT(zk_say_next(p, ZK_AUTH), "-115");
    EXPECT(zk_say_next(p, ZK_CREATE), "closed");
    struct zk_peer *admin = zk_peer_connect(&w, "10.0.0.1:2");
    EXPECT(zk_ask(admin, ZK_AUTH, auth_packet("admin:pw")), "ok");
    EXPECT(zk_ask_path(admin, ZK_EXISTS, "/b", false), "-101");
}
END_TEST

START_TEST(a_digest_whose_name_is_no_user_s_is_one_as_ever_and_may_nothing_more)
{
    struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:1");
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("somebody:else")), "ok");
    EXPECT(zk_ask_create(p, "/u"), "-102");
}
END_TEST

/* The clients send all of it at once. */
START_TEST(requests_behind_an_auth_packet_wait_for_it_and_are_answered_in_order)
{
    struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:1");
    struct buf body = auth_packet("admin:pw");
    struct buf create = zk_create_body("/a", "x", 0);
    struct buf get = zk_path_body("/a", false);
    struct buf ping = {0};
    (void)zk_send(p, ZK_PING, &ping);
    (void)zk_send(p, ZK_AUTH, &body);
    (void)zk_send(p, ZK_CREATE, &create);
    (void)zk_send(p, ZK_EXISTS, &get);
    zk_world_run(&w);
    EXPECT(zk_say_next(p, ZK_PING), "ok");
    EXPECT(zk_say_next(p, ZK_AUTH), "ok");
    EXPECT(zk_say_next(p, ZK_CREATE), "ok /a");
    EXPECT(zk_say_next(p, ZK_EXISTS), "ok (v0 c0 a0 n0 1b)");
}
END_TEST

START_TEST(a_connection_that_goes_while_its_password_is_looked_at_harms_nobody)
{
    struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:1");
    struct buf body = auth_packet("admin:pw");
    (void)zk_send(p, ZK_AUTH, &body);
    zk_peer_free(p);
    zk_world_run(&w);
    p = zk_peer_connect(&w, "10.0.0.1:2");
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("admin:pw")), "ok");
}
END_TEST

START_TEST(who_is_disabled_or_has_another_password_loses_his_connection)
{
    struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:1");
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("u:pw")), "ok");
    apply_auth_command((struct command_auth){
        .action = AUTH_USER_DISABLE, .user = slice_str("u"), .flag = true});
    EXPECT(zk_ask_path(p, ZK_EXISTS, "/u", false), "-102");
    zk_world_advance(&w, 1000);
    EXPECT(zk_say_next(p, ZK_PING), "closed");
}
END_TEST

/* Clients send auth packets when they connect, and not because they are refused something. */
START_TEST(who_said_who_he_is_before_that_was_asked_is_made_to_say_it_again)
{
    apply_auth_command((struct command_auth){.action = AUTH_DISABLE});
    struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:1");
    struct zk_peer *other = zk_peer_connect(&w, "10.0.0.1:2");
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("u:pw")), "ok");
    EXPECT(zk_ask(other, ZK_AUTH, auth_packet("somebody:pw")), "ok");
    EXPECT(zk_ask_create(p, "/u"), "ok /u");
    apply_auth_command((struct command_auth){.action = AUTH_ENABLE,
                                             .secret = slice_str(AUTH_KIT_KEY),
                                             .token_ttl_ms = 60000});
    zk_world_advance(&w, 1000);
    EXPECT(zk_say_next(p, ZK_PING), "closed");
    ck_assert(!other->is_closed);
    p = zk_peer_connect(&w, "10.0.0.1:1");
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("u:pw")), "ok");
    EXPECT(zk_ask_path(p, ZK_EXISTS, "/u", false), "ok (v0 c0 a0 n0 1b)");
    user_make("somebody", "r");
    zk_world_advance(&w, 1000);
    ck_assert(!p->is_closed);
    EXPECT(zk_say_next(other, ZK_PING), "closed");
}
END_TEST

/* The password changes between its proof and the place of the write in the log, as it does for a
 * member that is behind. */
START_TEST(a_write_that_an_older_password_proved_is_refused_where_it_is_applied)
{
    struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:1");
    struct buf create = zk_create_body("/u", "x", 0);
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("u:pw")), "ok");
    w.node->is_held = true;
    (void)zk_send(p, ZK_CREATE, &create);
    zk_world_run(&w);
    ck_assert_uint_eq(w.node->pending, 1);
    apply_auth_command((struct command_auth){
        .action = AUTH_USER_PASSWORD, .user = slice_str("u"), .secret = slice_str("other")});
    w.node->is_held = false;
    zk_world_run(&w);
    EXPECT(zk_say_next(p, ZK_CREATE), "-102");
    struct zk_peer *admin = zk_peer_connect(&w, "10.0.0.1:2");
    EXPECT(zk_ask(admin, ZK_AUTH, auth_packet("admin:pw")), "ok");
    EXPECT(zk_ask_path(admin, ZK_EXISTS, "/u", false), "-101");
}
END_TEST

START_TEST(events_are_for_those_who_may_read_the_path)
{
    struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:1");
    struct zk_peer *q = zk_peer_connect(&w, "10.0.0.1:2");
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("admin:pw")), "ok");
    EXPECT(zk_ask(q, ZK_AUTH, auth_packet("u:pw")), "ok");
    struct buf add = {0};
    zk_put_text(&add, "/u");
    jute_put_int(&add, 1);
    EXPECT(zk_ask(q, ZK_ADD_WATCH, add), "ok 0");
    struct buf other = {0};
    zk_put_text(&other, "/");
    jute_put_int(&other, 1);
    EXPECT(zk_ask(q, ZK_ADD_WATCH, other), "-102");
    EXPECT(zk_ask_create(p, "/u"), "ok /u");
    EXPECT(zk_ask_create(p, "/v"), "ok /v");
    zk_world_run(&w);
    EXPECT(zk_say_next(q, ZK_PING), "event 1 /u");
    EXPECT(zk_say_next(q, ZK_PING), "");
}
END_TEST

START_TEST(set_watches_does_not_tell_what_is_there_to_who_may_not_read_it)
{
    struct zk_peer *p = zk_peer_connect(&w, "10.0.0.1:1");
    struct buf body = {0};
    jute_put_long(&body, 0);
    jute_put_int(&body, -1);
    jute_put_int(&body, 1);
    zk_put_text(&body, "/other"); /* which is not there */
    jute_put_int(&body, -1);
    EXPECT(zk_ask(p, ZK_AUTH, auth_packet("u:pw")), "ok");
    EXPECT(zk_ask(p, ZK_SET_WATCHES, body), "ok");
}
END_TEST

START_TEST(status_words_that_show_clients_and_paths_are_not_for_anybody)
{
    w.settings.words = (1u << ZK_WORDS) - 1;
    struct zk_peer *p = zk_peer_open(&w, "10.0.0.1:1");
    zk_peer_feed(p, slice_str("dump"));
    zk_world_run(&w);
    ck_assert(slice_is(buf_slice(&p->out),
                       "dump is not executed while authentication is enabled.\n"));
    p = zk_peer_open(&w, "10.0.0.1:2");
    zk_peer_feed(p, slice_str("ruok"));
    zk_world_run(&w);
    ck_assert(slice_is(buf_slice(&p->out), "imok"));
}
END_TEST

static Suite *auth_suite(void)
{
    Suite *suite = suite_create("zookeeper auth");
    TCase *users = tcase_create("users");
    tcase_add_checked_fixture(users, setup, teardown);
    tcase_add_test(users, who_proves_to_be_a_user_may_what_his_roles_allow);
    tcase_add_test(users, a_wrong_password_is_auth_failed_and_ends_the_connection);
    tcase_add_test(users,
                   a_password_that_nobody_had_time_to_look_at_is_not_said_to_be_wrong);
    tcase_add_test(users, who_guessed_makes_others_of_his_address_wait_but_does_not_end_them);
    tcase_add_test(users, one_wrong_password_sent_often_is_no_guessing);
    tcase_add_test(users, a_wrong_password_is_right_once_it_was_made_the_user_s);
    tcase_add_test(users, nothing_behind_a_wrong_password_is_done);
    tcase_add_test(users, a_digest_whose_name_is_no_user_s_is_one_as_ever_and_may_nothing_more);
    tcase_add_test(users, requests_behind_an_auth_packet_wait_for_it_and_are_answered_in_order);
    tcase_add_test(users, a_connection_that_goes_while_its_password_is_looked_at_harms_nobody);
    tcase_add_test(users, who_is_disabled_or_has_another_password_loses_his_connection);
    tcase_add_test(users, who_said_who_he_is_before_that_was_asked_is_made_to_say_it_again);
    tcase_add_test(users, a_write_that_an_older_password_proved_is_refused_where_it_is_applied);
    tcase_add_test(users, events_are_for_those_who_may_read_the_path);
    tcase_add_test(users, set_watches_does_not_tell_what_is_there_to_who_may_not_read_it);
    tcase_add_test(users, status_words_that_show_clients_and_paths_are_not_for_anybody);
    suite_add_tcase(suite, users);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){auth_suite, NULL});
}
