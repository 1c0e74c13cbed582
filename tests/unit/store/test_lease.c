/* Leases and sessions in the state machine: how they begin, change hands and end, what hangs on
 * them, and that a numbered write of a session is executed once. */
#include "lease/table.h"
#include "store/digest.h"
#include "store/history.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

static struct kit k;

static void setup(void)
{
    kit_open(&k);
}

static void teardown(void)
{
    store_check(k.store);
    kit_close(&k);
}

static struct command_lease lease_fields(uint64_t id, enum lease_kind kind)
{
    return (struct command_lease){
        .id = id,
        .ttl_ms = 10000,
        .kind = (uint8_t)kind,
        .renewable = true,
        .secret = slice_str("0123456789abcdef"),
        .owner = slice_str("somebody"),
    };
}

static enum outcome run_lease(enum command_type type, struct command_lease fields)
{
    struct command c = {.type = (uint8_t)type, .lease = fields};
    return kit_run(&k, &c);
}

static enum outcome grant(uint64_t id, enum lease_kind kind)
{
    return run_lease(COMMAND_GRANT, lease_fields(id, kind));
}

static enum outcome revoke(uint64_t id, uint8_t kind)
{
    return run_lease(COMMAND_REVOKE,
                     (struct command_lease){
                         .id = id, .kind = kind, .secret = slice_str("0123456789abcdef")});
}

static enum outcome expire(uint64_t id, uint64_t generation)
{
    return run_lease(COMMAND_EXPIRE,
                     (struct command_lease){.id = id, .generation = generation});
}

static struct op ephemeral(const char *path, uint64_t lease)
{
    struct op op = kit_op(OP_CREATE, path, "alive");
    op.kind = NODE_EPHEMERAL;
    op.lease = lease;
    return op;
}

static enum outcome attach(const char *path, uint64_t lease)
{
    struct op op = ephemeral(path, lease);
    return kit_ops(&k, &op, 1);
}

static uint64_t attached(uint64_t lease)
{
    return store_lease(k.store, lease)->attached_count;
}

/* ---- granting ----------------------------------------------------------------------------- */

START_TEST(a_granted_lease_is_as_it_was_asked_for)
{
    uint64_t wall_ms = k.wall_ms;
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(grant(7, LEASE_PLAIN), OUTCOME_OK);
    ck_assert(k.reply.has_lease);
    ck_assert_uint_eq(k.reply.lease.id, 7);
    ck_assert_uint_eq(k.reply.lease.ttl_ms, 10000);
    ck_assert_uint_eq(k.reply.lease.generation, k.index);
    ck_assert_uint_eq(k.reply.lease.secret.size, 0);
    const struct lease *l = store_lease(k.store, 7);
    ck_assert_ptr_nonnull(l);
    ck_assert_uint_eq(l->ttl_ms, 10000);
    ck_assert_uint_eq(l->granted_ms, wall_ms);
    ck_assert_int_eq(l->kind, LEASE_PLAIN);
    ck_assert(l->renewable);
    ck_assert(slice_is(l->owner, "somebody"));
    ck_assert_uint_eq(store_revision(k.store), revision);
    ck_assert_uint_eq(k.reply.revision, revision);
}
END_TEST

START_TEST(the_grant_of_a_session_answers_its_secret)
{
    ck_assert_int_eq(grant(7, LEASE_SESSION), OUTCOME_OK);
    ck_assert(slice_is(k.reply.lease.secret, "0123456789abcdef"));
}
END_TEST

START_TEST(an_id_that_is_taken_is_not_granted_again)
{
    ck_assert_int_eq(grant(7, LEASE_PLAIN), OUTCOME_OK);
    ck_assert_int_eq(grant(7, LEASE_SESSION), OUTCOME_LEASE_EXISTS);
    ck_assert(!k.reply.has_lease);
    ck_assert_int_eq(store_lease(k.store, 7)->kind, LEASE_PLAIN);
    ck_assert_int_eq(revoke(7, 0), OUTCOME_OK);
    ck_assert_int_eq(grant(7, LEASE_SESSION), OUTCOME_OK);
}
END_TEST

