/* Lookups of names for which no name server answers: getaddrinfo is the one below. */
#include <netdb.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/env_uv.h"
#include "tests/support/check_main.h"

static atomic_int lookups; /* that have begun */
static sem_t gate;         /* each waits for one */

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)node;
    (void)service;
    (void)out;
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

static Suite *dial_suite(void)
{
    Suite *suite = suite_create("env_uv_dial");
    TCase *tcase = tcase_create("lookups");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_name_that_is_asked_for_again_and_again_is_looked_up_once);
    tcase_add_test(tcase, two_at_a_time_and_other_ports_are_looked_up_by_themselves);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){dial_suite, NULL});
}
