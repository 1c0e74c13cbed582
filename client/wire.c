#include "client/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/socket.h"

/* Encrypted at once; what the socket does not take of it waits. */
#define PIECE_BYTES ((size_t)64 << 10)

/* A session's output. Appends, but with an answer instead of an abort. */
static bool keep_output(void *owner, struct slice cipher)
{
    struct wire *w = owner;
    if (w->out.capacity - w->out.size < cipher.size) {
        size_t capacity = (w->out.size + cipher.size) * 2;
        uint8_t *data = realloc(w->out.data, capacity);
        if (data == NULL) {
            return false;
        }
        w->out.data = data;
        w->out.capacity = capacity;
    }
    buf_append_slice(&w->out, cipher);
    return true;
}

/* What send(2) takes: 0 for none, negative for never again. */
static ssize_t socket_send(int fd, struct slice bytes)
{
    ssize_t n = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

bool wire_has_output(const struct wire *w)
{
    return w->out.size > 0;
}

bool wire_has_input(const struct wire *w)
{
    return w->in_taken < w->in_bytes;
}

const char *wire_error(const struct wire *w)
{
    return w->session != NULL ? tls_session_error(w->session) : "";
}

bool wire_flush(struct wire *w)
{
    while (w->out.size > 0) {
        ssize_t n = socket_send(w->fd, buf_slice(&w->out));
        if (n <= 0) {
            return n == 0;
        }
        buf_consume(&w->out, (size_t)n);
    }
    buf_close(&w->out);
    return true;
}

ssize_t wire_write(struct wire *w, struct slice bytes)
{
    if (w->session == NULL) {
        return socket_send(w->fd, bytes);
    }
    if (!wire_flush(w)) {
        return -1;
    }
    if (w->out.size > 0) {
        return 0;
    }
    size_t piece = bytes.size < PIECE_BYTES ? bytes.size : PIECE_BYTES;
    if (!tls_session_write(w->session, slice_make(bytes.data, piece)) || !wire_flush(w)) {
        return -1;
    }
    return (ssize_t)piece;
}

static enum wire_result socket_read(int fd, uint8_t *to, size_t bytes, size_t *got)
{
    ssize_t n;
    do {
        n = recv(fd, to, bytes, 0);
    } while (n < 0 && errno == EINTR);
    *got = n > 0 ? (size_t)n : 0;
    if (n > 0) {
        return WIRE_DATA;
    }
    return n < 0 && errno == EAGAIN ? WIRE_NOTHING : n == 0 ? WIRE_ENDED : WIRE_FAILED;
}

/* Decrypts what was received, up to one record. */
static enum wire_result session_read(struct wire *w, uint8_t *to, size_t *got)
{
    struct slice cipher = slice_make(w->in + w->in_taken, w->in_bytes - w->in_taken);
    enum tls_result result = tls_session_read(w->session, &cipher, to, WIRE_READ_BYTES, got);
    w->in_taken = w->in_bytes - cipher.size;
    (void)wire_flush(w); /* what TLS has to say itself; the next write finds out if it cannot */
    switch (result) {
    case TLS_DATA: return WIRE_DATA;
    case TLS_MORE: return WIRE_NOTHING;
    case TLS_ENDED: return WIRE_ENDED;
    case TLS_FAILED: break;
    }
    return WIRE_FAILED;
}

enum wire_result wire_read(struct wire *w, uint8_t to[WIRE_READ_BYTES], size_t *got)
{
    if (w->session == NULL) {
        return socket_read(w->fd, to, WIRE_READ_BYTES, got);
    }
    for (;;) {
        if (wire_has_input(w)) {
            enum wire_result result = session_read(w, to, got);
            if (result != WIRE_NOTHING) {
                return result;
            }
        }
        w->in_taken = 0;
        enum wire_result result = socket_read(w->fd, w->in, WIRE_READ_BYTES, &w->in_bytes);
        if (result != WIRE_DATA) {
            *got = 0;
            return result;
        }
    }
}

/* ---- opening ----------------------------------------------------------------------------- */

/* Until both sides know each other. Nothing that is said inside comes before that. */
static bool shake_hands(struct wire *w, uint64_t deadline_ms, char *why, size_t why_bytes)
{
    bool goes_on = tls_session_start(w->session) != TLS_FAILED;
    while (goes_on && !tls_session_is_open(w->session)) {
        size_t got;
        goes_on = wire_flush(w);
        int ready =
            socket_wait(w->fd, w->out.size > 0 ? POLLIN | POLLOUT : POLLIN, deadline_ms);
        if (ready == 0) {
            snprintf(why, why_bytes, "no TLS handshake in time");
            return false;
        }
        w->in_taken = 0;
        enum wire_result result = socket_read(w->fd, w->in, WIRE_READ_BYTES, &w->in_bytes);
        while (goes_on && wire_has_input(w) && !tls_session_is_open(w->session)) {
            struct slice cipher = slice_make(w->in + w->in_taken, w->in_bytes - w->in_taken);
            goes_on = tls_session_read(w->session, &cipher, NULL, 0, &got) == TLS_MORE;
            w->in_taken = w->in_bytes - cipher.size;
        }
        goes_on = goes_on && result != WIRE_ENDED && result != WIRE_FAILED;
    }
    if (tls_session_is_open(w->session) && wire_flush(w)) {
        return true;
    }
    (void)wire_flush(w); /* the alert that says why */
    const char *error = wire_error(w);
    snprintf(why, why_bytes, "TLS: %s",
             error[0] != '\0' ? error : "the other side closed: perhaps it does not speak TLS");
    return false;
}

static bool session_open(struct wire *w, const char *host, const struct wire_tls *tls)
{
    const char *name = tls->server_name != NULL ? tls->server_name : host;
    w->in = malloc(WIRE_READ_BYTES);
    w->session = w->in != NULL ? tls_session_new(tls->context, TLS_CLIENT,
                                                 tls->checks_name ? name : NULL, keep_output, w)
                               : NULL;
    return w->session != NULL;
}

bool wire_open(struct wire *w, const char *host, const char *port, const struct wire_tls *tls,
               uint64_t deadline_ms, char *why, size_t why_bytes)
{
    *w = (struct wire){.fd = socket_connect(host, port, deadline_ms, why, why_bytes)};
    if (w->fd < 0) {
        return false;
    }
    if (tls == NULL) {
        return true;
    }
    bool made = session_open(w, host, tls);
    if (!made) {
        snprintf(why, why_bytes, "out of memory");
    }
    if (!made || !shake_hands(w, deadline_ms, why, why_bytes)) {
        wire_close(w);
        return false;
    }
    return true;
}

void wire_close(struct wire *w)
{
    if (w->session != NULL && w->out.size == 0) {
        tls_session_end(w->session);
        (void)wire_flush(w);
    }
    tls_session_free(w->session);
    buf_close(&w->out);
    free(w->in);
    if (w->fd >= 0) {
        close(w->fd);
    }
    *w = (struct wire){.fd = -1};
}
