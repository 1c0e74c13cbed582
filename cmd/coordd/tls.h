/* TLS of the daemon: what the settings ask for, on the client port and on the peer port, and the
 * certificates' life.
 *
 * The files are read at the start, on SIGHUP, and when they have changed, which is looked for every
 * TLS_LOOK_MS; a change is given TLS_SETTLE_MS to become whole, since certificate and key are two
 * files. What cannot be used is told (log, coord_tls_reloads_total) and changes nothing. Without
 * TLS there is nothing of all this: the ports use the env itself. */
#ifndef COORDD_TLS_H
#define COORDD_TLS_H

#include "base/tls_net.h"
#include "cmd/coordd/config.h"

#define TLS_LOOK_MS        3000
#define TLS_SETTLE_MS      500
#define TLS_EXPIRY_WARN_MS ((uint64_t)14 * 24 * 60 * 60 * 1000) /* before the end */
#define TLS_EXPIRY_TOLD_MS ((uint64_t)24 * 60 * 60 * 1000)      /* once in this time */

/* One port. */
struct tls_port {
    const char *use;             /* "client", "peer" */
    struct tls_context *context; /* NULL: no TLS here */
    struct tls_net *net;
    bool has_changed; /* a file, when it was looked at last */
    bool was_told;    /* that it expires */
    uint64_t told_ms;
    struct metric *expiry;
    struct metric *reloads;
    struct metric *failures;
};

struct tls_ports {
    struct env *env;
    struct log *log;
    struct tls_port client;
    struct tls_port peer;
    uint64_t look_at_ms;
};

/* Reads the files. RC_INVALID: one line that says which is not right. To be closed in any case. */
enum status tls_ports_open(struct tls_ports *t, const struct config *config, struct env *env,
                           struct log *log, struct metrics *metrics,
                           struct errmsg *err) MUST_USE;
/* After server and node. */
void tls_ports_close(struct tls_ports *t);

/* For server_open and node_open. */
struct env *tls_ports_client_env(const struct tls_ports *t);
struct env *tls_ports_peer_env(const struct tls_ports *t);

void tls_ports_turn(struct tls_ports *t);
uint64_t tls_ports_next_deadline_ms(const struct tls_ports *t);
/* Reads the files again, whether they have changed or not. */
void tls_ports_reload(struct tls_ports *t);

#endif
