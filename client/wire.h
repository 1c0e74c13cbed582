/* The bytes of a connection: a socket, with TLS on it or not. Never blocks.
 *
 *   CLOSED --(wire_next)--> CONNECTING --> SHAKING --> OPEN
 *                               |             |
 *      (wire_next) <------------+             +--> what wire_advance says ends it
 *
 * Out of memory is an answer here, as everywhere in client/. */
#ifndef CLIENT_WIRE_H
#define CLIENT_WIRE_H

#include <netdb.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/tls.h"

#define WIRE_READ_BYTES TLS_RECORD_BYTES_MAX /* what wire_read must have room for */

/* What a connection needs to know of TLS; without a context: none. All of it must outlive the
 * wire. */
struct wire_tls {
    struct tls_context *context;
    const char *server_name; /* that certificates must carry; NULL: the host connected to */
    bool checks_name;
};

enum wire_state { WIRE_CLOSED = 0, WIRE_CONNECTING, WIRE_SHAKING, WIRE_OPEN };

struct wire {
    int fd; /* -1: closed */
    enum wire_state state;
    struct wire_tls tls;
    const char *host;
    struct addrinfo *addresses;   /* all of the host's */
    const struct addrinfo *ahead; /* not tried yet */
    uint64_t deadline_ms;         /* for being open */
    uint64_t share_ms;            /* CONNECTING: the same for this address */
    char why[300];
    struct tls_session *session;
    struct buf out; /* ciphertext that the socket has not taken */
    uint8_t *in;    /* ciphertext that was not looked at, WIRE_READ_BYTES of room */
    size_t in_bytes;
    size_t in_taken;
};

enum wire_result {
    WIRE_DATA,
    WIRE_NOTHING, /* for now */
    WIRE_ENDED,
    WIRE_FAILED, /* see wire_error */
};

enum wire_progress {
    WIRE_GOES_ON,   /* see wire_events and wire_due_ms */
    WIRE_READY,     /* it is open */
    WIRE_ELSEWHERE, /* this address has failed: wire_next */
    WIRE_OVER,      /* all have, or TLS: see w->why */
};

/* Takes the addresses of `host`, which is pinned; it is to be open by `deadline_ms`. wire_next
 * begins. */
void wire_init(struct wire *w, struct addrinfo *addresses, const char *host,
               const struct wire_tls *tls, uint64_t deadline_ms);
/* Closes what there is and begins to connect to the next address. False: none is left, or there
 * is no memory, see w->why. */
bool wire_next(struct wire *w);
/* Before it is open: something happened, or wire_due_ms has come. */
enum wire_progress wire_advance(struct wire *w);
uint64_t wire_due_ms(const struct wire *w);
/* What to wait for: COORD_READABLE, COORD_WRITABLE; `has_output`: there is more to be written. */
unsigned wire_events(const struct wire *w, bool has_output);
void wire_close(struct wire *w);
/* All of it, for those who may wait: until it is open, or `deadline_ms` has passed. `host` and what
 * `tls` names are pinned; NULL: no TLS. False with a reason in `why`: it is closed. */
bool wire_open(struct wire *w, const char *host, const char *port, const struct wire_tls *tls,
               uint64_t deadline_ms, char *why, size_t why_bytes);

/* How many of the bytes were taken; 0: none for now, negative: it failed. With TLS what is taken
 * may still wait here, see wire_has_output. */
ssize_t wire_write(struct wire *w, struct slice bytes);
/* Sends what waits here. False: it failed. */
bool wire_flush(struct wire *w);
bool wire_has_output(const struct wire *w);

enum wire_result wire_read(struct wire *w, uint8_t to[WIRE_READ_BYTES], size_t *got);
/* There is input that no poll(2) would tell of. */
bool wire_has_input(const struct wire *w);

/* Why TLS failed; "" if it did not. */
const char *wire_error(const struct wire *w);

#endif
