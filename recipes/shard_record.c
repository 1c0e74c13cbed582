#include "recipes/shard_record.h"

#include <inttypes.h>

enum field_type {
    FIELD_NUMBER,
    FIELD_WORD,  /* a number, shown as one of `words`, from 1 on */
    FIELD_NAME,  /* one name */
    FIELD_NAMES, /* a list of different names */
    FIELD_HEX,
    FIELD_TEXT, /* printable */
};

#define FIELD_WORDS_MAX 7

struct field {
    const char *name;
    size_t offset;
    enum field_type type;
    uint64_t max; /* of a number; 0: any */
    const char *words[FIELD_WORDS_MAX];
};

#define SPEC(member)   offsetof(struct shard_spec, member)
#define MEMBER(member) offsetof(struct shard_member, member)
#define RECORD(member) offsetof(struct shard_record, member)
#define MOVE(member)   offsetof(struct shard_move, member)
#define COUNT_OF(a)    (sizeof(a) / sizeof(a)[0])
#define DAY_MINUTES    1440
#define TIME_MS_MAX    ((uint64_t)1 << 40)
#define PERMILLE_MAX   100000

static const struct field spec_fields[] = {
    {"strategy", SPEC(strategy), FIELD_WORD, 0, {"hash", "range", "directory", "ring"}},
    {"slots", SPEC(slots), FIELD_NUMBER, SHARD_SLOTS_MAX, {0}},
    {"replicas", SPEC(replicas), FIELD_NUMBER, SHARD_REPLICAS_MAX, {0}},
    {"zone_max", SPEC(zone_max), FIELD_NUMBER, SHARD_REPLICAS_MAX, {0}},
    {"tags", SPEC(tags), FIELD_NAMES, 0, {0}},
    {"promote", SPEC(promote), FIELD_WORD, 0, {"fresh", "idle", "priority"}},
    {"balance", SPEC(balance), FIELD_WORD, 0, {"replicas", "bytes", "rows", "qps"}},
    {"automatic", SPEC(automatic), FIELD_WORD, 0, {"repair", "fill", "balance"}},
    {"imbalance_permille", SPEC(imbalance_permille), FIELD_NUMBER, PERMILLE_MAX, {0}},
    {"target_permille", SPEC(target_permille), FIELD_NUMBER, PERMILLE_MAX, {0}},
    {"concurrent", SPEC(concurrent), FIELD_NUMBER, SHARD_COUNT_MAX, {0}},
    {"bandwidth", SPEC(bandwidth), FIELD_NUMBER, 0, {0}},
    {"timeout_ms", SPEC(timeout_ms), FIELD_NUMBER, TIME_MS_MAX, {0}},
    {"lost_after_ms", SPEC(lost_after_ms), FIELD_NUMBER, TIME_MS_MAX, {0}},
    {"hours_begin", SPEC(hours_begin), FIELD_NUMBER, DAY_MINUTES, {0}},
    {"hours_end", SPEC(hours_end), FIELD_NUMBER, DAY_MINUTES, {0}},
    {"unclean", SPEC(unclean), FIELD_NUMBER, 1, {0}},
};

static const struct field member_fields[] = {
    {"address", MEMBER(address), FIELD_TEXT, 0, {0}},
    {"zone", MEMBER(zone), FIELD_NAME, 0, {0}},
    {"tags", MEMBER(tags), FIELD_NAMES, 0, {0}},
    {"weight", MEMBER(weight), FIELD_NUMBER, SHARD_WEIGHT_MAX, {0}},
    {"capacity_bytes", MEMBER(capacity_bytes), FIELD_NUMBER, 0, {0}},
    {"capacity_replicas", MEMBER(capacity_replicas), FIELD_NUMBER, SHARD_COUNT_MAX, {0}},
    {"priority", MEMBER(priority), FIELD_NUMBER, 0, {0}},
};

