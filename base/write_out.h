/* A file that is written at length is brought to the disk bit by bit.
 *
 * Else its sync has all of it to bring, and whoever syncs another file on that disk meanwhile, as
 * the log does for each write, waits behind it: some 10 ms for 10 MiB. Each bit is waited for, so
 * that no queue of them forms in the disk either. Where the system offers nothing of the kind,
 * these do nothing. Blocking calls. */
#ifndef BASE_WRITE_OUT_H
#define BASE_WRITE_OUT_H

#include <stddef.h>
#include <stdint.h>

/* So much is brought at a time; a file of fewer bytes waits for its sync. */
#define WRITE_OUT_BYTES ((uint64_t)256 << 10)

/* Of one file; zeroed at first. */
struct write_out {
    uint64_t begin; /* written without a gap, and not brought yet */
    uint64_t end;
};

/* After `bytes` were written at `offset`. 0, or -1 with errno: the disk failed. */
int write_out_wrote(struct write_out *w, int fd, uint64_t offset, size_t bytes);
/* After a sync. */
void write_out_synced(struct write_out *w);

#endif
