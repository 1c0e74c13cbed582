/* What maps, nodes and shards are to be like, as words: "replicas=3". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/coordctl/shard.h"
#include "cmd/coordctl/values.h"

enum word_type {
    WORD_NUMBER,   /* uint32_t */
    WORD_LONG,     /* uint64_t */
    WORD_DURATION, /* uint64_t, milliseconds */
    WORD_SIZE,     /* uint64_t */
    WORD_PART,     /* uint32_t, thousandths: 0.2 */
    WORD_CHOICE,   /* an enum, from `base` on */
    WORD_YES,      /* protobuf_c_boolean */
    WORD_FLAG,     /* bool */
    WORD_HOURS,
    WORD_NAMES,
    WORD_TEXT,
};

struct word {
    const char *name;
    enum word_type type;
    int kinds; /* enum shard_words_kind, added up */
    size_t offset;
    const char *choices[5];
    const char *text_name; /* in the text of the map's node, where it is another one */
    const char *expected;
};

#define W(field)  offsetof(struct shard_words, field)
#define POLICY(f) offsetof(struct shard_words, policy.f)
#define A_NUMBER  "a number up to 4294967295"
#define MAPS      (SHARD_WORDS_MAP | SHARD_WORDS_POLICY)

static const struct word words[] = {
    {"strategy",
     WORD_CHOICE,
     SHARD_WORDS_MAP,
     W(strategy),
     {"hash", "range", "directory", "ring"},
     NULL,
     "hash, range, directory or ring"},
    {"shards", WORD_NUMBER, SHARD_WORDS_MAP, W(shards), {0}, "", A_NUMBER},
    {"slots", WORD_NUMBER, SHARD_WORDS_MAP, W(slots), {0}, NULL, A_NUMBER},
    {"bounds", WORD_NAMES, SHARD_WORDS_MAP, W(bounds), {0}, "", "keys, ascending, with commas"},
    {"replicas", WORD_NUMBER, MAPS, POLICY(replicas), {0}, NULL, "a number from 1 to 16"},
    {"zone_max", WORD_NUMBER, MAPS, POLICY(zone_max), {0}, NULL, A_NUMBER},
    {"tags",
     WORD_NAMES,
     MAPS | SHARD_WORDS_NODE | SHARD_WORDS_SHARD,
     W(tags),
     {0},
     NULL,
     "names, with commas"},
    {"promote",
     WORD_CHOICE,
     MAPS,
     POLICY(promote),
     {"fresh", "idle", "priority"},
     NULL,
     "fresh, idle or priority"},
    {"balance",
     WORD_CHOICE,
     MAPS,
     POLICY(balance),
     {"replicas", "bytes", "rows", "qps"},
     NULL,
     "replicas, bytes, rows or qps"},
    {"automatic",
     WORD_CHOICE,
     MAPS,
     POLICY(automatic),
     {"no", "repair", "fill", "balance"},
     NULL,
     "no, repair, fill or balance"},
    {"imbalance",
     WORD_PART,
     MAPS,
     POLICY(imbalance_permille),
     {0},
     "imbalance_permille",
     "a part such as 0.2"},
    {"target",
     WORD_PART,
     MAPS,
     POLICY(target_permille),
     {0},
     "target_permille",
     "a part such as 0.1"},
    {"concurrent", WORD_NUMBER, MAPS, POLICY(concurrent_moves), {0}, NULL, A_NUMBER},
    {"bandwidth", WORD_SIZE, MAPS, POLICY(bandwidth), {0}, NULL, "bytes a second, such as 50M"},
    {"timeout",
     WORD_DURATION,
     MAPS,
     POLICY(timeout_ms),
     {0},
     "timeout_ms",
     "a time such as 1h"},
    {"lost_after",
     WORD_DURATION,
     MAPS,
     POLICY(lost_after_ms),
     {0},
     "lost_after_ms",
     "a time such as 30s"},
    {"hours", WORD_HOURS, MAPS, POLICY(hours_begin), {0}, "", "HH:MM-HH:MM, in UTC"},
    {"unclean", WORD_YES, MAPS, POLICY(unclean), {0}, NULL, "yes or no"},
    {"zone", WORD_TEXT, SHARD_WORDS_NODE, W(zone), {0}, "", "a name"},
    {"weight", WORD_NUMBER, SHARD_WORDS_NODE | SHARD_WORDS_SHARD, W(weight), {0}, "", A_NUMBER},
    {"capacity",
     WORD_SIZE,
     SHARD_WORDS_NODE,
     W(capacity_bytes),
     {0},
     "",
     "bytes, such as 500G"},
    {"capacity_replicas",
     WORD_NUMBER,
     SHARD_WORDS_NODE,
     W(capacity_replicas),
     {0},
     "",
     A_NUMBER},
    {"priority", WORD_LONG, SHARD_WORDS_NODE, W(priority), {0}, "", "a number"},
    {"drain", WORD_FLAG, SHARD_WORDS_NODE, W(drains), {0}, "", "yes or no"},
    {"replicas", WORD_NUMBER, SHARD_WORDS_SHARD, W(replicas), {0}, "", "a number from 1 to 16"},
    {"pin", WORD_TEXT, SHARD_WORDS_SHARD, W(pin), {0}, "", "a node"},
};
#define WORD_COUNT (sizeof words / sizeof words[0])

