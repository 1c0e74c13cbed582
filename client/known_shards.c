#include "client/known_shards.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

#define NAMES_MAX       ((size_t)64)
#define KEY_BYTES_MAX   ((size_t)256)
#define SHARD_NAME_FORM "s-%010" PRIu32

/* ---- texts -------------------------------------------------------------------------------- */

/* Lines "name=value": each newline of the copy is an end. The value, or "". */
static const char *value_of(char *text, size_t bytes, const char *name)
{
    size_t size = strlen(name);
    for (char *line = text; line < text + bytes; line += strlen(line) + 1) {
        if (strncmp(line, name, size) == 0 && line[size] == '=') {
            return line + size + 1;
        }
    }
    return "";
}

static uint64_t number_of(char *text, size_t bytes, const char *name)
{
    return strtoull(value_of(text, bytes, name), NULL, 10);
}

/* Its place among the words, from 1 on; 0: none of them. */
static int word_of(char *text, size_t bytes, const char *name, const char *const *words)
{
    const char *value = value_of(text, bytes, name);
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(value, words[i]) == 0) {
            return i + 1;
        }
    }
    return 0;
}

/* Cuts "a,b,c" in place. */
static size_t cut_names(const char *list, const char **names)
{
    char *at = (char *)(uintptr_t)list;
    size_t count = 0;
    while (*at != '\0' && count < NAMES_MAX) {
        char *comma = strchr(at, ',');
        names[count++] = at;
        if (comma == NULL) {
            break;
        }
        *comma = '\0';
        at = comma + 1;
    }
    return count;
}

static void end_lines(char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        text[i] = text[i] == '\n' ? '\0' : text[i];
    }
}

/* ---- entries ------------------------------------------------------------------------------ */

static void entry_free(struct shard_entry *e)
{
    if (e != NULL) {
        free(e->path);
        free(e->names);
        free(e);
    }
}

/* Names of lists are cut last: what is looked for in the text must be whole. */
static void read_shard(struct shard_entry *e, char *text, size_t bytes)
{
    struct coord_shard *s = &e->shard;
    const char *replicas = value_of(text, bytes, "replicas");
    *s = (struct coord_shard){
        .number = (uint32_t)strtoul(e->name + 2, NULL, 10),
        .path = e->path,
        .epoch = number_of(text, bytes, "epoch"),
        .leader = value_of(text, bytes, "leader"),
        .awaits = value_of(text, bytes, "awaits"),
        .replicas = e->names,
        .low = number_of(text, bytes, "low"),
        .high = number_of(text, bytes, "high"),
        .low_key = value_of(text, bytes, "low_key"),
        .high_key = value_of(text, bytes, "high_key"),
        .weight = number_of(text, bytes, "weight"),
    };
    s->replica_count = cut_names(replicas, e->names);
}

static void read_node(struct shard_entry *e, char *text, size_t bytes)
{
    struct coord_shard_node *n = &e->node;
    const char *tags = value_of(text, bytes, "tags");
    *n = (struct coord_shard_node){
        .name = e->name,
        .address = value_of(text, bytes, "address"),
        .zone = value_of(text, bytes, "zone"),
        .tags = e->names,
        .weight = number_of(text, bytes, "weight"),
        .capacity_bytes = number_of(text, bytes, "capacity_bytes"),
        .capacity_replicas = number_of(text, bytes, "capacity_replicas"),
        .priority = number_of(text, bytes, "priority"),
    };
    n->drains = n->weight == 0;
    n->tag_count = cut_names(tags, e->names);
}

