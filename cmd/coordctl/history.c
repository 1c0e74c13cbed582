/* history, and how much of it is kept: policy list, set, unset, retention. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/coordctl/event.h"
#include "cmd/coordctl/values.h"
#include "coord/v1/history.pb-c.h"

/* ---- history ---------------------------------------------------------------------------- */

static void print_change(const struct ctl *ctl, const struct coord_event *e)
{
    struct buf line = {0};
    char when[32];
    ctl_format_time(e->time_ms, when, sizeof when);
    buf_printf(&line, "%-8" PRIu64 " %s  %-7s", e->revision, when, event_type_name(e->type));
    if (ctl->recursive) {
        buf_printf(&line, "  %s", e->path);
    }
    if (!ctl->keys_only && e->type != COORD_EVENT_DELETED) {
        buf_append_str(&line, "  ");
        event_append_value(&line, e->data, e->bytes);
    }
    event_append_circumstances(&line, e);
    buf_append_str(&line, "\n");
    fwrite(line.data, 1, line.size, stdout);
    buf_close(&line);
}

static void print_page(const struct ctl *ctl, const struct coord_change_list *page,
                       json_t *array)
{
    for (size_t i = 0; i < page->count; i++) {
        if (array != NULL) {
            json_array_append_new(array, event_json(ctl, &page->events[i]));
        } else {
            print_change(ctl, &page->events[i]);
        }
    }
}

static int print_pages(struct ctl *ctl, json_t *array)
{
    struct coord_change_options o = {.recursive = ctl->recursive,
                                     .newest_first = ctl->reverse,
                                     .keys_only = ctl->keys_only,
                                     .from_revision = ctl->from_revision};
    uint64_t left = ctl->limit != 0 ? ctl->limit : UINT64_MAX;
    do {
        struct coord_change_list page;
        struct coord_error error;
        o.limit = left < UINT32_MAX ? (uint32_t)left : 0;
        enum coord_code code = coord_changes(ctl->client, ctl->words[0], &o, &page, &error);
        if (code != COORD_OK) {
            return ctl_failed(ctl, &error);
        }
        print_page(ctl, &page, array);
        left -= page.count < left ? page.count : left;
        o.after_revision = page.next_revision;
        o.after_sub = page.next_sub;
        coord_changes_clear(&page);
    } while (o.after_revision != 0 && left > 0);
    return EXIT_DONE;
}

int ctl_history(struct ctl *ctl)
{
    ctl->prev = true; /* in JSON; the API has it anyway */
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    int exit_code = print_pages(ctl, array);
    if (array != NULL && exit_code == EXIT_DONE) {
        ctl_print_json(ctl, array);
    } else {
        json_decref(array);
    }
    return exit_code;
}

/* ---- policies --------------------------------------------------------------------------- */

/* A page of them, and what is kept of all else. */
static int get_policies(struct ctl *ctl, char *after, ProtobufCMessage **reply)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__GetPoliciesRequest request = COORD__V1__GET_POLICIES_REQUEST__INIT;
    request.header = &header;
    request.after = after;
    return ctl_call(ctl, CLIENT_GET_POLICIES, &request.base, &header, reply);
}

static int policy_page(struct ctl *ctl, char after[CTL_PATH_BYTES], json_t *array)
{
    ProtobufCMessage *m;
    int exit_code = get_policies(ctl, after, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__GetPoliciesReply *reply = (const Coord__V1__GetPoliciesReply *)m;
    for (size_t i = 0; i < reply->n_policies; i++) {
        const Coord__V1__HistoryPolicy *p = reply->policies[i];
        if (array != NULL) {
            json_array_append_new(array, json_pack("{s:s, s:I}", "path", p->path, "versions",
                                                   (json_int_t)p->versions));
        } else {
            printf("%s  last %" PRIu32 " version%s\n", p->path, p->versions,
                   p->versions == 1 ? "" : "s");
        }
    }
    snprintf(after, CTL_PATH_BYTES, "%s", reply->next);
    client_reply_free(m);
    return EXIT_DONE;
}

int ctl_policy_list(struct ctl *ctl)
{
    return ctl_list_pages(ctl, policy_page);
}

static int set_policy(struct ctl *ctl, uint32_t versions)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SetPolicyRequest request = COORD__V1__SET_POLICY_REQUEST__INIT;
    Coord__V1__HistoryPolicy policy = COORD__V1__HISTORY_POLICY__INIT;
    request.header = &header;
    request.policy = &policy;
    policy.path = ctl_text(ctl->words[0]);
    policy.versions = versions;
    return ctl_change(ctl, CLIENT_SET_POLICY, &request.base, &header);
}

int ctl_policy_set(struct ctl *ctl)
{
    uint64_t versions;
    if (!value_parse_number(ctl->words[1], UINT32_MAX, &versions) || versions == 0) {
        return ctl_usage("policy set: \"%s\" is not a number of versions from 1",
                         ctl->words[1]);
    }
    return set_policy(ctl, (uint32_t)versions);
}

int ctl_policy_unset(struct ctl *ctl)
{
    return set_policy(ctl, 0);
}

static void print_retention(const struct ctl *ctl, const Coord__V1__Retention *r)
{
    char age[24];
    value_format_duration(r->age_ms, age, sizeof age);
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl,
                       json_pack("{s:I, s:I, s:I}", "bytes", (json_int_t)r->bytes, "age_ms",
                                 (json_int_t)r->age_ms, "revisions", (json_int_t)r->revisions));
    } else {
        printf("at most %" PRIu64 " MiB and %s, at least %" PRIu64 " revision%s\n",
               r->bytes >> 20, age, r->revisions, r->revisions == 1 ? "" : "s");
    }
}

/* What is not given stays as it is. */
static int set_retention(struct ctl *ctl, Coord__V1__Retention *r)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SetRetentionRequest request = COORD__V1__SET_RETENTION_REQUEST__INIT;
    r->bytes = ctl->bytes != 0 ? ctl->bytes : r->bytes;
    r->age_ms = ctl->age_ms != 0 ? ctl->age_ms : r->age_ms;
    r->revisions = ctl->revisions != 0 ? ctl->revisions : r->revisions;
    request.header = &header;
    request.retention = r;
    return ctl_change(ctl, CLIENT_SET_RETENTION, &request.base, &header);
}

int ctl_policy_retention(struct ctl *ctl)
{
    ProtobufCMessage *m;
    char first[] = "";
    int exit_code = get_policies(ctl, first, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    Coord__V1__Retention *retention = ((Coord__V1__GetPoliciesReply *)m)->retention;
    if (retention == NULL) {
        exit_code = ctl_general(ctl, "the reply tells of no retention");
    } else if (ctl->bytes != 0 || ctl->age_ms != 0 || ctl->revisions != 0) {
        exit_code = set_retention(ctl, retention);
    } else {
        print_retention(ctl, retention);
    }
    client_reply_free(m);
    return exit_code;
}
