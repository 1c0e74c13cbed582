/* A program that is run for an event, which it finds in its environment. */
#ifndef CMD_COORDCTL_PROGRAM_H
#define CMD_COORDCTL_PROGRAM_H

#include "cmd/coordctl/ctl.h"
#include "cmd/coordctl/signals.h"

/* Into our environment, for what we start: where we ask, and what paths are below, so that a
 * coordctl inside finds the same nodes. */
void program_say_where(const struct ctl *ctl);
/* Whether our environment speaks of another place: a coordctl around us asks elsewhere. */
bool program_is_elsewhere(const struct ctl *ctl);

/* Runs ctl->program and waits for its end: its exit code, 128 + the signal that ended it, or
 * -1 if it cannot be run, which has been reported. A signal that asks us to end is handed on
 * to it, and is in `number` afterwards. */
int program_run(const struct ctl *ctl, const struct coord_event *e, struct signals *signals,
                int *number);

#endif
