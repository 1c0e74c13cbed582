/* The bodies of commands: what command.c has of command_txn.c and command_body.c. What is malformed
 * sets `failed`. */
#ifndef STORE_COMMAND_INTERNAL_H
#define STORE_COMMAND_INTERNAL_H

#include "store/command.h"

/* command_txn.c */
void command_guard_encode(struct buf *b, const struct guard *g);
/* The caller has made sure that the bytes can hold that many. */
const struct guard *command_guards_decode(struct unpack *u, uint32_t count,
                                          struct arena *arena);
void command_txn_encode(struct buf *b, const struct txn *t);
void command_txn_decode(struct unpack *u, struct txn *t, struct arena *arena);

/* command_body.c */
void command_check_encode(struct buf *b, const struct command_check *check);
void command_check_decode(struct unpack *u, struct command_check *check);
void command_lease_encode(struct buf *b, uint8_t type, const struct command_lease *l);
void command_lease_decode(struct unpack *u, uint8_t type, struct command_lease *l);
void command_auth_encode(struct buf *b, const struct command_auth *a);
void command_auth_decode(struct unpack *u, struct command_auth *a);
void command_quota_encode(struct buf *b, const struct command_quota *q);
void command_quota_decode(struct unpack *u, struct command_quota *q);
void command_recipe_encode(struct buf *b, const struct command_recipe *r);
void command_recipe_decode(struct unpack *u, struct command_recipe *r, struct arena *arena);
void command_rollout_encode(struct buf *b, const struct command_rollout *r);
void command_rollout_decode(struct unpack *u, struct command_rollout *r);
void command_discovery_encode(struct buf *b, const struct command_discovery *d);
void command_discovery_decode(struct unpack *u, struct command_discovery *d);
void command_shard_encode(struct buf *b, const struct command_shard *s);
void command_shard_decode(struct unpack *u, struct command_shard *s, struct arena *arena);

#endif
