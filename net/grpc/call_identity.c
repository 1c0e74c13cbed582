/* Who makes a call: what its metadata proves, and whether such a caller may make it at all.
 *
 *   headers --the state may be too old to tell--> IDENTIFYING, until it has caught up
 *           --token, certificate, nothing--> known at once
 *           --Basic--> IDENTIFYING, until a worker has looked at the password
 *
 * Messages wait meanwhile. A member that starts, or joins, holds an old state at first: by that,
 * authentication may be disabled, or a user may have a password that is void by now. So it judges
 * nobody until a leader has confirmed what it has applied (GRPC_STATE_CAUGHT_UP).
 *
 * While authentication is disabled, only digests and addresses count, for the lists of nodes. What
 * the method is about, apply and queries decide; here is asked only whether the caller is somebody,
 * and of methods that need it, an administrator. Both through store/access.h. */
#include "net/grpc/audit.h"
#include "net/grpc/call_internal.h"
#include "net/identity.h"
#include "net/token.h"
#include "store/access.h"
#include "store/store.h"

#define BASIC_BYTES_MAX ((size_t)512)

static const struct store *store_of(const struct grpc_call *call)
{
    return node_store(grpc_call_node(call));
}

static bool has_scheme(struct slice value, const char *scheme, struct slice *rest)
{
    size_t size = strlen(scheme);
    bool has = value.size > size && value.data[size] == ' ';
    for (size_t i = 0; has && i < size; i++) { /* without regard to case, as RFC 9110 has it */
        has = (value.data[i] | 0x20) == (uint8_t)scheme[i];
    }
    *rest = has ? slice_make(value.data + size + 1, value.size - size - 1) : value;
    return has;
}

/* RFC 4648, padded or not. SIZE_MAX: it is none, or more than `max`. */
static size_t base64_take(struct slice text, uint8_t *out, size_t max)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned have = 0;
    size_t size = 0;
    while (text.size > 0 && text.data[text.size - 1] == '=') {
        text.size--;
    }
    for (size_t i = 0; i < text.size; i++) {
        const char *at = text.data[i] == '\0' ? NULL : strchr(digits, text.data[i]);
        if (at == NULL || size == max) {
            return SIZE_MAX;
        }
        bits = bits << 6 | (uint32_t)(at - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[size++] = (uint8_t)(bits >> have);
        }
    }
    return size;
}

/* ---- whether it may be made --------------------------------------------------------------- */

void grpc_call_refuse_admin(struct grpc_call *call)
{
    struct access access;
    access_begin(&access, store_of(call), grpc_call_identities(call));
    grpc_audit_denied(call, ACL_ADMIN, slice_str("/"));
    grpc_call_refuse(call, OUTCOME_NO_AUTH, store_revision(access.store),
                     "/: admin is not allowed to user %.*s", (int)access.user.size,
                     (const char *)access.user.data);
}

static void refuse_allowance(struct grpc_call *call, struct slice user, enum allowance_kind kind)
{
    char text[ALLOWANCE_TEXT_BYTES_MAX];
    allowance_text(call->connection->env->allowances, user, kind, text);
    grpc_call_refuse(call, OUTCOME_USER_LIMIT, store_revision(store_of(call)), "%s", text);
}

/* Whether the user's limits let one more call pass. What goes on for long keeps something alive, or
 * is a watch, and is no request of this kind. */
static bool is_within_limits(struct grpc_call *call, struct slice user)
{
    struct grpc_connection *c = call->connection;
    struct allowances *allowances = c->env->allowances;
    if (!allowance_connect(allowances, &c->hold, user)) {
        refuse_allowance(call, user, ALLOWANCE_CONNECTIONS);
        return false;
    }
    if (!call->route->method->is_long && allowance_wait_ms(allowances, user) > 0) {
        allowance_count_refusal(allowances, ALLOWANCE_REQUESTS);
        refuse_allowance(call, user, ALLOWANCE_REQUESTS);
        return false;
    }
    return true;
}

/* Why a caller is nobody. */
static const char *nobody_text(const struct grpc_call *call, const struct access *access)
{
    const struct auth_user *user = auth_find_user(store_auth(store_of(call)), access->user);
    if (slice_is(access->user, AUTH_ANONYMOUS)) {
        return "authentication is required";
    }
    return user == NULL || user->is_disabled ? "the user does not exist any more, or is disabled"
                                             : "what proved the user does so no more";
}

