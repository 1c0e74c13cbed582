/* A second, naive implementation of what commands do to nodes and leases: an array of nodes
 * sorted by space and path, an array of leases, each with an array of remembered replies. It
 * shares no code with the store, and knows what the tests draw: ASCII paths, small values,
 * persistent and ephemeral nodes, windows that are bounded by numbers and not by bytes.
 *
 * A change is made of the record and appended to `expected`; rolling back is the caller's:
 * it keeps a copy. Assertions are Check's. */
#ifndef TESTS_SUPPORT_STORE_MODEL_H
#define TESTS_SUPPORT_STORE_MODEL_H

#include "store/command.h"
#include "store/reply.h"

#define MODEL_PATH_BYTES  200
#define MODEL_DATA_BYTES  64
#define MODEL_CHANGES_MAX 512

struct record {
    uint8_t space;
    char path[MODEL_PATH_BYTES];
    char data[MODEL_DATA_BYTES];
    size_t size;
    bool null;
    uint8_t list; /* of MODEL_LISTS; 0: open */
    struct node_stat stat; /* without the id of the list, which is the store's matter */
};

struct model_reply {
    uint64_t sequence;
    uint8_t *bytes;
    size_t size;
};

struct model_lease {
    uint64_t id;
    uint64_t ttl_ms;
    uint64_t generation;
    uint64_t granted_ms;
    uint8_t kind;
    bool renewable;
    char secret[17];
    char owner[17];
    uint64_t floor;
    struct model_reply *replies; /* in the order in which they came */
    size_t reply_count;
};

struct model {
    struct record *records;
    size_t count;
    size_t capacity;
    struct model_lease *leases;
    size_t lease_count;
    uint64_t revision;
    uint64_t wall_ms;
    uint64_t index; /* of the command that is executed */
    uint8_t caller; /* of MODEL_CALLERS: of the command that is executed */
};

struct expected_change {
    uint8_t type;
    uint8_t reason;
    uint64_t session;
    struct record after; /* of a delete: as it was */
    struct record before;
};

struct expected {
    uint8_t reason; /* of the changes to come, and in whose name they are made */
    uint64_t session;
    struct expected_change changes[MODEL_CHANGES_MAX];
    uint32_t count;
};

void model_init(struct model *m);
struct model model_copy(const struct model *m);
void model_free(struct model *m);

struct record *model_find(struct model *m, uint8_t space, const char *path);

/* One operation. `path` is that of `op` as text; `made` is the node created or set, `count`
 * what a delete took. The revision of the changes is m->revision + 1. */
enum outcome model_create(struct model *m, struct expected *e, const struct op *op,
                          const char *path, struct record **made);
enum outcome model_set(struct model *m, struct expected *e, const struct op *op,
                       const char *path, struct record **made);
enum outcome model_delete(struct model *m, struct expected *e, const struct op *op,
                          const char *path, uint64_t *count);
enum outcome model_set_acl(struct model *m, struct expected *e, const struct op *op,
                           const char *path, struct record **made);
enum outcome model_check(struct model *m, const struct op *op, const char *path);
enum outcome model_guard(struct model *m, const struct guard *g, bool *holds);

void model_delete_record(struct model *m, struct expected *e, struct record *r);

/* ---- who may what (store_model_acl.c) ---- */

/* A few lists and a few callers, and a table of what each of these may do where. */
#define MODEL_LISTS   8 /* 0: open; from 1: valid; MODEL_LISTS itself: not valid */
#define MODEL_CALLERS 5
#define MODEL_SUPER   4
#define MODEL_READERS 7 /* the list of "/zookeeper/config" */

void model_list_encode(uint8_t list, struct buf *out);     /* of 0: open, as a list */
void model_caller_encode(uint8_t caller, struct buf *out); /* of 0: nobody, nothing */
/* The number of a list; of no bytes 0, of others MODEL_LISTS. */
uint8_t model_list_of(struct slice encoded);
/* ACL_READ and so on. NULL, a node that is not there, is open. */
bool model_may(const struct model *m, const struct record *r, uint32_t permission);

/* ---- leases (store_model_lease.c) ---- */

struct model_lease *model_lease_find(const struct model *m, uint64_t id);
/* The one with the next higher id. */
struct model_lease *model_lease_next(const struct model *m, uint64_t after);
void model_leases_copy(struct model *to, const struct model *from);
void model_leases_free(struct model *m);

/* What the session decides before a command is executed. False: `outcome` is the answer, or, if
 * `first` is not NULL, the reply remembered there. */
bool model_begin(struct model *m, const struct command *c, enum outcome *outcome,
                 const struct model_reply **first);
/* A reply to a numbered command; forgotten at once if its session has ended. */
void model_remember(struct model *m, const struct command *c, struct slice reply);
/* GRANT, RESUME, REVOKE, EXPIRE. */
enum outcome model_lease_command(struct model *m, struct expected *e, const struct command *c,
                                 struct lease_result *result);

/* Paths as text. */
void model_parent_path(const char *path, char *out);
void model_slice_text(struct slice s, char *out);
/* The order of a depth-first walk: '/' before everything else. */
int model_path_order(const char *a, const char *b);

#endif
