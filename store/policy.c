#include "store/policy.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "store/command.h"
#include "store/tree.h"

/* Behind the number of a configuration root that lets plain writes in. */
#define ROOT_OPEN " open"

static const struct slice root_path = {(const uint8_t *)"/", 1};

/* ---- keys and values ---------------------------------------------------------------------- */

/* A word, and then a path. */
static bool key_begins(struct slice key, const char *word)
{
    struct slice prefix = slice_str(word);
    return key.size > prefix.size && key.data[prefix.size] == '/' &&
           slice_equal(slice_make(key.data, prefix.size), prefix);
}

bool policy_is_history(struct slice key)
{
    return key_begins(key, POLICY_HISTORY_PREFIX);
}

bool policy_is_root(struct slice key)
{
    return key_begins(key, POLICY_CONFIG_PREFIX);
}

struct slice policy_path(struct slice key)
{
    size_t head = policy_is_root(key) ? sizeof POLICY_CONFIG_PREFIX - 1
                                      : sizeof POLICY_HISTORY_PREFIX - 1;
    return slice_make(key.data + head, key.size - head);
}

bool policy_is_key(struct slice key)
{
    return policy_is_history(key) || policy_is_root(key) ||
           slice_is(key, POLICY_RETENTION_KEY);
}

static struct slice key_make(const char *word, struct slice path,
                             uint8_t bytes[POLICY_KEY_BYTES_MAX])
{
    size_t head = strlen(word);
    PRE(head + path.size <= POLICY_KEY_BYTES_MAX);
    memcpy(bytes, word, head);
    memcpy(bytes + head, path.data, path.size);
    return slice_make(bytes, head + path.size);
}

struct slice policy_key(struct slice path, uint8_t bytes[POLICY_KEY_BYTES_MAX])
{
    return key_make(POLICY_HISTORY_PREFIX, path, bytes);
}

struct slice policy_root_key(struct slice path, uint8_t bytes[POLICY_KEY_BYTES_MAX])
{
    return key_make(POLICY_CONFIG_PREFIX, path, bytes);
}

struct slice policy_root_value(uint32_t versions, bool is_open,
                               uint8_t bytes[POLICY_VALUE_BYTES_MAX])
{
    int size = snprintf((char *)bytes, POLICY_VALUE_BYTES_MAX, "%" PRIu32 "%s", versions,
                        is_open ? ROOT_OPEN : "");
    return slice_make(bytes, (size_t)size);
}

struct slice policy_value(uint32_t versions, uint8_t bytes[POLICY_VALUE_BYTES_MAX])
{
    int size = snprintf((char *)bytes, POLICY_VALUE_BYTES_MAX, "%" PRIu32, versions);
    return slice_make(bytes, (size_t)size);
}

struct slice retention_value(const struct retention *r, uint8_t bytes[POLICY_VALUE_BYTES_MAX])
{
    int size = snprintf((char *)bytes, POLICY_VALUE_BYTES_MAX,
                        "%" PRIu64 " %" PRIu64 " %" PRIu64, r->bytes, r->age_ms, r->revisions);
    return slice_make(bytes, (size_t)size);
}

/* The next of several numbers with one space between them; what is left, in `text`. */
static bool take_number(struct slice *text, uint64_t *out)
{
    const uint8_t *space = text->size == 0 ? NULL : memchr(text->data, ' ', text->size);
    size_t size = space == NULL ? text->size : (size_t)(space - text->data);
    struct slice number = slice_make(text->data, size);
    size_t taken = size + (space != NULL);
    if (space != NULL && taken == text->size) { /* nothing behind it */
        return false;
    }
    *text = slice_make(text->data + taken, text->size - taken);
    return slice_number(number, out);
}

static bool versions_parse(struct slice value, uint32_t *versions)
{
    uint64_t number;
    if (!slice_number(value, &number) || number < 1 || number > POLICY_VERSIONS_MAX) {
        return false;
    }
    *versions = (uint32_t)number;
    return true;
}

static enum outcome out_of_range(struct errmsg *err, const char *what, uint64_t number,
                                 uint64_t min, uint64_t max)
{
    (void)errmsg_set(err, RC_INVALID,
                     "retention: %s %" PRIu64 ", from %" PRIu64 " to %" PRIu64 " is possible",
                     what, number, min, max);
    return OUTCOME_BAD_ARGUMENTS;
}

