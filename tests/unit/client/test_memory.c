/* A guest in other programs must live without memory: every allocation of a round of calls
 * fails in turn, and each time the client answers, the program goes on, and nothing leaks.
 *
 * The allocator of this program is replaced by one that counts and fails on the client's thread
 * only. Sanitizers bring allocators of their own, so with those the same calls are run with
 * nothing failing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/acls.h"
#include "client/client.h"
#include "client/methods.h"
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
    enum coord_code open, create, get, list, session, keepalive, attach, lease_keepalive,
        lease_ttl, lease_list, changes, watch, next, acl, new_acl, method, new_method;
    uint32_t seen; /* events of the watch, each by its bit */
    bool was_repeated;
    struct coord_error error;
};

/* Two pieces, a value that comes in several frames. */
static const struct scripted_message watch_messages[] = {
    {.type = 0, .revision = 5},
    {.type = 1, .revision = 8, .count = 3, .data_bytes = 40000},
    {.type = 2, .revision = 9, .count = 2, .more = true, .data_bytes = 40000},
    {.type = 2, .revision = 9, .first_sub = 2, .count = 1}};
#define EVENT_COUNT 3

static void run_session(struct coord_client *client, struct outcome *o)
{
    struct coord_lease_info info;
    struct coord_leases leases;
    struct coord_change_list changes;
    struct coord_session session;
    o->session = coord_session_open(client, 0, "owner", &o->error);
    if (o->session == COORD_OK) {
        o->keepalive = coord_session_keepalive(client, &o->error);
        (void)coord_session_info(client, &session);
        coord_session_detach(client);
        o->attach = coord_session_attach(client, session.id, session.secret, &o->error);
    }
    o->lease_keepalive = coord_lease_keepalive(client, 88, NULL, &o->error);
    o->lease_ttl = coord_lease_ttl(client, 88, true, &info, &o->error);
    if (o->lease_ttl == COORD_OK) {
        coord_lease_info_clear(&info);
    }
    o->lease_list = coord_lease_list(client, &leases, &o->error);
    if (o->lease_list == COORD_OK) {
        coord_leases_clear(&leases);
    }
    o->changes = coord_changes(client, "/a", NULL, &changes, &o->error);
    if (o->changes == COORD_OK) {
        coord_changes_clear(&changes);
    }
}

/* Whatever fails on the way, each event is seen once. */
static void run_watch(struct coord_client *client, struct outcome *o)
{
    const struct coord_watch_options options = {.list = true, .glob = "*"};
    struct coord_watch *watch;
    struct coord_event event;
    o->watch = coord_watch_open(client, "/w", &options, &watch, &o->error);
    if (o->watch != COORD_OK) {
        return;
    }
    while (o->seen != (1u << EVENT_COUNT) - 1) {
        enum coord_code code = coord_watch_next(watch, 5000, &event, &o->error);
        if (code != COORD_OK) {
            o->next = code;
            if (code != COORD_NO_MEMORY) {
                break;
            }
        } else if (event.type == COORD_EVENT_SET) {
            o->was_repeated = o->was_repeated || (o->seen & 1u << event.sub) != 0;
            o->seen |= 1u << event.sub;
        }
    }
    coord_watch_close(watch);
}

static void run_acls_and_methods(struct coord_client *client, struct outcome *o)
{
    static const struct coord_acl entry = {COORD_ACL_ALL, "world", "anyone"};
    const struct coord_acl_options noted = {.note = "why"};
    const struct coord_method_options twice = {.is_idempotent = true};
    struct coord_acl_list list;
    void *reply = NULL;
    o->acl = coord_acl_get(client, "/a", &list, NULL, &o->error);
    if (o->acl == COORD_OK) {
        coord_acl_clear(&list);
    }
    o->new_acl = coord_acl_set(client, "/a", &entry, 1, 3, &noted, NULL, &o->error);
    o->method = coord_call_method(client, "/coord.v1.Tree/GetAcl", "\x12\x02/a", 4, NULL,
                                  &reply, NULL, &o->error);
    free(reply);
    o->new_method = coord_call_method(client, "/coord.v1.Newer/Thing", NULL, 0, &twice, NULL,
                                      NULL, &o->error);
}

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
    run_acls_and_methods(client, o);
    run_session(client, o);
    run_watch(client, o);
    coord_close(client);
}

/* True if all went well; what did not must have been for lack of memory. */
static bool judge(const struct outcome *o)
{
    const enum coord_code codes[] = {
        o->open,   o->create,          o->get,       o->list,       o->session, o->keepalive,
        o->attach, o->lease_keepalive, o->lease_ttl, o->lease_list, o->changes, o->watch,
        o->next,   o->acl,             o->new_acl,   o->method,     o->new_method};
    bool ok = true;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        ck_assert_msg(codes[i] == COORD_OK || codes[i] == COORD_NO_MEMORY,
                      "allocation %zu failed, call %zu: %s", failing, i,
                      coord_code_text(codes[i]));
        ok = ok && codes[i] == COORD_OK;
    }
    ck_assert(!o->was_repeated);
    ck_assert(o->open != COORD_OK || o->watch != COORD_OK ||
              o->seen == (1u << EVENT_COUNT) - 1);
    return ok;
}

START_TEST(every_allocation_may_fail)
{
    static char value[200000]; /* several DATA frames, and growth */
    size_t refused = 0;
    bool is_whole = false;
    ck_assert_int_eq(pthread_mutex_init(&cluster.lock, NULL), 0);
    cluster.watch_messages = watch_messages;
    cluster.watch_message_count = sizeof watch_messages / sizeof watch_messages[0];
    server = scripted_server_new(&cluster, NULL);
    struct outcome outcome;
    run(value, sizeof value, &outcome); /* what libraries allocate once for ever is there now */
    ck_assert(judge(&outcome));
    for (failing = 1; !is_whole; failing++) {
        cluster.call_count = 0;
        cluster.executed_count = 0;
        cluster.watch_count = 0;
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
