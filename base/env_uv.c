/* The env's own life, its clocks and randomness, and the hook into the loop's turns. Disk,
 * queues, streams and listeners are in env_uv_*.c beside this file.
 *
 * A turn of the loop: timers, closed handles' successors, [prepare], wait for I/O, its callbacks,
 * [check]. The hook runs at both marks.
 */
#include "base/env_uv.h"

#include <signal.h>
#include <time.h>

#include "base/assert.h"
#include "base/env_uv_impl.h"
#include "base/mem.h"

static uint64_t env_uv_now_us(struct env *env)
{
    (void)env;
    return uv_hrtime() / 1000;
}

static uint64_t env_uv_now_ms(struct env *env)
{
    (void)env;
    return uv_hrtime() / 1000000;
}

static uint64_t env_uv_wall_ms(struct env *env)
{
    (void)env;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void env_uv_random(struct env *env, void *to, size_t bytes)
{
    (void)env;
    /* Identities and credentials are made of these bytes: there is no second-best source. */
    int rc = uv_random(NULL, NULL, to, bytes, 0, NULL);
    POST(rc == 0);
}

struct env *env_uv_new(uv_loop_t *loop, struct log *log)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);

    struct env_uv *e = mem_zalloc(sizeof *e);
    e->env = (struct env){
        .disk = &env_uv_disk,
        .net = &env_uv_net,
        .now_ms = env_uv_now_ms,
        .now_us = env_uv_now_us,
        .wall_ms = env_uv_wall_ms,
        .random = env_uv_random,
        .queue_open = env_uv_queue_open,
        .queue_yield = env_uv_queue_yield,
        .give_way = env_uv_give_way,
        .queue_submit = env_uv_queue_submit,
        .queue_close = env_uv_queue_close,
    };
    e->loop = loop;
    e->log = log;
    list_init(&e->listeners);
    env_uv_streams_init(e);
    env_uv_queues_init(e);
    return &e->env;
}

static void env_uv_handle_closed_cb(uv_handle_t *handle)
{
    struct env_uv *e = handle->data;
    e->pending--;
}

/* Nobody waits for these, and they cannot be stopped. */
static size_t lookups_left(const struct env_uv *e)
{
    size_t count = 0;
    for (const struct list *it = e->lookups.next; it != &e->lookups; it = it->next) {
        count++;
    }
    return count;
}

size_t env_uv_close(struct env *env)
{
    struct env_uv *e = env_uv_of(env);
    struct list *it;
    struct list *tmp;
    LIST_EACH (it, tmp, &e->listeners) {
        env_uv_listener_close((struct env_listener *)(void *)it);
    }
    env_uv_streams_close(e);
    uv_close((uv_handle_t *)&e->flush_timer, env_uv_handle_closed_cb);
    uv_close((uv_handle_t *)&e->wake, env_uv_handle_closed_cb);
    if (e->has_turn) {
        uv_close((uv_handle_t *)&e->prepare, env_uv_handle_closed_cb);
        uv_close((uv_handle_t *)&e->check, env_uv_handle_closed_cb);
        uv_close((uv_handle_t *)&e->deadline_timer, env_uv_handle_closed_cb);
    }
    while (e->pending > lookups_left(e)) {
        uv_run(e->loop, UV_RUN_ONCE);
    }
    env_uv_queues_free(e);
    env_uv_release_locks(e);
    e->is_closed = true;
    return lookups_left(e);
}

void env_uv_free(struct env *env)
{
    if (env == NULL) {
        return;
    }
    struct env_uv *e = env_uv_of(env);
    if (!e->is_closed) {
        (void)env_uv_close(env);
    }
    while (e->pending > 0) {
        uv_run(e->loop, UV_RUN_ONCE);
    }
    mem_free(e->read_buffer);
    mem_free(e);
}

static void env_uv_deadline_cb(uv_timer_t *timer)
{
    /* The turn before blocking, which always follows timers, does the work. */
    struct env_uv *e = timer->data;
    e->armed_ms = UINT64_MAX;
}

