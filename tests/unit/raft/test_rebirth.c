/* Lost quorums and restores: what is left of members is found without touching it, and makes a new
 * cluster that goes on from it and that nobody can take for the old one. */
#include "raft/rebirth.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "raft/identity.h"
#include "raft/node_internal.h"
#include "raft/replay.h"
#include "raft/snapshot_store.h"
#include "raft/survivor.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/fake_env.h"

#define FAR        ((uint64_t)1 << 40)
#define POWER_CUTS 12 /* tests that share the calls of one */

struct fixture {
    struct fake_cluster cluster;
    struct node_write writes[64];
    size_t written;
    size_t acknowledged;
    struct errmsg err;
};

static void init(struct fixture *x, size_t members, uint64_t seed)
{
    memset(x, 0, sizeof *x);
    fake_cluster_open(&x->cluster, members, 200, seed);
}

static struct env *env_of(struct fixture *x, size_t i)
{
    return &x->cluster.members[i].disk.env;
}

static void on_written(struct node_write *w, enum status rc, const struct reply *reply)
{
    struct fixture *x = w->owner;
    x->acknowledged += rc == RC_OK && reply->outcome == OUTCOME_OK;
}

static void write_at(struct fixture *x, struct node *n)
{
    char path[32];
    (void)snprintf(path, sizeof path, "/n%zu", x->written);
    struct op op = {.type = OP_CREATE,
                    .space = SPACE_NODES,
                    .path = slice_str(path),
                    .data = slice_str("some data")};
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    struct node_write *w = &x->writes[x->written++];
    *w = (struct node_write){.done = on_written, .owner = x};
    ck_assert_int_eq(node_write(n, w, &c, FAR), RC_OK);
}

/* Through whoever leads; all of them acknowledged. */
static void write_some(struct fixture *x, int count)
{
    size_t before = x->acknowledged;
    for (int i = 0; i < count; i++) {
        write_at(x, x->cluster.members[fake_cluster_leader(&x->cluster)].node);
        fake_cluster_run(&x->cluster, 3);
    }
    fake_cluster_run(&x->cluster, 300);
    ck_assert_uint_eq(x->acknowledged, before + (size_t)count);
}

static void kill_all(struct fixture *x)
{
    for (size_t i = 0; i < x->cluster.count; i++) {
        if (x->cluster.members[i].node != NULL) {
            fake_cluster_kill(&x->cluster, i);
        }
    }
}

static void finish(struct fixture *x)
{
    fake_cluster_close(&x->cluster);
}

/* ---- disks -------------------------------------------------------------------------------- */

struct walk {
    struct env *env;
    const char *dir;
    uint64_t sum;
    bool removes;
};

static void walk_file(void *context, const char *name, uint64_t bytes)
{
    struct walk *w = context;
    char path[256];
    uint8_t *content = mem_zalloc((size_t)bytes + 1);
    size_t got = 0;
    struct env_file *file;
    (void)snprintf(path, sizeof path, "%s/%s", w->dir, name);
    if (w->env->disk->open(w->env, path, ENV_OPEN_READ, &file) == RC_OK) {
        ck_assert_int_eq(w->env->disk->read(file, 0, content, (size_t)bytes, &got), RC_OK);
        w->env->disk->close(file);
        for (size_t i = 0; i < got; i++) {
            w->sum = w->sum * 31 + content[i] + i;
        }
        for (size_t i = 0; path[i] != '\0'; i++) {
            w->sum = w->sum * 31 + (uint64_t)path[i];
        }
    }
    mem_free(content);
}

/* Of everything in a data dir. */
static uint64_t sum_of(struct env *env, const char *dir)
{
    static const char *const below[] = {"", "/wal", "/snapshots"};
    uint64_t sum = 0;
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s%s", dir, below[i]);
        struct walk w = {.env = env, .dir = path};
        (void)env->disk->list(env, path, walk_file, &w);
        sum = sum * 31 + w.sum;
    }
    return sum;
}

static void note_name(void *context, const char *name, uint64_t bytes)
{
    (void)bytes;
    buf_append(context, name, strlen(name) + 1);
}

static void wipe_dir(struct env *env, const char *dir)
{
    struct buf names = {0};
    (void)env->disk->list(env, dir, note_name, &names);
    for (size_t at = 0; at < names.size; at += strlen((char *)names.data + at) + 1) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/%s", dir, (char *)names.data + at);
        (void)env->disk->unlink(env, path);
    }
    buf_close(&names);
}

