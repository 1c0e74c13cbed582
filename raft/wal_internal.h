/* What the files of the log share. Users include raft/wal.h.
 *
 *   wal.c          the calls, the open batch, its placing in segments, the write job
 *   wal_record.c   bytes of segment headers and records; what a record does to the log's state
 *   wal_recover.c  what wal_open does with the segments it finds
 *   wal_scan.c     the scan of one of them
 *   wal_fetch.c    entries read back while the log is in use
 *   wal_segment.c  names; making and retiring segments, on a queue of its own
 *
 * Life of a segment file:
 *
 *   (new) -> spare-<id> -(zeroed, synced, renamed)-> wal-<id>, ready
 *   ready -(header written and synced)-> live -(full)-> live, ended
 *   ended -(all entries compacted)-> retired -(renamed)-> spare -(header zeroed, synced)-> ready
 *
 * Rules that recovery stands on:
 *   - Ids grow by one from segment to segment and are never used twice for records.
 *   - A header is durable before any record is written behind it, and a segment is durable before
 *     the next one's header says where it ended. So only the last segment can have a torn tail.
 *   - Behind the end of the last segment there is no record valid under its id when new ones are
 *     written: opening the log zeroes what a crash left there.
 *   - A segment's records are marked with its salt, random and never shown to anyone: bytes that a
 *     client chose and that lie in a recycled segment, or behind a torn batch, are no record. The
 *     header of the segment before has it too, so that records behind a lost header are found.
 *   - A segment is retired only when the header of a later one is durable: headers repeat term,
 *     vote and where the log begins.
 */
#ifndef RAFT_WAL_INTERNAL_H
#define RAFT_WAL_INTERNAL_H

#include "base/arena.h"
#include "base/pack.h"
#include "raft/wal.h"

#define WAL_FORMAT              2 /* 1: without salts */
#define WAL_FORMAT_MIN          1
#define WAL_HEADER_BYTES        128
#define WAL_RECORD_HEADER_BYTES 40
#define WAL_SEGMENT_BYTES_MIN   4096
#define WAL_SEGMENT_BYTES_MAX   ((size_t)1 << 30)   /* offsets are 32 bits on disk */
#define WAL_FIRST_SEGMENT_BYTES ((size_t)1 << 20)   /* of a new log: quick to make */
#define WAL_ENTRIES_BYTES       ((size_t)256 << 10) /* a record of entries ends when above */
#define WAL_STEP_BYTES          ((size_t)1 << 20)   /* of zeroing */
#define WAL_BUFFER_KEEP_BYTES   ((size_t)1 << 20)   /* larger buffers are not kept */
#define WAL_SPARES_MAX          4
#define WAL_RETRY_MS            1000
#define WAL_RUNS_MAX            8 /* segments that one batch may reach into */

/* ---- bytes (wal_record.c) ----------------------------------------------------------------- */

struct wal_position {
    uint64_t segment;
    uint64_t offset;
};

static inline bool wal_position_before(struct wal_position a, struct wal_position b)
{
    return a.segment < b.segment || (a.segment == b.segment && a.offset < b.offset);
}

/* What the log says, up to some record. */
struct wal_state {
    uint64_t term;
    uint64_t vote;
    uint64_t next_index; /* of the entry that comes next, unless it supersedes */
    uint64_t reset_index;
    uint64_t reset_term;
};

struct wal_header {
    uint64_t segment;
    uint64_t cluster_id;
    uint64_t node_id;
    struct wal_state state;       /* before the first record of this segment */
    struct wal_position previous; /* where the segment before it ended; 0, 0 in the first one */
    uint64_t salt;                /* in the mark of each record of this segment */
    uint64_t next_salt;           /* the same of the segment that comes next */
};

/* RC_OK; RC_CORRUPT: not a valid header; RC_UNSUPPORTED: a valid one of a newer format. */
enum status wal_header_decode(struct slice bytes, struct wal_header *out) MUST_USE;
void wal_header_encode(uint8_t out[WAL_HEADER_BYTES], const struct wal_header *h);

enum wal_record_type { WAL_ENTRIES = 1, WAL_TERM = 2, WAL_RESET = 3, WAL_WATERMARK = 4 };

struct wal_record {
    uint8_t type; /* enum wal_record_type */
    size_t bytes; /* of the whole record with its padding */
    struct wal_position watermark;
    struct slice body;
    uint32_t body_crc;
};

/* Appends the header of a record and returns where it begins; the body follows; _end closes it.
 * Until it is sealed, the place of the watermark holds the ticket that is durable with it. */
