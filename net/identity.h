/* Who a client is, for all protocols alike: the identities that a front end puts into commands and
 * queries (store/acl.h), from the connection's address and from what the client can prove.
 *
 * Whoever says a name and a password is the digest of both: anybody may invent them, and it is the
 * lists that say which digests count. */
#ifndef NET_IDENTITY_H
#define NET_IDENTITY_H

#include "base/tls.h"
#include "store/acl.h"
#include "store/auth.h"

/* All of these append to identities, and leave out what is there already. False, and nothing was
 * appended: there would be more than IDENTITIES_MAX, or more bytes than a command may carry. */

/* ("ip", address) of a peer "192.0.2.7:51434" or "[2001:db8::1]:51434"; the port may be missing. An
 * IPv4 address that the system shows as an IPv6 one is an IPv4 address. */
bool identity_add_ip(struct buf *identities, const char *peer);

/* ("digest", "name:base64(sha1(name:password))"). Any bytes do, as in ZooKeeper; what comes before
 * the first colon is the name. */
bool identity_add_digest(struct buf *identities, struct slice name_and_password);

/* ("user", name) of one who has proved to be this user (store/auth.h), and of which generation of
 * him the proof is: it is void from the next one on, on all members at the same place in the log,
 * however little the member knew that took it. 0: it is of all of them, as certificates are. Whom
 * he had proved to be before, he is no more. */
bool identity_add_user(struct buf *identities, struct slice name, uint64_t generation);
/* Whether an identity is of those that are shown. */
bool identity_is_shown(struct slice scheme);

/* ("x509", subject) of the verified certificate that the client of a connection has shown:
 * "CN=ann,O=ops", as of RFC 2253 and as ZooKeeper shows it. Nothing without one; `tls` may be
 * NULL. */
bool identity_add_tls(struct buf *identities, const struct tls_peer *tls);

/* The user that a verified certificate names, by its common name or one of its DNS names; NULL:
 * none, or he is disabled. `tls` may be NULL. */
const struct auth_user *identity_certified_user(const struct auth *auth,
                                                const struct tls_peer *tls);

/* ("super", "") if one of the digests is this one, which the configuration names; NULL, "": nobody
 * is. */
bool identity_add_super(struct buf *identities, const char *super_digest);

/* Whether text can be the digest of somebody: "name:hash", with one colon. */
bool identity_digest_is_valid(struct slice text);

/* Appends the list that a client wants a node to have, as acl_encode does; entries of scheme "auth"
 * mean all that the client has proved to be, which its address is not. Of more than ACL_ENTRIES_MAX
 * entries (`entries` is not looked at then), or where nothing is proved, it comes out such that
 * acl_check refuses it and says why. */
void identity_acl_encode(struct buf *out, const struct acl_entry *entries, size_t count,
                         struct slice identities);

/* The id of an entry as it is shown to who may not administer the node: of a digest "name:x". The
 * bytes are the entry's, or in the arena. */
struct slice identity_shown(const struct acl_entry *entry, struct arena *arena);

#endif
