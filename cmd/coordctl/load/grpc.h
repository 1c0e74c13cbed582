/* gRPC for the load generator: frames and header blocks by hand, so that the generator takes little
 * of the machine that it shares with the servers. What the calls say is a `struct load_rpcs`:
 * coord's (load/rpcs_coord.c) or etcd's (load/rpcs_etcd.c). */
#ifndef CMD_COORDCTL_LOAD_GRPC_H
#define CMD_COORDCTL_LOAD_GRPC_H

#include "cmd/coordctl/load/engine.h"

struct load_rpcs {
    const char *paths[LOAD_OPS]; /* NULL: there is no such call */
    /* Appends the message; a stream's may be several, framed. */
    void (*write)(const struct load_slot *s, struct buf *out);
    /* Whether replies of this operation are looked at, by `read`. */
    bool (*reads)(const struct load_slot *s);
    void (*read)(struct load_slot *s, struct slice message);
};

extern const struct load_rpcs load_rpcs_coord;
extern const struct load_rpcs load_rpcs_etcd;

#endif
