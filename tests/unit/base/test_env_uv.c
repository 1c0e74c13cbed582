/* The production env against the real kernel: queues, streams on loopback, files, locks. */
#include "base/env_uv.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "tests/support/check_main.h"

static uv_loop_t loop;
static struct env *env;
static char last_line[4096];
static int lines;

static void keep_line(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    snprintf(last_line, sizeof last_line, "%s", line);
    lines++;
}

static struct log test_log = {.level = LOG_DEBUG, .sink = keep_line};

static void forget_everything(void);

static void setup(void)
{
    forget_everything();
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    env = env_uv_new(&loop, &test_log);
}

/* A loop that still holds a handle cannot be closed: each test proves that nothing leaked. */
static void teardown(void)
{
    env_uv_free(env);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

/* Check's own limit ends a test whose condition never comes. */
#define WAIT_FOR(condition)                                                                        \
    while (!(condition)) {                                                                         \
        uv_run(&loop, UV_RUN_ONCE);                                                                \
    }

/* ---- queues ------------------------------------------------------------------------------ */

#define JOBS 1000

struct counted_job {
    struct env_job job;
    int number;
    int resubmits;
    uv_thread_t ran_on;
};

static struct env_queue *queue;
static int run_next;  /* worker only */
static int done_next; /* loop only */
static int starting_gun[2];

static void job_run(struct env_job *job)
{
    struct counted_job *j = LIST_OF(job, struct counted_job, job);
    j->ran_on = uv_thread_self();
    ck_assert_int_eq(j->number, run_next);
    run_next++;
}

static void job_done(struct env_job *job)
{
    struct counted_job *j = LIST_OF(job, struct counted_job, job);
    uv_thread_t self = uv_thread_self();
    ck_assert(!uv_thread_equal(&j->ran_on, &self));
    ck_assert_int_eq(j->number, done_next);
    done_next++;
    if (j->resubmits > 0) {
        j->resubmits--;
        j->number += JOBS;
        env->queue_submit(queue, job);
    }
}

START_TEST(queue_runs_jobs_in_order_and_reports_them_on_the_loop_in_order)
{
    struct counted_job *jobs = mem_zalloc(JOBS * sizeof *jobs);
    queue = env->queue_open(env, "test");
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct counted_job){
            .job = {.run = job_run, .done = job_done}, .number = i, .resubmits = 2};
        env->queue_submit(queue, &jobs[i].job);
    }
    ck_assert_int_eq(done_next, 0); /* never from inside submit */
    WAIT_FOR(done_next == 3 * JOBS);
    env->queue_close(queue);
    ck_assert_int_eq(run_next, 3 * JOBS);
    mem_free(jobs);
}
END_TEST

static void job_done_closes(struct env_job *job)
{
    job_done(job);
    env->queue_close(queue);
}

static struct env_queue *three[3];

static void job_done_closes_all(struct env_job *job)
{
    (void)job;
    done_next++;
    for (int i = 0; i < 3; i++) {
        env->queue_close(three[i]);
    }
}

static void wait_for_a_byte(struct env_job *job)
{
    (void)job;
    char byte;
    ck_assert_int_eq(read(starting_gun[0], &byte, 1), 1);
}

START_TEST(queue_done_may_close_queues_that_have_something_to_tell)
{
    struct env_job jobs[3];
    ck_assert_int_eq(pipe(starting_gun), 0);
    for (int i = 0; i < 3; i++) {
        three[i] = env->queue_open(env, "test");
        jobs[i] = (struct env_job){.run = wait_for_a_byte, .done = job_done_closes_all};
        env->queue_submit(three[i], &jobs[i]);
    }
    ck_assert_int_eq(write(starting_gun[1], "123", 3), 3);
    WAIT_FOR(done_next == 1);
    uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert_int_eq(done_next, 1);
    close(starting_gun[0]);
    close(starting_gun[1]);
}
END_TEST

