#include "client/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/client.h"
#include "client/memory.h"
#include "client/socket.h"

/* Encrypted at once; what the socket does not take of it waits. */
#define PIECE_BYTES ((size_t)64 << 10)

/* A session's output. Appends, but with an answer instead of an abort. */
static bool keep_output(void *owner, struct slice cipher)
{
    struct wire *w = owner;
    if (!memory_reserve(&w->out, cipher.size)) {
        return false;
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

void wire_init(struct wire *w, struct addrinfo *addresses, const char *host,
               const struct wire_tls *tls, uint64_t deadline_ms)
{
    *w = (struct wire){.fd = -1,
                       .tls = *tls,
                       .host = host,
                       .addresses = addresses,
                       .ahead = addresses,
                       .deadline_ms = deadline_ms};
}

static void drop_socket(struct wire *w)
{
    tls_session_free(w->session);
    w->session = NULL;
    buf_close(&w->out);
    w->in_bytes = 0;
    w->in_taken = 0;
    if (w->fd >= 0) {
        close(w->fd);
    }
    w->fd = -1;
    w->state = WIRE_CLOSED;
}

/* Every address gets its share of the time, so that one that is silent does not keep us from the
 * next. */
bool wire_next(struct wire *w)
{
    drop_socket(w);
    while (w->ahead != NULL) {
        uint64_t count = 0;
        for (const struct addrinfo *a = w->ahead; a != NULL; a = a->ai_next) {
            count++;
        }
        const struct addrinfo *address = w->ahead;
        uint64_t now = socket_now_ms();
        int reason = 0;
        w->ahead = address->ai_next;
        w->share_ms = now + (w->deadline_ms > now ? (w->deadline_ms - now) / count : 0);
        w->fd = socket_connect(address, &reason);
        if (w->fd >= 0) {
            w->state = WIRE_CONNECTING;
            return true;
        }
        snprintf(w->why, sizeof w->why, "%s", strerror(reason));
    }
    return false;
}

static enum wire_progress address_failed(struct wire *w, int reason)
{
    snprintf(w->why, sizeof w->why, "%s", strerror(reason));
    return w->ahead != NULL ? WIRE_ELSEWHERE : WIRE_OVER;
}

static enum wire_progress begin_tls(struct wire *w)
{
    const char *name = w->tls.server_name != NULL ? w->tls.server_name : w->host;
    w->in = w->in != NULL ? w->in : malloc(WIRE_READ_BYTES);
    w->session = w->in != NULL
                     ? tls_session_new(w->tls.context, TLS_CLIENT,
                                       w->tls.checks_name ? name : NULL, keep_output, w)
                     : NULL;
    w->state = WIRE_SHAKING;
    if (w->session == NULL) {
        snprintf(w->why, sizeof w->why, "out of memory");
        return WIRE_OVER;
    }
    bool goes_on = tls_session_start(w->session) != TLS_FAILED && wire_flush(w);
    if (!goes_on) {
        snprintf(w->why, sizeof w->why, "TLS: %s", wire_error(w));
    }
    return goes_on ? WIRE_GOES_ON : WIRE_OVER;
}

static enum wire_progress advance_connecting(struct wire *w)
{
    struct pollfd p = {.fd = w->fd, .events = POLLOUT};
    if (poll(&p, 1, 0) <= 0 || p.revents == 0) {
        return socket_now_ms() < w->share_ms ? WIRE_GOES_ON : address_failed(w, ETIMEDOUT);
    }
    int reason = socket_connected(w->fd);
    if (reason != 0) {
        return address_failed(w, reason);
    }
    if (w->tls.context != NULL) {
        return begin_tls(w);
    }
    w->state = WIRE_OPEN;
    return WIRE_READY;
}

/* Until both sides know each other. Nothing that is said inside comes before that. */
static enum wire_progress advance_shaking(struct wire *w)
{
    bool goes_on = wire_flush(w);
    w->in_taken = 0;
    enum wire_result result = socket_read(w->fd, w->in, WIRE_READ_BYTES, &w->in_bytes);
    while (goes_on && wire_has_input(w) && !tls_session_is_open(w->session)) {
        size_t got;
        struct slice cipher = slice_make(w->in + w->in_taken, w->in_bytes - w->in_taken);
        goes_on = tls_session_read(w->session, &cipher, NULL, 0, &got) == TLS_MORE;
        w->in_taken = w->in_bytes - cipher.size;
    }
    goes_on = goes_on && result != WIRE_ENDED && result != WIRE_FAILED;
    bool was_sent = wire_flush(w); /* if it failed, the alert that says why */
    if (tls_session_is_open(w->session) && was_sent) {
        w->state = WIRE_OPEN;
        return WIRE_READY;
    }
    const char *error = wire_error(w);
    if (!goes_on) {
        snprintf(w->why, sizeof w->why, "TLS: %s",
                 error[0] != '\0' ? error
                                  : "the other side closed: perhaps it does not speak TLS");
        return WIRE_OVER;
    }
    if (socket_now_ms() >= w->deadline_ms) {
        snprintf(w->why, sizeof w->why, "no TLS handshake in time");
        return WIRE_OVER;
    }
    return WIRE_GOES_ON;
}

enum wire_progress wire_advance(struct wire *w)
{
    return w->state == WIRE_CONNECTING ? advance_connecting(w) : advance_shaking(w);
}

uint64_t wire_due_ms(const struct wire *w)
{
    return w->state == WIRE_CONNECTING ? w->share_ms : w->deadline_ms;
}

unsigned wire_events(const struct wire *w, bool has_output)
{
    if (w->state == WIRE_CONNECTING) {
        return COORD_WRITABLE;
    }
    bool writes = w->out.size > 0 || (w->state == WIRE_OPEN && has_output);
    return writes ? COORD_READABLE | COORD_WRITABLE : COORD_READABLE;
}

void wire_close(struct wire *w)
{
    if (w->session != NULL && w->out.size == 0) {
        tls_session_end(w->session);
        (void)wire_flush(w);
    }
    drop_socket(w);
    free(w->in);
    if (w->addresses != NULL) {
        freeaddrinfo(w->addresses);
    }
    *w = (struct wire){.fd = -1};
}

bool wire_open(struct wire *w, const char *host, const char *port, const struct wire_tls *tls,
               uint64_t deadline_ms, char *why, size_t why_bytes)
{
    static const struct wire_tls none = {.context = NULL};
    struct addrinfo *addresses = socket_resolve(host, port, why, why_bytes);
    wire_init(w, addresses, host, tls != NULL ? tls : &none, deadline_ms);
    bool goes_on = addresses != NULL;
    enum wire_progress progress = WIRE_ELSEWHERE;
    while (goes_on && progress != WIRE_READY) {
        goes_on = progress == WIRE_ELSEWHERE ? wire_next(w) : progress == WIRE_GOES_ON;
        if (goes_on) {
            unsigned events = wire_events(w, false);
            uint64_t now = socket_now_ms();
            struct pollfd p = {.fd = w->fd,
                               .events = (short)((events & COORD_READABLE ? POLLIN : 0) |
                                                 (events & COORD_WRITABLE ? POLLOUT : 0))};
            (void)poll(&p, 1, wire_due_ms(w) > now ? (int)(wire_due_ms(w) - now) : 0);
            progress = wire_advance(w);
        }
    }
    if (!goes_on) {
        if (addresses != NULL) {
            snprintf(why, why_bytes, "%s", w->why);
        }
        wire_close(w);
    }
    return goes_on;
}
