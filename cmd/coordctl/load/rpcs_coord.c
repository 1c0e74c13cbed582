/* coord's calls: tree.proto, session.proto, watch.proto, lock.proto, election.proto.
 * Numbers of fields as there. */
#include <stdio.h>
#include <string.h>

#include "cmd/coordctl/load/grpc.h"
#include "cmd/coordctl/load/proto_field.h"
#include "net/grpc/frame.h"

/* RequestHeader of a read. Nothing is said where the default is meant. */
static void put_consistency(const struct load_slot *s, struct buf *out)
{
    const struct load_options *options = s->connection->engine->options;
    uint8_t room[32];
    struct buf header = {.data = room, .capacity = sizeof room};
    if (options->consistency == COORD_LINEARIZABLE) {
        return;
    }
    proto_put_number(&header, 1, (uint64_t)options->consistency);
    if (options->consistency == COORD_SESSION) {
        proto_put_number(&header, 2, s->connection->applied_index);
    } else if (options->consistency == COORD_BOUNDED) {
        proto_put_number(&header, 3, options->bound_ms);
    }
    proto_put_bytes(out, 1, buf_slice(&header));
}

/* WatchCreate messages, each framed; local: the point is not the barrier. */
static void put_watches(const struct load_slot *s, struct buf *out)
{
    for (size_t i = 0; i < s->watches; i++) {
        uint8_t room[256];
        struct buf create = {.data = room, .capacity = sizeof room};
        proto_put_bytes(&create, 1, slice_make("\x08\x03", 2));
        proto_put_number(&create, 2, i + 1);
        proto_put_bytes(&create, 3, s->path);
        size_t begin = grpc_frame_begin(out);
        proto_put_bytes(out, 1, buf_slice(&create));
        (void)grpc_frame_end(out, begin);
    }
}

/* RequestHeader in the name of the slot's session. */
static void put_session(const struct load_slot *s, struct buf *out)
{
    uint8_t room[16];
    uint8_t header_room[32];
    struct buf session = {.data = room, .capacity = sizeof room};
    struct buf header = {.data = header_room, .capacity = sizeof header_room};
    proto_put_number(&session, 1, s->session);
    proto_put_bytes(&header, 6, buf_slice(&session));
    proto_put_bytes(out, 1, buf_slice(&header));
}

/* A LockTarget, which is to be held alone; or, to give it back, a LockGrant. */
static void put_lock(const struct load_slot *s, struct buf *out)
{
    uint8_t room[128];
    struct buf lock = {.data = room, .capacity = sizeof room};
    put_session(s, out);
    proto_put_bytes(&lock, 1, s->path);
    if (s->op != LOAD_OP_ACQUIRE) {
        proto_put_number(&lock, 2, s->grant);
    }
    proto_put_bytes(out, 2, buf_slice(&lock));
}

static void write_request(const struct load_slot *s, struct buf *out)
{
    const struct load_engine *e = s->connection->engine;
    switch (s->op) {
    case LOAD_OP_SET:
    case LOAD_OP_CREATE:
        proto_put_bytes(out, 2, s->path);
        proto_put_bytes(out, 3, e->value);
        if (s->op == LOAD_OP_CREATE) {
            proto_put_number(out, 6, 1); /* make_parents */
        }
        break;
    case LOAD_OP_GET:
        put_consistency(s, out);
        proto_put_bytes(out, 2, s->path);
        break;
    case LOAD_OP_DELETE: proto_put_bytes(out, 2, s->path); break;
    case LOAD_OP_OPEN: proto_put_number(out, 2, e->options->session_ttl_ms); break;
    case LOAD_OP_CLOSE:
        proto_put_number(out, 2, s->session);
        proto_put_bytes(out, 3, slice_make(s->secret, sizeof s->secret));
        break;
    case LOAD_OP_ACQUIRE:
    case LOAD_OP_RELEASE:
    case LOAD_OP_RESIGN: put_lock(s, out); break;
    case LOAD_OP_CAMPAIGN:
        put_session(s, out);
        proto_put_bytes(out, 2, s->path);
        break;
    case LOAD_OP_WATCH: put_watches(s, out); break;
    case LOAD_OP_REVISION:
    case LOAD_OPS: break;
    }
}

static bool looks_at(const struct load_slot *s)
{
    const struct load_options *options = s->connection->engine->options;
    return s->op == LOAD_OP_REVISION || s->op == LOAD_OP_OPEN || s->op == LOAD_OP_WATCH ||
           s->op == LOAD_OP_ACQUIRE || s->op == LOAD_OP_CAMPAIGN ||
           options->work == LOAD_WATCH || options->consistency == COORD_SESSION;
}

