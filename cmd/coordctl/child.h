/* A program that is run while something is held: its process group, signals, its end.
 *
 * It has a process group of its own, and the terminal, if we have it: so that what is typed
 * there reaches it alone, and that it can be ended with all that it has begun. When it is
 * suspended at the terminal, we are; when we go on it is ours to say whether it does. */
#ifndef CMD_COORDCTL_CHILD_H
#define CMD_COORDCTL_CHILD_H

#include <sys/types.h>

#include "cmd/coordctl/ctl.h"
#include "cmd/coordctl/signals.h"

struct child {
    pid_t pid;    /* and process group; 0: none */
    int terminal; /* -1: none that we have */
    pid_t our_group;
    bool is_suspended; /* as we were: child_go_on or child_end is wanted */
    bool is_ending;
    uint64_t kill_ms; /* monotonic: when it is killed */
};

/* Starts ctl->program with our environment. EXIT_DONE, or reports why not and returns the exit
 * code: 127 if there is no such program, 126 if it cannot be run. */
int child_start(struct child *c, const struct ctl *ctl, const struct signals *signals);
/* Looks at what became of it, after SIGCHLD. True: it has ended, with the exit code that is
 * to be handed on, 128 and the number if by a signal. */
bool child_has_ended(struct child *c, int *exit_code);
/* To all of its group. */
void child_signal(const struct child *c, int number);
/* The terminal is the program's, if it is ours: after Ctrl-Z, and bg, it is the shell's, until
 * fg and the SIGCONT of that. */
void child_foreground(const struct child *c);
/* After it was suspended: it has the terminal again, if we have, and runs. */
void child_go_on(struct child *c);
/* Ends it: SIGTERM, and SIGKILL after `grace_ms`, which child_tick sends. 0: SIGKILL at once, so
 * that one that is stopped does not run again. */
void child_end(struct child *c, uint64_t grace_ms);
/* In how long child_tick has something to do; UINT64_MAX: never. */
uint64_t child_wait_ms(const struct child *c);
void child_tick(struct child *c);

#endif
