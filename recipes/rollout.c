#include "recipes/rollout.h"

#include <inttypes.h>
#include <stddef.h>

#include "base/hex.h"
#include "recipes/instance.h"

/* ---- the record ---------------------------------------------------------------------------- */

enum field_kind { FIELD_NUMBER, FIELD_TEXT };

static const struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
} fields[] = {
    {"key", FIELD_TEXT, offsetof(struct rollout, key)},
    {"strategy", FIELD_NUMBER, offsetof(struct rollout, strategy)},
    {"state", FIELD_NUMBER, offsetof(struct rollout, state)},
    {"paused", FIELD_NUMBER, offsetof(struct rollout, is_paused)},
    {"step", FIELD_NUMBER, offsetof(struct rollout, step)},
    {"percents", FIELD_TEXT, offsetof(struct rollout, percents)},
    {"step_ms", FIELD_NUMBER, offsetof(struct rollout, step_ms)},
    {"next_ms", FIELD_NUMBER, offsetof(struct rollout, next_ms)},
    {"labels", FIELD_TEXT, offsetof(struct rollout, labels)},
    {"ids", FIELD_TEXT, offsetof(struct rollout, ids)},
    {"gate", FIELD_TEXT, offsetof(struct rollout, gate)},
    {"gate_value", FIELD_TEXT, offsetof(struct rollout, gate_value)},
    {"gate_service", FIELD_TEXT, offsetof(struct rollout, gate_service)},
    {"gate_tag", FIELD_TEXT, offsetof(struct rollout, gate_tag)},
    {"gate_percent", FIELD_NUMBER, offsetof(struct rollout, gate_percent)},
    {"why", FIELD_TEXT, offsetof(struct rollout, why)},
    {"base_revision", FIELD_NUMBER, offsetof(struct rollout, base_revision)},
    {"done_revision", FIELD_NUMBER, offsetof(struct rollout, done_revision)},
    {"schema_revision", FIELD_NUMBER, offsetof(struct rollout, schema_revision)},
    {"base", FIELD_TEXT, offsetof(struct rollout, base)},
    {"value", FIELD_TEXT, offsetof(struct rollout, value)},
};
#define FIELDS (sizeof fields / sizeof fields[0])

/* Words in place of numbers, from 1 on. */
static const char *const strategies[] = {"canary", "blue_green", "progressive"};
static const char *const states[] = {"planning", "in_progress", "completed", "rolled_back"};

static const char *const *words_of(const struct field *f, size_t *count)
{
    bool is_strategy = f->offset == offsetof(struct rollout, strategy);
    bool is_state = f->offset == offsetof(struct rollout, state);
    *count = is_strategy ? sizeof strategies / sizeof strategies[0]
             : is_state  ? sizeof states / sizeof states[0]
                         : 0;
    return is_strategy ? strategies : states;
}

static void append_escaped(struct buf *b, struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < 0x20 || text.data[i] == 0x7f || text.data[i] == '%') {
            buf_printf(b, "%%%02X", text.data[i]);
        } else {
            buf_append(b, &text.data[i], 1);
        }
    }
}

static void append_number(struct buf *b, const struct field *f, uint64_t number)
{
    size_t count;
    const char *const *words = words_of(f, &count);
    if (number <= count) {
        buf_append_str(b, words[number - 1]);
    } else {
        buf_printf(b, "%" PRIu64, number);
    }
}

void rollout_encode(struct buf *b, const struct rollout *r)
{
    for (size_t i = 0; i < FIELDS; i++) {
        const struct field *f = &fields[i];
        const void *at = (const char *)r + f->offset;
        uint64_t number = f->kind == FIELD_NUMBER ? *(const uint64_t *)at : 0;
        struct slice text = f->kind == FIELD_TEXT ? *(const struct slice *)at
                                                  : slice_make(NULL, 0);
        if (number == 0 && text.size == 0) {
            continue;
        }
        buf_append_str(b, f->name);
        buf_append_str(b, "=");
        if (f->kind == FIELD_NUMBER) {
            append_number(b, f, number);
        } else {
            append_escaped(b, text);
        }
        buf_append_str(b, "\n");
    }
}

