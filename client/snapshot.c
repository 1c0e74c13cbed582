/* A member's state as a file: one stream, and on to the next endpoint when it breaks. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "client/async.h"
#include "client/client_internal.h"
#include "client/socket.h"
#include "client/stream.h"
#include "coord/v1/maintenance.pb-c.h"

#define CONNECT_MS 3000
#define SILENCE_MS 60000 /* a large state is written before the first byte comes */
#define IDLE_MS    250

struct save {
    struct list link; /* the client's */
    struct coord_client *client;
    struct coord_snapshot_sink sink;
    coord_done_fn done;
    void *context;
    struct coord_snapshot_file file;
    struct coord_error error;
    size_t first; /* endpoint */
    size_t tries;
    struct loop_timer timer; /* the next time to see whether anything came */
    /* of this try */
    struct stream stream;
    struct sha256 *sum;
    uint64_t came;
    bool has_begun;
    bool is_complete;
};

enum try_result { TRY_DONE, TRY_LOST, TRY_FINAL };

/* ---- messages ---------------------------------------------------------------------------- */

static enum try_result gave_up(struct save *save)
{
    (void)client_fail(&save->error, COORD_INVALID,
                      "the sink took no more than %" PRIu64 " bytes", save->came);
    return TRY_FINAL;
}

static enum try_result broken(struct save *save, const char *what)
{
    (void)client_fail(&save->error, COORD_UNAVAILABLE, "%s: sent %s",
                      save->stream.endpoint.name, what);
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
    return save->sink.begin(save->sink.context, &save->file) ? TRY_DONE : gave_up(save);
}

