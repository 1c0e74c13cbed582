/* Contexts: options under a name, kept in a file, for those who talk to more than one cluster.
 *
 *   {"current": "prod", "contexts": {"prod": {"endpoints": "10.0.0.1:7400", "user": "admin"}}}
 *
 * The file is $COORD_CONTEXTS, or coord/contexts.json below $XDG_CONFIG_HOME (~/.config). Only its
 * owner may read it. What a context says counts less than the command line and the environment. */
#ifndef CMD_COORDCTL_CONTEXT_H
#define CMD_COORDCTL_CONTEXT_H

#include "cmd/coordctl/options.h"

/* Calls `take` for each option of the context that is asked for (ctl->context, else the current
 * one; none is fine). The values live until context_close. Returns an exit code. */
typedef int (*context_take_fn)(struct ctl *ctl, const struct option *o, const char *value,
                               const void *hint);
int context_apply(struct ctl *ctl, context_take_fn take, const void *hint);
void context_close(struct ctl *ctl);

/* For completion: calls `found` for the name of each. */
void context_names(void (*found)(void *context, const char *name), void *context);

#endif
