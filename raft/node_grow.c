/* A single node S becomes a cluster of three. Rule VOTERS: it must not add members to itself, since
 * the core of a single voter decides alone, and elects itself without a new term, until a change
 * of the members is committed; what it decides meanwhile the others need not know. So S does not
 * go on as one of three: it ends as a single node, and three begin behind one snapshot.
 *
 *   IDLE
 *     |  somebody asks, and keeps asking
 *   GATHERING  two nodes ask to join, and are connected          (given up when nobody asks)
 *     |
 *   MARKING    an entry of this attempt: no other has its index
 *     |        -- from here on S proposes nothing: writes wait --
 *   DRAINING   all that S has in its log is durable and applied
 *     |
 *   TAKING     the state up to there, with all three as voters, as a file beside the snapshots
 *     |
 *   FETCHING   both fetch it; each says so when it is durable there and its identity says JOINING:
 *     |        it has no engine, so it neither votes nor acknowledges
 *   switch     the file gets its name among the snapshots of S: this rename decides. Then S begins
 *              anew behind it as a follower, and tells who asks that it is a member (DONE), which
 *              starts its engine.
 *
 * Any trouble before the switch, or GROW_PAUSE_MS of it, and S goes on alone: its log and snapshots
 * are as if nothing had been tried, and the file beside them means nothing. A crash before the
 * rename is durable does the same. After it S finds the snapshot, drops the log before it
 * (brings_configuration in raft/engine_open.c), and tells the others.
 *
 * Nobody decides while S decides alone: the others start only when told DONE, which takes their id
 * in the applied configuration of a member, which takes the switch. Nothing is lost: S switches
 * only with a log that ends where the snapshot does, so all that it ever acknowledged is in what
 * three disks hold. The two fetched the snapshot of this very attempt, by its index. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/node_internal.h"

#define GROW_PAUSE_MS  15000 /* at most; then S goes on alone */
#define GROW_WANTED_MS 3000  /* after the last question of who waits for it */
#define FRESH_MS       3000  /* who asked to join within that time waits for it */
#define FAILURE_MS     3000  /* who asks within that time is told why */
#define CAMPAIGN_MS    10

enum grow_phase {
    GROW_IDLE = 0,
    GROW_GATHERING,
    GROW_MARKING,
    GROW_DRAINING,
    GROW_TAKING,
    GROW_FETCHING
};

bool node_grow_is_paused(const struct node *n)
{
    return n->grow.phase >= GROW_DRAINING;
}

bool node_grow_is_under_way(const struct node *n)
{
    return n->grow.phase >= GROW_MARKING;
}

static uint64_t now_of(const struct node *n)
{
    return n->env->now_ms(n->env);
}

/* ---- the directory beside ---------------------------------------------------------------- */

static void grow_dir(const struct node *n, char path[NODE_PATH_BYTES])
{
    (void)snprintf(path, NODE_PATH_BYTES, "%s/grow", n->data_dir);
}

struct leftovers {
    struct node *node;
};

static void remove_one(void *context, const char *name, uint64_t bytes)
{
    const struct leftovers *l = context;
    char dir[NODE_PATH_BYTES];
    char path[NODE_PATH_BYTES + 256];
    (void)bytes;
    grow_dir(l->node, dir);
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    (void)l->node->env->disk->unlink(l->node->env, path);
}

/* Nothing in there means anything once an attempt is over: what stays only takes space. */
void node_grow_clean(struct node *n)
{
    char dir[NODE_PATH_BYTES];
    grow_dir(n, dir);
    (void)n->env->disk->list(n->env, dir, remove_one, &(struct leftovers){.node = n});
}

static void end_attempt(struct node *n)
{
    struct node_grow *g = &n->grow;
    g->phase = GROW_IDLE;
    g->file = (struct snapshot_file){.index = 0};
    if (g->snapshots != NULL) {
        snapshot_store_close(g->snapshots);
        g->snapshots = NULL;
        node_grow_clean(n);
    }
}

void node_grow_close(struct node *n)
{
    if (n->grow.snapshots != NULL) {
        snapshot_store_close(n->grow.snapshots);
        n->grow.snapshots = NULL;
    }
    buf_close(&n->grow.configuration);
}

