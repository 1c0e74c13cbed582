/* Access control lists as ZooKeeper's clients write them, and who such a client is
 * (net/identity.h). What a list allows is decided where commands are applied and queries
 * answered. */
#include "base/assert.h"
#include "net/identity.h"
#include "net/zookeeper/connection.h"
#include "store/access.h"
#include "store/acl.h"

/* Whom the certificate names, if that is a user; an auth packet may say otherwise. */
static void zk_user_by_certificate(struct zk_connection *c)
{
    const struct auth *auth = store_auth(zk_store(c));
    const struct auth_user *user =
        auth->is_enabled ? identity_certified_user(auth, c->env->tls) : NULL;
    if (user != NULL && identity_add_user(&c->identities, user->name, 0)) {
        memcpy(c->user, user->name.data, user->name.size);
        c->user_bytes = user->name.size;
        c->user_generation = user->generation;
    }
}

void zk_identities_begin(struct zk_connection *c)
{
    (void)identity_add_ip(&c->identities, c->env->peer); /* the first ones always fit */
    (void)identity_add_tls(&c->identities, c->env->tls);
    zk_user_by_certificate(c);
}

/* ---- users of the cluster ------------------------------------------------------------------ */

static enum zk_proof judge(struct zk_connection *c, enum login_result result)
{
    const struct login *l = &c->login;
    if (result == LOGIN_PENDING) {
        return ZK_PROVING;
    }
    if (result == LOGIN_BUSY || result == LOGIN_LIMITED) {
        return ZK_LATER;
    }
    if (result != LOGIN_OK ||
        !identity_add_user(&c->identities, slice_make(l->user, l->user_bytes),
                           l->generation)) {
        return ZK_REFUSED;
    }
    memcpy(c->user, l->user, sizeof c->user);
    c->user_bytes = l->user_bytes;
    c->user_generation = l->generation;
    return ZK_PROVED;
}

static void logged_in(struct login *l, enum login_result result)
{
    struct zk_connection *c = l->owner;
    zk_proved(c, judge(c, result));
}

/* A digest whose name is a user's must be that user's: else anybody could be taken for him. */
static enum zk_proof prove_user(struct zk_connection *c, struct slice data)
{
    const struct auth *auth = store_auth(zk_store(c));
    const uint8_t *colon = data.size == 0 ? NULL : memchr(data.data, ':', data.size);
    size_t size = colon == NULL ? data.size : (size_t)(colon - data.data);
    struct slice name = slice_make(data.data, size);
    if (!auth->is_enabled || auth_find_user(auth, name) == NULL) {
        return ZK_PROVED;
    }
    struct slice password = colon == NULL ? slice_make(NULL, 0)
                                          : slice_make(colon + 1, data.size - size - 1);
    c->login.done = logged_in;
    c->login.owner = c;
    return judge(c, login_begin(c->env->logins, &c->login, name, password, c->env->peer));
}

bool zk_user_is_same(const struct zk_connection *c)
{
    const struct auth *auth = store_auth(zk_store(c));
    const struct auth_user *user = auth_find_user(auth, slice_make(c->user, c->user_bytes));
    return c->user_bytes == 0 || !auth->is_enabled ||
           (user != NULL && !user->is_disabled && user->generation == c->user_generation);
}

/* Of a digest, the part of its id before the colon, as it came. */
static struct slice digest_name(struct slice id)
{
    const uint8_t *colon = id.size == 0 ? NULL : memchr(id.data, ':', id.size);
    return colon == NULL ? id : slice_make(id.data, (size_t)(colon - id.data));
}

/* Who can prove nothing by a password would only be refused. */
static bool can_prove(const struct auth *auth, struct slice name)
{
    const struct auth_user *user = auth_find_user(auth, name);
    return user != NULL && !user->is_disabled && user->hash.size > 0;
}

bool zk_user_is_unproved(const struct zk_connection *c)
{
    const struct auth *auth = store_auth(zk_store(c));
    struct unpack u = unpack_make(buf_slice(&c->identities));
    bool found = false;
    if (c->user_bytes > 0 || !auth->is_enabled) {
        return false;
    }
    while (u.rest.size > 0 && !u.failed && !found) {
        struct slice scheme = unpack_bytes(&u);
        struct slice id = unpack_bytes(&u);
        found = slice_is(scheme, "digest") && can_prove(auth, digest_name(id));
    }
    return found || identity_certified_user(auth, c->env->tls) != NULL;
}

/* ---- identities ---------------------------------------------------------------------------- */

enum zk_proof zk_identities_add(struct zk_connection *c, struct slice scheme,
                                struct slice data)
{
    if (slice_is(scheme, "digest")) {
        bool added = identity_add_digest(&c->identities, data) &&
                     identity_add_super(&c->identities, c->env->super_digest);
        return added ? prove_user(c, data) : ZK_REFUSED;
    }
    return slice_is(scheme, "ip") ? ZK_PROVED : ZK_REFUSED; /* which every connection has */
}

