/* Access control lists: whom they let do what, that apply and queries ask them, and the table that
 * keeps them. */
#include "tests/support/acl_kit.h"

/* ---- every permission --------------------------------------------------------------------- */

/* A node "/p" whose list grants alice one thing, with a child and a grandchild. */
static void make_node_granting(uint32_t permission)
{
    ck_assert_int_eq(kit_create(&k, "/p", "value"), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/p/c", ""), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/p/c/d", ""), OUTCOME_OK);
    ck_assert_int_eq(set_acl_as(nobody, "/p", list(permission, "digest", ALICE), VERSION_ANY),
                     OUTCOME_OK);
}

static const struct allowed {
    enum op_type type;
    const char *path;
    uint32_t permission;
} allowed[] = {
    {OP_CREATE, "/p/new", ACL_CREATE},  {OP_DELETE, "/p/c/d", 0},
    {OP_DELETE, "/p/c", ACL_DELETE},    {OP_SET, "/p", ACL_WRITE},
    {OP_CHECK, "/p", ACL_READ},         {OP_GET, "/p", ACL_READ},
    {OP_LIST, "/p", ACL_READ},          {OP_SET_ACL, "/p", ACL_ADMIN},
};
#define ALLOWED (sizeof allowed / sizeof allowed[0])

static struct op allowed_op(size_t i, struct slice new_list)
{
    uint8_t type = allowed[i].type;
    bool writes = type == OP_CREATE || type == OP_SET;
    struct op op = kit_op(type, allowed[i].path, writes ? "" : NULL);
    op.acl = type == OP_SET_ACL ? new_list : nobody;
    return op;
}

START_TEST(each_operation_takes_its_permission_and_no_other)
{
    uint32_t granted = (uint32_t)1 << _i;
    struct slice open = list(ACL_ALL, "world", "anyone");
    make_node_granting(granted);
    for (size_t i = 0; i < ALLOWED; i++) {
        bool may = allowed[i].permission == 0 || allowed[i].permission == granted;
        struct op op = allowed_op(i, open);
        ck_assert_int_eq(run_as(who("digest", BOB), &op, 1),
                         allowed[i].permission == 0 ? OUTCOME_OK : OUTCOME_NO_AUTH);
        if (allowed[i].permission == 0) {
            continue; /* it is gone now */
        }
        ck_assert_int_eq(run_as(who("digest", ALICE), &op, 1),
                         may ? OUTCOME_OK : OUTCOME_NO_AUTH);
    }
}
END_TEST

START_TEST(who_is_super_may_everything)
{
    make_node_granting(0);
    for (size_t i = 0; i < ALLOWED; i++) {
        struct op op = allowed_op(i, list(0, "world", "anyone"));
        ck_assert_int_eq(run_as(who("super", ""), &op, 1), OUTCOME_OK);
    }
}
END_TEST

START_TEST(each_query_takes_read_and_the_list_takes_admin_as_well)
{
    make_node_granting(_i == 0 ? ACL_READ : _i == 1 ? ACL_ADMIN : ACL_WRITE);
    struct slice alice = who("digest", ALICE);
    enum outcome read = _i == 0 ? OUTCOME_OK : OUTCOME_NO_AUTH;
    ck_assert_int_eq(ask_as(alice, QUERY_GET, "/p").outcome, read);
    ck_assert_int_eq(ask_as(alice, QUERY_EXISTS, "/p").outcome, read);
    ck_assert_int_eq(ask_as(alice, QUERY_LIST, "/p").outcome, read);
    ck_assert_int_eq(ask_as(alice, QUERY_HISTORY, "/p").outcome, read);
    struct query_result acl = ask_as(alice, QUERY_ACL, "/p");
    ck_assert_int_eq(acl.outcome, _i < 2 ? OUTCOME_OK : OUTCOME_NO_AUTH);
    ck_assert_int_eq(acl.may_admin, _i == 1);
    ck_assert_int_eq(ask_as(nobody, QUERY_ACL, "/p").outcome, OUTCOME_NO_AUTH);
    ck_assert_int_eq(ask_as(nobody, QUERY_EXISTS, "/p/missing").outcome, OUTCOME_NO_NODE);
}
END_TEST

