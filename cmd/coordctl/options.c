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
#include "cmd/coordctl/context.h"
#include "cmd/coordctl/text/foreign.h"
#include "cmd/coordctl/text/similar.h"

#define ENVIRONMENT_BYTES 64

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

/* The variable that stands for it, COORD_ and its name unless it has another; "" if none does. */
static const char *environment_of(const struct option *o, char text[ENVIRONMENT_BYTES])
{
    text[0] = '\0';
    if (o->environment != NULL) {
        snprintf(text, ENVIRONMENT_BYTES, "%s", o->environment);
    } else if (strcmp(o->name, "help") != 0) {
        snprintf(text, ENVIRONMENT_BYTES, "COORD_%s", o->name);
        for (char *at = text; *at != '\0'; at++) {
            *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
        }
    }
    return text;
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
        char name[ENVIRONMENT_BYTES];
        bool has_name = environment_of(o, name)[0] != '\0';
        printf("  %-26s %s%s%s%s\n", left, o->help, has_name ? " (" : "", name,
               has_name ? ")" : "");
    }
    if (names == NULL) {
        printf("  %-26s %s\n", "--version", "of coordctl itself, if nothing else is given");
    }
}

/* ---- the command line, then the environment, then the context ---------------------------- */

struct parser {
    struct ctl *ctl;
    int argc;
    char **argv;
    int at;
    bool is_settled[OPTIONS_MAX]; /* given already, by what counts more */
    bool seen_help;               /* the word "help" in place of a command */
    const char *noun;             /* the first word of a command of two */
    bool given_context;           /* --context stands on this line */
};

/* A text that stands for an option, as variables and contexts have it. `origin` is its name. */
static int take_text(struct ctl *ctl, const struct option *o, const char *value,
                     const char *origin)
{
    if (o->form == OPTION_FLAG) {
        bool *flag = (bool *)((char *)ctl + o->field);
        *flag = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
        if (!*flag && strcmp(value, "false") != 0 && strcmp(value, "0") != 0) {
            return ctl_usage("%s: \"%s\" is neither true nor false", origin, value);
        }
    } else if (!option_take(ctl, o, value)) {
        return ctl_usage("%s: \"%s\" is not %s", origin, value, o->expected);
    }
    return EXIT_DONE;
}

/* Who asks is one matter, in two ways: --user does not go with a token from elsewhere. */
static void settle(bool *is_settled, const struct option *o)
{
    static const char *const who[] = {"user", "token-file"};
    is_settled[o - options] = true;
    if (strcmp(o->name, who[0]) == 0 || strcmp(o->name, who[1]) == 0) {
        for (size_t i = 0; i < 2; i++) {
            is_settled[option_find_long(who[i], strlen(who[i])) - options] = true;
        }
    }
}

/* Of options of the command, and with `is_common` of those that all commands take. */
static int take_environment(struct parser *p, bool is_common)
{
    bool above[OPTIONS_MAX];
    memcpy(above, p->is_settled, sizeof above);
    for (size_t i = 0; i < option_count; i++) {
        char name[ENVIRONMENT_BYTES];
        const struct option *o = &options[i];
        const struct command *c = p->ctl->command;
        bool counts = o->is_common ? is_common : c != NULL && option_is_of(o, c);
        const char *value =
            counts && !above[i] && environment_of(o, name)[0] != '\0' ? getenv(name) : NULL;
        bool says_none = strcmp(o->name, "context") == 0; /* when it is empty */
        if (value == NULL || (value[0] == '\0' && !says_none)) {
            continue;
        }
        int exit_code = take_text(p->ctl, o, value, name);
        if (exit_code != EXIT_DONE) {
            return exit_code;
        }
        settle(p->is_settled, o);
    }
    return EXIT_DONE;
}

static int take_from_context(struct ctl *ctl, const struct option *o, const char *value,
                             const void *is_settled)
{
    char origin[ENVIRONMENT_BYTES];
    snprintf(origin, sizeof origin, "context: %s", o->name);
    return ((const bool *)is_settled)[o - options] ? EXIT_DONE
                                                   : take_text(ctl, o, value, origin);
}

