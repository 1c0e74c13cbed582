/* The configuration's bytes come from the log and from peers, and libraft's own decoder trusts
 * them: whatever it would trip over has to be refused before. */
#include <stdio.h>

#include "base/pack.h"
#include "base/rng.h"
#include "raft/engine.h"
#include "tests/support/check_main.h"

static struct engine_configuration members(size_t count)
{
    struct engine_configuration c = {.index = 1, .count = count};
    for (size_t i = 0; i < count; i++) {
        c.members[i].id = 100 + i;
        c.members[i].role = (uint8_t)(i % 3 == 0   ? ENGINE_VOTER
                                      : i % 3 == 1 ? ENGINE_STANDBY
                                                   : ENGINE_SPARE);
        (void)snprintf(c.members[i].address, sizeof c.members[i].address, "n%zu=host%zu:%zu", i,
                       i, 7000 + i);
    }
    return c;
}

/* The bytes of one member or more, made by hand so that they may be wrong. */
struct raw_member {
    uint64_t id;
    const char *address;
    uint8_t role;
};

static struct buf raw(uint8_t format, uint64_t count, const struct raw_member *list, size_t n)
{
    struct buf b = {0};
    pack_u8(&b, format);
    pack_u64(&b, count);
    for (size_t i = 0; i < n; i++) {
        pack_u64(&b, list[i].id);
        buf_append(&b, list[i].address, strlen(list[i].address) + 1);
        pack_u8(&b, list[i].role);
    }
    while (b.size % 8 != 0) {
        pack_u8(&b, 0);
    }
    return b;
}

static enum status decode(struct buf *b)
{
    struct engine_configuration c;
    enum status rc = engine_configuration_decode(buf_slice(b), &c);
    buf_close(b);
    return rc;
}

START_TEST(what_is_encoded_decodes_to_the_same)
{
    for (size_t count = 1; count <= ENGINE_MEMBERS_MAX; count++) {
        struct engine_configuration c = members(count);
        struct engine_configuration out;
        struct buf b = {0};
        struct buf again = {0};
        engine_configuration_encode(&b, &c);
        ck_assert_int_eq(engine_configuration_decode(buf_slice(&b), &out), RC_OK);
        ck_assert_uint_eq(out.count, count);
        for (size_t i = 0; i < count; i++) {
            ck_assert_uint_eq(out.members[i].id, c.members[i].id);
            ck_assert_uint_eq(out.members[i].role, c.members[i].role);
            ck_assert_str_eq(out.members[i].address, c.members[i].address);
        }
        engine_configuration_encode(&again, &out);
        ck_assert(slice_equal(buf_slice(&b), buf_slice(&again)));
        buf_close(&b);
        buf_close(&again);
    }
}
END_TEST

START_TEST(no_bytes_may_be_missing_behind_the_last_member)
{
    struct engine_configuration c = members(3);
    struct engine_configuration out;
    struct buf b = {0};
    engine_configuration_encode(&b, &c);
    size_t padding = 0;
    while (b.data[b.size - 1 - padding] == 0) {
        padding++;
    }
    for (size_t size = 0; size < b.size - padding; size++) {
        /* An exact copy, so that reading past its end is noticed. */
        struct buf part = {0};
        buf_append(&part, b.data, size);
        if (size > 0) {
            ck_assert_int_eq(decode(&part), RC_MALFORMED);
        } else {
            ck_assert_int_eq(engine_configuration_decode((struct slice){0}, &out),
                             RC_MALFORMED);
        }
    }
    buf_close(&b);
}
END_TEST

START_TEST(padding_is_short_and_zero)
{
    struct engine_configuration c = members(2);
    struct buf b = {0};
    engine_configuration_encode(&b, &c);
    struct buf more = {0};
    buf_append_slice(&more, buf_slice(&b));
    pack_u64(&more, 0);
    ck_assert_int_eq(decode(&more), RC_MALFORMED);
    struct raw_member one = {1, "abcde", ENGINE_VOTER}; /* 9 + 8 + 6 + 1 bytes: no padding */
    struct buf dirty = raw(1, 1, &one, 1);
    ck_assert_uint_eq(dirty.size, 24);
    pack_u8(&dirty, 1);
    ck_assert_int_eq(decode(&dirty), RC_MALFORMED);
    buf_close(&b);
}
END_TEST

