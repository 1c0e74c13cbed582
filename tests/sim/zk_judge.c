/* What may be answered: by the tree at the zxid of the reply. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/sim/holder_internal.h"
#include "tests/sim/zk_client.h"

/* A member that is cut off goes on for so long in the belief that there is a leader, besides two
 * election timeouts: what is under way arrives late. */
#define CUT_OFF_US (1500 * MS)

/* ---- parts of replies -------------------------------------------------------------------- */

static bool stat_is(struct jute_in *in, const struct zk_state *s)
{
    uint64_t czxid = (uint64_t)jute_long(in);
    uint64_t mzxid = (uint64_t)jute_long(in);
    int64_t ctime = jute_long(in);
    int64_t mtime = jute_long(in);
    uint32_t version = (uint32_t)jute_int(in);
    uint32_t cversion = (uint32_t)jute_int(in);
    int32_t aversion = jute_int(in);
    uint64_t owner = (uint64_t)jute_long(in);
    uint32_t bytes = (uint32_t)jute_int(in);
    uint32_t children = (uint32_t)jute_int(in);
    uint64_t pzxid = (uint64_t)jute_long(in);
    return !in->failed && czxid == s->czxid && mzxid == s->mzxid && pzxid == s->pzxid &&
           version == s->version && cversion == 2 * s->creates - s->children && aversion == 0 &&
           owner == s->owner && bytes == s->data.bytes && children == s->children &&
           (s->version > 0 || mtime == ctime);
}

static bool path_is(struct jute_in *in, const char *path)
{
    struct slice told = jute_buffer(in).bytes;
    return slice_is(told, path);
}

static bool result_is(struct jute_in *in, int32_t type, const struct zk_result *r)
{
    switch (type) {
    case ZK_CREATE: return path_is(in, r->path);
    case ZK_CREATE2: return path_is(in, r->path) && stat_is(in, &r->state);
    case ZK_SET_DATA: return stat_is(in, &r->state);
    default: return true;
    }
}

/* The type that a result has in a multi, and whose body the reply of a single request has. */
static int32_t result_type(const struct zk_op *op, bool in_multi)
{
    bool is_plain = op->type == ZK_CREATE && (!in_multi || op->flags != ZK_FLAG_CONTAINER);
    return zk_op_is_create(op) && !is_plain ? ZK_CREATE2 : op->type;
}

static bool multi_is(struct jute_in *in, const struct zk_asked *a, enum zk_error error,
                     size_t failed, const struct zk_result *results)
{
    for (size_t i = 0; i < a->op_count; i++) {
        int32_t e = i < failed ? ZK_OK : i > failed ? ZK_RUNTIME_INCONSISTENCY : (int32_t)error;
        int32_t type = error == ZK_OK ? result_type(&a->ops[i], true) : ZK_ERROR;
        if (jute_int(in) != type || jute_bool(in) || jute_int(in) != (error == ZK_OK ? 0 : e)) {
            return false;
        }
        if (error == ZK_OK ? !result_is(in, type, &results[i]) : jute_int(in) != e) {
            return false;
        }
    }
    return jute_int(in) == -1 && jute_bool(in) && jute_int(in) == -1;
}

/* ---- writes ------------------------------------------------------------------------------ */

static bool changes_something(const struct zk_asked *a)
{
    return a->write != ZK_NONE;
}

/* The change is in the log as it was asked for, and nobody else's. */
static void check_log(struct zk_client *k, const struct zk_asked *a, uint64_t revision)
{
    const struct oracle *o = k->all->oracle;
    size_t from = oracle_seek(o, revision);
    size_t to = oracle_seek(o, revision + 1);
    bool is_right = zk_ops_made(a->ops, a->op_count, &o->changes[from], to - from);
    for (size_t i = from; i < to; i++) {
        is_right = is_right && o->changes[i].session == zk_session(k)->id;
    }
    if (!is_right) {
        zk_fail(k, "%s of %s is acknowledged at %" PRIu64 ", but the log has something else",
                zk_type_name(a->type), a->ops[0].path, revision);
    }
    if (revision <= k->reply_zxid) {
        zk_fail(k, "%s of %s was executed at %" PRIu64 ", before what was answered at %" PRIu64,
                zk_type_name(a->type), a->ops[0].path, revision, k->reply_zxid);
    }
}

