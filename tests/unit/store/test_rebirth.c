/* A state begins a new life: what stays, what ends, and that nothing goes back. Over random states,
 * and one by one. */
#include "store/rebirth.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "store/acl.h"
#include "store/state.h"
#include "tests/support/auth_kit.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"
#include "watch/watch.h"

#define NAMES  12
#define LEASES 9

static struct kit k;
static struct rng rng;

static void setup(void)
{
    kit_open(&k);
}

static void teardown(void)
{
    store_check(k.store);
    kit_close(&k);
}

/* ---- random states ------------------------------------------------------------------------ */

static uint64_t lease_id(void)
{
    return rng_range(&rng, 1, LEASES) << 20;
}

static void draw_path(char *path, size_t bytes)
{
    uint64_t depth = rng_range(&rng, 1, 3);
    size_t used = 0;
    for (uint64_t i = 0; i < depth; i++) {
        used += (size_t)snprintf(path + used, bytes - used, "/n%u",
                                 (unsigned)rng_range(&rng, 1, NAMES));
    }
}

static void run_lease(void)
{
    uint64_t id = lease_id();
    struct command c = {.type = COMMAND_GRANT,
                        .lease = {.id = id,
                                  .ttl_ms = 5000,
                                  .kind = (id >> 20) % 3 == 0 ? LEASE_PLAIN : LEASE_SESSION,
                                  .renewable = true,
                                  .secret = slice_str("0123456789abcdef"),
                                  .owner = slice_str("somebody")}};
    if (rng_range(&rng, 1, 4) == 1) {
        (void)kit_expire(&k, id);
        return;
    }
    (void)kit_run(&k, &c);
}

static void run_policy(void)
{
    bool is_retention = rng_range(&rng, 1, 3) == 1;
    struct op op = {.type = OP_SET,
                    .space = SPACE_META,
                    .path = slice_str(is_retention ? "retention" : "history/n3"),
                    .data = slice_str(is_retention ? "1048576 1000 5" : "7"),
                    .version = VERSION_ANY};
    (void)kit_ops(&k, &op, 1);
}

static void draw_op(struct op *op, const char *path, struct buf *list)
{
    static const uint8_t types[] = {OP_CREATE, OP_CREATE, OP_CREATE,
                                    OP_SET,    OP_DELETE, OP_SET_ACL};
    const struct acl_entry everyone = {.permissions = ACL_READ | ACL_CREATE,
                                       .scheme = slice_str("world"),
                                       .id = slice_str("anyone")};
    *op = kit_op((enum op_type)types[rng_range(&rng, 0, 5)], path,
                 rng_range(&rng, 1, 9) == 1 ? NULL : path);
    if (op->type == OP_CREATE) {
        op->kind = (uint8_t)rng_range(&rng, NODE_PERSISTENT, NODE_TTL);
        op->lease = op->kind == NODE_EPHEMERAL ? lease_id() : 0;
        op->ttl_ms = op->kind == NODE_TTL ? 60000 : 0;
        op->flags |= rng_range(&rng, 1, 4) == 1 ? OP_SEQUENTIAL : 0;
    } else if (op->type == OP_SET_ACL || op->type == OP_DELETE) {
        op->flags = op->type == OP_DELETE ? OP_RECURSIVE : 0;
        op->data = slice_make(NULL, 0);
    }
    if (op->type == OP_SET_ACL || (op->type == OP_CREATE && rng_range(&rng, 1, 5) == 1)) {
        acl_encode(list, &everyone, 1);
        op->acl = buf_slice(list);
    }
}

static void run_op(void)
{
    char path[64];
    struct op op;
    struct buf list = {0};
    draw_path(path, sizeof path);
    draw_op(&op, path, &list);
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    switch (rng_range(&rng, 1, 3)) {
    case 1:
        c.request.issued_ms = k.cluster_ms + rng_range(&rng, 0, 9000);
        c.request.random[0] = rng_next(&rng);
        break;
    case 2:
        c.session = lease_id();
        c.sequence = rng_range(&rng, 1, 500);
        break;
    default: break;
    }
    (void)kit_run(&k, &c);
    buf_close(&list);
}

