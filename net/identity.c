#include "net/identity.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/assert.h"
#include "net/source.h"
#include "store/command.h"

#define SHA1_BYTES        20
#define SHA1_BASE64_BYTES 28 /* and a zero behind */

struct identity {
    struct slice scheme;
    struct slice id;
};

static bool identity_next(struct unpack *identities, struct identity *out)
{
    if (identities->rest.size == 0) {
        return false;
    }
    out->scheme = unpack_bytes(identities);
    out->id = unpack_bytes(identities);
    return !identities->failed;
}

static bool identity_has(struct slice identities, struct slice scheme, struct slice id)
{
    struct unpack u = unpack_make(identities);
    struct identity identity;
    while (identity_next(&u, &identity)) {
        if (slice_equal(identity.scheme, scheme) && slice_equal(identity.id, id)) {
            return true;
        }
    }
    return false;
}

static bool identity_add(struct buf *identities, struct slice scheme, struct slice id)
{
    size_t before = identities->size;
    if (identity_has(buf_slice(identities), scheme, id)) {
        return true;
    }
    if (id.size > COMMAND_IDENTITIES_BYTES_MAX) {
        return false;
    }
    identity_encode(identities, scheme, id);
    if (identities->size > COMMAND_IDENTITIES_BYTES_MAX ||
        identities_check(buf_slice(identities), NULL) != OUTCOME_OK) {
        identities->size = before;
        return false;
    }
    return true;
}

/* ---- what a connection tells -------------------------------------------------------------- */

bool identity_add_ip(struct buf *identities, const char *peer)
{
    struct slice address = source_address(peer);
    struct slice mapped = slice_str("::ffff:");
    if (address.size > mapped.size &&
        slice_equal(slice_make(address.data, mapped.size), mapped) &&
        memchr(address.data, '.', address.size) != NULL) {
        address = slice_make(address.data + mapped.size, address.size - mapped.size);
    }
    return identity_add(identities, slice_str("ip"), address);
}

bool identity_add_digest(struct buf *identities, struct slice name_and_password)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned char text[SHA1_BASE64_BYTES + 1];
    unsigned int hash_bytes = 0;
    struct slice whole = name_and_password.data == NULL ? slice_str("") : name_and_password;
    int done = EVP_Digest(whole.data, whole.size, hash, &hash_bytes, EVP_sha1(), NULL);
    PRE(done == 1 && hash_bytes == SHA1_BYTES); /* it fails only without memory */
    int text_bytes = EVP_EncodeBlock(text, hash, SHA1_BYTES);
    POST(text_bytes == SHA1_BASE64_BYTES);

    const uint8_t *colon = whole.size == 0 ? NULL : memchr(whole.data, ':', whole.size);
    struct buf id = {0};
    buf_append(&id, whole.data, colon == NULL ? whole.size : (size_t)(colon - whole.data));
    buf_append(&id, ":", 1);
    buf_append(&id, text, SHA1_BASE64_BYTES);
    bool added = identity_add(identities, slice_str("digest"), buf_slice(&id));
    buf_close(&id);
    return added;
}

bool identity_is_shown(struct slice scheme)
{
    return !slice_is(scheme, IDENTITY_PROOF);
}

bool identity_add_user(struct buf *identities, struct slice name, uint64_t generation)
{
    char proof[24];
    struct buf kept = {0};
    struct unpack u = unpack_make(buf_slice(identities));
    struct identity identity;
    while (identity_next(&u, &identity)) {
        if (!slice_is(identity.scheme, "user") && identity_is_shown(identity.scheme)) {
            identity_encode(&kept, identity.scheme, identity.id);
        }
    }
    (void)snprintf(proof, sizeof proof, "%" PRIu64, generation);
    bool added =
        identity_add(&kept, slice_str("user"), name) &&
        (generation == 0 || identity_add(&kept, slice_str(IDENTITY_PROOF), slice_str(proof)));
    if (added) {
        buf_clear(identities);
        buf_append_slice(identities, buf_slice(&kept));
    }
    buf_close(&kept);
    return added;
}

