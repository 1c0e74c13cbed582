#include "tests/support/scripted_reply.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "coord/v1/auth.pb-c.h"
#include "coord/v1/barrier.pb-c.h"
#include "coord/v1/cluster.pb-c.h"
#include "coord/v1/config.pb-c.h"
#include "coord/v1/counter.pb-c.h"
#include "coord/v1/discovery.pb-c.h"
#include "coord/v1/election.pb-c.h"
#include "coord/v1/history.pb-c.h"
#include "coord/v1/lease.pb-c.h"
#include "coord/v1/lock.pb-c.h"
#include "coord/v1/maintenance.pb-c.h"
#include "coord/v1/session.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "coord/v1/watch.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"

#define TTL_MS 1000

static char entry_path[] = SCRIPTED_ENTRY;
static char path_of_entry[] = "/parent/child";
static char key[] = "/c";
static uint8_t value[] = {'v'};
static uint8_t secret[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

void scripted_append(struct buf *out, const ProtobufCMessage *message)
{
    size_t begin = grpc_frame_begin(out);
    protobuf_c_message_pack(message,
                            buf_extend(out, protobuf_c_message_get_packed_size(message)));
    (void)grpc_frame_end(out, begin);
}

/* ---- unary ------------------------------------------------------------------------------ */

static void reply_get(struct buf *out, Coord__V1__ReplyHeader *header, const char *data)
{
    Coord__V1__GetReply reply = COORD__V1__GET_REPLY__INIT;
    reply.header = header;
    reply.data = (ProtobufCBinaryData){.data = value, .len = sizeof value};
    if (data != NULL) {
        reply.data = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data,
                                           .len = strlen(data)};
    }
    scripted_append(out, &reply.base);
}

/* Two entries, in the list's third version. */
static void reply_acl(struct buf *out, Coord__V1__ReplyHeader *header, bool is_set)
{
    static char digest[] = "digest";
    static char anna[] = "anna:x";
    static char world[] = "world";
    static char anyone[] = "anyone";
    Coord__V1__GetAclReply got = COORD__V1__GET_ACL_REPLY__INIT;
    Coord__V1__SetAclReply set = COORD__V1__SET_ACL_REPLY__INIT;
    Coord__V1__Stat stat = COORD__V1__STAT__INIT;
    Coord__V1__Acl first = COORD__V1__ACL__INIT;
    Coord__V1__Acl second = COORD__V1__ACL__INIT;
    Coord__V1__Acl *list[] = {&first, &second};
    first.permissions = 31;
    first.scheme = digest;
    first.id = anna;
    second.permissions = 1;
    second.scheme = world;
    second.id = anyone;
    stat.acl_version = is_set ? 4 : 3;
    stat.version = 9;
    got.header = set.header = header;
    got.stat = set.stat = &stat;
    got.n_acl = 2;
    got.acl = list;
    scripted_append(out, is_set ? &set.base : &got.base);
}

static void reply_authenticate(struct buf *out, Coord__V1__ReplyHeader *header, uint64_t ttl_ms)
{
    static char token[] = "token";
    Coord__V1__AuthenticateReply reply = COORD__V1__AUTHENTICATE_REPLY__INIT;
    reply.header = header;
    reply.token = token;
    reply.ttl_ms = ttl_ms;
    scripted_append(out, &reply.base);
}

static void reply_health(struct buf *out, int status)
{
    Grpc__Health__V1__HealthCheckResponse reply =
        GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    reply.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    scripted_append(out, &reply.base);
}

static void reply_list(struct buf *out, Coord__V1__ReplyHeader *header)
{
    Coord__V1__ListReply reply = COORD__V1__LIST_REPLY__INIT;
    Coord__V1__ListEntry entry = COORD__V1__LIST_ENTRY__INIT;
    Coord__V1__ListEntry *entries[] = {&entry, &entry};
    entry.path = path_of_entry;
    reply.header = header;
    reply.n_entries = 2;
    reply.entries = entries;
    scripted_append(out, &reply.base);
}

