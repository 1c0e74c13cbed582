#include "net/shards/view.h"

static uint32_t find_name(const struct map_texts *texts, struct slice name)
{
    uint32_t low = 0;
    uint32_t high = texts->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = slice_compare(texts->at[middle].name, name);
        if (order == 0) {
            return middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return PLAN_NONE;
}

/* Shards are in the order of their numbers, as their names have ten digits. */
static uint32_t find_shard(const struct map_texts *texts, uint64_t number)
{
    uint32_t low = 0;
    uint32_t high = texts->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (texts->at[middle].number == number) {
            return middle;
        }
        low = texts->at[middle].number < number ? middle + 1 : low;
        high = texts->at[middle].number < number ? high : middle;
    }
    return PLAN_NONE;
}

uint32_t view_node(const struct map_copy *map, struct slice name)
{
    return name.size > 0 ? find_name(&map->members, name) : PLAN_NONE;
}

/* ---- tags --------------------------------------------------------------------------------- */

static void learn_tags(struct view *v, struct slice tags)
{
    struct slice tag;
    while (names_next(&tags, &tag)) {
        uint32_t i = 0;
        while (i < v->tag_count && !slice_equal(v->tags[i], tag)) {
            i++;
        }
        if (i < v->tag_count) {
            continue;
        }
        if (i == sizeof v->tags / sizeof v->tags[0]) {
            v->problem = "its shards ask for more than 64 different tags";
            return;
        }
        v->tags[v->tag_count++] = tag;
    }
}

static uint64_t bits_of(const struct view *v, struct slice tags)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < v->tag_count; i++) {
        bits |= names_have(tags, v->tags[i]) ? (uint64_t)1 << i : 0;
    }
    return bits;
}

/* ---- nodes -------------------------------------------------------------------------------- */

static uint32_t zone_of(struct slice *zones, uint32_t *count, struct slice zone)
{
    uint32_t i = 0;
    if (zone.size == 0) {
        return PLAN_NONE;
    }
    while (i < *count && !slice_equal(zones[i], zone)) {
        i++;
    }
    if (i == *count) {
        zones[(*count)++] = zone;
    }
    return i;
}

