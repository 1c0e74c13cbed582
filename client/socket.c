#include "client/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t socket_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int socket_wait(int fd, short what, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now = socket_now_ms();
        if (now >= deadline_ms) {
            return 0;
        }
        uint64_t left = deadline_ms - now;
        struct pollfd p = {.fd = fd, .events = what};
        int n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
        if (n > 0) {
            return p.revents;
        }
        if (n < 0 && errno != EINTR) {
            return -1;
        }
    }
}

static int connect_one(const struct addrinfo *a, uint64_t deadline_ms, int *reason)
{
    int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (fd < 0) {
        *reason = errno;
        return -1;
    }
    int one = 1;
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
        return fd;
    }
    *reason = errno;
    if (errno == EINPROGRESS) {
        int ready = socket_wait(fd, POLLOUT, deadline_ms);
        socklen_t size = sizeof *reason;
        *reason = ETIMEDOUT;
        if (ready > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, reason, &size) == 0 &&
            *reason == 0) {
            return fd;
        }
    }
    close(fd);
    return -1;
}

/* Every address of the name gets its share of the time, so that one that is silent does not
 * keep us from the next. */
static int connect_any(const struct addrinfo *list, uint64_t deadline_ms, int *reason)
{
    uint64_t left = 0;
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        left++;
    }
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next, left--) {
        uint64_t now = socket_now_ms();
        uint64_t share = now < deadline_ms ? (deadline_ms - now) / left : 0;
        int fd = connect_one(a, now + share, reason);
        if (fd >= 0) {
            return fd;
        }
    }
    return -1;
}

int socket_connect(const char *host, const char *port, uint64_t deadline_ms, char *why,
                   size_t why_bytes)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int rv = getaddrinfo(host, port, &hints, &list);
    if (rv != 0) {
        snprintf(why, why_bytes, "%s", gai_strerror(rv));
        return -1;
    }
    int reason = 0;
    int fd = connect_any(list, deadline_ms, &reason);
    freeaddrinfo(list);
    if (fd < 0) {
        snprintf(why, why_bytes, "%s", strerror(reason));
    }
    return fd;
}

void socket_pause(uint64_t ms, uint64_t deadline_ms)
{
    uint64_t now = socket_now_ms();
    uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
    ms = ms < left ? ms : left;
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}