static void reply_session_open(struct buf *out, Coord__V1__ReplyHeader *header, uint64_t ttl_ms)
{
    Coord__V1__SessionOpenReply reply = COORD__V1__SESSION_OPEN_REPLY__INIT;
    reply.header = header;
    reply.id = SCRIPTED_SESSION;
    reply.secret = (ProtobufCBinaryData){.data = secret, .len = sizeof secret};
    reply.ttl_ms = ttl_ms;
    scripted_append(out, &reply.base);
}

static void reply_session_resume(struct buf *out, Coord__V1__ReplyHeader *header,
                                 uint64_t ttl_ms)
{
    Coord__V1__SessionResumeReply reply = COORD__V1__SESSION_RESUME_REPLY__INIT;
    reply.header = header;
    reply.ttl_ms = ttl_ms;
    reply.generation = SCRIPTED_GENERATION;
    scripted_append(out, &reply.base);
}

static void reply_lease_grant(struct buf *out, Coord__V1__ReplyHeader *header, uint64_t ttl_ms)
{
    Coord__V1__LeaseGrantReply reply = COORD__V1__LEASE_GRANT_REPLY__INIT;
    reply.header = header;
    reply.id = SCRIPTED_LEASE;
    reply.ttl_ms = ttl_ms;
    scripted_append(out, &reply.base);
}

static Coord__V1__LeaseInfo lease_info(uint64_t ttl_ms)
{
    static char owner[] = "somebody";
    Coord__V1__LeaseInfo info = COORD__V1__LEASE_INFO__INIT;
    info.id = SCRIPTED_LEASE;
    info.ttl_ms = ttl_ms;
    info.renewable = true;
    info.owner = owner;
    info.kind = COORD__V1__LEASE_KIND__PLAIN_LEASE;
    return info;
}

static void reply_lease_ttl(struct buf *out, Coord__V1__ReplyHeader *header, uint64_t ttl_ms)
{
    Coord__V1__LeaseTimeToLiveReply reply = COORD__V1__LEASE_TIME_TO_LIVE_REPLY__INIT;
    Coord__V1__LeaseInfo info = lease_info(ttl_ms);
    char *paths[] = {path_of_entry, path_of_entry};
    reply.header = header;
    reply.lease = &info;
    reply.remaining_ms = ttl_ms / 2;
    reply.n_paths = 2;
    reply.paths = paths;
    scripted_append(out, &reply.base);
}

static void reply_lease_list(struct buf *out, Coord__V1__ReplyHeader *header, uint64_t ttl_ms)
{
    Coord__V1__LeaseListReply reply = COORD__V1__LEASE_LIST_REPLY__INIT;
    Coord__V1__LeaseInfo info = lease_info(ttl_ms);
    Coord__V1__LeaseInfo *leases[] = {&info, &info};
    reply.header = header;
    reply.n_leases = 2;
    reply.leases = leases;
    scripted_append(out, &reply.base);
}

static void reply_changes(struct buf *out, Coord__V1__ReplyHeader *header)
{
    Coord__V1__ChangesReply reply = COORD__V1__CHANGES_REPLY__INIT;
    Coord__V1__Event event = COORD__V1__EVENT__INIT;
    Coord__V1__Event *changes[] = {&event};
    event.type = COORD__V1__EVENT_TYPE__SET_EVENT;
    event.path = path_of_entry;
    event.revision = 6;
    event.data = (ProtobufCBinaryData){.data = value, .len = sizeof value};
    reply.header = header;
    reply.n_changes = 1;
    reply.changes = changes;
    reply.next_revision = 6;
    reply.floor = 2;
    scripted_append(out, &reply.base);
}

