/* Whom what comes from an address is counted for, where clients are limited. */
#ifndef NET_SOURCE_H
#define NET_SOURCE_H

#include "base/slice.h"

#define SOURCE_BYTES 64

/* The address of a peer: "192.0.2.7:51434", "[2001:db8::1%eth0]:51434", or either without its port.
 * Points into `peer`. */
struct slice source_address(const char *peer);

/* Of a peer as front_env names it: "192.0.2.7" of "192.0.2.7:51434", also of its form in IPv6; of
 * "[2001:db8::7]:51434" the network, "2001:db8::/64", since who has one address of a network has
 * all of them. Anything else is its own source, cut to fit. */
void source_of(char out[SOURCE_BYTES], const char *peer);

#endif
