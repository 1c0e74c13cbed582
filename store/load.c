/* Loading: rows in any order become a store, which is then proved whole.
 *
 * A child may come before its parent: the parent is a placeholder until its own row comes, and
 * none may be left when the store is sealed. What a row says is never trusted further than it is
 * checked: a damaged file is RC_CORRUPT, not a crash. The digest has the last word.
 */
#include <inttypes.h>

#include "base/assert.h"
#include "base/mem.h"
#include "store/digest.h"
#include "store/load.h"
#include "store/map_roots.h"
#include "store/queues.h"
#include "store/reap.h"
#include "store/stat.h"
#include "store/state.h"
#include "store/validate.h"

static const char *const single_names[SINGLE_COUNT] = {
    [SINGLE_LEVEL] = "feature_level",
    [SINGLE_HISTORY_FLOOR] = "history_floor",
    [SINGLE_FLOOR_MS] = "replies_floor_ms",
    [SINGLE_FLOOR_0] = "replies_floor_random_0",
    [SINGLE_FLOOR_1] = "replies_floor_random_1",
    [SINGLE_WINDOW_SERIAL] = "window_serial",
    [SINGLE_SWEEP_REVISION] = "versions_sweep_revision",
    [SINGLE_SWEEP_SUB] = "versions_sweep_sub",
    [SINGLE_ACL_NEXT] = "acl_next",
};

#define DIVERGED_PREFIX "diverged_"

struct store *store_new_empty(void)
{
    struct store *s = store_alloc();
    s->load = mem_zalloc(sizeof *s->load);
    return s;
}

void store_load_expect(struct store *s, uint64_t nodes)
{
    PRE(s->load != NULL);
    tree_reserve(&s->tree, nodes);
}

/* ---- single values ------------------------------------------------------------------------ */

static enum status load_diverged(struct store *s, struct slice member_text, uint64_t index)
{
    uint64_t member;
    if (!slice_number(member_text, &member) || index == 0 ||
        s->diverged_count == DIVERGED_MAX || store_diverged(s, member) != 0) {
        return RC_CORRUPT;
    }
    diverged_mark(s, member, index);
    return RC_OK;
}

static enum status load_meta(struct store *s, const struct row_meta *row)
{
    uint64_t number;
    if (!slice_number(row->value, &number)) {
        return RC_CORRUPT;
    }
    for (size_t i = 0; i < SINGLE_COUNT; i++) {
        if (slice_is(row->name, single_names[i])) {
            if (s->load->seen[i]) {
                return RC_CORRUPT;
            }
            s->load->seen[i] = true;
            s->load->singles[i] = number;
            return RC_OK;
        }
    }
    struct slice prefix = slice_str(DIVERGED_PREFIX);
    if (row->name.size > prefix.size &&
        slice_equal(slice_make(row->name.data, prefix.size), prefix)) {
        return load_diverged(
            s, slice_make(row->name.data + prefix.size, row->name.size - prefix.size), number);
    }
    return RC_CORRUPT;
}

/* ---- nodes -------------------------------------------------------------------------------- */

static bool node_row_is_sound(const struct row_node *row)
{
    const struct node_stat *stat = &row->stat;
    if (row->data.size > STORE_VALUE_BYTES_MAX || stat->data_bytes != row->data.size ||
        stat->create_revision == 0 || stat->ttl_ms > NODE_TTL_MS_MAX ||
        (row->touched_ms != 0 && stat->kind != NODE_TTL)) {
        return false;
    }
    bool has_children = stat->child_count != 0 || stat->sequence_next != 0 ||
                        stat->children_revision != stat->create_revision;
    if (space_is_flat(row->space)) {
        return row->path.size > 0 && row->path.size <= STORE_PATH_BYTES_MAX && !has_children &&
               stat->kind == NODE_PERSISTENT && stat->lease == 0 && stat->ttl_ms == 0 &&
               stat->acl == 0;
    }
    return path_check(row->path, false, NULL) == OUTCOME_OK &&
           (stat->lease != 0) == (stat->kind == NODE_EPHEMERAL) &&
           (stat->ttl_ms != 0) == (stat->kind == NODE_TTL) &&
           (stat->kind != NODE_EPHEMERAL || !has_children);
}

