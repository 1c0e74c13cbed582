#include "store/edit.h"

#include "base/assert.h"
#include "base/mem.h"
#include "store/digest.h"
#include "store/map_roots.h"
#include "store/reap.h"
#include "store/scan.h"
#include "store/stat.h"
#include "store/state.h"

/* A command with more changes than this gives its undo log back afterwards. */
#define EDIT_UNDO_KEPT ((size_t)4096)

enum undo_type { UNDO_CREATE, UNDO_SET, UNDO_SET_ACL, UNDO_DELETE };

struct undo {
    enum undo_type type;
    uint32_t slot;
    union {
        struct {
            uint64_t sequence_next; /* of the parent, before */
            uint64_t children_revision;
        };
        struct {
            struct value *value; /* of the node, before; owned */
            uint64_t modify_revision;
            uint64_t modify_ms;
            uint64_t touched_ms;
            uint32_t version;
        };
        struct {
            uint32_t acl;
            uint32_t acl_version;
        };
    };
};

static struct undo *undo_push(struct edit *e, enum undo_type type, uint32_t slot)
{
    if (e->undo_count == e->undo_capacity) {
        e->undo_capacity = e->undo_capacity == 0 ? 16 : e->undo_capacity * 2;
        e->undo = mem_resize(e->undo, e->undo_capacity * sizeof(struct undo));
    }
    struct undo *u = &e->undo[e->undo_count++];
    *u = (struct undo){.type = type, .slot = slot};
    return u;
}

void edit_begin(struct store *s, const struct apply_context *context, const struct command *c)
{
    struct edit *e = &s->edit;
    PRE(e->undo_count == 0);
    e->context = context;
    e->command = c;
    e->revision = s->revision + 1;
    e->sub = 0;
    e->reason = REASON_REQUEST;
    e->policies = false;
    e->auth = false;
    e->quotas = false;
    e->history_end = s->history.end;
    e->node_sum = s->node_sum;
    e->acl_next = s->acls.next;
}

static void edit_end(struct edit *e)
{
    e->undo_count = 0;
    if (e->undo_capacity > EDIT_UNDO_KEPT) {
        mem_free(e->undo);
        e->undo = NULL;
        e->undo_capacity = 0;
    }
}

void edit_close(struct store *s)
{
    mem_free(s->edit.undo);
}

void edit_commit(struct store *s)
{
    struct edit *e = &s->edit;
    for (size_t i = 0; i < e->undo_count; i++) {
        if (e->undo[i].type == UNDO_DELETE) {
            tree_release(&s->tree, e->undo[i].slot);
        } else if (e->undo[i].type == UNDO_SET) {
            value_unref(e->undo[i].value);
        }
    }
    if (e->undo_count > 0) {
        s->revision = e->revision;
    }
    if (e->policies) {
        bool valid = policies_changed(s);
        PRE(valid); /* op_check let no other values in */
        versions_sweep_begin(&s->versions);
    }
    if (e->auth) {
        bool valid = auth_read(&s->auth, &s->tree);
        PRE(valid); /* apply_auth writes no other values */
        s->auth.version = s->revision;
    }
    if (e->quotas) {
        bool valid = quotas_read(&s->quotas, &s->tree);
        PRE(valid); /* apply_quota writes no other values */
    }
    acl_table_settle(&s->acls);
    edit_end(e);
}

/* ---- the change log and the digest -------------------------------------------------------- */

/* A node at one moment, with what the digest and the change log want of it. */
struct view {
    struct node_stat stat;
    uint64_t stat_hash;
    uint64_t value_hash;
    uint64_t item; /* its part of the digest */
};

static void view_take(const struct store *s, uint32_t slot, struct view *v)
{
    tree_stat(&s->tree, slot, &v->stat);
    v->stat_hash = stat_hash(&v->stat);
    v->value_hash = value_hash(tree_node(&s->tree, slot)->value);
    v->item = digest_node_stat(&s->tree, slot, v->stat_hash) +
              digest_node_value(&s->tree, slot, v->value_hash);
}

