#include "net/zookeeper/front.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/mem.h"
#include "lease/table.h"
#include "net/memory.h"
#include "net/zookeeper/connection.h"

/* Memory of this size is kept for the next output. */
#define SPARE_BYTES_MAX ((size_t)256 << 10)

/* ---- the output --------------------------------------------------------------------------- */

void zk_note_replies(struct zk_connection *c)
{
    memory_note(c->env->memory, MEMORY_REPLIES, c->out.size + zk_watches_bytes(c));
}

void zk_out_begin(struct zk_connection *c)
{
    if (c->out.capacity == 0) {
        c->out = c->shared->spare;
        c->shared->spare = (struct buf){0};
    }
}

void zk_out_end(struct zk_connection *c)
{
    c->sent++;
    c->shared->sent++;
    zk_note_replies(c);
    metric_add(c->shared->packets_out, 1);
}

size_t zk_answer_begin(struct zk_connection *c, int32_t xid, enum zk_error error)
{
    int64_t zxid = zk_zxid(c);
    c->zxid_sent = zxid > c->zxid_sent ? zxid : c->zxid_sent;
    c->answered = error;
    zk_out_begin(c);
    return zk_reply_begin(&c->out, xid, zxid, error);
}

static void note_large(struct zk_connection *c, size_t bytes)
{
    metric_add(c->shared->large_replies, 1);
    if (log_is_due(&c->shared->large_reply_ms, zk_now_ms(c))) {
        log_warn(c->env->log, "zookeeper.large_reply",
                 "peer=%s type=%s bytes=%zu reason=\"clients refuse more than 1 MiB unless "
                 "jute.maxbuffer is raised\"",
                 c->env->peer, zk_type_name(c->last_type), bytes);
    }
}

void zk_answer_end(struct zk_connection *c, size_t begin)
{
    zk_reply_end(&c->out, begin);
    zk_out_end(c);
    if (c->out.size - begin > ZK_REPLY_BYTES_WARN) {
        note_large(c, c->out.size - begin);
    }
}

void zk_answer(struct zk_connection *c, int32_t xid, enum zk_error error)
{
    zk_answer_end(c, zk_answer_begin(c, xid, error));
}

static void write_out(struct zk_connection *c)
{
    if (c->out.size > 0) {
        c->shared->bytes_sent += c->out.size;
        c->is_full = !c->env->sink.write(c->env->sink.conn, buf_slice(&c->out));
    }
    buf_clear(&c->out);
    zk_note_replies(c);
    if (c->shared->spare.capacity == 0 && c->out.capacity <= SPARE_BYTES_MAX) {
        c->shared->spare = c->out;
        c->out = (struct buf){0};
    }
    buf_close(&c->out);
}

/* ---- times -------------------------------------------------------------------------------- */

void zk_share_begin(struct zk_connection *c)
{
    c->share_us = c->env->env->now_us(c->env->env) + ZK_SHARE_US;
}

bool zk_share_is_used(const struct zk_connection *c)
{
    return c->env->env->now_us(c->env->env) >= c->share_us;
}

static void latency_add(struct zk_latency *l, uint64_t ms)
{
    l->min_ms = l->count == 0 || ms < l->min_ms ? ms : l->min_ms;
    l->max_ms = ms > l->max_ms ? ms : l->max_ms;
    l->sum_ms += ms;
    l->count++;
}

void zk_latency_note(struct zk_connection *c, bool is_write, uint64_t ms)
{
    c->last_latency_ms = ms;
    latency_add(&c->latency, ms);
    latency_add(&c->shared->latency, ms);
    latency_add(is_write ? &c->shared->write_latency : &c->shared->read_latency, ms);
}

/* ---- the end ------------------------------------------------------------------------------ */

