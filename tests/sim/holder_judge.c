/* What a session's life must be like: its end, and what its owner is told. */
#include <inttypes.h>

#include "tests/sim/holder_internal.h"

#define TRUST_PER_MILLE 800

uint64_t holder_trust_us(uint64_t ttl_ms)
{
    return ttl_ms * TRUST_PER_MILLE * MS / 1000;
}

struct proof proof_now(const struct cluster *c, const struct station *s)
{
    struct proof p = {
        .at_us = c->world.now_us, .station = s, .trusted_until_us = station_now_us(s)};
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        p.ages_us[i] = sim_host_age_us(&c->nodes[i].host);
    }
    return p;
}

struct proof holder_proof_now(const struct holder *h, uint64_t ttl_ms)
{
    struct proof p = proof_now(h->all->cluster, h->stations[0]);
    p.trusted_until_us += holder_trust_us(ttl_ms);
    return p;
}

struct tenancy *holders_find(struct holders *h, uint64_t id)
{
    for (size_t i = h->tenancy_count; i > 0; i--) {
        if (h->tenancies[i - 1].id == id) {
            return &h->tenancies[i - 1];
        }
    }
    return NULL;
}

bool proof_ttl_has_passed(const struct cluster *c, const struct proof *p, uint64_t ttl_ms)
{
    for (size_t i = 0; i < c->reign_count; i++) {
        const struct reign *r = &c->reigns[i];
        uint64_t proved = p->ages_us[r->node];
        uint64_t since = r->won_us > proved ? r->won_us : proved;
        uint64_t end =
            r->lost_us != UINT64_MAX ? r->lost_us : sim_host_age_us(&c->nodes[r->node].host);
        if (end + MS >= since + ttl_ms * MS) {
            return true;
        }
    }
    return false;
}

void holders_lease_gone(void *context, const struct oracle_lease *lease)
{
    struct holders *h = context;
    const struct cluster *c = h->cluster;
    struct world *w = &h->cluster->world;
    const struct tenancy *t = holders_find(h, lease->id);
    if (t == NULL) {
        return; /* whose opening nobody was told of */
    }
    bool is_expiry =
        lease->end_revision != 0 ? lease->end_reason == REASON_EXPIRED : !t->is_close_sent;
    uint8_t closed = t->is_lease ? REASON_REVOKED : REASON_CLOSED;
    if (lease->end_revision != 0 && !is_expiry &&
        (lease->end_reason != closed || !t->is_close_sent)) {
        world_fail(w, "lease %" PRIx64 " ended for reason %u, which nobody gave", t->id,
                   lease->end_reason);
    }
    if (!is_expiry) {
        return;
    }
    if (!proof_ttl_has_passed(c, &t->proof, t->ttl_ms)) {
        world_fail(w,
                   "lease %" PRIx64 " expired early: its TTL is %" PRIu64
                   " ms, its last confirmed keepalive was sent %" PRIu64 " us ago",
                   t->id, t->ttl_ms, w->now_us - t->proof.at_us);
    }
    if (c->jumped_us < t->proof.at_us &&
        station_now_us(t->proof.station) < t->proof.trusted_until_us) {
        world_fail(w,
                   "lease %" PRIx64 " of %" PRIu64
                   " ms expired while its client trusted it: %" PRIu64
                   " us after sending a confirmed keepalive",
                   t->id, t->ttl_ms, w->now_us - t->proof.at_us);
    }
}

void holders_told_gone(struct holders *h, uint64_t session)
{
    struct tenancy *t = holders_find(h, session);
    const struct oracle_lease *l = oracle_lease(h->oracle, session);
    if (t != NULL && t->gone_us == 0) {
        t->gone_us = h->cluster->world.now_us;
    }
    if (l != NULL && l->gone_index == 0) {
        world_fail(&h->cluster->world,
                   "a client is told that lease %" PRIx64 " does not exist, but it does",
                   session);
    }
}

/* A reply to what was asked at `asked_us` shows the lease alive. */
static void told_alive(struct holder *h, const struct tenancy *t, uint64_t asked_us)
{
    if (t->gone_us != 0 && asked_us > t->gone_us) {
        world_fail(holder_world(h), "lease %" PRIx64 " is alive for a client that knew it gone",
                   t->id);
    }
}

void holder_confirmed(struct holder *h, struct tenancy *t, const struct proof *sent,
                      uint64_t ttl_ms)
{
    told_alive(h, t, sent->at_us);
    t->ttl_ms = ttl_ms;
    if (sent->at_us > t->proof.at_us) {
        t->proof = *sent;
    }
}
