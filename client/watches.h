/* Watches: every change of nodes, in order, once. Part of libcoord; see client.h, which includes
 * it, for what holds for all of it. */
#ifndef CLIENT_WATCHES_H
#define CLIENT_WATCHES_H

#include "nodes.h" /* beside this one, in the sources as where it is installed */

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what the shared library shows */
#endif

/* ---- watches ---------------------------------------------------------------------------- */

/* A watch is told of every change, in order, once. When its connection, or the member behind it,
 * fails, it goes on at another endpoint behind the last event it handed out. */
struct coord_watch;

enum coord_scope {
    COORD_WATCH_NODE = 0,     /* the path */
    COORD_WATCH_CHILDREN = 1, /* its children, not itself */
    COORD_WATCH_SUBTREE = 2,  /* itself and all below */
    COORD_WATCH_PREFIX = 3,   /* every path that begins so */
};

#define COORD_WATCH_CREATED 1u
#define COORD_WATCH_SET     2u
#define COORD_WATCH_DELETED 4u

/* Zero everywhere is the default. */
struct coord_watch_options {
    enum coord_scope scope;
    unsigned types;         /* COORD_WATCH_CREATED, ... added up; 0 = all */
    const char *glob;       /* of the last component: * ? [a-z] [!a-z] \x; NULL = all */
    uint32_t depth;         /* SUBTREE: levels below the path; 0 = all */
    bool once;              /* ends after the first revision with an event */
    bool keys_only;         /* without values */
    bool with_previous;     /* the value before, too */
    uint64_t from_revision; /* the first wanted; 0 = from now on */
    bool list;              /* first what there is, at one revision, then what changes */
    bool relist;            /* when history no longer reaches back: list, and go on */
    /* The server gives a sign of life when nothing was sent for so long, and one that is silent
     * for three times that and a second is given up; 0 = 2000, at least 100. */
    uint32_t progress_ms;
    /* There is something for coord_watch_next, after it had nothing: call it, here or later, with
     * timeout 0 until it says COORD_TIMEOUT or COORD_UNAVAILABLE. May close the watch. NULL = not
     * told. */
    void (*ready)(void *context, struct coord_watch *watch);
    void *context;
};

/* From when this has returned COORD_OK, nothing is missed. `options` may be NULL. The client
 * must outlive its watches. COORD_INVALID: path or pattern; free with coord_watch_close. */
enum coord_code coord_watch_open(struct coord_client *client, const char *path,
                                 const struct coord_watch_options *options,
                                 struct coord_watch **watch, struct coord_error *error);
/* The same without waiting: whatever is wrong, coord_watch_next tells. From when the first
 * COORD_TIMEOUT is told, nothing is missed. */
enum coord_code coord_watch_start(struct coord_client *client, const char *path,
                                  const struct coord_watch_options *options,
                                  struct coord_watch **watch, struct coord_error *error);
/* The next event; what it points to is valid until the next call for this watch.
 * COORD_TIMEOUT: none came in time, all is well. COORD_UNAVAILABLE: none of the endpoints
 * could be reached in time; call again to go on trying. With `timeout_ms` 0 it only looks at
 * what has arrived, as it does inside a callback.
 * COORD_CANCELED: a callback has closed the watch, or the client, while this waited.
 * COORD_COMPACTED (without relist) and everything else but COORD_NO_MEMORY are the end of
 * the watch. */
enum coord_code coord_watch_next(struct coord_watch *watch, uint32_t timeout_ms,
                                 struct coord_event *event, struct coord_error *error);
/* Every event up to this revision has been handed out: a later watch may go on at this + 1. */
uint64_t coord_watch_revision(const struct coord_watch *watch);
/* For poll(2), without an event loop: when it is readable, call coord_watch_next, with timeout 0
 * until it says COORD_TIMEOUT; call it every progress_ms besides, and after every other call of the
 * client, which may have read what came for this watch: they share a connection. -1 while there is
 * none. */
int coord_watch_fd(const struct coord_watch *watch);
void coord_watch_close(struct coord_watch *watch); /* NULL is fine */

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
