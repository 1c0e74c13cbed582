#include "net/shards/planner.h"

#include "base/list.h"
#include "base/mem.h"
#include "raft/node.h"

struct plan_ask {
    struct env_job job;
    struct list link;
    struct planner *planner;
    struct arena arena;
    struct map_copy map;
    struct draft_options options;
    struct draft draft;
    plan_done_fn done; /* NULL: nobody waits for it any more */
    void *owner;
};

struct planner {
    struct planner_options o;
    struct env_queue *queue; /* NULL until it is needed */
    struct list asks;
    size_t ask_count;
    struct metric *plans;
};

static struct plan_ask *ask_of(struct env_job *job)
{
    return (struct plan_ask *)(void *)((char *)job - offsetof(struct plan_ask, job));
}

static void ask_free(struct plan_ask *ask)
{
    list_remove(&ask->link);
    ask->planner->ask_count--;
    arena_close(&ask->arena);
    mem_free(ask);
}

/* On the worker. */
static void ask_run(struct env_job *job)
{
    struct plan_ask *ask = ask_of(job);
    draft_make(&ask->map, &ask->options, &ask->arena, &ask->draft);
}

static void ask_done(struct env_job *job)
{
    struct plan_ask *ask = ask_of(job);
    metric_add(ask->planner->plans, 1);
    if (ask->done != NULL) {
        ask->done(ask->owner, &ask->draft);
    }
    ask_free(ask);
}

static void keep_options(struct plan_ask *ask, const struct draft_options *options)
{
    struct slice *keep = arena_alloc(&ask->arena, (options->keep_count + 1) * sizeof *keep);
    ask->options = *options;
    for (size_t i = 0; i < options->keep_count; i++) {
        keep[i] = arena_copy(&ask->arena, options->keep[i]);
    }
    ask->options.keep = keep;
}

static struct plan_ask *ask_new(struct planner *p)
{
    struct plan_ask *ask = mem_zalloc(sizeof *ask);
    ask->planner = p;
    list_push_back(&p->asks, &ask->link);
    p->ask_count++;
    return ask;
}

static void ask_submit(struct plan_ask *ask)
{
    struct planner *p = ask->planner;
    if (p->queue == NULL) {
        p->queue = env_queue_open_background(p->o.env, "plans");
    }
    ask->job = (struct env_job){.run = ask_run, .done = ask_done};
    p->o.env->queue_submit(p->queue, &ask->job);
}

enum status planner_ask(struct planner *p, struct slice path,
                        const struct draft_options *options, plan_done_fn done, void *owner,
                        struct plan_ask **out)
{
    if (p == NULL || p->ask_count >= PLANNER_ASKS_MAX) {
        return p == NULL ? RC_STOPPED : RC_OVERLOADED;
    }
    struct plan_ask *ask = ask_new(p);
    if (!store_map_copy(node_store(p->o.node), path, &ask->arena, &ask->map)) {
        ask_free(ask);
        return RC_NOT_FOUND;
    }
    keep_options(ask, options);
    ask->done = done;
    ask->owner = owner;
    ask_submit(ask);
    *out = ask;
    return RC_OK;
}

void planner_forget(struct plan_ask *ask)
{
    if (ask != NULL) {
        ask->done = NULL;
    }
}

struct planner *planner_new(const struct planner_options *options)
{
    struct planner *p = mem_zalloc(sizeof *p);
    p->o = *options;
    list_init(&p->asks);
    if (options->metrics != NULL) {
        p->plans = metrics_counter(options->metrics, "coord_shard_plans_total", NULL,
                                   "Plans of shard maps that were made here.");
    }
    return p;
}

void planner_free(struct planner *p)
{
    if (p == NULL) {
        return;
    }
    if (p->queue != NULL) {
        p->o.env->queue_close(p->queue); /* waits; what was asked is not answered any more */
    }
    while (!list_empty(&p->asks)) {
        struct list *link = p->asks.next;
        ask_free((struct plan_ask *)(void *)((char *)link - offsetof(struct plan_ask, link)));
    }
    mem_free(p);
}