/* The user of a digest is what comes before the colon. */
void zk_identities_put(struct buf *out, const struct zk_connection *c)
{
    struct unpack u = unpack_make(buf_slice(&c->identities));
    size_t count_at = out->size;
    int32_t count = 0;
    jute_put_int(out, 0);
    while (u.rest.size > 0 && !u.failed) {
        struct slice scheme = unpack_bytes(&u);
        struct slice id = unpack_bytes(&u);
        if (!identity_is_shown(scheme)) {
            continue;
        }
        jute_put_buffer(out, scheme);
        jute_put_buffer(out, slice_is(scheme, "digest") ? digest_name(id) : id);
        count++;
    }
    POST(!u.failed);
    jute_put_int_at(out, count_at, count);
}

/* What most clients ask for: to the store a create without a list is the same. */
static bool is_plain_open(const struct zk_request *r)
{
    return r->type != ZK_SET_ACL && r->acl_count == 1 && r->acl[0].permissions == ACL_ALL &&
           slice_is(r->acl[0].scheme, "world") && slice_is(r->acl[0].id, "anyone");
}

/* An id that is null is compared with something, in the schemes that have ids. */
static bool has_null_id(const struct zk_acl *entry)
{
    return entry->id.data == NULL &&
           (slice_is(entry->scheme, "world") || slice_is(entry->scheme, "digest") ||
            slice_is(entry->scheme, "ip"));
}

/* Permissions beyond those that mean something are dropped. */
enum zk_error zk_acl_encode(struct zk_connection *c, const struct zk_request *r,
                            struct slice *out)
{
    *out = slice_make(NULL, 0);
    if (is_plain_open(r)) {
        return ZK_OK;
    }
    struct arena *arena = &c->shared->scratch;
    struct acl_entry *entries = arena_alloc(arena, r->acl_count * sizeof *entries);
    for (size_t i = 0; i < r->acl_count; i++) {
        if (has_null_id(&r->acl[i])) {
            return ZK_MARSHALLING_ERROR;
        }
        entries[i] =
            (struct acl_entry){.permissions = (uint32_t)r->acl[i].permissions & ACL_ALL,
                               .scheme = r->acl[i].scheme,
                               .id = r->acl[i].id};
    }
    struct buf list = {0};
    identity_acl_encode(&list, entries, r->acl_count, buf_slice(&c->identities));
    bool is_valid = acl_check(buf_slice(&list), NULL) == OUTCOME_OK;
    if (is_valid) {
        *out = arena_copy(arena, buf_slice(&list));
    }
    buf_close(&list);
    return is_valid ? ZK_OK : ZK_INVALID_ACL;
}

void zk_acl_put(struct zk_connection *c, struct buf *out, const struct query_result *result)
{
    struct acl_entry *entries;
    size_t count;
    arena_clear(&c->shared->pages);
    enum status rc = acl_decode(result->acl, &entries, &count, &c->shared->pages);
    POST(rc == RC_OK); /* the store holds no other */
    struct zk_acl *acl = arena_alloc(&c->shared->pages, count * sizeof *acl);
    for (size_t i = 0; i < count; i++) {
        acl[i] = (struct zk_acl){.permissions = (int32_t)entries[i].permissions,
                                 .scheme = entries[i].scheme,
                                 .id = result->may_admin
                                           ? entries[i].id
                                           : identity_shown(&entries[i], &c->shared->pages)};
    }
    zk_put_acl(out, acl, count);
}

/* ---- what the user may take --------------------------------------------------------------- */

/* Empty while nobody is asked who he is. */
static struct slice user_of(const struct zk_connection *c)
{
    struct access access;
    access_begin(&access, zk_store(c), buf_slice(&c->identities));
    return access.user;
}

bool zk_user_connect(struct zk_connection *c)
{
    struct allowances *allowances = c->env->allowances;
    struct slice user = user_of(c);
    char text[ALLOWANCE_TEXT_BYTES_MAX];
    if (allowance_connect(allowances, &c->hold, user)) {
        return true;
    }
    allowance_text(allowances, user, ALLOWANCE_CONNECTIONS, text);
    log_warn(c->env->log, "zookeeper.limited", "peer=%s reason=\"%s\"", c->env->peer, text);
    zk_finish(c, text);
    return false;
}

uint64_t zk_user_wait_ms(const struct zk_connection *c)
{
    const struct auth *auth = store_auth(zk_store(c));
    return auth->is_enabled && auth->limit_count > 0
               ? allowance_wait_ms(c->env->allowances, user_of(c))
               : 0;
}

bool zk_user_watch(struct zk_connection *c, char text[ALLOWANCE_TEXT_BYTES_MAX])
{
    struct allowances *allowances = c->env->allowances;
    struct slice user = user_of(c);
    if (allowance_watch(allowances, &c->hold, user)) {
        return true;
    }
    allowance_text(allowances, user, ALLOWANCE_WATCHES, text);
    return false;
}