static void session_must_be_gone(struct zk_client *k)
{
    const struct oracle_lease *lease = oracle_lease(k->all->oracle, zk_session(k)->id);
    if (lease == NULL || lease->gone_index == 0) {
        zk_fail(k, "is told that session %" PRIx64 " has ended, but it is there",
                zk_session(k)->id);
    }
}

static void judge_write(struct zk_client *k, const struct zk_asked *a, uint64_t zxid,
                        int32_t told, struct jute_in in)
{
    struct zk_result results[ZK_OPS_MAX];
    struct zk_write_record *record = a->write == ZK_NONE ? NULL : &k->all->writes[a->write];
    size_t failed = a->op_count;
    bool in_body = a->type == ZK_MULTI;
    if (told == ZK_SESSION_EXPIRED) {
        session_must_be_gone(k);
        if (record != NULL) {
            record->fate = ZK_FAILED;
        }
        return;
    }
    uint64_t id = zk_session(k)->id;
    /* Whoever fails fails where it stands; who succeeds has made the revision. */
    enum zk_error error =
        zk_tree_try(&k->all->tree, zxid, id, a->ops, a->op_count, results, &failed);
    bool says_ok = told == ZK_OK;
    if (in_body && says_ok && a->op_count > 0) {
        struct jute_in head = in;
        says_ok = jute_int(&head) != ZK_ERROR;
    }
    if (says_ok && changes_something(a)) {
        failed = a->op_count;
        error = zk_tree_try(&k->all->tree, zxid - 1, id, a->ops, a->op_count, results, &failed);
        check_log(k, a, zxid);
    }
    bool is_right = in_body ? told == ZK_OK && multi_is(&in, a, error, failed, results)
                            : told == (int32_t)error &&
                                  (error != ZK_OK ||
                                   result_is(&in, result_type(&a->ops[0], false), &results[0]));
    if (!is_right || in.failed || in.rest.size > 0) {
        zk_fail(k, "%s of %s is answered %d at %" PRIu64 ", which the tree does not say (%d)",
                zk_type_name(a->type), a->op_count > 0 ? a->ops[0].path : "nothing", told, zxid,
                error);
    }
    if (zxid < a->told && a->op_count > 0) {
        zk_fail(k, "%s of %s ran at %" PRIu64 ", though %" PRIu64 " was known when it was sent",
                zk_type_name(a->type), a->ops[0].path, zxid, a->told);
    }
    if (record != NULL) {
        record->fate = says_ok ? ZK_DONE : ZK_FAILED;
        record->revision = says_ok ? zxid : 0;
        k->all->acked++;
        k->moved++;
    }
}

/* ---- reads ------------------------------------------------------------------------------- */

static bool names_are(struct zk_client *k, struct jute_in *in, const char *path, uint64_t zxid)
{
    const struct zk_tree *t = &k->all->tree;
    size_t count;
    size_t *places = zk_tree_children(t, path, zxid, &count);
    size_t skip = strlen(path) + 1;
    bool is_right = jute_count(in, 4) == count;
    for (size_t i = 0; i < count && is_right; i++) {
        struct slice child = t->paths[places[i]].path;
        is_right = slice_equal(jute_buffer(in).bytes,
                               slice_make(child.data + skip, child.size - skip));
    }
    mem_free(places);
    return is_right;
}

static bool ephemerals_are(struct zk_client *k, struct jute_in *in, const char *prefix,
                           uint64_t zxid)
{
    const struct zk_tree *t = &k->all->tree;
    size_t count = 0;
    char path[ZK_PATH_BYTES + 12];
    for (size_t i = 0; i < t->count; i++) {
        (void)snprintf(path, sizeof path, "%.*s", (int)t->paths[i].path.size,
                       (const char *)t->paths[i].path.data);
        count += strncmp(path, prefix, strlen(prefix)) == 0 &&
                 zk_tree_at(t, path, zxid).owner == zk_session(k)->id;
    }
    size_t told = jute_count(in, 4);
    for (size_t i = 0; i < told; i++) {
        struct slice one = jute_buffer(in).bytes;
        (void)snprintf(path, sizeof path, "%.*s", (int)one.size, (const char *)one.data);
        if (zk_tree_at(t, path, zxid).owner != zk_session(k)->id) {
            return false;
        }
    }
    return told == count;
}