static void give_way_often(struct env_job *job)
{
    (void)job;
    for (int i = 0; i < 20000; i++) {
        env_give_way(env);
    }
}

static void count_done(struct env_job *job)
{
    (void)job;
    done_next++;
}

START_TEST(queue_in_the_background_gives_way_and_comes_to_its_end)
{
    struct env_job job = {.run = give_way_often, .done = count_done};
    queue = env_queue_open_background(env, "test");
    env->queue_submit(queue, &job);
    WAIT_FOR(done_next == 1);
    give_way_often(&job); /* and so does the loop's thread, which gives none */
    env->queue_close(queue);
}
END_TEST

START_TEST(queue_close_waits_for_all_jobs_and_silences_their_done)
{
    struct counted_job jobs[50];
    queue = env->queue_open(env, "test");
    for (int i = 0; i < 50; i++) {
        jobs[i] = (struct counted_job){
            .job = {.run = job_run, .done = i == 0 ? job_done_closes : job_done}, .number = i};
        env->queue_submit(queue, &jobs[i].job);
    }
    WAIT_FOR(done_next == 1);
    ck_assert_int_eq(run_next, 50);
    uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert_int_eq(done_next, 1);
}
END_TEST

/* ---- streams ----------------------------------------------------------------------------- */

/* One end of a connection, and everything that happened to it. */
struct end {
    struct env_stream *stream;
    struct buf got;
    int opened;
    int drained;
    int closed;
    enum status rc;
    bool echo;
    bool close_on_data;
};

static struct env_listener *listener;
static struct end server;
static struct end client;

static void end_open(void *owner)
{
    struct end *e = owner;
    e->opened++;
}

static void end_data(void *owner, struct slice bytes)
{
    struct end *e = owner;
    buf_append_slice(&e->got, bytes);
    if (e->echo) {
        env->net->write(e->stream, bytes);
    }
    if (e->close_on_data) {
        env->net->close(e->stream, false);
        e->stream = NULL;
    }
}

static void end_drain(void *owner)
{
    struct end *e = owner;
    ck_assert_uint_lt(env->net->queued(e->stream), ENV_STREAM_QUEUE_MAX / 2);
    e->drained++;
}

static void end_closed(void *owner, enum status rc)
{
    struct end *e = owner;
    e->closed++;
    e->rc = rc;
    e->stream = NULL;
}

static const struct env_stream_events end_events = {end_open, end_data, end_drain, end_closed};

static void accept_end(void *owner, struct env_stream *stream)
{
    struct end *e = owner;
    e->stream = stream;
    env->net->attach(stream, &end_events, e);
}

static void listen_on(const char *host)
{
    struct errmsg err;
    enum status rc = env->net->listen(env, host, 0, accept_end, &server, &listener, &err);
    ck_assert_msg(rc == RC_OK, "%s", err.text);
}

static void connect_to(const char *host)
{
    client.stream = env->net->connect(env, host, env->net->listener_port(listener), &end_events,
                                      &client);
}

static void connect_pair(void)
{
    listen_on("127.0.0.1");
    connect_to("127.0.0.1");
    ck_assert_int_eq(client.opened, 0);
    WAIT_FOR(client.opened && server.stream != NULL);
}

static void ends_free(void)
{
    buf_close(&server.got);
    buf_close(&client.got);
}

START_TEST(stream_echoes_what_was_written_before_and_after_it_opened)
{
    listen_on("127.0.0.1");
    server.echo = true;
    connect_to("127.0.0.1");
    ck_assert(env->net->write(client.stream, slice_str("early ")));
    WAIT_FOR(client.opened);
    ck_assert(env->net->write(client.stream, slice_str("late")));
    WAIT_FOR(client.got.size == 10);
    ck_assert(slice_is(buf_slice(&client.got), "early late"));
    ck_assert_int_eq(client.opened, 1);
    char name[64];
    char expected[64];
    env->net->peer_name(client.stream, name, sizeof name);
    snprintf(expected, sizeof expected, "127.0.0.1:%u", env->net->listener_port(listener));
    ck_assert_str_eq(name, expected);
    ends_free();
}
END_TEST

