/* Regular expressions that a client may bring: what they can cost is bounded. */
#ifndef NET_CONFIG_PATTERN_H
#define NET_CONFIG_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* NULL if the pattern may be used; else what is wrong with it, in static memory. `cost`: of this
 * check, in steps (schema.h). */
const char *pattern_check(const char *pattern, unsigned *cost);
/* The same without compiling it, for a text of so many bytes; `cost`: of pattern_matches(). */
const char *pattern_cost(const char *pattern, size_t bytes, unsigned *cost);
/* Whether it is found in `text`; pattern_cost() has nothing against it. */
bool pattern_matches(const char *pattern, const char *text);

#endif
