#include "tests/sim/sim_env.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "tests/sim/sim_net.h"

#define WALL_MS_AT_START UINT64_C(1700000000000)

struct env_file {
    struct sim_env *process;
    struct sim_file file;
};

struct env_queue {
    struct sim_env *process;
    struct list link;
    struct env_job *first;
    struct env_job **last;
    bool has_run; /* the first job: `done` comes next */
    struct world_event event;
};

static struct sim_env *sim_env_of(struct env *env)
{
    return (struct sim_env *)(void *)env;
}

static struct sim_disk *disk_of(struct env *env)
{
    return &sim_env_of(env)->host->disk;
}

/* ---- disk: the vtable. A dead process reaches no disk, its successor may already use it. - */

static enum status env_disk_open(struct env *env, const char *path, int flags,
                                 struct env_file **out)
{
    struct sim_env *e = sim_env_of(env);
    struct sim_file file;
    enum status rc = e->is_dead ? RC_IO : sim_disk_open(disk_of(env), path, flags, &file);
    if (rc == RC_OK) {
        *out = mem_zalloc(sizeof **out);
        (*out)->process = e;
        (*out)->file = file;
        e->open_files++;
    }
    return rc;
}

static enum status env_disk_read(struct env_file *f, uint64_t offset, void *to, size_t bytes,
                                 size_t *got)
{
    *got = 0;
    return f->process->is_dead ? RC_IO : sim_disk_read(&f->file, offset, to, bytes, got);
}

static enum status env_disk_write(struct env_file *f, uint64_t offset, const void *from,
                                  size_t bytes)
{
    return f->process->is_dead ? RC_IO : sim_disk_write(&f->file, offset, from, bytes);
}

static enum status env_disk_sync(struct env_file *f)
{
    return f->process->is_dead ? RC_IO : sim_disk_sync(&f->file);
}

static enum status env_disk_truncate(struct env_file *f, uint64_t bytes)
{
    return f->process->is_dead ? RC_IO : sim_disk_truncate(&f->file, bytes);
}

static enum status env_disk_size(struct env_file *f, uint64_t *bytes)
{
    *bytes = sim_disk_size(&f->file);
    return RC_OK;
}

static void env_disk_close(struct env_file *f)
{
    f->process->open_files--;
    sim_disk_close_file(&f->file);
    mem_free(f);
}

static enum status env_disk_rename(struct env *env, const char *from, const char *to)
{
    return sim_env_of(env)->is_dead ? RC_IO : sim_disk_rename(disk_of(env), from, to);
}

static enum status env_disk_unlink(struct env *env, const char *path)
{
    return sim_env_of(env)->is_dead ? RC_IO : sim_disk_unlink(disk_of(env), path);
}

static enum status env_disk_mkdir(struct env *env, const char *path)
{
    (void)path; /* the model has no entries for directories */
    return sim_env_of(env)->is_dead ? RC_IO : RC_OK;
}

static enum status env_disk_list(struct env *env, const char *path, env_list_fn fn,
                                 void *context)
{
    return sim_env_of(env)->is_dead ? RC_IO : sim_disk_list(disk_of(env), path, fn, context);
}

static enum status env_disk_sync_dir(struct env *env, const char *path)
{
    return sim_env_of(env)->is_dead ? RC_IO : sim_disk_sync_dir(disk_of(env), path);
}

static enum status env_disk_lock(struct env *env, const char *path)
{
    (void)path; /* a data dir is all that a host has */
    return sim_env_of(env)->is_dead ? RC_IO : sim_disk_lock(disk_of(env), env);
}

static const struct env_disk sim_disk_table = {
    .open = env_disk_open,
    .read = env_disk_read,
    .write = env_disk_write,
    .sync = env_disk_sync,
    .truncate = env_disk_truncate,
    .size = env_disk_size,
    .close = env_disk_close,
    .rename = env_disk_rename,
    .unlink = env_disk_unlink,
    .mkdir = env_disk_mkdir,
    .list = env_disk_list,
    .sync_dir = env_disk_sync_dir,
    .lock = env_disk_lock,
};

/* ---- clock and randomness ---------------------------------------------------------------- */

void sim_host_init(struct sim_host *h, struct world *w, struct sim_net *net, uint32_t number)
{
    *h = (struct sim_host){.world = w, .net = net, .number = number, .clock_rate_ppm = 1000000};
    sim_disk_init(&h->disk, w, number);
    sim_host_boot_clock(h);
}

void sim_host_close(struct sim_host *h)
{
    PRE(h->process == NULL);
    sim_disk_close(&h->disk);
}

void sim_host_boot_clock(struct sim_host *h)
{
    h->clock_base_us = world_random(h->world, 1, 100) * SECOND;
    h->clock_anchor_us = h->world->now_us;
}

void sim_host_jump_clock(struct sim_host *h, uint64_t forward_us)
{
    h->clock_base_us += forward_us;
    h->jumped_us += forward_us;
}

uint64_t sim_host_age_us(const struct sim_host *h)
{
    return h->world->now_us * h->clock_rate_ppm / 1000000 + h->jumped_us;
}

uint64_t sim_host_now_us(const struct sim_host *h)
{
    uint64_t elapsed = h->world->now_us - h->clock_anchor_us;
    return h->clock_base_us + elapsed * h->clock_rate_ppm / 1000000;
}

uint64_t sim_host_delay_until(const struct sim_host *h, uint64_t local_us)
{
    uint64_t now = sim_host_now_us(h);
    if (local_us <= now) {
        return 0;
    }
    uint64_t wait = local_us - now;
    wait = wait > 3600 * SECOND ? 3600 * SECOND : wait;
    return wait * 1000000 / h->clock_rate_ppm + 1; /* never early */
}

