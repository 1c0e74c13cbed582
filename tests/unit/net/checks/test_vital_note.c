/* Notes about instances: what is encoded decodes to the same, and nothing else decodes. */
#include "net/checks/vital_note.h"

#include "base/mem.h"
#include "base/pack.h"
#include "base/rng.h"
#include "net/checks/suspicion.h"
#include "tests/support/check_main.h"

static double any_double(struct rng *rng, double max)
{
    return max * (double)rng_below(rng, 1000001) / 1000000;
}

static struct slice any_path(struct rng *rng, struct arena *arena)
{
    char *path = arena_alloc(arena, 64);
    int size = snprintf(path, 64, "/services/s%u/i%u", (unsigned)rng_below(rng, 1000),
                        (unsigned)rng_below(rng, 100000));
    return slice_make(path, (size_t)size);
}

static struct vital_entry any_entry(struct rng *rng, struct arena *arena, bool is_beat)
{
    struct vital_entry e = {.path = any_path(rng, arena),
                            .revision = rng_next(rng),
                            .has_load = rng_chance(rng, 500)};
    if (!is_beat) {
        e.silence_ms = rng_next(rng);
        e.intervals = (uint32_t)rng_below(rng, SUSPICION_WINDOW + 1);
        e.mean_ms = any_double(rng, 1e6);
        e.variance = any_double(rng, 1e12);
    }
    if (e.has_load) {
        e.load_age_ms = is_beat ? 0 : rng_next(rng);
        e.load = (struct service_load){.cpu = any_double(rng, 1),
                                       .mem = any_double(rng, 1),
                                       .qps = any_double(rng, LOAD_QPS_MAX),
                                       .avg_latency_ms = any_double(rng, LOAD_LATENCY_MS_MAX),
                                       .queue_length = rng_next(rng)};
    }
    return e;
}

static struct vital_note any_note(struct rng *rng, struct arena *arena)
{
    struct vital_note note = {.type = (uint8_t)rng_range(rng, VITAL_BEAT, VITAL_TELL)};
    if (note.type == VITAL_BEAT) {
        note.beat = any_entry(rng, arena, true);
        return note;
    }
    note.era = rng_next(rng);
    note.since = rng_next(rng);
    if (note.type == VITAL_TELL) {
        note.more = rng_chance(rng, 500);
        note.count = (uint32_t)rng_below(rng, 10);
        struct vital_entry *entries = arena_alloc(arena, 10 * sizeof *entries);
        for (uint32_t i = 0; i < note.count; i++) {
            entries[i] = any_entry(rng, arena, false);
        }
        note.entries = entries;
    }
    return note;
}

static void entries_are_equal(const struct vital_entry *a, const struct vital_entry *b)
{
    ck_assert(slice_equal(a->path, b->path));
    ck_assert_uint_eq(a->revision, b->revision);
    ck_assert_uint_eq(a->silence_ms, b->silence_ms);
    ck_assert_uint_eq(a->intervals, b->intervals);
    ck_assert_double_eq(a->mean_ms, b->mean_ms);
    ck_assert_double_eq(a->variance, b->variance);
    ck_assert_int_eq(a->has_load, b->has_load);
    ck_assert_uint_eq(a->load_age_ms, b->load_age_ms);
    ck_assert_double_eq(a->load.cpu, b->load.cpu);
    ck_assert_double_eq(a->load.mem, b->load.mem);
    ck_assert_double_eq(a->load.qps, b->load.qps);
    ck_assert_double_eq(a->load.avg_latency_ms, b->load.avg_latency_ms);
    ck_assert_uint_eq(a->load.queue_length, b->load.queue_length);
}

START_TEST(every_note_decodes_to_itself_and_no_part_of_it_does)
{
    struct rng rng;
    struct arena arena = {0};
    struct buf bytes = {0};
    rng_init(&rng, 21);
    for (int round = 0; round < 2000; round++) {
        arena_clear(&arena);
        buf_clear(&bytes);
        struct vital_note note = any_note(&rng, &arena);
        struct vital_note got;
        vital_note_encode(&bytes, &note);
        ck_assert(vital_note_decode(buf_slice(&bytes), &got, &arena));
        ck_assert_uint_eq(got.type, note.type);
        ck_assert_uint_eq(got.era, note.era);
        ck_assert_uint_eq(got.since, note.since);
        ck_assert_int_eq(got.more, note.more);
        ck_assert_uint_eq(got.count, note.count);
        entries_are_equal(&got.beat, &note.beat);
        for (uint32_t i = 0; i < note.count; i++) {
            entries_are_equal(&got.entries[i], &note.entries[i]);
        }
        size_t part = (size_t)rng_below(&rng, bytes.size);
        ck_assert(!vital_note_decode(slice_make(bytes.data, part), &got, &arena));
        pack_u8(&bytes, 0);
        ck_assert(!vital_note_decode(buf_slice(&bytes), &got, &arena));
    }
    buf_close(&bytes);
    arena_close(&arena);
}
END_TEST

/* What decodes in spite of the damage is in order: it encodes to the same bytes. */
START_TEST(damaged_notes_are_refused_or_are_notes)
{
    struct rng rng;
    struct arena arena = {0};
    struct buf bytes = {0};
    struct buf again = {0};
    size_t refused = 0;
    rng_init(&rng, 22);
    for (int round = 0; round < 5000; round++) {
        arena_clear(&arena);
        buf_clear(&bytes);
        buf_clear(&again);
        struct vital_note note = any_note(&rng, &arena);
        struct vital_note got;
        vital_note_encode(&bytes, &note);
        for (uint64_t hits = 1 + rng_below(&rng, 4); hits > 0; hits--) {
            bytes.data[rng_below(&rng, bytes.size)] = (uint8_t)rng_next(&rng);
        }
        if (vital_note_decode(buf_slice(&bytes), &got, &arena)) {
            vital_note_encode(&again, &got);
            ck_assert(slice_equal(buf_slice(&again), buf_slice(&bytes)));
        } else {
            refused++;
        }
    }
    ck_assert_uint_gt(refused, 1000);
    buf_close(&again);
    buf_close(&bytes);
    arena_close(&arena);
}
END_TEST

START_TEST(loads_are_bounded_by_name)
{
    struct errmsg err;
    const double nan = 0.0 / 0.0;
    const struct {
        struct service_load load;
        const char *what;
    } cases[] = {
        {{.cpu = 1.5}, "load.cpu: 1.5, from 0 to 1"},
        {{.mem = -0.5}, "load.mem: -0.5, from 0 to 1"},
        {{.qps = 2e12}, "load.qps: 2e+12, from 0 to 1e+12"},
        {{.avg_latency_ms = 4e6}, "load.avg_latency_ms: 4e+06, from 0 to 3.6e+06"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(service_load_check(&cases[i].load, &err), RC_INVALID);
        ck_assert_str_eq(err.text, cases[i].what);
    }
    ck_assert_int_eq(service_load_check(&(struct service_load){.qps = nan}, &err), RC_INVALID);
    ck_assert_int_eq(service_load_check(&(struct service_load){.cpu = 1, .mem = 1}, &err), RC_OK);
}
END_TEST

static Suite *vital_note_suite(void)
{
    Suite *suite = suite_create("vital_note");
    TCase *tcase = tcase_create("vital_note");
    tcase_add_test(tcase, every_note_decodes_to_itself_and_no_part_of_it_does);
    tcase_add_test(tcase, damaged_notes_are_refused_or_are_notes);
    tcase_add_test(tcase, loads_are_bounded_by_name);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){vital_note_suite, NULL});
}
