/* Intrusive doubly linked list. The head is a node too; an empty list points to itself. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

#define LIST_OF(node, type, member) ((type *)(void *)((char *)(node) - offsetof(type, member)))

/* Walks a list; the current node may be removed while walking. */
#define LIST_EACH(it, tmp, head) \
    for ((it) = (head)->next, (tmp) = (it)->next; (it) != (head); (it) = (tmp), (tmp) = (it)->next)

static inline void list_init(struct list *l)
{
    l->next = l;
    l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_push_back(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Moves all of `from`, in their order, to the front of `head`. */
static inline void list_prepend(struct list *head, struct list *from)
{
    if (list_empty(from)) {
        return;
    }
    from->prev->next = head->next;
    head->next->prev = from->prev;
    head->next = from->next;
    from->next->prev = head;
    list_init(from);
}

/* Leaves the node self-linked, so that removing it twice is harmless. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

static inline struct list *list_pop_front(struct list *head)
{
    struct list *node = head->next;
    if (node == head) {
        return NULL;
    }
    list_remove(node);
    return node;
}

#endif
