/* shell: commands one after the other, from a terminal or from standard input.
 *
 * Every command is a process of its own, forked from this one. So Ctrl-C ends what is running and
 * not the shell, whatever the command is doing; and none can leave anything behind in the shell but
 * what it did to the cluster. `cd` alone is done here, over the shell's own connection. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/coordctl/complete.h"
#include "cmd/coordctl/shell/files.h"
#include "cmd/coordctl/shell/line.h"
#include "cmd/coordctl/text/path.h"
#include "cmd/coordctl/text/words.h"
#include "coord/v1/tree.pb-c.h"

struct shell {
    struct ctl *ctl;
    struct line_editor *editor; /* NULL: lines come from standard input */
    struct buf where;           /* with a zero behind it, as before */
    struct buf before;          /* where one was before: cd - */
    int exit_code;              /* of the last command */
    bool is_over;
};

static const char *where(const struct shell *sh)
{
    return (const char *)sh->where.data;
}

/* ---- what the shell does itself --------------------------------------------------------- */

/* EXIT_DONE if there is such a node. */
static int look_for(const struct ctl *ctl, struct buf *path)
{
    static const struct coord_error missing = {
        .code = COORD_NOT_FOUND, .outcome = "NO_NODE", .message = "node does not exist"};
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ExistsRequest request = COORD__V1__EXISTS_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.path = (char *)path->data;
    int exit_code = ctl_call(ctl, CLIENT_EXISTS, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    bool exists = ((const Coord__V1__ExistsReply *)m)->exists;
    client_reply_free(m);
    return exists ? EXIT_DONE : ctl_failed(ctl, &missing);
}

static int go(struct shell *sh, const char *word)
{
    static const struct command named = {.name = "cd"}; /* in messages */
    const struct command *command = sh->ctl->command;
    struct buf path = {0};
    path_resolve(&path, where(sh), word);
    sh->ctl->command = &named;
    sh->ctl->subject = (const char *)path.data;
    int exit_code = look_for(sh->ctl, &path);
    sh->ctl->command = command;
    sh->ctl->subject = NULL;
    if (exit_code != EXIT_DONE) {
        buf_close(&path);
        return exit_code;
    }
    buf_close(&sh->before);
    sh->before = sh->where;
    sh->where = path;
    return EXIT_DONE;
}

static int cd(struct shell *sh, const struct words *words)
{
    const char *word = words->count > 1 ? words->at[1] : "/";
    if (words->count > 2) {
        return ctl_usage("usage: cd [PATH]");
    }
    if (strcmp(word, "-") == 0) {
        word = sh->before.size > 0 ? (const char *)sh->before.data : where(sh);
        puts(word);
    }
    return go(sh, word);
}

/* False: it is no command of the shell. */
static bool run_builtin(struct shell *sh, const struct words *words)
{
    const char *name = words->at[0];
    if (strcmp(name, "cd") == 0) {
        sh->exit_code = cd(sh, words);
    } else if (strcmp(name, "pwd") == 0 && words->tail == NULL) {
        puts(where(sh));
        sh->exit_code = EXIT_DONE;
    } else if (strcmp(name, "exit") == 0 || strcmp(name, "quit") == 0) {
        sh->is_over = true;
    } else if (strcmp(name, "shell") == 0) {
        sh->exit_code = ctl_usage("this is a shell already");
    } else {
        return false;
    }
    return true;
}

/* ---- commands --------------------------------------------------------------------------- */

/* Words that the usage calls PATH may be relative, and one that is left out is where we are. */
static void resolve_paths(const struct shell *sh, struct ctl *ctl)
{
    for (size_t i = 0; i <= ctl->word_count && i < CTL_WORDS_MAX; i++) {
        struct buf path = {0};
        if (!command_word_is(ctl->command, i, "PATH")) {
            continue;
        }
        path_resolve(&path, where(sh), i < ctl->word_count ? ctl->words[i] : "");
        ctl->words[i] = (const char *)path.data; /* the process ends before long */
        if (i == ctl->word_count) {
            ctl->word_count++;
            return;
        }
    }
}

/* In the child. */
static int run_here(const struct shell *sh, struct words *words)
{
    char *argv[WORDS_MAX + 2];
    struct ctl ctl = *sh->ctl;
    ctl.client = NULL;
    ctl.contexts = NULL; /* what points into it is the shell's */
    ctl.command = NULL;
    ctl.word_count = 0;
    ctl.has_credentials = true;
    argv[0] = words->at[0];
    memcpy(argv + 1, words->at, ((size_t)words->count + 1) * sizeof argv[0]);
    int exit_code = options_parse_line(&ctl, words->count + 1, argv);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    if (ctl.command != NULL && !ctl.wants_help) {
        resolve_paths(sh, &ctl);
    }
    ctl.has_credentials = ctl.user == sh->ctl->user && ctl.token_file == sh->ctl->token_file;
    return ctl_run(&ctl);
}

/* A process that ends with the shell; 0 in it. */
static pid_t fork_child(void)
{
    pid_t shell = getpid();
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGINT, SIG_DFL);
        (void)signal(SIGQUIT, SIG_DFL);
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != shell) {
            _exit(EXIT_GENERAL);
        }
    }
    return pid;
}

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return EXIT_GENERAL;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : ctl_signal_exit(WTERMSIG(status));
}