static void run_randomly(uint64_t seed, int commands)
{
    rng_init(&rng, seed);
    for (int i = 0; i < commands; i++) {
        uint64_t what = rng_range(&rng, 1, 20);
        if (what <= 3) {
            run_lease();
        } else if (what == 4) {
            run_policy();
        } else {
            run_op();
        }
    }
}

static void grant(uint64_t id, uint8_t kind)
{
    struct command c = {
        .type = COMMAND_GRANT,
        .lease = {
            .id = id, .ttl_ms = 5000, .kind = kind, .secret = slice_str("0123456789abcdef")}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
}

static enum outcome create_under(uint64_t lease, const char *path)
{
    struct op op = kit_op(OP_CREATE, path, "x");
    op.kind = NODE_EPHEMERAL;
    op.lease = lease;
    return kit_ops(&k, &op, 1);
}

/* ---- what stays --------------------------------------------------------------------------- */

struct kept {
    char path[128];
    struct node_stat stat;
    struct slice data; /* copied */
    bool null_data;
    struct buf acl;
};

struct content {
    struct kept *nodes;
    size_t count;
    uint64_t ephemerals;
};

static void take_acl(const struct store *s, struct slice path, struct buf *out)
{
    uint32_t slot = tree_find(&s->tree, SPACE_NODES, path);
    uint32_t acl = tree_node(&s->tree, slot)->acl;
    if (acl != 0) {
        buf_append_slice(out, acl_list_slice(acl_table_find(&s->acls, acl)));
    }
}

/* Every znode that is not ephemeral. */
static struct content content_of(const struct store *s)
{
    struct content c = {0};
    struct arena arena = {0};
    struct query_result result;
    struct query q = {.type = QUERY_LIST,
                      .space = SPACE_NODES,
                      .path = slice_str("/"),
                      .recursive = true,
                      .with_data = true};
    struct query root = {.type = QUERY_GET, .space = SPACE_NODES, .path = slice_str("/")};
    store_query(s, &root, &result, &arena);
    c.nodes = mem_zalloc(sizeof *c.nodes);
    c.nodes[c.count++] = (struct kept){.path = "/", .stat = result.stat};
    store_query(s, &q, &result, &arena);
    ck_assert_int_eq(result.outcome, OUTCOME_OK);
    ck_assert(!result.more);
    for (uint32_t i = 0; i < result.entry_count; i++) {
        const struct query_entry *e = &result.entries[i];
        if (e->stat.kind == NODE_EPHEMERAL) {
            c.ephemerals++;
            continue;
        }
        c.nodes = mem_resize(c.nodes, (c.count + 1) * sizeof *c.nodes);
        struct kept *n = &c.nodes[c.count++];
        *n = (struct kept){.stat = e->stat, .null_data = e->null_data};
        memcpy(n->path, e->path.data, e->path.size);
        n->data = slice_make(mem_dup(e->data.data, e->data.size), e->data.size);
        take_acl(s, e->path, &n->acl);
    }
    arena_close(&arena);
    return c;
}

static void content_free(struct content *c)
{
    for (size_t i = 0; i < c->count; i++) {
        mem_free((void *)(uintptr_t)c->nodes[i].data.data);
        buf_close(&c->nodes[i].acl);
    }
    mem_free(c->nodes);
}

/* A parent whose ephemerals went shows that, and nothing else shows anything. */
static void check_stat(const struct node_stat *before, const struct node_stat *after)
{
    ck_assert_uint_eq(after->kind, before->kind);
    ck_assert_uint_eq(after->create_revision, before->create_revision);
    ck_assert_uint_eq(after->modify_revision, before->modify_revision);
    ck_assert_uint_eq(after->create_ms, before->create_ms);
    ck_assert_uint_eq(after->modify_ms, before->modify_ms);
    ck_assert_uint_eq(after->version, before->version);
    ck_assert_uint_eq(after->acl_version, before->acl_version);
    ck_assert_uint_eq(after->ttl_ms, before->ttl_ms);
    ck_assert_uint_eq(after->sequence_next, before->sequence_next);
    ck_assert_uint_le(after->child_count, before->child_count);
    if (after->child_count == before->child_count) {
        ck_assert_uint_eq(after->children_revision, before->children_revision);
    } else {
        ck_assert_uint_gt(after->children_revision, REBIRTH_GAP);
        ck_assert_uint_gt(stat_children_version(after), stat_children_version(before));
    }
}

static void check_content(const struct content *before, const struct content *after)
{
    ck_assert_uint_eq(after->count, before->count);
    ck_assert_uint_eq(after->ephemerals, 0);
    for (size_t i = 0; i < before->count; i++) {
        const struct kept *a = &after->nodes[i];
        const struct kept *b = &before->nodes[i];
        ck_assert_str_eq(a->path, b->path);
        check_stat(&b->stat, &a->stat);
        ck_assert(slice_equal(a->data, b->data));
        ck_assert_int_eq(a->null_data, b->null_data);
        ck_assert(slice_equal(buf_slice(&a->acl), buf_slice(&b->acl)));
    }
}

/* What a snapshot of the store loads to. */
static struct store *reload(struct store *s)
{
    struct snapshot_meta meta = {0};
    struct buf rows = {0};
    enum status rc;
    kit_rows(s, &meta, &rows);
    struct store *copy = kit_load(buf_slice(&rows), &meta, &rc);
    ck_assert_int_eq(rc, RC_OK);
    buf_close(&rows);
    return copy;
}

START_TEST(the_content_stays_and_nothing_else_of_a_random_state)
{
    struct rebirth report;
    run_randomly((uint64_t)_i + 1, 600);
    grant(1, LEASE_SESSION);
    ck_assert_int_eq(create_under(1, "/of-a-session"), OUTCOME_OK);
    struct store *twin = reload(k.store);
    struct content before = content_of(k.store);
    uint64_t revision = store_revision(k.store);
    uint64_t content = store_content_digest(k.store);
    uint64_t leases = store_lease_count(k.store);

    store_rebirth(k.store, &report);
    store_check(k.store);
    struct content after = content_of(k.store);
    check_content(&before, &after);
    ck_assert_uint_eq(store_content_digest(k.store), content);
    ck_assert_uint_eq(store_lease_count(k.store), 0);
    ck_assert_uint_eq(report.old_revision, revision);
    ck_assert_uint_eq(report.old_index, k.index);
    ck_assert_uint_eq(report.ephemerals, before.ephemerals);
    ck_assert_uint_eq(report.sessions + report.leases, leases);
    ck_assert_uint_gt(before.count, 20);
    ck_assert_uint_gt(before.ephemerals, 0);
    ck_assert_uint_ge(store_revision(k.store), revision + REBIRTH_GAP);
    ck_assert_uint_le(store_revision(k.store), revision + REBIRTH_GAP + leases);
    ck_assert_uint_gt(store_history_floor(k.store), revision + REBIRTH_GAP);
    ck_assert_uint_eq(store_applied_index(k.store), k.index + REBIRTH_GAP);

    /* A member that is restored from a file becomes the same. */
    struct rebirth again;
    store_rebirth(twin, &again);
    ck_assert_uint_eq(store_digest(twin), store_digest(k.store));
    store_free(twin);
    twin = reload(k.store);
    ck_assert_uint_eq(store_digest(twin), store_digest(k.store));
    store_check(twin);
    store_free(twin);

    /* Life goes on, and may end again. */
    k.index = store_applied_index(k.store);
    k.cluster_ms = store_cluster_ms(k.store);
    run_randomly((uint64_t)_i + 1000, 300);
    store_check(k.store);
    store_rebirth(k.store, &again);
    ck_assert_uint_ge(store_revision(k.store), revision + 2 * REBIRTH_GAP);
    content_free(&before);
    content_free(&after);
}
END_TEST

START_TEST(the_digest_of_the_content_sees_every_part_of_a_node)
{
    (void)kit_create(&k, "/a", "1");
    uint64_t seen[8];
    size_t count = 0;
    seen[count++] = store_content_digest(k.store);
    (void)kit_set(&k, "/a", "2");
    seen[count++] = store_content_digest(k.store);
    (void)kit_set(&k, "/a", NULL);
    seen[count++] = store_content_digest(k.store);
    (void)kit_set(&k, "/a", "");
    seen[count++] = store_content_digest(k.store);
    (void)kit_create(&k, "/a/b", "");
    seen[count++] = store_content_digest(k.store);
    (void)kit_delete(&k, "/a/b"); /* "/a" still knows that it had a child */
    seen[count++] = store_content_digest(k.store);
    struct buf list = {0};
    struct op op = kit_op(OP_SET_ACL, "/a", NULL);
    const struct acl_entry readers = {
        .permissions = ACL_READ, .scheme = slice_str("world"), .id = slice_str("anyone")};
    acl_encode(&list, &readers, 1);
    op.flags = 0;
    op.acl = buf_slice(&list);
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    seen[count++] = store_content_digest(k.store);
    buf_close(&list);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            ck_assert_uint_ne(seen[i], seen[j]);
        }
    }
}
END_TEST

