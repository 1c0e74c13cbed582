/* The state machine: a pure function (state, command) -> (state, reply, changes).
 *
 * No clock, randomness, thread or socket: time and chance come with the command. All calls on the
 * loop thread, except that a store which nobody else sees yet may be filled on a worker
 * (store/snapshot.h, snapshot_load).
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buf.h"
#include "store/command.h"
#include "store/query.h"
#include "store/reply.h"
#include "store/snapshot.h"

struct store;

struct apply_context {
    uint64_t index; /* of the log entry; grows */
    uint64_t cluster_ms;
    uint64_t wall_ms;
    bool last_of_entry; /* the entry's last command: the applied index moves with it */
};

struct store *store_new(void); /* holds "/" and ZooKeeper's reserved nodes, revision 1 */
void store_free(struct store *s);

/* Applies one command. Cannot fail: outcomes are in `reply`, which is valid until the next call. */
void store_apply(struct store *s, const struct apply_context *context, const struct command *c,
                 struct reply *reply);

/* Moves the applied index past an entry without commands (barriers, configuration changes). */
void store_skip(struct store *s, uint64_t index);

uint64_t store_revision(const struct store *s);
uint64_t store_applied_index(const struct store *s);
uint64_t store_cluster_ms(const struct store *s); /* of the last command applied */
uint64_t store_digest(const struct store *s);     /* of all replicated state at applied_index */
uint64_t store_node_count(const struct store *s);
uint64_t store_bytes(const struct store *s); /* approximate memory of nodes, values and lists */
uint32_t store_level(const struct store *s);      /* replicated feature level */
uint64_t store_history_floor(const struct store *s); /* oldest revision still in the change log */
uint64_t store_history_bytes(const struct store *s);
uint64_t store_versions_bytes(const struct store *s); /* of all version chains */

/* How much of the past is kept (store/policy.h says how it is set); valid until the next
 * store_apply. */
struct policies;
const struct policies *store_policies(const struct store *s);
/* How much subtrees may hold, and do (store/quota.h); valid until the next store_apply. */
struct quotas;
const struct quotas *store_quotas(const struct store *s);
struct history;
const struct history *store_history(const struct store *s); /* the change log, to be read */

/* What COMMAND_CHECK found: the applied index of the first disagreement that concerns `member`,
 * 0 if none. A member for which this is set stops serving. */
uint64_t store_diverged(const struct store *s, uint64_t member);

/* The remembered reply of a request, for a node that skipped its entry through a snapshot: by
 * session and sequence number if there is one, else by request id. False if it is not remembered.
 * Valid until the next store_apply. */
bool store_remembered(struct store *s, uint64_t session, uint64_t sequence,
                      const struct request_id *request, struct reply *reply);
/* The same of its outcome alone. */
bool store_remembered_outcome(const struct store *s, uint64_t session, uint64_t sequence,
                              const struct request_id *request, enum outcome *outcome);
/* Of one that is not remembered, whether nobody can tell (any more) if it was executed. Else it was
 * not. */
bool store_is_forgotten(const struct store *s, uint64_t session, uint64_t sequence,
                        const struct request_id *request);

uint64_t store_lease_count(const struct store *s); /* sessions too */
/* One lease (lease/table.h), or NULL; valid until the next store_apply. */
const struct lease *store_lease(const struct store *s, uint64_t id);
/* The lease with the next higher id, for a walk from 0; NULL at the end. */
const struct lease *store_lease_next(const struct store *s, uint64_t after);

/* Users, roles, and whether authentication is enabled; valid until the next store_apply. Who may
 * do what is asked through store/access.h. */
struct auth;
const struct auth *store_auth(const struct store *s);

/* Whether somebody with these identities (store/acl.h) may see a change of the log. */
struct change;
bool store_may_see(const struct store *s, const struct change *c, struct slice identities);

/* Nodes whose time has come: emptied containers, and TTL nodes without children that have not been
 * modified for their ttl. The leader proposes a REAP for each, and apply decides. */
struct store_due {
    struct slice path; /* valid until the next store_apply */
    uint64_t revision; /* create revision */
};
size_t store_reap_due(struct store *s, uint64_t cluster_ms, struct store_due *due, size_t max);
/* The cluster_ms at which the next node is due; 0 = now, UINT64_MAX = none. */
uint64_t store_reap_next_ms(const struct store *s);

/* Checks every structural invariant; O(state). Tests and the simulator call it. */
void store_check(const struct store *s);

/* ---- snapshot scan (loop): walks all tables while applies go on -------------------------- */

struct store_scan;

/* Freezes the view at the current applied index: what changes or goes later is saved first, copied
 * on write. Fills revision, digest, cluster_ms and index of `meta`. One scan at a time. O(1). */
struct store_scan *store_scan_begin(struct store *s, struct snapshot_meta *meta);
/* Appends about `budget_bytes` of rows to `rows`, at most a little over. False: it was the last. */
bool store_scan_step(struct store_scan *scan, size_t budget_bytes, struct buf *rows);
void store_scan_end(struct store_scan *scan); /* also before its end, to give up */

/* ---- loading ------------------------------------------------------------------------------ */

/* A store without even a root, to be filled by rows and then sealed. */
struct store *store_new_empty(void);
/* About so many nodes will come: a hint, before the first row. */
void store_load_expect(struct store *s, uint64_t nodes);
struct row;
enum status store_load_row(struct store *s, const struct row *row) MUST_USE;
/* Ends loading at `index`; RC_CORRUPT if parents are missing or counters do not fit. */
enum status store_load_seal(struct store *s, const struct snapshot_meta *meta,
                            struct errmsg *err) MUST_USE;

#endif
