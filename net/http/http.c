/* One connection:
 *
 *   IDLE --first byte--> HEAD --empty line--> answered --no body--> IDLE
 *                                                 \---body---> BODY --its end--> IDLE
 *   any --error, Connection: close, stop--> CLOSING: what was answered goes out, nothing is read
 *
 * The connection keeps the bytes of an unfinished head (net/front.h, `feed`), so an idle one has no
 * buffer. */
#include "net/http/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/http/pages.h"
#include "net/http/ration.h"
#include "net/http/request.h"
#include "net/memory.h"

/* An unfinished head, or what one read brought while a request was answered. */
#define REST_BYTES_MAX ((size_t)128 << 10)

enum http_stage { HTTP_IDLE, HTTP_HEADING, HTTP_BODY, HTTP_CLOSING };

struct http_connection {
    const struct front_env *env;
    uint8_t stage; /* enum http_stage */
    bool closes;   /* after this request's body */
    bool is_stopping;
    size_t seen;         /* bytes of the head without its end */
    uint64_t body_bytes; /* still to skip */
    uint64_t since_ms;   /* of the stage */
    struct ration_place place;
    struct buf out; /* one answer, until the turn */
};

struct http_shared {
    struct ration ration;
    struct figures *figures;
    struct metrics *metrics;
    struct histogram *latency;
};

static uint64_t http_now(const struct http_connection *c)
{
    return c->env->env->now_ms(c->env->env);
}

static uint64_t http_now_us(const struct http_connection *c)
{
    return c->env->env->now_us(c->env->env);
}

static struct ration *ration_of(const struct http_connection *c)
{
    return &((struct http_shared *)c->env->shared)->ration;
}

static void stage_set(struct http_connection *c, enum http_stage stage)
{
    c->stage = (uint8_t)stage;
    c->since_ms = http_now(c);
    c->seen = 0;
}

/* ---- answers ----------------------------------------------------------------------------- */

struct answer {
    int code;
    const char *type;
    const char *allow; /* header Allow, or NULL */
    struct slice body;
    bool is_head; /* the body is only announced */
    bool closes;
    bool is_1_0;
};

static void answer_write(struct http_connection *c, const struct answer *a)
{
    char date[40];
    time_t now = (time_t)(c->env->env->wall_ms(c->env->env) / 1000);
    struct tm utc;
    gmtime_r(&now, &utc);
    (void)strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &utc);

    buf_printf(&c->out, "HTTP/1.1 %d %s\r\nDate: %s\r\nCache-Control: no-store\r\n", a->code,
               http_reason(a->code), date);
    if (a->allow != NULL) {
        buf_printf(&c->out, "Allow: %s\r\n", a->allow);
    }
    if (a->closes) {
        buf_append_str(&c->out, "Connection: close\r\n");
    } else if (a->is_1_0) {
        buf_append_str(&c->out, "Connection: keep-alive\r\n");
    }
    if (a->code != 204) {
        buf_printf(&c->out, "Content-Type: %s\r\nContent-Length: %zu\r\n", a->type,
                   a->body.size);
    }
    buf_append_str(&c->out, "\r\n");
    if (!a->is_head) {
        buf_append_slice(&c->out, a->body);
    }
    memory_note(c->env->memory, MEMORY_REPLIES, c->out.size);
    c->env->sink.wake(c->env->sink.conn);
}

static void answer_count(const struct http_connection *c, const char *path, int code)
{
    const struct http_shared *shared = c->env->shared;
    if (shared->metrics != NULL) {
        char labels[64]; /* few paths and codes: few series */
        (void)snprintf(labels, sizeof labels, "path=\"%s\",code=\"%d\"", path, code);
        metric_add(metrics_counter(shared->metrics, "coord_http_requests_total", labels,
                                   "HTTP/1.1 requests answered."),
                   1);
    }
}

/* Refuses in a way after which the connection is of no more use. */
static void refuse(struct http_connection *c, int code)
{
    char body[64];
    (void)snprintf(body, sizeof body, "%d %s\n", code, http_reason(code));
    answer_count(c, "other", code);
    answer_write(c, &(struct answer){.code = code,
                                     .type = "text/plain; charset=utf-8",
                                     .body = slice_str(body),
                                     .closes = true});
    stage_set(c, HTTP_CLOSING);
}

