#include "tests/sim/holder_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "coord/v1/tree.pb-c.h"

#define WORK_LIMIT_US (600 * MS)
#define ORPHANS       3
#define PAST_MAX      200 /* revisions */
#define PAST_KEYS     6

/* ---- requests ---------------------------------------------------------------------------- */

void holder_words_fill(struct holder *h, struct holder_words *w, uint64_t sequence)
{
    coord__v1__request_header__init(&w->header);
    coord__v1__session_ref__init(&w->session);
    coord__v1__request_id__init(&w->id);
    if (!holder_tenancy(h)->is_lease) {
        w->session.id = holder_tenancy(h)->id;
        w->session.sequence = sequence;
        w->session.answered_to = h->job_answered_to;
        w->header.session = &w->session;
    } else if (station_cluster_ms(h->stations[0]) > 0) {
        w->id.issued_ms = station_cluster_ms(h->stations[0]);
        w->id.high = rng_next(&holder_world(h)->rng);
        w->id.low = rng_next(&holder_world(h)->rng);
        w->header.request_id = &w->id;
    }
}

void holder_pack(struct holder *h, const char *path, const ProtobufCMessage *message)
{
    h->work_path = path;
    buf_clear(&h->request);
    size_t bytes = protobuf_c_message_get_packed_size(message);
    (void)protobuf_c_message_pack(message, buf_extend(&h->request, bytes));
}

static void pack_create(struct holder *h, struct holder_words *w, Coord__V1__Kind kind,
                        uint64_t ttl_ms)
{
    const struct tenancy *t = holder_tenancy(h);
    Coord__V1__CreateRequest m;
    coord__v1__create_request__init(&m);
    m.header = &w->header;
    m.path = h->path;
    m.kind = kind;
    m.ttl_ms = ttl_ms;
    m.sequential = h->path[strlen(h->path) - 1] == '-';
    if (kind == COORD__V1__KIND__EPHEMERAL) {
        /* Named, or left to be that of the header. */
        m.lease = t->is_lease || world_chance(holder_world(h), 500) ? t->id : 0;
    }
    holder_pack(h, "/coord.v1.Tree/Create", &m.base);
}

static void pack_delete(struct holder *h, struct holder_words *w)
{
    Coord__V1__DeleteRequest m;
    coord__v1__delete_request__init(&m);
    m.header = &w->header;
    m.path = h->path;
    holder_pack(h, "/coord.v1.Tree/Delete", &m.base);
}

static void pack_set(struct holder *h, struct holder_words *w)
{
    Coord__V1__SetRequest m;
    coord__v1__set_request__init(&m);
    m.header = &w->header;
    m.path = h->path;
    holder_pack(h, "/coord.v1.Tree/Set", &m.base);
}

/* ---- what to do -------------------------------------------------------------------------- */

void holder_take_number(struct holder *h)
{
    uint64_t session;
    h->sequence = 0;
    if (!holder_tenancy(h)->is_lease &&
        !holder_sequence_take(h, &session, &h->sequence, &h->job_answered_to)) {
        h->sequence = 0;
    }
}

static void begin_ephemeral(struct holder *h)
{
    struct holder_words w;
    const char *tail = world_chance(holder_world(h), 300) ? "s-" : "";
    holder_take_number(h);
    holder_words_fill(h, &w, h->sequence);
    (void)snprintf(h->path, sizeof h->path, "/e/h%u-%u%s", h->number, h->made_count++, tail);
    pack_create(h, &w, COORD__V1__KIND__EPHEMERAL, 0);
    h->job = JOB_EPHEMERAL;
}

static void begin_delete(struct holder *h)
{
    struct holder_words w;
    holder_take_number(h);
    holder_words_fill(h, &w, h->sequence);
    (void)snprintf(h->path, sizeof h->path, "%.39s", h->made);
    pack_delete(h, &w);
    h->job = JOB_DELETE;
}

/* A number that the client has said to have the answer of: whatever it names must not run. */
static void begin_probe(struct holder *h)
{
    struct holder_words w;
    uint64_t spent = world_random(holder_world(h), 1, h->acked_floor);
    h->sequence = 0;
    h->job_answered_to = spent - 1;
    holder_words_fill(h, &w, spent);
    (void)snprintf(h->path, sizeof h->path, "/e/never-%u", h->number);
    pack_create(h, &w, COORD__V1__KIND__PERSISTENT, 0);
    h->job = JOB_PROBE;
}

