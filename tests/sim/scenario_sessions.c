/* Stories about sessions, nodes that go by themselves, and watchers: moments at which two
 * things happen at once. Disks are slowed down so that an entry is in the log, but not yet
 * committed. */
#include <inttypes.h>

#include "coord/v1/tree.pb-c.h"
#include "tests/sim/holder_internal.h"
#include "tests/sim/scenario.h"

#define SLOW_US (300 * MS)

static void slow_disks(struct story *s, uint64_t us)
{
    for (uint32_t i = 0; i < s->cluster.options.nodes; i++) {
        s->cluster.nodes[i].host.disk.slow_us = us;
    }
}

/* ---- one call ---------------------------------------------------------------------------- */

struct asked {
    struct remote_call call;
    bool is_ok;
};

static void asked_ended(struct remote_call *call, const struct remote_answer *a)
{
    ((struct asked *)call->owner)->is_ok = a->end == REMOTE_ANSWERED && a->code == GRPC_OK;
}

static bool asked_is_done(struct cluster *c, void *context)
{
    (void)c;
    return !remote_call_is_open(&((struct asked *)context)->call);
}

/* One call to a node; waits for its end. */
static bool story_ask(struct story *s, uint32_t node, const char *path,
                      const ProtobufCMessage *message)
{
    struct asked a = {.call = {.ended = asked_ended}};
    struct station *from = &s->workload.stations[0];
    a.call.owner = &a;
    bool ok = remote_call(&from->remotes[node], &a.call, path, message, false, 3 * SECOND) &&
              cluster_run_until(&s->cluster, 4 * SECOND, asked_is_done, &a) && a.is_ok;
    remote_call_release(&a.call);
    return story_expect(s, ok, "a call does not succeed");
}

/* ---- sessions ---------------------------------------------------------------------------- */

static bool holder_is_open(struct cluster *c, void *context)
{
    (void)c;
    return ((struct holder *)context)->state == HOLDER_OPEN;
}

static bool main_is_done(struct cluster *c, void *context)
{
    (void)c;
    return !remote_call_is_open(&((struct holder *)context)->main);
}

/* A session that does what the story says and nothing else; NULL after failing the story. */
static struct holder *story_session(struct story *s)
{
    if (story_begin(s) < 0) {
        return NULL;
    }
    s->holders.is_told = true;
    struct holder *h = holders_add(&s->holders, &s->workload.stations[0],
                                   &s->workload.stations[1 % s->workload.station_count]);
    h->makes_leases = false;
    holder_open_begin(h);
    bool ok = cluster_run_until(&s->cluster, 2 * SECOND, holder_is_open, h);
    return story_expect(s, ok, "no session is opened") ? h : NULL;
}

/* The leader gives the session up while its resume is in the log, but not applied: the
 * expiry that it proposes then names a generation that is past when its turn comes. */
void scenario_resume_first(struct story *s)
{
    struct cluster *c = &s->cluster;
    struct holder *h = story_session(s);
    if (h == NULL) {
        return;
    }
    uint64_t id = holder_tenancy(h)->id;
    cluster_run(c, holder_tenancy(h)->ttl_ms * MS - SLOW_US / 2);
    slow_disks(s, SLOW_US);
    holder_resume_begin(h, ACT_RESUME);
    (void)story_expect(s, cluster_run_until(c, 2 * SECOND, main_is_done, h), "no resume ends");
    (void)story_expect(s, s->holders.resumed == 1, "the resume is not acknowledged");
    cluster_run(c, SLOW_US + SLOW_US / 2);
    const struct oracle_lease *l = oracle_lease(&s->oracle, id);
    (void)story_expect(s, l != NULL && l->gone_index == 0,
                       "an expiry of before has ended a session that was resumed");
    slow_disks(s, 0);
    story_end(s);
}

/* A keepalive reaches a leader that has proposed the session's end. It cannot take that
 * back, so it must not say that it has renewed anything. */
