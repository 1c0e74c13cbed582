/* Notes between members: they arrive where they are sent, or it is said that they cannot be sent;
 * and nothing of them is kept. */
#include "tests/support/check_main.h"
#include "tests/support/fake_cluster.h"

#define ELECTION_MS 100

static struct fake_cluster cluster;

struct inbox {
    size_t count;
    uint64_t from;
    struct buf last;
};

static struct inbox boxes[3];

static struct node *at(size_t i)
{
    return cluster.members[i].node;
}

static void on_note(void *context, uint64_t from, struct slice note)
{
    struct inbox *box = context;
    box->count++;
    box->from = from;
    buf_clear(&box->last);
    buf_append_slice(&box->last, note);
}

static void setup(void)
{
    fake_cluster_open(&cluster, 3, ELECTION_MS, 1);
    (void)fake_cluster_leader(&cluster);
    for (size_t i = 0; i < 3; i++) {
        node_on_notes(at(i), on_note, &boxes[i]);
    }
}

static void teardown(void)
{
    fake_cluster_close(&cluster);
    for (size_t i = 0; i < 3; i++) {
        buf_close(&boxes[i].last);
    }
}

START_TEST(a_note_arrives_at_the_member_it_is_sent_to_and_at_no_other)
{
    size_t leader = fake_cluster_leader(&cluster);
    size_t follower = fake_cluster_follower(&cluster);
    uint64_t to = node_leader_id(at(follower));
    ck_assert_uint_eq(to, node_id(at(leader)));
    ck_assert(node_send_note(at(follower), to, slice_str("hello")));
    fake_cluster_run(&cluster, 10);
    ck_assert_uint_eq(boxes[leader].count, 1);
    ck_assert_uint_eq(boxes[leader].from, node_id(at(follower)));
    ck_assert(slice_is(buf_slice(&boxes[leader].last), "hello"));
    ck_assert(node_send_note(at(leader), node_id(at(follower)), slice_make(NULL, 0)));
    fake_cluster_run(&cluster, 10);
    ck_assert_uint_eq(boxes[follower].count, 1);
    ck_assert_uint_eq(boxes[follower].last.size, 0);
    ck_assert_uint_eq(boxes[0].count + boxes[1].count + boxes[2].count, 2);
}
END_TEST

START_TEST(the_largest_note_arrives_and_is_not_in_the_log)
{
    size_t leader = fake_cluster_leader(&cluster);
    size_t follower = fake_cluster_follower(&cluster);
    fake_cluster_run(&cluster, 1000); /* all that a new cluster logs is logged */
    uint64_t index = store_applied_index(node_store(at(leader)));
    struct buf large = {0};
    memset(buf_extend(&large, NODE_NOTE_BYTES_MAX), 'x', NODE_NOTE_BYTES_MAX);
    ck_assert(node_send_note(at(follower), node_id(at(leader)), buf_slice(&large)));
    fake_cluster_run(&cluster, 50);
    ck_assert(slice_equal(buf_slice(&boxes[leader].last), buf_slice(&large)));
    ck_assert_uint_eq(store_applied_index(node_store(at(leader))), index);
    buf_close(&large);
}
END_TEST

START_TEST(what_cannot_be_sent_is_said_so_and_what_nobody_hears_does_no_harm)
{
    size_t leader = fake_cluster_leader(&cluster);
    size_t follower = fake_cluster_follower(&cluster);
    uint64_t to = node_id(at(leader));
    ck_assert(!node_send_note(at(leader), to, slice_str("to itself")));
    ck_assert(!node_send_note(at(leader), 0, slice_str("to nobody")));
    ck_assert(!node_send_note(at(leader), 12345, slice_str("to a stranger")));
    node_on_notes(at(leader), NULL, NULL);
    ck_assert(node_send_note(at(follower), to, slice_str("unheard")));
    fake_cluster_run(&cluster, 10);
    ck_assert_uint_eq(boxes[leader].count, 0);
    fake_cluster_kill(&cluster, leader);
    fake_cluster_run(&cluster, 10);
    ck_assert(!node_send_note(at(follower), to, slice_str("to the dead")));
}
END_TEST

static Suite *note_suite(void)
{
    Suite *suite = suite_create("node_note");
    TCase *tcase = tcase_create("node_note");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_note_arrives_at_the_member_it_is_sent_to_and_at_no_other);
    tcase_add_test(tcase, the_largest_note_arrives_and_is_not_in_the_log);
    tcase_add_test(tcase, what_cannot_be_sent_is_said_so_and_what_nobody_hears_does_no_harm);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){note_suite, NULL});
}