START_TEST(stream_connects_by_host_name)
{
    listen_on("localhost");
    connect_to("localhost");
    WAIT_FOR(client.opened && server.stream != NULL);
    ck_assert_int_eq(client.closed, 0);
}
END_TEST

START_TEST(stream_to_a_listener_on_every_address_may_use_ipv4)
{
    struct errmsg err;
    if (env->net->listen(env, "[::]", 0, accept_end, &server, &listener, &err) != RC_OK) {
        return; /* a machine without IPv6 */
    }
    connect_to("127.0.0.1");
    WAIT_FOR(client.opened && server.stream != NULL);
    char name[64];
    env->net->peer_name(server.stream, name, sizeof name);
    ck_assert_msg(strncmp(name, "127.0.0.1:", 10) == 0, "%s", name);
}
END_TEST

START_TEST(stream_to_a_port_nobody_listens_on_is_closed_as_refused)
{
    listen_on("127.0.0.1");
    uint16_t port = env->net->listener_port(listener);
    env->net->listener_close(listener);
    client.stream = env->net->connect(env, "127.0.0.1", port, &end_events, &client);
    ck_assert_int_eq(client.closed, 0); /* never from inside the call */
    WAIT_FOR(client.closed);
    ck_assert_int_eq(client.rc, RC_REFUSED);
    ck_assert_int_eq(client.opened, 0);
}
END_TEST

START_TEST(stream_to_a_name_that_does_not_exist_is_closed)
{
    client.stream = env->net->connect(env, "no such host", 1, &end_events, &client);
    WAIT_FOR(client.closed);
    ck_assert_int_ne(client.rc, RC_OK);
}
END_TEST

START_TEST(stream_closed_while_its_name_is_looked_up_is_silent)
{
    client.stream = env->net->connect(env, "localhost", 1, &end_events, &client);
    env->net->close(client.stream, true);
    /* The teardown runs the loop until the lookup is over. */
    env_uv_free(env);
    ck_assert_int_eq(client.closed + client.opened, 0);
    env = NULL;
}
END_TEST

START_TEST(stream_closed_while_it_connects_is_silent)
{
    listen_on("127.0.0.1");
    connect_to("127.0.0.1");
    env->net->write(client.stream, slice_str("never sent"));
    env->net->close(client.stream, false);
    connect_to("127.0.0.1");
    uv_run(&loop, UV_RUN_NOWAIT);
    env->net->close(client.stream, true);
    env_uv_free(env);
    ck_assert_int_eq(client.closed, 0);
    env = NULL;
}
END_TEST

/* localhost is ::1 as well on most machines, where this listener is not. */
START_TEST(stream_tries_each_address_of_a_name)
{
    listen_on("127.0.0.1");
    connect_to("localhost");
    WAIT_FOR(client.opened || client.closed);
    ck_assert_int_eq(client.opened, 1);
    env->net->listener_close(listener);
    struct end second = {0};
    second.stream = env->net->connect(env, "localhost", 1, &end_events, &second);
    WAIT_FOR(second.closed);
    ck_assert_int_eq(second.rc, RC_REFUSED);
}
END_TEST

