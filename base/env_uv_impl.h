/* What the files of the production env share. Private to base/env_uv*.c. */
#ifndef BASE_ENV_UV_IMPL_H
#define BASE_ENV_UV_IMPL_H

#include <uv.h>

#include "base/env_uv.h"
#include "base/list.h"
#include "base/metrics.h"

/* How long a stream that was closed with `flush` may take until it is cut off. */
#define ENV_UV_FLUSH_MS UINT64_C(3000)
/* How long accepting rests when the process has no file descriptor left. */
#define ENV_UV_ACCEPT_REST_MS UINT64_C(100)
/* Of which the longest turn is told, besides the period before. */
#define ENV_UV_TURN_PERIOD_NS UINT64_C(10000000000)
#define ENV_UV_READ_BYTES ((size_t)64 << 10)

struct env_uv {
    struct env env;
    uv_loop_t *loop;
    struct log *log;

    /* Handles and lookups that still owe us their last callback. Zero before memory is freed. */
    size_t pending;
    bool is_closed;
    struct list streams;
    struct list lookups; /* that nobody waits for any more */
    struct list listeners;

    /* One buffer for all streams: libuv asks for it just before it reads, and the owner has seen
     * the bytes before it asks again. So an idle connection costs no buffer. */
    char *read_buffer;

    /* Streams being flushed, oldest first. All have the same time, so the first is due first. */
    struct list flushing;
    uv_timer_t flush_timer;

    struct list queues;
    int wake_fds[2]; /* a pipe: workers write, the loop reads */
    uv_poll_t wake;
    bool is_reporting; /* inside some job's `done` */

    int *locks; /* descriptors that hold the locks */
    size_t lock_count;

    bool has_turn;
    void (*turn)(void *context);
    uint64_t (*next_deadline_ms)(void *context);
    void *turn_context;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t deadline_timer;
    uint64_t armed_ms; /* what deadline_timer waits for; UINT64_MAX for nothing */

    struct histogram *turn_seconds; /* NULL: nobody asks */
    struct metric *turn_longest;
    uint64_t turn_begin_ns; /* when the loop was about to wait, and how long it had waited */
    uint64_t turn_idle_ns;  /* up to then */
    uint64_t longest_us[2]; /* of this period and of the one before */
    uint64_t period_end_ns;
};

static inline struct env_uv *env_uv_of(struct env *env)
{
    return LIST_OF(env, struct env_uv, env);
}

extern const struct env_disk env_uv_disk;
extern const struct env_net env_uv_net;

/* env_uv_disk.c */
void env_uv_release_locks(struct env_uv *e);

/* env_uv_queue.c */
void env_uv_queues_init(struct env_uv *e);
void env_uv_queues_free(struct env_uv *e); /* all are closed, and so is the handle `wake` */
struct env_queue *env_uv_queue_open(struct env *env, const char *name);
void env_uv_queue_yield(struct env_queue *q);
void env_uv_give_way(struct env *env);
void env_uv_queue_submit(struct env_queue *queue, struct env_job *job);
void env_uv_queue_close(struct env_queue *queue);

/* env_uv_stream.c */
void env_uv_streams_init(struct env_uv *e);
void env_uv_streams_close(struct env_uv *e);
/* Wraps a connected socket; closes it and returns NULL if that fails. */
struct env_stream *env_uv_stream_accepted(struct env_uv *e, int fd);
struct env_stream *env_uv_connect(struct env *env, const char *host, uint16_t port,
                                  const struct env_stream_events *events, void *owner);
void env_uv_attach(struct env_stream *s, const struct env_stream_events *events, void *owner);
bool env_uv_write(struct env_stream *s, struct slice bytes);
size_t env_uv_queued(const struct env_stream *s);
void env_uv_read_pause(struct env_stream *s, bool paused);
void env_uv_stream_close(struct env_stream *s, bool flush);
void env_uv_peer_name(const struct env_stream *s, char *text, size_t bytes);

/* env_uv_listen.c */
enum status env_uv_listen(struct env *env, const char *host, uint16_t port, env_accept_fn accept,
                          void *owner, struct env_listener **out, struct errmsg *err);
uint16_t env_uv_listener_port(struct env_listener *listener);
void env_uv_listener_close(struct env_listener *listener);

/* env_uv_dial.c */
/* Looks `host` up; a literal, in brackets or not, is answered without asking anybody. Returns
 * what getaddrinfo returns. The caller frees `out` with freeaddrinfo. */
int env_uv_resolve(const char *host, uint16_t port, int flags, struct addrinfo **out);

#endif
