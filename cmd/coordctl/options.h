/* The table of options (option_table.c), for the parser and the help (options.c).
 *
 * To add one: a field in struct ctl, a row in the table, its name in the row of each command
 * that takes it (command.c), and in docs/coordctl.md. */
#ifndef CMD_COORDCTL_OPTIONS_H
#define CMD_COORDCTL_OPTIONS_H

#include "cmd/coordctl/ctl.h"

struct option {
    const char *name;
    char letter;             /* 0: none */
    const char *value;       /* what it is called; NULL: takes none */
    const char *environment; /* may be NULL */
    const char *help;
    const char *expected; /* completes "--timeout \"x\" is not ..." */
    const char *choices;  /* for the shell: what the value may be; "file" of all files; or NULL */
    bool (*take)(struct ctl *ctl, const char *value); /* of one with a value */
    size_t flag;    /* of one without: the bool in struct ctl that it sets */
    bool is_common; /* all commands take it */
};

#define OPTIONS_MAX 128
extern const struct option options[];
extern const size_t option_count;

/* NULL if there is none. */
const struct option *option_find_long(const char *name, size_t size);
const struct option *option_find_letter(char letter);
/* Whether a command takes it. */
bool option_is_of(const struct option *o, const struct command *c);

#endif
