/* How a node starts: data dirs that are new, its own, somebody else's, or have lost something; and
 * that nothing acknowledged is lost by a power cut at any disk call. */
#include <stdio.h>

#include "base/mem.h"
#include "raft/identity.h"
#include "raft/node.h"
#include "store/store.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"

#define DIR    "data"
#define WRITES 400
#define FAR    ((uint64_t)1 << 40)

struct fixture {
    struct fake_env fake;
    struct node_options options;
    struct node_member members[3];
    struct node *node;
    struct errmsg err;
    struct node_write *writes;
    size_t written; /* begun so far */
    size_t acknowledged;
};

static void init(struct fixture *x, uint64_t seed)
{
    *x = (struct fixture){.members = {{"n1", "h1", 1}, {"n2", "h2", 2}, {"n3", "h3", 3}}};
    fake_env_init(&x->fake, seed);
    x->writes = mem_zalloc(WRITES * sizeof *x->writes);
    x->options = (struct node_options){
        .env = &x->fake.env, .data_dir = DIR, .name = "n1", .wal_segment_bytes = 16384};
}

static enum status try_open(struct fixture *x)
{
    x->node = NULL;
    return node_open(&x->options, &x->node, &x->err);
}

static void open_node(struct fixture *x)
{
    ck_assert_msg(try_open(x) == RC_OK, "%s", x->err.text);
}

static void run(struct fixture *x)
{
    for (int i = 0; i < 6; i++) {
        node_turn(x->node);
        fake_env_run(&x->fake);
    }
}

static void close_node(struct fixture *x)
{
    if (x->node != NULL) {
        node_close(x->node);
    }
    x->node = NULL;
}

static void finish(struct fixture *x)
{
    close_node(x);
    mem_free(x->writes);
    fake_env_close(&x->fake);
}

static void on_written(struct node_write *w, enum status rc, const struct reply *reply)
{
    struct fixture *x = w->owner;
    x->acknowledged += rc == RC_OK && reply->outcome == OUTCOME_OK;
}

static enum status write_next(struct fixture *x)
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
    return node_write(x->node, w, &c, FAR);
}

static struct node_status look(const struct fixture *x)
{
    struct node_status status;
    node_status(x->node, &status);
    return status;
}

/* ---- whose dir it is ------------------------------------------------------------------------ */

START_TEST(a_restart_is_the_same_node_with_the_same_state)
{
    struct fixture x;
    init(&x, 1);
    open_node(&x);
    run(&x);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(write_next(&x), RC_OK);
        run(&x);
    }
    struct node_status before = look(&x);
    ck_assert_uint_eq(x.acknowledged, 10);
    close_node(&x);
    open_node(&x);
    run(&x);
    struct node_status after = look(&x);
    ck_assert_str_eq(after.state, "leader");
    ck_assert(after.serving);
    ck_assert_uint_eq(after.cluster_id, before.cluster_id);
    ck_assert_uint_eq(after.node_id, before.node_id);
    ck_assert_uint_eq(after.digest, before.digest);
    ck_assert_uint_eq(after.revision, before.revision);
    finish(&x);
}
END_TEST

/* A single voter goes on in its old term: the log that it applies again begins in that term too. */
START_TEST(cluster_time_goes_on_where_it_was)
{
    struct fixture x;
    init(&x, 1);
    open_node(&x);
    run(&x);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(write_next(&x), RC_OK);
        run(&x);
        fake_env_advance(&x.fake, 60000);
    }
    uint64_t before = store_cluster_ms(node_store(x.node));
    ck_assert_uint_ge(before, 9 * 60000);
    close_node(&x);
    open_node(&x);
    run(&x);
    fake_env_advance(&x.fake, 500);
    ck_assert_uint_ge(look(&x).cluster_ms, before + 500);
    ck_assert_int_eq(write_next(&x), RC_OK);
    run(&x);
    ck_assert_uint_ge(store_cluster_ms(node_store(x.node)), before + 500);

    fake_env_advance(&x.fake,
                     3600000); /* nothing was logged meanwhile, and it passed all the same */
    run(&x);
    ck_assert_uint_ge(look(&x).cluster_ms, before + 3600500);
    ck_assert_uint_le(look(&x).cluster_ms, before + 3602000);
    finish(&x);
}
END_TEST

