/* Path syntax (ZooKeeper's rules, with all of UTF-8 allowed but its control characters). */
#include "base/utf8.h"
#include "store/command.h"

/* U+0000-001F and U+007F-009F. */
static bool utf8_is_control(const uint8_t *p)
{
    return p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
}

static enum outcome path_refuse(struct errmsg *err, const char *why, size_t at)
{
    (void)errmsg_set(err, RC_INVALID, "path: %s at byte %zu", why, at);
    return OUTCOME_BAD_PATH;
}

static enum outcome component_check(struct slice path, size_t begin, size_t end,
                                    struct errmsg *err)
{
    const uint8_t *p = path.data + begin;
    size_t size = end - begin;
    if (size == 0) {
        return path_refuse(err, "empty component", begin);
    }
    if (p[0] == '.' && (size == 1 || (size == 2 && p[1] == '.'))) {
        return path_refuse(err, "relative component", begin);
    }
    return OUTCOME_OK;
}

enum outcome path_check(struct slice path, bool sequential, struct errmsg *err)
{
    if (path.size > STORE_PATH_BYTES_MAX) {
        (void)errmsg_set(err, RC_TOO_LARGE, "path: %zu bytes, the limit is %zu", path.size,
                         STORE_PATH_BYTES_MAX);
        return OUTCOME_TOO_LARGE;
    }
    if (path.size == 0 || path.data[0] != '/') {
        return path_refuse(err, "no leading '/'", 0);
    }
    if (path.size == 1) {
        return OUTCOME_OK;
    }
    size_t begin = 1;
    for (size_t i = 1; i < path.size;) {
        if (path.data[i] == '/') {
            enum outcome outcome = component_check(path, begin, i, err);
            if (outcome != OUTCOME_OK) {
                return outcome;
            }
            begin = ++i;
            continue;
        }
        size_t length = utf8_length(path.data + i, path.size - i);
        if (length == 0) {
            return path_refuse(err, "not valid UTF-8", i);
        }
        if (utf8_is_control(path.data + i)) {
            return path_refuse(err, "control character", i);
        }
        i += length;
    }
    if (begin == path.size) { /* ends with '/' */
        return sequential ? OUTCOME_OK : path_refuse(err, "trailing '/'", path.size - 1);
    }
    if (sequential) { /* "." completed by a number is an ordinary name */
        return OUTCOME_OK;
    }
    return component_check(path, begin, path.size, err);
}
