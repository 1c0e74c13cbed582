#include "store/snapshot_table.h"

#include <assert.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/utf8.h"

/* The columns of struct node_stat, in nodes and changes alike. */
#define STAT_COLUMNS                                                                     \
    "kind INTEGER, create_revision INTEGER, modify_revision INTEGER, children_revision " \
    "INTEGER, "                                                                          \
    "version INTEGER, acl_version INTEGER, data_bytes INTEGER, child_count INTEGER, "    \
    "sequence_next INTEGER, create_ms INTEGER, modify_ms INTEGER, lease INTEGER, "       \
    "ttl_ms INTEGER, acl INTEGER"
#define STAT_COUNT 14

/* Of a change, in the log or in a version chain. */
#define CHANGE_COLUMNS                                                                  \
    "revision INTEGER, sub INTEGER, type INTEGER, reason INTEGER, session INTEGER, "    \
    "cluster_ms INTEGER, wall_ms INTEGER, space BLOB, path BLOB, data BLOB, "           \
    "old_data BLOB, " STAT_COLUMNS                                                      \
    ", old_modify_revision INTEGER, old_modify_ms INTEGER, list BLOB, identities BLOB, " \
    "note BLOB"
#define CHANGE_COUNT (16 + STAT_COUNT)

/* Columns that may hold TEXT or BLOB are declared BLOB: that is the affinity which converts
 * nothing. There are no keys and no indexes: rows arrive in no order, and keeping a tree of paths
 * sorted on disk would cost many times the writing itself. */
const struct snapshot_table snapshot_tables[SNAPSHOT_TABLE_COUNT] = {
    [SNAPSHOT_TABLE_FILE] = {"meta", "CREATE TABLE meta(name TEXT, value BLOB)", 2},
    [ROW_META] = {"state", "CREATE TABLE state(name BLOB, value BLOB)", 2},
    [ROW_NODE] = {"nodes",
                  "CREATE TABLE nodes(space BLOB, path BLOB, data BLOB, " STAT_COLUMNS
                  ", touched_ms INTEGER)",
                  4 + STAT_COUNT},
    [ROW_CHANGE] = {"changes", "CREATE TABLE changes(" CHANGE_COLUMNS ")", CHANGE_COUNT},
    [ROW_REPLY] = {"replies",
                   "CREATE TABLE replies(session INTEGER, sequence INTEGER, serial INTEGER, "
                   "issued_ms INTEGER, random_0 INTEGER, random_1 INTEGER, log_index INTEGER, "
                   "reply BLOB)",
                   8},
    [ROW_LEASE] = {"leases",
                   "CREATE TABLE leases(id INTEGER, kind INTEGER, renewable INTEGER, "
                   "ttl_ms INTEGER, generation INTEGER, granted_ms INTEGER, "
                   "window_floor INTEGER, secret BLOB, owner BLOB, user BLOB)",
                   10},
    [ROW_VERSION] = {"versions", "CREATE TABLE versions(" CHANGE_COLUMNS ")", CHANGE_COUNT},
    [ROW_ACL] = {"acls", "CREATE TABLE acls(id INTEGER, list BLOB)", 2},
};

static_assert(SNAPSHOT_CELLS_MAX >= CHANGE_COUNT, "the widest table fits");

/* ---- cells ------------------------------------------------------------------------------- */

struct db_cell snapshot_cell_text(struct slice bytes)
{
    bool has_nul = bytes.size > 0 && memchr(bytes.data, '\0', bytes.size) != NULL;
    bool is_text = !has_nul && utf8_is_valid(bytes);
    return (struct db_cell){.type = is_text ? DB_TEXT : DB_BLOB, .bytes = bytes};
}

static void put(struct snapshot_cells *c, struct db_cell cell)
{
    PRE(c->count < SNAPSHOT_CELLS_MAX);
    c->cells[c->count++] = cell;
}

static void put_number(struct snapshot_cells *c, uint64_t number)
{
    put(c, (struct db_cell){.type = DB_INTEGER, .integer = number});
}

static void put_blob(struct snapshot_cells *c, bool is_null, struct slice bytes)
{
    put(c, (struct db_cell){.type = is_null ? DB_NULL : DB_BLOB, .bytes = bytes});
}

static void put_text(struct snapshot_cells *c, struct slice bytes)
{
    put(c, snapshot_cell_text(bytes));
}

/* Only paths of znodes are for people; other spaces have flat byte keys. */
static void put_key(struct snapshot_cells *c, const uint8_t *space, struct slice path)
{
    put_text(c, slice_make(space, 1));
    if (*space == SPACE_NODES) {
        put_text(c, path);
    } else {
        put_blob(c, false, path);
    }
}

