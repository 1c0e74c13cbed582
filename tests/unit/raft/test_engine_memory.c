/* What of the log is in memory: forgotten when all have it, read back for who comes late. */
#include "raft/wal.h"
#include "tests/support/check_main.h"
#include "tests/support/engine_kit.h"

#define TRAILING_BYTES 20000
#define ENTRY_BYTES    5000
#define ENTRIES        200 /* a megabyte in 60 segments */
#define LONG_MS        (6 * 60 * 1000)

/* Member 3, which takes what follows its last entry and refuses the rest. */
struct late {
    struct engine_kit *x;
    uint64_t last;
    size_t messages; /* with entries */
    size_t offers;
};

static void open_leader(struct engine_kit *x)
{
    engine_kit_init(x, 3, 1);
    x->trailing_bytes = TRAILING_BYTES;
    engine_kit_open(x);
    engine_kit_lead(x);
}

static void tick(struct engine_kit *x, uint64_t ms)
{
    fake_env_advance(&x->fake, ms);
    engine_tick(x->engine, x->fake.env.now_ms(&x->fake.env));
    engine_kit_receive(x, 2, engine_kit_append_result(2, 0, engine_last_index(x->engine)));
}

static void submit(struct engine_kit *x, size_t entries)
{
    uint8_t payload[ENTRY_BYTES] = {0};
    for (size_t i = 0; i < entries; i++) {
        uint64_t index;
        uint64_t term;
        ck_assert_int_eq(
            engine_submit(x->engine, slice_make(payload, sizeof payload), &index, &term), RC_OK);
        engine_kit_run(x);
        tick(x, 5);
        x->sent_count = 0;
    }
    ck_assert_uint_eq(x->applied, engine_last_index(x->engine));
}

static void wait_long(struct engine_kit *x)
{
    for (uint64_t ms = 0; ms < LONG_MS; ms += 100) {
        tick(x, 100);
        x->sent_count = 0;
    }
}

/* Answers what was sent to member 3 since the last time. */
static void answer(struct late *late)
{
    struct engine_kit *x = late->x;
    uint64_t rejected = 0;
    bool answers = false;
    for (size_t i = 0; i < x->sent_count; i++) {
        const struct message *m = &x->sent[i];
        if (x->sent_to[i] != 3) {
            continue;
        }
        late->offers += m->type == MESSAGE_INSTALL_SNAPSHOT;
        if (m->type == MESSAGE_APPEND_ENTRIES) {
            const struct message_append_entries *a = &m->append_entries;
            answers = true;
            late->messages += a->entry_count > 0;
            rejected = a->prev_log_index > late->last ? a->prev_log_index : 0;
            if (rejected == 0 && a->prev_log_index + a->entry_count > late->last) {
                late->last = a->prev_log_index + a->entry_count;
            }
        }
    }
    x->sent_count = 0;
    if (answers) {
        engine_kit_receive(x, 3, engine_kit_append_result(2, rejected, late->last));
    }
}

/* Member 3 comes back, for so long. */
static void come_late(struct late *late, uint64_t ms)
{
    struct engine_kit *x = late->x;
    x->sent_count = 0;
    engine_kit_receive(x, 3, engine_kit_append_result(2, engine_last_index(x->engine), 1));
    for (uint64_t passed = 0; passed < ms && late->last < engine_last_index(x->engine);
         passed += 5) {
        answer(late);
        tick(x, 5);
    }
}

START_TEST(what_a_member_may_want_that_was_just_there_stays_in_memory)
{
    struct engine_kit x;
    open_leader(&x);
    submit(&x, ENTRIES);
    ck_assert_uint_ge(engine_memory_bytes(x.engine), (uint64_t)ENTRIES * ENTRY_BYTES);
    wait_long(&x);
    ck_assert_uint_le(engine_memory_bytes(x.engine), TRAILING_BYTES);
    ck_assert_uint_gt(engine_memory_bytes(x.engine), TRAILING_BYTES - ENTRY_BYTES - 1);
    engine_kit_close(&x);
}
END_TEST

START_TEST(what_all_have_is_forgotten_but_for_the_trailing_bytes)
{
    struct engine_kit x;
    open_leader(&x);
    struct late in_time = {.x = &x, .last = 1};
    submit(&x, ENTRIES);
    come_late(&in_time, 5000);
    ck_assert_uint_eq(in_time.last, engine_last_index(x.engine));
    ck_assert_uint_le(engine_memory_bytes(x.engine), TRAILING_BYTES);
    uint64_t held = engine_first_index(x.engine);
    struct wal_entry entry;
    ck_assert_int_eq(engine_entry(x.engine, held - 1, &entry), RC_NOT_FOUND);
    ck_assert_int_eq(engine_entry(x.engine, held, &entry), RC_OK);
    ck_assert_uint_eq(entry.payload.size, ENTRY_BYTES);
    engine_kit_close(&x);
}
END_TEST

START_TEST(who_comes_late_gets_what_was_forgotten_from_disk)
{
    struct engine_kit x;
    open_leader(&x);
    struct late late = {.x = &x, .last = 1};
    submit(&x, ENTRIES);
    wait_long(&x);
    come_late(&late, 60000);
    ck_assert_uint_eq(late.last, engine_last_index(x.engine));
    ck_assert_uint_ge(late.messages, 1);
    ck_assert_uint_eq(late.offers, 0);
    ck_assert(!engine_needs_snapshot(x.engine));
    /* What was read back does not stay for long. */
    submit(&x, 1);
    wait_long(&x);
    ck_assert_uint_le(engine_memory_bytes(x.engine), TRAILING_BYTES);
    engine_kit_close(&x);
}
END_TEST

START_TEST(a_snapshot_is_needed_if_they_cannot_be_read_back)
{
    struct engine_kit x;
    open_leader(&x);
    struct late late = {.x = &x, .last = 1};
    submit(&x, ENTRIES);
    wait_long(&x);
    fake_env_arm(&x.fake, 1, FAKE_FAULT_ONCE, RC_IO);
    come_late(&late, 1000);
    ck_assert_uint_eq(late.last, 1);
    ck_assert(engine_needs_snapshot(x.engine));
    struct engine_snapshot snapshot = {
        .index = engine_applied_index(x.engine), .term = 2, .file_bytes = 1};
    snapshot.configuration =
        engine_applied_configuration(x.engine, &snapshot.configuration_index);
    engine_snapshot_taken(x.engine, &snapshot);
    ck_assert(!engine_needs_snapshot(x.engine));
    come_late(&late, 5000);
    ck_assert_uint_ge(late.offers, 1);
    ck_assert_int_eq(x.fatals, 0);
    engine_kit_close(&x);
}
END_TEST

static Suite *engine_memory_suite(void)
{
    Suite *suite = suite_create("engine_memory");
    TCase *tcase = tcase_create("engine_memory");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, what_a_member_may_want_that_was_just_there_stays_in_memory);
    tcase_add_test(tcase, what_all_have_is_forgotten_but_for_the_trailing_bytes);
    tcase_add_test(tcase, who_comes_late_gets_what_was_forgotten_from_disk);
    tcase_add_test(tcase, a_snapshot_is_needed_if_they_cannot_be_read_back);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){engine_memory_suite, NULL});
}
