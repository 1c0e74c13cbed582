/* Answers to questions of the DNS about services: packet in, packet out, from one store. No I/O.
 *
 *   SERVICE.service.coord.      A, AAAA: addresses. SRV: weight, port and the name of an address.
 *                               TXT: "id=...", then zone, weight, tags and metadata, one record for
 *                               each instance
 *   TAG.SERVICE.service.coord.  the same of those that have the tag
 *   10-0-0-7.ip.coord.          A or AAAA: the address in the name, with '-' for '.' and ':'
 *
 * Instances that drain or are down are left out as long as there are others, and those that are
 * suspected to be down as long as there are better ones. Addresses that are host names have SRV
 * and TXT records only, and those that are no names of the DNS TXT records. What a caller may
 * not read, by the roles of who proves nothing, is refused. Anything else below coord. does not
 * exist, and what is not below it is refused.
 *
 * What does not fit a datagram, or takes a look at too many instances to know, is asked for again
 * by TCP: such an answer has nothing but TC, and is made as soon as that is clear. */
#ifndef NET_DNS_ANSWER_H
#define NET_DNS_ANSWER_H

#include "base/buf.h"

struct store;

#define DNS_UDP_BYTES_MIN  ((size_t)512)
#define DNS_UDP_BYTES_MAX  ((size_t)1232) /* fits any path without fragments */
#define DNS_TCP_BYTES_MAX  ((size_t)65535)
#define DNS_INSTANCES_MAX  ((size_t)1000) /* of one answer, and twice as many are looked at; but */
#define DNS_UDP_LOOKED_MAX ((size_t)500)  /* for a datagram no more than these */
#define DNS_TTL_S_MAX      5

enum dns_code {
    DNS_OK = 0,
    DNS_FORMAT = 1,
    DNS_FAILURE = 2,
    DNS_NO_NAME = 3,
    DNS_NOT_IMPLEMENTED = 4,
    DNS_REFUSED = 5,
};

struct dns_asked {
    struct slice packet;
    bool by_tcp;
    bool is_over; /* by UDP: its source asks too much, it is sent to TCP without a look */
    uint32_t ttl_s;
    uint32_t turn; /* where the list begins, so that clients spread */
};

/* False: to be dropped, as it is no question at all. Else `reply` is appended to. */
bool dns_answer(const struct store *s, const struct dns_asked *asked, struct buf *reply);
/* The same with an error, for a question that cannot be answered now. */
bool dns_fail(struct slice packet, enum dns_code code, struct buf *reply);

#endif
