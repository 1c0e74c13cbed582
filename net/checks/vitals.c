#include "net/checks/vitals.h"

#include "base/hash.h"
#include "base/id_map.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/checks/suspicion.h"
#include "net/checks/vital_note.h"
#include "raft/node.h"
#include "recipes/instance.h"
#include "store/acl.h"
#include "store/store.h"

struct vital {
    struct list link;    /* by change, the latest last */
    struct vital *same;  /* the next with the same hash */
    size_t at;           /* in `all` */
    uint64_t hash;
    uint64_t change;
    struct slice path; /* owned */
    uint64_t revision;
    struct suspicion suspicion;
    bool has_load;
    struct service_load load;
    uint64_t load_ms;
};

struct vitals {
    struct vitals_options o;
    uint64_t seed;
    struct id_map by_path; /* hash: the first with it */
    struct vital **all;    /* in no order */
    size_t count;
    size_t capacity;
    struct list changed;
    uint64_t change;
    uint64_t era;
    bool was_leading;
    vitals_beat_fn beat;
    void *beat_context;
    struct buf super; /* who may see all */
    /* as a follower */
    uint64_t leader;    /* that was asked last */
    uint64_t known_era; /* of its table */
    uint64_t known;     /* up to there */
    uint64_t ask_ms;
    uint64_t told_ms; /* all was known then */
    /* sweeping */
    size_t swept;
    uint64_t sweep_ms;
    uint64_t sweep_revision; /* when this round began */
    uint64_t clean_revision; /* nobody who was there then is gone and still known */
    struct arena arena;
    struct metric *beats;
    struct metric *refused;
    struct metric *known_gauge;
};

static uint64_t now_of(const struct vitals *v)
{
    return v->o.env->now_ms(v->o.env);
}

/* ---- the table ---------------------------------------------------------------------------- */

static struct vital *find(const struct vitals *v, struct slice path)
{
    struct vital *e = id_map_get(&v->by_path, hash_bytes(v->seed, path.data, path.size));
    while (e != NULL && !slice_equal(e->path, path)) {
        e = e->same;
    }
    return e;
}

static struct vital *add(struct vitals *v, struct slice path)
{
    if (v->count == VITALS_MAX) {
        metric_add(v->refused, 1);
        return NULL;
    }
    if (v->count == v->capacity) {
        v->capacity = v->capacity == 0 ? 16 : 2 * v->capacity;
        v->all = mem_resize(v->all, v->capacity * sizeof(void *));
    }
    struct vital *e = mem_zalloc(sizeof *e);
    uint8_t *copy = mem_alloc(path.size);
    memcpy(copy, path.data, path.size);
    e->path = slice_make(copy, path.size);
    e->hash = hash_bytes(v->seed, path.data, path.size);
    e->same = id_map_get(&v->by_path, e->hash);
    id_map_set(&v->by_path, e->hash, e);
    e->at = v->count;
    v->all[v->count++] = e;
    list_init(&e->link);
    metric_set(v->known_gauge, (int64_t)v->count);
    return e;
}

static void drop(struct vitals *v, struct vital *e)
{
    struct vital *before = id_map_get(&v->by_path, e->hash);
    if (before != e) {
        while (before->same != e) {
            before = before->same;
        }
        before->same = e->same;
    } else if (e->same != NULL) {
        id_map_set(&v->by_path, e->hash, e->same);
    } else {
        (void)id_map_remove(&v->by_path, e->hash);
    }
    v->all[e->at] = v->all[--v->count];
    v->all[e->at]->at = e->at;
    list_remove(&e->link);
    mem_free((void *)(uintptr_t)e->path.data);
    mem_free(e);
    metric_set(v->known_gauge, (int64_t)v->count);
}

static void touch(struct vitals *v, struct vital *e)
{
    e->change = ++v->change;
    list_remove(&e->link);
    list_push_back(&v->changed, &e->link);
}

/* The entry of this registration; one of an earlier registration begins anew. NULL: there is a
 * later one, or no room. */
static struct vital *take(struct vitals *v, struct slice path, uint64_t revision)
{
    struct vital *e = find(v, path);
    if (e != NULL && revision < e->revision) {
        return NULL;
    }
    e = e != NULL ? e : add(v, path);
    if (e != NULL && e->revision != revision) {
        e->revision = revision;
        e->suspicion = (struct suspicion){.last_ms = 0};
        e->has_load = false;
    }
    return e;
}

