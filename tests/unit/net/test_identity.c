/* Who a client is: addresses as peers have them, digests as ZooKeeper computes them, lists with
 * "auth" in them. */
#include "net/identity.h"

#include "store/command.h"
#include "tests/support/check_main.h"

static struct buf identities;

static void teardown(void)
{
    buf_close(&identities);
}

static void expect_one(const char *scheme, const char *id)
{
    struct buf want = {0};
    identity_encode(&want, slice_str(scheme), slice_str(id));
    ck_assert(slice_equal(buf_slice(&identities), buf_slice(&want)));
    buf_close(&want);
}

static const struct {
    const char *peer;
    const char *address;
} peers[] = {
    {"192.0.2.7:51434", "192.0.2.7"},
    {"192.0.2.7", "192.0.2.7"},
    {"[2001:db8::1]:51434", "2001:db8::1"},
    {"[fe80::1%eth0]:51434", "fe80::1"},
    {"2001:db8::1", "2001:db8::1"},
    {"[::ffff:192.0.2.7]:51434", "192.0.2.7"},
    {"[::1]:7400", "::1"},
};

START_TEST(a_peer_is_its_address_without_port_and_zone)
{
    ck_assert(identity_add_ip(&identities, peers[_i].peer));
    expect_one("ip", peers[_i].address);
}
END_TEST

/* As org.apache.zookeeper.server.auth.DigestAuthenticationProvider computes them. */
static const struct {
    const char *credentials;
    const char *digest;
} digests[] = {
    {"super:test", "super:D/InIHSb7yEEbrWz8b9l71RjZJU="},
    {"", ":2jmj7l5rSw0yVb/vlWAYkK/YBwk="},
};

START_TEST(a_digest_is_the_name_and_the_hash_of_both)
{
    ck_assert(identity_add_digest(&identities, slice_str(digests[_i].credentials)));
    expect_one("digest", digests[_i].digest);
}
END_TEST

START_TEST(a_password_may_have_colons_and_a_name_none_at_all)
{
    ck_assert(identity_add_digest(&identities, slice_str("a:b:c")));
    ck_assert(identity_add_digest(&identities, slice_str("alone")));
    struct unpack u = unpack_make(buf_slice(&identities));
    (void)unpack_bytes(&u);
    struct slice first = unpack_bytes(&u);
    (void)unpack_bytes(&u);
    struct slice second = unpack_bytes(&u);
    ck_assert(unpack_done(&u));
    ck_assert_uint_eq(first.size, 2 + 28);
    ck_assert_mem_eq(first.data, "a:", 2);
    ck_assert_uint_eq(second.size, 6 + 28);
    ck_assert_mem_eq(second.data, "alone:", 6);
}
END_TEST

