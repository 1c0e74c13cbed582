/* doctor: asks every member of the cluster how it fares, and prints what is wrong. */
#include "cmd/coordctl/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/coordctl/member.h"

/* A member that is down shall not keep the others' findings waiting. */
#define MEMBER_TIMEOUT_MS 2000

static const char *const level_names[] = {
    [DOCTOR_OK] = "ok", [DOCTOR_WARN] = "warn", [DOCTOR_FAIL] = "fail"};

void doctor_note(struct doctor *d, enum doctor_level level, const char *check,
                 const char *format, ...)
{
    struct buf text = {0}; /* whole: paths in it are as long as paths may be */
    va_list arguments;
    va_start(arguments, format);
    size_t bytes = (size_t)vsnprintf(NULL, 0, format, arguments) + 1;
    va_end(arguments);
    va_start(arguments, format);
    (void)vsnprintf((char *)buf_extend(&text, bytes), bytes, format, arguments);
    va_end(arguments);
    d->counts[level]++;
    json_array_append_new(d->findings, json_pack("{s:s, s:s, s:s}", "check", check, "level",
                                                 level_names[level], "text",
                                                 (const char *)text.data));
    buf_close(&text);
}

static int64_t now_ms(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Its clock is compared with ours in the middle of the question's time. */
static void ask_metrics(struct doctor_member *m, struct coord_client *client)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__MetricsRequest request = COORD__V1__METRICS_REQUEST__INIT;
    struct coord_error error;
    ProtobufCMessage *reply;
    request.header = &header;
    int64_t began = now_ms(CLOCK_MONOTONIC);
    if (client_call(client, CLIENT_METRICS, &request.base, &header, &reply, &error) !=
        COORD_OK) {
        return;
    }
    m->metrics = (const Coord__V1__MetricsReply *)reply;
    m->clock_error_ms = (now_ms(CLOCK_MONOTONIC) - began) / 2 + 1;
    m->clock_ms = (int64_t)m->metrics->wall_ms - (now_ms(CLOCK_REALTIME) - m->clock_error_ms);
}

static void ask(const struct doctor *d, struct doctor_member *m)
{
    struct coord_options options = d->ctl->options;
    struct coord_error error = {0};
    struct coord_client *client;
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__StatusRequest request = COORD__V1__STATUS_REQUEST__INIT;
    ProtobufCMessage *reply;
    request.header = &header;
    static const struct coord_tls as_ever = {.ca_file = NULL};
    options.endpoints = m->address;
    if (options.tls == NULL && ctl_speaks_tls(d->ctl)) {
        options.tls = &as_ever; /* as the scheme said that stood before the endpoints */
    }
    if (options.timeout_ms == 0 || options.timeout_ms > MEMBER_TIMEOUT_MS) {
        options.timeout_ms = MEMBER_TIMEOUT_MS;
    }
    if (m->address[0] == '\0') {
        snprintf(m->error, sizeof m->error, "it has not told where clients reach it");
    } else if (coord_open(&options, &client, &error) != COORD_OK) {
        snprintf(m->error, sizeof m->error, "%.150s", error.message);
    } else {
        if (client_call(client, CLIENT_STATUS, &request.base, &header, &reply, &error) ==
            COORD_OK) {
            m->status = (const Coord__V1__StatusReply *)reply;
            ask_metrics(m, client);
        } else {
            snprintf(m->error, sizeof m->error, "%.150s", error.message);
        }
        coord_close(client);
    }
}

static void free_reply(const ProtobufCMessage *reply)
{
    client_reply_free((ProtobufCMessage *)(uintptr_t)reply);
}

static bool ask_all(struct doctor *d)
{
    const Coord__V1__StatusReply *first = (const Coord__V1__StatusReply *)d->first;
    members_sort(first->members, first->n_members);
    d->count = first->n_members;
    d->members = calloc(d->count + 1, sizeof *d->members);
    if (d->members == NULL) {
        client_reply_free(d->first);
        return false;
    }
    for (size_t i = 0; i < d->count; i++) {
        const Coord__V1__Member *from = first->members[i];
        struct doctor_member *m = &d->members[i];
        m->name = from->name;
        m->address = from->client_address;
        m->is_voter = strcmp(from->role, "standby") != 0;
        ask(d, m);
    }
    return true;
}

int doctor_ask(struct doctor *d, struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__StatusRequest request = COORD__V1__STATUS_REQUEST__INIT;
    *d = (struct doctor){.ctl = ctl};
    request.header = &header;
    int exit_code = ctl_call(ctl, CLIENT_STATUS, &request.base, &header, &d->first);
    if (exit_code == EXIT_DONE && !ask_all(d)) {
        return ctl_general(ctl, "no memory");
    }
    return exit_code;
}

bool doctor_ask_quietly(struct doctor *d, struct ctl *ctl, struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__StatusRequest request = COORD__V1__STATUS_REQUEST__INIT;
    *d = (struct doctor){.ctl = ctl};
    request.header = &header;
    if (client_call(ctl->client, CLIENT_STATUS, &request.base, &header, &d->first, error) !=
        COORD_OK) {
        return false;
    }
    if (!ask_all(d)) {
        *error = (struct coord_error){.code = COORD_NO_MEMORY, .message = "no memory"};
        return false;
    }
    return true;
}

void doctor_free(struct doctor *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free_reply(d->members[i].status != NULL ? &d->members[i].status->base : NULL);
        free_reply(d->members[i].metrics != NULL ? &d->members[i].metrics->base : NULL);
    }
    free(d->members);
    client_reply_free(d->first);
}

static void print_findings(struct doctor *d)
{
    size_t i;
    json_t *finding;
    if (ctl_is_json(d->ctl)) {
        ctl_print_json(d->ctl, d->findings);
        return;
    }
    json_array_foreach(d->findings, i, finding)
    {
        printf("%-5s %-13s %s\n", json_string_value(json_object_get(finding, "level")),
               json_string_value(json_object_get(finding, "check")),
               json_string_value(json_object_get(finding, "text")));
    }
    json_decref(d->findings);
}

int ctl_doctor(struct ctl *ctl)
{
    struct doctor d;
    int exit_code = doctor_ask(&d, ctl);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    d.findings = json_array();
    if (d.findings == NULL) {
        exit_code = ctl_general(ctl, "no memory");
    } else {
        doctor_judge(&d);
        print_findings(&d);
        exit_code = d.counts[DOCTOR_FAIL] > 0 ? EXIT_GENERAL : EXIT_DONE;
    }
    doctor_free(&d);
    return exit_code;
}
