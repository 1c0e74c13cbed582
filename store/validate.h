/* Whether a command may be proposed, and, asked once more, applied: limits, flags and kinds. Both
 * callers share these, so that apply never trusts what a proposer let through. */
#ifndef STORE_VALIDATE_H
#define STORE_VALIDATE_H

#include "store/command.h"

/* ZooKeeper's range: it keeps the ttl in 40 bits of a stat. */
#define NODE_TTL_MS_MAX (((uint64_t)1 << 40) - 1)

/* Everything but the syntax of a znode's path, which ZooKeeper checks later than the existence of
 * the parent, and the list of op_acl_check, which comes between. `err` may be NULL. */
enum outcome op_check(const struct op *op, struct errmsg *err);
/* The list of a create, or of a set_acl. */
enum outcome op_acl_check(const struct op *op, struct errmsg *err);
enum outcome guard_check(const struct guard *g, struct errmsg *err);

/* The limits on the command as a whole, and who is said to have sent it. */
enum outcome rollout_command_check(const struct command_rollout *r, struct errmsg *err);
enum outcome command_check_bytes(const struct command *c, struct errmsg *err);

/* The fields of an AUTH. */
enum outcome auth_check(const struct command_auth *a, struct errmsg *err);

/* The fields of a RECIPE. */
enum outcome recipe_check(const struct command_recipe *r, struct errmsg *err);

/* The fields of a DISCOVERY. */
enum outcome discovery_check(const struct command_discovery *d, struct errmsg *err);
/* The fields of a SHARD (store/validate_shard.c). */
enum outcome shard_check(const struct command_shard *s, struct errmsg *err);
size_t shard_steps_bytes(const struct shard_step *steps, uint32_t count); /* as encoded */

/* The fields of a GRANT, RESUME, REVOKE or EXPIRE. */
enum outcome lease_check(const struct command *c, struct errmsg *err);

#endif
