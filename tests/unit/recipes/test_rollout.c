/* Rollouts: their text, who sees the value, and every move against a naive model over random
 * events. */
#include "recipes/rollout.h"

#include <stdio.h>

#include "base/rng.h"
#include "tests/support/check_main.h"

#define ROUNDS 2000
#define MOVES  60

static struct rollout plan(uint64_t strategy, const char *percents)
{
    return (struct rollout){
        .strategy = strategy,
        .state = ROLLOUT_PLANNING,
        .key = slice_str("/config/a"),
        .percents = slice_str(percents),
        .base_revision = 7,
        .base = slice_str("old"),
        .value = slice_str("new"),
    };
}

static const struct rollout_facts facts = {.cluster_ms = 1000, .key_revision = 7};

/* ---- its text ------------------------------------------------------------------------------ */

START_TEST(a_record_decodes_to_what_it_was_whatever_its_bytes)
{
    struct buf text = {0};
    struct arena arena = {0};
    struct rollout back;
    struct rollout r = plan(ROLLOUT_PROGRESSIVE, "10,50,100");
    r.step = 2;
    r.step_ms = 60000;
    r.value = slice_make("a=\n%\0b", 6);
    r.labels = slice_str("zone=a");
    r.gate = slice_str("/gate");
    r.gate_value = slice_str("ok");
    rollout_encode(&text, &r);
    ck_assert(rollout_decode(buf_slice(&text), &back, &arena));
    ck_assert(slice_equal(back.value, r.value));
    ck_assert(slice_equal(back.labels, r.labels));
    ck_assert_uint_eq(back.step, 2);
    ck_assert_uint_eq(back.strategy, ROLLOUT_PROGRESSIVE);
    buf_close(&text);
    arena_close(&arena);
}
END_TEST

/* The table of docs/formats.md. */
START_TEST(all_fields_have_the_names_and_the_order_that_are_documented)
{
    static const char text[] =
        "key=/a\nstrategy=progressive\nstate=rolled_back\npaused=1\nstep=1\npercents=10,50\n"
        "step_ms=2\nnext_ms=3\nlabels=a=b,c=d\nids=web-1\ngate=/g\ngate_value=%0A%25\n"
        "gate_service=web\ngate_tag=canary\ngate_percent=90\nwhy=by hand\nbase_revision=4\n"
        "done_revision=5\nschema_revision=6\nbase=old\nvalue=new\n";
    struct arena arena = {0};
    struct rollout r;
    ck_assert(rollout_decode(slice_str(text), &r, &arena)); /* and encodes to the same */
    ck_assert_uint_eq(r.state, ROLLOUT_ROLLED_BACK);
    ck_assert_uint_eq(r.next_ms, 3);
    ck_assert_uint_eq(r.gate_percent, 90);
    ck_assert_uint_eq(r.schema_revision, 6);
    ck_assert(slice_is(r.gate_value, "\n%"));
    ck_assert(slice_is(r.value, "new"));
    arena_close(&arena);
}
END_TEST

START_TEST(whether_it_has_ended_is_told_by_its_first_lines)
{
    struct buf text = {0};
    struct rollout r = plan(ROLLOUT_PROGRESSIVE, "10,50,100");
    r.value = slice_str("a\nstate=completed\n");
    for (r.state = ROLLOUT_PLANNING; r.state <= ROLLOUT_ROLLED_BACK; r.state++) {
        buf_clear(&text);
        rollout_encode(&text, &r);
        ck_assert(rollout_text_has_ended(buf_slice(&text)) == !rollout_is_open(&r));
    }
    ck_assert(!rollout_text_has_ended(slice_str("")));
    ck_assert(!rollout_text_has_ended(slice_str("key=/a\n")));
    ck_assert(!rollout_text_has_ended(slice_str("a\nb\nstate=completed\n")));
    ck_assert(!rollout_text_has_ended(slice_str("key=/a\nstrategy=canary\nstate=completed")));
    buf_close(&text);
}
END_TEST

