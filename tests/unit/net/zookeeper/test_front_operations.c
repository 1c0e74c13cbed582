/* ZooKeeper requests over the real front end and store: operations, multi, access control. Outcomes
 * are those of ZooKeeper 3.8.0 unless docs/protocols/zookeeper.md says why not. */
#include "tests/support/zk_front_kit.h"

/* ---- operations --------------------------------------------------------------------------- */

START_TEST(creates_fail_in_zookeepers_order)
{
    static const struct {
        const char *path;
        int32_t flags;
        const char *reply;
    } cases[] = {
        {"/a", 0, "ok /a"},
        {"/a", 0, "-110"},
        {"/", 0, "-110"},
        {"", 0, "-8"},
        {"a", 0, "-8"},
        {"a/b", 0, "-101"},
        {"//a", 0, "-8"},
        {"/./a", 0, "-101"},
        {"/a//b", 0, "-101"},
        {"/no//a", 0, "-101"},
        {"/a/.", 0, "-8"},
        {"/a/", 0, "-8"},
        {"/no/b", 0, "-101"},
        {"/a/\xc3\xa9", 0, "ok /a/\xc3\xa9"},
        {"/a/\xf0\x9f\x98\x80", 0, "-8"},
        {"/a/\x01", 0, "-8"},
        {"/a/\xee\x80\x80", 0, "-8"},
        {"/a/\xef\xbf\xb0", 0, "-8"},
        {"/a/\xff", 0, "-8"},
        {"/no/b", 7, "-8"},
        {"/no/b", -1, "-8"},
        {"/a/t", 5, "-8"},
        {"/a/e", 1, "ok /a/e"},
        {"/a/e/x", 0, "-108"},
        {"/a/s-", 2, "ok /a/s-0000000002"},
        {"/a/", 2, "ok /a/0000000003"},
        {"/a/c", 4, "ok /a/c"},
        {"/a/e/.", 0, "-8"}, /* the name counts more than what the parent is */
        {"/a/s-", 2, "ok /a/s-0000000005"}, /* and names that were wrong took no number */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *reply =
            zk_ask(a, ZK_CREATE, zk_create_body(cases[i].path, "x", cases[i].flags));
        ck_assert_msg(strcmp(reply, cases[i].reply) == 0, "create %s %d: %s", cases[i].path,
                      (int)cases[i].flags, reply);
    }
}
END_TEST

static struct buf ttl_body(const char *path, int32_t flags, int64_t ttl_ms)
{
    struct buf body = zk_create_body(path, "x", flags);
    jute_put_long(&body, ttl_ms);
    return body;
}

START_TEST(the_other_creates_answer_with_a_stat)
{
    EXPECT(zk_ask(a, ZK_CREATE2, zk_create_body("/a", "x", 0)), "ok /a (v0 c0 a0 n0 1b)");
    EXPECT(zk_ask(a, ZK_CREATE_CONTAINER, zk_create_body("/c", "x", 4)),
           "ok /c (v0 c0 a0 n0 1b)");
    EXPECT(zk_ask(a, ZK_CREATE_TTL, ttl_body("/t", 5, 1000)), "ok /t (v0 c0 a0 n0 1b)");
    EXPECT(zk_ask(a, ZK_CREATE_TTL, ttl_body("/t-", 6, 1000)),
           "ok /t-0000000003 (v0 c0 a0 n0 1b)");
    EXPECT(zk_ask(a, ZK_CREATE_TTL, ttl_body("/x", 5, 0)), "-8");
    EXPECT(zk_ask(a, ZK_CREATE_TTL, ttl_body("/x", 5, INT64_C(1) << 40)), "-8");
    EXPECT(zk_ask(a, ZK_CREATE_TTL, ttl_body("/x", 0, 1000)), "-8");
    EXPECT(zk_ask(a, ZK_CREATE2, zk_create_body("/x", "x", 5)), "-8");
}
END_TEST

