/* How much memory a process may use, as Linux says in /proc and /sys. */
#ifndef BASE_MEMORY_LIMIT_H
#define BASE_MEMORY_LIMIT_H

#include <stdint.h>

struct memory_limit {
    uint64_t machine_bytes;   /* all there is; 0 = nobody knows */
    uint64_t available_bytes; /* of it, for whoever asks first, without swapping */
    uint64_t process_bytes;   /* what this process may have: that of its cgroup and those above it,
                               * and never more than the machine has */
};

/* `root` is put before the paths of /proc and /sys: "", or a test's folder. What cannot be read is
 * no limit. Never waits for a disk. */
struct memory_limit memory_limit_read(const char *root);

#endif
