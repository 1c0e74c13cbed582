/* Linearizable reads without writing (Raft dissertation 6.4, ReadIndex), and the touches of leases,
 * which travel with them.
 *
 *   WAITING --(a round begins)--> IN_ROUND --(majority confirmed)--> READY(index)
 *   READY --(applied >= index)--> served;     IN_ROUND --(leader or term changed)--> WAITING
 *   IN_ROUND --(confirmed, but the lease it touches is about to end)--> HELD --(later)--> WAITING
 *
 * A round on the leader: note the commit index, ask every voter for its term; when a majority,
 * the leader included, has answered "not above yours", no later leader can have committed
 * anything before the round began. One round serves all that waited when it began; the next
 * begins when it ends. On a follower a round is one question to the leader, which joins the
 * leader's next round.
 *
 * Of two or three voters the asker and the leader are a majority, and then the question is as
 * good as a round: when it was sent, after its reads had come, neither of the two had voted in a
 * later term (the question names the asker's, and the leader's is still the same), so nobody had
 * been elected in one. What was acknowledged before that is below the leader's commit index, and
 * the answer needs no third. A question with touches joins a round nevertheless: there the
 * renewal has to come before the confirmation.
 *
 * The leader must have committed an entry of its own term first (rule NOOP), else its commit
 * index may lie behind. Leader leases by the clock are not used: libraft's contact times do not
 * make them safe.
 *
 * Touches. Ids of leases gather in a set. A round takes them along: the leader renews them when
 * its round begins, or when a follower's question brings them, so in any case before the majority
 * is asked. They are forgotten only when that round is confirmed; until then every repetition
 * carries them, and after a change of leader the next round does. So a read that touches a lease
 * and is served says: a leader, confirmed after the read arrived, has renewed the lease. (If its
 * keeper does not run yet, that will start all leases anew, still later.) A lease whose EXPIRE is
 * proposed is not renewed: the answer names it, and a read that touches it waits for another
 * round, until the log has decided. Touches without a read wait KEEPER_TOUCH_MS for company.
 */
#ifndef RAFT_READ_INDEX_H
#define RAFT_READ_INDEX_H

#include "raft/engine.h"
#include "raft/node.h"
#include "raft/touches.h"

/* What a round needs from the node. */
struct read_index_ops {
    void (*send)(void *context, uint64_t to, const struct message *m);
    uint64_t (*now_ms)(void *context);
    /* This node leads: renews a lease. False: its EXPIRE is proposed, it is not renewed any more.
     * True also if it is unknown. */
    bool (*renew)(void *context, uint64_t lease);
};

struct read_index_question {
    uint64_t from;
    uint64_t round;
    struct touches unrenewed; /* of its touches */
};

/* A proof of freshness: who has applied `index` is as fresh as the cluster was at `ms`. Index 0:
 * none. */
struct read_index_proof {
    uint64_t index;
    uint64_t ms;
};

#define READ_INDEX_QUESTIONS_MAX 64                /* one per member at a time */
#define READ_INDEX_TOUCHES_MAX   ((size_t)1 << 20) /* that wait for a round */

struct read_index {
    const struct read_index_ops *ops;
    void *context;
    struct engine *engine;
    uint64_t self;
    uint32_t retry_ms;

    struct list waiting;      /* node_read, need a round that begins from now on */
    struct list in_round;     /* wait for the round that runs */
    struct list held;         /* what they touch was not renewed: wait until held_ms */
    struct list ready;        /* have their index, not yet compared with what is applied */
    struct list unapplied;    /* it was: wait until it is applied */
    struct list serving;      /* applied: handed out by read_index_next until none is left */
    struct list expired;      /* likewise, by read_index_expired */
    uint64_t unapplied_index; /* not above that of any of `unapplied` */

    /* Leases to renew, by the same two stages. What a waiting read touches is among `touches`. */
    struct touches touches;
    struct touches touching;
    struct touches unrenewed; /* of `touching`, by this node as the leader */
    uint64_t touched_ms;      /* when the first of `touches` came */
    uint64_t held_ms;

