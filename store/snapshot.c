#include "store/snapshot.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/version.h"
#include "store/command.h"
#include "store/db.h"
#include "store/db_bulk.h"
#include "store/db_scan.h"
#include "store/db_seal.h"
#include "store/row.h"
#include "store/snapshot_table.h"
#include "store/store.h"

void snapshot_meta_close(struct snapshot_meta *meta)
{
    buf_close(&meta->configuration);
}

/* ---- the meta table ---------------------------------------------------------------------- */

/* What meta says about the file. */
struct header {
    struct snapshot_meta meta;
    uint64_t format;
    uint64_t feature_level; /* of the build that wrote it */
    uint64_t rows[SNAPSHOT_TABLE_COUNT];
    uint64_t content_checksum; /* SNAPSHOT_BY_ROWS: sum of the hashes of all rows outside meta */
};

/* Files of this format prove their rows one by one, those of later ones their pages. */
#define SNAPSHOT_BY_ROWS 1

/* The numbers of meta, as decimal text: SQLite's integers would show large ones as negative. */
static const struct header_number {
    const char *name;
    size_t offset;
} header_numbers[] = {
    {"format", offsetof(struct header, format)},
    {"feature_level", offsetof(struct header, feature_level)},
    {"index", offsetof(struct header, meta.index)},
    {"term", offsetof(struct header, meta.term)},
    {"configuration_index", offsetof(struct header, meta.configuration_index)},
    {"cluster_id", offsetof(struct header, meta.cluster_id)},
    {"revision", offsetof(struct header, meta.revision)},
    {"digest", offsetof(struct header, meta.digest)},
    {"cluster_ms", offsetof(struct header, meta.cluster_ms)},
    {"state_rows", offsetof(struct header, rows[ROW_META])},
    {"node_rows", offsetof(struct header, rows[ROW_NODE])},
    {"change_rows", offsetof(struct header, rows[ROW_CHANGE])},
    {"reply_rows", offsetof(struct header, rows[ROW_REPLY])},
    {"lease_rows", offsetof(struct header, rows[ROW_LEASE])},
    {"version_rows", offsetof(struct header, rows[ROW_VERSION])},
    {"acl_rows", offsetof(struct header, rows[ROW_ACL])},
    {"content_checksum", offsetof(struct header, content_checksum)}, /* only if by rows */
};
#define HEADER_NUMBERS (sizeof header_numbers / sizeof header_numbers[0])
#define HEADER_BY_ROWS (HEADER_NUMBERS - 1)

/* The other names. The last is the sum of the hashes of all other rows of meta. */
#define META_VERSION       "version"
#define META_CONFIGURATION "configuration"
#define META_CHECKSUM      "meta_checksum"

static uint64_t *header_number(struct header *h, size_t i)
{
    return (uint64_t *)(void *)((char *)h + header_numbers[i].offset);
}

static struct snapshot_cells meta_cells(const char *name, struct db_cell value)
{
    return (struct snapshot_cells){
        .cells = {{.type = DB_TEXT, .bytes = slice_str(name)}, value},
        .count = 2,
    };
}

