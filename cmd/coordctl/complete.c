/* What the shells' completion asks (packaging/completion.*): all that can be completed follows from
 * the tables of commands and options, and paths from the tree itself, so that the scripts for bash,
 * zsh and fish need not know any of it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/coordctl/complete.h"
#include "cmd/coordctl/context.h"
#include "cmd/coordctl/credentials.h"
#include "cmd/coordctl/text/path.h"
#include "coord/v1/tree.pb-c.h"

#define COMPLETE_TIMEOUT_MS 1000
#define COMPLETE_PATHS_MAX  1000

struct completion {
    complete_fn found;
    void *context;
    const char *where; /* what paths may be relative to; NULL: they are not */
    struct ctl ctl; /* with the common options of the line, which say where to ask */
    const char *noun;
    bool wants_help;               /* the words behind "help" are a command's */
    const struct option *awaiting; /* the option whose value the last word is */
    bool only_words;               /* behind -- */
    size_t words;                  /* of the command behind its name, the last not counted */
    bool wants_names;              /* of locks and the like: what has a queue is one, whole */
};

static void offer(const struct completion *c, const char *begin, const char *word,
                  const char *what)
{
    if (strncmp(word, begin, strlen(begin)) == 0) {
        c->found(c->context, word, what);
    }
}

/* ---- what stands before the last word ----------------------------------------------------- */

/* An option with its value, or without one: then it awaits it. */
static void take_option(struct completion *c, const struct option *o, const char *value)
{
    if (o == NULL || o->form == OPTION_FLAG) {
        return;
    }
    if (value == NULL) {
        c->awaiting = o;
    } else if (o->is_common) {
        (void)option_take(&c->ctl, o, value);
    }
}

static void take_dashes(struct completion *c, const char *word)
{
    size_t size = strcspn(word + 2, "=");
    if (word[1] == '-') {
        take_option(c, option_find_long(word + 2, size),
                    word[2 + size] == '=' ? word + 3 + size : NULL);
    } else {
        take_option(c, option_find_letter(word[1]), word[2] != '\0' ? word + 2 : NULL);
    }
}

static void take_word(struct completion *c, const char *word)
{
    const struct command *own = c->ctl.command;
    const struct command *verb =
        own != NULL && c->words == 0 ? command_find(own->name, word) : NULL;
    if (verb != NULL) { /* "lock" alone is a command too */
        c->ctl.command = verb;
    } else if (own != NULL) {
        c->words++;
    } else if (c->noun != NULL) {
        c->ctl.command = command_find(c->noun, word);
    } else if (!c->wants_help && strcmp(word, "help") == 0) {
        c->wants_help = true;
    } else {
        c->ctl.command = command_find(word, NULL);
        c->noun = c->ctl.command == NULL && command_is_noun(word) ? word : NULL;
    }
}

static void take_line(struct completion *c, int count, char **words)
{
    for (int i = 0; i < count; i++) {
        const char *word = words[i];
        if (c->awaiting != NULL) {
            const struct option *o = c->awaiting;
            c->awaiting = NULL;
            take_option(c, o, word);
        } else if (!c->only_words && strcmp(word, "--") == 0) {
            c->only_words = true;
        } else if (!c->only_words && word[0] == '-' && word[1] != '\0') {
            take_dashes(c, word);
        } else {
            take_word(c, word);
        }
    }
}

/* ---- what could be the last word ---------------------------------------------------------- */

/* First words; those of two words once, by their noun. */
static void offer_commands(const struct completion *c, const char *begin)
{
    const char *last = "";
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        char name[32];
        size_t size = strcspn(command->name, " ");
        bool has_verb = command->name[size] == ' ';
        snprintf(name, sizeof name, "%.*s", (int)size, command->name);
        if (!has_verb || strncmp(last, name, size) != 0 || last[size] != ' ') {
            offer(c, begin, name, has_verb ? "" : command->help);
        }
        last = command->name;
    }
    if (!c->wants_help) {
        offer(c, begin, "help", "explain");
    }
}

