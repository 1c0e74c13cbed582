#include "raft/rebirth.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mutant.h"
#include "raft/dir_above.h"
#include "raft/engine.h"
#include "raft/identity.h"
#include "raft/snapshot_store.h"
#include "raft/wal.h"

#define PATH_BYTES 4096

/* ---- the directory ------------------------------------------------------------------------ */

struct listing {
    char found[64]; /* "" = nothing that counts */
};

static void list_name(void *context, const char *name, uint64_t bytes)
{
    struct listing *l = context;
    bool counts = strcmp(name, "lost+found") != 0 && (strcmp(name, "lock") != 0 || bytes != 0);
    if (counts && l->found[0] == '\0') {
        (void)snprintf(l->found, sizeof l->found, "%s", name);
    }
}

enum status rebirth_check_dir(struct env *env, const char *dir, struct errmsg *err)
{
    struct listing l = {.found = ""};
    enum status rc = env->disk->list(env, dir, list_name, &l);
    if (rc == RC_NOT_FOUND) {
        return RC_OK;
    }
    if (rc != RC_OK) {
        return errmsg_set(err, rc, "list data dir %s: %s", dir, status_text(rc));
    }
    if (l.found[0] != '\0') {
        return errmsg_set(err, RC_EXISTS,
                          "data dir %s is not empty, it holds \"%s\": nothing is overwritten; "
                          "move it away or name another one",
                          dir, l.found);
    }
    return RC_OK;
}

static enum status make_dir(struct env *env, const char *dir, struct errmsg *err)
{
    char lock[PATH_BYTES];
    enum status rc = rebirth_check_dir(env, dir, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = env->disk->mkdir(env, dir);
    if (rc == RC_NOT_FOUND) {
        return errmsg_set(err, rc, "create data dir %s: the directory above it does not exist",
                          dir);
    }
    if (rc != RC_OK) {
        return errmsg_set(err, rc, "create data dir %s: %s", dir, status_text(rc));
    }
    (void)snprintf(lock, sizeof lock, "%s/lock", dir);
    rc = env->disk->lock(env, lock);
    return rc == RC_OK ? RC_OK
                       : errmsg_set(err, rc, "lock data dir %s: %s", dir, status_text(rc));
}

/* ---- ids and members ---------------------------------------------------------------------- */

static bool is_cluster(const struct rebirth_options *o)
{
    return o->member_count > 1;
}

static struct identity make_identity(const struct rebirth_options *o, const struct store *s)
{
    struct identity id = {.phase = IDENTITY_MEMBER};
    uint64_t hash = hash_bytes(o->cluster_id, o->token, strlen(o->token));
    hash = hash_mix(hash, store_digest(s));
    hash = hash_mix(hash, store_applied_index(s));
    if (is_cluster(o)) {
        id.initial = identity_of_members(o->members, o->member_count);
        hash = hash_mix(hash, id.initial);
    }
    if (MUTANT_IS(MUTANT_RESTORE_IDS_DIFFER)) {
        hash = hash_bytes(hash, o->name, strlen(o->name));
    }
    id.cluster_id = hash & INT64_MAX;
    id.cluster_id = id.cluster_id == 0 ? 1 : id.cluster_id;
    id.node_id = identity_of_member(id.cluster_id, o->name);
    (void)snprintf(id.name, sizeof id.name, "%s", o->name);
    return id;
}

static void put_member(struct engine_configuration *c, uint64_t id, const char *name,
                       const char *host, unsigned port)
{
    struct engine_member *m = &c->members[c->count];
    size_t at = c->count++;
    *m = (struct engine_member){.id = id, .role = ENGINE_VOTER};
    (void)snprintf(m->address, sizeof m->address, "%s=%s:%u", name, host, port);
    /* In the order of their ids, so that all members write the same bytes. */
    for (; at > 0 && c->members[at].id < c->members[at - 1].id; at--) {
        struct engine_member swap = c->members[at];
        c->members[at] = c->members[at - 1];
        c->members[at - 1] = swap;
    }
}

static void make_configuration(const struct rebirth_options *o, const struct identity *id,
                               struct buf *out)
{
    struct engine_configuration c = {.count = 0};
    for (size_t i = 0; is_cluster(o) && i < o->member_count; i++) {
        const struct node_member *m = &o->members[i];
        put_member(&c, identity_of_member(id->cluster_id, m->name), m->name, m->host, m->port);
    }
    if (!is_cluster(o)) { /* known to nobody else: its peer address is not used yet */
        put_member(&c, id->node_id, o->name, "localhost", 0);
    }
    engine_configuration_encode(out, &c);
}

/* ---- writing ------------------------------------------------------------------------------ */

static enum status write_files(const struct rebirth_options *o, const struct identity *id,
                               struct store *s, struct rebirth_report *out, struct errmsg *err)
{
    char path[PATH_BYTES];
    struct snapshot_meta meta = {
        .term = out->term, .configuration_index = out->index, .cluster_id = id->cluster_id};
    const struct wal_options wal = {.cluster_id = id->cluster_id, .node_id = id->node_id};
    make_configuration(o, id, &meta.configuration);
    (void)snprintf(path, sizeof path, "%s/snapshots", o->data_dir);
    enum status rc = snapshot_store_write(o->env, path, s, &meta, err);
    if (rc == RC_OK) {
        (void)snprintf(path, sizeof path, "%s/wal", o->data_dir);
        rc = wal_create(o->env, path, &wal, out->index, out->term, err);
    }
    if (rc == RC_OK) {
        rc = identity_save(o->env, o->data_dir, id, err);
    }
    if (rc == RC_OK) {
        /* One that this user may not open is the operator's to have made, and so was durable. */
        (void)dir_sync_above(o->env, o->data_dir);
    }
    snapshot_meta_close(&meta);
    return rc;
}

enum status rebirth_write(const struct rebirth_options *o, struct store *s,
                          struct rebirth_report *out, struct errmsg *err)
{
    enum status rc = make_dir(o->env, o->data_dir, err);
    if (rc != RC_OK) {
        return rc;
    }
    struct identity id = make_identity(o, s);
    store_rebirth(s, &out->state);
    out->cluster_id = id.cluster_id;
    out->node_id = id.node_id;
    out->revision = store_revision(s);
    out->index = store_applied_index(s);
    out->term = o->term + 1;
    out->digest = store_digest(s);
    return write_files(o, &id, s, out, err);
}
