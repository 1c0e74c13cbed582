/* COMMAND_RECIPE: finds the nodes that it is about, asks whether the caller may, and has recipes/
 * do it. All checks come before all changes; only what making nodes refuses is taken back.
 *
 * Who may: to acquire takes what it takes to create a child of the lock's node (and that node, if
 * there is none), and the use of the lease; to release, cancel or extend the use of the entry's
 * lease; to ask for a release write on the lock; to remove somebody else's entry admin. */
#include "base/assert.h"
#include "recipes/lock.h"
#include "store/apply.h"
#include "store/queues.h"
#include "store/state.h"
#include "store/validate.h"

static enum outcome outcome_of(enum recipe_verdict verdict, const struct queues_lent *lent)
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

/* A lock that is not there yet is checked when it is made. */
static enum outcome lock_find(const struct store *s, const struct recipe_target *from,
                              struct lock_target *to)
{
    *to = (struct lock_target){
        .path = from->path,
        .mode = from->mode,
        .permits = from->permits,
        .limit = from->limit,
    };
    uint32_t slot = tree_find(&s->tree, SPACE_NODES, from->path);
    bool may = access_child(&s->access, ACL_CREATE, from->path) &&
               (slot == TREE_NONE || access_node(&s->access, slot, ACL_CREATE));
    if (!may) {
        return OUTCOME_NO_AUTH;
    }
    if (slot == TREE_NONE) {
        return OUTCOME_OK;
    }
    const struct node *n = tree_node(&s->tree, slot);
    if (node_kind_of(n) != NODE_RECIPE || !recipe_head_decode(value_slice(n->value), &to->head) ||
        to->head.recipe != RECIPE_LOCK) {
        return OUTCOME_NO_RECIPE;
    }
    to->queue = slot;
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
        outcome = lock_find(s, &asked->targets[i], &targets[i]);
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
    return outcome_of(lock_acquire(&s->recipes, ops, &a, answer), lent);
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
        q == NULL ? NULL : recipe_owner_find(r, asked->lease, asked->owner);
    if (o != NULL) {
        struct recipe_entry *waits =
            asked->action == RECIPE_CANCEL ? recipe_owner_waits(o, q) : NULL;
        e = waits != NULL ? waits : recipe_owner_holds(o, q);
    }
    bool is_other = e != NULL && t->revision != 0 &&
                    tree_node(&s->tree, e->node)->create_revision != t->revision;
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
    case RECIPE_RELEASE: return lock_release(&s->recipes, ops, e, &how);
    case RECIPE_EXTEND: return lock_extend(&s->recipes, ops, e, asked->hold_ms);
    default: lock_cancel(&s->recipes, ops, e); return RECIPE_OK;
    }
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
    if (q == NULL) {
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
        outcome = acquire(s, c, &ops, &lent, &answer);
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
    if (outcome == OUTCOME_OK &&
        !guards_hold(s, asked->guards, asked->guard_count, &reply->failed_op, &outcome) &&
        outcome == OUTCOME_OK) {
        outcome = guard_refusal(s, &asked->guards[reply->failed_op]);
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
