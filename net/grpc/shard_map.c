/* coord.v1.ShardMap, but for Plan (shard_plan.c): each call is one command of the state
 * machine (COMMAND_SHARD). What maps say is read and watched as nodes; their texts are
 * recipes/shard_record.h. */
#include <stdio.h>

#include "coord/v1/shard_map.pb-c.h"
#include "net/grpc/answer.h"
#include "net/grpc/shard_map.h"
#include "recipes/shard_record.h"
#include "store/acl.h"

static void changed(struct grpc_call *call, const struct reply *reply)
{
    if (reply->outcome != OUTCOME_OK) {
        answer_refuse_reply(call, buf_slice(&call->path), reply);
        return;
    }
    if (!answer_fits(call, reply, !reply->has_lease && reply->result_count == 0)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__ShardMapReply message;
    coord__v1__shard_map_reply__init(&message);
    message.header = &header;
    grpc_call_reply(call, &message.base);
}

static void propose(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                    const char *path, struct command_shard what)
{
    struct command c = {.type = COMMAND_SHARD};
    buf_clear(&call->path);
    buf_append_str(&call->path, path);
    if (!answer_write_prepare(call, header, &c)) {
        return;
    }
    c.shard = what;
    c.shard.path = buf_slice(&call->path);
    answer_propose(call, &c, changed);
}

/* In the scratch memory of the call; frees `text`. */
static struct slice keep(struct grpc_call *call, struct buf *text)
{
    uint8_t *bytes = grpc_call_scratch(call, text->size + 1);
    struct slice kept = slice_make(bytes, text->size);
    if (text->size > 0) {
        memcpy(bytes, text->data, text->size);
    }
    buf_close(text);
    return kept;
}

static struct slice join_names(struct grpc_call *call, char *const *names, size_t count)
{
    struct buf text = {0};
    for (size_t i = 0; i < count; i++) {
        buf_append_str(&text, i > 0 ? "," : "");
        buf_append_str(&text, names[i]);
    }
    return keep(call, &text);
}

/* Of a bound that is too long, as much as is enough for it to be refused. */
static struct slice hex_of(struct grpc_call *call, const ProtobufCBinaryData *bytes)
{
    static const char digits[] = "0123456789abcdef";
    size_t count = bytes->len <= SHARD_KEY_BYTES_MAX ? bytes->len : SHARD_KEY_BYTES_MAX + 1;
    char *text = grpc_call_scratch(call, 2 * count + 1);
    for (size_t i = 0; i < count; i++) {
        text[2 * i] = digits[bytes->data[i] >> 4];
        text[2 * i + 1] = digits[bytes->data[i] & 15];
    }
    return slice_make(text, 2 * count);
}

static struct shard_step *steps_make(struct grpc_call *call, size_t count)
{
    struct shard_step *steps = grpc_call_scratch(call, (count + 1) * sizeof *steps);
    memset(steps, 0, (count + 1) * sizeof *steps);
    return steps;
}

/* One too many is enough to be refused. */
static size_t bounded(size_t count)
{
    return count <= SHARD_STEPS_MAX ? count : SHARD_STEPS_MAX + (size_t)1;
}

/* ---- maps --------------------------------------------------------------------------------- */

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

static struct slice spec_text(struct grpc_call *call, Coord__V1__ShardStrategy strategy,
                              uint32_t slots, const Coord__V1__ShardPolicy *policy)
{
    Coord__V1__ShardPolicy defaults;
    struct buf text = {0};
    coord__v1__shard_policy__init(&defaults);
    const Coord__V1__ShardPolicy *p = policy != NULL ? policy : &defaults;
    struct shard_spec spec = {
        .strategy = (uint64_t)strategy + 1,
        .slots = strategy == COORD__V1__SHARD_STRATEGY__HASH_SHARDS ? or_default(slots, 16384)
                                                                    : slots,
        .replicas = or_default(p->replicas, 1),
        .zone_max = p->zone_max,
        .tags = join_names(call, p->tags, p->n_tags),
        .promote = (uint64_t)p->promote + 1,
        .balance = (uint64_t)p->balance + 1,
        .automatic = (uint64_t)p->automatic,
        .imbalance_permille = or_default(p->imbalance_permille, 200),
        .target_permille = or_default(p->target_permille, 100),
        .concurrent = or_default(p->concurrent_moves, 2),
        .bandwidth = p->bandwidth,
        .timeout_ms = or_default(p->timeout_ms, 3600000),
        .lost_after_ms = or_default(p->lost_after_ms, 30000),
        .hours_begin = p->hours_begin,
        .hours_end = p->hours_end,
        .unclean = p->unclean ? 1 : 0,
    };
    /* Words that this build does not know have no text. */
    bool is_known = spec.strategy <= SHARD_RING && spec.promote <= SHARD_PROMOTE_PRIORITY &&
                    spec.balance <= SHARD_BY_QPS && spec.automatic <= SHARD_AUTO_BALANCE;
    if (is_known) {
        shard_spec_encode(&text, &spec);
    }
    return keep(call, &text);
}

static void create_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ShardMapCreateRequest *r =
        (const Coord__V1__ShardMapCreateRequest *)message;
    bool is_range = r->strategy == COORD__V1__SHARD_STRATEGY__RANGE_SHARDS;
    size_t count = is_range ? bounded(r->n_bounds + 1) : 1;
    struct shard_step *steps = steps_make(call, count);
    for (size_t i = 1; i < count; i++) {
        steps[i].from = hex_of(call, &r->bounds[i - 1]);
    }
    steps[0].number = is_range ? 0 : r->shards;
    propose(call, r->header, r->path,
            (struct command_shard){
                .action = SHARD_CREATE,
                .text = spec_text(call, r->strategy, r->slots, r->policy),
                .steps = steps,
                .step_count = (uint32_t)count,
            });
}

