#include "client/pick.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* A sample moves the mean by this part of the difference. */
#define SAMPLE_PART 0.2
/* Older means are taken for forgotten. */
#define FORGOTTEN_MS ((uint64_t)40 * PICK_HALF_LIFE_MS)

void pick_close(struct pick *p)
{
    free(p->candidates);
    free(p->points);
    *p = (struct pick){.policy = p->policy};
}

/* ---- the ring ----------------------------------------------------------------------------- */

static uint32_t points_of(const struct pick_candidate *c)
{
    return c->weight < PICK_POINTS_MAX ? c->weight : PICK_POINTS_MAX;
}

static int point_order(const void *a, const void *b)
{
    const struct pick_point *x = a;
    const struct pick_point *y = b;
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    return x->candidate < y->candidate ? -1 : x->candidate > y->candidate;
}

static bool make_points(const struct pick_candidate *candidates, size_t count,
                        struct pick_point **points, size_t *point_count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += points_of(&candidates[i]);
    }
    *points = malloc((total + 1) * sizeof **points);
    *point_count = 0;
    if (*points == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t own = hash_bytes(0, candidates[i].id, strlen(candidates[i].id));
        for (uint32_t k = 0; k < points_of(&candidates[i]); k++) {
            (*points)[(*point_count)++] =
                (struct pick_point){.hash = hash_mix(own, k), .candidate = (uint32_t)i};
        }
    }
    qsort(*points, *point_count, sizeof **points, point_order);
    return true;
}

/* The first point at or behind the key's hash, around the ring. */
static size_t next_point(const struct pick *p, uint64_t hash)
{
    size_t low = 0;
    size_t high = p->point_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->points[middle].hash < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return p->points[low < p->point_count ? low : 0].candidate;
}

/* ---- who there is ------------------------------------------------------------------------- */

/* Of one that stays, what is known of it. Both are in the order of their ids. */
static void keep_known(const struct pick *p, struct pick_candidate *candidates, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        while (at < p->count && strcmp(p->candidates[at].id, candidates[i].id) < 0) {
            at++;
        }
        if (at < p->count && strcmp(p->candidates[at].id, candidates[i].id) == 0) {
            uint32_t weight = candidates[i].weight;
            candidates[i] = p->candidates[at];
            candidates[i].weight = weight;
        }
        candidates[i].turn = 0; /* all begin anew: what they are owed adds up to nothing */
    }
}

bool pick_set(struct pick *p, const struct pick_member *members, size_t count)
{
    struct pick_candidate *candidates = calloc(count + 1, sizeof *candidates);
    struct pick_point *points = NULL;
    size_t point_count = 0;
    if (candidates == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        size_t bytes = strlen(members[i].id);
        bytes = bytes < PICK_ID_BYTES_MAX ? bytes : PICK_ID_BYTES_MAX;
        memcpy(candidates[i].id, members[i].id, bytes);
        candidates[i].weight = members[i].weight;
    }
    if (p->policy == PICK_HASH && !make_points(candidates, count, &points, &point_count)) {
        free(candidates);
        return false;
    }
    keep_known(p, candidates, count);
    free(p->candidates);
    free(p->points);
    p->candidates = candidates;
    p->count = count;
    p->points = points;
    p->point_count = point_count;
    return true;
}

/* ---- policies ----------------------------------------------------------------------------- */

/* Each is owed its weight with every pick, and who is owed most pays for it with all weights. */
static size_t next_in_turn(struct pick *p)
{
    size_t best = 0;
    int64_t total = 0;
    for (size_t i = 0; i < p->count; i++) {
        struct pick_candidate *c = &p->candidates[i];
        c->turn += c->weight;
        total += c->weight;
        best = c->turn > p->candidates[best].turn ? i : best;
    }
    p->candidates[best].turn -= total;
    return best;
}

/* Who is to be preferred, if neither is for a reason. */
static bool waited_longer(const struct pick_candidate *a, const struct pick_candidate *b)
{
    return a->picked_last < b->picked_last;
}

/* NULL: nothing that is new enough. */
static const struct pick_load *load_now(const struct pick_candidate *c, uint64_t now_ms)
{
    bool is_new = c->has_load && (now_ms <= c->load.at_ms || now_ms - c->load.at_ms < PICK_LOAD_MS);
    return is_new ? &c->load : NULL;
}

/* What it has to do, and how much of it it can do. Whole numbers without a report, so that those
 * who are equal compare equal. */