void scenario_keepalive_late(struct story *s)
{
    struct cluster *c = &s->cluster;
    struct holder *h = story_session(s);
    if (h == NULL) {
        return;
    }
    uint64_t id = holder_tenancy(h)->id;
    cluster_run(c, holder_tenancy(h)->ttl_ms * MS - 20 * MS);
    slow_disks(s, SLOW_US);
    cluster_run(c, 60 * MS);
    (void)story_expect(s, oracle_lease(&s->oracle, id)->gone_index == 0,
                       "the story does not get to its point");
    holder_keep_alive(h);
    cluster_run(c, 3 * SLOW_US);
    (void)story_expect(s, oracle_lease(&s->oracle, id)->gone_index != 0,
                       "what was proposed has not come");
    (void)story_expect(s, s->holders.kept_alive == 0 && h->state == HOLDER_NONE,
                       "a keepalive was confirmed that came too late");
    slow_disks(s, 0);
    story_end(s);
}

/* A leader is stopped for longer than the TTL, while the others elect another one, which the
 * client keeps its session alive with. When the old leader wakes all its deadlines are long
 * past. */
void scenario_stopped_leader(struct story *s)
{
    struct cluster *c = &s->cluster;
    struct holder *h = story_session(s);
    if (h == NULL) {
        return;
    }
    uint64_t id = holder_tenancy(h)->id;
    uint32_t old = (uint32_t)cluster_leader(c);
    uint64_t term = c->nodes[old].term;
    cluster_pause(c, old, 4 * SECOND);
    if (story_wait_leader(s, old, term, 3 * SECOND) < 0) {
        return;
    }
    for (int i = 0; i < 100 && !c->world.failed; i++) {
        holder_keep_alive(h);
        /* At the stopped one, where chance may send it twice, it would wait for half the TTL. */
        if (h->stream.remote != NULL && h->stream.remote->node == old) {
            remote_call_give_up(&h->stream);
        }
        cluster_run(c, 60 * MS);
    }
    const struct oracle_lease *l = oracle_lease(&s->oracle, id);
    (void)story_expect(s, l != NULL && l->gone_index == 0 && s->holders.kept_alive > 20,
                       "a session that was kept alive is gone");
    story_end(s);
}

/* A client that only reads, through a follower, is as alive as any other. */
void scenario_reads_alone(struct story *s)
{
    struct cluster *c = &s->cluster;
    char path[] = "/p/0";
    Coord__V1__GetRequest get;
    Coord__V1__RequestHeader header;
    Coord__V1__SessionRef session;
    struct holder *h = story_session(s);
    if (h == NULL) {
        return;
    }
    const struct tenancy *t = holder_tenancy(h);
    uint32_t follower = ((uint32_t)cluster_leader(c) + 1) % 3;
    coord__v1__get_request__init(&get);
    coord__v1__request_header__init(&header);
    coord__v1__session_ref__init(&session);
    session.id = t->id;
    header.session = &session;
    get.header = &header;
    get.path = path;
    for (int i = 0; i < 40 && !c->world.failed; i++) {
        header.consistency =
            i % 2 == 0 ? COORD__V1__CONSISTENCY__LOCAL : COORD__V1__CONSISTENCY__LINEARIZABLE;
        (void)story_ask(s, follower, "/coord.v1.Tree/Get", &get.base);
        cluster_run(c, t->ttl_ms * MS / 3);
    }
    (void)story_expect(s, oracle_lease(&s->oracle, t->id)->gone_index == 0,
                       "reads do not keep a session alive");
    story_end(s);
}

/* ---- reads with a bound ------------------------------------------------------------------ */

/* A node takes a bounded read while it is fresh enough, and is then not scheduled for long: what it
 * has when it goes on is too old. The reads of the workload hold the age against the bound. */
