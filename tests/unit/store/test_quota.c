/* Quotas of subtrees: what is counted, what is refused and how it is told, what never is, who may
 * set them, and that snapshots bring them back. */
#include "store/quota.h"

#include "store/rebirth.h"
#include "store/state.h"
#include "tests/support/auth_kit.h"
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

static enum outcome quota_as(const char *as, const char *path, uint64_t bytes, uint64_t nodes)
{
    struct buf who = {0};
    struct command c = {
        .type = COMMAND_QUOTA,
        .quota = {.path = slice_str(path), .bytes = bytes, .nodes = nodes},
    };
    c.identities = auth_kit_who(&who, as);
    enum outcome outcome = kit_run(&k, &c);
    buf_close(&who);
    return outcome;
}

static enum outcome quota(const char *path, uint64_t bytes, uint64_t nodes)
{
    return quota_as(NULL, path, bytes, nodes);
}

static const struct quota *find(const char *path)
{
    return quotas_find(store_quotas(k.store), slice_str(path));
}

static void assert_used(const char *path, uint64_t bytes, uint64_t nodes)
{
    const struct quota *q = find(path);
    ck_assert_ptr_nonnull(q);
    ck_assert_uint_eq(q->used.bytes, bytes);
    ck_assert_uint_eq(q->used.nodes, nodes);
}

static void assert_refusal(uint8_t bound, const char *subject, uint64_t used, uint64_t wanted,
                           uint64_t limit)
{
    const struct refusal *r = &k.reply.refusal;
    ck_assert_uint_eq(r->bound, bound);
    ck_assert(slice_is(r->subject, subject));
    ck_assert_uint_eq(r->used, used);
    ck_assert_uint_eq(r->wanted, wanted);
    ck_assert_uint_eq(r->limit, limit);
}

static struct op make(const char *path, const char *data, uint8_t flags)
{
    struct op op = kit_op(OP_CREATE, path, data);
    op.flags |= flags;
    return op;
}

/* ---- counting ----------------------------------------------------------------------------- */

START_TEST(bytes_are_those_of_whole_paths_and_values_from_the_node_itself_downwards)
{
    ck_assert_int_eq(kit_create(&k, "/a", "123"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/bc", NULL), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/ab", "not below"), OUTCOME_OK);
    ck_assert_int_eq(quota("/a", 1000, 0), OUTCOME_OK); /* on a subtree that has nodes */
    assert_used("/a", 2 + 3 + 5, 2);
    ck_assert_int_eq(kit_set(&k, "/a/bc", "4567"), OUTCOME_OK);
    assert_used("/a", 2 + 3 + 5 + 4, 2);
    ck_assert_int_eq(kit_set(&k, "/a", ""), OUTCOME_OK);
    assert_used("/a", 2 + 5 + 4, 2);
    ck_assert_int_eq(kit_delete(&k, "/a/bc"), OUTCOME_OK);
    assert_used("/a", 2, 1);
    ck_assert_int_eq(kit_delete(&k, "/a"), OUTCOME_OK);
    assert_used("/a", 0, 0); /* the quota stays where the node was */
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    assert_used("/a", 3, 1);
}
END_TEST

START_TEST(the_quota_of_the_root_counts_every_znode_and_no_metadata)
{
    uint64_t nodes = store_node_count(k.store);
    ck_assert_int_eq(quota("/", 0, 100), OUTCOME_OK);
    ck_assert_uint_eq(find("/")->used.nodes, nodes);
    ck_assert_int_eq(quota("/b", 0, 100), OUTCOME_OK);
    ck_assert_uint_eq(find("/")->used.nodes, nodes);
    ck_assert_int_eq(kit_create(&k, "/b", ""), OUTCOME_OK);
    ck_assert_uint_eq(find("/")->used.nodes, nodes + 1);
}
END_TEST