/* ---- what ends, what goes on -------------------------------------------------------------- */

static void be_reborn(void)
{
    struct rebirth report;
    store_rebirth(k.store, &report);
    k.index = store_applied_index(k.store);
    k.cluster_ms = store_cluster_ms(k.store);
}

START_TEST(sessions_and_leases_end_as_by_expiry_behind_the_gap)
{
    grant(7, LEASE_SESSION);
    grant(8, LEASE_PLAIN);
    ck_assert_int_eq(kit_create(&k, "/p", ""), OUTCOME_OK);
    ck_assert_int_eq(create_under(7, "/p/a"), OUTCOME_OK);
    ck_assert_int_eq(create_under(7, "/p/b"), OUTCOME_OK);
    ck_assert_int_eq(create_under(8, "/p/c"), OUTCOME_OK);
    uint64_t revision = store_revision(k.store);
    be_reborn();
    ck_assert_uint_eq(store_revision(k.store), revision + REBIRTH_GAP + 2);
    const struct history *h = store_history(k.store);
    ck_assert_uint_eq(h->end - h->begin, 3);
    for (uint64_t p = h->begin; p < h->end; p++) {
        const struct change *c = history_at(h, p);
        ck_assert_int_eq(c->type, CHANGE_DELETE);
        ck_assert_int_eq(c->reason, REASON_EXPIRED);
        ck_assert(slice_is(c->note, "the cluster was restored"));
        ck_assert_uint_eq(c->wall_ms, k.wall_ms - 5); /* of the last change */
        ck_assert_uint_eq(c->revision, revision + REBIRTH_GAP + (p - h->begin < 2 ? 1 : 2));
    }
    struct node_stat stat;
    ck_assert_int_eq(kit_stat(&k, "/p", &stat), OUTCOME_OK);
    ck_assert_uint_eq(stat.child_count, 0);
    ck_assert_uint_eq(stat.sequence_next, 3);
    ck_assert_int_eq(create_under(7, "/p/d"), OUTCOME_NO_LEASE);
    struct command resume = {.type = COMMAND_RESUME,
                             .lease = {.id = 7, .secret = slice_str("0123456789abcdef")}};
    ck_assert_int_eq(kit_run(&k, &resume), OUTCOME_NO_SESSION);
}
END_TEST

