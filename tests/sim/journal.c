#include "tests/sim/journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "store/store.h"

#define SEQUENCE_MAX 100000

static const char *const kind_names[DO_KINDS] = {
    "create",    "set",         "delete", "count", "compare-and-set", "sequential create",
    "pair",      "rolled back", "get",    "list",  "session get",     "barrier",
    "local get", "bounded get",
};

void journal_init(struct journal *h, struct cluster *c)
{
    *h = (struct journal){.cluster = c};
}

void journal_close(struct journal *h)
{
    mem_free(h->records);
    mem_free(h->sights);
    mem_free(h->confirmed);
}

/* ---- keys and values --------------------------------------------------------------------- */

void key_path(uint32_t key, char *path, size_t bytes)
{
    if (key < KEY_COUNT) {
        (void)snprintf(path, bytes, "/k/%u", key - KEY_PLAIN);
    } else if (key < KEY_CAS) {
        (void)snprintf(path, bytes, "/c/%u", key - KEY_COUNT);
    } else if (key < KEY_PAIR) {
        (void)snprintf(path, bytes, "/v/%u", key - KEY_CAS);
    } else {
        (void)snprintf(path, bytes, "/p/%u", key - KEY_PAIR);
    }
}

uint32_t key_of(struct slice path)
{
    char text[16];
    for (uint32_t key = 0; key < KEY_END; key++) {
        key_path(key, text, sizeof text);
        if (slice_is(path, text)) {
            return key;
        }
    }
    return KEY_END;
}

uint64_t value_number(struct slice data)
{
    uint64_t number = 0;
    if (data.size < 2 || data.data[0] != 'v') {
        return 0;
    }
    for (size_t i = 1; i < data.size && data.data[i] >= '0' && data.data[i] <= '9'; i++) {
        number = number * 10 + (uint64_t)(data.data[i] - '0');
    }
    return number;
}

/* ---- recording --------------------------------------------------------------------------- */

static void *grow(void *array, size_t count, size_t size)
{
    /* Doubles when the count reaches a power of two. */
    return (count & (count - 1)) == 0 ? mem_resize(array, (count == 0 ? 1 : 2 * count) * size)
                                      : array;
}

uint64_t journal_begin(struct journal *h, enum op_kind kind, uint32_t client, uint32_t key)
{
    h->records = grow(h->records, h->record_count, sizeof *h->records);
    h->records[h->record_count++] = (struct record){
        .kind = (uint8_t)kind,
        .client = client,
        .key = key,
        .invoked_us = h->cluster->world.now_us,
        .floor_index = h->high_index,
        .floor_revision = h->high_revision,
    };
    return h->record_count;
}

struct record *journal_record(struct journal *h, uint64_t number)
{
    return &h->records[number - 1];
}

static void journal_raise(struct journal *h, uint64_t index, uint64_t revision)
{
    if (index > h->high_index) {
        h->high_index = index;
        h->confirmed = grow(h->confirmed, h->confirmed_count, sizeof *h->confirmed);
        h->confirmed[h->confirmed_count++] =
            (struct confirmed){.at_us = h->cluster->world.now_us, .index = index};
    }
    h->high_revision = revision > h->high_revision ? revision : h->high_revision;
}

static void record_end(struct journal *h, struct record *r, enum fate fate)
{
    r->fate = (uint8_t)fate;
    r->returned_us = h->cluster->world.now_us;
    h->acked += fate == FATE_DONE;
}

static bool kind_writes(uint8_t kind)
{
    return kind < DO_GET;
}

uint64_t journal_confirmed_at(const struct journal *h, uint64_t at_us)
{
    size_t count = h->confirmed_count;
    while (count > 0 && h->confirmed[count - 1].at_us > at_us) {
        count--;
    }
    return count > 0 ? h->confirmed[count - 1].index : 0;
}

void journal_written(struct journal *h, uint64_t number, const struct told *told)
{
    struct record *r = journal_record(h, number);
    r->outcome = told->outcome;
    r->had_effect = told->outcome == OUTCOME_OK && told->took_then;
    r->index = told->index;
    r->revision = told->revision;
    record_end(h, r, FATE_DONE);
    h->acked_writes += r->had_effect;
    if ((r->index != 0 && r->index <= r->floor_index) || r->revision < r->floor_revision ||
        (r->had_effect && r->revision == r->floor_revision)) {
        world_fail(&h->cluster->world,
                   "%s #%" PRIu64 " of client %u has index %" PRIu64 " revision %" PRIu64
                   ", but %" PRIu64 ", %" PRIu64 " had been confirmed before it was asked",
                   kind_names[r->kind], number, r->client, r->index, r->revision,
                   r->floor_index, r->floor_revision);
    }
    journal_raise(h, r->index, r->revision);
}

