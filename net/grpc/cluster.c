/* coord.v1.Cluster: who the members are and how they fare, as this node sees it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coord/v1/cluster.pb-c.h"
#include "base/version.h"
#include "net/grpc/answer.h"
#include "raft/message.h"
#include "store/store.h"

static const char *member_role(const struct node_member_status *member)
{
    if (member->is_leader) {
        return "leader";
    }
    if (!member->is_up && !member->is_self) {
        return "down";
    }
    return member->role == MEMBER_VOTER ? "follower" : "standby";
}

static const char *member_state(const struct node_member_status *member)
{
    if (member->is_leaving) {
        return "leaving";
    }
    if (member->role == MEMBER_VOTER) {
        return "voter";
    }
    return member->is_learner ? "standby" : "joining";
}

/* Members as messages that borrow from `status`; the array is gone when the handler returns. */
static Coord__V1__Member **members_fill(struct grpc_call *call,
                                        const struct node_status *status)
{
    size_t count = status->member_count;
    Coord__V1__Member **list = grpc_call_scratch(call, count * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const struct node_member_status *from = &status->members[i];
        Coord__V1__Member *to = grpc_call_scratch(call, sizeof *to);
        coord__v1__member__init(to);
        to->id = from->id;
        to->name = answer_text(from->name);
        to->role = answer_text(member_role(from));
        to->peer_address = answer_text(from->peer_address);
        to->client_address = answer_text(from->client_address);
        to->is_up = from->is_up;
        to->match_index = from->match_index;
        to->state = answer_text(member_state(from));
        to->waits_for = answer_text(from->waits_for);
        list[i] = to;
    }
    return list;
}

static const char *leader_name(const struct node_status *status)
{
    for (size_t i = 0; i < status->member_count; i++) {
        if (status->leader_id != 0 && status->members[i].id == status->leader_id) {
            return status->members[i].name;
        }
    }
    return "";
}

/* Answers at once: it must work when nothing else does. */
static void status_call(struct grpc_call *call, const ProtobufCMessage *request)
{
    if (!answer_session(call, ((const Coord__V1__StatusRequest *)request)->header)) {
        return;
    }
    struct node_status *status = grpc_call_scratch(call, sizeof *status);
    node_status(grpc_call_node(call), status);

    Coord__V1__ReplyHeader header =
        answer_header(call, status->revision, status->applied_index);
    Coord__V1__StatusReply message;
    coord__v1__status_reply__init(&message);
    message.header = &header;
    message.name = answer_text(status->name);
    message.role = answer_text(status->state);
    message.reason = answer_text(status->state_reason);
    message.serving = status->serving;
    message.leader = answer_text(leader_name(status));
    message.leader_id = status->leader_id;
    message.term = status->term;
    message.commit_index = status->commit_index;
    message.applied_index = status->applied_index;
    message.last_index = status->last_index;
    message.digest = status->digest;
    message.node_count = status->node_count;
    message.log_bytes = status->log_bytes;
    message.snapshot_index = status->snapshot_index;
    message.snapshot_bytes = status->snapshot_bytes;
    message.state_bytes = status->state_bytes;
    message.feature_level = status->feature_level;
    message.feature_level_known = status->feature_level_known;
    message.disk_is_short = status->disk_is_short;
    message.version = answer_text(version_text());
    message.members = members_fill(call, status);
    message.n_members = status->member_count;
    Coord__V1__BackupStatus backup;
    coord__v1__backup_status__init(&backup);
    backup.last_success_ms = status->backup.wall_ms;
    backup.revision = status->backup.revision;
    backup.failures = status->backup.failures;
    backup.problem = answer_text(status->backup.problem);
    message.backup = status->backup.is_on ? &backup : NULL;
    grpc_call_reply(call, &message.base);
}

