#include "tests/sim/disaster.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/snapshot.h"

#define DATA_DIR        "data"
#define BACKUP          "backup.db"
#define TOKEN           "a token of the operator's"
#define READ_BYTES      65536
#define SILENCE_US      (4 * SECOND) /* behind it nothing is under way that the old cluster said */
#define INTERRUPTED_MAX 3
#define OPERATIONS_MAX  60 /* of a disk, before its machine loses power */

static struct world *world_of(const struct disaster *d)
{
    return &d->cluster->world;
}

static void nothing(void *context)
{
    (void)context;
}

/* ---- backups ------------------------------------------------------------------------------ */

static void export_end(struct disaster *d)
{
    if (d->is_exporting) {
        node_export_end(&d->export);
        buf_clear(&d->partial);
        d->is_exporting = false;
    }
}

static void got_cb(struct node_export *e, enum status rc, struct slice data,
                   const uint8_t *sha256)
{
    struct disaster *d = e->owner;
    if (rc == RC_OK && sha256 == NULL) {
        buf_append(&d->partial, data.data, data.size);
        node_export_read(e, READ_BYTES, got_cb);
        return;
    }
    if (rc == RC_OK) {
        d->file = e->file;
        buf_clear(&d->backup);
        buf_append(&d->backup, d->partial.data, d->partial.size);
        world_trace(world_of(d), "a backup of revision %" PRIu64 " index %" PRIu64,
                    d->file.revision, d->file.index);
    }
    export_end(d);
}

static void ready_cb(struct node_export *e, enum status rc)
{
    if (rc == RC_OK) {
        node_export_read(e, READ_BYTES, got_cb);
    } else {
        export_end(e->owner);
    }
}

static void closing_cb(void *context, uint32_t node)
{
    struct disaster *d = context;
    if (d->is_exporting && d->export_node == node) {
        export_end(d);
    }
}

static void backup_tick(void *context)
{
    struct disaster *d = context;
    struct cluster *c = d->cluster;
    uint32_t node = (uint32_t)world_random(&c->world, 0, c->options.nodes - 1);
    struct cluster_node *n = &c->nodes[node];
    world_at(&c->world, &d->tick, world_random(&c->world, 50 * MS, 600 * MS), backup_tick, d);
    /* What one has that was just started may be older than all that its clients know of. */
    if (d->is_exporting || n->node == NULL || n->has_fatal || n->is_stopping ||
        !node_is_caught_up(n->node)) {
        return;
    }
    struct env *env = &n->process->env;
    d->export = (struct node_export){.ready = ready_cb, .owner = d};
    d->export_node = node;
    d->is_exporting =
        node_export_begin(n->node, &d->export, env->now_ms(env) + 3000) == RC_OK;
    cluster_wake(c, node);
}

/* ---- the new life ------------------------------------------------------------------------- */

static void expect(struct disaster *d, bool cond, const char *what)
{
    if (!cond) {
        world_fail(world_of(d),
                   "%s: %s; %s: old revision %" PRIu64 " index %" PRIu64 ", seen %" PRIu64
                   ", %" PRIu64 ", new %" PRIu64 ", %" PRIu64,
                   d->restores ? "restore" : "recover", what, d->why, d->report.state.old_revision,
                   d->report.state.old_index, d->seen_revision, d->seen_index,
                   d->report.revision, d->report.index);
    }
}

static void check_rebirth(struct disaster *d, const struct store *s)
{
    const struct rebirth_report *r = &d->report;
    expect(d, r->cluster_id != d->old_cluster_id, "the new cluster has the old one's id");
    expect(d, store_revision(s) > d->seen_revision && store_applied_index(s) > d->seen_index,
           "the revision goes back");
    expect(d, store_history_floor(s) > d->seen_revision, "a watch would not be told COMPACTED");
    expect(d, store_lease_next(s, 0) == NULL, "a session goes on");
    expect(d, store_content_digest(s) == d->content, "the content is another");
    store_check(s);
}

