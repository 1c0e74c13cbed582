/* The HTTP/1.1 front end, fed bytes directly: what it answers, refuses, and how it goes on. */
#include "net/http/http.h"

#include <jansson.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "net/figures.h"
#include "net/http/request.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_status.h"
#include "tests/support/memory_sum.h"

/* A connection: bytes go in as net/conn.c would offer them, output is collected. */
static struct {
    struct env env;
    uint64_t now_ms;
    struct metrics *metrics;
    struct front_limits limits;
    struct front_env front_env;
    void *state;
    struct buf rest;
    struct buf out;
    bool is_full; /* the sink answers false */
    bool is_paused, is_closed, closed_with_flush, is_awake;
    enum status failed;
} c;

static uint64_t clock_ms(struct env *env)
{
    (void)env;
    return c.now_ms;
}

static uint64_t clock_us(struct env *env)
{
    (void)env;
    return c.now_ms * 1000;
}

static uint64_t clock_wall(struct env *env)
{
    (void)env;
    return UINT64_C(784111777000); /* RFC 9110's own example of a date */
}

static bool sink_write(void *conn, struct slice bytes)
{
    (void)conn;
    ck_assert(!c.is_closed);
    buf_append_slice(&c.out, bytes);
    return !c.is_full;
}

static size_t sink_queued(void *conn)
{
    (void)conn;
    return 0;
}

static void sink_wake(void *conn)
{
    (void)conn;
    c.is_awake = true;
}

static void sink_pause(void *conn, bool paused)
{
    (void)conn;
    c.is_paused = paused;
}

static void sink_close(void *conn, bool flush)
{
    (void)conn;
    c.is_closed = true;
    c.closed_with_flush = flush;
}

static void setup(void)
{
    memset(&c, 0, sizeof c);
    c.now_ms = 5000;
    c.env = (struct env){.now_ms = clock_ms, .now_us = clock_us, .wall_ms = clock_wall};
    c.metrics = metrics_new();
    c.front_env = (struct front_env){.env = &c.env,
                                     .metrics = c.metrics,
                                     .limits = &c.limits,
                                     .sink = {.write = sink_write,
                                              .queued = sink_queued,
                                              .wake = sink_wake,
                                              .pause = sink_pause,
                                              .close = sink_close}};
    c.front_env.shared = http_front.shared_new(&c.front_env);
    c.state = mem_zalloc(http_front.state_size);
    ck_assert_int_eq(http_front.open(c.state, &c.front_env), RC_OK);
    fake_status = (struct node_status){.cluster_id = 0xabc,
                                       .node_id = 7,
                                       .name = "n1",
                                       .state = "leader",
                                       .state_reason = "",
                                       .term = 3,
                                       .leader_id = 7,
                                       .commit_index = 11,
                                       .applied_index = 10,
                                       .revision = 9,
                                       .serving = true,
                                       .member_count = 2};
    fake_status.members[0] = (struct node_member_status){.id = 7,
                                                         .name = "n1",
                                                         .role = MEMBER_VOTER,
                                                         .is_leader = true,
                                                         .is_self = true,
                                                         .is_up = true};
    fake_status.members[1] =
        (struct node_member_status){.id = 8, .name = "n2", .role = MEMBER_VOTER};
}

static void teardown(void)
{
    http_front.close(c.state);
    mem_free(c.state);
    http_front.shared_free(c.front_env.shared);
    metrics_free(c.metrics);
    buf_close(&c.rest);
    buf_close(&c.out);
}

static void feed(struct slice bytes)
{
    buf_append_slice(&c.rest, bytes);
    while (c.rest.size > 0 && !c.is_paused && !c.is_closed) {
        uint8_t *copy = mem_dup(c.rest.data, c.rest.size); /* exact size, for the sanitizers */
        ptrdiff_t taken = http_front.feed(c.state, slice_make(copy, c.rest.size));
        mem_free(copy);
        ck_assert_int_ge(taken, 0);
        buf_consume(&c.rest, (size_t)taken);
        http_front.turn(c.state);
        if (taken == 0) {
            break;
        }
    }
    ck_assert_uint_le(c.rest.size, http_front.rest_bytes_max);
}

