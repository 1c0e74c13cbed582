/* What the files of the node share.
 *
 *   node.c            requests in, completions out; the turn; apply
 *   node_open.c       open and close: the data dir and whose it is
 *   node_bootstrap.c  the first start of a cluster: is everybody new?
 *   node_recover.c    the newest snapshot and the log become a node that runs
 *   node_peers.c      which message goes to which part, connections that come and go
 *   node_propose.c    batches into entries on the leader; forwarding to it elsewhere
 *   node_level.c      the replicated feature level: who knows which, when it is raised
 *   node_snapshot.c   taking snapshots, sending them, installing the leader's
 *   node_export.c     copies of the state for others: which snapshot, and when it is taken
 *   node_lease.c      the leader's keeper: leases that end, nodes that are reaped
 *   node_ttl.c        questions for the time that a lease has left
 *   node_note.c       what members tell each other besides the log
 *   node_leader.c     the state changes: cluster time, hand-over, digests compared
 *   node_member.c     the leader's part in changes of the members: what goes on by itself
 *   node_judge.c      its answers to what is asked of the members
 *   node_rules.c      who of the members is up, and which changes are safe
 *   node_registry.c   what is known of members: by the configuration, by keys, by connections
 *   node_change.c     questions for such changes, on any member
 *   node_join.c       an empty data dir asks a running cluster to be added
 *   node_grow.c       a single node becomes a cluster of three
 *   node_pending.c    a node that fetches the state of a single node that grows with it
 *   node_status.c     what there is to know
 *
 * Phases: WAITING (an empty data dir asks the other first members, or asks to join) -> RUNNING ->
 * STOPPING; REFUSED from WAITING (this member's data was lost) or RUNNING (it must not serve any
 * more: it was removed).
 */
#ifndef RAFT_NODE_INTERNAL_H
#define RAFT_NODE_INTERNAL_H

#include "lease/keeper.h"
#include "raft/engine.h"
#include "raft/frame_reader.h"
#include "raft/identity.h"
#include "raft/node.h"
#include "raft/peer.h"
#include "raft/pending.h"
#include "raft/read_index.h"
#include "raft/snapshot_store.h"
#include "store/store.h"
#include "watch/watch.h"

#define NODE_PATH_BYTES 4096

enum node_phase { NODE_WAITING = 1, NODE_RUNNING, NODE_STOPPING, NODE_REFUSED };

/* What one other member said when this node asked whether it is new. */
struct boot_answer {
    uint64_t id;
    uint64_t boot_id; /* of its process, when it said that it is new; 0 = no answer yet */
    uint64_t present_boot_id; /* as its last HELLO said */
};

/* Highest counter that the leader has had from a member's present process in this term. */
struct forward_mark {
    uint64_t member;
    uint64_t boot_id;
    uint64_t counter;
    uint64_t refusals; /* until the member has heard of the last, nothing of it is admitted */
};

struct node_leases {
    struct keeper *keeper;
    bool is_running;   /* this node leads, an entry of its term is applied, all leases are kept */
    bool is_filling;   /* the same, but those behind `filled_to` are not kept yet */
    uint64_t filled_to; /* id of a lease */
    bool has_suspects; /* or may have */
    bool awaits_loop;  /* a single voter: the suspects also wait for a job's end */
    bool job_is_open;
    uint64_t round;    /* this read round or a later one decides about suspects; 0 = none */
    uint64_t retry_ms; /* suspects are looked for from then on */
    struct env_queue *queue; /* NULL until it is needed */
    struct env_job job;
    size_t reaps;     /* proposed, and not applied yet */
    uint64_t reap_ms; /* the next lot, not before */
    size_t rollouts;     /* the same of steps of rollouts */
    uint64_t rollout_ms;
};

struct node_ttls {
    struct list fresh; /* node_ttl: nobody is asked yet */
    struct list asked; /* of `asked_of`, at `asked_ms` */
    size_t count;
    uint64_t asked_of;
    uint64_t asked_ms;
    uint64_t next_token;
    uint64_t deadline_ms; /* not later than the earliest of any */
};

/* How well a standby follows: it has reached what was the last entry when a round began, and the
 * next round begins. In sync is who needed less than an election timeout for that. */
struct member_round {
    uint64_t id;
    uint64_t target;
    uint64_t began_ms;
    bool is_in_sync;
    char waits_for[128]; /* why its change does not go on */
};