static double work_of(const struct pick_candidate *c, uint64_t now_ms)
{
    const struct pick_load *load = load_now(c, now_ms);
    return (double)c->under_way + 1 + (load != NULL ? (double)load->queue_length : 0);
}

static double power_of(const struct pick_candidate *c, uint64_t now_ms)
{
    const struct pick_load *load = load_now(c, now_ms);
    double busy = load == NULL ? 0 : load->cpu < PICK_BUSY_MAX ? load->cpu : PICK_BUSY_MAX;
    return c->weight * (1 - busy);
}

static size_t next_least_loaded(const struct pick *p, uint64_t now_ms)
{
    size_t best = 0;
    for (size_t i = 1; i < p->count; i++) {
        const struct pick_candidate *c = &p->candidates[i];
        const struct pick_candidate *b = &p->candidates[best];
        double own = work_of(c, now_ms) * power_of(b, now_ms);
        double others = work_of(b, now_ms) * power_of(c, now_ms);
        bool is_better = own < others || (own <= others && waited_longer(c, b));
        best = is_better ? i : best;
    }
    return best;
}

static double latency_now(const struct pick_candidate *c, uint64_t now_ms)
{
    uint64_t age_ms = now_ms > c->sampled_ms ? now_ms - c->sampled_ms : 0;
    if (!c->has_latency || age_ms >= FORGOTTEN_MS) {
        return 0;
    }
    double latency = c->latency_ms;
    for (; age_ms >= PICK_HALF_LIFE_MS; age_ms -= PICK_HALF_LIFE_MS) {
        latency /= 2;
    }
    return latency * (1 - 0.5 * (double)age_ms / PICK_HALF_LIFE_MS);
}

/* Others may know by experience what this client has forgotten. */
static double expected_ms(const struct pick_candidate *c, uint64_t now_ms)
{
    const struct pick_load *load = load_now(c, now_ms);
    double own_ms = latency_now(c, now_ms);
    return load != NULL && load->latency_ms > own_ms ? load->latency_ms : own_ms;
}

static size_t next_fastest(const struct pick *p, uint64_t now_ms)
{
    size_t best = 0;
    double best_score = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct pick_candidate *c = &p->candidates[i];
        double expected = (expected_ms(c, now_ms) + 0.01) * (c->under_way + 1.0) / c->weight;
        bool is_better = i == 0 || expected < best_score;
        /* Equal but for rounding: in turn. */
        if (i > 0 && expected <= best_score * 1.000001 && expected >= best_score * 0.999999) {
            is_better = waited_longer(c, &p->candidates[best]);
        }
        if (is_better) {
            best = i;
            best_score = expected;
        }
    }
    return best;
}

size_t pick_next(struct pick *p, const void *key, size_t key_bytes, uint64_t now_ms)
{
    size_t at = PICK_NONE;
    if (p->count == 0) {
        return PICK_NONE;
    }
    switch (p->policy) {
    case PICK_ROUND_ROBIN: at = next_in_turn(p); break;
    case PICK_LEAST_LOADED: at = next_least_loaded(p, now_ms); break;
    case PICK_RESPONSE_TIME: at = next_fastest(p, now_ms); break;
    case PICK_HASH: at = next_point(p, hash_bytes(1, key, key_bytes)); break;
    }
    if (at != PICK_NONE) {
        p->candidates[at].picked_last = ++p->picks;
        p->candidates[at].under_way++;
    }
    return at;
}

static struct pick_candidate *find(const struct pick *p, const char *id)
{
    size_t low = 0;
    size_t high = p->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(p->candidates[middle].id, id);
        if (order == 0) {
            return &p->candidates[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

void pick_report(struct pick *p, const char *id, const struct pick_load *load)
{
    struct pick_candidate *c = find(p, id);
    if (c != NULL) {
        c->has_load = true;
        c->load = *load;
    }
}

void pick_done(struct pick *p, const char *id, uint64_t latency_ms, bool failed,
               uint64_t now_ms)
{
    struct pick_candidate *c = find(p, id);
    if (c == NULL) {
        return;
    }
    double sample = (double)latency_ms;
    if (failed && latency_ms < PICK_FAILURE_MS) {
        sample = PICK_FAILURE_MS;
    }
    c->under_way -= c->under_way > 0;
    double before = latency_now(c, now_ms);
    c->latency_ms = c->has_latency ? before + SAMPLE_PART * (sample - before) : sample;
    c->has_latency = true;
    c->sampled_ms = now_ms;
}
