#include "lease/table.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#define LEASE_SEED UINT64_C(0x4c) /* part of the state digest: never change it */

#define CHUNK_LEASES_MAX   ((uint32_t)256)
#define ATTACHED_CELLS_MIN ((uint32_t)4)

/* The id beside the pointer: a search touches no lease before it is found. */
struct lease_cell {
    uint64_t id;
    struct lease *lease;
};

struct lease_chunk {
    uint32_t count;
    struct lease_cell cells[CHUNK_LEASES_MAX];
};

static uint64_t lease_item(const struct lease *l)
{
    uint64_t hash = hash_mix(l->id + LEASE_SEED, l->ttl_ms);
    hash = hash_mix(hash, l->generation);
    hash = hash_mix(hash, l->granted_ms);
    hash = hash_mix(hash, (uint64_t)l->kind << 8 | l->renewable);
    hash = hash_mix(hash, hash_bytes(LEASE_SEED, l->secret, sizeof l->secret));
    hash = hash_mix(hash, hash_bytes(LEASE_SEED, l->owner.data, l->owner.size));
    return l->user.size == 0 ? hash
                             : hash_mix(hash, hash_bytes(LEASE_SEED, l->user.data, l->user.size));
}

void lease_table_init(struct lease_table *t)
{
    *t = (struct lease_table){0};
    windows_init(&t->windows);
}

static void lease_free(struct lease_table *t, struct lease *l)
{
    if (l->window != NULL) {
        window_close(&t->windows, l->window);
    }
    mem_free((void *)(uintptr_t)l->owner.data);
    mem_free((void *)(uintptr_t)l->user.data);
    mem_free(l->attached);
    mem_free(l);
}

void lease_table_free(struct lease_table *t)
{
    for (uint32_t i = 0; i < t->chunk_count; i++) {
        for (uint32_t j = 0; j < t->chunks[i]->count; j++) {
            lease_free(t, t->chunks[i]->cells[j].lease);
        }
        mem_free(t->chunks[i]);
    }
    mem_free(t->chunks);
    for (uint32_t i = 0; i < t->user_count; i++) {
        mem_free((void *)(uintptr_t)t->by_user[i].user.data);
    }
    mem_free(t->by_user);
    *t = (struct lease_table){0};
}

/* ---- order by id -------------------------------------------------------------------------- */

struct position {
    uint32_t chunk;
    uint32_t offset; /* may be behind the last cell of the last chunk */
};

