#include "tests/sim/zk_client.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/sim/holder_internal.h"

#define TICK_US          (40 * MS)
#define CLIENT_PORT      7400
#define CUT_BYTES_MAX    1500
#define LOSS_PER_MILLE   450 /* of connections */
#define GUESS_PER_MILLE  50
#define SILENT_PER_MILLE 8 /* of looks at what to do */

static const uint64_t timeouts_ms[] = {1, 500, 700, 1000, 60000};

void zk_fail(const struct zk_client *k, const char *format, ...)
{
    char text[320];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    world_fail(zk_world(k), "zookeeper client %u, connection %" PRIu64 " to n%u: %s", k->number,
               k->connection, k->node + 1, text);
}

/* ---- the end of a connection ------------------------------------------------------------- */

/* What was under way may have been executed, or not. */
static void forget(struct zk_client *k)
{
    for (size_t i = 0; i < k->pending_count; i++) {
        if (k->pending[i].write != ZK_NONE) {
            k->all->writes[k->pending[i].write].fate = ZK_LOST;
        }
    }
    k->pending_count = 0;
    k->stream = NULL;
    k->stage = ZK_DOWN;
    k->is_open = k->is_guess = false;
    buf_clear(&k->out);
    buf_clear(&k->in);
    zk_watch_forget(k);
    if (k->session != ZK_NONE) {
        zk_session(k)->is_calm = false;
    }
}

static void hang_up(struct zk_client *k, bool flush)
{
    if (k->stream != NULL) {
        k->station->process->env.net->close(k->stream, flush);
        forget(k);
    }
}

void zk_drop(struct zk_client *k)
{
    hang_up(k, false);
}

/* The process of the station has died. */
static void station_died(void *context)
{
    zk_drop(context);
}

/* ---- bytes out --------------------------------------------------------------------------- */

static void write_out(struct zk_client *k)
{
    if (!k->is_open || k->out.size == 0) {
        return;
    }
    bool is_cut = k->out.size >= k->cut_out;
    size_t size = is_cut ? k->cut_out : k->out.size;
    k->sent_bytes += size;
    (void)k->station->process->env.net->write(k->stream, slice_make(k->out.data, size));
    if (is_cut) {
        world_trace(zk_world(k), "zookeeper client %u hangs up after byte %zu", k->number,
                    k->sent_bytes);
        k->all->cuts++;
        hang_up(k, true);
        return;
    }
    k->cut_out -= k->cut_out == SIZE_MAX ? 0 : size;
    buf_clear(&k->out);
}

static void put_text(struct buf *out, const char *text)
{
    jute_put_buffer(out, slice_str(text));
}

static void put_open_acl(struct buf *out)
{
    const struct zk_acl open = {ZK_PERM_ALL, slice_str("world"), slice_str("anyone")};
    zk_put_acl(out, &open, 1);
}

static void put_op(struct buf *out, const struct zk_op *op)
{
    char text[32];
    put_text(out, op->path);
    if (zk_op_is_create(op)) {
        jute_put_buffer(out, slice_make(text, zk_op_data(op, text)));
        put_open_acl(out);
        jute_put_int(out, op->flags);
        if (op->type == ZK_CREATE_TTL) {
            jute_put_long(out, 400);
        }
        return;
    }
    switch (op->type) {
    case ZK_SET_DATA:
        jute_put_buffer(out, slice_make(text, zk_op_data(op, text)));
        jute_put_int(out, op->version);
        break;
    case ZK_DELETE:
    case ZK_CHECK: jute_put_int(out, op->version); break;
    case ZK_ADD_WATCH:
    case ZK_REMOVE_WATCHES: jute_put_int(out, op->flags); break;
    case ZK_EXISTS:
    case ZK_GET_DATA:
    case ZK_GET_CHILDREN:
    case ZK_GET_CHILDREN2: jute_put_bool(out, op->watch); break;
    default: break;
    }
}

