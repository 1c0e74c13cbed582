/* Grants that writes depend on: --guard, COORD_GUARD. */
#ifndef CMD_COORDCTL_GUARDS_H
#define CMD_COORDCTL_GUARDS_H

#include "cmd/coordctl/ctl.h"
#include "coord/v1/tree.pb-c.h"

#define GUARDS_MAX 64

/* Zero is valid: none. */
struct guards {
    char *text; /* what the paths are in */
    Coord__V1__LockGrant grants[GUARDS_MAX];
    Coord__V1__LockGrant *list[GUARDS_MAX]; /* as requests take them; points into here */
    Coord__V1__Guard txn_guards[GUARDS_MAX];
    size_t count;
};

/* "PATH@REVISION", several with commas between them; paths may have commas and @ too. `text`
 * NULL: none. False: it is none of this, or there is no memory; else guards_clear it. */
bool guards_parse(struct guards *guards, const char *text);
void guards_clear(struct guards *guards);
/* Those of the command line, which has been found right: the exit code. To be cleared in any
 * case. */
int guards_take(const struct ctl *ctl, struct guards *guards);

/* Adds them to a transaction: its guards are then memory of its own, for free(3), which is
 * borrowed by nobody else. False: no memory. */
bool guards_put(struct guards *guards, Coord__V1__TxnRequest *request);

#endif
