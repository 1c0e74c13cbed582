/* Locks, as the command line names and shows them. */
#ifndef CMD_COORDCTL_LOCKS_H
#define CMD_COORDCTL_LOCKS_H

#include "cmd/coordctl/ctl.h"
#include "cmd/coordctl/guards.h"

/* NAME is a path if it begins with '/', else a child of `parent`: "/locks/", "/elections/".
 * False: it is too long. */
bool locks_path(const char *parent, const char *name, char path[CTL_PATH_BYTES]);
/* The same of the first word, into ctl->lock_path, which messages are about from then on. Returns
 * the exit code. */
int locks_take(struct ctl *ctl, const char *parent);

json_t *locks_json(const struct coord_lock_info *info, const char *path);
void locks_print(const struct coord_lock_info *info); /* as a table */

#endif
