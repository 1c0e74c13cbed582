/* A program that is run for an event, which it finds in its environment. */
#ifndef CMD_COORDCTL_PROGRAM_H
#define CMD_COORDCTL_PROGRAM_H

#include "cmd/coordctl/ctl.h"
#include "cmd/coordctl/signals.h"

/* Runs ctl->program and waits for its end: its exit code, 128 + the signal that ended it, or
 * -1 if it cannot be run, which has been reported. A signal that asks us to end is handed on
 * to it, and is in `number` afterwards. */
int program_run(const struct ctl *ctl, const struct coord_event *e, struct signals *signals,
                int *number);

#endif