/* False, and the call is over. */
static bool pass(struct grpc_call *call)
{
    struct access access;
    uint8_t needs = call->route->method->needs;
    if (needs == GRPC_NEEDS_NOBODY) {
        return true;
    }
    access_begin(&access, store_of(call), grpc_call_identities(call));
    if (!access.is_somebody) {
        grpc_call_fail(call, GRPC_UNAUTHENTICATED, "%s", nobody_text(call, &access));
        return false;
    }
    if (!is_within_limits(call, access.user)) {
        return false;
    }
    if (needs == GRPC_NEEDS_ADMIN && !access_is_admin(&access)) {
        grpc_call_refuse_admin(call);
        return false;
    }
    return true;
}

/* ---- who makes it ------------------------------------------------------------------------- */

/* `proof` is 0 for what proves all generations. */
static bool add_user(struct grpc_call *call, struct slice name, uint64_t generation,
                     uint64_t proof)
{
    if (call->identities.size == 0) {
        buf_append_slice(&call->identities, buf_slice(&call->connection->identities));
    }
    if (identity_add_user(&call->identities, name, proof)) {
        call->user_generation = generation;
        return true;
    }
    grpc_call_fail(call, GRPC_INVALID_ARGUMENT, "more than %zu identities", IDENTITIES_MAX);
    return false;
}

/* A connection mostly shows one token over and over: its signature is checked once. */
static bool token_known(struct grpc_connection *c, struct slice text, const struct auth *auth)
{
    if (slice_equal(buf_slice(&c->token_text), text) &&
        memcmp(c->token_key, auth->key, sizeof c->token_key) == 0) {
        return true;
    }
    buf_clear(&c->token_text);
    if (!token_open(text, auth->key, &c->token)) {
        return false;
    }
    buf_append_slice(&c->token_text, text);
    memcpy(c->token_key, auth->key, sizeof c->token_key);
    return true;
}

static enum grpc_identified take_token(struct grpc_call *call, struct slice text)
{
    struct grpc_connection *c = call->connection;
    const struct auth *auth = store_auth(store_of(call));
    const char *problem =
        token_known(c, text, auth)
            ? token_problem(&c->token, auth, node_cluster_ms(grpc_call_node(call)))
            : "not a token of this cluster";
    if (problem != NULL) {
        grpc_call_fail(call, GRPC_UNAUTHENTICATED, "authorization: %s", problem);
        return GRPC_REFUSED;
    }
    uint64_t generation = c->token.generation;
    return add_user(call, token_name(&c->token), generation, generation) && pass(call)
               ? GRPC_IDENTIFIED
               : GRPC_REFUSED;
}

void grpc_call_refuse_login(struct grpc_call *call, enum login_result result)
{
    switch (result) {
    case LOGIN_WRONG:
        grpc_call_fail(call, GRPC_UNAUTHENTICATED, "wrong user or password");
        break;
    case LOGIN_LIMITED:
        call->is_denied = true;
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED,
                       "too many wrong passwords came from this address, try again in %d s",
                       LOGIN_WINDOW_MS / 1000);
        break;
    default:
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED,
                       "too many passwords are being checked, try again");
        break;
    }
}

static enum grpc_identified take_login(struct grpc_call *call, enum login_result result)
{
    if (result != LOGIN_OK) {
        grpc_call_refuse_login(call, result);
        return GRPC_REFUSED;
    }
    struct slice name = slice_make(call->login.user, call->login.user_bytes);
    uint64_t generation = call->login.generation;
    return add_user(call, name, generation, generation) && pass(call)
               ? GRPC_IDENTIFIED
               : GRPC_REFUSED;
}

static void logged_in(struct login *l, enum login_result result)
{
    struct grpc_call *call = l->owner;
    call->is_identifying = false;
    if (take_login(call, result) == GRPC_IDENTIFIED) {
        grpc_call_identified(call);
    }
}