START_TEST(sets_and_deletes_fail_in_zookeepers_order)
{
    EXPECT(zk_ask_create(a, "/a"), "ok /a");
    EXPECT(zk_ask_create(a, "/a/b"), "ok /a/b");
    EXPECT(zk_ask(a, ZK_SET_DATA, zk_set_body("/a", "yy", 0)), "ok (v1 c1 a0 n1 2b)");
    EXPECT(zk_ask(a, ZK_SET_DATA, zk_set_body("/a", "z", 0)), "-103");
    EXPECT(zk_ask(a, ZK_SET_DATA, zk_set_body("/no", "z", 0)), "-101");
    EXPECT(zk_ask(a, ZK_SET_DATA, zk_set_body("/no/", "z", 0)), "-8");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/a", 9)), "-103");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/a", -1)), "-111");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/no/x", -1)), "-101");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/a//b", -1)), "-101");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("a", -1)), "-8");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/", -1)), "-8");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/zookeeper/config", -1)), "-8");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/a/b", 0)), "ok");
    EXPECT(zk_ask(a, ZK_DELETE, zk_version_body("/a", 1)), "ok");
}
END_TEST

START_TEST(null_data_stays_null)
{
    struct buf body = {0};
    zk_put_text(&body, "/n");
    jute_put_null(&body);
    zk_put_open_acl(&body);
    jute_put_int(&body, 0);
    EXPECT(zk_ask(a, ZK_CREATE, body), "ok /n");
    EXPECT(zk_ask_path(a, ZK_GET_DATA, "/n", false), "ok null (v0 c0 a0 n0 0b)");
    EXPECT(zk_ask_set(a, "/n", ""), "ok (v1 c0 a0 n0 0b)");
    EXPECT(zk_ask_path(a, ZK_GET_DATA, "/n", false), "ok  (v1 c0 a0 n0 0b)");
}
END_TEST

START_TEST(reads_answer_from_the_tree_and_bad_paths_are_missing_nodes)
{
    EXPECT(zk_ask_create(a, "/a"), "ok /a");
    EXPECT(zk_ask_create(a, "/a/x"), "ok /a/x");
    EXPECT(zk_ask(a, ZK_CREATE, zk_create_body("/a/y", "", ZK_FLAG_EPHEMERAL)), "ok /a/y");
    struct buf body;
    EXPECT(zk_ask_path(a, ZK_GET_CHILDREN, "/a", false), "ok [ x y ]");
    EXPECT(zk_ask_path(a, ZK_GET_CHILDREN2, "/a", false), "ok [ x y ] (v0 c2 a0 n2 1b)");
    EXPECT(zk_ask_path(a, ZK_GET_CHILDREN, "/a/x", false), "ok [ ]");
    EXPECT(zk_ask_path(a, ZK_GET_CHILDREN, "/zookeeper", false), "ok [ config quota ]");
    EXPECT(zk_ask_path(a, ZK_GET_DATA, "a//", false), "-101");
    EXPECT(zk_ask_path(a, ZK_GET_CHILDREN, "x", false), "-101");
    body = (struct buf){0};
    jute_put_buffer(&body, slice_make((const uint8_t *)"/a\0b", 4));
    jute_put_bool(&body, true);
    EXPECT(zk_ask(a, ZK_EXISTS, body), "-8"); /* only exists looks for it */
    body = (struct buf){0};
    zk_put_text(&body, "/a");
    EXPECT(zk_ask(a, ZK_GET_ALL_CHILDREN_NUMBER, body), "ok 2");
    static const char *const prefixes[][2] = {
        {"/", "ok [ /a/y ]"}, {"", "ok [ /a/y ]"}, {"/a/", "ok [ /a/y ]"}, {"/b", "ok [ ]"}};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        body = (struct buf){0};
        zk_put_text(&body, prefixes[i][0]);
        EXPECT(zk_ask(a, ZK_GET_EPHEMERALS, body), prefixes[i][1]);
    }
    body = (struct buf){0};
    jute_put_null(&body);
    EXPECT(zk_ask(b, ZK_GET_EPHEMERALS, body), "ok [ ]");
}
END_TEST

START_TEST(a_listing_longer_than_a_page_is_whole)
{
    EXPECT(zk_ask_create(a, "/big"), "ok /big");
    for (int i = 0; i < 3000; i++) {
        char path[1200];
        (void)snprintf(path, sizeof path, "/big/%04d%01000d", i, 0);
        struct buf body = zk_create_body(path, "", 0);
        (void)zk_send(a, ZK_CREATE, &body);
        zk_world_run(&w);
        (void)zk_say_next(a, ZK_CREATE);
    }
    struct buf body = zk_path_body("/big", false);
    (void)zk_send(b, ZK_GET_CHILDREN, &body);
    zk_world_run(&w);
    struct zk_seen seen;
    struct buf keep = {0};
    ck_assert(zk_take(b, &seen, &keep));
    ck_assert_int_eq(jute_int(&seen.body), 3000);
    ck_assert_uint_eq(seen.body.rest.size, 3000 * 1008);
    buf_close(&keep);
}
END_TEST