void options_take_defaults(struct ctl *ctl)
{
    struct parser p = {.ctl = ctl};
    (void)take_environment(&p, true);
    (void)context_apply(ctl, take_from_context, p.is_settled);
}

/* ---- the command line ------------------------------------------------------------------- */

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

/* What may have been meant by an option that is none of this command's (NULL: of all). */
static const char *option_hint(const struct command *c, const char *word,
                               char text[SIMILAR_BYTES_MAX + 32])
{
    char typed[SIMILAR_BYTES_MAX];
    snprintf(typed, sizeof typed, "%.*s", (int)strcspn(word, "="), word);
    const char *answer = foreign_answer(c != NULL ? c->name : NULL, typed);
    if (answer != NULL) {
        snprintf(text, SIMILAR_BYTES_MAX + 32, "; here it is %s", answer);
        return text;
    }
    struct similar similar;
    similar_begin(&similar, typed);
    for (size_t i = 0; i < option_count && word[1] == '-'; i++) {
        char name[SIMILAR_BYTES_MAX];
        snprintf(name, sizeof name, "--%s", options[i].name);
        if (c != NULL ? option_is_of(&options[i], c) : options[i].is_common) {
            similar_offer(&similar, name);
        }
    }
    return similar_text(&similar, text);
}

static int unknown_option(const struct parser *p, const char *word)
{
    const struct command *c = p->ctl->command;
    char text[SIMILAR_BYTES_MAX + 32];
    const char *hint = option_hint(c, word, text);
    if (c != NULL && c->tail == BEHIND_DATA) {
        return ctl_usage("unknown option %s%s; data that begins with - goes behind --, as in: "
                         "coordctl %s PATH -- %s",
                         word, hint, c->name, word);
    }
    return ctl_usage("unknown option %s%s; see coordctl help%s%s", word, hint,
                     c != NULL ? " " : "", c != NULL ? c->name : "");
}

/* An option that others have. */
static int alien_option(const struct command *c, const struct option *o)
{
    char name[SIMILAR_BYTES_MAX];
    snprintf(name, sizeof name, "--%s", o->name);
    const char *answer = foreign_answer(c->name, name);
    return ctl_usage("%s does not take --%s%s%s; usage: coordctl %s", c->name, o->name,
                     answer != NULL ? "; here it is " : "", answer != NULL ? answer : "",
                     c->usage);
}

/* From a context, by an empty value; a flag by one that is attached: --insecure-skip-verify= */
static bool is_removed(const struct parser *p, const char *value)
{
    const struct command *c = p->ctl->command;
    return value != NULL && value[0] == '\0' && c != NULL && strcmp(c->name, "context set") == 0;
}

