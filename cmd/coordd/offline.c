#include "cmd/coordd/offline.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

#include "base/assert.h"
#include "base/env_uv.h"
#include "base/mem.h"
#include "net/audit/file.h"
#include "net/audit/line.h"
#include "raft/snapshot_store.h"
#include "store/acl.h"
#include "store/row.h"

#define PROGRESS_MS 100

struct offline {
    struct log log;
    uv_loop_t uv;
    struct env *env;
    bool is_terminal;
    uint64_t shown_ms; /* when progress was last shown; 0 = not since it ended */
};

struct offline *offline_open(void)
{
    struct offline *o = mem_zalloc(sizeof *o);
    o->log = (struct log){.level = LOG_WARN, .sink = log_stderr_sink};
    int rc = uv_loop_init(&o->uv);
    POST(rc == 0); /* no file left for the loop of a fresh process: nothing can run here */
    o->env = env_uv_new(&o->uv, &o->log);
    o->is_terminal = isatty(STDERR_FILENO) == 1;
    return o;
}

void offline_close(struct offline *o)
{
    env_uv_free(o->env);
    int rc = uv_loop_close(&o->uv);
    POST(rc == 0);
    mem_free(o);
}

struct env *offline_env(struct offline *o)
{
    return o->env;
}

void offline_progress(struct offline *o, const char *what, uint64_t done, const char *unit)
{
    uint64_t now_ms = o->env->now_ms(o->env);
    if (o->is_terminal && (o->shown_ms == 0 || now_ms >= o->shown_ms + PROGRESS_MS)) {
        fprintf(stderr, "\r\033[K%s: %" PRIu64 " %s", what, done, unit);
        (void)fflush(stderr);
        o->shown_ms = now_ms;
    }
}

void offline_progress_end(struct offline *o)
{
    if (o->shown_ms != 0) {
        fputs("\r\033[K", stderr);
        (void)fflush(stderr);
        o->shown_ms = 0;
    }
}

/* ---- reports ------------------------------------------------------------------------------ */

