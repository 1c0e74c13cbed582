/* Latches: set, counted down by commands of the state machine; awaited by a read, and then a watch
 * of the one node, until it says 0 or is gone.
 *
 *   ASKED --(0, or no_wait)---------------------> answered
 *     |                                              ^
 *     +--(counts)--> WAITING --(0, deleted)----------+
 *
 * The watch begins behind the revision of what was read, so that nothing is missed in between. */
#include "net/grpc/latch.h"

#include "base/mem.h"
#include "coord/v1/barrier.pb-c.h"
#include "net/grpc/answer.h"
#include "net/grpc/watch.h"
#include "recipes/record.h"
#include "store/store.h"
#include "watch/watch.h"

/* ---- set and count down ------------------------------------------------------------------- */

static void changed(struct grpc_call *call, const struct reply *reply)
{
    if (reply->outcome != OUTCOME_OK) {
        answer_refuse_recipe(call, reply);
        return;
    }
    if (!answer_fits(call, reply, reply->has_recipe && reply->recipe.place_count == 1)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__LatchReply message;
    coord__v1__latch_reply__init(&message);
    message.header = &header;
    message.count = (uint32_t)reply->recipe.number;
    grpc_call_reply(call, &message.base);
}

static void change(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                   const char *path, struct command_recipe recipe)
{
    struct recipe_target target = {.path = slice_str(path)};
    struct command c = {.type = COMMAND_RECIPE, .recipe = recipe};
    if (!answer_write_prepare(call, header, &c)) {
        return;
    }
    buf_clear(&call->path);
    buf_append_slice(&call->path, target.path);
    c.recipe.recipe = RECIPE_LATCH;
    c.recipe.targets = &target;
    c.recipe.target_count = 1;
    answer_propose(call, &c, changed);
}

void latch_set_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LatchSetRequest *r = (const Coord__V1__LatchSetRequest *)message;
    struct command_recipe recipe = {
        .action = RECIPE_CONFIGURE,
        .number = r->count,
        .guards = answer_guards(call, r->guards, r->n_guards),
        .guard_count = (uint32_t)r->n_guards,
    };
    change(call, r->header, r->path, recipe);
}

void latch_count_down_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LatchCountDownRequest *r =
        (const Coord__V1__LatchCountDownRequest *)message;
    struct command_recipe recipe = {
        .action = RECIPE_COUNT_DOWN,
        .number = r->by != 0 ? r->by : 1,
        .guards = answer_guards(call, r->guards, r->n_guards),
        .guard_count = (uint32_t)r->n_guards,
    };
    change(call, r->header, r->path, recipe);
}

/* ---- await -------------------------------------------------------------------------------- */

struct await {
    struct grpc_call *call;
    struct watch watch;
    bool no_wait;
};

static struct await *of_watch(struct watch *w)
{
    return (struct await *)(void *)((char *)w - offsetof(struct await, watch));
}

/* False: it is no latch. */
static bool count_of(struct grpc_call *call, struct slice value, uint32_t *count)
{
    struct recipe_head head;
    struct arena *scratch = &call->connection->shared->scratch;
    bool is_latch = recipe_head_decode(value, &head, scratch) && head.recipe == RECIPE_LATCH;
    *count = is_latch ? head.count : 0;
    return is_latch;
}

static void answer_count(struct grpc_call *call, Coord__V1__ReplyHeader *header, uint32_t count)
{
    Coord__V1__LatchReply message;
    coord__v1__latch_reply__init(&message);
    message.header = header;
    message.count = count;
    grpc_call_reply(call, &message.base);
}

/* True: the call has been answered, and `a` is gone. */
static bool judge_change(struct grpc_call *call, const struct change *c)
{
    uint32_t count;
    if (c->type == CHANGE_DELETE || !count_of(call, value_slice(c->data), &count)) {
        answer_refuse(call, buf_slice(&call->path), OUTCOME_WAIT_ENDED, c->revision);
        return true;
    }
    if (count > 0) {
        return false;
    }
    const struct store *store = node_store(grpc_call_node(call));
    Coord__V1__ReplyHeader header =
        answer_header(call, c->revision, store_applied_index(store));
    answer_count(call, &header, 0);
    return true;
}

static size_t on_deliver(struct watch *watch, const struct change *const *changes, size_t count,
                         bool continued, bool more)
{
    struct grpc_call *call = of_watch(watch)->call;
    (void)continued;
    (void)more;
    for (size_t i = 0; i < count; i++) {
        if (judge_change(call, changes[i])) {
            break;
        }
    }
    arena_clear(&call->connection->shared->scratch); /* no handler or completion returns here */
    return count;
}

static bool on_may_see(struct watch *watch, const struct change *change)
{
    const struct grpc_call *call = of_watch(watch)->call;
    return store_may_see(node_store(grpc_call_node(call)), change, grpc_call_identities(call));
}

static void got(struct grpc_call *call, const struct query_result *result);

/* The log has been trimmed meanwhile: what is it now? */
static void look_again(struct grpc_call *call)
{
    struct query_result result;
    answer_look(call, &result);
    got(call, &result);
}

static void on_compacted(struct watch *watch, uint64_t floor)
{
    struct grpc_call *call = of_watch(watch)->call;
    (void)floor;
    look_again(call);
    arena_clear(&call->connection->shared->scratch);
}

static const struct watch_ops await_ops = {
    .deliver = on_deliver,
    .may_see = on_may_see,
    .compacted = on_compacted,
};

static void got(struct grpc_call *call, const struct query_result *result)
{
    struct await *a = call->data;
    struct recipe_head head;
    if (!answer_recipe(call, result, RECIPE_KIND(RECIPE_LATCH), &head)) {
        return;
    }
    if (head.count == 0 || a->no_wait) {
        Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
        answer_count(call, &header, head.count);
        return;
    }
    struct watch_filter filter = {
        .scope = WATCH_NODE,
        .space = SPACE_NODES,
        .path = buf_slice(&call->path),
    };
    if (watch_start(node_watches(grpc_call_node(call)), &a->watch, &filter, &await_ops,
                    result->revision + 1) != OUTCOME_OK) {
        look_again(call);
        return;
    }
    grpc_call_wake_at(call, call->connection->now_ms + GRPC_SERVING_CHECK_MS);
}

void latch_await_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__LatchAwaitRequest *r = (const Coord__V1__LatchAwaitRequest *)message;
    struct await *a = mem_zalloc(sizeof *a);
    a->call = call;
    a->no_wait = r->no_wait;
    call->data = a; /* latch_await_ended frees it */
    struct query query = {.type = QUERY_GET, .path = slice_str(r->path)};
    (void)answer_ask(call, r->header, &query, got);
}

void latch_await_woken(struct grpc_call *call)
{
    struct node *node = grpc_call_node(call);
    if (!node_is_serving(node) && !grpc_node_takes_reads(node)) {
        grpc_call_fail(call, GRPC_UNAVAILABLE, "this node does not serve: await it elsewhere");
        return;
    }
    grpc_call_wake_at(call, call->connection->now_ms + GRPC_SERVING_CHECK_MS);
}

void latch_await_ended(struct grpc_call *call)
{
    struct await *a = call->data;
    if (a == NULL) {
        return;
    }
    call->data = NULL;
    watch_stop(node_watches(grpc_call_node(call)), &a->watch);
    mem_free(a);
}