START_TEST(an_open_node_has_the_list_that_grants_the_world_everything)
{
    ck_assert_int_eq(create_with("/a", list(ACL_ALL, "world", "anyone")), OUTCOME_OK);
    struct query_result acl = ask_as(nobody, QUERY_ACL, "/a");
    ck_assert_int_eq(acl.outcome, OUTCOME_OK);
    ck_assert(acl_is_open(acl.acl));
    ck_assert(acl.may_admin);
    ck_assert_uint_eq(acl.stat.acl, 0);
    ck_assert_uint_eq(k.store->acls.count, AT_FIRST);
}
END_TEST

/* ---- order of the checks ------------------------------------------------------------------- */

START_TEST(a_create_fails_in_the_order_of_zookeeper)
{
    struct slice closed = list(0, "world", "anyone");
    ck_assert_int_eq(create_with("/p", closed), OUTCOME_OK);
    /* no slash, list, parent, permission, whole path, name taken */
    ck_assert_int_eq(create_with("p", slice_str("bad")), OUTCOME_BAD_PATH);
    ck_assert_int_eq(create_with("/missing/a", slice_str("bad")), OUTCOME_INVALID_ACL);
    ck_assert_int_eq(create_with("/missing/a", closed), OUTCOME_NO_PARENT);
    ck_assert_int_eq(create_with("/p/.", closed), OUTCOME_NO_AUTH);
    ck_assert_int_eq(do_as(who("super", ""), OP_CREATE, "/p/."), OUTCOME_BAD_PATH);
}
END_TEST

START_TEST(permission_comes_before_version_and_after_existence)
{
    ck_assert_int_eq(create_with("/p", list(0, "world", "anyone")), OUTCOME_OK);
    struct op op = kit_op(OP_SET, "/p", "");
    op.version = 7;
    ck_assert_int_eq(run_as(nobody, &op, 1), OUTCOME_NO_AUTH);
    ck_assert_int_eq(run_as(who("super", ""), &op, 1), OUTCOME_BAD_VERSION);
    op = kit_op(OP_CHECK, "/p", NULL);
    op.version = 7;
    ck_assert_int_eq(run_as(nobody, &op, 1), OUTCOME_NO_AUTH);
    ck_assert_int_eq(do_as(nobody, OP_SET, "/missing"), OUTCOME_NO_NODE);
    ck_assert_int_eq(set_acl_as(nobody, "/missing", slice_str("bad"), VERSION_ANY),
                     OUTCOME_INVALID_ACL);
    ck_assert_int_eq(set_acl_as(nobody, "/p", list_of(NULL, 0), VERSION_ANY),
                     OUTCOME_INVALID_ACL);
    ck_assert_int_eq(set_acl_as(nobody, "/p", list(1, "world", "anyone"), 7), OUTCOME_NO_AUTH);
    ck_assert_int_eq(set_acl_as(who("super", ""), "/p", list(1, "world", "anyone"), 7),
                     OUTCOME_BAD_VERSION);
}
END_TEST

START_TEST(who_may_not_delete_below_the_parent_does_not_learn_what_is_there)
{
    make_node_granting(ACL_READ);
    ck_assert_int_eq(do_as(nobody, OP_DELETE, "/p/missing"), OUTCOME_NO_AUTH);
    ck_assert_int_eq(do_as(nobody, OP_DELETE, "/p/c"), OUTCOME_NO_AUTH);
    ck_assert_int_eq(do_as(who("super", ""), OP_DELETE, "/p/missing"), OUTCOME_NO_NODE);
}
END_TEST

START_TEST(a_recursive_delete_needs_permission_on_every_parent)
{
    make_node_granting(ACL_READ);
    struct op op = kit_op(OP_DELETE, "/p", NULL);
    op.flags = OP_RECURSIVE;
    ck_assert_int_eq(run_as(nobody, &op, 1), OUTCOME_NO_AUTH);
    op.flags |= OP_DRY_RUN;
    ck_assert_int_eq(run_as(nobody, &op, 1), OUTCOME_NO_AUTH);
    op.path = slice_str("/p/c"); /* which is open, but not its parent */
    ck_assert_int_eq(run_as(nobody, &op, 1), OUTCOME_NO_AUTH);
    set_acl_as(who("super", ""), "/p", list(ACL_DELETE, "world", "anyone"), VERSION_ANY);
    op.path = slice_str("/p");
    op.flags = OP_RECURSIVE;
    ck_assert_int_eq(run_as(nobody, &op, 1), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.results[0].count, 3);
}
END_TEST

