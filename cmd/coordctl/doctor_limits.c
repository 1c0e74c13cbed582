/* The checks of doctor that are about what may be used up: files, connections, memory, what users
 * may take, quotas of subtrees. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "cmd/coordctl/doctor.h"
#include "cmd/coordctl/text/memory_verdict.h"
#include "coord/v1/quota.pb-c.h"

#define USED_MAX      0.8 /* of what there is */
#define QUOTA_PERCENT 80
#define FILES_OWN     64 /* that a member needs besides those of its clients */

/* ---- what a member has -------------------------------------------------------------------- */

static bool files_suffice(struct doctor *d, const struct doctor_member *m)
{
    double files = figure(m->metrics->text, "process_open_fds");
    double files_max = figure(m->metrics->text, "process_max_fds");
    double connections_max = figure(m->metrics->text, "coord_connections_max");
    if (files > files_max * USED_MAX && files_max > 0) {
        doctor_note(d, DOCTOR_WARN, "limits", "%s has %.0f of %.0f files open", m->name, files,
                    files_max);
        return false;
    }
    if (files_max > 0 && connections_max + FILES_OWN > files_max) {
        doctor_note(d, DOCTOR_WARN, "limits",
                    "%s may open %.0f files, too few for its %.0f connections: raise the limit "
                    "of open files, or lower --connections-max",
                    m->name, files_max, connections_max);
        return false;
    }
    return true;
}

static bool connections_suffice(struct doctor *d, const struct doctor_member *m)
{
    double open = figure_sum(m->metrics->text, "coord_connections");
    double most = figure(m->metrics->text, "coord_connections_max");
    double refused =
        figure(m->metrics->text, "coord_connections_refused_total{reason=\"limit\"}");
    if (refused > 0) {
        doctor_note(d, DOCTOR_WARN, "limits", "%s turned %.0f clients away: see --connections-max",
                    m->name, refused);
        return false;
    }
    if (open > most * USED_MAX) {
        doctor_note(d, DOCTOR_WARN, "limits",
                    "%s has %.0f of %.0f connections: see --connections-max", m->name, open, most);
        return false;
    }
    return true;
}

void doctor_check_limits(struct doctor *d)
{
    bool is_fine = true;
    for (size_t i = 0; i < d->count; i++) {
        const struct doctor_member *m = &d->members[i];
        if (m->metrics != NULL) {
            bool has_files = files_suffice(d, m);
            is_fine = connections_suffice(d, m) && has_files && is_fine;
        }
    }
    if (is_fine) {
        doctor_note(d, DOCTOR_OK, "limits", "files and connections suffice");
    }
}

void doctor_check_memory(struct doctor *d)
{
    char why[256];
    double most = 0;
    bool is_fine = true;
    struct memory_use *all = mem_zalloc(d->count * sizeof *all);
    for (size_t i = 0; i < d->count; i++) {
        const struct doctor_member *m = &d->members[i];
        const char *text = m->metrics != NULL ? m->metrics->text : "";
        all[i] = (struct memory_use){
            .name = m->name,
            .resident = figure(text, "process_resident_memory_bytes"),
            .limit = figure(text, "coord_memory_limit_bytes"),
            .machine = figure(text, "coord_machine_memory_bytes"),
            .available = figure(text, "coord_machine_memory_available_bytes"),
        };
        most = all[i].resident > most ? all[i].resident : most;
    }
    for (size_t i = 0; i < d->count; i++) {
        enum memory_verdict v = memory_judge(all, d->count, i, why, sizeof why);
        if (v != MEMORY_FINE) {
            is_fine = false;
            doctor_note(d, v == MEMORY_GONE ? DOCTOR_FAIL : DOCTOR_WARN, "memory", "%s", why);
        }
    }
    if (is_fine && most > 0) {
        doctor_note(d, DOCTOR_OK, "memory", "nobody uses more than %.0f MiB, and there is more",
                    most / (1 << 20));
    }
    mem_free(all);
}

/* ---- what users may take ------------------------------------------------------------------ */

void doctor_check_users(struct doctor *d)
{
    static const char *const limits[] = {"requests", "connections", "watches", "leases"};
    bool is_fine = true;
    for (size_t i = 0; i < d->count * (sizeof limits / sizeof limits[0]); i++) {
        const struct doctor_member *m = &d->members[i / 4];
        char name[80];
        if (m->metrics == NULL) {
            continue;
        }
        snprintf(name, sizeof name, "coord_user_limit_refusals_total{limit=\"%s\"}",
                 limits[i % 4]);
        double refused = figure(m->metrics->text, name);
        if (refused > 0) {
            is_fine = false;
            doctor_note(d, DOCTOR_WARN, "users",
                        "%s refused %.0f times since it started what is beyond a user's limit of "
                        "%s: see coordctl user get",
                        m->name, refused, limits[i % 4]);
        }
    }
    if (is_fine) {
        doctor_note(d, DOCTOR_OK, "users", "nobody has met the limits of users");
    }
}

