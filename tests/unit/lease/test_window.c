/* Reply windows: which replies are remembered, which numbers are never executed again, and that
 * what is evicted depends on what came and on nothing else. */
#include "lease/window.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/check_main.h"

static struct windows all;
static struct window *w;

static void setup(void)
{
    windows_init(&all);
    w = window_open(&all, 7);
}

/* Of all windows that a test has open. */
static void check_all(struct window *const *open, size_t count)
{
    struct window_totals totals = {0};
    for (size_t i = 0; i < count; i++) {
        window_check(open[i], &totals);
    }
    windows_check(&all, &totals);
}

static void teardown(void)
{
    check_all(&w, 1);
    window_close(&all, w);
    ck_assert_uint_eq(all.sum, 0);
    ck_assert_uint_eq(all.bytes, 0);
    ck_assert(list_empty(&all.replies));
}

static void add_to(struct window *window, uint64_t sequence, size_t bytes)
{
    uint8_t *reply = mem_alloc(bytes);
    memset(reply, (int)sequence, bytes);
    window_add(&all, window, sequence, 100 + sequence, slice_make(reply, bytes));
    mem_free(reply);
}

static void add(uint64_t sequence)
{
    add_to(w, sequence, 10);
}

static bool has(uint64_t sequence)
{
    return window_find(w, sequence) != NULL;
}

START_TEST(a_reply_is_found_by_its_number)
{
    add(3);
    add(1);
    const struct window_reply *r = window_find(w, 3);
    ck_assert_ptr_nonnull(r);
    ck_assert_uint_eq(r->index, 103);
    ck_assert(slice_is(slice_make(r->bytes, r->size), "\3\3\3\3\3\3\3\3\3\3"));
    ck_assert(!has(2));
    ck_assert(!has(4));
    ck_assert_ptr_eq(window_next(w, 0), window_find(w, 1));
    ck_assert_ptr_eq(window_next(w, 1), window_find(w, 3));
    ck_assert_ptr_null(window_next(w, 3));
    ck_assert_ptr_null(window_next(w, UINT64_MAX));
}
END_TEST

START_TEST(what_is_answered_goes_and_the_floor_never_falls)
{
    for (uint64_t sequence = 1; sequence <= 5; sequence++) {
        add(sequence);
    }
    window_raise(&all, w, 3);
    ck_assert(!has(3) && has(4));
    ck_assert_uint_eq(w->floor, 3);
    window_raise(&all, w, 2);
    ck_assert_uint_eq(w->floor, 3);
    window_raise(&all, w, 100);
    ck_assert_uint_eq(window_count(w), 0);
    ck_assert_uint_eq(w->floor, 100);
}
END_TEST

START_TEST(numbers_come_in_any_order_within_the_window)
{
    for (uint64_t sequence = WINDOW_SEQUENCES; sequence >= 1; sequence--) {
        add(sequence);
    }
    ck_assert_uint_eq(window_count(w), WINDOW_SEQUENCES);
    ck_assert_uint_eq(w->floor, 0);
    ck_assert(has(1));
}
END_TEST

START_TEST(a_number_above_the_window_makes_it_slide)
{
    add(1);
    add(2);
    add(WINDOW_SEQUENCES);
    ck_assert_uint_eq(w->floor, 0);
    add(WINDOW_SEQUENCES + 1);
    ck_assert_uint_eq(w->floor, 1);
    ck_assert(!has(1) && has(2));
    add(UINT64_MAX);
    ck_assert_uint_eq(w->floor, UINT64_MAX - WINDOW_SEQUENCES);
    ck_assert_uint_eq(window_count(w), 1);
    ck_assert(has(UINT64_MAX));
}
END_TEST

START_TEST(a_session_keeps_so_many_bytes_from_the_highest_number_down)
{
    size_t each = 100000;
    uint64_t fit = WINDOW_BYTES_MAX / (each + WINDOW_REPLY_COST_BYTES);
    for (uint64_t sequence = 1; sequence <= fit; sequence++) {
        add_to(w, sequence, each);
    }
    ck_assert_uint_eq(w->floor, 0);
    add_to(w, fit + 1, each);
    ck_assert_uint_eq(w->floor, 1);
    ck_assert_uint_eq(window_count(w), fit);
    check_all(&w, 1);
    add_to(w, fit + 2, (size_t)WINDOW_BYTES_MAX * 2); /* too large, and the highest */
    ck_assert_uint_eq(window_count(w), 1);
    ck_assert_uint_eq(w->floor, fit + 1);
    check_all(&w, 1);
    add(fit + 3); /* it is not the highest any more */
    ck_assert_uint_eq(w->floor, fit + 2);
    ck_assert(has(fit + 3));
}
END_TEST

