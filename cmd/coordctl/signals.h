/* Signals that ask to end, taken when there is time for them instead of when they come: what is
 * under way (a session, a child) is ended in order. No handlers, no globals. */
#ifndef CMD_COORDCTL_SIGNALS_H
#define CMD_COORDCTL_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct signals {
    int fd;
    sigset_t before; /* the mask that children are to get */
};

/* From here on SIGINT, SIGTERM and SIGHUP wait to be taken, but for those that we were started with
 * to ignore. False: errno says why not. */
bool signals_open(struct signals *s);
/* The same, and SIGQUIT, SIGUSR1 and SIGUSR2: all that are handed on to a program; and SIGCONT,
 * which a shell sends with the terminal. */
bool signals_open_all(struct signals *s);
void signals_close(struct signals *s);

/* The number of a signal that came, or 0. */
int signals_take(struct signals *s);
/* Waits for a signal, for `fd` (-1: none) to be readable, for a child to end, or the time to
 * pass. The number of a signal, else 0. */
int signals_wait(struct signals *s, int fd, uint64_t timeout_ms);

#endif
