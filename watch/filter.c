/* What a watch may ask for. */
#include "store/command.h"
#include "store/tree.h"
#include "watch/glob.h"
#include "watch/watch.h"

#define WATCH_TYPES_ALL ((uint8_t)(WATCH_TYPES_DEFAULT | 1 << CHANGE_ACL))

static enum outcome arguments_check(const struct watch_filter *f, struct errmsg *err)
{
    if (f->scope < WATCH_NODE || f->scope > WATCH_PREFIX) {
        (void)errmsg_set(err, RC_INVALID, "scope: %u, must be from %d to %d",
                         (unsigned)f->scope, WATCH_NODE, WATCH_PREFIX);
        return OUTCOME_BAD_ARGUMENTS;
    }
    if (!space_is_valid(f->space)) {
        (void)errmsg_set(err, RC_INVALID, "space: 0x%02x is none", (unsigned)f->space);
        return OUTCOME_BAD_ARGUMENTS;
    }
    if (space_is_flat(f->space) && (f->scope == WATCH_CHILDREN || f->scope == WATCH_SUBTREE)) {
        (void)errmsg_set(err, RC_INVALID,
                         "scope: keys of space '%c' have no children; use a node or a prefix",
                         f->space);
        return OUTCOME_BAD_ARGUMENTS;
    }
    if ((f->types & ~WATCH_TYPES_ALL) != 0) {
        (void)errmsg_set(err, RC_INVALID, "types: 0x%02x has bits beyond 0x%02x",
                         (unsigned)f->types, (unsigned)WATCH_TYPES_ALL);
        return OUTCOME_BAD_ARGUMENTS;
    }
    if (f->depth != 0 && f->scope != WATCH_SUBTREE) {
        (void)errmsg_set(err, RC_INVALID, "depth: %u, only a subtree has one",
                         (unsigned)f->depth);
        return OUTCOME_BAD_ARGUMENTS;
    }
    return OUTCOME_OK;
}

static enum outcome key_check(const struct watch_filter *f, struct errmsg *err)
{
    if (f->space == SPACE_NODES && f->scope != WATCH_PREFIX) {
        return path_check(f->path, false, err);
    }
    if (f->path.size > STORE_PATH_BYTES_MAX) {
        (void)errmsg_set(err, RC_TOO_LARGE, "path: %zu bytes, the limit is %zu", f->path.size,
                         STORE_PATH_BYTES_MAX);
        return OUTCOME_TOO_LARGE;
    }
    if (f->space == SPACE_NODES && (f->path.size == 0 || f->path.data[0] != '/')) {
        (void)errmsg_set(err, RC_INVALID, "path: no leading '/' at byte 0");
        return OUTCOME_BAD_PATH;
    }
    if (f->scope == WATCH_NODE && f->path.size == 0) {
        (void)errmsg_set(err, RC_INVALID, "path: empty key");
        return OUTCOME_BAD_PATH;
    }
    return OUTCOME_OK;
}

static enum outcome pattern_check(const struct watch_filter *f, struct errmsg *err)
{
    if (!glob_check(f->glob, err)) {
        return OUTCOME_BAD_PATTERN;
    }
    const uint8_t *slash =
        f->glob.size == 0 ? NULL : memchr(f->glob.data, '/', f->glob.size);
    if (f->space == SPACE_NODES && slash != NULL) {
        (void)errmsg_set(err, RC_INVALID, "glob: no name has the '/' at byte %zu",
                         (size_t)(slash - f->glob.data));
        return OUTCOME_BAD_PATTERN;
    }
    return OUTCOME_OK;
}

enum outcome watch_filter_check(const struct watch_filter *f, struct errmsg *err)
{
    enum outcome outcome = arguments_check(f, err);
    if (outcome == OUTCOME_OK) {
        outcome = key_check(f, err);
    }
    return outcome == OUTCOME_OK ? pattern_check(f, err) : outcome;
}
