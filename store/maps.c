#include "store/maps.h"

#include "store/state.h"

struct slice store_map_path(const struct store *s, uint32_t at, struct arena *arena)
{
    if (at >= s->map_roots.count) {
        return slice_make(NULL, 0);
    }
    uint32_t slot = s->map_roots.slots[at];
    size_t size = tree_path_bytes(&s->tree, slot);
    uint8_t *path = arena_alloc(arena, size);
    tree_path_write(&s->tree, slot, path);
    return slice_make(path, size);
}

static uint64_t number_of(struct slice name)
{
    uint64_t number = 0;
    for (size_t i = 2; i < name.size && name.data[i] >= '0' && name.data[i] <= '9'; i++) {
        number = number * 10 + (uint64_t)(name.data[i] - '0');
    }
    return number;
}

/* Returns the last revision at which one of them was written. */
static uint64_t copy_children(const struct store *s, uint32_t dir_slot, struct arena *arena,
                              struct map_texts *out)
{
    uint64_t last = 0;
    const struct dir *dir = node_dir(tree_node(&s->tree, dir_slot));
    uint32_t count = dir != NULL ? dir->children.count : 0;
    struct children_position p = {0, 0};
    out->at = arena_alloc(arena, (count + (size_t)1) * sizeof *out->at);
    for (out->count = 0; out->count < count; out->count++) {
        const struct node *n = tree_node(&s->tree, children_next(&dir->children, &p));
        struct map_text *text = &out->at[out->count];
        text->name = arena_copy(arena, node_name(n));
        text->text = arena_copy(arena, value_slice(n->value));
        text->number = number_of(text->name);
        last = n->modify_revision > last ? n->modify_revision : last;
    }
    return last;
}

bool store_map_copy(const struct store *s, struct slice path, struct arena *arena,
                    struct map_copy *out)
{
    static const char *const names[] = {"nodes", "stats", "shards", "moves"};
    struct map_texts *const texts[] = {&out->members, &out->stats, &out->shards, &out->moves};
    uint32_t root = tree_find(&s->tree, SPACE_NODES, path);
    *out = (struct map_copy){.revision = s->revision};
    if (root == TREE_NONE || node_kind_of(tree_node(&s->tree, root)) != NODE_MAP ||
        node_dir(tree_node(&s->tree, root)) == NULL) {
        return false;
    }
    struct node_stat stat;
    tree_stat(&s->tree, root, &stat);
    out->structure = stat.modify_revision;
    out->path = arena_copy(arena, path);
    out->spec = arena_copy(arena, value_slice(tree_node(&s->tree, root)->value));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint32_t dir = children_find(&node_dir(tree_node(&s->tree, root))->children, &s->tree,
                                     slice_str(names[i]));
        if (dir == TREE_NONE) {
            return false;
        }
        tree_stat(&s->tree, dir, &stat);
        uint64_t last = copy_children(s, dir, arena, texts[i]);
        bool is_heard = texts[i] == &out->members && last > stat.children_revision;
        uint64_t revision = is_heard ? last : stat.children_revision;
        bool counts = texts[i] != &out->stats && revision > out->structure;
        out->structure = counts ? revision : out->structure;
    }
    return true;
}
