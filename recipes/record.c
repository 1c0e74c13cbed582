#include "recipes/record.h"

#include <inttypes.h>

#include "base/hex.h"

enum field_type {
    FIELD_WORD,  /* uint8_t, one of `words`, from 1 on */
    FIELD_SMALL, /* uint32_t */
    FIELD_LARGE, /* uint64_t */
    FIELD_SIGNED, /* int64_t */
    FIELD_TEXT,  /* struct slice, escaped */
};

#define FIELD_WORDS_MAX 6

struct field {
    const char *name;
    size_t offset;
    enum field_type type;
    const char *words[FIELD_WORDS_MAX];
};

#define HEAD(member)   offsetof(struct recipe_head, member)
#define RECORD(member) offsetof(struct recipe_record, member)

/* A field that is zero or empty has no line. */
static const struct field head_fields[] = {
    {"recipe",
     HEAD(recipe),
     FIELD_WORD,
     {"lock", "election", "counter", "ids", "latch", "barrier"}},
    {.name = "permits", .offset = HEAD(permits), .type = FIELD_SMALL},
    {"policy", HEAD(policy), FIELD_WORD, {"first", "priority", "number"}},
    {.name = "keep", .offset = HEAD(keep), .type = FIELD_SMALL},
    {.name = "eligible", .offset = HEAD(eligible), .type = FIELD_TEXT},
    {.name = "parties", .offset = HEAD(parties), .type = FIELD_SMALL},
    {.name = "count", .offset = HEAD(count), .type = FIELD_SMALL},
    {.name = "value", .offset = HEAD(value), .type = FIELD_SIGNED},
};

static const struct field record_fields[] = {
    {"state", RECORD(state), FIELD_WORD, {"waiting", "held"}},
    {"mode", RECORD(mode), FIELD_WORD, {"write", "read", "permits", "candidate", "party"}},
    {.name = "permits", .offset = RECORD(permits), .type = FIELD_SMALL},
    {.name = "count", .offset = RECORD(count), .type = FIELD_SMALL},
    {.name = "epoch", .offset = RECORD(epoch), .type = FIELD_LARGE},
    {.name = "group", .offset = RECORD(group), .type = FIELD_LARGE},
    {.name = "part", .offset = RECORD(part), .type = FIELD_SMALL},
    {.name = "since_ms", .offset = RECORD(since_ms), .type = FIELD_LARGE},
    {.name = "deadline_ms", .offset = RECORD(deadline_ms), .type = FIELD_LARGE},
    {.name = "hold_ms", .offset = RECORD(hold_ms), .type = FIELD_LARGE},
    {.name = "owner", .offset = RECORD(owner), .type = FIELD_TEXT},
    {.name = "priority", .offset = RECORD(priority), .type = FIELD_SMALL},
    {.name = "number", .offset = RECORD(number), .type = FIELD_LARGE},
    {.name = "label", .offset = RECORD(label), .type = FIELD_TEXT},
    {.name = "value", .offset = RECORD(value), .type = FIELD_TEXT},
    {.name = "note", .offset = RECORD(note), .type = FIELD_TEXT},
    {.name = "asked_by", .offset = RECORD(asked_by), .type = FIELD_TEXT},
    {.name = "asked_why", .offset = RECORD(asked_why), .type = FIELD_TEXT},
    {.name = "leaving", .offset = RECORD(leaving), .type = FIELD_SMALL},
};

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

const char *lock_mode_name(uint8_t mode)
{
    return mode >= LOCK_WRITE && mode <= LOCK_PERMITS ? record_fields[1].words[mode - 1] : NULL;
}

const char *election_policy_name(uint8_t policy)
{
    return policy >= ELECTION_FIRST && policy <= ELECTION_NUMBER
               ? head_fields[2].words[policy - 1]
               : NULL;
}

/* ---- escapes ------------------------------------------------------------------------------ */

static bool byte_is_escaped(uint8_t byte)
{
    return byte < 0x20 || byte == 0x7f || byte == '%';
}

static void text_encode(struct buf *b, struct slice text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte_is_escaped(byte)) {
            uint8_t escaped[] = {'%', (uint8_t)digits[byte >> 4], (uint8_t)digits[byte & 15]};
            buf_append(b, escaped, sizeof escaped);
        } else {
            buf_append(b, &byte, 1);
        }
    }
}

