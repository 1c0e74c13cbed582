/* Pieces of memory that live long and differ in size: values above all.
 *
 * A slab is 256 KiB of its own pages, and all its pieces have one size class: by 8 bytes up to 512,
 * then by a sixteenth. When its last piece is freed, its pages go back to the system. The C
 * library's heap cannot do that: it lets small pieces settle in the holes that large ones leave, so
 * that the next large ones take fresh memory, and a burst of large values keeps what it took for
 * good. Nor does a piece need a header of its own here.
 *
 * Invariants: a slab lies at a multiple of its size, so that a piece finds it; it is in the list of
 * its class while it has room; the one that had a piece freed last is filled first, which lets the
 * emptier ones run dry.
 *
 * Any thread: each heap has a lock. Exhaustion aborts (base/mem.h). Under AddressSanitizer each
 * piece is one of the C library's, so that it sees every use after a free. */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include <stddef.h>

/* Larger pieces are the C library's, which gives them pages of their own (cmd/coordd/main.c). */
#define SLAB_PIECE_BYTES_MAX ((size_t)64 << 10)

struct slab_heap;

struct slab_heap *slab_heap_new(void); /* returns owned */
/* Pieces still in use stay valid and may be freed later; the last one takes the heap along. */
void slab_heap_free(struct slab_heap *h);
/* What it holds of the system's memory, in use or not; larger pieces are not counted. */
size_t slab_heap_bytes(struct slab_heap *h);

/* Aligned to 8 bytes, not zeroed, never NULL. Free it with slab_free and the same size. */
void *slab_alloc(struct slab_heap *h, size_t bytes);
void slab_free(void *memory, size_t bytes);

#endif
