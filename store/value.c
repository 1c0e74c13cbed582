#include "store/value.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/slab.h"

/* Part of the state digest: never change them. */
#define VALUE_SEED UINT64_C(0x56)
#define VALUE_NULL_HASH UINT64_C(0x4e554c4c)

struct value *value_new(struct slab_heap *heap, struct slice bytes)
{
    PRE(bytes.size < UINT32_MAX);
    struct value *v = slab_alloc(heap, sizeof *v + bytes.size);
    v->refs = 1;
    v->size = (uint32_t)bytes.size;
    if (bytes.size > 0) {
        memcpy(v->bytes, bytes.data, bytes.size);
    }
    return v;
}

struct value *value_ref(struct value *v)
{
    if (v != NULL) {
        uint32_t before = __atomic_fetch_add(&v->refs, 1, __ATOMIC_RELAXED);
        PRE(before < UINT32_MAX);
    }
    return v;
}

void value_unref(struct value *v)
{
    if (v != NULL && __atomic_sub_fetch(&v->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        slab_free(v, sizeof *v + v->size);
    }
}

struct slice value_slice(const struct value *v)
{
    return v == NULL ? slice_make(NULL, 0) : slice_make(v->bytes, v->size);
}

uint64_t value_hash(const struct value *v)
{
    return v == NULL ? VALUE_NULL_HASH : hash_bytes(VALUE_SEED, v->bytes, v->size);
}