static void read_move(struct shard_entry *e, char *text, size_t bytes)
{
    static const char *const kinds[] = {"move", "add", "drop", "lead", NULL};
    static const char *const states[] = {"queued",    "preparing",   "copying", "catching-up",
                                         "switching", "cleaning-up", NULL};
    e->move = (struct coord_move){
        .number = strtoull(e->name + 2, NULL, 10),
        .shard = (uint32_t)number_of(text, bytes, "shard"),
        .kind = (enum coord_move_kind)word_of(text, bytes, "kind", kinds),
        .state = (enum coord_move_state)word_of(text, bytes, "state", states),
        .from = value_of(text, bytes, "from"),
        .to = value_of(text, bytes, "to"),
        .cleans = value_of(text, bytes, "cleans"),
        .why = value_of(text, bytes, "why"),
        .progress_permille = number_of(text, bytes, "progress"),
        .bytes = number_of(text, bytes, "bytes"),
        .rate = number_of(text, bytes, "rate"),
        .held = number_of(text, bytes, "held") != 0,
        .aborted = number_of(text, bytes, "aborted") != 0,
    };
}

/* Each but the first has a comma before it. */
static size_t names_at_most(const char *text, size_t bytes)
{
    size_t count = 1;
    for (size_t i = 0; i < bytes; i++) {
        count += text[i] == ',';
    }
    return count;
}

static struct shard_entry *entry_new(enum shard_kind kind, const char *path, const char *text,
                                     size_t bytes)
{
    const char *slash = strrchr(path, '/');
    struct shard_entry *e = calloc(1, sizeof *e + bytes + 1);
    if (e == NULL || slash == NULL) {
        free(e);
        return NULL;
    }
    e->path = malloc(strlen(path) + 1);
    e->names = calloc(names_at_most(text, bytes), sizeof *e->names);
    if (e->path == NULL || e->names == NULL) {
        entry_free(e);
        return NULL;
    }
    memcpy(e->path, path, strlen(path) + 1);
    e->name = e->path + (slash - path) + 1;
    char *copy = (char *)(e + 1);
    if (bytes > 0) {
        memcpy(copy, text, bytes);
    }
    end_lines(copy, bytes);
    switch (kind) {
    case SHARD_OF_MAP: read_shard(e, copy, bytes); break;
    case SHARD_NODE: read_node(e, copy, bytes); break;
    case SHARD_MOVE_NODE: read_move(e, copy, bytes); break;
    default: e->key_shard = (uint32_t)number_of(copy, bytes, "shard"); break;
    }
    return e;
}

/* ---- tables ------------------------------------------------------------------------------- */

