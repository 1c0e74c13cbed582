/* Puts the parts together: loop, env, node, server, fronts. */
#ifndef COORDD_WIRE_H
#define COORDD_WIRE_H

#include "cmd/coordd/config.h"

/* Runs a node until it is told to stop or has to. `program` is argv[0], to name coordctl beside it.
 * Returns the exit code. */
int wire_run(const struct config *config, const char *program);

#endif
