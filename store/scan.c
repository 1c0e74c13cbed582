/* The snapshot scan: all tables as rows, as of the moment it began, while applies go on.
 *
 * Nodes are walked by slot. A slot that was in use when the scan began and has not been visited
 * has a clear bit in `done`; before such a node changes or goes its row is saved in `pending` and
 * the bit set. Slots taken since the beginning are done from the start, so a node never appears
 * that was not there. Changes and replies never change, they only go: the change log is held in
 * memory from the cursor on, and a reply or an entry of a version chain that goes before the cursor
 * came by is saved. The single values are saved at the beginning.
 *
 * Leases are walked by id, each followed by the replies in its window. A lease bears the number of
 * the scan that has its row, or need not have it because the lease is younger; before a lease in
 * front of the cursor changes or goes, or the floor of its window moves, its row is saved.
 *
 * Access control lists never change either. They are walked by their slot in the table, those that
 * are younger than the scan bear its number, and one that goes before its turn is saved.
 */
#include "store/scan.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "store/row.h"
#include "store/state.h"

/* What looking at an empty slot costs of a step's budget, so that a step is bounded in time. */
#define SLOT_COST_BYTES ((size_t)64)

struct store_scan {
    struct store *store;
    uint8_t *done; /* a bit for each slot below slot_end */
    uint32_t slot;
    uint32_t slot_end;
    uint64_t change; /* history positions */
    uint64_t change_end;
    struct request_id reply; /* the last one visited */
    uint64_t reply_serial_end;
    bool replies_done;
    struct version_key version; /* the next one to visit */
    struct version_key version_end;
    bool versions_done;
    uint64_t number;   /* what a lease bears that needs no more saving */
    uint64_t lease;    /* the last one visited */
    uint64_t sequence; /* of the last reply of its window that was */
    uint64_t window_serial_end;
    bool leases_done;
    struct window_observer observer;
    uint32_t acl; /* slot of the next list to visit */
    uint32_t acl_end;
    struct buf pending; /* rows saved before their turn */
    size_t pending_sent;
};

static bool slot_is_done(const struct store_scan *scan, uint32_t slot)
{
    return (scan->done[slot / 8] >> (slot % 8)) & 1;
}

static void slot_set_done(struct store_scan *scan, uint32_t slot)
{
    scan->done[slot / 8] |= (uint8_t)(1 << (slot % 8));
}

/* ---- rows --------------------------------------------------------------------------------- */

static void emit_meta(struct buf *rows, const char *name, uint64_t number)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%" PRIu64, number);
    struct row row = {
        .table = ROW_META,
        .meta = {.name = slice_str(name), .value = slice_make(text, (size_t)size)},
    };
    row_encode(rows, &row);
}

static void emit_singles(struct buf *rows, const struct store *s)
{
    emit_meta(rows, "feature_level", s->level);
    emit_meta(rows, "history_floor", s->history.floor);
    emit_meta(rows, "replies_floor_ms", s->replies.floor.issued_ms);
    emit_meta(rows, "replies_floor_random_0", s->replies.floor.random[0]);
    emit_meta(rows, "replies_floor_random_1", s->replies.floor.random[1]);
    emit_meta(rows, "versions_sweep_revision", s->versions.sweep.revision);
    emit_meta(rows, "versions_sweep_sub", s->versions.sweep.sub);
    emit_meta(rows, "window_serial", s->leases.windows.serial_next);
    emit_meta(rows, "acl_next", s->acls.next);
    for (uint32_t i = 0; i < s->diverged_count; i++) {
        char name[40];
        snprintf(name, sizeof name, "diverged_%" PRIu64, s->diverged[i].member);
        emit_meta(rows, name, s->diverged[i].index);
    }
}

static void emit_node(struct buf *rows, const struct tree *t, uint32_t slot)
{
    uint8_t path[STORE_PATH_BYTES_MAX];
    const struct node *n = tree_node(t, slot);
    struct row row = {
        .table = ROW_NODE,
        .node = {.space = n->space,
                 .null_data = n->value == NULL,
                 .data = value_slice(n->value)},
    };
    row.node.path = slice_make(path, tree_path_bytes(t, slot));
    tree_path_write(t, slot, path);
    tree_stat(t, slot, &row.node.stat);
    row.node.touched_ms = node_kind_of(n) == NODE_TTL ? n->dir->touched_ms : 0;
    row_encode(rows, &row);
}

