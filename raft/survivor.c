#include "raft/survivor.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/mutant.h"
#include "raft/snapshot_store.h"

#define PATH_BYTES 4096

static enum status lock_dir(struct survivor *s, struct errmsg *err)
{
    char lock[PATH_BYTES];
    enum status rc = identity_load(s->env, s->dir, &s->identity, err);
    if (rc == RC_OK && s->identity.phase == IDENTITY_NONE) {
        return errmsg_set(err, RC_NOT_FOUND,
                          "%s is no data dir of a member: it has no identity", s->dir);
    }
    if (rc != RC_OK) {
        return rc;
    }
    (void)snprintf(lock, sizeof lock, "%s/lock", s->dir);
    rc = s->env->disk->lock(s->env, lock);
    if (rc == RC_LOCKED) {
        return errmsg_set(err, rc, "%s is in use: its member \"%s\" still runs; stop it first",
                          s->dir, s->identity.name);
    }
    return rc == RC_OK ? RC_OK : errmsg_set(err, rc, "lock %s: %s", lock, status_text(rc));
}

static char *snapshot_dir(const struct survivor *s)
{
    struct buf dir = {0};
    buf_printf(&dir, "%s/snapshots", s->dir);
    buf_append(&dir, "", 1);
    return (char *)buf_take(&dir, NULL);
}

static enum status pass_row(void *context, const struct row *row)
{
    (void)context;
    (void)row;
    return RC_OK;
}

