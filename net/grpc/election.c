/* coord.v1.Election, but for Observe: net/grpc/election_observe.c. Each call is one command of the
 * state machine (COMMAND_RECIPE), or reads what its nodes say (recipes/record.h). */
#include "net/grpc/election.h"

#include "net/grpc/answer.h"
#include "net/grpc/entry_wait.h"
#include "net/grpc/wire.h"
#include "store/acl.h"
#include "store/store.h"

/* Of enum election_policy; what is unknown is refused by name. */
static uint8_t policy_from(Coord__V1__ElectionPolicy policy)
{
    int number = (int)policy; /* the same numbers */
    return number >= 0 && number < UINT8_MAX ? (uint8_t)number : UINT8_MAX;
}

/* ---- Campaign ----------------------------------------------------------------------------- */

static void elected(struct grpc_call *call, Coord__V1__ReplyHeader *header,
                    const struct entry_wait_place *places, uint32_t count)
{
    (void)count; /* one candidate */
    Coord__V1__LockGrant grant;
    Coord__V1__ElectionCampaignReply message;
    coord__v1__lock_grant__init(&grant);
    coord__v1__election_campaign_reply__init(&message);
    grant.path = answer_copy(call, places[0].path);
    grant.revision = places[0].revision;
    message.header = header;
    message.grant = &grant;
    message.epoch = places[0].epoch;
    grpc_call_reply(call, &message.base);
}

static void campaign_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ElectionCampaignRequest *r =
        (const Coord__V1__ElectionCampaignRequest *)message;
    struct command c = {.type = COMMAND_RECIPE};
    struct recipe_target target = {.path = slice_str(r->path)};
    if (!answer_write_prepare(call, r->header, &c)) {
        return;
    }
    c.recipe = (struct command_recipe){
        .recipe = RECIPE_ELECTION,
        .action = RECIPE_ACQUIRE,
        .flags = r->no_wait ? RECIPE_TRY : 0,
        .policy = policy_from(r->policy),
        .lease = r->lease != 0 ? r->lease : call->session,
        .owner = slice_str(r->name),
        .value = slice_str(r->value),
        .label = slice_str(r->label),
        .priority = r->priority,
        .number = r->number,
        .wait_ms = r->wait_ms,
        .guards = answer_guards(call, r->guards, r->n_guards),
        .guard_count = (uint32_t)r->n_guards,
        .targets = &target,
        .target_count = 1,
    };
    entry_wait_start(call, &c, elected);
}

/* ---- other writes ------------------------------------------------------------------------- */

static void changed(struct grpc_call *call, const struct reply *reply)
{
    if (reply->outcome != OUTCOME_OK) {
        answer_refuse_recipe(call, reply);
        return;
    }
    if (!answer_fits(call, reply, !reply->has_lease && reply->result_count == 0)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__ElectionReply message;
    coord__v1__election_reply__init(&message);
    message.header = &header;
    grpc_call_reply(call, &message.base);
}

/* What all writes have; the path of the first target is kept for the error text. */
static void change(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                   const struct command_recipe *recipe,
                   void (*written)(struct grpc_call *call, const struct reply *reply))
{
    struct command c = {.type = COMMAND_RECIPE, .recipe = *recipe};
    if (!answer_write_prepare(call, header, &c)) {
        return;
    }
    c.recipe.recipe = RECIPE_ELECTION;
    buf_clear(&call->path);
    buf_append_slice(&call->path, recipe->targets[0].path);
    answer_propose(call, &c, written);
}

static struct recipe_target target_of(const Coord__V1__LockGrant *entry)
{
    return (struct recipe_target){
        .path = entry == NULL ? slice_make(NULL, 0) : slice_str(entry->path),
        .revision = entry == NULL ? 0 : entry->revision,
    };
}

static void proclaim_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ElectionProclaimRequest *r =
        (const Coord__V1__ElectionProclaimRequest *)message;
    struct recipe_target target = target_of(r->grant);
    struct command_recipe recipe = {
        .action = RECIPE_PROCLAIM,
        .value = slice_str(r->value),
        .guards = answer_guards(call, r->guards, r->n_guards),
        .guard_count = (uint32_t)r->n_guards,
        .targets = &target,
        .target_count = 1,
    };
    change(call, r->header, &recipe, changed);
}

static void end_candidate(struct grpc_call *call, const ProtobufCMessage *message,
                          enum recipe_action action)
{
    const Coord__V1__ElectionResignRequest *r =
        (const Coord__V1__ElectionResignRequest *)message;
    struct recipe_target target = target_of(r->entry);
    struct command_recipe recipe = {
        .action = (uint8_t)action,
        .guards = answer_guards(call, r->guards, r->n_guards),
        .guard_count = (uint32_t)r->n_guards,
        .targets = &target,
        .target_count = 1,
    };
    change(call, r->header, &recipe, changed);
}

