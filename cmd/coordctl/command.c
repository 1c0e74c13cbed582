/* Finding a command by its words, and the help that is made from the tables of them. */
#include <stdio.h>
#include <string.h>

#include "cmd/coordctl/commands/groups.h"
#include "cmd/coordctl/text/foreign.h"
#include "cmd/coordctl/text/similar.h"

const struct command *command_at(size_t index)
{
    static const struct command_group *const tables[] = {
        &commands_nodes,  &commands_services, &commands_config, &commands_recipes,
        &commands_access, &commands_cluster,  &commands_bench};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (index < tables[i]->count) {
            return &tables[i]->commands[index];
        }
        index -= tables[i]->count;
    }
    return NULL;
}

const struct command *command_find(const char *name, const char *verb)
{
    size_t size = strlen(name);
    const struct command *c;
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) {
        const char *whole = c->name;
        bool is_it = verb == NULL ? strcmp(whole, name) == 0
                                  : strncmp(whole, name, size) == 0 && whole[size] == ' ' &&
                                        strcmp(whole + size + 1, verb) == 0;
        if (is_it) {
            return c;
        }
    }
    return NULL;
}

bool command_word_is(const struct command *c, size_t index, const char *what)
{
    const char *at = c->usage + strlen(c->name);
    for (size_t i = 0; *at != '\0'; i++) {
        at += strspn(at, " [");
        size_t size = strcspn(at, " ]");
        if (at[0] == '-' || size == 0) {
            return false;
        }
        if (i == index) {
            return strlen(what) == size && memcmp(at, what, size) == 0;
        }
        at += size;
        at += strspn(at, "]");
    }
    return false;
}

bool command_has_noun(const struct command *c, const char *noun)
{
    size_t size = strlen(noun);
    return strncmp(c->name, noun, size) == 0 && c->name[size] == ' ';
}

bool command_is_noun(const char *word)
{
    const struct command *c;
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) {
        if (command_has_noun(c, word)) {
            return true;
        }
    }
    return false;
}

const char *command_similar(const char *noun, const char *word, char *text)
{
    const char *answer = foreign_answer(noun, word);
    if (answer != NULL) {
        snprintf(text, SIMILAR_BYTES_MAX + 32, "; here it is %s", answer);
        return text;
    }
    struct similar similar;
    const struct command *c;
    similar_begin(&similar, word);
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) {
        char first[SIMILAR_BYTES_MAX];
        const char *name = c->name;
        snprintf(first, sizeof first, "%.*s", (int)strcspn(name, " "), name);
        if (noun == NULL) {
            similar_offer(&similar, first);
        } else if (command_has_noun(c, noun)) {
            similar_offer(&similar, name + strlen(noun) + 1);
        }
    }
    return similar_text(&similar, text);
}

#define HELP_COLUMN 52 /* the texts begin behind it, on a line of their own if there is no room */

/* The commands by what they are for: a word of the list stands for all that begin with it. */
static const struct {
    const char *title;
    const char *const *words;
} groups[] = {
#define WORDS(...) (const char *const[]){__VA_ARGS__, NULL}
    {"Nodes", WORDS("create", "get", "set", "rm", "ls", "tree", "stat", "txn")},
    {"Changes and history", WORDS("watch", "history", "diff", "policy")},
    {"Sessions and leases", WORDS("session", "lease")},
    {"Locks, elections, counters", WORDS("lock", "elect", "barrier", "latch", "counter")},
    {"Configuration", WORDS("config")},
    {"Services", WORDS("svc")},
    {"Shards", WORDS("shard")},
    {"The cluster", WORDS("status", "top", "doctor", "sync", "member", "upgrade", "bench")},
    {"Users, rights, quotas", WORDS("auth", "user", "role", "acl", "quota")},
    {"Backup and transfer", WORDS("snapshot", "export", "import")},
    {"coordctl itself", WORDS("shell", "context")},
#undef WORDS
};

static void print_usage(const struct command *c)
{
    bool fits = strlen(c->usage) <= HELP_COLUMN;
    printf("  %-*s%s%*s%s\n", HELP_COLUMN, c->usage, fits ? " " : "\n",
           fits ? 0 : HELP_COLUMN + 3, "", c->help);
}

/* Of the command `word`, and of those whose noun it is. */
static void print_usages(const char *word)
{
    const struct command *c;
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) {
        if (strcmp(c->name, word) == 0 || command_has_noun(c, word)) {
            print_usage(c);
        }
    }
}

void command_help_noun(const char *noun)
{
    printf("usage: coordctl %s VERB ...\n\nVerbs:\n", noun);
    print_usages(noun);
    printf("\nSee coordctl help %s VERB.\n", noun);
}

void command_help_all(void)
{
    puts("usage: coordctl [OPTIONS] COMMAND ...");
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        printf("\n%s:\n", groups[i].title);
        for (const char *const *word = groups[i].words; *word != NULL; word++) {
            print_usages(*word);
        }
    }
    puts("  help [COMMAND], COMMAND --help                       explain\n\n"
         "Options, before or behind the command:");
    options_help(NULL);
    puts("\n" DATA_HELP
         "\nExit codes: 0 ok, 1 general, 2 usage, 3 not found, 4 version conflict or guard,\n"
         "5 exists or held, 6 timeout, 7 no quorum or unreachable, 8 denied, 9 quota or limit,\n"
         "10 deadlock, 130 interrupted.");
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
