/* upgrade: from one version to the next, member by member (docs/operations.md). */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/coordctl/ctl.h"
#include "cmd/coordctl/doctor.h"

/* What there is to do, of all that can be said. */
static const char *advice(const struct doctor *d, bool *is_finished)
{
    const Coord__V1__StatusReply *first = NULL;
    *is_finished = false;
    for (size_t i = 0; i < d->count; i++) {
        const Coord__V1__StatusReply *s = d->members[i].status;
        if (s == NULL) {
            return "a member does not answer: bring it back first";
        }
        if (first != NULL && s->feature_level_known != first->feature_level_known) {
            return "members of different versions: upgrade the others, one at a time";
        }
        first = first == NULL ? s : first;
    }
    *is_finished = first != NULL && first->feature_level >= first->feature_level_known;
    return *is_finished ? "nothing to do"
                        : "all members run the newer version: coordctl upgrade finish";
}

static void print_table(const struct doctor *d)
{
    bool is_finished;
    printf("%-16s %-20s %-8s %s\n", "NAME", "VERSION", "LEVEL", "KNOWS");
    for (size_t i = 0; i < d->count; i++) {
        const struct doctor_member *m = &d->members[i];
        if (m->status == NULL) {
            printf("%-16s %s\n", m->name, m->error);
        } else {
            printf("%-16s %-20s %-8" PRIu32 " %" PRIu32 "\n", m->name, m->status->version,
                   m->status->feature_level, m->status->feature_level_known);
        }
    }
    printf("\n%s\n", advice(d, &is_finished));
}

static void print_json(const struct doctor *d)
{
    bool is_finished;
    const char *todo = advice(d, &is_finished);
    json_t *members = json_array();
    for (size_t i = 0; i < d->count; i++) {
        const struct doctor_member *m = &d->members[i];
        json_array_append_new(
            members, m->status == NULL
                         ? json_pack("{s:s, s:s}", "name", m->name, "error", m->error)
                         : json_pack("{s:s, s:s, s:I, s:I}", "name", m->name, "version",
                                     m->status->version, "feature_level",
                                     (json_int_t)m->status->feature_level,
                                     "feature_level_known",
                                     (json_int_t)m->status->feature_level_known));
    }
    ctl_print_json(d->ctl, json_pack("{s:o, s:b, s:s}", "members", members, "finished",
                                     is_finished, "todo", todo));
}

int ctl_upgrade_status(struct ctl *ctl)
{
    struct doctor d;
    int exit_code = doctor_ask(&d, ctl);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    if (ctl_is_json(ctl)) {
        print_json(&d);
    } else {
        print_table(&d);
    }
    doctor_free(&d);
    return EXIT_DONE;
}

int ctl_upgrade_finish(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__FinishUpgradeRequest request = COORD__V1__FINISH_UPGRADE_REQUEST__INIT;
    ProtobufCMessage *reply;
    request.header = &header;
    int exit_code = ctl_call(ctl, CLIENT_FINISH_UPGRADE, &request.base, &header, &reply);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    uint32_t level = ((const Coord__V1__FinishUpgradeReply *)reply)->feature_level;
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, json_pack("{s:I}", "feature_level", (json_int_t)level));
    } else {
        printf("feature level %" PRIu32 "\n", level);
    }
    client_reply_free(reply);
    return EXIT_DONE;
}
