/* coordctl: coord's command line. Parses, connects, runs one command of the table. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "cmd/coordctl/ctl.h"

struct command {
    const char *name;
    ctl_command_fn run;
    size_t words_min;
    size_t words_max;
    const char *flags; /* long names it takes, separated by spaces */
    const char *usage;
    const char *help;
};

static const struct command commands[] = {
    {"create", ctl_create, 1, 2, "sequential parents", "create PATH [DATA] [--sequential] [--parents]",
     "make a node, print its path"},
    {"get", ctl_get, 1, 1, "", "get PATH", "print a node's value"},
    {"set", ctl_set, 2, 2, "version", "set PATH DATA [--version N]", "replace a node's value"},
    {"rm", ctl_rm, 1, 1, "recursive version dry-run",
     "rm PATH [--recursive [--dry-run]] [--version N]", "delete a node"},
    {"ls", ctl_ls, 0, 1, "long recursive", "ls [PATH] [-l] [--recursive]", "list children"},
    {"tree", ctl_tree, 0, 1, "", "tree [PATH]", "draw everything below a node"},
    {"stat", ctl_stat, 1, 1, "", "stat PATH", "print all there is to know about a node"},
    {"txn", ctl_txn, 0, 0, "file", "txn -f FILE", "run a transaction written in JSON (- = stdin)"},
    {"sync", ctl_sync, 0, 0, "", "sync", "wait until the node spoken to is up to date"},
    {"status", ctl_status, 0, 0, "", "status", "show every member and how it fares"},
};

enum option_code {
    OPT_ENDPOINTS = 256,
    OPT_TIMEOUT,
    OPT_CONSISTENCY,
    OPT_NOTE,
    OPT_SEQUENTIAL,
    OPT_PARENTS,
    OPT_DRY_RUN,
    OPT_VERSION,
    OPT_HELP,
    OPT_PROGRAM_VERSION,
};

/* `--version` alone is the program's; behind `set` and `rm` it takes the expected version. */
static const struct option long_options[] = {
    {"endpoints", required_argument, NULL, OPT_ENDPOINTS},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"consistency", required_argument, NULL, OPT_CONSISTENCY},
    {"note", required_argument, NULL, OPT_NOTE},
    {"output", required_argument, NULL, 'o'},
    {"sequential", no_argument, NULL, OPT_SEQUENTIAL},
    {"parents", no_argument, NULL, OPT_PARENTS},
    {"recursive", no_argument, NULL, 'r'},
    {"long", no_argument, NULL, 'l'},
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"file", required_argument, NULL, 'f'},
    {"version", required_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

struct settings {
    struct coord_options options;
    struct ctl ctl;
    const struct command *command;
    const char *given[16]; /* long names of command flags that were given */
    size_t given_count;
};

static void print_help(void)
{
    puts("usage: coordctl [OPTIONS] COMMAND ...\n\nCommands:");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        printf("  %-58s %s\n", commands[i].usage, commands[i].help);
    }
    puts("\nOptions, before or behind the command:\n"
         "  --endpoints HOST:PORT,...  members to talk to (COORD_ENDPOINTS; default "
         "127.0.0.1:7400)\n"
         "  --timeout SECONDS          of the whole call, default 5; 500ms, 2s, 1m are fine\n"
         "  --consistency C            linearizable (default), session, local, bounded:MS\n"
         "  --note TEXT                why; kept in the history of what is written\n"
         "  -o, --output FORMAT        table (default), json, raw\n"
         "  --help, --version\n\n"
         "DATA is the argument itself, - for standard input, @FILE for a file's content.\n"
         "Exit codes: 0 ok, 1 general, 2 usage, 3 not found, 4 version conflict, 5 exists,\n"
         "6 timeout, 7 no quorum or unreachable.");
}

static bool parse_timeout(const char *text, uint32_t *out_ms)
{
    char *end;
    double value = strtod(text, &end);
    double unit = 1000;
    if (strcmp(end, "ms") == 0) {
        unit = 1;
    } else if (strcmp(end, "m") == 0) {
        unit = 60000;
    } else if (strcmp(end, "s") != 0 && *end != '\0') {
        return false;
    }
    double ms = value * unit;
    if (end == text || !(ms >= 1) || ms > 86400000) {
        return false;
    }
    *out_ms = (uint32_t)ms;
    return true;
}

static bool parse_consistency(const char *text, struct coord_options *o)
{
    if (strncmp(text, "bounded:", 8) == 0) {
        char *end;
        unsigned long long ms = strtoull(text + 8, &end, 10);
        o->consistency = COORD_BOUNDED;
        o->bound_ms = ms;
        return end != text + 8 && *end == '\0';
    }
    static const char *const names[] = {
        [COORD_LINEARIZABLE] = "linearizable", [COORD_SESSION] = "session", [COORD_LOCAL] = "local"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i] != NULL && strcmp(names[i], text) == 0) {
            o->consistency = (enum coord_consistency)i;
            return true;
        }
    }
    return false;
}

static bool parse_output(const char *text, enum ctl_output *out)
{
    static const char *const names[] = {
        [OUTPUT_TABLE] = "table", [OUTPUT_JSON] = "json", [OUTPUT_RAW] = "raw"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], text) == 0) {
            *out = (enum ctl_output)i;
            return true;
        }
    }
    return false;
}

static bool parse_version(const char *text, long long *out)
{
    char *end;
    *out = strtoll(text, &end, 10);
    return end != text && *end == '\0' && *out >= -1 && *out < UINT32_MAX;
}