struct edit_change {
    uint8_t type;
    uint32_t slot;
    struct slice path; /* empty: to be found out */
    struct value *data;
    struct value *old_data;
    const struct view *before; /* NULL: there was none */
    const struct view *after;  /* NULL: there is none */
};

static void edit_log(struct store *s, const struct edit_change *what)
{
    struct edit *e = &s->edit;
    const struct node *n = tree_node(&s->tree, what->slot);
    const struct view *told = what->after != NULL ? what->after : what->before;
    struct change change = {
        .revision = e->revision,
        .sub = e->sub++,
        .type = what->type,
        .space = n->space,
        .reason = e->reason,
        .path = what->path,
        .data = what->data,
        .old_data = what->old_data,
        .stat = told->stat,
        .old_modify_revision = what->before == NULL ? 0 : what->before->stat.modify_revision,
        .old_modify_ms = what->before == NULL ? 0 : what->before->stat.modify_ms,
        .acl = acl_table_find(&s->acls, told->stat.acl),
        .session = e->command->session,
        .cluster_ms = s->cluster_ms,
        .wall_ms = e->context->wall_ms,
        .identities = e->command->identities,
        .note = e->command->note,
    };
    if (change.path.size == 0) {
        size_t size = tree_path_bytes(&s->tree, what->slot);
        buf_clear(&s->scratch);
        tree_path_write(&s->tree, what->slot, buf_extend(&s->scratch, size));
        change.path = buf_slice(&s->scratch);
    }
    if (n->space == SPACE_META && policy_is_key(change.path)) {
        e->policies = true;
    }
    if (n->space == SPACE_META && auth_is_key(change.path)) {
        e->auth = true;
    }
    if (n->space == SPACE_META && quota_is_key(change.path)) {
        e->quotas = true;
    }
    struct change_hashes hashes = {
        .path = n->path_hash,
        .data = what->after != NULL ? what->after->value_hash : value_hash(NULL),
        .old_data = what->before != NULL ? what->before->value_hash : value_hash(NULL),
        .stat = told->stat_hash,
    };
    history_append(&s->history, &change, &hashes);
}

/* The parent's stat in the digest; hidden roots have no record. */
static uint64_t parent_item(const struct store *s, uint32_t parent)
{
    struct node_stat stat;
    if (tree_node(&s->tree, parent)->bits & NODE_HIDDEN) {
        return 0;
    }
    tree_stat(&s->tree, parent, &stat);
    return digest_node_stat(&s->tree, parent, stat_hash(&stat));
}

/* What a coming or going child means for its parent. */
static void parent_before(struct store *s, uint32_t parent)
{
    if ((tree_node(&s->tree, parent)->bits & NODE_HIDDEN) == 0) {
        scan_before_change(s, parent);
    }
    s->node_sum -= parent_item(s, parent);
}

static void parent_after(struct store *s, uint32_t parent)
{
    s->node_sum += parent_item(s, parent);
    reap_note(s, parent);
}

/* ---- who an ephemeral belongs to ---------------------------------------------------------- */

static struct lease *owner_of(struct store *s, const struct node *n)
{
    struct lease *owner = lease_table_find(&s->leases, n->lease);
    INVARIANT(22, owner != NULL);
    return owner;
}

static void owner_attach(struct store *s, uint32_t slot)
{
    const struct node *n = tree_node(&s->tree, slot);
    if (node_kind_of(n) == NODE_EPHEMERAL) {
        lease_attach(owner_of(s, n), slot);
    }
}

static void owner_detach(struct store *s, uint32_t slot)
{
    const struct node *n = tree_node(&s->tree, slot);
    if (node_kind_of(n) == NODE_EPHEMERAL) {
        lease_detach(owner_of(s, n), slot);
    }
}

/* ---- the changes -------------------------------------------------------------------------- */

