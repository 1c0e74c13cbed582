/* Loading a snapshot that anybody may have made: what a follower pulls, what a node starts
 * from, and what an operator hands to `coordd restore` or `coordctl snapshot inspect`. Bytes
 * alone would pass no seal, so the input tells how a file is made: rows of any content,
 * written as format 2 or 1 with digest and checksums that fit them, then damaged, then perhaps
 * sealed again as if it had been written so. The last way is the input itself as the file, its
 * pages sealed or not.
 *
 * Whatever comes: the file is refused with a reason, or gives a store that holds all
 * invariants, is the same after being written and loaded again, takes commands, and can be
 * reborn.
 *
 *   u8 way | u8 revision | u8 edits | edits | rows
 *   edit: u16 place, from the end if its highest bit is set | u8 count | bytes */
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "raft/snapshot_store.h"
#include "store/db.h"
#include "store/db_page.h"
#include "store/db_seal.h"
#include "store/rebirth.h"
#include "store/snapshot_table.h"
#include "tests/support/mem_env.h"
#include "tests/support/store_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PATH  "file.db"
#define AGAIN "again.db"

enum way { WAY_PAGES, WAY_ROWS, WAY_RAW, WAY_COUNT = 4 }; /* the fourth: by pages, too */
enum { WAY_SEALED = 4 };                                  /* after the edits */

struct edit {
    size_t at; /* in the file, modulo its size */
    bool from_end;
    struct slice bytes;
};

#define EDITS_MAX 8

struct story {
    uint8_t way;
    struct edit edits[EDITS_MAX];
    size_t edit_count;
    struct slice rows; /* whole ones */
    struct snapshot_meta meta;
};

static struct slice whole_rows(struct slice bytes)
{
    struct unpack u = unpack_make(bytes);
    size_t whole = 0;
    struct row row;
    while (u.rest.size > 0 && row_decode(&u, &row) == RC_OK) {
        whole = bytes.size - u.rest.size;
    }
    return slice_make(bytes.data, whole);
}

/* The digest that a file of these rows must tell, so that the digest is not what refuses it. */
static uint64_t digest_of(const struct story *s)
{
    struct store *store = store_new_empty();
    struct unpack u = unpack_make(s->rows);
    struct row row;
    uint64_t digest = 0;
    while (u.rest.size > 0 && row_decode(&u, &row) == RC_OK &&
           store_load_row(store, &row) == RC_OK) {
    }
    if (u.rest.size == 0) {
        (void)store_load_seal(store, &s->meta, NULL);
        digest = store_digest(store);
    }
    store_free(store);
    return digest;
}

static void listen(struct story *s, struct slice input)
{
    struct unpack u = unpack_make(input);
    *s = (struct story){.way = unpack_u8(&u)};
    s->meta = (struct snapshot_meta){.index = 100, .term = 3, .cluster_ms = 5000, .cluster_id = 7};
    s->meta.revision = unpack_u8(&u);
    s->edit_count = unpack_u8(&u) % (EDITS_MAX + 1);
    for (size_t i = 0; i < s->edit_count; i++) {
        uint16_t place = unpack_u16(&u);
        s->edits[i].from_end = (place & 0x8000) != 0;
        s->edits[i].at = place & 0x7fff;
        s->edits[i].bytes = unpack_raw(&u, unpack_u8(&u));
    }
    if (u.failed) {
        s->edit_count = 0;
    }
    s->rows = s->way % WAY_COUNT == WAY_RAW ? u.rest : whole_rows(u.rest);
    s->meta.digest = s->way % WAY_COUNT == WAY_RAW ? 0 : digest_of(s);
}

/* ---- the file ----------------------------------------------------------------------------- */

static void write_pages(struct env *env, struct story *s)
{
    struct snapshot_writer *w;
    struct errmsg err = {0};
    PRE(snapshot_writer_open(env, PATH, &w, &err) == RC_OK);
    PRE(snapshot_writer_rows(w, s->rows, &err) == RC_OK);
    PRE(snapshot_writer_finish(w, &s->meta, &err) == RC_OK);
}

/* One row through SQL, as format 1 was written. */
static void old_row(struct db *db, uint8_t table, struct snapshot_cells *cells, uint64_t *sum)
{
    struct db_query *insert = NULL;
    struct buf sql = {0};
    struct errmsg err = {0};
    buf_append_str(&sql, "INSERT INTO ");
    buf_append_str(&sql, snapshot_tables[table].name);
    for (int i = 0; i < cells->count; i++) {
        buf_append_str(&sql, i == 0 ? " VALUES(?" : ",?");
    }
    buf_append(&sql, ")", sizeof ")");
    PRE(db_prepare(db, (const char *)sql.data, &insert, &err) == RC_OK);
    PRE(db_bind(insert, 0, cells->cells, cells->count, &err) == RC_OK);
    PRE(db_execute(insert, &err) == RC_OK);
    db_query_close(insert);
    buf_close(&sql);
    *sum += snapshot_cells_hash(cells, table);
}

static void old_meta(struct db *db, const char *name, struct db_cell value, uint64_t *sum)
{
    struct snapshot_cells cells = {.cells = {snapshot_cell_text(slice_str(name)), value},
                                   .count = 2};
    old_row(db, SNAPSHOT_TABLE_FILE, &cells, sum);
}

static void old_number(struct db *db, const char *name, uint64_t number, uint64_t *sum)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    old_meta(db, name, snapshot_cell_text(slice_str(text)), sum);
}

