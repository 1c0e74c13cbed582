/* Users, roles, and whether they are asked for: the keys that store/auth.h describes are written
 * here, and nowhere else.
 *
 * While authentication is enabled, all of it takes admin at "/", but for a user's own password; and
 * there is always a user left who is not disabled and has the role root, so that nobody is locked
 * out for good. */
#include "store/apply.h"

#include "base/assert.h"
#include "store/state.h"
#include "store/validate.h"

/* ---- keys --------------------------------------------------------------------------------- */

static struct slice key_make(struct store *s, const char *prefix, struct slice name)
{
    struct buf key = {0};
    buf_append_str(&key, prefix);
    buf_append_slice(&key, name);
    struct slice kept = arena_copy(&s->arena, buf_slice(&key));
    buf_close(&key);
    return kept;
}

static void user_write(struct store *s, const struct auth_user *user)
{
    struct buf value = {0};
    auth_put_user(&value, user);
    meta_put(s, key_make(s, AUTH_USER_PREFIX, user->name), buf_slice(&value));
    buf_close(&value);
}

/* OUTCOME_LIMIT: its grants are larger than a value may be. */
static enum outcome role_write(struct store *s, struct slice name,
                               const struct auth_rule *rules, uint32_t count)
{
    struct buf value = {0};
    auth_put_role(&value, rules, count);
    bool fits = value.size <= STORE_VALUE_BYTES_MAX;
    if (fits) {
        meta_put(s, key_make(s, AUTH_ROLE_PREFIX, name), buf_slice(&value));
    }
    buf_close(&value);
    return fits ? OUTCOME_OK : OUTCOME_LIMIT;
}

/* ---- settings ----------------------------------------------------------------------------- */

static void settings_write(struct store *s, bool is_enabled, uint64_t token_ttl_ms,
                           const uint8_t key[AUTH_KEY_BYTES])
{
    struct buf value = {0};
    auth_put_settings(&value, is_enabled, token_ttl_ms, key);
    meta_put(s, slice_str(AUTH_KEY), buf_slice(&value));
    buf_close(&value);
}

/* Tokens of an earlier time are void: it gets another key. What is enabled already keeps its
 * own. */
static enum outcome enable(struct store *s, const struct command_auth *c)
{
    if (auth_root_count(&s->auth) == 0) {
        return OUTCOME_NO_ROOT;
    }
    settings_write(s, true, c->token_ttl_ms, s->auth.is_enabled ? s->auth.key : c->secret.data);
    return OUTCOME_OK;
}

static enum outcome disable(struct store *s)
{
    if (s->auth.is_enabled) {
        settings_write(s, false, s->auth.token_ttl_ms, s->auth.key);
    }
    return OUTCOME_OK;
}

/* ---- users -------------------------------------------------------------------------------- */

/* Whether nobody would be left with the role root if this user were without it. */
static bool is_last_root(const struct store *s, const struct auth_user *user)
{
    return s->auth.is_enabled && user->is_root && !user->is_disabled &&
           auth_root_count(&s->auth) == 1;
}

static enum outcome user_add(struct store *s, const struct command_auth *c)
{
    if (auth_find_user(&s->auth, c->user) != NULL) {
        return OUTCOME_USER_EXISTS;
    }
    if (s->auth.user_count == AUTH_USERS_MAX) {
        return OUTCOME_LIMIT;
    }
    const struct auth_user user = {
        .name = c->user,
        .generation = s->edit.revision, /* never that of an earlier user of this name */
        .hash = c->secret,
    };
    user_write(s, &user);
    return OUTCOME_OK;
}

static enum outcome user_delete(struct store *s, const struct auth_user *user)
{
    if (is_last_root(s, user)) {
        return OUTCOME_NO_ROOT;
    }
    meta_drop(s, key_make(s, AUTH_USER_PREFIX, user->name));
    if (auth_find_limits(&s->auth, user->name) != NULL) {
        meta_drop(s, key_make(s, AUTH_LIMIT_PREFIX, user->name));
    }
    return OUTCOME_OK;
}

