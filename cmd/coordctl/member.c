/* The members: list, add, grow, remove, replace, promote, transfer. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/socket.h"
#include "cmd/coordctl/ctl.h"
#include "cmd/coordctl/member.h"
#include "coord/v1/cluster.pb-c.h"

#define GROW_TIMEOUT_MS 60000
#define GROW_LOOK_MS    1000

/* Two have the same name while one replaces the other: they stay as the server tells them. */
void members_sort(Coord__V1__Member **members, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        Coord__V1__Member *m = members[i];
        size_t at = i;
        for (; at > 0 && strcmp(members[at - 1]->name, m->name) > 0; at--) {
            members[at] = members[at - 1];
        }
        members[at] = m;
    }
}

static json_t *member_json(const Coord__V1__Member *m)
{
    return json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:b, s:I, s:s}", "name", m->name, "id",
                     ctl_json_hex(m->id), "state", m->state, "role", m->role, "peer_address",
                     m->peer_address, "client_address", m->client_address, "is_up", m->is_up,
                     "match_index", (json_int_t)m->match_index, "waits_for", m->waits_for);
}

static const char *or_dash(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

int ctl_member_list(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__MembersRequest request = COORD__V1__MEMBERS_REQUEST__INIT;
    request.header = &header;
    ProtobufCMessage *m;
    int exit_code = ctl_call(ctl, CLIENT_MEMBERS, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__MembersReply *reply = (const Coord__V1__MembersReply *)m;
    members_sort(reply->members, reply->n_members);
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    if (array == NULL && ctl_is_table(ctl)) {
        printf("%-16s %-16s %-8s %-9s %-22s %s\n", "NAME", "ID", "STATE", "ROLE", "CLIENTS",
               "PEERS");
    }
    for (size_t i = 0; i < reply->n_members; i++) {
        const Coord__V1__Member *member = reply->members[i];
        if (array != NULL) {
            json_array_append_new(array, member_json(member));
            continue;
        }
        printf("%-16s %016" PRIx64 " %-8s %-9s %-22s %s%s%s\n", member->name, member->id,
               member->state, member->role, or_dash(member->client_address),
               or_dash(member->peer_address), member->waits_for[0] != '\0' ? "  " : "",
               member->waits_for);
    }
    if (array != NULL) {
        ctl_print_json(ctl, array);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

/* "n3 is removed", or the same as JSON. */
static int print_change(struct ctl *ctl, ProtobufCMessage *m)
{
    const Coord__V1__MemberChangeReply *reply = (const Coord__V1__MemberChangeReply *)m;
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, json_pack("{s:b, s:s}", "already", reply->already, "detail",
                                      reply->detail));
    } else {
        printf("%s%s\n", reply->already ? "already done: " : "", reply->detail);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

static int change(struct ctl *ctl, enum client_method method, ProtobufCMessage *request,
                  Coord__V1__RequestHeader *header)
{
    ProtobufCMessage *m;
    int exit_code = ctl_call(ctl, method, request, header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    return print_change(ctl, m);
}

static char *word(const struct ctl *ctl, size_t i)
{
    return ctl_text(i < ctl->word_count ? ctl->words[i] : "");
}

int ctl_member_add(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__MemberAddRequest request = COORD__V1__MEMBER_ADD_REQUEST__INIT;
    request.header = &header;
    request.name = word(ctl, 0);
    request.peer_address = word(ctl, 1);
    request.learner = ctl->learner;
    return change(ctl, CLIENT_MEMBER_ADD, &request.base, &header);
}

/* One call, which lasts a second at most and then tells what is missing. */
static enum coord_code grow_once(const struct coord_options *options,
                                 Coord__V1__MemberGrowRequest *request, ProtobufCMessage **reply,
                                 struct coord_error *error)
{
    struct coord_client *client;
    enum coord_code code = coord_open(options, &client, error);
    if (code == COORD_OK) {
        code = client_call(client, CLIENT_MEMBER_GROW, &request->base, request->header, reply,
                           error);
        coord_close(client);
    }
    return code;
}

/* It takes until others come; meanwhile says who is missing. */
static int grow(struct ctl *ctl, Coord__V1__MemberGrowRequest *request)
{
    struct coord_options options = ctl->options;
    uint64_t limit_ms = options.timeout_ms != 0 ? options.timeout_ms : GROW_TIMEOUT_MS;
    uint64_t began_ms = socket_now_ms();
    struct coord_error error = {0};
    char said[sizeof error.message] = "";
    options.timeout_ms = limit_ms < GROW_LOOK_MS ? (uint32_t)limit_ms : GROW_LOOK_MS;
    for (;;) {
        ProtobufCMessage *m;
        enum coord_code code = grow_once(&options, request, &m, &error);
        if (code == COORD_OK) {
            return print_change(ctl, m);
        }
        bool is_over = socket_now_ms() >= began_ms + limit_ms;
        bool is_silence = strstr(error.message, "no answer in time") != NULL;
        if (code == COORD_TIMEOUT && is_over && is_silence && said[0] != '\0') {
            memcpy(error.message, said, sizeof said); /* what was told last says more */
        }
        if (code != COORD_TIMEOUT || is_over) {
            return ctl_failed(ctl, &error);
        }
        if (!is_silence && strcmp(said, error.message) != 0) {
            memcpy(said, error.message, sizeof said);
            fprintf(stderr, "coordctl: member grow: %s\n", said);
        }
    }
}

int ctl_member_grow(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__MemberGrowRequest request = COORD__V1__MEMBER_GROW_REQUEST__INIT;
    char *names[] = {word(ctl, 0), word(ctl, 1)};
    request.header = &header;
    request.names = names;
    request.n_names = ctl->word_count;
    return grow(ctl, &request);
}

int ctl_member_remove(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__MemberRemoveRequest request = COORD__V1__MEMBER_REMOVE_REQUEST__INIT;
    request.header = &header;
    request.name = word(ctl, 0);
    return change(ctl, CLIENT_MEMBER_REMOVE, &request.base, &header);
}

int ctl_member_replace(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__MemberReplaceRequest request = COORD__V1__MEMBER_REPLACE_REQUEST__INIT;
    request.header = &header;
    request.name = word(ctl, 0);
    request.peer_address = word(ctl, 1);
    request.learner = ctl->learner;
    return change(ctl, CLIENT_MEMBER_REPLACE, &request.base, &header);
}

int ctl_member_promote(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__MemberPromoteRequest request = COORD__V1__MEMBER_PROMOTE_REQUEST__INIT;
    request.header = &header;
    request.name = word(ctl, 0);
    return change(ctl, CLIENT_MEMBER_PROMOTE, &request.base, &header);
}

int ctl_member_transfer(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__TransferLeadershipRequest request =
        COORD__V1__TRANSFER_LEADERSHIP_REQUEST__INIT;
    request.header = &header;
    request.name = word(ctl, 0);
    return change(ctl, CLIENT_TRANSFER_LEADERSHIP, &request.base, &header);
}