START_TEST(a_guard_is_for_those_who_may_read)
{
    make_node_granting(ACL_READ);
    struct guard g = {.target = GUARD_EXISTS,
                      .relation = GUARD_EQUAL,
                      .space = SPACE_NODES,
                      .path = slice_str("/p"),
                      .number = 1};
    struct command c = {.type = COMMAND_TXN, .txn = {.guards = &g, .guard_count = 1}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_NO_AUTH);
    ck_assert_uint_eq(k.reply.failed_op, 0);
    ck_assert_uint_eq(k.reply.result_count, 0);
    c.identities = who("digest", ALICE);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
}
END_TEST

START_TEST(parents_that_are_made_are_open_and_need_create_above)
{
    make_node_granting(ACL_CREATE);
    struct op op = kit_op(OP_CREATE, "/p/x/y", "");
    op.flags = OP_MAKE_PARENTS;
    op.acl = list(ACL_READ, "world", "anyone");
    ck_assert_int_eq(run_as(nobody, &op, 1), OUTCOME_NO_AUTH);
    ck_assert_int_eq(run_as(who("digest", ALICE), &op, 1), OUTCOME_OK);
    ck_assert_uint_eq(ask_as(nobody, QUERY_EXISTS, "/p/x").stat.acl, 0);
    ck_assert_uint_ne(ask_as(nobody, QUERY_EXISTS, "/p/x/y").stat.acl, 0);
}
END_TEST

START_TEST(flat_keys_have_no_lists)
{
    struct op op = {.type = OP_SET_ACL,
                    .space = SPACE_META,
                    .path = slice_str("key"),
                    .acl = list(1, "world", "anyone"),
                    .version = VERSION_ANY};
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_BAD_ARGUMENTS);
    op.type = OP_CREATE;
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_BAD_ARGUMENTS);
    op = kit_op(OP_SET, "/zookeeper", "");
    op.acl = list(1, "world", "anyone");
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_BAD_ARGUMENTS);
}
END_TEST

/* ---- what a new list moves ------------------------------------------------------------------ */

START_TEST(a_new_list_moves_its_own_version_and_the_revision_only)
{
    ck_assert_int_eq(kit_create(&k, "/a", "value"), OUTCOME_OK);
    struct node_stat before = ask_as(nobody, QUERY_EXISTS, "/a").stat;
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(set_acl_as(nobody, "/a", list(ACL_READ, "world", "anyone"), 0), OUTCOME_OK);
    struct node_stat after = ask_as(nobody, QUERY_EXISTS, "/a").stat;
    ck_assert_uint_eq(store_revision(k.store), revision + 1);
    ck_assert_uint_eq(after.acl_version, 1);
    ck_assert_uint_eq(k.reply.results[0].stat.acl_version, 1);
    ck_assert_uint_eq(after.version, before.version);
    ck_assert_uint_eq(after.modify_revision, before.modify_revision);
    ck_assert_uint_eq(after.modify_ms, before.modify_ms);
    const struct history *h = store_history(k.store);
    const struct change *c = history_at(h, h->end - 1);
    ck_assert_uint_eq(c->type, CHANGE_ACL);
    ck_assert_uint_eq(c->revision, revision + 1);
    ck_assert_ptr_eq(c->data, c->old_data);
    ck_assert(slice_is(value_slice(c->data), "value"));
    ck_assert_uint_eq(c->stat.acl, after.acl);
}
END_TEST