static bool unescape(struct slice from, struct slice *to, struct arena *arena)
{
    if (from.size == 0 || memchr(from.data, '%', from.size) == NULL) {
        *to = from;
        return true;
    }
    uint8_t *bytes = arena_alloc(arena, from.size);
    size_t size = 0;
    for (size_t i = 0; i < from.size; i++) {
        if (from.data[i] != '%') {
            bytes[size++] = from.data[i];
            continue;
        }
        int high = i + 2 < from.size ? hex_upper(from.data[i + 1]) : -1;
        int low = i + 2 < from.size ? hex_upper(from.data[i + 2]) : -1;
        if (high < 0 || low < 0) {
            return false;
        }
        bytes[size++] = (uint8_t)(high * 16 + low);
        i += 2;
    }
    *to = slice_make(bytes, size);
    return true;
}

static bool take_number(const struct field *f, struct slice text, uint64_t *out)
{
    size_t count;
    const char *const *words = words_of(f, &count);
    for (size_t i = 0; i < count; i++) {
        if (slice_is(text, words[i])) {
            *out = i + 1;
            return true;
        }
    }
    return count == 0 && slice_number(text, out);
}

/* The next line, of a field that comes behind those before. */
static bool take_line(struct slice *rest, size_t *next, struct rollout *r, struct arena *arena)
{
    const uint8_t *end = memchr(rest->data, '\n', rest->size);
    const uint8_t *equals = memchr(rest->data, '=', rest->size);
    if (end == NULL || equals == NULL || equals > end) {
        return false;
    }
    struct slice name = slice_make(rest->data, (size_t)(equals - rest->data));
    struct slice text = slice_make(equals + 1, (size_t)(end - equals) - 1);
    while (*next < FIELDS && !slice_is(name, fields[*next].name)) {
        ++*next;
    }
    if (*next == FIELDS) {
        return false;
    }
    const struct field *f = &fields[(*next)++];
    void *at = (char *)r + f->offset;
    *rest = slice_make(end + 1, rest->size - (size_t)(end + 1 - rest->data));
    return f->kind == FIELD_NUMBER ? take_number(f, text, at) : unescape(text, at, arena);
}

bool rollout_decode(struct slice text, struct rollout *r, struct arena *arena)
{
    size_t next = 0;
    struct slice rest = text;
    struct buf again = {0};
    *r = (struct rollout){.state = 0};
    while (rest.size > 0) {
        if (!take_line(&rest, &next, r, arena)) {
            return false;
        }
    }
    if (rollout_check(r) != NULL) {
        return false;
    }
    rollout_encode(&again, r); /* one text for each content */
    bool is_same = slice_equal(buf_slice(&again), text);
    buf_close(&again);
    return is_same;
}

static bool skip_line(struct slice *rest, const char *begin)
{
    size_t size = strlen(begin);
    const uint8_t *end = rest->size > 0 ? memchr(rest->data, '\n', rest->size) : NULL;
    if (end == NULL || rest->size < size || memcmp(rest->data, begin, size) != 0) {
        return false;
    }
    *rest = slice_make(end + 1, rest->size - (size_t)(end + 1 - rest->data));
    return true;
}

bool rollout_text_has_ended(struct slice text)
{
    return skip_line(&text, "key=") && skip_line(&text, "strategy=") &&
           (skip_line(&text, "state=completed\n") || skip_line(&text, "state=rolled_back\n"));
}

/* ---- lists --------------------------------------------------------------------------------- */

/* The next of several parts with a comma between them; false: there is none. */
static bool take_part(struct slice *list, struct slice *part)
{
    if (list->size == 0) {
        return false;
    }
    const uint8_t *comma = memchr(list->data, ',', list->size);
    size_t size = comma == NULL ? list->size : (size_t)(comma - list->data);
    size_t taken = size + (comma != NULL);
    *part = slice_make(list->data, size);
    *list = slice_make(list->data + taken, list->size - taken);
    return true;
}

static bool list_has(struct slice list, struct slice wanted)
{
    struct slice part;
    while (take_part(&list, &part)) {
        if (slice_equal(part, wanted)) {
            return true;
        }
    }
    return false;
}

static uint32_t percent_at(const struct rollout *r, uint64_t step)
{
    struct slice list = r->percents;
    struct slice part;
    uint64_t percent = 0;
    for (uint64_t i = 0; take_part(&list, &part); i++) {
        if (i == step) {
            return slice_number(part, &percent) ? (uint32_t)percent : 0;
        }
    }
    return 0;
}

static uint32_t step_count(const struct rollout *r)
{
    struct slice list = r->percents;
    struct slice part;
    uint32_t count = 0;
    while (take_part(&list, &part)) {
        count++;
    }
    return count;
}

