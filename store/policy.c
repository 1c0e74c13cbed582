#include "store/policy.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "store/command.h"
#include "store/tree.h"

static const struct slice root_path = {(const uint8_t *)"/", 1};

/* ---- keys and values ---------------------------------------------------------------------- */

bool policy_is_history(struct slice key)
{
    struct slice prefix = slice_str(POLICY_HISTORY_PREFIX);
    return key.size > prefix.size && key.data[prefix.size] == '/' &&
           slice_equal(slice_make(key.data, prefix.size), prefix);
}

static struct slice history_key_path(struct slice key)
{
    size_t head = sizeof POLICY_HISTORY_PREFIX - 1;
    return slice_make(key.data + head, key.size - head);
}

bool policy_is_key(struct slice key)
{
    return policy_is_history(key) || slice_is(key, POLICY_RETENTION_KEY);
}

struct slice policy_key(struct slice path, uint8_t bytes[POLICY_KEY_BYTES_MAX])
{
    size_t head = sizeof POLICY_HISTORY_PREFIX - 1;
    PRE(head + path.size <= POLICY_KEY_BYTES_MAX);
    memcpy(bytes, POLICY_HISTORY_PREFIX, head);
    memcpy(bytes + head, path.data, path.size);
    return slice_make(bytes, head + path.size);
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

enum outcome policy_check(struct slice key, struct slice value, struct errmsg *err)
{
    uint32_t versions;
    struct retention retention;
    if (slice_is(key, POLICY_RETENTION_KEY)) {
        return retention_parse(value, &retention, err);
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
    return path_check(history_key_path(key), false, err);
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

/* Keys in order, from the first history policy on. */
static struct children_position history_keys(const struct tree *t, const struct dir **dir)
{
    *dir = node_dir(tree_node(t, tree_root(t, SPACE_META)));
    return *dir == NULL ? (struct children_position){0, 0}
                        : children_seek(&(*dir)->children, t,
                                        slice_str(POLICY_HISTORY_PREFIX "/"), false);
}

/* The next key that is a history policy; NULL: there is none. */
static const struct node *history_keys_next(const struct tree *t, const struct dir *dir,
                                            struct children_position *at)
{
    uint32_t slot = dir == NULL ? TREE_NONE : children_next(&dir->children, at);
    const struct node *n = slot == TREE_NONE ? NULL : tree_node(t, slot);
    return n != NULL && policy_is_history(node_name(n)) ? n : NULL;
}

static uint32_t history_keys_count(const struct tree *t, uint32_t most)
{
    const struct dir *dir;
    struct children_position at = history_keys(t, &dir);
    uint32_t count = 0;
    while (count < most && history_keys_next(t, dir, &at) != NULL) {
        count++;
    }
    return count;
}

bool policies_are_full(const struct tree *t)
{
    return history_keys_count(t, POLICY_COUNT_MAX) == POLICY_COUNT_MAX;
}

/* Paths are copies, behind the items: a key may go before the policies are read anew. */
static bool items_read(struct policies *p, const struct tree *t)
{
    uint32_t count = history_keys_count(t, POLICY_COUNT_MAX + 1);
    if (count > POLICY_COUNT_MAX) {
        return false;
    }
    const struct dir *dir;
    const struct node *n;
    size_t bytes = 0;
    struct children_position at = history_keys(t, &dir);
    while ((n = history_keys_next(t, dir, &at)) != NULL) {
        bytes += history_key_path(node_name(n)).size;
    }
    p->items = mem_alloc(count * sizeof *p->items + bytes);
    uint8_t *copy = (uint8_t *)(p->items + count);
    at = history_keys(t, &dir);
    while ((n = history_keys_next(t, dir, &at)) != NULL) {
        struct policy *item = &p->items[p->count];
        struct slice path = history_key_path(node_name(n));
        if (!versions_parse(value_slice(n->value), &item->versions) ||
            path_check(path, false, NULL) != OUTCOME_OK) {
            return false;
        }
        memcpy(copy, path.data, path.size);
        item->path = slice_make(copy, path.size);
        copy += path.size;
        p->count++;
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
        struct slice item = p->items[i].path;
        if (slice_equal(path, root_path) ||
            (item.size > path.size && item.data[path.size] == '/' &&
             slice_equal(slice_make(item.data, path.size), path))) {
            return true;
        }
    }
    return false;
}
