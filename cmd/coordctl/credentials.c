/* Who asks: --user, --token-file and their variables; passwords from the environment, from a
 * terminal without echo, or from standard input. */
#include "cmd/coordctl/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* A line of a file, without its end. False: there is none, or it does not fit. */
static bool take_line(FILE *from, char *line, size_t bytes)
{
    if (fgets(line, (int)bytes, from) == NULL) {
        return false;
    }
    size_t size = strlen(line);
    bool whole = size + 1 < bytes || line[size - 1] == '\n';
    while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r')) {
        line[--size] = '\0';
    }
    return whole;
}

/* From the terminal of the process, whatever standard input is. */
static int ask(const struct ctl *ctl, const char *prompt, char *line, size_t bytes)
{
    FILE *terminal = fopen("/dev/tty", "r+");
    struct termios before;
    if (terminal == NULL || tcgetattr(fileno(terminal), &before) != 0) {
        if (terminal != NULL) {
            (void)fclose(terminal);
        }
        return ctl_general(ctl, "there is no terminal to ask for a password; set COORD_PASSWORD");
    }
    struct termios quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(fileno(terminal), TCSAFLUSH, &quiet);
    (void)fputs(prompt, terminal);
    (void)fflush(terminal);
    bool taken = take_line(terminal, line, bytes);
    (void)tcsetattr(fileno(terminal), TCSAFLUSH, &before);
    (void)fputs("\n", terminal);
    (void)fclose(terminal);
    return taken ? EXIT_DONE : ctl_general(ctl, "no password was given");
}

int credentials_new_password(struct ctl *ctl, const char *word, char *line, size_t bytes)
{
    char again[CREDENTIALS_BYTES_MAX];
    if (word != NULL && strcmp(word, "-") != 0) {
        if (strlen(word) >= bytes) {
            return ctl_usage("the password is longer than %zu bytes", bytes - 1);
        }
        memcpy(line, word, strlen(word) + 1);
        return EXIT_DONE;
    }
    if (word != NULL || !isatty(STDIN_FILENO)) {
        return take_line(stdin, line, bytes)
                   ? EXIT_DONE
                   : ctl_general(ctl, "standard input has no line with a password");
    }
    int exit_code = ask(ctl, "New password: ", line, bytes);
    if (exit_code == EXIT_DONE) {
        exit_code = ask(ctl, "Once more: ", again, sizeof again);
    }
    if (exit_code == EXIT_DONE && strcmp(line, again) != 0) {
        exit_code = ctl_general(ctl, "these were two different passwords");
    }
    return exit_code;
}

static int take_user(struct ctl *ctl)
{
    struct credentials *c = &ctl->credentials;
    const char *colon = strchr(ctl->user, ':');
    const char *password = getenv("COORD_PASSWORD");
    size_t size = colon == NULL ? strlen(ctl->user) : (size_t)(colon - ctl->user);
    if (size >= sizeof c->user) {
        return ctl_usage("--user: the name is longer than %zu bytes", sizeof c->user - 1);
    }
    memcpy(c->user, ctl->user, size);
    c->user[size] = '\0';
    password = colon != NULL ? colon + 1 : password;
    ctl->options.user = c->user;
    ctl->options.password = c->password;
    if (password == NULL) {
        char prompt[CREDENTIALS_BYTES_MAX];
        (void)snprintf(prompt, sizeof prompt, "Password of %s: ", c->user);
        return ask(ctl, prompt, c->password, sizeof c->password);
    }
    if (strlen(password) >= sizeof c->password) {
        return ctl_usage("the password is longer than %zu bytes", sizeof c->password - 1);
    }
    memcpy(c->password, password, strlen(password) + 1);
    return EXIT_DONE;
}

int credentials_take(struct ctl *ctl)
{
    struct credentials *c = &ctl->credentials;
    if (ctl->token_file == NULL) {
        return ctl->user != NULL && ctl->user[0] != '\0' ? take_user(ctl) : EXIT_DONE;
    }
    FILE *f = fopen(ctl->token_file, "r");
    if (f == NULL) {
        return ctl_general(ctl, "--token-file %s: %s", ctl->token_file, strerror(errno));
    }
    bool taken = take_line(f, c->token, sizeof c->token);
    (void)fclose(f);
    ctl->options.token = c->token;
    return taken ? EXIT_DONE
                 : ctl_general(ctl, "--token-file %s: no token is in it", ctl->token_file);
}

void credentials_wipe(struct ctl *ctl)
{
    volatile char *at = (volatile char *)&ctl->credentials;
    for (size_t i = 0; i < sizeof ctl->credentials; i++) {
        at[i] = '\0';
    }
}