static enum outcome retention_parse(struct slice value, struct retention *r,
                                    struct errmsg *err)
{
    if (!take_number(&value, &r->bytes) || !take_number(&value, &r->age_ms) ||
        !take_number(&value, &r->revisions) || value.size > 0) {
        (void)errmsg_set(err, RC_INVALID, "retention: not three numbers");
        return OUTCOME_BAD_ARGUMENTS;
    }
    if (r->bytes < RETENTION_BYTES_MIN || r->bytes > RETENTION_BYTES_MAX) {
        return out_of_range(err, "bytes", r->bytes, RETENTION_BYTES_MIN, RETENTION_BYTES_MAX);
    }
    if (r->age_ms < RETENTION_AGE_MS_MIN || r->age_ms > RETENTION_AGE_MS_MAX) {
        return out_of_range(err, "age_ms", r->age_ms, RETENTION_AGE_MS_MIN,
                            RETENTION_AGE_MS_MAX);
    }
    if (r->revisions > RETENTION_REVISIONS_MAX) {
        return out_of_range(err, "revisions", r->revisions, 0, RETENTION_REVISIONS_MAX);
    }
    return OUTCOME_OK;
}

static bool root_parse(struct slice value, uint32_t *versions, bool *is_open)
{
    size_t tail = sizeof ROOT_OPEN - 1;
    *is_open = value.size > tail &&
               slice_is(slice_make(value.data + value.size - tail, tail), ROOT_OPEN);
    return versions_parse(slice_make(value.data, value.size - (*is_open ? tail : 0)), versions);
}

static enum outcome root_check(struct slice key, struct slice value, struct errmsg *err)
{
    uint32_t versions;
    bool is_open;
    if (slice_equal(policy_path(key), root_path)) {
        (void)errmsg_set(err, RC_INVALID, "path: \"/\" is no configuration root");
        return OUTCOME_BAD_PATH;
    }
    if (!root_parse(value, &versions, &is_open)) {
        (void)errmsg_set(err, RC_INVALID, "versions: from 1 to %" PRIu32 " is possible",
                         POLICY_VERSIONS_MAX);
        return OUTCOME_BAD_ARGUMENTS;
    }
    return path_check(policy_path(key), false, err);
}

enum outcome policy_check(struct slice key, struct slice value, struct errmsg *err)
{
    uint32_t versions;
    struct retention retention;
    if (slice_is(key, POLICY_RETENTION_KEY)) {
        return retention_parse(value, &retention, err);
    }
    if (policy_is_root(key)) {
        return root_check(key, value, err);
    }
    if (!policy_is_history(key)) {
        return OUTCOME_OK;
    }
    if (!versions_parse(value, &versions)) {
        (void)errmsg_set(err, RC_INVALID,
                         "history policy: versions \"%.*s\", from 1 to %" PRIu32 " is possible",
                         value.size > 20 ? 20 : (int)value.size, (const char *)value.data,
                         POLICY_VERSIONS_MAX);
        return OUTCOME_BAD_ARGUMENTS;
    }
    return path_check(policy_path(key), false, err);
}

/* ---- what the keys mean ------------------------------------------------------------------- */

void policies_init(struct policies *p)
{
    *p = (struct policies){.retention = RETENTION_DEFAULT};
}

void policies_close(struct policies *p)
{
    mem_free(p->items);
    *p = (struct policies){0};
}

/* A walk over the keys that have paths: first the configuration roots, then the history policies,
 * both in order of path. */
struct walk {
    const struct tree *tree;
    const struct dir *dir;
    struct children_position at;
    bool in_roots;
};

static void walk_begin(struct walk *w, bool in_roots)
{
    const char *first = in_roots ? POLICY_CONFIG_PREFIX "/" : POLICY_HISTORY_PREFIX "/";
    w->dir = node_dir(tree_node(w->tree, tree_root(w->tree, SPACE_META)));
    w->in_roots = in_roots;
    if (w->dir != NULL) {
        w->at = children_seek(&w->dir->children, w->tree, slice_str(first), false);
    }
}

/* NULL: there are no more. */
static const struct node *walk_next(struct walk *w)
{
    uint32_t slot = w->dir == NULL ? TREE_NONE : children_next(&w->dir->children, &w->at);
    const struct node *n = slot == TREE_NONE ? NULL : tree_node(w->tree, slot);
    if (n != NULL &&
        (w->in_roots ? policy_is_root(node_name(n)) : policy_is_history(node_name(n)))) {
        return n;
    }
    if (!w->in_roots) {
        return NULL;
    }
    walk_begin(w, false);
    return walk_next(w);
}

static uint32_t keys_count(const struct tree *t, uint32_t most)
{
    struct walk w = {.tree = t};
    uint32_t count = 0;
    walk_begin(&w, true);
    while (count < most && walk_next(&w) != NULL) {
        count++;
    }
    return count;
}

bool policies_are_full(const struct tree *t)
{
    return keys_count(t, POLICY_COUNT_MAX) == POLICY_COUNT_MAX;
}

static uint32_t items_seek(const struct policies *p, struct slice path);

