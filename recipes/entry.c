#include "recipes/entry.h"

#include <inttypes.h>

#include "base/assert.h"

void entry_read(const struct recipe_ops *ops, const struct recipe_entry *e,
                struct recipe_record *record)
{
    bool is_record =
        recipe_record_decode(ops->read(ops->context, e->node), record, ops->arena);
    POST(is_record); /* written here, or looked at when it was loaded */
}

void entry_write(const struct recipe_ops *ops, const struct recipe_entry *e,
                 const struct recipe_record *record)
{
    struct buf text = {0};
    recipe_record_encode(&text, record);
    ops->set(ops->context, e->node, buf_slice(&text));
    buf_close(&text);
}

bool entry_make(const struct recipe_ops *ops, struct entry_site *site,
                const struct recipe_head *head, const struct recipe_record *record)
{
    struct buf text = {0};
    site->node = RECIPE_NO_NODE;
    if (head != NULL) {
        recipe_head_encode(&text, head);
        site->queue = ops->make_queue(ops->context, site->path, buf_slice(&text));
    }
    if (site->queue != RECIPE_NO_NODE) {
        buf_clear(&text);
        recipe_record_encode(&text, record);
        site->node = ops->make_entry(ops->context, site->path, site->lease, buf_slice(&text));
    }
    buf_close(&text);
    return site->node != RECIPE_NO_NODE;
}

void entry_go(struct recipes *r, const struct recipe_ops *ops, struct recipe_entry *e)
{
    ops->remove(ops->context, e->node);
    recipe_queue_touch(r, e->queue);
    recipe_entry_remove(r, e);
}

uint64_t entry_deadline(const struct recipe_ops *ops, uint64_t duration_ms)
{
    return duration_ms == 0 ? 0 : ops->cluster_ms + duration_ms;
}

void entry_place(const struct recipe_entry *e, struct recipe_place *place)
{
    *place = (struct recipe_place){
        .node = e->node, .state = e->state, .count = e->count, .epoch = e->epoch};
}

bool entry_is_told(const struct recipe_ops *ops, const struct recipe_entry *e)
{
    return ops->may_read(ops->context, e->queue->node) &&
           (e->node == RECIPE_NO_NODE || ops->may_read(ops->context, e->node));
}

void entry_say(const struct recipe_ops *ops, struct recipe_answer *answer, struct buf *b)
{
    answer->text = arena_copy(ops->arena, buf_slice(b));
    buf_close(b);
}

void entry_say_owner(struct buf *b, uint64_t lease, struct slice id)
{
    buf_printf(b, "lease %016" PRIx64, lease);
    if (id.size > 0) {
        buf_printf(b, " \"%.*s\"", (int)id.size, (const char *)id.data);
    }
}