static void offer_verbs(const struct completion *c, const char *noun, const char *begin)
{
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        if (command_has_noun(command, noun)) {
            offer(c, begin, command->name + strlen(noun) + 1, command->help);
        }
    }
}

static void offer_options(const struct completion *c, const char *begin)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *o = &options[i];
        if (c->ctl.command != NULL ? option_is_of(o, c->ctl.command) : o->is_common) {
            char word[64];
            snprintf(word, sizeof word, "--%s", o->name);
            offer(c, begin, word, o->help);
        }
    }
}

/* As whom the line would ask, if that is known: nobody is asked for a password here. */
static void take_credentials(struct ctl *ctl)
{
    bool has_password = ctl->user != NULL && (strchr(ctl->user, ':') != NULL ||
                                              getenv("COORD_PASSWORD") != NULL);
    if (!ctl->has_credentials && (ctl->token_file != NULL || has_password)) {
        (void)credentials_take(ctl);
    }
}

/* Nodes whose path begins like this, of one parent. Where paths may be relative, a slash tells
 * that there is more below. */
static void offer_paths(struct completion *c, const char *begin)
{
    const char *slash = strrchr(begin, '/');
    size_t size = slash != NULL ? (size_t)(slash - begin) + 1 : 0;
    struct buf typed = {0};
    struct buf parent = {0};
    struct coord_error error;
    ProtobufCMessage *page;
    c->ctl.options.timeout_ms = COMPLETE_TIMEOUT_MS;
    take_credentials(&c->ctl);
    if ((c->where == NULL && begin[0] != '/') ||
        coord_open(&c->ctl.options, &c->ctl.client, &error) != COORD_OK) {
        return;
    }
    buf_append(&typed, begin, size);
    buf_append(&typed, "", 1);
    path_resolve(&parent, c->where != NULL ? c->where : "/", (const char *)typed.data);
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ListRequest request = COORD__V1__LIST_REQUEST__INIT;
    request.header = &header;
    request.path = (char *)parent.data;
    request.limit = COMPLETE_PATHS_MAX;
    request.with_stat = c->where != NULL;
    enum coord_code code =
        client_call(c->ctl.client, CLIENT_LIST, &request.base, &header, &page, &error);
    if (code == COORD_OK) {
        const Coord__V1__ListReply *reply = (const Coord__V1__ListReply *)page;
        for (size_t i = 0; i < reply->n_entries; i++) {
            const Coord__V1__ListEntry *e = reply->entries[i];
            const char *name = strrchr(e->path, '/');
            bool has_more = e->stat != NULL && e->stat->child_count > 0 &&
                            (!c->wants_names || e->stat->kind != COORD__V1__KIND__RECIPE);
            buf_clear(&typed);
            buf_append(&typed, begin, size);
            buf_append_str(&typed, name != NULL ? name + 1 : e->path);
            buf_append_str(&typed, has_more ? "/" : "");
            buf_append(&typed, "", 1);
            offer(c, begin, (const char *)typed.data, "");
        }
        client_reply_free(page);
    }
    buf_close(&typed);
    buf_close(&parent);
    coord_close(c->ctl.client);
}

/* Where names of what a command is about are, which whole paths may stand for. NULL: it is about
 * no names. */
static const char *parent_of_names(const struct command *command, size_t word)
{
    static const struct {
        const char *commands; /* of this name, or noun */
        const char *what;     /* the word of the usage */
        const char *parent;
    } places[] = {
        {"counter ids", "NAME", "/ids"},   {"lock", "NAME", "/locks"},
        {"elect", "ELECTION", "/elections"}, {"counter", "NAME", "/counters"},
        {"latch", "NAME", "/latches"},     {"barrier", "NAME", "/barriers"},
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        bool is_alone = strcmp(command->name, places[i].commands) == 0;
        bool is_any = is_alone && strcmp(places[i].commands, "lock") == 0; /* of several */
        if ((is_alone || command_has_noun(command, places[i].commands)) &&
            command_word_is(command, is_any ? 0 : word, places[i].what)) {
            return places[i].parent;
        }
    }
    return NULL;
}

