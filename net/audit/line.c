#include "net/audit/line.h"

#include <time.h>

#include "base/assert.h"
#include "base/tls.h"
#include "net/audit/denial.h"
#include "net/audit/line_json.h"
#include "net/identity.h"
#include "store/access.h"
#include "store/store.h"

/* Bytes of the line that each part may take. Together they stay below AUDIT_LINE_BYTES_MAX, which
 * is asserted for every line. */
#define NAME_BYTES        ((size_t)512)
#define CERTIFICATE_BYTES ((size_t)2048)
#define IDENTITIES_BYTES  ((size_t)2048)
#define TEXT_BYTES        ((size_t)1024)
#define NOTE_BYTES        ((size_t)4096)
#define PATH_BYTES        ((size_t)5120)
#define FACTS_BYTES       ((size_t)12 << 10)
#define OPS_BYTES         ((size_t)24 << 10) /* the last one may go beyond, by a path and a list */
#define ACL_SHOWN_MAX     16
#define ACL_BYTES         ((size_t)2048)

/* Members of an object, each behind another one. */
#define KEY(out, name)               LINE_PUT(out, ",\"" name "\":")
#define STRING(out, name, text, max) (KEY(out, name), line_put_quoted((out), (text), (max)))
/* Of words that are ours, or were checked when they came: nothing in them needs to be escaped. */
#define WORD(out, name, text) \
    (LINE_PUT(out, ",\"" name "\":\""), line_put_name((out), (text)), LINE_PUT(out, "\""))
#define NUMBER(out, name, number) (KEY(out, name), line_put_u64((out), (number)))
#define ID(out, name, number)     (KEY(out, name), line_put_id((out), (number)))
#define IS_TRUE(out, name)        LINE_PUT(out, ",\"" name "\":true")

/* RFC 3339, UTC, milliseconds; with the begin of the line. */
static void put_begin(struct buf *out, struct audit_clock *clock, uint64_t wall_ms,
                      const char *node)
{
    uint64_t second = wall_ms / 1000;
    unsigned ms = (unsigned)(wall_ms % 1000);
    if (clock->text[0] == '\0' || clock->second != second) {
        time_t seconds = (time_t)second;
        struct tm utc = {0};
        (void)gmtime_r(&seconds, &utc);
        clock->second = second;
        if (strftime(clock->text, sizeof clock->text, "%Y-%m-%dT%H:%M:%S.", &utc) == 0) {
            clock->text[0] = '\0'; /* a year of more digits than anybody writes */
        }
    }
    const char end[] = {(char)('0' + ms / 100), (char)('0' + ms / 10 % 10),
                        (char)('0' + ms % 10), 'Z', '"'};
    LINE_PUT(out, "{\"time\":\"");
    line_put_name(out, clock->text);
    line_put(out, end, sizeof end);
    WORD(out, "node", node);
}

/* ---- who ---------------------------------------------------------------------------------- */

/* Of a digest the name: its hash is as good as a password to who can guess. */
static struct slice shown_id(struct slice scheme, struct slice id)
{
    const uint8_t *colon =
        slice_is(scheme, "digest") && id.size > 0 ? memchr(id.data, ':', id.size) : NULL;
    return colon == NULL ? id : slice_make(id.data, (size_t)(colon - id.data));
}

/* What the client has proved besides its user and its certificate; its address is told as peer. */
static void put_identities(struct buf *out, struct slice identities)
{
    struct unpack u = unpack_make(identities);
    size_t begin = 0;
    while (u.rest.size > 0 && !u.failed) {
        struct slice scheme = unpack_bytes(&u);
        struct slice id = unpack_bytes(&u);
        if (u.failed || slice_is(scheme, "ip") || slice_is(scheme, "user") ||
            slice_is(scheme, "x509") || !identity_is_shown(scheme)) {
            continue;
        }
        if (begin == 0) {
            KEY(out, "identities");
            begin = out->size;
            LINE_PUT(out, "[\"");
        } else if (out->size - begin > IDENTITIES_BYTES) {
            LINE_PUT(out, ",\"...\"");
            break;
        } else {
            LINE_PUT(out, ",\"");
        }
        line_put_text(out, scheme, NAME_BYTES);
        LINE_PUT(out, ":");
        line_put_text(out, shown_id(scheme, id), NAME_BYTES);
        LINE_PUT(out, "\"");
    }
    if (begin != 0) {
        LINE_PUT(out, "]");
    }
}

