/* Signs of life and load on the leader and on another member, and how one learns from the other. */
#include "net/checks/vitals.h"

#include "net/checks/vital_note.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"
#include "tests/support/fake_node.h"

/* The other member, as each of the two knows it. */
#define OTHER 12

struct member {
    struct node *node;
    struct vitals *vitals;
    uint64_t told_from; /* revision of its latest notice of a heartbeat */
};

static struct fake_env env;
static struct member leader;
static struct member follower;

static void on_beat(void *context, struct slice path, uint64_t revision,
                    const struct service_load *load, uint64_t now_ms)
{
    struct member *m = context;
    ck_assert(path.size > 0 && now_ms == env.env.now_ms(&env.env));
    ck_assert(load == NULL || load->cpu <= 1);
    m->told_from = revision;
}

static void member_open(struct member *m, bool leads)
{
    *m = (struct member){.node = fake_node_new()};
    m->node->is_leading = leads;
    m->vitals = vitals_new(&(struct vitals_options){.env = &env.env, .node = m->node});
    vitals_listen(m->vitals, on_beat, m);
}

static void member_close(struct member *m)
{
    vitals_free(m->vitals);
    fake_node_free(m->node);
}

static void world_open(void)
{
    fake_env_init(&env, 1);
    fake_env_advance(&env, 100000);
    member_open(&leader, true);
    member_open(&follower, false);
}

static void world_close(void)
{
    member_close(&leader);
    member_close(&follower);
    fake_env_close(&env);
}

/* On a member; its revision there, which is the same on both as they do the same. */
static uint64_t put(struct member *m, const char *path, const char *text, enum op_type type)
{
    struct reply reply;
    const struct op op = {.type = (uint8_t)type,
                          .flags = type == OP_CREATE ? OP_MAKE_PARENTS : 0,
                          .space = SPACE_NODES,
                          .path = slice_str(path),
                          .data = slice_str(text),
                          .version = VERSION_ANY};
    const struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    const struct apply_context context = {.index = ++m->node->index, .last_of_entry = true};
    store_apply(m->node->store, &context, &c, &reply);
    ck_assert_int_eq(reply.outcome, OUTCOME_OK);
    return reply.revision;
}

static uint64_t registered(const char *path)
{
    uint64_t revision = put(&leader, path, "address=10.0.0.7\nport=80\nweight=100\n", OP_CREATE);
    ck_assert_uint_eq(revision, put(&follower, path, "x", OP_CREATE));
    return revision;
}

static void gone(const char *path)
{
    (void)put(&leader, path, "", OP_DELETE);
    (void)put(&follower, path, "", OP_DELETE);
}

/* What `from` has sent arrives at `to`. */
static bool deliver(struct member *from, struct member *to)
{
    struct buf note = from->node->notes;
    from->node->notes = (struct buf){0};
    bool is_there = note.size > 0;
    if (is_there) {
        to->node->note(to->node->note_context, OTHER, buf_slice(&note));
    }
    buf_close(&note);
    return is_there;
}

static uint64_t now(void)
{
    return env.env.now_ms(&env.env);
}

/* A second passes, and the two have told each other what there is. */
static void second(void)
{
    fake_env_advance(&env, 1000);
    vitals_turn(leader.vitals, now());
    vitals_turn(follower.vitals, now());
    bool is_news = true;
    while (is_news) {
        is_news = deliver(&follower, &leader);
        is_news = deliver(&leader, &follower) || is_news;
    }
}

static void beat(struct member *at, const char *path, uint64_t revision, double cpu)
{
    const struct service_load load = {.cpu = cpu, .queue_length = 7};
    ck_assert_int_eq(vitals_beat(at->vitals, slice_str(path), revision, &load), RC_OK);
}

/* A negative one: nothing is known. */
static double cpu_at(const struct member *m, const char *path, uint64_t revision)
{
    struct vital_view view;
    bool found = vitals_find(m->vitals, slice_str(path), revision, &view);
    return found && view.has_load ? view.load.cpu : -1;
}

