#include "store/map_roots.h"

#include "base/assert.h"
#include "base/mem.h"
#include "store/shards.h"
#include "store/state.h"

static bool is_root(const struct store *s, uint32_t slot)
{
    return shards_is_map(s, slot) && !shards_is_map(s, tree_node(&s->tree, slot)->parent);
}

void map_roots_close(struct map_roots *m)
{
    mem_free(m->slots);
    *m = (struct map_roots){0};
}

void map_roots_note(struct store *s, uint32_t slot)
{
    struct map_roots *m = &s->map_roots;
    if (!is_root(s, slot)) {
        return;
    }
    if (m->count == m->capacity) {
        m->capacity = m->capacity > 0 ? 2 * m->capacity : 8;
        m->slots = mem_resize(m->slots, m->capacity * sizeof *m->slots);
    }
    m->slots[m->count++] = slot;
}

void map_roots_forget(struct store *s, uint32_t slot)
{
    struct map_roots *m = &s->map_roots;
    for (uint32_t i = 0; shards_is_map(s, slot) && i < m->count; i++) {
        if (m->slots[i] == slot) {
            m->slots[i] = m->slots[--m->count];
            return;
        }
    }
}

void map_roots_rebuild(struct store *s)
{
    s->map_roots.count = 0;
    for (uint32_t slot = 1; slot < s->tree.slot_end; slot++) {
        if ((tree_node(&s->tree, slot)->bits & (NODE_FREE | NODE_HIDDEN)) == 0) {
            map_roots_note(s, slot);
        }
    }
}

void map_roots_check(const struct store *s)
{
    uint32_t count = 0;
    for (uint32_t slot = 1; slot < s->tree.slot_end; slot++) {
        bool is_used = (tree_node(&s->tree, slot)->bits & (NODE_FREE | NODE_HIDDEN)) == 0;
        count += is_used && is_root(s, slot);
    }
    POST(count == s->map_roots.count);
    for (uint32_t i = 0; i < count; i++) {
        POST(is_root(s, s->map_roots.slots[i]));
    }
}
