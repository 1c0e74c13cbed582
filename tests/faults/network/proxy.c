/* The network of the fault tests where network namespaces cannot be made: connections on the
 * loopback device that pass through this program, which delays, stalls or resets them.
 *
 *   proxy MACHINE:PORT:TARGET...
 *
 * Listens at 127.0.0.1:PORT and connects to 127.0.0.1:TARGET, which belongs to MACHINE. Where a
 * connection comes from its address says: machine n has 127.0.0.(100 + n) (preload.c binds it),
 * all others are machine 0. Prints "ready", takes commands (network/links.h) on standard input,
 * answers each with "ok" or "bad", and ends with it.
 *
 * These are streams: nothing is doubled or overtaken. A cut link carries nothing until it is well
 * again, not even the end of a connection. Loss delays by as much as it takes TCP to notice, and
 * every tenth loss resets the connection. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/faults/network/links.h"

#define PAIRS_MAX      2048
#define DOORS_MAX      (2 * LINKS_MACHINES_MAX)
#define CHUNK_BYTES    65536
#define ADDRESS_FIRST  100u
#define RETRANSMIT_US  200000u
#define RESET_PERMILLE 100u
#define ACCEPT_BACKLOG 128

/* One direction of a connection: what was read and is not written yet. */
struct stream {
    unsigned from, to; /* machines */
    size_t bytes, written;
    uint64_t due_us;
    bool has_ended; /* the sender says no more */
    bool was_told;  /* and the receiver knows */
    unsigned char data[CHUNK_BYTES];
};

struct pair {
    int fd[2];               /* who connected, whom to */
    struct stream stream[2]; /* [i] is read from fd[i] */
};

struct door {
    int fd;
    unsigned machine;
    uint16_t target;
};

struct proxy {
    struct links links;
    struct door doors[DOORS_MAX];
    size_t door_count;
    struct pair *pairs[PAIRS_MAX];
    size_t pair_count;
    char line[256];
    size_t line_bytes;
};

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in a;
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static bool open_door(struct proxy *p, const char *text)
{
    unsigned machine, port, target;
    int on = 1;
    if (sscanf(text, "%u:%u:%u", &machine, &port, &target) != 3 ||
        machine >= LINKS_MACHINES_MAX || p->door_count == DOORS_MAX) {
        return false;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in here = loopback((uint16_t)port);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&here, sizeof here) != 0 ||
        listen(fd, ACCEPT_BACKLOG) != 0) {
        return false;
    }
    p->doors[p->door_count++] =
        (struct door){.fd = fd, .machine = machine, .target = (uint16_t)target};
    return true;
}

static unsigned machine_of(const struct sockaddr_in *address)
{
    unsigned last = ntohl(address->sin_addr.s_addr) & 0xffu;
    bool is_machine = last > ADDRESS_FIRST && last < ADDRESS_FIRST + LINKS_MACHINES_MAX;
    return is_machine ? last - ADDRESS_FIRST : 0;
}

static void set_prompt(int fd)
{
    int on = 1;
    int rc = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)rc; /* slower without */
}