static void reply_lock_acquire(struct buf *out, Coord__V1__ReplyHeader *header, bool is_hollow)
{
    Coord__V1__LockAcquireReply reply = COORD__V1__LOCK_ACQUIRE_REPLY__INIT;
    Coord__V1__LockHeld held = COORD__V1__LOCK_HELD__INIT;
    Coord__V1__LockGrant grant = COORD__V1__LOCK_GRANT__INIT;
    Coord__V1__LockHeld *list[] = {&held};
    grant.path = entry_path;
    grant.revision = 5;
    held.grant = is_hollow ? NULL : &grant;
    held.epoch = 6;
    held.count = 1;
    reply.header = header;
    reply.n_held = 1;
    reply.held = list;
    scripted_append(out, &reply.base);
}

/* Pages of two entries, with another page behind the first. */
static void reply_lock_get(struct buf *out, Coord__V1__ReplyHeader *header, bool is_last)
{
    static char note[] = "why";
    static char none[] = "";
    Coord__V1__LockGetReply reply = COORD__V1__LOCK_GET_REPLY__INIT;
    Coord__V1__LockEntry entries[2];
    Coord__V1__LockGrant grant = COORD__V1__LOCK_GRANT__INIT;
    Coord__V1__LockEntry *list[] = {&entries[0], &entries[1]};
    grant.path = entry_path;
    grant.revision = 5;
    for (size_t i = 0; i < 2; i++) {
        coord__v1__lock_entry__init(&entries[i]);
        entries[i].grant = &grant;
        entries[i].held = i == 0 && !is_last;
        entries[i].note = note;
    }
    reply.header = header;
    reply.permits = 3;
    reply.n_entries = 2;
    reply.entries = list;
    reply.next = is_last ? none : entry_path;
    scripted_append(out, &reply.base);
}

static Coord__V1__LockGrant grant_of_entry(void)
{
    Coord__V1__LockGrant grant = COORD__V1__LOCK_GRANT__INIT;
    grant.path = entry_path;
    grant.revision = 5;
    return grant;
}

/* Two locks to a page, the second of which nobody may look at. */
static void reply_lock_list(struct buf *out, Coord__V1__ReplyHeader *header, bool is_last)
{
    static char none[] = "";
    Coord__V1__LockListReply reply = COORD__V1__LOCK_LIST_REPLY__INIT;
    Coord__V1__LockSummary locks[2];
    Coord__V1__LockSummary *list[] = {&locks[0], &locks[1]};
    Coord__V1__LockEntry first = COORD__V1__LOCK_ENTRY__INIT;
    Coord__V1__LockGrant grant = grant_of_entry();
    first.grant = &grant;
    first.held = true;
    for (size_t i = 0; i < 2; i++) {
        coord__v1__lock_summary__init(&locks[i]);
        locks[i].path = path_of_entry;
        locks[i].held = 1;
        locks[i].waiting = 2;
        locks[i].first = i == 0 ? &first : NULL;
    }
    reply.header = header;
    reply.n_locks = 2;
    reply.locks = list;
    reply.next = is_last ? none : path_of_entry;
    scripted_append(out, &reply.base);
}

static void reply_lock_explain(struct buf *out, Coord__V1__ReplyHeader *header)
{
    static char owner[] = "me";
    Coord__V1__LockExplainReply reply = COORD__V1__LOCK_EXPLAIN_REPLY__INIT;
    Coord__V1__LockWait wait = COORD__V1__LOCK_WAIT__INIT;
    Coord__V1__LockWait *list[] = {&wait};
    wait.lease = SCRIPTED_SESSION;
    wait.owner = owner;
    wait.path = path_of_entry;
    wait.mode = COORD__V1__LOCK_MODE__READ_LOCK;
    wait.blocker_lease = SCRIPTED_LEASE;
    wait.blocker_holds = true;
    reply.header = header;
    reply.n_waits = 1;
    reply.waits = list;
    reply.more = true;
    scripted_append(out, &reply.base);
}