static void put_list(struct buf *out, const struct zk_client *k, uint8_t kind, bool is_missing)
{
    size_t at = out->size;
    int32_t count = 0;
    jute_put_int(out, 0);
    for (size_t i = 0; i < k->armed_count; i++) {
        const struct zk_armed *w = &k->armed[i];
        if ((w->wanted & kind) != 0 && (kind != ZK_DATA || w->is_missing == is_missing)) {
            put_text(out, w->path);
            count++;
        }
    }
    jute_put_int_at(out, at, count);
}

static void put_set_watches(struct buf *out, const struct zk_client *k,
                            const struct zk_asked *a)
{
    jute_put_long(out, (int64_t)a->relative);
    put_list(out, k, ZK_DATA, false);
    put_list(out, k, ZK_DATA, true);
    put_list(out, k, ZK_CHILDREN, false);
    if (a->type == ZK_SET_WATCHES2) {
        put_list(out, k, ZK_PERSISTENT, false);
        put_list(out, k, ZK_RECURSIVE, false);
    }
}

static void put_request(struct buf *out, const struct zk_client *k, const struct zk_asked *a)
{
    size_t at = out->size;
    jute_put_int(out, 0);
    jute_put_int(out, a->xid);
    jute_put_int(out, a->type);
    if (a->type == ZK_SET_WATCHES || a->type == ZK_SET_WATCHES2) {
        put_set_watches(out, k, a);
    } else if (a->type == ZK_MULTI) {
        for (size_t i = 0; i < a->op_count; i++) {
            jute_put_int(out, a->ops[i].type);
            jute_put_bool(out, false);
            jute_put_int(out, -1);
            put_op(out, &a->ops[i]);
        }
        zk_put_multi_end(out);
    } else if (a->op_count > 0) {
        put_op(out, &a->ops[0]);
    }
    jute_put_int_at(out, at, (int32_t)(out->size - at - 4));
}

static size_t record_write(struct zk_client *k, const struct zk_asked *a)
{
    struct zk_clients *all = k->all;
    if ((all->write_count & (all->write_count - 1)) == 0) {
        size_t room = all->write_count == 0 ? 1 : 2 * all->write_count;
        all->writes = mem_resize(all->writes, room * sizeof *all->writes);
    }
    struct zk_write_record *w = &all->writes[all->write_count];
    *w = (struct zk_write_record){.session = zk_session(k) == NULL ? 0 : zk_session(k)->id,
                                  .connection = k->connection,
                                  .is_greeted = k->stage == ZK_UP,
                                  .op_count = a->op_count};
    memcpy(w->ops, a->ops, a->op_count * sizeof a->ops[0]);
    return all->write_count++;
}

bool zk_ask(struct zk_client *k, const struct zk_asked *request)
{
    if (k->stage == ZK_DOWN || k->pending_count == ZK_PENDING_MAX) {
        return false;
    }
    struct zk_asked *a = &k->pending[k->pending_count++];
    *a = *request;
    a->xid = a->type == ZK_PING ? ZK_XID_PING : k->xid++;
    a->told = k->all->journal->high_revision;
    a->sent_us = zk_world(k)->now_us;
    a->proof = proof_now(k->all->cluster, k->station);
    a->write = ZK_NONE;
    for (size_t i = 0; i < a->op_count; i++) {
        if (zk_op_changes(&a->ops[i])) {
            a->write = record_write(k, a);
            break;
        }
    }
    k->sent_us = station_now_us(k->station);
    put_request(&k->out, k, a);
    if (k->stage == ZK_UP || k->is_open) {
        write_out(k);
    }
    return true;
}

/* ---- greeting ---------------------------------------------------------------------------- */

