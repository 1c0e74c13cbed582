#include "tests/sim/lock_judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/sim/field.h"

const char *const lock_paths[LOCK_NAMES] = {"/l/0", "/l/1", "/l/s", "/l/e"};

static void *grow(void *array, size_t count, size_t size)
{
    return (count & (count - 1)) == 0 ? mem_resize(array, (count == 0 ? 1 : 2 * count) * size)
                                      : array;
}

/* ---- what an entry says ------------------------------------------------------------------- */

static void entry_fill(struct lock_entry *e, const struct change *c)
{
    char text[FIELD_BYTES];
    field_get(c->data, "mode", text);
    e->mode = text[0];
    field_get(c->data, "state", text);
    e->is_held = strcmp(text, "held") == 0;
    e->permits = (uint32_t)field_number(c->data, "permits");
    e->has_limit = field_number(c->data, "deadline_ms") != 0;
    e->has_group = field_number(c->data, "group") != 0;
    e->epoch = field_number(c->data, "epoch");
}

/* ---- changes ------------------------------------------------------------------------------ */

static struct lock_entry *entry_find(const struct lock_judge *j, struct slice path)
{
    for (size_t i = j->entry_count; i > 0; i--) {
        if (slice_is(path, j->entries[i - 1].path) && j->entries[i - 1].gone_revision == 0) {
            return &j->entries[i - 1];
        }
    }
    return NULL;
}

static void granted(struct lock_judge *j, struct lock_entry *e, bool has_waited)
{
    uint64_t *last = &j->epochs[e->lock];
    if (e->epoch != j->revision || e->epoch < *last) {
        world_fail(j->world,
                   "%s is granted in revision %" PRIu64 " with epoch %" PRIu64 " after %" PRIu64,
                   e->path, j->revision, e->epoch, *last);
    }
    e->granted_revision = j->revision;
    *last = e->epoch;
    j->granted++;
    j->handed_over += has_waited;
}

static void entry_change(struct lock_judge *j, enum lock_name lock, const struct change *c)
{
    struct lock_entry *e = entry_find(j, c->path);
    j->is_touched[lock] = true;
    if (c->type == CHANGE_CREATE) {
        j->entries = grow(j->entries, j->entry_count, sizeof *j->entries);
        e = &j->entries[j->entry_count++];
        *e = (struct lock_entry){
            .lock = lock, .revision = c->stat.create_revision, .lease = c->stat.lease};
        (void)snprintf(e->path, sizeof e->path, "%.*s", (int)c->path.size,
                       (const char *)c->path.data);
    } else if (e == NULL) {
        world_fail(j->world, "an entry changes that is not there: %.*s", (int)c->path.size,
                   (const char *)c->path.data);
        return;
    }
    if (c->type == CHANGE_DELETE) {
        e->gone_revision = c->revision;
        world_trace(j->world, "%s of %" PRIx64 " goes in revision %" PRIu64 ", reason %u",
                    e->path, e->lease, c->revision, c->reason);
        return;
    }
    bool was_held = e->is_held;
    uint64_t epoch = e->epoch;
    entry_fill(e, c);
    world_trace(j->world, "%s of %" PRIx64 " %s in revision %" PRIu64, e->path, e->lease,
                e->is_held ? "is held" : "waits", c->revision);
    if (e->is_held && !was_held) {
        granted(j, e, c->type == CHANGE_SET);
    } else if (was_held && (!e->is_held || e->epoch != epoch)) {
        world_fail(j->world, "%s is held no more, or under another epoch, but there", e->path);
    }
}

/* The grant that guards it must be held, as the state was before it. */
static void write_change(struct lock_judge *j, const struct change *c)
{
    uint64_t number = field_number(c->data, "write");
    uint64_t epoch = field_number(c->data, "epoch");
    char name = (char)c->path.data[3]; /* "/g/0" is of lock "/l/0" */
    const struct lock_entry *e = NULL;
    if (c->type != CHANGE_SET || number == 0 || number > j->write_count) {
        return;
    }
    struct lock_write *w = &j->writes[number - 1];
    e = lock_judge_entry(j, w->entry, w->entry_revision);
    if (e == NULL || lock_paths[e->lock][3] != name || e->gone_revision != 0 || !e->is_held ||
        e->epoch != epoch) {
        world_fail(j->world,
                   "write %" PRIu64 " is in the log, but its grant of epoch %" PRIu64
                   " is not held: %s, gone in revision %" PRIu64,
                   number, epoch, e == NULL ? "unknown" : e->path,
                   e == NULL ? 0 : e->gone_revision);
        return;
    }
    if (w->is_refused || w->written_revision != 0) {
        world_fail(j->world, "write %" PRIu64 " is in the log %s", number,
                   w->is_refused ? "though it was refused" : "twice");
    }
    if ((e->mode == 'w' || e->mode == 'c') && epoch < j->written[e->lock]) {
        world_fail(j->world, "a write of epoch %" PRIu64 " comes behind one of epoch %" PRIu64,
                   epoch, j->written[e->lock]);
    }
    j->written[e->lock] = epoch > j->written[e->lock] ? epoch : j->written[e->lock];
    w->written_revision = c->revision;
}

/* A node somewhere below, not the parent itself. */
static bool is_below(struct slice path, const char *parent)
{
    size_t size = strlen(parent);
    return path.size > size + 1 && memcmp(path.data, parent, size) == 0 &&
           path.data[size] == '/';
}

