#include "tests/support/permission_request.h"

#include <string.h>

#include "coord/v1/barrier.pb-c.h"
#include "coord/v1/counter.pb-c.h"
#include "coord/v1/election.pb-c.h"
#include "coord/v1/shard_map.pb-c.h"
#include "store/acl.h"

/* Fields are filled by their names, whatever the message. */
static void message_fill(ProtobufCMessage *m, const char *method)
{
    static char path[] = "/t/a";
    static char fresh[] = "/t/a/new";
    static char leaf[] = "/t/a/b";
    static char user[] = "other";
    static char name[] = "fresh";
    static char role[] = "unused";
    static char own[] = "reader";
    static char admin[] = "admin";
    static char password[] = "pw";
    static uint8_t secret[] = FURNISHED_SECRET;
    const ProtobufCMessageDescriptor *d = m->descriptor;
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        char *at = (char *)m + f->offset;
        if (f->label == PROTOBUF_C_LABEL_REPEATED || (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)) {
            continue;
        }
        if (strcmp(f->name, "path") == 0) {
            bool creates = strstr(method, "reate") != NULL;
            bool deletes = strstr(method, "elete") != NULL;
            *(char **)(void *)at = creates ? fresh : deletes ? leaf : path;
        } else if (strcmp(f->name, "user") == 0) {
            *(char **)(void *)at = strstr(method, "UserAdd") != NULL        ? name
                                   : strstr(method, "Authenticate") != NULL ? admin
                                   : strstr(method, " own") != NULL         ? own
                                                                            : user;
        } else if (strcmp(f->name, "service") == 0) {
            *(char **)(void *)at = name;
        } else if (strcmp(f->name, "id") == 0 && f->type == PROTOBUF_C_TYPE_STRING) {
            *(char **)(void *)at = name;
        } else if (strcmp(f->name, "password") == 0) {
            *(char **)(void *)at = password;
        } else if (strcmp(f->name, "role") == 0) {
            *(char **)(void *)at = strstr(method, "RoleAdd") != NULL ? name
                                   : strstr(method, " own") != NULL  ? own
                                                                     : role;
        } else if (strcmp(f->name, "id") == 0 && f->type == PROTOBUF_C_TYPE_UINT64) {
            bool is_new = strstr(method, "Grant") != NULL;
            *(uint64_t *)(void *)at = is_new                                 ? 0
                                      : strstr(method, "Session/") != NULL ? FURNISHED_SESSION
                                                                           : FURNISHED_LEASE;
        } else if (strcmp(f->name, "ttl_ms") == 0) {
            *(uint64_t *)(void *)at = strstr(method, "Tree/") != NULL ? 0 : 10000;
        } else if (strcmp(f->name, "secret") == 0) {
            *(ProtobufCBinaryData *)(void *)at = (ProtobufCBinaryData){16, secret};
        } else if (strcmp(f->name, "rights") == 0) {
            *(uint32_t *)(void *)at = 1;
        } else if (strcmp(f->name, "versions") == 0) {
            *(uint32_t *)(void *)at = 3;
        }
    }
}

static void acls_set(struct permission_parts *p, Coord__V1__Acl ***acl, size_t *count)
{
    static char world[] = "world";
    static char anyone[] = "anyone";
    coord__v1__acl__init(&p->acl);
    p->acl.permissions = ACL_ALL;
    p->acl.scheme = world;
    p->acl.id = anyone;
    p->acls[0] = &p->acl;
    *acl = p->acls;
    *count = 1;
}

