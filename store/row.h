/* Rows: the content of a snapshot as a stream of self-delimiting records.
 *
 * The scan (store/scan.c) produces them on the loop, in any table order; the snapshot file
 * (store/snapshot.c) holds them in SQLite; loading feeds them back through store_load_row. A row is
 *
 *   u32 bytes that follow | u8 table | fields
 */
#ifndef STORE_ROW_H
#define STORE_ROW_H

#include "base/pack.h"
#include "base/status.h"
#include "store/types.h"

enum row_table {
    ROW_META = 1,   /* name, value: everything single (revision, cluster_ms, digest, ...) */
    ROW_NODE = 2,   /* one record of the tree */
    ROW_CHANGE = 3, /* one change of the change log */
    ROW_REPLY = 4,  /* one remembered reply */
    ROW_LEASE = 5,  /* one lease or session */
    ROW_VERSION = 6, /* one change kept in a version chain */
    ROW_ACL = 7,     /* one access control list that nodes have */
};

struct row_meta {
    struct slice name;
    struct slice value; /* integers as decimal text, so that the sqlite3 shell shows them */
};

struct row_node {
    uint8_t space;
    bool null_data;
    struct slice path;
    struct slice data;
    struct node_stat stat;
    uint64_t touched_ms; /* of a NODE_TTL: cluster_ms of its create or last set, else 0 */
};

struct row_change {
    uint64_t revision;
    uint32_t sub;    /* order within the revision */
    uint8_t type;    /* enum change_type of store/history.h */
    uint8_t space;
    uint8_t reason;
    bool null_data;
    bool null_old_data;
    struct slice path;
    struct slice data;
    struct slice old_data;
    struct node_stat stat; /* after; of a delete: as it was */
    uint64_t old_modify_revision;
    uint64_t old_modify_ms;
    struct slice acl;      /* the list with the id in `stat`, which the table may no longer have */
    uint64_t session;
    uint64_t cluster_ms;
    uint64_t wall_ms;
    struct slice identities;
    struct slice note;
};

struct row_reply {
    struct request_id request; /* or session, sequence and serial (lease/window.h) */
    uint64_t session;
    uint64_t sequence;
    uint64_t serial;
    uint64_t index;
    struct slice reply; /* reply_encode */
};

struct row_lease {
    uint64_t id;
    uint8_t kind; /* enum lease_kind */
    bool renewable;
    uint64_t ttl_ms;
    uint64_t generation;
    uint64_t granted_ms;
    uint64_t window_floor; /* of a session, else 0 */
    struct slice secret;
    struct slice owner;
    struct slice user; /* whose it is by authentication; empty: nobody's */
};

struct row_acl {
    uint32_t id;
    struct slice list; /* as in store/acl.h */
};

struct row {
    uint8_t table; /* enum row_table */
    union {
        struct row_meta meta;
        struct row_node node;
        struct row_change change; /* ROW_CHANGE, ROW_VERSION */
        struct row_reply reply;
        struct row_lease lease;
        struct row_acl acl;
    };
};

void row_encode(struct buf *b, const struct row *row);
/* Takes the next row; slices point into the input. RC_MALFORMED for anything not well-formed. */
enum status row_decode(struct unpack *rows, struct row *out) MUST_USE;

#endif