void scenario_bounded_read_waits(struct story *s)
{
    struct cluster *c = &s->cluster;
    int leader = story_begin(s);
    if (leader < 0) {
        return;
    }
    uint32_t node = ((uint32_t)leader + 1) % 3;
    for (int i = 0; i < 40 && !c->world.failed; i++) {
        (void)workload_read(&s->workload, node, KEY_PAIR, SECOND);
        (void)workload_submit(&s->workload, 0, node, DO_BOUNDED_GET, KEY_PAIR);
        cluster_run(c, 27); /* it has arrived, its turn has not come */
        cluster_pause(c, node, 700 * MS);
        cluster_run(c, SECOND);
        workload_give_up(&s->workload, 0);
    }
    story_end(s);
}

/* ---- nodes that go by themselves --------------------------------------------------------- */

/* A TTL node is due, and the leader proposes its removal; but in front of that in the log
 * somebody has written to it. */
void scenario_reap_looks_again(struct story *s)
{
    struct cluster *c = &s->cluster;
    char path[] = "/t/n";
    Coord__V1__CreateRequest create;
    Coord__V1__SetRequest set;
    int leader = story_begin(s);
    if (leader < 0) {
        return;
    }
    coord__v1__create_request__init(&create);
    create.path = path;
    create.kind = COORD__V1__KIND__TTL;
    create.ttl_ms = 1000;
    coord__v1__set_request__init(&set);
    set.path = path;
    if (!story_ask(s, (uint32_t)leader, "/coord.v1.Tree/Create", &create.base)) {
        return;
    }
    cluster_run(c, SECOND - SLOW_US / 2);
    slow_disks(s, SLOW_US);
    (void)story_ask(s, (uint32_t)leader, "/coord.v1.Tree/Set", &set.base);
    cluster_run(c, SLOW_US + SLOW_US / 2);
    slow_disks(s, 0);
    (void)story_expect(s, oracle_due_count(&s->oracle) == 1 && s->oracle.reaped == 0,
                       "a node was removed that had just been written");
    cluster_run(c, 3 * SECOND);
    (void)story_expect(s, s->oracle.reaped == 1, "a node whose time has passed stays");
    story_end(s);
}

/* ---- watchers ---------------------------------------------------------------------------- */

static bool watchers_have_all(struct cluster *c, void *context)
{
    (void)c;
    return watchers_are_current(&((struct story *)context)->watchers);
}

/* One watcher reads nothing while megabytes are written: no writer waits for it, another
 * watcher of the same has everything at once, and in the end so has it. */
void scenario_slow_watcher(struct story *s)
{
    struct cluster *c = &s->cluster;
    const struct watch_spec spec = {.path = "/k",
                                    .scope = COORD__V1__WATCH_CREATE__SCOPE__SUBTREE,
                                    .list = true,
                                    .with_previous = true};
    int leader = story_begin(s);
    if (leader < 0) {
        return;
    }
    struct watcher *slow = watchers_add(&s->watchers, &s->workload.stations[0]);
    struct watcher *quick = watchers_add(&s->watchers, &s->workload.stations[1]);
    slow->stream.hoards = true;
    watcher_set(slow, 0, &spec);
    watcher_set(quick, 0, &spec);
    watchers_end(&s->watchers);
    watchers_start(&s->watchers);
    (void)story_expect(s, cluster_run_until(c, 2 * SECOND, watchers_have_all, s),
                       "no watch begins");
    (void)story_write(s, (uint32_t)leader, DO_CREATE, 0, 1);
    s->workload.value_bytes = 100000;
    (void)story_write(s, (uint32_t)leader, DO_SET, 0, 40);
    s->workload.value_bytes = 0;
    cluster_run(c, 200 * MS);
    uint64_t last = s->oracle.revision;
    (void)story_expect(s, quick->watches[0].next == last + 1, "a watcher waits for another");
    (void)story_expect(s, slow->watches[0].next < last, "who does not read gets all the same");
    slow->stream.hoards = false;
    remote_call_read(&slow->stream);
    (void)story_expect(s, cluster_run_until(c, 5 * SECOND, watchers_have_all, s),
                       "a slow watcher does not catch up");
    story_end(s);
}
