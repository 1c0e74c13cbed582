#include "store/db_bulk.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "store/db_page.h"
#include "store/db_seal.h"

/* Written at once. */
#define BULK_WRITE_BYTES ((size_t)256 << 10)
/* Written, but not yet synced. */
#define BULK_SYNC_BYTES ((uint64_t)8 << 20)
#define BULK_COLUMNS_MAX 64
/* Children of an interior page, with the rightmost: as many as fit with the longest rowids. */
#define BULK_CELL_BYTES_MAX (sizeof(uint32_t) + VARINT_BYTES_MAX)
#define BULK_CHILDREN_MAX \
    ((DB_USABLE_BYTES - PAGE_INTERIOR_HEAD) / (BULK_CELL_BYTES_MAX + sizeof(uint16_t)) + 1)

/* A page and the greatest rowid in it. */
struct bulk_child {
    uint64_t rowid;
    uint32_t page;
};

struct bulk_children {
    struct bulk_child *items;
    size_t count;
    size_t capacity;
};

struct bulk_table {
    uint32_t root;
    uint64_t rowid;    /* of the last row */
    uint32_t cells;    /* in the leaf */
    size_t content;    /* where its cells begin; they grow downwards */
    uint8_t *leaf;     /* DB_PAGE_BYTES; NULL: no row has come */
    struct bulk_children leaves; /* that are full and have their place in the file */
};

struct db_bulk {
    struct env *env;
    struct env_file *file;
    char *path;
    struct bulk_table *tables;
    int table_count;
    uint32_t pages;    /* the file has or will have */
    uint32_t sql_pages; /* the first of them, as SQLite made them */
    struct buf out;    /* the last of them, not yet written */
    uint64_t unsynced; /* bytes */
    struct buf record;
};

static enum status bulk_fail(const struct db_bulk *b, enum status rc, struct errmsg *err)
{
    return errmsg_set(err, rc, "%s: %s", b->path, status_text(rc));
}

/* ---- the file ----------------------------------------------------------------------------- */

static uint64_t page_offset(uint32_t number)
{
    return (uint64_t)(number - 1) * DB_PAGE_BYTES;
}

static enum status write_at(struct db_bulk *b, uint64_t offset, const void *data, size_t bytes,
                            struct errmsg *err)
{
    enum status rc = b->env->disk->write(b->file, offset, data, bytes);
    b->unsynced += bytes;
    return rc == RC_OK ? RC_OK : bulk_fail(b, rc, err);
}

static enum status sync_file(struct db_bulk *b, struct errmsg *err)
{
    enum status rc = b->env->disk->sync(b->file);
    b->unsynced = 0;
    return rc == RC_OK ? RC_OK : bulk_fail(b, rc, err);
}

static enum status flush(struct db_bulk *b, struct errmsg *err)
{
    if (b->out.size == 0) {
        return RC_OK;
    }
    uint32_t count = (uint32_t)(b->out.size / DB_PAGE_BYTES);
    uint32_t first = b->pages - count + 1;
    for (uint32_t i = 0; i < count; i++) {
        db_seal_page(b->out.data + i * DB_PAGE_BYTES, first + i);
    }
    enum status rc = write_at(b, page_offset(first), b->out.data, b->out.size, err);
    buf_clear(&b->out);
    return rc == RC_OK && b->unsynced >= BULK_SYNC_BYTES ? sync_file(b, err) : rc;
}

/* The next page of the file, zeroed; what was in the one before is final. */
static enum status add_page(struct db_bulk *b, uint8_t **page, struct errmsg *err)
{
    enum status rc = b->out.size >= BULK_WRITE_BYTES ? flush(b, err) : RC_OK;
    if (rc != RC_OK) {
        return rc;
    }
    if (page_offset(b->pages + 1) == FILE_LOCK_BYTE) {
        memset(buf_extend(&b->out, DB_PAGE_BYTES), 0, DB_PAGE_BYTES);
        b->pages++;
    }
    *page = buf_extend(&b->out, DB_PAGE_BYTES);
    memset(*page, 0, DB_PAGE_BYTES);
    b->pages++;
    return RC_OK;
}

/* ---- leaves ------------------------------------------------------------------------------- */

