/* The write-ahead log: entries, term and vote, durable in order.
 *
 * Segments of fixed size, preallocated, zeroed and recycled. A record's CRC-32C covers its segment
 * id and its offset too, since a recycled segment still holds old, once valid records. Each record
 * carries the last synced position known when it was written (a watermark); when the log goes idle
 * a watermark of its own follows within WAL_WATERMARK_MS. docs/formats.md has the bytes.
 *
 * Group commit. wal_append and wal_set_term only add to the open batch; wal_flush hands the batch
 * to the disk queue if none is in flight, and when that one is done what gathered meanwhile goes
 * next. So one fdatasync is in flight at any time and carries all that waited. Every call that
 * writes returns a ticket; tickets become durable in order.
 *
 * Recovery. A bad record above the highest surviving watermark is a torn tail: it is cut. One
 * below it is corruption: wal_open answers RC_CORRUPT and names segment and offset.
 *
 * Space. WAL_RESERVE_SEGMENTS ready segments are kept ahead. A full disk can be met only while a
 * segment is being made, off the path of writes; wal_is_short then holds until one could be made.
 * Any failed write or sync of a record is final: `failed` is called once, nothing becomes durable
 * any more, and the node must stop.
 *
 * All on the loop; the blocking work runs on queues of the env: records; preparing segments;
 * reading back.
 */
#ifndef RAFT_WAL_H
#define RAFT_WAL_H

#include "base/env.h"
#include "base/log.h"
#include "base/metrics.h"

#define WAL_SEGMENT_BYTES    ((size_t)16 << 20)
#define WAL_RESERVE_SEGMENTS 2
#define WAL_WATERMARK_MS     100
#define WAL_RECORD_BYTES_MAX ((size_t)8 << 20)

struct wal;

struct wal_options {
    size_t
        segment_bytes; /* 0 = WAL_SEGMENT_BYTES; at least 4096; a record may make one larger */
    uint64_t cluster_id; /* written to and checked in every segment header */
    uint64_t node_id;
    struct log *log;
    struct metrics *metrics; /* fsync latency, bytes, queue depth; may be NULL */
};

struct wal_events {
    /* All up to and including `ticket` is durable. Never called from inside a wal_* call. */
    void (*durable)(void *context, uint64_t ticket);
    /* A durable write failed; nothing will be acknowledged any more. Called once. */
    void (*failed)(void *context, enum status rc);
};

struct wal_entry {
    uint64_t index;
    uint64_t term;
    uint8_t type; /* enum entry_type of raft/message.h */
    struct slice payload;
};

/* What wal_open found. Payloads point into `storage`. */
struct wal_recovery {
    bool is_new; /* no log was there before, or one without any record */
    uint64_t term;
    uint64_t vote;
    /* Where the log begins: all up to `reset_index` (of `reset_term`) is in a snapshot, because
     * one was installed; 0 if that never happened. Entries below it are gone. */
    uint64_t reset_index;
    uint64_t reset_term;
    struct wal_entry *entries; /* contiguous, ascending; the ones still retained */
    size_t entry_count;
    struct buf *storage;
    size_t storage_count;
    uint64_t cut_bytes; /* torn tail that was cut, for the log line */
};

void wal_recovery_close(struct wal_recovery *r);

/* Opens or creates the log in directory `dir` (which exists and is locked by the caller). Blocks:
 * only before the node serves. RC_CORRUPT, RC_INVALID (another cluster's or node's log; names
 * both), RC_UNSUPPORTED (newer format), RC_IO, RC_NO_SPACE. */
enum status wal_open(struct env *env, const char *dir, const struct wal_options *options,
                     const struct wal_events *events, void *context, struct wal **out,
                     struct wal_recovery *recovery, struct errmsg *err) MUST_USE;

/* What wal_open would find, without writing anything: of `options` only the ids are looked at.
 * Errors are those of wal_open; then `recovery` is empty. [worker] */
enum status wal_read(struct env *env, const char *dir, const struct wal_options *options,
                     struct wal_recovery *recovery, struct errmsg *err) MUST_USE;

/* Makes `dir` with a log that goes on behind a snapshot up to (index, term): that of a member that
 * begins with one. [worker] */
enum status wal_create(struct env *env, const char *dir, const struct wal_options *options,
                       uint64_t index, uint64_t term, struct errmsg *err) MUST_USE;

/* Waits for the write in flight and frees the log. No event follows. */
void wal_close(struct wal *w);

/* Term and vote, as one record. */
uint64_t wal_set_term(struct wal *w, uint64_t term, uint64_t vote);

/* Appends contiguous entries. If the first index is not above the last one written, everything from
 * it on is superseded: recovery does the same. Copies the payloads. */
uint64_t wal_append(struct wal *w, const struct wal_entry *entries, size_t count);

/* A snapshot up to (index, term) was installed: the log is empty and goes on at index + 1. */
uint64_t wal_reset(struct wal *w, uint64_t index, uint64_t term);

/* Nothing below `first_index` is needed any more: frees whole segments for recycling. */
void wal_compact(struct wal *w, uint64_t first_index);

/* Reads entries back that were forgotten: as many of first .. first + count - 1 as are found, in
 * order from `first` on, of each the version that has the term in `terms` (copied). They must be
 * durable, and there are no others of their index and term. `done` gets the context of the events,
 * and entries until it returns; RC_NOT_FOUND: `first` is no longer there, RC_IO. One at a time. */
typedef void (*wal_fetched_fn)(void *context, enum status rc, const struct wal_entry *entries,
                               size_t count);
void wal_fetch(struct wal *w, uint64_t first, const uint64_t *terms, size_t count,
               wal_fetched_fn done);
bool wal_is_fetching(const struct wal *w);

/* Starts writing what has gathered, unless a write is in flight. Once per loop turn. */
void wal_flush(struct wal *w);

/* Writes an idle watermark when one is due, and tries again each second to make a segment. */
void wal_tick(struct wal *w, uint64_t now_ms);
uint64_t wal_next_deadline_ms(const struct wal *w); /* UINT64_MAX = none */

bool wal_is_short(const struct wal *w);    /* below the reserve: refuse client writes */
uint64_t wal_bytes(const struct wal *w);   /* written to the segments that are still needed */
uint64_t wal_durable(const struct wal *w); /* highest durable ticket */

#endif
