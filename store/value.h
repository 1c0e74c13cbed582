/* Values: immutable bytes with a reference count, shared by records and the change log (and by
 * events that wait to be sent). NULL stands for "no value at all", which ZooKeeper tells apart from
 * an empty one. Loop thread, or the one thread that fills a store nobody else sees yet, or frees
 * one that has been replaced: some of its values may be held elsewhere, so the count is atomic.
 * Their memory is a heap's of slabs, the store's own. */
#ifndef STORE_VALUE_H
#define STORE_VALUE_H

#include "base/slice.h"

struct value {
    uint32_t refs; /* atomic */
    uint32_t size;
    uint8_t bytes[];
};

struct slab_heap;

/* Keeps a copy, in `heap`; one reference, the caller's. It may outlive the heap's owner. */
struct value *value_new(struct slab_heap *heap, struct slice bytes);
struct value *value_ref(struct value *v);         /* NULL stays NULL */
void value_unref(struct value *v);                /* the last one frees; NULL is fine */
struct slice value_slice(const struct value *v);  /* of NULL: empty */
uint64_t value_hash(const struct value *v);       /* NULL and empty differ */

#endif
