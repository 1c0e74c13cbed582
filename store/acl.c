#include "store/acl.h"

#include <arpa/inet.h>

#include "base/hash.h"
#include "base/utf8.h"

#define ENTRY_BYTES_MIN ((size_t)12)
#define ADDRESS_BYTES_MAX ((size_t)16)
#define ADDRESS_TEXT_MAX  ((size_t)48)
#define MAPPED_BYTES      ((size_t)12) /* what comes before the IPv4 address in a mapped one */

/* ---- lists -------------------------------------------------------------------------------- */

static void entry_decode(struct unpack *u, struct acl_entry *e)
{
    e->permissions = unpack_u32(u);
    e->scheme = unpack_bytes(u);
    e->id = unpack_bytes(u);
}

static bool entry_equal(const struct acl_entry *a, const struct acl_entry *b)
{
    return a->permissions == b->permissions && slice_equal(a->scheme, b->scheme) &&
           slice_equal(a->id, b->id);
}

static uint64_t entry_hash(const struct acl_entry *e)
{
    return hash_mix(hash_bytes(e->permissions, e->scheme.data, e->scheme.size),
                    hash_bytes(0, e->id.data, e->id.size));
}

void acl_encode(struct buf *out, const struct acl_entry *entries, size_t count)
{
    size_t begin = out->size;
    size_t first[ACL_ENTRIES_MAX]; /* more than that nobody accepts, with or without duplicates */
    uint32_t kept = 0;
    pack_u32(out, 0);
    for (size_t i = 0; i < count; i++) {
        size_t known = kept < ACL_ENTRIES_MAX ? kept : ACL_ENTRIES_MAX;
        size_t before = 0;
        while (before < known && !entry_equal(&entries[first[before]], &entries[i])) {
            before++;
        }
        if (before < known) {
            continue;
        }
        if (kept < ACL_ENTRIES_MAX) {
            first[kept] = i;
        }
        pack_u32(out, entries[i].permissions);
        pack_bytes(out, entries[i].scheme);
        pack_bytes(out, entries[i].id);
        kept++;
    }
    pack_u32_at(out, begin, kept);
}

enum status acl_decode(struct slice encoded, struct acl_entry **entries, size_t *count,
                       struct arena *arena)
{
    struct unpack u = unpack_make(encoded);
    uint32_t announced = unpack_u32(&u);
    if (u.failed || announced > ACL_ENTRIES_MAX ||
        announced * ENTRY_BYTES_MIN > u.rest.size) {
        return RC_MALFORMED;
    }
    struct acl_entry *list = arena_alloc(arena, announced * sizeof *list);
    for (uint32_t i = 0; i < announced; i++) {
        entry_decode(&u, &list[i]);
    }
    if (!unpack_done(&u)) {
        return RC_MALFORMED;
    }
    *entries = list;
    *count = announced;
    return RC_OK;
}

void acl_encode_open(struct buf *out)
{
    const struct acl_entry open = {
        .permissions = ACL_ALL,
        .scheme = slice_str("world"),
        .id = slice_str("anyone"),
    };
    acl_encode(out, &open, 1);
}

bool acl_is_open(struct slice encoded)
{
    struct acl_entry e;
    struct unpack u = unpack_make(encoded);
    uint32_t count = unpack_u32(&u);
    entry_decode(&u, &e);
    return unpack_done(&u) && count == 1 && e.permissions == ACL_ALL &&
           slice_is(e.scheme, "world") && slice_is(e.id, "anyone");
}

/* ---- addresses ---------------------------------------------------------------------------- */

struct address {
    uint8_t bytes[ADDRESS_BYTES_MAX];
    size_t size;   /* 4 or 16 */
    uint32_t bits; /* that count */
};

/* An IPv4 address that is written as an IPv6 one is the same address. */
static void address_unmap(struct address *a)
{
    static const uint8_t mapped[MAPPED_BYTES] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (a->size == ADDRESS_BYTES_MAX && a->bits >= 8 * MAPPED_BYTES &&
        memcmp(a->bytes, mapped, MAPPED_BYTES) == 0) {
        memmove(a->bytes, a->bytes + MAPPED_BYTES, ADDRESS_BYTES_MAX - MAPPED_BYTES);
        a->size = ADDRESS_BYTES_MAX - MAPPED_BYTES;
        a->bits -= (uint32_t)(8 * MAPPED_BYTES);
    }
}