/* A node as it was at some revision, that the log or the node's own versions may still tell. */
static void begin_past(struct holder *h)
{
    const struct oracle *o = h->all->oracle;
    uint64_t back = world_random(holder_world(h), 0, PAST_MAX);
    Coord__V1__GetRequest m;
    h->sequence = 0;
    h->past_revision = o->revision > back ? o->revision - back : 1;
    (void)snprintf(h->path, sizeof h->path, "/k/%u",
                   (unsigned)world_random(holder_world(h), 0, PAST_KEYS - 1));
    coord__v1__get_request__init(&m);
    m.path = h->path;
    m.revision = h->past_revision;
    holder_pack(h, "/coord.v1.Tree/Get", &m.base);
    h->job = JOB_PAST;
}

/* Nodes that go by themselves, and what keeps them. */
static void begin_orphan(struct holder *h)
{
    struct holder_words w;
    uint32_t n = (uint32_t)world_random(holder_world(h), 0, ORPHANS - 1);
    bool is_container = world_chance(holder_world(h), 600);
    uint64_t what = world_random(holder_world(h), 0, 2);
    bool is_child = is_container && what > 0;
    h->sequence = 0;
    coord__v1__request_header__init(&w.header);
    (void)snprintf(h->path, sizeof h->path, is_container ? "/b/c%u-%u%s" : "/t/n%u-%u%s",
                   h->number, n, is_child ? "/x" : "");
    if (is_container && what == 2) {
        pack_delete(h, &w);
    } else if (!is_container && what == 2) {
        pack_set(h, &w);
    } else if (is_child) {
        pack_create(h, &w, COORD__V1__KIND__PERSISTENT, 0);
    } else if (is_container) {
        pack_create(h, &w, COORD__V1__KIND__CONTAINER, 0);
    } else {
        pack_create(h, &w, COORD__V1__KIND__TTL, world_random(holder_world(h), 200, 1500));
    }
    h->job = JOB_ORPHAN;
}

static void send_work(struct holder *h)
{
    struct remote *r = &h->stations[0]->remotes[station_pick(h->stations[0])];
    (void)remote_call_packed(r, &h->work, h->work_path, buf_slice(&h->request), WORK_LIMIT_US);
}

static void end_work(struct holder *h)
{
    if (h->sequence != 0) {
        holder_sequence_done(h, h->job_tenancy, h->sequence);
    }
    h->job = JOB_NONE;
}

void holder_work(struct holder *h)
{
    struct world *w = holder_world(h);
    if (remote_call_is_open(&h->work)) {
        return;
    }
    if (h->job != JOB_NONE && h->job_tenancy != holder_tenancy(h)->id) {
        h->job = JOB_NONE; /* of a session that is gone */
    }
    if (h->job == JOB_NONE) {
        h->job_tenancy = holder_tenancy(h)->id;
        uint64_t dice = world_random(w, 0, 99);
        if (dice < 30) {
            begin_ephemeral(h);
        } else if (dice < 50) {
            holder_begin_instance(h);
        } else if (dice < 57 && h->made[0] != '\0') {
            begin_delete(h);
        } else if (dice < 63 && h->acked_floor > 0) {
            begin_probe(h);
        } else if (dice < 85) {
            begin_orphan(h);
        } else if (dice < 97) {
            begin_past(h);
        } else {
            return;
        }
    }
    send_work(h);
}

/* ---- what came of it --------------------------------------------------------------------- */

static void created(struct holder *h, const Coord__V1__CreateReply *m)
{
    struct world *w = holder_world(h);
    bool is_again = h->job == JOB_AGAIN;
    if (h->job == JOB_PROBE) {
        world_fail(w, "a write with a spent number was executed: %s", m->path);
        return;
    }
    if (!oracle_was_created(h->all->oracle, m->path, h->job_tenancy)) {
        world_fail(w, "%s was acknowledged for lease %" PRIx64 ", but nobody created it",
                   m->path, h->job_tenancy);
    }
    if (is_again && (!m->header->repeated || strcmp(m->path, h->made) != 0)) {
        world_fail(w,
                   "a write that was repeated after its answer was executed again: %s, then %s",
                   h->made, m->path);
    }
    h->all->repeated += is_again;
    (void)snprintf(h->made, sizeof h->made, "%s", m->path);
    if (h->sequence != 0 && !is_again && world_chance(w, 250)) {
        h->job = JOB_AGAIN; /* holder_work sends it once more */
        return;
    }
    if (h->sequence != 0 && h->acked_floor < h->job_answered_to) {
        h->acked_floor = h->job_answered_to;
    }
    end_work(h);
}

