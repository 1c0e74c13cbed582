/* Every change of a record goes through here, and here alone it is decided what a change moves:
 * revisions, times and counters of the node and of its parent, the digest, the change log, the copy
 * that a snapshot scan needs, and the way back should the command fail.
 *
 * A command is edit_begin, any number of changes, then edit_commit or edit_rollback. Callers check
 * everything before they change anything; the changes themselves cannot fail.
 */
#ifndef STORE_EDIT_H
#define STORE_EDIT_H

#include "store/command.h"
#include "store/tree.h"

struct store;
struct apply_context;
struct undo;

struct edit {
    const struct apply_context *context;
    const struct command *command;
    uint64_t revision; /* of the changes, should the command be kept */
    uint32_t sub;
    uint8_t reason; /* of the changes, enum change_reason: REASON_REQUEST unless set anew */
    bool policies; /* a key that is a policy has changed */
    bool auth;     /* a user or a role, or whether they are asked for */
    bool quotas;   /* a quota */
    struct undo *undo;
    size_t undo_count;
    size_t undo_capacity;
    /* What rollback puts back as a whole. */
    uint64_t history_end;
    uint64_t node_sum;
    uint32_t acl_next;
};

void edit_begin(struct store *s, const struct apply_context *context, const struct command *c);
/* The revision moves by one if anything changed. */
void edit_commit(struct store *s);
/* Nothing of the command remains. */
void edit_rollback(struct store *s);
void edit_close(struct store *s);

/* `key->parent` exists and may have children, the name is free, the list is in the table. Takes
 * `value`; returns the slot. */
uint32_t edit_create(struct store *s, const struct tree_key *key, struct value *value);
/* Takes `value`. */
void edit_set(struct store *s, uint32_t slot, struct value *value);
/* `acl` is in the table, or 0. Moves neither the node's version nor its modify_revision. */
void edit_set_acl(struct store *s, uint32_t slot, uint32_t acl);
/* The node has no children. */
void edit_delete(struct store *s, uint32_t slot);

#endif
