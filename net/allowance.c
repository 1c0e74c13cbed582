#include "net/allowance.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/node.h"
#include "store/store.h"

#define KINDS 3
/* A request, in parts of one that drop into the bucket each millisecond. */
#define TOKEN ((uint64_t)1000)
/* More users than there can be: those that hold nothing are forgotten beyond it. */
#define ALLOWANCES_MAX (2 * AUTH_USERS_MAX)

struct allowance {
    uint8_t name[AUTH_NAME_BYTES_MAX];
    size_t name_bytes;
    uint64_t connections;
    uint64_t watches;
    uint64_t tokens; /* of TOKEN each */
    uint64_t filled_ms;
};

struct allowances {
    struct env *env;
    const struct node *node;
    struct allowance **items; /* in order of name */
    uint32_t count;
    uint32_t capacity;
    struct metric *refusals[KINDS];
};

struct allowances *allowances_new(struct env *env, const struct node *node,
                                  struct metrics *metrics)
{
    static const char *const labels[KINDS] = {
        [ALLOWANCE_REQUESTS] = "limit=\"requests\"",
        [ALLOWANCE_CONNECTIONS] = "limit=\"connections\"",
        [ALLOWANCE_WATCHES] = "limit=\"watches\"",
    };
    struct allowances *a = mem_zalloc(sizeof *a);
    a->env = env;
    a->node = node;
    for (int i = 0; metrics != NULL && i < KINDS; i++) {
        a->refusals[i] = metrics_counter(metrics, "coord_user_limit_refusals_total", labels[i],
                                         "What limits of users did not let pass.");
    }
    return a;
}

void allowances_free(struct allowances *a)
{
    for (uint32_t i = 0; a != NULL && i < a->count; i++) {
        PRE(a->items[i]->connections == 0 && a->items[i]->watches == 0);
        mem_free(a->items[i]);
    }
    if (a != NULL) {
        mem_free(a->items);
    }
    mem_free(a);
}

/* ---- users -------------------------------------------------------------------------------- */

static const struct auth *auth_of(const struct allowances *a)
{
    return store_auth(node_store(a->node));
}

static struct slice name_of(const struct allowance *of)
{
    return slice_make(of->name, of->name_bytes);
}

static uint32_t seek(const struct allowances *a, struct slice user, bool *found)
{
    uint32_t low = 0;
    uint32_t high = a->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (slice_compare(name_of(a->items[middle]), user) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found = low < a->count && slice_equal(name_of(a->items[low]), user);
    return low;
}

/* Users come and go; those that hold nothing leave only a bucket behind, which is full soon. */
static void forget_idle(struct allowances *a)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->items[i]->connections == 0 && a->items[i]->watches == 0) {
            mem_free(a->items[i]);
        } else {
            a->items[left++] = a->items[i];
        }
    }
    a->count = left;
}

static struct allowance *allowance_of(struct allowances *a, struct slice user)
{
    bool found;
    uint32_t at = seek(a, user, &found);
    if (found) {
        return a->items[at];
    }
    if (a->count >= ALLOWANCES_MAX) {
        forget_idle(a);
        at = seek(a, user, &found);
    }
    if (a->count == a->capacity) {
        a->capacity = a->capacity == 0 ? 16 : a->capacity * 2;
        a->items = mem_resize(a->items, a->capacity * sizeof(struct allowance *));
    }
    struct allowance *of = mem_zalloc(sizeof *of);
    PRE(user.size <= sizeof of->name);
    memcpy(of->name, user.data, user.size);
    of->name_bytes = user.size;
    of->filled_ms = a->env->now_ms(a->env);
    of->tokens = UINT64_MAX; /* the bucket is full, whatever it holds */
    memmove(a->items + at + 1, a->items + at, (a->count - at) * sizeof(struct allowance *));
    a->items[at] = of;
    a->count++;
    return of;
}

void allowance_count_refusal(struct allowances *a, enum allowance_kind kind)
{
    if (a != NULL) {
        metric_add(a->refusals[kind], 1);
    }
}

/* Whether one more of what is limited may be. */
static bool admits(struct allowances *a, enum allowance_kind kind, uint64_t used,
                   uint32_t limit)
{
    bool admitted = limit == 0 || used < limit;
    if (!admitted) {
        allowance_count_refusal(a, kind);
    }
    return admitted;
}

