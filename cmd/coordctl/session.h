/* Sessions for the commands that write in one. */
#ifndef CMD_COORDCTL_SESSION_H
#define CMD_COORDCTL_SESSION_H

#include "cmd/coordctl/ctl.h"
#include "cmd/coordctl/signals.h"

/* Attaches to the session of --session or COORD_SESSION, if there is one. Reports what goes
 * wrong and returns its exit code. */
int session_attach(struct ctl *ctl);

typedef int (*session_create_fn)(struct ctl *ctl);
/* Opens a session, calls `create`, keeps the session alive until a signal asks to end, and
 * closes it. Returns the exit code: also when the session is lost. If there is a program, `create`
 * has run it, with the signals in ctl->signals, and kept the session alive meanwhile. */
int session_foreground(struct ctl *ctl, session_create_fn create);

/* Keeps the client's session alive until a signal comes (EXIT_DONE, `number`) or it is lost. */
int session_hold(struct ctl *ctl, struct signals *signals, int *number);

#endif