static void put_greeting(struct zk_client *k, uint64_t id, const uint8_t *password,
                         uint64_t timeout_ms, uint64_t zxid)
{
    bool is_short = world_chance(zk_world(k), 300);
    size_t at = k->out.size;
    jute_put_int(&k->out, 0);
    jute_put_int(&k->out, 0);
    jute_put_long(&k->out, (int64_t)zxid);
    jute_put_int(&k->out, (int32_t)timeout_ms);
    jute_put_long(&k->out, (int64_t)id);
    jute_put_buffer(&k->out, slice_make(password, ZK_PASSWORD_BYTES));
    if (!is_short) {
        jute_put_bool(&k->out, false);
    }
    jute_put_int_at(&k->out, at, (int32_t)(k->out.size - at - 4));
}

static void open_cb(void *owner)
{
    struct zk_client *k = owner;
    k->is_open = true;
    write_out(k);
}

static void data_cb(void *owner, struct slice bytes);

static void closed_cb(void *owner, enum status rc)
{
    struct zk_client *k = owner;
    (void)rc;
    world_trace(zk_world(k), "zookeeper client %u: its connection has ended", k->number);
    forget(k);
}

static const struct env_stream_events stream_events = {
    .open = open_cb,
    .data = data_cb,
    .closed = closed_cb,
};

static void dial(struct zk_client *k, uint32_t node)
{
    char host[16];
    struct sim_env *process = k->station->process;
    zk_drop(k);
    (void)snprintf(host, sizeof host, "n%u", node + 1);
    k->node = node;
    k->connection = ++k->all->connections;
    k->stage = ZK_GREETING;
    k->cut_in = k->cut_out = SIZE_MAX;
    k->sent_bytes = k->heard_bytes = 0;
    k->zxid = k->reply_zxid = k->cursor = 0;
    k->xid = world_chance(zk_world(k), 300) ? 0 : 1;
    k->heard_us = k->sent_us = station_now_us(k->station);
    k->greeting = (struct zk_asked){.proof = proof_now(k->all->cluster, k->station)};
    k->stream = process->env.net->connect(&process->env, host, CLIENT_PORT, &stream_events, k);
}

void zk_connect(struct zk_client *k, uint32_t node)
{
    static const uint8_t zeros[ZK_PASSWORD_BYTES];
    const struct zk_session *s = zk_session(k);
    struct cluster *c = k->all->cluster;
    size_t which =
        (size_t)world_random(zk_world(k), 0, sizeof timeouts_ms / sizeof timeouts_ms[0] - 1);
    if (k->all->is_told) {
        which = sizeof timeouts_ms / sizeof timeouts_ms[0] - 1;
    }
    dial(k, node);
    k->zxid = s == NULL ? 0 : s->zxid;
    put_greeting(k, s == NULL ? 0 : s->id, s == NULL ? zeros : s->password, timeouts_ms[which],
                 k->zxid);
    world_trace(zk_world(k), "zookeeper client %u: connection %" PRIu64 " to n%u, %s",
                k->number, k->connection, node + 1, s == NULL ? "new" : "resumes");
    if (s != NULL && c->moment != NULL) {
        c->moment(c->context, MOMENT_RESUME, node);
    }
}

void zk_guess(struct zk_client *k, uint32_t node, const struct zk_client *other)
{
    uint8_t wrong[ZK_PASSWORD_BYTES];
    const struct zk_session *s = zk_session(other);
    dial(k, node);
    memcpy(wrong, s->password, sizeof wrong);
    wrong[world_random(zk_world(k), 0, sizeof wrong - 1)] ^= 1;
    k->is_guess = true;
    put_greeting(k, s->id, wrong, 1000, 0);
}

static void session_new(struct zk_client *k, uint64_t id, struct slice password)
{
    struct zk_clients *all = k->all;
    const struct oracle_lease *lease = oracle_lease(all->oracle, id);
    for (size_t i = 0; i < all->session_count; i++) {
        if (all->sessions[i].id == id) {
            zk_fail(k, "session %" PRIx64 " is given to two clients", id);
        }
    }
    if (lease == NULL) {
        zk_fail(k, "session %" PRIx64 " is not in the log", id);
    }
    if ((all->session_count & (all->session_count - 1)) == 0) {
        size_t room = all->session_count == 0 ? 1 : 2 * all->session_count;
        all->sessions = mem_resize(all->sessions, room * sizeof *all->sessions);
    }
    k->session = all->session_count++;
    *zk_session(k) = (struct zk_session){.id = id};
    memcpy(zk_session(k)->password, password.data, ZK_PASSWORD_BYTES);
}

