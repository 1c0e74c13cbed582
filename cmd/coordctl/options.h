/* The table of options (option_table.c), for the parser and the help (options.c).
 *
 * Each has a variable of the environment, COORD_ and its name in capitals, that stands for it.
 *
 * To add one: a field in struct ctl, a row in the table, its name in the row of each command
 * that takes it (command.c), and in docs/coordctl.md. */
#ifndef CMD_COORDCTL_OPTIONS_H
#define CMD_COORDCTL_OPTIONS_H

#include "cmd/coordctl/ctl.h"

enum option_form {
    OPTION_FLAG = 0, /* takes no value, sets a bool */
    OPTION_TEXT,     /* that is not empty */
    OPTION_ANY_TEXT,
    OPTION_NUMBER, /* from 1 to `max` */
    OPTION_TIME,   /* from 1 ms to `max` ms */
    OPTION_OTHER,  /* `take` knows */
};

struct option {
    const char *name;
    char letter;             /* 0: none */
    const char *value;       /* what it is called; NULL: takes none */
    const char *environment; /* of a name that does not follow from its own; else NULL */
    const char *help;
    const char *expected; /* completes "--timeout \"x\" is not ..." */
    const char *choices;  /* for the shell: what the value may be; "file" of all files; or NULL */
    bool is_common;      /* all commands take it */
    enum option_form form;
    size_t field; /* where it goes in struct ctl: a bool, a const char *, a uint64_t, by its form */
    uint64_t max;
    bool (*take)(struct ctl *ctl, const char *value); /* of OPTION_OTHER (option_values.h) */
};

extern const struct option options[];
extern const size_t option_count;

/* NULL if there is none. */
const struct option *option_find_long(const char *name, size_t size);
const struct option *option_find_letter(char letter);
/* False: it expects something else. Of a flag `value` does not matter: it is set. */
bool option_take(struct ctl *ctl, const struct option *o, const char *value);
/* Whether a command takes it. */
bool option_is_of(const struct option *o, const struct command *c);

#endif