void offline_say(const char *key, const char *format, ...)
{
    char label[32];
    va_list args;
    snprintf(label, sizeof label, "%s:", key);
    printf("%-20s ", label);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void offline_say_state(const struct store *s, uint64_t wall_ms)
{
    char time[OFFLINE_TIME_BYTES];
    uint64_t sessions = 0;
    for (const struct lease *l = store_lease_next(s, 0); l != NULL;
         l = store_lease_next(s, l->id)) {
        sessions += l->kind == LEASE_SESSION;
    }
    offline_say("revision", "%" PRIu64, store_revision(s));
    offline_say("index", "%" PRIu64, store_applied_index(s));
    offline_say("last-change", "%s",
                wall_ms == 0 ? "unknown" : offline_time_text(wall_ms, time));
    offline_say("nodes", "%" PRIu64, store_node_count(s));
    offline_say("sessions", "%" PRIu64, sessions);
    offline_say("leases", "%" PRIu64, store_lease_count(s) - sessions);
    offline_say("digest", "%016" PRIx64, store_digest(s));
    offline_say("content-digest", "%016" PRIx64, store_content_digest(s));
}

/* ---- loading ------------------------------------------------------------------------------ */

struct loading {
    struct offline *offline;
    const char *what;
    struct store *store; /* NULL: rows are only proved */
    uint64_t rows;
};

static enum status load_row(void *context, const struct row *row)
{
    struct loading *l = context;
    if (++l->rows % 1024 == 0) {
        offline_progress(l->offline, l->what, l->rows, "rows");
    }
    /* A row that the store refuses is damage: no store has written it. */
    return l->store == NULL || store_load_row(l->store, row) == RC_OK ? RC_OK : RC_CORRUPT;
}

enum status offline_load(struct offline *o, const char *path, struct store **store,
                         struct snapshot_meta *meta, struct errmsg *err)
{
    struct loading l = {.offline = o, .what = "loading", .store = store_new_empty()};
    enum status rc = snapshot_read(o->env, path, load_row, &l, meta, err);
    if (rc == RC_OK) {
        rc = store_load_seal(l.store, meta, err);
        if (rc != RC_OK) {
            (void)errmsg_wrap(err, "%s", path);
            snapshot_meta_close(meta);
        }
    }
    offline_progress_end(o);
    if (rc != RC_OK) {
        store_free(l.store);
        return rc;
    }
    store_check(l.store);
    *store = l.store;
    return RC_OK;
}

/* ---- a new cluster ------------------------------------------------------------------------ */

/* What was written is read from the disk to its last row. */
static enum status read_back(struct offline *o, const char *data_dir,
                             const struct rebirth_report *report, struct errmsg *err)
{
    struct loading l = {.offline = o, .what = "reading back"};
    struct snapshot_meta meta;
    const struct snapshot_file file = {.index = report->index, .term = report->term};
    char dir[CONFIG_PATH_BYTES_MAX + 16];
    snprintf(dir, sizeof dir, "%s/snapshots", data_dir);
    char *path = snapshot_store_path(dir, &file);
    enum status rc = snapshot_read(o->env, path, load_row, &l, &meta, err);
    offline_progress_end(o);
    if (rc == RC_OK) {
        if (meta.digest != report->digest || meta.cluster_id != report->cluster_id) {
            rc = errmsg_set(err, RC_CORRUPT, "%s is not what was written", path);
        }
        snapshot_meta_close(&meta);
    }
    mem_free(path);
    return rc;
}

static void say_rebirth(const struct config *config, const struct rebirth_report *r,
                        const struct store *s)
{
    offline_say("data-dir", "%s", config->data_dir);
    offline_say("cluster-id", "%016" PRIx64 ", new", r->cluster_id);
    offline_say("node-id", "%016" PRIx64 ", %s", r->node_id, config->name);
    offline_say("revision", "%" PRIu64 ", was %" PRIu64, r->revision, r->state.old_revision);
    offline_say("nodes", "%" PRIu64, store_node_count(s));
    offline_say("sessions-ended", "%" PRIu64, r->state.sessions);
    offline_say("leases-ended", "%" PRIu64, r->state.leases);
    offline_say("ephemerals-removed", "%" PRIu64, r->state.ephemerals);
    offline_say("digest", "%016" PRIx64, r->digest);
    offline_say("content-digest", "%016" PRIx64, store_content_digest(s));
}

enum status offline_rebirth(struct offline *o, const struct config *config, const char *token,
                            struct rebirth_options *options, struct store *s, char *out_token,
                            struct rebirth_report *report, struct errmsg *err)
{
    uint64_t content = store_content_digest(s);
    if (token != NULL) {
        snprintf(out_token, REBIRTH_TOKEN_BYTES_MAX, "%s", token);
    } else {
        snprintf(out_token, REBIRTH_TOKEN_BYTES_MAX, "%016" PRIx64, env_random_u64(o->env));
    }
    options->env = o->env;
    options->data_dir = config->data_dir;
    options->name = config->name;
    options->members = config->members;
    options->member_count = config->member_count;
    options->token = out_token;
    enum status rc = rebirth_write(options, s, report, err);
    if (rc == RC_OK) {
        POST(store_content_digest(s) == content);
        store_check(s);
        rc = read_back(o, config->data_dir, report, err);
    }
    if (rc == RC_OK) {
        say_rebirth(config, report, s);
    }
    return rc;
}

/* ---- the audit log ------------------------------------------------------------------------ */

/* Who runs this, as the system knows him. */
static void put_user(struct buf *identities)
{
    char number[24];
    const struct passwd *user = getpwuid(getuid());
    snprintf(number, sizeof number, "%lu", (unsigned long)getuid());
    identity_encode(identities, slice_str("os"),
                    slice_str(user != NULL ? user->pw_name : number));
}

static enum status write_line(struct offline *o, const struct config *config, struct slice line,
                              struct errmsg *err)
{
    char path[CONFIG_PATH_BYTES_MAX + 32];
    struct audit_file file;
    size_t written;
    audit_file_init(&file, o->env, config_audit_path(config, path, sizeof path),
                    config->audit_size, config->audit_keep);
    enum status rc = audit_file_write(&file, line, &written, err);
    rc = rc == RC_OK ? audit_file_sync(&file, err) : rc;
    audit_file_close(&file);
    mem_free(file.path);
    return rc;
}

void offline_audit(struct offline *o, const struct config *config, const char *request,
                   const char *from, const struct rebirth_report *report)
{
    struct buf facts = {0};
    struct buf identities = {0};
    struct buf line = {0};
    struct audit_clock clock = {0};
    struct errmsg err;
    if (config->audit < AUDIT_WRITES) {
        return;
    }
    put_user(&identities);
    audit_note_text(&facts, AUDIT_DATA_DIR, slice_str(config->data_dir));
    audit_note_text(&facts, AUDIT_FROM, slice_str(from));
    audit_note_number(&facts, AUDIT_CLUSTER_ID, report->cluster_id);
    const struct audit_event e = {.protocol = "offline",
                                  .peer = "local",
                                  .identities = buf_slice(&identities),
                                  .request = request,
                                  .facts = buf_slice(&facts),
                                  .outcome = "ok",
                                  .revision = report->revision};
    audit_line_append(&line, &clock, o->env->wall_ms(o->env), config->name, &e);
    if (write_line(o, config, buf_slice(&line), &err) != RC_OK) {
        log_warn(&o->log, "audit.failed", "reason=\"%s\"", err.text);
    }
    buf_close(&facts);
    buf_close(&identities);
    buf_close(&line);
}