START_TEST(numbers_of_sequential_nodes_go_on)
{
    struct op op = kit_op(OP_CREATE, "/s-", "x");
    op.flags |= OP_SEQUENTIAL;
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    }
    struct slice last = k.reply.results[0].path;
    char path[64];
    snprintf(path, sizeof path, "%.*s", (int)last.size, (const char *)last.data);
    be_reborn();
    ck_assert_int_eq(kit_ops(&k, &op, 1), OUTCOME_OK);
    char next[64];
    last = k.reply.results[0].path;
    snprintf(next, sizeof next, "%.*s", (int)last.size, (const char *)last.data);
    ck_assert_int_eq(atoi(next + 3), atoi(path + 3) + 1);
}
END_TEST

START_TEST(a_retry_of_what_was_asked_before_is_not_executed_and_new_requests_are)
{
    struct op op = kit_op(OP_CREATE, "/s-", "x");
    op.flags |= OP_SEQUENTIAL;
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    c.request = (struct request_id){.issued_ms = k.cluster_ms + 50000, .random = {1, 2}};
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    be_reborn();
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_REQUEST_EXPIRED);
    c.request.issued_ms = store_cluster_ms(k.store);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
}
END_TEST

static enum outcome put_meta(const char *key, const char *value)
{
    struct op op = {.type = OP_SET,
                    .space = SPACE_META,
                    .path = slice_str(key),
                    .data = slice_str(value),
                    .version = VERSION_ANY};
    if (tree_find(&k.store->tree, SPACE_META, op.path) == TREE_NONE) {
        op.type = OP_CREATE;
    }
    struct buf super = {0};
    identity_encode(&super, slice_str("super"), slice_str(""));
    struct command c = {.type = COMMAND_TXN,
                        .identities = buf_slice(&super),
                        .txn = {.then_ops = &op, .then_count = 1}};
    enum outcome outcome = kit_run(&k, &c);
    buf_close(&super);
    return outcome;
}

