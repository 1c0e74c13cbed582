/* A client of coord.v1.Watch for tests, over tests/support/grpc_peer.h and fake_node.h: requests in
 * a line each, replies one after another. Included by one file of a program. */
#ifndef TESTS_SUPPORT_WATCH_CLIENT_H
#define TESTS_SUPPORT_WATCH_CLIENT_H

#include "coord/v1/watch.pb-c.h"
#include "net/grpc/watch.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_node.h"
#include "tests/support/grpc_peer.h"

static struct node *node;
static struct peer *peer;

static inline void world_open(void)
{
    node = fake_node_new();
    peer = peer_new(node);
    node->now_ms = peer->env.now_ms;
    peer_run(peer);
}

static inline void world_close(void)
{
    peer_free(peer); /* asserts that no watch and no listing is left */
    fake_node_free(node);
}

/* Until nothing happens any more. */
static inline void run(void)
{
    do {
        peer_run(peer);
    } while (hub_has_work(node->watches) || (peer->is_awake && !peer->is_closing));
}

static inline void advance(uint64_t ms)
{
    node->now_ms += ms;
    peer_advance(peer, ms);
    run();
}

static inline char *text(const char *borrowed)
{
    union {
        const char *from;
        char *to;
    } cast = {.from = borrowed};
    return cast.to;
}

/* ---- the store, changed as if by others -------------------------------------------------- */

static inline uint64_t apply(const struct command *c)
{
    struct reply reply;
    struct apply_context context = {.index = ++node->index,
                                    .cluster_ms = node->cluster_ms,
                                    .wall_ms = 12345,
                                    .last_of_entry = true};
    store_apply(node->store, &context, c, &reply);
    ck_assert_int_eq(reply.outcome, OUTCOME_OK);
    hub_dispatch(node->watches);
    return reply.revision;
}

static inline struct op op_make(enum op_type type, const char *path, struct slice value)
{
    return (struct op){.type = (uint8_t)type,
                       .space = SPACE_NODES,
                       .path = slice_str(path),
                       .data = value,
                       .version = VERSION_ANY};
}

static inline uint64_t apply_op(enum op_type type, const char *path, struct slice value)
{
    struct op op = op_make(type, path, value);
    struct command c = {.type = COMMAND_TXN,
                        .note = slice_str("because"),
                        .txn = {.then_ops = &op, .then_count = 1}};
    return apply(&c);
}

static inline uint64_t create(const char *path, const char *value)
{
    return apply_op(OP_CREATE, path, slice_str(value));
}

static inline uint64_t set(const char *path, const char *value)
{
    return apply_op(OP_SET, path, slice_str(value));
}

static inline uint64_t del(const char *path)
{
    return apply_op(OP_DELETE, path, slice_make(NULL, 0));
}

/* Sets a node to `bytes` bytes of one letter. */
static inline uint64_t set_large(const char *path, char letter, size_t bytes)
{
    uint8_t *value = mem_alloc(bytes);
    memset(value, letter, bytes);
    uint64_t revision = apply_op(OP_SET, path, slice_make(value, bytes));
    mem_free(value);
    return revision;
}

/* Makes the log forget everything up to now. */
static inline void compact(void)
{
    create("/forgotten", "");
    for (uint64_t i = 0; i < HISTORY_REVISIONS_MIN + 1; i++) {
        if (i == 1) {
            node->cluster_ms += HISTORY_AGE_MS_MAX + 1;
        }
        set("/forgotten", "x");
    }
    del("/forgotten");
}

/* ---- streams ----------------------------------------------------------------------------- */

struct stream {
    struct peer_call *call;
    size_t at; /* in call->data: the next reply */
    Coord__V1__WatchReply *reply;
};

static inline struct stream stream_open(void)
{
    return (struct stream){.call = peer_call_open(peer, "/coord.v1.Watch/Watch", NULL)};
}

static inline void stream_close(struct stream *s)
{
    if (s->reply != NULL) {
        coord__v1__watch_reply__free_unpacked(s->reply, NULL);
    }
    peer_call_free(s->call);
}

static inline void ask_create(struct stream *s, Coord__V1__WatchCreate *create_request)
{
    Coord__V1__WatchRequest request;
    coord__v1__watch_request__init(&request);
    request.request_case = COORD__V1__WATCH_REQUEST__REQUEST_CREATE;
    request.create = create_request;
    peer_call_send(s->call, &request.base);
}

