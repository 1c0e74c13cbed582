#include "store/db_scan.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "store/db_page.h"

/* Read at once. Tables are written in order, so the next pages are the ones wanted next. */
#define SCAN_WINDOW_BYTES ((size_t)256 << 10)
/* A tree of this depth would have more rows than there are rowids. */
#define SCAN_DEPTH_MAX 20

/* An interior page on the way to the leaf at hand. */
struct scan_level {
    uint8_t *page; /* a copy; made when first needed */
    uint32_t cells;
    uint32_t next; /* of its children; `cells` is the rightmost */
};

struct db_scan {
    struct env *env;
    struct env_file *file;
    char *path;
    size_t page_bytes;
    size_t usable; /* without the reserved end */
    uint32_t pages;
    uint32_t unread; /* pages of the tree that may still come: a damaged one may be a ring */
    uint8_t *window;
    uint32_t window_first; /* page numbers: [first, end) */
    uint32_t window_end;
    struct scan_level levels[SCAN_DEPTH_MAX];
    int depth;
    const uint8_t *leaf; /* in the window; NULL: none at hand */
    uint32_t leaf_cells;
    uint32_t leaf_next;
    struct buf payload; /* of a row that overflows */
    uint32_t page;      /* the last one looked at, for errors */
};

static enum status scan_corrupt(const struct db_scan *s, struct errmsg *err)
{
    return errmsg_set(err, RC_CORRUPT, "%s: page %" PRIu32 " of the database is damaged", s->path,
                      s->page);
}

/* ---- pages -------------------------------------------------------------------------------- */

static enum status read_file(struct db_scan *s, uint64_t offset, void *to, size_t bytes,
                             struct errmsg *err)
{
    size_t got = 0;
    enum status rc = s->env->disk->read(s->file, offset, to, bytes, &got);
    if (rc != RC_OK) {
        return errmsg_set(err, rc, "%s: %s", s->path, status_text(rc));
    }
    return got == bytes ? RC_OK : scan_corrupt(s, err);
}

static bool in_window(const struct db_scan *s, uint32_t number)
{
    return number >= s->window_first && number < s->window_end;
}

static const uint8_t *window_page(const struct db_scan *s, uint32_t number)
{
    return s->window + (size_t)(number - s->window_first) * s->page_bytes;
}

/* A page of the tree; valid until the next one is taken. */
static enum status take_page(struct db_scan *s, uint32_t number, const uint8_t **out,
                             struct errmsg *err)
{
    s->page = number;
    if (number < 2 || number > s->pages || s->unread == 0) {
        return scan_corrupt(s, err);
    }
    s->unread--;
    if (!in_window(s, number)) {
        size_t most = SCAN_WINDOW_BYTES / s->page_bytes;
        size_t there = s->pages - number + 1;
        size_t count = there < most ? there : most;
        s->window_first = s->window_end = 0;
        enum status rc = read_file(s, (uint64_t)(number - 1) * s->page_bytes, s->window,
                                   count * s->page_bytes, err);
        if (rc != RC_OK) {
            return rc;
        }
        s->window_first = number;
        s->window_end = number + (uint32_t)count;
    }
    *out = window_page(s, number);
    return RC_OK;
}

/* Goes down into a page: the leaf at hand, or one more level. */
static enum status enter(struct db_scan *s, uint32_t number, struct errmsg *err)
{
    const uint8_t *page = NULL;
    enum status rc = take_page(s, number, &page, err);
    if (rc != RC_OK) {
        return rc;
    }
    uint32_t cells = page_get16(page + PAGE_CELLS_AT);
    size_t head = page[0] == PAGE_LEAF ? PAGE_LEAF_HEAD : PAGE_INTERIOR_HEAD;
    if (head + 2 * (size_t)cells > s->usable) {
        return scan_corrupt(s, err);
    }
    if (page[0] == PAGE_LEAF) {
        s->leaf = page;
        s->leaf_cells = cells;
        s->leaf_next = 0;
        return RC_OK;
    }
    if (page[0] != PAGE_INTERIOR || s->depth == SCAN_DEPTH_MAX) {
        return scan_corrupt(s, err);
    }
    struct scan_level *level = &s->levels[s->depth++];
    if (level->page == NULL) {
        level->page = mem_alloc(s->page_bytes);
    }
    memcpy(level->page, page, s->page_bytes);
    level->cells = cells;
    level->next = 0;
    return RC_OK;
}

