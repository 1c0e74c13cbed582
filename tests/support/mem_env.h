/* An env whose disk is memory: files are buffers, found by their exact path.
 *
 * Only the disk is there; clock, network and queues are NULL, so that code which should not use
 * them crashes. A mem_env shares nothing with another one: several may be used on several threads,
 * each by one thread at a time. Folders do not exist, any path is fine.
 */
#ifndef TESTS_SUPPORT_MEM_ENV_H
#define TESTS_SUPPORT_MEM_ENV_H

#include "base/buf.h"
#include "base/env.h"
#include "base/list.h"

struct mem_env {
    struct env env; /* first */
    struct list files;
    size_t open_files; /* handles not yet closed */
    size_t syncs;
    size_t written_bytes;
};

void mem_env_init(struct mem_env *m);
void mem_env_close(struct mem_env *m); /* no file may be open */

/* The content of a file, to look at or to damage; NULL if there is none. */
struct buf *mem_env_find(struct mem_env *m, const char *path);
/* The same, made empty if it was not there. */
struct buf *mem_env_get(struct mem_env *m, const char *path);
size_t mem_env_file_count(const struct mem_env *m);

#endif
