#include "store/config.h"

#include "store/state.h"

bool config_is_reserved(struct slice root, struct slice path)
{
    for (size_t i = root.size; i + 1 < path.size; i++) {
        if (path.data[i] == '/' && path.data[i + 1] == '.') {
            return true;
        }
    }
    return false;
}

bool config_is_taken(const struct store *s, struct slice path)
{
    return policies_root(&s->policies, path) != NULL ||
           policies_has_root_below(&s->policies, path);
}

bool config_protects(const struct store *s, const struct op *op, struct slice path)
{
    if (s->policies.root_count == 0 || space_is_flat(op->space)) {
        return false;
    }
    const struct policy *root = policies_root(&s->policies, path);
    if (root == NULL) { /* a recursive delete takes what is below */
        return (op->flags & OP_RECURSIVE) != 0 && op->type == OP_DELETE &&
               policies_has_root_below(&s->policies, path);
    }
    if ((op->flags & OP_CONFIG) != 0) {
        return false;
    }
    bool takes_all = op->type == OP_DELETE && (op->flags & OP_RECURSIVE) != 0;
    return !root->is_open || takes_all || config_is_reserved(root->path, path);
}

/* The schema attached to the node at `path`, if there is one. */
static bool schema_find(const struct store *s, struct slice path, struct config_place *out)
{
    uint8_t whole[STORE_PATH_BYTES_MAX + sizeof CONFIG_SCHEMA_NAME + 1];
    if (path.size > STORE_PATH_BYTES_MAX) {
        return false;
    }
    memcpy(whole, path.data, path.size);
    memcpy(whole + path.size, "/" CONFIG_SCHEMA_NAME, sizeof CONFIG_SCHEMA_NAME);
    uint32_t slot = tree_find(&s->tree, SPACE_NODES,
                              slice_make(whole, path.size + sizeof CONFIG_SCHEMA_NAME));
    if (slot == TREE_NONE) {
        return false;
    }
    const struct node *n = tree_node(&s->tree, slot);
    out->schema_at = path;
    out->schema = value_slice(n->value);
    out->schema_revision = n->modify_revision;
    return true;
}

void store_config_find(const struct store *s, struct slice path, struct config_place *out)
{
    *out = (struct config_place){.root = policies_root(&s->policies, path)};
    if (out->root == NULL) {
        return;
    }
    out->exists = tree_find(&s->tree, SPACE_NODES, path) != TREE_NONE;
    while (path.size >= out->root->path.size && !schema_find(s, path, out)) {
        path = path_parent(SPACE_NODES, path);
    }
}
