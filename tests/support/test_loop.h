/* A libuv loop that runs until SIGTERM or SIGINT, for test programs that are servers. Apart,
 * since <uv.h> brings in the system's own struct node_stat. */
#ifndef TESTS_SUPPORT_TEST_LOOP_H
#define TESTS_SUPPORT_TEST_LOOP_H

struct test_loop;
struct uv_loop_s; /* uv_loop_t */

struct test_loop *test_loop_new(void); /* returns owned; NULL if the system refuses */
struct uv_loop_s *test_loop_handle(struct test_loop *l);
void test_loop_run(struct test_loop *l);
/* False if handles are still open on it. */
int test_loop_free(struct test_loop *l);

#endif
