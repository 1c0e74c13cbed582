#include "store/attached.h"

#include <stdlib.h>

#include "store/state.h"

static int attached_order(const void *a, const void *b)
{
    return path_order(((const struct attached *)a)->path, ((const struct attached *)b)->path);
}

uint32_t attached_in_order(const struct tree *t, const struct lease *l, struct slice after,
                           struct arena *arena, struct attached **out)
{
    struct attached *list = arena_alloc(arena, l->attached_count * sizeof *list);
    uint32_t count = 0;
    uint32_t cell = 0;
    for (uint32_t slot; (slot = lease_next_attached(l, &cell)) != 0;) {
        size_t size = tree_path_bytes(t, slot);
        uint8_t *path = arena_alloc(arena, size);
        tree_path_write(t, slot, path);
        struct slice whole = slice_make(path, size);
        if (after.size == 0 || path_order(whole, after) > 0) {
            list[count++] = (struct attached){.path = whole, .slot = slot};
        }
    }
    if (count > 1) {
        qsort(list, count, sizeof *list, attached_order);
    }
    *out = list;
    return count;
}

uint32_t store_attached(const struct store *s, uint64_t lease, struct arena *arena,
                        struct attached **out)
{
    const struct lease *l = lease_table_find(&s->leases, lease);
    *out = NULL;
    return l == NULL ? 0 : attached_in_order(&s->tree, l, slice_make(NULL, 0), arena, out);
}
