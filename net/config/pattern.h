/* Regular expressions that a client may bring: what they can cost is bounded. */
#ifndef NET_CONFIG_PATTERN_H
#define NET_CONFIG_PATTERN_H

#include <stdbool.h>

/* NULL if the pattern may be used; else what is wrong with it, in static memory. */
const char *pattern_check(const char *pattern);
/* Whether it is found in `text`; the pattern has been checked. */
bool pattern_matches(const char *pattern, const char *text);

#endif
