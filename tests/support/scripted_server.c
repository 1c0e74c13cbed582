#include "tests/support/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "coord/v1/discovery.pb-c.h"
#include "coord/v1/election.pb-c.h"
#include "coord/v1/cluster.pb-c.h"
#include "coord/v1/config.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "coord/v1/watch.pb-c.h"
#include "net/http2.h"
#include "tests/support/scripted_reply.h"

#define CONNECTIONS_MAX 32

struct call {
    struct http2_stream stream; /* first: the event's stream is the call */
    struct list link;
    char path[64];
    char digests[SCRIPTED_REQUEST_MAX];
    size_t digest_bytes;
    struct buf in;
    struct http2_header trailers[4];
    bool has_responded; /* of a stream */
};

struct connection {
    struct scripted_server *server;
    int fd; /* -1: not in use */
    struct http2 *http2;
    struct buf out;
    struct list calls;
    bool must_close; /* after `out` went out */
};

struct scripted_server {
    struct scripted_cluster *cluster;
    const struct scripted_step *step;
    pthread_t thread;
    int listener;
    int stop[2];
    char endpoint[32];
    struct connection connections[CONNECTIONS_MAX];
};

static const struct http2_header response_headers[] = {
    {.name = HTTP2_TEXT(":status"), .value = HTTP2_TEXT("200")},
    {.name = HTTP2_TEXT("content-type"), .value = HTTP2_TEXT("application/grpc+proto")},
};
static const struct http2_header not_found_headers[] = {
    {.name = HTTP2_TEXT(":status"), .value = HTTP2_TEXT("404")},
};

/* ---- answers ---------------------------------------------------------------------------- */

static void finish_with(struct call *call, enum grpc_code code, const char *outcome,
                        const char *deadlock)
{
    size_t count = 0;
    call->trailers[count++] =
        (struct http2_header){.name = HTTP2_TEXT("grpc-status"), .value = grpc_code_text(code)};
    if (code != GRPC_OK) {
        call->trailers[count++] = (struct http2_header){.name = HTTP2_TEXT("grpc-message"),
                                                        .value = HTTP2_TEXT("as scripted")};
    }
    if (outcome != NULL) {
        call->trailers[count++] = (struct http2_header){.name = HTTP2_TEXT("coord-outcome"),
                                                        .value = slice_str(outcome)};
    }
    if (deadlock != NULL) {
        call->trailers[count++] = (struct http2_header){
            .name = HTTP2_TEXT("coord-deadlock-bin"), .value = slice_str(deadlock)};
    }
    http2_stream_finish(&call->stream, call->trailers, count);
}

static void finish(struct call *call, enum grpc_code code, const char *outcome)
{
    finish_with(call, code, outcome, NULL);
}

/* `reply` may be NULL: a status alone. */
static void answer(struct call *call, const struct buf *reply, enum grpc_code code,
                   const char *outcome)
{
    http2_respond(&call->stream, response_headers, 2, false);
    if (reply != NULL) {
        buf_append_slice(http2_stream_out(&call->stream), buf_slice(reply));
        http2_stream_wrote(&call->stream, reply->size);
    }
    finish(call, code, outcome);
}

static void answer_ok(struct scripted_cluster *cluster, struct call *call)
{
    struct buf reply = {0};
    cluster->lock_pages += strcmp(call->path, "/coord.v1.Lock/Get") == 0 ||
                           strcmp(call->path, "/coord.v1.Lock/List") == 0;
    if (strcmp(call->path, "/coord.v1.Cluster/Members") == 0) {
        scripted_members(&reply, cluster);
    } else {
        scripted_reply(&reply, call->path, cluster);
    }
    answer(call, &reply, GRPC_OK, NULL);
    buf_close(&reply);
}

/* ---- what was asked --------------------------------------------------------------------- */

static bool id_is_set(const struct scripted_id *id)
{
    return id->issued_ms != 0 || id->high != 0 || id->low != 0;
}

/* Every request has its header as field 1: SyncRequest, which has nothing else, decodes them
 * all. */
static struct scripted_id id_of(struct slice message, uint64_t *answered_to)
{
    struct scripted_id id = {0};
    Coord__V1__SyncRequest *request =
        coord__v1__sync_request__unpack(NULL, message.size, message.data);
    PRE(request != NULL);
    if (request->header != NULL && request->header->request_id != NULL) {
        const Coord__V1__RequestId *from = request->header->request_id;
        id = (struct scripted_id){from->issued_ms, from->high, from->low};
    }
    if (request->header != NULL && request->header->session != NULL) {
        const Coord__V1__SessionRef *from = request->header->session;
        *answered_to = from->answered_to;
        if (from->sequence != 0) {
            PRE(!id_is_set(&id)); /* it is one or the other */
            id = (struct scripted_id){.high = from->sequence, .low = from->id};
        }
    }
    coord__v1__sync_request__free_unpacked(request, NULL);
    return id;
}

