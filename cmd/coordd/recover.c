/* coordd recover: a new cluster out of what is left of one that has lost its quorum. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/coordd/offline.h"
#include "raft/snapshot_store.h"
#include "raft/survivor.h"

static const struct offline_usage usage = {
    .name = "recover",
    .text =
        "coordd recover: makes a new cluster out of what is left of one that lost its "
        "quorum\n\n"
        "usage: coordd recover --data-dir DIR [--data-dir DIR]... [--into NEW --yes]\n"
        "       coordd recover --data-dir DIR [--data-dir DIR]... --save FILE\n\n"
        "Show it the data dirs of all members that are left, copied to one machine if need\n"
        "be, with their members stopped. It picks the most advanced one and says what will\n"
        "be lost. Without --yes nothing is done. The old data dirs are only read.\n\n"
        "The new cluster has an id of its own. Sessions and leases have ended, with their\n"
        "ephemeral nodes; the revision has grown by 2^40; watchers are told COMPACTED.\n"
        "If a majority of the members can still be started: do that instead.\n",
    .examples =
        "What is there, then a single node:\n"
        "  coordd recover --data-dir ./coord.data\n"
        "  coordd recover --data-dir ./coord.data --into ./coord.new --yes\n"
        "  mv coord.data coord.lost && mv coord.new coord.data\n"
        "  coordd --data-dir ./coord.data --name n1\n"
        "Three members again, at once: a backup of what is left, restored on each:\n"
        "  coordd recover --data-dir ./n1.data --data-dir ./n2.data --save left.db\n"
        "  coordd restore --from left.db --initial-cluster ... (see coordd restore --help)\n\n"
        "Exit codes: 0 done; 1 no data dir can be read, a member still runs, NEW is not "
        "empty,\n"
        "the disk failed; 2 settings; 3 nothing was done, as there was no --yes.\n",
};

struct recover {
    struct offline *offline;
    struct config config;
    struct offline_flag *flags;
    const char *into;
    const char *save;
    bool is_confirmed;
    bool is_named; /* else it has the name of the most advanced member */
    struct survivor survivors[OFFLINE_VALUES_MAX];
    size_t count;
    const struct survivor *best;
    struct store *store;
    struct replay replay;
    struct errmsg err;
};

/* ---- settings ----------------------------------------------------------------------------- */

static enum status read_settings(struct recover *r)
{
    const char *token = offline_value(r->flags, "token");
    r->into = offline_value(r->flags, "into");
    r->save = offline_value(r->flags, "save");
    r->is_named = r->config.member_count > 0 || strcmp(r->config.name, "coord") != 0;
    r->is_confirmed = offline_flag(r->flags, "yes")->count > 0;
    if (offline_value(r->flags, "data-dir") == NULL) {
        return errmsg_set(&r->err, RC_INVALID, "--data-dir DIR is missing, try --help");
    }
    const struct offline_flag *dirs = offline_flag(r->flags, "data-dir");
    for (size_t i = 0; i < dirs->count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(dirs->values[i], dirs->values[j]) == 0) {
                return errmsg_set(&r->err, RC_INVALID, "--data-dir %.120s is given twice",
                                  dirs->values[i]);
            }
        }
    }
    if (r->is_confirmed && r->into == NULL) {
        return errmsg_set(&r->err, RC_INVALID,
                          "--yes to what? --into NEW says where the new data dir goes");
    }
    if (token != NULL && strlen(token) >= REBIRTH_TOKEN_BYTES_MAX) {
        return errmsg_set(&r->err, RC_INVALID, "--token has %zu characters, at most %d",
                          strlen(token), REBIRTH_TOKEN_BYTES_MAX - 1);
    }
    if (r->into != NULL && strlen(r->into) >= sizeof r->config.data_dir) {
        return errmsg_set(&r->err, RC_INVALID, "--into: the path is too long");
    }
    return RC_OK;
}

/* ---- what is left ------------------------------------------------------------------------- */