static void op_set(struct permission_parts *p, const char *kind)
{
    static char path[] = "/t/a";
    static char fresh[] = "/t/a/new";
    static char leaf[] = "/t/a/b";
    coord__v1__operation__init(&p->op);
    if (strcmp(kind, "create") == 0) {
        coord__v1__create_op__init(&p->as.create);
        p->as.create.path = fresh;
        p->op.op_case = COORD__V1__OPERATION__OP_CREATE;
        p->op.create = &p->as.create;
    } else if (strcmp(kind, "set") == 0) {
        coord__v1__set_op__init(&p->as.set);
        p->as.set.path = path;
        p->op.op_case = COORD__V1__OPERATION__OP_SET;
        p->op.set = &p->as.set;
    } else if (strcmp(kind, "delete") == 0) {
        coord__v1__delete_op__init(&p->as.delete);
        p->as.delete.path = leaf;
        p->op.op_case = COORD__V1__OPERATION__OP_DELETE;
        p->op.delete_ = &p->as.delete;
    } else if (strcmp(kind, "check") == 0) {
        coord__v1__check_op__init(&p->as.check);
        p->as.check.path = path;
        p->op.op_case = COORD__V1__OPERATION__OP_CHECK;
        p->op.check = &p->as.check;
    } else if (strcmp(kind, "get") == 0) {
        coord__v1__get_op__init(&p->as.get);
        p->as.get.path = path;
        p->op.op_case = COORD__V1__OPERATION__OP_GET;
        p->op.get = &p->as.get;
    } else if (strcmp(kind, "list") == 0) {
        coord__v1__list_op__init(&p->as.list);
        p->as.list.path = path;
        p->op.op_case = COORD__V1__OPERATION__OP_LIST;
        p->op.list = &p->as.list;
    } else {
        coord__v1__set_acl_op__init(&p->as.set_acl);
        p->as.set_acl.path = path;
        acls_set(p, &p->as.set_acl.acl, &p->as.set_acl.n_acl);
        p->op.op_case = COORD__V1__OPERATION__OP_SET_ACL;
        p->op.set_acl = &p->as.set_acl;
    }
    p->ops[0] = &p->op;
}

static Coord__V1__LockGrant **lock_set(struct permission_parts *p)
{
    static char entry[] = "/t/a/lock/q-0000000000";
    coord__v1__lock_grant__init(&p->lock);
    p->lock.path = entry;
    p->locks[0] = &p->lock;
    return p->locks;
}

/* True: it is a message of coord.v1.Lock. */
static bool locks_fill(ProtobufCMessage *m, struct permission_parts *p)
{
    static char fresh[] = "/t/a/fresh";
    if (m->descriptor == &coord__v1__lock_acquire_request__descriptor) {
        Coord__V1__LockAcquireRequest *request = (Coord__V1__LockAcquireRequest *)m;
        coord__v1__lock_target__init(&p->target);
        p->target.path = fresh;
        p->targets[0] = &p->target;
        request->targets = p->targets;
        request->n_targets = 1;
        request->lease = FURNISHED_LEASE;
    } else if (m->descriptor == &coord__v1__lock_release_request__descriptor) {
        Coord__V1__LockReleaseRequest *request = (Coord__V1__LockReleaseRequest *)m;
        request->grants = lock_set(p);
        request->n_grants = 1;
    } else if (m->descriptor == &coord__v1__lock_cancel_request__descriptor) {
        Coord__V1__LockCancelRequest *request = (Coord__V1__LockCancelRequest *)m;
        request->entries = lock_set(p);
        request->n_entries = 1;
    } else if (m->descriptor == &coord__v1__lock_extend_request__descriptor) {
        Coord__V1__LockExtendRequest *request = (Coord__V1__LockExtendRequest *)m;
        request->grants = lock_set(p);
        request->n_grants = 1;
    } else {
        return false;
    }
    return true;
}

/* True: it is a message of coord.v1.ShardMap that wants more than a path. */
static bool maps_fill(ProtobufCMessage *m)
{
    static char node[] = "n1";
    static uint8_t key[] = "k";
    if (m->descriptor == &coord__v1__shard_map_join_request__descriptor) {
        ((Coord__V1__ShardMapJoinRequest *)m)->node = node;
        ((Coord__V1__ShardMapJoinRequest *)m)->lease = FURNISHED_LEASE;
    } else if (m->descriptor == &coord__v1__shard_map_leave_request__descriptor) {
        ((Coord__V1__ShardMapLeaveRequest *)m)->node = node;
    } else if (m->descriptor == &coord__v1__shard_map_stats_request__descriptor) {
        ((Coord__V1__ShardMapStatsRequest *)m)->node = node;
    } else if (m->descriptor == &coord__v1__shard_map_report_request__descriptor) {
        ((Coord__V1__ShardMapReportRequest *)m)->node = node;
    } else if (m->descriptor == &coord__v1__shard_map_key_request__descriptor) {
        ((Coord__V1__ShardMapKeyRequest *)m)->key = (ProtobufCBinaryData){1, key};
    } else if (m->descriptor == &coord__v1__shard_map_create_request__descriptor) {
        ((Coord__V1__ShardMapCreateRequest *)m)->shards = 4;
    } else {
        return false;
    }
    return true;
}

