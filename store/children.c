#include "store/children.h"

#include "base/assert.h"
#include "base/mem.h"
#include "store/tree.h"

#define CHILDREN_CHUNK_MAX ((uint32_t)256)
#define CHILDREN_CHUNK_MIN ((uint32_t)4)

struct children_chunk {
    uint32_t count;
    uint32_t capacity;
    uint32_t slots[];
};

static struct children_chunk *chunk_resize(struct children_chunk *chunk, uint32_t capacity)
{
    uint32_t count = chunk == NULL ? 0 : chunk->count;
    chunk = mem_resize(chunk, sizeof *chunk + capacity * sizeof chunk->slots[0]);
    chunk->count = count;
    chunk->capacity = capacity;
    return chunk;
}

static void chunk_put(struct children *c, uint32_t at, uint32_t offset, uint32_t slot)
{
    struct children_chunk *chunk = c->chunks[at];
    if (chunk->count == chunk->capacity) {
        chunk = chunk_resize(chunk, chunk->capacity * 2);
        c->chunks[at] = chunk;
    }
    memmove(chunk->slots + offset + 1, chunk->slots + offset,
            (chunk->count - offset) * sizeof chunk->slots[0]);
    chunk->slots[offset] = slot;
    chunk->count++;
}

static void chunk_insert_at(struct children *c, uint32_t at, struct children_chunk *chunk)
{
    if (c->chunk_count == c->chunk_capacity) {
        c->chunk_capacity = c->chunk_capacity == 0 ? 1 : c->chunk_capacity * 2;
        c->chunks = mem_resize(c->chunks, c->chunk_capacity * sizeof(struct children_chunk *));
    }
    memmove(c->chunks + at + 1, c->chunks + at,
            (c->chunk_count - at) * sizeof(struct children_chunk *));
    c->chunks[at] = chunk;
    c->chunk_count++;
}

static void chunk_remove_at(struct children *c, uint32_t at)
{
    mem_free(c->chunks[at]);
    c->chunk_count--;
    memmove(c->chunks + at, c->chunks + at + 1,
            (c->chunk_count - at) * sizeof(struct children_chunk *));
}

/* Cuts the full chunk `at` in two: in the middle, or, when the newcomer goes behind the last child
 * of all, at the end, so that children created in order fill their chunks. */
static void chunk_split(struct children *c, uint32_t at, bool append)
{
    struct children_chunk *left = c->chunks[at];
    uint32_t keep = append ? left->count : left->count / 2;
    uint32_t moved = left->count - keep;
    struct children_chunk *right =
        chunk_resize(NULL, append ? CHILDREN_CHUNK_MIN : CHILDREN_CHUNK_MAX);
    memcpy(right->slots, left->slots + keep, moved * sizeof left->slots[0]);
    right->count = moved;
    left->count = keep;
    chunk_insert_at(c, at + 1, right);
}

void children_close(struct children *c)
{
    for (uint32_t i = 0; i < c->chunk_count; i++) {
        mem_free(c->chunks[i]);
    }
    mem_free(c->chunks);
    *c = (struct children){0};
}

/* Whether the child sorts before the wanted position. */
static bool child_is_before(const struct tree *t, uint32_t slot, struct slice name, bool behind)
{
    int order = slice_compare(node_name(tree_node(t, slot)), name);
    return behind ? order <= 0 : order < 0;
}

