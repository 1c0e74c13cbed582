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

/* A line has its room before it begins, so each of its pieces is a copy and nothing else: there are
 * some thirty of them. */
static inline void put_bytes(struct buf *out, const void *bytes, size_t size)
{
    PRE(out->capacity - out->size >= size);
    memcpy(out->data + out->size, bytes, size);
    out->size += size;
}

/* Of a literal, whose size is known here. */
#define PUT(out, literal) put_bytes((out), (literal), sizeof(literal) - 1)

static void put_name(struct buf *out, const char *text)
{
    put_bytes(out, text, strlen(text));
}

static void put_u64(struct buf *out, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put_bytes(out, digits + at, sizeof digits - at);
}

static void put_hex(struct buf *out, uint64_t number)
{
    static const char hex[] = "0123456789abcdef";
    char digits[16];
    for (size_t i = 0; i < sizeof digits; i++) {
        digits[i] = hex[number >> (60 - 4 * i) & 15];
    }
    put_bytes(out, digits, sizeof digits);
}

/* Eight bytes at once: whether none is below 0x20, a quote, a backslash, or above 0x7e. A byte is
 * zero where subtracting 1 borrows from a bit that it does not have. */
static bool is_plain_word(const uint8_t *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t high = UINT64_C(0x8080808080808080);
    uint64_t v;
    memcpy(&v, p, sizeof v);
    uint64_t quotes = v ^ ones * '"';
    uint64_t slashes = v ^ ones * '\\';
    uint64_t low = (v - ones * 0x20) & ~v;
    uint64_t found = low | ((quotes - ones) & ~quotes) | ((slashes - ones) & ~slashes) | v |
                     (v + ones);
    return (found & high) == 0;
}

/* How many bytes at `p` stand for themselves in a JSON string. */
static size_t plain_bytes(const uint8_t *p, size_t left)
{
    size_t i = 0;
    while (i + 8 <= left && is_plain_word(p + i)) {
        i += 8;
    }
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
        PUT(out, "\\ufffd");
        return 1;
    }
    if (*p == '"' || *p == '\\') {
        put_bytes(out, (char[]){'\\', (char)*p}, 2);
    } else if (length == 1) {
        put_bytes(out, (char[]){'\\', 'u', '0', '0', hex[*p >> 4], hex[*p & 15]}, 6);
    } else {
        put_bytes(out, p, length);
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
            PUT(out, "...");
            return;
        }
        size_t plain = plain_bytes(text.data + i, text.size - i);
        size_t room = max - used;
        plain = plain < room ? plain : room;
        if (plain > 0) {
            put_bytes(out, text.data + i, plain);
            i += plain;
        } else {
            i += put_odd(out, text.data + i, text.size - i);
        }
    }
}

static void put_quoted(struct buf *out, struct slice text, size_t max)
{
    PUT(out, "\"");
    put_text(out, text, max);
    PUT(out, "\"");
}

static void put_id(struct buf *out, uint64_t number)
{
    PUT(out, "\"");
    put_hex(out, number);
    PUT(out, "\"");
}

#define KEY(out, name) PUT(out, ",\"" name "\":")
#define STRING(out, name, text, max) (KEY(out, name), put_quoted((out), (text), (max)))
/* Of words that are ours, or were checked when they came: nothing in them needs to be escaped. */
#define WORD(out, name, text)      \
    (PUT(out, ",\"" name "\":\""),  \
     put_name((out), (text)),        \
     PUT(out, "\""))