static uint32_t load_add(struct store *s, uint32_t parent, uint8_t space, struct slice path)
{
    struct tree_key key = {.space = space,
                           .kind = NODE_PERSISTENT,
                           .parent = parent,
                           .path = path,
                           .hash = tree_hash(space, path)};
    uint32_t slot = tree_add(&s->tree, &key);
    tree_node(&s->tree, slot)->bits |= NODE_PLACEHOLDER;
    s->load->placeholders++;
    return slot;
}

/* The node of a path below a parent that is there. It is looked for among the children, whose place
 * in their order a new one needs anyway, and not by its hash, where there mostly is nothing. */
static uint32_t load_below(struct store *s, uint32_t parent, uint8_t space, struct slice path)
{
    const struct node *above = tree_node(&s->tree, parent);
    if (node_kind_of(above) == NODE_EPHEMERAL) {
        return TREE_NONE;
    }
    uint32_t slot =
        above->dir == NULL
            ? TREE_NONE
            : children_find(&above->dir->children, &s->tree, path_last(space, path));
    return slot != TREE_NONE ? slot : load_add(s, parent, space, path);
}

/* The node of a path, made with all its ancestors as far as they are missing. TREE_NONE if it would
 * be below an ephemeral. */
static uint32_t load_find_or_add(struct store *s, struct slice path)
{
    if (path.size == 1) {
        uint32_t root = tree_root(&s->tree, SPACE_NODES);
        return root != TREE_NONE ? root : load_add(s, TREE_NONE, SPACE_NODES, path);
    }
    uint32_t slot = tree_find(&s->tree, SPACE_NODES, path_parent(SPACE_NODES, path));
    if (slot != TREE_NONE) {
        return load_below(s, slot, SPACE_NODES, path);
    }
    /* From the root downwards. */
    slot = load_find_or_add(s, slice_make(path.data, 1));
    for (size_t i = 2; i <= path.size && slot != TREE_NONE; i++) {
        if (i < path.size && path.data[i] != '/') {
            continue;
        }
        slot = load_below(s, slot, SPACE_NODES, slice_make(path.data, i));
    }
    return slot;
}

static enum status load_node(struct store *s, const struct row_node *row)
{
    struct tree *t = &s->tree;
    if (!node_row_is_sound(row)) {
        return RC_CORRUPT;
    }
    uint32_t slot = space_is_flat(row->space)
                        ? load_below(s, tree_root(t, row->space), row->space, row->path)
                        : load_find_or_add(s, row->path);
    struct node *n = slot == TREE_NONE ? NULL : tree_node(t, slot);
    const struct node_stat *stat = &row->stat;
    if (n == NULL || (n->bits & NODE_PLACEHOLDER) == 0 ||
        (stat->kind == NODE_EPHEMERAL && n->dir != NULL)) {
        return RC_CORRUPT;
    }
    s->load->placeholders--;
    n->bits = stat->kind;
    n->create_revision = stat->create_revision;
    n->modify_revision = stat->modify_revision;
    n->create_ms = stat->create_ms;
    n->modify_ms = stat->modify_ms;
    n->version = stat->version;
    n->acl_version = stat->acl_version;
    n->acl = stat->acl;
    tree_set_value(t, slot, row->null_data ? NULL : value_new(s->values, row->data));
    if (stat->kind == NODE_EPHEMERAL) {
        n->lease = stat->lease;
    } else if (n->dir != NULL || stat->child_count != 0 || stat->sequence_next != 0 ||
               stat->ttl_ms != 0 || stat->children_revision != stat->create_revision) {
        struct dir *dir = tree_dir(t, slot);
        dir->expected = stat->child_count;
        dir->sequence_next = stat->sequence_next;
        dir->children_revision = stat->children_revision;
        dir->ttl_ms = stat->ttl_ms;
        dir->touched_ms = row->touched_ms;
    }
    /* While its bytes are at hand. The seal looks whether it has the children its stat tells of. */
    s->node_sum += digest_node_stat(t, slot, stat_hash(stat));
    s->node_sum += digest_node_value(t, slot, value_hash(n->value));
    return RC_OK;
}

/* ---- changes, replies --------------------------------------------------------------------- */

static bool change_row_is_sound(const struct row_change *row)
{
    bool same = row->null_data == row->null_old_data && slice_equal(row->data, row->old_data);
    if (row->type == CHANGE_ACL && !same) {
        return false;
    }
    return row->path.size > 0 && row->path.size <= STORE_PATH_BYTES_MAX &&
           row->data.size <= STORE_VALUE_BYTES_MAX &&
           row->old_data.size <= STORE_VALUE_BYTES_MAX &&
           row->identities.size <= COMMAND_IDENTITIES_BYTES_MAX &&
           row->note.size <= COMMAND_NOTE_BYTES_MAX;
}