void lock_judge_change(struct lock_judge *j, const struct change *c)
{
    if (c->space != SPACE_NODES) {
        return;
    }
    if (c->revision != j->revision) {
        lock_judge_settle(j);
        j->revision = c->revision;
    }
    if (is_below(c->path, "/g")) {
        write_change(j, c);
    }
    for (enum lock_name i = 0; i < LOCK_NAMES; i++) {
        if (is_below(c->path, lock_paths[i])) {
            entry_change(j, i, c);
        }
    }
}

/* ---- after a revision --------------------------------------------------------------------- */

/* In one lock, and not of one owner. */
static bool conflicts(const struct lock_entry *a, const struct lock_entry *b)
{
    if (a->lease == b->lease || a->mode == 'p') {
        return false; /* permits are counted */
    }
    return !(a->mode == 'r' && b->mode == 'r');
}

/* `e` is held; `other` came before it. */
static void check_order(struct lock_judge *j, const struct lock_entry *other,
                        const struct lock_entry *e)
{
    bool is_new = e->granted_revision == j->revision;
    bool may_not_pass = e->mode == 'p' ? other->lease != e->lease : conflicts(other, e);
    if (is_new && !other->is_held && !other->has_limit && may_not_pass) {
        world_fail(j->world, "%s is granted in revision %" PRIu64 ", but %s waits before it",
                   e->path, j->revision, other->path);
    }
}

static void settle(struct lock_judge *j, enum lock_name lock)
{
    uint32_t permits = 0;
    bool is_first = true;
    for (size_t i = 0; i < j->entry_count; i++) {
        const struct lock_entry *e = &j->entries[i];
        if (e->lock != lock || e->gone_revision != 0) {
            continue;
        }
        if (is_first && !e->is_held && !e->has_limit && !e->has_group) {
            world_fail(j->world, "%s is the first, but waits behind revision %" PRIu64, e->path,
                       j->revision);
        }
        is_first = false;
        permits += e->is_held ? e->permits : 0;
        for (size_t k = 0; k < i && e->is_held; k++) {
            const struct lock_entry *other = &j->entries[k];
            if (other->lock != lock || other->gone_revision != 0) {
                continue;
            }
            if (other->is_held && conflicts(other, e)) {
                world_fail(j->world, "%s and %s are held at once, in revision %" PRIu64,
                           other->path, e->path, j->revision);
            }
            check_order(j, other, e);
        }
    }
    if (permits > LOCK_S_PERMITS) {
        world_fail(j->world, "%u permits are held of %u", permits, LOCK_S_PERMITS);
    }
}

void lock_judge_settle(struct lock_judge *j)
{
    for (enum lock_name i = 0; i < LOCK_NAMES; i++) {
        if (j->is_touched[i]) {
            settle(j, i);
            j->is_touched[i] = false;
        }
    }
}

/* ---- what clients were told --------------------------------------------------------------- */

const struct lock_entry *lock_judge_entry(const struct lock_judge *j, const char *path,
                                          uint64_t revision)
{
    for (size_t i = j->entry_count; i > 0; i--) {
        const struct lock_entry *e = &j->entries[i - 1];
        if (e->revision == revision && strcmp(e->path, path) == 0) {
            return e;
        }
    }
    return NULL;
}

bool lock_judge_has(const struct lock_judge *j, uint64_t lease)
{
    for (size_t i = 0; i < j->entry_count; i++) {
        if (j->entries[i].lease == lease && j->entries[i].gone_revision == 0) {
            return true;
        }
    }
    return false;
}

void lock_judge_told_held(struct lock_judge *j, const char *path, uint64_t revision,
                          uint64_t epoch, uint64_t lease)
{
    lock_judge_settle(j);
    const struct lock_entry *e = lock_judge_entry(j, path, revision);
    if (e == NULL || e->lease != lease || e->granted_revision == 0 || e->epoch != epoch) {
        world_fail(j->world,
                   "a client is told to hold %s of revision %" PRIu64 " with epoch %" PRIu64
                   ", which it never did",
                   path, revision, epoch);
    }
}

uint64_t lock_judge_write(struct lock_judge *j, const char *entry, uint64_t entry_revision)
{
    j->writes = grow(j->writes, j->write_count, sizeof *j->writes);
    struct lock_write *w = &j->writes[j->write_count++];
    *w = (struct lock_write){.entry_revision = entry_revision};
    (void)snprintf(w->entry, sizeof w->entry, "%s", entry);
    return j->write_count;
}

void lock_write_text(char *text, size_t bytes, uint64_t number, uint64_t epoch)
{
    (void)snprintf(text, bytes, "write=%" PRIu64 "\nepoch=%" PRIu64 "\n", number, epoch);
}

void lock_judge_told_written(struct lock_judge *j, uint64_t number, uint64_t revision)
{
    const struct lock_write *w = &j->writes[number - 1];
    lock_judge_settle(j);
    if (w->written_revision != revision) {
        world_fail(j->world,
                   "guarded write %" PRIu64 " was acknowledged at revision %" PRIu64
                   ", but is in the log at %" PRIu64,
                   number, revision, w->written_revision);
    }
}

void lock_judge_told_stale(struct lock_judge *j, uint64_t number)
{
    struct lock_write *w = &j->writes[number - 1];
    lock_judge_settle(j);
    w->is_refused = true;
    const struct lock_entry *e = lock_judge_entry(j, w->entry, w->entry_revision);
    if (e == NULL || e->gone_revision == 0 || w->written_revision != 0) {
        world_fail(j->world, "guarded write %" PRIu64 " was refused, but its grant is held%s",
                   number, w->written_revision != 0 ? ", and it is in the log" : "");
    }
}

void lock_judge_init(struct lock_judge *j, struct world *w)
{
    *j = (struct lock_judge){.world = w};
}

void lock_judge_close(struct lock_judge *j)
{
    mem_free(j->entries);
    mem_free(j->writes);
}
