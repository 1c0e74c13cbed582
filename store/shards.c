#include "store/shards.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/id_map.h"
#include "base/mutant.h"
#include "store/apply.h"
#include "store/state.h"

bool shards_is_map(const struct store *s, uint32_t slot)
{
    return slot != TREE_NONE && node_kind_of(tree_node(&s->tree, slot)) == NODE_MAP;
}

static uint32_t parent_of(const struct store *s, uint32_t slot)
{
    return tree_node(&s->tree, slot)->parent;
}

bool shards_own(const struct store *s, uint32_t slot)
{
    return shards_is_map(s, slot) || (slot != TREE_NONE && shards_is_map(s, parent_of(s, slot)));
}

/* The map that the directory belongs to if it has that name, or TREE_NONE. */
static uint32_t map_of_dir(const struct store *s, uint32_t dir, const char *name)
{
    if (!shards_is_map(s, dir) || !slice_is(node_name(tree_node(&s->tree, dir)), name)) {
        return TREE_NONE;
    }
    uint32_t root = parent_of(s, dir);
    return shards_is_map(s, root) && !shards_is_map(s, parent_of(s, root)) ? root : TREE_NONE;
}

bool shards_epoch(const struct store *s, uint32_t slot, uint64_t *epoch)
{
    struct shard_record r;
    const struct node *n = tree_node(&s->tree, slot);
    if (!shards_is_map(s, slot) || map_of_dir(s, n->parent, "shards") == TREE_NONE) {
        return false;
    }
    *epoch = shard_record_decode(value_slice(n->value), &r) ? r.epoch : 0;
    return true;
}

/* ---- nodes -------------------------------------------------------------------------------- */

static struct slice path_of(struct store *s, uint32_t slot, struct slice name)
{
    size_t size = tree_path_bytes(&s->tree, slot);
    uint8_t *path = arena_alloc(&s->arena, size + 1 + name.size);
    tree_path_write(&s->tree, slot, path);
    path[size] = '/';
    memcpy(path + size + 1, name.data, name.size);
    return slice_make(path, size + 1 + name.size);
}

/* Not in the arena: it may be asked some times for each of many shards. */
uint32_t shard_map_find(const struct shard_map *map, uint32_t dir, struct slice name)
{
    uint8_t path[STORE_PATH_BYTES_MAX];
    const struct tree *t = &map->store->tree;
    size_t size = tree_path_bytes(t, dir);
    if (size + 1 + name.size > sizeof path) {
        return TREE_NONE;
    }
    tree_path_write(t, dir, path);
    path[size] = '/';
    memcpy(path + size + 1, name.data, name.size);
    return tree_find(t, SPACE_NODES, slice_make(path, size + 1 + name.size));
}

static uint32_t find_number(const struct shard_map *map, uint32_t dir, const char *prefix,
                            uint64_t number)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%s%010" PRIu64, prefix, number);
    return shard_map_find(map, dir, slice_str(name));
}

uint32_t shard_map_shard(const struct shard_map *map, uint64_t number)
{
    return find_number(map, map->shards, "s-", number);
}

uint32_t shard_map_move(const struct shard_map *map, uint64_t number)
{
    return find_number(map, map->moves, "m-", number);
}

uint32_t shard_map_make(struct store *s, uint32_t parent, struct slice name, uint8_t kind,
                        uint64_t lease, struct slice value)
{
    char numbered[32];
    if (name.size > 0 && name.data[name.size - 1] == '-') {
        const struct dir *dir = node_dir(tree_node(&s->tree, parent));
        (void)snprintf(numbered, sizeof numbered, "%.*s%010" PRIu64, (int)name.size,
                       (const char *)name.data, dir != NULL ? dir->sequence_next : 0);
        name = slice_str(numbered);
    }
    struct slice path = path_of(s, parent, name);
    struct tree_key key = {
        .space = SPACE_NODES,
        .kind = kind,
        .parent = parent,
        .path = path,
        .hash = tree_hash(SPACE_NODES, path),
        .lease = lease,
        .acl = tree_node(&s->tree, parent)->acl,
    };
    return edit_create(s, &key, value_new(s->values, value));
}