static void note_flag(struct settings *s, const char *name)
{
    if (s->given_count < sizeof s->given / sizeof s->given[0]) {
        s->given[s->given_count++] = name;
    }
}

/* One option; 0 = go on, else the exit code plus one. */
static int take_option(struct settings *s, int code)
{
    struct ctl *ctl = &s->ctl;
    switch (code) {
    case OPT_ENDPOINTS: s->options.endpoints = optarg; return 0;
    case OPT_NOTE: s->options.note = optarg; return 0;
    case OPT_TIMEOUT:
        return parse_timeout(optarg, &s->options.timeout_ms)
                   ? 0
                   : 1 + ctl_usage(ctl, "timeout \"%s\" is not a time such as 500ms, 2s, 1m", optarg);
    case OPT_CONSISTENCY:
        return parse_consistency(optarg, &s->options)
                   ? 0
                   : 1 + ctl_usage(ctl, "consistency \"%s\" is not linearizable, session, local or "
                                        "bounded:MS", optarg);
    case 'o':
        return parse_output(optarg, &ctl->output)
                   ? 0
                   : 1 + ctl_usage(ctl, "output \"%s\" is not table, json or raw", optarg);
    case OPT_VERSION:
        note_flag(s, "version");
        return parse_version(optarg, &ctl->version)
                   ? 0
                   : 1 + ctl_usage(ctl, "version \"%s\" is not a number from 0, or -1 for any",
                                   optarg);
    case OPT_SEQUENTIAL: ctl->sequential = true; note_flag(s, "sequential"); return 0;
    case OPT_PARENTS: ctl->parents = true; note_flag(s, "parents"); return 0;
    case OPT_DRY_RUN: ctl->dry_run = true; note_flag(s, "dry-run"); return 0;
    case 'r': ctl->recursive = true; note_flag(s, "recursive"); return 0;
    case 'l': ctl->long_format = true; note_flag(s, "long"); return 0;
    case 'f': ctl->file = optarg; note_flag(s, "file"); return 0;
    case OPT_HELP: print_help(); return 1 + EXIT_DONE;
    default: return 1 + ctl_usage(ctl, "see coordctl --help");
    }
}

static bool takes_flag(const struct command *c, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = c->flags; *at != '\0'; at += strspn(at, " ")) {
        size_t word = strcspn(at, " ");
        if (word == size && memcmp(at, name, size) == 0) {
            return true;
        }
        at += word;
    }
    return false;
}

static int check_command(struct settings *s)
{
    const struct command *c = s->command;
    for (size_t i = 0; i < s->given_count; i++) {
        if (!takes_flag(c, s->given[i])) {
            return ctl_usage(&s->ctl, "%s does not take --%s; usage: coordctl %s", c->name,
                             s->given[i], c->usage);
        }
    }
    if (s->ctl.word_count < c->words_min || s->ctl.word_count > c->words_max) {
        return ctl_usage(&s->ctl, "usage: coordctl %s", c->usage);
    }
    return EXIT_DONE;
}

static int find_command(struct settings *s, const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            s->command = &commands[i];
            return EXIT_DONE;
        }
    }
    return ctl_usage(&s->ctl, "unknown command \"%s\", see coordctl --help", name);
}

static int parse(struct settings *s, int argc, char **argv)
{
    int code;
    while ((code = getopt_long(argc, argv, "-o:rlf:", long_options, NULL)) != -1) {
        int rv = 0;
        if (code != 1) {
            rv = take_option(s, code);
        } else if (s->command == NULL) {
            rv = find_command(s, optarg) == EXIT_DONE ? 0 : 1 + EXIT_USAGE;
        } else if (s->ctl.word_count == CTL_WORDS_MAX) {
            rv = 1 + ctl_usage(&s->ctl, "too many words");
        } else {
            s->ctl.words[s->ctl.word_count++] = optarg;
        }
        if (rv != 0) {
            return rv;
        }
    }
    while (optind < argc && s->ctl.word_count < CTL_WORDS_MAX) { /* behind "--" */
        s->ctl.words[s->ctl.word_count++] = argv[optind++];
    }
    if (s->command == NULL) {
        return 1 + ctl_usage(&s->ctl, "a command is missing, see coordctl --help");
    }
    int exit_code = check_command(s);
    return exit_code == EXIT_DONE ? 0 : 1 + exit_code;
}

int main(int argc, char **argv)
{
    struct settings s = {.ctl = {.program = "coordctl", .version = COORD_ANY_VERSION}};
    (void)signal(SIGPIPE, SIG_DFL);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("coordctl %s\n", version_text());
        return EXIT_DONE;
    }
    s.options.endpoints = getenv("COORD_ENDPOINTS");
    if (s.options.endpoints != NULL && s.options.endpoints[0] == '\0') {
        s.options.endpoints = NULL;
    }
    int rv = parse(&s, argc, argv);
    if (rv != 0) {
        return rv - 1;
    }
    struct coord_error error;
    if (coord_open(&s.options, &s.ctl.client, &error) != COORD_OK) {
        return ctl_usage(&s.ctl, "%s", error.message);
    }
    int exit_code = s.command->run(&s.ctl);
    coord_close(s.ctl.client);
    if (fflush(stdout) != 0 && exit_code == EXIT_DONE) {
        perror("coordctl: write");
        exit_code = EXIT_GENERAL;
    }
    return exit_code;
}