#define NODE_LEAVERS_MAX 16

struct node_membership {
    struct engine_configuration applied; /* the committed one, as of what is applied */
    struct member_round rounds[NODE_MEMBERS_MAX];
    uint64_t look_ms;    /* the leader looks after changes that go on by themselves */
    uint64_t propose_ms; /* keys are not written again before */
    struct {
        uint64_t target;  /* 0 = no hand-over */
        bool is_to_any;   /* voter that has everything first; `target` was the furthest */
        bool holds;       /* nothing is proposed until it has everything */
        uint64_t hold_ms; /* holds at the latest then */
        uint64_t until_ms;
    } hand_over;
    /* They were members, are told so, and disconnected then. */
    struct {
        uint64_t id;
        uint64_t until_ms;
    } leavers[NODE_LEAVERS_MAX];
    size_t admitted; /* members that said HELLO before we had heard of them */
    struct list changes;
    size_t change_count;
    uint64_t ask_ms;
    uint64_t next_token;
    char text[NODE_TEXT_BYTES_MAX]; /* of the answer that is being given */
    char address[NODE_ADDRESS_BYTES_MAX];
    struct buf encoded;
    struct {
        struct metric *voters;
        struct metric *standbys;
        struct metric *changes;
    } metrics;
};

/* Who asks a single node to join. */
#define GROW_CANDIDATES_MAX 16

struct grow_candidate {
    uint64_t id; /* 0 = free */
    struct node_member at;
    uint64_t seen_ms;
    bool learner;
    uint64_t held_index; /* the state that it has fetched; 0 = none */
    uint64_t held_term;
};

struct node_grow {
    uint8_t phase;      /* raft/node_grow.c */
    bool take_failed;
    uint64_t wanted_ms; /* somebody waits for it until then */
    uint64_t mark;      /* the last index before this attempt */
    uint64_t paused_ms;
    uint64_t failed_ms;
    uint64_t campaign_ms; /* 0 = not due */
    char names[2][NODE_NAME_BYTES_MAX]; /* "" = any */
    struct grow_candidate candidates[GROW_CANDIDATES_MAX];
    uint64_t chosen[2]; /* 0 = nobody yet */
    struct buf configuration; /* of the three */
    struct snapshot_store *snapshots; /* beside the ones of this node; NULL: none */
    struct snapshot_file file;
    char text[256];
    char failure[512];
};

/* The way into a running cluster. */
struct node_join {
    bool is_active;
    struct env_stream *stream; /* NULL: none */
    struct frame_reader reader;
    bool is_greeted;
    bool is_reading;
    size_t next;             /* of options.join */
    struct node_member hint; /* the leader, as another member said; port 0 = none */
    struct node_member at;   /* who is asked now */
    uint64_t give_up_ms;
    char text[NODE_TEXT_BYTES_MAX]; /* what was said last */
    struct snapshot_meta held; /* of the state in `loaded`, while this node is no member yet */
};

struct node {
    struct node_options options; /* strings and members copied */
    struct node_member members[NODE_MEMBERS_MAX];
    char name[NODE_NAME_BYTES_MAX];
    char client_address[NODE_ADDRESS_BYTES_MAX];
    char *data_dir;
    char *peer_host;
    struct env *env;
    struct log *log;
    enum node_phase phase;
    char refused_reason[256];
    struct identity identity;
    uint64_t boot_id;

    struct store *store;
    struct watch_hub *watches; /* over the changes of the store */
    uint64_t watch_metrics_ms; /* when they are due again */
    struct engine *engine; /* NULL while WAITING and when refused at start */
    struct peers *peers;   /* NULL with a single node */
    struct snapshot_store *snapshots;
    struct pending pending;
    struct read_index reads;
    struct node_leases leases;
    struct node_ttls ttls;
    struct {
        node_note_fn got; /* NULL: nobody listens */
        void *context;
    } notes;
    struct node_membership membership;
    struct node_join join;
    struct node_grow grow;
    struct node_member joins[NODE_MEMBERS_MAX];
    struct node_member peer_address; /* of this node, as others shall know it */
    struct arena apply_arena;
    struct arena query_arena;
    bool notices_wait;   /* node_put_off_notices */
    bool reads_are_left; /* that the last turn had no time for */
    bool in_turn;

    /* bootstrap */
    struct boot_answer boot[NODE_MEMBERS_MAX];
    size_t boot_count;
    uint64_t boot_ask_ms;