enum outcome shard_map_put(struct store *s, uint32_t parent, struct slice name, uint8_t kind,
                           uint64_t lease, struct slice value)
{
    struct slice path = path_of(s, parent, name);
    uint32_t slot = tree_find(&s->tree, SPACE_NODES, path);
    if (slot != TREE_NONE) {
        if (!quotas_fit_value(&s->quotas, &s->tree, slot, value.size, &s->refusal)) {
            return OUTCOME_QUOTA;
        }
        edit_set(s, slot, value_new(s->values, value));
        return OUTCOME_OK;
    }
    struct quota_amount more = {.bytes = path.size + value.size, .nodes = 1};
    if (s->quotas.count > 0 &&
        (!quotas_fit_at(&s->quotas, path, tree_hash(SPACE_NODES, path), more, &s->refusal) ||
         !quotas_fit(&s->quotas, &s->tree, parent, more, &s->refusal))) {
        return OUTCOME_QUOTA;
    }
    (void)shard_map_make(s, parent, name, kind, lease, value);
    return OUTCOME_OK;
}

/* The number in the name of a shard or a move. */
static uint64_t number_of(const struct store *s, uint32_t slot)
{
    struct slice name = node_name(tree_node(&s->tree, slot));
    uint64_t number = 0;
    for (size_t i = 2; i < name.size; i++) {
        number = number * 10 + (uint64_t)(name.data[i] - '0');
    }
    return number;
}

uint32_t shard_map_count(const struct store *s, uint32_t dir)
{
    const struct dir *d = node_dir(tree_node(&s->tree, dir));
    return d != NULL ? d->children.count : 0;
}

uint32_t *shard_map_children(struct store *s, uint32_t dir, uint32_t *count)
{
    const struct dir *d = node_dir(tree_node(&s->tree, dir));
    uint32_t children = shard_map_count(s, dir);
    uint32_t *slots = arena_alloc(&s->arena, children * sizeof *slots);
    struct children_position p = {0, 0};
    for (*count = 0; *count < children; ++*count) {
        slots[*count] = children_next(&d->children, &p);
    }
    return slots;
}

/* A copy, since the node is changed with what was read at hand. */
static struct slice text_of(struct store *s, uint32_t slot)
{
    return arena_copy(&s->arena, value_slice(tree_node(&s->tree, slot)->value));
}

bool shard_read(struct store *s, uint32_t slot, struct shard_record *r)
{
    return shard_record_decode(text_of(s, slot), r);
}

bool shard_move_read(struct store *s, uint32_t slot, struct shard_move *m)
{
    return shard_move_decode(text_of(s, slot), m);
}

static void write_text(struct store *s, uint32_t slot, struct buf *text)
{
    struct slice now = buf_slice(text);
    if (!slice_equal(now, value_slice(tree_node(&s->tree, slot)->value))) {
        edit_set(s, slot, value_new(s->values, now));
    }
    buf_close(text);
}

void shard_write(struct store *s, uint32_t slot, const struct shard_record *r)
{
    struct buf text = {0};
    shard_record_encode(&text, r);
    write_text(s, slot, &text);
}

void shard_move_write(struct store *s, uint32_t slot, const struct shard_move *m)
{
    struct buf text = {0};
    if (m->state == MOVE_DONE) {
        edit_delete(s, slot);
        return;
    }
    shard_move_encode(&text, m);
    write_text(s, slot, &text);
}

/* ---- maps --------------------------------------------------------------------------------- */

static uint32_t dir_of(const struct shard_map *map, const char *name)
{
    return shard_map_find(map, map->root, slice_str(name));
}

bool shard_map_open(struct store *s, uint32_t root, struct shard_map *map)
{
    *map = (struct shard_map){.store = s, .root = root};
    if (!shards_is_map(s, root) || shards_is_map(s, parent_of(s, root)) ||
        !shard_spec_decode(text_of(s, root), &map->spec)) {
        return false;
    }
    map->nodes = dir_of(map, "nodes");
    map->stats = dir_of(map, "stats");
    map->shards = dir_of(map, "shards");
    map->moves = dir_of(map, "moves");
    map->keys = dir_of(map, "keys");
    return map->nodes != TREE_NONE && map->stats != TREE_NONE && map->shards != TREE_NONE &&
           map->moves != TREE_NONE;
}

static bool world_is_here(void *context, struct slice node)
{
    const struct shard_map *map = context;
    return shard_map_find(map, map->nodes, node) != TREE_NONE;
}

static uint64_t qps_in_all(struct slice text)
{
    struct shard_stats stats;
    uint64_t sum = 0;
    bool failed;
    while (shard_stats_next(&text, &stats, &failed)) {
        sum += stats.qps;
    }
    return sum;
}

static int compare_work(const void *a, const void *b)
{
    uint32_t x = ((const struct shard_work *)a)->stats;
    uint32_t y = ((const struct shard_work *)b)->stats;
    return x < y ? -1 : x > y;
}

