#include "base/memory_limit.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PATH_BYTES 1024

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The number that a file begins with; UINT64_MAX for "max", or if there is none. */
static uint64_t read_limit(const char *path)
{
    uint64_t bytes = UINT64_MAX;
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fscanf(file, "%" SCNu64, &bytes) != 1) {
            bytes = UINT64_MAX;
        }
        (void)fclose(file);
    }
    return bytes;
}

/* In kB, of a line such as "MemTotal:  24684096 kB". */
static void read_machine(const char *root, struct memory_limit *m)
{
    char text[PATH_BYTES];
    uint64_t kib;
    (void)snprintf(text, sizeof text, "%s/proc/meminfo", root);
    FILE *file = fopen(text, "re");
    while (file != NULL && fgets(text, sizeof text, file) != NULL) {
        if (sscanf(text, "MemTotal: %" SCNu64, &kib) == 1) {
            m->machine_bytes = kib * 1024;
        } else if (sscanf(text, "MemAvailable: %" SCNu64, &kib) == 1) {
            m->available_bytes = kib * 1024;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

/* Of a cgroup and all above it, up to the root: in a container that is the container's own, whose
 * path outside is not to be seen. */
static uint64_t least_upwards(const char *root, const char *mount, char *group, const char *name)
{
    char path[3 * PATH_BYTES];
    uint64_t bytes = UINT64_MAX;
    for (;;) {
        (void)snprintf(path, sizeof path, "%s%s%s/%s", root, mount, group, name);
        bytes = least(bytes, read_limit(path));
        char *end = strrchr(group, '/');
        if (end == NULL) {
            return bytes;
        }
        *end = '\0';
    }
}

static bool has_controller(const char *list, size_t size, const char *name)
{
    size_t bytes = strlen(name);
    for (const char *at = list; at < list + size;) {
        size_t word = strcspn(at, ",:");
        if (word == bytes && strncmp(at, name, bytes) == 0) {
            return true;
        }
        at += word + 1;
    }
    return false;
}

/* A line is "number:controllers:path": no controllers are those of version 2. */
static uint64_t limit_of_line(const char *root, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL) {
        return UINT64_MAX;
    }
    controllers++;
    size_t size = (size_t)(group - controllers);
    group++;
    if (size == 0) {
        return least_upwards(root, "/sys/fs/cgroup", group, "memory.max");
    }
    return has_controller(controllers, size, "memory")
               ? least_upwards(root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes")
               : UINT64_MAX;
}

struct memory_limit memory_limit_read(const char *root)
{
    struct memory_limit m = {0};
    char line[PATH_BYTES];
    read_machine(root, &m);
    uint64_t bytes = UINT64_MAX;
    (void)snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    FILE *file = fopen(line, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        bytes = least(bytes, limit_of_line(root, line));
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (m.machine_bytes > 0) {
        bytes = least(bytes, m.machine_bytes);
    }
    m.process_bytes = bytes == UINT64_MAX ? 0 : bytes;
    return m;
}