    /* proposing */
    uint64_t applied_term; /* of the last entry applied */
    uint64_t submitted;    /* index of our newest entry in flight */
    struct buf batch;
    uint64_t sent_to;     /* who took the writes that are SENT: the leader of their term */
    uint64_t refusals;    /* the last that this node has heard of, in refusals_term */
    uint64_t refusals_term;
    struct buf forwarded; /* commands of other members for the next entries */
    size_t forwarded_taken;
    bool own_were_left; /* the last entry had no room for own writes: first in the next */
    struct forward_mark marks[NODE_MEMBERS_MAX];
    size_t mark_count;

    /* cluster time: base at base_ms of our clock, and it runs on from there */
    uint64_t time_base;
    uint64_t time_base_ms;
    uint64_t leading_term; /* term in which this node proposes, 0 = it does not lead (yet) */
    uint64_t leading_since_ms;
    uint64_t level_term; /* the term in which it proposed to raise the feature level */
    struct {
        uint64_t last;
        uint64_t min;
        uint64_t max;
    } proposal_bytes;

    /* digests at certain indexes, compared by a logged CHECK */
    struct {
        uint64_t index;
        uint64_t digest;
        uint64_t members[NODE_MEMBERS_MAX];
        uint64_t digests[NODE_MEMBERS_MAX];
        size_t count;
    } check;

    /* snapshots */
    uint64_t log_bytes;   /* applied since the last snapshot */
    uint64_t snapshot_ms; /* when it was begun */
    uint64_t snapshot_retry_ms; /* the last one failed: one that is needed waits until then */
    struct list exports;  /* node_export: wait for a snapshot */
    struct node_backup backup;
    struct {
        bool active;
        uint64_t from;
        struct message_install_snapshot
            offer; /* its configuration points into `configuration` */
        struct buf configuration;
        uint64_t pulled_ms; /* time of the chunk asked for last */
        uint64_t progress_ms; /* time of the last chunk that was asked for and came */
        uint64_t pulled_offset;
        bool pull_open;
    } install;
    struct store *loaded; /* verified, waits for the core */
    /* A replaced state, freed off the loop: a million nodes take a while. */
    struct {
        struct env_job job;
        struct env_queue *queue;
        struct store *store; /* NULL when idle */
    } discard;

    /* stopping */
    void (*stopped)(void *context);
    void *stopped_context;
    uint64_t stop_deadline_ms;
    bool has_handed_over; /* since the stop began */

    struct {
        struct metric *leader_changes;
        struct metric *applied_commands;
        struct metric *quota_refusals;
        struct metric *user_lease_refusals;
        struct metric *batches;
        struct metric *writes_in_flight;
        struct metric *watches;
        struct metric *watches_behind;
        struct metric *watch_lag;
        struct metric *leases_kept;
        struct metric *lease_expiries;
        struct metric *lease_touches;
    } metrics;
};

/* node.c */
void node_fatal(struct node *n, enum status rc, const char *why);
void node_refuse(struct node *n, const char *reason);
void node_send(struct node *n, uint64_t to, const struct message *m);
extern const struct engine_events node_engine_events;

/* node_bootstrap.c */
/* Asks the other first members whether they are new as well. */
void node_bootstrap_begin(struct node *n);
void node_bootstrap_turn(struct node *n, uint64_t now_ms);
/* Everybody is new: the identity is fixed first (PENDING), then the log gets its first entry, and
 * only then may this node vote (MEMBER). */
enum status node_become_member(struct node *n, struct errmsg *err);
void node_on_boot_query(struct node *n, uint64_t from);
void node_on_boot_result(struct node *n, uint64_t from, const struct message_boot *m);
void node_on_peer_up(struct node *n, uint64_t from, const struct message_hello *hello);

/* node_recover.c */
enum status node_open_snapshots(struct node *n, struct errmsg *err);
/* Opens the engine with what the data dir holds; `first` is the bootstrap entry, or NULL. */
enum status node_start_engine(struct node *n, const struct engine_configuration *first,
                              struct errmsg *err);
/* Begins anew behind a snapshot that holds just the present state. */
enum status node_restart_engine(struct node *n, const struct engine_snapshot *snapshot,
                                struct errmsg *err);
/* The cluster has taken this node in. */
enum status node_open_joined(struct node *n, struct errmsg *err);
void node_settle_identity(struct node *n);

