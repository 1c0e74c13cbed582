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

/* The pattern has been checked. Takes no memory but 8 KiB of the stack. What is before the first
 * and behind the last '*' is compared once; what is between two is searched for in one pass over
 * the name, of a few steps for each character, whatever nearly fits: at most pattern x 128 + name
 * steps in all, if the name is ASCII. Each other character costs the ranges of the segment. */
bool glob_match(struct slice pattern, struct slice name);

#endif
