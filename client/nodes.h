/* Nodes: to read and to write them, alone and in transactions, and what happened to them. Part of
 * libcoord; see client.h, which includes it, for what holds for all of it. */
#ifndef CLIENT_NODES_H
#define CLIENT_NODES_H

#include "core.h" /* beside this one, in the sources as where it is installed */

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what the shared library shows */
#endif

/* ---- nodes ------------------------------------------------------------------------------ */

#define COORD_ANY_VERSION (-1)

enum coord_create_flags {
    COORD_SEQUENTIAL = 1,   /* appends the parent's counter to the path, ten digits at least */
    COORD_MAKE_PARENTS = 2, /* creates missing ancestors, empty */
};

/* `real_path` (may be NULL) gets the path with its sequence number; free(3) it. `stat` may be
 * NULL here and everywhere. */
enum coord_code coord_create(struct coord_client *client, const char *path, const void *data,
                             size_t bytes, int flags, char **real_path, struct coord_stat *stat,
                             struct coord_error *error);

struct coord_create_options {
    enum coord_kind kind;
    int flags;       /* enum coord_create_flags */
    uint64_t lease;  /* owner of an ephemeral; 0 = the client's session */
    uint64_t ttl_ms; /* of COORD_TTL */
};
/* The same for all kinds of nodes. `options` NULL: as coord_create without flags. */
enum coord_code coord_create_with(struct coord_client *client, const char *path,
                                  const void *data, size_t bytes,
                                  const struct coord_create_options *options, char **real_path,
                                  struct coord_stat *stat, struct coord_error *error);

/* `data` gets a zero-terminated copy of the value; free(3) it. `bytes` may be NULL. */
enum coord_code coord_get(struct coord_client *client, const char *path, void **data,
                          size_t *bytes, struct coord_stat *stat, struct coord_error *error);

/* A node that does not exist is COORD_OK with `exists` false. */
enum coord_code coord_exists(struct coord_client *client, const char *path, bool *exists,
                             struct coord_stat *stat, struct coord_error *error);

/* `version` is the one the node must have (coord_stat.version), or COORD_ANY_VERSION. */
enum coord_code coord_set(struct coord_client *client, const char *path, const void *data,
                          size_t bytes, int64_t version, struct coord_stat *stat,
                          struct coord_error *error);

/* `recursive` takes all descendants with it, atomically; else they are COORD_NOT_EMPTY. `count`
 * (may be NULL) gets the number of nodes deleted. */
enum coord_code coord_delete(struct coord_client *client, const char *path, int64_t version,
                             bool recursive, uint64_t *count, struct coord_error *error);

/* All children, however many pages that takes. Each page is as fresh as asked; children that
 * come or go between two pages may be in the list or not. Free with coord_names_clear. */
enum coord_code coord_list(struct coord_client *client, const char *path,
                           struct coord_names *list, struct coord_error *error);
void coord_names_clear(struct coord_names *list);

/* Returns when the member spoken to has all that was committed when the call began. */
enum coord_code coord_sync(struct coord_client *client, struct coord_error *error);

enum coord_code coord_create_async(struct coord_client *client, const char *path,
                                   const void *data, size_t bytes,
                                   const struct coord_create_options *options,
                                   coord_done_fn done, void *context, struct coord_call **call,
                                   struct coord_error *error);
enum coord_code coord_get_async(struct coord_client *client, const char *path,
                                coord_done_fn done, void *context, struct coord_call **call,
                                struct coord_error *error);
enum coord_code coord_exists_async(struct coord_client *client, const char *path,
                                   coord_done_fn done, void *context, struct coord_call **call,
                                   struct coord_error *error);
enum coord_code coord_set_async(struct coord_client *client, const char *path, const void *data,
                                size_t bytes, int64_t version, coord_done_fn done,
                                void *context, struct coord_call **call,
                                struct coord_error *error);
enum coord_code coord_delete_async(struct coord_client *client, const char *path,
                                   int64_t version, bool recursive, coord_done_fn done,
                                   void *context, struct coord_call **call,
                                   struct coord_error *error);
