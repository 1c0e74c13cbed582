/* coordctl: coord's command line. Parses, connects, runs one command. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "cmd/coordctl/context.h"
#include "cmd/coordctl/credentials.h"
#include "cmd/coordctl/text/similar.h"

/* "help", "help COMMAND", "help NOUN", "help NOUN VERB" */
static int help(const struct ctl *ctl)
{
    const char *word = ctl->word_count > 0 ? ctl->words[0] : NULL;
    const char *verb = ctl->word_count > 1 ? ctl->words[1] : NULL;
    char text[SIMILAR_BYTES_MAX + 32];
    const struct command *c = word != NULL ? command_find(word, verb) : NULL;
    if (c != NULL) {
        command_help(c);
    } else if (word == NULL || strcmp(word, "help") == 0) {
        command_help_all();
    } else if (command_is_noun(word) && verb == NULL) {
        command_help_noun(word);
    } else {
        return ctl_usage("unknown command \"%s%s%s\"%s; see coordctl help", word,
                         verb != NULL ? " " : "", verb != NULL ? verb : "",
                         command_similar(verb != NULL ? word : NULL, verb != NULL ? verb : word,
                                         text));
    }
    return EXIT_DONE;
}

static int run(struct ctl *ctl)
{
    if (ctl->wants_version) {
        printf("coordctl %s\n", version_text());
        return EXIT_DONE;
    }
    if (ctl->wants_help && ctl->command != NULL) {
        command_help(ctl->command);
        return EXIT_DONE;
    }
    if (ctl->wants_help) {
        return help(ctl);
    }
    if (command_has_noun(ctl->command, "context")) {
        return ctl->command->run(ctl); /* asks no cluster */
    }
    struct coord_error error;
    int exit_code = ctl->has_credentials ? EXIT_DONE : credentials_take(ctl);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    if (coord_open(&ctl->options, &ctl->client, &error) != COORD_OK) {
        return ctl_usage("%s", error.message);
    }
    exit_code = ctl->command->run(ctl);
    coord_close(ctl->client);
    credentials_wipe(ctl);
    return exit_code;
}

int ctl_run(struct ctl *ctl)
{
    int exit_code = run(ctl);
    bool has_failed = ferror(stdout) != 0;
    if ((fclose(stdout) != 0 || has_failed) && exit_code == EXIT_DONE) {
        exit_code = ctl_general(ctl, "standard output cannot be written");
    }
    return exit_code;
}

int main(int argc, char **argv)
{
    struct ctl ctl = {.version = COORD_ANY_VERSION};
    if (argc > 1 && strcmp(argv[1], "complete") == 0) {
        return complete(argc - 2, argv + 2);
    }
    (void)signal(SIGPIPE, SIG_DFL); /* "coordctl ls / | head" ends quietly */
    int exit_code = options_parse(&ctl, argc, argv);
    exit_code = exit_code == EXIT_DONE ? ctl_run(&ctl) : exit_code;
    context_close(&ctl);
    return exit_code;
}
