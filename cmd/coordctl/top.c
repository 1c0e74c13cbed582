/* top: the members side by side, again and again, with what happens in a second. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "client/socket.h"
#include "cmd/coordctl/doctor.h"
#include "cmd/coordctl/signals.h"
#include "cmd/coordctl/text/paint.h"
#include "cmd/coordctl/values.h"

#define INTERVAL_MS_DEFAULT 1000
#define MEMBERS_MAX         64
#define NAME_BYTES_MAX      64

/* Counters of one member, to be compared with those of the next round. */
struct counters {
    char name[NAME_BYTES_MAX];
    double started_s; /* another process counts from 0 */
    double requests;
    double sent_bytes;
    double cpu_s;
};

struct round {
    uint64_t at_ms; /* 0: there was none */
    uint64_t revision;
    struct counters members[MEMBERS_MAX];
    size_t count;
};

struct top {
    struct ctl *ctl;
    struct signals signals;
    struct round before;
    struct round now;
    bool is_live; /* on a terminal, drawn over itself */
    bool colours;
    bool has_keys;
    struct termios terminal;
};

/* ---- figures ---------------------------------------------------------------------------- */

static uint64_t whole(double figure)
{
    return isfinite(figure) && figure > 0 ? (uint64_t)figure : 0;
}

static uint64_t revision_of(const Coord__V1__StatusReply *s)
{
    return s->header != NULL ? s->header->revision : 0;
}

static void count_member(struct round *round, const struct doctor_member *m)
{
    if (m->metrics == NULL || round->count == MEMBERS_MAX) {
        return;
    }
    const char *text = m->metrics->text;
    struct counters *c = &round->members[round->count++];
    snprintf(c->name, sizeof c->name, "%s", m->name);
    c->started_s = figure(text, "process_start_time_seconds");
    c->requests = figure_sum(text, "coord_grpc_request_seconds_count") +
                  figure_sum(text, "coord_zookeeper_packets_received_total") +
                  figure_sum(text, "coord_http_request_seconds_count");
    c->sent_bytes = figure_sum(text, "coord_client_sent_bytes_total");
    c->cpu_s = figure(text, "process_cpu_seconds_total");
}

static void count_round(struct top *t, const struct doctor *d)
{
    t->before = t->now;
    t->now = (struct round){.at_ms = socket_now_ms()};
    for (size_t i = 0; i < d->count; i++) {
        const struct doctor_member *m = &d->members[i];
        count_member(&t->now, m);
        if (m->status != NULL && revision_of(m->status) > t->now.revision) {
            t->now.revision = revision_of(m->status);
        }
    }
}

static const struct counters *find_counters(const struct round *round, const char *name)
{
    for (size_t i = 0; i < round->count; i++) {
        if (strcmp(round->members[i].name, name) == 0) {
            return &round->members[i];
        }
    }
    return NULL;
}

static double seconds(const struct top *t)
{
    return t->before.at_ms == 0 ? 0 : (double)(t->now.at_ms - t->before.at_ms) / 1000;
}

/* What a member did in a second. False: it was not there before, or began anew. */
static bool rates_of(const struct top *t, const char *name, struct counters *out)
{
    const struct counters *a = find_counters(&t->before, name);
    const struct counters *b = find_counters(&t->now, name);
    double s = seconds(t);
    if (a == NULL || b == NULL || s <= 0 || fabs(a->started_s - b->started_s) > 0.5) {
        return false;
    }
    out->requests = (b->requests - a->requests) / s;
    out->sent_bytes = (b->sent_bytes - a->sent_bytes) / s;
    out->cpu_s = (b->cpu_s - a->cpu_s) / s;
    return true;
}

static double revision_rate(const struct top *t)
{
    double s = seconds(t);
    bool is_known = s > 0 && t->now.revision >= t->before.revision;
    return is_known ? (double)(t->now.revision - t->before.revision) / s : 0;
}

/* The one that says it leads, with the highest term. */
static const struct doctor_member *leader_of(const struct doctor *d)
{
    const struct doctor_member *leader = NULL;
    for (size_t i = 0; i < d->count; i++) {
        const struct doctor_member *m = &d->members[i];
        if (m->status != NULL && strcmp(m->status->role, "leader") == 0 &&
            (leader == NULL || m->status->term > leader->status->term)) {
            leader = m;
        }
    }
    return leader;
}

static uint64_t lag_of(const struct doctor_member *m, const struct doctor_member *leader)
{
    return leader != NULL && leader->status->last_index > m->status->applied_index
               ? leader->status->last_index - m->status->applied_index
               : 0;
}

/* ---- for programs ----------------------------------------------------------------------- */