static bool body_is(struct zk_client *k, const struct zk_asked *a, uint64_t zxid,
                    const struct zk_state *s, struct jute_in *in)
{
    const char *path = a->ops[0].path;
    switch (a->type) {
    case ZK_EXISTS: return stat_is(in, s);
    case ZK_GET_DATA: return oracle_value_is(&s->data, jute_buffer(in).bytes) && stat_is(in, s);
    case ZK_GET_CHILDREN: return names_are(k, in, path, zxid);
    case ZK_GET_CHILDREN2: return names_are(k, in, path, zxid) && stat_is(in, s);
    case ZK_GET_ALL_CHILDREN_NUMBER:
        return (uint32_t)jute_int(in) == zk_tree_descendants(&k->all->tree, path, zxid);
    case ZK_GET_EPHEMERALS: return ephemerals_are(k, in, path, zxid);
    case ZK_SYNC: return path_is(in, path);
    default: return true;
    }
}

static void judge_read(struct zk_client *k, const struct zk_asked *a, uint64_t zxid,
                       int32_t told, struct jute_in in)
{
    const struct zk_op *op = &a->ops[0];
    struct zk_state s = zk_tree_at(&k->all->tree, op->path, zxid);
    bool needs_node = a->type != ZK_SYNC && a->type != ZK_GET_EPHEMERALS;
    int32_t error = needs_node && !s.exists ? ZK_NO_NODE : ZK_OK;
    bool is_right = told == error && (error != ZK_OK || body_is(k, a, zxid, &s, &in));
    if (!is_right || in.failed || in.rest.size > 0) {
        zk_fail(k, "%s of %s is answered %d at %" PRIu64 ", which the tree does not say (%d)",
                zk_type_name(a->type), op->path, told, zxid, error);
    }
    if (op->watch && (s.exists || a->type == ZK_EXISTS)) {
        bool of_children = a->type == ZK_GET_CHILDREN || a->type == ZK_GET_CHILDREN2;
        zk_watch_arm(k, op->path, of_children ? ZK_CHILDREN : ZK_DATA, !s.exists);
    }
    if (a->type == ZK_SYNC) {
        struct zk_session *session = zk_session(k);
        if (zxid < a->told) {
            zk_fail(k, "a sync ends at %" PRIu64 ", though %" PRIu64 " was told before it",
                    zxid, a->told);
        }
        session->proof = a->proof;
        session->proof.trusted_until_us += holder_trust_us(session->timeout_ms);
        session->is_calm = k->all->is_calm && !k->all->is_ending;
    }
}

/* ---- the connection's own ---------------------------------------------------------------- */

static void judge_add_watch(struct zk_client *k, const struct zk_asked *a, int32_t told,
                            struct jute_in in)
{
    if (told != ZK_OK || jute_int(&in) != 0 || in.failed || in.rest.size > 0) {
        zk_fail(k, "addWatch is answered %d", told);
    }
    zk_watch_arm(k, a->ops[0].path, a->ops[0].flags == 0 ? ZK_PERSISTENT : ZK_RECURSIVE, false);
}

static void judge_remove_watches(struct zk_client *k, const struct zk_asked *a, int32_t told)
{
    static const uint8_t kinds[] = {0,
                                    ZK_CHILDREN,
                                    ZK_DATA,
                                    ZK_CHILDREN | ZK_DATA | ZK_PERSISTENT | ZK_RECURSIVE,
                                    ZK_PERSISTENT,
                                    ZK_RECURSIVE};
    bool has = zk_watch_has(k, a->ops[0].path, kinds[a->ops[0].flags], true);
    if (told != (has ? ZK_OK : ZK_NO_WATCHER)) {
        zk_fail(k, "removeWatches %d of %s is answered %d", a->ops[0].flags, a->ops[0].path,
                told);
    }
}

