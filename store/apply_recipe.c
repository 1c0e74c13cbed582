/* COMMAND_RECIPE: finds the nodes that it is about, asks whether the caller may, and has recipes/
 * do it; what has no queue is in store/apply_counter.c. All checks come before all changes; only
 * what making nodes refuses is taken back.
 *
 * Who may: to acquire takes what it takes to create a child of the lock's node (and that node, if
 * there is none), and the use of the lease; to release, cancel or extend the use of the entry's
 * lease; to ask for a release write on the lock; to remove somebody else's entry admin. Elections
 * alike: to campaign as to acquire; to set one up that is there write on it; to hand over the use
 * of the leader's lease, or admin. Barriers: to enter as to acquire, to leave the use of the lease.
 */
#include "base/assert.h"
#include "recipes/barrier.h"
#include "recipes/election.h"
#include "recipes/entry.h"
#include "recipes/lock.h"
#include "store/apply.h"
#include "store/apply_recipe.h"
#include "store/queues.h"
#include "store/state.h"
#include "store/validate.h"

enum outcome recipe_outcome(enum recipe_verdict verdict, const struct queues_lent *lent)
{
    switch (verdict) {
    case RECIPE_OK: return OUTCOME_OK;
    case RECIPE_HELD: return OUTCOME_HELD;
    case RECIPE_DEADLOCK: return OUTCOME_DEADLOCK;
    case RECIPE_GRAPH_TOO_LARGE: return OUTCOME_GRAPH_TOO_LARGE;
    case RECIPE_WAITS: return OUTCOME_WAITS;
    case RECIPE_MISMATCH: return OUTCOME_MISMATCH;
    case RECIPE_NOT_HELD: return OUTCOME_NOT_HELD;
    case RECIPE_LIMIT: return OUTCOME_LIMIT;
    case RECIPE_FAILED: return lent->outcome;
    }
    UNREACHABLE();
}

/* ---- acquire ------------------------------------------------------------------------------ */

/* Whether somebody may use what is, or is to be, at a path: to queue there (CREATE), or otherwise
 * once it is there. */
static bool head_allowed(const struct store *s, struct slice path, uint8_t right, uint32_t slot)
{
    bool may = right == ACL_CREATE
                   ? access_child(&s->access, ACL_CREATE, path)
                   : slot == TREE_NONE || access_path(&s->access, right, SPACE_NODES, path);
    return may && (slot == TREE_NONE || access_node(&s->access, slot, right));
}

enum outcome recipe_head_find(struct store *s, uint8_t recipe, struct slice path, uint8_t right,
                              uint32_t *queue, struct recipe_head *head)
{
    uint32_t slot = tree_find(&s->tree, SPACE_NODES, path);
    *queue = RECIPE_NO_NODE;
    if (!head_allowed(s, path, right, slot)) {
        return OUTCOME_NO_AUTH;
    }
    if (slot == TREE_NONE) {
        return OUTCOME_OK;
    }
    const struct node *n = tree_node(&s->tree, slot);
    if (node_kind_of(n) != NODE_RECIPE ||
        !recipe_head_decode(value_slice(n->value), head, &s->arena) || head->recipe != recipe) {
        return OUTCOME_NO_RECIPE;
    }
    head->eligible = arena_copy(&s->arena, head->eligible); /* the node's value may go */
    *queue = slot;
    return OUTCOME_OK;
}

static void result_fill(const struct store *s, const struct recipe_ops *ops,
                        const struct recipe_answer *answer, struct reply *reply)
{
    struct recipe_place_result *places =
        arena_alloc(ops->arena, answer->place_count * sizeof *places);
    for (uint32_t i = 0; i < answer->place_count; i++) {
        const struct recipe_place *p = &answer->places[i];
        places[i] = (struct recipe_place_result){
            .path = ops->path(ops->context, p->node),
            .revision = tree_node(&s->tree, p->node)->create_revision,
            .held = p->state == ENTRY_HELD,
            .count = p->count,
            .epoch = p->epoch,
            .position = p->position,
        };
    }
    reply->has_recipe = true;
    reply->recipe = (struct recipe_result){
        .places = places,
        .place_count = answer->place_count,
        .text = answer->text,
        .cycle = answer->cycle,
        .cycle_count = answer->cycle_count,
        .cycle_length = answer->cycle_length,
        .number = answer->number,
        .before = answer->before,
    };
}

