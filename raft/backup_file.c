#include "raft/backup_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "raft/dir_above.h"

#define PREFIX "backup-"
#define SUFFIX ".db"
#define PART   ".part"
#define DAY_S  UINT64_C(86400)

/* ---- time: the proleptic Gregorian calendar, from 1970 on ---------------------------------- */

struct civil {
    unsigned year, month, day, hour, minute, second;
};

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned month_days(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}

static struct civil civil_of(uint64_t seconds)
{
    uint64_t days = seconds / DAY_S;
    unsigned rest = (unsigned)(seconds % DAY_S);
    struct civil c = {.year = 1970,
                      .month = 1,
                      .hour = rest / 3600,
                      .minute = rest / 60 % 60,
                      .second = rest % 60};
    while (c.year < 9999 && days >= (is_leap(c.year) ? 366u : 365u)) {
        days -= is_leap(c.year) ? 366u : 365u;
        c.year++;
    }
    while (c.month < 12 && days >= month_days(c.year, c.month)) {
        days -= month_days(c.year, c.month);
        c.month++;
    }
    c.day = (unsigned)days + 1;
    return c;
}

static uint64_t seconds_of(const struct civil *c)
{
    uint64_t days = c->day - 1;
    for (unsigned year = 1970; year < c->year; year++) {
        days += is_leap(year) ? 366 : 365;
    }
    for (unsigned month = 1; month < c->month; month++) {
        days += month_days(c->year, month);
    }
    return days * DAY_S + c->hour * 3600 + c->minute * 60 + c->second;
}

/* ---- names --------------------------------------------------------------------------------- */

void backup_file_name(struct backup_file *f)
{
    struct civil c = civil_of(f->wall_ms / 1000);
    (void)snprintf(f->name, sizeof f->name,
                   PREFIX "%016" PRIx64 "-%04u%02u%02uT%02u%02u%02uZ-r%" PRIu64 "-i%" PRIu64
                          "-%s" SUFFIX,
                   f->cluster_id, c.year % 10000, c.month, c.day, c.hour, c.minute, c.second,
                   f->revision, f->index, f->member);
}

static bool digits(const char **at, size_t count, unsigned *out)
{
    *out = 0;
    for (size_t i = 0; i < count; i++) {
        if (**at < '0' || **at > '9') {
            return false;
        }
        *out = *out * 10 + (unsigned)(*(*at)++ - '0');
    }
    return true;
}

static bool skip(const char **at, const char *text)
{
    size_t bytes = strlen(text);
    bool is_there = strncmp(*at, text, bytes) == 0;
    *at += is_there ? bytes : 0;
    return is_there;
}

static bool parse_time(const char **at, uint64_t *wall_ms)
{
    struct civil c;
    bool ok = digits(at, 4, &c.year) && digits(at, 2, &c.month) && digits(at, 2, &c.day) &&
              skip(at, "T") && digits(at, 2, &c.hour) && digits(at, 2, &c.minute) &&
              digits(at, 2, &c.second) && skip(at, "Z");
    ok = ok && c.year >= 1970 && c.month >= 1 && c.month <= 12 && c.day >= 1 &&
         c.day <= month_days(c.year, c.month) && c.hour < 24 && c.minute < 60 && c.second < 60;
    *wall_ms = ok ? seconds_of(&c) * 1000 : 0;
    return ok;
}

static bool ends_with(const char *text, size_t bytes, const char *end)
{
    size_t end_bytes = strlen(end);
    return bytes > end_bytes && memcmp(text + bytes - end_bytes, end, end_bytes) == 0;
}

/* What it says must print to the very same name, so nothing else is taken for one of ours. */
bool backup_file_parse(const char *name, struct backup_file *out, bool *is_part)
{
    struct backup_file f = {.index = 0};
    const char *at = name;
    size_t bytes = strlen(name);
    char *end;
    *is_part = ends_with(name, bytes, PART);
    bytes -= *is_part ? sizeof PART - 1 : 0;
    if (bytes >= BACKUP_NAME_BYTES || !ends_with(name, bytes, SUFFIX) || !skip(&at, PREFIX)) {
        return false;
    }
    f.cluster_id = strtoull(at, &end, 16);
    at = end;
    if (!skip(&at, "-") || !parse_time(&at, &f.wall_ms) || !skip(&at, "-r")) {
        return false;
    }
    f.revision = strtoull(at, &end, 10);
    at = end;
    if (!skip(&at, "-i")) {
        return false;
    }
    f.index = strtoull(at, &end, 10);
    at = end;
    size_t rest = (size_t)(name + bytes - at);
    if (!skip(&at, "-") || rest < sizeof SUFFIX + 1 ||
        rest - sizeof SUFFIX >= sizeof f.member) {
        return false;
    }
    memcpy(f.member, at, rest - sizeof SUFFIX);
    backup_file_name(&f);
    if (strlen(f.name) != bytes || memcmp(f.name, name, bytes) != 0) {
        return false;
    }
    *out = f;
    return true;
}

