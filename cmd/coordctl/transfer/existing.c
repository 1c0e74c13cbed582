#include "cmd/coordctl/transfer/existing.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/coordctl/list.h"

static void add(struct existing *e, const char *path)
{
    if (e->count == e->capacity) {
        e->capacity = e->capacity == 0 ? 256 : 2 * e->capacity;
        e->paths = mem_resize(e->paths, e->capacity * sizeof *e->paths);
    }
    struct slice copy = arena_copy(&e->arena, slice_make(path, strlen(path) + 1));
    e->paths[e->count++] = (const char *)copy.data;
}

static int order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void take_entry(const struct ctl *ctl, const Coord__V1__ListEntry *entry, void *context)
{
    (void)ctl;
    add(context, entry->path);
}

static int load_descendants(struct existing *e, const struct ctl *ctl, const char *path)
{
    Coord__V1__ListRequest request = COORD__V1__LIST_REQUEST__INIT;
    request.path = ctl_text(path);
    request.recursive = true;
    return list_each(ctl, &request, take_entry, e);
}

int existing_load(struct existing *e, const struct ctl *ctl, const char *path)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ExistsRequest request = COORD__V1__EXISTS_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.path = ctl_text(path);
    int exit_code = ctl_call(ctl, CLIENT_EXISTS, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    bool exists = ((const Coord__V1__ExistsReply *)m)->exists;
    client_reply_free(m);
    if (exists) {
        add(e, path);
        exit_code = load_descendants(e, ctl, path);
        qsort(e->paths, e->count, sizeof *e->paths, order);
    }
    return exit_code;
}

bool existing_has(const struct existing *e, const char *path)
{
    return e->count > 0 &&
           bsearch(&path, e->paths, e->count, sizeof *e->paths, order) != NULL;
}

void existing_close(struct existing *e)
{
    arena_close(&e->arena);
    mem_free(e->paths);
    *e = (struct existing){.count = 0};
}