/* Added up once for the whole command, in which nobody tells anything new. */
static void work_make(struct shard_map *map)
{
    struct store *s = map->store;
    const uint32_t *slots = shard_map_children(s, map->stats, &map->work_count);
    map->work = arena_alloc(&s->arena, map->work_count * sizeof *map->work);
    for (uint32_t i = 0; i < map->work_count; i++) {
        map->work[i] = (struct shard_work){
            .stats = slots[i],
            .qps = qps_in_all(value_slice(tree_node(&s->tree, slots[i])->value)),
        };
    }
    qsort(map->work, map->work_count, sizeof *map->work, compare_work);
}

static uint64_t work_of(struct shard_map *map, uint32_t stats)
{
    const struct shard_work key = {.stats = stats};
    if (map->work == NULL) {
        work_make(map);
    }
    const struct shard_work *found =
        stats == TREE_NONE
            ? NULL
            : bsearch(&key, map->work, map->work_count, sizeof key, compare_work);
    return found != NULL ? found->qps : 0;
}

/* Asked of each replica of each shard that loses its leader: what is read is not copied. */
static uint64_t world_score(void *context, uint64_t shard, struct slice node)
{
    struct shard_map *map = context;
    const struct tree *t = &map->store->tree;
    if (map->spec.promote == SHARD_PROMOTE_PRIORITY) {
        struct shard_member m;
        uint32_t slot = shard_map_find(map, map->nodes, node);
        bool is_there = slot != TREE_NONE &&
                        shard_member_decode(value_slice(tree_node(t, slot)->value), &m);
        return is_there ? m.priority : 0;
    }
    uint32_t slot = shard_map_find(map, map->stats, node);
    if (map->spec.promote == SHARD_PROMOTE_IDLE) {
        return UINT64_MAX - work_of(map, slot);
    }
    struct slice text =
        slot != TREE_NONE ? value_slice(tree_node(t, slot)->value) : slice_make(NULL, 0);
    struct shard_stats stats;
    (void)shard_stats_find(text, shard, &stats);
    return stats.position;
}

struct shard_world shard_map_world(struct shard_map *map, uint64_t shard)
{
    struct store *s = map->store;
    return (struct shard_world){
        .context = map,
        .arena = &s->arena,
        .spec = &map->spec,
        .shard = shard,
        .revision = s->edit.revision,
        .cluster_ms = s->cluster_ms,
        .wall_ms = s->edit.context->wall_ms,
        .is_here = world_is_here,
        .score = world_score,
    };
}

/* ---- the queue of moves ------------------------------------------------------------------- */

static bool is_queued(const struct store *s, uint32_t slot)
{
    return slice_begins(value_slice(tree_node(&s->tree, slot)->value),
                        slice_str("state=queued\n"));
}

/* Whether moves may begin at this time of the day. */
static bool is_open(const struct shard_map *map)
{
    const struct shard_spec *spec = &map->spec;
    uint64_t minute = map->store->edit.context->wall_ms / 60000 % 1440;
    if (spec->hours_begin == spec->hours_end) {
        return true;
    }
    return spec->hours_begin < spec->hours_end
               ? minute >= spec->hours_begin && minute < spec->hours_end
               : minute >= spec->hours_begin || minute < spec->hours_end;
}

/* The shards whose moves are under way. */
struct busy {
    struct id_map shards;
    uint32_t count; /* of moves */
};

static void busy_add(struct busy *b, uint64_t shard)
{
    id_map_set(&b->shards, shard, b);
    b->count++;
}

static void busy_init(struct busy *b, struct shard_map *map, const uint32_t *slots,
                      uint32_t count)
{
    *b = (struct busy){.count = 0};
    for (uint32_t i = 0; i < count; i++) {
        struct shard_move m;
        if (!is_queued(map->store, slots[i]) && shard_move_read(map->store, slots[i], &m)) {
            busy_add(b, m.shard);
        }
    }
}

/* True: it is under way now. */
static bool begin(struct shard_map *map, uint32_t slot, struct shard_move *m)
{
    struct store *s = map->store;
    struct shard_record r;
    struct shard_world w = shard_map_world(map, m->shard);
    uint32_t shard = shard_map_shard(map, m->shard);
    if (shard == TREE_NONE || !shard_read(s, shard, &r)) {
        edit_delete(s, slot); /* the shard was merged into another one */
        return false;
    }
    if (!shard_move_begin(&w, &r, m)) {
        return false;
    }
    shard_write(s, shard, &r);
    shard_move_write(s, slot, m);
    return m->state != MOVE_DONE;
}

void shard_map_settle(struct shard_map *map)
{
    struct store *s = map->store;
    struct busy busy;
    uint32_t count;
    const uint32_t *slots = shard_map_children(s, map->moves, &count);
    busy_init(&busy, map, slots, count);
    for (uint32_t i = 0; i < count && busy.count < map->spec.concurrent && is_open(map); i++) {
        struct shard_move m;
        if (is_queued(s, slots[i]) && shard_move_read(s, slots[i], &m) && m.held == 0 &&
            id_map_get(&busy.shards, m.shard) == NULL && begin(map, slots[i], &m)) {
            busy_add(&busy, m.shard);
        }
    }
    id_map_close(&busy.shards);
}