/* What a tool made is to be found by the node that is started there. */
static void settle(struct disaster *d, uint32_t node, uint32_t attempt)
{
    struct cluster_node *n = &d->cluster->nodes[node];
    (void)snprintf(n->data_dir, sizeof n->data_dir, "%s%u", DATA_DIR, attempt + 1);
    n->is_out = false;
    n->is_learner = false;
    n->joins = false;
    n->is_alone = !d->restores;
}

static enum status write_life(struct disaster *d, struct env *env, uint32_t node,
                              uint32_t attempt, uint64_t term, struct store *s,
                              struct errmsg *err)
{
    struct cluster *c = d->cluster;
    char dir[16];
    (void)snprintf(dir, sizeof dir, "%s%u", DATA_DIR, attempt + 1);
    struct rebirth_options o = {
        .env = env,
        .data_dir = dir,
        .name = c->nodes[node].name,
        .members = c->members,
        .member_count = d->restores ? c->options.first : 0,
        .token = TOKEN,
        .term = term,
        .cluster_id = d->old_cluster_id,
    };
    return rebirth_write(&o, s, &d->report, err);
}

typedef enum status (*tool_fn)(struct disaster *d, struct env *env, uint32_t node,
                               uint32_t attempt, struct store **s, struct errmsg *err);

/* One run of a tool on a machine; false: it did not come to its end. */
static bool run_once(struct disaster *d, uint32_t node, uint32_t attempt, tool_fn tool,
                     struct store **s)
{
    struct cluster_node *n = &d->cluster->nodes[node];
    struct world *w = world_of(d);
    struct sim_env *process = sim_env_new(&n->host, nothing, nothing, d);
    struct errmsg err = {0};
    bool is_struck = attempt < INTERRUPTED_MAX && world_chance(w, 400);
    n->host.disk.die_after = is_struck ? (uint32_t)world_random(w, 1, OPERATIONS_MAX) : 0;
    enum status rc = tool(d, &process->env, node, attempt, s, &err);
    bool has_died = n->host.disk.is_dead;
    n->host.disk.die_after = 0;
    /* What is said to be done must outlive the machine from then on. */
    sim_env_kill(process, has_died || world_chance(w, 500));
    if (sim_env_free(process) > 0) {
        world_fail(w, "%s left files open", n->name);
    }
    d->counts[DISASTER_COUNT_INTERRUPTED] += has_died;
    if (rc != RC_OK) {
        (void)snprintf(d->why, sizeof d->why, "%s", err.text);
        if (!has_died) {
            expect(d, false, "a tool fails");
        }
    } else if (has_died) {
        store_free(*s);
    }
    return rc == RC_OK && !has_died;
}

/* Until it is done; the state that the member begins with, or NULL. */
static struct store *run_tool(struct disaster *d, uint32_t node, tool_fn tool)
{
    struct store *s = NULL;
    for (uint32_t i = 0; i <= INTERRUPTED_MAX && !world_of(d)->failed; i++) {
        if (run_once(d, node, i, tool, &s)) {
            settle(d, node, i);
            check_rebirth(d, s);
            return s;
        }
        world_trace(world_of(d), "a tool on %s is interrupted", d->cluster->nodes[node].name);
    }
    return NULL;
}

static void begin_life(struct disaster *d, const struct store *s)
{
    const struct cluster_digest state = {.digest = store_digest(s),
                                         .revision = store_revision(s),
                                         .term = d->report.term,
                                         .is_known = true};
    oracle_reborn(d->oracle, s, d->report.state.old_revision + REBIRTH_GAP);
    cluster_reborn(d->cluster, d->report.cluster_id, store_applied_index(s), &state);
}

/* ---- recovering --------------------------------------------------------------------------- */

struct remains {
    struct survivor items[CLUSTER_NODES_MAX];
    struct sim_env *processes[CLUSTER_NODES_MAX];
    uint32_t nodes[CLUSTER_NODES_MAX];
    size_t count;
};

