#include "tests/sim/holder.h"

#include "base/mem.h"
#include "tests/sim/holder_internal.h"

#define TICK_US        (40 * MS) /* between looks at what to do */
#define SILENCE_FACTOR 2         /* times the TTL */

static void holder_tick(void *context);

/* ---- numbered writes --------------------------------------------------------------------- */

static uint64_t answered_to(const struct holder *h)
{
    uint64_t least = h->next_sequence;
    for (uint32_t i = 0; i < h->open_count; i++) {
        least = h->open_sequences[i] < least ? h->open_sequences[i] : least;
    }
    return least - 1;
}

bool holder_sequence_take(struct holder *h, uint64_t *session, uint64_t *sequence,
                          uint64_t *answered)
{
    if (h->state != HOLDER_OPEN || holder_tenancy(h)->is_lease ||
        h->open_count == HOLDER_PENDING_MAX) {
        return false;
    }
    *session = holder_tenancy(h)->id;
    *answered = answered_to(h);
    *sequence = h->next_sequence;
    h->next_sequence += world_chance(holder_world(h), 50) ? 2 : 1; /* gaps are fine */
    h->open_sequences[h->open_count++] = *sequence;
    return true;
}

uint64_t holder_session(const struct holder *h)
{
    if (h->state != HOLDER_OPEN) {
        return 0;
    }
    const struct tenancy *t = &h->all->tenancies[h->tenancy];
    return t->is_lease ? 0 : t->id;
}

void holder_sequence_done(struct holder *h, uint64_t session, uint64_t sequence)
{
    for (uint32_t i = 0; i < h->open_count; i++) {
        if (h->state != HOLDER_NONE && h->open_sequences[i] == sequence &&
            holder_tenancy(h)->id == session) {
            h->open_sequences[i] = h->open_sequences[--h->open_count];
            return;
        }
    }
}

/* ---- what to do next --------------------------------------------------------------------- */

void holder_tick_in(struct holder *h, uint64_t us)
{
    world_at(holder_world(h), &h->tick, us, holder_tick, h);
}

static void expiry_cb(void *context)
{
    struct holder *h = context;
    struct cluster *c = h->all->cluster;
    int leader = cluster_leader(c);
    if (h->state == HOLDER_SILENT && leader >= 0 && c->moment != NULL) {
        c->moment(c->context, MOMENT_EXPIRY, (uint32_t)leader);
    }
}

static void fall_silent(struct holder *h, uint64_t us)
{
    uint64_t ttl_us = holder_tenancy(h)->ttl_ms * MS;
    /* By the leader's clock, and with what still touches it. */
    world_at(holder_world(h), &h->expiry,
             world_random(holder_world(h), ttl_us * 9 / 10, ttl_us * 13 / 10), expiry_cb, h);
    h->state = HOLDER_SILENT;
    h->silent_until_us = station_now_us(h->stations[0]) + us;
    remote_call_give_up(&h->stream);
}

/* Now and then something else than keepalives. */
static void act_at_random(struct holder *h)
{
    struct tenancy *t = holder_tenancy(h);
    uint64_t dice = world_random(holder_world(h), 0, 999);
    if (remote_call_is_open(&h->main)) {
        return;
    }
    if (h->wants_resume && !t->is_lease) {
        holder_resume_begin(h, ACT_RESUME);
    } else if (dice < 15) {
        holder_close_begin(h);
    } else if (dice < 35) {
        fall_silent(h,
                    t->ttl_ms * MS * world_random(holder_world(h), 1, SILENCE_FACTOR * 2) / 2);
    } else if (dice < 60 && !t->is_lease) {
        holder_resume_begin(h, ACT_WRONG_SECRET);
    } else if (dice < 80 && !t->is_lease) {
        holder_resume_begin(h, ACT_RESUME);
    }
}

static void open_tick(struct holder *h)
{
    if (h->all->is_ending) {
        fall_silent(h, 3600 * SECOND);
        return;
    }
    holder_keep_alive(h);
    act_at_random(h);
    if (h->state == HOLDER_OPEN && world_chance(holder_world(h), 400)) {
        holder_work(h);
    }
}

static void silent_tick(struct holder *h)
{
    if (h->all->is_ending || station_now_us(h->stations[0]) < h->silent_until_us ||
        remote_call_is_open(&h->main)) {
        return;
    }
    if (holder_tenancy(h)->is_lease) {
        h->state = HOLDER_OPEN; /* the next keepalive tells */
    } else {
        holder_resume_begin(h, ACT_RESUME);
    }
}

static void holder_tick(void *context)
{
    struct holder *h = context;
    struct world *w = holder_world(h);
    if (h->all->is_told) {
        return;
    }
    uint64_t pause = sim_host_pause_left(&h->stations[0]->host);
    if (pause > 0) {
        holder_tick_in(h, pause);
        return;
    }
    switch (h->state) {
    case HOLDER_NONE:
        if (!h->all->is_ending && !remote_call_is_open(&h->main)) {
            holder_open_begin(h);
        }
        break;
    case HOLDER_OPEN: open_tick(h); break;
    case HOLDER_SILENT: silent_tick(h); break;
    case HOLDER_CLOSING:
        if (!remote_call_is_open(&h->main)) {
            holder_close_begin(h);
        }
        break;
    default: break;
    }
    uint64_t us = h->state == HOLDER_OPEN ? holder_tenancy(h)->ttl_ms * MS / 6 : TICK_US;
    holder_tick_in(h, world_random(w, us / 2, us));
}

/* ---- all of them ------------------------------------------------------------------------- */

void holders_init(struct holders *h, struct cluster *c, struct oracle *o)
{
    *h = (struct holders){.cluster = c, .oracle = o};
    oracle_listen(o, holders_lease_gone, h);
}

struct holder *holders_add(struct holders *all, struct station *here, struct station *other)
{
    struct holder *h = &all->items[all->count];
    *h = (struct holder){.all = all, .number = all->count++, .stations = {here, other}};
    h->makes_leases = true;
    h->main = (struct remote_call){.owner = h, .ended = holder_main_ended};
    h->work = (struct remote_call){.owner = h, .ended = holder_worked};
    h->stream = (struct remote_call){
        .owner = h, .ended = holder_stream_ended, .message = holder_stream_message};
    return h;
}

void holders_start(struct holders *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        holder_tick_in(&all->items[i], world_random(&all->cluster->world, 1, TICK_US));
    }
}

void holders_end(struct holders *all)
{
    all->is_ending = true;
}

bool holders_are_idle(const struct holders *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        const struct holder *h = &all->items[i];
        if ((h->state != HOLDER_NONE && h->state != HOLDER_SILENT) ||
            remote_call_is_open(&h->main) || remote_call_is_open(&h->stream) ||
            remote_call_is_open(&h->work)) {
            return false;
        }
    }
    return true;
}

void holders_close(struct holders *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        struct holder *h = &all->items[i];
        world_cancel(&all->cluster->world, &h->tick);
        world_cancel(&all->cluster->world, &h->expiry);
        remote_call_release(&h->main);
        remote_call_release(&h->work);
        remote_call_release(&h->stream);
        buf_close(&h->request);
    }
    mem_free(all->tenancies);
}
