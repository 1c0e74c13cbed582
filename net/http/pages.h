/* What the HTTP front end shows: bodies, without any HTTP around them. */
#ifndef NET_HTTP_PAGES_H
#define NET_HTTP_PAGES_H

#include "base/buf.h"
#include "net/figures.h"
#include "raft/node.h"

/* What a page looks at. */
struct page_context {
    const struct node *node;
    struct figures *figures;
    uint64_t now_ms;
};

struct page {
    const char *path;
    const char *type; /* Content-Type */
    /* Appends the body; returns the status code. */
    int (*print)(const struct page_context *context, struct buf *out);
};

/* NULL if there is no such page. */
const struct page *page_find(struct slice path);

#endif