char *backup_path(const char *dir, const struct backup_file *f, bool is_part)
{
    struct buf path = {0};
    buf_printf(&path, "%s/%s%s", dir, f->name, is_part ? PART : "");
    buf_append(&path, "", 1);
    return (char *)buf_take(&path, NULL);
}

/* ---- the directory ------------------------------------------------------------------------- */

struct listing {
    uint64_t cluster_id;
    const char *member;
    struct backup_file *files;
    size_t count;
    struct backup_file *parts;
    size_t part_count;
};

static void add(struct backup_file **list, size_t *count, const struct backup_file *f)
{
    *list = mem_resize(*list, (*count + 1) * sizeof **list);
    (*list)[(*count)++] = *f;
}

static void list_one(void *context, const char *name, uint64_t bytes)
{
    struct listing *l = context;
    struct backup_file f;
    bool is_part;
    (void)bytes;
    if (!backup_file_parse(name, &f, &is_part) || f.cluster_id != l->cluster_id ||
        strcmp(f.member, l->member) != 0) {
        return;
    }
    if (is_part) {
        add(&l->parts, &l->part_count, &f);
    } else {
        add(&l->files, &l->count, &f);
    }
}

/* Within one cluster the index only grows; the wall clock may have been ahead for a while. */
static int newest_first(const void *a, const void *b)
{
    const struct backup_file *x = a;
    const struct backup_file *y = b;
    if (x->index != y->index) {
        return x->index > y->index ? -1 : 1;
    }
    return x->wall_ms != y->wall_ms ? (x->wall_ms > y->wall_ms ? -1 : 1) : 0;
}

static enum status remove_file(struct env *env, const char *dir, const struct backup_file *f,
                               bool is_part, struct errmsg *err)
{
    char *path = backup_path(dir, f, is_part);
    enum status rc = env->disk->unlink(env, path);
    if (rc == RC_NOT_FOUND) {
        rc = RC_OK;
    }
    if (rc != RC_OK) {
        (void)errmsg_set(err, rc, "remove %s: %s", path, status_text(rc));
    }
    mem_free(path);
    return rc;
}

static enum status tidy(struct env *env, const char *dir, struct listing *l,
                        const struct backup_rules *rules, uint64_t now_wall_ms,
                        struct backup_kept *out, struct errmsg *err)
{
    enum status rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < l->part_count; i++) {
        rc = remove_file(env, dir, &l->parts[i], true, err);
    }
    if (l->count > 0) {
        qsort(l->files, l->count, sizeof *l->files, newest_first);
        out->newest = l->files[0];
    }
    for (size_t i = 0; rc == RC_OK && i < l->count; i++) {
        const struct backup_file *f = &l->files[i];
        bool is_surplus = rules->keep > 0 && i >= rules->keep;
        bool is_old = rules->keep_for_ms > 0 && f->wall_ms + rules->keep_for_ms < now_wall_ms;
        if (i > 0 && (is_surplus || is_old)) {
            rc = remove_file(env, dir, f, false, err);
            out->removed++;
            continue;
        }
        out->count++;
        if (out->oldest_index == 0 || f->index < out->oldest_index) {
            out->oldest_index = f->index;
        }
    }
    return rc;
}

enum status backup_dir_tidy(struct env *env, const char *dir, uint64_t cluster_id,
                            const char *member, const struct backup_rules *rules,
                            uint64_t now_wall_ms, struct backup_kept *out, struct errmsg *err)
{
    struct listing l = {.cluster_id = cluster_id, .member = member};
    *out = (struct backup_kept){.count = 0};
    const char *what = "create";
    enum status rc = env->disk->mkdir(env, dir);
    if (rc == RC_OK) {
        what = "list";
        rc = env->disk->list(env, dir, list_one, &l);
    }
    if (rc == RC_OK && l.count == 0) { /* it may be new */
        /* If this user may not open the one above, the operator has made it: it was durable. */
        (void)dir_sync_above(env, dir);
    }
    if (rc != RC_OK) {
        (void)errmsg_set(err, rc, "%s %s: %s", what, dir, status_text(rc));
    } else {
        rc = tidy(env, dir, &l, rules, now_wall_ms, out, err);
    }
    mem_free(l.files);
    mem_free(l.parts);
    return rc;
}
