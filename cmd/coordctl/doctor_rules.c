/* The checks of doctor. Each looks at all members and notes what it finds; one that finds nothing
 * wrong says that in one line. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/coordctl/doctor.h"

#define FSYNC_SLOW_S       0.025
#define FSYNC_BAD_S        0.1
#define FSYNC_COUNT_MIN    100 /* of fewer, 99 of 100 is the slowest of a handful */
#define CLOCK_WARN_MS      500
#define LAG_ENTRIES_MAX    10000
#define DISK_FREE_WARN     (2.0 * 1024 * 1024 * 1024)
#define DISK_FREE_SHARE    0.1
#define CERTIFICATE_WARN_S (30.0 * 86400)
#define CERTIFICATE_FAIL_S (7.0 * 86400)
#define LEADER_CHANGES_MAX 20
#define DAY_S              86400.0

/* ---- Prometheus text ---------------------------------------------------------------------- */

/* Behind the name on the first line that begins with it; NULL if there is none. */
static const char *find_line(const char *text, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = text; at != NULL && *at != '\0'; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, name, size) == 0) {
            return at + size;
        }
    }
    return NULL;
}

double figure(const char *text, const char *name)
{
    const char *at = find_line(text, name);
    while (at != NULL && *at != ' ' && *at != '{') { /* only the beginning of a longer name */
        const char *next = find_line(at, name);
        at = next;
    }
    if (at != NULL && *at == '{') {
        at = strchr(at, '}');
        at = at != NULL ? at + 1 : NULL;
    }
    return at != NULL ? strtod(at, NULL) : NAN;
}

double figure_sum(const char *text, const char *name)
{
    double sum = 0;
    size_t size = strlen(name);
    for (const char *at = text; at != NULL && *at != '\0';) {
        const char *end = strchr(at, '\n');
        if (strncmp(at, name, size) == 0 && (at[size] == '{' || at[size] == ' ')) {
            const char *value = at[size] == '{' ? strstr(at, "} ") : at + size;
            bool is_here = value != NULL && (end == NULL || value < end);
            sum += is_here ? strtod(value + (at[size] == '{' ? 2 : 1), NULL) : 0;
        }
        at = end != NULL ? end + 1 : NULL;
    }
    return sum;
}

double figure_quantile(const char *text, const char *name, double quantile)
{
    char bucket[96];
    char total_name[96];
    snprintf(bucket, sizeof bucket, "%s_bucket{le=\"", name);
    snprintf(total_name, sizeof total_name, "%s_count", name);
    double total = figure(text, total_name);
    const char *at = find_line(text, bucket);
    while (total > 0 && at != NULL) {
        char *end;
        double bound = strtod(at, &end);
        if (*end != '"' || strncmp(end, "\"} ", 3) != 0) {
            return INFINITY; /* +Inf: beyond all bounds */
        }
        if (strtod(end + 3, NULL) >= quantile * total) {
            return bound;
        }
        at = find_line(end, bucket);
    }
    return NAN;
}

/* ---- checks ------------------------------------------------------------------------------- */

static void check_reachable(struct doctor *d)
{
    size_t before = d->counts[DOCTOR_FAIL];
    for (size_t i = 0; i < d->count; i++) {
        const struct doctor_member *m = &d->members[i];
        if (m->status == NULL) {
            doctor_note(d, DOCTOR_FAIL, "members", "%s (%s) does not answer: %s", m->name,
                        m->address[0] != '\0' ? m->address : "address unknown", m->error);
        } else if (!m->status->serving) {
            doctor_note(d, DOCTOR_FAIL, "members", "%s does not serve: %s", m->name,
                        m->status->reason[0] != '\0' ? m->status->reason
                                                     : "no leader is known");
        }
    }
    if (d->counts[DOCTOR_FAIL] == before) {
        doctor_note(d, DOCTOR_OK, "members", "%zu of %zu answer and serve", d->count, d->count);
    }
}

static void check_quorum(struct doctor *d)
{
    size_t voters = 0;
    size_t up = 0;
    for (size_t i = 0; i < d->count; i++) {
        voters += d->members[i].is_voter;
        up += d->members[i].is_voter && d->members[i].status != NULL;
    }
    size_t majority = voters / 2 + 1;
    if (up < majority) {
        doctor_note(d, DOCTOR_FAIL, "quorum", "%zu of %zu voters answer, %zu are needed", up,
                    voters, majority);
    } else if (voters == 1) {
        doctor_note(d, DOCTOR_WARN, "quorum", "a single node: its disk is the only copy");
    } else if (up == majority) {
        doctor_note(d, DOCTOR_WARN, "quorum",
                    "%zu of %zu voters answer: one more loss stops the cluster", up, voters);
    } else if (voters % 2 == 0) {
        doctor_note(d, DOCTOR_WARN, "quorum",
                    "%zu voters bear no more losses than %zu would: use an odd number", voters,
                    voters - 1);
    } else {
        doctor_note(d, DOCTOR_OK, "quorum", "%zu of %zu voters answer, %zu may fail", up,
                    voters, up - majority);
    }
}