static void children_add(struct bulk_children *c, uint32_t page, uint64_t rowid)
{
    if (c->count == c->capacity) {
        c->capacity = c->capacity == 0 ? 64 : 2 * c->capacity;
        c->items = mem_resize(c->items, c->capacity * sizeof c->items[0]);
    }
    c->items[c->count++] = (struct bulk_child){.rowid = rowid, .page = page};
}

static void leaf_begin(struct bulk_table *t)
{
    memset(t->leaf, 0, DB_PAGE_BYTES);
    t->cells = 0;
    t->content = DB_USABLE_BYTES;
}

static void page_head(uint8_t *page, uint8_t type, uint32_t cells, size_t content)
{
    page[0] = type;
    page_put16(page + PAGE_CELLS_AT, cells);
    page_put16(page + PAGE_CELLS_AT + 2, (uint32_t)content);
}

static enum status leaf_end(struct db_bulk *b, struct bulk_table *t, struct errmsg *err)
{
    uint8_t *page;
    enum status rc = add_page(b, &page, err);
    if (rc != RC_OK) {
        return rc;
    }
    page_head(t->leaf, PAGE_LEAF, t->cells, t->content);
    memcpy(page, t->leaf, DB_PAGE_BYTES);
    children_add(&t->leaves, b->pages, t->rowid);
    leaf_begin(t);
    return RC_OK;
}

/* What does not fit into a leaf goes to pages of its own, each of which names the next. */
static enum status write_overflow(struct db_bulk *b, struct slice rest, struct errmsg *err)
{
    while (rest.size > 0) {
        uint8_t *page;
        enum status rc = add_page(b, &page, err);
        if (rc != RC_OK) {
            return rc;
        }
        size_t most = DB_USABLE_BYTES - sizeof(uint32_t);
        size_t piece = rest.size < most ? rest.size : most;
        memcpy(page + sizeof(uint32_t), rest.data, piece);
        rest = slice_make(rest.data + piece, rest.size - piece);
        if (rest.size > 0) {
            bool is_lock = page_offset(b->pages + 1) == FILE_LOCK_BYTE;
            page_put32(page, b->pages + (is_lock ? 2 : 1));
        }
    }
    return RC_OK;
}

/* ---- records ------------------------------------------------------------------------------ */

static size_t integer_type(uint64_t integer)
{
    int64_t v = (int64_t)integer;
    if (v == 0 || v == 1) {
        return (size_t)(RECORD_ZERO + v);
    }
    uint64_t magnitude = v < 0 ? ~integer : integer;
    return magnitude < (UINT64_C(1) << 7)    ? RECORD_I8
           : magnitude < (UINT64_C(1) << 15) ? RECORD_I16
           : magnitude < (UINT64_C(1) << 23) ? RECORD_I24
           : magnitude < (UINT64_C(1) << 31) ? RECORD_I32
           : magnitude < (UINT64_C(1) << 47) ? RECORD_I48
                                             : RECORD_I64;
}

static uint64_t cell_type(const struct db_cell *cell)
{
    switch (cell->type) {
    case DB_INTEGER: return integer_type(cell->integer);
    case DB_TEXT: return RECORD_TEXT + 2 * (uint64_t)cell->bytes.size;
    case DB_BLOB: return RECORD_BLOB + 2 * (uint64_t)cell->bytes.size;
    case DB_NULL: break;
    }
    return RECORD_NULL;
}

static size_t type_bytes(uint64_t type)
{
    static const uint8_t sizes[] = {0, 1, 2, 3, 4, 6, 8};
    if (type >= RECORD_BLOB) {
        return (size_t)(type - RECORD_BLOB) / 2;
    }
    return type <= RECORD_I64 ? sizes[type] : 0;
}

static uint8_t *put_value(uint8_t *to, uint64_t type, const struct db_cell *cell)
{
    size_t bytes = type_bytes(type);
    if (type < RECORD_BLOB) {
        for (size_t i = bytes, shift = 0; i-- > 0; shift += 8) {
            to[i] = (uint8_t)(cell->integer >> shift);
        }
    } else if (bytes > 0) {
        memcpy(to, cell->bytes.data, bytes);
    }
    return to + bytes;
}

