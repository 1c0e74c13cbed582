/* The JSON language of transactions, decoded into a request. docs/coordctl.md describes it.
 *
 *   {"if":   [{"path": "/a", "version": 3}, {"path": "/b", "exists": false}],
 *    "then": [{"set": "/a", "data": "x"}, {"create": "/b", "data": "y", "sequential": true}],
 *    "else": [{"get": "/a"}]}
 *
 * Strict: a field that is not known, or of the wrong type, is refused by name, as a guard that
 * is silently not understood would be a write that is silently not guarded.
 *
 * To add a field: a line in the function of its operation. To add an operation: such a
 * function, and a row in the table. */
#ifndef CMD_COORDCTL_TXN_PARSE_H
#define CMD_COORDCTL_TXN_PARSE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "coord/v1/tree.pb-c.h"

struct txn_parse {
    struct arena arena; /* holds what the request points to, besides the JSON itself */
    char where[32];     /* "then 2" */
    char error[256];    /* of the first thing that is wrong */
};

/* Fills `request`, an initialised one, from `root`. False: see `error`. The request is valid
 * until txn_parse_close and as long as `root`. `p` is zeroed before. */
bool txn_parse(struct txn_parse *p, json_t *root, Coord__V1__TxnRequest *request);
void txn_parse_close(struct txn_parse *p);

#endif