/* Of the change log, or of a version chain. */
static enum status load_change(struct store *s, uint8_t table, const struct row_change *row)
{
    bool is_node =
        row->space == SPACE_NODES && path_check(row->path, false, NULL) == OUTCOME_OK;
    if (!change_row_is_sound(row) || (table == ROW_VERSION && !is_node)) {
        return RC_CORRUPT;
    }
    struct acl_list *acl;
    enum status rc = load_change_list(row, &acl);
    if (rc != RC_OK) {
        return rc;
    }
    struct change change = {
        .revision = row->revision,
        .sub = row->sub,
        .type = row->type,
        .space = row->space,
        .reason = row->reason,
        .path = row->path,
        .data = row->null_data ? NULL : value_new(s->values, row->data),
        .old_data = row->null_old_data ? NULL : value_new(s->values, row->old_data),
        .stat = row->stat,
        .old_modify_revision = row->old_modify_revision,
        .old_modify_ms = row->old_modify_ms,
        .acl = acl,
        .session = row->session,
        .cluster_ms = row->cluster_ms,
        .wall_ms = row->wall_ms,
        .identities = row->identities,
        .note = row->note,
    };
    struct change_hashes hashes = change_hashes_make(&change);
    if (table == ROW_CHANGE) {
        history_append(&s->history, &change, &hashes);
    } else {
        change_seal(&change, &hashes);
        versions_load(&s->versions, &change);
    }
    value_unref(change.data);
    value_unref(change.old_data);
    acl_list_unref(acl);
    return RC_OK;
}

static enum status load_reply(struct store *s, const struct row_reply *row)
{
    struct reply reply;
    if ((row->session | row->sequence | row->serial) != 0) {
        return load_session_reply(s, row);
    }
    arena_clear(&s->arena);
    if (!request_id_is_set(&row->request) ||
        reply_decode(row->reply, &reply, &s->arena) != RC_OK ||
        replies_find(&s->replies, &row->request) != NULL) {
        return RC_CORRUPT;
    }
    replies_add(&s->replies, &row->request, row->index, row->reply);
    return RC_OK;
}

enum status store_load_row(struct store *s, const struct row *row)
{
    PRE(s->load != NULL);
    switch (row->table) {
    case ROW_META: return load_meta(s, &row->meta);
    case ROW_NODE: return load_node(s, &row->node);
    case ROW_CHANGE:
    case ROW_VERSION: return load_change(s, row->table, &row->change);
    case ROW_REPLY: return load_reply(s, &row->reply);
    case ROW_LEASE: return load_lease(s, &row->lease);
    case ROW_ACL: return load_acl(s, &row->acl);
    default: return RC_MALFORMED;
    }
}

/* ---- the seal ----------------------------------------------------------------------------- */

static enum status seal_singles(struct store *s, struct errmsg *err)
{
    for (size_t i = 0; i < SINGLE_COUNT; i++) {
        if (!s->load->seen[i]) {
            return errmsg_set(err, RC_CORRUPT, "%s is missing", single_names[i]);
        }
    }
    const uint64_t *singles = s->load->singles;
    if (singles[SINGLE_LEVEL] > UINT32_MAX) {
        return errmsg_set(err, RC_CORRUPT, "feature level %" PRIu64, singles[SINGLE_LEVEL]);
    }
    s->level = (uint32_t)singles[SINGLE_LEVEL];
    if (s->level > FEATURE_LEVEL) {
        return errmsg_set(err, RC_UNSUPPORTED,
                          "the state is of feature level %" PRIu32
                          ", this version knows %d: run the newer version",
                          s->level, FEATURE_LEVEL);
    }
    s->history.floor = singles[SINGLE_HISTORY_FLOOR];
    s->replies.floor.issued_ms = singles[SINGLE_FLOOR_MS];
    s->replies.floor.random[0] = singles[SINGLE_FLOOR_0];
    s->replies.floor.random[1] = singles[SINGLE_FLOOR_1];
    if (singles[SINGLE_SWEEP_SUB] > UINT32_MAX) {
        return errmsg_set(err, RC_CORRUPT, "versions_sweep_sub %" PRIu64,
                          singles[SINGLE_SWEEP_SUB]);
    }
    s->versions.sweep = (struct version_key){singles[SINGLE_SWEEP_REVISION],
                                             (uint32_t)singles[SINGLE_SWEEP_SUB]};
    return RC_OK;
}