static void set_load(struct vital *e, const struct service_load *load, uint64_t at_ms)
{
    e->has_load = true;
    e->load = *load;
    e->load_ms = at_ms;
}

/* ---- signs of life ------------------------------------------------------------------------ */

/* One of an earlier registration says nothing. */
static enum status note_beat(struct vitals *v, struct slice path, uint64_t revision,
                             const struct service_load *load)
{
    uint64_t now_ms = now_of(v);
    struct vital *e = take(v, path, revision);
    if (e == NULL) {
        return find(v, path) != NULL ? RC_OK : RC_OVERLOADED;
    }
    metric_add(v->beats, 1);
    suspicion_note(&e->suspicion, now_ms);
    if (load != NULL) {
        set_load(e, load, now_ms);
    }
    touch(v, e);
    if (v->beat != NULL && node_is_leading(v->o.node)) {
        v->beat(v->beat_context, path, revision, load, now_ms);
    }
    return RC_OK;
}

static bool pass_on(struct vitals *v, struct slice path, uint64_t revision,
                    const struct service_load *load)
{
    struct buf bytes = {0};
    struct vital_note note = {.type = VITAL_BEAT,
                              .beat = {.path = path, .revision = revision}};
    if (load != NULL) {
        note.beat.has_load = true;
        note.beat.load = *load;
    }
    vital_note_encode(&bytes, &note);
    bool sent = node_send_note(v->o.node, node_leader_id(v->o.node), buf_slice(&bytes));
    buf_close(&bytes);
    return sent;
}

enum status vitals_beat(struct vitals *v, struct slice path, uint64_t revision,
                        const struct service_load *load)
{
    if (!node_is_leading(v->o.node) && !pass_on(v, path, revision, load)) {
        return RC_NO_LEADER;
    }
    return note_beat(v, path, revision, load);
}

void vitals_passed(struct vitals *v, struct slice path, uint64_t revision)
{
    struct vital *e = take(v, path, revision);
    if (e != NULL) {
        suspicion_note(&e->suspicion, now_of(v));
        touch(v, e);
    }
}

void vitals_listen(struct vitals *v, vitals_beat_fn beat, void *context)
{
    v->beat = beat;
    v->beat_context = context;
}

/* ---- handing out -------------------------------------------------------------------------- */