static void check_leader(struct doctor *d)
{
    const char *leader = NULL;
    for (size_t i = 0; i < d->count; i++) {
        const Coord__V1__StatusReply *s = d->members[i].status;
        if (s == NULL) {
            continue;
        }
        if (s->leader[0] == '\0') {
            doctor_note(d, DOCTOR_FAIL, "leader", "%s knows of no leader", d->members[i].name);
            return;
        }
        if (leader != NULL && strcmp(leader, s->leader) != 0) {
            doctor_note(d, DOCTOR_WARN, "leader",
                        "%s follows %s, others %s: an election is going on", d->members[i].name,
                        s->leader, leader);
            return;
        }
        leader = s->leader;
    }
    if (leader != NULL) {
        doctor_note(d, DOCTOR_OK, "leader", "%s, for all", leader);
    }
}

static void check_changes(struct doctor *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct doctor_member *m = &d->members[i];
        if (m->metrics == NULL) {
            continue;
        }
        double changes = figure(m->metrics->text, "coord_raft_leader_changes_total");
        double seconds = (double)m->metrics->wall_ms / 1000 -
                         figure(m->metrics->text, "process_start_time_seconds");
        double days = seconds > DAY_S ? seconds / DAY_S : 1;
        if (changes / days > LEADER_CHANGES_MAX) {
            doctor_note(d, DOCTOR_WARN, "elections",
                        "%s saw %.0f changes of leader in %.1f days", m->name, changes,
                        seconds / DAY_S);
            return;
        }
    }
    doctor_note(d, DOCTOR_OK, "elections", "leaders stay");
}

static void check_versions(struct doctor *d)
{
    const struct doctor_member *first = NULL;
    for (size_t i = 0; i < d->count; i++) {
        const struct doctor_member *m = &d->members[i];
        if (m->status == NULL) {
            continue;
        }
        if (first != NULL && strcmp(first->status->version, m->status->version) != 0) {
            doctor_note(d, DOCTOR_WARN, "versions",
                        "%s runs %s, %s runs %s: finish the upgrade", first->name,
                        first->status->version, m->name, m->status->version);
            return;
        }
        first = m;
    }
    if (first != NULL && first->status->feature_level < first->status->feature_level_known) {
        doctor_note(d, DOCTOR_WARN, "versions",
                    "%s everywhere, but feature level %" PRIu32 " of %" PRIu32
                    ": coordctl upgrade finish",
                    first->status->version, first->status->feature_level,
                    first->status->feature_level_known);
    } else if (first != NULL) {
        doctor_note(d, DOCTOR_OK, "versions", "%s everywhere, feature level %" PRIu32,
                    first->status->version, first->status->feature_level);
    }
}

static void check_state(struct doctor *d)
{
    uint64_t commit = 0;
    size_t compared = 0;
    bool is_fine = true;
    for (size_t i = 0; i < d->count; i++) {
        const Coord__V1__StatusReply *a = d->members[i].status;
        commit = a != NULL && a->commit_index > commit ? a->commit_index : commit;
        for (size_t k = 0; a != NULL && k < i; k++) {
            const Coord__V1__StatusReply *b = d->members[k].status;
            if (b == NULL || a->applied_index != b->applied_index) {
                continue;
            }
            compared++;
            if (a->digest != b->digest) {
                is_fine = false;
                doctor_note(d, DOCTOR_FAIL, "state",
                            "%s and %s differ at index %" PRIu64 ": keep their data, report it",
                            d->members[i].name, d->members[k].name, a->applied_index);
            }
        }
    }
    for (size_t i = 0; i < d->count; i++) {
        const Coord__V1__StatusReply *s = d->members[i].status;
        if (s != NULL && commit - s->applied_index > LAG_ENTRIES_MAX) {
            is_fine = false;
            doctor_note(d, DOCTOR_WARN, "state", "%s is %" PRIu64 " log entries behind",
                        d->members[i].name, commit - s->applied_index);
        }
    }
    if (is_fine && compared > 0) {
        doctor_note(d, DOCTOR_OK, "state", "equal digests, nobody is behind");
    } else if (is_fine) {
        doctor_note(d, DOCTOR_OK, "state", "nobody is behind");
    }
}

static void check_clock(struct doctor *d)
{
    int64_t least = INT64_MAX;
    int64_t most = INT64_MIN;
    for (size_t i = 0; i < d->count; i++) {
        const struct doctor_member *m = &d->members[i];
        if (m->metrics != NULL) {
            least = m->clock_ms < least ? m->clock_ms : least;
            most = m->clock_ms > most ? m->clock_ms : most;
            if (llabs(m->clock_ms) > CLOCK_WARN_MS + m->clock_error_ms) {
                doctor_note(d, DOCTOR_WARN, "clock",
                            "%s differs from this machine by %+" PRId64 " ms (+-%" PRId64
                            "): times of nodes and logs will mislead",
                            m->name, m->clock_ms, m->clock_error_ms);
                return;
            }
        }
    }
    if (most >= least) {
        doctor_note(d, DOCTOR_OK, "clock", "within %" PRId64 " ms of each other", most - least);
    }
}