START_TEST(what_is_known_of_members_goes_and_other_metadata_stays)
{
    uint64_t before = store_content_digest(k.store);
    ck_assert_int_eq(put_meta("member/invited/n4", "any voter 0"), OUTCOME_OK);
    ck_assert_int_eq(put_meta("member/removed/0000000000000007", "n3"), OUTCOME_OK);
    ck_assert_uint_eq(store_content_digest(k.store), before);
    ck_assert_int_eq(put_meta("members", "not of those"), OUTCOME_OK);
    ck_assert_int_eq(put_meta("history/a", "7"), OUTCOME_OK);
    uint64_t content = store_content_digest(k.store);
    ck_assert_uint_ne(content, before);
    uint64_t revision = store_revision(k.store);
    be_reborn();
    ck_assert_uint_eq(store_revision(k.store), revision + REBIRTH_GAP + 2);
    ck_assert_uint_eq(store_content_digest(k.store), content);
    const struct tree *t = &k.store->tree;
    ck_assert_uint_eq(tree_find(t, SPACE_META, slice_str("member/invited/n4")), TREE_NONE);
    ck_assert_uint_ne(tree_find(t, SPACE_META, slice_str("members")), TREE_NONE);
    ck_assert_uint_ne(tree_find(t, SPACE_META, slice_str("history/a")), TREE_NONE);
}
END_TEST

START_TEST(users_and_roles_stay_and_what_they_held_ends)
{
    struct buf ada = {0};
    auth_kit_add(&k, "ada", "/", ACL_READ | ACL_WRITE | ACL_CREATE);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, "chief", "hash"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_GRANT, "chief", "root"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_enable(&k, "chief"), OUTCOME_OK);
    struct op op = kit_op(OP_CREATE, "/e", "x");
    op.kind = NODE_EPHEMERAL;
    op.lease = 7;
    struct command grants = {.type = COMMAND_GRANT,
                             .identities = auth_kit_who(&ada, "ada"),
                             .lease = {.id = 7,
                                       .ttl_ms = 5000,
                                       .kind = LEASE_SESSION,
                                       .secret = slice_str("0123456789abcdef")}};
    struct command creates = {.type = COMMAND_TXN,
                              .identities = grants.identities,
                              .txn = {.then_ops = &op, .then_count = 1}};
    ck_assert_int_eq(kit_run(&k, &grants), OUTCOME_OK);
    ck_assert_int_eq(kit_run(&k, &creates), OUTCOME_OK);
    ck_assert_int_eq(put_meta("member/invited/n4", "any voter 0"), OUTCOME_OK);
    uint64_t content = store_content_digest(k.store);
    be_reborn();
    ck_assert_uint_eq(store_content_digest(k.store), content);
    ck_assert_uint_eq(store_lease_count(k.store), 0);
    ck_assert(k.store->auth.is_enabled);
    op.kind = NODE_PERSISTENT;
    op.lease = 0;
    ck_assert_int_eq(kit_run(&k, &creates), OUTCOME_OK);
    creates.identities = slice_make(NULL, 0);
    op.path = slice_str("/f");
    ck_assert_int_eq(kit_run(&k, &creates), OUTCOME_NO_AUTH);
    buf_close(&ada);
}
END_TEST