START_TEST(a_repeated_grant_answers_the_first_lease)
{
    struct command c = {.type = COMMAND_GRANT,
                        .request = {.issued_ms = 900, .random = {1, 2}},
                        .lease = lease_fields(7, LEASE_SESSION)};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    c.lease.id = 8; /* another node may have drawn another id */
    c.lease.secret = slice_str("fedcba9876543210");
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert(k.reply.repeated);
    ck_assert_uint_eq(k.reply.lease.id, 7);
    ck_assert(slice_is(k.reply.lease.secret, "0123456789abcdef"));
    ck_assert_ptr_null(store_lease(k.store, 8));
}
END_TEST

START_TEST(more_leases_than_the_limit_are_not_granted)
{
    grant(7, LEASE_PLAIN);
    k.store->leases.count = LEASE_COUNT_MAX; /* as if the others were there */
    ck_assert_int_eq(grant(8, LEASE_PLAIN), OUTCOME_LIMIT);
    ck_assert_int_eq(grant(7, LEASE_PLAIN), OUTCOME_LEASE_EXISTS);
    k.store->leases.count = 1;
    ck_assert_ptr_null(store_lease(k.store, 8));
    ck_assert_int_eq(grant(8, LEASE_PLAIN), OUTCOME_OK);
}
END_TEST

START_TEST(leases_are_walked_in_order_of_id)
{
    static const uint64_t ids[] = {500, 3, LEASE_ID_MAX, 77};
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(grant(ids[i], LEASE_PLAIN), OUTCOME_OK);
    }
    static const uint64_t sorted[] = {3, 77, 500, LEASE_ID_MAX};
    uint64_t after = 0;
    for (size_t i = 0; i < 4; i++) {
        const struct lease *l = store_lease_next(k.store, after);
        ck_assert_ptr_nonnull(l);
        ck_assert_uint_eq(l->id, sorted[i]);
        after = l->id;
    }
    ck_assert_ptr_null(store_lease_next(k.store, after));
    ck_assert_uint_eq(store_lease_count(k.store), 4);
}
END_TEST

/* ---- ephemeral nodes ---------------------------------------------------------------------- */

START_TEST(an_ephemeral_needs_its_lease)
{
    ck_assert_int_eq(attach("/e", 7), OUTCOME_NO_LEASE);
    grant(7, LEASE_PLAIN);
    ck_assert_int_eq(attach("/e", 7), OUTCOME_OK);
    struct node_stat stat;
    ck_assert_int_eq(kit_stat(&k, "/e", &stat), OUTCOME_OK);
    ck_assert_int_eq(stat.kind, NODE_EPHEMERAL);
    ck_assert_uint_eq(stat.lease, 7);
    ck_assert_uint_eq(attached(7), 1);
}
END_TEST

START_TEST(an_ephemeral_has_no_children)
{
    grant(7, LEASE_SESSION);
    attach("/e", 7);
    ck_assert_int_eq(kit_create(&k, "/e/child", ""), OUTCOME_EPHEMERAL_PARENT);
    ck_assert_int_eq(attach("/e/child", 7), OUTCOME_EPHEMERAL_PARENT);
    struct op op = kit_op(OP_CREATE, "/e/a/b", "");
    op.flags = OP_MAKE_PARENTS;
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_EPHEMERAL_PARENT);
    ck_assert(!kit_exists(&k, "/e/a"));
}
END_TEST