static void put_who(struct buf *out, const struct audit_event *e, const struct access *access)
{
    WORD(out, "protocol", e->protocol);
    STRING(out, "peer", slice_str(e->peer), NAME_BYTES);
    if (e->tls != NULL && e->tls->subject[0] != '\0') {
        STRING(out, "certificate", slice_str(e->tls->subject), CERTIFICATE_BYTES);
    }
    if (access != NULL && access->user.size > 0) {
        STRING(out, "user", access->user, NAME_BYTES);
    }
    put_identities(out, e->identities);
    if (e->session != 0) {
        ID(out, "session", e->session);
    }
}

/* ---- operations --------------------------------------------------------------------------- */

static const char *recipe_name(uint8_t action)
{
    switch ((enum recipe_action)action) {
    case RECIPE_ACQUIRE: return "acquire";
    case RECIPE_RELEASE: return "release";
    case RECIPE_CANCEL: return "cancel";
    case RECIPE_EXTEND: return "extend";
    case RECIPE_ASK_RELEASE: return "ask_release";
    case RECIPE_REMOVE: return "remove";
    case RECIPE_PROCLAIM: return "proclaim";
    case RECIPE_HAND_OVER: return "hand_over";
    case RECIPE_CONFIGURE: return "configure";
    case RECIPE_ADD: return "add";
    case RECIPE_COUNT_DOWN: return "count_down";
    case RECIPE_LEAVE: return "leave";
    }
    return "unknown";
}

static const char *shard_name(uint8_t action)
{
    switch ((enum shard_action)action) {
    case SHARD_CREATE: return "create_map";
    case SHARD_CONFIGURE: return "configure";
    case SHARD_DROP_MAP: return "drop_map";
    case SHARD_JOIN: return "join";
    case SHARD_LEAVE: return "leave";
    case SHARD_STATS: return "stats";
    case SHARD_PLAN: return "apply_plan";
    case SHARD_REPORT: return "report";
    case SHARD_ABORT: return "abort";
    case SHARD_HOLD: return "hold";
    case SHARD_RESUME: return "resume";
    case SHARD_SPLIT: return "split";
    case SHARD_MERGE: return "merge";
    case SHARD_SET_SHARD: return "set_shard";
    case SHARD_SET_KEY: return "set_key";
    case SHARD_REMOVE_KEY: return "remove_key";
    }
    return "unknown";
}

static const char *op_name(uint8_t type)
{
    if (type == AUDIT_OP_DRAIN) {
        return "drain";
    }
    if (type >= AUDIT_OP_SHARD) {
        return shard_name((uint8_t)(type - AUDIT_OP_SHARD));
    }
    if (type >= AUDIT_OP_RECIPE) {
        return recipe_name((uint8_t)(type - AUDIT_OP_RECIPE));
    }
    switch ((enum op_type)type) {
    case OP_CREATE: return "create";
    case OP_SET: return "set";
    case OP_DELETE: return "delete";
    case OP_CHECK: return "check";
    case OP_GET: return "get";
    case OP_LIST: return "list";
    case OP_SET_ACL: return "set_acl";
    }
    return "unknown";
}

static const char *guard_name(uint8_t target)
{
    switch ((enum guard_target)target) {
    case GUARD_EXISTS: return "exists";
    case GUARD_VERSION: return "version";
    case GUARD_CHILDREN_VERSION: return "children_version";
    case GUARD_CREATE_REVISION: return "create_revision";
    case GUARD_MODIFY_REVISION: return "modify_revision";
    case GUARD_VALUE: return "value";
    case GUARD_GRANT: return "grant";
    }
    return "unknown";
}