uint32_t rollout_percent(const struct rollout *r)
{
    switch (r->state) {
    case ROLLOUT_IN_PROGRESS: return percent_at(r, r->step);
    case ROLLOUT_COMPLETED: return 100;
    default: return 0;
    }
}

static const char *percents_check(const struct rollout *r)
{
    struct slice list = r->percents;
    struct slice part;
    uint64_t before = 0;
    uint64_t percent;
    uint32_t count = 0;
    while (take_part(&list, &part)) {
        if (!slice_number(part, &percent) || percent <= before || percent > 100) {
            return "percents: numbers from 1 to 100, each above the one before";
        }
        before = percent;
        count++;
    }
    if (count == 0 || count > ROLLOUT_STEPS_MAX ||
        r->percents.data[r->percents.size - 1] == ',') {
        return "percents: from 1 to 16 of them";
    }
    if (r->strategy == ROLLOUT_CANARY && count != 1) {
        return "percents: a canary has one";
    }
    return r->strategy == ROLLOUT_BLUE_GREEN && !slice_is(r->percents, "100")
               ? "percents: of blue/green it is 100"
               : NULL;
}

static const char *service_check(const struct rollout *r)
{
    if (r->gate_service.size == 0) {
        return r->gate_tag.size > 0 || r->gate_percent != 0
                   ? "gate_service: a tag and a percentage are of one"
                   : NULL;
    }
    if (service_name_check(r->gate_service, NULL) != RC_OK) {
        return "gate_service: no name of a service";
    }
    if (r->gate_percent == 0 || r->gate_percent > 100) {
        return "gate_percent: from 1 to 100, of the instances";
    }
    return r->gate_tag.size > INSTANCE_WORD_BYTES_MAX ? "gate_tag: at most 63 bytes" : NULL;
}

const char *rollout_check(const struct rollout *r)
{
    if (r->strategy < ROLLOUT_CANARY || r->strategy > ROLLOUT_PROGRESSIVE) {
        return "strategy: canary, blue_green or progressive";
    }
    if (r->state < ROLLOUT_PLANNING || r->state > ROLLOUT_ROLLED_BACK || r->is_paused > 1) {
        return "state: none that there is";
    }
    if (r->strategy == ROLLOUT_BLUE_GREEN && r->labels.size == 0 && r->ids.size == 0) {
        return "labels: blue/green takes labels or ids, which say who is green";
    }
    if (r->key.size == 0 || (r->gate.size == 0) != (r->gate_value.size == 0)) {
        return "gate: a path, and the value that it must have";
    }
    if (r->value.size > ROLLOUT_VALUE_BYTES_MAX || r->base.size > ROLLOUT_VALUE_BYTES_MAX) {
        return "value: at most 64 KiB are rolled out, from at most 64 KiB";
    }
    if (r->labels.size > ROLLOUT_TEXT_BYTES_MAX || r->ids.size > ROLLOUT_TEXT_BYTES_MAX ||
        r->gate_value.size > ROLLOUT_TEXT_BYTES_MAX) {
        return "labels, ids, gate_value: at most 4096 bytes each";
    }
    if (r->step_ms > ROLLOUT_STEP_MS_MAX) {
        return "step_ms: at most 30 days";
    }
    const char *wrong = service_check(r);
    wrong = wrong != NULL ? wrong : percents_check(r);
    return wrong != NULL              ? wrong
           : r->step >= step_count(r) ? "step: none that there is"
                                      : NULL;
}

/* ---- moves --------------------------------------------------------------------------------- */

static enum rollout_effect roll_back(struct rollout *r, const struct rollout_facts *facts,
                                     const char *why)
{
    bool was_done = r->state == ROLLOUT_COMPLETED;
    bool is_ours = facts->key_revision != 0 && facts->key_revision == r->done_revision;
    r->state = ROLLOUT_ROLLED_BACK;
    r->is_paused = 0;
    r->next_ms = 0;
    r->why = slice_str(why);
    return was_done && is_ours ? ROLLOUT_SET_BASE : ROLLOUT_CHANGED;
}

static void due_set(struct rollout *r, const struct rollout_facts *facts)
{
    r->next_ms = r->step_ms == 0 ? 0 : facts->cluster_ms + r->step_ms;
}

static enum rollout_effect complete(struct rollout *r)
{
    r->state = ROLLOUT_COMPLETED;
    r->is_paused = 0;
    r->next_ms = 0;
    return ROLLOUT_SET_VALUE;
}

