/* Replicated commands: what a log entry asks the state machine to do.
 *
 * A RAFT_COMMAND entry's payload is one batch: a header with the two times, then the commands.
 *
 *   batch    u8 format (COMMAND_FORMAT) | u8 feature level | u16 0 | u32 count | u64 cluster_ms
 *            | u64 wall_ms | commands
 *   command  u32 bytes that follow | u8 type | ... (see command.c)
 *
 * Everything random or read from a clock is chosen by the proposer and carried here: apply looks at
 * nothing else. To add a command: a type here, its fields in `struct command`, its two halves in
 * command_body.c, its case in apply.c, a line in docs/formats.md, and with the first one since a
 * release a new FEATURE_LEVEL, which command_level gives for it: below that level every member,
 * older builds included, answers such a command with UNSUPPORTED. New operations, fields or rules
 * of commands that exist already ask for the level in apply.
 */
#ifndef STORE_COMMAND_H
#define STORE_COMMAND_H

#include "base/arena.h"
#include "base/pack.h"
#include "base/status.h"
#include "store/auth.h"
#include "store/types.h"

#define COMMAND_FORMAT 1
/* What this build knows; the replicated level may be lower, until an upgrade is finished. A build
 * with -DFEATURE_LEVEL=1 is an older one (make VARIANT=older). command_level says which commands a
 * level brought. */
#ifndef FEATURE_LEVEL
#define FEATURE_LEVEL 2
#endif

enum command_type {
    COMMAND_TXN = 1,   /* one or many operations; also every single create, set, delete */
    COMMAND_CHECK = 2, /* members' digests at an applied index: a member that differs stops */
    COMMAND_LEVEL = 3, /* raises the replicated feature level */
    COMMAND_GRANT = 4, /* a new lease or session */
    COMMAND_RESUME = 5, /* a session changes hands: its generation moves */
    COMMAND_REVOKE = 6, /* a lease ends on request, and all that is attached to it */
    COMMAND_EXPIRE = 7, /* by the leader's keeper: the same, unless the generation has moved */
    COMMAND_REAP = 8, /* by the leader: an emptied container or a TTL node past its time goes */
    COMMAND_AUTH = 9, /* users, roles, and whether they are asked for (store/auth.h) */
    COMMAND_QUOTA = 10, /* what a subtree may hold (store/quota.h) */
    COMMAND_RECIPE = 11, /* locks and their like (recipes/) */
    COMMAND_ROLLOUT = 12, /* a new value of a configuration key, step by step (recipes/rollout.h) */
    COMMAND_DISCOVERY = 13, /* what an instance of a service says (recipes/instance.h) */
    COMMAND_SHARD = 14, /* shard maps (recipes/shard_record.h) */
};

enum op_type {
    OP_CREATE = 1,
    OP_SET = 2,
    OP_DELETE = 3,
    OP_CHECK = 4, /* changes nothing; fails the transaction unless the version matches */
    OP_GET = 5,   /* a read inside a transaction: sees the operations before it */
    OP_LIST = 6,
    OP_SET_ACL = 7,
};

enum op_flags {
    OP_SEQUENTIAL = 1,   /* create: append the parent's counter as %010d */
    OP_MAKE_PARENTS = 2, /* create: missing ancestors as persistent nodes without data */
    OP_RECURSIVE = 4,    /* delete: with all descendants, at most `limit` nodes (0 = no limit) */
    OP_NULL_DATA = 8,    /* create, set: no value at all, told apart from an empty one */
    OP_DRY_RUN = 16,     /* delete: count only */
    OP_STAT_ONLY = 32,   /* get: without the value; list: names with stats */
    OP_CONFIG = 64, /* create, set, delete: validated by coord.v1.Config (store/config.h) */
};

#define VERSION_ANY UINT32_MAX
#define COMMAND_IDENTITIES_BYTES_MAX ((size_t)64 << 10)
#define COMMAND_NOTE_BYTES_MAX ((size_t)4096)
/* An encoded guard without path and value, an encoded operation without path, data and list. */
#define COMMAND_GUARD_BYTES_MIN ((size_t)19)
#define COMMAND_OP_BYTES_MIN ((size_t)36)
/* What command_check lets through is at most so long when it is encoded. */
#define COMMAND_BYTES_MAX                                                            \
    (STORE_REQUEST_BYTES_MAX + COMMAND_IDENTITIES_BYTES_MAX + COMMAND_NOTE_BYTES_MAX + \
     (size_t)512)

struct op {
    uint8_t type;  /* enum op_type */
    uint8_t flags; /* enum op_flags */
    uint8_t space; /* enum space */
    uint8_t kind;  /* create: enum node_kind */
    struct slice path;
    struct slice data;
    struct slice acl; /* create: the node's list (store/acl.h), empty = open to the world; set_acl:
                       * the new list */
    uint32_t version; /* set, delete, check: expected, or VERSION_ANY; set_acl: the acl_version */
    uint32_t limit;
    uint64_t lease;  /* create: owner of an ephemeral */
    uint64_t ttl_ms; /* create: of a TTL node */
};

