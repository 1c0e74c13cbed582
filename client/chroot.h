/* A client that sees one subtree as its whole tree: paths of nodes get its root in front on their
 * way to the server, and lose it on the way back. Found by reflection: in the contract each field
 * `path` or `paths` is a node's, but for that of a ServiceCheck. Cursors of pages are whole paths
 * both ways. */
#ifndef CLIENT_CHROOT_H
#define CLIENT_CHROOT_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* A copy with the root in front of each path that is not empty; free with client_reply_free. NULL:
 * no memory. */
ProtobufCMessage *chroot_request(const char *root, const ProtobufCMessage *request);
/* Takes the root away, in place. What lies outside of it stays as it is. */
void chroot_reply(const char *root, ProtobufCMessage *reply);

/* NULL: it can be one. Else why not: "/" alone is no root, nor what ends in "/". */
const char *chroot_refusal(const char *root);

#endif