static const char *const unfit[] = {
    "",
    "key=/a\n",
    "key=/a\nstrategy=canary\nstate=planning\npercents=10",
    "strategy=canary\nkey=/a\nstate=planning\npercents=10\n",
    "key=/a\nstrategy=canary\nstate=planning\npercents=10,20\n",
    "key=/a\nstrategy=canary\nstate=planning\npercents=0\n",
    "key=/a\nstrategy=canary\nstate=planning\npercents=101\n",
    "key=/a\nstrategy=canary\nstate=planning\npercents=10,\n",
    "key=/a\nstrategy=canary\nstate=planning\nstep=1\npercents=10\n",
    "key=/a\nstrategy=canary\nstate=unknown\npercents=10\n",
    "key=/a\nstrategy=canary\nstate=planning\nstep=0\npercents=10\n",
    "key=/a\nstrategy=canary\nstate=planning\npercents=10\nvalue=%0\n",
    "key=/a\nstrategy=canary\nstate=planning\npercents=10\nvalue=%41\n",
    "key=/a\nstrategy=progressive\nstate=planning\npercents=50,10\n",
    "key=/a\nstrategy=blue_green\nstate=planning\npercents=100\n",
    "key=/a\nstrategy=canary\nstate=planning\npercents=10\ngate=/g\n",
    "key=/a\nstrategy=canary\nstate=planning\npercents=10\ngate_service=web\n",
    "key=/a\nstrategy=canary\nstate=planning\npercents=10\ngate_percent=90\n",
    "key=/a\nstrategy=canary\nstate=planning\npercents=10\ngate_service=web\ngate_percent=101\n",
    "key=/a\nstrategy=canary\nstate=planning\npercents=10\ngate_service=a/b\ngate_percent=9\n",
};

START_TEST(what_is_no_record_is_refused)
{
    struct arena arena = {0};
    struct rollout r;
    ck_assert(!rollout_decode(slice_str(unfit[_i]), &r, &arena));
    arena_close(&arena);
}
END_TEST

/* ---- who sees it --------------------------------------------------------------------------- */

START_TEST(who_has_been_given_the_value_keeps_it_as_the_percentage_grows)
{
    struct rollout r = plan(ROLLOUT_PROGRESSIVE, "10,30,60,100");
    ck_assert(!rollout_covers(&r, slice_str("i"), slice_str("")));
    uint32_t counts[4] = {0};
    for (int i = 0; i < 10000; i++) {
        char id[32];
        bool before = false;
        (void)snprintf(id, sizeof id, "instance-%d", i);
        r.state = ROLLOUT_IN_PROGRESS;
        for (r.step = 0; r.step < 4; r.step++) {
            bool sees = rollout_covers(&r, slice_str(id), slice_str(""));
            ck_assert(!before || sees);
            before = sees;
            counts[r.step] += sees;
        }
    }
    ck_assert(counts[0] > 700 && counts[0] < 1300);
    ck_assert(counts[1] > 2600 && counts[1] < 3400);
    ck_assert(counts[2] > 5600 && counts[2] < 6400);
    ck_assert_uint_eq(counts[3], 10000);
}
END_TEST

START_TEST(labels_must_all_match_and_ids_are_there_from_the_first_step_on)
{
    struct rollout r = plan(ROLLOUT_BLUE_GREEN, "100");
    r.state = ROLLOUT_IN_PROGRESS;
    r.labels = slice_str("color=green,zone=a");
    ck_assert(rollout_covers(&r, slice_str("i"), slice_str("zone=a,x=y,color=green")));
    ck_assert(!rollout_covers(&r, slice_str("i"), slice_str("color=green")));
    ck_assert(!rollout_covers(&r, slice_str("i"), slice_str("color=greenish,zone=a")));
    r.ids = slice_str("one,two");
    ck_assert(rollout_covers(&r, slice_str("two"), slice_str("")));
    r.labels = slice_str("");
    ck_assert(!rollout_covers(&r, slice_str("i"), slice_str("zone=a,color=green")));
    r.state = ROLLOUT_ROLLED_BACK;
    ck_assert(!rollout_covers(&r, slice_str("two"), slice_str("")));
}
END_TEST

/* ---- moves --------------------------------------------------------------------------------- */