static void members_got(struct grpc_call *call, const struct query_result *result)
{
    (void)result; /* a barrier has none */
    struct node_status *status = grpc_call_scratch(call, sizeof *status);
    node_status(grpc_call_node(call), status);

    Coord__V1__ReplyHeader header = answer_header_of_barrier(call);
    Coord__V1__MembersReply message;
    coord__v1__members_reply__init(&message);
    message.header = &header;
    message.members = members_fill(call, status);
    message.n_members = status->member_count;
    grpc_call_reply(call, &message.base);
}

/* The configuration is read behind a barrier as fresh as the client asks for. */
static void members_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__MembersRequest *request = (const Coord__V1__MembersRequest *)message;
    if (answer_read_prepare(call, request->header)) {
        call->read.is_barrier = true;
        grpc_call_read(call, members_got);
    }
}

static void upgrade_finished(struct grpc_call *call, const struct reply *reply)
{
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__FinishUpgradeReply message;
    if (reply->outcome != OUTCOME_OK) {
        grpc_call_refuse(call, (enum outcome)reply->outcome, reply->revision, "%s",
                         outcome_text((enum outcome)reply->outcome));
        return;
    }
    coord__v1__finish_upgrade_reply__init(&message);
    message.header = &header;
    message.feature_level = store_level(node_store(grpc_call_node(call)));
    grpc_call_reply(call, &message.base);
}

/* Each member has heard from each other what it knows, so that any of them may decide. One that
 * goes back meanwhile ends with a clear word. */
static void finish_upgrade_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__FinishUpgradeRequest *request =
        (const Coord__V1__FinishUpgradeRequest *)message;
    struct command c = {.type = COMMAND_LEVEL};
    char who[NODE_NAME_BYTES_MAX];
    if (!answer_write_prepare(call, request->header, &c)) {
        return;
    }
    c.level = node_level_of_all(grpc_call_node(call), who);
    if (c.level == 0) {
        grpc_call_fail(call, GRPC_FAILED_PRECONDITION,
                       "member %s has not been heard since this one started: what it runs is not "
                       "known",
                       who);
    } else if (c.level < FEATURE_LEVEL) {
        grpc_call_fail(call, GRPC_FAILED_PRECONDITION,
                       "member %s knows feature level %" PRIu32
                       " only, this one knows %d: upgrade it first",
                       who, c.level, FEATURE_LEVEL);
    } else {
        answer_propose(call, &c, upgrade_finished);
    }
}

/* Answers at once, as Status does. */
static void metrics_call(struct grpc_call *call, const ProtobufCMessage *request)
{
    if (!answer_session(call, ((const Coord__V1__MetricsRequest *)request)->header)) {
        return;
    }
    const struct grpc_connection *c = call->connection;
    struct env *env = c->env->env;
    struct node *node = grpc_call_node(call);
    struct buf text = {0};
    buf_append_slice(&text, figures_text(c->shared->figures, node, env->now_ms(env)));
    buf_append(&text, "", 1);

    Coord__V1__ReplyHeader header = answer_header(call, store_revision(node_store(node)),
                                                  store_applied_index(node_store(node)));
    Coord__V1__MetricsReply message;
    coord__v1__metrics_reply__init(&message);
    message.header = &header;
    message.text = (char *)text.data;
    message.wall_ms = env->wall_ms(env);
    grpc_call_reply(call, &message.base);
    buf_close(&text);
}

/* ---- changes ----------------------------------------------------------------------------- */

static void member_changed(struct grpc_call *call, bool already, const char *detail)
{
    Coord__V1__ReplyHeader header = answer_header_of_now(call);
    Coord__V1__MemberChangeReply message;
    coord__v1__member_change_reply__init(&message);
    message.header = &header;
    message.already = already;
    message.detail = answer_text(detail);
    grpc_call_reply(call, &message.base);
}

/* Names and addresses that do not fit are no member's; the leader judges the rest. */
static void member_change(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                          enum member_request kind, const char *name, const char *address,
                          bool learner)
{
    struct node_change change = {.kind = (uint8_t)kind, .learner = learner};
    if (!answer_session(call, header)) {
        return;
    }
    if (strlen(name) >= sizeof change.name) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "name: longer than %zu characters",
                       sizeof change.name - 1);
        return;
    }
    if (strlen(address) >= sizeof change.address) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "peer_address: longer than %zu characters",
                       sizeof change.address - 1);
        return;
    }
    memcpy(change.name, name, strlen(name) + 1);
    memcpy(change.address, address, strlen(address) + 1);
    grpc_call_change(call, &change, member_changed);
}