static void look(struct disaster *d, struct remains *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct cluster_node *n = &d->cluster->nodes[r->nodes[i]];
        struct errmsg err = {0};
        r->processes[i] = sim_env_new(&n->host, nothing, nothing, d);
        enum status rc =
            survivor_open(&r->processes[i]->env, n->data_dir, &r->items[i], &err);
        if (rc != RC_OK) {
            (void)snprintf(d->why, sizeof d->why, "%s", err.text);
            expect(d, false, "a data dir cannot be read");
        }
    }
}

static void leave(struct disaster *d, struct remains *r)
{
    for (size_t i = 0; i < r->count && r->processes[i] != NULL; i++) {
        survivor_close(&r->items[i]);
        sim_env_kill(r->processes[i], false);
        if (sim_env_free(r->processes[i]) > 0) {
            world_fail(world_of(d), "looking at a data dir left files open");
        }
    }
}

/* One disk alone may lack even the set-up, without which the clients can do nothing: it may have
 * lost that with its power. */
static bool has_set_up(const struct disaster *d, const struct remains *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->items[i].last_index >= d->set_up_index) {
            return true;
        }
    }
    return false;
}

/* Some disks of those that there are, in any order. */
static void keep_some(struct disaster *d, struct remains *r)
{
    struct cluster *c = d->cluster;
    uint32_t nodes = c->options.nodes;
    size_t count = (size_t)world_random(&c->world, 1, (nodes + 1) / 2);
    uint32_t from = (uint32_t)world_random(&c->world, 0, nodes - 1);
    bool is_found = false;
    for (uint32_t shift = 0; shift < nodes && !is_found && !c->world.failed; shift++) {
        leave(d, r);
        *r = (struct remains){.count = count};
        for (uint32_t i = 0; i < count; i++) {
            r->nodes[i] = (from + shift + i) % nodes;
        }
        look(d, r);
        is_found = has_set_up(d, r);
    }
    expect(d, is_found, "what all members had is on no disk");
    for (uint32_t i = 0; i < nodes; i++) {
        bool is_kept = false;
        for (size_t k = 0; k < r->count; k++) {
            is_kept = is_kept || r->nodes[k] == i;
        }
        if (!is_kept) {
            cluster_lose_disk(c, i);
        }
    }
}

static uint64_t term_at(const struct survivor *s, uint64_t index)
{
    for (size_t i = 0; i < s->log.entry_count; i++) {
        if (s->log.entries[i].index == index) {
            return s->log.entries[i].term;
        }
    }
    return 0;
}

/* The last index up to which its log is known to be that of the cluster. */
static uint64_t common_index(const struct disaster *d, const struct survivor *s)
{
    const struct cluster *c = d->cluster;
    for (uint64_t index = s->last_index; index > s->snapshot_index; index--) {
        const struct cluster_digest *known =
            index < c->digest_count ? &c->digests[index] : NULL;
        if (known != NULL && known->is_known && known->term != 0 &&
            known->term == term_at(s, index)) {
            return index;
        }
    }
    return s->snapshot_index;
}

/* The state at `d->index`, from the front of its log. */
static enum status load_common(const struct disaster *d, const struct survivor *s,
                               struct store **store, struct replay *r, struct errmsg *err)
{
    struct survivor front = *s;
    front.log.entry_count = 0;
    for (size_t i = 0; i < s->log.entry_count && s->log.entries[i].index <= d->index; i++) {
        front.log.entry_count++;
    }
    return survivor_load(&front, store, r, err);
}

/* What the disk has behind that, committed or not, is in the new cluster too. */
static void replay_rest(struct disaster *d, const struct survivor *s, struct store *store,
                        struct replay *r)
{
    struct errmsg err = {0};
    for (size_t i = 0; i < s->log.entry_count; i++) {
        if (s->log.entries[i].index <= d->index || s->log.entries[i].index <= r->index) {
            continue;
        }
        if (replay_entry(r, &s->log.entries[i], &err) != RC_OK) {
            (void)snprintf(d->why, sizeof d->why, "%s", err.text);
            expect(d, false, "an entry cannot be applied");
            return;
        }
        oracle_take(d->oracle, store);
    }
}

