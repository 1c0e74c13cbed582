#include "store/auth.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/hex.h"
#include "store/command.h"
#include "store/tree.h"

#define ALLOW_TEXT "allow "
#define DENY_TEXT  "deny "

/* ---- names and texts ---------------------------------------------------------------------- */

static bool has_prefix(struct slice text, const char *prefix)
{
    return slice_begins(text, slice_str(prefix));
}

static struct slice behind(struct slice text, size_t bytes)
{
    return slice_make(text.data + bytes, text.size - bytes);
}

bool auth_is_key(struct slice key)
{
    return slice_is(key, AUTH_KEY) || has_prefix(key, AUTH_USER_PREFIX) ||
           has_prefix(key, AUTH_ROLE_PREFIX) || has_prefix(key, AUTH_LIMIT_PREFIX);
}

static bool is_name_byte(uint8_t byte)
{
    return byte > 0x20 && byte < 0x7f && byte != ':' && byte != '/' && byte != ',';
}

static bool name_is_valid(struct slice name)
{
    bool valid = name.size > 0 && name.size <= AUTH_NAME_BYTES_MAX && name.data[0] != '-';
    for (size_t i = 0; valid && i < name.size; i++) {
        valid = is_name_byte(name.data[i]);
    }
    return valid;
}

enum outcome auth_name_check(const char *what, struct slice name, struct errmsg *err)
{
    if (name_is_valid(name)) {
        return OUTCOME_OK;
    }
    (void)errmsg_set(err, RC_INVALID,
                     "%s: a name has 1 to %zu printable ASCII characters, no blank, ':', '/' or "
                     "',', and no '-' in front",
                     what, AUTH_NAME_BYTES_MAX);
    return OUTCOME_BAD_ARGUMENTS;
}

bool auth_name_is_reserved(struct slice name)
{
    return slice_is(name, AUTH_ANONYMOUS) || slice_is(name, AUTH_SUPER) ||
           slice_is(name, AUTH_EVERYBODY);
}

bool auth_hash_is_valid(struct slice hash)
{
    bool valid = hash.size > 0 && hash.size <= AUTH_HASH_BYTES_MAX && !slice_is(hash, "-");
    for (size_t i = 0; valid && i < hash.size; i++) {
        valid = hash.data[i] > 0x20 && hash.data[i] < 0x7f;
    }
    return valid;
}

/* Up to the separator, which is taken too. False: there is none, and all of it was taken. */
static bool take_until(struct slice *text, uint8_t separator, struct slice *out)
{
    const uint8_t *at = text->size == 0 ? NULL : memchr(text->data, separator, text->size);
    size_t size = at == NULL ? text->size : (size_t)(at - text->data);
    *out = slice_make(text->data, size);
    *text = behind(*text, size + (at != NULL));
    return at != NULL;
}

static size_t count_byte(struct slice text, uint8_t byte)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) {
        count += text.data[i] == byte;
    }
    return count;
}

/* ---- values ------------------------------------------------------------------------------- */

void auth_put_settings(struct buf *out, bool is_enabled, uint64_t token_ttl_ms,
                       const uint8_t key[AUTH_KEY_BYTES])
{
    buf_printf(out, "%d %" PRIu64 " ", is_enabled, token_ttl_ms);
    for (size_t i = 0; i < AUTH_KEY_BYTES; i++) {
        buf_printf(out, "%02x", key[i]);
    }
}

void auth_put_user(struct buf *out, const struct auth_user *user)
{
    buf_printf(out, "%" PRIu64 " %s ", user->generation,
               user->is_disabled ? "disabled" : "enabled");
    buf_append_slice(out, user->hash.size == 0 ? slice_str("-") : user->hash);
    for (uint32_t i = 0; i < user->role_name_count; i++) {
        buf_append(out, " ", 1);
        buf_append_slice(out, user->role_names[i]);
    }
}

void auth_put_limits(struct buf *out, const struct auth_limits *limits)
{
    buf_printf(out, "%" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32, limits->requests_per_second,
               limits->connections, limits->watches, limits->leases);
}

void auth_put_role(struct buf *out, const struct auth_rule *rules, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct auth_rule *r = &rules[i];
        if (r->allow != 0) {
            buf_printf(out, ALLOW_TEXT "%u ", r->allow);
            buf_append_slice(out, r->path);
            buf_append(out, "\n", 1);
        }
        if (r->deny != 0) {
            buf_printf(out, DENY_TEXT "%u ", r->deny);
            buf_append_slice(out, r->path);
            buf_append(out, "\n", 1);
        }
    }
}