/* True: it is a message of coord.v1.Config. */
static bool config_fill(ProtobufCMessage *m, struct permission_parts *p)
{
    static char path[] = "/t/a";
    static uint8_t schema[] = "{}";
    if (m->descriptor == &coord__v1__config_create_root_request__descriptor) {
        ((Coord__V1__ConfigCreateRootRequest *)m)->path = path;
    } else if (m->descriptor == &coord__v1__config_delete_root_request__descriptor) {
        ((Coord__V1__ConfigDeleteRootRequest *)m)->path = path;
    } else if (m->descriptor == &coord__v1__config_diff_request__descriptor) {
        ((Coord__V1__ConfigDiffRequest *)m)->from_revision = 2;
    } else if (m->descriptor == &coord__v1__config_rollback_request__descriptor) {
        ((Coord__V1__ConfigRollbackRequest *)m)->revision = 2; /* as "/t/a" was not there */
    } else if (m->descriptor == &coord__v1__config_set_schema_request__descriptor) {
        ((Coord__V1__ConfigSetSchemaRequest *)m)->schema = (ProtobufCBinaryData){2, schema};
    } else if (m->descriptor == &coord__v1__config_change_rollout_request__descriptor) {
        ((Coord__V1__ConfigChangeRolloutRequest *)m)->action =
            COORD__V1__ROLLOUT_ACTION__ROLLOUT_PAUSE;
    } else if (m->descriptor == &coord__v1__config_start_rollout_request__descriptor) {
        static uint32_t percent = 10;
        ((Coord__V1__ConfigStartRolloutRequest *)m)->strategy =
            COORD__V1__ROLLOUT_STRATEGY__ROLLOUT_CANARY;
        ((Coord__V1__ConfigStartRolloutRequest *)m)->percents = &percent;
        ((Coord__V1__ConfigStartRolloutRequest *)m)->n_percents = 1;
    } else if (m->descriptor == &coord__v1__config_update_request__descriptor) {
        coord__v1__config_update__init(&p->update);
        p->update.path = path;
        p->updates[0] = &p->update;
        ((Coord__V1__ConfigUpdateRequest *)m)->updates = p->updates;
        ((Coord__V1__ConfigUpdateRequest *)m)->n_updates = 1;
    } else {
        return false;
    }
    return true;
}

/* True: it is one of coord.v1.Barrier or coord.v1.Counter that says more than a path. */
static bool barriers_fill(ProtobufCMessage *m, struct permission_parts *p)
{
    static char entry[] = "/t/a/barrier/q-0000000000";
    static char barrier[] = "/t/a/barrier";
    if (m->descriptor == &coord__v1__barrier_enter_request__descriptor) {
        ((Coord__V1__BarrierEnterRequest *)m)->path = barrier;
        ((Coord__V1__BarrierEnterRequest *)m)->lease = FURNISHED_LEASE;
    } else if (m->descriptor == &coord__v1__barrier_leave_request__descriptor) {
        coord__v1__lock_grant__init(&p->lock);
        p->lock.path = entry;
        ((Coord__V1__BarrierLeaveRequest *)m)->entry = &p->lock;
    } else if (m->descriptor == &coord__v1__counter_allocate_ids_request__descriptor) {
        static char ids[] = "/t/a/lock"; /* none, but who may is told so */
        ((Coord__V1__CounterAllocateIdsRequest *)m)->path = ids;
        ((Coord__V1__CounterAllocateIdsRequest *)m)->count = 1;
    } else {
        return false;
    }
    return true;
}