static void resign_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    end_candidate(call, message, RECIPE_CANCEL);
}

static void remove_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    end_candidate(call, message, RECIPE_REMOVE);
}

static void configure_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ElectionConfigureRequest *r =
        (const Coord__V1__ElectionConfigureRequest *)message;
    struct recipe_target target = {.path = slice_str(r->path)};
    struct command_recipe recipe = {
        .action = RECIPE_CONFIGURE,
        .policy = policy_from(r->policy),
        .label = slice_str(r->eligible),
        .guards = answer_guards(call, r->guards, r->n_guards),
        .guard_count = (uint32_t)r->n_guards,
        .targets = &target,
        .target_count = 1,
    };
    change(call, r->header, &recipe, changed);
}

static void handed_over(struct grpc_call *call, const struct reply *reply)
{
    if (reply->outcome != OUTCOME_OK) {
        answer_refuse_recipe(call, reply);
        return;
    }
    if (!answer_fits(call, reply, reply->has_recipe && reply->recipe.place_count == 1)) {
        return;
    }
    const struct recipe_place_result *place = &reply->recipe.places[0];
    Coord__V1__ReplyHeader header = answer_header_of_write(call, reply);
    Coord__V1__LockGrant grant;
    Coord__V1__ElectionHandOverReply message;
    coord__v1__lock_grant__init(&grant);
    coord__v1__election_hand_over_reply__init(&message);
    grant.path = answer_copy(call, place->path);
    grant.revision = place->revision;
    message.header = &header;
    message.grant = &grant;
    message.epoch = place->epoch;
    grpc_call_reply(call, &message.base);
}

/* That a certain one leads is a guard like others. */
static void hand_over_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ElectionHandOverRequest *r =
        (const Coord__V1__ElectionHandOverRequest *)message;
    struct recipe_target targets[2] = {{.path = slice_str(r->path)}, target_of(r->to_entry)};
    size_t count = r->n_guards;
    Coord__V1__LockGrant **grants = grpc_call_scratch(call, (count + 1) * sizeof(void *));
    for (size_t i = 0; i < count; i++) {
        grants[i] = r->guards[i];
    }
    if (r->leader != NULL) {
        grants[count++] = r->leader;
    }
    struct command_recipe recipe = {
        .action = RECIPE_HAND_OVER,
        .owner = slice_str(r->to),
        .guards = answer_guards(call, grants, count),
        .guard_count = (uint32_t)count,
        .targets = targets,
        .target_count = r->to_entry == NULL ? 1 : 2,
    };
    change(call, r->header, &recipe, handed_over);
}

/* ---- reads -------------------------------------------------------------------------------- */

bool election_leader_fill(struct grpc_call *call, struct slice path, const struct node_stat *stat,
                          struct slice value, struct election_leader *out)
{
    struct recipe_record record;
    struct arena *scratch = &call->connection->shared->scratch;
    if (!recipe_record_decode(value, &record, scratch) || record.mode != MODE_CANDIDATE ||
        record.state != ENTRY_HELD) {
        return false;
    }
    coord__v1__lock_grant__init(&out->grant);
    coord__v1__election_leader__init(&out->leader);
    out->grant.path = answer_copy(call, path);
    out->grant.revision = stat->create_revision;
    out->leader.grant = &out->grant;
    out->leader.epoch = record.epoch;
    out->leader.name = answer_copy(call, record.owner);
    out->leader.value = answer_copy(call, record.value);
    out->leader.lease = stat->lease;
    out->leader.note = answer_copy(call, record.note);
    out->leader.label = answer_copy(call, record.label);
    out->leader.priority = record.priority;
    out->leader.number = record.number;
    out->leader.since_ms = record.since_ms;
    return true;
}

bool election_ask(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                  struct slice path, struct slice after, uint32_t limit,
                  void (*got)(struct grpc_call *call, const struct query_result *result))
{
    const struct query query = {
        .type = QUERY_QUEUE,
        .path = path,
        .after = after,
        .with_data = true,
        .with_stat = true,
        .limit = limit,
    };
    return answer_ask(call, header, &query, got);
}

bool election_is_vacant(const struct query_result *result)
{
    return result->outcome == OUTCOME_NO_NODE;
}

static void leader_got(struct grpc_call *call, const struct query_result *result)
{
    struct recipe_head head;
    struct election_leader leader;
    bool is_vacant = election_is_vacant(result);
    if (!is_vacant && !answer_recipe(call, result, RECIPE_KIND(RECIPE_ELECTION), &head)) {
        return;
    }
    const struct query_entry *first = result->entry_count > 0 ? &result->entries[0] : NULL;
    if (first != NULL && first->unreadable) {
        answer_refuse(call, first->path, OUTCOME_NO_AUTH, result->revision);
        return;
    }
    bool leads = first != NULL &&
                 election_leader_fill(call, first->path, &first->stat, first->data, &leader);
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__ElectionLeaderReply message;
    coord__v1__election_leader_reply__init(&message);
    message.header = &header;
    message.leader = leads ? &leader.leader : NULL;
    grpc_call_reply(call, &message.base);
}

