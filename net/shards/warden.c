#include "net/shards/warden.h"

#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/id_map.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/shards/upkeep.h"
#include "raft/node.h"
#include "store/acl.h"

#define LOOK_EVERY_MS   1000
#define REPLAN_EVERY_MS 10000 /* of a map of which only loads have changed */
#define WRITE_MS        10000
#define LOT_MOVES       8 /* of a balance, for each that may be under way */
#define LOOKS_MAX       1000 /* maps that are looked at in one turn; the others in the next */

/* A map that this node looks after while it leads. */
struct ward {
    struct list link;
    struct warden *warden;
    struct ward *next_alike; /* whose path has the same hash */
    struct slice path;       /* owned */
    struct absences absences;
    struct plan_ask *ask; /* NULL: none is under way */
    struct node_write write;
    bool is_writing;
    bool is_there;
    bool is_balancing;          /* it has begun to, and goes on to the target */
    uint64_t planned_structure; /* 0: not yet */
    uint64_t resumed_structure; /* likewise: what could not begin then is not asked again */
    size_t planned_keep;
    uint64_t replan_ms;
};

struct warden {
    struct warden_options o;
    struct list wards; /* that was not looked at for longest comes first */
    size_t ward_count;
    struct id_map by_hash; /* of their paths; made anew each time all maps are found */
    uint64_t look_ms;      /* not before */
    uint64_t looked_revision;
    uint64_t urgent_ms; /* then, though nothing has changed */
    struct buf identities;
    struct metric *steps;
    struct metric *given_up;
};

/* ---- what is proposed --------------------------------------------------------------------- */

static void on_written(struct node_write *write, enum status rc, const struct reply *reply)
{
    struct ward *w = write->owner;
    w->is_writing = false;
    if (rc != RC_OK || reply->outcome != OUTCOME_OK) {
        w->planned_structure = 0; /* it has changed since: look again */
        w->resumed_structure = 0;
    }
}

static bool propose(struct ward *w, struct command_shard what, const char *note)
{
    const struct warden_options *o = &w->warden->o;
    struct command c = {.type = COMMAND_SHARD, .shard = what};
    struct errmsg err;
    c.shard.path = w->path;
    c.identities = buf_slice(&w->warden->identities);
    c.note = slice_str(note);
    if (command_check(&c, &err) != OUTCOME_OK) { /* the log takes nothing that is too large */
        log_error(o->log, "shards.refused", "map=%.*s reason=\"%s\"", (int)w->path.size,
                  (const char *)w->path.data, err.text);
        return false;
    }
    w->write = (struct node_write){.done = on_written, .owner = w};
    w->is_writing =
        node_write(o->node, &w->write, &c, o->env->now_ms(o->env) + WRITE_MS) == RC_OK;
    return w->is_writing;
}

static void give_up(struct ward *w, const struct upkeep *u, struct arena *arena)
{
    struct shard_step *steps = arena_alloc(arena, (u->abort_count + (size_t)1) * sizeof *steps);
    for (uint32_t i = 0; i < u->abort_count; i++) {
        steps[i] = (struct shard_step){.number = u->aborts[i]};
    }
    struct command_shard what = {.action = SHARD_ABORT, .steps = steps};
    what.step_count = u->abort_count;
    if (propose(w, what, "took too long")) {
        metric_add(w->warden->given_up, u->abort_count);
        log_warn(w->warden->o.log, "shards.given_up", "map=%.*s moves=%" PRIu32,
                 (int)w->path.size, (const char *)w->path.data, u->abort_count);
    }
}

static void on_planned(void *owner, const struct draft *draft)
{
    struct ward *w = owner;
    const struct warden_options *o = &w->warden->o;
    w->ask = NULL;
    w->is_balancing = draft->is_balance && draft->step_count > 0;
    if (draft->problem != NULL || draft->step_count == 0 || !node_is_leading(o->node)) {
        return;
    }
    struct command_shard what = {.action = SHARD_PLAN, .base = draft->revision};
    what.steps = draft->steps;
    what.step_count = draft->step_count;
    if (propose(w, what, "automatic")) {
        metric_add(w->warden->steps, draft->step_count);
        log_info(o->log, "shards.plan",
                 "map=%.*s steps=%" PRIu32 " imbalance_permille=%" PRIu32 " after=%" PRIu32,
                 (int)w->path.size, (const char *)w->path.data, draft->step_count,
                 draft->imbalance_permille, draft->result_permille);
    }
}