static enum outcome acquire(struct store *s, const struct command *c,
                            const struct recipe_ops *ops, struct queues_lent *lent,
                            struct recipe_answer *answer)
{
    const struct command_recipe *asked = &c->recipe;
    struct lock_target targets[LOCK_TARGETS_MAX];
    enum outcome outcome = lease_usable(s, asked->lease);
    for (uint32_t i = 0; i < asked->target_count && outcome == OUTCOME_OK; i++) {
        const struct recipe_target *from = &asked->targets[i];
        targets[i] = (struct lock_target){
            .path = from->path,
            .mode = from->mode,
            .permits = from->permits,
            .limit = from->limit,
        };
        outcome = recipe_head_find(s, RECIPE_LOCK, from->path, ACL_CREATE, &targets[i].queue,
                            &targets[i].head);
    }
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    struct lock_acquire a = {
        .targets = targets,
        .target_count = asked->target_count,
        .lease = asked->lease,
        .owner = asked->owner,
        .note = c->note,
        .is_try = (asked->flags & RECIPE_TRY) != 0,
        .wait_ms = asked->wait_ms,
        .hold_ms = asked->hold_ms,
    };
    return recipe_outcome(lock_acquire(&s->recipes, ops, &a, answer), lent);
}

/* ---- elections ---------------------------------------------------------------------------- */

static enum outcome campaign(struct store *s, const struct command *c,
                             const struct recipe_ops *ops, struct queues_lent *lent,
                             struct recipe_answer *answer)
{
    const struct command_recipe *asked = &c->recipe;
    struct election_campaign campaign = {
        .path = asked->targets[0].path,
        .policy = asked->policy,
        .lease = asked->lease,
        .name = asked->owner,
        .value = asked->value,
        .label = asked->label,
        .note = c->note,
        .priority = asked->priority,
        .number = asked->number,
        .is_try = (asked->flags & RECIPE_TRY) != 0,
        .wait_ms = asked->wait_ms,
    };
    enum outcome outcome = lease_usable(s, asked->lease);
    if (outcome == OUTCOME_OK) {
        outcome = recipe_head_find(s, RECIPE_ELECTION, campaign.path, ACL_CREATE, &campaign.queue,
                            &campaign.head);
    }
    return outcome != OUTCOME_OK
               ? outcome
               : recipe_outcome(election_campaign(&s->recipes, ops, &campaign, answer), lent);
}

static enum outcome configure(struct store *s, const struct command *c,
                              const struct recipe_ops *ops, struct queues_lent *lent)
{
    const struct command_recipe *asked = &c->recipe;
    struct slice path = asked->targets[0].path;
    struct recipe_head head = {.policy = ELECTION_FIRST};
    uint32_t queue;
    enum outcome outcome =
        recipe_head_find(s, RECIPE_ELECTION, path, ACL_WRITE, &queue, &head);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    head = (struct recipe_head){
        .recipe = RECIPE_ELECTION,
        .policy = asked->policy != 0 ? asked->policy : head.policy,
        .keep = 1,
        .eligible = asked->label,
    };
    return recipe_outcome(election_configure(&s->recipes, ops, path, queue, &head), lent);
}

/* By the leader, or by an administrator of the election. */
static enum outcome hand_over_allowed(const struct store *s, struct slice path,
                                      const struct recipe_queue *q)
{
    bool may = access_path(&s->access, ACL_ADMIN, SPACE_NODES, path) &&
               (q == NULL || access_node(&s->access, q->node, ACL_ADMIN));
    if (may) {
        return OUTCOME_OK;
    }
    return q == NULL || list_empty(&q->held)
               ? OUTCOME_NO_AUTH
               : lease_usable(s, ENTRY_IN_QUEUE(q->held.next)->owner->lease);
}

/* The candidate whose entry is named, or the one with the name. */
static struct recipe_entry *candidate_find(const struct store *s,
                                           const struct command_recipe *asked,
                                           const struct recipe_queue *q)
{
    if (q == NULL || asked->target_count < 2) {
        return q == NULL ? NULL : election_find(q, asked->owner);
    }
    const struct recipe_target *t = &asked->targets[1];
    uint32_t slot = tree_find(&s->tree, SPACE_NODES, t->path);
    struct recipe_entry *e = slot == TREE_NONE ? NULL : recipe_entry_find(&s->recipes, slot);
    bool is_it = e != NULL && e->queue == q &&
                 (t->revision == 0 ||
                  tree_node(&s->tree, slot)->create_revision == t->revision);
    return is_it ? e : NULL;
}

static enum outcome hand_over(struct store *s, const struct command *c,
                              const struct recipe_ops *ops, struct queues_lent *lent,
                              struct recipe_answer *answer)
{
    const struct command_recipe *asked = &c->recipe;
    struct slice path = asked->targets[0].path;
    uint32_t slot = tree_find(&s->tree, SPACE_NODES, path);
    struct recipe_queue *q = slot == TREE_NONE ? NULL : recipe_queue_find(&s->recipes, slot);
    q = q != NULL && q->recipe == RECIPE_ELECTION ? q : NULL;
    enum outcome outcome = hand_over_allowed(s, path, q);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    struct recipe_entry *to = candidate_find(s, asked, q);
    return to == NULL ? OUTCOME_NOT_HELD
                      : recipe_outcome(election_hand_over(&s->recipes, ops, to, answer), lent);
}

