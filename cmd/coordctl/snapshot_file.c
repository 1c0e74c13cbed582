#include "cmd/coordctl/snapshot_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/env_uv.h"
#include "lease/lease.h"
#include "lease/table.h"
#include "raft/engine.h"
#include "store/db.h"
#include "store/rebirth.h"
#include "store/snapshot.h"
#include "store/snapshot_table.h"
#include "store/store.h"

typedef void (*row_fn)(struct snapshot_facts *f, const struct db_cell *cells);

static enum status each_row(struct db *db, const char *sql, int columns, row_fn fn,
                            struct snapshot_facts *f, struct errmsg *err)
{
    struct db_query *query = NULL;
    struct db_cell cells[2] = {{.type = DB_NULL}};
    bool found = true;
    enum status rc = db_prepare(db, sql, &query, err);
    while (rc == RC_OK) {
        rc = db_next(query, cells, columns, &found, err);
        if (rc != RC_OK || !found) {
            break;
        }
        fn(f, cells);
    }
    db_query_close(query);
    return rc;
}

static void take_meta(struct snapshot_facts *f, const struct db_cell *cells)
{
    const struct slice value = cells[1].bytes;
    if (slice_is(cells[0].bytes, "version")) {
        snprintf(f->version, sizeof f->version, "%.*s", (int)value.size,
                 (const char *)value.data);
    } else if (slice_is(cells[0].bytes, "format")) {
        char text[24];
        snprintf(text, sizeof text, "%.*s", (int)value.size, (const char *)value.data);
        f->format = strtoull(text, NULL, 10);
    }
}

static void take_time(struct snapshot_facts *f, const struct db_cell *cells)
{
    f->wall_ms = cells[0].integer;
}

/* What loading leaves out. The file is proved by then. */
static enum status read_rest(struct env *env, const char *path, struct snapshot_facts *f,
                             struct errmsg *err)
{
    struct db *db;
    enum status rc = db_open(env, path, SNAPSHOT_APPLICATION_ID, &db, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = each_row(db, "SELECT name, value FROM meta", 2, take_meta, f, err);
    if (rc == RC_OK) {
        rc =
            each_row(db, "SELECT wall_ms FROM changes ORDER BY revision DESC, sub DESC LIMIT 1",
                     1, take_time, f, err);
    }
    db_close(db);
    return rc;
}

static void count_leases(const struct store *store, struct snapshot_facts *f)
{
    const struct lease *l = NULL;
    while ((l = store_lease_next(store, l != NULL ? l->id : 0)) != NULL) {
        *(l->kind == LEASE_PLAIN ? &f->leases : &f->sessions) += 1;
    }
}

static void take_configuration(struct snapshot_facts *f, const struct engine_configuration *c)
{
    static const char *const roles[] = {
        [ENGINE_STANDBY] = "standby", [ENGINE_VOTER] = "voter", [ENGINE_SPARE] = "spare"};
    for (size_t i = 0; i < c->count && i < SNAPSHOT_MEMBERS_MAX; i++) {
        const struct engine_member *from = &c->members[i]; /* "n1=10.0.0.1:7401" */
        struct snapshot_member *to = &f->members[f->member_count++];
        const char *equals = strchr(from->address, '=');
        size_t name = equals != NULL ? (size_t)(equals - from->address) : 0;
        to->id = from->id;
        to->role = roles[from->role];
        snprintf(to->name, sizeof to->name, "%.*s", (int)name, from->address);
        snprintf(to->address, sizeof to->address, "%s", from->address + name + (name > 0));
    }
}

static enum status take_content(struct snapshot_facts *f, const char *path,
                                const struct snapshot_meta *meta, const struct store *store,
                                struct errmsg *err)
{
    struct engine_configuration configuration;
    f->cluster_id = meta->cluster_id;
    f->revision = meta->revision;
    f->index = meta->index;
    f->term = meta->term;
    f->digest = meta->digest;
    f->content_digest = store_content_digest(store);
    f->nodes = store_node_count(store);
    f->history_floor = store_history_floor(store);
    count_leases(store, f);
    enum status rc =
        engine_configuration_decode(buf_slice(&meta->configuration), &configuration);
    if (rc != RC_OK) {
        return errmsg_set(err, RC_CORRUPT, "%s: the list of members is damaged", path);
    }
    take_configuration(f, &configuration);
    return RC_OK;
}

static enum status read_size(struct env *env, const char *path, uint64_t *bytes,
                             struct errmsg *err)
{
    struct env_file *file;
    enum status rc = env->disk->open(env, path, ENV_OPEN_READ, &file);
    if (rc == RC_OK) {
        rc = env->disk->size(file, bytes);
        env->disk->close(file);
    }
    return rc == RC_OK ? RC_OK : errmsg_set(err, rc, "%s: %s", path, status_text(rc));
}

static enum status read_all(struct env *env, const char *path, struct snapshot_facts *f,
                            struct errmsg *err)
{
    struct store *store;
    struct snapshot_meta meta = {.index = 0};
    enum status rc = read_size(env, path, &f->bytes, err);
    if (rc == RC_OK) {
        rc = snapshot_load(env, path, &store, &meta, err);
    }
    if (rc == RC_CORRUPT) {
        return errmsg_wrap(err, "not a whole snapshot, or damaged");
    }
    if (rc != RC_OK) {
        return rc;
    }
    rc = take_content(f, path, &meta, store, err);
    store_free(store);
    snapshot_meta_close(&meta);
    return rc == RC_OK ? read_rest(env, path, f, err) : rc;
}

/* The disk is that of the real env, which wants a loop although nothing here runs on it. */
enum status snapshot_facts_read(const char *path, struct snapshot_facts *out,
                                struct errmsg *err)
{
    uv_loop_t loop;
    *out = (struct snapshot_facts){.bytes = 0};
    if (uv_loop_init(&loop) != 0) {
        return errmsg_set(err, RC_IO, "no event loop can be made");
    }
    struct env *env = env_uv_new(&loop, NULL);
    enum status rc = read_all(env, path, out, err);
    env_uv_free(env);
    (void)uv_loop_close(&loop);
    return rc;
}