/* Rows proved one by one: snapshot.c's SNAPSHOT_BY_ROWS. */
static void write_by_rows(struct env *env, const struct story *s)
{
    static const char *const counts[SNAPSHOT_TABLE_COUNT] = {
        NULL,         "state_rows", "node_rows",    "change_rows",
        "reply_rows", "lease_rows", "version_rows", "acl_rows"};
    uint64_t seen[SNAPSHOT_TABLE_COUNT] = {0};
    uint64_t content = 0;
    uint64_t sum = 0;
    struct unpack u = unpack_make(s->rows);
    struct db *db = NULL;
    struct errmsg err = {0};
    PRE(db_create(env, PATH, SNAPSHOT_APPLICATION_ID, &db, &err) == RC_OK);
    for (size_t i = 0; i < SNAPSHOT_TABLE_COUNT; i++) {
        PRE(db_run(db, snapshot_tables[i].create, &err) == RC_OK);
    }
    for (struct row row; u.rest.size > 0 && row_decode(&u, &row) == RC_OK;) {
        struct snapshot_cells cells;
        snapshot_cells_from_row(&cells, &row);
        old_row(db, row.table, &cells, &content);
        seen[row.table]++;
    }
    old_number(db, "format", 1, &sum);
    old_number(db, "feature_level", 1, &sum);
    old_number(db, "index", s->meta.index, &sum);
    old_number(db, "term", s->meta.term, &sum);
    old_number(db, "configuration_index", 0, &sum);
    old_number(db, "cluster_id", s->meta.cluster_id, &sum);
    old_number(db, "revision", s->meta.revision, &sum);
    old_number(db, "digest", s->meta.digest, &sum);
    old_number(db, "cluster_ms", s->meta.cluster_ms, &sum);
    for (size_t i = ROW_META; i < SNAPSHOT_TABLE_COUNT; i++) {
        old_number(db, counts[i], seen[i], &sum);
    }
    old_number(db, "content_checksum", content, &sum);
    old_meta(db, "version", snapshot_cell_text(slice_str("v0.1")), &sum);
    old_meta(db, "configuration", (struct db_cell){.type = DB_BLOB}, &sum);
    uint64_t all = sum;
    old_number(db, "meta_checksum", all, &sum);
    PRE(db_commit(db, &err) == RC_OK);
    db_close(db);
}

static void damage(struct mem_env *m, const struct story *s)
{
    struct buf *file = mem_env_get(m, PATH);
    for (size_t i = 0; i < s->edit_count && file->size > 0; i++) {
        const struct edit *e = &s->edits[i];
        size_t at = e->at % file->size;
        at = e->from_end ? file->size - 1 - at : at;
        for (size_t k = 0; k < e->bytes.size && at + k < file->size; k++) {
            file->data[at + k] = e->bytes.data[k];
        }
    }
    if ((s->way & WAY_SEALED) != 0) {
        for (size_t at = 0; at + DB_PAGE_BYTES <= file->size; at += DB_PAGE_BYTES) {
            db_seal_page(file->data + at, (uint32_t)(at / DB_PAGE_BYTES) + 1);
        }
    }
}

/* ---- what must hold ----------------------------------------------------------------------- */

static void must_work(struct mem_env *m, struct store *loaded)
{
    struct errmsg err = {0};
    struct store *again = NULL;
    struct snapshot_meta meta = {.term = 3};
    struct snapshot_meta read = {0};
    struct rebirth reborn;
    store_check(loaded);
    PRE(snapshot_write_file(&m->env, AGAIN, loaded, &meta, &err) == RC_OK);
    PRE(snapshot_load(&m->env, AGAIN, &again, &read, &err) == RC_OK);
    PRE(store_digest(again) == store_digest(loaded) && read.digest == store_digest(again));
    struct op op = kit_op(OP_CREATE, "/made-after", "data");
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    const struct apply_context context = {.index = 101, .cluster_ms = 6000, .last_of_entry = true};
    struct store *both[] = {loaded, again};
    for (size_t i = 0; i < 2; i++) {
        struct reply reply;
        store_apply(both[i], &context, &c, &reply);
        store_check(both[i]);
        store_rebirth(both[i], &reborn);
        store_check(both[i]);
    }
    PRE(store_digest(again) == store_digest(loaded));
    store_free(again);
    snapshot_meta_close(&read);
}

static void check(struct mem_env *m)
{
    struct errmsg seen_err = {0};
    struct errmsg err = {0};
    struct snapshot_meta seen = {0};
    struct snapshot_meta meta = {0};
    struct store *store = NULL;
    enum status seen_rc = snapshot_inspect(&m->env, PATH, &seen, &seen_err);
    enum status rc = snapshot_load(&m->env, PATH, &store, &meta, &err);
    PRE((seen_rc == RC_OK) || seen_err.text[0] != '\0');
    PRE(rc == RC_OK || err.text[0] != '\0');
    PRE(seen_rc == RC_OK || rc == seen_rc);
    if (rc == RC_OK) {
        PRE(seen.digest == meta.digest && store_digest(store) == meta.digest);
        must_work(m, store);
        store_free(store);
        snapshot_meta_close(&meta);
    }
    if (seen_rc == RC_OK) {
        snapshot_meta_close(&seen);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem_env m;
    struct story s;
    mem_env_init(&m);
    listen(&s, slice_make(data, size));
    if (s.way % WAY_COUNT == WAY_RAW) {
        struct buf *file = mem_env_get(&m, PATH);
        buf_append_slice(file, s.rows);
    } else if (s.way % WAY_COUNT == WAY_ROWS) {
        write_by_rows(&m.env, &s);
    } else {
        write_pages(&m.env, &s);
    }
    damage(&m, &s);
    check(&m);
    PRE(m.open_files == 0);
    mem_env_close(&m);
    return 0;
}