uint32_t edit_create(struct store *s, const struct tree_key *key, struct value *value)
{
    struct edit *e = &s->edit;
    struct tree *t = &s->tree;
    parent_before(s, key->parent);
    struct dir *dir = tree_dir(t, key->parent);
    struct undo saved = {.sequence_next = dir->sequence_next,
                         .children_revision = dir->children_revision};
    uint32_t slot = tree_add(t, key);
    scan_skip(s, slot);
    struct node *n = tree_node(t, slot);
    n->create_revision = e->revision;
    n->modify_revision = e->revision;
    n->create_ms = e->context->wall_ms;
    n->modify_ms = e->context->wall_ms;
    n->acl = key->acl;
    acl_table_attach(&s->acls, n->acl);
    tree_set_value(t, slot, value);
    if (key->kind == NODE_TTL) {
        struct dir *own = tree_dir(t, slot);
        own->ttl_ms = key->ttl_ms;
        own->touched_ms = s->cluster_ms;
    }
    reap_note(s, slot);
    map_roots_note(s, slot);
    dir->sequence_next++;
    dir->children_revision = e->revision;
    parent_after(s, key->parent);
    owner_attach(s, slot);
    if (s->quotas.count > 0) {
        quotas_add(&s->quotas, t, slot);
    }

    struct undo *u = undo_push(e, UNDO_CREATE, slot);
    u->sequence_next = saved.sequence_next;
    u->children_revision = saved.children_revision;
    struct view after;
    view_take(s, slot, &after);
    s->node_sum += after.item;
    edit_log(s, &(struct edit_change){.type = CHANGE_CREATE,
                                      .slot = slot,
                                      .path = key->path,
                                      .data = value,
                                      .after = &after});
    return slot;
}

void edit_set(struct store *s, uint32_t slot, struct value *value)
{
    struct edit *e = &s->edit;
    struct tree *t = &s->tree;
    scan_before_change(s, slot);
    struct node *n = tree_node(t, slot);
    struct view before;
    view_take(s, slot, &before);

    struct undo *u = undo_push(e, UNDO_SET, slot);
    u->value = value_ref(n->value);
    u->modify_revision = n->modify_revision;
    u->modify_ms = n->modify_ms;
    u->version = n->version;
    if (node_kind_of(n) == NODE_TTL) {
        u->touched_ms = n->dir->touched_ms;
        n->dir->touched_ms = s->cluster_ms;
        reap_note(s, slot);
    }

    tree_set_value(t, slot, value);
    if (node_kind_of(n) == NODE_RECIPE) {
        reap_note(s, slot); /* its value says whether it stays */
    }
    n->modify_revision = e->revision;
    n->modify_ms = e->context->wall_ms;
    n->version = n->version >= VERSION_ANY - 1 ? 0 : n->version + 1;
    if (s->quotas.count > 0) {
        quotas_resize(&s->quotas, t, slot, before.stat.data_bytes, value_slice(value).size);
    }
    struct view after;
    view_take(s, slot, &after);
    s->node_sum += after.item - before.item;
    edit_log(s, &(struct edit_change){.type = CHANGE_SET,
                                      .slot = slot,
                                      .data = value,
                                      .old_data = u->value,
                                      .before = &before,
                                      .after = &after});
}

static void node_change_acl(struct store *s, struct node *n, uint32_t acl)
{
    acl_table_attach(&s->acls, acl);
    acl_table_detach(&s->acls, n->acl);
    n->acl = acl;
}