START_TEST(what_leases_and_the_reaper_remove_needs_no_permission)
{
    struct slice closed = list(0, "world", "anyone");
    struct command c = {.type = COMMAND_GRANT,
                        .lease = {.id = 7,
                                  .ttl_ms = 1000,
                                  .kind = LEASE_PLAIN,
                                  .secret = slice_str("0123456789abcdef")}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/p", ""), OUTCOME_OK);
    struct op op = kit_op(OP_CREATE, "/p/e", "");
    op.kind = NODE_EPHEMERAL;
    op.lease = 7;
    op.acl = closed;
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    op = kit_op(OP_CREATE, "/p/t", "");
    op.kind = NODE_TTL;
    op.ttl_ms = 1;
    op.acl = closed;
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    uint64_t revision = k.reply.results[0].stat.create_revision;
    ck_assert_int_eq(set_acl_as(nobody, "/p", closed, VERSION_ANY), OUTCOME_OK);
    ck_assert_int_eq(kit_expire(&k, 7), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.lease.removed, 1);
    k.cluster_ms += 1000;
    c = (struct command){.type = COMMAND_REAP, .reap = {slice_str("/p/t"), revision}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert_uint_eq(k.store->acls.count, AT_FIRST + 1);
}
END_TEST

START_TEST(only_who_is_super_may_write_what_clients_take_for_addresses)
{
    ck_assert_int_eq(ask_as(nobody, QUERY_GET, "/zookeeper/config").outcome, OUTCOME_OK);
    ck_assert_int_eq(do_as(nobody, OP_SET, "/zookeeper/config"), OUTCOME_NO_AUTH);
    ck_assert_int_eq(do_as(who("super", ""), OP_SET, "/zookeeper/config"), OUTCOME_OK);
}
END_TEST

/* ---- the table ------------------------------------------------------------------------------ */

START_TEST(equal_lists_are_one_and_go_with_their_last_node)
{
    struct slice l = list(ACL_READ | ACL_WRITE, "world", "anyone");
    ck_assert_int_eq(create_with("/a", l), OUTCOME_OK);
    ck_assert_int_eq(create_with("/b", l), OUTCOME_OK);
    ck_assert_uint_eq(k.store->acls.count, AT_FIRST + 1);
    uint32_t id = ask_as(nobody, QUERY_EXISTS, "/a").stat.acl;
    ck_assert_uint_eq(ask_as(nobody, QUERY_EXISTS, "/b").stat.acl, id);
    ck_assert_int_eq(kit_delete(&k, "/a"), OUTCOME_OK);
    ck_assert_uint_eq(k.store->acls.count, AT_FIRST + 1);
    ck_assert_int_eq(set_acl_as(who("super", ""), "/b", list(31, "world", "anyone"), 0),
                     OUTCOME_OK);
    ck_assert_uint_eq(k.store->acls.count, AT_FIRST);
    ck_assert_ptr_null(acl_table_find(&k.store->acls, id));
    ck_assert_int_eq(create_with("/c", l), OUTCOME_OK);
    ck_assert_uint_eq(ask_as(nobody, QUERY_EXISTS, "/c").stat.acl, id + 1);
}
END_TEST

START_TEST(a_transaction_that_fails_takes_lists_back)
{
    struct slice first = list(ACL_ALL, "digest", ALICE);
    struct slice second = list(ACL_ALL, "digest", BOB);
    ck_assert_int_eq(create_with("/a", first), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/b", ""), OUTCOME_OK);
    uint64_t digest = store_digest(k.store);
    uint64_t cluster_ms = k.cluster_ms;
    struct op ops[] = {
        kit_op(OP_SET_ACL, "/b", NULL), kit_op(OP_SET_ACL, "/b", NULL),
        kit_op(OP_DELETE, "/a", NULL),  kit_op(OP_CREATE, "/c", ""),
        kit_op(OP_CREATE, "/a", ""),    kit_op(OP_DELETE, "/missing", NULL),
    };
    ops[0].acl = first;
    ops[1].acl = second;
    ops[3].acl = second;
    k.cluster_ms = store_cluster_ms(k.store);
    ck_assert_int_eq(run_as(who("super", ""), ops, 6), OUTCOME_NO_NODE);
    ck_assert_uint_eq(store_digest(k.store), digest);
    ck_assert_uint_eq(k.store->acls.count, AT_FIRST + 1);
    k.cluster_ms = cluster_ms;
    store_check(k.store);
    /* And one that does not fail keeps what it leaves. */
    ck_assert_int_eq(run_as(who("super", ""), ops, 5), OUTCOME_OK);
    ck_assert_uint_eq(k.store->acls.count, AT_FIRST + 1);
    ck_assert_uint_eq(ask_as(who("digest", BOB), QUERY_EXISTS, "/b").stat.acl_version, 2);
}
END_TEST

START_TEST(a_transaction_is_checked_against_what_it_did_before)
{
    ck_assert_int_eq(kit_create(&k, "/a", ""), OUTCOME_OK);
    struct op ops[] = {kit_op(OP_SET_ACL, "/a", NULL), kit_op(OP_SET, "/a", "x")};
    ops[0].acl = list(ACL_READ, "world", "anyone");
    ck_assert_int_eq(kit_ops(&k, ops, 2), OUTCOME_NO_AUTH);
    ck_assert_uint_eq(k.reply.failed_op, 1);
    ck_assert_uint_eq(ask_as(nobody, QUERY_EXISTS, "/a").stat.acl, 0);
}
END_TEST

START_TEST(the_digest_depends_on_what_a_list_says)
{
    struct kit other;
    kit_open(&other);
    struct op op = kit_op(OP_CREATE, "/a", "");
    op.acl = list(ACL_CREATE, "world", "anyone");
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    op.acl = list(ACL_WRITE, "world", "anyone");
    ck_assert_int_eq(kit_ops(&other, &op, 1), OUTCOME_OK);
    ck_assert_uint_eq(k.store->node_sum, other.store->node_sum);
    ck_assert_uint_ne(k.store->acls.sum, other.store->acls.sum);
    ck_assert_uint_ne(store_digest(k.store), store_digest(other.store));
    kit_close(&other);
}
END_TEST

START_TEST(a_snapshot_brings_lists_back_those_of_the_past_too)
{
    struct slice l = list(ACL_ALL, "digest", ALICE);
    ck_assert_int_eq(create_with("/a", l), OUTCOME_OK);
    ck_assert_int_eq(create_with("/gone", list(ACL_READ, "ip", "10.0.0.0/8")), OUTCOME_OK);
    ck_assert_int_eq(kit_delete(&k, "/gone"), OUTCOME_OK);
    struct snapshot_meta meta = {0};
    struct buf rows = {0};
    enum status rc;
    kit_rows(k.store, &meta, &rows);
    struct store *loaded = kit_load(buf_slice(&rows), &meta, &rc);
    ck_assert_int_eq(rc, RC_OK);
    store_check(loaded);
    ck_assert_uint_eq(store_digest(loaded), store_digest(k.store));
    ck_assert_uint_eq(loaded->acls.next, k.store->acls.next);
    const struct history *h = store_history(loaded);
    const struct change *gone = history_at(h, h->end - 1);
    ck_assert_uint_eq(gone->type, CHANGE_DELETE);
    ck_assert_ptr_null(acl_table_find(&loaded->acls, gone->stat.acl));
    ck_assert(store_may_see(loaded, gone, who("ip", "10.1.1.1")));
    ck_assert(!store_may_see(loaded, gone, who("ip", "11.1.1.1")));
    /* The create and the delete share one piece of memory, and so do node and change. */
    ck_assert_ptr_eq(history_at(h, h->end - 2)->acl, gone->acl);
    ck_assert_ptr_eq(history_at(h, h->end - 3)->acl, acl_table_find(&loaded->acls, 2));
    store_free(loaded);
    buf_close(&rows);
}
END_TEST

START_TEST(lists_that_go_or_come_while_a_scan_walks_are_those_of_its_beginning)
{
    for (int i = 0; i < 8; i++) {
        char path[8];
        char id[24];
        snprintf(path, sizeof path, "/n%d", i);
        snprintf(id, sizeof id, "10.0.0.%d", i);
        struct op op = kit_op(OP_CREATE, path, "");
        struct acl_entry e = {ACL_ALL, slice_str("ip"), slice_str(id)};
        op.acl = list_of(&e, 1);
        ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    }
    struct snapshot_meta meta = {0};
    struct buf rows = {0};
    struct store_scan *scan = store_scan_begin(k.store, &meta);
    bool more = true;
    for (int i = 0; more; i++) {
        char path[8];
        snprintf(path, sizeof path, "/n%d", i);
        if (i < 8) {
            struct slice other = list(ACL_ALL, "sasl", path);
            ck_assert_int_eq(set_acl_as(who("super", ""), path, other, VERSION_ANY), OUTCOME_OK);
        }
        more = store_scan_step(scan, 1, &rows);
    }
    store_scan_end(scan);
    enum status rc;
    struct store *loaded = kit_load(buf_slice(&rows), &meta, &rc);
    ck_assert_int_eq(rc, RC_OK);
    ck_assert_uint_eq(loaded->acls.count, AT_FIRST + 8);
    ck_assert_uint_eq(store_digest(loaded), meta.digest);
    store_check(loaded);
    store_free(loaded);
    buf_close(&rows);
}
END_TEST

static void add_row(struct buf *rows, uint32_t id, struct slice l)
{
    struct row row = {.table = ROW_ACL, .acl = {id, l}};
    row_encode(rows, &row);
}

START_TEST(rows_that_no_store_gave_are_corrupt)
{
    ck_assert_int_eq(create_with("/a", list(ACL_ALL, "digest", ALICE)), OUTCOME_OK);
    struct slice wrong[] = {list(ACL_ALL, "digest", BOB), list(ACL_ALL, "digest", ALICE),
                            list(ACL_ALL, "world", "anyone"), slice_str("?")};
    for (size_t i = 0; i < 4; i++) { /* nobody's, there already, open, no list */
        struct snapshot_meta meta = {0};
        struct buf rows = {0};
        enum status rc;
        kit_rows(k.store, &meta, &rows);
        add_row(&rows, 9, wrong[i]);
        ck_assert_ptr_null(kit_load(buf_slice(&rows), &meta, &rc));
        ck_assert_int_eq(rc, RC_CORRUPT);
        buf_close(&rows);
    }
}
END_TEST

START_TEST(a_node_whose_list_is_missing_is_corrupt)
{
    ck_assert_int_eq(create_with("/a", list(ACL_ALL, "digest", ALICE)), OUTCOME_OK);
    struct snapshot_meta meta = {0};
    struct buf rows = {0};
    struct buf kept = {0};
    kit_rows(k.store, &meta, &rows);
    struct unpack u = unpack_make(buf_slice(&rows));
    while (u.rest.size > 0) {
        struct row row;
        ck_assert_int_eq(row_decode(&u, &row), RC_OK);
        if (row.table != ROW_ACL) {
            row_encode(&kept, &row);
        }
    }
    enum status rc;
    ck_assert_ptr_null(kit_load(buf_slice(&kept), &meta, &rc));
    ck_assert_int_eq(rc, RC_CORRUPT);
    buf_close(&rows);
    buf_close(&kept);
}
END_TEST

START_TEST(ids_begin_anew_after_the_last_and_pass_over_those_in_use)
{
    ck_assert_int_eq(create_with("/a", list(ACL_ALL, "digest", ALICE)), OUTCOME_OK);
    k.store->acls.next = ACL_ID_NONE - 1;
    ck_assert_int_eq(create_with("/b", list(ACL_ALL, "digest", BOB)), OUTCOME_OK);
    ck_assert_int_eq(create_with("/c", list(ACL_ALL, "sasl", "c")), OUTCOME_OK);
    struct slice super = who("super", "");
    ck_assert_uint_eq(ask_as(super, QUERY_EXISTS, "/b").stat.acl, ACL_ID_NONE - 1);
    ck_assert_uint_eq(ask_as(super, QUERY_EXISTS, "/c").stat.acl, 3);
}
END_TEST

/* ---- listings and the past ------------------------------------------------------------------ */

START_TEST(what_may_not_be_read_is_listed_by_name_and_not_entered)
{
    struct slice alice = who("digest", ALICE);
    kit_create(&k, "/a", "");
    kit_create(&k, "/a/b", "secret");
    kit_create(&k, "/a/b/c", "");
    kit_create(&k, "/a/d", "public");
    set_acl_as(nobody, "/a/b", list(ACL_ALL, "digest", ALICE), VERSION_ANY);
    struct query q = {.type = QUERY_LIST,
                      .space = SPACE_NODES,
                      .path = slice_str("/a"),
                      .recursive = true,
                      .with_data = true};
    struct query_result result;
    store_query(k.store, &q, &result, &arena);
    ck_assert_uint_eq(result.entry_count, 2);
    ck_assert(slice_is(result.entries[0].path, "/a/b"));
    ck_assert(result.entries[0].unreadable);
    ck_assert_uint_eq(result.entries[0].data.size, 0);
    ck_assert_uint_eq(result.entries[0].stat.create_revision, 0);
    ck_assert(slice_is(result.entries[1].data, "public"));
    ck_assert(!result.entries[1].unreadable);
    q.after = slice_str("/a/b/c"); /* behind what is not shown any more */
    store_query(k.store, &q, &result, &arena);
    ck_assert_uint_eq(result.entry_count, 1);
    q.after = nobody;
    q.identities = alice;
    store_query(k.store, &q, &result, &arena);
    ck_assert_uint_eq(result.entry_count, 3);
    ck_assert(slice_is(result.entries[0].data, "secret"));
}
END_TEST

START_TEST(a_listing_in_a_transaction_tells_names_and_readable_stats)
{
    kit_create(&k, "/a", "");
    create_with("/a/b", list(0, "world", "anyone"));
    kit_create(&k, "/a/c", "");
    struct op op = kit_op(OP_LIST, "/a", NULL);
    op.flags = OP_STAT_ONLY;
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    ck_assert_uint_eq(k.reply.results[0].entry_count, 2);
    ck_assert(slice_is(k.reply.results[0].entries[0].name, "b"));
    ck_assert_uint_eq(k.reply.results[0].entries[0].stat.create_revision, 0);
    ck_assert_uint_ne(k.reply.results[0].entries[1].stat.create_revision, 0);
}
END_TEST

START_TEST(the_past_is_for_who_may_read_now_and_might_then)
{
    struct slice alice = who("digest", ALICE);
    kit_create(&k, "/a", "");
    kit_create(&k, "/a/b", "old");
    uint64_t open_at = store_revision(k.store);
    set_acl_as(nobody, "/a/b", list(ACL_ALL, "digest", ALICE), VERSION_ANY);
    struct query q = {.type = QUERY_GET,
                      .space = SPACE_NODES,
                      .path = slice_str("/a/b"),
                      .revision = open_at};
    struct query_result result;
    store_query(k.store, &q, &result, &arena);
    ck_assert_int_eq(result.outcome, OUTCOME_NO_AUTH); /* not any more */
    q.identities = alice;
    store_query(k.store, &q, &result, &arena);
    ck_assert_int_eq(result.outcome, OUTCOME_OK);
    ck_assert(slice_is(result.data, "old"));
    ck_assert_uint_eq(result.stat.acl_version, 0);
    q = (struct query){.type = QUERY_HISTORY,
                       .space = SPACE_NODES,
                       .path = slice_str("/a"),
                       .recursive = true};
    store_query(k.store, &q, &result, &arena);
    ck_assert_uint_eq(result.change_count, 1); /* of "/a" itself */
    q.identities = alice;
    store_query(k.store, &q, &result, &arena);
    ck_assert_uint_eq(result.change_count, 3);
    do_as(who("super", ""), OP_DELETE, "/a/b"); /* what was hidden stays so */
    q.identities = nobody;
    store_query(k.store, &q, &result, &arena);
    ck_assert_uint_eq(result.change_count, 2); /* "/a", and the create, when it was open */
}
END_TEST

static uint32_t changes_seen_by(struct slice identities, const char *path, const char *value)
{
    struct query q = {.type = QUERY_HISTORY,
                      .space = SPACE_NODES,
                      .path = slice_str(path),
                      .identities = identities};
    struct query_result result;
    uint32_t count = 0;
    store_query(k.store, &q, &result, &arena);
    for (uint32_t i = 0; i < result.change_count; i++) {
        count += slice_is(value_slice(result.changes[i]->data), value) ||
                 slice_is(value_slice(result.changes[i]->old_data), value);
    }
    return count;
}

/* The other order shows it: docs/security.md says so. */
START_TEST(a_value_that_is_replaced_before_the_list_is_opened_stays_hidden)
{
    struct slice alice = who("digest", ALICE);
    ck_assert_int_eq(create_with("/a", list(ACL_ALL, "digest", ALICE)), OUTCOME_OK);
    struct op secret = kit_op(OP_SET, "/a", "secret");
    ck_assert_int_eq(run_as(alice, &secret, 1), OUTCOME_OK);
    uint64_t closed_at = store_revision(k.store);
    struct op ops[] = {kit_op(OP_SET, "/a", "public"), kit_op(OP_SET_ACL, "/a", NULL)};
    ops[1].acl = list(ACL_ALL, "world", "anyone");
    ck_assert_int_eq(run_as(alice, ops, 2), OUTCOME_OK);
    ck_assert_uint_eq(changes_seen_by(nobody, "/a", "public"), 1);
    ck_assert_uint_eq(changes_seen_by(nobody, "/a", "secret"), 0);
    ck_assert_uint_eq(changes_seen_by(alice, "/a", "secret"), 2);
    struct query q = {.type = QUERY_GET,
                      .space = SPACE_NODES,
                      .path = slice_str("/a"),
                      .revision = closed_at};
    struct query_result result;
    store_query(k.store, &q, &result, &arena);
    ck_assert_int_eq(result.outcome, OUTCOME_NO_AUTH);
}
END_TEST

static Suite *acl_suite(void)
{
    Suite *suite = suite_create("acl");
    TCase *enforcement = tcase_create("enforcement");
    tcase_add_checked_fixture(enforcement, setup, teardown);
    tcase_add_loop_test(enforcement, each_operation_takes_its_permission_and_no_other, 0, 5);
    tcase_add_test(enforcement, who_is_super_may_everything);
    tcase_add_loop_test(enforcement, each_query_takes_read_and_the_list_takes_admin_as_well, 0, 3);
    tcase_add_test(enforcement, an_open_node_has_the_list_that_grants_the_world_everything);
    tcase_add_test(enforcement, a_create_fails_in_the_order_of_zookeeper);
    tcase_add_test(enforcement, permission_comes_before_version_and_after_existence);
    tcase_add_test(enforcement, who_may_not_delete_below_the_parent_does_not_learn_what_is_there);
    tcase_add_test(enforcement, a_recursive_delete_needs_permission_on_every_parent);
    tcase_add_test(enforcement, a_guard_is_for_those_who_may_read);
    tcase_add_test(enforcement, parents_that_are_made_are_open_and_need_create_above);
    tcase_add_test(enforcement, flat_keys_have_no_lists);
    tcase_add_test(enforcement, a_new_list_moves_its_own_version_and_the_revision_only);
    tcase_add_test(enforcement, what_leases_and_the_reaper_remove_needs_no_permission);
    tcase_add_test(enforcement, only_who_is_super_may_write_what_clients_take_for_addresses);
    tcase_add_test(enforcement, what_may_not_be_read_is_listed_by_name_and_not_entered);
    tcase_add_test(enforcement, a_listing_in_a_transaction_tells_names_and_readable_stats);
    tcase_add_test(enforcement, the_past_is_for_who_may_read_now_and_might_then);
    tcase_add_test(enforcement, a_value_that_is_replaced_before_the_list_is_opened_stays_hidden);
    suite_add_tcase(suite, enforcement);
    TCase *table = tcase_create("table");
    tcase_add_checked_fixture(table, setup, teardown);
    tcase_add_test(table, equal_lists_are_one_and_go_with_their_last_node);
    tcase_add_test(table, a_transaction_that_fails_takes_lists_back);
    tcase_add_test(table, a_transaction_is_checked_against_what_it_did_before);
    tcase_add_test(table, the_digest_depends_on_what_a_list_says);
    tcase_add_test(table, a_snapshot_brings_lists_back_those_of_the_past_too);
    tcase_add_test(table, lists_that_go_or_come_while_a_scan_walks_are_those_of_its_beginning);
    tcase_add_test(table, rows_that_no_store_gave_are_corrupt);
    tcase_add_test(table, a_node_whose_list_is_missing_is_corrupt);
    tcase_add_test(table, ids_begin_anew_after_the_last_and_pass_over_those_in_use);
    suite_add_tcase(suite, table);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){acl_suite, NULL});
}