/* Everything answered so far, as text. */
static const char *output(void)
{
    buf_append(&c.out, "", 1);
    c.out.size--;
    return (const char *)c.out.data;
}

static const char *ask(const char *request)
{
    buf_clear(&c.out);
    feed(slice_str(request));
    return output();
}

static int code_of(const char *answer)
{
    ck_assert_int_eq(strncmp(answer, "HTTP/1.1 ", 9), 0);
    return atoi(answer + 9);
}

static const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    ck_assert_ptr_nonnull(end);
    return end + 4;
}

static int times(const char *text, const char *what)
{
    int count = 0;
    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what)) {
        count++;
    }
    return count;
}

#define HOST "Host: x\r\n"

/* ---- pages ---- */

START_TEST(health_is_answered_with_a_complete_message)
{
    ck_assert_str_eq(ask("GET /health HTTP/1.1\r\n" HOST "\r\n"),
                     "HTTP/1.1 200 OK\r\n"
                     "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                     "Cache-Control: no-store\r\n"
                     "Content-Type: text/plain; charset=utf-8\r\n"
                     "Content-Length: 3\r\n\r\nok\n");
    ck_assert(!c.is_closed);
}
END_TEST

START_TEST(head_has_the_same_header_and_no_body)
{
    const char *answer = ask("HEAD /health HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(code_of(answer), 200);
    ck_assert_ptr_nonnull(strstr(answer, "Content-Length: 3\r\n"));
    ck_assert_str_eq(body_of(answer), "");
}
END_TEST

START_TEST(ready_says_why_not)
{
    ck_assert_int_eq(code_of(ask("GET /ready HTTP/1.1\r\n" HOST "\r\n")), 200);
    fake_status.serving = false;
    const char *answer = ask("GET /ready HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(code_of(answer), 503);
    ck_assert_str_eq(body_of(answer), "not ready: no leader is known\n");
    fake_status.state_reason = "its data dir is empty";
    ck_assert_str_eq(body_of(ask("GET /ready HTTP/1.1\r\n" HOST "\r\n")),
                     "not ready: its data dir is empty\n");
    ck_assert_int_eq(code_of(ask("GET /health HTTP/1.1\r\n" HOST "\r\n")), 200);
}
END_TEST

START_TEST(metrics_show_the_status_of_the_moment)
{
    (void)ask("GET /nothing HTTP/1.1\r\n" HOST "\r\n");
    const char *answer = ask("GET /metrics HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_ptr_nonnull(strstr(answer, "Content-Type: text/plain; version=0.0.4"));
    ck_assert_ptr_nonnull(strstr(answer, "\ncoord_raft_term 3\n"));
    ck_assert_ptr_nonnull(strstr(answer, "\ncoord_raft_commit_index 11\n"));
    ck_assert_ptr_nonnull(strstr(answer, "\ncoord_raft_applied_index 10\n"));
    ck_assert_ptr_nonnull(strstr(answer, "\ncoord_raft_is_leader 1\n"));
    ck_assert_ptr_nonnull(strstr(answer, "\ncoord_members 2\n"));
    ck_assert_ptr_nonnull(strstr(answer, "\ncoord_members_up 1\n"));
    ck_assert_ptr_nonnull(
        strstr(answer, "\ncoord_http_requests_total{path=\"other\",code=\"404\"} 1\n"));
    fake_status.term = 4;
    fake_status.leader_id = 8;
    answer = ask("GET /metrics HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_ptr_nonnull(strstr(answer, "\ncoord_raft_term 4\n"));
    ck_assert_ptr_nonnull(strstr(answer, "\ncoord_raft_is_leader 0\n"));
}
END_TEST

START_TEST(metrics_are_made_anew_for_a_few_readers_at_a_time)
{
    const char *answer = NULL;
    for (int i = 0; i < FIGURES_MADE_MAX + 3; i++) {
        fake_status.term = (uint64_t)(100 + i);
        answer = ask("GET /metrics HTTP/1.1\r\n" HOST "\r\n");
        ck_assert_int_eq(code_of(answer), 200);
    }
    char last[64];
    (void)snprintf(last, sizeof last, "\ncoord_raft_term %d\n", 100 + FIGURES_MADE_MAX - 1);
    ck_assert_ptr_nonnull(strstr(answer, last));
    c.now_ms += FIGURES_MADE_MS;
    (void)snprintf(last, sizeof last, "\ncoord_raft_term %d\n", 100 + FIGURES_MADE_MAX + 2);
    answer = ask("GET /metrics HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_ptr_nonnull(strstr(answer, last));
}
END_TEST

START_TEST(status_is_json)
{
    const char *answer = ask("GET /status HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_ptr_nonnull(strstr(answer, "Content-Type: application/json\r\n"));
    json_t *o = json_loads(body_of(answer), 0, NULL);
    ck_assert_ptr_nonnull(o);
    ck_assert_str_eq(json_string_value(json_object_get(o, "name")), "n1");
    ck_assert_str_eq(json_string_value(json_object_get(o, "role")), "leader");
    ck_assert_str_eq(json_string_value(json_object_get(o, "cluster_id")), "0000000000000abc");
    ck_assert_int_eq(json_integer_value(json_object_get(o, "term")), 3);
    json_t *members = json_object_get(o, "members");
    ck_assert_uint_eq(json_array_size(members), 2);
    json_t *second = json_array_get(members, 1);
    ck_assert_str_eq(json_string_value(json_object_get(second, "name")), "n2");
    ck_assert_str_eq(json_string_value(json_object_get(second, "role")), "follower");
    json_decref(o);
}
END_TEST

/* Paths and addresses are bytes that somebody else chose. */
START_TEST(status_is_json_whatever_its_texts_are)
{
    (void)snprintf(fake_status.members[1].client_address,
                   sizeof fake_status.members[1].client_address, "h\xffst:7400");
    json_t *o = json_loads(body_of(ask("GET /status HTTP/1.1\r\n" HOST "\r\n")), 0, NULL);
    ck_assert_ptr_nonnull(o);
    json_t *second = json_array_get(json_object_get(o, "members"), 1);
    ck_assert_str_eq(json_string_value(json_object_get(second, "client_address")),
                     "h?st:7400");
    json_decref(o);
}
END_TEST

START_TEST(version_is_one_line)
{
    const char *body = body_of(ask("GET /version?x=1 HTTP/1.1\r\n" HOST "\r\n"));
    ck_assert_uint_gt(strlen(body), 1);
    ck_assert_ptr_eq(strchr(body, '\n'), body + strlen(body) - 1);
}
END_TEST

/* ---- codes ---- */

static const struct {
    int code;
    bool goes_on; /* the connection stays open */
    const char *request;
} cases[] = {
    {404, true, "GET / HTTP/1.1\r\n" HOST "\r\n"},
    {404, true, "GET /health/ HTTP/1.1\r\n" HOST "\r\n"},
    {404, true, "POST /nothing HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"},
    {405, true, "POST /health HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi"},
    {405, true, "DELETE /status HTTP/1.1\r\n" HOST "\r\n"},
    {204, true, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"},
    {204, true, "OPTIONS /health HTTP/1.1\r\n" HOST "\r\n"},
    {200, true, "GET http://node.example:7400/health?a=b HTTP/1.1\r\n" HOST "\r\n"},
    {404, true, "GET http://node.example HTTP/1.1\r\n" HOST "\r\n"},
    {200, true, "\r\nGET /health HTTP/1.1\r\nhOsT:\t x \r\n\r\n"},
    {200, true, "GET /health HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"},
    {400, false, "GET /health HTTP/1.1\r\n" HOST "Content-Length: 0, \r\n\r\n"},
    {200, false, "GET /health HTTP/1.1\r\n" HOST "Connection: foo, Close\r\n\r\n"},
    {200, false, "GET /health HTTP/1.0\r\n\r\n"},
    {200, true, "GET /health HTTP/1.0\r\nConnection: foo\r\nConnection: Keep-Alive\r\n\r\n"},
    {400, false, "GET /health HTTP/1.1\r\n\r\n"},                       /* no Host */
    {400, false, "GET /health HTTP/1.1\r\n" HOST HOST "\r\n"},          /* two */
    {400, false, "GET /health\r\n\r\n"},                                /* HTTP/0.9 */
    {400, false, "GET  /health HTTP/1.1\r\n" HOST "\r\n"},              /* two blanks */
    {400, false, "GET /health HTTP/1.1 \r\n" HOST "\r\n"},              /* blank at the end */
    {400, false, "GET /health http/1.1\r\n" HOST "\r\n"},               /* wrong case */
    {400, false, "GET health HTTP/1.1\r\n" HOST "\r\n"},                /* no slash */
    {400, false, "GET * HTTP/1.1\r\n" HOST "\r\n"},                     /* only of OPTIONS */
    {400, false, "GET /a\x01 HTTP/1.1\r\n" HOST "\r\n"},                /* control byte */
    {400, false, "GET /a#b HTTP/1.1\r\n" HOST "\r\n"},                  /* fragment */
    {400, false, "GET /health HTTP/1.1\r\n" HOST "X : y\r\n\r\n"},      /* blank before colon */
    {400, false, "GET /health HTTP/1.1\r\n" HOST "X: y\r\n z\r\n\r\n"}, /* folded */
    {400, false, "GET /health HTTP/1.1\r\n" HOST "X\r\n\r\n"},          /* no colon */
    {400, false, "GET /health HTTP/1.1\r\n" HOST ": y\r\n\r\n"},        /* no name */
    {400, false, "GET /health HTTP/1.1\r\n" HOST "X: \x02\r\n\r\n"},    /* control byte */
    {400, false, "GET /health HTTP/1.1\n" HOST "X: y\r\n\r\n"},         /* bare line feed */
    {400, false, "GET /health HTTP/1.1\r\n" HOST "X: \ry\r\n\r\n"},     /* bare return */
    {400, false, "GET /health HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n"},
    {400, false, "GET /health HTTP/1.1\r\n" HOST "Content-Length: 1a\r\n\r\n"},
    {400, false, "GET /health HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n"},
    {400, false,
     "GET /health HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"},
    {400, false,
     "GET /health HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {413, false, "POST /health HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n"},
    {413, false,
     "POST /health HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999999999\r\n\r\n"},
    {417, false, "GET /health HTTP/1.1\r\n" HOST "Expect: wonders\r\n\r\n"},
    {405, false,
     "POST /health HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n"},
    {501, false, "POST /health HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"},
    {501, false, "BREW /health HTTP/1.1\r\n" HOST "\r\n"},
    {501, false, "TRACE /health HTTP/1.1\r\n" HOST "\r\n"},
    {501, false, "CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n"},
    {505, false, "GET /health HTTP/2.0\r\n" HOST "\r\n"},
};

START_TEST(each_request_gets_its_code_and_the_right_end)
{
    const char *request = cases[_i].request;
    const char *answer = ask(request);
    ck_assert_int_eq(code_of(answer), cases[_i].code);
    ck_assert_int_eq(c.is_closed, !cases[_i].goes_on);
    ck_assert_int_eq(times(answer, "Connection: close\r\n"), c.is_closed);
    ck_assert_int_eq(times(answer, "HTTP/1.1 "), 1);
    if (c.is_closed) {
        ck_assert(c.closed_with_flush);
        return;
    }
    /* The next request is understood: all of the last one, and no more, was taken. */
    ck_assert_int_eq(code_of(ask("GET /health HTTP/1.1\r\n" HOST "\r\n")), 200);
}
END_TEST

START_TEST(bytes_one_by_one_make_the_same_answer)
{
    const char *request = cases[_i].request;
    struct buf whole = {0};
    buf_append_str(&whole, ask(request));
    teardown();
    setup();
    for (size_t i = 0; request[i] != '\0' && !c.is_closed; i++) {
        feed(slice_make(request + i, 1));
    }
    (void)output();
    ck_assert(slice_equal(buf_slice(&c.out), buf_slice(&whole)));
    buf_close(&whole);
}
END_TEST

START_TEST(a_405_names_what_is_allowed)
{
    const char *answer = ask("PUT /metrics HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(code_of(answer), 405);
    ck_assert_ptr_nonnull(strstr(answer, "Allow: GET, HEAD, OPTIONS\r\n"));
}
END_TEST

/* ---- limits ---- */

/* "GET /aaa HTTP/1.1", a Host and a field that fills the head up to `head_bytes`. */
static void head_of(struct buf *out, size_t head_bytes, bool in_target)
{
    const char *fixed = "GET /";
    buf_append_str(out, fixed);
    size_t rest = strlen(" HTTP/1.1\r\n" HOST "X: \r\n\r\n");
    size_t filling = head_bytes - strlen(fixed) - rest;
    for (size_t i = 0; in_target && i < filling; i++) {
        buf_append_str(out, "a");
    }
    buf_append_str(out, " HTTP/1.1\r\n" HOST "X: ");
    for (size_t i = 0; !in_target && i < filling; i++) {
        buf_append_str(out, "a");
    }
    buf_append_str(out, "\r\n\r\n");
    ck_assert_uint_eq(out->size, head_bytes);
}

START_TEST(a_head_may_have_8_kib_and_not_one_byte_more)
{
    struct buf request = {0};
    head_of(&request, HTTP_HEAD_BYTES_MAX, false);
    feed(buf_slice(&request));
    ck_assert_int_eq(code_of(output()), 404);
    ck_assert(!c.is_closed);
    buf_clear(&c.out);
    buf_clear(&request);
    head_of(&request, HTTP_HEAD_BYTES_MAX + 1, false);
    feed(buf_slice(&request));
    ck_assert_int_eq(code_of(output()), 431);
    ck_assert(c.is_closed);
    buf_close(&request);
}
END_TEST

START_TEST(a_request_line_that_does_not_end_is_refused_as_such)
{
    struct buf request = {0};
    head_of(&request, 2 * HTTP_HEAD_BYTES_MAX, true);
    feed(slice_make(request.data, HTTP_HEAD_BYTES_MAX - 1));
    ck_assert_uint_eq(c.out.size, 0);
    feed(slice_make(request.data, 1));
    ck_assert_int_eq(code_of(output()), 414);
    ck_assert(c.is_closed);
    buf_close(&request);
}
END_TEST

START_TEST(more_than_a_hundred_fields_are_refused)
{
    struct buf request = {0};
    for (int fields = 100; fields <= 101; fields++) {
        buf_clear(&request);
        buf_clear(&c.out);
        buf_append_str(&request, "GET /health HTTP/1.1\r\n" HOST);
        for (int i = 1; i < fields; i++) {
            buf_printf(&request, "X%d: y\r\n", i);
        }
        buf_append_str(&request, "\r\n");
        feed(buf_slice(&request));
        ck_assert_int_eq(code_of(output()), fields == 100 ? 200 : 431);
    }
    buf_close(&request);
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order)
{
    const char *answer = ask("GET /health HTTP/1.1\r\n" HOST "\r\n"
                             "POST /health HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nGET "
                             "HEAD /health HTTP/1.1\r\n" HOST "\r\n"
                             "GET /nothing HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(times(answer, "HTTP/1.1 "), 4);
    const char *at = strstr(answer, "HTTP/1.1 200");
    ck_assert_ptr_eq(at, answer);
    at = strstr(at, "HTTP/1.1 405");
    ck_assert_ptr_nonnull(at);
    at = strstr(at, "HTTP/1.1 200");
    ck_assert_ptr_nonnull(at);
    ck_assert_ptr_nonnull(strstr(at, "HTTP/1.1 404"));
}
END_TEST

START_TEST(pipelining_stops_while_answers_are_not_taken)
{
    struct buf requests = {0};
    const char *one = "GET /status HTTP/1.1\r\n" HOST "\r\n";
    size_t count = 1000;
    for (size_t i = 0; i < count; i++) {
        buf_append_str(&requests, one);
    }
    /* One at a time: the next waits for the turn that hands over the answer. */
    ptrdiff_t taken = http_front.feed(c.state, buf_slice(&requests));
    ck_assert_int_eq(taken, (ptrdiff_t)strlen(one));
    ck_assert(c.is_paused);
    ck_assert_int_eq(http_front.feed(c.state, buf_slice(&requests)), 0);
    /* And goes on afterwards, until all is answered. */
    for (size_t turns = 0; turns < count && requests.size > 0; turns++) {
        buf_consume(&requests, (size_t)taken);
        http_front.turn(c.state);
        ck_assert(!c.is_paused);
        taken = http_front.feed(c.state, buf_slice(&requests));
    }
    http_front.turn(c.state);
    ck_assert_uint_eq(requests.size, 0);
    ck_assert_int_eq(times(output(), "HTTP/1.1 200"), (int)count);
    buf_close(&requests);
}
END_TEST

START_TEST(what_a_reply_holds_is_noted_and_let_go)
{
    struct slice one = slice_str("GET /status HTTP/1.1\r\n" HOST "\r\n");
    sum_begin(&c.front_env, &http_front, c.state);
    ck_assert_int_eq(http_front.feed(c.state, one), (ptrdiff_t)one.size);
    size_t noted = sum.hold.parts[MEMORY_REPLIES];
    http_front.turn(c.state);
    ck_assert_uint_eq(noted, c.out.size);
    ck_assert_uint_eq(sum.hold.bytes, 0);
    /* When it is evicted it takes no further request. */
    sum_overflow();
    ck_assert_int_eq(http_front.feed(c.state, one), 0);
    ck_assert(sum.is_evicted);
    ck_assert_uint_eq(sum.memory.bytes, 1);
    c.front_env.memory = NULL;
}
END_TEST

/* ---- time and end ---- */

static void pass_time(uint64_t ms)
{
    c.now_ms += ms;
    if (http_front.next_deadline_ms(c.state) <= c.now_ms) {
        http_front.tick(c.state, c.now_ms);
        http_front.turn(c.state);
    }
}

START_TEST(a_request_that_takes_too_long_is_ended)
{
    ck_assert_uint_eq(http_front.next_deadline_ms(c.state), UINT64_MAX);
    feed(slice_str("GET /hea"));
    for (int i = 0; i < 9; i++) { /* a byte now and then does not help */
        pass_time(HTTP_REQUEST_MS / 10);
        feed(slice_str("x"));
        ck_assert(!c.is_closed);
    }
    pass_time(HTTP_REQUEST_MS / 10);
    ck_assert(c.is_closed);
    ck_assert_int_eq(code_of(output()), 408);
}
END_TEST

START_TEST(a_body_that_does_not_come_ends_the_connection)
{
    (void)ask("POST /health HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc");
    ck_assert(!c.is_closed);
    pass_time(HTTP_REQUEST_MS);
    ck_assert(c.is_closed);
}
END_TEST

START_TEST(idle_connections_end_only_if_so_configured)
{
    (void)ask("GET /health HTTP/1.1\r\n" HOST "\r\n");
    pass_time(1000000);
    ck_assert(!c.is_closed);
    c.limits.idle_timeout_ms = 30000;
    (void)ask("GET /health HTTP/1.1\r\n" HOST "\r\n");
    pass_time(29999);
    ck_assert(!c.is_closed);
    pass_time(1);
    ck_assert(c.is_closed);
}
END_TEST

START_TEST(a_stop_ends_idle_connections_at_once_and_others_after_their_answer)
{
    feed(slice_str("GET /health HTTP/1.1\r\n"));
    http_front.stop(c.state);
    http_front.turn(c.state);
    ck_assert(!c.is_closed);
    feed(slice_str(HOST "\r\n"));
    ck_assert_ptr_nonnull(strstr(output(), "Connection: close\r\n"));
    ck_assert(c.is_closed);

    teardown();
    setup();
    http_front.stop(c.state);
    ck_assert(c.is_awake);
    http_front.turn(c.state);
    ck_assert(c.is_closed);
    ck_assert_uint_eq(c.out.size, 0);
}
END_TEST

/* Mutated real requests: whatever comes, answers are whole and nothing is left in a bad state. */
START_TEST(damaged_requests_never_confuse_it)
{
    struct rng r;
    rng_init(&r, 9);
    for (int round = 0; round < 3000; round++) {
        size_t which = (size_t)rng_below(&r, sizeof cases / sizeof cases[0]);
        size_t size = strlen(cases[which].request);
        uint8_t *bytes = mem_dup(cases[which].request, size);
        for (uint64_t n = rng_range(&r, 1, 4); n > 0; n--) {
            bytes[rng_below(&r, size)] = (uint8_t)rng_next(&r);
        }
        buf_clear(&c.out);
        feed(slice_make(bytes, size));
        mem_free(bytes);
        if (c.out.size > 0) {
            ck_assert_int_ge(code_of(output()), 200);
        }
        if (c.is_closed || rng_chance(&r, 100)) {
            teardown();
            setup();
        }
    }
}
END_TEST

static Suite *http_suite(void)
{
    Suite *s = suite_create("http");
    TCase *t = tcase_create("front");
    int count = (int)(sizeof cases / sizeof cases[0]);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, health_is_answered_with_a_complete_message);
    tcase_add_test(t, head_has_the_same_header_and_no_body);
    tcase_add_test(t, ready_says_why_not);
    tcase_add_test(t, metrics_show_the_status_of_the_moment);
    tcase_add_test(t, metrics_are_made_anew_for_a_few_readers_at_a_time);
    tcase_add_test(t, status_is_json);
    tcase_add_test(t, status_is_json_whatever_its_texts_are);
    tcase_add_test(t, version_is_one_line);
    tcase_add_loop_test(t, each_request_gets_its_code_and_the_right_end, 0, count);
    tcase_add_loop_test(t, bytes_one_by_one_make_the_same_answer, 0, count);
    tcase_add_test(t, a_405_names_what_is_allowed);
    tcase_add_test(t, a_head_may_have_8_kib_and_not_one_byte_more);
    tcase_add_test(t, a_request_line_that_does_not_end_is_refused_as_such);
    tcase_add_test(t, more_than_a_hundred_fields_are_refused);
    tcase_add_test(t, pipelined_requests_are_answered_in_order);
    tcase_add_test(t, pipelining_stops_while_answers_are_not_taken);
    tcase_add_test(t, what_a_reply_holds_is_noted_and_let_go);
    tcase_add_test(t, a_request_that_takes_too_long_is_ended);
    tcase_add_test(t, a_body_that_does_not_come_ends_the_connection);
    tcase_add_test(t, idle_connections_end_only_if_so_configured);
    tcase_add_test(t, a_stop_ends_idle_connections_at_once_and_others_after_their_answer);
    tcase_add_test(t, damaged_requests_never_confuse_it);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){http_suite, NULL});
}