static json_t *member_json(const struct top *t, const struct doctor_member *m,
                           const struct doctor_member *leader)
{
    struct counters rates;
    json_t *o = json_pack("{s:s, s:s, s:b}", "name", m->name, "address", m->address, "is_up",
                          m->status != NULL);
    if (m->status == NULL) {
        json_object_set_new(o, "error", json_string(m->error));
        return o;
    }
    json_object_update_new(
        o, json_pack("{s:s, s:b, s:I, s:I, s:I}", "role", m->status->role, "serving",
                     m->status->serving, "term", (json_int_t)m->status->term, "revision",
                     (json_int_t)revision_of(m->status), "lag", (json_int_t)lag_of(m, leader)));
    if (m->metrics != NULL) {
        const char *text = m->metrics->text;
        json_object_update_new(
            o, json_pack("{s:I, s:I, s:I}", "watches",
                         (json_int_t)whole(figure_sum(text, "coord_watches")), "connections",
                         (json_int_t)whole(figure_sum(text, "coord_connections")),
                         "resident_bytes",
                         (json_int_t)whole(figure(text, "process_resident_memory_bytes"))));
    }
    if (rates_of(t, m->name, &rates)) {
        json_object_update_new(o, json_pack("{s:f, s:f, s:f}", "requests_per_s", rates.requests,
                                            "sent_bytes_per_s", rates.sent_bytes, "cpu",
                                            rates.cpu_s));
    }
    return o;
}

static json_t *round_json(const struct top *t, const struct doctor *d)
{
    const struct doctor_member *leader = leader_of(d);
    json_t *members = json_array();
    for (size_t i = 0; i < d->count; i++) {
        json_array_append_new(members, member_json(t, &d->members[i], leader));
    }
    json_t *o = json_pack("{s:s, s:I, s:f, s:o}", "leader", leader != NULL ? leader->name : "",
                          "revision", (json_int_t)t->now.revision, "revisions_per_s",
                          revision_rate(t), "members", members);
    if (leader != NULL && leader->metrics != NULL) {
        json_object_set_new(
            o, "sessions_and_leases",
            json_integer((json_int_t)whole(figure(leader->metrics->text, "coord_leases_kept"))));
        json_object_set_new(o, "nodes", json_integer((json_int_t)leader->status->node_count));
    }
    return o;
}

/* ---- for people ------------------------------------------------------------------------- */

static void print_head(const struct top *t, const struct doctor *d)
{
    const struct doctor_member *leader = leader_of(d);
    size_t up = 0;
    char size[16];
    for (size_t i = 0; i < d->count; i++) {
        up += d->members[i].status != NULL;
    }
    printf("%zu of %zu members up, ", up, d->count);
    if (leader == NULL) {
        printf("%sno leader%s, revision %" PRIu64 "\n\n", paint_begin(PAINT_RED, t->colours),
               paint_end(t->colours), t->now.revision);
        return;
    }
    printf("%s leads in term %" PRIu64 ", revision %" PRIu64 ", %.0f/s\n", leader->name,
           leader->status->term, t->now.revision, revision_rate(t));
    printf("%" PRIu64 " nodes in %s, %" PRIu64 " sessions and leases\n\n",
           leader->status->node_count, value_format_size(leader->status->state_bytes, size),
           leader->metrics != NULL ? whole(figure(leader->metrics->text, "coord_leases_kept"))
                                   : 0);
}

static void print_figures(const struct top *t, const struct doctor_member *m)
{
    char memory[16];
    char sent[16];
    struct counters rates;
    const char *text = m->metrics->text;
    printf("%7" PRIu64 " %6" PRIu64 " ", whole(figure_sum(text, "coord_watches")),
           whole(figure_sum(text, "coord_connections")));
    if (rates_of(t, m->name, &rates)) {
        printf("%8.0f %10s %4.0f%%", rates.requests,
               value_format_size(whole(rates.sent_bytes), sent), rates.cpu_s * 100);
    } else {
        printf("%8s %10s %5s", "-", "-", "-");
    }
    double fsync_s = figure_quantile(text, "coord_wal_fsync_seconds", 0.99);
    if (isfinite(fsync_s)) {
        printf(" %6.1f ms", fsync_s * 1000);
    } else {
        printf(" %9s", "-");
    }
    printf(" %9s", value_format_size(whole(figure(text, "process_resident_memory_bytes")),
                                     memory));
}

