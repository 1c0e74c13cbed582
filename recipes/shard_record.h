/* What the nodes of a shard map say: readable text, one `name=value` line for each field that is
 * set, in a fixed order. These nodes are the only truth; nothing about maps is kept beside them.
 *
 *   PATH                     spec       strategy, replicas, policy
 *   PATH/nodes/ID            member     a node that takes part; ephemeral, of its session
 *   PATH/stats/ID            stats      what that node says of its shards; the same session's
 *   PATH/shards/s-NUMBER     shard      who has it, under which epoch, and which keys
 *   PATH/moves/m-NUMBER      move       a change of the assignment that is queued or under way
 *   PATH/keys/KEY            entry      of a directory: the shard of one key
 *
 * There is one text for each content: what decodes encodes to the same bytes. Numbers that are 0
 * and empty texts have no line. Names (of nodes, zones, tags) have letters, digits, '.', '_', ':'
 * and '-' only; lists of names are joined by commas, and have at most SHARD_NAMES_MAX. Bounds of
 * ranges are in hexadecimal, so that keys can be any bytes.
 *
 * To add a field: a member, a line in the table of shard_record.c, one in docs/formats.md. Pure. */
#ifndef RECIPES_SHARD_RECORD_H
#define RECIPES_SHARD_RECORD_H

#include "base/arena.h"
#include "base/buf.h"

#define SHARD_NAME_BYTES_MAX    ((size_t)64)
#define SHARD_ADDRESS_BYTES_MAX ((size_t)256)
#define SHARD_KEY_BYTES_MAX     ((size_t)256)
#define SHARD_COUNT_MAX         ((uint64_t)100000)
#define SHARD_REPLICAS_MAX      ((uint64_t)16)
/* While a move switches its source and its target are both there. */
#define SHARD_REPLICAS_HELD_MAX (SHARD_REPLICAS_MAX + 1)
#define SHARD_NAMES_MAX         ((uint32_t)64) /* in a list */
#define SHARD_MOVES_MAX         ((uint32_t)100000) /* of a map, with those that wait */
#define SHARD_SLOTS_MAX         ((uint64_t)1 << 24)
#define SHARD_WEIGHT_MAX        ((uint64_t)1000)
#define SHARD_MEMBERS_MAX       ((uint32_t)1024)
#define SHARD_STATS_BYTES_MAX   ((size_t)512 << 10)

enum shard_strategy {
    SHARD_HASH = 1, /* slots of a hash of the key; each shard has a run of them */
    SHARD_RANGE,    /* keys from a bound up to, not including, the next */
    SHARD_DIRECTORY, /* explicit keys */
    SHARD_RING,      /* points of a consistent-hash ring, as many as the shard weighs */
};

enum shard_promote {
    SHARD_PROMOTE_FRESH = 1, /* the replica that has said to have most */
    SHARD_PROMOTE_IDLE,      /* whose node has said to have least to do */
    SHARD_PROMOTE_PRIORITY,  /* whose node has the highest priority */
};

enum shard_balance { SHARD_BY_REPLICAS = 1, SHARD_BY_BYTES, SHARD_BY_ROWS, SHARD_BY_QPS };
enum shard_automatic { SHARD_AUTO_REPAIR = 1, SHARD_AUTO_FILL, SHARD_AUTO_BALANCE };

struct shard_spec {
    uint64_t strategy; /* enum shard_strategy */
    uint64_t slots;    /* SHARD_HASH: in all */
    uint64_t replicas;
    uint64_t zone_max;  /* replicas of one shard in one zone; 0: any number */
    struct slice tags;  /* that each node must have */
    uint64_t promote;   /* enum shard_promote */
    uint64_t balance;   /* enum shard_balance */
    uint64_t automatic; /* enum shard_automatic; 0: only by hand */
    uint64_t imbalance_permille; /* beyond that a balance begins by itself */
    uint64_t target_permille;    /* and goes on to there */
    uint64_t concurrent;         /* moves at a time */
    uint64_t bandwidth;          /* bytes a second, of all moves together; 0: not limited */
    uint64_t timeout_ms;         /* of a move, after which it is aborted; 0: never */
    uint64_t lost_after_ms;      /* a node away for so long is lost, when planning by itself */
    uint64_t hours_begin;        /* minutes of the day, UTC, between which moves begin */
    uint64_t hours_end;          /* equal: at any time */
    uint64_t unclean;            /* 1: whoever is back first leads a shard that all have lost */
};