static const struct field record_fields[] = {
    {"epoch", RECORD(epoch), FIELD_NUMBER, 0, {0}},
    {"leader", RECORD(leader), FIELD_NAME, 0, {0}},
    {"replicas", RECORD(replicas), FIELD_NAMES, 0, {0}},
    {"low", RECORD(low), FIELD_NUMBER, SHARD_SLOTS_MAX, {0}},
    {"high", RECORD(high), FIELD_NUMBER, SHARD_SLOTS_MAX, {0}},
    {"low_key", RECORD(low_key), FIELD_HEX, 0, {0}},
    {"high_key", RECORD(high_key), FIELD_HEX, 0, {0}},
    {"weight", RECORD(weight), FIELD_NUMBER, SHARD_WEIGHT_MAX, {0}},
    {"wanted", RECORD(wanted), FIELD_NUMBER, SHARD_REPLICAS_MAX, {0}},
    {"tags", RECORD(tags), FIELD_NAMES, 0, {0}},
    {"pin", RECORD(pin), FIELD_NAME, 0, {0}},
    {"awaits", RECORD(awaits), FIELD_NAME, 0, {0}},
};

static const struct field move_fields[] = {
    {"state",
     MOVE(state),
     FIELD_WORD,
     0,
     {"queued", "preparing", "copying", "catching-up", "switching", "cleaning-up"}},
    {"kind", MOVE(kind), FIELD_WORD, 0, {"move", "add", "drop", "lead"}},
    {"shard", MOVE(shard), FIELD_NUMBER, 0, {0}},
    {"from", MOVE(from), FIELD_NAME, 0, {0}},
    {"to", MOVE(to), FIELD_NAME, 0, {0}},
    {"cleans", MOVE(cleans), FIELD_NAME, 0, {0}},
    {"progress", MOVE(progress), FIELD_NUMBER, 1000, {0}},
    {"bytes", MOVE(bytes), FIELD_NUMBER, 0, {0}},
    {"rate", MOVE(rate), FIELD_NUMBER, 0, {0}},
    {"why", MOVE(why), FIELD_NAME, 0, {0}},
    {"begun_ms", MOVE(begun_ms), FIELD_NUMBER, 0, {0}},
    {"since_ms", MOVE(since_ms), FIELD_NUMBER, 0, {0}},
    {"held", MOVE(held), FIELD_NUMBER, 1, {0}},
    {"aborted", MOVE(aborted), FIELD_NUMBER, 1, {0}},
    {"led", MOVE(led), FIELD_NUMBER, 1, {0}},
};

/* ---- names -------------------------------------------------------------------------------- */

static bool name_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '.' || c == '_' || c == ':' || c == '-';
}

bool shard_name_is_valid(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (!name_byte(name.data[i])) {
            return false;
        }
    }
    /* It is part of a path. */
    return name.size > 0 && name.size <= SHARD_NAME_BYTES_MAX && !slice_is(name, ".") &&
           !slice_is(name, "..");
}

bool names_next(struct slice *rest, struct slice *name)
{
    if (rest->size == 0) {
        return false;
    }
    const uint8_t *comma = memchr(rest->data, ',', rest->size);
    size_t size = comma != NULL ? (size_t)(comma - rest->data) : rest->size;
    size_t taken = comma != NULL ? size + 1 : size;
    *name = slice_make(rest->data, size);
    *rest = slice_make(rest->data + taken, rest->size - taken);
    return true;
}

bool names_have(struct slice names, struct slice name)
{
    struct slice at;
    while (names_next(&names, &at)) {
        if (slice_equal(at, name)) {
            return true;
        }
    }
    return false;
}

uint32_t names_count(struct slice names)
{
    struct slice at;
    uint32_t count = 0;
    while (names_next(&names, &at)) {
        count++;
    }
    return count;
}

struct slice names_with(struct slice names, struct slice name, struct arena *arena)
{
    size_t comma = names.size > 0 ? 1 : 0;
    uint8_t *both = arena_alloc(arena, names.size + comma + name.size);
    if (comma > 0) {
        memcpy(both, names.data, names.size);
        both[names.size] = ',';
    }
    memcpy(both + names.size + comma, name.data, name.size);
    return slice_make(both, names.size + comma + name.size);
}

struct slice names_without(struct slice names, struct slice name, struct arena *arena)
{
    struct slice kept = slice_make(NULL, 0);
    struct slice at;
    while (names_next(&names, &at)) {
        if (!slice_equal(at, name)) {
            kept = names_with(kept, at, arena);
        }
    }
    return kept;
}

/* Names that are valid and different. How many there are comes first: each is compared with all
 * others. */