static void keep_request(struct scripted_cluster *cluster, struct slice message)
{
    size_t bytes = message.size;
    bytes = bytes < SCRIPTED_REQUEST_MAX ? bytes : SCRIPTED_REQUEST_MAX;
    memcpy(cluster->request, message.data, bytes);
    cluster->request_bytes = bytes;
}

/* Once per id. */
static void execute(struct scripted_cluster *cluster, const struct scripted_id *id)
{
    for (size_t i = 0; i < cluster->executed_count; i++) {
        if (id_is_set(id) && memcmp(&cluster->executed[i], id, sizeof *id) == 0) {
            return;
        }
    }
    PRE(cluster->executed_count < SCRIPTED_CALLS_MAX);
    cluster->executed[cluster->executed_count++] = *id;
}

static bool does_execute(enum scripted_action action)
{
    return action == SCRIPT_END || action == SCRIPT_SERVE || action == SCRIPT_SERVE_AND_DROP ||
           action == SCRIPT_LOSE || action == SCRIPT_UNKNOWN || action == SCRIPT_SILENCE;
}

static void perform(struct connection *c, struct call *call, const struct scripted_step *step)
{
    /* length 8, type GOAWAY, no flags, stream 0; last stream 0, NO_ERROR */
    static const uint8_t goaway[] = {0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    switch (step->action) {
    case SCRIPT_END:
    case SCRIPT_SERVE: answer_ok(c->server->cluster, call); break;
    case SCRIPT_SERVE_AND_DROP:
        answer_ok(c->server->cluster, call);
        c->must_close = true;
        break;
    case SCRIPT_STATUS:
        http2_respond(&call->stream, response_headers, 2, false);
        finish_with(call, step->code, step->outcome, step->deadlock);
        break;
    case SCRIPT_LOSE:
    case SCRIPT_DROP: c->must_close = true; break;
    case SCRIPT_UNKNOWN: answer(call, NULL, GRPC_UNKNOWN, NULL); break;
    case SCRIPT_SILENCE: break;
    case SCRIPT_REFUSE: http2_stream_reset(&call->stream, HTTP2_REFUSED_STREAM); break;
    case SCRIPT_GOAWAY: buf_append(&c->out, goaway, sizeof goaway); break;
    case SCRIPT_HTTP: http2_respond(&call->stream, not_found_headers, 1, true); break;
    case SCRIPT_NOISE: buf_append_str(&c->out, "HTTP/1.1 400 Bad Request\r\n\r\n"); break;
    case SCRIPT_SERVE_AND_END:
    case SCRIPT_GARBAGE:
    case SCRIPT_BAD_FRAME:
    case SCRIPT_ANOTHER: UNREACHABLE(); /* of streams alone */
    }
}

/* ---- streams ---------------------------------------------------------------------------- */

static bool is_snapshot(const struct call *call)
{
    return strstr(call->path, "/SnapshotSave") != NULL;
}

static bool is_observer(const struct call *call)
{
    return strstr(call->path, "/Observe") != NULL;
}

static bool is_watch(const struct call *call)
{
    return strcmp(call->path, "/coord.v1.Watch/Watch") == 0;
}

static bool is_subscription(const struct call *call)
{
    return strcmp(call->path, "/coord.v1.Discovery/Subscribe") == 0;
}

/* Of Config or Health. */
static bool is_followed(const struct call *call)
{
    return !is_watch(call) && strstr(call->path, "/Watch") != NULL;
}

static bool is_stream(const struct call *call)
{
    return is_observer(call) || strstr(call->path, "/KeepAlive") != NULL || is_watch(call) ||
           is_followed(call) || is_snapshot(call) || is_subscription(call);
}

static void note_watch(struct scripted_cluster *cluster, struct slice message)
{
    Coord__V1__WatchRequest *request =
        coord__v1__watch_request__unpack(NULL, message.size, message.data);
    PRE(request != NULL && request->request_case == COORD__V1__WATCH_REQUEST__REQUEST_CREATE);
    PRE(cluster->watch_count < SCRIPTED_CALLS_MAX);
    cluster->watches[cluster->watch_count++] = (struct scripted_watch){
        .from_revision = request->create->from_revision, .list = request->create->list};
    coord__v1__watch_request__free_unpacked(request, NULL);
}

static void note_observer(struct scripted_cluster *cluster, struct slice message)
{
    Coord__V1__ElectionObserveRequest *request =
        coord__v1__election_observe_request__unpack(NULL, message.size, message.data);
    PRE(request != NULL && cluster->watch_count < SCRIPTED_CALLS_MAX);
    cluster->watches[cluster->watch_count++] =
        (struct scripted_watch){.from_revision = request->after_revision};
    coord__v1__election_observe_request__free_unpacked(request, NULL);
}

static void note_subscription(struct scripted_cluster *cluster, struct slice message)
{
    Coord__V1__DiscoverySubscribeRequest *request =
        coord__v1__discovery_subscribe_request__unpack(NULL, message.size, message.data);
    PRE(request != NULL && cluster->watch_count < SCRIPTED_CALLS_MAX);
    cluster->watches[cluster->watch_count++] =
        (struct scripted_watch){.from_revision = request->from_revision};
    coord__v1__discovery_subscribe_request__free_unpacked(request, NULL);
}

static void note_followed(struct scripted_cluster *cluster, const struct call *call,
                          struct slice message)
{
    uint64_t from_revision = 0;
    PRE(cluster->watch_count < SCRIPTED_CALLS_MAX);
    if (strcmp(call->path, "/coord.v1.Config/Watch") == 0) {
        Coord__V1__ConfigWatchRequest *request =
            coord__v1__config_watch_request__unpack(NULL, message.size, message.data);
        PRE(request != NULL);
        from_revision = request->from_revision;
        coord__v1__config_watch_request__free_unpacked(request, NULL);
    }
    cluster->watches[cluster->watch_count++] =
        (struct scripted_watch){.from_revision = from_revision};
}

/* `cluster` is only read in fields that tests set before it runs. */
static void send_messages(const struct scripted_cluster *cluster, struct call *call,
                          const struct scripted_step *step)
{
    static const struct scripted_message created = {.revision = 5};
    static const uint8_t garbage[] = {0, 0, 0, 0, 2, 0xff, 0xff};
    static const uint8_t bad_frame[] = {9, 9, 9, 9, 9};
    const struct scripted_message *messages = step->messages;
    size_t count = step->message_count;
    struct buf *out = http2_stream_out(&call->stream);
    size_t before = out->size;
    if (step->action == SCRIPT_GARBAGE) {
        buf_append(out, garbage, sizeof garbage);
    } else if (step->action == SCRIPT_BAD_FRAME) {
        buf_append(out, bad_frame, sizeof bad_frame);
    } else if (step->action == SCRIPT_ANOTHER) {
        scripted_another(out, call->path);
    } else if (messages == NULL && is_watch(call) && cluster->watch_messages != NULL) {
        messages = cluster->watch_messages;
        count = cluster->watch_message_count;
    } else if (messages == NULL) {
        messages = &created;
        count = 1;
    }
    for (size_t i = 0; i < count; i++) {
        if (is_watch(call)) {
            scripted_watch_reply(out, &messages[i]);
        } else if (is_observer(call)) {
            scripted_observe_reply(out, &messages[i]);
        } else if (is_subscription(call)) {
            scripted_subscribe_reply(out, &messages[i]);
        } else if (is_followed(call)) {
            scripted_followed_reply(out, call->path, &messages[i]);
        } else if (is_snapshot(call)) {
            scripted_snapshot_reply(out, &messages[i]);
        } else {
            scripted_keepalive(out, call->path, cluster->ttl_ms, messages[i].outcome);
        }
    }
    http2_stream_wrote(&call->stream, out->size - before);
}

static void perform_on_stream(struct connection *c, struct call *call,
                              const struct scripted_step *step)
{
    switch (step->action) {
    case SCRIPT_END:
    case SCRIPT_SERVE:
    case SCRIPT_SERVE_AND_DROP:
    case SCRIPT_SERVE_AND_END:
    case SCRIPT_GARBAGE:
    case SCRIPT_BAD_FRAME:
    case SCRIPT_ANOTHER:
        if (!call->has_responded) {
            http2_respond(&call->stream, response_headers, 2, false);
            call->has_responded = true;
        }
        send_messages(c->server->cluster, call, step);
        c->must_close = step->action == SCRIPT_SERVE_AND_DROP;
        if (step->action == SCRIPT_SERVE_AND_END) {
            finish(call, step->code, step->outcome);
        }
        break;
    case SCRIPT_STATUS:
        if (call->has_responded) {
            finish(call, step->code, step->outcome);
        } else {
            answer(call, NULL, step->code, step->outcome);
        }
        break;
    default: perform(c, call, step); break;
    }
}

/* The next step of the script. Under the lock. */
static const struct scripted_step *next_step(struct scripted_server *server)
{
    static const struct scripted_step serve = {.action = SCRIPT_SERVE};
    return server->step != NULL && server->step->action != SCRIPT_END ? server->step++ : &serve;
}

/* One message of the client. */
static void on_message(struct connection *c, struct call *call, struct slice message)
{
    struct scripted_cluster *cluster = c->server->cluster;
    (void)pthread_mutex_lock(&cluster->lock);
    if (is_watch(call)) {
        note_watch(cluster, message);
    } else if (is_observer(call)) {
        note_observer(cluster, message);
    } else if (is_subscription(call)) {
        note_subscription(cluster, message);
    } else if (is_followed(call)) {
        note_followed(cluster, call, message);
    } else {
        cluster->keepalive_count++;
    }
    const struct scripted_step *step = next_step(c->server);
    (void)pthread_mutex_unlock(&cluster->lock);
    perform_on_stream(c, call, step);
}

/* ---- events ----------------------------------------------------------------------------- */

static struct http2_stream *on_open(void *owner)
{
    struct connection *c = owner;
    struct call *call = mem_zalloc(sizeof *call);
    list_push_back(&c->calls, &call->link);
    return &call->stream;
}

static void on_header(void *owner, struct http2_stream *s, struct slice name,
                      struct slice value)
{
    struct call *call = (struct call *)s;
    (void)owner;
    if (slice_is(name, ":path")) {
        PRE(value.size < sizeof call->path);
        memcpy(call->path, value.data, value.size);
    } else if (slice_is(name, "coord-digest")) {
        size_t room = sizeof call->digests - call->digest_bytes;
        int bytes = snprintf(call->digests + call->digest_bytes, room, "%.*s;", (int)value.size,
                             (const char *)value.data);
        PRE(bytes > 0 && (size_t)bytes < room);
        call->digest_bytes += (size_t)bytes;
    }
}

static void on_headers_end(void *owner, struct http2_stream *s, bool is_last)
{
    const struct call *call = (const struct call *)s;
    struct scripted_cluster *cluster = ((struct connection *)owner)->server->cluster;
    (void)is_last;
    if (strncmp(call->path, "/coord.v1.Cluster/", strlen("/coord.v1.Cluster/")) != 0) {
        (void)pthread_mutex_lock(&cluster->lock);
        memcpy(cluster->digests, call->digests, sizeof cluster->digests);
        (void)pthread_mutex_unlock(&cluster->lock);
    }
}

static void on_data(void *owner, struct http2_stream *s, struct slice bytes)
{
    struct call *call = (struct call *)s;
    struct slice message;
    buf_append_slice(&call->in, bytes);
    http2_consume(s);
    while (is_stream(call) && grpc_frame_peek(buf_slice(&call->in), GRPC_MESSAGE_BYTES_MAX,
                                              &message) == GRPC_FRAME_WHOLE) {
        on_message(owner, call, message);
        buf_consume(&call->in, GRPC_PREFIX_BYTES + message.size);
    }
}

static void on_end(void *owner, struct http2_stream *s)
{
    struct connection *c = owner;
    struct call *call = (struct call *)s;
    struct scripted_server *server = c->server;
    struct scripted_cluster *cluster = server->cluster;
    const struct scripted_step *step = NULL;
    if (is_stream(call)) {
        return;
    }
    (void)pthread_mutex_lock(&cluster->lock);
    if (strcmp(call->path, "/coord.v1.Cluster/Status") == 0) {
        cluster->status_count++;
    } else if (strcmp(call->path, "/coord.v1.Cluster/Members") == 0) {
        cluster->members_count++;
    } else {
        size_t place = cluster->keeps_no_ids ? 0 : cluster->call_count;
        PRE(place < SCRIPTED_CALLS_MAX);
        step = next_step(server);
        struct slice message;
        enum grpc_frame frame =
            grpc_frame_peek(buf_slice(&call->in), GRPC_MESSAGE_BYTES_MAX, &message);
        PRE(frame == GRPC_FRAME_WHOLE);
        struct scripted_id id = id_of(message, &cluster->answered_to[place]);
        keep_request(cluster, message);
        cluster->ids[place] = id;
        cluster->call_count++;
        cluster->login_count += strcmp(call->path, "/coord.v1.Auth/Authenticate") == 0;
        if (does_execute(step->action) && !cluster->keeps_no_ids) {
            execute(cluster, &id);
        }
    }
    static const struct scripted_step serve = {.action = SCRIPT_SERVE};
    (void)pthread_mutex_unlock(&cluster->lock);
    perform(c, call, step != NULL ? step : &serve);
}

static void on_closed(void *owner, struct http2_stream *s, uint32_t error)
{
    struct call *call = (struct call *)s;
    (void)owner;
    (void)error;
    list_remove(&call->link);
    http2_stream_release(s);
    buf_close(&call->in);
    mem_free(call);
}

static const struct http2_events server_events = {.open = on_open,
                                                  .header = on_header,
                                                  .headers_end = on_headers_end,
                                                  .data = on_data,
                                                  .end = on_end,
                                                  .closed = on_closed};

/* ---- sockets ---------------------------------------------------------------------------- */

static void connection_begin(struct scripted_server *s)
{
    int fd = accept(s->listener, NULL, NULL);
    for (size_t i = 0; fd >= 0 && i < CONNECTIONS_MAX; i++) {
        struct connection *c = &s->connections[i];
        if (c->fd < 0) {
            *c = (struct connection){.server = s, .fd = fd};
            list_init(&c->calls);
            c->http2 = http2_new(true, 100, &server_events, c);
            (void)pthread_mutex_lock(&s->cluster->lock);
            s->cluster->connection_count++;
            (void)pthread_mutex_unlock(&s->cluster->lock);
            return;
        }
    }
    PRE(fd >= 0);
    UNREACHABLE(); /* a test with that many connections needs a larger table */
}

static void connection_end(struct connection *c)
{
    http2_free(c->http2);
    buf_close(&c->out);
    (void)close(c->fd);
    c->fd = -1;
}

/* Blocking writes will do: replies are small. */
static void connection_read(struct connection *c)
{
    uint8_t bytes[4096];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    bool is_alive = n > 0 && http2_feed(c->http2, slice_make(bytes, (size_t)n)) == RC_OK;
    (void)http2_take(c->http2, &c->out, SIZE_MAX);
    while (is_alive && c->out.size > 0) {
        n = send(c->fd, c->out.data, c->out.size, MSG_NOSIGNAL);
        is_alive = n > 0;
        buf_consume(&c->out, n > 0 ? (size_t)n : 0);
    }
    if (!is_alive || c->must_close) {
        connection_end(c);
    }
}

static void *server_main(void *argument)
{
    struct scripted_server *s = argument;
    for (;;) {
        struct pollfd polls[CONNECTIONS_MAX + 2] = {{.fd = s->stop[0], .events = POLLIN},
                                                    {.fd = s->listener, .events = POLLIN}};
        for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
            polls[i + 2] = (struct pollfd){.fd = s->connections[i].fd, .events = POLLIN};
        }
        int ready = poll(polls, CONNECTIONS_MAX + 2, -1);
        if (ready > 0 && polls[0].revents != 0) {
            return NULL;
        }
        for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
            if (ready > 0 && polls[i + 2].revents != 0) {
                connection_read(&s->connections[i]);
            }
        }
        if (ready > 0 && polls[1].revents != 0) {
            connection_begin(s);
        }
    }
}