/* ---- one map ------------------------------------------------------------------------------ */

static void plan(struct ward *w, const struct map_copy *map, const struct shard_spec *spec,
                 const struct upkeep *u, uint64_t now_ms)
{
    bool is_calm = !u->has_queue && u->keep_count == 0;
    uint64_t lot = spec->concurrent * LOT_MOVES;
    const struct draft_options options = {
        .goal = is_calm ? (enum plan_goal)spec->automatic : PLAN_REPAIR,
        .moves_max = lot < UINT32_MAX ? (uint32_t)lot : UINT32_MAX,
        .is_automatic = !w->is_balancing,
        .keep = u->keep,
        .keep_count = u->keep_count,
    };
    if (planner_ask(w->warden->o.planner, w->path, &options, on_planned, w, &w->ask) == RC_OK) {
        w->planned_structure = map->structure;
        w->planned_keep = u->keep_count;
        w->replan_ms = now_ms + REPLAN_EVERY_MS;
    }
}

static bool is_due(const struct ward *w, const struct map_copy *map, const struct upkeep *u,
                   uint64_t now_ms)
{
    return map->structure != w->planned_structure || u->keep_count != w->planned_keep ||
           now_ms >= w->replan_ms;
}

/* Once for what there is: a move may have to wait for more than the hours, as one of a shard that
 * nobody leads does, and then nothing else is to wait for it. */
static bool is_to_resume(struct ward *w, const struct map_copy *map, const struct upkeep *u)
{
    if (!u->is_due) {
        w->resumed_structure = 0;
    }
    return u->is_due && w->resumed_structure != map->structure;
}

static void resume(struct ward *w, const struct map_copy *map)
{
    if (propose(w, (struct command_shard){.action = SHARD_RESUME}, "the hours have come")) {
        w->resumed_structure = map->structure;
    }
}

static void look(struct ward *w, uint64_t now_ms)
{
    struct warden *warden = w->warden;
    struct arena arena = {0};
    struct map_copy map;
    struct shard_spec spec;
    struct upkeep u;
    struct env *env = warden->o.env;
    const struct upkeep_time time = {
        .now_ms = now_ms,
        .cluster_ms = node_cluster_ms(warden->o.node),
        .wall_ms = env->wall_ms(env),
    };
    if (store_map_copy(node_store(warden->o.node), w->path, &arena, &map) &&
        shard_spec_decode(map.spec, &spec) &&
        upkeep_look(&map, &w->absences, &time, &arena, &u)) {
        if (map.moves.count > 0 || u.keep_count > 0 || spec.automatic != 0) {
            warden->urgent_ms = now_ms + LOOK_EVERY_MS;
        }
        if (u.abort_count > 0) {
            give_up(w, &u, &arena);
        } else if (is_to_resume(w, &map, &u)) {
            resume(w, &map);
        } else if (spec.automatic != 0 && is_due(w, &map, &u, now_ms)) {
            plan(w, &map, &spec, &u, now_ms);
        }
    }
    arena_close(&arena);
}

/* ---- all of them -------------------------------------------------------------------------- */

static struct ward *ward_of(struct list *link)
{
    return (struct ward *)(void *)((char *)link - offsetof(struct ward, link));
}

static void ward_free(struct ward *w)
{
    planner_forget(w->ask);
    if (w->is_writing) {
        node_write_cancel(w->warden->o.node, &w->write);
    }
    list_remove(&w->link);
    w->warden->ward_count--;
    absences_close(&w->absences);
    mem_free((void *)(uintptr_t)w->path.data);
    mem_free(w);
}

static void wards_free(struct warden *w)
{
    while (!list_empty(&w->wards)) {
        ward_free(ward_of(w->wards.next));
    }
    w->looked_revision = 0;
    w->urgent_ms = UINT64_MAX;
}

