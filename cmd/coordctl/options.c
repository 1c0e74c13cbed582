/* Options of the command line and of the environment, from one table. They may stand before or
 * behind the command. A negative number is a word, not an option, as no option's letter is a
 * digit. */
#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/coordctl/ctl.h"

struct option {
    const char *name;
    char letter;             /* 0: none */
    const char *value;       /* what it is called; NULL: takes none */
    const char *environment; /* only of options that all commands take */
    const char *help;
    const char *expected; /* completes "--timeout \"x\" is not ..." */
    bool (*take)(struct ctl *ctl, const char *value); /* of one with a value */
    size_t flag;    /* of one without: the bool in struct ctl that it sets */
    bool is_common; /* all commands take it */
};

/* ---- values ----------------------------------------------------------------------------- */

/* "2" (seconds), "1.5s", "200ms", "1m"; up to a day. */
static bool parse_duration(const char *text, uint64_t *out_ms)
{
    char *end;
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    double value = strtod(text, &end);
    double unit_ms = 0;
    if (*end == '\0' || strcmp(end, "s") == 0) {
        unit_ms = 1000;
    } else if (strcmp(end, "ms") == 0) {
        unit_ms = 1;
    } else if (strcmp(end, "m") == 0) {
        unit_ms = 60000;
    }
    double ms = value * unit_ms;
    if (!(ms >= 1 && ms <= 86400000)) {
        return false;
    }
    *out_ms = (uint64_t)ms;
    return true;
}

static bool find_name(const char *text, const char *const *names, size_t count, int *out)
{
    for (size_t i = 0; i < count; i++) {
        if (names[i] != NULL && strcmp(names[i], text) == 0) {
            *out = (int)i;
            return true;
        }
    }
    return false;
}

static bool take_endpoints(struct ctl *ctl, const char *value)
{
    ctl->options.endpoints = value;
    return true; /* coord_open looks at it */
}

static bool take_timeout(struct ctl *ctl, const char *value)
{
    uint64_t ms = 0;
    bool ok = parse_duration(value, &ms);
    ctl->options.timeout_ms = (uint32_t)ms;
    return ok;
}

static bool take_consistency(struct ctl *ctl, const char *value)
{
    static const char *const names[] = {[COORD_LINEARIZABLE] = "linearizable",
                                        [COORD_SESSION] = "session",
                                        [COORD_LOCAL] = "local"};
    static const char bounded[] = "bounded=";
    int number = COORD_BOUNDED;
    if (strncmp(value, bounded, sizeof bounded - 1) == 0) {
        if (!parse_duration(value + sizeof bounded - 1, &ctl->options.bound_ms)) {
            return false;
        }
    } else if (!find_name(value, names, sizeof names / sizeof names[0], &number)) {
        return false;
    }
    ctl->options.consistency = (enum coord_consistency)number;
    return true;
}

static bool take_output(struct ctl *ctl, const char *value)
{
    static const char *const names[] = {
        [OUTPUT_TABLE] = "table", [OUTPUT_JSON] = "json", [OUTPUT_RAW] = "raw"};
    int number = 0;
    bool ok = find_name(value, names, sizeof names / sizeof names[0], &number);
    ctl->output = (enum ctl_output)number;
    return ok;
}

static bool take_note(struct ctl *ctl, const char *value)
{
    ctl->options.note = value;
    return true;
}

static bool take_version(struct ctl *ctl, const char *value)
{
    size_t size = strlen(value);
    if (strcmp(value, "-1") == 0) {
        ctl->version = COORD_ANY_VERSION;
        return true;
    }
    if (size == 0 || size > 10 || strspn(value, "0123456789") != size) {
        return false;
    }
    ctl->version = strtoll(value, NULL, 10);
    return ctl->version < UINT32_MAX;
}

static bool take_file(struct ctl *ctl, const char *value)
{
    ctl->file = value;
    return value[0] != '\0';
}

#define FLAG(field) .flag = offsetof(struct ctl, field)

