#include "net/audit/line.h"

#include <time.h>

#include "base/assert.h"
#include "base/tls.h"
#include "base/utf8.h"
#include "store/access.h"
#include "store/store.h"

/* Bytes of the line that each part may take. Together they stay below AUDIT_LINE_BYTES_MAX, which
 * is asserted for every line. */
#define NAME_BYTES       ((size_t)512)
#define CERTIFICATE_BYTES ((size_t)2048)
#define IDENTITIES_BYTES ((size_t)2048)
#define TEXT_BYTES       ((size_t)1024)
#define NOTE_BYTES       ((size_t)4096)
#define PATH_BYTES       ((size_t)5120)
#define FACTS_BYTES      ((size_t)12 << 10)
#define OPS_BYTES        ((size_t)24 << 10) /* the last one may go beyond, by a path and a list */
#define ACL_SHOWN_MAX    16
#define ACL_BYTES        ((size_t)2048)

/* ---- JSON --------------------------------------------------------------------------------- */

static void put(struct buf *out, const char *text)
{
    buf_append_str(out, text);
}

static void put_u64(struct buf *out, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    buf_append(out, digits + at, sizeof digits - at);
}

static void put_hex(struct buf *out, uint64_t number)
{
    static const char hex[] = "0123456789abcdef";
    char digits[16];
    for (size_t i = 0; i < sizeof digits; i++) {
        digits[i] = hex[number >> (60 - 4 * i) & 15];
    }
    buf_append(out, digits, sizeof digits);
}

/* How many bytes at `p` stand for themselves in a JSON string. */
static size_t plain_bytes(const uint8_t *p, size_t left)
{
    size_t i = 0;
    while (i < left && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\' && p[i] < 0x7f) {
        i++;
    }
    return i;
}

/* What does not: escaped, a whole character of UTF-8, or U+FFFD for a byte that is part of none.
 * Returns the bytes taken. */
static size_t put_odd(struct buf *out, const uint8_t *p, size_t left)
{
    static const char hex[] = "0123456789abcdef";
    size_t length = utf8_length(p, left);
    if (length == 0) {
        put(out, "\\ufffd");
        return 1;
    }
    if (*p == '"' || *p == '\\') {
        buf_append(out, (char[]){'\\', (char)*p}, 2);
    } else if (length == 1) {
        buf_append(out, (char[]){'\\', 'u', '0', '0', hex[*p >> 4], hex[*p & 15]}, 6);
    } else {
        buf_append(out, p, length);
    }
    return length;
}

/* The inside of a string: at most `max` bytes in the line and dots behind. */
static void put_text(struct buf *out, struct slice text, size_t max)
{
    size_t begin = out->size;
    for (size_t i = 0; i < text.size;) {
        size_t used = out->size - begin;
        if (used + 6 > max) {
            put(out, "...");
            return;
        }
        size_t plain = plain_bytes(text.data + i, text.size - i);
        size_t room = max - used;
        plain = plain < room ? plain : room;
        if (plain > 0) {
            buf_append(out, text.data + i, plain);
            i += plain;
        } else {
            i += put_odd(out, text.data + i, text.size - i);
        }
    }
}

static void put_key(struct buf *out, const char *key)
{
    put(out, ",\"");
    put(out, key);
    put(out, "\":");
}

static void put_string(struct buf *out, const char *key, struct slice text, size_t max)
{
    put_key(out, key);
    put(out, "\"");
    put_text(out, text, max);
    put(out, "\"");
}

static void put_hex_string(struct buf *out, const char *key, uint64_t number)
{
    put_key(out, key);
    put(out, "\"");
    put_hex(out, number);
    put(out, "\"");
}

static void put_number(struct buf *out, const char *key, uint64_t number)
{
    put_key(out, key);
    put_u64(out, number);
}

