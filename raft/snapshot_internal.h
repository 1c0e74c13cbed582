/* What the files of the snapshot store share. Users include raft/snapshot_store.h.
 *
 *   snapshot_store.c    the directory: opening, listing, giving names, pruning
 *   snapshot_take.c     from a store to a file
 *   snapshot_receive.c  from chunks to a file to a store
 *   snapshot_send.c     from a file to chunks
 *   snapshot_hold.c     a file that somebody reads through, and that stays as long
 *   snapshot_offline.c  listing and writing without a store that is open
 *
 * Everything that blocks is a job on the one queue, so jobs run in the order they were submitted.
 * A structure says which of its fields the loop uses and which the worker: nobody else looks at
 * them until the job that used them is done. What is cancelled goes on as an orphan, without a
 * callback, until its last job is done; so taking and receiving can begin anew at once.
 */
#ifndef RAFT_SNAPSHOT_INTERNAL_H
#define RAFT_SNAPSHOT_INTERNAL_H

#include "base/list.h"
#include "raft/snapshot_store.h"

#define SNAPSHOT_KEEP            2
#define SNAPSHOT_SEND_HOLD_MS    10000
#define SNAPSHOT_SCAN_STEP_BYTES ((size_t)64 << 10)
#define SNAPSHOT_CHUNK_BYTES_MAX ((size_t)256 << 10)
#define SNAPSHOT_CHUNKS_MAX      4  /* received and not yet written */
#define SNAPSHOT_READS_MAX       64 /* asked for and not yet answered */
#define SNAPSHOT_NAME_BYTES      96

/* A complete snapshot on disk. */
struct snapshot_item {
    struct list node;
    struct snapshot_file file;
    uint64_t read_ms; /* when a chunk was last asked for; 0 = never */
    size_t holds;
    bool is_replaced; /* by a newer file of the same name */
    struct snapshot_store *ss;
    struct env_job prune;       /* closes and removes the file, then frees this */
    struct env_file *open_file; /* worker: kept open between reads */
};

struct snapshot_store {
    struct env *env;
    struct log *log;
    char *dir;
    size_t scan_step_bytes;
    struct env_queue *queue;
    struct list items;  /* in the order they were completed; the last one is the newest */
    struct list pruned; /* no more there, except for their job */
    struct list takes;  /* with orphans */
    struct list receives;
    struct list reads;
    struct list holds; /* with orphans: released while a read of theirs was under way */
    size_t read_count;
    struct snapshot_take *take; /* the one that is no orphan, or NULL */
    struct snapshot_receive *receive;
    struct metric *taken_metric;
    struct metric *failed_metric;
    struct metric *received_metric;
    struct metric *bytes_metric;
};

enum snapshot_name { SNAPSHOT_NAME_FINAL, SNAPSHOT_NAME_TAKEN, SNAPSHOT_NAME_RECEIVED };

/* "snapshot-<index>-<term>.db"; false for anything else. */
bool snapshot_name_parse(const char *name, uint64_t *index, uint64_t *term);
/* Makes the directory; its own name is durable then. [worker] */
enum status snapshot_make_dir(struct env *env, const char *dir) MUST_USE;

/* Path of a file: complete, or while it is being written. Free with mem_free. */
char *snapshot_path(const char *dir, uint64_t index, uint64_t term, enum snapshot_name kind);

/* Gives the synced file `from` its final name, durably. On failure neither is there. [worker] */
enum status snapshot_publish(struct env *env, const char *dir, const char *from, const char *to,
                             uint64_t *bytes, struct errmsg *err) MUST_USE;

/* A file was published: makes it the newest one and prunes. */
void snapshot_add(struct snapshot_store *ss, const struct snapshot_file *file);
/* A file was published that nobody wants any more. */
void snapshot_discard(struct snapshot_store *ss, const struct snapshot_file *file);
struct snapshot_item *snapshot_find(struct snapshot_store *ss, uint64_t index);

/* What is left when the queue is closed and no `done` will come. */
void snapshot_take_drop(struct snapshot_take *t);
void snapshot_receive_drop(struct snapshot_receive *r);
void snapshot_reads_drop(struct snapshot_store *ss);
void snapshot_holds_drop(struct snapshot_store *ss);
/* The item goes, or its name is another file's now. */
void snapshot_hold_lose(struct snapshot_store *ss, const struct snapshot_item *item);
struct snapshot_take *snapshot_take_of(struct list *node);
struct snapshot_receive *snapshot_receive_of(struct list *node);

#endif
