#include "net/grpc/watch_table.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/salt.h"
#include "net/grpc/watch.h"

#define CAPACITY_MIN 8

static size_t home_of(const struct grpc_watch_table *t, uint64_t id)
{
    return (size_t)hash_mix(id, t->salt) & (t->capacity - 1);
}

/* Where the id is, or the free slot where it would be. There always is a free one. */
static size_t slot_of(const struct grpc_watch_table *t, uint64_t id)
{
    size_t i = home_of(t, id);
    while (t->slots[i] != NULL && t->slots[i]->id != id) {
        i = (i + 1) & (t->capacity - 1);
    }
    return i;
}

static void grow(struct grpc_watch_table *t)
{
    struct grpc_watch_table old = *t;
    if (old.capacity == 0) {
        t->salt = salt_next(); /* clients choose ids */
    }
    t->capacity = old.capacity == 0 ? CAPACITY_MIN : 2 * old.capacity;
    t->slots = mem_zalloc(t->capacity * sizeof *t->slots);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i] != NULL) {
            t->slots[slot_of(t, old.slots[i]->id)] = old.slots[i];
        }
    }
    mem_free(old.slots);
}

void grpc_watch_table_close(struct grpc_watch_table *t)
{
    mem_free(t->slots);
    *t = (struct grpc_watch_table){0};
}

struct grpc_watch *grpc_watch_table_find(const struct grpc_watch_table *t, uint64_t id)
{
    return t->count > 0 ? t->slots[slot_of(t, id)] : NULL;
}

void grpc_watch_table_add(struct grpc_watch_table *t, struct grpc_watch *w)
{
    if (t->count + 1 > t->capacity / 4 * 3) {
        grow(t);
    }
    size_t slot = slot_of(t, w->id);
    PRE(t->slots[slot] == NULL);
    t->slots[slot] = w;
    t->count++;
}

/* Those behind the hole that were pushed on by what was in it move up, so that no lookup ends too
 * early. */
void grpc_watch_table_remove(struct grpc_watch_table *t, const struct grpc_watch *w)
{
    size_t mask = t->capacity - 1;
    size_t hole = slot_of(t, w->id);
    PRE(t->slots[hole] == w);
    for (size_t i = (hole + 1) & mask; t->slots[i] != NULL; i = (i + 1) & mask) {
        size_t from_home = (i - home_of(t, t->slots[i]->id)) & mask;
        if (from_home >= ((i - hole) & mask)) {
            t->slots[hole] = t->slots[i];
            hole = i;
        }
    }
    t->slots[hole] = NULL;
    t->count--;
}
