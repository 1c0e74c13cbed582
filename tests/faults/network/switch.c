/* The network of the fault tests: one machine for each network namespace, and between them this
 * program, which delays, drops, doubles and reorders packets, or lets none through.
 *
 *   switch DEVICE NAMESPACE...
 *
 * Makes the tun device DEVICE here, for machine 0, and one named eth0 in each NAMESPACE, for
 * machine 1 and so on. Whoever started it gives them addresses of one subnet that end in 100, 101,
 * ... It prints "ready", takes commands (network/links.h) on standard input, answers each with
 * "ok" or "bad", and ends with it; the devices end too. Needs root. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/heap.h"
#include "tests/faults/network/links.h"

#define PACKET_BYTES_MAX  ((size_t)65536)
#define ADDRESS_FIRST     100u
#define BURST_MAX         64
#define UNDER_WAY_MAX     100000u
#define IPV4_HEADER_BYTES 20
#define IPV4_SOURCE_LAST  15
#define IPV4_TARGET_LAST  19

struct packet {
    struct heap_node due; /* at that microsecond */
    unsigned to;
    size_t bytes;
    unsigned char data[];
};

struct net_switch {
    struct links links;
    int device[LINKS_MACHINES_MAX];
    unsigned machines;
    struct heap under_way;
    char line[256];
    size_t line_bytes;
};

static int make_device(const char *name)
{
    struct ifreq request;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    memset(&request, 0, sizeof request);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(fd, TUNSETIFF, &request) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int make_device_in(const char *name_space)
{
    char path[256];
    int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "/var/run/netns/%s", name_space);
    int there = open(path, O_RDONLY | O_CLOEXEC);
    int fd = -1;
    if (here >= 0 && there >= 0 && setns(there, CLONE_NEWNET) == 0) {
        fd = make_device("eth0");
        if (setns(here, CLONE_NEWNET) != 0) {
            abort(); /* in the wrong namespace, nothing that follows is right */
        }
    }
    if (here >= 0) {
        close(here);
    }
    if (there >= 0) {
        close(there);
    }
    return fd;
}

/* A packet that the device does not take is lost, as on any wire. */
static void deliver(const struct net_switch *s, unsigned to, const void *data, size_t bytes)
{
    ssize_t n = write(s->device[to], data, bytes);
    (void)n;
}

static void send_later(struct net_switch *s, const struct link *link, unsigned to,
                       const void *data, size_t bytes)
{
    struct packet *p = s->under_way.count < UNDER_WAY_MAX ? malloc(sizeof *p + bytes) : NULL;
    if (p == NULL) {
        return;
    }
    memset(&p->due, 0, sizeof p->due);
    p->to = to;
    p->bytes = bytes;
    memcpy(p->data, data, bytes);
    heap_push(&s->under_way, &p->due, links_now_us() + links_delay_us(&s->links, link));
}

static void forward(struct net_switch *s, unsigned from, const unsigned char *data,
                    size_t bytes)
{
    if (bytes < IPV4_HEADER_BYTES || data[0] >> 4 != 4) {
        return; /* IPv6 announces itself, and nobody needs it */
    }
    unsigned to = (unsigned)data[IPV4_TARGET_LAST] - ADDRESS_FIRST;
    if (to >= s->machines || data[IPV4_SOURCE_LAST] != ADDRESS_FIRST + from) {
        return;
    }
    const struct link *link = &s->links.of[from][to];
    if (link->cut || links_chance(&s->links, link->loss_permille)) {
        return;
    }
    int copies = links_chance(&s->links, link->dup_permille) ? 2 : 1;
    for (int i = 0; i < copies; i++) {
        if (link->delay_ms == 0 && link->jitter_ms == 0) {
            deliver(s, to, data, bytes);
        } else {
            send_later(s, link, to, data, bytes);
        }
    }
}

static void take_packets(struct net_switch *s, unsigned from)
{
    static unsigned char data[PACKET_BYTES_MAX];
    for (int i = 0; i < BURST_MAX; i++) {
        ssize_t n = read(s->device[from], data, sizeof data);
        if (n <= 0) {
            return;
        }
        forward(s, from, data, (size_t)n);
    }
}

/* Returns the milliseconds until the next packet is due, -1: none. A link that was cut meanwhile
 * has lost what was under way on it only as far as it is cut: the packet was past that point. */
static int deliver_due(struct net_switch *s)
{
    uint64_t now = links_now_us();
    struct heap_node *node;
    while ((node = heap_peek(&s->under_way)) != NULL && node->key <= now) {
        struct packet *p = HEAP_OF(heap_pop(&s->under_way), struct packet, due);
        deliver(s, p->to, p->data, p->bytes);
        free(p);
    }
    return node == NULL ? -1 : (int)((node->key - now) / 1000) + 1;
}

/* False: standard input has ended. */
static bool take_commands(struct net_switch *s)
{
    ssize_t n = read(STDIN_FILENO, s->line + s->line_bytes, sizeof s->line - 1 - s->line_bytes);
    if (n <= 0) {
        return false;
    }
    s->line_bytes += (size_t)n;
    s->line[s->line_bytes] = '\0';
    char *end;
    while ((end = strchr(s->line, '\n')) != NULL) {
        *end = '\0';
        puts(links_command(&s->links, s->line) ? "ok" : "bad");
        s->line_bytes -= (size_t)(end + 1 - s->line);
        memmove(s->line, end + 1, s->line_bytes + 1);
    }
    fflush(stdout);
    return s->line_bytes < sizeof s->line - 1;
}

static void run(struct net_switch *s)
{
    struct pollfd fds[LINKS_MACHINES_MAX + 1];
    for (unsigned i = 0; i < s->machines; i++) {
        fds[i] = (struct pollfd){.fd = s->device[i], .events = POLLIN};
    }
    fds[s->machines] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    for (;;) {
        int wait_ms = deliver_due(s);
        if (poll(fds, s->machines + 1, wait_ms) < 0 && errno != EINTR) {
            return;
        }
        for (unsigned i = 0; i < s->machines; i++) {
            if (fds[i].revents != 0) {
                take_packets(s, i);
            }
        }
        if (fds[s->machines].revents != 0 && !take_commands(s)) {
            return;
        }
    }
}

int main(int argc, char **argv)
{
    static struct net_switch s;
    if (argc < 3 || argc - 1 > LINKS_MACHINES_MAX) {
        fputs("usage: switch DEVICE NAMESPACE...\n", stderr);
        return 2;
    }
    s.links.rng = links_now_us();
    s.device[s.machines++] = make_device(argv[1]);
    for (int i = 2; i < argc; i++) {
        s.device[s.machines++] = make_device_in(argv[i]);
    }
    for (unsigned i = 0; i < s.machines; i++) {
        if (s.device[i] < 0) {
            fprintf(stderr, "switch: machine %u has no device: %s\n", i, strerror(errno));
            return 1;
        }
    }
    puts("ready");
    fflush(stdout);
    run(&s);
    return 0;
}
