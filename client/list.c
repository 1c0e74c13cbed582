/* Lists of children, page by page. */
#include <stdlib.h>
#include <string.h>

#include "client/async.h"
#include "client/client_internal.h"
#include "client/convert.h"

/* One listing, over all its pages. */
struct listing {
    struct coord_client *client;
    char *path;
    struct coord_names found;
    struct coord_names *to; /* where they go; NULL: to `done` alone */
    coord_done_fn done;
    void *context;
};

/* Appends one page; the component behind the last '/' is the child's name. */
static bool append_names(struct coord_names *list, const Coord__V1__ListReply *page)
{
    char **names = realloc(list->names, (list->count + page->n_entries + 1) * sizeof *names);
    if (names == NULL) {
        return false;
    }
    list->names = names;
    for (size_t i = 0; i < page->n_entries; i++) {
        const char *slash = strrchr(page->entries[i]->path, '/');
        char *name = strdup(slash != NULL ? slash + 1 : page->entries[i]->path);
        if (name == NULL) {
            return false;
        }
        list->names[list->count++] = name;
    }
    return true;
}

void coord_names_clear(struct coord_names *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->names[i]);
    }
    free(list->names);
    *list = (struct coord_names){.count = 0};
}

static void on_page(void *context, enum coord_code code, ProtobufCMessage **m,
                    const struct coord_error *error);

static enum coord_code ask(struct listing *l, char *after, struct coord_error *error)
{
    Coord__V1__ListRequest request = COORD__V1__LIST_REQUEST__INIT;
    request.path = l->path;
    request.after = after;
    return client_start(l->client, CLIENT_LIST, &request.base, on_page, l, NULL, error);
}

static void finish(struct listing *l, const struct coord_error *error)
{
    const struct coord_result result = {
        .code = error->code, .error = error, .path = "", .data = "", .names = &l->found};
    l->done(l->context, &result);
    if (l->to != NULL && error->code == COORD_OK) {
        *l->to = l->found;
        l->found = (struct coord_names){.count = 0};
    }
    coord_names_clear(&l->found);
    free(l->path);
    free(l);
}

static void on_page(void *context, enum coord_code code, ProtobufCMessage **m,
                    const struct coord_error *error)
{
    struct listing *l = context;
    const Coord__V1__ListReply *page = (const Coord__V1__ListReply *)*m;
    struct coord_error failure = *error;
    if (code == COORD_OK && !append_names(&l->found, page)) {
        code = client_fail(&failure, COORD_NO_MEMORY, "out of memory for the list");
    }
    bool goes_on = code == COORD_OK && page->next[0] != '\0';
    if (!goes_on || ask(l, page->next, &failure) != COORD_OK) {
        finish(l, &failure);
    }
}

static enum coord_code start(struct coord_client *client, const char *path,
                             struct coord_names *to, coord_done_fn done, void *context,
                             struct coord_error *error)
{
    static char none[] = "";
    struct listing *l = calloc(1, sizeof *l);
    if (l != NULL) {
        *l = (struct listing){
            .client = client, .path = strdup(path), .to = to, .done = done, .context = context};
    }
    if (l == NULL || l->path == NULL) {
        free(l);
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the list");
    }
    client_enter(client);
    enum coord_code code = ask(l, none, error);
    if (code != COORD_OK) {
        free(l->path);
        free(l);
    }
    client_leave(client);
    return code;
}

enum coord_code coord_list_async(struct coord_client *client, const char *path,
                                 coord_done_fn done, void *context, struct coord_error *error)
{
    return start(client, path, NULL, done, context, error);
}

enum coord_code coord_list(struct coord_client *client, const char *path,
                           struct coord_names *list, struct coord_error *error)
{
    struct async_wait w = {.error = error};
    enum coord_code code = async_may_wait(client, error);
    if (code == COORD_OK) {
        code = start(client, path, list, async_waited, &w, error);
    }
    return code == COORD_OK ? async_wait(client, &w) : code;
}
