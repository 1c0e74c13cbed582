/* coord.v1.Discovery/Subscribe: the instances of a service as of one revision, then their changes.
 *
 *   BARRIER --(as fresh as asked for)--> listed, or resumed --> RUNNING --(compacted)--> listed
 *
 * A list is made and framed in one go, so that it is of one revision, in `drained`: one after
 * another, as there is room for them. The watch (watch/watch.h) begins behind it. While the client
 * does not read, the watch waits at its cursor. New vitals, for who asked for them, go out every so
 * often between whole revisions. */
#include "base/mem.h"
#include "net/checks/vitals.h"
#include "net/grpc/answer.h"
#include "net/grpc/discovery.h"
#include "net/grpc/watch.h"
#include "net/grpc/wire.h"
#include "store/access.h"
#include "store/store.h"

/* A list that would be larger is refused: it is framed at once. */
#define LIST_INSTANCES_MAX ((size_t)50000)
#define LIST_BYTES_MAX     ((size_t)16 << 20)
#define PIECE_BYTES_MAX    ((size_t)1 << 20)

/* Field numbers of the reply, which is written piece by piece. */
enum { SUBSCRIBE_REPLY_MORE = 4, SUBSCRIBE_REPLY_UPDATES = 5 };

struct subscription {
    struct grpc_call *call;
    struct watch watch;
    struct discovery_filter filter;
    uint64_t from_revision; /* until it begins */
    uint64_t progress_ms;
    uint64_t sent_ms;
    uint64_t report_ms;      /* 0: no reports */
    uint64_t reported_ms;
    uint64_t reported;       /* all changes of vitals up to here */
    bool is_waiting; /* for room: the watch is to be resumed */
    bool must_list;  /* as soon as there is room */
    char path[INSTANCE_PATH_BYTES_MAX];
};

static struct subscription *subscription_of(struct watch *w)
{
    return (struct subscription *)(void *)((char *)w - offsetof(struct subscription, watch));
}

static const struct store *store_of(const struct subscription *s)
{
    return node_store(grpc_call_node(s->call));
}

static struct watch_hub *hub_of(const struct subscription *s)
{
    return node_watches(grpc_call_node(s->call));
}

void subscribe_ended(struct grpc_call *call)
{
    struct subscription *s = call->data;
    if (s != NULL) {
        watch_stop(hub_of(s), &s->watch);
        buf_close(&s->filter.words);
        mem_free(s);
        call->data = NULL;
    }
}

/* ---- messages ----------------------------------------------------------------------------- */

static struct buf *piece_begin(struct subscription *s, uint64_t revision, bool full,
                               size_t *begin)
{
    const struct store *store = store_of(s);
    Coord__V1__ReplyHeader header =
        answer_header(s->call, store_revision(store), store_applied_index(store));
    Coord__V1__DiscoverySubscribeReply reply;
    coord__v1__discovery_subscribe_reply__init(&reply);
    reply.header = &header;
    reply.revision = revision;
    reply.full = full;
    struct buf *out = grpc_call_begin_with(s->call, &reply.base, begin);
    return out;
}

static void piece_end(struct subscription *s, struct buf *out, size_t begin, bool more)
{
    struct env *env = s->call->connection->env->env;
    if (more) {
        wire_append_number(out, SUBSCRIBE_REPLY_MORE, 1);
    }
    grpc_call_end(s->call, begin);
    s->sent_ms = env->now_ms(env);
}

/* False: it is none that the client asked for. */
static bool put_append(struct subscription *s, struct buf *out, struct slice path,
                       struct slice data, const struct node_stat *stat)
{
    struct service_instance in;
    Coord__V1__ServiceInstance instance;
    if (!discovery_fill(s->call, path, data, stat, &instance, &in) ||
        !discovery_filter_passes(&s->filter, &in)) {
        return false;
    }
    Coord__V1__ServiceUpdate update;
    coord__v1__service_update__init(&update);
    update.update_case = COORD__V1__SERVICE_UPDATE__UPDATE_PUT;
    update.put = &instance;
    wire_append_message(out, SUBSCRIBE_REPLY_UPDATES, &update.base);
    return true;
}

static void removed_append(struct subscription *s, struct buf *out, struct slice path)
{
    struct slice service;
    struct slice id;
    if (!instance_path_split(path, &service, &id)) {
        return;
    }
    Coord__V1__ServiceUpdate update;
    coord__v1__service_update__init(&update);
    update.update_case = COORD__V1__SERVICE_UPDATE__UPDATE_REMOVED;
    update.removed = answer_copy(s->call, id);
    wire_append_message(out, SUBSCRIBE_REPLY_UPDATES, &update.base);
}