void zk_finish(struct zk_connection *c, const char *why)
{
    if (c->stage == ZK_STAGE_CLOSING) {
        return;
    }
    log_debug(c->env->log, "zookeeper.closing", "peer=%s session=%016" PRIx64 " reason=\"%s\"",
              c->env->peer, c->session, why);
    c->stage = ZK_STAGE_CLOSING;
    if (c->session != 0 && id_map_get(&c->shared->by_session, c->session) == c) {
        (void)id_map_remove(&c->shared->by_session, c->session);
    }
    zk_greeting_cancel(c);
    zk_queue_cancel(c);
    zk_watches_close(c);
    allowance_release(&c->hold);
    if (c->is_full) { /* there will be no turn until the client reads, if it ever does */
        c->env->sink.close(c->env->sink.conn, false);
    } else {
        c->env->sink.wake(c->env->sink.conn);
    }
}

/* Throttled by not reading, never by errors. What comes behind a connect request waits for the
 * session. */
static void pause_if_full(struct zk_connection *c)
{
    size_t tasks_max = c->env->limits->requests_max < ZK_TASKS_MAX
                           ? c->env->limits->requests_max
                           : ZK_TASKS_MAX;
    bool full = c->task_count >= tasks_max || c->task_bytes > ZK_TASKS_BYTES_MAX ||
                c->out.size > ZK_OUT_BYTES_MAX || c->stage == ZK_STAGE_OPENING ||
                c->proving != NULL || c->is_refused || c->throttled_ms != 0 ||
                c->is_stopping || c->is_spent;
    if (full != c->is_paused) {
        c->is_paused = full;
        c->env->sink.pause(c->env->sink.conn, full);
    }
}

/* ---- shared ------------------------------------------------------------------------------- */

static void register_metrics(struct zk_shared *s, struct metrics *m)
{
    s->packets_in = metrics_counter(m, "coord_zookeeper_packets_received_total", NULL,
                                    "Packets from ZooKeeper clients.");
    s->packets_out = metrics_counter(m, "coord_zookeeper_packets_sent_total", NULL,
                                     "Packets to ZooKeeper clients, events included.");
    s->events = metrics_counter(m, "coord_zookeeper_events_total", NULL,
                                "Watch events to ZooKeeper clients.");
    s->opened = metrics_counter(m, "coord_zookeeper_sessions_total", NULL,
                                "Sessions opened or resumed by ZooKeeper clients.");
    s->refused =
        metrics_counter(m, "coord_zookeeper_sessions_refused_total", NULL,
                        "Resumes of sessions that had ended, or with a wrong password.");
    s->large_replies = metrics_counter(
        m, "coord_zookeeper_large_replies_total", NULL,
        "Replies above 1 MiB, which ZooKeeper clients refuse unless told not to.");
    s->write_seconds = metrics_histogram(m, "coord_zookeeper_write_seconds", NULL,
                                         "Time from a write's arrival to its reply.");
}

static void *zk_shared_new(const struct front_env *env)
{
    struct zk_shared *shared = mem_zalloc(sizeof *shared);
    shared->settings = env->settings != NULL ? env->settings : &zk_settings_default;
    shared->opened_ms = env->env->now_ms(env->env);
    shared->rejected = env->rejected;
    list_init(&shared->pool);
    list_init(&shared->connections);
    if (env->metrics != NULL) {
        register_metrics(shared, env->metrics);
    }
    return shared;
}

static void zk_shared_free(void *state)
{
    struct zk_shared *shared = state;
    zk_pool_free(&shared->pool);
    id_map_close(&shared->by_session);
    arena_close(&shared->scratch);
    arena_close(&shared->pages);
    buf_close(&shared->spare);
    mem_free(shared);
}

/* ---- input -------------------------------------------------------------------------------- */

static enum status zk_open(void *state, const struct front_env *env)
{
    struct zk_connection *c = state;
    c->env = env;
    c->shared = env->shared;
    c->opened_ms = zk_now_ms(c);
    c->opened_wall_ms = env->env->wall_ms(env->env);
    list_init(&c->tasks);
    list_push_back(&c->shared->connections, &c->link);
    c->shared->connection_count++;
    return RC_OK;
}

static void take_packet(struct zk_connection *c, struct slice packet)
{
    c->received++;
    c->shared->received++;
    c->shared->bytes_received += packet.size + 4;
    metric_add(c->shared->packets_in, 1);
    if (c->stage == ZK_STAGE_NEW) {
        zk_greeting(c, packet);
    } else {
        zk_request(c, packet);
    }
}

