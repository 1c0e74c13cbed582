/* The bytes of access control lists and of identities, and who matches whom. */
#include "base/rng.h"
#include "tests/support/acl_kit.h"

/* ---- bytes -------------------------------------------------------------------------------- */

START_TEST(a_list_decodes_to_what_was_encoded_without_duplicates)
{
    const struct acl_entry entries[] = {
        {ACL_READ, slice_str("world"), slice_str("anyone")},
        {ACL_ALL, slice_str("digest"), slice_str(ALICE)},
        {ACL_READ, slice_str("world"), slice_str("anyone")},
        {ACL_WRITE, slice_str("world"), slice_str("anyone")},
    };
    struct acl_entry *decoded;
    size_t count;
    ck_assert_int_eq(acl_decode(list_of(entries, 4), &decoded, &count, &arena), RC_OK);
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(decoded[0].permissions, ACL_READ);
    ck_assert(slice_is(decoded[1].scheme, "digest"));
    ck_assert(slice_is(decoded[1].id, ALICE));
    ck_assert_uint_eq(decoded[2].permissions, ACL_WRITE);
}
END_TEST

START_TEST(any_bytes_decode_or_are_malformed_and_what_decodes_encodes_again)
{
    struct rng rng;
    rng_init(&rng, 1);
    for (int round = 0; round < 20000; round++) {
        const struct acl_entry entries[] = {
            {(uint32_t)rng_below(&rng, 40), slice_str("world"), slice_str("anyone")},
            {31, slice_str("digest"), slice_str(ALICE)},
            {1, slice_str("ip"), slice_str("10.0.0.0/8")},
        };
        struct buf bytes = {0};
        struct buf again = {0};
        acl_encode(&bytes, entries, rng_below(&rng, 4));
        for (uint64_t i = rng_below(&rng, 4); i > 0; i--) {
            bytes.data[rng_below(&rng, bytes.size)] = (uint8_t)rng_next(&rng);
        }
        if (rng_chance(&rng, 200)) {
            bytes.size = rng_below(&rng, bytes.size + 1);
        }
        struct acl_entry *decoded;
        size_t count;
        enum status rc = acl_decode(buf_slice(&bytes), &decoded, &count, &arena);
        bool valid = acl_check(buf_slice(&bytes), NULL) == OUTCOME_OK;
        if (rc == RC_OK) {
            acl_encode(&again, decoded, count);
            ck_assert(!valid || slice_equal(buf_slice(&again), buf_slice(&bytes)));
        } else {
            ck_assert_int_eq(rc, RC_MALFORMED);
            ck_assert(!valid);
        }
        (void)acl_allows(buf_slice(&bytes), ACL_READ, buf_slice(&again));
        (void)identities_check(buf_slice(&bytes), NULL);
        (void)acl_is_open(buf_slice(&bytes));
        buf_close(&bytes);
        buf_close(&again);
        arena_clear(&arena);
    }
}
END_TEST

static void expect_invalid(uint32_t permissions, const char *scheme, const char *id,
                           const char *text)
{
    struct errmsg err = {0};
    ck_assert_int_eq(acl_check(list(permissions, scheme, id), &err), OUTCOME_INVALID_ACL);
    ck_assert_str_eq(err.text, text);
}

START_TEST(entries_that_are_wrong_are_named)
{
    expect_invalid(32, "world", "anyone", "acl entry 0: permissions beyond 31");
    expect_invalid(1, "world", "me", "acl entry 0: scheme world has only the id anyone");
    expect_invalid(1, "digest", "alice",
                   "acl entry 0: a digest is name:hash, with exactly one colon");
    expect_invalid(1, "digest", "a:b:c",
                   "acl entry 0: a digest is name:hash, with exactly one colon");
    expect_invalid(1, "ip", "10.0.0.0/33", "acl entry 0: not an address or address/bits");
    expect_invalid(1, "ip", "10.0.0.0/", "acl entry 0: not an address or address/bits");
    expect_invalid(1, "ip", "10.0.0", "acl entry 0: not an address or address/bits");
    expect_invalid(1, "ip", "::1/129", "acl entry 0: not an address or address/bits");
    expect_invalid(1, "sasl", "", "acl entry 0: the id is empty");
    expect_invalid(1, "x509", "\xff", "acl entry 0: the id is not valid UTF-8");
    expect_invalid(1, "auth", "",
                   "acl entry 0: scheme auth stands for what the caller has proved to be, which "
                   "is nothing");
    expect_invalid(1, "super", "x",
                   "acl entry 0: unknown scheme; there are world, digest, ip, x509, sasl and user");
    ck_assert_int_eq(acl_check(list_of(NULL, 0), NULL), OUTCOME_INVALID_ACL);
    ck_assert_int_eq(acl_check(slice_str("?"), NULL), OUTCOME_INVALID_ACL);
}
END_TEST

START_TEST(an_entry_may_grant_nothing_as_in_zookeeper)
{
    ck_assert_int_eq(acl_check(list(0, "world", "anyone"), NULL), OUTCOME_OK);
    ck_assert(!acl_allows(list(0, "world", "anyone"), ACL_ALL, who("ip", "10.1.1.1")));
}
END_TEST

