/* The bytes of a connection: a socket, with TLS on it or not. Blocks only in wire_open.
 *
 * Out of memory is an answer here, as everywhere in client/. */
#ifndef CLIENT_WIRE_H
#define CLIENT_WIRE_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/tls.h"

#define WIRE_READ_BYTES TLS_RECORD_BYTES_MAX /* what wire_read must have room for */

/* What a connection needs to know of TLS; NULL in its place: none. */
struct wire_tls {
    struct tls_context *context;
    const char *server_name; /* that certificates must carry; NULL: the host connected to */
    bool checks_name;
};

struct wire {
    int fd; /* -1: closed */
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

/* Resolves, connects, shakes hands until `deadline_ms` (monotonic). False with a reason in `why`:
 * closed. `tls` and what it names are borrowed until return, its context until the close. */
bool wire_open(struct wire *w, const char *host, const char *port, const struct wire_tls *tls,
               uint64_t deadline_ms, char *why, size_t why_bytes);
void wire_close(struct wire *w);

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