/* Whether the packet has to wait for a token of its user. A ping takes none. */
static bool is_throttled(struct zk_connection *c, struct slice packet)
{
    static const uint8_t ping[] = {0xff, 0xff, 0xff, 0xfe}; /* its number */
    bool is_ping = packet.size >= sizeof ping && memcmp(packet.data, ping, sizeof ping) == 0;
    uint64_t wait_ms = c->stage != ZK_STAGE_SERVING || is_ping ? 0 : zk_user_wait_ms(c);
    if (wait_ms == 0) {
        return false;
    }
    if (!c->is_throttled) {
        c->is_throttled = true; /* once for each time that it has to wait */
        allowance_count_refusal(c->env->allowances, ALLOWANCE_REQUESTS);
    }
    c->throttled_ms = zk_now_ms(c) + wait_ms;
    return true;
}

static ptrdiff_t zk_feed(void *state, struct slice bytes)
{
    struct zk_connection *c = state;
    size_t taken = 0;
    c->heard_ms = zk_now_ms(c);
    zk_share_begin(c);
    if (c->stage == ZK_STAGE_NEW && c->received == 0 && bytes.data[0] != 0) {
        return (ptrdiff_t)zk_word(c, bytes);
    }
    while (c->stage != ZK_STAGE_CLOSING && !c->is_paused) {
        struct slice packet;
        size_t size;
        enum status rc =
            zk_frame(slice_make(bytes.data + taken, bytes.size - taken), &packet, &size);
        if (rc != RC_OK) {
            c->shared->large_requests++;
            zk_finish(c, "a packet longer than the limit");
            break;
        }
        if (size == 0) {
            break;
        }
        if (is_throttled(c, packet)) {
            pause_if_full(c);
            break;
        }
        c->is_throttled = false;
        taken += size;
        take_packet(c, packet);
        c->is_spent = taken < bytes.size && zk_share_is_used(c);
        pause_if_full(c);
    }
    return (ptrdiff_t)(c->stage == ZK_STAGE_CLOSING ? bytes.size : taken);
}

/* ---- turns -------------------------------------------------------------------------------- */

/* The server makes a turn for every connection when users have changed. Clients send who they are
 * when they connect, and not again because they are refused something. One whose session is being
 * opened is looked at once it is. */
static void check_user(struct zk_connection *c)
{
    uint64_t version = store_auth(zk_store(c))->version;
    if (c->stage != ZK_STAGE_SERVING || c->auth_version == version || c->proving != NULL) {
        return;
    }
    c->auth_version = version;
    if (!zk_user_is_same(c)) {
        zk_finish(c, "the user was disabled, or has another password");
    } else if (zk_user_is_unproved(c)) {
        zk_finish(c, "who the client says to be is a user now, and has to be proved");
    }
}

static void zk_turn(void *state)
{
    struct zk_connection *c = state;
    c->is_full = false;
    c->is_spent = false;
    c->is_cut = false;
    check_user(c);
    if (c->stage == ZK_STAGE_SERVING) {
        zk_watches_flush(c);
        zk_share_begin(c);
        zk_queue_turn(c);
    }
    if (c->is_stopping && c->stage != ZK_STAGE_CLOSING && list_empty(&c->tasks) &&
        !c->opening_open) {
        zk_finish(c, "the server stops");
    }
    write_out(c);
    if (c->stage == ZK_STAGE_CLOSING) {
        c->env->sink.close(c->env->sink.conn, true);
        return;
    }
    if (c->is_cut && !c->is_full) {
        c->env->sink.wake(c->env->sink.conn);
    }
    pause_if_full(c);
}

/* A session that this node knows to be over, or that another connection has taken, ends here. Only
 * an applied entry says so. */
static void check_session(struct zk_connection *c)
{
    const struct lease *lease = store_lease(zk_store(c), c->session);
    if (lease == NULL) {
        zk_finish(c, "the session has ended");
    } else if (lease->generation != c->generation) {
        zk_finish(c, "the session was taken over");
    } else if (!zk_user_is_same(c)) {
        zk_finish(c, "the user was disabled, or has another password");
    }
}