static enum grpc_identified take_basic(struct grpc_call *call, struct slice text)
{
    uint8_t plain[BASIC_BYTES_MAX];
    size_t size = base64_take(text, plain, sizeof plain);
    const uint8_t *colon = size == SIZE_MAX || size == 0 ? NULL : memchr(plain, ':', size);
    if (colon == NULL) {
        grpc_call_fail(call, GRPC_UNAUTHENTICATED, "authorization: Basic takes name:password");
        return GRPC_REFUSED;
    }
    size_t name = (size_t)(colon - plain);
    grpc_audit_login(call, slice_make(plain, name));
    call->login.done = logged_in;
    call->login.owner = call;
    enum login_result result = login_begin(
        call->connection->env->logins, &call->login, slice_make(plain, name),
        slice_make(plain + name + 1, size - name - 1), call->connection->env->peer);
    password_wipe(plain, sizeof plain);
    if (result == LOGIN_PENDING) {
        call->is_identifying = true;
        return GRPC_IDENTIFYING;
    }
    return take_login(call, result);
}

void grpc_call_recheck(struct grpc_call *call)
{
    struct access access;
    const struct auth *auth = store_auth(store_of(call));
    if (!auth->is_enabled || call->is_identifying || !pass(call) ||
        call->user_generation == 0) {
        return;
    }
    access_begin(&access, store_of(call), grpc_call_identities(call));
    const struct auth_user *user = auth_find_user(auth, access.user);
    if (user == NULL || user->generation != call->user_generation) {
        grpc_call_fail(call, GRPC_UNAUTHENTICATED, "what proved the user does so no more");
    }
}

/* A client may let any time pass between its headers and its message, and of what changes the
 * members nobody asks later who it was. */
bool grpc_call_is_still_allowed(struct grpc_call *call)
{
    uint64_t version = store_auth(store_of(call))->version;
    if (call->auth_version != version) {
        call->auth_version = version;
        grpc_call_recheck(call);
    }
    return call->state != GRPC_CALL_FINISHED;
}

static enum grpc_identified identify(struct grpc_call *call)
{
    struct slice rest;
    struct slice value = buf_slice(&call->authorization);
    const struct auth *auth = store_auth(store_of(call));
    call->auth_version = auth->version;
    if (!auth->is_enabled) {
        return GRPC_IDENTIFIED;
    }
    if (value.size == 0) {
        const struct auth_user *user =
            identity_certified_user(auth, call->connection->env->tls);
        bool is_known = user == NULL || add_user(call, user->name, user->generation, 0);
        return is_known && pass(call) ? GRPC_IDENTIFIED : GRPC_REFUSED;
    }
    if (has_scheme(value, "bearer", &rest)) {
        return take_token(call, rest);
    }
    if (has_scheme(value, "basic", &rest)) {
        return take_basic(call, rest);
    }
    grpc_call_fail(call, GRPC_UNAUTHENTICATED, "authorization: neither Bearer nor Basic");
    return GRPC_REFUSED;
}

/* ---- whether the state can tell ----------------------------------------------------------- */

static void caught_up(struct node_read *r, enum status rc, const struct query_result *result)
{
    struct grpc_call *call = r->owner;
    (void)result; /* a barrier has none */
    call->is_identifying = false;
    call->is_catching_up = false;
    if (rc != RC_OK) {
        grpc_call_fail_status(call, rc, false);
        return;
    }
    grpc_call_set_timer(call);
    if (identify(call) == GRPC_IDENTIFIED) {
        grpc_call_identified(call);
    }
}

/* As with other reads, the node keeps the deadline meanwhile. */
static enum grpc_identified catch_up(struct grpc_call *call)
{
    struct grpc_connection *c = call->connection;
    uint64_t deadline_ms = grpc_call_read_deadline(call);
    call->read = (struct node_read){.done = caught_up, .owner = call, .is_barrier = true};
    enum status rc = node_read(c->env->node, &call->read, deadline_ms);
    if (rc != RC_OK) {
        grpc_call_fail_status(call, rc, false);
        return GRPC_REFUSED;
    }
    call->is_identifying = true;
    call->is_catching_up = true;
    heap_remove(&c->timers, &call->timer);
    return GRPC_IDENTIFYING;
}

enum grpc_identified grpc_call_identify(struct grpc_call *call)
{
    uint8_t state = call->route->method->state;
    bool is_too_old = state == GRPC_STATE_CONFIRMED || (state == GRPC_STATE_CAUGHT_UP &&
                                                        !node_is_caught_up(grpc_call_node(call)));
    return is_too_old ? catch_up(call) : identify(call);
}

void grpc_call_identify_cancel(struct grpc_call *call)
{
    if (call->is_catching_up) {
        node_read_cancel(grpc_call_node(call), &call->read);
    }
    call->is_identifying = false;
    call->is_catching_up = false;
    login_cancel(&call->login);
}
