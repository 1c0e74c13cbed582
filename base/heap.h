/* Intrusive binary min-heap of deadlines: the nodes sit in the caller's structs.
 *
 * A zeroed heap and a zeroed node are valid. Nodes of equal key come out in an order that
 * depends on nothing but the calls made so far, so that a simulation repeats. Not thread safe. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t key;    /* read only; see heap_update */
    size_t position; /* private: 1 + place in the heap, 0 outside */
};

struct heap {
    struct heap_node **nodes;
    size_t count;
    size_t capacity;
};

#define HEAP_OF(node, type, member) ((type *)(void *)((char *)(node) - offsetof(type, member)))

void heap_close(struct heap *h); /* frees the index, not the nodes: they are the caller's */
bool heap_contains(const struct heap_node *node);

/* Adds a node that is in no heap. Borrowed until it is removed. */
void heap_push(struct heap *h, struct heap_node *node, uint64_t key);
/* Moves a node to a new key, or adds it if it is in no heap. */
void heap_update(struct heap *h, struct heap_node *node, uint64_t key);
void heap_remove(struct heap *h, struct heap_node *node); /* nothing if it is in no heap */

struct heap_node *heap_peek(const struct heap *h); /* the smallest key, NULL if empty */
struct heap_node *heap_pop(struct heap *h);        /* the same, removed */

#endif
