/* Guests at the client port: a node that wants to join the cluster may ask there too, in the words
 * of the peer protocol (raft/message.h), so that any address of any member will do. It says HELLO,
 * asks, and is answered as at the peer port; what is answered is for raft/node_member.c to say.
 *
 * Over TLS its certificate must carry the name that it says, as at the peer port. So where clients
 * are not asked for certificates nobody can join through the client port. */
#ifndef NET_GUEST_H
#define NET_GUEST_H

#include "net/front.h"

extern const struct front guest_front;

#endif
