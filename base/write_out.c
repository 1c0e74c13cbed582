#ifdef __linux__
#define _GNU_SOURCE /* sync_file_range */
#endif
#include "base/write_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

#ifdef __linux__
static int bring(int fd, uint64_t begin, uint64_t end)
{
    int rc = sync_file_range(fd, (off_t)begin, (off_t)(end - begin),
                             SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                 SYNC_FILE_RANGE_WAIT_AFTER);
    bool is_unknown = rc != 0 && (errno == EINVAL || errno == ENOSYS || errno == ESPIPE);
    return is_unknown ? 0 : rc;
}
#else
static int bring(int fd, uint64_t begin, uint64_t end)
{
    (void)fd;
    (void)begin;
    (void)end;
    return 0;
}
#endif

int write_out_wrote(struct write_out *w, int fd, uint64_t offset, size_t bytes)
{
    if (offset != w->end) {
        w->begin = offset;
    }
    w->end = offset + bytes;
    if (w->end - w->begin < WRITE_OUT_BYTES) {
        return 0;
    }
    uint64_t begin = w->begin;
    w->begin = w->end;
    return bring(fd, begin, w->end);
}

void write_out_synced(struct write_out *w)
{
    w->begin = w->end;
}
