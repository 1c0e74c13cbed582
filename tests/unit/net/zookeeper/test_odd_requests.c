/* Requests that no good client sends, and what ZooKeeper 3.8.0 answers to them: found by sending
 * the same packets to both (tests/compat/zookeeper/differential.py). */
#include "tests/support/check_main.h"
#include "tests/support/zk_say.h"

static struct zk_world w;
static struct zk_peer *a;
static struct zk_peer *b;

static void setup(void)
{
    zk_world_open(&w, NULL);
    a = zk_peer_connect(&w, "192.0.2.7:51434");
    b = zk_peer_connect(&w, "192.0.2.8:4711");
}

static void teardown(void)
{
    zk_world_close(&w);
}

#define EXPECT(got, wanted) ck_assert_str_eq((got), (wanted))

static void put_text_or_null(struct buf *body, const char *text)
{
    if (text == NULL) {
        jute_put_null(body);
    } else {
        zk_put_text(body, text);
    }
}

static struct buf path_body(const char *path)
{
    struct buf body = {0};
    put_text_or_null(&body, path);
    return body;
}

static struct buf number_body(const char *path, int32_t number)
{
    struct buf body = path_body(path);
    jute_put_int(&body, number);
    return body;
}

static struct buf set_body(const char *path)
{
    struct buf body = path_body(path);
    zk_put_text(&body, "x");
    jute_put_int(&body, -1);
    return body;
}

static struct buf create_body(const char *path, const char *scheme, const char *id)
{
    struct buf body = path_body(path);
    zk_put_text(&body, "x");
    jute_put_int(&body, 1);
    jute_put_int(&body, ZK_PERM_ALL);
    zk_put_text(&body, scheme);
    put_text_or_null(&body, id);
    jute_put_int(&body, 0);
    return body;
}

static const char *ask_multi(int32_t type, struct buf operation)
{
    struct buf body = {0};
    zk_put_multi_head(&body, type, (enum zk_error) - 1);
    buf_append_slice(&body, buf_slice(&operation));
    buf_close(&operation);
    zk_put_multi_end(&body);
    return zk_ask(a, ZK_MULTI, body);
}

/* The xid that a request of this type is answered with when it is sent with 77. */
static int32_t xid_of_reply(int32_t type, struct buf body)
{
    struct buf packet = {0};
    struct buf keep = {0};
    struct zk_seen seen;
    jute_put_int(&packet, (int32_t)(8 + body.size));
    jute_put_int(&packet, 77);
    jute_put_int(&packet, type);
    buf_append_slice(&packet, buf_slice(&body));
    zk_peer_feed(a, buf_slice(&packet));
    zk_world_run(&w);
    ck_assert(zk_take(a, &seen, &keep));
    ck_assert_int_eq(seen.error, ZK_OK);
    buf_close(&packet);
    buf_close(&body);
    buf_close(&keep);
    return seen.xid;
}

static struct buf auth_body(void)
{
    struct buf body = {0};
    jute_put_int(&body, 0);
    zk_put_text(&body, "digest");
    zk_put_text(&body, "al:pw");
    return body;
}

START_TEST(a_ping_is_answered_with_its_own_xid_and_auth_with_that_of_the_request)
{
    ck_assert_int_eq(xid_of_reply(ZK_PING, (struct buf){0}), ZK_XID_PING);
    ck_assert_int_eq(xid_of_reply(ZK_AUTH, auth_body()), 77);
    ck_assert_int_eq(xid_of_reply(ZK_WHO_AM_I, (struct buf){0}), 77);
}
END_TEST

START_TEST(a_path_that_is_null_fails_as_what_looks_into_it_does)
{
    EXPECT(zk_ask(a, ZK_CREATE, create_body(NULL, "world", "anyone")), "-5");
    EXPECT(zk_ask(a, ZK_CREATE, create_body("", "world", "anyone")), "-8");
    EXPECT(zk_ask(a, ZK_DELETE, number_body(NULL, -1)), "-5");
    EXPECT(zk_ask(a, ZK_SET_DATA, set_body(NULL)), "-8");
    EXPECT(zk_ask(a, ZK_SET_DATA, set_body("")), "-8");
    EXPECT(zk_ask(a, ZK_GET_ACL, path_body(NULL)), "-5");
    EXPECT(zk_ask(a, ZK_SYNC, path_body(NULL)), "ok null");
    EXPECT(zk_ask(a, ZK_REMOVE_WATCHES, number_body(NULL, ZK_WATCHER_ANY)), "-121");
    EXPECT(ask_multi(ZK_CREATE, create_body(NULL, "world", "anyone")), "-5");
    EXPECT(ask_multi(ZK_SET_DATA, set_body(NULL)), "-5");
    EXPECT(ask_multi(ZK_SET_DATA, set_body("")), "ok | -8");
}
END_TEST

