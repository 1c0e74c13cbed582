/* A guest in other programs must live without memory: every allocation of a round of calls
 * fails in turn, and each time the client answers, the program goes on, and nothing leaks.
 *
 * The allocator of this program is replaced by one that counts and fails on the client's thread
 * only. Sanitizers bring allocators of their own, so with those the same calls are run with
 * nothing failing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "tests/support/check_main.h"
#include "tests/support/scripted_server.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
#define CAN_FAIL 1
#else
#define CAN_FAIL 0
#endif

static _Thread_local bool is_counting;
static _Thread_local size_t allocations; /* since it began counting */
static _Thread_local size_t failing;     /* this one fails; 0: none */
static _Thread_local long live;          /* allocated minus freed */

#if CAN_FAIL
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void __libc_free(void *memory);

static bool must_fail(void)
{
    if (is_counting && ++allocations == failing) {
        errno = ENOMEM;
        return true;
    }
    return false;
}

static void *count_live(void *memory)
{
    live += is_counting && memory != NULL;
    return memory;
}

void *malloc(size_t bytes)
{
    return must_fail() ? NULL : count_live(__libc_malloc(bytes));
}

void *calloc(size_t count, size_t bytes)
{
    return must_fail() ? NULL : count_live(__libc_calloc(count, bytes));
}

void *realloc(void *old, size_t bytes)
{
    if (must_fail()) {
        return NULL;
    }
    void *memory = __libc_realloc(old, bytes);
    return old == NULL ? count_live(memory) : memory;
}

void free(void *memory)
{
    live -= is_counting && memory != NULL;
    __libc_free(memory);
}
#endif

static struct scripted_cluster cluster;
static struct scripted_server *server;

/* What the calls came to. Judged afterwards, as Check allocates too. */
struct outcome {
    enum coord_code open, create, get, list;
    struct coord_error error;
};

/* Everything a client does. */
static void run(const char *value, size_t bytes, struct outcome *o)
{
    const struct coord_options options = {.endpoints = scripted_server_endpoint(server),
                                          .note = "why"};
    struct coord_client *client;
    struct coord_names list;
    char *path = NULL;
    void *data = NULL;

    *o = (struct outcome){.open = coord_open(&options, &client, &o->error)};
    if (o->open != COORD_OK) {
        return;
    }
    o->create = coord_create(client, "/a", value, bytes, 0, &path, NULL, &o->error);
    free(path);
    o->get = coord_get(client, "/a", &data, NULL, NULL, &o->error);
    free(data);
    o->list = coord_list(client, "/a", &list, &o->error);
    if (o->list == COORD_OK) {
        coord_names_clear(&list);
    }
    coord_close(client);
}

/* True if all went well; what did not must have been for lack of memory. */
static bool judge(const struct outcome *o)
{
    const enum coord_code codes[] = {o->open, o->create, o->get, o->list};
    bool ok = true;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        ck_assert_msg(codes[i] == COORD_OK || codes[i] == COORD_NO_MEMORY,
                      "allocation %zu failed, call %zu: %s", failing, i,
                      coord_code_text(codes[i]));
        ok = ok && codes[i] == COORD_OK;
    }
    return ok;
}

START_TEST(every_allocation_may_fail)
{
    static char value[200000]; /* several DATA frames, and growth */
    size_t refused = 0;
    bool is_whole = false;
    ck_assert_int_eq(pthread_mutex_init(&cluster.lock, NULL), 0);
    server = scripted_server_new(&cluster, NULL);
    struct outcome outcome;
    run(value, sizeof value, &outcome); /* what libraries allocate once for ever is there now */
    ck_assert(judge(&outcome));
    for (failing = 1; !is_whole; failing++) {
        cluster.call_count = 0;
        cluster.executed_count = 0;
        allocations = 0;
        live = 0;
        is_counting = true;
        run(value, sizeof value, &outcome);
        is_counting = false;
        bool ok = judge(&outcome);
        ck_assert_msg(live == 0, "allocation %zu failed, %ld leaked", failing, live);
        is_whole = allocations < failing;
        ck_assert(ok || !is_whole);
        refused += !ok;
    }
    if (CAN_FAIL) {
        ck_assert_uint_gt(failing, 40);
        ck_assert_uint_gt(refused, 20);
    }
    scripted_server_free(server);
    pthread_mutex_destroy(&cluster.lock);
}
END_TEST

static Suite *memory_suite(void)
{
    Suite *s = suite_create("memory");
    TCase *t = tcase_create("memory");
    tcase_add_test(t, every_allocation_may_fail);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){memory_suite, NULL});
}
