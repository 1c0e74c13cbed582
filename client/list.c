/* Lists of children, page by page. */
#include <stdlib.h>
#include <string.h>

#include "client/async.h"
#include "client/client_internal.h"
#include "client/pages.h"
#include "coord/v1/tree.pb-c.h"

/* One listing, over all its pages. */
struct listing {
    struct paging paging;
    Coord__V1__ListRequest request; /* with a path of its own */
    struct coord_names found;
    struct coord_names *to; /* where they go; NULL: to `done` alone */
    coord_done_fn done;
    void *context;
};

/* The component behind the last '/' is the child's name. */
static bool append_page(struct paging *paging, ProtobufCMessage **m)
{
    struct coord_names *list = &LOOP_OF(paging, struct listing, paging)->found;
    const Coord__V1__ListReply *page = (const Coord__V1__ListReply *)*m;
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

static void on_listed(struct paging *paging, const struct coord_error *error)
{
    struct listing *l = LOOP_OF(paging, struct listing, paging);
    const struct coord_result result = {
        .code = error->code, .error = error, .path = "", .data = "", .names = &l->found};
    l->done(l->context, &result);
    if (l->to != NULL && error->code == COORD_OK) {
        *l->to = l->found;
        l->found = (struct coord_names){.count = 0};
    }
    coord_names_clear(&l->found);
    free(l->request.path);
    free(l);
}

static enum coord_code start(struct coord_client *client, const char *path,
                             struct coord_names *to, coord_done_fn done, void *context,
                             struct coord_error *error)
{
    struct listing *l = calloc(1, sizeof *l);
    char *copy = strdup(path);
    if (l == NULL || copy == NULL) {
        free(l);
        free(copy);
        return client_fail(error, COORD_NO_MEMORY, "out of memory for the list");
    }
    *l = (struct listing){.to = to, .done = done, .context = context};
    coord__v1__list_request__init(&l->request);
    l->request.path = copy;
    l->paging = (struct paging){.client = client,
                                .method = CLIENT_LIST,
                                .request = &l->request.base,
                                .after = &l->request.after,
                                .take = append_page,
                                .done = on_listed};
    enum coord_code code = paging_start(&l->paging, error);
    if (code != COORD_OK) {
        free(copy);
        free(l);
    }
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