START_TEST(what_a_failed_transaction_took_back_does_not_count)
{
    ck_assert_int_eq(kit_create(&k, "/a", ""), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/old", "old"), OUTCOME_OK);
    ck_assert_int_eq(quota("/a", 1000, 10), OUTCOME_OK);
    struct quota_amount before = find("/a")->used;
    struct op ops[] = {make("/a/b", "xyz", 0), kit_op(OP_SET, "/a/old", "longer than it was"),
                       kit_op(OP_DELETE, "/a/old", NULL), kit_op(OP_DELETE, "/none", NULL)};
    ck_assert_int_eq(kit_ops(&k, ops, 4), OUTCOME_NO_NODE);
    assert_used("/a", before.bytes, before.nodes);
    ck_assert_uint_eq(k.reply.refusal.bound, BOUND_NONE);
}
END_TEST

START_TEST(expiry_and_reaping_give_back_what_they_take_away)
{
    struct command c = {.type = COMMAND_GRANT,
                        .lease = {.id = 7,
                                  .ttl_ms = 10000,
                                  .kind = LEASE_PLAIN,
                                  .secret = slice_str("0123456789abcdef")}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a", ""), OUTCOME_OK);
    ck_assert_int_eq(quota("/a", 0, 4), OUTCOME_OK);
    struct op eph = make("/a/e", "x", 0);
    eph.kind = NODE_EPHEMERAL;
    eph.lease = 7;
    struct op ttl = make("/a/t", "x", 0);
    ttl.kind = NODE_TTL;
    ttl.ttl_ms = 1000;
    struct op container = make("/a/c", "x", 0);
    container.kind = NODE_CONTAINER;
    struct op all[] = {eph, ttl, container};
    ck_assert_int_eq(kit_ops(&k, all, 3), OUTCOME_OK);
    ck_assert_uint_eq(find("/a")->used.nodes, 4);

    ck_assert_int_eq(quota("/a", 1, 1), OUTCOME_OK); /* far below what is used */
    ck_assert_int_eq(kit_expire(&k, 7), OUTCOME_OK);
    ck_assert_uint_eq(find("/a")->used.nodes, 3);
    struct store_due due[4];
    k.cluster_ms += 5000;
    ck_assert_uint_eq(store_reap_due(k.store, k.cluster_ms, due, 4), 1);
    c = (struct command){.type = COMMAND_REAP,
                         .reap = {.path = slice_str("/a/t"), .revision = due[0].revision}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert_uint_eq(find("/a")->used.nodes, 2);
}
END_TEST

/* ---- refusing ----------------------------------------------------------------------------- */

START_TEST(a_create_beyond_the_nodes_is_refused_and_says_why)
{
    ck_assert_int_eq(kit_create(&k, "/a", ""), OUTCOME_OK);
    ck_assert_int_eq(quota("/a", 0, 2), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/b", ""), OUTCOME_OK);
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(kit_create(&k, "/a/c", ""), OUTCOME_QUOTA);
    assert_refusal(BOUND_QUOTA_NODES, "/a", 2, 1, 2);
    ck_assert_uint_eq(store_revision(k.store), revision);
    ck_assert(!kit_exists(&k, "/a/c"));
    ck_assert_int_eq(kit_create(&k, "/ac", ""), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/b", ""), OUTCOME_NODE_EXISTS); /* what is wrong anyway */
}
END_TEST

START_TEST(a_value_beyond_the_bytes_is_refused_to_the_byte)
{
    ck_assert_int_eq(kit_create(&k, "/a", ""), OUTCOME_OK);
    ck_assert_int_eq(quota("/a", 10, 0), OUTCOME_OK);
    ck_assert_int_eq(kit_set(&k, "/a", "123456789"), OUTCOME_QUOTA);
    assert_refusal(BOUND_QUOTA_BYTES, "/a", 2, 9, 10);
    ck_assert_int_eq(kit_set(&k, "/a", "12345678"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/b", ""), OUTCOME_QUOTA);
    assert_refusal(BOUND_QUOTA_BYTES, "/a", 10, 4, 10);
    char text[REFUSAL_TEXT_BYTES_MAX];
    refusal_text(&k.reply.refusal, text);
    ck_assert_str_eq(text, "the quota of /a leaves no room: 10 of 10 bytes are used, 4 more "
                           "are wanted");
}
END_TEST

START_TEST(all_quotas_above_a_node_must_leave_room_and_the_nearest_is_named)
{
    ck_assert_int_eq(kit_create(&k, "/a", ""), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/b", ""), OUTCOME_OK);
    ck_assert_int_eq(quota("/a", 0, 3), OUTCOME_OK);
    ck_assert_int_eq(quota("/a/b", 0, 10), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/b/c", ""), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/b/d", ""), OUTCOME_QUOTA);
    assert_refusal(BOUND_QUOTA_NODES, "/a", 3, 1, 3);
    ck_assert_int_eq(quota("/a/b", 0, 2), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/b/d", ""), OUTCOME_QUOTA);
    assert_refusal(BOUND_QUOTA_NODES, "/a/b", 2, 1, 2);
    ck_assert_int_eq(quota("/a/b", 0, 0), OUTCOME_OK);
    ck_assert_int_eq(quota("/a", 0, 4), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/b/d", ""), OUTCOME_OK);
}
END_TEST

START_TEST(ancestors_that_a_create_makes_count_where_they_are)
{
    ck_assert_int_eq(quota("/a/b", 0, 1), OUTCOME_OK); /* there is no such node yet */
    struct op op = make("/a/b/c", "", OP_MAKE_PARENTS);
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_QUOTA);
    assert_refusal(BOUND_QUOTA_NODES, "/a/b", 0, 2, 1);
    ck_assert(!kit_exists(&k, "/a"));
    ck_assert_int_eq(quota("/a/b", 0, 2), OUTCOME_OK);
    ck_assert_int_eq(quota("/", 0, 6), OUTCOME_OK); /* 4 are there from the beginning */
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_QUOTA);
    assert_refusal(BOUND_QUOTA_NODES, "/", 4, 3, 6);
    ck_assert_int_eq(quota("/", 0, 7), OUTCOME_OK);
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    assert_used("/a/b", strlen("/a/b") + strlen("/a/b/c"), 2);
}
END_TEST

START_TEST(the_number_of_a_sequential_node_counts)
{
    ck_assert_int_eq(kit_create(&k, "/q", ""), OUTCOME_OK);
    ck_assert_int_eq(quota("/q", 2 + 13, 0), OUTCOME_OK);
    struct op op = make("/q/n-", "", OP_SEQUENTIAL);
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_QUOTA);
    assert_refusal(BOUND_QUOTA_BYTES, "/q", 2, 15, 15);
    ck_assert_int_eq(quota("/q", 2 + 15, 0), OUTCOME_OK);
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    ck_assert(slice_is(k.reply.results[0].path, "/q/n-0000000000")); /* none was used up */
}
END_TEST

START_TEST(operations_of_a_transaction_see_the_room_that_those_before_them_left)
{
    ck_assert_int_eq(kit_create(&k, "/a", ""), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/old", ""), OUTCOME_OK);
    ck_assert_int_eq(quota("/a", 0, 2), OUTCOME_OK);
    struct op ops[] = {kit_op(OP_DELETE, "/a/old", NULL), make("/a/new", "", 0)};
    struct op two[] = {kit_op(OP_DELETE, "/a/new", NULL), make("/a/x", "", 0),
                       make("/a/y", "", 0)};
    ck_assert_int_eq(kit_ops(&k, ops, 2), OUTCOME_OK);
    ck_assert_int_eq(kit_ops(&k, two, 3), OUTCOME_QUOTA);
    ck_assert_uint_eq(k.reply.failed_op, 2);
    assert_refusal(BOUND_QUOTA_NODES, "/a", 2, 1, 2);
    ck_assert(kit_exists(&k, "/a/new"));
}
END_TEST

START_TEST(below_a_bound_that_was_lowered_only_what_does_not_grow_passes)
{
    ck_assert_int_eq(kit_create(&k, "/a", "12345678"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/b", "12345678"), OUTCOME_OK);
    ck_assert_int_eq(quota("/a", 5, 1), OUTCOME_OK);
    ck_assert_int_eq(kit_set(&k, "/a", "abcdefgh"), OUTCOME_OK);
    ck_assert_int_eq(kit_set(&k, "/a", "abc"), OUTCOME_OK);
    ck_assert_int_eq(kit_set(&k, "/a", "abcd"), OUTCOME_QUOTA);
    assert_refusal(BOUND_QUOTA_BYTES, "/a", 2 + 3 + 4 + 8, 1, 5);
    ck_assert_int_eq(kit_create(&k, "/a/c", ""), OUTCOME_QUOTA);
    ck_assert_int_eq(kit_remove_tree(&k, "/a"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a", "123"), OUTCOME_OK);
}
END_TEST

START_TEST(a_refusal_is_remembered_and_repeated_whole)
{
    ck_assert_int_eq(quota("/a", 0, 1), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a", ""), OUTCOME_OK);
    struct op op = make("/a/b", "", 0);
    struct command c = {.type = COMMAND_TXN,
                        .request = {k.cluster_ms, {1, 2}},
                        .txn = {.then_ops = &op, .then_count = 1}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_QUOTA);
    ck_assert_int_eq(quota("/a", 0, 0), OUTCOME_OK);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_QUOTA);
    ck_assert(k.reply.repeated);
    assert_refusal(BOUND_QUOTA_NODES, "/a", 1, 1, 1);
}
END_TEST

/* ---- setting ------------------------------------------------------------------------------ */

START_TEST(a_quota_that_cannot_be_is_refused_by_name)
{
    static const struct {
        struct command_quota quota;
        const char *mention;
    } wrong[] = {
        {{.path = {(const uint8_t *)"/a", 2}, .bytes = 1, .soft_percent = 101}, "soft_percent"},
        {{.path = {(const uint8_t *)"/a", 2}, .soft_percent = 5}, "soft_percent"},
        {{.path = {(const uint8_t *)"a", 1}, .bytes = 1}, "path"},
        {{.path = {(const uint8_t *)"/a/", 3}, .bytes = 1}, "path"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct command c = {.type = COMMAND_QUOTA, .quota = wrong[i].quota};
        struct errmsg err = {.text = ""};
        enum outcome outcome = command_check(&c, &err);
        ck_assert_int_ne(outcome, OUTCOME_OK);
        ck_assert_msg(strstr(err.text, wrong[i].mention) != NULL, "%s", err.text);
        ck_assert_int_eq(kit_run(&k, &c), outcome);
    }
    ck_assert_int_eq(quota("/a", 0, 0), OUTCOME_NO_QUOTA);
    ck_assert_uint_eq(store_revision(k.store), 1);
}
END_TEST

START_TEST(no_other_command_writes_quotas)
{
    struct op op = {.type = OP_SET,
                    .space = SPACE_META,
                    .path = slice_str("quota/a"),
                    .data = slice_str("1 1 0"),
                    .version = VERSION_ANY};
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_BAD_ARGUMENTS);
    op.type = OP_CREATE;
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_BAD_ARGUMENTS);
    ck_assert_int_eq(quota("/a", 1, 1), OUTCOME_OK);
    op = (struct op){.type = OP_DELETE,
                     .space = SPACE_META,
                     .path = slice_str("quota/a"),
                     .version = VERSION_ANY};
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_BAD_ARGUMENTS);
    ck_assert_uint_eq(store_quotas(k.store)->count, 1);
}
END_TEST

START_TEST(an_older_cluster_has_no_quotas)
{
    k.store->level = 1;
    ck_assert_int_eq(quota("/a", 1, 1), OUTCOME_UNSUPPORTED);
    ck_assert_uint_eq(store_quotas(k.store)->count, 0);
}
END_TEST

START_TEST(there_are_at_most_a_thousand_quotas_in_order_of_path)
{
    char path[32];
    for (uint32_t i = 0; i < QUOTAS_MAX; i++) {
        snprintf(path, sizeof path, "/%03u", (i * 7) % QUOTAS_MAX);
        ck_assert_int_eq(quota(path, 0, i + 1), OUTCOME_OK);
    }
    ck_assert_int_eq(quota("/one-more", 0, 1), OUTCOME_LIMIT);
    ck_assert_int_eq(quota("/007", 0, 5), OUTCOME_OK); /* one that is there may change */
    ck_assert_uint_eq(find("/007")->limit.nodes, 5);
    ck_assert_int_eq(quota("/009", 0, 0), OUTCOME_OK);
    ck_assert_int_eq(quota("/one-more", 0, 1), OUTCOME_OK);
    const struct quotas *all = store_quotas(k.store);
    for (uint32_t i = 1; i < all->count; i++) {
        ck_assert_int_lt(slice_compare(all->items[i - 1].path, all->items[i].path), 0);
        ck_assert_ptr_eq(quotas_find(all, all->items[i].path), &all->items[i]);
    }
}
END_TEST

START_TEST(setting_a_quota_takes_admin_on_its_path)
{
    auth_kit_user(&k, NULL, AUTH_USER_ADD, "root", "h");
    auth_kit_user(&k, NULL, AUTH_USER_GRANT, "root", "root");
    auth_kit_user(&k, NULL, AUTH_USER_ADD, "ann", "h");
    auth_kit_role(&k, NULL, AUTH_ROLE_ADD, "team");
    auth_kit_rule(&k, NULL, AUTH_ROLE_GRANT, "team", "/", ACL_ALL & ~ACL_ADMIN, false);
    auth_kit_rule(&k, NULL, AUTH_ROLE_GRANT, "team", "/team", ACL_ALL, false);
    auth_kit_user(&k, NULL, AUTH_USER_GRANT, "ann", "team");
    ck_assert_int_eq(auth_kit_enable(&k, "root"), OUTCOME_OK);
    ck_assert_int_eq(quota_as("ann", "/", 0, 100), OUTCOME_NO_AUTH);
    ck_assert_int_eq(quota_as("ann", "/teams", 0, 100), OUTCOME_NO_AUTH);
    ck_assert_int_eq(quota_as(NULL, "/team", 0, 100), OUTCOME_NO_AUTH);
    ck_assert_int_eq(quota_as("ann", "/team/x", 0, 100), OUTCOME_OK);
    ck_assert_int_eq(quota_as("root", "/", 0, 100), OUTCOME_OK);
    ck_assert_int_eq(quota_as("ann", "/", 0, 0), OUTCOME_NO_AUTH);
}
END_TEST

START_TEST(the_list_of_the_node_or_of_the_nearest_above_it_must_allow_it_too)
{
    struct buf list = {0};
    const struct acl_entry reader = {.permissions = ACL_READ,
                                     .scheme = slice_str("world"),
                                     .id = slice_str("anyone")};
    acl_encode(&list, &reader, 1);
    struct op op = make("/a", "", 0);
    op.acl = buf_slice(&list);
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    ck_assert_int_eq(quota("/a", 0, 1), OUTCOME_NO_AUTH);
    ck_assert_int_eq(quota("/a/b/c", 0, 1), OUTCOME_NO_AUTH);
    ck_assert_int_eq(quota("/ab", 0, 1), OUTCOME_OK);
    buf_close(&list);
}
END_TEST

START_TEST(the_state_says_when_to_warn)
{
    struct command c = {.type = COMMAND_QUOTA,
                        .quota = {.path = slice_str("/a"), .nodes = 4, .soft_percent = 50}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a", ""), OUTCOME_OK);
    ck_assert_int_eq(quota_state(find("/a")), QUOTA_FREE);
    ck_assert_int_eq(kit_create(&k, "/a/1", ""), OUTCOME_OK);
    ck_assert_int_eq(quota_state(find("/a")), QUOTA_SOFT);
    ck_assert_int_eq(kit_create(&k, "/a/2", ""), OUTCOME_OK);
    ck_assert_int_eq(quota_state(find("/a")), QUOTA_SOFT);
    ck_assert_int_eq(kit_create(&k, "/a/3", ""), OUTCOME_OK);
    ck_assert_int_eq(quota_state(find("/a")), QUOTA_FULL);
    const struct quota large = {
        .limit = {.bytes = UINT64_MAX}, .used = {.bytes = UINT64_MAX - 1}, .soft_percent = 100};
    ck_assert_int_eq(quota_state(&large), QUOTA_FREE);
}
END_TEST

/* ---- snapshots ---------------------------------------------------------------------------- */

/* With another value of the key, unless that is NULL. */
static struct store *reload(const char *value, enum status want)
{
    struct snapshot_meta meta = {0};
    struct buf rows = {0};
    struct buf changed = {0};
    enum status rc;
    kit_rows(k.store, &meta, &rows);
    struct unpack u = unpack_make(buf_slice(&rows));
    while (u.rest.size > 0) {
        struct row row;
        ck_assert_int_eq(row_decode(&u, &row), RC_OK);
        if (value != NULL && row.table == ROW_NODE && slice_is(row.node.path, "quota/a")) {
            row.node.data = slice_str(value);
            row.node.stat.data_bytes = (uint32_t)row.node.data.size;
        }
        row_encode(&changed, &row);
    }
    struct store *loaded = kit_load(buf_slice(&changed), &meta, &rc);
    ck_assert_int_eq(rc, want);
    buf_close(&rows);
    buf_close(&changed);
    return loaded;
}

START_TEST(a_snapshot_brings_quotas_back_and_what_is_used_of_them)
{
    static const char *const malformed[] = {"1000",    "1000 10", "1000 10 ", "1000 10 101",
                                            "0 0 50",  "01 10 0", "1000  10 0", "-1 10 0",
                                            "1000 10 0 0"};
    ck_assert_int_eq(quota("/a", 1000, 10), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/b", "y"), OUTCOME_OK);
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        ck_assert_ptr_null(reload(malformed[i], RC_CORRUPT));
    }
    struct store *loaded = reload(NULL, RC_OK);
    ck_assert_uint_eq(store_digest(loaded), store_digest(k.store));
    store_free(k.store);
    k.store = loaded;
    assert_used("/a", 2 + 1 + 4 + 1, 2);
    ck_assert_uint_eq(find("/a")->limit.bytes, 1000);
}
END_TEST

START_TEST(a_count_that_had_gone_wrong_does_not_pass_a_snapshot)
{
    ck_assert_int_eq(quota("/a", 1000, 10), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    k.store->quotas.items[0].used.bytes++;
    ck_assert_ptr_null(reload(NULL, RC_CORRUPT));
    k.store->quotas.items[0].used.bytes--;
}
END_TEST

START_TEST(a_restored_cluster_keeps_its_quotas)
{
    struct rebirth what;
    ck_assert_int_eq(quota("/a", 0, 2), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a", "x"), OUTCOME_OK);
    store_rebirth(k.store, &what);
    k.index = store_applied_index(k.store);
    assert_used("/a", 3, 1);
    ck_assert_int_eq(kit_create(&k, "/a/b", ""), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/a/c", ""), OUTCOME_QUOTA);
}
END_TEST

static Suite *quota_suite(void)
{
    Suite *suite = suite_create("quota");
    TCase *tcase = tcase_create("quota");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase,
                   bytes_are_those_of_whole_paths_and_values_from_the_node_itself_downwards);
    tcase_add_test(tcase, the_quota_of_the_root_counts_every_znode_and_no_metadata);
    tcase_add_test(tcase, what_a_failed_transaction_took_back_does_not_count);
    tcase_add_test(tcase, expiry_and_reaping_give_back_what_they_take_away);
    tcase_add_test(tcase, a_create_beyond_the_nodes_is_refused_and_says_why);
    tcase_add_test(tcase, a_value_beyond_the_bytes_is_refused_to_the_byte);
    tcase_add_test(tcase, all_quotas_above_a_node_must_leave_room_and_the_nearest_is_named);
    tcase_add_test(tcase, ancestors_that_a_create_makes_count_where_they_are);
    tcase_add_test(tcase, the_number_of_a_sequential_node_counts);
    tcase_add_test(tcase, operations_of_a_transaction_see_the_room_that_those_before_them_left);
    tcase_add_test(tcase, below_a_bound_that_was_lowered_only_what_does_not_grow_passes);
    tcase_add_test(tcase, a_refusal_is_remembered_and_repeated_whole);
    tcase_add_test(tcase, a_quota_that_cannot_be_is_refused_by_name);
    tcase_add_test(tcase, no_other_command_writes_quotas);
    tcase_add_test(tcase, an_older_cluster_has_no_quotas);
    tcase_add_test(tcase, there_are_at_most_a_thousand_quotas_in_order_of_path);
    tcase_add_test(tcase, setting_a_quota_takes_admin_on_its_path);
    tcase_add_test(tcase, the_list_of_the_node_or_of_the_nearest_above_it_must_allow_it_too);
    tcase_add_test(tcase, the_state_says_when_to_warn);
    tcase_add_test(tcase, a_snapshot_brings_quotas_back_and_what_is_used_of_them);
    tcase_add_test(tcase, a_count_that_had_gone_wrong_does_not_pass_a_snapshot);
    tcase_add_test(tcase, a_restored_cluster_keeps_its_quotas);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){quota_suite, NULL});
}