static inline void ask_cancel(struct stream *s, uint64_t id)
{
    Coord__V1__WatchRequest request;
    Coord__V1__WatchCancel cancel;
    coord__v1__watch_request__init(&request);
    coord__v1__watch_cancel__init(&cancel);
    cancel.watch_id = id;
    request.request_case = COORD__V1__WATCH_REQUEST__REQUEST_CANCEL;
    request.cancel = &cancel;
    peer_call_send(s->call, &request.base);
}

static inline void ask_progress(struct stream *s)
{
    Coord__V1__WatchRequest request;
    Coord__V1__WatchProgress progress;
    coord__v1__watch_request__init(&request);
    coord__v1__watch_progress__init(&progress);
    request.request_case = COORD__V1__WATCH_REQUEST__REQUEST_PROGRESS;
    request.progress = &progress;
    peer_call_send(s->call, &request.base);
}

static inline Coord__V1__WatchCreate subtree(uint64_t id, const char *path)
{
    Coord__V1__WatchCreate request;
    coord__v1__watch_create__init(&request);
    request.watch_id = id;
    request.path = text(path);
    request.scope = COORD__V1__WATCH_CREATE__SCOPE__SUBTREE;
    return request;
}

static inline void watch_subtree(struct stream *s, uint64_t id, const char *path)
{
    Coord__V1__WatchCreate request = subtree(id, path);
    ask_create(s, &request);
}

/* The next reply, or NULL if none has come; valid until the next call. */
static inline const Coord__V1__WatchReply *next(struct stream *s)
{
    struct slice message;
    struct slice rest = slice_make(s->call->data.data + s->at, s->call->data.size - s->at);
    if (s->call->data.size == s->at ||
        grpc_frame_peek(rest, SIZE_MAX, &message) != GRPC_FRAME_WHOLE) {
        return NULL;
    }
    if (s->reply != NULL) {
        coord__v1__watch_reply__free_unpacked(s->reply, NULL);
    }
    s->at += GRPC_PREFIX_BYTES + message.size;
    s->reply = coord__v1__watch_reply__unpack(NULL, message.size, message.data);
    ck_assert_ptr_nonnull(s->reply);
    ck_assert_uint_eq(s->reply->header->cluster_id, 77);
    return s->reply;
}

#define TYPE(name) COORD__V1__WATCH_REPLY__TYPE__##name

/* The next reply, which must be about `id` and of this type. */
static inline const Coord__V1__WatchReply *expect(struct stream *s, uint64_t id,
                                                  Coord__V1__WatchReply__Type type)
{
    const Coord__V1__WatchReply *reply = next(s);
    ck_assert_msg(reply != NULL, "no reply, expected type %d", (int)type);
    ck_assert_msg(reply->type == type && reply->watch_id == id,
                  "type %d of watch %u (%s), expected type %d of watch %u", (int)reply->type,
                  (unsigned)reply->watch_id, reply->text, (int)type, (unsigned)id);
    return reply;
}

static inline void expect_nothing(struct stream *s)
{
    const Coord__V1__WatchReply *reply = next(s);
    ck_assert_msg(reply == NULL, "type %d of watch %u", (int)reply->type,
                  (unsigned)reply->watch_id);
}

/* One event with this path and revision, whole. */
static inline const Coord__V1__Event *expect_event(struct stream *s, uint64_t id,
                                                   const char *path, uint64_t revision)
{
    const Coord__V1__WatchReply *reply = expect(s, id, TYPE(EVENTS));
    ck_assert_uint_eq(reply->n_events, 1);
    ck_assert(!reply->more);
    ck_assert_uint_eq(reply->revision, revision);
    ck_assert_uint_eq(reply->events[0]->revision, revision);
    ck_assert_str_eq(reply->events[0]->path, path);
    return reply->events[0];
}

static inline void expect_canceled(struct stream *s, uint64_t id, Coord__V1__Outcome outcome,
                                   const char *what)
{
    const Coord__V1__WatchReply *reply = expect(s, id, TYPE(CANCELED));
    ck_assert_int_eq(reply->outcome, outcome);
    ck_assert_msg(strstr(reply->text, what) != NULL, "%s", reply->text);
}

/* A stream with one watch of everything, created. */
static inline struct stream stream_on_all(uint64_t id)
{
    struct stream s = stream_open();
    watch_subtree(&s, id, "/");
    run();
    expect(&s, id, TYPE(CREATED));
    return s;
}

#endif