START_TEST(a_list_of_one_member_is_a_single_node)
{
    struct fixture x;
    init(&x, 1);
    x.options.members = x.members;
    x.options.member_count = 1;
    open_node(&x);
    run(&x);
    ck_assert_int_eq(write_next(&x), RC_OK);
    run(&x);
    ck_assert_uint_eq(x.acknowledged, 1);
    ck_assert_str_eq(look(&x).state, "leader");
    close_node(&x);
    open_node(&x);
    finish(&x);
}
END_TEST

START_TEST(lists_of_members_that_cannot_work_are_refused)
{
    struct fixture x;
    init(&x, 1);
    x.options.members = x.members;
    x.options.member_count = 3;
    x.options.name = "n4";
    ck_assert_int_eq(try_open(&x), RC_INVALID);
    ck_assert(strstr(x.err.text, "n4") != NULL);
    x.options.name = "n1";
    ck_assert_int_eq(try_open(&x), RC_INVALID); /* nothing to listen on */
    x.options.peer_host = "h1";
    (void)snprintf(x.members[2].name, sizeof x.members[2].name, "n2");
    ck_assert_int_eq(try_open(&x), RC_INVALID);
    ck_assert(strstr(x.err.text, "twice") != NULL);
    x.options.member_count = NODE_MEMBERS_MAX + 1;
    ck_assert_int_eq(try_open(&x), RC_INVALID);
    ck_assert_uint_eq(fake_env_file_count(&x.fake), 0);
    finish(&x);
}
END_TEST

START_TEST(another_node_s_dir_is_refused)
{
    struct fixture x;
    init(&x, 1);
    open_node(&x);
    run(&x);
    close_node(&x);
    x.options.name = "n2";
    ck_assert_int_eq(try_open(&x), RC_INVALID);
    ck_assert(strstr(x.err.text, "\"n1\"") != NULL);
    x.options.name = "n1"; /* nor does a single node become a member by a flag */
    x.options.members = x.members;
    x.options.member_count = 3;
    x.options.peer_host = "h1";
    ck_assert_int_eq(try_open(&x), RC_INVALID);
    finish(&x);
}
END_TEST

/* Bootstrapping it as a cluster of one, under the cluster's id, would split it. */
START_TEST(an_interrupted_first_start_of_a_member_needs_the_members_again)
{
    struct fixture x;
    init(&x, 1);
    struct identity id = {.phase = IDENTITY_PENDING, .cluster_id = 5, .node_id = 6};
    id.initial = identity_of_members(x.members, 3);
    (void)snprintf(id.name, sizeof id.name, "n1");
    ck_assert_int_eq(identity_save(&x.fake.env, DIR, &id, &x.err), RC_OK);
    ck_assert_int_eq(try_open(&x), RC_INVALID);
    ck_assert(strstr(x.err.text, "interrupted") != NULL);
    finish(&x);
}
END_TEST

/* ---- what is lost --------------------------------------------------------------------------- */

static void note_name(void *context, const char *name, uint64_t bytes)
{
    (void)bytes;
    buf_append(context, name, strlen(name) + 1);
}

static void empty_dir(struct fixture *x, const char *dir)
{
    struct buf names = {0};
    struct env *env = &x->fake.env;
    ck_assert_int_eq(env->disk->list(env, dir, note_name, &names), RC_OK);
    ck_assert_uint_gt(names.size, 0);
    for (size_t at = 0; at < names.size; at += strlen((char *)names.data + at) + 1) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/%s", dir, (char *)names.data + at);
        ck_assert_int_eq(env->disk->unlink(env, path), RC_OK);
    }
    buf_close(&names);
    fake_env_settle(&x->fake);
}

START_TEST(a_member_that_lost_its_log_does_not_start)
{
    struct fixture x;
    init(&x, 1);
    open_node(&x);
    run(&x);
    ck_assert_int_eq(write_next(&x), RC_OK);
    run(&x);
    close_node(&x);
    empty_dir(&x, DIR "/wal");
    ck_assert_int_eq(try_open(&x), RC_CORRUPT);
    ck_assert(strstr(x.err.text, "replace") != NULL);
    finish(&x);
}
END_TEST

/* Writes until a snapshot has shortened the log. */
static void fill(struct fixture *x)
{
    x->options.snapshot_log_bytes = 4096;
    x->options.trailing_log_bytes = 512;
    open_node(x);
    run(x);
    while (look(x).snapshot_index < 60 && x->written < WRITES) {
        ck_assert_int_eq(write_next(x), RC_OK);
        for (int i = 0; i < 3; i++) {
            run(x);
            fake_env_advance(&x->fake, 1);
        }
    }
    ck_assert_uint_ge(look(x).snapshot_index, 60);
}

