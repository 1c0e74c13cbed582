#include "net/grpc/memory.h"

#include "net/grpc/call.h"
#include "tests/support/check_main.h"

#define CONNECTIONS 10
#define MIB         ((size_t)1 << 20)

struct client {
    struct grpc_connection connection;
    struct front_env env;
    int closed;
};

static struct grpc_shared shared;
static struct client clients[CONNECTIONS];

static void note_close(void *conn, bool flush)
{
    struct client *c = conn;
    ck_assert(!flush);
    c->closed++;
}

static void setup(void)
{
    shared = (struct grpc_shared){0};
    list_init(&shared.connections);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct client *c = &clients[i];
        *c = (struct client){.env = {.sink = {.conn = c, .close = note_close}}};
        c->connection.env = &c->env;
        c->connection.shared = &shared;
        grpc_memory_open(&c->connection);
    }
}

static void teardown(void)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct grpc_connection *c = &clients[i].connection;
        grpc_memory_give_back(c, c->in_bytes);
        grpc_memory_close(c);
    }
    ck_assert_uint_eq(shared.in_bytes, 0);
    ck_assert(list_empty(&shared.connections));
}

static bool take(size_t i, size_t bytes)
{
    return grpc_memory_take(&clients[i].connection, bytes);
}

START_TEST(one_connection_is_refused_what_is_too_much_for_it)
{
    ck_assert(take(0, GRPC_IN_BYTES_MAX));
    ck_assert(!take(0, 1));
    ck_assert_uint_eq(shared.in_bytes, GRPC_IN_BYTES_MAX);
    ck_assert_int_eq(clients[0].closed, 0);
    ck_assert(take(1, 1)); /* which is nothing to others */
}
END_TEST

START_TEST(who_holds_the_most_goes_and_others_go_on)
{
    ck_assert(take(0, 1000));
    ck_assert(take(1, 20 * MIB));
    for (size_t i = 2; i < 6; i++) {
        ck_assert(take(i, (51 + 2 * i) * MIB)); /* 20 + 55 + 57 + 59 + 61 = 252 */
    }
    ck_assert(take(0, 1000));
    ck_assert_int_eq(clients[5].closed, 0);
    ck_assert(take(0, 5 * MIB));
    for (size_t i = 0; i < CONNECTIONS; i++) {
        ck_assert_int_eq(clients[i].closed, i >= 2 && i < 6); /* half of the most, or more */
    }
    ck_assert_uint_eq(shared.in_bytes, 25 * MIB + 2000);
    /* Until it is freed an evicted one may still give back what it held, and takes nothing. */
    grpc_memory_give_back(&clients[5].connection, MIB);
    ck_assert(!take(5, 1));
    ck_assert_uint_eq(shared.in_bytes, 25 * MIB + 2000);
}
END_TEST

START_TEST(the_one_that_asks_may_be_the_one_that_goes)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        ck_assert(take(i, 24 * MIB));
    }
    ck_assert(take(3, 40 * MIB));
    ck_assert_int_eq(clients[3].closed, 1);
    ck_assert_int_eq(clients[4].closed, 0);
    ck_assert_uint_eq(shared.in_bytes, 9 * 24 * MIB);
}
END_TEST

static Suite *memory_suite(void)
{
    Suite *s = suite_create("memory");
    TCase *limits = tcase_create("limits");
    tcase_add_checked_fixture(limits, setup, teardown);
    tcase_add_test(limits, one_connection_is_refused_what_is_too_much_for_it);
    tcase_add_test(limits, who_holds_the_most_goes_and_others_go_on);
    tcase_add_test(limits, the_one_that_asks_may_be_the_one_that_goes);
    suite_add_tcase(s, limits);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){memory_suite, NULL});
}
