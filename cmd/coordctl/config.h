/* What the files of `config` share. */
#ifndef CMD_COORDCTL_CONFIG_H
#define CMD_COORDCTL_CONFIG_H

#include "cmd/coordctl/ctl.h"
#include "coord/v1/config.pb-c.h"

/* A line each, or a JSON array, which is empty if there is none. `as_history`: with revision, who,
 * when and why. */
void config_print_changes(const struct ctl *ctl, Coord__V1__ConfigChange *const *changes,
                          size_t count, bool as_history);
/* The second word, or the one at `index`, as a revision; 0 and a message: it is none. */
uint64_t config_revision(const struct ctl *ctl, size_t index);

/* config_rollout.c: `config watch KEY --effective INSTANCE`. */
int config_watch_effective(struct ctl *ctl);

#endif
