#include <string.h>

#include "base/mem.h"
#include "coord/v1/shard_map.pb-c.h"
#include "net/grpc/answer.h"
#include "net/grpc/shard_map.h"
#include "net/grpc/wire.h"
#include "net/shards/planner.h"
#include "store/access.h"

#define KEEP_MAX 1024

enum { PLAN_REPLY_STEPS = 3, PLAN_REPLY_GAPS = 4, PLAN_REPLY_LEADERLESS = 5 };

/* What a call waits for: its memory is its own, as a call may end before the plan. */
struct waiting {
    struct plan_ask *ask; /* NULL: not yet, or not any more */
    struct draft_options options;
    struct arena arena; /* of options.keep */
};

static const struct store *store_of(const struct grpc_call *call)
{
    return node_store(grpc_call_node(call));
}

/* ---- the answer --------------------------------------------------------------------------- */

static void append_step(struct grpc_call *call, struct buf *out, const struct draft *d,
                        const struct shard_step *s)
{
    Coord__V1__ShardStep step;
    Coord__V1__ShardPlannedStep planned;
    coord__v1__shard_step__init(&step);
    coord__v1__shard_planned_step__init(&planned);
    step.shard = (uint32_t)s->number;
    step.kind = (Coord__V1__ShardMoveKind)(s->kind - 1);
    step.from = answer_copy(call, s->from);
    step.to = answer_copy(call, s->to);
    step.bytes = s->amount;
    step.why = answer_copy(call, s->why);
    planned.step = &step;
    planned.duration_ms = draft_step_ms(d, s);
    wire_append_message(out, PLAN_REPLY_STEPS, &planned.base);
}

static void append_gap(struct grpc_call *call, struct buf *out, const struct draft_gap *g)
{
    Coord__V1__ShardGap gap;
    coord__v1__shard_gap__init(&gap);
    gap.shard = (uint32_t)g->shard;
    gap.why = answer_text(plan_why_name(g->gap.why));
    gap.node = answer_copy(call, g->node);
    gap.by_drain = g->gap.by_drain;
    gap.by_holding = g->gap.by_holding;
    gap.by_tags = g->gap.by_tags;
    gap.by_zone = g->gap.by_zone;
    gap.by_capacity = g->gap.by_capacity;
    wire_append_message(out, PLAN_REPLY_GAPS, &gap.base);
}

static void append_leaderless(struct grpc_call *call, struct buf *out,
                              const struct draft_leaderless *l)
{
    Coord__V1__ShardLeaderless message;
    coord__v1__shard_leaderless__init(&message);
    message.shard = (uint32_t)l->shard;
    message.awaits = answer_copy(call, l->awaits);
    wire_append_message(out, PLAN_REPLY_LEADERLESS, &message.base);
}

static void send_plan(struct grpc_call *call, const struct draft *d)
{
    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__ShardMapPlanReply message;
    size_t begin;
    coord__v1__shard_map_plan_reply__init(&message);
    message.header = &header;
    message.revision = d->revision;
    message.bytes = d->bytes;
    message.duration_ms = d->duration_ms;
    message.imbalance_permille = d->imbalance_permille;
    message.result_permille = d->result_permille;
    struct buf *out = grpc_call_begin_with(call, &message.base, &begin);
    for (uint32_t i = 0; i < d->step_count; i++) {
        append_step(call, out, d, &d->steps[i]);
    }
    for (uint32_t i = 0; i < d->gap_count; i++) {
        append_gap(call, out, &d->gaps[i]);
    }
    for (uint32_t i = 0; i < d->leaderless_count; i++) {
        append_leaderless(call, out, &d->leaderless[i]);
    }
    grpc_call_end(call, begin);
    grpc_call_finish(call);
}

/* ---- the call ----------------------------------------------------------------------------- */

static void planned(void *owner, const struct draft *draft)
{
    struct grpc_call *call = owner;
    struct arena *scratch = &call->connection->shared->scratch;
    ((struct waiting *)call->data)->ask = NULL;
    if (draft->problem != NULL) {
        grpc_call_refuse(call, OUTCOME_MISMATCH, draft->revision, "%.*s: %s",
                         (int)call->path.size, (const char *)call->path.data, draft->problem);
    } else {
        send_plan(call, draft);
    }
    arena_clear(scratch); /* no handler or completion returns here */
}

static void caught_up(struct grpc_call *call, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    struct waiting *w = call->data;
    struct slice path = buf_slice(&call->path);
    struct access access;
    access_begin(&access, store_of(call), grpc_call_identities(call));
    if (!access_nearest(&access, ACL_READ, path)) {
        answer_refuse(call, path, OUTCOME_NO_AUTH, store_revision(store_of(call)));
        return;
    }
    enum status rc =
        planner_ask(call->connection->env->planner, path, &w->options, planned, call, &w->ask);
    if (rc == RC_NOT_FOUND) {
        answer_refuse(call, path, OUTCOME_NO_NODE, store_revision(store_of(call)));
    } else if (rc == RC_STOPPED) {
        grpc_call_fail(call, GRPC_UNIMPLEMENTED, "no plans are made on this member");
    } else if (rc != RC_OK) {
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED,
                       "%zu plans are under way on this member, which is the limit",
                       PLANNER_ASKS_MAX);
    }
}

void shard_plan_ended(struct grpc_call *call)
{
    struct waiting *w = call->data;
    if (w != NULL) {
        planner_forget(w->ask);
        arena_close(&w->arena);
        mem_free(w);
        call->data = NULL;
    }
}

static void take_options(struct waiting *w, const Coord__V1__ShardMapPlanRequest *r)
{
    struct slice *keep = arena_alloc(&w->arena, (r->n_keep + 1) * sizeof *keep);
    for (size_t i = 0; i < r->n_keep; i++) {
        keep[i] = arena_copy(&w->arena, slice_str(r->keep[i]));
    }
    w->options = (struct draft_options){
        .goal = r->goal == COORD__V1__SHARD_GOAL__GOAL_BY_HAND ? PLAN_REPAIR
                                                               : (enum plan_goal)r->goal,
        .target_permille = r->target_permille,
        .moves_max = r->moves_max,
        .keep = keep,
        .keep_count = r->n_keep,
    };
}

void shard_plan_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ShardMapPlanRequest *r = (const Coord__V1__ShardMapPlanRequest *)message;
    struct errmsg err;
    if (!answer_read_prepare(call, r->header)) {
        return;
    }
    buf_clear(&call->path);
    buf_append_str(&call->path, r->path);
    enum outcome outcome = path_check(buf_slice(&call->path), false, &err);
    if (outcome != OUTCOME_OK) {
        answer_refuse_early(call, outcome, &err);
        return;
    }
    if (r->n_keep > KEEP_MAX || (uint32_t)r->goal > COORD__V1__SHARD_GOAL__GOAL_BALANCE) {
        (void)errmsg_set(&err, RC_INVALID, "%s",
                         r->n_keep > KEEP_MAX ? "keep: more than 1024 nodes" : "goal: unknown");
        answer_refuse_early(call, OUTCOME_BAD_ARGUMENTS, &err);
        return;
    }
    struct waiting *w = mem_zalloc(sizeof *w);
    call->data = w;
    take_options(w, r);
    call->read.is_barrier = true;
    grpc_call_read(call, caught_up);
}