void journal_read(struct journal *h, uint64_t number, uint64_t index, uint64_t revision,
                  bool is_linearizable)
{
    struct record *r = journal_record(h, number);
    r->index = index;
    r->revision = revision;
    record_end(h, r, FATE_DONE);
    if (!is_linearizable) {
        return;
    }
    if ((index != 0 && index < r->floor_index) || revision < r->floor_revision) {
        world_fail(&h->cluster->world,
                   "stale read: %s #%" PRIu64 " of client %u saw index %" PRIu64
                   " revision %" PRIu64 ", but %" PRIu64 ", %" PRIu64
                   " had been confirmed before it was asked",
                   kind_names[r->kind], number, r->client, index, revision, r->floor_index,
                   r->floor_revision);
    }
    journal_raise(h, index, revision);
}

void journal_lost(struct journal *h, uint64_t number, enum fate fate)
{
    record_end(h, journal_record(h, number), fate);
}

void journal_rewind(struct journal *h, uint64_t index, uint64_t revision, uint64_t seen)
{
    h->lost_from = revision;
    h->lost_to = seen;
    for (size_t i = 0; i < h->record_count; i++) {
        struct record *r = &h->records[i];
        if (kind_writes(r->kind) && r->fate == FATE_DONE && r->had_effect && r->index > index) {
            r->fate = FATE_UNKNOWN;
        }
        r->spans_end = r->fate == FATE_PENDING;
    }
}

void journal_see(struct journal *h, const struct sight *s)
{
    h->sights = grow(h->sights, h->sight_count, sizeof *h->sights);
    h->sights[h->sight_count] = *s;
    h->sights[h->sight_count++].returned_us = h->cluster->world.now_us;
}

/* ---- the judgement ----------------------------------------------------------------------- */

/* One write of known fate on one key. */
struct effect {
    uint32_t key;
    uint64_t revision;
    uint64_t number;
    bool deletes;
};

struct timeline {
    struct effect *effects; /* by key, then revision */
    size_t count;
};

static int effect_order(const void *a, const void *b)
{
    const struct effect *x = a;
    const struct effect *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return x->revision < y->revision ? -1 : x->revision > y->revision;
}

static void timeline_add(struct timeline *t, uint32_t key, const struct record *r,
                         uint64_t number)
{
    t->effects[t->count++] = (struct effect){
        .key = key, .revision = r->revision, .number = number, .deletes = r->kind == DO_DELETE};
}

static void timeline_build(struct timeline *t, struct journal *h)
{
    t->effects = mem_alloc((2 * h->record_count + 1) * sizeof *t->effects);
    t->count = 0;
    for (size_t i = 0; i < h->record_count; i++) {
        const struct record *r = &h->records[i];
        if (!kind_writes(r->kind) || r->fate != FATE_DONE || !r->had_effect ||
            r->kind == DO_SEQUENTIAL) {
            continue;
        }
        timeline_add(t, r->key, r, i + 1);
        if (r->kind == DO_PAIR) {
            timeline_add(t, r->key + 1, r, i + 1);
        }
    }
    qsort(t->effects, t->count, sizeof *t->effects, effect_order);
}