static void leader_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ElectionLeaderRequest *r =
        (const Coord__V1__ElectionLeaderRequest *)message;
    (void)election_ask(call, r->header, slice_str(r->path), slice_make(NULL, 0), 1, leader_got);
}

/* Field numbers of the reply that is written piece by piece. */
enum { LIST_REPLY_CANDIDATES = 4, LIST_REPLY_NEXT = 5 };

static void append_candidate(struct grpc_call *call, struct buf *out,
                             const struct query_entry *e, const void *context)
{
    const struct recipe_head *head = context;
    struct recipe_record record;
    struct arena *scratch = &call->connection->shared->scratch;
    if (e->unreadable || !recipe_record_decode(e->data, &record, scratch)) {
        return; /* the caller may know that it is there, and nothing more */
    }
    Coord__V1__LockGrant entry;
    Coord__V1__ElectionCandidate candidate;
    coord__v1__lock_grant__init(&entry);
    coord__v1__election_candidate__init(&candidate);
    entry.path = answer_copy(call, e->path);
    entry.revision = e->stat.create_revision;
    candidate.entry = &entry;
    candidate.leads = record.state == ENTRY_HELD;
    candidate.eligible =
        head->eligible.size == 0 || slice_equal(head->eligible, record.label);
    candidate.name = answer_copy(call, record.owner);
    candidate.value = answer_copy(call, record.value);
    candidate.lease = e->stat.lease;
    candidate.note = answer_copy(call, record.note);
    candidate.label = answer_copy(call, record.label);
    candidate.priority = record.priority;
    candidate.number = record.number;
    candidate.epoch = record.epoch;
    candidate.since_ms = record.since_ms;
    candidate.deadline_ms = record.deadline_ms;
    wire_append_message(out, LIST_REPLY_CANDIDATES, &candidate.base);
}

static void list_got(struct grpc_call *call, const struct query_result *result)
{
    struct recipe_head head;
    if (!answer_recipe(call, result, RECIPE_KIND(RECIPE_ELECTION), &head)) {
        return;
    }
    Coord__V1__ReplyHeader header = answer_header_of_read(call, result);
    Coord__V1__ElectionListReply message;
    coord__v1__election_list_reply__init(&message);
    message.header = &header;
    message.policy = (Coord__V1__ElectionPolicy)head.policy; /* the same numbers */
    message.eligible = answer_copy(call, head.eligible);
    answer_page(call, result, &message.base, LIST_REPLY_NEXT, append_candidate, &head);
}

static void list_call(struct grpc_call *call, const ProtobufCMessage *message)
{
    const Coord__V1__ElectionListRequest *r = (const Coord__V1__ElectionListRequest *)message;
    (void)election_ask(call, r->header, slice_str(r->path), slice_str(r->after), r->limit,
                       list_got);
}

/* ---- the service -------------------------------------------------------------------------- */

static const struct grpc_method methods[] = {
    {.name = "Campaign",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_CREATE,
     .request = &coord__v1__election_campaign_request__descriptor,
     .is_long = true,
     .message = campaign_call,
     .ended = entry_wait_ended},
    {.name = "Observe",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__election_observe_request__descriptor,
     .is_long = true,
     .message = election_observe_call,
     .drained = election_observe_drained,
     .woken = election_observe_woken,
     .ended = election_observe_ended},
    {.name = "Leader",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__election_leader_request__descriptor,
     .message = leader_call},
    {.name = "Proclaim",
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__election_proclaim_request__descriptor,
     .message = proclaim_call},
    {.name = "Resign",
     .needs = GRPC_NEEDS_USER,
     .request = &coord__v1__election_resign_request__descriptor,
     .message = resign_call},
    {.name = "HandOver",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_ADMIN,
     .request = &coord__v1__election_hand_over_request__descriptor,
     .message = hand_over_call},
    {.name = "Remove",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_ADMIN,
     .request = &coord__v1__election_resign_request__descriptor,
     .message = remove_call},
    {.name = "List",
     .audit = AUDIT_READ,
     .needs = GRPC_NEEDS_USER,
     .right = ACL_READ,
     .request = &coord__v1__election_list_request__descriptor,
     .message = list_call},
    {.name = "Configure",
     .needs = GRPC_NEEDS_USER,
     .right = ACL_WRITE,
     .request = &coord__v1__election_configure_request__descriptor,
     .message = configure_call},
};

const struct grpc_service grpc_election_service = {
    .name = "coord.v1.Election",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};
