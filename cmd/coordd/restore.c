/* coordd restore: the data dir of a new cluster, out of a backup and, to a later point, archived
 * log. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/coordd/offline.h"
#include "raft/archive.h"

static const struct offline_usage usage = {
    .name = "restore",
    .text =
        "coordd restore: makes the data dir of a new cluster out of a backup\n\n"
        "usage: coordd restore --from FILE [--data-dir DIR] [--FLAG VALUE]...\n"
        "       coordd restore --from FILE --verify\n\n"
        "Of a directory of backups it takes the latest one that is whole and from before the\n"
        "point that is asked for.\n\n"
        "The new cluster has an id of its own. Sessions and leases have ended, with their\n"
        "ephemeral nodes; the revision has grown by 2^40, so that it never goes back for\n"
        "anybody; watchers are told COMPACTED. Nothing is ever overwritten.\n",
    .examples =
        "A single node:\n"
        "  coordd restore --from backup.db --data-dir ./coord.data\n"
        "  coordd --data-dir ./coord.data\n"
        "Three members: on each machine, with the token that the first one prints:\n"
        "  coordd restore --from backup.db --data-dir ./coord.data --name n1 \\\n"
        "      --initial-cluster n1=10.0.0.1:7500,n2=10.0.0.2:7500,n3=10.0.0.3:7500\n"
        "  coordd restore --from backup.db --data-dir ./coord.data --name n2 --token TOKEN \\\n"
        "      --initial-cluster n1=10.0.0.1:7500,n2=10.0.0.2:7500,n3=10.0.0.3:7500\n"
        "To a point in time, and a drill that touches nothing:\n"
        "  coordd restore --from ./backups --archive ./archive --to-time 2026-01-31T12:00:00Z\n"
        "  coordd restore --from backup.db --verify\n\n"
        "Exit codes: 0 restored, or proven by --verify; 1 the file is damaged, the archive "
        "does\n"
        "not reach so far, the data dir is not empty or in use, the disk failed; 2 settings.\n",
};

struct restore {
    struct offline *offline;
    struct config config;
    struct offline_flag *flags;
    const char *from;
    const char *archive; /* NULL = none */
    bool is_drill;
    struct replay_target target;
    struct restore_backup backup;
    struct store *store; /* the backup's */
    struct replay replay;
    uint64_t wall_ms; /* of the last change known */
    struct errmsg err;
};

/* ---- settings ----------------------------------------------------------------------------- */

static enum status read_target(struct restore *r)
{
    const char *time = offline_value(r->flags, "to-time");
    enum status rc = offline_number(r->flags, "to-revision", &r->target.revision, &r->err);
    if (rc == RC_OK) {
        rc = offline_number(r->flags, "to-index", &r->target.index, &r->err);
    }
    if (rc == RC_OK && time != NULL && !offline_time_parse(time, &r->target.wall_ms)) {
        return errmsg_set(&r->err, RC_INVALID,
                          "--to-time: '%.60s' is not a time like 2026-01-31T12:00:00Z or "
                          "2026-01-31T14:00:00.500+02:00",
                          time);
    }
    if (rc != RC_OK) {
        return rc;
    }
    int targets = (r->target.revision != 0) + (r->target.index != 0) + (time != NULL);
    if (targets > 1) {
        return errmsg_set(&r->err, RC_INVALID,
                          "--to-revision, --to-index and --to-time exclude each other");
    }
    if (targets == 1 && r->archive == NULL) {
        return errmsg_set(&r->err, RC_INVALID,
                          "to a point after the backup needs --archive DIR");
    }
    return RC_OK;
}

static enum status read_settings(struct restore *r)
{
    const char *token = offline_value(r->flags, "token");
    r->from = offline_value(r->flags, "from");
    r->archive = offline_value(r->flags, "archive");
    r->is_drill = offline_flag(r->flags, "verify")->count > 0;
    if (r->from == NULL) {
        return errmsg_set(&r->err, RC_INVALID, "--from FILE is missing, try --help");
    }
    if (token != NULL && strlen(token) >= REBIRTH_TOKEN_BYTES_MAX) {
        return errmsg_set(&r->err, RC_INVALID, "--token has %zu characters, at most %d",
                          strlen(token), REBIRTH_TOKEN_BYTES_MAX - 1);
    }
    return read_target(r);
}

/* ---- the state ---------------------------------------------------------------------------- */