/* Who is told that its session lives long after its end is deceived. */
static void judge_ping(struct zk_client *k, const struct zk_asked *a, int32_t told)
{
    const struct cluster *c = k->all->cluster;
    const struct oracle_lease *lease = oracle_lease(k->all->oracle, zk_session(k)->id);
    uint64_t slow_us = (uint64_t)c->options.election_timeout_ms * MS * 3;
    if (told != ZK_OK) {
        zk_fail(k, "a ping is answered %d", told);
    }
    if (lease != NULL && lease->gone_index != 0 &&
        c->nodes[k->node].host.paused_until_us < lease->gone_us &&
        a->sent_us > lease->gone_us + slow_us + CUT_OFF_US) {
        zk_fail(k,
                "a ping is answered that was sent %" PRIu64 " us after session %" PRIx64
                " had ended",
                a->sent_us - lease->gone_us, zk_session(k)->id);
    }
}

static void judge_close(struct zk_client *k, int32_t told)
{
    session_must_be_gone(k);
    if (told != ZK_OK && told != ZK_SESSION_EXPIRED) {
        zk_fail(k, "closeSession is answered %d", told);
    }
    k->session = ZK_NONE;
    k->armed_count = 0;
    zk_drop(k);
}

static void judge(struct zk_client *k, const struct zk_asked *a, uint64_t zxid, int32_t told,
                  struct jute_in in)
{
    switch (a->type) {
    case ZK_CREATE:
    case ZK_CREATE2:
    case ZK_CREATE_CONTAINER:
    case ZK_CREATE_TTL:
    case ZK_DELETE:
    case ZK_SET_DATA:
    case ZK_MULTI: judge_write(k, a, zxid, told, in); return;
    case ZK_ADD_WATCH: judge_add_watch(k, a, told, in); return;
    case ZK_REMOVE_WATCHES: judge_remove_watches(k, a, told); return;
    case ZK_SET_WATCHES:
    case ZK_SET_WATCHES2:
        if (told != ZK_OK) {
            zk_fail(k, "setWatches is answered %d", told);
        }
        zk_watch_restored(k, a, zxid);
        return;
    case ZK_PING: judge_ping(k, a, told); return;
    case ZK_CLOSE_SESSION: judge_close(k, told); return;
    default: judge_read(k, a, zxid, told, in); return;
    }
}

void zk_judge_reply(struct zk_client *k, int64_t zxid, int32_t error, struct jute_in body)
{
    struct zk_asked a = k->pending[0];
    k->all->replies++;
    if (zxid <= 0) {
        zk_fail(k, "%s is answered with zxid %" PRId64, zk_type_name(a.type), zxid);
        return;
    }
    zk_watch_reply(k, (uint64_t)zxid);
    k->pending_count--;
    memmove(k->pending, k->pending + 1, k->pending_count * sizeof a);
    judge(k, &a, (uint64_t)zxid, error, body);
    k->reply_zxid = (uint64_t)zxid;
}

/* ---- the end of sessions ----------------------------------------------------------------- */

static struct zk_session *session_find(struct zk_clients *all, uint64_t id)
{
    for (size_t i = all->session_count; i > 0; i--) {
        if (all->sessions[i - 1].id == id) {
            return &all->sessions[i - 1];
        }
    }
    return NULL;
}

void zk_session_gone(void *context, const struct oracle_lease *lease)
{
    struct zk_clients *all = context;
    const struct cluster *c = all->cluster;
    const struct zk_session *s = session_find(all, lease->id);
    if (s == NULL || s->timeout_ms == 0) {
        return;
    }
    bool was_closed =
        lease->end_revision != 0 ? lease->end_reason == REASON_CLOSED : s->is_close_sent;
    if (lease->end_revision != 0 && lease->end_reason != REASON_EXPIRED &&
        !(was_closed && s->is_close_sent)) {
        world_fail(&all->cluster->world, "session %" PRIx64 " ended for reason %u", s->id,
                   lease->end_reason);
    }
    if (was_closed) {
        return;
    }
    if (s->is_calm) {
        world_fail(&all->cluster->world,
                   "session %" PRIx64 " expired though its client pings in time", s->id);
    }
    /* A resume whose reply was lost may have made it another time. */
    if (!proof_ttl_has_passed(c, &s->proof, lease->ttl_ms)) {
        world_fail(&all->cluster->world,
                   "session %" PRIx64 " expired early: of %" PRIu64 " ms, heard %" PRIu64
                   " us ago",
                   s->id, lease->ttl_ms, c->world.now_us - s->proof.at_us);
    }
    if (c->jumped_us < s->proof.at_us && lease->ttl_ms == s->timeout_ms &&
        station_now_us(s->proof.station) < s->proof.trusted_until_us) {
        world_fail(&all->cluster->world,
                   "session %" PRIx64 " of %" PRIu64 " ms expired while its client trusted it",
                   s->id, s->timeout_ms);
    }
}

