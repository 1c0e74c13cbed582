/* A store on its way from rows to a whole (store/load.c); for the files of store/ only. */
#ifndef STORE_LOAD_H
#define STORE_LOAD_H

#include "store/row.h"
#include "store/store.h"

struct acl_list;

enum single {
    SINGLE_LEVEL,
    SINGLE_HISTORY_FLOOR,
    SINGLE_FLOOR_MS,
    SINGLE_FLOOR_0,
    SINGLE_FLOOR_1,
    SINGLE_WINDOW_SERIAL,
    SINGLE_SWEEP_REVISION,
    SINGLE_SWEEP_SUB,
    SINGLE_ACL_NEXT,
    SINGLE_COUNT
};

/* A reply of a session, which may come before the session does. */
struct load_reply {
    uint64_t session;
    uint64_t sequence;
    uint64_t serial;
    uint64_t index;
    struct slice reply; /* owned */
};

/* What must wait for the seal. */
struct store_load {
    uint64_t singles[SINGLE_COUNT];
    bool seen[SINGLE_COUNT];
    uint64_t placeholders;
    struct load_reply *replies;
    size_t reply_count;
    size_t reply_capacity;
};

void load_free(struct store_load *load); /* NULL is fine */

/* load_acl.c */
enum status load_acl(struct store *s, const struct row_acl *row) MUST_USE;
/* Of a change: as long as it is not known whether the table has it, the list is a copy. RC_CORRUPT
 * if it is no list that a node may have. */
enum status load_change_list(const struct row_change *row, struct acl_list **out) MUST_USE;
/* Nodes find their lists. After all nodes were looked at. */
enum status seal_acls(struct store *s, struct errmsg *err) MUST_USE;
/* Changes share their lists with the table, and with each other. */
void share_acls(struct store *s);

/* load_lease.c */
enum status load_lease(struct store *s, const struct row_lease *row) MUST_USE;
enum status load_session_reply(struct store *s, const struct row_reply *row) MUST_USE;
/* Windows get their replies, leases their nodes. After all other rows were looked at. */
enum status seal_leases(struct store *s, struct errmsg *err) MUST_USE;

#endif
