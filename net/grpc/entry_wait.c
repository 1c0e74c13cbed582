/* From the command that asks for entries to their grant: what Acquire, Campaign and Enter have in
 * common. Of a barrier also from the command that says that one leaves to the end of its entry.
 *
 *   PROPOSED --(refused, held)------------------------------> answered
 *       |                                                        ^
 *       +--(queued)--> WAITING --(its entry is held, or gone)----+
 *
 * The command is not the call's but its own: a client that goes away while it is on its way would
 * leave an entry that nobody knows of. So it outlives the call, and what it brought is given back;
 * unless it can be repeated, under a sequence number or request id: then its client may come again,
 * here or elsewhere, and finds what it has.
 * A try that repeats a request which waits by now, as its client wants to wait no longer, gives up
 * that one's entries, and says HELD.
 * While it waits there is one watch, of one entry: the parts of a multi-lock are granted in one
 * revision. The watch begins behind the revision of the reply, so nothing is missed in between. */
#include "base/mem.h"
#include "net/grpc/answer.h"
#include "net/grpc/audit.h"
#include "net/grpc/entry_wait.h"
#include "net/grpc/lock.h"
#include "recipes/record.h"
#include "store/acl.h"
#include "store/auth.h"
#include "store/store.h"
#include "watch/watch.h"

/* For what goes on without a call. */
#define DETACHED_MS 60000

enum wait_stage { WAIT_PROPOSED, WAIT_WAITING };

struct entry_wait {
    struct grpc_call *call; /* NULL: its client has gone */
    struct node *node;
    struct env *env;
    struct node_write write; /* ACQUIRE, and then what gives it back */
    struct watch watch;
    entry_wait_fn held;
    uint8_t recipe; /* enum recipe_type */
    uint8_t stage;  /* enum wait_stage */
    bool is_repeatable;
    bool is_try;
    bool until_gone; /* what it waits for: the end of its entry, else that it is held */
    uint64_t session;
    struct buf identities;
    struct buf paths; /* of the lock for error texts, then of the entries */
    struct entry_wait_place places[RECIPE_TARGETS_MAX];
    uint32_t place_count;
};

static void wait_free(struct entry_wait *w)
{
    watch_stop(node_watches(w->node), &w->watch);
    if (w->call != NULL) {
        w->call->data = NULL;
    }
    buf_close(&w->identities);
    buf_close(&w->paths);
    mem_free(w);
}

/* ---- giving back -------------------------------------------------------------------------- */

/* If it could not be, the end of the lease gives it back. */
static void given_back_cb(struct node_write *write, enum status rc, const struct reply *reply)
{
    struct entry_wait *w = write->owner;
    struct grpc_call *call = w->call;
    if (call != NULL) {
        call->data = NULL;
        w->call = NULL;
    }
    if (call != NULL && rc == RC_OK) {
        answer_refuse(call, w->places[0].path, OUTCOME_HELD, reply->revision);
    } else if (call != NULL) {
        grpc_call_fail_status(call, rc, true);
    }
    wait_free(w);
}

/* Nobody is left to tell, or a try is to be told HELD afterwards. What waits is cancelled; what
 * was granted is released, once. */
static void give_back(struct entry_wait *w, enum recipe_action action)
{
    struct recipe_target targets[RECIPE_TARGETS_MAX];
    for (uint32_t i = 0; i < w->place_count; i++) {
        targets[i] = (struct recipe_target){
            .path = w->places[i].path,
            .revision = w->places[i].revision,
        };
    }
    struct command c = {
        .type = COMMAND_RECIPE,
        .session = w->session,
        .identities = buf_slice(&w->identities),
        .recipe = {.recipe = w->recipe,
                   .action = (uint8_t)action,
                   .targets = targets,
                   .target_count = w->place_count},
    };
    w->write = (struct node_write){.done = given_back_cb, .owner = w};
    enum status rc = RC_NOT_FOUND;
    if (w->place_count > 0) {
        rc = node_write(w->node, &w->write, &c, w->env->now_ms(w->env) + DETACHED_MS);
    }
    if (rc != RC_OK) {
        given_back_cb(&w->write, rc, NULL);
    }
}

