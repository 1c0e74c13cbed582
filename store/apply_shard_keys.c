/* Which keys belong to which shard: splits, merges, what one shard wants, keys of a directory. */
#include <inttypes.h>
#include <stdio.h>

#include "store/apply.h"
#include "store/apply_shard.h"

static bool open_shard(struct shard_map *map, uint64_t number, uint32_t *slot,
                       struct shard_record *r)
{
    *slot = shard_map_shard(map, number);
    return *slot != TREE_NONE && shard_read(map->store, *slot, r);
}

/* Whether any move of the shard is queued or under way. */
static bool has_move(struct shard_map *map, uint64_t shard)
{
    uint32_t count;
    const uint32_t *slots = shard_map_children(map->store, map->moves, &count);
    for (uint32_t i = 0; i < count; i++) {
        struct shard_move m;
        if (shard_move_read(map->store, slots[i], &m) && m.shard == shard) {
            return true;
        }
    }
    return false;
}

static struct slice hex_of(struct store *s, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *hex = arena_alloc(&s->arena, 2 * bytes.size);
    for (size_t i = 0; i < bytes.size; i++) {
        hex[2 * i] = (uint8_t)digits[bytes.data[i] >> 4];
        hex[2 * i + 1] = (uint8_t)digits[bytes.data[i] & 15];
    }
    return slice_make(hex, 2 * bytes.size);
}

/* The upper part becomes a new shard on the same nodes, with the same leader: both have a new
 * epoch, and nothing is copied. */
enum outcome shard_split_apply(struct shard_map *map, const struct command_shard *asked)
{
    const struct shard_step *step = &asked->steps[0];
    struct store *s = map->store;
    struct buf text = {0};
    struct shard_record r;
    uint32_t slot;
    uint32_t count;
    (void)shard_map_children(s, map->shards, &count);
    if (!open_shard(map, step->number, &slot, &r)) {
        return OUTCOME_NO_NODE;
    }
    if (count >= SHARD_COUNT_MAX) {
        return OUTCOME_LIMIT;
    }
    if (has_move(map, step->number)) {
        return OUTCOME_MISMATCH;
    }
    struct shard_world w = shard_map_world(map, step->number);
    shard_assign(&w, &r, r.leader, r.replicas);
    struct shard_record upper = r;
    if (map->spec.strategy == SHARD_HASH) {
        uint64_t at = step->amount > 0 ? step->amount : r.low + (r.high - r.low + 1) / 2;
        if (at <= r.low || at > r.high) {
            return OUTCOME_BAD_ARGUMENTS;
        }
        upper.low = at;
        r.high = at - 1;
    } else if (map->spec.strategy == SHARD_RANGE) {
        if (slice_compare(step->from, r.low_key) <= 0 ||
            (r.high_key.size > 0 && slice_compare(step->from, r.high_key) >= 0)) {
            return OUTCOME_BAD_ARGUMENTS;
        }
        upper.low_key = step->from;
        r.high_key = step->from;
    } else if (map->spec.strategy == SHARD_RING) {
        return OUTCOME_UNSUPPORTED; /* points of a ring have no upper part */
    }
    shard_write(s, slot, &r);
    shard_record_encode(&text, &upper);
    (void)shard_map_make(s, map->shards, slice_str("s-"), NODE_MAP, 0, buf_slice(&text));
    buf_close(&text);
    return OUTCOME_OK;
}

static bool are_neighbours(const struct shard_map *map, const struct shard_record *a,
                           const struct shard_record *b)
{
    return map->spec.strategy == SHARD_HASH
               ? a->high + 1 == b->low
               : map->spec.strategy == SHARD_RANGE && a->high_key.size > 0 &&
                     slice_equal(a->high_key, b->low_key);
}

static bool same_names(struct slice a, struct slice b)
{
    struct slice rest = a;
    struct slice name;
    while (names_next(&rest, &name)) {
        if (!names_have(b, name)) {
            return false;
        }
    }
    return names_count(a) == names_count(b);
}

/* The one behind joins the first. Both must be on the same nodes: what is elsewhere is moved
 * first. */
enum outcome shard_merge_apply(struct shard_map *map, const struct command_shard *asked)
{
    uint64_t number = asked->steps[0].number;
    struct shard_record r;
    struct shard_record behind;
    uint32_t slot;
    uint32_t slot_behind;
    if (!open_shard(map, number, &slot, &r) ||
        !open_shard(map, asked->base, &slot_behind, &behind)) {
        return OUTCOME_NO_NODE;
    }
    if (!are_neighbours(map, &r, &behind) || !same_names(r.replicas, behind.replicas) ||
        !slice_equal(r.leader, behind.leader) || !slice_equal(r.awaits, behind.awaits) ||
        has_move(map, number) ||
        has_move(map, asked->base)) {
        return OUTCOME_MISMATCH;
    }
    struct shard_world w = shard_map_world(map, number);
    r.high = behind.high;
    r.high_key = behind.high_key;
    shard_assign(&w, &r, r.leader, r.replicas);
    shard_write(map->store, slot, &r);
    edit_delete(map->store, slot_behind);
    return OUTCOME_OK;
}

/* How many replicas, on which nodes: the next plan does it. Keys and assignment stay. */
enum outcome shard_set_apply(struct shard_map *map, const struct command_shard *asked)
{
    struct shard_record r;
    struct shard_record wants;
    uint32_t slot;
    if (!open_shard(map, asked->steps[0].number, &slot, &r)) {
        return OUTCOME_NO_NODE;
    }
    if (!shard_record_decode(asked->text, &wants)) {
        return OUTCOME_BAD_ARGUMENTS;
    }
    r.wanted = wants.wanted;
    r.tags = wants.tags;
    r.pin = wants.pin;
    if (map->spec.strategy == SHARD_RING && wants.weight > 0) {
        struct shard_world w = shard_map_world(map, asked->steps[0].number);
        r.weight = wants.weight;
        shard_assign(&w, &r, r.leader, r.replicas); /* keys change hands */
    }
    shard_write(map->store, slot, &r);
    return OUTCOME_OK;
}

/* A key of a directory: a node with the number of its shard. */
enum outcome shard_key_apply(struct shard_map *map, const struct command_shard *asked)
{
    const struct shard_step *step = &asked->steps[0];
    struct store *s = map->store;
    if (map->keys == TREE_NONE) {
        return OUTCOME_MISMATCH;
    }
    struct slice name = hex_of(s, step->from);
    uint32_t slot = shard_map_find(map, map->keys, name);
    if (asked->action == SHARD_REMOVE_KEY) {
        if (slot == TREE_NONE) {
            return OUTCOME_NO_NODE;
        }
        edit_delete(s, slot);
        return OUTCOME_OK;
    }
    if (shard_map_shard(map, step->number) == TREE_NONE) {
        return OUTCOME_NO_NODE;
    }
    char text[32];
    (void)snprintf(text, sizeof text, "shard=%" PRIu64 "\n", step->number);
    return shard_map_put(s, map->keys, name, NODE_MAP, 0, slice_str(text));
}
