/* A store, a hub over it, and watchers that write down what they get. Exactly the tests of the hub
 * include this: it defines what it declares. */
#ifndef TESTS_SUPPORT_WATCH_KIT_H
#define TESTS_SUPPORT_WATCH_KIT_H

#include <string.h>

#include "base/mem.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"
#include "watch/track.h"

#define LOG_BYTES 4096
#define WATCHERS  16

/* Writes down what it gets: "+/a =/a -/a; " for a revision, "..." where a piece goes on. */
struct watcher {
    struct watch watch;
    struct fixture *x;
    char log[LOG_BYTES];
    size_t room; /* changes it takes; SIZE_MAX: all */
    size_t taken;
    int calls;
    int caught_up;
    uint64_t floor;                     /* COMPACTED was told with this one */
    void (*then)(struct watcher *self); /* from inside deliver */
};

struct fixture {
    struct kit kit;
    struct watch_hub *hub;
    struct watcher w[WATCHERS];
    char order[LOG_BYTES]; /* of deliveries: a letter for each, by place in w */
};

static inline void note(char *log, const char *text)
{
    ck_assert_uint_lt(strlen(log) + strlen(text), LOG_BYTES);
    strcat(log, text);
}

static inline size_t on_deliver(struct watch *watch, const struct change *const *changes,
                                size_t count, bool continued, bool more)
{
    static const char marks[] = {'?', '+', '=', '-', '!'};
    struct watcher *w = LIST_OF(watch, struct watcher, watch);
    struct fixture *x = w->x;
    size_t take = count < w->room ? count : w->room;
    w->calls++;
    note(w->log, continued ? "..." : "");
    for (size_t i = 0; i < take; i++) {
        char text[128];
        ck_assert_uint_eq(changes[i]->revision, changes[0]->revision);
        snprintf(text, sizeof text, "%s%c%.*s", i == 0 ? "" : " ", marks[changes[i]->type],
                 (int)changes[i]->path.size, (const char *)changes[i]->path.data);
        note(w->log, text);
    }
    note(w->log, take < count || more ? "..." : "; ");
    w->room -= w->room == SIZE_MAX ? 0 : take;
    w->taken += take;
    char letter[2] = {(char)('a' + (w - x->w)), '\0'};
    note(x->order, letter);
    if (w->then != NULL) {
        w->then(w);
    }
    return take;
}

static inline void on_compacted(struct watch *watch, uint64_t floor)
{
    struct watcher *w = LIST_OF(watch, struct watcher, watch);
    ck_assert_int_eq(watch->state, WATCH_STOPPED);
    ck_assert_uint_eq(w->floor, 0);
    w->floor = floor;
}

static inline void on_caught_up(struct watch *watch)
{
    LIST_OF(watch, struct watcher, watch)->caught_up++;
}

static const struct watch_ops ops = {
    .deliver = on_deliver, .compacted = on_compacted, .caught_up = on_caught_up};

static inline struct fixture *open_fixture(void)
{
    struct fixture *x = mem_zalloc(sizeof *x);
    kit_open(&x->kit);
    x->hub = hub_new(x->kit.store);
    for (size_t i = 0; i < WATCHERS; i++) {
        x->w[i].x = x;
        x->w[i].room = SIZE_MAX;
    }
    return x;
}

static inline void close_fixture(struct fixture *x)
{
    for (size_t i = 0; i < WATCHERS; i++) {
        watch_stop(x->hub, &x->w[i].watch);
        watch_stop(x->hub, &x->w[i].watch); /* harmless */
    }
    hub_free(x->hub);
    kit_close(&x->kit);
    mem_free(x);
}

static inline struct watch_filter make_filter(enum watch_scope scope, const char *path)
{
    return (struct watch_filter){
        .scope = (uint8_t)scope, .space = SPACE_NODES, .path = slice_str(path)};
}

static inline enum outcome try_start(struct fixture *x, size_t i, const struct watch_filter *f,
                                     uint64_t from)
{
    ck_assert_int_eq(watch_filter_check(f, NULL), OUTCOME_OK);
    return watch_start(x->hub, &x->w[i].watch, f, &ops, from);
}

static inline void start(struct fixture *x, size_t i, enum watch_scope scope, const char *path,
                         uint64_t from)
{
    struct watch_filter f = make_filter(scope, path);
    ck_assert_int_eq(try_start(x, i, &f, from), OUTCOME_OK);
}

static inline void create(struct fixture *x, const char *path)
{
    ck_assert_int_eq(kit_create(&x->kit, path, "v"), OUTCOME_OK);
    hub_dispatch(x->hub);
}

static inline void set(struct fixture *x, const char *path)
{
    ck_assert_int_eq(kit_set(&x->kit, path, "w"), OUTCOME_OK);
    hub_dispatch(x->hub);
}

static inline void delete (struct fixture *x, const char *path)
{
    ck_assert_int_eq(kit_delete(&x->kit, path), OUTCOME_OK);
    hub_dispatch(x->hub);
}

/* All in one revision. */
static inline void create_all(struct fixture *x, const char *const *paths, uint32_t count)
{
    struct op list[8];
    for (uint32_t i = 0; i < count; i++) {
        list[i] = kit_op(OP_CREATE, paths[i], "v");
    }
    ck_assert_int_eq(kit_ops(&x->kit, list, count), OUTCOME_OK);
}

static inline void turn(struct fixture *x)
{
    while (hub_turn(x->hub, 1000)) {
    }
}

static inline void cut_log(struct fixture *x, uint64_t floor)
{
    history_trim(&x->kit.store->history, floor - 1 + HISTORY_REVISIONS_MIN, UINT64_MAX);
    ck_assert_uint_eq(store_history_floor(x->kit.store), floor);
}

static inline void expect_log(const struct fixture *x, size_t i, const char *log)
{
    ck_assert_str_eq(x->w[i].log, log);
}

static inline uint64_t now(const struct fixture *x)
{
    return store_revision(x->kit.store);
}

#endif