START_TEST(what_no_client_may_ask_for_is_refused_and_ends_the_connection)
{
    static const int32_t types[] = {0, 10, 13, 20, 23, 99, -10};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct zk_peer *p = zk_peer_connect(&w, "192.0.2.9:1");
        EXPECT(zk_ask(p, types[i], zk_version_body("/zookeeper", 1)), "-6");
        ck_assert(p->is_closed);
    }
    EXPECT(zk_ask(a, ZK_GET_DATA, (struct buf){0}), "-5");
    EXPECT(zk_ask_path(a, ZK_GET_DATA, "/no", false), "-101");
}
END_TEST

/* Java reads the token although there is an error: without one it would connect again for ever. */
START_TEST(sasl_is_refused_with_a_null_token_and_ends_the_connection)
{
    struct zk_seen seen;
    struct buf keep = {0};
    struct buf body = zk_version_body("", 0);
    EXPECT(zk_ask_create(a, "/a"), "ok /a");
    (void)zk_send(a, ZK_SASL, &body);
    zk_world_run(&w);
    ck_assert(zk_take(a, &seen, &keep));
    ck_assert_int_eq(seen.error, ZK_AUTH_FAILED);
    ck_assert_int_eq(seen.zxid, 0);
    ck_assert_int_eq(jute_int(&seen.body), -1);
    ck_assert(!seen.body.failed && seen.body.rest.size == 0);
    buf_close(&keep);
    ck_assert(a->is_closed);
}
END_TEST

START_TEST(packets_that_are_none_end_the_connection)
{
    static const char *const packets[] = {"\0\0\0\3abc", "\0\0\0\0", "\xff\xff\xff\xff",
                                          "\0\x10\0\0"};
    static const size_t sizes[] = {7, 4, 4, 4};
    for (size_t i = 0; i < 4; i++) {
        struct zk_peer *p = zk_peer_connect(&w, "192.0.2.9:1");
        zk_peer_feed(p, slice_make((const uint8_t *)packets[i], sizes[i]));
        zk_world_run(&w);
        EXPECT(zk_say_next(p, 0), "closed");
    }
}
END_TEST

/* ---- multi -------------------------------------------------------------------------------- */

struct multi {
    struct buf body;
};

static void multi_add(struct multi *m, int32_t type, struct buf body)
{
    zk_put_multi_head(&m->body, type, (enum zk_error) - 1);
    buf_append_slice(&m->body, buf_slice(&body));
    buf_close(&body);
}

static const char *multi_ask(struct multi *m, int32_t type)
{
    zk_put_multi_end(&m->body);
    struct buf body = m->body;
    m->body = (struct buf){0};
    return zk_ask(a, type, body);
}

START_TEST(a_multi_does_all_in_order_and_answers_each)
{
    struct multi m = {0};
    EXPECT(multi_ask(&m, ZK_MULTI), "ok");
    multi_add(&m, ZK_CREATE, zk_create_body("/k", "x", 0));
    multi_add(&m, ZK_CREATE2, zk_create_body("/k/a", "x", 0));
    multi_add(&m, ZK_CREATE, zk_create_body("/k/c", "x", ZK_FLAG_CONTAINER));
    multi_add(&m, ZK_CREATE_TTL, ttl_body("/k/t", 5, 1000));
    multi_add(&m, ZK_SET_DATA, zk_set_body("/k", "yy", 0));
    multi_add(&m, ZK_CHECK, zk_version_body("/k", 1));
    multi_add(&m, ZK_DELETE, zk_version_body("/k/a", 0));
    multi_add(&m, ZK_CREATE, zk_create_body("/k/s-", "x", ZK_FLAG_SEQUENTIAL));
    uint64_t revision = store_revision(w.node->store);
    EXPECT(multi_ask(&m, ZK_MULTI),
           "ok | 1 /k | 15 /k/a (v0 c0 a0 n0 1b) | 15 /k/c (v0 c0 a0 n0 1b) "
           "| 15 /k/t (v0 c0 a0 n0 1b) | 5 (v1 c3 a0 n3 2b) | 13 | 2 | 1 /k/s-0000000003");
    ck_assert_uint_eq(store_revision(w.node->store), revision + 1);
}
END_TEST