static void reply_barrier_enter(struct buf *out, Coord__V1__ReplyHeader *header,
                                bool is_hollow)
{
    Coord__V1__BarrierEnterReply reply = COORD__V1__BARRIER_ENTER_REPLY__INIT;
    Coord__V1__LockGrant grant = grant_of_entry();
    reply.header = header;
    reply.grant = is_hollow ? NULL : &grant;
    reply.epoch = 6;
    scripted_append(out, &reply.base);
}

static void reply_barrier_get(struct buf *out, Coord__V1__ReplyHeader *header)
{
    Coord__V1__BarrierGetReply reply = COORD__V1__BARRIER_GET_REPLY__INIT;
    Coord__V1__BarrierParty party = COORD__V1__BARRIER_PARTY__INIT;
    Coord__V1__BarrierParty *list[] = {&party};
    Coord__V1__LockGrant grant = grant_of_entry();
    party.entry = &grant;
    party.inside = true;
    party.epoch = 6;
    reply.header = header;
    reply.parties = 3;
    reply.n_entries = 1;
    reply.entries = list;
    scripted_append(out, &reply.base);
}

static void reply_latch(struct buf *out, Coord__V1__ReplyHeader *header)
{
    Coord__V1__LatchReply reply = COORD__V1__LATCH_REPLY__INIT;
    reply.header = header;
    reply.count = 4;
    scripted_append(out, &reply.base);
}

static void reply_counter(struct buf *out, Coord__V1__ReplyHeader *header, const char *method)
{
    Coord__V1__CounterAddReply added = COORD__V1__COUNTER_ADD_REPLY__INIT;
    Coord__V1__CounterGetReply got = COORD__V1__COUNTER_GET_REPLY__INIT;
    Coord__V1__CounterAllocateIdsReply ids = COORD__V1__COUNTER_ALLOCATE_IDS_REPLY__INIT;
    added.header = got.header = ids.header = header;
    added.value = -3;
    added.before = got.value = 7;
    got.is_ids = true;
    got.created = ids.created = 5;
    ids.first = 101;
    ids.count = 10;
    scripted_append(out, strcmp(method, "Add") == 0   ? &added.base
                         : strcmp(method, "Get") == 0 ? &got.base
                                                      : &ids.base);
}

static Coord__V1__ElectionLeader leader_since(uint64_t epoch, Coord__V1__LockGrant *grant)
{
    static char name[] = "n";
    static char text[] = "v";
    Coord__V1__ElectionLeader leader = COORD__V1__ELECTION_LEADER__INIT;
    *grant = grant_of_entry();
    leader.grant = grant;
    leader.epoch = epoch;
    leader.name = name;
    leader.value = text;
    return leader;
}

static void reply_campaign(struct buf *out, Coord__V1__ReplyHeader *header, bool is_hollow)
{
    Coord__V1__ElectionCampaignReply reply = COORD__V1__ELECTION_CAMPAIGN_REPLY__INIT;
    Coord__V1__LockGrant grant = grant_of_entry();
    reply.header = header;
    reply.grant = is_hollow ? NULL : &grant;
    reply.epoch = 6;
    scripted_append(out, &reply.base);
}

static void reply_leader(struct buf *out, Coord__V1__ReplyHeader *header, bool is_hollow)
{
    Coord__V1__ElectionLeaderReply reply = COORD__V1__ELECTION_LEADER_REPLY__INIT;
    Coord__V1__LockGrant grant;
    Coord__V1__ElectionLeader leader = leader_since(6, &grant);
    reply.header = header;
    reply.leader = is_hollow ? NULL : &leader;
    scripted_append(out, &reply.base);
}

