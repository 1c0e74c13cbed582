/* Loaded into coordd (LD_PRELOAD) by the fault tests: clocks that jump or run at another rate, and
 * disks that fail or hang, at run time; and, where all machines share one loopback device, an
 * address of its own for each (network/proxy.c), which the variable FAULT_SOURCE names.
 *
 * The variable FAULT_CONTROL names a file of the layout below, which is mapped; who changes it
 * makes `turn` odd first and even again afterwards. Without it, or with zeros in it, nothing is
 * changed.
 * Only files whose path contains `/data/` are meant by what is said about disks. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct control {
    _Atomic uint64_t turn;
    int64_t wall_offset_ns;
    int64_t rate_ppm; /* clocks run so much faster since `rate_from_ns`, real time */
    int64_t rate_from_ns;
    int64_t gained_ns;    /* what they had gained until then */
    int64_t sync_errno;   /* of fsync and fdatasync; 0: they work */
    int64_t write_errno;  /* of pwrite */
    int64_t disk_wait_ns; /* each of these calls takes so much longer */
};

#define NS_PER_S 1000000000

static struct control *control_map(void)
{
    static struct control *mapped;
    static atomic_bool looked;
    if (!atomic_load(&looked)) {
        const char *path = getenv("FAULT_CONTROL");
        int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
        if (fd >= 0) {
            void *p = mmap(NULL, sizeof *mapped, PROT_READ, MAP_SHARED, fd, 0);
            mapped = p != MAP_FAILED ? p : NULL;
            close(fd);
        }
        atomic_store(&looked, true);
    }
    return mapped;
}

static struct control control_read(void)
{
    static const struct control nothing;
    const struct control *c = control_map();
    struct control copy;
    uint64_t turn;
    if (c == NULL) {
        return nothing;
    }
    do {
        turn = atomic_load(&c->turn);
        memcpy(&copy, c, sizeof copy);
    } while (turn % 2 != 0 || atomic_load(&c->turn) != turn);
    return copy;
}

/* ---- clocks ----------------------------------------------------------------------------- */

static int real_clock(clockid_t id, struct timespec *out)
{
    static int (*next)(clockid_t, struct timespec *);
    if (next == NULL) {
        *(void **)&next = dlsym(RTLD_NEXT, "clock_gettime");
    }
    return next(id, out);
}

static int64_t real_ns(clockid_t id)
{
    struct timespec t;
    real_clock(id, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* What the clocks of this process are ahead of the real ones. */
static int64_t gained(const struct control *c)
{
    if (c->rate_ppm == 0) {
        return c->gained_ns;
    }
    return c->gained_ns +
           (real_ns(CLOCK_MONOTONIC) - c->rate_from_ns) / 1000 * c->rate_ppm / 1000;
}

int clock_gettime(clockid_t id, struct timespec *out)
{
    int rc = real_clock(id, out);
    if (rc != 0 || id == CLOCK_PROCESS_CPUTIME_ID || id == CLOCK_THREAD_CPUTIME_ID) {
        return rc;
    }
    struct control c = control_read();
    int64_t ns = (int64_t)out->tv_sec * NS_PER_S + out->tv_nsec + gained(&c);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) {
        ns += c.wall_offset_ns;
    }
    out->tv_sec = (time_t)(ns / NS_PER_S);
    out->tv_nsec = (long)(ns % NS_PER_S);
    return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec t;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    out->tv_sec = t.tv_sec;
    out->tv_usec = t.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out != NULL) {
        *out = t.tv_sec;
    }
    return t.tv_sec;
}

/* ---- addresses -------------------------------------------------------------------------- */

/* A failure shows as a connection of machine 0, which no fault is meant for. */
static void bind_source(int fd)
{
    const char *source = getenv("FAULT_SOURCE");
    struct sockaddr_in own = {.sin_family = AF_INET};
    int on = 1;
    int saved = errno;
    if (source != NULL && inet_pton(AF_INET, source, &own.sin_addr) == 1) {
        int rc = setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        rc = bind(fd, (struct sockaddr *)&own, sizeof own);
        (void)rc;
    }
    errno = saved;
}

int connect(int fd, const struct sockaddr *to, socklen_t bytes)
{
    static int (*next)(int, const struct sockaddr *, socklen_t);
    if (next == NULL) {
        *(void **)&next = dlsym(RTLD_NEXT, "connect");
    }
    if (to->sa_family == AF_INET) {
        bind_source(fd);
    }
    return next(fd, to, bytes);
}

/* ---- disks ------------------------------------------------------------------------------ */

static bool is_data(int fd)
{
    char link[64];
    char path[4096];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (n <= 0) {
        return false;
    }
    path[n] = '\0';
    return strstr(path, "/data/") != NULL;
}

/* The error that the call shall have, after its wait; 0: none. */
static int disk_fault(int fd, int64_t (*of)(const struct control *c))
{
    struct control c = control_read();
    if ((of(&c) == 0 && c.disk_wait_ns == 0) || !is_data(fd)) {
        return 0;
    }
    const struct timespec t = {.tv_sec = (time_t)(c.disk_wait_ns / NS_PER_S),
                               .tv_nsec = (long)(c.disk_wait_ns % NS_PER_S)};
    nanosleep(&t, NULL);
    return (int)of(&c);
}

static int64_t sync_error(const struct control *c)
{
    return c->sync_errno;
}

static int64_t write_error(const struct control *c)
{
    return c->write_errno;
}

static int sync_with(int (**next)(int), const char *name, int fd)
{
    if (*next == NULL) {
        *(void **)next = dlsym(RTLD_NEXT, name);
    }
    int error = disk_fault(fd, sync_error);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return (*next)(fd);
}

int fdatasync(int fd)
{
    static int (*next)(int);
    return sync_with(&next, "fdatasync", fd);
}

int fsync(int fd)
{
    static int (*next)(int);
    return sync_with(&next, "fsync", fd);
}

static ssize_t write_with(ssize_t (**next)(int, const void *, size_t, off_t), const char *name,
                          int fd, const void *data, size_t bytes, off_t at)
{
    if (*next == NULL) {
        *(void **)next = dlsym(RTLD_NEXT, name);
    }
    int error = disk_fault(fd, write_error);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return (*next)(fd, data, bytes, at);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at)
{
    static ssize_t (*next)(int, const void *, size_t, off_t);
    return write_with(&next, "pwrite", fd, data, bytes, at);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t at)
{
    static ssize_t (*next)(int, const void *, size_t, off_t);
    return write_with(&next, "pwrite64", fd, data, bytes, at);
}