START_TEST(stream_queue_is_bounded_by_telling_the_writer_and_drains)
{
    connect_pair();
    env->net->read_pause(server.stream, true);
    static uint8_t block[64 << 10];
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = (uint8_t)(i * 7);
    }
    size_t written = 0;
    bool more = true;
    while (more) {
        more = env->net->write(client.stream, slice_make(block, sizeof block));
        written += sizeof block;
        ck_assert_int_eq(more, env->net->queued(client.stream) <= ENV_STREAM_QUEUE_MAX);
    }
    ck_assert_int_eq(client.drained, 0);
    env->net->read_pause(server.stream, false);
    WAIT_FOR(client.drained == 1);
    WAIT_FOR(server.got.size == written);
    ck_assert_uint_eq(env->net->queued(client.stream), 0);
    for (size_t i = 0; i < written; i += sizeof block) {
        ck_assert_int_eq(memcmp(server.got.data + i, block, sizeof block), 0);
    }
    ck_assert_int_eq(client.drained, 1);
    ends_free();
}
END_TEST

START_TEST(stream_close_with_flush_delivers_all_that_is_queued_and_says_nothing)
{
    connect_pair();
    env->net->read_pause(server.stream, true);
    static uint8_t block[256 << 10];
    size_t written = 0;
    while (env->net->queued(client.stream) < ENV_STREAM_QUEUE_MAX) {
        env->net->write(client.stream, slice_make(block, sizeof block));
        written += sizeof block;
    }
    /* Bytes that the closing side never read must not reset the connection. */
    env->net->write(server.stream, slice_str("unread"));
    env->net->close(client.stream, true);
    env->net->read_pause(server.stream, false);
    WAIT_FOR(server.closed);
    ck_assert_uint_eq(server.got.size, written);
    ck_assert_int_eq(server.rc, RC_CLOSED);
    ck_assert_int_eq(client.closed, 0);
    ends_free();
}
END_TEST

START_TEST(stream_close_with_flush_is_cut_off_when_the_other_side_never_reads)
{
    connect_pair();
    env->net->read_pause(server.stream, true);
    static uint8_t block[256 << 10];
    size_t written = 0;
    while (env->net->queued(client.stream) < ENV_STREAM_QUEUE_MAX) {
        env->net->write(client.stream, slice_make(block, sizeof block));
        written += sizeof block;
    }
    uint64_t from_ms = env->now_ms(env);
    env->net->close(client.stream, true);
    /* Only the flush timer can wake the loop so late. */
    WAIT_FOR(env->now_ms(env) - from_ms >= 3000);
    env->net->read_pause(server.stream, false);
    WAIT_FOR(server.closed);
    ck_assert_uint_lt(server.got.size, written);
    ends_free();
}
END_TEST

START_TEST(stream_close_without_flush_tells_the_other_side_at_once)
{
    connect_pair();
    env->net->close(client.stream, false);
    WAIT_FOR(server.closed);
    ck_assert_int_eq(server.rc, RC_CLOSED);
    ck_assert_int_eq(client.closed, 0);
}
END_TEST

START_TEST(stream_may_be_closed_inside_its_data_callback)
{
    connect_pair();
    server.close_on_data = true;
    env->net->write(client.stream, slice_str("bye"));
    WAIT_FOR(client.closed);
    ck_assert_ptr_null(server.stream);
    ck_assert_int_eq(server.closed, 0);
    ck_assert(slice_is(buf_slice(&server.got), "bye"));
    ends_free();
}
END_TEST

START_TEST(stream_that_broke_under_a_write_is_reported_later_and_once)
{
    connect_pair();
    env->net->close(server.stream, false);
    uv_run(&loop, UV_RUN_NOWAIT);
    /* Reads may not notice first: only the writes do. */
    while (client.closed == 0) {
        if (client.stream != NULL) {
            int before = client.closed;
            env->net->write(client.stream, slice_str("anybody there?"));
            ck_assert_int_eq(client.closed, before);
        }
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert_int_eq(client.closed, 1);
}
END_TEST

static int accepted;

static void accept_and_close(void *owner, struct env_stream *stream)
{
    (void)owner;
    accepted++;
    env->net->close(stream, false);
    env->net->listener_close(listener);
}

START_TEST(listener_may_be_closed_inside_its_accept_callback)
{
    struct errmsg err;
    ck_assert_int_eq(
        env->net->listen(env, "127.0.0.1", 0, accept_and_close, NULL, &listener, &err), RC_OK);
    connect_to("127.0.0.1");
    WAIT_FOR(client.closed);
    ck_assert_int_eq(accepted, 1);
}
END_TEST

START_TEST(listener_refuses_a_port_in_use_and_says_why)
{
    listen_on("127.0.0.1");
    struct env_listener *second;
    struct errmsg err;
    enum status rc = env->net->listen(env, "127.0.0.1", env->net->listener_port(listener),
                                      accept_end, &server, &second, &err);
    ck_assert_int_eq(rc, RC_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "address already in use"));
}
END_TEST