/* The child that is next in the deepest page on the way; its number is in `child`. */
static enum status next_child(struct db_scan *s, uint32_t *child, struct errmsg *err)
{
    struct scan_level *level = &s->levels[s->depth - 1];
    uint32_t number = level->next++;
    if (number == level->cells) {
        *child = page_get32(level->page + PAGE_RIGHT_AT);
        return RC_OK;
    }
    size_t at = page_get16(level->page + PAGE_INTERIOR_HEAD + 2 * (size_t)number);
    if (at + sizeof(uint32_t) > s->usable) {
        return scan_corrupt(s, err);
    }
    *child = page_get32(level->page + at);
    return RC_OK;
}

/* Until a leaf with a cell is at hand, or the end. */
static enum status find_leaf(struct db_scan *s, bool *found, struct errmsg *err)
{
    while (s->leaf == NULL || s->leaf_next == s->leaf_cells) {
        s->leaf = NULL;
        while (s->depth > 0 && s->levels[s->depth - 1].next > s->levels[s->depth - 1].cells) {
            s->depth--;
        }
        if (s->depth == 0) {
            *found = false;
            return RC_OK;
        }
        uint32_t child = 0;
        enum status rc = next_child(s, &child, err);
        if (rc == RC_OK) {
            rc = enter(s, child, err);
        }
        if (rc != RC_OK) {
            return rc;
        }
    }
    *found = true;
    return RC_OK;
}

/* ---- rows --------------------------------------------------------------------------------- */

/* Puts a payload together whose first `local` bytes are at `from`, the page of the rest behind. */
static enum status gather(struct db_scan *s, const uint8_t *from, size_t local, size_t bytes,
                          struct errmsg *err)
{
    uint32_t next = page_get32(from + local);
    buf_clear(&s->payload);
    buf_append(&s->payload, from, local);
    while (s->payload.size < bytes) {
        size_t left = bytes - s->payload.size;
        size_t piece = left < s->usable - 4 ? left : s->usable - 4;
        uint8_t head[4];
        s->page = next;
        if (next < 2 || next > s->pages) {
            return scan_corrupt(s, err);
        }
        uint64_t offset = (uint64_t)(next - 1) * s->page_bytes;
        if (in_window(s, next)) {
            const uint8_t *page = window_page(s, next);
            buf_append(&s->payload, page + sizeof head, piece);
            next = page_get32(page);
            continue;
        }
        enum status rc = read_file(s, offset, head, sizeof head, err);
        if (rc == RC_OK) {
            rc = read_file(s, offset + sizeof head, buf_extend(&s->payload, piece), piece, err);
        }
        if (rc != RC_OK) {
            return rc;
        }
        next = page_get32(head);
    }
    return RC_OK;
}

/* The payload of the next cell of the leaf. */
static enum status take_payload(struct db_scan *s, struct slice *payload, struct errmsg *err)
{
    size_t place = page_get16(s->leaf + PAGE_LEAF_HEAD + 2 * (size_t)s->leaf_next++);
    const uint8_t *end = s->leaf + s->usable;
    const uint8_t *at = s->leaf + (place < s->usable ? place : s->usable);
    uint64_t bytes = 0;
    uint64_t rowid;
    at = varint_get(at, end, &bytes);
    at = at == NULL ? NULL : varint_get(at, end, &rowid);
    uint64_t file_bytes = (uint64_t)s->pages * s->page_bytes;
    if (at == NULL || bytes > DB_RECORD_BYTES_MAX || bytes > file_bytes) {
        return scan_corrupt(s, err);
    }
    size_t local = leaf_local_bytes(s->usable, (size_t)bytes);
    size_t needed = local + (local < bytes ? sizeof(uint32_t) : 0);
    if (needed > (size_t)(end - at)) {
        return scan_corrupt(s, err);
    }
    if (local == bytes) {
        *payload = slice_make(at, (size_t)bytes);
        return RC_OK;
    }
    enum status rc = gather(s, at, local, (size_t)bytes, err);
    *payload = buf_slice(&s->payload);
    return rc;
}

