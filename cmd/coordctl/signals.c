#include "cmd/coordctl/signals.h"

#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* As nohup makes it of SIGHUP, and a shell of SIGINT for what it runs with &. Blocked it would come
 * all the same. */
static bool is_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static bool open_for(struct signals *s, const int *numbers, size_t count)
{
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < count; i++) {
        if (!is_ignored(numbers[i])) {
            (void)sigaddset(&set, numbers[i]);
        }
    }
    (void)sigaddset(&set, SIGCHLD); /* only wakes: whose child it was, waitpid says */
    (void)signal(SIGCHLD, SIG_DFL);
    if (sigprocmask(SIG_BLOCK, &set, &s->before) != 0) {
        return false;
    }
    s->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return s->fd >= 0;
}

bool signals_open(struct signals *s)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    return open_for(s, numbers, sizeof numbers / sizeof numbers[0]);
}

bool signals_open_all(struct signals *s)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2,
                                  SIGCONT};
    return open_for(s, numbers, sizeof numbers / sizeof numbers[0]);
}

void signals_close(struct signals *s)
{
    (void)close(s->fd);
    (void)sigprocmask(SIG_SETMASK, &s->before, NULL);
}

int signals_take(struct signals *s)
{
    struct signalfd_siginfo info;
    while (read(s->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGCHLD) {
            return (int)info.ssi_signo;
        }
    }
    return 0;
}

int signals_wait(struct signals *s, int fd, uint64_t timeout_ms)
{
    struct pollfd polls[] = {{.fd = s->fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    (void)poll(polls, 2, timeout_ms < INT_MAX ? (int)timeout_ms : INT_MAX);
    return signals_take(s);
}
