/* Where the name of a directory lives: in the one above. Until that is synced a power cut may take
 * a new directory with all that is in it, however well its files were synced. */
#ifndef RAFT_DIR_ABOVE_H
#define RAFT_DIR_ABOVE_H

#include "base/env.h"

/* Owned; "." if the path names none. Slashes at the end of `dir` do not count. */
char *dir_above(const char *dir);
enum status dir_sync_above(struct env *env, const char *dir);

#endif