static uint64_t get_integer(const uint8_t *p, size_t bytes)
{
    uint64_t v = (uint64_t)(int64_t)(int8_t)p[0];
    for (size_t i = 1; i < bytes; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

/* The value of one column at `body`; the place behind it, NULL if there is no such value. */
static const uint8_t *take_cell(uint64_t type, const uint8_t *body, const uint8_t *end,
                                struct db_cell *cell)
{
    static const uint8_t sizes[] = {0, 1, 2, 3, 4, 6, 8};
    *cell = (struct db_cell){.type = DB_NULL};
    size_t left = (size_t)(end - body);
    if (type >= RECORD_BLOB) {
        uint64_t bytes = (type - RECORD_BLOB) / 2;
        cell->type = (type & 1) == 0 ? DB_BLOB : DB_TEXT;
        cell->bytes = slice_make(body, (size_t)bytes);
        return bytes <= left ? body + bytes : NULL;
    }
    if (type == RECORD_NULL) {
        return body;
    }
    cell->type = DB_INTEGER;
    if (type == RECORD_ZERO || type == RECORD_ONE) {
        cell->integer = type - RECORD_ZERO;
        return body;
    }
    if (type > RECORD_I64 || sizes[type] > left) {
        return NULL; /* a float, or reserved: we never write these */
    }
    cell->integer = get_integer(body, sizes[type]);
    return body + sizes[type];
}

static bool take_record(struct slice payload, struct db_cell *cells, int count)
{
    const uint8_t *end = payload.data + payload.size;
    uint64_t head_bytes = 0;
    const uint8_t *types = varint_get(payload.data, end, &head_bytes);
    if (types == NULL || head_bytes > payload.size) {
        return false;
    }
    const uint8_t *types_end = payload.data + head_bytes;
    const uint8_t *body = types_end;
    for (int i = 0; i < count; i++) {
        uint64_t type = 0;
        types = varint_get(types, types_end, &type);
        body = types == NULL ? NULL : take_cell(type, body, end, &cells[i]);
        if (body == NULL) {
            return false;
        }
    }
    return types == types_end && body == end;
}

enum status db_scan_next(struct db_scan *s, struct db_cell *cells, int count, bool *found,
                         struct errmsg *err)
{
    struct slice payload = slice_make(NULL, 0);
    enum status rc = find_leaf(s, found, err);
    if (rc != RC_OK || !*found) {
        return rc;
    }
    rc = take_payload(s, &payload, err);
    if (rc == RC_OK && !take_record(payload, cells, count)) {
        rc = scan_corrupt(s, err);
    }
    return rc;
}

/* ---- open and close ----------------------------------------------------------------------- */

static enum status read_head(struct db_scan *s, struct errmsg *err)
{
    uint8_t head[FILE_HEAD_BYTES];
    uint64_t bytes = 0;
    enum status rc = s->env->disk->size(s->file, &bytes);
    if (rc != RC_OK) {
        return errmsg_set(err, rc, "%s: %s", s->path, status_text(rc));
    }
    s->page = 1;
    rc = read_file(s, 0, head, sizeof head, err);
    if (rc != RC_OK) {
        return rc;
    }
    uint32_t page_bytes = page_get16(head + FILE_PAGE_BYTES_AT);
    page_bytes = page_bytes == 1 ? 65536 : page_bytes;
    bool is_power = (page_bytes & (page_bytes - 1)) == 0;
    bool is_utf8 = page_get32(head + FILE_ENCODING_AT) == FILE_ENCODING_UTF8;
    if (!is_power || page_bytes < 512 || !is_utf8 || bytes / page_bytes > UINT32_MAX - 1) {
        return scan_corrupt(s, err);
    }
    s->page_bytes = page_bytes;
    s->usable = page_bytes - head[FILE_RESERVED_AT];
    s->pages = (uint32_t)(bytes / page_bytes);
    s->unread = s->pages;
    return s->usable >= 480 ? RC_OK : scan_corrupt(s, err);
}

enum status db_scan_open(struct env *env, const char *path, uint32_t root, struct db_scan **out,
                         struct errmsg *err)
{
    struct db_scan *s = mem_zalloc(sizeof *s);
    s->env = env;
    s->path = mem_strdup(path);
    enum status rc = env->disk->open(env, path, ENV_OPEN_READ, &s->file);
    if (rc != RC_OK) {
        s->file = NULL;
        (void)errmsg_set(err, rc, "%s: %s", path, status_text(rc));
    } else {
        rc = read_head(s, err);
    }
    if (rc == RC_OK) {
        s->window = mem_alloc(SCAN_WINDOW_BYTES);
        rc = enter(s, root, err);
    }
    if (rc != RC_OK) {
        db_scan_close(s);
        return rc;
    }
    *out = s;
    return RC_OK;
}

void db_scan_close(struct db_scan *s)
{
    if (s == NULL) {
        return;
    }
    if (s->file != NULL) {
        s->env->disk->close(s->file);
    }
    for (int i = 0; i < SCAN_DEPTH_MAX; i++) {
        mem_free(s->levels[i].page);
    }
    buf_close(&s->payload);
    mem_free(s->window);
    mem_free(s->path);
    mem_free(s);
}
