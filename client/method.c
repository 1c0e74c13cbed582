#include "client/method.h"

#include <stdlib.h>

#include "coord/v1/auth.pb-c.h"
#include "coord/v1/cluster.pb-c.h"
#include "coord/v1/config.pb-c.h"
#include "coord/v1/discovery.pb-c.h"
#include "coord/v1/election.pb-c.h"
#include "coord/v1/history.pb-c.h"
#include "coord/v1/lease.pb-c.h"
#include "coord/v1/lock.pb-c.h"
#include "coord/v1/maintenance.pb-c.h"
#include "coord/v1/quota.pb-c.h"
#include "coord/v1/session.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "coord/v1/watch.pb-c.h"

static const struct method methods[] = {
    [CLIENT_CREATE] = {"/coord.v1.Tree/Create", &coord__v1__create_reply__descriptor,
                       METHOD_WRITE},
    [CLIENT_GET] = {"/coord.v1.Tree/Get", &coord__v1__get_reply__descriptor, METHOD_READ},
    [CLIENT_EXISTS] = {"/coord.v1.Tree/Exists", &coord__v1__exists_reply__descriptor,
                       METHOD_READ},
    [CLIENT_SET] = {"/coord.v1.Tree/Set", &coord__v1__set_reply__descriptor, METHOD_WRITE},
    [CLIENT_DELETE] = {"/coord.v1.Tree/Delete", &coord__v1__delete_reply__descriptor,
                       METHOD_WRITE},
    [CLIENT_LIST] = {"/coord.v1.Tree/List", &coord__v1__list_reply__descriptor, METHOD_READ},
    [CLIENT_TXN] = {"/coord.v1.Tree/Txn", &coord__v1__txn_reply__descriptor, METHOD_WRITE},
    [CLIENT_SYNC] = {"/coord.v1.Tree/Sync", &coord__v1__sync_reply__descriptor, METHOD_READ},
    [CLIENT_STATUS] = {"/coord.v1.Cluster/Status", &coord__v1__status_reply__descriptor,
                       METHOD_READ},
    [CLIENT_MEMBERS] = {"/coord.v1.Cluster/Members", &coord__v1__members_reply__descriptor,
                        METHOD_READ},
    /* Repeated as reads are: for the second time they are found done. */
    [CLIENT_MEMBER_ADD] = {"/coord.v1.Cluster/MemberAdd",
                           &coord__v1__member_change_reply__descriptor, METHOD_READ},
    [CLIENT_MEMBER_REMOVE] = {"/coord.v1.Cluster/MemberRemove",
                              &coord__v1__member_change_reply__descriptor, METHOD_READ},
    [CLIENT_MEMBER_REPLACE] = {"/coord.v1.Cluster/MemberReplace",
                               &coord__v1__member_change_reply__descriptor, METHOD_READ},
    [CLIENT_MEMBER_PROMOTE] = {"/coord.v1.Cluster/MemberPromote",
                               &coord__v1__member_change_reply__descriptor, METHOD_READ},
    [CLIENT_TRANSFER_LEADERSHIP] = {"/coord.v1.Cluster/TransferLeadership",
                                    &coord__v1__member_change_reply__descriptor, METHOD_READ},
    [CLIENT_MEMBER_GROW] = {"/coord.v1.Cluster/MemberGrow",
                            &coord__v1__member_change_reply__descriptor, METHOD_READ},
    [CLIENT_METRICS] = {"/coord.v1.Cluster/Metrics", &coord__v1__metrics_reply__descriptor,
                        METHOD_READ},
    [CLIENT_FINISH_UPGRADE] = {"/coord.v1.Cluster/FinishUpgrade",
                               &coord__v1__finish_upgrade_reply__descriptor, METHOD_WRITE},
    [CLIENT_SESSION_OPEN] = {"/coord.v1.Session/Open",
                             &coord__v1__session_open_reply__descriptor, METHOD_SESSION},
    [CLIENT_SESSION_RESUME] = {"/coord.v1.Session/Resume",
                               &coord__v1__session_resume_reply__descriptor, METHOD_SESSION},
    [CLIENT_SESSION_CLOSE] = {"/coord.v1.Session/Close",
                              &coord__v1__session_close_reply__descriptor, METHOD_SESSION},
    [CLIENT_LEASE_GRANT] = {"/coord.v1.Lease/Grant", &coord__v1__lease_grant_reply__descriptor,
                            METHOD_WRITE},
    [CLIENT_LEASE_REVOKE] = {"/coord.v1.Lease/Revoke",
                             &coord__v1__lease_revoke_reply__descriptor, METHOD_WRITE},
    [CLIENT_LEASE_TTL] = {"/coord.v1.Lease/TimeToLive",
                          &coord__v1__lease_time_to_live_reply__descriptor, METHOD_READ},
    [CLIENT_LEASE_LIST] = {"/coord.v1.Lease/List", &coord__v1__lease_list_reply__descriptor,
                           METHOD_READ},
    [CLIENT_CHANGES] = {"/coord.v1.History/Changes", &coord__v1__changes_reply__descriptor,
                        METHOD_READ},
    [CLIENT_GET_POLICIES] = {"/coord.v1.History/GetPolicies",
                             &coord__v1__get_policies_reply__descriptor, METHOD_READ},
    [CLIENT_SET_POLICY] = {"/coord.v1.History/SetPolicy",
                           &coord__v1__set_policy_reply__descriptor, METHOD_WRITE},
    [CLIENT_SET_RETENTION] = {"/coord.v1.History/SetRetention",
                              &coord__v1__set_retention_reply__descriptor, METHOD_WRITE},
    [CLIENT_GET_ACL] = {"/coord.v1.Tree/GetAcl", &coord__v1__get_acl_reply__descriptor,
                        METHOD_READ},
    [CLIENT_SET_ACL] = {"/coord.v1.Tree/SetAcl", &coord__v1__set_acl_reply__descriptor,
                        METHOD_WRITE},
    [CLIENT_AUTHENTICATE] = {"/coord.v1.Auth/Authenticate",
                             &coord__v1__authenticate_reply__descriptor,
                             METHOD_READ},
    [CLIENT_WHO_AM_I] = {"/coord.v1.Auth/WhoAmI", &coord__v1__who_am_ireply__descriptor,
                         METHOD_READ},
    [CLIENT_AUTH_STATUS] = {"/coord.v1.Auth/Status", &coord__v1__auth_status_reply__descriptor,
                            METHOD_READ},
    [CLIENT_AUTH_ENABLE] = {"/coord.v1.Auth/Enable", &coord__v1__auth_change_reply__descriptor,
                            METHOD_WRITE},
    [CLIENT_AUTH_DISABLE] = {"/coord.v1.Auth/Disable", &coord__v1__auth_change_reply__descriptor,
                             METHOD_WRITE},
    [CLIENT_USER_ADD] = {"/coord.v1.Auth/UserAdd", &coord__v1__auth_change_reply__descriptor,
                         METHOD_WRITE},
    [CLIENT_USER_DELETE] = {"/coord.v1.Auth/UserDelete", &coord__v1__auth_change_reply__descriptor,
                            METHOD_WRITE},
    [CLIENT_USER_GET] = {"/coord.v1.Auth/UserGet", &coord__v1__user_get_reply__descriptor,
                         METHOD_READ},
    [CLIENT_USER_LIST] = {"/coord.v1.Auth/UserList", &coord__v1__user_list_reply__descriptor,
                          METHOD_READ},
    [CLIENT_USER_PASSWORD] = {"/coord.v1.Auth/UserChangePassword",
                              &coord__v1__auth_change_reply__descriptor,
                              METHOD_WRITE},
    [CLIENT_USER_DISABLE] = {"/coord.v1.Auth/UserDisable",
                             &coord__v1__auth_change_reply__descriptor,
                             METHOD_WRITE},
    [CLIENT_USER_GRANT] = {"/coord.v1.Auth/UserGrantRole",
                           &coord__v1__auth_change_reply__descriptor,
                           METHOD_WRITE},
    [CLIENT_USER_REVOKE] = {"/coord.v1.Auth/UserRevokeRole",
                            &coord__v1__auth_change_reply__descriptor,
                            METHOD_WRITE},
    [CLIENT_ROLE_ADD] = {"/coord.v1.Auth/RoleAdd", &coord__v1__auth_change_reply__descriptor,
                         METHOD_WRITE},
    [CLIENT_ROLE_DELETE] = {"/coord.v1.Auth/RoleDelete", &coord__v1__auth_change_reply__descriptor,
                            METHOD_WRITE},
    [CLIENT_ROLE_GET] = {"/coord.v1.Auth/RoleGet", &coord__v1__role_get_reply__descriptor,
                         METHOD_READ},
    [CLIENT_ROLE_LIST] = {"/coord.v1.Auth/RoleList", &coord__v1__role_list_reply__descriptor,
                          METHOD_READ},
    [CLIENT_ROLE_GRANT] = {"/coord.v1.Auth/RoleGrant", &coord__v1__auth_change_reply__descriptor,
                           METHOD_WRITE},
    [CLIENT_ROLE_REVOKE] = {"/coord.v1.Auth/RoleRevoke", &coord__v1__auth_change_reply__descriptor,
                            METHOD_WRITE},
    [CLIENT_USER_LIMIT] = {"/coord.v1.Auth/UserLimit", &coord__v1__auth_change_reply__descriptor,
                           METHOD_WRITE},
    [CLIENT_QUOTA_SET] = {"/coord.v1.Quota/Set", &coord__v1__quota_set_reply__descriptor,
                          METHOD_WRITE},
    [CLIENT_QUOTA_GET] = {"/coord.v1.Quota/Get", &coord__v1__quota_get_reply__descriptor,
                          METHOD_READ},
    [CLIENT_QUOTA_LIST] = {"/coord.v1.Quota/List", &coord__v1__quota_list_reply__descriptor,
                           METHOD_READ},
    [CLIENT_QUOTA_REMOVE] = {"/coord.v1.Quota/Remove", &coord__v1__quota_remove_reply__descriptor,
                             METHOD_WRITE},
    [CLIENT_SVC_REGISTER] = {"/coord.v1.Discovery/Register",
                             &coord__v1__discovery_register_reply__descriptor, METHOD_WRITE},
    [CLIENT_SVC_DEREGISTER] = {"/coord.v1.Discovery/Deregister",
                               &coord__v1__discovery_reply__descriptor, METHOD_WRITE},
    [CLIENT_SVC_DRAIN] = {"/coord.v1.Discovery/Drain", &coord__v1__discovery_reply__descriptor,
                          METHOD_WRITE},
    [CLIENT_SVC_DISCOVER] = {"/coord.v1.Discovery/Discover",
                             &coord__v1__discovery_discover_reply__descriptor, METHOD_READ},
    [CLIENT_SVC_LIST] = {"/coord.v1.Discovery/Services",
                         &coord__v1__discovery_services_reply__descriptor, METHOD_READ},
    [CLIENT_SVC_SUBSCRIBE] = {"/coord.v1.Discovery/Subscribe",
                              &coord__v1__discovery_subscribe_reply__descriptor, METHOD_STREAM},
    [CLIENT_CONFIG_CREATE_ROOT] = {"/coord.v1.Config/CreateRoot",
        &coord__v1__config_change_reply__descriptor, METHOD_WRITE},
    [CLIENT_CONFIG_DELETE_ROOT] = {"/coord.v1.Config/DeleteRoot",
        &coord__v1__config_change_reply__descriptor, METHOD_WRITE},
    [CLIENT_CONFIG_ROOTS] = {"/coord.v1.Config/Roots",
        &coord__v1__config_roots_reply__descriptor, METHOD_READ},
    [CLIENT_CONFIG_GET] = {"/coord.v1.Config/Get",
        &coord__v1__config_get_reply__descriptor, METHOD_READ},
    [CLIENT_CONFIG_SET] = {"/coord.v1.Config/Set",
        &coord__v1__config_change_reply__descriptor, METHOD_WRITE},
    [CLIENT_CONFIG_UPDATE] = {"/coord.v1.Config/AtomicUpdate",
        &coord__v1__config_change_reply__descriptor, METHOD_WRITE},
    [CLIENT_CONFIG_HISTORY] = {"/coord.v1.Config/History",
        &coord__v1__config_history_reply__descriptor, METHOD_READ},
    [CLIENT_CONFIG_DIFF] = {"/coord.v1.Config/Diff",
        &coord__v1__config_diff_reply__descriptor, METHOD_READ},
    [CLIENT_CONFIG_ROLLBACK] = {"/coord.v1.Config/Rollback",
        &coord__v1__config_change_reply__descriptor, METHOD_WRITE},
    [CLIENT_CONFIG_SET_SCHEMA] = {"/coord.v1.Config/SetSchema",
        &coord__v1__config_change_reply__descriptor, METHOD_WRITE},
    [CLIENT_CONFIG_GET_SCHEMA] = {"/coord.v1.Config/GetSchema",
        &coord__v1__config_get_schema_reply__descriptor, METHOD_READ},
    [CLIENT_CONFIG_LIST_SCHEMAS] = {"/coord.v1.Config/ListSchemas",
        &coord__v1__config_list_schemas_reply__descriptor, METHOD_READ},
    [CLIENT_CONFIG_CHECK] = {"/coord.v1.Config/Check",
        &coord__v1__config_check_reply__descriptor, METHOD_READ},
    [CLIENT_LOCK_ACQUIRE] = {"/coord.v1.Lock/Acquire",
                             &coord__v1__lock_acquire_reply__descriptor, METHOD_WRITE,
                             .no_wait = 5},
    [CLIENT_LOCK_RELEASE] = {"/coord.v1.Lock/Release", &coord__v1__lock_reply__descriptor,
                             METHOD_WRITE},
    [CLIENT_LOCK_CANCEL] = {"/coord.v1.Lock/Cancel", &coord__v1__lock_reply__descriptor,
                            METHOD_WRITE},
    [CLIENT_LOCK_EXTEND] = {"/coord.v1.Lock/Extend", &coord__v1__lock_reply__descriptor,
                            METHOD_WRITE},
    [CLIENT_LOCK_ASK_RELEASE] = {"/coord.v1.Lock/AskRelease",
                                 &coord__v1__lock_reply__descriptor, METHOD_WRITE},
    [CLIENT_LOCK_REMOVE] = {"/coord.v1.Lock/Remove", &coord__v1__lock_reply__descriptor,
                            METHOD_WRITE},
    [CLIENT_LOCK_GET] = {"/coord.v1.Lock/Get", &coord__v1__lock_get_reply__descriptor,
                         METHOD_READ},
    [CLIENT_ELECTION_CAMPAIGN] = {"/coord.v1.Election/Campaign",
                                  &coord__v1__election_campaign_reply__descriptor,
                                  METHOD_WRITE, .no_wait = 10},
    [CLIENT_ELECTION_LEADER] = {"/coord.v1.Election/Leader",
                                &coord__v1__election_leader_reply__descriptor, METHOD_READ},
    [CLIENT_ELECTION_PROCLAIM] = {"/coord.v1.Election/Proclaim",
                                  &coord__v1__election_reply__descriptor, METHOD_WRITE},
    [CLIENT_ELECTION_RESIGN] = {"/coord.v1.Election/Resign",
                                &coord__v1__election_reply__descriptor, METHOD_WRITE},
    [CLIENT_ELECTION_REMOVE] = {"/coord.v1.Election/Remove",
                                &coord__v1__election_reply__descriptor, METHOD_WRITE},
    [CLIENT_ELECTION_HAND_OVER] = {"/coord.v1.Election/HandOver",
                                   &coord__v1__election_hand_over_reply__descriptor,
                                   METHOD_WRITE},
    [CLIENT_ELECTION_LIST] = {"/coord.v1.Election/List",
                              &coord__v1__election_list_reply__descriptor, METHOD_READ},
    [CLIENT_ELECTION_OBSERVE] = {"/coord.v1.Election/Observe",
                                 &coord__v1__election_observe_reply__descriptor,
                                 METHOD_STREAM},
    [CLIENT_KEEP_SESSION] = {"/coord.v1.Session/KeepAlive",
                             &coord__v1__session_keep_alive_reply__descriptor, METHOD_STREAM},
    [CLIENT_KEEP_LEASE] = {"/coord.v1.Lease/KeepAlive",
                           &coord__v1__lease_keep_alive_reply__descriptor, METHOD_STREAM},
    [CLIENT_WATCH] = {"/coord.v1.Watch/Watch", &coord__v1__watch_reply__descriptor,
                      METHOD_STREAM},
    [CLIENT_SNAPSHOT_SAVE] = {"/coord.v1.Maintenance/SnapshotSave",
                              &coord__v1__snapshot_save_reply__descriptor, METHOD_STREAM},
};

const struct method *method_get(enum client_method method)
{
    return &methods[method];
}

static void *unpack_alloc(void *has_failed, size_t bytes)
{
    void *memory = malloc(bytes);
    *(bool *)has_failed = *(bool *)has_failed || memory == NULL;
    return memory;
}

static void unpack_free(void *has_failed, void *memory)
{
    (void)has_failed;
    free(memory);
}

/* client_reply_free frees with protobuf-c's own allocator, which is malloc as well. */
ProtobufCMessage *method_unpack(const struct method *method, size_t bytes, const uint8_t *data,
                                bool *has_no_memory)
{
    *has_no_memory = false;
    ProtobufCAllocator allocator = {
        .alloc = unpack_alloc, .free = unpack_free, .allocator_data = has_no_memory};
    return protobuf_c_message_unpack(method->reply, &allocator, bytes, data);
}