/* One that cannot be read does not spoil the others; one that runs does. */
static enum status look_at(struct recover *r, const char *dir)
{
    struct survivor *s = &r->survivors[r->count];
    struct errmsg err = {0};
    enum status rc = survivor_open(offline_env(r->offline), dir, s, &err);
    if (rc == RC_LOCKED) {
        r->err = err;
        return rc;
    }
    if (rc != RC_OK) {
        offline_say("unusable", "%s", err.text);
        r->err = err;
        return RC_OK;
    }
    for (size_t i = 0; i < r->count; i++) {
        const struct survivor *other = &r->survivors[i];
        if (other->identity.cluster_id != s->identity.cluster_id) {
            rc = errmsg_set(&r->err, RC_INVALID,
                            "%s is of cluster %016" PRIx64 ", %s of cluster %016" PRIx64, dir,
                            s->identity.cluster_id, other->dir, other->identity.cluster_id);
        } else if (other->identity.node_id == s->identity.node_id) {
            rc = errmsg_set(&r->err, RC_INVALID, "%s and %s are both of member \"%s\"",
                            other->dir, dir, s->identity.name);
        }
    }
    r->count++;
    return rc;
}

static enum status look_at_all(struct recover *r)
{
    const struct offline_flag *dirs = offline_flag(r->flags, "data-dir");
    for (size_t i = 0; i < dirs->count; i++) {
        enum status rc = look_at(r, dirs->values[i]);
        if (rc != RC_OK) {
            return rc;
        }
    }
    if (r->count == 0) {
        return r->err.rc; /* said already why, of each */
    }
    r->best = survivors_best(r->survivors, r->count);
    return RC_OK;
}

static const struct survivor *shown(const struct recover *r, uint64_t id)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->survivors[i].identity.node_id == id) {
            return &r->survivors[i];
        }
    }
    return NULL;
}

/* ---- the report --------------------------------------------------------------------------- */

static void say_dirs(const struct recover *r)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct survivor *s = &r->survivors[i];
        offline_say("data-dir",
                    "%s, member %s: last entry %" PRIu64 " of term %" PRIu64
                    ", snapshot at %" PRIu64 "%s",
                    s->dir, s->identity.name, s->last_index, s->last_term, s->snapshot_index,
                    s == r->best ? ", the most advanced" : "");
        if (s->identity.phase == IDENTITY_REMOVED) {
            offline_say("note", "%s was removed from the cluster before", s->identity.name);
        }
        if (s->snapshots_damaged > 0) {
            offline_say("note",
                        "%" PRIu64 " newer snapshot of %s is damaged; an older one does",
                        s->snapshots_damaged, s->identity.name);
        }
    }
}

/* The voters that were not shown may hold more than anybody shown, unless these are a majority. */
static void say_losses(const struct recover *r)
{
    const struct engine_configuration *c = &r->best->configuration;
    size_t voters;
    size_t present = survivors_voting(c, r->survivors, r->count, &voters);
    for (size_t i = 0; i < c->count; i++) {
        const char *address = c->members[i].address; /* name=host:port */
        offline_say("member", "%.*s, %s, %s", (int)strcspn(address, "="), address,
                    c->members[i].role == ENGINE_VOTER ? "voter" : "no voter",
                    shown(r, c->members[i].id) != NULL ? "shown" : "not shown");
    }
    uint64_t above = r->best->last_index - r->best->snapshot_index;
    if (survivors_are_quorum(r->best, r->survivors, r->count)) {
        offline_say("lost",
                    "nothing that was acknowledged: %zu of %zu voters were shown, a "
                    "majority; if these members can be started, start them instead",
                    present, voters);
    } else {
        offline_say(
            "lost",
            "what was acknowledged after entry %" PRIu64
            ", if the %zu of %zu voters that were not shown, or members before them, did "
            "that without %s",
            r->best->last_index, voters - present, voters, r->best->identity.name);
    }
    offline_say("unknown",
                "which of the %" PRIu64 " entries above the snapshot were acknowledged: all of "
                "them are kept",
                above);
}

static enum status load_best(struct recover *r)
{
    enum status rc = survivor_load(r->best, &r->store, &r->replay, &r->err);
    if (rc == RC_OK) {
        store_check(r->store);
        offline_say("of-cluster", "%016" PRIx64, r->best->identity.cluster_id);
        offline_say_state(r->store, r->replay.wall_ms);
    }
    return rc;
}

