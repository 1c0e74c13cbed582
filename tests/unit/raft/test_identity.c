/* Whose data dir this is: through any crash the old or the new identity, never another one. */
#include "raft/identity.h"

#include <stdio.h>

#include "base/crc32c.h"
#include "base/rng.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"

#define DIR       "data"
#define FILE_NAME DIR "/identity"

struct fixture {
    struct fake_env fake;
    struct errmsg err;
};

static void init(struct fixture *x, uint64_t seed)
{
    *x = (struct fixture){0};
    fake_env_init(&x->fake, seed);
}

static struct identity identity(enum identity_phase phase)
{
    struct identity id = {
        .phase = phase, .cluster_id = 0x0123456789abcdef, .node_id = 42, .initial = INT64_MAX};
    (void)snprintf(id.name, sizeof id.name, "node-1.example_X");
    return id;
}

static void save(struct fixture *x, const struct identity *id)
{
    ck_assert_int_eq(identity_save(&x->fake.env, DIR, id, &x->err), RC_OK);
}

static enum status load(struct fixture *x, struct identity *out)
{
    return identity_load(&x->fake.env, DIR, out, &x->err);
}

static void check_same(const struct identity *a, const struct identity *b)
{
    ck_assert_int_eq(a->phase, b->phase);
    ck_assert_uint_eq(a->cluster_id, b->cluster_id);
    ck_assert_uint_eq(a->node_id, b->node_id);
    ck_assert_uint_eq(a->initial, b->initial);
    ck_assert_str_eq(a->name, b->name);
}

/* Puts a text whose checksum is right. */
static void put(struct fixture *x, const char *body)
{
    char text[512];
    (void)snprintf(text, sizeof text, "%scrc %08x\n", body,
                   (unsigned)crc32c(0, body, strlen(body)));
    fake_env_put(&x->fake, FILE_NAME, slice_str(text));
}

START_TEST(an_empty_dir_has_no_identity)
{
    struct fixture x;
    struct identity out;
    init(&x, 1);
    ck_assert_int_eq(load(&x, &out), RC_OK);
    ck_assert_int_eq(out.phase, IDENTITY_NONE);
    fake_env_close(&x.fake);
}
END_TEST

START_TEST(what_is_saved_is_loaded)
{
    struct fixture x;
    struct identity out;
    init(&x, 1);
    struct identity pending = identity(IDENTITY_PENDING);
    save(&x, &pending);
    ck_assert_int_eq(load(&x, &out), RC_OK);
    check_same(&out, &pending);
    struct identity longest = identity(IDENTITY_MEMBER);
    memset(longest.name, 'z', sizeof longest.name - 1);
    longest.initial = 0;
    save(&x, &longest);
    ck_assert_int_eq(load(&x, &out), RC_OK);
    check_same(&out, &longest);
    fake_env_close(&x.fake);
}
END_TEST

START_TEST(any_damaged_byte_is_noticed)
{
    struct fixture x;
    struct identity id = identity(IDENTITY_MEMBER);
    init(&x, 1);
    save(&x, &id);
    struct buf *file = fake_env_find(&x.fake, FILE_NAME);
    for (size_t i = 0; i < file->size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct identity out;
            file->data[i] ^= (uint8_t)(1 << bit);
            enum status rc = load(&x, &out);
            /* A newer format is believed without a checksum that this build may not know. */
            ck_assert_msg(rc == RC_CORRUPT || rc == RC_UNSUPPORTED, "byte %zu bit %d", i, bit);
            ck_assert(strstr(x.err.text, FILE_NAME) != NULL);
            file->data[i] ^= (uint8_t)(1 << bit);
        }
    }
    fake_env_close(&x.fake);
}
END_TEST

START_TEST(a_file_of_any_other_length_is_corrupt)
{
    struct fixture x;
    struct identity id = identity(IDENTITY_MEMBER);
    struct identity out;
    init(&x, 1);
    save(&x, &id);
    struct buf whole = {0};
    buf_append_slice(&whole, buf_slice(fake_env_find(&x.fake, FILE_NAME)));
    for (size_t size = 0; size < whole.size; size++) {
        fake_env_put(&x.fake, FILE_NAME, slice_make(whole.data, size));
        ck_assert_int_eq(load(&x, &out), RC_CORRUPT);
    }
    buf_append_str(&whole, "x");
    fake_env_put(&x.fake, FILE_NAME, buf_slice(&whole));
    ck_assert_int_eq(load(&x, &out), RC_CORRUPT);
    memset(buf_extend(&whole, 4096), 'y', 4096);
    fake_env_put(&x.fake, FILE_NAME, buf_slice(&whole));
    ck_assert_int_eq(load(&x, &out), RC_CORRUPT);
    buf_close(&whole);
    fake_env_close(&x.fake);
}
END_TEST

START_TEST(a_newer_format_is_named_and_a_phase_must_be_known)
{
    struct fixture x;
    struct identity out;
    init(&x, 1);
    put(&x, "format 2\nsomething else\n");
    ck_assert_int_eq(load(&x, &out), RC_UNSUPPORTED);
    ck_assert(strstr(x.err.text, "format 2") != NULL);
    for (int phase = 0; phase <= IDENTITY_REMOVED + 1; phase++) {
        char body[256];
        (void)snprintf(body, sizeof body,
                       "format 1\nphase %d\ncluster %016x\nnode %016x\ninitial %016x\n"
                       "name a\n",
                       phase, 1u, 2u, 0u);
        put(&x, body);
        bool is_known = phase >= IDENTITY_PENDING && phase <= IDENTITY_REMOVED;
        ck_assert_int_eq(load(&x, &out), is_known ? RC_OK : RC_CORRUPT);
    }
    put(&x, "format 99999999999999999999\n");
    ck_assert_int_ne(load(&x, &out), RC_OK);
    fake_env_close(&x.fake);
}
END_TEST

