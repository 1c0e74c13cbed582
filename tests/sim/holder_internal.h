/* What the files of tests/sim/holder*.c share.
 *
 *   holder.c        what to do next, and numbers of writes
 *   holder_calls.c  Open, Resume, Close, keepalives
 *   holder_work.c   writes in the name of the session or lease
 *   holder_instance.c  instances of a service that belong to it
 *   holder_judge.c  what must hold
 */
#ifndef TESTS_SIM_HOLDER_INTERNAL_H
#define TESTS_SIM_HOLDER_INTERNAL_H

#include "coord/v1/types.pb-c.h"
#include "tests/sim/holder.h"

static inline struct world *holder_world(const struct holder *h)
{
    return &h->all->cluster->world;
}

static inline struct tenancy *holder_tenancy(struct holder *h)
{
    return &h->all->tenancies[h->tenancy];
}

/* ---- holder.c ---- */

void holder_tick_in(struct holder *h, uint64_t us);

/* ---- holder_calls.c ---- */

void holder_open_begin(struct holder *h);
void holder_resume_begin(struct holder *h, enum holder_act act);
void holder_close_begin(struct holder *h);
/* Sends a keepalive, on a new stream if there is none. */
void holder_keep_alive(struct holder *h);
void holder_main_ended(struct remote_call *call, const struct remote_answer *a);
void holder_stream_message(struct remote_call *call, struct slice message);
void holder_stream_ended(struct remote_call *call, const struct remote_answer *a);
/* The owner has been told that its session does not exist. */
void holder_is_gone(struct holder *h);
/* Fails if the answer is none that a client should ever see. */
void holder_check_failure(struct holder *h, const struct remote_answer *a);

/* ---- holder_work.c ---- */

/* Begins a write, or goes on with the one that has no answer yet. */
void holder_work(struct holder *h);
void holder_worked(struct remote_call *call, const struct remote_answer *a);

/* What the header of a request points to. */
struct holder_words {
    Coord__V1__RequestHeader header;
    Coord__V1__SessionRef session;
    Coord__V1__RequestId id;
};
/* In the name of the session, with a number; of a lease, with a request id. */
void holder_words_fill(struct holder *h, struct holder_words *w, uint64_t sequence);
/* The request of the next job, sent until it is answered. */
void holder_pack(struct holder *h, const char *path, const ProtobufCMessage *message);
void holder_take_number(struct holder *h);

/* ---- holder_instance.c ---- */

/* Registers, drains or looks. */
void holder_begin_instance(struct holder *h);
/* Whether this may be the answer; what it says is judged. */
bool holder_instance_is_refused(struct holder *h, enum outcome outcome);
void holder_instance_told(struct holder *h, struct remote_call *call);

/* ---- holder_judge.c ---- */

/* For so long a client trusts a keepalive that was confirmed, from sending it. */
uint64_t holder_trust_us(uint64_t ttl_ms);
struct proof holder_proof_now(const struct holder *h, uint64_t ttl_ms);
/* `trusted_until_us` is now: what was promised is to be added. */
struct proof proof_now(const struct cluster *c, const struct station *s);
/* Whether in some time of leadership the TTL has passed, by the leader's clock, since it began and
 * since that. What the leader of then proposed may be applied much later. */
bool proof_ttl_has_passed(const struct cluster *c, const struct proof *p, uint64_t ttl_ms);
struct tenancy *holders_find(struct holders *h, uint64_t id);
/* What was sent then has been confirmed. */
void holder_confirmed(struct holder *h, struct tenancy *t, const struct proof *sent,
                      uint64_t ttl_ms);
/* For the oracle. */
void holders_lease_gone(void *context, const struct oracle_lease *lease);

#endif