static size_t place_of(const struct shard_table *t, const char *name)
{
    size_t low = 0;
    size_t high = t->count;
    if (high > 0 && strcmp(t->at[high - 1]->name, name) < 0) {
        return high; /* a listing comes in order */
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(t->at[middle]->name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const struct shard_table *t, size_t place, const char *name)
{
    return place < t->count && strcmp(t->at[place]->name, name) == 0;
}

static bool make_room(struct shard_table *t)
{
    if (t->count < t->capacity) {
        return true;
    }
    size_t capacity = t->capacity > 0 ? 2 * t->capacity : 16;
    struct shard_entry **at = realloc(t->at, capacity * sizeof(void *));
    if (at == NULL) {
        return false;
    }
    t->at = at;
    t->capacity = capacity;
    return true;
}

/* Whether keys go elsewhere, and not only to other nodes. */
static bool keys_differ(const struct coord_shard *a, const struct coord_shard *b)
{
    return a->low != b->low || a->high != b->high || a->weight != b->weight ||
           strcmp(a->low_key, b->low_key) != 0 || strcmp(a->high_key, b->high_key) != 0;
}

bool known_shards_put(struct known_shards *m, enum shard_kind kind, const char *path,
                      const char *text, size_t bytes)
{
    struct shard_table *t = &m->tables[kind];
    struct shard_entry *e = entry_new(kind, path, text, bytes);
    if (e == NULL || !make_room(t)) {
        entry_free(e);
        return false;
    }
    size_t place = place_of(t, e->name);
    bool is_known = is_at(t, place, e->name);
    if (kind == SHARD_OF_MAP && (!is_known || keys_differ(&t->at[place]->shard, &e->shard))) {
        m->is_settled = false;
    }
    if (is_known) {
        if (kind == SHARD_OF_MAP && m->order != NULL && m->is_settled) {
            for (size_t i = 0; i < t->count; i++) {
                m->order[i] = m->order[i] == t->at[place] ? e : m->order[i];
            }
        }
        entry_free(t->at[place]);
    } else {
        memmove(&t->at[place + 1], &t->at[place], (t->count - place) * sizeof(void *));
        t->count++;
    }
    t->at[place] = e;
    return true;
}

void known_shards_remove(struct known_shards *m, enum shard_kind kind, const char *path)
{
    struct shard_table *t = &m->tables[kind];
    const char *slash = strrchr(path, '/');
    size_t place = slash != NULL ? place_of(t, slash + 1) : t->count;
    if (slash == NULL || !is_at(t, place, slash + 1)) {
        return;
    }
    entry_free(t->at[place]);
    t->count--;
    memmove(&t->at[place], &t->at[place + 1], (t->count - place) * sizeof(void *));
    m->is_settled = m->is_settled && kind != SHARD_OF_MAP;
}

void known_shards_clear(struct known_shards *m, enum shard_kind kind)
{
    struct shard_table *t = &m->tables[kind];
    while (t->count > 0) {
        entry_free(t->at[--t->count]);
    }
    m->is_settled = m->is_settled && kind != SHARD_OF_MAP;
}

void known_shards_close(struct known_shards *m)
{
    for (int kind = 0; kind < SHARD_KINDS; kind++) {
        known_shards_clear(m, (enum shard_kind)kind);
        free(m->tables[kind].at);
    }
    free(m->order);
    pick_close(&m->ring);
}

bool known_shards_spec(struct known_shards *m, const char *text, size_t bytes)
{
    static const char *const strategies[] = {"hash", "range", "directory", "ring", NULL};
    char *copy = calloc(1, bytes + 1);
    if (copy == NULL) {
        return false;
    }
    if (bytes > 0) {
        memcpy(copy, text, bytes);
    }
    end_lines(copy, bytes);
    m->strategy = (enum coord_shard_strategy)word_of(copy, bytes, "strategy", strategies);
    m->slots = number_of(copy, bytes, "slots");
    m->ring.policy = PICK_HASH;
    free(copy);
    return m->strategy != 0 && (m->strategy != COORD_SHARDS_HASH || m->slots > 0);
}

const struct shard_entry *known_shards_find(const struct known_shards *m, enum shard_kind kind,
                                            const char *name)
{
    const struct shard_table *t = &m->tables[kind];
    size_t place = place_of(t, name);
    return is_at(t, place, name) ? t->at[place] : NULL;
}

const struct coord_shard *known_shards_shard(const struct known_shards *m, uint32_t number)
{
    char name[32];
    (void)snprintf(name, sizeof name, SHARD_NAME_FORM, number);
    const struct shard_entry *e = known_shards_find(m, SHARD_OF_MAP, name);
    return e != NULL ? &e->shard : NULL;
}

/* ---- where keys are ----------------------------------------------------------------------- */

uint64_t coord_shard_slot(const void *key, size_t bytes, uint64_t slots)
{
    return slots > 0 ? crc32c(0, key, bytes) % slots : 0;
}

/* False: it is too long to be one. */
static bool to_hex(const void *key, size_t bytes, char hex[2 * KEY_BYTES_MAX + 1])
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = key;
    if (bytes > KEY_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        hex[2 * i] = digits[from[i] >> 4];
        hex[2 * i + 1] = digits[from[i] & 15];
    }
    hex[2 * bytes] = '\0';
    return true;
}

static int by_low(const void *a, const void *b)
{
    const struct coord_shard *x = &(*(struct shard_entry *const *)a)->shard;
    const struct coord_shard *y = &(*(struct shard_entry *const *)b)->shard;
    if (x->low != y->low) {
        return x->low < y->low ? -1 : 1;
    }
    return strcmp(x->low_key, y->low_key);
}

static bool settle_ring(struct known_shards *m)
{
    const struct shard_table *t = &m->tables[SHARD_OF_MAP];
    struct pick_member *members = calloc(t->count + 1, sizeof *members);
    for (size_t i = 0; members != NULL && i < t->count; i++) {
        uint64_t weight = t->at[i]->shard.weight;
        members[i] = (struct pick_member){
            .id = t->at[i]->name,
            .weight = weight == 0                ? 1
                      : weight < PICK_POINTS_MAX ? (uint32_t)weight
                                                 : PICK_POINTS_MAX,
        };
    }
    bool is_done = members != NULL && pick_set(&m->ring, members, t->count);
    free(members);
    return is_done;
}

static bool settle_order(struct known_shards *m)
{
    const struct shard_table *t = &m->tables[SHARD_OF_MAP];
    struct shard_entry **order = realloc(m->order, (t->count + 1) * sizeof(void *));
    if (order == NULL) {
        return false;
    }
    m->order = order;
    for (size_t i = 0; i < t->count; i++) {
        order[i] = t->at[i];
    }
    if (t->count > 0) {
        qsort(order, t->count, sizeof(void *), by_low);
    }
    return true;
}

static bool settle(struct known_shards *m)
{
    if (!m->is_settled) {
        m->is_settled = m->strategy == COORD_SHARDS_RING ? settle_ring(m) : settle_order(m);
    }
    return m->is_settled;
}

/* The last that begins at the slot or the key, or before it. */
static const struct coord_shard *last_before(const struct known_shards *m, uint64_t slot,
                                             const char *hex)
{
    size_t low = 0;
    size_t high = m->tables[SHARD_OF_MAP].count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct coord_shard *s = &m->order[middle]->shard;
        bool is_behind = hex != NULL ? strcmp(s->low_key, hex) > 0 : s->low > slot;
        low = is_behind ? low : middle + 1;
        high = is_behind ? middle : high;
    }
    return low > 0 ? &m->order[low - 1]->shard : NULL;
}