/* Its client is told that it has ended, or that it is not his. */
static void refused(struct zk_client *k)
{
    const struct zk_session *s = zk_session(k);
    if (k->is_guess) {
        k->all->refused++;
        zk_drop(k);
        return;
    }
    const struct oracle_lease *lease = s == NULL ? NULL : oracle_lease(k->all->oracle, s->id);
    if (s == NULL) {
        zk_fail(k, "a new session is refused");
    } else if (lease == NULL || lease->gone_index == 0) {
        zk_fail(k, "session %" PRIx64 " is said to have ended, but is there", s->id);
    }
    k->session = ZK_NONE;
    k->armed_count = 0;
    k->all->expired++;
    zk_drop(k);
}

static void greeted(struct zk_client *k, struct slice packet)
{
    struct jute_in in = jute_in_make(packet);
    (void)jute_int(&in);
    int32_t timeout_ms = jute_int(&in);
    uint64_t id = (uint64_t)jute_long(&in);
    struct slice password = jute_buffer(&in).bytes;
    if (in.failed || password.size != ZK_PASSWORD_BYTES || in.rest.size > 1) {
        zk_fail(k, "a connect reply that is none");
        return;
    }
    if (timeout_ms <= 0) {
        refused(k);
        return;
    }
    struct zk_session *s = zk_session(k);
    if (k->is_guess) {
        zk_fail(k, "a wrong password resumes a session");
        return;
    }
    if (s != NULL && (s->id != id || memcmp(s->password, password.data, 16) != 0)) {
        zk_fail(k, "who resumes session %" PRIx64 " is given session %" PRIx64, s->id, id);
        return;
    }
    k->all->resumed += s != NULL;
    if (s == NULL) {
        session_new(k, id, password);
        s = zk_session(k);
    }
    s->timeout_ms = (uint64_t)timeout_ms;
    s->proof = k->greeting.proof;
    s->proof.trusted_until_us += holder_trust_us(s->timeout_ms);
    k->stage = ZK_UP;
    for (size_t i = 0; i < k->pending_count; i++) { /* sent behind the connect request */
        if (k->pending[i].write != ZK_NONE) {
            k->all->writes[k->pending[i].write].is_greeted = true;
            k->all->writes[k->pending[i].write].session = id;
        }
    }
    world_trace(zk_world(k), "zookeeper client %u has session %" PRIx64 " of %d ms", k->number,
                id, timeout_ms);
}

/* ---- bytes in ---------------------------------------------------------------------------- */

static void took_event(struct zk_client *k, int64_t zxid, struct jute_in in)
{
    struct zk_event e = {.zxid = zxid, .type = jute_int(&in)};
    int32_t state = jute_int(&in);
    struct slice path = jute_buffer(&in).bytes;
    if (in.failed || state != 3 || path.size >= sizeof e.path) {
        zk_fail(k, "an event that is none");
        return;
    }
    memcpy(e.path, path.data, path.size);
    k->all->events++;
    zk_watch_event(k, &e);
}