static void put_flag(struct buf *out, const char *key, bool flag)
{
    put_key(out, key);
    put(out, flag ? "true" : "false");
}

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
                        (char)('0' + ms % 10), 'Z'};
    put(out, "{\"time\":\"");
    put(out, clock->text);
    buf_append(out, end, sizeof end);
    put(out, "\"");
    put_string(out, "node", slice_str(node), NAME_BYTES);
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
            slice_is(scheme, "x509")) {
            continue;
        }
        if (begin == 0) {
            put_key(out, "identities");
            begin = out->size;
            put(out, "[\"");
        } else if (out->size - begin > IDENTITIES_BYTES) {
            put(out, ",\"...\"");
            break;
        } else {
            put(out, ",\"");
        }
        put_text(out, scheme, NAME_BYTES);
        put(out, ":");
        put_text(out, shown_id(scheme, id), NAME_BYTES);
        put(out, "\"");
    }
    if (begin != 0) {
        put(out, "]");
    }
}

static void put_who(struct buf *out, const struct audit_event *e, const struct access *access)
{
    put_string(out, "protocol", slice_str(e->protocol), NAME_BYTES);
    put_string(out, "peer", slice_str(e->peer), NAME_BYTES);
    if (e->tls != NULL && e->tls->subject[0] != '\0') {
        put_string(out, "certificate", slice_str(e->tls->subject), CERTIFICATE_BYTES);
    }
    if (access != NULL && access->user.size > 0) {
        put_string(out, "user", access->user, NAME_BYTES);
    }
    put_identities(out, e->identities);
    if (e->session != 0) {
        put_hex_string(out, "session", e->session);
    }
}

/* ---- operations --------------------------------------------------------------------------- */

static const char *op_name(uint8_t type)
{
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
    }
    return NULL;
}

static const char *right_name(uint8_t right)
{
    switch ((enum acl_permission)right) {
    case ACL_READ: return "read";
    case ACL_WRITE: return "write";
    case ACL_CREATE: return "create";
    case ACL_DELETE: return "delete";
    case ACL_ADMIN: return "admin";
    case ACL_ALL: break;
    }
    return NULL;
}

static void put_permissions(struct buf *out, uint32_t permissions)
{
    static const char letters[] = "rwcda";
    for (size_t i = 0; i < sizeof letters - 1; i++) {
        if ((permissions >> i & 1) != 0) {
            buf_append(out, letters + i, 1);
        }
    }
}

/* "digest:ann:rw" for each entry. */
static void put_acl(struct buf *out, struct slice acl)
{
    struct unpack u = unpack_make(acl);
    uint32_t count = unpack_u32(&u);
    size_t begin = out->size;
    put_key(out, "acl");
    put(out, "[");
    for (uint32_t i = 0; i < count && u.rest.size > 0; i++) {
        uint32_t permissions = unpack_u32(&u);
        struct slice scheme = unpack_bytes(&u);
        struct slice id = unpack_bytes(&u);
        if (u.failed) {
            break;
        }
        put(out, i == 0 ? "\"" : ",\"");
        if (i == ACL_SHOWN_MAX || out->size - begin > ACL_BYTES - NAME_BYTES) {
            put(out, "...\"");
            break;
        }
        put_text(out, scheme, TEXT_BYTES / 16);
        put(out, ":");
        put_text(out, shown_id(scheme, id), TEXT_BYTES / 4);
        put(out, ":");
        put_permissions(out, permissions);
        put(out, "\"");
    }
    put(out, "]");
}

