/* Why a request was denied: which right it lacked, on what, and whether roles or the list of the
 * node said no. Found out afterwards, by the state that answered and the notes of the request, so
 * that nobody who allows or denies has to tell. */
#ifndef NET_AUDIT_DENIAL_H
#define NET_AUDIT_DENIAL_H

#include "net/audit/audit.h"

struct access;

struct audit_denial {
    const char *right; /* NULL: none in particular */
    const char *by;    /* "roles", "acl"; NULL: not known */
    struct slice path; /* borrowed from the event */
    uint64_t lease;    /* 0 = it is about a path */
};

/* Of an event that is_denied. `access` is the caller's, NULL: there is no state to ask. False: it
 * cannot be told. */
bool audit_denial_explain(const struct audit_event *e, const struct access *access,
                          struct audit_denial *out);

#endif
