#include "cmd/coordctl/child.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/socket.h"

#define EXIT_CANNOT_RUN 126 /* as shells say it */
#define EXIT_NO_PROGRAM 127

extern char **environ;

/* ---- the terminal ------------------------------------------------------------------------ */

/* Ours to give away: we are in its foreground. */
static int find_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0 && tcgetpgrp(fd) != getpgrp()) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

/* From the background too, where SIGTTOU would stop us. */
static void give_terminal(const struct child *c, pid_t group)
{
    sigset_t set;
    sigset_t before;
    if (c->terminal < 0) {
        return;
    }
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTTOU);
    (void)sigprocmask(SIG_BLOCK, &set, &before);
    (void)tcsetpgrp(c->terminal, group);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
}

void child_foreground(const struct child *c)
{
    if (c->pid != 0 && c->terminal >= 0 && tcgetpgrp(c->terminal) == c->our_group) {
        give_terminal(c, c->pid);
    }
}

/* If the program has it, or had, and gave it to somebody who is gone. */
static void take_terminal_back(const struct child *c)
{
    pid_t holder = c->terminal >= 0 ? tcgetpgrp(c->terminal) : -1;
    if (holder == c->pid || (holder > 0 && kill(-holder, 0) != 0 && errno == ESRCH)) {
        give_terminal(c, c->our_group);
    }
}

/* It was suspended at the terminal: so are we. */
static void suspend(struct child *c)
{
    take_terminal_back(c);
    c->is_suspended = true;
    (void)raise(SIGSTOP);
}

/* ---- the program ------------------------------------------------------------------------- */

int child_start(struct child *c, const struct ctl *ctl, const struct signals *signals)
{
    posix_spawnattr_t attributes;
    *c = (struct child){.terminal = find_terminal(), .our_group = getpgrp()};
    int rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        (void)posix_spawnattr_setsigmask(&attributes, &signals->before);
        (void)posix_spawnattr_setpgroup(&attributes, 0);
        (void)posix_spawnattr_setflags(&attributes,
                                       POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
        rc = posix_spawnp(&c->pid, ctl->program[0], NULL, &attributes, ctl->program, environ);
        (void)posix_spawnattr_destroy(&attributes);
    }
    if (rc != 0) {
        c->pid = 0;
        if (c->terminal >= 0) {
            (void)close(c->terminal);
        }
        (void)ctl_general(ctl, "%s: %s", ctl->program[0], strerror(rc));
        return rc == ENOENT ? EXIT_NO_PROGRAM : EXIT_CANNOT_RUN;
    }
    child_foreground(c);
    return EXIT_DONE;
}

/* It wants the terminal. It may have got that by now; or we have it, since fg, and did not hear of
 * it; or it runs in the background, as we do, and has to wait for fg. */
static void wanted_terminal(struct child *c)
{
    pid_t holder = tcgetpgrp(c->terminal);
    if (holder != c->pid && holder != c->our_group) {
        suspend(c);
        return;
    }
    give_terminal(c, c->pid);
    (void)kill(-c->pid, SIGCONT);
}

static void stopped(struct child *c, int number)
{
    if (c->is_ending) {
        (void)kill(-c->pid, SIGCONT);
    } else if (c->terminal >= 0 && (number == SIGTTIN || number == SIGTTOU)) {
        wanted_terminal(c);
    } else if (c->terminal >= 0 && number == SIGTSTP) {
        suspend(c);
    }
}

bool child_has_ended(struct child *c, int *exit_code)
{
    int status;
    pid_t ended;
    while ((ended = waitpid(c->pid, &status, WNOHANG | WUNTRACED)) == c->pid) {
        if (WIFSTOPPED(status)) {
            stopped(c, WSTOPSIG(status));
            continue;
        }
        *exit_code =
            WIFEXITED(status) ? WEXITSTATUS(status) : ctl_signal_exit(WTERMSIG(status));
        break;
    }
    if (ended == 0 || (ended < 0 && errno == EINTR)) {
        return false;
    }
    if (ended < 0) {
        *exit_code = EXIT_GENERAL;
    }
    if (c->is_ending) { /* what it has left behind */
        (void)kill(-c->pid, SIGKILL);
    }
    take_terminal_back(c);
    if (c->terminal >= 0) {
        (void)close(c->terminal);
    }
    c->pid = 0;
    return true;
}

void child_signal(const struct child *c, int number)
{
    (void)kill(-c->pid, number);
}

void child_go_on(struct child *c)
{
    c->is_suspended = false;
    child_foreground(c);
    child_signal(c, SIGCONT);
}

void child_end(struct child *c, uint64_t grace_ms)
{
    c->is_suspended = false;
    if (c->is_ending) {
        return;
    }
    c->is_ending = true;
    if (grace_ms == 0) {
        c->kill_ms = UINT64_MAX;
        child_signal(c, SIGKILL);
    } else {
        c->kill_ms = socket_now_ms() + grace_ms;
        child_signal(c, SIGTERM);
        child_signal(c, SIGCONT); /* so that one that is stopped takes note */
    }
}

uint64_t child_wait_ms(const struct child *c)
{
    uint64_t now = socket_now_ms();
    return c->pid == 0 || !c->is_ending ? UINT64_MAX : c->kill_ms > now ? c->kill_ms - now : 0;
}

void child_tick(struct child *c)
{
    if (child_wait_ms(c) == 0) {
        child_signal(c, SIGKILL);
        c->kill_ms = UINT64_MAX;
    }
}