static void print_member(const struct top *t, const struct doctor_member *m,
                         const struct doctor_member *leader)
{
    bool leads = m == leader;
    if (m->status == NULL) {
        printf("%-16s %sdown%s  %s\n", m->name, paint_begin(PAINT_RED, t->colours),
               paint_end(t->colours), m->error);
        return;
    }
    printf("%-16s %s%-9s%s %6" PRIu64 " %10" PRIu64 " %6" PRIu64 " ", m->name,
           leads ? paint_begin(PAINT_GREEN, t->colours) : "", m->status->role,
           leads ? paint_end(t->colours) : "", m->status->term, revision_of(m->status),
           lag_of(m, leader));
    if (m->metrics != NULL) {
        print_figures(t, m);
    }
    if (m->status->reason[0] != '\0') {
        printf("  %s", m->status->reason);
    }
    putchar('\n');
}

static void print_table(const struct top *t, const struct doctor *d)
{
    const struct doctor_member *leader = leader_of(d);
    print_head(t, d);
    printf("%s%-16s %-9s %6s %10s %6s %7s %6s %8s %10s %5s %9s %9s%s\n",
           paint_begin(PAINT_BOLD, t->colours), "NAME", "ROLE", "TERM", "REVISION", "LAG",
           "WATCHES", "CONNS", "REQS/S", "SENT/S", "CPU", "FSYNC P99", "MEMORY",
           paint_end(t->colours));
    for (size_t i = 0; i < d->count; i++) {
        print_member(t, &d->members[i], leader);
    }
}

/* ---- again and again -------------------------------------------------------------------- */

/* What may pass by itself is waited for; who may not ask will not be told later either. */
static int show_trouble(const struct top *t, const struct coord_error *error)
{
    if (error->code == COORD_DENIED) {
        return ctl_failed(t->ctl, error);
    }
    printf("\033[H\033[Jno member answers: %s; trying on\n", error->message);
    (void)fflush(stdout);
    return EXIT_DONE;
}

static int show_round(struct top *t, bool is_shown)
{
    struct doctor d;
    struct coord_error error;
    int exit_code = t->is_live ? EXIT_DONE : doctor_ask(&d, t->ctl);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    if (t->is_live && !doctor_ask_quietly(&d, t->ctl, &error)) {
        return show_trouble(t, &error);
    }
    count_round(t, &d);
    if (is_shown && ctl_is_json(t->ctl)) {
        ctl_print_one(t->ctl, round_json(t, &d));
    } else if (is_shown) {
        printf("%s", t->is_live ? "\033[H\033[J" : "");
        print_table(t, &d);
        printf("%s", t->is_live ? "\nq or Ctrl-C ends it\n" : "");
    }
    (void)fflush(stdout);
    doctor_free(&d);
    return ferror(stdout) != 0 ? EXIT_GENERAL : EXIT_DONE;
}

static bool wants_to_leave(void)
{
    char key;
    return read(STDIN_FILENO, &key, 1) == 1 && (key == 'q' || key == 'Q');
}

static int follow(struct top *t)
{
    uint64_t interval_ms =
        t->ctl->interval_ms != 0 ? t->ctl->interval_ms : INTERVAL_MS_DEFAULT;
    bool needs_two = t->ctl->once; /* there are no rates without */
    int exit_code = show_round(t, !needs_two);
    while (exit_code == EXIT_DONE) {
        uint64_t due_ms = socket_now_ms() + interval_ms;
        uint64_t now_ms;
        while ((now_ms = socket_now_ms()) < due_ms) {
            int number =
                signals_wait(&t->signals, t->has_keys ? STDIN_FILENO : -1, due_ms - now_ms);
            if (number != 0) {
                return ctl_signal_exit(number);
            }
            if (t->has_keys && socket_now_ms() < due_ms && wants_to_leave()) {
                return EXIT_DONE;
            }
        }
        exit_code = show_round(t, true);
        if (needs_two) {
            return exit_code;
        }
    }
    return exit_code;
}

/* Keys come at once, and are not shown; the cursor is out of the way. */
static void begin_live(struct top *t)
{
    t->has_keys = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &t->terminal) == 0;
    if (t->has_keys) {
        struct termios raw = t->terminal;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    printf("\033[?25l");
}

static void end_live(const struct top *t)
{
    printf("\033[?25h");
    (void)fflush(stdout);
    if (t->has_keys) {
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &t->terminal);
    }
}

int ctl_top(struct ctl *ctl)
{
    struct top *t = mem_zalloc(sizeof *t);
    t->ctl = ctl;
    t->colours = paint_is_wanted(STDOUT_FILENO);
    t->is_live = isatty(STDOUT_FILENO) == 1 && ctl_is_table(ctl) && !ctl->once;
    if (!signals_open(&t->signals)) {
        mem_free(t);
        return ctl_general(ctl, "signals cannot be waited for");
    }
    if (t->is_live) {
        begin_live(t);
    }
    int exit_code = follow(t);
    if (t->is_live) {
        end_live(t);
    }
    signals_close(&t->signals);
    mem_free(t);
    return exit_code;
}