static void reply_candidates(struct buf *out, Coord__V1__ReplyHeader *header)
{
    static char label[] = "spare";
    Coord__V1__ElectionListReply reply = COORD__V1__ELECTION_LIST_REPLY__INIT;
    Coord__V1__ElectionCandidate candidates[2];
    Coord__V1__ElectionCandidate *list[] = {&candidates[0], &candidates[1]};
    Coord__V1__LockGrant grant = grant_of_entry();
    for (size_t i = 0; i < 2; i++) {
        coord__v1__election_candidate__init(&candidates[i]);
        candidates[i].entry = &grant;
        candidates[i].leads = i == 0;
        candidates[i].epoch = i == 0 ? 6 : 0;
        candidates[i].label = label;
    }
    reply.header = header;
    reply.policy = COORD__V1__ELECTION_POLICY__HIGHEST_PRIORITY;
    reply.eligible = label;
    reply.n_candidates = 2;
    reply.candidates = list;
    scripted_append(out, &reply.base);
}

/* The recipes' replies that carry something. False: it is none of them. */
static bool reply_recipe(struct buf *out, const char *path, Coord__V1__ReplyHeader *header,
                         const struct scripted_cluster *cluster)
{
    bool is_hollow = cluster->grants_are_hollow;
    if (strcmp(path, "/coord.v1.Lock/Acquire") == 0) {
        reply_lock_acquire(out, header, is_hollow);
    } else if (strcmp(path, "/coord.v1.Lock/Get") == 0) {
        reply_lock_get(out, header, cluster->lock_pages % 2 == 0);
    } else if (strcmp(path, "/coord.v1.Lock/List") == 0) {
        reply_lock_list(out, header, cluster->lock_pages % 2 == 0);
    } else if (strcmp(path, "/coord.v1.Lock/Explain") == 0) {
        reply_lock_explain(out, header);
    } else if (strcmp(path, "/coord.v1.Barrier/Enter") == 0) {
        reply_barrier_enter(out, header, is_hollow);
    } else if (strcmp(path, "/coord.v1.Barrier/Get") == 0) {
        reply_barrier_get(out, header);
    } else if (strstr(path, "Latch") != NULL || strstr(path, "/CountDown") != NULL) {
        reply_latch(out, header);
    } else if (strstr(path, ".Counter/") != NULL) {
        reply_counter(out, header, strrchr(path, '/') + 1);
    } else if (strcmp(path, "/coord.v1.Election/Campaign") == 0) {
        reply_campaign(out, header, is_hollow);
    } else if (strcmp(path, "/coord.v1.Election/Leader") == 0) {
        reply_leader(out, header, is_hollow);
    } else if (strcmp(path, "/coord.v1.Election/List") == 0) {
        reply_candidates(out, header);
    } else {
        return false;
    }
    return true;
}

void scripted_reply(struct buf *out, const char *path, const struct scripted_cluster *cluster)
{
    Coord__V1__ReplyHeader header = COORD__V1__REPLY_HEADER__INIT;
    uint64_t ttl_ms = cluster->ttl_ms;
    header.cluster_ms = cluster->cluster_ms;
    header.revision = 7;
    header.applied_index = 9;
    ttl_ms = ttl_ms != 0 ? ttl_ms : TTL_MS;
    if (strcmp(path, "/coord.v1.Tree/Get") == 0) {
        reply_get(out, &header, cluster->data);
    } else if (strcmp(path, "/coord.v1.Tree/List") == 0) {
        reply_list(out, &header);
    } else if (strstr(path, ".Tree/GetAcl") != NULL || strstr(path, ".Tree/SetAcl") != NULL) {
        reply_acl(out, &header, strstr(path, "Set") != NULL);
    } else if (strcmp(path, "/coord.v1.Auth/Authenticate") == 0) {
        reply_authenticate(out, &header, cluster->token_ms);
    } else if (strcmp(path, "/grpc.health.v1.Health/Check") == 0) {
        reply_health(out, GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING);
    } else if (strcmp(path, "/coord.v1.Session/Open") == 0) {
        reply_session_open(out, &header, ttl_ms);
    } else if (strcmp(path, "/coord.v1.Session/Resume") == 0) {
        reply_session_resume(out, &header, ttl_ms);
    } else if (strcmp(path, "/coord.v1.Lease/Grant") == 0) {
        reply_lease_grant(out, &header, ttl_ms);
    } else if (strcmp(path, "/coord.v1.Lease/TimeToLive") == 0) {
        reply_lease_ttl(out, &header, ttl_ms);
    } else if (strcmp(path, "/coord.v1.Lease/List") == 0) {
        reply_lease_list(out, &header, ttl_ms);
    } else if (strcmp(path, "/coord.v1.History/Changes") == 0) {
        reply_changes(out, &header);
    } else if (!reply_recipe(out, path, &header, cluster)) {
        Coord__V1__SyncReply reply = COORD__V1__SYNC_REPLY__INIT;
        reply.header = &header;
        scripted_append(out, &reply.base);
    }
}