static uint64_t path_hash(struct slice path)
{
    return hash_bytes(0, path.data, path.size);
}

static void ward_index(struct warden *warden, struct ward *w)
{
    uint64_t hash = path_hash(w->path);
    w->next_alike = id_map_get(&warden->by_hash, hash);
    id_map_set(&warden->by_hash, hash, w);
}

static struct ward *ward_new(struct warden *warden, struct slice path)
{
    struct ward *w = mem_zalloc(sizeof *w);
    w->warden = warden;
    w->path = slice_make(mem_dup(path.data, path.size), path.size);
    list_push_back(&warden->wards, &w->link);
    warden->ward_count++;
    ward_index(warden, w);
    return w;
}

static struct ward *ward_get(struct warden *warden, struct slice path)
{
    struct ward *w = id_map_get(&warden->by_hash, path_hash(path));
    while (w != NULL && !slice_equal(w->path, path)) {
        w = w->next_alike;
    }
    return w != NULL ? w : ward_new(warden, path);
}

static void find_all(struct warden *w)
{
    struct arena arena = {0};
    struct list *it;
    struct list *tmp;
    const struct store *store = node_store(w->o.node);
    LIST_EACH(it, tmp, &w->wards)
    {
        ward_of(it)->is_there = false;
        ward_index(w, ward_of(it));
    }
    struct slice path = store_map_path(store, 0, &arena);
    for (uint32_t i = 0; path.size > 0; path = store_map_path(store, ++i, &arena)) {
        ward_get(w, path)->is_there = true;
    }
    arena_close(&arena);
    id_map_close(&w->by_hash);
    LIST_EACH(it, tmp, &w->wards)
    {
        if (!ward_of(it)->is_there) {
            ward_free(ward_of(it));
        }
    }
}

/* Each goes behind all others. */
static void look_at_some(struct warden *w, uint64_t now_ms)
{
    for (size_t i = 0; i < w->ward_count && i < LOOKS_MAX; i++) {
        struct ward *ward = ward_of(w->wards.next);
        list_remove(&ward->link);
        list_push_back(&w->wards, &ward->link);
        if (ward->ask == NULL && !ward->is_writing) {
            look(ward, now_ms);
        } else {
            w->urgent_ms = now_ms + LOOK_EVERY_MS;
        }
    }
    if (w->ward_count > LOOKS_MAX) {
        w->urgent_ms = now_ms + LOOK_EVERY_MS;
    }
}

void warden_turn(struct warden *w, uint64_t now_ms)
{
    if (w == NULL) {
        return;
    }
    if (!node_is_leading(w->o.node)) {
        wards_free(w);
        return;
    }
    uint64_t revision = store_revision(node_store(w->o.node));
    if (now_ms < w->look_ms || (revision == w->looked_revision && now_ms < w->urgent_ms)) {
        return;
    }
    w->look_ms = now_ms + LOOK_EVERY_MS;
    w->looked_revision = revision;
    w->urgent_ms = UINT64_MAX;
    find_all(w);
    look_at_some(w, now_ms);
}

uint64_t warden_next_deadline_ms(const struct warden *w)
{
    if (w == NULL || !node_is_leading(w->o.node)) {
        return UINT64_MAX;
    }
    bool has_changed = store_revision(node_store(w->o.node)) != w->looked_revision;
    return has_changed ? w->look_ms : w->urgent_ms;
}

struct warden *warden_new(const struct warden_options *options)
{
    struct warden *w = mem_zalloc(sizeof *w);
    w->o = *options;
    w->urgent_ms = UINT64_MAX;
    list_init(&w->wards);
    identity_encode(&w->identities, slice_str("super"), slice_make(NULL, 0));
    if (options->metrics != NULL) {
        w->steps = metrics_counter(options->metrics, "coord_shard_steps_total", NULL,
                                   "Steps of plans that were proposed here by themselves.");
        w->given_up = metrics_counter(options->metrics, "coord_shard_moves_given_up_total",
                                      NULL, "Moves of shards that took too long.");
    }
    return w;
}

void warden_free(struct warden *w)
{
    if (w != NULL) {
        wards_free(w);
        buf_close(&w->identities);
        mem_free(w);
    }
}