struct scripted_server *scripted_server_new(struct scripted_cluster *cluster,
                                            const struct scripted_step *script)
{
    struct scripted_server *s = mem_zalloc(sizeof *s);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    s->cluster = cluster;
    s->step = script;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        s->connections[i].fd = -1;
    }
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    int rc = bind(s->listener, (struct sockaddr *)&address, sizeof address);
    PRE(rc == 0);
    rc = listen(s->listener, 16);
    PRE(rc == 0);
    rc = getsockname(s->listener, (struct sockaddr *)&address, &size);
    PRE(rc == 0);
    (void)snprintf(s->endpoint, sizeof s->endpoint, "127.0.0.1:%u", ntohs(address.sin_port));
    rc = pipe(s->stop);
    PRE(rc == 0);
    rc = pthread_create(&s->thread, NULL, server_main, s);
    PRE(rc == 0);
    return s;
}

void scripted_server_free(struct scripted_server *s)
{
    (void)close(s->stop[1]);
    (void)pthread_join(s->thread, NULL);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (s->connections[i].fd >= 0) {
            connection_end(&s->connections[i]);
        }
    }
    (void)close(s->listener);
    (void)close(s->stop[0]);
    mem_free(s);
}

const char *scripted_server_endpoint(const struct scripted_server *s)
{
    return s->endpoint;
}
