/* ZooKeeper's packets: bytes as its clients and servers have them, what comes back from them, and
 * that nothing but a whole packet is taken for one. */
#include "base/mem.h"
#include "base/rng.h"
#include "net/zookeeper/packet.h"
#include "tests/support/check_main.h"

static struct arena arena;
static struct buf out;

static void setup(void)
{
    arena = (struct arena){0};
    out = (struct buf){0};
}

static void teardown(void)
{
    arena_close(&arena);
    buf_close(&out);
}

/* "00 01 ff", spaces as one likes. */
static void put_hex(struct buf *b, const char *hex)
{
    for (const char *at = hex; *at != '\0';) {
        unsigned byte;
        if (*at == ' ') {
            at++;
            continue;
        }
        ck_assert_int_eq(sscanf(at, "%2x", &byte), 1);
        *buf_extend(b, 1) = (uint8_t)byte;
        at += 2;
    }
}

static void assert_hex(const char *hex)
{
    struct buf wanted = {0};
    put_hex(&wanted, hex);
    ck_assert_uint_eq(out.size, wanted.size);
    ck_assert_mem_eq(out.data, wanted.data, wanted.size);
    buf_close(&wanted);
}

static struct zk_request decode(const char *hex, enum zk_error *error)
{
    struct zk_request r;
    buf_clear(&out);
    put_hex(&out, hex);
    ck_assert_int_eq(zk_request_decode(buf_slice(&out), &r, error, &arena), RC_OK);
    return r;
}

static bool is(struct slice bytes, const char *text)
{
    return slice_is(bytes, text);
}

/* ---- frames ------------------------------------------------------------------------------- */

START_TEST(a_frame_is_taken_when_it_is_whole)
{
    static const uint8_t bytes[] = {0, 0, 0, 2, 7, 8, 0, 0};
    struct slice packet;
    size_t taken;
    for (size_t size = 0; size < 6; size++) {
        ck_assert_int_eq(zk_frame(slice_make(bytes, size), &packet, &taken), RC_OK);
        ck_assert_uint_eq(taken, 0);
    }
    ck_assert_int_eq(zk_frame(slice_make(bytes, 8), &packet, &taken), RC_OK);
    ck_assert_uint_eq(taken, 6);
    ck_assert(packet.size == 2 && packet.data == bytes + 4);
}
END_TEST

START_TEST(a_frame_has_zookeepers_bounds)
{
    static const uint8_t longest[] = {0, 0xf, 0xff, 0xff};
    static const uint8_t too_long[] = {0, 0x10, 0, 0};
    static const uint8_t negative[] = {0xff, 0xff, 0xff, 0xff};
    static const uint8_t empty[] = {0, 0, 0, 0};
    struct slice packet;
    size_t taken;
    ck_assert_int_eq(zk_frame(slice_make(longest, 4), &packet, &taken), RC_OK);
    ck_assert_int_eq(zk_frame(slice_make(too_long, 4), &packet, &taken), RC_TOO_LARGE);
    ck_assert_int_eq(zk_frame(slice_make(negative, 4), &packet, &taken), RC_MALFORMED);
    ck_assert_int_eq(zk_frame(slice_make(empty, 4), &packet, &taken), RC_OK);
    ck_assert_uint_eq(taken, 4);
}
END_TEST

/* ---- connecting --------------------------------------------------------------------------- */

#define HELLO_44                          \
    "00000000 0000000000000007 00002710 " \
    "0000000000000000 00000010 00000000000000000000000000000000"