/* "bits" behind the slash: one to three digits, at most the address has. */
static bool bits_parse(struct slice text, uint32_t most, uint32_t *bits)
{
    uint32_t number = 0;
    if (text.size == 0 || text.size > 3) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        number = number * 10 + (uint32_t)(text.data[i] - '0');
    }
    *bits = number;
    return number <= most;
}

static bool address_parse(struct slice text, struct address *a)
{
    char whole[ADDRESS_TEXT_MAX];
    const uint8_t *slash = text.size == 0 ? NULL : memchr(text.data, '/', text.size);
    size_t size = slash == NULL ? text.size : (size_t)(slash - text.data);
    if (size == 0 || size >= sizeof whole || memchr(text.data, '\0', size) != NULL) {
        return false;
    }
    memcpy(whole, text.data, size);
    whole[size] = '\0';
    if (inet_pton(AF_INET, whole, a->bytes) == 1) {
        a->size = 4;
    } else if (inet_pton(AF_INET6, whole, a->bytes) == 1) {
        a->size = ADDRESS_BYTES_MAX;
    } else {
        return false;
    }
    a->bits = (uint32_t)(8 * a->size);
    if (slash != NULL &&
        !bits_parse(slice_make(slash + 1, text.size - size - 1), a->bits, &a->bits)) {
        return false;
    }
    address_unmap(a);
    return true;
}

static bool address_matches(struct slice entry, struct slice identity)
{
    struct address net;
    struct address peer;
    if (!address_parse(entry, &net) || !address_parse(identity, &peer) ||
        net.size != peer.size) {
        return false;
    }
    size_t whole = net.bits / 8;
    uint32_t rest = net.bits % 8;
    return memcmp(net.bytes, peer.bytes, whole) == 0 &&
           (rest == 0 || (net.bytes[whole] ^ peer.bytes[whole]) >> (8 - rest) == 0);
}

/* ---- validity ----------------------------------------------------------------------------- */

static bool digest_is_valid(struct slice id)
{
    const uint8_t *colon = id.size == 0 ? NULL : memchr(id.data, ':', id.size);
    size_t behind = colon == NULL ? 0 : id.size - (size_t)(colon - id.data) - 1;
    return behind > 0 && memchr(colon + 1, ':', behind) == NULL;
}

/* What is wrong with an entry, or NULL. */
static const char *entry_wrong(const struct acl_entry *e)
{
    struct address address;
    if (e->permissions > ACL_ALL) {
        return "permissions beyond 31";
    }
    if (!utf8_is_valid(e->id)) {
        return "the id is not valid UTF-8";
    }
    if (slice_is(e->scheme, "world")) {
        return slice_is(e->id, "anyone") ? NULL : "scheme world has only the id anyone";
    }
    if (slice_is(e->scheme, "digest")) {
        return digest_is_valid(e->id) ? NULL : "a digest is name:hash, with exactly one colon";
    }
    if (slice_is(e->scheme, "ip")) {
        return address_parse(e->id, &address) ? NULL : "not an address or address/bits";
    }
    if (slice_is(e->scheme, "auth")) {
        return "scheme auth stands for what the caller has proved to be, which is nothing";
    }
    if (slice_is(e->scheme, "x509") || slice_is(e->scheme, "sasl") ||
        slice_is(e->scheme, "user")) {
        return e->id.size > 0 ? NULL : "the id is empty";
    }
    return "unknown scheme; there are world, digest, ip, x509, sasl and user";
}

static enum outcome invalid(struct errmsg *err, const char *why)
{
    (void)errmsg_set(err, RC_INVALID, "acl: %s", why);
    return OUTCOME_INVALID_ACL;
}

/* Which entries have been: open addressing, only ever filled, at most half full. */
struct seen {
    struct acl_entry entries[ACL_ENTRIES_MAX];
    uint16_t cells[2 * ACL_ENTRIES_MAX]; /* number of the entry + 1 */
};