/* In the change log the value stands before and after: a node as of then has it from there. */
void edit_set_acl(struct store *s, uint32_t slot, uint32_t acl)
{
    scan_before_change(s, slot);
    struct node *n = tree_node(&s->tree, slot);
    struct view before;
    view_take(s, slot, &before);

    struct undo *u = undo_push(&s->edit, UNDO_SET_ACL, slot);
    u->acl = n->acl;
    u->acl_version = n->acl_version;

    node_change_acl(s, n, acl);
    n->acl_version = n->acl_version >= VERSION_ANY - 1 ? 0 : n->acl_version + 1;
    struct view after;
    view_take(s, slot, &after);
    s->node_sum += after.item - before.item;
    edit_log(s, &(struct edit_change){.type = CHANGE_ACL,
                                      .slot = slot,
                                      .data = n->value,
                                      .old_data = n->value,
                                      .before = &before,
                                      .after = &after});
}

void edit_delete(struct store *s, uint32_t slot)
{
    struct edit *e = &s->edit;
    struct tree *t = &s->tree;
    struct node *n = tree_node(t, slot);
    PRE(node_dir(n) == NULL || node_dir(n)->children.count == 0);
    scan_before_change(s, slot);
    struct view before;
    view_take(s, slot, &before);
    s->node_sum -= before.item;
    edit_log(s,
             &(struct edit_change){
                 .type = CHANGE_DELETE, .slot = slot, .old_data = n->value, .before = &before});

    uint32_t parent = n->parent;
    parent_before(s, parent);
    struct dir *dir = tree_dir(t, parent);
    struct undo *u = undo_push(e, UNDO_DELETE, slot);
    u->sequence_next = dir->sequence_next;
    u->children_revision = dir->children_revision;
    owner_detach(s, slot);
    acl_table_detach(&s->acls, n->acl);
    if (s->quotas.count > 0) {
        quotas_remove(&s->quotas, t, slot);
    }
    map_roots_forget(s, slot);
    tree_unlink(t, slot);
    reap_forget(s, slot);
    dir->children_revision = e->revision;
    parent_after(s, parent);
}

/* ---- the way back ------------------------------------------------------------------------- */

static void undo_one(struct store *s, const struct undo *u)
{
    struct tree *t = &s->tree;
    struct node *n = tree_node(t, u->slot);
    if (u->type == UNDO_SET) {
        if (s->quotas.count > 0) {
            quotas_resize(&s->quotas, t, u->slot, value_slice(n->value).size,
                          value_slice(u->value).size);
        }
        tree_set_value(t, u->slot, u->value);
        n->modify_revision = u->modify_revision;
        n->modify_ms = u->modify_ms;
        n->version = u->version;
        if (node_kind_of(n) == NODE_TTL) {
            n->dir->touched_ms = u->touched_ms;
        }
        reap_note(s, u->slot);
        return;
    }
    if (u->type == UNDO_SET_ACL) {
        node_change_acl(s, n, u->acl);
        n->acl_version = u->acl_version;
        return;
    }
    uint32_t parent = n->parent;
    struct dir *dir = tree_dir(t, parent);
    dir->sequence_next = u->sequence_next;
    dir->children_revision = u->children_revision;
    if (u->type == UNDO_CREATE) {
        owner_detach(s, u->slot);
        acl_table_detach(&s->acls, n->acl);
        if (s->quotas.count > 0) {
            quotas_remove(&s->quotas, t, u->slot);
        }
        map_roots_forget(s, u->slot);
        tree_unlink(t, u->slot);
        reap_forget(s, u->slot);
        tree_release(t, u->slot);
    } else {
        tree_relink(t, u->slot);
        acl_table_attach(&s->acls, n->acl);
        reap_note(s, u->slot);
        map_roots_note(s, u->slot);
        owner_attach(s, u->slot);
        if (s->quotas.count > 0) {
            quotas_add(&s->quotas, t, u->slot);
        }
    }
    reap_note(s, parent);
}

void edit_rollback(struct store *s)
{
    struct edit *e = &s->edit;
    while (e->undo_count > 0) {
        undo_one(s, &e->undo[--e->undo_count]);
    }
    history_pop(&s->history, e->history_end);
    s->node_sum = e->node_sum;
    acl_table_settle(&s->acls);
    s->acls.next = e->acl_next;
    edit_end(e);
}