static enum status load(struct restore *r)
{
    enum status rc = restore_backup_load(r->offline, r->from, &r->target, &r->backup, &r->err);
    if (rc != RC_OK) {
        return rc;
    }
    r->store = r->backup.store;
    r->wall_ms = r->backup.wall_ms;
    offline_say("backup", "%s", r->backup.path);
    offline_say("of-cluster", "%016" PRIx64, r->backup.meta.cluster_id);
    offline_say_state(r->store, r->wall_ms);
    return RC_OK;
}

static enum status check_target(struct restore *r)
{
    char have[OFFLINE_TIME_BYTES];
    char want[OFFLINE_TIME_BYTES];
    const struct replay_target *t = &r->target;
    if (t->revision != 0 && t->revision < store_revision(r->store)) {
        return errmsg_set(&r->err, RC_INVALID,
                          "--to-revision %" PRIu64
                          " is before the backup, which is at revision "
                          "%" PRIu64 ": take an earlier backup",
                          t->revision, store_revision(r->store));
    }
    if (t->index != 0 && t->index < r->backup.meta.index) {
        return errmsg_set(&r->err, RC_INVALID,
                          "--to-index %" PRIu64 " is before the backup, which is at index "
                          "%" PRIu64 ": take an earlier backup",
                          t->index, r->backup.meta.index);
    }
    if (t->wall_ms != 0 && t->wall_ms < r->wall_ms) {
        return errmsg_set(&r->err, RC_INVALID,
                          "--to-time %s is before the backup's last change at %s: take an "
                          "earlier backup",
                          offline_time_text(t->wall_ms, want),
                          offline_time_text(r->wall_ms, have));
    }
    return RC_OK;
}

/* The archive is used up. To a time that is as good as reaching it; a number must be met. */
static enum status judge_end(struct restore *r)
{
    if (r->replay.is_reached || r->target.wall_ms != 0 ||
        (r->target.revision == 0 && r->target.index == 0)) {
        return RC_OK;
    }
    return errmsg_set(&r->err, RC_NOT_FOUND,
                      "archive %s ends at revision %" PRIu64 ", index %" PRIu64
                      ": it does not reach %s %" PRIu64,
                      r->archive, store_revision(r->store), r->replay.index,
                      r->target.revision != 0 ? "revision" : "index",
                      r->target.revision != 0 ? r->target.revision : r->target.index);
}

static enum status run_archive(struct restore *r, struct archive_reader *reader)
{
    enum status rc = RC_OK;
    while (rc == RC_OK && !r->replay.is_reached) {
        struct wal_entry entry;
        rc = archive_reader_next(reader, &entry, &r->err);
        if (rc == RC_OK) {
            rc = replay_entry(&r->replay, &entry, &r->err);
            offline_progress(r->offline, "replaying", r->replay.entries, "entries");
        }
    }
    offline_progress_end(r->offline);
    return rc == RC_OK || rc == RC_NOT_FOUND ? judge_end(r) : rc;
}