/* A root comes before the history policy of the same path, whose number of versions counts. */
static struct policy *item_add(struct policies *p, struct slice path)
{
    uint32_t at = items_seek(p, path);
    if (at == p->count || !slice_equal(p->items[at].path, path)) {
        memmove(&p->items[at + 1], &p->items[at], (p->count - at) * sizeof *p->items);
        p->items[at] = (struct policy){.path = path};
        p->count++;
    }
    return &p->items[at];
}

static bool item_read(struct policies *p, const struct node *n, struct slice path)
{
    struct slice value = value_slice(n->value);
    struct policy *item = item_add(p, path);
    if (path_check(path, false, NULL) != OUTCOME_OK) {
        return false;
    }
    if (!policy_is_root(node_name(n))) {
        return versions_parse(value, &item->versions);
    }
    item->root_revision = n->modify_revision;
    item->root_created = n->create_revision;
    p->root_count++;
    bool ok = root_parse(value, &item->versions, &item->is_open);
    item->root_versions = item->versions;
    return ok;
}

/* Paths are copies, behind the items: a key may go before the policies are read anew. */
static bool items_read(struct policies *p, const struct tree *t)
{
    struct walk w = {.tree = t};
    const struct node *n;
    uint32_t count = keys_count(t, POLICY_COUNT_MAX + 1);
    size_t bytes = 0;
    if (count > POLICY_COUNT_MAX) {
        return false;
    }
    walk_begin(&w, true);
    while ((n = walk_next(&w)) != NULL) {
        bytes += policy_path(node_name(n)).size;
    }
    p->items = mem_alloc(count * sizeof *p->items + bytes);
    uint8_t *copy = (uint8_t *)(p->items + count);
    walk_begin(&w, true);
    while ((n = walk_next(&w)) != NULL) {
        struct slice path = policy_path(node_name(n));
        memcpy(copy, path.data, path.size);
        path.data = copy;
        copy += path.size;
        if (!item_read(p, n, path)) {
            return false;
        }
    }
    return true;
}

bool policies_read(struct policies *p, const struct tree *t)
{
    struct policies fresh;
    policies_init(&fresh);
    uint32_t slot = tree_find(t, SPACE_META, slice_str(POLICY_RETENTION_KEY));
    bool ok = slot == TREE_NONE || retention_parse(value_slice(tree_node(t, slot)->value),
                                                   &fresh.retention, NULL) == OUTCOME_OK;
    if (!ok || !items_read(&fresh, t)) {
        policies_close(&fresh);
        return false;
    }
    policies_close(p);
    *p = fresh;
    return true;
}

/* ---- which one counts --------------------------------------------------------------------- */

/* The first item whose path is not before `path`. */
static uint32_t items_seek(const struct policies *p, struct slice path)
{
    uint32_t low = 0;
    uint32_t high = p->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (slice_compare(p->items[middle].path, path) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static const struct policy *nearest(const struct policies *p, struct slice path)
{
    for (; p->count > 0 && path.size > 0; path = path_parent(SPACE_NODES, path)) {
        uint32_t at = items_seek(p, path);
        if (at < p->count && slice_equal(p->items[at].path, path)) {
            return &p->items[at];
        }
    }
    return NULL;
}

const struct policy *policies_root(const struct policies *p, struct slice path)
{
    for (; p->root_count > 0 && path.size > 1; path = path_parent(SPACE_NODES, path)) {
        uint32_t at = items_seek(p, path);
        if (at < p->count && slice_equal(p->items[at].path, path) &&
            p->items[at].root_revision != 0) {
            return &p->items[at];
        }
    }
    return NULL;
}

/* Whether `path` is `top`, or below it. */
static bool is_within(struct slice path, struct slice top)
{
    return slice_equal(top, root_path) || slice_equal(path, top) ||
           (path.size > top.size && path.data[top.size] == '/' &&
            slice_equal(slice_make(path.data, top.size), top));
}

bool policies_has_root_below(const struct policies *p, struct slice path)
{
    for (uint32_t i = 0; p->root_count > 0 && i < p->count; i++) {
        if (p->items[i].root_revision != 0 && is_within(p->items[i].path, path)) {
            return true;
        }
    }
    return false;
}

uint32_t policies_versions(const struct policies *p, uint8_t space, struct slice path)
{
    const struct policy *policy = space == SPACE_NODES ? nearest(p, path) : NULL;
    return policy == NULL ? 0 : policy->versions;
}

bool policies_cover(const struct policies *p, struct slice path, bool recursive)
{
    if (nearest(p, path) != NULL) {
        return true;
    }
    for (uint32_t i = 0; recursive && i < p->count; i++) {
        if (is_within(p->items[i].path, path)) {
            return true;
        }
    }
    return false;
}
