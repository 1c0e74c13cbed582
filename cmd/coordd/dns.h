/* The DNS port: questions by UDP and TCP, answered from this member's state (net/dns/answer.h).
 *
 * Every answer is at most so old as the bound says, by what was last proved (READ_BOUNDED): a
 * member that is cut off answers SERVFAIL, and resolvers ask another one. A source that asks too
 * much by UDP is sent to TCP, whose connections are few. */
#ifndef COORDD_DNS_H
#define COORDD_DNS_H

#include "base/env.h"
#include "base/log.h"
#include "base/metrics.h"

struct dns;
struct node;
struct uv_loop_s;

struct dns_options {
    struct uv_loop_s *loop;
    struct env *env;
    struct node *node;
    struct log *log;
    struct metrics *metrics;
    const char *host;
    uint16_t port; /* of UDP and TCP */
    uint32_t ttl_s;
    uint64_t bound_ms;
};

/* Listens; if it cannot, `err` says where and why. */
enum status dns_open(const struct dns_options *options, struct dns **out, struct errmsg *err);
/* Once per loop turn: cuts off connections that are silent. NULL is fine, in all of these. */
void dns_turn(struct dns *d, uint64_t now_ms);
uint64_t dns_next_deadline_ms(const struct dns *d);
/* Before the node and the loop are closed. */
void dns_free(struct dns *d);

#endif
