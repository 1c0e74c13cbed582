/* The store as an object: making, asking, checking. What it does is in apply.c and its parts. */
#include "store/store.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/slab.h"
#include "store/digest.h"
#include "store/load.h"
#include "store/map_roots.h"
#include "store/queues.h"
#include "store/reap.h"
#include "store/state.h"

#define REVISION_FIRST 1

/* A change that left the log goes on in its version chain, if a policy wants it. A chain that none
 * wants any more is the sweep's matter: until that comes by it goes on too, since a policy that is
 * given back meanwhile must find no gap in it. */
static void change_leaves(void *context, const struct change *c)
{
    struct store *s = context;
    uint32_t keep = policies_versions(&s->policies, c->space, c->path);
    if (keep == 0 && versions_chain(&s->versions, c->space, c->path) != NULL) {
        keep = POLICY_VERSIONS_MAX;
    }
    if (keep > 0) {
        versions_add(&s->versions, c, keep);
    }
}

bool policies_changed(struct store *s)
{
    if (!policies_read(&s->policies, &s->tree)) {
        return false;
    }
    s->history.retention = s->policies.retention;
    return true;
}

struct store *store_alloc(void)
{
    struct store *s = mem_zalloc(sizeof *s);
    s->values = slab_heap_new();
    tree_init(&s->tree);
    history_init(&s->history, REVISION_FIRST + 1);
    s->history.leave = change_leaves;
    s->history.leave_context = s;
    versions_init(&s->versions);
    policies_init(&s->policies);
    auth_init(&s->auth);
    lease_table_init(&s->leases);
    acl_table_init(&s->acls);
    recipes_init(&s->recipes);
    s->level = 1;
    return s;
}

/* The nodes that every tree begins with count as no change and as no create of their parents (a
 * ZooKeeper that was just set up reports cversion -1 for "/"). */
static uint32_t bootstrap_node(struct store *s, uint32_t parent, const char *path)
{
    struct tree_key key = {
        .space = SPACE_NODES,
        .kind = NODE_PERSISTENT,
        .parent = parent,
        .path = slice_str(path),
        .hash = tree_hash(SPACE_NODES, slice_str(path)),
    };
    uint32_t slot = tree_add(&s->tree, &key);
    struct node *n = tree_node(&s->tree, slot);
    n->create_revision = REVISION_FIRST;
    n->modify_revision = REVISION_FIRST;
    tree_set_value(&s->tree, slot, value_new(s->values, slice_make(NULL, 0)));
    if (parent != TREE_NONE) {
        tree_dir(&s->tree, parent)->children_revision = REVISION_FIRST;
    }
    return slot;
}

/* What is written there, clients take for the addresses of servers: as in ZooKeeper, everybody may
 * read it, and only who is super may do more. */
static void bootstrap_config(struct store *s, uint32_t parent)
{
    const struct acl_entry readers = {
        .permissions = ACL_READ,
        .scheme = slice_str("world"),
        .id = slice_str("anyone"),
    };
    uint32_t slot = bootstrap_node(s, parent, "/zookeeper/config");
    struct buf list = {0};
    acl_encode(&list, &readers, 1);
    uint32_t acl = acl_table_intern(&s->acls, buf_slice(&list));
    acl_table_attach(&s->acls, acl);
    tree_node(&s->tree, slot)->acl = acl;
    buf_close(&list);
}

struct store *store_new(void)
{
    struct store *s = store_alloc();
    s->revision = REVISION_FIRST;
    uint32_t root = bootstrap_node(s, TREE_NONE, "/");
    uint32_t zookeeper = bootstrap_node(s, root, "/zookeeper");
    bootstrap_config(s, zookeeper);
    (void)bootstrap_node(s, zookeeper, "/zookeeper/quota");
    s->node_sum = digest_items(s);
    return s;
}

