/* The table of commands, and the help that is made from it. */
#include <stdio.h>
#include <string.h>

#include "cmd/coordctl/ctl.h"

#define DATA_HELP                                                              \
    "DATA is the argument itself, - for standard input, @FILE for a file's\n"  \
    "content. Data that begins with - and is no number goes behind --, data\n" \
    "that begins with @ through standard input.\n"

static const struct command commands[] = {
    {"create", ctl_create, 1, 2, "sequential parents",
     "create PATH [DATA] [--sequential] [--parents]", "make a node, print its path",
     DATA_HELP "Without DATA the value is empty.\n"
               "  coordctl create /app/config '{\"debug\":false}' --parents\n"
               "  coordctl create /queue/job- @job.json --sequential\n"},
    {"get", ctl_get, 1, 1, "", "get PATH", "print a node's value",
     "Prints exactly the value's bytes, and on a terminal, without -o raw, a newline.\n"
     "  coordctl get /app/config >config.json\n"},
    {"set", ctl_set, 2, 2, "version", "set PATH DATA [--version N]", "replace a node's value",
     DATA_HELP "  coordctl set /app/config @config.json --version 3\n"
               "  coordctl set /app/offset -5\n"
               "  coordctl set /app/flags -- --verbose\n"},
    {"rm", ctl_rm, 1, 1, "recursive version dry-run",
     "rm PATH [--recursive [--dry-run]] [--version N]", "delete a node",
     "With --recursive all that is below it too, atomically, and says how many that were.\n"
     "  coordctl rm /app --recursive --dry-run\n"},
    {"ls", ctl_ls, 0, 1, "long recursive", "ls [PATH] [-l] [--recursive]", "list children",
     "  coordctl ls /app -l\n"},
    {"tree", ctl_tree, 0, 1, "", "tree [PATH]", "draw all that is below a node", ""},
    {"stat", ctl_stat, 1, 1, "", "stat PATH", "print all that is known about a node", ""},
    {"txn", ctl_txn, 0, 0, "file", "txn -f FILE", "run a transaction written in JSON",
     "FILE may be - for standard input. All guards of \"if\" hold: \"then\" is done, else\n"
     "\"else\"; all of it or nothing. Guards that do not hold are exit code 4, unless there\n"
     "is an \"else\".\n"
     "  {\"if\":   [{\"path\": \"/a\", \"version\": 3}],\n"
     "   \"then\": [{\"set\": \"/a\", \"data\": \"x\"}, {\"create\": \"/b\"}],\n"
     "   \"else\": [{\"get\": \"/a\"}]}\n"},
    {"sync", ctl_sync, 0, 0, "", "sync", "wait until the member spoken to is up to date", ""},
    {"status", ctl_status, 0, 0, "", "status", "show the members and how they fare",
     "The view of the first endpoint that answers; works without a quorum.\n"
     "  coordctl status -o json\n"},
};

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

void command_help_all(void)
{
    puts("usage: coordctl [OPTIONS] COMMAND ...\n\nCommands:");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        printf("  %-49s %s\n", commands[i].usage, commands[i].help);
    }
    puts("  help [COMMAND], COMMAND --help                    explain\n\n"
         "Options, before or behind the command:");
    options_help(NULL);
    puts("\n" DATA_HELP
         "\nExit codes: 0 ok, 1 general, 2 usage, 3 not found, 4 version conflict, "
         "5 exists,\n6 timeout, 7 no quorum or unreachable.");
}

void command_help(const struct command *c)
{
    printf("usage: coordctl %s\n\n%s\n", c->usage, c->help);
    if (c->details[0] != '\0') {
        printf("\n%s", c->details);
    }
    if (c->options[0] != '\0') {
        puts("\nOptions:");
        options_help(c->options);
    }
    puts("\nOptions of all commands:");
    options_help(NULL);
}