START_TEST(a_failed_multi_says_who_failed_and_does_nothing)
{
    struct multi m = {0};
    EXPECT(zk_ask_create(a, "/k"), "ok /k");
    uint64_t revision = store_revision(w.node->store);
    multi_add(&m, ZK_CREATE, zk_create_body("/k/s-", "x", ZK_FLAG_SEQUENTIAL));
    multi_add(&m, ZK_CHECK, zk_version_body("/k", 7));
    multi_add(&m, ZK_DELETE, zk_version_body("/k", -1));
    EXPECT(multi_ask(&m, ZK_MULTI), "ok | 0 | -103 | -2");
    ck_assert_uint_eq(store_revision(w.node->store), revision);
    EXPECT(zk_ask(a, ZK_CREATE, zk_create_body("/k/s-", "x", ZK_FLAG_SEQUENTIAL)),
           "ok /k/s-0000000000");
}
END_TEST

START_TEST(an_operation_that_cannot_be_fails_in_its_turn)
{
    struct multi m = {0};
    multi_add(&m, ZK_CREATE, zk_create_body("/ok", "x", 0));
    multi_add(&m, ZK_CREATE, zk_create_body("/zookeeper/.", "x", 0));
    multi_add(&m, ZK_CREATE, zk_create_body("/other", "x", 0));
    EXPECT(multi_ask(&m, ZK_MULTI), "ok | 0 | -8 | -2");
    multi_add(&m, ZK_DELETE, zk_version_body("/none", -1));
    multi_add(&m, ZK_CREATE, zk_create_body("bad", "x", 0));
    EXPECT(multi_ask(&m, ZK_MULTI), "ok | -101 | -2");
    multi_add(&m, ZK_CREATE_TTL, ttl_body("/t", 5, 0));
    EXPECT(multi_ask(&m, ZK_MULTI), "ok | -8");
    multi_add(&m, ZK_SET_DATA, zk_set_body("bad", "x", -1));
    EXPECT(multi_ask(&m, ZK_MULTI), "ok | -8");
    EXPECT(zk_ask_path(a, ZK_EXISTS, "/ok", false), "-101");
}
END_TEST

START_TEST(wrong_flags_and_reads_fail_a_multi_as_a_whole)
{
    struct multi m = {0};
    multi_add(&m, ZK_CREATE, zk_create_body("/a", "x", 0));
    multi_add(&m, ZK_CREATE, zk_create_body("/b", "x", 9));
    EXPECT(multi_ask(&m, ZK_MULTI), "-5");
    multi_add(&m, ZK_GET_DATA, zk_path_body("/", false));
    EXPECT(multi_ask(&m, ZK_MULTI), "-5");
    EXPECT(zk_ask_path(a, ZK_EXISTS, "/a", false), "-101");
}
END_TEST

START_TEST(a_multiRead_answers_each_for_itself)
{
    struct multi m = {0};
    EXPECT(zk_ask_create(a, "/a"), "ok /a");
    EXPECT(zk_ask_create(a, "/a/x"), "ok /a/x");
    multi_add(&m, ZK_GET_DATA, zk_path_body("/a", true));
    multi_add(&m, ZK_GET_CHILDREN, zk_path_body("/no", false));
    multi_add(&m, ZK_GET_CHILDREN, zk_path_body("/a", false));
    EXPECT(multi_ask(&m, ZK_MULTI_READ), "ok | 4 x (v0 c1 a0 n1 1b) | -101 | 8 [ x ]");
    EXPECT(zk_ask_set(b, "/a", "y"), "ok (v1 c1 a0 n1 1b)");
    EXPECT(zk_say_next(a, 0), ""); /* its watch byte means nothing */
}
END_TEST

/* So many children with names so long that to list them takes more than a reply may have. */
#define LONG_CHILDREN   16500
#define LONG_NAME_BYTES 4085