static void took_packet(struct zk_client *k, struct slice packet)
{
    struct jute_in in = jute_in_make(packet);
    int32_t xid = jute_int(&in);
    int64_t zxid = jute_long(&in);
    int32_t error = jute_int(&in);
    if (in.failed || (error != 0 && in.rest.size > 0)) {
        zk_fail(k, "a packet that is none");
        return;
    }
    if (zxid > (int64_t)k->all->oracle->revision) {
        zk_fail(k, "zxid %" PRId64 " is of the future", zxid);
        return;
    }
    zk_tree_follow(&k->all->tree);
    if (zxid >= 0 && (uint64_t)zxid < k->zxid) {
        zk_fail(k, "zxid %" PRId64 " comes behind %" PRIu64, zxid, k->zxid);
        return;
    }
    if (xid == ZK_XID_EVENT) {
        took_event(k, zxid, in);
    } else if (k->pending_count == 0 || k->pending[0].xid != xid) {
        zk_fail(k, "a reply to request %d, not %d", xid,
                k->pending_count == 0 ? 0 : k->pending[0].xid);
        return;
    } else {
        zk_judge_reply(k, zxid, error, in);
    }
    if (zxid > 0) {
        struct journal *j = k->all->journal;
        k->zxid = (uint64_t)zxid;
        j->high_revision = k->zxid > j->high_revision ? k->zxid : j->high_revision;
        if (k->session != ZK_NONE) {
            zk_session(k)->zxid = k->zxid;
        }
    }
}

static void take_packets(struct zk_client *k)
{
    while (k->stream != NULL && !zk_world(k)->failed && k->in.size >= 4) {
        struct jute_in in = jute_in_make(buf_slice(&k->in));
        int32_t size = jute_int(&in);
        if (size < 0 || in.rest.size < (size_t)size) {
            break;
        }
        /* It may hang up in there: the packet is taken out first. */
        uint8_t *copy = mem_dup(in.rest.data, (size_t)size);
        buf_consume(&k->in, 4 + (size_t)size);
        if (k->stage == ZK_GREETING) {
            greeted(k, slice_make(copy, (size_t)size));
        } else {
            took_packet(k, slice_make(copy, (size_t)size));
        }
        mem_free(copy);
    }
}

static void data_cb(void *owner, struct slice bytes)
{
    struct zk_client *k = owner;
    bool is_cut = bytes.size >= k->cut_in;
    size_t size = is_cut ? k->cut_in : bytes.size;
    k->cut_in -= k->cut_in == SIZE_MAX ? 0 : size;
    k->heard_bytes += size;
    k->heard_us = station_now_us(k->station);
    buf_append(&k->in, bytes.data, size);
    take_packets(k);
    if (is_cut && k->stream != NULL) {
        world_trace(zk_world(k), "zookeeper client %u is cut off after hearing byte %zu",
                    k->number, k->heard_bytes);
        k->all->cuts++;
        zk_drop(k);
    }
}

/* ---- what to do next --------------------------------------------------------------------- */

static struct zk_client *somebody_else(struct zk_client *k)
{
    struct zk_client *other = &k->all->items[world_random(zk_world(k), 0, k->all->count - 1)];
    return other != k && other->session != ZK_NONE ? other : NULL;
}

static void tick_down(struct zk_client *k)
{
    struct world *w = zk_world(k);
    bool is_wild = !k->all->is_calm;
    struct zk_client *other =
        is_wild && world_chance(w, GUESS_PER_MILLE) ? somebody_else(k) : NULL;
    if (k->all->is_ending || station_now_us(k->station) < k->silent_until_us) {
        return;
    }
    if (other != NULL) {
        zk_guess(k, station_pick(k->station), other);
        return;
    }
    zk_connect(k, station_pick(k->station));
    if (is_wild && world_chance(w, LOSS_PER_MILLE)) {
        size_t after = (size_t)world_random(w, 1, CUT_BYTES_MAX);
        *(world_chance(w, 500) ? &k->cut_in : &k->cut_out) = after;
    }
    zk_work_begin(k);
}