START_TEST(the_same_identity_is_there_once)
{
    ck_assert(identity_add_digest(&identities, slice_str("super:test")));
    ck_assert(identity_add_digest(&identities, slice_str("super:test")));
    expect_one("digest", "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
}
END_TEST

START_TEST(there_are_no_more_than_a_command_carries)
{
    char credentials[16];
    for (size_t i = 0; i < IDENTITIES_MAX; i++) {
        snprintf(credentials, sizeof credentials, "u%zu:", i);
        ck_assert(identity_add_digest(&identities, slice_str(credentials)));
    }
    size_t size = identities.size;
    ck_assert(!identity_add_digest(&identities, slice_str("more:")));
    ck_assert_uint_eq(identities.size, size);
    ck_assert_int_eq(identities_check(buf_slice(&identities), NULL), OUTCOME_OK);

    static char name[COMMAND_IDENTITIES_BYTES_MAX];
    memset(name, 'x', sizeof name);
    buf_clear(&identities);
    ck_assert(!identity_add_digest(&identities, slice_make(name, sizeof name)));
    ck_assert_uint_eq(identities.size, 0);
}
END_TEST

START_TEST(the_configured_digest_is_super_and_no_other)
{
    const char *super = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";
    ck_assert(identity_digest_is_valid(slice_str(super)));
    ck_assert(!identity_digest_is_valid(slice_str("super")));
    ck_assert(identity_add_digest(&identities, slice_str("super:other")));
    size_t size = identities.size;
    ck_assert(identity_add_super(&identities, super));
    ck_assert(identity_add_super(&identities, NULL));
    ck_assert(identity_add_super(&identities, ""));
    ck_assert_uint_eq(identities.size, size);
    buf_clear(&identities);
    ck_assert(identity_add_digest(&identities, slice_str("super:test")));
    size = identities.size;
    ck_assert(identity_add_super(&identities, super));
    ck_assert_uint_gt(identities.size, size);
    struct buf list = {0};
    const struct acl_entry nothing = {0, slice_str("world"), slice_str("anyone")};
    acl_encode(&list, &nothing, 1);
    ck_assert(acl_allows(buf_slice(&list), ACL_ADMIN, buf_slice(&identities)));
    buf_close(&list);
}
END_TEST

static enum outcome encode(struct buf *list, const struct acl_entry *entries, size_t count,
                           struct errmsg *err)
{
    buf_clear(list);
    identity_acl_encode(list, entries, count, buf_slice(&identities));
    return acl_check(buf_slice(list), err);
}

START_TEST(auth_is_all_that_is_proved_but_not_the_address)
{
    struct buf list = {0};
    struct arena arena = {0};
    struct errmsg err;
    const struct acl_entry entries[] = {
        {ACL_READ, slice_str("world"), slice_str("anyone")},
        {ACL_ALL, slice_str("auth"), slice_str("ignored")},
    };
    ck_assert(identity_add_ip(&identities, "192.0.2.7:1"));
    ck_assert_int_eq(encode(&list, entries, 2, &err), OUTCOME_INVALID_ACL);
    ck_assert_str_eq(err.text, "acl entry 1: scheme auth stands for what the caller has proved to "
                               "be, which is nothing");
    ck_assert(identity_add_digest(&identities, slice_str("super:test")));
    ck_assert(identity_add_digest(&identities, slice_str("other:test")));
    ck_assert(identity_add_super(&identities, "super:D/InIHSb7yEEbrWz8b9l71RjZJU="));
    ck_assert_int_eq(encode(&list, entries, 2, &err), OUTCOME_OK);
    struct acl_entry *decoded;
    size_t count;
    ck_assert_int_eq(acl_decode(buf_slice(&list), &decoded, &count, &arena), RC_OK);
    ck_assert_uint_eq(count, 3);
    ck_assert(slice_is(decoded[1].id, "super:D/InIHSb7yEEbrWz8b9l71RjZJU="));
    ck_assert_uint_eq(decoded[1].permissions, ACL_ALL);
    ck_assert(slice_is(identity_shown(&decoded[1], &arena), "super:x"));
    ck_assert(slice_is(identity_shown(&decoded[0], &arena), "anyone"));
    ck_assert_int_eq(encode(&list, NULL, 100000, &err), OUTCOME_INVALID_ACL);
    ck_assert_str_eq(err.text, "acl: 100000 entries, the limit is 256");
    ck_assert_int_eq(encode(&list, NULL, 0, &err), OUTCOME_INVALID_ACL);
    ck_assert_str_eq(err.text, "acl: an empty list");
    buf_close(&list);
    arena_close(&arena);
}
END_TEST

START_TEST(a_user_comes_with_the_generation_that_was_proved_which_nobody_is_shown)
{
    const struct acl_entry auth = {ACL_READ, slice_str("auth"), slice_str("")};
    struct buf who = {0};
    struct buf expected = {0};
    struct buf list = {0};
    struct arena arena = {0};
    struct acl_entry *decoded;
    size_t count;
    ck_assert(identity_add_user(&who, slice_str("ann"), 7));
    ck_assert(identity_add_user(&who, slice_str("bob"), 12));
    identity_encode(&expected, slice_str("user"), slice_str("bob"));
    identity_encode(&expected, slice_str("proof"), slice_str("12"));
    ck_assert(slice_equal(buf_slice(&who), buf_slice(&expected)));
    ck_assert(identity_is_shown(slice_str("user")));
    ck_assert(!identity_is_shown(slice_str("proof")));
    identity_acl_encode(&list, &auth, 1, buf_slice(&who));
    ck_assert_int_eq(acl_decode(buf_slice(&list), &decoded, &count, &arena), RC_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert(slice_is(decoded[0].id, "bob"));
    ck_assert(identity_add_user(&who, slice_str("cert"), 0));
    buf_clear(&expected);
    identity_encode(&expected, slice_str("user"), slice_str("cert"));
    ck_assert(slice_equal(buf_slice(&who), buf_slice(&expected)));
    buf_close(&who);
    buf_close(&expected);
    buf_close(&list);
    arena_close(&arena);
}
END_TEST

static Suite *identity_suite(void)
{
    Suite *suite = suite_create("identity");
    TCase *tcase = tcase_create("identity");
    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_loop_test(tcase, a_peer_is_its_address_without_port_and_zone, 0,
                        sizeof peers / sizeof peers[0]);
    tcase_add_loop_test(tcase, a_digest_is_the_name_and_the_hash_of_both, 0,
                        sizeof digests / sizeof digests[0]);
    tcase_add_test(tcase, a_password_may_have_colons_and_a_name_none_at_all);
    tcase_add_test(tcase, the_same_identity_is_there_once);
    tcase_add_test(tcase, there_are_no_more_than_a_command_carries);
    tcase_add_test(tcase, the_configured_digest_is_super_and_no_other);
    tcase_add_test(tcase, auth_is_all_that_is_proved_but_not_the_address);
    tcase_add_test(tcase, a_user_comes_with_the_generation_that_was_proved_which_nobody_is_shown);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){identity_suite, NULL});
}
