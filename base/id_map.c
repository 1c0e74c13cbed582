#include "base/id_map.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/salt.h"

#define CAPACITY_MIN 16

static size_t home_of(const struct id_map *m, uint64_t id)
{
    return (size_t)hash_mix(id, m->salt) & (m->capacity - 1);
}

/* Where the id is, or the free slot where it would be. There always is a free one. */
static struct id_map_slot *slot_of(const struct id_map *m, uint64_t id)
{
    size_t i = home_of(m, id);
    while (m->slots[i].value != NULL && m->slots[i].id != id) {
        i = (i + 1) & (m->capacity - 1);
    }
    return &m->slots[i];
}

static void grow(struct id_map *m)
{
    struct id_map old = *m;
    if (old.capacity == 0) {
        m->salt = salt_next();
    }
    m->capacity = old.capacity == 0 ? CAPACITY_MIN : 2 * old.capacity;
    m->slots = mem_zalloc(m->capacity * sizeof *m->slots);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].value != NULL) {
            *slot_of(m, old.slots[i].id) = old.slots[i];
        }
    }
    mem_free(old.slots);
}

void id_map_close(struct id_map *m)
{
    mem_free(m->slots);
    *m = (struct id_map){0};
}

void *id_map_get(const struct id_map *m, uint64_t id)
{
    return m->count > 0 ? slot_of(m, id)->value : NULL;
}

void id_map_set(struct id_map *m, uint64_t id, void *value)
{
    PRE(value != NULL);
    if (m->count + 1 > m->capacity / 4 * 3) {
        grow(m);
    }
    struct id_map_slot *slot = slot_of(m, id);
    m->count += slot->value == NULL;
    *slot = (struct id_map_slot){.id = id, .value = value};
}

/* Those behind the hole that were pushed on by what was in it move up, so that no lookup ends too
 * early. */
static void close_hole(struct id_map *m, size_t hole)
{
    size_t mask = m->capacity - 1;
    for (size_t i = (hole + 1) & mask; m->slots[i].value != NULL; i = (i + 1) & mask) {
        size_t from_home = (i - home_of(m, m->slots[i].id)) & mask;
        if (from_home >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct id_map_slot){0};
}

void *id_map_remove(struct id_map *m, uint64_t id)
{
    if (m->count == 0) {
        return NULL;
    }
    struct id_map_slot *slot = slot_of(m, id);
    void *value = slot->value;
    if (value != NULL) {
        m->count--;
        close_hole(m, (size_t)(slot - m->slots));
    }
    return value;
}