static void create_long_children(void)
{
    EXPECT(zk_ask_create(a, "/big"), "ok /big");
    for (int i = 0; i < LONG_CHILDREN; i++) {
        char path[LONG_NAME_BYTES + 16];
        (void)snprintf(path, sizeof path, "/big/%05d%0*d", i, LONG_NAME_BYTES - 5, 0);
        struct buf body = zk_create_body(path, "", ZK_FLAG_EPHEMERAL);
        (void)zk_send(a, ZK_CREATE, &body);
        zk_world_run(&w);
        (void)zk_say_next(a, ZK_CREATE);
    }
}

START_TEST(a_multiRead_whose_reply_would_be_too_large_fails_as_a_whole_and_at_once)
{
    struct multi m = {0};
    create_long_children();
    EXPECT(zk_ask_path(a, ZK_GET_CHILDREN, "/big", false), "-1");
    multi_add(&m, ZK_GET_DATA, zk_path_body("/big", false));
    multi_add(&m, ZK_GET_CHILDREN, zk_path_body("/big", false));
    multi_add(&m, ZK_GET_DATA, zk_path_body("/big", false));
    EXPECT(multi_ask(&m, ZK_MULTI_READ), "-1");
    multi_add(&m, ZK_GET_DATA, zk_path_body("/none", false));
    EXPECT(multi_ask(&m, ZK_MULTI_READ), "ok | -101");
}
END_TEST

static struct buf prefix_body(const char *prefix)
{
    struct buf body = {0};
    zk_put_text(&body, prefix);
    return body;
}

START_TEST(ephemerals_come_in_order_and_not_more_than_a_reply_may_have)
{
    struct zk_seen seen;
    struct buf keep = {0};
    create_long_children();
    EXPECT(zk_ask(a, ZK_GET_EPHEMERALS, prefix_body("/")), "-1");
    EXPECT(zk_ask(a, ZK_GET_EPHEMERALS, prefix_body("/none")), "ok [ ]");
    struct buf body = prefix_body("/big/00");
    (void)zk_send(a, ZK_GET_EPHEMERALS, &body);
    zk_world_run(&w);
    ck_assert(zk_take(a, &seen, &keep));
    ck_assert_int_eq(seen.error, ZK_OK);
    ck_assert_int_eq(jute_int(&seen.body), 1000);
    for (int i = 0; i < 1000; i++) {
        char wanted[16];
        int size = snprintf(wanted, sizeof wanted, "/big/%05d", i);
        struct slice path = jute_buffer(&seen.body).bytes;
        ck_assert_uint_eq(path.size, 5 + LONG_NAME_BYTES);
        ck_assert_mem_eq(path.data, wanted, (size_t)size);
    }
    buf_close(&keep);
}
END_TEST

/* ---- access ------------------------------------------------------------------------------- */

static struct buf auth_body(const char *scheme, const char *data)
{
    struct buf body = {0};
    jute_put_int(&body, 0);
    zk_put_text(&body, scheme);
    zk_put_text(&body, data);
    return body;
}

static struct buf acl_create_body(const char *path, int32_t permissions, const char *scheme,
                                  const char *id)
{
    const struct zk_acl acl = {permissions, slice_str(scheme), slice_str(id)};
    struct buf body = {0};
    zk_put_text(&body, path);
    zk_put_text(&body, "x");
    zk_put_acl(&body, &acl, 1);
    jute_put_int(&body, 0);
    return body;
}

START_TEST(schemes_that_do_not_exist_are_refused_and_end_the_connection)
{
    EXPECT(zk_ask(a, ZK_AUTH, auth_body("digest", "u:p")), "ok");
    EXPECT(zk_ask(a, ZK_AUTH, auth_body("ip", "")), "ok");
    EXPECT(zk_ask(a, ZK_WHO_AM_I, (struct buf){0}), "ok ip 192.0.2.7 digest u");
    EXPECT(zk_ask(b, ZK_AUTH, auth_body("kerberos", "u")), "-115");
    ck_assert(b->is_closed);
}
END_TEST

START_TEST(lists_that_no_node_may_have_are_refused_before_the_parent_is_looked_for)
{
    EXPECT(zk_ask(a, ZK_CREATE, acl_create_body("/no/a", 31, "world", "somebody")), "-114");
    EXPECT(zk_ask(a, ZK_CREATE, acl_create_body("/no/a", 31, "auth", "")), "-114");
    EXPECT(zk_ask(a, ZK_CREATE, acl_create_body("/no/a", 31, "digest", "x")), "-114");
    EXPECT(zk_ask(a, ZK_CREATE, acl_create_body("a", 31, "digest", "x")), "-8");
    struct buf body = {0};
    zk_put_text(&body, "/a");
    zk_put_text(&body, "");
    jute_put_int(&body, 0);
    jute_put_int(&body, 0);
    EXPECT(zk_ask(a, ZK_CREATE, body), "-114");
}
END_TEST