/* ---- the full list ------------------------------------------------------------------------ */

/* What a list is framed from: pages of the same revision. */
struct listing {
    struct subscription *s;
    struct buf *out;
    size_t begin;
    size_t looked_at;
    size_t instances;
    size_t bytes; /* of the pieces before */
};

static void list_page(struct listing *l, const struct query_result *page)
{
    l->looked_at += page->entry_count;
    for (uint32_t i = 0; i < page->entry_count; i++) {
        const struct query_entry *e = &page->entries[i];
        if (l->out->size - l->begin > PIECE_BYTES_MAX) {
            l->bytes += l->out->size - l->begin;
            piece_end(l->s, l->out, l->begin, true);
            l->out = piece_begin(l->s, page->revision, false, &l->begin);
        }
        l->instances += !e->unreadable && put_append(l->s, l->out, e->path, e->data, &e->stat);
    }
    arena_clear(&l->s->call->connection->shared->scratch); /* no handler returns here */
}

/* Whether it is too much. */
static bool list_is_large(const struct listing *l)
{
    return l->instances > LIST_INSTANCES_MAX ||
           l->bytes + l->out->size - l->begin > LIST_BYTES_MAX;
}

/* OUTCOME_OK, and all has been framed. */
static enum outcome list_frame(struct subscription *s)
{
    struct arena arena = {0};
    struct query_result page;
    struct query query = {
        .type = QUERY_LIST,
        .space = SPACE_NODES,
        .path = slice_str(s->path),
        .with_data = true,
        .with_stat = true,
        .identities = grpc_call_identities(s->call),
    };
    struct listing l = {.s = s};
    l.out = piece_begin(s, store_revision(store_of(s)), true, &l.begin);
    do {
        store_query(store_of(s), &query, &page, &arena);
        if (page.outcome == OUTCOME_OK) {
            list_page(&l, &page);
        }
        query.after = page.outcome == OUTCOME_OK && page.entry_count > 0
                          ? page.entries[page.entry_count - 1].path
                          : slice_make(NULL, 0);
    } while (page.outcome == OUTCOME_OK && page.more && !list_is_large(&l));
    arena_close(&arena);
    grpc_call_scanned(s->call, l.looked_at);
    piece_end(s, l.out, l.begin, false);
    if (page.outcome != OUTCOME_OK && page.outcome != OUTCOME_NO_NODE) {
        return page.outcome;
    }
    return list_is_large(&l) ? OUTCOME_LIMIT : OUTCOME_OK;
}

/* ---- changes ------------------------------------------------------------------------------ */

static const struct watch_ops subscription_ops;

static enum outcome watch_begin(struct subscription *s, uint64_t from_revision)
{
    const struct watch_filter filter = {
        .scope = WATCH_CHILDREN,
        .space = SPACE_NODES,
        .path = slice_str(s->path),
    };
    return watch_start(hub_of(s), &s->watch, &filter, &subscription_ops, from_revision);
}

/* The subscription may be gone when this returns. */
static void list_and_go_on(struct subscription *s)
{
    s->must_list = false;
    uint64_t revision = store_revision(store_of(s));
    if (s->report_ms > 0) {
        s->reported = vitals_change(s->call->connection->env->vitals);
    }
    enum outcome outcome = list_frame(s);
    if (outcome == OUTCOME_OK) {
        outcome = watch_begin(s, revision + 1);
    }
    if (outcome != OUTCOME_OK) {
        answer_refuse(s->call, slice_str(s->path), outcome, revision);
    }
}

static void list_soon(struct subscription *s)
{
    s->must_list = true;
    grpc_call_await_room(s->call);
}

static void change_append(struct subscription *s, struct buf *out, const struct change *c)
{
    bool is_gone = c->type == CHANGE_DELETE;
    if (is_gone || !put_append(s, out, c->path, value_slice(c->data), &c->stat)) {
        removed_append(s, out, c->path);
    }
}