START_TEST(a_deleted_ephemeral_leaves_its_lease)
{
    grant(7, LEASE_PLAIN);
    kit_create(&k, "/dir", "");
    attach("/e", 7);
    attach("/dir/e", 7);
    attach("/dir/f", 7);
    ck_assert_uint_eq(attached(7), 3);
    ck_assert_int_eq(kit_delete(&k, "/e"), OUTCOME_OK);
    ck_assert_uint_eq(attached(7), 2);
    ck_assert_int_eq(kit_remove_tree(&k, "/dir"), OUTCOME_OK);
    ck_assert_uint_eq(attached(7), 0);
    ck_assert_int_eq(kit_create(&k, "/e", ""), OUTCOME_OK);
    ck_assert_int_eq(revoke(7, 0), OUTCOME_OK);
    ck_assert(kit_exists(&k, "/e"));
}
END_TEST

START_TEST(a_failed_transaction_leaves_leases_as_they_were)
{
    grant(7, LEASE_PLAIN);
    grant(8, LEASE_SESSION);
    attach("/old", 7);
    uint64_t before = store_digest(k.store) - digest_singles(k.store);
    struct op ops[] = {ephemeral("/new", 8), kit_op(OP_DELETE, "/old", NULL),
                       ephemeral("/old", 8), kit_op(OP_DELETE, "/new", NULL),
                       ephemeral("/new", 7), kit_op(OP_DELETE, "/missing", NULL)};
    ck_assert_int_eq(kit_ops(&k, ops, 6), OUTCOME_NO_NODE);
    ck_assert_uint_eq(attached(7), 1);
    ck_assert_uint_eq(attached(8), 0);
    ck_assert_uint_eq(store_digest(k.store) - digest_singles(k.store), before);
    store_check(k.store);
    ck_assert_int_eq(kit_ops(&k, ops, 5), OUTCOME_OK);
    ck_assert_uint_eq(attached(7), 1);
    ck_assert_uint_eq(attached(8), 1);
}
END_TEST

/* ---- the end ------------------------------------------------------------------------------ */

static void check_changes_since(uint64_t from, enum change_reason reason, uint32_t count)
{
    const struct history *h = &k.store->history;
    ck_assert_uint_eq(h->end - from, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct change *c = history_at(h, from + i);
        ck_assert_int_eq(c->type, CHANGE_DELETE);
        ck_assert_int_eq(c->reason, reason);
        ck_assert_uint_eq(c->revision, store_revision(k.store));
        ck_assert_uint_eq(c->sub, i);
        ck_assert(i == 0 || path_order(history_at(h, from + i - 1)->path, c->path) < 0);
    }
}

START_TEST(what_is_attached_goes_in_one_revision_in_path_order)
{
    static const char *const paths[] = {"/d/b", "/c", "/d-e", "/d/a", "/a"};
    grant(7, LEASE_PLAIN);
    kit_create(&k, "/d", "");
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(attach(paths[i], 7), OUTCOME_OK);
    }
    uint64_t revision = store_revision(k.store);
    uint64_t from = k.store->history.end;
    ck_assert_int_eq(revoke(7, 0), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.lease.removed, 5);
    ck_assert_uint_eq(store_revision(k.store), revision + 1);
    check_changes_since(from, REASON_REVOKED, 5);
    ck_assert(slice_is(history_at(&k.store->history, from + 2)->path, "/d/a"));
    ck_assert(slice_is(history_at(&k.store->history, from + 4)->path, "/d-e"));
    ck_assert_ptr_null(store_lease(k.store, 7));
    ck_assert(!kit_exists(&k, "/d/a"));
}
END_TEST

START_TEST(the_reason_tells_how_a_lease_ended)
{
    grant(7, LEASE_SESSION);
    attach("/e", 7);
    uint64_t from = k.store->history.end;
    ck_assert_int_eq(revoke(7, LEASE_SESSION), OUTCOME_OK);
    check_changes_since(from, REASON_CLOSED, 1);
    grant(7, LEASE_SESSION);
    attach("/e", 7);
    from = k.store->history.end;
    ck_assert_int_eq(expire(7, 0), OUTCOME_OK);
    check_changes_since(from, REASON_EXPIRED, 1);
}
END_TEST

