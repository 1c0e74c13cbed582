/* See base/tls_net.h. A `struct env_stream` here is one of ours; its `inner` is one of the env that
 * carries the bytes, of which nothing is known but its functions.
 *
 * Callbacks of the owner may close the stream. So while one may be on the stack (is_busy) a closed
 * stream is only marked, and freed by whoever set is_busy. */
#include "base/tls_net.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"

#define PLAIN_BYTES    ((size_t)64 << 10)  /* handed to the owner at once */
#define GATHER_BYTES   ((size_t)256 << 10) /* written at once */
#define HANDSHAKE_BYTE 0x16
#define NAME_BYTES_MAX 300

enum stream_state {
    STREAM_CONNECTING, /* the inner stream is */
    STREAM_NEW,        /* accepted, and nothing has come */
    STREAM_SHAKING,
    STREAM_OPEN,
    STREAM_PLAIN,
    STREAM_BROKEN, /* the owner will be told */
};

struct env_stream {
    struct tls_net *net;
    struct env_stream *inner;
    const struct env_stream_events *events;
    void *owner;
    struct tls_session *session; /* SHAKING, OPEN, BROKEN */
    struct list waiting;         /* in net->waiting */
    struct buf held;             /* ciphertext that is not read yet */
    uint64_t spent_us;           /* on its handshake */
    enum stream_state state;
    bool has_more;  /* plaintext in the session, or `held` */
    bool is_paused; /* by the owner */
    bool reads;     /* as the inner stream was told last */
    bool is_busy;
    bool is_reading; /* tls_session_read is on the stack */
    bool is_closed;
    bool is_dialled;
};

struct env_listener {
    struct tls_net *net;
    struct env_listener *inner;
    env_accept_fn accept;
    void *owner;
};

struct tls_net {
    struct env env; /* first: the env is the net */
    struct env_net table;
    struct tls_net_options options;
    struct env *inner;
    struct list waiting;
    size_t waiting_count;
    uint64_t spent_us; /* on handshakes in this turn */
    uint8_t *plain;    /* PLAIN_BYTES, while one stream is read */
    struct buf gather; /* ciphertext of one write */
    bool is_gathering;
    char refusal[TLS_ERROR_BYTES_MAX]; /* the last that was logged, and when */
    uint64_t refusal_ms;
    struct metric *done;
    struct metric *failed;
    struct histogram *seconds;
};

static struct tls_net *net_of(struct env *env)
{
    return (struct tls_net *)(void *)env;
}

static const struct env_net *inner_net(const struct env_stream *s)
{
    return s->net->inner->net;
}

/* ---- life of a stream -------------------------------------------------------------------- */

static struct env_stream *stream_new(struct tls_net *t, enum stream_state state)
{
    struct env_stream *s = mem_zalloc(sizeof *s);
    s->net = t;
    s->state = state;
    s->reads = true;
    list_init(&s->waiting);
    return s;
}

static void stream_free(struct env_stream *s)
{
    if (!list_empty(&s->waiting)) {
        list_remove(&s->waiting);
        s->net->waiting_count--;
    }
    tls_session_free(s->session);
    buf_close(&s->held);
    mem_free(s);
}

/* The owner wants nothing to do with it any more. */
static void stream_drop(struct env_stream *s)
{
    s->is_closed = true;
    s->events = NULL;
    if (!s->is_busy) {
        stream_free(s);
    }
}

static void stream_wait(struct env_stream *s)
{
    if (list_empty(&s->waiting)) {
        list_push_back(&s->net->waiting, &s->waiting);
        s->net->waiting_count++;
    }
}

/* Tells the inner stream whether bytes are welcome, if that has changed. */
static void stream_read_or_not(struct env_stream *s)
{
    bool reads = !s->is_paused && !s->has_more && s->state != STREAM_BROKEN;
    if (reads != s->reads) {
        s->reads = reads;
        inner_net(s)->read_pause(s->inner, !reads);
    }
}

