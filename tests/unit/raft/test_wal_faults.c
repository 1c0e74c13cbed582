/* A log whose disk fails at any moment, or is full; and random lives of one, with faults and
 * crashes, beside a model of what may be found afterwards. */
#include <inttypes.h>

#include "base/mem.h"
#include "tests/support/wal_kit.h"

/* ---- faults ------------------------------------------------------------------------------- */

/* A life of a log with everything in it. False as soon as the log has failed. */
static bool live_a_life(struct fixture *x)
{
    for (uint64_t i = 0; i < 12 && x->failures == 0; i++) {
        wal_set_term(x->wal, i + 1, 1);
        append_sized(x, i * 10 + 1, 10, i + 1, 100);
        settle(x);
        wal_compact(x->wal, i * 5);
        fake_env_run(&x->fake);
        if (i == 6) {
            wal_reset(x->wal, 70, 7);
            settle(x);
        }
    }
    return x->failures == 0;
}

START_TEST(any_failing_disk_call_ends_the_log_and_loses_nothing)
{
    for (uint64_t n = 1;; n++) {
        struct fixture x;
        init(&x, n);
        fake_env_arm(&x.fake, n, FAKE_FAULT_LASTING, RC_IO);
        enum status rc = try_open(&x);
        bool is_fine = rc == RC_OK && live_a_life(&x);
        bool has_struck = fake_env_has_struck(&x.fake);
        if (has_struck && rc == RC_OK) {
            ck_assert_int_eq(x.failures, 1);
            ck_assert_int_eq(x.failed, RC_IO);
        }
        ck_assert(is_fine != has_struck);
        uint64_t durable = rc == RC_OK ? x.durable : 0;
        if (rc == RC_OK) {
            append_sized(&x, x.wal->appended.next_index, 1, 100, 10);
            settle(&x);
            ck_assert(is_fine || x.durable == durable);
            close_log(&x);
        }
        ck_assert_uint_eq(x.fake.open_files, 0);
        fake_env_power_cut(&x.fake);
        open_log(&x);
        ck_assert_uint_ge(x.found.term, durable / 2 > 6 ? 6 : durable / 2);
        finish(&x);
        if (!has_struck) {
            break;
        }
    }
}
END_TEST

START_TEST(a_full_disk_makes_it_short_until_there_is_space)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    fake_env_run(&x.fake);
    ck_assert(!wal_is_short(x.wal));
    x.fake.space_left = 0;
    uint64_t next = 1;
    uint64_t ticket = 0;
    while (!wal_is_short(x.wal)) {
        ticket = append(&x, next++, 1, 1);
        settle(&x);
        ck_assert_int_eq(x.failures, 0);
        ck_assert_uint_eq(x.durable, ticket);
    }
    /* Entries wait when only the last ready segment is left. */
    while (x.durable == ticket) {
        ticket = append(&x, next++, 1, 1);
        settle(&x);
        ck_assert_int_eq(x.failures, 0);
        ck_assert_uint_lt(next, 1000);
    }
    ck_assert_uint_eq(x.wal->ready.count, 1);
    uint64_t retry = wal_next_deadline_ms(x.wal);
    ck_assert_uint_le(retry, x.fake.now_us / 1000 + WAL_RETRY_MS);
    fake_env_advance(&x.fake, WAL_RETRY_MS);
    wal_tick(x.wal, x.fake.now_us / 1000);
    fake_env_run(&x.fake);
    ck_assert(wal_is_short(x.wal));
    x.fake.space_left = 1 << 20;
    fake_env_advance(&x.fake, WAL_RETRY_MS);
    wal_tick(x.wal, x.fake.now_us / 1000);
    fake_env_run(&x.fake);
    ck_assert(!wal_is_short(x.wal));
    ck_assert_uint_eq(x.durable, ticket);
    reopen(&x);
    check_found(&x, 1, next - 1);
    finish(&x);
}
END_TEST

START_TEST(terms_may_use_the_last_segment_and_then_the_log_fails)
{
    struct fixture x;
    init(&x, 1);
    open_log(&x);
    fake_env_run(&x.fake);
    x.fake.space_left = 0;
    append(&x, 1, 1, 1); /* pins the first segment, so that none is recycled */
    uint64_t term = 0;
    while (x.failures == 0) {
        wal_set_term(x.wal, ++term, 1);
        settle(&x);
        ck_assert_uint_lt(term, 1000);
    }
    ck_assert_int_eq(x.failed, RC_NO_SPACE);
    ck_assert_uint_eq(x.wal->ready.count, 0);
    ck_assert_uint_gt(term, 3 * (4096 - WAL_HEADER_BYTES) / 56 - 4);
    uint64_t durable = x.durable - 1; /* of which the first was the entry's */
    reopen(&x);
    ck_assert_uint_eq(x.found.term, durable);
    finish(&x);
}
END_TEST

