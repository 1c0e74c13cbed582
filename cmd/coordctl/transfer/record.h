/* A node as a line of an export: a JSON object.
 *
 *   {"coord_export": 1, "path": "/app", "revision": 17}             the first line, may be missing
 *   {"path": "config", "data": "debug"}                             relative to the subtree's root
 *   {"path": ".", "kind": "ttl", "ttl_ms": 5000, "data": {"base64": "/w=="},
 *    "acl": [{"rights": "all", "scheme": "world", "id": "anyone"}]}
 *
 * `kind` is "persistent" unless it is there; no `acl`: the usual one. What is not understood is
 * refused by name. To add a field: here, in record.c, and in docs/coordctl.md. */
#ifndef CMD_COORDCTL_TRANSFER_RECORD_H
#define CMD_COORDCTL_TRANSFER_RECORD_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "coord/v1/tree.pb-c.h"

#define RECORD_FORMAT       1
#define RECORD_ACL_MAX      256

struct record {
    json_t *json; /* what the others point to */
    bool is_header;
    const char *path; /* relative; "." is the root of the subtree */
    struct buf data;
    Coord__V1__Kind kind;
    uint64_t ttl_ms;
    Coord__V1__Acl entries[RECORD_ACL_MAX];
    Coord__V1__Acl *acl[RECORD_ACL_MAX];
    size_t acl_count;
    char error[256];
};

/* Reads a line over what was in `r` (zeroed before the first). False: `error` says why. */
bool record_parse(struct record *r, const char *line, size_t bytes);
void record_close(struct record *r);

#endif