static enum status replay(struct restore *r)
{
    struct archive_reader *reader;
    replay_open(&r->replay, r->store, &r->backup.meta, &r->target);
    if (r->archive == NULL) {
        return RC_OK;
    }
    enum status rc = check_target(r);
    if (rc != RC_OK) {
        return rc;
    }
    rc = archive_reader_open(offline_env(r->offline), r->archive, r->backup.meta.cluster_id,
                             r->backup.meta.index + 1, &reader, &r->err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = run_archive(r, reader);
    archive_reader_close(reader);
    if (rc != RC_OK) {
        return rc;
    }
    store_check(r->store);
    r->wall_ms = r->replay.wall_ms != 0 ? r->replay.wall_ms : r->wall_ms;
    offline_say("archive", "%s", r->archive);
    offline_say("replayed-entries", "%" PRIu64, r->replay.entries);
    offline_say("replayed-commands", "%" PRIu64, r->replay.commands);
    offline_say("replay-ended", "%s",
                r->replay.is_reached ? "where it was asked to" : "where the archive ends");
    offline_say_state(r->store, r->wall_ms);
    return RC_OK;
}

/* ---- the outcome -------------------------------------------------------------------------- */

/* All that a restore would do, short of writing. */
static enum status drill(struct restore *r)
{
    struct rebirth report;
    uint64_t content = store_content_digest(r->store);
    store_rebirth(r->store, &report);
    store_check(r->store);
    if (store_content_digest(r->store) != content) {
        return errmsg_set(&r->err, RC_CORRUPT, "the content of %s would not outlive a restore",
                          r->backup.path);
    }
    offline_say("would-end-sessions", "%" PRIu64, report.sessions);
    offline_say("would-end-leases", "%" PRIu64, report.leases);
    offline_say("would-remove", "%" PRIu64 " ephemeral nodes", report.ephemerals);
    offline_say("result", "proven: the backup is whole and can be restored");
    return RC_OK;
}

static void say_members(const struct restore *r)
{
    for (size_t i = 0; i < r->config.member_count; i++) {
        const struct node_member *m = &r->config.members[i];
        printf("%s%s=%s:%" PRIu16, i > 0 ? "," : "", m->name, m->host, m->port);
    }
}

/* What to do on the other machines: the same state, said so that it cannot be another one. */
static void say_others(const struct restore *r, const char *token)
{
    for (size_t i = 0; i < r->config.member_count; i++) {
        const char *name = r->config.members[i].name;
        if (strcmp(name, r->config.name) == 0) {
            continue;
        }
        printf("  %s: coordd restore --from %s --data-dir %s --name %s --initial-cluster ",
               name, r->from, r->config.data_dir, name);
        say_members(r);
        if (r->archive != NULL) {
            bool by_revision = r->target.revision != 0;
            printf(" --archive %s --to-%s %" PRIu64, r->archive,
                   by_revision ? "revision" : "index",
                   by_revision ? r->target.revision : r->replay.index);
        }
        printf(" --token %s\n", token);
    }
}

static enum status act(struct restore *r)
{
    char token[REBIRTH_TOKEN_BYTES_MAX];
    struct rebirth_report report;
    struct rebirth_options options = {.term = r->replay.term,
                                      .cluster_id = r->backup.meta.cluster_id};
    enum status rc = offline_rebirth(r->offline, &r->config, offline_value(r->flags, "token"),
                                     &options, r->store, token, &report, &r->err);
    if (rc != RC_OK) {
        return rc;
    }
    offline_audit(r->offline, &r->config, "coordd restore", r->backup.path, &report);
    if (r->config.member_count > 1) {
        offline_say("token", "%s", token);
        offline_say("result", "restored one of %zu members; now the others",
                    r->config.member_count);
        say_others(r, token);
    } else {
        offline_say("result", "restored");
    }
    return RC_OK;
}

static enum status run(struct restore *r)
{
    enum status rc = RC_OK;
    if (!r->is_drill) { /* before anything that takes long */
        rc = rebirth_check_dir(offline_env(r->offline), r->config.data_dir, &r->err);
    }
    if (rc == RC_OK) {
        rc = load(r);
    }
    if (rc == RC_OK) {
        rc = replay(r);
    }
    if (rc == RC_OK) {
        rc = r->is_drill ? drill(r) : act(r);
    }
    replay_close(&r->replay);
    restore_backup_close(&r->backup);
    return rc;
}

int restore_run(int argc, char **argv)
{
    struct offline_flag flags[] = {
        {.name = "from",
         .takes = "FILE",
         .max = 1,
         .help = "a backup or snapshot file, or a directory of them"},
        {.name = "verify", .max = 1, .help = "a drill: prove that FILE can be restored, only"},
        {.name = "archive",
         .takes = "DIR",
         .max = 1,
         .help = "go on with the archived log here"},
        {.name = "to-revision", .takes = "N", .max = 1, .help = "stop right behind revision N"},
        {.name = "to-time",
         .takes = "TIME",
         .max = 1,
         .help = "stop behind what was before TIME"},
        {.name = "to-index", .takes = "N", .max = 1, .help = "stop right behind log entry N"},
        {.name = "token", .takes = "TOKEN", .max = 1, .help = "of the first member restored"},
        {.name = NULL},
    };
    struct restore r = {.flags = flags};
    enum status rc = offline_parse(argc, argv, &usage, flags, &r.config, &r.err);
    if (rc == RC_STOPPED) {
        return OFFLINE_DONE;
    }
    if (rc == RC_OK) {
        rc = read_settings(&r);
    }
    if (rc != RC_OK) {
        fprintf(stderr, "coordd restore: %s\n", r.err.text);
        return OFFLINE_SETTINGS;
    }
    r.offline = offline_open();
    rc = run(&r);
    offline_close(r.offline);
    (void)fflush(stdout);
    if (rc != RC_OK) {
        fprintf(stderr, "coordd restore: %s\n", r.err.text);
    }
    return rc == RC_OK ? OFFLINE_DONE : OFFLINE_FAILED;
}