/* All who can be limited: users, and the two names that stand for others. */
static enum outcome user_limit(struct store *s, const struct command_auth *c)
{
    bool stands_for_others =
        slice_is(c->user, AUTH_ANONYMOUS) || slice_is(c->user, AUTH_EVERYBODY);
    if (!stands_for_others && auth_find_user(&s->auth, c->user) == NULL) {
        return OUTCOME_NO_USER;
    }
    struct slice key = key_make(s, AUTH_LIMIT_PREFIX, c->user);
    const struct auth_limits *l = &c->limits;
    if ((l->requests_per_second | l->connections | l->watches | l->leases) != 0) {
        struct buf value = {0};
        auth_put_limits(&value, l);
        meta_put(s, key, buf_slice(&value));
        buf_close(&value);
    } else if (auth_find_limits(&s->auth, c->user) != NULL) {
        meta_drop(s, key);
    }
    return OUTCOME_OK;
}

static enum outcome user_password(struct store *s, struct auth_user *user, struct slice hash)
{
    user->hash = hash;
    user->generation = s->edit.revision;
    user_write(s, user);
    return OUTCOME_OK;
}

static enum outcome user_disable(struct store *s, struct auth_user *user, bool is_disabled)
{
    if (is_disabled && is_last_root(s, user)) {
        return OUTCOME_NO_ROOT;
    }
    if (user->is_disabled != is_disabled) {
        user->is_disabled = is_disabled;
        user->generation = s->edit.revision;
        user_write(s, user);
    }
    return OUTCOME_OK;
}

/* Where a role is among those of a user, or belongs. */
static uint32_t role_seek(const struct auth_user *user, struct slice role, bool *found)
{
    uint32_t at = 0;
    while (at < user->role_name_count && slice_compare(user->role_names[at], role) < 0) {
        at++;
    }
    *found = at < user->role_name_count && slice_equal(user->role_names[at], role);
    return at;
}

static enum outcome user_grant(struct store *s, struct auth_user *user, struct slice role)
{
    bool found;
    uint32_t at = role_seek(user, role, &found);
    if (!slice_is(role, AUTH_ROLE_ROOT) && auth_find_role(&s->auth, role) == NULL) {
        return OUTCOME_NO_ROLE;
    }
    if (found) {
        return OUTCOME_OK;
    }
    if (user->role_name_count == AUTH_USER_ROLES_MAX) {
        return OUTCOME_LIMIT;
    }
    struct slice names[AUTH_USER_ROLES_MAX];
    for (uint32_t i = 0; i <= user->role_name_count; i++) {
        names[i] = i < at ? user->role_names[i] : i == at ? role : user->role_names[i - 1];
    }
    user->role_names = names;
    user->role_name_count++;
    user_write(s, user);
    return OUTCOME_OK;
}

/* The user has the role. */
static void role_take(struct store *s, struct auth_user user, uint32_t at)
{
    struct slice names[AUTH_USER_ROLES_MAX];
    user.role_name_count--;
    for (uint32_t i = 0; i < user.role_name_count; i++) {
        names[i] = user.role_names[i + (i >= at)];
    }
    user.role_names = names;
    user_write(s, &user);
}

static enum outcome user_revoke(struct store *s, const struct auth_user *user,
                                struct slice role)
{
    bool found;
    uint32_t at = role_seek(user, role, &found);
    if (!found) {
        return OUTCOME_NOT_GRANTED;
    }
    if (slice_is(role, AUTH_ROLE_ROOT) && is_last_root(s, user)) {
        return OUTCOME_NO_ROOT;
    }
    role_take(s, *user, at);
    return OUTCOME_OK;
}

static enum outcome user_change(struct store *s, const struct command_auth *c)
{
    const struct auth_user *present = auth_find_user(&s->auth, c->user);
    if (present == NULL) {
        return OUTCOME_NO_USER;
    }
    struct auth_user user = *present;
    switch (c->action) {
    case AUTH_USER_DELETE: return user_delete(s, &user);
    case AUTH_USER_PASSWORD: return user_password(s, &user, c->secret);
    case AUTH_USER_DISABLE: return user_disable(s, &user, c->flag);
    case AUTH_USER_GRANT: return user_grant(s, &user, c->role);
    default: return user_revoke(s, &user, c->role);
    }
}

/* ---- roles -------------------------------------------------------------------------------- */

static enum outcome role_add(struct store *s, const struct command_auth *c)
{
    if (slice_is(c->role, AUTH_ROLE_ROOT) || auth_find_role(&s->auth, c->role) != NULL) {
        return OUTCOME_ROLE_EXISTS;
    }
    if (s->auth.role_count == AUTH_ROLES_MAX) {
        return OUTCOME_LIMIT;
    }
    return role_write(s, c->role, NULL, 0);
}

