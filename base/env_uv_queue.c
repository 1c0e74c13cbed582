/* Worker queues: one thread each, so that jobs keep their order and a slow queue holds up no other.
 *
 *   submit (loop) -> waiting -> run (worker) -> finished -> wake-up -> done (loop)
 *
 * `waiting`, `finished`, `yields` and `closing` are guarded by the mutex, the rest belongs to the
 * loop. The loop is woken after each job, not after a batch: a sync that is done is a write that
 * can be answered. libuv folds wake-ups that come faster than the loop turns. Either side is woken
 * after the mutex is free: else it would run into it, and sleep once more.
 */
#include <pthread.h>
#include <signal.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/resource.h>
#endif

#include "base/assert.h"
#include "base/env_uv_impl.h"
#include "base/mem.h"

/* Of a worker that gives way: about a third of the share of another thread, where they compete.
 * Not less: a snapshot that is never finished would let the log grow. */
#define QUEUE_YIELD_NICE 5

struct job_list {
    struct env_job *first;
    struct env_job *last;
};

struct env_queue {
    struct env_uv *env;
    char name[16]; /* what the kernel keeps of a thread's name */
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t wake;
    uv_async_t async;
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

/* Linux counts niceness by thread; what reads and writes for a nice thread comes later, too. */
static void worker_yield(void)
{
#ifdef __linux__
    (void)setpriority(PRIO_PROCESS, 0, QUEUE_YIELD_NICE);
#endif
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
        job_push(&q->finished, job);
        uv_mutex_unlock(&q->mutex);
        uv_async_send(&q->async);
        uv_mutex_lock(&q->mutex);
    }
    uv_mutex_unlock(&q->mutex);
}

static void queue_finished_cb(uv_async_t *async)
{
    struct env_queue *q = async->data;
    uv_mutex_lock(&q->mutex);
    struct job_list batch = q->finished;
    q->finished = (struct job_list){0};
    uv_mutex_unlock(&q->mutex);

    /* `done` may submit its job again, or close the queue: then the others get no answer, and the
     * queue's memory lasts until the loop's closing phase. */
    struct env_job *job;
    while (!q->closed && (job = job_pop(&batch)) != NULL) {
        job->done(job);
    }
}

struct env_queue *env_uv_queue_open(struct env *env, const char *name)
{
    struct env_queue *q = mem_zalloc(sizeof *q);
    q->env = env_uv_of(env);
    strncpy(q->name, name, sizeof q->name - 1);
    q->async.data = q;
    /* These fail when the process is out of descriptors or threads right at its start: there is
     * nothing to fall back to. */
    int rc = uv_async_init(q->env->loop, &q->async, queue_finished_cb);
    POST(rc == 0);
    rc = uv_mutex_init(&q->mutex);
    POST(rc == 0);
    rc = uv_cond_init(&q->wake);
    POST(rc == 0);
    rc = uv_thread_create(&q->thread, queue_thread, q);
    POST(rc == 0);
    q->env->pending++;
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

static void queue_closed_cb(uv_handle_t *handle)
{
    struct env_queue *q = handle->data;
    q->env->pending--;
    uv_cond_destroy(&q->wake);
    uv_mutex_destroy(&q->mutex);
    mem_free(q);
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
    uv_close((uv_handle_t *)&q->async, queue_closed_cb);
}