static void put_op(struct buf *out, const struct audit_op *op, const struct op_result *result)
{
    bool is_guard = op->branch == AUDIT_GUARD;
    bool has_value = !is_guard && (op->type == OP_CREATE || op->type == OP_SET);
    const char *kind = is_guard || op->type != OP_CREATE ? NULL : kind_name(op->kind);
    put(out, is_guard ? "{\"guard\":\"" : "{\"op\":\"");
    put(out, is_guard ? guard_name(op->type) : op_name(op->type));
    put(out, "\"");
    put_string(out, op->space == SPACE_META ? "key" : "path", op->path, PATH_BYTES);
    if (result != NULL && result->path.size > 0 && !slice_equal(result->path, op->path)) {
        put_string(out, "made", result->path, PATH_BYTES);
    }
    if (has_value) {
        put_number(out, "bytes", op->data_bytes);
    }
    if (kind != NULL) {
        put_string(out, "kind", slice_str(kind), NAME_BYTES);
    }
    if (!is_guard && op->type == OP_CREATE && (op->flags & OP_SEQUENTIAL) != 0) {
        put_flag(out, "sequential", true);
    }
    if (!is_guard && op->type != OP_CREATE && op->version != VERSION_ANY &&
        op->type != OP_GET && op->type != OP_LIST) {
        put_number(out, "version", op->version);
    }
    if (op->lease != 0) {
        put_hex_string(out, "lease", op->lease);
    }
    if ((op->flags & OP_RECURSIVE) != 0) {
        put_flag(out, "recursive", true);
    }
    if ((op->flags & OP_DRY_RUN) != 0) {
        put_flag(out, "dry_run", true);
    }
    if (op->acl.size > 0) {
        put_acl(out, op->acl);
    }
    put(out, "}");
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

/* The operations of one branch; nothing if it has none. */
static void put_branch(struct buf *out, const struct audit_event *e, enum audit_branch branch,
                       size_t *room)
{
    static const char *const names[][2] = {[AUDIT_THEN] = {"ops", "op_count"},
                                           [AUDIT_ELSE] = {"else_ops", "else_op_count"},
                                           [AUDIT_GUARD] = {"guards", "guard_count"}};
    struct unpack u = unpack_make(e->facts);
    struct audit_fact fact;
    uint32_t shown = 0;
    uint64_t count = 0;
    bool has_op = false;
    size_t begin = out->size;
    while (audit_facts_next(&u, &fact)) {
        if (fact.type == AUDIT_FACT_COUNT && fact.key == branch) {
            count = fact.number;
        }
        if (fact.type != AUDIT_FACT_OP || fact.op.branch != branch ||
            shown == AUDIT_OPS_SHOWN_MAX || out->size - begin > *room) {
            continue;
        }
        if (!has_op) {
            put_key(out, names[branch][0]);
        }
        put(out, has_op ? "," : "[");
        put_op(out, &fact.op, result_of(e, branch, shown));
        has_op = true;
        shown++;
    }
    if (has_op) {
        put(out, "]");
    }
    if (count > shown) {
        put_number(out, names[branch][1], count);
    }
    size_t used = out->size - begin;
    *room = used < *room ? *room - used : 0;
}

/* ---- what else ---------------------------------------------------------------------------- */

static void put_fact(struct buf *out, const struct audit_fact *fact)
{
    const struct audit_key_info *key = &audit_keys[fact->key];
    switch ((enum audit_key_kind)key->kind) {
    case AUDIT_IS_TEXT: {
        size_t max = fact->key == AUDIT_PATH   ? PATH_BYTES
                     : fact->key == AUDIT_NOTE ? NOTE_BYTES
                                               : TEXT_BYTES;
        put_string(out, key->name, fact->text, max);
        break;
    }
    case AUDIT_IS_NUMBER: put_number(out, key->name, fact->number); break;
    case AUDIT_IS_HEX: put_hex_string(out, key->name, fact->number); break;
    case AUDIT_IS_FLAG: put_flag(out, key->name, fact->number != 0); break;
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
    bool has_any = false;
    while (audit_facts_next(&u, &fact)) {
        if (fact.type == AUDIT_FACT_TEXT || fact.type == AUDIT_FACT_NUMBER) {
            last[fact.key] = fact;
            has[fact.key] = true;
            has_any = true;
        }
    }
    for (size_t i = 0; has_any && i < AUDIT_KEYS && out->size - begin <= FACTS_BYTES; i++) {
        if (has[i]) {
            put_fact(out, &last[i]);
        }
    }
}

/* ---- what was not allowed ----------------------------------------------------------------- */

/* What a denial was about, and who denied it. */
struct denial {
    const char *right; /* NULL: none in particular */
    const char *by;    /* "roles", "acl"; NULL: not known */
    struct slice path;
    uint64_t lease;
};

static uint8_t right_of_op(uint8_t type)
{
    switch ((enum op_type)type) {
    case OP_CREATE: return ACL_CREATE;
    case OP_SET: return ACL_WRITE;
    case OP_DELETE: return ACL_DELETE;
    case OP_SET_ACL: return ACL_ADMIN;
    case OP_CHECK:
    case OP_GET:
    case OP_LIST: break;
    }
    return ACL_READ;
}

static struct slice parent_of(struct slice path)
{
    size_t size = path.size;
    while (size > 1 && path.data[size - 1] != '/') {
        size--;
    }
    return slice_make(path.data, size > 1 ? size - 1 : size);
}

/* Roles are asked about the path, the list of the parent about what is created or deleted below. */
static struct denial explain_op(const struct access *access, const struct audit_op *op,
                                bool is_guard)
{
    uint8_t right = is_guard ? ACL_READ : right_of_op(op->type);
    struct denial d = {.right = right_name(right), .path = op->path, .by = "roles"};
    if (op->space != SPACE_NODES) { /* policies and the like */
        return (struct denial){.right = "admin", .path = slice_str("/"), .by = "roles"};
    }
    bool makes_parents = !is_guard && op->type == OP_CREATE && (op->flags & OP_MAKE_PARENTS) != 0;
    for (struct slice at = op->path; access != NULL; at = parent_of(at)) {
        if (!access_path(access, right, SPACE_NODES, at)) {
            d.path = at;
            return d;
        }
        if (!makes_parents || at.size <= 1) {
            break;
        }
    }
    const struct lease *lease =
        access != NULL && op->lease != 0 ? store_lease(access->store, op->lease) : NULL;
    if (lease != NULL && !access_lease(access, lease, false)) {
        return (struct denial){.right = "own", .lease = op->lease};
    }
    d.by = "acl";
    if (right == ACL_CREATE || right == ACL_DELETE) {
        d.path = parent_of(op->path);
    }
    return d;
}

/* The operation with this number, of those that were noted. */
static bool find_op(struct slice facts, enum audit_branch branch, uint32_t number,
                    struct audit_op *out)
{
    struct unpack u = unpack_make(facts);
    struct audit_fact fact;
    uint32_t at = 0;
    while (audit_facts_next(&u, &fact)) {
        if (fact.type == AUDIT_FACT_OP && fact.op.branch == branch && at++ == number) {
            *out = fact.op;
            return true;
        }
    }
    return false;
}

static bool session_is_own(const struct audit_event *e, const struct access *access)
{
    const struct lease *lease =
        access != NULL && e->session != 0 ? store_lease(access->store, e->session) : NULL;
    return lease == NULL || access_lease(access, lease, false);
}

/* What a command without operations takes: users and roles take an administrator, a lease its
 * owner. */
static bool explain_facts(struct slice facts, struct denial *d)
{
    struct unpack u = unpack_make(facts);
    struct audit_fact fact;
    while (audit_facts_next(&u, &fact)) {
        if (fact.type == AUDIT_FACT_DENIED) {
            *d = (struct denial){.right = right_name(fact.key), .path = fact.text};
            return true;
        }
        if (fact.type == AUDIT_FACT_NUMBER && fact.key == AUDIT_LEASE) {
            *d = (struct denial){.right = "own", .lease = fact.number};
            return true;
        }
    }
    return false;
}

static bool explain(const struct audit_event *e, const struct access *access, struct denial *d)
{
    struct audit_op op;
    const struct reply *reply = e->reply;
    if (reply == NULL || reply->outcome != OUTCOME_NO_AUTH) {
        return explain_facts(e->facts, d);
    }
    if (reply->result_count > 0) {
        enum audit_branch branch = reply->took_then ? AUDIT_THEN : AUDIT_ELSE;
        bool found = find_op(e->facts, branch, e->failed_op, &op);
        if (found) {
            *d = explain_op(access, &op, false);
        }
        return found;
    }
    if (!session_is_own(e, access)) {
        *d = (struct denial){.right = "own", .lease = e->session};
        return true;
    }
    if (find_op(e->facts, AUDIT_GUARD, reply->failed_op, &op)) {
        *d = explain_op(access, &op, true);
        return true;
    }
    if (explain_facts(e->facts, d)) {
        return true;
    }
    *d = (struct denial){.right = "admin", .path = slice_str("/")}; /* COMMAND_AUTH */
    return true;
}

static void put_denied(struct buf *out, const struct audit_event *e, const struct access *access)
{
    struct denial d = {0};
    if (!e->is_denied || !explain(e, access, &d)) {
        return;
    }
    size_t begin;
    put_key(out, "denied");
    begin = out->size;
    if (d.right != NULL) {
        put_string(out, "right", slice_str(d.right), NAME_BYTES);
    }
    if (d.lease != 0) {
        put_hex_string(out, "lease", d.lease);
    } else {
        put_string(out, "path", d.path, PATH_BYTES);
    }
    if (d.by != NULL) {
        put_string(out, "by", slice_str(d.by), NAME_BYTES);
    }
    out->data[begin] = '{'; /* in the place of the first comma */
    put(out, "}");
}

/* ---- the line ----------------------------------------------------------------------------- */

static void put_outcome(struct buf *out, const struct audit_event *e)
{
    const struct reply *reply = e->reply;
    if (e->revision != 0) {
        put_number(out, "revision", e->revision);
    }
    put_string(out, "outcome", slice_str(e->outcome), NAME_BYTES);
    if (reply == NULL) {
        return;
    }
    if (reply->outcome != OUTCOME_OK && reply->result_count > 1) {
        put_number(out, "failed_op", e->failed_op);
    }
    if (reply->repeated) {
        put_flag(out, "repeated", true);
    }
}

static bool has_branch(struct slice facts, enum audit_branch branch)
{
    struct audit_op op;
    return find_op(facts, branch, 0, &op);
}

void audit_line_append(struct buf *out, struct audit_clock *clock, uint64_t wall_ms,
                       const char *node, const struct audit_event *e)
{
    struct access access;
    size_t begin = out->size;
    size_t room = OPS_BYTES;
    bool has_store = e->store != NULL;
    if (has_store) {
        access_begin(&access, e->store, e->identities);
    }
    put_begin(out, clock, wall_ms, node);
    put_who(out, e, has_store ? &access : NULL);
    put_string(out, "request", slice_str(e->request), NAME_BYTES);
    if (e->facts.size > 0) {
        put_branch(out, e, AUDIT_GUARD, &room);
        put_branch(out, e, AUDIT_THEN, &room);
        put_branch(out, e, AUDIT_ELSE, &room);
        put_facts(out, e->facts);
        if (e->reply != NULL && has_branch(e->facts, AUDIT_GUARD)) {
            put_flag(out, "guards_held", e->reply->took_then);
        }
    }
    put_outcome(out, e);
    put_denied(out, e, has_store ? &access : NULL);
    put(out, "}\n");
    POST(out->size - begin <= AUDIT_LINE_BYTES_MAX);
}

void audit_line_dropped(struct buf *out, struct audit_clock *clock, uint64_t wall_ms,
                        const char *node, uint64_t count)
{
    put_begin(out, clock, wall_ms, node);
    put_number(out, "dropped", count);
    put(out, "}\n");
}
