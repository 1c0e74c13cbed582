#include "store/query_walk.h"

#include "store/state.h"

const struct children *query_children(const struct tree *t, uint32_t slot)
{
    static const struct children none = {0};
    const struct dir *dir = node_dir(tree_node(t, slot));
    return dir == NULL ? &none : &dir->children;
}

bool query_may_read(const struct query_walk *w, uint32_t slot)
{
    return access_node(w->access, slot, ACL_READ) &&
           (!w->asks_roles || access_rules_of_slot(w->access, ACL_READ, slot));
}

uint32_t query_walk_next(struct query_walk *w)
{
    bool descends = w->recursive && (w->depth == 0 || w->level + 1 < w->depth);
    if (descends && w->last != TREE_NONE && query_children(w->tree, w->last)->count > 0 &&
        query_may_read(w, w->last)) {
        w->parent = w->last;
        w->level++;
        w->position = (struct children_position){0, 0};
    }
    for (;;) {
        w->last = children_next(query_children(w->tree, w->parent), &w->position);
        if (w->last != TREE_NONE || w->parent == w->top) {
            return w->last;
        }
        const struct node *done = tree_node(w->tree, w->parent);
        w->parent = done->parent;
        w->level--;
        w->position =
            children_seek(query_children(w->tree, w->parent), w->tree, node_name(done), true);
    }
}

static void seek_below(struct query_walk *w, struct slice below)
{
    for (;;) {
        const uint8_t *slash = below.size == 0 ? NULL : memchr(below.data, '/', below.size);
        size_t size = slash == NULL ? below.size : (size_t)(slash - below.data);
        struct slice name = slice_make(below.data, size);
        const struct children *children = query_children(w->tree, w->parent);
        w->position = children_seek(children, w->tree, name, false);
        struct children_position behind = w->position;
        uint32_t child = children_next(children, &behind);
        if (child == TREE_NONE || !slice_equal(node_name(tree_node(w->tree, child)), name)) {
            return; /* what follows the missing one */
        }
        w->position = behind;
        if (slash == NULL) {
            w->last = child;
            return;
        }
        if (query_children(w->tree, child)->count == 0 || !query_may_read(w, child)) {
            return; /* whatever was below it has gone, or may no longer be read */
        }
        w->parent = child;
        w->level++;
        w->position = (struct children_position){0, 0};
        below = slice_make(slash + 1, below.size - size - 1);
    }
}

/* The part of a cursor below the listed path; false if it is not below it. */
static bool cursor_below(struct slice top, struct slice after, struct slice *below)
{
    size_t head = top.size == 1 ? 0 : top.size; /* "/" ends with the separator itself */
    if (after.size <= head + 1 || after.data[head] != '/' ||
        !slice_equal(slice_make(after.data, head), slice_make(top.data, head))) {
        return false;
    }
    *below = slice_make(after.data + head + 1, after.size - head - 1);
    return true;
}

bool query_walk_seek(struct query_walk *w, struct slice top, struct slice after)
{
    struct slice below;
    if (!cursor_below(top, after, &below) ||
        (!w->recursive && memchr(below.data, '/', below.size) != NULL)) {
        return false;
    }
    seek_below(w, below);
    return true;
}

void query_walk_entry(const struct query_walk *w, uint32_t slot, bool with_data,
                      struct arena *arena, struct query_entry *e)
{
    const struct tree *t = w->tree;
    const struct node *n = tree_node(t, slot);
    size_t path_bytes = tree_path_bytes(t, slot);
    uint8_t *path = arena_alloc(arena, path_bytes);
    tree_path_write(t, slot, path);
    *e = (struct query_entry){
        .path = slice_make(path, path_bytes),
        .unreadable = !query_may_read(w, slot),
    };
    if (with_data && !e->unreadable) {
        e->data = value_slice(n->value);
        e->null_data = n->value == NULL;
        e->value = n->value;
    }
    if (!e->unreadable) {
        tree_stat(t, slot, &e->stat);
    }
}
