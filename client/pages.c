#include "client/pages.h"

#include <stdlib.h>
#include <string.h>

#include "client/client_internal.h"

bool pages_keep(struct pages **pages, ProtobufCMessage **m)
{
    struct pages *p = *pages;
    if (p == NULL) {
        p = *pages = calloc(1, sizeof *p);
    }
    if (p == NULL) {
        return false;
    }
    ProtobufCMessage **replies = realloc(p->replies, (p->count + 1) * sizeof *replies);
    if (replies == NULL) {
        return false;
    }
    p->replies = replies;
    replies[p->count++] = *m;
    *m = NULL;
    return true;
}

void pages_free(struct pages *pages)
{
    if (pages == NULL) {
        return;
    }
    for (size_t i = 0; i < pages->count; i++) {
        client_reply_free(pages->replies[i]);
    }
    free(pages->replies);
    free(pages);
}

static char *next_of(const ProtobufCMessage *page)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(page->descriptor, "next");
    char *next;
    memcpy(&next, (const char *)page + field->offset, sizeof next);
    return next;
}

enum coord_code pages_ask(struct coord_client *client, enum client_method method,
                          ProtobufCMessage *request, char **after, struct pages **pages,
                          struct coord_error *error)
{
    struct pages *all = NULL;
    enum coord_code code;
    client_hold(client);
    do {
        ProtobufCMessage *m;
        code = client_call(client, method, request, NULL, &m, error);
        if (code != COORD_OK) {
            break;
        }
        *after = next_of(m);
        if (!pages_keep(&all, &m)) {
            client_reply_free(m);
            code = client_fail(error, COORD_NO_MEMORY, "out of memory for what is listed");
            break;
        }
    } while ((*after)[0] != '\0');
    client_let_go(client);
    if (code != COORD_OK) {
        pages_free(all);
        return code;
    }
    *pages = all;
    return COORD_OK;
}

/* ---- without waiting --------------------------------------------------------------------- */

static void on_page(void *context, enum coord_code code, ProtobufCMessage **page,
                    const struct coord_error *error)
{
    struct paging *p = context;
    struct coord_error failure = *error;
    char *next = code == COORD_OK ? next_of(*page) : NULL;
    if (code == COORD_OK && !p->take(p, page)) {
        code = client_fail(&failure, COORD_NO_MEMORY, "out of memory for what is listed");
    }
    bool goes_on = code == COORD_OK && next[0] != '\0';
    if (goes_on) {
        *p->after = next; /* of the page, which is there until the request is packed */
    }
    if (!goes_on || client_start(p->client, p->method, p->request, on_page, p, NULL,
                                 &failure) != COORD_OK) {
        p->done(p, &failure);
    }
}

enum coord_code paging_start(struct paging *paging, struct coord_error *error)
{
    client_enter(paging->client);
    enum coord_code code = client_start(paging->client, paging->method, paging->request,
                                        on_page, paging, NULL, error);
    client_leave(paging->client);
    return code;
}