/* True: it is a message of coord.v1.Election that is about an entry, or makes one. */
static bool elections_fill(ProtobufCMessage *m, struct permission_parts *p)
{
    static char entry[] = "/t/a/election/q-0000000000";
    static char fresh[] = "/t/a/fresh";
    static char election[] = "/t/a/election";
    coord__v1__lock_grant__init(&p->lock);
    p->lock.path = entry;
    if (m->descriptor == &coord__v1__election_campaign_request__descriptor) {
        Coord__V1__ElectionCampaignRequest *request = (Coord__V1__ElectionCampaignRequest *)m;
        request->path = fresh;
        request->lease = FURNISHED_LEASE;
    } else if (m->descriptor == &coord__v1__election_proclaim_request__descriptor) {
        ((Coord__V1__ElectionProclaimRequest *)m)->grant = &p->lock;
    } else if (m->descriptor == &coord__v1__election_resign_request__descriptor) {
        ((Coord__V1__ElectionResignRequest *)m)->entry = &p->lock;
    } else if (m->descriptor == &coord__v1__election_hand_over_request__descriptor) {
        ((Coord__V1__ElectionHandOverRequest *)m)->path = election;
        ((Coord__V1__ElectionHandOverRequest *)m)->to_entry = &p->lock;
    } else if (m->descriptor == &coord__v1__election_configure_request__descriptor) {
        ((Coord__V1__ElectionConfigureRequest *)m)->path = election;
    } else {
        return false;
    }
    return true;
}

static void parts_fill(ProtobufCMessage *m, const char *method, struct permission_parts *p)
{
    const char *kind = strchr(method, ' ');
    static char path[] = "/t/a";
    if (m->descriptor == &coord__v1__set_acl_request__descriptor) {
        Coord__V1__SetAclRequest *request = (Coord__V1__SetAclRequest *)m;
        acls_set(p, &request->acl, &request->n_acl);
    } else if (m->descriptor == &coord__v1__role_grant_request__descriptor ||
               m->descriptor == &coord__v1__role_revoke_request__descriptor) {
        coord__v1__grant__init(&p->grant);
        message_fill(&p->grant.base, method);
        ((Coord__V1__RoleGrantRequest *)m)->grant = &p->grant; /* the same in both */
    } else if (m->descriptor == &coord__v1__quota_set_request__descriptor) {
        coord__v1__quota_bounds__init(&p->bounds);
        p->bounds.path = path;
        p->bounds.nodes = 1000;
        ((Coord__V1__QuotaSetRequest *)m)->bounds = &p->bounds;
    } else if (locks_fill(m, p) || elections_fill(m, p) || barriers_fill(m, p) ||
               maps_fill(m) || config_fill(m, p)) {
        return;
    } else if (m->descriptor == &coord__v1__discovery_register_request__descriptor) {
        Coord__V1__DiscoveryRegisterRequest *request = (Coord__V1__DiscoveryRegisterRequest *)m;
        static char address[] = "10.0.0.7";
        coord__v1__service_instance__init(&p->instance);
        message_fill(&p->instance.base, method);
        p->instance.address = address;
        p->instance.port = 80;
        request->instance = &p->instance;
        request->lease = FURNISHED_LEASE;
    } else if (m->descriptor == &coord__v1__watch_request__descriptor) {
        Coord__V1__WatchRequest *request = (Coord__V1__WatchRequest *)m;
        coord__v1__watch_create__init(&p->watch);
        p->watch.path = path;
        request->request_case = COORD__V1__WATCH_REQUEST__REQUEST_CREATE;
        request->create = &p->watch;
    } else if (kind != NULL && strcmp(kind, " guard") == 0) {
        Coord__V1__TxnRequest *request = (Coord__V1__TxnRequest *)m;
        coord__v1__guard__init(&p->guard);
        p->guard.path = path;
        p->guard.target_case = COORD__V1__GUARD__TARGET_EXISTS;
        p->guard.exists = true;
        p->guards[0] = &p->guard;
        request->guards = p->guards;
        request->n_guards = 1;
    } else if (kind != NULL && strcmp(kind, " own") != 0) {
        Coord__V1__TxnRequest *request = (Coord__V1__TxnRequest *)m;
        op_set(p, kind + 1);
        request->then_ops = p->ops;
        request->n_then_ops = 1;
    }
}

void permission_request_fill(ProtobufCMessage *m, const char *method,
                             struct permission_parts *parts)
{
    message_fill(m, method);
    parts_fill(m, method, parts);
}