static void answer_page(struct http_connection *c, const struct http_request *r, bool closes)
{
    const struct http_shared *shared = c->env->shared;
    const struct page *page = page_find(r->path);
    bool is_read = r->method == HTTP_GET || r->method == HTTP_HEAD;
    struct answer a = {.type = "text/plain; charset=utf-8",
                       .is_head = r->method == HTTP_HEAD,
                       .closes = closes,
                       .is_1_0 = r->is_1_0};
    struct buf body = {0};
    if (r->method == HTTP_OPTIONS && (page != NULL || slice_is(r->path, "*"))) {
        a.code = 204;
        a.allow = "GET, HEAD, OPTIONS";
    } else if (page != NULL && is_read) {
        uint64_t begin_us = http_now_us(c);
        a.code = page->print(&(struct page_context){.node = c->env->node,
                                                    .figures = shared->figures,
                                                    .now_ms = http_now(c)},
                             &body);
        a.type = page->type;
        if (shared->latency != NULL) {
            histogram_observe_us(shared->latency, http_now_us(c) - begin_us);
        }
    } else {
        a.code = page != NULL ? 405 : 404;
        a.allow = page != NULL ? "GET, HEAD, OPTIONS" : NULL;
        buf_printf(&body, "%d %s\n", a.code, http_reason(a.code));
    }
    a.body = buf_slice(&body);
    answer_count(c, page != NULL ? page->path : "other", a.code);
    answer_write(c, &a);
    buf_close(&body);
}

/* ---- requests ---------------------------------------------------------------------------- */

static void request_run(struct http_connection *c, struct slice head)
{
    struct http_request r;
    uint64_t begin_us = http_now_us(c);
    int code = http_request_parse(head, &r);
    if (code == 0 && r.content_bytes > HTTP_BODY_BYTES_MAX) {
        code = 413;
    } else if (code == 0 && (r.method == HTTP_TRACE || r.method == HTTP_CONNECT)) {
        code = 501;
    }
    if (code != 0) {
        refuse(c, code);
        return;
    }
    /* Who waits for permission to send a body gets the answer instead, and no next request: it
     * would not be clear whether the body still comes. */
    bool waits = r.expects_continue && r.content_bytes > 0;
    c->closes = !r.keep_alive || c->is_stopping || waits;
    answer_page(c, &r, c->closes);
    ration_spend(ration_of(c), http_now_us(c) - begin_us);
    c->body_bytes = waits ? 0 : r.content_bytes;
    stage_set(c, c->body_bytes > 0 ? HTTP_BODY : c->closes ? HTTP_CLOSING : HTTP_IDLE);
}

/* Finds the end of a head. Returns its size, 0 = wait for more or refused. */
static size_t head_find(struct http_connection *c, struct slice bytes)
{
    size_t head_bytes = http_head_bytes(bytes, c->seen);
    if (head_bytes > HTTP_HEAD_BYTES_MAX ||
        (head_bytes == 0 && bytes.size >= HTTP_HEAD_BYTES_MAX)) {
        bool has_line = memchr(bytes.data, '\n', HTTP_HEAD_BYTES_MAX) != NULL;
        refuse(c, has_line ? 431 : 414);
        return 0;
    }
    if (head_bytes == 0) {
        c->seen = bytes.size;
    }
    return head_bytes;
}

/* One step of the connection's machine. Returns how many bytes it took; 0 = it needs more. */
static size_t http_step(struct http_connection *c, struct slice bytes)
{
    switch ((enum http_stage)c->stage) {
    case HTTP_IDLE:
        /* An empty line before a request is allowed, RFC 9112 section 2.2. */
        if (bytes.data[0] == '\r' || bytes.data[0] == '\n') {
            return 1;
        }
        stage_set(c, HTTP_HEADING);
        return http_step(c, bytes);
    case HTTP_HEADING: {
        size_t head_bytes = head_find(c, bytes);
        if (head_bytes > 0) {
            request_run(c, slice_make(bytes.data, head_bytes));
        }
        return head_bytes;
    }
    case HTTP_BODY: {
        size_t skip = bytes.size < c->body_bytes ? bytes.size : (size_t)c->body_bytes;
        c->body_bytes -= skip;
        if (c->body_bytes == 0) {
            stage_set(c, c->closes ? HTTP_CLOSING : HTTP_IDLE);
        }
        return skip;
    }
    case HTTP_CLOSING: return bytes.size;
    }
    return bytes.size;
}

/* One request at a time: the next one waits until the answer is with the sink, which takes no
 * more from a client that does not read, and until all connections together have time for it. */
static bool may_go_on(struct http_connection *c)
{
    if (c->stage == HTTP_CLOSING) {
        return true;
    }
    if (c->out.size > 0) {
        c->env->sink.pause(c->env->sink.conn, true);
        return false;
    }
    if (!memory_admits(c->env->memory)) {
        return false; /* and about to be closed */
    }
    if (c->place.is_called) {
        c->since_ms = http_now(c); /* it stood in line: that was not the client's fault */
    }
    return c->stage == HTTP_BODY || ration_admits(ration_of(c), &c->place, http_now_us(c));
}