/* A raw socket that knows nothing of the loop, so that the process can run out of descriptors
 * between connecting and accepting. */
static int raw_connect(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

START_TEST(listener_out_of_descriptors_pauses_and_then_serves_who_waited)
{
    listen_on("127.0.0.1");
    uv_run(&loop, UV_RUN_NOWAIT); /* the loop's own descriptors are there by now */
    int fd = raw_connect(env->net->listener_port(listener));
    struct rlimit old;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    struct rlimit none = {.rlim_cur = (rlim_t)fd, .rlim_max = old.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    WAIT_FOR(lines > 0);
    ck_assert_msg(strncmp(last_line, "net.accept_paused port=", 23) == 0, "%s", last_line);
    uv_run(&loop, UV_RUN_ONCE); /* rested, tried again */
    uv_run(&loop, UV_RUN_ONCE);
    ck_assert_int_eq(lines, 1); /* told once */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    WAIT_FOR(server.stream != NULL);
    close(fd);
}
END_TEST

START_TEST(many_idle_streams_need_no_buffer_each)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    listen_on("127.0.0.1");
    enum { STREAMS = 200 };
    static struct end ends[STREAMS];
    for (int i = 0; i < STREAMS; i++) {
        ends[i].stream = env->net->connect(env, "127.0.0.1", env->net->listener_port(listener),
                                           &end_events, &ends[i]);
    }
    for (int i = 0; i < STREAMS; i++) {
        WAIT_FOR(ends[i].opened);
    }
    ck_assert_int_eq(lines, 0);
}
END_TEST

/* ---- turns ------------------------------------------------------------------------------- */

static int turns;
static uint64_t deadline_ms;
static uint64_t reached_ms;

static void count_turn(void *context)
{
    (void)context;
    turns++;
    if (reached_ms == 0 && env->now_ms(env) >= deadline_ms) {
        reached_ms = env->now_ms(env);
        deadline_ms = UINT64_MAX;
    }
}

static uint64_t give_deadline(void *context)
{
    (void)context;
    return deadline_ms;
}

START_TEST(turn_runs_when_its_deadline_comes_and_not_all_the_time)
{
    uint64_t wanted = env->now_ms(env) + 50;
    deadline_ms = wanted;
    env_uv_on_turn(env, count_turn, give_deadline, NULL);
    WAIT_FOR(reached_ms != 0);
    ck_assert_uint_ge(reached_ms, wanted);
    ck_assert_int_lt(turns, 20);
}
END_TEST

static int turns_at_done;

static void note_turns(struct env_job *job)
{
    (void)job;
    turns_at_done = turns;
}

static void do_nothing(struct env_job *job)
{
    (void)job;
}

START_TEST(turn_follows_the_callbacks_of_its_iteration)
{
    deadline_ms = UINT64_MAX;
    reached_ms = 1;
    turns_at_done = -1;
    env_uv_on_turn(env, count_turn, give_deadline, NULL);
    queue = env->queue_open(env, "test");
    struct env_job job = {.run = do_nothing, .done = note_turns};
    env->queue_submit(queue, &job);
    WAIT_FOR(turns_at_done >= 0);
    ck_assert_int_gt(turns, turns_at_done);
    env->queue_close(queue);
}
END_TEST

/* ---- disk -------------------------------------------------------------------------------- */

static char dir[64];

static const char *in_dir(const char *name)
{
    static char path[4][160];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static void disk_setup(void)
{
    setup();
    snprintf(dir, sizeof dir, "/tmp/coord-env-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void unlink_name(void *context, const char *name, uint64_t bytes)
{
    (void)context;
    (void)bytes;
    (void)env->disk->unlink(env, in_dir(name));
}

static void disk_teardown(void)
{
    (void)env->disk->list(env, dir, unlink_name, NULL);
    ck_assert_int_eq(rmdir(dir), 0);
    teardown();
}

static struct env_file *must_create(const char *name)
{
    struct env_file *file;
    ck_assert_int_eq(env->disk->open(env, in_dir(name), ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file),
                     RC_OK);
    return file;
}

START_TEST(file_gives_back_what_was_written_where_it_was_written)
{
    struct env_file *file = must_create("a");
    ck_assert_int_eq(env->disk->write(file, 10, "hello", 5), RC_OK);
    ck_assert_int_eq(env->disk->sync(file), RC_OK);
    char text[32] = "";
    size_t got;
    ck_assert_int_eq(env->disk->read(file, 10, text, 5, &got), RC_OK);
    ck_assert_uint_eq(got, 5);
    ck_assert_str_eq(text, "hello");
    ck_assert_int_eq(env->disk->read(file, 13, text, sizeof text, &got), RC_OK);
    ck_assert_uint_eq(got, 2); /* short at the end only */
    uint64_t bytes;
    ck_assert_int_eq(env->disk->size(file, &bytes), RC_OK);
    ck_assert_uint_eq(bytes, 15);
    ck_assert_int_eq(env->disk->truncate(file, 3), RC_OK);
    ck_assert_int_eq(env->disk->read(file, 0, text, sizeof text, &got), RC_OK);
    ck_assert_uint_eq(got, 3);
    ck_assert_int_eq(text[0], 0);
    env->disk->close(file);
    ck_assert_int_eq(lines, 0);
}
END_TEST

START_TEST(missing_names_are_not_found_and_not_logged)
{
    struct env_file *file;
    ck_assert_int_eq(env->disk->open(env, in_dir("no"), ENV_OPEN_READ, &file), RC_NOT_FOUND);
    ck_assert_int_eq(env->disk->unlink(env, in_dir("no")), RC_NOT_FOUND);
    ck_assert_int_eq(env->disk->rename(env, in_dir("no"), in_dir("x")), RC_NOT_FOUND);
    ck_assert_int_eq(env->disk->list(env, in_dir("no"), unlink_name, NULL), RC_NOT_FOUND);
    ck_assert_int_eq(env->disk->sync_dir(env, in_dir("no")), RC_NOT_FOUND);
    ck_assert_int_eq(lines, 0);
}
END_TEST

START_TEST(other_disk_errors_are_io_and_their_text_is_logged)
{
    struct env_file *file = must_create("plain file");
    env->disk->close(file);
    ck_assert_int_eq(env->disk->mkdir(env, in_dir("plain file")), RC_IO);
    char expected[256];
    snprintf(expected, sizeof expected,
             "disk.error op=mkdir path=\"%s/plain file\" error=\"not a directory\"", dir);
    ck_assert_str_eq(last_line, expected);

    struct env_file *read_only;
    ck_assert_int_eq(env->disk->open(env, in_dir("plain file"), ENV_OPEN_READ, &read_only), RC_OK);
    ck_assert_int_eq(env->disk->write(read_only, 0, "x", 1), RC_IO);
    ck_assert_ptr_nonnull(strstr(last_line, "op=write"));
    env->disk->close(read_only);
}
END_TEST

START_TEST(full_disk_is_told_apart)
{
    struct env_file *file;
    if (env->disk->open(env, "/dev/full", ENV_OPEN_WRITE, &file) != RC_OK) {
        return; /* a system without that device */
    }
    ck_assert_int_eq(env->disk->write(file, 0, "x", 1), RC_NO_SPACE);
    env->disk->close(file);
}
END_TEST

START_TEST(what_is_not_permitted_is_told_apart)
{
    bool is_root = geteuid() == 0; /* who may everything */
    ck_assert_int_eq(chmod(dir, S_IRUSR | S_IXUSR), 0);
    bool may_try = !is_root || seteuid(65534) == 0;
    enum status rc = may_try ? env->disk->mkdir(env, in_dir("new")) : RC_DENIED;
    ck_assert(!is_root || seteuid(0) == 0);
    ck_assert_int_eq(chmod(dir, S_IRWXU), 0);
    ck_assert_int_eq(rc, RC_DENIED);
}
END_TEST

static void add_size(void *context, const char *name, uint64_t bytes)
{
    uint64_t *sum = context;
    ck_assert(strcmp(name, "one") == 0 || strcmp(name, "two") == 0);
    *sum += 1000 + bytes;
}

START_TEST(directory_lists_its_names_with_sizes_after_renames)
{
    struct env_file *file = must_create("one");
    ck_assert_int_eq(env->disk->write(file, 0, "1", 1), RC_OK);
    env->disk->close(file);
    file = must_create("temporary");
    ck_assert_int_eq(env->disk->write(file, 0, "22", 2), RC_OK);
    env->disk->close(file);
    ck_assert_int_eq(env->disk->rename(env, in_dir("temporary"), in_dir("two")), RC_OK);
    ck_assert_int_eq(env->disk->sync_dir(env, dir), RC_OK);
    uint64_t sum = 0;
    ck_assert_int_eq(env->disk->list(env, dir, add_size, &sum), RC_OK);
    ck_assert_uint_eq(sum, 2003);
    ck_assert_int_eq(env->disk->mkdir(env, dir), RC_OK); /* there already */
}
END_TEST

/* Forks, because the lock is between processes; the other end of the pipe is the signal. */
START_TEST(lock_is_refused_to_a_second_process_until_the_first_one_dies)
{
    int ready[2];
    int finish[2];
    ck_assert_int_eq(pipe(ready), 0);
    ck_assert_int_eq(pipe(finish), 0);
    pid_t child = fork();
    if (child == 0) {
        close(finish[1]);
        char c = env->disk->lock(env, in_dir("LOCK")) == RC_OK ? 'y' : 'n';
        ssize_t n = write(ready[1], &c, 1);
        n = read(finish[0], &c, 1); /* end of file: the test is through */
        _exit(n == 0 ? 0 : 1);
    }
    char c = 0;
    ck_assert_int_eq(read(ready[0], &c, 1), 1);
    ck_assert_int_eq(c, 'y');
    ck_assert_int_eq(env->disk->lock(env, in_dir("LOCK")), RC_LOCKED);
    ck_assert_int_eq(lines, 0);

    ck_assert_int_eq(kill(child, SIGKILL), 0);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(env->disk->lock(env, in_dir("LOCK")), RC_OK);
    ck_assert_int_eq(env->disk->lock(env, in_dir("LOCK")), RC_LOCKED);
    close(finish[1]);
}
END_TEST

/* ---- clock and randomness ---------------------------------------------------------------- */

START_TEST(clocks_agree_and_randomness_does_not_repeat)
{
    uint64_t us = env->now_us(env);
    uint64_t ms = env->now_ms(env);
    ck_assert_uint_ge(ms, us / 1000);
    ck_assert_uint_le(ms - us / 1000, 1000);
    ck_assert_uint_gt(env->wall_ms(env), UINT64_C(1600000000000));
    ck_assert_uint_ne(env_random_u64(env), env_random_u64(env));
}
END_TEST

/* Only matters when the tests run in one process, for a debugger. */
static void forget_everything(void)
{
    lines = 0;
    run_next = 0;
    done_next = 0;
    server = (struct end){0};
    client = (struct end){0};
    accepted = 0;
    turns = 0;
    reached_ms = 0;
}

static Suite *env_suite(void)
{
    Suite *suite = suite_create("env_uv");
    TCase *queues = tcase_create("queue");
    tcase_add_checked_fixture(queues, setup, teardown);
    tcase_add_test(queues, queue_runs_jobs_in_order_and_reports_them_on_the_loop_in_order);
    tcase_add_test(queues, queue_close_waits_for_all_jobs_and_silences_their_done);
    tcase_add_test(queues, queue_done_may_close_queues_that_have_something_to_tell);
    tcase_add_test(queues, queue_in_the_background_gives_way_and_comes_to_its_end);
    suite_add_tcase(suite, queues);

    TCase *streams = tcase_create("stream");
    tcase_add_checked_fixture(streams, setup, teardown);
    tcase_set_timeout(streams, 20);
    tcase_add_test(streams, stream_echoes_what_was_written_before_and_after_it_opened);
    tcase_add_test(streams, stream_connects_by_host_name);
    tcase_add_test(streams, stream_to_a_listener_on_every_address_may_use_ipv4);
    tcase_add_test(streams, stream_to_a_port_nobody_listens_on_is_closed_as_refused);
    tcase_add_test(streams, stream_to_a_name_that_does_not_exist_is_closed);
    tcase_add_test(streams, stream_closed_while_its_name_is_looked_up_is_silent);
    tcase_add_test(streams, stream_closed_while_it_connects_is_silent);
    tcase_add_test(streams, stream_tries_each_address_of_a_name);
    tcase_add_test(streams, stream_queue_is_bounded_by_telling_the_writer_and_drains);
    tcase_add_test(streams, stream_close_with_flush_delivers_all_that_is_queued_and_says_nothing);
    tcase_add_test(streams, stream_close_with_flush_is_cut_off_when_the_other_side_never_reads);
    tcase_add_test(streams, stream_close_without_flush_tells_the_other_side_at_once);
    tcase_add_test(streams, stream_may_be_closed_inside_its_data_callback);
    tcase_add_test(streams, stream_that_broke_under_a_write_is_reported_later_and_once);
    tcase_add_test(streams, listener_may_be_closed_inside_its_accept_callback);
    tcase_add_test(streams, listener_refuses_a_port_in_use_and_says_why);
    tcase_add_test(streams, listener_out_of_descriptors_pauses_and_then_serves_who_waited);
    tcase_add_test(streams, many_idle_streams_need_no_buffer_each);
    suite_add_tcase(suite, streams);

    TCase *turn = tcase_create("turn");
    tcase_add_checked_fixture(turn, setup, teardown);
    tcase_add_test(turn, turn_runs_when_its_deadline_comes_and_not_all_the_time);
    tcase_add_test(turn, turn_follows_the_callbacks_of_its_iteration);
    tcase_add_test(turn, clocks_agree_and_randomness_does_not_repeat);
    suite_add_tcase(suite, turn);

    TCase *disk = tcase_create("disk");
    tcase_add_checked_fixture(disk, disk_setup, disk_teardown);
    tcase_add_test(disk, file_gives_back_what_was_written_where_it_was_written);
    tcase_add_test(disk, missing_names_are_not_found_and_not_logged);
    tcase_add_test(disk, other_disk_errors_are_io_and_their_text_is_logged);
    tcase_add_test(disk, full_disk_is_told_apart);
    tcase_add_test(disk, what_is_not_permitted_is_told_apart);
    tcase_add_test(disk, directory_lists_its_names_with_sizes_after_renames);
    tcase_add_test(disk, lock_is_refused_to_a_second_process_until_the_first_one_dies);
    suite_add_tcase(suite, disk);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){env_suite, NULL});
}