/* Those who have it are without it. */
static enum outcome role_delete(struct store *s, const struct auth_role *role)
{
    for (uint32_t i = 0; i < s->auth.user_count; i++) {
        bool found;
        uint32_t at = role_seek(&s->auth.users[i], role->name, &found);
        if (found) {
            role_take(s, s->auth.users[i], at);
        }
    }
    meta_drop(s, key_make(s, AUTH_ROLE_PREFIX, role->name));
    return OUTCOME_OK;
}

/* The rules of a role with another one in it, or with this one changed. */
static enum outcome role_grant(struct store *s, const struct auth_role *role,
                               const struct command_auth *c)
{
    struct auth_rule rules[AUTH_ROLE_GRANTS_MAX];
    uint32_t at = 0;
    while (at < role->rule_count && slice_compare(role->rules[at].path, c->path) < 0) {
        at++;
    }
    bool found = at < role->rule_count && slice_equal(role->rules[at].path, c->path);
    if (!found && role->rule_count == AUTH_ROLE_GRANTS_MAX) {
        return OUTCOME_LIMIT;
    }
    uint32_t count = role->rule_count + !found;
    for (uint32_t i = 0; i < count; i++) {
        if (i == at && !found) {
            rules[i] = (struct auth_rule){.path = c->path};
        } else {
            rules[i] = role->rules[i - (i > at && !found)];
        }
    }
    uint8_t *rights = c->flag ? &rules[at].deny : &rules[at].allow;
    *rights = (uint8_t)(*rights | c->rights);
    return role_write(s, role->name, rules, count);
}

static enum outcome role_revoke(struct store *s, const struct auth_role *role,
                                const struct command_auth *c)
{
    struct auth_rule rules[AUTH_ROLE_GRANTS_MAX];
    uint32_t count = 0;
    bool found = false;
    for (uint32_t i = 0; i < role->rule_count; i++) {
        struct auth_rule rule = role->rules[i];
        uint8_t *rights = c->flag ? &rule.deny : &rule.allow;
        if (slice_equal(rule.path, c->path) && (*rights & c->rights) != 0) {
            *rights = (uint8_t)(*rights & ~c->rights);
            found = true;
        }
        if ((rule.allow | rule.deny) != 0) {
            rules[count++] = rule;
        }
    }
    return found ? role_write(s, role->name, rules, count) : OUTCOME_NOT_GRANTED;
}

static enum outcome role_change(struct store *s, const struct command_auth *c)
{
    if (slice_is(c->role, AUTH_ROLE_ROOT)) {
        return OUTCOME_PROTECTED;
    }
    const struct auth_role *role = auth_find_role(&s->auth, c->role);
    if (role == NULL) {
        return OUTCOME_NO_ROLE;
    }
    switch (c->action) {
    case AUTH_ROLE_DELETE: return role_delete(s, role);
    case AUTH_ROLE_GRANT: return role_grant(s, role, c);
    default: return role_revoke(s, role, c);
    }
}

/* ---- the command -------------------------------------------------------------------------- */

static bool may_change(const struct store *s, const struct command_auth *c)
{
    bool is_own = c->action == AUTH_USER_PASSWORD && slice_equal(c->user, s->access.user) &&
                  s->access.is_somebody;
    return is_own || access_is_admin(&s->access);
}

static enum outcome change(struct store *s, const struct command_auth *c)
{
    switch (c->action) {
    case AUTH_ENABLE: return enable(s, c);
    case AUTH_DISABLE: return disable(s);
    case AUTH_USER_ADD: return user_add(s, c);
    case AUTH_USER_LIMIT: return user_limit(s, c);
    case AUTH_ROLE_ADD: return role_add(s, c);
    case AUTH_ROLE_DELETE:
    case AUTH_ROLE_GRANT:
    case AUTH_ROLE_REVOKE: return role_change(s, c);
    default: return user_change(s, c);
    }
}

void apply_auth(struct store *s, const struct apply_context *context, const struct command *c,
                struct reply *reply)
{
    enum outcome outcome = command_check_bytes(c, NULL);
    if (outcome == OUTCOME_OK) {
        outcome = auth_check(&c->auth, NULL);
    }
    if (outcome == OUTCOME_OK && !may_change(s, &c->auth)) {
        outcome = OUTCOME_NO_AUTH;
    }
    if (outcome == OUTCOME_OK) {
        edit_begin(s, context, c);
        outcome = change(s, &c->auth);
        if (outcome == OUTCOME_OK) {
            edit_commit(s);
        } else {
            edit_rollback(s);
        }
    }
    reply->outcome = (uint8_t)outcome;
}