/* What stands behind | or >, by the system's shell. -1: it cannot be started. */
static pid_t start_tail(const char *tail, int *to_fd)
{
    int fds[2];
    struct buf text = {0};
    buf_printf(&text, "%s%s", tail[0] == '>' ? "cat " : "", tail[0] == '>' ? tail : tail + 1);
    buf_append(&text, "", 1);
    if (pipe(fds) != 0) {
        buf_close(&text);
        return -1;
    }
    pid_t pid = fork_child();
    if (pid == 0) {
        (void)dup2(fds[0], STDIN_FILENO);
        (void)close(fds[0]);
        (void)close(fds[1]);
        (void)execl("/bin/sh", "sh", "-c", (const char *)text.data, (char *)NULL);
        _exit(EXIT_GENERAL);
    }
    (void)close(fds[0]);
    buf_close(&text);
    if (pid < 0) {
        (void)close(fds[1]);
    }
    *to_fd = fds[1];
    return pid;
}

static int run_command(struct shell *sh, struct words *words)
{
    int to_fd = -1;
    pid_t tail = -1;
    if (words->tail != NULL) {
        tail = start_tail(words->tail, &to_fd);
        if (tail < 0) {
            return ctl_usage("%s: %s", words->tail, strerror(errno));
        }
    }
    pid_t pid = fork_child();
    if (pid == 0) {
        if (to_fd >= 0) {
            (void)dup2(to_fd, STDOUT_FILENO);
            (void)close(to_fd);
        }
        int exit_code = run_here(sh, words);
        (void)fflush(NULL);
        _exit(exit_code);
    }
    if (to_fd >= 0) {
        (void)close(to_fd);
    }
    int exit_code = pid < 0 ? ctl_usage("%s: %s", words->at[0], strerror(errno)) : wait_for(pid);
    int tail_code = tail > 0 ? wait_for(tail) : EXIT_DONE;
    bool is_enough = exit_code == ctl_signal_exit(SIGPIPE); /* "ls | head" */
    return exit_code != EXIT_DONE && !is_enough ? exit_code : tail_code;
}

/* Ctrl-C is for what runs; and that may end without giving the terminal back as it was. */
static void run_alone(struct shell *sh, struct words *words)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    struct termios terminal;
    bool has_terminal = sh->editor != NULL && tcgetattr(STDIN_FILENO, &terminal) == 0;
    (void)sigaction(SIGINT, &ignore, &before);
    sh->exit_code = run_command(sh, words);
    (void)sigaction(SIGINT, &before, NULL);
    if (has_terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal);
    }
    if (sh->editor != NULL && sh->exit_code == ctl_signal_exit(SIGINT)) {
        (void)fputs("\n", stderr); /* behind the ^C of the terminal */
    }
}