struct shard_member {
    struct slice address;
    struct slice zone;
    struct slice tags;
    uint64_t weight; /* 0: takes no new replicas, and is left */
    uint64_t capacity_bytes;
    uint64_t capacity_replicas;
    uint64_t priority; /* for SHARD_PROMOTE_PRIORITY */
};

struct shard_record {
    uint64_t epoch;       /* the revision of the last change of leader or replicas; 0: none yet */
    struct slice leader;  /* empty: none */
    struct slice replicas;
    uint64_t low; /* SHARD_HASH: its slots, both inclusive */
    uint64_t high;
    struct slice low_key; /* SHARD_RANGE, in hexadecimal: inclusive; empty: from the begin */
    struct slice high_key; /* exclusive; empty: to the end */
    uint64_t weight;       /* SHARD_RING */
    uint64_t wanted;       /* replicas; 0: as many as the map says */
    struct slice tags;     /* beside those of the map */
    struct slice pin;      /* a node that must have a replica */
    struct slice awaits;   /* nobody leads: who led last, and so has all that was written */
};

enum shard_move_kind { SHARD_MOVE = 1, SHARD_ADD, SHARD_DROP, SHARD_LEAD };

enum shard_move_state {
    MOVE_QUEUED = 1,
    MOVE_PREPARING,
    MOVE_COPYING,
    MOVE_CATCHING_UP,
    MOVE_SWITCHING,
    MOVE_CLEANING_UP,
    MOVE_DONE, /* its node goes; never in a record */
};

struct shard_move {
    uint64_t state; /* enum shard_move_state */
    uint64_t kind;  /* enum shard_move_kind */
    uint64_t shard; /* its number */
    struct slice from;
    struct slice to;
    struct slice cleans;    /* MOVE_CLEANING_UP: who removes what it has */
    uint64_t progress;      /* thousandths of MOVE_COPYING */
    uint64_t bytes;         /* to be copied, as estimated */
    uint64_t rate;          /* bytes a second that it may take; 0: not limited */
    struct slice why;       /* a word of the planner's, or of who asked */
    uint64_t begun_ms;      /* cluster_ms at which it left the queue */
    uint64_t since_ms;      /* wall clock of the last change of state, for display */
    uint64_t held;          /* 1: goes no further until it is resumed */
    uint64_t aborted;       /* 1: what was done is undone */
    uint64_t led;           /* 1: `from` led before the switch */
};

void shard_spec_encode(struct buf *b, const struct shard_spec *s);
void shard_member_encode(struct buf *b, const struct shard_member *m);
void shard_record_encode(struct buf *b, const struct shard_record *r);
void shard_move_encode(struct buf *b, const struct shard_move *m);
/* False unless it is the text of one, with all values in range. Slices point into `text`. */
bool shard_spec_decode(struct slice text, struct shard_spec *s);
bool shard_member_decode(struct slice text, struct shard_member *m);
bool shard_record_decode(struct slice text, struct shard_record *r);
bool shard_move_decode(struct slice text, struct shard_move *m);

/* What a node says of one shard. */
struct shard_stats {
    uint64_t shard;
    uint64_t rows;
    uint64_t bytes;
    uint64_t qps;
    uint64_t position; /* how far its copy is: comparable between replicas of one shard */
};

/* A line for each shard, by number: "shard rows bytes qps position". Takes the next line off
 * `rest`; false at the end, and *failed if it is no such line. */
bool shard_stats_next(struct slice *rest, struct shard_stats *s, bool *failed);
bool shard_stats_are_valid(struct slice text);
/* Those of one shard, of lines that are valid. */
bool shard_stats_find(struct slice text, uint64_t shard, struct shard_stats *s);
void shard_stats_encode(struct buf *b, const struct shard_stats *s);

bool shard_name_is_valid(struct slice name); /* not empty */

/* Lists of names. */
bool names_next(struct slice *rest, struct slice *name); /* takes one off the front */
bool names_have(struct slice names, struct slice name);
uint32_t names_count(struct slice names);
/* In the arena. */
struct slice names_with(struct slice names, struct slice name, struct arena *arena);
struct slice names_without(struct slice names, struct slice name, struct arena *arena);

#endif
