/* What the servers used while something was measured: of coord's members as they say themselves,
 * or of processes on this machine. */
#ifndef CMD_COORDCTL_BENCH_H
#define CMD_COORDCTL_BENCH_H

#include "cmd/coordctl/ctl.h"

#define BENCH_SERVERS_MAX 16

struct bench_servers {
    bool is_known;
    size_t count;
    char names[BENCH_SERVERS_MAX][64];
    double cpu_s[BENCH_SERVERS_MAX]; /* since each began */
    uint64_t rss_bytes[BENCH_SERVERS_MAX];
};

/* Asks; not known if one does not say it. Prints nothing. */
void bench_servers_ask(struct bench_servers *s, struct ctl *ctl);

#endif
