/* The consensus core behind one interface: feeds events to libraft 0.22.1's raft_step and
 * carries out what it asks for, in the order that keeps its promises.
 *
 * Owns the write-ahead log and the entries in memory; knows members, terms and indexes, but not
 * what a command means. Its interface would fit another core. The ten rules that this core
 * needs (DISK, ABA, TRIM, PVFIX, SPLIT, NOOP, GATE, VOTERS, FIFO, GUARDS) are named where they
 * are enforced; docs/architecture.md lists them with their reasons.
 *
 * Order of an update (rule DISK): term and vote go to the log before any message of this or a
 * later step leaves; entries go to the log; messages leave once the term they speak for is
 * durable; committed entries are applied. A failed durable write is final: `fatal` is called,
 * nothing more leaves.
 *
 * All on the loop. Callbacks come from inside engine_* calls; they must not call the engine,
 * except for the const questions.
 */
#ifndef RAFT_ENGINE_H
#define RAFT_ENGINE_H

#include "base/env.h"
#include "base/log.h"
#include "base/metrics.h"
#include "raft/message.h"

#define ENGINE_MEMBERS_MAX         16
#define ENGINE_ADDRESS_BYTES_MAX   400
#define ENGINE_ELECTION_TIMEOUT_MS 200
#define ENGINE_HEARTBEAT_MS        40
#define ENGINE_TRAILING_BYTES      ((uint64_t)8 << 20)

struct engine;

enum engine_role { ENGINE_STANDBY = 0, ENGINE_VOTER = 1, ENGINE_SPARE = 2 };

struct engine_member {
    uint64_t id;
    uint8_t role;                           /* enum engine_role */
    char address[ENGINE_ADDRESS_BYTES_MAX]; /* "name=host:port", and more behind ";": in the log */
};

struct engine_configuration {
    uint64_t index; /* of the entry it comes from */
    size_t count;
    struct engine_member members[ENGINE_MEMBERS_MAX];
};

/* The encoded form, as in log entries and snapshots. Decoding is strict: ids are unique and not
 * zero, roles known, addresses printable. */
void engine_configuration_encode(struct buf *out, const struct engine_configuration *c);
enum status engine_configuration_decode(struct slice bytes,
                                        struct engine_configuration *out) MUST_USE;
/* NULL: nobody has this id. */
const struct engine_member *engine_find_member(const struct engine_configuration *c, uint64_t id);
size_t engine_voter_count(const struct engine_configuration *c);

enum engine_state { ENGINE_FOLLOWER = 1, ENGINE_CANDIDATE = 2, ENGINE_LEADER = 3 };

/* The newest snapshot on disk, as the core must know it. */
struct engine_snapshot {
    uint64_t index; /* 0 = none */
    uint64_t term;
    uint64_t configuration_index;
    struct slice configuration; /* borrowed; the engine keeps a copy */
    uint64_t file_bytes;
};

struct engine_options {
    struct env *env;
    struct log *log;
    struct metrics *metrics;
    const char *wal_dir;
    uint64_t cluster_id;
    uint64_t node_id;
    uint32_t election_timeout_ms;
    uint32_t heartbeat_ms;
    uint32_t seed;
    size_t wal_segment_bytes;
    uint64_t trailing_bytes;
    struct engine_snapshot snapshot; /* newest one, or index 0 */
    /* Written as term 1, entry 1 if log and snapshot are empty; NULL = there must be a log. */
    const struct engine_configuration *bootstrap;
    /* This member joins: its log may be empty, and then comes from the leader, whoever that is. */
    bool joins;
};

struct engine_events {
    void (*send)(void *context, uint64_t to, const struct message *m);
    /* A committed entry, in order, exactly once per process. */
    void (*apply)(void *context, uint64_t index, uint64_t term, uint8_t type,
                  struct slice payload);
    /* State, term or leader changed. */
    void (*state)(void *context);
    /* The configuration in use changed (it may still be uncommitted). */
    void (*configuration)(void *context, const struct engine_configuration *c);
    /* A snapshot passed to engine_install took effect: the caller swaps its state now. */
    void (*installed)(void *context, uint64_t index);
    void (*fatal)(void *context, enum status rc, const char *why);
};

/* Opens the log and starts the core. Blocks while it recovers. RC_CORRUPT when log and
 * snapshot do not fit together, and what wal_open answers. */
enum status engine_open(const struct engine_options *options,
                        const struct engine_events *events, void *context, struct engine **out,
                        struct errmsg *err) MUST_USE;
void engine_close(struct engine *e);

/* A message of the consensus kind from a member. Judged first: what no correct member would
 * say is dropped and logged. INSTALL_SNAPSHOT is not for here: see engine_offer_is_useful. */