static void log_refusal(const struct env_stream *s, const char *why)
{
    struct tls_net *t = s->net;
    uint64_t now = t->inner->now_ms(t->inner);
    if (strcmp(t->refusal, why) == 0 && now - t->refusal_ms < TLS_NET_REPEAT_MS) {
        return;
    }
    char name[NAME_BYTES_MAX];
    char quoted[2 * TLS_ERROR_BYTES_MAX];
    t->refusal_ms = now;
    (void)snprintf(t->refusal, sizeof t->refusal, "%s", why);
    inner_net(s)->peer_name(s->inner, name, sizeof name);
    log_warn(t->options.log, "tls.refused", "use=%s address=%s reason=%s", t->options.use, name,
             log_quote(quoted, sizeof quoted, why));
}

/* The end, told to the owner. What was written still goes out. The caller has set is_busy and frees
 * the stream. */
static void stream_end(struct env_stream *s, enum status rc)
{
    const struct env_stream_events *events = s->events;
    void *owner = s->owner;
    if (s->is_closed) {
        return;
    }
    inner_net(s)->close(s->inner, true);
    stream_drop(s);
    events->closed(owner, rc);
}

static void stream_refuse(struct env_stream *s, const char *why)
{
    if (s->state == STREAM_SHAKING || s->state == STREAM_NEW) {
        metric_add(s->net->failed, 1);
    }
    log_refusal(s, why);
    stream_end(s, s->state == STREAM_OPEN ? RC_MALFORMED : RC_REFUSED);
}

/* ---- ciphertext out ---------------------------------------------------------------------- */

/* What TLS itself answers while it reads must not pile up before somebody who takes nothing; what
 * the owner writes is bounded by the owner. */
static bool stream_send(void *context, struct slice cipher)
{
    struct env_stream *s = context;
    if (s->net->is_gathering) {
        buf_append_slice(&s->net->gather, cipher);
        return true;
    }
    if (s->is_reading && inner_net(s)->queued(s->inner) > ENV_STREAM_QUEUE_MAX) {
        return false;
    }
    (void)inner_net(s)->write(s->inner, cipher);
    return true;
}

/* Many records, one write. */
static bool stream_encrypt(struct env_stream *s, struct slice plain, bool *has_room)
{
    struct tls_net *t = s->net;
    buf_clear(&t->gather);
    t->is_gathering = true;
    bool encrypted = tls_session_write(s->session, plain);
    t->is_gathering = false;
    *has_room = inner_net(s)->write(s->inner, buf_slice(&t->gather));
    return encrypted;
}

static bool tls_net_write(struct env_stream *s, struct slice bytes)
{
    PRE(s->state >= STREAM_OPEN && !s->is_closed);
    if (s->state == STREAM_PLAIN) {
        return inner_net(s)->write(s->inner, bytes);
    }
    bool has_room = true;
    for (size_t at = 0; at < bytes.size && s->state == STREAM_OPEN;) {
        size_t piece = bytes.size - at < GATHER_BYTES ? bytes.size - at : GATHER_BYTES;
        if (!stream_encrypt(s, slice_make(bytes.data + at, piece), &has_room)) {
            s->state = STREAM_BROKEN;
            stream_wait(s);
        }
        at += piece;
    }
    if (s->net->gather.capacity > PLAIN_BYTES) {
        buf_close(&s->net->gather);
    }
    return has_room;
}

/* ---- ciphertext in ----------------------------------------------------------------------- */

static void stream_opened(struct env_stream *s)
{
    s->state = STREAM_OPEN;
    metric_add(s->net->done, 1);
    if (s->net->seconds != NULL) {
        histogram_observe_us(s->net->seconds, s->spent_us);
    }
    if (s->is_dialled) {
        s->events->open(s->owner);
    }
}

/* As much plaintext as there is, or fits. */
static enum tls_result stream_decrypt(struct env_stream *s, struct slice *cipher,
                                      size_t *filled)
{
    enum tls_result result;
    size_t got;
    *filled = 0;
    s->is_reading = true;
    do {
        result = tls_session_read(s->session, cipher, s->net->plain + *filled,
                                  PLAIN_BYTES - *filled, &got);
        *filled += got;
    } while (result == TLS_DATA && *filled < PLAIN_BYTES);
    s->is_reading = false;
    return result;
}

