/* Reads. They change nothing and run on the loop against const state; results live in the given
 * arena and point into the store: use them before the next apply. */
#ifndef STORE_QUERY_H
#define STORE_QUERY_H

#include "base/arena.h"
#include "store/types.h"

struct store;

enum query_type { QUERY_GET = 1, QUERY_EXISTS = 2, QUERY_LIST = 3 };

#define QUERY_PAGE_BYTES_MAX ((size_t)2 << 20)
#define QUERY_PAGE_ENTRIES_MAX ((uint32_t)100000)

struct query {
    uint8_t type;  /* enum query_type */
    uint8_t space; /* enum space */
    struct slice path;
    /* list: */
    bool recursive; /* all descendants, depth first, in path order; else children in name order */
    bool with_data;
    bool with_stat;
    struct slice after; /* exclusive: continue behind this full path, empty = from the start */
    uint32_t limit;     /* entries, 0 = as many as fit a page of QUERY_PAGE_BYTES_MAX */
};

struct query_entry {
    struct slice path; /* full path; in the arena */
    struct slice data; /* with_data */
    bool null_data;
    struct node_stat stat; /* always filled */
};

struct query_result {
    uint8_t outcome; /* enum outcome */
    uint64_t revision;
    uint64_t applied_index;
    uint64_t cluster_ms;
    struct node_stat stat; /* of the node at `path` */
    struct slice data;
    bool null_data;
    const struct query_entry *entries;
    uint32_t entry_count;
    bool more; /* the page ended before the list did */
};

void store_query(const struct store *s, const struct query *q, struct query_result *result,
                 struct arena *arena);

#endif
