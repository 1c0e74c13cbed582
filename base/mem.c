#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static void *mem_checked(void *memory)
{
    if (memory == NULL) {
        assert_failed("memory", 0, "the system gave no memory", __FILE__, __LINE__);
    }
    return memory;
}

/* The C library may answer NULL to a request of nothing; ours are never NULL. */
static size_t mem_at_least_one(size_t bytes)
{
    return bytes == 0 ? 1 : bytes;
}

void *mem_alloc(size_t bytes)
{
    return mem_checked(malloc(mem_at_least_one(bytes)));
}

void *mem_zalloc(size_t bytes)
{
    return mem_checked(calloc(1, mem_at_least_one(bytes)));
}

void *mem_resize(void *old, size_t bytes)
{
    return mem_checked(realloc(old, mem_at_least_one(bytes)));
}

void *mem_dup(const void *data, size_t bytes)
{
    void *copy = mem_alloc(bytes);
    if (bytes > 0) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_dup(text, strlen(text) + 1);
}

void mem_free(void *memory)
{
    free(memory);
}
