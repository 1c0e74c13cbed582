/* Answers that come in pages: all of them, kept for as long as what was made of them points there.
 *
 * A page is a reply with a field `next`: what the next request has to say in `after`, "" in the
 * last one. */
#ifndef CLIENT_PAGES_H
#define CLIENT_PAGES_H

#include "client/call.h"

struct pages {
    ProtobufCMessage **replies;
    size_t count;
};

/* Takes `*m` over, by setting it to NULL. `*pages` is made if it is NULL. False: no memory. */
bool pages_keep(struct pages **pages, ProtobufCMessage **m);
/* Asks until the last page has come; `after` points to the request's field of that name. `pages`
 * gets all of them on COORD_OK. Waits. */
enum coord_code pages_ask(struct coord_client *client, enum client_method method,
                          ProtobufCMessage *request, char **after, struct pages **pages,
                          struct coord_error *error);
void pages_free(struct pages *pages); /* NULL is fine */

/* The same without waiting, for whoever embeds it. */
struct paging {
    struct coord_client *client;
    enum client_method method;
    ProtobufCMessage *request; /* stays until `done` */
    char **after;              /* its field of that name */
    /* One page; it may keep it, by setting `*page` to NULL. False: no memory, and that is it. */
    bool (*take)(struct paging *paging, ProtobufCMessage **page);
    /* Once, COORD_OK behind the last page. */
    void (*done)(struct paging *paging, const struct coord_error *error);
};
/* COORD_NO_MEMORY: `done` is never called. */
enum coord_code paging_start(struct paging *paging, struct coord_error *error);

#endif
