#include "tests/sim/field.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void field_get(const struct value *v, const char *name, char value[FIELD_BYTES])
{
    size_t begin = 0;
    size_t length = strlen(name);
    const char *text = v == NULL ? "" : (const char *)v->bytes;
    size_t size = v == NULL ? 0 : v->size;
    value[0] = '\0';
    while (begin < size) {
        const char *line = text + begin;
        const char *end = memchr(line, '\n', size - begin);
        size_t bytes = end == NULL ? size - begin : (size_t)(end - line);
        if (bytes > length && memcmp(line, name, length) == 0 && line[length] == '=') {
            (void)snprintf(value, FIELD_BYTES, "%.*s", (int)(bytes - length - 1),
                           line + length + 1);
        }
        begin += bytes + 1;
    }
}

uint64_t field_number(const struct value *v, const char *name)
{
    char value[FIELD_BYTES];
    field_get(v, name, value);
    return strtoull(value, NULL, 10);
}
