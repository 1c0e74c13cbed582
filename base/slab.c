#include "base/slab.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"

#define SLAB_BYTES ((size_t)256 << 10)

/* Up to here classes are 8 bytes apart; above, 16 of them double the size. */
#define FINE_BYTES_MAX ((size_t)512)
#define FINE_CLASSES   (FINE_BYTES_MAX / 8)
#define FINE_BITS      9
#define COARSE_BITS    4
#define CLASS_COUNT    (FINE_CLASSES + ((16 - FINE_BITS) << COARSE_BITS))

static_assert((size_t)1 << FINE_BITS == FINE_BYTES_MAX, "coarse classes follow the fine ones");
static_assert((size_t)1 << 16 == SLAB_PIECE_BYTES_MAX, "and end where pieces become too large");

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_USED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_USED 0
#endif
#endif
#ifndef SLAB_USED
#define SLAB_USED 1
#endif

struct slab_heap {
    pthread_mutex_t lock;
    size_t slab_count;         /* those that are spare included */
    struct list spare;         /* empty, of no class */
    bool closed;               /* only pieces in use keep it */
    struct list room[CLASS_COUNT];
};

/* A free piece. */
struct piece {
    struct piece *next;
};

/* The pages' begin; pieces follow. */
struct slab {
    struct slab_heap *heap;
    struct list link; /* in room[class] or spare; self-linked while full */
    struct piece *free;
    size_t class;
    size_t piece_bytes;
    size_t fresh; /* from this offset on nothing was ever used */
    size_t used;  /* pieces */
};

/* The smallest class that is large enough, and its size. */
static size_t class_of(size_t bytes, size_t *piece_bytes)
{
    if (bytes <= FINE_BYTES_MAX) {
        size_t class = bytes == 0 ? 0 : (bytes - 1) / 8;
        *piece_bytes = (class + 1) * 8;
        return class;
    }
    size_t last = bytes - 1;
    unsigned doubling = 63 - (unsigned)__builtin_clzll(last);
    unsigned shift = doubling - COARSE_BITS;
    size_t sixteenths = last >> shift; /* 16 to 31 */
    *piece_bytes = (sixteenths + 1) << shift;
    return FINE_CLASSES + ((size_t)(doubling - FINE_BITS) << COARSE_BITS) + sixteenths - 16;
}

static bool slab_has_room(const struct slab *s)
{
    return s->free != NULL || SLAB_BYTES - s->fresh >= s->piece_bytes;
}

struct slab_heap *slab_heap_new(void)
{
    struct slab_heap *h = mem_zalloc(sizeof *h);
    (void)pthread_mutex_init(&h->lock, NULL);
    list_init(&h->spare);
    for (size_t class = 0; class < CLASS_COUNT; class++) {
        list_init(&h->room[class]);
    }
    return h;
}

/* With the lock held, of a slab in no list. False: the system does not take it
 * back, and it is spare. */
static bool slab_give_back(struct slab *s)
{
    struct slab_heap *h = s->heap;
    if (!mem_unmap(s, SLAB_BYTES)) {
        list_push_back(&h->spare, &s->link);
        return false;
    }
    h->slab_count--;
    return true;
}

/* With the lock held: its last piece was freed. One stays for the next that is wanted. */
static void slab_retire(struct slab *s)
{
    struct slab_heap *h = s->heap;
    list_remove(&s->link);
    if (list_empty(&h->spare) && !h->closed) {
        list_push_back(&h->spare, &s->link);
    } else {
        (void)slab_give_back(s);
    }
}

/* Releases the lock, and the heap with it when nothing needs it any more. */
static void heap_unlock(struct slab_heap *h)
{
    bool is_over = h->closed && h->slab_count == 0;
    (void)pthread_mutex_unlock(&h->lock);
    if (is_over) {
        (void)pthread_mutex_destroy(&h->lock);
        mem_free(h);
    }
}

void slab_heap_free(struct slab_heap *h)
{
    if (h == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&h->lock);
    h->closed = true;
    struct list *spare = list_pop_front(&h->spare);
    while (spare != NULL && slab_give_back(LIST_OF(spare, struct slab, link))) {
        spare = list_pop_front(&h->spare);
    }
    heap_unlock(h);
}

size_t slab_heap_bytes(struct slab_heap *h)
{
    (void)pthread_mutex_lock(&h->lock);
    size_t bytes = h->slab_count * SLAB_BYTES;
    (void)pthread_mutex_unlock(&h->lock);
    return bytes;
}

/* With the lock held. A slab for a class that has none with room. */
static struct slab *slab_take(struct slab_heap *h, size_t class, size_t piece_bytes)
{
    struct list *spare = list_pop_front(&h->spare);
    struct slab *s;
    if (spare != NULL) {
        s = LIST_OF(spare, struct slab, link);
    } else {
        s = mem_map(SLAB_BYTES);
        h->slab_count++;
    }
    *s = (struct slab){
        .heap = h, .class = class, .piece_bytes = piece_bytes, .fresh = sizeof *s};
    list_init(&s->link);
    list_push_back(&h->room[class], &s->link);
    return s;
}

void *slab_alloc(struct slab_heap *h, size_t bytes)
{
    if (!SLAB_USED || bytes > SLAB_PIECE_BYTES_MAX) {
        return mem_alloc(bytes);
    }
    size_t piece_bytes;
    size_t class = class_of(bytes, &piece_bytes);
    (void)pthread_mutex_lock(&h->lock);
    PRE(!h->closed);
    struct list *room = &h->room[class];
    struct slab *s = list_empty(room) ? slab_take(h, class, piece_bytes)
                                      : LIST_OF(room->next, struct slab, link);
    struct piece *piece = s->free;
    if (piece != NULL) {
        s->free = piece->next;
    } else {
        piece = (struct piece *)(void *)((char *)s + s->fresh);
        s->fresh += piece_bytes;
    }
    s->used++;
    if (!slab_has_room(s)) {
        list_remove(&s->link);
    }
    (void)pthread_mutex_unlock(&h->lock);
    return piece;
}

void slab_free(void *memory, size_t bytes)
{
    if (!SLAB_USED || bytes > SLAB_PIECE_BYTES_MAX) {
        mem_free(memory);
        return;
    }
    struct piece *piece = memory;
    size_t offset = (uintptr_t)memory & (SLAB_BYTES - 1);
    struct slab *s = (struct slab *)(void *)((char *)memory - offset);
    struct slab_heap *h = s->heap;
    (void)pthread_mutex_lock(&h->lock);
    PRE(s->used > 0 && bytes <= s->piece_bytes);
    bool was_full = !slab_has_room(s);
    piece->next = s->free;
    s->free = piece;
    s->used--;
    if (s->used == 0) {
        slab_retire(s);
    } else if (was_full) {
        list_push_back(h->room[s->class].next, &s->link); /* the first one */
    }
    heap_unlock(h);
}