/* What the node was then, by the changes; NULL: it was not there. */
static void check_past(struct holder *h, const Coord__V1__GetReply *m)
{
    size_t count = 0;
    struct oracle_node *tree = oracle_tree_at(h->all->oracle, h->past_revision, &count);
    const struct oracle_node *n = NULL;
    for (size_t i = 0; i < count; i++) {
        n = slice_is(tree[i].path, h->path) ? &tree[i] : n;
    }
    bool is_right = m == NULL || n == NULL
                        ? m == NULL && n == NULL
                        : m->stat->modify_revision == n->modify_revision &&
                              oracle_value_is(&n->data, slice_make(m->data.data, m->data.len));
    if (!is_right) {
        world_fail(holder_world(h), "%s at revision %" PRIu64 " is told as it never was",
                   h->path, h->past_revision);
    }
    h->all->recalled++;
    mem_free(tree);
}

static bool past_is_refused(struct holder *h, enum outcome outcome)
{
    if (outcome == OUTCOME_NO_NODE) {
        check_past(h, NULL);
        return true;
    }
    return outcome == OUTCOME_COMPACTED && h->past_revision < h->all->oracle->floor;
}

static bool refusal_is_expected(struct holder *h, enum outcome outcome)
{
    if (h->job == JOB_PAST) {
        return past_is_refused(h, outcome);
    }
    if (h->job == JOB_REGISTER || h->job == JOB_DRAIN || h->job == JOB_DISCOVER) {
        return holder_instance_is_refused(h, outcome);
    }
    switch (outcome) {
    case OUTCOME_SEQUENCE_EXPIRED: return h->job == JOB_PROBE;
    case OUTCOME_NO_NODE: return h->job == JOB_DELETE || h->job == JOB_ORPHAN;
    case OUTCOME_NODE_EXISTS:
    case OUTCOME_NO_PARENT: return h->job == JOB_ORPHAN || h->sequence == 0;
    case OUTCOME_REQUEST_EXPIRED:
    case OUTCOME_REQUEST_FUTURE: return h->sequence == 0;
    default: return false;
    }
}

static void refused(struct holder *h, const struct remote_answer *a)
{
    bool is_gone = a->outcome == OUTCOME_NO_SESSION || a->outcome == OUTCOME_NO_LEASE;
    if (is_gone && h->job != JOB_ORPHAN) {
        holders_told_gone(h->all, h->job_tenancy);
        h->job = JOB_NONE;
        if ((h->state == HOLDER_OPEN || h->state == HOLDER_SILENT) &&
            holder_tenancy(h)->id == h->job_tenancy) {
            holder_is_gone(h);
        }
        return;
    }
    if (!refusal_is_expected(h, a->outcome)) {
        world_fail(holder_world(h), "holder %u: job %u on %s ended with \"%s\"", h->number,
                   h->job, h->path, outcome_text(a->outcome));
    }
    h->all->refused += h->job == JOB_PROBE;
    end_work(h);
}

void holder_worked(struct remote_call *call, const struct remote_answer *a)
{
    struct holder *h = call->owner;
    world_trace(holder_world(h), "holder %u: job %u on %s ended with %s %s", h->number, h->job,
                h->path, a->end == REMOTE_ANSWERED ? grpc_code_name(a->code) : "loss", a->text);
    if (a->end == REMOTE_ANSWERED && a->outcome != OUTCOME_COUNT) {
        refused(h, a);
    } else if (a->end != REMOTE_ANSWERED || a->code != GRPC_OK) {
        holder_check_failure(h, a);
        if (h->sequence == 0) {
            h->job = JOB_NONE; /* else it is sent again with the next look */
        }
    } else if (h->job == JOB_PAST) {
        Coord__V1__GetReply *m = remote_call_reply(call, &coord__v1__get_reply__descriptor);
        check_past(h, m);
        coord__v1__get_reply__free_unpacked(m, NULL);
        end_work(h);
    } else if (strcmp(call->path, "/coord.v1.Tree/Create") == 0 && h->job != JOB_ORPHAN) {
        Coord__V1__CreateReply *m =
            remote_call_reply(call, &coord__v1__create_reply__descriptor);
        created(h, m);
        coord__v1__create_reply__free_unpacked(m, NULL);
    } else if (h->job == JOB_REGISTER || h->job == JOB_DISCOVER) {
        holder_instance_told(h, call);
        end_work(h);
    } else {
        if (h->job == JOB_DELETE) {
            h->made[0] = '\0';
        }
        end_work(h);
    }
}
