/* Loading access control lists: rows in any order, so nodes and changes find theirs when the store
 * is sealed. */
#include <inttypes.h>

#include "base/mem.h"
#include "store/load.h"
#include "store/state.h"

static bool list_is_sound(uint32_t id, struct slice list)
{
    return id > 0 && id < ACL_ID_NONE && acl_check(list, NULL) == OUTCOME_OK &&
           !acl_is_open(list);
}

enum status load_acl(struct store *s, const struct row_acl *row)
{
    bool added = list_is_sound(row->id, row->list) &&
                 acl_table_load(&s->acls, row->id, row->list);
    return added ? RC_OK : RC_CORRUPT;
}

enum status load_change_list(const struct row_change *row, struct acl_list **out)
{
    *out = NULL;
    if (row->stat.acl == 0 && row->acl.size == 0) {
        return RC_OK;
    }
    if (!list_is_sound(row->stat.acl, row->acl)) {
        return RC_CORRUPT;
    }
    *out = acl_list_new(row->stat.acl, row->acl);
    return RC_OK;
}

enum status seal_acls(struct store *s, struct errmsg *err)
{
    uint64_t next = s->load->singles[SINGLE_ACL_NEXT];
    if (next == 0 || next >= ACL_ID_NONE) {
        return errmsg_set(err, RC_CORRUPT, "acl_next %" PRIu64, next);
    }
    s->acls.next = (uint32_t)next;
    for (uint32_t slot = 1; slot < s->tree.slot_end; slot++) {
        const struct node *n = tree_node(&s->tree, slot);
        uint32_t acl = n->bits & (NODE_FREE | NODE_HIDDEN) ? 0 : n->acl;
        if (acl != 0 && acl_table_find(&s->acls, acl) == NULL) {
            return errmsg_set(err, RC_CORRUPT,
                              "a node has access control list %" PRIu32
                              ", which does not exist",
                              acl);
        }
        acl_table_attach(&s->acls, acl);
    }
    if (!list_empty(&s->acls.unused)) {
        const struct acl_list *l = LIST_OF(s->acls.unused.next, struct acl_list, unused);
        return errmsg_set(err, RC_CORRUPT, "no node has access control list %" PRIu32, l->id);
    }
    return RC_OK;
}

static bool is_same(const struct acl_list *a, const struct acl_list *b)
{
    return a != NULL && slice_equal(acl_list_slice(a), acl_list_slice(b));
}

/* `gone`, by id: lists that only changes have. */
static void share_acl(const struct acl_table *t, struct id_map *gone, struct change *c)
{
    if (c->acl == NULL) {
        return;
    }
    struct acl_list *shared = acl_table_find(t, c->acl->id);
    if (!is_same(shared, c->acl)) {
        shared = id_map_get(gone, c->acl->id);
    }
    if (!is_same(shared, c->acl)) {
        id_map_set(gone, c->acl->id, c->acl);
        return;
    }
    (void)acl_list_ref(shared);
    acl_list_unref(c->acl);
    c->acl = shared;
}

void share_acls(struct store *s)
{
    struct id_map gone = {0};
    struct history *h = &s->history;
    for (size_t i = s->versions.begin; i < s->versions.end; i++) {
        if (s->versions.cells[i].version != NULL) {
            share_acl(&s->acls, &gone, &s->versions.cells[i].version->change);
        }
    }
    for (uint64_t p = h->begin; p < h->end; p++) {
        share_acl(&s->acls, &gone, h->ring[p & (h->capacity - 1)].change);
    }
    id_map_close(&gone);
}