static const char *kind_name(uint8_t kind)
{
    switch ((enum node_kind)kind) {
    case NODE_PERSISTENT: return NULL;
    case NODE_EPHEMERAL: return "ephemeral";
    case NODE_CONTAINER: return "container";
    case NODE_TTL: return "ttl";
    case NODE_RECIPE: return "recipe";
    case NODE_MAP: return "map";
    }
    return NULL;
}

static void put_permissions(struct buf *out, uint32_t permissions)
{
    static const char letters[] = "rwcda";
    for (size_t i = 0; i < sizeof letters - 1; i++) {
        if ((permissions >> i & 1) != 0) {
            line_put(out, letters + i, 1);
        }
    }
}

/* "digest:ann:rw" for each entry. */
static void put_acl(struct buf *out, struct slice acl)
{
    struct unpack u = unpack_make(acl);
    uint32_t count = unpack_u32(&u);
    size_t begin = out->size;
    KEY(out, "acl");
    LINE_PUT(out, "[");
    for (uint32_t i = 0; i < count && u.rest.size > 0; i++) {
        uint32_t permissions = unpack_u32(&u);
        struct slice scheme = unpack_bytes(&u);
        struct slice id = unpack_bytes(&u);
        if (u.failed) {
            break;
        }
        if (i > 0) {
            LINE_PUT(out, ",");
        }
        LINE_PUT(out, "\"");
        if (i == ACL_SHOWN_MAX || out->size - begin > ACL_BYTES - NAME_BYTES) {
            LINE_PUT(out, "...\"");
            break;
        }
        line_put_text(out, scheme, TEXT_BYTES / 16);
        LINE_PUT(out, ":");
        line_put_text(out, shown_id(scheme, id), TEXT_BYTES / 4);
        LINE_PUT(out, ":");
        put_permissions(out, permissions);
        LINE_PUT(out, "\"");
    }
    LINE_PUT(out, "]");
}

static void put_op(struct buf *out, const struct audit_op *op, const struct op_result *result)
{
    bool is_guard = op->branch == AUDIT_GUARD;
    bool has_value = !is_guard && (op->type == OP_CREATE || op->type == OP_SET);
    const char *kind = is_guard || op->type != OP_CREATE ? NULL : kind_name(op->kind);
    if (is_guard) {
        LINE_PUT(out, "{\"guard\":\"");
        line_put_name(out, guard_name(op->type));
    } else {
        LINE_PUT(out, "{\"op\":\"");
        line_put_name(out, op_name(op->type));
    }
    LINE_PUT(out, "\"");
    if (op->space == SPACE_META) {
        KEY(out, "key");
    } else {
        KEY(out, "path");
    }
    line_put_quoted(out, op->path, PATH_BYTES);
    if (result != NULL && result->path.size > 0 && !slice_equal(result->path, op->path)) {
        STRING(out, "made", result->path, PATH_BYTES);
    }
    if (has_value) {
        NUMBER(out, "bytes", op->data_bytes);
    }
    if (kind != NULL) {
        WORD(out, "kind", kind);
    }
    if (!is_guard && op->type == OP_CREATE && (op->flags & OP_SEQUENTIAL) != 0) {
        IS_TRUE(out, "sequential");
    }
    bool expects = !is_guard && (op->type == OP_SET || op->type == OP_DELETE ||
                                 op->type == OP_CHECK || op->type == OP_SET_ACL);
    if (expects && op->version != VERSION_ANY) {
        NUMBER(out, "version", op->version);
    }
    if (op->lease != 0) {
        ID(out, "lease", op->lease);
    }
    if ((op->flags & OP_RECURSIVE) != 0) {
        IS_TRUE(out, "recursive");
    }
    if ((op->flags & OP_DRY_RUN) != 0) {
        IS_TRUE(out, "dry_run");
    }
    if (op->acl.size > 0) {
        put_acl(out, op->acl);
    }
    LINE_PUT(out, "}");
}

/* The results of the branch that was taken, if it came to an end. */
static const struct op_result *result_of(const struct audit_event *e, enum audit_branch branch,
                                         uint32_t number)
{
    const struct reply *reply = e->reply;
    bool is_taken = reply != NULL && reply->outcome == OUTCOME_OK && branch != AUDIT_GUARD &&
                    reply->took_then == (branch == AUDIT_THEN);
    return is_taken && number < reply->result_count ? &reply->results[number] : NULL;
}