/* The last known write of the key up to `revision`, or NULL. */
static const struct effect *timeline_find(const struct timeline *t, uint32_t key,
                                          uint64_t revision)
{
    size_t low = 0;
    size_t high = t->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct effect *e = &t->effects[middle];
        if (e->key < key || (e->key == key && e->revision <= revision)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 && t->effects[low - 1].key == key ? &t->effects[low - 1] : NULL;
}

/* It was told one cluster's answer, but may have come to pass in what the one before has lost. */
static bool record_may_be_lost(const struct journal *h, const struct record *r,
                               const struct sight *s)
{
    uint64_t revision = s->modify_revision != 0 ? s->modify_revision : s->at_revision;
    return r->spans_end && r->fate == FATE_DONE && revision > h->lost_from &&
           s->at_revision <= h->lost_to;
}

static bool record_may_touch(const struct journal *h, const struct record *r,
                             const struct sight *s)
{
    bool on_key = r->key == s->key || (r->kind == DO_PAIR && r->key + 1 == s->key);
    return on_key && kind_writes(r->kind) && r->kind != DO_ROLLED_BACK &&
           r->kind != DO_SEQUENTIAL && r->invoked_us <= s->returned_us &&
           (r->fate == FATE_UNKNOWN || r->fate == FATE_PENDING || record_may_be_lost(h, r, s));
}

/* Could a write of unknown fate explain that the key exists, or does not? */
static bool unknown_explains(const struct journal *h, const struct sight *s)
{
    for (size_t i = 0; i < h->record_count; i++) {
        const struct record *r = &h->records[i];
        if (record_may_touch(h, r, s) && (r->kind == DO_DELETE) == !s->exists) {
            return true;
        }
    }
    return false;
}

static void sight_fail(struct journal *h, const struct sight *s, const struct effect *e,
                       const char *what)
{
    char path[16];
    key_path(s->key, path, sizeof path);
    world_fail(&h->cluster->world,
               "%s at revision %" PRIu64 ": %s (shown: %s value #%" PRIu64
               " of revision %" PRIu64 "; last acknowledged: #%" PRIu64 " of revision %" PRIu64
               "%s)",
               path, s->at_revision, what, s->exists ? "exists" : "absent", s->value,
               s->modify_revision, e == NULL ? 0 : e->number, e == NULL ? 0 : e->revision,
               e != NULL && e->deletes ? ", a delete" : "");
}

static void check_sight(struct journal *h, const struct timeline *t, const struct sight *s)
{
    const struct effect *e = timeline_find(t, s->key, s->at_revision);
    if (s->exists && s->value != 0) {
        bool is_ours = s->value <= h->record_count;
        if (!is_ours || h->records[s->value - 1].fate == FATE_NOT_PROPOSED ||
            h->records[s->value - 1].kind == DO_ROLLED_BACK) {
            sight_fail(h, s, e, "shows a write that must not have happened");
            return;
        }
    }
    if (!s->exists || s->modify_revision == 0) {
        bool fits = s->exists ? e != NULL && !e->deletes : e == NULL || e->deletes;
        if (!fits && !unknown_explains(h, s)) {
            sight_fail(h, s, e,
                       s->exists ? "exists without a write" : "an acknowledged write is lost");
        }
        return;
    }
    if (s->modify_revision > s->at_revision) {
        sight_fail(h, s, e, "is newer than the state it is from");
    } else if (e != NULL && s->modify_revision < e->revision) {
        sight_fail(h, s, e, "an acknowledged write is lost");
    } else if (e != NULL && s->modify_revision == e->revision) {
        if (e->deletes || (s->value != 0 && s->value != e->number)) {
            sight_fail(h, s, e, "shows another write under its revision");
        }
    } else if (s->value != 0 && !record_may_touch(h, &h->records[s->value - 1], s)) {
        sight_fail(h, s, e, "shows a write that had not been asked for");
    }
}

static int revision_order(const void *a, const void *b)
{
    const struct record *x = *(const struct record *const *)a;
    const struct record *y = *(const struct record *const *)b;
    return x->revision < y->revision ? -1 : x->revision > y->revision;
}

/* No two operations own one revision, and the log index orders them the same way. */
static void check_revisions(struct journal *h)
{
    const struct record **sorted = mem_alloc((h->record_count + 1) * sizeof *sorted);
    size_t count = 0;
    for (size_t i = 0; i < h->record_count; i++) {
        const struct record *r = &h->records[i];
        if (kind_writes(r->kind) && r->fate == FATE_DONE && r->had_effect) {
            sorted[count++] = r;
        }
    }
    qsort(sorted, count, sizeof *sorted, revision_order);
    for (size_t i = 1; i < count; i++) {
        if (sorted[i]->revision == sorted[i - 1]->revision) {
            world_fail(&h->cluster->world, "two acknowledged writes share revision %" PRIu64,
                       sorted[i]->revision);
        } else if (sorted[i]->index < sorted[i - 1]->index) {
            world_fail(&h->cluster->world,
                       "revision %" PRIu64 " has a lower index than %" PRIu64,
                       sorted[i]->revision, sorted[i - 1]->revision);
        }
    }
    mem_free(sorted);
}

/* Each expected version is won by at most one compare-and-set. */
static void check_versions_won(struct journal *h)
{
    size_t limit = h->record_count + 1;
    uint8_t *won = mem_zalloc(KEYS_CAS * limit);
    for (size_t i = 0; i < h->record_count; i++) {
        const struct record *r = &h->records[i];
        if (r->kind == DO_CAS && r->fate == FATE_DONE && r->had_effect && r->version < limit) {
            uint8_t *mark = &won[(r->key - KEY_CAS) * limit + r->version];
            if (*mark != 0) {
                world_fail(&h->cluster->world, "version %u of /v/%u was won twice", r->version,
                           r->key - KEY_CAS);
            }
            *mark = 1;
        }
    }
    mem_free(won);
}

void journal_check(struct journal *h)
{
    struct timeline t;
    timeline_build(&t, h);
    for (size_t i = 0; i < h->sight_count && !h->cluster->world.failed; i++) {
        check_sight(h, &t, &h->sights[i]);
    }
    check_revisions(h);
    check_versions_won(h);
    mem_free(t.effects);
}

/* ---- the state of a node, read as a whole ------------------------------------------------ */

/* A key that is only ever set, once per request: its version counts the sets. */
static void check_version(struct journal *h, uint32_t node, uint32_t key, uint32_t version)
{
    uint64_t known = 0;
    uint64_t unknown = 0;
    for (size_t i = 0; i < h->record_count; i++) {
        const struct record *r = &h->records[i];
        if (r->key == key && (r->kind == DO_COUNT || r->kind == DO_CAS)) {
            known += r->fate == FATE_DONE && r->had_effect;
            unknown += r->fate == FATE_UNKNOWN || r->fate == FATE_PENDING;
        }
    }
    if (version < known || version > known + unknown) {
        char path[16];
        key_path(key, path, sizeof path);
        world_fail(&h->cluster->world,
                   "n%u: %s was set %u times, but %" PRIu64
                   " sets were acknowledged and %" PRIu64 " are of unknown fate",
                   node + 1, path, version, known, unknown);
    }
}

/* Every number handed out is there, none came twice. */
static void check_sequence(struct journal *h, uint32_t node, struct arena *arena)
{
    const struct store *s = node_store(h->cluster->nodes[node].node);
    struct query q = {.type = QUERY_LIST, .space = SPACE_NODES, .path = slice_str("/q")};
    struct query_result result;
    uint8_t *seen = mem_zalloc(SEQUENCE_MAX);
    uint64_t unknown = 0;
    uint64_t known = 0;
    store_query(s, &q, &result, arena);
    for (uint32_t i = 0; i < result.entry_count; i++) {
        struct slice path = result.entries[i].path;
        char number[16] = {0};
        if (path.size > 10) {
            memcpy(number, path.data + path.size - 10, 10);
        }
        seen[strtoull(number, NULL, 10) % SEQUENCE_MAX] = 1;
    }
    for (size_t i = 0; i < h->record_count; i++) {
        const struct record *r = &h->records[i];
        if (r->kind != DO_SEQUENTIAL) {
            continue;
        }
        unknown += r->fate == FATE_UNKNOWN || r->fate == FATE_PENDING;
        if (r->fate == FATE_DONE && r->had_effect) {
            known++;
            uint8_t *mark = &seen[r->sequence % SEQUENCE_MAX];
            if (*mark != 1) {
                world_fail(&h->cluster->world, "n%u: /q/i-%010" PRIu64 " is %s", node + 1,
                           r->sequence, *mark == 0 ? "lost" : "given twice");
            }
            *mark = 2;
        }
    }
    if (result.entry_count < known || result.entry_count > known + unknown) {
        world_fail(&h->cluster->world,
                   "n%u: /q has %u children, but %" PRIu64 " were acknowledged and %" PRIu64
                   " are of unknown fate",
                   node + 1, result.entry_count, known, unknown);
    }
    mem_free(seen);
}

void journal_see_store(struct journal *h, uint32_t node)
{
    const struct store *s = node_store(h->cluster->nodes[node].node);
    struct arena arena = {0};
    for (uint32_t key = 0; key < KEY_END; key++) {
        char path[16];
        key_path(key, path, sizeof path);
        struct query q = {.type = QUERY_GET, .space = SPACE_NODES, .path = slice_str(path)};
        struct query_result result;
        store_query(s, &q, &result, &arena);
        journal_see(h, &(struct sight){
                           .key = key,
                           .exists = result.outcome == OUTCOME_OK,
                           .at_revision = result.revision,
                           .modify_revision = result.stat.modify_revision,
                           .value = value_number(result.data),
                       });
        if (result.outcome == OUTCOME_OK && key >= KEY_COUNT && key < KEY_PAIR) {
            check_version(h, node, key, result.stat.version);
        }
    }
    check_sequence(h, node, &arena);
    arena_close(&arena);
}