START_TEST(what_one_member_hears_all_know_a_second_later)
{
    world_open();
    uint64_t a = registered("/services/web/a");
    uint64_t b = registered("/services/web/b");
    second();
    beat(&leader, "/services/web/a", a, 0.25);
    ck_assert_uint_eq(leader.told_from, a);
    beat(&follower, "/services/web/b", b, 0.5);
    ck_assert_uint_eq(follower.told_from, 0); /* only who leads judges */
    ck_assert_double_eq(cpu_at(&follower, "/services/web/b", b), 0.5);
    ck_assert_double_eq(cpu_at(&follower, "/services/web/a", a), -1);
    ck_assert(deliver(&follower, &leader));
    ck_assert_uint_eq(leader.told_from, b);
    second();
    ck_assert_double_eq(cpu_at(&leader, "/services/web/b", b), 0.5);
    ck_assert_double_eq(cpu_at(&follower, "/services/web/a", a), 0.25);
    struct vital_view view;
    ck_assert(vitals_find(follower.vitals, slice_str("/services/web/a"), a, &view));
    ck_assert_uint_eq(view.load_age_ms, 1000);
    ck_assert_uint_eq(view.silence_ms, 1000);
    ck_assert_uint_eq(view.load.queue_length, 7);
    world_close();
}
END_TEST

START_TEST(only_what_has_changed_is_told_and_all_of_it_to_who_comes_anew)
{
    world_open();
    char path[64];
    uint64_t revisions[1200];
    for (size_t i = 0; i < 1200; i++) {
        (void)snprintf(path, sizeof path, "/services/web/i%zu", i);
        revisions[i] = registered(path);
        beat(&leader, path, revisions[i], 0.5);
    }
    second(); /* in three pieces */
    ck_assert_uint_eq(vitals_count(follower.vitals), 1200);
    ck_assert_uint_eq(vitals_change(follower.vitals), 1200);
    second();
    ck_assert_uint_eq(vitals_change(follower.vitals), 1200);
    beat(&leader, "/services/web/i7", revisions[7], 1);
    second();
    ck_assert_uint_eq(vitals_change(follower.vitals), 1201);
    ck_assert_double_eq(cpu_at(&follower, "/services/web/i7", revisions[7]), 1);
    /* Another era: the leader was another one's follower meanwhile. */
    leader.node->is_leading = false;
    vitals_turn(leader.vitals, now());
    leader.node->is_leading = true;
    second();
    ck_assert_uint_eq(vitals_change(follower.vitals), 2401);
    world_close();
}
END_TEST

START_TEST(a_lost_note_is_made_good_by_the_next)
{
    world_open();
    uint64_t a = registered("/services/web/a");
    second();
    beat(&leader, "/services/web/a", a, 0.25);
    fake_env_advance(&env, 1000);
    vitals_turn(follower.vitals, now());
    ck_assert(deliver(&follower, &leader));
    buf_clear(&leader.node->notes); /* the answer is lost */
    ck_assert_double_eq(cpu_at(&follower, "/services/web/a", a), -1);
    second();
    ck_assert_double_eq(cpu_at(&follower, "/services/web/a", a), 0.25);
    follower.node->loses_notes = true;
    ck_assert_int_eq(vitals_beat(follower.vitals, slice_str("/services/web/a"), a, NULL),
                     RC_NO_LEADER);
    world_close();
}
END_TEST

START_TEST(who_is_gone_is_forgotten_and_who_comes_back_begins_anew)
{
    world_open();
    uint64_t a = registered("/services/web/a");
    uint64_t b = registered("/services/web/b");
    beat(&leader, "/services/web/a", a, 0.25);
    beat(&leader, "/services/web/b", b, 0.5);
    second();
    gone("/services/web/a");
    for (int i = 0; i < 3; i++) {
        second();
    }
    ck_assert_uint_eq(vitals_count(leader.vitals), 1);
    ck_assert_uint_eq(vitals_count(follower.vitals), 1);
    gone("/services/web/b");
    uint64_t again = registered("/services/web/b");
    beat(&leader, "/services/web/b", again, 0.75);
    ck_assert_double_eq(cpu_at(&leader, "/services/web/b", b), -1);
    beat(&leader, "/services/web/b", b, 0.1); /* of the one before: says nothing */
    ck_assert_double_eq(cpu_at(&leader, "/services/web/b", again), 0.75);
    world_close();
}
END_TEST

