#include "client/memory.h"

#include <stdlib.h>

bool memory_reserve(struct buf *b, size_t more)
{
    if (b->capacity - b->size >= more) {
        return true;
    }
    size_t capacity = b->capacity * 2;
    capacity = capacity < b->size + more ? b->size + more : capacity;
    uint8_t *data = realloc(b->data, capacity);
    if (data == NULL) {
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}