static ptrdiff_t http_feed(void *state, struct slice bytes)
{
    struct http_connection *c = state;
    size_t taken = 0;
    while (taken < bytes.size && may_go_on(c)) {
        size_t step = http_step(c, slice_make(bytes.data + taken, bytes.size - taken));
        if (step == 0) {
            break;
        }
        taken += step;
    }
    if (c->stage == HTTP_CLOSING) {
        return (ptrdiff_t)bytes.size;
    }
    return (ptrdiff_t)taken;
}

/* ---- the front --------------------------------------------------------------------------- */

static void *http_shared_new(const struct front_env *env)
{
    struct http_shared *shared = mem_zalloc(sizeof *shared);
    ration_init(&shared->ration);
    shared->figures = figures_new(env->metrics);
    shared->metrics = env->metrics;
    if (env->metrics != NULL) {
        shared->latency = metrics_histogram(env->metrics, "coord_http_request_seconds", NULL,
                                            "Time to make a page.");
    }
    return shared;
}

static void http_shared_free(void *state)
{
    struct http_shared *shared = state;
    figures_free(shared->figures);
    mem_free(shared);
}

static enum status http_open(void *state, const struct front_env *env)
{
    struct http_connection *c = state;
    c->env = env;
    ration_place_init(&c->place, &env->sink);
    stage_set(c, HTTP_IDLE);
    return RC_OK;
}

static void http_turn(void *state)
{
    struct http_connection *c = state;
    const struct front_sink *sink = &c->env->sink;
    if (c->out.size > 0) {
        uint64_t begin_us = http_now_us(c);
        (void)sink->write(sink->conn, buf_slice(&c->out));
        buf_close(&c->out);
        memory_note(c->env->memory, MEMORY_REPLIES, 0);
        ration_spend(ration_of(c), http_now_us(c) - begin_us);
    }
    if (c->stage == HTTP_CLOSING || (c->is_stopping && c->stage == HTTP_IDLE)) {
        sink->close(sink->conn, true);
    } else if (!ration_is_in_line(&c->place)) {
        ration_done(ration_of(c), &c->place, http_now_us(c));
        sink->pause(sink->conn, false);
    }
}

static uint64_t stage_deadline_ms(const struct http_connection *c)
{
    uint64_t idle_ms = c->env->limits->idle_timeout_ms;
    switch ((enum http_stage)c->stage) {
    case HTTP_IDLE: return idle_ms == 0 ? UINT64_MAX : c->since_ms + idle_ms;
    case HTTP_HEADING:
    case HTTP_BODY: return c->since_ms + HTTP_REQUEST_MS;
    case HTTP_CLOSING: return UINT64_MAX;
    }
    return UINT64_MAX;
}

/* One in line waits for us, not we for it. */
static uint64_t http_next_deadline_ms(const void *state)
{
    const struct http_connection *c = state;
    return ration_is_in_line(&c->place) ? ration_deadline_ms(ration_of(c), &c->place)
                                        : stage_deadline_ms(c);
}

static void http_tick(void *state, uint64_t now_ms)
{
    struct http_connection *c = state;
    if (now_ms < http_next_deadline_ms(c)) {
        return;
    }
    if (ration_is_in_line(&c->place)) {
        ration_tick(ration_of(c), http_now_us(c));
        return;
    }
    if (c->stage == HTTP_HEADING) {
        refuse(c, 408);
    } else {
        stage_set(c, HTTP_CLOSING);
        c->env->sink.wake(c->env->sink.conn);
    }
}

static void http_stop(void *state)
{
    struct http_connection *c = state;
    c->is_stopping = true;
    c->env->sink.wake(c->env->sink.conn);
}

static void http_drop(void *state)
{
    struct http_connection *c = state;
    buf_close(&c->out);
}

static void http_close(void *state)
{
    struct http_connection *c = state;
    ration_done(ration_of(c), &c->place, http_now_us(c));
    buf_close(&c->out);
}

const struct front http_front = {
    .name = "http",
    .state_size = sizeof(struct http_connection),
    .rest_bytes_max = REST_BYTES_MAX,
    .shared_new = http_shared_new,
    .shared_free = http_shared_free,
    .open = http_open,
    .feed = http_feed,
    .turn = http_turn,
    .tick = http_tick,
    .next_deadline_ms = http_next_deadline_ms,
    .stop = http_stop,
    .drop = http_drop,
    .close = http_close,
};