/* Digits only, no leading zero, at most UINT64_MAX: one text for one number. */
static bool parse_decimal(struct slice text, uint64_t *out)
{
    uint64_t value = 0;
    if (text.size == 0 || (text.size > 1 && text.data[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint64_t digit = (uint64_t)text.data[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

/* ---- writing ----------------------------------------------------------------------------- */

struct snapshot_writer {
    struct env *env;
    char *path;
    struct db_bulk *bulk;
    struct header header; /* counts, as rows go in */
    uint64_t meta_checksum;
    struct errmsg failure; /* the first one; it stays */
};

/* An empty file with our tables; where they begin. */
static enum status create_tables(struct env *env, const char *path,
                                 uint32_t roots[SNAPSHOT_TABLE_COUNT], struct errmsg *err)
{
    struct db *db = NULL;
    enum status rc = db_create(env, path, SNAPSHOT_APPLICATION_ID, &db, err);
    if (rc != RC_OK) {
        return rc;
    }
    for (size_t i = 0; rc == RC_OK && i < SNAPSHOT_TABLE_COUNT; i++) {
        rc = db_run(db, snapshot_tables[i].create, err);
        if (rc == RC_OK) {
            rc = db_root_page(db, snapshot_tables[i].name, &roots[i], err);
        }
    }
    if (rc == RC_OK) {
        rc = db_run(db, "COMMIT", err); /* not durable yet, which it need not be without rows */
    }
    db_close(db);
    return rc;
}

enum status snapshot_writer_open(struct env *env, const char *path,
                                 struct snapshot_writer **out, struct errmsg *err)
{
    struct snapshot_writer *w = mem_zalloc(sizeof *w);
    uint32_t roots[SNAPSHOT_TABLE_COUNT];
    w->env = env;
    w->path = mem_strdup(path);
    enum status rc = create_tables(env, path, roots, err);
    if (rc == RC_OK) {
        rc = db_bulk_open(env, path, roots, SNAPSHOT_TABLE_COUNT, &w->bulk, err);
    }
    if (rc != RC_OK) {
        snapshot_writer_abort(w);
        return rc;
    }
    *out = w;
    return RC_OK;
}

/* Keeps the first failure and tells it to the caller. */
static enum status writer_fail(struct snapshot_writer *w, const struct errmsg *failure,
                               struct errmsg *err)
{
    if (w->failure.rc == RC_OK) {
        w->failure = *failure;
    }
    return errmsg_set(err, w->failure.rc, "%s", w->failure.text);
}

static enum status write_row(struct snapshot_writer *w, const struct row *row,
                             struct errmsg *err)
{
    struct snapshot_cells cells;
    snapshot_cells_from_row(&cells, row);
    w->header.rows[row->table]++;
    return db_bulk_append(w->bulk, row->table, cells.cells, cells.count, err);
}

enum status snapshot_writer_rows(struct snapshot_writer *w, struct slice rows,
                                 struct errmsg *err)
{
    struct errmsg failure = w->failure;
    struct unpack input = unpack_make(rows);
    enum status rc = failure.rc;
    while (rc == RC_OK && input.rest.size > 0) {
        struct row row;
        rc = row_decode(&input, &row);
        if (rc != RC_OK) {
            (void)errmsg_set(&failure, rc, "%s: a row to be written is malformed", w->path);
            break;
        }
        rc = write_row(w, &row, &failure);
        env_give_way(w->env);
    }
    return rc == RC_OK ? RC_OK : writer_fail(w, &failure, err);
}

static enum status put_meta(struct snapshot_writer *w, const char *name, struct db_cell value,
                            struct errmsg *err)
{
    struct snapshot_cells cells = meta_cells(name, value);
    w->meta_checksum += snapshot_cells_hash(&cells, SNAPSHOT_TABLE_FILE);
    return db_bulk_append(w->bulk, SNAPSHOT_TABLE_FILE, cells.cells, cells.count, err);
}

static enum status put_meta_number(struct snapshot_writer *w, const char *name, uint64_t number,
                                   struct errmsg *err)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    return put_meta(w, name, snapshot_cell_text(slice_str(text)), err);
}

static enum status writer_put_header(struct snapshot_writer *w,
                                     const struct snapshot_meta *meta, struct errmsg *err)
{
    struct db_cell configuration = {.type = DB_BLOB, .bytes = buf_slice(&meta->configuration)};
    enum status rc = RC_OK;

    w->header.meta = *meta; /* borrows the configuration until return */
    w->header.format = SNAPSHOT_FORMAT;
    w->header.feature_level = FEATURE_LEVEL;
    for (size_t i = 0; rc == RC_OK && i < HEADER_BY_ROWS; i++) {
        rc = put_meta_number(w, header_numbers[i].name, *header_number(&w->header, i), err);
    }
    if (rc == RC_OK) {
        rc = put_meta(w, META_VERSION, snapshot_cell_text(slice_str(version_text())), err);
    }
    if (rc == RC_OK) {
        rc = put_meta(w, META_CONFIGURATION, configuration, err);
    }
    if (rc == RC_OK) {
        rc = put_meta_number(w, META_CHECKSUM, w->meta_checksum, err);
    }
    return rc;
}

/* Frees everything but the file. */
static void writer_free(struct snapshot_writer *w)
{
    db_bulk_close(w->bulk);
    mem_free(w->path);
    mem_free(w);
}

enum status snapshot_writer_finish(struct snapshot_writer *w, const struct snapshot_meta *meta,
                                   struct errmsg *err)
{
    struct errmsg failure = w->failure;
    enum status rc = failure.rc;
    if (rc == RC_OK) {
        rc = writer_put_header(w, meta, &failure);
    }
    if (rc == RC_OK) {
        rc = db_bulk_commit(w->bulk, &failure);
    }
    if (rc != RC_OK) {
        rc = writer_fail(w, &failure, err);
        snapshot_writer_abort(w);
        return rc;
    }
    writer_free(w);
    return RC_OK;
}

void snapshot_writer_abort(struct snapshot_writer *w)
{
    struct env *env = w->env;
    char *path = mem_strdup(w->path);
    writer_free(w);
    /* The file may not exist yet. One that cannot be removed is not complete, and whoever finds it
     * will see that it is not. */
    (void)env->disk->unlink(env, path);
    mem_free(path);
}

/* ---- reading ----------------------------------------------------------------------------- */

struct reader {
    struct env *env;
    const char *path;
    struct db *db;
    struct header header;
    struct snapshot_cells cells; /* of the row at hand */
    snapshot_row_fn fn;
    void *context;
    struct store *store; /* that `fn` fills; NULL: none */
    uint64_t rows[SNAPSHOT_TABLE_COUNT];
    uint64_t content_checksum;
    struct errmsg *err;
};

static enum status reader_corrupt(struct reader *r, const char *why)
{
    return errmsg_set(r->err, RC_CORRUPT, "%s: %s", r->path, why);
}

/* What has been seen of meta. */
struct header_scan {
    uint64_t numbers; /* bit i: header_numbers[i] */
    bool version;
    bool configuration;
    bool checksum;
    char version_text[64];
    uint64_t checksum_found;
    uint64_t checksum_computed;
};

static_assert(HEADER_NUMBERS < 64, "header_scan.numbers has a bit for each");

/* Takes one row of meta. False if the value of a known name is not what it must be, or comes
 * twice; other names are a later writer's. */
static bool header_take(struct reader *r, struct header_scan *scan)
{
    struct slice name = r->cells.cells[0].bytes;
    const struct db_cell *value = &r->cells.cells[1];
    if (slice_is(name, META_CHECKSUM)) {
        bool again = scan->checksum;
        scan->checksum = true;
        return !again && value->type == DB_TEXT &&
               parse_decimal(value->bytes, &scan->checksum_found);
    }
    scan->checksum_computed += snapshot_cells_hash(&r->cells, SNAPSHOT_TABLE_FILE);
    if (slice_is(name, META_CONFIGURATION)) {
        bool again = scan->configuration;
        scan->configuration = true;
        buf_clear(&r->header.meta.configuration);
        buf_append_slice(&r->header.meta.configuration, value->bytes);
        return !again && value->type == DB_BLOB;
    }
    if (slice_is(name, META_VERSION)) {
        bool again = scan->version;
        scan->version = true;
        (void)snprintf(scan->version_text, sizeof scan->version_text, "%.*s",
                       (int)(value->bytes.size < 63 ? value->bytes.size : 63),
                       value->bytes.size > 0 ? (const char *)value->bytes.data : "");
        return !again && value->type == DB_TEXT;
    }
    for (size_t i = 0; i < HEADER_NUMBERS; i++) {
        if (slice_is(name, header_numbers[i].name)) {
            bool again = (scan->numbers >> i & 1) != 0;
            scan->numbers |= UINT64_C(1) << i;
            return !again && value->type == DB_TEXT &&
                   parse_decimal(value->bytes, header_number(&r->header, i));
        }
    }
    return true;
}

/* The checksum comes before the format: a damaged number must not pass for a newer file. So meta
 * and its checksum stay as they are in all formats to come. */
static enum status header_judge(struct reader *r, const struct header_scan *scan, bool is_sound)
{
    if (!is_sound || !scan->checksum || scan->checksum_computed != scan->checksum_found) {
        return reader_corrupt(r, "the meta table is damaged");
    }
    if ((scan->numbers & 1) != 0 && r->header.format > SNAPSHOT_FORMAT) {
        return errmsg_set(
            r->err, RC_UNSUPPORTED,
            "%s: snapshot format %" PRIu64 ", written by coord %s; this is coord %s, "
            "which reads formats up to %d",
            r->path, r->header.format, scan->version_text, version_text(), SNAPSHOT_FORMAT);
    }
    bool is_by_rows = r->header.format == SNAPSHOT_BY_ROWS;
    uint64_t wanted = (UINT64_C(1) << (is_by_rows ? HEADER_NUMBERS : HEADER_BY_ROWS)) - 1;
    bool has_all = (scan->numbers & wanted) == wanted && scan->version && scan->configuration;
    if (!has_all || r->header.format < 1) {
        return reader_corrupt(r, "the meta table is incomplete");
    }
    return RC_OK;
}

static enum status reader_take_header(struct reader *r)
{
    struct db_query *query = NULL;
    struct header_scan scan = {.numbers = 0};
    bool is_sound = true;
    bool found = true;
    enum status rc =
        db_prepare(r->db, "SELECT name, value FROM meta ORDER BY rowid", &query, r->err);
    while (rc == RC_OK) {
        rc = db_next(query, r->cells.cells, SNAPSHOT_CELLS_MAX, &found, r->err);
        if (rc != RC_OK || !found) {
            break;
        }
        r->cells.count = 2;
        is_sound = header_take(r, &scan) && is_sound;
    }
    db_query_close(query);
    return rc == RC_OK ? header_judge(r, &scan, is_sound) : rc;
}

/* The schema must be ours to the letter: no view, trigger or index of somebody else's takes part
 * in loading. */
static enum status reader_check_schema(struct reader *r)
{
    struct db_query *query = NULL;
    struct db_cell sql = {.type = DB_NULL};
    size_t objects = 0;
    bool is_ours = true;
    bool found = true;
    enum status rc =
        db_prepare(r->db, "SELECT sql FROM sqlite_schema ORDER BY rowid", &query, r->err);
    while (rc == RC_OK) {
        rc = db_next(query, &sql, 1, &found, r->err);
        if (rc != RC_OK || !found) {
            break;
        }
        is_ours = is_ours && objects < SNAPSHOT_TABLE_COUNT &&
                  slice_is(sql.bytes, snapshot_tables[objects].create);
        objects++;
    }
    db_query_close(query);
    if (rc == RC_OK && (!is_ours || objects != SNAPSHOT_TABLE_COUNT)) {
        rc = reader_corrupt(r, "its tables are not those of a snapshot");
    }
    return rc;
}

/* Counts, hashes and hands over the row in r->cells. */
static enum status reader_take_row(struct reader *r, uint8_t table)
{
    struct row row;
    r->cells.count = snapshot_tables[table].columns;
    r->rows[table]++;
    if (r->header.format == SNAPSHOT_BY_ROWS) {
        r->content_checksum += snapshot_cells_hash(&r->cells, table);
    }
    enum status rc = snapshot_cells_to_row(&r->cells, table, &row);
    if (rc == RC_OK) {
        rc = r->fn(r->context, &row);
    }
    return rc == RC_OK ? RC_OK
                       : errmsg_set(r->err, rc, "%s: row %" PRIu64 " of table %s is not valid",
                                    r->path, r->rows[table], snapshot_tables[table].name);
}

static enum status reader_take_table(struct reader *r, uint8_t table)
{
    const struct snapshot_table *t = &snapshot_tables[table];
    struct db_scan *scan = NULL;
    uint32_t root;
    bool found = true;
    enum status rc = db_root_page(r->db, t->name, &root, r->err);
    if (rc == RC_OK) {
        rc = db_scan_open(r->env, r->path, root, &scan, r->err);
    }
    while (rc == RC_OK) {
        rc = db_scan_next(scan, r->cells.cells, t->columns, &found, r->err);
        if (rc != RC_OK || !found) {
            break;
        }
        rc = reader_take_row(r, table);
        env_give_way(r->env);
    }
    db_scan_close(scan);
    return rc;
}

static enum status reader_take_rows(struct reader *r)
{
    for (uint8_t table = SNAPSHOT_TABLE_FILE + 1; table < SNAPSHOT_TABLE_COUNT; table++) {
        enum status rc = reader_take_table(r, table);
        if (rc != RC_OK) {
            return rc;
        }
    }
    if (memcmp(r->rows, r->header.rows, sizeof r->rows) != 0) {
        return reader_corrupt(r, "rows are missing, or there are too many");
    }
    if (r->header.format == SNAPSHOT_BY_ROWS &&
        r->content_checksum != r->header.content_checksum) {
        return reader_corrupt(r, "the rows do not give the recorded checksum");
    }
    return RC_OK;
}

static enum status reader_take_content(struct reader *r)
{
    enum status rc = RC_OK;
    if (r->header.format > SNAPSHOT_BY_ROWS) {
        rc = db_check_seals(r->env, r->path, r->err);
    }
    if (rc == RC_OK) {
        rc = reader_check_schema(r);
    }
    return rc == RC_OK ? reader_take_rows(r) : rc;
}

/* Reads what `r` is made for, and only meta without `fn`. */
static enum status reader_run(struct reader *r, struct snapshot_meta *meta)
{
    enum status rc = db_open(r->env, r->path, SNAPSHOT_APPLICATION_ID, &r->db, r->err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = reader_take_header(r);
    if (rc == RC_OK && r->store != NULL) {
        store_load_expect(r->store, r->header.rows[ROW_NODE]);
    }
    if (rc == RC_OK && r->fn != NULL) {
        rc = reader_take_content(r);
    }
    db_close(r->db);
    if (rc == RC_OK) {
        *meta = r->header.meta;
    } else {
        snapshot_meta_close(&r->header.meta);
    }
    return rc;
}

enum status snapshot_read(struct env *env, const char *path, snapshot_row_fn fn, void *context,
                          struct snapshot_meta *meta, struct errmsg *err)
{
    struct reader r = {.env = env, .path = path, .fn = fn, .context = context, .err = err};
    return reader_run(&r, meta);
}

enum status snapshot_inspect(struct env *env, const char *path, struct snapshot_meta *meta,
                             struct errmsg *err)
{
    return snapshot_read(env, path, NULL, NULL, meta, err);
}

/* A row that the store refuses is damage: no store has written it. */
static enum status load_row(void *context, const struct row *row)
{
    return store_load_row(context, row) == RC_OK ? RC_OK : RC_CORRUPT;
}

enum status snapshot_load(struct env *env, const char *path, struct store **out,
                          struct snapshot_meta *meta, struct errmsg *err)
{
    struct store *store = store_new_empty();
    struct snapshot_meta read = {.index = 0};
    struct reader r = {
        .env = env, .path = path, .fn = load_row, .context = store, .store = store, .err = err};
    enum status rc = reader_run(&r, &read);
    if (rc == RC_OK) {
        rc = store_load_seal(store, &read, err);
        if (rc != RC_OK) {
            (void)errmsg_wrap(err, "%s", path);
            snapshot_meta_close(&read);
        }
    }
    if (rc != RC_OK) {
        store_free(store);
        return rc;
    }
    *out = store;
    *meta = read;
    return RC_OK;
}
