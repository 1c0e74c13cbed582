#include "base/heap.h"

#include "base/assert.h"
#include "base/mem.h"

#define HEAP_CAPACITY_MIN 16

static void heap_place(struct heap *h, size_t i, struct heap_node *node)
{
    h->nodes[i] = node;
    node->position = i + 1;
}

/* Moves the node at `i` towards the root until its parent is not larger. */
static void heap_rise(struct heap *h, size_t i)
{
    struct heap_node *node = h->nodes[i];
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (h->nodes[parent]->key <= node->key) {
            break;
        }
        heap_place(h, i, h->nodes[parent]);
        i = parent;
    }
    heap_place(h, i, node);
}

/* Moves the node at `i` towards the leaves until no child is smaller. */
static void heap_sink(struct heap *h, size_t i)
{
    struct heap_node *node = h->nodes[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->count) {
            break;
        }
        if (child + 1 < h->count && h->nodes[child + 1]->key < h->nodes[child]->key) {
            child++;
        }
        if (h->nodes[child]->key >= node->key) {
            break;
        }
        heap_place(h, i, h->nodes[child]);
        i = child;
    }
    heap_place(h, i, node);
}

void heap_close(struct heap *h)
{
    mem_free(h->nodes);
    *h = (struct heap){0};
}

bool heap_contains(const struct heap_node *node)
{
    return node->position != 0;
}

void heap_push(struct heap *h, struct heap_node *node, uint64_t key)
{
    PRE(!heap_contains(node));
    if (h->count == h->capacity) {
        h->capacity = h->capacity == 0 ? HEAP_CAPACITY_MIN : h->capacity * 2;
        h->nodes = mem_resize(h->nodes, h->capacity * sizeof(struct heap_node *));
    }
    node->key = key;
    heap_place(h, h->count++, node);
    heap_rise(h, h->count - 1);
}

void heap_update(struct heap *h, struct heap_node *node, uint64_t key)
{
    if (!heap_contains(node)) {
        heap_push(h, node, key);
        return;
    }
    uint64_t old = node->key;
    node->key = key;
    if (key < old) {
        heap_rise(h, node->position - 1);
    } else {
        heap_sink(h, node->position - 1);
    }
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    if (!heap_contains(node)) {
        return;
    }
    size_t i = node->position - 1;
    PRE(i < h->count && h->nodes[i] == node);
    node->position = 0;
    struct heap_node *last = h->nodes[--h->count];
    if (last == node) {
        return;
    }
    /* The last leaf fills the hole; it may belong above it or below it. */
    heap_place(h, i, last);
    heap_rise(h, i);
    heap_sink(h, last->position - 1);
}

struct heap_node *heap_peek(const struct heap *h)
{
    return h->count == 0 ? NULL : h->nodes[0];
}

struct heap_node *heap_pop(struct heap *h)
{
    struct heap_node *node = heap_peek(h);
    if (node != NULL) {
        heap_remove(h, node);
    }
    return node;
}
