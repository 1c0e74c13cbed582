/* Sockets that block until a deadline, in poll(2). Times are monotonic milliseconds. */
#ifndef CLIENT_SOCKET_H
#define CLIENT_SOCKET_H

#include <stddef.h>
#include <stdint.h>

uint64_t socket_now_ms(void);

/* Resolves and connects, trying every address of the name; only the resolving takes as long as
 * the system's resolver takes. A non-blocking socket, or -1 with a reason in `why`. */
int socket_connect(const char *host, const char *port, uint64_t deadline_ms, char *why,
                   size_t why_bytes);

/* Waits for `what`, events of poll(2). Those that came, 0 at the deadline, negative on
 * failure. */
int socket_wait(int fd, short what, uint64_t deadline_ms);

/* Sleeps for so long, but not beyond the deadline. */
void socket_pause(uint64_t ms, uint64_t deadline_ms);

#endif