/* ---- barriers ----------------------------------------------------------------------------- */

static enum outcome enter(struct store *s, const struct command *c, const struct recipe_ops *ops,
                          struct queues_lent *lent, struct recipe_answer *answer)
{
    const struct command_recipe *asked = &c->recipe;
    struct barrier_enter e = {
        .path = asked->targets[0].path,
        .parties = (uint32_t)asked->number,
        .lease = asked->lease,
        .name = asked->owner,
        .note = c->note,
        .is_try = (asked->flags & RECIPE_TRY) != 0,
        .wait_ms = asked->wait_ms,
    };
    enum outcome outcome = lease_usable(s, asked->lease);
    if (outcome == OUTCOME_OK) {
        outcome =
            recipe_head_find(s, RECIPE_BARRIER, e.path, ACL_CREATE, &e.queue, &e.head);
    }
    return outcome != OUTCOME_OK
               ? outcome
               : recipe_outcome(barrier_enter(&s->recipes, ops, &e, answer), lent);
}

/* ---- what is about entries ---------------------------------------------------------------- */

/* An entry by its path, or the owner's by the lock's. */
static struct recipe_entry *entry_find(const struct store *s, const struct command_recipe *asked,
                                       const struct recipe_target *t)
{
    const struct recipes *r = &s->recipes;
    uint32_t slot = tree_find(&s->tree, SPACE_NODES, t->path);
    struct recipe_entry *e = slot == TREE_NONE ? NULL : recipe_entry_find(r, slot);
    const struct recipe_queue *q = slot == TREE_NONE ? NULL : recipe_queue_find(r, slot);
    const struct recipe_owner *o =
        q == NULL ? NULL : recipe_owner_find(r, asked->recipe, asked->lease, asked->owner);
    if (o != NULL) {
        struct recipe_entry *waits =
            asked->action == RECIPE_CANCEL ? recipe_owner_waits(o, q) : NULL;
        e = waits != NULL ? waits : recipe_owner_holds(o, q);
    }
    bool is_other = e != NULL &&
                    (e->queue->recipe != asked->recipe ||
                     (t->revision != 0 &&
                      tree_node(&s->tree, e->node)->create_revision != t->revision));
    return is_other ? NULL : e;
}

static enum outcome entry_allowed(const struct store *s, const struct command_recipe *asked,
                                  const struct recipe_target *t, const struct recipe_entry *e)
{
    if (asked->action == RECIPE_REMOVE) {
        bool may = access_path(&s->access, ACL_ADMIN, SPACE_NODES, t->path) &&
                   (e == NULL || access_node(&s->access, e->queue->node, ACL_ADMIN));
        return !may ? OUTCOME_NO_AUTH : e == NULL ? OUTCOME_NOT_HELD : OUTCOME_OK;
    }
    if (e == NULL) { /* nobody learns from this whose lease is there */
        return OUTCOME_NOT_HELD;
    }
    enum outcome outcome = lease_usable(s, e->owner->lease);
    if (outcome == OUTCOME_OK && asked->action != RECIPE_CANCEL && e->state != ENTRY_HELD) {
        return OUTCOME_NOT_HELD;
    }
    return outcome;
}

static enum recipe_verdict entry_change(struct store *s, const struct command_recipe *asked,
                                        const struct recipe_ops *ops, struct recipe_entry *e)
{
    struct lock_release how = {
        .all = (asked->flags & RECIPE_ALL) != 0,
        .group = (asked->flags & RECIPE_GROUP) != 0,
    };
    switch (asked->action) {
    case RECIPE_PROCLAIM: return election_proclaim(ops, e, asked->value);
    case RECIPE_RELEASE: return lock_release(&s->recipes, ops, e, &how);
    case RECIPE_EXTEND: return lock_extend(&s->recipes, ops, e, asked->hold_ms);
    case RECIPE_LEAVE: barrier_leave(&s->recipes, ops, e); return RECIPE_OK;
    default: lock_cancel(&s->recipes, ops, e); return RECIPE_OK;
    }
}

/* What leaves is there until all do: its place is told, to be waited at. */
static void leave_fill(struct store *s, const struct recipe_ops *ops,
                       const struct recipe_entry *e, struct reply *reply)
{
    struct recipe_answer answer = {.place_count = 1};
    entry_place(e, &answer.places[0]);
    result_fill(s, ops, &answer, reply);
}