static void tick_up(struct zk_client *k)
{
    struct world *w = zk_world(k);
    uint64_t now = station_now_us(k->station);
    uint64_t timeout_us = zk_session(k)->timeout_ms * MS;
    if (now - k->heard_us >= timeout_us * 2 / 3) {
        zk_drop(k); /* elsewhere */
        return;
    }
    if (!k->all->is_calm && world_chance(w, SILENT_PER_MILLE)) {
        k->silent_until_us = now + timeout_us * world_random(w, 1, 8) / 4;
        zk_drop(k);
        return;
    }
    if (k->all->is_calm && !zk_session(k)->is_calm && k->pending_count == 0) {
        (void)zk_ask_simple(k, ZK_SYNC, "/z", false);
    } else if (!k->all->is_calm && world_chance(w, 450)) {
        zk_work(k);
    }
    if (k->stage == ZK_UP && now - k->sent_us >= timeout_us / 3 - 2 * TICK_US) {
        (void)zk_ask(k, &(struct zk_asked){.type = ZK_PING});
    }
}

static void tick_ending(struct zk_client *k)
{
    struct zk_session *s = zk_session(k);
    if (k->stage == ZK_UP && !s->is_close_sent && world_chance(zk_world(k), 500)) {
        s->is_close_sent = true;
        (void)zk_ask(k, &(struct zk_asked){.type = ZK_CLOSE_SESSION});
    } else if (!(k->stage == ZK_UP && s->is_close_sent) ||
               station_now_us(k->station) - k->heard_us > SECOND) {
        zk_drop(k);
    }
}

static void tick(void *context)
{
    struct zk_client *k = context;
    uint64_t pause = sim_host_pause_left(&k->station->host);
    world_at(zk_world(k), &k->tick,
             pause > 0 ? pause : world_random(zk_world(k), TICK_US / 2, TICK_US * 3 / 2), tick,
             k);
    if (pause > 0) {
        return;
    }
    if (k->all->is_ending) {
        tick_ending(k);
    } else if (k->stage == ZK_DOWN) {
        tick_down(k);
    } else if (k->stage == ZK_UP) {
        tick_up(k);
    } else if (station_now_us(k->station) - k->sent_us > 400 * MS) {
        zk_drop(k);
    }
}

/* ---- all of them ------------------------------------------------------------------------- */

void zk_clients_init(struct zk_clients *all, struct cluster *c, struct oracle *o,
                     struct journal *h)
{
    *all = (struct zk_clients){.cluster = c, .oracle = o, .journal = h};
    zk_tree_init(&all->tree, o);
    oracle_listen(o, zk_session_gone, all);
}

struct zk_client *zk_clients_add(struct zk_clients *all, struct station *s)
{
    struct zk_client *k = &all->items[all->count];
    *k = (struct zk_client){
        .all = all, .number = all->count++, .station = s, .session = ZK_NONE};
    s->died = station_died;
    s->died_context = k;
    return k;
}

void zk_clients_start(struct zk_clients *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        struct zk_client *k = &all->items[i];
        world_at(zk_world(k), &k->tick, world_random(zk_world(k), 1, TICK_US), tick, k);
    }
}

void zk_clients_calm(struct zk_clients *all)
{
    all->is_calm = true;
    for (uint32_t i = 0; i < all->count; i++) {
        all->items[i].cut_in = all->items[i].cut_out = SIZE_MAX;
        all->items[i].silent_until_us = 0;
    }
}

bool zk_clients_are_settled(const struct zk_clients *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        const struct zk_client *k = &all->items[i];
        if (k->stage != ZK_UP || !zk_session(k)->is_calm) {
            return false;
        }
    }
    return true;
}

void zk_clients_end(struct zk_clients *all)
{
    all->is_ending = true;
    for (size_t i = 0; i < all->session_count; i++) {
        all->sessions[i].is_calm = false;
    }
}

bool zk_clients_are_idle(const struct zk_clients *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        if (all->items[i].stage != ZK_DOWN) {
            return false;
        }
    }
    return true;
}

void zk_clients_close(struct zk_clients *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        struct zk_client *k = &all->items[i];
        zk_drop(k);
        k->station->died = NULL;
        world_cancel(zk_world(k), &k->tick);
        buf_close(&k->out);
        buf_close(&k->in);
        mem_free(k->due);
        mem_free(k->missed);
    }
    zk_tree_close(&all->tree);
    mem_free(all->sessions);
    mem_free(all->writes);
}
