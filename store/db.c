/* SQLite over the env's disk.
 *
 * What SQLite asks of a VFS beyond reading and writing the one file is answered without the disk:
 * there is one user of the file, so locks are granted; there are no journals, so none exists and
 * none is opened, not even one that an operator's shell left beside; there is no clock and no
 * randomness, so both stand still.
 *
 * Errors. The first disk call that fails is remembered in `disk_rc` and wins over whatever SQLite
 * makes of it. Anything else that goes wrong while reading is damage; while writing it is I/O.
 */
#include "store/db.h"

#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "base/assert.h"
#include "base/mem.h"
#include "store/db_page.h"

/* Of SQLite's page cache; more buys nothing when rows go by once. */
#define DB_CACHE_KIB 2048
/* The name that SQLite believes the file has. The real path stays out of its hands: it would take
 * one that begins with "file:" for a URI. */
#define DB_FILE_NAME "database"

struct db {
    struct env *env;
    char *path;
    sqlite3 *handle;
    struct env_file *file; /* while SQLite has it open */
    bool is_writable;
    enum status disk_rc; /* of the first disk call that failed */
    sqlite3_vfs vfs;
    char vfs_name[32];
};

struct db_query {
    struct db *db;
    sqlite3_stmt *statement;
    int columns;
    int parameters;
    struct db_cell *bound; /* the parameters, which SQLite keeps from one run to the next */
};

/* What SQLite allocates for the open file. */
struct db_file {
    sqlite3_file base;
    struct db *db;
};

/* ---- the VFS: files ---------------------------------------------------------------------- */

static struct db *file_db(sqlite3_file *file)
{
    return ((struct db_file *)(void *)file)->db;
}

/* Remembers a failure and names it for SQLite; `code` is what it calls trouble of this kind. */
static int disk_result(struct db *db, enum status rc, int code)
{
    if (rc == RC_OK) {
        return SQLITE_OK;
    }
    if (db->disk_rc == RC_OK) {
        db->disk_rc = rc;
    }
    return rc == RC_NO_SPACE ? SQLITE_FULL : code;
}

static int file_close(sqlite3_file *file)
{
    struct db *db = file_db(file);
    db->env->disk->close(db->file);
    db->file = NULL;
    return SQLITE_OK;
}

static int file_read(sqlite3_file *file, void *to, int bytes, sqlite3_int64 offset)
{
    struct db *db = file_db(file);
    size_t got = 0;
    enum status rc = db->env->disk->read(db->file, (uint64_t)offset, to, (size_t)bytes, &got);
    if (rc != RC_OK) {
        return disk_result(db, rc, SQLITE_IOERR_READ);
    }
    if (got < (size_t)bytes) {
        /* SQLite reads beyond the end on purpose and wants zeros there. */
        memset((char *)to + got, 0, (size_t)bytes - got);
        return SQLITE_IOERR_SHORT_READ;
    }
    return SQLITE_OK;
}

static int file_write(sqlite3_file *file, const void *from, int bytes, sqlite3_int64 offset)
{
    struct db *db = file_db(file);
    enum status rc = db->env->disk->write(db->file, (uint64_t)offset, from, (size_t)bytes);
    return disk_result(db, rc, SQLITE_IOERR_WRITE);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 bytes)
{
    struct db *db = file_db(file);
    enum status rc = db->env->disk->truncate(db->file, (uint64_t)bytes);
    return disk_result(db, rc, SQLITE_IOERR_TRUNCATE);
}

/* Not called as long as synchronous is OFF; db_commit syncs. */
static int file_sync(sqlite3_file *file, int flags)
{
    struct db *db = file_db(file);
    (void)flags;
    return disk_result(db, db->env->disk->sync(db->file), SQLITE_IOERR_FSYNC);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *bytes)
{
    struct db *db = file_db(file);
    uint64_t size = 0;
    enum status rc = db->env->disk->size(db->file, &size);
    *bytes = (sqlite3_int64)size;
    return disk_result(db, rc, SQLITE_IOERR_FSTAT);
}

static int file_lock(sqlite3_file *file, int level)
{
    (void)file;
    (void)level;
    return SQLITE_OK;
}

static int file_check_reserved_lock(sqlite3_file *file, int *is_reserved)
{
    (void)file;
    *is_reserved = 0;
    return SQLITE_OK;
}

static int file_control(sqlite3_file *file, int operation, void *argument)
{
    (void)file;
    (void)operation;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *file)
{
    (void)file;
    return DB_PAGE_BYTES;
}

static int file_characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods file_methods = {
    .iVersion = 1, /* no shared memory, no mapping */
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_lock,
    .xCheckReservedLock = file_check_reserved_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
};