static bool names_are_valid(struct slice names)
{
    struct slice at;
    if ((names.size > 0 && names.data[names.size - 1] == ',') ||
        names_count(names) > SHARD_NAMES_MAX) {
        return false;
    }
    while (names_next(&names, &at)) {
        if (!shard_name_is_valid(at) || names_have(names, at)) {
            return false;
        }
    }
    return true;
}

/* ---- lines -------------------------------------------------------------------------------- */

static void field_encode(struct buf *b, const struct field *f, const void *from)
{
    const uint8_t *at = (const uint8_t *)from + f->offset;
    if (f->type == FIELD_NUMBER || f->type == FIELD_WORD) {
        uint64_t number;
        memcpy(&number, at, sizeof number);
        if (number != 0 && f->type == FIELD_WORD) {
            buf_printf(b, "%s=%s\n", f->name, f->words[number - 1]);
        } else if (number != 0) {
            buf_printf(b, "%s=%" PRIu64 "\n", f->name, number);
        }
        return;
    }
    struct slice text;
    memcpy(&text, at, sizeof text);
    if (text.size > 0) {
        buf_printf(b, "%s=", f->name);
        buf_append_slice(b, text);
        buf_append_str(b, "\n");
    }
}

static void encode(struct buf *b, const struct field *fields, size_t count, const void *from)
{
    for (size_t i = 0; i < count; i++) {
        field_encode(b, &fields[i], from);
    }
}

static bool hex_is_valid(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) {
            return false;
        }
    }
    return text.size % 2 == 0 && text.size <= 2 * SHARD_KEY_BYTES_MAX;
}

static bool text_is_valid(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f) {
            return false;
        }
    }
    return text.size <= SHARD_ADDRESS_BYTES_MAX;
}

static bool number_decode(const struct field *f, struct slice value, uint8_t *to)
{
    uint64_t number;
    bool is_valid = slice_number(value, &number) && number > 0 &&
                    (f->max == 0 || number <= f->max);
    if (is_valid) {
        memcpy(to, &number, sizeof number);
    }
    return is_valid;
}

static bool word_decode(const struct field *f, struct slice value, uint8_t *to)
{
    for (uint64_t i = 0; i < FIELD_WORDS_MAX && f->words[i] != NULL; i++) {
        if (slice_is(value, f->words[i])) {
            uint64_t word = i + 1;
            memcpy(to, &word, sizeof word);
            return true;
        }
    }
    return false;
}

static bool field_decode(const struct field *f, struct slice value, void *record)
{
    uint8_t *to = (uint8_t *)record + f->offset;
    bool is_valid = false;
    switch (f->type) {
    case FIELD_NUMBER: return number_decode(f, value, to);
    case FIELD_WORD: return word_decode(f, value, to);
    case FIELD_NAME: is_valid = shard_name_is_valid(value); break;
    case FIELD_NAMES: is_valid = names_are_valid(value); break;
    case FIELD_HEX: is_valid = hex_is_valid(value); break;
    case FIELD_TEXT: is_valid = text_is_valid(value); break;
    }
    if (is_valid && value.size > 0) {
        memcpy(to, &value, sizeof value);
    }
    return is_valid && value.size > 0;
}

/* The value, if the line begins with the name. */
static bool line_is(struct slice line, const char *name, struct slice *value)
{
    size_t size = strlen(name);
    if (line.size <= size || memcmp(line.data, name, size) != 0 || line.data[size] != '=') {
        return false;
    }
    *value = slice_make(line.data + size + 1, line.size - size - 1);
    return true;
}

static bool decode(struct slice text, const struct field *fields, size_t count, void *record)
{
    size_t next = 0;
    while (text.size > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        if (end == NULL) {
            return false;
        }
        struct slice line = slice_make(text.data, (size_t)(end - text.data));
        struct slice value = slice_make(NULL, 0);
        while (next < count && !line_is(line, fields[next].name, &value)) {
            next++;
        }
        if (next == count || !field_decode(&fields[next], value, record)) {
            return false;
        }
        next++;
        text = slice_make(end + 1, text.size - line.size - 1);
    }
    return true;
}

/* ---- the records -------------------------------------------------------------------------- */