/* The first cell whose id is not below `id`; all zero while there is no chunk. */
static struct position table_seek(const struct lease_table *t, uint64_t id)
{
    uint32_t low = 0;
    uint32_t high = t->chunk_count == 0 ? 0 : t->chunk_count - 1;
    while (low < high) { /* the first chunk whose last id is not below it, or the last chunk */
        uint32_t middle = low + (high - low) / 2;
        const struct lease_chunk *c = t->chunks[middle];
        if (c->cells[c->count - 1].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    struct position p = {.chunk = low};
    uint32_t end = t->chunk_count == 0 ? 0 : t->chunks[low]->count;
    while (p.offset < end) {
        uint32_t middle = p.offset + (end - p.offset) / 2;
        if (t->chunks[low]->cells[middle].id < id) {
            p.offset = middle + 1;
        } else {
            end = middle;
        }
    }
    return p;
}

static struct lease_cell *table_cell(const struct lease_table *t, struct position p)
{
    bool there = p.chunk < t->chunk_count && p.offset < t->chunks[p.chunk]->count;
    return there ? &t->chunks[p.chunk]->cells[p.offset] : NULL;
}

struct lease *lease_table_find(const struct lease_table *t, uint64_t id)
{
    const struct lease_cell *cell = table_cell(t, table_seek(t, id));
    return cell != NULL && cell->id == id ? cell->lease : NULL;
}

struct lease *lease_table_next(const struct lease_table *t, uint64_t after)
{
    if (after == UINT64_MAX) {
        return NULL;
    }
    const struct lease_cell *cell = table_cell(t, table_seek(t, after + 1));
    return cell != NULL ? cell->lease : NULL;
}

static void chunk_insert_at(struct lease_table *t, uint32_t at)
{
    if (t->chunk_count == t->chunk_capacity) {
        t->chunk_capacity = t->chunk_capacity == 0 ? 4 : t->chunk_capacity * 2;
        t->chunks = mem_resize(t->chunks, t->chunk_capacity * sizeof(struct lease_chunk *));
    }
    memmove(t->chunks + at + 1, t->chunks + at,
            (t->chunk_count - at) * sizeof(struct lease_chunk *));
    t->chunks[at] = mem_alloc(sizeof(struct lease_chunk));
    t->chunks[at]->count = 0;
    t->chunk_count++;
}

static void chunk_remove_at(struct lease_table *t, uint32_t at)
{
    mem_free(t->chunks[at]);
    t->chunk_count--;
    memmove(t->chunks + at, t->chunks + at + 1,
            (t->chunk_count - at) * sizeof(struct lease_chunk *));
}

/* Moves the upper half of a full chunk into a new one behind it. */
static void chunk_split(struct lease_table *t, uint32_t at)
{
    chunk_insert_at(t, at + 1);
    struct lease_chunk *left = t->chunks[at];
    struct lease_chunk *right = t->chunks[at + 1];
    uint32_t keep = left->count / 2;
    right->count = left->count - keep;
    memcpy(right->cells, left->cells + keep, right->count * sizeof left->cells[0]);
    left->count = keep;
}

/* Joins a chunk with its right neighbour when both together fill no more than half a chunk. */
static void chunk_join(struct lease_table *t, uint32_t at)
{
    if (at + 1 >= t->chunk_count) {
        return;
    }
    struct lease_chunk *left = t->chunks[at];
    struct lease_chunk *right = t->chunks[at + 1];
    if (left->count + right->count > CHUNK_LEASES_MAX / 2) {
        return;
    }
    memcpy(left->cells + left->count, right->cells, right->count * sizeof left->cells[0]);
    left->count += right->count;
    chunk_remove_at(t, at + 1);
}

static void table_insert(struct lease_table *t, struct lease *l)
{
    if (t->chunk_count == 0) {
        chunk_insert_at(t, 0);
    }
    struct position p = table_seek(t, l->id);
    if (t->chunks[p.chunk]->count == CHUNK_LEASES_MAX) {
        chunk_split(t, p.chunk);
        uint32_t left = t->chunks[p.chunk]->count;
        if (p.offset > left) {
            p.chunk++;
            p.offset -= left;
        }
    }
    struct lease_chunk *c = t->chunks[p.chunk];
    memmove(c->cells + p.offset + 1, c->cells + p.offset,
            (c->count - p.offset) * sizeof c->cells[0]);
    c->cells[p.offset] = (struct lease_cell){.id = l->id, .lease = l};
    c->count++;
    t->count++;
}

static void table_take_out(struct lease_table *t, uint64_t id)
{
    struct position p = table_seek(t, id);
    struct lease_chunk *c = t->chunks[p.chunk];
    c->count--;
    memmove(c->cells + p.offset, c->cells + p.offset + 1,
            (c->count - p.offset) * sizeof c->cells[0]);
    t->count--;
    if (c->count == 0) {
        chunk_remove_at(t, p.chunk);
        return;
    }
    chunk_join(t, p.chunk);
    if (p.chunk > 0) {
        chunk_join(t, p.chunk - 1);
    }
}

/* ---- changes ------------------------------------------------------------------------------ */

/* ---- how many are whose ------------------------------------------------------------------- */

/* The place of the user, or where it belongs. */
static uint32_t user_seek(const struct lease_table *t, struct slice user, bool *found)
{
    uint32_t low = 0;
    uint32_t high = t->user_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (slice_compare(t->by_user[middle].user, user) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found = low < t->user_count && slice_equal(t->by_user[low].user, user);
    return low;
}

uint64_t lease_table_count_of(const struct lease_table *t, struct slice user)
{
    bool found;
    uint32_t at = user_seek(t, user, &found);
    return found ? t->by_user[at].count : 0;
}

static void user_count_up(struct lease_table *t, struct slice user)
{
    bool found;
    uint32_t at = user_seek(t, user, &found);
    if (user.size == 0) {
        return;
    }
    if (found) {
        t->by_user[at].count++;
        return;
    }
    if (t->user_count == t->user_capacity) {
        t->user_capacity = t->user_capacity == 0 ? 8 : t->user_capacity * 2;
        t->by_user = mem_resize(t->by_user, t->user_capacity * sizeof t->by_user[0]);
    }
    memmove(t->by_user + at + 1, t->by_user + at,
            (t->user_count - at) * sizeof t->by_user[0]);
    t->by_user[at] = (struct lease_count){
        .user = slice_make(mem_dup(user.data, user.size), user.size), .count = 1};
    t->user_count++;
}

static void user_count_down(struct lease_table *t, struct slice user)
{
    bool found;
    uint32_t at = user_seek(t, user, &found);
    if (user.size == 0) {
        return;
    }
    PRE(found);
    if (--t->by_user[at].count == 0) {
        mem_free((void *)(uintptr_t)t->by_user[at].user.data);
        t->user_count--;
        memmove(t->by_user + at, t->by_user + at + 1,
                (t->user_count - at) * sizeof t->by_user[0]);
    }
}

/* ---- changes ------------------------------------------------------------------------------ */

struct lease *lease_table_add(struct lease_table *t, const struct lease *what)
{
    PRE(what->id > 0 && what->id <= LEASE_ID_MAX && lease_table_find(t, what->id) == NULL);
    struct lease *l = mem_alloc(sizeof *l);
    *l = *what;
    l->owner = slice_make(mem_dup(what->owner.data, what->owner.size), what->owner.size);
    l->user = slice_make(mem_dup(what->user.data, what->user.size), what->user.size);
    l->window = what->kind == LEASE_SESSION ? window_open(&t->windows, what->id) : NULL;
    l->attached = NULL;
    l->attached_count = 0;
    l->attached_capacity = 0;
    l->hash = lease_item(l);
    t->sum += l->hash;
    user_count_up(t, l->user);
    table_insert(t, l);
    return l;
}

void lease_table_resume(struct lease_table *t, struct lease *l, uint64_t ttl_ms)
{
    t->sum -= l->hash;
    l->ttl_ms = ttl_ms;
    l->generation++;
    l->hash = lease_item(l);
    t->sum += l->hash;
}

void lease_table_give(struct lease_table *t, struct lease *l, struct slice user)
{
    t->sum -= l->hash;
    user_count_up(t, user);
    user_count_down(t, l->user);
    mem_free((void *)(uintptr_t)l->user.data);
    l->user = slice_make(mem_dup(user.data, user.size), user.size);
    l->hash = lease_item(l);
    t->sum += l->hash;
}

void lease_table_remove(struct lease_table *t, struct lease *l)
{
    t->sum -= l->hash;
    user_count_down(t, l->user);
    table_take_out(t, l->id);
    lease_free(t, l);
}

/* ---- what is attached: open addressing with linear probing -------------------------------- */

static uint32_t attached_home(const struct lease *l, uint32_t slot)
{
    uint32_t hash = slot * UINT32_C(0x9e3779b1);
    return (hash ^ hash >> 15) & (l->attached_capacity - 1);
}

/* The cell of the slot, or the empty one where it belongs. */
static uint32_t attached_seek(const struct lease *l, uint32_t slot)
{
    uint32_t cell = attached_home(l, slot);
    while (l->attached[cell] != 0 && l->attached[cell] != slot) {
        cell = (cell + 1) & (l->attached_capacity - 1);
    }
    return cell;
}

static void attached_resize(struct lease *l, uint32_t capacity)
{
    uint32_t *old = l->attached;
    uint32_t old_capacity = l->attached_capacity;
    l->attached = capacity == 0 ? NULL : mem_zalloc(capacity * sizeof l->attached[0]);
    l->attached_capacity = capacity;
    for (uint32_t i = 0; i < old_capacity; i++) {
        if (old[i] != 0) {
            l->attached[attached_seek(l, old[i])] = old[i];
        }
    }
    mem_free(old);
}

void lease_attach(struct lease *l, uint32_t slot)
{
    PRE(slot != 0);
    if (l->attached_capacity == 0) {
        attached_resize(l, ATTACHED_CELLS_MIN);
    } else if (l->attached_count + 1 > l->attached_capacity / 4 * 3) {
        attached_resize(l, l->attached_capacity * 2);
    }
    uint32_t cell = attached_seek(l, slot);
    PRE(l->attached[cell] == 0);
    l->attached[cell] = slot;
    l->attached_count++;
}

void lease_detach(struct lease *l, uint32_t slot)
{
    PRE(lease_has_attached(l, slot));
    uint32_t mask = l->attached_capacity - 1;
    uint32_t hole = attached_seek(l, slot);
    l->attached[hole] = 0;
    l->attached_count--;
    /* What follows without a gap moves up, if it may stand in the hole. */
    for (uint32_t cell = (hole + 1) & mask; l->attached[cell] != 0; cell = (cell + 1) & mask) {
        uint32_t distance = (cell - attached_home(l, l->attached[cell])) & mask;
        if (distance >= ((cell - hole) & mask)) {
            l->attached[hole] = l->attached[cell];
            l->attached[cell] = 0;
            hole = cell;
        }
    }
    if (l->attached_count < l->attached_capacity / 8) {
        attached_resize(l, l->attached_count == 0 ? 0 : l->attached_capacity / 4);
    }
}

bool lease_has_attached(const struct lease *l, uint32_t slot)
{
    return l->attached_capacity > 0 && l->attached[attached_seek(l, slot)] == slot;
}

uint32_t lease_next_attached(const struct lease *l, uint32_t *cell)
{
    while (*cell < l->attached_capacity) {
        uint32_t slot = l->attached[(*cell)++];
        if (slot != 0) {
            return slot;
        }
    }
    return 0;
}

bool lease_secret_matches(const struct lease *l, struct slice secret)
{
    uint8_t differs = 0;
    if (secret.size != sizeof l->secret) {
        return false;
    }
    for (size_t i = 0; i < sizeof l->secret; i++) {
        differs |= (uint8_t)(l->secret[i] ^ secret.data[i]);
    }
    return differs == 0;
}

/* ---- invariants --------------------------------------------------------------------------- */

static void lease_check(const struct lease *l, struct window_totals *totals)
{
    uint32_t attached = 0;
    POST(l->hash == lease_item(l));
    POST((l->kind == LEASE_SESSION) == (l->window != NULL));
    for (uint32_t i = 0; i < l->attached_capacity; i++) {
        attached += l->attached[i] != 0;
        POST(l->attached[i] == 0 || attached_seek(l, l->attached[i]) == i);
    }
    POST(attached == l->attached_count);
    if (l->window != NULL) {
        POST(l->window->session == l->id);
        window_check(l->window, totals);
    }
}

/* Each lease of a user takes one off a copy of the counts, and nothing is left. */
static void users_check(const struct lease_table *t)
{
    uint64_t *left = mem_zalloc((size_t)t->user_count * sizeof *left);
    for (uint32_t i = 0; i < t->user_count; i++) {
        POST(i == 0 || slice_compare(t->by_user[i - 1].user, t->by_user[i].user) < 0);
        left[i] = t->by_user[i].count;
        POST(left[i] > 0);
    }
    for (uint32_t i = 0; i < t->chunk_count; i++) {
        for (uint32_t j = 0; j < t->chunks[i]->count; j++) {
            bool found;
            struct slice user = t->chunks[i]->cells[j].lease->user;
            uint32_t at = user_seek(t, user, &found);
            POST(found == (user.size > 0));
            if (found) {
                left[at]--;
            }
        }
    }
    for (uint32_t i = 0; i < t->user_count; i++) {
        POST(left[i] == 0);
    }
    mem_free(left);
}

void lease_table_check(const struct lease_table *t)
{
    struct window_totals totals = {0};
    uint64_t count = 0;
    uint64_t sum = 0;
    uint64_t before = 0;
    for (uint32_t i = 0; i < t->chunk_count; i++) {
        const struct lease_chunk *c = t->chunks[i];
        POST(c->count > 0 && c->count <= CHUNK_LEASES_MAX);
        for (uint32_t j = 0; j < c->count; j++, count++) {
            POST(c->cells[j].id == c->cells[j].lease->id && c->cells[j].id > before);
            before = c->cells[j].id;
            lease_check(c->cells[j].lease, &totals);
            sum += c->cells[j].lease->hash;
        }
    }
    POST(count == t->count && sum == t->sum && count <= LEASE_COUNT_MAX);
    users_check(t);
    windows_check(&t->windows, &totals);
}