/* node_peers.c */
/* Opens the peer port, where there is one. */
enum status node_open_peers(struct node *n, struct errmsg *err);

/* node_propose.c */
void node_propose_turn(struct node *n);
void node_on_forward(struct node *n, uint64_t from, const struct message_forward *m);
void node_on_forward_result(struct node *n, uint64_t from,
                            const struct message_forward_result *m);
void node_on_sent_to_lost(struct node *n, uint64_t peer);
bool node_may_propose(const struct node *n);
bool node_has_forwarded(const struct node *n);
void node_drop_forwarded(struct node *n);

/* node_snapshot.c */
void node_snapshot_turn(struct node *n, uint64_t now_ms);
uint64_t node_snapshot_deadline_ms(const struct node *n);
void node_on_offer(struct node *n, uint64_t from, const struct message_install_snapshot *m);
void node_on_pull(struct node *n, uint64_t from, const struct message_snapshot_pull *m);
void node_on_chunk(struct node *n, uint64_t from, const struct message_snapshot_chunk *m);
void node_on_installed(struct node *n, uint64_t index);
void node_discard_close(struct node *n);

/* Fetches the file of an offer from `from`; one at a time. */
void node_begin_receive(struct node *n, uint64_t from,
                        const struct message_install_snapshot *offer, snapshot_received_fn done);
void node_receive_turn(struct node *n, uint64_t now_ms);

/* Begins a snapshot of the present state, if one can be begun now. */
void node_snapshot_take(struct node *n, uint64_t now_ms);

/* node_export.c */
void node_export_turn(struct node *n, uint64_t now_ms);
void node_export_failed(struct node *n, uint64_t index, enum status rc);
void node_export_fail_all(struct node *n, enum status rc);
uint64_t node_export_deadline_ms(const struct node *n);

/* node_lease.c */
void node_lease_open(struct node *n);
void node_lease_close(struct node *n);
void node_lease_lead(struct node *n);   /* from now on proposals of this node are safe */
void node_lease_unlead(struct node *n); /* also if it did not lead */
void node_lease_applied(struct node *n, const struct command *c, const struct reply *reply);
bool node_lease_renew(struct node *n, uint64_t lease); /* as read_index_ops says */
void node_lease_turn(struct node *n, uint64_t now_ms);
void node_level_turn(struct node *n);
uint64_t node_lease_deadline_ms(const struct node *n);

/* node_ttl.c */
void node_ttl_open(struct node *n);
void node_ttl_fail_all(struct node *n, enum status rc);
void node_ttl_turn(struct node *n, uint64_t now_ms);
uint64_t node_ttl_deadline_ms(const struct node *n);
void node_on_lease_ask(struct node *n, uint64_t from, const struct message_lease_ask *m);
void node_on_lease_tell(struct node *n, uint64_t from, const struct message_lease_tell *m);
void node_ttl_peer_lost(struct node *n, uint64_t peer);

/* node_note.c */
void node_on_note(struct node *n, uint64_t from, const struct message_note *m);

/* node_registry.c */
extern const char node_removed_reason[];
struct member_notes {
    bool learner;
    uint64_t replaces; /* id of the member whose place it takes; 0 = none */
};
struct member_invitation {
    bool is_there;
    bool learner;
    uint64_t replaces;
    char address[NODE_ADDRESS_BYTES_MAX]; /* "" = any */
};
bool node_parse_member(const char *address, struct node_member *out);
struct member_notes node_member_notes(const char *address);
void node_format_member(const struct node_member *m, const struct member_notes *notes,
                        char *text, size_t bytes);
/* To be removed, or removed: its id is never used again. */
bool node_has_tombstone(const struct node *n, uint64_t id);
/* It was a member, and is not any more. */
bool node_was_removed(const struct node *n, uint64_t id);
/* A member that had this name was removed, and no member has it now. */
bool node_name_was_removed(const struct node *n, const char *name);
struct member_invitation node_invitation(const struct node *n, const char *name);
/* These propose, if this node leads, not too often. */
void node_put_tombstone(struct node *n, uint64_t id, const char *name);
void node_drop_tombstone(struct node *n, uint64_t id);
void node_put_growth(struct node *n, const char *names);
void node_put_invitation(struct node *n, const char *name, const struct member_invitation *i);
void node_drop_invitation(struct node *n, const char *name);
void node_on_configuration(struct node *n, const struct engine_configuration *c);
void node_configuration_applied(struct node *n, struct slice bytes);
void node_registry_turn(struct node *n, uint64_t now_ms);
uint64_t node_registry_deadline_ms(const struct node *n);
bool node_on_admit(void *context, const struct message_hello *hello, struct message *farewell);
/* A message of one that is no member any more: true, and it was told. */
bool node_turns_away(struct node *n, uint64_t from);
void node_on_removed(struct node *n, const struct message_removed *m);