START_TEST(an_id_that_is_null_is_compared_only_where_its_scheme_has_ids)
{
    EXPECT(zk_ask(a, ZK_CREATE, create_body("/a", "world", NULL)), "-5");
    EXPECT(zk_ask(a, ZK_CREATE, create_body("/a", "digest", NULL)), "-5");
    EXPECT(zk_ask(a, ZK_CREATE, create_body("/a", "ip", NULL)), "-5");
    EXPECT(zk_ask(a, ZK_CREATE, create_body("/a", "kerberos", NULL)), "-114");
    EXPECT(zk_ask(a, ZK_CREATE, create_body("/a", "auth", NULL)), "-114");
    EXPECT(ask_multi(ZK_CREATE, create_body("/a", "world", NULL)), "-5");
    EXPECT(zk_ask(a, ZK_AUTH, auth_body()), "ok");
    EXPECT(zk_ask(a, ZK_CREATE, create_body("/a", "auth", NULL)), "ok /a");
}
END_TEST

START_TEST(a_count_below_null_is_an_empty_list)
{
    struct buf body = path_body("/a");
    zk_put_text(&body, "x");
    jute_put_int(&body, -7);
    jute_put_int(&body, 0);
    EXPECT(zk_ask(a, ZK_CREATE, body), "-114");
}
END_TEST

START_TEST(a_reconfig_that_is_none_is_malformed_rather_than_unimplemented)
{
    struct buf body = {0};
    zk_put_text(&body, "server.1");
    EXPECT(zk_ask(a, ZK_RECONFIG, body), "-5");
    body = (struct buf){0};
    jute_put_null(&body);
    jute_put_null(&body);
    zk_put_text(&body, "x");
    jute_put_long(&body, -1);
    EXPECT(zk_ask(a, ZK_RECONFIG, body), "-6");
    EXPECT(zk_ask_path(a, ZK_GET_DATA, "/no", false), "-101"); /* the connection goes on */
}
END_TEST

START_TEST(the_empty_path_is_the_root_to_those_who_look)
{
    EXPECT(zk_ask_path(a, ZK_GET_CHILDREN2, "", false), "ok [ zookeeper ] (v0 c-1 a0 n1 0b)");
    EXPECT(zk_ask_path(a, ZK_GET_CHILDREN, "", false), "ok [ zookeeper ]");
    EXPECT(zk_ask_path(a, ZK_EXISTS, "", false), "ok (v0 c-1 a0 n1 0b)");
    EXPECT(zk_ask_path(a, ZK_GET_DATA, "", false), "ok  (v0 c-1 a0 n1 0b)");
    EXPECT(zk_ask_path(a, ZK_EXISTS, "/", false), "ok (v0 c-1 a0 n1 0b)");
}
END_TEST

START_TEST(descendants_that_hide_their_own_are_counted_with_them)
{
    EXPECT(zk_ask_create(a, "/a"), "ok /a");
    EXPECT(zk_ask_create(a, "/a/b"), "ok /a/b");
    EXPECT(zk_ask_create(a, "/a/b/c"), "ok /a/b/c");
    struct buf body = path_body("/a/b");
    const struct zk_acl acl = {ZK_PERM_ALL, slice_str("ip"), slice_str("192.0.2.7")};
    zk_put_acl(&body, &acl, 1);
    jute_put_int(&body, -1);
    EXPECT(zk_ask(a, ZK_SET_ACL, body), "ok (v0 c1 a1 n1 1b)");
    EXPECT(zk_ask(b, ZK_GET_ALL_CHILDREN_NUMBER, path_body("/a")), "ok 2");
    EXPECT(zk_ask(b, ZK_GET_ALL_CHILDREN_NUMBER, path_body("/a/b")), "-102");
    EXPECT(zk_ask(b, ZK_GET_ALL_CHILDREN_NUMBER, path_body("/none")), "-101");
}
END_TEST

static Suite *odd_suite(void)
{
    Suite *suite = suite_create("net/zookeeper/odd requests");
    TCase *tcase = tcase_create("odd");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_ping_is_answered_with_its_own_xid_and_auth_with_that_of_the_request);
    tcase_add_test(tcase, a_path_that_is_null_fails_as_what_looks_into_it_does);
    tcase_add_test(tcase, an_id_that_is_null_is_compared_only_where_its_scheme_has_ids);
    tcase_add_test(tcase, a_count_below_null_is_an_empty_list);
    tcase_add_test(tcase, a_reconfig_that_is_none_is_malformed_rather_than_unimplemented);
    tcase_add_test(tcase, the_empty_path_is_the_root_to_those_who_look);
    tcase_add_test(tcase, descendants_that_hide_their_own_are_counted_with_them);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){odd_suite, NULL});
}