START_TEST(a_lease_without_nodes_ends_without_a_revision)
{
    uint64_t revision = store_revision(k.store);
    grant(7, LEASE_PLAIN);
    ck_assert_int_eq(revoke(7, LEASE_PLAIN), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.lease.removed, 0);
    grant(7, LEASE_PLAIN);
    ck_assert_int_eq(kit_expire(&k, 7), OUTCOME_OK);
    ck_assert_uint_eq(store_revision(k.store), revision);
    ck_assert_int_eq(expire(7, 0), OUTCOME_NO_LEASE);
    ck_assert_int_eq(revoke(7, 0), OUTCOME_NO_LEASE);
    ck_assert_int_eq(revoke(7, LEASE_PLAIN), OUTCOME_NO_LEASE);
    ck_assert_int_eq(revoke(7, LEASE_SESSION), OUTCOME_NO_SESSION);
}
END_TEST

START_TEST(a_lease_of_the_other_kind_is_not_revoked)
{
    grant(7, LEASE_PLAIN);
    grant(8, LEASE_SESSION);
    ck_assert_int_eq(revoke(7, LEASE_SESSION), OUTCOME_NO_SESSION);
    ck_assert_int_eq(revoke(8, LEASE_PLAIN), OUTCOME_NO_LEASE);
    ck_assert_uint_eq(store_lease_count(k.store), 2);
}
END_TEST

START_TEST(a_session_is_closed_with_its_secret_only)
{
    grant(7, LEASE_SESSION);
    attach("/e", 7);
    struct command_lease fields = {.id = 7, .kind = LEASE_SESSION};
    ck_assert_int_eq(run_lease(COMMAND_REVOKE, fields), OUTCOME_BAD_SECRET);
    fields.kind = 0;
    fields.secret = slice_str("0123456789abcdeF");
    ck_assert_int_eq(run_lease(COMMAND_REVOKE, fields), OUTCOME_BAD_SECRET);
    ck_assert(kit_exists(&k, "/e"));
    fields.secret = slice_str("0123456789abcdef");
    ck_assert_int_eq(run_lease(COMMAND_REVOKE, fields), OUTCOME_OK);
    ck_assert(!kit_exists(&k, "/e"));
}
END_TEST

START_TEST(ten_thousand_nodes_go_in_one_revision)
{
    char path[40];
    grant(7, LEASE_SESSION);
    grant(8, LEASE_SESSION);
    kit_create(&k, "/d", "");
    for (int i = 0; i < 10000; i++) {
        snprintf(path, sizeof path, "/d/%d-%d", i * 7919 % 10000, i);
        ck_assert_int_eq(attach(path, i % 100 == 99 ? 8 : 7), OUTCOME_OK);
    }
    uint64_t revision = store_revision(k.store);
    uint64_t from = k.store->history.end;
    ck_assert_int_eq(expire(7, 0), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.lease.removed, 9900);
    ck_assert_uint_eq(store_revision(k.store), revision + 1);
    check_changes_since(from, REASON_EXPIRED, 9900);
    ck_assert_uint_eq(attached(8), 100);
}
END_TEST

START_TEST(a_lease_does_not_end_for_one_that_had_its_id_before)
{
    grant(7, LEASE_PLAIN);
    uint64_t first = store_lease(k.store, 7)->generation;
    revoke(7, LEASE_PLAIN);
    grant(7, LEASE_PLAIN);
    attach("/e", 7);
    ck_assert_int_eq(expire(7, first), OUTCOME_GENERATION_MOVED);
    ck_assert_int_eq(expire(7, 0), OUTCOME_GENERATION_MOVED);
    ck_assert(kit_exists(&k, "/e"));
    ck_assert_int_eq(kit_expire(&k, 7), OUTCOME_OK);
    ck_assert(!kit_exists(&k, "/e"));
}
END_TEST

START_TEST(an_older_cluster_s_leases_begin_with_generation_0)
{
    k.store->level = 1;
    grant(7, LEASE_PLAIN);
    ck_assert_uint_eq(store_lease(k.store, 7)->generation, 0);
}
END_TEST

