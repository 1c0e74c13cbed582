/* Resident memory of a process, from /proc. */
#ifndef TESTS_SUPPORT_PROCESS_RSS_H
#define TESTS_SUPPORT_PROCESS_RSS_H

#include <stdint.h>
#include <stdio.h>

/* Bytes; 0 if it cannot be read. */
static inline uint64_t process_rss_bytes(long pid)
{
    char path[64];
    char line[256];
    unsigned long kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/status", pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && kib == 0 && fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "VmRSS: %lu", &kib);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return (uint64_t)kib * 1024;
}

#endif