static enum try_result take_data(struct save *save, struct slice data)
{
    if (!save->has_begun || data.size > save->file.bytes - save->came) {
        return broken(save, "more than it had announced");
    }
    if (!sha256_add(save->sum, data)) {
        (void)client_fail(&save->error, COORD_NO_MEMORY, "no SHA-256 could be computed");
        return TRY_FINAL;
    }
    save->came += data.size;
    return save->sink.data(save->sink.context, data.data, data.size) ? TRY_DONE : gave_up(save);
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

static void on_changed(struct stream *s);

static enum try_result of_stream(enum stream_result result)
{
    switch (result) {
    case STREAM_MESSAGE: return TRY_DONE;
    case STREAM_LOST: return TRY_LOST;
    default: return TRY_FINAL;
    }
}

/* Nothing has come for a while. */
static enum try_result wait_on(struct save *save)
{
    if (save->sink.idle != NULL && !save->sink.idle(save->sink.context)) {
        return gave_up(save);
    }
    if (socket_now_ms() < stream_heard_ms(&save->stream) + SILENCE_MS) {
        return TRY_DONE;
    }
    (void)client_fail(&save->error, COORD_TIMEOUT, "%s: nothing came for %d s",
                      save->stream.endpoint.name, SILENCE_MS / 1000);
    return TRY_LOST;
}

static enum try_result receive(struct save *save)
{
    enum try_result result = TRY_DONE;
    while (result == TRY_DONE && !save->is_complete) {
        ProtobufCMessage *m = NULL;
        enum stream_result next = stream_next(&save->stream, &m, &save->error);
        if (next == STREAM_QUIET) {
            break;
        }
        result = of_stream(next);
        if (m != NULL) {
            result = take_message(save, (const Coord__V1__SnapshotSaveReply *)m);
        }
        client_reply_free(m);
    }
    return result;
}

static enum try_result try_endpoint(struct save *save)
{
    const struct coord_client *client = save->client;
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SnapshotSaveRequest request = COORD__V1__SNAPSHOT_SAVE_REQUEST__INIT;
    header.consistency = (Coord__V1__Consistency)client->consistency;
    header.bound_ms = client->bound_ms;
    header.min_index = client->applied_index;
    request.header = &header;
    save->has_begun = false;
    save->came = 0;
    sha256_free(save->sum);
    save->sum = sha256_new();
    if (save->sum == NULL) {
        (void)client_fail(&save->error, COORD_NO_MEMORY, "out of memory for a snapshot");
        return TRY_FINAL;
    }
    uint64_t now = socket_now_ms();
    stream_open(save->client, &save->stream,
                &(struct stream_options){.endpoint = save->first + save->tries,
                                         .method = CLIENT_SNAPSHOT_SAVE,
                                         .request = &request.base,
                                         .is_last = true,
                                         .deadline_ms = now + CONNECT_MS,
                                         .changed = on_changed});
    save->tries++;
    loop_timer_set(&save->client->loop, &save->timer, now + IDLE_MS);
    return TRY_DONE;
}

static void finish(struct save *save)
{
    struct coord_result result = {.code = save->error.code,
                                  .error = &save->error,
                                  .path = "",
                                  .data = "",
                                  .snapshot = &save->file};
    stream_close(&save->stream);
    loop_timer_stop(&save->client->loop, &save->timer);
    list_remove(&save->link);
    sha256_free(save->sum);
    save->done(save->context, &result);
    free(save);
}

/* After each step: on to the next endpoint, or to the end. */
static void go_on(struct save *save, enum try_result result)
{
    while (result == TRY_LOST && save->tries < save->client->endpoint_count) {
        stream_close(&save->stream);
        result = try_endpoint(save);
    }
    if (save->is_complete) {
        (void)client_fail(&save->error, COORD_OK, "%s", "");
    }
    if (save->is_complete || result != TRY_DONE) {
        finish(save);
    }
}

static void on_changed(struct stream *s)
{
    struct save *save = LOOP_OF(s, struct save, stream);
    loop_timer_set(&save->client->loop, &save->timer, socket_now_ms() + IDLE_MS);
    go_on(save, receive(save));
}

static void on_timer(struct loop_timer *t)
{
    struct save *save = LOOP_OF(t, struct save, timer);
    loop_timer_set(&save->client->loop, &save->timer, socket_now_ms() + IDLE_MS);
    go_on(save, wait_on(save));
}

/* ---- the calls --------------------------------------------------------------------------- */

enum coord_code coord_snapshot_save_async(struct coord_client *client,
                                          const struct coord_snapshot_sink *sink,
                                          coord_done_fn done, void *context,
                                          struct coord_error *error)
{
    enum coord_code code = client_may_begin(client, error);
    if (code != COORD_OK) {
        return code;
    }
    struct save *save = calloc(1, sizeof *save);
    if (save == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for a snapshot");
    }
    save->client = client;
    save->sink = *sink;
    save->done = done;
    save->context = context;
    save->first = client->current;
    save->timer.fire = on_timer;
    client_enter(client);
    if (try_endpoint(save) != TRY_DONE) {
        code = client_fail(error, COORD_NO_MEMORY, "%s", save->error.message);
        free(save);
        client_leave(client);
        return code;
    }
    list_push_back(&client->snapshots, &save->link);
    client_leave(client);
    return client_fail(error, COORD_OK, "%s", "");
}

void snapshot_close_all(struct coord_client *client)
{
    while (!list_empty(&client->snapshots)) {
        struct save *save = LIST_OF(client->snapshots.next, struct save, link);
        (void)client_fail(&save->error, COORD_CANCELED, "the client was closed");
        finish(save);
    }
}

struct waited {
    struct async_wait wait;
    struct coord_snapshot_file *file;
};

static void on_done(void *context, const struct coord_result *result)
{
    struct waited *w = context;
    async_waited(&w->wait, result);
    if (result->code == COORD_OK && w->file != NULL) {
        *w->file = *result->snapshot;
    }
}

enum coord_code coord_snapshot_save(struct coord_client *client,
                                    const struct coord_snapshot_sink *sink,
                                    struct coord_snapshot_file *file, struct coord_error *error)
{
    struct waited w = {.wait.error = error, .file = file};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = coord_snapshot_save_async(client, sink, on_done, &w, error);
    }
    return code == COORD_OK ? async_wait(client, &w.wait) : code;
}