START_TEST(a_power_cut_at_any_call_leaves_the_old_or_the_new_identity)
{
    struct identity old = identity(IDENTITY_PENDING);
    struct identity new = identity(IDENTITY_MEMBER);
    bool had_old = false;
    for (uint64_t n = 1;; n++) {
        struct fixture x;
        struct identity out;
        init(&x, n * 100 + (uint64_t)_i);
        save(&x, &old);
        fake_env_arm(&x.fake, n, FAKE_FAULT_POWER, RC_IO);
        enum status rc = identity_save(&x.fake.env, DIR, &new, &x.err);
        bool struck = fake_env_has_struck(&x.fake);
        ck_assert_int_eq(rc == RC_OK, !struck);
        fake_env_power_cut(&x.fake);
        ck_assert_int_eq(load(&x, &out), RC_OK);
        if (rc != RC_OK && out.phase == IDENTITY_PENDING) {
            had_old = true;
            check_same(&out, &old);
        } else {
            check_same(&out, &new);
        }
        fake_env_close(&x.fake);
        if (!struck) {
            break;
        }
    }
    ck_assert(had_old);
}
END_TEST

START_TEST(a_failed_call_is_reported_and_the_file_stays_readable)
{
    struct identity old = identity(IDENTITY_PENDING);
    struct identity new = identity(IDENTITY_MEMBER);
    for (uint64_t n = 1;; n++) {
        struct fixture x;
        struct identity out;
        init(&x, n);
        save(&x, &old);
        fake_env_arm(&x.fake, n, FAKE_FAULT_ONCE, RC_NO_SPACE);
        enum status rc = identity_save(&x.fake.env, DIR, &new, &x.err);
        bool struck = fake_env_has_struck(&x.fake);
        ck_assert_int_eq(rc, struck ? RC_NO_SPACE : RC_OK);
        ck_assert_uint_eq(x.fake.open_files, 0);
        fake_env_disarm(&x.fake);
        ck_assert_int_eq(load(&x, &out), RC_OK);
        fake_env_close(&x.fake);
        if (!struck) {
            break;
        }
    }
}
END_TEST

START_TEST(a_failed_read_is_no_missing_identity)
{
    struct identity id = identity(IDENTITY_MEMBER);
    for (uint64_t n = 1;; n++) {
        struct fixture x;
        struct identity out;
        init(&x, n);
        save(&x, &id);
        fake_env_arm(&x.fake, n, FAKE_FAULT_ONCE, RC_IO);
        enum status rc = load(&x, &out);
        bool struck = fake_env_has_struck(&x.fake);
        ck_assert_int_eq(rc, struck ? RC_IO : RC_OK);
        ck_assert_uint_eq(x.fake.open_files, 0);
        fake_env_close(&x.fake);
        if (!struck) {
            break;
        }
    }
}
END_TEST

START_TEST(first_members_agree_on_their_ids_in_any_order)
{
    struct node_member a[3] = {{"n1", "h1", 1}, {"n2", "h2", 2}, {"n3", "h3", 3}};
    struct node_member b[3] = {a[2], a[0], a[1]};
    uint64_t cluster = identity_of_members(a, 3);
    ck_assert_uint_eq(cluster, identity_of_members(b, 3));
    ck_assert_uint_ne(cluster, identity_of_members(a, 2));
    b[1].port++;
    ck_assert_uint_ne(cluster, identity_of_members(b, 3));
    ck_assert_uint_ne(identity_of_member(cluster, "n1"), identity_of_member(cluster, "n2"));
    ck_assert_uint_ne(identity_of_member(cluster, "n1"), identity_of_member(cluster + 1, "n1"));
    struct rng rng;
    rng_init(&rng, 3);
    for (int i = 0; i < 1000; i++) {
        uint64_t id = identity_of_member(rng_next(&rng), "n");
        ck_assert_uint_ne(id, 0);
        ck_assert_uint_le(id, INT64_MAX);
    }
}
END_TEST

static Suite *identity_suite(void)
{
    Suite *suite = suite_create("identity");
    TCase *tcase = tcase_create("identity");
    tcase_add_test(tcase, an_empty_dir_has_no_identity);
    tcase_add_test(tcase, what_is_saved_is_loaded);
    tcase_add_test(tcase, any_damaged_byte_is_noticed);
    tcase_add_test(tcase, a_file_of_any_other_length_is_corrupt);
    tcase_add_test(tcase, a_newer_format_is_named_and_a_phase_must_be_known);
    tcase_add_loop_test(tcase, a_power_cut_at_any_call_leaves_the_old_or_the_new_identity, 0,
                        20);
    tcase_add_test(tcase, a_failed_call_is_reported_and_the_file_stays_readable);
    tcase_add_test(tcase, a_failed_read_is_no_missing_identity);
    tcase_add_test(tcase, first_members_agree_on_their_ids_in_any_order);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){identity_suite, NULL});
}