/* A number that includes its own length. */
static size_t head_bytes_of(size_t types)
{
    size_t bytes = types + 1;
    while (types + varint_bytes(bytes) > bytes) {
        bytes++;
    }
    return bytes;
}

static void encode_record(struct buf *out, const struct db_cell *cells, int count)
{
    uint64_t types[BULK_COLUMNS_MAX];
    size_t head = 0;
    size_t body = 0;
    PRE(count <= BULK_COLUMNS_MAX);
    for (int i = 0; i < count; i++) {
        types[i] = cell_type(&cells[i]);
        head += varint_bytes(types[i]);
        body += type_bytes(types[i]);
    }
    head = head_bytes_of(head);
    buf_clear(out);
    uint8_t *to = varint_put(buf_extend(out, head + body), head);
    for (int i = 0; i < count; i++) {
        to = varint_put(to, types[i]);
    }
    POST(to == out->data + head);
    for (int i = 0; i < count; i++) {
        to = put_value(to, types[i], &cells[i]);
    }
}

enum status db_bulk_append(struct db_bulk *b, int table, const struct db_cell *cells, int count,
                           struct errmsg *err)
{
    PRE(table >= 0 && table < b->table_count);
    struct bulk_table *t = &b->tables[table];
    encode_record(&b->record, cells, count);
    size_t bytes = b->record.size;
    if (bytes > DB_RECORD_BYTES_MAX) {
        return bulk_fail(b, RC_TOO_LARGE, err);
    }
    size_t local = leaf_local_bytes(DB_USABLE_BYTES, bytes);
    size_t cell_bytes = varint_bytes(bytes) + varint_bytes(t->rowid + 1) + local +
                        (local < bytes ? sizeof(uint32_t) : 0);
    enum status rc = RC_OK;
    if (t->leaf == NULL) {
        t->leaf = mem_alloc(DB_PAGE_BYTES);
        leaf_begin(t);
    } else if (cell_bytes + (t->cells + 1) * sizeof(uint16_t) + PAGE_LEAF_HEAD > t->content) {
        rc = leaf_end(b, t, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    t->rowid++;
    t->content -= cell_bytes;
    page_put16(t->leaf + PAGE_LEAF_HEAD + t->cells++ * sizeof(uint16_t), (uint32_t)t->content);
    uint8_t *to = varint_put(t->leaf + t->content, bytes);
    to = varint_put(to, t->rowid);
    memcpy(to, b->record.data, local);
    if (local == bytes) {
        return RC_OK;
    }
    bool is_lock = page_offset(b->pages + 1) == FILE_LOCK_BYTE;
    page_put32(to + local, b->pages + (is_lock ? 2 : 1));
    return write_overflow(b, slice_make(b->record.data + local, bytes - local), err);
}

/* ---- the end ------------------------------------------------------------------------------ */

static void fill_interior(uint8_t *page, const struct bulk_child *children, size_t count)
{
    size_t content = DB_USABLE_BYTES;
    memset(page, 0, DB_PAGE_BYTES);
    for (size_t i = 0; i + 1 < count; i++) {
        content -= sizeof(uint32_t) + varint_bytes(children[i].rowid);
        page_put16(page + PAGE_INTERIOR_HEAD + i * sizeof(uint16_t), (uint32_t)content);
        page_put32(page + content, children[i].page);
        (void)varint_put(page + content + sizeof(uint32_t), children[i].rowid);
    }
    page_head(page, PAGE_INTERIOR, (uint32_t)count - 1, content);
    page_put32(page + PAGE_RIGHT_AT, children[count - 1].page);
}

/* Pages above `level`, each with about as many children; these are then the level. */
static enum status add_level(struct db_bulk *b, struct bulk_children *level, struct errmsg *err)
{
    size_t pages = (level->count + BULK_CHILDREN_MAX - 1) / BULK_CHILDREN_MAX;
    for (size_t i = 0, begin = 0; i < pages; i++) {
        size_t end = level->count * (i + 1) / pages;
        uint8_t *page;
        enum status rc = add_page(b, &page, err);
        if (rc != RC_OK) {
            return rc;
        }
        fill_interior(page, level->items + begin, end - begin);
        level->items[i] = (struct bulk_child){level->items[end - 1].rowid, b->pages};
        begin = end;
    }
    level->count = pages;
    return RC_OK;
}

static enum status end_table(struct db_bulk *b, struct bulk_table *t, struct errmsg *err)
{
    enum status rc = RC_OK;
    if (t->leaf == NULL) {
        return RC_OK; /* as SQLite made it */
    }
    if (t->leaves.count > 0) {
        rc = leaf_end(b, t, err);
        while (rc == RC_OK && t->leaves.count > BULK_CHILDREN_MAX) {
            rc = add_level(b, &t->leaves, err);
        }
        if (rc == RC_OK) {
            fill_interior(t->leaf, t->leaves.items, t->leaves.count);
        }
    } else {
        page_head(t->leaf, PAGE_LEAF, t->cells, t->content);
    }
    return rc == RC_OK ? write_at(b, page_offset(t->root), t->leaf, DB_PAGE_BYTES, err) : rc;
}

/* The pages that SQLite made: the schema, and the first ones of tables. */
static enum status end_sql_pages(struct db_bulk *b, struct errmsg *err)
{
    uint8_t page[DB_PAGE_BYTES];
    enum status rc = RC_OK;
    for (uint32_t number = 1; rc == RC_OK && number <= b->sql_pages; number++) {
        size_t got = 0;
        rc = b->env->disk->read(b->file, page_offset(number), page, sizeof page, &got);
        rc = rc == RC_OK && got < sizeof page ? RC_IO : rc;
        if (rc != RC_OK) {
            return bulk_fail(b, rc, err);
        }
        if (number == 1) {
            page_put32(page + FILE_PAGES_AT, b->pages);
        }
        db_seal_page(page, number);
        rc = write_at(b, page_offset(number), page, sizeof page, err);
    }
    return rc;
}

enum status db_bulk_commit(struct db_bulk *b, struct errmsg *err)
{
    enum status rc = RC_OK;
    for (int i = 0; rc == RC_OK && i < b->table_count; i++) {
        rc = end_table(b, &b->tables[i], err);
    }
    if (rc == RC_OK) {
        rc = flush(b, err);
    }
    if (rc == RC_OK) {
        rc = end_sql_pages(b, err);
    }
    return rc == RC_OK ? sync_file(b, err) : rc;
}

/* ---- open and close ----------------------------------------------------------------------- */

enum status db_bulk_open(struct env *env, const char *path, const uint32_t *roots, int tables,
                         struct db_bulk **out, struct errmsg *err)
{
    struct db_bulk *b = mem_zalloc(sizeof *b);
    uint64_t bytes = 0;
    b->env = env;
    b->path = mem_strdup(path);
    b->tables = mem_zalloc((size_t)tables * sizeof b->tables[0]);
    b->table_count = tables;
    for (int i = 0; i < tables; i++) {
        b->tables[i].root = roots[i];
    }
    enum status rc = env->disk->open(env, path, ENV_OPEN_WRITE, &b->file);
    if (rc != RC_OK) {
        b->file = NULL;
    } else {
        rc = env->disk->size(b->file, &bytes);
    }
    if (rc != RC_OK) {
        (void)bulk_fail(b, rc, err);
        db_bulk_close(b);
        return rc;
    }
    PRE(bytes % DB_PAGE_BYTES == 0 && bytes > 0);
    b->pages = b->sql_pages = (uint32_t)(bytes / DB_PAGE_BYTES);
    buf_reserve(&b->out, BULK_WRITE_BYTES + 2 * DB_PAGE_BYTES);
    *out = b;
    return RC_OK;
}

void db_bulk_close(struct db_bulk *b)
{
    if (b == NULL) {
        return;
    }
    for (int i = 0; i < b->table_count; i++) {
        mem_free(b->tables[i].leaf);
        mem_free(b->tables[i].leaves.items);
    }
    if (b->file != NULL) {
        b->env->disk->close(b->file);
    }
    buf_close(&b->out);
    buf_close(&b->record);
    mem_free(b->tables);
    mem_free(b->path);
    mem_free(b);
}