static bool settings_parse(struct slice value, struct auth *a)
{
    struct slice enabled;
    struct slice ttl;
    uint64_t flag;
    if (!take_until(&value, ' ', &enabled) || !take_until(&value, ' ', &ttl) ||
        !slice_number(enabled, &flag) || flag > 1 || !slice_number(ttl, &a->token_ttl_ms)) {
        return false;
    }
    a->is_enabled = flag == 1;
    return a->token_ttl_ms >= AUTH_TOKEN_TTL_MS_MIN &&
           a->token_ttl_ms <= AUTH_TOKEN_TTL_MS_MAX && hex_take(value, a->key, AUTH_KEY_BYTES);
}

static bool user_parse_roles(struct slice value, struct auth_user *user, struct auth *a)
{
    size_t most = count_byte(value, ' ') + 1;
    bool more = true;
    if (most > AUTH_USER_ROLES_MAX) {
        return false;
    }
    user->role_names = arena_alloc(&a->arena, most * sizeof *user->role_names);
    user->roles = arena_alloc(&a->arena, most * sizeof(struct auth_role *));
    while (more) {
        struct slice name;
        more = take_until(&value, ' ', &name);
        bool in_order =
            user->role_name_count == 0 ||
            slice_compare(user->role_names[user->role_name_count - 1], name) < 0;
        if (!name_is_valid(name) || !in_order) {
            return false;
        }
        user->role_names[user->role_name_count++] = name;
        const struct auth_role *role = auth_find_role(a, name);
        bool is_root = slice_is(name, AUTH_ROLE_ROOT);
        if (is_root) {
            user->is_root = true;
        } else if (role != NULL) {
            user->roles[user->role_count++] = role;
        } else {
            return false;
        }
    }
    return true;
}

/* `value` is the arena's; roles have been read. */
static bool user_parse(struct slice value, struct auth_user *user, struct auth *a)
{
    struct slice generation;
    struct slice state;
    bool more = take_until(&value, ' ', &generation) && take_until(&value, ' ', &state);
    if (!more || !slice_number(generation, &user->generation)) {
        return false;
    }
    more = take_until(&value, ' ', &user->hash);
    user->is_disabled = slice_is(state, "disabled");
    if (!user->is_disabled && !slice_is(state, "enabled")) {
        return false;
    }
    if (slice_is(user->hash, "-")) {
        user->hash = slice_make(NULL, 0);
    } else if (!auth_hash_is_valid(user->hash)) {
        return false;
    }
    return !more || user_parse_roles(value, user, a);
}

static bool limits_parse(struct slice value, struct auth_limits *limits)
{
    uint32_t *const fields[] = {&limits->requests_per_second, &limits->connections,
                                &limits->watches, &limits->leases};
    for (size_t i = 0; i < 4; i++) {
        struct slice text;
        uint64_t number;
        bool more = take_until(&value, ' ', &text);
        if (more != (i < 3) || !slice_number(text, &number) || number > UINT32_MAX) {
            return false;
        }
        *fields[i] = (uint32_t)number;
    }
    return true;
}

/* One line, without its end. */
static bool grant_parse(struct slice line, struct auth_rule *rule, bool *is_denial)
{
    struct slice rights;
    uint64_t number;
    *is_denial = has_prefix(line, DENY_TEXT);
    if (!*is_denial && !has_prefix(line, ALLOW_TEXT)) {
        return false;
    }
    line = behind(line, strlen(*is_denial ? DENY_TEXT : ALLOW_TEXT));
    if (!take_until(&line, ' ', &rights) || !slice_number(rights, &number) || number == 0 ||
        number > ACL_ALL) {
        return false;
    }
    *rule = (struct auth_rule){.path = line};
    *(*is_denial ? &rule->deny : &rule->allow) = (uint8_t)number;
    return path_check(line, false, NULL) == OUTCOME_OK;
}