static const struct option options[] = {
    {.name = "endpoints",
     .value = "HOST:PORT,...",
     .environment = "COORD_ENDPOINTS",
     .help = "members to talk to, default 127.0.0.1:7400",
     .take = take_endpoints,
     .is_common = true},
    {.name = "timeout",
     .value = "TIME",
     .environment = "COORD_TIMEOUT",
     .help = "of the whole call, default 5s; 500ms, 2s, 1m are fine",
     .expected = "a time such as 500ms, 2s or 1m",
     .take = take_timeout,
     .is_common = true},
    {.name = "consistency",
     .value = "HOW",
     .environment = "COORD_CONSISTENCY",
     .help = "of reads: linearizable (default), session, bounded=TIME, local",
     .expected = "linearizable, session, bounded=TIME or local",
     .take = take_consistency,
     .is_common = true},
    {.name = "output",
     .letter = 'o',
     .value = "FORMAT",
     .environment = "COORD_OUTPUT",
     .help = "table (default), json, raw",
     .expected = "table, json or raw",
     .take = take_output,
     .is_common = true},
    {.name = "note",
     .value = "TEXT",
     .help = "why; kept in the history of what is written",
     .take = take_note,
     .is_common = true},
    {.name = "help",
     .letter = 'h',
     .help = "explain coordctl, or the command",
     .is_common = true,
     FLAG(wants_help)},
    {.name = "sequential", .help = "append the parent's counter to the path", FLAG(sequential)},
    {.name = "parents",
     .letter = 'p',
     .help = "create missing ancestors, empty",
     FLAG(parents)},
    {.name = "recursive", .letter = 'r', .help = "with all that is below", FLAG(recursive)},
    {.name = "dry-run", .letter = 'n', .help = "only count", FLAG(dry_run)},
    {.name = "long",
     .letter = 'l',
     .help = "with kind, version, size, children and time of change",
     FLAG(long_format)},
    {.name = "version",
     .value = "N",
     .help = "only if the node has this version; -1 for any",
     .expected = "a version: a number from 0, or -1 for any",
     .take = take_version},
    {.name = "file",
     .letter = 'f',
     .value = "FILE",
     .help = "what to do; - for standard input",
     .expected = "a file",
     .take = take_file},
};
#define OPTION_COUNT (sizeof options / sizeof options[0])

/* ---- help ------------------------------------------------------------------------------- */

static bool is_named(const char *names, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = names; *at != '\0';) {
        size_t word = strcspn(at, " ");
        if (word == size && memcmp(at, name, size) == 0) {
            return true;
        }
        at += word;
        at += strspn(at, " ");
    }
    return false;
}

void options_help(const char *names)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &options[i];
        if (names == NULL ? !o->is_common : !is_named(names, o->name)) {
            continue;
        }
        char left[64];
        char letter[8] = "";
        if (o->letter != 0) {
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        }
        snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->value != NULL ? " " : "",
                 o->value != NULL ? o->value : "");
        printf("  %-26s %s%s%s%s\n", left, o->help, o->environment != NULL ? " (" : "",
               o->environment != NULL ? o->environment : "", o->environment != NULL ? ")" : "");
    }
    if (names == NULL) {
        printf("  %-26s %s\n", "--version", "of coordctl itself, if nothing else is given");
    }
}

/* ---- the environment -------------------------------------------------------------------- */

static int take_environment(struct ctl *ctl)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &options[i];
        const char *value = o->environment != NULL ? getenv(o->environment) : NULL;
        if (value != NULL && value[0] != '\0' && !o->take(ctl, value)) {
            return ctl_usage("%s: \"%s\" is not %s", o->environment, value, o->expected);
        }
    }
    return EXIT_DONE;
}

/* ---- the command line ------------------------------------------------------------------- */

struct parser {
    struct ctl *ctl;
    int argc;
    char **argv;
    int at;
    bool given[OPTION_COUNT];
    bool seen_help; /* the word "help" in place of a command */
};

static const struct option *find_long(const char *name, size_t size)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (strlen(options[i].name) == size && memcmp(options[i].name, name, size) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

static const struct option *find_letter(char letter)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (options[i].letter == letter) {
            return &options[i];
        }
    }
    return NULL;
}

static int unknown_option(const struct parser *p, const char *word)
{
    const struct command *c = p->ctl->command;
    if (c != NULL && c->words_max == 2) {
        return ctl_usage("unknown option %s; data that begins with - goes behind --, as in: "
                         "coordctl %s PATH -- %s",
                         word, c->name, word);
    }
    return ctl_usage("unknown option %s, see coordctl help", word);
}