/* What is lost is forgotten; nothing else. */
static void rewind_to(struct disaster *d, const struct store *s)
{
    const struct cluster *c = d->cluster;
    const struct cluster_digest *known =
        d->index < c->digest_count ? &c->digests[d->index] : NULL;
    expect(d, store_applied_index(s) == d->index, "what is there is not up to where it should be");
    expect(d,
           known == NULL || !known->is_known ||
               (known->digest == store_digest(s) && known->revision == store_revision(s)),
           "the state is not that of the cluster at this index");
    if (d->oracle->revision > store_revision(s)) {
        d->counts[DISASTER_COUNT_LOST] += d->oracle->revision - store_revision(s);
    }
    oracle_rewind(d->oracle, d->index, store_revision(s));
    journal_rewind(d->journal, d->index, store_revision(s), d->seen_revision);
}

static void choose(struct disaster *d, struct remains *r, const struct survivor *best)
{
    struct store *store;
    struct replay replay;
    struct errmsg err = {0};
    d->old_cluster_id = best->identity.cluster_id;
    d->index = common_index(d, best);
    for (size_t i = 0; i < r->count; i++) {
        expect(d, common_index(d, &r->items[i]) <= d->index,
               "another data dir has more of what was committed");
    }
    if (survivors_are_quorum(best, r->items, r->count)) {
        expect(d, best->last_index >= d->journal->high_index,
               "a majority has not all that was acknowledged");
        d->index = d->journal->high_index > d->index ? d->journal->high_index : d->index;
    }
    if (world_of(d)->failed) {
        return;
    }
    if (load_common(d, best, &store, &replay, &err) != RC_OK) {
        (void)snprintf(d->why, sizeof d->why, "%s", err.text);
        expect(d, false, "a log cannot be applied");
        return;
    }
    rewind_to(d, store);
    replay_rest(d, best, store, &replay);
    d->content = store_content_digest(store);
    replay_close(&replay);
    store_free(store);
}

static enum status recover_tool(struct disaster *d, struct env *env, uint32_t node,
                                uint32_t attempt, struct store **s, struct errmsg *err)
{
    struct survivor survivor;
    struct replay replay;
    enum status rc = survivor_open(env, d->cluster->nodes[node].data_dir, &survivor, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = survivor_load(&survivor, s, &replay, err);
    if (rc == RC_OK) {
        expect(d, store_content_digest(*s) == d->content, "the recovered state is not the last");
        rc = write_life(d, env, node, attempt, replay.term, *s, err);
        replay_close(&replay);
        if (rc != RC_OK) {
            store_free(*s);
        }
    }
    survivor_close(&survivor);
    return rc;
}

static void recover(struct disaster *d)
{
    struct cluster *c = d->cluster;
    struct remains r = {.count = 0};
    uint32_t node = 0;
    keep_some(d, &r);
    if (!c->world.failed) {
        const struct survivor *best = survivors_best(r.items, r.count);
        node = r.nodes[best - r.items];
        world_trace(&c->world, "%s is recovered, %zu disks are left", c->nodes[node].name,
                    r.count);
        choose(d, &r, best);
    }
    leave(d, &r);
    struct store *s = c->world.failed ? NULL : run_tool(d, node, recover_tool);
    if (s == NULL) {
        return;
    }
    begin_life(d, s);
    store_free(s);
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        if (i != node) {
            cluster_lose_disk(c, i);
            c->nodes[i].is_out = true;
        }
    }
    c->options.first = 1;
    d->counts[DISASTER_COUNT_RECOVERED]++;
}

/* ---- restoring ---------------------------------------------------------------------------- */

static enum status put_backup(const struct disaster *d, struct env *env)
{
    struct env_file *f;
    enum status rc = env->disk->open(env, BACKUP, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &f);
    if (rc == RC_OK) {
        rc = env->disk->write(f, 0, d->backup.data, d->backup.size);
        env->disk->close(f);
    }
    return rc;
}

