/* What is known of members, and where it is kept. Who is a member, its role, name and address is in
 * the log's configuration and nowhere else. Beside it there are keys of SPACE_META, which ordinary
 * commands write:
 *
 *   "member/removed/" + id in 16 hexadecimal digits  ->  its name
 *   "member/invited/" + name  ->  "any" or "host:port", "voter" or "learner", id that it replaces
 *
 *   "member/growth"  ->  "name,name": with whom a single node last tried to become three
 *
 * The first is a tombstone, and for ever. While the id is in the configuration it says that the
 * member is leaving: what the leader has promised survives it. Afterwards it says that the member
 * was removed, so that the id is not used again and its owner can be told. The second is deleted
 * once the member is there.
 *
 * Where clients reach a member it tells the others itself, in HELLO. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "raft/node_internal.h"
#include "store/acl.h"

#define REMOVED_PREFIX  "member/removed/"
#define INVITED_PREFIX  "member/invited/"
#define GROWTH_KEY      "member/growth"
#define KEY_BYTES_MAX   (sizeof INVITED_PREFIX + NODE_NAME_BYTES_MAX)
#define PROPOSE_AGAIN_MS 100
#define LEAVER_MS        1000
#define ADMITTED_MAX     32
#define NOTE_LEARNER     ";learner"
#define NOTE_REPLACES    ";replaces="

const char node_removed_reason[] =
    "this member was removed from the cluster; to come back, start it with an empty data dir and "
    "--join";

/* ---- what the configuration says of a member --------------------------------------------- */

bool node_parse_member(const char *address, struct node_member *out)
{
    size_t size = strcspn(address, ";");
    const char *equals = memchr(address, '=', size);
    const char *colon = NULL;
    for (size_t i = 0; i < size; i++) {
        colon = address[i] == ':' ? address + i : colon;
    }
    memset(out, 0, sizeof *out);
    if (equals == NULL || colon == NULL || colon < equals ||
        (size_t)(equals - address) >= sizeof out->name ||
        (size_t)(colon - equals - 1) >= sizeof out->host) {
        return false;
    }
    memcpy(out->name, address, (size_t)(equals - address));
    memcpy(out->host, equals + 1, (size_t)(colon - equals - 1));
    out->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return true;
}

struct member_notes node_member_notes(const char *address)
{
    struct member_notes notes = {.learner = strstr(address, NOTE_LEARNER) != NULL};
    const char *replaces = strstr(address, NOTE_REPLACES);
    if (replaces != NULL) {
        notes.replaces = strtoull(replaces + sizeof NOTE_REPLACES - 1, NULL, 16);
    }
    return notes;
}

void node_format_member(const struct node_member *m, const struct member_notes *notes,
                        char *text, size_t bytes)
{
    int size = snprintf(text, bytes, "%s=%s:%u%s", m->name, m->host, (unsigned)m->port,
                        notes != NULL && notes->learner ? NOTE_LEARNER : "");
    PRE(size > 0 && (size_t)size < bytes);
    if (notes != NULL && notes->replaces != 0) {
        size = snprintf(text + size, bytes - (size_t)size, NOTE_REPLACES "%016" PRIx64,
                        notes->replaces);
        PRE(size > 0);
    }
}

/* ---- keys -------------------------------------------------------------------------------- */

static struct slice removed_key(uint64_t id, char bytes[KEY_BYTES_MAX])
{
    snprintf(bytes, KEY_BYTES_MAX, REMOVED_PREFIX "%016" PRIx64, id);
    return slice_str(bytes);
}

static struct slice invited_key(const char *name, char bytes[KEY_BYTES_MAX])
{
    snprintf(bytes, KEY_BYTES_MAX, INVITED_PREFIX "%s", name);
    return slice_str(bytes);
}

/* Who changes the members was asked for the right to; what follows is the node's own work. `super`
 * is to be closed. */
static struct slice own_identity(struct buf *super)
{
    identity_encode(super, slice_str("super"), slice_str(""));
    return buf_slice(super);
}

static bool key_get(const struct node *n, struct slice key, char *value, size_t bytes)
{
    struct arena arena = {0};
    struct query_result result;
    struct buf super = {0};
    const struct query q = {.type = QUERY_GET,
                            .space = SPACE_META,
                            .path = key,
                            .identities = own_identity(&super)};
    store_query(n->store, &q, &result, &arena);
    buf_close(&super);
    bool is_there = result.outcome == OUTCOME_OK;
    if (is_there) {
        snprintf(value, bytes, "%.*s", (int)result.data.size, (const char *)result.data.data);
    }
    arena_close(&arena);
    return is_there;
}

/* Writes a key, whether it is there or not; without a value, deletes it. It is read again when it
 * is applied; until then, or if it is lost with the leadership, it is proposed again. */
