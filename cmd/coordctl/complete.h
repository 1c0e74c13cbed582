/* What could stand in place of the last word of a command line, given those before it. */
#ifndef CMD_COORDCTL_COMPLETE_H
#define CMD_COORDCTL_COMPLETE_H

#include "cmd/coordctl/ctl.h"

/* `what` explains the word, or is empty; NULL: names of local files belong here. */
typedef void (*complete_fn)(void *context, const char *word, const char *what);

/* Calls `found` for each. `base` has the options that hold before any on the line; paths may be
 * relative to `where` unless it is NULL. Asks the cluster for at most a second, and says nothing
 * about what goes wrong. */
void complete_words(const struct ctl *base, const char *where, int count, char **words,
                    complete_fn found, void *context);

#endif