START_TEST(a_connect_request_has_44_bytes_or_45)
{
    struct zk_connect c;
    put_hex(&out, HELLO_44);
    ck_assert_uint_eq(out.size, 44);
    ck_assert_int_eq(zk_connect_decode(buf_slice(&out), &c), RC_OK);
    ck_assert_int_eq(c.last_zxid_seen, 7);
    ck_assert_int_eq(c.timeout_ms, 10000);
    ck_assert_int_eq(c.session, 0);
    ck_assert_uint_eq(c.password.size, 16);
    ck_assert(!c.has_read_only);
    put_hex(&out, "01");
    ck_assert_int_eq(zk_connect_decode(buf_slice(&out), &c), RC_OK);
    ck_assert(c.has_read_only && c.read_only);
}
END_TEST

START_TEST(a_connect_request_may_have_no_password_and_must_have_the_rest)
{
    struct zk_connect c;
    put_hex(&out, "00000063 0000000000000000 00000001 0000000000000005 ffffffff");
    ck_assert_int_eq(zk_connect_decode(buf_slice(&out), &c), RC_OK);
    ck_assert(c.protocol_version == 99 && c.session == 5 && c.password.size == 0);
    for (size_t size = 0; size < out.size; size++) {
        ck_assert_int_eq(zk_connect_decode(slice_make(out.data, size), &c), RC_MALFORMED);
    }
}
END_TEST

START_TEST(a_connect_reply_has_36_bytes_or_37)
{
    static const uint8_t password[ZK_PASSWORD_BYTES] = {1, 2, 3};
    zk_put_connect_reply(&out, 10000, 0x100003d2ac40040, password, false);
    assert_hex("00000024 00000000 00002710 0100003d2ac40040 "
               "00000010 01020300000000000000000000000000");
    buf_clear(&out);
    zk_put_connect_reply(&out, 0, 0, password, true);
    ck_assert_uint_eq(out.size, 4 + 37);
    ck_assert_uint_eq(out.data[3], 37);
    ck_assert_uint_eq(out.data[out.size - 1], 0);
}
END_TEST

/* ---- requests ----------------------------------------------------------------------------- */

START_TEST(a_create_is_read_in_full)
{
    enum zk_error error;
    struct zk_request r = decode("00000009 00000015 00000002 2f61 ffffffff "
                                 "00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65 "
                                 "00000005 00000000000003e8",
                                 &error);
    ck_assert_int_eq(error, ZK_OK);
    ck_assert(r.xid == 9 && r.type == ZK_CREATE_TTL && is(r.path, "/a"));
    ck_assert(r.data_is_null && r.data.size == 0);
    ck_assert(r.acl_count == 1 && r.acl[0].permissions == 31);
    ck_assert(is(r.acl[0].scheme, "world") && is(r.acl[0].id, "anyone"));
    ck_assert(r.flags == ZK_FLAG_TTL && r.ttl_ms == 1000);
}
END_TEST

START_TEST(null_and_empty_data_differ)
{
    enum zk_error error;
    struct zk_request r = decode("00000001 00000005 00000002 2f61 00000000 ffffffff", &error);
    ck_assert(error == ZK_OK && !r.data_is_null && r.data.size == 0 && r.version == -1);
    r = decode("00000001 00000005 00000002 2f61 ffffffff 00000003", &error);
    ck_assert(error == ZK_OK && r.data_is_null && r.version == 3);
}
END_TEST

START_TEST(a_null_path_is_one_for_getEphemerals_only)
{
    enum zk_error error;
    (void)decode("00000001 00000067 ffffffff", &error);
    ck_assert_int_eq(error, ZK_OK);
    (void)decode("00000001 00000004 ffffffff 00", &error);
    ck_assert_int_eq(error, ZK_MARSHALLING_ERROR);
}
END_TEST

START_TEST(a_missing_field_is_an_error_and_what_follows_the_last_is_none)
{
    enum zk_error error;
    (void)decode("00000001 00000004 00000002 2f61", &error);
    ck_assert_int_eq(error, ZK_MARSHALLING_ERROR);
    (void)decode("00000001 00000004 00000002 2f61 00", &error);
    ck_assert_int_eq(error, ZK_OK);
    (void)decode("00000001 00000004 00000003 2f61", &error);
    ck_assert_int_eq(error, ZK_MARSHALLING_ERROR);
    struct zk_request r = decode("00000001 00000004 00000002 2f61 01 beef", &error);
    ck_assert(error == ZK_OK && r.watch);
}
END_TEST

