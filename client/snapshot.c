/* A member's state as a file: one stream, and on to the next endpoint when it breaks. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/sha256.h"
#include "client/call.h"
#include "client/client_internal.h"
#include "client/socket.h"
#include "client/stream.h"
#include "coord/v1/maintenance.pb-c.h"

#define CONNECT_MS 3000
#define SILENCE_MS 60000 /* a large state is written before the first byte comes */
#define IDLE_MS    250

struct save {
    struct coord_client *client;
    const struct coord_snapshot_sink *sink;
    struct coord_snapshot_file file;
    struct coord_error *error;
    /* of this try */
    struct stream *stream;
    struct sha256 *sum;
    uint64_t came;
    bool has_begun;
    bool is_complete;
};

enum try_result { TRY_DONE, TRY_LOST, TRY_FINAL };

/* ---- messages ---------------------------------------------------------------------------- */

static enum try_result gave_up(struct save *save)
{
    (void)client_fail(save->error, COORD_INVALID,
                      "the sink took no more than %" PRIu64 " bytes", save->came);
    return TRY_FINAL;
}

static enum try_result broken(struct save *save, const char *what)
{
    (void)client_fail(save->error, COORD_UNAVAILABLE, "%s: sent %s",
                      stream_endpoint(save->stream), what);
    return TRY_LOST;
}

static enum try_result take_begin(struct save *save, const Coord__V1__SnapshotFile *file)
{
    if (save->has_begun || file == NULL || file->header == NULL) {
        return broken(save, "the beginning of a snapshot that is none");
    }
    save->has_begun = true;
    save->file = (struct coord_snapshot_file){.cluster_id = file->header->cluster_id,
                                              .bytes = file->bytes,
                                              .index = file->index,
                                              .revision = file->revision,
                                              .digest = file->digest};
    snprintf(save->file.member, sizeof save->file.member, "%s", file->header->node);
    return save->sink->begin(save->sink->context, &save->file) ? TRY_DONE : gave_up(save);
}

static enum try_result take_data(struct save *save, struct slice data)
{
    if (!save->has_begun || data.size > save->file.bytes - save->came) {
        return broken(save, "more than it had announced");
    }
    if (!sha256_add(save->sum, data)) {
        (void)client_fail(save->error, COORD_NO_MEMORY, "no SHA-256 could be computed");
        return TRY_FINAL;
    }
    save->came += data.size;
    return save->sink->data(save->sink->context, data.data, data.size) ? TRY_DONE
                                                                       : gave_up(save);
}

static enum try_result take_end(struct save *save, struct slice sha256)
{
    uint8_t sum[SHA256_BYTES];
    if (!save->has_begun || save->came != save->file.bytes) {
        return broken(save, "less than it had announced");
    }
    if (!sha256_end(save->sum, sum) || !slice_equal(slice_make(sum, sizeof sum), sha256)) {
        return broken(save, "a file that is not the one it read: the SHA-256 differs");
    }
    (void)sha256_text(sum, save->file.sha256);
    save->is_complete = true;
    return TRY_DONE;
}

static struct slice bytes_of(const ProtobufCBinaryData *data)
{
    return slice_make(data->data, data->len);
}

static enum try_result take_message(struct save *save, const Coord__V1__SnapshotSaveReply *m)
{
    switch ((int)m->type) {
    case COORD__V1__SNAPSHOT_SAVE_REPLY__TYPE__BEGIN: return take_begin(save, m->file);
    case COORD__V1__SNAPSHOT_SAVE_REPLY__TYPE__DATA: return take_data(save, bytes_of(&m->data));
    case COORD__V1__SNAPSHOT_SAVE_REPLY__TYPE__END: return take_end(save, bytes_of(&m->sha256));
    case COORD__V1__SNAPSHOT_SAVE_REPLY__TYPE__WAITING: return TRY_DONE;
    default: return broken(save, "a message of an unknown kind");
    }
}

/* ---- tries ------------------------------------------------------------------------------- */

static enum try_result of_stream(enum stream_result result)
{
    switch (result) {
    case STREAM_MESSAGE: return TRY_DONE;
    case STREAM_LOST: return TRY_LOST;
    default: return TRY_FINAL;
    }
}

static enum try_result wait_on(struct save *save)
{
    if (save->sink->idle != NULL && !save->sink->idle(save->sink->context)) {
        return gave_up(save);
    }
    if (socket_now_ms() < stream_heard_ms(save->stream) + SILENCE_MS) {
        return TRY_DONE;
    }
    (void)client_fail(save->error, COORD_TIMEOUT, "%s: nothing came for %d s",
                      stream_endpoint(save->stream), SILENCE_MS / 1000);
    return TRY_LOST;
}

static enum try_result receive(struct save *save)
{
    enum try_result result = TRY_DONE;
    while (result == TRY_DONE && !save->is_complete) {
        ProtobufCMessage *m = NULL;
        enum stream_result next =
            stream_next(save->stream, socket_now_ms() + IDLE_MS, &m, save->error);
        result = next == STREAM_QUIET ? wait_on(save) : of_stream(next);
        if (m != NULL) {
            result = take_message(save, (const Coord__V1__SnapshotSaveReply *)m);
        }
        client_reply_free(m);
    }
    return result;
}

static enum try_result ask(struct save *save)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SnapshotSaveRequest request = COORD__V1__SNAPSHOT_SAVE_REQUEST__INIT;
    header.consistency = (Coord__V1__Consistency)save->client->consistency;
    header.bound_ms = save->client->bound_ms;
    header.min_index = save->client->applied_index;
    request.header = &header;
    enum try_result result = of_stream(stream_send(save->stream, &request.base, save->error));
    if (result == TRY_DONE) {
        stream_finish(save->stream);
        result = receive(save);
    }
    return result;
}

static enum try_result try_endpoint(struct save *save, size_t endpoint)
{
    save->has_begun = false;
    save->came = 0;
    save->sum = sha256_new();
    if (save->sum == NULL) {
        (void)client_fail(save->error, COORD_NO_MEMORY, "out of memory for a snapshot");
        return TRY_FINAL;
    }
    save->stream = NULL;
    enum try_result result =
        of_stream(stream_open(save->client, endpoint, CLIENT_SNAPSHOT_SAVE,
                              socket_now_ms() + CONNECT_MS, &save->stream, save->error));
    if (result == TRY_DONE) {
        result = ask(save);
    }
    stream_close(save->stream);
    sha256_free(save->sum);
    return result;
}

enum coord_code coord_snapshot_save(struct coord_client *client,
                                    const struct coord_snapshot_sink *sink,
                                    struct coord_snapshot_file *file, struct coord_error *error)
{
    struct coord_error scratch;
    struct save save = {
        .client = client, .sink = sink, .error = error != NULL ? error : &scratch};
    enum try_result result = TRY_LOST;
    for (size_t i = 0; result == TRY_LOST && i < client->endpoint_count; i++) {
        result = try_endpoint(&save, (client->current + i) % client->endpoint_count);
    }
    if (result != TRY_DONE) {
        return save.error->code;
    }
    if (file != NULL) {
        *file = save.file;
    }
    return client_fail(error, COORD_OK, "%s", "");
}