static void offer_names(struct completion *c, const char *parent, const char *begin)
{
    if (begin[0] != '/') {
        c->where = parent;
        c->wants_names = true;
    }
    offer_paths(c, begin);
}

struct context_offer {
    struct completion *completion;
    const char *begin;
};

static void take_context_name(void *context, const char *name)
{
    const struct context_offer *o = context;
    offer(o->completion, o->begin, name, "");
}

static void offer_contexts(struct completion *c, const char *begin)
{
    struct context_offer o = {.completion = c, .begin = begin};
    context_names(take_context_name, &o);
}

/* `prefix` stands before the value in the same word: "--output=". */
static void offer_values(struct completion *c, const struct option *o, const char *prefix,
                         const char *begin)
{
    if (strcmp(o->value, "PATH") == 0 && prefix[0] == '\0') {
        offer_paths(c, begin);
        return;
    }
    if (strcmp(o->value, "CONTEXT") == 0 && prefix[0] == '\0') {
        offer_contexts(c, begin);
        return;
    }
    if (o->choices == NULL) {
        return;
    }
    if (strcmp(o->choices, "file") == 0) {
        c->found(c->context, "file", NULL); /* the shell knows its files */
        return;
    }
    for (const char *at = o->choices; *at != '\0';) {
        char word[96];
        size_t size = strcspn(at, " ");
        snprintf(word, sizeof word, "%s%.*s", prefix, (int)size, at);
        offer(c, begin, word, "");
        at += size;
        at += strspn(at, " ");
    }
}

static void offer_last(struct completion *c, const char *last)
{
    size_t size = strcspn(last, "=");
    const struct command *command = c->ctl.command;
    const char *parent = command != NULL ? parent_of_names(command, c->words) : NULL;
    if (c->awaiting != NULL) {
        offer_values(c, c->awaiting, "", last);
    } else if (!c->only_words && strncmp(last, "--", 2) == 0 && last[size] == '=') {
        const struct option *o = option_find_long(last + 2, size - 2);
        char prefix[64];
        snprintf(prefix, sizeof prefix, "%.*s=", (int)size, last);
        if (o != NULL && o->value != NULL) {
            offer_values(c, o, prefix, last);
        }
    } else if (!c->only_words && last[0] == '-') {
        offer_options(c, last);
    } else if (command == NULL && c->noun != NULL) {
        offer_verbs(c, c->noun, last);
    } else if (command == NULL) {
        offer_commands(c, last);
    } else if (c->wants_help) {
        return;
    } else if (parent != NULL) {
        if (c->words == 0) {
            offer_verbs(c, command->name, last);
        }
        offer_names(c, parent, last);
    } else if (command_word_is(command, c->words, "PATH")) {
        offer_paths(c, last);
    } else if (command_word_is(command, c->words, "CONTEXT")) {
        offer_contexts(c, last);
    } else if (command_word_is(command, c->words, "FILE")) {
        c->found(c->context, "file", NULL);
    }
}

void complete_words(const struct ctl *base, const char *where, int count, char **words,
                    complete_fn found, void *context)
{
    struct completion c = {.found = found, .context = context, .where = where, .ctl = *base};
    c.ctl.client = NULL;
    c.ctl.command = NULL;
    take_line(&c, count > 0 ? count - 1 : 0, words);
    offer_last(&c, count > 0 ? words[count - 1] : "");
    credentials_wipe(&c.ctl);
}

/* Files stand for themselves: the shell knows them. */
static void print_found(void *context, const char *word, const char *what)
{
    (void)context;
    printf("%s\t%s\n", word, what != NULL ? what : "");
}

int complete(int count, char **words)
{
    struct ctl ctl = {.version = COORD_ANY_VERSION};
    int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (quiet >= 0) { /* complaints would stand in the middle of what is typed */
        (void)dup2(quiet, STDERR_FILENO);
        (void)close(quiet);
    }
    options_take_defaults(&ctl);
    complete_words(&ctl, NULL, count, words, print_found, NULL);
    context_close(&ctl);
    return ferror(stdout) != 0 ? EXIT_GENERAL : EXIT_DONE;
}