/* ---- answering ---------------------------------------------------------------------------- */

static void places_take(struct entry_wait *w, const struct recipe_result *result)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < result->place_count; i++) {
        bytes += result->places[i].path.size;
    }
    buf_clear(&w->paths);
    buf_reserve(&w->paths, bytes); /* it does not move below */
    for (uint32_t i = 0; i < result->place_count && i < RECIPE_TARGETS_MAX; i++) {
        struct slice path = result->places[i].path;
        w->places[i] = (struct entry_wait_place){
            .path = slice_make(w->paths.data + w->paths.size, path.size),
            .revision = result->places[i].revision,
            .epoch = result->places[i].epoch,
            .count = result->places[i].count,
        };
        buf_append_slice(&w->paths, path);
        w->place_count++;
    }
}

/* `epoch`: of all, or 0: each has its own. */
static void answer_held(struct entry_wait *w, Coord__V1__ReplyHeader *header, uint64_t epoch)
{
    struct grpc_call *call = w->call;
    for (uint32_t i = 0; i < w->place_count && epoch != 0; i++) {
        w->places[i].epoch = epoch;
        w->places[i].count = 1;
    }
    call->data = NULL;
    w->call = NULL;
    w->held(call, header, w->places, w->place_count);
    wait_free(w);
}

static void answer_ended(struct entry_wait *w, enum outcome outcome, uint64_t revision)
{
    struct grpc_call *call = w->call;
    if (outcome == OUTCOME_OK) {
        const struct store *store = node_store(w->node);
        Coord__V1__ReplyHeader header =
            answer_header(call, revision, store_applied_index(store));
        answer_held(w, &header, 0);
        return;
    }
    call->data = NULL;
    w->call = NULL;
    answer_refuse(call, w->places[0].path, outcome, revision);
    wait_free(w);
}

/* ---- waiting ------------------------------------------------------------------------------ */

static enum outcome outcome_of(const struct entry_wait *w, uint8_t reason)
{
    switch (reason) {
    case REASON_GRANTED: /* all leave; or it was its turn, but too late */
        return w->until_gone ? OUTCOME_OK : OUTCOME_WAIT_TIMEOUT;
    case REASON_TIMED_OUT: return OUTCOME_WAIT_TIMEOUT;
    case REASON_EXPIRED:
    case REASON_REVOKED:
    case REASON_CLOSED: return OUTCOME_NO_LEASE;
    default: return OUTCOME_WAIT_ENDED;
    }
}

/* True: the value says that it is held. */
static bool value_is_held(struct slice value, struct recipe_record *record, struct arena *arena)
{
    return recipe_record_decode(value, record, arena) && record->state == ENTRY_HELD;
}

static bool judge_change(struct entry_wait *w, const struct change *c)
{
    struct recipe_record record;
    struct grpc_call *call = w->call;
    if (c->type == CHANGE_DELETE) {
        answer_ended(w, outcome_of(w, c->reason), c->revision);
        return true;
    }
    struct arena *scratch = &call->connection->shared->scratch;
    if (w->until_gone || !value_is_held(value_slice(c->data), &record, scratch)) {
        return false;
    }
    const struct store *store = node_store(w->node);
    Coord__V1__ReplyHeader header =
        answer_header(call, c->revision, store_applied_index(store));
    answer_held(w, &header, record.epoch);
    return true;
}