/* Splits come and go: two shards are never both behind a key, but what is known may have a gap. */
static const struct coord_shard *if_it_has(const struct coord_shard *s, uint64_t slot,
                                           const char *hex)
{
    if (s == NULL) {
        return NULL;
    }
    bool has =
        hex != NULL ? s->high_key[0] == '\0' || strcmp(hex, s->high_key) < 0 : slot <= s->high;
    return has ? s : NULL;
}

const struct coord_shard *known_shards_locate(struct known_shards *m, const void *key,
                                              size_t bytes)
{
    char hex[2 * KEY_BYTES_MAX + 1];
    const struct shard_entry *e;
    if (m->strategy == COORD_SHARDS_DIRECTORY) {
        e = to_hex(key, bytes, hex) ? known_shards_find(m, SHARD_KEY, hex) : NULL;
        return e != NULL ? known_shards_shard(m, e->key_shard) : NULL;
    }
    if (!settle(m)) {
        return NULL;
    }
    if (m->strategy == COORD_SHARDS_RING) {
        size_t at = pick_next(&m->ring, key, bytes, 0);
        e = at != PICK_NONE ? known_shards_find(m, SHARD_OF_MAP, m->ring.candidates[at].id)
                            : NULL;
        return e != NULL ? &e->shard : NULL;
    }
    if (m->strategy == COORD_SHARDS_HASH) {
        uint64_t slot = coord_shard_slot(key, bytes, m->slots);
        return if_it_has(last_before(m, slot, NULL), slot, NULL);
    }
    return to_hex(key, bytes, hex) ? if_it_has(last_before(m, 0, hex), 0, hex) : NULL;
}