static void give_up(struct node *n, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void give_up(struct node *n, const char *format, ...)
{
    struct node_grow *g = &n->grow;
    uint64_t now = now_of(n);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(g->failure, sizeof g->failure, format, args);
    va_end(args);
    g->failed_ms = now;
    log_warn(n->log, "member.grow_given_up", "paused_ms=%" PRIu64 " reason=\"%s\"",
             node_grow_is_paused(n) ? now - g->paused_ms : 0, g->failure);
    end_attempt(n);
}

/* ---- who asks to join -------------------------------------------------------------------- */

static struct grow_candidate *candidate_of(struct node *n, uint64_t id)
{
    for (size_t i = 0; i < GROW_CANDIDATES_MAX; i++) {
        if (n->grow.candidates[i].id == id) {
            return &n->grow.candidates[i];
        }
    }
    return NULL;
}

static bool is_fresh(const struct node *n, const struct grow_candidate *c)
{
    return c->id != 0 && now_of(n) < c->seen_ms + FRESH_MS;
}

static bool is_chosen(const struct node *n, uint64_t id)
{
    return n->grow.chosen[0] == id || n->grow.chosen[1] == id;
}

static struct grow_candidate *note_candidate(struct node *n,
                                             const struct message_member_ask *ask,
                                             const struct node_member *at)
{
    struct grow_candidate *c = candidate_of(n, ask->id);
    for (size_t i = 0; i < GROW_CANDIDATES_MAX && c == NULL; i++) {
        if (!is_fresh(n, &n->grow.candidates[i]) &&
            !(node_grow_is_under_way(n) && is_chosen(n, n->grow.candidates[i].id))) {
            c = &n->grow.candidates[i];
        }
    }
    if (c != NULL) {
        *c = (struct grow_candidate){.id = ask->id,
                                     .at = *at,
                                     .seen_ms = now_of(n),
                                     .learner = ask->learner,
                                     .held_index = ask->held_index,
                                     .held_term = ask->held_term};
    }
    return c;
}

/* Two are wanted: those that were named, or the only two that there are. Which were found. */
static size_t find_two(struct node *n, struct grow_candidate *found[GROW_CANDIDATES_MAX])
{
    struct node_grow *g = &n->grow;
    size_t count = 0;
    for (size_t i = 0; i < GROW_CANDIDATES_MAX; i++) {
        struct grow_candidate *c = &g->candidates[i];
        bool is_wanted = g->names[0][0] == '\0' || strcmp(g->names[0], c->at.name) == 0 ||
                         strcmp(g->names[1], c->at.name) == 0;
        if (is_fresh(n, c) && !c->learner && is_wanted) {
            found[count++] = c;
        }
    }
    return count;
}

static void put_voter(struct engine_configuration *c, uint64_t id, const struct node_member *at)
{
    struct engine_member *m = &c->members[c->count++];
    *m = (struct engine_member){.id = id, .role = ENGINE_VOTER};
    node_format_member(at, NULL, m->address, sizeof m->address);
}

static void choose(struct node *n, const struct grow_candidate *a,
                   const struct grow_candidate *b)
{
    struct engine_configuration c = {.count = 0};
    n->grow.chosen[0] = a->id;
    n->grow.chosen[1] = b->id;
    put_voter(&c, n->identity.node_id, &n->peer_address);
    put_voter(&c, a->id, &a->at);
    put_voter(&c, b->id, &b->at);
    buf_clear(&n->grow.configuration);
    engine_configuration_encode(&n->grow.configuration, &c);
}

/* ---- steps ------------------------------------------------------------------------------- */

static void note_progress(struct node *n, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void note_progress(struct node *n, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(n->grow.text, sizeof n->grow.text, format, args);
    va_end(args);
}

static void say_who_is_missing(struct node *n, struct grow_candidate *const *found, size_t count)
{
    const struct node_grow *g = &n->grow;
    if (g->names[0][0] == '\0') {
        note_progress(n,
                      "%s%s asked to join; two nodes are needed: start %s, with an empty data dir: "
                      "coordd --name NAME --peer-listen HOST:PORT --join HOST:PORT of this node",
                      count == 1 ? "only " : "nobody has", count == 1 ? found[0]->at.name : "",
                      count == 1 ? "one more" : "them");
        return;
    }
    if (count == 0) {
        note_progress(n, "%s and %s have not asked to join", g->names[0], g->names[1]);
        return;
    }
    bool has_first = strcmp(found[0]->at.name, g->names[0]) == 0;
    note_progress(n, "%s has not asked to join", g->names[has_first ? 1 : 0]);
}

static void gather(struct node *n, uint64_t now_ms)
{
    struct node_grow *g = &n->grow;
    struct grow_candidate *found[GROW_CANDIDATES_MAX];
    size_t count = find_two(n, found);
    g->chosen[0] = 0;
    g->chosen[1] = 0;
    if (now_ms >= g->wanted_ms) {
        g->phase = GROW_IDLE;
    } else if (count > 2) {
        give_up(n, "more than two nodes ask to join: name the two that shall become members");
    } else if (count < 2) {
        say_who_is_missing(n, found, count);
    } else if (strcmp(found[0]->at.name, found[1]->at.name) == 0) {
        give_up(n, "two nodes that ask to join are both called %s", found[0]->at.name);
    } else {
        choose(n, found[0], found[1]);
        bool first = peers_is_up(n->peers, found[0]->id);
        bool second = peers_is_up(n->peers, found[1]->id);
        if (first && second) {
            g->phase = GROW_MARKING;
            g->mark = engine_last_index(n->engine);
        } else {
            note_progress(n, "%s%s%s asked to join, and %s not connected yet",
                          first ? "" : found[0]->at.name, first || second ? "" : " and ",
                          second ? "" : found[1]->at.name, first || second ? "is" : "are");
        }
    }
}

static void mark(struct node *n, uint64_t now_ms)
{
    struct node_grow *g = &n->grow;
    char who[2 * NODE_NAME_BYTES_MAX];
    note_progress(n, "writes will be paused");
    if (engine_applied_index(n->engine) > g->mark) {
        g->phase = GROW_DRAINING;
        g->paused_ms = now_ms;
        log_info(n->log, "member.grow_pauses_writes", "limit_ms=%d", GROW_PAUSE_MS);
    } else if (engine_last_index(n->engine) == g->mark) {
        (void)snprintf(who, sizeof who, "%s,%s", candidate_of(n, g->chosen[0])->at.name,
                       candidate_of(n, g->chosen[1])->at.name);
        node_put_growth(n, who);
    }
}

static void on_taken(void *context, enum status rc, const struct snapshot_meta *meta)
{
    struct node *n = context;
    const struct snapshot_file *file = snapshot_store_latest(n->grow.snapshots);
    if (rc != RC_OK || file == NULL || file->index != meta->index) {
        n->grow.take_failed = true; /* it must not be closed from inside its callback */
        return;
    }
    n->grow.file = *file;
    n->grow.phase = GROW_FETCHING;
}

/* The log ends at what is applied, and is durable up to there. */
static bool is_drained(const struct node *n)
{
    uint64_t last = engine_last_index(n->engine);
    return engine_applied_index(n->engine) == last && store_applied_index(n->store) == last &&
           engine_stored_index(n->engine) == last && engine_is_settled(n->engine);
}

static void drain(struct node *n)
{
    struct node_grow *g = &n->grow;
    char dir[NODE_PATH_BYTES];
    struct errmsg err = {0};
    const struct snapshot_store_options so = {.env = n->env, .log = n->log};
    note_progress(n, "writes are paused, and the log is written out");
    if (!is_drained(n) || snapshot_store_is_taking(n->snapshots)) {
        return;
    }
    node_grow_clean(n);
    grow_dir(n, dir);
    if (snapshot_store_open(dir, &so, &g->snapshots, &err) != RC_OK) {
        give_up(n, "%s", err.text);
        return;
    }
    struct snapshot_meta meta = {.index = engine_last_index(n->engine),
                                 .term = n->applied_term,
                                 .configuration_index = engine_last_index(n->engine),
                                 .cluster_id = n->identity.cluster_id};
    buf_append_slice(&meta.configuration, buf_slice(&g->configuration));
    g->take_failed = false;
    g->phase = GROW_TAKING;
    if (snapshot_store_take(g->snapshots, n->store, &meta, on_taken, n) != RC_OK) {
        give_up(n, "its state cannot be written");
    }
    snapshot_meta_close(&meta);
}

static bool holds(struct node *n, uint64_t id)
{
    const struct grow_candidate *c = candidate_of(n, id);
    return c != NULL && c->held_index == n->grow.file.index &&
           c->held_term == n->grow.file.term;
}

/* ---- the switch -------------------------------------------------------------------------- */

static enum status begin_anew(struct node *n, struct errmsg *err)
{
    struct node_grow *g = &n->grow;
    char from[NODE_PATH_BYTES];
    grow_dir(n, from);
    char *path = snapshot_store_path(from, &g->file);
    enum status rc = snapshot_store_adopt(n->snapshots, path, &g->file, err);
    mem_free(path);
    if (rc != RC_OK) {
        return rc;
    }
    n->identity.initial = n->identity.cluster_id;
    rc = identity_save(n->env, n->data_dir, &n->identity, err);
    if (rc != RC_OK) {
        return rc;
    }
    const struct engine_snapshot s = {.index = g->file.index,
                                      .term = g->file.term,
                                      .configuration_index = g->file.index,
                                      .configuration = buf_slice(&g->configuration),
                                      .file_bytes = g->file.bytes};
    return node_restart_engine(n, &s, err);
}

static void switch_over(struct node *n, uint64_t now_ms)
{
    struct node_grow *g = &n->grow;
    struct errmsg err = {0};
    INVARIANT(25, is_drained(n) && engine_last_index(n->engine) == g->file.index &&
                      holds(n, g->chosen[0]) && holds(n, g->chosen[1]));
    enum status rc = begin_anew(n, &err);
    if (rc != RC_OK) {
        node_fatal(n, rc, err.text);
        return;
    }
    log_info(n->log, "member.grown", "index=%" PRIu64 " paused_ms=%" PRIu64, g->file.index,
             now_ms - g->paused_ms);
    end_attempt(n);
}

static void fetch(struct node *n, uint64_t now_ms)
{
    struct node_grow *g = &n->grow;
    bool first = holds(n, g->chosen[0]);
    bool second = holds(n, g->chosen[1]);
    if (first && second) {
        switch_over(n, now_ms);
        return;
    }
    note_progress(n, "writes are paused; %s%s%s fetch%s the state, %" PRIu64 " bytes",
                  first ? "" : candidate_of(n, g->chosen[0])->at.name,
                  first || second ? "" : " and ",
                  second ? "" : candidate_of(n, g->chosen[1])->at.name,
                  first || second ? "es" : "", g->file.bytes);
}

void node_grow_turn(struct node *n, uint64_t now_ms)
{
    struct node_grow *g = &n->grow;
    if (g->campaign_ms != 0 && now_ms >= g->campaign_ms) {
        g->campaign_ms = 0;
        engine_campaign(n->engine);
    }
    if (g->phase == GROW_IDLE) {
        return;
    }
    if (n->phase != NODE_RUNNING || !engine_is_single_voter(n->engine) ||
        n->leading_term == 0 || g->take_failed) {
        give_up(n, "%s", g->take_failed ? "its state could not be written" : "this node stops");
        g->take_failed = false;
        return;
    }
    if (node_grow_is_paused(n) && now_ms >= g->paused_ms + GROW_PAUSE_MS) {
        char text[sizeof g->text];
        memcpy(text, g->text, sizeof text);
        give_up(n, "not done within %d s (%s); this node goes on alone", GROW_PAUSE_MS / 1000,
                text);
        return;
    }
    switch ((enum grow_phase)g->phase) {
    case GROW_GATHERING: gather(n, now_ms); break;
    case GROW_MARKING: mark(n, now_ms); break;
    case GROW_DRAINING: drain(n); break;
    case GROW_TAKING: note_progress(n, "writes are paused, and the state is written"); break;
    case GROW_FETCHING: fetch(n, now_ms); break;
    case GROW_IDLE: break;
    }
    if (g->snapshots != NULL) {
        snapshot_store_advance(g->snapshots);
    }
}

uint64_t node_grow_deadline_ms(const struct node *n)
{
    if (n->grow.phase != GROW_IDLE) {
        return now_of(n) + 1;
    }
    return n->grow.campaign_ms != 0 ? n->grow.campaign_ms : UINT64_MAX;
}

/* ---- answers ----------------------------------------------------------------------------- */

static void say(struct node *n, struct message_member_tell *tell, enum member_verdict verdict,
                const char *format, ...) __attribute__((format(printf, 4, 5)));

static void say(struct node *n, struct message_member_tell *tell, enum member_verdict verdict,
                const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(n->membership.text, sizeof n->membership.text, format, args);
    va_end(args);
    tell->verdict = (uint8_t)verdict;
    tell->text = slice_str(n->membership.text);
}

void node_grow_judge(struct node *n, const char *names, struct message_member_tell *tell)
{
    struct node_grow *g = &n->grow;
    char a[NODE_NAME_BYTES_MAX] = "";
    char b[NODE_NAME_BYTES_MAX] = "";
    if (n->peers == NULL) {
        say(n, tell, MEMBER_REFUSED,
            "this node has no port for peers: start it again with --peer-listen");
        return;
    }
    if (names[0] != '\0' &&
        (sscanf(names, "%63[^,],%63[^,]", a, b) != 2 || strcmp(a, b) == 0 ||
         strcmp(a, n->name) == 0 || strcmp(b, n->name) == 0)) {
        say(n, tell, MEMBER_REFUSED, "name the two other members that it shall have, or nobody");
        return;
    }
    if (g->phase == GROW_IDLE && g->failure[0] != '\0' && now_of(n) < g->failed_ms + FAILURE_MS) {
        say(n, tell, MEMBER_REFUSED, "%s", g->failure);
        g->failure[0] = '\0';
        return;
    }
    bool is_same = strcmp(g->names[0], a) == 0 && strcmp(g->names[1], b) == 0;
    if (node_grow_is_under_way(n) && !is_same) {
        say(n, tell, MEMBER_REFUSED, "it grows with others already: %s", g->text);
        return;
    }
    if (g->phase == GROW_IDLE || !is_same) {
        memcpy(g->names[0], a, sizeof a);
        memcpy(g->names[1], b, sizeof b);
        g->failure[0] = '\0';
        g->phase = GROW_GATHERING;
        note_progress(n, "it begins");
    }
    g->wanted_ms = now_of(n) + GROW_WANTED_MS;
    say(n, tell, MEMBER_UNDER_WAY, "%s", g->text);
}

void node_grow_judge_join(struct node *n, const struct message_member_ask *ask,
                          const struct node_member *at, struct message_member_tell *tell)
{
    struct node_grow *g = &n->grow;
    if (strcmp(at->name, n->name) == 0) {
        say(n, tell, MEMBER_REFUSED, "a member is called %s already", at->name);
        return;
    }
    if (note_candidate(n, ask, at) == NULL) {
        say(n, tell, MEMBER_UNDER_WAY, "too many nodes ask to join");
        return;
    }
    if (g->phase == GROW_IDLE || !is_chosen(n, ask->id)) {
        say(n, tell, MEMBER_UNDER_WAY,
            "it is a single node: it grows when 'coordctl member grow' says so");
        return;
    }
    peers_add(n->peers, ask->id, at->name, at->host, at->port);
    say(n, tell, MEMBER_AWAITED, "it grows: %s", g->text);
    tell->cluster_id = n->identity.cluster_id;
    tell->configuration = buf_slice(&g->configuration);
    if (g->phase == GROW_FETCHING) {
        tell->offer_index = g->file.index;
        tell->offer_term = g->file.term;
        tell->offer_bytes = g->file.bytes;
    }
}

void node_grow_told(struct node *n)
{
    n->grow.campaign_ms = now_of(n) + CAMPAIGN_MS;
}