static bool text_decode(struct slice text, struct slice *out, struct arena *arena)
{
    if (text.size == 0 || memchr(text.data, '%', text.size) == NULL) {
        *out = text;
    } else {
        uint8_t *plain = arena_alloc(arena, text.size);
        size_t size = 0;
        for (size_t i = 0; i < text.size; i++) {
            if (text.data[i] != '%') {
                plain[size++] = text.data[i];
                continue;
            }
            bool whole = i + 2 < text.size;
            int high = whole ? hex_upper(text.data[i + 1]) : -1;
            int low = whole ? hex_upper(text.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            plain[size] = (uint8_t)(high * 16 + low);
            if (!byte_is_escaped(plain[size++])) {
                return false;
            }
            i += 2;
        }
        *out = slice_make(plain, size);
    }
    for (size_t i = 0; i < text.size; i++) { /* what must be escaped was */
        if (text.data[i] != '%' && byte_is_escaped(text.data[i])) {
            return false;
        }
    }
    return true;
}

/* ---- lines -------------------------------------------------------------------------------- */

static void field_encode(struct buf *b, const struct field *f, const uint8_t *from)
{
    if (f->type == FIELD_WORD) {
        uint8_t word = from[f->offset];
        if (word != 0) {
            buf_printf(b, "%s=%s\n", f->name, f->words[word - 1]);
        }
    } else if (f->type == FIELD_SIGNED) {
        int64_t number;
        memcpy(&number, from + f->offset, sizeof number);
        if (number != 0) {
            buf_printf(b, "%s=%" PRId64 "\n", f->name, number);
        }
    } else if (f->type == FIELD_TEXT) {
        struct slice text;
        memcpy(&text, from + f->offset, sizeof text);
        if (text.size > 0) {
            buf_printf(b, "%s=", f->name);
            text_encode(b, text);
            buf_append_str(b, "\n");
        }
    } else {
        uint64_t number = 0;
        uint32_t small;
        memcpy(&small, from + f->offset, sizeof small);
        if (f->type == FIELD_LARGE) {
            memcpy(&number, from + f->offset, sizeof number);
        } else {
            number = small;
        }
        if (number != 0) {
            buf_printf(b, "%s=%" PRIu64 "\n", f->name, number);
        }
    }
}

static bool word_decode(const struct field *f, struct slice value, uint8_t *to)
{
    for (uint8_t i = 0; i < FIELD_WORDS_MAX && f->words[i] != NULL; i++) {
        if (slice_is(value, f->words[i])) {
            *to = (uint8_t)(i + 1);
            return true;
        }
    }
    return false;
}

static bool signed_decode(struct slice value, uint8_t *to)
{
    bool is_negative = value.size > 0 && value.data[0] == '-';
    struct slice digits = slice_make(value.data + is_negative, value.size - is_negative);
    uint64_t number;
    if (!slice_number(digits, &number) || number == 0 ||
        number > (uint64_t)INT64_MAX + is_negative) {
        return false;
    }
    uint64_t twos = is_negative ? ~number + 1 : number;
    memcpy(to, &twos, sizeof twos);
    return true;
}

static bool field_decode(const struct field *f, struct slice value, uint8_t *to,
                         struct arena *arena)
{
    if (f->type == FIELD_WORD) {
        return word_decode(f, value, to + f->offset);
    }
    if (f->type == FIELD_SIGNED) {
        return signed_decode(value, to + f->offset);
    }
    if (f->type == FIELD_TEXT) {
        struct slice text;
        if (value.size == 0 || arena == NULL || !text_decode(value, &text, arena)) {
            return false;
        }
        memcpy(to + f->offset, &text, sizeof text);
        return true;
    }
    uint64_t number;
    if (!slice_number(value, &number) || number == 0 ||
        (f->type == FIELD_SMALL && number > UINT32_MAX)) {
        return false;
    }
    uint32_t small = (uint32_t)number;
    if (f->type == FIELD_LARGE) {
        memcpy(to + f->offset, &number, sizeof number);
    } else {
        memcpy(to + f->offset, &small, sizeof small);
    }
    return true;
}

/* `to` is zeroed. Lines come in the order of the table, each at most once. */
static bool fields_decode(struct slice text, const struct field *fields, size_t count,
                          uint8_t *to, struct arena *arena)
{
    size_t next = 0;
    while (text.size > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        const uint8_t *equals = memchr(text.data, '=', text.size);
        if (end == NULL || equals == NULL || equals > end) {
            return false;
        }
        struct slice name = slice_make(text.data, (size_t)(equals - text.data));
        struct slice value = slice_make(equals + 1, (size_t)(end - equals - 1));
        while (next < count && !slice_is(name, fields[next].name)) {
            next++;
        }
        if (next == count || !field_decode(&fields[next], value, to, arena)) {
            return false;
        }
        next++;
        size_t used = (size_t)(end - text.data) + 1;
        text = slice_make(text.data + used, text.size - used);
    }
    return true;
}

/* ---- head and record ---------------------------------------------------------------------- */

void recipe_head_encode(struct buf *b, const struct recipe_head *h)
{
    for (size_t i = 0; i < COUNT_OF(head_fields); i++) {
        field_encode(b, &head_fields[i], (const uint8_t *)h);
    }
}

/* What one recipe says, no other does. */
static bool head_is_sound(const struct recipe_head *h)
{
    bool is_election = h->recipe == RECIPE_ELECTION;
    bool is_number = h->recipe == RECIPE_COUNTER || h->recipe == RECIPE_IDS;
    return h->recipe != 0 && is_election == (h->policy != 0) && h->keep <= 1 &&
           (is_election || (h->keep == 0 && h->eligible.size == 0)) &&
           h->eligible.size <= RECIPE_LABEL_BYTES_MAX &&
           (h->recipe == RECIPE_LOCK || h->permits == 0) &&
           (h->recipe == RECIPE_BARRIER) == (h->parties != 0) &&
           (h->recipe == RECIPE_LATCH || h->count == 0) && (is_number || h->value == 0) &&
           (h->recipe != RECIPE_IDS || h->value >= 0);
}

bool recipe_head_decode(struct slice text, struct recipe_head *h, struct arena *arena)
{
    *h = (struct recipe_head){0};
    return fields_decode(text, head_fields, COUNT_OF(head_fields), (uint8_t *)h, arena) &&
           head_is_sound(h);
}

/* In texts, line feeds are escaped: what looks like the line is the line. */
bool recipe_head_keeps(struct slice text)
{
    static const char line[] = "\nkeep=1\n";
    const size_t size = sizeof line - 1;
    for (size_t i = 0; i + size <= text.size; i++) {
        if (memcmp(text.data + i, line, size) == 0) {
            return true;
        }
    }
    return false;
}

void recipe_record_encode(struct buf *b, const struct recipe_record *r)
{
    struct recipe_record told = *r;
    told.count = r->count > 1 ? r->count : 0; /* once is not said */
    for (size_t i = 0; i < COUNT_OF(record_fields); i++) {
        field_encode(b, &record_fields[i], (const uint8_t *)&told);
    }
}

/* What only candidates and parties say, and what they do not say. */
static bool mode_is_sound(const struct recipe_record *r)
{
    bool is_lock = r->mode < MODE_CANDIDATE;
    bool is_leaving = r->leaving == 1 && r->mode == MODE_PARTY && r->state == ENTRY_HELD;
    if (!is_lock && (r->group != 0 || r->count != 1 || r->hold_ms != 0 ||
                     (r->state == ENTRY_HELD && r->deadline_ms != 0))) {
        return false;
    }
    return (r->leaving == 0 || is_leaving) &&
           (r->mode == MODE_CANDIDATE ||
            (r->priority == 0 && r->number == 0 && r->value.size + r->label.size == 0));
}

static bool record_is_sound(const struct recipe_record *r)
{
    bool held = r->state == ENTRY_HELD;
    bool asked = r->asked_by.size + r->asked_why.size > 0;
    return r->state != 0 && r->mode != 0 && (r->permits != 0) == (r->mode == LOCK_PERMITS) &&
           (r->epoch != 0) == held && (r->group != 0) == (r->part != 0) &&
           (held || (r->count == 1 && !asked)) && r->owner.size <= RECIPE_OWNER_BYTES_MAX &&
           r->note.size <= RECIPE_NOTE_BYTES_MAX && r->value.size <= RECIPE_VALUE_BYTES_MAX &&
           r->label.size <= RECIPE_LABEL_BYTES_MAX && mode_is_sound(r);
}

bool recipe_record_decode(struct slice text, struct recipe_record *r, struct arena *arena)
{
    *r = (struct recipe_record){0};
    if (!fields_decode(text, record_fields, COUNT_OF(record_fields), (uint8_t *)r, arena) ||
        r->count == 1) {
        return false;
    }
    r->count = r->count == 0 ? 1 : r->count;
    return record_is_sound(r);
}