START_TEST(a_member_that_has_only_its_snapshots_left_does_not_start)
{
    struct fixture x;
    init(&x, 1);
    fill(&x);
    close_node(&x);
    empty_dir(&x, DIR "/wal");
    for (int i = 0; i < 2; i++) { /* nor when it is tried again */
        ck_assert_int_eq(try_open(&x), RC_CORRUPT);
        ck_assert(strstr(x.err.text, "log of this member is gone") != NULL);
    }
    finish(&x);
}
END_TEST

START_TEST(a_restart_goes_on_from_snapshot_and_log)
{
    struct fixture x;
    init(&x, 1);
    fill(&x);
    struct node_status before = look(&x);
    uint64_t cluster_ms = store_cluster_ms(node_store(x.node));
    close_node(&x);
    open_node(&x);
    run(&x);
    struct node_status after = look(&x);
    ck_assert_uint_eq(after.digest, before.digest);
    ck_assert_uint_eq(after.snapshot_index, before.snapshot_index);
    ck_assert_uint_ge(after.applied_index, before.applied_index);
    ck_assert_uint_ge(after.cluster_ms, cluster_ms);
    ck_assert_int_eq(write_next(&x), RC_OK);
    run(&x);
    ck_assert_uint_eq(x.acknowledged, x.written);
    finish(&x);
}
END_TEST

START_TEST(a_missing_snapshot_is_not_replaced_by_guesses)
{
    struct fixture x;
    init(&x, 1);
    fill(&x);
    close_node(&x);
    empty_dir(&x, DIR "/snapshots");
    ck_assert_int_eq(try_open(&x), RC_CORRUPT);
    finish(&x);
}
END_TEST

/* ---- power cuts ------------------------------------------------------------------------------ */

START_TEST(a_power_cut_at_any_call_loses_no_acknowledged_write)
{
    bool strikes = true;
    for (uint64_t n = 1; strikes; n += 1 + n / 40) {
        struct fixture x;
        init(&x, n + 1000 * (uint64_t)_i);
        fake_env_arm(&x.fake, n, FAKE_FAULT_POWER, RC_IO);
        if (try_open(&x) == RC_OK) {
            for (int i = 0; i < 6 && !fake_env_has_struck(&x.fake); i++) {
                (void)write_next(&x);
                run(&x);
            }
        }
        strikes = fake_env_has_struck(&x.fake);
        close_node(&x);
        size_t acknowledged = x.acknowledged;
        fake_env_power_cut(&x.fake);
        ck_assert_msg(try_open(&x) == RC_OK, "call %d: %s", (int)n, x.err.text);
        run(&x);
        struct store *empty = store_new();
        ck_assert_uint_ge(look(&x).node_count, store_node_count(empty) + acknowledged);
        store_free(empty);
        ck_assert_int_eq(write_next(&x), RC_OK);
        run(&x);
        ck_assert_uint_eq(x.acknowledged, acknowledged + 1);
        finish(&x);
    }
}
END_TEST

static Suite *open_suite(void)
{
    Suite *suite = suite_create("node_open");
    TCase *tcase = tcase_create("node_open");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_restart_is_the_same_node_with_the_same_state);
    tcase_add_test(tcase, cluster_time_goes_on_where_it_was);
    tcase_add_test(tcase, a_list_of_one_member_is_a_single_node);
    tcase_add_test(tcase, lists_of_members_that_cannot_work_are_refused);
    tcase_add_test(tcase, another_node_s_dir_is_refused);
    tcase_add_test(tcase, an_interrupted_first_start_of_a_member_needs_the_members_again);
    tcase_add_test(tcase, a_member_that_lost_its_log_does_not_start);
    tcase_add_test(tcase, a_member_that_has_only_its_snapshots_left_does_not_start);
    tcase_add_test(tcase, a_restart_goes_on_from_snapshot_and_log);
    tcase_add_test(tcase, a_missing_snapshot_is_not_replaced_by_guesses);
    tcase_add_loop_test(tcase, a_power_cut_at_any_call_loses_no_acknowledged_write, 0, 3);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){open_suite, NULL});
}
