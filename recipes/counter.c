#include "recipes/counter.h"

#include <inttypes.h>

#include "base/mutant.h"
#include "recipes/entry.h"

/* What is added does not go beyond the upper bound, what is taken away not below the lower one;
 * where a bound has been passed already, the way back is open. */
static bool fits(const struct counter_add *asked, int64_t before)
{
    int64_t delta = asked->delta;
    if (MUTANT_IS(MUTANT_COUNTER_UNBOUNDED)) {
        return delta < 0 ? before >= INT64_MIN - delta : before <= INT64_MAX - delta;
    }
    return delta < 0    ? before >= INT64_MIN - delta && before + delta >= asked->low
           : delta == 0 ? true
                        : before <= INT64_MAX - delta && before + delta <= asked->high;
}

static enum recipe_verdict refuse(const struct recipe_ops *ops, const struct counter_add *asked,
                                  int64_t before, struct recipe_answer *answer)
{
    struct buf b = {0};
    bool is_down = asked->delta < 0;
    buf_printf(&b, "%.*s: %" PRId64 " and %" PRId64 " more, %s %" PRId64, (int)asked->path.size,
               (const char *)asked->path.data, before, asked->delta,
               is_down ? "at least" : "at most", is_down ? asked->low : asked->high);
    entry_say(ops, answer, &b);
    answer->number = (uint64_t)before;
    answer->before = (uint64_t)before;
    return RECIPE_LIMIT;
}

enum recipe_verdict counter_add(const struct recipe_ops *ops, const struct counter_add *asked,
                                struct recipe_answer *answer)
{
    struct recipe_head head = {.recipe = asked->head.recipe, .value = asked->head.value};
    int64_t before = head.value;
    if (!fits(asked, before)) {
        return refuse(ops, asked, before, answer);
    }
    head.value += asked->delta;
    if (head.recipe == RECIPE_IDS && MUTANT_IS(MUTANT_IDS_TWICE)) {
        head.value--;
    }
    struct buf text = {0};
    recipe_head_encode(&text, &head);
    uint32_t node = ops->make_queue(ops->context, asked->path, buf_slice(&text));
    buf_close(&text);
    if (node == RECIPE_NO_NODE) {
        return RECIPE_FAILED;
    }
    answer->number = (uint64_t)head.value;
    answer->before = (uint64_t)before;
    answer->places[0] = (struct recipe_place){.node = node};
    answer->place_count = 1;
    return RECIPE_OK;
}