static bool role_parse(struct slice value, struct auth_role *role, struct arena *arena)
{
    size_t most = count_byte(value, '\n');
    if (most > 2 * AUTH_ROLE_GRANTS_MAX) {
        return false;
    }
    role->rules = arena_alloc(arena, most * sizeof *role->rules);
    while (value.size > 0) {
        struct slice line;
        struct auth_rule rule;
        bool is_denial;
        if (!take_until(&value, '\n', &line) || !grant_parse(line, &rule, &is_denial)) {
            return false;
        }
        struct auth_rule *last =
            role->rule_count == 0 ? NULL : &role->rules[role->rule_count - 1];
        int order = last == NULL ? -1 : slice_compare(last->path, rule.path);
        if (order == 0 && is_denial && last->deny == 0) {
            last->deny = rule.deny;
        } else if (order >= 0 || role->rule_count == AUTH_ROLE_GRANTS_MAX) {
            return false;
        } else {
            role->rules[role->rule_count++] = rule;
        }
    }
    return true;
}

/* ---- what the keys mean ------------------------------------------------------------------- */

void auth_init(struct auth *a)
{
    *a = (struct auth){.token_ttl_ms = AUTH_TOKEN_TTL_MS_DEFAULT};
}

void auth_close(struct auth *a)
{
    arena_close(&a->arena);
    *a = (struct auth){0};
}

/* A walk over the keys with a prefix, in order. */
struct keys {
    const struct tree *tree;
    const char *prefix;
    const struct dir *dir;
    struct children_position at;
};

static struct keys keys_begin(const struct tree *t, const char *prefix)
{
    struct keys keys = {.tree = t, .prefix = prefix};
    keys.dir = node_dir(tree_node(t, tree_root(t, SPACE_META)));
    if (keys.dir != NULL) {
        keys.at = children_seek(&keys.dir->children, t, slice_str(prefix), false);
    }
    return keys;
}

static const struct node *keys_next(struct keys *keys)
{
    uint32_t slot =
        keys->dir == NULL ? TREE_NONE : children_next(&keys->dir->children, &keys->at);
    const struct node *n = slot == TREE_NONE ? NULL : tree_node(keys->tree, slot);
    return n != NULL && has_prefix(node_name(n), keys->prefix) ? n : NULL;
}

static uint32_t keys_count(const struct tree *t, const char *prefix)
{
    struct keys keys = keys_begin(t, prefix);
    uint32_t count = 0;
    while (keys_next(&keys) != NULL) {
        count++;
    }
    return count;
}

/* Copies: a key may go before the others are read anew. */
static struct slice name_copy(struct auth *a, const struct node *n, const char *prefix)
{
    return arena_copy(&a->arena, behind(node_name(n), strlen(prefix)));
}

static bool roles_read(struct auth *a, const struct tree *t)
{
    uint32_t count = keys_count(t, AUTH_ROLE_PREFIX);
    struct keys keys = keys_begin(t, AUTH_ROLE_PREFIX);
    const struct node *n;
    if (count > AUTH_ROLES_MAX) {
        return false;
    }
    a->roles = arena_alloc(&a->arena, count * sizeof *a->roles);
    while ((n = keys_next(&keys)) != NULL) {
        struct auth_role *role = &a->roles[a->role_count];
        *role = (struct auth_role){.name = name_copy(a, n, AUTH_ROLE_PREFIX)};
        struct slice value = arena_copy(&a->arena, value_slice(n->value));
        if (!name_is_valid(role->name) || slice_is(role->name, AUTH_ROLE_ROOT) ||
            !role_parse(value, role, &a->arena)) {
            return false;
        }
        a->role_count++;
    }
    a->anonymous = auth_find_role(a, slice_str(AUTH_ANONYMOUS));
    return true;
}

static bool users_read(struct auth *a, const struct tree *t)
{
    uint32_t count = keys_count(t, AUTH_USER_PREFIX);
    struct keys keys = keys_begin(t, AUTH_USER_PREFIX);
    const struct node *n;
    if (count > AUTH_USERS_MAX) {
        return false;
    }
    a->users = arena_alloc(&a->arena, count * sizeof *a->users);
    while ((n = keys_next(&keys)) != NULL) {
        struct auth_user *user = &a->users[a->user_count];
        *user = (struct auth_user){.name = name_copy(a, n, AUTH_USER_PREFIX)};
        struct slice value = arena_copy(&a->arena, value_slice(n->value));
        if (!name_is_valid(user->name) || auth_name_is_reserved(user->name) ||
            !user_parse(value, user, a)) {
            return false;
        }
        a->user_count++;
    }
    return true;
}