static void wipe(struct env *env)
{
    static const char *const dirs[] = {"data", "data/wal", "data/snapshots"};
    for (size_t i = 0; i < 3; i++) {
        wipe_dir(env, dirs[i]);
    }
}

/* ---- what is left of a member ------------------------------------------------------------- */

static void open_survivor(struct fixture *x, size_t i, struct survivor *s)
{
    enum status rc = survivor_open(env_of(x, i), "data", s, &x->err);
    ck_assert_msg(rc == RC_OK, "%s", x->err.text);
}

static struct store *load_survivor(struct fixture *x, const struct survivor *s,
                                   struct replay *r)
{
    struct store *store;
    enum status rc = survivor_load(s, &store, r, &x->err);
    ck_assert_msg(rc == RC_OK, "%s", x->err.text);
    return store;
}

START_TEST(what_is_left_has_all_that_was_acknowledged_and_stays_as_it_is)
{
    struct fixture x;
    init(&x, 3, (uint64_t)_i + 1);
    write_some(&x, 20);
    uint64_t digest = 0;
    uint64_t index = 0;
    for (size_t i = 0; i < 3; i++) {
        const struct store *s = node_store(x.cluster.members[i].node);
        digest = store_applied_index(s) > index ? store_digest(s) : digest;
        index = store_applied_index(s) > index ? store_applied_index(s) : index;
    }
    kill_all(&x);
    for (size_t i = 0; i < 3; i++) {
        struct survivor s;
        struct replay r;
        uint64_t sum = sum_of(env_of(&x, i), "data");
        open_survivor(&x, i, &s);
        ck_assert_uint_eq(s.last_index, index);
        ck_assert_uint_eq(s.configuration.count, 3);
        struct store *store = load_survivor(&x, &s, &r);
        ck_assert_uint_eq(r.index, index);
        ck_assert_uint_eq(store_digest(store), digest);
        ck_assert_uint_eq(sum_of(env_of(&x, i), "data"), sum);
        replay_close(&r);
        store_free(store);
        survivor_close(&s);
    }
    finish(&x);
}
END_TEST