    /* Followers' questions, likewise. */
    struct read_index_question questions[READ_INDEX_QUESTIONS_MAX];
    size_t question_count;
    struct read_index_question asked[READ_INDEX_QUESTIONS_MAX];
    size_t asked_count;

    uint64_t round; /* number of the newest round */
    bool running;
    uint64_t round_term;
    uint64_t round_leader; /* whom it asks: itself when it leads */
    uint64_t round_commit;
    uint64_t round_began_ms;
    uint64_t asked_ms;     /* last time that its questions went out */
    uint32_t confirmed;    /* bit per member of the configuration */
    uint64_t wanted_round; /* rounds are begun until one from this on is confirmed; 0 = none */
    uint64_t confirmed_round; /* the newest that this node's leadership was confirmed by */

    /* Proofs in the order of time: what is applied, the first and the last that are not. */
    struct read_index_proof applied;
    struct read_index_proof first;
    struct read_index_proof last;
    uint64_t deadline_ms; /* not later than the earliest of any read */
};

/* `first_round` is random: the leader may still answer, in the same term, what a former process
 * of this member asked, and that answer is too old for ours. */
void read_index_init(struct read_index *ri, const struct read_index_ops *ops, void *context,
                     uint64_t self, uint32_t retry_ms, uint64_t first_round);
/* Every open read completes with `rc`. */
void read_index_close(struct read_index *ri, enum status rc);

/* Adds a read that needs a round; `r` is the caller's. RC_OVERLOADED: too many leases are
 * touched. */
enum status read_index_add(struct read_index *ri, struct node_read *r) MUST_USE;
/* Adds a read whose index is known. */
void read_index_add_ready(struct read_index *ri, struct node_read *r, uint64_t index);
void read_index_cancel(struct node_read *r);
/* A lease to be renewed, without a read that asks for it. False: there are too many. */
bool read_index_touch(struct read_index *ri, uint64_t lease);
/* Renews what waits, on the leader, at once: a later round does it again. */
void read_index_renew_waiting(struct read_index *ri);

/* This node leads and wants to be confirmed: the number of the round that begins next. Later ones
 * count as well: see confirmed_round. */
uint64_t read_index_want_round(struct read_index *ri);
void read_index_unwant_round(struct read_index *ri);

/* The state is applied up to here. */
void read_index_note_applied(struct read_index *ri, uint64_t applied);
/* Something was proved of what is applied. Once it is so, it stays so. */
bool read_index_is_proved(const struct read_index *ri);
/* Bound on the age of what is applied; UINT64_MAX = nothing was proved. */
uint64_t read_index_age_ms(const struct read_index *ri, uint64_t now_ms);

void read_index_on_probe_result(struct read_index *ri, uint64_t from,
                                const struct message_term_probe *m);
void read_index_on_question(struct read_index *ri, uint64_t from,
                            const struct message_read_index *m);
void read_index_on_answer(struct read_index *ri, uint64_t from,
                          const struct message_read_index *m);

/* The leader, the term or the members changed: what was in a round waits for a new one. */
void read_index_leader_changed(struct read_index *ri);

/* Begins a round if there is something for it and none runs: also the first, which nobody asks for,
 * so that a member knows when it has caught up. Once per turn. */
void read_index_turn(struct read_index *ri, uint64_t now_ms);
/* Next read that may be served at `applied`, or NULL; detached. Call until NULL, if need be in
 * several turns. */
struct node_read *read_index_next(struct read_index *ri, uint64_t applied);
/* Next read past its deadline, or NULL; detached. */
struct node_read *read_index_expired(struct read_index *ri, uint64_t now_ms);
bool read_index_is_idle(const struct read_index *ri); /* no read is open */
uint64_t read_index_next_deadline_ms(const struct read_index *ri);

#endif