/* One round of decrypting and handing on. False: no more for now, or at all. */
static bool stream_step(struct env_stream *s, struct slice *cipher)
{
    struct tls_net *t = s->net;
    bool is_handshake = s->state == STREAM_SHAKING;
    uint64_t begin_us = is_handshake ? t->inner->now_us(t->inner) : 0;
    size_t filled;
    enum tls_result result = stream_decrypt(s, cipher, &filled);
    if (is_handshake) {
        uint64_t spent_us = t->inner->now_us(t->inner) - begin_us;
        s->spent_us += spent_us;
        t->spent_us += spent_us;
        if (tls_session_peer(s->session) != NULL) {
            stream_opened(s);
        }
    }
    if (filled > 0 && !s->is_closed) {
        s->events->data(s->owner, slice_make(t->plain, filled));
    }
    s->has_more = result == TLS_DATA;
    if (!s->is_closed && result == TLS_FAILED) {
        stream_refuse(s, tls_session_error(s->session));
    } else if (!s->is_closed && result == TLS_ENDED) {
        stream_end(s, RC_CLOSED);
    }
    return result == TLS_DATA && !s->is_closed && s->state != STREAM_BROKEN;
}

/* Reads on until all is used up or the owner has enough; keeps the rest. */
static void stream_take(struct env_stream *s, struct slice cipher)
{
    bool goes_on = true;
    s->is_busy = true;
    while (goes_on && !s->is_paused) {
        goes_on = stream_step(s, &cipher);
    }
    if (!s->is_closed && cipher.size > 0) {
        buf_append_slice(&s->held, cipher);
        s->has_more = true;
    }
    s->is_busy = false;
    if (s->is_closed) {
        stream_free(s);
    } else {
        stream_read_or_not(s);
    }
}

/* Later, when it is its turn. */
static void stream_hold(struct env_stream *s, struct slice cipher)
{
    buf_append_slice(&s->held, cipher);
    s->has_more = true;
    stream_read_or_not(s);
    if (!s->is_paused) {
        stream_wait(s);
    }
}

static bool may_shake(const struct tls_net *t)
{
    return t->spent_us < TLS_NET_TURN_US;
}

/* The first bytes of an accepted stream. False: it is gone. */
static bool stream_begin(struct env_stream *s, struct slice bytes)
{
    struct tls_net *t = s->net;
    if (bytes.data[0] == HANDSHAKE_BYTE) {
        s->session = tls_session_new(t->options.context, TLS_SERVER, NULL, stream_send, s);
        s->state = s->session != NULL ? STREAM_SHAKING : STREAM_NEW;
    } else if (t->options.takes_plain) {
        s->state = STREAM_PLAIN;
    }
    if (s->state != STREAM_NEW) {
        return true;
    }
    s->is_busy = true;
    stream_refuse(s,
                  bytes.data[0] == HANDSHAKE_BYTE ? "out of memory" : "it does not speak TLS");
    stream_free(s);
    return false;
}

static void inner_data(void *context, struct slice bytes)
{
    struct env_stream *s = context;
    if (s->state == STREAM_NEW && !stream_begin(s, bytes)) {
        return;
    }
    if (s->state == STREAM_PLAIN) {
        s->events->data(s->owner, bytes);
    } else if (s->has_more || s->is_paused ||
               (s->state == STREAM_SHAKING && !may_shake(s->net))) {
        stream_hold(s, bytes);
    } else if (s->state != STREAM_BROKEN) {
        stream_take(s, bytes);
    }
}

static void inner_open(void *context)
{
    struct env_stream *s = context;
    struct tls_net *t = s->net;
    s->session = tls_session_new(t->options.context, TLS_CLIENT, NULL, stream_send, s);
    s->state = STREAM_SHAKING;
    if (s->session == NULL || tls_session_start(s->session) == TLS_FAILED) {
        s->is_busy = true;
        stream_refuse(s, s->session == NULL ? "out of memory" : tls_session_error(s->session));
        stream_free(s);
    }
}