/* ---- the VFS: names, clock, chance ------------------------------------------------------- */

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags,
                    int *out_flags)
{
    struct db *db = vfs->pAppData;
    struct db_file *opened = (struct db_file *)(void *)file;

    opened->base.pMethods = NULL; /* SQLite closes only what has methods */
    if ((flags & SQLITE_OPEN_MAIN_DB) == 0 || db->file != NULL) {
        return SQLITE_CANTOPEN; /* a journal or a spill file: none is ever needed */
    }
    PRE(strcmp(name, DB_FILE_NAME) == 0);
    int how =
        db->is_writable ? ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE : ENV_OPEN_READ;
    enum status rc = db->env->disk->open(db->env, db->path, how, &db->file);
    if (rc != RC_OK) {
        db->file = NULL;
        return disk_result(db, rc, SQLITE_CANTOPEN);
    }
    opened->db = db;
    opened->base.pMethods = &file_methods;
    if (out_flags != NULL) {
        *out_flags = flags;
    }
    return SQLITE_OK;
}

/* Only journals are ever deleted, and there are none. */
static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
    (void)vfs;
    (void)name;
    (void)sync_directory;
    return SQLITE_IOERR_DELETE_NOENT;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int what, int *answer)
{
    (void)vfs;
    (void)name;
    (void)what;
    *answer = 0;
    return SQLITE_OK;
}

static int vfs_full_name(sqlite3_vfs *vfs, const char *name, int bytes, char *out)
{
    (void)vfs;
    (void)sqlite3_snprintf(bytes, out, "%s", name);
    return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int bytes, char *out)
{
    (void)vfs;
    memset(out, 0, (size_t)bytes);
    return bytes;
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    return microseconds;
}

static int vfs_current_time(sqlite3_vfs *vfs, double *julian_day)
{
    (void)vfs;
    *julian_day = 2440587.5; /* 1970-01-01 */
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int bytes, char *text)
{
    (void)vfs;
    if (bytes > 0) {
        text[0] = '\0';
    }
    return 0;
}

static enum status vfs_register(struct db *db)
{
    /* The address of a live db is a name that no other one has. */
    (void)snprintf(db->vfs_name, sizeof db->vfs_name, "coord-%p", (void *)db);
    db->vfs = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = (int)sizeof(struct db_file),
        .mxPathname = (int)sizeof DB_FILE_NAME + 16, /* SQLite appends "-journal" */
        .zName = db->vfs_name,
        .pAppData = db,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_name,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_current_time,
        .xGetLastError = vfs_last_error,
    };
    return sqlite3_vfs_register(&db->vfs, 0) == SQLITE_OK ? RC_OK : RC_NO_MEMORY;
}

/* ---- open and close ---------------------------------------------------------------------- */

/* What a SQLite result means to us, with the story in `err`. */
static enum status db_fail(struct db *db, int code, struct errmsg *err)
{
    if (db->disk_rc != RC_OK) {
        return errmsg_set(err, db->disk_rc, "%s: %s", db->path, status_text(db->disk_rc));
    }
    enum status rc = db->is_writable ? RC_IO : RC_CORRUPT;
    switch (code & 0xff) { /* without the extension */
    case SQLITE_NOMEM: rc = RC_NO_MEMORY; break;
    case SQLITE_TOOBIG: rc = db->is_writable ? RC_TOO_LARGE : RC_CORRUPT; break;
    case SQLITE_AUTH: rc = RC_REFUSED; break;
    default: break;
    }
    const char *story = db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code);
    return errmsg_set(err, rc, "%s: %s", db->path, story);
}

/* Lets through what our own statements need. SQL functions are refused as a whole: random(),
 * randomblob(), datetime(), CURRENT_TIMESTAMP and their like are functions. */
static int authorize(void *context, int action, const char *first, const char *second,
                     const char *database, const char *inner)
{
    (void)context;
    (void)first;
    (void)second;
    (void)database;
    (void)inner;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_INSERT:
    case SQLITE_UPDATE: /* CREATE TABLE updates the schema's own table */
    case SQLITE_CREATE_TABLE:
    case SQLITE_TRANSACTION:
    case SQLITE_PRAGMA: return SQLITE_OK;
    default: return SQLITE_DENY;
    }
}

