/* The pieces that store_apply (apply.c) puts together, one file each. */
#ifndef STORE_APPLY_H
#define STORE_APPLY_H

#include "store/store.h"

/* apply_node.c: one change of one node, between edit_begin and its end. On any outcome but
 * OUTCOME_OK nothing has been changed by this operation. Arguments have passed op_check; paths,
 * lists and permissions are checked here, in ZooKeeper's order. */
enum outcome apply_create(struct store *s, const struct op *op, struct op_result *result);
enum outcome apply_set(struct store *s, const struct op *op, struct op_result *result);
enum outcome apply_delete(struct store *s, const struct op *op, struct op_result *result);
enum outcome apply_set_acl(struct store *s, const struct op *op, struct op_result *result);
enum outcome apply_check_version(struct store *s, const struct op *op);
/* Whether the caller may let nodes go with this lease. */
enum outcome lease_usable(const struct store *s, uint64_t id);

/* apply_read.c: reads and guards within a transaction. `room` is what the reply may still hold. */
enum outcome apply_get(struct store *s, const struct op *op, struct op_result *result,
                       size_t *room);
enum outcome apply_list(struct store *s, const struct op *op, struct op_result *result,
                        size_t *room);
/* OUTCOME_OK, or OUTCOME_NO_AUTH: what a guard tells, only those may know who may read the node. */
enum outcome guard_ask(const struct store *s, const struct guard *g, bool *holds);

/* Whether all guards hold. If not: the number of the first that does not, or what is wrong with it
 * in `outcome`. */
bool guards_hold(const struct store *s, const struct guard *guards, uint32_t count,
                 uint32_t *failed, enum outcome *outcome);
/* What a command without another branch answers then. */
enum outcome guard_refusal(const struct store *s, const struct guard *g);
/* Both: OUTCOME_OK if all hold, else what is wrong with, or refused for, number *failed. */
enum outcome guards_demand(const struct store *s, const struct guard *guards, uint32_t count,
                           uint32_t *failed);

/* apply_txn.c */
void apply_txn(struct store *s, const struct apply_context *context, const struct command *c,
               struct reply *reply);

/* apply_lease.c: GRANT, RESUME, REVOKE, EXPIRE. */
void apply_lease(struct store *s, const struct apply_context *context, const struct command *c,
                 struct reply *reply);

/* apply_admin.c. Keys of SPACE_META that no ordinary command writes, between edit_begin and its
 * end: a key to be dropped is there. */
void meta_put(struct store *s, struct slice key, struct slice value);
void meta_drop(struct store *s, struct slice key);

/* apply_quota.c: what a subtree may hold. */
void apply_quota(struct store *s, const struct apply_context *context, const struct command *c,
                 struct reply *reply);

/* apply_admin.c */
void apply_digests(struct store *s, const struct command_check *check);
void apply_level(struct store *s, uint32_t level);

/* apply_auth.c: users, roles, and whether they are asked for. */
void apply_auth(struct store *s, const struct apply_context *context, const struct command *c,
                struct reply *reply);

/* apply_recipe.c: locks and their like. */
void apply_recipe(struct store *s, const struct apply_context *context, const struct command *c,
                  struct reply *reply);

/* apply_rollout.c: a new value of a configuration key, step by step. */
void apply_rollout(struct store *s, const struct apply_context *context, const struct command *c,
                   struct reply *reply);

/* apply_discovery.c: what instances of services say. */
void apply_discovery(struct store *s, const struct apply_context *context,
                     const struct command *c, struct reply *reply);

/* apply_shard.c: shard maps. */
void apply_shard(struct store *s, const struct apply_context *context, const struct command *c,
                 struct reply *reply);

/* reap.c */
void apply_reap(struct store *s, const struct apply_context *context, const struct command *c,
                struct reply *reply);

#endif