static void emit_change(struct buf *rows, enum row_table table, const struct change *c)
{
    struct row row = {
        .table = (uint8_t)table,
        .change =
            {
                .revision = c->revision,
                .sub = c->sub,
                .type = c->type,
                .space = c->space,
                .reason = c->reason,
                .null_data = c->data == NULL,
                .null_old_data = c->old_data == NULL,
                .path = c->path,
                .data = value_slice(c->data),
                .old_data = value_slice(c->old_data),
                .stat = c->stat,
                .old_modify_revision = c->old_modify_revision,
                .old_modify_ms = c->old_modify_ms,
                .acl = acl_list_slice(c->acl),
                .session = c->session,
                .cluster_ms = c->cluster_ms,
                .wall_ms = c->wall_ms,
                .identities = c->identities,
                .note = c->note,
            },
    };
    row_encode(rows, &row);
}

static void emit_reply(struct buf *rows, const struct remembered *e)
{
    struct row row = {
        .table = ROW_REPLY,
        .reply = {.request = e->id, .index = e->index, .reply = slice_make(e->reply, e->size)},
    };
    row_encode(rows, &row);
}

static void emit_lease(struct buf *rows, const struct lease *l)
{
    struct row row = {
        .table = ROW_LEASE,
        .lease =
            {
                .id = l->id,
                .kind = l->kind,
                .renewable = l->renewable,
                .ttl_ms = l->ttl_ms,
                .generation = l->generation,
                .granted_ms = l->granted_ms,
                .window_floor = l->window == NULL ? 0 : l->window->floor,
                .secret = slice_make(l->secret, sizeof l->secret),
                .owner = l->owner,
                .user = l->user,
            },
    };
    row_encode(rows, &row);
}

static void emit_window_reply(struct buf *rows, const struct window_reply *r)
{
    struct row row = {
        .table = ROW_REPLY,
        .reply = {.session = r->window->session,
                  .sequence = r->sequence,
                  .serial = r->serial,
                  .index = r->index,
                  .reply = slice_make(r->bytes, r->size)},
    };
    row_encode(rows, &row);
}

static void emit_acl(struct buf *rows, const struct acl_list *l)
{
    struct row row = {
        .table = ROW_ACL,
        .acl = {.id = l->id, .list = acl_list_slice(l)},
    };
    row_encode(rows, &row);
}

/* ---- copy on write ------------------------------------------------------------------------ */

void scan_before_change(struct store *s, uint32_t slot)
{
    struct store_scan *scan = s->scan;
    if (scan == NULL || slot < scan->slot || slot >= scan->slot_end ||
        slot_is_done(scan, slot) || MUTANT_IS(MUTANT_COW_MISSED)) {
        return;
    }
    emit_node(&scan->pending, &s->tree, slot);
    slot_set_done(scan, slot);
}

void scan_skip(struct store *s, uint32_t slot)
{
    if (s->scan != NULL && slot < s->scan->slot_end) {
        slot_set_done(s->scan, slot);
    }
}

static void scan_reply_evicted(void *context, const struct remembered *e)
{
    struct store_scan *scan = context;
    if (e->serial < scan->reply_serial_end && request_id_compare(&e->id, &scan->reply) > 0) {
        emit_reply(&scan->pending, e);
    }
}

static void scan_version_evicted(void *context, const struct change *c)
{
    struct store_scan *scan = context;
    struct version_key key = {c->revision, c->sub};
    if (version_key_compare(key, scan->version) >= 0 &&
        version_key_compare(key, scan->version_end) < 0) {
        emit_change(&scan->pending, ROW_VERSION, c);
    }
}

void scan_before_lease(struct store *s, struct lease *l)
{
    struct store_scan *scan = s->scan;
    if (scan == NULL || scan->leases_done || l->id <= scan->lease || l->scan == scan->number) {
        return;
    }
    emit_lease(&scan->pending, l);
    l->scan = scan->number;
}