static enum status db_connect(struct env *env, const char *path, bool is_writable,
                              struct db **out, struct errmsg *err)
{
    struct db *db = mem_zalloc(sizeof *db);
    db->env = env;
    db->path = mem_strdup(path);
    db->is_writable = is_writable;
    enum status rc = vfs_register(db);
    if (rc != RC_OK) {
        mem_free(db->path);
        mem_free(db);
        return errmsg_set(err, rc, "%s: %s", path, status_text(rc));
    }
    int flags = is_writable ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    int code =
        sqlite3_open_v2(DB_FILE_NAME, &db->handle, flags | SQLITE_OPEN_NOMUTEX, db->vfs_name);
    if (code == SQLITE_OK) {
        (void)sqlite3_limit(db->handle, SQLITE_LIMIT_LENGTH, (int)DB_RECORD_BYTES_MAX);
        (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        /* Defensive would also forbid writing without a journal. */
        (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, is_writable ? 0 : 1,
                                NULL);
        code = sqlite3_set_authorizer(db->handle, authorize, NULL);
    }
    if (code != SQLITE_OK) {
        rc = db_fail(db, code, err);
        db_close(db);
        return rc;
    }
    *out = db;
    return RC_OK;
}

enum status db_create(struct env *env, const char *path, uint32_t application_id,
                      struct db **out, struct errmsg *err)
{
    char settings[320];
    struct db *db = NULL;
    enum status rc = db_connect(env, path, true, &db, err);
    if (rc != RC_OK) {
        return rc;
    }
    /* No journal and no syncs: a file that was not finished is thrown away as a whole. */
    (void)snprintf(settings, sizeof settings,
                   "PRAGMA page_size=%zu; PRAGMA encoding='UTF-8'; PRAGMA auto_vacuum=NONE;"
                   "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=OFF;"
                   "PRAGMA synchronous=OFF; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-%d;"
                   "BEGIN; PRAGMA application_id=%d;",
                   DB_PAGE_BYTES, DB_CACHE_KIB, (int)application_id);
    int reserved = DB_SEAL_BYTES;
    int code = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    rc = code == SQLITE_OK ? db_run(db, settings, err) : db_fail(db, code, err);
    if (rc != RC_OK) {
        db_close(db);
        return rc;
    }
    *out = db;
    return RC_OK;
}

static enum status check_application(struct db *db, uint32_t application_id, struct errmsg *err)
{
    struct db_query *query = NULL;
    struct db_cell cell = {.type = DB_NULL};
    bool found = false;
    enum status rc = db_prepare(db, "PRAGMA application_id", &query, err);
    if (rc == RC_OK) {
        rc = db_next(query, &cell, 1, &found, err);
    }
    if (rc == RC_OK && (!found || (uint32_t)cell.integer != application_id)) {
        rc = errmsg_set(err, RC_CORRUPT, "%s: a database, but none of ours", db->path);
    }
    db_query_close(query);
    return rc;
}

enum status db_open(struct env *env, const char *path, uint32_t application_id, struct db **out,
                    struct errmsg *err)
{
    static const char settings[] = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=MEMORY;"
                                   "PRAGMA cell_size_check=ON;";
    struct db *db = NULL;
    enum status rc = db_connect(env, path, false, &db, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = db_run(db, settings, err);
    if (rc == RC_OK) {
        rc = check_application(db, application_id, err);
    }
    if (rc != RC_OK) {
        db_close(db);
        return rc;
    }
    *out = db;
    return RC_OK;
}

enum status db_commit(struct db *db, struct errmsg *err)
{
    PRE(db->is_writable);
    enum status rc = db_run(db, "COMMIT", err);
    if (rc != RC_OK) {
        return rc;
    }
    int code = disk_result(db, db->env->disk->sync(db->file), SQLITE_IOERR_FSYNC);
    return code == SQLITE_OK ? RC_OK : db_fail(db, code, err);
}

void db_close(struct db *db)
{
    /* Refused by SQLite only when a query is still open. Its VFS must not go before it. */
    int code = sqlite3_close(db->handle);
    PRE(code == SQLITE_OK);
    code = sqlite3_vfs_unregister(&db->vfs);
    POST(code == SQLITE_OK);
    mem_free(db->path);
    mem_free(db);
}

enum status db_root_page(struct db *db, const char *table, uint32_t *page, struct errmsg *err)
{
    struct db_cell cell = {.type = DB_TEXT, .bytes = slice_str(table)};
    struct db_query *query = NULL;
    bool found = false;
    enum status rc =
        db_prepare(db, "SELECT rootpage FROM sqlite_schema WHERE name = ?", &query, err);
    if (rc == RC_OK) {
        rc = db_bind(query, 0, &cell, 1, err);
    }
    if (rc == RC_OK) {
        rc = db_next(query, &cell, 1, &found, err);
    }
    bool is_page = found && cell.type == DB_INTEGER && cell.integer <= UINT32_MAX;
    if (rc == RC_OK && !is_page) {
        rc = errmsg_set(err, RC_CORRUPT, "%s: table %s is not there", db->path, table);
    }
    *page = rc == RC_OK ? (uint32_t)cell.integer : 0;
    db_query_close(query);
    return rc;
}

/* ---- statements -------------------------------------------------------------------------- */

enum status db_run(struct db *db, const char *sql, struct errmsg *err)
{
    int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? RC_OK : db_fail(db, code, err);
}

enum status db_prepare(struct db *db, const char *sql, struct db_query **out,
                       struct errmsg *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL);
    if (code != SQLITE_OK) {
        return db_fail(db, code, err);
    }
    struct db_query *query = mem_alloc(sizeof *query);
    query->db = db;
    query->statement = statement;
    query->columns = sqlite3_column_count(statement);
    query->parameters = sqlite3_bind_parameter_count(statement);
    query->bound = mem_zalloc((size_t)(query->parameters + 1) * sizeof *query->bound);
    *out = query;
    return RC_OK;
}

void db_query_close(struct db_query *query)
{
    if (query != NULL) {
        (void)sqlite3_finalize(query->statement); /* repeats the error of the last step */
        mem_free(query->bound);
        mem_free(query);
    }
}

static int bind_cell(sqlite3_stmt *statement, int column, const struct db_cell *cell)
{
    /* A NULL pointer would become NULL instead of nothing of length 0. */
    const void *bytes = cell->bytes.size > 0 ? (const void *)cell->bytes.data : "";
    switch (cell->type) {
    case DB_INTEGER: return sqlite3_bind_int64(statement, column, (sqlite3_int64)cell->integer);
    case DB_TEXT:
        return sqlite3_bind_text64(statement, column, bytes, cell->bytes.size, SQLITE_STATIC,
                                   SQLITE_UTF8);
    case DB_BLOB:
        return sqlite3_bind_blob64(statement, column, bytes, cell->bytes.size, SQLITE_STATIC);
    case DB_NULL: break;
    }
    return sqlite3_bind_null(statement, column);
}

enum status db_bind(struct db_query *query, int first, const struct db_cell *cells, int count,
                    struct errmsg *err)
{
    PRE(first >= 0 && first + count <= query->parameters);
    if (first == 0) {
        (void)sqlite3_reset(query->statement); /* repeats the error of the last step */
    }
    for (int i = 0; i < count; i++) {
        struct db_cell *bound = &query->bound[first + i];
        /* Most numbers are those of the time before: not binding them again is worth a tenth. */
        if (cells[i].type == DB_INTEGER && bound->type == DB_INTEGER &&
            cells[i].integer == bound->integer) {
            continue;
        }
        int code = bind_cell(query->statement, first + i + 1, &cells[i]);
        if (code != SQLITE_OK) {
            return db_fail(query->db, code, err);
        }
        *bound = cells[i];
    }
    return RC_OK;
}

/* A value is asked for once: each sqlite3_column_* call finds it anew. */
static enum status read_cell(struct db_query *query, int column, struct db_cell *cell,
                             struct errmsg *err)
{
    sqlite3_value *value = sqlite3_column_value(query->statement, column);
    *cell = (struct db_cell){.type = DB_NULL};
    switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
        cell->type = DB_INTEGER;
        cell->integer = (uint64_t)sqlite3_value_int64(value);
        return RC_OK;
    case SQLITE_TEXT: cell->type = DB_TEXT; break;
    case SQLITE_BLOB: cell->type = DB_BLOB; break;
    case SQLITE_NULL: return RC_OK;
    default:
        return errmsg_set(err, RC_CORRUPT, "%s: a cell of a type we never write",
                          query->db->path);
    }
    const void *bytes = sqlite3_value_blob(value);
    cell->bytes = slice_make(bytes, (size_t)sqlite3_value_bytes(value));
    if (bytes == NULL && cell->bytes.size > 0) {
        return db_fail(query->db, SQLITE_NOMEM, err);
    }
    return RC_OK;
}

enum status db_next(struct db_query *query, struct db_cell *cells, int count, bool *found,
                    struct errmsg *err)
{
    int code = sqlite3_step(query->statement);
    *found = code == SQLITE_ROW;
    if (code == SQLITE_DONE) {
        (void)sqlite3_reset(query->statement);
        return RC_OK;
    }
    if (code != SQLITE_ROW) {
        return db_fail(query->db, code, err);
    }
    for (int i = 0; i < count && i < query->columns; i++) {
        enum status rc = read_cell(query, i, &cells[i], err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    return RC_OK;
}

enum status db_execute(struct db_query *query, struct errmsg *err)
{
    bool found = false;
    return db_next(query, NULL, 0, &found, err);
}