static void inner_drain(void *context)
{
    struct env_stream *s = context;
    if (s->state >= STREAM_OPEN && s->state != STREAM_BROKEN && s->events->drain != NULL) {
        s->events->drain(s->owner);
    }
}

static void inner_closed(void *context, enum status rc)
{
    struct env_stream *s = context;
    const struct env_stream_events *events = s->events;
    void *owner = s->owner;
    s->is_busy = true;
    stream_drop(s);
    events->closed(owner, rc);
    stream_free(s);
}

static const struct env_stream_events inner_events = {
    .open = inner_open,
    .data = inner_data,
    .drain = inner_drain,
    .closed = inner_closed,
};

/* ---- turns ------------------------------------------------------------------------------- */

static void stream_go_on(struct env_stream *s)
{
    if (s->state == STREAM_BROKEN) {
        s->is_busy = true;
        stream_end(s, RC_IO);
        stream_free(s);
    } else if (s->state == STREAM_SHAKING && !may_shake(s->net)) {
        stream_wait(s);
    } else if (!s->is_paused) {
        struct buf held = s->held;
        s->held = (struct buf){0};
        s->has_more = false;
        stream_take(s, buf_slice(&held));
        buf_close(&held);
    }
}

void tls_net_turn(struct tls_net *t)
{
    t->spent_us = 0;
    for (size_t n = t->waiting_count; n > 0 && t->waiting_count > 0; n--) {
        struct env_stream *s = LIST_OF(list_pop_front(&t->waiting), struct env_stream, waiting);
        t->waiting_count--;
        stream_go_on(s);
    }
}

uint64_t tls_net_next_deadline_ms(const struct tls_net *t)
{
    return t->waiting_count > 0 ? 0 : UINT64_MAX;
}

/* ---- the table --------------------------------------------------------------------------- */

static void listener_accept(void *context, struct env_stream *inner)
{
    struct env_listener *l = context;
    struct env_stream *s = stream_new(l->net, STREAM_NEW);
    s->inner = inner;
    l->accept(l->owner, s);
}

static enum status tls_net_listen(struct env *env, const char *host, uint16_t port,
                                  env_accept_fn accept, void *owner, struct env_listener **out,
                                  struct errmsg *err)
{
    struct tls_net *t = net_of(env);
    struct env_listener *l = mem_zalloc(sizeof *l);
    l->net = t;
    l->accept = accept;
    l->owner = owner;
    enum status rc =
        t->inner->net->listen(t->inner, host, port, listener_accept, l, &l->inner, err);
    if (rc != RC_OK) {
        mem_free(l);
        return rc;
    }
    *out = l;
    return RC_OK;
}

static uint16_t tls_net_listener_port(struct env_listener *l)
{
    return l->net->inner->net->listener_port(l->inner);
}

static void tls_net_listener_close(struct env_listener *l)
{
    l->net->inner->net->listener_close(l->inner);
    mem_free(l);
}

static struct env_stream *tls_net_connect(struct env *env, const char *host, uint16_t port,
                                          const struct env_stream_events *events, void *owner)
{
    struct tls_net *t = net_of(env);
    struct env_stream *s = stream_new(t, STREAM_CONNECTING);
    s->events = events;
    s->owner = owner;
    s->is_dialled = true;
    s->inner = t->inner->net->connect(t->inner, host, port, &inner_events, s);
    return s;
}

static void tls_net_attach(struct env_stream *s, const struct env_stream_events *events,
                           void *owner)
{
    PRE(s->events == NULL);
    s->events = events;
    s->owner = owner;
    inner_net(s)->attach(s->inner, &inner_events, s);
}

static size_t tls_net_queued(const struct env_stream *s)
{
    return inner_net(s)->queued(s->inner);
}