START_TEST(a_late_low_number_that_does_not_fit_is_below_the_floor)
{
    add_to(w, 9, (size_t)WINDOW_BYTES_MAX - 500);
    add_to(w, 4, 1000);
    ck_assert(!has(4) && has(9));
    ck_assert_uint_eq(w->floor, 4);
}
END_TEST

#define SESSIONS 100

START_TEST(over_all_sessions_the_oldest_reply_goes_first)
{
    struct window *open[SESSIONS];
    size_t each = (size_t)WINDOW_BYTES_MAX - WINDOW_REPLY_COST_BYTES;
    size_t fit = WINDOWS_BYTES_MAX / WINDOW_BYTES_MAX;
    for (size_t i = 0; i < SESSIONS; i++) {
        open[i] = window_open(&all, 1000 - i);
        add_to(open[i], 5, each);
        for (size_t j = 0; j <= i; j++) { /* the first are the oldest, whatever their ids */
            ck_assert_int_eq(window_find(open[j], 5) != NULL, j + fit > i);
            ck_assert_uint_eq(open[j]->floor, j + fit > i ? 0 : 5);
        }
    }
    ck_assert_uint_eq(all.bytes, WINDOWS_BYTES_MAX);
    for (size_t i = 0; i < SESSIONS; i++) {
        window_close(&all, open[i]);
    }
}
END_TEST

START_TEST(with_the_oldest_goes_what_is_below_it)
{
    struct window *open[SESSIONS];
    size_t each = (size_t)WINDOW_BYTES_MAX - WINDOW_REPLY_COST_BYTES;
    size_t fit = WINDOWS_BYTES_MAX / WINDOW_BYTES_MAX;
    add(9);
    add(4); /* younger, but a floor at 9 is above it */
    add(11);
    for (size_t i = 0; i < fit; i++) {
        open[i] = window_open(&all, 1000 + i);
        add_to(open[i], 1, each);
    }
    ck_assert(!has(4) && !has(9) && !has(11));
    ck_assert_uint_eq(w->floor, 11);
    ck_assert_ptr_nonnull(window_find(open[0], 1));
    for (size_t i = 0; i < fit; i++) {
        window_close(&all, open[i]);
    }
}
END_TEST

/* ---- observers ---------------------------------------------------------------------------- */

struct heard {
    char text[200];
};

static void hear_floor(void *context, const struct window *window)
{
    struct heard *h = context;
    size_t used = strlen(h->text);
    (void)snprintf(h->text + used, sizeof h->text - used, "floor %u. ",
                   (unsigned)window->floor);
}

static void hear_reply(void *context, const struct window_reply *r)
{
    struct heard *h = context;
    size_t used = strlen(h->text);
    (void)snprintf(h->text + used, sizeof h->text - used, "reply %u. ", (unsigned)r->sequence);
}

START_TEST(an_observer_is_told_before_floors_move_and_replies_go)
{
    struct heard heard = {.text = ""};
    struct window_observer observer = {hear_floor, hear_reply, &heard};
    add(1);
    add(2);
    add(3);
    all.observer = &observer;
    window_raise(&all, w, 2);
    ck_assert_str_eq(heard.text, "floor 0. reply 1. reply 2. ");
    heard.text[0] = '\0';
    window_raise(&all, w, 1);
    add(WINDOW_SEQUENCES + 3);
    ck_assert_str_eq(heard.text, "floor 2. reply 3. ");
    heard.text[0] = '\0';
    struct window *other = window_open(&all, 8);
    add_to(other, 1, 1);
    window_close(&all, other);
    ck_assert_str_eq(heard.text, "reply 1. ");
    all.observer = NULL;
}
END_TEST

/* ---- loading ------------------------------------------------------------------------------ */

static bool load(uint64_t sequence, uint64_t serial)
{
    struct window_reply from = {.sequence = sequence, .serial = serial, .index = 100};
    return window_load(&all, w, &from, slice_str("reply"));
}

START_TEST(only_a_reply_that_has_its_place_is_loaded)
{
    window_raise(&all, w, 10);
    ck_assert(!load(10, 1));                    /* not above the floor */
    ck_assert(!load(11 + WINDOW_SEQUENCES, 1)); /* above the window */
    ck_assert(load(10 + WINDOW_SEQUENCES, 5));
    ck_assert(!load(10 + WINDOW_SEQUENCES, 6)); /* there already */
    ck_assert(!load(11, 5));                    /* not by serial */
    ck_assert(load(11, 9));
    all.serial_next = 9;
    ck_assert(!windows_fit(&all));
    all.serial_next = 10;
    ck_assert(windows_fit(&all));
    ck_assert(window_fits(w));
}
END_TEST