void store_free(struct store *s)
{
    if (s == NULL) {
        return;
    }
    PRE(s->scan == NULL);
    history_close(&s->history);
    versions_close(&s->versions);
    policies_close(&s->policies);
    auth_close(&s->auth);
    quotas_close(&s->quotas);
    replies_close(&s->replies);
    heap_close(&s->reap);
    map_roots_close(&s->map_roots);
    recipes_close(&s->recipes);
    lease_table_free(&s->leases);
    acl_table_close(&s->acls);
    tree_close(&s->tree);
    edit_close(s);
    arena_close(&s->arena);
    buf_close(&s->scratch);
    slab_heap_free(s->values); /* events that wait may have some */
    mem_free(s->diverged);
    load_free(s->load);
    mem_free(s);
}

void store_skip(struct store *s, uint64_t index)
{
    INVARIANT(14, index > s->applied_index);
    s->applied_index = index;
}

/* ---- asking ------------------------------------------------------------------------------- */

uint64_t store_revision(const struct store *s)
{
    return s->revision;
}

uint64_t store_applied_index(const struct store *s)
{
    return s->applied_index;
}

uint64_t store_cluster_ms(const struct store *s)
{
    return s->cluster_ms;
}

uint64_t store_digest(const struct store *s)
{
    return s->node_sum + s->history.sum + s->versions.sum + s->replies.sum + s->leases.sum +
           s->leases.windows.sum + s->acls.sum + quotas_sum(&s->quotas) + digest_singles(s);
}

uint64_t store_node_count(const struct store *s)
{
    return s->tree.node_count;
}

uint64_t store_bytes(const struct store *s)
{
    return s->tree.bytes + s->acls.bytes;
}

uint32_t store_level(const struct store *s)
{
    return s->level;
}

uint64_t store_history_floor(const struct store *s)
{
    return s->history.floor;
}

uint64_t store_history_bytes(const struct store *s)
{
    return s->history.bytes;
}

const struct history *store_history(const struct store *s)
{
    return &s->history;
}

uint64_t store_versions_bytes(const struct store *s)
{
    return s->versions.bytes;
}

const struct policies *store_policies(const struct store *s)
{
    return &s->policies;
}

const struct quotas *store_quotas(const struct store *s)
{
    return &s->quotas;
}

uint64_t store_diverged(const struct store *s, uint64_t member)
{
    uint32_t at = diverged_seek(s, member);
    bool known = at < s->diverged_count && s->diverged[at].member == member;
    return known ? s->diverged[at].index : 0;
}

/* By session and sequence number, or else by request id. */
static struct slice remembered_bytes(const struct store *s, uint64_t session, uint64_t sequence,
                                     const struct request_id *request)
{
    if (sequence == 0) {
        const struct remembered *e = replies_find(&s->replies, request);
        return e == NULL ? slice_make(NULL, 0) : slice_make(e->reply, e->size);
    }
    const struct lease *l = lease_table_find(&s->leases, session);
    const struct window_reply *r =
        l == NULL || l->window == NULL ? NULL : window_find(l->window, sequence);
    return r == NULL ? slice_make(NULL, 0) : slice_make(r->bytes, r->size);
}

bool store_remembered(struct store *s, uint64_t session, uint64_t sequence,
                      const struct request_id *request, struct reply *reply)
{
    struct slice bytes = remembered_bytes(s, session, sequence, request);
    if (bytes.size == 0) {
        return false;
    }
    enum status rc = reply_decode(bytes, reply, &s->arena);
    PRE(rc == RC_OK); /* encoded here, or decoded once when it was loaded */
    reply->repeated = true;
    return true;
}

bool store_remembered_outcome(const struct store *s, uint64_t session, uint64_t sequence,
                              const struct request_id *request, enum outcome *outcome)
{
    struct slice bytes = remembered_bytes(s, session, sequence, request);
    if (bytes.size > 0) {
        *outcome = reply_outcome(bytes);
    }
    return bytes.size > 0;
}

