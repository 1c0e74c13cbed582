/* Pickers: client/pick.h over what a subscription knows. */
#include <stdlib.h>
#include <string.h>

#include "client/client_internal.h"
#include "client/discovery.h"
#include "client/pick.h"
#include "client/socket.h"
#include "client/subscription.h"

_Static_assert((int)COORD_PICK_ROUND_ROBIN == (int)PICK_ROUND_ROBIN &&
                   (int)COORD_PICK_LEAST_LOADED == (int)PICK_LEAST_LOADED &&
                   (int)COORD_PICK_RESPONSE_TIME == (int)PICK_RESPONSE_TIME &&
                   (int)COORD_PICK_HASH == (int)PICK_HASH,
               "the same numbers");

struct coord_picker {
    struct coord_subscription *subscription;
    struct pick pick;
    uint64_t changes;        /* of the subscription, that `pick` knows of */
    uint64_t reports;        /* the same */
    struct pick_member *members;
    size_t capacity;
};

enum coord_code coord_picker_open(struct coord_subscription *subscription,
                                  enum coord_pick_policy policy, struct coord_picker **picker,
                                  struct coord_error *error)
{
    if (policy < COORD_PICK_ROUND_ROBIN || policy > COORD_PICK_HASH) {
        return client_fail(error, COORD_INVALID, "policy %d is none", (int)policy);
    }
    struct coord_picker *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for a picker");
    }
    p->subscription = subscription;
    p->pick.policy = (enum pick_policy)policy;
    *picker = p;
    return client_fail(error, COORD_OK, "%s", "");
}

void coord_picker_close(struct coord_picker *p)
{
    if (p != NULL) {
        pick_close(&p->pick);
        free(p->members);
        free(p);
    }
}

/* Who gets work: those that are well, or if there are none those that may be, or else anybody. */
static int tier_of(const struct coord_instance *in)
{
    return in->draining || in->weight == 0 || in->health == COORD_HEALTH_DOWN ? 2
           : in->health == COORD_HEALTH_SUSPECTED_DOWN                         ? 1
                                                                               : 0;
}

static size_t gather(struct coord_picker *p, int tier)
{
    size_t count = 0;
    for (size_t i = 0; i < coord_subscription_count(p->subscription); i++) {
        const struct coord_instance *in = coord_subscription_instance(p->subscription, i);
        if (tier_of(in) == tier) {
            p->members[count++] = (struct pick_member){
                .id = in->id, .weight = in->weight > 0 ? in->weight : 1};
        }
    }
    return count;
}

static void take_loads(struct coord_picker *p)
{
    bool is_used =
        p->pick.policy == PICK_LEAST_LOADED || p->pick.policy == PICK_RESPONSE_TIME;
    size_t count = is_used ? coord_subscription_count(p->subscription) : 0;
    for (size_t i = 0; i < count; i++) {
        const struct coord_instance *in = coord_subscription_instance(p->subscription, i);
        uint64_t heard_ms = subscription_heard_ms(p->subscription, i);
        uint64_t age_ms = in->vitals.load_age_ms;
        if (in->vitals.has_load) {
            pick_report(&p->pick, in->id,
                        &(struct pick_load){.cpu = in->vitals.load.cpu,
                                            .latency_ms = in->vitals.load.avg_latency_ms,
                                            .queue_length = in->vitals.load.queue_length,
                                            .at_ms = heard_ms > age_ms ? heard_ms - age_ms : 0});
        }
    }
    p->reports = subscription_reports(p->subscription);
}

/* Without memory it goes on with those that it knows. */
static void refresh(struct coord_picker *p)
{
    (void)coord_subscription_update(p->subscription);
    uint64_t changes = subscription_changes(p->subscription);
    if (changes == p->changes) {
        if (subscription_reports(p->subscription) != p->reports) {
            take_loads(p);
        }
        return;
    }
    size_t count = coord_subscription_count(p->subscription);
    if (count > p->capacity) {
        struct pick_member *members = realloc(p->members, count * sizeof *members);
        if (members == NULL) {
            return;
        }
        p->members = members;
        p->capacity = count;
    }
    size_t wanted = 0;
    for (int tier = 0; tier <= 2 && wanted == 0; tier++) {
        wanted = gather(p, tier);
    }
    if (pick_set(&p->pick, p->members, wanted)) {
        p->changes = changes;
        take_loads(p);
    }
}

const struct coord_instance *coord_picker_pick(struct coord_picker *p, const void *key,
                                               size_t key_bytes)
{
    refresh(p);
    size_t at = pick_next(&p->pick, key, key_bytes, socket_now_ms());
    return at == PICK_NONE ? NULL
                           : subscription_find(p->subscription, p->pick.candidates[at].id);
}

void coord_picker_done(struct coord_picker *p, const char *id, uint64_t latency_ms, bool failed)
{
    pick_done(&p->pick, id, latency_ms, failed, socket_now_ms());
}