/* ---- the model ---------------------------------------------------------------------------- */

/* What was asked of the log, in the smallest steps that recovery may end between. */
struct step {
    enum { STEP_TERM, STEP_ENTRY, STEP_RESET } kind;
    uint64_t ticket;
    uint64_t index; /* or term */
    uint64_t term;  /* or vote */
};

struct model {
    uint64_t term, vote, reset_index, reset_term;
    uint64_t needed; /* nothing below it has to be there */
    uint64_t last;
    uint64_t terms[4096]; /* of the entries reset_index + 1 .. last, by index */
    struct step steps[4096];
    size_t step_count;
};

static void model_apply(struct model *m, const struct step *s)
{
    switch (s->kind) {
    case STEP_TERM:
        m->term = s->index;
        m->vote = s->term;
        break;
    case STEP_ENTRY:
        m->terms[s->index] = s->term;
        m->last = s->index;
        break;
    case STEP_RESET:
        m->reset_index = s->index;
        m->reset_term = s->term;
        m->last = s->index;
        break;
    }
}

static bool model_equals(const struct model *m, const struct wal_recovery *r)
{
    if (r->term != m->term || r->vote != m->vote || r->reset_index != m->reset_index ||
        r->reset_term != m->reset_term) {
        return false;
    }
    uint64_t first = m->reset_index + 1 > m->needed ? m->reset_index + 1 : m->needed;
    if (r->entry_count == 0) {
        return m->last < first;
    }
    if (r->entries[0].index > first || r->entries[0].index <= m->reset_index ||
        r->entries[r->entry_count - 1].index != m->last) {
        return false;
    }
    for (size_t i = 0; i < r->entry_count; i++) {
        if (r->entries[i].term != m->terms[r->entries[0].index + i]) {
            return false;
        }
    }
    return true;
}

/* The log found must be what some number of steps made, and of at least all the durable ones. */
static void model_check(struct model *m, struct fixture *x, uint64_t durable, uint64_t seed)
{
    size_t done = 0;
    while (done < m->step_count && m->steps[done].ticket <= durable) {
        model_apply(m, &m->steps[done++]);
    }
    while (!model_equals(m, &x->found)) {
        ck_assert_msg(done < m->step_count,
                      "seed %" PRIu64 ": log found is none that was written: durable %" PRIu64
                      " entries %zu last %" PRIu64 " term %" PRIu64 " reset %" PRIu64,
                      seed, durable, x->found.entry_count, m->last, x->found.term,
                      x->found.reset_index);
        model_apply(m, &m->steps[done++]);
    }
    for (size_t i = 0; i < x->found.entry_count; i++) {
        check_payload(&x->found.entries[i]);
    }
    m->step_count = 0;
}

static void model_step(struct model *m, struct step s)
{
    ck_assert_uint_lt(m->step_count, 4096);
    m->steps[m->step_count++] = s;
}

static void act_append(struct model *m, struct fixture *x, struct rng *rng)
{
    const struct wal_state *s = &x->wal->appended;
    uint64_t first = s->next_index;
    uint64_t low = s->reset_index + 1 > m->needed ? s->reset_index + 1 : m->needed;
    if (rng_chance(rng, 100) && low < first) {
        first = rng_range(rng, low, first);
    }
    size_t count = (size_t)rng_range(rng, 1, 5);
    size_t bytes =
        rng_chance(rng, 30) ? (size_t)rng_below(rng, 9000) : (size_t)rng_below(rng, 300);
    uint64_t term = s->term + rng_below(rng, 2);
    uint64_t ticket = append_sized(x, first, count, term, bytes);
    for (size_t i = 0; i < count; i++) {
        model_step(m, (struct step){STEP_ENTRY, ticket, first + i, term});
    }
}

static void act(struct model *m, struct fixture *x, struct rng *rng)
{
    const struct wal_state *s = &x->wal->appended;
    uint64_t pick = rng_below(rng, 100);
    if (pick < 40) {
        act_append(m, x, rng);
    } else if (pick < 48) {
        uint64_t term = s->term + rng_below(rng, 3);
        uint64_t vote = rng_below(rng, 4);
        model_step(m, (struct step){STEP_TERM, wal_set_term(x->wal, term, vote), term, vote});
    } else if (pick < 49) {
        uint64_t index = s->next_index + rng_below(rng, 5);
        uint64_t ticket = wal_reset(x->wal, index, s->term);
        model_step(m, (struct step){STEP_RESET, ticket, index, s->term});
    } else if (pick < 53) {
        m->needed = rng_range(rng, m->needed, s->next_index);
        wal_compact(x->wal, m->needed);
    } else if (pick < 60) {
        fake_env_advance(&x->fake, rng_below(rng, 400));
        wal_tick(x->wal, x->fake.now_us / 1000);
    } else if (pick < 75) {
        wal_flush(x->wal);
    } else {
        (void)fake_env_step(&x->fake);
    }
}