/* All children, as coord_list. It cannot be canceled. */
enum coord_code coord_list_async(struct coord_client *client, const char *path,
                                 coord_done_fn done, void *context, struct coord_error *error);
enum coord_code coord_sync_async(struct coord_client *client, coord_done_fn done, void *context,
                                 struct coord_call **call, struct coord_error *error);

/* The highest revision that any reply to this client carried; 0 before the first. */
uint64_t coord_revision(const struct coord_client *client);

/* ---- transactions ----------------------------------------------------------------------- */

/* What must be the case. Made by the functions below; strings and bytes are borrowed. */
struct coord_guard {
    const char *path;
    int kind;     /* private, as all below */
    int relation; /* enum coord_relation */
    uint64_t number;
    const void *data;
    size_t bytes;
};

enum coord_relation { COORD_EQUAL = 0, COORD_NOT_EQUAL = 1, COORD_LESS = 2, COORD_GREATER = 3 };

struct coord_guard coord_guard_exists(const char *path, bool exists);
struct coord_guard coord_guard_version(const char *path, enum coord_relation relation,
                                       uint32_t version);
/* Of its last change (coord_stat.modify_revision). */
struct coord_guard coord_guard_revision(const char *path, enum coord_relation relation,
                                        uint64_t modify_revision);
struct coord_guard coord_guard_value(const char *path, enum coord_relation relation,
                                     const void *data, size_t bytes);
/* The very node that was created at `revision` (coord_stat.create_revision) is still there: who
 * made it still holds what it stands for. Of a lock: coord_lock_guard. A write that it refuses is
 * COORD_GUARD_STALE. */
struct coord_guard coord_guard_held(const char *path, uint64_t revision);

/* What is to be done. Made by the functions below; strings and bytes are borrowed. */
struct coord_op {
    const char *path;
    int kind; /* private, as all below */
    const void *data;
    size_t bytes;
    int64_t version;
    bool recursive;
    struct coord_create_options create;
};

/* `options` may be NULL. */
struct coord_op coord_op_create(const char *path, const void *data, size_t bytes,
                                const struct coord_create_options *options);
struct coord_op coord_op_set(const char *path, const void *data, size_t bytes, int64_t version);
struct coord_op coord_op_delete(const char *path, int64_t version, bool recursive);
struct coord_op coord_op_check(const char *path, int64_t version); /* does nothing else */
struct coord_op coord_op_get(const char *path);
struct coord_op coord_op_list(const char *path);

/* If all guards hold, then_ops, else else_ops; all of them or, when one fails, none. */
struct coord_transaction {
    const struct coord_guard *guards;
    size_t guard_count;
    const struct coord_op *then_ops;
    size_t then_count;
    const struct coord_op *else_ops;
    size_t else_count;
};

struct coord_op_result {
    const char *path; /* create: the real one */
    const void *data; /* get */
    size_t bytes;
    struct coord_stat stat;
    uint64_t count;              /* delete */
    const char *const *children; /* list: names */
    size_t child_count;
};
struct coord_txn_result {
    bool took_then;
    const struct coord_op_result *results; /* one for each operation of the branch */
    size_t count;
    void *memory; /* private: what the results point to */
};

/* COORD_REFUSED: the guards do not hold, and there are no else_ops; COORD_GUARD_STALE: because a
 * grant is not held any more. Else what was wrong with the operation that failed, which the message
 * numbers, from 1. `result` (may be NULL): free with coord_txn_clear. */
enum coord_code coord_txn(struct coord_client *client, const struct coord_transaction *txn,
                          struct coord_txn_result *result, struct coord_error *error);
void coord_txn_clear(struct coord_txn_result *result);
enum coord_code coord_txn_async(struct coord_client *client,
                                const struct coord_transaction *txn, coord_done_fn done,
                                void *context, struct coord_call **call,
                                struct coord_error *error);

/* Single writes that are made if all guards hold: COORD_GUARD_STALE, COORD_REFUSED as above,
 * else as the calls without guards. */