static void check_disk(struct doctor *d)
{
    double worst = 0;
    bool is_fine = true;
    for (size_t i = 0; i < d->count; i++) {
        const struct doctor_member *m = &d->members[i];
        if (m->metrics == NULL) {
            continue;
        }
        bool is_known =
            figure(m->metrics->text, "coord_wal_fsync_seconds_count") >= FSYNC_COUNT_MIN;
        double p99 = figure_quantile(m->metrics->text, "coord_wal_fsync_seconds", 0.99);
        p99 = is_known ? p99 : 0;
        double free_bytes = figure(m->metrics->text, "coord_disk_free_bytes");
        double all_bytes = figure(m->metrics->text, "coord_disk_bytes");
        worst = p99 > worst ? p99 : worst;
        if (m->status != NULL && m->status->disk_is_short) {
            is_fine = false;
            doctor_note(d, DOCTOR_FAIL, "disk", "%s refuses writes: its disk is full", m->name);
        } else if (free_bytes < DISK_FREE_WARN || free_bytes < all_bytes * DISK_FREE_SHARE) {
            is_fine = false;
            doctor_note(d, DOCTOR_WARN, "disk", "%s has %.0f of %.0f MiB left", m->name,
                        free_bytes / (1 << 20), all_bytes / (1 << 20));
        }
        if (p99 > FSYNC_SLOW_S) {
            is_fine = false;
            doctor_note(d, p99 > FSYNC_BAD_S ? DOCTOR_FAIL : DOCTOR_WARN, "disk",
                        "%s takes up to %g ms to make 99 of 100 writes durable", m->name,
                        p99 * 1000);
        }
        if (figure(m->metrics->text, "coord_snapshots_failed_total") > 0) {
            is_fine = false;
            doctor_note(d, DOCTOR_WARN, "disk", "%s failed to take %.0f snapshots, see its log",
                        m->name, figure(m->metrics->text, "coord_snapshots_failed_total"));
        }
    }
    if (is_fine && worst == 0) {
        doctor_note(d, DOCTOR_OK, "disk", "space suffices; too few writes yet to tell how fast");
    } else if (is_fine) {
        doctor_note(d, DOCTOR_OK, "disk", "99 of 100 writes are durable within %g ms",
                    worst * 1000);
    }
}

static void check_certificates(struct doctor *d)
{
    static const char *const figures[] = {
        "coord_tls_certificate_expiry_seconds{use=\"client\"}",
        "coord_tls_certificate_expiry_seconds{use=\"peer\"}"};
    double least = INFINITY;
    for (size_t i = 0; i < 2 * d->count; i++) {
        const struct doctor_member *m = &d->members[i / 2];
        double expiry = m->metrics != NULL ? figure(m->metrics->text, figures[i % 2]) : NAN;
        double left = expiry - (m->metrics != NULL ? (double)m->metrics->wall_ms / 1000 : 0);
        if (left < CERTIFICATE_WARN_S) {
            doctor_note(d, left < CERTIFICATE_FAIL_S ? DOCTOR_FAIL : DOCTOR_WARN,
                        "certificates", "the certificate of %s expires in %.1f days", m->name,
                        left / DAY_S);
        }
        least = left < least ? left : least;
    }
    if (least >= CERTIFICATE_WARN_S && least < INFINITY) {
        doctor_note(d, DOCTOR_OK, "certificates", "the first expires in %.0f days",
                    least / DAY_S);
    }
}

static void check_backup(struct doctor *d)
{
    double newest = INFINITY; /* seconds ago */
    bool is_wanted = false;
    for (size_t i = 0; i < d->count; i++) {
        const struct doctor_member *m = &d->members[i];
        double at = m->metrics != NULL
                        ? figure(m->metrics->text, "coord_backup_last_success_seconds")
                        : NAN;
        if (!isnan(at)) {
            double ago = (double)m->metrics->wall_ms / 1000 - at;
            is_wanted = true;
            newest = at > 0 && ago < newest ? ago : newest;
        }
    }
    if (!is_wanted) {
        doctor_note(d, DOCTOR_WARN, "backup", "no member takes backups: see --backup-dir");
    } else if (newest > DAY_S) {
        doctor_note(d, DOCTOR_FAIL, "backup", "no backup in the last 24 hours");
    } else {
        doctor_note(d, DOCTOR_OK, "backup", "the last one is %.0f minutes old", newest / 60);
    }
}

void doctor_judge(struct doctor *d)
{
    static void (*const checks[])(struct doctor * d) = {
        check_reachable,     check_quorum,        check_leader,       check_changes,
        check_versions,      check_state,         check_clock,        check_disk,
        doctor_check_limits, doctor_check_memory, doctor_check_users, doctor_check_quotas,
        check_certificates,  check_backup,
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        checks[i](d);
    }
}