static size_t on_deliver(struct watch *watch, const struct change *const *changes, size_t count,
                         bool continued, bool more)
{
    struct entry_wait *w =
        (struct entry_wait *)(void *)((char *)watch - offsetof(struct entry_wait, watch));
    struct arena *scratch = &w->call->connection->shared->scratch;
    (void)continued;
    (void)more;
    for (size_t i = 0; i < count; i++) {
        if (changes[i]->stat.create_revision == w->places[0].revision &&
            judge_change(w, changes[i])) {
            break; /* and `w` is gone */
        }
    }
    arena_clear(scratch); /* no handler or completion returns here */
    return count;
}

static void wait_begin(struct entry_wait *w, uint64_t from_revision);

/* Asked in nobody's name: who may queue need not be one who may read, and what a reader may not see
 * is not gone. */
static void entry_read(struct entry_wait *w, struct query_result *result, struct arena *scratch)
{
    struct buf everybody = {0};
    identity_encode(&everybody, slice_str(AUTH_SUPER), slice_str(""));
    const struct query query = {
        .type = QUERY_GET,
        .space = SPACE_NODES,
        .path = w->places[0].path,
        .identities = buf_slice(&everybody),
    };
    store_query(node_store(w->node), &query, result, scratch);
    buf_close(&everybody);
}

/* The log has been trimmed meanwhile, or the request was repeated: what is the entry now? */
static void look_now(struct entry_wait *w)
{
    struct recipe_record record;
    struct grpc_call *call = w->call;
    const struct store *store = node_store(w->node);
    struct arena *scratch = &call->connection->shared->scratch;
    struct query_result result;
    entry_read(w, &result, scratch);
    bool is_there = result.outcome == OUTCOME_OK &&
                    result.stat.create_revision == w->places[0].revision;
    if (!is_there) {
        answer_ended(w, w->until_gone ? OUTCOME_OK : OUTCOME_WAIT_ENDED, store_revision(store));
    } else if (w->until_gone) {
        wait_begin(w, 0);
    } else if (value_is_held(result.data, &record, scratch)) {
        Coord__V1__ReplyHeader header =
            answer_header(call, store_revision(store), store_applied_index(store));
        answer_held(w, &header, record.epoch);
    } else if (w->is_try) {
        w->stage = WAIT_PROPOSED;
        give_back(w, RECIPE_CANCEL);
    } else {
        wait_begin(w, 0);
    }
}

static void on_compacted(struct watch *watch, uint64_t floor)
{
    struct entry_wait *w =
        (struct entry_wait *)(void *)((char *)watch - offsetof(struct entry_wait, watch));
    struct arena *scratch = &w->call->connection->shared->scratch;
    (void)floor;
    look_now(w);
    arena_clear(scratch);
}

static const struct watch_ops wait_ops = {.deliver = on_deliver, .compacted = on_compacted};

static void wait_begin(struct entry_wait *w, uint64_t from_revision)
{
    struct watch_filter filter = {
        .scope = WATCH_NODE,
        .space = SPACE_NODES,
        .path = w->places[0].path,
    };
    w->stage = WAIT_WAITING;
    if (watch_start(node_watches(w->node), &w->watch, &filter, &wait_ops, from_revision) !=
        OUTCOME_OK) {
        look_now(w);
    }
}

/* ---- the command -------------------------------------------------------------------------- */

static void refuse(struct entry_wait *w, const struct reply *reply)
{
    struct grpc_call *call = w->call;
    struct slice text = reply->has_recipe ? reply->recipe.text : slice_make(NULL, 0);
    call->data = NULL;
    w->call = NULL;
    if (reply->has_recipe && reply->recipe.cycle_count > 0) {
        lock_tell_cycle(call, &reply->recipe);
    }
    if (text.size == 0) {
        answer_refuse(call, buf_slice(&w->paths), reply->outcome, reply->revision);
    } else {
        grpc_call_refuse(call, reply->outcome, reply->revision, "%s: %.*s",
                         outcome_text(reply->outcome), (int)text.size, (const char *)text.data);
    }
    wait_free(w);
}