enum coord_code coord_create_guarded(struct coord_client *client, const char *path,
                                     const void *data, size_t bytes,
                                     const struct coord_create_options *options,
                                     const struct coord_guard *guards, size_t guard_count,
                                     char **real_path, struct coord_stat *stat,
                                     struct coord_error *error);
enum coord_code coord_set_guarded(struct coord_client *client, const char *path,
                                  const void *data, size_t bytes, int64_t version,
                                  const struct coord_guard *guards, size_t guard_count,
                                  struct coord_stat *stat, struct coord_error *error);
enum coord_code coord_delete_guarded(struct coord_client *client, const char *path,
                                     int64_t version, bool recursive,
                                     const struct coord_guard *guards, size_t guard_count,
                                     uint64_t *count, struct coord_error *error);

/* ---- history ---------------------------------------------------------------------------- */

enum coord_event_type {
    COORD_EVENT_CREATED = 1,
    COORD_EVENT_SET = 2,
    COORD_EVENT_DELETED = 3,
    /* Of watches with `list` or `relist` alone. LISTING: what was known before is void, all
     * that there is follows as ENTRY, in path order, then LISTED; `revision` is that of the
     * listing. */
    COORD_EVENT_LISTING = 4,
    COORD_EVENT_ENTRY = 5,
    COORD_EVENT_LISTED = 6,
    COORD_EVENT_END = 7, /* of a watch with `once`, after its events: nothing more will come */
    COORD_EVENT_ACL =
        8, /* of history alone: another access control list, the value is as before */
};

enum coord_reason {
    COORD_REASON_REQUESTED = 0,
    COORD_REASON_LEASE_EXPIRED = 1, /* or session */
    COORD_REASON_LEASE_REVOKED = 2,
    COORD_REASON_SESSION_CLOSED = 3,
    COORD_REASON_CONTAINER_EMPTIED = 4,
    COORD_REASON_TTL_PASSED = 5,
    COORD_REASON_GRANTED = 6,   /* of a lock's queue: what was in its way went */
    COORD_REASON_TIMED_OUT = 7, /* of a lock's queue: its time to wait, or to hold, ran out */
};

struct coord_event {
    enum coord_event_type type;
    enum coord_reason reason;
    const char *path;
    const void *data; /* after the change; zero bytes for a delete, and with keys_only */
    size_t bytes;
    const void *previous; /* before it, if asked for */
    size_t previous_bytes;
    struct coord_stat stat; /* after it; of a delete: as it was */
    uint64_t revision;
    uint32_t sub;     /* order within the revision */
    uint64_t session; /* that asked for it; 0 = none */
    uint64_t time_ms; /* wall clock, since 1970 */
    const char *note; /* the writer's "why" */
};

/* The node as it was at `revision`, as far as history reaches back, else COORD_COMPACTED. */
enum coord_code coord_get_at(struct coord_client *client, const char *path, uint64_t revision,
                             void **data, size_t *bytes, struct coord_stat *stat,
                             struct coord_error *error);

struct coord_change_options {
    bool recursive; /* with all descendants */
    bool newest_first;
    bool keys_only;          /* without values */
    uint64_t from_revision;  /* 0 = as far back as there is */
    uint64_t to_revision;    /* 0 = the present */
    uint32_t limit;          /* of one page; 0 = what fits 2 MiB */
    uint64_t after_revision; /* the next_ of the page before */
    uint32_t after_sub;
};
struct coord_change_list {
    struct coord_event *events; /* with the values before */
    size_t count;
    uint64_t next_revision; /* 0: this was the last page */
    uint32_t next_sub;
    uint64_t floor; /* from this revision on, all changes are known */
    void *memory;   /* private: what the events point to */
};
/* A page of what happened to a node. `options` may be NULL. Free with coord_changes_clear. */
enum coord_code coord_changes(struct coord_client *client, const char *path,
                              const struct coord_change_options *options,
                              struct coord_change_list *changes, struct coord_error *error);
void coord_changes_clear(struct coord_change_list *changes);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