void scan_skip_lease(struct store *s, struct lease *l)
{
    if (s->scan != NULL) {
        l->scan = s->scan->number;
    }
}

static void scan_floor_moves(void *context, const struct window *w)
{
    struct store_scan *scan = context;
    scan_before_lease(scan->store, lease_table_find(&scan->store->leases, w->session));
}

static void scan_window_reply_goes(void *context, const struct window_reply *r)
{
    struct store_scan *scan = context;
    bool visited =
        scan->leases_done || r->window->session < scan->lease ||
        (r->window->session == scan->lease && r->sequence <= scan->sequence);
    if (!visited && r->serial < scan->window_serial_end) {
        emit_window_reply(&scan->pending, r);
    }
}

static bool acl_is_wanted(const struct store_scan *scan, const struct acl_list *l)
{
    return l->scan != scan->number && l->slot >= scan->acl && l->slot < scan->acl_end;
}

static void scan_acl_evicted(void *context, const struct acl_list *l)
{
    struct store_scan *scan = context;
    if (acl_is_wanted(scan, l)) {
        emit_acl(&scan->pending, l);
    }
}

/* ---- the walk ----------------------------------------------------------------------------- */

struct store_scan *store_scan_begin(struct store *s, struct snapshot_meta *meta)
{
    PRE(s->scan == NULL && s->load == NULL);
    meta->index = s->applied_index;
    meta->revision = s->revision;
    meta->cluster_ms = s->cluster_ms;
    meta->digest = store_digest(s);

    struct store_scan *scan = mem_zalloc(sizeof *scan);
    scan->store = s;
    scan->slot = 1;
    scan->slot_end = s->tree.slot_end;
    scan->done = mem_zalloc(scan->slot_end / 8 + 1);
    scan->change = s->history.begin;
    scan->change_end = s->history.end;
    if (MUTANT_IS(MUTANT_SNAPSHOT_NO_CHANGES)) {
        scan->change = scan->change_end;
    }
    history_set_hold(&s->history, scan->change);
    scan->reply_serial_end = s->replies.serial_next;
    scan->replies_done = MUTANT_IS(MUTANT_SNAPSHOT_NO_REPLIES);
    scan->leases_done = MUTANT_IS(MUTANT_SNAPSHOT_NO_LEASES);
    s->replies.evict = scan_reply_evicted;
    s->replies.evict_context = scan;
    scan->version_end = (struct version_key){s->history.floor, 0};
    s->versions.evict = scan_version_evicted;
    s->versions.evict_context = scan;
    scan->number = ++s->scan_count;
    scan->sequence = UINT64_MAX;
    scan->window_serial_end = s->leases.windows.serial_next;
    scan->observer = (struct window_observer){
        .floor_moves = scan_floor_moves,
        .reply_goes = scan_window_reply_goes,
        .context = scan,
    };
    s->leases.windows.observer = &scan->observer;
    scan->acl = 1;
    scan->acl_end = s->acls.slot_end;
    s->acls.scan = scan->number;
    s->acls.evict = scan_acl_evicted;
    s->acls.evict_context = scan;
    emit_singles(&scan->pending, s);
    s->scan = scan;
    return scan;
}

/* The next saved row; the memory is given back when all have gone out. */
static void step_pending(struct store_scan *scan, struct buf *rows)
{
    const uint8_t *row = scan->pending.data + scan->pending_sent;
    struct unpack u = unpack_make(slice_make(row, scan->pending.size - scan->pending_sent));
    size_t bytes = sizeof(uint32_t) + unpack_u32(&u);
    buf_append(rows, row, bytes);
    scan->pending_sent += bytes;
    if (scan->pending_sent == scan->pending.size) {
        buf_close(&scan->pending);
        scan->pending_sent = 0;
    }
}

static void step_slot(struct store_scan *scan, struct buf *rows)
{
    const struct tree *t = &scan->store->tree;
    uint32_t slot = scan->slot++;
    if (!slot_is_done(scan, slot) &&
        (tree_node(t, slot)->bits & (NODE_FREE | NODE_HIDDEN)) == 0) {
        emit_node(rows, t, slot);
    }
}

