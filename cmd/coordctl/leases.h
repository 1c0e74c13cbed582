/* What lease and session commands print alike. */
#ifndef CMD_COORDCTL_LEASES_H
#define CMD_COORDCTL_LEASES_H

#include "cmd/coordctl/ctl.h"

/* Lists sessions, or leases that are none. */
int leases_list(struct ctl *ctl, bool sessions);
/* "2 nodes removed" */
void leases_print_removed(const struct ctl *ctl, uint64_t removed);

#endif
