/* The tables of commands, one for each topic: what coordctl parses, explains, completes and runs. A
 * new command is a row of one of them, and its options are rows of option_table.c. */
#ifndef CMD_COORDCTL_COMMANDS_GROUPS_H
#define CMD_COORDCTL_COMMANDS_GROUPS_H

#include "cmd/coordctl/ctl.h"

/* What DATA may be, in the help of all that take some. */
#define DATA_HELP                                                              \
    "DATA is the argument itself, - for standard input, @FILE for a file's\n"  \
    "content. Data that begins with - and is no number goes behind --, data\n" \
    "that begins with @ through standard input.\n"

struct command_group {
    const struct command *commands;
    size_t count;
};

extern const struct command_group commands_nodes;
extern const struct command_group commands_services;
extern const struct command_group commands_config;
extern const struct command_group commands_recipes;
extern const struct command_group commands_access;
extern const struct command_group commands_cluster;
extern const struct command_group commands_bench;

#endif