static void read_header(struct load_slot *s, struct slice header)
{
    struct proto_field f;
    while (proto_next(&header, &f)) {
        if (f.field == 4) {
            s->revision = f.number;
        } else if (f.field == 5 && f.number > s->connection->applied_index) {
            s->connection->applied_index = f.number;
            return;
        }
    }
}

enum watch_reply_type { WATCH_CREATED = 0, WATCH_EVENTS = 2, WATCH_CANCELED = 5 };

static void read_watch(struct load_slot *s, struct slice message)
{
    uint64_t watch = 0;
    uint64_t type = 0;
    uint64_t revision = 0;
    size_t events = 0;
    struct slice why = {0};
    struct proto_field f;
    while (proto_next(&message, &f)) {
        watch = f.field == 2 ? f.number : watch;
        type = f.field == 3 ? f.number : type;
        revision = f.field == 4 ? f.number : revision;
        events += f.field == 5;
        why = f.field == 9 ? f.bytes : why;
    }
    if (type == WATCH_CREATED) {
        load_event(s->connection, watch, 0);
    }
    for (size_t i = 0; type == WATCH_EVENTS && i < events; i++) {
        load_event(s->connection, watch, revision);
    }
    if (type == WATCH_CANCELED) {
        char text[200];
        snprintf(text, sizeof text, "a watch was canceled: %.*s", (int)why.size,
                 (const char *)why.data);
        load_failed(s->connection, text);
    }
}

/* LockGrant: the entry that is to be given back. */
static void read_grant(struct load_slot *s, struct slice grant)
{
    struct proto_field f;
    while (proto_next(&grant, &f)) {
        if (f.field == 1 && f.bytes.size < sizeof s->path_text) {
            int size = snprintf(s->path_text, sizeof s->path_text, "%.*s", (int)f.bytes.size,
                                (const char *)f.bytes.data);
            s->path = slice_make(s->path_text, (size_t)size);
        } else if (f.field == 2) {
            s->grant = f.number;
        }
    }
}

/* LockHeld. */
static void read_held(struct load_slot *s, struct slice held)
{
    struct proto_field f;
    while (proto_next(&held, &f)) {
        if (f.field == 1) {
            read_grant(s, f.bytes);
        }
    }
}

static void read_reply(struct load_slot *s, struct slice message)
{
    struct proto_field f;
    if (s->op == LOAD_OP_WATCH) {
        read_watch(s, message);
        return;
    }
    while (proto_next(&message, &f)) {
        if (f.field == 1) {
            read_header(s, f.bytes);
        } else if (s->op == LOAD_OP_ACQUIRE && f.field == 2) {
            read_held(s, f.bytes);
        } else if (s->op == LOAD_OP_CAMPAIGN && f.field == 2) {
            read_grant(s, f.bytes);
        } else if (s->op == LOAD_OP_OPEN && f.field == 2) {
            s->session = f.number;
        } else if (s->op == LOAD_OP_OPEN && f.field == 3 && f.bytes.size == sizeof s->secret) {
            memcpy(s->secret, f.bytes.data, sizeof s->secret);
        }
    }
}

const struct load_rpcs load_rpcs_coord = {
    .paths = {[LOAD_OP_SET] = "/coord.v1.Tree/Set",
              [LOAD_OP_GET] = "/coord.v1.Tree/Get",
              [LOAD_OP_CREATE] = "/coord.v1.Tree/Create",
              [LOAD_OP_DELETE] = "/coord.v1.Tree/Delete",
              [LOAD_OP_OPEN] = "/coord.v1.Session/Open",
              [LOAD_OP_CLOSE] = "/coord.v1.Session/Close",
              [LOAD_OP_ACQUIRE] = "/coord.v1.Lock/Acquire",
              [LOAD_OP_RELEASE] = "/coord.v1.Lock/Release",
              [LOAD_OP_CAMPAIGN] = "/coord.v1.Election/Campaign",
              [LOAD_OP_RESIGN] = "/coord.v1.Election/Resign",
              [LOAD_OP_REVISION] = "/coord.v1.Tree/Sync",
              [LOAD_OP_WATCH] = "/coord.v1.Watch/Watch"},
    .write = write_request,
    .reads = looks_at,
    .read = read_reply,
};