START_TEST(lengths_below_minus_one_and_impossible_counts_are_refused)
{
    enum zk_error error;
    (void)decode("00000001 00000004 fffffffe 00", &error);
    ck_assert_int_eq(error, ZK_MARSHALLING_ERROR);
    (void)decode("00000001 00000065 0000000000000000 40000000", &error);
    ck_assert_int_eq(error, ZK_MARSHALLING_ERROR);
    (void)decode("00000001 00000065 0000000000000000 fffffffb", &error);
    ck_assert_int_eq(error, ZK_MARSHALLING_ERROR);
}
END_TEST

START_TEST(types_that_do_not_exist_are_told_apart)
{
    static const int32_t unknown[] = {0,  10,  20,  23,  99,        108,
                                      -1, -10, -12, 500, INT32_MAX, INT32_MIN};
    static const int32_t known[] = {1, 9, 11, 13, 14, 22, 100, 107, -11};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        ck_assert(!zk_type_is_known(unknown[i]));
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        ck_assert(zk_type_is_known(known[i]));
    }
    ck_assert_str_eq(zk_type_name(ZK_GET_CHILDREN2), "getChildren2");
    ck_assert_str_eq(zk_type_short(ZK_GET_CHILDREN2), "GETC");
    ck_assert_str_eq(zk_type_short(23), "NA");
    enum zk_error error;
    struct zk_request r = decode("00000005 00000017", &error);
    ck_assert(error == ZK_UNIMPLEMENTED && r.xid == 5);
    ck_assert_int_eq(zk_request_decode(slice_make(out.data, 7), &r, &error, &arena),
                     RC_MALFORMED);
}
END_TEST

START_TEST(setWatches2_has_five_lists)
{
    enum zk_error error;
    struct zk_request r = decode("fffffff8 00000069 0000000000000004 00000001 00000002 2f61 "
                                 "00000000 ffffffff 00000002 00000002 2f62 00000002 2f63 "
                                 "00000001 00000001 2f",
                                 &error);
    ck_assert(error == ZK_OK && r.xid == ZK_XID_SET_WATCHES && r.relative_zxid == 4);
    ck_assert(r.data_watches.count == 1 && is(r.data_watches.paths[0], "/a"));
    ck_assert(r.exist_watches.count == 0 && r.child_watches.count == 0);
    ck_assert(r.persistent_watches.count == 2 && is(r.persistent_watches.paths[1], "/c"));
    ck_assert(r.recursive_watches.count == 1 && is(r.recursive_watches.paths[0], "/"));
}
END_TEST

#define MULTI_END "ffffffff 01 ffffffff"

START_TEST(a_multi_is_a_list_of_operations)
{
    enum zk_error error;
    struct zk_request r =
        decode("00000001 0000000e 00000002 00 ffffffff 00000002 2f61 00000003 "
               "0000000d 00 ffffffff 00000002 2f62 ffffffff " MULTI_END,
               &error);
    ck_assert(error == ZK_OK && r.op_count == 2);
    ck_assert(r.ops[0].type == ZK_DELETE && is(r.ops[0].path, "/a") && r.ops[0].version == 3);
    ck_assert(r.ops[1].type == ZK_CHECK && is(r.ops[1].path, "/b") && r.ops[1].version == -1);
    r = decode("00000001 0000000e " MULTI_END, &error);
    ck_assert(error == ZK_OK && r.op_count == 0);
    (void)decode("00000001 0000000e 00000002 00 ffffffff 00000002 2f61 00000003", &error);
    ck_assert_int_eq(error, ZK_MARSHALLING_ERROR);
}
END_TEST

