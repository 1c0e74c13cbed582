/* Lookups of names for which no name server answers, and of "two", which has two addresses, the
 * first of them silent: getaddrinfo is the one below. */
#include <netdb.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/env_uv.h"
#include "base/mem.h"
#include "tests/support/check_main.h"

static atomic_int lookups; /* that have begun */
static sem_t gate;         /* each waits for one */

static struct sockaddr_in silent_address;
static struct sockaddr_in live_address;

static struct addrinfo *address_of(struct sockaddr_in *address, struct addrinfo *next)
{
    struct addrinfo *a = mem_zalloc(sizeof *a);
    *a = (struct addrinfo){.ai_family = AF_INET,
                           .ai_socktype = SOCK_STREAM,
                           .ai_addr = (struct sockaddr *)address,
                           .ai_addrlen = sizeof *address,
                           .ai_next = next};
    return a;
}

void freeaddrinfo(struct addrinfo *a)
{
    while (a != NULL) {
        struct addrinfo *next = a->ai_next;
        mem_free(a);
        a = next;
    }
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)service;
    if (strcmp(node, "two") == 0 && (hints->ai_flags & AI_NUMERICHOST) == 0) {
        *out = address_of(&silent_address, address_of(&live_address, NULL));
        return 0;
    }
    if ((hints->ai_flags & AI_NUMERICHOST) == 0) {
        lookups++;
        (void)sem_wait(&gate);
    }
    return EAI_NONAME;
}

static uv_loop_t loop;
static struct env *env;

static void setup(void)
{
    ck_assert_int_eq(sem_init(&gate, 0, 0), 0);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    env = env_uv_new(&loop, NULL);
}

static void teardown(void)
{
    env_uv_free(env);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void on_closed(void *owner, enum status rc)
{
    int *closed = owner;
    ck_assert_int_ne(rc, RC_OK);
    (*closed)++;
}

static const struct env_stream_events events = {.closed = on_closed};

/* A lookup cannot be stopped, but who asks again need not begin another one. */
START_TEST(a_name_that_is_asked_for_again_and_again_is_looked_up_once)
{
    int closed = 0;
    for (int i = 0; i < 10; i++) {
        struct env_stream *stream = env->net->connect(env, "stuck", 1, &events, &closed);
        while (lookups == 0) {
            uv_run(&loop, UV_RUN_NOWAIT);
        }
        env->net->close(stream, false);
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    (void)env->net->connect(env, "stuck", 1, &events, &closed);
    (void)sem_post(&gate);
    (void)sem_post(&gate); /* of a second one, which there should not be */
    while (closed == 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_int_eq(lookups, 1);
    ck_assert_int_eq(closed, 1); /* the last one: the others are gone */
}
END_TEST

START_TEST(two_at_a_time_and_other_ports_are_looked_up_by_themselves)
{
    int closed = 0;
    struct env_stream *first = env->net->connect(env, "stuck", 1, &events, &closed);
    while (lookups < 1) {
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    env->net->close(first, false);
    uv_run(&loop, UV_RUN_NOWAIT); /* it is gone */
    (void)env->net->connect(env, "stuck", 2, &events, &closed);
    (void)env->net->connect(env, "stuck", 1, &events, &closed);
    (void)env->net->connect(env, "stuck", 1, &events, &closed);
    for (int i = 0; i < 3; i++) {
        (void)sem_post(&gate);
    }
    while (closed < 3) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_int_eq(lookups, 3);
}
END_TEST

START_TEST(closing_waits_for_no_lookup)
{
    int closed = 0;
    (void)env->net->connect(env, "stuck", 1, &events, &closed);
    while (lookups == 0) {
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    ck_assert_uint_eq(env_uv_close(env), 1);
    (void)sem_post(&gate);
}
END_TEST

static int listener_make(struct sockaddr_in *address, int backlog)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = sizeof *address;
    *address = (struct sockaddr_in){.sin_family = AF_INET};
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    ck_assert_int_eq(listen(fd, backlog), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)address, &size), 0);
    return fd;
}

static void on_open(void *owner)
{
    ++*(int *)owner;
}

static const struct env_stream_events counting = {.open = on_open, .closed = on_closed};

/* A queue that is full drops what comes, as a firewall does. */
enum { FILLERS = 4 };

static void fill(const struct sockaddr_in *address, int fillers[FILLERS])
{
    for (int i = 0; i < FILLERS; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (const struct sockaddr *)address, sizeof *address);
    }
}

START_TEST(a_silent_address_does_not_keep_the_next_one_from_being_tried)
{
    int fillers[FILLERS];
    int silent = listener_make(&silent_address, 0);
    int live = listener_make(&live_address, 8);
    fill(&silent_address, fillers);
    int opened = 0;
    struct env_stream *stream = env->net->connect(env, "two", 1, &counting, &opened);
    while (opened == 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    int accepted = accept(live, NULL, NULL); /* it is this one, or the test hangs */
    ck_assert_int_ge(accepted, 0);
    env->net->close(stream, false);
    for (int i = 0; i < FILLERS; i++) {
        close(fillers[i]);
    }
    close(accepted);
    close(silent);
    close(live);
}
END_TEST

/* With the silent address under way. */
START_TEST(a_dial_may_be_closed_while_an_address_is_silent)
{
    int fillers[FILLERS];
    int silent = listener_make(&silent_address, 0);
    int live = listener_make(&live_address, 8);
    fill(&silent_address, fillers);
    int events_seen = 0;
    for (int turns = 0; turns < 3; turns++) {
        struct env_stream *stream = env->net->connect(env, "two", 1, &counting, &events_seen);
        for (int i = 0; i < turns; i++) {
            uv_run(&loop, UV_RUN_ONCE);
        }
        env->net->close(stream, false);
    }
    uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert_int_eq(events_seen, 0);
    for (int i = 0; i < FILLERS; i++) {
        close(fillers[i]);
    }
    close(silent);
    close(live);
}
END_TEST

static Suite *dial_suite(void)
{
    Suite *suite = suite_create("env_uv_dial");
    TCase *tcase = tcase_create("lookups");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_name_that_is_asked_for_again_and_again_is_looked_up_once);
    tcase_add_test(tcase, two_at_a_time_and_other_ports_are_looked_up_by_themselves);
    tcase_add_test(tcase, closing_waits_for_no_lookup);
    tcase_add_test(tcase, a_silent_address_does_not_keep_the_next_one_from_being_tried);
    tcase_add_test(tcase, a_dial_may_be_closed_while_an_address_is_silent);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){dial_suite, NULL});
}