START_TEST(versions_under_a_history_policy_stay)
{
    struct op policy = {.type = OP_SET,
                        .space = SPACE_META,
                        .path = slice_str("history/c"),
                        .data = slice_str("10"),
                        .version = VERSION_ANY};
    ck_assert_int_eq(kit_ops(&k, &policy, 1), OUTCOME_OK);
    ck_assert_int_eq(kit_create(&k, "/c", "one"), OUTCOME_OK);
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(kit_set(&k, "/c", "two"), OUTCOME_OK);
    be_reborn();
    ck_assert_int_eq(kit_set(&k, "/c", "three"), OUTCOME_OK);
    struct arena arena = {0};
    struct query_result result;
    struct query q = {
        .type = QUERY_GET, .space = SPACE_NODES, .path = slice_str("/c"), .revision = revision};
    store_query(k.store, &q, &result, &arena);
    ck_assert_int_eq(result.outcome, OUTCOME_OK);
    ck_assert(slice_is(result.data, "one"));
    q.revision = revision + REBIRTH_GAP; /* between the lives */
    store_query(k.store, &q, &result, &arena);
    ck_assert(slice_is(result.data, "two"));
    arena_close(&arena);
}
END_TEST

struct told {
    struct watch watch; /* first */
    uint64_t compacted;
};

static size_t on_deliver(struct watch *w, const struct change *const *changes, size_t count,
                         bool is_live, bool has_more)
{
    (void)w;
    (void)changes;
    (void)is_live;
    (void)has_more;
    return count;
}

static void on_compacted(struct watch *w, uint64_t floor)
{
    ((struct told *)(void *)w)->compacted = floor;
}

/* Also from what came after the backup, which the new cluster has never seen. */
START_TEST(who_watches_from_a_revision_of_the_old_cluster_is_told_that_it_is_compacted)
{
    static const struct watch_ops ops = {.deliver = on_deliver, .compacted = on_compacted};
    const struct watch_filter filter = {.space = SPACE_NODES, .path = slice_str("/")};
    ck_assert_int_eq(kit_create(&k, "/a", "1"), OUTCOME_OK);
    uint64_t revision = store_revision(k.store);
    be_reborn();
    struct watch_hub *hub = hub_new(k.store);
    for (uint64_t from = 2; from < revision + REBIRTH_GAP; from += REBIRTH_GAP / 7) {
        struct told told = {.compacted = 0};
        ck_assert_int_eq(watch_start(hub, &told.watch, &filter, &ops, from), OUTCOME_COMPACTED);
    }
    struct told told = {.compacted = 0};
    ck_assert_int_eq(watch_start(hub, &told.watch, &filter, &ops, store_revision(k.store) + 1),
                     OUTCOME_OK);
    watch_stop(hub, &told.watch);
    hub_free(hub);
}
END_TEST

static Suite *rebirth_suite(void)
{
    Suite *suite = suite_create("rebirth");
    TCase *tcase = tcase_create("rebirth");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, the_content_stays_and_nothing_else_of_a_random_state, 0, 40);
    tcase_add_test(tcase, the_digest_of_the_content_sees_every_part_of_a_node);
    tcase_add_test(tcase, sessions_and_leases_end_as_by_expiry_behind_the_gap);
    tcase_add_test(tcase, numbers_of_sequential_nodes_go_on);
    tcase_add_test(tcase,
                   a_retry_of_what_was_asked_before_is_not_executed_and_new_requests_are);
    tcase_add_test(tcase, what_is_known_of_members_goes_and_other_metadata_stays);
    tcase_add_test(tcase, users_and_roles_stay_and_what_they_held_ends);
    tcase_add_test(tcase, versions_under_a_history_policy_stay);
    tcase_add_test(tcase,
                   who_watches_from_a_revision_of_the_old_cluster_is_told_that_it_is_compacted);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){rebirth_suite, NULL});
}
