/* Worker queues: one thread each, so that jobs keep their order and a slow queue holds up no other.
 *
 *   submit (loop) -> waiting -> run (worker) -> finished -> wake-up -> done (loop)
 *
 * `waiting`, `finished`, `yields` and `closing` are guarded by the mutex, the rest belongs to the
 * loop. The loop is woken after each job, not after a batch: a sync that is done is a write that
 * can be answered; but once for all that end before it looks. Either side is woken after the mutex
 * is free: else it would run into it, and sleep once more.
 *
 * All queues wake the loop by a byte in one pipe. uv_async_send would not do: libuv's loop spins
 * until the sender has returned, and the sender, whom the loop's waking has just taken the core
 * from, may be one that gives way to everybody.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/resource.h>
#endif
#include <unistd.h>

#include "base/assert.h"
#include "base/env_uv_impl.h"
#include "base/mem.h"

/* Of a worker that gives way: about a third of the share of another thread, where they compete.
 * Not less: a snapshot that is never finished would let the log grow. */
#define QUEUE_YIELD_NICE 5
/* What it holds a core for at most, where it says when it may lose it: the kernel would leave it
 * the core for a whole tick, 4 ms, and all that is niceness changes is how often. */
#define QUEUE_TURN_NS UINT64_C(100000)

struct job_list {
    struct env_job *first;
    struct env_job *last;
};

struct env_queue {
    struct list link;
    struct env_uv *env;
    char name[16]; /* what the kernel keeps of a thread's name */
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t wake;
    struct job_list waiting;
    struct job_list finished;
    bool yields;
    bool closing;
    bool closed; /* loop only: no `done` any more */
};

static void job_push(struct job_list *l, struct env_job *job)
{
    job->next = NULL;
    if (l->last == NULL) {
        l->first = job;
    } else {
        l->last->next = job;
    }
    l->last = job;
}

static struct env_job *job_pop(struct job_list *l)
{
    struct env_job *job = l->first;
    if (job != NULL) {
        l->first = job->next;
        if (l->first == NULL) {
            l->last = NULL;
        }
    }
    return job;
}

/* Since when this thread has had its core, as far as it knows; 0: it does not give way. */
static _Thread_local uint64_t turn_began_ns;

/* Linux counts niceness by thread; what reads and writes for a nice thread comes later, too. The
 * idle class would give way more readily, but a thread that may get no core for seconds must not
 * hold a lock which others want. */
static void worker_yield(void)
{
#ifdef __linux__
    (void)setpriority(PRIO_PROCESS, 0, QUEUE_YIELD_NICE);
#endif
    turn_began_ns = uv_hrtime();
}

void env_uv_give_way(struct env *env)
{
    (void)env;
    if (turn_began_ns != 0 && uv_hrtime() - turn_began_ns >= QUEUE_TURN_NS) {
        (void)sched_yield();
        turn_began_ns = uv_hrtime();
    }
}

/* What is not taken, as the pipe is full of wake-ups, is not needed either. */
static void wake_loop(struct env_uv *e)
{
    while (write(e->wake_fds[1], "", 1) < 0 && errno == EINTR) {
    }
}

static void queue_thread(void *arg)
{
    struct env_queue *q = arg;
    /* Signals are the loop's business. */
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
#ifdef __linux__
    prctl(PR_SET_NAME, q->name);
#endif
    bool has_yielded = false;
    uv_mutex_lock(&q->mutex);
    for (;;) {
        struct env_job *job = job_pop(&q->waiting);
        if (job == NULL) {
            if (q->closing) {
                break;
            }
            uv_cond_wait(&q->wake, &q->mutex);
            continue;
        }
        bool yields = q->yields && !has_yielded;
        uv_mutex_unlock(&q->mutex);
        if (yields) {
            worker_yield();
            has_yielded = true;
        }
        job->run(job);
        uv_mutex_lock(&q->mutex);
        bool is_first = q->finished.first == NULL;
        job_push(&q->finished, job);
        uv_mutex_unlock(&q->mutex);
        if (is_first) {
            wake_loop(q->env);
        }
        uv_mutex_lock(&q->mutex);
    }
    uv_mutex_unlock(&q->mutex);
}