START_TEST(a_canary_goes_from_its_percentage_to_the_key_and_back)
{
    struct rollout r = plan(ROLLOUT_CANARY, "5");
    ck_assert_int_eq(rollout_step(&r, ROLLOUT_PROMOTE, &facts), ROLLOUT_CHANGED);
    ck_assert_uint_eq(rollout_percent(&r), 5);
    ck_assert_int_eq(rollout_step(&r, ROLLOUT_PROMOTE, &facts), ROLLOUT_SET_VALUE);
    ck_assert_uint_eq(rollout_percent(&r), 100);
    r.done_revision = 9;
    ck_assert_int_eq(rollout_step(&r, ROLLOUT_PROMOTE, &facts), ROLLOUT_REFUSED);
    struct rollout_facts later = {.cluster_ms = 2000, .key_revision = 9};
    ck_assert_int_eq(rollout_step(&r, ROLLOUT_ROLL_BACK, &later), ROLLOUT_SET_BASE);
    ck_assert_int_eq(rollout_step(&r, ROLLOUT_ROLL_BACK, &later), ROLLOUT_UNCHANGED);
    ck_assert_uint_eq(rollout_percent(&r), 0);
}
END_TEST

START_TEST(a_key_that_somebody_has_set_since_is_left_alone)
{
    struct rollout r = plan(ROLLOUT_CANARY, "5");
    struct rollout_facts other = {.cluster_ms = 1000, .key_revision = 8};
    (void)rollout_step(&r, ROLLOUT_FINISH, &facts);
    r.done_revision = 9;
    other.key_revision = 10;
    ck_assert_int_eq(rollout_step(&r, ROLLOUT_ROLL_BACK, &other), ROLLOUT_CHANGED);
    r = plan(ROLLOUT_CANARY, "5");
    ck_assert_int_eq(rollout_step(&r, ROLLOUT_PROMOTE, &other), ROLLOUT_CHANGED);
    ck_assert_uint_eq(r.state, ROLLOUT_ROLLED_BACK);
    ck_assert(slice_is(r.why, "the key was changed meanwhile"));
}
END_TEST

START_TEST(a_value_that_was_validated_by_other_schemas_goes_no_further)
{
    struct rollout r = plan(ROLLOUT_CANARY, "5");
    struct rollout_facts other = facts;
    other.schema_revision = 3;
    ck_assert_int_eq(rollout_step(&r, ROLLOUT_FINISH, &other), ROLLOUT_CHANGED);
    ck_assert_uint_eq(r.state, ROLLOUT_ROLLED_BACK);
    ck_assert(slice_is(r.why, "the configuration or a schema was changed meanwhile"));
}
END_TEST

START_TEST(a_service_says_by_the_share_of_its_instances_that_pass)
{
    struct rollout r = plan(ROLLOUT_PROGRESSIVE, "10,100");
    r.gate_service = slice_str("web");
    r.gate_percent = 90;
    r.step_ms = 10;
    ck_assert_int_eq(rollout_health(&r, 0, 0), GATE_MISSING);
    ck_assert_int_eq(rollout_health(&r, 9, 10), GATE_GOOD);
    ck_assert_int_eq(rollout_health(&r, 8, 9), GATE_BAD);
    (void)rollout_step(&r, ROLLOUT_PROMOTE, &facts);
    struct rollout_facts later = facts;
    later.cluster_ms = 5000;
    later.health = GATE_MISSING;
    ck_assert_int_eq(rollout_step(&r, ROLLOUT_TICK, &later), ROLLOUT_REFUSED);
    later.health = GATE_GOOD;
    ck_assert_int_eq(rollout_step(&r, ROLLOUT_TICK, &later), ROLLOUT_CHANGED);
    ck_assert_uint_eq(r.step, 1);
    later.health = GATE_BAD;
    ck_assert_int_eq(rollout_step(&r, ROLLOUT_TICK, &later), ROLLOUT_CHANGED);
    ck_assert_uint_eq(r.state, ROLLOUT_ROLLED_BACK);
    ck_assert(slice_is(r.why, "too few instances pass"));
}
END_TEST

START_TEST(nobody_goes_past_a_gate_that_says_no)
{
    struct rollout_facts no = facts;
    for (int i = 0; i < 4; i++) {
        struct rollout r = plan(ROLLOUT_PROGRESSIVE, "10,100");
        if (i % 2 == 0) {
            (void)rollout_step(&r, ROLLOUT_PROMOTE, &facts);
        }
        no.gate = GATE_BAD;
        struct rollout same = r;
        ck_assert_int_eq(rollout_step(&same, ROLLOUT_PAUSE, &no), ROLLOUT_CHANGED);
        enum rollout_event event = i < 2 ? ROLLOUT_PROMOTE : ROLLOUT_FINISH;
        ck_assert_int_eq(rollout_step(&r, event, &no), ROLLOUT_CHANGED);
        ck_assert_uint_eq(r.state, ROLLOUT_ROLLED_BACK);
        ck_assert(slice_is(r.why, "the gate said no"));
    }
}
END_TEST