void scripted_members(struct buf *out, const struct scripted_cluster *cluster)
{
    Coord__V1__ReplyHeader header = COORD__V1__REPLY_HEADER__INIT;
    Coord__V1__MembersReply reply = COORD__V1__MEMBERS_REPLY__INIT;
    Coord__V1__Member members[SCRIPTED_MEMBERS_MAX];
    Coord__V1__Member *places[SCRIPTED_MEMBERS_MAX];
    header.cluster_ms = cluster->cluster_ms;
    reply.header = &header;
    reply.members = places;
    while (reply.n_members < SCRIPTED_MEMBERS_MAX &&
           cluster->members[reply.n_members] != NULL) {
        size_t i = reply.n_members++;
        coord__v1__member__init(&members[i]);
        members[i].client_address = (char *)(uintptr_t)cluster->members[i];
        places[i] = &members[i];
    }
    scripted_append(out, &reply.base);
}

/* ---- streams ---------------------------------------------------------------------------- */

void scripted_keepalive(struct buf *out, const char *path, uint64_t ttl_ms, int outcome)
{
    ttl_ms = ttl_ms != 0 ? ttl_ms : TTL_MS;
    ttl_ms = outcome == 0 ? ttl_ms : 0;
    if (strcmp(path, "/coord.v1.Session/KeepAlive") == 0) {
        Coord__V1__SessionKeepAliveReply reply = COORD__V1__SESSION_KEEP_ALIVE_REPLY__INIT;
        reply.id = SCRIPTED_SESSION;
        reply.ttl_ms = ttl_ms;
        reply.outcome = (Coord__V1__Outcome)outcome;
        scripted_append(out, &reply.base);
    } else {
        Coord__V1__LeaseKeepAliveReply reply = COORD__V1__LEASE_KEEP_ALIVE_REPLY__INIT;
        reply.id = SCRIPTED_LEASE;
        reply.ttl_ms = ttl_ms;
        reply.outcome = (Coord__V1__Outcome)outcome;
        scripted_append(out, &reply.base);
    }
}

#define ITEMS_MAX 64

