/* Globs over the last component of a path.
 *
 *   *     any characters, also none     [abc]  one of these      [!abc]  one, none of these
 *   ?     one character                 [a-z]  one of a range    \x      x itself
 *
 * A character is a code point of UTF-8; a byte that belongs to none counts as one, so that keys of
 * flat spaces match too. The whole name must match. Pure. */
#ifndef WATCH_GLOB_H
#define WATCH_GLOB_H

#include "base/slice.h"
#include "base/status.h"

#define WATCH_GLOB_BYTES_MAX ((size_t)256)

/* Whether `pattern` is one: at most WATCH_GLOB_BYTES_MAX bytes of UTF-8, no open or empty class, no
 * range that runs backwards, no '\' at the end. If not, `err` (may be NULL) says what and where. */
bool glob_check(struct slice pattern, struct errmsg *err);

/* The pattern has been checked. Takes no memory; at most pattern x name steps, since only the last
 * '*' is ever tried again. */
bool glob_match(struct slice pattern, struct slice name);

#endif
