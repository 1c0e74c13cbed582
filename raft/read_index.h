/* Linearizable reads without writing (Raft dissertation 6.4, ReadIndex).
 *
 *   WAITING --(a round begins)--> IN_ROUND --(majority confirmed)--> READY(index)
 *   READY --(applied >= index)--> served;     IN_ROUND --(leader or term changed)--> WAITING
 *
 * A round on the leader: note the commit index, ask every voter for its term; when a majority,
 * the leader included, has answered "not above yours", no later leader can have committed
 * anything before the round began. One round serves all that waited when it began; the next
 * begins when it ends. On a follower a round is one question to the leader, which joins the
 * leader's next round.
 *
 * The leader must have committed an entry of its own term first (rule NOOP), else its commit
 * index may lie behind. Leases by the clock are not used: libraft's contact times do not make
 * them safe.
 */
#ifndef RAFT_READ_INDEX_H
#define RAFT_READ_INDEX_H

#include "raft/engine.h"
#include "raft/node.h"

/* What a round needs from the node. */
struct read_index_ops {
    void (*send)(void *context, uint64_t to, const struct message *m);
    uint64_t (*now_ms)(void *context);
};

struct read_index_question {
    uint64_t from;
    uint64_t round;
};

#define READ_INDEX_QUESTIONS_MAX 64 /* one per member at a time */

struct read_index {
    const struct read_index_ops *ops;
    void *context;
    struct engine *engine;
    uint64_t self;
    uint32_t retry_ms;

    struct list waiting;  /* node_read, need a round that begins from now on */
    struct list in_round; /* wait for the round that runs */
    struct list ready;    /* have their index, wait until it is applied */
    struct list serving;  /* applied: handed out by read_index_next until none is left */

    /* Followers' questions, by the same two stages. */
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
    uint64_t asked_ms;  /* last time that its questions went out */
    uint32_t confirmed; /* bit per member of the configuration */

    /* The freshest index that was proved, and the time its round began (bounded reads). */
    uint64_t fresh_index;
    uint64_t fresh_ms;
    uint64_t deadline_ms; /* not later than the earliest of any read */
};

/* `first_round` is random: the leader may still answer, in the same term, what a former process
 * of this member asked, and that answer is too old for ours. */
void read_index_init(struct read_index *ri, const struct read_index_ops *ops, void *context,
                     uint64_t self, uint32_t retry_ms, uint64_t first_round);
/* Every open read completes with `rc`. */
void read_index_close(struct read_index *ri, enum status rc);

/* Adds a read that needs a round; `r` is the caller's. */
void read_index_add(struct read_index *ri, struct node_read *r);
/* Adds a read whose index is known. */
void read_index_add_ready(struct read_index *ri, struct node_read *r, uint64_t index);
void read_index_cancel(struct node_read *r);

void read_index_on_probe_result(struct read_index *ri, uint64_t from,
                                const struct message_term_probe *m);
void read_index_on_question(struct read_index *ri, uint64_t from,
                            const struct message_read_index *m);
void read_index_on_answer(struct read_index *ri, uint64_t from,
                          const struct message_read_index *m);

/* The leader, the term or the members changed: what was in a round waits for a new one. */
void read_index_leader_changed(struct read_index *ri);

/* Begins a round if somebody waits and none runs. Once per turn. */
void read_index_turn(struct read_index *ri, uint64_t now_ms);
/* Next read that may be served at `applied`, or NULL; detached. Call until NULL. */
struct node_read *read_index_next(struct read_index *ri, uint64_t applied);
/* Next read past its deadline, or NULL; detached. */
struct node_read *read_index_expired(struct read_index *ri, uint64_t now_ms);
bool read_index_is_idle(const struct read_index *ri); /* no read is open */
uint64_t read_index_next_deadline_ms(const struct read_index *ri);

#endif