void shard_spec_encode(struct buf *b, const struct shard_spec *s)
{
    encode(b, spec_fields, COUNT_OF(spec_fields), s);
}

bool shard_spec_decode(struct slice text, struct shard_spec *s)
{
    *s = (struct shard_spec){0};
    return decode(text, spec_fields, COUNT_OF(spec_fields), s) && s->strategy != 0 &&
           s->replicas != 0 && s->promote != 0 && s->balance != 0 && s->concurrent != 0 &&
           (s->strategy == SHARD_HASH) == (s->slots != 0);
}

void shard_member_encode(struct buf *b, const struct shard_member *m)
{
    encode(b, member_fields, COUNT_OF(member_fields), m);
}

bool shard_member_decode(struct slice text, struct shard_member *m)
{
    *m = (struct shard_member){0};
    return decode(text, member_fields, COUNT_OF(member_fields), m);
}

void shard_record_encode(struct buf *b, const struct shard_record *r)
{
    encode(b, record_fields, COUNT_OF(record_fields), r);
}

bool shard_record_decode(struct slice text, struct shard_record *r)
{
    *r = (struct shard_record){0};
    return decode(text, record_fields, COUNT_OF(record_fields), r) && r->low <= r->high &&
           names_count(r->replicas) <= SHARD_REPLICAS_HELD_MAX &&
           (r->leader.size == 0 || names_have(r->replicas, r->leader)) &&
           (r->awaits.size == 0 || (r->leader.size == 0 && names_have(r->replicas, r->awaits)));
}

void shard_move_encode(struct buf *b, const struct shard_move *m)
{
    encode(b, move_fields, COUNT_OF(move_fields), m);
}

bool shard_move_decode(struct slice text, struct shard_move *m)
{
    *m = (struct shard_move){0};
    return decode(text, move_fields, COUNT_OF(move_fields), m) && m->state != 0 && m->kind != 0;
}

/* ---- stats -------------------------------------------------------------------------------- */

bool shard_stats_next(struct slice *rest, struct shard_stats *s, bool *failed)
{
    uint64_t numbers[5];
    *failed = false;
    if (rest->size == 0) {
        return false;
    }
    const uint8_t *end = memchr(rest->data, '\n', rest->size);
    size_t size = end != NULL ? (size_t)(end - rest->data) : rest->size;
    struct slice line = slice_make(rest->data, size);
    *failed = end == NULL;
    for (int i = 0; i < 5 && !*failed; i++) {
        const uint8_t *space = i < 4 && line.size > 0 ? memchr(line.data, ' ', line.size) : NULL;
        size_t word = space != NULL ? (size_t)(space - line.data) : line.size;
        *failed = (i < 4 && space == NULL) ||
                  !slice_number(slice_make(line.data, word), &numbers[i]);
        size_t taken = space != NULL ? word + 1 : word;
        line = slice_make(line.data + taken, line.size - taken);
    }
    if (*failed) {
        return false;
    }
    *s = (struct shard_stats){numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]};
    *rest = slice_make(end + 1, rest->size - size - 1);
    return true;
}

bool shard_stats_are_valid(struct slice text)
{
    struct shard_stats s;
    uint64_t last = 0;
    bool failed = false;
    bool is_first = true;
    while (shard_stats_next(&text, &s, &failed)) {
        if (!is_first && s.shard <= last) {
            return false;
        }
        last = s.shard;
        is_first = false;
    }
    return !failed;
}

/* By halves: what is asked for is in `text`, or nowhere. */
bool shard_stats_find(struct slice text, uint64_t shard, struct shard_stats *s)
{
    bool failed = false;
    while (text.size > 0 && !failed) {
        size_t begin = text.size / 2; /* of the line that is there */
        while (begin > 0 && text.data[begin - 1] != '\n') {
            begin--;
        }
        struct slice rest = slice_make(text.data + begin, text.size - begin);
        if (shard_stats_next(&rest, s, &failed) && s->shard == shard) {
            return true;
        }
        text = !failed && s->shard < shard ? rest : slice_make(text.data, begin);
    }
    *s = (struct shard_stats){.shard = shard};
    return false;
}

void shard_stats_encode(struct buf *b, const struct shard_stats *s)
{
    buf_printf(b, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", s->shard,
               s->rows, s->bytes, s->qps, s->position);
}
