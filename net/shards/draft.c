#include "net/shards/draft.h"

#include "base/mem.h"
#include "net/shards/view.h"
#include "store/validate.h"

static struct slice name_of(const struct view *v, uint32_t node)
{
    return node != PLAN_NONE ? v->map->members.at[node].name : slice_make(NULL, 0);
}

static struct slice why_of(uint8_t why)
{
    const char *name = plan_why_name(why);
    return slice_str(name != NULL ? name : "");
}

/* What has become of a shard's part of the plan so far. */
struct progress {
    uint32_t assign; /* its step, plus 1 */
    uint32_t adds;
    uint32_t steps;
};

struct writer {
    const struct view *v;
    struct draft *out;
    struct progress *progress; /* by place of the shard */
};

static struct shard_step *step_new(struct writer *w, const struct view_shard *of, uint8_t kind,
                                   uint8_t why)
{
    struct shard_step *step = &w->out->steps[w->out->step_count++];
    *step = (struct shard_step){.number = of->number, .kind = kind, .why = why_of(why)};
    w->progress[of->place].steps++;
    return step;
}

/* The first replicas of a shard; the first of them leads. */
static void assign(struct writer *w, const struct view_shard *of, const struct plan_step *from)
{
    struct progress *p = &w->progress[of->place];
    struct slice node = name_of(w->v, from->to);
    if (p->assign == 0) {
        step_new(w, of, SHARD_STEP_ASSIGN, from->why)->to = node;
        p->assign = w->out->step_count;
        return;
    }
    struct shard_step *step = &w->out->steps[p->assign - 1];
    if (from->kind == PLAN_LEAD) {
        struct slice rest = names_without(step->to, node, w->v->arena);
        struct slice name;
        step->to = node;
        while (names_next(&rest, &name)) {
            step->to = names_with(step->to, name, w->v->arena);
        }
    } else {
        step->to = names_with(step->to, node, w->v->arena);
    }
}

static void add(struct writer *w, struct view_shard *of, const struct plan_step *from)
{
    struct slice lost;
    bool replaces = names_next(&of->lost, &lost);
    struct shard_step *step = step_new(w, of, replaces ? SHARD_MOVE : SHARD_ADD, from->why);
    step->from = replaces ? lost : slice_make(NULL, 0);
    step->to = name_of(w->v, from->to);
    step->amount = from->bytes;
    w->progress[of->place].adds++;
}

/* A replica comes where one was: that has to go first, and the next plan does this. */
static bool comes_too_early(const struct writer *w, const struct view_shard *of,
                            const struct plan_step *from)
{
    return (from->kind == PLAN_ADD || from->kind == PLAN_MOVE) &&
           names_have(of->r.replicas, name_of(w->v, from->to));
}

static void take_step(struct writer *w, const struct plan_step *from)
{
    struct view_shard *of = &w->v->of_shards[from->shard];
    if (of->is_left || comes_too_early(w, of, from)) {
        return;
    }
    if (of->r.replicas.size == 0) {
        if (from->kind == PLAN_ADD || from->kind == PLAN_LEAD) {
            assign(w, of, from);
        }
        return;
    }
    if (from->kind == PLAN_ADD) {
        add(w, of, from);
        return;
    }
    if (from->kind == PLAN_LEAD && w->progress[of->place].steps > 0) {
        return; /* who leads is seen to when its replicas have moved */
    }
    static const uint8_t kinds[] = {
        [PLAN_MOVE] = SHARD_MOVE, [PLAN_DROP] = SHARD_DROP, [PLAN_LEAD] = SHARD_LEAD};
    struct shard_step *step = step_new(w, of, kinds[from->kind], from->why);
    step->from = from->kind != PLAN_LEAD ? name_of(w->v, from->from) : slice_make(NULL, 0);
    step->to = from->kind != PLAN_DROP ? name_of(w->v, from->to) : slice_make(NULL, 0);
    step->amount = from->kind == PLAN_MOVE ? from->bytes : 0;
}

/* Lost replicas that were not replaced, as there are enough without them. */
static void drop_lost(struct writer *w, struct view_shard *of)
{
    const struct plan_shard *s = &w->v->shards[of->place];
    uint32_t here = w->progress[of->place].adds;
    struct slice name;
    for (uint32_t i = 0; i < s->replica_count; i++) {
        here += s->replicas[i] != PLAN_NONE;
    }
    while (!of->is_left && here >= s->wanted && names_next(&of->lost, &name)) {
        step_new(w, of, SHARD_DROP, PLAN_WHY_LOST)->from = name;
    }
}