enum guard_target {
    GUARD_EXISTS = 1, /* number 1: must exist, 0: must not */
    GUARD_VERSION = 2,
    GUARD_CHILDREN_VERSION = 3,
    GUARD_CREATE_REVISION = 4, /* EQUAL is how a grant's epoch is enforced */
    GUARD_MODIFY_REVISION = 5,
    GUARD_VALUE = 6,
    GUARD_GRANT = 7, /* number: the create revision of the node of a grant that must be held */
};

enum guard_relation { GUARD_EQUAL = 1, GUARD_NOT_EQUAL = 2, GUARD_LESS = 3, GUARD_GREATER = 4 };

/* A missing node satisfies only EXISTS == 0 and NOT_EQUAL. */
struct guard {
    uint8_t target;
    uint8_t relation;
    uint8_t space;
    struct slice path;
    uint64_t number;
    struct slice value;
};

/* Guards are ANDed; `then_ops` run if all hold, else `else_ops`. Operations run in order and see
 * the effects of earlier ones; if one fails nothing of the command is kept. */
struct txn {
    const struct guard *guards;
    const struct op *then_ops;
    const struct op *else_ops;
    uint32_t guard_count;
    uint32_t then_count;
    uint32_t else_count;
};

#define COMMAND_CHECK_MEMBERS_MAX 16

struct command_check {
    uint64_t index; /* applied index at which the digests were taken */
    uint32_t count;
    struct {
        uint64_t member;
        uint64_t digest;
    } members[COMMAND_CHECK_MEMBERS_MAX];
};

/* Of GRANT, RESUME, REVOKE and EXPIRE; what a type does not name below is zero. */
struct command_lease {
    uint64_t id;         /* GRANT: random, chosen by the proposer */
    uint64_t ttl_ms;     /* GRANT; RESUME: 0 = as before */
    uint64_t generation; /* EXPIRE */
    uint8_t kind;        /* GRANT: enum lease_kind. REVOKE: 0 = whichever, else it must be that */
    bool renewable;      /* GRANT */
    struct slice secret; /* LEASE_SECRET_BYTES. GRANT, RESUME; REVOKE of a session */
    struct slice owner;  /* GRANT: who it is for, as people shall see it */
};

struct command_reap {
    struct slice path;
    uint64_t revision; /* create revision of the node that was seen to be due */
};

enum auth_action {
    AUTH_ENABLE = 1, /* key, token_ttl_ms; the key counts if there was none in use */
    AUTH_DISABLE = 2,
    AUTH_USER_ADD = 3, /* user, hash */
    AUTH_USER_DELETE = 4,
    AUTH_USER_PASSWORD = 5, /* user, hash: empty = none any more */
    AUTH_USER_DISABLE = 6,  /* user, flag: disabled or enabled again */
    AUTH_USER_GRANT = 7,    /* user, role */
    AUTH_USER_REVOKE = 8,
    AUTH_ROLE_ADD = 9, /* role */
    AUTH_ROLE_DELETE = 10,
    AUTH_ROLE_GRANT = 11,  /* role, path, rights, flag: denied */
    AUTH_ROLE_REVOKE = 12, /* the same; what of it was not granted does not matter */
    AUTH_USER_LIMIT = 13,  /* user, or who else can be limited; limits: all 0 = none any more */
};

/* What an action does not name is empty, zero. */
struct command_auth {
    uint8_t action; /* enum auth_action */
    bool flag;
    uint8_t rights; /* enum acl_permission */
    struct slice user;
    struct slice role;
    struct slice path;
    struct slice secret; /* ENABLE: AUTH_KEY_BYTES; a user's: the hash of the password */
    uint64_t token_ttl_ms;
    struct auth_limits limits; /* USER_LIMIT; without a name */
};

/* Without any bound: there is to be no quota at the path. */
struct command_quota {
    struct slice path;
    uint64_t bytes;        /* 0: as many as there are */
    uint64_t nodes;        /* likewise */
    uint32_t soft_percent; /* of either, from which on it is warned of; 0: never */
};