static enum outcome change_entries(struct store *s, const struct command_recipe *asked,
                                   const struct recipe_ops *ops, struct reply *reply)
{
    uint32_t slots[RECIPE_TARGETS_MAX];
    for (uint32_t i = 0; i < asked->target_count; i++) {
        const struct recipe_entry *e = entry_find(s, asked, &asked->targets[i]);
        enum outcome outcome = entry_allowed(s, asked, &asked->targets[i], e);
        if (outcome != OUTCOME_OK) {
            reply->failed_op = i;
            return outcome;
        }
        slots[i] = e->node;
        for (uint32_t j = 0; j < i; j++) { /* one entry by two names counts once */
            slots[i] = slots[j] == e->node ? RECIPE_NO_NODE : slots[i];
        }
    }
    for (uint32_t i = 0; i < asked->target_count; i++) {
        struct recipe_entry *e = slots[i] == RECIPE_NO_NODE
                                     ? NULL
                                     : recipe_entry_find(&s->recipes, slots[i]);
        if (e != NULL && asked->action == RECIPE_LEAVE) {
            leave_fill(s, ops, e, reply);
        }
        if (e != NULL) { /* else it went with its multi-lock */
            enum recipe_verdict verdict = entry_change(s, asked, ops, e);
            POST(verdict == RECIPE_OK);
        }
    }
    return OUTCOME_OK;
}

/* ---- asking for a release ----------------------------------------------------------------- */

static enum outcome ask_release(struct store *s, const struct command *c,
                                const struct recipe_ops *ops)
{
    const struct recipe_target *t = &c->recipe.targets[0];
    uint32_t slot = tree_find(&s->tree, SPACE_NODES, t->path);
    if (!access_path(&s->access, ACL_WRITE, SPACE_NODES, t->path) ||
        (slot != TREE_NONE && !access_node(&s->access, slot, ACL_WRITE))) {
        return OUTCOME_NO_AUTH;
    }
    struct recipe_queue *q = slot == TREE_NONE ? NULL : recipe_queue_find(&s->recipes, slot);
    if (q == NULL || q->recipe != RECIPE_LOCK) {
        return OUTCOME_NOT_HELD;
    }
    bool is_known = s->auth.is_enabled && s->access.user.size > 0;
    struct slice who = is_known ? s->access.user : c->recipe.value;
    enum recipe_verdict verdict = lock_ask_release(ops, q, who, c->note);
    return verdict == RECIPE_OK ? OUTCOME_OK : OUTCOME_NOT_HELD;
}

/* ---- the command -------------------------------------------------------------------------- */

static enum outcome run(struct store *s, const struct command *c, struct reply *reply)
{
    struct queues_lent lent;
    struct recipe_ops ops;
    struct recipe_answer answer = {.place_count = 0};
    enum outcome outcome;
    queues_lend(s, &lent, &ops);
    switch (c->recipe.action) {
    case RECIPE_ACQUIRE:
        outcome = c->recipe.recipe == RECIPE_ELECTION  ? campaign(s, c, &ops, &lent, &answer)
                  : c->recipe.recipe == RECIPE_BARRIER ? enter(s, c, &ops, &lent, &answer)
                                                       : acquire(s, c, &ops, &lent, &answer);
        result_fill(s, &ops, &answer, reply);
        return outcome;
    case RECIPE_ADD:
    case RECIPE_COUNT_DOWN:
        outcome = apply_counter(s, &c->recipe, &ops, &lent, &answer);
        result_fill(s, &ops, &answer, reply);
        return outcome;
    case RECIPE_HAND_OVER:
        outcome = hand_over(s, c, &ops, &lent, &answer);
        result_fill(s, &ops, &answer, reply);
        return outcome;
    case RECIPE_CONFIGURE:
        if (c->recipe.recipe == RECIPE_ELECTION) {
            return configure(s, c, &ops, &lent);
        }
        outcome = apply_counter(s, &c->recipe, &ops, &lent, &answer);
        result_fill(s, &ops, &answer, reply);
        return outcome;
    case RECIPE_ASK_RELEASE: return ask_release(s, c, &ops);
    default: return change_entries(s, &c->recipe, &ops, reply);
    }
}

void apply_recipe(struct store *s, const struct apply_context *context, const struct command *c,
                  struct reply *reply)
{
    const struct command_recipe *asked = &c->recipe;
    enum outcome outcome = command_check_bytes(c, NULL);
    if (outcome == OUTCOME_OK) {
        outcome = recipe_check(asked, NULL);
    }
    if (outcome == OUTCOME_OK) {
        outcome = guards_demand(s, asked->guards, asked->guard_count, &reply->failed_op);
    }
    if (outcome == OUTCOME_OK) {
        edit_begin(s, context, c);
        outcome = run(s, c, reply);
        if (outcome == OUTCOME_OK) {
            queues_settle(s);
            edit_commit(s);
        } else {
            edit_rollback(s);
        }
    }
    reply->outcome = (uint8_t)outcome;
}
