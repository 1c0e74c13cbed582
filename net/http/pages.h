/* What the HTTP front end shows: bodies, without any HTTP around them. */
#ifndef NET_HTTP_PAGES_H
#define NET_HTTP_PAGES_H

#include "base/buf.h"
#include "base/metrics.h"
#include "raft/node.h"

struct pages; /* metric handles */

/* What a page looks at. */
struct page_context {
    const struct node *node;
    struct metrics *metrics; /* NULL: /metrics is empty */
    struct pages *pages;
};

struct page {
    const char *path;
    const char *type; /* Content-Type */
    /* Appends the body; returns the status code. */
    int (*print)(const struct page_context *context, struct buf *out);
};

/* NULL if there is no such page. */
const struct page *page_find(struct slice path);

struct pages *pages_new(struct metrics *metrics); /* may be NULL */
void pages_free(struct pages *p);

#endif