static void acquired(struct entry_wait *w, const struct reply *reply)
{
    const struct recipe_result *result = &reply->recipe;
    if (reply->outcome != OUTCOME_OK) {
        refuse(w, reply);
        return;
    }
    if (!reply->has_recipe || result->place_count == 0) {
        struct grpc_call *call = w->call;
        call->data = NULL;
        w->call = NULL;
        (void)answer_fits(call, reply, false);
        wait_free(w);
        return;
    }
    places_take(w, result);
    if (reply->repeated) { /* much may have happened since */
        look_now(w);
    } else if (w->until_gone) { /* it may have gone in the same revision */
        wait_begin(w, reply->revision);
    } else if (result->places[0].held) {
        Coord__V1__ReplyHeader header = answer_header_of_write(w->call, reply);
        answer_held(w, &header, 0);
    } else {
        wait_begin(w, reply->revision + 1);
    }
}

static void acquired_cb(struct node_write *write, enum status rc, const struct reply *reply)
{
    struct entry_wait *w = write->owner;
    struct grpc_call *call = w->call;
    bool is_ours = !w->until_gone && rc == RC_OK && reply->outcome == OUTCOME_OK &&
                   reply->has_recipe && !w->is_repeatable;
    if (call == NULL && is_ours && reply->recipe.place_count > 0) {
        places_take(w, &reply->recipe);
        bool is_once = w->recipe == RECIPE_LOCK && reply->recipe.places[0].held;
        give_back(w, is_once ? RECIPE_RELEASE : RECIPE_CANCEL);
    } else if (call == NULL) {
        wait_free(w);
    } else if (rc != RC_OK) {
        call->data = NULL;
        w->call = NULL;
        grpc_call_fail_status(call, rc, true);
        wait_free(w);
    } else {
        struct arena *scratch = &call->connection->shared->scratch;
        call->reply = reply;
        acquired(w, reply);
        call->reply = NULL;
        arena_clear(scratch);
    }
}

void entry_wait_ended(struct grpc_call *call)
{
    struct entry_wait *w = call->data;
    if (w == NULL) {
        return;
    }
    call->data = NULL;
    w->call = NULL;
    if (w->stage == WAIT_WAITING && (w->is_repeatable || w->until_gone)) {
        wait_free(w);
    } else if (w->stage == WAIT_WAITING) {
        watch_stop(node_watches(w->node), &w->watch);
        give_back(w, RECIPE_CANCEL);
    }
}

/* ---- the call ----------------------------------------------------------------------------- */

void entry_wait_start(struct grpc_call *call, const struct command *c, entry_wait_fn held)
{
    struct errmsg err;
    grpc_audit_command(call, c);
    enum outcome outcome = command_check(c, &err);
    if (outcome != OUTCOME_OK) {
        answer_refuse_early(call, outcome, &err);
        return;
    }
    struct entry_wait *w = mem_zalloc(sizeof *w);
    w->call = call;
    w->node = grpc_call_node(call);
    w->env = call->connection->env->env;
    w->held = held;
    w->recipe = c->recipe.recipe;
    w->is_try = (c->recipe.flags & RECIPE_TRY) != 0;
    w->until_gone = c->recipe.action == RECIPE_LEAVE;
    w->session = c->session;
    w->is_repeatable = c->sequence != 0 || request_id_is_set(&c->request);
    buf_append_slice(&w->identities, c->identities);
    buf_append_slice(&w->paths, c->recipe.targets[0].path);
    w->write = (struct node_write){.done = acquired_cb, .owner = w};
    call->data = w;
    uint64_t deadline_ms = w->env->now_ms(w->env) + GRPC_TIMEOUT_DEFAULT_MS;
    enum status rc = node_write(w->node, &w->write, c, deadline_ms);
    if (rc != RC_OK) {
        call->data = NULL;
        w->call = NULL;
        grpc_call_fail_status(call, rc, true);
        wait_free(w);
    }
}