START_TEST(lists_are_bounded)
{
    struct acl_entry entries[ACL_ENTRIES_MAX + 1];
    char ids[ACL_ENTRIES_MAX + 1][24];
    for (size_t i = 0; i <= ACL_ENTRIES_MAX; i++) {
        ck_assert_int_gt(snprintf(ids[i], sizeof ids[i], "user%zu", i), 0);
        entries[i] = (struct acl_entry){ACL_READ, slice_str("sasl"), slice_str(ids[i])};
    }
    ck_assert_int_eq(acl_check(list_of(entries, ACL_ENTRIES_MAX), NULL), OUTCOME_OK);
    struct errmsg err;
    ck_assert_int_eq(acl_check(list_of(entries, ACL_ENTRIES_MAX + 1), &err),
                     OUTCOME_INVALID_ACL);
    ck_assert_str_eq(err.text, "acl: 257 entries, the limit is 256");
}
END_TEST

START_TEST(a_list_with_an_entry_twice_is_not_as_encoded)
{
    struct buf *b = &memory[memory_used++];
    *b = (struct buf){0};
    pack_u32(b, 2);
    for (int i = 0; i < 2; i++) {
        pack_u32(b, ACL_READ);
        pack_bytes(b, slice_str("world"));
        pack_bytes(b, slice_str("anyone"));
    }
    struct errmsg err;
    ck_assert_int_eq(acl_check(buf_slice(b), &err), OUTCOME_INVALID_ACL);
    ck_assert_str_eq(err.text, "acl: an entry twice");
}
END_TEST

START_TEST(identities_are_whole_pairs_and_not_too_many)
{
    struct buf *b = &memory[memory_used++];
    *b = (struct buf){0};
    for (size_t i = 0; i < IDENTITIES_MAX; i++) {
        identity_encode(b, slice_str("sasl"), slice_str("x"));
    }
    ck_assert_int_eq(identities_check(buf_slice(b), NULL), OUTCOME_OK);
    identity_encode(b, slice_str("sasl"), slice_str("x"));
    struct errmsg err;
    ck_assert_int_eq(identities_check(buf_slice(b), &err), OUTCOME_BAD_ARGUMENTS);
    ck_assert_str_eq(err.text, "identities: 65, the limit is 64");
    ck_assert_int_eq(identities_check(slice_str("who"), &err), OUTCOME_BAD_ARGUMENTS);
    struct command c = {.type = COMMAND_TXN, .identities = slice_str("who")};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_BAD_ARGUMENTS);
}
END_TEST

/* ---- matching ----------------------------------------------------------------------------- */

static bool ip_matches(const char *entry, const char *peer)
{
    struct slice l = list(ACL_READ, "ip", entry);
    ck_assert_int_eq(acl_check(l, NULL), OUTCOME_OK);
    return acl_allows(l, ACL_READ, who("ip", peer));
}

START_TEST(addresses_match_by_prefix)
{
    ck_assert(ip_matches("10.1.2.3", "10.1.2.3"));
    ck_assert(!ip_matches("10.1.2.3", "10.1.2.4"));
    ck_assert(ip_matches("10.1.2.3/8", "10.9.9.9"));
    ck_assert(!ip_matches("10.0.0.0/8", "11.0.0.0"));
    ck_assert(ip_matches("10.1.2.0/23", "10.1.3.255"));
    ck_assert(!ip_matches("10.1.2.0/23", "10.1.4.0"));
    ck_assert(ip_matches("0.0.0.0/0", "203.0.113.7"));
    ck_assert(!ip_matches("0.0.0.0/0", "2001:db8::1"));
    ck_assert(ip_matches("2001:db8::/32", "2001:db8:ffff::1"));
    ck_assert(!ip_matches("2001:db8::/33", "2001:db8:8000::1"));
    ck_assert(ip_matches("2001:db8::1", "2001:db8:0:0::1"));
    ck_assert(ip_matches("10.0.0.0/8", "::ffff:10.1.2.3"));
    ck_assert(ip_matches("::ffff:10.0.0.0/104", "10.1.2.3"));
    ck_assert(!ip_matches("10.1.2.3", "not an address"));
}
END_TEST

START_TEST(others_match_by_scheme_and_id)
{
    struct slice l = list(ACL_READ, "digest", ALICE);
    ck_assert(acl_allows(l, ACL_READ, who("digest", ALICE)));
    ck_assert(!acl_allows(l, ACL_WRITE, who("digest", ALICE)));
    ck_assert(!acl_allows(l, ACL_READ, who("digest", BOB)));
    ck_assert(!acl_allows(l, ACL_READ, who("sasl", ALICE)));
    ck_assert(!acl_allows(l, ACL_READ, nobody));
    ck_assert(acl_allows(l, ACL_ADMIN, who("super", "")));
    ck_assert(acl_allows(list(ACL_READ, "x509", "CN=a"), ACL_READ, who("x509", "CN=a")));
}
END_TEST

static Suite *acl_list_suite(void)
{
    Suite *suite = suite_create("acl_list");
    TCase *tcase = tcase_create("lists");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_list_decodes_to_what_was_encoded_without_duplicates);
    tcase_add_test(tcase, any_bytes_decode_or_are_malformed_and_what_decodes_encodes_again);
    tcase_add_test(tcase, entries_that_are_wrong_are_named);
    tcase_add_test(tcase, an_entry_may_grant_nothing_as_in_zookeeper);
    tcase_add_test(tcase, lists_are_bounded);
    tcase_add_test(tcase, a_list_with_an_entry_twice_is_not_as_encoded);
    tcase_add_test(tcase, identities_are_whole_pairs_and_not_too_many);
    tcase_add_test(tcase, addresses_match_by_prefix);
    tcase_add_test(tcase, others_match_by_scheme_and_id);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){acl_list_suite, NULL});
}