static void key_put(struct node *n, struct slice key, struct slice value)
{
    uint64_t now = n->env->now_ms(n->env);
    if (!node_may_propose(n) || now < n->membership.propose_ms ||
        engine_may_submit(n->engine) != RC_OK) {
        return;
    }
    n->membership.propose_ms = now + PROPOSE_AGAIN_MS;
    const struct guard guard = {.target = GUARD_EXISTS,
                                .relation = GUARD_EQUAL,
                                .space = SPACE_META,
                                .path = key,
                                .number = 1};
    const struct op present = {.type = value.size > 0 ? OP_SET : OP_DELETE,
                               .space = SPACE_META,
                               .path = key,
                               .data = value,
                               .version = VERSION_ANY};
    struct op absent = present;
    absent.type = OP_CREATE;
    struct buf super = {0};
    struct command c = {.type = COMMAND_TXN,
                        .note = slice_str("members"),
                        .identities = own_identity(&super)};
    c.txn = (struct txn){.guards = &guard,
                         .guard_count = 1,
                         .then_ops = &present,
                         .then_count = 1,
                         .else_ops = &absent,
                         .else_count = value.size > 0 ? 1 : 0};
    command_encode(&n->forwarded, &c);
    buf_close(&super);
}

bool node_has_tombstone(const struct node *n, uint64_t id)
{
    char key[KEY_BYTES_MAX];
    char name[NODE_NAME_BYTES_MAX];
    return key_get(n, removed_key(id, key), name, sizeof name);
}

bool node_was_removed(const struct node *n, uint64_t id)
{
    return engine_find_member(&n->membership.applied, id) == NULL && node_has_tombstone(n, id);
}

bool node_name_was_removed(const struct node *n, const char *name)
{
    struct arena arena = {0};
    struct query_result result;
    struct buf super = {0};
    const struct query q = {.type = QUERY_LIST,
                            .space = SPACE_META,
                            .path = slice_str(REMOVED_PREFIX),
                            .with_data = true,
                            .identities = own_identity(&super)};
    store_query(n->store, &q, &result, &arena);
    buf_close(&super);
    bool is_there = false;
    for (uint32_t i = 0; result.outcome == OUTCOME_OK && i < result.entry_count; i++) {
        is_there = is_there || slice_is(result.entries[i].data, name);
    }
    arena_close(&arena);
    return is_there;
}

void node_put_tombstone(struct node *n, uint64_t id, const char *name)
{
    char key[KEY_BYTES_MAX];
    key_put(n, removed_key(id, key), slice_str(name));
}

/* Only while it is a member. */
void node_drop_tombstone(struct node *n, uint64_t id)
{
    char key[KEY_BYTES_MAX];
    key_put(n, removed_key(id, key), slice_make(NULL, 0));
}

struct member_invitation node_invitation(const struct node *n, const char *name)
{
    char key[KEY_BYTES_MAX];
    char value[NODE_ADDRESS_BYTES_MAX + 64];
    char role[16];
    struct member_invitation i = {0};
    if (key_get(n, invited_key(name, key), value, sizeof value)) {
        i.is_there = true;
        if (sscanf(value, "%279s %15s %" SCNx64, i.address, role, &i.replaces) != 3) {
            return (struct member_invitation){0};
        }
        i.learner = strcmp(role, "learner") == 0;
        if (strcmp(i.address, "any") == 0) {
            i.address[0] = '\0';
        }
    }
    return i;
}

void node_put_growth(struct node *n, const char *names)
{
    key_put(n, slice_str(GROWTH_KEY), slice_str(names));
}

void node_put_invitation(struct node *n, const char *name, const struct member_invitation *i)
{
    char key[KEY_BYTES_MAX];
    char value[NODE_ADDRESS_BYTES_MAX + 64];
    snprintf(value, sizeof value, "%s %s %016" PRIx64, i->address[0] != '\0' ? i->address : "any",
             i->learner ? "learner" : "voter", i->replaces);
    key_put(n, invited_key(name, key), slice_str(value));
}

void node_drop_invitation(struct node *n, const char *name)
{
    char key[KEY_BYTES_MAX];
    key_put(n, invited_key(name, key), slice_make(NULL, 0));
}

/* ---- connections follow the configuration ------------------------------------------------ */

static void count_roles(const struct node *n, const struct engine_configuration *c)
{
    size_t voters = 0;
    for (size_t i = 0; i < c->count; i++) {
        voters += c->members[i].role == ENGINE_VOTER;
    }
    metric_set(n->membership.metrics.voters, (int64_t)voters);
    metric_set(n->membership.metrics.standbys, (int64_t)(c->count - voters));
}

/* The newest one, which may still be taken back: its members are to be talked to, so that it can be
 * committed. */
void node_on_configuration(struct node *n, const struct engine_configuration *c)
{
    read_index_leader_changed(&n->reads); /* it counts voters by their place */
    count_roles(n, c);
    n->membership.look_ms = 0;
    for (size_t i = 0; i < c->count && n->peers != NULL; i++) {
        struct node_member m;
        if (c->members[i].id != n->identity.node_id &&
            node_parse_member(c->members[i].address, &m)) {
            peers_add(n->peers, c->members[i].id, m.name, m.host, m.port);
        }
    }
}