static void configure_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ShardMapConfigureRequest *r =
        (const Coord__V1__ShardMapConfigureRequest *)message;
    propose(call, r->header, r->path,
            (struct command_shard){
                .action = SHARD_CONFIGURE,
                .text = spec_text(call, r->strategy, r->slots, r->policy),
            });
}

static void drop_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ShardMapDropRequest *r = (const Coord__V1__ShardMapDropRequest *)message;
    propose(call, r->header, r->path, (struct command_shard){.action = SHARD_DROP_MAP});
}

/* ---- members ------------------------------------------------------------------------------ */

static void join_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ShardMapJoinRequest *r = (const Coord__V1__ShardMapJoinRequest *)message;
    struct buf text = {0};
    struct shard_member member = {
        .address = slice_str(r->address),
        .zone = slice_str(r->zone),
        .tags = join_names(call, r->tags, r->n_tags),
        .weight = r->drain ? 0 : or_default(r->weight, 100),
        .capacity_bytes = r->capacity_bytes,
        .capacity_replicas = r->capacity_replicas,
        .priority = r->priority,
    };
    uint64_t session =
        r->header != NULL && r->header->session != NULL ? r->header->session->id : 0;
    shard_member_encode(&text, &member);
    propose(call, r->header, r->path,
            (struct command_shard){
                .action = SHARD_JOIN,
                .node = slice_str(r->node),
                .text = keep(call, &text),
                .lease = r->lease != 0 ? r->lease : session,
            });
}

static void leave_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ShardMapLeaveRequest *r = (const Coord__V1__ShardMapLeaveRequest *)message;
    propose(call, r->header, r->path,
            (struct command_shard){.action = SHARD_LEAVE, .node = slice_str(r->node)});
}

static void stats_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ShardMapStatsRequest *r = (const Coord__V1__ShardMapStatsRequest *)message;
    struct buf text = {0};
    for (size_t i = 0; i < r->n_shards; i++) {
        const Coord__V1__ShardStats *s = r->shards[i];
        shard_stats_encode(&text, &(struct shard_stats){.shard = s->shard,
                                                        .rows = s->rows,
                                                        .bytes = s->bytes,
                                                        .qps = s->qps,
                                                        .position = s->position});
    }
    propose(call, r->header, r->path,
            (struct command_shard){
                .action = SHARD_STATS, .node = slice_str(r->node), .text = keep(call, &text)});
}

static void report_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ShardMapReportRequest *r =
        (const Coord__V1__ShardMapReportRequest *)message;
    size_t count = bounded(r->n_moves);
    struct shard_step *steps = steps_make(call, count);
    for (size_t i = 0; i < count; i++) {
        uint32_t state = (uint32_t)r->moves[i]->state + 1;
        steps[i].number = r->moves[i]->move;
        steps[i].state = state <= MOVE_DONE ? (uint8_t)state : 0;
        steps[i].amount = r->moves[i]->progress_permille;
    }
    propose(call, r->header, r->path,
            (struct command_shard){.action = SHARD_REPORT,
                                   .node = slice_str(r->node),
                                   .steps = steps,
                                   .step_count = (uint32_t)count});
}

/* ---- plans and moves ---------------------------------------------------------------------- */

static void apply_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ShardMapApplyRequest *r = (const Coord__V1__ShardMapApplyRequest *)message;
    size_t count = bounded(r->n_steps);
    struct shard_step *steps = steps_make(call, count);
    for (size_t i = 0; i < count; i++) {
        const Coord__V1__ShardStep *s = r->steps[i];
        uint32_t kind = (uint32_t)s->kind + 1;
        steps[i] = (struct shard_step){
            .number = s->shard,
            .kind = kind <= SHARD_STEP_ASSIGN ? (uint8_t)kind : 0,
            .amount = s->bytes,
            .from = slice_str(s->from),
            .to = slice_str(s->to),
            .why = slice_str(s->why),
        };
    }
    propose(call, r->header, r->path,
            (struct command_shard){.action = SHARD_PLAN,
                                   .base = r->revision,
                                   .steps = steps,
                                   .step_count = (uint32_t)count});
}

