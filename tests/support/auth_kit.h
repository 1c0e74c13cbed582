/* Users and roles for tests of the store: commands in short. Strings may be NULL for none. */
#ifndef TESTS_SUPPORT_AUTH_KIT_H
#define TESTS_SUPPORT_AUTH_KIT_H

#include <stdlib.h>

#include "store/auth.h"
#include "tests/support/store_kit.h"

#define AUTH_KIT_KEY "0123456789abcdef0123456789abcdef"

static inline struct slice auth_kit_text(const char *text)
{
    return text == NULL ? slice_make(NULL, 0) : slice_str(text);
}

/* ("user", name), into `b`, which is cleared first; NULL: nobody. */
static inline struct slice auth_kit_who(struct buf *b, const char *user)
{
    buf_clear(b);
    if (user != NULL) {
        identity_encode(b, slice_str("user"), slice_str(user));
    }
    return buf_slice(b);
}

static inline enum outcome auth_kit_run(struct kit *k, const char *as, struct command_auth what)
{
    struct buf who = {0};
    struct command c = {.type = COMMAND_AUTH, .auth = what};
    c.identities = auth_kit_who(&who, as);
    enum outcome outcome = kit_run(k, &c);
    buf_close(&who);
    return outcome;
}

static inline enum outcome auth_kit_enable(struct kit *k, const char *as)
{
    return auth_kit_run(k, as,
                        (struct command_auth){.action = AUTH_ENABLE,
                                              .secret = slice_str(AUTH_KIT_KEY),
                                              .token_ttl_ms = AUTH_TOKEN_TTL_MS_DEFAULT});
}

static inline enum outcome auth_kit_user(struct kit *k, const char *as, enum auth_action action,
                                         const char *user, const char *role_or_hash)
{
    struct command_auth what = {.action = (uint8_t)action, .user = slice_str(user)};
    bool is_role = action == AUTH_USER_GRANT || action == AUTH_USER_REVOKE;
    *(is_role ? &what.role : &what.secret) = auth_kit_text(role_or_hash);
    return auth_kit_run(k, as, what);
}

static inline enum outcome auth_kit_disable_user(struct kit *k, const char *as,
                                                 const char *user, bool is_disabled)
{
    return auth_kit_run(k, as,
                        (struct command_auth){.action = AUTH_USER_DISABLE,
                                              .user = slice_str(user),
                                              .flag = is_disabled});
}

static inline enum outcome auth_kit_role(struct kit *k, const char *as, enum auth_action action,
                                         const char *role)
{
    return auth_kit_run(
        k, as, (struct command_auth){.action = (uint8_t)action, .role = slice_str(role)});
}

static inline enum outcome auth_kit_rule(struct kit *k, const char *as, enum auth_action action,
                                         const char *role, const char *path, uint8_t rights,
                                         bool is_denial)
{
    return auth_kit_run(k, as,
                        (struct command_auth){.action = (uint8_t)action,
                                              .role = slice_str(role),
                                              .path = slice_str(path),
                                              .rights = rights,
                                              .flag = is_denial});
}

/* A user with a role of his own name: one grant, allowed. */
static inline void auth_kit_add(struct kit *k, const char *user, const char *path,
                                uint8_t rights)
{
    enum outcome done = auth_kit_user(k, NULL, AUTH_USER_ADD, user, "hash");
    done = done == OUTCOME_OK ? auth_kit_role(k, NULL, AUTH_ROLE_ADD, user) : done;
    done = done == OUTCOME_OK
               ? auth_kit_rule(k, NULL, AUTH_ROLE_GRANT, user, path, rights, false)
               : done;
    done = done == OUTCOME_OK ? auth_kit_user(k, NULL, AUTH_USER_GRANT, user, user) : done;
    if (done != OUTCOME_OK) {
        abort();
    }
}

#endif