enum recipe_action {
    RECIPE_ACQUIRE = 1, /* of an election: campaign */
    RECIPE_RELEASE = 2,
    RECIPE_CANCEL = 3,      /* gives up a request, with all its parts, whether it waits or holds */
    RECIPE_EXTEND = 4,      /* hold_ms counts from now on */
    RECIPE_ASK_RELEASE = 5, /* of a lock: its holders' entries say who asks, and why */
    RECIPE_REMOVE = 6,      /* as CANCEL, of somebody else's: an administrator's */
    RECIPE_PROCLAIM = 7,    /* the leader's value */
    RECIPE_HAND_OVER = 8,   /* targets: an election, and the entry of the candidate, or its name as
                             * owner */
    RECIPE_CONFIGURE = 9,   /* an election: policy, and as label who may lead; a latch: number */
    RECIPE_ADD = 10,        /* number to a counter; so many ids */
    RECIPE_COUNT_DOWN = 11, /* a latch, by number */
    RECIPE_LEAVE = 12,      /* a barrier, with all others that are inside */
};

enum recipe_flags {
    RECIPE_TRY = 1,   /* acquire: not if it would have to wait */
    RECIPE_ALL = 2,   /* release: however often it was acquired */
    RECIPE_GROUP = 4, /* release: with all other parts of its multi-lock */
};

#define RECIPE_TARGETS_MAX 64
#define RECIPE_PERMITS_MAX ((uint32_t)1000000)
#define RECIPE_MS_MAX      (((uint64_t)1 << 40) - 1)
#define RECIPE_PARTIES_MAX ((uint64_t)10000)
#define RECIPE_COUNT_MAX   ((uint64_t)1000000000) /* of a latch */
/* Encoded without its path. */
#define COMMAND_TARGET_BYTES_MIN ((size_t)21)

struct recipe_target {
    struct slice path; /* ACQUIRE, ASK_RELEASE: a lock. Others: an entry, or a lock, and then the
                        * entry of the owner that is named */
    uint8_t mode;      /* ACQUIRE: enum lock_mode (recipes/record.h) */
    uint32_t permits;  /* ACQUIRE of permits: how many, and of how many in all (0: as it is) */
    uint32_t limit;
    uint64_t revision; /* an entry's create revision, if it must be that; 0 = whichever */
};

/* What an action does not name is empty, zero. The command's note is kept with an entry. */
struct command_recipe {
    uint8_t recipe; /* enum recipe_type */
    uint8_t action; /* enum recipe_action */
    uint8_t flags;  /* enum recipe_flags */
    uint8_t policy; /* of elections: enum election_policy (recipes/record.h) */
    uint64_t lease;
    struct slice owner; /* the line of execution within the lease; may be empty */
    struct slice value; /* ASK_RELEASE: who asks, unless users are asked for; of a candidate */
    struct slice label; /* of a candidate; CONFIGURE: that of those who may lead */
    uint32_t priority;  /* of a candidate */
    uint64_t number;    /* likewise; what is added to a counter, an int64_t; how many ids; the
                         * count of a latch; the parties of a barrier, 0: as it is */
    uint64_t low;       /* bounds of a counter, int64_t; of ids the last one */
    uint64_t high;
    uint64_t wait_ms; /* ACQUIRE: how long to wait at most; 0 = as long as it takes */
    uint64_t hold_ms; /* ACQUIRE, EXTEND: how long to hold at most; 0 = as long as the lease */
    const struct guard *guards; /* all must hold */
    const struct recipe_target *targets;
    uint32_t guard_count;
    uint32_t target_count;
};

enum discovery_action {
    DISCOVERY_DRAIN = 1,  /* flag: drains, or takes work again */
    DISCOVERY_HEALTH = 2, /* by the leader: health, of the one with this revision */
};

/* Of an instance that is registered. What an action does not name is empty, zero. */
struct command_discovery {
    uint8_t action; /* enum discovery_action */
    bool flag;
    uint8_t health;    /* enum instance_health */
    struct slice path; /* of the instance's node */
    uint64_t revision; /* create revision, if it must be that; 0 = whichever */
};

enum shard_action {
    SHARD_CREATE = 1,    /* text: the spec; steps: the shards, or one with how many in `number` */
    SHARD_CONFIGURE = 2, /* text: the spec, of the same strategy */
    SHARD_DROP_MAP = 3,
    SHARD_JOIN = 4,   /* node, lease, text: what it says of itself */
    SHARD_LEAVE = 5,  /* node */
    SHARD_STATS = 6,  /* node, text: what it says of its shards */
    SHARD_PLAN = 7,   /* base, steps of a plan */
    SHARD_REPORT = 8, /* node, steps: moves, and how far they are */
    SHARD_ABORT = 9,  /* steps: moves */
    SHARD_HOLD = 10,
    SHARD_RESUME = 11,
    SHARD_SPLIT = 12,      /* one step: the shard, and where */
    SHARD_MERGE = 13,      /* one step: the shard, and in `base` the one behind it */
    SHARD_SET_SHARD = 14,  /* one step: the shard; text: what it wants (replicas, tags, pin) */
    SHARD_SET_KEY = 15,    /* of a directory; one step: the shard, `from` the key */
    SHARD_REMOVE_KEY = 16, /* one step: `from` the key */
    SHARD_ACTION_LAST = SHARD_REMOVE_KEY,
};

