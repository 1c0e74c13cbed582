/* The directory of snapshot files: taking, receiving, sending, pruning.
 *
 * Files are named snapshot-<index>-<term>.db (20 digits each); what is being written has the suffix
 * .part and is removed at start. A file gets its name only after it is synced (write beside, sync,
 * rename, sync the directory); the newest two are kept, older ones go when nobody is sending them.
 *
 * Blocking work runs on a queue of its own, so that neither log writes nor heartbeats wait for it.
 * All calls and callbacks on the loop. At most one take and one receive at a time, each a state
 * machine that snapshot_store_advance moves on; closing cancels both.
 *
 *   take:     SCANNING -(scan ended)-> FINISHING -(synced, renamed)-> done
 *   receive:  RECEIVING -(last byte)-> LOADING -(verified, renamed)-> done
 */
#ifndef RAFT_SNAPSHOT_STORE_H
#define RAFT_SNAPSHOT_STORE_H

#include "base/env.h"
#include "base/log.h"
#include "base/metrics.h"
#include "store/store.h"

struct snapshot_store;

struct snapshot_file {
    uint64_t index;
    uint64_t term;
    uint64_t bytes;
    uint64_t revision; /* 0: found at start, and not loaded */
    uint64_t digest;
};

struct snapshot_store_options {
    struct env *env;
    struct log *log;
    struct metrics *metrics; /* may be NULL */
    size_t scan_step_bytes;  /* 0 = 64 KiB: rows per turn, bounds the pause of the loop */
};

/* Lists `dir` (created if missing), removes leftovers. Blocks. */
enum status snapshot_store_open(const char *dir, const struct snapshot_store_options *options,
                                struct snapshot_store **out, struct errmsg *err) MUST_USE;
/* Waits for the job that is running; no callback follows. */
void snapshot_store_close(struct snapshot_store *ss);

/* The newest complete snapshot, or NULL. */
const struct snapshot_file *snapshot_store_latest(const struct snapshot_store *ss);

/* Gives a durable snapshot file, written elsewhere on this disk, its name here: from then on it is
 * the newest, durably. Not while one is taken or received. Blocks for a sync. After an error
 * nobody knows which one a restart will find. */
enum status snapshot_store_adopt(struct snapshot_store *ss, const char *path,
                                 const struct snapshot_file *file, struct errmsg *err) MUST_USE;

/* Loads the newest one. Blocks: only at start. RC_CORRUPT names the file. */
enum status snapshot_store_load(struct snapshot_store *ss, struct store **store,
                                struct snapshot_meta *meta, struct errmsg *err) MUST_USE;

/* ---- without opening ---- */

/* The complete snapshots in `dir`, oldest first; nothing is touched. Free with mem_free. A missing
 * directory has none. [worker] */
enum status snapshot_store_list(struct env *env, const char *dir, struct snapshot_file **files,
                                size_t *count, struct errmsg *err) MUST_USE;
/* The path of one of them; free with mem_free. */
char *snapshot_store_path(const char *dir, const struct snapshot_file *file);

/* Writes the state as the snapshot of a data dir that has none: `dir` is made, the file has its
 * name in it when it is durable. `meta` is completed as by snapshot_store_take. [worker] */
enum status snapshot_store_write(struct env *env, const char *dir, struct store *s,
                                 struct snapshot_meta *meta, struct errmsg *err) MUST_USE;
/* Likewise, as a file with any name; an older one is replaced when this one is whole. */
enum status snapshot_write_file(struct env *env, const char *path, struct store *s,
                                struct snapshot_meta *meta, struct errmsg *err) MUST_USE;

/* ---- take ---- */

typedef void (*snapshot_taken_fn)(void *context, enum status rc, const struct snapshot_meta *meta);

/* Starts a snapshot of `s` at its applied index. `meta` brings term, configuration and cluster id
 * (copied); the rest is filled in. RC_OVERLOADED if one is being taken. */
enum status snapshot_store_take(struct snapshot_store *ss, struct store *s,
                                const struct snapshot_meta *meta, snapshot_taken_fn done,
                                void *context) MUST_USE;
bool snapshot_store_is_taking(const struct snapshot_store *ss);
/* Gives up a take: the store it scans is about to be replaced. */
void snapshot_store_cancel_take(struct snapshot_store *ss);

/* One step of the scan, if the writer keeps up. True: there is more to do at once (call again next
 * turn, without blocking in between). */
bool snapshot_store_advance(struct snapshot_store *ss);

/* ---- receive ---- */

/* `store` is the caller's when rc is RC_OK; `meta` is borrowed. */
typedef void (*snapshot_received_fn)(void *context, enum status rc, struct store *store,
                                     const struct snapshot_meta *meta);

/* Begins receiving a file of `bytes`. Replaces a receive that is going on. */
enum status snapshot_store_receive(struct snapshot_store *ss, uint64_t index, uint64_t term,
                                   uint64_t bytes, snapshot_received_fn done,
                                   void *context) MUST_USE;
/* The next bytes, in order; others are ignored. When all are there the file is verified, synced,
 * renamed and loaded off the loop, then `done` runs. */
void snapshot_store_receive_chunk(struct snapshot_store *ss, uint64_t index, uint64_t offset,
                                  struct slice data);
/* What to pull next: false if no receive wants bytes now. */
bool snapshot_store_receive_wants(const struct snapshot_store *ss, uint64_t *index,
                                  uint64_t *offset);
void snapshot_store_receive_cancel(struct snapshot_store *ss);

/* ---- send ---- */

/* `data` is borrowed; file_bytes 0 = the file is not there (any more) or could not be read. */
typedef void (*snapshot_chunk_fn)(void *context, uint64_t tag, uint64_t index, uint64_t offset,
                                  uint64_t file_bytes, struct slice data);

/* Reads at most `bytes` (<= 256 KiB) at `offset` of snapshot `index`, off the loop. A file that was
 * read within the last 10 s is not pruned. */
void snapshot_store_read(struct snapshot_store *ss, uint64_t index, uint64_t offset, uint32_t bytes,
                         uint64_t tag, snapshot_chunk_fn done, void *context);

/* ---- hold ---- */

/* Keeps a file from being pruned, and reads it through from beginning to end. */
struct snapshot_hold;

/* Of the newest file; NULL if there is none. To be released before the snapshot store closes. */
struct snapshot_hold *snapshot_store_hold(struct snapshot_store *ss);
void snapshot_store_release(struct snapshot_hold *h);

const struct snapshot_file *snapshot_hold_file(const struct snapshot_hold *h);
/* Where it lies, until the release. */
const char *snapshot_hold_path(const struct snapshot_hold *h);

/* RC_OK: the next bytes, borrowed until return; none at the end of the file, and `sha256` (else
 * NULL) is then that of the whole of it. RC_CORRUPT: it is shorter or longer than it was.
 * After a failure nothing more can be read. */
typedef void (*snapshot_read_fn)(void *context, enum status rc, struct slice data,
                                 const uint8_t *sha256);

/* Reads at most `bytes` (<= 256 KiB), off the loop; one at a time. No callback follows a
 * release. */
void snapshot_hold_read(struct snapshot_hold *h, size_t bytes, snapshot_read_fn done,
                        void *context);

/* Files on disk are deleted here when due. */
void snapshot_store_tick(struct snapshot_store *ss, uint64_t now_ms);

#endif