static bool seen_add(struct seen *seen, uint32_t number)
{
    const struct acl_entry *e = &seen->entries[number];
    size_t mask = 2 * ACL_ENTRIES_MAX - 1;
    size_t cell = (size_t)entry_hash(e) & mask;
    for (; seen->cells[cell] != 0; cell = (cell + 1) & mask) {
        if (entry_equal(&seen->entries[seen->cells[cell] - 1], e)) {
            return false;
        }
    }
    seen->cells[cell] = (uint16_t)(number + 1);
    return true;
}

enum outcome acl_check(struct slice encoded, struct errmsg *err)
{
    if (encoded.size > ACL_BYTES_MAX) {
        (void)errmsg_set(err, RC_INVALID, "acl: %zu bytes, the limit is %zu", encoded.size,
                         ACL_BYTES_MAX);
        return OUTCOME_INVALID_ACL;
    }
    struct unpack u = unpack_make(encoded);
    uint32_t count = unpack_u32(&u);
    if (!u.failed && count == 0) {
        return invalid(err, "an empty list");
    }
    if (!u.failed && count > ACL_ENTRIES_MAX) {
        (void)errmsg_set(err, RC_INVALID, "acl: %u entries, the limit is %zu", (unsigned)count,
                         ACL_ENTRIES_MAX);
        return OUTCOME_INVALID_ACL;
    }
    struct seen seen; /* only what is used is cleared: most lists have one entry */
    if (count > 1) {
        memset(seen.cells, 0, sizeof seen.cells);
    }
    for (uint32_t i = 0; i < count && !u.failed; i++) {
        entry_decode(&u, &seen.entries[i]);
        const char *wrong = u.failed ? NULL : entry_wrong(&seen.entries[i]);
        if (wrong != NULL) {
            (void)errmsg_set(err, RC_INVALID, "acl entry %u: %s", (unsigned)i, wrong);
            return OUTCOME_INVALID_ACL;
        }
        if (!u.failed && count > 1 && !seen_add(&seen, i)) {
            return invalid(err, "an entry twice");
        }
    }
    return unpack_done(&u) ? OUTCOME_OK : invalid(err, "not a list");
}

/* ---- identities --------------------------------------------------------------------------- */

void identity_encode(struct buf *out, struct slice scheme, struct slice id)
{
    pack_bytes(out, scheme);
    pack_bytes(out, id);
}

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

enum outcome identities_check(struct slice identities, struct errmsg *err)
{
    struct unpack u = unpack_make(identities);
    struct identity identity;
    size_t count = 0;
    if (identities.size == 0) {
        return OUTCOME_OK;
    }
    while (identity_next(&u, &identity)) {
        count++;
    }
    if (!unpack_done(&u)) {
        (void)errmsg_set(err, RC_INVALID, "identities: malformed after %zu", count);
        return OUTCOME_BAD_ARGUMENTS;
    }
    if (count > IDENTITIES_MAX) {
        (void)errmsg_set(err, RC_INVALID, "identities: %zu, the limit is %zu", count,
                         IDENTITIES_MAX);
        return OUTCOME_BAD_ARGUMENTS;
    }
    return OUTCOME_OK;
}

/* ---- checks ------------------------------------------------------------------------------- */

static bool is_super(struct slice identities)
{
    struct unpack u = unpack_make(identities);
    struct identity identity;
    while (identity_next(&u, &identity)) {
        if (slice_is(identity.scheme, "super")) {
            return true;
        }
    }
    return false;
}

static bool entry_matches(const struct acl_entry *e, struct slice identities)
{
    struct unpack u = unpack_make(identities);
    struct identity identity;
    if (slice_is(e->scheme, "world")) {
        return true;
    }
    bool is_address = slice_is(e->scheme, "ip");
    while (identity_next(&u, &identity)) {
        if (slice_equal(identity.scheme, e->scheme) &&
            (is_address ? address_matches(e->id, identity.id)
                        : slice_equal(identity.id, e->id))) {
            return true;
        }
    }
    return false;
}

bool acl_allows(struct slice encoded, uint32_t permissions, struct slice identities)
{
    struct unpack u = unpack_make(encoded);
    uint32_t count = unpack_u32(&u);
    for (uint32_t i = 0; i < count && !u.failed; i++) {
        struct acl_entry e;
        entry_decode(&u, &e);
        if (!u.failed && (e.permissions & permissions) != 0 && entry_matches(&e, identities)) {
            return true;
        }
    }
    return is_super(identities);
}