static void change_moves(struct grpc_call *call, const ProtobufCMessage *message,
                         enum shard_action action)
{
    const Coord__V1__ShardMapMovesRequest *r = (const Coord__V1__ShardMapMovesRequest *)message;
    size_t count = bounded(r->n_moves);
    struct shard_step *steps = steps_make(call, count);
    for (size_t i = 0; i < count; i++) {
        steps[i].number = r->moves[i];
    }
    propose(call, r->header, r->path,
            (struct command_shard){
                .action = (uint8_t)action, .steps = steps, .step_count = (uint32_t)count});
}

static void abort_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    change_moves(call, message, SHARD_ABORT);
}

static void hold_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    change_moves(call, message, SHARD_HOLD);
}

static void resume_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    change_moves(call, message, SHARD_RESUME);
}

/* ---- shards and keys ---------------------------------------------------------------------- */

static void split_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ShardMapSplitRequest *r = (const Coord__V1__ShardMapSplitRequest *)message;
    struct shard_step *step = steps_make(call, 1);
    step->number = r->shard;
    step->amount = r->slot;
    step->from = hex_of(call, &r->bound);
    propose(call, r->header, r->path,
            (struct command_shard){.action = SHARD_SPLIT, .steps = step, .step_count = 1});
}

static void merge_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ShardMapMergeRequest *r = (const Coord__V1__ShardMapMergeRequest *)message;
    struct shard_step *step = steps_make(call, 1);
    step->number = r->shard;
    propose(call, r->header, r->path,
            (struct command_shard){
                .action = SHARD_MERGE, .base = r->behind, .steps = step, .step_count = 1});
}

static void set_shard_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ShardMapSetShardRequest *r =
        (const Coord__V1__ShardMapSetShardRequest *)message;
    struct shard_step *step = steps_make(call, 1);
    struct buf text = {0};
    struct shard_record wants = {
        .weight = r->weight,
        .wanted = r->replicas,
        .tags = join_names(call, r->tags, r->n_tags),
        .pin = slice_str(r->pin),
    };
    step->number = r->shard;
    shard_record_encode(&text, &wants);
    propose(call, r->header, r->path,
            (struct command_shard){.action = SHARD_SET_SHARD,
                                   .text = keep(call, &text),
                                   .steps = step,
                                   .step_count = 1});
}

static void change_key(struct grpc_call *call, const ProtobufCMessage *message,
                       enum shard_action action)
{
    const Coord__V1__ShardMapKeyRequest *r = (const Coord__V1__ShardMapKeyRequest *)message;
    struct shard_step *step = steps_make(call, 1);
    step->number = r->shard;
    step->from = slice_make(r->key.data, r->key.len);
    propose(call, r->header, r->path,
            (struct command_shard){.action = (uint8_t)action, .steps = step, .step_count = 1});
}

static void set_key_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    change_key(call, message, SHARD_SET_KEY);
}

static void remove_key_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    change_key(call, message, SHARD_REMOVE_KEY);
}

/* ---- the service -------------------------------------------------------------------------- */

#define METHOD(title, takes, kind, handler)                                                 \
    {                                                                                       \
        .name = (title), .needs = GRPC_NEEDS_USER, .right = (takes),                        \
        .request = &coord__v1__shard_map_##kind##_request__descriptor, .message = (handler) \
    }

static const struct grpc_method methods[] = {
    METHOD("Create", ACL_CREATE, create, create_call),
    METHOD("Configure", ACL_WRITE, configure, configure_call),
    METHOD("Drop", ACL_DELETE, drop, drop_call),
    METHOD("Join", ACL_CREATE, join, join_call),
    METHOD("Leave", 0, leave, leave_call),
    METHOD("Stats", 0, stats, stats_call),
    METHOD("Report", 0, report, report_call),
    {.name = "Plan",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__shard_map_plan_request__descriptor,
     .message = shard_plan_call,
     .ended = shard_plan_ended},
    METHOD("Apply", ACL_WRITE, apply, apply_call),
    METHOD("Abort", ACL_WRITE, moves, abort_call),
    METHOD("Hold", ACL_WRITE, moves, hold_call),
    METHOD("Resume", ACL_WRITE, moves, resume_call),
    METHOD("Split", ACL_WRITE, split, split_call),
    METHOD("Merge", ACL_WRITE, merge, merge_call),
    METHOD("SetShard", ACL_WRITE, set_shard, set_shard_call),
    METHOD("SetKey", ACL_WRITE, key, set_key_call),
    METHOD("RemoveKey", ACL_WRITE, key, remove_key_call),
};

const struct grpc_service grpc_shard_map_service = {
    .name = "coord.v1.ShardMap",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
