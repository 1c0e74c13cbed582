#include "cmd/coordctl/transfer/existing.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "coord/v1/tree.pb-c.h"

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

static int load_descendants(struct existing *e, const struct ctl *ctl, const char *path)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ListRequest request = COORD__V1__LIST_REQUEST__INIT;
    ProtobufCMessage *page = NULL;
    request.header = &header;
    request.path = ctl_text(path);
    request.recursive = true;
    do {
        ProtobufCMessage *next;
        int exit_code = ctl_call(ctl, CLIENT_LIST, &request.base, &header, &next);
        client_reply_free(page); /* request.after pointed into it */
        page = next;
        if (exit_code != EXIT_DONE) {
            return exit_code;
        }
        const Coord__V1__ListReply *reply = (const Coord__V1__ListReply *)page;
        for (size_t i = 0; i < reply->n_entries; i++) {
            add(e, reply->entries[i]->path);
        }
        request.after = reply->next;
    } while (request.after[0] != '\0');
    client_reply_free(page);
    return EXIT_DONE;
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