static void add_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__MemberAddRequest *r = (const Coord__V1__MemberAddRequest *)message;
    member_change(call, r->header, MEMBER_ADD, r->name, r->peer_address, r->learner);
}

static void remove_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__MemberRemoveRequest *r = (const Coord__V1__MemberRemoveRequest *)message;
    member_change(call, r->header, MEMBER_REMOVE, r->name, "", false);
}

static void replace_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__MemberReplaceRequest *r = (const Coord__V1__MemberReplaceRequest *)message;
    member_change(call, r->header, MEMBER_REPLACE, r->name, r->peer_address, r->learner);
}

static void promote_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__MemberPromoteRequest *r = (const Coord__V1__MemberPromoteRequest *)message;
    member_change(call, r->header, MEMBER_PROMOTE, r->name, "", false);
}

static void transfer_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__TransferLeadershipRequest *r =
        (const Coord__V1__TransferLeadershipRequest *)message;
    member_change(call, r->header, MEMBER_TRANSFER, r->name, "", false);
}

static void grow_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__MemberGrowRequest *r = (const Coord__V1__MemberGrowRequest *)message;
    char names[2 * NODE_NAME_BYTES_MAX] = "";
    if (r->n_names != 0 && r->n_names != 2) {
        grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "names: %zu given, two or none are needed",
                       r->n_names);
        return;
    }
    if (r->n_names == 2) {
        size_t size = strlen(r->names[0]) + strlen(r->names[1]);
        if (size + 2 > sizeof names) {
            grpc_call_fail(call, GRPC_INVALID_ARGUMENT,
                           "names: longer than %d characters each", NODE_NAME_BYTES_MAX - 1);
            return;
        }
        (void)snprintf(names, sizeof names, "%s,%s", r->names[0], r->names[1]);
    }
    member_change(call, r->header, MEMBER_GROW, "", names, false);
}

static const struct grpc_method methods[] = {
    {.name = "Status",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .state = GRPC_STATE_ANY,
     .request = &coord__v1__status_request__descriptor,
     .message = status_call},
    {.name = "Members",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .state = GRPC_STATE_ANY,
     .request = &coord__v1__members_request__descriptor,
     .message = members_call},
    {.name = "MemberAdd",
     .state = GRPC_STATE_CONFIRMED,
     .request = &coord__v1__member_add_request__descriptor,
     .message = add_call},
    {.name = "MemberRemove",
     .state = GRPC_STATE_CONFIRMED,
     .request = &coord__v1__member_remove_request__descriptor,
     .message = remove_call},
    {.name = "MemberReplace",
     .state = GRPC_STATE_CONFIRMED,
     .request = &coord__v1__member_replace_request__descriptor,
     .message = replace_call},
    {.name = "MemberPromote",
     .state = GRPC_STATE_CONFIRMED,
     .request = &coord__v1__member_promote_request__descriptor,
     .message = promote_call},
    {.name = "TransferLeadership",
     .state = GRPC_STATE_CONFIRMED,
     .request = &coord__v1__transfer_leadership_request__descriptor,
     .message = transfer_call},
    {.name = "MemberGrow",
     .state = GRPC_STATE_CONFIRMED,
     .request = &coord__v1__member_grow_request__descriptor,
     .message = grow_call},
    {.name = "Metrics",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .state = GRPC_STATE_ANY,
     .request = &coord__v1__metrics_request__descriptor,
     .message = metrics_call},
    {.name = "FinishUpgrade",
     .state = GRPC_STATE_CONFIRMED,
     .request = &coord__v1__finish_upgrade_request__descriptor,
     .message = finish_upgrade_call},
};

const struct grpc_service grpc_cluster_service = {
    .name = "coord.v1.Cluster",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