static enum rollout_effect promote(struct rollout *r, const struct rollout_facts *facts)
{
    if (r->state == ROLLOUT_PLANNING) {
        r->state = ROLLOUT_IN_PROGRESS;
        r->step = 0;
    } else if (r->step + 1 < step_count(r)) {
        r->step++;
    } else {
        return complete(r);
    }
    due_set(r, facts);
    return ROLLOUT_CHANGED;
}

enum rollout_gate rollout_health(const struct rollout *r, uint64_t passing, uint64_t total)
{
    return total == 0                                   ? GATE_MISSING
           : passing * 100 >= total * r->gate_percent ? GATE_GOOD
                                                      : GATE_BAD;
}

bool rollout_heeds_gates(const struct rollout *r, enum rollout_event event)
{
    bool goes_on = event == ROLLOUT_PROMOTE || event == ROLLOUT_FINISH;
    return event == ROLLOUT_TICK ? r->state == ROLLOUT_IN_PROGRESS
                                 : goes_on && rollout_is_open(r);
}

/* Why it goes no further; NULL: nothing says so. */
static const char *gates_refuse(const struct rollout_facts *facts)
{
    return facts->gate == GATE_BAD     ? "the gate said no"
           : facts->health == GATE_BAD ? "too few instances pass"
                                       : NULL;
}

static enum rollout_effect tick(struct rollout *r, const struct rollout_facts *facts)
{
    bool is_due = !r->is_paused && r->next_ms != 0 && facts->cluster_ms >= r->next_ms &&
                  facts->gate != GATE_MISSING && facts->health != GATE_MISSING;
    return is_due ? promote(r, facts) : ROLLOUT_REFUSED;
}

enum rollout_effect rollout_step(struct rollout *r, enum rollout_event event,
                                 const struct rollout_facts *facts)
{
    bool is_open = rollout_is_open(r);
    if (event == ROLLOUT_ROLL_BACK) {
        return r->state == ROLLOUT_ROLLED_BACK ? ROLLOUT_UNCHANGED
                                               : roll_back(r, facts, "by hand");
    }
    if (!is_open) {
        return ROLLOUT_REFUSED;
    }
    if (facts->key_revision != r->base_revision) {
        return roll_back(r, facts, "the key was changed meanwhile");
    }
    if (facts->schema_revision != r->schema_revision) {
        return roll_back(r, facts, "the configuration or a schema was changed meanwhile");
    }
    /* Who goes on by hand does not go past a gate either: at the end nothing would roll back. */
    const char *refused = rollout_heeds_gates(r, event) ? gates_refuse(facts) : NULL;
    if (refused != NULL) {
        return roll_back(r, facts, refused);
    }
    switch (event) {
    case ROLLOUT_PROMOTE: return promote(r, facts);
    case ROLLOUT_FINISH: return complete(r);
    case ROLLOUT_PAUSE:
    case ROLLOUT_RESUME:
        if (r->is_paused == (event == ROLLOUT_PAUSE)) {
            return ROLLOUT_UNCHANGED;
        }
        r->is_paused = event == ROLLOUT_PAUSE;
        if (!r->is_paused && r->state == ROLLOUT_IN_PROGRESS) {
            due_set(r, facts);
        }
        return ROLLOUT_CHANGED;
    default:
        return r->state == ROLLOUT_IN_PROGRESS ? tick(r, facts) : ROLLOUT_REFUSED;
    }
}

/* ---- who sees it --------------------------------------------------------------------------- */

/* From 0 to 99, the same for ever: FNV-1a, and its bits stirred. */
static uint32_t place_of(struct slice key, struct slice id)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < key.size; i++) {
        hash = (hash ^ key.data[i]) * 0x100000001b3u;
    }
    hash = (hash ^ 0xff) * 0x100000001b3u;
    for (size_t i = 0; i < id.size; i++) {
        hash = (hash ^ id.data[i]) * 0x100000001b3u;
    }
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
    hash ^= hash >> 33;
    return (uint32_t)(hash % 100);
}

bool rollout_covers(const struct rollout *r, struct slice id, struct slice labels)
{
    struct slice wanted = r->labels;
    struct slice part;
    if (r->state != ROLLOUT_IN_PROGRESS) {
        return false;
    }
    if (list_has(r->ids, id)) {
        return true;
    }
    if (r->labels.size == 0 && r->ids.size > 0) {
        return false;
    }
    while (take_part(&wanted, &part)) {
        if (!list_has(labels, part)) {
            return false;
        }
    }
    return place_of(r->key, id) < rollout_percent(r);
}
