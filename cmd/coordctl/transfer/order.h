/* Which line of an import's file is about which node, and whether they can be written in that
 * order: each node once, and none behind what is below it, as that makes it on the way, empty. */
#ifndef CMD_COORDCTL_TRANSFER_ORDER_H
#define CMD_COORDCTL_TRANSFER_ORDER_H

#include <stdint.h>

#include "base/buf.h"
#include "cmd/coordctl/transfer/existing.h"

struct order_line {
    const char *path;
    uint64_t number;
};

/* Zero-initialised is empty. */
struct order {
    struct arena arena;
    struct order_line *lines;
    size_t count;
    size_t capacity;
};

void order_add(struct order *o, const char *path, uint64_t number);
/* Once all were added. The number of the first line that comes too late, and `why`, which is
 * empty before, as a text; 0: there is none. Nodes that exist may be behind what is below them. */
uint64_t order_check(struct order *o, const struct existing *existing, struct buf *why);
void order_close(struct order *o);

#endif
