/* What the files of the archive share. Users include raft/archive.h.
 *
 *   archive.c         names, listing, bytes of headers and records
 *   archive_write.c   the writer
 *   archive_read.c    the reader
 */
#ifndef RAFT_ARCHIVE_INTERNAL_H
#define RAFT_ARCHIVE_INTERNAL_H

#include "base/pack.h"
#include "raft/archive.h"

#define ARCHIVE_FORMAT              1
#define ARCHIVE_HEADER_BYTES        64
#define ARCHIVE_RECORD_HEADER_BYTES 32
/* An entry is at most one command more than fits into a batch; a length above this is damage. */
#define ARCHIVE_PAYLOAD_BYTES_MAX   WAL_RECORD_BYTES_MAX

struct archive_header {
    uint64_t cluster_id;
    uint64_t first_index;
    uint64_t first_term;
    uint64_t begun_ms; /* wall clock */
};

void archive_header_encode(uint8_t out[ARCHIVE_HEADER_BYTES], const struct archive_header *h);

void archive_record_encode(struct buf *out, const struct wal_entry *entry);
/* Takes the record at the front of `bytes`; its payload points into them. False: there is no whole
 * and undamaged one. */
bool archive_record_decode(struct slice bytes, struct wal_entry *out, size_t *record_bytes);

/* Reads a whole file into `out`. */
enum status archive_read_file(struct env *env, const char *path, struct buf *out,
                              struct errmsg *err) MUST_USE;

/* Where the good records of a file's bytes end, from its header on. */
struct archive_extent {
    struct archive_header header;
    size_t end;
    uint64_t next_index; /* after the last good record */
    uint64_t last_term;
};

/* Judges the bytes of `file`: that the header is of the cluster and index that its name says, and
 * how far its records go on without gap. RC_CORRUPT, RC_UNSUPPORTED for a header that does not fit;
 * a damaged record just ends the extent. */
enum status archive_measure(const struct archive_file *file, struct slice bytes,
                            struct archive_extent *out, struct errmsg *err) MUST_USE;

#endif