/* The chunk that holds the first child not before the position, else the last one. */
static uint32_t children_seek_chunk(const struct children *c, const struct tree *t,
                                    struct slice name, bool behind)
{
    uint32_t low = 0;
    uint32_t high = c->chunk_count == 0 ? 0 : c->chunk_count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct children_chunk *chunk = c->chunks[middle];
        if (child_is_before(t, chunk->slots[chunk->count - 1], name, behind)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct children_position children_seek(const struct children *c, const struct tree *t,
                                       struct slice name, bool behind)
{
    struct children_position position = {0, 0};
    if (c->chunk_count == 0) {
        return position;
    }
    /* Names that grow with time are the common case. */
    position.chunk = c->chunk_count - 1;
    const struct children_chunk *chunk = c->chunks[position.chunk];
    position.offset = chunk->count;
    if (child_is_before(t, chunk->slots[chunk->count - 1], name, behind)) {
        return position;
    }
    position.chunk = children_seek_chunk(c, t, name, behind);
    chunk = c->chunks[position.chunk];
    uint32_t low = 0;
    uint32_t high = chunk->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (child_is_before(t, chunk->slots[middle], name, behind)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    position.offset = low;
    return position;
}

void children_insert(struct children *c, const struct tree *t, uint32_t slot)
{
    if (c->chunk_count == 0) {
        chunk_insert_at(c, 0, chunk_resize(NULL, CHILDREN_CHUNK_MIN));
        c->chunks[0]->slots[0] = slot;
        c->chunks[0]->count = 1;
        c->count = 1;
        return;
    }
    struct children_position p = children_seek(c, t, node_name(tree_node(t, slot)), false);
    uint32_t count = c->chunks[p.chunk]->count;
    if (count == CHILDREN_CHUNK_MAX) {
        bool append = p.chunk == c->chunk_count - 1 && p.offset == count;
        chunk_split(c, p.chunk, append);
        uint32_t left = c->chunks[p.chunk]->count;
        if (p.offset > left || append) {
            p.chunk++;
            p.offset -= left;
        }
    }
    chunk_put(c, p.chunk, p.offset, slot);
    c->count++;
}

/* Joins the chunk with its right neighbour when both together fill no more than half a chunk:
 * removing in random order must not leave a long row of almost empty ones. */
static void chunk_join(struct children *c, uint32_t at)
{
    if (at + 1 >= c->chunk_count) {
        return;
    }
    struct children_chunk *left = c->chunks[at];
    struct children_chunk *right = c->chunks[at + 1];
    uint32_t sum = left->count + right->count;
    if (sum > CHILDREN_CHUNK_MAX / 2) {
        return;
    }
    if (left->capacity < sum) {
        left = chunk_resize(left, CHILDREN_CHUNK_MAX);
        c->chunks[at] = left;
    }
    memcpy(left->slots + left->count, right->slots, right->count * sizeof right->slots[0]);
    left->count = sum;
    chunk_remove_at(c, at + 1);
}

void children_remove(struct children *c, const struct tree *t, uint32_t slot)
{
    struct children_position p = children_seek(c, t, node_name(tree_node(t, slot)), false);
    PRE(p.chunk < c->chunk_count);
    struct children_chunk *chunk = c->chunks[p.chunk];
    PRE(p.offset < chunk->count && chunk->slots[p.offset] == slot);
    chunk->count--;
    memmove(chunk->slots + p.offset, chunk->slots + p.offset + 1,
            (chunk->count - p.offset) * sizeof chunk->slots[0]);
    c->count--;
    if (c->count == 0) {
        children_close(c);
    } else if (chunk->count == 0) {
        chunk_remove_at(c, p.chunk);
    } else {
        chunk_join(c, p.chunk);
        if (p.chunk > 0) {
            chunk_join(c, p.chunk - 1);
        }
    }
}

uint32_t children_next(const struct children *c, struct children_position *position)
{
    while (position->chunk < c->chunk_count) {
        const struct children_chunk *chunk = c->chunks[position->chunk];
        if (position->offset < chunk->count) {
            return chunk->slots[position->offset++];
        }
        position->chunk++;
        position->offset = 0;
    }
    return TREE_NONE;
}

uint32_t children_find(const struct children *c, const struct tree *t, struct slice name)
{
    struct children_position position = children_seek(c, t, name, false);
    uint32_t slot = children_next(c, &position);
    bool is_it = slot != TREE_NONE && slice_equal(node_name(tree_node(t, slot)), name);
    return is_it ? slot : TREE_NONE;
}