#define NUMBER(out, name, number) (KEY(out, name), put_u64((out), (number)))
#define ID(out, name, number) (KEY(out, name), put_id((out), (number)))
#define IS_TRUE(out, name) PUT(out, ",\"" name "\":true")

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
    PUT(out, "{\"time\":\"");
    put_name(out, clock->text);
    put_bytes(out, end, sizeof end);
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
            slice_is(scheme, "x509")) {
            continue;
        }
        if (begin == 0) {
            KEY(out, "identities");
            begin = out->size;
            PUT(out, "[\"");
        } else if (out->size - begin > IDENTITIES_BYTES) {
            PUT(out, ",\"...\"");
            break;
        } else {
            PUT(out, ",\"");
        }
        put_text(out, scheme, NAME_BYTES);
        PUT(out, ":");
        put_text(out, shown_id(scheme, id), NAME_BYTES);
        PUT(out, "\"");
    }
    if (begin != 0) {
        PUT(out, "]");
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

static const char *op_name(uint8_t type)
{
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
            put_bytes(out, letters + i, 1);
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
    PUT(out, "[");
    for (uint32_t i = 0; i < count && u.rest.size > 0; i++) {
        uint32_t permissions = unpack_u32(&u);
        struct slice scheme = unpack_bytes(&u);
        struct slice id = unpack_bytes(&u);
        if (u.failed) {
            break;
        }
        if (i > 0) {
            PUT(out, ",");
        }
        PUT(out, "\"");
        if (i == ACL_SHOWN_MAX || out->size - begin > ACL_BYTES - NAME_BYTES) {
            PUT(out, "...\"");
            break;
        }
        put_text(out, scheme, TEXT_BYTES / 16);
        PUT(out, ":");
        put_text(out, shown_id(scheme, id), TEXT_BYTES / 4);
        PUT(out, ":");
        put_permissions(out, permissions);
        PUT(out, "\"");
    }
    PUT(out, "]");
}

static void put_op(struct buf *out, const struct audit_op *op, const struct op_result *result)
{
    bool is_guard = op->branch == AUDIT_GUARD;
    bool has_value = !is_guard && (op->type == OP_CREATE || op->type == OP_SET);
    const char *kind = is_guard || op->type != OP_CREATE ? NULL : kind_name(op->kind);
    if (is_guard) {
        PUT(out, "{\"guard\":\"");
        put_name(out, guard_name(op->type));
    } else {
        PUT(out, "{\"op\":\"");
        put_name(out, op_name(op->type));
    }
    PUT(out, "\"");
    if (op->space == SPACE_META) {
        KEY(out, "key");
    } else {
        KEY(out, "path");
    }
    put_quoted(out, op->path, PATH_BYTES);
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
    PUT(out, "}");
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
};

static void look_over(struct slice facts, struct overview *o)
{
    struct unpack u = unpack_make(facts);
    struct audit_fact fact;
    *o = (struct overview){.has_keys = false};
    while (audit_facts_next(&u, &fact)) {
        switch ((enum audit_fact_type)fact.type) {
        case AUDIT_FACT_TEXT:
        case AUDIT_FACT_NUMBER: o->has_keys = true; break;
        case AUDIT_FACT_OP: o->has_ops[fact.op.branch] = true; break;
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
    put_name(out, branch_keys[branch].ops);
    while (shown < AUDIT_OPS_SHOWN_MAX && out->size - begin <= *room &&
           audit_facts_next(&u, &fact)) {
        if (fact.type != AUDIT_FACT_OP || fact.op.branch != branch) {
            continue;
        }
        if (shown > 0) {
            PUT(out, ",");
        }
        put_op(out, &fact.op, result_of(e, branch, shown));
        shown++;
    }
    PUT(out, "]");
    if (o->counts[branch] > shown) {
        put_name(out, branch_keys[branch].count);
        put_u64(out, o->counts[branch]);
    }
    size_t used = out->size - begin;
    *room = used < *room ? *room - used : 0;
}

/* ---- what else ---------------------------------------------------------------------------- */

static void put_fact(struct buf *out, const struct audit_fact *fact)
{
    const struct audit_key_info *key = &audit_keys[fact->key];
    size_t max = fact->key == AUDIT_PATH   ? PATH_BYTES
                 : fact->key == AUDIT_NOTE ? NOTE_BYTES
                                           : TEXT_BYTES;
    PUT(out, ",\"");
    put_name(out, key->name);
    PUT(out, "\":");
    switch ((enum audit_key_kind)key->kind) {
    case AUDIT_IS_TEXT: put_quoted(out, fact->text, max); break;
    case AUDIT_IS_NUMBER: put_u64(out, fact->number); break;
    case AUDIT_IS_HEX: put_id(out, fact->number); break;
    case AUDIT_IS_FLAG: put_name(out, fact->number != 0 ? "true" : "false"); break;
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

static bool find_text(struct slice facts, enum audit_key key, struct slice *out)
{
    struct unpack u = unpack_make(facts);
    struct audit_fact fact;
    while (audit_facts_next(&u, &fact)) {
        if (fact.type == AUDIT_FACT_TEXT && fact.key == key) {
            *out = fact.text;
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

/* Of a recipe's actions some take a right on the path; the others, that the entry is one's own. */
static bool explain_recipe(const struct audit_event *e, struct denial *d)
{
    struct audit_op op;
    if (!find_op(e->facts, AUDIT_THEN, e->failed_op, &op) || op.type < AUDIT_OP_RECIPE) {
        return false;
    }
    uint8_t action = (uint8_t)(op.type - AUDIT_OP_RECIPE);
    uint8_t right = action == RECIPE_ACQUIRE       ? ACL_CREATE
                    : action == RECIPE_ASK_RELEASE ? ACL_WRITE
                    : action == RECIPE_ADD         ? ACL_WRITE
                    : action == RECIPE_COUNT_DOWN  ? ACL_WRITE
                    : action == RECIPE_REMOVE      ? ACL_ADMIN
                                                   : 0;
    *d = (struct denial){.right = right != 0 ? right_name(right) : "own", .path = op.path};
    return true;
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
    if (explain_recipe(e, d) || explain_facts(e->facts, d)) {
        return true;
    }
    *d = (struct denial){.right = "admin", .path = slice_str("/")}; /* COMMAND_AUTH */
    (void)find_text(e->facts, AUDIT_QUOTA, &d->path);
    return true;
}

static void put_denied(struct buf *out, const struct audit_event *e, const struct access *access)
{
    struct denial d = {0};
    if (!e->is_denied || !explain(e, access, &d)) {
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
    PUT(out, "}");
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
    if (reply->refusal.bound != BOUND_NONE) { /* whose quota, or which user's limit */
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
            KEY(out, "guards_held");
            put_name(out, e->reply->took_then ? "true" : "false");
        }
    }
    put_outcome(out, e);
    put_denied(out, e, has_store ? &access : NULL);
    PUT(out, "}\n");
    POST(out->size - begin <= AUDIT_LINE_BYTES_MAX);
}

void audit_line_dropped(struct buf *out, struct audit_clock *clock, uint64_t wall_ms,
                        const char *node, uint64_t count)
{
    buf_reserve(out, AUDIT_LINE_BYTES_MAX);
    put_begin(out, clock, wall_ms, node);
    NUMBER(out, "dropped", count);
    PUT(out, "}\n");
}