/* One sequence of calls on two sets of windows, of which the second is loaded from the first in the
 * middle: they must go on alike. */
static void copy_windows(struct windows *to, struct window **copies, struct window *const *from,
                         size_t count)
{
    windows_init(to);
    for (size_t i = 0; i < count; i++) {
        copies[i] = window_open(to, from[i]->session);
        window_raise(to, copies[i], from[i]->floor);
    }
    for (const struct list *it = all.replies.next; it != &all.replies; it = it->next) {
        const struct window_reply *r =
            LIST_OF((struct list *)(uintptr_t)it, struct window_reply, link);
        size_t at = 0;
        while (from[at] != r->window) {
            at++;
        }
        ck_assert(window_load(to, copies[at], r, slice_make(r->bytes, r->size)));
    }
    to->serial_next = all.serial_next;
}

#define WINDOWS 40

START_TEST(loaded_windows_evict_as_the_original_ones_do)
{
    struct window *open[WINDOWS];
    struct window *copies[WINDOWS];
    struct windows loaded = {0};
    struct rng rng;
    uint8_t *bytes = mem_zalloc(600000);
    uint64_t evictions = 0;
    uint64_t own = all.sum; /* of the window that every test has */
    rng_init(&rng, (uint64_t)_i + 1);
    for (size_t i = 0; i < WINDOWS; i++) {
        open[i] = window_open(&all, rng_next(&rng));
    }
    for (int step = 0; step < 3000; step++) {
        if (step == 1500) {
            copy_windows(&loaded, copies, open, WINDOWS);
        }
        size_t at = rng_below(&rng, WINDOWS);
        uint64_t sequence = open[at]->floor + rng_range(&rng, 1, WINDOW_SEQUENCES + 20);
        bool answered = rng_chance(&rng, 20);
        size_t size = rng_chance(&rng, 200) ? rng_below(&rng, 600000) : rng_below(&rng, 90000);
        if (!answered && window_find(open[at], sequence) != NULL) {
            continue;
        }
        uint64_t before = all.bytes;
        struct slice reply = slice_make(bytes, size);
        for (int side = 0; side < (step < 1500 ? 1 : 2); side++) {
            struct windows *set = side == 0 ? &all : &loaded;
            struct window *window = side == 0 ? open[at] : copies[at];
            if (answered) {
                window_raise(set, window, sequence);
            } else {
                window_add(set, window, sequence, (uint64_t)step, reply);
            }
        }
        evictions += !answered && before + size + WINDOW_REPLY_COST_BYTES > all.bytes;
        if (step >= 1500) {
            ck_assert_uint_eq(all.sum - own, loaded.sum);
            ck_assert_uint_eq(all.bytes, loaded.bytes);
        }
    }
    ck_assert_uint_gt(evictions, 100); /* or nothing was tried */
    struct window_totals totals = {0};
    for (size_t i = 0; i < WINDOWS; i++) {
        ck_assert_uint_eq(open[i]->floor, copies[i]->floor);
        window_check(copies[i], &totals);
        window_close(&all, open[i]);
    }
    windows_check(&loaded, &totals);
    for (size_t i = 0; i < WINDOWS; i++) {
        window_close(&loaded, copies[i]);
    }
    mem_free(bytes);
}
END_TEST

static Suite *window_suite(void)
{
    Suite *suite = suite_create("window");
    TCase *tcase = tcase_create("window");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_reply_is_found_by_its_number);
    tcase_add_test(tcase, what_is_answered_goes_and_the_floor_never_falls);
    tcase_add_test(tcase, numbers_come_in_any_order_within_the_window);
    tcase_add_test(tcase, a_number_above_the_window_makes_it_slide);
    tcase_add_test(tcase, a_session_keeps_so_many_bytes_from_the_highest_number_down);
    tcase_add_test(tcase, a_late_low_number_that_does_not_fit_is_below_the_floor);
    tcase_add_test(tcase, over_all_sessions_the_oldest_reply_goes_first);
    tcase_add_test(tcase, with_the_oldest_goes_what_is_below_it);
    tcase_add_test(tcase, an_observer_is_told_before_floors_move_and_replies_go);
    tcase_add_test(tcase, only_a_reply_that_has_its_place_is_loaded);
    tcase_add_loop_test(tcase, loaded_windows_evict_as_the_original_ones_do, 0, 3);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){window_suite, NULL});
}