START_TEST(a_member_that_was_cut_off_is_behind_the_others)
{
    struct fixture x;
    init(&x, 3, 5);
    write_some(&x, 5);
    size_t behind = fake_cluster_follower(&x.cluster);
    fake_cluster_kill(&x.cluster, behind);
    write_some(&x, 5);
    kill_all(&x);
    struct survivor s[3];
    for (size_t i = 0; i < 3; i++) {
        open_survivor(&x, i, &s[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        if (i != behind) {
            ck_assert(survivor_is_ahead(&s[i], &s[behind]));
            ck_assert(!survivor_is_ahead(&s[behind], &s[i]));
        }
    }
    ck_assert(!survivor_is_ahead(&s[0], &s[0]));
    for (size_t i = 0; i < 3; i++) {
        survivor_close(&s[i]);
    }
    finish(&x);
}
END_TEST

START_TEST(a_later_term_is_further_than_a_longer_log)
{
    struct survivor longer = {.last_index = 100, .last_term = 3};
    struct survivor later = {.last_index = 90, .last_term = 4};
    ck_assert(survivor_is_ahead(&later, &longer));
    ck_assert(!survivor_is_ahead(&longer, &later));
}
END_TEST

START_TEST(what_is_no_data_dir_or_is_damaged_is_named)
{
    struct fixture x;
    struct survivor s;
    init(&x, 1, 1);
    write_some(&x, 8);
    kill_all(&x);
    ck_assert_int_eq(survivor_open(env_of(&x, 0), "nowhere", &s, &x.err), RC_NOT_FOUND);
    ck_assert(strstr(x.err.text, "nowhere is no data dir") != NULL);
    struct buf *segment =
        fake_env_find(&x.cluster.members[0].disk, "data/wal/wal-0000000000000001.seg");
    segment->data[128 + 50] ^= 1;
    ck_assert_int_eq(survivor_open(env_of(&x, 0), "data", &s, &x.err), RC_CORRUPT);
    ck_assert(strstr(x.err.text, "wal-0000000000000001.seg") != NULL);
    finish(&x);
}
END_TEST

/* Its state now as a snapshot of `term`, beside those it has. */
static uint64_t put_snapshot(struct fixture *x, uint64_t term)
{
    const struct node *n = x->cluster.members[0].node;
    struct snapshot_meta meta = {.term = term, .cluster_id = node_cluster_id(n)};
    buf_append_slice(&meta.configuration,
                     engine_applied_configuration(n->engine, &meta.configuration_index));
    enum status rc =
        snapshot_store_write(env_of(x, 0), "data/snapshots", n->store, &meta, &x->err);
    ck_assert_msg(rc == RC_OK, "%s", x->err.text);
    snapshot_meta_close(&meta);
    return store_applied_index(n->store);
}

START_TEST(a_snapshot_whose_log_is_gone_is_not_taken_for_all_there_was)
{
    struct fixture x;
    struct survivor s;
    init(&x, 1, 1);
    write_some(&x, 5);
    (void)put_snapshot(&x, 1);
    write_some(&x, 5);
    kill_all(&x);
    wipe_dir(env_of(&x, 0), "data/wal");
    ck_assert_int_eq(survivor_open(env_of(&x, 0), "data", &s, &x.err), RC_CORRUPT);
    ck_assert(strstr(x.err.text, "data: its log is gone") != NULL);
    finish(&x);
}
END_TEST

START_TEST(entries_that_an_installed_snapshot_replaced_are_not_followed)
{
    struct fixture x;
    struct survivor s;
    struct replay r;
    init(&x, 1, 1);
    write_some(&x, 5);
    uint64_t index = put_snapshot(&x, 100);
    uint64_t digest = store_digest(node_store(x.cluster.members[0].node));
    write_some(&x, 5);
    kill_all(&x);
    open_survivor(&x, 0, &s);
    ck_assert_uint_eq(s.last_index, index);
    ck_assert_uint_eq(s.last_term, 100);
    struct store *store = load_survivor(&x, &s, &r);
    ck_assert_uint_eq(r.index, index);
    ck_assert_uint_eq(store_digest(store), digest);
    replay_close(&r);
    store_free(store);
    survivor_close(&s);
    finish(&x);
}
END_TEST

/* ---- a single node out of it -------------------------------------------------------------- */

static struct node *open_single(struct fixture *x, const char *dir)
{
    struct node *n;
    struct node_options options = {.env = env_of(x, 0), .data_dir = dir, .name = "n1"};
    enum status rc = node_open(&options, &n, &x->err);
    ck_assert_msg(rc == RC_OK, "%s", x->err.text);
    return n;
}

static void run_single(struct fixture *x, struct node *n)
{
    for (int i = 0; i < 8; i++) {
        node_turn(n);
        fake_env_run(&x->cluster.members[0].disk);
    }
}

static struct rebirth_options single(struct fixture *x, const char *dir)
{
    return (struct rebirth_options){
        .env = env_of(x, 0), .data_dir = dir, .name = "n1", .token = "t", .term = 7};
}

START_TEST(a_node_starts_from_it_goes_on_and_starts_again)
{
    struct fixture x;
    struct survivor s;
    struct replay r;
    struct rebirth_report report;
    init(&x, 3, 3);
    write_some(&x, 10);
    kill_all(&x);
    open_survivor(&x, 0, &s);
    struct store *store = load_survivor(&x, &s, &r);
    uint64_t revision = store_revision(store);
    uint64_t content = store_content_digest(store);
    struct rebirth_options options = single(&x, "new");
    options.term = r.term;
    options.cluster_id = s.identity.cluster_id;
    ck_assert_int_eq(rebirth_write(&options, store, &report, &x.err), RC_OK);
    ck_assert_uint_ne(report.cluster_id, s.identity.cluster_id);
    ck_assert_int_eq(rebirth_write(&options, store, &report, &x.err), RC_EXISTS);
    fake_env_power_cut(&x.cluster.members[0].disk);

    uint64_t term = 0;
    for (int life = 0; life < 2; life++) {
        struct node *n = open_single(&x, "new");
        struct node_status status;
        run_single(&x, n);
        node_status(n, &status);
        ck_assert_str_eq(status.state, "leader");
        ck_assert(status.serving);
        ck_assert_uint_ge(status.revision, revision + REBIRTH_GAP);
        ck_assert_uint_gt(status.term, r.term);
        ck_assert_uint_ge(status.term, term);
        term = status.term;
        if (life == 0) {
            ck_assert_uint_eq(store_content_digest(node_store(n)), content);
        }
        size_t before = x.acknowledged;
        write_at(&x, n);
        run_single(&x, n);
        ck_assert_uint_eq(x.acknowledged, before + 1);
        ck_assert_uint_ge(store_revision(node_store(n)),
                          revision + REBIRTH_GAP + 1 + (uint64_t)life);
        node_close(n);
    }
    replay_close(&r);
    store_free(store);
    survivor_close(&s);
    finish(&x);
}
END_TEST

/* Nothing is promised from a dir that is not complete, and what is complete is durable. */
START_TEST(a_power_cut_at_any_call_leaves_a_dir_that_is_complete_or_that_no_node_starts_from)
{
    bool has_struck = true;
    int complete = 0;
    int torn = 0;
    for (uint64_t calls = 1 + (uint64_t)_i; has_struck; calls += POWER_CUTS) {
        struct fixture x;
        struct rebirth_report report;
        struct identity identity;
        init(&x, 1, calls);
        kill_all(&x);
        struct store *store = store_new();
        store_skip(store, 5);
        struct rebirth_options options = single(&x, "new");
        struct fake_env *disk = &x.cluster.members[0].disk;
        fake_env_arm(disk, calls, FAKE_FAULT_POWER, RC_IO);
        enum status rc = rebirth_write(&options, store, &report, &x.err);
        has_struck = fake_env_has_struck(disk);
        fake_env_power_cut(disk);
        ck_assert_int_eq(identity_load(env_of(&x, 0), "new", &identity, &x.err), RC_OK);
        ck_assert(rc != RC_OK || identity.phase == IDENTITY_MEMBER);
        if (identity.phase == IDENTITY_MEMBER) {
            struct node *n = open_single(&x, "new");
            run_single(&x, n);
            ck_assert_uint_eq(store_revision(node_store(n)), 1 + REBIRTH_GAP);
            ck_assert_uint_eq(node_cluster_id(n), identity.cluster_id);
            node_close(n);
            complete++;
        } else {
            torn++;
        }
        store_free(store);
        finish(&x);
    }
    ck_assert_int_ge(complete, 1);
    ck_assert_int_ge(torn, 2);
}
END_TEST

START_TEST(a_dir_that_holds_something_is_refused_but_for_a_lock_and_lost_found)
{
    struct fixture x;
    init(&x, 1, 1);
    kill_all(&x);
    struct fake_env *disk = &x.cluster.members[0].disk;
    ck_assert_int_eq(rebirth_check_dir(env_of(&x, 0), "new", &x.err), RC_OK);
    fake_env_put(disk, "new/lock", slice_str(""));
    fake_env_put(disk, "new/lost+found", slice_str(""));
    ck_assert_int_eq(rebirth_check_dir(env_of(&x, 0), "new", &x.err), RC_OK);
    fake_env_put(disk, "new/photos", slice_str("!"));
    ck_assert_int_eq(rebirth_check_dir(env_of(&x, 0), "new", &x.err), RC_EXISTS);
    ck_assert(strstr(x.err.text, "\"photos\"") != NULL);
    finish(&x);
}
END_TEST

/* ---- members ------------------------------------------------------------------------------ */

/* Each member's dir is made for itself, of a copy of the state of its own. */
static void be_reborn_as_three(struct fixture *x, const char *const *tokens,
                               struct rebirth_report *reports)
{
    struct survivor s;
    struct replay r;
    for (size_t i = 0; i < 3; i++) {
        open_survivor(x, 0, &s);
        struct store *store = load_survivor(x, &s, &r);
        struct rebirth_options options = {.env = env_of(x, i),
                                          .data_dir = i == 0 ? "new" : "data",
                                          .name = x->cluster.names[i].name,
                                          .members = x->cluster.names,
                                          .member_count = 3,
                                          .token = tokens[i],
                                          .term = r.term,
                                          .cluster_id = s.identity.cluster_id};
        if (i > 0) {
            wipe(env_of(x, i));
        }
        enum status rc = rebirth_write(&options, store, &reports[i], &x->err);
        ck_assert_msg(rc == RC_OK, "%s", x->err.text);
        replay_close(&r);
        store_free(store);
        survivor_close(&s);
    }
    /* The first one's was in use as the source until now. */
    open_survivor(x, 0, &s);
    struct store *store = load_survivor(x, &s, &r);
    struct rebirth_options options = {.env = env_of(x, 0),
                                      .data_dir = "data",
                                      .name = x->cluster.names[0].name,
                                      .members = x->cluster.names,
                                      .member_count = 3,
                                      .token = tokens[0],
                                      .term = r.term,
                                      .cluster_id = s.identity.cluster_id};
    survivor_close(&s);
    wipe(env_of(x, 0));
    ck_assert_int_eq(rebirth_write(&options, store, &reports[0], &x->err), RC_OK);
    replay_close(&r);
    store_free(store);
}

START_TEST(three_members_restored_with_one_token_are_one_cluster)
{
    static const char *const tokens[] = {"together", "together", "together"};
    struct fixture x;
    struct rebirth_report reports[3];
    init(&x, 3, (uint64_t)_i + 11);
    write_some(&x, 10);
    kill_all(&x);
    be_reborn_as_three(&x, tokens, reports);
    for (size_t i = 1; i < 3; i++) {
        ck_assert_uint_eq(reports[i].cluster_id, reports[0].cluster_id);
        ck_assert_uint_ne(reports[i].node_id, reports[0].node_id);
        ck_assert_uint_eq(reports[i].digest, reports[0].digest);
        ck_assert_uint_eq(reports[i].index, reports[0].index);
    }
    for (size_t i = 0; i < 3; i++) {
        fake_cluster_start(&x.cluster, i);
    }
    write_some(&x, 10);
    uint64_t digest = store_digest(node_store(x.cluster.members[0].node));
    for (size_t i = 0; i < 3; i++) {
        const struct store *s = node_store(x.cluster.members[i].node);
        ck_assert_uint_eq(store_digest(s), digest);
        ck_assert_uint_ge(store_revision(s), reports[0].revision + 10);
        ck_assert_int_eq(x.cluster.members[i].fatals, 0);
    }
    finish(&x);
}
END_TEST

START_TEST(members_restored_with_different_tokens_do_not_mix)
{
    static const char *const tokens[] = {"one", "two", "three"};
    struct fixture x;
    struct rebirth_report reports[3];
    init(&x, 3, 21);
    write_some(&x, 3);
    kill_all(&x);
    be_reborn_as_three(&x, tokens, reports);
    ck_assert_uint_ne(reports[0].cluster_id, reports[1].cluster_id);
    for (size_t i = 0; i < 3; i++) {
        fake_cluster_start(&x.cluster, i);
    }
    fake_cluster_run(&x.cluster, 3000);
    for (size_t i = 0; i < 3; i++) {
        struct node_status status;
        node_status(x.cluster.members[i].node, &status);
        ck_assert(!status.serving);
        ck_assert_uint_eq(status.leader_id, 0);
    }
    finish(&x);
}
END_TEST

/* ---- replay ------------------------------------------------------------------------------- */

/* One entry with `count` creates, from `first` on. */
static struct wal_entry entry_with(struct buf *bytes, uint64_t index, int first, int count)
{
    buf_clear(bytes);
    size_t at = batch_begin(bytes);
    for (int i = 0; i < count; i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "/n%d", first + i);
        struct op op = {.type = OP_CREATE, .space = SPACE_NODES, .path = slice_str(path)};
        struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
        command_encode(bytes, &c);
    }
    struct batch_header header = {
        .level = 1, .count = (uint32_t)count, .cluster_ms = index, .wall_ms = index * 1000};
    batch_seal(bytes, at, &header);
    return (struct wal_entry){
        .index = index, .term = 1, .type = ENTRY_COMMAND, .payload = buf_slice(bytes)};
}

/* Ten entries of five commands each; entry i is of second i. */
static uint64_t replay_to(const struct replay_target *target, struct replay *r)
{
    struct errmsg err = {0};
    struct buf bytes = {0};
    struct store *s = store_new();
    replay_open(r, s, NULL, target);
    for (uint64_t i = 1; i <= 10; i++) {
        struct wal_entry e = entry_with(&bytes, i, (int)i * 5, 5);
        ck_assert_int_eq(replay_entry(r, &e, &err), RC_OK);
    }
    store_check(s);
    uint64_t revision = store_revision(s);
    replay_close(r);
    store_free(s);
    buf_close(&bytes);
    return revision;
}

START_TEST(a_replay_ends_exactly_at_a_revision_an_index_or_a_time)
{
    struct replay r;
    struct replay_target all = {0};
    ck_assert_uint_eq(replay_to(&all, &r), 51);
    ck_assert(!r.is_reached);
    ck_assert_uint_eq(r.index, 10);
    for (uint64_t revision = 1; revision <= 51; revision++) { /* also amid an entry */
        struct replay_target target = {.revision = revision};
        ck_assert_uint_eq(replay_to(&target, &r), revision);
        ck_assert(r.is_reached);
        ck_assert_uint_eq(r.index, (revision - 1) / 5);
    }
    for (uint64_t index = 1; index <= 10; index++) {
        struct replay_target target = {.index = index};
        ck_assert_uint_eq(replay_to(&target, &r), 1 + 5 * index);
        ck_assert(r.is_reached);
    }
    for (uint64_t ms = 999; ms <= 9999; ms++) {
        struct replay_target target = {.wall_ms = ms};
        ck_assert_uint_eq(replay_to(&target, &r), 1 + 5 * (ms / 1000));
        ck_assert(r.is_reached);
        ms += ms % 1000 == 1 ? 997 : 0;
    }
    struct replay_target later = {.wall_ms = 10000};
    ck_assert_uint_eq(replay_to(&later, &r), 51);
    ck_assert(!r.is_reached);
}
END_TEST

START_TEST(entries_that_do_not_follow_or_make_no_sense_are_refused)
{
    struct replay r;
    struct errmsg err = {0};
    struct buf bytes = {0};
    const struct replay_target all = {0};
    struct store *s = store_new();
    replay_open(&r, s, NULL, &all);
    struct wal_entry e = entry_with(&bytes, 2, 1, 1);
    ck_assert_int_eq(replay_entry(&r, &e, &err), RC_CORRUPT);
    ck_assert_str_eq(err.text, "entry 2 of term 1 does not follow entry 0 of term 0");
    e.index = 1;
    e.type = 9;
    ck_assert_int_eq(replay_entry(&r, &e, &err), RC_CORRUPT);
    e.type = ENTRY_CHANGE;
    ck_assert_int_eq(replay_entry(&r, &e, &err), RC_CORRUPT);
    e.type = ENTRY_COMMAND;
    e.payload.size--;
    ck_assert_int_eq(replay_entry(&r, &e, &err), RC_CORRUPT);
    e.payload.size = 5;
    ck_assert_int_eq(replay_entry(&r, &e, &err), RC_CORRUPT);
    replay_close(&r);
    store_free(s);
    buf_close(&bytes);
}
END_TEST

static Suite *rebirth_suite(void)
{
    Suite *suite = suite_create("rebirth");
    TCase *tcase = tcase_create("rebirth");
    tcase_add_loop_test(tcase, what_is_left_has_all_that_was_acknowledged_and_stays_as_it_is, 0,
                        5);
    tcase_add_test(tcase, a_member_that_was_cut_off_is_behind_the_others);
    tcase_add_test(tcase, a_later_term_is_further_than_a_longer_log);
    tcase_add_test(tcase, what_is_no_data_dir_or_is_damaged_is_named);
    tcase_add_test(tcase, a_snapshot_whose_log_is_gone_is_not_taken_for_all_there_was);
    tcase_add_test(tcase, entries_that_an_installed_snapshot_replaced_are_not_followed);
    tcase_add_test(tcase, a_node_starts_from_it_goes_on_and_starts_again);
    tcase_add_loop_test(
        tcase,
        a_power_cut_at_any_call_leaves_a_dir_that_is_complete_or_that_no_node_starts_from, 0,
        POWER_CUTS);
    tcase_add_test(tcase, a_dir_that_holds_something_is_refused_but_for_a_lock_and_lost_found);
    tcase_add_loop_test(tcase, three_members_restored_with_one_token_are_one_cluster, 0, 3);
    tcase_add_test(tcase, members_restored_with_different_tokens_do_not_mix);
    tcase_add_test(tcase, a_replay_ends_exactly_at_a_revision_an_index_or_a_time);
    tcase_add_test(tcase, entries_that_do_not_follow_or_make_no_sense_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){rebirth_suite, NULL});
}