/* ---- the log ----------------------------------------------------------------------------- */

/* Something of it cannot be mistaken for another's. */
static bool is_unique(const struct zk_write_record *w)
{
    for (size_t i = 0; i < w->op_count; i++) {
        if (zk_op_changes(&w->ops[i]) && w->ops[i].type != ZK_DELETE) {
            return true;
        }
    }
    return false;
}

/* Cannot fail, if it is executed at all while its session is there. */
static bool is_sure(const struct zk_write_record *w)
{
    return w->op_count == 1 && zk_op_is_sequential(&w->ops[0]) &&
           strncmp(w->ops[0].path, "/z/q/", 5) == 0;
}

/* Who asked for what is in the log at `revision`. */
static void find_owner(struct zk_clients *all, uint64_t session, uint64_t revision)
{
    const struct oracle *o = all->oracle;
    size_t from = oracle_seek(o, revision);
    size_t to = oracle_seek(o, revision + 1);
    for (size_t i = 0; i < all->write_count; i++) {
        struct zk_write_record *w = &all->writes[i];
        bool is_open = w->session == session &&
                       (w->fate == ZK_DONE ? w->revision == revision
                                           : w->fate == ZK_LOST && w->revision == 0);
        if (is_open && zk_ops_made(w->ops, w->op_count, &o->changes[from], to - from)) {
            w->revision = revision;
            return;
        }
    }
    world_fail(&all->cluster->world,
               "revision %" PRIu64 " of session %" PRIx64
               ": nobody asked for it, or was told that it failed, or it is there twice (%.*s)",
               revision, session, (int)o->changes[from].path.size,
               (const char *)o->changes[from].path.data);
}

/* Of one session: in order, also from one connection to the next; of one connection: nothing left
 * out before something that was executed. */
static void check_order(const struct zk_clients *all, size_t at)
{
    const struct zk_write_record *w = &all->writes[at];
    for (size_t i = at + 1; i < all->write_count; i++) {
        const struct zk_write_record *later = &all->writes[i];
        if (later->session != w->session || later->revision == 0 || !is_unique(later)) {
            continue;
        }
        if (later->connection != w->connection && !w->is_greeted) {
            return;
        }
        bool was_skipped = w->fate == ZK_LOST && w->revision == 0 && is_sure(w) &&
                           later->connection == w->connection;
        if (was_skipped || (is_unique(w) && w->revision > later->revision)) {
            world_fail(&all->cluster->world,
                       "zookeeper connections %" PRIu64 " and %" PRIu64
                       ": %s, sent behind %s, was executed at %" PRIu64 ", that at %" PRIu64
                       " (0: never)",
                       w->connection, later->connection, later->ops[0].path, w->ops[0].path,
                       later->revision, w->revision);
        }
        return;
    }
}

void zk_judge_log(struct zk_clients *all)
{
    const struct oracle *o = all->oracle;
    uint64_t last = 0;
    for (size_t i = 0; i < o->change_count && !all->cluster->world.failed; i++) {
        const struct oracle_change *c = &o->changes[i];
        if (c->revision != last && c->reason == REASON_REQUEST &&
            session_find(all, c->session) != NULL) {
            find_owner(all, c->session, c->revision);
        }
        last = c->revision;
    }
    for (size_t i = 0; i < all->write_count && !all->cluster->world.failed; i++) {
        check_order(all, i);
    }
}
