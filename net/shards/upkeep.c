#include "net/shards/upkeep.h"

#include "base/id_map.h"
#include "base/mem.h"
#include "net/shards/view.h"
#include "recipes/shard_record.h"

/* A move waits so long for its target if the map does not say. */
#define LOST_AFTER_MS ((uint64_t)30000)

/* ---- who is away -------------------------------------------------------------------------- */

void absences_close(struct absences *a)
{
    mem_free(a->at);
    *a = (struct absences){0};
}

/* The place of the node, or where it belongs: they are in order of name. */
static size_t seek(const struct absences *a, struct slice node, bool *found)
{
    size_t low = 0;
    size_t high = a->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(slice_str(a->at[middle].node), node) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found = low < a->count && slice_is(node, a->at[low].node);
    return low;
}

static const struct absence *find(const struct absences *a, struct slice node)
{
    bool found;
    size_t at = seek(a, node, &found);
    return found ? &a->at[at] : NULL;
}

static void note(struct absences *a, const struct map_copy *map, struct slice node,
                 uint64_t now_ms)
{
    bool found;
    if (node.size == 0 || node.size > SHARD_NAME_BYTES_MAX ||
        view_node(map, node) != PLAN_NONE) {
        return;
    }
    size_t at = seek(a, node, &found);
    if (found) {
        a->at[at].is_seen = true;
        return;
    }
    if (a->count == a->capacity) {
        a->capacity = a->capacity > 0 ? 2 * a->capacity : 8;
        a->at = mem_resize(a->at, a->capacity * sizeof *a->at);
    }
    memmove(a->at + at + 1, a->at + at, (a->count - at) * sizeof *a->at);
    a->at[at] = (struct absence){.since_ms = now_ms, .is_seen = true};
    memcpy(a->at[at].node, node.data, node.size);
    a->count++;
}

static void note_all(struct absences *a, const struct map_copy *map, uint64_t now_ms)
{
    for (size_t i = 0; i < a->count; i++) {
        a->at[i].is_seen = false;
    }
    for (uint32_t i = 0; i < map->shards.count; i++) {
        struct shard_record r;
        struct slice name;
        if (shard_record_decode(map->shards.at[i].text, &r)) {
            while (names_next(&r.replicas, &name)) {
                note(a, map, name, now_ms);
            }
        }
    }
    for (uint32_t i = 0; i < map->moves.count; i++) {
        struct shard_move m;
        if (shard_move_decode(map->moves.at[i].text, &m)) {
            note(a, map, m.to, now_ms);
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (a->at[i].is_seen) {
            a->at[kept++] = a->at[i];
        }
    }
    a->count = kept;
}

/* ---- moves -------------------------------------------------------------------------------- */

/* As store/shards.c has it: whether moves may begin at this time of the day. */
static bool is_open(const struct shard_spec *spec, uint64_t wall_ms)
{
    uint64_t minute = wall_ms / 60000 % 1440;
    if (spec->hours_begin < spec->hours_end) {
        return minute >= spec->hours_begin && minute < spec->hours_end;
    }
    return spec->hours_begin == spec->hours_end || minute >= spec->hours_begin ||
           minute < spec->hours_end;
}

static bool is_given_up(const struct shard_spec *spec, const struct absences *a,
                        struct slice node, uint64_t now_ms)
{
    uint64_t after_ms = spec->lost_after_ms > 0 ? spec->lost_after_ms : LOST_AFTER_MS;
    const struct absence *known = find(a, node);
    return known != NULL && now_ms >= known->since_ms + after_ms;
}

/* One that cleans up has done what it was for: it is not given up. */
static bool took_too_long(const struct shard_spec *spec, const struct shard_move *m,
                          uint64_t cluster_ms)
{
    return m->state > MOVE_QUEUED && m->state < MOVE_CLEANING_UP && m->held == 0 &&
           spec->timeout_ms > 0 && cluster_ms >= m->begun_ms + spec->timeout_ms;
}

/* The shards whose moves are under way; returns of how many moves. */
static uint32_t busy_shards(const struct map_copy *map, struct id_map *busy)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < map->moves.count; i++) {
        struct shard_move m;
        if (shard_move_decode(map->moves.at[i].text, &m) && m.state != MOVE_QUEUED) {
            id_map_set(busy, m.shard, busy);
            count++;
        }
    }
    return count;
}

static void look_at_moves(const struct map_copy *map, const struct shard_spec *spec,
                          const struct absences *a, const struct upkeep_time *time,
                          struct arena *arena, struct upkeep *out)
{
    uint32_t count = map->moves.count;
    struct id_map busy = {0};
    uint32_t busy_count = busy_shards(map, &busy);
    struct shard_move m;
    out->aborts = arena_alloc(arena, (count + (size_t)1) * sizeof *out->aborts);
    for (uint32_t i = 0; i < count; i++) {
        if (!shard_move_decode(map->moves.at[i].text, &m)) {
            continue;
        }
        bool is_queued = m.state == MOVE_QUEUED;
        if (is_queued ? is_given_up(spec, a, m.to, time->now_ms)
                      : took_too_long(spec, &m, time->cluster_ms)) {
            out->aborts[out->abort_count++] = map->moves.at[i].number;
            continue;
        }
        out->has_queue = out->has_queue || is_queued;
        bool can_begin = is_queued && m.held == 0 && busy_count < spec->concurrent &&
                         id_map_get(&busy, m.shard) == NULL &&
                         (m.to.size == 0 || view_node(map, m.to) != PLAN_NONE);
        out->is_due = out->is_due || (can_begin && spec->hours_begin != spec->hours_end &&
                                      is_open(spec, time->wall_ms));
    }
    id_map_close(&busy);
}

bool upkeep_look(const struct map_copy *map, struct absences *a, const struct upkeep_time *time,
                 struct arena *arena, struct upkeep *out)
{
    struct shard_spec spec;
    *out = (struct upkeep){.lost_ms = UINT64_MAX};
    if (!shard_spec_decode(map->spec, &spec)) {
        return false;
    }
    note_all(a, map, time->now_ms);
    look_at_moves(map, &spec, a, time, arena, out);
    out->keep = arena_alloc(arena, (a->count + 1) * sizeof *out->keep);
    uint64_t after_ms = spec.lost_after_ms > 0 ? spec.lost_after_ms : LOST_AFTER_MS;
    for (size_t i = 0; i < a->count; i++) {
        struct slice node = slice_str(a->at[i].node);
        if (!is_given_up(&spec, a, node, time->now_ms)) {
            uint64_t lost_ms = a->at[i].since_ms + after_ms;
            out->keep[out->keep_count++] = arena_copy(arena, node);
            out->lost_ms = lost_ms < out->lost_ms ? lost_ms : out->lost_ms;
        }
    }
    return true;
}