static uint32_t clip(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static void take_nodes(struct view *v)
{
    const struct map_texts *members = &v->map->members;
    struct slice *zones = arena_alloc(v->arena, (members->count + (size_t)1) * sizeof *zones);
    uint32_t zone_count = 0;
    v->nodes = arena_alloc(v->arena, (members->count + (size_t)1) * sizeof *v->nodes);
    for (uint32_t i = 0; i < members->count; i++) {
        struct shard_member m;
        if (!shard_member_decode(members->at[i].text, &m)) {
            v->problem = "a node of it says what cannot be read";
        }
        v->nodes[i] = (struct plan_node){
            .zone = zone_of(zones, &zone_count, m.zone),
            .weight = clip(m.weight),
            .tags = bits_of(v, m.tags),
            .capacity_bytes = m.capacity_bytes,
            .capacity_replicas = clip(m.capacity_replicas),
        };
    }
}

/* ---- shards ------------------------------------------------------------------------------- */

static bool is_kept(const struct draft_options *o, struct slice node)
{
    for (size_t i = 0; i < o->keep_count; i++) {
        if (slice_equal(o->keep[i], node)) {
            return true;
        }
    }
    return false;
}

static void place_replicas(struct view *v, const struct draft_options *o, struct plan_shard *s,
                           struct view_shard *of)
{
    struct slice rest = of->r.replicas;
    struct slice name;
    while (names_next(&rest, &name) && s->replica_count < PLAN_REPLICAS_MAX) {
        uint32_t node = view_node(v->map, name);
        if (node != PLAN_NONE) {
            s->replicas[s->replica_count++] = node;
        } else if (is_kept(o, name)) {
            of->is_left = true;
        } else {
            s->replicas[s->replica_count++] = PLAN_NONE;
            of->lost = names_with(of->lost, name, v->arena);
        }
    }
}

static void take_shard(struct view *v, const struct draft_options *o, uint32_t i)
{
    struct plan_shard *s = &v->shards[i];
    struct view_shard *of = &v->of_shards[i];
    *of = (struct view_shard){.number = v->map->shards.at[i].number, .place = i};
    if (!shard_record_decode(v->map->shards.at[i].text, &of->r)) {
        v->problem = "a shard of it says what cannot be read";
    }
    *s = (struct plan_shard){
        .wanted = clip(of->r.wanted > 0 ? of->r.wanted : v->spec.replicas),
        .leader = view_node(v->map, of->r.leader),
        .pin = view_node(v->map, of->r.pin),
        .tags = bits_of(v, of->r.tags) | bits_of(v, v->spec.tags),
    };
    place_replicas(v, o, s, of);
    of->is_left = of->is_left || (of->r.leader.size == 0 && of->r.replicas.size > 0);
    s->is_moving = of->is_left;
}

static void forget(struct plan_shard *s, uint32_t node)
{
    for (uint32_t i = 0; i < s->replica_count; i++) {
        if (s->replicas[i] == node) {
            s->replicas[i] = s->replicas[--s->replica_count];
            return;
        }
    }
}

static void learn(struct plan_shard *s, uint32_t node)
{
    for (uint32_t i = 0; i < s->replica_count; i++) {
        if (s->replicas[i] == node) {
            return;
        }
    }
    if (node != PLAN_NONE && s->replica_count < PLAN_REPLICAS_MAX) {
        s->replicas[s->replica_count++] = node;
    }
}

/* The next move of a shard that is there, from number *at on. */
static bool move_next(const struct view *v, uint32_t *at, struct shard_move *m, uint32_t *shard)
{
    while (*at < v->map->moves.count) {
        bool is_sound = shard_move_decode(v->map->moves.at[(*at)++].text, m);
        *shard = is_sound ? find_shard(&v->map->shards, m->shard) : PLAN_NONE;
        if (*shard != PLAN_NONE) {
            return true;
        }
    }
    return false;
}

/* One that apply takes off the queue before it begins with a plan: its target is away. */
static bool is_stranded(const struct view *v, const struct shard_move *m)
{
    return m->state == MOVE_QUEUED && m->to.size > 0 && view_node(v->map, m->to) == PLAN_NONE;
}

/* Shards that move are where they will be, and left alone. */
static void take_moves(struct view *v, const struct draft_options *o)
{
    struct shard_move m;
    uint32_t shard;
    for (uint32_t i = 0; move_next(v, &i, &m, &shard);) {
        bool is_off = is_stranded(v, &m);
        if (is_off && !is_kept(o, m.to)) {
            continue;
        }
        struct plan_shard *s = &v->shards[shard];
        v->of_shards[shard].is_left = true;
        s->is_moving = true;
        if (is_off) {
            continue;
        }
        if (m.state < MOVE_CLEANING_UP && m.from.size > 0 && m.kind != SHARD_LEAD) {
            uint32_t from = view_node(v->map, m.from);
            forget(s, from);
            s->leader = s->leader == from ? PLAN_NONE : s->leader;
        }
        if (m.state < MOVE_CLEANING_UP) {
            learn(s, view_node(v->map, m.to));
        }
    }
}

/* A copy that a move takes away needs its room until it has gone: the move may be aborted. */
static void take_leaving(struct view *v)
{
    struct shard_move m;
    uint32_t shard;
    for (uint32_t i = 0; move_next(v, &i, &m, &shard);) {
        bool cleans = m.state == MOVE_CLEANING_UP;
        bool has_copy = cleans || (m.kind != SHARD_LEAD &&
                                   names_have(v->of_shards[shard].r.replicas, m.from));
        uint32_t node = has_copy ? view_node(v->map, cleans ? m.cleans : m.from) : PLAN_NONE;
        if (node != PLAN_NONE && !is_stranded(v, &m)) {
            v->nodes[node].leaving_replicas++;
            v->nodes[node].leaving_bytes += v->shards[shard].bytes;
        }
    }
}

static uint64_t load_of(const struct view *v, const struct shard_stats *s)
{
    switch (v->spec.balance) {
    case SHARD_BY_BYTES: return s->bytes;
    case SHARD_BY_ROWS: return s->rows;
    case SHARD_BY_QPS: return s->qps;
    default: return 1;
    }
}

/* Of what replicas say of a shard the largest counts: one that is being copied says less. */
static void take_stats(struct view *v)
{
    for (uint32_t i = 0; i < v->map->stats.count; i++) {
        struct slice rest = v->map->stats.at[i].text;
        struct shard_stats stats;
        bool failed;
        while (shard_stats_next(&rest, &stats, &failed)) {
            uint32_t shard = find_shard(&v->map->shards, stats.shard);
            if (shard == PLAN_NONE) {
                continue;
            }
            struct plan_shard *s = &v->shards[shard];
            uint64_t load = load_of(v, &stats);
            s->bytes = stats.bytes > s->bytes ? stats.bytes : s->bytes;
            s->load = load > s->load ? load : s->load;
        }
    }
}

bool view_make(struct view *v, const struct map_copy *map, const struct draft_options *options,
               struct arena *arena)
{
    *v = (struct view){.map = map, .arena = arena};
    if (!shard_spec_decode(map->spec, &v->spec)) {
        v->problem = "what it says of itself cannot be read";
        return false;
    }
    size_t count = map->shards.count + (size_t)1;
    v->shards = arena_alloc(arena, count * sizeof *v->shards);
    v->of_shards = arena_alloc(arena, count * sizeof *v->of_shards);
    learn_tags(v, v->spec.tags);
    for (uint32_t i = 0; i < map->shards.count; i++) {
        struct shard_record r;
        if (shard_record_decode(map->shards.at[i].text, &r)) {
            learn_tags(v, r.tags);
        }
    }
    take_nodes(v);
    for (uint32_t i = 0; i < map->shards.count; i++) {
        take_shard(v, options, i);
    }
    take_moves(v, options);
    take_stats(v);
    take_leaving(v);
    v->cluster = (struct plan_cluster){
        .nodes = v->nodes,
        .node_count = map->members.count,
        .shards = v->shards,
        .shard_count = map->shards.count,
        .zone_max = clip(v->spec.zone_max),
        .target_permille = options->target_permille > 0 ? options->target_permille
                                                        : clip(v->spec.target_permille),
        .moves_max = options->moves_max,
        .bandwidth_bytes_s = v->spec.bandwidth,
        .concurrent_max = clip(v->spec.concurrent),
        .overhead_ms = DRAFT_MOVE_MS,
    };
    return v->problem == NULL;
}
