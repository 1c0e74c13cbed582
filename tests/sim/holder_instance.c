/* Instances of one service: registered under the session or lease, in the place of what an earlier
 * one left there, drained and looked for. What goes with a session, and when, is judged as for all
 * ephemeral nodes (oracle.c); here it is what Register and Discover say. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "coord/v1/discovery.pb-c.h"
#include "tests/sim/holder_internal.h"

#define SERVICE   "sim"
#define ROOT      "/services/" SERVICE "/"
#define INSTANCES 2 /* of each holder */

/* Generated structs hold strings without const, although they only read them. */
static char *text(const char *borrowed)
{
    char *out;
    memcpy(&out, &borrowed, sizeof out);
    return out;
}

static void name_one(struct holder *h)
{
    (void)snprintf(h->path, sizeof h->path, ROOT "h%u-%u", h->number,
                   (unsigned)world_random(holder_world(h), 0, INSTANCES - 1));
}

static void begin_register(struct holder *h)
{
    const struct tenancy *t = holder_tenancy(h);
    struct holder_words w;
    Coord__V1__ServiceInstance instance;
    Coord__V1__DiscoveryRegisterRequest m;
    holder_take_number(h);
    holder_words_fill(h, &w, h->sequence);
    coord__v1__service_instance__init(&instance);
    coord__v1__discovery_register_request__init(&m);
    name_one(h);
    instance.service = text(SERVICE);
    instance.id = h->path + strlen(ROOT);
    instance.address = text("10.0.0.7");
    instance.port = 1 + (uint32_t)world_random(holder_world(h), 0, 60000);
    m.header = &w.header;
    m.instance = &instance;
    m.lease = t->is_lease || world_chance(holder_world(h), 500) ? t->id : 0;
    holder_pack(h, "/coord.v1.Discovery/Register", &m.base);
    h->job = JOB_REGISTER;
}

static void begin_drain(struct holder *h)
{
    struct holder_words w;
    Coord__V1__DiscoveryDrainRequest m;
    holder_take_number(h);
    holder_words_fill(h, &w, h->sequence);
    coord__v1__discovery_drain_request__init(&m);
    name_one(h);
    m.header = &w.header;
    m.service = text(SERVICE);
    m.id = h->path + strlen(ROOT);
    m.undo = world_chance(holder_world(h), 400);
    holder_pack(h, "/coord.v1.Discovery/Drain", &m.base);
    h->job = JOB_DRAIN;
}

static void begin_discover(struct holder *h)
{
    Coord__V1__DiscoveryDiscoverRequest m;
    coord__v1__discovery_discover_request__init(&m);
    h->sequence = 0;
    (void)snprintf(h->path, sizeof h->path, ROOT);
    m.service = text(SERVICE);
    m.all = true;
    holder_pack(h, "/coord.v1.Discovery/Discover", &m.base);
    h->job = JOB_DISCOVER;
}

void holder_begin_instance(struct holder *h)
{
    uint64_t what = world_random(holder_world(h), 0, 9);
    if (what < 5) {
        begin_register(h);
    } else if (what < 7) {
        begin_drain(h);
    } else {
        begin_discover(h);
    }
}

/* ---- what came of it --------------------------------------------------------------------- */

static void check_registered(struct holder *h, const Coord__V1__DiscoveryRegisterReply *m)
{
    bool is_it = strcmp(m->path, h->path) == 0 && m->revision > 0 &&
                 oracle_was_created(h->all->oracle, h->path, h->job_tenancy);
    if (!is_it) {
        world_fail(holder_world(h),
                   "%s was registered as %s for lease %" PRIx64 ", but nobody created it", h->path,
                   m->path, h->job_tenancy);
    }
    h->all->registered++;
}

static bool is_instance(const struct oracle_node *n)
{
    return n->path.size > strlen(ROOT) && memcmp(n->path.data, ROOT, strlen(ROOT)) == 0;
}

/* Both are in the order of paths. */
static void check_discovered(struct holder *h, const Coord__V1__DiscoveryDiscoverReply *m)
{
    size_t count = 0;
    size_t seen = 0;
    struct oracle_node *tree = oracle_tree_at(h->all->oracle, m->header->revision, &count);
    bool is_right = m->next[0] == '\0';
    for (size_t i = 0; i < count && is_right; i++) {
        if (is_instance(&tree[i])) {
            const Coord__V1__ServiceInstance *in =
                seen < m->n_instances ? m->instances[seen] : NULL;
            is_right = in != NULL && slice_is(tree[i].path, in->path) &&
                       in->lease == tree[i].lease &&
                       in->modify_revision == tree[i].modify_revision;
            seen++;
        }
    }
    if (!is_right || seen != m->n_instances) {
        world_fail(holder_world(h),
                   "the instances at revision %" PRIu64 " are told as they never were",
                   m->header->revision);
    }
    h->all->discovered += seen;
    mem_free(tree);
}

bool holder_instance_is_refused(struct holder *h, enum outcome outcome)
{
    bool is_late = outcome == OUTCOME_REQUEST_EXPIRED || outcome == OUTCOME_REQUEST_FUTURE;
    switch (h->job) {
    case JOB_REGISTER: return is_late && h->sequence == 0;
    case JOB_DRAIN: return outcome == OUTCOME_NO_NODE || (is_late && h->sequence == 0);
    default: return outcome == OUTCOME_NO_NODE; /* no instance was there yet */
    }
}

void holder_instance_told(struct holder *h, struct remote_call *call)
{
    if (h->job == JOB_REGISTER) {
        Coord__V1__DiscoveryRegisterReply *m =
            remote_call_reply(call, &coord__v1__discovery_register_reply__descriptor);
        check_registered(h, m);
        coord__v1__discovery_register_reply__free_unpacked(m, NULL);
        return;
    }
    Coord__V1__DiscoveryDiscoverReply *m =
        remote_call_reply(call, &coord__v1__discovery_discover_reply__descriptor);
    check_discovered(h, m);
    coord__v1__discovery_discover_reply__free_unpacked(m, NULL);
}