/* What the notes hold, so that a line looks only for what there is. */
struct overview {
    uint64_t counts[AUDIT_BRANCHES];
    bool has_ops[AUDIT_BRANCHES];
    bool has_keys;
    bool is_txn; /* else what was done has one branch, which is not taken unless guards hold */
};

static void look_over(struct slice facts, struct overview *o)
{
    struct unpack u = unpack_make(facts);
    struct audit_fact fact;
    *o = (struct overview){.is_txn = true};
    while (audit_facts_next(&u, &fact)) {
        switch ((enum audit_fact_type)fact.type) {
        case AUDIT_FACT_TEXT:
        case AUDIT_FACT_NUMBER: o->has_keys = true; break;
        case AUDIT_FACT_OP:
            o->has_ops[fact.op.branch] = true;
            o->is_txn = o->is_txn &&
                        (fact.op.branch == AUDIT_GUARD || fact.op.type < AUDIT_OP_RECIPE);
            break;
        case AUDIT_FACT_COUNT: o->counts[fact.key] = fact.number; break;
        case AUDIT_FACT_DENIED: break;
        }
    }
}

static const struct {
    const char *ops;
    const char *count;
} branch_keys[AUDIT_BRANCHES] = {
    [AUDIT_THEN] = {",\"ops\":[", ",\"op_count\":"},
    [AUDIT_ELSE] = {",\"else_ops\":[", ",\"else_op_count\":"},
    [AUDIT_GUARD] = {",\"guards\":[", ",\"guard_count\":"},
};

/* The operations of one branch; nothing if it has none. */
static void put_branch(struct buf *out, const struct audit_event *e, const struct overview *o,
                       enum audit_branch branch, size_t *room)
{
    struct unpack u = unpack_make(e->facts);
    struct audit_fact fact;
    uint32_t shown = 0;
    size_t begin = out->size;
    if (!o->has_ops[branch]) {
        return;
    }
    line_put_name(out, branch_keys[branch].ops);
    while (shown < AUDIT_OPS_SHOWN_MAX && out->size - begin <= *room &&
           audit_facts_next(&u, &fact)) {
        if (fact.type != AUDIT_FACT_OP || fact.op.branch != branch) {
            continue;
        }
        if (shown > 0) {
            LINE_PUT(out, ",");
        }
        put_op(out, &fact.op, result_of(e, branch, shown));
        shown++;
    }
    LINE_PUT(out, "]");
    if (o->counts[branch] > shown) {
        line_put_name(out, branch_keys[branch].count);
        line_put_u64(out, o->counts[branch]);
    }
    size_t used = out->size - begin;
    *room = used < *room ? *room - used : 0;
}

/* Of what is no transaction it is known if it was done, or refused for that. */
static void put_guards_held(struct buf *out, const struct reply *reply, bool is_txn)
{
    bool is_refused = reply->outcome == OUTCOME_GUARD_REFUSED ||
                      reply->outcome == OUTCOME_GUARD_STALE;
    bool held = is_txn ? reply->took_then : !is_refused;
    if (is_txn || is_refused || reply->outcome == OUTCOME_OK) {
        KEY(out, "guards_held");
        line_put_name(out, held ? "true" : "false");
    }
}

/* ---- what else ---------------------------------------------------------------------------- */

static void put_fact(struct buf *out, const struct audit_fact *fact)
{
    const struct audit_key_info *key = &audit_keys[fact->key];
    size_t max = fact->key == AUDIT_PATH   ? PATH_BYTES
                 : fact->key == AUDIT_NOTE ? NOTE_BYTES
                                           : TEXT_BYTES;
    LINE_PUT(out, ",\"");
    line_put_name(out, key->name);
    LINE_PUT(out, "\":");
    switch ((enum audit_key_kind)key->kind) {
    case AUDIT_IS_TEXT: line_put_quoted(out, fact->text, max); break;
    case AUDIT_IS_NUMBER: line_put_u64(out, fact->number); break;
    case AUDIT_IS_HEX: line_put_id(out, fact->number); break;
    case AUDIT_IS_FLAG: line_put_name(out, fact->number != 0 ? "true" : "false"); break;
    }
}