START_TEST(who_is_not_in_the_list_is_kept_out_and_digests_are_not_shown)
{
    EXPECT(zk_ask(a, ZK_AUTH, auth_body("digest", "al:pw")), "ok");
    EXPECT(zk_ask(a, ZK_CREATE, acl_create_body("/mine", 31, "auth", "")), "ok /mine");
    EXPECT(zk_ask_path(a, ZK_GET_DATA, "/mine", false), "ok x (v0 c0 a0 n0 1b)");
    EXPECT(zk_ask_path(b, ZK_GET_DATA, "/mine", false), "-102");
    EXPECT(zk_ask_path(b, ZK_EXISTS, "/mine", true), "-102");
    EXPECT(zk_ask_path(b, ZK_GET_CHILDREN, "/mine", false), "-102");
    EXPECT(zk_ask_set(b, "/mine", "y"), "-102");
    EXPECT(zk_ask_create(b, "/mine/x"), "-102");
    EXPECT(zk_ask_create(b, "/mine/."), "-102"); /* before the name is looked at */
    EXPECT(zk_ask_create(a, "/mine/."), "-8");
    struct buf path = {0};
    zk_put_text(&path, "/mine");
    EXPECT(zk_ask(a, ZK_GET_ACL, path),
           "ok 31 digest al:E2WgW72KiEUG4R7vIVBkt6SPXyA= (v0 c0 a0 n0 1b)");
    const struct zk_acl acl = {ZK_PERM_READ, slice_str("auth"), slice_str("")};
    struct buf body = {0};
    zk_put_text(&body, "/mine");
    zk_put_acl(&body, &acl, 1);
    jute_put_int(&body, 0);
    EXPECT(zk_ask(a, ZK_SET_ACL, body), "ok (v0 c0 a1 n0 1b)");
    path = (struct buf){0};
    zk_put_text(&path, "/mine");
    EXPECT(zk_ask(a, ZK_GET_ACL, path), "ok 1 digest al:x (v0 c0 a1 n0 1b)");
}
END_TEST

START_TEST(an_auth_packet_holds_for_the_requests_behind_it)
{
    w.node->is_held = true;
    struct buf body = zk_create_body("/first", "", 0);
    (void)zk_send(a, ZK_CREATE, &body);
    body = auth_body("digest", "al:pw");
    (void)zk_send(a, ZK_AUTH, &body);
    body = acl_create_body("/mine", 31, "auth", "");
    (void)zk_send(a, ZK_CREATE, &body);
    w.node->is_held = false;
    zk_world_run(&w);
    EXPECT(zk_say_next(a, ZK_CREATE), "ok /first");
    EXPECT(zk_say_next(a, ZK_AUTH), "ok");
    EXPECT(zk_say_next(a, ZK_CREATE), "ok /mine");
}
END_TEST

START_TEST(the_super_user_of_the_settings_may_everything)
{
    EXPECT(zk_ask(a, ZK_CREATE, acl_create_body("/none", 0, "world", "anyone")), "ok /none");
    EXPECT(zk_ask_path(b, ZK_GET_DATA, "/none", false), "-102");
    b->env.super_digest = "al:E2WgW72KiEUG4R7vIVBkt6SPXyA=";
    EXPECT(zk_ask(b, ZK_AUTH, auth_body("digest", "al:pw")), "ok");
    EXPECT(zk_ask_path(b, ZK_GET_DATA, "/none", false), "ok x (v0 c0 a0 n0 1b)");
}
END_TEST

/* ---- shares of time ----------------------------------------------------------------------- */

/* Whenever somebody looks, a tenth of a millisecond has passed. */
static uint64_t slow_us(struct env *env)
{
    static uint64_t passed_us;
    passed_us += 100;
    return ((struct zk_world *)env)->now_ms * 1000 + passed_us;
}

