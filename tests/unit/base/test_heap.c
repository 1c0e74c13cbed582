#include "base/heap.h"

#include "base/rng.h"
#include "tests/support/check_main.h"

enum { NODES = 200, STEPS = 200000 };

/* The model: the smallest key among the nodes that are in. */
static const struct heap_node *model_smallest(const struct heap_node *nodes)
{
    const struct heap_node *smallest = NULL;
    for (size_t i = 0; i < NODES; i++) {
        if (heap_contains(&nodes[i]) && (smallest == NULL || nodes[i].key < smallest->key)) {
            smallest = &nodes[i];
        }
    }
    return smallest;
}

START_TEST(heap_agrees_with_a_linear_search_under_any_calls)
{
    static struct heap_node nodes[NODES];
    static bool in[NODES];
    struct heap h = {0};
    struct rng rng;
    rng_init(&rng, 11);
    size_t count = 0;
    for (int step = 0; step < STEPS; step++) {
        size_t i = (size_t)rng_below(&rng, NODES);
        uint64_t key = rng_below(&rng, 50); /* many ties */
        switch (rng_below(&rng, 5)) {
        case 0:
            if (!in[i]) {
                heap_push(&h, &nodes[i], key);
                in[i] = true;
                count++;
            }
            break;
        case 1:
            count -= in[i] ? 1 : 0;
            heap_remove(&h, &nodes[i]);
            in[i] = false;
            break;
        case 2:
        case 3:
            count += in[i] ? 0 : 1;
            heap_update(&h, &nodes[i], key);
            in[i] = true;
            ck_assert_uint_eq(nodes[i].key, key);
            break;
        default: {
            const struct heap_node *expected = model_smallest(nodes);
            struct heap_node *got = heap_pop(&h);
            ck_assert_int_eq(got == NULL, expected == NULL);
            if (got != NULL) {
                ck_assert_uint_eq(got->key, expected->key);
                in[got - nodes] = false;
                count--;
            }
        }
        }
        ck_assert_uint_eq(h.count, count);
        ck_assert_int_eq(heap_contains(&nodes[i]), in[i]);
        if (step % 16 == 0) {
            const struct heap_node *expected = model_smallest(nodes);
            const struct heap_node *got = heap_peek(&h);
            ck_assert_int_eq(got == NULL, expected == NULL);
            ck_assert(got == NULL || got->key == expected->key);
        }
    }
    heap_close(&h);
}
END_TEST

START_TEST(nodes_come_out_in_key_order_and_then_none)
{
    struct heap_node nodes[100] = {0};
    struct heap h = {0};
    for (uint64_t i = 0; i < 100; i++) {
        heap_push(&h, &nodes[i], i * 37 % 100);
    }
    for (uint64_t i = 0; i < 100; i++) {
        ck_assert_uint_eq(heap_pop(&h)->key, i);
    }
    ck_assert_ptr_null(heap_pop(&h));
    ck_assert_ptr_null(heap_peek(&h));
    heap_close(&h);
}
END_TEST

static Suite *heap_suite(void)
{
    Suite *suite = suite_create("heap");
    TCase *tc = tcase_create("heap");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, heap_agrees_with_a_linear_search_under_any_calls);
    tcase_add_test(tc, nodes_come_out_in_key_order_and_then_none);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){heap_suite, NULL});
}