/* ---- connections and watches -------------------------------------------------------------- */

void allowance_release(struct allowance_hold *h)
{
    if (h->of != NULL) {
        h->of->connections -= h->is_connection;
        h->of->watches -= h->watches;
    }
    *h = (struct allowance_hold){0};
}

bool allowance_connect(struct allowances *a, struct allowance_hold *h, struct slice user)
{
    if (a == NULL || user.size == 0 || user.size > AUTH_NAME_BYTES_MAX ||
        (h->is_connection && slice_equal(name_of(h->of), user))) {
        return true;
    }
    const struct auth_limits *limits = auth_limits_of(auth_of(a), user);
    uint32_t watches = h->watches;
    struct allowance *of = allowance_of(a, user);
    allowance_release(h);
    if (limits != NULL &&
        !admits(a, ALLOWANCE_CONNECTIONS, of->connections, limits->connections)) {
        return false;
    }
    *h = (struct allowance_hold){.of = of, .is_connection = true, .watches = watches};
    of->connections++;
    of->watches += watches;
    return true;
}

bool allowance_watch(struct allowances *a, struct allowance_hold *h, struct slice user)
{
    if (a == NULL || (h->of == NULL && (user.size == 0 || user.size > AUTH_NAME_BYTES_MAX))) {
        return true;
    }
    struct allowance *of = h->of == NULL ? allowance_of(a, user) : h->of;
    const struct auth_limits *limits = auth_limits_of(auth_of(a), name_of(of));
    if (limits != NULL && !admits(a, ALLOWANCE_WATCHES, of->watches, limits->watches)) {
        return false;
    }
    h->of = of;
    h->watches++;
    of->watches++;
    return true;
}

void allowance_unwatch(struct allowance_hold *h)
{
    if (h->of == NULL || h->watches == 0) {
        return; /* it began while nothing was counted */
    }
    h->watches--;
    h->of->watches--;
    if (h->watches == 0 && !h->is_connection) {
        h->of = NULL; /* who holds nothing may be forgotten */
    }
}

/* ---- requests ----------------------------------------------------------------------------- */

uint64_t allowance_wait_ms(struct allowances *a, struct slice user)
{
    const struct auth_limits *limits =
        a == NULL || user.size == 0 || user.size > AUTH_NAME_BYTES_MAX
            ? NULL
            : auth_limits_of(auth_of(a), user);
    if (limits == NULL || limits->requests_per_second == 0) {
        return 0;
    }
    struct allowance *of = allowance_of(a, user);
    uint64_t rate = limits->requests_per_second;
    uint64_t now_ms = a->env->now_ms(a->env);
    uint64_t full = rate * TOKEN;
    uint64_t passed_ms = now_ms - of->filled_ms;
    uint64_t gained = passed_ms >= 1000 ? full : passed_ms * rate;
    of->tokens = of->tokens >= full || gained >= full - of->tokens ? full : of->tokens + gained;
    of->filled_ms = now_ms;
    if (of->tokens < TOKEN) {
        return (TOKEN - of->tokens + rate - 1) / rate;
    }
    of->tokens -= TOKEN;
    return 0;
}

void allowance_text(const struct allowances *a, struct slice user, enum allowance_kind kind,
                    char text[ALLOWANCE_TEXT_BYTES_MAX])
{
    const struct auth_limits *limits = auth_limits_of(auth_of(a), user);
    uint32_t limit = limits == NULL                  ? 0
                     : kind == ALLOWANCE_REQUESTS    ? limits->requests_per_second
                     : kind == ALLOWANCE_CONNECTIONS ? limits->connections
                                                     : limits->watches;
    const char *what = kind == ALLOWANCE_REQUESTS      ? "requests a second"
                       : kind == ALLOWANCE_CONNECTIONS ? "connections"
                                                       : "watches";
    (void)snprintf(text, ALLOWANCE_TEXT_BYTES_MAX,
                   "user %.*s: %" PRIu32 " %s at each member are the limit", (int)user.size,
                   (const char *)user.data, limit, what);
}
