#include "client/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Goes on while the machine is suspended, where there is such a clock: the cluster's goes on too,
 * and gives up what this client trusted in. */
#ifdef CLOCK_BOOTTIME
#define STEADY_CLOCK CLOCK_BOOTTIME
#else
#define STEADY_CLOCK CLOCK_MONOTONIC
#endif

uint64_t socket_now_ms(void)
{
    struct timespec now;
    if (clock_gettime(STEADY_CLOCK, &now) != 0) {
        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* an older kernel: never the one above */
    }
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct addrinfo *socket_resolve(const char *host, const char *port, char *why, size_t why_bytes)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *list = NULL;
    int rv = getaddrinfo(host, port, &hints, &list);
    if (rv == EAI_NONAME) {
        hints.ai_flags = 0;
        rv = getaddrinfo(host, port, &hints, &list);
    }
    if (rv != 0) {
        snprintf(why, why_bytes, "%s", rv == EAI_MEMORY ? "out of memory" : gai_strerror(rv));
        return NULL;
    }
    return list;
}

int socket_connect(const struct addrinfo *address, int *reason)
{
    /* At once: a program that another thread begins in between would have it too. */
    int type = address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK;
    int fd = socket(address->ai_family, type, address->ai_protocol);
    if (fd < 0) {
        *reason = errno;
        return -1;
    }
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS) {
        return fd;
    }
    *reason = errno;
    close(fd);
    return -1;
}

int socket_connected(int fd)
{
    int reason = 0;
    socklen_t size = sizeof reason;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size) == 0 ? reason : errno;
}