/* Encoded without its names. */
#define COMMAND_STEP_BYTES_MIN ((size_t)30)
#define SHARD_STEPS_MAX        ((uint32_t)100000)
/* `kind` of a step of a plan beyond enum shard_move_kind: a shard that has no replicas gets those
 * in `to`; the first of them leads. */
#define SHARD_STEP_ASSIGN ((uint8_t)5)

/* What an action does not name is empty, zero. */
struct shard_step {
    uint64_t number; /* of a shard; REPORT, ABORT, HOLD, RESUME: of a move */
    uint8_t kind;    /* PLAN: enum shard_move_kind, or SHARD_STEP_ASSIGN */
    uint8_t state;   /* REPORT: enum shard_move_state */
    uint64_t amount; /* PLAN: bytes to be copied. REPORT: progress. CREATE: weight, or how many.
                      * SPLIT of slots: the first of the new shard */
    struct slice from; /* PLAN: a node. CREATE and SPLIT of a range: a low bound, hexadecimal */
    struct slice to;
    struct slice why; /* PLAN: a word */
};

struct command_shard {
    uint8_t action; /* enum shard_action */
    struct slice path;
    struct slice node;
    struct slice text;
    uint64_t lease;
    uint64_t base; /* PLAN: the revision that it was made of */
    const struct guard *guards; /* all must hold */
    const struct shard_step *steps;
    uint32_t guard_count;
    uint32_t step_count;
};

/* What an event does not name is empty, zero. */
struct command_rollout {
    uint8_t event; /* enum rollout_event; 0: start, with all but `revision` */
    bool stays_planned;
    struct slice key;       /* path */
    struct slice record;    /* PLANNING (recipes/rollout.h), validated by the schema of the key */
    uint64_t revision;      /* TICK: of the record that was seen to be due */
};

struct command {
    uint8_t type; /* enum command_type */
    /* Who waits for the reply: the proposing node's boot id and its counter. */
    uint64_t origin_boot;
    uint64_t origin_counter;
    /* Exactly-once, by session or by request id. `answered_to`: the client has all replies up to
     * this sequence number. */
    uint64_t session;
    uint64_t sequence;
    uint64_t answered_to;
    /* By the session's owner: nothing is executed if it has another generation by now. */
    bool by_owner;
    uint64_t generation;
    struct request_id request;
    struct slice identities; /* of the caller, as authenticated by the front end (store/acl.h) */
    struct slice note;       /* the caller's "why", kept in the history */
    union {
        struct txn txn;
        struct command_check check;
        uint32_t level;
        struct command_lease lease;
        struct command_reap reap;
        struct slice unknown; /* the body of a type that only later builds know */
        struct command_auth auth;
        struct command_quota quota;
        struct command_rollout rollout;
        struct command_recipe recipe;
        struct command_discovery discovery;
        struct command_shard shard;
    };
};

struct batch_header {
    uint8_t level;
    uint32_t count;
    uint64_t cluster_ms;
    uint64_t wall_ms;
};

/* Begins a batch in `b` (empty or with a caller's prefix); returns the offset of its header, which
 * batch_seal fills in at the end. */
size_t batch_begin(struct buf *b);
void batch_seal(struct buf *b, size_t header_offset, const struct batch_header *header);

/* Appends the command to a batch. The caller has checked it. */
void command_encode(struct buf *b, const struct command *c);

/* The level from which on commands of this type are executed; UINT32_MAX: this build does not know
 * the type. */
uint32_t command_level(uint8_t type);

/* Overwrites the origin of an encoded command; `command` begins at its length word. */
void command_set_origin(uint8_t *command, uint64_t boot, uint64_t counter);

/* RC_MALFORMED unless the bytes are a whole, well-formed batch header. */
enum status batch_open(struct slice payload, struct batch_header *header,
                       struct unpack *commands) MUST_USE;

/* Takes the next command. Slices point into the payload, arrays into `arena`. Strict: every byte is
 * accounted for and every enum in range, or RC_MALFORMED. */
enum status command_decode(struct unpack *commands, struct command *out,
                           struct arena *arena) MUST_USE;

/* What a front end asks before it proposes: limits, path syntax, op flags and kinds, so that the
 * client gets a clear error. OUTCOME_OK or the outcome, with `err` naming the field, the value and
 * the limit. */
enum outcome command_check(const struct command *c, struct errmsg *err);

/* Path rules: starts with '/', no trailing '/', no empty, "." or ".." component, no NUL or control
 * character, valid UTF-8, at most STORE_PATH_BYTES_MAX. With `sequential`, the last component may
 * be empty (the number completes it). */
enum outcome path_check(struct slice path, bool sequential, struct errmsg *err);

#endif