static void say_removed(struct node *n, uint64_t id)
{
    struct message m = {.type = MESSAGE_REMOVED, .removed = {.id = id}};
    node_send(n, id, &m);
}

static void take_leave(struct node *n, uint64_t id)
{
    struct node_membership *ms = &n->membership;
    size_t at = 0;
    if (n->peers == NULL || id == n->identity.node_id) {
        return;
    }
    for (size_t i = 0; i < NODE_LEAVERS_MAX; i++) {
        if (ms->leavers[i].id == 0 || ms->leavers[i].id == id) {
            at = i;
        }
    }
    if (ms->leavers[at].id != 0 && ms->leavers[at].id != id) {
        peers_remove(n->peers, ms->leavers[at].id);
    }
    ms->leavers[at].id = id;
    ms->leavers[at].until_ms = n->env->now_ms(n->env) + LEAVER_MS;
    say_removed(n, id);
}

/* A committed configuration is applied, or came with a snapshot, or is found at the start. */
void node_configuration_applied(struct node *n, struct slice bytes)
{
    struct engine_configuration before = n->membership.applied;
    struct engine_configuration *now = &n->membership.applied;
    if (bytes.size == 0 || engine_configuration_decode(bytes, now) != RC_OK) {
        return; /* of one that joins, until it has got an entry */
    }
    for (size_t i = 0; i < now->count; i++) {
        for (size_t k = 0; k < NODE_LEAVERS_MAX; k++) {
            if (n->membership.leavers[k].id == now->members[i].id) {
                n->membership.leavers[k].id = 0;
            }
        }
    }
    for (size_t i = 0; i < before.count; i++) {
        const struct engine_member *m = &before.members[i];
        if (engine_find_member(now, m->id) == NULL) {
            log_info(n->log, "member.removed", "id=%016" PRIx64 " member=\"%s\"", m->id,
                     m->address);
            take_leave(n, m->id);
        }
    }
    for (size_t i = 0; i < now->count && before.count > 0; i++) {
        const struct engine_member *m = &now->members[i];
        const struct engine_member *was = engine_find_member(&before, m->id);
        if (was == NULL || was->role != m->role) {
            log_info(n->log, was == NULL ? "member.added" : "member.promoted",
                     "id=%016" PRIx64 " member=\"%s\" role=%s", m->id, m->address,
                     m->role == ENGINE_VOTER ? "voter" : "standby");
        }
    }
    if (before.count > 0) {
        metric_add(n->membership.metrics.changes, 1);
    }
}

void node_registry_turn(struct node *n, uint64_t now_ms)
{
    struct node_membership *ms = &n->membership;
    for (size_t i = 0; i < NODE_LEAVERS_MAX; i++) {
        if (ms->leavers[i].id != 0 && now_ms >= ms->leavers[i].until_ms) {
            peers_remove(n->peers, ms->leavers[i].id);
            ms->leavers[i].id = 0;
        }
    }
}

uint64_t node_registry_deadline_ms(const struct node *n)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < NODE_LEAVERS_MAX; i++) {
        uint64_t due =
            n->membership.leavers[i].id != 0 ? n->membership.leavers[i].until_ms : UINT64_MAX;
        next = due < next ? due : next;
    }
    return next;
}

/* ---- who is not known -------------------------------------------------------------------- */

/* A member may lack the configuration by which another is one, and even by which it leads. So who
 * belongs to the cluster and is not known to be removed is let in. */
bool node_on_admit(void *context, const struct message_hello *hello, struct message *farewell)
{
    struct node *n = context;
    if (n->engine == NULL || n->phase == NODE_REFUSED) {
        return false;
    }
    if (node_was_removed(n, hello->node_id)) {
        *farewell = (struct message){.type = MESSAGE_REMOVED, .removed = {hello->node_id}};
        return false;
    }
    if (n->membership.admitted >= ADMITTED_MAX) {
        return false;
    }
    n->membership.admitted++;
    return true;
}

bool node_turns_away(struct node *n, uint64_t from)
{
    if (engine_find_member(engine_configuration(n->engine), from) != NULL ||
        !node_was_removed(n, from)) {
        return false;
    }
    say_removed(n, from);
    return true;
}

void node_on_removed(struct node *n, const struct message_removed *m)
{
    struct errmsg err = {0};
    if (m->id != n->identity.node_id || n->phase == NODE_REFUSED ||
        MUTANT_IS(MUTANT_REMOVED_STAYS)) {
        return;
    }
    n->identity.phase = IDENTITY_REMOVED;
    if (identity_save(n->env, n->data_dir, &n->identity, &err) != RC_OK) {
        log_warn(n->log, "member.removal_not_saved", "reason=\"%s\"", err.text);
    }
    node_refuse(n, node_removed_reason);
}