static enum status restore_tool(struct disaster *d, struct env *env, uint32_t node,
                                uint32_t attempt, struct store **s, struct errmsg *err)
{
    struct snapshot_meta meta;
    enum status rc = put_backup(d, env);
    if (rc != RC_OK) {
        return errmsg_set(err, rc, "the backup cannot be copied");
    }
    rc = snapshot_load(env, BACKUP, s, &meta, err);
    if (rc != RC_OK) {
        return rc;
    }
    d->old_cluster_id = meta.cluster_id;
    d->content = store_content_digest(*s);
    if (d->index == 0) { /* the first of them */
        d->index = d->file.index;
        rewind_to(d, *s);
        oracle_take(d->oracle, *s);
    }
    rc = write_life(d, env, node, attempt, meta.term, *s, err);
    snapshot_meta_close(&meta);
    if (rc != RC_OK) {
        store_free(*s);
    }
    return rc;
}

static void restore(struct disaster *d)
{
    struct cluster *c = d->cluster;
    struct store *first = NULL;
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        cluster_lose_disk(c, i);
    }
    for (uint32_t i = 0; i < c->options.nodes && !c->world.failed; i++) {
        struct store *s = run_tool(d, i, restore_tool);
        if (s == NULL) {
            break;
        }
        expect(d, first == NULL || store_digest(first) == store_digest(s),
               "two members are restored to different states");
        if (first == NULL) {
            first = s;
        } else {
            store_free(s);
        }
    }
    if (first != NULL) {
        begin_life(d, first);
        store_free(first);
    }
    d->counts[DISASTER_COUNT_RESTORED]++;
}

/* ---- the story ---------------------------------------------------------------------------- */

/* Nobody is up, and nothing comes any more of what they said. */
static void end_of_cluster(struct disaster *d)
{
    struct cluster *c = d->cluster;
    uint64_t pause = 0;
    faults_stop(d->faults);
    for (uint32_t i = 0; i < c->options.nodes; i++) {
        if (cluster_is_up(c, i)) {
            cluster_crash(c, i, world_chance(&c->world, 500) ? DEATH_POWER : DEATH_KILL);
        }
        world_cancel(&c->world, &c->nodes[i].restart);
    }
    for (size_t i = 0; i < c->net.host_count; i++) {
        uint64_t left = sim_host_pause_left(c->net.hosts[i]);
        pause = left > pause ? left : pause;
    }
    cluster_run(c, pause + SILENCE_US);
    d->seen_revision = d->oracle->revision > d->journal->high_revision
                           ? d->oracle->revision
                           : d->journal->high_revision;
    d->seen_index =
        d->oracle->index > d->journal->high_index ? d->oracle->index : d->journal->high_index;
}

void disaster_init(struct disaster *d, struct cluster *c, struct oracle *o, struct journal *h,
                   struct faults *f)
{
    *d = (struct disaster){.cluster = c, .oracle = o, .journal = h, .faults = f};
}

void disaster_plan(struct disaster *d)
{
    d->is_planned = true;
    d->set_up_index = d->oracle->index;
    d->restores = world_chance(world_of(d), 500);
    if (d->restores) {
        d->cluster->closing = closing_cb;
        d->cluster->closing_context = d;
        world_at(world_of(d), &d->tick, world_random(world_of(d), MS, SECOND), backup_tick, d);
    }
}

void disaster_strike(struct disaster *d)
{
    world_cancel(world_of(d), &d->tick);
    d->restores = d->restores && d->backup.size > 0;
    world_trace(world_of(d), "all members end; %s",
                d->restores ? "a backup is left" : "some disks are left");
    end_of_cluster(d);
    if (world_of(d)->failed) {
        return;
    }
    if (d->restores) {
        restore(d);
    } else {
        recover(d);
    }
    if (!world_of(d)->failed) {
        cluster_start_all(d->cluster);
    }
}

void disaster_close(struct disaster *d)
{
    world_cancel(world_of(d), &d->tick);
    export_end(d);
    d->cluster->closing = NULL;
    buf_close(&d->partial);
    buf_close(&d->backup);
}