/* The same rules, told differently: a place on a line of places. -1 planned, 0 .. n-1 the steps, n
 * completed, n + 1 rolled back. */
struct model {
    int place;
    int steps;
    bool paused;
    bool timed;
    uint64_t step_ms;
    uint64_t due_ms;
    uint64_t key;  /* its revision */
    uint64_t base; /* when it began */
    uint64_t done; /* 0: not completed */
    const char *value;
};

static void model_back(struct model *m)
{
    bool resets = m->place == m->steps && m->key == m->done;
    m->place = m->steps + 1;
    m->paused = false;
    if (resets) {
        m->value = "old";
        m->key += 100;
    }
}

static void model_forward(struct model *m, bool to_the_end, uint64_t now_ms)
{
    m->place = to_the_end ? m->steps : m->place + 1;
    m->due_ms = now_ms + m->step_ms;
    if (m->place == m->steps) {
        m->paused = false;
        m->key += 100;
        m->done = m->key;
        m->value = "new";
    }
}

/* Two gates: either is enough to say no, or to have it wait. */
static uint8_t worse_of(uint8_t a, uint8_t b)
{
    return a == GATE_BAD || b == GATE_BAD           ? GATE_BAD
           : a == GATE_MISSING || b == GATE_MISSING ? GATE_MISSING
                                                    : GATE_GOOD;
}

static void model_move(struct model *m, enum rollout_event event, uint8_t gate, uint64_t now_ms)
{
    bool is_open = m->place < m->steps;
    if (event == ROLLOUT_ROLL_BACK) {
        if (m->place != m->steps + 1) {
            model_back(m);
        }
    } else if (is_open && m->key != m->base) {
        model_back(m);
    } else if (is_open && gate == GATE_BAD &&
               (event == ROLLOUT_PROMOTE || event == ROLLOUT_FINISH)) {
        model_back(m);
    } else if (is_open && event == ROLLOUT_PROMOTE) {
        model_forward(m, false, now_ms);
    } else if (is_open && event == ROLLOUT_FINISH) {
        model_forward(m, true, now_ms);
    } else if (is_open && event == ROLLOUT_PAUSE) {
        m->paused = true;
    } else if (is_open && event == ROLLOUT_RESUME) {
        m->due_ms = m->paused ? now_ms + m->step_ms : m->due_ms;
        m->paused = false;
    } else if (is_open && event == ROLLOUT_TICK && m->place >= 0 && gate == GATE_BAD) {
        model_back(m);
    } else if (is_open && event == ROLLOUT_TICK && m->place >= 0 && !m->paused &&
               m->step_ms > 0 && now_ms >= m->due_ms && gate != GATE_MISSING) {
        model_forward(m, false, now_ms);
    }
}

static uint64_t state_of(const struct model *m)
{
    return m->place < 0               ? ROLLOUT_PLANNING
           : m->place < m->steps      ? ROLLOUT_IN_PROGRESS
           : m->place == m->steps     ? ROLLOUT_COMPLETED
                                      : ROLLOUT_ROLLED_BACK;
}

static void assert_same(const struct model *m, const struct rollout *r, uint64_t key,
                        const char *value)
{
    static const uint32_t percents[] = {10, 50, 100};
    ck_assert_uint_eq(r->state, state_of(m));
    ck_assert_uint_eq(r->is_paused, m->paused);
    ck_assert_uint_eq(key, m->key);
    ck_assert_str_eq(value, m->value);
    if (r->state == ROLLOUT_IN_PROGRESS) {
        ck_assert_uint_eq(r->step, (uint64_t)m->place);
        ck_assert_uint_eq(rollout_percent(r), percents[m->place]);
    }
}

