#include "raft/dir_above.h"

#include <string.h>

#include "base/mem.h"

char *dir_above(const char *dir)
{
    char *above = mem_strdup(dir);
    size_t length = strlen(above);
    while (length > 1 && above[length - 1] == '/') {
        above[--length] = '\0';
    }
    char *slash = strrchr(above, '/');
    if (slash == NULL) {
        mem_free(above);
        return mem_strdup(".");
    }
    slash[slash == above ? 1 : 0] = '\0';
    return above;
}

enum status dir_sync_above(struct env *env, const char *dir)
{
    char *above = dir_above(dir);
    enum status rc = env->disk->sync_dir(env, above);
    mem_free(above);
    return rc;
}
