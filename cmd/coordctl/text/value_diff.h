/* What became of a value, for people. */
#ifndef CMD_COORDCTL_TEXT_VALUE_DIFF_H
#define CMD_COORDCTL_TEXT_VALUE_DIFF_H

#include <stdbool.h>

#include "base/buf.h"

/* Appends how `before` became `after`: fields of JSON objects and arrays one by one, longer texts
 * by lines, short ones and all else in one piece. What ends with a newline is lines of its own,
 * each with `indent` in front; else it begins with a blank and goes on in the line before it.
 * Nothing if they are equal. */
void value_diff(struct buf *out, struct slice before, struct slice after, const char *indent,
                bool colours);

/* A value in short: text as it is, quoted if it has more than one line or is to be cut, else its
 * size. */
void value_show(struct buf *out, struct slice value);

/* Text without zero bytes. */
bool value_is_text(struct slice value);

#endif