static void accept_one(struct proxy *p, const struct door *door)
{
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    int in = accept4(door->fd, (struct sockaddr *)&from, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (in < 0) {
        return;
    }
    struct sockaddr_in there = loopback(door->target);
    int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pair *pair = p->pair_count < PAIRS_MAX ? calloc(1, sizeof *pair) : NULL;
    if (out < 0 || pair == NULL || connect(out, (struct sockaddr *)&there, sizeof there) != 0) {
        if (out >= 0) {
            close(out);
        }
        close(in);
        free(pair);
        return;
    }
    set_prompt(in);
    set_prompt(out);
    pair->fd[0] = in;
    pair->fd[1] = out;
    pair->stream[0].from = pair->stream[1].to = machine_of(&from);
    pair->stream[0].to = pair->stream[1].from = door->machine;
    p->pairs[p->pair_count++] = pair;
}

static void close_pair(struct proxy *p, size_t at, bool reset)
{
    struct pair *pair = p->pairs[at];
    for (int i = 0; i < 2; i++) {
        const struct linger hard = {.l_onoff = 1, .l_linger = 0};
        if (reset) {
            int rc = setsockopt(pair->fd[i], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            (void)rc;
        }
        close(pair->fd[i]);
    }
    free(pair);
    p->pairs[at] = p->pairs[--p->pair_count];
}

static const struct link *link_of(const struct proxy *p, const struct stream *s)
{
    return &p->links.of[s->from][s->to];
}

static bool wants_read(const struct proxy *p, const struct stream *s)
{
    return s->bytes == 0 && !s->has_ended && !link_of(p, s)->cut;
}

static bool wants_write(const struct proxy *p, const struct stream *s)
{
    return s->bytes > 0 && !link_of(p, s)->cut && links_now_us() >= s->due_us;
}

/* False: the connection is to be reset. */
static bool read_stream(struct proxy *p, struct pair *pair, int i)
{
    struct stream *s = &pair->stream[i];
    ssize_t n = recv(pair->fd[i], s->data, sizeof s->data, MSG_DONTWAIT);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    if (n == 0) {
        s->has_ended = true;
        return true;
    }
    const struct link *link = link_of(p, s);
    s->bytes = (size_t)n;
    s->written = 0;
    s->due_us = links_now_us() + links_delay_us(&p->links, link);
    if (links_chance(&p->links, link->loss_permille)) {
        s->due_us += RETRANSMIT_US;
        return !links_chance(&p->links, RESET_PERMILLE);
    }
    return true;
}

static bool write_stream(struct pair *pair, int i)
{
    struct stream *s = &pair->stream[i];
    ssize_t n = send(pair->fd[1 - i], s->data + s->written, s->bytes - s->written,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    s->written += (size_t)n;
    if (s->written == s->bytes) {
        s->bytes = 0;
    }
    return true;
}

/* What has ended is passed on behind the last byte; false: both ways have ended. */
static bool pass_end(const struct proxy *p, struct pair *pair)
{
    for (int i = 0; i < 2; i++) {
        struct stream *s = &pair->stream[i];
        if (s->has_ended && !s->was_told && s->bytes == 0 && !link_of(p, s)->cut) {
            shutdown(pair->fd[1 - i], SHUT_WR);
            s->was_told = true;
        }
    }
    return !(pair->stream[0].was_told && pair->stream[1].was_told);
}

/* False: standard input has ended. */
static bool take_commands(struct proxy *p)
{
    ssize_t n = read(STDIN_FILENO, p->line + p->line_bytes, sizeof p->line - 1 - p->line_bytes);
    if (n <= 0) {
        return false;
    }
    p->line_bytes += (size_t)n;
    p->line[p->line_bytes] = '\0';
    char *end;
    while ((end = strchr(p->line, '\n')) != NULL) {
        *end = '\0';
        puts(links_command(&p->links, p->line) ? "ok" : "bad");
        p->line_bytes -= (size_t)(end + 1 - p->line);
        memmove(p->line, end + 1, p->line_bytes + 1);
    }
    fflush(stdout);
    return p->line_bytes < sizeof p->line - 1;
}

/* Fills in what to wait for; returns the milliseconds until something is due, or -1. */
static int prepare(const struct proxy *p, struct pollfd *fds)
{
    uint64_t now = links_now_us();
    uint64_t next = UINT64_MAX;
    size_t at = 0;
    fds[at++] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    for (size_t i = 0; i < p->door_count; i++) {
        fds[at++] = (struct pollfd){.fd = p->doors[i].fd, .events = POLLIN};
    }
    for (size_t i = 0; i < p->pair_count; i++) {
        const struct pair *pair = p->pairs[i];
        for (int side = 0; side < 2; side++) {
            const struct stream *in = &pair->stream[side];
            const struct stream *out = &pair->stream[1 - side];
            short events =
                (short)((wants_read(p, in) ? POLLIN : 0) | (wants_write(p, out) ? POLLOUT : 0));
            /* poll would report the end of a connection that is none of our business yet. */
            fds[at++] =
                (struct pollfd){.fd = events != 0 ? pair->fd[side] : -1, .events = events};
            if (in->bytes > 0 && in->due_us > now && in->due_us < next) {
                next = in->due_us;
            }
        }
    }
    return next == UINT64_MAX ? -1 : (int)((next - now) / 1000) + 1;
}

static void serve_pair(struct proxy *p, size_t at, const struct pollfd *fds)
{
    struct pair *pair = p->pairs[at];
    bool lives = true;
    for (int side = 0; side < 2 && lives; side++) {
        if ((fds[side].events & POLLOUT) != 0 && fds[side].revents != 0) {
            lives = write_stream(pair, 1 - side);
        }
        if (lives && (fds[side].events & POLLIN) != 0 && fds[side].revents != 0) {
            lives = read_stream(p, pair, side);
        }
    }
    if (!lives || !pass_end(p, pair)) {
        close_pair(p, at, !lives);
    }
}

static void run(struct proxy *p)
{
    static struct pollfd fds[1 + DOORS_MAX + 2 * PAIRS_MAX];
    for (;;) {
        int wait_ms = prepare(p, fds);
        size_t pairs = p->pair_count;
        if (poll(fds, 1 + p->door_count + 2 * pairs, wait_ms) < 0 && errno != EINTR) {
            return;
        }
        /* From the last one on, so that closing one moves only what was served. */
        for (size_t i = pairs; i-- > 0;) {
            serve_pair(p, i, &fds[1 + p->door_count + 2 * i]);
        }
        for (size_t i = 0; i < p->door_count; i++) {
            if (fds[1 + i].revents != 0) {
                accept_one(p, &p->doors[i]);
            }
        }
        if (fds[0].revents != 0 && !take_commands(p)) {
            return;
        }
    }
}

int main(int argc, char **argv)
{
    static struct proxy p;
    p.links.rng = links_now_us();
    for (int i = 1; i < argc; i++) {
        if (!open_door(&p, argv[i])) {
            fprintf(stderr, "proxy: cannot listen as %s: %s\n", argv[i], strerror(errno));
            return 1;
        }
    }
    puts("ready");
    fflush(stdout);
    run(&p);
    return 0;
}