uint64_t sim_host_pause_left(const struct sim_host *h)
{
    uint64_t now = h->world->now_us;
    return h->paused_until_us > now ? h->paused_until_us - now : 0;
}

static uint64_t env_now_us(struct env *env)
{
    return sim_host_now_us(sim_env_of(env)->host);
}

static uint64_t env_now_ms(struct env *env)
{
    return env_now_us(env) / MS;
}

static uint64_t env_wall_ms(struct env *env)
{
    const struct sim_host *h = sim_env_of(env)->host;
    return (uint64_t)((int64_t)(WALL_MS_AT_START + h->world->now_us / MS) + h->wall_offset_ms);
}

static void env_random(struct env *env, void *to, size_t bytes)
{
    uint8_t *out = to;
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t v = rng_next(&sim_env_of(env)->host->world->rng);
        memcpy(out + i, &v, bytes - i < 8 ? bytes - i : 8);
    }
}

/* ---- queues ------------------------------------------------------------------------------ */

static void queue_step(void *context);

/* Disk latencies as measured on real machines: 0.1 ms usually, now and then much more. */
static uint64_t queue_latency_us(const struct env_queue *q)
{
    const struct sim_host *h = q->process->host;
    uint64_t us = world_random(h->world, 60, 240);
    if (world_chance(h->world, 20)) {
        us += world_random(h->world, 500, 8000);
    }
    return us + h->disk.slow_us;
}

static void queue_schedule(struct env_queue *q)
{
    if (q->first != NULL && !q->process->is_dead) {
        uint64_t delay =
            q->has_run ? world_random(q->process->host->world, 1, 40) : queue_latency_us(q);
        world_at(q->process->host->world, &q->event, delay, queue_step, q);
    }
}

static void queue_step(void *context)
{
    struct env_queue *q = context;
    struct sim_env *e = q->process;
    struct env_job *job = q->first;
    uint64_t pause = sim_host_pause_left(e->host);
    if (pause > 0) {
        world_at(e->host->world, &q->event, pause, queue_step, q);
        return;
    }
    if (!q->has_run) {
        q->has_run = true;
        job->run(job);
        if (e->host->disk.is_dead) {
            e->died(e->context);
            return;
        }
        queue_schedule(q);
        return;
    }
    q->has_run = false;
    q->first = job->next;
    if (q->first == NULL) {
        q->last = &q->first;
    }
    queue_schedule(q);
    job->done(job); /* may close the queue */
    if (!e->is_dead) {
        e->wake(e->context);
    }
}

static struct env_queue *env_queue_open(struct env *env, const char *name)
{
    (void)name;
    struct sim_env *e = sim_env_of(env);
    struct env_queue *q = mem_zalloc(sizeof *q);
    q->process = e;
    q->last = &q->first;
    list_push_back(&e->queues, &q->link);
    e->open_queues++;
    return q;
}

static void env_queue_submit(struct env_queue *q, struct env_job *job)
{
    bool was_idle = q->first == NULL;
    job->next = NULL;
    *q->last = job;
    q->last = &job->next;
    if (was_idle) {
        queue_schedule(q);
    }
}

/* Jobs that wait are run, as the contract says; those of a dead process meet a dead disk. */
static void env_queue_close(struct env_queue *q)
{
    world_cancel(q->process->host->world, &q->event);
    for (struct env_job *job = q->first; job != NULL;) {
        struct env_job *next = job->next;
        if (!q->has_run) {
            job->run(job);
        }
        q->has_run = false;
        job = next;
    }
    list_remove(&q->link);
    q->process->open_queues--;
    mem_free(q);
}

/* ---- the process ------------------------------------------------------------------------- */

struct sim_env *sim_env_new(struct sim_host *h, void (*wake)(void *), void (*died)(void *),
                            void *context)
{
    PRE(h->process == NULL);
    struct sim_env *e = mem_zalloc(sizeof *e);
    e->env = (struct env){
        .disk = &sim_disk_table,
        .net = &sim_net_table,
        .now_ms = env_now_ms,
        .now_us = env_now_us,
        .wall_ms = env_wall_ms,
        .random = env_random,
        .queue_open = env_queue_open,
        .queue_submit = env_queue_submit,
        .queue_close = env_queue_close,
    };
    e->host = h;
    e->wake = wake;
    e->died = died;
    e->context = context;
    list_init(&e->queues);
    h->process = e;
    h->disk.is_dead = false;
    return e;
}

static void env_detach(struct sim_env *e)
{
    struct sim_host *h = e->host;
    if (h->process == e) {
        h->process = NULL;
    }
    if (h->disk.lock_holder == &e->env) {
        h->disk.lock_holder = NULL;
    }
}

void sim_env_kill(struct sim_env *e, bool power)
{
    PRE(!e->is_dead);
    struct sim_host *h = e->host;
    struct list *it;
    struct list *tmp;
    e->is_dead = true;
    e->died_with_power = power;
    LIST_EACH(it, tmp, &e->queues)
    {
        world_cancel(h->world, &LIST_OF(it, struct env_queue, link)->event);
    }
    env_detach(e);
    sim_net_process_died(h->net, e, power);
    h->disk.is_dead = false;
    h->disk.die_after = 0;
    if (power) {
        sim_disk_lose_power(&h->disk);
    }
}

uint32_t sim_env_free(struct sim_env *e)
{
    uint32_t held = e->open_files + e->open_queues + sim_net_forget(e->host->net, e);
    env_detach(e);
    mem_free(e);
    return held;
}