START_TEST(members_that_cannot_be_are_refused)
{
    char longest[ENGINE_ADDRESS_BYTES_MAX + 1];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const struct raw_member good = {1, "a=h:1", ENGINE_VOTER};
    struct buf b = raw(1, 1, &good, 1);
    ck_assert_int_eq(decode(&b), RC_OK);
    const struct {
        const char *why;
        struct raw_member second;
    } bad[] = {
        {"no id", {0, "b=h:2", ENGINE_VOTER}},
        {"an id twice", {1, "b=h:2", ENGINE_VOTER}},
        {"an unknown role", {2, "b=h:2", ENGINE_SPARE + 1}},
        {"the highest role", {2, "b=h:2", UINT8_MAX}},
        {"no address", {2, "", ENGINE_VOTER}},
        {"a space", {2, "b=h :2", ENGINE_VOTER}},
        {"a control character", {2, "b=h\n:2", ENGINE_VOTER}},
        {"a byte above ASCII", {2, "b=h\xc3\xa4:2", ENGINE_VOTER}},
        {"too long an address", {2, longest, ENGINE_VOTER}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct raw_member both[2] = {good, bad[i].second};
        b = raw(1, 2, both, 2);
        ck_assert_msg(decode(&b) == RC_MALFORMED, "%s", bad[i].why);
    }
    longest[ENGINE_ADDRESS_BYTES_MAX - 1] = '\0';
    struct raw_member both[2] = {good, {2, longest, ENGINE_SPARE}};
    b = raw(1, 2, both, 2);
    ck_assert_int_eq(decode(&b), RC_OK);
}
END_TEST

START_TEST(counts_and_formats_that_cannot_be_are_refused)
{
    struct raw_member list[ENGINE_MEMBERS_MAX + 1];
    for (size_t i = 0; i <= ENGINE_MEMBERS_MAX; i++) {
        list[i] = (struct raw_member){i + 1, "a=h:1", ENGINE_VOTER};
    }
    struct buf b = raw(1, 0, list, 0);
    ck_assert_int_eq(decode(&b), RC_MALFORMED);
    b = raw(1, 2, list, 1);
    ck_assert_int_eq(decode(&b), RC_MALFORMED);
    b = raw(1, 1, list, 2);
    ck_assert_int_eq(decode(&b), RC_MALFORMED);
    b = raw(1, UINT64_MAX, list, 1);
    ck_assert_int_eq(decode(&b), RC_MALFORMED);
    b = raw(2, 1, list, 1);
    ck_assert_int_eq(decode(&b), RC_MALFORMED);
    b = raw(1, ENGINE_MEMBERS_MAX, list, ENGINE_MEMBERS_MAX);
    ck_assert_int_eq(decode(&b), RC_OK);
    b = raw(1, ENGINE_MEMBERS_MAX + 1, list, ENGINE_MEMBERS_MAX + 1);
    ck_assert_int_eq(decode(&b), RC_MALFORMED);
}
END_TEST

/* What is accepted has unique ids, roles that exist, addresses that end; nothing crashes. */
START_TEST(damaged_bytes_are_refused_or_make_sense)
{
    struct rng rng;
    struct engine_configuration c = members(5);
    struct buf b = {0};
    size_t accepted = 0;
    rng_init(&rng, 11);
    engine_configuration_encode(&b, &c);
    for (int round = 0; round < 20000; round++) {
        struct buf copy = {0};
        struct engine_configuration out;
        buf_append_slice(&copy, buf_slice(&b));
        for (uint64_t n = 1 + rng_below(&rng, 3); n > 0; n--) {
            copy.data[rng_below(&rng, copy.size)] = (uint8_t)rng_next(&rng);
        }
        if (engine_configuration_decode(buf_slice(&copy), &out) == RC_OK) {
            accepted++;
            for (size_t i = 0; i < out.count; i++) {
                ck_assert_uint_ne(out.members[i].id, 0);
                ck_assert_uint_le(out.members[i].role, ENGINE_SPARE);
                ck_assert_uint_gt(strlen(out.members[i].address), 0);
                for (size_t j = 0; j < i; j++) {
                    ck_assert_uint_ne(out.members[i].id, out.members[j].id);
                }
            }
        }
        buf_close(&copy);
    }
    ck_assert_uint_gt(accepted, 100);
    buf_close(&b);
}
END_TEST

static Suite *configuration_suite(void)
{
    Suite *suite = suite_create("engine_configuration");
    TCase *tcase = tcase_create("engine_configuration");
    tcase_add_test(tcase, what_is_encoded_decodes_to_the_same);
    tcase_add_test(tcase, no_bytes_may_be_missing_behind_the_last_member);
    tcase_add_test(tcase, padding_is_short_and_zero);
    tcase_add_test(tcase, members_that_cannot_be_are_refused);
    tcase_add_test(tcase, counts_and_formats_that_cannot_be_are_refused);
    tcase_add_test(tcase, damaged_bytes_are_refused_or_make_sense);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){configuration_suite, NULL});
}
