/* doctor: what is wrong with a cluster, or soon will be. doctor.c asks every member; this and
 * doctor_rules.c judge what they said, doctor_limits.c what of it may be used up.
 *
 * To add a check: a function in one of these, a row in the table of doctor_rules.c, a row in
 * docs/coordctl.md. */
#ifndef CMD_COORDCTL_DOCTOR_H
#define CMD_COORDCTL_DOCTOR_H

#include "cmd/coordctl/ctl.h"
#include "coord/v1/cluster.pb-c.h"

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

/* What a member said of itself. */
struct doctor_member {
    const char *name;
    const char *address; /* "" = nobody knows it yet */
    bool is_voter;
    char error[160];                       /* why it said nothing; "" if it did */
    const Coord__V1__StatusReply *status;  /* NULL if it said nothing; likewise: */
    const Coord__V1__MetricsReply *metrics;
    int64_t clock_ms;  /* its wall clock minus ours, as far as can be told */
    int64_t clock_error_ms; /* half of the time that the question took */
};

struct doctor {
    struct ctl *ctl;
    ProtobufCMessage *first; /* the reply that named the members */
    struct doctor_member *members;
    size_t count;
    json_t *findings; /* objects: check, level, text */
    size_t counts[DOCTOR_FAIL + 1];
};

/* Asks every member; `d` is to be freed when it returns EXIT_DONE. */
int doctor_ask(struct doctor *d, struct ctl *ctl);
/* The same, without a word about what goes wrong: false, and `error` says it. */
bool doctor_ask_quietly(struct doctor *d, struct ctl *ctl, struct coord_error *error);
void doctor_free(struct doctor *d);

/* Applies every check. */
void doctor_judge(struct doctor *d);
void doctor_note(struct doctor *d, enum doctor_level level, const char *check,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* ---- doctor_limits.c: what may be used up ---- */

void doctor_check_limits(struct doctor *d);
void doctor_check_memory(struct doctor *d);
void doctor_check_users(struct doctor *d);
void doctor_check_quotas(struct doctor *d);

/* ---- figures ---- */

/* The value of the first series of that name in Prometheus text; NAN if there is none. */
double figure(const char *text, const char *name);
/* The sum over all series of that name; 0 if there is none. */
double figure_sum(const char *text, const char *name);
/* Of a histogram without labels, in its unit: the upper bound of the bucket that holds the
 * quantile; NAN if it has seen nothing. */
double figure_quantile(const char *text, const char *name, double quantile);

#endif