bool identity_add_tls(struct buf *identities, const struct tls_peer *tls)
{
    if (tls == NULL || tls->subject[0] == '\0') {
        return true;
    }
    return identity_add(identities, slice_str("x509"), slice_str(tls->subject));
}

static const struct auth_user *user_named(const struct auth *auth, const char *name)
{
    const struct auth_user *user = auth_find_user(auth, slice_str(name));
    return user == NULL || user->is_disabled ? NULL : user;
}

const struct auth_user *identity_certified_user(const struct auth *auth,
                                                const struct tls_peer *tls)
{
    static const char dns[] = "DNS:";
    if (tls == NULL) {
        return NULL;
    }
    const struct auth_user *user = user_named(auth, tls->common_name);
    for (size_t i = 0; i < tls->name_count && user == NULL; i++) {
        if (strncmp(tls->names[i], dns, sizeof dns - 1) == 0) {
            user = user_named(auth, tls->names[i] + sizeof dns - 1);
        }
    }
    return user;
}

bool identity_add_super(struct buf *identities, const char *super_digest)
{
    if (super_digest == NULL || super_digest[0] == '\0' ||
        !identity_has(buf_slice(identities), slice_str("digest"), slice_str(super_digest))) {
        return true;
    }
    return identity_add(identities, slice_str("super"), slice_str(""));
}

bool identity_digest_is_valid(struct slice text)
{
    const struct acl_entry entry = {
        .permissions = ACL_ALL, .scheme = slice_str("digest"), .id = text};
    struct buf list = {0};
    acl_encode(&list, &entry, 1);
    bool valid = acl_check(buf_slice(&list), NULL) == OUTCOME_OK;
    buf_close(&list);
    return valid;
}

/* ---- lists --------------------------------------------------------------------------------- */

/* What a list becomes: as many entries as one may have. */
struct entries {
    struct acl_entry all[ACL_ENTRIES_MAX];
    size_t count; /* may go beyond what is kept */
};

static void entries_add(struct entries *to, uint32_t permissions, struct slice scheme,
                        struct slice id)
{
    if (to->count < ACL_ENTRIES_MAX) {
        to->all[to->count] = (struct acl_entry){permissions, scheme, id};
    }
    to->count++;
}

static void entries_add_proved(struct entries *to, uint32_t permissions,
                               struct slice identities)
{
    struct unpack u = unpack_make(identities);
    struct identity identity;
    size_t before = to->count;
    while (identity_next(&u, &identity)) {
        if (!slice_is(identity.scheme, "ip") && !slice_is(identity.scheme, "super") &&
            identity_is_shown(identity.scheme)) {
            entries_add(to, permissions, identity.scheme, identity.id);
        }
    }
    if (to->count == before) {
        entries_add(to, permissions, slice_str("auth"), slice_str(""));
    }
}

void identity_acl_encode(struct buf *out, const struct acl_entry *entries, size_t count,
                         struct slice identities)
{
    struct entries to;
    to.count = count > ACL_ENTRIES_MAX ? count : 0;
    for (size_t i = 0; i < count && count <= ACL_ENTRIES_MAX; i++) {
        if (slice_is(entries[i].scheme, "auth")) {
            entries_add_proved(&to, entries[i].permissions, identities);
        } else {
            entries_add(&to, entries[i].permissions, entries[i].scheme, entries[i].id);
        }
    }
    if (to.count > ACL_ENTRIES_MAX) { /* only how many, for acl_check to say so */
        pack_u32(out, to.count < UINT32_MAX ? (uint32_t)to.count : UINT32_MAX);
    } else {
        acl_encode(out, to.all, to.count);
    }
}

struct slice identity_shown(const struct acl_entry *entry, struct arena *arena)
{
    const uint8_t *colon = slice_is(entry->scheme, "digest")
                               ? memchr(entry->id.data, ':', entry->id.size)
                               : NULL;
    if (colon == NULL) {
        return entry->id;
    }
    size_t bytes = (size_t)(colon - entry->id.data) + 1;
    uint8_t *shown = arena_alloc(arena, bytes + 1);
    memcpy(shown, entry->id.data, bytes);
    shown[bytes] = 'x';
    return slice_make(shown, bytes + 1);
}