/* ---- nodes that go and come --------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static bool is_among(const struct slice *nodes, uint32_t node_count, struct slice name)
{
    return bsearch(&name, nodes, node_count, sizeof name, compare_names) != NULL;
}

static void lose_moves(struct shard_map *map, const struct slice *nodes, uint32_t node_count)
{
    struct store *s = map->store;
    uint32_t count;
    const uint32_t *slots = shard_map_children(s, map->moves, &count);
    for (uint32_t i = 0; i < count; i++) {
        struct shard_move m;
        struct shard_record r;
        if (is_queued(s, slots[i]) || !shard_move_read(s, slots[i], &m)) {
            continue;
        }
        struct slice who = m.state == MOVE_CLEANING_UP ? m.cleans : m.to;
        uint32_t shard = is_among(nodes, node_count, who) ? shard_map_shard(map, m.shard)
                                                          : TREE_NONE;
        if (shard != TREE_NONE && shard_read(s, shard, &r)) {
            struct shard_world w = shard_map_world(map, m.shard);
            shard_move_lost(&w, &r, &m, who);
            shard_write(s, shard, &r);
            shard_move_write(s, slots[i], &m);
        }
    }
}

void shard_map_lose(struct shard_map *map, struct slice *nodes, uint32_t node_count)
{
    struct store *s = map->store;
    uint32_t count;
    qsort(nodes, node_count, sizeof *nodes, compare_names);
    lose_moves(map, nodes, node_count);
    const uint32_t *slots = shard_map_children(s, map->shards, &count);
    for (uint32_t i = 0; i < count; i++) {
        struct shard_record r;
        struct slice text = value_slice(tree_node(&s->tree, slots[i])->value);
        if (shard_record_decode(text, &r) && is_among(nodes, node_count, r.leader) &&
            !MUTANT_IS(MUTANT_SHARD_LOST_LEADS) && shard_read(s, slots[i], &r)) {
            struct shard_world w = shard_map_world(map, number_of(s, slots[i]));
            if (shard_lost(&w, &r, r.leader)) {
                shard_write(s, slots[i], &r);
            }
        }
    }
    shard_map_settle(map);
}

/* Shards that nobody led, since all who have them were away, are led again if they may be. */
void shard_map_welcome(struct shard_map *map)
{
    struct store *s = map->store;
    uint32_t count;
    const uint32_t *slots = shard_map_children(s, map->shards, &count);
    for (uint32_t i = 0; i < count; i++) {
        struct shard_record r;
        struct slice text = value_slice(tree_node(&s->tree, slots[i])->value);
        if (shard_record_decode(text, &r) && r.leader.size == 0 && r.replicas.size > 0 &&
            shard_read(s, slots[i], &r)) {
            struct shard_world w = shard_map_world(map, number_of(s, slots[i]));
            if (shard_back(&w, &r)) {
                shard_write(s, slots[i], &r);
            }
        }
    }
    shard_map_settle(map);
}

/* ---- leases that end ---------------------------------------------------------------------- */

struct shards_lost {
    uint32_t root;
    struct slice node;
    struct shards_lost *next;
};

void shards_forget(struct store *s, uint32_t slot, struct shards_lost **lost)
{
    uint32_t root = map_of_dir(s, parent_of(s, slot), "nodes");
    if (root != TREE_NONE) {
        struct shards_lost *l = arena_alloc(&s->arena, sizeof *l);
        *l = (struct shards_lost){
            .root = root,
            .node = arena_copy(&s->arena, node_name(tree_node(&s->tree, slot))),
            .next = *lost,
        };
        *lost = l;
    }
}

/* A lease may have had many nodes of a map, which come one behind the other: they are lost
 * together, by one pass over the map. */
void shards_lose(struct store *s, const struct shards_lost *lost)
{
    while (lost != NULL) {
        struct shard_map map;
        const struct shards_lost *first = lost;
        uint32_t root = lost->root;
        uint32_t count = 0;
        for (; lost != NULL && lost->root == root; lost = lost->next) {
            count++;
        }
        struct slice *nodes = arena_alloc(&s->arena, count * sizeof *nodes);
        for (uint32_t i = 0; i < count; i++, first = first->next) {
            nodes[i] = first->node;
        }
        if (shard_map_open(s, root, &map)) {
            shard_map_lose(&map, nodes, count);
        }
    }
}
