/* The command line and the environment, by the table of option_table.c. Options may stand
 * before or behind the command. A negative number is a word, not an option, as no option's
 * letter is a digit. */
#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/endpoint.h"
#include "cmd/coordctl/options.h"

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
    for (size_t i = 0; i < option_count; i++) {
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
    for (size_t i = 0; i < option_count; i++) {
        const struct option *o = &options[i];
        const char *value = o->environment != NULL ? getenv(o->environment) : NULL;
        if (value == NULL || value[0] == '\0') {
            continue;
        }
        if (o->take == NULL) {
            bool *flag = (bool *)((char *)ctl + o->flag);
            *flag = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
            if (!*flag && strcmp(value, "false") != 0 && strcmp(value, "0") != 0) {
                return ctl_usage("%s: \"%s\" is neither true nor false", o->environment, value);
            }
        } else if (!o->take(ctl, value)) {
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
    bool given[OPTIONS_MAX];
    bool seen_help;   /* the word "help" in place of a command */
    const char *noun; /* the first word of a command of two */
};

const struct option *option_find_long(const char *name, size_t size)
{
    for (size_t i = 0; i < option_count; i++) {
        if (strlen(options[i].name) == size && memcmp(options[i].name, name, size) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

const struct option *option_find_letter(char letter)
{
    for (size_t i = 0; i < option_count; i++) {
        if (options[i].letter == letter) {
            return &options[i];
        }
    }
    return NULL;
}

bool option_is_of(const struct option *o, const struct command *c)
{
    return o->is_common || is_named(c->options, o->name);
}

static int unknown_option(const struct parser *p, const char *word)
{
    const struct command *c = p->ctl->command;
    if (c != NULL && c->tail == BEHIND_DATA) {
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
    const struct option *o = option_find_long(name, size);
    if (o == NULL) {
        return unknown_option(p, word);
    }
    if (strcmp(o->name, "version") == 0 && p->ctl->command == NULL && p->at == p->argc &&
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
        const struct option *o = option_find_letter(*at);
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

/* The command itself: one word, or a noun and a verb. */
static int take_command(struct parser *p, const char *word)
{
    struct ctl *ctl = p->ctl;
    if (p->noun != NULL) {
        ctl->command = command_find(p->noun, word);
        return ctl->command != NULL
                   ? EXIT_DONE
                   : ctl_usage("unknown command \"%s %s\", see coordctl help %s", p->noun, word,
                               p->noun);
    }
    ctl->command = command_find(word, NULL);
    p->noun = ctl->command == NULL && command_is_noun(word) ? word : NULL;
    p->seen_help = ctl->command == NULL && strcmp(word, "help") == 0;
    return ctl->command != NULL || p->noun != NULL || p->seen_help
               ? EXIT_DONE
               : ctl_usage("unknown command \"%s\", see coordctl help", word);
}

/* A command of one word that is a noun as well: "lock list", while "lock /locks/list" is a lock. */
static const struct command *find_verb(const struct ctl *ctl, const char *word)
{
    return ctl->command != NULL && ctl->word_count == 0 ? command_find(ctl->command->name, word)
                                                        : NULL;
}

static int take_word(struct parser *p, const char *word)
{
    struct ctl *ctl = p->ctl;
    const struct command *verb = find_verb(ctl, word);
    if (verb != NULL) {
        ctl->command = verb;
        return EXIT_DONE;
    }
    if (ctl->command == NULL && !p->seen_help) {
        return take_command(p, word);
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
    if (c == NULL && p->noun != NULL) {
        return ctl_usage("%s needs a verb, see coordctl help %s", p->noun, p->noun);
    }
    if (c == NULL) {
        return ctl_usage("a command is missing, see coordctl help");
    }
    for (size_t i = 0; i < option_count; i++) {
        if (p->given[i] && !option_is_of(&options[i], c)) {
            return ctl_usage("%s does not take --%s; usage: coordctl %s", c->name,
                             options[i].name, c->usage);
        }
    }
    if (ctl->word_count > c->words_max) {
        return ctl_usage("\"%s\" is one word too many; usage: coordctl %s",
                         ctl->words[c->words_max], c->usage);
    }
    if (ctl->word_count < c->words_min) {
        return ctl_usage("usage: coordctl %s", c->usage);
    }
    return EXIT_DONE;
}

bool ctl_speaks_tls(const struct ctl *ctl)
{
    const char *endpoints = ctl->options.endpoints != NULL ? ctl->options.endpoints : "";
    return ctl->options.tls != NULL || endpoints_scheme(&endpoints) == ENDPOINT_TLS;
}

int options_parse(struct ctl *ctl, int argc, char **argv)
{
    int exit_code = take_environment(ctl);
    return exit_code == EXIT_DONE ? options_parse_line(ctl, argc, argv) : exit_code;
}

int options_parse_line(struct ctl *ctl, int argc, char **argv)
{
    struct parser p = {.ctl = ctl, .argc = argc, .argv = argv, .at = 1};
    bool only_words = false;
    int exit_code = EXIT_DONE;
    while (exit_code == EXIT_DONE && p.at < argc) {
        const char *word = argv[p.at++];
        if (only_words || word[0] != '-' || word[1] == '\0' || is_number(word)) {
            exit_code = take_word(&p, word);
        } else if (strcmp(word, "--") == 0 && ctl->command != NULL &&
                   ctl->command->tail == BEHIND_PROGRAM) {
            ctl->program = &argv[p.at];
            p.at = argc;
        } else if (strcmp(word, "--") == 0) {
            only_words = true;
        } else if (word[1] == '-') {
            exit_code = take_long_option(&p, word);
        } else {
            exit_code = take_letters(&p, word);
        }
    }
    const struct coord_tls *tls = &ctl->tls;
    bool has_tls = tls->ca_file != NULL || tls->certificate_file != NULL ||
                   tls->server_name != NULL || tls->skip_verify;
    ctl->options.tls = has_tls ? tls : NULL;
    ctl->wants_help = ctl->wants_help || p.seen_help;
    if (ctl->wants_help && p.noun != NULL && ctl->command == NULL) { /* session --help */
        ctl->words[ctl->word_count++] = p.noun;
    }
    return exit_code == EXIT_DONE ? check(&p) : exit_code;
}