static enum status seal_nodes(struct store *s, struct errmsg *err)
{
    const struct tree *t = &s->tree;
    if (tree_root(t, SPACE_NODES) == TREE_NONE || s->load->placeholders > 0) {
        return errmsg_set(err, RC_CORRUPT, "%" PRIu64 " nodes are missing above others",
                          s->load->placeholders);
    }
    for (uint32_t slot = 1; slot < t->slot_end; slot++) {
        const struct node *n = tree_node(t, slot);
        const struct dir *dir = n->bits & (NODE_FREE | NODE_HIDDEN) ? NULL : node_dir(n);
        if (dir != NULL && dir->expected != dir->children.count) {
            return errmsg_set(err, RC_CORRUPT,
                              "a node has %" PRIu32 " children instead of %" PRIu32,
                              dir->children.count, dir->expected);
        }
    }
    return RC_OK;
}

static enum status seal_logs(struct store *s, struct errmsg *err)
{
    if (!history_sort(&s->history) || !history_is_contiguous(&s->history, s->revision)) {
        return errmsg_set(err, RC_CORRUPT, "the change log has a gap");
    }
    if (!versions_seal(&s->versions, s->history.floor)) {
        return errmsg_set(err, RC_CORRUPT, "a version chain has a gap, or there are too many");
    }
    if (!policies_changed(s)) {
        return errmsg_set(err, RC_CORRUPT, "a history policy is not valid");
    }
    if (!quotas_read(&s->quotas, &s->tree)) {
        return errmsg_set(err, RC_CORRUPT, "a quota is not valid");
    }
    if (!auth_read(&s->auth, &s->tree)) {
        return errmsg_set(err, RC_CORRUPT, "a user, a role or the settings of authentication "
                                           "are not valid");
    }
    s->auth.version = s->revision;
    const struct replies *r = &s->replies;
    if (replies_count(r) > REPLIES_COUNT_MAX || r->bytes > REPLIES_BYTES_MAX ||
        (replies_count(r) > 0 &&
         request_id_compare(&r->cells[r->begin].entry->id, &r->floor) <= 0)) {
        return errmsg_set(err, RC_CORRUPT, "the reply cache does not fit its bounds");
    }
    return RC_OK;
}

/* A change and the record it made share the value again. */
static void share_record(struct store *s, const struct change *c)
{
    uint32_t slot = tree_find(&s->tree, c->space, c->path);
    const struct node *n = slot == TREE_NONE ? NULL : tree_node(&s->tree, slot);
    if (n != NULL && c->data != NULL && n->value != NULL &&
        n->modify_revision == c->stat.modify_revision &&
        slice_equal(value_slice(n->value), value_slice(c->data))) {
        tree_set_value(&s->tree, slot, value_ref(c->data));
    }
}

/* Rows came with copies: records, version chains and the change log share what is the same value
 * again. */
static void seal_share(struct store *s)
{
    struct history *h = &s->history;
    history_share(h);
    versions_share(&s->versions, h);
    for (size_t i = s->versions.begin; i < s->versions.end; i++) {
        share_record(s, versions_at(&s->versions, i));
    }
    for (uint64_t p = h->begin; p < h->end; p++) {
        share_record(s, history_at(h, p));
    }
}

enum status store_load_seal(struct store *s, const struct snapshot_meta *meta,
                            struct errmsg *err)
{
    PRE(s->load != NULL);
    s->applied_index = meta->index;
    s->revision = meta->revision;
    s->cluster_ms = meta->cluster_ms;
    enum status rc = seal_singles(s, err);
    if (rc == RC_OK) {
        rc = seal_nodes(s, err);
    }
    if (rc == RC_OK) {
        rc = seal_logs(s, err);
    }
    if (rc == RC_OK) {
        rc = seal_acls(s, err);
    }
    if (rc == RC_OK) {
        rc = seal_leases(s, err);
    }
    if (rc == RC_OK) {
        rc = queues_load(s, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    seal_share(s);
    share_acls(s);
    reap_rebuild(s);
    map_roots_rebuild(s);
    if (store_digest(s) != meta->digest) {
        return errmsg_set(err, RC_CORRUPT,
                          "the digest of the rows is %016" PRIx64 " instead of %016" PRIx64,
                          store_digest(s), meta->digest);
    }
    load_free(s->load);
    s->load = NULL;
    return RC_OK;
}