static size_t piece_send(struct subscription *s, const struct change *const *changes,
                         size_t count, bool more)
{
    size_t begin;
    size_t sent = 0;
    struct buf *out = piece_begin(s, changes[0]->revision, false, &begin);
    while (sent < count && (sent == 0 || out->size - begin < PIECE_BYTES_MAX)) {
        change_append(s, out, changes[sent++]);
    }
    piece_end(s, out, begin, more || sent < count);
    arena_clear(&s->call->connection->shared->scratch);
    return sent;
}

static size_t on_deliver(struct watch *w, const struct change *const *changes, size_t count,
                         bool continued, bool more)
{
    struct subscription *s = subscription_of(w);
    size_t taken = 0;
    (void)continued;
    while (taken < count && !grpc_call_is_full(s->call)) {
        taken += piece_send(s, changes + taken, count - taken, more);
    }
    s->is_waiting = taken < count;
    return taken;
}

static void on_compacted(struct watch *w, uint64_t floor)
{
    struct subscription *s = subscription_of(w);
    (void)floor;
    s->is_waiting = false;
    list_soon(s);
}

static bool on_may_see(struct watch *w, const struct change *change)
{
    const struct subscription *s = subscription_of(w);
    return store_may_see(store_of(s), change, grpc_call_identities(s->call));
}

static const struct watch_ops subscription_ops = {
    .deliver = on_deliver, .compacted = on_compacted, .may_see = on_may_see};

void subscribe_drained(struct grpc_call *call)
{
    struct subscription *s = call->data;
    if (s == NULL) {
        return;
    }
    if (s->must_list && grpc_call_may_scan(call)) {
        list_and_go_on(s);
    } else if (s->is_waiting) {
        s->is_waiting = false;
        watch_resume(hub_of(s), &s->watch);
    }
}

/* ---- signs of life ------------------------------------------------------------------------ */

static void wake_later(struct subscription *s)
{
    struct env *env = s->call->connection->env->env;
    uint64_t now_ms = env->now_ms(env);
    uint64_t next_ms = s->sent_ms + s->progress_ms;
    if (s->report_ms > 0 && s->reported_ms + s->report_ms < next_ms) {
        next_ms = s->reported_ms + s->report_ms;
    }
    next_ms = next_ms > now_ms ? next_ms : now_ms + GRPC_PROGRESS_MS_MIN;
    uint64_t check_ms = now_ms + GRPC_SERVING_CHECK_MS;
    grpc_call_wake_at(s->call, next_ms < check_ms ? next_ms : check_ms);
}

/* All up to there is known. */
static void sign_send(struct subscription *s, uint64_t revision)
{
    size_t begin;
    struct buf *out = piece_begin(s, revision, false, &begin);
    piece_end(s, out, begin, false);
}

/* ---- reports ------------------------------------------------------------------------------ */

/* What reports are framed into; begun with the first. */
struct reporting {
    struct subscription *s;
    struct buf *out;
    size_t begin;
    bool is_full;
};

static bool is_asked_for(struct subscription *s, struct slice path, uint64_t *revision)
{
    struct arena *scratch = &s->call->connection->shared->scratch;
    struct query_result result;
    struct service_instance in;
    const struct query query = {.type = QUERY_GET,
                                .space = SPACE_NODES,
                                .path = path,
                                .identities = grpc_call_identities(s->call)};
    store_query(store_of(s), &query, &result, scratch);
    *revision = result.stat.create_revision;
    return result.outcome == OUTCOME_OK && instance_decode(result.data, &in, scratch) &&
           discovery_filter_passes(&s->filter, &in);
}

static void report_append(struct reporting *r, struct slice path, uint64_t revision)
{
    Coord__V1__ServiceReport report;
    Coord__V1__ServiceUpdate update;
    struct slice service;
    struct slice id;
    coord__v1__service_report__init(&report);
    report.vitals = discovery_vitals(r->s->call, path, revision);
    if (report.vitals == NULL || !instance_path_split(path, &service, &id)) {
        return;
    }
    report.id = answer_copy(r->s->call, id);
    report.revision = revision;
    coord__v1__service_update__init(&update);
    update.update_case = COORD__V1__SERVICE_UPDATE__UPDATE_REPORT;
    update.report = &report;
    if (r->out == NULL) {
        uint64_t known = watch_delivered(hub_of(r->s), &r->s->watch);
        r->out = piece_begin(r->s, known, false, &r->begin);
    }
    wire_append_message(r->out, SUBSCRIBE_REPLY_UPDATES, &update.base);
}