/* node_judge.c */
/* This node leads: what it says to what is asked. Slices of `tell` are valid until the next. */
void node_member_judge(struct node *n, const struct message_member_ask *ask,
                       struct message_member_tell *tell);
/* Tells one that is in the applied configuration that it is a member. */
void node_member_welcome(struct node *n, struct message_member_tell *tell);

/* node_member.c */
bool node_member_may_judge(const struct node *n);
void node_member_turn(struct node *n, uint64_t now_ms);
uint64_t node_member_deadline_ms(const struct node *n);
const char *node_member_waits_for(const struct node *n, uint64_t id);

/* node_rules.c; what else it has is in node_member.h */
uint32_t node_election_timeout_ms(const struct node *n);

/* node_change.c */
void node_change_open(struct node *n);
void node_change_fail_all(struct node *n, enum status rc);
void node_change_turn(struct node *n, uint64_t now_ms);
uint64_t node_change_deadline_ms(const struct node *n);
void node_on_member_ask(struct node *n, uint64_t from, const struct message_member_ask *m);
void node_on_member_tell(struct node *n, uint64_t from, const struct message_member_tell *m);
void node_on_guest(void *context, const struct message_member_ask *question,
                   struct message *answer);

/* Of the streams to other members. */
static inline struct env *node_peer_env(const struct node *n)
{
    return n->options.peer_env != NULL ? n->options.peer_env : n->env;
}

/* node_join.c */
void node_join_begin(struct node *n);
void node_join_turn(struct node *n, uint64_t now_ms);
void node_join_close(struct node *n);

/* node_grow.c */
/* Nothing is proposed. */
bool node_grow_is_paused(const struct node *n);
/* No snapshot is begun. */
bool node_grow_is_under_way(const struct node *n);
void node_grow_clean(struct node *n);
void node_grow_close(struct node *n);
void node_grow_turn(struct node *n, uint64_t now_ms);
uint64_t node_grow_deadline_ms(const struct node *n);
/* A single node is asked to grow with the nodes "name,name", or with any two. */
void node_grow_judge(struct node *n, const char *names, struct message_member_tell *tell);
void node_grow_judge_join(struct node *n, const struct message_member_ask *ask,
                          const struct node_member *at, struct message_member_tell *tell);
/* Another one has been told that it is a member: it can vote now. */
void node_grow_told(struct node *n);

/* node_pending.c */
/* Told to fetch a state: false if that makes no sense. */
bool node_pending_take(struct node *n, const struct message_member_tell *m);
void node_pending_turn(struct node *n, uint64_t now_ms);
/* This node becomes a member: with what it holds, or without. RC_CORRUPT: that is gone. */
enum status node_pending_settle(struct node *n, bool is_voter, struct errmsg *err);
void node_pending_close(struct node *n);

/* node_leader.c */
uint64_t node_successor(const struct node *n); /* 0 = nobody */
void node_on_state(struct node *n);
void node_note_applied(struct node *n, uint64_t index, uint64_t term);
void node_on_digest(struct node *n, uint64_t from, uint64_t index, uint64_t digest);
void node_stop_turn(struct node *n, uint64_t now_ms);
/* Nothing is to be proposed: somebody else is about to lead. */
bool node_is_handing_over(const struct node *n);
/* Goes on until voter `target` is near the end of the log, lets nothing be proposed then until it
 * has everything, and lets it stand for election. With `is_to_any` another voter will do that is
 * there earlier. Does nothing on a member that cannot propose. */
void node_hand_over_begin(struct node *n, uint64_t target, bool is_to_any);
void node_hand_over_turn(struct node *n, uint64_t now_ms);
uint64_t node_leader_deadline_ms(const struct node *n); /* of hand-over and stop */
void node_anchor_time(struct node *n);
uint64_t node_cluster_ms_at(const struct node *n, uint64_t now_ms);

#endif