/* ---- on the loop ------------------------------------------------------------------------- */

static void queue_report(struct env_queue *q)
{
    uv_mutex_lock(&q->mutex);
    struct job_list batch = q->finished;
    q->finished = (struct job_list){0};
    uv_mutex_unlock(&q->mutex);

    /* `done` may submit its job again, or close the queue: then the others get no answer. */
    struct env_job *job;
    while (!q->closed && (job = job_pop(&batch)) != NULL) {
        job->done(job);
    }
}

/* Any `done` may close any queue, so none is freed while one is under way. */
static void free_closed_queues(struct env_uv *e)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH (it, tmp, &e->queues) {
        struct env_queue *q = LIST_OF(it, struct env_queue, link);
        if (q->closed) {
            list_remove(&q->link);
            uv_cond_destroy(&q->wake);
            uv_mutex_destroy(&q->mutex);
            mem_free(q);
        }
    }
    if (list_empty(&e->queues)) {
        uv_poll_stop(&e->wake);
    }
}

static void woken_cb(uv_poll_t *poll, int status, int events)
{
    struct env_uv *e = poll->data;
    char bytes[64];
    (void)status;
    (void)events;
    while (read(e->wake_fds[0], bytes, sizeof bytes) < 0 && errno == EINTR) {
    }
    e->is_reporting = true;
    struct list *it;
    struct list *tmp;
    LIST_EACH (it, tmp, &e->queues) {
        queue_report(LIST_OF(it, struct env_queue, link));
    }
    e->is_reporting = false;
    free_closed_queues(e);
}

void env_uv_queues_init(struct env_uv *e)
{
    list_init(&e->queues);
    int rc = uv_pipe(e->wake_fds, UV_NONBLOCK_PIPE, UV_NONBLOCK_PIPE);
    POST(rc == 0);
    rc = uv_poll_init(e->loop, &e->wake, e->wake_fds[0]);
    POST(rc == 0);
    e->wake.data = e;
    e->pending++;
}

void env_uv_queues_free(struct env_uv *e)
{
    PRE(list_empty(&e->queues));
    close(e->wake_fds[0]);
    close(e->wake_fds[1]);
}

struct env_queue *env_uv_queue_open(struct env *env, const char *name)
{
    struct env_queue *q = mem_zalloc(sizeof *q);
    q->env = env_uv_of(env);
    strncpy(q->name, name, sizeof q->name - 1);
    /* These fail when the process is out of memory or threads: there is nothing to fall back to. */
    int rc = uv_mutex_init(&q->mutex);
    POST(rc == 0);
    rc = uv_cond_init(&q->wake);
    POST(rc == 0);
    rc = uv_thread_create(&q->thread, queue_thread, q);
    POST(rc == 0);
    if (list_empty(&q->env->queues)) {
        rc = uv_poll_start(&q->env->wake, UV_READABLE, woken_cb);
        POST(rc == 0);
    }
    list_push_back(&q->env->queues, &q->link);
    return q;
}

void env_uv_queue_yield(struct env_queue *q)
{
    uv_mutex_lock(&q->mutex);
    q->yields = true;
    uv_mutex_unlock(&q->mutex);
}

void env_uv_queue_submit(struct env_queue *q, struct env_job *job)
{
    PRE(!q->closed);
    uv_mutex_lock(&q->mutex);
    job_push(&q->waiting, job);
    uv_mutex_unlock(&q->mutex);
    uv_cond_signal(&q->wake);
}

void env_uv_queue_close(struct env_queue *q)
{
    PRE(!q->closed);
    q->closed = true;
    uv_mutex_lock(&q->mutex);
    q->closing = true;
    uv_cond_signal(&q->wake);
    uv_mutex_unlock(&q->mutex);
    uv_thread_join(&q->thread);
    if (!q->env->is_reporting) {
        free_closed_queues(q->env);
    }
}
