/* coord.v1.Maintenance: the state as a file, chunk by chunk.
 *
 *   message --> BARRIER --(as fresh as asked)--> WAITING --(a snapshot is there)--> SENDING
 *
 * SENDING: one chunk is read off the loop while the one before goes out, and none while too much
 * waits for the client. So a client that reads slowly holds a file on disk and some 400 KiB of
 * memory. One that reads nothing at all loses the stream after a while. */
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "coord/v1/maintenance.pb-c.h"
#include "net/grpc/answer.h"

#define CHUNK_BYTES ((size_t)128 << 10)
#define SILENCE_MS  60000
#define WAITING_MS  2000
#define SHA256_SIZE 32

struct save {
    struct grpc_call *call;
    struct node_export export; /* file and path are there once it is ready */
    uint64_t sent;
    bool is_reading;
};

static void read_on(struct save *save);

static struct save *save_of(const struct grpc_call *call)
{
    return call->data;
}

static void give_time(struct grpc_call *call)
{
    struct env *env = call->connection->env->env;
    grpc_call_wake_at(call, env->now_ms(env) + SILENCE_MS);
}

static void wait_on(struct grpc_call *call)
{
    struct env *env = call->connection->env->env;
    grpc_call_wake_at(call, env->now_ms(env) + WAITING_MS);
}

/* ---- chunks ------------------------------------------------------------------------------ */

static void send_end(struct save *save, const uint8_t *sha256)
{
    struct grpc_call *call = save->call;
    Coord__V1__SnapshotSaveReply reply;
    coord__v1__snapshot_save_reply__init(&reply);
    reply.type = COORD__V1__SNAPSHOT_SAVE_REPLY__TYPE__END;
    reply.sha256 = answer_bytes(slice_make(sha256, SHA256_SIZE));
    grpc_call_reply(call, &reply.base);
}

static void send_chunk(struct save *save, struct slice data)
{
    Coord__V1__SnapshotSaveReply reply;
    coord__v1__snapshot_save_reply__init(&reply);
    reply.type = COORD__V1__SNAPSHOT_SAVE_REPLY__TYPE__DATA;
    reply.data = answer_bytes(data);
    save->sent += data.size;
    metric_add(save->call->connection->shared->saved_bytes, (int64_t)data.size);
    grpc_call_send(save->call, &reply.base);
}

static void on_data(struct node_export *e, enum status rc, struct slice data,
                    const uint8_t *sha256)
{
    struct save *save = e->owner;
    save->is_reading = false;
    if (rc != RC_OK) {
        grpc_call_fail(save->call, rc == RC_CORRUPT ? GRPC_DATA_LOSS : GRPC_INTERNAL,
                       "the snapshot at index %" PRIu64 " cannot be read at offset %" PRIu64
                       ": %s",
                       e->file.index, save->sent, status_text(rc));
        return;
    }
    if (save->call->connection->stage != GRPC_SERVING) {
        grpc_call_fail(save->call, GRPC_UNAVAILABLE, "this node is shutting down");
        return;
    }
    if (sha256 != NULL) {
        send_end(save, sha256);
        return;
    }
    send_chunk(save, data);
    give_time(save->call);
    if (!grpc_call_is_full(save->call)) {
        read_on(save);
    }
}

static void read_on(struct save *save)
{
    save->is_reading = true;
    node_export_read(&save->export, CHUNK_BYTES, on_data);
}

static void save_drained(struct grpc_call *call)
{
    struct save *save = save_of(call);
    if (save != NULL && save->export.path != NULL && !save->is_reading) {
        give_time(call);
        read_on(save);
    }
}

/* ---- begin and end ------------------------------------------------------------------------ */

static void on_ready(struct node_export *e, enum status rc)
{
    struct save *save = e->owner;
    struct grpc_call *call = save->call;
    if (rc != RC_OK) {
        grpc_call_fail(call,
                       rc == RC_STOPPED    ? GRPC_UNAVAILABLE
                       : rc == RC_NO_SPACE ? GRPC_RESOURCE_EXHAUSTED
                                           : GRPC_INTERNAL,
                       "no snapshot could be taken: %s", status_text(rc));
        return;
    }
    Coord__V1__SnapshotFile file;
    Coord__V1__SnapshotSaveReply reply;
    Coord__V1__ReplyHeader header = answer_header(call, e->file.revision, e->file.index);
    coord__v1__snapshot_file__init(&file);
    file.header = &header;
    file.bytes = e->file.bytes;
    file.index = e->file.index;
    file.term = e->file.term;
    file.revision = e->file.revision;
    file.digest = e->file.digest;
    coord__v1__snapshot_save_reply__init(&reply);
    reply.type = COORD__V1__SNAPSHOT_SAVE_REPLY__TYPE__BEGIN;
    reply.file = &file;
    grpc_call_send(call, &reply.base);
    give_time(call);
    read_on(save);
}

/* What the answering node has is as fresh as the client asked: a copy of that, or of later. */
static void save_fresh(struct grpc_call *call, const struct query_result *result)
{
    struct save *save = save_of(call);
    (void)result;
    wait_on(call);
    save->export.ready = on_ready;
    save->export.owner = save;
    enum status rc = node_export_begin(grpc_call_node(call), &save->export, call->deadline_ms);
    if (rc != RC_OK) {
        grpc_call_fail(call, GRPC_UNAVAILABLE, "no snapshot can be taken: %s", status_text(rc));
    }
}

static void save_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__SnapshotSaveRequest *request =
        (const Coord__V1__SnapshotSaveRequest *)message;
    struct grpc_shared *shared = call->connection->shared;
    if (!answer_read_prepare(call, request->header)) {
        return;
    }
    if (shared->saver[0] != '\0') {
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED,
                       "this node is sending a snapshot to %s already: one at a time",
                       shared->saver);
        return;
    }
    snprintf(shared->saver, sizeof shared->saver, "%s", call->connection->env->peer);
    struct save *save = mem_zalloc(sizeof *save);
    save->call = call;
    call->data = save;
    metric_add(shared->saves, 1);
    call->read.is_barrier = true;
    grpc_call_read(call, save_fresh);
}

/* A large state takes its time to be written, and a client must be able to tell that from silence.
 */
static void tell_waiting(struct grpc_call *call)
{
    Coord__V1__SnapshotSaveReply reply;
    coord__v1__snapshot_save_reply__init(&reply);
    reply.type = COORD__V1__SNAPSHOT_SAVE_REPLY__TYPE__WAITING;
    if (!grpc_call_is_full(call)) {
        grpc_call_send(call, &reply.base);
    }
}

static void save_woken(struct grpc_call *call)
{
    const struct save *save = save_of(call);
    if (save->export.path == NULL) {
        tell_waiting(call);
        wait_on(call);
        return;
    }
    grpc_call_fail(call, GRPC_DEADLINE_EXCEEDED,
                   "nothing was read for %d s, at offset %" PRIu64 " of %" PRIu64,
                   SILENCE_MS / 1000, save->sent, save->export.file.bytes);
}

static void save_ended(struct grpc_call *call)
{
    struct save *save = save_of(call);
    if (save == NULL) {
        return;
    }
    call->data = NULL;
    call->connection->shared->saver[0] = '\0';
    node_export_end(&save->export);
    mem_free(save);
}

static const struct grpc_method methods[] = {
    {.name = "SnapshotSave",
     .request = &coord__v1__snapshot_save_request__descriptor,
     .is_long = true,
     .message = save_call,
     .drained = save_drained,
     .woken = save_woken,
     .ended = save_ended},
};

const struct grpc_service grpc_maintenance_service = {
    .name = "coord.v1.Maintenance",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