/* `value` is what was attached to it; otherwise the next argument, if it takes one. */
static int take(struct parser *p, const struct option *o, const char *value)
{
    settle(p->is_settled, o);
    p->ctl->given[o - options] = value != NULL ? value : "true";
    if (o->form == OPTION_FLAG) {
        *(bool *)((char *)p->ctl + o->field) = value == NULL;
        return value == NULL || is_removed(p, value) ? EXIT_DONE
                                                     : ctl_usage("--%s takes no value", o->name);
    }
    if (value == NULL && p->at == p->argc) {
        return ctl_usage("--%s needs a value: --%s %s", o->name, o->name, o->value);
    }
    value = value != NULL ? value : p->argv[p->at++];
    p->ctl->given[o - options] = value;
    return is_removed(p, value) || option_take(p->ctl, o, value)
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

/* A letter that another store has for this command, and coordctl for others only. */
static bool is_foreign_letter(const struct command *c, const struct option *o)
{
    const char word[] = {'-', o->letter, '\0'};
    return c != NULL && !option_is_of(o, c) && foreign_answer(c->name, word) != NULL;
}

/* "-l", "-lr", "-ojson", "-o json" */
static int take_letters(struct parser *p, const char *word)
{
    for (const char *at = word + 1; *at != '\0'; at++) {
        const struct option *o = option_find_letter(*at);
        if (o == NULL || is_foreign_letter(p->ctl->command, o)) {
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
    char text[SIMILAR_BYTES_MAX + 32];
    if (p->noun != NULL) {
        ctl->command = command_find(p->noun, word);
        return ctl->command != NULL
                   ? EXIT_DONE
                   : ctl_usage("unknown command \"%s %s\"%s; see coordctl help %s", p->noun,
                               word, command_similar(p->noun, word, text), p->noun);
    }
    ctl->command = command_find(word, NULL);
    p->noun = ctl->command == NULL && command_is_noun(word) ? word : NULL;
    p->seen_help = ctl->command == NULL && strcmp(word, "help") == 0;
    return ctl->command != NULL || p->noun != NULL || p->seen_help
               ? EXIT_DONE
               : ctl_usage("unknown command \"%s\"%s; see coordctl help", word,
                           command_similar(NULL, word, text));
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
        if (ctl->given[i] != NULL && !option_is_of(&options[i], c)) {
            return alien_option(c, &options[i]);
        }
    }
    if (ctl->output == OUTPUT_DOT && c->run != ctl_lock_explain) {
        return ctl_usage("%s does not take --output dot", c->name);
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

static int parse_line(struct parser *p)
{
    struct ctl *ctl = p->ctl;
    bool only_words = false;
    int exit_code = EXIT_DONE;
    memset(ctl->given, 0, sizeof ctl->given);
    while (exit_code == EXIT_DONE && p->at < p->argc) {
        const char *word = p->argv[p->at++];
        if (only_words || word[0] != '-' || word[1] == '\0' || is_number(word)) {
            exit_code = take_word(p, word);
        } else if (strcmp(word, "--") == 0 && ctl->command != NULL &&
                   ctl->command->tail == BEHIND_PROGRAM) {
            ctl->program = &p->argv[p->at];
            p->at = p->argc;
        } else if (strcmp(word, "--") == 0) {
            only_words = true;
        } else if (word[1] == '-') {
            exit_code = take_long_option(p, word);
        } else {
            exit_code = take_letters(p, word);
        }
    }
    ctl->wants_help = ctl->wants_help || p->seen_help;
    if (ctl->wants_help && p->noun != NULL && ctl->command == NULL) { /* session --help */
        ctl->words[ctl->word_count++] = p->noun;
    }
    return exit_code;
}

/* What the line does not say. Contexts themselves can be worked on whatever they say. Another one
 * does not go over what a shell took from its own: what it leaves open would be that one's. */
static int take_rest(struct parser *p, bool is_first)
{
    struct ctl *ctl = p->ctl;
    bool wants_context = ctl->command != NULL && !command_has_noun(ctl->command, "context");
    if (!is_first && p->given_context) {
        return ctl_usage("--context is that of the whole shell; start another one, as in: coordctl "
                         "shell --context '%s'",
                         ctl->context);
    }
    int exit_code = take_environment(p, is_first);
    if (exit_code == EXIT_DONE && wants_context && is_first) {
        exit_code = context_apply(ctl, take_from_context, p->is_settled);
    }
    return exit_code;
}

static int parse(struct ctl *ctl, int argc, char **argv, bool is_first)
{
    struct parser p = {.ctl = ctl, .argc = argc, .argv = argv, .at = 1};
    const char *context = ctl->context;
    int exit_code = parse_line(&p);
    p.given_context = ctl->context != context;
    if (exit_code == EXIT_DONE) {
        exit_code = check(&p);
    }
    if (exit_code == EXIT_DONE && !ctl->wants_help && !ctl->wants_version) {
        exit_code = take_rest(&p, is_first);
    }
    const struct coord_tls *tls = &ctl->tls;
    bool has_tls = tls->ca_file != NULL || tls->certificate_file != NULL ||
                   tls->server_name != NULL || tls->skip_verify;
    ctl->options.tls = has_tls ? tls : NULL;
    return exit_code;
}

int options_parse(struct ctl *ctl, int argc, char **argv)
{
    return parse(ctl, argc, argv, true);
}

int options_parse_line(struct ctl *ctl, int argc, char **argv)
{
    return parse(ctl, argc, argv, false);
}