static void tls_net_read_pause(struct env_stream *s, bool paused)
{
    s->is_paused = paused;
    if (!paused && s->has_more && !s->is_busy) {
        stream_wait(s);
    }
    if (!s->is_busy) {
        stream_read_or_not(s);
    }
}

static void tls_net_close(struct env_stream *s, bool flush)
{
    PRE(!s->is_closed);
    if (flush && s->state == STREAM_OPEN) {
        tls_session_end(s->session);
    }
    inner_net(s)->close(s->inner, flush);
    stream_drop(s);
}

static void tls_net_peer_name(const struct env_stream *s, char *text, size_t bytes)
{
    inner_net(s)->peer_name(s->inner, text, bytes);
}

static const struct tls_peer *tls_net_tls(const struct env_stream *s)
{
    return s->session != NULL ? tls_session_peer(s->session) : NULL;
}

static const struct env_net tls_net_table = {
    .listen = tls_net_listen,
    .listener_port = tls_net_listener_port,
    .listener_close = tls_net_listener_close,
    .connect = tls_net_connect,
    .attach = tls_net_attach,
    .write = tls_net_write,
    .queued = tls_net_queued,
    .read_pause = tls_net_read_pause,
    .close = tls_net_close,
    .peer_name = tls_net_peer_name,
    .tls = tls_net_tls,
};

static uint64_t tls_net_now_ms(struct env *env)
{
    return net_of(env)->inner->now_ms(net_of(env)->inner);
}

static uint64_t tls_net_now_us(struct env *env)
{
    return net_of(env)->inner->now_us(net_of(env)->inner);
}

static uint64_t tls_net_wall_ms(struct env *env)
{
    return net_of(env)->inner->wall_ms(net_of(env)->inner);
}

static void tls_net_random(struct env *env, void *to, size_t bytes)
{
    net_of(env)->inner->random(net_of(env)->inner, to, bytes);
}

static struct env_queue *tls_net_queue_open(struct env *env, const char *name)
{
    return net_of(env)->inner->queue_open(net_of(env)->inner, name);
}

/* ---- the env ----------------------------------------------------------------------------- */

static void register_metrics(struct tls_net *t)
{
    struct metrics *m = t->options.metrics;
    if (m == NULL) {
        return;
    }
    static const char *const help = "TLS handshakes, by port and how they ended.";
    char labels[64];
    (void)snprintf(labels, sizeof labels, "use=\"%s\",result=\"done\"", t->options.use);
    t->done = metrics_counter(m, "coord_tls_handshakes_total", labels, help);
    (void)snprintf(labels, sizeof labels, "use=\"%s\",result=\"failed\"", t->options.use);
    t->failed = metrics_counter(m, "coord_tls_handshakes_total", labels, help);
    (void)snprintf(labels, sizeof labels, "use=\"%s\"", t->options.use);
    t->seconds = metrics_histogram(m, "coord_tls_handshake_seconds", labels,
                                   "Time of the loop spent on a TLS handshake.");
}

struct tls_net *tls_net_new(const struct tls_net_options *options)
{
    struct tls_net *t = mem_zalloc(sizeof *t);
    t->options = *options;
    t->inner = options->env;
    t->table = tls_net_table;
    t->env = (struct env){.net = &t->table,
                          .now_ms = tls_net_now_ms,
                          .now_us = tls_net_now_us,
                          .wall_ms = tls_net_wall_ms,
                          .random = tls_net_random,
                          .queue_open = tls_net_queue_open,
                          .queue_yield = t->inner->queue_yield,
                          .give_way = t->inner->give_way,
                          .queue_submit = t->inner->queue_submit,
                          .queue_close = t->inner->queue_close};
    t->plain = mem_alloc(PLAIN_BYTES);
    list_init(&t->waiting);
    register_metrics(t);
    return t;
}

void tls_net_free(struct tls_net *t)
{
    if (t != NULL) {
        buf_close(&t->gather);
        mem_free(t->plain);
        mem_free(t);
    }
}

struct env *tls_net_env(struct tls_net *t)
{
    return &t->env;
}
