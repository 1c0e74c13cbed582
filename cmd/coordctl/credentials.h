/* Who asks: see credentials.c. */
#ifndef CMD_COORDCTL_CREDENTIALS_H
#define CMD_COORDCTL_CREDENTIALS_H

#include "cmd/coordctl/ctl.h"

/* Fills ctl->options from --user or --token-file. EXIT_DONE, or reports and returns the code. */
int credentials_take(struct ctl *ctl);
void credentials_wipe(struct ctl *ctl);
/* A password to be set: `word` of the command line, "-" = a line of standard input, NULL = asked
 * for twice on a terminal, else a line of standard input. */
int credentials_new_password(struct ctl *ctl, const char *word, char *line, size_t bytes);

#endif