START_TEST(reads_belong_into_multiRead_and_writes_into_multi)
{
    enum zk_error error;
    (void)decode("00000001 0000000e 00000004 00 ffffffff 00000001 2f 00 " MULTI_END, &error);
    ck_assert_int_eq(error, ZK_MARSHALLING_ERROR);
    struct zk_request r =
        decode("00000001 00000016 00000004 00 ffffffff 00000001 2f 00 " MULTI_END, &error);
    ck_assert(error == ZK_OK && r.op_count == 1);
    (void)decode("00000001 00000016 00000002 00 ffffffff 00000002 2f61 00000003 " MULTI_END,
                 &error);
    ck_assert_int_eq(error, ZK_MARSHALLING_ERROR);
    (void)decode("00000001 0000000e 0000000e 00 ffffffff " MULTI_END, &error);
    ck_assert_int_eq(error, ZK_MARSHALLING_ERROR);
}
END_TEST

/* Every request that decodes lies within its packet, however the bytes are. */
static void assert_within(struct slice part, struct slice whole)
{
    if (part.size > 0) {
        ck_assert(part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
    }
}

START_TEST(random_bytes_are_decoded_within_their_bounds)
{
    struct rng rng;
    rng_init(&rng, 7);
    size_t decoded = 0;
    for (int i = 0; i < 50000; i++) {
        uint8_t bytes[96];
        size_t size = rng_below(&rng, sizeof bytes);
        for (size_t k = 0; k < size; k++) {
            bytes[k] = (uint8_t)(rng_chance(&rng, 700) ? rng_below(&rng, 3) : rng_next(&rng));
        }
        if (size > 8) {
            bytes[4] = bytes[5] = bytes[6] = 0;
            bytes[7] = (uint8_t)rng_below(&rng, 108);
        }
        struct zk_request r;
        enum zk_error error;
        struct slice whole = slice_make(bytes, size);
        arena_clear(&arena);
        if (zk_request_decode(whole, &r, &error, &arena) == RC_OK && error == ZK_OK) {
            decoded++;
            assert_within(r.path, whole);
            assert_within(r.data, whole);
            for (size_t k = 0; k < r.op_count; k++) {
                assert_within(r.ops[k].path, whole);
            }
        }
    }
    ck_assert_uint_gt(decoded, 1000);
}
END_TEST

/* ---- replies ------------------------------------------------------------------------------ */

START_TEST(a_reply_has_a_header_and_its_length_in_front)
{
    size_t begin = zk_reply_begin(&out, 3, 0x952, ZK_NO_NODE);
    zk_reply_end(&out, begin);
    assert_hex("00000010 00000003 0000000000000952 ffffff9b");
    ck_assert_int_eq(zk_reply_raise_zxid(&out, 0, 0x953), 0x953);
    assert_hex("00000010 00000003 0000000000000953 ffffff9b");
    ck_assert_int_eq(zk_reply_raise_zxid(&out, 0, 0x10), 0x953);
    assert_hex("00000010 00000003 0000000000000953 ffffff9b");
    buf_clear(&out);
    begin = zk_reply_begin(&out, ZK_XID_AUTH, 0, ZK_OK);
    zk_reply_end(&out, begin);
    ck_assert_int_eq(zk_reply_raise_zxid(&out, 0, 0x953), 0x953);
    assert_hex("00000010 fffffffc 0000000000000000 00000000");
}
END_TEST

START_TEST(an_event_carries_type_state_and_path)
{
    zk_put_event(&out, 0x20, ZK_EVENT_CHANGED, slice_str("/a"));
    assert_hex("0000001e ffffffff 0000000000000020 00000000 00000003 00000003 00000002 2f61");
}
END_TEST

START_TEST(a_stat_has_68_bytes_and_zookeepers_counters)
{
    struct node_stat s = {.create_revision = 1,
                          .modify_revision = 2,
                          .children_revision = 3,
                          .create_ms = 4,
                          .modify_ms = 5,
                          .sequence_next = 5,
                          .version = 6,
                          .acl_version = 7,
                          .data_bytes = 8,
                          .child_count = 3,
                          .lease = 0x99,
                          .kind = NODE_EPHEMERAL};
    zk_put_stat(&out, &s);
    assert_hex("0000000000000001 0000000000000002 0000000000000004 0000000000000005 "
               "00000006 00000007 00000007 0000000000000099 00000008 00000003 "
               "0000000000000003");
    ck_assert_uint_eq(out.size, 68);
    buf_clear(&out);
    s.kind = NODE_CONTAINER;
    zk_put_stat(&out, &s);
    ck_assert_uint_eq(out.data[51], 0); /* containers have no owner */
}
END_TEST

START_TEST(multi_results_have_heads_of_nine_bytes)
{
    zk_put_multi_head(&out, ZK_CREATE, ZK_OK);
    zk_put_multi_head(&out, ZK_ERROR, ZK_NO_NODE);
    zk_put_multi_end(&out);
    assert_hex("00000001 00 00000000 ffffffff 00 ffffff9b ffffffff 01 ffffffff");
}
END_TEST

START_TEST(acls_are_written_as_they_are_read)
{
    const struct zk_acl acl[] = {{ZK_PERM_READ, slice_str("world"), slice_str("anyone")},
                                 {ZK_PERM_ALL, slice_str("digest"), slice_str("a:b")}};
    jute_put_int(&out, 1);
    jute_put_int(&out, ZK_SET_ACL);
    jute_put_buffer(&out, slice_str("/a"));
    zk_put_acl(&out, acl, 2);
    jute_put_int(&out, 4);
    struct zk_request r;
    enum zk_error error;
    ck_assert_int_eq(zk_request_decode(buf_slice(&out), &r, &error, &arena), RC_OK);
    ck_assert(error == ZK_OK && r.acl_count == 2 && r.version == 4);
    ck_assert(r.acl[1].permissions == ZK_PERM_ALL && is(r.acl[1].id, "a:b"));
}
END_TEST

static Suite *packet_suite(void)
{
    Suite *suite = suite_create("zookeeper packet");
    TCase *tcase = tcase_create("packet");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_frame_is_taken_when_it_is_whole);
    tcase_add_test(tcase, a_frame_has_zookeepers_bounds);
    tcase_add_test(tcase, a_connect_request_has_44_bytes_or_45);
    tcase_add_test(tcase, a_connect_request_may_have_no_password_and_must_have_the_rest);
    tcase_add_test(tcase, a_connect_reply_has_36_bytes_or_37);
    tcase_add_test(tcase, a_create_is_read_in_full);
    tcase_add_test(tcase, null_and_empty_data_differ);
    tcase_add_test(tcase, a_null_path_is_one_for_getEphemerals_only);
    tcase_add_test(tcase, a_missing_field_is_an_error_and_what_follows_the_last_is_none);
    tcase_add_test(tcase, lengths_below_minus_one_and_impossible_counts_are_refused);
    tcase_add_test(tcase, types_that_do_not_exist_are_told_apart);
    tcase_add_test(tcase, setWatches2_has_five_lists);
    tcase_add_test(tcase, a_multi_is_a_list_of_operations);
    tcase_add_test(tcase, reads_belong_into_multiRead_and_writes_into_multi);
    tcase_add_test(tcase, random_bytes_are_decoded_within_their_bounds);
    tcase_add_test(tcase, a_reply_has_a_header_and_its_length_in_front);
    tcase_add_test(tcase, an_event_carries_type_state_and_path);
    tcase_add_test(tcase, a_stat_has_68_bytes_and_zookeepers_counters);
    tcase_add_test(tcase, multi_results_have_heads_of_nine_bytes);
    tcase_add_test(tcase, acls_are_written_as_they_are_read);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){packet_suite, NULL});
}