static uint64_t since(uint64_t now_ms, uint64_t then_ms)
{
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

bool vitals_find(const struct vitals *v, struct slice path, uint64_t revision,
                 struct vital_view *out)
{
    struct vital *e = v != NULL ? find(v, path) : NULL;
    if (e == NULL || e->revision != revision) {
        return false;
    }
    uint64_t now_ms = now_of(v);
    uint64_t known_ms = node_is_leading(v->o.node) ? now_ms : v->told_ms;
    *out = (struct vital_view){
        .has_load = e->has_load,
        .load = e->load,
        .load_age_ms = e->has_load ? since(now_ms, e->load_ms) : 0,
        .silence_ms = since(now_ms, e->suspicion.last_ms),
        .phi = suspicion_phi(&e->suspicion, known_ms),
    };
    return true;
}

uint64_t vitals_change(const struct vitals *v)
{
    return v->change;
}

size_t vitals_count(const struct vitals *v)
{
    return v->count;
}

/* The first that has changed since, or the head. */
static struct list *first_since(const struct vitals *v, uint64_t change)
{
    struct list *it = v->changed.prev;
    while (it != &v->changed && LIST_OF(it, struct vital, link)->change > change) {
        it = it->prev;
    }
    return it->next;
}

void vitals_changed(const struct vitals *v, struct slice prefix, uint64_t change,
                    vitals_each_fn each, void *context)
{
    for (struct list *it = first_since(v, change); it != &v->changed; it = it->next) {
        const struct vital *e = LIST_OF(it, struct vital, link);
        if (e->path.size > prefix.size && e->path.data[prefix.size] == '/' &&
            memcmp(e->path.data, prefix.data, prefix.size) == 0 &&
            !each(context, e->path, e->change)) {
            return;
        }
    }
}

/* ---- from the leader to the others -------------------------------------------------------- */

static struct vital_entry entry_of(const struct vital *e, uint64_t now_ms)
{
    return (struct vital_entry){
        .path = e->path,
        .revision = e->revision,
        .silence_ms = since(now_ms, e->suspicion.last_ms),
        .intervals = e->suspicion.intervals,
        .mean_ms = e->suspicion.mean_ms,
        .variance = e->suspicion.variance > 0 ? e->suspicion.variance : 0,
        .has_load = e->has_load,
        .load_age_ms = e->has_load ? since(now_ms, e->load_ms) : 0,
        .load = e->load,
    };
}

static void tell(struct vitals *v, uint64_t to, const struct vital_note *asked)
{
    struct vital_entry *entries = arena_alloc(&v->arena, VITAL_NOTE_ENTRIES_MAX * sizeof *entries);
    struct vital_note note = {
        .type = VITAL_TELL, .era = v->era, .since = v->change, .entries = entries};
    uint64_t now_ms = now_of(v);
    struct list *it = first_since(v, asked->era == v->era ? asked->since : 0);
    while (it != &v->changed && note.count < VITAL_NOTE_ENTRIES_MAX) {
        const struct vital *e = LIST_OF(it, struct vital, link);
        entries[note.count++] = entry_of(e, now_ms);
        it = it->next;
        note.more = it != &v->changed;
        note.since = note.more ? e->change : v->change;
    }
    struct buf bytes = {0};
    vital_note_encode(&bytes, &note);
    (void)node_send_note(v->o.node, to, buf_slice(&bytes)); /* else it asks again */
    buf_close(&bytes);
}

/* What was heard here meanwhile may be newer. */
static void learn(struct vitals *v, const struct vital_entry *from, uint64_t now_ms)
{
    uint64_t sign_ms = now_ms > from->silence_ms ? now_ms - from->silence_ms : 1;
    struct vital *e = take(v, from->path, from->revision);
    if (e == NULL) {
        return;
    }
    bool is_older = sign_ms + VITALS_ASK_MS < e->suspicion.last_ms;
    if (!is_older) {
        e->suspicion = (struct suspicion){.intervals = from->intervals,
                                          .last_ms = sign_ms,
                                          .mean_ms = from->mean_ms,
                                          .variance = from->variance};
    }
    if (from->has_load && (!e->has_load || now_ms - e->load_ms >= from->load_age_ms)) {
        set_load(e, &from->load, now_ms > from->load_age_ms ? now_ms - from->load_age_ms : 0);
    }
    touch(v, e);
}

static void ask(struct vitals *v, uint64_t leader, uint64_t now_ms)
{
    struct buf bytes = {0};
    if (leader != v->leader) {
        v->leader = leader;
        v->known_era = 0;
        v->known = 0;
    }
    const struct vital_note note = {
        .type = VITAL_ASK, .era = v->known_era, .since = v->known};
    vital_note_encode(&bytes, &note);
    (void)node_send_note(v->o.node, leader, buf_slice(&bytes));
    buf_close(&bytes);
    v->ask_ms = now_ms + VITALS_ASK_MS;
}

static void told(struct vitals *v, uint64_t from, const struct vital_note *note)
{
    uint64_t now_ms = now_of(v);
    if (from != v->leader || node_is_leading(v->o.node)) {
        return;
    }
    for (uint32_t i = 0; i < note->count; i++) {
        learn(v, &note->entries[i], now_ms);
    }
    v->known_era = note->era;
    v->known = note->since;
    if (note->more) {
        ask(v, from, now_ms);
    } else {
        v->told_ms = now_ms;
    }
}

static void on_note(void *context, uint64_t from, struct slice bytes)
{
    struct vitals *v = context;
    struct vital_note note;
    arena_clear(&v->arena);
    if (!vital_note_decode(bytes, &note, &v->arena)) {
        return;
    }
    bool leads = node_is_leading(v->o.node);
    if (note.type == VITAL_TELL) {
        told(v, from, &note);
    } else if (note.type == VITAL_ASK && leads && v->was_leading) {
        tell(v, from, &note);
    } else if (note.type == VITAL_BEAT && leads) {
        (void)note_beat(v, note.beat.path, note.beat.revision,
                        note.beat.has_load ? &note.beat.load : NULL);
    }
}

/* ---- turns -------------------------------------------------------------------------------- */

/* The revision that created a node; 0: it is not there. */
static uint64_t created(struct vitals *v, struct slice path)
{
    struct query_result result;
    const struct query query = {.type = QUERY_EXISTS,
                                .space = SPACE_NODES,
                                .path = path,
                                .identities = buf_slice(&v->super)};
    arena_clear(&v->arena);
    store_query(node_store(v->o.node), &query, &result, &v->arena);
    return result.outcome == OUTCOME_OK ? result.stat.create_revision : 0;
}

/* What is not there yet on a member that lags behind is told again when it changes. */
static bool is_there(struct vitals *v, const struct vital *e)
{
    uint64_t revision = created(v, e->path);
    return revision > 0 && revision <= e->revision;
}

static void sweep(struct vitals *v, uint64_t now_ms)
{
    if (v->swept == 0) { /* a round begins */
        v->sweep_revision = store_revision(node_store(v->o.node));
        v->swept = v->count;
    }
    size_t some = v->swept < VITALS_SWEEP ? v->swept : VITALS_SWEEP;
    for (; some > 0; some--) {
        struct vital *e = v->all[--v->swept];
        if (!is_there(v, e)) {
            drop(v, e);
        }
    }
    if (v->swept == 0) {
        v->clean_revision = v->sweep_revision;
    }
    v->sweep_ms = now_ms + VITALS_SWEEP_MS;
}

static bool must_sweep(const struct vitals *v)
{
    return v->count > 0 &&
           (v->swept > 0 || v->clean_revision != store_revision(node_store(v->o.node)));
}

static bool may_ask(const struct vitals *v)
{
    return !node_is_leading(v->o.node) && node_leader_id(v->o.node) != 0;
}

/* Unless there is nobody of whom the leader could know more. */
static void ask_if_due(struct vitals *v, uint64_t now_ms)
{
    uint64_t leader = node_leader_id(v->o.node);
    if (now_ms < v->ask_ms && leader == v->leader) {
        return;
    }
    if (v->count > 0 || created(v, slice_str(SERVICE_ROOT)) > 0) {
        ask(v, leader, now_ms);
    } else {
        v->leader = leader;
        v->known_era = 0;
        v->ask_ms = now_ms + VITALS_ASK_MS;
    }
}

void vitals_turn(struct vitals *v, uint64_t now_ms)
{
    if (v == NULL) {
        return;
    }
    bool leads = node_is_leading(v->o.node);
    if (leads && !v->was_leading) {
        v->era = env_random_u64(v->o.env) | 1;
        v->leader = 0;
    }
    v->was_leading = leads;
    if (may_ask(v)) {
        ask_if_due(v, now_ms);
    }
    if (must_sweep(v) && now_ms >= v->sweep_ms) {
        sweep(v, now_ms);
    }
}

uint64_t vitals_next_deadline_ms(const struct vitals *v)
{
    if (v == NULL) {
        return UINT64_MAX;
    }
    uint64_t sweep_ms = must_sweep(v) ? v->sweep_ms : UINT64_MAX;
    uint64_t ask_ms = may_ask(v) ? v->ask_ms : UINT64_MAX;
    return sweep_ms < ask_ms ? sweep_ms : ask_ms;
}

struct vitals *vitals_new(const struct vitals_options *options)
{
    struct vitals *v = mem_zalloc(sizeof *v);
    v->o = *options;
    v->seed = env_random_u64(options->env);
    v->era = env_random_u64(options->env) | 1;
    list_init(&v->changed);
    identity_encode(&v->super, slice_str("super"), slice_make(NULL, 0));
    if (options->metrics != NULL) {
        v->beats = metrics_counter(options->metrics, "coord_heartbeats_total", NULL,
                                   "Heartbeats of instances that came to this member.");
        v->refused = metrics_counter(options->metrics, "coord_heartbeats_refused_total", NULL,
                                     "Heartbeats for which the table had no room.");
        v->known_gauge = metrics_gauge(options->metrics, "coord_vitals", NULL,
                                       "Instances of whom signs of life or load are known.");
    }
    node_on_notes(options->node, on_note, v);
    return v;
}

void vitals_free(struct vitals *v)
{
    if (v == NULL) {
        return;
    }
    node_on_notes(v->o.node, NULL, NULL);
    while (v->count > 0) {
        drop(v, v->all[v->count - 1]);
    }
    mem_free(v->all);
    id_map_close(&v->by_path);
    buf_close(&v->super);
    arena_close(&v->arena);
    mem_free(v);
}