/* ---- resuming ----------------------------------------------------------------------------- */

START_TEST(a_resumed_session_moves_its_generation_and_keeps_its_nodes)
{
    struct command_lease fields = {
        .id = 7, .ttl_ms = 20000, .secret = slice_str("0123456789abcdef")};
    grant(7, LEASE_SESSION);
    attach("/e", 7);
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(run_lease(COMMAND_RESUME, fields), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.lease.generation, 1);
    ck_assert_uint_eq(k.reply.lease.ttl_ms, 20000);
    ck_assert(slice_is(k.reply.lease.secret, "0123456789abcdef"));
    fields.ttl_ms = 0;
    ck_assert_int_eq(run_lease(COMMAND_RESUME, fields), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.lease.generation, 2);
    ck_assert_uint_eq(k.reply.lease.ttl_ms, 20000);
    ck_assert_uint_eq(store_revision(k.store), revision);
    ck_assert(kit_exists(&k, "/e"));
    ck_assert_int_eq(expire(7, 0), OUTCOME_GENERATION_MOVED);
    ck_assert_int_eq(expire(7, 1), OUTCOME_GENERATION_MOVED);
    ck_assert_int_eq(expire(7, 3), OUTCOME_GENERATION_MOVED);
    ck_assert(kit_exists(&k, "/e"));
    ck_assert_int_eq(expire(7, 2), OUTCOME_OK);
    ck_assert(!kit_exists(&k, "/e"));
    ck_assert_int_eq(run_lease(COMMAND_RESUME, fields), OUTCOME_NO_SESSION);
}
END_TEST

START_TEST(a_wrong_secret_disturbs_nothing)
{
    struct command_lease fields = {
        .id = 7, .ttl_ms = 20000, .secret = slice_str("0123456789abcdeF")};
    grant(7, LEASE_SESSION);
    grant(8, LEASE_PLAIN);
    ck_assert_int_eq(run_lease(COMMAND_RESUME, fields), OUTCOME_BAD_SECRET);
    ck_assert(!k.reply.has_lease);
    ck_assert_uint_eq(store_lease(k.store, 7)->generation, 0);
    ck_assert_uint_eq(store_lease(k.store, 7)->ttl_ms, 10000);
    fields.id = 8;
    fields.secret = slice_str("0123456789abcdef");
    ck_assert_int_eq(run_lease(COMMAND_RESUME, fields), OUTCOME_NO_SESSION);
}
END_TEST

/* ---- bad input ---------------------------------------------------------------------------- */

static void check_refused(enum command_type type, struct command_lease fields,
                          enum outcome outcome, const char *text)
{
    struct command c = {.type = (uint8_t)type, .lease = fields};
    struct errmsg err = {.text = ""};
    ck_assert_int_eq(command_check(&c, &err), outcome);
    ck_assert_msg(strstr(err.text, text) != NULL, "'%s' does not say '%s'", err.text, text);
    ck_assert_int_eq(kit_run(&k, &c), outcome); /* apply asks again */
    ck_assert_uint_eq(store_lease_count(k.store), 0);
}

