#include "cmd/coordctl/transfer/order.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The first line that comes too late, and the one that it should have come before. */
struct late {
    const struct order_line *line;
    const struct order_line *before; /* of the same path: it is there twice */
};

void order_add(struct order *o, const char *path, uint64_t number)
{
    if (o->count == o->capacity) {
        o->capacity = o->capacity == 0 ? 256 : 2 * o->capacity;
        o->lines = mem_resize(o->lines, o->capacity * sizeof *o->lines);
    }
    struct slice copy = arena_copy(&o->arena, slice_make(path, strlen(path) + 1));
    o->lines[o->count++] =
        (struct order_line){.path = (const char *)copy.data, .number = number};
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct order_line *)a)->path, ((const struct order_line *)b)->path);
}

static int by_path_and_number(const void *a, const void *b)
{
    uint64_t first = ((const struct order_line *)a)->number;
    uint64_t second = ((const struct order_line *)b)->number;
    int paths = by_path(a, b);
    return paths != 0 ? paths : (first > second) - (first < second);
}

static const struct order_line *find(const struct order *o, const char *path)
{
    const struct order_line wanted = {.path = path};
    return bsearch(&wanted, o->lines, o->count, sizeof *o->lines, by_path);
}

static void note(struct late *late, const struct order_line *line,
                 const struct order_line *before)
{
    if (late->line == NULL || line->number < late->line->number) {
        *late = (struct late){.line = line, .before = before};
    }
}

/* Those above `line` that have lines of their own, behind it. */
static void look_above(struct late *late, const struct order *o,
                       const struct existing *existing, const struct order_line *line)
{
    struct buf path = {0};
    buf_append_str(&path, line->path);
    buf_append(&path, "", 1);
    char *text = (char *)path.data;
    for (char *end = strrchr(text, '/'); end != NULL && end != text; end = strrchr(text, '/')) {
        *end = '\0';
        const struct order_line *above = find(o, text);
        if (above != NULL && above->number > line->number && !existing_has(existing, text)) {
            note(late, above, line);
        }
    }
    buf_close(&path);
}

uint64_t order_check(struct order *o, const struct existing *existing, struct buf *why)
{
    struct late late = {.line = NULL};
    if (o->count > 0) {
        qsort(o->lines, o->count, sizeof *o->lines, by_path_and_number);
    }
    for (size_t i = 0; i < o->count; i++) {
        if (i > 0 && by_path(&o->lines[i - 1], &o->lines[i]) == 0) {
            note(&late, &o->lines[i], &o->lines[i - 1]);
        }
        look_above(&late, o, existing, &o->lines[i]);
    }
    if (late.line == NULL) {
        return 0;
    }
    if (by_path(late.line, late.before) == 0) {
        buf_printf(why, "path: %s is that of line %" PRIu64 " already", late.line->path,
                   late.before->number);
    } else {
        buf_printf(why, "path: %s must stand before line %" PRIu64 ", as %s is below it",
                   late.line->path, late.before->number, late.before->path);
    }
    return late.line->number;
}

void order_close(struct order *o)
{
    arena_close(&o->arena);
    mem_free(o->lines);
    *o = (struct order){.count = 0};
}
