/* Configuration: subtrees whose nodes are written by coord.v1.Config alone, which has looked at
 * their schemas before.
 *
 *   the root      a key of SPACE_META (store/policy.h): how many versions its nodes keep. It is
 *                 rewritten with each change of a schema below, so that its modify revision stands
 *                 for all of them
 *   a schema      a node CONFIG_SCHEMA_NAME below the node that it is attached to; for a value the
 *                 nearest counts, at its node or above, up to the root
 *   a rollout     a node below CONFIG_ROLLOUTS_NAME below the root (recipes/rollout.h)
 *
 * Below a root a name that begins with a dot is no key. Roots do not lie within each other.
 *
 * What is validated is decided where a command is proposed: it carries a guard on the root's modify
 * revision, and apply compares numbers. A create, set or delete at or below a root that does not
 * come this way (OP_CONFIG) is refused, unless the root is open; what begins with a dot, and
 * recursive deletes, also then.
 * Access control lists are anybody's who may, and reads are those of all nodes. Pure. */
#ifndef STORE_CONFIG_H
#define STORE_CONFIG_H

#include "base/slice.h"
#include "store/types.h"

struct op;
struct policy;
struct store;

#define CONFIG_SCHEMA_NAME   ".schema"
#define CONFIG_ROLLOUTS_NAME ".rollouts"

/* Whether a write of a node at this path is refused, because it has not been validated. */
bool config_protects(const struct store *s, const struct op *op, struct slice path);
/* Whether the path can be no root, since there is one at it, above or below. */
bool config_is_taken(const struct store *s, struct slice path);

/* Whether a name below `root` begins with a dot; `path` is the root or below it. */
bool config_is_reserved(struct slice root, struct slice path);

/* What there is to know before a value is written; valid until the next store_apply. */
struct config_place {
    const struct policy *root; /* NULL: the path is no configuration */
    struct slice schema_at;    /* the node that the schema is attached to; a part of the path */
    struct slice schema;
    uint64_t schema_revision; /* modify revision; 0 = there is no schema */
    bool exists;              /* the node at the path */
};
void store_config_find(const struct store *s, struct slice path, struct config_place *out);

#endif