static void run_line(struct shell *sh, const char *line)
{
    struct arena arena = {0};
    struct words words;
    enum words_result split = words_split(&arena, line, false, &words);
    if (split != WORDS_OK) {
        sh->exit_code = split == WORDS_OPEN_QUOTE
                            ? ctl_usage("a quote is not closed: %c", words.open_quote)
                            : ctl_usage("a line has %d words at most", WORDS_MAX);
    } else if (words.count == 0 && words.tail != NULL) {
        sh->exit_code = ctl_usage("a command is missing before %c", words.tail[0]);
    } else if (words.count > 0 && !run_builtin(sh, &words)) {
        run_alone(sh, &words);
    }
    (void)fflush(stdout);
    arena_close(&arena);
}

/* ---- completion ------------------------------------------------------------------------- */

struct finding {
    struct offers *offers;
    const char *begin;
};

static void take_offer(void *context, const char *word, const char *what)
{
    const struct finding *f = context;
    if (what == NULL) {
        files_offer(f->begin, f->offers);
    } else {
        offers_add(f->offers, word, what);
    }
}

static void offer_own(struct offers *offers, const char *begin)
{
    static const struct offer own[] = {{"cd", "go to a node"},
                                       {"pwd", "where we are"},
                                       {"exit", "end the shell"}};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strncmp(own[i].word, begin, strlen(begin)) == 0) {
            offers_add(offers, own[i].word, own[i].what);
        }
    }
}

static void complete_line(void *context, const char *line, struct offers *offers)
{
    struct shell *sh = context;
    struct arena arena = {0};
    struct words words;
    (void)words_split(&arena, line, true, &words);
    char list[] = "ls"; /* what cd takes is what ls takes */
    struct finding f = {.offers = offers, .begin = words.at[words.count - 1]};
    if (words.count == 1) {
        offer_own(offers, words.at[0]);
    } else if (strcmp(words.at[0], "cd") == 0) {
        words.at[0] = list;
    }
    complete_words(sh->ctl, where(sh), words.count, words.at, take_offer, &f);
    arena_close(&arena);
}

/* ---- the loop --------------------------------------------------------------------------- */

/* Passwords do not go there, nor what somebody hides behind a blank. */
static bool is_secret(const char *line)
{
    return line[0] == ' ' || strstr(line, "user add") != NULL ||
           strstr(line, "user passwd") != NULL || strstr(line, "--user") != NULL;
}

static void talk(struct shell *sh)
{
    struct buf prompt = {0};
    fputs("Commands of coordctl; help lists them, Tab completes, exit or Ctrl-D ends.\n", stderr);
    while (!sh->is_over) {
        buf_clear(&prompt);
        buf_printf(&prompt, "coord:%s> ", where(sh));
        buf_append(&prompt, "", 1);
        const char *line = line_editor_read(sh->editor, (const char *)prompt.data);
        if (line == NULL) {
            break;
        }
        if (line[strspn(line, " \t")] != '\0' && !is_secret(line)) {
            line_editor_remember(sh->editor, line);
        }
        run_line(sh, line);
    }
    buf_close(&prompt);
}

static void read_lines(struct shell *sh)
{
    char *line = NULL;
    size_t room = 0;
    while (!sh->is_over && getline(&line, &room, stdin) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        run_line(sh, line);
    }
    free(line);
}

int ctl_shell(struct ctl *ctl)
{
    struct shell sh = {.ctl = ctl};
    char *history = NULL;
    path_resolve(&sh.where, "/", "/");
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
        history = files_history();
        sh.editor = line_editor_new(history, complete_line, &sh);
    }
    if (sh.editor != NULL) {
        talk(&sh);
    } else {
        read_lines(&sh);
    }
    line_editor_free(sh.editor);
    mem_free(history);
    buf_close(&sh.where);
    buf_close(&sh.before);
    return sh.exit_code;
}