/* libuv counts timers from the time it cached when the turn began. Refreshing that here keeps the
 * time which the turn itself took from making the deadline late. */
static void env_uv_arm(struct env_uv *e)
{
    uv_update_time(e->loop);
    uint64_t deadline_ms = e->next_deadline_ms(e->turn_context);
    if (deadline_ms == e->armed_ms) {
        return;
    }
    e->armed_ms = deadline_ms;
    if (deadline_ms == UINT64_MAX) {
        uv_timer_stop(&e->deadline_timer);
        return;
    }
    uint64_t now_ms = env_uv_now_ms(&e->env);
    uint64_t wait_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    uv_timer_start(&e->deadline_timer, env_uv_deadline_cb, wait_ms, 0);
}

/* The turn that ends here, before the loop waits. */
static void env_uv_measure_turn(struct env_uv *e)
{
    uint64_t now_ns = uv_hrtime();
    uint64_t idle_ns = uv_metrics_idle_time(e->loop);
    uint64_t took_ns = now_ns - e->turn_begin_ns;
    uint64_t waited_ns = idle_ns - e->turn_idle_ns;
    uint64_t busy_us = took_ns > waited_ns ? (took_ns - waited_ns) / 1000 : 0;
    e->turn_begin_ns = now_ns;
    e->turn_idle_ns = idle_ns;
    histogram_observe_us(e->turn_seconds, busy_us);
    if (now_ns >= e->period_end_ns) {
        e->longest_us[1] = e->longest_us[0];
        e->longest_us[0] = 0;
        e->period_end_ns = now_ns + ENV_UV_TURN_PERIOD_NS;
    }
    e->longest_us[0] = busy_us > e->longest_us[0] ? busy_us : e->longest_us[0];
    uint64_t longest = e->longest_us[e->longest_us[1] > e->longest_us[0]];
    metric_set(e->turn_longest, (int64_t)longest);
}

static void env_uv_prepare_cb(uv_prepare_t *prepare)
{
    struct env_uv *e = prepare->data;
    e->turn(e->turn_context);
    env_uv_arm(e);
    if (e->turn_seconds != NULL) {
        env_uv_measure_turn(e);
    }
}

static void env_uv_check_cb(uv_check_t *check)
{
    struct env_uv *e = check->data;
    e->turn(e->turn_context);
}

void env_uv_on_turn(struct env *env, void (*turn)(void *context),
                    uint64_t (*next_deadline_ms)(void *context), void *context)
{
    struct env_uv *e = env_uv_of(env);
    PRE(!e->has_turn);
    e->has_turn = true;
    e->turn = turn;
    e->next_deadline_ms = next_deadline_ms;
    e->turn_context = context;
    e->armed_ms = UINT64_MAX;

    /* These cannot fail: they only link the handle into the loop. */
    uv_prepare_init(e->loop, &e->prepare);
    uv_check_init(e->loop, &e->check);
    uv_timer_init(e->loop, &e->deadline_timer);
    e->prepare.data = e;
    e->check.data = e;
    e->deadline_timer.data = e;
    e->pending += 3;
    uv_prepare_start(&e->prepare, env_uv_prepare_cb);
    uv_check_start(&e->check, env_uv_check_cb);
}

void env_uv_measure_turns(struct env *env, struct metrics *metrics)
{
    struct env_uv *e = env_uv_of(env);
    PRE(e->has_turn && e->turn_seconds == NULL);
    if (uv_loop_configure(e->loop, UV_METRICS_IDLE_TIME) != 0) {
        return; /* a libuv that cannot: there is nothing to tell */
    }
    e->turn_begin_ns = uv_hrtime();
    e->turn_seconds = metrics_histogram(metrics, "coord_loop_turn_seconds", NULL,
                                        "Time of one turn of the loop, without waiting.");
    e->turn_longest =
        metrics_gauge(metrics, "coord_loop_longest_turn_microseconds", NULL,
                      "The longest turn of the loop within the last 10 to 20 seconds.");
}