void scripted_watch_reply(struct buf *out, const struct scripted_message *m)
{
    Coord__V1__WatchReply reply = COORD__V1__WATCH_REPLY__INIT;
    Coord__V1__ReplyHeader header = COORD__V1__REPLY_HEADER__INIT;
    Coord__V1__Event events[ITEMS_MAX];
    Coord__V1__Event *event_list[ITEMS_MAX];
    Coord__V1__ListEntry entries[ITEMS_MAX];
    Coord__V1__ListEntry *entry_list[ITEMS_MAX];
    char paths[ITEMS_MAX][32];
    bool is_listing = m->type == COORD__V1__WATCH_REPLY__TYPE__LISTING;
    uint8_t *data = mem_zalloc(m->data_bytes + 1);
    PRE(m->count <= ITEMS_MAX);
    for (uint32_t i = 0; i < m->count; i++) {
        uint32_t number = m->first_sub + i;
        coord__v1__event__init(&events[i]);
        coord__v1__list_entry__init(&entries[i]);
        event_list[i] = &events[i];
        entry_list[i] = &entries[i];
        snprintf(paths[i], sizeof paths[i], is_listing ? "/w/%u" : "/w/%u-%u",
                 is_listing ? number : (unsigned)m->revision, number);
        entries[i].path = events[i].path = paths[i];
        entries[i].data = events[i].data =
            (ProtobufCBinaryData){.data = data, .len = m->data_bytes};
        events[i].type = COORD__V1__EVENT_TYPE__SET_EVENT;
        events[i].revision = m->revision;
        events[i].sub = number;
    }
    header.revision = 7;
    header.applied_index = 9;
    reply.header = &header;
    reply.watch_id = 1;
    reply.type = (Coord__V1__WatchReply__Type)m->type;
    reply.revision = m->revision;
    reply.more = m->more;
    reply.outcome = (Coord__V1__Outcome)m->outcome;
    reply.n_events = is_listing ? 0 : m->count;
    reply.events = event_list;
    reply.n_entries = is_listing ? m->count : 0;
    reply.entries = entry_list;
    scripted_append(out, &reply.base);
    mem_free(data);
}

void scripted_observe_reply(struct buf *out, const struct scripted_message *m)
{
    Coord__V1__ElectionObserveReply reply = COORD__V1__ELECTION_OBSERVE_REPLY__INIT;
    Coord__V1__ReplyHeader header = COORD__V1__REPLY_HEADER__INIT;
    Coord__V1__LockGrant grant;
    Coord__V1__ElectionLeader leader = leader_since(m->revision, &grant);
    header.revision = m->revision;
    reply.header = &header;
    reply.revision = m->revision;
    reply.leader = m->count != 0 ? &leader : NULL;
    scripted_append(out, &reply.base);
}

void scripted_subscribe_reply(struct buf *out, const struct scripted_message *m)
{
    Coord__V1__DiscoverySubscribeReply reply = COORD__V1__DISCOVERY_SUBSCRIBE_REPLY__INIT;
    Coord__V1__ReplyHeader header = COORD__V1__REPLY_HEADER__INIT;
    Coord__V1__ServiceUpdate updates[ITEMS_MAX];
    Coord__V1__ServiceUpdate *places[ITEMS_MAX];
    Coord__V1__ServiceInstance instances[ITEMS_MAX];
    char ids[ITEMS_MAX][16];
    PRE(m->count <= ITEMS_MAX);
    for (uint32_t i = 0; i < m->count; i++) {
        coord__v1__service_update__init(&updates[i]);
        coord__v1__service_instance__init(&instances[i]);
        snprintf(ids[i], sizeof ids[i], "i%u", m->first_sub + i);
        instances[i].id = ids[i];
        instances[i].revision = instances[i].modify_revision = 5;
        updates[i].update_case = COORD__V1__SERVICE_UPDATE__UPDATE_PUT;
        updates[i].put = &instances[i];
        places[i] = &updates[i];
    }
    header.revision = m->revision;
    header.applied_index = 9;
    reply.header = &header;
    reply.revision = m->revision;
    reply.full = m->outcome != 0;
    reply.more = m->more;
    reply.n_updates = m->count;
    reply.updates = places;
    scripted_append(out, &reply.base);
}

static void reply_config_changes(struct buf *out, Coord__V1__ReplyHeader *header,
                                 const struct scripted_message *m)
{
    Coord__V1__ConfigWatchReply reply = COORD__V1__CONFIG_WATCH_REPLY__INIT;
    Coord__V1__ConfigChange changes[ITEMS_MAX];
    Coord__V1__ConfigChange *places[ITEMS_MAX];
    PRE(m->count <= ITEMS_MAX);
    for (uint32_t i = 0; i < m->count; i++) {
        coord__v1__config_change__init(&changes[i]);
        changes[i].type = COORD__V1__EVENT_TYPE__SET_EVENT;
        changes[i].path = key;
        changes[i].version = m->first_sub + i;
        changes[i].revision = m->revision;
        places[i] = &changes[i];
    }
    reply.header = header;
    reply.revision = m->outcome != 0 ? m->revision : 0;
    reply.more = m->more;
    reply.n_changes = m->count;
    reply.changes = places;
    scripted_append(out, &reply.base);
}

