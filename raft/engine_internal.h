/* What the files of the engine share. Nobody else includes it, nor <raft.h>. */
#ifndef RAFT_ENGINE_INTERNAL_H
#define RAFT_ENGINE_INTERNAL_H

#include <raft.h>

#include "base/list.h"
#include "raft/engine.h"
#include "raft/engine_log.h"
#include "raft/wal.h"

/* Terms and indexes of others must stay below: sums cannot wrap, snapshots can hold them. */
#define ENGINE_NUMBER_MAX ((uint64_t)1 << 62)

struct engine {
    struct raft raft;
    struct env *env;
    struct log *log;
    const struct engine_events *events;
    void *context;
    struct wal *wal;
    struct engine_log entries; /* mirrors raft.trail */
    uint64_t applied;
    size_t apply_left; /* bytes that may still be applied in this turn */
    uint64_t now_ms;   /* time of the last step; never goes back */
    uint64_t trailing_bytes;
    uint64_t retained_from; /* engine_retain */
    uint64_t leading_since_ms;
    bool lacks_payloads; /* a member wants entries whose payloads cannot be had any more */
    /* Payloads of [from, until) came back from disk. */
    struct {
        uint64_t from;
        uint64_t until;
        uint64_t ms;     /* when they came, or were last sent */
        bool is_new;     /* nobody was sent them */
        uint64_t wanted; /* of what is being read back: the first */
    } fetched;
    bool failed; /* a durable write failed, or the core refused to go on: nothing leaves */

    /* The message that was refused last, and when the log told so. */
    struct engine_refusal {
        const char *why;
        uint64_t from;
        uint64_t ms;
    } refusal;

    /* Rule DISK: messages wait here until the term and vote they speak for are durable. */
    uint64_t hold_ticket;
    uint64_t durable_ticket;
    struct list held;

    /* An install that waits for the log's reset to be durable. */
    struct {
        bool running;
        uint64_t ticket;
        struct raft_snapshot_metadata metadata;
        uint64_t file_bytes;
    } install;

    struct {
        uint64_t index;
        uint64_t term;
        uint64_t configuration_index;
        struct buf configuration;
        uint64_t file_bytes;
    } snapshot;

    /* Configuration as of `applied`, for our own snapshots. */
    struct {
        uint64_t index;
        struct buf bytes;
    } applied_configuration;

    /* Mirror of raft.configuration for callers, refreshed when its indexes move. */
    struct engine_configuration configuration;
    uint64_t seen_committed;
    uint64_t seen_uncommitted;

    /* Last told to `events->state`. */
    int seen_state;
    uint64_t seen_term;
    uint64_t seen_leader;

    /* How far each member knows the commit index, by what we sent it (commit notices). */
    uint64_t told_commit[ENGINE_MEMBERS_MAX];

    /* The entries of many bytes that each member was sent last: so as not to repeat them. */
    struct engine_sent {
        uint64_t term; /* 0 = nothing that counts */
        uint64_t last_index;
        uint64_t ms;
        uint64_t pause_ms;
    } sent[ENGINE_MEMBERS_MAX];

    /* A leader that is held to be gone; engine_suspect.c. */
    struct {
        uint64_t leader; /* 0 = nobody */
        uint64_t since_ms;
        uint64_t due_ms; /* when this member stands for election */
    } suspect;

    /* When each member last answered, in this leadership. */
    struct {
        uint64_t id; /* 0 = free */
        uint64_t ms;
    } heard[ENGINE_MEMBERS_MAX];
};

/* engine.c */
int engine_step(struct engine *e, struct raft_event *event);
void engine_fail(struct engine *e, enum status rc, const char *why);
/* Applies, elects the first entry of a term, reports changes: until nothing moves any more, or as
 * much is applied as one turn may. The next turn goes on. */
void engine_advance(struct engine *e);
/* Likewise, and all that is committed is applied, however long it takes. */
void engine_advance_fully(struct engine *e);
/* This member as the core's configuration has it; NULL: in none. Good until the next step. */
struct raft_server *engine_self(struct engine *e);

extern const struct wal_events engine_wal_events;

/* engine_snapshot.c */
void engine_remember_snapshot(struct engine *e, const struct engine_snapshot *s);
/* The core asks to replace its log by a snapshot, whose file is here and durable already. */
void engine_take_install(struct engine *e, const struct raft_snapshot_metadata *metadata);
/* Ends an install once the log's reset is durable. */
void engine_step_installed(struct engine *e);

/* engine_memory.c */
/* Forgets old payloads. Once per turn. */
void engine_forget(struct engine *e);
/* How many of `count` entries can be sent to a member now. What cannot is fetched from disk. */
unsigned engine_sendable(struct engine *e, uint64_t to, uint64_t from, unsigned count);
/* How many entries up to `index` stay behind a snapshot of it for slow followers, by bytes. */
unsigned engine_trailing_entries(const struct engine *e, uint64_t index);

/* engine_send.c */
void engine_send_all(struct engine *e, const struct raft_message *messages, unsigned count);
void engine_release_held(struct engine *e);
void engine_drop_held(struct engine *e);
/* The member may lack what it was sent. */
void engine_forget_sent(struct engine *e, uint64_t to);

/* engine_suspect.c */
/* After each step, which may have put an election off. */
void engine_press_suspicion(struct engine *e);
void engine_end_suspicion(struct engine *e, uint64_t heard_from);
bool engine_is_suspected(const struct engine *e, uint64_t leader);

/* engine_change.c */
void engine_note_heard(struct engine *e, uint64_t member);

/* engine_configuration.c */
void engine_configuration_from_raft(const struct raft_configuration *from, uint64_t index,
                                    struct engine_configuration *to);
void engine_configuration_to_raft(const struct engine_configuration *from,
                                  struct raft_configuration *to);

#endif