/* Of each key the last note: a request that was refused and made anew has notes of both. */
static void put_facts(struct buf *out, struct slice facts)
{
    struct audit_fact last[AUDIT_KEYS];
    bool has[AUDIT_KEYS] = {false};
    struct unpack u = unpack_make(facts);
    struct audit_fact fact;
    size_t begin = out->size;
    while (audit_facts_next(&u, &fact)) {
        if (fact.type == AUDIT_FACT_TEXT || fact.type == AUDIT_FACT_NUMBER) {
            last[fact.key] = fact;
            has[fact.key] = true;
        }
    }
    for (size_t i = 0; i < AUDIT_KEYS && out->size - begin <= FACTS_BYTES; i++) {
        if (has[i]) {
            put_fact(out, &last[i]);
        }
    }
}

/* ---- what was not allowed ----------------------------------------------------------------- */

static void put_denied(struct buf *out, const struct audit_event *e,
                       const struct access *access)
{
    struct audit_denial d = {0};
    if (!e->is_denied || !audit_denial_explain(e, access, &d)) {
        return;
    }
    size_t begin;
    KEY(out, "denied");
    begin = out->size;
    if (d.right != NULL) {
        WORD(out, "right", d.right);
    }
    if (d.lease != 0) {
        ID(out, "lease", d.lease);
    } else {
        STRING(out, "path", d.path, PATH_BYTES);
    }
    if (d.by != NULL) {
        WORD(out, "by", d.by);
    }
    out->data[begin] = '{'; /* in the place of the first comma */
    LINE_PUT(out, "}");
}

/* ---- the line ----------------------------------------------------------------------------- */

static void put_outcome(struct buf *out, const struct audit_event *e)
{
    const struct reply *reply = e->reply;
    if (e->revision != 0) {
        NUMBER(out, "revision", e->revision);
    }
    WORD(out, "outcome", e->outcome);
    if (reply == NULL) {
        return;
    }
    if (reply->outcome != OUTCOME_OK && reply->result_count > 1) {
        NUMBER(out, "failed_op", e->failed_op);
    }
    if (reply->refusal.subject.size > 0) { /* whose quota, or which user's limit */
        STRING(out, "limited_by", reply->refusal.subject, TEXT_BYTES);
    }
    if (reply->repeated) {
        IS_TRUE(out, "repeated");
    }
}

void audit_line_append(struct buf *out, struct audit_clock *clock, uint64_t wall_ms,
                       const char *node, const struct audit_event *e)
{
    struct access access;
    struct overview o;
    size_t begin = out->size;
    size_t room = OPS_BYTES;
    bool has_store = e->store != NULL;
    if (has_store) {
        access_begin(&access, e->store, e->identities);
    }
    buf_reserve(out, AUDIT_LINE_BYTES_MAX);
    put_begin(out, clock, wall_ms, node);
    put_who(out, e, has_store ? &access : NULL);
    WORD(out, "request", e->request);
    if (e->facts.size > 0) {
        look_over(e->facts, &o);
        put_branch(out, e, &o, AUDIT_GUARD, &room);
        put_branch(out, e, &o, AUDIT_THEN, &room);
        put_branch(out, e, &o, AUDIT_ELSE, &room);
        if (o.has_keys) {
            put_facts(out, e->facts);
        }
        if (e->reply != NULL && o.has_ops[AUDIT_GUARD]) {
            put_guards_held(out, e->reply, o.is_txn);
        }
    }
    put_outcome(out, e);
    put_denied(out, e, has_store ? &access : NULL);
    LINE_PUT(out, "}\n");
    POST(out->size - begin <= AUDIT_LINE_BYTES_MAX);
}

void audit_line_dropped(struct buf *out, struct audit_clock *clock, uint64_t wall_ms,
                        const char *node, uint64_t count)
{
    buf_reserve(out, AUDIT_LINE_BYTES_MAX);
    put_begin(out, clock, wall_ms, node);
    NUMBER(out, "dropped", count);
    LINE_PUT(out, "}\n");
}