static void put_descendants(struct buf *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        jute_put_int(out, 8 + 5);
        jute_put_int(out, ++a->xid);
        jute_put_int(out, ZK_GET_ALL_CHILDREN_NUMBER);
        zk_put_text(out, "/");
    }
}

/* How many replies have come, which are in order. */
static int32_t replies_until(int32_t last)
{
    struct zk_seen seen;
    struct buf keep = {0};
    while (zk_take(a, &seen, &keep)) {
        ck_assert_int_eq(seen.xid, ++last);
        ck_assert_int_eq(seen.error, ZK_OK);
    }
    buf_close(&keep);
    return last;
}

START_TEST(a_connection_is_fed_for_no_longer_than_its_share)
{
    struct buf requests = {0};
    w.env.now_us = slow_us;
    put_descendants(&requests, 100);
    zk_peer_feed(a, buf_slice(&requests));
    ck_assert(a->is_paused);
    zookeeper_front.turn(a->state);
    int32_t last = replies_until(0);
    ck_assert_int_ge(last, 1);
    ck_assert_int_le(last, 10);
    zk_world_run(&w);
    ck_assert_int_eq(replies_until(last), 100);
    ck_assert(!a->is_paused);
    buf_close(&requests);
}
END_TEST

START_TEST(reads_behind_a_write_take_no_longer_than_a_share_in_one_go)
{
    struct buf body = zk_create_body("/first", "", 0);
    struct buf requests = {0};
    w.node->is_held = true;
    (void)zk_send(a, ZK_CREATE, &body);
    put_descendants(&requests, 100);
    zk_peer_feed(a, buf_slice(&requests));
    zk_world_run(&w);
    w.env.now_us = slow_us;
    w.node->is_held = false;
    node_turn(w.node);
    zookeeper_front.turn(a->state);
    int32_t last = replies_until(0);
    ck_assert_int_ge(last, 2);
    ck_assert_int_le(last, 21);
    zk_world_run(&w);
    ck_assert_int_eq(replies_until(last), 101);
    buf_close(&requests);
}
END_TEST

static Suite *zookeeper_front_operations_suite(void)
{
    Suite *suite = suite_create("zookeeper_front_operations");
    TCase *tcase = tcase_create("front");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, creates_fail_in_zookeepers_order);
    tcase_add_test(tcase, the_other_creates_answer_with_a_stat);
    tcase_add_test(tcase, sets_and_deletes_fail_in_zookeepers_order);
    tcase_add_test(tcase, null_data_stays_null);
    tcase_add_test(tcase, reads_answer_from_the_tree_and_bad_paths_are_missing_nodes);
    tcase_add_test(tcase, a_listing_longer_than_a_page_is_whole);
    tcase_add_test(tcase, what_no_client_may_ask_for_is_refused_and_ends_the_connection);
    tcase_add_test(tcase, sasl_is_refused_with_a_null_token_and_ends_the_connection);
    tcase_add_test(tcase, packets_that_are_none_end_the_connection);
    tcase_add_test(tcase, a_multi_does_all_in_order_and_answers_each);
    tcase_add_test(tcase, a_failed_multi_says_who_failed_and_does_nothing);
    tcase_add_test(tcase, an_operation_that_cannot_be_fails_in_its_turn);
    tcase_add_test(tcase, wrong_flags_and_reads_fail_a_multi_as_a_whole);
    tcase_add_test(tcase, a_multiRead_answers_each_for_itself);
    tcase_add_test(tcase,
                   a_multiRead_whose_reply_would_be_too_large_fails_as_a_whole_and_at_once);
    tcase_add_test(tcase, ephemerals_come_in_order_and_not_more_than_a_reply_may_have);
    tcase_add_test(tcase, schemes_that_do_not_exist_are_refused_and_end_the_connection);
    tcase_add_test(tcase,
                   lists_that_no_node_may_have_are_refused_before_the_parent_is_looked_for);
    tcase_add_test(tcase, who_is_not_in_the_list_is_kept_out_and_digests_are_not_shown);
    tcase_add_test(tcase, an_auth_packet_holds_for_the_requests_behind_it);
    tcase_add_test(tcase, the_super_user_of_the_settings_may_everything);
    tcase_add_test(tcase, a_connection_is_fed_for_no_longer_than_its_share);
    tcase_add_test(tcase, reads_behind_a_write_take_no_longer_than_a_share_in_one_go);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){zookeeper_front_operations_suite, NULL});
}