static void names_free(struct shard_names *n)
{
    free(n->copy);
    *n = (struct shard_names){.count = 0};
}

static bool names_cut(struct shard_names *n, const char *list)
{
    names_free(n);
    n->copy = strdup(list);
    for (char *at = n->copy; at != NULL && at[0] != '\0';) {
        char *comma = strchr(at, ',');
        if (n->count == CTL_TAGS_MAX) {
            return false;
        }
        n->at[n->count++] = at;
        at = comma != NULL ? comma + 1 : NULL;
        if (comma != NULL) {
            *comma = '\0';
        }
    }
    return n->copy != NULL;
}

/* ---- values ------------------------------------------------------------------------------- */

static bool take_hours(Coord__V1__ShardPolicy *policy, const char *value)
{
    unsigned hours[4];
    char end;
    if (sscanf(value, "%2u:%2u-%2u:%2u%c", &hours[0], &hours[1], &hours[2], &hours[3], &end) !=
            4 ||
        hours[0] > 24 || hours[2] > 24 || hours[1] > 59 || hours[3] > 59) {
        return false;
    }
    policy->hours_begin = hours[0] * 60 + hours[1];
    policy->hours_end = hours[2] * 60 + hours[3];
    return policy->hours_begin <= 1440 && policy->hours_end <= 1440;
}

static bool take_part(const char *value, uint32_t *out)
{
    char *end;
    double part = strtod(value, &end);
    *out = part >= 0 && part <= 100 ? (uint32_t)(part * 1000 + 0.5) : 0;
    return *end == '\0' && end != value && *out > 0;
}

static bool take_choice(const struct word *w, const char *value, void *to)
{
    for (int i = 0; i < 4 && w->choices[i] != NULL; i++) {
        if (strcmp(w->choices[i], value) == 0) {
            memcpy(to, &i, sizeof i);
            return true;
        }
    }
    return false;
}

static bool take_yes(const char *value, bool *out)
{
    *out = strcmp(value, "yes") == 0 || strcmp(value, "1") == 0;
    return *out || strcmp(value, "no") == 0;
}

static bool take(const struct word *w, const char *value, struct shard_words *out)
{
    void *to = (char *)out + w->offset;
    uint64_t number = 0;
    uint32_t small = 0;
    bool yes = false;
    bool ok = false;
    switch (w->type) {
    case WORD_NUMBER:
    case WORD_PART:
        ok = w->type == WORD_PART ? take_part(value, &small)
                                  : value_parse_number(value, UINT32_MAX, &number);
        small = w->type == WORD_PART ? small : (uint32_t)number;
        memcpy(to, &small, sizeof small);
        return ok;
    case WORD_LONG: ok = value_parse_number(value, UINT64_MAX >> 1, &number); break;
    case WORD_DURATION: ok = value_parse_duration(value, 30 * DAY_MS, &number); break;
    case WORD_SIZE: ok = value_parse_size(value, &number); break;
    case WORD_CHOICE: return take_choice(w, value, to);
    case WORD_YES:
        ok = take_yes(value, &yes);
        out->policy.unclean = yes;
        return ok;
    case WORD_FLAG: return take_yes(value, &out->drains);
    case WORD_HOURS: return take_hours(&out->policy, value);
    case WORD_NAMES: return names_cut(to, value);
    case WORD_TEXT: memcpy(to, &value, sizeof value); return value[0] != '\0';
    }
    memcpy(to, &number, sizeof number);
    return ok;
}