static void step_change(struct store_scan *scan, struct buf *rows)
{
    struct history *h = &scan->store->history;
    emit_change(rows, ROW_CHANGE, history_at(h, scan->change++));
    history_set_hold(h, scan->change);
}

/* A reply that came after the beginning is walked over; there are never many. */
static void step_reply(struct store_scan *scan, struct buf *rows)
{
    const struct remembered *e = replies_next(&scan->store->replies, &scan->reply);
    if (e == NULL) {
        scan->replies_done = true;
        return;
    }
    scan->reply = e->id;
    if (e->serial < scan->reply_serial_end) {
        emit_reply(rows, e);
    }
}

/* Changes that left the log since the beginning are behind the end. */
static void step_version(struct store_scan *scan, struct buf *rows)
{
    const struct versions *v = &scan->store->versions;
    size_t at = versions_seek(v, scan->version);
    if (at == v->end || version_key_compare(v->cells[at].key, scan->version_end) >= 0) {
        scan->version = scan->version_end;
        scan->versions_done = true;
        return;
    }
    scan->version = (struct version_key){v->cells[at].key.revision, v->cells[at].key.sub + 1};
    if (versions_at(v, at) != NULL) {
        emit_change(rows, ROW_VERSION, versions_at(v, at));
    }
}

/* The next reply of the window at hand that was there at the beginning. False: there is none. */
static bool step_window(struct store_scan *scan, struct buf *rows)
{
    const struct lease *l = lease_table_find(&scan->store->leases, scan->lease);
    const struct window_reply *r =
        l == NULL || l->window == NULL || MUTANT_IS(MUTANT_SNAPSHOT_NO_WINDOW)
            ? NULL
            : window_next(l->window, scan->sequence);
    if (r == NULL) {
        scan->sequence = UINT64_MAX;
        return false;
    }
    scan->sequence = r->sequence;
    if (r->serial < scan->window_serial_end) {
        emit_window_reply(rows, r);
    }
    return true;
}

static void step_lease(struct store_scan *scan, struct buf *rows)
{
    if (scan->sequence != UINT64_MAX && step_window(scan, rows)) {
        return;
    }
    const struct lease *l = lease_table_next(&scan->store->leases, scan->lease);
    if (l == NULL) {
        scan->leases_done = true;
        return;
    }
    scan->lease = l->id;
    scan->sequence = 0;
    if (l->scan != scan->number) {
        emit_lease(rows, l);
    }
}

static void step_acl(struct store_scan *scan, struct buf *rows)
{
    const struct acl_list *l = scan->store->acls.slots[scan->acl].list;
    if (l != NULL && acl_is_wanted(scan, l)) {
        emit_acl(rows, l);
    }
    scan->acl++;
}

bool store_scan_step(struct store_scan *scan, size_t budget_bytes, struct buf *rows)
{
    size_t spent = 0;
    while (spent < budget_bytes) {
        size_t before = rows->size;
        if (scan->pending.size > 0) {
            step_pending(scan, rows);
        } else if (scan->slot < scan->slot_end) {
            step_slot(scan, rows);
        } else if (scan->change < scan->change_end) {
            step_change(scan, rows);
        } else if (!scan->versions_done) {
            step_version(scan, rows);
        } else if (!scan->replies_done) {
            step_reply(scan, rows);
        } else if (!scan->leases_done) {
            step_lease(scan, rows);
        } else if (scan->acl < scan->acl_end) {
            step_acl(scan, rows);
        } else {
            return false;
        }
        spent += rows->size - before + SLOT_COST_BYTES;
    }
    return true;
}

void store_scan_end(struct store_scan *scan)
{
    struct store *s = scan->store;
    history_set_hold(&s->history, UINT64_MAX);
    s->replies.evict = NULL;
    s->versions.evict = NULL;
    s->leases.windows.observer = NULL;
    s->acls.scan = 0;
    s->acls.evict = NULL;
    s->scan = NULL;
    mem_free(scan->done);
    buf_close(&scan->pending);
    mem_free(scan);
}
