/* Access control lists, and who is asking: their bytes, whether they are valid, whether they let
 * somebody do something. ZooKeeper's model: a node has its own list, nothing is inherited.
 *
 *   list        u32 count | count times: u32 permissions | bytes scheme | bytes id
 *   identities  any number of: bytes scheme | bytes id
 *
 * Schemes of lists:
 *
 *   world   id "anyone", and no other: everybody
 *   digest  "name:base64(sha1(name:password))": one colon
 *   ip      an address, or "address/bits" for all that begin with these bits; IPv4 and IPv6
 *   x509    the subject of a client's certificate
 *   sasl    an authorization id
 *   user    the name of a user (store/auth.h)
 *
 * An identity matches an entry of its own scheme with an equal id (ip: by prefix); one of scheme
 * "super" passes every check. ZooKeeper's scheme "auth" is replaced by front ends with what it
 * stands for before a command is made. Pure. */
#ifndef STORE_ACL_H
#define STORE_ACL_H

#include "base/arena.h"
#include "base/pack.h"
#include "base/status.h"
#include "store/types.h"

/* Of a list as encoded. */
#define ACL_ENTRIES_MAX ((size_t)256)
#define ACL_BYTES_MAX   ((size_t)64 << 10)

/* Of one caller; the bytes are bounded by COMMAND_IDENTITIES_BYTES_MAX. */
#define IDENTITIES_MAX ((size_t)64)

/* The scheme of what is no identity by itself: which generation of the ("user", name) before it the
 * client's proof is of, in decimal (store/auth.h). Never shown, and in no list. */
#define IDENTITY_PROOF "proof"

enum acl_permission {
    ACL_READ = 1,
    ACL_WRITE = 2,
    ACL_CREATE = 4, /* of children */
    ACL_DELETE = 8, /* of children */
    ACL_ADMIN = 16, /* replaces the list */
    ACL_ALL = 31,
};

struct acl_entry {
    uint32_t permissions; /* enum acl_permission, any of them or none */
    struct slice scheme;
    struct slice id;
};

/* Appends a list, without entries that came before. */
void acl_encode(struct buf *out, const struct acl_entry *entries, size_t count);
/* Slices point into the input, the array is in `arena`. RC_MALFORMED unless the bytes are one whole
 * list of at most ACL_ENTRIES_MAX entries. */
enum status acl_decode(struct slice encoded, struct acl_entry **entries, size_t *count,
                       struct arena *arena) MUST_USE;

/* Whether a node may have this list: as acl_encode makes it, not empty, every entry valid. OK or
 * OUTCOME_INVALID_ACL; `err` (may be NULL) names the entry and what is wrong. */
enum outcome acl_check(struct slice encoded, struct errmsg *err);

/* The list of a node that is open to the world: everybody may do everything. */
void acl_encode_open(struct buf *out);
bool acl_is_open(struct slice encoded);

/* Whether a valid list lets one of these identities do it; of several permissions any is enough.
 * Malformed identities may nothing that the world may not. */
bool acl_allows(struct slice encoded, uint32_t permissions, struct slice identities);

/* Appends one identity. */
void identity_encode(struct buf *out, struct slice scheme, struct slice id);
/* OUTCOME_OK, or OUTCOME_BAD_ARGUMENTS: malformed, or more than IDENTITIES_MAX. */
enum outcome identities_check(struct slice identities, struct errmsg *err);

#endif