void engine_receive(struct engine *e, uint64_t from, const struct message *m);

/* What engine_submit would answer now. */
enum status engine_may_submit(const struct engine *e) MUST_USE;

/* Appends one command entry. RC_NOT_LEADER (also while leadership is being handed over),
 * RC_NO_SPACE; then nothing happened. Copies. */
enum status engine_submit(struct engine *e, struct slice payload, uint64_t *index,
                          uint64_t *term) MUST_USE;

/* Appends a change of the members. One at a time, in steps that keep every old majority and every
 * new one overlapping: a standby is added at the end, a standby becomes a voter, an address changes
 * or a member other than this node is removed. RC_NOT_LEADER, RC_NO_SPACE; RC_REFUSED for what the
 * rules NOOP, GATE and VOTERS do not allow (now), with the reason in `err`. */
enum status engine_change(struct engine *e, const struct engine_configuration *next,
                          struct errmsg *err) MUST_USE;
/* The last change of the members is not committed yet. */
bool engine_is_changing(const struct engine *e);

/* Hands leadership to `target`, once: call when engine_match of it equals engine_last_index. */
enum status engine_transfer(struct engine *e, uint64_t target) MUST_USE;

/* A member lacks entries that are no longer in memory: a snapshot should be taken now. */
bool engine_needs_snapshot(const struct engine *e);
/* The file of our own snapshot is durable. */
void engine_snapshot_taken(struct engine *e, const struct engine_snapshot *snapshot);

/* Is this offer from the leader of our term or a later one, and about entries that we lack? */
bool engine_offer_is_useful(const struct engine *e,
                            const struct message_install_snapshot *offer);

/* The file of this offer is here, verified and durable. True: `installed` will follow (and the
 * caller keeps the loaded state until then); false: the core has no use for it any more. */
bool engine_install(struct engine *e, uint64_t from,
                    const struct message_install_snapshot *offer);

/* What was on its way to this member is lost. */
void engine_connection_lost(struct engine *e, uint64_t member);

/* The connection to the leader broke in a way that a dead process would break it: do not
 * wait for the whole election timeout. */
void engine_suspect_leader(struct engine *e);

/* The others can vote now: do not wait for the election timeout. */
void engine_campaign(struct engine *e);

/* Tells the members that lack it how far is committed. */
void engine_tell_commit(struct engine *e);
/* Once per loop turn, last: the log's group commit. What goes to members should have left: they
 * write while this one does, and to wake the thread that writes takes a while, too. */
void engine_turn(struct engine *e);
void engine_tick(struct engine *e, uint64_t now_ms);
uint64_t engine_next_deadline_ms(const struct engine *e);

enum engine_state engine_state(const struct engine *e);
uint64_t engine_term(const struct engine *e);
uint64_t engine_leader(const struct engine *e); /* 0 = unknown */
uint64_t engine_commit_index(const struct engine *e);
uint64_t engine_last_index(const struct engine *e);
uint64_t engine_applied_index(const struct engine *e);
/* The oldest entry in memory, and any from there on: RC_NOT_FOUND if it is not there. What `out`
 * points to is valid until the engine is called again. */
struct wal_entry;
uint64_t engine_first_index(const struct engine *e);
enum status engine_entry(const struct engine *e, uint64_t index, struct wal_entry *out) MUST_USE;
/* Somebody reads the entries from this index on: until a snapshot lets go of them they stay in
 * memory. UINT64_MAX: nobody, as at first. */
void engine_retain(struct engine *e, uint64_t from);
uint64_t engine_log_bytes(const struct engine *e);              /* on disk */
uint64_t engine_memory_bytes(const struct engine *e);           /* of entries kept in memory */
uint64_t engine_match(const struct engine *e, uint64_t member); /* leader only, else 0 */
/* How long ago a member last answered this leader; UINT64_MAX: not in this leadership. */
uint64_t engine_silence_ms(const struct engine *e, uint64_t member);
/* The last index that is durable here. */
uint64_t engine_stored_index(const struct engine *e);
/* Everything that the core has promised so far, the first entry included, is durable. */
bool engine_is_settled(const struct engine *e);
bool engine_is_installing(const struct engine *e);
bool engine_disk_is_short(const struct engine *e);
bool engine_is_single_voter(const struct engine *e);
/* We lead and an entry of our own term is committed (rule NOOP): reads and changes are safe. */
bool engine_leads_safely(const struct engine *e);
const struct engine_configuration *engine_configuration(const struct engine *e);
/* Term of an entry still known, or 0. */
uint64_t engine_term_of(const struct engine *e, uint64_t index);
/* The committed configuration as it was at the applied index, encoded, with its index. */
struct slice engine_applied_configuration(const struct engine *e, uint64_t *index);

#endif