static double phi_at(const struct member *m, const char *path, uint64_t revision)
{
    struct vital_view view;
    ck_assert(vitals_find(m->vitals, slice_str(path), revision, &view));
    return view.phi;
}

START_TEST(suspicion_grows_on_the_leader_and_stands_still_for_who_is_cut_off)
{
    world_open();
    uint64_t a = registered("/services/web/a");
    for (int i = 0; i < 10; i++) {
        beat(&leader, "/services/web/a", a, 0.25);
        second();
    }
    for (int i = 0; i < 4; i++) {
        second();
    }
    double known = phi_at(&leader, "/services/web/a", a);
    ck_assert(known > 8);
    ck_assert_double_eq_tol(phi_at(&follower, "/services/web/a", a), known, 0.001);
    fake_env_advance(&env, 60000);
    ck_assert_double_eq(phi_at(&leader, "/services/web/a", a), 100);
    ck_assert_double_eq_tol(phi_at(&follower, "/services/web/a", a), known, 0.001);
    follower.node->is_leading = true; /* it takes over, and goes on from what it knows */
    vitals_turn(follower.vitals, now());
    ck_assert_double_eq(phi_at(&follower, "/services/web/a", a), 100);
    world_close();
}
END_TEST

static bool collect(void *context, struct slice path, uint64_t change)
{
    struct buf *out = context;
    buf_printf(out, "%.*s@%u ", (int)path.size, (const char *)path.data, (unsigned)change);
    return out->size < 60;
}

START_TEST(changes_of_a_service_come_in_their_order_until_there_is_enough)
{
    struct buf out = {0};
    world_open();
    uint64_t a = registered("/services/web/a");
    uint64_t b = registered("/services/web/b");
    uint64_t c = registered("/services/webs/c");
    beat(&leader, "/services/web/a", a, 0);
    beat(&leader, "/services/webs/c", c, 0);
    beat(&leader, "/services/web/b", b, 0);
    vitals_changed(leader.vitals, slice_str("/services/web"), 0, collect, &out);
    buf_append(&out, "", 1);
    ck_assert_str_eq((char *)out.data, "/services/web/a@1 /services/web/b@3 ");
    beat(&leader, "/services/web/a", a, 0);
    buf_clear(&out);
    vitals_changed(leader.vitals, slice_str("/services/web"), 2, collect, &out);
    buf_append(&out, "", 1);
    ck_assert_str_eq((char *)out.data, "/services/web/b@3 /services/web/a@4 ");
    beat(&leader, "/services/web/b", b, 0);
    buf_clear(&out);
    buf_append_str(&out, "..........................................................");
    vitals_changed(leader.vitals, slice_str("/services/web"), 0, collect, &out);
    buf_append(&out, "", 1);
    ck_assert_ptr_nonnull(strstr((char *)out.data, "a@4"));
    ck_assert_ptr_null(strstr((char *)out.data, "b@5"));
    buf_close(&out);
    world_close();
}
END_TEST

START_TEST(what_is_no_note_is_passed_over)
{
    world_open();
    uint64_t a = registered("/services/web/a");
    beat(&leader, "/services/web/a", a, 0.25);
    leader.node->note(leader.node->note_context, OTHER, slice_str("garbage"));
    leader.node->note(leader.node->note_context, OTHER, slice_make(NULL, 0));
    ck_assert_uint_eq(vitals_count(leader.vitals), 1);
    ck_assert_uint_eq(leader.node->notes.size, 0);
    world_close();
}
END_TEST

static Suite *vitals_suite(void)
{
    Suite *suite = suite_create("vitals");
    TCase *tcase = tcase_create("vitals");
    tcase_add_test(tcase, what_one_member_hears_all_know_a_second_later);
    tcase_add_test(tcase, only_what_has_changed_is_told_and_all_of_it_to_who_comes_anew);
    tcase_add_test(tcase, a_lost_note_is_made_good_by_the_next);
    tcase_add_test(tcase, who_is_gone_is_forgotten_and_who_comes_back_begins_anew);
    tcase_add_test(tcase, suspicion_grows_on_the_leader_and_stands_still_for_who_is_cut_off);
    tcase_add_test(tcase, changes_of_a_service_come_in_their_order_until_there_is_enough);
    tcase_add_test(tcase, what_is_no_note_is_passed_over);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){vitals_suite, NULL});
}