/* ---- quotas ------------------------------------------------------------------------------- */

static double percent_of(uint64_t used, uint64_t bound)
{
    return bound > 0 ? 100.0 * (double)used / (double)bound : 0;
}

static bool quota_suffices(struct doctor *d, const Coord__V1__QuotaUsage *q)
{
    double bytes = percent_of(q->used_bytes, q->bounds->bytes);
    double nodes = percent_of(q->used_nodes, q->bounds->nodes);
    double most = bytes > nodes ? bytes : nodes;
    bool is_full = q->state == COORD__V1__QUOTA_STATE__QUOTA_FULL || most >= 100;
    bool is_short = q->state == COORD__V1__QUOTA_STATE__QUOTA_SOFT || most >= QUOTA_PERCENT;
    if (is_full || is_short) {
        doctor_note(d, is_full ? DOCTOR_FAIL : DOCTOR_WARN, "quotas",
                    is_full ? "%s is full, what grows there is refused: %.0f %% of its %s"
                            : "%s is nearly full: %.0f %% of its %s",
                    q->bounds->path, most, bytes >= nodes ? "bytes" : "nodes");
    }
    return !is_full && !is_short;
}

/* As every member says that told: one may be behind. */
static double quotas_counted(const struct doctor *d, const char *name)
{
    double least = NAN;
    for (size_t i = 0; i < d->count; i++) {
        if (d->members[i].metrics != NULL) {
            least = fmin(least, figure(d->members[i].metrics->text, name));
        }
    }
    return isnan(least) ? 0 : least;
}

/* What the list of quotas told. */
struct quota_tally {
    size_t count;
    size_t full;
    size_t nearly;
    bool is_fine;
};

/* What a list leaves out: whoever asks is shown those alone that he may see. */
static bool others_suffice(struct doctor *d, const struct quota_tally *told)
{
    double full = quotas_counted(d, "coord_quotas_full") - (double)told->full;
    double nearly = quotas_counted(d, "coord_quotas_warning") - (double)told->nearly;
    if (full > 0 || nearly > 0) {
        doctor_note(d, full > 0 ? DOCTOR_FAIL : DOCTOR_WARN, "quotas",
                    "%.0f %sare full, %.0f nearly: see coordctl quota list, as somebody who may "
                    "read there",
                    fmax(full, 0), told->count > 0 ? "more " : "", fmax(nearly, 0));
    }
    return full <= 0 && nearly <= 0;
}

/* A page; `after` moves on, empty: it was the last. False: nobody says. */
static bool tally_page(struct doctor *d, char after[CTL_PATH_BYTES], struct quota_tally *told)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__QuotaListRequest request = COORD__V1__QUOTA_LIST_REQUEST__INIT;
    struct coord_error error;
    ProtobufCMessage *m = NULL;
    request.header = &header;
    request.after = after;
    if (client_call(d->ctl->client, CLIENT_QUOTA_LIST, &request.base, &header, &m, &error) !=
        COORD_OK) {
        return false;
    }
    const Coord__V1__QuotaListReply *reply = (const Coord__V1__QuotaListReply *)m;
    for (size_t i = 0; i < reply->n_quotas; i++) {
        const Coord__V1__QuotaUsage *q = reply->quotas[i];
        told->full += q->state == COORD__V1__QUOTA_STATE__QUOTA_FULL;
        told->nearly += q->state == COORD__V1__QUOTA_STATE__QUOTA_SOFT;
        told->is_fine = quota_suffices(d, q) && told->is_fine;
    }
    told->count += reply->n_quotas;
    snprintf(after, CTL_PATH_BYTES, "%s", reply->next);
    client_reply_free(m);
    return true;
}

void doctor_check_quotas(struct doctor *d)
{
    char after[CTL_PATH_BYTES] = "";
    struct quota_tally told = {.is_fine = true};
    bool is_told;
    do {
        is_told = tally_page(d, after, &told);
    } while (is_told && after[0] != '\0');
    bool is_fine = others_suffice(d, &told) && told.is_fine;
    if (is_fine && is_told) {
        doctor_note(d, DOCTOR_OK, "quotas", "%zu, none of them at %d %%", told.count,
                    QUOTA_PERCENT);
    } else if (is_fine) {
        doctor_note(d, DOCTOR_OK, "quotas", "none is full");
    }
}