/* The planner knows nothing of a node that is not there. */
static void take_lost_pins(struct draft *out, const struct view *v)
{
    for (uint32_t i = 0; i < v->map->shards.count; i++) {
        const struct view_shard *of = &v->of_shards[i];
        if (of->r.pin.size > 0 && view_node(v->map, of->r.pin) == PLAN_NONE) {
            out->gaps[out->gap_count++] = (struct draft_gap){
                .gap = {.shard = i, .why = PLAN_WHY_PIN, .node = PLAN_NONE},
                .shard = of->number,
            };
        }
    }
}

static void take_gaps(struct draft *out, const struct view *v, const struct plan *plan)
{
    size_t max = plan->gap_count + (size_t)v->map->shards.count;
    out->gaps = arena_alloc(v->arena, (max + 1) * sizeof *out->gaps);
    for (uint32_t i = 0; i < plan->gap_count; i++) {
        const struct plan_gap *gap = &plan->gaps[i];
        out->gaps[out->gap_count++] = (struct draft_gap){
            .gap = *gap,
            .shard = v->of_shards[gap->shard].number,
            .node = name_of(v, gap->node),
        };
    }
    take_lost_pins(out, v);
}

static void take_leaderless(struct draft *out, const struct view *v)
{
    uint32_t count = v->map->shards.count;
    out->leaderless = arena_alloc(v->arena, (count + (size_t)1) * sizeof *out->leaderless);
    for (uint32_t i = 0; i < count; i++) {
        const struct shard_record *r = &v->of_shards[i].r;
        if (r->leader.size == 0 && r->replicas.size > 0) {
            out->leaderless[out->leaderless_count++] =
                (struct draft_leaderless){v->of_shards[i].number, r->awaits};
        }
    }
}

static size_t steps_at_most(const struct view *v, const struct plan *plan)
{
    size_t count = plan->step_count + (size_t)1;
    for (uint32_t i = 0; i < v->map->shards.count; i++) {
        count += names_count(v->of_shards[i].lost);
    }
    return count;
}

/* As many as one request may say: what is left is for the next plan. */
static uint32_t steps_in_request(const struct draft *d)
{
    uint32_t count = 0;
    size_t bytes = 0;
    while (count < d->step_count && count < SHARD_STEPS_MAX) {
        bytes += shard_steps_bytes(&d->steps[count], 1);
        if (bytes > STORE_REQUEST_BYTES_MAX) {
            break;
        }
        count++;
    }
    return count;
}

static void write_steps(struct draft *out, const struct view *v, const struct plan *plan)
{
    uint32_t shards = v->map->shards.count;
    struct writer w = {
        .v = v,
        .out = out,
        .progress = arena_alloc(v->arena, (shards + (size_t)1) * sizeof *w.progress),
    };
    memset(w.progress, 0, (shards + (size_t)1) * sizeof *w.progress);
    out->steps = arena_alloc(v->arena, steps_at_most(v, plan) * sizeof *out->steps);
    for (uint32_t i = 0; i < plan->step_count; i++) {
        take_step(&w, &plan->steps[i]);
    }
    for (uint32_t i = 0; i < shards; i++) {
        drop_lost(&w, &v->of_shards[i]);
    }
    out->step_count = steps_in_request(out);
    uint64_t copies = 0;
    for (uint32_t i = 0; i < out->step_count; i++) {
        out->bytes += out->steps[i].amount;
        copies += draft_step_ms(out, &out->steps[i]) > 0; /* to assign is no work */
    }
    out->duration_ms = plan_duration_ms(&v->cluster, copies, out->bytes);
}

void draft_make(const struct map_copy *map, const struct draft_options *options,
                struct arena *arena, struct draft *out)
{
    struct view v;
    struct plan plan;
    enum plan_goal goal = options->goal;
    *out = (struct draft){.revision = map->revision};
    if (!view_make(&v, map, options, arena)) {
        out->problem = v.problem;
        return;
    }
    if (options->is_automatic && goal == PLAN_BALANCE &&
        plan_imbalance(&v.cluster) <= v.spec.imbalance_permille) {
        goal = PLAN_FILL;
    }
    plan_make(&v.cluster, goal, &plan);
    out->is_balance = goal == PLAN_BALANCE;
    out->rate = v.spec.bandwidth / v.spec.concurrent;
    out->imbalance_permille = plan.imbalance_permille;
    out->result_permille = plan.result_permille;
    write_steps(out, &v, &plan);
    take_gaps(out, &v, &plan);
    take_leaderless(out, &v);
    plan_close(&plan);
}

uint64_t draft_step_ms(const struct draft *d, const struct shard_step *step)
{
    bool copies = step->kind == SHARD_MOVE || step->kind == SHARD_ADD;
    uint64_t seconds = d->rate > 0 ? step->amount / d->rate : 0;
    uint64_t rest = d->rate > 0 ? step->amount % d->rate * 1000 / d->rate : 0;
    return copies ? seconds * 1000 + rest + DRAFT_MOVE_MS : 0;
}