START_TEST(what_is_wrong_with_a_grant_is_named)
{
    struct command_lease fields = lease_fields(0, LEASE_SESSION);
    check_refused(COMMAND_GRANT, fields, OUTCOME_BAD_ARGUMENTS, "id: 0, must be 1 to");
    fields.id = (uint64_t)1 << 63;
    check_refused(COMMAND_GRANT, fields, OUTCOME_BAD_ARGUMENTS, "9223372036854775808");
    fields.id = 7;
    fields.ttl_ms = 499;
    check_refused(COMMAND_GRANT, fields, OUTCOME_BAD_TTL,
                  "ttl_ms: 499, a lease takes 500 to 86400000");
    fields.ttl_ms = 86400001;
    check_refused(COMMAND_GRANT, fields, OUTCOME_BAD_TTL, "ttl_ms: 86400001");
    fields.ttl_ms = 500;
    fields.secret = slice_str("short");
    check_refused(COMMAND_GRANT, fields, OUTCOME_BAD_ARGUMENTS, "secret: 5 bytes, it has 16");
    fields.secret = slice_str("0123456789abcdef");
    fields.owner = slice_str("\xff");
    check_refused(COMMAND_GRANT, fields, OUTCOME_BAD_ARGUMENTS, "owner: not valid UTF-8");
    char owner[258];
    memset(owner, 'o', sizeof owner);
    fields.owner = slice_make(owner, 257);
    check_refused(COMMAND_GRANT, fields, OUTCOME_TOO_LARGE,
                  "owner: 257 bytes, the limit is 256");
    fields.owner.size = 256;
    ck_assert_int_eq(run_lease(COMMAND_GRANT, fields), OUTCOME_OK);
}
END_TEST

START_TEST(what_is_wrong_with_the_others_is_named)
{
    struct command_lease fields = {.id = 7, .ttl_ms = 1, .secret = slice_str("")};
    check_refused(COMMAND_RESUME, fields, OUTCOME_BAD_TTL, "ttl_ms: 1,");
    fields.ttl_ms = 0;
    check_refused(COMMAND_RESUME, fields, OUTCOME_BAD_ARGUMENTS, "secret: 0 bytes");
    fields.secret = slice_str("too short");
    check_refused(COMMAND_REVOKE, fields, OUTCOME_BAD_ARGUMENTS, "secret: 9 bytes");
    fields = (struct command_lease){0};
    check_refused(COMMAND_EXPIRE, fields, OUTCOME_BAD_ARGUMENTS, "id: 0");
    check_refused(COMMAND_REVOKE, fields, OUTCOME_BAD_ARGUMENTS, "id: 0");
}
END_TEST

static Suite *lease_suite(void)
{
    Suite *suite = suite_create("lease");
    TCase *tcase = tcase_create("lease");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_granted_lease_is_as_it_was_asked_for);
    tcase_add_test(tcase, the_grant_of_a_session_answers_its_secret);
    tcase_add_test(tcase, an_id_that_is_taken_is_not_granted_again);
    tcase_add_test(tcase, a_repeated_grant_answers_the_first_lease);
    tcase_add_test(tcase, more_leases_than_the_limit_are_not_granted);
    tcase_add_test(tcase, leases_are_walked_in_order_of_id);
    tcase_add_test(tcase, an_ephemeral_needs_its_lease);
    tcase_add_test(tcase, an_ephemeral_has_no_children);
    tcase_add_test(tcase, a_deleted_ephemeral_leaves_its_lease);
    tcase_add_test(tcase, a_failed_transaction_leaves_leases_as_they_were);
    tcase_add_test(tcase, what_is_attached_goes_in_one_revision_in_path_order);
    tcase_add_test(tcase, the_reason_tells_how_a_lease_ended);
    tcase_add_test(tcase, a_lease_without_nodes_ends_without_a_revision);
    tcase_add_test(tcase, a_lease_of_the_other_kind_is_not_revoked);
    tcase_add_test(tcase, a_session_is_closed_with_its_secret_only);
    tcase_add_test(tcase, ten_thousand_nodes_go_in_one_revision);
    tcase_add_test(tcase, a_lease_does_not_end_for_one_that_had_its_id_before);
    tcase_add_test(tcase, an_older_cluster_s_leases_begin_with_generation_0);
    tcase_add_test(tcase, a_resumed_session_moves_its_generation_and_keeps_its_nodes);
    tcase_add_test(tcase, a_wrong_secret_disturbs_nothing);
    tcase_add_test(tcase, what_is_wrong_with_a_grant_is_named);
    tcase_add_test(tcase, what_is_wrong_with_the_others_is_named);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){lease_suite, NULL});
}