bool store_is_forgotten(const struct store *s, uint64_t session, uint64_t sequence,
                        const struct request_id *request)
{
    if (sequence == 0) {
        return request_id_compare(request, &s->replies.floor) <= 0;
    }
    const struct lease *l = lease_table_find(&s->leases, session);
    return l == NULL || l->window == NULL || sequence <= l->window->floor;
}

const struct lease *store_lease(const struct store *s, uint64_t id)
{
    return lease_table_find(&s->leases, id);
}

const struct lease *store_lease_next(const struct store *s, uint64_t after)
{
    return lease_table_next(&s->leases, after);
}

uint64_t store_lease_count(const struct store *s)
{
    return s->leases.count;
}

/* ---- who may what ------------------------------------------------------------------------- */

const struct auth *store_auth(const struct store *s)
{
    return &s->auth;
}

bool store_may_see(const struct store *s, const struct change *c, struct slice identities)
{
    struct access access;
    access_begin(&access, s, identities);
    return access_change(&access, c);
}

/* ---- invariants --------------------------------------------------------------------------- */

/* Every list of a node is in the table, which knows how many nodes have it. */
static void check_lists(const struct store *s)
{
    uint64_t *nodes = mem_zalloc(s->acls.slot_end * sizeof *nodes);
    for (uint32_t slot = 1; slot < s->tree.slot_end; slot++) {
        const struct node *n = tree_node(&s->tree, slot);
        if ((n->bits & (NODE_FREE | NODE_HIDDEN)) == 0 && n->acl != 0) {
            const struct acl_list *l = acl_table_find(&s->acls, n->acl);
            INVARIANT(24, l != NULL);
            nodes[l->slot]++;
        }
    }
    for (uint32_t slot = 1; slot < s->acls.slot_end; slot++) {
        const struct acl_list *l = s->acls.slots[slot].list;
        INVARIANT(24, l == NULL || l->nodes == nodes[slot]);
    }
    mem_free(nodes);
}

/* Every ephemeral is attached to its lease, and nothing else is attached to any. */
static void check_attached(const struct store *s)
{
    uint64_t attached = 0;
    uint64_t ephemerals = 0;
    for (uint32_t slot = 1; slot < s->tree.slot_end; slot++) {
        const struct node *n = tree_node(&s->tree, slot);
        if ((n->bits & (NODE_FREE | NODE_HIDDEN)) != 0 || node_kind_of(n) != NODE_EPHEMERAL) {
            continue;
        }
        const struct lease *owner = lease_table_find(&s->leases, n->lease);
        INVARIANT(22, owner != NULL && lease_has_attached(owner, slot));
        ephemerals++;
    }
    for (const struct lease *l = store_lease_next(s, 0); l != NULL;
         l = store_lease_next(s, l->id)) {
        attached += l->attached_count;
    }
    INVARIANT(22, attached == ephemerals);
}

void store_check(const struct store *s)
{
    POST(s->load == NULL);
    tree_check(&s->tree);
    reap_check(s);
    map_roots_check(s);
    replies_check(&s->replies);
    lease_table_check(&s->leases);
    check_attached(s);
    acl_table_check(&s->acls);
    check_lists(s);
    queues_check(s);
    POST(s->edit.undo_count == 0);
    POST(tree_root(&s->tree, SPACE_NODES) != TREE_NONE);
    INVARIANT(15, history_is_contiguous(&s->history, s->revision));
    POST(history_cost(&s->history) == s->history.bytes);
    POST(history_sum(&s->history) == s->history.sum);
    versions_check(&s->versions);
    INVARIANT(16, digest_items(s) == s->node_sum);
    quotas_check(&s->quotas, &s->tree);
    for (uint32_t i = 1; i < s->diverged_count; i++) {
        POST(s->diverged[i - 1].member < s->diverged[i].member);
    }
}