/* Proves the file, to its last row. */
static enum status take_snapshot(struct survivor *s, const char *path, struct errmsg *err)
{
    struct snapshot_meta meta;
    enum status rc = snapshot_read(s->env, path, pass_row, NULL, &meta, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (engine_configuration_decode(buf_slice(&meta.configuration), &s->configuration) !=
        RC_OK) {
        rc = errmsg_set(err, RC_CORRUPT, "%s: its members make no sense", path);
    } else if (meta.cluster_id != s->identity.cluster_id) {
        rc = errmsg_set(err, RC_INVALID, "%s belongs to cluster %016" PRIx64, path,
                        meta.cluster_id);
    }
    s->snapshot_index = meta.index;
    s->snapshot_term = meta.term;
    snapshot_meta_close(&meta);
    return rc;
}

/* The newest snapshot that is whole; an older one may do, if the log reaches back to it. */
static enum status find_snapshot(struct survivor *s, struct errmsg *err)
{
    struct snapshot_file *files;
    size_t count;
    char *dir = snapshot_dir(s);
    enum status rc = snapshot_store_list(s->env, dir, &files, &count, err);
    for (size_t i = count; rc == RC_OK && i > 0; i--) {
        char *path = snapshot_store_path(dir, &files[i - 1]);
        rc = take_snapshot(s, path, err);
        mem_free(path);
        if (rc != RC_CORRUPT || i == 1) {
            break;
        }
        s->snapshots_damaged++;
        rc = RC_OK;
    }
    mem_free(files);
    mem_free(dir);
    return rc;
}

/* A crash came after a snapshot was installed, and before the log was reset to it: what this member
 * had at its index was another leader's and not committed, and so is all that follows it. */
static void drop_what_was_replaced(struct survivor *s)
{
    struct wal_recovery *log = &s->log;
    uint64_t at = s->snapshot_index;
    uint64_t first = log->entry_count > 0 ? log->entries[0].index : UINT64_MAX;
    if (at >= first && at - first < log->entry_count &&
        log->entries[at - first].term != s->snapshot_term) {
        log->entry_count = 0;
    }
}

/* Snapshot and log must meet. */
static enum status check_log(struct survivor *s, struct errmsg *err)
{
    const struct wal_recovery *log = &s->log;
    drop_what_was_replaced(s);
    uint64_t next = s->snapshot_index + 1;
    uint64_t first = log->entry_count > 0 ? log->entries[0].index : log->reset_index + 1;
    bool has_state = log->entry_count > 0 || log->reset_index > 0;
    if (log->is_new && s->snapshot_index > 0 && s->identity.phase == IDENTITY_MEMBER) {
        return errmsg_set(err, RC_CORRUPT,
                          "%s: its log is gone, and with it all after entry %" PRIu64
                          "; restore its snapshot if nothing else is left",
                          s->dir, s->snapshot_index);
    }
    if (has_state && first > next) {
        return errmsg_set(err, RC_CORRUPT,
                          "%s: entries %" PRIu64 " to %" PRIu64
                          " are missing between its snapshot and its log",
                          s->dir, next, first - 1);
    }
    if (s->snapshot_index == 0 && log->entry_count == 0) {
        return errmsg_set(err, RC_NOT_FOUND, "%s has neither snapshot nor log", s->dir);
    }
    s->last_index = s->snapshot_index;
    s->last_term = s->snapshot_term;
    for (size_t i = 0; i < log->entry_count; i++) {
        const struct wal_entry *e = &log->entries[i];
        if (e->index <= s->last_index) {
            continue;
        }
        s->last_index = e->index;
        s->last_term = e->term;
        if (e->type != ENTRY_CHANGE) {
            continue;
        }
        s->previous = s->configuration;
        if (engine_configuration_decode(e->payload, &s->configuration) != RC_OK) {
            return errmsg_set(err, RC_CORRUPT, "%s: log entry %" PRIu64 " makes no sense",
                              s->dir, e->index);
        }
    }
    return RC_OK;
}

static enum status read_log(struct survivor *s, struct errmsg *err)
{
    char dir[PATH_BYTES];
    const struct wal_options options = {.cluster_id = s->identity.cluster_id,
                                        .node_id = s->identity.node_id};
    (void)snprintf(dir, sizeof dir, "%s/wal", s->dir);
    enum status rc = wal_read(s->env, dir, &options, &s->log, err);
    if (rc != RC_OK) {
        return errmsg_wrap(err, "%s", s->dir);
    }
    return check_log(s, err);
}

enum status survivor_open(struct env *env, const char *dir, struct survivor *out,
                          struct errmsg *err)
{
    *out = (struct survivor){.env = env, .dir = mem_strdup(dir)};
    enum status rc = lock_dir(out, err);
    if (rc == RC_OK) {
        rc = find_snapshot(out, err);
    }
    if (rc == RC_OK) {
        rc = read_log(out, err);
    }
    if (rc != RC_OK) {
        survivor_close(out);
    }
    return rc;
}

void survivor_close(struct survivor *s)
{
    wal_recovery_close(&s->log);
    mem_free(s->dir);
    *s = (struct survivor){0};
}

bool survivor_is_ahead(const struct survivor *a, const struct survivor *b)
{
    return a->last_term > b->last_term ||
           (a->last_term == b->last_term && a->last_index > b->last_index);
}

const struct survivor *survivors_best(const struct survivor *survivors, size_t count)
{
    const struct survivor *best = &survivors[0];
    for (size_t i = 1; i < count; i++) {
        bool is_ahead = survivor_is_ahead(&survivors[i], best);
        if (is_ahead != MUTANT_IS(MUTANT_RECOVER_BEHIND)) {
            best = &survivors[i];
        }
    }
    return best;
}

size_t survivors_voting(const struct engine_configuration *c, const struct survivor *survivors,
                        size_t count, size_t *voters)
{
    size_t found = 0;
    *voters = 0;
    for (size_t i = 0; i < c->count; i++) {
        bool is_there = false;
        for (size_t j = 0; j < count; j++) {
            is_there = is_there || survivors[j].identity.node_id == c->members[i].id;
        }
        if (c->members[i].role == ENGINE_VOTER) {
            ++*voters;
            found += is_there;
        }
    }
    return found;
}

bool survivors_are_quorum(const struct survivor *best, const struct survivor *survivors,
                          size_t count)
{
    size_t voters;
    size_t found = survivors_voting(&best->configuration, survivors, count, &voters);
    bool is_quorum = found * 2 > voters;
    found = survivors_voting(&best->previous, survivors, count, &voters);
    return is_quorum && (voters == 0 || found * 2 > voters);
}

static enum status load_snapshot(const struct survivor *s, struct store **store,
                                 struct snapshot_meta *meta, struct errmsg *err)
{
    const struct snapshot_file file = {.index = s->snapshot_index, .term = s->snapshot_term};
    if (s->snapshot_index == 0) {
        *store = store_new();
        return RC_OK;
    }
    char *dir = snapshot_dir(s);
    char *path = snapshot_store_path(dir, &file);
    enum status rc = snapshot_load(s->env, path, store, meta, err);
    mem_free(path);
    mem_free(dir);
    return rc;
}

enum status survivor_load(const struct survivor *s, struct store **store, struct replay *r,
                          struct errmsg *err)
{
    const struct replay_target all = {0};
    struct snapshot_meta meta = {0};
    enum status rc = load_snapshot(s, store, &meta, err);
    if (rc != RC_OK) {
        return rc;
    }
    replay_open(r, *store, s->snapshot_index != 0 ? &meta : NULL, &all);
    snapshot_meta_close(&meta);
    size_t end = s->log.entry_count;
    if (MUTANT_IS(MUTANT_RECOVER_LOG_CUT) && end > 0) {
        end--;
    }
    for (size_t i = 0; rc == RC_OK && i < end; i++) {
        if (s->log.entries[i].index > s->snapshot_index) {
            rc = replay_entry(r, &s->log.entries[i], err);
        }
    }
    if (rc != RC_OK) {
        replay_close(r);
        store_free(*store);
        return errmsg_wrap(err, "%s", s->dir);
    }
    return RC_OK;
}
