/* What a request is about, noted while it is at hand and told when it is answered: operations with
 * their paths, names, numbers. Values are noted as byte counts; passwords, tokens and secrets are
 * not noted at all.
 *
 * The notes are bytes in a buffer of the request's own, bounded by AUDIT_FACTS_BYTES_MAX: what goes
 * beyond is counted and left out. To tell something new: a key here and its line in facts.c. */
#ifndef NET_AUDIT_FACTS_H
#define NET_AUDIT_FACTS_H

#include "base/pack.h"
#include "store/command.h"

#define AUDIT_FACTS_BYTES_MAX ((size_t)64 << 10)

enum audit_key {
    AUDIT_ACTION,
    AUDIT_PATH,
    AUDIT_TARGET_USER,
    AUDIT_ROLE,
    AUDIT_RIGHTS,
    AUDIT_DENY,
    AUDIT_DISABLE,
    AUDIT_LEASE,
    AUDIT_TTL_MS,
    AUDIT_FEATURE_LEVEL,
    AUDIT_QUOTA,
    AUDIT_QUOTA_BYTES,
    AUDIT_QUOTA_NODES,
    AUDIT_MEMBER,
    AUDIT_ADDRESS,
    AUDIT_LEARNER,
    AUDIT_LOGIN, /* the name that somebody claimed to have */
    AUDIT_DATA_DIR,
    AUDIT_FROM,
    AUDIT_CLUSTER_ID,
    AUDIT_NOTE,
    AUDIT_KEYS
};

enum audit_key_kind { AUDIT_IS_TEXT, AUDIT_IS_NUMBER, AUDIT_IS_HEX, AUDIT_IS_FLAG };

struct audit_key_info {
    const char *name; /* in the line */
    uint8_t kind;     /* enum audit_key_kind */
};
extern const struct audit_key_info audit_keys[AUDIT_KEYS];

enum audit_branch { AUDIT_THEN, AUDIT_ELSE, AUDIT_GUARD };
#define AUDIT_BRANCHES 3

/* What a recipe does to each of its targets is noted as an operation of this type and above. */
#define AUDIT_OP_RECIPE ((uint8_t)100)
/* The same of what is done to a shard map, and to an instance of a service. */
#define AUDIT_OP_SHARD ((uint8_t)150)
#define AUDIT_OP_DRAIN ((uint8_t)200)

/* An operation or a guard as it was noted. */
struct audit_op {
    uint8_t branch; /* enum audit_branch */
    uint8_t type;   /* enum op_type or one of those above, or enum guard_target */
    uint8_t flags;  /* enum op_flags */
    uint8_t kind;   /* of a create: enum node_kind */
    uint8_t space;  /* enum space */
    uint32_t version;
    uint32_t data_bytes;
    uint64_t lease;
    struct slice path;
    struct slice acl; /* encoded (store/acl.h) */
};

enum audit_fact_type {
    AUDIT_FACT_TEXT = 1,
    AUDIT_FACT_NUMBER, /* also of flags */
    AUDIT_FACT_OP,
    AUDIT_FACT_COUNT,  /* of the operations of a branch */
    AUDIT_FACT_DENIED, /* the right that was missing, on the path */
};

/* One note, as audit_facts_next finds it. */
struct audit_fact {
    uint8_t type; /* enum audit_fact_type */
    uint8_t key;  /* TEXT, NUMBER: enum audit_key; COUNT: enum audit_branch; DENIED: the right */
    uint64_t number;
    struct slice text;
    struct audit_op op;
};

/* An empty text is not noted. */
void audit_note_text(struct buf *facts, enum audit_key key, struct slice text);
void audit_note_number(struct buf *facts, enum audit_key key, uint64_t number);
void audit_note_count(struct buf *facts, enum audit_branch branch, uint32_t count);
void audit_note_op(struct buf *facts, enum audit_branch branch, const struct op *op);
/* Why the caller is not allowed to, where no outcome of an operation says it. `right`: enum
 * acl_permission, 0 = none in particular. */
void audit_note_denied(struct buf *facts, uint8_t right, struct slice path);
/* All that a command is about, its note included. It need not have been checked. */
void audit_note_command(struct buf *facts, const struct command *c);

/* Goes through the notes in their order: `facts` is what unpack_make made of them. False: there
 * are no more. */
bool audit_facts_next(struct unpack *facts, struct audit_fact *out);

#endif