size_t wal_record_begin(struct buf *b, enum wal_record_type type);
void wal_record_end(struct buf *b, size_t at, uint64_t ticket);
/* The unsealed record at `at`; *ticket may be NULL. The body is borrowed from `b`. */
struct wal_record wal_record_at(const struct buf *b, size_t at, uint64_t *ticket);
/* Fills in position, watermark and checksums: the record's place is known now. [worker] */
void wal_record_seal(struct buf *b, size_t at, struct wal_position position, uint64_t salt,
                     struct wal_position watermark);

/* Is there a record at the front of `bytes`, which are those at `position` of a segment with that
 * salt? Looks at the record's header only and needs nothing but that; the body may lie beyond the
 * end of `bytes`. */
bool wal_record_header(struct slice bytes, struct wal_position position, uint64_t salt,
                       struct wal_record *out);
/* Cuts the body out of `bytes`, which hold the whole record, and proves it. */
bool wal_record_body(struct slice bytes, struct wal_record *r);

/* Carries a proven or own record into the state. False if it does not fit behind what is there. */
bool wal_state_apply(struct wal_state *s, const struct wal_record *r);
/* Index of the first entry, and a cursor for wal_entry_next. False if the body is malformed. */
bool wal_entries_begin(const struct wal_record *r, struct unpack *u, uint64_t *first,
                       uint32_t *count);
bool wal_entry_next(struct unpack *u, struct wal_entry *out); /* all but the index */

/* ---- segments (wal_segment.c) ------------------------------------------------------------- */

struct wal_segment {
    uint64_t id;
    uint64_t capacity;     /* bytes of the file */
    uint64_t end;          /* where the next record goes, or where the last one ended */
    uint64_t max_index;    /* highest entry ever written to it; 0 = none */
    uint64_t salt;         /* of its records; means nothing while ready */
    struct env_file *file; /* open while ready or being written to */
};

/* First in, first out; small. */
struct wal_segments {
    struct wal_segment *items;
    size_t count;
    size_t capacity;
};

void wal_segments_push(struct wal_segments *s, struct wal_segment segment);
struct wal_segment wal_segments_pop_first(struct wal_segments *s);
void wal_segments_close(struct wal_segments *s, struct env *env); /* closes the files too */

#define WAL_NAME_BYTES 32
enum wal_name { WAL_NAME_OTHER, WAL_NAME_SEGMENT, WAL_NAME_SPARE };
void wal_name_print(char out[WAL_NAME_BYTES], enum wal_name kind, uint64_t id);
enum wal_name wal_name_parse(const char *name, uint64_t *id);
char *wal_path(const char *dir, enum wal_name kind, uint64_t id); /* free with mem_free */

/* One piece of work on segment files, with everything it needs by value. */
struct wal_chore {
    struct env_job job;
    struct env *env;
    const char *dir;
    enum wal_chore_kind {
        WAL_MAKE_NEW,   /* spare-<id> from nothing, then wal-<id> */
        WAL_MAKE_SPARE, /* spare-<from> becomes wal-<id> */
        WAL_RETIRE,     /* wal-<from> becomes spare-<from> */
        WAL_DISCARD,    /* wal-<from> is removed */
    } kind;
    uint64_t from;
    uint64_t id;
    uint64_t bytes;        /* wanted size */
    struct env_file *file; /* out: the ready segment */
    enum status rc;        /* out */
};

/* Does the work of `c`. [worker] */
void wal_chore_run(struct wal_chore *c);
/* Writes zeros to [from, to), syncing on the way. [worker] */
enum status wal_zero(struct env *env, struct env_file *file, uint64_t from,
                     uint64_t to) MUST_USE;

/* ---- the log (wal.c) ---------------------------------------------------------------------- */

/* The part of a batch that lies in one segment. */
struct wal_run {
    struct env_file *file;
    struct wal_position position;
    uint64_t salt;
    size_t begin; /* in the batch's bytes */
    size_t end;
    bool starts_segment; /* header first, after the segment before it is durable */
    struct env_file *previous;
    uint8_t header[WAL_HEADER_BYTES];
};

/* What is being written. The worker owns it between submit and done. */
struct wal_batch {
    struct env_job job;
    struct env *env;
    struct buf bytes;
    struct wal_run runs[WAL_RUNS_MAX];
    size_t run_count;
    uint64_t ticket;
    uint64_t reset_segment;     /* where a reset is in it; all before is void then; 0 = none */
    bool is_idle_watermark;     /* needs no sync */
    struct wal_position synced; /* in: known so far; out: with this batch */
    struct wal_position announced; /* out: by its last record */
    uint64_t fsync_us;             /* out: of the last one */
    enum status rc;                /* out */
};

/* A part of a segment, from a record on. */
struct wal_span {
    struct wal_position begin;
    uint64_t end;
    uint64_t salt;
};

