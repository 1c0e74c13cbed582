#include "recipes/latch.h"

#include "base/mutant.h"

enum recipe_verdict latch_set(const struct recipe_ops *ops, const struct latch_count *latch,
                              uint32_t count, struct recipe_answer *answer)
{
    struct recipe_head head = {.recipe = RECIPE_LATCH, .count = count};
    struct buf text = {0};
    recipe_head_encode(&text, &head);
    uint32_t node = ops->make_queue(ops->context, latch->path, buf_slice(&text));
    buf_close(&text);
    if (node == RECIPE_NO_NODE) {
        return RECIPE_FAILED;
    }
    answer->number = count;
    answer->before = latch->count;
    answer->places[0] = (struct recipe_place){.node = node};
    answer->place_count = 1;
    return RECIPE_OK;
}

enum recipe_verdict latch_count_down(const struct recipe_ops *ops,
                                     const struct latch_count *latch, uint64_t by,
                                     struct recipe_answer *answer)
{
    uint32_t left = by < latch->count ? latch->count - (uint32_t)by : 0;
    if (MUTANT_IS(MUTANT_LATCH_REOPENS)) {
        left = latch->count - (uint32_t)by;
    }
    return latch_set(ops, latch, left, answer);
}