/* ---- the outcome -------------------------------------------------------------------------- */

static enum status save(struct recover *r)
{
    struct snapshot_meta meta = {
        .term = r->replay.term,
        .configuration_index = r->replay.configuration_index,
        .configuration = r->replay.configuration,
        .cluster_id = r->best->identity.cluster_id,
    };
    enum status rc =
        snapshot_write_file(offline_env(r->offline), r->save, r->store, &meta, &r->err);
    if (rc == RC_OK) {
        offline_say("saved", "%s", r->save);
    }
    return rc;
}

static enum status act(struct recover *r)
{
    char token[REBIRTH_TOKEN_BYTES_MAX];
    struct rebirth_report report;
    struct rebirth_options options = {.term = r->replay.term,
                                      .cluster_id = r->best->identity.cluster_id};
    snprintf(r->config.data_dir, sizeof r->config.data_dir, "%s", r->into);
    if (!r->is_named) {
        memcpy(r->config.name, r->best->identity.name, sizeof r->config.name);
    }
    enum status rc = offline_rebirth(r->offline, &r->config, offline_value(r->flags, "token"),
                                     &options, r->store, token, &report, &r->err);
    if (rc != RC_OK) {
        return rc;
    }
    offline_audit(r->offline, &r->config, "coordd recover", r->best->dir, &report);
    if (r->config.member_count > 1) {
        offline_say("token", "%s", token);
        offline_say(
            "result",
            "recovered one of %zu members; the others: coordd recover with --save FILE, "
            "then coordd restore --from FILE with this --token and --initial-cluster",
            r->config.member_count);
    } else {
        offline_say("result", "recovered");
    }
    return RC_OK;
}

static enum status run(struct recover *r, bool *is_done)
{
    enum status rc = RC_OK;
    if (r->into != NULL) {
        rc = rebirth_check_dir(offline_env(r->offline), r->into, &r->err);
    }
    if (rc == RC_OK) {
        rc = look_at_all(r);
    }
    if (rc == RC_OK) {
        say_dirs(r);
        say_losses(r);
        rc = load_best(r);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (r->save != NULL) {
        rc = save(r);
        *is_done = true;
    }
    if (rc == RC_OK && r->is_confirmed) {
        rc = act(r);
        *is_done = true;
    }
    if (rc == RC_OK && !*is_done) {
        offline_say("result", "nothing was done: --into NEW --yes makes a new cluster, --save "
                              "FILE a backup to restore members from");
    }
    replay_close(&r->replay);
    store_free(r->store);
    return rc;
}

int recover_run(int argc, char **argv)
{
    struct offline_flag flags[] = {
        {.name = "data-dir",
         .takes = "DIR",
         .max = OFFLINE_VALUES_MAX,
         .help = "of a member that is left; once for each"},
        {.name = "into", .takes = "NEW", .max = 1, .help = "the data dir to be made"},
        {.name = "yes", .max = 1, .help = "make it"},
        {.name = "save", .takes = "FILE", .max = 1, .help = "write what is left as a backup"},
        {.name = "token", .takes = "TOKEN", .max = 1, .help = "of the first member restored"},
        {.name = NULL},
    };
    struct recover r = {.flags = flags};
    bool is_done = false;
    enum status rc = offline_parse(argc, argv, &usage, flags, &r.config, &r.err);
    if (rc == RC_STOPPED) {
        return OFFLINE_DONE;
    }
    if (rc == RC_OK) {
        rc = read_settings(&r);
    }
    if (rc != RC_OK) {
        fprintf(stderr, "coordd recover: %s\n", r.err.text);
        return OFFLINE_SETTINGS;
    }
    r.offline = offline_open();
    rc = run(&r, &is_done);
    for (size_t i = 0; i < r.count; i++) {
        survivor_close(&r.survivors[i]);
    }
    offline_close(r.offline);
    (void)fflush(stdout);
    if (rc != RC_OK) {
        fprintf(stderr, "coordd recover: %s\n", r.err.text);
        return OFFLINE_FAILED;
    }
    return is_done ? OFFLINE_DONE : OFFLINE_UNCONFIRMED;
}
