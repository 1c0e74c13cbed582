#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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

void *mem_map(size_t bytes)
{
    PRE(bytes > 0 && (bytes & (bytes - 1)) == 0);
    /* Twice as much has it somewhere; what is before and behind goes back at once. */
    char *all = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) {
        return mem_checked(NULL);
    }
    size_t before = (bytes - ((uintptr_t)all & (bytes - 1))) & (bytes - 1);
    if (before > 0) {
        (void)munmap(all, before);
    }
    (void)munmap(all + before + bytes, bytes - before);
    return all + before;
}

bool mem_unmap(void *memory, size_t bytes)
{
    return munmap(memory, bytes) == 0;
}