/* Entries that are read back. The worker owns it between submit and done. */
struct wal_fetch {
    struct env_job job;
    struct env *env;
    const char *dir;
    struct wal_span *spans;
    size_t span_count;
    uint64_t first;
    uint64_t *terms;
    size_t count;
    struct buf bytes;          /* of the file */
    struct arena payloads;     /* out */
    struct wal_entry *entries; /* out */
    size_t found;              /* out */
    enum status rc;            /* out */
    wal_fetched_fn done;
    /* Where the last fetch ended, and the entry that comes then; 0 = it is not known. */
    struct wal_position ended;
    uint64_t next_index;
};

/* Frees all but the place where it ended. */
void wal_fetch_close(struct wal_fetch *f);

struct wal {
    struct env *env;
    char *dir;
    struct wal_options options;
    struct wal_events events;
    void *context;
    struct env_queue *record_queue;
    struct env_queue *chore_queue;

    struct wal_state appended; /* after the last call */
    struct wal_state placed;   /* after the last record that has its place on disk */
    struct buf open;           /* records that have no place yet, unsealed */
    uint64_t ticket;
    uint64_t durable;
    struct wal_batch batch; /* in flight while `is_writing` */
    bool is_writing;
    bool has_failed;
    struct env_queue *fetch_queue; /* NULL until it is needed */
    struct wal_fetch fetch;
    bool is_fetching;

    struct wal_position synced;    /* all before it is durable */
    struct wal_position announced; /* by a watermark in the log */
    uint64_t idle_since_ms;

    struct wal_segments live; /* oldest first; the last one is written to */
    struct wal_segments ready;
    struct wal_segments retired; /* still under their wal- name */
    struct wal_segments spares;
    uint64_t next_id;
    uint64_t next_salt;    /* of the segment behind the last live one */
    uint64_t needed_index; /* entries below it are not needed; at least 1 */
    struct wal_chore chore;
    bool is_on_chore;
    bool is_starved; /* the last try to make a segment met a full disk */
    uint64_t retry_at_ms;

    struct metric *bytes_metric;
    struct metric *batches_metric;
    struct metric *pending_metric;
    struct metric *ready_metric;
    struct histogram *fsync_metric;
};

/* Nothing becomes durable any more. Only from a callback of the env, as it tells the owner. */
void wal_fail(struct wal *w, enum status rc);
/* Starts the next chore if there is work and none is running. */
void wal_provide(struct wal *w);
/* Moves segments that nobody needs from live to retired. */
void wal_retire(struct wal *w);

/* ---- recovery (wal_recover.c, wal_scan.c) ------------------------------------------------- */

/* Scans the directory, repairs the tail, and fills the segment lists, the state and `recovery`. */
enum status wal_recover(struct wal *w, struct wal_recovery *recovery,
                        struct errmsg *err) MUST_USE;

struct wal_scan {
    struct wal *wal;
    struct wal_recovery *found;
    struct errmsg *err;
    bool is_read_only; /* nothing is repaired, made or removed */
    uint64_t *spares;  /* ids of spare files */
    size_t spare_count;
    struct wal_segment *segments; /* of all wal- files, by id */
    size_t segment_count;
    size_t used_count;             /* the first ones, that have been written to */
    struct wal_position watermark; /* highest seen */
    struct buf bytes;              /* of the segment being read, from its begin */
    size_t entry_capacity;
};

/* Set the error, with the segment's name in front, and return its code. */
enum status wal_scan_error(struct wal_scan *s, uint64_t id, enum status rc, const char *format,
                           ...) __attribute__((format(printf, 4, 5)));
enum status wal_scan_io(struct wal_scan *s, uint64_t id, enum status rc, const char *what);
enum status wal_scan_damaged(struct wal_scan *s, uint64_t id, uint64_t offset,
                             const char *what);

/* Makes at least `bytes` from the begin of the segment present in s->bytes, or all there are. */
enum status wal_scan_need(struct wal_scan *s, struct wal_segment *segment,
                          uint64_t bytes) MUST_USE;
/* What is present from `offset` on. */
struct slice wal_scan_bytes(const struct wal_scan *s, uint64_t offset);

/* Moves segment->end over all good records, at most up to `limit`. */
enum status wal_scan_find_end(struct wal_scan *s, struct wal_segment *segment,
                              uint64_t limit) MUST_USE;
/* The last segment ends at segment->end: is that a torn tail? Makes it safe to go on there. */
enum status wal_scan_end(struct wal_scan *s, struct wal_segment *segment) MUST_USE;
/* A segment without a valid header was never written to, since headers are durable before records.
 * RC_CORRUPT if there are records of its own all the same. `is_next`: the one before it is in use,
 * so that its salt is known. */
enum status wal_scan_headless(struct wal_scan *s, struct wal_segment *segment,
                              bool is_next) MUST_USE;
/* Carries out the records up to segment->end. Entries point into `bytes`, which become storage. */
enum status wal_scan_take(struct wal_scan *s, struct wal_segment *segment) MUST_USE;

#endif
