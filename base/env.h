/* The outside world: disk, network, clock and randomness, as tables of functions.
 *
 * Production plugs in base/env_uv.c (files, libuv, the kernel's clock and randomness); the
 * simulator plugs in virtual ones and runs the very same engine, log, snapshot and transport code.
 *
 * Threads. Everything here is called on the loop thread, except the calls marked [worker]: those
 * may block and run inside the `run` function of a job on a queue's worker thread, or on the loop
 * thread before the node serves. Callbacks always arrive on the loop thread, never from inside the
 * call that asked for them.
 *
 * Lifecycle. A stream, listener or resolver handle is closed with *_close; its memory is the env's
 * and is gone after the close call returns from the owner's view: no callback follows a close.
 */
#ifndef BASE_ENV_H
#define BASE_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct env;
struct env_file;
struct env_queue;
struct env_stream;
struct env_listener;
struct tls_peer;

/* ---- disk -------------------------------------------------------------------------------- */

enum env_open_flags {
    ENV_OPEN_READ = 1,
    ENV_OPEN_WRITE = 2,    /* read and write */
    ENV_OPEN_CREATE = 4,   /* create if missing */
    ENV_OPEN_TRUNCATE = 8, /* to size 0 */
    ENV_OPEN_GROUP = 16,   /* one that is created may be read by the process's group */
};

/* One name of a directory listing. */
typedef void (*env_list_fn)(void *context, const char *name, uint64_t bytes);

struct env_disk {
    /* All [worker]. Paths are relative to the process's working directory or absolute. */
    enum status (*open)(struct env *env, const char *path, int flags, struct env_file **out);
    enum status (*read)(struct env_file *file, uint64_t offset, void *to, size_t bytes,
                        size_t *got); /* short only at end of file */
    enum status (*write)(struct env_file *file, uint64_t offset, const void *from,
                         size_t bytes);
    enum status (*sync)(struct env_file *file); /* fdatasync: data and size are durable */
    enum status (*truncate)(struct env_file *file, uint64_t bytes);
    enum status (*size)(struct env_file *file, uint64_t *bytes);
    void (*close)(struct env_file *file);
    enum status (*rename)(struct env *env, const char *from, const char *to);
    enum status (*unlink)(struct env *env, const char *path); /* RC_NOT_FOUND if missing */
    enum status (*mkdir)(struct env *env, const char *path);  /* RC_OK if it is there already */
    enum status (*list)(struct env *env, const char *path, env_list_fn fn, void *context);
    enum status (*sync_dir)(struct env *env, const char *path); /* names are durable */
    /* Takes an exclusive lock that ends with the process: RC_LOCKED if another holds it. */
    enum status (*lock)(struct env *env, const char *path);
};

/* A job is the caller's memory, pinned until `done` has run. */
struct env_job {
    void (*run)(struct env_job *job);  /* [worker] */
    void (*done)(struct env_job *job); /* loop */
    struct env_job *next;              /* private */
};

/* ---- network: byte streams --------------------------------------------------------------- */

struct env_stream_events {
    /* Connected (connect side only). */
    void (*open)(void *owner);
    /* Bytes arrived; borrowed until return. The owner may close the stream in here. */
    void (*data)(void *owner, struct slice bytes);
    /* The queue fell below half of the bound after a write had returned false. May be NULL. */
    void (*drain)(void *owner);
    /* Ended by the other side or by an error, also a failed connect. The stream is gone; the owner
     * must not call close. */
    void (*closed)(void *owner, enum status rc);
};

typedef void (*env_accept_fn)(void *owner, struct env_stream *stream);

struct env_net {
    /* Host names and IPv6 literals are fine. `port` 0 picks one; see listener_port. */
    enum status (*listen)(struct env *env, const char *host, uint16_t port,
                          env_accept_fn accept, void *owner, struct env_listener **out,
                          struct errmsg *err);
    uint16_t (*listener_port)(struct env_listener *listener);
    void (*listener_close)(struct env_listener *listener);
    /* Never fails at once: failure arrives through `closed`. Resolves, connects, TCP_NODELAY. */
    struct env_stream *(*connect)(struct env *env, const char *host, uint16_t port,
                                  const struct env_stream_events *events, void *owner);
    /* An accepted stream reads nothing until it has an owner. */
    void (*attach)(struct env_stream *stream, const struct env_stream_events *events,
                   void *owner);
    /* Keeps a copy of the bytes or writes them through. False when more than ENV_STREAM_QUEUE_MAX
     * bytes are queued now: the caller should stop until `drain`. */
    bool (*write)(struct env_stream *stream, struct slice bytes);
    size_t (*queued)(const struct env_stream *stream);
    void (*read_pause)(struct env_stream *stream, bool paused);
    /* After what is queued has gone out when `flush`, else at once. No callback follows. */
    void (*close)(struct env_stream *stream, bool flush);
    /* "192.0.2.7:51434", "[::1]:80"; into `text`. */
    void (*peer_name)(const struct env_stream *stream, char *text, size_t bytes);
    /* What the handshake told about the other side (base/tls.h), borrowed as long as the stream;
     * NULL: the stream is not encrypted. May be NULL: no stream is. */
    const struct tls_peer *(*tls)(const struct env_stream *stream);
};

#define ENV_STREAM_QUEUE_MAX ((size_t)1 << 20)

/* ---- the env ----------------------------------------------------------------------------- */

struct env {
    const struct env_disk *disk;
    const struct env_net *net;
    /* Clock. Monotonic; never goes back within one process. */
    uint64_t (*now_ms)(struct env *env);
    uint64_t (*now_us)(struct env *env); /* [worker] too */
    /* Milliseconds since 1970, for display only: it may jump. */
    uint64_t (*wall_ms)(struct env *env);
    /* Unpredictable bytes in production, seeded ones in the simulator. */
    void (*random)(struct env *env, void *to, size_t bytes);
    /* A queue runs its jobs one after the other, in order, on a worker of its own, and gives each
     * back to the loop through `done`, in order. */
    struct env_queue *(*queue_open)(struct env *env, const char *name);
    void (*queue_submit)(struct env_queue *queue, struct env_job *job);
    /* From its next job on the queue's worker gives way to other threads. May be NULL: it does
     * not. */
    void (*queue_yield)(struct env_queue *queue);
    /* Waits for the jobs that are running or queued; their `done` does not run any more. */
    void (*queue_close)(struct env_queue *queue);
    /* [worker] Between two small pieces of work, without any lock: lets other threads go first for
     * which the calling one is to give way. Cheap enough for each row. May be NULL: none does. */
    void (*give_way)(struct env *env);
};

static inline const struct tls_peer *env_stream_tls(const struct env *env,
                                                    const struct env_stream *stream)
{
    return env->net->tls != NULL ? env->net->tls(stream) : NULL;
}

/* A queue for work that nobody waits for. */
static inline struct env_queue *env_queue_open_background(struct env *env, const char *name)
{
    struct env_queue *queue = env->queue_open(env, name);
    if (env->queue_yield != NULL) {
        env->queue_yield(queue);
    }
    return queue;
}

static inline void env_give_way(struct env *env)
{
    if (env->give_way != NULL) {
        env->give_way(env);
    }
}

static inline uint64_t env_random_u64(struct env *env)
{
    uint64_t v;
    env->random(env, &v, sizeof v);
    return v;
}

#endif
