#include "raft/touches.h"

#include "base/assert.h"
#include "base/mem.h"

#define CAPACITY_MIN 16

void touches_close(struct touches *t)
{
    mem_free(t->ids);
    id_map_close(&t->index);
    *t = (struct touches){0};
}

void touches_add(struct touches *t, uint64_t id)
{
    if (touches_has(t, id)) {
        return;
    }
    if (t->count == t->capacity) {
        t->capacity = t->capacity == 0 ? CAPACITY_MIN : 2 * t->capacity;
        t->ids = mem_resize(t->ids, t->capacity * sizeof *t->ids);
    }
    t->ids[t->count++] = id;
    id_map_set(&t->index, id, t); /* any value says that it is there */
}

bool touches_has(const struct touches *t, uint64_t id)
{
    return id_map_get(&t->index, id) != NULL;
}

void touches_take(struct touches *to, struct touches *from, size_t max)
{
    PRE(to->count == 0);
    touches_close(to);
    if (from->count <= max) {
        *to = *from;
        *from = (struct touches){0};
        return;
    }
    struct touches rest = {0};
    for (size_t i = 0; i < from->count; i++) {
        touches_add(i < max ? to : &rest, from->ids[i]);
    }
    touches_close(from);
    *from = rest;
}

void touches_put_back(struct touches *t, struct touches *earlier)
{
    for (size_t i = 0; i < t->count; i++) {
        touches_add(earlier, t->ids[i]);
    }
    touches_close(t);
    *t = *earlier;
    *earlier = (struct touches){0};
}