static bool limits_read(struct auth *a, const struct tree *t)
{
    uint32_t count = keys_count(t, AUTH_LIMIT_PREFIX);
    struct keys keys = keys_begin(t, AUTH_LIMIT_PREFIX);
    const struct node *n;
    if (count > AUTH_USERS_MAX + 2) {
        return false;
    }
    a->limits = arena_alloc(&a->arena, count * sizeof *a->limits);
    while ((n = keys_next(&keys)) != NULL) {
        struct auth_limits *limits = &a->limits[a->limit_count];
        *limits = (struct auth_limits){.name = name_copy(a, n, AUTH_LIMIT_PREFIX)};
        if (!name_is_valid(limits->name) || !limits_parse(value_slice(n->value), limits)) {
            return false;
        }
        a->limit_count++;
    }
    return true;
}

bool auth_read(struct auth *a, const struct tree *t)
{
    struct auth fresh;
    auth_init(&fresh);
    uint32_t slot = tree_find(t, SPACE_META, slice_str(AUTH_KEY));
    bool ok =
        (slot == TREE_NONE || settings_parse(value_slice(tree_node(t, slot)->value), &fresh)) &&
        roles_read(&fresh, t) && users_read(&fresh, t) && limits_read(&fresh, t);
    if (!ok) {
        auth_close(&fresh);
        return false;
    }
    auth_close(a);
    *a = fresh;
    return true;
}

/* ---- finding ------------------------------------------------------------------------------ */

const struct auth_user *auth_find_user(const struct auth *a, struct slice name)
{
    uint32_t low = 0;
    uint32_t high = a->user_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = slice_compare(a->users[middle].name, name);
        if (order == 0) {
            return &a->users[middle];
        }
        *(order < 0 ? &low : &high) = order < 0 ? middle + 1 : middle;
    }
    return NULL;
}

const struct auth_role *auth_find_role(const struct auth *a, struct slice name)
{
    uint32_t low = 0;
    uint32_t high = a->role_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = slice_compare(a->roles[middle].name, name);
        if (order == 0) {
            return &a->roles[middle];
        }
        *(order < 0 ? &low : &high) = order < 0 ? middle + 1 : middle;
    }
    return NULL;
}

const struct auth_limits *auth_find_limits(const struct auth *a, struct slice name)
{
    uint32_t low = 0;
    uint32_t high = a->limit_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = slice_compare(a->limits[middle].name, name);
        if (order == 0) {
            return &a->limits[middle];
        }
        *(order < 0 ? &low : &high) = order < 0 ? middle + 1 : middle;
    }
    return NULL;
}

const struct auth_limits *auth_limits_of(const struct auth *a, struct slice user)
{
    if (!a->is_enabled || a->limit_count == 0 || slice_is(user, AUTH_SUPER)) {
        return NULL;
    }
    const struct auth_limits *own = auth_find_limits(a, user);
    const struct auth_user *known = own == NULL ? auth_find_user(a, user) : NULL;
    bool is_root = known != NULL && known->is_root;
    return own != NULL || is_root ? own : auth_find_limits(a, slice_str(AUTH_EVERYBODY));
}

uint32_t auth_root_count(const struct auth *a)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < a->user_count; i++) {
        count += a->users[i].is_root && !a->users[i].is_disabled;
    }
    return count;
}

/* The first rule whose path is not before this one. */
static uint32_t rules_seek(const struct auth_role *role, struct slice path)
{
    uint32_t low = 0;
    uint32_t high = role->rule_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (slice_compare(role->rules[middle].path, path) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct auth_rule *auth_find_rule(const struct auth_role *role, struct slice path)
{
    uint32_t at = rules_seek(role, path);
    bool found = at < role->rule_count && slice_equal(role->rules[at].path, path);
    return found ? &role->rules[at] : NULL;
}

/* Paths below begin with path + "/", and so does nothing else; but "/a-b" lies between "/a" and
 * "/a/b". */
bool auth_has_rules_below(const struct auth_role *role, struct slice path)
{
    uint8_t prefix[STORE_PATH_BYTES_MAX + 1];
    size_t size = path.size == 1 ? 0 : path.size;
    if (size >= STORE_PATH_BYTES_MAX) {
        return false;
    }
    memcpy(prefix, path.data, size);
    prefix[size] = '/';
    struct slice below = slice_make(prefix, size + 1);
    uint32_t at = rules_seek(role, below);
    /* The only path that begins so and is not below is "/" itself. */
    at += at < role->rule_count && slice_equal(role->rules[at].path, below);
    return at < role->rule_count && role->rules[at].path.size > below.size &&
           memcmp(role->rules[at].path.data, prefix, below.size) == 0;
}