static struct db_cell take(struct snapshot_cells *c)
{
    if (c->next == c->count) {
        c->failed = true;
        return (struct db_cell){.type = DB_NULL};
    }
    return c->cells[c->next++];
}

static uint64_t take_number(struct snapshot_cells *c, uint64_t max)
{
    struct db_cell cell = take(c);
    if (cell.type != DB_INTEGER || cell.integer > max) {
        c->failed = true;
        return 0;
    }
    return cell.integer;
}

/* TEXT or BLOB. */
static struct slice take_bytes(struct snapshot_cells *c)
{
    struct db_cell cell = take(c);
    c->failed = c->failed || (cell.type != DB_TEXT && cell.type != DB_BLOB);
    return cell.bytes;
}

static struct slice take_data(struct snapshot_cells *c, bool *is_null)
{
    struct db_cell cell = take(c);
    c->failed = c->failed || (cell.type != DB_NULL && cell.type != DB_BLOB);
    *is_null = cell.type == DB_NULL;
    return cell.bytes;
}

static uint8_t take_space(struct snapshot_cells *c)
{
    struct slice space = take_bytes(c);
    if (space.size != 1) {
        c->failed = true;
        return 0;
    }
    return space.data[0];
}

uint64_t snapshot_cells_hash(const struct snapshot_cells *c, uint8_t table)
{
    uint64_t hash = table;
    for (int i = 0; i < c->count; i++) {
        const struct db_cell *cell = &c->cells[i];
        hash = hash_mix(hash, (uint64_t)cell->type);
        if (cell->type == DB_INTEGER) {
            hash = hash_mix(hash, cell->integer);
        } else if (cell->type != DB_NULL) {
            hash = hash_bytes(hash, cell->bytes.data, cell->bytes.size);
        }
    }
    return hash;
}

/* ---- rows -------------------------------------------------------------------------------- */

static void put_stat(struct snapshot_cells *c, const struct node_stat *s)
{
    put_number(c, s->kind);
    put_number(c, s->create_revision);
    put_number(c, s->modify_revision);
    put_number(c, s->children_revision);
    put_number(c, s->version);
    put_number(c, s->acl_version);
    put_number(c, s->data_bytes);
    put_number(c, s->child_count);
    put_number(c, s->sequence_next);
    put_number(c, s->create_ms);
    put_number(c, s->modify_ms);
    put_number(c, s->lease);
    put_number(c, s->ttl_ms);
    put_number(c, s->acl);
}

static void take_stat(struct snapshot_cells *c, struct node_stat *s)
{
    s->kind = (uint8_t)take_number(c, UINT8_MAX);
    s->create_revision = take_number(c, UINT64_MAX);
    s->modify_revision = take_number(c, UINT64_MAX);
    s->children_revision = take_number(c, UINT64_MAX);
    s->version = (uint32_t)take_number(c, UINT32_MAX);
    s->acl_version = (uint32_t)take_number(c, UINT32_MAX);
    s->data_bytes = (uint32_t)take_number(c, UINT32_MAX);
    s->child_count = (uint32_t)take_number(c, UINT32_MAX);
    s->sequence_next = take_number(c, UINT64_MAX);
    s->create_ms = take_number(c, UINT64_MAX);
    s->modify_ms = take_number(c, UINT64_MAX);
    s->lease = take_number(c, UINT64_MAX);
    s->ttl_ms = take_number(c, UINT64_MAX);
    s->acl = (uint32_t)take_number(c, UINT32_MAX);
}

static void put_node(struct snapshot_cells *c, const struct row_node *n)
{
    put_key(c, &n->space, n->path);
    put_blob(c, n->null_data, n->data);
    put_stat(c, &n->stat);
    put_number(c, n->touched_ms);
}

static void take_node(struct snapshot_cells *c, struct row_node *n)
{
    n->space = take_space(c);
    n->path = take_bytes(c);
    n->data = take_data(c, &n->null_data);
    take_stat(c, &n->stat);
    n->touched_ms = take_number(c, UINT64_MAX);
}

static void put_change(struct snapshot_cells *c, const struct row_change *h)
{
    put_number(c, h->revision);
    put_number(c, h->sub);
    put_number(c, h->type);
    put_number(c, h->reason);
    put_number(c, h->session);
    put_number(c, h->cluster_ms);
    put_number(c, h->wall_ms);
    put_key(c, &h->space, h->path);
    put_blob(c, h->null_data, h->data);
    put_blob(c, h->null_old_data, h->old_data);
    put_stat(c, &h->stat);
    put_number(c, h->old_modify_revision);
    put_number(c, h->old_modify_ms);
    put_blob(c, false, h->acl);
    put_blob(c, false, h->identities);
    put_text(c, h->note);
}