/* What apply does with an effect. */
static void carry_out(struct rollout *r, enum rollout_effect effect, uint64_t *key,
                      const char **value)
{
    if (effect == ROLLOUT_SET_VALUE || effect == ROLLOUT_SET_BASE) {
        *key += 100;
        *value = effect == ROLLOUT_SET_VALUE ? "new" : "old";
    }
    if (effect == ROLLOUT_SET_VALUE) {
        r->done_revision = *key;
    }
}

/* Through its text, as every move of a real one goes. */
static void through_text(struct rollout *r, struct arena *arena)
{
    struct buf text = {0};
    rollout_encode(&text, r);
    struct slice copy = arena_copy(arena, buf_slice(&text));
    buf_close(&text);
    ck_assert(rollout_decode(copy, r, arena));
}

START_TEST(all_moves_are_those_of_the_model_over_random_events)
{
    struct rng rng;
    rng_init(&rng, 20261121);
    for (int round = 0; round < ROUNDS; round++) {
        struct arena arena = {0};
        struct rollout r = plan(ROLLOUT_PROGRESSIVE, "10,50,100");
        uint64_t now_ms = 1000;
        uint64_t key = 7;
        const char *value = "old";
        r.step_ms = rng_below(&rng, 2) * 50;
        struct model m = {.place = -1, .steps = 3, .step_ms = r.step_ms, .key = 7, .base = 7,
                          .value = "old"};
        for (int i = 0; i < MOVES; i++) {
            enum rollout_event event = (enum rollout_event)(1 + rng_below(&rng, 6));
            bool is_rare = event == ROLLOUT_FINISH || event == ROLLOUT_ROLL_BACK;
            uint8_t gate = (uint8_t)(rng_below(&rng, 40) == 0 ? GATE_BAD : rng_below(&rng, 3));
            gate = gate == GATE_BAD && rng_below(&rng, 8) != 0 ? GATE_MISSING : gate;
            uint8_t health = (uint8_t)(rng_below(&rng, 400) == 0 ? GATE_BAD
                                       : rng_below(&rng, 4) == 0 ? GATE_MISSING
                                                                 : rng_below(&rng, 2));
            event = is_rare && rng_below(&rng, 8) != 0 ? ROLLOUT_TICK : event;
            now_ms += rng_below(&rng, 40);
            if (rng_below(&rng, 60) == 0) { /* somebody sets the key */
                key += 1;
                m.key += 1;
                value = m.value = "other";
            }
            struct rollout_facts at = {.cluster_ms = now_ms, .key_revision = key, .gate = gate,
                                       .health = health};
            struct rollout before = r;
            enum rollout_effect effect = rollout_step(&r, event, &at);
            if (effect <= ROLLOUT_UNCHANGED) {
                ck_assert_mem_eq(&before, &r, sizeof r);
            }
            carry_out(&r, effect, &key, &value);
            model_move(&m, event, worse_of(gate, health), now_ms);
            assert_same(&m, &r, key, value);
            through_text(&r, &arena);
        }
        arena_close(&arena);
    }
}
END_TEST

static Suite *rollout_suite(void)
{
    Suite *suite = suite_create("rollout");
    TCase *tcase = tcase_create("rollout");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_record_decodes_to_what_it_was_whatever_its_bytes);
    tcase_add_test(tcase, all_fields_have_the_names_and_the_order_that_are_documented);
    tcase_add_test(tcase, whether_it_has_ended_is_told_by_its_first_lines);
    tcase_add_loop_test(tcase, what_is_no_record_is_refused, 0, sizeof unfit / sizeof unfit[0]);
    tcase_add_test(tcase, who_has_been_given_the_value_keeps_it_as_the_percentage_grows);
    tcase_add_test(tcase, labels_must_all_match_and_ids_are_there_from_the_first_step_on);
    tcase_add_test(tcase, a_canary_goes_from_its_percentage_to_the_key_and_back);
    tcase_add_test(tcase, a_key_that_somebody_has_set_since_is_left_alone);
    tcase_add_test(tcase, a_value_that_was_validated_by_other_schemas_goes_no_further);
    tcase_add_test(tcase, a_service_says_by_the_share_of_its_instances_that_pass);
    tcase_add_test(tcase, nobody_goes_past_a_gate_that_says_no);
    tcase_add_test(tcase, all_moves_are_those_of_the_model_over_random_events);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){rollout_suite, NULL});
}
