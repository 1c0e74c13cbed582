/* Paths as people type them: relative to where they are, with . and .. */
#ifndef CMD_COORDCTL_TEXT_PATH_H
#define CMD_COORDCTL_TEXT_PATH_H

#include "base/buf.h"

/* Sets `out` to the whole path of `word` as seen from `where`, with a zero byte behind it that
 * its size does not count. Slashes too many, "." and ".." are resolved; nothing is above "/". */
void path_resolve(struct buf *out, const char *where, const char *word);

#endif