static void arm_some_fault(struct fixture *x, struct rng *rng)
{
    uint64_t pick = rng_below(rng, 10);
    uint64_t n = rng_range(rng, 1, 80);
    fake_env_disarm(&x->fake);
    x->fake.space_left = UINT64_MAX;
    if (pick < 5) {
        fake_env_arm(&x->fake, n, FAKE_FAULT_POWER, RC_IO);
    } else if (pick < 7) {
        fake_env_arm(&x->fake, n, FAKE_FAULT_ONCE, RC_IO);
    } else if (pick < 8) {
        x->fake.space_left = rng_below(rng, 20000);
    }
}

/* Whatever goes wrong on the way: opens in the end. */
static void open_in_the_end(struct fixture *x, struct rng *rng)
{
    for (;;) {
        arm_some_fault(x, rng);
        enum status rc = try_open(x);
        if (rc == RC_OK) {
            return;
        }
        ck_assert_msg(fake_env_has_struck(&x->fake) || rc == RC_NO_SPACE, "%s", x->err.text);
        ck_assert_uint_eq(x->fake.open_files, 0);
        fake_env_disarm(&x->fake);
        if (rng_chance(rng, 700)) {
            fake_env_power_cut(&x->fake);
        }
    }
}

static void run_model(uint64_t seed)
{
    struct fixture x;
    struct model *m = mem_zalloc(sizeof *m);
    struct rng rng;
    init(&x, seed);
    rng_init(&rng, seed ^ 0x5eed);
    m->needed = 1;
    for (int life = 0; life < 15; life++) {
        open_in_the_end(&x, &rng);
        model_check(m, &x, 0, seed);
        if (x.wal->appended.next_index < m->needed) {
            /* The snapshot that allowed to compact reaches beyond what the log has. */
            uint64_t ticket = wal_reset(x.wal, m->needed - 1, x.found.term);
            model_step(m, (struct step){STEP_RESET, ticket, m->needed - 1, x.found.term});
        }
        int acts = rng_chance(&rng, 300) ? (int)rng_below(&rng, 5) : 120;
        for (int i = 0; i < acts && x.failures == 0 && x.wal->appended.next_index < 4000; i++) {
            act(m, &x, &rng);
        }
        uint64_t durable = x.durable;
        if (rng_chance(&rng, 300) && !fake_env_has_struck(&x.fake)) {
            fake_env_disarm(&x.fake);
            x.fake.space_left = UINT64_MAX;
            settle(&x);
            fake_env_advance(&x.fake, WAL_RETRY_MS);
            wal_tick(x.wal, x.fake.now_us / 1000);
            settle(&x);
            ck_assert(x.failures > 0 || x.durable == x.wal->ticket || x.wal->ticket == 0);
            durable = x.durable;
        }
        close_log(&x);
        ck_assert_uint_eq(x.fake.open_files, 0);
        fake_env_disarm(&x.fake);
        if (rng_chance(&rng, 700)) {
            fake_env_power_cut(&x.fake);
        }
        /* All durable steps are applied before the log is looked at again. */
        size_t done = 0;
        while (done < m->step_count && m->steps[done].ticket <= durable) {
            model_apply(m, &m->steps[done++]);
        }
        memmove(m->steps, m->steps + done, (m->step_count - done) * sizeof m->steps[0]);
        m->step_count -= done;
    }
    fake_env_close(&x.fake);
    mem_free(m);
}

START_TEST(random_lives_agree_with_the_model)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        run_model(seed);
    }
}
END_TEST

static Suite *wal_faults_suite(void)
{
    Suite *suite = suite_create("wal_faults");
    TCase *faults = tcase_create("faults");
    tcase_set_timeout(faults, 120);
    tcase_add_test(faults, any_failing_disk_call_ends_the_log_and_loses_nothing);
    tcase_add_test(faults, a_full_disk_makes_it_short_until_there_is_space);
    tcase_add_test(faults, terms_may_use_the_last_segment_and_then_the_log_fails);
    tcase_add_test(faults, random_lives_agree_with_the_model);
    suite_add_tcase(suite, faults);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){wal_faults_suite, NULL});
}
