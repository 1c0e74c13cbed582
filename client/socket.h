/* Sockets that never block, and the clock. Times are monotonic milliseconds,
 * of a clock that goes on while the machine is suspended. */
#ifndef CLIENT_SOCKET_H
#define CLIENT_SOCKET_H

#include <netdb.h>
#include <stddef.h>
#include <stdint.h>

uint64_t socket_now_ms(void);

/* The addresses of a host, freeaddrinfo(3). One that is no address but a name takes as long as
 * the system's resolver takes. NULL with a reason in `why`. */
struct addrinfo *socket_resolve(const char *host, const char *port, char *why,
                                size_t why_bytes);

/* Begins to connect: writable when that is decided, see socket_connected. -1 with errno in
 * `reason`. */
int socket_connect(const struct addrinfo *address, int *reason);
/* 0, or why it is not connected. */
int socket_connected(int fd);

#endif