/* `value` is what was attached to it; otherwise the next argument, if it takes one. */
static int take(struct parser *p, const struct option *o, const char *value)
{
    p->given[o - options] = true;
    if (o->take == NULL) {
        *(bool *)((char *)p->ctl + o->flag) = true;
        return value == NULL ? EXIT_DONE : ctl_usage("--%s takes no value", o->name);
    }
    if (value == NULL && p->at == p->argc) {
        return ctl_usage("--%s needs a value: --%s %s", o->name, o->name, o->value);
    }
    value = value != NULL ? value : p->argv[p->at++];
    return o->take(p->ctl, value)
               ? EXIT_DONE
               : ctl_usage("--%s \"%s\" is not %s", o->name, value, o->expected);
}

static int take_long_option(struct parser *p, const char *word)
{
    const char *name = word + 2;
    size_t size = strcspn(name, "=");
    const struct option *o = find_long(name, size);
    if (o == NULL) {
        return unknown_option(p, word);
    }
    if (o->take == take_version && p->ctl->command == NULL && p->at == p->argc &&
        name[size] == '\0') {
        p->ctl->wants_version = true;
        return EXIT_DONE;
    }
    return take(p, o, name[size] == '=' ? name + size + 1 : NULL);
}

/* "-l", "-lr", "-ojson", "-o json" */
static int take_letters(struct parser *p, const char *word)
{
    for (const char *at = word + 1; *at != '\0'; at++) {
        const struct option *o = find_letter(*at);
        if (o == NULL) {
            return unknown_option(p, word);
        }
        bool has_rest = o->value != NULL && at[1] != '\0';
        int exit_code = take(p, o, has_rest ? at + 1 : NULL);
        if (exit_code != EXIT_DONE || has_rest) {
            return exit_code;
        }
    }
    return EXIT_DONE;
}

static int take_word(struct parser *p, const char *word)
{
    struct ctl *ctl = p->ctl;
    if (ctl->command == NULL && !p->seen_help) {
        ctl->command = command_find(word);
        p->seen_help = ctl->command == NULL && strcmp(word, "help") == 0;
        return ctl->command != NULL || p->seen_help
                   ? EXIT_DONE
                   : ctl_usage("unknown command \"%s\", see coordctl help", word);
    }
    if (ctl->word_count < CTL_WORDS_MAX) {
        ctl->words[ctl->word_count++] = word;
        return EXIT_DONE;
    }
    return ctl_usage("\"%s\" is one word too many%s%s", word,
                     ctl->command != NULL ? "; usage: coordctl " : "",
                     ctl->command != NULL ? ctl->command->usage : "");
}

static bool is_number(const char *word)
{
    char *end;
    if (!isdigit((unsigned char)word[1])) {
        return false;
    }
    (void)strtod(word, &end);
    return *end == '\0';
}

static int check(const struct parser *p)
{
    const struct ctl *ctl = p->ctl;
    const struct command *c = ctl->command;
    if (ctl->wants_help || ctl->wants_version) {
        return EXIT_DONE;
    }
    if (c == NULL) {
        return ctl_usage("a command is missing, see coordctl help");
    }
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (p->given[i] && !options[i].is_common && !is_named(c->options, options[i].name)) {
            return ctl_usage("%s does not take --%s; usage: coordctl %s", c->name,
                             options[i].name, c->usage);
        }
    }
    if (ctl->word_count < c->words_min || ctl->word_count > c->words_max) {
        return ctl_usage("usage: coordctl %s", c->usage);
    }
    return EXIT_DONE;
}

int options_parse(struct ctl *ctl, int argc, char **argv)
{
    struct parser p = {.ctl = ctl, .argc = argc, .argv = argv, .at = 1};
    bool only_words = false;
    int exit_code = take_environment(ctl);
    while (exit_code == EXIT_DONE && p.at < argc) {
        const char *word = argv[p.at++];
        if (only_words || word[0] != '-' || word[1] == '\0' || is_number(word)) {
            exit_code = take_word(&p, word);
        } else if (strcmp(word, "--") == 0) {
            only_words = true;
        } else if (word[1] == '-') {
            exit_code = take_long_option(&p, word);
        } else {
            exit_code = take_letters(&p, word);
        }
    }
    ctl->wants_help = ctl->wants_help || p.seen_help;
    return exit_code == EXIT_DONE ? check(&p) : exit_code;
}