/* Without a leader for a third of the timeout, or up to half of it so that not all leave at the
 * same moment, the client shall look for another node while it has time to. */
static void check_serving(struct zk_connection *c, uint64_t now_ms)
{
    uint64_t patience_ms = c->stage == ZK_STAGE_OPENING
                               ? ZK_OPENING_UNSERVED_MS
                               : c->timeout_ms / 3 + c->session % (c->timeout_ms / 6 + 1);
    if (node_is_serving(zk_node(c))) {
        c->unserved_ms = 0;
    } else if (c->unserved_ms == 0) {
        c->unserved_ms = now_ms;
    } else if (now_ms - c->unserved_ms >= patience_ms) {
        zk_finish(c, "no leader is known");
    }
}

static void zk_tick(void *state, uint64_t now_ms)
{
    struct zk_connection *c = state;
    if (c->stage == ZK_STAGE_NEW && now_ms - c->opened_ms >= ZK_HANDSHAKE_MS) {
        zk_finish(c, "no connect request came");
    }
    if (c->stage == ZK_STAGE_OPENING && now_ms - c->checked_ms >= ZK_CHECK_MS) {
        c->checked_ms = now_ms;
        check_serving(c, now_ms);
    }
    if (c->stage == ZK_STAGE_SERVING && now_ms - c->checked_ms >= ZK_CHECK_MS) {
        c->checked_ms = now_ms;
        check_serving(c, now_ms);
        check_session(c);
        (void)memory_admits(c->env->memory); /* while it does not read, no turn asks */
    }
    if (c->stage == ZK_STAGE_SERVING && c->watches_lost) {
        zk_finish(c, "events were lost, or are not read");
    }
    if (c->stage == ZK_STAGE_SERVING && now_ms - c->heard_ms >= c->timeout_ms) {
        zk_finish(c, "nothing was heard for the session's timeout");
    }
    if (c->throttled_ms != 0 && now_ms >= c->throttled_ms) {
        c->throttled_ms = 0;
        c->env->sink.wake(c->env->sink.conn);
    }
    if (c->retry_ms != 0 && now_ms >= c->retry_ms) {
        c->env->sink.wake(c->env->sink.conn);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t zk_next_deadline_ms(const void *state)
{
    const struct zk_connection *c = state;
    if (c->stage == ZK_STAGE_NEW) {
        return c->opened_ms + ZK_HANDSHAKE_MS;
    }
    if (c->stage == ZK_STAGE_OPENING) {
        return c->checked_ms + ZK_CHECK_MS;
    }
    if (c->stage != ZK_STAGE_SERVING) {
        return UINT64_MAX;
    }
    uint64_t next = earlier(c->heard_ms + c->timeout_ms, c->checked_ms + ZK_CHECK_MS);
    next = c->throttled_ms != 0 ? earlier(next, c->throttled_ms) : next;
    return c->retry_ms != 0 ? earlier(next, c->retry_ms) : next;
}

/* What is in flight is finished, nothing more is read. */
static void zk_stop(void *state)
{
    struct zk_connection *c = state;
    c->is_stopping = true;
    c->env->sink.wake(c->env->sink.conn);
}

static void zk_drop(void *state)
{
    struct zk_connection *c = state;
    buf_close(&c->out);
    zk_watches_drop(c);
}

static void zk_close(void *state)
{
    struct zk_connection *c = state;
    zk_finish(c, "the client has gone");
    list_remove(&c->link);
    c->shared->connection_count--;
    buf_close(&c->out);
    buf_close(&c->identities);
}

const struct front zookeeper_front = {
    .name = "zookeeper",
    .state_size = sizeof(struct zk_connection),
    .rest_bytes_max = ZK_PACKET_BYTES_MAX + 4 + ZK_REST_BYTES,
    .shared_new = zk_shared_new,
    .shared_free = zk_shared_free,
    .open = zk_open,
    .feed = zk_feed,
    .turn = zk_turn,
    .tick = zk_tick,
    .next_deadline_ms = zk_next_deadline_ms,
    .stop = zk_stop,
    .drop = zk_drop,
    .close = zk_close,
};