static bool report_one(void *context, struct slice path, uint64_t change)
{
    struct reporting *r = context;
    uint64_t revision;
    if (is_asked_for(r->s, path, &revision)) {
        report_append(r, path, revision);
    }
    r->s->reported = change;
    r->is_full = r->out != NULL && r->out->size - r->begin >= PIECE_BYTES_MAX;
    return !r->is_full;
}

static void report(struct subscription *s, uint64_t now_ms)
{
    const struct vitals *vitals = s->call->connection->env->vitals;
    struct reporting r = {.s = s};
    vitals_changed(vitals, slice_str(s->path), s->reported, report_one, &r);
    if (r.out != NULL) {
        piece_end(s, r.out, r.begin, false);
    }
    if (!r.is_full) { /* else the rest comes soon */
        s->reported = vitals_change(vitals);
        s->reported_ms = now_ms;
    }
    arena_clear(&s->call->connection->shared->scratch);
}

void subscribe_woken(struct grpc_call *call)
{
    struct subscription *s = call->data;
    if (s == NULL) {
        return;
    }
    if (!grpc_node_takes_reads(grpc_call_node(call))) {
        grpc_call_fail_status(call, RC_STOPPED, false);
        return;
    }
    struct env *env = call->connection->env->env;
    uint64_t now_ms = env->now_ms(env);
    bool is_current = s->watch.state != WATCH_STOPPED && !s->is_waiting && !s->must_list &&
                      !grpc_call_is_full(call);
    if (is_current && s->report_ms > 0 && now_ms >= s->reported_ms + s->report_ms) {
        report(s, now_ms);
    }
    if (is_current && now_ms >= s->sent_ms + s->progress_ms) {
        sign_send(s, watch_delivered(hub_of(s), &s->watch));
    }
    wake_later(s);
}

/* ---- the call ----------------------------------------------------------------------------- */

static bool may_subscribe(const struct subscription *s)
{
    struct access access;
    access_begin(&access, store_of(s), grpc_call_identities(s->call));
    return access_path(&access, ACL_READ, SPACE_NODES, slice_str(s->path));
}

/* This member has all there is, and that is less: what the client knows is of another cluster, one
 * that had its place. */
static bool is_impossible(const struct subscription *s)
{
    return s->call->read.consistency == READ_LINEARIZABLE &&
           s->from_revision > store_revision(store_of(s)) + 1;
}

static void subscribe_ready(struct grpc_call *call, const struct query_result *result)
{
    struct subscription *s = call->data;
    struct env *env = call->connection->env->env;
    (void)result; /* a barrier has none */
    s->sent_ms = env->now_ms(env);
    s->reported_ms = s->sent_ms;
    if (!may_subscribe(s)) {
        answer_refuse(call, slice_str(s->path), OUTCOME_NO_AUTH, store_revision(store_of(s)));
        return;
    }
    wake_later(s);
    if (s->from_revision == 0 || is_impossible(s) ||
        watch_begin(s, s->from_revision) != OUTCOME_OK) {
        list_soon(s);
    } else {
        sign_send(s, s->from_revision - 1);
    }
}

void subscribe_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__DiscoverySubscribeRequest *request =
        (const Coord__V1__DiscoverySubscribeRequest *)message;
    struct discovery_filter filter;
    if (!answer_read_prepare(call, request->header) ||
        !discovery_take_service(call, request->service)) {
        return;
    }
    if (request->progress_ms != 0 && request->progress_ms < GRPC_PROGRESS_MS_MIN) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "progress_ms: %u, at least %u",
                       request->progress_ms, GRPC_PROGRESS_MS_MIN);
        return;
    }
    if (request->report_ms != 0 && request->report_ms < GRPC_PROGRESS_MS_MIN) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "report_ms: %u, at least %u",
                       request->report_ms, GRPC_PROGRESS_MS_MIN);
        return;
    }
    if (!discovery_filter_take(call, request->filter, &filter)) {
        return;
    }
    struct subscription *s = mem_zalloc(sizeof *s);
    s->call = call;
    s->filter = filter;
    s->from_revision = request->from_revision;
    s->progress_ms = request->progress_ms != 0 ? request->progress_ms : GRPC_PROGRESS_MS;
    s->report_ms = call->connection->env->vitals != NULL ? request->report_ms : 0;
    memcpy(s->path, call->path.data, call->path.size);
    call->data = s;
    call->read.is_barrier = true;
    call->read.query.path = buf_slice(&call->path);
    grpc_call_read(call, subscribe_ready);
}