static void take_change(struct snapshot_cells *c, struct row_change *h)
{
    h->revision = take_number(c, UINT64_MAX);
    h->sub = (uint32_t)take_number(c, UINT32_MAX);
    h->type = (uint8_t)take_number(c, UINT8_MAX);
    h->reason = (uint8_t)take_number(c, UINT8_MAX);
    h->session = take_number(c, UINT64_MAX);
    h->cluster_ms = take_number(c, UINT64_MAX);
    h->wall_ms = take_number(c, UINT64_MAX);
    h->space = take_space(c);
    h->path = take_bytes(c);
    h->data = take_data(c, &h->null_data);
    h->old_data = take_data(c, &h->null_old_data);
    take_stat(c, &h->stat);
    h->old_modify_revision = take_number(c, UINT64_MAX);
    h->old_modify_ms = take_number(c, UINT64_MAX);
    h->acl = take_bytes(c);
    h->identities = take_bytes(c);
    h->note = take_bytes(c);
}

static void put_reply(struct snapshot_cells *c, const struct row_reply *r)
{
    put_number(c, r->session);
    put_number(c, r->sequence);
    put_number(c, r->serial);
    put_number(c, r->request.issued_ms);
    put_number(c, r->request.random[0]);
    put_number(c, r->request.random[1]);
    put_number(c, r->index);
    put_blob(c, false, r->reply);
}

static void take_reply(struct snapshot_cells *c, struct row_reply *r)
{
    r->session = take_number(c, UINT64_MAX);
    r->sequence = take_number(c, UINT64_MAX);
    r->serial = take_number(c, UINT64_MAX);
    r->request.issued_ms = take_number(c, UINT64_MAX);
    r->request.random[0] = take_number(c, UINT64_MAX);
    r->request.random[1] = take_number(c, UINT64_MAX);
    r->index = take_number(c, UINT64_MAX);
    r->reply = take_bytes(c);
}

static void put_lease(struct snapshot_cells *c, const struct row_lease *l)
{
    put_number(c, l->id);
    put_number(c, l->kind);
    put_number(c, l->renewable);
    put_number(c, l->ttl_ms);
    put_number(c, l->generation);
    put_number(c, l->granted_ms);
    put_number(c, l->window_floor);
    put_blob(c, false, l->secret);
    put_text(c, l->owner);
    put_text(c, l->user);
}

static void take_lease(struct snapshot_cells *c, struct row_lease *l)
{
    l->id = take_number(c, UINT64_MAX);
    l->kind = (uint8_t)take_number(c, UINT8_MAX);
    l->renewable = take_number(c, 1) == 1;
    l->ttl_ms = take_number(c, UINT64_MAX);
    l->generation = take_number(c, UINT64_MAX);
    l->granted_ms = take_number(c, UINT64_MAX);
    l->window_floor = take_number(c, UINT64_MAX);
    l->secret = take_bytes(c);
    l->owner = take_bytes(c);
    l->user = take_bytes(c);
}

void snapshot_cells_from_row(struct snapshot_cells *c, const struct row *row)
{
    c->count = 0;
    c->next = 0;
    c->failed = false;
    switch (row->table) {
    case ROW_META:
        put_text(c, row->meta.name);
        put_text(c, row->meta.value);
        break;
    case ROW_NODE: put_node(c, &row->node); break;
    case ROW_CHANGE:
    case ROW_VERSION: put_change(c, &row->change); break;
    case ROW_REPLY: put_reply(c, &row->reply); break;
    case ROW_LEASE: put_lease(c, &row->lease); break;
    case ROW_ACL:
        put_number(c, row->acl.id);
        put_blob(c, false, row->acl.list);
        break;
    default: UNREACHABLE();
    }
    POST(c->count == snapshot_tables[row->table].columns);
}

enum status snapshot_cells_to_row(struct snapshot_cells *c, uint8_t table, struct row *row)
{
    c->next = 0;
    c->failed = false;
    *row = (struct row){.table = table};
    switch (table) {
    case ROW_META:
        row->meta.name = take_bytes(c);
        row->meta.value = take_bytes(c);
        break;
    case ROW_NODE: take_node(c, &row->node); break;
    case ROW_CHANGE:
    case ROW_VERSION: take_change(c, &row->change); break;
    case ROW_REPLY: take_reply(c, &row->reply); break;
    case ROW_LEASE: take_lease(c, &row->lease); break;
    case ROW_ACL:
        row->acl.id = (uint32_t)take_number(c, UINT32_MAX);
        row->acl.list = take_bytes(c);
        break;
    default: UNREACHABLE();
    }
    return c->failed || c->next != c->count ? RC_CORRUPT : RC_OK;
}