static void begin(struct shard_words *w)
{
    if (w->policy.base.descriptor == NULL) {
        coord__v1__shard_policy__init(&w->policy);
    }
}

static void finish(struct shard_words *w)
{
    w->policy.tags = w->tags.at;
    w->policy.n_tags = w->tags.count;
}

/* ---- words -------------------------------------------------------------------------------- */

int shard_words_take(const struct ctl *ctl, size_t first, enum shard_words_kind kind,
                     struct shard_words *w)
{
    begin(w);
    for (size_t i = first; i < ctl->word_count; i++) {
        const char *word = ctl->words[i];
        size_t size = strcspn(word, "=");
        size_t at = 0;
        while (at < WORD_COUNT &&
               ((words[at].kinds & (int)kind) == 0 || strlen(words[at].name) != size ||
                strncmp(words[at].name, word, size) != 0)) {
            at++;
        }
        if (at == WORD_COUNT || word[size] == '\0') {
            return ctl_usage("%s: \"%s\" is not a NAME=VALUE that it takes", ctl->command->name,
                             word);
        }
        if (!take(&words[at], word + size + 1, w)) {
            return ctl_usage("%s: %s: \"%s\" is not %s", ctl->command->name, words[at].name,
                             word + size + 1, words[at].expected);
        }
    }
    finish(w);
    return EXIT_DONE;
}

/* "name=value" as the cluster has it: numbers are plain there. */
static bool take_line(struct shard_words *w, const char *name, size_t size, const char *value)
{
    uint64_t number = 0;
    bool is_number = value_parse_number(value, UINT64_MAX >> 1, &number);
    if (size == 11 && strncmp(name, "hours_begin", size) == 0) {
        w->policy.hours_begin = (uint32_t)number;
        return is_number;
    }
    if (size == 9 && strncmp(name, "hours_end", size) == 0) {
        w->policy.hours_end = (uint32_t)number;
        return is_number;
    }
    for (size_t i = 0; i < WORD_COUNT; i++) {
        const char *known = words[i].text_name != NULL ? words[i].text_name : words[i].name;
        if ((words[i].kinds & MAPS) == 0 || strlen(known) != size ||
            strncmp(known, name, size) != 0) {
            continue;
        }
        void *to = (char *)w + words[i].offset;
        uint32_t small = (uint32_t)number;
        if (words[i].type == WORD_DURATION || words[i].type == WORD_SIZE) {
            memcpy(to, &number, sizeof number);
        } else if (words[i].type == WORD_PART) {
            memcpy(to, &small, sizeof small);
        } else {
            return take(&words[i], value, w);
        }
        return is_number;
    }
    return true; /* of a later version */
}

bool shard_words_read(const char *text, size_t bytes, struct shard_words *w)
{
    char *copy = calloc(1, bytes + 1);
    bool ok = copy != NULL;
    begin(w);
    if (ok && bytes > 0) {
        memcpy(copy, text, bytes);
    }
    for (char *line = copy; ok && line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        size_t size = strcspn(line, "=");
        if (end != NULL) {
            *end = '\0';
        }
        ok = line[size] == '=' && take_line(w, line, size, line + size + 1);
        line = end != NULL ? end + 1 : NULL;
    }
    free(copy);
    finish(w);
    return ok;
}

void shard_words_free(struct shard_words *w)
{
    names_free(&w->tags);
    names_free(&w->bounds);
}

int shard_number(const struct ctl *ctl, const char *word, const char *what, uint64_t *out)
{
    if (!value_parse_number(word, UINT32_MAX, out)) {
        return ctl_usage("%s: \"%s\" is not the number of a %s", ctl->command->name, word,
                         what);
    }
    return EXIT_DONE;
}

int shard_call(struct ctl *ctl, enum client_method method, ProtobufCMessage *request,
               Coord__V1__RequestHeader *header)
{
    ProtobufCMessage *m = NULL;
    int exit_code = ctl_call(ctl, method, request, header, &m);
    client_reply_free(m);
    return exit_code;
}
