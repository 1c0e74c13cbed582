/* How much space is left on the disk of the data dir, as a metric: asked off the loop each few
 * seconds, since a disk that hangs must not stop anything but this. */
#ifndef COORDD_DISK_SPACE_H
#define COORDD_DISK_SPACE_H

#include "base/metrics.h"

struct disk_space;
struct uv_loop_s; /* uv_loop_t */

/* `path` is borrowed until disk_space_free. Returns owned. */
struct disk_space *disk_space_new(struct uv_loop_s *loop, const char *path,
                                  struct metrics *metrics);
/* Before the loop is freed, which runs what this leaves to be closed. */
void disk_space_free(struct disk_space *s);

#endif