static void reply_config_value(struct buf *out, Coord__V1__ReplyHeader *header,
                               const struct scripted_message *m)
{
    Coord__V1__ConfigEffectiveReply reply = COORD__V1__CONFIG_EFFECTIVE_REPLY__INIT;
    Coord__V1__ConfigEntry entry = COORD__V1__CONFIG_ENTRY__INIT;
    uint8_t *data = mem_zalloc(m->data_bytes + 1);
    entry.path = key;
    entry.value = (ProtobufCBinaryData){.data = data, .len = m->data_bytes};
    entry.modify_revision = m->revision;
    reply.header = header;
    reply.entry = m->count != 0 ? &entry : NULL;
    scripted_append(out, &reply.base);
    mem_free(data);
}

void scripted_followed_reply(struct buf *out, const char *path,
                             const struct scripted_message *m)
{
    Coord__V1__ReplyHeader header = COORD__V1__REPLY_HEADER__INIT;
    header.revision = m->revision;
    header.applied_index = 9;
    if (strstr(path, ".Health/") != NULL) {
        reply_health(out, m->type);
    } else if (strstr(path, "Effective") != NULL) {
        reply_config_value(out, &header, m);
    } else {
        reply_config_changes(out, &header, m);
    }
}

/* Field 1 is a number in the one, and a message in the other. */
void scripted_another(struct buf *out, const char *path)
{
    Coord__V1__ReplyHeader header = COORD__V1__REPLY_HEADER__INIT;
    Coord__V1__SyncReply reply = COORD__V1__SYNC_REPLY__INIT;
    reply.header = &header;
    if (strstr(path, ".Health/") != NULL) {
        scripted_append(out, &reply.base);
    } else {
        reply_health(out, GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING);
    }
}

void scripted_snapshot_reply(struct buf *out, const struct scripted_message *m)
{
    Coord__V1__SnapshotSaveReply reply = COORD__V1__SNAPSHOT_SAVE_REPLY__INIT;
    Coord__V1__SnapshotFile file = COORD__V1__SNAPSHOT_FILE__INIT;
    Coord__V1__ReplyHeader header = COORD__V1__REPLY_HEADER__INIT;
    static char member[] = "n1";
    uint8_t sum[SHA256_BYTES];
    uint8_t *zeros = mem_zalloc(m->data_bytes + 1);
    struct sha256 *sha256 = sha256_new();
    POST(sha256_add(sha256, slice_make(zeros, m->data_bytes)) && sha256_end(sha256, sum));
    sum[7] ^= (uint8_t)m->outcome;
    header.node = member;
    header.cluster_id = 99;
    file.header = &header;
    file.bytes = m->revision;
    file.revision = 42;
    reply.type = (Coord__V1__SnapshotSaveReply__Type)m->type;
    switch (m->type) {
    case COORD__V1__SNAPSHOT_SAVE_REPLY__TYPE__BEGIN: reply.file = &file; break;
    case COORD__V1__SNAPSHOT_SAVE_REPLY__TYPE__DATA:
        reply.data = (ProtobufCBinaryData){.data = zeros, .len = m->data_bytes};
        break;
    case COORD__V1__SNAPSHOT_SAVE_REPLY__TYPE__END:
        reply.sha256 = (ProtobufCBinaryData){.data = sum, .len = sizeof sum};
        break;
    default: break;
    }
    scripted_append(out, &reply.base);
    sha256_free(sha256);
    mem_free(zeros);
}
