/* Files of this machine that the shell needs: its history, and names to complete. */
#ifndef CMD_COORDCTL_SHELL_FILES_H
#define CMD_COORDCTL_SHELL_FILES_H

#include "cmd/coordctl/shell/offers.h"

/* Where the history is kept, with the folders made: coord/history below $XDG_STATE_HOME, by default
 * ~/.local/state. The caller's (mem_free); NULL: there is no such place. */
char *files_history(void);

/* Files whose name begins like this; folders with a slash. */
void files_offer(const char *begin, struct offers *offers);

#endif
